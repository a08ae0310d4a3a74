/* SPDX-License-Identifier: BSD-3-Clause */
/* Signed files: by whom, when again and when not, many at once, without the signer; records of signatures. */
/* Rows: 000:R-21; 001:P1-054, P1-055; 004a:AUT-02; 004b:R-29, SEC-09. */
#include "files_fix.h"

/* 004a:TFTP-03, TFTP-05; 000:P0-50 */
static void test_signed(void)
{
	struct pki_sgn s;
	struct cp_file *f, *g;
	uint32_t stamp;

	up();
	write_file("Ringlist.xml", "<rings/>");
	write_file("firmware.sgn", "a vendor's own");
	f = get("Ringlist.xml.sgn");
	check_signed(f, "Ringlist.xml.sgn", PKI_SHA512, &s);
	CU_ASSERT(s.body_len == 8 && memcmp(s.body, "<rings/>", 8) == 0);
	stamp = s.timestamp;
	g = get("Ringlist.xml.sgn");
	CU_ASSERT(f == g);
	CU_ASSERT_EQUAL(signs, 1);
	cp_file_put(g);
	g = get("firmware.sgn"); /* as it lies there */
	CU_ASSERT(says(g, "a vendor's own") && g->len == 14);
	cp_file_put(g);
	CU_ASSERT_EQUAL(signs, 1);
	CU_ASSERT(get_rc("nothing.xml.sgn") == -ENOENT && get_rc("Ringlist.xml.cnf.xml.enc.sgn") == -ENOENT);
	write_file("Ringlist.xml", "<rings>2</rings>");
	g = get("Ringlist.xml.sgn");
	check_signed(g, "Ringlist.xml.sgn", PKI_SHA512, &s);
	CU_ASSERT(s.body_len == 16);
	CU_ASSERT_EQUAL(signs, 2);
	cp_file_put(g);
	cp_file_put(f);
	/* by class of the device that is named, and of the one that is known to sit at the address */
	put_device(PHONE, "7965", CP_DEVICE_ENCRYPTED, NULL);
	put_device(OTHER, "CP-8851", CP_DEVICE_ENCRYPTED, NULL);
	f = get(PHONE ".cnf.xml.sgn");
	check_signed(f, PHONE ".cnf.xml.sgn", PKI_SHA1, &s);
	CU_ASSERT(f->secret && f->kind == CP_FILE_CONFIG);
	cp_file_put(f);
	f = get(OTHER ".cnf.xml.sgn");
	check_signed(f, OTHER ".cnf.xml.sgn", PKI_SHA512, &s);
	cp_file_put(f);
	{
		struct cp_file_ask ask = ask_for("ITL" PHONE ".tlv");
		int rc;

		cfg_addr_parse("10.0.0.7:5000", &ask.from);
		cp_file_put(get_ask(&ask, &rc));
		strcpy(ask.name, "Ringlist.xml.sgn");
		f = get_ask(&ask, &rc);
		check_signed(f, "Ringlist.xml.sgn", PKI_SHA1, &s);
		cp_file_put(f);
	}
	/* nothing is signed anew by a restart, and the time is the old one */
	write_file("Ringlist.xml", "<rings/>");
	f = get("Ringlist.xml.sgn");
	check_signed(f, "Ringlist.xml.sgn", PKI_SHA512, &s);
	stamp = s.timestamp;
	cp_file_put(f);
	restart();
	signs = 0;
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = {"Ringlist.xml.sgn", PHONE ".cnf.xml.sgn", OTHER ".cnf.xml.sgn"};

		f = get(names[i]);
		check_signed(f, names[i], i == 1 ? PKI_SHA1 : PKI_SHA512, &s);
		CU_ASSERT(i > 0 || s.timestamp == stamp);
		cp_file_put(f);
	}
	CU_ASSERT_EQUAL(signs, 0);
	down();
}

