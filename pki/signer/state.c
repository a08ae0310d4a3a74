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
#include "scepra.h"
#include "state.h"

#define WARN_DAYS 90 /* before a certificate expires */

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
		o->complete = o->complete && was_made(o, pki_ident_defs[i].name);
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
		strcat(text, pki_ident_defs[i].name);
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
			snprintf(key, sizeof(key), "%s/%s.key.pem", o->dir, pki_ident_defs[i].name);
			if (pki_file_exists(key))
				return fail(o, -ENOENT,
				            "%s: missing, and %s was sealed with it: bring it back",
				            path, key);
		}
		if (o->made[0] != '\0')
			return fail(o, -ENOENT, "%s: missing: bring it back", path);
		if (pki_kek_is_credential(path))
			return fail(o, -ENOENT, "%s: no such credential: give the unit 32 random bytes by LoadCredential= or "
					"LoadCredentialEncrypted=", path);
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

static const struct cfg_addr *any_of(const char *text, struct cfg_addr *a)
{
	static const uint8_t none[16];

	return cfg_addr_parse(text, a) == 0 && memcmp(a->ip, none, sizeof(none)) == 0 ? a : NULL;
}

size_t pki_state_names(const struct pki_state *st, enum pki_ident_id which, char cn[128], const char *names[PKI_NAMES_MAX])
{
	const struct pki_ident_def *def = &pki_ident_defs[which];
	const char *mark = strstr(def->cn, "%s");
	struct cfg_addr a;
	size_t n = 0;

	snprintf(cn, 128, "%.*s%s%s", (int)(mark - def->cn), def->cn, st->cluster, mark + 2);
	if (!def->server)
		return 0;
	names[n++] = st->cluster;
	if (st->cfg == NULL)
		return n;
	for (unsigned k = 0; k < st->cfg->signer.server_names_count && n < PKI_NAMES_MAX; k++)
		names[n++] = st->cfg->signer.server_names[k];
	if (st->cfg->signer.server_names_count == 0 && any_of(st->cfg->sccp.listen, &a) == NULL)
		names[n++] = st->cfg->sccp.listen;
	return n;
}

int pki_state_certify(struct pki_state *st, enum pki_ident_id which, struct pki_pair *p, int64_t now)
{
	const struct pki_ident_def *def = &pki_ident_defs[which];
	const struct pki_pair *capf = which == PKI_IDENT_CAPF_TLS ? &st->ident[PKI_IDENT_CAPF].cur : NULL;
	unsigned ca_days = st->cfg != NULL ? st->cfg->signer.ca_days : 3650;
	unsigned server_days = st->cfg != NULL ? st->cfg->signer.server_days : 1825;
	struct pki_ca ca = {0};
	const char *names[PKI_NAMES_MAX];
	char cn[128];
	size_t n = pki_state_names(st, which, cn, names);
	int rc;

	if (capf != NULL) {
		if (capf->key == NULL)
			return -ENOKEY; /* in a token that is not there */
		ca = (struct pki_ca){capf->key, capf->cert};
	}
	rc = pki_own_issue(capf != NULL ? &ca : NULL, p->key, def->use, cn, st->cluster, names, n, now,
			   def->server ? server_days : ca_days, &p->cert);
	if (rc < 0 || capf == NULL)
		return rc;
	p->chain = sk_X509_new_null();
	if (p->chain == NULL || X509_up_ref(capf->cert) != 1)
		return -ENOMEM;
	if (sk_X509_push(p->chain, capf->cert) <= 0) {
		X509_free(capf->cert);
		return -ENOMEM;
	}
	return 0;
}

/* "rsa-2048" and so on, or a pkcs11: URI, which is put together in 'buf'. */
static const char *key_spec(const struct cfg *cfg, enum pki_ident_id i, char *buf, size_t size)
{
	const struct cfg_signer *s = &cfg->signer;

	for (unsigned k = 0; k < s->keys_count; k++)
		if (strcmp(s->keys[k].identity, pki_ident_defs[i].name) == 0)
			return s->keys[k].key;
	if (s->pkcs11_uri != NULL && (i == PKI_IDENT_SAST1 || i == PKI_IDENT_SAST2)) {
		snprintf(buf, size, "%s;object=%s", s->pkcs11_uri, pki_ident_defs[i].name);
		return buf;
	}
	if (i == PKI_IDENT_TFTP_EC)
		return "ec-p256";
	/* LSCs go to old phones too, and phones verify lists and files by RSA only. */
	return pki_ident_defs[i].server && s->server_key == CFG_KEY_EC_P256 ? "ec-p256" : "rsa-2048";
}

