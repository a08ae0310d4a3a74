/* SPDX-License-Identifier: BSD-3-Clause */
/* Jobs of a burst, as crypto/mb.h fills them and every kernel takes them: 32 and 41 bytes, against 200 of ipsec-mb's. */
#ifndef DP_CRYPTO_JOB_H
#define DP_CRYPTO_JOB_H

#include <stdint.h>
#include <string.h>

#define DP_MB_BURST      64 /* slots of each kind */
#define DP_MB_HMAC_STATE 40 /* bytes: inner, then outer HMAC-SHA1 state; 4-byte aligned, at best in one cache line */
#define DP_MB_SHA1_LEN   20 /* bytes of a whole tag */

struct dp_mb_ctr {
	const uint8_t *rk, *iv;
	uint8_t *data;
	uint32_t len; /* above 0 */
	uint32_t rounds; /* 10, 12 or 14 */
};

/* A burst of HMAC jobs, by field: the lanes' code loads 8 or 16 of each at once. */
struct dp_mb_hmac {
	const uint8_t *state[DP_MB_BURST];
	const uint8_t *data[DP_MB_BURST];
	uint8_t *tag[DP_MB_BURST];
	uint64_t end[DP_MB_BURST];   /* what follows the data, first byte lowest: 4 bytes of word if any, and padding's 0x80 */
	uint32_t len[DP_MB_BURST];   /* of data, without the word */
	uint32_t total[DP_MB_BURST]; /* with it */
	uint8_t tag_len[DP_MB_BURST]; /* bytes that go to 'tag' */
} __attribute__((aligned(64)));

/* memcpy(), without the call for the lengths that protocols have: 4, 10, 12 and 20. */
static inline void dp_mb_tag_out(uint8_t *dst, const uint8_t *tag, unsigned int len)
{
	if (len == 10) {
		memcpy(dst, tag, 8);
		memcpy(dst + 8, tag + 8, 2);
	} else if (len == 4) {
		memcpy(dst, tag, 4);
	} else if (len == 12) {
		memcpy(dst, tag, 8);
		memcpy(dst + 8, tag + 8, 4);
	} else if (len == 20) {
		memcpy(dst, tag, 16);
		memcpy(dst + 16, tag + 16, 4);
	} else {
		memcpy(dst, tag, len);
	}
}

#endif
