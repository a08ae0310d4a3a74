/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is in which calls: devices by name, gateway endpoints by gateway and name. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "callint.h"

#define FNV_BASIS 2166136261u

static uint32_t hash(uint32_t h, const char *text)
{
	for (; *text != '\0'; text++)
		h = (h ^ (uint8_t)tolower((unsigned char)*text)) * 16777619u;
	return h;
}

struct agent *agent_find(struct cp_calls *calls, const char *name, bool make)
{
	struct agent **head = &calls->agents[hash(FNV_BASIS, name) % AGENT_HASH], *a;

	for (a = *head; a != NULL; a = a->next)
		if (strcmp(a->name, name) == 0)
			return a;
	if (!make || strlen(name) >= sizeof(a->name))
		return NULL;
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return NULL;
	snprintf(a->name, sizeof(a->name), "%s", name);
	a->calls = calls;
	a->next = *head;
	*head = a;
	return a;
}

bool cp_calls_busy(const struct cp_calls *calls, const char *device)
{
	for (const struct agent *a = calls->agents[hash(FNV_BASIS, device) % AGENT_HASH]; a != NULL; a = a->next)
		if (strcmp(a->name, device) == 0)
			return a->parties != NULL;
	return false;
}

void agent_release(struct cp_calls *calls, struct agent *agent)
{
	struct agent **at;

	if (agent == NULL || agent->phone != NULL || agent->parties != NULL)
		return;
	at = &calls->agents[hash(FNV_BASIS, agent->name) % AGENT_HASH];
	while (*at != agent)
		at = &(*at)->next;
	*at = agent->next;
	free(agent);
}

void agent_enter(struct agent *a, struct party *p)
{
	p->agent = a;
	p->ag_next = a->parties;
	a->parties = p;
}

static void agent_leave(struct party *p)
{
	struct party **at;

	if (p->agent == NULL)
		return;
	for (at = &p->agent->parties; *at != p;)
		at = &(*at)->ag_next;
	*at = p->ag_next;
	p->agent = NULL;
}

struct party *agent_party(const struct agent *a, uint32_t ref)
{
	struct party *p = a->parties;

	while (p != NULL && p->ref != ref)
		p = p->ag_next;
	return p;
}

/* It rings here and was not answered. */
bool party_rings(const struct party *p)
{
	return p != &p->call->p[0] && p->call->state == CALL_ALERTING;
}

struct party *agent_active(const struct agent *a)
{
	struct party *p = a->parties;

	while (p != NULL && (p->held || p->bridges != 0 || party_rings(p)))
		p = p->ag_next;
	return p;
}

struct party *agent_ringing(const struct agent *a, uint32_t line)
{
	struct party *p = a->parties;

	while (p != NULL && (!party_rings(p) || (line != 0 && p->line != line)))
		p = p->ag_next;
	return p;
}

struct party *agent_held(const struct agent *a, uint32_t line)
{
	struct party *p = a->parties;

	while (p != NULL && (!p->held || (line != 0 && p->line != line)))
		p = p->ag_next;
	return p;
}

unsigned agent_line_calls(const struct agent *a, uint32_t line)
{
	unsigned n = 0;

	for (const struct party *p = a->parties; p != NULL; p = p->ag_next)
		n += p->line == line && p->bridges == 0;
	return n;
}

bool agent_line_room(const struct agent *a, uint32_t line)
{
	const struct party *p = agent_active(a);
	unsigned n = agent_line_calls(a, line);

	if (p != NULL && p->line == line && p->bridges == 0 && (p->call->barge || (p->call->state != CALL_CONNECTED && p->call->state != CALL_CONNECTING)))
		n--;
	return n < a->calls->env.cfg->calls.max_per_line;
}

/* Endpoint names are compared without case (RFC 3435 s2.1.1). */
static struct party **endpoint_head(struct cp_calls *calls, const char *gateway, const char *endpoint)
{
	return &calls->endpoints[hash(hash(FNV_BASIS, gateway) ^ 0x5a, endpoint) % AGENT_HASH];
}

