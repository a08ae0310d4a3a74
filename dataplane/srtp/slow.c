/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RTP packets that the bursts of srtp.c do not take: keys with a derivation rate, <From,To>, a ROC from signalling, and
 * whatever did not authenticate under the head of a list that has other keys.
 */
#include <string.h>

#include "srtp/one.h"

struct dp_srtp_key *dp_srtp_pick(struct dp_srtp_key *head, uint64_t index)
{
	struct dp_srtp_key *best = NULL;

	for (struct dp_srtp_key *k = head; k != NULL; k = k->next) {
		uint64_t from = (k->flags & DP_SRTP_F_RANGE) != 0 ? dp_srtp_more(k)->from : 0;

		if (k->until == 0 || !dp_srtp_in_range(k, index))
			continue;
		/* A standby key's turn has come with its 'from'; else the first of the list. */
		if (best == NULL || ((k->flags & DP_SRTP_F_STANDBY) != 0 && from > 0 &&
				     ((best->flags & DP_SRTP_F_RANGE) == 0 || from > dp_srtp_more(best)->from)))
			best = k;
	}
	return best;
}

static void sess_of(struct dp_mb *mb, struct dp_srtp_key *key, uint64_t index, struct dp_srtp_scratch *scratch,
		    struct dp_srtp_sess *ret)
{
	if ((key->flags & DP_SRTP_F_KDR) != 0)
		dp_srtp_sess_at(mb, key, false, index, scratch, ret);
	else
		dp_srtp_sess_own(key, ret);
}

void dp_srtp_one_protect(struct dp_mb *mb, struct dp_srtp_pkt *pkt)
{
	struct dp_srtp_key *key = pkt->used;
	struct dp_srtp_scratch scratch;
	struct dp_srtp_sess sess;
	uint8_t *body = pkt->data + pkt->hdr_len, *end = pkt->data + pkt->len;
	size_t len = (size_t)pkt->len - pkt->hdr_len;
	uint8_t *mki = end, *tag = end + key->mki_len;
	uint8_t iv[16] __attribute__((aligned(16)));

	sess_of(mb, key, pkt->index, &scratch, &sess);
	if (key->kind >= DP_SRTP_K_GCM128) {
		mki = end + key->tag_len;
		dp_srtp_gcm_iv(iv, sess.salt, pkt->ssrc, pkt->index);
		dp_mb_gcm_enc(mb, dp_srtp_key_len(key->kind), (const void *)sess.enc, iv, pkt->data, pkt->hdr_len, body,
			      body, len, end);
	} else {
		dp_srtp_one_ctr(mb, &sess, pkt->ssrc, pkt->index, body, len);
		dp_mb_hmac_set_word(mb, 0, sess.state, pkt->data, pkt->len, (uint32_t)(pkt->index >> 16), tag, key->tag_len);
		dp_mb_hmac_run(mb, 1);
	}
	if (key->mki_len > 0)
		memcpy(mki, dp_srtp_more(key)->mki, key->mki_len);
	pkt->len = (uint16_t)(pkt->len + dp_srtp_key_trailer(key));
	if ((key->flags & DP_SRTP_F_KDR) != 0) {
		dp_srtp_sess_keep(key, false, &scratch);
		explicit_bzero(&scratch, sizeof(scratch));
	}
}

/* Is the packet authentic under these keys and this index? It is decrypted then, else as it was. */
static bool open_with(struct dp_mb *mb, const struct dp_srtp_sess *sess, const struct dp_srtp_key *key,
		      struct dp_srtp_pkt *pkt, uint64_t index, uint32_t hdr, uint32_t len)
{
	uint8_t tag[DP_MB_SHA1_LEN], iv[16] __attribute__((aligned(16)));
	uint8_t *body = pkt->data + hdr;

	if (key->kind < DP_SRTP_K_GCM128) {
		dp_mb_hmac_set_word(mb, 0, sess->state, pkt->data, len, (uint32_t)(index >> 16), tag, sizeof(tag));
		dp_mb_hmac_run(mb, 1);
		if (!dp_srtp_tag_equal(tag, pkt->data + len + key->mki_len, key->tag_len))
			return false;
		dp_srtp_one_ctr(mb, sess, pkt->ssrc, index, body, len - hdr);
		return true;
	}
	dp_srtp_gcm_iv(iv, sess->salt, pkt->ssrc, index);
	dp_mb_gcm_dec(mb, dp_srtp_key_len(key->kind), (const void *)sess->enc, iv, pkt->data, hdr, body, body, len - hdr, tag);
	if (dp_srtp_tag_equal(tag, pkt->data + len, 16))
		return true;
	dp_mb_gcm_enc(mb, dp_srtp_key_len(key->kind), (const void *)sess->enc, iv, pkt->data, hdr, body, body, len - hdr, tag);
	return false;
}

