/* SPDX-License-Identifier: BSD-3-Clause */
#include "ipsec/sa.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "ipsec/esp.h"
#include "ipsec/iphdr.h"

#define OUTER_TTL 64

static bool all_zero(const uint8_t *p, size_t len)
{
	uint8_t any = 0;

	for (size_t i = 0; i < len; i++)
		any |= p[i];
	return any == 0;
}

static bool addr_ok(const struct dp_sockaddr *a)
{
	if (!all_zero(a->zero, sizeof(a->zero)))
		return false;
	if (a->family == 4)
		return all_zero(a->ip + 4, 12);
	return a->family == 6;
}

/* The highest number of the form in use. */
static uint64_t seq_cap(uint8_t esn)
{
	return esn ? UINT64_MAX : UINT32_MAX;
}

static int sel_init(struct dp_sa_sel *sel, const struct dp_sockaddr *want, uint8_t plen,
		    const struct dp_sockaddr *outer)
{
	uint8_t bits = outer->family == 4 ? 32 : 128;

	memset(sel, 0, sizeof(*sel));
	if (want->family != 0) {
		if (!addr_ok(want))
			return -EBADMSG;
		bits = want->family == 4 ? 32 : 128;
		if (plen > bits)
			return -EBADMSG;
		memcpy(sel->ip, want->ip, 16);
		sel->family = want->family;
	} else {
		/* "As outer": the host itself. A prefix length says nothing then. */
		if (!all_zero(want->ip, sizeof(want->ip)) || !all_zero(want->zero, sizeof(want->zero)))
			return -EBADMSG;
		plen = bits;
		memcpy(sel->ip, outer->ip, 16);
		sel->family = outer->family;
	}
	sel->port = want->port;
	sel->any_addr = plen == 0;
	for (int i = 0; i < 16; i++) {
		int n = plen - 8 * i;

		sel->mask[i] = (uint8_t)(n >= 8 ? 0xff : n <= 0 ? 0 : 0xff << (8 - n));
		sel->ip[i] &= sel->mask[i];
	}
	return 0;
}

static int check(const struct dp_sa_set *set)
{
	bool send = set->dir == DP_DIR_SEND;
	size_t auth_len = set->alg == DP_ESP_AES_GCM_128 ? 4 : 20;

	if (set->sa_id >= DP_SA_MAX || set->spi <= 255 || set->shard >= DP_SHARDS ||
	    (set->gw_id >= DP_GW_MAX && set->gw_id != UINT32_MAX))
		return -EBADMSG;
	if ((set->dir != DP_DIR_RECV && !send) || set->esn > 1 || set->mode == 0 ||
	    set->mode >= DP_ESP_MODE_MAX || set->alg == 0 || set->alg >= DP_ESP_ALG_MAX)
		return -EBADMSG;
	if (!addr_ok(&set->local) || !addr_ok(&set->remote) || set->local.family != set->remote.family ||
	    (set->local.port > 0) != (set->remote.port > 0))
		return -EBADMSG;
	if (set->replay_window != 0 && (set->replay_window < 64 || set->replay_window > DP_REPLAY_WINDOW))
		return -EBADMSG;
	if (set->seq_floor > seq_cap(set->esn))
		return -EBADMSG;
	if (!all_zero(set->key + 16, sizeof(set->key) - 16) ||
	    !all_zero(set->auth + auth_len, sizeof(set->auth) - auth_len) ||
	    !all_zero(set->zero, sizeof(set->zero)))
		return -EBADMSG;
	return 0;
}

/* What stands before ESP on the way out, all but lengths, DSCP, ECN, DF, identification and checksums. */
static void outer_init(struct dp_sa *sa, const struct dp_sa_set *set)
{
	uint8_t *o = sa->outer, proto = sa->udp ? IPH_UDP : IPH_ESP;

	if (sa->mode == DP_ESP_TUNNEL && sa->family == 4) {
		o[0] = 0x45;
		o[8] = OUTER_TTL;
		o[9] = proto;
		memcpy(o + 12, set->local.ip, 4);
		memcpy(o + 16, set->remote.ip, 4);
		sa->outer_sum = dp_iphdr_fold(dp_iphdr_sum(o, 20));
		sa->outer_len = 20;
	} else if (sa->mode == DP_ESP_TUNNEL) {
		o[0] = 0x60;
		o[6] = proto;
		o[7] = OUTER_TTL;
		memcpy(o + 8, set->local.ip, 16);
		memcpy(o + 24, set->remote.ip, 16);
		sa->outer_len = 40;
	}
	if (sa->udp) {
		put_be16(o + sa->outer_len, set->local.port);
		put_be16(o + sa->outer_len + 2, set->remote.port);
		sa->outer_len = (uint8_t)(sa->outer_len + 8);
	}
}