/* A gateway's load is the calls that are here. */
static void count(const struct party *p, int more)
{
	struct cp_gw *gw = p->call->calls->gws != NULL ? cp_gws_find(p->call->calls->gws, p->name) : NULL;

	if (gw != NULL)
		cp_gw_ep_use(gw, p->endpoint, more);
}

void endpoint_enter(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side], **head = endpoint_head(call->calls, p->name, p->endpoint);

	p->in_index = true;
	p->ep_next = *head;
	*head = p;
	count(p, 1);
}

static void endpoint_leave(struct party *p)
{
	struct party **at;

	if (!p->in_index)
		return;
	for (at = endpoint_head(p->call->calls, p->name, p->endpoint); *at != p;)
		at = &(*at)->ep_next;
	*at = p->ep_next;
	p->in_index = false;
	count(p, -1);
}

void endpoint_rename(struct cp_call *call, unsigned side, const char *endpoint)
{
	struct party *p = &call->p[side];

	endpoint_leave(p);
	snprintf(p->endpoint, sizeof(p->endpoint), "%s", endpoint);
	endpoint_enter(call, side);
}

struct party *endpoint_party(struct cp_calls *calls, const char *gateway, const char *endpoint, const char *conn_id)
{
	struct party *p = *endpoint_head(calls, gateway, endpoint);

	while (p != NULL && (strcmp(p->name, gateway) != 0 || strcasecmp(p->endpoint, endpoint) != 0 ||
			     (conn_id[0] != '\0' && strcasecmp(p->conn_id, conn_id) != 0)))
		p = p->ep_next;
	return p;
}

struct party *endpoint_after(const struct party *p)
{
	struct party *q = p->ep_next;

	while (q != NULL && (strcmp(q->name, p->name) != 0 || strcasecmp(q->endpoint, p->endpoint) != 0))
		q = q->ep_next;
	return q;
}

struct cp_call *endpoint_call(struct cp_calls *calls, const char *gateway, const char *endpoint, unsigned *side)
{
	struct party *p = endpoint_party(calls, gateway, endpoint, "");

	if (p == NULL)
		return NULL;
	*side = party_side(p->call, p);
	return p->call;
}

/* The place on the new side must be clear. The old one is afterwards. */
void party_move(struct cp_call *to, unsigned to_side, struct cp_call *from, unsigned from_side)
{
	struct party *dst = &to->p[to_side], *src = &from->p[from_side];
	struct agent *a = src->agent;
	bool indexed = src->in_index;

	endpoint_leave(src);
	agent_leave(src);
	*dst = *src;
	dst->call = to;
	conf_moved(src, dst);
	memset(src, 0, sizeof(*src));
	src->call = from;
	src->leg_id = NO_LEG;
	if (indexed)
		endpoint_enter(to, to_side);
	if (a != NULL)
		agent_enter(a, dst);
}

static void fork_leave(struct party *fork)
{
	struct party **at = &fork->call->forks;

	while (*at != fork)
		at = &(*at)->fork_next;
	*at = fork->fork_next;
	agent_leave(fork);
}

void party_drop_fork(struct party *fork)
{
	struct cp_calls *calls = fork->call->calls;
	struct agent *a = fork->agent;

	fork_leave(fork);
	free(fork);
	agent_release(calls, a);
}

void party_promote(struct party *fork)
{
	struct cp_call *call = fork->call;
	struct agent *a = fork->agent;

	fork_leave(fork);
	call->p[1] = *fork;
	call->p[1].fork = false;
	call->p[1].fork_next = NULL;
	agent_enter(a, &call->p[1]);
	free(fork);
}

void party_clear(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct agent *a = p->agent;

	shared_clear(p);
	endpoint_leave(p);
	agent_leave(p);
	conf_leave(p);
	p->kind = PARTY_NONE;
	p->held = p->resuming = p->reopen = p->toned = false;
	p->music = MUSIC_NONE;
	p->plays = 0;
	p->consult = p->bridges = 0;
	p->guest = p->inbound = false;
	p->cdr_leg = 0;
	p->best = p->worst = 0;
	agent_release(call->calls, a);
}
