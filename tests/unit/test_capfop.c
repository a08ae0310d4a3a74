/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rules of CAPF's operations: what may be set for which device, with the catalogue's words where not (004b:CAPF-12, CAPF-17,
 * CAPF-22, CAPF-26; 004c 4.6; 000:R-10); what each end of a session makes of an operation (CAPF-04, CAPF-24; 004c:CA-06); and the records.
 * Rows: 004b:CAPF-23, CAPF-24, CAPF-45, R-21, R-22, R-24, R-25; 004c:CA-03, CA-07.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "enrol/capfop.h"
#include "store/phonecfg.h"
#include "suite.h"

#define US  INT64_C(1000000)
#define NOW (INT64_C(1790000000) * US) /* 21 September 2026 */
#define PHONE "SEP001122334455"

static char why[300];

static struct cp_capf_set plain_set(uint8_t op, uint8_t by)
{
	return (struct cp_capf_set){.device = PHONE, .op = op, .by = by, .has_string = by == CP_CAPF_STRING, .key = "",
				    .deadline_us = NOW + 3600 * US, .id = 7, .mode = CP_DEVICE_NONSECURE, .has_lsc = true};
}

static void test_what_may_be_set(void)
{
	static const struct {
		const char *words;
		uint8_t op, by;
		bool string, no_lsc, mic, old, force;
		enum cp_device_mode mode;
		const char *key;
		uint16_t backup;
	} no[] = {
		{"--auth string", CP_CAPF_OP_INSTALL, CP_CAPF_NONE, .mode = CP_DEVICE_NONSECURE},
		{"does not ask its user", CP_CAPF_OP_INSTALL, CP_CAPF_STRING, true, .mode = CP_DEVICE_AUTHENTICATED},
		{"does not ask its user", CP_CAPF_OP_DELETE, CP_CAPF_STRING, true, .mode = CP_DEVICE_ENCRYPTED},
		{"--string or --generate", CP_CAPF_OP_INSTALL, CP_CAPF_STRING, false, .mode = CP_DEVICE_NONSECURE},
		{"for --auth string", CP_CAPF_OP_INSTALL, CP_CAPF_NULL, true, .mode = CP_DEVICE_NONSECURE},
		{"is not rsa-512", CP_CAPF_OP_INSTALL, CP_CAPF_NULL, .mode = CP_DEVICE_NONSECURE, .key = "dsa"},
		{"enrol.old_keys", CP_CAPF_OP_INSTALL, CP_CAPF_NULL, .mode = CP_DEVICE_NONSECURE, .key = "rsa-512"},
		{"enrol.old_keys", CP_CAPF_OP_INSTALL, CP_CAPF_NULL, .mode = CP_DEVICE_NONSECURE, .key = "rsa-1024"},
		{"enrol.old_keys", CP_CAPF_OP_INSTALL, CP_CAPF_NULL, .mode = CP_DEVICE_NONSECURE, .key = "ec-p256", .backup = 1024},
		{"a backup is for an EC key", CP_CAPF_OP_INSTALL, CP_CAPF_NULL, .mode = CP_DEVICE_NONSECURE, .key = "rsa-2048", .backup = 2048},
		{"no phone makes", CP_CAPF_OP_INSTALL, CP_CAPF_NULL, .mode = CP_DEVICE_NONSECURE, .key = "ec-p521", .backup = 2000},
		{"nothing to delete", CP_CAPF_OP_DELETE, CP_CAPF_NULL, .no_lsc = true, .mode = CP_DEVICE_NONSECURE},
		{"could not register", CP_CAPF_OP_DELETE, CP_CAPF_NULL, .mode = CP_DEVICE_ENCRYPTED},
		{"an operation is", CP_CAPF_OP_NONE, CP_CAPF_NULL, .mode = CP_DEVICE_NONSECURE},
	};
	static const struct {
		uint8_t op, by;
		bool string, no_lsc, mic, old, force;
		enum cp_device_mode mode;
		const char *key;
		uint16_t backup;
	} yes[] = {
		{CP_CAPF_OP_INSTALL, CP_CAPF_STRING, true, .mode = CP_DEVICE_NONSECURE},
		{CP_CAPF_OP_INSTALL, CP_CAPF_NULL, .mode = CP_DEVICE_ENCRYPTED},
		{CP_CAPF_OP_INSTALL, CP_CAPF_LSC, .mode = CP_DEVICE_AUTHENTICATED, .key = "ec-p521", .backup = 2048},
		{CP_CAPF_OP_INSTALL, CP_CAPF_MIC, .no_lsc = true, .mode = CP_DEVICE_ENCRYPTED, .key = "rsa-4096"},
		{CP_CAPF_OP_INSTALL, CP_CAPF_NULL, .old = true, .mode = CP_DEVICE_NONSECURE, .key = "rsa-512"},
		{CP_CAPF_OP_DELETE, CP_CAPF_NULL, .mic = true, .mode = CP_DEVICE_ENCRYPTED},
		{CP_CAPF_OP_DELETE, CP_CAPF_NULL, .no_lsc = true, .force = true, .mode = CP_DEVICE_ENCRYPTED},
		{CP_CAPF_OP_FETCH, CP_CAPF_STRING, true, .no_lsc = true, .mode = CP_DEVICE_NONSECURE},
	};

	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		struct cp_capf_oprec rec = {0};
		struct cp_capf_set s = plain_set(no[i].op, no[i].by);

		s.has_string = no[i].string;
		s.has_lsc = !no[i].no_lsc;
		s.mode = no[i].mode;
		s.key = no[i].key;
		s.backup_bits = no[i].backup;
		CU_ASSERT_EQUAL(cp_capf_op_set(&rec, &s, NOW, why, sizeof(why)), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, no[i].words));
		CU_ASSERT_EQUAL(rec.status, CP_CAPF_ST_NONE); /* no state change */
	}
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		struct cp_capf_oprec rec = {0}, back;
		struct cp_capf_set s = plain_set(yes[i].op, yes[i].by);
		struct cp_buf val;

		s.has_string = yes[i].string;
		s.has_lsc = !yes[i].no_lsc;
		s.has_mic = yes[i].mic;
		s.old_keys = yes[i].old;
		s.force = yes[i].force;
		s.mode = yes[i].mode;
		s.key = yes[i].key;
		s.backup_bits = yes[i].backup;
		CU_ASSERT_EQUAL(cp_capf_op_set(&rec, &s, NOW, why, sizeof(why)), 0);
		CU_ASSERT(rec.status == CP_CAPF_ST_PENDING && rec.op == yes[i].op && rec.id == 7);
		CU_ASSERT_EQUAL_FATAL(cp_capf_oprec_build(&rec, &val), 0);
		CU_ASSERT_EQUAL_FATAL(cp_capf_oprec_parse(val.data, val.len, &back), 0);
		CU_ASSERT(back.op == rec.op && back.by == rec.by && back.id == 7 && back.deadline_us == rec.deadline_us &&
			  back.backup_bits == rec.backup_bits && strcmp(back.key, rec.key) == 0);
		free(val.data);
		cp_capf_oprec_free(&back);
		cp_capf_oprec_free(&rec);
	}
}

