/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trust drills: phones with a state machine of their own boot from real lists while certificates are rolled, some of them
 * away in between. The ledger hears what they fetch, taken or refused, and nothing else, and must know what they hold. At every change
 * the number that cp_ledger_allow() gives is compared with what is seen when the change is made on a copy of the cluster and every phone
 * boots from it for good. 100 phones; 10,000 with RAVELIN_FULL=1, or RAVELIN_DRILL_PHONES. RAVELIN_SEED repeats a random drill,
 * RAVELIN_DRILLS says how many, and leaves the rest out.
 * 002:P2-34 to P2-39.
 * Rows: 002:R-12.
 */
#include <CUnit/CUnit.h>
#include <errno.h>
#include <event2/event.h>
#include <time.h>

#include "admin/admin.h"
#include "drill.h"
#include "trust/itl.h"
#include "trust/ledger.h"

static struct event_base *base;
static struct cp_store *store;
static struct cp_ledger *ledger;
static struct drill *cluster; /* what the ledger sees as served */
static struct tp_pool *pool;
static struct tp_phone *phones;
static bool *lost; /* stranded on purpose */
static unsigned phone_cnt = 100;
static bool strangers; /* some phones are not known to be where they fetch, and others fetch in their name */
static uint64_t rnd_state = 88172645463325252u;

static struct {
	unsigned asked, allowed, refused, stranded, careful, boots, checks;
} sum;

static uint64_t rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state;
}

static bool chance(unsigned permille)
{
	return rnd() % 1000 < permille;
}

static int ledger_world(void *ctx, enum pki_tl_class cls, struct cp_tm_world *ret)
{
	(void)ctx;
	return drill_world(cluster, cls, ret);
}

static int cls_of(unsigned phone)
{
	return phone % 4 == 0 ? PKI_CLASS_79XX : PKI_CLASS_MODERN;
}

/* RAVELIN_DRILLS: many seeds are tried, with any number of phones; the other tests count on a crowd. */
static bool only_random(void)
{
	return getenv("RAVELIN_DRILLS") != NULL;
}

static int setup(void)
{
	struct cp_store_opts o = {.base = NULL, .no_sync = true};
	struct cp_ledger_env env = {.world = ledger_world};
	char err[200];

	if (getenv("RAVELIN_FULL") != NULL)
		phone_cnt = 10000;
	if (getenv("RAVELIN_DRILL_PHONES") != NULL)
		phone_cnt = (unsigned)strtoul(getenv("RAVELIN_DRILL_PHONES"), NULL, 0);
	base = event_base_new();
	tmp_make();
	o.path = tmp_store;
	o.base = env.base = base;
	if (cp_store_open(&o, &store, err, sizeof(err)) < 0)
		return -1;
	env.store = store;
	if (cp_ledger_create_env(&env, &ledger) < 0)
		return -1;
	for (unsigned i = 0; i < phone_cnt; i++)
		if (fix_devices(store, base, i, 1, cls_of(i) == PKI_CLASS_79XX ? "7965" : "8851") < 0)
			return -1;
	phones = calloc(phone_cnt, sizeof(*phones));
	lost = calloc(phone_cnt, sizeof(*lost));
	pool = tp_pool_create();
	return phones == NULL || lost == NULL || pool == NULL ? -1 : 0;
}

static int teardown(void)
{
	struct cp_ledger_stats st;

	cp_ledger_stats(ledger, &st);
	printf("\n  %u phones: %u changes asked, %u allowed, %u refused, %u phones would have been stranded, %u more perhaps; %u boots, %u signatures "
	       "checked, %llu ledger batches\n", phone_cnt, sum.asked, sum.allowed, sum.refused, sum.stranded, sum.careful, sum.boots,
	       sum.checks + tp_pool_checks(pool), (unsigned long long)st.batches);
	cp_ledger_stop(ledger);
	cp_store_close(store);
	cp_ledger_destroy(ledger);
	tp_pool_destroy(pool);
	free(phones);
	free(lost);
	fix_keys_free();
	event_base_free(base);
	tmp_remove();
	return 0;
}

