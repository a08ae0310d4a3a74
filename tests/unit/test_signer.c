/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The signer: message codec, sealing, the KEK's file, and every request in process that it must refuse.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "kek.h"
#include "serve.h"
#include "signer.h"
#include "signer_fix.h"
#include "state.h"

/* --- codec --- */

static struct pki_signer_msg full(uint16_t type, uint8_t reply)
{
	static const uint8_t blob[] = {1, 2, 3, 4, 5};
	struct pki_signer_msg m = {.type = type, .reply = reply, .seq = 0x01020304, .num = 7};

	strcpy(m.name, "SEP0011223344AA");
	m.a = (struct pki_blob){blob, 5};
	m.b = (struct pki_blob){blob, 3};
	m.c = (struct pki_blob){blob, 0};
	return m;
}

static void test_codec_cut_everywhere(void)
{
	uint8_t buf[512];

	for (uint16_t type = 1; type < PKI_SIGNER_TYPE_MAX; type++)
		for (uint8_t reply = 0; reply < 2; reply++) {
			struct pki_signer_msg m = full(type, reply), got;
			int len = pki_signer_build(&m, buf, sizeof(buf));
			uint8_t again[512];

			CU_ASSERT_FATAL(len >= PKI_SIGNER_HDR_LEN);
			CU_ASSERT_EQUAL_FATAL(pki_signer_parse(buf, (size_t)len, &got), 0);
			CU_ASSERT_EQUAL(got.type, type);
			CU_ASSERT_EQUAL(got.seq, m.seq);
			CU_ASSERT_EQUAL(pki_signer_build(&got, again, sizeof(again)), len);
			CU_ASSERT_EQUAL(memcmp(buf, again, (size_t)len), 0);
			for (int n = 0; n < len; n++) {
				uint8_t *exact = malloc(n > 0 ? (size_t)n : 1);

				memcpy(exact, buf, (size_t)n);
				CU_ASSERT_EQUAL(pki_signer_parse(exact, (size_t)n, &got), -EBADMSG);
				CU_ASSERT_EQUAL(got.seq, n >= PKI_SIGNER_HDR_LEN ? m.seq : 0);
				CU_ASSERT_EQUAL(pki_signer_build(&m, again, (size_t)n), -EMSGSIZE);
				free(exact);
			}
			buf[len] = 0; /* one byte too many */
			CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)len + 1, &got), -EBADMSG);
		}
}

static void test_codec_refuses(void)
{
	struct pki_signer_msg m = full(PKI_SIGNER_LSC, 0), got;
	uint8_t buf[512];
	int len = pki_signer_build(&m, buf, sizeof(buf));

	buf[1] = 2; /* version */
	CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)len, &got), -EOPNOTSUPP);
	CU_ASSERT_EQUAL(got.seq, m.seq);
	buf[1] = PKI_SIGNER_VERSION;
	buf[3] = PKI_SIGNER_TYPE_MAX;
	CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)len, &got), -EOPNOTSUPP);
	buf[3] = 0;
	CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)len, &got), -EOPNOTSUPP);
	buf[3] = PKI_SIGNER_LSC;
	buf[8] = 0xff; /* an error code in a request */
	CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)len, &got), -EBADMSG);
	buf[8] = 0;
	buf[13] = '\n'; /* not printable */
	CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)len, &got), -EBADMSG);
	buf[13] = 'S';
	CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)len, &got), 0);
	for (int i = 0; i < 4; i++) { /* the first blob's length, lying */
		buf[28 + i] ^= 0x80;
		CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)len, &got), -EBADMSG);
		buf[28 + i] ^= 0x80;
	}
}

/* --- KEK --- */

