/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/admin: csv.c (RFC 4180), phones.c and phoneimport.c: tables of phones in and out. */
/* Rows: 004b:SEC-23. */
#include <errno.h>
#include <openssl/evp.h>

#include <CUnit/CUnit.h>

#include "admin/admin.h"
#include "admin/csv.h"
#include "admin/phones.h"
#include "log.h"
#include "store/phonecfg.h"
#include "store/store.h"
#include "store_tmp.h"

/* --- the format --- */

static char seen[1 << 20]; /* rows as "line:[field][field]" or "line!at error" */

static int show(void *ctx, const struct cp_csv_row *row)
{
	size_t n = strlen(seen), size = sizeof(seen);

	(void)ctx;
	n += (size_t)snprintf(seen + n, size - n, "%lu%s", row->line, row->error != NULL ? "!" : ":");
	if (row->error != NULL)
		n += (size_t)snprintf(seen + n, size - n, "%u ", row->error_at);
	for (unsigned i = 0; i < row->cnt && n < size; i++)
		n += (size_t)snprintf(seen + n, size - n, "[%s]", row->field[i]);
	snprintf(seen + n, size - n, "\n");
	return 0;
}

/* In pieces of 'piece' bytes. */
static const char *rows(const char *text, size_t len, size_t piece)
{
	struct cp_csv *c = cp_csv_create(show, NULL);

	seen[0] = '\0';
	for (size_t at = 0; at < len; at += piece)
		CU_ASSERT_EQUAL(cp_csv_feed(c, text + at, len - at < piece ? len - at : piece), 0);
	CU_ASSERT_EQUAL(cp_csv_end(c), 0);
	cp_csv_destroy(c);
	return seen;
}

static const struct {
	const char *text, *rows;
} format[] = {
	{"", ""},
	{"a,b\nc,d\n", "1:[a][b]\n2:[c][d]\n"},
	{"a,b\r\nc,d", "1:[a][b]\n2:[c][d]\n"},
	{"a,b\rc,d\r", "1:[a][b]\n2:[c][d]\n"},
	{"\xef\xbb\xbf" "a\n", "1:[a]\n"},
	{"\xef\xbb", "1:[\xef\xbb]\n"},
	{"\xef\xbb,x\n", "1:[\xef\xbb][x]\n"},
	{"\n\n\r\n,\n", "4:[][]\n"},
	{"\"\"\n", "1:[]\n"},
	{"\"a,b\",\"c\"\"d\",\"\"\n", "1:[a,b][c\"d][]\n"},
	{"\"two\nlines\",x\ny,\"a\r\nb\"\r\nz\n", "1:[two\nlines][x]\n3:[y][a\r\nb]\n5:[z]\n"},
	{" a , b \n", "1:[ a ][ b ]\n"},
	{"a\"b,c\nd\n", "1!0 \n2:[d]\n"},
	{"x,\"a\"b,c\nd\n", "1!1 [x]\n2:[d]\n"},
	{"ok\nx,\"never closed\nd\n", "1:[ok]\n2!1 [x]\n"},
	{"a,\"b\"", "1:[a][b]\n"},
	{"a,", "1:[a][]\n"},
};

static void test_format(void)
{
	for (size_t i = 0; i < sizeof(format) / sizeof(format[0]); i++)
		for (size_t piece = 1; piece < 20; piece++)
			CU_ASSERT_STRING_EQUAL(rows(format[i].text, strlen(format[i].text), piece), format[i].rows);
	CU_ASSERT_STRING_EQUAL(rows("a\0b\nc\n", 6, 6), "1!0 \n2:[c]\n");
}

