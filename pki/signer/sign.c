/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "log.h"
#include "sgn.h"
#include "sign.h"
#include "trustlist.h"
#include "why.h"

const char *pki_sign_kind_name(uint32_t kind)
{
	static const char *const names[] = {"none", "ctl", "itl", "file", "enc"};

	return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : names[0];
}

static bool dn_is(const X509_NAME *name, const char *text)
{
	char buf[PKI_TL_NAME_MAX];

	return text != NULL && pki_tl_dn(name, buf, sizeof(buf)) >= 0 &&
	       (strcmp(buf, text) == 0 || pki_tl_dn_equal(buf, text));
}

/* Does the header name this certificate as the signer's? */
static bool names_signer(const char *signer, const char *issuer, const uint8_t *serial, size_t serial_len, const X509 *cert)
{
	const ASN1_INTEGER *own = X509_get0_serialNumber(cert);

	/* A leading zero of the DER encoding is not in an ASN1_INTEGER, and may be in a list. */
	while (serial_len > 1 && serial[0] == 0)
		serial++, serial_len--;
	return serial_len > 0 && (size_t)ASN1_STRING_length(own) == serial_len &&
	       memcmp(ASN1_STRING_get0_data(own), serial, serial_len) == 0 && dn_is(X509_get_subject_name(cert), signer) &&
	       dn_is(X509_get_issuer_name(cert), issuer);
}

static bool same_bytes(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static int check_list(const struct pki_tl *tl, uint32_t kind, enum pki_ident_id which, X509 *cert, char *why,
		      size_t why_size)
{
	const struct pki_tl_rec *first = NULL;
	unsigned certs = 0, sasts = 0;
	enum pki_tl_kind is;

	if (pki_tl_kind_of(tl, &is) < 0 || is != (kind == PKI_SIGN_CTL ? PKI_TL_CTL : PKI_TL_ITL))
		return cfg_no(why, why_size, -EACCES, "the list is not the kind it is said to be");
	if (!names_signer(tl->signer, tl->issuer, tl->serial, tl->serial_len, cert))
		return cfg_no(why, why_size, -EACCES, "the list names another signer");
	for (unsigned i = 0; i < tl->rec_cnt; i++) {
		const struct pki_tl_rec *r = &tl->rec[i];

		certs += r->cert != NULL || r->pubkey_len > 0;
		if (r->role != PKI_TL_SAST || r->pubkey_len == 0)
			continue;
		if (first == NULL) {
			first = r;
			sasts = 1;
		} else if (!same_bytes(first->pubkey, first->pubkey_len, r->pubkey, r->pubkey_len)) {
			sasts = 2;
		}
	}
	if (certs == 0)
		return 0;
	if (pki_tl_find(tl, cert, PKI_TL_SAST) == NULL)
		return cfg_no(why, why_size, -EACCES, "the signer is no SAST of the list");
	if (kind == PKI_SIGN_CTL && (which == PKI_IDENT_SAST1 || which == PKI_IDENT_SAST2) && sasts < 2)
		return cfg_no(why, why_size, -EACCES, "a CTL needs two SASTs at least");
	return 0;
}

static int check_file(const struct pki_sgn *f, uint32_t kind, const X509 *cert, char *why, size_t why_size)
{
	if (f->encrypted != (kind == PKI_SIGN_ENC))
		return cfg_no(why, why_size, -EACCES, "the file is not the kind it is said to be");
	if (f->filename == NULL || f->filename[0] == '\0')
		return cfg_no(why, why_size, -EACCES, "the file has no name");
	if (!names_signer(f->signer, f->issuer, f->serial, f->serial_len, cert))
		return cfg_no(why, why_size, -EACCES, "the file names another signer");
	return 0;
}

static int make(EVP_PKEY *key, const EVP_MD *md, struct pki_blob head, struct pki_blob body, uint8_t *sig, size_t *ret_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = PKI_SIGN_MAX;
	int ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, md, NULL, key) == 1 &&
		 EVP_DigestSignUpdate(ctx, head.p, head.len) == 1 &&
		 (body.len == 0 || EVP_DigestSignUpdate(ctx, body.p, body.len) == 1) &&
		 EVP_DigestSignFinal(ctx, sig, &len) == 1;

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	if (!ok)
		return -EIO;
	*ret_len = len;
	return 0;
}

int pki_sign(struct pki_state *st, const char *name, uint32_t kind, struct pki_blob head, struct pki_blob body,
	     uint8_t *sig, size_t *ret_len, char *what, size_t what_size, char *why, size_t why_size)
{
	bool list = kind == PKI_SIGN_CTL || kind == PKI_SIGN_ITL, prev = false;
	const struct pki_ident *id = pki_state_find(st, name, &prev);
	const struct pki_pair *pair;
	enum pki_ident_id which = PKI_IDENT_MAX;
	const EVP_MD *md;
	unsigned digest;
	int rc;

	what[0] = '\0';
	if (id == NULL)
		return cfg_no(why, why_size, -ENOENT, "no such identity");
	which = (enum pki_ident_id)(id - st->ident);
	pair = prev ? &id->prev : &id->cur;
	if (kind < PKI_SIGN_CTL || kind > PKI_SIGN_ENC)
		return cfg_no(why, why_size, -EBADMSG, "no such kind");
	if ((pki_ident_defs[which].kinds & 1U << kind) == 0)
		return cfg_no(why, why_size, -EACCES, "this identity may not sign that");
	if (list) {
		static struct pki_tl tl; /* 16 KiB; one thread */

		if (body.len != 0)
			return cfg_no(why, why_size, -EBADMSG, "a list has no body");
		rc = pki_tl_parse_tbs(head.p, head.len, &tl, why, why_size);
		if (rc == 0)
			rc = check_list(&tl, kind, which, pair->cert, why, why_size);
		if (rc < 0)
			return rc;
		digest = tl.digest;
		snprintf(what, what_size, "records=%u timestamp=%u", tl.rec_cnt, tl.timestamp);
	} else {
		struct pki_sgn f;

		if (body.len > PKI_SGN_BODY_MAX)
			return cfg_no(why, why_size, -EMSGSIZE, "the file is too large");
		rc = pki_sgn_parse_tbs(head.p, head.len, &f, why, why_size);
		if (rc == 0)
			rc = check_file(&f, kind, pair->cert, why, why_size);
		if (rc < 0)
			return rc;
		digest = f.digest;
		snprintf(what, what_size, "file=%s bytes=%zu timestamp=%u", cfg_q(f.filename), body.len, f.timestamp);
	}
	md = pki_digest_md(digest);
	if (md == NULL)
		return cfg_no(why, why_size, -ENOTSUP, "digest %u is not known", digest);
	if (EVP_PKEY_get_base_id(X509_get0_pubkey(pair->cert)) != EVP_PKEY_RSA)
		return cfg_no(why, why_size, -EACCES, "phones verify lists and files by RSA only");
	if (pair->key == NULL)
		return cfg_no(why, why_size, -ENOKEY, "its token is not there");
	rc = make(pair->key, md, head, body, sig, ret_len);
	return rc < 0 ? cfg_no(why, why_size, rc, "the key did not sign") : 0;
}