static void test_seal(void)
{
	static const uint8_t key[32] = {1}, key2[32] = {2};
	struct pki_kek *kek, *kek2;
	uint8_t plain[300], sealed[300 + PKI_SIGNER_SEAL_OVERHEAD],
		again[300 + PKI_SIGNER_SEAL_OVERHEAD], out[300];
	int len;

	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * 7);
	CU_ASSERT_EQUAL_FATAL(pki_kek_init(key, &kek), 0);
	CU_ASSERT_EQUAL_FATAL(pki_kek_init(key2, &kek2), 0);
	CU_ASSERT_EQUAL(strlen(pki_kek_passphrase(kek)), 64);
	CU_ASSERT_STRING_NOT_EQUAL(pki_kek_passphrase(kek), pki_kek_passphrase(kek2));
	CU_ASSERT_NOT_EQUAL(memcmp(pki_kek_id(kek), pki_kek_id(kek2), 8), 0);
	for (size_t n = 0; n <= sizeof(plain); n += 50) {
		len = pki_kek_seal(kek, plain, n, (const uint8_t *)"sa/1", 4, sealed);
		CU_ASSERT_EQUAL_FATAL(len, (int)(n + PKI_SIGNER_SEAL_OVERHEAD));
		CU_ASSERT_EQUAL(
			pki_kek_unseal(kek, sealed, (size_t)len, (const uint8_t *)"sa/1", 4, out),
			(int)n);
		CU_ASSERT_EQUAL(memcmp(out, plain, n), 0);
	}
	/* never the same bytes twice, nowhere the plain text */
	pki_kek_seal(kek, plain, sizeof(plain), (const uint8_t *)"sa/1", 4, again);
	CU_ASSERT_NOT_EQUAL(memcmp(again, sealed, sizeof(sealed)), 0);
	CU_ASSERT_PTR_NULL(memmem(sealed, sizeof(sealed), plain, 16));
	/* bound to key, bytes and data */
	CU_ASSERT_EQUAL(pki_kek_unseal(kek2, sealed, (size_t)len, (const uint8_t *)"sa/1", 4, out),
	                -EACCES);
	CU_ASSERT_EQUAL(pki_kek_unseal(kek, sealed, (size_t)len, (const uint8_t *)"sa/2", 4, out),
	                -EACCES);
	CU_ASSERT_EQUAL(pki_kek_unseal(kek, sealed, (size_t)len, NULL, 0, out), -EACCES);
	for (int i = 0; i < len; i++) {
		sealed[i] ^= 1;
		memset(out, 0xaa, sizeof(out));
		CU_ASSERT(pki_kek_unseal(kek, sealed, (size_t)len, (const uint8_t *)"sa/1", 4,
		                         out) < 0);
		CU_ASSERT_NOT_EQUAL(memcmp(out + 100, plain + 100, 100), 0);
		sealed[i] ^= 1;
	}
	for (int n = 0; n < len; n++) {
		uint8_t *exact = malloc(n > 0 ? (size_t)n : 1);

		memcpy(exact, sealed, (size_t)n);
		CU_ASSERT(pki_kek_unseal(kek, exact, (size_t)n, (const uint8_t *)"sa/1", 4, out) <
		          0);
		free(exact);
	}
	pki_kek_destroy(kek);
	pki_kek_destroy(kek2);
}

static void test_kek_file(void)
{
	char path[100];
	struct pki_kek *kek = NULL;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/kek", dir);
	CU_ASSERT_EQUAL(pki_kek_load(path, &kek), -ENOENT);
	CU_ASSERT_EQUAL(pki_kek_make(path), 0);
	CU_ASSERT_EQUAL(pki_kek_make(path), -EEXIST);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0400);
	CU_ASSERT_EQUAL(st.st_size, 32);
	CU_ASSERT_EQUAL_FATAL(pki_kek_load(path, &kek), 0);
	pki_kek_destroy(kek);
	kek = NULL;
	chmod(path, 0440);
	CU_ASSERT_EQUAL(pki_kek_load(path, &kek), -EPERM);
	chmod(path, 0600);
	fd = open(path, O_WRONLY);
	CU_ASSERT_EQUAL(ftruncate(fd, 31), 0);
	CU_ASSERT_EQUAL(pki_kek_load(path, &kek), -EBADMSG);
	CU_ASSERT_EQUAL(ftruncate(fd, 33), 0);
	CU_ASSERT_EQUAL(pki_kek_load(path, &kek), -EBADMSG);
	close(fd);
	unlink(path);
	CU_ASSERT_EQUAL(symlink("/dev/zero", path), 0);
	CU_ASSERT_EQUAL(pki_kek_load(path, &kek), -ELOOP);
	unlink(path);
}

/* --- requests --- */