static void test_bounds(void)
{
	size_t n = CP_CSV_ROW_MAX * 2;
	char *big = malloc(n);

	memset(big, 'x', n);
	big[n - 2] = '\n';
	CU_ASSERT_STRING_EQUAL(rows(big, n, 1000), "1!0 \n2:[x]\n");
	memset(big, ',', n);
	big[n - 2] = '\n';
	rows(big, n, 4096);
	CU_ASSERT_EQUAL(strncmp(seen, "1!2048 ", 7), 0);
	/* a quote that is never closed costs its row and what is up to the bound, not the rest */
	memset(big, 'x', n);
	big[0] = '"';
	for (size_t i = 50; i < n; i += 50)
		big[i] = '\n';
	rows(big, n, 777);
	CU_ASSERT_EQUAL(strncmp(seen, "1!0 \n", 5), 0);
	CU_ASSERT(strlen(seen) > 1000);
	/* the longest that fits */
	memset(big, 'y', n);
	rows(big, CP_CSV_ROW_MAX - 1, 4096);
	CU_ASSERT_EQUAL(strlen(seen), CP_CSV_ROW_MAX - 1 + 5);
	rows(big, CP_CSV_ROW_MAX, 4096);
	CU_ASSERT_STRING_EQUAL(seen, "1!0 \n");
	free(big);
}

static int stop_at_2(void *ctx, const struct cp_csv_row *row)
{
	++*(int *)ctx;
	return row->line == 2 ? -EIO : 0;
}

static void test_stop(void)
{
	int n = 0;
	struct cp_csv *c = cp_csv_create(stop_at_2, &n);

	CU_ASSERT_EQUAL(cp_csv_feed(c, "a\nb\nc\n", 6), -EIO);
	CU_ASSERT_EQUAL(cp_csv_feed(c, "d\n", 2), -EIO);
	CU_ASSERT_EQUAL(cp_csv_end(c), -EIO);
	CU_ASSERT_EQUAL(n, 2);
	cp_csv_destroy(c);
}

/* What a strict writer makes of random fields is read the same. */
static void test_against_writer(void)
{
	static const char alphabet[] = "ab,\"\n\r ;\xc3\xa9";
	static char text[8192], want[8192];

	srand(7);
	for (int round = 0; round < 3000; round++) {
		size_t n = 0, w = 0;
		unsigned long line = 1;
		int fields = 1 + rand() % 4, cnt = 1 + rand() % 5;

		for (int r = 0; r < cnt; r++) {
			w += (size_t)sprintf(want + w, "%lu:", line);
			for (int f = 0; f < fields; f++) {
				char v[16];
				int len = rand() % 8;

				for (int i = 0; i < len; i++)
					v[i] = alphabet[rand() % (int)(sizeof(alphabet) - 1)];
				v[len] = '\0';
				text[n++] = '"';
				for (int i = 0; i < len; i++) {
					if (v[i] == '"')
						text[n++] = '"';
					text[n++] = v[i];
					line += v[i] == '\r' || (v[i] == '\n' && (i == 0 || v[i - 1] != '\r'));
				}
				text[n++] = '"';
				text[n++] = f + 1 < fields ? ',' : '\n';
				w += (size_t)sprintf(want + w, "[%s]", v);
			}
			line++;
			w += (size_t)sprintf(want + w, "\n");
		}
		CU_ASSERT_STRING_EQUAL_FATAL(rows(text, n, 1 + (size_t)rand() % 30), want);
	}
}

/* --- phones --- */

static struct event_base *base;
static struct cp_store *store;
static struct cp_admin *admin;
static char *last_answer;
static int answered;

static void on_answer(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	free(last_answer);
	last_answer = strndup(line, len);
	answered = 1;
}

static json_t *ask(const char *cmd, json_t *args)
{
	json_t *req = json_pack("{s:s,s:o}", "cmd", cmd, "args", args), *o;
	char *text = json_dumps(req, JSON_COMPACT);

	answered = 0;
	cp_admin_input(admin, text, strlen(text), on_answer, NULL);
	free(text);
	json_decref(req);
	CU_ASSERT_TRUE_FATAL(wait_for(base, &answered));
	o = json_loads(last_answer, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(o);
	return o;
}

static json_t *data_of(json_int_t id, const char *bytes, size_t len)
{
	char text[200000];

	EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes, (int)len);
	return ask("import.phones.data", json_pack("{s:I,s:s}", "id", id, "data", text));
}

