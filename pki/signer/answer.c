/* SPDX-License-Identifier: BSD-3-Clause */
/* What each request does: serve.h, pki_serve_answer(). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "backup.h"
#include "bundle.h"
#include "change.h"
#include "config.h"
#include "crl.h"
#include "log.h"
#include "serve.h"
#include "scepra.h"
#include "sign.h"
#include "signer.h"
#include "spki.h"
#include "state.h"

/* DER of what a reply holds; freed, and wiped, after the reply is built. */
struct out {
	uint8_t *p[3];
	size_t len[3];
};

static int put(struct out *out, int at, uint8_t *der, int len)
{
	if (len <= 0)
		return -EIO;
	out->p[at] = der;
	out->len[at] = (size_t)len;
	return 0;
}

static int put_cert(struct out *out, int at, const X509 *cert)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der);

	return put(out, at, der, len);
}

/* Certificates in a row. */
static int put_chain(struct out *out, int at, STACK_OF(X509) *chain)
{
	size_t room = 0, len = 0;
	unsigned char *p;

	for (int i = 0; chain != NULL && i < sk_X509_num(chain); i++) {
		int n = i2d_X509(sk_X509_value(chain, i), NULL);

		if (n <= 0)
			return -EIO;
		room += (size_t)n;
	}
	if (room == 0)
		return 0;
	out->p[at] = OPENSSL_malloc(room);
	if (out->p[at] == NULL)
		return -ENOMEM;
	out->len[at] = room;
	for (int i = 0; i < sk_X509_num(chain); i++) {
		p = out->p[at] + len;
		len += (size_t)i2d_X509(sk_X509_value(chain, i), &p);
	}
	return 0;
}

static int put_key(struct out *out, int at, EVP_PKEY *key)
{
	PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(key);
	unsigned char *der = NULL;
	int len = p8 != NULL ? i2d_PKCS8_PRIV_KEY_INFO(p8, &der) : -1;

	PKCS8_PRIV_KEY_INFO_free(p8);
	return put(out, at, der, len);
}

static int refuse(struct pki_signer_msg *reply, int rc, const char *why)
{
	snprintf(reply->name, sizeof(reply->name), "%s", why);
	return rc;
}

static int do_server(struct pki_state *st, const struct pki_signer_msg *m,
                     struct pki_signer_msg *reply, struct out *out)
{
	const struct pki_ident *id = pki_state_server(st, m->name);
	int rc;

	if (id == NULL)
		return refuse(reply, -ENOENT, "no such server role");
	rc = put_key(out, 0, id->cur.key);
	if (rc == 0)
		rc = put_cert(out, 1, id->cur.cert);
	if (rc == 0)
		rc = put_chain(out, 2, id->cur.chain);
	return rc;
}

static int do_trust(struct pki_state *st, const struct pki_signer_msg *m,
                    struct pki_signer_msg *reply, struct out *out)
{
	int n = sk_X509_num(st->trust);

	if (m->num >= (uint32_t)n)
		return refuse(reply, -ENOENT, "no such index");
	reply->num = (uint32_t)n;
	return put_cert(out, 0, sk_X509_value(st->trust, (int)m->num));
}

static int do_cas(struct pki_state *st, struct out *out)
{
	const struct pki_pair *cm = &st->ident[PKI_IDENT_CALLMANAGER].cur;
	int n = cm->chain != NULL ? sk_X509_num(cm->chain) : 0;
	int rc = put_cert(out, 0, n > 0 ? sk_X509_value(cm->chain, n - 1) : cm->cert);

	return rc == 0 ? put_cert(out, 1, st->ident[PKI_IDENT_CAPF].cur.cert) : rc;
}

static int issue_lsc(struct pki_state *st, const char *device, const struct pki_spki *key, int64_t now, struct pki_signer_msg *reply,
		     struct out *out, int at)
{
	const struct pki_pair *capf = &st->ident[PKI_IDENT_CAPF].cur;
	bool old = st->cfg != NULL && st->cfg->enrol.old_keys;
	uint8_t fp[32];
	int rc;