static void loop_a_little(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static bool is_list(const struct tp_list *l, const struct tp_list *o)
{
	return o == NULL || l == o;
}

static struct cfg_addr place(unsigned phone, unsigned who)
{
	return (struct cfg_addr){.family = 4, .plen = 32, .ip = {10, (uint8_t)(who * 64 + (phone >> 16)), (uint8_t)(phone >> 8), (uint8_t)phone}};
}

/* The appliance hears that a file was fetched whole: all it ever knows. */
static void hears(unsigned i, enum pki_tl_kind kind, const struct tp_list *l, const struct cfg_addr *from)
{
	int cls = cls_of(i);
	const struct cp_buf *b = kind == PKI_TL_CTL ? &cluster->ctl[cls] : &cluster->itl[cls];
	char name[16];

	if (l == NULL)
		return;
	fix_name(i, name);
	if (from != NULL)
		cp_ledger_claim(ledger, name, kind, tp_list_sha(l), b->data, b->len, from);
	else
		cp_ledger_list_sha(ledger, name, kind, tp_list_sha(l), b->data, b->len, CP_LEDGER_FETCHED);
}

/* One phone restarts, until nothing changes any more: each time it fetches both lists, and takes them or does not. */
static bool restart(unsigned i, const struct tp_offer offer[PKI_CLASS_MAX])
{
	const struct tp_offer *o = &offer[cls_of(i)];
	struct cfg_addr from = place(i, 0);
	bool proven = !strangers || i % 3 != 0;
	struct tp_phone *p = &phones[i];
	char name[16];

	fix_name(i, name);
	for (unsigned k = 0; k < 5; k++) {
		tp_boot(pool, p, o);
		sum.boots++;
		hears(i, PKI_TL_CTL, o->ctl, proven ? NULL : &from);
		hears(i, PKI_TL_ITL, o->itl, proven ? NULL : &from);
		if (!proven && chance(500))
			cp_ledger_here(ledger, name, &from);
		if (!p->took_ctl && !p->took_itl)
			break;
	}
	return is_list(p->ctl, o->ctl) && is_list(p->itl, o->itl) && p->config_ok && p->ccm_ok && p->capf_ok;
}

static bool same_list(const struct cp_tm_list *a, const struct tp_list *b)
{
	return b == NULL ? a == NULL : a != NULL && memcmp(a->file, tp_list_sha(b), 32) == 0;
}

/* What the ledger believes is what they hold. */
static void known(void)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < phone_cnt; i++) {
		struct cp_tm_phone p = {0};
		char name[16];

		fix_name(i, name);
		wrong += !cp_ledger_holds(ledger, name, &p) || !same_list(p.ctl, phones[i].ctl) || !same_list(p.itl, phones[i].itl);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void offers(struct drill *d, struct tp_offer ret[PKI_CLASS_MAX])
{
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++)
		drill_offer(d, pool, cls, &ret[cls]);
}

/* All phones are new, the cluster too. */
static void begin(enum cp_tm_with with, bool mixed)
{
	struct tp_offer offer[PKI_CLASS_MAX];

	if (cluster != NULL)
		drill_destroy(cluster);
	sum.checks += tp_pool_checks(pool);
	tp_pool_destroy(pool);
	pool = tp_pool_create();
	CU_ASSERT_PTR_NOT_NULL_FATAL(pool);
	cluster = drill_create(with, mixed);
	offers(cluster, offer);
	memset(lost, 0, phone_cnt * sizeof(*lost));
	for (unsigned i = 0; i < phone_cnt; i++) {
		char name[16];

		fix_name(i, name);
		cp_ledger_forget(ledger, name);
		phones[i] = (struct tp_phone){.secure = true};
		CU_ASSERT_TRUE_FATAL(restart(i, offer));
	}
	loop_a_little();
}

