/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/sccp/phonealarm.c: what phones say of themselves, in the spellings that are known, cut at every length, and noise.
 * Rows: 004c:TR-04, TR-05.
 */
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "sccp/phonealarm.h"

static const struct {
	const char *text;
	enum cp_phone_alarm_kind kind;
	int number;
	const char *device, *server;
} rows[] = {
	{"TFTP Not Authorized: 10.1.1.1", CP_PHONE_ALARM_TFTP, -1, "", "10.1.1.1"},
	{"TFTP Not Authorized : 2001:db8::1", CP_PHONE_ALARM_TFTP, -1, "", "2001:db8::1"},
	{"15: Name=SEP0A1B2C3D4E51 Load=8.5(4) Last=TFTP-Not-Authorized", CP_PHONE_ALARM_TFTP, 15, "SEP0A1B2C3D4E51", ""},
	{"TFTP Not Authorized: \"><script>", CP_PHONE_ALARM_TFTP, -1, "", ""},
	{"File Auth Failed", CP_PHONE_ALARM_FILE, -1, "", ""},
	{"Name=SEP0A1B2C3D4E51 Load=x Last=File-Auth-Fail", CP_PHONE_ALARM_FILE, -1, "SEP0A1B2C3D4E51", ""},
	{"FILE AUTH ERROR", CP_PHONE_ALARM_FILE, -1, "", ""},
	{"14: Name=SEP005056C00001 Load=CIPC-8-6-6-1 Last=cm-closed-tcp", CP_PHONE_ALARM_OTHER, 14, "SEP005056C00001", ""},
	{"123456: Name=SEP0A1B2C3D4E51TOOLONG", CP_PHONE_ALARM_OTHER, -1, "", ""},
	{"<x-cisco-alarm>\n<Alarm Name=\"LastOutOfServiceInformation\">\n<ParameterList>\n<String name=\"DeviceName\">SEP0A1B2C3D4E51</String>\n"
	 "<Enum name=\"ReasonForOutOfService\">22</Enum>\n</ParameterList></Alarm></x-cisco-alarm>",
	 CP_PHONE_ALARM_OTHER, 22, "SEP0A1B2C3D4E51", ""},
	{"<Alarm Name=\"X\"><Enum name=\"ReasonForOutOfService\"></Enum>", CP_PHONE_ALARM_OTHER, -1, "", ""},
	{"File---Auth _ Fail", CP_PHONE_ALARM_FILE, -1, "", ""},
	{"File----Auth-Fail", CP_PHONE_ALARM_OTHER, -1, "", ""}, /* no more than three of them */
	{"F-i-l-e A-u-t-h F-a-i- file auth fail", CP_PHONE_ALARM_FILE, -1, "", ""},
	{"File Authentic", CP_PHONE_ALARM_OTHER, -1, "", ""},
	{"", CP_PHONE_ALARM_OTHER, -1, "", ""},
};

static void test_texts(void)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cp_phone_alarm a;

		cp_phone_alarm_parse(rows[i].text, strlen(rows[i].text), &a);
		CU_ASSERT_EQUAL(a.kind, rows[i].kind);
		CU_ASSERT_EQUAL(a.number, rows[i].number);
		CU_ASSERT_STRING_EQUAL(a.device, rows[i].device);
		CU_ASSERT_STRING_EQUAL(a.server, rows[i].server);
	}
	CU_ASSERT_STRING_EQUAL(cp_phone_alarm_reason(22), "it was told to reset");
	CU_ASSERT_STRING_EQUAL(cp_phone_alarm_reason(-1), "");
}

/* What is found behind long runs of what may be skipped, and that no more is read than what has a bound. */
static void test_long_runs(void)
{
	static const char skip[] = " -_";
	static char text[8192];
	struct cp_phone_alarm a;

	for (unsigned i = 0; i < 3; i++) {
		memset(text, skip[i], sizeof(text));
		cp_phone_alarm_parse(text, sizeof(text), &a);
		CU_ASSERT(a.kind == CP_PHONE_ALARM_OTHER && a.number == -1 && a.device[0] == '\0');
		memcpy(text + 1900, "Name=SEP0A1B2C3D4E51 ", 21);
		memcpy(text + 2000, "File Auth Failed", 16);
		cp_phone_alarm_parse(text, sizeof(text), &a);
		CU_ASSERT(a.kind == CP_PHONE_ALARM_FILE);
		CU_ASSERT_STRING_EQUAL(a.device, "SEP0A1B2C3D4E51");
		memset(text + 2000, skip[i], 16);
		memcpy(text + 2040, "File Auth Failed", 16); /* cut */
		cp_phone_alarm_parse(text, sizeof(text), &a);
		CU_ASSERT(a.kind == CP_PHONE_ALARM_OTHER);
	}
}

/* At every length, in memory that ends there; and octets that are no text. */
static void test_cut_and_noise(void)
{
	struct cp_phone_alarm a;
	unsigned seed = 7;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t n = 0; n <= strlen(rows[i].text); n++) {
			char *exact = malloc(n > 0 ? n : 1);

			memcpy(exact, rows[i].text, n);
			cp_phone_alarm_parse(exact, n, &a);
			CU_ASSERT(a.kind == CP_PHONE_ALARM_OTHER || a.kind == rows[i].kind);
			CU_ASSERT(strlen(a.device) <= 16 && strlen(a.server) < sizeof(a.server));
			free(exact);
		}
	for (unsigned i = 0; i < 2000; i++) {
		char noise[300];

		for (size_t k = 0; k < sizeof(noise); k++) {
			seed = seed * 1103515245 + 12345;
			noise[k] = (char)(seed >> 16);
		}
		cp_phone_alarm_parse(noise, i % sizeof(noise), &a);
		CU_ASSERT_EQUAL(a.kind, CP_PHONE_ALARM_OTHER);
	}
}

static CU_TestInfo tests[] = {{"the texts", test_texts}, {"long runs", test_long_runs}, {"cut and noise", test_cut_and_noise}, CU_TEST_INFO_NULL};

#include "suite.h"
SUITE_MAIN("phonealarm", tests, NULL, NULL)