static void limit_set(struct dp_sa *sa, uint64_t from, uint64_t limit)
{
	uint64_t cap = seq_cap(sa->esn), want;

	if (limit > cap)
		limit = cap;
	want = limit <= from ? from : limit - (limit - from) / 2;
	sa->seq_limit = limit;
	sa->want_at = UINT64_MAX;
	sa->wanting = false;
	if (limit == cap)
		return; /* the last number is granted already: nothing more to ask for */
	if (sa->seq >= want) {
		sa->wanting = true;
		sa->events |= DP_SA_EV(DP_SA_WANT_GRANT);
	} else {
		sa->want_at = want;
	}
}

int dp_sa_init(struct dp_sa *sa, struct dp_mb *mb, const struct dp_sa_set *set)
{
	const struct dp_sockaddr *src = &set->sel_local, *dst = &set->sel_remote;
	uint8_t enc[DP_MB_AES128_RK] __attribute__((aligned(16)));
	uint8_t dec[DP_MB_AES128_RK] __attribute__((aligned(16)));
	bool send = set->dir == DP_DIR_SEND;
	int rc;

	memset(sa, 0, sizeof(*sa));
	rc = check(set);
	if (rc < 0)
		return rc;
	rc = sel_init(send ? &sa->sel_src : &sa->sel_dst, src, set->sel_local_plen, &set->local);
	if (rc == 0)
		rc = sel_init(send ? &sa->sel_dst : &sa->sel_src, dst, set->sel_remote_plen, &set->remote);
	if (rc == 0 && sa->sel_src.family != sa->sel_dst.family)
		rc = -EBADMSG;
	if (rc == 0 && set->mode == DP_ESP_TRANSPORT && sa->sel_src.family != set->local.family)
		rc = -EBADMSG;
	if (rc < 0)
		return rc;
	sa->sel_ports = sa->sel_src.port != 0 || sa->sel_dst.port != 0;
	sa->sel_proto = set->sel_proto;
	/* A port selector for a protocol without ports would match nothing, ever. */
	if (sa->sel_ports && sa->sel_proto != 0 && !dp_iphdr_has_ports(sa->sel_proto))
		return -EBADMSG;

	sa->spi = set->spi;
	sa->alg = set->alg;
	sa->mode = set->mode;
	sa->dir = set->dir;
	sa->esn = set->esn;
	sa->udp = set->local.port > 0;
	sa->family = set->local.family;
	sa->sa_id = set->sa_id;
	sa->gw_id = set->gw_id;
	sa->shard = set->shard;
	sa->hard_bytes = set->hard_bytes;
	sa->hard_s = set->hard_s;
	outer_init(sa, set);
	if (send) {
		sa->seq = set->seq_floor;
		limit_set(sa, sa->seq, set->seq_limit);
	} else {
		sa->window = (uint16_t)(set->replay_window == 0 ? DP_REPLAY_WINDOW : set->replay_window);
		dp_replay_init(&sa->win);
		/* Number 0 is never sent (RFC 4303 s2.2), so floor 0 is the fresh window too. */
		dp_replay_restart(&sa->win, set->seq_floor);
	}

	if (sa->alg == DP_ESP_AES_GCM_128) {
		sa->iv_len = 8;
		sa->icv_len = 16;
		sa->align = 4;
		memcpy(sa->salt, set->auth, 4);
		dp_mb_gcm128_key(mb, set->key, &sa->key.gcm);
		return 0;
	}
	sa->iv_len = 16;
	sa->icv_len = 12;
	sa->align = 16;
	if (send) {
		ssize_t got = getrandom(sa->iv_mask, sizeof(sa->iv_mask), 0);

		if (got != (ssize_t)sizeof(sa->iv_mask)) {
			rc = got < 0 ? -errno : -EIO;
			dp_sa_wipe(sa);
			return rc;
		}
	}
	dp_mb_aes128_expand(mb, set->key, enc, dec);
	memcpy(sa->key.cbc.rk, send ? enc : dec, DP_MB_AES128_RK);
	memcpy(sa->key.cbc.kcv, enc, 16);
	dp_mb_hmac_sha1_key(mb, set->auth, 20, sa->key.cbc.state);
	explicit_bzero(enc, sizeof(enc));
	explicit_bzero(dec, sizeof(dec));
	return 0;
}

void dp_sa_wipe(struct dp_sa *sa)
{
	explicit_bzero(sa, sizeof(*sa));
}

