/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "config.h"
#include "file.h"
#include "state.h"

#define WARN_DAYS 90 /* before a certificate expires */

static const struct {
	const char *name;
	const char *cn; /* %s: cluster name */
	bool ca;
} idents[PKI_IDENT_MAX] = {
	[PKI_IDENT_SERVER_CA] = {"server-ca", "%s CA", true},
	[PKI_IDENT_CAPF] = {"CAPF", "CAPF-%s", true},
	[PKI_IDENT_CALLMANAGER] = {"CallManager", "CallManager-%s", false},
};

struct open_ctx {
	const struct cfg *cfg;
	struct pki_state *st;
	int64_t now;
	char dir[PATH_MAX - 64];
	char made[1024]; /* text of the file */
	bool complete;   /* 'made' lists all */
	char *err;
	size_t err_size;
};

static int __attribute__((format(printf, 3, 4)))
fail(struct open_ctx *o, int rc, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(o->err, o->err_size, fmt, args);
	va_end(args);
	return rc;
}

static int take_lock(struct open_ctx *o)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/lock", o->dir);
	o->st->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (o->st->lock_fd < 0)
		return fail(o, -errno, "%s: %s", path, strerror(errno));
	if (flock(o->st->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return fail(o, errno == EWOULDBLOCK ? -EBUSY : -errno,
		            "%s: another signer uses this state", path);
	return 0;
}

/* True if 'made' has a line with this name. */
static bool was_made(const struct open_ctx *o, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = o->made; (p = strstr(p, name)) != NULL; p += n)
		if ((p == o->made || p[-1] == '\n') && p[n] == '\n')
			return true;
	return false;
}

static int read_made(struct open_ctx *o)
{
	char path[PATH_MAX];
	uint8_t *data = NULL;
	size_t len = 0;
	int rc;

	snprintf(path, sizeof(path), "%s/made", o->dir);
	rc = pki_file_read(path, &data, &len);
	if (rc == -ENOENT)
		return 0;
	if (rc == 0 && len >= sizeof(o->made))
		rc = -EFBIG;
	if (rc < 0)
		return fail(o, rc, "%s: %s", path, strerror(-rc));
	memcpy(o->made, data, len + 1);
	OPENSSL_free(data);
	o->complete = true;
	for (int i = 0; i < PKI_IDENT_MAX; i++)
		o->complete = o->complete && was_made(o, idents[i].name);
	return 0;
}

static int write_made(struct open_ctx *o)
{
	char path[PATH_MAX], text[1024] = "";
	int rc;

	if (o->complete)
		return 0;
	snprintf(path, sizeof(path), "%s/made", o->dir);
	for (int i = 0; i < PKI_IDENT_MAX; i++) {
		strcat(text, idents[i].name);
		strcat(text, "\n");
	}
	rc = pki_file_write(path, text, strlen(text), 0600, false);
	return rc < 0 ? fail(o, rc, "%s: %s", path, strerror(-rc)) : 0;
}

static int open_kek(struct open_ctx *o)
{
	const char *path = o->cfg->signer.kek_file;
	char key[PATH_MAX];
	int rc = pki_kek_load(path, &o->st->kek);

	if (rc == -ENOENT) {
		for (int i = 0; i < PKI_IDENT_MAX; i++) {
			snprintf(key, sizeof(key), "%s/%s.key.pem", o->dir, idents[i].name);
			if (pki_file_exists(key))
				return fail(o, -ENOENT,
				            "%s: missing, and %s was sealed with it: bring it back",
				            path, key);
		}
		if (o->made[0] != '\0')
			return fail(o, -ENOENT, "%s: missing: bring it back", path);
		rc = pki_kek_make(path);
		if (rc == 0) {
			cfg_log(CFG_LOG_NOTICE, "kek-made", "file=%s", cfg_q(path));
			rc = pki_kek_load(path, &o->st->kek);
		}
	}
	if (rc == -EPERM)
		return fail(o, rc, "%s: must be a file of ours that only we can read, mode 0400",
		            path);
	if (rc == -EBADMSG)
		return fail(o, rc, "%s: not 32 bytes", path);
	return rc < 0 ? fail(o, rc, "%s: %s", path, strerror(-rc)) : 0;
}

static int passphrase(char *buf, int size, int rw, void *ctx)
{
	const char *pass = ctx;

	(void)rw;
	if (size < 64)
		return -1;
	memcpy(buf, pass, 64);
	return 64;
}

