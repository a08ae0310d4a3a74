/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/call/security.c, devtype.c, barge.c: what the icon may claim, who is trusted, who may barge. Tables that name their rows.
 * Rows: 000:P0-16, P0-32, R-12, 004b:SEC-10; 000:P0-08, P0-18, P0-19, R-05, R-08; 001:P1-005, P1-114, P1-115; 004a:CALL-01; 004b:R-30, SEC-12.
 */
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <string.h>

#include "call/barge.h"
#include "sccp/devtype.h"
#include "store/records.h"
#include "call/security.h"

/* index: authenticated * 4 + signal_encrypted * 2 + media_encrypted */
static const enum cp_security expect[8] = {
	CP_SEC_NOT_SECURE, CP_SEC_NOT_SECURE, CP_SEC_NOT_SECURE, CP_SEC_NOT_SECURE,
	CP_SEC_AUTHENTICATED, CP_SEC_AUTHENTICATED, CP_SEC_AUTHENTICATED, CP_SEC_ENCRYPTED,
};

static struct cp_party_security party(unsigned bits)
{
	return (struct cp_party_security){.authenticated = (bits & 4) != 0, .signal_encrypted = (bits & 2) != 0,
					  .media_encrypted = (bits & 1) != 0, .untrusted = (bits & 8) != 0};
}

static void test_every_pair(void)
{
	for (unsigned a = 0; a < 16; a++) {
		for (unsigned b = 0; b < 16; b++) {
			struct cp_party_security p[2] = {party(a), party(b)};
			/* 000:P0-20: one that is not trusted, and the rest does not matter */
			enum cp_security wa = a >= 8 ? CP_SEC_NOT_SECURE : expect[a], wb = b >= 8 ? CP_SEC_NOT_SECURE : expect[b];

			CU_ASSERT_EQUAL(cp_security_call(p, 2, NULL), wa < wb ? wa : wb);
		}
	}
}

static void test_nobody_is_unknown(void)
{
	struct cp_path_security all = {true, true, true, true, true};

	CU_ASSERT_EQUAL(cp_security_call(NULL, 0, NULL), CP_SEC_UNKNOWN);
	CU_ASSERT_EQUAL(cp_security_call(NULL, 0, &all), CP_SEC_UNKNOWN);
	CU_ASSERT_STRING_EQUAL(cp_security_name(CP_SEC_ENCRYPTED), "encrypted");
	CU_ASSERT_STRING_EQUAL(cp_security_name(CP_SEC_AUTHENTICATED), "authenticated");
	CU_ASSERT_STRING_EQUAL(cp_security_name(CP_SEC_NOT_SECURE), "not-secure");
	CU_ASSERT_STRING_EQUAL(cp_security_name(CP_SEC_UNKNOWN), "unknown");
}

/* A party: N non-secure, A authenticated, S authenticated with clear media although its signalling is encrypted, E encrypted,
 * U encrypted but not trusted, G non-secure guest. */
static struct cp_party_security of(char kind)
{
	switch (kind) {
	case 'A':
		return party(4);
	case 'S':
		return party(6);
	case 'E':
		return party(7);
	case 'U':
		return party(15);
	case 'G': {
		struct cp_party_security p = party(0);

		p.guest = true;
		return p;
	}
	default:
		return party(0);
	}
}

