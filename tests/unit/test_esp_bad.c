/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/ipsec/esp.c refuses what it must, and changes nothing then: forgeries at every bit, truncation at
 * every length on buffers of exactly that size, replays, edges of the window and of 2^32, sequence limits,
 * selectors, lying lengths and padding.
 */
#include "esp_fix.h"

struct sa_state {
	struct dp_replay win;
	uint64_t seq, pkts, bytes, dead; /* no padding: compared as a whole */
};

static struct sa_state state(const struct dp_sa *sa)
{
	struct sa_state st;

	memset(&st, 0, sizeof(st));
	st.win = sa->win;
	st.seq = sa->seq;
	st.pkts = sa->pkts;
	st.bytes = sa->bytes;
	st.dead = sa->dead;
	return st;
}

static bool unchanged(const struct dp_sa *sa, const struct sa_state *was)
{
	struct sa_state now = state(sa);

	return memcmp(&now, was, sizeof(now)) == 0;
}

/* Writes the packet's own total length. */
static void set_total(uint8_t *ip, size_t n)
{
	if (ip[0] >> 4 == 4) {
		uint16_t sum;

		ip[2] = (uint8_t)(n >> 8);
		ip[3] = (uint8_t)n;
		ip[10] = ip[11] = 0;
		sum = peer_sum(ip, (ip[0] & 15) * 4u, NULL, 0);
		ip[10] = (uint8_t)(sum >> 8);
		ip[11] = (uint8_t)sum;
	} else {
		ip[4] = (uint8_t)((n - 40) >> 8);
		ip[5] = (uint8_t)(n - 40);
	}
}

/* All combinations of the two commonest algorithms, mode, family, UDP, ESN; then every other algorithm in some of them. */
#define COMBOS (32 + 4 * (DP_ESP_ALG_MAX - 3))
static struct dp_sa_set combo(int i, int dir)
{
	int fam = i & 4 ? 4 : 6, alg = i < 32 ? (i & 1 ? 1 : 2) : 3 + (i - 32) / 4;

	if (i >= 32)
		return mkset(dir, alg, i & 1 ? DP_ESP_TUNNEL : DP_ESP_TRANSPORT, fam, fam, (alg + i) & 4, i & 2);
	return mkset(dir, alg, i & 2 ? DP_ESP_TUNNEL : DP_ESP_TRANSPORT, fam, fam, i & 8, i & 16);
}

static size_t good_packet(const struct dp_sa_set *s, uint64_t seq, uint16_t payload, uint8_t *pkt)
{
	struct inner d = {.family = s->local.family, .mode = s->mode, .len = payload};
	struct peer_esp e = {.seq = seq};
	uint8_t in[PEER_PKT_MAX];
	size_t len = mkinner(&d, in);

	rnd_fill(e.iv, 16);
	return peer_send(s, &e, in, len, pkt);
}

static size_t esp_at(const struct dp_sa_set *s, const uint8_t *pkt)
{
	return split_at(pkt) + (s->local.port > 0 ? 8 : 0);
}

static void test_every_bit(void)
{
	for (int i = 0; i < COMBOS; i++) {
		struct dp_sa_set s = combo(i, DP_DIR_RECV);
		struct dp_sa *sa = mksa(&s);
		uint8_t pkt[400], bad[400], ref[400], out[400];
		size_t n, at, ref_len = 0, len = 0;
		struct sa_state was;

		/* Not the first packet: the window has something to lose. */
		n = good_packet(&s, 1, 5, pkt);
		CU_ASSERT_EQUAL(decap(sa, pkt, n), DP_OK);
		n = good_packet(&s, 2, 40, pkt);
		at = esp_at(&s, pkt);
		was = state(sa);
		{ /* what it would give */
			struct dp_sa *twin = mksa(&s);

			CU_ASSERT_EQUAL(one(false, twin, pkt, n, ref, &ref_len), DP_OK);
			free(twin);
		}
		for (size_t bit = 0; bit < 8 * n; bit++) {
			int v;

			memcpy(bad, pkt, n);
			bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
			v = one(false, sa, bad, n, out, &len);
			if (bit / 8 >= at) {
				CU_ASSERT_NOT_EQUAL(v, DP_OK);
				CU_ASSERT_EQUAL(v, bit / 8 < at + 4 ? DP_DROP_ESP_NO_SA
						   : bit / 8 >= at + 8 ? DP_DROP_ESP_AUTH : v);
				CU_ASSERT_TRUE(unchanged(sa, &was));
			} else if (v == DP_OK) {
				/* Bits that nobody vouches for: they may pass, but carry nothing in. */
				size_t h = s.mode == DP_ESP_TRANSPORT ? split_at(ref) : 0;

				CU_ASSERT(len == ref_len && memcmp(out + h, ref + h, ref_len - h) == 0);
				/* In transport mode an IPv4 header is under its own checksum. */
				CU_ASSERT(h != 20 || bit / 8 >= 20);
				sa->win = was.win;
				sa->pkts = was.pkts;
				sa->bytes = was.bytes;
			} else {
				/* A refusal of the rebuilt packet comes after authentication. */
				sa->win = was.win;
				sa->pkts = was.pkts;
				sa->bytes = was.bytes;
			}
		}
		CU_ASSERT(sa->auth_fail > 0);
		CU_ASSERT_EQUAL(decap(sa, pkt, n), DP_OK);
		free(sa);
	}
}

static void test_truncated(void)
{
	for (int i = 0; i < COMBOS; i++) {
		struct dp_sa_set s = combo(i, DP_DIR_RECV);
		struct dp_sa *sa = mksa(&s);
		struct sa_state was = state(sa);
		uint8_t pkt[400], cut[400];
		size_t n = good_packet(&s, 1, 60, pkt);

		for (size_t k = 0; k < n; k++) {
			uint32_t spi = 0;
			enum dp_esp_kind kind;
			uint8_t *exact = malloc(k + (k == 0));

			/* As it is, then with a length field that fits, then with UDP's too. */
			CU_ASSERT_EQUAL(decap(sa, pkt, k), DP_DROP_L3_MALFORMED);
			memcpy(cut, pkt, k);
			if (k >= split_at(pkt)) {
				size_t h = split_at(pkt);

				size_t over = peer_over(&s), align = peer_alg(&s).align;
				int v;

				set_total(cut, k);
				v = decap(sa, cut, k);
				CU_ASSERT_NOT_EQUAL(v, DP_OK);
				if (s.local.port == 0)
					v -= k < h + over + align || (k - h - over) % align != 0
						     ? DP_DROP_ESP_MALFORMED
						     : DP_DROP_ESP_AUTH;
				CU_ASSERT(v == 0 || s.local.port > 0);
				if (s.local.port > 0 && k >= h + 6) {
					CU_ASSERT_EQUAL(decap(sa, cut, k), DP_DROP_L4_MALFORMED);
					cut[h + 4] = (uint8_t)((k - h) >> 8);
					cut[h + 5] = (uint8_t)(k - h);
					CU_ASSERT_NOT_EQUAL(decap(sa, cut, k), DP_OK);
				}
			}
			memcpy(exact, cut, k);
			dp_esp_peek(exact, (uint16_t)k, 4500, &kind, &spi);
			free(exact);
			CU_ASSERT_TRUE(unchanged(sa, &was));
		}
		CU_ASSERT_EQUAL(decap(sa, pkt, n), DP_OK);
		free(sa);
	}
}

