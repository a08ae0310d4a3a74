/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/call/keys.c: sets are fresh, bounded, wiped. Architecture section 3. */
/* Rows: 001:P1-099; 004a:SRTP-03, SRTP-07; 004b:MGCP-04. */
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "call/keys.h"

static void test_no_set_twice(void)
{
	int locked;
	struct cp_keys *k = cp_keys_create(512, &locked);
	struct cp_keyset *s[512];

	for (int i = 0; i < 512; i++) {
		s[i] = cp_keys_draw(k, DP_AES_CM_128_HMAC_SHA1_80);
		CU_ASSERT_PTR_NOT_NULL_FATAL(s[i]);
		for (int j = 0; j < i; j++) {
			CU_ASSERT_PTR_NOT_EQUAL_FATAL(s[i], s[j]);
			CU_ASSERT_NOT_EQUAL_FATAL(memcmp(s[i]->key, s[j]->key, 16), 0);
			CU_ASSERT_NOT_EQUAL_FATAL(memcmp(s[i]->salt, s[j]->salt, 14), 0);
		}
	}
	CU_ASSERT_PTR_NULL(cp_keys_draw(k, DP_AES_CM_128_HMAC_SHA1_80));
	cp_keys_put(k, s[17]);
	CU_ASSERT_EQUAL(cp_keys_used(k), 511);
	CU_ASSERT_PTR_EQUAL(cp_keys_draw(k, DP_AES_CM_128_HMAC_SHA1_32), s[17]);
	cp_keys_destroy(k);
}

static void test_returned_set_is_wiped(void)
{
	static const struct cp_keyset zero;
	int locked;
	struct cp_keys *k = cp_keys_create(4, &locked);
	struct cp_keyset *s = cp_keys_draw(k, DP_AES_CM_128_HMAC_SHA1_80);

	cp_keys_put(k, s);
	CU_ASSERT_EQUAL(memcmp(s, &zero, sizeof(zero)), 0); /* pool memory: still mapped */
	CU_ASSERT_EQUAL(cp_keys_used(k), 0);
	cp_keys_put(k, NULL);
	cp_keys_destroy(k);
}

static void test_suites(void)
{
	int locked;
	struct cp_keys *k = cp_keys_create(4, &locked);
	uint8_t s;

	CU_ASSERT_PTR_NULL(cp_keys_draw(k, DP_SRTP_NONE));
	CU_ASSERT_PTR_NULL(cp_keys_draw(k, 77));
	CU_ASSERT_EQUAL(cp_suite_parse("aes_cm_128_hmac_sha1_32", &s), 0);
	CU_ASSERT_EQUAL(s, DP_AES_CM_128_HMAC_SHA1_32);
	CU_ASSERT_EQUAL(cp_suite_parse("rtp", &s), 0);
	CU_ASSERT(cp_suite_parse("F8_128_HMAC_SHA1_80", &s) < 0);
	CU_ASSERT(cp_suite_parse(NULL, &s) < 0);
	/* every suite: key and salt as long as it needs them, no byte more; copies are the same, another draw is not */
	for (s = DP_SRTP_NONE + 1; s < DP_SRTP_SUITE_MAX; s++) {
		struct cp_keyset *a = cp_keys_draw(k, s), *b = cp_keys_copy(k, a), *c = cp_keys_take(k, s, a->key, a->salt),
				 *d = cp_keys_draw(k, s);
		uint8_t seen[DP_SRTP_KEY_MAX + DP_SRTP_SALT_MAX] = {0}, parsed;

		CU_ASSERT(cp_keys_equal(a, b) && cp_keys_equal(a, c) && !cp_keys_equal(a, d));
		CU_ASSERT_PTR_NULL(cp_keys_copy(k, a)); /* full */
		for (int i = 0; i < 64; i++) { /* each byte is drawn at some time */
			for (int j = 0; j < DP_SRTP_KEY_MAX; j++)
				seen[j] |= d->key[j];
			for (int j = 0; j < DP_SRTP_SALT_MAX; j++)
				seen[DP_SRTP_KEY_MAX + j] |= d->salt[j];
			cp_keys_put(k, d);
			d = cp_keys_draw(k, s);
		}
		for (int j = 0; j < DP_SRTP_KEY_MAX; j++)
			CU_ASSERT_EQUAL(seen[j] != 0, j < dp_suite(s)->key_len);
		for (int j = 0; j < DP_SRTP_SALT_MAX; j++)
			CU_ASSERT_EQUAL(seen[DP_SRTP_KEY_MAX + j] != 0, j < dp_suite(s)->salt_len);
		d->salt[0] ^= 1;
		CU_ASSERT_FALSE(cp_keys_equal(a, d));
		CU_ASSERT(cp_suite_parse(cp_suite_name(s), &parsed) == 0 && parsed == s);
		cp_keys_put(k, a);
		cp_keys_put(k, b);
		cp_keys_put(k, c);
		cp_keys_put(k, d);
	}
	cp_keys_destroy(k);
	cp_keys_destroy(NULL);
}

static CU_TestInfo tests[] = {
	{"no set is given twice", test_no_set_twice},
	{"a returned set is wiped", test_returned_set_is_wiped},
	{"suites", test_suites},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("keys", tests, NULL, NULL)
