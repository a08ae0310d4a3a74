/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transfer: a phone puts a call on hold, dials another number, and joins the two others, before that one has answered
 * (blind) or after (attended). Each leg has its own keys, so that joining two calls gives nobody's key to anybody. The
 * two legs of a call are in one shard: the party that moves gets a leg there, its channels are opened anew, and it
 * gets keys that were never used.
 */
#include <errno.h>
#include <string.h>

#include "callint.h"

static unsigned side_of(const struct party *p)
{
	return party_side(p->call, p);
}

int transfer_begin(struct party *p, const char **why)
{
	struct agent *a = p->agent;
	struct cp_phone *phone = party_phone(p);
	uint32_t ref = p->ref, line = p->line;
	struct cp_call *consult;
	int rc;

	*why = "the phone has too many calls on this line";
	if (agent_line_calls(a, line) >= p->call->calls->env.cfg->calls.max_per_line)
		return -ENOSPC;
	if (!p->held) {
		rc = hold_begin(p->call, side_of(p), why);
		if (rc < 0)
			return rc;
	}
	(void)music_set(p->call, 1 - side_of(p), MUSIC_NETWORK);
	*why = "too many calls";
	consult = call_dial(p->call->calls, phone, line);
	if (consult == NULL)
		return -ENOSPC;
	consult->p[0].consult = ref;
	return 0;
}

/* Media of this party, if it has any, is stopped; its leg and its keys are gone. A gateway goes on sending to a port that nobody
 * listens at, until it is told of the new one. */
void party_unplug(struct party *p)
{
	struct cp_call *call = p->call;

	ui_media_stop(call, side_of(p));
	legs_put(call, side_of(p));
	p->ready = false;
	p->page = (struct dp_page_leg){0}; /* what was promised there is of other keys */
	p->reopen = p->kind == PARTY_GATEWAY;
}

/* The phone that transfers, or the bridge that is not needed any more, has no more to do with this call. */
void party_leave(struct party *p)
{
	struct cp_call *call = p->call;
	unsigned side = side_of(p);

	barge_drop(p);
	ui_media_stop(call, side);
	ui_idle(call, side);
	trunk_close(call, side);
	legs_put(call, side);
	party_clear(call, side);
	p->ready = p->reopen = false;
	p->suite = DP_SRTP_NONE;
	p->remote.family = 0;
	p->codec = 0;
	p->unsure = false;
	p->tries = 0;
}

bool call_busy(const struct cp_call *call)
{
	for (unsigned s = 0; s < 2; s++)
		if (call->p[s].rekeying || call->p[s].resuming)
			return true;
	return call->pending > 0 || call->rekey_fn != NULL;
}

/* Nobody has asked a gateway what else it speaks: two that speak the same, and may, go on with that. */
static void codec_stays(const struct party *a, const struct party *b, struct cp_media_rule *rule)
{
	uint8_t codec = (uint8_t)cp_codec_of_sccp(a->codec);

	if (a->kind != PARTY_GATEWAY || b->kind != PARTY_GATEWAY || a->codec != b->codec || codec == CP_CODEC_NONE ||
	    memchr(rule->codec.list, codec, CP_CODEC_MAX) == NULL)
		return;
	memset(rule->codec.list, 0, sizeof(rule->codec.list));
	rule->codec.list[0] = codec;
}

/* Who stays speaks or hears something else: its streams must begin anew. */
static bool begins_anew(const struct party *stays, const struct cp_codec_choice *choice)
{
	return choice->number[0] != stays->codec || choice->packet_ms != stays->packet_ms;
}

/* Away from us, its stream goes on under the keys that it has. */
static bool stays_srtp(const struct party *p, const struct cp_media_rule *rule)
{
	return p->kind == PARTY_PHONE && party_phone(p) == NULL && !p->call->direct && p->leg_id != NO_LEG && p->suite != DP_SRTP_NONE &&
	       (!rule->suites_said || memchr(rule->suites, p->suite, sizeof(rule->suites)) != NULL);
}

