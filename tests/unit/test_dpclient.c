/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/dpclient.c against a dataplane's end made here: greeting, pairing, loss, bad messages. */
#include <errno.h>

#include <CUnit/CUnit.h>

#include "fake_dp.h"

static struct event_base *base;
static struct fake_dp dp;
static char dir[] = "/tmp/rv-dpclient-XXXXXX";
static struct cp_dp *client;
static int ups, downs, fresh_ups, aged, leg_events, dones, events, answers, last_rc, gone;

static void on_up(void *ctx, bool fresh)
{
	(void)ctx;
	ups++;
	fresh_ups += fresh;
}

static void on_down(void *ctx)
{
	(void)ctx;
	CU_ASSERT_PTR_NOT_NULL(cp_dp_page(client)); /* readable for the last time */
	downs++;
}

static void on_aged(void *ctx, const struct dp_leg_aged *ev)
{
	(void)ctx;
	aged += ev->leg_id == 77;
}

static void on_leg(void *ctx, const struct dp_leg_event *ev)
{
	(void)ctx;
	leg_events += ev->leg_id == 78 && ev->kind == DP_LEG_MOVED;
}

static void on_done(void *ctx, struct dp_mgcp_done *ev)
{
	(void)ctx;
	dones += ev->code == 200;
}

static void on_event(void *ctx, const struct dp_mgcp_event *ev)
{
	(void)ctx;
	events += strcmp(ev->endpoint, "aaln/1") == 0;
}

static void on_sa(void *ctx, const struct dp_sa_event *ev)
{
	(void)ctx;
	(void)ev;
}

static const struct cp_dp_ops ops = {.up = on_up, .down = on_down, .leg_aged = on_aged, .leg_event = on_leg,
					 .mgcp_done = on_done, .mgcp_event = on_event, .sa_event = on_sa};

static void on_answer(void *ctx, int rc)
{
	(void)ctx;
	answers++;
	last_rc = rc;
	gone += rc == -ENOTCONN;
}

static int refuse_deletes(struct fake_dp *f, const union fake_msg *m)
{
	(void)f;
	return m->hdr.type == DP_MSG_LEG_DEL ? -ENOENT : 0;
}

static void begin(uint32_t media_addrs)
{
	ups = downs = fresh_ups = aged = leg_events = dones = events = answers = last_rc = gone = 0;
	memset(&dp, 0, sizeof(dp));
	dp.media_addrs = media_addrs;
	base = event_base_new();
	fake_start(&dp, base, dir);
	client = cp_dp_create(base, dir, 99, 3, 16384, &ops, NULL);
}

static void end(void)
{
	cp_dp_destroy(client);
	fake_stop(&dp);
	event_base_free(base);
}

static void test_answers_find_their_commands(void)
{
	struct dp_leg_set set = {.leg_id = 5};
	struct dp_obj del = {.id = 5, .kind = DP_OBJ_LEG};

	begin(3);
	CU_ASSERT_EQUAL(cp_dp_send(client, DP_MSG_LEG_SET, &set, on_answer, NULL), -ENOTCONN);
	LOOP_UNTIL(base, ups == 1, 20000);
	CU_ASSERT_EQUAL_FATAL(ups, 1);
	CU_ASSERT_EQUAL(fresh_ups, 1);
	CU_ASSERT_EQUAL(dp.epoch, 99);
	dp.hook = refuse_deletes;
	for (int i = 0; i < 2000; i++) /* more than a datagram holds */
		CU_ASSERT_EQUAL_FATAL(cp_dp_send(client, DP_MSG_LEG_SET, &set, on_answer, NULL), 0);
	CU_ASSERT_EQUAL(cp_dp_send(client, DP_MSG_LEG_DEL, &del, on_answer, NULL), 0);
	LOOP_UNTIL(base, answers == 2001, 20000);
	CU_ASSERT_EQUAL(answers, 2001);
	CU_ASSERT_EQUAL(last_rc, -ENOENT); /* in order */
	CU_ASSERT_EQUAL(fake_seen(&dp, DP_MSG_LEG_SET, NULL), 2000);
	CU_ASSERT_PTR_NOT_NULL(cp_dp_page_leg(client, FAKE_LEGS - 1));
	CU_ASSERT_PTR_NULL(cp_dp_page_leg(client, FAKE_LEGS));
	CU_ASSERT_PTR_NULL(cp_dp_page_sa(client, DP_SA_MAX));
	CU_ASSERT_PTR_NULL(cp_dp_page_worker(client, 1));
	end();
}

