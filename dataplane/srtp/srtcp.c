/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SRTCP, packet by packet: one in seconds per leg. Its session keys are expanded when a packet comes, against 216 bytes
 * in each key; packets of one key that follow each other share an expansion. RFC 3711 s3.4, RFC 7714 s9.
 */
#include <string.h>

#include "srtp/one.h"

#define RTCP_HDR 8
#define WORD     4 /* E and index */
#define HMAC_TAG 10
#define GCM_TAG  16
#define E_BIT    0x80000000u

struct work {
	struct dp_mb *mb;
	struct dp_srtp_scratch scratch;
	struct dp_srtp_sess sess;
	const struct dp_srtp_key *last; /* whose keys are expanded; NULL: nobody's, or those of one period */
	bool dirty;
};

static inline bool is_gcm(const struct dp_srtp_key *key)
{
	return key->kind >= DP_SRTP_K_GCM128;
}

/* Bytes that an SRTCP packet has more than its RTCP packet. */
static inline uint32_t trailer_of(const struct dp_srtp_key *key)
{
	return WORD + key->mki_len + (is_gcm(key) ? GCM_TAG : HMAC_TAG);
}

static void expand(struct work *w, struct dp_srtp_key *key, uint64_t index)
{
	w->dirty = true;
	if ((key->flags & DP_SRTP_F_KDR) != 0) {
		w->last = NULL;
		dp_srtp_sess_at(w->mb, key, true, index, &w->scratch, &w->sess);
		return;
	}
	if (w->last == key)
		return;
	w->last = key;
	memcpy(w->scratch.raw.key, dp_srtp_rtcp_key(key), dp_srtp_key_len(key->kind));
	memcpy(w->scratch.raw.auth, key->rtcp_auth, sizeof(key->rtcp_auth));
	memcpy(w->scratch.raw.salt, key->rtcp_salt, sizeof(key->rtcp_salt));
	dp_srtp_sess_expand(w->mb, key->kind, &w->scratch, &w->sess);
}

/* With a packet made or accepted. */
static void count(struct work *w, struct dp_srtp_key *head, struct dp_srtp_key *key, uint64_t index)
{
	if (--key->rtcp_until == 0)
		dp_srtp_due(head, key, true);
	if (index > DP_SRTCP_INDEX_SOON)
		dp_srtp_mark(head, key, DP_SRTP_P_RTCP_SOON);
	if ((key->flags & DP_SRTP_F_KDR) != 0)
		dp_srtp_sess_keep(key, true, &w->scratch);
}

/*
 * AEAD over an RTCP packet of 'len' bytes at p (RFC 7714 s9.2, s9.3). E: the first eight bytes and the word are
 * authenticated, the rest is encrypted. No E: all is authenticated, nothing encrypted; the word is put behind the packet
 * for that, where four bytes must be writable. The tag goes to 'tag'.
 */
static void gcm(struct work *w, const struct dp_srtp_key *key, uint8_t *p, uint32_t len, uint32_t ssrc, uint32_t word,
		bool seal, uint8_t *tag)
{
	uint8_t iv[12], aad[RTCP_HDR + WORD], *body = p + RTCP_HDR;
	size_t klen = dp_srtp_key_len(key->kind), n = len - RTCP_HDR;
	const void *enc = w->sess.enc;

	dp_srtp_gcm_iv(iv, w->sess.salt, ssrc, word & ~E_BIT);
	if ((word & E_BIT) == 0) {
		dp_srtp_put_be32(p + len, word);
		dp_mb_gcm_enc(w->mb, klen, enc, iv, p, len + WORD, p, p, 0, tag);
		return;
	}
	memcpy(aad, p, RTCP_HDR);
	dp_srtp_put_be32(aad + RTCP_HDR, word);
	if (seal)
		dp_mb_gcm_enc(w->mb, klen, enc, iv, aad, sizeof(aad), body, body, n, tag);
	else
		dp_mb_gcm_dec(w->mb, klen, enc, iv, aad, sizeof(aad), body, body, n, tag);
}

