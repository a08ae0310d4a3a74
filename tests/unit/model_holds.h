/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must hold whatever happens in calls, in front of a dataplane, a gateway and a bridge that keep books of their own. The model of what a
 * phone may be shown knows nothing of calls but who is in them, what each phone can do, and which streams the gateways took in clear.
 */
#ifndef TESTS_MODEL_HOLDS_H
#define TESTS_MODEL_HOLDS_H

#include <stdint.h>

#include "call/confint.h"
#include "talk.h"

#define PHONES  50
#define LINE(i) ((i) < 30 ? (i) : (i) / 4 * 4) /* the later ones share lines, four by four */

static struct cp_phone ph[PHONES + 2];
static bool registered[PHONES];
static unsigned kind[PHONES]; /* 0 encrypted, 1 authenticated, 2 non-secure, 3 encrypted but of a type that is not trusted */
static bool changes[PHONES];  /* it may come back as something less */
static unsigned step_now, broken;

/* --- what happened, as one number: a run that is repeated comes to the same one --- */

static uint64_t rng, history;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 16) % n;
}

static void note(uint64_t what)
{
	history = (history ^ what) * UINT64_C(0x9e3779b97f4a7c15);
	history ^= history >> 29;
}

static void note_text(const char *text)
{
	for (; *text != '\0'; text++)
		note((uint8_t)*text);
}

static void not_so(const char *what)
{
	if (broken++ < 10)
		printf("step %u: not so: %s\n", step_now, what);
	CU_FAIL("see above");
}
#define HOLDS(cond) ((cond) ? (void)0 : not_so(#cond))

/* --- every key that anybody was given, ever: one of a phone is for one stream, one of a leg for one leg and direction --- */

#define SEEN_BITS 22
static struct seen {
	uint64_t key; /* 0: free */
	uint32_t leg; /* that the dataplane has it for: id, direction; 0: none yet */
	bool told;    /* to a phone or a gateway */
} *seen;
static unsigned seen_cnt, twice;

static struct seen *seen_at(const uint8_t *key)
{
	uint64_t h;
	uint32_t i;

	memcpy(&h, key, sizeof(h));
	h |= 1;
	for (i = (uint32_t)(h * UINT64_C(0x9e3779b97f4a7c15) >> (64 - SEEN_BITS)); seen[i].key != 0 && seen[i].key != h;)
		i = (i + 1) % (1u << SEEN_BITS);
	if (seen[i].key == 0)
		CU_ASSERT_TRUE_FATAL(++seen_cnt < 1u << (SEEN_BITS - 1));
	seen[i].key = h;
	return &seen[i];
}

static void told_key(const uint8_t *key)
{
	struct seen *s = seen_at(key);

	if (s->told)
		printf("step %u: a key is told twice\n", step_now);
	twice += s->told;
	s->told = true;
}

static void phone_key(struct cp_phone *p, const struct cp_phone_media *m, bool receive)
{
	(void)p;
	(void)receive;
	if (m->suite != DP_SRTP_NONE)
		told_key(m->key);
}

static void leg_key(const struct dp_leg_key *m)
{
	struct seen *s = seen_at(m->key);
	uint32_t leg = m->leg_id << 2 | (uint32_t)(m->dir & 1) << 1 | 1;

	if (s->leg != 0 && s->leg != leg)
		printf("step %u: a key of leg %u is leg %u's, too\n", step_now, s->leg >> 2, leg >> 2);
	twice += s->leg != 0 && s->leg != leg;
	s->leg = leg;
}

/* --- the dataplane's own books --- */

static struct {
	uint64_t session; /* 0: no such leg */
} dp_legs[FAKE_LEGS];
static bool stream_clear[1u << 18]; /* by the number that a gateway knows the call by: it took it without SRTP */

static bool *clear_of(uint32_t ref)
{
	return &stream_clear[ref % (1u << 18)];
}