static uint8_t reply_buf[PKI_SIGNER_MSG_MAX];

static int answer(struct pki_state *st, const struct pki_signer_msg *req,
                  struct pki_signer_msg *ret)
{
	uint8_t buf[4096];
	int len = pki_signer_build(req, buf, sizeof(buf));
	size_t n;

	CU_ASSERT_FATAL(len > 0);
	n = pki_serve_answer(st, buf, (size_t)len, NULL, NOW, 1, reply_buf);
	CU_ASSERT_EQUAL_FATAL(pki_signer_parse(reply_buf, n, ret), 0);
	CU_ASSERT_EQUAL(ret->reply, 1);
	CU_ASSERT_EQUAL(ret->seq, req->seq);
	return ret->rc;
}

static const struct {
	uint16_t type;
	const char *name;
	uint32_t num;
	const char *a, *b;
	int rc;
} refused[] = {
	{PKI_SIGNER_SERVER, "CAPF", 0, "", "", -ENOENT}, /* an issuer's key is never handed out */
	{PKI_SIGNER_SERVER, "SAST1", 0, "", "", -ENOENT},
	{PKI_SIGNER_SERVER, "TFTP", 0, "", "", -ENOENT},
	{PKI_SIGNER_SERVER, "ITLRecovery", 0, "", "", -ENOENT},
	{PKI_SIGNER_IDENT, "", PKI_IDENT_MAX, "", "", -ENOENT},
	{PKI_SIGNER_REGEN, "nobody", 0, "", "", -ENOENT},
	{PKI_SIGNER_REGEN, "SAST1.prev", 0, "", "", -ENOENT},
	{PKI_SIGNER_REGEN, "SAST1", 0, "rsa-1024", "", -EINVAL},
	{PKI_SIGNER_REGEN, "SAST1", 0, "ec-p256", "", -EACCES},
	{PKI_SIGNER_REGEN, "TFTP-EC", 0, "rsa-2048", "", -EACCES},
	{PKI_SIGNER_REGEN, "SAST1", 0, "x\n", "", -EBADMSG},
	{PKI_SIGNER_CSR, "nobody", 0, "", "", -ENOENT},
	{PKI_SIGNER_CSR, "TFTP", 0, "ec-p384", "", -EACCES},
	{PKI_SIGNER_IMPORT, "TFTP", 0, "", "", -EBADMSG},
	{PKI_SIGNER_IMPORT, "TFTP", 0, "0\x03\x02\x01", "", -EBADMSG},
	{PKI_SIGNER_RETIRE, "TFTP", 0, "", "", -ENOENT},
	{PKI_SIGNER_RETIRE, "nobody", 0, "", "", -ENOENT},
	{PKI_SIGNER_SIGN, "nobody", PKI_SIGN_FILE, "x", "x", -ENOENT},
	{PKI_SIGNER_SIGN, "TFTP", 0, "x", "x", -EBADMSG},
	{PKI_SIGNER_SIGN, "TFTP", 5, "x", "x", -EBADMSG},
	{PKI_SIGNER_SIGN, "TFTP", PKI_SIGN_FILE, "x", "x", -EBADMSG},
	{PKI_SIGNER_SIGN, "TFTP", PKI_SIGN_ITL, "x", "x", -EBADMSG},
	{PKI_SIGNER_SIGN, "TFTP", PKI_SIGN_ITL, "x", "", -EBADMSG},
	{PKI_SIGNER_SIGN, "TFTP", PKI_SIGN_CTL, "x", "", -EACCES},
	{PKI_SIGNER_SIGN, "SAST1", PKI_SIGN_FILE, "x", "", -EACCES},
	{PKI_SIGNER_SIGN, "TVS", PKI_SIGN_FILE, "x", "", -EACCES},
	{PKI_SIGNER_SIGN, "CAPF", PKI_SIGN_CTL, "x", "", -EACCES},
	{PKI_SIGNER_SERVER, "", 0, "", "", -ENOENT},
	{PKI_SIGNER_TRUST, "", 1, "", "", -ENOENT},
	{PKI_SIGNER_TRUST, "", UINT32_MAX, "", "", -ENOENT},
	{PKI_SIGNER_LSC, "SEP0011223344AA", 0, "", "", -EBADMSG},
	{PKI_SIGNER_LSC, "SEP0011223344AA", 0, "x", "y", -EBADMSG},
	{PKI_SIGNER_LSC, "SEP0011223344AA", 0, "x", "", -EBADMSG},
	{PKI_SIGNER_LSC, "SEP0011223344AA", 0, "", "y", -EBADMSG},
	{PKI_SIGNER_LSC, "CallManager", 0, "x", "", -EBADMSG},
	{PKI_SIGNER_TEST_ID, "CallManager", 2, "", "", -EBADMSG},
	{PKI_SIGNER_TEST_ID, "SEP0011223344AA", 0, "", "", -EBADMSG},
	{PKI_SIGNER_TEST_ID, "SEP0011223344AA", 3, "", "", -EBADMSG},
	{PKI_SIGNER_UNSEAL, "", 0, "", "", -EBADMSG},
	{PKI_SIGNER_UNSEAL, "", 0, "RVS1 but not more of it than that, and so not authentic", "",
         -EACCES},
};

