/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "crypto/mb.h"
#include "srtp/ext.h"
#include "srtp/one.h"
#include "srtp/stream.h"

#define PREFETCH     6  /* packets ahead: what a key points to */
#define PREFETCH_KEY 12 /* and the key itself */

/* Does the padding that the header announces fit? 'len' without tag, payload in clear. */
static inline bool padding_ok(const uint8_t *p, uint32_t hdr, uint32_t len)
{
	return (p[0] & 0x20) == 0 || (len > hdr && p[len - 1] != 0 && p[len - 1] <= len - hdr);
}

/* Before the first packet: what prefetch() would have done for it, were there packets before. */
static inline void prefetch_first(const struct dp_srtp_pkt *pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n && i < PREFETCH_KEY; i++)
		if (pkts[i].key != NULL)
			dp_srtp_key_prefetch(pkts[i].key);
	for (uint16_t i = 0; i < n && i < PREFETCH; i++)
		if (pkts[i].key != NULL)
			dp_srtp_ext_prefetch(pkts[i].key);
}

static inline void prefetch(const struct dp_srtp_pkt *pkts, uint16_t i, uint16_t n)
{
	if (i + PREFETCH_KEY < n && pkts[i + PREFETCH_KEY].key != NULL)
		dp_srtp_key_prefetch(pkts[i + PREFETCH_KEY].key);
	if (i + PREFETCH < n && pkts[i + PREFETCH].key != NULL)
		dp_srtp_ext_prefetch(pkts[i + PREFETCH].key);
}

/* The key to send with where it is not simply the head. NULL: *ret_why. */
static struct dp_srtp_key *choose(struct dp_srtp_key *head, uint64_t index, uint8_t *ret_why)
{
	struct dp_srtp_key *key = dp_srtp_pick(head, index);

	if (key != NULL) {
		if (key != head)
			dp_srtp_mark(head, key, DP_SRTP_P_USED);
		return key;
	}
	*ret_why = DP_DROP_NO_KEY;
	for (struct dp_srtp_key *k = head; k != NULL; k = k->next)
		if (k->until == 0 || ((k->flags & DP_SRTP_F_RANGE) != 0 && index > dp_srtp_more(k)->to))
			*ret_why = DP_DROP_KEY_LIMIT;
	if (*ret_why == DP_DROP_KEY_LIMIT)
		dp_srtp_mark(head, head, DP_SRTP_P_STILL);
	return NULL;
}

static inline uint8_t protect_prepare(struct dp_srtp_pkt *pkt)
{
	struct dp_srtp_key *head = pkt->key, *key = head;
	const uint8_t *p = pkt->data;
	struct dp_srtp_stream *stream;
	uint32_t hdr = dp_srtp_rtp_header(p, pkt->len), trailer;
	uint16_t seq;
	uint8_t verdict;

	if (head == NULL)
		return DP_DROP_NO_KEY;
	if (hdr == 0 || !padding_ok(p, hdr, pkt->len))
		return DP_DROP_RTP_MALFORMED;
	seq = (uint16_t)(p[2] << 8 | p[3]);
	pkt->ssrc = dp_srtp_be32(p + 8);
	pkt->hdr_len = (uint16_t)hdr;
	stream = dp_srtp_stream_find(head, pkt->ssrc);
	pkt->index = dp_srtp_guess_of(head, stream, seq);
	if (pkt->index > DP_SRTP_INDEX_MAX) {
		dp_srtp_mark(head, head, DP_SRTP_P_STILL);
		return DP_DROP_KEY_LIMIT;
	}
	if (__builtin_expect(head->slow != 0 || head->until == 0, 0)) {
		key = choose(head, pkt->index, &verdict);
		if (key == NULL)
			return verdict;
	}
	pkt->used = key;
	trailer = dp_srtp_key_trailer(key);
	/* ROC behind the packet: four bytes are there with every tag. */
	if (pkt->room < trailer || pkt->len > UINT16_MAX - trailer)
		return DP_DROP_NO_ROOM;
	if (stream == NULL) {
		if (dp_srtp_below_floor(head, pkt->index))
			return DP_DROP_STALE;
		stream = dp_srtp_stream_begin(head, pkt->ssrc);
		if (stream == NULL) {
			dp_srtp_refused(head, pkt->ssrc);
			return DP_DROP_NO_STREAM;
		}
	}
	/* The index is ours: it is used from here on. */
	verdict = dp_srtp_replay_verdict(dp_srtp_win_commit(head, stream, pkt->index));
	if (verdict != DP_OK)
		return verdict;
	dp_srtp_reserve(pkt->tx_reserved, pkt->index, DP_SRTP_INDEX_MAX);
	dp_srtp_count(head, key, pkt->index);
	return DP_OK;
}