static int model_dp(struct fake_dp *f, const union fake_msg *m)
{
	int rc = world_hook(f, m);

	if (rc != 0)
		return rc;
	switch (m->hdr.type) {
	case DP_MSG_LEG_SET:
		dp_legs[m->leg.leg_id].session = m->leg.session;
		break;
	case DP_MSG_LEG_DEL:
		dp_legs[m->obj.id].session = 0;
		break;
	case DP_MSG_LEG_KEY:
		if (dp_legs[m->key.leg_id].session == 0)
			return -ENOENT;
		leg_key(&m->key);
		break;
	case DP_MSG_MGCP_CMD:
		if ((m->mgcp.verb == DP_MGCP_CRCX || m->mgcp.verb == DP_MGCP_MDCX) && m->mgcp.media.suite != DP_SRTP_NONE)
			told_key(m->mgcp.media.key);
		break;
	default:
		break;
	}
	return 0;
}

/* Of the call that the gateway knows by the number that its command says. */
static void model_gw(const struct dp_mgcp_cmd *c, const struct dp_mgcp_done *d)
{
	if (c->verb == DP_MGCP_CRCX && d->result == DP_MGCP_ANSWERED && d->code < 300)
		*clear_of((uint32_t)strtoul(c->call_id, NULL, 16)) = d->media.suite == DP_SRTP_NONE;
}

/* --- what a phone may be shown --- */

static int index_of(const char *name)
{
	unsigned n;

	return sscanf(name, "SEP0000000B%4u", &n) == 1 && n < PHONES ? (int)n : -1;
}

static enum cp_security least(enum cp_security a, enum cp_security b)
{
	return a < b ? a : b;
}

/* The best that it can take part in. */
static enum cp_security best(const struct party *p)
{
	int i;

	if (p->kind == PARTY_PARK || p->kind == PARTY_NONE)
		return CP_SEC_ENCRYPTED; /* nobody */
	if (p->kind == PARTY_GATEWAY) /* its SA is live; a bridge's clear stream is reckoned with all of its conference */
		return p->conf == NULL && *clear_of(p->ref) ? CP_SEC_AUTHENTICATED : CP_SEC_ENCRYPTED;
	i = index_of(p->name);
	if (i < 0 || kind[i] >= 2)
		return CP_SEC_NOT_SECURE;
	return kind[i] == 0 ? CP_SEC_ENCRYPTED : CP_SEC_AUTHENTICATED;
}

static unsigned barges, parks, forwards, forks, conferences[CP_SEC_ENCRYPTED + 1], big_conferences, meetmes;

/*
 * With who has barged in: an encrypted phone leaves nothing but encrypted calls what they are, one that only signs takes the lock, and
 * one that does neither too, though not the shield.
 */
static enum cp_security with_barge(const struct cp_call *c, enum cp_security allowed)
{
	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		const struct cp_call *b = w.calls->slot[i];
		enum cp_security in;

		if (b == NULL || !b->barge || b->state != CALL_CONNECTED || c->barge || b->p[1].agent == NULL)
			continue;
		for (unsigned s = 0; s < 2; s++) {
			if (c->p[s].agent != b->p[1].agent || c->p[s].ref != b->p[1].bridges)
				continue;
			barges++;
			in = best(&b->p[0]);
			if (in == CP_SEC_ENCRYPTED && allowed < CP_SEC_ENCRYPTED)
				allowed = b->cap == CP_SEC_ENCRYPTED ? allowed : CP_SEC_NOT_SECURE; /* it was encrypted then: the least of all */
			else if (in < CP_SEC_ENCRYPTED && allowed == CP_SEC_ENCRYPTED)
				allowed = CP_SEC_AUTHENTICATED;
		}
	}
	return allowed;
}

/* Who hears it; 'soon': or will. */
static bool hears(const struct party *port, bool soon)
{
	return port->call->state == CALL_CONNECTED || (port->call->media_started && (soon || party_other(port)->media_on));
}

/* Everybody hears everybody: the least of all, and where a stream to the bridge is clear there is no lock, not even half of one. */
static enum cp_security of_members(const struct conf *conf, bool soon)
{
	enum cp_security allowed = CP_SEC_ENCRYPTED;
	bool clear = false;