/* One change signs one file. */
static void test_only_changed(void)
{
	char name[32];
	struct cp_file *f;

	up();
	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "SEP0000000000%02X", i);
		put_device(name, "8851", CP_DEVICE_ENCRYPTED, NULL);
		strcat(name, ".cnf.xml.sgn");
		CU_ASSERT(get_rc(name) == 0);
	}
	CU_ASSERT_EQUAL(signs, 20);
	put_device("SEP000000000005", "8851", CP_DEVICE_AUTHENTICATED, NULL);
	put_device("SEP000000000006", "8851", CP_DEVICE_ENCRYPTED, NULL); /* written, and the same */
	cp_files_changed(files); /* a trust list changed: no configuration depends on it */
	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "SEP0000000000%02X.cnf.xml.sgn", i);
		f = get(name);
		CU_ASSERT(says(f, i == 5 ? "<deviceSecurityMode>2<" : "<deviceSecurityMode>3<"));
		cp_file_put(f);
	}
	CU_ASSERT_EQUAL(signs, 21);
	mixed = false; /* all change: 004b:SEC-07 */
	cp_files_changed(files);
	f = get("SEP000000000001.cnf.xml.sgn");
	CU_ASSERT(says(f, "<deviceSecurityMode>1<"));
	cp_file_put(f);
	CU_ASSERT_EQUAL(signs, 22);
	down();
}

/* --- many phones --- */

struct many {
	atomic_uint left;
	atomic_uint failed;
	volatile int done;
};

static void one_of_many(void *ctx, int rc, struct cp_file *file)
{
	struct many *m = ctx;

	if (rc != 0)
		atomic_fetch_add(&m->failed, 1);
	cp_file_put(file);
	if (atomic_fetch_sub(&m->left, 1) == 1)
		__atomic_store_n(&m->done, 1, __ATOMIC_RELEASE);
}

static double fetch_all(unsigned n)
{
	struct timespec from, to;
	struct many m = {.left = n};

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; i < n; i++) {
		struct cp_file_ask ask = {.via = CP_VIA_TFTP};
		struct cp_file *f = NULL;
		int rc;

		snprintf(ask.name, sizeof(ask.name), "SEP%012X.cnf.xml.sgn", i);
		rc = cp_files_get(files, &ask, &f, one_of_many, &m);
		if (rc != -EINPROGRESS)
			one_of_many(&m, rc, f);
		if (i % 256 == 0)
			event_base_loop(base, EVLOOP_NONBLOCK);
	}
	for (int i = 0; i < 60 && !m.done; i++)
		wait_for(base, &m.done);
	clock_gettime(CLOCK_MONOTONIC, &to);
	CU_ASSERT(m.done);
	CU_ASSERT_EQUAL(m.failed, 0);
	return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

/* A restart signs nothing anew, whatever the number: RAVELIN_FILES_PHONES (default 1000; 20000 is what a boot storm has). */
static void test_restart_many(void)
{
	const char *env = getenv("RAVELIN_FILES_PHONES");
	unsigned n = env != NULL ? (unsigned)atoi(env) : 1000;
	struct cp_files_stats st;
	struct cp_change *c;
	double first, again;
	char why[256];

	up();
	fast = true;
	c = cp_change_create(store);
	for (unsigned i = 0; i < n; i++) {
		struct cp_device d = {.mode = CP_DEVICE_ENCRYPTED, .model = "8851", .region = "default"};

		snprintf(d.name, sizeof(d.name), "SEP%012X", i);
		CU_ASSERT(cp_change_device_put(c, &d, false, why, sizeof(why)) == 0);
	}
	wrote = 0;
	CU_ASSERT_FATAL(cp_change_submit(c, "test", "test", NULL, written, NULL) == 0);
	for (int i = 0; i < 10 && !wrote; i++)
		wait_for(base, &wrote);
	first = fetch_all(n);
	CU_ASSERT_EQUAL(signs, n);
	restart();
	signs = 0;
	again = fetch_all(n);
	CU_ASSERT_EQUAL(signs, 0);
	cp_files_stats(files, &st);
	CU_ASSERT_EQUAL(st.sign_cache_hits, n);
	if (env != NULL)
		fprintf(stderr, "%u phones: %.1f s the first time, %.1f s after a restart, %zu bytes of cache\n", n, first, again,
			st.cache_bytes);
	fast = false;
	down();
}

/* Many ask, one signs. */
struct crowd {
	struct answer a[64];
	atomic_uint pending;
};