static uint8_t protect_one(struct work *w, struct dp_srtp_pkt *pkt)
{
	struct dp_srtp_key *head = pkt->key, *key;
	uint8_t *p = pkt->data, *at = p + pkt->len;
	uint32_t trailer, word;

	if (head == NULL)
		return DP_DROP_NO_KEY;
	if (pkt->len < RTCP_HDR || p[0] >> 6 != 2)
		return DP_DROP_RTCP_MALFORMED;
	for (key = head; key->rtcp_until == 0; key = key->next)
		if (key->next == NULL) {
			dp_srtp_mark(head, head, DP_SRTP_P_RTCP_EXPIRED);
			return DP_DROP_KEY_LIMIT;
		}
	trailer = trailer_of(key);
	if (pkt->room < trailer || pkt->len > UINT16_MAX - trailer)
		return DP_DROP_NO_ROOM;
	if (head->rtcp_next > DP_SRTCP_INDEX_MAX) {
		dp_srtp_mark(head, head, DP_SRTP_P_RTCP_EXPIRED);
		return DP_DROP_KEY_LIMIT;
	}
	pkt->ssrc = dp_srtp_be32(p + 4);
	pkt->index = head->rtcp_next++;
	pkt->used = key;
	pkt->enc = pkt->clear == 0;
	dp_srtp_reserve(pkt->tx_reserved, pkt->index, DP_SRTCP_INDEX_MAX);
	word = (uint32_t)pkt->index | (pkt->enc ? E_BIT : 0);
	expand(w, key, pkt->index);
	if (is_gcm(key)) {
		uint8_t tag[GCM_TAG];

		gcm(w, key, p, pkt->len, pkt->ssrc, word, true, tag);
		memcpy(at, tag, GCM_TAG);
		at += GCM_TAG;
	} else if (pkt->enc) {
		dp_srtp_one_ctr(w->mb, &w->sess, pkt->ssrc, pkt->index, p + RTCP_HDR, (size_t)pkt->len - RTCP_HDR);
	}
	dp_srtp_put_be32(at, word);
	at += WORD;
	if (!is_gcm(key)) {
		dp_mb_hmac_set(w->mb, 0, w->sess.state, p, (size_t)pkt->len + WORD, at + key->mki_len, HMAC_TAG);
		dp_mb_hmac_run(w->mb, 1);
	}
	if (key->mki_len > 0)
		memcpy(at, dp_srtp_more(key)->mki, key->mki_len);
	pkt->len = (uint16_t)(pkt->len + trailer);
	count(w, head, key, pkt->index);
	return DP_OK;
}

/* Is the packet authentic? It is decrypted then, else as it was. 'len' of the RTCP packet. */
static bool open_with(struct work *w, const struct dp_srtp_key *key, struct dp_srtp_pkt *pkt, uint32_t len, uint32_t word)
{
	uint8_t tag[GCM_TAG], *p = pkt->data, wire[GCM_TAG];
	bool ok;

	if (!is_gcm(key)) {
		dp_mb_hmac_set(w->mb, 0, w->sess.state, p, len + WORD, tag, HMAC_TAG);
		dp_mb_hmac_run(w->mb, 1);
		if (!dp_srtp_tag_equal(tag, p + len + WORD + key->mki_len, HMAC_TAG))
			return false;
		if ((word & E_BIT) != 0)
			dp_srtp_one_ctr(w->mb, &w->sess, pkt->ssrc, word & ~E_BIT, p + RTCP_HDR, len - RTCP_HDR);
		return true;
	}
	memcpy(wire, p + len, GCM_TAG); /* the word takes its place with E = 0 */
	gcm(w, key, p, len, pkt->ssrc, word, false, tag);
	ok = dp_srtp_tag_equal(tag, wire, GCM_TAG);
	memcpy(p + len, wire, GCM_TAG);
	if (!ok && (word & E_BIT) != 0)
		gcm(w, key, p, len, pkt->ssrc, word, true, tag);
	return ok;
}