static inline void protect_gcm(struct dp_mb *mb, struct dp_srtp_pkt *pkt)
{
	const struct dp_srtp_key *key = pkt->used;
	uint8_t iv[12], *body = pkt->data + pkt->hdr_len, *end = pkt->data + pkt->len;

	dp_srtp_gcm_iv(iv, key->salt, pkt->ssrc, pkt->index);
	dp_mb_gcm_enc(mb, dp_srtp_key_len(key->kind), (const void *)key->ext, iv, pkt->data, pkt->hdr_len, body, body,
		      (size_t)pkt->len - pkt->hdr_len, end);
	if (__builtin_expect(key->mki_len > 0, 0))
		memcpy(end + 16, dp_srtp_more(key)->mki, key->mki_len);
	pkt->len = (uint16_t)(pkt->len + dp_srtp_key_trailer(key));
}

uint16_t dp_srtp_protect_burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n)
{
	uint8_t iv[DP_SRTP_BURST][16] __attribute__((aligned(64)));
	uint8_t job[DP_SRTP_BURST], alone[DP_SRTP_BURST];
	uint16_t ciphers = 0, macs = 0, alones = 0, ok = 0;

	prefetch_first(pkts, n);
	for (uint16_t i = 0; i < n; i++) {
		struct dp_srtp_pkt *pkt = &pkts[i];
		const struct dp_srtp_key *key;

		prefetch(pkts, i, n);
		if (pkt->verdict != DP_OK)
			continue;
		pkt->verdict = protect_prepare(pkt);
		if (pkt->verdict != DP_OK)
			continue;
		key = pkt->used;
		ok++;
		if (__builtin_expect((key->flags & DP_SRTP_F_KDR) != 0, 0)) {
			alone[alones++] = (uint8_t)i;
			continue;
		}
		if (key->kind >= DP_SRTP_K_GCM128) {
			protect_gcm(mb, pkt);
			continue;
		}
		if (pkt->len > pkt->hdr_len && key->kind != DP_SRTP_K_NULL) {
			dp_srtp_iv(iv[ciphers], key->salt, pkt->ssrc, pkt->index);
			dp_mb_ctr_set(mb, ciphers, key->kind == DP_SRTP_K_CM128 ? key->rk : key->ext,
				      dp_srtp_rounds(key->kind), iv[ciphers], pkt->data + pkt->hdr_len,
				      (size_t)pkt->len - pkt->hdr_len);
			ciphers++;
		}
		dp_mb_hmac_set_word(mb, macs, key->state, pkt->data, pkt->len, (uint32_t)(pkt->index >> 16),
				    pkt->data + pkt->len + key->mki_len, key->tag_len);
		job[macs++] = (uint8_t)i;
	}
	dp_mb_ctr_run(mb, ciphers);
	dp_mb_hmac_run(mb, macs);
	for (uint16_t j = 0; j < macs; j++) {
		struct dp_srtp_pkt *pkt = &pkts[job[j]];
		const struct dp_srtp_key *key = pkt->used;

		if (__builtin_expect(key->mki_len > 0, 0)) /* not before: the ROC stood there for a moment */
			memcpy(pkt->data + pkt->len, dp_srtp_more(key)->mki, key->mki_len);
		pkt->len = (uint16_t)(pkt->len + dp_srtp_key_trailer(key));
	}
	for (uint16_t j = 0; j < alones; j++)
		dp_srtp_one_protect(mb, &pkts[alone[j]]);
	return ok;
}

