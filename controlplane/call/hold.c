/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hold and resume. A party that holds has no media: its channels are closed, its leg neither takes nor sends, and nothing
 * ages the call out. The other one's stay open, and it hears music (music.c). When it comes back the channels are opened
 * anew, under keys that were never used (architecture 3.5): a phone starts its streams from the beginning then.
 */
#include <errno.h>

#include "callint.h"

#define RESUME_MS 10000 /* until the phone has opened its channel */

/* What is held is known after a restart, too. */
static void note(struct cp_call *call)
{
	if (call->stored && record_write(call, NULL, NULL) < 0)
		cfg_log_limited(CFG_LOG_WARN, "call-record-not-updated", "call=%u", call->ref);
}

static int legs_again(struct cp_call *call)
{
	int rc = 0;

	for (unsigned s = 0; !call->direct && rc == 0 && s < 2; s++)
		rc = legs_assert(call, s, false);
	return rc == -ENOTCONN ? 0 : rc; /* asserted when the dataplane returns */
}

int hold_begin(struct cp_call *call, unsigned side, const char **why)
{
	struct party *p = &call->p[side], *other = &call->p[1 - side];

	*why = "the call is not connected";
	if (call->state != CALL_CONNECTED || p->kind != PARTY_PHONE)
		return -EPROTO;
	*why = "who has barged in can only leave";
	if (call->barge)
		return -EPROTO;
	*why = "it is on hold";
	if (p->held)
		return -EALREADY;
	*why = "new keys are under way";
	if (p->rekeying || p->resuming)
		return -EBUSY;
	*why = "its media goes to a gateway directly";
	if (call->direct && other->kind != PARTY_PHONE)
		return -EPROTO;
	*why = "the other one comes back from hold";
	if (call->direct && other->resuming)
		return -EBUSY;
	barge_drop(p);
	ui_media_stop(call, side);
	if (call->direct)
		ui_media_stop(call, 1 - side);
	p->held = true;
	p->ready = false;
	if (other->music == MUSIC_NONE)
		other->music = MUSIC_USER;
	ui_held(call, side);
	*why = "the dataplane refused";
	if (legs_again(call) < 0) {
		call_end(call_cause(call, CP_Q850_TEMPORARY), "dataplane not reachable");
		return -EIO;
	}
	note(call);
	call_show(call);
	return 0;
}

/* Directly: both phones open their channels, with two new sets. Nothing can, while the other one holds. */
static int direct_again(struct cp_call *call)
{
	for (unsigned s = 0; s < 2; s++) {
		struct party *p = &call->p[s];

		p->ready = false;
		cp_keys_put(call->calls->keys, p->rx);
		cp_keys_put(call->calls->keys, p->tx);
		p->rx = p->tx = NULL;
	}
	if (direct_keys(call) < 0)
		return -ENOSPC;
	return ui_media_receive(call, 0) < 0 || ui_media_receive(call, 1) < 0 ? -ENOTCONN : 0;
}

int hold_may_end(const struct cp_call *call, unsigned side, const char **why)
{
	const struct party *p = &call->p[side];

	*why = "it is not on hold";
	if (!p->held)
		return -EALREADY;
	*why = "the call is just being set up";
	if (call->state != CALL_CONNECTED || call->p[1 - side].resuming)
		return -EBUSY;
	*why = "the phone is not registered";
	if (party_phone(p) == NULL)
		return -ENOTCONN;
	*why = "the dataplane is not there";
	return call->direct || cp_dp_up(call->calls->env.dp) ? 0 : -ENOTCONN;
}

int hold_end(struct cp_call *call, unsigned side, const char **why)
{
	struct party *p = &call->p[side], *other = &call->p[1 - side];
	struct cp_calls *calls = call->calls;
	uint32_t ref = call->ref;
	int rc = hold_may_end(call, side, why);

	if (rc < 0)
		return rc;
	p->held = false;
	other->music = MUSIC_NONE;
	ui_resumed(call, side);
	if (call->direct && other->held) { /* when the other one comes back */
		note(call);
		call_show(call);
		return 0;
	}
	p->resuming = true;
	rc = legs_again(call);
	if (rc == 0 && call->direct)
		rc = direct_again(call);
	else if (rc == 0 && p->suite != DP_SRTP_NONE)
		rc = rekey_party(call, side, why);
	else if (rc == 0)
		rc = ui_media_start(call, side);
	if (call_find(calls, ref) != call) { /* the dataplane refused a key: it has ended */
		*why = "the dataplane refused";
		return -EIO;
	}
	if (rc < 0)
		hold_over(call, side, false);
	else if (p->resuming) /* it is over already where the renewal could not begin */
		call_timer(call, RESUME_MS);
	return rc;
}

void hold_over(struct cp_call *call, unsigned side, bool resumed)
{
	struct party *p = &call->p[side];

	if (!p->resuming)
		return;
	p->resuming = false;
	call_timer(call, 0);
	if (!resumed) {
		ui_media_stop(call, side);
		if (call->direct)
			ui_media_stop(call, 1 - side);
		p->held = true;
		call->p[1 - side].music = MUSIC_USER;
		ui_held(call, side);
		legs_again(call);
	} else {
		p->ready = true;
	}
	direct_watch(call);
	note(call);
	call_show(call);
}
