/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/ctl: what command lines become, what answers look like. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/CUnit.h>
#include <openssl/crypto.h>

#include "ctl.h"
#include "readfile.h"

static char why[512];

/* The request a command line becomes, as JSON; "!" and the reason when refused. Words are blank-separated. */
static char *line(const char *text)
{
	static char out[2048];
	char copy[512], *argv[32], *save, *p, *json;
	struct ctl_request r;
	int argc = 0;

	strcpy(copy, text);
	for (p = strtok_r(copy, " ", &save); p != NULL; p = strtok_r(NULL, " ", &save))
		argv[argc++] = p;
	if (ctl_parse(argc, argv, &r, why, sizeof(why)) < 0) {
		snprintf(out, sizeof(out), "!%s", why);
		return out;
	}
	json = json_dumps(r.args, JSON_COMPACT);
	snprintf(out, sizeof(out), "%s %s%s%s%s%s", r.cmd->cmd, json, r.local[0] != NULL ? " " : "",
		 r.local[0] != NULL ? r.local[0] : "", r.local[1] != NULL ? " " : "",
		 r.local[1] != NULL ? r.local[1] : "");
	if (r.help)
		strcat(out, " help");
	free(json);
	json_decref(r.args);
	return out;
}

static const struct {
	const char *line, *becomes;
} lines[] = {
	{"status", "status {}"},
	{"show devices", "show.devices {}"},
	{"device add SEP1 --mode encrypted --line 1 --line=2 --no-srtp",
	 "device.add {\"name\":\"SEP1\",\"mode\":\"encrypted\",\"lines\":[\"1\",\"2\"],\"srtp\":false}"},
	{"device add --mode nonsecure SEP1", "device.add {\"mode\":\"nonsecure\",\"name\":\"SEP1\"}"},
	{"line add 10 --device SEP1 --label X", "line.add {\"number\":\"10\",\"device\":\"SEP1\",\"label\":\"X\"}"},
	{"gateway add g --address 1.2.3.4:5 --endpoint e --number 9* --keys-without-ipsec",
	 "gateway.add {\"name\":\"g\",\"address\":\"1.2.3.4:5\",\"endpoints\":[\"e\"],\"numbers\":[\"9*\"],"
	 "\"keys_without_ipsec\":true}"},
	{"gateway change g --group pstn --priority 2 --weight 50", "gateway.change {\"name\":\"g\",\"group\":\"pstn\",\"priority\":2,\"weight\":50}"},
	{"gateway drain g", "gateway.drain {\"name\":\"g\"}"},
	{"gateway add g --address 1.2.3.4 --suite AEAD_AES_256_GCM --mki 4 --lifetime 31 --srtcp-clear",
	 "gateway.add {\"name\":\"g\",\"address\":\"1.2.3.4\",\"suite\":\"AEAD_AES_256_GCM\",\"mki\":4,\"lifetime\":31,"
	 "\"srtcp_clear\":true}"},
	{"rekey 7", "call.rekey {\"id\":7}"},
	{"rekey 7 --party both", "call.rekey {\"id\":7,\"party\":\"both\"}"},
	{"rekey", "!rekey: CALL is missing"},
	{"file show CTLFile.tlv", "file.show {\"file\":\"CTLFile.tlv\"}"},
	{"file verify a.sgn --list ITLFile.tlv --name b.sgn",
	 "file.verify {\"file\":\"a.sgn\",\"list\":\"ITLFile.tlv\",\"name\":\"b.sgn\"}"},
	{"file sign a --cert c", "!file sign: --key is missing"},
	{"file sign a --key k --enc-cert e --digest sha1 --time 0",
	 "file.sign {\"file\":\"a\",\"key\":\"k\",\"enc_cert\":\"e\",\"digest\":\"sha1\",\"time\":0}"},
	{"file decrypt a --sym-key-file s --out o", "file.decrypt {\"file\":\"a\",\"sym_key\":\"s\",\"out\":\"o\"}"},
	{"file decrypt", "!file decrypt: FILE is missing"},
	{"sa add s --gateway g --in --spi 0x100 --alg aes-gcm-128 --local a --remote b --key-file k",
	 "sa.add {\"name\":\"s\",\"gateway\":\"g\",\"direction\":\"in\",\"spi\":256,\"algorithm\":\"aes-gcm-128\","
	 "\"local\":\"a\",\"remote\":\"b\"} k"},
	{"session add --leg-a remote=[::1]:5,rx-key=AA==,suite=RTP --leg-b remote=1.2.3.4:6",
	 "session.add {\"leg_a\":{\"remote\":\"[::1]:5\",\"rx_key\":\"AA==\",\"suite\":\"RTP\"},"
	 "\"leg_b\":{\"remote\":\"1.2.3.4:6\"}}"},
	{"session del 7", "session.del {\"id\":7}"},
	{"cert issue SEP1 --out dir", "cert.issue {\"device\":\"SEP1\"} dir"},
	{"cert upload --store CAPF-trust f.pem", "cert.upload {\"store\":\"CAPF-trust\"} f.pem"},
	{"cert export ab12 --der", "cert.export {\"id\":\"ab12\"} --der"},
	{"cert regenerate TVS --key ec-p384 --strand 3", "cert.regenerate {\"name\":\"TVS\",\"key\":\"ec-p384\",\"strand\":3}"},
	{"cert csr TVS --out f", "cert.csr {\"name\":\"TVS\"} f"},
	{"cert import TVS chain.pem", "cert.import {\"name\":\"TVS\"} chain.pem"},
	{"cert import TVS", "!cert import: CHAINFILE is missing"},
	{"cert upload f.pem", "!cert upload: --store is missing"},
	{"import f.json --replace", "import {\"replace\":true} f.json"},
	{"import phones f.csv --replace --dry-run", "import.phones {\"replace\":true,\"dry_run\":true} f.csv"},
	{"import phones f.csv --all-or-nothing", "import.phones {} f.csv --all-or-nothing"},
	{"export phones --out f.csv", "export.phones {} f.csv"},
	{"export", "export {}"},
	{"alarm clear", "alarm.clear {}"},
	{"alarm clear id subject", "alarm.clear {\"id\":\"id\",\"subject\":\"subject\"}"},
	{"device add --help", "device.add {} help"},
	{"device show -- -x", "device.show {\"name\":\"-x\"}"},
	{"", "!no command given"},
	{"nope", "!unknown command nope"},
	{"device", "!unknown command device"},
	{"device add", "!device add: NAME is missing"},
	{"device add a b", "!device add: one word too many: b"},
	{"device add a --nope", "!device add: unknown option --nope"},
	{"device add a --mode", "!--mode needs MODE"},
	{"device add a --mode x --mode y", "!--mode is given twice"},
	{"device add a --no-srtp=1", "!--no-srtp takes no value"},
	{"line add 10", "!line add: --device is missing"},
	{"cert issue SEP1", "!cert issue: --out is missing"},
	{"session del seven", "!ID: seven is not an integer"},
	{"session del 99999999999999999999", "!ID: 99999999999999999999 is not an integer"},
	{"session add --leg-a remote --leg-b x=1", "!--leg-a: remote is not key=value"},
	{"cdr list --number 1001 --max 5", "cdr.list {\"number\":\"1001\",\"_max\":5}"},
	{"cdr export --from 2026-11-22 --to 2026-11-23 --device g --output f", "cdr.list {\"from\":\"2026-11-22\",\"to\":\"2026-11-23\",\"device\":\"g\"} f"},
	{"mwi 1001 on", "line.mwi {\"number\":\"1001\",\"state\":\"on\"}"},
	{"mwi 1001", "!mwi: on|off is missing"},
	{"sa add s --gateway g --in --out --spi 300 --alg x --local a --remote b", "!--out is given twice"},
};

