/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The records of the dial plan, family CP_CF_DIAL: partitions ("partition/NAME"), calling search spaces ("css/NAME"), patterns
 * ("pattern/PARTITION/TEXT", the text without its '.') and what a directory number forwards to ("forward/NUMBER@PARTITION"). The
 * partition "" has no record: every number and pattern that names none is in it, and every calling search space ends with it.
 * Encoding, errors and ownership as records.h. A line's own partition and calling search space are in its device's record.
 */
#ifndef CP_STORE_DIALREC_H
#define CP_STORE_DIALREC_H

#include "dial/pattern.h"
#include "records.h"

#define CP_CSS_PARTITIONS_MAX  32
#define CP_PATTERN_TARGETS_MAX 16

struct cp_partition {
	char name[CP_PART_MAX];
	char description[CP_TEXT_MAX];
	int64_t changed_us;
	struct cp_buf unknown;
};

struct cp_css_item {
	char partition[CP_PART_MAX];
};
struct cp_css {
	char name[CP_PART_MAX];
	char description[CP_TEXT_MAX];
	unsigned partition_cnt;
	struct cp_css_item *partitions; /* the first one wins among patterns that fit as closely */
	int64_t changed_us;
	struct cp_buf unknown;
};

enum cp_pattern_kind {
	CP_PATTERN_ROUTE = 1, /* to gateways */
	CP_PATTERN_TRANSLATE, /* other digits, looked up again */
	CP_PATTERN_BLOCK,
	CP_PATTERN_KINDS
};

struct cp_pattern_target {
	char gateway[CP_NAME_MAX + 1]; /* or "@" and a group of them */
	char endpoint[CP_NAME_MAX];    /* empty: any free one */
};

struct cp_pattern {
	char pattern[CP_PATTERN_MAX]; /* normal (cp_pat_normal), with its '.' */
	char partition[CP_PART_MAX];
	char description[CP_TEXT_MAX];
	uint8_t kind;                 /* enum cp_pattern_kind */
	bool urgent;                  /* does not wait for more digits */
	unsigned target_cnt;          /* ROUTE: one after the other, if one is busy or fails */
	struct cp_pattern_target *targets;
	/* of what is dialled: discard, then mask, then prefix */
	uint8_t discard;              /* enum cp_discard */
	char mask[CP_NUMBER_MAX], prefix[CP_NUMBER_MAX];
	/* of the caller's number, as the other side is shown it */
	char calling_mask[CP_NUMBER_MAX], calling_prefix[CP_NUMBER_MAX];
	char css[CP_PART_MAX];        /* TRANSLATE: where the other digits are looked up; empty: the caller's */
	char reason[CP_TEXT_MAX];     /* BLOCK: shown to the caller */
	bool busy_tone;               /* BLOCK: instead of reorder */
	int64_t changed_us;
	struct cp_buf unknown;
};

/* Where calls to a directory number go instead. Numbers are looked up as dialled by it, with 'css'; empty: no forwarding. */
struct cp_forward {
	char number[CP_NUMBER_MAX];
	char partition[CP_PART_MAX];
	char all[CP_NUMBER_MAX], busy[CP_NUMBER_MAX], no_answer[CP_NUMBER_MAX], unregistered[CP_NUMBER_MAX];
	char css[CP_PART_MAX];        /* empty: the line's, else its device's */
	uint32_t ring_s;              /* until 'no_answer'; 0: calls.no_answer_s */
	int64_t changed_us;
	struct cp_buf unknown;
};

int cp_partition_build(const struct cp_partition *rec, struct cp_buf *ret);
int cp_partition_parse(const uint8_t *data, size_t len, struct cp_partition *ret);
void cp_partition_free(struct cp_partition *rec);
int cp_partition_check(const struct cp_partition *rec, char *why, size_t why_size);

int cp_css_build(const struct cp_css *rec, struct cp_buf *ret);
int cp_css_parse(const uint8_t *data, size_t len, struct cp_css *ret);
void cp_css_free(struct cp_css *rec);
int cp_css_check(const struct cp_css *rec, char *why, size_t why_size);

int cp_pattern_build(const struct cp_pattern *rec, struct cp_buf *ret);
int cp_pattern_parse(const uint8_t *data, size_t len, struct cp_pattern *ret);
void cp_pattern_free(struct cp_pattern *rec);
int cp_pattern_check(const struct cp_pattern *rec, char *why, size_t why_size);

int cp_forward_build(const struct cp_forward *rec, struct cp_buf *ret);
int cp_forward_parse(const uint8_t *data, size_t len, struct cp_forward *ret);
void cp_forward_free(struct cp_forward *rec);
int cp_forward_check(const struct cp_forward *rec, char *why, size_t why_size);
/** Nothing is forwarded: such a record is deleted instead of kept, unless its own ring time is set. */
bool cp_forward_empty(const struct cp_forward *rec);

const char *cp_pattern_kind_name(unsigned kind); /* "route", "translate", "block" */
int cp_pattern_kind_parse(const char *name, uint8_t *ret);

/* Keys in CP_CF_DIAL, as text; the length, below CP_STORE_KEY_MAX. */
#define CP_DIAL_KEY_MAX 128
size_t cp_dial_key(char key[CP_DIAL_KEY_MAX], const char *folder, const char *name); /* "partition/", "css/" */
size_t cp_pattern_key(char key[CP_DIAL_KEY_MAX], const char *partition, const char *pattern);
size_t cp_forward_key(char key[CP_DIAL_KEY_MAX], const char *number, const char *partition);

struct cp_store;
/** What the directory number forwards to; zeros if nothing. 'ret' owns nothing. */
void cp_forward_get(const struct cp_store *store, const char *number, const char *partition, struct cp_forward *ret);

#endif
