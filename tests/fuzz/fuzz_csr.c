/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a phone's certificate is issued for: a PKCS#10 request, or a public key as CAPF's phones send it. What is not refused becomes a
 * certificate of this very key for this very device.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "fuzz_ca.h"
#include "spki.h"
#include "x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEVICE "SEP0A1B2C3D4E5F"

static void issue(EVP_PKEY *pub, bool old)
{
	char name[PKI_DEVICE_MAX] = "";
	X509 *cert = NULL, *again = NULL;
	uint8_t *der = NULL;
	int n, rc = pki_lsc_issue(issuer(), DEVICE, pub, old, NOW, 365, &cert);

	REQUIRE((rc == 0) == pki_lsc_key_acceptable(pub, old) && (rc == 0) == (cert != NULL));
	if (rc < 0) {
		REQUIRE(rc == -EACCES);
		return;
	}
	n = i2d_X509(cert, &der);
	REQUIRE(n > 0 && pki_cert_parse(der, (size_t)n, &again) == 0);
	REQUIRE(pki_name_device(again, name) == 0 && strcmp(name, DEVICE) == 0);
	REQUIRE(EVP_PKEY_eq(X509_get0_pubkey(again), pub) == 1 && X509_check_ca(again) == 0);
	OPENSSL_free(der);
	X509_free(cert);
	X509_free(again);
}

/* As the signer does it: by the key's bytes. It must judge as OpenSSL's reading of them does. */
static void issue_bytes(const uint8_t *data, size_t size, EVP_PKEY *pub, bool old)
{
	char name[PKI_DEVICE_MAX] = "";
	struct pki_spki key;
	X509 *cert = NULL;
	uint8_t *der = NULL;
	size_t len = 0;
	int rc;

	if (pki_spki_parse(data, size, &key) < 0)
		return;
	REQUIRE(pub != NULL); /* what we take for a key is one */
	REQUIRE(pki_lsc_spki_acceptable(&key, old) == pki_lsc_key_acceptable(pub, old));
	rc = pki_lsc_issue_spki(issuer(), DEVICE, &key, old, NOW, 365, &der, &len);
	REQUIRE((rc == 0) == pki_lsc_spki_acceptable(&key, old) && (rc == 0 || rc == -EACCES));
	if (rc < 0)
		return;
	REQUIRE(pki_cert_parse(der, len, &cert) == 0);
	REQUIRE(pki_name_device(cert, name) == 0 && strcmp(name, DEVICE) == 0 && EVP_PKEY_eq(X509_get0_pubkey(cert), pub) == 1);
	X509_free(cert);
	OPENSSL_free(der);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const unsigned char *p = data;
	EVP_PKEY *pub = NULL;

	if (pki_csr_pubkey(data, size, &pub) == 0) {
		issue(pub, false);
		EVP_PKEY_free(pub);
		pub = NULL;
	}
	if (size > 0 && size <= PKI_DER_MAX)
		pub = d2i_PUBKEY(NULL, &p, (long)size);
	if (pub != NULL && p != data + size) {
		EVP_PKEY_free(pub);
		pub = NULL;
	}
	issue_bytes(data, size, pub, (size & 1) != 0);
	if (pub != NULL) {
		/* what is acceptable among new keys is among old ones too */
		REQUIRE(!pki_lsc_key_acceptable(pub, false) || pki_lsc_key_acceptable(pub, true));
		issue(pub, (size & 1) != 0);
	}
	EVP_PKEY_free(pub);
	ERR_clear_error();
	return 0;
}
