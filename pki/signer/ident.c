/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "ident.h"
#include "refuse.h"
#include "signer.h"

#define URI_MAX 1024

#define CTL  (1U << PKI_SIGN_CTL)
#define ITL  (1U << PKI_SIGN_ITL)
#define FILE_ (1U << PKI_SIGN_FILE | 1U << PKI_SIGN_ENC)

const struct pki_ident_def pki_ident_defs[PKI_IDENT_MAX] = {
	[PKI_IDENT_CAPF] = {"CAPF", "CAPF-%s", PKI_USE_CA, false, 0},
	[PKI_IDENT_SAST1] = {"SAST1", "SAST1-%s", PKI_USE_SIGN, false, CTL},
	[PKI_IDENT_SAST2] = {"SAST2", "SAST2-%s", PKI_USE_SIGN, false, CTL},
	[PKI_IDENT_TFTP] = {"TFTP", "TFTP-%s", PKI_USE_SIGN, false, ITL | FILE_},
	[PKI_IDENT_ITLRECOVERY] = {"ITLRecovery", "ITLRECOVERY-%s", PKI_USE_SIGN, false, CTL | ITL},
	[PKI_IDENT_CALLMANAGER] = {"CallManager", "CallManager-%s", PKI_USE_SERVER, true, CTL | ITL},
	[PKI_IDENT_TVS] = {"TVS", "TVS-%s", PKI_USE_SERVER, true, 0},
	[PKI_IDENT_HTTPS] = {"HTTPS", "HTTPS-%s", PKI_USE_SERVER, true, 0},
	[PKI_IDENT_TFTP_EC] = {"TFTP-EC", "TFTP-EC-%s", PKI_USE_SERVER, true, 0},
	[PKI_IDENT_CAPF_TLS] = {"CAPF-TLS", "CAPF-TLS-%s", PKI_USE_SERVER, true, 0},
	[PKI_IDENT_IPSEC] = {"IPsec", "IPsec-%s", PKI_USE_IPSEC, true, 0},
	[PKI_IDENT_RA] = {"CAPF-RA", "CAPF-RA-%s", PKI_USE_RA, false, 0},
};

void pki_pair_fini(struct pki_pair *p)
{
	EVP_PKEY_free(p->key);
	X509_free(p->cert);
	sk_X509_pop_free(p->chain, X509_free);
	OPENSSL_free(p->uri);
	*p = (struct pki_pair){0};
}

void pki_ident_fini(struct pki_ident *id)
{
	pki_pair_fini(&id->cur);
	pki_pair_fini(&id->prev);
	pki_pair_fini(&id->next);
}

static bool put_certs(BIO *bio, const struct pki_pair *p)
{
	bool ok = p->cert == NULL || PEM_write_bio_X509(bio, p->cert) == 1;

	for (int i = 0; ok && p->chain != NULL && i < sk_X509_num(p->chain); i++)
		ok = PEM_write_bio_X509(bio, sk_X509_value(p->chain, i)) == 1;
	return ok;
}

static bool put_pair(BIO *bio, const char *section, const struct pki_pair *p, const char *pass)
{
	bool ok;

	if (!pki_pair_is(p))
		return true;
	ok = BIO_printf(bio, "[%s]\n", section) > 0;
	if (p->uri != NULL)
		ok = ok && BIO_printf(bio, "uri %s\n", p->uri) > 0;
	else
		ok = ok && PEM_write_bio_PKCS8PrivateKey(bio, p->key, EVP_aes_256_cbc(), pass, 64, NULL, NULL) == 1;
	return ok && put_certs(bio, p);
}

static int take_text(BIO *bio, bool ok, char **ret_text, size_t *ret_len)
{
	char *data;
	long len = ok ? BIO_get_mem_data(bio, &data) : 0;
	char *text = len > 0 ? OPENSSL_malloc((size_t)len + 1) : NULL;

	if (text != NULL) {
		memcpy(text, data, (size_t)len);
		text[len] = '\0';
		*ret_text = text;
		*ret_len = (size_t)len;
	}
	BIO_free(bio);
	ERR_clear_error();
	return text != NULL ? 0 : ok ? -ENOMEM : -EIO;
}

int pki_ident_build(const struct pki_ident *id, const struct pki_kek *kek, char **ret_text, size_t *ret_len)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char pass[65];
	bool ok;

	memcpy(pass, pki_kek_passphrase(kek), sizeof(pass));
	ok = bio != NULL && put_pair(bio, "current", &id->cur, pass) && put_pair(bio, "previous", &id->prev, pass) &&
	     put_pair(bio, "next", &id->next, pass);
	OPENSSL_cleanse(pass, sizeof(pass));
	return take_text(bio, ok, ret_text, ret_len);
}

int pki_pair_certs(const struct pki_pair *p, char **ret_text, size_t *ret_len)
{
	BIO *bio = BIO_new(BIO_s_mem());

	return take_text(bio, bio != NULL && put_certs(bio, p), ret_text, ret_len);
}

