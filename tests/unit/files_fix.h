/* SPDX-License-Identifier: BSD-3-Clause */
/* What is around the files that phones fetch: a real store and event loop; the signer is a key here, whose signatures are counted. */
#ifndef TESTS_FILES_FIX_H
#define TESTS_FILES_FIX_H

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

static inline X509 *self_signed(EVP_PKEY *key, const char *cn)
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

static inline struct cp_file *get_list(void *ctx, enum pki_tl_kind kind, enum pki_tl_class cls)
{
	(void)ctx;
	(void)cls;
	return kind == PKI_TL_ITL && list_file != NULL ? cp_file_take(list_file) : NULL;
}

static inline bool is_mixed(void *ctx)
{
	(void)ctx;
	return mixed;
}

static inline bool lets_in(void *ctx)
{
	(void)ctx;
	return unknown_ok;
}

static inline X509 *get_cert(void *ctx)
{
	(void)ctx;
	X509_up_ref(tftp_cert);
	return tftp_cert;
}

static inline int sign(void *ctx, enum cp_sign_kind kind, const void *head, size_t head_len, const void *body, size_t body_len,
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
static inline int unseal(void *ctx, const void *sealed, size_t len, const char *aad, uint8_t **ret, size_t *ret_len)
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

static inline void has_list(void *ctx, const char *device, enum pki_tl_kind kind, const struct cp_file *file,
		     const struct cfg_addr *unproven_at)
{
	(void)ctx;
	snprintf(noted, sizeof(noted), "%s %d %zu%s", device, (int)kind, file->len, unproven_at != NULL ? "?" : "");
	notes++;
}

static inline void start_files(void)
{
	struct cp_files_env env = {.base = base, .store = store, .cfg = cfg, .list = get_list, .mixed = is_mixed,
				   .auto_registration = lets_in, .signer_cert = get_cert, .sign = sign, .unseal = unseal, .has_list = has_list};

	CU_ASSERT_FATAL(cp_files_create(&env, &files) == 0);
}

static inline void open_store(void)
{
	struct cp_store_opts o = {.path = tmp_store, .base = base};
	char err[256];

	CU_ASSERT_FATAL(cp_store_open(&o, &store, err, sizeof(err)) == 0);
}

static inline void up(void)
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

static inline void close_files(void)
{
	cp_files_stop(files);
	cp_store_close(store);
	cp_files_destroy(files);
	files = NULL;
	store = NULL;
}

static inline void down(void)
{
	if (files != NULL)
		close_files();
	cfg_free(cfg);
	event_base_free(base);
	tmp_remove();
}

static inline void restart(void)
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

static inline void answered(void *ctx, int rc, struct cp_file *file)
{
	struct answer *a = ctx;

	a->rc = rc;
	a->file = file;
	__atomic_store_n(&a->done, 1, __ATOMIC_RELEASE);
}

static inline struct cp_file *get_ask(const struct cp_file_ask *ask, int *ret_rc)
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

static inline struct cp_file_ask ask_for(const char *name)
{
	struct cp_file_ask ask = {.via = CP_VIA_TFTP};

	snprintf(ask.name, sizeof(ask.name), "%s", name);
	return ask;
}

static inline struct cp_file *get(const char *name)
{
	struct cp_file_ask ask = ask_for(name);
	int rc;
	struct cp_file *f = get_ask(&ask, &rc);

	return f;
}

static inline int get_rc(const char *name)
{
	struct cp_file_ask ask = ask_for(name);
	int rc;

	cp_file_put(get_ask(&ask, &rc));
	return rc;
}

static inline bool says(const struct cp_file *f, const char *text)
{
	return f != NULL && memmem(f->data, f->len, text, strlen(text)) != NULL;
}

/* --- records --- */

static volatile int wrote;
static int write_rc;

static inline void written(void *ctx, int rc)
{
	(void)ctx;
	write_rc = rc;
	wrote = 1;
}

static inline void put_device(const char *name, const char *model, enum cp_device_mode mode,
		       void (*more)(struct cp_device *dev))
{
	struct cp_device d = {.mode = mode, .srtp = true};
	char why[256] = "";
	struct cp_dir_ctx x = {.who = "test", .fn = written, .why = why, .why_size = sizeof(why)};

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

static inline void put_record(enum cp_cf cf, const char *key, struct cp_buf *val)
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

static inline void put_profile(const struct cp_profile *p)
{
	struct cp_buf val;
	char key[96];

	snprintf(key, sizeof(key), "profile/%s", p->name);
	CU_ASSERT_FATAL(cp_profile_build(p, &val) == 0);
	put_record(CP_CF_PROFILE, key, &val);
}

static inline void put_cluster(const struct cp_cluster *c)
{
	struct cp_buf val;

	CU_ASSERT_FATAL(cp_cluster_build(c, &val) == 0);
	put_record(CP_CF_PROFILE, "cluster", &val);
}

static inline void put_cert(const char *device, X509 *cert)
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

static inline void write_file(const char *name, const char *text)
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

static inline void check_signed(const struct cp_file *f, const char *name, enum pki_digest digest, struct pki_sgn *ret)
{
	char why[200] = "";

	CU_ASSERT_FATAL(f != NULL);
	CU_ASSERT_FATAL(pki_sgn_parse(f->data, f->len, ret, why, sizeof(why)) == 0);
	CU_ASSERT(pki_sgn_verify_cert(ret, tftp_cert, why, sizeof(why)) == 0);
	CU_ASSERT(pki_sgn_name_is(ret, name) && strcmp(ret->filename, name) == 0);
	CU_ASSERT_EQUAL(ret->digest, digest);
}

static inline void digest_user(struct cp_device *d)
{
	static char sealed[] = "digest/" PHONE "p<&>w";

	strcpy(d->profile, "sip");
	d->protocol = CP_PROTOCOL_SIP;
	strcpy(d->digest_user, "ann");
	d->digest_secret = (struct cp_buf){(uint8_t *)sealed, sizeof(sealed) - 1};
}

static inline void with_line(struct cp_device *d)
{
	static struct cp_line line = {.number = "1001", .label = "Ann"};

	digest_user(d);
	d->lines = &line;
	d->line_cnt = 1;
}

static inline int setup(void)
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

static inline int teardown(void)
{
	X509_free(tftp_cert);
	X509_free(phone_cert);
	X509_free(ec_cert);
	EVP_PKEY_free(tftp_key);
	EVP_PKEY_free(phone_key);
	EVP_PKEY_free(ec_key);
	return 0;
}

#endif