	if (capf->key == NULL)
		return refuse(reply, -ENOKEY, "the CAPF issuer's token is not there");
	rc = pki_lsc_issue_spki(&(struct pki_ca){capf->key, capf->cert}, device, key, old, now, st->lsc_days, &out->p[at], &out->len[at]);
	if (rc == -EACCES)
		return refuse(reply, rc, pki_lsc_spki_acceptable(key, old) ? "the CAPF issuer has expired" : "key not acceptable");
	if (rc < 0)
		return refuse(reply, rc, "not issued");
	if (EVP_Digest(out->p[at], out->len[at], fp, NULL, EVP_sha256(), NULL) == 1)
		cfg_log(CFG_LOG_NOTICE, "lsc-issued",
		        "device=%s sha256=%02x%02x%02x%02x%02x%02x%02x%02x", device, fp[0], fp[1],
		        fp[2], fp[3], fp[4], fp[5], fp[6], fp[7]);
	return 0;
}

/* For a key that is an object here: of a request, or made here. */
static int issue_for(struct pki_state *st, const char *device, EVP_PKEY *pub, int64_t now, struct pki_signer_msg *reply,
		     struct out *out, int at)
{
	struct pki_spki key;
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(pub, &der), rc;

	rc = len > 0 && pki_spki_parse(der, (size_t)len, &key) == 0 ? issue_lsc(st, device, &key, now, reply, out, at)
								     : refuse(reply, -EACCES, "key not acceptable");
	OPENSSL_free(der);
	return rc;
}

static int do_lsc(struct pki_state *st, const struct pki_signer_msg *m, int64_t now,
                  struct pki_signer_msg *reply, struct out *out)
{
	struct pki_spki key;
	EVP_PKEY *pub = NULL;
	int rc;

	if (!pki_device_valid(m->name) && !(m->a.len > 0 && pki_app_valid(m->name)))
		return refuse(reply, -EBADMSG, "not a device name");
	if ((m->a.len == 0) == (m->b.len == 0))
		return refuse(reply, -EBADMSG, "a request or a public key is needed");
	if (m->a.len > 0) {
		rc = pki_csr_pubkey(m->a.p, m->a.len, &pub);
		if (rc < 0)
			return refuse(reply, rc,
			              rc == -EACCES
			                      ? "the request's signature or key is not acceptable"
			                      : "not a certificate request");
		rc = issue_for(st, m->name, pub, now, reply, out, 0);
		EVP_PKEY_free(pub);
		return rc;
	}
	rc = pki_spki_parse(m->b.p, m->b.len, &key);
	if (rc < 0)
		return refuse(reply, rc == -EBADMSG ? rc : -EACCES, rc == -EBADMSG ? "not a public key" : "key not acceptable");
	return issue_lsc(st, m->name, &key, now, reply, out, 0);
}

static int do_test_id(struct pki_state *st, const struct pki_signer_msg *m, int64_t now,
                      struct pki_signer_msg *reply, struct out *out)
{
	EVP_PKEY *key = NULL;
	int rc;

	if (!pki_device_valid(m->name))
		return refuse(reply, -EBADMSG, "not a device name");
	if (m->num != PKI_RSA_2048 && m->num != PKI_EC_P256)
		return refuse(reply, -EBADMSG, "no such key type");
	rc = pki_key_create((enum pki_key_type)m->num, &key);
	if (rc == 0)
		rc = issue_for(st, m->name, key, now, reply, out, 1);
	if (rc == 0)
		rc = put_key(out, 0, key);
	if (rc == 0)
		rc = put_cert(out, 2, st->ident[PKI_IDENT_CAPF].cur.cert);
	EVP_PKEY_free(key);
	return rc;
}

static int do_seal(struct pki_state *st, const struct pki_signer_msg *m,
                   struct pki_signer_msg *reply, struct out *out)
{
	bool seal = m->type == PKI_SIGNER_SEAL;
	size_t room = m->a.len + PKI_SIGNER_SEAL_OVERHEAD;
	uint8_t *p = OPENSSL_malloc(room);
	int rc;

