/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a call goes instead: the next gateway of a route, the number that a line forwards to, and back to who transferred it. All of it
 * happens before anybody has answered, so that no key and no leg of the party before is of use to the one after: they are given back.
 */
#include <stdlib.h>
#include <string.h>

#include "callint.h"
#include "dial/plan.h"

/* Redirecting reasons of ITU-T Q.931: what CallInfo's fields are taken to hold. */
enum why { WHY_BUSY = 1, WHY_NO_ANSWER = 2, WHY_UNREGISTERED = 9, WHY_ALL = 15 };

struct hop {
	char number[CP_NUMBER_MAX];
	char partition[CP_PART_MAX];
};

struct forwarded {
	char first_label[41];
	uint8_t first_why, last_why;
	unsigned cnt;
	struct hop hop[]; /* lines that the call left, the first called one first; calls.forward_hops of them */
};

void forward_free(struct cp_call *call)
{
	free(call->fwd);
	call->fwd = NULL;
}

void forward_info(const struct cp_call *call, struct cp_phone_callinfo *info)
{
	const struct forwarded *f = call->fwd;

	if (f == NULL || f->cnt == 0)
		return;
	info->orig_called_name = f->first_label;
	info->orig_called_number = f->hop[0].number;
	info->last_redirect_number = f->hop[f->cnt - 1].number;
	info->orig_reason = f->first_why;
	info->last_reason = f->last_why;
	if (info->type == CP_SCCP_INBOUND)
		info->type = CP_SCCP_FORWARD;
}

void forward_unroute(struct cp_call *call)
{
	struct party *p = &call->p[1];

	ring_stop(call);
	if (p->kind == PARTY_PHONE)
		ui_idle(call, 1);
	trunk_close(call, 1);
	legs_drop(call);
	party_clear(call, 1);
	memset(p, 0, sizeof(*p));
	p->call = call;
	p->leg_id = NO_LEG;
	call->direct = call->secure = false;
	call->cause = CP_Q850_NONE;
	call->state = CALL_DIALING;
	call_timer(call, 0);
}

/* False: this line was left before, or there were enough of them. */
static bool note_hop(struct cp_call *call, const char *label, enum why why)
{
	unsigned max = call->calls->env.cfg->calls.forward_hops;
	struct forwarded *f = call->fwd;
	struct hop *h;

	if (f == NULL) {
		f = calloc(1, sizeof(*f) + max * sizeof(f->hop[0]));
		if (f == NULL)
			return false;
		call->fwd = f;
	}
	for (unsigned i = 0; i < f->cnt; i++)
		if (strcmp(f->hop[i].number, call->line_number) == 0 && strcmp(f->hop[i].partition, call->line_partition) == 0)
			return false;
	if (f->cnt == max)
		return false;
	h = &f->hop[f->cnt++];
	memcpy(h->number, call->line_number, sizeof(h->number));
	memcpy(h->partition, call->line_partition, sizeof(h->partition));
	if (f->cnt == 1) {
		snprintf(f->first_label, sizeof(f->first_label), "%s", label);
		f->first_why = (uint8_t)why;
	}
	f->last_why = (uint8_t)why;
	snprintf(call->redirecting, sizeof(call->redirecting), "%s", h->number);
	return true;
}

/* As whom the forwarded call is looked up: the forward's calling search space, else that of the line. */
static const char *css_of(const struct cp_call *call, const struct cp_forward *f, struct cp_dir_hit *hit)
{
	if (f->css[0] != '\0')
		return f->css;
	return cp_dir_line(call->calls->env.store, f->number, f->partition, hit) ? cp_dial_css(hit->device, hit->line) : "";
}

