/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The devices of a wave from a table: reports, exports and lists by hand are read; each line that is wrong is named by its number, and
 * wherever the table is cut nothing but whole lines is taken (004b:CAPF-34, CAPF-35).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enrol/wavelist.h"
#include "suite.h"

#define A "SEP001122334455"
#define B "SEP00112233445A"

static bool known(void *ctx, const char *device)
{
	(void)ctx;
	return strcmp(device, "SEP0011223344FF") != 0;
}

/* "" or the names with commas between; then errors as LINE:first words; then rc */
static int read_table(const char *text, size_t len, size_t piece, char *ret_names, char *ret_errors, size_t size)
{
	struct cp_wavelist *l = cp_wavelist_create(known, NULL);
	const char (*names)[CP_DEVICE_NAME_MAX];
	const struct cp_wavelist_error *e;
	unsigned kept;
	unsigned long all;
	uint32_t n;
	int rc = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(l);
	for (size_t at = 0; at < len && rc == 0; at += piece)
		rc = cp_wavelist_feed(l, text + at, len - at < piece ? len - at : piece);
	if (rc == 0)
		rc = cp_wavelist_end(l);
	names = cp_wavelist_names(l, &n);
	ret_names[0] = ret_errors[0] = '\0';
	for (uint32_t i = 0; i < n; i++)
		snprintf(ret_names + strlen(ret_names), size - strlen(ret_names), "%s%s", i > 0 ? "," : "", names[i]);
	e = cp_wavelist_errors(l, &kept, &all);
	CU_ASSERT(kept == all || kept == CP_WAVELIST_ERRORS);
	for (unsigned i = 0; i < kept; i++)
		snprintf(ret_errors + strlen(ret_errors), size - strlen(ret_errors), "%lu:%s;", e[i].line, e[i].text);
	if (rc < 0)
		snprintf(ret_errors + strlen(ret_errors), size - strlen(ret_errors), "%s", cp_wavelist_why(l));
	cp_wavelist_destroy(l);
	return rc;
}

static void test_tables(void)
{
	static const struct {
		const char *text, *names, *errors;
		int rc;
	} rows[] = {
		{"device\n" A "\n" B "\n", A "," B, "", 0},
		{"name\r\n" B "\r\n" A, B "," A, "", 0},
		{"\xef\xbb\xbf" "Device Name,Model\n" A ",7970\n", A, "", 0},
		/* a report, with a quoted cell over two lines: the line is where the row began */
		{"status,device,error\nfailed," A ",\"a, \"\"b\"\"\nc\"\nfailed,nobody,x\n", A, "4:", 0},
		{"device\n" A "\n" A "\n", A, "3:it is on line 2 already;", 0},
		{"device\nSEP0011223344FF\n" A "\n", A, "2:there is no such device;", 0},
		{"device\nsep001122334455\n" A "X\nSEP00112233445\n\n" A "\n", A, "2:\"sep001122334455\" is no device name", 0},
		{"device,x\n" A ",\"open\n" B "\n", "", "2:", 0},
		{"device\n\"" A "\"junk\n" B "\n", B, "2:", 0},
		{"device,x\n,1\n" A "\n", A, "2:", 0},
		{"", "", "the table is empty", -EINVAL},
		{"\n\n", "", "the table is empty", -EINVAL},
		{"phone\n" A "\n", "", "line 1: the header has no column device", -EINVAL},
		{A "\n", "", "line 1: the header has no column device", -EINVAL},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t piece = 1; piece < 40; piece += 13) {
			char names[400], errors[2000];
			int rc = read_table(rows[i].text, strlen(rows[i].text), piece, names, errors, sizeof(names));

			CU_ASSERT_EQUAL(rc, rows[i].rc);
			CU_ASSERT_STRING_EQUAL(names, rows[i].names);
			CU_ASSERT(strncmp(errors, rows[i].errors, strlen(rows[i].errors)) == 0 && (rows[i].errors[0] != '\0' || errors[0] == '\0'));
			if (strcmp(names, rows[i].names) != 0 || strncmp(errors, rows[i].errors, strlen(rows[i].errors)) != 0)
				fprintf(stderr, "row %u: %s | %s\n", i, names, errors);
		}
}

static void test_cut(void)
{
	static const char text[] = "device,\"a \"\"b\"\"\"\r\n" A ",1\r\n\"" B "\",2\r\n";

	for (size_t n = 0; n <= strlen(text); n++) {
		char names[100], errors[400], whole[100], other[400], *cut = malloc(n > 0 ? n : 1); /* exact: ASan sees the end */

		memcpy(cut, text, n);
		(void)read_table(cut, n, n > 0 ? n : 1, names, errors, sizeof(names));
		(void)read_table(cut, n, 1, whole, other, sizeof(whole));
		CU_ASSERT_STRING_EQUAL(names, whole);
		CU_ASSERT(names[0] == '\0' || strcmp(names, A) == 0 || strcmp(names, A "," B) == 0);
		free(cut);
	}
}

static void test_many(void)
{
	struct cp_wavelist *l = cp_wavelist_create(known, NULL);
	unsigned kept;
	unsigned long all;
	char line[40];
	uint32_t n;
	int rc;

	CU_ASSERT_PTR_NOT_NULL_FATAL(l);
	rc = cp_wavelist_feed(l, "device\n", 7);
	for (int i = 0; i < 300 && rc == 0; i++)
		rc = cp_wavelist_feed(l, "nobody\n", 7);
	for (unsigned i = 0; i < CP_WAVE_MAX && rc == 0; i++)
		rc = cp_wavelist_feed(l, line, (size_t)snprintf(line, sizeof(line), "SEPA%011X\n", i));
	CU_ASSERT_EQUAL(rc, 0);
	cp_wavelist_errors(l, &kept, &all);
	CU_ASSERT_EQUAL(kept, CP_WAVELIST_ERRORS);
	CU_ASSERT_EQUAL(all, 300);
	cp_wavelist_names(l, &n);
	CU_ASSERT_EQUAL(n, CP_WAVE_MAX);
	CU_ASSERT_EQUAL(cp_wavelist_feed(l, B "\n", 16), -EFBIG);
	CU_ASSERT(strstr(cp_wavelist_why(l), "more than") != NULL);
	cp_wavelist_destroy(l);
}

static CU_TestInfo tests[] = {
	{"tables", test_tables},
	{"cut at every length", test_cut},
	{"many", test_many},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("wavelist", tests, NULL, NULL)