/* Everybody who is there restarts; 'away' of a thousand are not. Returns how many that were not lost do not work. */
static unsigned come(unsigned away)
{
	struct tp_offer offer[PKI_CLASS_MAX];
	unsigned broken = 0;

	offers(cluster, offer);
	for (unsigned i = 0; i < phone_cnt; i++) {
		if (away > 0 && chance(away))
			continue;
		if (!restart(i, offer) && !lost[i])
			broken++;
	}
	for (unsigned i = 0; strangers && i < phone_cnt; i++) {
		struct cfg_addr from = place(i, 1);

		if (!chance(100))
			continue;
		hears(i, PKI_TL_CTL, offer[cls_of(i)].ctl, &from);
		hears(i, PKI_TL_ITL, offer[cls_of(i)].itl, &from);
	}
	if (!strangers)
		known();
	loop_a_little();
	return broken;
}

/* Phones that could follow up to now and could not follow to 'to': seen on copies of them, booted from a copy of the cluster. */
static unsigned seen_stranded(struct drill *to, bool *which)
{
	struct tp_offer now[PKI_CLASS_MAX], then[PKI_CLASS_MAX];
	unsigned n = 0;

	offers(cluster, now);
	offers(to, then);
	for (unsigned i = 0; i < phone_cnt; i++) {
		struct tp_phone a = phones[i], b = phones[i];
		int cls = cls_of(i);
		bool gone = tp_settle(pool, &a, &now[cls], 5) && !tp_settle(pool, &b, &then[cls], 5);

		if (which != NULL)
			which[i] = gone;
		n += gone;
	}
	return n;
}

static struct cp_trust_ask ask_of(const struct cp_tm_step *s, const struct drill *after)
{
	struct cp_trust_ask a = {.subject = s->ident >= 0 ? cp_tm_ident_name((unsigned)s->ident) : NULL};

	switch (s->op) {
	case CP_TM_REGEN:
		a.change = CP_TRUST_REGEN;
		break;
	case CP_TM_RETIRE:
		a.change = CP_TRUST_RETIRE;
		break;
	case CP_TM_RETURN:
		a.change = CP_TRUST_RESTORE;
		break;
	case CP_TM_SIGN_ITL:
		a.change = CP_TRUST_SIGNER;
		a.subject = "itl";
		a.to = s->with == CP_TM_WITH_RECOVERY ? after->now[CP_TM_ITLRECOVERY].cert :
		       s->with != CP_TM_WITH_TFTP && after->prev[CP_TM_TFTP].cert != NULL ? after->prev[CP_TM_TFTP].cert :
											    after->now[CP_TM_TFTP].cert;
		break;
	case CP_TM_UPDATE_CTL:
		a.change = CP_TRUST_LIST;
		a.subject = "ctl";
		a.to = after->plan.signer;
		a.mixed = after->mixed;
		for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
			a.entry[cls] = after->plan.entry[cls];
			a.cnt[cls] = after->plan.cnt[cls];
		}
		break;
	case CP_TM_ROLLBACK_ON:
	case CP_TM_ROLLBACK_OFF:
		a.change = CP_TRUST_ROLLBACK;
		a.subject = s->op == CP_TM_ROLLBACK_ON ? "on" : "off";
		break;
	default:
		a.change = CP_TRUST_MODE;
		a.subject = s->op == CP_TM_MIXED ? "mixed" : "nonsecure";
		break;
	}
	return a;
}

/* What the model says is served behind a step is what is served: certificate for certificate. */
static void foretold(const struct cp_tm_step *step, struct drill *after)
{
	struct cp_tm_world *w = malloc(sizeof(*w)), *r = malloc(sizeof(*r));
	struct cp_tm_step s = *step;
	char why[160] = "", name[64];

	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		CU_ASSERT_EQUAL_FATAL(drill_world(cluster, (enum pki_tl_class)cls, w), 0);
		CU_ASSERT_EQUAL_FATAL(drill_world(after, (enum pki_tl_class)cls, r), 0);
		if (s.op == CP_TM_REGEN) {
			s.has_to = true;
			memcpy(s.to, r->ident[s.ident].id, CP_TM_ID);
			if (s.ident == CP_TM_CAPF) /* its second certificate is made up by the model */
				continue;
		}
		CU_ASSERT_EQUAL(cp_tm_apply(w, &s, why, sizeof(why)), 0);
		if (!cp_tm_list_equal(&w->itl.list, &r->itl.list) || memcmp(w->itl.signer, r->itl.signer, CP_TM_ID) != 0 ||
		    w->ctl.served != r->ctl.served || (w->ctl.served && !cp_tm_list_equal(&w->ctl.list, &r->ctl.list)) ||
		    (w->ctl.served && memcmp(w->ctl.signer, r->ctl.signer, CP_TM_ID) != 0)) {
			printf("    %s: foretold otherwise (itl %u/%u, ctl %u/%u)\n", cp_tm_step_name(&s, name, sizeof(name)),
			       w->itl.list.cnt, r->itl.list.cnt, w->ctl.list.cnt, r->ctl.list.cnt);
			CU_FAIL("the model foretells other lists");
		}
	}
	free(w);
	free(r);
}

