/* SPDX-License-Identifier: BSD-3-Clause */
#include "waverec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fieldtab.h"
#include "log.h"
#include "phonecfg.h"
#include "store.h"

/* Tags are forever. */
static const struct cp_field wave_fields[] = {
	F(1, CP_F_UINT, cp_wave_rec, id),
	F(2, CP_F_STR, cp_wave_rec, who),
	F(3, CP_F_STR, cp_wave_rec, what),
	F(4, CP_F_UINT, cp_wave_rec, op),
	F(5, CP_F_UINT, cp_wave_rec, by),
	F(6, CP_F_STR, cp_wave_rec, key),
	F(7, CP_F_UINT, cp_wave_rec, backup_bits),
	F(8, CP_F_BOOL, cp_wave_rec, reset),
	F(9, CP_F_UINT, cp_wave_rec, per_minute),
	F(10, CP_F_UINT, cp_wave_rec, at_once),
	F(11, CP_F_UINT, cp_wave_rec, stop_at),
	F(12, CP_F_UINT, cp_wave_rec, window),
	F(13, CP_F_UINT, cp_wave_rec, within_min),
	F(14, CP_F_UINT, cp_wave_rec, cnt),
	F(15, CP_F_UINT, cp_wave_rec, state),
	F(16, CP_F_STR, cp_wave_rec, reason),
	F(17, CP_F_UINT, cp_wave_rec, created_us),
	F(18, CP_F_UINT, cp_wave_rec, judged_us),
	F(19, CP_F_UINT, cp_wave_rec, ended_us),
	END,
};

static const struct cp_field item_fields[] = {
	F(1, CP_F_UINT, cp_wave_item, wave),
	F(2, CP_F_UINT, cp_wave_item, at),
	F(3, CP_F_STR, cp_wave_item, device),
	F(4, CP_F_UINT, cp_wave_item, state),
	F(5, CP_F_UINT, cp_wave_item, op_id),
	F(6, CP_F_UINT, cp_wave_item, set_us),
	F(7, CP_F_UINT, cp_wave_item, reset_us),
	F(8, CP_F_UINT, cp_wave_item, ended_us),
	F(9, CP_F_STR, cp_wave_item, why),
	END,
};

static int bad(char *why, size_t size, const char *what, unsigned id)
{
	snprintf(why, size, "wave %u: %s", id, what);
	return -EINVAL;
}

static int wave_check(const struct cp_wave_rec *r, char *why, size_t size)
{
	if (r->id == 0 || r->cnt == 0 || r->cnt > CP_WAVE_MAX)
		return bad(why, size, "no number, or no devices", r->id);
	if (r->op == 0 || r->op > 3 || r->by > CP_CAPF_MIC || r->state >= CP_WAVE_STATES)
		return bad(why, size, "unknown operation, authentication or state", r->id);
	if (r->per_minute == 0 || r->at_once == 0 || r->stop_at > 100 || r->window == 0 || r->window > 1000 || r->within_min == 0)
		return bad(why, size, "a limit that is none", r->id);
	if (r->created_us < 0 || r->judged_us < 0 || r->ended_us < 0)
		return bad(why, size, "a time before 1970", r->id);
	return 0;
}

static int item_check(const struct cp_wave_item *r, char *why, size_t size)
{
	if (r->wave == 0 || r->at >= CP_WAVE_MAX || !cp_device_name_ok(r->device) || r->state >= CP_WAVE_ITEM_STATES)
		return bad(why, size, "no device of it", r->wave);
	if ((r->state == CP_WAVE_SET || r->state == CP_WAVE_OK || r->state == CP_WAVE_FAILED) != (r->op_id != 0) && r->state != CP_WAVE_OVERTAKEN)
		return bad(why, size, "a state that does not fit the operation", r->wave);
	if (r->set_us < 0 || r->reset_us < 0 || r->ended_us < 0)
		return bad(why, size, "a time before 1970", r->wave);
	return 0;
}

RECORD(cp_wave_rec, CP_KIND_WAVE, wave_fields, wave_check)
RECORD(cp_wave_item, CP_KIND_WAVE_ITEM, item_fields, item_check)

const char *cp_wave_state_name(unsigned state)
{
	static const char *const names[CP_WAVE_STATES] = {"making", "running", "paused", "stopped", "done", "cancelled"};

	return state < CP_WAVE_STATES ? names[state] : "unknown";
}

const char *cp_wave_item_state_name(unsigned state)
{
	static const char *const names[CP_WAVE_ITEM_STATES] = {"waiting", "pending", "successful", "failed", "refused", "overtaken"};

	return state < CP_WAVE_ITEM_STATES ? names[state] : "unknown";
}

const char *cp_wave_key(uint32_t id, char buf[32])
{
	snprintf(buf, 32, "wave/%010u", id);
	return buf;
}

const char *cp_wave_item_key(uint32_t id, uint32_t at, char buf[32])
{
	snprintf(buf, 32, "wvi/%010u/%06u", id, at);
	return buf;
}

const char *cp_wave_items_prefix(uint32_t id, char buf[32])
{
	snprintf(buf, 32, "wvi/%010u/", id);
	return buf;
}

int cp_store_wave(const struct cp_store *s, uint32_t id, struct cp_wave_rec *ret)
{
	const uint8_t *val;
	char key[32];
	size_t len;
	int rc;

	cp_wave_key(id, key);
	rc = cp_store_get(s, CP_CF_CAPF, key, strlen(key), &val, &len);
	return rc < 0 ? rc : cp_wave_rec_parse(val, len, ret);
}

static int put(struct cp_batch *b, const char *key, int rc, struct cp_buf *val)
{
	if (rc == 0) {
		rc = cp_batch_put(b, CP_CF_CAPF, key, strlen(key), val->data, val->len);
		free(val->data);
	}
	return rc;
}

int cp_batch_wave(struct cp_batch *b, const struct cp_wave_rec *rec)
{
	struct cp_buf val = {0};
	char key[32];

	return put(b, cp_wave_key(rec->id, key), cp_wave_rec_build(rec, &val), &val);
}

int cp_batch_wave_item(struct cp_batch *b, const struct cp_wave_item *rec)
{
	struct cp_buf val = {0};
	char key[32];

	return put(b, cp_wave_item_key(rec->wave, rec->at, key), cp_wave_item_build(rec, &val), &val);
}
