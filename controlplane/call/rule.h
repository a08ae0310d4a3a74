/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the region table (store/region.h) says of a call between two regions, put together with the configuration: codecs and bit
 * rate, direct or relayed media, suites.
 */
#ifndef CP_CALL_RULE_H
#define CP_CALL_RULE_H

#include "api/dp_suite.h"
#include "call/codec.h"
#include "config.h"
#include "store/region.h"

struct cp_media_rule {
	struct cp_codec_rule codec;
	bool direct;
	bool suites_said;                  /* by a rule; else a gateway gets media.suites, a phone what its record says */
	uint8_t suites[DP_SRTP_SUITE_MAX]; /* enum dp_srtp_suite, best first; NONE ends it */
};

#define CP_RULE_FROM_SIZE (2 * CP_REGION_MAX + 8)
struct cp_rule_from { /* for people: which rule says what: "main lab", "main *", "configuration", "default" */
	char codecs[CP_RULE_FROM_SIZE], kbps[CP_RULE_FROM_SIZE], media[CP_RULE_FROM_SIZE], suites[CP_RULE_FROM_SIZE];
};

/**
 * Merge 'n' rules, the narrowest first, as store/region.h has it. Two rules of the same width that both say a field both hold: the
 * lower bit rate, relay, what is in both lists. 'from' may be NULL. Pure.
 */
void cp_rule_merge(const struct cp_region *rules, unsigned n, const struct cfg_media *cfg, const char *a, const char *b,
		   struct cp_media_rule *ret, struct cp_rule_from *from);

/** The same with the rules that the store has. */
void cp_rule_find(const struct cp_store *store, const struct cfg_media *cfg, const char *a, const char *b, struct cp_media_rule *ret,
		  struct cp_rule_from *from);

#endif