/* "2 of them if they took a list that they should have refused" */
static unsigned doubted(const char *why)
{
	const char *p = strstr(why, " of them if they took");

	while (p != NULL && p > why && p[-1] >= '0' && p[-1] <= '9')
		p--;
	return p != NULL ? (unsigned)strtoul(p, NULL, 10) : 0;
}

/* Ask; compare with what is seen; return the number. 'which' marks the phones. *done: the cluster behind the change, NULL: it means
 * nothing now, and the ledger says so as well. */
static unsigned try_step(const struct cp_tm_step *s, bool *which, struct drill **done)
{
	struct drill *copy = drill_copy(cluster);
	bool can = drill_do(copy, s);
	struct cp_trust_ask ask;
	unsigned said = 0, seen;
	char why[512] = "", name[64];
	int rc;

	*done = NULL;
	if (!can) {
		drill_destroy(copy);
		return 0;
	}
	ask = ask_of(s, copy);
	if ((s->op == CP_TM_REGEN || s->op == CP_TM_RETIRE) && drill_ctl_key(cluster) && !drill_ctl_key(copy)) {
		CU_ASSERT_EQUAL(cp_ledger_allow(ledger, &ask, 0, &said, why, sizeof(why)), -EPROTO); /* no CTL could be made again */
		drill_destroy(copy);
		return 0;
	}
	foretold(s, copy);
	rc = cp_ledger_allow(ledger, &ask, 0, &said, why, sizeof(why));
	seen = seen_stranded(copy, which);
	sum.asked++;
	if (!strangers) /* a phone that refused a list is counted with those that hold it, in case that it did not: nobody sees that */
		seen += doubted(why);
	if (strangers ? said < seen || rc != (said > 0 ? -EPERM : 0) : said != seen || rc != (seen > 0 ? -EPERM : 0)) {
		printf("    %s: said %u (rc %d, %s), seen %u\n", cp_tm_step_name(s, name, sizeof(name)), said, rc, why, seen);
		CU_FAIL("said and seen differ");
	}
	if (strangers)
		sum.careful += said - seen;
	seen = said; /* of which more may only be those that nobody can be sure of */
	if (seen > 0) {
		sum.refused++;
		sum.stranded += seen;
		CU_ASSERT_EQUAL(cp_ledger_allow(ledger, &ask, (int64_t)seen + 1, &said, why, sizeof(why)), -EPERM);
		CU_ASSERT_EQUAL(cp_ledger_allow(ledger, &ask, seen, &said, why, sizeof(why)), 0);
	}
	*done = copy;
	return seen;
}

static void carry_out(struct drill *after)
{
	drill_destroy(cluster);
	cluster = after;
}

static void step(struct cp_tm_step *s, const char *text)
{
	char why[200] = "";

	CU_ASSERT_EQUAL_FATAL(cp_tm_step_parse(text, s, why, sizeof(why)), 0);
}

/*
 * The four certificates in every order, with some of the phones away between two changes. A change that strands somebody is
 * refused with the number; then the phones come, and it is allowed.
 */