static void test_the_table(void)
{
	static const struct {
		const char *row, *parties;
		struct cp_path_security path;
		enum cp_security want;
	} t[] = {
		{"000:P0-18 all encrypted, all trusted", "EE", {0}, CP_SEC_ENCRYPTED},
		{"000:P0-18 a conference of five", "EEEEE", {0}, CP_SEC_ENCRYPTED},
		{"001:P1-114 all sign", "AA", {0}, CP_SEC_AUTHENTICATED},
		{"001:P1-114 one encrypts, one signs", "EA", {0}, CP_SEC_AUTHENTICATED},
		{"001:P1-104 a party without SRTP: the call is RTP", "ES", {0}, CP_SEC_AUTHENTICATED},
		{"004a:CALL-01 one neither, the other secure", "EN", {0}, CP_SEC_NOT_SECURE},
		{"004b:R-30 caller or callee does not matter", "NE", {0}, CP_SEC_NOT_SECURE},
		{"000:P0-20 an untrusted device", "EU", {0}, CP_SEC_NOT_SECURE},
		{"000:P0-21 an untrusted one in a conference", "EEUE", {0}, CP_SEC_NOT_SECURE},
		{"001:P1-118 SIP trunk", "EE", {.sip_trunk = true}, CP_SEC_NOT_SECURE},
		{"001:P1-108 SIP trunk over TLS, by choice", "EE", {.sip_trunk = true, .sip_shield = true}, CP_SEC_AUTHENTICATED},
		{"001:P1-108 and not more than its parties", "NA", {.sip_trunk = true, .sip_shield = true}, CP_SEC_NOT_SECURE},
		{"001:P1-121 H.323 trunk", "AA", {.h323_trunk = true}, CP_SEC_NOT_SECURE},
		{"001:P1-119 clear music: from encrypted to non-secure", "EE", {.clear_stream = true}, CP_SEC_NOT_SECURE},
		{"001:P1-111 a clear bridge among phones that sign", "AAA", {.clear_stream = true}, CP_SEC_AUTHENTICATED},
		{"001:P1-127 cBarge", "EEE", {.shared_bridge = true}, CP_SEC_NOT_SECURE},
		{"001:P1-126 a guest: the shield stays", "AAG", {0}, CP_SEC_AUTHENTICATED},
		{"001:P1-126 but no lock", "EEG", {0}, CP_SEC_AUTHENTICATED},
		{"000:P0-20 the guest is no way around trust", "UAG", {0}, CP_SEC_NOT_SECURE},
		{"nobody but a guest", "G", {0}, CP_SEC_NOT_SECURE},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct cp_party_security p[8];
		unsigned n = (unsigned)strlen(t[i].parties);
		enum cp_security got;

		CU_ASSERT_TRUE_FATAL(n <= 8);
		for (unsigned k = 0; k < n && k < 8; k++)
			p[k] = of(t[i].parties[k]);
		got = cp_security_call(p, n, &t[i].path);
		if (got != t[i].want)
			printf("%s: %s\n", t[i].row, cp_security_name(got));
		CU_ASSERT_EQUAL(got, t[i].want);
	}
}

/* Whatever is added to a call, its status never becomes better, but by nobody's leaving. */
static void test_never_better(void)
{
	static const char kinds[] = "NASEUG";

	for (unsigned i = 0; i < 6 * 6 * 6; i++) {
		struct cp_party_security p[3] = {of(kinds[i % 6]), of(kinds[i / 6 % 6]), of(kinds[i / 36])};
		enum cp_security two = cp_security_call(p, 2, NULL), three = cp_security_call(p, 3, NULL);

		if (kinds[i % 6] != 'G' || kinds[i / 6 % 6] != 'G') /* two guests are nobody's call */
			CU_ASSERT_TRUE(three <= two);
		for (unsigned m = 0; m < 32; m++) {
			struct cp_path_security path = {(m & 1) != 0, (m & 2) != 0, (m & 4) != 0, (m & 8) != 0, (m & 16) != 0};

			CU_ASSERT_TRUE(cp_security_call(p, 3, &path) <= three);
		}
	}
}

