/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The drill of rolled certificates with phones that really ask: an ITL signed with the TFTP key of the day, CallManager, TVS, TFTP and
 * CAPF rolled in each of the 24 orders, and each phone that meets a signer it does not know opens a TLS connection to the appliance's own
 * TVS and asks (002:P2-04, P2-05, P2-12, P2-13, P2-17). Half of the phones come rarely: each of them comes only once between TVS's roll and
 * TFTP's, and at the end. At the end all hold the new ITL. Where nobody answers they are stranded, and so are those that slept through
 * both rolls. 480 phones, 20 an order; 10,000 with RAVELIN_FULL.
 */
#include <signal.h>

#include "suite.h"
#include "tvs_live.h"

#define ORDERS 24

static struct tp_pool *pool;

static unsigned phones_of(unsigned order)
{
	return getenv("RAVELIN_FULL") != NULL ? 416 + (order < 16) : 20; /* 10,000 in all */
}

static void order_of(unsigned k, const enum cp_tm_ident *of, enum cp_tm_ident ret[4])
{
	enum cp_tm_ident left[4];
	unsigned n = 4, div = 6;

	memcpy(left, of, sizeof(left));
	for (unsigned i = 0; i < 4; i++) {
		unsigned at = k / div;

		k %= div;
		div = i < 2 ? div / (3 - i) : 1;
		ret[i] = left[at];
		memmove(left + at, left + at + 1, (--n - at) * sizeof(left[0]));
	}
}

struct tally {
	unsigned phones, trusting, stranded, conns, asked, valid;
	unsigned served; /* by the server's own count */
};

/* One order: 'live' whether anybody answers at TVS's port, 'asleep' whether all sleep from the first roll of TVS or TFTP to the end. */
static void one_order(unsigned k, unsigned phones, bool live, bool asleep, struct tally *t)
{
	static const enum cp_tm_ident all[4] = {CP_TM_CALLMANAGER, CP_TM_TVS, CP_TM_TFTP, CP_TM_CAPF};
	struct drill *d = drill_create(CP_TM_WITH_TFTP, false);
	struct tp_phone *phone = calloc(phones, sizeof(*phone));
	enum cp_tm_ident order[4];
	unsigned needed = 0, first = 0, ok = 0;
	struct tvs_live l;
	struct tvs_asker a;
	struct cp_tvs_stats st;
	struct tp_offer o;

	order_of(k, all, order);
	for (unsigned r = 4; r-- > 0;) {
		first = order[r] == CP_TM_TVS || order[r] == CP_TM_TFTP ? r : first;
		needed = needed == 0 && (order[r] == CP_TM_TVS || order[r] == CP_TM_TFTP) ? r : needed;
	} /* the second of the two is rolled after round 'needed' - 1 */
	tvs_live_open(&l, d);
	tvs_asker_init(&a, l.port);
	tvs_live_go(&l);
	drill_offer(d, pool, PKI_CLASS_MODERN, &o);
	for (unsigned i = 0; i < phones; i++)
		CU_ASSERT(tvs_asker_boots(&a, pool, &phone[i], i, &o));
	CU_ASSERT_EQUAL(a.conns, 0); /* the first lists are taken unseen */
	tvs_live_pause(&l);
	if (!live) { /* the port is closed: connections are refused */
		cp_net_destroy(l.net);
		l.net = NULL;
	}
	for (unsigned r = 0; r < 4; r++) {
		struct cp_tm_step s = {.op = CP_TM_REGEN, .ident = (int)order[r]};

		CU_ASSERT(drill_do(d, &s));
		tvs_live_now(&l);
		tvs_live_go(&l);
		drill_offer(d, pool, PKI_CLASS_MODERN, &o);
		for (unsigned i = 0; i < phones; i++) {
			bool comes = r == 3 || (asleep ? r < first : i % 2 == 0 || r + 1 == needed || (i * 2654435761u >> (20 + r) & 1) != 0);
			bool fine = comes && tvs_asker_boots(&a, pool, &phone[i], i, &o);

			ok += r == 3 && fine;
			CU_ASSERT(!comes || fine || !live || asleep);
		}
		tvs_live_pause(&l);
	}
	/* trusting: it settled, and what it holds is what is served */
	for (unsigned i = 0; i < phones; i++)
		t->trusting += phone[i].itl == o.itl;
	t->phones += phones;
	t->stranded += phones - ok;
	t->conns += a.conns;
	t->asked += a.asked;
	t->valid += a.valid;
	cp_tvs_stats(l.tvs, &st);
	t->served += (unsigned)(st.query + st.verify);
	CU_ASSERT_EQUAL(st.malformed, 0);
	tvs_live_close(&l);
	free(phone);
	drill_destroy(d);
}

static void test_asked(void)
{
	struct tally t = {0};

	for (unsigned k = 0; k < ORDERS; k++)
		one_order(k, phones_of(k), true, false, &t);
	printf("\n    %u phones in 24 orders, %u connections, %u questions, %u answered \"valid\", %u stranded ", t.phones, t.conns, t.asked,
	       t.valid, t.stranded);
	CU_ASSERT_EQUAL(t.stranded, 0);
	CU_ASSERT_EQUAL(t.trusting, t.phones);
	CU_ASSERT(t.conns >= t.phones); /* each met one stranger at least: TFTP's new key under an ITL */
	CU_ASSERT_EQUAL(t.served, t.asked);
}

static void test_nobody_answers(void)
{
	struct tally t = {0};

	for (unsigned k = 0; k < ORDERS; k++)
		one_order(k, 2, false, false, &t);
	CU_ASSERT_EQUAL(t.stranded, t.phones);
	CU_ASSERT_EQUAL(t.trusting, 0);
	CU_ASSERT_EQUAL(t.served, 0);
}

static void test_both_slept_through(void)
{
	struct tally t = {0};

	for (unsigned k = 0; k < ORDERS; k++)
		one_order(k, 2, true, true, &t);
	CU_ASSERT_EQUAL(t.stranded, t.phones); /* the server at TVS's address is a stranger too: never both */
	CU_ASSERT_EQUAL(t.trusting, 0);
}

static void test_orders_are_all(void)
{
	static const enum cp_tm_ident all[4] = {CP_TM_CALLMANAGER, CP_TM_TVS, CP_TM_TFTP, CP_TM_CAPF};
	unsigned seen[ORDERS];

	for (unsigned k = 0; k < ORDERS; k++) {
		enum cp_tm_ident o[4];

		order_of(k, all, o);
		seen[k] = (unsigned)o[0] << 12 | (unsigned)o[1] << 8 | (unsigned)o[2] << 4 | (unsigned)o[3];
		for (unsigned i = 0; i < 4; i++)
			for (unsigned j = 0; j < i; j++)
				CU_ASSERT(o[i] != o[j]);
		for (unsigned j = 0; j < k; j++)
			CU_ASSERT(seen[j] != seen[k]);
	}
}

static int init(void)
{
	signal(SIGPIPE, SIG_IGN);
	pool = tp_pool_create();
	return pool == NULL;
}

static int fini(void)
{
	tp_pool_destroy(pool);
	fix_keys_free();
	return 0;
}

static CU_TestInfo tests[] = {
	{"24 orders are 24", test_orders_are_all},
	{"who asks trusts the new ITL, in every order", test_asked},
	{"nobody answers: all are stranded", test_nobody_answers},
	{"TVS and TFTP both slept through: TVS is a stranger too", test_both_slept_through},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("TVS drill", tests, init, fini)
