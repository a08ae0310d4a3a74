/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SRTP on OpenSSL's EVP: AES-CM with HMAC-SHA1 and AES-GCM, one direction, up to SIM_EVP_SSRCS streams. RFC 3711, 6188,
 * 7714; replay window of 64 packets.
 */
#ifndef SIM_SRTP_EVP_H
#define SIM_SRTP_EVP_H

#include "srtp.h"

#define SIM_EVP_SSRCS 4

struct sim_srtp_evp;

/** NULL: no suite, or no memory. */
struct sim_srtp_evp *sim_srtp_evp_create(const struct sim_srtp_key *key, bool inbound);
void sim_srtp_evp_destroy(struct sim_srtp_evp *s);
/* As sim_srtp_carry. */
void sim_srtp_evp_carry(struct sim_srtp_evp *to, const struct sim_srtp_evp *from);
/* As sim_srtp_rtp and sim_srtp_rtcp. */
int sim_srtp_evp_rtp(struct sim_srtp_evp *s, uint8_t *data, int *len);
int sim_srtp_evp_rtcp(struct sim_srtp_evp *s, uint8_t *data, int *len);

#endif
