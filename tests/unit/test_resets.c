/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/sccp/resets.c: every row of the documents' matrices (001 section 5.1, 004a section 5.3) is answered, and so that what it
 * demands of phones is done or named; what a change of a record is; what answers say.
 */
#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "sccp/resets.h"

/* As the catalogue has them: what phones must do. 'restart' is met by a reset too. A line alone is of 004a's matrix. */
static const struct {
	const char *row;
	enum cp_reset_act act;
	enum cp_reset_scope scope;
} demanded[] = {
	{"001:L316", CP_RESET_RESET, CP_RESET_THE_DEVICE},
	{"000:P0-59", CP_RESET_RESET, CP_RESET_THE_PROFILE},
	{"001:L317", CP_RESET_RESET, CP_RESET_THE_DEVICE},
	{"001:L318", CP_RESET_RESET, CP_RESET_ALL},
	{"001:L319", CP_RESET_RESTART, CP_RESET_ALL},
	{"001:L320", CP_RESET_RESET, CP_RESET_ALL},
	{"001:L321", CP_RESET_NONE, CP_RESET_NOBODY},
	{"001:L323", CP_RESET_NONE, CP_RESET_NOBODY},
	{"001:L325", CP_RESET_NONE, CP_RESET_NOBODY},
	{"001:L326", CP_RESET_RESET, CP_RESET_THE_SRST},
	{"001:L327", CP_RESET_NONE, CP_RESET_NOBODY},
	{"001:L329", CP_RESET_NONE, CP_RESET_NOBODY},
	{"001:L450", CP_RESET_NONE, CP_RESET_NOBODY},
	{"001:L471", CP_RESET_NONE, CP_RESET_NOBODY},
	{"001:L520", CP_RESET_RESTART, CP_RESET_THE_DEVICE},
	{"001:L732", CP_RESET_RESET, CP_RESET_ALL},
	{"L901", CP_RESET_RESET, CP_RESET_THE_DEVICE},
	{"L904", CP_RESET_RESET, CP_RESET_THE_DEVICE},
	{"L908", CP_RESET_RESET, CP_RESET_ALL},
	{"L911", CP_RESET_RESTART, CP_RESET_ALL},
	{"L914", CP_RESET_RESET, CP_RESET_THE_SRST},
	{"L916", CP_RESET_NONE, CP_RESET_NOBODY},
	{"L922", CP_RESET_NONE, CP_RESET_NOBODY},
	{"L933", CP_RESET_NONE, CP_RESET_NOBODY},
	{"L936", CP_RESET_NONE, CP_RESET_NOBODY},
	{"L1408", CP_RESET_RESTART, CP_RESET_THE_DEVICE},
	{"L1769", CP_RESET_RESET, CP_RESET_ALL},
	{"L1135", CP_RESET_RESET, CP_RESET_ALL},
	{"L1202", CP_RESET_RESET, CP_RESET_ALL},
	{"L1258", CP_RESET_RESET, CP_RESET_ALL},
	{"002:P2-34", CP_RESET_RESET, CP_RESET_ALL},
	{"002:P2-35", CP_RESET_RESET, CP_RESET_ALL},
	{"002:P2-36", CP_RESET_RESET, CP_RESET_ALL},
	{"004a:CTL-23", CP_RESET_RESTART, CP_RESET_ALL},
	{"004a:SRST-04", CP_RESET_RESET, CP_RESET_THE_SRST},
	{"004a:TFTP-06", CP_RESET_RESTART, CP_RESET_THE_DEVICE},
	{"004b:CTL-07", CP_RESET_RESTART, CP_RESET_ALL},
	{"004b:R-19", CP_RESET_RESET, CP_RESET_ALL},
	{"004b:SRST-12", CP_RESET_RESET, CP_RESET_THE_SRST},
	{"004c:SR-06", CP_RESET_RESET, CP_RESET_THE_SRST},
	{"004b:CAPF-25", CP_RESET_RESET, CP_RESET_THE_DEVICE},
	{"004b:SRST-08", CP_RESET_RESET, CP_RESET_THE_SRST},
	{"004b:SEC-08", CP_RESET_RESET, CP_RESET_ALL},
	{"004c:CT-21", CP_RESET_RESTART, CP_RESET_ALL},
	{"004b:R-12", CP_RESET_RESTART, CP_RESET_ALL},
	{"004a:SVC-05", CP_RESET_RESET, CP_RESET_THE_DEVICE},
};

static bool cites(const struct cp_reset_row *r, const char *row)
{
	const char *at = r->rows;
	size_t n = strlen(row);

	while ((at = strstr(at, row)) != NULL) {
		if (at[n] == '\0' || at[n] == ',' || at[n] == ';' || at[n] == ' ')
			return true;
		at += n;
	}
	return false;
}

static void test_every_row(void)
{
	for (size_t i = 0; i < sizeof(demanded) / sizeof(demanded[0]); i++) {
		bool found = false, met = false;

		for (int ev = 0; ev < CP_RESET_EV_MAX; ev++) {
			const struct cp_reset_row *r = cp_reset_row((enum cp_reset_event)ev);

			if (!cites(r, demanded[i].row))
				continue;
			found = true;
			met = met || (r->act >= demanded[i].act && r->scope >= demanded[i].scope);
		}
		if (!found || !met) {
			fprintf(stderr, "%s: %s\n", demanded[i].row, found ? "too little is done" : "no row cites it");
			CU_FAIL("matrix");
		}
	}
	CU_ASSERT_PTR_NULL(cp_reset_row(CP_RESET_EV_MAX));
}

