/* SPDX-License-Identifier: BSD-3-Clause */
/* Conferences and bridges as operators see them. */
#include <string.h>

#include "confint.h"

/* Who will be across from a port that the bridge has not answered for. Else who is. */
static const char *expected(const struct conf *conf, const struct party *port)
{
	for (unsigned i = 0; conf->task != NULL && party_other(port)->kind == PARTY_NONE && i < conf->task->want_cnt; i++)
		if (conf->task->want[i].port == port->call->ref)
			return conf->task->want[i].name;
	return party_other(port)->name;
}

static json_t *show_member(const struct conf *conf, const struct party *port)
{
	const struct party *p = party_other(port);

	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:I}", "number", p->number, "device", expected(conf, port), "state",
			 p->held ? "held" : call_state_name(port->call), "security", cp_security_name(conf_member_security(port)), "controller",
			 conf->owner[0] != '\0' && strcmp(conf->owner, p->name) == 0, "endpoint", p->kind == PARTY_GATEWAY ? p->endpoint : "", "call",
			 (json_int_t)port->call->ref);
}

static json_t *show_one(const struct conf *conf)
{
	json_t *members = json_array();

	for (const struct party *port = conf->ports; port != NULL; port = port->cf_next) /* the newest is first there */
		json_array_insert_new(members, 0, show_member(conf, port));
	return json_pack("{s:I, s:s, s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:b, s:o}", "id", (json_int_t)conf->id, "kind",
			 conf->meetme ? "meetme" : conf->owner[0] != '\0' ? "adhoc" : "cbarge", "number", conf->number, "cbarged", conf->shared,
			 "controller", conf->owner, "bridge", conf->gateway, "endpoint", conf->endpoint[0] != '\0' ? conf->endpoint : conf->any,
			 "security", cp_security_name(conf_security(conf, NULL)), "minimum",
			 conf->min != CP_SEC_UNKNOWN ? cp_security_name(conf->min) : "", "adding", conf->task != NULL, "members", members);
}

struct bridges {
	struct cp_calls *calls;
	json_t *list;
};

static void show_bridge(void *ctx, const struct cp_gateway *gw)
{
	struct bridges *b = ctx;
	const struct cp_gw *there = cp_gws_find(b->calls->gws, gw->name);
	unsigned confs = 0, used = 0;

	if ((gw->flags & CP_GW_CONFERENCE) == 0)
		return;
	for (const struct conf *c = b->calls->confs; c != NULL; c = c->next) {
		if (strcmp(c->gateway, gw->name) != 0)
			continue;
		confs++;
		used += conf_members(c);
	}
	json_array_append_new(b->list, json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i}", "name", gw->name, "state",
						 cp_gw_state_name(there != NULL ? cp_gw_state(there) : CP_GW_UNKNOWN), "conferences", (int)confs, "ports",
						 (int)gw->ports, "used", (int)used, "free", gw->ports > used ? (int)(gw->ports - used) : 0,
						 "conference_max", (int)gw->conference_max));
}

json_t *cp_calls_show_conferences(struct cp_calls *calls)
{
	struct bridges b = {calls, json_array()};
	json_t *list = json_array();

	for (const struct conf *c = calls->confs; c != NULL; c = c->next)
		json_array_insert_new(list, 0, show_one(c));
	if (calls->gws != NULL)
		cp_dir_each_gateway(calls->env.store, show_bridge, &b);
	return json_pack("{s:o, s:o}", "conferences", list, "bridges", b.list);
}
