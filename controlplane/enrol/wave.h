/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A wave as rules: which device is set next and when, what a result means, when it stops. No store, no clock, no phones: waves.c has
 * those, and writes down what is decided here. Made anew from its records at any point it goes on as it would have: a device is set in
 * one write with its place in the wave, so none is set twice and none is left out; results are those of the operations' records; the
 * failures that are looked at are the last ones by time.
 * 004b:CAPF-34, CAPF-35.
 */
#ifndef CP_ENROL_WAVE_H
#define CP_ENROL_WAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/waverec.h"

#define CP_WAVE_PER_MINUTE     60  /* unless the operator says otherwise; so are the others */
#define CP_WAVE_PER_MINUTE_MAX 6000
#define CP_WAVE_AT_ONCE        50
#define CP_WAVE_STOP_AT        20  /* percent */
#define CP_WAVE_WINDOW         20  /* devices that finished last */
#define CP_WAVE_JUDGE_MIN      5   /* with fewer results nothing is said of a rate */
#define CP_WAVE_WITHIN_MIN     60
#define CP_WAVE_SLACK_US       250000 /* a turn that came late is made good for so much */
#define CP_WAVE_BUSY_US        (INT64_C(60) * 1000000) /* a device that is busy is looked at again after */
#define CP_WAVE_BUSY_TRIES     5      /* and refused after so many */
#define CP_WAVE_RETRY_US       (INT64_C(2) * 1000000)  /* after the store refused */

struct cp_wave;

struct cp_wave_counts {
	unsigned by_state[CP_WAVE_ITEM_STATES];
	unsigned judged, failures; /* of the window */
};

/** 'rec' is copied (its 'unknown' is not). NULL: no memory. */
struct cp_wave *cp_wave_create(const struct cp_wave_rec *rec);
void cp_wave_destroy(struct cp_wave *w); /* NULL is allowed */

/** The record of one of its devices, in any order. 0, -EINVAL: not one of it. */
int cp_wave_load(struct cp_wave *w, const struct cp_wave_item *item);
/** All are there. True: the wave's own record has changed, for it stopped or ended by what was loaded. */
bool cp_wave_loaded(struct cp_wave *w, int64_t now_us);

/** As it is to be written. Borrowed. */
const struct cp_wave_rec *cp_wave_record(const struct cp_wave *w);
/** One device as it is to be written; 'why' is the caller's. */
void cp_wave_item_get(const struct cp_wave *w, uint32_t at, struct cp_wave_item *ret);
void cp_wave_count(const struct cp_wave *w, struct cp_wave_counts *ret);
/** It runs, or operations of it are pending: it has to be kept. */
bool cp_wave_alive(const struct cp_wave *w);

/**
 * Whose turn is it? 0: *ret_at, which must be followed by one of the next three. -EAGAIN: not before *ret_us (INT64_MAX: not before
 * something happens). -ENOENT: no more turns, or it is not running.
 */
int cp_wave_next(struct cp_wave *w, int64_t now_us, uint32_t *ret_at, int64_t *ret_us);
/** It is being set: cp_wave_taken() follows. */
void cp_wave_take(struct cp_wave *w, uint32_t at, uint64_t op_id, int64_t now_us);
/** It cannot be now: it has an operation or a session. True: that was so too often, it is refused; to be written. */
bool cp_wave_defer(struct cp_wave *w, uint32_t at, int64_t now_us);
/** It never can be. To be written; true: the wave ended with it. */
bool cp_wave_refuse(struct cp_wave *w, uint32_t at, int64_t now_us);

/** cp_wave_taken() is to come. */
bool cp_wave_taking(const struct cp_wave *w, uint32_t at);
/** rc 0: written. Else it waits again. */
void cp_wave_taken(struct cp_wave *w, uint32_t at, int rc, int64_t now_us);
void cp_wave_reset(struct cp_wave *w, uint32_t at, int64_t now_us);
/** Its operation ended: OK, FAILED or OVERTAKEN; to be written. True: so has the wave's record changed: it stopped, or ended. */
bool cp_wave_end(struct cp_wave *w, uint32_t at, enum cp_wave_item_state how, int64_t now_us);

/**
 * What an operator may do, in a copy of the record, which is written and then put there with cp_wave_put(). 0, -EPROTO with why.
 */
int cp_wave_pause(const struct cp_wave_rec *rec, struct cp_wave_rec *ret, char *why, size_t size);
int cp_wave_resume(const struct cp_wave_rec *rec, int64_t now_us, struct cp_wave_rec *ret, char *why, size_t size);
int cp_wave_cancel(const struct cp_wave_rec *rec, int64_t now_us, struct cp_wave_rec *ret, char *why, size_t size);
/** State, reason and times of 'rec' are its own from now on. True: the record has changed since: what was left ended meanwhile. */
bool cp_wave_put(struct cp_wave *w, const struct cp_wave_rec *rec, int64_t now_us);

#endif