static void test_lines(void)
{
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		CU_ASSERT_STRING_EQUAL(line(lines[i].line), lines[i].becomes);
}

static void test_every_command_explains_itself(void)
{
	const struct ctl_cmd *c;

	for (unsigned i = 0; (c = ctl_command(i)) != NULL; i++) {
		char words[80], *text = NULL;
		size_t len = 0;
		FILE *f = open_memstream(&text, &len);

		snprintf(words, sizeof(words), "%s --help", c->words);
		CU_ASSERT_PTR_NOT_NULL(strstr(line(words), " help"));
		ctl_command_help(f, c);
		fclose(f);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, c->words));
		for (const struct ctl_opt *o = c->opts; o != NULL && o->name != NULL; o++)
			CU_ASSERT_PTR_NOT_NULL(strstr(text, o->name));
		free(text);
	}
}

static char *render(const char *json)
{
	static char out[2048];
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	json_t *o = json_loads(json, JSON_DECODE_ANY, NULL);

	CU_ASSERT_PTR_NOT_NULL(o);
	ctl_render(f, o);
	fclose(f);
	snprintf(out, sizeof(out), "%s", text);
	free(text);
	json_decref(o);
	return out;
}

static void test_rendering(void)
{
	CU_ASSERT_STRING_EQUAL(render("null"), "");
	CU_ASSERT_STRING_EQUAL(render("[]"), "none\n");
	CU_ASSERT_STRING_EQUAL(render("[{\"a\":1,\"b_c\":\"x\"},{\"a\":222,\"d\":true}]"),
			       "A    B-C  D\n1    x    -\n222  -    yes\n");
	CU_ASSERT_STRING_EQUAL(render("[{\"n\":\"\xc3\xbc\",\"l\":[{\"number\":\"1\",\"label\":\"\"},{\"number\":\"2\",\"label\":\"q\"}]}]"),
			       "N  L\n\xc3\xbc  1,2/label=q\n");
	CU_ASSERT_STRING_EQUAL(render("{\"v\":\"1\",\"store\":{\"state\":\"ok\"},\"list\":[{\"a\":1}],\"none\":[]}"),
			       "v: 1\nstore.state: ok\nlist:\nA\n1\nnone: \n");
	CU_ASSERT_STRING_EQUAL(render("\"a\\u001b[0m\""), "a?[0m\n");
}

