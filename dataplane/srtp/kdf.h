/* SPDX-License-Identifier: BSD-3-Clause */
/* Key derivation of RFC 3711 s4.3 with AES-128 (s4.3.3), derivation rate 0. Main lcore. */
#ifndef DP_SRTP_KDF_H
#define DP_SRTP_KDF_H

#include <stddef.h>
#include <stdint.h>

struct dp_mb;

enum dp_srtp_label {
	DP_SRTP_LABEL_KEY = 0,
	DP_SRTP_LABEL_AUTH,
	DP_SRTP_LABEL_SALT,
	DP_SRTCP_LABEL_KEY,
	DP_SRTCP_LABEL_AUTH,
	DP_SRTCP_LABEL_SALT,
};

#define DP_SRTP_KDF_MAX 128 /* bytes of one session key, at most */

/**
 * The first 'len' bytes (at most DP_SRTP_KDF_MAX) of the session key for 'label'.
 * 'master_rk': expanded master key, DP_MB_AES128_RK bytes; 'salt': 14 bytes.
 */
void dp_srtp_kdf(struct dp_mb *mb, const uint8_t *master_rk, const uint8_t *salt, enum dp_srtp_label label,
		 uint8_t *ret, size_t len);

#endif