/* The peer is authentic and sends half a packet inside. */
static void test_truncated_inside(void)
{
	for (int i = 0; i < COMBOS; i++) {
		struct dp_sa_set s = combo(i, DP_DIR_RECV);
		struct inner d = {.family = s.local.family, .mode = DP_ESP_TUNNEL, .len = 30, .opts = 4};
		uint8_t in[200], pkt[400];
		struct dp_sa *sa;
		size_t len;

		if (s.local.family == 6)
			d.opts = 3;
		s.mode = DP_ESP_TUNNEL;
		s.sel_local.family = s.sel_remote.family = s.local.family;
		sa = mksa(&s);
		len = mkinner(&d, in);
		for (size_t k = 0; k < len; k++) {
			struct peer_esp e = {.seq = k + 1, .next = s.local.family == 4 ? 4 : 41};

			CU_ASSERT_EQUAL(decap(sa, pkt, peer_send(&s, &e, in, k, pkt)), DP_DROP_L3_MALFORMED);
		}
		free(sa);
		s = combo(i, DP_DIR_RECV);
		if (s.mode == DP_ESP_TUNNEL)
			continue;
		/* Transport mode in UDP: the inner UDP header is read too. */
		sa = mksa(&s);
		for (size_t k = 0; k < 20; k++) {
			struct peer_esp e = {.seq = k + 1, .next = 17};
			int v = decap(sa, pkt, peer_send(&s, &e, in, k, pkt));

			CU_ASSERT_EQUAL(v, s.local.port > 0 ? DP_DROP_L4_MALFORMED : DP_OK);
		}
		free(sa);
	}
}

static void test_encap_lengths(void)
{
	for (int i = 0; i < COMBOS; i++) {
		struct dp_sa_set s = combo(i, DP_DIR_SEND);
		struct dp_sa *sa = mksa(&s);
		struct inner d = {.family = s.local.family, .mode = s.mode, .out = true, .len = 40,
				  .opts = (uint8_t)(s.local.family == 4 ? 8 : 3)};
		uint8_t in[200], out[400];
		size_t len = mkinner(&d, in), n = 0, head, tail;
		struct sa_state was = state(sa);
		struct heap_pkt h;

		for (size_t k = 0; k < len; k++) {
			CU_ASSERT_EQUAL(one(true, sa, in, k, NULL, NULL), DP_DROP_L3_MALFORMED);
			CU_ASSERT_TRUE(unchanged(sa, &was));
		}
		CU_ASSERT_EQUAL(one(true, sa, in, len, out, &n), DP_OK);
		/* Exactly the room needed; one byte less on either side takes no number. */
		head = (s.mode == DP_ESP_TUNNEL ? (s.local.family == 4 ? 20u : 40u) : 0) +
		       (s.local.port > 0 ? 8 : 0) + 8 + peer_alg(&s).iv;
		tail = n - len - head;
		was = state(sa);
		for (int less = 0; less < 2; less++) {
			h = heap(sa, in, len, head - (size_t)less, tail - 1 + (size_t)less);
			CU_ASSERT_EQUAL(dp_esp_encap_burst(mb, &h.p, 1), 0);
			CU_ASSERT_EQUAL(h.p.verdict, DP_DROP_NO_ROOM);
			free(h.base);
			CU_ASSERT_TRUE(unchanged(sa, &was));
		}
		h = heap(sa, in, len, head, tail);
		CU_ASSERT_EQUAL(dp_esp_encap_burst(mb, &h.p, 1), 1);
		CU_ASSERT(h.p.headroom == 0 && h.p.tailroom == 0 && h.p.len == n);
		CU_ASSERT_EQUAL(sa->seq, 2);
		free(h.base);
		/* Bytes behind the packet (Ethernet padding) do not go out. */
		memset(in + len, 0x77, 20);
		CU_ASSERT_EQUAL(one(true, sa, in, len + 20, out, &n), DP_OK);
		CU_ASSERT_EQUAL(n, head + len + tail);
		free(sa);
	}
}

static void test_too_long(void)
{
	struct dp_sa_set s = mkset(DP_DIR_SEND, 1, DP_ESP_TUNNEL, 4, 4, false, false);
	struct dp_sa *sa = mksa(&s);
	static uint8_t in[65535];
	struct peer_ip ip = {.family = 4, .src = a4, .dst = b4, .ttl = 1, .proto = 17};
	struct heap_pkt h;

	for (size_t n = 65400; n <= 65535; n++) {
		uint16_t want = (uint16_t)(((n + 2 + 3) & ~(size_t)3) + 20 + 16 + 16 <= 65535);

		peer_ip(&ip, n - 20, in);
		h = heap(sa, in, n, DP_ESP_HEADROOM, DP_ESP_TAILROOM);
		CU_ASSERT_EQUAL(dp_esp_encap_burst(mb, &h.p, 1), want);
		CU_ASSERT_EQUAL(h.p.verdict, want ? DP_OK : DP_DROP_NO_ROOM);
		free(h.base);
	}
	free(sa);
}

/* --- replay --- */

static void test_replay_and_twins(void)
{
	for (int i = 0; i < COMBOS; i++) {
		struct dp_sa_set s = combo(i, DP_DIR_RECV);
		struct dp_sa *sa = mksa(&s);
		struct dp_esp_pkt p[8];
		struct heap_pkt h[8];
		uint8_t pkt[400];
		size_t n = good_packet(&s, 7, 20, pkt);
		unsigned int ok = 0;

		for (int k = 0; k < 8; k++) {
			h[k] = heap(sa, pkt, n, 0, 0);
			p[k] = h[k].p;
		}
		CU_ASSERT_EQUAL(dp_esp_decap_burst(mb, p, 8), 1);
		for (int k = 0; k < 8; k++) {
			ok += p[k].verdict == DP_OK;
			CU_ASSERT(p[k].verdict == DP_OK || p[k].verdict == DP_DROP_ESP_REPLAY);
			free(h[k].base);
		}
		CU_ASSERT_EQUAL(ok, 1);
		CU_ASSERT_EQUAL(p[0].verdict, DP_OK);
		CU_ASSERT_EQUAL(sa->replayed, 7);
		CU_ASSERT_EQUAL(sa->pkts, 1);
		CU_ASSERT_EQUAL(decap(sa, pkt, n), DP_DROP_ESP_REPLAY);
		free(sa);
	}
}

/* From another port, or with 'host' from another address; 'forged': nothing of it is authentic. Events since. */
static uint32_t from_elsewhere(struct dp_sa *sa, const struct dp_sa_set *s, uint64_t seq, uint16_t port, bool host, bool forged)
{
	uint8_t pkt[400], *udp;
	size_t n = good_packet(s, seq, 3, pkt);

	udp = pkt + (pkt[0] >> 4 == 4 ? (pkt[0] & 15) * 4u : pkt[6] == 17 || pkt[6] == 50 ? 40 : 48);
	if (s->remote.port != 0) {
		udp[0] = (uint8_t)(port >> 8);
		udp[1] = (uint8_t)port;
	}
	if (host)
		pkt[pkt[0] >> 4 == 4 ? 15 : 23] ^= 0x55;
	set_total(pkt, n);
	pkt[n - 1] ^= forged;
	(void)decap(sa, pkt, n);
	return dp_sa_take_events(sa);
}

/* A NAT that gives the peer another address or port is told once a second, by the newest packet alone, and by none that is not authentic. */
static void test_moved(void)
{
	const uint32_t moved = DP_SA_EV(DP_SA_MOVED);

	for (int i = 0; i < COMBOS; i++) {
		struct dp_sa_set s = combo(i, DP_DIR_RECV);
		struct dp_sa *sa = mksa(&s);
		uint16_t port = s.remote.port;
		bool udp = port != 0;

		CU_ASSERT_EQUAL(from_elsewhere(sa, &s, 5, port, false, false), 0);
		CU_ASSERT_EQUAL(from_elsewhere(sa, &s, 6, 61234, false, true), 0);
		CU_ASSERT_EQUAL(from_elsewhere(sa, &s, 4, 61234, false, false), 0);
		CU_ASSERT_EQUAL(from_elsewhere(sa, &s, 7, 61234, false, false), udp ? moved : 0);
		CU_ASSERT(!udp || (sa->peer.from.port == 61234 && sa->peer.from.family == s.remote.family && memcmp(sa->peer.from.ip, s.remote.ip, 16) == 0));
		CU_ASSERT_EQUAL(from_elsewhere(sa, &s, 8, 61234, false, false), 0);
		(void)dp_sa_tick(sa, 1);
		CU_ASSERT_EQUAL(dp_sa_take_events(sa), 0);
		CU_ASSERT_EQUAL(from_elsewhere(sa, &s, 9, port, false, false), 0); /* back again */
		CU_ASSERT_EQUAL(from_elsewhere(sa, &s, 10, port, true, false), udp ? moved : 0);
		CU_ASSERT(!udp || (sa->peer.from.port == port && memcmp(sa->peer.from.ip, s.remote.ip, 16) != 0));
		/* Told of where it is now: nothing more to say. */
		if (udp) {
			struct dp_sa_set t = s;
			struct dp_sa *next;

			t.remote.port = 61234;
			next = mksa(&t);
			CU_ASSERT_TRUE(dp_sa_inherit(next, sa));
			CU_ASSERT_EQUAL(from_elsewhere(next, &s, 11, 61234, false, false), 0);
			CU_ASSERT_EQUAL(from_elsewhere(next, &s, 12, port, false, false), moved);
			free(next);
		}
		free(sa);
	}
}

