/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The session descriptions that MGCP carries: one audio stream, its address, payload type and SRTP
 * key. Reads a=crypto (RFC 4568) and a=X-crypto (its second draft, what old gateways send), writes
 * the one asked for. o=, s= and t= may be missing in MGCP (RFC 3435 3.2.2.10). Key material passes
 * through base64 code whose time and memory accesses do not depend on it, and no copy of it stays
 * behind.
 */
#ifndef DP_SDP_H
#define DP_SDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dp_msg.h"
#include "msg.h"

#define DP_SDP_INLINE_MAX 46 /* key 32 and salt 14: the longest */

/* Why a description cannot be used. */
enum dp_sdp_why {
	DP_SDP_OK = 0,
	DP_SDP_MALFORMED,
	DP_SDP_NO_AUDIO,
	DP_SDP_T38,     /* udptl */
	DP_SDP_DTLS,    /* UDP/TLS/RTP/SAVP[F], or a fingerprint instead of a key */
	DP_SDP_ICE,     /* none was offered: an answer with it is not one to us */
	DP_SDP_PROFILE, /* RTP/AVPF, several ports, ... */
	DP_SDP_ADDRESS,
	DP_SDP_SUITE,   /* none of the crypto lines has one that we know: the first one is named */
	DP_SDP_KEY,     /* no key, or a form of one that we do not take */
	DP_SDP_PARAM,   /* a session parameter that we do not do */
};

struct dp_sdp_no {
	enum dp_sdp_why why;
	char text[60]; /* for people: "suite F8_128_HMAC_SHA1_80"; printable, never a key */
};

/**
 * Read a description: the first m=audio whose port is not 0. Of several crypto lines the first that we can use is
 * taken (order of preference); lines with another suite, several keys, or a session parameter that we do not do are
 * passed over. Of the payload types the first whose codec is known here is taken (static, or named by rtpmap). KDR, lifetime (rounded down to a power of two), an MKI of up to 8 bytes, UNENCRYPTED_SRTCP, and
 * UNENCRYPTED_SRTP with it (the NULL suites) are taken. RTP/AVP: suite NONE, keys in it are ignored. 0; -EBADMSG:
 * malformed; -ENOTSUP: well-formed, but not for us: *ret_no (may be NULL) says why. *ret_media is set only on success;
 * the caller wipes it. RFC 4566, 4568, 6188, 7714.
 */
int dp_sdp_parse(const char *s, size_t len, struct dp_mgcp_media *ret_media, struct dp_sdp_no *ret_no);

/**
 * Write media's description (addr.family not 0). 'session' goes into o=. 'x_crypto': the old form.
 * What cannot be written (suite, payload type, address family) sets b->bad. The NULL suites are written as RFC 4568
 * has them: AES_CM_128 with UNENCRYPTED_SRTP and UNENCRYPTED_SRTCP.
 */
void dp_sdp_build(struct dp_mgcp_buf *b, const struct dp_mgcp_media *media, uint32_t session, bool x_crypto);

/** The list of codecs has no unknown one and no gap, iLBC's frames are 20 or 30 ms or not said. */
bool dp_sdp_audio_ok(const struct dp_mgcp_media *media);
/** A codec's name in SDP and in L: a: ("iLBC"), NULL for none; the payload type that we declare it with. */
const char *dp_sdp_audio_name(unsigned audio);
uint8_t dp_sdp_audio_pt(unsigned audio);

/**
 * Base64 (RFC 4648, padding as needed) without tables or branches on the data. encode: 'dst' gets
 * 4 * ((n + 2) / 3) characters, no zero. decode: exactly n bytes out of exactly that many
 * characters; all are looked at before the verdict. 0, -EBADMSG ('dst' is zero then).
 */
void dp_b64_encode(char *dst, const uint8_t *src, size_t n);
int dp_b64_decode(uint8_t *dst, size_t n, const char *src, size_t src_len);

#endif