/* 000:P0-25, R-10: no operation at all, not even by force. */
static void test_another_vendors(void)
{
	for (uint8_t op = CP_CAPF_OP_INSTALL; op <= CP_CAPF_OP_FETCH; op++) {
		struct cp_capf_oprec rec = {0};
		struct cp_capf_set s = plain_set(op, CP_CAPF_NULL);

		s.foreign = s.force = s.has_mic = true;
		CU_ASSERT_EQUAL(cp_capf_op_set(&rec, &s, NOW, why, sizeof(why)), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "another vendor's model"));
		CU_ASSERT_EQUAL(rec.status, CP_CAPF_ST_NONE);
		s.foreign = false;
		CU_ASSERT_EQUAL(cp_capf_op_set(&rec, &s, NOW, why, sizeof(why)), 0);
		cp_capf_oprec_free(&rec);
	}
}

static void test_strings(void)
{
	static const char *const good[] = {"1234", "0000000000", "987654"};
	static const char *const length[] = {"", "123", "12345678901"};
	static const char *const digits[] = {"12a4", "12 45", "-1234", "１２３４"};
	unsigned seen[10] = {0};
	char s[CP_CAPF_DIGITS + 1];

	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(cp_capf_string_check(good[i], why, sizeof(why)), 0);
		CU_ASSERT_EQUAL(cp_capf_string_check(length[i], why, sizeof(why)), -EINVAL);
		CU_ASSERT_STRING_EQUAL(why, "CAPF Authentication String length should be between 4 and 10.");
	}
	for (unsigned i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(cp_capf_string_check(digits[i], why, sizeof(why)), -EINVAL);
		CU_ASSERT_STRING_EQUAL(why, "Authentication String contains one or more invalid characters.Valid characters for "
					    "Authentication String are numbers.");
	}
	for (unsigned i = 0; i < 2000; i++) {
		CU_ASSERT_EQUAL_FATAL(cp_capf_string_make(s), 0);
		CU_ASSERT_EQUAL(cp_capf_string_check(s, why, sizeof(why)), 0);
		for (const char *p = s; *p != '\0'; p++)
			seen[*p - '0']++;
	}
	for (unsigned i = 0; i < 10; i++) /* 1,600 each; six sigma are 228 */
		CU_ASSERT(seen[i] > 1372 && seen[i] < 1828);
}

