/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The model of a phone and the search for an order, on certificates that are only names. Rows of the requirements are
 * cited as 002:P2-38. What real lists and signatures make of the same changes is test_trustdrill.c's.
 * Rows: 002.
 */
#include <CUnit/CUnit.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trust/plan.h"

static struct cp_tm_cert cert(const char *name)
{
	struct cp_tm_cert c = {.have = true};

	snprintf((char *)c.id, sizeof(c.id), "%s", name);
	return c;
}

static void put(struct cp_tm_list *l, uint16_t role, const struct cp_tm_cert *c)
{
	l->e[l->cnt].role = role;
	memcpy(l->e[l->cnt++].id, c->id, CP_TM_ID);
}

/* A cluster in non-secure mode: ITL signed by TFTP; 'recovery': with an ITL recovery record. 'with' as the documents' own
 * servers do it: always the TFTP key of the day. */
static struct cp_tm_world *world(bool recovery)
{
	struct cp_tm_world *w = calloc(1, sizeof(*w));

	for (unsigned i = 0; i < CP_TM_IDENTS; i++)
		w->ident[i] = cert(cp_tm_ident_name(i));
	w->ident[CP_TM_ITLRECOVERY].have = recovery;
	w->modern = true;
	w->with = CP_TM_WITH_TFTP;
	CU_ASSERT_EQUAL_FATAL(cp_tm_itl(w, NULL, 0), 0);
	return w;
}

static void go(struct cp_tm_world *w, const char *text)
{
	struct cp_tm_step s;
	char why[160] = "";
	int rc = cp_tm_step_parse(text, &s, why, sizeof(why));

	if (rc == 0)
		rc = cp_tm_apply(w, &s, why, sizeof(why));
	if (rc != 0)
		fprintf(stderr, "%s: %s\n", text, why);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
}

static unsigned boot(const struct cp_tm_world *w, struct cp_tm_phone *p)
{
	return cp_tm_boot(w, p, p);
}

/* 002:P2-15, P2-16: the first list is taken; with a CTL that one checks the ITL. */
static void test_first(void)
{
	struct cp_tm_world *w = world(false), *m = world(false);
	struct cp_tm_phone fresh = {0}, with_ctl = {.secure = true}, foreign = {0};
	struct cp_tm_list strange = {0};
	struct cp_tm_cert other = cert("another cluster");

	CU_ASSERT_EQUAL(boot(w, &fresh), 0);
	CU_ASSERT_PTR_EQUAL(fresh.itl, &w->itl.list);
	CU_ASSERT_PTR_NULL(fresh.ctl);

	go(m, "mode mixed");
	with_ctl.ctl = &m->ctl.list;
	CU_ASSERT_EQUAL(boot(m, &with_ctl), 0);
	/* a CTL that does not know the ITL's signer: no way in, and nothing to ask TVS by */
	go(m, "regenerate TFTP");
	with_ctl.itl = NULL;
	CU_ASSERT_EQUAL(boot(m, &with_ctl), CP_TM_NO_ITL | CP_TM_NO_CONFIG);
	go(m, "update ctl");
	CU_ASSERT_EQUAL(boot(m, &with_ctl), 0);

	put(&strange, PKI_TL_SAST, &other);
	foreign.itl = &strange;
	CU_ASSERT_EQUAL(boot(w, &foreign) & CP_TM_NO_ITL, CP_TM_NO_ITL);
	free(w);
	free(m);
}

/* 002:P2-17, P2-12: the same key, or TVS. */
static void test_tvs(void)
{
	struct cp_tm_world *w = world(false), *old = malloc(sizeof(*old));
	struct cp_tm_phone p = {0};

	CU_ASSERT_EQUAL(boot(w, &p), 0);
	*old = *w; /* what it holds stays what it was */
	p.itl = &old->itl.list;
	go(w, "regenerate TFTP");
	CU_ASSERT_EQUAL(cp_tm_boot(w, &p, NULL), 0); /* TVS vouches for the new signer */
	CU_ASSERT_NOT_EQUAL(cp_tm_vouch(w, w->ident[CP_TM_TFTP].id), 0);
	CU_ASSERT_EQUAL(cp_tm_vouch(w, w->ident[CP_TM_TVS].id), 0); /* never for itself */
	CU_ASSERT_EQUAL(cp_tm_vouch(w, (const uint8_t *)"nobody's certificate...........") , 0);
	w->no_tvs = true; /* named in its list, but nobody answers: it is stuck */
	CU_ASSERT_EQUAL(cp_tm_boot(w, &p, NULL) & CP_TM_NO_ITL, CP_TM_NO_ITL);
	w->no_tvs = false;
	CU_ASSERT_EQUAL(cp_tm_boot(w, &p, NULL), 0);
	w->ident[CP_TM_TVS].have = false; /* no TVS: it is stuck */
	CU_ASSERT_EQUAL(cp_tm_boot(w, &p, NULL) & CP_TM_NO_ITL, CP_TM_NO_ITL);
	free(w);
	free(old);
}

