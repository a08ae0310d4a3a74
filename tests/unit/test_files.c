/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What phones can fetch: names, the operator's directory, generated configurations, signatures and their cache. A real
 * store and event loop; the signer is a key here, whose signatures are counted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libxml/parser.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

#include "provision/internal.h"
#include "provision/signedcache.h"
#include "sgn.h"
#include "store/change.h"
#include "store_tmp.h"
#include "suite.h"

static struct event_base *base;
static struct cp_store *store;
static struct cfg *cfg;
static struct cp_files *files;
static EVP_PKEY *tftp_key, *phone_key, *ec_key;
static X509 *tftp_cert, *phone_cert, *ec_cert;
static atomic_uint signs;
static atomic_bool signer_down, fast;
static bool mixed, unknown_ok;
static struct cp_file *list_file;
static char noted[64];
static unsigned notes;

/* --- what is around the files --- */

static X509 *self_signed(EVP_PKEY *key, const char *cn)
{
	X509 *c = X509_new();
	X509_NAME *n = X509_get_subject_name(c);

	X509_set_version(c, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c), 4711);
	X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(c, n);
	X509_gmtime_adj(X509_getm_notBefore(c), -60);
	X509_gmtime_adj(X509_getm_notAfter(c), 86400);
	X509_set_pubkey(c, key);
	if (X509_sign(c, key, EVP_sha256()) == 0)
		abort();
	return c;
}

static struct cp_file *get_list(void *ctx, enum pki_tl_kind kind, enum pki_tl_class cls)
{
	(void)ctx;
	(void)cls;
	return kind == PKI_TL_ITL && list_file != NULL ? cp_file_take(list_file) : NULL;
}

static bool is_mixed(void *ctx)
{
	(void)ctx;
	return mixed;
}

static bool lets_in(void *ctx)
{
	(void)ctx;
	return unknown_ok;
}

static X509 *get_cert(void *ctx)
{
	(void)ctx;
	X509_up_ref(tftp_cert);
	return tftp_cert;
}

static int sign(void *ctx, enum cp_sign_kind kind, const void *head, size_t head_len, const void *body, size_t body_len,
		uint8_t *sig, size_t *ret_len)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	struct pki_sgn tbs;
	int ok;

	(void)ctx;
	CU_ASSERT(kind == CP_SIGN_FILE || kind == CP_SIGN_ENC);
	atomic_fetch_add(&signs, 1);
	if (atomic_load(&signer_down)) {
		EVP_MD_CTX_free(md);
		return -ECONNREFUSED;
	}
	if (!fast)
		nanosleep(&(struct timespec){0, 2000000}, NULL); /* long enough that askers meet */
	ok = pki_sgn_parse_tbs(head, head_len, &tbs, NULL, 0) == 0 &&
	     EVP_DigestSignInit(md, NULL, pki_digest_md(tbs.digest), NULL, tftp_key) == 1 &&
	     EVP_DigestSignUpdate(md, head, head_len) == 1 && EVP_DigestSignUpdate(md, body, body_len) == 1 &&
	     EVP_DigestSignFinal(md, sig, ret_len) == 1;
	EVP_MD_CTX_free(md);
	return ok ? 0 : -EIO;
}

/* "Sealed" is the bound name and the secret, so that a secret moved elsewhere is seen. */
static int unseal(void *ctx, const void *sealed, size_t len, const char *aad, uint8_t **ret, size_t *ret_len)
{
	size_t n = strlen(aad);

	(void)ctx;
	if (len < n || memcmp(sealed, aad, n) != 0)
		return -EACCES;
	*ret_len = len - n;
	*ret = OPENSSL_malloc(*ret_len + 1);
	memcpy(*ret, (const uint8_t *)sealed + n, *ret_len);
	return 0;
}

static void has_list(void *ctx, const char *device, enum pki_tl_kind kind, const struct cp_file *file,
		     const struct cfg_addr *unproven_at)
{
	(void)ctx;
	snprintf(noted, sizeof(noted), "%s %d %zu%s", device, (int)kind, file->len, unproven_at != NULL ? "?" : "");
	notes++;
}

static void start_files(void)
{
	struct cp_files_env env = {.base = base, .store = store, .cfg = cfg, .list = get_list, .mixed = is_mixed,
				   .auto_registration = lets_in, .signer_cert = get_cert, .sign = sign, .unseal = unseal, .has_list = has_list};

	CU_ASSERT_FATAL(cp_files_create(&env, &files) == 0);
}

static void open_store(void)
{
	struct cp_store_opts o = {.path = tmp_store, .base = base};
	char err[256];

	CU_ASSERT_FATAL(cp_store_open(&o, &store, err, sizeof(err)) == 0);
}