static void test_barge(void)
{
	static const struct {
		const char *row;
		struct cp_barge_ask ask;
		struct cp_barge want;
	} t[] = {
#define N CP_PHONE_NONSECURE
#define A CP_PHONE_AUTHENTICATED
#define E CP_PHONE_ENCRYPTED
		{"001:P1-123", {N, CP_SEC_ENCRYPTED, false, false}, {CP_BARGE_BUSY, CP_SEC_ENCRYPTED, false}},
		{"004a:CALL-04", {A, CP_SEC_ENCRYPTED, false, false}, {CP_BARGE_BUSY, CP_SEC_ENCRYPTED, false}},
		{"001:P1-125 004a:CALL-06", {E, CP_SEC_ENCRYPTED, false, false}, {CP_BARGE_OK, CP_SEC_ENCRYPTED, false}},
		{"001:P1-124 004a:CALL-05", {E, CP_SEC_AUTHENTICATED, false, false}, {CP_BARGE_OK, CP_SEC_NOT_SECURE, false}},
		{"001:P1-124", {E, CP_SEC_NOT_SECURE, false, false}, {CP_BARGE_OK, CP_SEC_NOT_SECURE, false}},
		{"001:P1-126 004a:CALL-07", {N, CP_SEC_AUTHENTICATED, false, false}, {CP_BARGE_OK, CP_SEC_AUTHENTICATED, true}},
		{"not in the table", {N, CP_SEC_NOT_SECURE, false, false}, {CP_BARGE_OK, CP_SEC_NOT_SECURE, false}},
		{"not in the table", {A, CP_SEC_NOT_SECURE, false, false}, {CP_BARGE_OK, CP_SEC_NOT_SECURE, false}},
		{"not in the table", {A, CP_SEC_AUTHENTICATED, false, false}, {CP_BARGE_OK, CP_SEC_AUTHENTICATED, false}},
		{"001:P1-128 004a:CALL-09 004c:BG-01", {E, CP_SEC_ENCRYPTED, true, false}, {CP_BARGE_FAILURE, CP_SEC_ENCRYPTED, false}},
		{"001:P1-128 an old phone in a lesser call", {N, CP_SEC_NOT_SECURE, true, false}, {CP_BARGE_OK, CP_SEC_NOT_SECURE, false}},
		{"001:P1-127 004a:CALL-08", {E, CP_SEC_ENCRYPTED, false, true}, {CP_BARGE_OK, CP_SEC_NOT_SECURE, false}},
		{"001:P1-127 over an old phone, too", {N, CP_SEC_ENCRYPTED, true, true}, {CP_BARGE_OK, CP_SEC_NOT_SECURE, false}},
#undef N
#undef A
#undef E
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct cp_barge r = cp_barge_decide(&t[i].ask);

		if (r.result != t[i].want.result || r.call != t[i].want.call || r.guest != t[i].want.guest)
			printf("row %zu, %s: result %d call %s guest %d\n", i, t[i].row, r.result, cp_security_name(r.call), r.guest);
		CU_ASSERT(r.result == t[i].want.result && r.call == t[i].want.call && r.guest == t[i].want.guest);
	}
	/* 001:P1-129, 004a:CALL-10, 004c:BG-02 */
	CU_ASSERT_PTR_NULL(cp_barge_warning(true, true, false));
	CU_ASSERT_PTR_NULL(cp_barge_warning(true, false, true));
	CU_ASSERT_PTR_NULL(cp_barge_warning(false, true, true));
	CU_ASSERT_PTR_NOT_NULL_FATAL(cp_barge_warning(true, true, true));
	CU_ASSERT_PTR_NOT_NULL(strstr(cp_barge_warning(true, true, true), "the barge attempt fails."));
}

/* 000:P0-12, P0-14, P0-15, P0-32; 001:P1-142, P1-143. */
static void test_types(void)
{
	static const char *const encrypting[] = {"7906", "7911", "7940", "7941", "7941G-GE", "7960", "7961", "7961G-GE", "7970", "7971"};
	const struct cp_devtype *t;

	for (size_t i = 0; i < sizeof(encrypting) / sizeof(encrypting[0]); i++)
		CU_ASSERT_TRUE((cp_devtype_find(encrypting[i], 0)->flags & CP_DT_SRTP) != 0);
	t = cp_devtype_find("CP-7912G", 0);
	CU_ASSERT((t->flags & (CP_DT_SRTP | CP_DT_TLS)) == 0 && (t->flags & CP_DT_TRUSTED) != 0);
	CU_ASSERT_STRING_EQUAL(cp_devtype_find("Cisco 7960 (SCCP)", 0)->model, "7960");
	CU_ASSERT_TRUE((cp_devtype_find("7960", 0)->flags & CP_DT_OLD_SRTP) != 0);
	CU_ASSERT_TRUE((cp_devtype_find("7961", 0)->flags & CP_DT_OLD_SRTP) == 0);
	/* the phone's own number counts only if the record says nothing */
	CU_ASSERT_STRING_EQUAL(cp_devtype_find("", 0x7542)->model, "7961");
	CU_ASSERT_STRING_EQUAL(cp_devtype_find("7912", 0x7542)->model, "7912");
	CU_ASSERT_STRING_EQUAL(cp_devtype_find("ACME", 0x7542)->model, "unknown");
	CU_ASSERT_STRING_EQUAL(cp_devtype_find("", 0x9999)->model, "phone");
	CU_ASSERT_STRING_EQUAL(cp_devtype_find("1234", 0)->model, "unknown");
	CU_ASSERT_STRING_EQUAL(cp_devtype_find("79610", 0)->model, "unknown"); /* five digits are another number */
	CU_ASSERT_STRING_EQUAL(cp_devtype_find("v12 7965 r7912", 0)->model, "7965");
	CU_ASSERT_STRING_EQUAL(cp_devtype_trust_text(cp_devtype_find("7961", 0)), "Device Is Trusted");
	CU_ASSERT_STRING_EQUAL(cp_devtype_trust_text(cp_devtype_find("ACME 1", 0)), "Device Is Not Trusted");
}

