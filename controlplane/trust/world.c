/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "listrec.h"

int cp_tm_cert_id(const X509 *cert, uint8_t ret[CP_TM_ID])
{
	unsigned n = 0;

	return X509_digest(cert, EVP_sha256(), ret, &n) == 1 && n == CP_TM_ID ? 0 : -EIO;
}

static bool rec_id(const struct pki_tl_rec *r, uint8_t ret[CP_TM_ID])
{
	EVP_MD_CTX *md;
	bool ok;

	if (r->cert != NULL)
		return SHA256(r->cert, r->cert_len, ret) != NULL;
	if (r->pubkey == NULL || r->pubkey_len == 0)
		return false;
	md = EVP_MD_CTX_new();
	ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(md, "key", 4) == 1 &&
	     EVP_DigestUpdate(md, r->serial, r->serial_len) == 1 && EVP_DigestUpdate(md, "", 1) == 1 &&
	     EVP_DigestUpdate(md, r->pubkey, r->pubkey_len) == 1 && EVP_DigestFinal_ex(md, ret, NULL) == 1;
	EVP_MD_CTX_free(md);
	return ok;
}

static bool is_signer(const struct pki_tl *tl, const struct pki_tl_rec *r)
{
	return r->role == PKI_TL_SAST && r->serial_len == tl->serial_len && tl->serial_len > 0 &&
	       memcmp(r->serial, tl->serial, tl->serial_len) == 0 && r->issuer != NULL && tl->issuer != NULL &&
	       pki_tl_dn_equal(r->issuer, tl->issuer);
}

int cp_tm_list_of(const struct pki_tl *tl, struct cp_tm_list *ret, uint8_t signer[CP_TM_ID])
{
	bool found = false;

	SHA256(tl->file, tl->file_len, ret->file);
	ret->cnt = 0;
	for (unsigned i = 0; i < tl->rec_cnt; i++) {
		struct cp_tm_entry *e = &ret->e[ret->cnt];

		if (!rec_id(&tl->rec[i], e->id))
			continue;
		e->role = tl->rec[i].role;
		ret->cnt++;
		if (signer != NULL && !found && is_signer(tl, &tl->rec[i])) {
			memcpy(signer, e->id, CP_TM_ID);
			found = true;
		}
	}
	if (signer != NULL && !found)
		memset(signer, 0, CP_TM_ID);
	return 0;
}

int cp_tm_list_entries(const struct pki_tl_entry *entry, unsigned cnt, struct cp_tm_list *ret)
{
	memset(ret->file, 0, sizeof(ret->file));
	ret->cnt = 0;
	if (cnt > PKI_TL_REC_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < cnt; i++) {
		if (entry[i].cert == NULL)
			continue;
		ret->e[ret->cnt].role = entry[i].role;
		if (cp_tm_cert_id(entry[i].cert, ret->e[ret->cnt++].id) < 0)
			return -EIO;
	}
	return 0;
}

/* A list without certificates does not hold its signer's: it is one of ours, by name and serial number. */
static bool signed_by(const struct pki_tl *tl, X509 *cert)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	const uint8_t *p = serial->data, *q = tl->serial;
	size_t n = (size_t)serial->length, m = tl->serial_len;
	char issuer[PKI_TL_NAME_MAX];

	while (n > 1 && *p == 0)
		p++, n--;
	while (m > 1 && *q == 0)
		q++, m--;
	return n == m && memcmp(p, q, n) == 0 && tl->issuer != NULL &&
	       pki_tl_dn(X509_get_issuer_name(cert), issuer, sizeof(issuer)) > 0 && pki_tl_dn_equal(issuer, tl->issuer);
}

static X509 *from_der(const struct cp_buf *b)
{
	const uint8_t *p = b->data;

	return b->len > 0 ? d2i_X509(NULL, &p, (long)b->len) : NULL;
}

