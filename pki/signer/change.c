/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "change.h"
#include "log.h"
#include "refuse.h"

static int copy_pair(const struct pki_pair *from, struct pki_pair *to)
{
	*to = (struct pki_pair){0};
	if (from->uri != NULL && (to->uri = OPENSSL_strdup(from->uri)) == NULL)
		return -ENOMEM;
	if (from->key != NULL && EVP_PKEY_up_ref(from->key) == 1)
		to->key = from->key;
	if (from->cert != NULL && X509_up_ref(from->cert) == 1)
		to->cert = from->cert;
	if (from->chain != NULL && (to->chain = X509_chain_up_ref(from->chain)) == NULL)
		return -ENOMEM;
	return 0;
}

/* A copy to change: the old one stays untouched until the new one is on the disk. */
static int copy(const struct pki_ident *from, struct pki_ident *to)
{
	int rc;

	*to = (struct pki_ident){.name = from->name};
	rc = copy_pair(&from->cur, &to->cur);
	if (rc == 0)
		rc = copy_pair(&from->prev, &to->prev);
	if (rc == 0)
		rc = copy_pair(&from->next, &to->next);
	if (rc < 0)
		pki_ident_fini(to);
	return rc;
}

static int find(struct pki_state *st, const char *name, enum pki_ident_id *ret_which, char *why, size_t why_size)
{
	const struct pki_ident *id = pki_state_find(st, name, NULL);

	if (id == NULL)
		return pki_refuse(why, why_size, -ENOENT, "no such identity");
	*ret_which = (enum pki_ident_id)(id - st->ident);
	return 0;
}

static int token_key(struct pki_state *st, const struct pki_ident_def *def, const char *uri, struct pki_pair *ret, char *why,
		     size_t why_size)
{
	int rc;

	if (def->server)
		return pki_refuse(why, why_size, -EACCES, "it is handed to the controlplane: its key cannot be in a token");
	if (strstr(uri, "pin-value") != NULL)
		return pki_refuse(why, why_size, -EACCES, "a PIN does not belong in a URI: use signer.pkcs11_pin");
	if (st->token == NULL)
		return pki_refuse(why, why_size, -ENOKEY, "no token is configured");
	rc = pki_token_key(st->token, uri, &ret->key, why, why_size);
	if (rc < 0)
		return rc;
	if (!pki_key_acceptable(ret->key) || ((def->use == PKI_USE_SIGN || def->use == PKI_USE_RA) && EVP_PKEY_get_base_id(ret->key) != EVP_PKEY_RSA))
		rc = pki_refuse(why, why_size, -EACCES, "this key is of a kind that it cannot have");
	else if ((ret->uri = OPENSSL_strdup(uri)) == NULL)
		rc = -ENOMEM;
	if (rc < 0)
		pki_pair_fini(ret);
	return rc;
}

/* The key that 'spec' asks for. */
static int new_key(struct pki_state *st, const struct pki_ident *id, enum pki_ident_id which, const char *spec, struct pki_pair *ret, char *why,
		   size_t why_size)
{
	const struct pki_ident_def *def = &pki_ident_defs[which];
	enum pki_key_type type;
	int rc;

	if (spec[0] == '\0' && id->cur.uri != NULL)
		return pki_refuse(why, why_size, -EINVAL, "its key is in a token: make the new one there and name its URI");
	if (strncmp(spec, "pkcs11:", 7) == 0)
		return token_key(st, def, spec, ret, why, why_size);
	if (pki_key_parse(spec[0] != '\0' ? spec : pki_key_name(id->cur.key), &type) < 0)
		return pki_refuse(why, why_size, -EINVAL, "no such kind of key: rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384");
	if (def->use == PKI_USE_SIGN && type != PKI_RSA_2048 && type != PKI_RSA_4096)
		return pki_refuse(why, why_size, -EACCES, "lists and files are signed by RSA of 2048 or 4096 bits only");
	if (which == PKI_IDENT_RA && type != PKI_RSA_2048 && type != PKI_RSA_3072 && type != PKI_RSA_4096)
		return pki_refuse(why, why_size, -EACCES, "SCEP encrypts to RSA keys only");
	if (which == PKI_IDENT_TFTP_EC && type != PKI_EC_P256 && type != PKI_EC_P384)
		return pki_refuse(why, why_size, -EACCES, "this is the file server's EC certificate");
	rc = pki_key_create(type, &ret->key);
	return rc < 0 ? pki_refuse(why, why_size, rc, "no key: %s", strerror(-rc)) : 0;
}

static void log_change(const char *event, const struct pki_ident *id)
{
	char fp_text[40] = "";
	uint8_t fp[32];

	if (pki_fingerprint(id->cur.cert, fp) == 0)
		for (int i = 0; i < 8; i++)
			snprintf(fp_text + 2 * i, 3, "%02x", fp[i]);
	cfg_log(CFG_LOG_NOTICE, event, "name=%s sha256=%s previous=%s pending=%s", id->name, fp_text,
		pki_pair_is(&id->prev) ? "kept" : "none", pki_pair_is(&id->next) ? "yes" : "no");
}

/* Write it; whatever comes, 'id' is empty then. */
static int commit(struct pki_state *st, struct pki_ident *id, const char *event, char *why, size_t why_size)
{
	const char *name = id->name;
	int rc = pki_state_commit(st, id);

	if (rc < 0) {
		pki_ident_fini(id);
		return pki_refuse(why, why_size, rc, "not written: %s", strerror(-rc));
	}
	log_change(event, pki_state_find(st, name, NULL));
	return 0;
}

