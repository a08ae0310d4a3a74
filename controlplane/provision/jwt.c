/* SPDX-License-Identifier: BSD-3-Clause */
#include "jwt.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KID_MAX     256
#define HEADER_MAX  1024
#define PAYLOAD_MAX 4096
#define SIG_MAX     1024
#define RSA_MIN     2048
#define RSA_MAX     8192

struct key {
	EVP_PKEY *pkey;
	char *kid; /* NULL: none was said, so it may be any */
	bool ec;   /* ES256, else RS256 */
};

struct cp_jwt_keys {
	atomic_uint refs;
	unsigned n;
	struct key key[CP_JWT_KEYS_MAX];
};

/* base64url without padding (RFC 7515 section 2), in its one canonical form. Bytes, or -EBADMSG. */
static ssize_t unbase64(const char *s, size_t len, uint8_t *out, size_t size)
{
	uint32_t acc = 0;
	unsigned bits = 0;
	size_t n = 0;

	if (len % 4 == 1)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++) {
		char c = s[i];
		uint32_t v;

		if (c >= 'A' && c <= 'Z')
			v = (uint32_t)(c - 'A');
		else if (c >= 'a' && c <= 'z')
			v = (uint32_t)(c - 'a') + 26;
		else if (c >= '0' && c <= '9')
			v = (uint32_t)(c - '0') + 52;
		else if (c == '-')
			v = 62;
		else if (c == '_')
			v = 63;
		else
			return -EBADMSG;
		acc = acc << 6 | v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			if (n == size)
				return -EBADMSG;
			out[n++] = (uint8_t)(acc >> bits);
		}
	}
	return (acc & ((1u << bits) - 1)) != 0 ? -EBADMSG : (ssize_t)n;
}

/* --- keys --- */

static void keys_free(struct cp_jwt_keys *k)
{
	for (unsigned i = 0; i < k->n; i++) {
		EVP_PKEY_free(k->key[i].pkey);
		free(k->key[i].kid);
	}
	free(k);
}

struct cp_jwt_keys *cp_jwt_keys_take(struct cp_jwt_keys *keys)
{
	atomic_fetch_add(&keys->refs, 1);
	return keys;
}

void cp_jwt_keys_put(struct cp_jwt_keys *keys)
{
	if (keys != NULL && atomic_fetch_sub(&keys->refs, 1) == 1)
		keys_free(keys);
}

unsigned cp_jwt_keys_count(const struct cp_jwt_keys *keys)
{
	return keys->n;
}

/* Is it a kind that we use? Takes 'pkey'. 0; 1: passed over; -ENOSPC; -ENOMEM. */
static int add(struct cp_jwt_keys *k, EVP_PKEY *pkey, const char *kid)
{
	char group[32] = "";
	struct key *key;
	bool ec = EVP_PKEY_is_a(pkey, "EC");
	int rc = 1;

	if (ec) {
		if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) != 1 || strcmp(group, "prime256v1") != 0)
			goto out;
	} else if (!EVP_PKEY_is_a(pkey, "RSA") || EVP_PKEY_get_bits(pkey) < RSA_MIN || EVP_PKEY_get_bits(pkey) > RSA_MAX) {
		goto out;
	}
	rc = -ENOSPC;
	if (k->n == CP_JWT_KEYS_MAX)
		goto out;
	key = &k->key[k->n];
	key->ec = ec;
	if (kid != NULL) {
		rc = -ENOMEM;
		key->kid = strdup(kid);
		if (key->kid == NULL)
			goto out;
	}
	key->pkey = pkey;
	k->n++;
	return 0;
out:
	EVP_PKEY_free(pkey);
	return rc;
}

static BIGNUM *jwk_number(const json_t *jwk, const char *name, size_t max)
{
	const char *s = json_string_value(json_object_get(jwk, name));
	uint8_t b[RSA_MAX / 8];
	ssize_t n = s != NULL ? unbase64(s, strlen(s), b, max) : -EBADMSG;

	return n > 0 ? BN_bin2bn(b, (int)n, NULL) : NULL;
}

