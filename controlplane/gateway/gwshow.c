/* SPDX-License-Identifier: BSD-3-Clause */
/* Gateways and their endpoints, shown. */
#include "gwint.h"
#include "sccp/devtype.h"

const char *cp_gw_state_name(enum cp_gw_state state)
{
	static const char *const names[] = {"unknown", "up", "down", "no-sa"};

	return names[state];
}

const char *cp_gw_ep_state_name(enum cp_ep_state state)
{
	static const char *const names[CP_EP_STATES] = {"in-service", "leaving", "out", "disconnected", "off-hook", "elsewhere"};

	return names[state];
}

uint8_t cp_gw_ep_line(const struct cp_gw *gw, const char *endpoint)
{
	int i = eps_find(&gw->eps, &gw->rec, endpoint);

	return i < 0 ? CP_LINE_NONE : eps_line(&gw->rec, (unsigned)i);
}

/* As one of a farm: what an operator wants, what it can, what it has. */
static void show_farm(const struct cp_gw *gw, json_t *o)
{
	static const char *const service[CP_ADMIN_MAX] = {"in-service", "drain", "out-of-service"};

	json_object_update_new(o, json_pack("{s:s,s:s,s:b,s:i,s:i,s:i,s:i,s:i,s:s,s:I,s:I,s:I}", "service", service[gw->rec.admin], "group", gw->rec.group,
					    "takes_calls", (int)cp_gw_able(gw), "calls", (int)gw->farm.calls, "capacity", (int)gw->farm.capacity,
					    "priority", (int)gw->farm.priority + 1, "weight", (int)gw->farm.weight, "endpoints_in_service",
					    (int)gw->eps.in_service, "breaker", cp_health_name(&gw->health), "breaker_opened",
					    (json_int_t)gw->health.opened, "failures", (json_int_t)gw->failures, "restarts", (json_int_t)gw->restarts));
}

uint32_t cp_gws_count(const struct cp_gws *gws, json_t *keys_without_ipsec)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < DP_GW_MAX; i++) {
		const struct cp_gw *gw = gws->gw[i];

		n += gw != NULL;
		if (gw != NULL && (gw->rec.flags & CP_GW_KEYS_WITHOUT_IPSEC) != 0)
			json_array_append_new(keys_without_ipsec, json_string(gw->rec.name));
	}
	return n;
}

json_t *cp_gws_show(struct cp_gws *gws)
{
	json_t *list = json_array(), *o;
	char buf[80];

	for (uint32_t i = 0; i < DP_GW_MAX; i++) {
		const struct cp_gw *gw = gws->gw[i];

		if (gw == NULL)
			continue;
		o = json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:b, s:b, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:i}", "name",
					gw->rec.name, "type", gw->rec.type, "trust",
					cp_devtype_trust_text(cp_devtype_gateway(gw->rec.type)), "id", (int)gw->rec.gw_id, "address",
					cfg_addr_print(&gw->rec.address, buf, sizeof(buf)), "region", gw->rec.region,
					"state", cp_gw_state_name(gw->state), "sa", gw->sa_live, "keys_without_ipsec",
					(gw->rec.flags & CP_GW_KEYS_WITHOUT_IPSEC) != 0, "endpoints",
					(int)gw->rec.endpoint_cnt, "commands", (json_int_t)gw->cmds, "answers",
					(json_int_t)gw->answers, "timeouts", (json_int_t)gw->timeouts, "no_sa",
					(json_int_t)gw->no_sa, "media_refused", (json_int_t)gw->media_refused, "events", (json_int_t)gw->events, "rtt_us",
					(int)gw->rtt_us);
		show_farm(gw, o);
		gw_show_speech(gw, o);
		json_object_update_new(o, json_pack("{s:i,s:s,s:I}", "endpoints_elsewhere", (int)agents_elsewhere(gw), "other_agent", gw->notified, "claimed",
						    (json_int_t)gw->claimed));
		json_array_append_new(list, o);
	}
	return list;
}