	if (conf->shared)
		return CP_SEC_NOT_SECURE;
	for (const struct party *port = conf->ports; port != NULL; port = port->cf_next) {
		if (!hears(port, soon))
			continue;
		allowed = least(allowed, best(party_other(port)));
		clear |= *clear_of(port->ref);
	}
	return clear && allowed == CP_SEC_ENCRYPTED ? CP_SEC_NOT_SECURE : allowed;
}

/* One that only signs and comes now makes a shield of what was nothing for a clear stream: both are right until it is there. */
static enum cp_security of_conference(const struct conf *conf)
{
	enum cp_security now = of_members(conf, false), soon = of_members(conf, true);

	return now > soon ? now : soon;
}

/* Phones of its line that are not in a call, and are shown it. */
static bool shown_too_much(const struct party *p, enum cp_security allowed)
{
	int k = index_of(p->name);

	for (unsigned i = 0; k >= 0 && i < PHONES; i++) {
		const struct agent *a = agent_find(w.calls, ph[i].name, false);

		if (LINE(i) != LINE((unsigned)k) || i == (unsigned)k || a == NULL || a->phone == NULL || agent_party(a, p->ref) != NULL)
			continue;
		if (ph[i].info_ref == p->ref && !ph[i].dead && (enum cp_security)ph[i].security > allowed)
			return true;
	}
	return false;
}

static void look_at_shown(const struct cp_call *c)
{
	const struct conf *conf = call_conf(c);
	enum cp_security allowed = conf != NULL ? of_conference(conf) : with_barge(c, least(best(&c->p[0]), best(&c->p[1])));

	if (conf != NULL && evtimer_pending(conf->timer, NULL)) /* a member has left, say: it is looked at in the next turn */
		return;
	for (unsigned s = 0; s < 2 && c->state == CALL_CONNECTED; s++) {
		int k = c->p[s].kind == PARTY_PHONE && party_phone(&c->p[s]) != NULL ? index_of(c->p[s].name) : -1;

		if (k >= 0 && ph[k].info_ref == c->p[s].ref && (enum cp_security)ph[k].security > allowed)
			printf("phone %d: call %u is shown as %u, not %d\n", k, c->ref, ph[k].security, (int)allowed);
		if (k >= 0 && ph[k].info_ref == c->p[s].ref)
			HOLDS((enum cp_security)ph[k].security <= allowed);
		/* a barge goes by the number of the call that it joined, which is what others are shown */
		HOLDS(c->barge || !shown_too_much(&c->p[s], allowed));
	}
}

/* --- calls --- */

static void look_at_party(const struct cp_call *c, const struct party *p)
{
	if (p->kind == PARTY_PHONE)
		HOLDS(p->agent != NULL && agent_party(p->agent, p->ref) == p);
	HOLDS(p->kind != PARTY_GATEWAY || p->in_index);
	HOLDS(p->conf == NULL || (p->kind == PARTY_GATEWAY && strcmp(p->name, "bridge1") == 0 && party_other(p)->conf == NULL));
	note((uint64_t)c->ref << 32 | (unsigned)p->kind << 16 | (unsigned)c->state << 8 | (unsigned)p->held << 3 | (unsigned)p->media_on << 2 |
	     (unsigned)p->ready << 1 | (unsigned)(p->conf != NULL));
	note_text(p->name);
}

static void look_at_forks(const struct cp_call *c)
{
	HOLDS(c->forks == NULL || c->state == CALL_ALERTING);
	for (const struct party *f = c->forks; f != NULL; f = f->fork_next) {
		forks++;
		HOLDS(f->fork && f->call == c && f->agent != NULL && agent_party(f->agent, f->ref) == f);
		HOLDS(f->leg_id == NO_LEG && f->rx == NULL && f->tx == NULL && !f->media_on);
		HOLDS(f->agent != c->p[0].agent && f->agent != c->p[1].agent && strcmp(f->number, c->p[1].number) == 0);
	}
}

