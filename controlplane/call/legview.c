/* SPDX-License-Identifier: BSD-3-Clause */
/* Legs as operators see them: the counter page's figures, what they mean, and what is wrong. A page of legs at a time. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/dp_suite.h"
#include "call/legview.h"
#include "callint.h"
#include "quality/emodel.h"
#include "quality/quality.h"

#define BAD_LOSS   1.0  /* percent; phones conceal about that much */
#define BAD_JITTER 30.0 /* ms: more than a usual jitter buffer's half */
#define BAD_R      70.0 /* G.109: below, "many users dissatisfied" */
#define BAD_QUIET  5    /* s without a packet */

static const char *const codecs[DP_CODEC_MAX] = {"other", "g711", "g729", "g722"};

static double share(uint64_t part, uint64_t whole)
{
	return whole == 0 ? 0 : (double)part / (double)whole;
}

/* Three digits behind the point: enough, and no noise of binary fractions. */
static json_t *real(double v)
{
	return json_real(round(v * 1000) / 1000);
}

static json_t *count(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static void set_quality(json_t *o, const char *r_name, const char *mos_name, double r)
{
	json_object_set_new(o, r_name, isnan(r) ? json_null() : json_real(round(r * 10) / 10));
	json_object_set_new(o, mos_name, isnan(r) ? json_null() : json_real(round(dp_emodel_mos(r) * 100) / 100));
}

static json_t *age(uint64_t since_s, uint64_t now_s)
{
	return since_s == 0 ? json_null() : count(now_s > since_s ? now_s - since_s : 0);
}

static const char *suite_name(uint64_t suite)
{
	return suite == DP_SRTP_NONE ? "RTP" : dp_suite((unsigned)suite) != NULL ? dp_suite((unsigned)suite)->name : "unknown";
}

/* What somebody should look at. */
static json_t *problems(const struct cp_call *c, const struct dp_page_leg *pg, const struct dp_quality *q, uint64_t now_s)
{
	json_t *list = json_array();

	if (pg->state == DP_PAGE_LEG_FREE)
		json_array_append_new(list, json_string("setup"));
	if (q->rx_loss * 100 > BAD_LOSS || q->tx_loss * 100 > BAD_LOSS)
		json_array_append_new(list, json_string("loss"));
	if (q->rx_jitter_ms > BAD_JITTER || q->tx_jitter_ms > BAD_JITTER)
		json_array_append_new(list, json_string("jitter"));
	if (q->rx_r < BAD_R || q->tx_r < BAD_R) /* false with NAN */
		json_array_append_new(list, json_string("quality"));
	if (pg->auth_fail > 0)
		json_array_append_new(list, json_string("forgery"));
	if (pg->policed > 0)
		json_array_append_new(list, json_string("policed"));
	/* One that was never heard is silent since the call was answered. */
	if (pg->state != DP_PAGE_LEG_FREE && (pg->last_rx_s != 0 ? now_s > pg->last_rx_s + BAD_QUIET :
					      c->since_s != 0 && time(NULL) > c->since_s + BAD_QUIET))
		json_array_append_new(list, json_string("silent"));
	return list;
}

static json_t *show_leg(struct cp_calls *calls, const struct cp_call *c, const struct party *p, bool bad_only)
{
	const struct dp_page *page = cp_dp_page(calls->env.dp);
	const struct dp_page_leg *pg = cp_dp_page_leg(calls->env.dp, p->leg_id);
	uint64_t now_s = page != NULL ? page->now_s : 0;
	struct dp_quality q;
	struct dp_page_leg copy = {0};
	struct cfg_addr local;
	char lt[64], rt[64];
	json_t *o, *bad;
	bool here;

	if (!cp_ports_addr(calls->ports, p->leg_id, &local))
		return NULL;
	if (pg != NULL && pg->session == c->ref)
		copy = *pg;
	here = copy.state != DP_PAGE_LEG_FREE;
	dp_quality_of(&copy, &q);
	bad = problems(c, &copy, &q, now_s);
	if (bad_only && json_array_size(bad) == 0) {
		json_decref(bad);
		return NULL;
	}
	o = json_object();
	json_object_set_new(o, "leg", count(p->leg_id));
	json_object_set_new(o, "call", count(c->ref));
	json_object_set_new(o, "party", json_string(p->name[0] != '\0' ? p->name : p->number));
	json_object_set_new(o, "region", json_string(p->region));
	json_object_set_new(o, "local", json_string(cfg_addr_print(&local, lt, sizeof(lt))));
	json_object_set_new(o, "remote", json_string(cfg_addr_print(&p->remote, rt, sizeof(rt))));
	json_object_set_new(o, "suite", json_string(cp_suite_name(p->suite)));
	json_object_set_new(o, "state", json_string(copy.state == DP_PAGE_LEG_LATCHED ? "latched" : here ? "up" : "setup"));
	json_object_set_new(o, "rx_suite", here ? json_string(suite_name(copy.rx_suite)) : json_null());
	json_object_set_new(o, "tx_suite", here ? json_string(suite_name(copy.tx_suite)) : json_null());
	json_object_set_new(o, "rx_key_age_s", age(copy.rx_key_s, now_s));
	json_object_set_new(o, "tx_key_age_s", age(copy.tx_key_s, now_s));
	json_object_set_new(o, "codec", json_string(copy.codec < DP_CODEC_MAX ? codecs[copy.codec] : "other"));
	json_object_set_new(o, "rx_packets", count(copy.rx_pkts));
	json_object_set_new(o, "rx_bytes", count(copy.rx_bytes));
	json_object_set_new(o, "tx_packets", count(copy.tx_pkts));
	json_object_set_new(o, "tx_bytes", count(copy.tx_bytes));
	json_object_set_new(o, "rx_rtcp", count(copy.rx_rtcp));
	json_object_set_new(o, "tx_rtcp", count(copy.tx_rtcp));
	json_object_set_new(o, "quiet_s", copy.last_rx_s == 0 ? json_null() : age(copy.last_rx_s, now_s));
	json_object_set_new(o, "ssrc", count(copy.rtp.ssrc));
	json_object_set_new(o, "ssrc_changes", count(copy.rtp.ssrc_changes));
	json_object_set_new(o, "rx_lost", count(q.rx_lost));
	json_object_set_new(o, "rx_loss_percent", real(q.rx_loss * 100));
	json_object_set_new(o, "rx_reordered", count(copy.rtp.reordered));
	json_object_set_new(o, "rx_jitter_ms", real(q.rx_jitter_ms));
	json_object_set_new(o, "rx_gap_max_ms", real((double)copy.rtp.gap_max_us / 1000));
	json_object_set_new(o, "tx_reports", count(copy.rtcp.reports));
	json_object_set_new(o, "tx_lost", json_integer((json_int_t)copy.rtcp.lost));
	json_object_set_new(o, "tx_loss_percent", real(q.tx_loss * 100));
	json_object_set_new(o, "tx_fraction_percent", real(share(copy.rtcp.fraction, 256) * 100));
	json_object_set_new(o, "tx_jitter_ms", real(q.tx_jitter_ms));
	json_object_set_new(o, "rtt_ms", copy.rtcp.rtt_us == 0 ? json_null() : real(q.rtt_ms));
	set_quality(o, "rx_r", "rx_mos", q.rx_r);
	set_quality(o, "tx_r", "tx_mos", q.tx_r);
	json_object_set_new(o, "auth_failed", count(copy.auth_fail));
	json_object_set_new(o, "replayed", count(copy.replayed));
	json_object_set_new(o, "policed", count(copy.policed));
	json_object_set_new(o, "dropped", count(copy.other_drop));
	json_object_set_new(o, "latches", count(copy.latches));
	json_object_set_new(o, "problems", bad);
	return o;
}

json_t *cp_calls_show_legs(struct cp_calls *calls, const struct cp_leg_filter *f)
{
	json_t *list = json_array(), *next = json_null();
	uint32_t looked = 0;

	/* A place is a call's slot and a side: it stays what it is while calls come and go between two pages. */
	for (uint32_t at = f->from; at < 2 * CALL_SLOTS; at++) {
		const struct cp_call *c = calls->slot[at / 2];
		const struct party *p = c != NULL ? &c->p[at % 2] : NULL;

		if (p == NULL || p->leg_id == NO_LEG || (f->call != 0 && c->ref != f->call) ||
		    (f->leg != NO_LEG && p->leg_id != f->leg) || (f->region != NULL && strcmp(p->region, f->region) != 0))
			continue;
		/* Not how many are shown: to find out that a leg is well costs as much as to show it. */
		if (looked++ == f->max) {
			next = json_integer(at);
			break;
		}
		json_array_append_new(list, show_leg(calls, c, p, f->bad)); /* NULL: not appended */
	}
	return json_pack("{s:o, s:o}", "legs", list, "next", next);
}

bool cp_calls_leg(struct cp_calls *calls, uint32_t leg_id, uint32_t *ret_call, const char **ret_party)
{
	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		const struct cp_call *c = calls->slot[i];

		for (unsigned s = 0; c != NULL && s < 2; s++) {
			if (c->p[s].leg_id != leg_id)
				continue;
			*ret_call = c->ref;
			*ret_party = c->p[s].name[0] != '\0' ? c->p[s].name : c->p[s].number;
			return true;
		}
	}
	return false;
}