/* Their codec is what they would have had if they had called each other: it may be another than either spoke. */
int party_terms(const struct party *stays, const struct party *moves, struct route_terms *ret, const char **why)
{
	const struct cp_calls *calls = stays->call->calls;
	struct cp_media_rule rule;

	cp_rule_find(calls->env.store, &calls->env.cfg->media, stays->region, moves->region, &ret->rule, NULL);
	if (stays->conf != NULL || moves->conf != NULL)
		conf_codecs(&ret->rule);
	rule = ret->rule;
	codec_stays(stays, moves, &rule);
	ret->secure = (route_srtp(stays, &ret->rule) || stays_srtp(stays, &ret->rule)) && route_srtp(moves, &ret->rule);
	ret->direct = false;
	*why = "the conference does not take it";
	if (!conf_takes(stays, moves))
		return -EACCES;
	*why = "no common codec";
	if (policy_codec(stays, moves, &rule, ret->secure || stays->suite != DP_SRTP_NONE, &ret->choice) < 0)
		return -EPROTO;
	if (begins_anew(stays, &ret->choice))
		ret->secure = ret->secure && route_srtp(stays, &ret->rule);
	*why = "one of the two cannot encrypt";
	return !ret->secure && calls->env.cfg->media.fallback == CFG_FALLBACK_REFUSE ? -EACCES : 0;
}

/* It stays where it is, but its streams begin anew: another codec, other packets. */
static void reopen(struct party *p)
{
	struct cp_keys *keys = p->call->calls->keys;

	ui_media_stop(p->call, side_of(p));
	cp_keys_put(keys, p->rx);
	cp_keys_put(keys, p->tx);
	p->rx = p->tx = NULL;
	p->page = (struct dp_page_leg){0}; /* what was promised there is of other keys */
	p->ready = false;
	p->reopen = p->kind == PARTY_GATEWAY;
}

static uint8_t suite_of(const struct party *p, const struct route_terms *terms)
{
	if (!terms->secure || (p->kind == PARTY_PHONE && party_phone(p) == NULL))
		return DP_SRTP_NONE;
	return p->kind == PARTY_PHONE ? policy_phone_suite(&terms->rule, party_phone(p)) : p->suite;
}

void party_meet(struct cp_call *call, unsigned at, const struct route_terms *terms)
{
	struct party *stays = &call->p[1 - at], *moves = &call->p[at];
	bool anew = begins_anew(stays, &terms->choice);

	if (anew && !call->direct && !stays->held)
		reopen(stays);
	policy_speak(stays, moves, &terms->choice);
	call->rule = terms->rule;
	call->secure = terms->secure;
	moves->suite = suite_of(moves, terms);
	if (anew) /* a gateway, too: no key is drawn for it where the call has none */
		stays->suite = suite_of(stays, terms);
}

int party_replug(struct cp_call *call, unsigned at)
{
	struct party *stays = &call->p[at];

	/* One whose stream is clear for want of somebody to talk to under keys opens it anew, now that there is one. */
	if (!call->direct && (!call->secure || stays->suite != DP_SRTP_NONE))
		return legs_take_beside(call, 1 - at);
	call->direct = false;
	party_unplug(stays);
	if (stays->kind == PARTY_PHONE)
		stays->suite = call->secure && party_phone(stays) != NULL ? policy_phone_suite(&call->rule, party_phone(stays)) : DP_SRTP_NONE;
	return legs_take(call);
}

/* Both talk: what stays keeps its leg, its keys and its stream. */
int transfer_join(struct party *held, struct party *talks, const char **why)
{
	struct cp_call *call = held->call, *other = talks->call;
	unsigned at = side_of(held), from = 1 - side_of(talks);
	struct party *stays = &call->p[1 - at], *moves = &other->p[from];
	struct route_terms terms;
	enum cp_cdr_origin origin = talks->conf != NULL ? CP_CDR_CONFERENCE : CP_CDR_TRANSFER;
	char by[DIGITS_MAX + 1];
	int rc;

	*why = "the dataplane is not there";
	if (!cp_dp_up(call->calls->env.dp)) /* both calls live on */
		return -ENOTCONN;
	rc = party_terms(stays, moves, &terms, why);
	if (rc < 0)
		return rc;
	*why = "one of the two is not registered";
	if (moves->kind == PARTY_PHONE && party_phone(moves) == NULL)
		return -ENOTCONN;
	*why = "its media goes to a gateway directly"; /* which may keep the key that a phone of the old call knows */
	if ((call->direct && stays->kind == PARTY_GATEWAY) || (other->direct && moves->kind == PARTY_GATEWAY))
		return -EPROTO;
	/* Nobody who is not a member hears a conference: its status knows of members only. */
	if (moves->conf != NULL)
		barge_drop(stays);
	if (stays->conf != NULL)
		barge_drop(moves);
	cdr_split(call, NULL, call);
	cdr_split(other, call, call);
	snprintf(by, sizeof(by), "%s", talks->number);
	party_unplug(moves);
	party_leave(talks);
	party_leave(held);
	party_move(call, at, other, from);
	cdr_restart(call, origin, by);
	party_meet(call, at, &terms);
	call->joined = other;
	if (party_replug(call, 1 - at) < 0)
		goto no_port;
	cfg_log(CFG_LOG_INFO, "call-joined", "call=%u from=%s to=%s was=%u", call->ref, cfg_q(call->p[0].number),
		cfg_q(call->p[1].number), other->ref);
	call_connect(call);
	return 0;
no_port:
	call_end(call_cause(call, CP_Q850_NO_RESOURCE), "no media port for a joined call");
	return 0;
}