static int passphrase(char *buf, int size, int rw, void *ctx)
{
	(void)rw;
	if (size < 64)
		return -1;
	memcpy(buf, ctx, 64);
	return 64;
}

/* Text of one section: key or URI, then certificates. */
static int parse_pair(struct pki_pair *p, const struct pki_kek *kek, const char *text, size_t len, pki_token_cb *token,
		      void *ctx, bool *ret_absent, char *why, size_t why_size)
{
	const char *eol = memchr(text, '\n', len);
	STACK_OF(X509) *certs = NULL;
	char pass[65];
	BIO *bio;
	int rc;

	if (len > INT32_MAX)
		return pki_refuse(why, why_size, -EBADMSG, "too long");
	if (len > 4 && memcmp(text, "uri ", 4) == 0) {
		if (eol == NULL || eol - text - 4 > URI_MAX)
			return pki_refuse(why, why_size, -EBADMSG, "a URI that is too long");
		p->uri = OPENSSL_strndup(text + 4, (size_t)(eol - text) - 4);
		if (p->uri == NULL)
			return -ENOMEM;
		rc = token != NULL ? token(ctx, p->uri, &p->key, why, why_size) : -ENOENT;
		if (rc < 0)
			*ret_absent = true; /* what it says is in the log of whoever has the token */
	} else {
		bio = BIO_new_mem_buf(text, (int)len);
		memcpy(pass, pki_kek_passphrase(kek), sizeof(pass));
		p->key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, passphrase, pass) : NULL;
		OPENSSL_cleanse(pass, sizeof(pass));
		BIO_free(bio);
		ERR_clear_error();
		if (p->key == NULL)
			return pki_refuse(why, why_size, -EACCES, "another KEK sealed it, or it was changed");
	}
	if (memmem(text, len, "-----BEGIN CERTIFICATE", 22) == NULL)
		return 0;
	if (pki_pem_certs((const uint8_t *)text, len, &certs) < 0)
		return pki_refuse(why, why_size, -EBADMSG, "a certificate in it is broken");
	p->cert = sk_X509_shift(certs);
	if (sk_X509_num(certs) > 0)
		p->chain = certs;
	else
		sk_X509_free(certs);
	return 0;
}

int pki_ident_parse(struct pki_ident *id, const struct pki_kek *kek, const char *text, size_t len, pki_token_cb *token,
		    void *ctx, bool *ret_absent, char *why, size_t why_size)
{
	static const char *const names[] = {"[current]\n", "[previous]\n", "[next]\n"};
	struct pki_pair *const pairs[] = {&id->cur, &id->prev, &id->next};
	const char *end = text + len, *at[3] = {NULL}, *last = text;
	int rc = 0;

	*ret_absent = false;
	if (len == 0 || text[0] != '[')
		return parse_pair(&id->cur, kek, text, len, token, ctx, ret_absent, why, why_size);
	/* In this order, each at the start of a line; base64 has no '['. */
	for (int i = 0; i < 3; i++) {
		const char *p = memmem(last, (size_t)(end - last), names[i], strlen(names[i]));

		if (p == NULL)
			continue;
		if (p != text && p[-1] != '\n')
			return pki_refuse(why, why_size, -EBADMSG, "not a file of an identity");
		at[i] = last = p;
	}
	if (at[0] != text)
		return pki_refuse(why, why_size, -EBADMSG, "not a file of an identity");
	for (int i = 0; i < 3 && rc == 0; i++) {
		const char *from, *to = end;

		if (at[i] == NULL)
			continue;
		for (int k = 2; k > i; k--)
			if (at[k] != NULL)
				to = at[k];
		from = at[i] + strlen(names[i]);
		rc = parse_pair(pairs[i], kek, from, (size_t)(to - from), token, ctx, ret_absent, why, why_size);
		if (rc == 0 && i < 2 && pairs[i]->cert == NULL)
			rc = pki_refuse(why, why_size, -EBADMSG, "a key without its certificate");
	}
	if (rc < 0)
		pki_ident_fini(id);
	return rc;
}

int pki_pair_check(const struct pki_pair *p, char *why, size_t why_size)
{
	X509 *cert = p->cert;
	int n = p->chain != NULL ? sk_X509_num(p->chain) : 0;

	if (p->key != NULL && X509_check_private_key(cert, p->key) != 1)
		return pki_refuse(why, why_size, -EACCES, "the certificate does not belong to the private key");
	for (int i = 0; i < n; i++) {
		X509 *issuer = sk_X509_value(p->chain, i);

		if (X509_verify(cert, X509_get0_pubkey(issuer)) != 1)
			return pki_refuse(why, why_size, -EACCES, "not issued by the next certificate of its chain");
		cert = issuer;
	}
	if (n == 0 && X509_verify(cert, X509_get0_pubkey(cert)) != 1)
		return pki_refuse(why, why_size, -EACCES, "not issued by itself, and its issuer's certificate is not there");
	return 0;
}
