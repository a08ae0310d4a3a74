/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What others make of the same packets, for the rows they are compared in and for checking ours: session keys derived
 * by OpenSSL, HMAC-SHA1 continued from copied states by OpenSSL, and raw calls of intel-ipsec-mb. Nothing of
 * dataplane/srtp or dataplane/crypto is used, so that agreement means something. RFC 3711, 6188, 7714.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/sha.h> /* before intel-ipsec-mb.h, whose old names are macros: SHA1 */

#include <intel-ipsec-mb.h>

#define BENCH_RAW_BURST 64
#define BENCH_RTP_HDR   12 /* bytes of each RTP header here: no CSRC, no extension */

/* Session keys of SRTP. */
struct bench_session {
	uint8_t key[32], auth[20], salt[14];
	unsigned int key_len, salt_len, tag_len;
	bool gcm, null_cipher;
};

/** From a master key and salt of the suite's lengths. 'suite' is one of api/dp_suite.h. */
void bench_session_derive(struct bench_session *ret, unsigned int suite, const uint8_t *key, const uint8_t *salt);

/* HMAC-SHA1 by OpenSSL's fastest way: copies of the inner and outer state. */
struct bench_sha1 {
	SHA_CTX inner, outer;
};
void bench_sha1_key(struct bench_sha1 *h, const uint8_t *key, size_t len);
void bench_sha1_mac(const struct bench_sha1 *h, const uint8_t *data, size_t len, uint8_t md[20]);

/* intel-ipsec-mb, one thread's. */
struct bench_raw {
	IMB_MGR *mgr;
	IMB_JOB cipher[BENCH_RAW_BURST], hash[BENCH_RAW_BURST];
};

/** With the instruction set that the dataplane uses. NULL: no memory. destroy takes NULL. */
struct bench_raw *bench_raw_create(void);
void bench_raw_destroy(struct bench_raw *raw);

/* One direction of one stream. What counter mode reads comes first. */
struct bench_raw_key {
	uint8_t rk[240] __attribute__((aligned(16)));
	uint8_t ipad[20], opad[20], salt[16];
	uint8_t tag_len;
	uint8_t key_len;
	bool gcm, null_cipher;
	struct gcm_key_data gcm_key __attribute__((aligned(64)));
};

/** Bytes of a key that a suite uses: arrays of keys are as dense as can be. A multiple of 64. */
static inline size_t bench_raw_key_size(bool gcm)
{
	return gcm ? sizeof(struct bench_raw_key) : offsetof(struct bench_raw_key, gcm_key);
}

struct bench_raw_pkt {
	uint8_t *data; /* RTP header of BENCH_RTP_HDR bytes */
	const struct bench_raw_key *key;
	uint32_t roc;
	uint16_t len;  /* of RTP, without tag; 20 bytes behind it (and the tag, unprotecting) may be written */
	bool ok;       /* out, unprotecting: the tag was right */
};

void bench_raw_key_init(struct bench_raw *raw, struct bench_raw_key *key, const struct bench_session *s);

/**
 * Encrypt and tag, or check and decrypt, as bursts with nothing around them: no header check, no window. n at most
 * BENCH_RAW_BURST, all of one suite.
 */
void bench_raw_protect(struct bench_raw *raw, struct bench_raw_pkt *pkts, unsigned int n);
void bench_raw_unprotect(struct bench_raw *raw, struct bench_raw_pkt *pkts, unsigned int n);

/** IVs of a packet: AES-CM's 16 bytes, GCM's 12. 'salt' 14 bytes and two of zero, or 12. */
static inline void bench_iv_cm(uint8_t iv[16], const uint8_t salt[16], const uint8_t *p, uint32_t roc)
{
	__builtin_memcpy(iv, salt, 16);
	for (int i = 0; i < 4; i++) {
		iv[4 + i] ^= p[8 + i];
		iv[8 + i] ^= (uint8_t)(roc >> (24 - 8 * i));
	}
	iv[12] ^= p[2];
	iv[13] ^= p[3];
}

static inline void bench_iv_gcm(uint8_t iv[12], const uint8_t *salt, const uint8_t *p, uint32_t roc)
{
	__builtin_memcpy(iv, salt, 12);
	for (int i = 0; i < 4; i++) {
		iv[2 + i] ^= p[8 + i];
		iv[6 + i] ^= (uint8_t)(roc >> (24 - 8 * i));
	}
	iv[10] ^= p[2];
	iv[11] ^= p[3];
}

#endif