static void test_requests_refused(void)
{
	struct pki_state *st = opened();
	struct pki_signer_msg r;
	uint8_t buf[600];
	uint32_t seed = 5;

	CU_ASSERT_PTR_NOT_NULL_FATAL(st);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct pki_signer_msg m = {
			.type = refused[i].type, .seq = (uint32_t)i + 1, .num = refused[i].num};

		strcpy(m.name, refused[i].name);
		m.a = (struct pki_blob){(const uint8_t *)refused[i].a, strlen(refused[i].a)};
		m.b = (struct pki_blob){(const uint8_t *)refused[i].b, strlen(refused[i].b)};
		CU_ASSERT_EQUAL(answer(st, &m, &r), refused[i].rc);
		CU_ASSERT(strlen(r.name) > 0);
		if (r.rc != refused[i].rc)
			fprintf(stderr, "refused %zu: %d %s\n", i, r.rc, r.name);
	}
	/* every truncation of every request, and random bytes: an error, never an answer */
	for (uint16_t type = 1; type < PKI_SIGNER_TYPE_MAX; type++) {
		struct pki_signer_msg m = full(type, 0);
		int len = pki_signer_build(&m, buf, sizeof(buf));

		for (int n = 0; n < len; n++) {
			uint8_t *exact = malloc(n > 0 ? (size_t)n : 1);
			size_t k;

			memcpy(exact, buf, (size_t)n);
			k = pki_serve_answer(st, exact, (size_t)n, NULL, NOW, 1, reply_buf);
			CU_ASSERT_EQUAL_FATAL(pki_signer_parse(reply_buf, k, &r), 0);
			CU_ASSERT_EQUAL(r.rc, -EBADMSG);
			free(exact);
		}
	}
	for (int i = 0; i < 20000; i++) {
		size_t len, k;

		seed = seed * 1664525 + 1013904223;
		len = (seed >> 8) % 64;
		for (size_t j = 0; j < len; j++) {
			seed = seed * 1664525 + 1013904223;
			buf[j] = (uint8_t)(seed >> 24);
		}
		k = pki_serve_answer(st, buf, len, NULL, NOW, 1, reply_buf);
		CU_ASSERT_EQUAL_FATAL(pki_signer_parse(reply_buf, k, &r), 0);
		CU_ASSERT(r.rc < 0);
	}
	{ /* a reply is no request */
		struct pki_signer_msg m = full(PKI_SIGNER_HELLO, 1);
		int len = pki_signer_build(&m, buf, sizeof(buf));
		size_t k = pki_serve_answer(st, buf, (size_t)len, NULL, NOW, 1, reply_buf);

		CU_ASSERT_EQUAL_FATAL(pki_signer_parse(reply_buf, k, &r), 0);
		CU_ASSERT_EQUAL(r.rc, -EBADMSG);
	}
	pki_state_close(st);
}

static CU_TestInfo tests[] = {
	{"messages cut at every length", test_codec_cut_everywhere},
	{"messages that are refused", test_codec_refuses},
	{"sealing binds key, bytes and data", test_seal},
	{"the KEK's file", test_kek_file},
	{"requests that are refused", test_requests_refused},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("signer", tests, setup, teardown)
