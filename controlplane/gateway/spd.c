/* SPDX-License-Identifier: BSD-3-Clause */
#include "gateway/spd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarm.h"
#include "call/media.h"
#include "dpclient.h"
#include "gateway/gateway.h"
#include "log.h"
#include "store/records.h"

struct cp_spd {
	const struct cfg *cfg;
	struct cp_dp *dp;
	struct cp_gws *gws;
	struct cp_alarms *alarms;
};

static const char *const actions[] = {"", "bypass", "protect", "discard"}; /* enum cfg_policy_action, dp_spd_action */

struct cp_spd *cp_spd_create(const struct cfg *cfg, struct cp_dp *dp, struct cp_gws *gws, struct cp_alarms *alarms)
{
	struct cp_spd *spd = calloc(1, sizeof(*spd));

	if (spd != NULL)
		*spd = (struct cp_spd){.cfg = cfg, .dp = dp, .gws = gws, .alarms = alarms};
	return spd;
}

void cp_spd_destroy(struct cp_spd *spd)
{
	free(spd);
}

static void refused(struct cp_spd *spd, int rc)
{
	cfg_log(CFG_LOG_ERR, "policies-refused", "error=%s", cfg_q(strerror(-rc)));
	cp_alarm_raise(spd->alarms, "policies-refused", CP_ALARM_CRITICAL, "dataplane",
		       "the dataplane did not take the list of policies: those before, or none, are in force");
}

static void on_set(void *ctx, int rc)
{
	if (rc < 0 && rc != -ENOTCONN)
		refused(ctx, rc);
}

static void on_commit(void *ctx, int rc)
{
	struct cp_spd *spd = ctx;

	if (rc == 0)
		cp_alarm_clear(spd->alarms, "policies-refused", "dataplane");
	else
		on_set(ctx, rc);
}

static struct dp_spd_set message(const struct cfg_policy *p, unsigned pos)
{
	struct dp_spd_set m = {
		.pos = (uint8_t)pos, .dirs = (uint8_t)((p->in ? DP_SPD_IN : 0) | (p->out ? DP_SPD_OUT : 0)), .action = (uint8_t)p->action,
		.proto = p->proto, .df = (uint8_t)p->df, .dscp = p->action == CFG_POLICY_PROTECT ? p->dscp : 0,
		.local_plen = p->local.family != 0 ? p->local.plen : 0, .remote_plen = p->remote.family != 0 ? p->remote.plen : 0,
		.local_lo = p->local_lo, .local_hi = p->local_hi, .remote_lo = p->remote_lo, .remote_hi = p->remote_hi,
		.icmp_lo = p->icmp_lo, .icmp_hi = p->icmp_hi};

	cp_to_dp_addr(&m.local, &p->local);
	cp_to_dp_addr(&m.remote, &p->remote);
	return m;
}

void cp_spd_up(struct cp_spd *spd)
{
	const struct cfg_ipsec *ipsec = &spd->cfg->ipsec;
	struct dp_spd_commit commit = {.count = ipsec->policies_count};
	int rc = 0;

	static_assert((int)CFG_POLICY_DISCARD == (int)DP_SPD_DISCARD && (int)CFG_POLICY_DF_CLEAR == (int)DP_SPD_DF_CLEAR, "the same words");
	for (unsigned i = 0; rc == 0 && i < ipsec->policies_count; i++) {
		struct dp_spd_set m = message(&ipsec->policies[i], i);

		rc = cp_dp_send(spd->dp, DP_MSG_SPD_SET, &m, on_set, spd);
	}
	if (rc == 0)
		rc = cp_dp_send(spd->dp, DP_MSG_SPD_COMMIT, &commit, on_commit, spd);
	if (rc < 0 && rc != -ENOTCONN)
		refused(spd, rc);
}

/* --- show --- */

static const char *ports(char *buf, size_t size, unsigned lo, unsigned hi, unsigned max)
{
	if (lo == 0 && hi == max)
		snprintf(buf, size, "any");
	else if (lo == hi)
		snprintf(buf, size, "%u", lo);
	else
		snprintf(buf, size, "%u-%u", lo, hi);
	return buf;
}

