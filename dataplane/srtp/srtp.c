/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "crypto/mb.h"
#include "srtp/stream.h"

#define RTP_MIN  12
#define PREFETCH 6 /* packets ahead */

/* Length of header, CSRC list and extension; 0 when they do not fit into 'len' bytes. RFC 3550 s5.1, s5.3.1. */
static inline uint32_t rtp_header(const uint8_t *p, uint32_t len)
{
	uint32_t hdr;

	if (len < RTP_MIN || p[0] >> 6 != 2)
		return 0;
	hdr = RTP_MIN + 4u * (p[0] & 0x0f);
	if ((p[0] & 0x10) != 0) {
		if (len < hdr + 4)
			return 0;
		hdr += 4 + 4 * ((uint32_t)p[hdr + 2] << 8 | p[hdr + 3]);
	}
	return hdr <= len ? hdr : 0;
}

/* Does the padding that the header announces fit? 'len' without tag, payload in clear. */
static inline bool padding_ok(const uint8_t *p, uint32_t hdr, uint32_t len)
{
	return (p[0] & 0x20) == 0 || (len > hdr && p[len - 1] != 0 && p[len - 1] <= len - hdr);
}

static inline void prefetch(const struct dp_srtp_pkt *pkts, uint16_t i, uint16_t n)
{
	const struct dp_srtp_key *key;

	if (i + PREFETCH >= n)
		return;
	key = pkts[i + PREFETCH].key;
	if (key == NULL)
		return;
	for (unsigned int line = 0; line <= offsetof(struct dp_srtp_key, index_floor); line += 64)
		__builtin_prefetch((const uint8_t *)key + line);
}

static uint8_t protect_prepare(struct dp_srtp_pkt *pkt)
{
	struct dp_srtp_key *key = pkt->key;
	const uint8_t *p = pkt->data;
	struct dp_srtp_stream *stream;
	uint32_t hdr = rtp_header(p, pkt->len);
	uint16_t seq;
	uint8_t verdict;

	if (key == NULL)
		return DP_DROP_NO_KEY;
	if (hdr == 0 || !padding_ok(p, hdr, pkt->len))
		return DP_DROP_RTP_MALFORMED;
	if (pkt->room < key->tag_len || pkt->len > UINT16_MAX - key->tag_len)
		return DP_DROP_NO_ROOM;
	seq = (uint16_t)(p[2] << 8 | p[3]);
	pkt->ssrc = dp_srtp_be32(p + 8);
	pkt->hdr_len = (uint16_t)hdr;
	stream = dp_srtp_stream_find(key, pkt->ssrc);
	pkt->index = dp_srtp_guess(stream != NULL ? stream->rtp.top : key->index_floor, seq);
	if (pkt->index > DP_SRTP_INDEX_MAX)
		return DP_DROP_KEY_LIMIT;
	if (stream == NULL) {
		if (key->index_floor > 0 && pkt->index <= key->index_floor)
			return DP_DROP_STALE;
		stream = dp_srtp_stream_begin(key, pkt->ssrc);
		if (stream == NULL)
			return DP_DROP_NO_STREAM;
	}
	/* The index is ours: it is used from here on. */
	verdict = dp_srtp_replay_verdict(dp_replay_commit(&stream->rtp, pkt->index));
	if (verdict == DP_OK)
		dp_srtp_reserve(pkt->tx_reserved, pkt->index, DP_SRTP_INDEX_MAX);
	return verdict;
}

uint16_t dp_srtp_protect_burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n)
{
	uint8_t iv[DP_SRTP_BURST][16] __attribute__((aligned(64)));
	uint8_t job[DP_SRTP_BURST];
	uint16_t ciphers = 0, macs = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct dp_srtp_pkt *pkt = &pkts[i];
		const struct dp_srtp_key *key = pkt->key;

		prefetch(pkts, i, n);
		if (pkt->verdict != DP_OK)
			continue;
		pkt->verdict = protect_prepare(pkt);
		if (pkt->verdict != DP_OK)
			continue;
		if (pkt->len > pkt->hdr_len) {
			dp_srtp_iv(iv[ciphers], key->salt, pkt->ssrc, pkt->index);
			dp_mb_ctr_set(mb, ciphers, key->rk, 10, iv[ciphers], pkt->data + pkt->hdr_len,
				      (size_t)pkt->len - pkt->hdr_len);
			ciphers++;
		}
		dp_mb_hmac_set_word(mb, macs, key->state, pkt->data, pkt->len, (uint32_t)(pkt->index >> 16),
				    pkt->data + pkt->len, key->tag_len);
		job[macs++] = (uint8_t)i;
	}
	dp_mb_ctr_run(mb, ciphers);
	dp_mb_hmac_run(mb, macs);
	for (uint16_t j = 0; j < macs; j++) {
		struct dp_srtp_pkt *pkt = &pkts[job[j]];

		pkt->len = (uint16_t)(pkt->len + pkt->key->tag_len);
	}
	return macs;
}

