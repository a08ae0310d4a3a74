/* SPDX-License-Identifier: BSD-3-Clause */
/* pki/bundle: what is sealed opens, and nothing that was cut, changed, moved or sealed under something else does. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>
#include <openssl/crypto.h>

#include "bundle.h"

#define LOG2N 10 /* a test is no attacker */
#define PASS  "correct horse battery"

static const uint8_t random_bytes[PKI_BUNDLE_RANDOM] = {7, 7, 7};
static const uint8_t rkey[32] = {1, 2, 3};

static size_t record(uint8_t *out, unsigned family, const char *key, const char *val)
{
	struct pki_bundle_record r = {(uint8_t)family, (const uint8_t *)key, (const uint8_t *)val, strlen(key), strlen(val)};

	pki_bundle_put_record(out, &r);
	return pki_bundle_record_len(r.key_len, r.val_len);
}

/* A whole bundle of two chunks and the last. Heap. */
static uint8_t *whole(size_t *ret_len)
{
	struct pki_bundle_entry e[2] = {{"records", rkey, 32}, {"SAST1.key.pem", (const uint8_t *)"secret text", 11}};
	uint8_t *keys = NULL, *file, recs[200], id[32];
	size_t keys_len = 0, n, len;

	CU_ASSERT_EQUAL_FATAL(pki_bundle_seal_keys(PASS, LOG2N, random_bytes, e, 2, &keys, &keys_len), 0);
	CU_ASSERT_PTR_NULL(memmem(keys, keys_len, "secret", 6));
	file = malloc(12 + keys_len + 400);
	pki_bundle_head(keys_len, file);
	memcpy(file + 12, keys, keys_len);
	CU_ASSERT_EQUAL(pki_bundle_id(file, keys, keys_len, id), 0);
	len = 12 + keys_len;
	n = record(recs, PKI_BUNDLE_META, "meta", "{}");
	n += record(recs + n, 1, "SEP001122334455", "a device");
	CU_ASSERT_EQUAL(pki_bundle_seal_chunk(rkey, id, 0, false, recs, n, file + len), 0);
	len += n + PKI_BUNDLE_OVERHEAD;
	n = record(recs, 2, "profile", "");
	CU_ASSERT_EQUAL(pki_bundle_seal_chunk(rkey, id, 1, false, recs, n, file + len), 0);
	len += n + PKI_BUNDLE_OVERHEAD;
	CU_ASSERT_EQUAL(pki_bundle_seal_chunk(rkey, id, 2, true, NULL, 0, file + len), 0);
	len += PKI_BUNDLE_OVERHEAD;
	OPENSSL_free(keys);
	*ret_len = len;
	return file;
}

/* Read all of it: the number of records, or the error. */
static int read_all(const char *pass, const uint8_t *file, size_t len)
{
	static uint8_t chunk[PKI_BUNDLE_CHUNK_MAX];
	struct pki_bundle b;
	struct pki_bundle_entry e;
	struct pki_bundle_record r;
	uint8_t *keys = NULL, key[32] = {0};
	size_t keys_len = 0, at = 0, n;
	int rc = pki_bundle_parse(file, len, &b), found = 0, recs = 0;

	if (rc == 0)
		rc = pki_bundle_open_keys(pass, b.keys, b.keys_len, &keys, &keys_len);
	if (rc < 0)
		return rc;
	while ((rc = pki_bundle_next_entry(keys, keys_len, &at, &e)) == 1)
		if (strcmp(e.name, "records") == 0 && e.len == 32) {
			memcpy(key, e.p, 32);
			found = 1;
		}
	OPENSSL_clear_free(keys, keys_len + 1);
	if (rc < 0 || !found)
		return -EBADMSG;
	while ((rc = pki_bundle_next_chunk(&b, key, chunk, &n)) == 1) {
		int more;

		at = 0;
		while ((more = pki_bundle_next_record(chunk, n, &at, &r)) == 1)
			recs++;
		if (more < 0)
			return more;
	}
	return rc < 0 ? rc : recs;
}

static void test_whole(void)
{
	size_t len;
	uint8_t *file = whole(&len);

	CU_ASSERT_EQUAL(read_all(PASS, file, len), 3);
	CU_ASSERT_EQUAL(read_all("correct horse batterz", file, len), -EACCES);
	CU_ASSERT_EQUAL(read_all("", file, len), -EACCES);
	free(file);
}

static void test_cut(void)
{
	size_t len;
	uint8_t *file = whole(&len);

	for (size_t n = 0; n < len; n++) {
		uint8_t *exact = malloc(n > 0 ? n : 1);

		memcpy(exact, file, n);
		CU_ASSERT_EQUAL(read_all(PASS, exact, n), -EBADMSG);
		free(exact);
	}
	file = realloc(file, len + 1);
	file[len] = 0;
	CU_ASSERT_EQUAL(read_all(PASS, file, len + 1), -EBADMSG);
	free(file);
}

