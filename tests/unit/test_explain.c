/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What `ravelinctl explain` says of lists and files is what the model reckons with and what a phone does. Phones of
 * bench/sim/trustphone.h hold a CTL alone, an ITL alone, both or nothing, in clusters whose keys were changed since. 002:P2-15, P2-16.
 */
#include <CUnit/CUnit.h>
#include <jansson.h>

#include "drill.h"
#include "provision/explain.h"
#include "trust/ledger.h"

static struct tp_pool *pool;
static unsigned agreed, stranded;

static int setup(void)
{
	pool = tp_pool_create();
	return pool != NULL ? 0 : -1;
}

static int teardown(void)
{
	printf("\n  %u answers compared, %u phones of them stranded\n", agreed, stranded);
	tp_pool_destroy(pool);
	fix_keys_free();
	return 0;
}

static void go(struct drill *d, const char *text)
{
	struct cp_tm_step s;
	char why[200] = "";

	CU_ASSERT_EQUAL_FATAL(cp_tm_step_parse(text, &s, why, sizeof(why)), 0);
	CU_ASSERT_TRUE_FATAL(drill_do(d, &s));
}

static const char *verifies(const json_t *o, const char *name)
{
	const json_t *a;
	size_t i;

	json_array_foreach(json_object_get(o, "asks"), i, a)
		if (strncmp(json_string_value(json_object_get(a, "name")), name, strlen(name)) == 0) {
			const char *v = json_string_value(json_object_get(a, "verifies"));

			return v != NULL ? v : "";
		}
	return "";
}

static struct pki_tl *parsed(const struct cp_buf *b)
{
	struct pki_tl *tl = malloc(sizeof(*tl));

	if (b->len > 0 && pki_tl_parse(b->data, b->len, tl, NULL, 0) == 0)
		return tl;
	free(tl);
	return NULL;
}

/* A phone with these files in it asks the cluster as it is: explain, model and phone say the same. Returns the model's bits. */
static unsigned compare(struct drill *d, const struct cp_buf *ctl, const struct cp_buf *itl)
{
	struct cp_devcfg c = {.device = "SEP001122334455", .mode = CP_DEVICE_ENCRYPTED, .mode_set = CP_DEVICE_ENCRYPTED, .mixed = d->mixed};
	struct cp_explain e = {.c = &c, .cls = PKI_CLASS_MODERN, .signer = d->now[CP_TM_TFTP].cert, .known = true};
	struct tp_phone ph = {.secure = true};
	struct cp_tm_list held[2];
	struct cp_tm_world *w = malloc(sizeof(*w));
	struct pki_tl *tl[4] = {parsed(&d->ctl[e.cls]), parsed(&d->itl[e.cls]), ctl != NULL ? parsed(ctl) : NULL,
				itl != NULL ? parsed(itl) : NULL};
	struct tp_offer o;
	unsigned why;
	json_t *said;

	CU_ASSERT_EQUAL_FATAL(drill_world(d, e.cls, w), 0);
	e.world = w;
	e.ctl = tl[0];
	e.itl = tl[1];
	e.phone.secure = true;
	for (int i = 0; i < 2; i++)
		if (tl[2 + i] != NULL) {
			CU_ASSERT_EQUAL_FATAL(cp_tm_list_of(tl[2 + i], &held[i], NULL), 0);
			*(i == 0 ? &e.phone.ctl : &e.phone.itl) = &held[i];
		}
	why = cp_tm_boot(w, &e.phone, NULL);
	said = cp_explain(&e);
	CU_ASSERT_PTR_NOT_NULL_FATAL(said);
	if (d->made)
		CU_ASSERT_STRING_EQUAL(verifies(said, "CTLSEP"), why & CP_TM_NO_CTL ? "no" : "yes");
	CU_ASSERT_STRING_EQUAL(verifies(said, "ITLSEP"), why & CP_TM_NO_ITL ? "no" : "yes");
	CU_ASSERT_STRING_EQUAL(verifies(said, "SEP001122334455.cnf.xml.sgn"), why & CP_TM_NO_CONFIG ? "no" : "yes");

	drill_offer(d, pool, e.cls, &o);
	ph.ctl = ctl != NULL ? tp_file(pool, drill_blob(ctl), true) : NULL;
	ph.itl = itl != NULL ? tp_file(pool, drill_blob(itl), true) : NULL;
	tp_settle(pool, &ph, &o, 5);
	CU_ASSERT_EQUAL(o.ctl == NULL || ph.ctl == o.ctl, (why & CP_TM_NO_CTL) == 0);
	CU_ASSERT_EQUAL(ph.itl == o.itl, (why & CP_TM_NO_ITL) == 0);
	CU_ASSERT_EQUAL(ph.config_ok, (why & CP_TM_NO_CONFIG) == 0);
	agreed++;
	stranded += why != 0;
	json_decref(said);
	for (unsigned i = 0; i < 4; i++)
		free(tl[i]);
	free(w);
	return why;
}

