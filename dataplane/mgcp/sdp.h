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

#define DP_SDP_INLINE_LEN 30 /* key 16 and salt 14 of the AES-CM-128 suites: 40 base64 characters  \
	                      */

/**
 * Read a description: the first m=audio whose port is not 0. Of several keys the first that we can
 * use is taken (order of preference); lines with an unknown suite, an MKI, several keys or a
 * session parameter that changes the packets are passed over. RTP/AVP: suite NONE, keys in it are
 * ignored. 0; -EBADMSG: malformed; -ENOTSUP: well-formed, but no audio, no numeric address, another
 * profile, or RTP/SAVP without a usable key. *ret_media is set only on success; the caller wipes
 * it.
 */
int dp_sdp_parse(const char *s, size_t len, struct dp_mgcp_media *ret_media);

/**
 * Write media's description (addr.family not 0). 'session' goes into o=. 'x_crypto': the old form.
 * What cannot be written (suite, payload type, address family) sets b->bad.
 */
void dp_sdp_build(struct dp_mgcp_buf *b, const struct dp_mgcp_media *media, uint32_t session,
                  bool x_crypto);

/** "AES_CM_128_HMAC_SHA1_80"; NULL for NONE and others. */
const char *dp_sdp_suite_name(uint8_t suite);

/**
 * Base64 (RFC 4648, padding as needed) without tables or branches on the data. encode: 'dst' gets
 * 4 * ((n + 2) / 3) characters, no zero. decode: exactly n bytes out of exactly that many
 * characters; all are looked at before the verdict. 0, -EBADMSG ('dst' is zero then).
 */
void dp_b64_encode(char *dst, const uint8_t *src, size_t n);
int dp_b64_decode(uint8_t *dst, size_t n, const char *src, size_t src_len);

#endif