/* 004c:CA-04; NOW is 2026-09-21 14:13:20 UTC. */
static void test_deadlines(void)
{
	static const struct {
		const char *text, *words; /* words NULL: good, and 'at' is seconds after NOW */
		int64_t at;
	} t[] = {
		{"2026:09:21:16", NULL, 6400},
		{"2026:09:21:14", NULL, 2799}, /* until the end of the hour that runs */
		{"2026-09-21 14:30", NULL, 1000},
		{"2026-09-21T14:30", NULL, 1000},
		{"2028:02:29:00", NULL, 45395200},
		{"2026:09:21:13", "Invalid Time.Please enter a value equal to or greater than current time (hours).", 0},
		{"2026-09-21 14:13", "Invalid Time.Please enter a value equal to or greater than current time (hours).", 0},
		{"2026:09:20:23", "Invalid Date.Please enter a value equal to or greater than the current date.", 0},
		{"2026:08:30:23", "Invalid Date.Please enter a value equal to or greater than the current date.", 0},
		{"2025:12:31:23", "Invalid Year.Please enter a value equal to or greater than the current year.", 0},
		{"2027:13:01:00", "Invalid Month.Please adjust your entry to continue.", 0},
		{"2027:00:01:00", "Invalid Month.Please adjust your entry to continue.", 0},
		{"2027:02:29:00", "Invalid Date.Please adjust your entry to continue.", 0},
		{"2027:04:31:00", "Invalid Date.Please adjust your entry to continue.", 0},
		{"2027:04:00:00", "Invalid Date.Please adjust your entry to continue.", 0},
		{"2027:04:01:24", "Invalid Time.Please adjust your entry to continue.", 0},
		{"2027-04-01 10:60", "Invalid Time.Please adjust your entry to continue.", 0},
		{"2027:x4:01:10", "Operation Completes By contains one or more invalid characters.", 0},
		{"tomorrow", "Operation Completes By contains one or more invalid characters.", 0},
		{"", "Operation Completes By contains one or more invalid characters.", 0},
		{"2027:04:01:10:00:00", "Operation Completes By contains one or more invalid characters.", 0},
		{"2027:04:01", "YYYY:MM:DD:HH", 0},
	};

	setenv("TZ", "UTC", 1);
	tzset();
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int64_t us = 0;
		int rc = cp_capf_deadline_parse(t[i].text, NOW, &us, why, sizeof(why));

		if (t[i].words != NULL) {
			CU_ASSERT(rc == -EINVAL && strstr(why, t[i].words) != NULL);
		} else {
			CU_ASSERT_EQUAL(rc, 0);
			CU_ASSERT_EQUAL((us - NOW) / US, t[i].at);
		}
	}
}

static struct cp_capf_oprec begin(uint8_t op, uint8_t by, const char *key, uint16_t backup)
{
	struct cp_capf_oprec rec = {0};
	struct cp_capf_set s = plain_set(op, by);

	s.key = key;
	s.backup_bits = backup;
	s.deadline_us = NOW + 86400 * US;
	CU_ASSERT_EQUAL_FATAL(cp_capf_op_set(&rec, &s, NOW, why, sizeof(why)), 0);
	rec.string.data = calloc(1, 8);
	rec.string.len = 8;
	return rec;
}

static bool end(struct cp_capf_oprec *rec, enum cp_capf_outcome out, bool authenticated, int64_t at)
{
	struct cp_capf_end e = {.outcome = out, .op = rec->op, .device = PHONE, .detail = "so", .authenticated = authenticated};
	bool over = false;

	CU_ASSERT_TRUE(cp_capf_op_end(rec, &e, NOW + at * US, &over));
	return over;
}

static const char *text(const struct cp_capf_oprec *rec)
{
	static char buf[64];

	return cp_capf_op_text(rec, buf, sizeof(buf));
}