static uint8_t with_key(struct work *w, struct dp_srtp_pkt *pkt, struct dp_srtp_key *key, struct dp_srtp_key *own)
{
	uint32_t len = pkt->len - trailer_of(key), word;
	struct dp_srtp_stream *stream;
	uint64_t index;
	uint8_t verdict;

	word = dp_srtp_be32(pkt->data + len + (is_gcm(key) ? GCM_TAG : 0));
	index = word & ~E_BIT;
	if ((word & E_BIT) == 0 && pkt->clear == 0)
		return DP_DROP_POLICY;
	if (key->rtcp_until == 0)
		return DP_DROP_KEY_LIMIT;
	stream = dp_srtp_stream_find(own, pkt->ssrc);
	if (stream != NULL) {
		verdict = dp_srtp_replay_verdict(dp_replay_check(&stream->rtcp, index));
		if (verdict != DP_OK)
			return verdict;
	} else if (own->rtcp_next > 0 && index <= own->rtcp_next) {
		return DP_DROP_STALE;
	}
	expand(w, key, index);
	if (!open_with(w, key, pkt, len, word))
		return DP_DROP_AUTH;
	if (stream == NULL)
		stream = dp_srtp_stream_begin(own, pkt->ssrc);
	if (stream == NULL) {
		dp_srtp_refused(pkt->key, pkt->ssrc);
		return DP_DROP_NO_STREAM;
	}
	(void)dp_replay_commit(&stream->rtcp, index); /* checked above, and nothing came between */
	pkt->stream = stream;
	pkt->index = index;
	pkt->used = key;
	pkt->enc = (word & E_BIT) != 0;
	pkt->len = (uint16_t)len;
	count(w, pkt->key, key, index);
	return DP_OK;
}

static uint8_t unprotect_one(struct work *w, struct dp_srtp_pkt *pkt)
{
	struct dp_srtp_key *own = pkt->key;
	uint8_t verdict = DP_OK;
	bool fits = false;

	if (pkt->key == NULL)
		return DP_DROP_NO_KEY;
	if (pkt->len < RTCP_HDR || pkt->data[0] >> 6 != 2)
		return DP_DROP_RTCP_MALFORMED;
	pkt->ssrc = dp_srtp_be32(pkt->data + 4);
	for (struct dp_srtp_key *key = pkt->key; key != NULL; key = key->next) {
		uint32_t trailer = trailer_of(key);
		uint8_t v;

		if ((key->flags & DP_SRTP_F_SHARES) == 0)
			own = key;
		if (pkt->len < RTCP_HDR + trailer)
			continue;
		fits = true;
		if (!dp_srtp_mki_is(key, pkt->data + pkt->len - key->mki_len - (is_gcm(key) ? 0 : HMAC_TAG)))
			continue;
		v = with_key(w, pkt, key, own);
		if (v == DP_OK)
			return DP_OK;
		verdict = dp_srtp_worse(verdict, v);
	}
	if (!fits)
		return DP_DROP_RTCP_MALFORMED;
	return verdict != DP_OK ? verdict : DP_DROP_NO_KEY;
}

static uint16_t burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n,
		      uint8_t (*fn)(struct work *, struct dp_srtp_pkt *))
{
	struct work w;
	uint16_t ok = 0;

	w.mb = mb;
	w.last = NULL;
	w.dirty = false;
	for (uint16_t i = 0; i < n; i++) {
		if (pkts[i].verdict != DP_OK)
			continue;
		pkts[i].verdict = fn(&w, &pkts[i]);
		ok = (uint16_t)(ok + (pkts[i].verdict == DP_OK));
	}
	if (w.dirty)
		explicit_bzero(&w, sizeof(w));
	return ok;
}

uint16_t dp_srtcp_protect_burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n)
{
	return burst(mb, pkts, n, protect_one);
}

uint16_t dp_srtcp_unprotect_burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n)
{
	return burst(mb, pkts, n, unprotect_one);
}