static int send_seq(struct dp_sa *sa, const struct dp_sa_set *s, uint64_t seq)
{
	uint8_t pkt[300];

	return decap(sa, pkt, good_packet(s, seq, 3, pkt));
}

static void test_window_edges(void)
{
	static const uint32_t windows[] = {0, 64, 65, 100, 191, 192, 193, 447, 448, 449, 1024, 4095, 4096};

	for (size_t i = 0; i < 2 * sizeof(windows) / sizeof(*windows); i++) {
		struct dp_sa_set s = mkset(DP_DIR_RECV, 1, DP_ESP_TRANSPORT, 4, 4, false, i & 1);
		uint32_t w = windows[i / 2] == 0 ? 192 : windows[i / 2], top = w + 808;
		struct dp_sa *sa;

		s.replay_window = windows[i / 2];
		sa = mksa(&s);
		CU_ASSERT_EQUAL(send_seq(sa, &s, 0), DP_DROP_ESP_STALE);
		CU_ASSERT_EQUAL(send_seq(sa, &s, 1), DP_OK);
		CU_ASSERT_EQUAL(send_seq(sa, &s, top), DP_OK);
		CU_ASSERT_EQUAL(send_seq(sa, &s, top - w), s.esn ? DP_DROP_ESP_AUTH : DP_DROP_ESP_STALE);
		CU_ASSERT_EQUAL(send_seq(sa, &s, top - w + 1), DP_OK);
		CU_ASSERT_EQUAL(send_seq(sa, &s, top - w + 1), DP_DROP_ESP_REPLAY);
		CU_ASSERT_EQUAL(send_seq(sa, &s, top - 1), DP_OK);
		CU_ASSERT_EQUAL(send_seq(sa, &s, top), DP_DROP_ESP_REPLAY);
		CU_ASSERT_EQUAL(send_seq(sa, &s, top + 1), DP_OK);
		CU_ASSERT_EQUAL(send_seq(sa, &s, top - w + 1), s.esn ? DP_DROP_ESP_AUTH : DP_DROP_ESP_STALE);
		dp_sa_wipe(sa);
		free(sa);
		/* After a restart, the floor and all below it are old. */
		s.seq_floor = 5000;
		sa = mksa(&s);
		CU_ASSERT_EQUAL(send_seq(sa, &s, 5000), DP_DROP_ESP_REPLAY);
		CU_ASSERT_EQUAL(send_seq(sa, &s, 4999), DP_DROP_ESP_REPLAY);
		CU_ASSERT_EQUAL(send_seq(sa, &s, 5001), DP_OK);
		dp_sa_wipe(sa);
		free(sa);
	}
}

/* Within one burst a packet may push another out of the window, after both were checked. */
static void test_burst_moves_window(void)
{
	struct dp_sa_set s = mkset(DP_DIR_RECV, 1, DP_ESP_TRANSPORT, 4, 4, false, false);
	struct dp_sa *sa;
	struct dp_esp_pkt p[2];
	struct heap_pkt h[2];
	uint8_t pkt[300];

	s.replay_window = 64;
	sa = mksa(&s);
	for (int k = 0; k < 2; k++) {
		h[k] = heap(sa, pkt, good_packet(&s, k == 0 ? 100 : 36, 3, pkt), 0, 0);
		p[k] = h[k].p;
	}
	CU_ASSERT_EQUAL(dp_esp_decap_burst(mb, p, 2), 1);
	CU_ASSERT_EQUAL(p[0].verdict, DP_OK);
	CU_ASSERT_EQUAL(p[1].verdict, DP_DROP_ESP_STALE);
	free(h[0].base);
	free(h[1].base);
	free(sa);
}

/* A set of all accepted numbers, against random order, duplicates and jumps around 2^32. */
static void test_replay_model(void)
{
	for (int esn = 0; esn < 2; esn++)
		for (int k = 0; k < 6; k++) {
			static const uint16_t windows[] = {192, 64, 200, 1024, 4000, 4096};
			struct dp_sa_set s = mkset(DP_DIR_RECV, 1 + k % 3, DP_ESP_TRANSPORT, 4, 4, false, esn);
			uint64_t top, start = esn ? 0xffffff00u : 5000;
			uint32_t w = windows[k];
			static uint8_t seen[6000 * 1200];
			struct dp_sa *sa;

			s.replay_window = w;
			s.seq_floor = top = start;
			memset(seen, 0, sizeof(seen));
			sa = mksa(&s);
			for (int i = 0; i < 6000; i++) {
				uint64_t lo = top - (rnd(2) ? w + 58 : 20), seq = lo + rnd(rnd(40) ? w + 78 : 900);
				int want = DP_OK, got;

				if (seq + w <= top)
					want = DP_DROP_ESP_STALE;
				else if (seq <= start || seen[seq - start])
					want = DP_DROP_ESP_REPLAY;
				got = send_seq(sa, &s, seq);
				/* With ESN an old number is taken for one of the next 2^32, which does not verify. */
				CU_ASSERT(got == want || (esn && want == DP_DROP_ESP_STALE && got == DP_DROP_ESP_AUTH));
				if (got != DP_OK)
					continue;
				seen[seq - start] = 1;
				if (seq > top)
					top = seq;
			}
			CU_ASSERT(top - start > 1000);
			CU_ASSERT_EQUAL(dp_sa_seq(sa), top);
			dp_sa_wipe(sa);
			free(sa);
		}
}

/*
 * The cases that VPP tests (template_ipsec.py, verify_tra_anti_replay), for windows of every size, in units of the window where it
 * uses 64, with and without ESN, and for a cipher of each kind:
 *  1 numbers from the first on, while the window still reaches below number 1; each again is refused
 *  2 eight copies in one burst: one passes
 *  3 a number that moves the window past where it began; again it is refused
 *  4 one inside the window that was left out passes
 *  5 what does not authenticate does not move the window, however high its number
 *  6 nor does a runt
 *  7 seen from one that is still in the window and passes
 *  8 left of the window: refused as old; with ESN it reads as a number of the next 2^32 and does not verify
 *  9 the next number moves the window
 * 10 the sender goes over 2^32 - 1: with ESN it goes on and the peer can read it, without it sends no more, and each is counted
 * 11 with ESN the receiver follows over 2^32, and takes what is late from before it
 * 12 the window's lower edge at work inside one subspace: a number of the one after the next does not verify
 * 13 near the end of a subspace the next is in reach again
 */
