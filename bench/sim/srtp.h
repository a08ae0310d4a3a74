/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SRTP and SRTCP of one direction. Two engines behind one interface: libsrtp2 (the default: code that many use)
 * and our own on OpenSSL's EVP (for load: Debian's libsrtp2 gets slow with many sessions; and for the suites that
 * it lacks or, AES-192, has wrong: they take our own always). RFC 3711, 6188, 7714.
 */
#ifndef SIM_SRTP_H
#define SIM_SRTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_srtp_alg { /* the first ones are numbered as in SCCP, which knows no others */
	SIM_SRTP_NONE = 0,
	SIM_SRTP_AES128_SHA1_32 = 1,
	SIM_SRTP_AES128_SHA1_80 = 2,
	SIM_SRTP_AES128_GCM = 5,
	SIM_SRTP_AES192_SHA1_32 = 100,
	SIM_SRTP_AES192_SHA1_80,
	SIM_SRTP_AES256_SHA1_32,
	SIM_SRTP_AES256_SHA1_80,
	SIM_SRTP_AES256_GCM,
};

#define SIM_SRTP_MKI_MAX 8

struct sim_srtp_key {
	enum sim_srtp_alg alg;
	uint8_t key[32]; /* sim_srtp_key_len() of it */
	uint8_t salt[14]; /* GCM: 12 */
	uint8_t mki_len;  /* 0: none; then each packet carries mki[] (RFC 3711 3.1; with GCM behind the tag: RFC 7714 8.2) */
	uint8_t mki[SIM_SRTP_MKI_MAX]; /* as on the wire */
	uint8_t lifetime; /* 2^lifetime packets were signalled; 0: nothing was. Said, not watched over */
};

#define SIM_SRTP_OVERHEAD 32 /* octets a packet may grow by */

enum sim_srtp_engine { SIM_SRTP_LIBSRTP, SIM_SRTP_OPENSSL };

struct sim_srtp;

size_t sim_srtp_key_len(enum sim_srtp_alg alg);
size_t sim_srtp_salt_len(enum sim_srtp_alg alg);
bool sim_srtp_gcm(enum sim_srtp_alg alg);
/** RFC 4568 name of an algorithm, "none" for none; and back: SIM_SRTP_NONE when unknown. */
const char *sim_srtp_name(enum sim_srtp_alg alg);
enum sim_srtp_alg sim_srtp_alg_of(const char *name, size_t len);

/** One direction: inbound unprotects any SSRC, outbound protects. NULL: not supported by this engine. */
struct sim_srtp *sim_srtp_create(enum sim_srtp_engine engine, const struct sim_srtp_key *key, bool inbound);
void sim_srtp_destroy(struct sim_srtp *s);
/**
 * Streams go on under another key (RFC 3711 3.3.1): 'to', just made, takes rollover counters and SRTCP indices of 'from'.
 * Only between engines of our own; libsrtp2's begin at 0.
 */
void sim_srtp_carry(struct sim_srtp *to, const struct sim_srtp *from);

/*
 * In place; *len is the length before and after; outbound buffers have SIM_SRTP_OVERHEAD octets of room. 0,
 * -EACCES not authentic or of another MKI, -EALREADY replayed (or too old), -EBADMSG malformed, -EPROTO anything else.
 */
int sim_srtp_rtp(struct sim_srtp *s, uint8_t *data, int *len);
int sim_srtp_rtcp(struct sim_srtp *s, uint8_t *data, int *len);

#endif
