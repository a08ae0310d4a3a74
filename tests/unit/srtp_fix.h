/* SPDX-License-Identifier: BSD-3-Clause */
/* What the SRTP suites share: a manager and a pool, keys of every suite with the reference beside them, packets. */
#ifndef SRTP_FIX_H
#define SRTP_FIX_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "crypto/mb.h"
#include "dp_suite.h"
#include "srtp/ext.h"
#include "srtp/list.h"
#include "srtp/one.h"
#include "srtp/srtp.h"
#include "srtp/stream.h"
#include "srtp_ref.h"

#define ROOM DP_SRTCP_TRAILER_MAX

static struct dp_mb *mb;
static struct dp_srtp_pool *pool;

static inline int fix_setup(void)
{
	mb = dp_mb_create();
	pool = dp_srtp_pool_create(4096, 0);
	return mb == NULL || pool == NULL;
}

static inline int fix_teardown(void)
{
	dp_srtp_pool_destroy(pool);
	dp_mb_destroy(mb);
	return 0;
}

/* Master key and salt number 'n', always the same. */
static inline void master_of(unsigned int n, uint8_t *key, uint8_t *salt)
{
	uint64_t r = 0x9e3779b97f4a7c15u * (n + 1);

	for (int i = 0; i < 32; i++)
		key[i] = (uint8_t)(rnd(&r) >> 24);
	for (int i = 0; i < 14; i++)
		salt[i] = (uint8_t)(rnd(&r) >> 24);
}

/* 'par' has what is not default; suite, dir, key, salt and pool are set here. */
static inline struct dp_srtp_key *key_make(int suite, int dir, unsigned int n, struct dp_srtp_params par)
{
	struct dp_srtp_key *key = aligned_alloc(64, sizeof(*key));
	uint8_t mkey[32], msalt[14];

	master_of(n, mkey, msalt);
	par.suite = (uint8_t)suite;
	par.dir = (uint8_t)dir;
	par.key = mkey;
	par.salt = msalt;
	if (par.pool == NULL)
		par.pool = pool;
	CU_ASSERT_EQUAL_FATAL(dp_srtp_key_init(mb, key, &par), 0);
	return key;
}

static inline void key_free(struct dp_srtp_key *key)
{
	while (key != NULL) {
		struct dp_srtp_key *next = key->next;

		dp_srtp_key_wipe(key);
		free(key);
		key = next;
	}
}

/* A whole direction. */
static inline void list_free(struct dp_srtp_key **list)
{
	key_free(dp_srtp_keys_clear(list));
}

static inline struct ref ref_of(int suite, unsigned int n)
{
	uint8_t mkey[32], msalt[14];
	struct ref ref;

	master_of(n, mkey, msalt);
	ref_suite(&ref, suite, mkey, msalt);
	return ref;
}

static inline size_t rtp_put(uint8_t *p, uint32_t ssrc, uint16_t seq, size_t payload, uint8_t fill)
{
	memset(p, 0, 12);
	p[0] = 0x80;
	p[2] = (uint8_t)(seq >> 8);
	p[3] = (uint8_t)seq;
	for (int i = 0; i < 4; i++)
		p[8 + i] = (uint8_t)(ssrc >> (24 - 8 * i));
	memset(p + 12, fill, payload);
	return 12 + payload;
}

static inline size_t rtcp_put(uint8_t *p, uint32_t ssrc, size_t len, uint8_t fill)
{
	memset(p, fill, len);
	p[0] = 0x80;
	p[1] = 201;
	p[2] = 0;
	p[3] = (uint8_t)(len / 4 - 1);
	for (int i = 0; i < 4; i++)
		p[4 + i] = (uint8_t)(ssrc >> (24 - 8 * i));
	return len;
}

static inline struct dp_srtp_pkt pkt_at(uint8_t *data, size_t len, struct dp_srtp_key *key)
{
	return (struct dp_srtp_pkt){.data = data, .len = (uint16_t)len, .room = ROOM, .key = key};
}

/* One packet through the burst function of the key's direction. */
static inline uint8_t run_one(struct dp_srtp_key *key, bool rtcp, uint8_t *data, size_t *len, bool clear)
{
	struct dp_srtp_pkt pkt = pkt_at(data, *len, key);
	uint16_t ok;

	pkt.clear = clear;
	if (key->dir == DP_DIR_SEND)
		ok = rtcp ? dp_srtcp_protect_burst(mb, &pkt, 1) : dp_srtp_protect_burst(mb, &pkt, 1);
	else
		ok = rtcp ? dp_srtcp_unprotect_burst(mb, &pkt, 1) : dp_srtp_unprotect_burst(mb, &pkt, 1);
	CU_ASSERT_EQUAL(ok, pkt.verdict == DP_OK);
	if (pkt.verdict != DP_OK)
		CU_ASSERT_EQUAL(pkt.len, *len);
	*len = pkt.len;
	return pkt.verdict;
}

/* The reference's packet of an index to a receiver: its verdict. */
static inline uint8_t send_to(struct dp_srtp_key *rx, struct ref *ref, uint32_t ssrc, uint64_t index)
{
	uint8_t p[64 + ROOM];
	size_t len = ref_protect(ref, p, rtp_put(p, ssrc, (uint16_t)index, 40, (uint8_t)index), 12, index);
	uint8_t v = run_one(rx, false, p, &len, false);

	if (v == DP_OK) {
		CU_ASSERT_EQUAL(len, 52);
		CU_ASSERT(p[12] == (uint8_t)index && p[51] == (uint8_t)index);
	}
	return v;
}

static inline uint8_t send_rtcp_to(struct dp_srtp_key *rx, struct ref *ref, uint32_t ssrc, uint32_t index)
{
	uint8_t p[64 + ROOM];
	size_t len = ref_rtcp_protect(ref, p, rtcp_put(p, ssrc, 32, (uint8_t)index), index, 1);
	uint8_t v = run_one(rx, true, p, &len, false);

	if (v == DP_OK)
		CU_ASSERT(len == 32 && p[8] == (uint8_t)index && p[31] == (uint8_t)index);
	return v;
}

/* A packet of ours, compared with the reference's of an index. 'ref' NULL: whatever. Its verdict. */
static inline uint8_t sent_by(struct dp_srtp_key *tx, struct ref *ref, uint32_t ssrc, uint64_t index)
{
	uint8_t p[64 + ROOM], q[64 + ROOM];
	size_t len = rtp_put(p, ssrc, (uint16_t)index, 40, (uint8_t)index), want;
	uint8_t v = run_one(tx, false, p, &len, false);

	if (v == DP_OK && ref != NULL) {
		want = ref_protect(ref, q, rtp_put(q, ssrc, (uint16_t)index, 40, (uint8_t)index), 12, index);
		CU_ASSERT(len == want && memcmp(p, q, len) == 0);
	}
	return v;
}

static inline uint8_t sent_rtcp_by(struct dp_srtp_key *tx, struct ref *ref, uint32_t ssrc, uint32_t index)
{
	uint8_t p[64 + ROOM], q[64 + ROOM];
	size_t len = rtcp_put(p, ssrc, 32, (uint8_t)index), want;
	uint8_t v = run_one(tx, true, p, &len, false);

	if (v == DP_OK && ref != NULL) {
		want = ref_rtcp_protect(ref, q, rtcp_put(q, ssrc, 32, (uint8_t)index), index, 1);
		CU_ASSERT(len == want && memcmp(p, q, len) == 0);
	}
	return v;
}

#endif