static void vpp_cases(int alg, uint32_t w, bool esn)
{
	struct dp_sa_set s = mkset(DP_DIR_RECV, alg, DP_ESP_TRANSPORT, 4, 4, false, esn), forged, o = s;
	uint64_t k = 1ull << 32, top = 4 * (uint64_t)w + 1, replayed, failed = 0;
	struct inner d = {.family = 4, .mode = DP_ESP_TRANSPORT, .out = true, .len = 9};
	uint8_t pkt[300], in[100], pay[300];
	struct dp_esp_pkt p[8];
	struct heap_pkt h[8];
	struct dp_sa *sa, *out;
	size_t n = 0, len;
	int old = esn ? DP_DROP_ESP_AUTH : DP_DROP_ESP_STALE;

	s.replay_window = w;
	sa = mksa(&s);
	for (uint64_t i = 1; i < w / 2 + 2; i++) /* 1 */
		CU_ASSERT_EQUAL(send_seq(sa, &s, i), DP_OK);
	for (uint64_t i = 1; i < w / 2 + 2; i++)
		CU_ASSERT_EQUAL(send_seq(sa, &s, i), DP_DROP_ESP_REPLAY);
	replayed = w / 2 + 1;
	CU_ASSERT_EQUAL(sa->replayed, replayed);
	n = good_packet(&s, w / 2 + 3, 20, pkt); /* 2 */
	for (int i = 0; i < 8; i++) {
		h[i] = heap(sa, pkt, n, 0, 0);
		p[i] = h[i].p;
	}
	CU_ASSERT_EQUAL(dp_esp_decap_burst(mb, p, 8), 1);
	for (int i = 0; i < 8; i++)
		free(h[i].base);
	CU_ASSERT_EQUAL(sa->replayed, replayed += 7);
	CU_ASSERT_EQUAL(send_seq(sa, &s, top), DP_OK); /* 3 */
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(send_seq(sa, &s, top), DP_DROP_ESP_REPLAY);
	CU_ASSERT_EQUAL(sa->replayed, replayed += 3);
	CU_ASSERT_EQUAL(send_seq(sa, &s, top - w + 7), DP_OK); /* 4 */
	forged = s;
	rnd_fill(forged.key, peer_alg(&s).key);
	rnd_fill(forged.auth, peer_alg(&s).auth);
	for (int i = 0; i < 17; i++) { /* 5 */
		CU_ASSERT_EQUAL(send_seq(sa, &forged, top + 2 * (uint64_t)w), DP_DROP_ESP_AUTH);
		n = good_packet(&s, top + 2 * (uint64_t)w, 0, pkt); /* 6 */
		n = esp_at(&s, pkt) + 8 + 2;
		set_total(pkt, n);
		CU_ASSERT_EQUAL(decap(sa, pkt, n), DP_DROP_ESP_MALFORMED);
	}
	CU_ASSERT_EQUAL(sa->auth_fail, failed += 17);
	CU_ASSERT_EQUAL(dp_sa_seq(sa), top);
	CU_ASSERT_EQUAL(send_seq(sa, &s, top - w + 9), DP_OK); /* 7 */
	CU_ASSERT_EQUAL(send_seq(sa, &s, top - w + 1), DP_OK);
	for (int i = 0; i < 17; i++) { /* 8 */
		CU_ASSERT_EQUAL(send_seq(sa, &s, 17), old);
		CU_ASSERT_EQUAL(send_seq(sa, &s, top - w), old);
	}
	CU_ASSERT_EQUAL(esn ? sa->auth_fail : sa->replayed, (esn ? failed : replayed) + 34);
	failed = sa->auth_fail;
	CU_ASSERT_EQUAL(send_seq(sa, &s, top + 1), DP_OK); /* 9 */

	o.dir = DP_DIR_SEND; /* 10 */
	o.seq_floor = k - 2;
	out = mksa(&o);
	len = mkinner(&d, in);
	for (uint64_t i = k - 1; i < k + 21; i++) {
		struct peer_esp e = {.seq = i};
		int v = one(true, out, in, len, pkt, &n);

		CU_ASSERT_EQUAL(v, esn || i == k - 1 ? DP_OK : DP_DROP_ESP_SEQ);
		CU_ASSERT(v != DP_OK || peer_open(&s, &e, pkt + 20, n - 20, pay) >= 0);
	}
	CU_ASSERT_EQUAL(dp_sa_live(out), esn);
	CU_ASSERT_EQUAL(out->dead_drop, esn ? 0 : 21);
	free(out);
	if (esn) {
		/* Nearer to 2^32, as its peer would be by then. */
		CU_ASSERT_EQUAL(send_seq(sa, &s, k - 2), DP_OK);
		CU_ASSERT_EQUAL(send_seq(sa, &s, k + 5), DP_OK); /* 11 */
		CU_ASSERT_EQUAL(send_seq(sa, &s, k - 3), DP_OK);
		CU_ASSERT_EQUAL(send_seq(sa, &s, k - 2), DP_DROP_ESP_REPLAY);
		CU_ASSERT_EQUAL(send_seq(sa, &s, k + 6 - w), DP_OK);
		CU_ASSERT_EQUAL(send_seq(sa, &s, k + 5 - w), DP_DROP_ESP_AUTH);
		CU_ASSERT_EQUAL(send_seq(sa, &s, k + 5), DP_DROP_ESP_REPLAY);
		failed = sa->auth_fail;
		CU_ASSERT_EQUAL(send_seq(sa, &s, 2 * k + 0x2999), DP_DROP_ESP_AUTH); /* 12 */
		CU_ASSERT_EQUAL(sa->auth_fail, failed + 1);
		CU_ASSERT_EQUAL(send_seq(sa, &s, k + 2 * (uint64_t)w + 0x555), DP_OK); /* 13 */
		CU_ASSERT_EQUAL(send_seq(sa, &s, 2 * k + 0x444), DP_OK);
		CU_ASSERT_EQUAL(send_seq(sa, &s, 2 * k + 0x444), DP_DROP_ESP_REPLAY);
		CU_ASSERT_EQUAL(dp_sa_seq(sa), 2 * k + 0x444);
	}
	dp_sa_wipe(sa);
	free(sa);
}

static void test_vpp_cases(void)
{
	static const uint16_t windows[] = {64, 128, 192, 193, 256, 1024, 4096};
	static const uint8_t algs[] = {DP_ESP_AES_GCM_128, DP_ESP_AES_CBC_128_SHA1_96, DP_ESP_AES_CBC_256_SHA256_128,
				       DP_ESP_AES_CTR_192_SHA512_256, DP_ESP_AES_GCM_256_8, DP_ESP_NULL_SHA384_192, DP_ESP_3DES_CBC_SHA1_96};

	for (size_t i = 0; i < sizeof(windows) / sizeof(*windows); i++)
		for (size_t a = 0; a < sizeof(algs); a++) {
			vpp_cases(algs[a], windows[i], false);
			vpp_cases(algs[a], windows[i], true);
		}
}

