/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/call/security.c: the icon is the minimum over all parties (all 8 x 8 pairs against a table). */
/* Rows: 000:P0-08, P0-18, P0-19, R-05, R-08; 001:P1-005, P1-114, P1-115; 004a:CALL-01; 004b:R-30, SEC-12. */
#include <CUnit/CUnit.h>

#include "call/security.h"

/* index: authenticated * 4 + signal_encrypted * 2 + media_encrypted */
static const enum cp_security expect[8] = {
	CP_SEC_NOT_SECURE, CP_SEC_NOT_SECURE, CP_SEC_NOT_SECURE, CP_SEC_NOT_SECURE,
	CP_SEC_AUTHENTICATED, CP_SEC_AUTHENTICATED, CP_SEC_AUTHENTICATED, CP_SEC_ENCRYPTED,
};

static struct cp_party_security party(unsigned bits)
{
	return (struct cp_party_security){(bits & 4) != 0, (bits & 2) != 0, (bits & 1) != 0};
}

static void test_every_pair(void)
{
	for (unsigned a = 0; a < 8; a++) {
		for (unsigned b = 0; b < 8; b++) {
			struct cp_party_security p[2] = {party(a), party(b)};
			enum cp_security want = expect[a] < expect[b] ? expect[a] : expect[b];

			CU_ASSERT_EQUAL(cp_security_call(p, 2), want);
		}
	}
}

static void test_nobody_is_unknown(void)
{
	CU_ASSERT_EQUAL(cp_security_call(NULL, 0), CP_SEC_UNKNOWN);
	CU_ASSERT_STRING_EQUAL(cp_security_name(CP_SEC_ENCRYPTED), "encrypted");
	CU_ASSERT_STRING_EQUAL(cp_security_name(CP_SEC_NOT_SECURE), "not-secure");
}

static CU_TestInfo tests[] = {
	{"every pair of parties", test_every_pair},
	{"nobody is unknown", test_nobody_is_unknown},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("security", tests, NULL, NULL)
