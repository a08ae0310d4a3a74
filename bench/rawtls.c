/* SPDX-License-Identifier: BSD-3-Clause */
#include "rawtls.h"

#include <openssl/x509.h>

#include "bench.h"

SSL_CTX *bench_raw_server(EVP_PKEY *key, X509 *cert, unsigned int tickets)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL || SSL_CTX_use_certificate(ctx, cert) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, tickets);
	if (tickets == 0)
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	/* or OpenSSL would look for the issuers of its own certificate, and verify them, in each handshake */
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
	return ctx;
}

int bench_raw_handshake(SSL_CTX *sctx, SSL_CTX *cctx, bool mutual, double *ret_s)
{
	return bench_raw_once(sctx, cctx, NULL, mutual, ret_s);
}

static int shake(SSL *s, SSL *c, double *ret_s)
{
	int rs = 0, rc = 0;

	for (int i = 0; i < 10 && (rs != 1 || rc != 1); i++) {
		double t;

		if (rc != 1)
			rc = SSL_connect(c);
		t = bench_thread_s();
		if (rs != 1)
			rs = SSL_accept(s);
		*ret_s += bench_thread_s() - t;
	}
	return rs == 1 && rc == 1 ? 0 : -1;
}

int bench_raw_session(SSL_CTX *sctx, SSL_CTX *cctx, SSL_SESSION **ret_session)
{
	SSL *s = SSL_new(sctx), *c = SSL_new(cctx);
	BIO *a = NULL, *b = NULL;
	double t = 0;
	char byte;
	int rc = -1;

	if (s == NULL || c == NULL || BIO_new_bio_pair(&a, 65536, &b, 65536) != 1)
		goto out;
	SSL_set_bio(s, a, a);
	SSL_set_bio(c, b, b);
	if (shake(s, c, &t) < 0 || SSL_write(s, "x", 1) != 1 || SSL_read(c, &byte, 1) != 1) /* the ticket comes before it */
		goto out;
	SSL_set_shutdown(c, SSL_SENT_SHUTDOWN);
	*ret_session = SSL_get1_session(c);
	rc = *ret_session != NULL ? 0 : -1;
out:
	SSL_free(s);
	SSL_free(c);
	return rc;
}

int bench_raw_once(SSL_CTX *sctx, SSL_CTX *cctx, SSL_SESSION *session, bool mutual, double *ret_s)
{
	SSL *s = SSL_new(sctx), *c = SSL_new(cctx);
	BIO *a = NULL, *b = NULL;
	int ok = -1;

	if (s == NULL || c == NULL || BIO_new_bio_pair(&a, 65536, &b, 65536) != 1)
		goto out;
	SSL_set_bio(s, a, a);
	SSL_set_bio(c, b, b);
	if (session != NULL && SSL_set_session(c, session) != 1)
		goto out;
	if (shake(s, c, ret_s) == 0 && SSL_session_reused(s) == (session != NULL) && (!mutual || SSL_get0_peer_certificate(s) != NULL))
		ok = 0;
	SSL_set_shutdown(c, SSL_SENT_SHUTDOWN);
out:
	SSL_free(s);
	SSL_free(c);
	return ok;
}

static X509 *self_signed(EVP_PKEY *key)
{
	X509 *x = X509_new();

	if (x == NULL || X509_set_version(x, 2) != 1 || ASN1_INTEGER_set(X509_get_serialNumber(x), 1) != 1 ||
	    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"raw", -1, -1, 0) != 1 ||
	    X509_set_issuer_name(x, X509_get_subject_name(x)) != 1 || X509_gmtime_adj(X509_getm_notBefore(x), -3600) == NULL ||
	    X509_gmtime_adj(X509_getm_notAfter(x), 86400) == NULL || X509_set_pubkey(x, key) != 1 || X509_sign(x, key, EVP_sha256()) <= 0) {
		X509_free(x);
		return NULL;
	}
	return x;
}

double bench_raw_per_s(EVP_PKEY *key, unsigned int tickets, unsigned int cnt)
{
	X509 *cert = self_signed(key);
	SSL_CTX *sctx = cert != NULL ? bench_raw_server(key, cert, tickets) : NULL, *cctx = SSL_CTX_new(TLS_client_method());
	double s = 0, first = 0;
	int rc = sctx != NULL && cctx != NULL ? 0 : -1;

	for (unsigned int i = 0; i < 10 && rc == 0; i++)
		rc = bench_raw_handshake(sctx, cctx, false, &first);
	for (unsigned int i = 0; i < cnt && rc == 0; i++)
		rc = bench_raw_handshake(sctx, cctx, false, &s);
	SSL_CTX_free(sctx);
	SSL_CTX_free(cctx);
	X509_free(cert);
	return rc == 0 && s > 0 ? cnt / s : -1;
}
