/* SPDX-License-Identifier: BSD-3-Clause */
/* What a phone is shown and told during a call: the sequences of wire formats 6.5. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "callint.h"

struct cp_phone *party_phone(const struct party *p)
{
	return p->kind == PARTY_PHONE && p->agent != NULL ? p->agent->phone : NULL;
}

static enum cp_sccp_keyset talk_keys(const struct cp_call *call)
{
	return call_conf(call) != NULL ? CP_SCCP_KEYS_CONFERENCE : CP_SCCP_KEYS_CONNECTED;
}

static uint8_t phone_can(const struct cp_store *store, const struct cp_phone *phone)
{
	const struct cp_device *dev = cp_phone_device(phone);

	return cp_store_devtype(store, dev != NULL ? dev->model : "", cp_phone_type(phone)).flags;
}

void ui_callinfo_at(struct cp_call *call, unsigned side, struct cp_phone *phone, uint32_t line, bool guest)
{
	const char *from = side == 1 && call->p[0].calling[0] != '\0' ? call->p[0].calling : call->p[0].number;
	struct cp_phone_callinfo info = {
		.line = line,
		.callref = call->p[side].ref,
		.type = side == 0 ? CP_SCCP_OUTBOUND : CP_SCCP_INBOUND,
		.security = CP_SCCP_SEC_UNKNOWN,
		.calling_name = call->p[0].label,
		.calling_number = from,
		.called_name = call->p[1].label,
		.called_number = call->p[1].kind != PARTY_NONE ? call->p[1].number : call->digits,
		.orig_called_name = call->p[1].label,
		.orig_called_number = call->p[1].number,
	};

	/* 000:P0-11: a model without icons is told of none. It may be another phone of a shared line than the party's. */
	if (((phone == party_phone(&call->p[side]) ? call->p[side].can : phone_can(call->calls->env.store, phone)) & CP_DT_ICON) != 0)
		info.security = (uint8_t)(guest ? CP_SEC_NOT_SECURE : call_security(call));
	forward_info(call, &info);
	cp_phone_callinfo(phone, &info);
}

void ui_callinfo(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct cp_phone *phone = party_phone(p);
	struct party *bridge;

	cdr_status(call); /* what is told is what its record says */
	if (call->barge) {
		barge_show(call);
		return;
	}
	if (phone != NULL)
		ui_callinfo_at(call, side, phone, p->line, false);
	bridge = barge_at(p);
	if (bridge != NULL)
		barge_show(bridge->call);
	shared_update(p);
}

void party_learn(struct party *p)
{
	p->can = party_phone(p) != NULL ? phone_can(p->call->calls->env.store, party_phone(p)) : 0;
}

/* 000:P0-13: a phone that is protected says at the connect, and whenever its call is another one, what it is worth. */
void ui_secure_tone(struct cp_call *call, unsigned side)
{
	static const uint32_t to[] = {[CFG_TONE_LOCAL] = 0, [CFG_TONE_REMOTE] = 1, [CFG_TONE_BOTH] = 2};
	struct party *p = &call->p[side];
	enum cfg_tone where = call->calls->env.cfg->calls.secure_tone;
	struct cp_phone *phone = party_phone(p);
	const struct cp_device *dev = phone != NULL ? cp_phone_device(phone) : NULL;
	bool secure = call_security(call) == CP_SEC_ENCRYPTED;

	if (where == CFG_TONE_OFF || p->held || dev == NULL || !dev->secure_tone || (p->can & CP_DT_TONE) == 0)
		return;
	cp_phone_tone_to(phone, secure ? CP_SCCP_TONE_SECURE : CP_SCCP_TONE_NONSECURE, to[where], p->line, p->ref);
}

void ui_dialing(struct cp_call *call)
{
	struct party *p = &call->p[0];
	struct cp_phone *phone = party_phone(p);

	if (phone == NULL)
		return;
	cp_phone_lamp(phone, p->line, CP_SCCP_LAMP_ON);
	cp_phone_call_state(phone, CP_SCCP_OFFHOOK, p->line, p->ref);
	cp_phone_softkeys(phone, CP_SCCP_KEYS_OFFHOOK, p->line, p->ref);
	cp_phone_prompt(phone, "Enter number", 0, p->line, p->ref);
	cp_phone_planes(phone, p->line);
	cp_phone_tone(phone, CP_SCCP_TONE_DIAL, p->line, p->ref);
}

