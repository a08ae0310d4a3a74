/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Entries of a revocation list as the signer is asked with them: what is made of them is a list that says just that, signed; anything
 * else is refused, and says nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "crl.h"
#include "fuzz_ca.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each entry of 'data', read without pki/wire.h, is in the list with its time and reason; how many there are. */
static int entries(X509_CRL *crl, const uint8_t *data, size_t size)
{
	size_t at = 0;
	int n = 0;

	while (at < size) {
		size_t len = data[at];
		ASN1_INTEGER *serial;
		X509_REVOKED *r = NULL;
		ASN1_ENUMERATED *why;
		ASN1_TIME *when;
		BIGNUM *bn;
		uint64_t t = 0;
		unsigned reason;

		REQUIRE(len >= 1 && len <= PKI_CRL_SERIAL_MAX && size - at >= 1 + len + 9);
		bn = BN_bin2bn(data + at + 1, (int)len, NULL);
		serial = BN_to_ASN1_INTEGER(bn, NULL);
		for (unsigned i = 0; i < 8; i++)
			t = t << 8 | data[at + 1 + len + i];
		reason = data[at + 1 + len + 8];
		REQUIRE(X509_CRL_get0_by_serial(crl, &r, serial) != 0 && r != NULL);
		when = ASN1_TIME_set(NULL, (time_t)t);
		REQUIRE(when != NULL && ASN1_TIME_compare(when, X509_REVOKED_get0_revocationDate(r)) == 0);
		why = X509_REVOKED_get_ext_d2i(r, NID_crl_reason, NULL, NULL);
		REQUIRE((why != NULL ? (unsigned)ASN1_ENUMERATED_get(why) : 0) == reason);
		ASN1_ENUMERATED_free(why);
		ASN1_TIME_free(when);
		ASN1_INTEGER_free(serial);
		BN_free(bn);
		at += 1 + len + 9;
		n++;
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned runs;
	const struct pki_ca *ca = issuer();
	STACK_OF(X509_REVOKED) *all;
	const unsigned char *p;
	uint8_t *der = NULL;
	X509_CRL *crl;
	size_t len = 0;
	int rc = pki_crl_issue(ca, data, size, 7, NOW, 86400, &der, &len);

	if (rc < 0) {
		REQUIRE(der == NULL && len == 0 && (rc == -EBADMSG || rc == -EMSGSIZE));
		return 0;
	}
	p = der;
	crl = d2i_X509_CRL(NULL, &p, (long)len);
	REQUIRE(crl != NULL && p == der + len);
	all = X509_CRL_get_REVOKED(crl);
	REQUIRE(entries(crl, data, size) == (all != NULL ? sk_X509_REVOKED_num(all) : 0));
	/* a signature's check takes four times the rest */
	if (runs++ % 16 == 0)
		REQUIRE(X509_CRL_verify(crl, X509_get0_pubkey(ca->cert)) == 1);
	X509_CRL_free(crl);
	OPENSSL_free(der);
	ERR_clear_error();
	return 0;
}