static void test_esn_edges(void)
{
	struct dp_sa_set s = mkset(DP_DIR_RECV, 1, DP_ESP_TRANSPORT, 4, 4, false, true);
	struct dp_sa *sa;
	uint64_t k = 1ull << 32;

	s.seq_floor = k - 10;
	sa = mksa(&s);
	CU_ASSERT_EQUAL(send_seq(sa, &s, k + 100), DP_OK); /* over the edge with a gap */
	CU_ASSERT_EQUAL(send_seq(sa, &s, k - 1), DP_OK);   /* late one from below it */
	CU_ASSERT_EQUAL(send_seq(sa, &s, k), DP_OK);
	CU_ASSERT_EQUAL(send_seq(sa, &s, k - 1), DP_DROP_ESP_REPLAY);
	CU_ASSERT_EQUAL(send_seq(sa, &s, k - 10), DP_DROP_ESP_REPLAY);
	CU_ASSERT_EQUAL(send_seq(sa, &s, 50), DP_DROP_ESP_AUTH); /* the same low half, other subspace */
	CU_ASSERT_EQUAL(send_seq(sa, &s, 2 * k - 1), DP_DROP_ESP_REPLAY); /* a jump of 2^32 reads as old */
	CU_ASSERT_EQUAL(send_seq(sa, &s, k + (1u << 31)), DP_OK); /* a jump of half a subspace is in reach */
	free(sa);
	/* The window's last number while the window lies across 2^32, and while it begins exactly there. */
	s.seq_floor = k - 500;
	sa = mksa(&s);
	CU_ASSERT_EQUAL(send_seq(sa, &s, k + 100), DP_OK);
	CU_ASSERT_EQUAL(send_seq(sa, &s, k + 100 - 191), DP_OK);
	CU_ASSERT_EQUAL(send_seq(sa, &s, k + 100 - 192), DP_DROP_ESP_AUTH);
	CU_ASSERT_EQUAL(send_seq(sa, &s, k + 191), DP_OK);
	CU_ASSERT_EQUAL(send_seq(sa, &s, k), DP_OK);
	CU_ASSERT_EQUAL(send_seq(sa, &s, k + 192), DP_OK);
	free(sa);
	/* Nothing before the first number: bits that would mean a negative one. */
	s.seq_floor = 0;
	sa = mksa(&s);
	CU_ASSERT_EQUAL(send_seq(sa, &s, k - 1), DP_DROP_ESP_STALE);
	CU_ASSERT_EQUAL(send_seq(sa, &s, k), DP_DROP_ESP_STALE); /* low half 0 here means number 0 */
	free(sa);
	/* And nothing behind the last. */
	s.seq_floor = UINT64_MAX - 2;
	sa = mksa(&s);
	CU_ASSERT_EQUAL(send_seq(sa, &s, UINT64_MAX), DP_OK);
	CU_ASSERT_EQUAL(send_seq(sa, &s, 5), DP_DROP_ESP_STALE);
	CU_ASSERT_EQUAL(send_seq(sa, &s, UINT64_MAX - 1), DP_OK);
	free(sa);
}

/*
 * What VPP's template does not have: who forges numbers beyond 2^32 moves nothing, neither top nor the high half; both edges of a window
 * that lies across 2^32, for every size; what comes first may be any number.
 */
static void test_esn_forged_and_first(void)
{
	static const uint16_t windows[] = {64, 128, 192, 193, 256, 1024, 4096};
	uint64_t k = 1ull << 32;

	for (size_t i = 0; i < sizeof(windows) / sizeof(*windows); i++) {
		uint64_t w = windows[i];
		struct dp_sa_set s = mkset(DP_DIR_RECV, 1 + (int)(i % 2), DP_ESP_TRANSPORT, 4, 4, false, true), forged = s;
		struct dp_sa *sa;

		s.replay_window = (uint32_t)w;
		s.seq_floor = k - 3 * w;
		rnd_fill(forged.key, peer_alg(&s).key);
		rnd_fill(forged.auth, peer_alg(&s).auth);
		sa = mksa(&s);
		CU_ASSERT_EQUAL(send_seq(sa, &s, k - w), DP_OK);
		for (uint64_t n = 0; n < 40; n++) /* low halves that mean the next subspace */
			CU_ASSERT_EQUAL(send_seq(sa, &forged, k + n * 997), DP_DROP_ESP_AUTH);
		CU_ASSERT_EQUAL(dp_sa_seq(sa), k - w);
		CU_ASSERT_EQUAL(send_seq(sa, &s, k - 2 * w + 1), DP_OK); /* the lower edge is where it was */
		CU_ASSERT_EQUAL(send_seq(sa, &s, k - 2 * w + 1), DP_DROP_ESP_REPLAY);
		CU_ASSERT_EQUAL(send_seq(sa, &s, k - 1), DP_OK);
		/* across 2^32: both edges once, then again */
		CU_ASSERT_EQUAL(send_seq(sa, &s, k + w / 2), DP_OK);
		CU_ASSERT_EQUAL(send_seq(sa, &s, k + w / 2), DP_DROP_ESP_REPLAY);
		CU_ASSERT_EQUAL(send_seq(sa, &s, k + w / 2 - w + 1), w == 1 ? DP_DROP_ESP_REPLAY : DP_OK);
		CU_ASSERT_EQUAL(send_seq(sa, &s, k + w / 2 - w + 1), DP_DROP_ESP_REPLAY);
		CU_ASSERT_EQUAL(send_seq(sa, &s, k + w / 2 - w), DP_DROP_ESP_AUTH); /* reads as one subspace later */
		CU_ASSERT_EQUAL(send_seq(sa, &s, k), DP_OK); /* a low half of 0 is a number like others here */
		CU_ASSERT_EQUAL(send_seq(sa, &s, k), DP_DROP_ESP_REPLAY);
		/* a jump over the whole window and more forgets all of it, and nothing old passes for new */
		CU_ASSERT_EQUAL(send_seq(sa, &s, k + 5 * w), DP_OK);
		CU_ASSERT_EQUAL(send_seq(sa, &s, k + 4 * w + 1), DP_OK);
		CU_ASSERT_EQUAL(send_seq(sa, &s, k + 4 * w + 1), DP_DROP_ESP_REPLAY);
		CU_ASSERT_EQUAL(send_seq(sa, &s, k + w / 2), DP_DROP_ESP_AUTH);
		dp_sa_wipe(sa);
		free(sa);
		/* the first that comes: right of the window, and far; with 32 bits up to the last number, after which there is none */
		for (int esn = 0; esn < 2; esn++) {
			s.esn = (uint8_t)esn;
			s.seq_floor = 0;
			sa = mksa(&s);
			CU_ASSERT_EQUAL(send_seq(sa, &s, 0), DP_DROP_ESP_STALE);
			CU_ASSERT_EQUAL(send_seq(sa, &s, 3 * w), DP_OK);
			CU_ASSERT_EQUAL(send_seq(sa, &s, 2 * w + 1), DP_OK);
			CU_ASSERT_EQUAL(send_seq(sa, &s, 2 * w), esn ? DP_DROP_ESP_AUTH : DP_DROP_ESP_STALE);
			if (!esn) {
				CU_ASSERT_EQUAL(send_seq(sa, &s, k - 1), DP_OK);
				CU_ASSERT_EQUAL(send_seq(sa, &s, k), DP_DROP_ESP_STALE); /* on the wire: 0 */
				CU_ASSERT_EQUAL(send_seq(sa, &s, k - 1), DP_DROP_ESP_REPLAY);
				CU_ASSERT_EQUAL(send_seq(sa, &s, k - w), DP_OK);
				CU_ASSERT_EQUAL(send_seq(sa, &s, k - w - 1), DP_DROP_ESP_STALE);
			}
			dp_sa_wipe(sa);
			free(sa);
		}
	}
}

/* --- what an SA may not do --- */

static void test_sequence_limit(void)
{
	for (int esn = 0; esn < 2; esn++) {
		struct dp_sa_set s = mkset(DP_DIR_SEND, 1, DP_ESP_TUNNEL, 4, 4, false, esn);
		struct inner d = {.family = 4, .mode = DP_ESP_TUNNEL, .out = true, .len = 9};
		uint8_t in[100], out[200], pay[200];
		size_t len = mkinner(&d, in), n = 0;
		struct dp_sa *sa;
		uint64_t last = 0;

		s.seq_floor = 100;
		s.seq_limit = 110;
		sa = mksa(&s);
		for (int i = 1; i <= 10; i++) {
			struct peer_esp e = {0};

			CU_ASSERT_EQUAL(one(true, sa, in, len, out, &n), DP_OK);
			CU_ASSERT(peer_open(&s, &e, out + 20, n - 20, pay) > 0);
			CU_ASSERT_EQUAL(e.seq, 100u + (unsigned int)i);
			CU_ASSERT_EQUAL(dp_sa_take_events(sa), i == 5 ? DP_SA_EV(DP_SA_WANT_GRANT) : 0);
			last = e.seq;
		}
		CU_ASSERT_FALSE(dp_sa_live(sa));
		for (int i = 0; i < 3; i++)
			CU_ASSERT_EQUAL(one(true, sa, in, len, out, &n), DP_DROP_ESP_SEQ);
		CU_ASSERT_EQUAL(sa->seq, last);
		CU_ASSERT_EQUAL(dp_sa_grant(sa, s.spi, 120), 0);
		CU_ASSERT_EQUAL(one(true, sa, in, len, out, &n), DP_OK);
		CU_ASSERT_EQUAL(sa->seq, 111);
		free(sa);
		/* The end of all numbers: not one of them twice. */
		s.seq_floor = (esn ? UINT64_MAX : UINT32_MAX) - 2;
		s.seq_limit = UINT64_MAX;
		sa = mksa(&s);
		CU_ASSERT_EQUAL(one(true, sa, in, len, out, &n), DP_OK);
		CU_ASSERT_EQUAL(dp_sa_take_events(sa), 0);
		CU_ASSERT_EQUAL(one(true, sa, in, len, out, &n), DP_OK);
		CU_ASSERT_EQUAL(dp_sa_take_events(sa), DP_SA_EV(DP_SA_EXHAUSTED));
		CU_ASSERT_EQUAL(one(true, sa, in, len, out, &n), DP_DROP_ESP_SEQ);
		CU_ASSERT_EQUAL(dp_sa_grant(sa, s.spi, UINT64_MAX), 0);
		CU_ASSERT_EQUAL(one(true, sa, in, len, out, &n), DP_DROP_ESP_SEQ);
		free(sa);
	}
}