static int save_key(struct open_ctx *o, const char *path, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char pass[65];
	char *text;
	long len;
	int rc = -EIO;

	memcpy(pass, pki_kek_passphrase(o->st->kek), sizeof(pass));
	if (bio != NULL &&
	    PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_256_cbc(), pass, 64, NULL, NULL) == 1) {
		len = BIO_get_mem_data(bio, &text);
		rc = pki_file_write(path, text, (size_t)len, 0400, true);
	}
	OPENSSL_cleanse(pass, sizeof(pass));
	BIO_free(bio);
	ERR_clear_error();
	return rc;
}

static int load_key(struct open_ctx *o, const char *path, EVP_PKEY **ret_key)
{
	uint8_t *data = NULL;
	size_t len = 0;
	char pass[65];
	BIO *bio;
	int rc = pki_file_read(path, &data, &len);

	if (rc < 0)
		return fail(o, rc, "%s: %s", path, strerror(-rc));
	bio = BIO_new_mem_buf(data, (int)len);
	memcpy(pass, pki_kek_passphrase(o->st->kek), sizeof(pass));
	*ret_key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, passphrase, pass) : NULL;
	OPENSSL_cleanse(pass, sizeof(pass));
	BIO_free(bio);
	OPENSSL_clear_free(data, len + 1);
	ERR_clear_error();
	if (*ret_key == NULL)
		return fail(o, -EACCES,
		            "%s: cannot be read with %s: another one sealed it, or it was changed",
		            path, o->cfg->signer.kek_file);
	return 0;
}

static int save_cert(const char *path, X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long len;
	int rc = -EIO;

	if (bio != NULL && PEM_write_bio_X509(bio, cert) == 1) {
		len = BIO_get_mem_data(bio, &text);
		rc = pki_file_write(path, text, (size_t)len, 0644, true);
	}
	BIO_free(bio);
	return rc;
}

static int load_pem(struct open_ctx *o, const char *path, STACK_OF(X509) * *ret_certs)
{
	uint8_t *data = NULL;
	size_t len = 0;
	int rc = pki_file_read(path, &data, &len);

	if (rc < 0)
		return fail(o, rc, "%s: %s", path, strerror(-rc));
	rc = pki_pem_certs(data, len, ret_certs);
	OPENSSL_free(data);
	return rc < 0 ? fail(o, rc, "%s: no certificate in PEM, or a broken one", path) : 0;
}

static int issue(struct open_ctx *o, int i, EVP_PKEY *key, X509 **ret_cert)
{
	const struct cfg_signer *s = &o->cfg->signer;
	const struct pki_ident *ca = &o->st->ident[PKI_IDENT_SERVER_CA];
	const char *names[34];
	size_t n = 0;
	char cn[128];

	snprintf(cn, sizeof(cn), "%.*s%s%.*s", (int)(strstr(idents[i].cn, "%s") - idents[i].cn),
	         idents[i].cn, s->cluster_name, (int)strlen(strstr(idents[i].cn, "%s") + 2),
	         strstr(idents[i].cn, "%s") + 2);
	if (idents[i].ca)
		return pki_ca_issue(key, cn, s->cluster_name, o->now, s->ca_days, ret_cert);
	names[n++] = s->cluster_name;
	for (unsigned k = 0; k < s->server_names_count && n < 34; k++)
		names[n++] = s->server_names[k];
	if (s->server_names_count == 0 && strcmp(o->cfg->sccp.listen, "0.0.0.0") != 0 &&
	    strcmp(o->cfg->sccp.listen, "::") != 0)
		names[n++] = o->cfg->sccp.listen;
	return pki_server_issue(&(struct pki_ca){ca->key, ca->cert}, key, cn, s->cluster_name,
	                        names, n, o->now, s->server_days, ret_cert);
}

static enum pki_key_type key_type(const struct open_ctx *o, int i)
{
	/* LSCs go to old phones too: their issuer is RSA in any case. */
	if (i == PKI_IDENT_CAPF)
		return PKI_RSA_2048;
	return o->cfg->signer.server_key == CFG_KEY_EC_P256 ? PKI_EC_P256 : PKI_RSA_2048;
}

static int make_key(struct open_ctx *o, int i, const char *path, EVP_PKEY **ret_key)
{
	int rc = pki_key_create(key_type(o, i), ret_key);

	if (rc == 0)
		rc = save_key(o, path, *ret_key);
	if (rc < 0)
		return fail(o, rc, "%s: %s", path, strerror(-rc));
	cfg_log(CFG_LOG_NOTICE, "key-made", "name=%s file=%s", idents[i].name, cfg_q(path));
	return 0;
}