/* 002:P2-38 in both orders, as a consequence. */
static void test_both(void)
{
	static const char *const two[][2] = {{"regenerate TVS", "regenerate TFTP"}, {"regenerate TFTP", "regenerate TVS"}};

	for (unsigned i = 0; i < 2; i++) {
		struct cp_tm_world *w0 = world(false), *w1 = malloc(sizeof(*w1)), *w2 = malloc(sizeof(*w2));
		struct cp_tm_group g[2] = {{.cnt = 3}, {.cnt = 7}};
		struct cp_tm_toll toll;

		g[0].phone.itl = g[1].phone.itl = &w0->itl.list;
		*w1 = *w0;
		go(w1, two[i][0]);
		cp_tm_count(w0, w1, g, 2, &toll);
		CU_ASSERT_EQUAL(toll.stranded, 0);
		CU_ASSERT_EQUAL(boot(w1, &g[1].phone), 0); /* seven have come, three are away */
		*w2 = *w1;
		go(w2, two[i][1]);
		cp_tm_count(w1, w2, g, 2, &toll);
		CU_ASSERT_EQUAL(toll.stranded, 3);
		CU_ASSERT_EQUAL(toll.lost, 0);
		CU_ASSERT_TRUE(g[0].why & CP_TM_NO_ITL);
		CU_ASSERT_EQUAL(g[1].why, 0);
		CU_ASSERT_EQUAL(boot(w1, &g[0].phone), 0);
		cp_tm_count(w1, w2, g, 2, &toll);
		CU_ASSERT_EQUAL(toll.stranded, 0);
		free(w0);
		free(w1);
		free(w2);
	}
}

static int search(const struct cp_tm_world *w, const char *const *texts, unsigned n, const struct cp_tm_group *g, unsigned gn,
		  struct cp_tm_plan *ret, char *why, size_t size)
{
	struct cp_tm_step steps[CP_TM_STEPS_MAX + 1];

	for (unsigned i = 0; i < n; i++)
		CU_ASSERT_EQUAL_FATAL(cp_tm_step_parse(texts[i], &steps[i], why, size), 0);
	return cp_tm_search(w, steps, n, g, gn, ret, why, size);
}

