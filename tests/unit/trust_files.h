/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of tests/vectors/trust, with keys, certificates, and what their manifests say. For one suite each. */
#ifndef TESTS_TRUST_FILES_H
#define TESTS_TRUST_FILES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "sgn.h"
#include "trustlist.h"

static const char *const trust_sets[] = {"set-a-sha1", "set-b-sha512", "set-c-sha256"};
#define TRUST_SETS 3

struct blob {
	uint8_t *p; /* exactly 'len' bytes on the heap, so that a sanitizer sees one too far */
	size_t len;
};

static inline void trust_path(char *ret, size_t size, const char *set, const char *name)
{
	const char *dir = getenv("RAVELIN_VECTORS");

	snprintf(ret, size, "%s/trust/%s/%s", dir != NULL ? dir : "tests/vectors", set, name);
}

static inline struct blob blob_of(const void *src, size_t len)
{
	struct blob b = {malloc(len > 0 ? len : 1), len};

	if (len > 0)
		memcpy(b.p, src, len);
	return b;
}

static inline struct blob trust_file(const char *set, const char *name)
{
	char path[512];
	struct blob b = {NULL, 0};
	long len;
	FILE *f;

	trust_path(path, sizeof(path), set, name);
	f = fopen(path, "rb");
	if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (len = ftell(f)) < 0) {
		fprintf(stderr, "cannot read %s\n", path);
		abort();
	}
	rewind(f);
	b.p = malloc(len > 0 ? (size_t)len : 1);
	b.len = fread(b.p, 1, (size_t)len, f);
	if (b.len != (size_t)len)
		abort();
	fclose(f);
	return b;
}

static inline json_t *trust_json(const char *set, const char *name)
{
	char path[512];
	json_error_t err;
	json_t *j;

	trust_path(path, sizeof(path), set, name);
	j = json_load_file(path, 0, &err);
	if (j == NULL) {
		fprintf(stderr, "%s: %s\n", path, err.text);
		abort();
	}
	return j;
}

/* keys/NAME: a private key and its certificate. */
static inline X509 *trust_cert(const char *set, const char *name)
{
	char path[512], rel[128];
	X509 *cert;
	FILE *f;

	snprintf(rel, sizeof(rel), "keys/%s", name);
	trust_path(path, sizeof(path), set, rel);
	f = fopen(path, "r");
	cert = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	if (cert == NULL)
		abort();
	fclose(f);
	return cert;
}

static inline EVP_PKEY *trust_key(const char *set, const char *name)
{
	char path[512], rel[128];
	EVP_PKEY *key;
	FILE *f;

	snprintf(rel, sizeof(rel), "keys/%s", name);
	trust_path(path, sizeof(path), set, rel);
	f = fopen(path, "r");
	key = f != NULL ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
	if (key == NULL)
		abort();
	fclose(f);
	return key;
}

static inline void hex_of(const uint8_t *p, size_t len, char *ret)
{
	for (size_t i = 0; i < len; i++)
		sprintf(ret + 2 * i, "%02x", p[i]);
	ret[2 * len] = '\0';
}

static inline void sha256_hex(const void *a, size_t a_len, const void *b, size_t b_len, char ret[65])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t md[32];

	EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
	EVP_DigestUpdate(ctx, a, a_len);
	EVP_DigestUpdate(ctx, b, b_len);
	EVP_DigestFinal_ex(ctx, md, NULL);
	EVP_MD_CTX_free(ctx);
	hex_of(md, 32, ret);
}

static inline const char *jstr(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static inline size_t jint(const json_t *o, const char *key)
{
	return (size_t)json_integer_value(json_object_get(o, key));
}

static inline void check_order(const json_t *want, const uint8_t *order, unsigned n)
{
	CU_ASSERT_EQUAL(json_array_size(want), n);
	for (unsigned i = 0; i < n; i++)
		CU_ASSERT_EQUAL(json_integer_value(json_array_get(want, i)), order[i]);
}

/* 'cut' bytes at 'at' replaced by 'put' bytes; the header length follows if it is in the header. The old blob is freed. */
static inline struct blob splice(struct blob b, size_t at, size_t cut, const void *put, size_t len)
{
	unsigned head = (unsigned)(b.p[8] << 8 | b.p[9]);
	struct blob r = {malloc(b.len - cut + len), b.len - cut + len};

	memcpy(r.p, b.p, at);
	memcpy(r.p + at, put, len);
	memcpy(r.p + at + len, b.p + at + cut, b.len - at - cut);
	if (at < head) {
		head += (unsigned)(len - cut);
		r.p[8] = (uint8_t)(head >> 8);
		r.p[9] = (uint8_t)head;
	}
	free(b.p);
	return r;
}

static inline unsigned digest_code(const char *word)
{
	return strcmp(word, "sha1") == 0 ? PKI_SHA1 : strcmp(word, "sha256") == 0 ? PKI_SHA256 : PKI_SHA512;
}

/* RSA PKCS#1 v1.5, as whoever owns the key does. */
static inline size_t sign_with(EVP_PKEY *key, unsigned digest, const void *a, size_t a_len, const void *b, size_t b_len,
			       uint8_t sig[512])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = 512;

	if (EVP_DigestSignInit(ctx, NULL, pki_digest_md(digest), NULL, key) != 1 ||
	    EVP_DigestSignUpdate(ctx, a, a_len) != 1 || EVP_DigestSignUpdate(ctx, b, b_len) != 1 ||
	    EVP_DigestSignFinal(ctx, sig, &len) != 1)
		abort();
	EVP_MD_CTX_free(ctx);
	return len;
}

#endif
