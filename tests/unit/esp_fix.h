/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the ESP suites: SAs, packets on the heap in buffers of exactly their size, one call each. */
#ifndef TESTS_ESP_FIX_H
#define TESTS_ESP_FIX_H

#include <stdio.h>

#include <CUnit/CUnit.h>

#include "crypto/mb.h"
#include "ipsec/esp.h"
#include "ipsec/sa.h"

#include "esp_peer.h"

static struct dp_mb *mb;
static uint64_t rng_state = 0x9e3779b97f4a7c15ull; /* fixed: a failure can be run again */

static inline uint32_t rnd(uint32_t below)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return below == 0 ? 0 : (uint32_t)(rng_state >> 32) % below;
}

static inline void rnd_fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)rnd(256);
}

static inline size_t unhex(const char *h, uint8_t *ret)
{
	size_t n = 0;
	unsigned int v;

	for (; h[0] != '\0' && sscanf(h, "%2x", &v) == 1; h += 2)
		ret[n++] = (uint8_t)v;
	return n;
}

/* A: the appliance's side, B: the peer's; outer and, for tunnel mode, inner addresses. */
static const uint8_t A4[16] = {192, 0, 2, 1}, B4[16] = {198, 51, 100, 7};
static const uint8_t A6[16] = {0x20, 1, 0xd, 0xb8, 1, [15] = 1}, B6[16] = {0x20, 1, 0xd, 0xb8, 2, [15] = 7};
static const uint8_t a4[16] = {10, 1, 0, 5}, b4[16] = {10, 2, 0, 9};
static const uint8_t a6[16] = {0xfd, 1, [15] = 5}, b6[16] = {0xfd, 2, [15] = 9};

/* Tunnel mode: any inner packet of family 'inner'; transport mode: between the hosts. Limit: no limit. */
static inline struct dp_sa_set mkset(int dir, int alg, int mode, int outer, int inner, bool udp, bool esn)
{
	struct dp_sa_set s = {.sa_id = 5, .spi = 0x1234c001, .gw_id = UINT32_MAX, .dir = (uint8_t)dir,
			      .alg = (uint8_t)alg, .mode = (uint8_t)mode, .esn = esn,
			      .seq_limit = UINT64_MAX};

	memcpy(s.local.ip, outer == 4 ? A4 : A6, 16);
	memcpy(s.remote.ip, outer == 4 ? B4 : B6, 16);
	s.local.family = s.remote.family = (uint8_t)outer;
	s.local.port = s.remote.port = udp ? 4500 : 0;
	if (mode == DP_ESP_TUNNEL)
		s.sel_local.family = s.sel_remote.family = (uint8_t)inner;
	rnd_fill(s.key, peer_alg(&s).key);
	rnd_fill(s.salt, peer_alg(&s).salt);
	rnd_fill(s.auth, peer_alg(&s).auth);
	return s;
}

static inline struct dp_sa *mksa(const struct dp_sa_set *set)
{
	struct dp_sa *sa = aligned_alloc(64, (sizeof(*sa) + 63) & ~(size_t)63);
	int rc = dp_sa_init(sa, mb, set);

	if (rc != 0) {
		printf("dp_sa_init: %d\n", rc);
		abort();
	}
	return sa;
}

/* A heap buffer of exactly head + len + tail bytes; returns it in p, to be freed as p's second field. */
struct heap_pkt {
	struct dp_esp_pkt p;
	uint8_t *base;
};

static inline struct heap_pkt heap(struct dp_sa *sa, const uint8_t *data, size_t len, size_t head, size_t tail)
{
	struct heap_pkt h = {.p = {.len = (uint16_t)len, .headroom = (uint16_t)head, .tailroom = (uint16_t)tail,
				   .sa = sa, .verdict = 0xee}};

	h.base = malloc(head + len + tail + (head + len + tail == 0));
	memset(h.base, 0xdb, head + len + tail);
	if (len > 0)
		memcpy(h.base + head, data, len);
	h.p.data = h.base + head;
	return h;
}

/* One packet through encap or decap; its bytes go to 'ret' when it passed. Returns the verdict. */
static inline int one(bool encap, struct dp_sa *sa, const uint8_t *in, size_t len, uint8_t *ret, size_t *ret_len)
{
	struct heap_pkt h = heap(sa, in, len, encap ? DP_ESP_HEADROOM : 0, encap ? DP_ESP_TAILROOM : 0);
	uint16_t n = encap ? dp_esp_encap_burst(mb, &h.p, 1) : dp_esp_decap_burst(mb, &h.p, 1);
	int verdict = h.p.verdict;

	CU_ASSERT_EQUAL(n, verdict == DP_OK);
	if (verdict == DP_OK && ret != NULL) {
		memcpy(ret, h.p.data, h.p.len);
		*ret_len = h.p.len;
	}
	free(h.base);
	return verdict;
}

