/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waves at work: takes the turns of those that run (wave.h), sets the operations, resets phones, sees how they end, and writes all of
 * it down. A device's operation and its place in the wave are one write; a kill at any point costs neither a device nor a second
 * operation. Phones are reset after that is synced; a kill between the two costs a phone a second reset, not its turn.
 *
 * The loop is not held up: at most CP_WAVES_ROUND devices a tick, strings are sealed on a thread, a wave of many devices is written in
 * slices.
 */
#ifndef CP_ENROL_WAVES_H
#define CP_ENROL_WAVES_H

#include <stddef.h>
#include <stdint.h>

#include "store/waverec.h"

#define CP_WAVES_ROUND   25     /* devices set in one go */
#define CP_WAVES_TICK_MS 100    /* while one is at work */
#define CP_WAVES_ALIVE   8      /* at once */
#define CP_WAVES_KEEP_US (INT64_C(90) * 86400 * 1000000) /* the records of one that ended */
#define CP_WAVES_SETTLE_MS 15000 /* a phone that came after it was set is left alone for so long before it is reset */
#define CP_WAVES_BACK_MS   3000  /* the same where it came back because it was we who began anew: it was set before that, or soon after: */
#define CP_WAVES_RETURN_US (INT64_C(30) * 1000000)

struct cp_app;
struct cp_waves;

/** Takes up what was at work. Needs store, lscs, offload, capf and base of 'app'. 0, -ENOMEM, -ENOSPC. */
int cp_waves_create(struct cp_app *app, struct cp_waves **ret);
/** After cp_offload_destroy() and cp_store_close(). NULL is allowed. */
void cp_waves_destroy(struct cp_waves *waves);

/**
 * Begin one: 'rec' (copied) has everything but id, cnt, state and times; 'names' are its devices in order, device names. 'fn' is called
 * once with 0 and the number, all synced, or a negative errno. Errors from here, fn not called: -EBUSY (CP_WAVES_ALIVE), -ENOMEM.
 */
int cp_waves_begin(struct cp_waves *waves, const struct cp_wave_rec *rec, const char (*names)[CP_DEVICE_NAME_MAX], uint32_t cnt,
		   void (*fn)(void *ctx, int rc, uint32_t id), void *ctx);

enum cp_waves_act { CP_WAVES_PAUSE, CP_WAVES_RESUME, CP_WAVES_CANCEL };
/**
 * 'fn' is called once with 0 and the new state, synced, or a negative errno. Errors from here with a line in 'why', fn not called:
 * -ENOENT, -EPROTO (not in this state), as cp_store_submit().
 */
int cp_waves_change(struct cp_waves *waves, uint32_t id, enum cp_waves_act act, const char *who,
		    void (*fn)(void *ctx, int rc, enum cp_wave_state state), void *ctx, char *why, size_t size);

struct cp_wavecmd;
/** Registers capf.wave.* (wavecmd.c). *ret is set also behind an error. destroy: before the waves; NULL is allowed. */
int cp_wave_commands(struct cp_app *app, struct cp_waves *waves, struct cp_wavecmd **ret);
void cp_wave_commands_destroy(struct cp_wavecmd *c);

#endif