static int make_key(struct open_ctx *o, enum pki_ident_id i, struct pki_pair *p)
{
	char buf[1200];
	const char *spec = key_spec(o->cfg, i, buf, sizeof(buf));
	enum pki_key_type type;
	int rc;

	if (strncmp(spec, "pkcs11:", 7) == 0) {
		char why[200] = "";

		p->uri = OPENSSL_strdup(spec);
		if (p->uri == NULL)
			return -ENOMEM;
		rc = pki_token_key(o->st->token, spec, &p->key, why, sizeof(why));
		if (rc < 0)
			return fail(o, rc, "%s: %s", pki_ident_defs[i].name, why);
		if (pki_ident_defs[i].use == PKI_USE_SIGN && EVP_PKEY_get_base_id(p->key) != EVP_PKEY_RSA)
			return fail(o, -EINVAL, "%s: %s: phones verify lists and files by RSA only", pki_ident_defs[i].name, spec);
		return 0;
	}
	if (pki_key_parse(spec, &type) < 0)
		return fail(o, -EINVAL, "%s: no such kind of key", pki_ident_defs[i].name);
	rc = pki_key_create(type, &p->key);
	return rc < 0 ? fail(o, rc, "%s: no key: %s", pki_ident_defs[i].name, strerror(-rc)) : 0;
}

/* Write 'path' unless that is what stands there. */
static int follow(const char *path, const char *text, size_t len)
{
	uint8_t *old = NULL;
	size_t old_len = 0;
	int rc = pki_file_read(path, &old, &old_len);

	if (rc != 0 || old_len != len || memcmp(old, text, len) != 0)
		rc = pki_file_write(path, text, len, 0644, false);
	OPENSSL_free(old);
	return rc;
}

static int save_certs(const struct pki_state *st, const struct pki_ident *id)
{
	char path[PATH_MAX], *text = NULL;
	size_t len = 0;
	int rc = pki_pair_certs(&id->cur, &text, &len);

	snprintf(path, sizeof(path), "%s/%s.cert.pem", st->dir, id->name);
	if (rc == 0)
		rc = follow(path, text, len);
	OPENSSL_free(text);
	return rc;
}

static int save(const struct pki_state *st, const struct pki_ident *id, bool fresh)
{
	char path[PATH_MAX], *text = NULL;
	size_t len = 0;
	int rc = pki_ident_build(id, st->kek, &text, &len);

	snprintf(path, sizeof(path), "%s/%s.key.pem", st->dir, id->name);
	if (rc == 0)
		rc = pki_file_write(path, text, len, 0400, fresh);
	OPENSSL_free(text);
	return rc;
}

static int make(struct open_ctx *o, enum pki_ident_id i, const char *path)
{
	struct pki_ident *id = &o->st->ident[i];
	char fp_text[32] = "";
	uint8_t fp[32];
	int rc = make_key(o, i, &id->cur);

	if (rc < 0)
		return rc;
	rc = pki_state_certify(o->st, i, &id->cur, o->now);
	if (rc == 0)
		rc = save(o->st, id, true);
	if (rc < 0)
		return fail(o, rc, "%s: %s", path, strerror(-rc));
	if (pki_fingerprint(id->cur.cert, fp) == 0)
		snprintf(fp_text, sizeof(fp_text), "%02x%02x%02x%02x", fp[0], fp[1], fp[2], fp[3]);
	cfg_log(CFG_LOG_NOTICE, "identity-made", "name=%s key=%s file=%s sha256=%s", id->name, pki_key_name(id->cur.key),
		cfg_q(path), fp_text);
	return 0;
}