static bool is_ok(const json_t *answer)
{
	return json_is_true(json_object_get(answer, "ok"));
}

static json_int_t begin_import(bool replace, bool dry)
{
	json_t *a = ask("import.phones.begin", json_pack("{s:b,s:b}", "replace", (int)replace, "dry_run", (int)dry));
	json_int_t id = json_integer_value(json_object_get(json_object_get(a, "result"), "id"));

	json_decref(a);
	return id;
}

/* A whole table; the last answer. */
static json_t *import(const char *text, size_t len, size_t piece, bool replace, bool dry)
{
	json_int_t id = begin_import(replace, dry);
	json_t *a;

	for (size_t at = 0; at < len; at += piece) {
		a = data_of(id, text + at, len - at < piece ? len - at : piece);
		if (!is_ok(a))
			return a;
		json_decref(a);
	}
	return ask("import.phones.end", json_pack("{s:I}", "id", id));
}

/* "phones wrong line/column/message ..." */
static const char *brief(json_t *answer)
{
	static char out[8192];
	json_t *r = json_object_get(answer, "result"), *e, *list = json_object_get(r, "errors");
	size_t i, n;

	if (!is_ok(answer)) {
		snprintf(out, sizeof(out), "%s",
			 json_string_value(json_object_get(json_object_get(answer, "error"), "message")));
	} else {
		n = (size_t)snprintf(out, sizeof(out), "%lld %lld",
				     (long long)json_integer_value(json_object_get(r, "phones")),
				     (long long)json_integer_value(json_object_get(r, "wrong")));
		json_array_foreach(list, i, e)
			n += (size_t)snprintf(out + n, sizeof(out) - n, "; %lld %s: %s",
					      (long long)json_integer_value(json_object_get(e, "line")),
					      json_string_value(json_object_get(e, "column")),
					      json_string_value(json_object_get(e, "message")));
	}
	json_decref(answer);
	return out;
}

static const char *try(const char *text, bool replace, bool dry)
{
	return brief(import(text, strlen(text), 7, replace, dry));
}

static void begin(void)
{
	struct cp_admin_backend be = {.version = "1"};
	struct cp_store_opts o;
	char err[256];

	tmp_make();
	base = event_base_new();
	o = (struct cp_store_opts){.path = tmp_store, .base = base, .no_sync = true};
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &store, err, sizeof(err)), 0);
	be.store = store;
	admin = cp_admin_create(base);
	CU_ASSERT_EQUAL_FATAL(cp_admin_commands(admin, &be), 0);
}

static void end(void)
{
	cp_admin_destroy(admin);
	cp_store_close(store);
	event_base_free(base);
	free(last_answer);
	last_answer = NULL;
	tmp_remove();
}

static void test_phones(void)
{
	const struct cp_device *d;
	struct cp_dir_hit hit;

	begin();
	CU_ASSERT_STRING_EQUAL(try("\xef\xbb\xbfName,mode,Description,model,line1,label1,line2,srtp,suite\r\n"
				   "SEP0A1B2C3D4E51,authenticated,\"Room \"\"7\"\", left\",7962,1001,Front,1002,no,\r\n"
				   "0a:1b:2c:3d:4e:52,,,,,,2002,yes,AES_CM_128_HMAC_SHA1_80\r\n", false, false),
			       "2 0");
	d = cp_dir_device(store, "SEP0A1B2C3D4E51");
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	CU_ASSERT_EQUAL(d->mode, CP_DEVICE_AUTHENTICATED);
	CU_ASSERT_STRING_EQUAL(d->description, "Room \"7\", left");
	CU_ASSERT_STRING_EQUAL(d->region, "default");
	CU_ASSERT_EQUAL(d->line_cnt, 2);
	CU_ASSERT_STRING_EQUAL(d->lines[0].label, "Front");
	CU_ASSERT_FALSE(d->srtp);
	d = cp_dir_device(store, "SEP0A1B2C3D4E52");
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	CU_ASSERT_EQUAL(d->mode, CP_DEVICE_ENCRYPTED);
	CU_ASSERT_EQUAL(d->line_cnt, 1); /* the empty button is left out */
	CU_ASSERT_TRUE(cp_dir_number(store, "2002", &hit, NULL) && hit.device == d);
	end();
}

