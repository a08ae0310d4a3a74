/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Header checks of RTP and RTCP (RFC 3550) and telling them apart on one port (RFC 5761). They read only what 'len'
 * covers and change nothing. Of encrypted packets only what is in clear can be checked.
 */
#ifndef DP_RTP_H
#define DP_RTP_H

#include <stdbool.h>
#include <stdint.h>

#include "parse.h"

/** RTCP on a port that also carries RTP? Packet type 192..223, that is RTP payload type 64..95 with marker. */
static inline bool dp_rtp_is_rtcp(const uint8_t *data, uint16_t len)
{
	return len >= 2 && data[1] >= 192 && data[1] <= 223;
}

/**
 * RTP header with CSRC list and extension; 'clear': padding too, which is inside the encrypted part of SRTP.
 * DP_OK or DP_DROP_RTP_MALFORMED.
 */
static inline enum dp_drop dp_rtp_check(const uint8_t *data, uint16_t len, bool clear)
{
	uint32_t hlen;

	if (len < 12 || data[0] >> 6 != 2)
		return DP_DROP_RTP_MALFORMED;
	hlen = 12u + (data[0] & 15u) * 4u;
	if ((data[0] & 0x10) != 0) {
		if (len < hlen + 4)
			return DP_DROP_RTP_MALFORMED;
		hlen += 4u + dp_get16(data + hlen + 2) * 4u;
	}
	if (len < hlen)
		return DP_DROP_RTP_MALFORMED;
	if (clear && (data[0] & 0x20) != 0 && (len == hlen || data[len - 1] == 0 || data[len - 1] > len - hlen))
		return DP_DROP_RTP_MALFORMED;
	return DP_OK;
}

/**
 * A compound RTCP packet in clear: version, packet types and lengths that add up, padding in the last one only.
 * Reduced-size packets (RFC 5506) pass. DP_OK or DP_DROP_RTCP_MALFORMED.
 */
static inline enum dp_drop dp_rtcp_check(const uint8_t *data, uint16_t len)
{
	uint32_t at = 0;

	if (len < 8) /* header and sender's SSRC */
		return DP_DROP_RTCP_MALFORMED;
	while (at < len) {
		uint32_t plen;

		if (len - at < 4 || data[at] >> 6 != 2 || data[at + 1] < 192 || data[at + 1] > 223)
			return DP_DROP_RTCP_MALFORMED;
		plen = (dp_get16(data + at + 2) + 1u) * 4u;
		if (plen > len - at)
			return DP_DROP_RTCP_MALFORMED;
		if ((data[at] & 0x20) != 0) {
			uint8_t pad = data[at + plen - 1];

			if (at + plen != len || pad == 0 || pad > plen - 4)
				return DP_DROP_RTCP_MALFORMED;
		}
		at += plen;
	}
	return DP_OK;
}

/** SRTCP: the eight bytes that are never encrypted. DP_OK or DP_DROP_RTCP_MALFORMED. */
static inline enum dp_drop dp_srtcp_check(const uint8_t *data, uint16_t len)
{
	if (len < 8 || data[0] >> 6 != 2 || data[1] < 192 || data[1] > 223)
		return DP_DROP_RTCP_MALFORMED;
	return DP_OK;
}

#endif