/* A file of an older version holds the key only: certificate in NAME.cert.pem, perhaps issued by server-ca, which is no more. */
static int load_old_cert(struct open_ctx *o, struct pki_ident *id)
{
	STACK_OF(X509) *certs = NULL;
	char path[PATH_MAX];
	int rc;

	snprintf(path, sizeof(path), "%s/%s.cert.pem", o->dir, id->name);
	rc = load_pem(o, path, &certs);
	if (rc < 0)
		return rc;
	id->cur.cert = sk_X509_shift(certs);
	if (sk_X509_num(certs) > 0)
		id->cur.chain = certs;
	else
		sk_X509_free(certs);
	if (id->cur.chain != NULL ||
	    X509_NAME_cmp(X509_get_issuer_name(id->cur.cert), X509_get_subject_name(id->cur.cert)) == 0)
		return 0;
	snprintf(path, sizeof(path), "%s/server-ca.cert.pem", o->dir);
	return load_pem(o, path, &id->cur.chain);
}

static int load(struct open_ctx *o, enum pki_ident_id i, const char *path)
{
	struct pki_ident *id = &o->st->ident[i];
	const ASN1_TIME *end;
	uint8_t *data = NULL;
	char why[256] = "";
	bool absent;
	size_t len = 0;
	int rc = pki_file_read(path, &data, &len);

	if (rc < 0)
		return fail(o, rc, "%s: %s", path, strerror(-rc));
	rc = pki_ident_parse(id, o->st->kek, (const char *)data, len, pki_token_key, o->st->token, &absent, why,
			     sizeof(why));
	if (rc == 0 && absent)
		cfg_log(CFG_LOG_ERR, "token-absent", "name=%s reason=%s", id->name, cfg_q(why));
	OPENSSL_clear_free(data, len + 1);
	if (rc < 0)
		return fail(o, rc, "%s: %s (KEK: %s)", path, why, o->cfg->signer.kek_file);
	if (id->cur.cert == NULL) {
		char cert_path[PATH_MAX];

		snprintf(cert_path, sizeof(cert_path), "%s/%s.cert.pem", o->dir, id->name);
		/* killed between the two at its first start */
		rc = !pki_file_exists(cert_path) && !was_made(o, id->name) ? pki_state_certify(o->st, i, &id->cur, o->now)
									    : load_old_cert(o, id);
		if (rc == 0)
			rc = pki_pair_check(&id->cur, why, sizeof(why)) < 0 ? fail(o, -EACCES, "%s: %s", cert_path, why)
									    : save(o->st, id, false);
		if (rc < 0)
			return o->err[0] != '\0' ? rc : fail(o, rc, "%s: %s", path, strerror(-rc));
	}
	rc = pki_pair_check(&id->cur, why, sizeof(why));
	if (rc == 0 && pki_pair_is(&id->prev))
		rc = pki_pair_check(&id->prev, why, sizeof(why));
	if (rc < 0)
		return fail(o, rc, "%s: %s", path, why);
	end = X509_get0_notAfter(id->cur.cert);
	if (ASN1_TIME_cmp_time_t(end, (time_t)o->now) <= 0)
		cfg_log(CFG_LOG_ERR, "certificate-expired", "name=%s file=%s", id->name, cfg_q(path));
	else if (ASN1_TIME_cmp_time_t(end, (time_t)(o->now + WARN_DAYS * 86400)) < 0)
		cfg_log(CFG_LOG_WARN, "certificate-expires", "name=%s file=%s within_days=%d", id->name, cfg_q(path),
			WARN_DAYS);
	return 0;
}

