/* SPDX-License-Identifier: BSD-3-Clause */
#include "scepra.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "change.h"
#include "config.h"
#include "file.h"
#include "log.h"
#include "refuse.h"
#include "state.h"
#include "x509.h"

/* DES is in OpenSSL's legacy provider, which nothing else in this process is to see. NULL: it is not there, or not allowed. */
static OSSL_LIB_CTX *lib;
static OSSL_PROVIDER *providers[2];

void pki_ra_fini(void)
{
	for (int i = 1; i >= 0; i--) {
		if (providers[i] != NULL)
			OSSL_PROVIDER_unload(providers[i]);
		providers[i] = NULL;
	}
	OSSL_LIB_CTX_free(lib);
	lib = NULL;
}

static OSSL_LIB_CTX *old_lib(const struct cfg_scep *cfg)
{
	if (!cfg->old_crypto || lib != NULL)
		return lib;
	lib = OSSL_LIB_CTX_new();
	providers[0] = lib != NULL ? OSSL_PROVIDER_load(lib, "default") : NULL;
	providers[1] = lib != NULL ? OSSL_PROVIDER_load(lib, "legacy") : NULL;
	if (providers[0] == NULL || providers[1] == NULL)
		pki_ra_fini();
	ERR_clear_error();
	return lib;
}

static int read_challenge(const struct cfg_scep *cfg, char *ret, size_t size, char *why, size_t why_size)
{
	int rc;

	ret[0] = '\0';
	if (cfg->challenge == NULL)
		return 0;
	rc = pki_file_secret(cfg->challenge, ret, size);
	return rc == 0 ? 0 :
			 pki_refuse(why, why_size, rc == -EPERM ? -EACCES : rc, "enrol.scep.challenge: %s",
				    rc == -EPERM ? "must be a file that only we can read, mode 0400" : strerror(-rc));
}

/* What is asked for: a phone's key, or an identity's. */
struct subject {
	EVP_PKEY *pub;          /* owned */
	struct pki_ident *id;   /* NULL: a phone */
	bool old;
};

static int take_subject(struct pki_state *st, const struct pki_signer_msg *m, struct subject *ret, char *why, size_t size)
{
	const unsigned char *p = m->a.p;
	bool prev = false;

	*ret = (struct subject){.old = st->cfg != NULL && st->cfg->enrol.old_keys};
	if (m->a.len == 0) {
		ret->id = pki_state_find(st, m->name, &prev);
		return ret->id != NULL && !prev ? 0 : pki_refuse(why, size, -ENOENT, "no such identity");
	}
	if (!pki_device_valid(m->name))
		return pki_refuse(why, size, -EBADMSG, "not a device name");
	ret->pub = m->a.len <= PKI_DER_MAX ? d2i_PUBKEY(NULL, &p, (long)m->a.len) : NULL;
	if (ret->pub == NULL || p != m->a.p + m->a.len)
		return pki_refuse(why, size, -EBADMSG, "not a public key");
	return 0;
}

/* The request that goes into a message. An identity's is made anew, with a key that waits; or the one that waits is taken again. */
static int make_request(struct pki_state *st, const struct pki_signer_msg *m, struct subject *s, const char *challenge, bool fresh, X509_REQ **ret,
			char *why, size_t size)
{
	const struct pki_pair *ra = &st->ident[PKI_IDENT_RA].cur;
	const char *names[PKI_NAMES_MAX];
	char cn[128];
	size_t n;
	int rc;

	if (s->id == NULL) {
		rc = pki_scep_request(ra->key, m->name, st->cluster, s->pub, s->old, challenge, ret);
		return rc == 0 ? 0 : pki_refuse(why, size, rc, rc == -EACCES ? "key not acceptable" : "no request could be made");
	}
	if (fresh) {
		rc = pki_change_csr(st, s->id->name, "", challenge, ret, why, size);
	} else if (s->id->next.key == NULL) {
		rc = pki_refuse(why, size, -ENOENT, "no request of it waits");
	} else {
		enum pki_ident_id which = (enum pki_ident_id)(s->id - st->ident);

		n = pki_state_names(st, which, cn, names);
		rc = pki_own_request(s->id->next.key, pki_ident_defs[which].use, cn, st->cluster, names, n, challenge, ret);
		if (rc < 0)
			pki_refuse(why, size, rc, "no request could be made");
	}
	if (rc == 0) {
		s->pub = X509_REQ_get_pubkey(*ret);
		rc = s->pub != NULL ? 0 : pki_refuse(why, size, -EIO, "no request could be made");
	}
	return rc;
}

static int give_request(X509_REQ *req, struct pki_ra_reply *ret)
{
	unsigned char *der = NULL;
	int len = i2d_X509_REQ(req, &der);

	if (len <= 0)
		return -EIO;
	ret->data = der;
	ret->len = (size_t)len;
	return 0;
}