static int make_cert(struct open_ctx *o, int i, const char *path, EVP_PKEY *key, X509 **ret_cert)
{
	uint8_t fp[32];
	int rc = issue(o, i, key, ret_cert);

	if (rc == 0)
		rc = save_cert(path, *ret_cert);
	if (rc < 0)
		return fail(o, rc, "%s: %s", path, strerror(-rc));
	if (pki_fingerprint(*ret_cert, fp) == 0)
		cfg_log(CFG_LOG_NOTICE, "certificate-made",
		        "name=%s file=%s sha256=%02x%02x%02x%02x", idents[i].name, cfg_q(path),
		        fp[0], fp[1], fp[2], fp[3]);
	return 0;
}

static int check(struct open_ctx *o, int i, const char *path)
{
	const struct pki_ident *id = &o->st->ident[i];
	const X509 *ca = idents[i].ca ? id->cert : o->st->ident[PKI_IDENT_SERVER_CA].cert;
	const ASN1_TIME *end = X509_get0_notAfter(id->cert);

	if (X509_check_private_key(id->cert, id->key) != 1)
		return fail(o, -EACCES, "%s: does not belong to the private key beside it", path);
	if (X509_verify(id->cert, X509_get0_pubkey(ca)) != 1)
		return fail(o, -EACCES, "%s: not issued by the cluster's CA", path);
	if (ASN1_TIME_cmp_time_t(end, (time_t)o->now) <= 0)
		cfg_log(CFG_LOG_ERR, "certificate-expired", "name=%s file=%s", id->name,
		        cfg_q(path));
	else if (ASN1_TIME_cmp_time_t(end, (time_t)(o->now + WARN_DAYS * 86400)) < 0)
		cfg_log(CFG_LOG_WARN, "certificate-expires", "name=%s file=%s within_days=%d",
		        id->name, cfg_q(path), WARN_DAYS);
	return 0;
}

static int open_ident(struct open_ctx *o, int i)
{
	struct pki_ident *id = &o->st->ident[i];
	char key_path[PATH_MAX], cert_path[PATH_MAX];
	STACK_OF(X509) *certs = NULL;
	bool key, cert;
	int rc;

	id->name = idents[i].name;
	snprintf(key_path, sizeof(key_path), "%s/%s.key.pem", o->dir, id->name);
	snprintf(cert_path, sizeof(cert_path), "%s/%s.cert.pem", o->dir, id->name);
	key = pki_file_exists(key_path);
	cert = pki_file_exists(cert_path);
	if (!key && (cert || was_made(o, id->name)))
		return fail(o, -ENOENT, "%s: missing: bring it back", key_path);
	if (!cert && was_made(o, id->name))
		return fail(o, -ENOENT, "%s: missing: bring it back", cert_path);
	rc = key ? load_key(o, key_path, &id->key) : make_key(o, i, key_path, &id->key);
	if (rc < 0)
		return rc;
	if (!cert) {
		rc = make_cert(o, i, cert_path, id->key, &id->cert);
	} else {
		rc = load_pem(o, cert_path, &certs);
		if (rc == 0)
			id->cert = sk_X509_shift(certs);
		sk_X509_pop_free(certs, X509_free);
	}
	rc = rc == 0 ? check(o, i, cert_path) : rc;
	ERR_clear_error();
	return rc;
}

static int push(STACK_OF(X509) * sk, X509 *cert)
{
	if (X509_up_ref(cert) != 1)
		return -EIO;
	if (sk_X509_push(sk, cert) > 0)
		return 0;
	X509_free(cert);
	return -ENOMEM;
}

static int open_trust(struct open_ctx *o)
{
	const struct cfg_signer *s = &o->cfg->signer;
	X509_STORE *store = NULL;
	int rc;

	o->st->trust = sk_X509_new_null();
	rc = o->st->trust != NULL ? push(o->st->trust, o->st->ident[PKI_IDENT_CAPF].cert) : -ENOMEM;
	for (unsigned i = 0; rc == 0 && i < s->trust_count; i++) {
		STACK_OF(X509) *certs = NULL;

		rc = load_pem(o, s->trust[i], &certs);
		if (rc < 0) {
			char why[256];

			snprintf(why, sizeof(why), "%s", o->err);
			return fail(o, -EINVAL, "signer.trust[%u]: %s", i, why);
		}
		/* What pki_phone_store() would refuse is refused here, where the file's name is
		 * known. */
		rc = pki_phone_store(certs, true, &store);
		X509_STORE_free(store);
		store = NULL;
		if (rc == -EACCES)
			rc = fail(o, -EINVAL,
			          "signer.trust[%u]: %s: holds a certificate that is no CA's", i,
			          s->trust[i]);
		for (int k = 0; rc == 0 && k < sk_X509_num(certs); k++)
			rc = push(o->st->trust, sk_X509_value(certs, k));
		sk_X509_pop_free(certs, X509_free);
	}
	return rc;
}

