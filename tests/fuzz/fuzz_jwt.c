/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bearer tokens. By the first byte the input is a token, a key file, or the claims or header of a token that is signed here, so
 * that what comes behind the signature is reached too.
 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "jwt_vectors.h"
#include "provision/jwt.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                                           \
	do {                                                                                                                 \
		if (!(x))                                                                                                    \
			abort();                                                                                             \
	} while (0)

static const struct cp_jwt_want want = {"https://issuer.example", "ravelin", "tftp", "SEP001122334455", JWT_NOW};
static EVP_PKEY *key;
static struct cp_jwt_keys *keys, *vector_keys;

static struct cp_jwt_keys *parse(const char *text, size_t len)
{
	struct cp_jwt_keys *k = NULL;
	char err[128];

	REQUIRE(cp_jwt_keys_parse((const uint8_t *)text, len, &k, err, sizeof(err)) == 0);
	return k;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;
	long len;

	(void)argc;
	(void)argv;
	(void)jwt_good;
	(void)jwt_bad;
	(void)jwt_jwks_private;
	(void)jwt_pem;
	key = EVP_EC_gen("P-256");
	REQUIRE(key != NULL && PEM_write_bio_PUBKEY(bio, key) == 1);
	len = BIO_get_mem_data(bio, &pem);
	keys = parse(pem, (size_t)len);
	vector_keys = parse(jwt_jwks, strlen(jwt_jwks));
	BIO_free(bio);
	return 0;
}

static size_t base64(const uint8_t *in, size_t len, char *out)
{
	size_t n = (size_t)EVP_EncodeBlock((unsigned char *)out, in, (int)len);

	while (n > 0 && out[n - 1] == '=')
		n--;
	for (size_t i = 0; i < n; i++)
		out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
	return n;
}

static void signed_token(const uint8_t *head, size_t head_len, const uint8_t *claims, size_t claims_len)
{
	static char token[16384];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[80], raw[64] = {0};
	const uint8_t *p = der;
	size_t n = base64(head, head_len, token), der_len = sizeof(der);
	const char *why = NULL;
	ECDSA_SIG *rs;

	token[n++] = '.';
	n += base64(claims, claims_len, token + n);
	REQUIRE(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		EVP_DigestSign(ctx, der, &der_len, (uint8_t *)token, n) == 1);
	rs = d2i_ECDSA_SIG(NULL, &p, (long)der_len);
	REQUIRE(rs != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(rs), raw, 32) == 32 &&
		BN_bn2binpad(ECDSA_SIG_get0_s(rs), raw + 32, 32) == 32);
	token[n++] = '.';
	n += base64(raw, 64, token + n);
	if (cp_jwt_check(keys, token, n, &want, &why) == 0) /* who passes says who and what, in as many words */
		REQUIRE(memmem(claims, claims_len, "SEP", 3) != NULL || memmem(claims, claims_len, "\\u", 2) != NULL);
	else
		REQUIRE(why != NULL && strpbrk(why, "\"\r\n") == NULL);
	ECDSA_SIG_free(rs);
	EVP_MD_CTX_free(ctx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char es256[] = "{\"alg\":\"ES256\"}", good[] = "{\"iss\":\"https://issuer.example\"}";
	struct cp_jwt_keys *k = NULL;
	const char *why = NULL;
	char err[128] = "";
	uint8_t *copy;

	if (size < 1 || size > 5000)
		return 0;
	copy = malloc(size);
	memcpy(copy, data + 1, size - 1);
	size--;
	switch (data[0] % 4) {
	case 0:
		if (cp_jwt_check(vector_keys, (char *)copy, size, &want, &why) != 0)
			REQUIRE(why != NULL);
		break;
	case 1:
		if (cp_jwt_keys_parse(copy, size, &k, err, sizeof(err)) == 0)
			REQUIRE(cp_jwt_keys_count(k) > 0 && cp_jwt_keys_count(k) <= CP_JWT_KEYS_MAX);
		else
			REQUIRE(err[0] != '\0');
		cp_jwt_keys_put(k);
		break;
	case 2:
		signed_token((const uint8_t *)es256, strlen(es256), copy, size);
		break;
	default:
		signed_token(copy, size, (const uint8_t *)good, strlen(good));
		break;
	}
	free(copy);
	return 0;
}