static int ask(struct pki_state *st, const struct pki_signer_msg *m, struct subject *s, const struct pki_scep_ca *ca, struct pki_ra_reply *ret,
	       char *why, size_t size)
{
	const struct cfg_scep *cfg = &st->cfg->enrol.scep;
	const struct pki_pair *ra = &st->ident[PKI_IDENT_RA].cur;
	struct pki_scep_msg msg = {.type = m->num == PKI_RA_POLL ? PKI_SCEP_CERTPOLL : PKI_SCEP_PKCSREQ, .caps = m->num2, .old = cfg->old_crypto};
	char challenge[PKI_SCEP_CHALLENGE_MAX] = "", tid[PKI_SCEP_TID_MAX];
	X509_REQ *req = NULL;
	int rc = 0;

	if (m->num == PKI_RA_ENROL)
		rc = read_challenge(cfg, challenge, sizeof(challenge), why, size);
	if (rc == 0)
		rc = make_request(st, m, s, challenge[0] != '\0' ? challenge : NULL, m->num == PKI_RA_ENROL, &req, why, size);
	OPENSSL_cleanse(challenge, sizeof(challenge));
	if (rc == 0 && (pki_scep_tid(s->pub, tid) < 0 || RAND_bytes(ret->nonce, sizeof(ret->nonce)) != 1))
		rc = pki_refuse(why, size, -EIO, "no transaction");
	/* A certificate of ours that this CA made vouches for its successor; else the password does. */
	if (rc == 0 && s->id == &st->ident[PKI_IDENT_RA] && m->num == PKI_RA_ENROL && (m->num2 & PKI_SCEP_CAP_RENEWAL) != 0 &&
	    X509_check_issued(ca->ca, ra->cert) == X509_V_OK)
		msg.type = PKI_SCEP_RENEWAL;
	if (rc == 0) {
		msg.tid = tid;
		msg.nonce = ret->nonce;
		msg.req = req;
		rc = pki_scep_build(ca, ra->key, ra->cert, &msg, &ret->data, &ret->len, why, size);
	}
	X509_REQ_free(req);
	return rc;
}

static int opened(struct pki_state *st, const struct pki_signer_msg *m, struct subject *s, const struct pki_scep_ca *ca, struct pki_ra_reply *ret,
		  char *why, size_t size)
{
	const struct cfg_scep *cfg = &st->cfg->enrol.scep;
	const struct pki_pair *ra = &st->ident[PKI_IDENT_RA].cur;
	EVP_PKEY *pub = s->id != NULL ? s->id->next.key : s->pub; /* borrowed */
	struct pki_scep_answer a;
	char tid[PKI_SCEP_TID_MAX];
	struct pki_scep_msg sent = {.old = cfg->old_crypto, .tid = tid, .nonce = m->c.p};
	X509 *cert = NULL;
	int rc;

	if (pub == NULL)
		return pki_refuse(why, size, -ENOENT, "no request of it waits");
	if (m->c.len <= PKI_SCEP_NONCE)
		return pki_refuse(why, size, -EBADMSG, "no answer");
	if (pki_scep_tid(pub, tid) < 0)
		return pki_refuse(why, size, -EIO, "no transaction");
	rc = pki_scep_open(ca, ra->key, ra->cert, &sent, old_lib(cfg), m->c.p + PKI_SCEP_NONCE, m->c.len - PKI_SCEP_NONCE, &a, why, size);
	if (rc < 0)
		return rc;
	ret->status = a.status;
	ret->fail = a.fail;
	snprintf(ret->text, sizeof(ret->text), "%.*s", (int)sizeof(ret->text) - 1, a.text);
	if (a.status == PKI_SCEP_SUCCESS) {
		cert = pki_scep_find(a.certs, pub);
		if (cert == NULL)
			rc = pki_refuse(why, size, -EACCES, "the certificate that the CA sent is for another key");
		else if (X509_verify(cert, X509_get0_pubkey(ca->ca)) != 1)
			rc = pki_refuse(why, size, -EACCES, "the certificate that the CA sent is not signed by the CA");
		else if ((ret->certs = sk_X509_new_null()) == NULL || X509_up_ref(cert) != 1 || sk_X509_push(ret->certs, cert) <= 0 ||
			 X509_up_ref(ca->ca) != 1 || sk_X509_push(ret->certs, ca->ca) <= 0)
			rc = pki_refuse(why, size, -ENOMEM, "no memory");
	}
	pki_scep_answer_fini(&a);
	ERR_clear_error();
	return rc;
}

int pki_ra(struct pki_state *st, const struct pki_signer_msg *m, int64_t now, struct pki_ra_reply *ret, char *why, size_t why_size)
{
	struct pki_scep_ca ca = {0};
	struct subject s;
	X509_REQ *req = NULL;
	int rc = take_subject(st, m, &s, why, why_size);

	ret->fail = -1;
	if (rc == 0 && st->ident[PKI_IDENT_RA].cur.key == NULL)
		rc = pki_refuse(why, why_size, -ENOKEY, "the token of CAPF-RA is not there");
	if (rc < 0)
		goto out;
	if (m->num == PKI_RA_REQUEST && s.id == NULL) {
		rc = make_request(st, m, &s, NULL, true, &req, why, why_size);
		if (rc == 0 && (rc = give_request(req, ret)) < 0)
			pki_refuse(why, why_size, rc, "no request could be made");
		if (rc == 0)
			cfg_log(CFG_LOG_NOTICE, "lsc-request", "device=%s", m->name);
		goto out;
	}
	if (m->num < PKI_RA_ENROL || m->num > PKI_RA_OPEN)
		rc = pki_refuse(why, why_size, -EBADMSG, "no such operation");
	else if (st->cfg == NULL || st->cfg->enrol.scep.url == NULL)
		rc = pki_refuse(why, why_size, -EINVAL, "enrol.scep is not configured");
	else
		rc = pki_scep_ca_parse(m->b.p, m->b.len, st->cfg->enrol.scep.ca_sha256, st->cfg->enrol.scep.ra_sha256, st->cfg->enrol.scep.ra_cnt, now, &ca,
				       why, why_size);
	if (rc == 0)
		rc = m->num == PKI_RA_OPEN ? opened(st, m, &s, &ca, ret, why, why_size) : ask(st, m, &s, &ca, ret, why, why_size);
	pki_scep_ca_fini(&ca);
out:
	X509_REQ_free(req);
	EVP_PKEY_free(s.pub);
	if (rc < 0) {
		sk_X509_pop_free(ret->certs, X509_free);
		OPENSSL_free(ret->data);
		*ret = (struct pki_ra_reply){0};
	}
	return rc;
}