/*
 * What can be known before the MAC: DP_OK, or why not. 'index' is the guess that this was said of; it holds as long as no
 * other packet of the burst moves the stream.
 */
static inline uint8_t guess_check(struct dp_srtp_pkt *pkt)
{
	struct dp_srtp_key *head = pkt->key;
	uint16_t seq = (uint16_t)(pkt->data[2] << 8 | pkt->data[3]);
	struct dp_srtp_stream *stream = dp_srtp_stream_find(head, pkt->ssrc);

	pkt->stream = stream;
	pkt->index = dp_srtp_guess_of(head, stream, seq);
	if (pkt->index > DP_SRTP_INDEX_MAX || pkt->used->until == 0)
		return DP_DROP_KEY_LIMIT;
	if (stream != NULL)
		return dp_srtp_replay_verdict(dp_srtp_win_check(head, stream, pkt->index));
	return dp_srtp_below_floor(head, pkt->index) ? DP_DROP_STALE : DP_OK;
}

/* The key of the list that has the packet's MKI and whose packets bursts take; NULL: to be looked for one by one. */
static struct dp_srtp_key *by_mki(const struct dp_srtp_pkt *pkt)
{
	for (struct dp_srtp_key *k = pkt->key->next; k != NULL; k = k->next) {
		if ((k->flags & (DP_SRTP_F_SHARES | DP_SRTP_F_KDR)) != DP_SRTP_F_SHARES || k->suite != pkt->key->suite ||
		    k->mki_len != pkt->key->mki_len)
			return NULL; /* streams of its own, or trailers of other lengths than the header was checked with */
		if (dp_srtp_mki_is(k, pkt->data + dp_srtp_mki_at(k, pkt->len)))
			return k;
	}
	return NULL;
}

/* The header, and which key. used NULL: to be matched with the list's keys one by one. */
static inline uint8_t unprotect_parse(struct dp_srtp_pkt *pkt)
{
	struct dp_srtp_key *head = pkt->key;
	uint32_t hdr, trailer;

	if (head == NULL)
		return DP_DROP_NO_KEY;
	pkt->used = NULL;
	if (__builtin_expect(head->slow != 0, 0))
		return DP_OK;
	trailer = dp_srtp_key_trailer(head);
	if (pkt->len < 12 + trailer)
		return head->next != NULL ? DP_OK : DP_DROP_RTP_MALFORMED;
	hdr = dp_srtp_rtp_header(pkt->data, pkt->len - trailer);
	if (hdr == 0)
		return head->next != NULL ? DP_OK : DP_DROP_RTP_MALFORMED;
	pkt->hdr_len = (uint16_t)hdr;
	pkt->ssrc = dp_srtp_be32(pkt->data + 8);
	pkt->used = head;
	if (__builtin_expect(head->mki_len > 0, 0) &&
	    !dp_srtp_mki_is(head, pkt->data + dp_srtp_mki_at(head, pkt->len))) {
		pkt->used = by_mki(pkt);
		if (pkt->used == NULL && head->next == NULL)
			return DP_DROP_NO_KEY;
	}
	return DP_OK;
}

static inline void mac_job(struct dp_mb *mb, unsigned int slot, struct dp_srtp_pkt *pkt, uint8_t *tag)
{
	const struct dp_srtp_key *key = pkt->used;
	size_t len = (size_t)pkt->len - dp_srtp_key_trailer(key);

	dp_mb_hmac_set_word(mb, slot, key->state, pkt->data, len, (uint32_t)(pkt->index >> 16), tag, DP_MB_SHA1_LEN);
}

