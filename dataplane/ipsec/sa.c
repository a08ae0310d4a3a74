/* SPDX-License-Identifier: BSD-3-Clause */
#include "ipsec/sa.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "dp_esp.h"
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
	const struct dp_esp_suite *suite = dp_esp_suite(set->alg);
	bool send = set->dir == DP_DIR_SEND;

	if (set->sa_id >= DP_SA_MAX || set->spi <= 255 || set->shard >= DP_SHARDS ||
	    (set->gw_id >= DP_GW_MAX && set->gw_id != UINT32_MAX))
		return -EBADMSG;
	if ((set->dir != DP_DIR_RECV && !send) || set->esn > 1 || set->mode == 0 ||
	    set->mode >= DP_ESP_MODE_MAX || suite == NULL)
		return -EBADMSG;
	if (!addr_ok(&set->local) || !addr_ok(&set->remote) || set->local.family != set->remote.family ||
	    (set->local.port > 0) != (set->remote.port > 0))
		return -EBADMSG;
	if (set->replay_window != 0 && (set->replay_window < DP_SA_WINDOW_MIN || set->replay_window > DP_SA_WINDOW_MAX))
		return -EBADMSG;
	if (set->seq_floor > seq_cap(set->esn))
		return -EBADMSG;
	if ((set->hard_bytes != 0 && set->soft_bytes > set->hard_bytes) || (set->hard_s != 0 && set->soft_s > set->hard_s) ||
	    (set->hard_pkts != 0 && set->soft_pkts > set->hard_pkts))
		return -EBADMSG;
	if (!all_zero(set->key + suite->key_len, sizeof(set->key) - suite->key_len) ||
	    !all_zero(set->auth + suite->auth_len, sizeof(set->auth) - suite->auth_len) ||
	    !all_zero(set->salt + suite->salt_len, sizeof(set->salt) - suite->salt_len) ||
	    set->zero != 0)
		return -EBADMSG;
	if (set->tfc > DP_SA_TFC_MAX || (set->tfc != 0 && (!send || set->mode != DP_ESP_TUNNEL)))
		return -EBADMSG;
	if ((set->flags & ~DP_SA_F_ALL) != 0 || ((set->flags & DP_SA_F_KEEPALIVE) != 0 && (!send || set->local.port == 0)))
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

static void auth_init(struct dp_sa *sa, struct dp_mb *mb, const struct dp_sa_set *set, size_t len)
{
	size_t sched = sa->crypt == DP_SA_3DES ? DP_MB_DES3_KS : sa->crypt == DP_SA_NULL ? 0 : 16u * (dp_mb_aes_rounds(sa->key_len) + 1);
	uint8_t *state;

	sa->hmac_at = (uint16_t)((sched + 63) / 64 * 64);
	state = sa->key.cbc.rk + sa->hmac_at;
	if (sa->auth == DP_ESP_A_SHA1)
		dp_mb_hmac_sha1_key(mb, set->auth, len, state);
	else
		dp_mb_sha2_key(mb, (enum dp_mb_sha2)(sa->auth - DP_ESP_A_SHA256), set->auth, len, state);
}

static int mask_init(struct dp_sa *sa)
{
	ssize_t got = getrandom(sa->iv_mask, sizeof(sa->iv_mask), 0);

	return got == (ssize_t)sizeof(sa->iv_mask) ? 0 : got < 0 ? -errno : -EIO;
}

/* --- lifetimes --- */

static void next_of(uint64_t soft, uint64_t hard, bool soft_over, uint64_t *ret)
{
	*ret = hard != 0 ? hard : UINT64_MAX;
	if (soft != 0 && !soft_over && soft < *ret)
		*ret = soft;
}

static void life_next(struct dp_sa *sa)
{
	next_of(sa->soft_bytes, sa->hard_bytes, (sa->soft & DP_SA_WHY_BYTES) != 0, &sa->next_bytes);
	next_of(sa->soft_pkts, sa->hard_pkts, (sa->soft & DP_SA_WHY_PKTS) != 0, &sa->next_pkts);
}