/* In a mixed cluster a phone may have the CTL alone: it was there before its ITL was, or its ITL was erased. The CTL's TFTP record
 * checks the ITL and the files. */
static void test_ctl_alone(void)
{
	struct drill *d = drill_create(CP_TM_WITH_TFTP, true), *old;

	CU_ASSERT_EQUAL(compare(d, &d->ctl[PKI_CLASS_MODERN], NULL), 0);
	old = drill_copy(d);
	go(d, "regenerate TFTP"); /* its CTL names neither the new key nor TVS */
	CU_ASSERT_EQUAL(compare(d, &old->ctl[PKI_CLASS_MODERN], NULL), CP_TM_NO_ITL | CP_TM_NO_CONFIG);
	go(d, "update ctl"); /* it takes that, and with it the ITL */
	CU_ASSERT_EQUAL(compare(d, &old->ctl[PKI_CLASS_MODERN], NULL), 0);
	drill_destroy(old);
	drill_destroy(d);
}

/* Whatever it holds of what was ever served, whatever was changed since. */
static void test_all(void)
{
	static const char *const way[] = {"regenerate TFTP", "mode mixed", "regenerate TVS", "regenerate CallManager", "update ctl",
					  "regenerate SAST1", "sign itl with ITLRecovery", "update ctl", "retire SAST1", "regenerate TFTP",
					  "sign itl with TFTP", "rollback on", "rollback off", "retire TFTP", "mode nonsecure", "regenerate TVS",
					  "mode mixed"};
	enum { STEPS = sizeof(way) / sizeof(way[0]) };
	struct drill *was[STEPS + 1];

	for (int with = CP_TM_WITH_AUTO; with <= CP_TM_WITH_TFTP; with++) {
		was[0] = drill_create((enum cp_tm_with)with, false);
		for (unsigned i = 0; i < STEPS; i++) {
			was[i + 1] = drill_copy(was[i]);
			go(was[i + 1], way[i]);
		}
		for (unsigned now = 0; now <= STEPS; now++) {
			compare(was[now], NULL, NULL);
			for (unsigned then = 0; then <= now; then++) {
				const struct cp_buf *ctl = was[then]->made ? &was[then]->ctl[PKI_CLASS_MODERN] : NULL;

				compare(was[now], ctl, NULL);
				compare(was[now], NULL, &was[then]->itl[PKI_CLASS_MODERN]);
				compare(was[now], ctl, &was[then]->itl[PKI_CLASS_MODERN]);
			}
		}
		for (unsigned i = 0; i <= STEPS; i++)
			drill_destroy(was[i]);
	}
	CU_ASSERT_TRUE(stranded > 0);
}

static CU_TestInfo tests[] = {
	{"a CTL and no ITL", test_ctl_alone},
	{"anything that was ever served", test_all},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("explain", tests, setup, teardown)