/* Authentic: the packet's place in its direction. */
static uint8_t settle(struct dp_srtp_pkt *pkt, struct dp_srtp_key *own, struct dp_srtp_stream *stream, uint64_t index)
{
	uint8_t verdict;

	if (stream == NULL)
		stream = dp_srtp_stream_begin(own, pkt->ssrc);
	if (stream == NULL) {
		dp_srtp_refused(pkt->key, pkt->ssrc);
		return DP_DROP_NO_STREAM;
	}
	verdict = dp_srtp_replay_verdict(dp_srtp_win_commit(own, stream, index));
	if (verdict != DP_OK)
		return verdict;
	pkt->stream = stream;
	pkt->index = index;
	dp_srtp_count(pkt->key, pkt->used, index);
	/* The party has changed over: the next packets are looked for here first. */
	if (pkt->used != pkt->key && own == pkt->key && (pkt->used->flags & DP_SRTP_F_ENDING) == 0)
		dp_srtp_mark(pkt->key, pkt->used, DP_SRTP_P_USED);
	return DP_OK;
}

/* One key. 'try': ROCs beyond the one from signalling, which may have turned since. */
static uint8_t with_key(struct dp_mb *mb, struct dp_srtp_pkt *pkt, struct dp_srtp_key *key, struct dp_srtp_key *own,
			unsigned int try, uint32_t hdr, uint32_t len)
{
	uint16_t seq = (uint16_t)(pkt->data[2] << 8 | pkt->data[3]);
	struct dp_srtp_stream *stream = dp_srtp_stream_find(own, pkt->ssrc);
	uint64_t index = dp_srtp_guess_of(own, stream, seq);
	struct dp_srtp_scratch scratch;
	struct dp_srtp_sess sess;
	uint8_t verdict = DP_DROP_AUTH;

	if (try > 0 && (stream != NULL || (own->flags & DP_SRTP_F_ROC) == 0))
		return DP_DROP_AUTH;
	index += (uint64_t)try << 16;
	if (index > DP_SRTP_INDEX_MAX || key->until == 0)
		return DP_DROP_KEY_LIMIT;
	if (!dp_srtp_in_range(key, index))
		return index > dp_srtp_more(key)->to ? DP_DROP_KEY_LIMIT : DP_DROP_NO_KEY;
	if (stream != NULL) {
		verdict = dp_srtp_replay_verdict(dp_srtp_win_check(own, stream, index));
		if (verdict != DP_OK)
			return verdict;
	} else if (dp_srtp_below_floor(own, index)) {
		return DP_DROP_STALE;
	}
	sess_of(mb, key, index, &scratch, &sess);
	verdict = DP_DROP_AUTH;
	if (open_with(mb, &sess, key, pkt, index, hdr, len)) {
		pkt->hdr_len = (uint16_t)hdr;
		pkt->used = key;
		verdict = settle(pkt, own, stream, index);
		if (verdict == DP_OK && (key->flags & DP_SRTP_F_KDR) != 0)
			dp_srtp_sess_keep(key, false, &scratch);
	}
	if ((key->flags & DP_SRTP_F_KDR) != 0)
		explicit_bzero(&scratch, sizeof(scratch));
	return verdict;
}

uint8_t dp_srtp_one_unprotect(struct dp_mb *mb, struct dp_srtp_pkt *pkt, const struct dp_srtp_key *skip, uint16_t *ret_len)
{
	struct dp_srtp_key *own = pkt->key;
	uint8_t verdict = DP_OK;
	bool fits = false;

	for (struct dp_srtp_key *key = pkt->key; key != NULL; key = key->next) {
		uint32_t trailer = dp_srtp_key_trailer(key), len, hdr;

		if ((key->flags & DP_SRTP_F_SHARES) == 0)
			own = key;
		if (pkt->len < 12 + trailer)
			continue;
		len = pkt->len - trailer;
		hdr = dp_srtp_rtp_header(pkt->data, len);
		if (hdr == 0)
			continue;
		fits = true;
		pkt->ssrc = dp_srtp_be32(pkt->data + 8);
		if (!dp_srtp_mki_is(key, pkt->data + dp_srtp_mki_at(key, pkt->len)))
			continue;
		for (unsigned int try = 0; try < 2; try++) {
			uint8_t v = key == skip && try == 0 ? DP_DROP_AUTH : with_key(mb, pkt, key, own, try, hdr, len);

			if (v == DP_OK) {
				*ret_len = (uint16_t)len;
				return DP_OK;
			}
			if (try == 0 && key != skip)
				verdict = dp_srtp_worse(verdict, v);
			if (v != DP_DROP_AUTH)
				break;
		}
	}
	if (!fits)
		return DP_DROP_RTP_MALFORMED;
	return verdict != DP_OK ? verdict : DP_DROP_NO_KEY;
}