/* It rings: the party that waited becomes the caller, and is connected when somebody answers. */
static int hand_over(struct party *held, struct party *dials, const char **why)
{
	struct cp_call *call = dials->call, *other = held->call;
	unsigned from = 1 - side_of(held);
	struct party *moves = &other->p[from], *rings = &call->p[1];
	struct route_terms terms;
	char by[DIGITS_MAX + 1];
	int rc = party_terms(rings, moves, &terms, why);

	if (rc < 0)
		return rc;
	*why = "its media goes to a gateway directly";
	if (call->direct && rings->kind == PARTY_GATEWAY)
		return -EPROTO;
	cdr_split(call, NULL, call);
	cdr_split(other, call, call);
	snprintf(by, sizeof(by), "%s", dials->number);
	forward_recall(call, dials);
	(void)music_set(other, from, MUSIC_NONE);
	party_unplug(moves);
	party_leave(held);
	party_leave(dials);
	party_move(call, 0, other, from);
	cdr_restart(call, CP_CDR_TRANSFER, by);
	moves = &call->p[0];
	policy_speak(rings, moves, &terms.choice);
	call->rule = terms.rule;
	call->secure = call->secure && terms.secure;
	if (call->direct) {
		call->direct = false;
		if (legs_take(call) < 0)
			goto no_port;
	} else if (legs_take_beside(call, 0) < 0) {
		goto no_port;
	}
	/* A gateway's connection must be known to whoever comes after a kill: one write says where it is now. */
	if ((other->stored || call->stored) && record_join(call, other, NULL, NULL) < 0)
		cfg_log_limited(CFG_LOG_WARN, "call-record-not-updated", "call=%u", call->ref);
	call_vanish(other);
	ui_transferred(call);
	cfg_log(CFG_LOG_INFO, "call-handed-over", "call=%u from=%s to=%s", call->ref, cfg_q(moves->number), cfg_q(rings->number));
	return 0;
no_port:
	call_end(other, "its party was handed over");
	call_end(call_cause(call, CP_Q850_NO_RESOURCE), "no media port for a call that was handed over");
	return 0;
}

/* A device cannot be both parties of a call: it would hold and answer itself. */
static bool same_device(const struct party *held, const struct party *p)
{
	const struct party *x = &held->call->p[1 - side_of(held)], *y = &p->call->p[1 - side_of(p)];

	return held->call == p->call || (x->agent != NULL && x->agent == y->agent);
}

int transfer_finish(struct party *p, const char **why)
{
	struct party *held = agent_party(p->agent, p->consult);
	struct cp_call *call = p->call;
	struct cp_calls *calls = call->calls;
	uint32_t ref = call->ref;

	*why = "the call to be transferred has ended";
	if (held == NULL || held->call->state != CALL_CONNECTED)
		return -ENOENT;
	*why = "a call is just being set up";
	if (call_busy(p->call) || call_busy(held->call))
		return -EBUSY;
	*why = "who has barged in can only leave";
	if (p->call->barge || held->call->barge) /* it has the number that the transfer was begun with, where that call went on elsewhere */
		return -EPROTO;
	*why = "one of them is parked";
	if (p->call->park[0] != '\0' || held->call->park[0] != '\0')
		return -EPROTO;
	*why = "both others are the same phone";
	if (p->call->state == CALL_ALERTING && held->call->p[1 - side_of(held)].agent != NULL)
		ring_without(p->call, held->call->p[1 - side_of(held)].agent); /* at the others of a shared line it may ring on */
	if (call_find(calls, ref) != call || same_device(held, p)) /* it may have ended: its codec fits nobody else's */
		return -EPROTO;
	if (p->call->state == CALL_ALERTING && p == &p->call->p[0])
		return hand_over(held, p, why);
	if (p->call->state == CALL_CONNECTED)
		return transfer_join(held, p, why);
	*why = "nobody was reached yet";
	return -EPROTO;
}