static bool same_key(const struct dp_sa *a, const struct dp_sa *b)
{
	if (a->alg != b->alg || a->dir != b->dir || a->spi == 0 || b->spi == 0)
		return false;
	if (a->alg == DP_ESP_AES_GCM_128)
		return dp_mb_equal(a->key.gcm.expanded_keys, b->key.gcm.expanded_keys, 16) &&
		       dp_mb_equal(a->salt, b->salt, 4);
	return dp_mb_equal(a->key.cbc.kcv, b->key.cbc.kcv, 16) &&
	       dp_mb_equal(a->key.cbc.state, b->key.cbc.state, sizeof(a->key.cbc.state));
}

bool dp_sa_inherit(struct dp_sa *sa, const struct dp_sa *old)
{
	if (!same_key(sa, old))
		return false;
	if (sa->dir == DP_DIR_SEND) {
		uint64_t limit = sa->seq_limit;

		if (old->seq > sa->seq)
			sa->seq = old->seq;
		memcpy(sa->iv_mask, old->iv_mask, sizeof(sa->iv_mask));
		if (old->esn == sa->esn && old->seq_limit >= limit) {
			sa->seq_limit = old->seq_limit;
			sa->want_at = old->want_at;
			sa->wanting = old->wanting;
			sa->events = old->events;
		} else {
			sa->events = 0;
			limit_set(sa, sa->seq, limit);
		}
	} else if (old->spi == sa->spi && old->esn == sa->esn && old->win.top >= sa->win.top) {
		sa->win = old->win;
	}
	sa->pkts = old->pkts;
	sa->bytes = old->bytes;
	sa->auth_fail = old->auth_fail;
	sa->replayed = old->replayed;
	sa->born_s = old->born_s;
	sa->ticked = old->ticked;
	if (sa->hard_bytes == old->hard_bytes)
		sa->dead |= old->dead & DP_SA_DEAD_BYTES;
	if (sa->hard_s == old->hard_s)
		sa->dead |= old->dead & DP_SA_DEAD_TIME;
	return true;
}

int dp_sa_grant(struct dp_sa *sa, uint32_t spi, uint64_t seq_limit)
{
	if (sa->dir != DP_DIR_SEND || sa->spi != spi)
		return -EPROTO;
	if (seq_limit > sa->seq_limit)
		limit_set(sa, sa->seq_limit > sa->seq ? sa->seq_limit : sa->seq, seq_limit);
	return 0;
}

bool dp_sa_tick(struct dp_sa *sa, uint64_t now_s)
{
	if (!sa->ticked) {
		sa->ticked = true;
		sa->born_s = now_s;
	}
	if (sa->wanting)
		sa->events |= DP_SA_EV(DP_SA_WANT_GRANT); /* the last one may have been lost on its way */
	if (sa->hard_s == 0 || (sa->dead & DP_SA_DEAD_TIME) || now_s - sa->born_s < sa->hard_s)
		return false;
	sa->dead |= DP_SA_DEAD_TIME;
	sa->events |= DP_SA_EV(DP_SA_HARD_EXPIRED);
	return true;
}

static bool in_range(const struct dp_sa_sel *sel, const uint8_t *ip, unsigned int len)
{
	uint8_t diff = 0;

	if (sel->any_addr)
		return true;
	for (unsigned int i = 0; i < len; i++)
		diff |= (uint8_t)((ip[i] & sel->mask[i]) ^ sel->ip[i]);
	return diff == 0;
}

enum dp_drop dp_sa_select(const struct dp_sa *sa, const uint8_t *ip, const struct dp_iphdr *h)
{
	unsigned int alen = h->version == 4 ? 4 : 16, at = h->version == 4 ? 12 : 8;

	if (h->version != sa->sel_src.family || !in_range(&sa->sel_src, ip + at, alen) ||
	    !in_range(&sa->sel_dst, ip + at + alen, alen))
		return DP_DROP_ESP_SELECTOR;
	if (h->fragment) {
		/* IPv4 names the protocol in every fragment; the rest is not to be had. */
		if (sa->sel_ports || (sa->sel_proto != 0 && h->version == 6))
			return DP_DROP_L3_FRAGMENT;
	}
	if (sa->sel_proto != 0 && h->proto != sa->sel_proto)
		return DP_DROP_ESP_SELECTOR;
	if (sa->sel_ports) {
		if (!dp_iphdr_has_ports(h->proto) || h->total - h->len < 4)
			return DP_DROP_ESP_SELECTOR;
		if (sa->sel_src.port != 0 && be16(ip + h->len) != sa->sel_src.port)
			return DP_DROP_ESP_SELECTOR;
		if (sa->sel_dst.port != 0 && be16(ip + h->len + 2) != sa->sel_dst.port)
			return DP_DROP_ESP_SELECTOR;
	}
	return DP_OK;
}