static EVP_PKEY *make_key(const char *type, OSSL_PARAM_BLD *bld)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY *pkey = NULL;

	if (ctx != NULL && params != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static EVP_PKEY *jwk_rsa(const json_t *jwk)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	BIGNUM *n = jwk_number(jwk, "n", RSA_MAX / 8), *e = jwk_number(jwk, "e", 8);
	EVP_PKEY *pkey = NULL;

	/* an exponent of 1 verifies anything */
	if (bld != NULL && n != NULL && e != NULL && BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e) &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) == 1)
		pkey = make_key("RSA", bld);
	BN_free(n);
	BN_free(e);
	OSSL_PARAM_BLD_free(bld);
	return pkey;
}

static EVP_PKEY *jwk_ec(const json_t *jwk)
{
	const char *crv = json_string_value(json_object_get(jwk, "crv"));
	const char *x = json_string_value(json_object_get(jwk, "x")), *y = json_string_value(json_object_get(jwk, "y"));
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY *pkey = NULL;
	uint8_t point[65] = {4};

	/* RFC 7518 section 6.2: whole coordinates; OpenSSL refuses points that are not on the curve */
	if (bld != NULL && crv != NULL && strcmp(crv, "P-256") == 0 && x != NULL && y != NULL &&
	    unbase64(x, strlen(x), point + 1, 32) == 32 && unbase64(y, strlen(y), point + 33, 32) == 32 &&
	    OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) == 1)
		pkey = make_key("EC", bld);
	OSSL_PARAM_BLD_free(bld);
	return pkey;
}

/* As add(); -EINVAL with the reason in 'why'. */
static int add_jwk(struct cp_jwt_keys *k, const json_t *jwk, const char **why)
{
	const char *kty = json_string_value(json_object_get(jwk, "kty")), *use = json_string_value(json_object_get(jwk, "use"));
	const char *alg = json_string_value(json_object_get(jwk, "alg")), *kid = json_string_value(json_object_get(jwk, "kid"));
	EVP_PKEY *pkey;
	bool ec;

	if (json_object_get(jwk, "d") != NULL) {
		*why = "a private key is among them: take it away, and change it";
		return -EINVAL;
	}
	if (kty == NULL || (strcmp(kty, "RSA") != 0 && strcmp(kty, "EC") != 0) || (use != NULL && strcmp(use, "sig") != 0))
		return 1;
	ec = strcmp(kty, "EC") == 0;
	if (alg != NULL && strcmp(alg, ec ? "ES256" : "RS256") != 0)
		return 1;
	if (kid != NULL && strlen(kid) > KID_MAX) {
		*why = "a kid is too long";
		return -EINVAL;
	}
	pkey = ec ? jwk_ec(jwk) : jwk_rsa(jwk);
	return pkey != NULL ? add(k, pkey, kid) : 1;
}

static int parse_jwks(struct cp_jwt_keys *k, const uint8_t *data, size_t len, const char **why)
{
	json_t *root = json_loadb((const char *)data, len, JSON_REJECT_DUPLICATES, NULL), *list, *jwk;
	size_t i;
	int rc = 0;

	list = json_object_get(root, "keys");
	if (!json_is_array(list)) {
		*why = "neither a JWKS nor PEM";
		rc = -EINVAL;
	}
	json_array_foreach(list, i, jwk) {
		rc = add_jwk(k, jwk, why);
		if (rc < 0)
			break;
		rc = 0;
	}
	json_decref(root);
	return rc;
}

static int parse_pem(struct cp_jwt_keys *k, const uint8_t *data, size_t len, const char **why)
{
	BIO *bio = BIO_new_mem_buf(data, (int)len);
	char *name, *head;
	unsigned char *der;
	long der_len;
	int rc = 0;

	while (bio != NULL && rc >= 0 && PEM_read_bio(bio, &name, &head, &der, &der_len) == 1) {
		const unsigned char *p = der;
		EVP_PKEY *pkey = NULL;

		if (strcmp(name, "PUBLIC KEY") == 0) {
			pkey = d2i_PUBKEY(NULL, &p, der_len);
		} else if (strcmp(name, "CERTIFICATE") == 0) {
			X509 *cert = d2i_X509(NULL, &p, der_len);

			pkey = cert != NULL ? X509_get_pubkey(cert) : NULL;
			X509_free(cert);
		} else if (strstr(name, "PRIVATE KEY") != NULL) {
			*why = "a private key is among them: take it away, and change it";
			rc = -EINVAL;
		}
		if (pkey != NULL)
			rc = add(k, pkey, NULL);
		OPENSSL_clear_free(der, (size_t)der_len);
		OPENSSL_free(name);
		OPENSSL_free(head);
	}
	BIO_free(bio);
	return rc < 0 ? rc : 0;
}

