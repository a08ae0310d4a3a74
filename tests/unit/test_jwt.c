/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tokens that python3-cryptography signed (vectors/jwt_make.py): good ones pass, and each way to be bad is found by its name.
 * RFC 7515, 7518, 7519, 8725; catalogue 000:P0-52, P0-53.
 */
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "jwt_vectors.h"
#include "log.h"
#include "provision/jwt.h"
#include "provision/oauth.h"
#include "suite.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct cp_jwt_want want = {"https://issuer.example", "ravelin", "tftp", "SEP001122334455", JWT_NOW};

static struct cp_jwt_keys *keys_of(const char *text)
{
	struct cp_jwt_keys *k = NULL;
	char err[128];

	if (cp_jwt_keys_parse((const uint8_t *)text, strlen(text), &k, err, sizeof(err)) != 0)
		printf("\n%s\n", err);
	return k;
}

static int check(const struct cp_jwt_keys *k, const char *token, const char **why)
{
	char *copy = malloc(strlen(token) + 1); /* of its exact size: no byte behind it is looked at */
	int rc;

	memcpy(copy, token, strlen(token));
	rc = cp_jwt_check(k, copy, strlen(token), &want, why);
	free(copy);
	return rc;
}

static void test_good(void)
{
	struct cp_jwt_keys *jwks = keys_of(jwt_jwks), *pem = keys_of(jwt_pem);
	const char *why;

	CU_ASSERT_PTR_NOT_NULL_FATAL(jwks);
	CU_ASSERT_PTR_NOT_NULL_FATAL(pem);
	CU_ASSERT_EQUAL(cp_jwt_keys_count(jwks), 2); /* not symmetric, small, for encryption, of exponent 1, off the curve */
	CU_ASSERT_EQUAL(cp_jwt_keys_count(pem), 2);
	for (unsigned i = 0; i < N(jwt_good); i++) {
		why = "";
		if (check(jwks, jwt_good[i].token, &why) != 0)
			printf("\n%s: %s\n", jwt_good[i].name, why);
		CU_ASSERT_EQUAL(check(jwks, jwt_good[i].token, &why), 0);
		CU_ASSERT_EQUAL(check(pem, jwt_good[i].token, &why), 0);
	}
	cp_jwt_keys_put(jwks);
	cp_jwt_keys_put(pem);
}

static void test_bad(void)
{
	struct cp_jwt_keys *jwks = keys_of(jwt_jwks);
	static char big[CP_JWT_MAX + 100];
	const char *why;

	for (unsigned i = 0; i < N(jwt_bad); i++) {
		why = "";
		CU_ASSERT_EQUAL(check(jwks, jwt_bad[i].token, &why), -EACCES);
		if (strcmp(why, jwt_bad[i].why) != 0)
			printf("\n%s: %s, not %s\n", jwt_bad[i].name, why, jwt_bad[i].why);
		CU_ASSERT_STRING_EQUAL(why, jwt_bad[i].why);
	}
	memset(big, 'A', sizeof(big) - 1);
	big[10] = big[20] = '.';
	CU_ASSERT_EQUAL(check(jwks, big, &why), -EACCES);
	cp_jwt_keys_put(jwks);
}

/* Each byte of good tokens changed, and the tokens cut at every length. */
static void test_mutations(void)
{
	struct cp_jwt_keys *jwks = keys_of(jwt_jwks);
	char copy[4096];
	const char *why;

	for (unsigned t = 0; t < 2; t++) {
		size_t len = strlen(jwt_good[t].token);

		for (size_t i = 0; i < len; i++) {
			strcpy(copy, jwt_good[t].token);
			copy[i] = copy[i] == 'A' ? 'B' : 'A';
			CU_ASSERT_EQUAL(check(jwks, copy, &why), -EACCES);
			strcpy(copy, jwt_good[t].token);
			copy[i] = '\0';
			CU_ASSERT_EQUAL(check(jwks, copy, &why), -EACCES);
		}
	}
	cp_jwt_keys_put(jwks);
}

