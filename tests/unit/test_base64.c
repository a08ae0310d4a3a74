/* SPDX-License-Identifier: BSD-3-Clause */
/* pki/base64.c: the vectors of RFC 4648 section 10, and nothing but what that alphabet has. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "suite.h"

static int up(void)
{
	return 0;
}

static int down(void)
{
	return 0;
}

static int decode(const char *text, size_t len, size_t max, uint8_t **ret, size_t *ret_len)
{
	/* behind the text's end is another's memory */
	char *exact = malloc(len > 0 ? len : 1);
	int rc;

	CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
	memcpy(exact, text, len);
	*ret = NULL;
	rc = pki_base64_decode(exact, len, max, ret, ret_len);
	free(exact);
	return rc;
}

static void test_vectors(void)
{
	static const struct {
		const char *clear, *text;
	} v[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		size_t want = strlen(v[i].clear), len;
		uint8_t *data;
		char *text = pki_base64_encode((const uint8_t *)v[i].clear, want);

		CU_ASSERT_PTR_NOT_NULL_FATAL(text);
		CU_ASSERT_STRING_EQUAL(text, v[i].text);
		free(text);
		CU_ASSERT_FATAL(decode(v[i].text, strlen(v[i].text), want, &data, &len) == 0);
		CU_ASSERT(len == want && memcmp(data, v[i].clear, want) == 0);
		free(data);
		if (want > 0)
			CU_ASSERT_EQUAL(decode(v[i].text, strlen(v[i].text), want - 1, &data, &len), -EMSGSIZE);
	}
}

/* Cut at every length: whole groups of four are text, all else is not. */
static void test_truncated(void)
{
	static const char text[] = "AAECAwQFBgcICQoLDA0ODw==";
	size_t all = strlen(text), len;
	uint8_t *data;

	for (size_t n = 0; n <= all; n++) {
		int rc = decode(text, n, 64, &data, &len);

		CU_ASSERT_EQUAL(rc, n % 4 == 0 ? 0 : -EBADMSG);
		if (rc < 0)
			continue;
		CU_ASSERT_EQUAL(len, n == all ? 16 : n / 4 * 3);
		for (size_t i = 0; i < len; i++)
			CU_ASSERT_EQUAL(data[i], i);
		free(data);
	}
}

/* Every octet at every place of two groups: the alphabet's are taken, '=' at the end only, everything else is refused. */
static void test_alphabet(void)
{
	unsigned taken = 0;

	for (size_t at = 0; at < 8; at++) {
		for (unsigned c = 0; c < 256; c++) {
			char text[9] = "QUJDREVG";
			bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
			uint8_t *data;
			size_t len;
			int rc;

			text[at] = (char)c;
			rc = decode(text, 8, 64, &data, &len);
			CU_ASSERT_EQUAL(rc, letter || (c == '=' && at == 7) ? 0 : -EBADMSG);
			if (rc == 0) {
				CU_ASSERT_EQUAL(len, c == '=' ? 5 : 6);
				free(data);
				taken++;
			}
		}
	}
	CU_ASSERT_EQUAL(taken, 8 * 64 + 1);
}

static void test_padding(void)
{
	static const char *const bad[] = {"====", "A===", "=AAA", "AA=A", "QUI=QUI=", "QQ==QUJD", " QUJD", "QUJD\n\n\n\n", "QUJDQUI\n"};
	uint8_t *data;
	size_t len;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(decode(bad[i], strlen(bad[i]), 64, &data, &len), -EBADMSG);
}

static void test_round(void)
{
	uint8_t clear[300], *data;
	size_t len;

	srand(4648);
	for (size_t n = 0; n <= sizeof(clear); n++) {
		char *text;

		for (size_t i = 0; i < n; i++)
			clear[i] = (uint8_t)rand();
		text = pki_base64_encode(clear, n);
		CU_ASSERT_PTR_NOT_NULL_FATAL(text);
		CU_ASSERT_EQUAL(strlen(text), (n + 2) / 3 * 4);
		CU_ASSERT_FATAL(decode(text, strlen(text), n, &data, &len) == 0);
		CU_ASSERT(len == n && memcmp(data, clear, n) == 0);
		free(data);
		free(text);
	}
	CU_ASSERT_PTR_NULL(pki_base64_encode(clear, (1u << 30) + 1ul));
}

static CU_TestInfo tests[] = {
	{"the vectors of RFC 4648", test_vectors},
	{"cut at every length", test_truncated},
	{"every octet at every place", test_alphabet},
	{"padding where none belongs, white space", test_padding},
	{"there and back, every length", test_round},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("base64", tests, up, down)
