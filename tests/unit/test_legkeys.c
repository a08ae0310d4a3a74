/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys of legs by message, through main lcore and worker, to packets (objs_set.c, keys.c, due.c): several of a direction, MKI,
 * overlap and its end, what is reserved in the counter page, events.
 */
#include "dp_harness.h"

#include "dp_suite.h"
#include "due.h"
#include "srtp_ref.h"

static uint32_t a, b; /* a: SRTP, b: plain */

static struct dp_leg_key key_msg(uint8_t dir, uint8_t suite, uint8_t n, uint8_t flags)
{
	struct dp_leg_key m = {.leg_id = a, .suite = suite, .dir = dir, .flags = flags};
	const struct dp_suite *s = dp_suite(suite);

	memset(m.key, n, s->key_len);
	memset(m.salt, n + 1, s->salt_len);
	return m;
}

static int send_key(struct dp_leg_key m)
{
	int rc = msg(&m, DP_MSG_LEG_KEY, sizeof(m));

	rounds(1);
	return rc;
}

static struct ref ref_n(uint8_t suite, uint8_t n)
{
	uint8_t key[32], salt[14];
	struct ref ref;

	memset(key, n, sizeof(key));
	memset(salt, n + 1, sizeof(salt));
	ref_suite(&ref, suite, key, salt);
	return ref;
}

static void legs_up(uint8_t suite)
{
	uint16_t port = BASE + 40;

	a = leg(0, port, DP_LEG_ID(1, port, BASE), "10.0.0.2", 4000, suite, suite, DP_LATCH_AUTH, 0);
	b = leg(1, port, a, "10.1.0.3", 5000, 0, 0, DP_LATCH_ADDRESS, 0);
	rounds(1);
	host_speaks(0, "10.0.0.2");
	host_speaks(1, "10.1.0.3");
	drain_tx();
}

static void legs_down(void)
{
	CU_ASSERT_EQUAL(del(a), 0);
	CU_ASSERT_EQUAL(del(b), 0);
	rounds(3);
	assert_accounts();
}

/* A packet of the SRTP party's; does it come out at the plain one's? */
static bool in(struct ref *ref, uint64_t index)
{
	uint8_t p[400];
	struct out o;
	size_t len = ref_protect(ref, p, rtp(p, (uint16_t)index, 7, 40), 12, index);

	send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", BASE + 40, p, (uint16_t)len);
	rounds(2);
	return next_out(&o) && o.port == 1;
}

/* And the other way: is it the reference's of this index? */
static bool out(struct ref *ref, uint64_t index)
{
	uint8_t p[400], want[400];
	struct out o;
	struct dp_frame f;
	uint16_t len = rtp(p, (uint16_t)index, 9, 40);
	size_t n;

	memcpy(want, p, len);
	n = ref_protect(ref, want, len, 12, index);
	send_udp(1, 0, "10.1.0.3", 5000, "10.1.0.1", BASE + 40, p, len);
	rounds(2);
	return next_out(&o) && o.port == 0 && dp_parse_frame(o.data, o.len, &f) == DP_OK && f.payload_len == n &&
	       memcmp(o.data + f.payload_off, want, n) == 0;
}

static const struct dp_page_leg *page(void)
{
	return &dp_page_legs(node.page)[a];
}

/* Rounds until leg a has one key only: what overlaps comes back when its time is over, and no machine is that slow. */
static bool one_key(void)
{
	uint64_t end = rte_rdtsc() + 30 * node.hz;

	while (dp_leg_find(&node.legs, a)->rx.key->next != NULL && rte_rdtsc() < end)
		rounds(1);
	return dp_leg_find(&node.legs, a)->rx.key->next == NULL;
}

static void test_every_suite(void)
{
	for (uint8_t suite = 1; suite < DP_SRTP_SUITE_MAX; suite++) {
		struct ref rx = ref_n(suite, 1), tx = ref_n(suite, 2);

		legs_up(suite);
		CU_ASSERT_EQUAL(send_key(key_msg(DP_DIR_RECV, suite, 1, 0)), 0);
		CU_ASSERT_EQUAL(send_key(key_msg(DP_DIR_SEND, suite, 2, 0)), 0);
		for (uint64_t i = 65530; i < 65545; i++)
			CU_ASSERT(in(&rx, i) && out(&tx, i));
		CU_ASSERT_FALSE(in(&rx, 65540));
		legs_down();
	}
	CU_ASSERT_EQUAL(dp_srtp_slab_used(node.slab), 0); /* wiped and given back */
}

