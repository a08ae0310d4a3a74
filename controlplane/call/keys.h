/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The key manager: draws SRTP master keys and salts ("sets", one per direction per leg), keeps the sets of
 * living legs in locked memory that never enters a core dump, wipes them when the leg ends. Sets are never
 * written to the store, never logged, never used twice (architecture section 3).
 */
#ifndef CP_KEYS_H
#define CP_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/dp_suite.h"

struct cp_keys; /* the pool */

struct cp_keyset {
	uint8_t suite;    /* enum dp_srtp_suite */
	uint8_t mki_len;  /* 0: no MKI */
	uint8_t kdr;      /* as in dp_leg_key */
	uint8_t lifetime; /* 2^lifetime packets; 0: the suite's own limits */
	bool rtcp_clear;  /* its owner sends SRTCP unencrypted */
	uint64_t mki;     /* value: the low mki_len bytes, most significant first on the wire */
	uint8_t key[DP_SRTP_KEY_MAX];
	uint8_t salt[DP_SRTP_SALT_MAX];
};

/** Name of a suite ("AES_CM_128_HMAC_SHA1_80"), "RTP" for DP_SRTP_NONE; and back, in any case: 0 or -EINVAL. */
const char *cp_suite_name(uint8_t suite);
int cp_suite_parse(const char *name, uint8_t *ret_suite);

/** A pool for 'max' sets. NULL when memory cannot be had; *ret_locked tells whether mlock succeeded. */
struct cp_keys *cp_keys_create(size_t max, int *ret_locked);

/** Wipes all and frees. NULL is allowed. */
void cp_keys_destroy(struct cp_keys *keys);

/** Draw a fresh set from RAND_priv_bytes. NULL when the pool is empty or the generator failed. */
struct cp_keyset *cp_keys_draw(struct cp_keys *keys, uint8_t suite);

/** A set given by the other party (a gateway's answer) or an operator: copies key and salt. NULL: no place, no suite. */
struct cp_keyset *cp_keys_take(struct cp_keys *keys, uint8_t suite, const uint8_t *key, const uint8_t *salt);

/** A second place for the same set: direct media gives one set to two parties. NULL: no place. */
struct cp_keyset *cp_keys_copy(struct cp_keys *keys, const struct cp_keyset *set);

/** Same suite, key and salt, compared in constant time. */
bool cp_keys_equal(const struct cp_keyset *a, const struct cp_keyset *b);

/** Wipe and return a set. NULL is allowed. */
void cp_keys_put(struct cp_keys *keys, struct cp_keyset *set);

size_t cp_keys_used(const struct cp_keys *keys);

#endif