static void look_at_media(const struct cp_call *c)
{
	if (c->p[0].leg_id != NO_LEG && c->p[1].leg_id != NO_LEG) {
		HOLDS(DP_LEG_SHARD(c->p[0].leg_id) == DP_LEG_SHARD(c->p[1].leg_id));
		HOLDS(c->p[0].leg_id != c->p[1].leg_id);
	}
	HOLDS(c->p[0].agent == NULL || c->p[0].agent != c->p[1].agent);
	/* whoever has media has it in one codec: nothing is transcoded; and a bridge mixes G.711 only */
	if (c->state == CALL_CONNECTED && c->p[0].kind != PARTY_NONE && c->p[1].kind != PARTY_NONE && c->park[0] == '\0') {
		enum cp_codec codec = cp_codec_of_sccp(c->p[0].codec);

		HOLDS(codec != CP_CODEC_NONE);
		HOLDS(codec == cp_codec_of_sccp(c->p[1].codec));
		HOLDS(c->p[0].packet_ms == c->p[1].packet_ms);
		HOLDS(call_conf(c) == NULL || codec == CP_CODEC_G711U || codec == CP_CODEC_G711A);
	}
}

static void look_at_conferences(void)
{
	for (const struct conf *conf = w.calls->confs; conf != NULL; conf = conf->next) {
		enum cp_security min = !conf->meetme ? CP_SEC_UNKNOWN : strncmp(conf->number, "86", 2) == 0 ? CP_SEC_ENCRYPTED : CP_SEC_AUTHENTICATED;
		unsigned n = 0;

		HOLDS(conf->ports != NULL);
		for (const struct party *port = conf->ports; port != NULL; port = port->cf_next) {
			const struct party *p = party_other(port);

			HOLDS(port->conf == conf && port->kind == PARTY_GATEWAY);
			if (port->call->state != CALL_CONNECTED)
				continue;
			n++;
			HOLDS(p->kind == PARTY_PHONE || p->kind == PARTY_GATEWAY);
			HOLDS(p->kind != PARTY_PHONE || changes[index_of(p->name)] || best(p) >= min);
			HOLDS(min != CP_SEC_ENCRYPTED || !*clear_of(port->ref));
			for (const struct party *o = port->cf_next; o != NULL; o = o->cf_next) {
				if (p->agent != NULL && party_other(o)->agent == p->agent)
					printf("conference %u: %s in %u (%u) and %u (%u)\n", conf->id, p->name, port->call->ref, p->ref, o->call->ref, party_other(o)->ref);
				HOLDS(p->agent == NULL || party_other(o)->agent != p->agent); /* nobody twice */
			}
		}
		HOLDS(conf_members(conf) <= 6);
		note(conf->id << 8 | n);
		conferences[n > 1 ? of_conference(conf) : CP_SEC_UNKNOWN]++;
		big_conferences += n > 3;
		meetmes += conf->meetme && n > 1;
	}
}

static void look_at_agents(void)
{
	for (unsigned i = 0; i < PHONES; i++) {
		const struct agent *a = agent_find(w.calls, ph[i].name, false);
		unsigned active = 0;

		note((uint64_t)ph[i].callref << 32 | ph[i].state << 16 | ph[i].security << 8 | ph[i].ringing);
		note((uint64_t)ph[i].states << 32 | ph[i].orc << 16 | ph[i].crc);
		for (const struct party *p = a != NULL ? a->parties : NULL; p != NULL; p = p->ag_next) {
			HOLDS(p->agent == a);
			active += !p->held && p->bridges == 0 && !party_rings(p);
		}
		HOLDS(active <= 1);
	}
}

static void note_call(const struct cp_call *c);