void ui_proceeding(struct cp_call *call)
{
	struct party *p = &call->p[0];
	struct cp_phone *phone = party_phone(p);

	if (phone == NULL)
		return;
	cp_phone_stop_tone(phone, p->line, p->ref);
	cp_phone_dialed(phone, call->digits, p->line, p->ref);
	cp_phone_call_state(phone, CP_SCCP_PROCEED, p->line, p->ref);
	ui_callinfo(call, 0);
}

void ui_ringout(struct cp_call *call)
{
	struct party *p = &call->p[0];
	struct cp_phone *phone = party_phone(p);

	if (phone == NULL) {
		inbound_hears(call, INBOUND_RINGBACK);
		return;
	}
	cp_phone_call_state(phone, CP_SCCP_RINGOUT, p->line, p->ref);
	cp_phone_softkeys(phone, CP_SCCP_KEYS_RINGOUT, p->line, p->ref);
	cp_phone_prompt(phone, "Ring Out", 0, p->line, p->ref);
	cp_phone_tone(phone, CP_SCCP_TONE_RINGBACK, p->line, p->ref);
}

/* How a line is lit: the liveliest of its calls counts, but for 'gone'; then what goes on elsewhere on a shared line. */
static void lamp(const struct agent *a, uint32_t line, const struct party *gone)
{
	enum cp_sccp_lamp mode = CP_SCCP_LAMP_OFF;
	enum remote_state remote;

	for (const struct party *p = a->parties; p != NULL; p = p->ag_next) {
		if (p == gone || p->line != line || p->bridges != 0)
			continue;
		if (party_rings(p))
			mode = CP_SCCP_LAMP_BLINK;
		else if (!p->held && mode != CP_SCCP_LAMP_BLINK)
			mode = CP_SCCP_LAMP_ON;
		else if (mode == CP_SCCP_LAMP_OFF)
			mode = CP_SCCP_LAMP_WINK;
	}
	if (mode == CP_SCCP_LAMP_OFF && (remote = shared_lamp(a, line)) != REMOTE_NONE)
		mode = remote == REMOTE_IN_USE ? CP_SCCP_LAMP_ON : CP_SCCP_LAMP_WINK;
	cp_phone_lamp(a->phone, line, mode);
}

void ui_lamp(const struct agent *a, uint32_t line)
{
	lamp(a, line, NULL);
}

void ui_ringin(struct party *p)
{
	struct cp_call *call = p->call;
	struct cp_phone *phone = party_phone(p);
	char text[48];

	if (phone == NULL)
		return;
	snprintf(text, sizeof(text), "From %s", call->p[0].calling[0] != '\0' ? call->p[0].calling : call->p[0].number);
	cp_phone_call_state(phone, CP_SCCP_RINGIN, p->line, p->ref);
	cp_phone_softkeys(phone, CP_SCCP_KEYS_RINGIN, p->line, p->ref);
	cp_phone_prompt(phone, text, 0, p->line, p->ref);
	ui_callinfo_at(call, 1, phone, p->line, false);
	cp_phone_lamp(phone, p->line, CP_SCCP_LAMP_BLINK);
	if (agent_active(p->agent) != NULL) /* its user listens to something: a bell would be too much */
		cp_phone_tone(phone, CP_SCCP_TONE_CALLWAITING, p->line, p->ref);
	else
		cp_phone_ringer(phone, CP_SCCP_RING_INSIDE, p->line, p->ref);
}

void ui_connected(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct cp_phone *phone = party_phone(p);

	if (phone == NULL || p->bridges != 0) /* its phone shows the call itself */
		return;
	if (side == 1 && !p->ready) {
		cp_phone_ringer(phone, CP_SCCP_RING_OFF, p->line, p->ref);
		cp_phone_speaker(phone, true);
		lamp(p->agent, p->line, NULL);
		cp_phone_planes(phone, p->line);
	}
	cp_phone_stop_tone(phone, p->line, p->ref);
	cp_phone_call_state(phone, CP_SCCP_CONNECTED, p->line, p->ref);
	cp_phone_softkeys(phone, talk_keys(call), p->line, p->ref);
	cp_phone_prompt(phone, "Connected", 0, p->line, p->ref);
	ui_callinfo(call, side);
}