int pki_change_regen(struct pki_state *st, const char *name, const char *spec, int64_t now, char *why, size_t why_size)
{
	enum pki_ident_id which = PKI_IDENT_MAX;
	struct pki_ident id = {0};
	struct pki_pair pair = {0};
	int rc = find(st, name, &which, why, why_size);

	if (rc == 0)
		rc = new_key(st, &st->ident[which], which, spec, &pair, why, why_size);
	if (rc < 0)
		return rc;
	rc = pki_state_certify(st, which, &pair, now);
	if (rc < 0)
		pki_refuse(why, why_size, rc, rc == -EACCES ? "its issuer has expired"
					  : rc == -ENOKEY ? "its issuer's token is not there"
							  : "no certificate");
	else if ((rc = copy(&st->ident[which], &id)) < 0)
		pki_refuse(why, why_size, rc, "out of memory");
	if (rc < 0) {
		pki_pair_fini(&pair);
		return rc;
	}
	pki_pair_fini(&id.prev);
	id.prev = id.cur;
	id.cur = pair;
	return commit(st, &id, "identity-regenerated", why, why_size);
}

int pki_change_csr(struct pki_state *st, const char *name, const char *spec, const char *challenge, X509_REQ **ret_req, char *why,
		   size_t why_size)
{
	const char *names[PKI_NAMES_MAX];
	enum pki_ident_id which = PKI_IDENT_MAX;
	struct pki_ident id = {0};
	struct pki_pair pair = {0};
	X509_REQ *req = NULL;
	char cn[128];
	size_t n;
	int rc = find(st, name, &which, why, why_size);

	if (rc == 0)
		rc = new_key(st, &st->ident[which], which, spec, &pair, why, why_size);
	if (rc < 0)
		return rc;
	n = pki_state_names(st, which, cn, names);
	rc = pki_own_request(pair.key, pki_ident_defs[which].use, cn, st->cluster, names, n, challenge, &req);
	if (rc < 0)
		pki_refuse(why, why_size, rc, "no request");
	else if ((rc = copy(&st->ident[which], &id)) < 0)
		pki_refuse(why, why_size, rc, "out of memory");
	if (rc < 0) {
		pki_pair_fini(&pair);
		X509_REQ_free(req);
		return rc;
	}
	pki_pair_fini(&id.next);
	id.next = pair;
	rc = commit(st, &id, "identity-request", why, why_size);
	if (rc < 0)
		X509_REQ_free(req);
	else
		*ret_req = req;
	return rc;
}

static int take_chain(struct pki_pair *p, STACK_OF(X509) *chain)
{
	X509_free(p->cert);
	sk_X509_pop_free(p->chain, X509_free);
	p->cert = NULL;
	p->chain = X509_chain_up_ref(chain);
	if (p->chain == NULL)
		return -ENOMEM;
	p->cert = sk_X509_shift(p->chain);
	if (sk_X509_num(p->chain) == 0) {
		sk_X509_free(p->chain);
		p->chain = NULL;
	}
	return 0;
}

int pki_change_import(struct pki_state *st, const char *name, STACK_OF(X509) *chain, int64_t now, char *why,
		      size_t why_size)
{
	X509 *leaf = sk_X509_value(chain, 0);
	const struct pki_ident *cur;
	enum pki_ident_id which = PKI_IDENT_MAX;
	struct pki_ident id;
	bool waiting;
	int rc = find(st, name, &which, why, why_size);

	if (rc < 0)
		return rc;
	cur = &st->ident[which];
	if (leaf != NULL && cur->cur.cert != NULL && X509_cmp(leaf, cur->cur.cert) == 0)
		return pki_refuse(why, why_size, -EEXIST, "this certificate is in use already");
	waiting = leaf != NULL && cur->next.key != NULL && X509_check_private_key(leaf, cur->next.key) == 1;
	ERR_clear_error();
	if (!waiting && cur->cur.key == NULL)
		return pki_refuse(why, why_size, -ENOKEY, "its token is not there");
	rc = pki_own_check(chain, waiting ? cur->next.key : cur->cur.key, pki_ident_defs[which].use, now, why, why_size);
	if (rc < 0)
		return rc;
	rc = copy(cur, &id);
	if (rc < 0)
		return pki_refuse(why, why_size, rc, "out of memory");
	/* With the same key, issuer and serial number change, and those are what phones look for: the old pair is kept too. */
	pki_pair_fini(&id.prev);
	id.prev = id.cur;
	id.cur = (struct pki_pair){0};
	if (waiting) {
		id.cur = id.next;
		id.next = (struct pki_pair){0};
	} else {
		rc = copy_pair(&id.prev, &id.cur);
	}
	if (rc == 0)
		rc = take_chain(&id.cur, chain);
	if (rc < 0) {
		pki_ident_fini(&id);
		return pki_refuse(why, why_size, rc, "out of memory");
	}
	return commit(st, &id, "identity-imported", why, why_size);
}

int pki_change_retire(struct pki_state *st, const char *name, char *why, size_t why_size)
{
	enum pki_ident_id which = PKI_IDENT_MAX;
	struct pki_ident id;
	int rc = find(st, name, &which, why, why_size);

	if (rc < 0)
		return rc;
	if (!pki_pair_is(&st->ident[which].prev))
		return pki_refuse(why, why_size, -ENOENT, "nothing is kept of what it was before");
	rc = copy(&st->ident[which], &id);
	if (rc < 0)
		return pki_refuse(why, why_size, rc, "out of memory");
	pki_pair_fini(&id.prev);
	return commit(st, &id, "identity-retired", why, why_size);
}