static void all_orders(enum cp_tm_with with, bool mixed, bool ctl_too, unsigned away, unsigned *ret_refused)
{
	static const char *const roll[4] = {"regenerate CallManager", "regenerate TVS", "regenerate TFTP", "regenerate CAPF"};
	unsigned refused = 0;

	for (unsigned order = 0; order < 24; order++) {
		unsigned left[4] = {0, 1, 2, 3}, code = order;
		struct cp_tm_step s, ctl;

		step(&ctl, "update ctl");
		begin(with, mixed);
		for (unsigned k = 4; k > 0; k--) {
			unsigned pick = code % k, stranded;
			struct drill *after;

			code /= k;
			step(&s, roll[left[pick]]);
			memmove(&left[pick], &left[pick + 1], (3 - pick) * sizeof(left[0]));
			stranded = try_step(&s, NULL, &after);
			if (stranded > 0) {
				refused++;
				drill_destroy(after);
				CU_ASSERT_EQUAL(come(0), 0); /* the wait that a plan asks for */
				stranded = try_step(&s, NULL, &after);
			}
			CU_ASSERT_EQUAL_FATAL(stranded, 0);
			carry_out(after);
			CU_ASSERT_EQUAL(come(away), 0);
			if (!ctl_too)
				continue;
			stranded = try_step(&ctl, NULL, &after);
			if (stranded > 0) {
				drill_destroy(after);
				CU_ASSERT_EQUAL(come(0), 0);
				stranded = try_step(&ctl, NULL, &after);
			}
			CU_ASSERT_EQUAL_FATAL(stranded, 0);
			carry_out(after);
			CU_ASSERT_EQUAL(come(away), 0);
		}
		CU_ASSERT_EQUAL(come(0), 0); /* everybody works, those too that were never there */
	}
	*ret_refused = refused;
}

/* As the documents' own servers sign: always with the TFTP key of the day. Then TVS and TFTP are in each other's way in every
 * order in which one follows the other before the phones came. */
static void test_orders_classic(void)
{
	unsigned refused;

	if (only_random())
		return;
	all_orders(CP_TM_WITH_TFTP, false, false, 1000, &refused); /* nobody comes: TVS and TFTP collide in all 24 */
	CU_ASSERT_EQUAL(refused, 24);
	all_orders(CP_TM_WITH_TFTP, false, false, 20, &refused);
	CU_ASSERT_TRUE(refused > 0);
	all_orders(CP_TM_WITH_TFTP, false, false, 0, &refused); /* all come every time: nothing to refuse */
	CU_ASSERT_EQUAL(refused, 0);
}

static void test_orders_mixed(void)
{
	unsigned refused;

	if (only_random())
		return;
	all_orders(CP_TM_WITH_TFTP, true, false, 300, &refused);
	CU_ASSERT_TRUE(refused > 0);
	all_orders(CP_TM_WITH_TFTP, true, true, 300, &refused);
}

/* The key of yesterday leads over: nobody is in anybody's way until it is retired. */
static void test_orders_auto(void)
{
	struct cp_tm_step s;
	struct drill *after;
	unsigned refused, n;

	if (only_random())
		return;
	all_orders(CP_TM_WITH_AUTO, false, false, 1000, &refused);
	CU_ASSERT_EQUAL(refused, 0);
	all_orders(CP_TM_WITH_AUTO, true, true, 500, &refused);
	CU_ASSERT_EQUAL(refused, 0);

	begin(CP_TM_WITH_AUTO, false);
	step(&s, "regenerate TFTP");
	CU_ASSERT_EQUAL_FATAL(try_step(&s, NULL, &after), 0);
	carry_out(after);
	step(&s, "regenerate TVS");
	CU_ASSERT_EQUAL_FATAL(try_step(&s, NULL, &after), 0);
	carry_out(after);
	CU_ASSERT_EQUAL(come(900), 0);
	step(&s, "retire TFTP");
	n = try_step(&s, NULL, &after);
	CU_ASSERT_TRUE(n > phone_cnt / 2);
	drill_destroy(after);
	CU_ASSERT_EQUAL(come(0), 0);
	CU_ASSERT_EQUAL_FATAL(try_step(&s, NULL, &after), 0);
	carry_out(after);
	CU_ASSERT_EQUAL(come(0), 0);
}