	if (p == NULL)
		return -ENOMEM;
	rc = seal ? pki_kek_seal(st->kek, m->a.p, m->a.len, m->b.p, m->b.len, p)
	          : pki_kek_unseal(st->kek, m->a.p, m->a.len, m->b.p, m->b.len, p);
	out->p[0] = p;
	out->len[0] = rc >= 0 ? (size_t)rc : room;
	if (rc == -EACCES)
		refuse(reply, rc, "not authentic");
	else if (rc < 0)
		refuse(reply, rc, rc == -EMSGSIZE ? "too large" : "not a sealed value");
	return rc < 0 ? rc : 0;
}

/* Index i: those of ident.h in order, each followed by what it was before. */
static int do_ident(struct pki_state *st, const struct pki_signer_msg *m, struct pki_signer_msg *reply, struct out *out)
{
	const struct pki_ident *id = NULL;
	const struct pki_pair *pair = NULL;
	uint32_t at = 0;
	int rc;

	for (int i = 0; i < PKI_IDENT_MAX; i++)
		for (int k = 0; k < 2; k++) {
			const struct pki_pair *p = k == 0 ? &st->ident[i].cur : &st->ident[i].prev;

			if (!pki_pair_is(p))
				continue;
			if (at++ == m->num) {
				id = &st->ident[i];
				pair = p;
			}
		}
	if (pair == NULL)
		return refuse(reply, -ENOENT, "no such index");
	reply->num = at;
	reply->num2 = (pair->uri != NULL ? PKI_SIGNER_ID_HARDWARE : 0) | (pair->key == NULL ? PKI_SIGNER_ID_ABSENT : 0);
	if (pair == &id->cur)
		reply->num2 |= (pki_ident_defs[id - st->ident].server ? PKI_SIGNER_ID_SERVER : 0) |
			       (pki_pair_is(&id->next) ? PKI_SIGNER_ID_PENDING : 0);
	rc = put_cert(out, 0, pair->cert);
	if (rc == 0)
		rc = put_chain(out, 1, pair->chain);
	if (rc == 0)
		snprintf(reply->name, sizeof(reply->name), "%s%s", id->name, pair == &id->cur ? "" : ".prev");
	return rc;
}

static int spec_of(const struct pki_blob *b, char spec[512])
{
	if (b->len >= 512 || memchr(b->p != NULL ? (const char *)b->p : "", '\0', b->len) != NULL)
		return -EBADMSG;
	for (size_t i = 0; i < b->len; i++)
		if (b->p[i] < 0x20 || b->p[i] > 0x7e)
			return -EBADMSG;
	memcpy(spec, b->len > 0 ? (const char *)b->p : "", b->len);
	spec[b->len] = '\0';
	return 0;
}

static int do_regen(struct pki_state *st, const struct pki_signer_msg *m, int64_t now, struct pki_signer_msg *reply,
                    struct out *out)
{
	char spec[512];
	int rc;

	if (spec_of(&m->a, spec) < 0)
		return refuse(reply, -EBADMSG, "not a kind of key");
	rc = pki_change_regen(st, m->name, spec, now, reply->name, sizeof(reply->name));
	return rc == 0 ? put_cert(out, 0, pki_state_find(st, m->name, NULL)->cur.cert) : rc;
}

static int do_csr(struct pki_state *st, const struct pki_signer_msg *m, struct pki_signer_msg *reply, struct out *out)
{
	unsigned char *der = NULL;
	X509_REQ *req = NULL;
	char spec[512];
	int rc, len;

	if (spec_of(&m->a, spec) < 0)
		return refuse(reply, -EBADMSG, "not a kind of key");
	rc = pki_change_csr(st, m->name, spec, NULL, &req, reply->name, sizeof(reply->name));
	if (rc < 0)
		return rc;
	len = i2d_X509_REQ(req, &der);
	X509_REQ_free(req);
	return put(out, 0, der, len);
}