/* Right lines are taken, wrong ones told with line and column. */
static void test_errors(void)
{
	static const char table[] = "name,mode,line1,line2,description\n"
				    "SEP000000000001,encrypted,1001,,\n"
				    "SEP000000000001,encrypted,1009,,\n"
				    "SEP00000000000,,,,\n"
				    "SEP000000000003,secret,,,\n"
				    "SEP000000000004,,1001,,\n"
				    "SEP000000000005,,1005,10 05,\n"
				    "SEP000000000006,,1006,1006,\n"
				    "SEP000000000007,,1007\n"
				    "SEP000000000008,,,,\"a\nb\"\n"
				    "SEP000000000009,\"x\"y,,,\n"
				    ",,,,\n"
				    "SEP00000000000A,,1010,1001,\n"
				    "SEP00000000000B,,1011,,\xff\n"
				    "SEP00000000000C,,1012,,fine\n";
	static const char errors[] = "2 12; 3 name: device SEP000000000001 is on line 2 already;"
				     " 4 name: \"SEP00000000000\" is not SEP and 12 hex digits;"
				     " 5 mode: \"secret\" is not nonsecure, authenticated or encrypted;"
				     " 6 line1: number 1001 is owned by SEP000000000001 (to share the line say --shared);"
				     " 7 line2: \"10 05\" is not 1 to 32 of 0-9 * # (and a leading +);"
				     " 8 line2: number 1006 twice;"
				     " 9 line2: 3 fields where the header has 5;"
				     " 10 description: not printable UTF-8 below 64 bytes;"
				     " 12 mode: something behind a closing quote;"
				     " 13 name: it is empty;"
				     " 14 line2: number 1001 is owned by SEP000000000001 (to share the line say --shared);"
				     " 15 description: not printable UTF-8 below 64 bytes";

	begin();
	CU_ASSERT_STRING_EQUAL(try(table, false, true), errors); /* a dry run says the same ... */
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_DEVICE), 0); /* ... and does nothing */
	CU_ASSERT_STRING_EQUAL(try(table, false, false), errors);
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_DEVICE), 2);
	CU_ASSERT_PTR_NOT_NULL(cp_dir_device(store, "SEP00000000000C"));
	end();
}

static void test_headers(void)
{
	static const struct {
		const char *text, *answer;
	} bad[] = {
		{"", "the table is empty: not even a header (0 phones were taken)"},
		{"mode,line1\nx,y\n", "line 1: no column name (or MAC ADDRESS); columns are separated by commas, in UTF-8; the first is \"mode\" (0 phones were taken)"},
		{"name;mode\n", "line 1: no column name (or MAC ADDRESS); columns are separated by commas, in UTF-8; the first is \"name;mode\" (0 phones were taken)"},
		{"name,mod\n", "line 1: unknown column \"mod\" (0 phones were taken)"},
		{"name,line43\n", "line 1: unknown column \"line43\" (0 phones were taken)"},
		{"name,line1, LINE1\n", "line 1: columns \"line1\" and \" LINE1\" are the same (0 phones were taken)"},
		{"name,\"x\"y\n", "line 1: the header: something behind a closing quote (0 phones were taken)"},
	};
	json_t *a;

	begin();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_STRING_EQUAL(try(bad[i].text, false, false), bad[i].answer);
	CU_ASSERT_STRING_EQUAL(try("name\n", false, false), "0 0");
	a = ask("import.phones.data", json_pack("{s:i,s:s}", "id", 99, "data", "eA=="));
	CU_ASSERT_FALSE(is_ok(a));
	json_decref(a);
	end();
}