static void soft_over(struct dp_sa *sa, uint8_t why)
{
	if (sa->soft & why)
		return;
	sa->soft |= why;
	sa->events |= DP_SA_EV(DP_SA_SOFT_EXPIRED);
	life_next(sa);
}

static void hard_over(struct dp_sa *sa, uint8_t why)
{
	sa->dead |= why;
	sa->events |= DP_SA_EV(DP_SA_HARD_EXPIRED);
}

enum dp_drop dp_sa_life(struct dp_sa *sa, uint32_t len)
{
	uint64_t bytes = sa->bytes + len, pkts = sa->pkts + 1;

	if (sa->hard_bytes != 0 && bytes > sa->hard_bytes) {
		hard_over(sa, DP_SA_WHY_BYTES);
		return DP_DROP_ESP_BYTES;
	}
	if (sa->hard_pkts != 0 && pkts > sa->hard_pkts) {
		hard_over(sa, DP_SA_WHY_PKTS);
		return DP_DROP_ESP_PKTS;
	}
	if (sa->soft_bytes != 0 && bytes > sa->soft_bytes)
		soft_over(sa, DP_SA_WHY_BYTES);
	if (sa->soft_pkts != 0 && pkts > sa->soft_pkts)
		soft_over(sa, DP_SA_WHY_PKTS);
	return DP_OK;
}

static int window_init(struct dp_sa *sa, const struct dp_sa_set *set)
{
	size_t bytes;

	sa->window = (uint16_t)(set->replay_window == 0 ? DP_REPLAY_WINDOW : set->replay_window);
	sa->win_words = (uint16_t)dp_replay_words(sa->window);
	bytes = sa->win_words * sizeof(*sa->wide); /* a power of two, at least a cache line */
	if (sa->win_words > DP_REPLAY_WORDS) {
		sa->wide = aligned_alloc(64, bytes);
		if (sa->wide == NULL)
			return -ENOMEM;
	}
	/* Number 0 is never sent (RFC 4303 s2.2), so floor 0 is the fresh window too. */
	dp_replay_restart_in(&sa->win.top, dp_sa_seen(sa), sa->win_words, set->seq_floor);
	return 0;
}

static int keys_init(struct dp_sa *sa, struct dp_mb *mb, const struct dp_sa_set *set)
{
	static const uint8_t crypts[] = {[DP_ESP_C_GCM] = DP_SA_GCM, [DP_ESP_C_CBC] = DP_SA_CBC_128, [DP_ESP_C_CTR] = DP_SA_CTR,
					 [DP_ESP_C_3DES] = DP_SA_3DES, [DP_ESP_C_NULL] = DP_SA_NULL};
	const struct dp_esp_suite *suite = dp_esp_suite(set->alg);
	uint8_t enc[DP_MB_AES_RK_MAX] __attribute__((aligned(16)));
	uint8_t dec[DP_MB_AES_RK_MAX] __attribute__((aligned(16)));
	bool cbc = suite->cipher == DP_ESP_C_CBC || suite->cipher == DP_ESP_C_3DES, send = set->dir == DP_DIR_SEND;

	sa->iv_len = suite->iv_len;
	sa->icv_len = suite->icv_len;
	sa->align = suite->align;
	sa->key_len = suite->key_len;
	sa->auth = suite->auth;
	sa->crypt = crypts[suite->cipher];
	if (sa->crypt == DP_SA_CBC_128)
		sa->crypt = (uint8_t)(sa->crypt + (suite->key_len - 16) / 8);
	memcpy(sa->salt, set->salt, sizeof(sa->salt));
	if (sa->crypt == DP_SA_GCM) {
		dp_mb_gcm_key(mb, set->key, sa->key_len, &sa->key.gcm);
		return 0;
	}
	auth_init(sa, mb, set, suite->auth_len);
	memcpy(sa->key.cbc.raw, set->key, sizeof(sa->key.cbc.raw));
	if (sa->crypt == DP_SA_3DES) {
		if (sa->hard_bytes == 0 || sa->hard_bytes > DP_SA_3DES_BYTES)
			sa->hard_bytes = DP_SA_3DES_BYTES;
		if (sa->soft_bytes == 0 || sa->soft_bytes > sa->hard_bytes)
			sa->soft_bytes = sa->hard_bytes / 8 * 7;
		dp_mb_des3_key(mb, set->key, sa->key.cbc.rk);
	} else if (sa->crypt != DP_SA_NULL) {
		dp_mb_aes_expand(mb, set->key, sa->key_len, enc, dec);
		memcpy(sa->key.cbc.rk, cbc && !send ? dec : enc, 16 * (dp_mb_aes_rounds(sa->key_len) + 1));
		explicit_bzero(enc, sizeof(enc));
		explicit_bzero(dec, sizeof(dec));
	}
	return cbc && send ? mask_init(sa) : 0;
}