#define CHAIN_MAX 10

static int do_import(struct pki_state *st, const struct pki_signer_msg *m, int64_t now, struct pki_signer_msg *reply)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	const unsigned char *p = m->a.p, *end = m->a.p + m->a.len;
	int rc = chain != NULL ? 0 : -ENOMEM;

	while (rc == 0 && p < end) {
		X509 *cert = end - p <= CHAIN_MAX * PKI_DER_MAX ? d2i_X509(NULL, &p, end - p) : NULL;

		if (cert == NULL || X509_get0_pubkey(cert) == NULL || sk_X509_num(chain) == CHAIN_MAX ||
		    sk_X509_push(chain, cert) <= 0) {
			X509_free(cert);
			rc = refuse(reply, -EBADMSG, "not certificates");
		}
	}
	if (rc == 0 && sk_X509_num(chain) == 0)
		rc = refuse(reply, -EBADMSG, "no certificate");
	if (rc == 0)
		rc = pki_change_import(st, m->name, chain, now, reply->name, sizeof(reply->name));
	sk_X509_pop_free(chain, X509_free);
	return rc;
}

#define BACKUP_PIECE 65536

static int do_backup(struct pki_state *st, const struct pki_signer_msg *m, struct pki_signer_msg *reply, struct out *out)
{
	char pass[PKI_BUNDLE_PASS_MAX + 1];
	uint8_t *blob = NULL;
	size_t len = 0;
	int rc;

	if (m->num == 0) {
		if (m->a.len >= sizeof(pass) || memchr(m->a.p, '\0', m->a.len) != NULL)
			return refuse(reply, -EBADMSG, "not a passphrase");
		out->p[1] = OPENSSL_malloc(32);
		if (out->p[1] == NULL)
			return -ENOMEM;
		out->len[1] = 32;
		memcpy(pass, m->a.p, m->a.len);
		pass[m->a.len] = '\0';
		rc = pki_backup(st, pass, &blob, &len, out->p[1], reply->name, sizeof(reply->name));
		OPENSSL_cleanse(pass, sizeof(pass));
		if (rc < 0)
			return rc;
		OPENSSL_free(st->backup);
		st->backup = blob;
		st->backup_len = len;
		cfg_log(CFG_LOG_NOTICE, "backup", "bytes=%zu", len);
	}
	if (m->num >= st->backup_len || m->a.len != (m->num == 0 ? m->a.len : 0))
		return refuse(reply, -ENOENT, "no such piece");
	len = st->backup_len - m->num;
	len = len < BACKUP_PIECE ? len : BACKUP_PIECE;
	out->p[0] = OPENSSL_memdup(st->backup + m->num, len);
	if (out->p[0] == NULL)
		return -ENOMEM;
	out->len[0] = len;
	reply->num = (uint32_t)st->backup_len;
	return 0;
}

#define CRL_PIECE 65536

static int do_crl(struct pki_state *st, const struct pki_signer_msg *m, const struct pki_blob *passed, int64_t now, pid_t peer,
                  struct pki_signer_msg *reply, struct out *out)
{
	struct pki_blob entries = passed != NULL ? *passed : m->a;
	const struct pki_pair *pair;
	const struct pki_ident *id;
	uint8_t *der = NULL;
	bool prev = false;
	size_t len = 0, from = m->num;
	int rc;