/* What the bulk tool of CallManager writes. */
static void test_bat(void)
{
	static const char table[] =
		"DEVICE POOL,DEVICE NAME,DESCRIPTION,Device  Type,Device Protocol,DEVICE SECURITY PROFILE,DIRECTORY NUMBER  1,"
		"DISPLAY  1,LINE TEXT LABEL  1,DIRECTORY NUMBER  2,DISPLAY  2,XML\n"
		"DP1,SEP00000000000A,Ann,Cisco 7962,SCCP,Cisco 7962 - Standard SCCP Secure Encrypted,3001,Ann B,Front,3002,Both,x\n"
		"DP1,SEP00000000000B,Bob,Cisco 7962,SIP,Cisco 7962 - Standard SIP Non-Secure Profile,3003,Bob C,,,,\n"
		"DP1,SEP00000000000C,Cid,Cisco 7962,SCCP,,3004,,,,,\n"
		"DP1,SEP00000000000D,Dan,Cisco 7962,SCCP,Ours,3005,,,,,\n"
		"DP1,SEP00000000000E,Eve,Cisco 7962,SCCP,7962 Authenticated,3006,,,,,\n";
	const struct cp_device *d;
	json_t *a, *ignored;

	begin();
	a = import(table, strlen(table), 100, false, false);
	ignored = json_object_get(json_object_get(a, "result"), "ignored");
	CU_ASSERT_EQUAL(json_array_size(ignored), 2);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(ignored, 1)), "XML");
	CU_ASSERT_STRING_EQUAL(brief(a), "4 1; 5 DEVICE SECURITY PROFILE: \"Ours\" does not say a mode: add a column mode");
	d = cp_dir_device(store, "SEP00000000000A");
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	CU_ASSERT_EQUAL(d->mode, CP_DEVICE_ENCRYPTED);
	CU_ASSERT_STRING_EQUAL(d->lines[0].label, "Front");
	CU_ASSERT_STRING_EQUAL(d->lines[1].label, "Both");
	CU_ASSERT_EQUAL(d->protocol, CP_PROTOCOL_SCCP);
	d = cp_dir_device(store, "SEP00000000000B");
	CU_ASSERT_EQUAL(d->mode, CP_DEVICE_NONSECURE);
	CU_ASSERT_EQUAL(d->protocol, CP_PROTOCOL_SIP);
	CU_ASSERT_STRING_EQUAL(d->lines[0].label, "Bob C");
	CU_ASSERT_EQUAL(cp_dir_device(store, "SEP00000000000C")->mode, CP_DEVICE_NONSECURE);
	CU_ASSERT_EQUAL(cp_dir_device(store, "SEP00000000000E")->mode, CP_DEVICE_AUTHENTICATED);
	end();
}

static void test_replace(void)
{
	const struct cp_device *d;

	begin();
	CU_ASSERT_STRING_EQUAL(try("name,mode,description,line1\nSEP000000000001,authenticated,A,1001\n"
				   "SEP000000000002,nonsecure,B,1002\n", false, false), "2 0");
	CU_ASSERT_STRING_EQUAL(try("name,description\nSEP000000000001,C\nSEP000000000003,D\n", false, false),
			       "1 1; 2 name: device SEP000000000001 exists");
	CU_ASSERT_STRING_EQUAL(try("name,description\nSEP000000000001,C\n", true, false), "1 0");
	d = cp_dir_device(store, "SEP000000000001");
	CU_ASSERT_STRING_EQUAL(d->description, "C"); /* what the table says ... */
	CU_ASSERT_EQUAL(d->mode, CP_DEVICE_AUTHENTICATED); /* ... and what it says nothing of */
	CU_ASSERT_EQUAL(d->line_cnt, 1);
	/* numbers that change hands inside one table, also in a dry run, whose pieces are not written */
	CU_ASSERT_STRING_EQUAL(try("name,line1\nSEP000000000001,2001\nSEP000000000002,1001\n", true, true), "2 0");
	CU_ASSERT_STRING_EQUAL(try("name,line1\nSEP000000000001,2001\nSEP000000000002,1001\n", true, false), "2 0");
	CU_ASSERT_STRING_EQUAL(cp_dir_device(store, "SEP000000000002")->lines[0].number, "1001");
	end();
}

