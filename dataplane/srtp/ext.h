/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A key's extension block, one piece of memory: what packets read (AES-192 or 256 schedule, or GCM key data; nothing for
 * the other suites), then struct dp_srtp_more with an MKI, a range, a lifetime or a derivation rate, then struct
 * dp_srtp_kdr with the latter, then the first stream's window if it is a wide one.
 */
#ifndef DP_SRTP_EXT_H
#define DP_SRTP_EXT_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/mb.h"
#include "dp_suite.h"
#include "srtp/srtp.h"

/* Session keys as they are derived, of RTP or of RTCP. */
struct dp_srtp_raw {
	uint8_t key[DP_SRTP_KEY_MAX];
	uint8_t auth[20];
	uint8_t salt[DP_SRTP_SALT_MAX];
	uint8_t valid; /* bool, where it is one of a cache */
	uint8_t zero;
	uint64_t r;    /* index DIV 2^kdr that they are for */
};

struct dp_srtp_more {
	uint64_t from, to;
	uint64_t lifetime; /* packets; 0: 2^48 and 2^31 */
	uint8_t kdr;
	uint8_t zero[7];
	uint8_t mki[DP_SRTP_MKI_MAX];
};

#define DP_SRTP_KDR_SETS 2 /* current and previous r */
struct dp_srtp_kdr {
	uint8_t master_rk[DP_MB_AES_RK_MAX] __attribute__((aligned(16)));
	uint8_t salt[DP_SRTP_SALT_MAX];
	uint8_t zero[2];
	struct dp_srtp_raw set[2][DP_SRTP_KDR_SETS]; /* SRTP, SRTCP; the one used last first */
};

/** Bytes in front, by kind: a multiple of 16. */
static inline size_t dp_srtp_ext_cipher(uint8_t kind)
{
	switch (kind) {
	case DP_SRTP_K_CM192:
	case DP_SRTP_K_CM256:
		return DP_MB_AES256_RK;
	case DP_SRTP_K_GCM128:
	case DP_SRTP_K_GCM256:
		return sizeof(struct gcm_key_data);
	default:
		return 0;
	}
}
static_assert(DP_MB_AES256_RK % 16 == 0 && sizeof(struct gcm_key_data) % 16 == 0 && sizeof(struct dp_srtp_more) % 16 == 0 &&
	      sizeof(struct dp_srtp_kdr) % 16 == 0, "parts of an extension are aligned to 16");

/* With DP_SRTP_F_MORE. */
static inline struct dp_srtp_more *dp_srtp_more(const struct dp_srtp_key *key)
{
	return (void *)(key->ext + dp_srtp_ext_cipher(key->kind));
}

/* With DP_SRTP_F_KDR. */
static inline struct dp_srtp_kdr *dp_srtp_kdr(const struct dp_srtp_key *key)
{
	return (void *)(key->ext + dp_srtp_ext_cipher(key->kind) + sizeof(struct dp_srtp_more));
}

/* With DP_SRTP_F_WIDE: words of the first stream. */
static inline uint64_t *dp_srtp_wide(const struct dp_srtp_key *key)
{
	return (void *)(key->ext + dp_srtp_ext_cipher(key->kind) +
			((key->flags & DP_SRTP_F_MORE) != 0 ? sizeof(struct dp_srtp_more) : 0) +
			((key->flags & DP_SRTP_F_KDR) != 0 ? sizeof(struct dp_srtp_kdr) : 0));
}

/** Bytes of a key's extension, by its kind, flags and window; 0: it needs none. */
static inline size_t dp_srtp_ext_size(const struct dp_srtp_key *key)
{
	return dp_srtp_ext_cipher(key->kind) + ((key->flags & DP_SRTP_F_MORE) != 0 ? sizeof(struct dp_srtp_more) : 0) +
	       ((key->flags & DP_SRTP_F_KDR) != 0 ? sizeof(struct dp_srtp_kdr) : 0) +
	       ((key->flags & DP_SRTP_F_WIDE) != 0 ? 8 * dp_replay_words(key->window) : 0);
}

/** A zeroed block of 'size' bytes, 64-byte aligned; NULL: no memory. 'slab' NULL: from the C library. Main lcore. */
void *dp_srtp_slab_take(struct dp_srtp_slab *slab, size_t size);

/** Wipe a block of 'size' bytes and give it to whom it came from. Main lcore. */
void dp_srtp_slab_give(void *block, size_t size);

/** AES key length in bytes of a kind; NULL cipher: of its derivation. */
static inline size_t dp_srtp_key_len(uint8_t kind)
{
	switch (kind) {
	case DP_SRTP_K_CM192:
		return 24;
	case DP_SRTP_K_CM256:
	case DP_SRTP_K_GCM256:
		return 32;
	default:
		return 16;
	}
}

/** SRTCP session key, raw, dp_srtp_key_len() bytes. */
static inline uint8_t *dp_srtp_rtcp_key(struct dp_srtp_key *key)
{
	return key->kind == DP_SRTP_K_CM128 || key->kind == DP_SRTP_K_NULL ? key->rtcp_key : key->rk;
}

#endif