/* From the line that the call is at now to 'number'. False: it stays. */
static bool redirect(struct cp_call *call, const struct cp_forward *f, const char *number, enum why why)
{
	char to[CP_NUMBER_MAX], css[CP_PART_MAX], label[CP_TEXT_MAX] = "";
	struct cp_dir_hit hit = {.kind = CP_DIR_NONE};

	memcpy(to, number, sizeof(to));
	snprintf(css, sizeof(css), "%s", css_of(call, f, &hit));
	if (cp_dir_line(call->calls->env.store, f->number, f->partition, &hit))
		snprintf(label, sizeof(label), "%s", hit.device->lines[hit.line - 1].label);
	if (!note_hop(call, label[0] != '\0' ? label : f->number, why)) {
		cfg_log(CFG_LOG_NOTICE, "forward-stopped", "call=%u number=%s to=%s reason=\"loop, or too many\"", call->ref, f->number, to);
		return false;
	}
	cfg_log(CFG_LOG_INFO, "call-forwarded", "call=%u from=%s number=%s to=%s reason=%d", call->ref, cfg_q(call->p[0].number), f->number, to,
		(int)why);
	forward_unroute(call);
	route_to(call, to, css);
	return true;
}

bool forward_all(struct cp_call *call)
{
	struct cp_forward f;

	cp_forward_get(call->calls->env.store, call->line_number, call->line_partition, &f);
	if (f.all[0] == '\0')
		return false;
	if (!redirect(call, &f, f.all, WHY_ALL)) {
		call->line_number[0] = '\0'; /* it is not busy, and has no answer: nothing else is tried */
		call_fail(call_cause(call, CP_Q850_CONGESTION), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Forwarding loop");
	}
	return true;
}

unsigned forward_ring_ms(const struct cp_call *call)
{
	const struct cfg_calls *cfg = &call->calls->env.cfg->calls;
	unsigned most = call->calls->env.cfg->mgcp.answer_s;
	struct cp_forward f;

	cp_forward_get(call->calls->env.store, call->line_number, call->line_partition, &f);
	if (f.no_answer[0] != '\0')
		most = f.ring_s != 0 ? f.ring_s : cfg->no_answer_s;
	return most * 1000;
}

static bool forward_failed(struct cp_call *call, bool busy)
{
	const char *number;
	struct cp_forward f;
	enum why why;

	if (call->line_number[0] == '\0')
		return false;
	cp_forward_get(call->calls->env.store, call->line_number, call->line_partition, &f);
	why = call->cause == CP_Q850_ABSENT ? WHY_UNREGISTERED : call->cause == CP_Q850_NO_ANSWER ? WHY_NO_ANSWER : WHY_BUSY;
	number = why == WHY_UNREGISTERED ? f.unregistered : why == WHY_NO_ANSWER ? f.no_answer : f.busy;
	if ((why == WHY_BUSY && !busy) || number[0] == '\0')
		return false;
	return redirect(call, &f, number, why);
}

/* A transfer to somebody who cannot be reached: it rings where it came from. */
static bool recall(struct cp_call *call, bool busy)
{
	struct cp_dialled to = {.kind = CP_DIAL_LINE};
	char number[CP_NUMBER_MAX], partition[CP_PART_MAX];

	if (call->recall_number[0] == '\0' || (!busy && call->cause != CP_Q850_ABSENT && call->cause != CP_Q850_NO_ANSWER))
		return false;
	memcpy(number, call->recall_number, sizeof(number));
	memcpy(partition, call->recall_partition, sizeof(partition));
	call->recall_number[0] = '\0'; /* once */
	if (!cp_dir_line(call->calls->env.store, number, partition, &to.hit))
		return false;
	memcpy(to.number, number, sizeof(to.number));
	memcpy(to.partition, partition, sizeof(to.partition));
	cfg_log(CFG_LOG_INFO, "transfer-recall", "call=%u to=%s", call->ref, number);
	forward_unroute(call);
	route_line(call, &to);
	return true;
}

void forward_recall(struct cp_call *call, const struct party *by)
{
	snprintf(call->recall_number, sizeof(call->recall_number), "%s", by->number);
	snprintf(call->recall_partition, sizeof(call->recall_partition), "%s",
		 cp_dir_partition(cp_dir_device(call->calls->env.store, by->name), by->number));
}

bool forward_instead(struct cp_call *call, bool busy)
{
	const struct party *p = &call->p[0];
	bool early = call->state == CALL_DIALING || call->state == CALL_ROUTING || call->state == CALL_ALERTING;

	if (call->calls->stopping || !early || (party_phone(p) == NULL && !p->inbound) || p->media_on || !cp_dp_up(call->calls->env.dp))
		return false;
	return route_next(call) || forward_failed(call, busy) || recall(call, busy);
}