int cp_jwt_keys_parse(const uint8_t *data, size_t len, struct cp_jwt_keys **ret, char *err, size_t err_size)
{
	struct cp_jwt_keys *k = calloc(1, sizeof(*k));
	const char *why = "";
	size_t at = 0;
	int rc;

	if (k == NULL)
		return -ENOMEM;
	k->refs = 1;
	while (at < len && (data[at] == ' ' || (data[at] >= '\t' && data[at] <= '\r')))
		at++;
	if (len > CP_JWT_FILE_MAX) {
		rc = -EINVAL;
		why = "larger than 256 KiB";
	} else if (at < len && data[at] == '{') {
		rc = parse_jwks(k, data, len, &why);
	} else {
		rc = parse_pem(k, data, len, &why);
	}
	if (rc == -ENOSPC) {
		rc = -EINVAL;
		why = "more than 16 keys";
	}
	if (rc == 0 && k->n == 0) {
		rc = -EINVAL;
		why = "no RSA key of 2048 to 8192 bits, and none of P-256";
	}
	ERR_clear_error();
	if (rc < 0) {
		snprintf(err, err_size, "%s", rc == -EINVAL ? why : "no memory");
		keys_free(k);
		return rc;
	}
	*ret = k;
	return 0;
}

/* --- tokens --- */

static bool rsa_ok(EVP_PKEY *pkey, const char *msg, size_t msg_len, const uint8_t *sig, size_t sig_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	/* PKCS #1 v1.5 is EVP's default for RSA: RFC 7518 section 3.3 */
	bool ok = ctx != NULL && sig_len == (size_t)EVP_PKEY_get_size(pkey) &&
		  EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey) == 1 &&
		  EVP_DigestVerify(ctx, sig, sig_len, (const uint8_t *)msg, msg_len) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

/* RFC 7518 section 3.4: R and S, 32 bytes each; OpenSSL wants them in DER. */
static bool ec_ok(EVP_PKEY *pkey, const char *msg, size_t msg_len, const uint8_t *sig, size_t sig_len)
{
	ECDSA_SIG *rs = ECDSA_SIG_new();
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t *der = NULL;
	BIGNUM *r, *s;
	int der_len;
	bool ok = false;

	if (rs == NULL || ctx == NULL || sig_len != 64)
		goto out;
	r = BN_bin2bn(sig, 32, NULL);
	s = BN_bin2bn(sig + 32, 32, NULL);
	if (r == NULL || s == NULL || ECDSA_SIG_set0(rs, r, s) != 1) {
		BN_free(r);
		BN_free(s);
		goto out;
	}
	der_len = i2d_ECDSA_SIG(rs, &der);
	ok = der_len > 0 && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey) == 1 &&
	     EVP_DigestVerify(ctx, der, (size_t)der_len, (const uint8_t *)msg, msg_len) == 1;
out:
	OPENSSL_free(der);
	ECDSA_SIG_free(rs);
	EVP_MD_CTX_free(ctx);
	return ok;
}