/* Stranded on purpose, with the very number: just those do not come back, until somebody resets them by hand. */
static void test_on_purpose(void)
{
	struct cp_tm_step s;
	struct drill *after;
	unsigned n, back = 0;

	if (only_random())
		return;
	begin(CP_TM_WITH_TFTP, false);
	step(&s, "regenerate TVS");
	CU_ASSERT_EQUAL_FATAL(try_step(&s, NULL, &after), 0);
	carry_out(after);
	CU_ASSERT_EQUAL(come(100), 0);
	step(&s, "regenerate TFTP");
	n = try_step(&s, lost, &after);
	CU_ASSERT_TRUE(n > phone_cnt / 20 && n < phone_cnt / 5);
	carry_out(after);
	CU_ASSERT_EQUAL(come(0), 0); /* the others work */
	for (unsigned i = 0; i < phone_cnt; i++) {
		struct tp_offer offer[PKI_CLASS_MAX];
		char name[16];

		if (!lost[i])
			continue;
		offers(cluster, offer);
		CU_ASSERT_FALSE(restart(i, offer));
		fix_name(i, name);
		CU_ASSERT_EQUAL(cp_ledger_forget(ledger, name), 0);
		phones[i].ctl = phones[i].itl = NULL;
		back += restart(i, offer);
		lost[i] = false;
	}
	CU_ASSERT_EQUAL(back, n);
	step(&s, "regenerate TVS"); /* they count no more */
	CU_ASSERT_EQUAL(try_step(&s, NULL, &after), 0);
	drill_destroy(after);
}

/* A phone without lists may not come in at some times: mixed mode, and a CTL that does not name the TFTP key of today. It waits
 * for the CTL's update then, and is not a phone that a change may count on. */
static void reset_by_hand(unsigned k)
{
	struct tp_offer offer[PKI_CLASS_MAX];
	char name[16];

	fix_name(k, name);
	cp_ledger_forget(ledger, name);
	phones[k].ctl = phones[k].itl = NULL;
	offers(cluster, offer);
	lost[k] = !restart(k, offer);
}

/* Any change at any time, any number of phones away; some changes against advice; keys of yesterday come back (a restored
 * backup), modes and rollback go to and fro, phones are reset by hand or put back to lists that they once held. */
static void random_drill(unsigned steps)
{
	static const char *const what[] = {
		"regenerate CallManager", "regenerate TVS", "regenerate TFTP", "regenerate CAPF", "regenerate SAST1", "regenerate SAST2",
		"regenerate ITLRecovery", "retire TFTP", "retire SAST1", "retire SAST2", "restore TFTP", "restore TVS", "restore CallManager",
		"restore SAST1", "update ctl", "update ctl", "mode mixed", "mode nonsecure", "rollback on", "rollback off",
		"sign itl with auto", "sign itl with TFTP", "sign itl with TFTP.prev", "sign itl with ITLRecovery",
	};
	bool *which = calloc(phone_cnt, sizeof(*which));

	begin(chance(500) ? CP_TM_WITH_AUTO : CP_TM_WITH_TFTP, chance(500));
	for (unsigned i = 0; i < steps; i++) {
		struct cp_tm_step s;
		struct drill *after;
		unsigned n;

		step(&s, what[rnd() % (sizeof(what) / sizeof(what[0]))]);
		n = try_step(&s, which, &after);
		if (after == NULL)
			continue;
		if (n == 0) {
			sum.allowed++;
			carry_out(after);
		} else if (chance(100)) { /* against advice */
			carry_out(after);
			for (unsigned k = 0; k < phone_cnt; k++)
				lost[k] = lost[k] || which[k];
		} else {
			drill_destroy(after);
		}
		CU_ASSERT_EQUAL(come(chance(300) ? 1000 : (unsigned)(rnd() % 1000)), 0);
		for (unsigned k = 0; k < phone_cnt; k++) /* somebody with a ladder */
			if (chance(lost[k] ? 200 : 1))
				reset_by_hand(k);
		if (CU_get_number_of_failures() > 0)
			break;
	}
	come(0);
	free(which);
}