static const char *protocol(char *buf, size_t size, uint8_t proto)
{
	const char *name = proto == 0 ? "any" : proto == 1 ? "icmp" : proto == 6 ? "tcp" : proto == 17 ? "udp" : proto == 58 ? "icmpv6" :
			   proto == 132 ? "sctp" : NULL;

	if (name != NULL)
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "%u", proto);
	return buf;
}

static const char *range(char *buf, size_t size, const struct cfg_addr *a)
{
	if (a->family != 0)
		return cfg_addr_print(a, buf, size);
	snprintf(buf, size, "any");
	return buf;
}

static uint64_t hits(const struct cp_spd *spd, unsigned pos)
{
	const struct dp_page *page = cp_dp_page(spd->dp);
	uint64_t n = 0;

	for (uint32_t i = 0; page != NULL && i < page->worker_cnt; i++)
		n += cp_dp_page_worker(spd->dp, i)->spd_hit[pos];
	return n;
}

static json_t *configured(const struct cp_spd *spd, unsigned i)
{
	const struct cfg_policy *p = &spd->cfg->ipsec.policies[i];
	static const char *const dfs[] = {"copy", "set", "clear"};
	char a[64], b[64], c[16], d[16], e[16], f[16];
	json_t *o = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "from", "configuration", "position", (int)i, "action",
			      actions[p->action], "direction", !p->out ? "in" : !p->in ? "out" : "both", "local",
			      range(a, sizeof(a), &p->local), "remote", range(b, sizeof(b), &p->remote), "protocol",
			      protocol(c, sizeof(c), p->proto), "local_ports", ports(d, sizeof(d), p->local_lo, p->local_hi, UINT16_MAX),
			      "remote_ports", ports(e, sizeof(e), p->remote_lo, p->remote_hi, UINT16_MAX));

	if (p->proto == 1 || p->proto == 58)
		json_object_set_new(o, "icmp_types", json_string(ports(f, sizeof(f), p->icmp_lo, p->icmp_hi, UINT8_MAX)));
	if (p->action == CFG_POLICY_PROTECT) {
		json_object_set_new(o, "df", json_string(dfs[p->df]));
		json_object_set_new(o, "dscp", p->dscp == 255 ? json_string("copy") : json_integer(p->dscp));
	}
	json_object_set_new(o, "hits", json_integer((json_int_t)hits(spd, i)));
	return o;
}

/* What a gateway's record means for its MGCP. */
static json_t *derived(const struct cp_spd *spd, const char *name)
{
	struct cp_gw *gw = cp_gws_find(spd->gws, name);
	const struct cp_gateway *rec = gw != NULL ? cp_gw_rec(gw) : NULL;
	struct cfg_addr remote;
	char a[64], b[64];

	if (rec == NULL)
		return NULL;
	remote = rec->address;
	if (remote.port == 0)
		remote.port = 2427;
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "from", "gateway", "gateway", name, "action",
			 (rec->flags & CP_GW_CLEAR) == 0 ? "protect" : "protect, or bypass while it has no SA", "keys",
			 (rec->flags & CP_GW_KEYS_WITHOUT_IPSEC) != 0 ? "as the rest" : "protect", "direction", "both", "local",
			 cfg_addr_print(&spd->cfg->mgcp_local, a, sizeof(a)), "remote", cfg_addr_print(&remote, b, sizeof(b)), "protocol",
			 "udp");
}

static void built_in(json_t *list, const char *action, const char *what)
{
	json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "from", "built in", "action", action, "what", what));
}

json_t *cp_spd_show(const struct cp_spd *spd)
{
	json_t *list = json_array(), *gws = cp_gws_show(spd->gws), *gw;
	size_t i;

	built_in(list, "bypass", "ESP, IKE and its NAT keep-alives, ARP, neighbour discovery");
	for (i = 0; i < spd->cfg->ipsec.policies_count; i++)
		json_array_append_new(list, configured(spd, (unsigned)i));
	json_array_foreach(gws, i, gw) {
		json_t *o = derived(spd, json_string_value(json_object_get(gw, "name")));

		if (o != NULL)
			json_array_append_new(list, o);
	}
	json_decref(gws);
	built_in(list, "bypass", "media, ICMP");
	built_in(list, "discard", "what comes out of an SA and is not its gateway's MGCP");
	return list;
}