static void put_plan(void)
{
	static const char *const partitions[] = {"lab", "hall"};

	for (int i = 0; i < 2; i++) {
		json_t *a = ask("partition.add", json_pack("{s:s}", "name", partitions[i]));

		CU_ASSERT_TRUE(is_ok(a));
		json_decref(a);
	}
	json_decref(ask("css.add", json_pack("{s:s,s:[s]}", "name", "staff", "partitions", "lab")));
}

/* Partitions, calling search spaces, pickup groups and protected phones. */
static void test_plan_columns(void)
{
	const struct cp_device *d;

	begin();
	put_plan();
	CU_ASSERT_STRING_EQUAL(try("name,model,css,protected,line1,label1,partition1,css1,pickup1,line2,partition2\n"
				   "SEP000000000001,7962,staff,yes,1001,Front,lab,staff,7000,1002,\n"
				   "SEP000000000002,7962,,,1001,,hall,,,,\n", false, false), "2 0");
	d = cp_dir_device(store, "SEP000000000001");
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	CU_ASSERT(strcmp(d->css, "staff") == 0 && d->secure_tone && d->line_cnt == 2);
	CU_ASSERT(strcmp(d->lines[0].partition, "lab") == 0 && strcmp(d->lines[0].css, "staff") == 0 && strcmp(d->lines[0].pickup, "7000") == 0);
	CU_ASSERT(d->lines[1].partition[0] == '\0' && d->lines[1].css[0] == '\0');
	d = cp_dir_device(store, "SEP000000000002"); /* the same number, in another partition */
	CU_ASSERT(d != NULL && !d->secure_tone && d->css[0] == '\0' && strcmp(d->lines[0].partition, "hall") == 0);
	/* what the table says nothing of stays, with the line's number; what it has a column for does not */
	CU_ASSERT_STRING_EQUAL(try("name,line1,line2\nSEP000000000001,1005,1001\n", true, false), "1 0");
	d = cp_dir_device(store, "SEP000000000001");
	CU_ASSERT(d->secure_tone && strcmp(d->lines[1].number, "1001") == 0 && strcmp(d->lines[1].partition, "lab") == 0 &&
		  strcmp(d->lines[1].css, "staff") == 0 && strcmp(d->lines[1].pickup, "7000") == 0 && strcmp(d->lines[1].label, "Front") == 0);
	CU_ASSERT(d->lines[0].partition[0] == '\0' && d->lines[0].label[0] == '\0');
	CU_ASSERT_STRING_EQUAL(try("name,protected,css,line1,label1,css1,pickup1\nSEP000000000001,,,1001,,,\n", true, false), "1 0");
	d = cp_dir_device(store, "SEP000000000001");
	CU_ASSERT(!d->secure_tone && d->css[0] == '\0' && d->line_cnt == 1 && strcmp(d->lines[0].partition, "lab") == 0);
	CU_ASSERT(d->lines[0].css[0] == '\0' && d->lines[0].pickup[0] == '\0' && d->lines[0].label[0] == '\0');
	/* wrong ones, by line and column */
	CU_ASSERT_STRING_EQUAL(try("name,css,protected,line1,partition1,css1,pickup1\n"
				   "SEP000000000011,none,,2001,,,\n"
				   "SEP000000000012,,perhaps,2002,,,\n"
				   "SEP000000000013,,,2003,none,,\n"
				   "SEP000000000014,,,2004,,none,\n"
				   "SEP000000000015,,,2005,a b,,\n"
				   "SEP000000000016,a/b,,2006,,,\n"
				   "SEP000000000017,,,2007,,,x\n", false, false),
			       "0 7; 2 css: SEP000000000011: no calling search space none; 3 protected: \"perhaps\" is not yes or no;"
			       " 4 partition1: SEP000000000013: no partition none; 5 css1: SEP000000000014: no calling search space none;"
			       " 6 partition1: \"a b\" is not 1 to 31 of letters, digits and . _ -; 7 css: \"a/b\" is not 1 to 31 of letters, digits and . _ -;"
			       " 8 pickup1: \"x\" is not 1 to 32 of 0-9 * # (and a leading +)");
	CU_ASSERT_STRING_EQUAL(try("name,line1,partition2\n", false, false), "line 1: column \"partition2\" without line2 (0 phones were taken)");
	CU_ASSERT_STRING_EQUAL(try("name,css1,line2\n", false, false), "line 1: column \"css1\" without line1 (0 phones were taken)");
	CU_ASSERT_STRING_EQUAL(try("name,pickup42\n", false, false), "line 1: column \"pickup42\" without line42 (0 phones were taken)");
	end();
}

