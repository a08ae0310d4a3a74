/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values of the configuration file read as types: each takes the key's path, the text as it stood there (NULL: not given, the
 * default is taken) and the range. The first error of a load wins, with line, key and what is wrong. Private to config/.
 */
#ifndef CFG_VALUES_H
#define CFG_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "scan.h"

struct cfg_ctx {
	const struct cfg_scan *scan;
	char *err;
	size_t err_size;
	int rc; /* the first error wins */
};

void cfg_bad(struct cfg_ctx *c, const char *path, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** A whole number, decimal or 0x. */
int64_t cfg_num(struct cfg_ctx *c, const char *path, const char *v, int64_t dflt, int64_t min, int64_t max);

/** One of 'words', which stand in the order of the enum that is returned. */
int cfg_word(struct cfg_ctx *c, const char *path, const char *v, int dflt, const char *const *words);
extern const char *const cfg_truth[];

/* Copies on the heap; no memory is an error of the load. */
char *cfg_text(struct cfg_ctx *c, const char *v, const char *dflt);
void *cfg_array(struct cfg_ctx *c, size_t n, size_t size);
char **cfg_texts(struct cfg_ctx *c, char *const *v, unsigned n);
void cfg_free_texts(char **v, unsigned n);

/** An address without prefix length; a port only where one is allowed. */
bool cfg_host(struct cfg_ctx *c, const char *path, const char *v, bool port, struct cfg_addr *ret);

/** An absolute folder; not given: NAME in paths.state. */
char *cfg_directory(struct cfg_ctx *c, const char *path, const char *v, const struct cfg *cfg, const char *name);

/** 1 to 'max' of A-Z a-z 0-9 . _ - */
bool cfg_words_only(const char *s, size_t max);

/** "1000-1999": digits, as many on both sides, 1 to 'most' numbers, of which one is above 0. */
void cfg_range(struct cfg_ctx *c, const char *key, const char *text, unsigned most, struct cfg_range *ret);

/* For a section's function: 'c', 'cfg' and the section's raw struct 'r' are in scope. */
#define NUM(sec, m, dflt, min, max)                                                                \
	(cfg->sec.m = (__typeof__(cfg->sec.m))cfg_num(c, #sec "." #m, r->m, dflt, min, max))
#define WORD(sec, m, dflt, words)                                                                  \
	(cfg->sec.m = (__typeof__(cfg->sec.m))cfg_word(c, #sec "." #m, r->m, dflt, words))
#define TEXT(sec, m, dflt) (cfg->sec.m = cfg_text(c, r->m, dflt))


/* conference.c */
struct raw_conference;
void cfg_do_conference(struct cfg_ctx *c, struct cfg *cfg, const struct raw_conference *r);

/* provision.c */
struct raw_provision;
struct raw_ctl_provider;
struct raw_enrol;
void cfg_do_provision(struct cfg_ctx *c, struct cfg *cfg, const struct raw_provision *r);
void cfg_do_ctl_provider(struct cfg_ctx *c, struct cfg *cfg, const struct raw_ctl_provider *r);
void cfg_do_enrol(struct cfg_ctx *c, struct cfg *cfg, const struct raw_enrol *r);
void cfg_free_provision(struct cfg *cfg);

/* ike.c */
struct raw_ike;
void cfg_do_ike(struct cfg_ctx *c, struct cfg *cfg, const struct raw_ike *r);
void cfg_free_ike(struct cfg *cfg);

/* policy.c */
struct raw_ipsec;
void cfg_do_policies(struct cfg_ctx *c, struct cfg *cfg, const struct raw_ipsec *r);

/* moh.c */
struct raw_moh;
void cfg_do_moh(struct cfg_ctx *c, struct cfg *cfg, const struct raw_moh *r);
void cfg_free_moh(struct cfg *cfg);

#endif