static void *one_of_crowd(void *arg)
{
	struct crowd *c = arg;
	struct cp_file_ask ask = ask_for(PHONE ".cnf.xml.sgn");

	for (unsigned i = atomic_fetch_sub(&c->pending, 1) - 1, end = i; i == end; i--) {
		struct answer *a = &c->a[i];
		int rc = cp_files_get(files, &ask, &a->file, answered, a);

		if (rc != -EINPROGRESS)
			answered(a, rc, a->file);
		break;
	}
	return NULL;
}

static void test_crowd(void)
{
	struct crowd c = {.pending = 64};
	struct cp_files_stats st;
	pthread_t t[64];

	up();
	put_device(PHONE, "8851", CP_DEVICE_ENCRYPTED, NULL);
	for (unsigned i = 0; i < 64; i++)
		CU_ASSERT_FATAL(pthread_create(&t[i], NULL, one_of_crowd, &c) == 0);
	for (unsigned i = 0; i < 64; i++)
		pthread_join(t[i], NULL);
	for (unsigned i = 0; i < 64; i++) {
		wait_for(base, &c.a[i].done);
		CU_ASSERT(c.a[i].done && c.a[i].rc == 0 && c.a[i].file == c.a[0].file);
	}
	for (unsigned i = 0; i < 64; i++)
		cp_file_put(c.a[i].file);
	CU_ASSERT_EQUAL(signs, 1);
	cp_files_stats(files, &st);
	CU_ASSERT(st.gets == 64 && st.waiting == 0 && st.made == 1);
	/* who waits when it ends is told, and nobody is after it */
	atomic_store(&signer_down, false);
	{
		struct cp_file_ask ask = ask_for(OTHER ".cnf.xml.sgn");
		struct answer a = {0};

		put_device(OTHER, "8851", CP_DEVICE_ENCRYPTED, NULL);
		CU_ASSERT(cp_files_get(files, &ask, &a.file, answered, &a) == -EINPROGRESS);
		cp_files_stop(files);
		CU_ASSERT(a.done && a.rc == -EIO && a.file == NULL);
		CU_ASSERT(cp_files_get(files, &ask, &a.file, answered, &a) == -EIO);
	}
	down();
}

static void test_signer_down(void)
{
	struct cp_files_stats st;

	up();
	put_device(PHONE, "8851", CP_DEVICE_ENCRYPTED, NULL);
	atomic_store(&signer_down, true);
	CU_ASSERT(get_rc(PHONE ".cnf.xml.sgn") == -EIO);
	CU_ASSERT(get_rc(PHONE ".cnf.xml") == 0); /* needs no signer */
	atomic_store(&signer_down, false);
	CU_ASSERT(get_rc(PHONE ".cnf.xml.sgn") == 0); /* a failure is not kept */
	cp_files_stats(files, &st);
	CU_ASSERT(st.sign_failures == 1 && st.signs == 2);
	down();
}

static void test_record(void)
{
	struct cp_signed r = {0}, back;
	uint8_t input[32] = {1}, sig[256] = {2};
	struct cp_buf v;

	r.input = (struct cp_buf){input, 32};
	CU_ASSERT(cp_signed_build(&r, &v) == -EINVAL); /* neither signature nor file */
	r.sig = (struct cp_buf){sig, sizeof(sig)};
	r.timestamp = 7;
	CU_ASSERT_FATAL(cp_signed_build(&r, &v) == 0);
	for (size_t n = 0; n < v.len; n++) {
		uint8_t *cut = malloc(n + 1);

		memcpy(cut, v.data, n);
		CU_ASSERT(cp_signed_parse(cut, n, &back) < 0);
		free(cut);
	}
	CU_ASSERT_FATAL(cp_signed_parse(v.data, v.len, &back) == 0);
	CU_ASSERT(back.timestamp == 7 && back.sig.len == 256 && back.file.len == 0);
	cp_signed_free(&back);
	free(v.data);
}

static CU_TestInfo tests[] = {
	{"signed by class; a restart signs nothing anew", test_signed},
	{"a change signs only what changed", test_only_changed},
	{"a restart with many phones signs nothing", test_restart_many},
	{"many ask, one signs", test_crowd},
	{"the signer is away", test_signer_down},
	{"records of signatures, cut anywhere", test_record},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("files_sign", tests, setup, teardown)