static void test_loss_is_told_and_mended(void)
{
	struct dp_leg_set set = {.leg_id = 5};

	begin(3);
	LOOP_UNTIL(base, ups == 1, 20000);
	dp.mute = true;
	cp_dp_send(client, DP_MSG_LEG_SET, &set, on_answer, NULL);
	LOOP_UNTIL(base, dp.n == 1, 20000);
	fake_hangup(&dp);
	LOOP_UNTIL(base, downs == 1, 20000);
	CU_ASSERT_EQUAL(downs, 1);
	CU_ASSERT_EQUAL(gone, 1);
	CU_ASSERT_FALSE(cp_dp_up(client));
	CU_ASSERT_PTR_NULL(cp_dp_page(client));
	dp.mute = false;
	LOOP_UNTIL(base, ups == 2, 20000);
	CU_ASSERT_EQUAL(ups, 2);
	CU_ASSERT_EQUAL(fresh_ups, 1); /* the same dataplane: it still has what we set */
	/* another boot has nothing of us */
	fake_stop(&dp);
	fake_start(&dp, base, dir);
	LOOP_UNTIL(base, ups == 3, 20000);
	CU_ASSERT_EQUAL(ups, 3);
	CU_ASSERT_EQUAL(fresh_ups, 2);
	end();
}

static void test_other_configuration_is_refused(void)
{
	begin(2);
	LOOP_UNTIL(base, ups > 0, 600);
	CU_ASSERT_EQUAL(ups, 0);
	end();
}

static void test_events(void)
{
	struct dp_leg_aged a = {.leg_id = 77};
	struct dp_leg_event l = {.leg_id = 78, .kind = DP_LEG_MOVED};
	struct dp_mgcp_done d = {.code = 200};
	struct dp_mgcp_event e = {.endpoint = "aaln/1"};

	begin(3);
	LOOP_UNTIL(base, ups == 1, 20000);
	fake_send(&dp, &a, DP_MSG_LEG_AGED, sizeof(a), 0);
	fake_send(&dp, &l, DP_MSG_LEG_EVENT, sizeof(l), 0);
	fake_send(&dp, &d, DP_MSG_MGCP_DONE, sizeof(d), 0);
	fake_send(&dp, &e, DP_MSG_MGCP_EVENT, sizeof(e), 0);
	LOOP_UNTIL(base, events == 1, 20000);
	CU_ASSERT_EQUAL(aged, 1);
	CU_ASSERT_EQUAL(leg_events, 1);
	CU_ASSERT_EQUAL(dones, 1);
	CU_ASSERT_EQUAL(events, 1);
	end();
}

static void test_bad_messages_change_nothing(void)
{
	static const uint16_t types[] = {DP_MSG_REPLY, DP_MSG_HELLO_REPLY, DP_MSG_LEG_AGED, DP_MSG_MGCP_DONE,
					 DP_MSG_MGCP_EVENT, DP_MSG_SA_EVENT, DP_MSG_LEG_SET, 0, 9999};
	struct dp_mgcp_event e = {.hdr = {DP_MSG_MGCP_EVENT, sizeof(e), 0}};
	struct dp_mgcp_done d = {.hdr = {DP_MSG_MGCP_DONE, sizeof(d), 0}};

	begin(3);
	LOOP_UNTIL(base, ups == 1, 20000);
	for (unsigned t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
		uint16_t size = dp_msg_size(types[t]) != 0 ? dp_msg_size(types[t]) : 64;

		for (uint16_t cut = 1; cut < size; cut++) { /* every truncation, on exact heap copies */
			uint8_t *p = calloc(1, cut);
			struct dp_msg_hdr hdr = {types[t], size, 0};

			memcpy(p, &hdr, cut < sizeof(hdr) ? cut : sizeof(hdr));
			CU_ASSERT_FATAL(cp_dp_input(client, p, cut) > 0);
			free(p);
		}
	}
	memset(e.endpoint, 'a', sizeof(e.endpoint)); /* no end of text */
	CU_ASSERT_EQUAL(cp_dp_input(client, (uint8_t *)&e, sizeof(e)), 1);
	memset(d.endpoint, 'a', sizeof(d.endpoint));
	CU_ASSERT_EQUAL(cp_dp_input(client, (uint8_t *)&d, sizeof(d)), 1);
	CU_ASSERT_EQUAL(aged + leg_events + dones + events + answers, 0);
	CU_ASSERT_TRUE(cp_dp_up(client));
	end();
}

static int setup(void)
{
	return mkdtemp(dir) == NULL;
}

static int teardown(void)
{
	return rmdir(dir);
}

static CU_TestInfo tests[] = {
	{"answers find their commands", test_answers_find_their_commands},
	{"loss is told and mended", test_loss_is_told_and_mended},
	{"another configuration is refused", test_other_configuration_is_refused},
	{"events", test_events},
	{"bad messages change nothing", test_bad_messages_change_nothing},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("dpclient", tests, setup, teardown)