static void test_attempts(void)
{
	struct cp_capf_oprec rec = begin(CP_CAPF_OP_INSTALL, CP_CAPF_STRING, "", 0);
	struct cp_capf_order o;

	CU_ASSERT_STRING_EQUAL(text(&rec), "Install/Upgrade pending");
	CU_ASSERT_FALSE(end(&rec, CP_CAPF_OUT_GONE, false, 1)); /* not authenticated: anybody */
	CU_ASSERT_FALSE(end(&rec, CP_CAPF_OUT_ISSUE, true, 2)); /* ours */
	CU_ASSERT_FALSE(end(&rec, CP_CAPF_OUT_STORE, true, 2));
	CU_ASSERT_EQUAL(rec.attempts, 0);
	CU_ASSERT_FALSE(end(&rec, CP_CAPF_OUT_GONE, true, 3));
	CU_ASSERT_FALSE(end(&rec, CP_CAPF_OUT_TIMEOUT, true, 33));
	CU_ASSERT_FALSE(end(&rec, CP_CAPF_OUT_PROTOCOL, true, 63));
	CU_ASSERT(rec.attempts == 3 && rec.string.len == 8); /* the string is good for all of them */
	CU_ASSERT_TRUE(end(&rec, CP_CAPF_OUT_GONE, true, 93)); /* 004b:CAPF-04: three more times */
	CU_ASSERT_STRING_EQUAL(text(&rec), "Install/Upgrade failed");
	CU_ASSERT(rec.string.data == NULL && cp_capf_op_remedy(&rec)[0] != '\0');
	cp_capf_op_order(&rec, NOW, false, &o);
	CU_ASSERT_EQUAL(o.op, CP_CAPF_OP_NONE);
	cp_capf_oprec_free(&rec);

	rec = begin(CP_CAPF_OP_DELETE, CP_CAPF_NULL, "", 0);
	CU_ASSERT_TRUE(end(&rec, CP_CAPF_OUT_DONE, true, 1));
	CU_ASSERT_STRING_EQUAL(text(&rec), "Delete Success");
	cp_capf_oprec_free(&rec);
	rec = begin(CP_CAPF_OP_FETCH, CP_CAPF_NULL, "", 0);
	CU_ASSERT_STRING_EQUAL(text(&rec), "Troubleshoot pending");
	CU_ASSERT_TRUE(end(&rec, CP_CAPF_OUT_PHONE, true, 1)); /* it says that it has none: asking again is no use */
	CU_ASSERT_STRING_EQUAL(text(&rec), "Troubleshoot failed");
	CU_ASSERT_FALSE(cp_capf_op_cancel(&rec, NOW));
	cp_capf_oprec_free(&rec);
	rec = begin(CP_CAPF_OP_INSTALL, CP_CAPF_STRING, "", 0);
	CU_ASSERT_TRUE(end(&rec, CP_CAPF_OUT_DONE, true, 1));
	CU_ASSERT_STRING_EQUAL(text(&rec), "Install/Upgrade successful");
	CU_ASSERT_PTR_NULL(rec.string.data); /* valid for one use only */
	cp_capf_oprec_free(&rec);
	rec = begin(CP_CAPF_OP_INSTALL, CP_CAPF_STRING, "", 0);
	CU_ASSERT_TRUE(cp_capf_op_cancel(&rec, NOW + US));
	CU_ASSERT_STRING_EQUAL(text(&rec), "No Pending Operation");
	CU_ASSERT_PTR_NULL(rec.string.data);
	cp_capf_oprec_free(&rec);
}

/* 004c:CA-06 */
static void test_wrong_strings(void)
{
	struct cp_capf_oprec rec = begin(CP_CAPF_OP_INSTALL, CP_CAPF_STRING, "", 0);
	struct cp_capf_order o;

	for (unsigned i = 0; i < 9; i++)
		end(&rec, CP_CAPF_OUT_WRONG_STRING, false, i);
	cp_capf_op_order(&rec, NOW + 9 * US, false, &o);
	CU_ASSERT(!o.locked && rec.wrong == 9 && rec.attempts == 0 && rec.status == CP_CAPF_ST_PENDING);
	end(&rec, CP_CAPF_OUT_GONE, true, 9); /* the right one: not consecutive any more */
	CU_ASSERT_EQUAL(rec.wrong, 0);
	for (unsigned i = 0; i < 10; i++)
		end(&rec, CP_CAPF_OUT_WRONG_STRING, false, 10);
	cp_capf_op_order(&rec, NOW + 609 * US, false, &o);
	CU_ASSERT_TRUE(o.locked);
	CU_ASSERT_FALSE(end(&rec, CP_CAPF_OUT_LOCKED, false, 609)); /* trying does not make it longer */
	cp_capf_op_order(&rec, NOW + 611 * US, false, &o);
	CU_ASSERT_FALSE(o.locked);
	end(&rec, CP_CAPF_OUT_WRONG_STRING, false, 611);
	CU_ASSERT(rec.wrong == 1 && rec.locked_us == 0); /* ten again */
	cp_capf_oprec_free(&rec);
}