static void test_modes(void)
{
	static const struct {
		const char *model;
		bool secure;
	} rows[] = {{"7960", true}, {"7961", true}, {"8865", true}, {"7912", false}, {"7920", false}, {"3905", false}, {"6911", false}, {"ACME", false}, {"", true}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cp_devtype *t = cp_devtype_find(rows[i].model, 0);

		CU_ASSERT_TRUE(cp_devtype_mode_ok(t, CP_DEVICE_NONSECURE));
		CU_ASSERT_EQUAL(cp_devtype_mode_ok(t, CP_DEVICE_AUTHENTICATED), rows[i].secure);
		CU_ASSERT_EQUAL(cp_devtype_mode_ok(t, CP_DEVICE_ENCRYPTED), rows[i].secure);
	}
	/* authenticated only: a package can say so */
	CU_ASSERT_TRUE(cp_devtype_mode_ok(&(struct cp_devtype){"x", 0, CP_DT_TLS | CP_DT_AUTH_ONLY}, CP_DEVICE_AUTHENTICATED));
	CU_ASSERT_FALSE(cp_devtype_mode_ok(&(struct cp_devtype){"x", 0, CP_DT_TLS | CP_DT_AUTH_ONLY}, CP_DEVICE_ENCRYPTED));
	for (unsigned i = 0; cp_devtype_at(i) != NULL; i++) {
		CU_ASSERT_TRUE(cp_devtype_known(cp_devtype_at(i)));
		CU_ASSERT_TRUE((cp_devtype_at(i)->flags & CP_DT_TRUSTED) != 0);
	}
}

static void test_gateways(void)
{
	static const struct {
		const char *type;
		bool trusted;
	} rows[] = {{"", true},	       {"VG224", true},	  {"vg224", true},     {"VG224-ICC", true}, {"Cisco 2811", true}, {"cisco 3845", true}, {"WS-X6608-T1", true},
		    {"IAD2431", true}, {"2691", true},	  {"2691XM", true},    {"ACME", false},	    {"VG2240", false},	  {"28111", false},	{"281", false},
		    {"VG22", false},   {"Cisco ", false}, {"ACME 2811", false}, {"28ab", false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cp_devtype *t = cp_devtype_gateway(rows[i].type);

		if (((t->flags & CP_DT_TRUSTED) != 0) != rows[i].trusted)
			printf("gateway type %s\n", rows[i].type);
		CU_ASSERT_EQUAL((t->flags & CP_DT_TRUSTED) != 0, rows[i].trusted);
		CU_ASSERT_STRING_EQUAL(cp_devtype_trust_text(t), rows[i].trusted ? "Device Is Trusted" : "Device Is Not Trusted");
	}
}

static CU_TestInfo tests[] = {
	{"modes by type", test_modes},
	{"types of gateways", test_gateways},
	{"every pair of parties", test_every_pair},
	{"nobody is unknown", test_nobody_is_unknown},
	{"the table of the documents", test_the_table},
	{"never better for more", test_never_better},
	{"barge", test_barge},
	{"types of devices", test_types},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("security", tests, NULL, NULL)
