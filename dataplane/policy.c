/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy.h"

#include "ipsec/iphdr.h"

void dp_policy_changed(struct dp_worker *w)
{
	w->spd_gen = w->spd != NULL ? w->spd->gen : 0;
	w->spd_media = w->spd != NULL ? w->spd->media_dirs : 0;
	memset(w->cnt->spd_hit, 0, sizeof(w->cnt->spd_hit));
}

const struct dp_spd_policy *dp_policy_find(struct dp_worker *w, const struct dp_spd_flow *flow)
{
	uint8_t pos;

	if (w->spd == NULL)
		return NULL;
	pos = dp_spd_look(w->spd, w->spd_cache, flow);
	if (pos == DP_SPD_NONE)
		return NULL;
	w->cnt->spd_hit[pos]++;
	return &w->spd->pol[pos];
}

/* 'out': the frame is ours. Ports as the selectors want them; of ICMP type and code. */
static struct dp_spd_flow flow_of(const uint8_t *data, const struct dp_frame *f, bool out)
{
	struct dp_spd_flow flow = {.proto = f->proto, .family = f->family, .dir = out ? DP_SPD_OUT : DP_SPD_IN};
	uint16_t src = 0, dst = 0;

	memcpy(flow.local, out ? f->src : f->dst, 16);
	memcpy(flow.remote, out ? f->dst : f->src, 16);
	if (f->proto == DP_PROTO_ICMP || f->proto == DP_PROTO_ICMP6) {
		if (f->l4_len >= 2) {
			flow.local_port = data[f->l4_off];
			flow.remote_port = data[f->l4_off + 1];
		}
		return flow;
	}
	if (dp_iphdr_has_ports(f->proto) && f->l4_len >= 4) {
		src = dp_get16(data + f->l4_off);
		dst = dp_get16(data + f->l4_off + 2);
	}
	flow.local_port = out ? src : dst;
	flow.remote_port = out ? dst : src;
	return flow;
}

enum dp_drop dp_policy_clear_flow(struct dp_worker *w, const struct dp_spd_flow *flow)
{
	const struct dp_spd_policy *p = dp_policy_find(w, flow);

	if (p == NULL || p->action == DP_SPD_BYPASS)
		return DP_OK;
	return p->action == DP_SPD_PROTECT ? DP_DROP_POLICY : DP_DROP_POLICY_DISCARD;
}

enum dp_drop dp_policy_clear_in(struct dp_worker *w, const uint8_t *data, const struct dp_frame *f)
{
	struct dp_spd_flow flow = flow_of(data, f, false);

	return dp_policy_clear_flow(w, &flow);
}

enum dp_drop dp_policy_clear_out(struct dp_worker *w, const uint8_t *data, const struct dp_frame *f)
{
	struct dp_spd_flow flow = flow_of(data, f, true);

	return dp_policy_clear_flow(w, &flow);
}

enum dp_drop dp_policy_sealed_in(struct dp_worker *w, const uint8_t *data, const struct dp_frame *f)
{
	struct dp_spd_flow flow = flow_of(data, f, false);
	const struct dp_spd_policy *p = dp_policy_find(w, &flow);

	if (p == NULL || p->action == DP_SPD_PROTECT)
		return DP_OK;
	return p->action == DP_SPD_BYPASS ? DP_DROP_POLICY_SEALED : DP_DROP_POLICY_DISCARD;
}
