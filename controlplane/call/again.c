/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A call's own commands that its gateway does not take for now (4xx, RFC 3435 s2.4): what rings, watches and opens connections is said again
 * after half a second, then after twice as long. Not CRCX, which another gateway may take, nor what a phone's hook is (401, 402).
 */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "callint.h"

#define FIRST_MS 500
#define TRIES    3

struct again {
	struct again *next;
	struct cp_calls *calls;
	struct event *ev;
	uint32_t ref;
	uint8_t side, op;
	char request_id[DP_MGCP_ID_MAX]; /* RQNT: another one has taken its place */
};

static void again_free(struct again *a)
{
	struct again **at = &a->calls->agains;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	if (a->ev != NULL)
		event_free(a->ev);
	free(a);
}

/* Is it still to be done? The call may be elsewhere by now. */
static bool wanted(const struct cp_call *call, const struct party *p, uint8_t op)
{
	switch (op) {
	case GW_OP_RQNT:
		return call->state == CALL_ROUTING && p->conn_id[0] != '\0';
	case GW_OP_ASK:
		return p->request_id[0] != '\0';
	case GW_OP_MDCX:
		return call->state == CALL_CONNECTING && !p->ready && !p->reopen && p->conn_id[0] != '\0';
	case GW_OP_REOPEN:
		return call->state == CALL_CONNECTING && p->reopen && p->conn_id[0] != '\0';
	default:
		return false;
	}
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	struct again a = *(struct again *)arg;
	struct cp_call *call;
	struct party *p;

	(void)fd;
	(void)what;
	again_free(arg);
	call = call_find(a.calls, a.ref);
	p = call != NULL ? &call->p[a.side] : NULL;
	if (p == NULL || p->kind != PARTY_GATEWAY || !wanted(call, p, a.op) || strcmp(p->request_id, a.request_id) != 0)
		return;
	switch (a.op) {
	case GW_OP_RQNT:
		trunk_ring(call);
		break;
	case GW_OP_ASK:
		if (!inbound_asks(call, a.side))
			trunk_request_again(p);
		break;
	case GW_OP_MDCX:
		trunk_connect_again(call, a.side);
		break;
	default:
		trunk_reopen(call, a.side);
		break;
	}
}

bool again_later(struct cp_call *call, unsigned side, uint8_t op, const struct dp_mgcp_done *done)
{
	struct party *p = &call->p[side];
	struct timeval tv = {0, 0};
	struct again *a;
	unsigned ms;

	if (done->result != DP_MGCP_ANSWERED || done->code < 400 || done->code >= 500 || done->code == 401 || done->code == 402 || p->put_off >= TRIES ||
	    !wanted(call, p, op))
		return false;
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return false;
	*a = (struct again){.next = call->calls->agains, .calls = call->calls, .ref = call->ref, .side = (uint8_t)side, .op = op};
	memcpy(a->request_id, p->request_id, sizeof(a->request_id));
	a->ev = evtimer_new(call->calls->env.base, on_time, a);
	call->calls->agains = a;
	ms = FIRST_MS << p->put_off++;
	tv.tv_sec = ms / 1000;
	tv.tv_usec = (suseconds_t)(ms % 1000) * 1000;
	if (a->ev == NULL || event_add(a->ev, &tv) < 0) {
		again_free(a);
		return false;
	}
	return true;
}

void again_forget(struct cp_calls *calls)
{
	while (calls->agains != NULL)
		again_free(calls->agains);
}
