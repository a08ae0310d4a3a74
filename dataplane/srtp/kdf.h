/* SPDX-License-Identifier: BSD-3-Clause */
/* Key derivation of RFC 3711 s4.3, with AES-192 and AES-256 after RFC 6188, for AES-GCM after RFC 7714 s11. */
#ifndef DP_SRTP_KDF_H
#define DP_SRTP_KDF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dp_mb;
struct dp_srtp_key;
struct dp_srtp_raw;

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
 * The first 'len' bytes (at most DP_SRTP_KDF_MAX) of the session key for 'label'. 'master_rk': expanded master key of
 * 'key_len' bytes, DP_MB_AES_RK_MAX at most, 16-byte aligned; 'salt': 14 bytes, a shorter one zero-filled; 'r': index DIV
 * rate, 0 without a rate, 48 bits. SRTCP's r takes the same place as SRTP's (RFC 3711 s4.3.2 is read so by everybody
 * who has r = 0: its label stands where SRTP's stands).
 */
void dp_srtp_kdf(struct dp_mb *mb, const uint8_t *master_rk, size_t key_len, const uint8_t *salt,
		 enum dp_srtp_label label, uint64_t r, uint8_t *ret, size_t len);

/** All three session keys of SRTP, or of SRTCP, of a suite's kind. As dp_srtp_kdf(). */
void dp_srtp_derive(struct dp_mb *mb, uint8_t kind, const uint8_t *master_rk, const uint8_t *salt, bool rtcp, uint64_t r,
		    struct dp_srtp_raw *ret);

#endif