static void test_random(void)
{
	const char *text = getenv("RAVELIN_SEED");
	/* the same each time in ./check, another one each time in a full run: what that finds is repeated by its seed */
	uint64_t seed = text != NULL			  ? strtoull(text, NULL, 0) :
			getenv("RAVELIN_FULL") != NULL ? (uint64_t)time(NULL) * 2654435761u + 1 :
							  7919;

	unsigned drills = getenv("RAVELIN_DRILLS") != NULL ? (unsigned)strtoul(getenv("RAVELIN_DRILLS"), NULL, 0) :
			  getenv("RAVELIN_FULL") != NULL   ? 40 :
							     8;

	printf("\n    RAVELIN_SEED=%llu", (unsigned long long)seed);
	rnd_state = seed != 0 ? seed : 1;
	for (unsigned i = 0; i < drills; i++)
		random_drill(25);
	drill_destroy(cluster);
	cluster = NULL;
}

/* The same with fetches of which nobody knows whose they were: a change may be refused for more phones than it strands, never fewer. */
static void test_strangers(void)
{
	strangers = true;
	test_random();
	strangers = false;
	CU_ASSERT_TRUE(only_random() || sum.careful > 0);
}

/* The ITL that the model makes is the one that the appliance's publisher makes, for every class, mode and signer. */
static void test_publisher(void)
{
	struct cp_tm_world *w = malloc(sizeof(*w));
	struct cp_tm_step s;
	struct drill *d = drill_create(CP_TM_WITH_TFTP, true);

	for (unsigned i = 0; i < 2u * 2 * 2 * 2 * CP_TM_WITHS; i++) {
		struct cp_itl_in in = {.cls = i & 1 ? PKI_CLASS_79XX : PKI_CLASS_MODERN, .sign_with = cp_tm_with_name(i / 16)};
		struct cp_trust_own own;
		struct cp_itl_out out;
		struct cp_tm_list l;
		uint8_t id[CP_TM_ID];
		char why[200] = "";

		if (i == 0) {
			step(&s, "regenerate CallManager"); /* so that the CTL does not name it */
			drill_do(d, &s);
		}
		if ((i >> 3 & 1) != (d->prev[CP_TM_TFTP].cert != NULL)) {
			step(&s, i >> 3 & 1 ? "regenerate TFTP" : "retire TFTP");
			drill_do(d, &s);
		}
		d->mixed = i >> 1 & 1;
		d->rollback = i >> 2 & 1;
		d->with = (enum cp_tm_with)(i / 16);
		cp_trust_own_get(&own, drill_own, d);
		in.own = &own;
		in.mixed = d->mixed;
		in.rollback = d->rollback;
		CU_ASSERT_EQUAL_FATAL(cp_itl_entries(&in, &out, why, sizeof(why)), 0);
		CU_ASSERT_EQUAL_FATAL(cp_tm_list_entries(out.entry, out.cnt, &l), 0);
		CU_ASSERT_EQUAL_FATAL(cp_tm_cert_id(out.signer, id), 0);
		CU_ASSERT_EQUAL_FATAL(drill_world(d, in.cls, w), 0);
		CU_ASSERT_EQUAL(cp_tm_itl(w, why, sizeof(why)), 0);
		CU_ASSERT_TRUE(cp_tm_list_equal(&w->itl.list, &l));
		CU_ASSERT_EQUAL(memcmp(w->itl.signer, id, sizeof(id)), 0);
		cp_trust_own_free(&own);
	}
	drill_destroy(d);
	free(w);
}

/* --- what an operator sees --- */

static char answer[200000];

static void answered(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	snprintf(answer, sizeof(answer), "%.*s", (int)len, line);
}

static const char *ask_admin(struct cp_admin *a, const char *text)
{
	answer[0] = '\0';
	cp_admin_input(a, text, strlen(text), answered, NULL);
	for (int i = 0; i < 2000 && answer[0] == '\0'; i++) {
		struct timeval tv = {0, 2000};

		event_base_loopexit(base, &tv);
		event_base_dispatch(base);
	}
	return answer;
}

#define SAYS(text, part) CU_ASSERT_PTR_NOT_NULL(strstr(ask_admin(a, text), part))