static void look_at_calls(void)
{
	unsigned legs = 0, keys = 0, n = 0;

	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		const struct cp_call *c = w.calls->slot[i];

		if (c == NULL)
			continue;
		n++;
		for (unsigned s = 0; s < 2; s++) {
			const struct party *p = &c->p[s];

			HOLDS(p->call == c);
			legs += p->leg_id != NO_LEG;
			keys += (p->rx != NULL) + (p->tx != NULL) + (p->next_rx != NULL) + (p->next_tx != NULL);
			if (p->kind != PARTY_NONE)
				look_at_party(c, p);
		}
		parks += c->park[0] != '\0';
		forwards += c->fwd != NULL;
		look_at_forks(c);
		look_at_media(c);
		look_at_shown(c);
		if (c->digit_cnt > 0)
			note_call(c);
	}
	HOLDS(n == cp_calls_count(w.calls));
	/* and those whose deletion is not known yet */
	HOLDS(legs <= cp_ports_used(w.calls->ports));
	HOLDS(cp_dp_waiting(w.dp) > 0 || w.calls->legs_gone != NULL || legs == cp_ports_used(w.calls->ports));
	HOLDS(keys == cp_keys_used(w.calls->keys));
	HOLDS(twice == 0);
	look_at_conferences();
	look_at_agents();
}

static bool has_leg(uint32_t id)
{
	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		const struct cp_call *c = w.calls->slot[i];

		if (c != NULL && (c->p[0].leg_id == id || c->p[1].leg_id == id))
			return dp_legs[id].session == c->ref;
	}
	return false;
}

static bool has_conn(const struct bridge_conn *b)
{
	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		const struct cp_call *c = w.calls->slot[i];

		for (unsigned s = 0; c != NULL && s < 2; s++)
			if (c->p[s].kind == PARTY_GATEWAY && strcmp(c->p[s].conn_id, b->conn_id) == 0)
				return true;
	}
	return false;
}

/* Nothing is on its way: the dataplane has the legs of calls and no others, gateways their connections. */
static void look_at_sessions(bool gateways_too)
{
	unsigned legs_left = 0, conns_left = 0;

	for (uint32_t id = 0; id < FAKE_LEGS; id++)
		legs_left += dp_legs[id].session != 0 && !has_leg(id);
	for (unsigned i = 0; i < 256; i++)
		conns_left += w.conns[i].conn_id[0] != '\0' && !has_conn(&w.conns[i]);
	HOLDS(legs_left == 0);
	HOLDS(!gateways_too || conns_left == 0);
}

/* --- every call that was made has one last record, and what was split says where it went --- */

#define CALLS_BITS 19
static struct made {
	uint64_t id; /* global; 0: free */
	unsigned last;
} *made;
static unsigned made_cnt;

static struct made *made_at(uint64_t id)
{
	uint32_t i = (uint32_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> (64 - CALLS_BITS));

	while (made[i].id != 0 && made[i].id != id)
		i = (i + 1) % (1u << CALLS_BITS);
	return &made[i];
}

static void note_call(const struct cp_call *c)
{
	struct made *m = made_at(c->global_id);

	if (m->id != 0 || c->billed) /* what sets forwarding is no call */
		return;
	CU_ASSERT_TRUE_FATAL(++made_cnt < 1u << (CALLS_BITS - 1));
	m->id = c->global_id;
}

static bool note_record(void *ctx, const uint8_t *k, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_cdr r;
	struct made *m;

	(void)k;
	(void)key_len;
	CU_ASSERT_EQUAL_FATAL(cp_cdr_parse(val, len, &r), 0);
	HOLDS(r.best >= r.worst && (r.best != 0) == (r.connect_ms != 0));
	HOLDS(r.connect_ms == 0 || (r.connect_ms >= r.setup_ms && r.end_us / 1000 >= r.connect_ms));
	HOLDS(r.cause != CP_Q850_NONE);
	m = made_at(r.global_id);
	if (m->id == 0)
		m->id = r.global_id; /* came and went between two looks */
	m->last += r.cause != CP_Q850_SPLIT || r.joined_id != 0;
	++*(unsigned *)ctx;
	cp_cdr_free(&r);
	return true;
}

static void look_at_records(void)
{
	unsigned n = 0;

	CU_ASSERT_EQUAL(cp_store_scan(w.store, CP_CF_CDR, NULL, 0, note_record, &n), 0);
	for (uint32_t i = 0; i < 1u << CALLS_BITS; i++)
		HOLDS(made[i].id == 0 || made[i].last == 1);
	printf("%u calls seen, %u records\n", made_cnt, n);
	CU_ASSERT(made_cnt > 0 && n >= made_cnt);
}

#endif