/* ca.pem follows from what is there: written again only when it differs. */
static int write_bundle(struct open_ctx *o)
{
	char path[PATH_MAX], *text = NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	uint8_t *old = NULL;
	size_t old_len = 0;
	long len = 0;
	int rc = -EIO;

	snprintf(path, sizeof(path), "%s/ca.pem", o->dir);
	if (bio != NULL && PEM_write_bio_X509(bio, o->st->ident[PKI_IDENT_SERVER_CA].cert) == 1 &&
	    PEM_write_bio_X509(bio, o->st->ident[PKI_IDENT_CAPF].cert) == 1) {
		len = BIO_get_mem_data(bio, &text);
		rc = pki_file_read(path, &old, &old_len);
		if (rc != 0 || old_len != (size_t)len || memcmp(old, text, old_len) != 0)
			rc = pki_file_write(path, text, (size_t)len, 0644, false);
	}
	OPENSSL_free(old);
	BIO_free(bio);
	return rc < 0 ? fail(o, rc, "%s: %s", path, strerror(-rc)) : 0;
}

int pki_state_open(const struct cfg *cfg, int64_t now, struct pki_state **ret_state, char *err,
                   size_t err_size)
{
	struct open_ctx ctx = {.cfg = cfg, .now = now, .err = err, .err_size = err_size}, *o = &ctx;
	int rc;

	err[0] = '\0';
	if (cfg->signer.pkcs11_uri != NULL)
		return fail(o, -EINVAL,
		            "signer.pkcs11_uri: keys in a PKCS#11 token are not supported yet");
	o->st = calloc(1, sizeof(*o->st));
	if (o->st == NULL)
		return fail(o, -ENOMEM, "out of memory");
	o->st->lock_fd = -1;
	o->st->lsc_days = cfg->signer.lsc_days;
	snprintf(o->st->cluster, sizeof(o->st->cluster), "%s", cfg->signer.cluster_name);
	if (snprintf(o->dir, sizeof(o->dir), "%s/signer", cfg->paths.state) >=
	    (int)sizeof(o->dir) - 64)
		rc = fail(o, -EINVAL, "paths.state: too long");
	else if ((rc = pki_dir_make(o->dir)) < 0)
		fail(o, rc, "%s: %s", o->dir, rc == -EPERM ? "not ours alone" : strerror(-rc));
	if (rc == 0)
		rc = take_lock(o);
	if (rc == 0 && (rc = pki_file_sweep(o->dir)) < 0)
		fail(o, rc, "%s: %s", o->dir, strerror(-rc));
	if (rc == 0)
		rc = read_made(o);
	if (rc == 0)
		rc = open_kek(o);
	for (int i = 0; rc == 0 && i < PKI_IDENT_MAX; i++)
		rc = open_ident(o, i);
	if (rc == 0)
		rc = write_made(o);
	if (rc == 0)
		rc = write_bundle(o);
	if (rc == 0)
		rc = open_trust(o);
	if (rc < 0) {
		if (err[0] == '\0')
			fail(o, rc, "%s", strerror(-rc));
		pki_state_close(o->st);
		return rc;
	}
	*ret_state = o->st;
	return 0;
}

void pki_state_close(struct pki_state *st)
{
	if (st == NULL)
		return;
	for (int i = 0; i < PKI_IDENT_MAX; i++) {
		EVP_PKEY_free(st->ident[i].key); /* OpenSSL wipes private numbers */
		X509_free(st->ident[i].cert);
	}
	sk_X509_pop_free(st->trust, X509_free);
	pki_kek_destroy(st->kek);
	if (st->lock_fd >= 0)
		close(st->lock_fd);
	free(st);
}

const struct pki_ident *pki_state_server(const struct pki_state *st, const char *role)
{
	for (int i = 0; i < PKI_IDENT_MAX; i++)
		if (!idents[i].ca && strcmp(idents[i].name, role) == 0)
			return &st->ident[i];
	return NULL;
}
