/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Voice mail: a call to the pilot's number goes to the first registered port that has none; ports say which lines have a message by
 * dialling calls.mwi_on or calls.mwi_off and the line's number behind it. What they said is in the store before they are told that it is done, and
 * shown at every phone of the line, now and whenever one registers (004a:SVC-05, 004b:VM-01).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callint.h"

#define WRITE_MS 10000 /* until a port that lights a lamp is told */

/* --- lamps --- */

static bool waiting(const struct cp_calls *calls, const char *number)
{
	const uint8_t *val;
	size_t len;

	return cp_store_get(calls->env.store, CP_CF_MWI, number, strlen(number), &val, &len) == 0;
}

static void lamps(struct agent *a, const char *number)
{
	const char *mine;

	for (unsigned line = 1; a->phone != NULL && (mine = cp_phone_line_number(a->phone, line)) != NULL; line++)
		if (number == NULL || strcmp(mine, number) == 0)
			cp_phone_mwi(a->phone, line, waiting(a->calls, mine));
}

static void on_change(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted)
{
	struct cp_calls *calls = ctx;
	char number[CP_NUMBER_MAX];

	(void)cf;
	(void)deleted;
	if (key_len >= sizeof(number))
		return;
	memcpy(number, key, key_len);
	number[key_len] = '\0';
	for (unsigned i = 0; i < AGENT_HASH; i++)
		for (struct agent *a = calls->agents[i]; a != NULL; a = a->next)
			lamps(a, number);
}

int vm_create(struct cp_calls *calls)
{
	return cp_store_watch(calls->env.store, CP_CF_MWI, on_change, calls);
}

int cp_calls_mwi(struct cp_calls *calls, const char *number, bool on, const char *audit, cp_store_fn fn, void *ctx)
{
	struct cp_dir_hit hit;
	struct cp_batch *b;

	if (!cp_number_ok(number))
		return -EINVAL;
	if (on && (!cp_dir_number(calls->env.store, number, &hit, NULL) || hit.kind != CP_DIR_LINE))
		return -ENOENT;
	b = cp_batch_create();
	if (b == NULL)
		return -ENOMEM;
	if (on)
		cp_batch_put(b, CP_CF_MWI, number, strlen(number), "\1", 1);
	else
		cp_batch_del(b, CP_CF_MWI, number, strlen(number));
	if (audit != NULL)
		cp_batch_audit(b, audit);
	return cp_store_submit(calls->env.store, b, fn, ctx);
}

static bool show_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t val_len)
{
	(void)val;
	(void)val_len;
	json_array_append_new(ctx, json_pack("{s:s%}", "number", (const char *)key, key_len));
	return true;
}

json_t *cp_calls_show_mwi(const struct cp_calls *calls)
{
	json_t *list = json_array();

	cp_store_each(calls->env.store, CP_CF_MWI, show_one, list);
	return list;
}

/* --- ports --- */

static unsigned port_number(const char *name)
{
	return (unsigned)strtoul(strrchr(name, 'I') + 1, NULL, 10);
}

/* By their server's name, and their number at it. */
static bool before(const struct agent *a, const struct agent *b)
{
	size_t na = (size_t)(strrchr(a->name, '-') - a->name), nb = (size_t)(strrchr(b->name, '-') - b->name);
	int c = na == nb ? memcmp(a->name, b->name, na) : strcmp(a->name, b->name);

	return c != 0 ? c < 0 : port_number(a->name) < port_number(b->name);
}

void vm_registered(struct agent *a)
{
	struct agent **at = &a->calls->ports_vm;

	lamps(a, NULL);
	if (!cp_vm_port_name_ok(a->name) || a->is_port)
		return;
	while (*at != NULL && before(*at, a))
		at = &(*at)->port_next;
	a->port_next = *at;
	*at = a;
	a->is_port = true;
}

void vm_gone(struct agent *a)
{
	struct agent **at = &a->calls->ports_vm;

	if (!a->is_port)
		return;
	while (*at != a)
		at = &(*at)->port_next;
	*at = a->port_next;
	a->is_port = false;
}

/* --- numbers --- */

static enum special match(const char *number, const char *digits)
{
	if (number == NULL || strncmp(number, digits, strlen(digits)) != 0)
		return SPECIAL_NO;
	return number[strlen(digits)] == '\0' ? SPECIAL_WHOLE : SPECIAL_BEGINS;
}

