/* SPDX-License-Identifier: BSD-3-Clause */
/* 'show sas': what is known of each security association, joined with the dataplane's counters. */
#include "gateway/saint.h"

/* What it has of lifetimes, and which are over. */
static void show_life(json_t *o, const struct cp_sa *rec, uint32_t hard, uint32_t soft)
{
	const struct {
		const char *name;
		uint64_t v;
	} lives[] = {{"hard_s", rec->hard_s}, {"hard_bytes", rec->hard_bytes}, {"hard_packets", rec->hard_pkts},
		     {"soft_s", rec->soft_s}, {"soft_bytes", rec->soft_bytes}, {"soft_packets", rec->soft_pkts}};
	char why[40];

	for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++)
		if (lives[i].v != 0)
			json_object_set_new(o, lives[i].name, json_integer((json_int_t)lives[i].v));
	if (soft != 0)
		json_object_set_new(o, "expiring", json_string(sa_why_text(soft, why, sizeof(why))));
	if (hard != 0)
		json_object_set_new(o, "expired", json_string(sa_why_text(hard, why, sizeof(why))));
}

json_t *cp_sas_show(struct cp_sas *sas)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < sas->max; i++) {
		const struct sa *sa = &sas->sa[i];
		const struct dp_page_sa *pg = cp_dp_page_sa(sas->env.dp, i);
		static const struct dp_page_sa none;
		char la[64], ra[64], spi[16];
		json_t *o;

		if (!sa->used)
			continue;
		if (pg == NULL || pg->spi != sa->rec.spi)
			pg = &none;
		snprintf(spi, sizeof(spi), "0x%08x", sa->rec.spi);
		o = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:I}",
				  "name", sa->rec.name, "id", (int)i, "gateway", sa->rec.gateway, "direction",
				  sa->rec.dir == DP_DIR_SEND ? "out" : "in", "spi", spi, "mode",
				  sa->rec.mode == DP_ESP_TUNNEL ? "tunnel" : "transport", "algorithm",
				  cp_sa_alg_name(sa->rec.alg), "local", cfg_addr_print(&sa->rec.local, la, sizeof(la)),
				  "remote", cfg_addr_print(&sa->rec.remote, ra, sizeof(ra)), "esn", sa->rec.esn, "state",
				  sa->dead ? "dead" : sa->held ? "held" : sa->asserted ? "live" : "waiting", "sequence",
				  (json_int_t)pg->seq, "granted", (json_int_t)sa->limit, "packets", (json_int_t)pg->pkts,
				  "bytes", (json_int_t)pg->bytes, "auth_failed", (json_int_t)pg->auth_fail, "replayed",
				  (json_int_t)pg->replayed);
		json_object_set_new(o, "source", json_string(sa->origin == SA_IKE ? "ike" : sa->origin == SA_CONFIG ? "config" : "manual"));
		if (sa->origin == SA_IKE) {
			json_object_set_new(o, "reqid", json_integer((json_int_t)sa->reqid));
			json_object_set_new(o, "taken_over", json_boolean(sa->taken_over));
		}
		if (sa->rec.added_s != 0)
			json_object_set_new(o, "age_s", json_integer((json_int_t)(cp_wall_us() / 1000000 - sa->rec.added_s)));
		json_object_set_new(o, "not_usable", json_integer((json_int_t)pg->dead_drop));
		if (pg->expired >> 16 != 0)
			json_object_set_new(o, "path_mtu", json_integer((json_int_t)(pg->expired >> 16)));
		show_life(o, &sa->rec, (uint32_t)(pg->expired & 0xff) | sa->hard, (uint32_t)(pg->expired >> 8 & 0xff) | sa->soft);
		json_array_append_new(list, o);
	}
	return list;
}
