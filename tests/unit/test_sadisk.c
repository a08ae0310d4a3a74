/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IKE's SAs on a full disk: no number is sent that is not kept as spent first, whatever comes while nothing can be kept, and none twice
 * after a restart; they work once there is room.
 */
#include "ike_fix.h"

#define OUT 0xaaaa

static uint64_t limit, top; /* of the outbound SA: what the dataplane may send to, and has sent to */
static unsigned grants;

static int disk_hook(struct fake_dp *f, const union fake_msg *m)
{
	int rc = ike_hook(f, m);

	if (rc < 0)
		return rc;
	if (m->hdr.type == DP_MSG_SA_SET && m->sa.spi == OUT) {
		CU_ASSERT_FATAL(m->sa.seq_floor >= top || limit == m->sa.seq_limit); /* new there, or what it is */
		limit = m->sa.seq_limit;
	} else if (m->hdr.type == DP_MSG_SA_GRANT) {
		CU_ASSERT_FATAL(m->grant.seq_limit <= on_disk("sa-seq:ike:"));
		limit = m->grant.seq_limit;
		grants++;
	}
	return 0;
}

static void want(void)
{
	const struct dp_sa_set *s = set_of(OUT);
	struct dp_sa_event ev = {.spi = OUT, .kind = DP_SA_WANT_GRANT, .seq = top};

	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	ev.sa_id = s->sa_id;
	fake_send(&w.fake, &ev, DP_MSG_SA_EVENT, sizeof(ev), 0);
}

static void some_turns(void)
{
	for (int i = 0; i < 50; i++)
		spin();
}

/* charon installs a pair while nothing can be kept: it sends nothing. */
static void test_installed_on_a_full_disk(void)
{
	begin_ike();
	w.fake.hook = disk_hook;
	limit = top = grants = 0;
	store_break(true);
	child_up(OUT, 1, true);
	some_turns();
	CU_ASSERT_PTR_NULL(set_of(OUT));
	CU_ASSERT_FALSE(cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	CU_ASSERT_EQUAL(on_disk("sa-seq:ike:"), 0);
	store_break(false);
	UNTIL(set_of(OUT) != NULL); /* by itself */
	UNTIL(cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	CU_ASSERT(limit > 0 && limit <= on_disk("sa-seq:ike:"));
	end_ike();
}

/* The disk is full when a block of numbers ends: no more are granted, and after a restart of both none comes again. */
static void test_granted_on_a_full_disk(void)
{
	uint64_t first, kept;
	uint32_t in;

	begin_ike();
	w.fake.hook = disk_hook;
	limit = top = grants = 0;
	in = child_up(OUT, 1, true);
	UNTIL(set_of(OUT) != NULL);
	rest();
	first = limit;
	top = first - 1000;
	store_break(true);
	want();
	some_turns();
	want();
	some_turns();
	CU_ASSERT_EQUAL(grants, 0);
	CU_ASSERT_EQUAL(limit, first);
	CU_ASSERT_EQUAL(kept = on_disk("sa-seq:ike:"), first);
	top = first; /* all of them */
	store_break(false);
	STEP_UNTIL(grants > 0, (want(), some_turns()));
	CU_ASSERT(limit > first && limit <= on_disk("sa-seq:ike:"));
	top = limit;
	/* full again, and both die: what is on the disk is what was spent */
	store_break(true);
	want();
	some_turns();
	CU_ASSERT_EQUAL(grants, 1);
	CU_ASSERT(on_disk("sa-seq:ike:") == limit && limit > kept);
	store_break(false);
	restart(true);
	replay(in, OUT, true);
	hear(in, false); /* what is gone from the dataplane charon makes anew */
	CU_ASSERT_PTR_NULL(set_of(OUT));
	/* even if its key came again, its numbers would not */
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_DELSA, false, OUT), 0);
	CU_ASSERT_EQUAL(sa_new(false, OUT, 2), 0);
	CU_ASSERT_EQUAL(policy(XFRM_MSG_UPDPOLICY, false, OUT, NULL), 0);
	UNTIL(set_of(OUT) != NULL);
	CU_ASSERT(set_of(OUT)->seq_floor >= top && limit > top);
	end_ike();
}

static CU_TestInfo tests[] = {
	{"installed on a full disk", test_installed_on_a_full_disk},
	{"granted on a full disk", test_granted_on_a_full_disk},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	cfg_log_init("t", CFG_LOG_KV, CFG_LOG_ERR);
	return 0;
}

#include "suite.h"
SUITE_MAIN("sadisk", tests, setup, NULL)
