/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Forwarding of all calls, as a phone's user sets it: the soft key, a number, and the phone is told once that is on the disk. What the
 * phone shows is told to it whenever the record changes, whoever changed it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "callint.h"
#include "dial/plan.h"
#include "store/change.h"

struct setting {
	struct cp_calls *calls;
	uint32_t ref;     /* of the call that dialled the number; 0: none */
	char device[CP_DEVICE_NAME_MAX];
	uint32_t line;
	struct cp_forward rec;
};

/* The line of a phone, as the store has it. False: it has no such line any more. */
static bool line_of(const struct cp_phone *phone, uint32_t line, struct cp_dir_hit *ret)
{
	const struct cp_device *dev = cp_phone_device(phone);
	const char *number = cp_phone_line_number(phone, line);

	for (unsigned i = 0; dev != NULL && number != NULL && i < dev->line_cnt; i++)
		if (strcmp(dev->lines[i].number, number) == 0) {
			*ret = (struct cp_dir_hit){.kind = CP_DIR_LINE, .device = dev, .line = i + 1};
			return true;
		}
	return false;
}

void cfa_show(struct cp_calls *calls, struct cp_phone *phone, uint32_t line)
{
	struct cp_forward f = {0};
	struct cp_dir_hit hit;

	if (line_of(phone, line, &hit))
		cp_forward_get(calls->env.store, hit.device->lines[hit.line - 1].number, hit.device->lines[hit.line - 1].partition, &f);
	cp_phone_forward_stat(phone, line, f.all, f.busy, f.no_answer);
}

/* The record has changed: its phones show it. */
void cfa_watch(void *ctx, enum cp_cf cf, const uint8_t *key, size_t len, bool deleted)
{
	static const char folder[] = "forward/";
	char number[CP_NUMBER_MAX + CP_PART_MAX], *at;
	struct cp_dir_place place[CP_LINE_DEVICES_MAX];
	struct cp_calls *calls = ctx;
	unsigned n;

	(void)cf;
	(void)deleted;
	if (len <= sizeof(folder) - 1 || memcmp(key, folder, sizeof(folder) - 1) != 0 || len - (sizeof(folder) - 1) >= sizeof(number))
		return;
	len -= sizeof(folder) - 1;
	memcpy(number, key + sizeof(folder) - 1, len);
	number[len] = '\0';
	at = strchr(number, '@');
	if (at == NULL)
		return;
	*at++ = '\0';
	n = cp_dir_line_devices(calls->env.store, number, at, place);
	for (unsigned i = 0; i < n; i++) {
		struct agent *a = agent_find(calls, place[i].device->name, false);
		unsigned line = a != NULL && a->phone != NULL ? cp_phone_find_line(a->phone, number) : 0;

		if (line != 0)
			cfa_show(calls, a->phone, line);
	}
}

static void on_written(void *ctx, int rc)
{
	struct setting *s = ctx;
	struct agent *a = agent_find(s->calls, s->device, false);
	struct cp_phone *phone = a != NULL ? a->phone : NULL;
	struct cp_call *call = s->ref != 0 ? call_find(s->calls, s->ref) : NULL;

	if (rc < 0)
		cfg_log(CFG_LOG_WARN, "forward-not-written", "device=%s line=%u rc=%d", cfg_q(s->device), s->line, rc);
	else
		cfg_log(CFG_LOG_INFO, "forward-set", "device=%s number=%s all=%s", cfg_q(s->device), s->rec.number, s->rec.all);
	if (call != NULL && rc < 0)
		call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Cannot forward now");
	else if (call != NULL)
		call_end(call, "forwarding was set");
	if (phone != NULL)
		cp_phone_prompt(phone, rc < 0 ? "Cannot forward now" : s->rec.all[0] != '\0' ? "Calls are forwarded" : "Forwarding is off", 5, s->line, 0);
	free(s);
}

/* 'number' empty: off. 0: written later, and the phone is told then. */
static int set(struct cp_calls *calls, struct cp_phone *phone, uint32_t line, const char *number, uint32_t ref)
{
	struct setting *s = calloc(1, sizeof(*s));
	char who[CP_DEVICE_NAME_MAX + 8], why[200];
	struct cp_change *c = cp_change_create(calls->env.store);
	struct cp_dir_hit hit;
	int rc;

	if (s == NULL || c == NULL || !line_of(phone, line, &hit)) {
		cp_change_destroy(c);
		free(s);
		return -ENOENT;
	}
	s->calls = calls;
	s->ref = ref;
	s->line = line;
	snprintf(s->device, sizeof(s->device), "%s", cp_phone_name(phone));
	cp_forward_get(calls->env.store, hit.device->lines[hit.line - 1].number, hit.device->lines[hit.line - 1].partition, &s->rec);
	snprintf(s->rec.all, sizeof(s->rec.all), "%s", number);
	rc = cp_change_forward_put(c, &s->rec, why, sizeof(why));
	if (rc == 0) {
		snprintf(who, sizeof(who), "phone %s", s->device);
		rc = cp_change_submit(c, "forward.all", who, json_pack("{s:s,s:s}", "number", s->rec.number, "all", s->rec.all), on_written, s);
	} else {
		cfg_log_limited(CFG_LOG_NOTICE, "forward-refused", "device=%s reason=%s", cfg_q(s->device), cfg_q(why));
		cp_change_destroy(c);
	}
	if (rc < 0)
		free(s);
	return rc;
}

void cfa_key(struct cp_calls *calls, struct cp_phone *phone, uint32_t line, struct cp_call *dials)
{
	struct cp_dir_hit hit;
	struct cp_forward f;
	struct cp_call *call;

	if (dials != NULL)
		line = dials->p[0].line;

	if (line == 0)
		line = 1;
	if (!line_of(phone, line, &hit))
		return;
	cp_forward_get(calls->env.store, hit.device->lines[hit.line - 1].number, hit.device->lines[hit.line - 1].partition, &f);
	if (f.all[0] != '\0') {
		if (set(calls, phone, line, "", dials != NULL ? dials->ref : 0) < 0) {
			cp_phone_prompt(phone, "Cannot forward now", 5, line, 0);
		} else if (dials != NULL) { /* as cfa_dialled() */
			call_timer(dials, 0);
			dials->state = CALL_FAILED;
		}
		return;
	}
	call = dials != NULL ? dials : call_dial(calls, phone, line);
	if (call == NULL || call->digit_cnt > 0)
		return;
	call->sets_cfa = true;
	call->group_pickup = false;
	call->billed = true; /* a setting is no call */
	cp_phone_prompt(phone, "Forward all calls to", 0, line, call->ref);
}

void cfa_dialled(struct cp_call *call)
{
	struct party *p = &call->p[0];
	struct cp_dialled to;
	int rc;

	call_timer(call, 0);
	route_look(call, call->digits, false, &to);
	if ((to.kind == CP_DIAL_NONE && !vm_pilot(call->calls, call->digits)) || to.kind == CP_DIAL_BLOCK || to.kind == CP_DIAL_LOOP ||
	    (to.kind == CP_DIAL_LINE && strcmp(to.number, p->number) == 0)) {
		call->sets_cfa = false;
		call_fail(call, CP_SCCP_INVALID_NUMBER, CP_SCCP_TONE_REORDER, "Not a number to forward to");
		return;
	}
	rc = party_phone(p) == NULL ? -ENOTCONN : set(call->calls, party_phone(p), p->line, call->digits, call->ref);
	if (rc < 0)
		call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Cannot forward now");
	else
		call->state = CALL_FAILED; /* it takes no more digits, and leads nowhere */
}
