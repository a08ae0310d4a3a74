/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "enrol/capfauth.h"
#include "x509.h"

bool cp_capf_string_ok(const struct cp_capf_msg *m, const char *string)
{
	size_t want = strlen(string);
	uint8_t given[CP_CAPF_STRING_MAX + 1] = {0}, ours[CP_CAPF_STRING_MAX + 1] = {0};
	bool same;

	if ((m->have & CP_CAPF_BIT(CP_CAPF_PASSWORD)) == 0 || m->password.len >= sizeof(given) || want >= sizeof(ours))
		return false;
	memcpy(given, m->password.p, m->password.len);
	memcpy(ours, string, want);
	same = (CRYPTO_memcmp(given, ours, sizeof(ours)) == 0) & (m->password.len == want);
	OPENSSL_cleanse(given, sizeof(given));
	OPENSSL_cleanse(ours, sizeof(ours));
	return same;
}

/*
 * The signature of one or two pieces of data. RSA: PKCS#1 type 1 around the bare digest, without the DigestInfo that everybody else
 * has; OpenSSL does that where no digest is set. EC: ECDSA over the digest.
 */
static bool signature_ok(EVP_PKEY *key, const EVP_MD *md, struct cp_capf_bytes a, struct cp_capf_bytes b, struct cp_capf_bytes sig)
{
	EVP_MD_CTX *h = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	bool ok;

	ok = h != NULL && ctx != NULL && sig.len > 0 && EVP_DigestInit_ex(h, md, NULL) == 1 &&
	     EVP_DigestUpdate(h, a.p, a.len) == 1 && EVP_DigestUpdate(h, b.p, b.len) == 1 &&
	     EVP_DigestFinal_ex(h, digest, &len) == 1 && EVP_PKEY_verify_init(ctx) == 1 &&
	     (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1) &&
	     EVP_PKEY_verify(ctx, sig.p, sig.len, digest, len) == 1;
	EVP_MD_CTX_free(h);
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

static bool key_ok(EVP_PKEY *key)
{
	return key != NULL && (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA || EVP_PKEY_get_base_id(key) == EVP_PKEY_EC);
}

static bool names(X509 *cert, const char *device)
{
	char name[PKI_DEVICE_MAX], want[PKI_DEVICE_MAX];

	for (unsigned i = 0; i < sizeof(want); i++)
		want[i] = (char)toupper((unsigned char)device[i]);
	return pki_name_device(cert, name) == 0 && strcmp(name, want) == 0;
}

/* A certificate that this device may show. */
static int believe(struct cp_capf_bytes der, const char *device, const struct cp_capf_trust *trust, int64_t now, X509 **ret,
		   enum cp_capf_proof *ret_kind, char *why, size_t size)
{
	int err = X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, mic_err;
	X509 *cert = NULL;

	if (pki_cert_parse(der.p, der.len, &cert) != 0) {
		snprintf(why, size, "what it shows is no certificate");
		return -EBADMSG;
	}
	if (!key_ok(X509_get0_pubkey(cert))) {
		X509_free(cert);
		snprintf(why, size, "its certificate's key is neither RSA nor EC");
		return -EBADMSG;
	}
	if (!names(cert, device)) {
		X509_free(cert);
		snprintf(why, size, "its certificate names another device");
		return -EACCES;
	}
	*ret_kind = CP_CAPF_PROOF_LSC;
	if (trust->lsc == NULL || pki_phone_verify(trust->lsc, cert, NULL, now, &err) != 0) {
		*ret_kind = CP_CAPF_PROOF_MIC;
		mic_err = err;
		if (trust->mic == NULL || pki_phone_verify(trust->mic, cert, NULL, now, &mic_err) != 0) {
			/* Of two refusals the one that is not "nobody we know issued it" says more. */
			const char *word = pki_verify_word(err);

			if (trust->mic != NULL && strcmp(word, "untrusted") == 0)
				word = pki_verify_word(mic_err);
			snprintf(why, size, "its certificate is not believed: %s", word);
			X509_free(cert);
			return -EACCES;
		}
	}
	if (trust->refused != NULL && trust->refused(trust->ctx, cert)) {
		snprintf(why, size, "its certificate was revoked");
		X509_free(cert);
		return -EACCES;
	}
	*ret = cert;
	return 0;
}

static int sudi_check(const struct cp_capf_msg *m, X509 *cert, const struct cp_capf_trust *trust, int64_t now, char *why, size_t size)
{
	/* The session id as a little-endian host has it: the original server signs and checks its own memory. */
	const uint8_t id[4] = {(uint8_t)m->session, (uint8_t)(m->session >> 8), (uint8_t)(m->session >> 16), (uint8_t)(m->session >> 24)};
	const struct cp_capf_bytes session = {id, sizeof(id)};
	enum cp_capf_proof kind;
	struct cp_capf_sudi s;
	X509 *own = NULL;
	int rc;

	if (cp_capf_sudi_parse(m->sudi, &s) != 0) {
		snprintf(why, size, "its SUDI data is malformed");
		return -EBADMSG;
	}
	if (s.cert.len == m->cert.len && memcmp(s.cert.p, m->cert.p, s.cert.len) == 0) {
		X509_up_ref(cert);
		own = cert;
	} else if ((rc = believe(s.cert, m->device, trust, now, &own, &kind, why, size)) != 0) {
		return rc;
	}
	rc = signature_ok(X509_get0_pubkey(own), EVP_sha512(), session, s.cert, s.sha512) &&
			     (s.sha1.p == NULL || signature_ok(X509_get0_pubkey(own), EVP_sha1(), session, s.cert, s.sha1))
		     ? 0
		     : -EACCES;
	if (rc != 0)
		snprintf(why, size, "it has not signed this session");
	X509_free(own);
	return rc;
}

int cp_capf_proof_check(const struct cp_capf_msg *m, const struct cp_capf_trust *trust, int64_t now, X509 **ret_cert,
			enum cp_capf_proof *ret_kind, char *why, size_t why_size)
{
	enum cp_capf_proof kind;
	X509 *cert = NULL;
	EVP_PKEY *key;
	int rc;

	if ((m->have & CP_CAPF_BIT(CP_CAPF_DEVICE)) == 0 || (m->have & CP_CAPF_BIT(CP_CAPF_CERT)) == 0) {
		snprintf(why, why_size, "it shows no certificate");
		return -ENODATA;
	}
	if (m->sha2.p != NULL && m->sha2_hash != CP_CAPF_SHA512) {
		snprintf(why, why_size, "its signature's hash %u is not known", m->sha2_hash);
		return -EBADMSG;
	}
	rc = believe(m->cert, m->device, trust, now, &cert, &kind, why, why_size);
	if (rc != 0)
		return rc;
	key = X509_get0_pubkey(cert);
	rc = -EACCES;
	if ((m->have & CP_CAPF_BIT(CP_CAPF_SIGNED_DATA)) == 0 || (m->sha2.p == NULL && !trust->old_phones))
		snprintf(why, why_size, "it shows a certificate and has not signed");
	else if (!signature_ok(key, EVP_sha1(), m->device_raw, m->cert, m->signed_data) ||
		 (m->sha2.p != NULL && !signature_ok(key, EVP_sha512(), m->device_raw, m->cert, m->sha2)))
		snprintf(why, why_size, "its signature does not fit its certificate");
	else
		rc = (m->have & CP_CAPF_BIT(CP_CAPF_SUDI)) != 0 ? sudi_check(m, cert, trust, now, why, why_size) : 0;
	if (rc != 0) {
		X509_free(cert);
		return rc;
	}
	*ret_cert = cert;
	*ret_kind = kind;
	return 0;
}