static void test_overlap(void)
{
	for (int keep = 0; keep < 2; keep++) {
		struct ref old = ref_n(1, 1), new = ref_n(1, 3);
		struct dp_leg_key m = key_msg(DP_DIR_RECV, 1, 3, keep ? DP_KEY_F_KEEP_ROC : 0);

		legs_up(1);
		CU_ASSERT_EQUAL(send_key(key_msg(DP_DIR_RECV, 1, 1, 0)), 0);
		CU_ASSERT_TRUE(in(&old, 100));
		m.overlap_ms = 2000;
		CU_ASSERT_EQUAL(send_key(m), 0);
		CU_ASSERT_TRUE(in(&new, 102));
		CU_ASSERT_TRUE(in(&old, 101));
		CU_ASSERT_FALSE(in(&old, 101));
		CU_ASSERT_PTR_NOT_NULL(dp_leg_find(&node.legs, a)->rx.key->next);
		CU_ASSERT_TRUE(one_key());
		CU_ASSERT_FALSE(in(&old, 103)); /* its time is over */
		CU_ASSERT_TRUE(in(&new, 104));
		legs_down();
	}
}

static void test_mki(void)
{
	struct ref ref[2] = {ref_n(8, 1), ref_n(8, 3)};
	struct dp_key_del del_msg = {.dir = DP_DIR_RECV, .mki_len = 3};

	legs_up(8);
	for (uint8_t k = 0; k < 2; k++) {
		struct dp_leg_key m = key_msg(DP_DIR_RECV, 8, k ? 3 : 1, k ? DP_KEY_F_ADD : 0);

		m.mki_len = 3;
		m.mki[0] = (uint8_t)(k + 1);
		ref[k].mki_len = 3;
		memcpy(ref[k].mki, m.mki, 3);
		CU_ASSERT_EQUAL(send_key(m), 0);
	}
	CU_ASSERT(in(&ref[0], 10) && in(&ref[1], 11) && in(&ref[1], 13) && in(&ref[0], 12));
	CU_ASSERT_FALSE(in(&ref[0], 11));
	del_msg.leg_id = a;
	del_msg.mki[0] = 1;
	CU_ASSERT_EQUAL(msg(&del_msg, DP_MSG_KEY_DEL, sizeof(del_msg)), 0);
	uint64_t none = drops(DP_DROP_NO_KEY);
	CU_ASSERT_FALSE(in(&ref[0], 14));
	CU_ASSERT_EQUAL(drops(DP_DROP_NO_KEY), none + 1);
	CU_ASSERT_FALSE(in(&ref[1], 13));
	CU_ASSERT_TRUE(in(&ref[1], 15));
	dp_objs_tick(objs);
	del_msg.leg_id = DP_LEG_ID(0, BASE + 900, BASE);
	CU_ASSERT_EQUAL(msg(&del_msg, DP_MSG_KEY_DEL, sizeof(del_msg)), -ENOENT);
	legs_down();
}

/* What a restart goes on from: reserved under the keys in use, whatever came before them. */
static void test_reserved(void)
{
	struct ref x = ref_n(1, 2), y = ref_n(1, 4), z = ref_n(1, 6);
	struct dp_leg_key m;

	legs_up(1);
	CU_ASSERT_EQUAL(send_key(key_msg(DP_DIR_SEND, 1, 2, 0)), 0);
	CU_ASSERT_TRUE(out(&x, 1000));
	CU_ASSERT_EQUAL(page()->tx_reserved, 1000 + DP_TX_RESERVE);
	CU_ASSERT_EQUAL(send_key(key_msg(DP_DIR_SEND, 1, 2, 0)), 0); /* again */
	CU_ASSERT_EQUAL(page()->tx_reserved, 1000 + DP_TX_RESERVE);
	CU_ASSERT_EQUAL(send_key(key_msg(DP_DIR_SEND, 1, 4, DP_KEY_F_KEEP_ROC)), 0);
	CU_ASSERT_EQUAL(page()->tx_reserved, 1000 + DP_TX_RESERVE); /* indices go on */
	CU_ASSERT_TRUE(out(&y, 1001));
	m = key_msg(DP_DIR_SEND, 1, 6, DP_KEY_F_ADD | DP_KEY_F_STANDBY);
	m.from = 1100;
	m.to = 60000;
	CU_ASSERT_EQUAL(send_key(m), 0);
	CU_ASSERT_TRUE(out(&y, 1099));
	CU_ASSERT_TRUE(out(&z, 1100));
	CU_ASSERT_TRUE(out(&z, 1101));
	CU_ASSERT(page()->tx_reserved >= 1101);
	m = key_msg(DP_DIR_SEND, 1, 8, 0);
	m.index_floor = 77;
	CU_ASSERT_EQUAL(send_key(m), 0); /* a new key with streams of its own: its floor */
	CU_ASSERT_EQUAL(page()->tx_reserved, 77);
	legs_down();
}