static void test_byte_lifetime(void)
{
	struct dp_sa_set s = mkset(DP_DIR_SEND, 1, DP_ESP_TUNNEL, 4, 4, false, false), r = s;
	struct inner d = {.family = 4, .mode = DP_ESP_TUNNEL, .out = true, .len = 70}; /* 98 + 2: 100 bytes */
	uint8_t in[200], out[300];
	size_t len = mkinner(&d, in), n = 0;
	struct dp_sa *sa, *ra;

	s.hard_bytes = r.hard_bytes = 299;
	r.dir = DP_DIR_RECV;
	sa = mksa(&s);
	ra = mksa(&r);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(one(true, sa, in, len, out, &n), DP_OK);
		CU_ASSERT_EQUAL(sa->bytes, 100 * (i + 1));
	}
	CU_ASSERT_EQUAL(one(true, sa, in, len, out, &n), DP_DROP_ESP_BYTES);
	CU_ASSERT_EQUAL(dp_sa_take_events(sa), DP_SA_EV(DP_SA_HARD_EXPIRED));
	CU_ASSERT_EQUAL(sa->seq, 2);
	d.len = 1; /* would fit, but hard is hard */
	CU_ASSERT_EQUAL(one(true, sa, in, mkinner(&d, in), out, &n), DP_DROP_ESP_BYTES);
	CU_ASSERT_EQUAL(dp_sa_take_events(sa), 0);
	d.len = 70;
	d.out = false;
	for (uint64_t i = 1; i <= 4; i++) {
		struct peer_esp e = {.seq = i};

		len = mkinner(&d, in);
		n = peer_send(&r, &e, in, len, out);
		out[n - 1] ^= (uint8_t)(i == 2); /* a forgery uses none of it up */
		CU_ASSERT_EQUAL(decap(ra, out, n), i == 2 ? DP_DROP_ESP_AUTH : i == 4 ? DP_DROP_ESP_BYTES : DP_OK);
	}
	CU_ASSERT_EQUAL(dp_sa_take_events(ra), DP_SA_EV(DP_SA_HARD_EXPIRED));
	CU_ASSERT_FALSE(dp_sa_live(ra));
	struct sa_state was = state(ra);
	struct peer_esp e = {.seq = 9};
	CU_ASSERT_EQUAL(decap(ra, out, peer_send(&r, &e, in, len, out)), DP_DROP_ESP_BYTES);
	CU_ASSERT_TRUE(unchanged(ra, &was));
	free(sa);
	free(ra);
}

/* Soft and hard, in bytes and packets, in and out: an event once each, the packet that would pass a hard one does not. */
static void test_lifetimes(void)
{
	for (int i = 0; i < 8; i++) {
		int dir = i & 1;
		bool pkts = i & 2;
		struct dp_sa_set s = mkset(dir, i & 4 ? 2 : 1, DP_ESP_TUNNEL, 4, 4, false, false);
		struct inner d = {.family = 4, .mode = DP_ESP_TUNNEL, .out = dir == DP_DIR_SEND, .len = 66}; /* 94 + 2: 96 bytes */
		struct dp_sa *sa;
		uint8_t in[200], pkt[400];
		size_t len, n = 0;

		if (pkts) {
			s.soft_pkts = 5;
			s.hard_pkts = 8;
		} else {
			s.soft_bytes = 5 * 96;
			s.hard_bytes = 8 * 96 + 95;
		}
		sa = mksa(&s);
		len = mkinner(&d, in);
		for (uint64_t k = 1; k <= 12; k++) {
			struct peer_esp e = {.seq = k};
			int want = k <= 8 ? DP_OK : pkts ? DP_DROP_ESP_PKTS : DP_DROP_ESP_BYTES, got;
			uint32_t ev = k == 6 ? DP_SA_EV(DP_SA_SOFT_EXPIRED) : k == 9 ? DP_SA_EV(DP_SA_HARD_EXPIRED) : 0;

			if (dir == DP_DIR_SEND) {
				got = one(true, sa, in, len, pkt, &n);
			} else {
				n = peer_send(&s, &e, in, len, pkt);
				pkt[n - 1] ^= 1;
				/* What is forged uses nothing up. */
				CU_ASSERT_EQUAL(decap(sa, pkt, n), k <= 9 ? DP_DROP_ESP_AUTH : want);
				pkt[n - 1] ^= 1;
				got = decap(sa, pkt, n);
			}
			CU_ASSERT_EQUAL(got, want);
			CU_ASSERT_EQUAL(dp_sa_take_events(sa), ev);
			CU_ASSERT_EQUAL(sa->soft, k < 6 ? 0 : pkts ? DP_SA_WHY_PKTS : DP_SA_WHY_BYTES);
			CU_ASSERT_EQUAL(sa->dead, k < 9 ? 0 : pkts ? DP_SA_WHY_PKTS : DP_SA_WHY_BYTES);
			CU_ASSERT_EQUAL(dp_sa_live(sa), k < 9);
		}
		CU_ASSERT(sa->pkts == 8 && sa->bytes == 8 * 96);
		CU_ASSERT_EQUAL(sa->dead_drop, dir == DP_DIR_SEND ? 4 : 7);
		free(sa);
	}
}

/* 3DES ends after 2^30 bytes under a key, whatever the message says. */
static void test_3des_limit(void)
{
	static const uint64_t asked[] = {0, 1000, UINT64_C(1) << 30, (UINT64_C(1) << 30) + 1, UINT64_MAX};

	for (int dir = 0; dir < 2; dir++)
		for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
			struct dp_sa_set s = mkset(dir, DP_ESP_3DES_CBC_SHA256_128, DP_ESP_TUNNEL, 4, 4, false, false);
			struct inner d = {.family = 4, .mode = DP_ESP_TUNNEL, .out = true, .len = 70};
			uint8_t in[200], pkt[400];
			size_t n;
			struct dp_sa *sa;

			s.hard_bytes = asked[i];
			sa = mksa(&s);
			CU_ASSERT_EQUAL(sa->hard_bytes, i == 1 ? 1000 : UINT64_C(1) << 30);
			CU_ASSERT(sa->soft_bytes > 0 || i == 1);
			sa->bytes = sa->hard_bytes - 8;
			if (dir == DP_DIR_SEND) {
				CU_ASSERT_EQUAL(one(true, sa, in, mkinner(&d, in), pkt, &n), DP_DROP_ESP_BYTES);
			} else {
				CU_ASSERT_EQUAL(decap(sa, pkt, good_packet(&s, 1, 70, pkt)), DP_DROP_ESP_BYTES);
			}
			CU_ASSERT_FALSE(dp_sa_live(sa));
			free(sa);
		}
}

