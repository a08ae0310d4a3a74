/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/ipout.c, and the way in of what its like sends: MGCP that is too long for its path in fragments inside and outside of
 * ESP and in clear; fragments of ESP and out of ESP put together, of one gateway only; path MTUs; dummies. RFC 4301 s7, s8,
 * RFC 4303 s2.6.
 */
#include "gw_fix.h"
#include "frag.h"
#include "ipsec/iphdr.h"
#include "ipsec/pmtu.h"

#define MTU 600

static int setup_frag(void)
{
	cfg.dataplane.fragments = CFG_FRAG_REASSEMBLE;
	if (setup() != 0)
		return 1;
	memset(gw_tx, 0, sizeof(*gw_tx));
	memset(gw_rx, 0, sizeof(*gw_rx));
	return 0;
}

/* The gateway's SAs anew. 'port': selectors name the MGCP ports. */
static void pair(uint8_t mode, uint8_t outer, bool udp, bool ports)
{
	static uint8_t fill = 0x70;
	struct dp_sa_set m[2];

	fill++;
	for (int in = 0; in < 2; in++) {
		for (int ours = 0; ours < 2; ours++) {
			struct dp_sa_set *s = &m[ours];

			*s = sa_msg(ours, in);
			s->mode = mode;
			memset(s->key, fill, 16);
			s->key[0] = (uint8_t)in; /* each direction has its own */
			s->seq_limit = UINT32_MAX;
			if (outer == 6) {
				ip_of("fd00::1", ours ? &s->local : &s->remote, 0);
				ip_of("fd00::7", ours ? &s->remote : &s->local, 0);
			}
			ip_of("10.0.0.1", ours ? &s->sel_local : &s->sel_remote, ports ? 2727 : 0);
			ip_of("10.0.0.7", ours ? &s->sel_remote : &s->sel_local, ports ? 2427 : 0);
			s->sel_local_plen = s->sel_remote_plen = 32;
			s->local.port = s->remote.port = udp ? 4500 : 0;
			s->shard = (uint8_t)(ours ? SHARD : s->spi % 64);
		}
		CU_ASSERT_EQUAL_FATAL(msg(&m[1], DP_MSG_SA_SET, sizeof(m[1])), 0);
		dp_sa_wipe(in ? gw_tx : gw_rx);
		CU_ASSERT_EQUAL_FATAL(dp_sa_init(in ? gw_tx : gw_rx, mb, &m[0]), 0);
	}
	rounds(3);
	drain_tx();
}