/* RFC 4180 2: commas and quotes in quotes, quotes doubled, CRLF; what a report has in its cells (004b:CAPF-35). */
static void test_csv(void)
{
	static const struct {
		const char *json, *csv;
	} rows[] = {
		{"[]", ""},
		{"[{\"device\":\"SEP1\",\"string\":\"0471\"}]", "device,string\r\nSEP1,0471\r\n"},
		{"[{\"a\":\"x, y\",\"b\":\"say \\\"no\\\"\"}]", "a,b\r\n\"x, y\",\"say \"\"no\"\"\"\r\n"},
		{"[{\"a\":\"two\\nlines\",\"b\":\"\"}]", "a,b\r\ntwo?lines,\r\n"}, /* no control characters, as elsewhere */
		{"[{\"a\":\"=1+1\",\"b\":\"@x\"}]", "a,b\r\n\"=1+1\",\"@x\"\r\n"},
		/* columns are those of the first row; what a row lacks is empty */
		{"[{\"a\":1,\"b\":true},{\"b\":null,\"c\":3}]", "a,b\r\n1,yes\r\n,\r\n"},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *o = json_loads(rows[i].json, 0, NULL);
		char *text = NULL;
		size_t len = 0;
		FILE *f = open_memstream(&text, &len);

		CU_ASSERT_PTR_NOT_NULL_FATAL(o);
		ctl_render_csv(f, o, true);
		fclose(f);
		CU_ASSERT_STRING_EQUAL(text, rows[i].csv);
		free(text);
		json_decref(o);
	}
}

/* --- pages of call detail records --- */