/*
 * What can be known before the MAC: DP_OK, or why not. 'index' is the guess that this was said of; it holds as long as no
 * other packet of the burst moves the stream.
 */
static uint8_t guess_check(struct dp_srtp_pkt *pkt)
{
	struct dp_srtp_key *key = pkt->key;
	uint16_t seq = (uint16_t)(pkt->data[2] << 8 | pkt->data[3]);
	struct dp_srtp_stream *stream = dp_srtp_stream_find(key, pkt->ssrc);

	pkt->stream = stream;
	pkt->index = dp_srtp_guess(stream != NULL ? stream->rtp.top : key->index_floor, seq);
	if (pkt->index > DP_SRTP_INDEX_MAX)
		return DP_DROP_KEY_LIMIT;
	if (stream != NULL)
		return dp_srtp_replay_verdict(dp_replay_check(&stream->rtp, pkt->index));
	if (key->index_floor > 0 && pkt->index <= key->index_floor)
		return DP_DROP_STALE;
	return dp_srtp_stream_room(key) ? DP_OK : DP_DROP_NO_STREAM;
}

static uint8_t unprotect_parse(struct dp_srtp_pkt *pkt)
{
	const struct dp_srtp_key *key = pkt->key;
	uint32_t hdr;

	if (key == NULL)
		return DP_DROP_NO_KEY;
	if (pkt->len < RTP_MIN + key->tag_len)
		return DP_DROP_RTP_MALFORMED;
	hdr = rtp_header(pkt->data, (uint32_t)pkt->len - key->tag_len);
	if (hdr == 0)
		return DP_DROP_RTP_MALFORMED;
	pkt->hdr_len = (uint16_t)hdr;
	pkt->ssrc = dp_srtp_be32(pkt->data + 8);
	memcpy(pkt->tag, pkt->data + pkt->len - key->tag_len, key->tag_len == 10 ? 10 : 4);
	return DP_OK;
}

static inline void mac_job(struct dp_mb *mb, unsigned int slot, struct dp_srtp_pkt *pkt, uint8_t *tag)
{
	const struct dp_srtp_key *key = pkt->key;
	size_t len = (size_t)pkt->len - key->tag_len;

	dp_mb_hmac_set_word(mb, slot, key->state, pkt->data, len, (uint32_t)(pkt->index >> 16), tag, DP_MB_SHA1_LEN);
}

static uint8_t accept_index(struct dp_srtp_pkt *pkt)
{
	if (pkt->stream == NULL)
		pkt->stream = dp_srtp_stream_begin(pkt->key, pkt->ssrc);
	if (pkt->stream == NULL)
		return DP_DROP_NO_STREAM;
	return dp_srtp_replay_verdict(dp_replay_commit(&pkt->stream->rtp, pkt->index));
}

/* Equal tags? 4 or 10 bytes, in the same time for every content. */
static inline bool tag_equal(const uint8_t *a, const uint8_t *b, uint8_t len)
{
	uint64_t x, y;
	uint32_t diff, d;
	uint16_t s, t;

	memcpy(&diff, a, 4);
	memcpy(&d, b, 4);
	diff ^= d;
	if (len == 10) {
		memcpy(&x, a, 8);
		memcpy(&y, b, 8);
		memcpy(&s, a + 8, 2);
		memcpy(&t, b + 8, 2);
		x = (x ^ y) | (uint64_t)(s ^ t);
		diff = (uint32_t)x | (uint32_t)(x >> 32);
	}
	return diff == 0;
}

