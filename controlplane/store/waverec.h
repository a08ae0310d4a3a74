/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records of waves: one operation for many devices, in order (enrol/wave.h). In family capf: the wave ("wave/" and its number in ten
 * digits) and each of its devices ("wvi/", the same number, "/" and its place in six). Encoding and errors as records.h.
 */
#ifndef CP_STORE_WAVEREC_H
#define CP_STORE_WAVEREC_H

#include "records.h"

struct cp_batch;
struct cp_store;

#define CP_WAVE_MAX      100000 /* devices of a wave */
#define CP_WAVE_TEXT_MAX 160

enum cp_wave_state {
	CP_WAVE_MAKING,    /* not all of its devices are written: nobody was told of it */
	CP_WAVE_RUNNING,
	CP_WAVE_PAUSED,    /* an operator did */
	CP_WAVE_STOPPED,   /* by itself: too many failed */
	CP_WAVE_DONE,
	CP_WAVE_CANCELLED,
	CP_WAVE_STATES
};

struct cp_wave_rec {
	uint32_t id;          /* from 1 */
	char who[32];         /* who began it: "uid 0" */
	char what[CP_WAVE_TEXT_MAX]; /* how its devices were chosen, for people */
	uint8_t op;           /* enum cp_capf_op */
	uint8_t by;           /* enum cp_capf_auth; NONE: what fits each device */
	char key[16];         /* "": as the device's profile has it */
	uint16_t backup_bits;
	bool reset;           /* registered phones are reset when they are set */
	uint32_t per_minute;  /* devices that are set, at most */
	uint32_t at_once;     /* devices whose operation is pending, at most */
	uint8_t stop_at;      /* percent that may fail; 100: it never stops */
	uint32_t window;      /* of the devices that finished last, which are looked at for it */
	uint32_t within_min;  /* how long a device has */
	uint32_t cnt;         /* devices */
	uint8_t state;        /* enum cp_wave_state */
	char reason[CP_WAVE_TEXT_MAX]; /* why it is not running */
	int64_t created_us;   /* wall clock, so are the others */
	int64_t judged_us;    /* what failed before does not count any more: it was resumed */
	int64_t ended_us;     /* 0: it has not */
	struct cp_buf unknown;
};

enum cp_wave_item_state {
	CP_WAVE_WAITING,   /* for its turn */
	CP_WAVE_SET,       /* its operation is pending */
	CP_WAVE_OK,
	CP_WAVE_FAILED,
	CP_WAVE_REFUSED,   /* could not be set: 'why' */
	CP_WAVE_OVERTAKEN, /* an operator cancelled its operation or set another one */
	CP_WAVE_ITEM_STATES
};

struct cp_wave_item {
	uint32_t wave, at;    /* place, from 0 */
	char device[CP_DEVICE_NAME_MAX];
	uint8_t state;        /* enum cp_wave_item_state */
	uint64_t op_id;       /* of its operation; 0: not set */
	int64_t set_us, reset_us, ended_us; /* 0: not (yet) */
	char why[CP_WAVE_TEXT_MAX];
	struct cp_buf unknown;
};

int cp_wave_rec_build(const struct cp_wave_rec *rec, struct cp_buf *ret);
int cp_wave_rec_parse(const uint8_t *data, size_t len, struct cp_wave_rec *ret);
void cp_wave_rec_free(struct cp_wave_rec *rec);
int cp_wave_item_build(const struct cp_wave_item *rec, struct cp_buf *ret);
int cp_wave_item_parse(const uint8_t *data, size_t len, struct cp_wave_item *ret);
void cp_wave_item_free(struct cp_wave_item *rec);

const char *cp_wave_state_name(unsigned state);      /* "running", "paused", "stopped", ... */
const char *cp_wave_item_state_name(unsigned state); /* "waiting", "pending", "successful", ... */

/* Keys; return 'buf'. */
const char *cp_wave_key(uint32_t id, char buf[32]);
const char *cp_wave_item_key(uint32_t id, uint32_t at, char buf[32]);
/** What the keys of a wave's devices begin with. */
const char *cp_wave_items_prefix(uint32_t id, char buf[32]);

/** From the synced view: 0, -ENOENT, -EBADMSG; to be freed. */
int cp_store_wave(const struct cp_store *store, uint32_t id, struct cp_wave_rec *ret);
/* Into a batch. 0, or as NAME_build() and cp_batch_put(). */
int cp_batch_wave(struct cp_batch *b, const struct cp_wave_rec *rec);
int cp_batch_wave_item(struct cp_batch *b, const struct cp_wave_item *rec);

#endif
