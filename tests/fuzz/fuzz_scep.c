/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers of a SCEP server (pki/scep.h). The first byte chooses: 'a' an answer to a message, 'g' GetCACert, 'c' GetCACaps. Keys are made anew:
 * no input has a signature that is right, so what is behind it is test_scep's.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>

#include "scep.h"
#include "x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static EVP_PKEY *key;
static X509 *cert, *ca_cert;
static struct pki_scep_ca ca;

static void setup(void)
{
	static const struct pki_scep_ca none;
	uint8_t pin[32], *der = NULL;
	char why[200];
	int len;

	if (ca.ca != NULL)
		return;
	ca = none;
	key = EVP_RSA_gen(2048);
	if (key == NULL || pki_own_issue(NULL, key, PKI_USE_RA, "RA", "x", NULL, 0, 1700000000, 36500, &cert) < 0 ||
	    pki_ca_issue(key, "CA", "x", 1700000000, 36500, &ca_cert) < 0 || pki_fingerprint(ca_cert, pin) < 0 || (len = i2d_X509(ca_cert, &der)) <= 0 ||
	    pki_scep_ca_parse(der, (size_t)len, pin, NULL, 0, 1700000001, &ca, why, sizeof(why)) < 0)
		abort();
	OPENSSL_free(der);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t nonce[PKI_SCEP_NONCE];
	const struct pki_scep_msg sent = {.old = true, .tid = "1", .nonce = nonce};
	struct pki_scep_answer a;
	struct pki_scep_ca got;
	uint8_t pin[32] = {0};
	char why[200] = "";

	setup();
	if (size == 0)
		return 0;
	if (data[0] == 'c') {
		(void)pki_scep_caps(data + 1, size - 1);
	} else if (data[0] == 'g') {
		X509 *one = NULL;

		if (pki_cert_parse(data + 1, size - 1, &one) == 0) {
			pki_fingerprint(one, pin);
			X509_free(one);
		}
		if (pki_scep_ca_parse(data + 1, size - 1, pin, NULL, 0, 1700000001, &got, why, sizeof(why)) == 0)
			pki_scep_ca_fini(&got);
		else if (why[0] == '\0')
			abort();
	} else {
		if (pki_scep_open(&ca, key, cert, &sent, NULL, data + 1, size - 1, &a, why, sizeof(why)) == 0)
			pki_scep_answer_fini(&a);
		else if (why[0] == '\0')
			abort();
	}
	return 0;
}
