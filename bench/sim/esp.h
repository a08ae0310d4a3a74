/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP for one SA and direction (RFC 4303): AES-GCM with an ICV of 16, 12 or 8 octets (RFC 4106), or AES-CBC (RFC 3602),
 * AES-CTR (RFC 3686), 3DES-CBC (RFC 2451) or NULL (RFC 2410) with HMAC-SHA1-96 (RFC 2404) or HMAC-SHA-256-128, -384-192 and
 * -512-256 (RFC 4868), 32-bit or extended sequence numbers, replay window of 64. On OpenSSL's EVP; no sockets.
 */
#ifndef SIM_ESP_H
#define SIM_ESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

#define SIM_ESP_OVERHEAD 80 /* octets a packet may grow by */
#define SIM_ESP_KEY_MAX  (32 + 4 + 64)

enum sim_esp_cipher { SIM_ESP_GCM = 1, SIM_ESP_CBC, SIM_ESP_CTR, SIM_ESP_3DES, SIM_ESP_NULL };
enum sim_esp_mac { SIM_ESP_NO_MAC, SIM_ESP_SHA1, SIM_ESP_SHA256, SIM_ESP_SHA384, SIM_ESP_SHA512 };

struct sim_sa {
	uint32_t spi;
	uint8_t cipher, mac;   /* enum sim_esp_cipher, sim_esp_mac */
	uint8_t key_len, salt_len, auth_len, iv_len, icv_len, block; /* octets; block: the ciphertext is a multiple of it */
	char alg[32];          /* its name as it was given */
	bool tunnel, encap, esn;
	struct sim_addr peer; /* whom it is with; len 0: the call agent */
	uint8_t key[32], salt[4], auth[64];
	uint8_t iv_base[8];    /* GCM, CTR: random, exclusive-ored with the sequence number */
	uint64_t seq;          /* outbound: last one used */
	uint64_t top, window;  /* inbound */
	uint64_t packets, auth_failed, replayed, malformed;
};

/**
 * "spi=0x1000,alg=aes-gcm-128,key=HEX[,salt=HEX][,auth=HEX][,mode=transport|tunnel][,encap=4500][,esn][,seq=N]". alg: aes-gcm-
 * 128, -192, -256, with -12 or -8 behind it for a shorter ICV; or aes-cbc-, aes-ctr- with such a length, 3des-cbc, null, each
 * with -sha1, -sha256, -sha384, -sha512 (and its bits, as in -sha1-96). key: the cipher's, behind it what of salt (GCM, CTR) and
 * auth is not given by itself. 0, or -EINVAL with a sentence.
 */
int sim_sa_parse(const char *spec, struct sim_sa *ret, const char **ret_why);

/** Encrypt payload of protocol 'next' into out: an ESP packet from its SPI on. Length, -ENOSPC, -EOVERFLOW (sequence). */
int sim_esp_seal(struct sim_sa *sa, uint8_t next, const uint8_t *payload, size_t len, uint8_t *out, size_t room);
/** The same under a given IV (its iv_len octets) and sequence number: for test vectors. */
int sim_esp_seal_iv(const struct sim_sa *sa, uint64_t seq, const uint8_t *iv, uint8_t next,
		    const uint8_t *payload, size_t len, uint8_t *out, size_t room);
/**
 * Decrypt an ESP packet of this SA into out (room: at least len). Length of the payload and its protocol; -EBADMSG,
 * -EACCES not authentic, -EALREADY replayed.
 */
int sim_esp_open(struct sim_sa *sa, const uint8_t *esp, size_t len, uint8_t *out, size_t room, uint8_t *ret_next);

#endif