static void test_rows_are_whole(void)
{
	json_t *table = cp_reset_table();

	CU_ASSERT_EQUAL(json_array_size(table), CP_RESET_EV_MAX);
	for (int ev = 0; ev < CP_RESET_EV_MAX; ev++) {
		const struct cp_reset_row *r = cp_reset_row((enum cp_reset_event)ev);

		CU_ASSERT(r->change != NULL && r->asked != NULL && r->rows != NULL && r->here != NULL);
		CU_ASSERT_EQUAL(r->act == CP_RESET_NONE, r->scope == CP_RESET_NOBODY);
		CU_ASSERT(!r->itself || r->scope == CP_RESET_THE_DEVICE); /* of many phones an operator decides */
	}
	json_decref(table);
}

static const char *text(const json_t *o, const char *key)
{
	const char *v = json_string_value(json_object_get(o, key));

	return v != NULL ? v : "(null)";
}

static void test_say(void)
{
	static const struct {
		enum cp_reset_event ev;
		const char *subject, *phones, *scope, *command;
	} says[] = {
		{CP_RESET_EV_MODE, "SEP1", "reset", "device", "(null)"}, /* done */
		{CP_RESET_EV_LINES, "SEP1", "restart", "device", "(null)"},
		{CP_RESET_EV_PROFILE, "desk", "reset", "profile", "ravelinctl phone reset --profile desk"},
		{CP_RESET_EV_SRST, "branch", "reset", "srst", "ravelinctl phone reset --srst branch"},
		{CP_RESET_EV_CAPF_OP, "SEP1", "reset", "device", "ravelinctl phone reset SEP1"},
		{CP_RESET_EV_CTL, NULL, "restart", "all", "ravelinctl phone restart --all"},
		{CP_RESET_EV_CTLP, NULL, "none", "nobody", "(null)"},
	};

	for (size_t i = 0; i < sizeof(says) / sizeof(says[0]); i++) {
		json_t *o = cp_reset_say(says[i].ev, says[i].subject);

		CU_ASSERT_STRING_EQUAL(text(o, "phones"), says[i].phones);
		CU_ASSERT_STRING_EQUAL(text(o, "scope"), says[i].scope);
		CU_ASSERT_STRING_EQUAL(text(o, "command"), says[i].command);
		CU_ASSERT(strlen(text(o, "why")) > 6);
		json_decref(o);
	}
	CU_ASSERT_PTR_NULL(cp_reset_say(CP_RESET_EV_MAX, "x"));
}

static void test_of_device(void)
{
	struct cp_line l1[1] = {{.number = "1001", .label = "Alice"}}, l2[1] = {{.number = "1001", .label = "Bob"}};
	struct cp_device a = {.name = "SEP0A1B2C3D4E51", .mode = CP_DEVICE_ENCRYPTED, .line_cnt = 1, .lines = l1}, b = a;
	uint8_t k1[2] = {1, 2}, k2[2] = {1, 3};

	CU_ASSERT_EQUAL(cp_reset_of_device(&a, &b), CP_RESET_EV_MAX);
	CU_ASSERT_EQUAL(cp_reset_digest(&a), cp_reset_digest(&b));
	b.lines = l2;
	strcpy(b.description, "x");
	CU_ASSERT_EQUAL(cp_reset_of_device(&a, &b), CP_RESET_EV_LINES);
	CU_ASSERT_EQUAL(cp_reset_digest(&a), cp_reset_digest(&b)); /* a restart is enough */
	b.line_cnt = 0;
	CU_ASSERT_EQUAL(cp_reset_of_device(&a, &b), CP_RESET_EV_LINES);
	a.config_key = (struct cp_buf){k1, 2};
	b.config_key = (struct cp_buf){k2, 2};
	CU_ASSERT_EQUAL(cp_reset_of_device(&a, &b), CP_RESET_EV_DEVICE);
	CU_ASSERT_NOT_EQUAL(cp_reset_digest(&a), cp_reset_digest(&b));
	strcpy(b.load, "x");
	CU_ASSERT_EQUAL(cp_reset_of_device(&a, &b), CP_RESET_EV_DEVICE);
	b.harden.v[0] = 1;
	CU_ASSERT_EQUAL(cp_reset_of_device(&a, &b), CP_RESET_EV_HARDEN);
	b.mode = CP_DEVICE_NONSECURE; /* the heaviest is said */
	CU_ASSERT_EQUAL(cp_reset_of_device(&a, &b), CP_RESET_EV_MODE);
	b = a;
	strcpy(b.profile, "desk");
	CU_ASSERT_EQUAL(cp_reset_of_device(&a, &b), CP_RESET_EV_MODE);
	strcpy(a.profile, "d");
	strcpy(a.srst, "esk");
	CU_ASSERT_NOT_EQUAL(cp_reset_digest(&a), cp_reset_digest(&b));
}

static CU_TestInfo tests[] = {
	{"every row of the documents' matrices is answered", test_every_row},
	{"rows are whole", test_rows_are_whole},
	{"what answers say", test_say},
	{"what a change of a record is", test_of_device},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("resets", tests, NULL, NULL)