static int list_make(const struct cp_tm_source *src, const uint8_t *file, size_t len, struct cp_tm_signed *ret)
{
	static const uint8_t none[CP_TM_ID];
	struct pki_tl *tl;
	int rc;

	if (file == NULL)
		return 0;
	tl = malloc(sizeof(*tl));
	if (tl == NULL)
		return -ENOMEM;
	rc = pki_tl_parse(file, len, tl, NULL, 0);
	if (rc == 0)
		rc = cp_tm_list_of(tl, &ret->list, ret->signer);
	for (unsigned i = 0; rc == 0 && i < 2 * CP_TM_IDENTS && memcmp(ret->signer, none, CP_TM_ID) == 0; i++) {
		char name[64];
		X509 *cert;

		snprintf(name, sizeof(name), "%s%s", cp_tm_ident_name(i / 2), i % 2 != 0 ? ".prev" : "");
		cert = src->own(src->ctx, name);
		if (cert != NULL && signed_by(tl, cert))
			rc = cp_tm_cert_id(cert, ret->signer);
		X509_free(cert);
	}
	for (unsigned i = 0; rc == 0 && src->rec != NULL && i < src->rec->token_cnt && memcmp(ret->signer, none, CP_TM_ID) == 0; i++) {
		X509 *cert = from_der(&src->rec->tokens[i].cert); /* a CTL of non-secure mode does not hold it */

		if (cert != NULL && signed_by(tl, cert))
			rc = cp_tm_cert_id(cert, ret->signer);
		X509_free(cert);
	}
	ret->served = rc == 0;
	free(tl);
	return rc;
}

static int ident_make(const struct cp_tm_source *src, const char *name, struct cp_tm_cert *ret)
{
	X509 *cert = src->own(src->ctx, name);
	int rc = cert != NULL ? cp_tm_cert_id(cert, ret->id) : 0;

	ret->have = cert != NULL;
	X509_free(cert);
	return rc;
}

/* "SAST1.prev" is SAST1's, as it was. */
static void token_ident(const struct cp_ctl_token *t, struct cp_tm_token *ret)
{
	char name[CP_NAME_MAX];
	enum cp_tm_ident ident;
	size_t n;

	snprintf(name, sizeof(name), "%s", t->name);
	n = strlen(name);
	ret->ident = -1;
	ret->prev = n > 5 && strcmp(name + n - 5, ".prev") == 0;
	if (ret->prev)
		name[n - 5] = '\0';
	if (t->origin == CP_CTL_OWN && cp_tm_ident_parse(name, &ident) == 0)
		ret->ident = (int)ident;
}

static void others_add(struct cp_tm_list *l, uint16_t role, const struct cp_buf *der)
{
	if (der->len == 0 || l->cnt == PKI_TL_REC_MAX)
		return;
	l->e[l->cnt].role = role;
	SHA256(der->data, der->len, l->e[l->cnt++].id);
}

static void ctl_make(const struct cp_ctl_rec *rec, struct cp_tm_world *ret)
{
	for (unsigned i = 0; i < rec->token_cnt && ret->token_cnt < CP_TM_TOKENS; i++) {
		struct cp_tm_token *t = &ret->token[ret->token_cnt++];

		token_ident(&rec->tokens[i], t);
		t->in_file = rec->tokens[i].in_file;
		SHA256(rec->tokens[i].cert.data, rec->tokens[i].cert.len, t->id);
	}
	for (unsigned i = 0; i < rec->extra_cnt; i++)
		others_add(&ret->others, rec->extras[i].role, &rec->extras[i].cert);
	for (unsigned i = 0; i < rec->tftp_cnt; i++)
		others_add(&ret->others, PKI_TL_TFTP, &rec->tftps[i].cert);
}

int cp_tm_world_make(const struct cp_tm_source *src, struct cp_tm_world *ret)
{
	int rc = 0;

	memset(ret, 0, sizeof(*ret));
	ret->mixed = src->mixed;
	ret->rollback = src->rollback;
	ret->no_tvs = src->no_tvs;
	ret->modern = src->cls == PKI_CLASS_MODERN;
	ret->with = CP_TM_WITHS;
	for (unsigned i = 0; i < CP_TM_WITHS; i++)
		if (src->with != NULL && strcmp(src->with, cp_tm_with_name(i)) == 0)
			ret->with = (enum cp_tm_with)i;
	if (ret->with == CP_TM_WITHS)
		return -EINVAL;
	for (unsigned i = 0; rc == 0 && i < CP_TM_IDENTS; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s.prev", cp_tm_ident_name(i));
		rc = ident_make(src, cp_tm_ident_name(i), &ret->ident[i]);
		if (rc == 0)
			rc = ident_make(src, name, &ret->prev[i]);
	}
	if (src->rec != NULL)
		ctl_make(src->rec, ret);
	if (rc == 0)
		rc = list_make(src, src->ctl, src->ctl_len, &ret->ctl);
	if (rc == 0)
		rc = list_make(src, src->itl, src->itl_len, &ret->itl);
	return rc;
}
