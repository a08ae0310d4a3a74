/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bearer tokens of phones: JSON Web Tokens (RFC 7519) signed RS256 or ES256 (RFC 7515, 7518) by an issuer whose public keys are
 * configured. Nothing else is known here, so nothing else can be confused with it: the key decides what it verifies, a token
 * only names it. Bytes in, verdict out; the time is an argument.
 *
 * Whose token it is: the claim "device", or "sub" if there is none, is the device's name, SEP and its MAC.
 */
#ifndef CP_PROVISION_JWT_H
#define CP_PROVISION_JWT_H

#include <stddef.h>
#include <stdint.h>

#define CP_JWT_MAX       6144 /* bytes of a token */
#define CP_JWT_KEYS_MAX  16
#define CP_JWT_FILE_MAX  262144
#define CP_JWT_LEEWAY_S  60   /* clocks differ */

struct cp_jwt_keys;

/**
 * Public keys from a JWKS (RFC 7517) or PEM ("PUBLIC KEY", "CERTIFICATE"): RSA of 2048 to 8192 bits, P-256. Keys of other kinds and
 * uses are passed over. 0; -EINVAL with the reason in 'err': not readable, none that can be used, a private key among them, too
 * many. The caller owns *ret: cp_jwt_keys_put().
 */
int cp_jwt_keys_parse(const uint8_t *data, size_t len, struct cp_jwt_keys **ret, char *err, size_t err_size);
struct cp_jwt_keys *cp_jwt_keys_take(struct cp_jwt_keys *keys);
void cp_jwt_keys_put(struct cp_jwt_keys *keys); /* NULL is allowed; any thread */
unsigned cp_jwt_keys_count(const struct cp_jwt_keys *keys);

struct cp_jwt_want {
	const char *issuer;   /* "iss" */
	const char *audience; /* "aud" is or holds it; NULL: not looked at */
	const char *scope;    /* one of the words of "scope" */
	const char *device;
	int64_t now;          /* seconds since 1970 */
};

/**
 * 0, or -EACCES with the reason in *ret_why (static text, fit for WWW-Authenticate). The signature is verified before a claim is
 * looked at, so that the reason tells a forger nothing about claims. Any thread.
 */
int cp_jwt_check(const struct cp_jwt_keys *keys, const char *token, size_t len, const struct cp_jwt_want *want,
		 const char **ret_why);

#endif