static inline int decap(struct dp_sa *sa, const uint8_t *in, size_t len)
{
	uint8_t out[PEER_PKT_MAX];
	size_t n;

	return one(false, sa, in, len, out, &n);
}

/* An inner UDP packet from A's to B's side (out) or the other way; hosts themselves in transport mode. */
struct inner {
	int family, mode;
	bool out;
	uint16_t len; /* UDP payload */
	uint8_t tos, opts;
	uint16_t frag;
};

static inline size_t mkinner(const struct inner *d, uint8_t *ret)
{
	bool t = d->mode == DP_ESP_TUNNEL;
	const uint8_t *a = d->family == 4 ? (t ? a4 : A4) : (t ? a6 : A6);
	const uint8_t *b = d->family == 4 ? (t ? b4 : B4) : (t ? b6 : B6);
	struct peer_ip ip = {.family = (uint8_t)d->family, .src = d->out ? a : b, .dst = d->out ? b : a,
			     .tos = d->tos, .ttl = 61, .proto = 17, .frag = d->frag, .opts = d->opts};
	size_t h = peer_ip(&ip, 8u + d->len, ret);
	uint8_t *u = ret + h;
	uint16_t sum;

	u[0] = 0x0a; /* 2727 and 2427 */
	u[1] = 0xa7;
	u[2] = 0x09;
	u[3] = 0x7b;
	u[4] = (uint8_t)((8 + d->len) >> 8);
	u[5] = (uint8_t)(8 + d->len);
	u[6] = u[7] = 0;
	rnd_fill(u + 8, d->len);
	sum = peer_l4_sum(ret, 17, u, 8u + d->len);
	if (sum == 0)
		sum = 0xffff;
	u[6] = (uint8_t)(sum >> 8);
	u[7] = (uint8_t)sum;
	return h + 8 + d->len;
}

/* Where the protected part of transport mode begins in 'ip'. */
static inline size_t split_at(const uint8_t *ip)
{
	if (ip[0] >> 4 == 4)
		return (ip[0] & 15) * 4u;
	return ip[6] == 0 ? 48 : 40;
}

/* What the peer sends to carry 'in' on inbound SA 's': an outer packet. Fields of 'e' as in peer_seal(). */
static inline size_t peer_send(const struct dp_sa_set *s, struct peer_esp *e, const uint8_t *in, size_t len,
			       uint8_t *ret)
{
	uint8_t esp[PEER_PKT_MAX], udp[8] = {0x11, 0x94, 0x11, 0x94};
	size_t n, h, u = s->local.port > 0 ? 8 : 0;
	uint8_t proto = u > 0 ? 17 : 50;
	bool raw = e->next != 0; /* given: the payload is 'in' as it is */
	uint8_t next = e->next;

	if (s->mode == DP_ESP_TUNNEL || raw) {
		struct peer_ip ip = {.family = s->local.family, .src = s->remote.ip, .dst = s->local.ip,
				     .ttl = 60, .proto = proto};

		if (!raw)
			e->next = in[0] >> 4 == 4 ? 4 : 41;
		n = peer_seal(s, e, in, len, esp);
		h = peer_ip(&ip, u + n, ret);
	} else {
		size_t at = split_at(in), pt = at + u;

		e->next = in[in[0] >> 4 == 4 ? 9 : at == 48 ? 40 : 6];
		n = peer_seal(s, e, in + at, len - at, esp);
		memcpy(ret, in, at);
		if (in[0] >> 4 == 4) {
			uint16_t sum;

			ret[9] = proto;
			ret[2] = (uint8_t)((pt + n) >> 8);
			ret[3] = (uint8_t)(pt + n);
			ret[10] = ret[11] = 0;
			sum = peer_sum(ret, at, NULL, 0);
			ret[10] = (uint8_t)(sum >> 8);
			ret[11] = (uint8_t)sum;
		} else {
			ret[at == 48 ? 40 : 6] = proto;
			ret[4] = (uint8_t)((pt + n - 40) >> 8);
			ret[5] = (uint8_t)(pt + n - 40);
		}
		h = at;
	}
	e->next = next;
	if (u > 0) {
		udp[4] = (uint8_t)((8 + n) >> 8);
		udp[5] = (uint8_t)(8 + n);
		memcpy(ret + h, udp, 8);
	}
	memcpy(ret + h + u, esp, n);
	return h + u + n;
}

static inline int fix_setup(void)
{
	mb = dp_mb_create();
	return mb == NULL;
}

static inline int fix_teardown(void)
{
	dp_mb_destroy(mb);
	return 0;
}

#endif
