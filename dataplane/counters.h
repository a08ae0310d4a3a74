/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The counter page (api/dp_page.h): made by the main lcore in a sealed memfd, written in place by the workers (their own
 * block, what a leg loses, SRTP's reservations) and by the main lcore (the rest, from what the workers own, twice a
 * second). And the same figures as rte_telemetry commands: /ravelin/info, /ravelin/workers, /ravelin/drops,
 * /ravelin/legs[,FROM] and /ravelin/leg,ID. R factor and MOS are made by the controlplane from these.
 */
#ifndef DP_COUNTERS_H
#define DP_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "dp_page.h"

/* No line of memory belongs to two workers, nor to two legs or SAs, which may be two workers'. */
static_assert(sizeof(struct dp_page) % 64 == 0 && sizeof(struct dp_page_worker) % 64 == 0 &&
	      sizeof(struct dp_page_leg) % 64 == 0 && sizeof(struct dp_page_sa) % 64 == 0, "whole cache lines");

/** Name of a stage: "unprotect". NULL beyond the last. */
const char *dp_stage_name(unsigned int stage);

/**
 * Make the page: a memfd that others can map read-only but not write (F_SEAL_FUTURE_WRITE), nor resize. 0 or -errno.
 * The caller owns *ret_fd and the mapping of *ret_size bytes.
 */
int dp_page_create(uint32_t worker_cnt, uint32_t leg_cnt, uint32_t sa_cnt, struct dp_page **ret_page,
		   size_t *ret_size, int *ret_fd);

static inline struct dp_page_worker *dp_page_workers(struct dp_page *page)
{
	return (struct dp_page_worker *)((uint8_t *)page + page->worker_off);
}

static inline struct dp_page_leg *dp_page_legs(struct dp_page *page)
{
	return (struct dp_page_leg *)((uint8_t *)page + page->leg_off);
}

static inline struct dp_page_sa *dp_page_sas(struct dp_page *page)
{
	return (struct dp_page_sa *)((uint8_t *)page + page->sa_off);
}

/* What dp_drops_new() has told already; zero-initialised, one owner. */
struct dp_drops_seen {
	uint64_t alive; /* page->alive at the last look */
	uint64_t drop[DP_DROP_MAX];
};

/**
 * What was refused since the last look, summed over workers, as "reason=count" pairs: only what an outsider must have
 * done, malformed, forged, replayed or unasked for; packets that merely have nowhere to go are counters. Looks about
 * once a second (by page->alive), so a line for each result is a rate-limited one. Returns the number of reasons.
 */
unsigned int dp_drops_new(struct dp_drops_seen *seen, struct dp_page *page, char *ret_text, size_t size);

/** Register the telemetry commands for this page; NULL before the page goes. 0 or the library's error. */
int dp_telemetry_init(struct dp_page *page);

#endif