int dp_sa_init(struct dp_sa *sa, struct dp_mb *mb, const struct dp_sa_set *set)
{
	const struct dp_sockaddr *src = &set->sel_local, *dst = &set->sel_remote;
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
	sa->soft_bytes = set->soft_bytes;
	sa->hard_pkts = set->hard_pkts;
	sa->soft_pkts = set->soft_pkts;
	sa->hard_s = set->hard_s;
	sa->soft_s = set->soft_s;
	sa->age_s = set->age_s;
	sa->tfc = set->tfc;
	sa->keepalive = (set->flags & DP_SA_F_KEEPALIVE) != 0;
	sa->quiet_seq = UINT64_MAX;
	sa->last_dscp = DP_SPD_DSCP_COPY;
	sa->local = set->local;
	sa->remote = set->remote;
	outer_init(sa, set);
	if (send) {
		sa->seq = set->seq_floor;
		limit_set(sa, sa->seq, set->seq_limit);
	} else {
		memset(&sa->peer, 0, sizeof(sa->peer)); /* no outer headers */
		sa->peer.at = set->remote;
		rc = window_init(sa, set);
		if (rc < 0)
			return rc;
	}

	rc = keys_init(sa, mb, set);
	if (rc < 0)
		dp_sa_wipe(sa);
	else
		life_next(sa);
	return rc;
}

void dp_sa_wipe(struct dp_sa *sa)
{
	free(sa->wide);
	explicit_bzero(sa, sizeof(*sa));
}

/* GCM and CTR: the sequence is in the counter block, beside the salt, whatever authenticates and however long the ICV is. */
static bool counts(const struct dp_sa *sa)
{
	return sa->crypt == DP_SA_GCM || sa->crypt == DP_SA_CTR;
}

static const uint8_t *key_of(const struct dp_sa *sa)
{
	return sa->crypt == DP_SA_GCM ? (const uint8_t *)sa->key.gcm.expanded_keys : sa->key.cbc.raw; /* schedules begin with the key */
}

static bool same_key(const struct dp_sa *a, const struct dp_sa *b)
{
	if (a->dir != b->dir || a->spi == 0 || b->spi == 0 || a->key_len != b->key_len ||
	    !dp_mb_equal(key_of(a), key_of(b), a->key_len))
		return false;
	if (counts(a) && counts(b))
		return dp_mb_equal(a->salt, b->salt, sizeof(a->salt));
	return a->alg == b->alg && dp_mb_equal(dp_sa_hmac(a), dp_sa_hmac(b), DP_MB_SHA2_STATE);
}