static uint8_t accept_index(struct dp_srtp_pkt *pkt)
{
	if (pkt->stream == NULL)
		pkt->stream = dp_srtp_stream_begin(pkt->key, pkt->ssrc);
	if (pkt->stream == NULL) {
		dp_srtp_refused(pkt->key, pkt->ssrc);
		return DP_DROP_NO_STREAM;
	}
	return dp_srtp_replay_verdict(dp_srtp_win_commit(pkt->key, pkt->stream, pkt->index));
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
	if (!dp_srtp_tag_equal(tag, pkt->data + pkt->len - pkt->used->tag_len, pkt->used->tag_len))
		return DP_DROP_AUTH;
	return accept_index(pkt);
}

static inline uint8_t judge(struct dp_mb *mb, struct dp_srtp_pkt *pkt, uint8_t early, const uint8_t *tag)
{
	struct dp_srtp_stream *stream = pkt->stream;
	const struct dp_srtp_key *key = pkt->used;

	/* Nearly always: the stream was there, and stands so that the guess is the same. */
	if (__builtin_expect(early == DP_OK && stream != NULL && key->until != 0, 1) &&
	    __builtin_expect(dp_srtp_guess(stream->rtp.top, (uint16_t)pkt->index) == pkt->index, 1) &&
	    __builtin_expect(dp_srtp_tag_equal(tag, pkt->data + pkt->len - key->tag_len, key->tag_len), 1))
		return dp_srtp_replay_verdict(dp_srtp_win_commit(pkt->key, stream, pkt->index));
	return judge_again(mb, pkt, early, tag);
}

/*
 * Is there anything left to try for a packet that the first key refused? Another key of the list, or the next ROC where
 * a stream would begin with one from signalling.
 */
static inline bool more_to_try(const struct dp_srtp_pkt *pkt)
{
	return pkt->key->next != NULL || ((pkt->key->flags & DP_SRTP_F_ROC) != 0 && pkt->stream == NULL);
}

/* GCM opens and authenticates in one: nothing is done before the packet's turn. */
static inline uint8_t judge_gcm(struct dp_mb *mb, struct dp_srtp_pkt *pkt)
{
	const struct dp_srtp_key *key = pkt->used;
	uint8_t iv[12], tag[16], *body = pkt->data + pkt->hdr_len;
	size_t len = (size_t)pkt->len - dp_srtp_key_trailer(key) - pkt->hdr_len;
	uint8_t verdict = guess_check(pkt);

	if (verdict != DP_OK)
		return verdict;
	dp_srtp_gcm_iv(iv, key->salt, pkt->ssrc, pkt->index);
	dp_mb_gcm_dec(mb, dp_srtp_key_len(key->kind), (const void *)key->ext, iv, pkt->data, pkt->hdr_len, body, body, len,
		      tag);
	if (__builtin_expect(dp_srtp_tag_equal(tag, body + len, 16), 1))
		return accept_index(pkt);
	if (more_to_try(pkt)) /* as it was */
		dp_mb_gcm_enc(mb, dp_srtp_key_len(key->kind), (const void *)key->ext, iv, pkt->data, pkt->hdr_len, body,
			      body, len, tag);
	return DP_DROP_AUTH;
}

/* What the head, or the key of the MKI, says; then the others of the list. True: already decrypted. */
static bool judge_list(struct dp_mb *mb, struct dp_srtp_pkt *pkt, uint16_t *ret_len)
{
	uint8_t first = pkt->used != NULL ? pkt->verdict : DP_OK, v;

	v = dp_srtp_one_unprotect(mb, pkt, pkt->used, ret_len);
	if (v == DP_OK || first == DP_OK)
		pkt->verdict = v;
	else if (v != DP_DROP_NO_KEY)
		pkt->verdict = dp_srtp_worse(first, v);
	return v == DP_OK;
}

