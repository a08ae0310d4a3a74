/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a call between two devices would get, and why: 'ravelinctl region explain A B'. The same functions decide here that decide for
 * a call; what a phone can is known while it is registered only.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "callint.h"
#include "sccp/devtype.h"

struct side {
	struct party p; /* as a call would have it */
	struct agent *agent;
	const struct cp_gateway *gw;
	bool here;      /* registered; a gateway: always */
	bool srtp;
};

static int find(struct cp_calls *calls, const char *name, struct side *s, const char **why)
{
	const struct cp_device *dev = cp_dir_device(calls->env.store, name);
	struct cp_gw *gw = calls->gws != NULL ? cp_gws_find(calls->gws, name) : NULL;

	memset(s, 0, sizeof(*s));
	*why = "no such device or gateway";
	if (dev == NULL && gw == NULL)
		return -ENOENT;
	snprintf(s->p.name, sizeof(s->p.name), "%s", name);
	if (dev == NULL) {
		s->gw = cp_gw_rec(gw);
		s->p.kind = PARTY_GATEWAY;
		s->here = true;
		s->srtp = cp_gw_keys_allowed(gw);
		snprintf(s->p.region, sizeof(s->p.region), "%s", cp_gw_region(gw));
		return 0;
	}
	s->p.kind = PARTY_PHONE;
	snprintf(s->p.region, sizeof(s->p.region), "%s", dev->region);
	s->p.agent = s->agent = agent_find(calls, name, false);
	s->here = party_phone(&s->p) != NULL;
	s->srtp = s->here && cp_phone_srtp(party_phone(&s->p));
	return 0;
}

static json_t *list_of(const uint8_t *list, unsigned max, const char *(*name)(uint8_t v))
{
	json_t *o = json_array();

	for (unsigned i = 0; i < max && list[i] != 0; i++)
		json_array_append_new(o, json_string(name(list[i])));
	return o;
}

static const char *codec_name(uint8_t c)
{
	return cp_codec_info((enum cp_codec)c)->name;
}

static json_t *show_side(const struct side *s)
{
	const struct cp_phone *phone = party_phone(&s->p);
	json_t *codecs = json_array(), *o;
	unsigned n = 0;
	const struct cp_sccp_cap *caps = phone != NULL ? cp_phone_caps(phone, &n) : NULL;

	for (unsigned i = 0; i < n; i++)
		if (cp_codec_of_sccp(caps[i].codec) != CP_CODEC_NONE)
			json_array_append_new(codecs, json_pack("{s:s,s:i}", "codec", cp_codec_sccp_name(caps[i].codec), "max_ms", (int)caps[i].max_frames));
	o = json_pack("{s:s,s:s,s:s,s:b,s:b}", "name", s->p.name, "kind", s->gw != NULL ? "gateway" : "phone", "region", s->p.region, "registered",
		      (int)s->here, "srtp", (int)s->srtp);
	if (s->gw == NULL)
		json_object_set_new(o, "codecs", codecs);
	else
		json_decref(codecs); /* what it can it says when it answers */
	return o;
}

/* Every codec in order, and why it is passed over. */
static json_t *show_codecs(const struct side *a, const struct side *b, const struct cp_media_rule *rule, bool secure)
{
	json_t *list = json_array();
	struct cp_codec_side sa, sb;

	policy_side(&a->p, &sa);
	policy_side(&b->p, &sb);
	for (unsigned c = CP_CODEC_NONE + 1; c < CP_CODEC_MAX; c++) {
		enum cp_codec codec = (enum cp_codec)cp_codec_order[c - 1];

		json_array_append_new(list, json_pack("{s:s,s:s}", "codec", cp_codec_info(codec)->name, "says",
						      cp_codec_why_text(cp_codec_fits(codec, &sa, &sb, &rule->codec, secure))));
	}
	return list;
}

/* Directly or not, and why not although the rule allows it. */
static const char *path(const struct cp_call *call, const struct side *a, const struct side *b, bool secure)
{
	const struct cp_phone *pa = party_phone(&a->p), *pb = party_phone(&b->p);
	uint8_t family = b->gw != NULL ? b->gw->address.family : pb != NULL ? cp_phone_peer(pb)->family : 0;

	if (!call->rule.direct)
		return "relay: the rule says so";
	if (pa == NULL || family == 0)
		return "direct, if both are there and of one address family";
	if (cp_phone_peer(pa)->family != family)
		return "relay: the two have addresses of different families";
	if (secure && (b->gw != NULL ? policy_direct_suite(call, pa, b->gw) : policy_common_suite(&call->rule, pa, pb)) == DP_SRTP_NONE)
		return "relay: no suite that both know, each leg has its own";
	return "direct";
}

