/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Session keys with a derivation rate: RFC 3711 s4.3.1. Kept are those of the current and the previous period of each
 * kind of packet, so that packets that come in disorder around a change cost no derivation; what an unauthenticated
 * packet asks for is derived, but takes no place.
 */
#include <string.h>

#include "srtp/kdf.h"
#include "srtp/one.h"

void dp_srtp_sess_expand(struct dp_mb *mb, uint8_t kind, struct dp_srtp_scratch *scratch, struct dp_srtp_sess *ret)
{
	if (kind >= DP_SRTP_K_GCM128) {
		dp_mb_gcm_key(mb, scratch->raw.key, dp_srtp_key_len(kind), (void *)scratch->enc);
	} else {
		if (kind != DP_SRTP_K_NULL)
			dp_mb_aes_expand(mb, scratch->raw.key, dp_srtp_key_len(kind), scratch->enc, NULL);
		dp_mb_hmac_sha1_key(mb, scratch->raw.auth, sizeof(scratch->raw.auth), scratch->state);
	}
	ret->kind = kind;
	ret->enc = scratch->enc;
	ret->state = scratch->state;
	ret->salt = scratch->raw.salt;
}

void dp_srtp_sess_at(struct dp_mb *mb, struct dp_srtp_key *key, bool rtcp, uint64_t index, struct dp_srtp_scratch *scratch,
		     struct dp_srtp_sess *ret)
{
	struct dp_srtp_kdr *kdr = dp_srtp_kdr(key);
	uint64_t r = index >> dp_srtp_more(key)->kdr;
	const struct dp_srtp_raw *have = NULL;

	for (int i = 0; i < DP_SRTP_KDR_SETS && have == NULL; i++)
		if (kdr->set[rtcp][i].valid != 0 && kdr->set[rtcp][i].r == r)
			have = &kdr->set[rtcp][i];
	if (have != NULL)
		scratch->raw = *have;
	else
		dp_srtp_derive(mb, key->kind, kdr->master_rk, kdr->salt, rtcp, r, &scratch->raw);
	dp_srtp_sess_expand(mb, key->kind, scratch, ret);
}

void dp_srtp_sess_keep(struct dp_srtp_key *key, bool rtcp, const struct dp_srtp_scratch *scratch)
{
	struct dp_srtp_raw *set = dp_srtp_kdr(key)->set[rtcp];

	for (int i = 0; i < DP_SRTP_KDR_SETS; i++)
		if (set[i].valid != 0 && set[i].r == scratch->raw.r)
			return;
	/* A period that is over for good leaves first; an older one than both comes in only beside the newest. */
	if (set[0].valid == 0 || scratch->raw.r > set[0].r) {
		set[1] = set[0];
		set[0] = scratch->raw;
	} else {
		set[1] = scratch->raw;
	}
}

void dp_srtp_one_ctr(struct dp_mb *mb, const struct dp_srtp_sess *sess, uint32_t ssrc, uint64_t index, uint8_t *data,
		     size_t len)
{
	uint8_t iv[16] __attribute__((aligned(16)));

	if (len == 0 || sess->kind == DP_SRTP_K_NULL)
		return;
	dp_srtp_iv(iv, sess->salt, ssrc, index);
	dp_mb_ctr_set(mb, 0, sess->enc, dp_srtp_rounds(sess->kind), iv, data, len);
	dp_mb_ctr_run(mb, 1);
}