static void test_profile(void)
{
	struct cp_profile p = {.mode = CP_DEVICE_AUTHENTICATED};
	struct cp_batch *b = cp_batch_create();
	const struct cp_device *d;
	struct cp_buf v;

	begin();
	strcpy(p.name, "desk");
	CU_ASSERT_EQUAL_FATAL(cp_profile_build(&p, &v), 0);
	cp_batch_put(b, CP_CF_PROFILE, "profile/desk", 12, v.data, v.len);
	free(v.data);
	CU_ASSERT_EQUAL_FATAL(cp_store_commit(store, b), 0);
	CU_ASSERT_STRING_EQUAL(try("name,profile,mode\nSEP000000000001,desk,\nSEP000000000002,none,\n"
				   "SEP000000000003,desk,encrypted\nSEP000000000004,a b,\n", false, false),
			       "1 3; 3 profile: no profile none; 4 mode: mode encrypted is not that of profile desk, authenticated;"
			       " 5 profile: \"a b\" is not a name: letters, digits and . _ -");
	d = cp_dir_device(store, "SEP000000000001");
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	CU_ASSERT_EQUAL(d->mode, CP_DEVICE_AUTHENTICATED);
	CU_ASSERT_STRING_EQUAL(d->profile, "desk");
	end();
}

/* All of it out, in pages. Heap. */
static json_t *export_all(void)
{
	json_t *all = json_array(), *next = json_string("");

	while (json_is_string(next)) {
		json_t *a = ask("export.phones", json_pack("{s:o,s:i}", "after", next, "max", 7));
		json_t *r = json_object_get(a, "result");

		CU_ASSERT_TRUE_FATAL(is_ok(a));
		CU_ASSERT(json_array_size(json_object_get(r, "rows")) <= 7);
		json_array_extend(all, json_object_get(r, "rows"));
		next = json_incref(json_object_get(r, "next"));
		json_decref(a);
	}
	json_decref(next);
	return all;
}

static void test_export(void)
{
	static char table[65536];
	size_t n = (size_t)sprintf(table, "name,mode,description,line1,label1,partition1,css1,pickup1,css,protected,model\n");
	json_t *all, *again;

	begin();
	put_plan();
	for (int i = 0; i < 50; i++)
		n += (size_t)sprintf(table + n, "SEP%012X,%s,\"d\xc3\xa9 \"\"%d\"\", x\",%d,%s,%s,%s,%s,%s,%s,7962\n", i * 3,
				     i % 2 ? "nonsecure" : "encrypted", i, 5000 + i, i % 3 ? "L" : "", i % 4 ? "lab" : "", i % 5 ? "" : "staff",
				     i % 6 ? "" : "7000", i % 7 ? "staff" : "", i % 2 ? "yes" : "no");
	CU_ASSERT_STRING_EQUAL(brief(import(table, n, 1000, false, false)), "50 0");
	all = export_all();
	CU_ASSERT_EQUAL(json_array_size(all), 50);
	/* as a table again, into an empty store: the same comes out */
	n = 0;
	for (const char *const *c = cp_phonetab_export_columns; *c != NULL; c++)
		n += (size_t)sprintf(table + n, "%s,", *c);
	for (const char *const *c = cp_phonetab_line_columns; *c != NULL; c++)
		n += (size_t)sprintf(table + n, "%s1%s", *c, c[1] != NULL ? "," : "\n");
	for (size_t i = 0; i < 50; i++) {
		json_t *row = json_array_get(all, i), *f;
		size_t k;

		json_array_foreach(row, k, f) {
			n += (size_t)sprintf(table + n, "%s\"", k > 0 ? "," : "");
			for (const char *p = json_string_value(f); *p != '\0'; p++)
				n += (size_t)sprintf(table + n, *p == '"' ? "\"\"" : "%c", *p);
			n += (size_t)sprintf(table + n, "\"");
		}
		n += (size_t)sprintf(table + n, "\n");
	}
	end();
	begin();
	put_plan();
	CU_ASSERT_STRING_EQUAL(brief(import(table, n, 500, false, false)), "50 0");
	again = export_all();
	CU_ASSERT_TRUE(json_equal(all, again));
	json_decref(all);
	json_decref(again);
	end();
}