static void test_changed(void)
{
	size_t len;
	uint8_t *file = whole(&len);

	for (size_t i = 0; i < len; i++)
		for (int bit = 0; bit < 8; bit += 7) {
			if (i == 12 + 5)
				continue; /* log2 N: another file may make us work longer, up to the limit */
			file[i] ^= (uint8_t)(1 << bit);
			CU_ASSERT(read_all(PASS, file, len) < 0);
			file[i] ^= (uint8_t)(1 << bit);
		}
	file[12 + 5] = 9;
	CU_ASSERT_EQUAL(read_all(PASS, file, len), -EBADMSG);
	file[12 + 5] = 21; /* would take 2 GiB */
	CU_ASSERT_EQUAL(read_all(PASS, file, len), -EBADMSG);
	file[12 + 5] = 11;
	CU_ASSERT_EQUAL(read_all(PASS, file, len), -EACCES);
	file[12 + 5] = LOG2N;
	file[12 + 4] = 2;
	CU_ASSERT_EQUAL(read_all(PASS, file, len), -EOPNOTSUPP);
	free(file);
}

/* Chunks left out, swapped, repeated, of another bundle. */
static void test_moved(void)
{
	size_t len, keys, a, b, n;
	uint8_t *file = whole(&len), *t = malloc(2 * len);

	keys = 12 + (file[10] << 8 | file[11]);
	a = 4 + (size_t)(file[keys + 2] << 8 | file[keys + 3]);
	b = 4 + (size_t)(file[keys + a + 2] << 8 | file[keys + a + 3]);
	CU_ASSERT_EQUAL_FATAL(keys + a + b + PKI_BUNDLE_OVERHEAD, len);
	memcpy(t, file, keys); /* the second left out */
	memcpy(t + keys, file + keys, a);
	memcpy(t + keys + a, file + keys + a + b, PKI_BUNDLE_OVERHEAD);
	CU_ASSERT_EQUAL(read_all(PASS, t, len - b), -EACCES);
	memcpy(t + keys, file + keys + a, b); /* swapped */
	memcpy(t + keys + b, file + keys, a);
	memcpy(t + keys + a + b, file + keys + a + b, PKI_BUNDLE_OVERHEAD);
	CU_ASSERT_EQUAL(read_all(PASS, t, len), -EACCES);
	memcpy(t + keys, file + keys, a); /* the first twice */
	memcpy(t + keys + a, file + keys, a);
	n = keys + 2 * a;
	memcpy(t + n, file + keys + a, b + PKI_BUNDLE_OVERHEAD);
	CU_ASSERT_EQUAL(read_all(PASS, t, n + b + PKI_BUNDLE_OVERHEAD), -EACCES);
	memcpy(t, file, len); /* the last is not the last */
	memcpy(t + len, file + keys, a);
	CU_ASSERT_EQUAL(read_all(PASS, t, len + a), -EBADMSG);
	free(t);
	free(file);
}

static void test_limits(void)
{
	struct pki_bundle_entry e = {"x", NULL, 0};
	uint8_t *p = NULL, entry[] = {1, 'a', 0, 0, 0, 1}, rec[] = {1, 0, 1, 'k', 0, 0, 0, 9};
	struct pki_bundle_record r;
	char pass[PKI_BUNDLE_PASS_MAX + 2];
	size_t len = 0, at = 0;

	memset(pass, 'a', sizeof(pass) - 1);
	pass[sizeof(pass) - 1] = '\0';
	CU_ASSERT_EQUAL(pki_bundle_seal_keys(pass, LOG2N, random_bytes, &e, 1, &p, &len), -EINVAL);
	CU_ASSERT_EQUAL(pki_bundle_seal_keys(PASS, 21, random_bytes, &e, 1, &p, &len), -EINVAL);
	e.len = PKI_BUNDLE_KEYS_MAX;
	CU_ASSERT_EQUAL(pki_bundle_seal_keys(PASS, LOG2N, random_bytes, &e, 1, &p, &len), -EMSGSIZE);
	CU_ASSERT_PTR_NULL(p);
	for (size_t n = 1; n <= sizeof(entry); n++) {
		at = 0;
		CU_ASSERT_EQUAL(pki_bundle_next_entry(entry, n, &at, &e), -EBADMSG);
		CU_ASSERT_EQUAL(at, 0);
	}
	for (size_t n = 1; n <= sizeof(rec); n++) {
		at = 0;
		CU_ASSERT_EQUAL(pki_bundle_next_record(rec, n, &at, &r), -EBADMSG);
	}
}

static CU_TestInfo tests[] = {
	{"a whole one, and wrong passphrases", test_whole},
	{"cut at every length", test_cut},
	{"changed at every byte", test_changed},
	{"chunks left out, moved, repeated", test_moved},
	{"limits", test_limits},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("bundle", tests, NULL, NULL)
