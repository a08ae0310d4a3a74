/* SPDX-License-Identifier: BSD-3-Clause */
/* What a suite is: its name in a=crypto, and its lengths. RFC 4568 s6.2, RFC 6188 s4, RFC 7714 s14. */
#ifndef DP_SUITE_H
#define DP_SUITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dp_msg.h"

struct dp_suite {
	const char *name;      /* as registered; the NULL suites' names are ours: SDP says UNENCRYPTED_SRTP */
	uint8_t key_len;       /* master key and session encryption key, bytes */
	uint8_t salt_len;      /* master salt */
	uint8_t rtp_tag;       /* authentication tag of SRTP, bytes */
	uint8_t rtcp_tag;      /* of SRTCP: 80 bits with the _32 suites too */
	bool gcm;
	bool null_cipher;
};

/** NULL for DP_SRTP_NONE and numbers that are no suite. Any. */
static inline const struct dp_suite *dp_suite(unsigned int suite)
{
	static const struct dp_suite tab[DP_SRTP_SUITE_MAX] = {
		[DP_AES_CM_128_HMAC_SHA1_80] = {"AES_CM_128_HMAC_SHA1_80", 16, 14, 10, 10, false, false},
		[DP_AES_CM_128_HMAC_SHA1_32] = {"AES_CM_128_HMAC_SHA1_32", 16, 14, 4, 10, false, false},
		[DP_AES_192_CM_HMAC_SHA1_80] = {"AES_192_CM_HMAC_SHA1_80", 24, 14, 10, 10, false, false},
		[DP_AES_192_CM_HMAC_SHA1_32] = {"AES_192_CM_HMAC_SHA1_32", 24, 14, 4, 10, false, false},
		[DP_AES_256_CM_HMAC_SHA1_80] = {"AES_256_CM_HMAC_SHA1_80", 32, 14, 10, 10, false, false},
		[DP_AES_256_CM_HMAC_SHA1_32] = {"AES_256_CM_HMAC_SHA1_32", 32, 14, 4, 10, false, false},
		[DP_AEAD_AES_128_GCM] = {"AEAD_AES_128_GCM", 16, 12, 16, 16, true, false},
		[DP_AEAD_AES_256_GCM] = {"AEAD_AES_256_GCM", 32, 12, 16, 16, true, false},
		[DP_NULL_HMAC_SHA1_80] = {"NULL_HMAC_SHA1_80", 16, 14, 10, 10, false, true},
		[DP_NULL_HMAC_SHA1_32] = {"NULL_HMAC_SHA1_32", 16, 14, 4, 10, false, true},
	};

	return suite > DP_SRTP_NONE && suite < DP_SRTP_SUITE_MAX ? &tab[suite] : (const struct dp_suite *)NULL;
}

/** The suite of a name of 'len' bytes; DP_SRTP_NONE: we have none of that name (F8_128_HMAC_SHA1_80, ARIA, SEED). Any. */
static inline enum dp_srtp_suite dp_suite_find(const char *name, size_t len)
{
	for (unsigned int s = DP_SRTP_NONE + 1; s < DP_SRTP_SUITE_MAX; s++) {
		const char *have = dp_suite(s)->name;
		size_t i = 0;

		while (i < len && have[i] != '\0' && have[i] == name[i])
			i++;
		if (i == len && have[i] == '\0')
			return (enum dp_srtp_suite)s;
	}
	return DP_SRTP_NONE;
}

#endif