/* A lamp's number with a line's behind it. */
static enum special match_lamp(const struct cp_calls *calls, const char *number, const char *digits, const char **ret_line)
{
	struct cp_dir_hit hit;
	bool longer;
	size_t n;

	if (number == NULL)
		return SPECIAL_NO;
	n = strlen(number);
	if (strncmp(number, digits, n) != 0)
		return match(number, digits);
	*ret_line = digits + n;
	if (digits[n] == '\0')
		return SPECIAL_BEGINS;
	if (cp_dir_number(calls->env.store, digits + n, &hit, &longer) && !longer)
		return SPECIAL_WHOLE;
	return longer || hit.kind != CP_DIR_NONE ? SPECIAL_BEGINS : SPECIAL_NO;
}

enum special vm_number(const struct cp_call *call, const char *digits)
{
	const struct cfg_calls *cfg = &call->calls->env.cfg->calls;
	enum special pilot = match(cfg->voicemail, digits), lamp = SPECIAL_NO;
	const char *line;

	if (cp_vm_port_name_ok(call->p[0].name)) {
		enum special on = match_lamp(call->calls, cfg->mwi_on, digits, &line), off = match_lamp(call->calls, cfg->mwi_off, digits, &line);

		lamp = on > off ? on : off;
	}
	return pilot > lamp ? pilot : lamp;
}

struct lit {
	struct cp_calls *calls;
	uint32_t ref;
};

static void on_lit(void *ctx, int rc)
{
	struct lit *l = ctx;
	struct cp_call *call = call_find(l->calls, l->ref);

	free(l);
	if (call == NULL || call->state != CALL_ROUTING)
		return;
	if (rc < 0)
		call_fail(call_cause(call, CP_Q850_TEMPORARY), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Not stored");
	else
		call_end(call_cause(call, CP_Q850_NORMAL), "message waiting was set");
}

static void light(struct cp_call *call, const char *line, bool on)
{
	struct lit *l = malloc(sizeof(*l));
	int rc = l != NULL ? 0 : -ENOMEM;

	if (rc == 0) {
		*l = (struct lit){call->calls, call->ref};
		rc = cp_calls_mwi(call->calls, line, on, NULL, on_lit, l);
	}
	if (rc < 0) {
		free(l);
		call_fail(call_cause(call, CP_Q850_UNALLOCATED), CP_SCCP_INVALID_NUMBER, CP_SCCP_TONE_REORDER, "Unknown number");
		return;
	}
	call->state = CALL_ROUTING;
	ui_proceeding(call);
	call_timer(call, WRITE_MS);
}

static void hunt(struct cp_call *call)
{
	const struct agent *a = call->calls->ports_vm;
	bool there = false;

	for (; a != NULL; a = a->port_next) {
		if (cp_phone_line_number(a->phone, 1) == NULL)
			continue;
		there = true;
		if (a->parties == NULL)
			break;
	}
	if (a != NULL)
		route_device(call, a->name, cp_phone_line_number(a->phone, 1));
	else if (there)
		call_fail(call, CP_SCCP_BUSY, CP_SCCP_TONE_BUSY, "Busy");
	else
		call_fail(call_cause(call, CP_Q850_ABSENT), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No voice mail");
}

bool vm_pilot(const struct cp_calls *calls, const char *digits)
{
	return match(calls->env.cfg->calls.voicemail, digits) == SPECIAL_WHOLE;
}

bool vm_route(struct cp_call *call, const char *digits)
{
	if (!vm_pilot(call->calls, digits))
		return false;
	hunt(call);
	return true;
}

bool vm_lamp(struct cp_call *call)
{
	const struct cfg_calls *cfg = &call->calls->env.cfg->calls;
	const char *line = "";

	if (!cp_vm_port_name_ok(call->p[0].name))
		return false;
	if (match_lamp(call->calls, cfg->mwi_on, call->digits, &line) == SPECIAL_WHOLE)
		light(call, line, true);
	else if (match_lamp(call->calls, cfg->mwi_off, call->digits, &line) == SPECIAL_WHOLE)
		light(call, line, false);
	else
		return false;
	return true;
}
