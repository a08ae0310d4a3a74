/* SPDX-License-Identifier: BSD-3-Clause */
/* Making one file, on a thread of the files': bytes, then signature or encryption and signature. May wait for disk and signer. */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"
#include "log.h"
#include "sgn.h"
#include "signedcache.h"

static void count(struct cp_files *f, uint64_t *what)
{
	pthread_mutex_lock(&f->lock);
	(*what)++;
	pthread_mutex_unlock(&f->lock);
}

struct plain { /* what is to be signed */
	const uint8_t *data;
	size_t len;
	enum cp_file_kind kind;
	bool secret;
	X509 *enc;          /* encrypt for this certificate, */
	const uint8_t *sym; /* or under this key of 16 bytes; both NULL: do not */
};

/* All that the signed file depends on. */
static int input_hash(const struct cp_flight *fl, enum pki_digest digest, const struct plain *p, uint8_t ret[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t head[2] = {(uint8_t)digest, (uint8_t)((p->enc != NULL) | (p->sym != NULL) << 1)}, cert[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	bool ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(md, head, 2) == 1 &&
		  EVP_DigestUpdate(md, fl->asked, strlen(fl->asked) + 1) == 1 &&
		  X509_digest(fl->cert, EVP_sha256(), cert, &n) == 1 && EVP_DigestUpdate(md, cert, n) == 1;

	if (ok && p->enc != NULL)
		ok = X509_digest(p->enc, EVP_sha256(), cert, &n) == 1 && EVP_DigestUpdate(md, cert, n) == 1;
	if (ok && p->sym != NULL)
		ok = EVP_DigestUpdate(md, p->sym, 16) == 1;
	if (ok)
		ok = EVP_DigestUpdate(md, p->data, p->len) == 1 && EVP_DigestFinal_ex(md, ret, NULL) == 1;
	EVP_MD_CTX_free(md);
	return ok ? 0 : -ENOMEM;
}

/* A file of bytes that OpenSSL allocated: ours are malloc'ed. */
static int to_file(const struct cp_flight *fl, const struct plain *p, const uint8_t *data, size_t len, int64_t mtime,
		   struct cp_file **ret)
{
	uint8_t *own = malloc(len + 1);

	if (own == NULL)
		return -ENOMEM;
	memcpy(own, data, len);
	*ret = cp_file_create(p->kind, fl->asked, own, len, mtime, p->secret);
	return *ret != NULL ? 0 : -ENOMEM;
}

static void remember(struct cp_files *f, const char *key, const struct cp_signed *rec)
{
	struct cp_note *n = calloc(1, sizeof(*n));
	struct cp_buf val;

	if (n == NULL || cp_signed_build(rec, &val) < 0) {
		free(n);
		return;
	}
	n->what = CP_NOTE_SIGNED;
	n->val = val.data;
	n->val_len = val.len;
	snprintf(n->key, sizeof(n->key), "%s", key);
	cp_files_note(f, n);
}

/* Signed before, of this very input? Then without the signer. -ENOENT: no. */
static int from_store(struct cp_files *f, const struct cp_flight *fl, const struct plain *p, const char *key,
		      struct pki_sgn_opts *opts, const uint8_t input[32], struct cp_file **ret)
{
	struct cp_signed rec;
	uint8_t *val = NULL, *head = NULL, *body = NULL, *out = NULL;
	size_t len, head_len, body_len, out_len;
	int rc = cp_store_read(f->env.store, CP_CF_SIGNED, key, strlen(key), &val, &len);

	if (rc == 0)
		rc = cp_signed_parse(val, len, &rec);
	free(val);
	if (rc < 0)
		return -ENOENT;
	if (CRYPTO_memcmp(rec.input.data, input, CP_SIGNED_INPUT) != 0) {
		rc = -ENOENT;
	} else if (rec.file.len > 0) {
		rc = to_file(fl, p, rec.file.data, rec.file.len, rec.timestamp, ret);
	} else {
		opts->timestamp = rec.timestamp;
		rc = pki_sgn_build(opts, p->data, p->len, &head, &head_len, &body, &body_len, NULL, 0);
		if (rc == 0)
			rc = pki_sgn_finish(head, head_len, p->data, p->len, rec.sig.data, rec.sig.len, &out, &out_len);
		if (rc == 0)
			rc = to_file(fl, p, out, out_len, rec.timestamp, ret);
		if (rc < 0)
			rc = -ENOENT;
	}
	OPENSSL_free(head);
	OPENSSL_free(body);
	OPENSSL_free(out);
	cp_signed_free(&rec);
	if (rc == 0)
		count(f, &f->stats.sign_cache_hits);
	return rc;
}

static int sign(struct cp_files *f, const struct cp_flight *fl, const struct plain *p, struct cp_file **ret)
{
	const bool enc = p->enc != NULL || p->sym != NULL;
	const struct pki_tl_limits *lim = pki_tl_class_limits(fl->cls);
	uint8_t input[32], sig[PKI_TL_SIG_MAX], random[32] = {0}, *head = NULL, *body = NULL, *out = NULL;
	size_t head_len, body_len, out_len, sig_len = sizeof(sig);
	struct pki_sgn_opts opts = {
		.name = fl->asked,
		.digest = lim->digest,
		.signer = fl->cert,
		.timestamp = (uint32_t)time(NULL),
		.enc = p->enc,
		.sym = p->sym,
		.random = enc ? random : NULL,
	};
	char key[CP_FILE_NAME_MAX + 8], why[200] = "";
	struct cp_signed rec = {0};
	int rc;

	if (fl->cert == NULL) {
		cfg_log_limited(CFG_LOG_ERR, "no-signing-certificate", "name=%s", fl->asked);
		return -EIO;
	}
	snprintf(key, sizeof(key), "%c%d/%s", enc ? 'e' : 's', (int)lim->digest, fl->asked);
	rc = input_hash(fl, lim->digest, p, input);
	if (rc < 0)
		return rc;
	if (from_store(f, fl, p, key, &opts, input, ret) == 0)
		return 0;
	opts.timestamp = (uint32_t)time(NULL);
	if (enc && RAND_priv_bytes(random, sizeof(random)) != 1)
		return -EIO;
	rc = pki_sgn_build(&opts, p->data, p->len, &head, &head_len, &body, &body_len, why, sizeof(why));
	OPENSSL_cleanse(random, sizeof(random));
	if (rc < 0) {
		cfg_log_limited(CFG_LOG_WARN, "file-not-signable", "name=%s reason=%s", fl->asked, cfg_q(why));
		return rc == -ENOMEM ? rc : -EIO;
	}
	count(f, &f->stats.signs);
	rc = f->env.sign(f->env.ctx, enc ? CP_SIGN_ENC : CP_SIGN_FILE, head, head_len, enc ? body : p->data,
			 enc ? body_len : p->len, sig, &sig_len);
	if (rc == 0)
		rc = pki_sgn_finish(head, head_len, enc ? body : p->data, enc ? body_len : p->len, sig, sig_len, &out,
				    &out_len);
	else
		count(f, &f->stats.sign_failures);
	if (rc == 0)
		rc = to_file(fl, p, out, out_len, opts.timestamp, ret);
	if (rc == 0) {
		rec.input = (struct cp_buf){input, sizeof(input)};
		rec.timestamp = opts.timestamp;
		if (enc)
			rec.file = (struct cp_buf){out, out_len};
		else
			rec.sig = (struct cp_buf){sig, sig_len};
		if (out_len < CP_RECORD_MAX / 2 || !enc)
			remember(f, key, &rec);
	}
	OPENSSL_free(head);
	OPENSSL_free(body);
	OPENSSL_free(out);
	return rc == 0 || rc == -ENOMEM ? rc : -EIO;
}

static int make_from_dir(struct cp_files *f, struct cp_flight *fl, struct cp_file **ret)
{
	struct cp_file *base = NULL;
	struct plain p = {.kind = CP_FILE_PLAIN};
	int rc = -EAGAIN;

	for (unsigned i = 0; i < 5 && rc == -EAGAIN; i++) { /* being written to: in a moment it stands still */
		if (i > 0)
			nanosleep(&(struct timespec){0, 50000000}, NULL);
		rc = cp_filedir_read(f->dir, fl->name.base, &base, NULL);
	}
	if (rc < 0)
		return rc == -EFBIG ? -EIO : rc;
	if (fl->name.end == CP_END_PLAIN) {
		*ret = base;
		return 0;
	}
	p.data = base->data;
	p.len = base->len;
	rc = sign(f, fl, &p, ret);
	cp_file_put(base);
	return rc;
}

/* A sealed field in clear, with a NUL behind it; wiped by the caller: OPENSSL_clear_free(p, len + 1). */
static int unsealed(struct cp_files *f, const struct cp_devcfg *c, const char *what, const struct cp_buf *sealed,
		    uint8_t **ret, size_t *ret_len)
{
	char aad[40];
	uint8_t *plain = NULL, *own;
	size_t len = 0;
	int rc;

	snprintf(aad, sizeof(aad), "%s/%s", what, c->device);
	rc = f->env.unseal(f->env.ctx, sealed->data, sealed->len, aad, &plain, &len);
	if (rc < 0) {
		cfg_log_limited(CFG_LOG_ERR, "secret-not-unsealed", "device=%s what=%s rc=%d", c->device, what, rc);
		return -EIO;
	}
	own = OPENSSL_malloc(len + 1);
	if (own != NULL) {
		memcpy(own, plain, len);
		own[len] = 0;
		*ret = own;
		*ret_len = len;
	}
	OPENSSL_clear_free(plain, len);
	return own != NULL ? 0 : -ENOMEM;
}

static int make_config(struct cp_files *f, struct cp_flight *fl, struct cp_file **ret)
{
	const struct cp_devcfg *c = fl->in;
	bool encrypt = fl->name.end == CP_END_ENC;
	enum cp_devcfg_form form = fl->name.what == CP_NAME_DEFAULT	      ? CP_DEVCFG_DEFAULT
				   : c->encrypted && !encrypt && !fl->in_tls ? CP_DEVCFG_SHORT
									      : CP_DEVCFG_FULL;
	struct plain p = {.kind = CP_FILE_CONFIG, .secret = true};
	struct cp_buf xml = {0};
	uint8_t *secret = NULL, *sym = NULL;
	size_t secret_len = 0, sym_len = 0;
	struct cp_stamp st;
	int rc = 0;

	if (form == CP_DEVCFG_DEFAULT && cp_filedir_stamp(f->dir, fl->name.base, &st) == 0)
		return make_from_dir(f, fl, ret);
	if (encrypt && !c->encrypted)
		return -ENOENT; /* the signed one is the whole one */
	if (form == CP_DEVCFG_FULL && cp_devcfg_secret_ok(c, encrypt || fl->in_tls))
		rc = unsealed(f, c, "digest", &c->digest_secret, &secret, &secret_len);
	if (rc == 0)
		rc = cp_devcfg_build(c, form, (const char *)secret, &xml);
	if (rc == 0 && encrypt && c->cert != NULL && c->cert_wraps) {
		p.enc = c->cert;
	} else if (rc == 0 && encrypt) {
		rc = unsealed(f, c, "config-key", &c->config_key, &sym, &sym_len);
		if (rc == 0 && sym_len != 16)
			rc = -EIO;
		p.sym = sym;
	}
	if (rc == 0 && fl->name.end == CP_END_PLAIN) {
		*ret = cp_file_create(form == CP_DEVCFG_DEFAULT ? CP_FILE_PLAIN : CP_FILE_CONFIG, fl->asked, xml.data, xml.len,
				      time(NULL), form != CP_DEVCFG_DEFAULT);
		xml.data = NULL;
		rc = *ret != NULL ? 0 : -ENOMEM;
	} else if (rc == 0) {
		p.data = xml.data;
		p.len = xml.len;
		if (form == CP_DEVCFG_DEFAULT) {
			p.kind = CP_FILE_PLAIN;
			p.secret = false;
		}
		rc = sign(f, fl, &p, ret);
	}
	if (xml.data != NULL)
		OPENSSL_cleanse(xml.data, xml.len);
	free(xml.data);
	if (secret != NULL)
		OPENSSL_clear_free(secret, secret_len + 1);
	if (sym != NULL)
		OPENSSL_clear_free(sym, sym_len + 1);
	return rc;
}

int cp_make(struct cp_files *f, struct cp_flight *fl, struct cp_file **ret)
{
	return fl->name.what == CP_NAME_DIR ? make_from_dir(f, fl, ret) : make_config(f, fl, ret);
}
