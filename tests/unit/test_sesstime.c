/* SPDX-License-Identifier: BSD-3-Clause */
/* A session's keep-alives: silence, what the link answers by itself, and who is gone when. */
#include "session_fix.h"

static void test_keepalive_timeout(void)
{
	static struct wire w1, w2;
	struct cp_phone *p1, *p2;

	fresh(CP_DEVICE_NONSECURE);
	p1 = registered_phone(&w1, 17);
	p2 = connect_phone(&w2, false, false, NULL);
	say_register(p2, "SEP000000000002", 17);
	for (int i = 0; i < 10; i++) { /* p1 keeps alive, p2 falls silent */
		now_ms += 30000;
		say_words(p1, 17, CP_SCCP_KEEPALIVE, 0, 0, 0, 0);
		cp_sccp_tick(sccp);
		CU_ASSERT_FALSE(w1.closed);
		CU_ASSERT_EQUAL(w2.closed, i >= 2); /* 2.5 intervals: gone at the third */
	}
	CU_ASSERT(cp_sccp_find(sccp, NAME) == p1 && cp_sccp_find(sccp, "SEP000000000002") == NULL);
	CU_ASSERT_EQUAL(cp_sccp_stats(sccp)->timeouts, 1);
	now_ms += 74999;
	cp_sccp_tick(sccp);
	CU_ASSERT_FALSE(w1.closed);
	now_ms++;
	cp_sccp_tick(sccp);
	CU_ASSERT_TRUE(w1.closed);
	CU_ASSERT_PTR_NOT_NULL(strstr(events, "gone:2 gone:2 "));
	cp_session_closed(p1, CP_GONE_CLOSED);
	cp_session_closed(p2, CP_GONE_CLOSED);
}

static json_int_t heard_s(void)
{
	json_t *list = cp_sccp_show_registrations(sccp);
	json_int_t s = json_integer_value(json_object_get(json_array_get(list, 0), "heard_s"));

	CU_ASSERT_EQUAL(json_array_size(list), 1);
	json_decref(list);
	return s;
}

/* The link answers its keep-alives, and nothing else comes: it is alive all the same, and gone as soon as that ends. */
static void test_answered_by_the_link(void)
{
	static struct wire w;
	struct cp_phone *p;

	fresh(CP_DEVICE_NONSECURE);
	p = registered_phone(&w, 17);
	CU_ASSERT_TRUE(w.here);
	for (int i = 0; i < 10; i++) {
		now_ms += 30000;
		w.answered_ms = now_ms - 1000;
		cp_sccp_tick(sccp);
		CU_ASSERT_FALSE(w.closed);
		CU_ASSERT_EQUAL(heard_s(), 1);
	}
	now_ms = w.answered_ms + 74999;
	cp_sccp_tick(sccp);
	CU_ASSERT_FALSE(w.closed);
	CU_ASSERT_TRUE(w.here);
	now_ms++;
	cp_sccp_tick(sccp);
	CU_ASSERT_TRUE(w.closed);
	CU_ASSERT_FALSE(w.here);
	CU_ASSERT_EQUAL(cp_sccp_stats(sccp)->timeouts, 1);
	cp_session_closed(p, CP_GONE_CLOSED);
	/* Unregistered: whatever it says is call control's again. */
	p = registered_phone(&w, 17);
	CU_ASSERT_TRUE(w.here);
	say(p, 17, CP_SCCP_UNREGISTER, "\0\0\0", 4);
	CU_ASSERT_FALSE(w.here);
	cp_session_closed(p, CP_GONE_CLOSED);
	/* It registers again on its connection, and what was answered before that is older than that. */
	p = registered_phone(&w, 17);
	w.answered_ms = now_ms;
	now_ms += 60000;
	say_register(p, NAME, 17);
	CU_ASSERT_TRUE(w.here);
	now_ms += 74999;
	cp_sccp_tick(sccp);
	CU_ASSERT_FALSE(w.closed);
	now_ms++;
	cp_sccp_tick(sccp);
	CU_ASSERT_TRUE(w.closed);
	cp_session_closed(p, CP_GONE_CLOSED);
}

/* Phones that say something now and then, or only to their link, for limits below and above what the timer goes round in. */
static void test_silence_at_random(void)
{
	static const uint16_t limits[][2] = {{30, 45}, {5, 1}, {200, 60}, {3600, 3600}};
	static struct wire w[3];
	struct cp_phone *p[3] = {NULL};
	uint64_t last[3] = {0};
	unsigned gone = 0, stayed = 0;

	srandom(41);
	for (unsigned l = 0; l < 4; l++) {
		uint64_t limit;

		fresh(CP_DEVICE_NONSECURE);
		strcpy(devices[2].name, "SEP000000000003");
		devices[2].mode = CP_DEVICE_NONSECURE;
		sccp->o.keepalive_s = limits[l][0];
		sccp->o.grace_s = limits[l][1];
		limit = ((uint64_t)limits[l][0] + limits[l][1]) * 1000;
		for (int step = 0; step < 4000; step++) {
			int i = (int)(random() % 3);

			now_ms += (uint64_t)random() % (step % 50 == 0 ? 2 * limit : limit / 4);
			if (p[i] == NULL) {
				p[i] = connect_phone(&w[i], false, false, NULL);
				say_register(p[i], devices[i].name, 17);
				last[i] = now_ms;
			} else if (random() % 2 == 0) {
				say_words(p[i], 17, CP_SCCP_KEEPALIVE, 0, 0, 0, 0);
				last[i] = now_ms;
			} else {
				w[i].answered_ms = last[i] = now_ms;
			}
			if (random() % 4 == 0)
				now_ms += limit - 1 - (uint64_t)random() % 3; /* to either side of the end of one */
			cp_sccp_tick(sccp);
			for (i = 0; i < 3; i++) {
				if (p[i] == NULL)
					continue;
				CU_ASSERT_EQUAL(w[i].closed, last[i] + limit <= now_ms);
				w[i].len = 0;
				stayed += !w[i].closed;
				if (!w[i].closed)
					continue;
				cp_session_closed(p[i], CP_GONE_CLOSED);
				p[i] = NULL;
				gone++;
				events[0] = '\0';
			}
		}
		for (int i = 0; i < 3; i++)
			if (p[i] != NULL)
				cp_session_closed(p[i], CP_GONE_CLOSED);
		memset(p, 0, sizeof(p));
	}
	CU_ASSERT(gone > 1000 && stayed > 1000);
}

static CU_TestInfo tests[] = {
	{"keep-alive timeout", test_keepalive_timeout},
	{"keep-alives that the link answers", test_answered_by_the_link},
	{"silence, to the millisecond", test_silence_at_random},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("sesstime", tests, NULL, teardown)