#define BEEP_S 2

void ui_refused(struct party *p, const char *text)
{
	struct cp_phone *phone = party_phone(p);
	struct beep *b = p->call->calls->beeps, *end = b + sizeof(p->call->calls->beeps) / sizeof(*b);

	if (phone == NULL)
		return;
	cfg_log(CFG_LOG_INFO, "feature-refused", "device=%s text=%s", cfg_q(p->name), cfg_q(text));
	cp_phone_prompt(phone, text, 10, p->line, p->ref);
	while (b < end && b->name[0] != '\0')
		b++;
	if (b == end)
		return; /* none that would end */
	cp_phone_tone(phone, CP_SCCP_TONE_REORDER, p->line, p->ref);
	snprintf(b->name, sizeof(b->name), "%.31s", p->name);
	b->line = p->line;
	b->ref = p->ref;
	b->left_s = BEEP_S;
}

void ui_tick(struct cp_calls *calls)
{
	for (struct beep *b = calls->beeps; b < calls->beeps + sizeof(calls->beeps) / sizeof(*b); b++) {
		struct agent *a;

		if (b->name[0] == '\0' || --b->left_s > 0)
			continue;
		a = agent_find(calls, b->name, false);
		if (a != NULL && a->phone != NULL)
			cp_phone_stop_tone(a->phone, b->line, b->ref);
		b->name[0] = '\0';
	}
}

void ui_transferred(struct cp_call *call)
{
	struct party *p = &call->p[0];
	struct cp_phone *phone = party_phone(p);

	if (phone != NULL) {
		lamp(p->agent, p->line, NULL);
		ui_ringout(call);
	}
	ui_callinfo(call, 0);
	ui_callinfo(call, 1);
	for (struct party *f = call->forks; f != NULL; f = f->fork_next)
		if (party_phone(f) != NULL)
			ui_callinfo_at(call, 1, party_phone(f), f->line, false);
}

void ui_held(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct cp_phone *phone = party_phone(p);

	if (phone == NULL)
		return;
	cp_phone_call_state(phone, CP_SCCP_HOLD, p->line, p->ref);
	cp_phone_softkeys(phone, CP_SCCP_KEYS_HOLD, p->line, p->ref);
	cp_phone_prompt(phone, "Hold", 0, p->line, p->ref);
	lamp(p->agent, p->line, NULL);
}

void ui_resumed(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct cp_phone *phone = party_phone(p);

	if (phone == NULL)
		return;
	lamp(p->agent, p->line, NULL);
	cp_phone_planes(phone, p->line);
	cp_phone_call_state(phone, CP_SCCP_CONNECTED, p->line, p->ref);
	cp_phone_softkeys(phone, talk_keys(call), p->line, p->ref);
	cp_phone_prompt(phone, "Connected", 0, p->line, p->ref);
}

void ui_failed(struct cp_call *call, enum cp_sccp_state state, enum cp_sccp_tone tone, const char *text)
{
	struct party *p = &call->p[0];
	struct cp_phone *phone = party_phone(p);

	if (phone == NULL)
		return;
	cp_phone_stop_tone(phone, p->line, p->ref);
	cp_phone_call_state(phone, state, p->line, p->ref);
	cp_phone_prompt(phone, text, 0, p->line, p->ref);
	cp_phone_tone(phone, tone, p->line, p->ref);
}

void ui_idle(struct cp_call *call, unsigned side)
{
	ui_ringoff(&call->p[side]);
}