static void test_wrong_padding(void)
{
	for (int i = 0; i < 4; i++) {
		struct dp_sa_set s = combo(i, DP_DIR_RECV);
		struct dp_sa *sa = mksa(&s);
		struct inner d = {.family = 6, .mode = s.mode, .len = 40};
		uint8_t in[200], pkt[700];
		size_t len = mkinner(&d, in);
		struct peer_esp e = {.seq = 1, .pad = 30, .bad_pad = true};

		in[len - 1] = 0xff; /* not padding by chance */
		CU_ASSERT_EQUAL(decap(sa, pkt, peer_send(&s, &e, in, len, pkt)), DP_DROP_ESP_MALFORMED);
		/* A pad length beyond the packet, or one that makes the bytes before it padding. */
		for (int lie = 1; lie < 240; lie++) { /* with 15 of padding still below 256 */
			struct peer_esp f = {.seq = (uint64_t)(1 + lie), .pad_len_lie = lie};

			CU_ASSERT_EQUAL(decap(sa, pkt, peer_send(&s, &f, in, len, pkt)), DP_DROP_ESP_MALFORMED);
		}
		CU_ASSERT_EQUAL(sa->pkts, 240);
		/* Padding that reaches back over the pad length's own room, into the IV, and would be right there. */
		struct peer_esp g = {.seq = 1000, .pad_len_lie = peer_gcm(&s) ? 3 : 15};
		for (uint8_t k = 0; k < 14; k++)
			in[k] = (uint8_t)(k + 2);
		g.iv[peer_gcm(&s) ? 7 : 15] = 1;
		g.next = 17;
		CU_ASSERT_EQUAL(decap(sa, pkt, peer_send(&s, &g, in, peer_gcm(&s) ? 2 : 14, pkt)),
				DP_DROP_ESP_MALFORMED);
		free(sa);
	}
}

static void test_wrong_next_header(void)
{
	struct dp_sa_set s = mkset(DP_DIR_RECV, 1, DP_ESP_TUNNEL, 4, 4, false, false);
	struct dp_sa *sa = mksa(&s);
	struct inner d = {.family = 4, .mode = DP_ESP_TUNNEL, .len = 40};
	uint8_t in[200], pkt[400];
	size_t len = mkinner(&d, in);

	for (unsigned int nh = 1; nh < 256; nh++) {
		struct peer_esp e = {.seq = nh, .next = (uint8_t)nh};

		CU_ASSERT_EQUAL(decap(sa, pkt, peer_send(&s, &e, in, len, pkt)),
				nh == 4 ? DP_OK : nh == 59 ? DP_DROP_ESP_DUMMY
				: nh == 41 ? DP_DROP_L3_MALFORMED : DP_DROP_ESP_SELECTOR);
	}
	free(sa);
}

static void test_wrong_encapsulation(void)
{
	struct dp_sa_set u = mkset(DP_DIR_RECV, 1, DP_ESP_TRANSPORT, 4, 4, true, false), p = u, f = u;
	struct dp_sa *udp = mksa(&u), *plain;
	uint8_t pkt[300];
	size_t n;

	p.local.port = p.remote.port = 0;
	plain = mksa(&p);
	n = good_packet(&u, 1, 10, pkt);
	CU_ASSERT_EQUAL(decap(plain, pkt, n), DP_DROP_ESP_NO_SA);
	CU_ASSERT_EQUAL(one(true, plain, pkt, n, NULL, NULL), DP_DROP_ESP_NO_SA); /* inbound SA, outbound call */
	n = good_packet(&p, 1, 10, pkt);
	CU_ASSERT_EQUAL(decap(udp, pkt, n), DP_DROP_ESP_NO_SA);
	pkt[6] |= 0x20; /* more fragments */
	set_total(pkt, n);
	CU_ASSERT_EQUAL(decap(plain, pkt, n), DP_DROP_L3_FRAGMENT);
	pkt[6] = 0;
	pkt[8] ^= 1; /* TTL changed, checksum not */
	CU_ASSERT_EQUAL(decap(plain, pkt, n), DP_DROP_L3_MALFORMED);
	pkt[8] ^= 1;
	set_total(pkt, n);
	CU_ASSERT_EQUAL(decap(plain, pkt, n), DP_OK);
	f.dir = DP_DIR_SEND;
	free(udp);
	udp = mksa(&f);
	CU_ASSERT_EQUAL(decap(udp, pkt, n), DP_DROP_ESP_NO_SA);
	free(udp);
	free(plain);
}

/* Both ways: addresses, protocol, ports; an authentic packet outside them is dropped all the same. */
static void test_selectors(void)
{
	for (int dir = DP_DIR_RECV; dir <= DP_DIR_SEND; dir++) {
		struct dp_sa_set s = mkset(dir, 1, DP_ESP_TUNNEL, 4, 4, false, false);
		struct inner d = {.family = 4, .mode = DP_ESP_TUNNEL, .out = dir == DP_DIR_SEND, .len = 40};
		uint8_t good[200], in[200], pkt[400];
		size_t len = mkinner(&d, good);
		struct dp_sa *sa;
		/* offset and value of a byte changed; the UDP side is source when sent from A */
		const struct {
			size_t at;
			uint8_t v;
			int want;
		} cases[] = {
			{0, 0x45, DP_OK},
			{15, 6, d.out ? DP_OK : DP_DROP_ESP_SELECTOR}, /* source */
			{14, 3, d.out ? DP_OK : DP_DROP_ESP_SELECTOR},
			{13, 9, DP_DROP_ESP_SELECTOR},
			{19, 4, d.out ? DP_DROP_ESP_SELECTOR : DP_OK}, /* destination */
			{17, 77, DP_DROP_ESP_SELECTOR},
			{9, 6, DP_DROP_ESP_SELECTOR},  /* TCP */
			{9, 1, DP_DROP_ESP_SELECTOR},  /* ICMP */
			{21, 1, d.out ? DP_DROP_ESP_SELECTOR : DP_OK}, /* source port */
			{23, 1, d.out ? DP_OK : DP_DROP_ESP_SELECTOR}, /* destination port */
			{6, 0x20, DP_DROP_L3_FRAGMENT},
			{7, 1, DP_DROP_L3_FRAGMENT},
		};

		/* Ours: 10.1.0.0/16 port 2727 (or what comes to it, 2427); theirs: the host 10.2.0.9. */
		memcpy(s.sel_local.ip, a4, 16);
		s.sel_local_plen = 16;
		s.sel_local.port = d.out ? 2727 : 0x097b;
		memcpy(s.sel_remote.ip, b4, 16);
		s.sel_remote_plen = 32;
		s.sel_proto = 17;
		sa = mksa(&s);
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
			struct peer_esp e = {.seq = i + 1};

			memcpy(in, good, len);
			in[cases[i].at] = cases[i].v;
			if (d.out) {
				CU_ASSERT_EQUAL(one(true, sa, in, len, pkt, &(size_t){0}), cases[i].want);
			} else {
				/* Seen from the other end source and destination trade places. */
				int want = cases[i].want;

				if (cases[i].at == 23)
					want = DP_DROP_ESP_SELECTOR;
				if (cases[i].at == 19)
					want = DP_OK;
				CU_ASSERT_EQUAL(decap(sa, pkt, peer_send(&s, &e, in, len, pkt)), want);
			}
		}
		free(sa);
	}
}

/* Half a UDP header has no ports, whatever lies behind it. */
static void test_selectors_short(void)
{
	struct dp_sa_set s = mkset(DP_DIR_SEND, 1, DP_ESP_TUNNEL, 4, 4, false, false);
	struct peer_ip ip = {.family = 4, .src = a4, .dst = b4, .ttl = 3, .proto = 17};
	uint8_t in[28], out[200];
	size_t n = 0;

	s.sel_local.family = 4;
	s.sel_local.port = 2727;
	for (size_t len = 0; len < 8; len++) {
		struct dp_sa *sa = mksa(&s);
		size_t h = peer_ip(&ip, len, in);

		memcpy(in + h, "\x0a\xa7\x09\x7b\0\x08\0\0", 8);
		CU_ASSERT_EQUAL(one(true, sa, in, h + len, out, &n), len < 4 ? DP_DROP_ESP_SELECTOR : DP_OK);
		free(sa);
	}
}

