/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One pattern of the dial plan as CallManager's users write it: what it looks like, whether digits fit it and how closely. Pure; no
 * store, no clock. Elements: 0-9 * # and '+' (also "\+") stand for themselves; X is any of 0-9; [1-4], [136] and [^5] one of those
 * digits ('^': one of 0-9 that is not); '!' is one or more of 0-9; '.' is no digit, it says what "pre-dot" means.
 * Limits: one '!' per pattern; '@' (a numbering plan), '?', "+" as a repetition, A to D: refused with a reason.
 */
#ifndef CP_DIAL_PATTERN_H
#define CP_DIAL_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CP_PATTERN_MAX   64 /* bytes of its text, with the terminating zero */
#define CP_PATTERN_ELEMS 32 /* as many as a number has digits */

#define CP_SYM_CNT    13    /* 0-9, then * # + */
#define CP_SYM_DIGITS 0x3ffu /* 0-9 */

/* How many strings of the dialled length a pattern fits: 13^32 is below 2^128. The fewer, the closer it is. */
__extension__ typedef unsigned __int128 cp_weight;

struct cp_pat {
	unsigned cnt;
	uint16_t mask[CP_PATTERN_ELEMS]; /* bit n: symbol n fits here */
	int many;                        /* index of the '!', -1 none */
	int dot;                         /* elements before the '.', -1 none */
};

/** 0-9 * # +: 0 to 12; -1 for anything else. */
int cp_sym(char c);
char cp_sym_char(unsigned sym);

/**
 * 0, or -EINVAL with what is wrong in 'why'. 'text' needs no terminating zero within 'len'; not one byte beyond is read.
 */
int cp_pat_parse(const char *text, size_t len, struct cp_pat *ret, char *why, size_t why_size);

/** The one spelling of a pattern, by which it is known: blanks and '-' between elements are gone, sets are in order. 'ret': CP_PATTERN_MAX. */
int cp_pat_normal(const char *text, char *ret, char *why, size_t why_size);

/** Do all of these digits fit all of it? *ret_weight (may be NULL): how closely. One step per digit; no memory. */
bool cp_pat_match(const struct cp_pat *pat, const char *digits, cp_weight *ret_weight);

/** How many of the dialled digits come before the '.': 0 without one, or if they do not fit. */
unsigned cp_pat_predot(const struct cp_pat *pat, const char *digits);

/* --- transformations of a number --- */

enum cp_discard { CP_DISCARD_NONE, CP_DISCARD_PREDOT, CP_DISCARD_POUND, CP_DISCARD_PREDOT_POUND, CP_DISCARD_ALL, CP_DISCARD_MAX };

/** "none", "predot", "trailing-#", "predot-trailing-#", "all"; and back: 0 or -EINVAL. */
const char *cp_discard_name(enum cp_discard discard);
int cp_discard_parse(const char *name, enum cp_discard *ret);

/** A mask: 0-9 * # + stand for themselves, X for the number's digit in that place counted from the right; at most CP_PATTERN_ELEMS. */
bool cp_mask_ok(const char *mask);

/**
 * Discard, then mask (empty: none), then prefix, as CallManager's order is. 'number' and 'ret' have 'size' bytes and may be the same.
 * -EINVAL: the result is no number, or longer than 'size' holds; 'ret' is not changed then.
 */
int cp_xform(const char *number, unsigned predot, enum cp_discard discard, const char *mask, const char *prefix, char *ret, size_t size);

#endif