static void up(void)
{
	tmp_make();
	base = event_base_new();
	open_store();
	CU_ASSERT_FATAL(cfg_load_data((const uint8_t *)"{}", 2, &cfg, (char[256]){0}, 256) == 0);
	free(cfg->provision.directory);
	cfg->provision.directory = malloc(128);
	snprintf(cfg->provision.directory, 128, "%s/files", tmp_dir);
	mkdir(cfg->provision.directory, 0755);
	mixed = true;
	unknown_ok = false;
	signs = 0;
	signer_down = false;
	start_files();
}

static void close_files(void)
{
	cp_files_stop(files);
	cp_store_close(store);
	cp_files_destroy(files);
	files = NULL;
	store = NULL;
}

static void down(void)
{
	if (files != NULL)
		close_files();
	cfg_free(cfg);
	event_base_free(base);
	tmp_remove();
}

static void restart(void)
{
	close_files();
	open_store();
	start_files();
}

/* --- asking --- */

struct answer {
	int rc;
	struct cp_file *file;
	volatile int done;
};

static void answered(void *ctx, int rc, struct cp_file *file)
{
	struct answer *a = ctx;

	a->rc = rc;
	a->file = file;
	__atomic_store_n(&a->done, 1, __ATOMIC_RELEASE);
}

static struct cp_file *get_ask(const struct cp_file_ask *ask, int *ret_rc)
{
	struct answer a = {0};
	int rc = cp_files_get(files, ask, &a.file, answered, &a);

	if (rc == -EINPROGRESS) {
		wait_for(base, &a.done);
		CU_ASSERT_FATAL(a.done == 1);
		rc = a.rc;
	} else {
		CU_ASSERT(a.done == 0);
	}
	*ret_rc = rc;
	CU_ASSERT((rc == 0) == (a.file != NULL));
	return a.file;
}

static struct cp_file_ask ask_for(const char *name)
{
	struct cp_file_ask ask = {.via = CP_VIA_TFTP};

	snprintf(ask.name, sizeof(ask.name), "%s", name);
	return ask;
}

static struct cp_file *get(const char *name)
{
	struct cp_file_ask ask = ask_for(name);
	int rc;
	struct cp_file *f = get_ask(&ask, &rc);

	return f;
}

static int get_rc(const char *name)
{
	struct cp_file_ask ask = ask_for(name);
	int rc;

	cp_file_put(get_ask(&ask, &rc));
	return rc;
}

static bool says(const struct cp_file *f, const char *text)
{
	return f != NULL && memmem(f->data, f->len, text, strlen(text)) != NULL;
}

/* --- records --- */

static volatile int wrote;
static int write_rc;

static void written(void *ctx, int rc)
{
	(void)ctx;
	write_rc = rc;
	wrote = 1;
}

static void put_device(const char *name, const char *model, enum cp_device_mode mode,
		       void (*more)(struct cp_device *dev))
{
	struct cp_device d = {.mode = mode, .srtp = true};
	char why[256] = "";
	struct cp_dir_ctx x = {"test", written, NULL, why, sizeof(why)};

	snprintf(d.name, sizeof(d.name), "%s", name);
	snprintf(d.model, sizeof(d.model), "%s", model);
	strcpy(d.region, "default");
	if (more != NULL)
		more(&d);
	wrote = 0;
	if (cp_dir_device_put(store, &d, true, &x) != 0) {
		CU_FAIL("device not taken");
		fprintf(stderr, "%s\n", why);
		return;
	}
	wait_for(base, &wrote);
	CU_ASSERT(write_rc == 0);
}