static void test_keys(void)
{
	static const char *const texts[] = {
		"", "hello", "{}", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[1,null,\"x\",[]]}", "{\"keys\":[],\"keys\":[]}",
		"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "{\"keys\":[{\"kty\":\"RSA\"}]}",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
	};
	struct cp_jwt_keys *k = NULL;
	char err[128], text[16384];

	for (unsigned i = 0; i < N(texts); i++) {
		CU_ASSERT_EQUAL(cp_jwt_keys_parse((const uint8_t *)texts[i], strlen(texts[i]), &k, err, sizeof(err)), -EINVAL);
		CU_ASSERT_TRUE(strlen(err) > 0);
	}
	CU_ASSERT_EQUAL(cp_jwt_keys_parse((const uint8_t *)jwt_jwks_private, strlen(jwt_jwks_private), &k, err, sizeof(err)),
			-EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "private"));
	for (size_t n = 0; n < strlen(jwt_jwks); n++) {
		char *cut = malloc(n > 0 ? n : 1);

		memcpy(cut, jwt_jwks, n);
		CU_ASSERT_EQUAL(cp_jwt_keys_parse((uint8_t *)cut, n, &k, err, sizeof(err)), -EINVAL);
		free(cut);
	}
	text[0] = '\0';
	for (unsigned i = 0; i < 9; i++)
		strcat(text, jwt_pem);
	CU_ASSERT_EQUAL(cp_jwt_keys_parse((uint8_t *)text, strlen(text), &k, err, sizeof(err)), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err, "more than 16 keys");
}

static void put_file(const char *path, const char *text)
{
	char tmp[300];
	FILE *f;

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	f = fopen(tmp, "w");
	if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0 || rename(tmp, path) != 0)
		abort();
}

/* The keys' file, changed while it serves: other keys, none, a broken one. */
static void test_reread(void)
{
	char path[] = "/tmp/test_jwt.XXXXXX", aud[] = "ravelin", iss[] = "https://issuer.example", scope[] = "tftp";
	struct cfg_oauth cfg = {.issuer = iss, .keys = path, .audience = aud, .scope = scope};
	struct event_base *base = event_base_new();
	struct cp_oauth *o = NULL;
	const char *why = "";
	int fd = mkstemp(path);

	close(fd);
	unlink(path);
	CU_ASSERT_EQUAL_FATAL(cp_oauth_create(base, &cfg, &o), 0);
	CU_ASSERT_EQUAL(cp_oauth_check(o, jwt_good[0].token, strlen(jwt_good[0].token), "SEP001122334455", &why), -EACCES);
	CU_ASSERT_STRING_EQUAL(why, "no keys of the issuer");
	put_file(path, jwt_pem);
	for (unsigned i = 0; i < 4 && strcmp(why, "no keys of the issuer") == 0; i++) {
		event_base_loop(base, EVLOOP_ONCE);
		cp_oauth_check(o, jwt_good[0].token, strlen(jwt_good[0].token), "SEP001122334455", &why);
	}
	/* by now it is past the tokens' nbf, or not yet: whichever, the signature was found good */
	CU_ASSERT_TRUE(strcmp(why, "not valid yet") == 0 || strcmp(why, "expired") == 0);
	put_file(path, "broken");
	event_base_loop(base, EVLOOP_ONCE);
	cp_oauth_check(o, jwt_good[0].token, strlen(jwt_good[0].token), "SEP001122334455", &why);
	CU_ASSERT_TRUE(strcmp(why, "not valid yet") == 0 || strcmp(why, "expired") == 0); /* the old keys are kept */
	unlink(path);
	cp_oauth_destroy(o);
	event_base_free(base);
}

static CU_TestInfo tests[] = {
	{"good tokens", test_good},
	{"each way to be bad", test_bad},
	{"each byte changed, each length cut", test_mutations},
	{"keys that are none", test_keys},
	{"keys are read again", test_reread},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	return 0;
}

SUITE_MAIN("jwt", tests, setup, NULL)