	if (m->num2 != 0) {
		id = pki_state_find(st, m->name, &prev);
		if (id == NULL || id != &st->ident[PKI_IDENT_CAPF])
			return refuse(reply, -ENOENT, "no such issuer");
		if ((passed != NULL && m->a.len != 0) || m->num2 > 525600)
			return refuse(reply, -EBADMSG, "entries are either here or passed; validity is a year at most");
		pair = prev ? &id->prev : &id->cur;
		if (pair->key == NULL)
			return refuse(reply, -ENOKEY, "its token is not there");
		rc = pki_crl_issue(&(struct pki_ca){pair->key, pair->cert}, entries.p, entries.len, m->num, now, m->num2 * 60, &der, &len);
		cfg_log(rc < 0 ? CFG_LOG_WARN : CFG_LOG_NOTICE, "crl", "by=%s number=%u peer_pid=%d rc=%d entry_bytes=%zu bytes=%zu",
			cfg_q(m->name), m->num, (int)peer, rc, entries.len, len);
		if (rc < 0)
			return refuse(reply, rc, rc == -EBADMSG ? "not entries of a revocation list" : "no list was made");
		OPENSSL_free(st->crl);
		st->crl = der;
		st->crl_len = len;
		from = 0;
	} else if (passed != NULL || m->a.len != 0) {
		return refuse(reply, -EBADMSG, "entries of no list");
	}
	if (from >= st->crl_len)
		return refuse(reply, -ENOENT, "no such piece");
	len = st->crl_len - from < CRL_PIECE ? st->crl_len - from : CRL_PIECE;
	out->p[0] = OPENSSL_memdup(st->crl + from, len);
	if (out->p[0] == NULL)
		return -ENOMEM;
	out->len[0] = len;
	reply->num = (uint32_t)st->crl_len;
	return 0;
}

static int do_sign(struct pki_state *st, const struct pki_signer_msg *m, const struct pki_blob *passed, pid_t peer,
                   struct pki_signer_msg *reply, struct out *out)
{
	struct pki_blob head = m->a, body = m->b;
	char what[256];
	int rc;

	if (passed != NULL) {
		if (m->a.len != 0 || m->b.len != 0 || m->num2 > passed->len)
			return refuse(reply, -EBADMSG, "head and body are either here or passed");
		head = (struct pki_blob){passed->p, m->num2};
		body = (struct pki_blob){passed->p + m->num2, passed->len - m->num2};
	}
	out->p[0] = OPENSSL_malloc(PKI_SIGN_MAX);
	if (out->p[0] == NULL)
		return -ENOMEM;
	rc = pki_sign(st, m->name, m->num, head, body, out->p[0], &out->len[0], what, sizeof(what), reply->name,
		      sizeof(reply->name));
	cfg_log(rc < 0 ? CFG_LOG_WARN : CFG_LOG_INFO, "sign", "kind=%s by=%s peer_pid=%d rc=%d %s%s%s",
		pki_sign_kind_name(m->num), cfg_q(m->name), (int)peer, rc, what, rc < 0 ? " reason=" : "",
		rc < 0 ? cfg_q(reply->name) : "");
	return rc;
}

static int do_ra(struct pki_state *st, const struct pki_signer_msg *m, int64_t now, struct pki_signer_msg *reply, struct out *out)
{
	struct pki_ra_reply r = {0};
	int rc = pki_ra(st, m, now, &r, reply->name, sizeof(reply->name));

	if (rc < 0)
		return rc;
	reply->num = r.status;
	reply->num2 = (uint32_t)(r.fail + 1);
	memcpy(reply->name, r.text, sizeof(reply->name));
	out->p[0] = r.data;
	out->len[0] = r.len;
	out->p[1] = OPENSSL_memdup(r.nonce, sizeof(r.nonce));
	out->len[1] = out->p[1] != NULL ? sizeof(r.nonce) : 0;
	return r.certs != NULL ? (rc = put_chain(out, 0, r.certs), sk_X509_pop_free(r.certs, X509_free), rc) : 0;
}