static void test_events(void)
{
	struct ref x = ref_n(1, 2), r = ref_n(1, 1);
	struct dp_leg_key m = key_msg(DP_DIR_SEND, 1, 2, 0);
	struct dp_leg_set set = {.flags = DP_LEG_F_RECV | DP_LEG_F_SEND, .rx_suite = 1, .tx_suite = 1, .latch = DP_LATCH_AUTH,
				 .ssrc_max = 1, .session = 4711};
	uint8_t p[400];

	legs_up(1);
	m.lifetime = 4;
	CU_ASSERT_EQUAL(send_key(m), 0);
	leg_event_cnt = 0;
	for (uint64_t i = 1; i < 8; i++) {
		uint64_t limit = drops(DP_DROP_KEY_LIMIT);

		CU_ASSERT_EQUAL(out(&x, i), i <= 4);
		CU_ASSERT_EQUAL(drops(DP_DROP_KEY_LIMIT), limit + (i > 4));
		CU_ASSERT_EQUAL(leg_event_cnt, i < 2 ? 0 : i < 4 ? 1 : 2);
	}
	CU_ASSERT(last_leg_event.kind == DP_LEG_KEY_EXPIRED && last_leg_event.leg_id == a && last_leg_event.dir == DP_DIR_SEND &&
		  last_leg_event.index == 4 && last_leg_event.ssrc == 9);
	/* one SSRC only, by LEG_SET, whether the key was there before or not */
	CU_ASSERT_EQUAL(send_key(key_msg(DP_DIR_RECV, 1, 1, 0)), 0);
	set.leg_id = a;
	set.peer_id = b;
	ip_of("10.0.0.2", &set.remote, 4000);
	CU_ASSERT_EQUAL(msg(&set, DP_MSG_LEG_SET, sizeof(set)), 0);
	CU_ASSERT_TRUE(in(&r, 1));
	leg_event_cnt = 0;
	for (int i = 0; i < 3; i++) {
		uint64_t none = drops(DP_DROP_NO_STREAM);
		size_t len = ref_protect(&r, p, rtp(p, (uint16_t)(5 + i), 8, 40), 12, 5 + (uint64_t)i);

		send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", BASE + 40, p, (uint16_t)len);
		rounds(2);
		CU_ASSERT_EQUAL(drops(DP_DROP_NO_STREAM), none + 1);
	}
	CU_ASSERT_EQUAL(leg_event_cnt, 1);
	CU_ASSERT(last_leg_event.kind == DP_LEG_SSRC_LIMIT && last_leg_event.ssrc == 8 && last_leg_event.dir == DP_DIR_RECV &&
		  last_leg_event.session == 4711);
	CU_ASSERT_EQUAL(send_key(key_msg(DP_DIR_RECV, 1, 3, 0)), 0);
	CU_ASSERT_EQUAL(dp_leg_find(&node.legs, a)->rx.key->ssrc_max, 1);
	legs_down();
}

/* Keys that are used up are asked for again later; those that overlap come back. */
static void test_out_of_keys(void)
{
	struct dp_leg_key m;
	unsigned int n = 0;
	int rc = 0;

	legs_up(1);
	for (; n < 100000 && rc == 0; n++) {
		m = key_msg(DP_DIR_RECV, 1, 1, 0);
		memcpy(m.key, &n, sizeof(n));
		m.overlap_ms = 2000;
		rc = send_key(m);
	}
	CU_ASSERT_EQUAL(rc, -EAGAIN);
	CU_ASSERT(n >= DP_OBJS_KEY_SPARE);
	CU_ASSERT_TRUE(one_key());
	m.overlap_ms = 1;
	CU_ASSERT_EQUAL(send_key(m), 0);
	CU_ASSERT_TRUE(one_key());
	legs_down();
}

static void test_due(void)
{
	enum { N = 500 };
	struct dp_due *due = dp_due_create(N);
	uint64_t r = 9, when[N], last = 0;
	uint32_t id, got = 0;

	CU_ASSERT_FALSE(dp_due_first(due, UINT64_MAX, &id));
	dp_due_drop(due);
	for (uint32_t i = 0; i < N; i++) {
		when[i] = rnd(&r) % 300;
		CU_ASSERT_TRUE(dp_due_add(due, when[i], i));
	}
	CU_ASSERT_FALSE(dp_due_add(due, 0, 0));
	for (uint64_t ms = 0; ms <= 301; ms += 7)
		while (dp_due_first(due, ms, &id)) {
			CU_ASSERT(when[id] >= last && when[id] <= ms);
			last = when[id];
			when[id] = 0;
			dp_due_drop(due);
			got++;
		}
	CU_ASSERT_EQUAL(got, N);
	dp_due_destroy(due);
	dp_due_destroy(NULL);
}

static void test_stop(void)
{
	CU_ASSERT_EQUAL(harness_down(), 0);
}

static CU_TestInfo tests[] = {
	{"every suite, set by message", test_every_suite},
	{"a replaced key overlaps, and ends", test_overlap},
	{"keys beside each other by MKI, ended by MKI", test_mki},
	{"what is reserved, when keys change", test_reserved},
	{"events: lifetimes, SSRCs", test_events},
	{"more keys than there are", test_out_of_keys},
	{"what falls due comes in order", test_due},
	{"all buffers come back at stop", test_stop},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("legkeys", tests, harness_up, NULL)