static void test_keys(void)
{
	struct cp_capf_oprec rec = begin(CP_CAPF_OP_INSTALL, CP_CAPF_NULL, "ec-p384", 3072);
	struct cp_capf_order o;

	cp_capf_op_order(&rec, NOW, true, &o);
	CU_ASSERT(o.key == CP_CAPF_EC && o.curve == CP_CAPF_P384 && o.old_phone && o.by == CP_CAPF_BY_NULL);
	CU_ASSERT_FALSE(end(&rec, CP_CAPF_OUT_NO_KEY, true, 1));
	cp_capf_op_order(&rec, NOW, false, &o);
	CU_ASSERT(o.key == CP_CAPF_RSA && o.rsa_bits == 3072);
	CU_ASSERT_TRUE(end(&rec, CP_CAPF_OUT_NO_KEY, true, 2)); /* not that one either */
	cp_capf_oprec_free(&rec);
	rec = begin(CP_CAPF_OP_INSTALL, CP_CAPF_NULL, "ec-p256", 0);
	CU_ASSERT_TRUE(end(&rec, CP_CAPF_OUT_NO_KEY, true, 1));
	CU_ASSERT_STRING_EQUAL(cp_capf_op_remedy(&rec), "ask for a smaller key, or for RSA");
	cp_capf_oprec_free(&rec);
}

static void test_expiry(void)
{
	struct cp_capf_oprec rec = begin(CP_CAPF_OP_INSTALL, CP_CAPF_STRING, "", 0);
	struct cp_capf_end e = {.outcome = CP_CAPF_OUT_DONE, .op = CP_CAPF_OP_INSTALL, .detail = ""};
	struct cp_capf_order o;

	CU_ASSERT_FALSE(cp_capf_op_expire(&rec, NOW + 86399 * US));
	cp_capf_op_order(&rec, NOW + 86400 * US, false, &o);
	CU_ASSERT_EQUAL(o.op, CP_CAPF_OP_NONE); /* whether it was swept up already or not */
	CU_ASSERT_TRUE(cp_capf_op_expire(&rec, NOW + 86400 * US));
	CU_ASSERT_STRING_EQUAL(text(&rec), "Install/Upgrade failed");
	CU_ASSERT(rec.detail[0] != '\0' && rec.string.data == NULL);
	CU_ASSERT_FALSE(cp_capf_op_expire(&rec, NOW + 86401 * US));
	CU_ASSERT_FALSE(cp_capf_op_end(&rec, &e, NOW, NULL));
	cp_capf_oprec_free(&rec);
}

static void test_lsc_record(void)
{
	uint8_t der[4] = {0x30, 2, 5, 0};
	struct cp_lsc l = {.serial = "40AB", .device = PHONE, .cert = {der, 4}, .state = CP_LSC_OFFERED, .offered_us = 5}, back;
	struct cp_buf val;
	char aad[64];

	CU_ASSERT_EQUAL_FATAL(cp_lsc_build(&l, &val), 0);
	for (size_t n = 0; n < val.len; n++)
		if (cp_lsc_parse(val.data, n, &back) == 0) {
			CU_ASSERT(n > 40); /* what is not written is 0 */
			cp_lsc_free(&back);
		}
	CU_ASSERT_EQUAL_FATAL(cp_lsc_parse(val.data, val.len, &back), 0);
	CU_ASSERT(back.state == CP_LSC_OFFERED && strcmp(back.serial, "40AB") == 0 && back.cert.len == 4);
	cp_lsc_free(&back);
	free(val.data);
	strcpy(l.serial, "40A");
	CU_ASSERT_EQUAL(cp_lsc_build(&l, &val), -EINVAL);
	strcpy(l.serial, "40AB");
	l.state = 0;
	CU_ASSERT_EQUAL(cp_lsc_build(&l, &val), -EINVAL);
	CU_ASSERT_STRING_EQUAL(cp_capf_string_aad(PHONE, 0x1f, aad), "capf-string/" PHONE "/000000000000001f");
}

static CU_TestInfo tests[] = {
	{"what may be set, and the words if not", test_what_may_be_set},
	{"nothing for another vendor's phone", test_another_vendors},
	{"strings", test_strings},
	{"deadlines", test_deadlines},
	{"four attempts are one operation", test_attempts},
	{"ten wrong strings lock for ten minutes", test_wrong_strings},
	{"an EC key, and RSA behind it", test_keys},
	{"the deadline passes", test_expiry},
	{"an LSC's record", test_lsc_record},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("capfop", tests, NULL, NULL)
