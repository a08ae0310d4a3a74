/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Digit maps, RFC 3435 s2.1.5: compiled once, then asked about what was dialled so far. For what we send to gateways (D:), and for
 * gateways that tell digits one by one. Letters of extension packages are refused. No memory is taken.
 */
#ifndef DP_DIGITMAP_H
#define DP_DIGITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_DIGITMAP_ALTS 48  /* alternatives */
#define DP_DIGITMAP_LEN  63  /* positions of one */
#define DP_DIGITMAP_ALL  512 /* positions of all */

struct dp_digitmap {
	uint16_t alt_cnt;
	uint16_t first[DP_DIGITMAP_ALTS + 1]; /* alternative i is pos[first[i]] up to pos[first[i + 1]] */
	uint32_t pos[DP_DIGITMAP_ALL];        /* bit i: symbol i of "0123456789*#ABCDT"; top bit: any number of times, or not at all */
};

enum dp_dial {
	DP_DIAL_PARTIAL,    /* more may make a match of it */
	DP_DIAL_MATCH,      /* one alternative matches exactly: it is complete, whatever others still wait for */
	DP_DIAL_IMPOSSIBLE, /* nothing that follows makes a match: it is complete too */
};

/** "(0T|00T|[1-7]xxx|9011x.T)" or a single alternative without brackets. 0; -EBADMSG; -E2BIG: larger than the above. */
int dp_digitmap_compile(const char *s, size_t len, struct dp_digitmap *ret);

/** What 'n' symbols dialled so far (0-9 * # A-D, T: the timer went off) are. *ret_timer (may be NULL): PARTIAL, and a T would match. */
enum dp_dial dp_digitmap_match(const struct dp_digitmap *map, const char *dialled, size_t n, bool *ret_timer);

#endif
