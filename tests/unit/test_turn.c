/* SPDX-License-Identifier: BSD-3-Clause */
/* One change of what phones trust at a time: turns, and the trust lists in theirs. */
#include "suite.h"

#include "lists_fix.h"

static struct fx f;

static int up(void)
{
	return 0;
}

static int down(void)
{
	for (unsigned i = 0; i < 4; i++)
		EVP_PKEY_free(fx_keys[i]);
	return 0;
}

#define MIXED ((struct cp_ctl_change){.set_mode = true, .mode = CP_CLUSTER_MIXED})

/* --- turns --- */

static struct cp_turn_wait w[4];
static struct cp_turn *turn;
static char order[32];

static void goes(void *ctx)
{
	unsigned i = (unsigned)((struct cp_turn_wait *)ctx - w);

	snprintf(order + strlen(order), sizeof(order) - strlen(order), "%u", i);
	if (i == 2) /* done at once */
		cp_turn_give(turn, &w[2]);
	if (i == 3) { /* done, and again behind all who wait */
		cp_turn_give(turn, &w[3]);
		if (strlen(order) < 8)
			cp_turn_take(turn, &w[3]);
	}
}

static void test_order(void)
{
	turn = cp_turn_create();
	CU_ASSERT_PTR_NOT_NULL_FATAL(turn);
	for (unsigned i = 0; i < 4; i++)
		w[i] = (struct cp_turn_wait){.go = goes, .ctx = &w[i]};
	order[0] = '\0';
	CU_ASSERT_TRUE(cp_turn_take(turn, &w[0]));
	CU_ASSERT_TRUE(cp_turn_take(turn, &w[0])); /* has it */
	CU_ASSERT_FALSE(cp_turn_take(turn, &w[1]));
	CU_ASSERT_FALSE(cp_turn_take(turn, &w[2]));
	CU_ASSERT_FALSE(cp_turn_take(turn, &w[1])); /* does not wait twice */
	cp_turn_give(turn, &w[3]); /* had nothing */
	CU_ASSERT_STRING_EQUAL(order, "");
	cp_turn_give(turn, &w[0]);
	CU_ASSERT_STRING_EQUAL(order, "1");
	CU_ASSERT_FALSE(cp_turn_take(turn, &w[0]));
	cp_turn_give(turn, &w[2]); /* waits no longer */
	CU_ASSERT_FALSE(cp_turn_take(turn, &w[2]));
	cp_turn_give(turn, &w[1]);
	CU_ASSERT_STRING_EQUAL(order, "10");
	cp_turn_give(turn, &w[0]); /* 2 gives back from inside */
	CU_ASSERT_STRING_EQUAL(order, "102");
	CU_ASSERT_TRUE(cp_turn_take(turn, &w[1])); /* nobody's now */
	CU_ASSERT_FALSE(cp_turn_take(turn, &w[3]));
	CU_ASSERT_FALSE(cp_turn_take(turn, &w[2]));
	cp_turn_give(turn, &w[1]); /* 3 asks again from inside: 2 is before it, and then it has it */
	CU_ASSERT_STRING_EQUAL(order, "102323");
	cp_turn_give(turn, &w[3]);
	CU_ASSERT_TRUE(cp_turn_take(NULL, &w[1])); /* nobody else changes anything */
	cp_turn_give(NULL, &w[1]);
	cp_turn_destroy(turn);
}

/* --- the lists --- */

static struct cp_turn_wait other;
static int other_went;

static void other_goes(void *ctx)
{
	(void)ctx;
	other_went++;
}

/* While a certificate is being changed no list is planned; while a list is signed no certificate is changed. */
static void test_turns(void)
{
	struct cp_ctl_change ch = MIXED;
	char why[200];

	fx_turn = cp_turn_create();
	fx_up(&f);
	other = (struct cp_turn_wait){.go = other_goes};
	other_went = 0;
	/* theirs: ours waits, however often the loop runs, and sees what they made */
	CU_ASSERT_TRUE(cp_turn_take(fx_turn, &other));
	ch.who = "tester";
	f.signs = 0;
	f.done = 0;
	CU_ASSERT_EQUAL(cp_lists_ctl_change(f.lists, &ch, -1, fx_done, &f, why, sizeof(why)), 0);
	for (int i = 0; i < 50; i++)
		event_base_loop(f.base, EVLOOP_NONBLOCK);
	CU_ASSERT_EQUAL(f.signs, 0);
	CU_ASSERT_TRUE(cp_lists_busy(f.lists));
	fx_regen(&f, "CallManager");
	cp_lists_cert_changed(f.lists, "CallManager");
	CU_ASSERT_EQUAL(f.signs, 0);
	cp_turn_give(fx_turn, &other);
	fx_settle(&f);
	CU_ASSERT_EQUAL(f.done, 1);
	CU_ASSERT_EQUAL(f.rc, 0);
	CU_ASSERT_EQUAL(cp_lists_mode(f.lists), CP_CLUSTER_MIXED);
	CU_ASSERT_TRUE(cp_ctl_lists(cp_lists_ctl(f.lists), fx_find(&f, "CallManager")->cert, PKI_TL_CCM));
	/* ours: theirs waits until it is in force */
	f.done = 0;
	CU_ASSERT_EQUAL(cp_lists_ctl_change(f.lists, &(struct cp_ctl_change){.who = "tester"}, -1, fx_done, &f, why, sizeof(why)), 0);
	CU_ASSERT_FALSE(cp_turn_take(fx_turn, &other));
	CU_ASSERT_FALSE(cp_turn_take(fx_turn, &other)); /* waits once */
	CU_ASSERT_EQUAL(other_went, 0);
	for (int i = 0; i < 5000 && other_went == 0; i++) {
		event_base_loop(f.base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	CU_ASSERT_EQUAL(other_went, 1);
	CU_ASSERT_EQUAL(f.done, 1);
	cp_turn_give(fx_turn, &other);
	fx_settle(&f);
	/* who waits no longer is not called */
	CU_ASSERT_TRUE(cp_turn_take(fx_turn, &other));
	f.done = 0;
	CU_ASSERT_EQUAL(cp_lists_ctl_change(f.lists, &(struct cp_ctl_change){.who = "tester"}, -1, fx_done, &f, why, sizeof(why)), 0);
	fx_close(&f); /* answers it */
	CU_ASSERT_EQUAL(f.done, 1);
	CU_ASSERT_EQUAL(f.rc, -ESHUTDOWN);
	cp_turn_give(fx_turn, &other);
	CU_ASSERT_EQUAL(fx_open(&f), 0);
	fx_down(&f);
	cp_turn_destroy(fx_turn);
	fx_turn = NULL;
}

static CU_TestInfo tests[] = {
	{"in the order they came", test_order},
	{"a list and a certificate, one after the other", test_turns},
	CU_TEST_INFO_NULL,
};
SUITE_MAIN("turn", tests, up, down)