/* A command whose message has about 620 bytes. */
static int long_cmd(bool with_key)
{
	struct dp_mgcp_cmd m = {.handle = 78, .gw_id = GW, .verb = DP_MGCP_CRCX, .mode = DP_MGCP_M_SENDRECV, .call_id = "1a"};

	snprintf(m.endpoint, sizeof(m.endpoint), "aaln/S2/SU1/a-rather-long-name-of-an-endpoint/%u", ++endpoint);
	snprintf(m.events, sizeof(m.events), "%s",
		 "L/hd(N),L/hu(N),L/hf(N),D/[0-9#*T](N),L/hd(N),L/hu(N),L/hf(N),L/hd(N),L/hu(N),L/hf(N),L/hu(N)");
	snprintf(m.signals, sizeof(m.signals), "L/ci(10/14/17/26, \"5551212\", \"%s\")",
		 "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
	memset(m.request_id, 'a', sizeof(m.request_id) - 1);
	ip_of("10.0.0.1", &m.media.addr, BASE);
	m.media.pt = 8;
	m.media.ptime_ms = 20;
	if (with_key) {
		m.media.suite = DP_AEAD_AES_256_GCM;
		m.media.tag = 1;
		memset(m.media.key, 'k', 32);
		memset(m.media.salt, 's', 12);
	}
	return msg(&m, DP_MSG_MGCP_CMD, sizeof(m));
}

/* Pieces of one packet put together by their offsets. */
struct puzzle {
	uint8_t ip[3000];
	uint16_t len, got, pieces, end; /* end: 0: the last has not come */
	uint8_t proto;
};

/* Takes the piece at 'ip'; the packet's own header stands before its body. Also a whole packet is one. */
static void piece_in(struct puzzle *z, const uint8_t *ip, uint16_t len)
{
	bool v4 = ip[0] >> 4 == 4, frag6 = !v4 && ip[6] == IPH_FRAGMENT;
	uint16_t head = v4 ? 20 : 40, at = v4 ? (uint16_t)((be16(ip + 6) & 0x1fff) * 8) : frag6 ? be16(ip + 42) & 0xfff8 : 0;
	uint16_t skip = frag6 ? 48 : head, body = (uint16_t)(len - skip);
	bool more = v4 ? (be16(ip + 6) & 0x2000) != 0 : frag6 && (be16(ip + 42) & 1) != 0;

	CU_ASSERT_FATAL(len > skip && (v4 ? be16(ip + 2) : 40 + be16(ip + 4)) == len);
	CU_ASSERT(!more || body % 8 == 0);
	if (v4)
		CU_ASSERT_EQUAL(dp_sum_fold(dp_sum(ip, 20, 0)), 0);
	if (at == 0) {
		memcpy(z->ip, ip, head);
		z->proto = v4 ? ip[9] : frag6 ? ip[40] : ip[6];
	}
	memcpy(z->ip + head + at, ip + skip, body);
	z->got = (uint16_t)(z->got + body);
	z->pieces++;
	if (!more) {
		z->end = (uint16_t)(at + body);
		z->len = (uint16_t)(head + z->end);
	}
}

/* All of it is there: a header without fragmentation. */
static bool whole(struct puzzle *z)
{
	if (z->end == 0 || z->got != z->end)
		return false;
	if (z->ip[0] >> 4 == 4) {
		put_be16(z->ip + 2, z->len);
		put_be16(z->ip + 6, 0);
		dp_iphdr_v4_sum(z->ip, 20);
	} else {
		put_be16(z->ip + 4, (uint16_t)(z->len - 40));
		z->ip[6] = z->proto;
	}
	return true;
}

static bool crcx_in(const uint8_t *ip, uint16_t len)
{
	struct dp_frame f;

	return dp_parse_ip(ip, len, &f) == DP_OK && f.proto == DP_PROTO_UDP && f.payload_len > 500 &&
	       memcmp(ip + f.payload_off, "CRCX ", 5) == 0 &&
	       (be16(ip + f.l4_off + 6) == 0 /* none behind a NAT */ ||
		dp_sum_fold(dp_sum(ip + f.l4_off, f.l4_len, dp_sum_pseudo(4, f.src, f.dst, 17, f.l4_len))) == 0);
}

static bool open_at_gateway(uint8_t *ip, uint16_t len, struct dp_esp_pkt *e)
{
	*e = (struct dp_esp_pkt){.data = ip, .len = len, .sa = gw_rx};
	(void)dp_esp_decap_burst(mb, e, 1);
	return e->verdict == DP_OK || (e->fragment && e->verdict == DP_DROP_L3_FRAGMENT);
}

/* Everything that leaves is ESP of at most 'mtu' bytes; opened piece by piece it is the message. Returns how many pieces. */
static uint16_t inside(uint16_t mtu)
{
	struct puzzle z = {.len = 0};
	struct dp_esp_pkt e;
	struct out o;

	while (next_out(&o)) {
		CU_ASSERT(o.len <= mtu + 14 && !contains(&o, "CRCX") && !contains(&o, "eeeeee"));
		CU_ASSERT_TRUE_FATAL(open_at_gateway(o.data + 14, (uint16_t)(o.len - 14), &e));
		piece_in(&z, e.data, e.len);
	}
	CU_ASSERT_TRUE(whole(&z) && crcx_in(z.ip, z.len));
	return z.pieces;
}

/* The same where ESP itself was cut. */
static uint16_t outside(uint16_t mtu, uint8_t proto)
{
	struct puzzle z = {.len = 0};
	struct dp_esp_pkt e;
	struct out o;

	while (next_out(&o)) {
		CU_ASSERT(o.len <= mtu + 14 && !contains(&o, "CRCX") && !contains(&o, "eeeeee"));
		if (o.data[14] >> 4 == 4)
			CU_ASSERT_EQUAL(o.data[14 + 6] & 0x40, 0);
		piece_in(&z, o.data + 14, (uint16_t)(o.len - 14));
	}
	CU_ASSERT_TRUE_FATAL(whole(&z));
	CU_ASSERT_EQUAL(z.proto, proto);
	CU_ASSERT_TRUE(open_at_gateway(z.ip, z.len, &e) && crcx_in(e.data, e.len));
	return z.pieces;
}

static uint64_t counted(size_t off)
{
	uint64_t v, sum = 0;

	for (int i = 0; i < WORKERS; i++) {
		memcpy(&v, (const uint8_t *)&dp_page_workers(node.page)[i] + off, sizeof(v));
		sum += v;
	}
	return sum;
}
#define COUNTED(f) counted(offsetof(struct dp_page_worker, f))

/* Nothing is waited for, so nothing is repeated. */
static void forget(uint8_t flags)
{
	struct dp_obj g = {.id = GW, .kind = DP_OBJ_GW};

	(void)msg(&g, DP_MSG_GW_DEL, sizeof(g));
	rounds(2);
	CU_ASSERT_EQUAL(gateway(flags), 0);
	rounds(2);
	drain_tx();
}

static void say(bool with_key)
{
	forget(with_key ? 0 : DP_GW_F_CLEAR);
	CU_ASSERT_EQUAL(long_cmd(with_key), 0);
	rounds(2);
}

static void df_policy(uint8_t df, bool there)
{
	struct dp_spd_set m = {.dirs = 3, .action = DP_SPD_PROTECT, .proto = 17, .df = df, .dscp = 26, .local_lo = 2727, .local_hi = 2727,
			       .remote_hi = UINT16_MAX, .icmp_hi = UINT8_MAX};
	struct dp_spd_commit c = {.count = there};

	if (there)
		CU_ASSERT_EQUAL_FATAL(msg(&m, DP_MSG_SPD_SET, sizeof(m)), 0);
	CU_ASSERT_EQUAL_FATAL(msg(&c, DP_MSG_SPD_COMMIT, sizeof(c)), 0);
	rounds(1);
}

static void test_cut_out(void)
{
	uint64_t made;

	CU_ASSERT_EQUAL(gateway(0), 0);
	rounds(2);
	host_speaks(0, "10.0.0.7");
	pair(DP_ESP_TUNNEL, 4, false, false);
	say(true);
	CU_ASSERT_EQUAL(inside(1500), 1); /* it fits */
	node.ports[0].mtu = MTU;
	made = COUNTED(frag_made);
	say(true);
	CU_ASSERT_EQUAL(inside(MTU), 2); /* our packets have DF, which is copied: each piece in ESP of its own */
	CU_ASSERT_EQUAL(COUNTED(frag_made), made + 2);
	df_policy(DP_SPD_DF_SET, true);
	say(true);
	CU_ASSERT_EQUAL(inside(MTU), 2);
	df_policy(DP_SPD_DF_CLEAR, true); /* the outer packet may be fragmented: then by us */
	say(true);
	CU_ASSERT_EQUAL(outside(MTU, 50), 2);
	df_policy(0, false);
	pair(DP_ESP_TUNNEL, 4, true, false);
	say(true);
	CU_ASSERT_EQUAL(inside(MTU), 2);
	/* the far end could not tell whose a later piece is */
	pair(DP_ESP_TUNNEL, 4, false, true);
	say(true);
	CU_ASSERT_EQUAL(outside(MTU, 50), 2);
	pair(DP_ESP_TRANSPORT, 4, false, false);
	say(true);
	CU_ASSERT_EQUAL(outside(MTU, 50), 2);
	pair(DP_ESP_TRANSPORT, 4, true, false);
	say(true);
	CU_ASSERT_EQUAL(outside(MTU, 17), 2);
	/* over IPv6 */
	pair(DP_ESP_TUNNEL, 6, false, false);
	host_speaks(0, "fd00::7");
	say(true);
	CU_ASSERT_EQUAL(inside(MTU), 2);
	pair(DP_ESP_TUNNEL, 6, true, true);
	say(true);
	CU_ASSERT_EQUAL(outside(MTU, 17), 2);
	/* a path that is too short for anything: counted, nothing leaks */
	node.ports[0].mtu = 60;
	say(true);
	struct out o;

	CU_ASSERT_FALSE(next_out(&o));
	node.ports[0].mtu = 1500;
	assert_accounts();
}

/* --- in --- */

/* A packet of ours as the gateway sends it: a message of 'n' bytes, from or to other ports if that is wanted. */
static uint16_t gw_packet(uint8_t *ip, const char *text, uint16_t n, uint16_t sport)
{
	struct dp_sockaddr s, d;
	uint16_t len = (uint16_t)strlen(text);

	ip_of("10.0.0.7", &s, 0);
	ip_of("10.0.0.1", &d, 0);
	memcpy(ip + 28, text, len);
	for (; len < n; len++)
		ip[28 + len] = len + 2 < n ? 'x' : len + 2 == n ? '\r' : '\n';
	dp_build_udp(ip, 4, s.ip, sport, d.ip, 2727, n, 0, true);
	return (uint16_t)(28 + n);
}

/* Bytes [from, to) of its body as a fragment. */
static uint16_t fragment(uint8_t *to_ip, const uint8_t *ip, uint16_t len, uint16_t from, uint16_t to, uint16_t id)
{
	memcpy(to_ip, ip, 20);
	memcpy(to_ip + 20, ip + 20 + from, (size_t)(to - from));
	put_be16(to_ip + 2, (uint16_t)(20 + to - from));
	put_be16(to_ip + 4, id);
	put_be16(to_ip + 6, (uint16_t)(from / 8 | (to < len - 20 ? 0x2000 : 0)));
	dp_iphdr_v4_sum(to_ip, 20);
	return (uint16_t)(20 + to - from);
}

static bool burst; /* more will come before the workers look */

static void frame_in(const uint8_t *ip, uint16_t len)
{
	uint8_t f[2200];

	memcpy(f, node.ports[0].mac, 6);
	memcpy(f + 6, peer_mac, 6);
	dp_put16(f + 12, ip[0] >> 4 == 4 ? DP_ETYPE_IP4 : DP_ETYPE_IP6);
	memcpy(f + 14, ip, len);
	inject(0, 0, f, (uint16_t)(len + 14));
	rounds(burst ? 0 : 3);
}

static uint16_t seal_by(struct dp_sa *sa, uint8_t *ip, uint16_t len, uint8_t **ret)
{
	struct dp_esp_pkt e = {.data = ip, .len = len, .headroom = 100, .tailroom = 100, .sa = sa};

	CU_ASSERT_EQUAL_FATAL(dp_esp_encap_burst(mb, &e, 1), 1);
	*ret = e.data;
	return e.len;
}

static void sealed_in(struct dp_sa *sa, const uint8_t *ip, uint16_t len)
{
	uint8_t buf[2400], *out;
	uint16_t n;

	memcpy(buf + 100, ip, len);
	n = seal_by(sa, buf + 100, len, &out);
	frame_in(out, n);
}

#define NTFY "NTFY %u aaln/1@gw MGCP 1.0\r\nX: 1\r\nO: hd\r\nY: "

static unsigned int tid = 7000;

static uint16_t ntfy(uint8_t *ip, uint16_t sport)
{
	char text[80];

	snprintf(text, sizeof(text), NTFY, ++tid);
	return gw_packet(ip, text, 700, sport);
}

static void wait_out(void)
{
	for (int i = 0; i < 10; i++) {
		usleep(DP_FRAG_MS * 1000 / 8);
		rounds(1);
	}
}

static void test_inner_pieces_in(void)
{
	uint8_t ip[1000], f[1000];
	uint16_t len, events;
	uint64_t incomplete = drops(DP_DROP_FRAG_INCOMPLETE), selector = drops(DP_DROP_ESP_SELECTOR);

	pair(DP_ESP_TUNNEL, 4, false, false);
	events = (uint16_t)mgcp_event_cnt;
	for (int turn = 0; turn < 2; turn++) {
		len = ntfy(ip, 2427);
		for (int i = 0; i < 3; i++) {
			int k = turn == 0 ? i : 2 - i;
			static const uint16_t cuts[] = {0, 240, 480};
			uint16_t to = k == 2 ? len - 20 : cuts[k + 1];

			CU_ASSERT_EQUAL(mgcp_event_cnt, events + turn);
			sealed_in(gw_tx, f, fragment(f, ip, len, cuts[k], to, (uint16_t)(40 + turn)));
		}
		CU_ASSERT_EQUAL(mgcp_event_cnt, events + turn + 1u);
		assert_accounts();
	}
	/* a piece in clear is no part of what is protected, nor the other way round */
	len = ntfy(ip, 2427);
	sealed_in(gw_tx, f, fragment(f, ip, len, 0, 240, 50));
	frame_in(f, fragment(f, ip, len, 240, len - 20, 50));
	CU_ASSERT_EQUAL(mgcp_event_cnt, events + 2u);
	wait_out();
	CU_ASSERT_EQUAL(drops(DP_DROP_FRAG_INCOMPLETE), incomplete + 2);
	/* selectors with ports: the first piece alone would pass, a later one shows none; whole they are asked about */
	pair(DP_ESP_TUNNEL, 4, false, true);
	len = ntfy(ip, 2427);
	gw_tx->sel_ports = 0; /* the gateway sends pieces all the same */
	gw_tx->sel_src.port = gw_tx->sel_dst.port = 0;
	sealed_in(gw_tx, f, fragment(f, ip, len, 0, 240, 60));
	sealed_in(gw_tx, f, fragment(f, ip, len, 240, len - 20, 60));
	CU_ASSERT_EQUAL(mgcp_event_cnt, events + 3u);
	CU_ASSERT_EQUAL(drops(DP_DROP_ESP_SELECTOR), selector);
	len = ntfy(ip, 2428);
	sealed_in(gw_tx, f, fragment(f, ip, len, 0, 240, 61));
	sealed_in(gw_tx, f, fragment(f, ip, len, 240, len - 20, 61));
	CU_ASSERT_EQUAL(mgcp_event_cnt, events + 3u);
	CU_ASSERT_EQUAL(drops(DP_DROP_ESP_SELECTOR), selector + 1);
	assert_accounts();
	drain_tx();
}

/* One piece of it could be read on its way: so could the key. */
static void test_null_piece(void)
{
	static const uint8_t zero[sizeof(last_done.media)];

	for (int null = -1; null < 3; null++) { /* which of three pieces */
		unsigned int done;
		struct dp_esp_pkt e;
		struct dp_sa *sealed = aligned_alloc(64, (sizeof(struct dp_sa) + 63) & ~(size_t)63), *plain = gw_tx;
		uint8_t ip[1000], f[1000];
		char text[400];
		struct out o;
		uint16_t len, cuts[4] = {0, 64, 128};

		memset(sealed, 0, sizeof(*sealed));
		pair(DP_ESP_TUNNEL, 4, false, false);
		gw_tx = sealed;
		gw_other_sa(7, SPI_IN + 128, false, DP_ESP_TUNNEL);
		gw_tx = plain;
		gw_other_sa(6, SPI_IN + 64, true, DP_ESP_TUNNEL);
		say(true);
		done = done_cnt;
		CU_ASSERT_TRUE_FATAL(next_out(&o));
		CU_ASSERT_TRUE_FATAL(open_at_gateway(o.data + 14, (uint16_t)(o.len - 14), &e));
		snprintf(text, sizeof(text), KEYED_ANSWER, (unsigned int)atoi((const char *)e.data + 28 + 5));
		len = gw_packet(ip, text, (uint16_t)strlen(text), 2427);
		cuts[3] = (uint16_t)(len - 20);
		for (int i = 0; i < 3; i++)
			sealed_in(i == null ? plain : sealed, f, fragment(f, ip, len, cuts[i], cuts[i + 1], (uint16_t)(90 + null)));
		CU_ASSERT_EQUAL(done_cnt, done + 1);
		CU_ASSERT_EQUAL(last_done.result, null >= 0 ? DP_MGCP_BAD_ANSWER : DP_MGCP_ANSWERED);
		CU_ASSERT_EQUAL(memcmp(&last_done.media, zero, sizeof(zero)) == 0, null >= 0);
		sa_gone(6);
		sa_gone(7);
		dp_sa_wipe(sealed);
		free(sealed);
		assert_accounts();
	}
}

/* No buffer for the second piece: the first, which is not sealed yet, is wiped. */
static void test_cut_wiped(void)
{
	static struct rte_mbuf *all[4096];
	unsigned int n = 0;
	char name[64];
	uint64_t room = drops(DP_DROP_NO_ROOM);

	pair(DP_ESP_TUNNEL, 4, false, false);
	forget(0);
	node.ports[0].mtu = MTU;
	while (n < 4096 && (all[n] = rte_pktmbuf_alloc(node.pool)) != NULL)
		n++;
	CU_ASSERT_FATAL(n > 2 && n < 4096);
	rte_pktmbuf_free(all[--n]);
	rte_pktmbuf_free(all[--n]);
	CU_ASSERT_EQUAL(long_cmd(true), 0);
	snprintf(name, sizeof(name), "a-rather-long-name-of-an-endpoint/%u@", endpoint);
	rounds(1);
	CU_ASSERT_EQUAL(drops(DP_DROP_NO_ROOM), room + 1);
	CU_ASSERT_EQUAL(buffers_with(name), 0);
	while (n > 0)
		rte_pktmbuf_free(all[--n]);
	forget(0);
	node.ports[0].mtu = 1500;
	drain_tx();
	assert_accounts();
}

/* Two gateways that are one behind the selectors: a piece of each makes no packet. */
static void test_two_gateways(void)
{
	struct dp_sa_set in = sa_msg(true, true), theirs;
	struct dp_gw_set g = {.gw_id = GW + 1, .shard = SHARD, .domain = "gw2"};
	struct dp_obj dsa = {.id = 5, .kind = DP_OBJ_SA}, dgw = {.id = GW + 1, .kind = DP_OBJ_GW};
	struct dp_sa *other = aligned_alloc(64, (sizeof(struct dp_sa) + 63) & ~(size_t)63);
	uint64_t policy = drops(DP_DROP_POLICY);
	unsigned int events = mgcp_event_cnt;
	uint8_t ip[1000], f[1000];
	uint16_t len;

	pair(DP_ESP_TUNNEL, 4, false, false);
	ip_of("10.0.0.8", &g.remote, 2427);
	ip_of("10.0.0.1", &g.local, 2727);
	CU_ASSERT_EQUAL_FATAL(msg(&g, DP_MSG_GW_SET, sizeof(g)), 0);
	in.sa_id = 5;
	in.spi += 64;
	in.gw_id = GW + 1;
	in.mode = DP_ESP_TUNNEL;
	memset(in.key, 0x19, 16);
	in.sel_local.family = in.sel_remote.family = 4; /* anybody */
	CU_ASSERT_EQUAL_FATAL(msg(&in, DP_MSG_SA_SET, sizeof(in)), 0);
	theirs = in;
	theirs.dir = DP_DIR_SEND;
	theirs.local = in.remote;
	theirs.remote = in.local;
	theirs.seq_limit = 1000;
	CU_ASSERT_EQUAL_FATAL(dp_sa_init(other, mb, &theirs), 0);
	rounds(2);
	len = ntfy(ip, 2427);
	sealed_in(gw_tx, f, fragment(f, ip, len, 0, 240, 70));
	sealed_in(other, f, fragment(f, ip, len, 240, len - 20, 70));
	CU_ASSERT_EQUAL(drops(DP_DROP_POLICY), policy + 1);
	CU_ASSERT_EQUAL(mgcp_event_cnt, events);
	CU_ASSERT_EQUAL(msg(&dsa, DP_MSG_SA_DEL, sizeof(dsa)), 0);
	CU_ASSERT_EQUAL(msg(&dgw, DP_MSG_GW_DEL, sizeof(dgw)), 0);
	rounds(3);
	dp_sa_wipe(other);
	free(other);
	assert_accounts();
}

/* Fragments of what carries ESP: protocol 50, and in UDP. */
static void test_outer_pieces_in(void)
{
	for (int udp = 0; udp < 2; udp++) {
		unsigned int events = mgcp_event_cnt;
		uint8_t buf[1300], f[1300], *out;
		uint16_t n;

		pair(DP_ESP_TUNNEL, 4, udp, false);
		n = ntfy(buf + 100, 2427);
		n = seal_by(gw_tx, buf + 100, n, &out);
		frame_in(f, fragment(f, out, n, 400, n - 20, (uint16_t)(80 + udp)));
		CU_ASSERT_EQUAL(mgcp_event_cnt, events);
		frame_in(f, fragment(f, out, n, 0, 400, (uint16_t)(80 + udp)));
		CU_ASSERT_EQUAL(mgcp_event_cnt, events + 1);
		assert_accounts();
		drain_tx();
	}
}

/* --- path MTU --- */

/* "Fragmentation needed" from a router about the frame 'o' that left. 'more': bytes quoted behind its IP header. */
static void router_says(const struct out *o, uint16_t mtu, uint16_t more, bool good_sum)
{
	uint8_t ip[200] = {0x45};
	struct dp_sockaddr s, d;
	uint16_t icmp = (uint16_t)(8 + 20 + more);

	ip_of("10.0.0.9", &s, 0);
	ip_of("10.0.0.1", &d, 0);
	put_be16(ip + 2, (uint16_t)(20 + icmp));
	ip[8] = 60;
	ip[9] = 1;
	memcpy(ip + 12, s.ip, 4);
	memcpy(ip + 16, d.ip, 4);
	dp_iphdr_v4_sum(ip, 20);
	ip[20] = 3;
	ip[21] = 4;
	put_be16(ip + 26, mtu);
	memcpy(ip + 28, o->data + 14, 20u + more);
	put_be16(ip + 22, (uint16_t)(dp_sum_fold(dp_sum(ip + 20, icmp, 0)) + !good_sum));
	frame_in(ip, (uint16_t)(20 + icmp));
}

static void later(uint32_t s)
{
	node.start_cyc -= s * node.hz;
	rounds(2);
	for (int i = 0; i < 4; i++) {
		usleep(1500);
		rounds(1);
	}
}

static void test_path(void)
{
	for (int udp = 0; udp < 2; udp++) {
		uint64_t learnt = COUNTED(pmtu_learnt), refused = COUNTED(pmtu_refused);
		const struct dp_page_sa *pg = &dp_page_sas(node.page)[2];
		struct dp_esp_pkt e;
		struct out o, copy;

		pair(DP_ESP_TUNNEL, 4, udp, false);
		say(true);
		CU_ASSERT_TRUE_FATAL(next_out(&o));
		copy = o;
		CU_ASSERT_TRUE(open_at_gateway(copy.data + 14, (uint16_t)(copy.len - 14), &e));
		/* forged: a checksum, a number, too little of the packet */
		router_says(&o, 580, 40, false);
		copy = o;
		copy.data[14 + 20 + (udp ? 8 : 0) + 7] += 9;
		router_says(&copy, 580, 40, true);
		CU_ASSERT_EQUAL(COUNTED(pmtu_refused), refused + 2);
		if (udp)
			router_says(&o, 580, 8, true);
		say(true);
		CU_ASSERT_EQUAL(inside(1500), 1);
		/* it comes in at the first worker's, and the SA is the second's */
		router_says(&o, 580, udp ? 16 : 8, true);
		CU_ASSERT_EQUAL(COUNTED(pmtu_learnt), learnt + 1);
		say(true);
		CU_ASSERT_EQUAL(inside(580), 2);
		later(2);
		dp_objs_tick(objs);
		CU_ASSERT_EQUAL(pg->expired >> 16, 580);
		/* ten minutes later it is as long as it was */
		later(DP_SA_PMTU_S + 1);
		host_speaks(0, "10.0.0.7");
		drain_tx();
		say(true);
		CU_ASSERT_EQUAL(inside(1500), 1);
		assert_accounts();
	}
}

/* A flood of them costs no more than its budget, and what is about nobody's SA costs none. */
static void test_path_flood(void)
{
	uint64_t policed = drops(DP_DROP_POLICED), learnt = COUNTED(pmtu_learnt);
	struct out o, forged;

	pair(DP_ESP_TUNNEL, 4, false, false);
	say(true);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	forged = o;
	burst = true;
	for (uint32_t i = 0; i < 60; i++) {
		put_be32(forged.data + 14 + 20, 0x77777777 + i); /* about nobody's SA */
		router_says(&forged, 1000, 8, true);
	}
	router_says(&o, 580, 8, true); /* the second worker's */
	burst = false;
	rounds(3);
	CU_ASSERT_EQUAL(COUNTED(pmtu_learnt), learnt + 1);
	CU_ASSERT_EQUAL(drops(DP_DROP_POLICED), policed);
	/* about somebody's, with an address that it does not have */
	forged = o;
	forged.data[14 + 19]++;
	burst = true;
	for (int i = 0; i < 60; i++)
		router_says(&forged, 1000, 8, true);
	burst = false;
	rounds(1);
	CU_ASSERT(drops(DP_DROP_POLICED) >= policed + 60 - DP_PMTU_PER_MS);
	rounds(3);
	drain_tx();
	assert_accounts();
}

/* --- dummies --- */

static void test_dummies(void)
{
	unsigned int seen = 0, other = 0;
	uint64_t made, got;
	uint8_t buf[1300], *out;
	uint16_t n;
	struct dp_esp_pkt e;
	struct out o;

	pair(DP_ESP_TUNNEL, 4, false, false);
	forget(0);
	cfg.ipsec.dummy_pps = 50;
	made = COUNTED(esp_dummy);
	for (int i = 0; i < 100; i++) {
		usleep(5000);
		rounds(1);
		while (next_out(&o)) {
			CU_ASSERT_FALSE(open_at_gateway(o.data + 14, (uint16_t)(o.len - 14), &e));
			seen += e.verdict == DP_DROP_ESP_DUMMY;
			other += e.verdict != DP_DROP_ESP_DUMMY;
		}
	}
	CU_ASSERT(seen > 0 && other == 0); /* half a second: about 25 */
	CU_ASSERT_EQUAL(COUNTED(esp_dummy), made + seen);
	/* no numbers to spare: none */
	node.worker[SHARD]->dummy_due = 0;
	cfg.ipsec.dummy_pps = 0;
	rounds(2);
	drain_tx();
	/* and the gateway's: counted apart, nothing else comes of them */
	got = drops(DP_DROP_ESP_DUMMY);
	n = ntfy(buf + 100, 2427) > 300 ? 200 : 0;
	put_be16(buf + 102, n);
	dp_iphdr_v4_sum(buf + 100, 20);
	e = (struct dp_esp_pkt){.data = buf + 100, .len = n, .headroom = 100, .tailroom = 100, .sa = gw_tx, .dummy = 1};
	CU_ASSERT_EQUAL_FATAL(dp_esp_encap_burst(mb, &e, 1), 1);
	out = e.data;
	frame_in(out, e.len);
	CU_ASSERT_EQUAL(drops(DP_DROP_ESP_DUMMY), got + 1);
	assert_accounts();
}

static void test_clear(void)
{
	struct dp_obj in = {.id = 1, .kind = DP_OBJ_SA}, out = {.id = 2, .kind = DP_OBJ_SA}, g = {.id = GW, .kind = DP_OBJ_GW};
	struct puzzle z = {.len = 0};
	struct out o;

	CU_ASSERT_EQUAL(msg(&in, DP_MSG_SA_DEL, sizeof(in)), 0);
	CU_ASSERT_EQUAL(msg(&out, DP_MSG_SA_DEL, sizeof(out)), 0);
	CU_ASSERT_EQUAL(msg(&g, DP_MSG_GW_DEL, sizeof(g)), 0);
	rounds(3);
	CU_ASSERT_EQUAL(gateway(DP_GW_F_CLEAR), 0);
	rounds(2);
	drain_tx();
	node.ports[0].mtu = 300;
	say(false);
	while (next_out(&o)) {
		CU_ASSERT(o.len <= 314);
		piece_in(&z, o.data + 14, (uint16_t)(o.len - 14));
	}
	CU_ASSERT(whole(&z) && z.pieces >= 2);
	CU_ASSERT_PTR_NOT_NULL(memmem(z.ip, z.len, "CRCX ", 5));
	node.ports[0].mtu = 1500;
	assert_accounts();
}

static void test_stop(void)
{
	struct dp_worker *w = node.worker[SHARD];
	uint8_t ip[1000], f[1000];
	uint16_t len;

	/* pieces that wait for others at the end */
	CU_ASSERT_EQUAL(gateway(0), 0);
	pair(DP_ESP_TUNNEL, 4, false, false);
	for (uint16_t i = 0; i < 40; i++) {
		len = gw_packet(ip, "k3y-in-pieces", 700, 2427);
		sealed_in(gw_tx, f, fragment(f, ip, len, 0, 240, (uint16_t)(100 + i)));
	}
	CU_ASSERT(buffers_with("k3y-in-pieces") >= 8);
	dp_frag_destroy(w->frag_inner);
	w->frag_inner = NULL;
	CU_ASSERT_EQUAL(buffers_with("k3y-in-pieces"), 0);
	dp_sa_wipe(gw_tx);
	dp_sa_wipe(gw_rx);
	CU_ASSERT_EQUAL(harness_down(), 0);
}

static CU_TestInfo tests[] = {
	{"too long: inside, outside", test_cut_out},
	{"pieces out of a tunnel", test_inner_pieces_in},
	{"a piece without encryption", test_null_piece},
	{"pieces that lack a buffer are wiped", test_cut_wiped},
	{"pieces of two gateways", test_two_gateways},
	{"pieces of ESP", test_outer_pieces_in},
	{"what a router says about the path", test_path},
	{"many routers", test_path_flood},
	{"dummies", test_dummies},
	{"too long, in clear", test_clear},
	{"all buffers come back", test_stop},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("ipout", tests, setup_frag, teardown)