uint16_t dp_srtp_unprotect_burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n)
{
	uint8_t iv[DP_SRTP_BURST][16] __attribute__((aligned(64)));
	uint8_t tag[DP_SRTP_BURST][DP_MB_SHA1_LEN];
	uint8_t job[DP_SRTP_BURST], early[DP_SRTP_BURST], slot[DP_SRTP_BURST];
	uint16_t clear[DP_SRTP_BURST]; /* length of what comes out */
	uint16_t parsed = 0, macs = 0, ciphers = 0, ok = 0;

	prefetch_first(pkts, n);
	/* 1. Headers, guess of the index, what is already known to be bad. */
	for (uint16_t i = 0; i < n; i++) {
		struct dp_srtp_pkt *pkt = &pkts[i];

		prefetch(pkts, i, n);
		if (pkt->verdict != DP_OK)
			continue;
		pkt->verdict = unprotect_parse(pkt);
		if (pkt->verdict != DP_OK)
			continue;
		job[parsed] = (uint8_t)i;
		if (__builtin_expect(pkt->used != NULL, 1) && pkt->used->kind < DP_SRTP_K_GCM128) {
			early[parsed] = guess_check(pkt);
			slot[parsed] = (uint8_t)macs;
			if (early[parsed] == DP_OK) {
				mac_job(mb, macs, pkt, tag[macs]);
				macs++;
			}
		}
		parsed++;
	}
	/* 2. All tags at once. */
	dp_mb_hmac_run(mb, macs);
	/* 3. In order: only authenticated packets touch ROC, window or streams. */
	for (uint16_t j = 0; j < parsed; j++) {
		struct dp_srtp_pkt *pkt = &pkts[job[j]];
		const struct dp_srtp_key *key = pkt->used;

		if (__builtin_expect(key == NULL, 0))
			pkt->verdict = DP_DROP_AUTH;
		else if (key->kind >= DP_SRTP_K_GCM128)
			pkt->verdict = judge_gcm(mb, pkt);
		else
			pkt->verdict = judge(mb, pkt, early[j], tag[slot[j]]);
		if (__builtin_expect(pkt->verdict != DP_OK, 0)) {
			if (key != NULL && !more_to_try(pkt))
				continue;
			dp_mb_ctr_run(mb, ciphers); /* the slots are wanted */
			ciphers = 0;
			(void)judge_list(mb, pkt, &clear[j]);
			continue;
		}
		clear[j] = (uint16_t)(pkt->len - dp_srtp_key_trailer(key));
		dp_srtp_count(pkt->key, pkt->used, pkt->index);
		if (__builtin_expect(key != pkt->key, 0) && (key->flags & DP_SRTP_F_ENDING) == 0)
			dp_srtp_mark(pkt->key, pkt->used, DP_SRTP_P_USED);
		if (key->kind < DP_SRTP_K_NULL && clear[j] > pkt->hdr_len) {
			dp_srtp_iv(iv[ciphers], key->salt, pkt->ssrc, pkt->index);
			dp_mb_ctr_set(mb, ciphers, key->kind == DP_SRTP_K_CM128 ? key->rk : key->ext,
				      dp_srtp_rounds(key->kind), iv[ciphers], pkt->data + pkt->hdr_len,
				      (size_t)clear[j] - pkt->hdr_len);
			ciphers++;
		}
	}
	/* 4. Decrypt what is left. */
	dp_mb_ctr_run(mb, ciphers);
	for (uint16_t j = 0; j < parsed; j++) {
		struct dp_srtp_pkt *pkt = &pkts[job[j]];

		if (pkt->verdict != DP_OK)
			continue;
		if (!padding_ok(pkt->data, pkt->hdr_len, clear[j])) {
			pkt->verdict = DP_DROP_RTP_MALFORMED; /* by who has the key: the index stays used */
			continue;
		}
		pkt->len = clear[j];
		ok++;
	}
	return ok;
}
