/* SPDX-License-Identifier: BSD-3-Clause */
/* What is asked of the signer for others: secrets sealed and opened, identities. */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app.h"
#include "appint.h"
#include "config.h"
#include "log.h"
#include "signerc/signerc.h"
#include "store/store.h"
#include "x509.h"

#define SIGNER_TIMEOUT_MS 5000

volatile sig_atomic_t cp_app_stop_early;

/* A device's secret, for its record: where the admin service lets it block. */
int cp_app_seal(void *ctx, const uint8_t *clear, size_t len, const char *aad, struct cp_buf *ret)
{
	struct cp_app *app = ctx;
	uint8_t *sealed = NULL;
	size_t sealed_len = 0;
	int rc = cp_signer_seal(app->signer, clear, len, aad, strlen(aad), &sealed, &sealed_len);

	if (rc < 0)
		return rc;
	ret->data = malloc(sealed_len);
	if (ret->data != NULL) {
		memcpy(ret->data, sealed, sealed_len);
		ret->len = sealed_len;
	}
	OPENSSL_free(sealed);
	return ret->data != NULL ? 0 : -ENOMEM;
}

static bool signer_away(int rc)
{
	return rc == -ETIMEDOUT || rc == -EPIPE || rc == -ECONNRESET || rc == -ECONNREFUSED || rc == -ENOENT || rc == -EAGAIN;
}

/* One try; it waits for the signer's answer. */
int cp_app_unseal_once(void *ctx, const uint8_t *sealed, size_t len, const char *aad, struct cp_buf *ret)
{
	struct cp_app *app = ctx;
	uint8_t *plain = NULL;
	size_t plain_len = 0;
	int rc = cp_signer_unseal(app->signer, sealed, len, aad, strlen(aad), &plain, &plain_len);

	if (rc < 0)
		return rc;
	ret->data = malloc(plain_len);
	if (ret->data != NULL) {
		memcpy(ret->data, plain, plain_len);
		ret->len = plain_len;
	}
	OPENSSL_clear_free(plain, plain_len);
	return ret->data != NULL ? 0 : -ENOMEM;
}

/*
 * Keys of stored SAs, at start and never on the running loop. A signer that is busy with a long answer to somebody else, or that
 * starts anew, is waited for as cp_app_signer_wait() does: an SA that is living in the dataplane must not be given up for it.
 */
int cp_app_unseal(void *ctx, const uint8_t *sealed, size_t len, const char *aad, struct cp_buf *ret)
{
	struct cp_app *app = ctx;

	for (unsigned tries = 0;; tries++) {
		int rc = cp_app_unseal_once(ctx, sealed, len, aad, ret);

		if (!signer_away(rc) || cp_app_stop_early)
			return rc;
		if (tries % 50 == 0)
			cfg_log(CFG_LOG_NOTICE, "waiting-for-signer", "reason=%s sa=%s", cfg_q(cp_signer_error(app->signer)), cfg_q(aad));
		nanosleep(&(struct timespec){0, 100000000}, NULL);
	}
}

/* What charon shows gateways, for threads that may wait. */
int cp_app_ike_identity(void *ctx, EVP_PKEY **ret_key, X509 **ret_cert, STACK_OF(X509) **ret_chain)
{
	struct cp_app *app = ctx;

	return cp_signer_server_identity(app->signer, "IPsec", ret_key, ret_cert, ret_chain);
}

static char *bio_text(BIO *bio)
{
	char *data, *text;
	long len = BIO_get_mem_data(bio, &data);

	text = len > 0 ? malloc((size_t)len + 1) : NULL;
	if (text != NULL) {
		memcpy(text, data, (size_t)len);
		text[len] = '\0';
	}
	return text;
}

/* What a client needs to verify any of our servers, and the issuer of phones' certificates. */
static int ca_bundle(struct cp_app *app, BIO *out)
{
	struct cp_signer_ident *ids = NULL;
	unsigned cnt = 0;
	int rc = cp_signer_idents(app->signer, &ids, &cnt);

	for (unsigned i = 0; rc == 0 && i < cnt; i++) {
		int n = ids[i].chain != NULL ? sk_X509_num(ids[i].chain) : 0;
		X509 *root = n > 0 ? sk_X509_value(ids[i].chain, n - 1) : ids[i].cert;

		if ((ids[i].server || strcmp(ids[i].name, "CAPF") == 0) && PEM_write_bio_X509(out, root) != 1)
			rc = -ENOMEM;
	}
	cp_signer_idents_free(ids, cnt);
	return rc;
}

/* For tests and simulators: runs where the admin service lets it block. */
int cp_app_cert_issue(void *ctx, const char *device, char **ret_key_pem, char **ret_cert_pem, char **ret_ca_pem)
{
	struct cp_app *app = ctx;
	EVP_PKEY *key = NULL;
	X509 *cert = NULL, *capf = NULL;
	BIO *k = BIO_new(BIO_s_secmem()), *c = BIO_new(BIO_s_mem()), *a = BIO_new(BIO_s_mem());
	int rc = cp_signer_test_identity(app->signer, device, PKI_RSA_2048, &key, &cert, &capf);

	if (rc == 0 && a != NULL)
		rc = ca_bundle(app, a);
	if (rc == 0 && (k == NULL || c == NULL || a == NULL ||
			PEM_write_bio_PKCS8PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) != 1 ||
			PEM_write_bio_X509(c, cert) != 1))
		rc = -ENOMEM;
	if (rc == 0) {
		*ret_key_pem = bio_text(k);
		*ret_cert_pem = bio_text(c);
		*ret_ca_pem = bio_text(a);
		if (*ret_key_pem == NULL || *ret_cert_pem == NULL || *ret_ca_pem == NULL) {
			if (*ret_key_pem != NULL)
				OPENSSL_cleanse(*ret_key_pem, strlen(*ret_key_pem));
			free(*ret_key_pem);
			free(*ret_cert_pem);
			free(*ret_ca_pem);
			rc = -ENOMEM;
		}
	}
	BIO_free(k);
	BIO_free(c);
	BIO_free(a);
	EVP_PKEY_free(key);
	X509_free(cert);
	X509_free(capf);
	return rc == -ENOENT || rc == -ECONNREFUSED || rc == -EPIPE || rc == -ECONNRESET ? -ENOTCONN : rc;
}

/* The signer holds what this process cannot start without: wait for it, saying so now and then. */
int cp_app_signer_wait(struct cp_app *app)
{
	for (unsigned tries = 0; !cp_app_stop_early; tries++) {
		int rc = cp_signer_open(app->cfg->paths.run, SIGNER_TIMEOUT_MS, &app->signer);

		if (rc == 0)
			return 0;
		if (tries % 50 == 0)
			cfg_log(CFG_LOG_NOTICE, "waiting-for-signer", "reason=%s", cfg_q(strerror(-rc)));
		nanosleep(&(struct timespec){0, 100000000}, NULL);
	}
	return -EINTR;
}
