/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The region table: what calls within a region and between two may use. A record is a rule for a pair; each of its fields may be
 * left unsaid. In family profile under "region/A/B", A not behind B; encoding and errors as records.h.
 *
 *     A A   calls within A                     * =   calls within any region
 *     A B   between A and B                    * *   between any two
 *     A *   between A and any other
 *
 * What holds for a pair is found field by field: the first of these that says it, the pair's own first, then A's and B's with any
 * other (where both say it, both hold), then the rule for any; then what the configuration says.
 */
#ifndef CP_STORE_REGION_H
#define CP_STORE_REGION_H

#include "records.h"

struct cp_change;
struct cp_store;

#define CP_REGION_MAX   60 /* of a name in a rule, with the NUL: two of them make a key */
#define CP_REGION_LIST  8
#define CP_REGION_KBPS  512
#define CP_REGION_ANY   "*"
#define CP_REGION_SAME  "="

enum cp_region_media { CP_REGION_MEDIA_UNSAID, CP_REGION_RELAY, CP_REGION_DIRECT };

struct cp_region_item {
	char name[32]; /* of a codec (call/codec.h) or a suite (call/keys.h): checked by who takes them from operators */
};

struct cp_region {
	char a[CP_REGION_MAX], b[CP_REGION_MAX];
	uint32_t max_kbps;             /* 0: not said */
	uint8_t media;                 /* enum cp_region_media */
	unsigned codec_cnt;            /* 0: not said */
	struct cp_region_item *codecs; /* best first */
	unsigned suite_cnt;
	struct cp_region_item *suites;
	int64_t changed_us;
	struct cp_buf unknown;
};

int cp_region_build(const struct cp_region *r, struct cp_buf *ret);
int cp_region_parse(const uint8_t *data, size_t len, struct cp_region *ret);
void cp_region_free(struct cp_region *r);
int cp_region_check(const struct cp_region *r, char *why, size_t why_size);

/** Into the order of a key: "=" and "A A" are within, "*" is behind. -EINVAL: no pair of regions, 'why' says it. */
int cp_region_pair(struct cp_region *r, const char *a, const char *b, char *why, size_t why_size);

/** As cp_change_conf_put(). */
int cp_region_put(struct cp_change *c, const struct cp_region *r, bool replace, char *why, size_t why_size);
int cp_region_del(struct cp_change *c, const struct cp_region *pair, char *why, size_t why_size);

/** The rule of a pair (after cp_region_pair()) in the synced view: 0, -ENOENT, -EBADMSG; to be freed. */
int cp_store_region(const struct cp_store *store, const char *a, const char *b, struct cp_region *ret);

#define CP_REGION_RULES 4
/** The rules that a call between regions 'a' and 'b' meets, the narrowest first: how many; each is to be freed. */
unsigned cp_store_region_rules(const struct cp_store *store, const char *a, const char *b, struct cp_region ret[CP_REGION_RULES]);

#endif