static json_t *part(const char *s, size_t len, size_t max)
{
	uint8_t b[PAYLOAD_MAX];
	ssize_t n = unbase64(s, len, b, max);
	json_t *o = n > 0 ? json_loadb((char *)b, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (!json_is_object(o)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static const char *check_header(const json_t *h, bool *ret_ec)
{
	const char *alg = json_string_value(json_object_get(h, "alg"));
	const json_t *typ = json_object_get(h, "typ");
	const char *t = json_string_value(typ);

	if (alg == NULL || (strcmp(alg, "RS256") != 0 && strcmp(alg, "ES256") != 0))
		return "algorithm is neither RS256 nor ES256";
	if (json_object_get(h, "crit") != NULL) /* RFC 7515 section 4.1.11: nothing is understood */
		return "critical header parameter";
	if (t != NULL && strncasecmp(t, "application/", 12) == 0)
		t += 12;
	if (typ != NULL && (t == NULL || (strcasecmp(t, "JWT") != 0 && strcasecmp(t, "at+jwt") != 0)))
		return "not a JWT";
	*ret_ec = alg[0] == 'E';
	return NULL;
}

static bool holds(const json_t *aud, const char *want)
{
	const json_t *item;
	size_t i;

	if (json_is_string(aud))
		return strcmp(json_string_value(aud), want) == 0;
	json_array_foreach(aud, i, item)
		if (json_is_string(item) && strcmp(json_string_value(item), want) == 0)
			return true;
	return false;
}

static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list; *p != '\0'; p += strcspn(p, " "), p += strspn(p, " "))
		if (strcspn(p, " ") == len && memcmp(p, word, len) == 0)
			return true;
	return false;
}

static const char *check_claims(const json_t *c, const struct cp_jwt_want *want)
{
	const char *iss = json_string_value(json_object_get(c, "iss"));
	const char *scope = json_string_value(json_object_get(c, "scope"));
	const json_t *exp = json_object_get(c, "exp"), *nbf = json_object_get(c, "nbf"), *device = json_object_get(c, "device");
	const char *name;

	if (iss == NULL || strcmp(iss, want->issuer) != 0)
		return "another issuer";
	if (!json_is_number(exp))
		return "no expiry";
	if (!(json_number_value(exp) + CP_JWT_LEEWAY_S > (double)want->now))
		return "expired";
	if (nbf != NULL && !(json_is_number(nbf) && json_number_value(nbf) - CP_JWT_LEEWAY_S <= (double)want->now))
		return "not valid yet";
	if (want->audience != NULL && !holds(json_object_get(c, "aud"), want->audience))
		return "another audience";
	if (scope == NULL || !has_word(scope, want->scope))
		return "scope is missing";
	name = json_string_value(device != NULL ? device : json_object_get(c, "sub"));
	if (name == NULL || strcmp(name, want->device) != 0)
		return "another device";
	return NULL;
}

int cp_jwt_check(const struct cp_jwt_keys *keys, const char *token, size_t len, const struct cp_jwt_want *want,
		 const char **ret_why)
{
	const char *dot = len <= CP_JWT_MAX ? memchr(token, '.', len) : NULL, *dot2, *why = "malformed", *kid;
	uint8_t sig[SIG_MAX];
	json_t *head = NULL, *claims = NULL;
	ssize_t sig_len;
	bool ec, good = false;

	dot2 = dot != NULL ? memchr(dot + 1, '.', len - (size_t)(dot + 1 - token)) : NULL;
	if (dot2 == NULL) /* a dot in the third part is no base64 */
		goto out;
	sig_len = unbase64(dot2 + 1, len - (size_t)(dot2 + 1 - token), sig, sizeof(sig));
	head = part(token, (size_t)(dot - token), HEADER_MAX);
	if (sig_len < 0 || head == NULL)
		goto out;
	why = check_header(head, &ec);
	if (why != NULL)
		goto out;
	why = "signature is not the issuer's";
	kid = json_string_value(json_object_get(head, "kid"));
	for (unsigned i = 0; i < keys->n && !good; i++) {
		const struct key *k = &keys->key[i];

		/* The key's kind decides. One that names itself is asked only when the token names it or nobody. */
		if (k->ec != ec || (kid != NULL && k->kid != NULL && strcmp(kid, k->kid) != 0))
			continue;
		good = (ec ? ec_ok : rsa_ok)(k->pkey, token, (size_t)(dot2 - token), sig, (size_t)sig_len);
	}
	ERR_clear_error();
	if (!good)
		goto out;
	why = "malformed";
	claims = part(dot + 1, (size_t)(dot2 - dot - 1), PAYLOAD_MAX);
	if (claims != NULL)
		why = check_claims(claims, want);
out:
	json_decref(head);
	json_decref(claims);
	if (why == NULL)
		return 0;
	*ret_why = why;
	return -EACCES;
}