static void test_selectors_v6_transport(void)
{
	struct dp_sa_set s = mkset(DP_DIR_RECV, 2, DP_ESP_TRANSPORT, 6, 6, false, false);
	struct inner d = {.family = 6, .mode = DP_ESP_TRANSPORT, .len = 40};
	uint8_t in[200], pkt[400];
	size_t len, n;
	struct dp_sa *sa;

	s.sel_proto = 17;
	s.sel_local.family = 6;
	memcpy(s.sel_local.ip, A6, 16);
	s.sel_local_plen = 128;
	s.sel_local.port = 2427;
	sa = mksa(&s);
	for (uint8_t opts = 0; opts < 4; opts++) { /* the port is found behind extension headers */
		struct peer_esp e = {.seq = 1u + opts};

		d.opts = opts;
		len = mkinner(&d, in);
		CU_ASSERT_EQUAL(decap(sa, pkt, peer_send(&s, &e, in, len, pkt)), DP_OK);
	}
	d.opts = 0;
	len = mkinner(&d, in);
	struct peer_esp e = {.seq = 10};
	n = peer_send(&s, &e, in, len, pkt);
	pkt[23] ^= 1; /* from another host: transport mode's addresses are not under the ICV */
	CU_ASSERT_EQUAL(decap(sa, pkt, n), DP_DROP_ESP_SELECTOR);
	free(sa);
}

static void test_peek(void)
{
	struct dp_sa_set s;
	enum dp_esp_kind kind;
	uint32_t spi;
	uint8_t pkt[300];
	struct peer_ip ip = {.family = 4, .src = B4, .dst = A4, .ttl = 9, .proto = 17};
	static const struct {
		const char *udp; /* from the source port on */
		int rc, kind;
	} cases[] = {
		{"1194119400090000ff", DP_OK, DP_ESP_KIND_KEEPALIVE},
		{"1194119400090000fe", DP_DROP_ESP_MALFORMED, 0},
		{"11941194000a0000ffff", DP_DROP_ESP_MALFORMED, 0},
		{"119411940008000000", DP_DROP_L4_MALFORMED, 0},
		{"1194119400080000", DP_DROP_ESP_MALFORMED, 0},
		{"11941194000c000000000000", DP_OK, DP_ESP_KIND_IKE},
		{"11941194000c0000000000ff", DP_DROP_ESP_MALFORMED, 0},
		{"11941194000c000000000100", DP_OK, DP_ESP_KIND_UDP},
		{"11941195000c000000000100", DP_OK, DP_ESP_KIND_NONE},
		{"11941194000d000000000100", DP_DROP_L4_MALFORMED, 0},
	};

	for (int i = 0; i < COMBOS; i++) {
		size_t n;

		s = combo(i, DP_DIR_RECV);
		n = good_packet(&s, 1, 10, pkt);
		spi = 0;
		CU_ASSERT_EQUAL(dp_esp_peek(pkt, (uint16_t)n, 4500, &kind, &spi), DP_OK);
		CU_ASSERT_EQUAL(kind, s.local.port > 0 ? DP_ESP_KIND_UDP : DP_ESP_KIND_IP);
		CU_ASSERT_EQUAL(spi, s.spi);
	}
	ip.proto = 50; /* no marker there: SPI 0 is nobody's */
	memset(pkt + 20, 0, 40);
	peer_ip(&ip, 40, pkt);
	CU_ASSERT_EQUAL(dp_esp_peek(pkt, 60, 4500, &kind, &spi), DP_DROP_ESP_MALFORMED);
	ip.proto = 17;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t n = unhex(cases[i].udp, pkt + 20);

		peer_ip(&ip, n, pkt);
		spi = 7;
		kind = DP_ESP_KIND_NONE;
		CU_ASSERT_EQUAL(dp_esp_peek(pkt, (uint16_t)(20 + n), 4500, &kind, &spi), (enum dp_drop)cases[i].rc);
		CU_ASSERT_EQUAL(kind, (enum dp_esp_kind)cases[i].kind);
		CU_ASSERT_EQUAL(spi, cases[i].kind == DP_ESP_KIND_UDP ? 256 : 7);
	}
}

/* IPv6 extension header chains that lie or do not end. */
static void test_extension_headers(void)
{
	struct dp_sa_set s = mkset(DP_DIR_SEND, 1, DP_ESP_TRANSPORT, 6, 6, false, false);
	struct dp_sa *sa = mksa(&s);
	struct inner d = {.family = 6, .mode = DP_ESP_TRANSPORT, .out = true, .len = 64, .opts = 3};
	uint8_t in[300], bad[300];
	size_t len = mkinner(&d, in);
	static const struct {
		size_t at;
		uint8_t v;
		int want;
	} cases[] = {
		{40, 60, DP_OK},                   /* as it is */
		{41, 255, DP_DROP_L3_MALFORMED},   /* longer than the packet */
		{49, 30, DP_DROP_L3_MALFORMED},
		{40, 0, DP_DROP_L3_MALFORMED},     /* hop-by-hop not first */
		{48, 0, DP_DROP_L3_MALFORMED},
		{48, 43, DP_DROP_L3_MALFORMED},    /* routing header */
		{6, 43, DP_DROP_L3_MALFORMED},
		{48, 44, DP_DROP_L3_FRAGMENT},
		{6, 44, DP_DROP_L3_FRAGMENT},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		memcpy(bad, in, len);
		bad[cases[i].at] = cases[i].v;
		CU_ASSERT_EQUAL(one(true, sa, bad, len, NULL, NULL), cases[i].want);
	}
	/* A chain of destination options: the walk is bounded. */
	memset(in + 40, 0, 120);
	in[6] = 60;
	for (size_t k = 0; k < 8; k++)
		in[40 + 8 * k] = k == 7 ? 17 : 60;
	CU_ASSERT_EQUAL(one(true, sa, in, len, NULL, NULL), DP_DROP_L3_MALFORMED);
	free(sa);
}

static CU_TestInfo tests[] = {
	{"a packet with any bit changed is refused", test_every_bit},
	{"truncation at every length is refused", test_truncated},
	{"authentic ESP around a truncated packet is refused", test_truncated_inside},
	{"encapsulation checks lengths and room first", test_encap_lengths},
	{"nothing grows over 65535 bytes", test_too_long},
	{"a packet passes once, also within a burst", test_replay_and_twins},
	{"from elsewhere: a NAT that moves", test_moved},
	{"edges of the window", test_window_edges},
	{"a burst that moves the window", test_burst_moves_window},
	{"the window equals a set of numbers", test_replay_model},
	{"VPP's cases, for windows of every size", test_vpp_cases},
	{"ESN at the ends of its subspaces", test_esn_edges},
	{"forged numbers beyond 2^32, both edges, and the first", test_esn_forged_and_first},
	{"no number above the limit or twice", test_sequence_limit},
	{"the lifetime in bytes is hard", test_byte_lifetime},
	{"soft and hard lifetimes in bytes and packets", test_lifetimes},
	{"3DES ends after 2^30 bytes", test_3des_limit},
	{"wrong padding is refused", test_wrong_padding},
	{"wrong next header is refused", test_wrong_next_header},
	{"UDP and protocol 50 are not mixed up", test_wrong_encapsulation},
	{"selectors hold both ways", test_selectors},
	{"a header too short for ports matches no port", test_selectors_short},
	{"selectors hold in IPv6 transport mode", test_selectors_v6_transport},
	{"peek tells ESP, IKE and keep-alives apart", test_peek},
	{"IPv6 extension headers that lie", test_extension_headers},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("esp_bad", tests, fix_setup, fix_teardown)