static void test_commands(void)
{
	struct cp_admin *a = cp_admin_create(NULL);
	struct cp_tm_step s;
	struct drill *after;
	char part[80];

	if (only_random())
		return;
	CU_ASSERT_EQUAL_FATAL(cp_ledger_commands(ledger, a), 0);
	begin(CP_TM_WITH_TFTP, false);
	snprintf(part, sizeof(part), "\"hold_what_is_served\":%u", phone_cnt);
	SAYS("{\"cmd\":\"trust.status\"}", part);
	SAYS("{\"cmd\":\"trust.status\"}", "\"in_force\":\"yes\"");
	SAYS("{\"cmd\":\"trust.ledger\",\"args\":{\"devices\":[\"SEP000000000001\"]}}", "\"itl_how\":\"fetched\"");
	SAYS("{\"cmd\":\"trust.ledger\",\"args\":{\"devices\":[\"SEPFFFFFFFFFFFF\"]}}", "not-found");
	SAYS("{\"cmd\":\"trust.ledger\",\"args\":{\"devices\":[\"x\"]}}", "invalid");
	SAYS("{\"cmd\":\"trust.ledger\"}", "SEP000000000002");
	/* one at a time: TVS, wait, TFTP; or the recovery key first, and no wait */
	SAYS("{\"cmd\":\"trust.plan\",\"args\":{\"change\":[\"regenerate\",\"TVS\",\"+\",\"regenerate\",\"TFTP\"]}}",
	     "strands nobody, if every wait is kept");
	snprintf(part, sizeof(part), "\"stranded_if_done_at_once\":%u", phone_cnt);
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, part));
	snprintf(part, sizeof(part), "wait until all %u phones have fetched the new lists", phone_cnt);
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, part));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\"or\":"));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "sign itl with ITLRecovery"));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\"SEP00000000004D\"")); /* twenty are named: of class 79xx, every fourth */
	SAYS("{\"cmd\":\"trust.plan\",\"args\":{\"change\":[\"regenerate\",\"CallManager\"]}}", "\"verdict\":\"strands nobody\"");
	SAYS("{\"cmd\":\"trust.plan\",\"args\":{\"change\":[\"update\",\"ctl\"]}}", "there is no CTL");
	SAYS("{\"cmd\":\"trust.plan\",\"args\":{\"change\":[\"do\",\"something\"]}}", "not a change");
	SAYS("{\"cmd\":\"trust.plan\",\"args\":{}}", "invalid");
	step(&s, "regenerate TVS");
	CU_ASSERT_EQUAL_FATAL(try_step(&s, NULL, &after), 0);
	carry_out(after);
	CU_ASSERT_EQUAL(come(100), 0);
	SAYS("{\"cmd\":\"trust.plan\",\"args\":{\"change\":[\"regenerate\",\"TFTP\"]}}", "phones have fetched the lists of today (now");
	SAYS("{\"cmd\":\"trust.status\"}", "\"in_force\":\"no\"");
	SAYS("{\"cmd\":\"trust.forget\",\"args\":{\"devices\":[\"SEP000000000001\"]}}", "\"forgotten\":1");
	SAYS("{\"cmd\":\"trust.forget\",\"args\":{\"devices\":[]}}", "invalid");
	SAYS("{\"cmd\":\"trust.forget\",\"args\":{\"devices\":[\"SEPFFFFFFFFFFFF\"]}}", "not-found");
	SAYS("{\"cmd\":\"trust.ledger\",\"args\":{\"devices\":[\"SEP000000000001\"]}}", "holds no list");
	cp_admin_destroy(a);
}

static CU_TestInfo tests[] = {
	{"the publisher makes what the model foretells", test_publisher},
	{"commands", test_commands},
	{"every order, ITL signed with the TFTP key of the day", test_orders_classic},
	{"every order, mixed mode", test_orders_mixed},
	{"every order, the key of yesterday leads over", test_orders_auto},
	{"stranded on purpose, and mended by hand", test_on_purpose},
	{"random changes", test_random},
	{"random changes, with strangers", test_strangers},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("trust drill", tests, setup, teardown)