static void test_sessions(void)
{
	char longer[70000];
	json_int_t id;
	json_t *a;

	begin();
	id = begin_import(false, false);
	CU_ASSERT(id > 0);
	a = ask("import.phones.begin", json_object());
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_object_get(a, "error"), "code")), "busy");
	json_decref(a);
	a = ask("import.phones.data", json_pack("{s:I,s:s}", "id", id, "data", "***="));
	CU_ASSERT_FALSE(is_ok(a));
	json_decref(a);
	memset(longer, 'a', sizeof(longer));
	a = data_of(id, longer, sizeof(longer));
	CU_ASSERT_FALSE(is_ok(a));
	json_decref(a);
	a = data_of(id, "name\nSEP000000000001\nSEP0000", 28);
	CU_ASSERT_TRUE(is_ok(a));
	json_decref(a);
	CU_ASSERT_PTR_NOT_NULL(cp_dir_device(store, "SEP000000000001")); /* a piece that is answered is there */
	a = data_of(id, "00000002\n", 9);
	json_decref(a);
	CU_ASSERT_PTR_NOT_NULL(cp_dir_device(store, "SEP000000000002"));
	/* the dispatcher goes while a piece is on its way: nothing is lost, nothing is touched that is gone */
	{
		char text[200];

		snprintf(text, sizeof(text), "{\"cmd\":\"import.phones.data\",\"args\":{\"id\":%d,\"data\":\"U0VQMDAwMDAwMDAwMDAzCg==\"}}",
			 (int)id);
		answered = 0;
		cp_admin_input(admin, text, strlen(text), on_answer, NULL);
		cp_admin_destroy(admin);
		admin = NULL;
		CU_ASSERT_TRUE(wait_for(base, &answered));
		CU_ASSERT_PTR_NOT_NULL(cp_dir_device(store, "SEP000000000003"));
	}
	end();
}

/* Cut at every length: what was whole is there, nothing else. */
static void test_cut(void)
{
	static const char table[] = "name,description,line1\nSEP000000000001,\"a\"\"b\",1\nSEP000000000002,\"c\nd\",2\n";
	char err[64];

	begin();
	for (size_t len = 0; len < strlen(table); len++) {
		const char *b = brief(import(table, len, 5, true, true));

		snprintf(err, sizeof(err), "%.5s", b);
		CU_ASSERT(err[0] != '\0');
	}
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_DEVICE), 0);
	end();
}

static CU_TestInfo tests[] = {
	{"RFC 4180, in pieces of every size", test_format},
	{"rows and fields have bounds", test_bounds},
	{"the reader of rows can stop it", test_stop},
	{"what a writer wrote", test_against_writer},
	{"phones from a table", test_phones},
	{"errors by line and column, dry run", test_errors},
	{"headers that are none", test_headers},
	{"the bulk tool's names of columns", test_bat},
	{"replace changes what the table has", test_replace},
	{"partitions, calling search spaces, pickup groups, protected phones", test_plan_columns},
	{"security profiles", test_profile},
	{"out and in again", test_export},
	{"one import at a time, in pieces", test_sessions},
	{"tables cut at every length", test_cut},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	cfg_log_init("t", CFG_LOG_KV, CFG_LOG_ERR);
	return 0;
}

#include "suite.h"
SUITE_MAIN("csv", tests, setup, NULL)
