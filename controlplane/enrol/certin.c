/* SPDX-License-Identifier: BSD-3-Clause */
#include "enrol/certin.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "x509.h"

static const char begin[] = "-----BEGIN ";
static const char what[] = "CERTIFICATE-----";

static const uint8_t *find(const uint8_t *p, const uint8_t *end)
{
	return memmem(p, (size_t)(end - p), begin, sizeof(begin) - 1);
}

/* Blocks of PEM that begin a certificate, at most 'max' + 1. */
static unsigned count(const uint8_t *p, const uint8_t *end, unsigned max)
{
	unsigned n = 0;

	while (n <= max && (p = find(p, end)) != NULL) {
		p += sizeof(begin) - 1;
		n += (size_t)(end - p) >= sizeof(what) - 1 && memcmp(p, what, sizeof(what) - 1) == 0;
	}
	return n;
}

static X509 *read_pem(const uint8_t *p, size_t len)
{
	BIO *bio = len <= PKI_DER_MAX * 2 ? BIO_new_mem_buf(p, (int)len) : NULL;
	X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, pki_no_password, NULL) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	if (cert != NULL && X509_get0_pubkey(cert) == NULL) {
		X509_free(cert);
		cert = NULL;
	}
	return cert;
}

int cp_certs_in(const uint8_t *data, size_t len, unsigned max, void (*fn)(void *ctx, unsigned at, X509 *cert), void *ctx)
{
	const uint8_t *p = data, *end = data + len, *next;
	unsigned n;
	X509 *cert;

	if (pki_cert_parse(data, len, &cert) == 0) {
		fn(ctx, 0, cert);
		X509_free(cert);
		return 1;
	}
	n = count(p, end, max);
	if (n == 0)
		return -EBADMSG;
	if (n > max)
		return -E2BIG;
	n = 0;
	for (p = find(p, end); p != NULL; p = next) {
		next = find(p + sizeof(begin) - 1, end);
		if ((size_t)(end - p) < sizeof(begin) + sizeof(what) - 2 || memcmp(p + sizeof(begin) - 1, what, sizeof(what) - 1) != 0)
			continue;
		cert = read_pem(p, (size_t)((next != NULL ? next : end) - p));
		fn(ctx, n++, cert);
		X509_free(cert);
	}
	return (int)n;
}
