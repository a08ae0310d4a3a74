/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Certificates, requests, public keys and PEM bundles from outside: device names, verification, words. What our own readers of DER
 * accept OpenSSL reads too, and reads the same.
 */
#include <stdlib.h>
#include <string.h>

#include "certder.h"
#include "spki.h"
#include "x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void own_readers(const uint8_t *data, size_t size)
{
	const unsigned char *p = data;
	struct pki_certder c;
	struct pki_spki k;

	if (pki_spki_parse(data, size, &k) == 0) {
		EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)size);

		if (key == NULL || p != data + size || (unsigned)EVP_PKEY_get_bits(key) != k.bits)
			abort();
		EVP_PKEY_free(key);
	}
	p = data;
	if (pki_certder_parse(data, size, &c) == 0) {
		X509 *cert = d2i_X509(NULL, &p, (long)size);

		/* names, algorithms and extensions are not looked at, so that it may be none */
		if (cert != NULL && (ASN1_TIME_cmp_time_t(X509_get0_notAfter(cert), (time_t)c.not_after) != 0 ||
				     ASN1_STRING_length(X509_get0_serialNumber(cert)) != (int)c.serial_len ||
				     memcmp(ASN1_STRING_get0_data(X509_get0_serialNumber(cert)), c.serial, c.serial_len) != 0))
			abort();
		X509_free(cert);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static X509_STORE *store;
	STACK_OF(X509) *certs = NULL;
	char name[PKI_DEVICE_MAX + 1] = "";
	EVP_PKEY *pub = NULL;
	X509 *cert = NULL;
	uint8_t fp[32];
	int error = 0;

	if (store == NULL) {
		STACK_OF(X509) *none = sk_X509_new_null();

		if (pki_phone_store(none, true, &store) < 0)
			abort();
		sk_X509_free(none);
	}
	own_readers(data, size);
	if (pki_cert_parse(data, size, &cert) == 0) {
		if (pki_name_device(cert, name) == 0 && !pki_device_valid(name))
			abort();
		if (pki_phone_verify(store, cert, NULL, 1800000000, &error) == 0)
			abort(); /* nothing is trusted here */
		if (pki_verify_word(error)[0] == '\0' || strcmp(pki_verify_word(error), "ok") == 0)
			abort();
		if (pki_fingerprint(cert, fp) < 0)
			abort();
		(void)pki_key_acceptable(X509_get0_pubkey(cert));
		X509_free(cert);
	}
	if (pki_csr_pubkey(data, size, &pub) == 0) {
		if (!pki_key_acceptable(pub))
			abort();
		EVP_PKEY_free(pub);
	}
	if (pki_pem_certs(data, size, &certs) == 0) {
		if (sk_X509_num(certs) < 1)
			abort();
		sk_X509_pop_free(certs, X509_free);
	}
	return 0;
}
