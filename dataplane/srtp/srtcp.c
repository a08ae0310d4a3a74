/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "crypto/mb.h"
#include "srtp/stream.h"

#define RTCP_HDR 8
#define TAG_LEN  10
#define E_BIT    0x80000000u
#define CHUNK    16 /* packets whose keys are expanded at a time */

/*
 * SRTCP's keys are expanded when a packet comes: one in seconds per leg, against 216 bytes in each key. Packets of one
 * key that follow each other share an expansion.
 */
struct scratch {
	uint8_t rk[CHUNK][DP_MB_AES128_RK] __attribute__((aligned(16)));
	uint8_t state[CHUNK][DP_MB_HMAC_STATE] __attribute__((aligned(8)));
	uint8_t iv[CHUNK][16] __attribute__((aligned(16)));
	uint8_t tag[CHUNK][DP_MB_SHA1_LEN];
	const struct dp_srtp_key *last;
	unsigned int keys; /* expanded */
	uint8_t slot[CHUNK]; /* of packet i */
};

static unsigned int expand(struct dp_mb *mb, struct scratch *s, const struct dp_srtp_key *key)
{
	if (s->last != key) {
		dp_mb_aes128_expand(mb, key->rtcp_key, s->rk[s->keys], NULL);
		dp_mb_hmac_sha1_key(mb, key->rtcp_auth, sizeof(key->rtcp_auth), s->state[s->keys]);
		s->last = key;
		s->keys++;
	}
	return s->keys - 1;
}

static uint8_t protect_prepare(struct dp_srtp_pkt *pkt)
{
	struct dp_srtp_key *key = pkt->key;

	if (key == NULL)
		return DP_DROP_NO_KEY;
	if (pkt->len < RTCP_HDR || pkt->data[0] >> 6 != 2)
		return DP_DROP_RTCP_MALFORMED;
	if (pkt->room < DP_SRTCP_TRAILER || pkt->len > UINT16_MAX - DP_SRTCP_TRAILER)
		return DP_DROP_NO_ROOM;
	if (key->rtcp_next > DP_SRTCP_INDEX_MAX)
		return DP_DROP_KEY_LIMIT;
	pkt->ssrc = dp_srtp_be32(pkt->data + 4);
	pkt->index = key->rtcp_next++;
	pkt->enc = 1;
	dp_srtp_reserve(pkt->tx_reserved, pkt->index, DP_SRTCP_INDEX_MAX);
	return DP_OK;
}

static uint16_t protect_chunk(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n)
{
	struct scratch s;
	uint8_t job[CHUNK];
	uint16_t macs = 0, ciphers = 0;

	s.last = NULL;
	s.keys = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct dp_srtp_pkt *pkt = &pkts[i];
		unsigned int k;

		if (pkt->verdict != DP_OK)
			continue;
		pkt->verdict = protect_prepare(pkt);
		if (pkt->verdict != DP_OK)
			continue;
		k = expand(mb, &s, pkt->key);
		if (pkt->len > RTCP_HDR) {
			dp_srtp_iv(s.iv[ciphers], pkt->key->rtcp_salt, pkt->ssrc, pkt->index);
			dp_mb_ctr_set(mb, ciphers, s.rk[k], 10, s.iv[ciphers], pkt->data + RTCP_HDR,
				      (size_t)pkt->len - RTCP_HDR);
			ciphers++;
		}
		dp_srtp_put_be32(pkt->data + pkt->len, E_BIT | (uint32_t)pkt->index);
		dp_mb_hmac_set(mb, macs, s.state[k], pkt->data, (size_t)pkt->len + 4,
			       pkt->data + pkt->len + 4, TAG_LEN);
		job[macs++] = (uint8_t)i;
	}
	dp_mb_ctr_run(mb, ciphers);
	dp_mb_hmac_run(mb, macs);
	for (uint16_t j = 0; j < macs; j++) {
		struct dp_srtp_pkt *pkt = &pkts[job[j]];

		pkt->len = (uint16_t)(pkt->len + DP_SRTCP_TRAILER);
	}
	if (s.keys > 0)
		explicit_bzero(&s, sizeof(s));
	return macs;
}

