/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SRTP on OpenSSL's EVP: AES-CM with HMAC-SHA1, one direction, up to SIM_EVP_SSRCS streams. For load; AES-GCM
 * is left to libsrtp2. RFC 3711; replay window of 64 packets.
 */
#ifndef SIM_SRTP_EVP_H
#define SIM_SRTP_EVP_H

#include "srtp.h"

#define SIM_EVP_SSRCS 4

struct sim_srtp_evp;

/** NULL: not an AES-CM suite, or no memory. */
struct sim_srtp_evp *sim_srtp_evp_create(const struct sim_srtp_key *key, bool inbound);
void sim_srtp_evp_destroy(struct sim_srtp_evp *s);
/* As sim_srtp_rtp and sim_srtp_rtcp. */
int sim_srtp_evp_rtp(struct sim_srtp_evp *s, uint8_t *data, int *len);
int sim_srtp_evp_rtcp(struct sim_srtp_evp *s, uint8_t *data, int *len);

#endif