static void put_record(enum cp_cf cf, const char *key, struct cp_buf *val)
{
	struct cp_batch *b = cp_batch_create();

	cp_batch_put(b, cf, key, strlen(key), val->data, val->len);
	free(val->data);
	wrote = 0;
	CU_ASSERT_FATAL(cp_store_submit(store, b, written, NULL) == 0);
	wait_for(base, &wrote);
	CU_ASSERT(write_rc == 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void put_profile(const struct cp_profile *p)
{
	struct cp_buf val;
	char key[96];

	snprintf(key, sizeof(key), "profile/%s", p->name);
	CU_ASSERT_FATAL(cp_profile_build(p, &val) == 0);
	put_record(CP_CF_PROFILE, key, &val);
}

static void put_cluster(const struct cp_cluster *c)
{
	struct cp_buf val;

	CU_ASSERT_FATAL(cp_cluster_build(c, &val) == 0);
	put_record(CP_CF_PROFILE, "cluster", &val);
}

static void put_cert(const char *device, X509 *cert)
{
	struct cp_phone_cert c = {0};
	struct cp_buf val;
	uint8_t *der = NULL;

	snprintf(c.device, sizeof(c.device), "%s", device);
	c.cert.len = (size_t)i2d_X509(cert, &der);
	c.cert.data = der;
	CU_ASSERT_FATAL(cp_phone_cert_build(&c, &val) == 0);
	OPENSSL_free(der);
	put_record(CP_CF_CAPF, device, &val);
}

static void write_file(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", cfg->provision.directory, name);
	f = fopen(path, "w");
	CU_ASSERT_FATAL(f != NULL);
	fputs(text, f);
	fclose(f);
}

#define PHONE "SEP0A1B2C3D4E51"
#define OTHER "SEP0A1B2C3D4E52"

/* --- tests --- */

static void test_names(void)
{
	static const struct {
		const char *name;
		enum cp_name_what what;
		enum cp_name_end end;
		const char *device, *base;
	} rows[] = {
		{"CTLFile.tlv", CP_NAME_LIST, CP_END_PLAIN, "", "CTLFile.tlv"}, /* 004a:TFTP-07 */
		{"ITL" PHONE ".tlv", CP_NAME_LIST, CP_END_PLAIN, PHONE, "ITL" PHONE ".tlv"},
		{"CTLSEP0a1b2c3d4e51.tlv", CP_NAME_DIR, CP_END_PLAIN, "", NULL}, /* upper case only */
		{PHONE ".cnf.xml", CP_NAME_CONFIG, CP_END_PLAIN, PHONE, PHONE ".cnf.xml"},
		{PHONE ".cnf.xml.sgn", CP_NAME_CONFIG, CP_END_SGN, PHONE, PHONE ".cnf.xml"},
		{PHONE ".cnf.xml.enc.sgn", CP_NAME_CONFIG, CP_END_ENC, PHONE, PHONE ".cnf.xml"},
		{PHONE ".cnf.xml.enc", CP_NAME_DIR, CP_END_PLAIN, "", NULL},
		{"x/" PHONE ".cnf.xml", CP_NAME_DIR, CP_END_PLAIN, "", NULL},
		{"XMLDefault.cnf.xml.sgn", CP_NAME_DEFAULT, CP_END_SGN, "", "XMLDefault.cnf.xml"},
		{"New_Zealand/g3-tones.xml.sgn", CP_NAME_DIR, CP_END_SGN, "", "New_Zealand/g3-tones.xml"},
		{".sgn", CP_NAME_DIR, CP_END_PLAIN, "", ".sgn"},
		{".cnf.xml.enc.sgn", CP_NAME_DIR, CP_END_SGN, "", ".cnf.xml.enc"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cp_name n;

		cp_name_parse(rows[i].name, &n);
		CU_ASSERT_EQUAL(n.what, rows[i].what);
		CU_ASSERT_EQUAL(n.end, rows[i].end);
		CU_ASSERT_STRING_EQUAL(n.device, rows[i].device);
		if (rows[i].base != NULL)
			CU_ASSERT_STRING_EQUAL(n.base, rows[i].base);
	}
}

/* 10,000 tries to leave the tree, with openat2() and by hand: links, dots, what the name check refuses anyway. */
static void test_no_escape(void)
{
	static const char *const parts[] = {"..", ".", "", "link", "dirlink", "sub", "secret", "etc", "passwd", "in", "%2e%2e", "\\"};
	char path[256], outside[256];

	up();
	snprintf(outside, sizeof(outside), "%s/secret", tmp_dir);
	fclose(fopen(outside, "w"));
	snprintf(path, sizeof(path), "%s/sub", cfg->provision.directory);
	mkdir(path, 0755);
	write_file("sub/in", "inside");
	snprintf(path, sizeof(path), "%s/link", cfg->provision.directory);
	CU_ASSERT(symlink(outside, path) == 0);
	snprintf(path, sizeof(path), "%s/dirlink", cfg->provision.directory);
	CU_ASSERT(symlink(tmp_dir, path) == 0);
	snprintf(path, sizeof(path), "%s/pipe", cfg->provision.directory);
	CU_ASSERT(mkfifo(path, 0600) == 0);
	for (int by_hand = 0; by_hand < 2; by_hand++) {

		if (by_hand)
			cp_filedir_no_openat2(files->dir);
		for (unsigned i = 0; i < 5000; i++) {
			char name[CP_FILE_NAME_MAX] = "";
			struct cp_stamp st;
			uint8_t r[6];
			struct cp_file *f = NULL;
			int rc;

			RAND_bytes(r, sizeof(r));
			for (unsigned k = 0; k < 1 + r[0] % 4u; k++) {
				if (k > 0 || r[5] % 8 == 0)
					strcat(name, "/");
				strcat(name, parts[r[k + 1] % (sizeof(parts) / sizeof(parts[0]))]);
			}
			rc = cp_filedir_stamp(files->dir, name, &st);
			if (rc == 0)
				rc = cp_filedir_read(files->dir, name, &f, NULL);
			if (rc == 0) {
				CU_ASSERT(f->len == 6 && memcmp(f->data, "inside", 6) == 0);
			}
			cp_file_put(f);
		}
		CU_ASSERT(get_rc("pipe") == -ENOENT && get_rc("sub") == -ENOENT && get_rc("link") == -ENOENT &&
			  get_rc("dirlink/secret") == -ENOENT && get_rc("../secret") == -ENOENT);
		CU_ASSERT(get_rc("sub/in") == 0);
	}
	down();
}

static void test_directory(void)
{
	struct cp_file *a, *b, *c;

	up();
	CU_ASSERT(get_rc("Ringlist.xml") == -ENOENT);
	write_file("Ringlist.xml", "<a/>");
	a = get("Ringlist.xml");
	b = get("Ringlist.xml");
	CU_ASSERT_FATAL(a != NULL && b != NULL);
	CU_ASSERT(a == b); /* one object for all */
	CU_ASSERT(says(a, "<a/>") && a->len == 4 && !a->secret && a->etag[0] == '"' && strlen(a->etag) == 34);
	write_file("Ringlist.xml", "<bb/>"); /* noticed, and who has the old one keeps it */
	c = get("Ringlist.xml");
	CU_ASSERT(says(c, "<bb/>") && says(a, "<a/>") && strcmp(a->etag, c->etag) != 0);
	cp_file_put(a);
	cp_file_put(b);
	cp_file_put(c);
	down();
}

static void test_cache_bound(void)
{
	struct cp_fcache *c = cp_fcache_create(100000);
	struct cp_stamp st = {{1}}, other = {{2}};
	struct cp_fcache_stats s;
	struct cp_file *f;
	char key[32];

	CU_ASSERT_FATAL(c != NULL);
	for (unsigned i = 0; i < 5000; i++) {
		f = cp_file_create(CP_FILE_PLAIN, "x", calloc(1, 100 + i % 7), 100 + i % 7, 0, i & 1);
		snprintf(key, sizeof(key), "k%u", i);
		cp_file_put(cp_fcache_put(c, key, &st, f));
		cp_fcache_stats(c, &s);
		CU_ASSERT(s.bytes <= 100000);
	}
	CU_ASSERT(s.evicted > 4000 && s.files > 50);
	CU_ASSERT(cp_fcache_get(c, "k0", &st) == NULL); /* the longest unused went */
	f = cp_fcache_get(c, "k4999", &st);
	CU_ASSERT(f != NULL);
	CU_ASSERT(cp_fcache_get(c, "k4999", &other) == NULL); /* of another stamp: gone */
	CU_ASSERT(f != NULL && f->len == 100 + 4999 % 7); /* ours lives on */
	cp_file_put(f);
	CU_ASSERT(cp_fcache_get(c, "k4999", &st) == NULL);
	cp_fcache_destroy(c);
}

/* What is held is in memory once, kept or not: else as many transfers of a large file would be as many copies of it. */
static void test_cache_held(void)
{
	struct cp_fcache *c = cp_fcache_create(10000);
	struct cp_stamp st = {{1}}, other = {{2}};
	struct cp_file *a, *b, *d;
	struct cp_fcache_stats s;

	CU_ASSERT_FATAL(c != NULL);
	a = cp_fcache_put(c, "big", &st, cp_file_create(CP_FILE_PLAIN, "big", calloc(1, 50000), 50000, 7, true));
	cp_fcache_stats(c, &s);
	CU_ASSERT_EQUAL(s.files, 0); /* too large to be kept */
	b = cp_fcache_get(c, "big", &st);
	CU_ASSERT_PTR_EQUAL(a, b);
	CU_ASSERT(b != NULL && b->len == 50000 && b->mtime == 7 && b->secret && strcmp(b->name, "big") == 0 && strlen(b->etag) == 34);
	CU_ASSERT(cp_fcache_get(c, "big", &other) == NULL && cp_fcache_get(c, "bi", &st) == NULL);
	d = cp_fcache_put(c, "big", &st, cp_file_create(CP_FILE_PLAIN, "big", calloc(1, 50000), 50000, 7, true)); /* two made it at once */
	CU_ASSERT_PTR_EQUAL(a, d);
	cp_file_put(a);
	cp_file_put(b);
	cp_file_put(d);
	CU_ASSERT(cp_fcache_get(c, "big", &st) == NULL);
	/* pushed out by others, asked for again while somebody holds it: the same, and kept again */
	a = cp_fcache_put(c, "k", &st, cp_file_create(CP_FILE_PLAIN, "k", calloc(1, 2000), 2000, 0, false));
	for (char key[2] = "0"; key[0] <= '9'; key[0]++)
		cp_file_put(cp_fcache_put(c, key, &st, cp_file_create(CP_FILE_PLAIN, key, calloc(1, 2000), 2000, 0, false)));
	b = cp_fcache_get(c, "k", &st);
	CU_ASSERT_PTR_EQUAL(a, b);
	cp_file_put(a);
	cp_file_put(b);
	b = cp_fcache_get(c, "k", &st);
	CU_ASSERT_PTR_EQUAL(a, b);
	cp_fcache_destroy(c);
	CU_ASSERT(b != NULL && b->data[1999] == 0); /* outlives the cache */
	cp_file_put(b);
}

static void check_signed(const struct cp_file *f, const char *name, enum pki_digest digest, struct pki_sgn *ret)
{
	char why[200] = "";

	CU_ASSERT_FATAL(f != NULL);
	CU_ASSERT_FATAL(pki_sgn_parse(f->data, f->len, ret, why, sizeof(why)) == 0);
	CU_ASSERT(pki_sgn_verify_cert(ret, tftp_cert, why, sizeof(why)) == 0);
	CU_ASSERT(pki_sgn_name_is(ret, name) && strcmp(ret->filename, name) == 0);
	CU_ASSERT_EQUAL(ret->digest, digest);
}

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

static void digest_user(struct cp_device *d)
{
	static char sealed[] = "digest/" PHONE "p<&>w";

	strcpy(d->profile, "sip");
	d->protocol = CP_PROTOCOL_SIP;
	strcpy(d->digest_user, "ann");
	d->digest_secret = (struct cp_buf){(uint8_t *)sealed, sizeof(sealed) - 1};
}

static const struct cp_profile sip_profile = {.name = "sip", .protocol = CP_PROTOCOL_SIP, .mode = CP_DEVICE_ENCRYPTED,
					      .digest = true, .encrypted_config = true};

/* 000:P0-45; 001:P1-134 to P1-136, P1-138; wire formats section 3 */
static void test_encrypted(void)
{
	struct cp_profile p = sip_profile;
	struct cp_file *f, *g;
	struct pki_sgn s;
	uint8_t *plain;
	char hash[33];
	size_t len;

	up();
	put_profile(&p);
	put_device(PHONE, "8851", CP_DEVICE_ENCRYPTED, digest_user);
	/* no key known: the whole file, signed, without the secret */
	CU_ASSERT(get_rc(PHONE ".cnf.xml.enc.sgn") == -ENOENT);
	f = get(PHONE ".cnf.xml.sgn");
	CU_ASSERT(says(f, "<fullConfig>true<") && !says(f, "authPassword") && says(f, "<encrConfig>false<"));
	cp_file_put(f);
	put_cert(PHONE, ec_cert); /* cannot unwrap */
	CU_ASSERT(get_rc(PHONE ".cnf.xml.enc.sgn") == -ENOENT);
	put_cert(PHONE, phone_cert);
	f = get(PHONE ".cnf.xml.sgn");
	check_signed(f, PHONE ".cnf.xml.sgn", PKI_SHA512, &s);
	pki_cert_hash(phone_cert, hash);
	CU_ASSERT(says(f, "<fullConfig>false<") && says(f, "<encrConfig>true<") && says(f, hash) && !says(f, "callManager"));
	cp_file_put(f);
	f = get(PHONE ".cnf.xml"); /* unsigned: the short one too */
	CU_ASSERT(says(f, "<fullConfig>false<"));
	cp_file_put(f);
	f = get(PHONE ".cnf.xml.enc.sgn");
	check_signed(f, PHONE ".cnf.xml.enc.sgn", PKI_SHA512, &s);
	CU_ASSERT(s.encrypted && !says(f, "device"));
	CU_ASSERT(pki_sgn_decrypt(&s, ec_key, NULL, &plain, &len) < 0);
	CU_ASSERT_FATAL(pki_sgn_decrypt(&s, phone_key, NULL, &plain, &len) == 0);
	CU_ASSERT(memmem(plain, len, "<authName>ann<", 14) == NULL); /* no line yet: nowhere to say it */
	CU_ASSERT(memmem(plain, len, "<encrConfig>true<", 17) != NULL);
	OPENSSL_clear_free(plain, len);
	/* the same file after a restart: its key is random, so the whole of it was kept */
	restart();
	signs = 0;
	g = get(PHONE ".cnf.xml.enc.sgn");
	CU_ASSERT(g != NULL && g->len == f->len && memcmp(g->data, f->data, g->len) == 0);
	CU_ASSERT_EQUAL(signs, 0);
	cp_file_put(f);
	cp_file_put(g);
	down();
}

static void with_line(struct cp_device *d)
{
	static struct cp_line line = {"1001", "Ann"};

	digest_user(d);
	d->lines = &line;
	d->line_cnt = 1;
}

static void with_key(struct cp_device *d)
{
	static char sealed[] = "config-key/" PHONE "0123456789abcdef";

	with_line(d);
	d->config_key = (struct cp_buf){(uint8_t *)sealed, sizeof(sealed) - 1};
}

static void stolen_key(struct cp_device *d)
{
	static char sealed[] = "config-key/" OTHER "0123456789abcdef";

	with_line(d);
	d->config_key = (struct cp_buf){(uint8_t *)sealed, sizeof(sealed) - 1};
}

static void test_symmetric(void)
{
	struct cp_profile p = sip_profile;
	struct cp_file *f;
	struct pki_sgn s;
	uint8_t *plain;
	size_t len;

	up();
	put_profile(&p);
	put_device(PHONE, "7905", CP_DEVICE_ENCRYPTED, with_key);
	f = get(PHONE ".cnf.xml.enc.sgn");
	check_signed(f, PHONE ".cnf.xml.enc.sgn", pki_tl_class_limits(pki_tl_class_of_model("7905", PKI_CLASS_MODERN))->digest,
		     &s);
	CU_ASSERT_FATAL(pki_sgn_decrypt(&s, NULL, (const uint8_t *)"0123456789abcdef", &plain, &len) == 0);
	CU_ASSERT(memmem(plain, len, "<authName>ann<", 14) != NULL);
	CU_ASSERT(memmem(plain, len, "<authPassword>p&lt;&amp;&gt;w<", 30) != NULL);
	OPENSSL_clear_free(plain, len);
	cp_file_put(f);
	f = get(PHONE ".cnf.xml.sgn");
	CU_ASSERT(says(f, "<certHash></certHash>") || says(f, "<certHash/>"));
	cp_file_put(f);
	put_device(PHONE, "7905", CP_DEVICE_ENCRYPTED, stolen_key); /* another device's sealed bytes */
	CU_ASSERT(get_rc(PHONE ".cnf.xml.enc.sgn") == -EIO);
	/* excluded by the profile: 001:P1-138 */
	p.digest_exclude = true;
	put_profile(&p);
	put_device(PHONE, "7905", CP_DEVICE_ENCRYPTED, with_key);
	f = get(PHONE ".cnf.xml.enc.sgn");
	CU_ASSERT_FATAL(f != NULL && pki_sgn_parse(f->data, f->len, &s, NULL, 0) == 0);
	CU_ASSERT_FATAL(pki_sgn_decrypt(&s, NULL, (const uint8_t *)"0123456789abcdef", &plain, &len) == 0);
	CU_ASSERT(memmem(plain, len, "authPassword", 12) == NULL);
	OPENSSL_clear_free(plain, len);
	cp_file_put(f);
	/* in clear only if the cluster's record allows it: 001:P1-074, P1-133 */
	p.digest_exclude = p.encrypted_config = false;
	put_profile(&p);
	f = get(PHONE ".cnf.xml");
	CU_ASSERT(says(f, "<fullConfig>true<") && !says(f, "authPassword"));
	cp_file_put(f);
	put_cluster(&(struct cp_cluster){.plain_secrets = true});
	f = get(PHONE ".cnf.xml");
	CU_ASSERT(says(f, "authPassword"));
	cp_file_put(f);
	down();
}

/* 000, P0-53, P0-54, P0-58 */
static void test_token(void)
{
	struct cp_profile p = {.name = "sip", .protocol = CP_PROTOCOL_SIP, .mode = CP_DEVICE_ENCRYPTED,
			       .transport = CP_TRANSPORT_TLS, .oauth = true};
	struct cp_file_source src;
	struct cp_file_ask ask = ask_for(PHONE ".cnf.xml.sgn");
	struct cp_file *f;
	int rc;

	up();
	src = cp_files_source(files);
	put_profile(&p);
	put_device(PHONE, "8851", CP_DEVICE_ENCRYPTED, with_line);
	put_device(OTHER, "8851", CP_DEVICE_ENCRYPTED, NULL);
	CU_ASSERT(!src.needs_token(src.ctx, PHONE)); /* the cluster's switch is off */
	CU_ASSERT(get_rc(PHONE ".cnf.xml") == 0);
	put_cluster(&(struct cp_cluster){.sip_oauth = true});
	CU_ASSERT(src.needs_token(src.ctx, PHONE) && !src.needs_token(src.ctx, OTHER));
	CU_ASSERT(get_rc(PHONE ".cnf.xml") == -EACCES && get_rc(PHONE ".cnf.xml.enc.sgn") == -EACCES);
	for (int via = CP_VIA_HTTP; via <= CP_VIA_HTTPS; via++) {
		ask.via = (enum cp_file_via)via;
		cp_file_put(get_ask(&ask, &rc));
		CU_ASSERT(rc == -EACCES);
	}
	ask.via = CP_VIA_TOKEN;
	cp_file_put(get_ask(&ask, &rc));
	CU_ASSERT(rc == -EPERM);
	strcpy(ask.device, OTHER);
	cp_file_put(get_ask(&ask, &rc));
	CU_ASSERT(rc == -EACCES);
	strcpy(ask.device, PHONE);
	f = get_ask(&ask, &rc); /* wire formats 8.2: the token port's .sgn is the file itself */
	CU_ASSERT(rc == 0 && says(f, "<?xml") && f->data[0] == '<' && !says(f, "authPassword"));
	cp_file_put(f);
	strcpy(ask.name, OTHER ".cnf.xml");
	strcpy(ask.device, "");
	cp_file_put(get_ask(&ask, &rc)); /* the others are served there */
	CU_ASSERT(rc == 0);
	down();
}

static void test_foreign(void)
{
	struct cp_file_ask ask = ask_for(PHONE ".cnf.xml");
	struct cfg_addr at;
	int rc;

	up();
	put_device(PHONE, "8851", CP_DEVICE_ENCRYPTED, NULL);
	put_device(OTHER, "8851", CP_DEVICE_ENCRYPTED, NULL);
	cfg_addr_parse("10.0.0.9:40000", &at);
	cfg_addr_parse("10.0.0.9:50001", &ask.from);
	cp_file_put(get_ask(&ask, &rc));
	CU_ASSERT(rc == 0);
	cp_files_phone(files, OTHER, &at, true);
	cp_file_put(get_ask(&ask, &rc));
	CU_ASSERT(rc == -EACCES); /* that is another phone's address */
	strcpy(ask.name, OTHER ".cnf.xml");
	cp_file_put(get_ask(&ask, &rc));
	CU_ASSERT(rc == 0);
	strcpy(ask.name, PHONE ".cnf.xml");
	cp_files_phone(files, "SEP0A1B2C3D4E53", &at, true); /* two phones there: nobody's address */
	cp_file_put(get_ask(&ask, &rc));
	CU_ASSERT(rc == 0);
	cp_files_phone(files, "SEP0A1B2C3D4E53", &at, false);
	cp_file_put(get_ask(&ask, &rc));
	CU_ASSERT(rc == -EACCES);
	put_cluster(&(struct cp_cluster){.foreign_files = true});
	cp_file_put(get_ask(&ask, &rc));
	CU_ASSERT(rc == 0);
	cp_files_phone(files, OTHER, &at, false);
	down();
}

static void test_lists(void)
{
	struct cp_file_ask ask = ask_for("ITLFile.tlv");
	struct cp_file *f;
	struct cfg_addr at;
	int rc;

	up();
	list_file = cp_file_create(CP_FILE_ITL, "ITLFile.tlv", (uint8_t *)strdup("ITL!"), 4, 0, false);
	put_device(PHONE, "8851", CP_DEVICE_ENCRYPTED, NULL);
	CU_ASSERT(get_rc("CTLFile.tlv") == -ENOENT); /* none was ever made */
	CU_ASSERT(get_rc("ITL" OTHER ".tlv") == -ENOENT);
	cfg_addr_parse("10.0.0.7:5000", &ask.from);
	f = get_ask(&ask, &rc);
	CU_ASSERT(f == list_file);
	notes = 0;
	cp_files_fetched(files, &ask, f);
	event_base_loop(base, EVLOOP_NONBLOCK);
	CU_ASSERT_EQUAL(notes, 0); /* nobody knows who that was */
	cp_file_put(f);
	strcpy(ask.name, "ITL" PHONE ".tlv");
	f = get_ask(&ask, &rc);
	CU_ASSERT(f == list_file);
	cp_files_fetched(files, &ask, f);
	for (int i = 0; i < 100 && notes < 1; i++)
		event_base_loop(base, EVLOOP_ONCE);
	CU_ASSERT_STRING_EQUAL(noted, PHONE " 2 4?"); /* it is registered nowhere: somebody said its name */
	strcpy(ask.name, "ITLFile.tlv"); /* now its address is known */
	notes = 0;
	cp_files_fetched(files, &ask, f);
	for (int i = 0; i < 100 && notes < 1; i++)
		event_base_loop(base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(notes, 1);
	/* It registers from elsewhere: whoever fetches here, by its name or as it did before, is not it. */
	cfg_addr_parse("10.0.0.8:40000", &at);
	cp_files_phone(files, PHONE, &at, true);
	notes = 0;
	cp_files_fetched(files, &ask, f);
	strcpy(ask.name, "ITL" PHONE ".tlv");
	cp_files_fetched(files, &ask, f);
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	CU_ASSERT_EQUAL(notes, 0);
	strcpy(ask.device, PHONE); /* proven by a token: wherever it is */
	cp_files_fetched(files, &ask, f);
	for (int i = 0; i < 100 && notes < 1; i++)
		event_base_loop(base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(notes, 1);
	CU_ASSERT_STRING_EQUAL(noted, PHONE " 2 4");
	strcpy(ask.device, "");
	cfg_addr_parse("10.0.0.8:1234", &ask.from); /* it itself, and behind a second registration that replaced the first */
	cp_files_phone(files, PHONE, &at, true);
	cp_files_phone(files, PHONE, &at, false);
	cp_files_fetched(files, &ask, f);
	for (int i = 0; i < 100 && notes < 2; i++)
		event_base_loop(base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(notes, 2);
	CU_ASSERT_STRING_EQUAL(noted, PHONE " 2 4");
	cfg_addr_parse("[2001:db8::7]:1234", &ask.from); /* it may have an address of the other family */
	cp_files_fetched(files, &ask, f);
	cp_files_phone(files, PHONE, &at, false); /* gone: nobody knows where it comes back */
	cfg_addr_parse("10.0.0.7:5000", &ask.from);
	cp_files_fetched(files, &ask, f);
	for (int i = 0; i < 100 && notes < 4; i++)
		event_base_loop(base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(notes, 4);
	CU_ASSERT_STRING_EQUAL(noted, PHONE " 2 4?");
	/* from where another phone is registered it says nothing of this one */
	put_device(OTHER, "8851", CP_DEVICE_ENCRYPTED, NULL);
	cp_files_phone(files, OTHER, &ask.from, true);
	strcpy(ask.name, "ITL" PHONE ".tlv");
	notes = 0;
	cp_files_fetched(files, &ask, f);
	strcpy(ask.name, "ITL" OTHER ".tlv");
	cp_files_fetched(files, &ask, f);
	for (int i = 0; i < 100 && notes < 1; i++)
		event_base_loop(base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(notes, 1);
	CU_ASSERT_STRING_EQUAL(noted, OTHER " 2 4");
	cp_files_phone(files, OTHER, &ask.from, false);
	cp_file_put(f);
	cp_file_put(list_file);
	list_file = NULL;
	down();
}

/* 004b:R-01, 002:P2-30 to P2-32 */
static void test_default(void)
{
	struct cp_file *f;

	up();
	mixed = unknown_ok = false;
	CU_ASSERT(get_rc("XMLDefault.cnf.xml") == -ENOENT);
	unknown_ok = true;
	f = get("XMLDefault.cnf.xml");
	CU_ASSERT(says(f, "<Default>") && says(f, "processNodeName") && !f->secret);
	cp_file_put(f);
	CU_ASSERT(get_rc("XMLDefault.cnf.xml.sgn") == 0);
	write_file("XMLDefault.cnf.xml", "<Default>mine</Default>");
	f = get("XMLDefault.cnf.xml");
	CU_ASSERT(says(f, "mine"));
	cp_file_put(f);
	mixed = true;
	unknown_ok = false; /* as cp_lists_auto_registration() says then: test_lists.c */
	cp_files_changed(files);
	CU_ASSERT(get_rc("XMLDefault.cnf.xml") == -ENOENT && get_rc("XMLDefault.cnf.xml.sgn") == -ENOENT);
	down();
}

static void no_verify(struct cp_device *d)
{
	strcpy(d->profile, "old");
}

/* 001:P1-139: who cannot verify gets it unsigned */
static void test_unsigned(void)
{
	struct cp_profile p = {.name = "old", .mode = CP_DEVICE_NONSECURE, .no_verify = true};

	up();
	put_profile(&p);
	put_device(PHONE, "7912", CP_DEVICE_NONSECURE, no_verify);
	CU_ASSERT(get_rc(PHONE ".cnf.xml.sgn") == -ENOENT && get_rc(PHONE ".cnf.xml") == 0);
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

static int setup(void)
{
	xmlInitParser();
	tftp_key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	phone_key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	ec_key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	tftp_cert = self_signed(tftp_key, "TFTP");
	phone_cert = self_signed(phone_key, "CP-8851-" PHONE);
	ec_cert = self_signed(ec_key, "CP-8851-" PHONE);
	return 0;
}

static int teardown(void)
{
	X509_free(tftp_cert);
	X509_free(phone_cert);
	X509_free(ec_cert);
	EVP_PKEY_free(tftp_key);
	EVP_PKEY_free(phone_key);
	EVP_PKEY_free(ec_key);
	return 0;
}

static CU_TestInfo tests[] = {
	{"what a name stands for", test_names},
	{"no name leaves the tree", test_no_escape},
	{"a changed file is noticed, its old readers keep it", test_directory},
	{"the cache is bounded and knows stamps", test_cache_bound},
	{"what is held is in memory once", test_cache_held},
	{"signed by class; a restart signs nothing anew", test_signed},
	{"a change signs only what changed", test_only_changed},
	{"a restart with many phones signs nothing", test_restart_many},
	{"many ask, one signs", test_crowd},
	{"the signer is away", test_signer_down},
	{"encrypted for the phone's certificate", test_encrypted},
	{"encrypted under a symmetric key; where a secret may stand", test_symmetric},
	{"bearers of a token only", test_token},
	{"another phone's address", test_foreign},
	{"trust lists and who has fetched them", test_lists},
	{"unknown phones", test_default},
	{"phones that cannot verify", test_unsigned},
	{"records of signatures, cut anywhere", test_record},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("files", tests, setup, teardown)
