/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One packet at a time: session keys that are not expanded in the key (SRTCP's, and those of a derivation rate), and the
 * ways of packets that bursts cannot take. Used by slow.c and srtcp.c; kdr.c has the derivation rate.
 */
#ifndef DP_SRTP_ONE_H
#define DP_SRTP_ONE_H

#include "crypto/mb.h"
#include "srtp/ext.h"
#include "srtp/stream.h"

/* Session keys as a cipher wants them: in a key, or in a scratch. */
struct dp_srtp_sess {
	uint8_t kind;
	const uint8_t *enc;   /* schedule, or struct gcm_key_data */
	const uint8_t *state; /* HMAC-SHA1 */
	const uint8_t *salt;
};

/* Wiped by the user after the last packet. */
struct dp_srtp_scratch {
	uint8_t enc[sizeof(struct gcm_key_data)] __attribute__((aligned(64)));
	uint8_t state[DP_MB_HMAC_STATE] __attribute__((aligned(8)));
	struct dp_srtp_raw raw;
};

/** A key's own RTP session keys; not with a derivation rate. */
static inline void dp_srtp_sess_own(const struct dp_srtp_key *key, struct dp_srtp_sess *ret)
{
	ret->kind = key->kind;
	ret->enc = key->kind == DP_SRTP_K_CM128 ? key->rk : key->ext;
	ret->state = key->state;
	ret->salt = key->salt;
}

/** Expand scratch->raw. */
void dp_srtp_sess_expand(struct dp_mb *mb, uint8_t kind, struct dp_srtp_scratch *scratch, struct dp_srtp_sess *ret);

/** The session keys of a key with a derivation rate for an index: from its cache, or derived. */
void dp_srtp_sess_at(struct dp_mb *mb, struct dp_srtp_key *key, bool rtcp, uint64_t index, struct dp_srtp_scratch *scratch,
		     struct dp_srtp_sess *ret);

/** After a packet of them was made or authenticated: keep what dp_srtp_sess_at() put into the scratch. */
void dp_srtp_sess_keep(struct dp_srtp_key *key, bool rtcp, const struct dp_srtp_scratch *scratch);

/** Rounds of a CM kind. */
static inline unsigned int dp_srtp_rounds(uint8_t kind)
{
	return kind == DP_SRTP_K_CM128 ? 10 : kind == DP_SRTP_K_CM192 ? 12 : 14;
}

/** Encrypt or decrypt with AES-CM, alone; nothing for the NULL cipher. No other CTR job may be waiting. */
void dp_srtp_one_ctr(struct dp_mb *mb, const struct dp_srtp_sess *sess, uint32_t ssrc, uint64_t index, uint8_t *data,
		     size_t len);

/** Equal tags? 4, 10 or 16 bytes, in the same time for every content. */
static inline bool dp_srtp_tag_equal(const uint8_t *a, const uint8_t *b, uint8_t len)
{
	uint64_t x, y;
	uint32_t diff, d;

	if (len == 4) {
		__builtin_memcpy(&diff, a, 4);
		__builtin_memcpy(&d, b, 4);
		return (diff ^ d) == 0;
	}
	__builtin_memcpy(&x, a, 8);
	__builtin_memcpy(&y, b, 8);
	x ^= y;
	if (len == 10) {
		uint16_t s, t;

		__builtin_memcpy(&s, a + 8, 2);
		__builtin_memcpy(&t, b + 8, 2);
		x |= (uint64_t)(s ^ t);
	} else {
		uint64_t z;

		__builtin_memcpy(&y, a + 8, 8);
		__builtin_memcpy(&z, b + 8, 8);
		x |= y ^ z;
	}
	return x == 0;
}

/** Length of header, CSRC list and extension; 0 when they do not fit into 'len' bytes. RFC 3550 s5.1, s5.3.1. */
static inline uint32_t dp_srtp_rtp_header(const uint8_t *p, uint32_t len)
{
	uint32_t hdr;

	if (len < 12 || p[0] >> 6 != 2)
		return 0;
	hdr = 12 + 4u * (p[0] & 0x0f);
	if ((p[0] & 0x10) != 0) {
		if (len < hdr + 4)
			return 0;
		hdr += 4 + 4 * ((uint32_t)p[hdr + 2] << 8 | p[hdr + 3]);
	}
	return hdr <= len ? hdr : 0;
}

/** Bytes in front of an SRTP packet's MKI: with the tag of GCM, without that of HMAC. 'len' at least the trailer. */
static inline uint32_t dp_srtp_mki_at(const struct dp_srtp_key *key, uint32_t len)
{
	return len - key->mki_len - (key->kind < DP_SRTP_K_GCM128 ? key->tag_len : 0u);
}

/** Is this the packet's MKI? 'at' of a key with one points to mki_len bytes. */
static inline bool dp_srtp_mki_is(const struct dp_srtp_key *key, const uint8_t *at)
{
	return key->mki_len == 0 || __builtin_memcmp(at, dp_srtp_more(key)->mki, key->mki_len) == 0;
}

/** Is an index among those the key is for? */
static inline bool dp_srtp_in_range(const struct dp_srtp_key *key, uint64_t index)
{
	return (key->flags & DP_SRTP_F_RANGE) == 0 ||
	       (index >= dp_srtp_more(key)->from && index <= dp_srtp_more(key)->to);
}

/** Of several verdicts on one packet, which is told: that it came before is worth more than that it is not authentic. */
static inline uint8_t dp_srtp_worse(uint8_t first, uint8_t other)
{
	return first == DP_OK || other == DP_DROP_REPLAY ? other : first;
}

/** The key to send an index with, or NULL. Of a list with ranges or an exhausted head. slow.c */
struct dp_srtp_key *dp_srtp_pick(struct dp_srtp_key *head, uint64_t index);

/** An RTP packet whose index, stream and key (pkt->used) are settled: encrypt, MKI, tag; raises pkt->len. slow.c */
void dp_srtp_one_protect(struct dp_mb *mb, struct dp_srtp_pkt *pkt);

/**
 * An RTP packet with the keys of a list one by one, but 'skip': whole, verdict and state, decrypted in place.
 * *ret_len is its length then; pkt->len is left to the caller. No CTR job may be waiting. slow.c
 */
uint8_t dp_srtp_one_unprotect(struct dp_mb *mb, struct dp_srtp_pkt *pkt, const struct dp_srtp_key *skip, uint16_t *ret_len);

#endif