static uint8_t unprotect_check(struct dp_srtp_pkt *pkt)
{
	struct dp_srtp_key *key = pkt->key;
	uint32_t word;

	if (key == NULL)
		return DP_DROP_NO_KEY;
	if (pkt->len < RTCP_HDR + DP_SRTCP_TRAILER || pkt->data[0] >> 6 != 2)
		return DP_DROP_RTCP_MALFORMED;
	word = dp_srtp_be32(pkt->data + pkt->len - DP_SRTCP_TRAILER);
	pkt->enc = (word & E_BIT) != 0;
	if (!pkt->enc && (key->flags & DP_SRTP_F_RTCP_CLEAR) == 0)
		return DP_DROP_POLICY;
	pkt->index = word & ~E_BIT;
	pkt->ssrc = dp_srtp_be32(pkt->data + 4);
	pkt->stream = dp_srtp_stream_find(key, pkt->ssrc);
	if (pkt->stream != NULL)
		return dp_srtp_replay_verdict(dp_replay_check(&pkt->stream->rtcp, pkt->index));
	if (key->rtcp_next > 0 && pkt->index <= key->rtcp_next)
		return DP_DROP_STALE;
	return dp_srtp_stream_room(key) ? DP_OK : DP_DROP_NO_STREAM;
}

/* In the packet's turn: streams and windows may have moved since unprotect_check(), the index is its own. */
static uint8_t judge(struct dp_srtp_pkt *pkt, const uint8_t *tag)
{
	uint8_t verdict = unprotect_check(pkt);

	if (verdict != DP_OK)
		return verdict;
	if (!dp_mb_equal(tag, pkt->data + pkt->len - TAG_LEN, TAG_LEN))
		return DP_DROP_AUTH;
	if (pkt->stream == NULL)
		pkt->stream = dp_srtp_stream_begin(pkt->key, pkt->ssrc);
	if (pkt->stream == NULL)
		return DP_DROP_NO_STREAM;
	return dp_srtp_replay_verdict(dp_replay_commit(&pkt->stream->rtcp, pkt->index));
}

static uint16_t unprotect_chunk(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n)
{
	struct scratch s;
	uint8_t job[CHUNK];
	uint16_t parsed = 0, macs = 0, ciphers = 0, ok = 0;

	s.last = NULL;
	s.keys = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct dp_srtp_pkt *pkt = &pkts[i];
		unsigned int k;

		if (pkt->verdict != DP_OK)
			continue;
		pkt->verdict = unprotect_check(pkt);
		if (pkt->verdict == DP_DROP_REPLAY) /* or too old by its turn: the reason is counted */
			job[parsed++] = (uint8_t)i;
		if (pkt->verdict != DP_OK)
			continue;
		k = expand(mb, &s, pkt->key);
		s.slot[i] = (uint8_t)k;
		dp_mb_hmac_set(mb, macs++, s.state[k], pkt->data, (size_t)pkt->len - TAG_LEN, s.tag[i], TAG_LEN);
		job[parsed++] = (uint8_t)i;
	}
	dp_mb_hmac_run(mb, macs);
	for (uint16_t j = 0; j < parsed; j++) {
		unsigned int i = job[j];
		struct dp_srtp_pkt *pkt = &pkts[i];

		/* An index once refused stays refused: judge() looks at no tag that was not made. */
		pkt->verdict = judge(pkt, s.tag[i]);
		if (pkt->verdict != DP_OK)
			continue;
		pkt->len = (uint16_t)(pkt->len - DP_SRTCP_TRAILER);
		ok++;
		if (pkt->enc && pkt->len > RTCP_HDR) {
			dp_srtp_iv(s.iv[ciphers], pkt->key->rtcp_salt, pkt->ssrc, pkt->index);
			dp_mb_ctr_set(mb, ciphers, s.rk[s.slot[i]], 10, s.iv[ciphers], pkt->data + RTCP_HDR,
				      (size_t)pkt->len - RTCP_HDR);
			ciphers++;
		}
	}
	dp_mb_ctr_run(mb, ciphers);
	if (s.keys > 0)
		explicit_bzero(&s, sizeof(s));
	return ok;
}

uint16_t dp_srtcp_protect_burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n)
{
	uint16_t ok = 0;

	for (uint16_t i = 0; i < n; i += CHUNK)
		ok = (uint16_t)(ok + protect_chunk(mb, pkts + i, n - i < CHUNK ? (uint16_t)(n - i) : CHUNK));
	return ok;
}

uint16_t dp_srtcp_unprotect_burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n)
{
	uint16_t ok = 0;

	for (uint16_t i = 0; i < n; i += CHUNK)
		ok = (uint16_t)(ok + unprotect_chunk(mb, pkts + i, n - i < CHUNK ? (uint16_t)(n - i) : CHUNK));
	return ok;
}