static int open_ident(struct open_ctx *o, enum pki_ident_id i)
{
	struct pki_ident *id = &o->st->ident[i];
	char path[PATH_MAX];
	int rc;

	id->name = pki_ident_defs[i].name;
	snprintf(path, sizeof(path), "%s/%s.key.pem", o->dir, id->name);
	if (!pki_file_exists(path)) {
		if (was_made(o, id->name))
			return fail(o, -ENOENT, "%s: missing: bring it back", path);
		rc = make(o, i, path);
	} else {
		rc = load(o, i, path);
	}
	if (rc == 0 && (rc = save_certs(o->st, id)) < 0)
		fail(o, rc, "%s: its certificate: %s", path, strerror(-rc));
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

/* CAPF and what it was, in front of what signer.trust names. */
static int set_trust(struct pki_state *st, STACK_OF(X509) *more)
{
	const struct pki_ident *capf = &st->ident[PKI_IDENT_CAPF];
	STACK_OF(X509) *trust = sk_X509_new_null();
	int rc = trust != NULL ? push(trust, capf->cur.cert) : -ENOMEM;

	if (rc == 0 && capf->prev.cert != NULL)
		rc = push(trust, capf->prev.cert);
	for (int i = 0; rc == 0 && i < sk_X509_num(more); i++)
		rc = push(trust, sk_X509_value(more, i));
	if (rc < 0) {
		sk_X509_pop_free(trust, X509_free);
		return rc;
	}
	sk_X509_pop_free(st->trust, X509_free);
	st->trust = trust;
	return 0;
}

static int open_trust(struct open_ctx *o)
{
	const struct cfg_signer *s = &o->cfg->signer;
	STACK_OF(X509) *more = sk_X509_new_null();
	X509_STORE *store = NULL;
	int rc = more != NULL ? 0 : -ENOMEM;

	for (unsigned i = 0; rc == 0 && i < s->trust_count; i++) {
		STACK_OF(X509) *certs = NULL;

		rc = load_pem(o, s->trust[i], &certs);
		if (rc < 0) {
			char why[256];

			snprintf(why, sizeof(why), "%s", o->err);
			rc = fail(o, -EINVAL, "signer.trust[%u]: %s", i, why);
			break;
		}
		/* What pki_phone_store() would refuse is refused here, where the file's name is
		 * known. */
		rc = pki_phone_store(certs, true, &store);
		X509_STORE_free(store);
		store = NULL;
		if (rc == -EACCES)
			rc = fail(o, -EINVAL, "signer.trust[%u]: %s: holds a certificate that is no CA's", i, s->trust[i]);
		for (int k = 0; rc == 0 && k < sk_X509_num(certs); k++)
			rc = push(more, sk_X509_value(certs, k));
		sk_X509_pop_free(certs, X509_free);
	}
	if (rc == 0)
		rc = set_trust(o->st, more);
	sk_X509_pop_free(more, X509_free);
	return rc;
}

/* The same after CAPF changed: those of signer.trust are behind what was CAPF's. */
static int renew_trust(struct pki_state *st, bool had_prev)
{
	STACK_OF(X509) *more = sk_X509_new_null();
	int rc = more != NULL ? 0 : -ENOMEM;

	for (int i = had_prev ? 2 : 1; rc == 0 && i < sk_X509_num(st->trust); i++)
		rc = push(more, sk_X509_value(st->trust, i));
	if (rc == 0)
		rc = set_trust(st, more);
	sk_X509_pop_free(more, X509_free);
	return rc;
}

/* ca.pem: what a TLS client needs to verify any server of the cluster. A self-signed certificate is its own CA. */
static int write_bundle(const struct pki_state *st)
{
	char path[PATH_MAX], *text = NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	bool ok = bio != NULL;
	long len;
	int rc = -EIO;

	for (int i = 0; ok && i < PKI_IDENT_MAX; i++) {
		const struct pki_pair *p = &st->ident[i].cur;
		int n = p->chain != NULL ? sk_X509_num(p->chain) : 0;

		if ((!pki_ident_defs[i].server && i != PKI_IDENT_CAPF) || i == PKI_IDENT_CAPF_TLS)
			continue;
		ok = PEM_write_bio_X509(bio, n > 0 ? sk_X509_value(p->chain, n - 1) : p->cert) == 1;
	}
	snprintf(path, sizeof(path), "%s/ca.pem", st->dir);
	if (ok && (len = BIO_get_mem_data(bio, &text)) > 0)
		rc = follow(path, text, (size_t)len);
	BIO_free(bio);
	return rc;
}

int pki_state_commit(struct pki_state *st, struct pki_ident *id)
{
	struct pki_ident *old = pki_state_find(st, id->name, NULL);
	bool had_prev = old->prev.cert != NULL;
	int rc = st->dir != NULL ? save(st, id, false) : 0;

	if (rc == -EUCLEAN) {
		cfg_log(CFG_LOG_ERR, "identity-unknown", "name=%s action=\"ends, to read what is on the disk at the next start\"", id->name);
		st->unknown = true;
	}
	if (rc < 0)
		return rc;
	pki_ident_fini(old);
	*old = *id;
	*id = (struct pki_ident){0};
	if (old == &st->ident[PKI_IDENT_CAPF])
		rc = renew_trust(st, had_prev);
	if (rc < 0)
		cfg_log(CFG_LOG_ERR, "trust-not-renewed", "error=%s", cfg_q(strerror(-rc)));
	/* It is done; these two follow at the next start otherwise. */
	if (st->dir != NULL && ((rc = save_certs(st, old)) < 0 || (rc = write_bundle(st)) < 0))
		cfg_log(CFG_LOG_WARN, "certificate-not-written", "name=%s error=%s", old->name, cfg_q(strerror(-rc)));
	return 0;
}

int pki_state_open(const struct cfg *cfg, int64_t now, struct pki_state **ret_state, char *err,
                   size_t err_size)
{
	struct open_ctx ctx = {.cfg = cfg, .now = now, .err = err, .err_size = err_size}, *o = &ctx;
	int rc;

	err[0] = '\0';
	o->st = calloc(1, sizeof(*o->st));
	if (o->st == NULL)
		return fail(o, -ENOMEM, "out of memory");
	o->st->cfg = cfg;
	o->st->lock_fd = -1;
	o->st->lsc_days = cfg->signer.lsc_days;
	snprintf(o->st->cluster, sizeof(o->st->cluster), "%s", cfg->signer.cluster_name);
	if (snprintf(o->dir, sizeof(o->dir), "%s/signer", cfg->paths.state) >= (int)sizeof(o->dir) - 64)
		rc = fail(o, -EINVAL, "paths.state: too long");
	else if ((o->st->dir = strdup(o->dir)) == NULL)
		rc = -ENOMEM;
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
	if (rc == 0 && (o->st->token = pki_token_create(cfg->signer.pkcs11_module, cfg->signer.pkcs11_pin, o->st->dir,
							o->st->kek)) == NULL)
		rc = -ENOMEM;
	for (int i = 0; rc == 0 && i < PKI_IDENT_MAX; i++)
		rc = open_ident(o, (enum pki_ident_id)i);
	if (rc == 0)
		rc = write_made(o);
	if (rc == 0 && (rc = write_bundle(o->st)) < 0)
		fail(o, rc, "%s/ca.pem: %s", o->dir, strerror(-rc));
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
	pki_ra_fini();
	for (int i = 0; i < PKI_IDENT_MAX; i++)
		pki_ident_fini(&st->ident[i]);
	sk_X509_pop_free(st->trust, X509_free);
	pki_token_destroy(st->token);
	pki_kek_destroy(st->kek);
	if (st->lock_fd >= 0)
		close(st->lock_fd);
	free(st->dir);
	OPENSSL_free(st->backup);
	OPENSSL_free(st->crl);
	free(st);
}

struct pki_ident *pki_state_find(struct pki_state *st, const char *name, bool *ret_prev)
{
	for (int i = 0; i < PKI_IDENT_MAX; i++) {
		size_t n = strlen(pki_ident_defs[i].name);
		bool prev;

		if (strncmp(name, pki_ident_defs[i].name, n) != 0)
			continue;
		prev = strcmp(name + n, ".prev") == 0;
		if (name[n] != '\0' && (!prev || ret_prev == NULL || !pki_pair_is(&st->ident[i].prev)))
			continue;
		if (ret_prev != NULL)
			*ret_prev = prev;
		return &st->ident[i];
	}
	return NULL;
}

const struct pki_ident *pki_state_server(const struct pki_state *st, const char *role)
{
	for (int i = 0; i < PKI_IDENT_MAX; i++)
		if (pki_ident_defs[i].server && strcmp(pki_ident_defs[i].name, role) == 0)
			return &st->ident[i];
	return NULL;
}