/* The window goes on, also in one of another size: what lies outside the old one counts as seen. */
static void window_inherit(struct dp_sa *sa, const struct dp_sa *old)
{
	const uint64_t *was = old->wide != NULL ? old->wide : old->win.seen;
	uint64_t *seen = dp_sa_seen(sa), top = old->win.top;
	uint32_t n = old->window < sa->window ? old->window : sa->window;

	if (sa->win_words == old->win_words) {
		sa->win.top = top;
		memcpy(seen, was, sa->win_words * sizeof(*seen));
		return;
	}
	dp_replay_restart_in(&sa->win.top, seen, sa->win_words, top);
	for (uint64_t idx = top; top - idx < n; idx--) {
		if (dp_replay_check_in(top, was, old->win_words, n, idx) == 0)
			seen[(idx / 64) & (sa->win_words - 1u)] &= ~((uint64_t)1 << (idx % 64));
		if (idx == 0)
			break;
	}
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
		window_inherit(sa, old);
	}
	if (memcmp(&sa->remote, &old->remote, sizeof(sa->remote)) == 0) {
		sa->pmtu = old->pmtu;
		sa->pmtu_s = old->pmtu_s;
	}
	sa->pkts = old->pkts;
	sa->bytes = old->bytes;
	sa->auth_fail = old->auth_fail;
	sa->replayed = old->replayed;
	sa->dead_drop = old->dead_drop;
	sa->born_s = old->born_s;
	sa->ticked = old->ticked;
	/* A lifetime that is another now may begin to bind, or not bind any more, with the next packet or tick. */
	if (sa->hard_bytes == old->hard_bytes)
		sa->dead |= old->dead & DP_SA_WHY_BYTES;
	if (sa->hard_pkts == old->hard_pkts)
		sa->dead |= old->dead & DP_SA_WHY_PKTS;
	if (sa->hard_s == old->hard_s)
		sa->dead |= old->dead & DP_SA_WHY_TIME;
	if (sa->soft_bytes == old->soft_bytes)
		sa->soft |= old->soft & DP_SA_WHY_BYTES;
	if (sa->soft_pkts == old->soft_pkts)
		sa->soft |= old->soft & DP_SA_WHY_PKTS;
	if (sa->soft_s == old->soft_s)
		sa->soft |= old->soft & DP_SA_WHY_TIME;
	life_next(sa);
	/* Who sets it again may not know: another controlplane. */
	if (sa->dead != 0)
		sa->events |= DP_SA_EV(DP_SA_HARD_EXPIRED);
	if (sa->soft != 0)
		sa->events |= DP_SA_EV(DP_SA_SOFT_EXPIRED);
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
		sa->born_s = now_s - sa->age_s;
	}
	if (sa->pmtu != 0 && (uint32_t)now_s - sa->pmtu_s >= DP_SA_PMTU_S)
		sa->pmtu = 0;
	sa->moved = false;
	if (sa->wanting)
		sa->events |= DP_SA_EV(DP_SA_WANT_GRANT); /* the last one may have been lost on its way */
	if (sa->soft_s != 0 && now_s - sa->born_s >= sa->soft_s)
		soft_over(sa, DP_SA_WHY_TIME);
	if (sa->hard_s == 0 || (sa->dead & DP_SA_WHY_TIME) || now_s - sa->born_s < sa->hard_s)
		return false;
	hard_over(sa, DP_SA_WHY_TIME);
	return true;
}

bool dp_sa_keepalive(struct dp_sa *sa, uint64_t now_s)
{
	if (!sa->keepalive || sa->dead != 0)
		return false;
	if (sa->seq != sa->quiet_seq) {
		sa->quiet_seq = sa->seq;
		sa->quiet_s = (uint32_t)now_s;
		return false;
	}
	if ((uint32_t)now_s - sa->quiet_s < DP_SA_KEEPALIVE_S)
		return false;
	sa->quiet_s = (uint32_t)now_s;
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

bool dp_sa_selects_udp(const struct dp_sa *sa, const struct dp_sockaddr *from, const struct dp_sockaddr *to)
{
	unsigned int len = from->family == 4 ? 4 : 16;

	return from->family == sa->sel_src.family && in_range(&sa->sel_src, from->ip, len) && in_range(&sa->sel_dst, to->ip, len) &&
	       (sa->sel_proto == 0 || sa->sel_proto == IPH_UDP) && (sa->sel_src.port == 0 || sa->sel_src.port == from->port) &&
	       (sa->sel_dst.port == 0 || sa->sel_dst.port == to->port);
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