static struct {
	unsigned asked;
	char args[4][128]; /* of each question */
	const char *answer[4];
} pages;

static json_t *ask_page(void *ctx, const char *cmd, json_t *args)
{
	char *text = json_dumps(args, JSON_COMPACT);
	json_t *o;

	CU_ASSERT(ctx == &pages && strcmp(cmd, "cdr.list") == 0);
	CU_ASSERT_FATAL(pages.asked < 4);
	snprintf(pages.args[pages.asked], sizeof(pages.args[0]), "%s", text);
	free(text);
	o = pages.answer[pages.asked] != NULL ? json_loads(pages.answer[pages.asked], 0, NULL) : NULL;
	pages.asked++;
	return o;
}

/* What is printed; *ret_rc is ctl_cdr()'s, *ret what refused. Freed by the caller. */
static char *cdr_pages(enum ctl_cdr_form form, json_int_t most, int *ret_rc, json_t **ret)
{
	json_t *args = json_pack("{s:s}", "number", "1001");
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	pages.asked = 0;
	*ret_rc = ctl_cdr(ask_page, &pages, args, form, most, f, ret);
	fclose(f);
	json_decref(args);
	return text;
}

static void cdr_prints(enum ctl_cdr_form form, json_int_t most, unsigned asks, const char *prints)
{
	json_t *ret;
	int rc;
	char *text = cdr_pages(form, most, &rc, &ret);

	CU_ASSERT(rc == 0 && ret == NULL);
	CU_ASSERT_EQUAL(pages.asked, asks);
	CU_ASSERT_STRING_EQUAL(text, prints);
	free(text);
}

static void test_cdr(void)
{
	json_t *ret;
	char *text;
	int rc;

	pages.answer[0] = "{\"ok\":true,\"result\":{\"records\":[{\"end\":\"1\",\"call\":7}],\"next\":\"aa\"}}";
	pages.answer[1] = "{\"ok\":true,\"result\":{\"records\":[],\"next\":\"bb\"}}"; /* of so many that were looked at none was wanted */
	pages.answer[2] = "{\"ok\":true,\"result\":{\"records\":[{\"end\":\"2\",\"call\":8}],\"next\":null}}";
	cdr_prints(CTL_CDR_LINES, 0, 3, "{\"end\":\"1\",\"call\":7}\n{\"end\":\"2\",\"call\":8}\n");
	CU_ASSERT_STRING_EQUAL(pages.args[0], "{\"number\":\"1001\"}");
	CU_ASSERT_STRING_EQUAL(pages.args[1], "{\"number\":\"1001\",\"after\":\"aa\"}");
	CU_ASSERT_STRING_EQUAL(pages.args[2], "{\"number\":\"1001\",\"after\":\"bb\"}");
	cdr_prints(CTL_CDR_CSV, 0, 3, "end,call\r\n1,7\r\n2,8\r\n"); /* one header */
	/* no more than are wanted are asked for, nor after that */
	cdr_prints(CTL_CDR_LINES, 1, 1, "{\"end\":\"1\",\"call\":7}\n");
	CU_ASSERT_STRING_EQUAL(pages.args[0], "{\"number\":\"1001\",\"max\":1}");
	cdr_prints(CTL_CDR_LINES, 2, 3, "{\"end\":\"1\",\"call\":7}\n{\"end\":\"2\",\"call\":8}\n");
	CU_ASSERT_STRING_EQUAL(pages.args[2], "{\"number\":\"1001\",\"max\":1,\"after\":\"bb\"}");
	/* the header comes with the first that there is */
	pages.answer[0] = pages.answer[1];
	pages.answer[1] = pages.answer[2];
	cdr_prints(CTL_CDR_CSV, 0, 2, "end,call\r\n2,8\r\n");
	/* for people: the columns that tell most */
	pages.answer[0] = "{\"ok\":true,\"result\":{\"records\":[{\"end\":\"1\",\"call\":7,\"calling\":\"1001\"}],\"next\":null}}";
	text = cdr_pages(CTL_CDR_TABLE, 100, &rc, &ret);
	CU_ASSERT(rc == 0 && strstr(text, "CALLING") != NULL && strstr(text, "1001") != NULL && strstr(text, "CALL ") == NULL);
	free(text);
	/* refused: in the middle, too; and nobody there */
	pages.answer[1] = "{\"ok\":false,\"error\":{\"code\":\"unavailable\"}}";
	pages.answer[0] = "{\"ok\":true,\"result\":{\"records\":[{\"end\":\"1\"}],\"next\":\"aa\"}}";
	text = cdr_pages(CTL_CDR_LINES, 0, &rc, &ret);
	CU_ASSERT(rc == -EIO && ret != NULL && json_is_false(json_object_get(ret, "ok")));
	CU_ASSERT_STRING_EQUAL(text, "{\"end\":\"1\"}\n");
	json_decref(ret);
	free(text);
	pages.answer[0] = NULL;
	text = cdr_pages(CTL_CDR_LINES, 0, &rc, &ret);
	CU_ASSERT(rc == -EIO && ret == NULL);
	free(text);
}

