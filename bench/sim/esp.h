/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP for one SA and direction (RFC 4303): AES-GCM with 16-octet ICV (RFC 4106) or AES-CBC with HMAC-SHA1-96
 * (RFC 3602, 2404), 32-bit or extended sequence numbers, replay window of 64. On OpenSSL's EVP; no sockets.
 */
#ifndef SIM_ESP_H
#define SIM_ESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_ESP_OVERHEAD 64 /* octets a packet may grow by */

enum sim_esp_alg { SIM_ESP_GCM = 1, SIM_ESP_CBC_SHA1 };

struct sim_sa {
	uint32_t spi;
	enum sim_esp_alg alg;
	bool tunnel, encap, esn;
	uint8_t key[16], salt[4], auth[20];
	uint8_t iv_base[8];    /* GCM: random, exclusive-ored with the sequence number */
	uint64_t seq;          /* outbound: last one used */
	uint64_t top, window;  /* inbound */
	uint64_t packets, auth_failed, replayed, malformed;
};

/**
 * "spi=0x1000,alg=aes-gcm-128,key=HEX[,salt=HEX][,auth=HEX][,mode=transport|tunnel][,encap=4500][,esn][,seq=N]"; alg
 * aes-gcm-128 (key: 20 octets, the last 4 salt) or aes-cbc-128-sha1-96 (key 16 and auth 20, or key 36). 0, or -EINVAL
 * with a sentence.
 */
int sim_sa_parse(const char *spec, struct sim_sa *ret, const char **ret_why);
const char *sim_sa_alg_name(const struct sim_sa *sa);

/** Encrypt payload of protocol 'next' into out: an ESP packet from its SPI on. Length, -ENOSPC, -EOVERFLOW (sequence). */
int sim_esp_seal(struct sim_sa *sa, uint8_t next, const uint8_t *payload, size_t len, uint8_t *out, size_t room);
/** The same under a given IV (8 or 16 octets) and sequence number: for test vectors. */
int sim_esp_seal_iv(const struct sim_sa *sa, uint64_t seq, const uint8_t *iv, uint8_t next,
		    const uint8_t *payload, size_t len, uint8_t *out, size_t room);
/**
 * Decrypt an ESP packet of this SA into out (room: at least len). Length of the payload and its protocol; -EBADMSG,
 * -EACCES not authentic, -EALREADY replayed.
 */
int sim_esp_open(struct sim_sa *sa, const uint8_t *esp, size_t len, uint8_t *out, size_t room, uint8_t *ret_next);

#endif
