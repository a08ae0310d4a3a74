/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/crypto/hmac16.c, ctrvaes.c and gcmvaes.c, our own kernels: the same results as ipsec-mb's and OpenSSL's for every number
 * of jobs, with data, states, keys and IVs between pages that cannot be touched: a byte read or written outside them ends
 * the test. On a CPU without AVX-512 and VAES only the refusal is tested.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <CUnit/CUnit.h>

#include "crypto/ctrvaes.h"
#include "crypto/gcmvaes.h"
#include "crypto/hmac16.h"
#include "crypto/mb.h"
#include "srtp_ref.h"

#define PAGE 4096u
#define LEN_MAX 2048u
#define CELLS (3 * DP_MB_BURST)

static struct dp_mb *own, *imb;
static uint8_t *arena; /* CELLS readable pages, each with an untouchable one before and behind */

static int setup(void)
{
	own = dp_mb_create();
	imb = dp_mb_create_isa(own != NULL ? dp_mb_isa(own) : NULL);
	arena = mmap(NULL, (2 * CELLS + 1) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (own == NULL || imb == NULL || arena == MAP_FAILED)
		return 1;
	for (unsigned int i = 0; i < CELLS; i++)
		if (mprotect(arena + (2 * i + 1) * PAGE, PAGE, PROT_READ | PROT_WRITE) != 0)
			return 1;
	return 0;
}

static int teardown(void)
{
	dp_mb_destroy(own);
	dp_mb_destroy(imb);
	return munmap(arena, (2 * CELLS + 1) * PAGE);
}

/* Where 'len' bytes of cell i end at an untouchable page, or ('low') begin behind one. */
static uint8_t *place(unsigned int i, size_t len, bool low)
{
	uint8_t *page = arena + (2 * i + 1) * PAGE;

	return low ? page : page + PAGE - len;
}

static void fill(uint64_t *r, uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(rnd(r) >> 11);
}

/* Lengths of a burst, by 'kind': all the same; media of three codecs; near block borders; any. */
static size_t a_length(uint64_t *r, unsigned int kind, unsigned int n)
{
	static const uint16_t mix[20] = {32, 32, 32, 32, 32, 32, 32, 32, 32, 172, 172, 172, 172, 172, 172, 172, 172, 172,
					 1212, 1212};

	if (kind == 0)
		return 1 + n * 29 % LEN_MAX;
	if (kind == 1)
		return mix[rnd(r) % 20];
	if (kind == 2)
		return 64 * (1 + rnd(r) % 5) - 12 + rnd(r) % 16;
	return 1 + rnd(r) % LEN_MAX;
}

static void test_usable(void)
{
	bool hmac = dp_hmac16_usable(), ctr = dp_ctrvaes_usable(), hmac_had = own->own_hmac, ctr_had = own->own_ctr;

	CU_ASSERT_EQUAL(dp_mb_own(own, true, true, false), hmac && ctr);
	CU_ASSERT_STRING_EQUAL(dp_mb_hmac_name(own), hmac && ctr ? "own16" : hmac_had ? "own16" : "ipsec-mb");
	CU_ASSERT_STRING_EQUAL(dp_mb_ctr_name(own), hmac && ctr ? "own" : ctr_had ? "own" : "ipsec-mb");
	CU_ASSERT_TRUE(dp_mb_own(imb, false, false, false));
	CU_ASSERT(own->few <= 16);
	/* The table that GCM reads is ipsec-mb's for these instructions, and no other's. */
	CU_ASSERT_EQUAL(dp_mb_own(own, hmac_had, ctr_had, true), dp_gcmvaes_usable() && strcmp(dp_mb_isa(own), "avx512") == 0);
	CU_ASSERT(dp_mb_gcm_own(own) == (dp_gcmvaes_usable() && strcmp(dp_mb_isa(own), "avx512") == 0 ? SIZE_MAX : 0));
}

struct job {
	uint8_t key[32], *state, *data, *tag, *rk, *iv;
	size_t len;
	unsigned int tag_len;
	uint32_t word;
	bool with, in; /* a word behind the data; tag behind the data, not elsewhere */
};

static void ref_tag(const struct job *j, uint8_t want[20])
{
	uint8_t msg[LEN_MAX + 4];

	memcpy(msg, j->data, j->len);
	for (unsigned int b = 0; b < 4; b++)
		msg[j->len + b] = (uint8_t)(j->word >> (24 - 8 * b));
	ref_mac(j->key, msg, j->len + (j->with ? 4 : 0), want);
}

/* One burst: our kernel with 'few', ipsec-mb, OpenSSL. Returns how many results were wrong. */
static int hmac_burst(uint64_t *r, unsigned int n, unsigned int kind, unsigned int few)
{
	static uint8_t elsewhere[DP_MB_BURST][32], theirs[DP_MB_BURST][20];
	struct job job[DP_MB_BURST];
	int wrong = 0;

	memset(elsewhere, 0xee, sizeof(elsewhere));
	for (unsigned int i = 0; i < n; i++) {
		struct job *j = &job[i];

		j->len = a_length(r, kind, n);
		j->with = rnd(r) % 2 != 0;
		j->in = rnd(r) % 2 != 0;
		j->tag_len = rnd(r) % 3 == 0 ? 1 + rnd(r) % 20 : rnd(r) % 2 ? 10 : 4;
		j->word = (uint32_t)rnd(r);
		j->state = place(DP_MB_BURST + i, DP_MB_HMAC_STATE, i % 2 != 0);
		j->data = place(i, j->len + (j->in ? j->tag_len : 0), rnd(r) % 2 != 0);
		j->tag = j->in ? j->data + j->len : elsewhere[i];
		fill(r, j->data, j->len + (j->in ? j->tag_len : 0));
		fill(r, j->key, 20);
		dp_mb_hmac_sha1_key(own, j->key, 20, j->state);
		if (j->with)
			dp_mb_hmac_set_word(own, i, j->state, j->data, j->len, j->word, j->tag, j->tag_len);
		else
			dp_mb_hmac_set(own, i, j->state, j->data, j->len, j->tag, j->tag_len);
	}
	dp_hmac16_run(&own->hmac, n, few);
	for (unsigned int i = 0; i < n; i++) {
		struct job *j = &job[i];
		uint8_t want[20];

		ref_tag(j, want); /* of the data as they are now: had the kernel written there, all would differ below */
		wrong += memcmp(want, j->tag, j->tag_len) != 0;
		for (unsigned int b = j->in ? 0 : j->tag_len; b < 32; b++)
			wrong += elsewhere[i][b] != 0xee;
		/* ipsec-mb writes words behind the data for a moment: from the low end, where there is room */
		if (!j->in) {
			uint8_t *low = place(i, 0, true);

			memmove(low, j->data, j->len);
			j->data = low;
		}
	}
	for (unsigned int i = 0; i < n; i++) {
		struct job *j = &job[i];

		/* with the tag in the packet there may be less than a word's room: without it then */
		if (j->in)
			dp_mb_hmac_set(imb, i, j->state, j->data, j->len, theirs[i], 20);
		else if (j->with)
			dp_mb_hmac_set_word(imb, i, j->state, j->data, j->len, j->word, theirs[i], 20);
		else
			dp_mb_hmac_set(imb, i, j->state, j->data, j->len, theirs[i], 20);
	}
	dp_mb_hmac_run(imb, n);
	for (unsigned int i = 0; i < n; i++)
		if (!job[i].in || !job[i].with)
			wrong += memcmp(theirs[i], job[i].tag, job[i].tag_len) != 0;
	return wrong;
}

static void test_hmac16(void)
{
	uint64_t r = 20261;
	int wrong = 0;

	if (!dp_hmac16_usable())
		return;
	for (unsigned int n = 1; n <= DP_MB_BURST; n++)
		for (unsigned int kind = 0; kind < 4; kind++) {
			wrong += hmac_burst(&r, n, kind, 0);
			if (own->shani) /* messages that leave the lanes half done, early and late */
				wrong += hmac_burst(&r, n, kind, 1 + (n + kind) % 16);
		}
	CU_ASSERT_EQUAL(wrong, 0);
}

/* Every length to 300 bytes, all lanes alike and every lane another. */
static void test_hmac16_every_length(void)
{
	uint8_t st[DP_MB_HMAC_STATE], key[20] = {1, 2, 3}, tag[16][20], want[20];
	uint64_t r = 5;
	int wrong = 0;

	if (!dp_hmac16_usable())
		return;
	dp_mb_hmac_sha1_key(own, key, 20, st);
	for (size_t len = 1; len <= 300; len++)
		for (unsigned int ragged = 0; ragged < 2; ragged++) {
			for (unsigned int i = 0; i < 16; i++) {
				uint8_t *p = place(i, len + i * ragged, false);

				fill(&r, p, len + i * ragged);
				dp_mb_hmac_set(own, i, st, p, len + i * ragged, tag[i], 20);
			}
			dp_hmac16_run(&own->hmac, 16, 0);
			for (unsigned int i = 0; i < 16; i++) {
				ref_mac(key, place(i, len + i * ragged, false), len + i * ragged, want);
				wrong += memcmp(want, tag[i], 20) != 0;
			}
		}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void job_ctr(const struct job *j, size_t key_len, const uint8_t *src, uint8_t *dst)
{
	const EVP_CIPHER *alg = key_len == 16 ? EVP_aes_128_ctr() : key_len == 24 ? EVP_aes_192_ctr() : EVP_aes_256_ctr();
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	if (ctx == NULL || EVP_EncryptInit_ex(ctx, alg, NULL, j->key, j->iv) != 1 ||
	    EVP_EncryptUpdate(ctx, dst, &n, src, (int)j->len) != 1)
		abort();
	EVP_CIPHER_CTX_free(ctx);
}

static int ctr_burst(uint64_t *r, unsigned int n, unsigned int kind)
{
	static uint8_t want[DP_MB_BURST][LEN_MAX], theirs[DP_MB_BURST][LEN_MAX];
	struct job job[DP_MB_BURST];
	int wrong = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct job *j = &job[i];
		size_t key_len = 16 + 8 * (n < 4 ? n - 1 : rnd(r) % 3), rk_len = 16u * (dp_mb_aes_rounds(key_len) + 1);
		bool low = rnd(r) % 2 != 0;

		j->len = a_length(r, kind, n);
		j->data = place(i, j->len, low);
		memset(place(i, PAGE, true), 0xee, PAGE);
		j->rk = place(DP_MB_BURST + i, rk_len, i % 2 != 0);
		j->iv = place(2 * DP_MB_BURST + i, 16, i % 2 == 0);
		fill(r, j->key, 32);
		fill(r, j->iv, 16);
		j->iv[12] = 0; /* wherever in 24 bits the counter begins: no carry out of its 32 */
		if (rnd(r) % 2 != 0)
			memset(j->iv + 13, 0xff, 3);
		fill(r, j->data, j->len);
		memcpy(theirs[i], j->data, j->len);
		job_ctr(j, key_len, j->data, want[i]);
		dp_mb_aes_expand(own, j->key, key_len, j->rk, NULL);
		dp_mb_ctr_set(own, i, j->rk, dp_mb_aes_rounds(key_len), j->iv, j->data, j->len);
		dp_mb_ctr_set(imb, i, j->rk, dp_mb_aes_rounds(key_len), j->iv, theirs[i], j->len);
	}
	dp_ctrvaes_run(own->ctr, n);
	dp_mb_ctr_run(imb, n);
	for (unsigned int i = 0; i < n; i++) {
		const struct job *j = &job[i];
		const uint8_t *page = place(i, PAGE, true);

		wrong += memcmp(j->data, want[i], j->len) != 0;
		wrong += memcmp(theirs[i], want[i], j->len) != 0;
		for (const uint8_t *p = page; p < page + PAGE; p++)
			wrong += (p < j->data || p >= j->data + j->len) && *p != 0xee;
	}
	return wrong;
}

static void test_ctrvaes(void)
{
	uint64_t r = 20262;
	int wrong = 0;

	if (!dp_ctrvaes_usable())
		return;
	for (unsigned int n = 1; n <= DP_MB_BURST; n++)
		for (unsigned int kind = 0; kind < 4; kind++)
			wrong += ctr_burst(&r, n, kind);
	CU_ASSERT_EQUAL(wrong, 0);
}

/* A packet of 'len' bytes: sealed and opened, in place and elsewhere, every buffer between pages that cannot be touched. */
static int gcm_packet(uint64_t *r, size_t len, size_t aad_len)
{
	static uint8_t want[LEN_MAX + 16], plain[LEN_MAX];
	size_t key_len = 16 + 8 * (rnd(r) % 3), tag_len = rnd(r) % 2 != 0 ? 16 : 1 + rnd(r) % 16;
	unsigned int rounds = dp_mb_aes_rounds(key_len);
	bool low = rnd(r) % 2 != 0;
	struct gcm_key_data *gk = (struct gcm_key_data *)(void *)place(0, (sizeof(*gk) + 63) / 64 * 64, low);
	uint8_t *nonce = place(1, 12, low), *aad = place(2, aad_len, !low), *src = place(3, len, low), *dst = place(4, len, !low);
	uint8_t *tag = place(5, tag_len, low), key[32], want_tag[16];
	int wrong = 0;

	fill(r, key, sizeof(key));
	fill(r, nonce, 12);
	fill(r, aad, aad_len);
	fill(r, plain, len);
	memcpy(src, plain, len);
	memset(place(4, PAGE, true), 0xee, PAGE);
	memset(place(5, PAGE, true), 0xee, PAGE);
	memcpy(want, plain, len);
	ref_gcm(key, key_len, nonce, aad, aad_len, want, len, want_tag);
	dp_mb_gcm_key(own, key, key_len, gk);
	dp_gcmvaes_seal(gk, rounds, nonce, aad, aad_len, src, dst, len, tag, tag_len);
	wrong += memcmp(dst, want, len) != 0 || memcmp(tag, want_tag, tag_len) != 0 || memcmp(src, plain, len) != 0;
	for (const uint8_t *p = place(4, PAGE, true); p < place(4, PAGE, true) + PAGE; p++)
		wrong += (p < dst || p >= dst + len) && *p != 0xee;
	for (const uint8_t *p = place(5, PAGE, true); p < place(5, PAGE, true) + PAGE; p++)
		wrong += (p < tag || p >= tag + tag_len) && *p != 0xee;
	memset(tag, 0, tag_len);
	dp_gcmvaes_open(gk, rounds, nonce, aad, aad_len, dst, dst, len, tag, tag_len);
	wrong += memcmp(dst, plain, len) != 0 || memcmp(tag, want_tag, tag_len) != 0;
	dp_gcmvaes_seal(gk, rounds, nonce, aad, aad_len, src, src, len, tag, tag_len);
	wrong += memcmp(src, want, len) != 0 || memcmp(tag, want_tag, tag_len) != 0;
	if (len > 0) { /* another text, another tag */
		src[rnd(r) % len] ^= 1;
		dp_gcmvaes_open(gk, rounds, nonce, aad, aad_len, src, src, len, tag, tag_len);
		wrong += tag_len > 8 && memcmp(tag, want_tag, tag_len) == 0;
	}
	return wrong;
}

static void test_gcmvaes(void)
{
	uint64_t r = 20263;
	int wrong = 0;

	if (!dp_gcmvaes_usable() || strcmp(dp_mb_isa(own), "avx512") != 0)
		return;
	for (size_t len = 0; len <= LEN_MAX; len++)
		wrong += gcm_packet(&r, len, rnd(&r) % 60);
	for (size_t aad_len = 0; aad_len <= 80; aad_len++)
		for (size_t len = 0; len < 80; len += 7)
			wrong += gcm_packet(&r, len, aad_len);
	CU_ASSERT_EQUAL(wrong, 0);
}

static CU_TestInfo tests[] = {
	{"our kernels are taken where the CPU has what they need, refused elsewhere", test_usable},
	{"16-lane HMAC equals OpenSSL's and ipsec-mb's: any burst, any lengths, at page ends", test_hmac16},
	{"16-lane HMAC of every length equals OpenSSL's", test_hmac16_every_length},
	{"VAES GCM equals OpenSSL's: any length of text, additional data and tag, keys, in place and not, at page ends", test_gcmvaes},
	{"VAES CTR equals OpenSSL's and ipsec-mb's: any burst, keys, lengths, at page ends", test_ctrvaes},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("kern", tests, setup, teardown)
