/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is in which call: devices by name, gateway endpoints by gateway and name. */
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
	a->next = *head;
	*head = a;
	return a;
}

void agent_release(struct cp_calls *calls, struct agent *agent)
{
	struct agent **at;

	if (agent == NULL || agent->phone != NULL || agent->callref != 0)
		return;
	at = &calls->agents[hash(FNV_BASIS, agent->name) % AGENT_HASH];
	while (*at != agent)
		at = &(*at)->next;
	*at = agent->next;
	free(agent);
}

/* Endpoint names are compared without case (RFC 3435 s2.1.1). */
static struct party **endpoint_head(struct cp_calls *calls, const char *gateway, const char *endpoint)
{
	return &calls->endpoints[hash(hash(FNV_BASIS, gateway) ^ 0x5a, endpoint) % AGENT_HASH];
}

void endpoint_enter(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side], **head = endpoint_head(call->calls, p->name, p->endpoint);

	p->call = call;
	p->ep_next = *head;
	*head = p;
}

static void endpoint_leave(struct party *p)
{
	struct party **at;

	if (p->call == NULL)
		return;
	for (at = endpoint_head(p->call->calls, p->name, p->endpoint); *at != p;)
		at = &(*at)->ep_next;
	*at = p->ep_next;
	p->call = NULL;
}

struct cp_call *endpoint_call(struct cp_calls *calls, const char *gateway, const char *endpoint, unsigned *side)
{
	for (struct party *p = *endpoint_head(calls, gateway, endpoint); p != NULL; p = p->ep_next) {
		if (strcmp(p->name, gateway) == 0 && strcasecmp(p->endpoint, endpoint) == 0) {
			*side = party_side(p->call, p);
			return p->call;
		}
	}
	return NULL;
}

void party_clear(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct agent *a = p->agent;

	endpoint_leave(p);
	p->agent = NULL;
	p->kind = PARTY_NONE;
	if (a != NULL && a->callref == call->ref) {
		a->callref = 0;
		agent_release(call->calls, a);
	}
}