static int dispatch(struct pki_state *st, const struct pki_signer_msg *m, const struct pki_blob *passed, int64_t now,
                    pid_t peer, struct pki_signer_msg *reply, struct out *out)
{
	if (passed != NULL && m->type != PKI_SIGNER_SIGN && m->type != PKI_SIGNER_CRL)
		return refuse(reply, -EBADMSG, "a descriptor that nothing asked for");
	switch (m->type) {
	case PKI_SIGNER_HELLO:
		snprintf(reply->name, sizeof(reply->name), "%s", st->cluster);
		return 0;
	case PKI_SIGNER_SERVER:
		return do_server(st, m, reply, out);
	case PKI_SIGNER_TRUST:
		return do_trust(st, m, reply, out);
	case PKI_SIGNER_CAS:
		return do_cas(st, out);
	case PKI_SIGNER_LSC:
		return do_lsc(st, m, now, reply, out);
	case PKI_SIGNER_TEST_ID:
		return do_test_id(st, m, now, reply, out);
	case PKI_SIGNER_SEAL:
	case PKI_SIGNER_UNSEAL:
		return do_seal(st, m, reply, out);
	case PKI_SIGNER_IDENT:
		return do_ident(st, m, reply, out);
	case PKI_SIGNER_REGEN:
		return do_regen(st, m, now, reply, out);
	case PKI_SIGNER_CSR:
		return do_csr(st, m, reply, out);
	case PKI_SIGNER_IMPORT:
		return do_import(st, m, now, reply);
	case PKI_SIGNER_RETIRE:
		return pki_change_retire(st, m->name, reply->name, sizeof(reply->name));
	case PKI_SIGNER_BACKUP:
		return do_backup(st, m, reply, out);
	case PKI_SIGNER_CRL:
		return do_crl(st, m, passed, now, peer, reply, out);
	case PKI_SIGNER_RA:
		return do_ra(st, m, now, reply, out);
	case PKI_SIGNER_SIGN:
		return do_sign(st, m, passed, peer, reply, out);
	default:
		return refuse(reply, -EOPNOTSUPP, "unknown request");
	}
}

/* Asked often, or with a line of its own. */
static enum cfg_log_level level_of(unsigned type, int rc)
{
	if (type == PKI_SIGNER_SIGN)
		return CFG_LOG_DEBUG;
	if (rc < 0 && type != PKI_SIGNER_IDENT)
		return CFG_LOG_WARN;
	return type == PKI_SIGNER_HELLO || type == PKI_SIGNER_TRUST || type == PKI_SIGNER_IDENT ? CFG_LOG_DEBUG
												: CFG_LOG_INFO;
}

size_t pki_serve_answer(struct pki_state *st, const uint8_t *req, size_t len, const struct pki_blob *passed, int64_t now,
                        pid_t peer, uint8_t *reply)
{
	struct pki_signer_msg m, r = {.reply = 1};
	struct out out = {0};
	int rc = pki_signer_parse(req, len, &m), n;

	r.type = m.type;
	r.seq = m.seq;
	if (rc == 0 && m.reply)
		rc = -EBADMSG;
	if (rc < 0) {
		refuse(&r, rc, rc == -EOPNOTSUPP ? "unknown version or type" : "malformed");
		cfg_log_limited(CFG_LOG_WARN, "request-malformed", "peer_pid=%d bytes=%zu error=%d",
		                (int)peer, len, rc);
	} else {
		rc = dispatch(st, &m, passed, now, peer, &r, &out);
		if (cfg_log_on(level_of(m.type, rc)))
			cfg_log(level_of(m.type, rc), "request", "type=%s name=%s peer_pid=%d rc=%d%s%s",
			        pki_signer_type_name(m.type), cfg_q(m.name), (int)peer, rc,
			        rc < 0 ? " reason=" : "", rc < 0 ? cfg_q(r.name) : "");
	}
	r.rc = rc;
	r.a = (struct pki_blob){out.p[0], out.len[0]};
	r.b = (struct pki_blob){out.p[1], out.len[1]};
	r.c = (struct pki_blob){out.p[2], out.len[2]};
	n = pki_signer_build(&r, reply, PKI_SIGNER_MSG_MAX);
	if (n < 0) { /* an answer that does not fit: say so, nothing else */
		r = (struct pki_signer_msg){.reply = 1, .type = m.type, .seq = m.seq, .rc = n};
		n = pki_signer_build(&r, reply, PKI_SIGNER_MSG_MAX);
	}
	for (int i = 0; i < 3; i++)
		OPENSSL_clear_free(out.p[i], out.len[i]);
	ERR_clear_error();
	return n > 0 ? (size_t)n : 0;
}