/*
 * The verdict of one packet in its turn. Packets before it may have begun its stream or moved it so far that the
 * first guess was another; then its MAC is done once more, alone. 'early' is what guess_check() said before.
 */
static uint8_t judge_again(struct dp_mb *mb, struct dp_srtp_pkt *pkt, uint8_t early, const uint8_t *tag)
{
	uint8_t again[DP_MB_SHA1_LEN];
	uint64_t before = pkt->index;
	uint8_t verdict = guess_check(pkt);

	if (verdict != DP_OK)
		return verdict;
	if (early != DP_OK || pkt->index != before) {
		mac_job(mb, 0, pkt, again);
		dp_mb_hmac_run(mb, 1);
		tag = again;
	}
	if (!tag_equal(tag, pkt->tag, pkt->key->tag_len))
		return DP_DROP_AUTH;
	return accept_index(pkt);
}

static inline uint8_t judge(struct dp_mb *mb, struct dp_srtp_pkt *pkt, uint8_t early, const uint8_t *tag)
{
	struct dp_srtp_stream *stream = pkt->stream;

	/* Nearly always: the stream was there, and stands so that the guess is the same. */
	if (__builtin_expect(early == DP_OK && stream != NULL, 1) &&
	    __builtin_expect(dp_srtp_guess(stream->rtp.top, (uint16_t)pkt->index) == pkt->index, 1) &&
	    __builtin_expect(tag_equal(tag, pkt->tag, pkt->key->tag_len), 1))
		return dp_srtp_replay_verdict(dp_replay_commit(&stream->rtp, pkt->index));
	return judge_again(mb, pkt, early, tag);
}

uint16_t dp_srtp_unprotect_burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n)
{
	uint8_t iv[DP_SRTP_BURST][16] __attribute__((aligned(64)));
	uint8_t tag[DP_SRTP_BURST][DP_MB_SHA1_LEN];
	uint8_t job[DP_SRTP_BURST], early[DP_SRTP_BURST], slot[DP_SRTP_BURST];
	uint16_t parsed = 0, macs = 0, ciphers = 0, ok = 0;

	/* 1. Headers, guess of the index, what is already known to be bad. */
	for (uint16_t i = 0; i < n; i++) {
		struct dp_srtp_pkt *pkt = &pkts[i];

		prefetch(pkts, i, n);
		if (pkt->verdict != DP_OK)
			continue;
		pkt->verdict = unprotect_parse(pkt);
		if (pkt->verdict != DP_OK)
			continue;
		early[parsed] = guess_check(pkt);
		slot[parsed] = (uint8_t)macs;
		job[parsed] = (uint8_t)i;
		if (early[parsed] == DP_OK) {
			mac_job(mb, macs, pkt, tag[macs]);
			macs++;
		}
		parsed++;
	}
	/* 2. All tags at once. */
	dp_mb_hmac_run(mb, macs);
	/* 3. In order: only authenticated packets touch ROC, window or streams. */
	for (uint16_t j = 0; j < parsed; j++) {
		struct dp_srtp_pkt *pkt = &pkts[job[j]];
		const struct dp_srtp_key *key = pkt->key;
		size_t len;

		pkt->verdict = judge(mb, pkt, early[j], tag[slot[j]]);
		if (pkt->verdict != DP_OK)
			continue;
		len = (size_t)pkt->len - key->tag_len;
		if (len > pkt->hdr_len) {
			dp_srtp_iv(iv[ciphers], key->salt, pkt->ssrc, pkt->index);
			dp_mb_ctr_set(mb, ciphers, key->rk, 10, iv[ciphers], pkt->data + pkt->hdr_len,
				      len - pkt->hdr_len);
			ciphers++;
		}
	}
	/* 4. Decrypt what is left. */
	dp_mb_ctr_run(mb, ciphers);
	for (uint16_t j = 0; j < parsed; j++) {
		struct dp_srtp_pkt *pkt = &pkts[job[j]];
		uint16_t len = (uint16_t)(pkt->len - pkt->key->tag_len);

		if (pkt->verdict != DP_OK)
			continue;
		if (!padding_ok(pkt->data, pkt->hdr_len, len)) {
			pkt->verdict = DP_DROP_RTP_MALFORMED; /* by who has the key: the index stays used */
			continue;
		}
		pkt->len = len;
		ok++;
	}
	return ok;
}