void ui_ringoff(struct party *p)
{
	struct party *rings = NULL;
	struct cp_phone *phone = party_phone(p);
	bool busy = false;

	if (phone == NULL || p->bridges != 0) /* its phone shows the call itself */
		return;
	for (struct party *o = p->agent->parties; o != NULL; o = o->ag_next) {
		if (o == p || o->held || o->bridges != 0)
			continue;
		if (party_rings(o))
			rings = o;
		else
			busy = true;
	}
	cp_phone_stop_tone(phone, p->line, p->ref);
	if (rings == NULL)
		cp_phone_ringer(phone, CP_SCCP_RING_OFF, p->line, p->ref);
	if (!busy)
		cp_phone_speaker(phone, false);
	lamp(p->agent, p->line, p);
	cp_phone_clear_prompt(phone, p->line, p->ref);
	cp_phone_call_state(phone, CP_SCCP_ONHOOK, p->line, p->ref);
	cp_phone_softkeys(phone, CP_SCCP_KEYS_ONHOOK, p->line, 0);
	if (!busy)
		cp_phone_planes(phone, 0);
	if (rings != NULL && !busy) /* that one was only a tone until now */
		cp_phone_ringer(phone, CP_SCCP_RING_INSIDE, rings->line, rings->ref);
}

/* Identifies the stream in the phone's answers: one per call and side. */
static uint32_t party_id(const struct cp_call *call, unsigned side)
{
	return call->p[side].ref << 1 | call->p[side].stream;
}

/*
 * One direction of the phone's stream. Where it sends to is the leg, or with direct media the other party; so is where it
 * hears from. SCCP's keys are AES_CM_128's: other suites are never chosen for a phone.
 */
static int media_half(struct cp_call *call, unsigned side, bool receive)
{
	struct party *p = &call->p[side], *other = &call->p[1 - side];
	struct cp_phone *phone = party_phone(p);
	const struct cp_keyset *set = receive ? p->tx : p->rx; /* what it is sent is what it receives with */
	const struct cfg_media *cfg = &call->calls->env.cfg->media;
	struct cp_phone_media m = {
		.conference = p->ref,
		.party = party_id(call, side),
		.callref = p->bridges != 0 ? p->bridges : p->ref,
		.codec = p->codec,
		.packet_ms = p->packet_ms,
		.dscp = cfg->dscp,
		.suite = p->suite,
		.dtmf_pt = p->event_pt == 0 || other->event_pt == 0 ? 0 :
			   receive || !call->direct		    ? EVENT_PT :
								      other->event_pt,
	};
	int rc;

	if (phone == NULL)
		return -1;
	if (cp_codec_of_sccp(p->codec) == CP_CODEC_ILBC) {
		m.codec_mode = p->packet_ms % 30 == 0 ? 30 : 20;
		m.codec_pt = receive || !call->direct ? cp_codec_info(CP_CODEC_ILBC)->pt : other->audio_pt;
	}
	if (!call->direct)
		cp_ports_addr(call->calls->ports, p->leg_id, &m.remote);
	else if (other->remote.family != 0)
		m.remote = other->remote;
	else
		m.remote.family = cp_phone_peer(phone)->family; /* not known yet: of what kind it will be */
	if (p->suite != DP_SRTP_NONE && set == NULL)
		return -1; /* taken over: its keys are not known here */
	if (p->suite != DP_SRTP_NONE) {
		memcpy(m.key, set->key, sizeof(m.key));
		memcpy(m.salt, set->salt, sizeof(m.salt));
	}
	rc = receive ? cp_phone_orc(phone, &m) : cp_phone_smt(phone, &m);
	OPENSSL_cleanse(&m, sizeof(m));
	return rc;
}

int ui_media_receive(struct cp_call *call, unsigned side)
{
	int rc = media_half(call, side, true);

	call->p[side].media_on = rc == 0;
	return rc;
}

int ui_media_send(struct cp_call *call, unsigned side)
{
	return media_half(call, side, false);
}

int ui_media_start(struct cp_call *call, unsigned side)
{
	int rc = ui_media_receive(call, side);

	if (rc == 0)
		rc = ui_media_send(call, side);
	call->p[side].media_on = rc == 0;
	return rc;
}

void ui_media_stop(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct cp_phone *phone = party_phone(p);

	if (phone == NULL || !p->media_on)
		return;
	cp_phone_crc(phone, p->ref, party_id(call, side), p->bridges != 0 ? p->bridges : p->ref);
	cp_phone_stopmt(phone, p->ref, party_id(call, side), p->bridges != 0 ? p->bridges : p->ref);
	cp_phone_stats(phone, p->number, p->ref);
	p->media_on = false;
}