/* Whole, or not at all; piece by piece from a pipe as from a file. */
static void test_reading_files(void)
{
	static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8192, 100000, 100001};
	char path[] = "/tmp/ravelin-ctl.XXXXXX";
	int fd = mkstemp(path);
	size_t len = 0;
	uint8_t *data = NULL, pattern[100001];

	CU_ASSERT_FATAL(fd >= 0);
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 + i / 256 + 1);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const bool fits = sizes[i] <= 100000;

		CU_ASSERT_EQUAL(pwrite(fd, pattern, sizes[i], 0), (ssize_t)sizes[i]);
		data = NULL;
		CU_ASSERT_EQUAL(ctl_read_file(path, 100000, &data, &len), fits ? 0 : -EFBIG);
		CU_ASSERT_EQUAL(data != NULL, fits);
		if (data == NULL)
			continue;
		CU_ASSERT(len == sizes[i] && memcmp(data, pattern, len) == 0 && data[len] == '\0');
		OPENSSL_clear_free(data, len + 1);
	}
	unlink(path);
	close(fd);
	CU_ASSERT_EQUAL(ctl_read_file(path, 100, &data, &len), -ENOENT);
	CU_ASSERT_EQUAL(ctl_read_file("/tmp", 100, &data, &len), -EISDIR);
}

static void test_reading_standard_input(void)
{
	int old = dup(STDIN_FILENO), p[2], status = 0;
	uint8_t *data = NULL;
	size_t len = 0;
	pid_t child;

	CU_ASSERT_EQUAL_FATAL(pipe(p), 0);
	child = fork();
	if (child == 0) {
		for (char c = 'a'; c <= 'z'; c++)
			if (write(p[1], &c, 1) != 1)
				_exit(1);
		_exit(0);
	}
	close(p[1]);
	dup2(p[0], STDIN_FILENO);
	close(p[0]);
	CU_ASSERT_EQUAL_FATAL(ctl_read_file(NULL, 26, &data, &len), 0);
	CU_ASSERT_EQUAL(len, 26);
	CU_ASSERT_STRING_EQUAL((const char *)data, "abcdefghijklmnopqrstuvwxyz");
	OPENSSL_clear_free(data, len + 1);
	CU_ASSERT_EQUAL(fcntl(STDIN_FILENO, F_GETFD), 0); /* it stays open */
	dup2(old, STDIN_FILENO);
	close(old);
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
}

static CU_TestInfo tests[] = {
	{"command lines", test_lines},
	{"every command explains itself", test_every_command_explains_itself},
	{"answers", test_rendering},
	{"CSV", test_csv},
	{"call detail records by pages", test_cdr},
	{"files are read whole, or not at all", test_reading_files},
	{"standard input", test_reading_standard_input},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("ctl", tests, NULL, NULL)
