/* SPDX-License-Identifier: BSD-3-Clause */
/* ipsec.policies. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "raw.h"
#include "values.h"

static const char *const actions[] = {"bypass", "protect", "discard", NULL}; /* enum cfg_policy_action, less one */
static const char *const directions[] = {"both", "in", "out", NULL};
static const char *const dfs[] = {"copy", "set", "clear", NULL};

/* "any" or not given: family 0. */
static void prefix(struct cfg_ctx *c, const char *path, const char *v, struct cfg_addr *ret)
{
	unsigned bits, rest = 0;

	if (c->rc != 0 || v == NULL || strcmp(v, "any") == 0)
		return;
	if (cfg_addr_parse(v, ret) < 0 || ret->port != 0) {
		cfg_bad(c, path, "%s is neither ADDRESS[/LENGTH] nor any", cfg_q(v));
		return;
	}
	bits = ret->family == 4 ? 32 : 128;
	for (unsigned i = ret->plen; i < bits; i++)
		rest |= ret->ip[i / 8] >> (7 - i % 8) & 1u;
	if (rest != 0)
		cfg_bad(c, path, "%s has bits behind the prefix", cfg_q(v));
}

/* "N" or "N-M" within 0 to 'max'; "any" or not given: all of it. */
static void range(struct cfg_ctx *c, const char *path, const char *v, uint32_t max, uint32_t *lo, uint32_t *hi)
{
	const char *dash = v != NULL ? strchr(v, '-') : NULL;
	char first[12];

	*lo = 0;
	*hi = max;
	if (c->rc != 0 || v == NULL || strcmp(v, "any") == 0)
		return;
	if (dash != NULL && (dash == v || (size_t)(dash - v) >= sizeof(first))) {
		cfg_bad(c, path, "%s is neither N nor N-M", cfg_q(v));
		return;
	}
	snprintf(first, sizeof(first), "%.*s", dash != NULL ? (int)(dash - v) : (int)sizeof(first) - 1, v);
	*lo = (uint32_t)cfg_num(c, path, dash != NULL ? first : v, 0, 0, max);
	*hi = dash != NULL ? (uint32_t)cfg_num(c, path, dash + 1, 0, 0, max) : *lo;
	if (c->rc == 0 && *hi < *lo)
		cfg_bad(c, path, "%s ends before it begins", cfg_q(v));
}

static uint8_t protocol(struct cfg_ctx *c, const char *path, const char *v)
{
	static const struct {
		const char *name;
		uint8_t proto;
	} names[] = {{"any", 0}, {"icmp", 1}, {"tcp", 6}, {"udp", 17}, {"icmpv6", 58}, {"sctp", 132}};

	for (size_t i = 0; v != NULL && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(v, names[i].name) == 0)
			return names[i].proto;
	return (uint8_t)cfg_num(c, path, v, 0, 1, 255);
}

static bool has_ports(uint8_t proto)
{
	return proto == 6 || proto == 17 || proto == 33 || proto == 132 || proto == 136;
}

static void do_policy(struct cfg_ctx *c, struct cfg_policy *p, unsigned i, const struct raw_policy *r)
{
	uint32_t llo, lhi, rlo, rhi, ilo, ihi;
	char path[60];
	int dir;

#define AT(key) (snprintf(path, sizeof(path), "ipsec.policies[%u]." #key, i), path)
	p->action = (enum cfg_policy_action)(1 + cfg_word(c, AT(action), r->action, 0, actions));
	dir = cfg_word(c, AT(direction), r->direction, 0, directions);
	p->in = dir != 2;
	p->out = dir != 1;
	prefix(c, AT(local), r->local, &p->local);
	prefix(c, AT(remote), r->remote, &p->remote);
	if (c->rc == 0 && p->local.family != 0 && p->remote.family != 0 && p->local.family != p->remote.family)
		cfg_bad(c, AT(remote), "is of another family than local");
	p->proto = protocol(c, AT(protocol), r->protocol);
	range(c, AT(local_ports), r->local_ports, 65535, &llo, &lhi);
	range(c, AT(remote_ports), r->remote_ports, 65535, &rlo, &rhi);
	range(c, AT(icmp_types), r->icmp_types, 255, &ilo, &ihi);
	p->local_lo = (uint16_t)llo;
	p->local_hi = (uint16_t)lhi;
	p->remote_lo = (uint16_t)rlo;
	p->remote_hi = (uint16_t)rhi;
	p->icmp_lo = (uint8_t)ilo;
	p->icmp_hi = (uint8_t)ihi;
	if (c->rc == 0 && (llo != 0 || lhi != 65535) && !has_ports(p->proto))
		cfg_bad(c, AT(local_ports), "needs a protocol with ports: udp, tcp, sctp, 33 or 136");
	if (c->rc == 0 && (rlo != 0 || rhi != 65535) && !has_ports(p->proto))
		cfg_bad(c, AT(remote_ports), "needs a protocol with ports: udp, tcp, sctp, 33 or 136");
	if (c->rc == 0 && (ilo != 0 || ihi != 255) && p->proto != 1 && p->proto != 58)
		cfg_bad(c, AT(icmp_types), "needs protocol: icmp or icmpv6");
	p->df = (enum cfg_policy_df)cfg_word(c, AT(df), r->df, CFG_POLICY_DF_COPY, dfs);
	p->dscp = r->dscp == NULL || strcmp(r->dscp, "copy") == 0 ? 255 : (uint8_t)cfg_num(c, AT(dscp), r->dscp, 0, 0, 63);
	if (c->rc == 0 && p->action != CFG_POLICY_PROTECT && (p->df != CFG_POLICY_DF_COPY || p->dscp != 255))
		cfg_bad(c, p->dscp != 255 ? AT(dscp) : AT(df), "needs action: protect");
#undef AT
}

void cfg_do_policies(struct cfg_ctx *c, struct cfg *cfg, const struct raw_ipsec *r)
{
	cfg->ipsec.policies = cfg_array(c, r->policies_count, sizeof(*cfg->ipsec.policies));
	for (unsigned i = 0; c->rc == 0 && i < r->policies_count; i++) {
		cfg->ipsec.policies_count = i + 1;
		do_policy(c, &cfg->ipsec.policies[i], i, &r->policies[i]);
	}
}