static json_t *show_suites(const struct cp_call *call, const struct side *s, bool secure)
{
	json_t *list = json_array();
	uint8_t suite;

	if (secure && s->gw == NULL)
		json_array_append_new(list, json_string(cp_suite_name(policy_phone_suite(&call->rule, party_phone(&s->p)))));
	for (unsigned n = 0; secure && s->gw != NULL && (suite = policy_suite(call, s->gw, n)) != DP_SRTP_NONE; n++)
		json_array_append_new(list, json_string(cp_suite_name(suite))); /* offered one after the other */
	return list;
}

static const char *srtp_why(const struct side *a, const struct side *b, bool suites)
{
	if (!a->here || !b->here)
		return "one is not registered";
	if (!a->srtp || !b->srtp)
		return a->srtp ? "the second cannot, or may not be sent keys now" : "the first cannot, or may not be sent keys now";
	return suites ? "both can" : "the rule allows no suite that they know";
}

int cp_calls_explain(struct cp_calls *calls, const char *first, const char *second, json_t **ret, const char **why)
{
	struct cp_call call = {.calls = calls};
	struct cp_codec_choice choice;
	struct cp_rule_from from;
	struct side a, b;
	bool secure, suites;
	json_t *o;
	int rc = find(calls, first, &a, why);

	if (rc == 0)
		rc = find(calls, second, &b, why);
	*why = rc < 0 ? *why : "one of the two is a phone: gateways call nobody here";
	if (rc == 0 && a.gw != NULL && b.gw != NULL)
		rc = -EINVAL;
	if (rc < 0)
		return rc;
	if (a.gw != NULL) { /* whoever is named first: a phone calls it */
		struct side s = a;

		a = b;
		b = s;
	}
	a.p.call = b.p.call = &call;
	party_learn(&a.p);
	party_learn(&b.p);
	cp_rule_find(calls->env.store, &calls->env.cfg->media, a.p.region, b.p.region, &call.rule, &from);
	suites = a.here && policy_phone_suite(&call.rule, party_phone(&a.p)) != DP_SRTP_NONE &&
		 (b.gw != NULL || (b.here && policy_phone_suite(&call.rule, party_phone(&b.p)) != DP_SRTP_NONE));
	secure = a.srtp && b.srtp && suites;
	o = json_pack("{s:o,s:o,s:{s:I,s:s,s:o,s:s,s:s,s:s,s:o,s:s}}", "a", show_side(&a), "b", show_side(&b), "rule", "max_kbps",
		      (json_int_t)call.rule.codec.max_kbps, "max_kbps_from", from.kbps, "codecs",
		      list_of(call.rule.codec.list, CP_CODEC_MAX, codec_name), "codecs_from", from.codecs, "media",
		      call.rule.direct ? "direct" : "relay", "media_from", from.media, "suites",
		      list_of(call.rule.suites, DP_SRTP_SUITE_MAX, cp_suite_name), "suites_from", from.suites);
	json_object_set_new(o, "srtp", json_pack("{s:b,s:s}", "agreed", (int)secure, "why", srtp_why(&a, &b, suites)));
	json_object_set_new(o, "suites_a", show_suites(&call, &a, secure));
	json_object_set_new(o, "suites_b", show_suites(&call, &b, secure));
	json_object_set_new(o, "path", json_string(path(&call, &a, &b, secure)));
	json_object_set_new(o, "codecs", show_codecs(&a, &b, &call.rule, secure));
	if (!a.here || !b.here)
		json_object_set_new(o, "codec", json_string("not known: one is not registered"));
	else if (policy_codec(&a.p, &b.p, &call.rule, secure, &choice) < 0)
		json_object_set_new(o, "codec", json_string("none: the call is refused"));
	else
		json_object_set_new(o, "codec", json_pack("{s:s,s:s,s:s,s:i}", "name", cp_codec_info(choice.codec)->name, "a",
							  cp_codec_sccp_name(choice.number[0]), "b", cp_codec_sccp_name(choice.number[1]),
							  "packet_ms", (int)choice.packet_ms));
	*ret = o;
	return 0;
}
