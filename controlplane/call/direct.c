/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Direct media (architecture section 3.3): both parties get the same two sets, one per direction, and each other's
 * address; no leg is made. What is lost by it: the appliance sees no media, so it can neither age a call out nor renew
 * its keys; a call whose phones have all been away for media.idle_s ends.
 *
 * Phones:  ORC to both, their answers say where they receive, then SMT to both.
 * Gateway: CRCX carries the phone's sending key and, for want of an address, port 9 of where the phone signals from
 *          (recvonly: nothing is sent there); the answer has the gateway's. Then ORC and SMT to the phone, and when it
 *          has said where it receives, MDCX tells the gateway.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "callint.h"

int direct_keys(struct cp_call *call)
{
	struct cp_keys *keys = call->calls->keys;
	struct party *a = &call->p[0], *b = &call->p[1];

	if (!call->secure)
		return 0;
	if (b->kind == PARTY_PHONE) { /* the gateway's are there already */
		b->suite = a->suite;
		b->tx = cp_keys_draw(keys, b->suite);
		b->rx = cp_keys_draw(keys, b->suite);
		if (b->tx == NULL || b->rx == NULL)
			return -ENOSPC;
	}
	a->suite = b->suite;
	a->rx = cp_keys_copy(keys, b->tx); /* what a sends is what b gets */
	a->tx = cp_keys_copy(keys, b->rx);
	return a->rx != NULL && a->tx != NULL ? 0 : -ENOSPC;
}

void direct_start(struct cp_call *call)
{
	call->media_started = true;
	for (unsigned s = 0; s < 2; s++) {
		if (call->p[s].kind != PARTY_PHONE)
			continue;
		ui_connected(call, s);
		if (ui_media_receive(call, s) < 0 || (call->p[1].kind == PARTY_GATEWAY && ui_media_send(call, s) < 0)) {
			call_end(call_cause(call, CP_Q850_OUT_OF_ORDER), "phone lost");
			return;
		}
	}
}

int direct_confirmed(struct cp_call *call, unsigned side)
{
	struct party *other = &call->p[1 - side];

	if (other->kind == PARTY_GATEWAY) {
		trunk_connect(call, 1);
		return 0;
	}
	if (!other->ready)
		return 0;
	return ui_media_send(call, 0) < 0 || ui_media_send(call, 1) < 0 ? -ENOTCONN : 0;
}

void direct_watch(struct cp_call *call)
{
	uint32_t idle_s = call->calls->env.cfg->media.idle_s;
	bool there = false;

	park_watch(call);
	if (call->state != CALL_CONNECTED || idle_s == 0 || call->park[0] != '\0' || (!call->direct && !call->p[0].held && !call->p[1].held) ||
	    call->p[0].resuming || call->p[1].resuming)
		return;
	for (unsigned s = 0; s < 2; s++)
		there |= party_phone(&call->p[s]) != NULL;
	call_timer(call, there ? 0 : idle_s * 1000);
}