static void test_search(void)
{
	static const char *const rule[] = {"regenerate TVS", "regenerate TFTP"};
	static const char *const four[] = {"regenerate CallManager", "regenerate TVS", "regenerate TFTP", "regenerate CAPF"};
	static const char *const rescue[] = {"regenerate TVS", "regenerate TFTP", "sign itl with ITLRecovery"};
	static const char *const never[] = {"remove ctl CAPF"};
	struct cp_tm_world *w = world(false), *r = world(true);
	struct cp_tm_group g[2] = {{.cnt = 10}, {.cnt = 0}};
	struct cp_tm_plan p;
	char why[160] = "";

	g[0].phone.itl = &w->itl.list;
	CU_ASSERT_EQUAL(search(w, rule, 2, g, 2, &p, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(p.waits, 1);
	CU_ASSERT_EQUAL(p.order[0], 0); /* as it was asked for */
	CU_ASSERT_EQUAL(p.order[1], 1);
	CU_ASSERT_FALSE(p.wait[0]);
	CU_ASSERT_TRUE(p.wait[1]);
	CU_ASSERT_EQUAL(search(w, four, 4, g, 2, &p, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(p.waits, 1);

	/* a third key that phones know: in the right order nobody has to wait */
	g[0].phone.itl = &r->itl.list;
	CU_ASSERT_EQUAL(search(r, rescue, 3, g, 2, &p, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(p.waits, 0);
	CU_ASSERT_EQUAL(search(r, rule, 2, g, 2, &p, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(p.waits, 1);

	CU_ASSERT_EQUAL(search(w, never, 1, g, 2, &p, why, sizeof(why)), -EPROTO);
	CU_ASSERT_STRING_EQUAL(why, "CAPF is not in the CTL");
	CU_ASSERT_EQUAL(cp_tm_search(w, NULL, CP_TM_STEPS_MAX + 1, g, 2, &p, why, sizeof(why)), -EINVAL);
	free(w);
	free(r);
}

/* 004b:CTL-23 and "never both SASTs at once": there is no order for it. */
static void test_sasts(void)
{
	static const char *const both[] = {"regenerate SAST1", "regenerate SAST2", "retire SAST1", "retire SAST2", "update ctl"};
	static const char *const twice[] = {"regenerate SAST1", "update ctl", "regenerate SAST2"};
	struct cp_tm_world *w = world(true), *x = malloc(sizeof(*x)), *y = malloc(sizeof(*y));
	struct cp_tm_group g[1] = {{.cnt = 5, .phone.secure = true}};
	struct cp_tm_toll toll;
	struct cp_tm_plan p;
	struct cp_tm_step s;
	char why[160] = "";

	go(w, "mode mixed");
	CU_ASSERT_EQUAL(boot(w, &g[0].phone), 0);
	CU_ASSERT_EQUAL(search(w, twice, 3, g, 1, &p, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(search(w, both, 5, g, 1, &p, why, sizeof(why)), 0);
	CU_ASSERT_NOT_EQUAL(p.order[4], 4); /* not the CTL last: no key would be left that may sign it */
	*x = *w;
	go(x, "regenerate SAST1");
	go(x, "regenerate SAST2");
	*y = *x;
	go(y, "update ctl"); /* the keys of yesterday are kept, and lead over */
	cp_tm_count(w, y, g, 1, &toll);
	CU_ASSERT_EQUAL(toll.stranded, 0);
	go(x, "retire SAST1");
	*y = *x;
	/* the last key that may sign the next CTL does not go, neither way (004c:CR-03, CR-05) */
	CU_ASSERT_EQUAL_FATAL(cp_tm_step_parse("retire SAST2", &s, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(cp_tm_apply(y, &s, why, sizeof(why)), -EPROTO);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "update the CTL first"));
	*y = *x;
	CU_ASSERT_EQUAL_FATAL(cp_tm_step_parse("regenerate SAST2", &s, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(cp_tm_apply(y, &s, why, sizeof(why)), -EPROTO);
	go(x, "update ctl");
	go(x, "retire SAST2");

	/* a CTL signed by a key that is not in it: only TVS can confirm it */
	*x = *w;
	go(x, "sign ctl with ITLRecovery");
	cp_tm_count(w, x, g, 1, &toll);
	CU_ASSERT_EQUAL(toll.stranded, 0);
	*y = *w;
	go(y, "regenerate TVS");
	*x = *y;
	go(x, "sign ctl with ITLRecovery");
	cp_tm_count(y, x, g, 1, &toll);
	CU_ASSERT_EQUAL(toll.stranded, 0); /* the new ITL brings the new TVS within reach first */
	go(y, "regenerate TFTP");
	CU_ASSERT_EQUAL(cp_tm_boot(y, &g[0].phone, NULL) & CP_TM_NO_ITL, CP_TM_NO_ITL);
	*x = *y;
	go(x, "regenerate CallManager");
	cp_tm_count(y, x, g, 1, &toll);
	CU_ASSERT_EQUAL(toll.stranded, 0);
	CU_ASSERT_EQUAL(toll.lost, 5); /* they were lost before, and are not counted twice */
	free(w);
	free(x);
	free(y);
}

/* 004b:CTL-16 and 002:P2-46, P2-51: a mode and back, rollback and back; a phone that was away all the time. */
static void test_modes(void)
{
	static const char *const way[] = {"mode mixed", "regenerate CallManager", "update ctl", "mode nonsecure", "mode mixed",
					  "rollback on", "rollback off", "mode nonsecure"};
	enum { STEPS = sizeof(way) / sizeof(way[0]) };
	struct cp_tm_world *w[STEPS + 1];
	struct cp_tm_phone held[STEPS + 1] = {0};

	w[0] = world(true);
	CU_ASSERT_EQUAL(boot(w[0], &held[0]), 0);
	held[0].secure = true;
	for (unsigned i = 0; i < STEPS; i++) {
		w[i + 1] = malloc(sizeof(*w[0]));
		*w[i + 1] = *w[i];
		w[i + 1]->fresh += 100 * i; /* no name twice */
		go(w[i + 1], way[i]);
		for (unsigned k = 0; k <= i; k++) /* away since any earlier step */
			CU_ASSERT_EQUAL(cp_tm_boot(w[i + 1], &held[k], NULL), 0);
		held[i + 1] = held[i];
		CU_ASSERT_EQUAL(boot(w[i + 1], &held[i + 1]), 0);
	}
	/* rolled back, a phone believes any list again */
	CU_ASSERT_FALSE(cp_tm_list_anchors(held[6].itl));
	for (unsigned i = 0; i <= STEPS; i++)
		free(w[i]);
}

/* An older backup comes back: what was made since is nobody's. 002:P2-41 */
static void test_restore(void)
{
	static const char *const one[] = {"restore TFTP"};
	struct cp_tm_world *w0 = world(false), *w1 = malloc(sizeof(*w1)), *w2 = malloc(sizeof(*w2));
	struct cp_tm_group g[2] = {{.cnt = 4}, {.cnt = 6}};
	struct cp_tm_toll toll;
	struct cp_tm_plan p;
	struct cp_tm_step s;
	char why[160];

	g[0].phone.itl = g[1].phone.itl = &w0->itl.list;
	*w1 = *w0;
	go(w1, "regenerate TFTP");
	CU_ASSERT_EQUAL(boot(w1, &g[1].phone), 0);
	*w2 = *w1;
	go(w2, "restore TFTP");
	CU_ASSERT_TRUE(cp_tm_list_equal(&w2->itl.list, &w0->itl.list));
	cp_tm_count(w1, w2, g, 2, &toll);
	CU_ASSERT_EQUAL(toll.stranded, 0); /* TVS stayed: it vouches for what came back */
	CU_ASSERT_EQUAL(search(w1, one, 1, g, 2, &p, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL_FATAL(cp_tm_step_parse("restore", &s, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(cp_tm_apply(w0, &s, why, sizeof(why)), -EPROTO);
	go(w1, "regenerate TVS");
	CU_ASSERT_EQUAL(boot(w1, &g[1].phone), 0);
	*w2 = *w1;
	go(w2, "restore all");
	cp_tm_count(w1, w2, g, 2, &toll);
	CU_ASSERT_EQUAL(toll.stranded, 6); /* they know neither the old TVS nor the old TFTP any more */
	free(w0);
	free(w1);
	free(w2);
}

static void test_words(void)
{
	static const char *const good[] = {"regenerate CallManager", "restore TVS",    "restore all",  "sign itl with TFTP",
					   "sign ctl with SAST2",    "remove ctl CAPF", "retire TFTP", "sign itl with TFTP.prev", "update ctl",
					   "mode mixed",	     "mode nonsecure", "rollback on",  "rollback off"};
	static const char *const bad[] = {"", "  ", "regenerate", "regenerate X", "regenerate TVS TFTP", "mode", "mode x", "sign itl",
					  "update itl", "update ctl now", "rollback maybe", "drop everything", "a b c d e f g",
					  "restore nothing", "remove both TVS"};
	struct cp_tm_step s, t;
	char buf[64], why[200], lots[300] = "";

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		CU_ASSERT_EQUAL(cp_tm_step_parse(good[i], &s, why, sizeof(why)), 0);
		CU_ASSERT_STRING_EQUAL(cp_tm_step_name(&s, buf, sizeof(buf)), good[i]);
		CU_ASSERT_EQUAL(cp_tm_step_parse(buf, &t, why, sizeof(why)), 0);
		CU_ASSERT_EQUAL(memcmp(&s, &t, sizeof(s)), 0);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why[0] = '\0';
		CU_ASSERT_EQUAL(cp_tm_step_parse(bad[i], &s, why, sizeof(why)), -EINVAL);
		CU_ASSERT_NOT_EQUAL(why[0], '\0');
	}
	CU_ASSERT_EQUAL(cp_tm_step_parse("REGEN tftp", &s, why, sizeof(why)), 0);
	CU_ASSERT_STRING_EQUAL(cp_tm_step_name(&s, buf, sizeof(buf)), "regenerate TFTP");
	memset(lots, 'a', sizeof(lots) - 1);
	CU_ASSERT_EQUAL(cp_tm_step_parse(lots, &s, why, sizeof(why)), -EINVAL);
}

static CU_TestInfo tests[] = {
	{"first lists", test_first},
	{"TVS vouches for a signer", test_tvs},
	{"TVS and TFTP together strand who is away", test_both},
	{"search for an order", test_search},
	{"SASTs one after the other", test_sasts},
	{"modes and rollback", test_modes},
	{"an older backup", test_restore},
	{"words of a change", test_words},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("trust plan", tests, NULL, NULL)
