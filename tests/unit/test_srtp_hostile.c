/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/srtp against whoever controls the network or confuses the signalling: whatever is done to a direction's keys, no
 * key stream is used twice and no packet is accepted twice; trailers of several lengths in one list; floors, ROC and
 * lifetimes of keys that come and go.
 */
#include "srtp_fix.h"

#define NONE ((struct dp_srtp_params){0})

static struct dp_srtp_key *take(struct dp_srtp_key **list, struct dp_srtp_key *key, uint8_t flags, uint32_t overlap,
				uint32_t now, bool *fresh)
{
	return dp_srtp_keys_set(list, key, flags, overlap, now, fresh);
}

static bool put(struct dp_srtp_key **list, struct dp_srtp_key *key, uint8_t flags, uint32_t overlap)
{
	bool fresh;

	key_free(take(list, key, flags, overlap, 1000, &fresh));
	return fresh;
}

static struct dp_srtp_params with_mki(const uint8_t *mki, uint8_t len)
{
	return (struct dp_srtp_params){.mki = mki, .mki_len = len};
}

/*
 * A new key with a shorter MKI than the one that it replaces, within the overlap: packets whose end looks like the old MKI
 * are parsed with the old trailer or not at all. Nothing in front of them or behind their end is touched.
 */
static void test_mki_lengths(void)
{
	static const uint8_t lens[] = {1, 8, 127, 128};
	uint8_t old[128], new[128];

	memset(old, 0x5a, sizeof(old));
	memset(new, 0x11, sizeof(new));
	for (int suite = 1; suite <= REF_SUITES; suite++)
		for (size_t a = 0; a < sizeof(lens); a++)
			for (size_t b = 0; b < sizeof(lens); b++) {
				struct dp_srtp_key *rx = NULL;
				struct ref ro = ref_of(suite, 1), rn = ref_of(suite, 2);

				ro.mki_len = lens[a];
				rn.mki_len = lens[b];
				memcpy(ro.mki, old, lens[a]);
				memcpy(rn.mki, new, lens[b]);
				CU_ASSERT_TRUE(put(&rx, key_make(suite, DP_DIR_RECV, 1, with_mki(old, lens[a])), 0, 0));
				CU_ASSERT_EQUAL(send_to(rx, &ro, 5, 10), DP_OK);
				CU_ASSERT_FALSE(put(&rx, key_make(suite, DP_DIR_RECV, 2, with_mki(new, lens[b])),
						    DP_KEY_F_KEEP_ROC, 5000));
				for (size_t len = 0; len < 400; len++) {
					uint8_t *p = malloc(len > 0 ? len : 1); /* ASan knows its ends */
					struct dp_srtp_pkt pkt = {.data = p, .len = (uint16_t)len, .key = rx};

					memset(p, 0x5a, len);
					if (len >= 12)
						(void)rtp_put(p, 5, 11, 0, 0);
					dp_srtp_unprotect_burst(mb, &pkt, 1);
					CU_ASSERT_NOT_EQUAL(pkt.verdict, DP_OK);
					pkt = (struct dp_srtp_pkt){.data = p, .len = (uint16_t)len, .key = rx};
					if (len >= 8)
						(void)rtcp_put(p, 5, 8, 0);
					dp_srtcp_unprotect_burst(mb, &pkt, 1);
					CU_ASSERT_NOT_EQUAL(pkt.verdict, DP_OK);
					free(p);
				}
				CU_ASSERT_EQUAL(send_to(rx, &ro, 5, 12), DP_OK);
				CU_ASSERT_EQUAL(send_to(rx, &rn, 5, 13), DP_OK);
				CU_ASSERT_EQUAL(send_to(rx, &ro, 5, 13), DP_DROP_REPLAY);
				CU_ASSERT_EQUAL(send_to(rx, &ro, 5, 14), DP_OK);
				list_free(&rx);
			}
}

/* Period 0 of a derivation rate is what the key without one has: the same key stream. */
static void test_rate_of_same_key(void)
{
	for (int back = 0; back < 2; back++)
		for (int suite = 1; suite <= REF_SUITES; suite++) {
			struct dp_srtp_params kdr[2] = {{.kdr = back ? 16 : 0}, {.kdr = back ? 0 : 16}};
			struct dp_srtp_key *tx = NULL, *rx = NULL;
			struct ref ref = ref_of(suite, 1);

			CU_ASSERT_TRUE(put(&tx, key_make(suite, DP_DIR_SEND, 1, kdr[0]), 0, 0));
			CU_ASSERT_EQUAL(sent_by(tx, &ref, 5, 100), DP_OK);
			CU_ASSERT_EQUAL(sent_rtcp_by(tx, &ref, 5, 1), DP_OK);
			CU_ASSERT_FALSE(put(&tx, key_make(suite, DP_DIR_SEND, 1, kdr[1]), 0, 0));
			CU_ASSERT_EQUAL(sent_by(tx, &ref, 5, 100), DP_DROP_REPLAY);
			CU_ASSERT_EQUAL(sent_by(tx, &ref, 5, 101), DP_OK);
			CU_ASSERT_EQUAL(sent_rtcp_by(tx, &ref, 5, 2), DP_OK);
			list_free(&tx);
			CU_ASSERT_TRUE(put(&rx, key_make(suite, DP_DIR_RECV, 1, kdr[0]), 0, 0));
			CU_ASSERT_EQUAL(send_to(rx, &ref, 5, 100), DP_OK);
			CU_ASSERT_FALSE(put(&rx, key_make(suite, DP_DIR_RECV, 1, kdr[1]), 0, 0));
			CU_ASSERT_EQUAL(send_to(rx, &ref, 5, 100), DP_DROP_REPLAY);
			CU_ASSERT_EQUAL(send_to(rx, &ref, 5, 101), DP_OK);
			list_free(&rx);
		}
}

/* The same session keys under another MKI again and again: the lifetime is the key's, and it does not grow. */
static void test_lifetime_of_same_key(void)
{
	static const uint64_t lives[] = {100, 1000, 200000};

	for (size_t l = 0; l < 3; l++) {
		struct dp_srtp_key *tx = NULL;
		uint64_t made = 0, rtcp = 0;
		uint16_t seq = 0;

		for (unsigned int again = 0; again < 6; again++) {
			uint8_t mki[2] = {(uint8_t)again, 1};
			struct dp_srtp_params par = {.mki = mki, .mki_len = 2, .lifetime = lives[l]};

			put(&tx, key_make(1, DP_DIR_SEND, 1, par), 0, 0);
			for (uint64_t i = 0; i < lives[l] * 3 / 10; i++) {
				made += sent_by(tx, NULL, 5, ++seq) == DP_OK;
				rtcp += i < 500 && sent_rtcp_by(tx, NULL, 5, 0) == DP_OK;
			}
		}
		CU_ASSERT_EQUAL(made, lives[l]);
		CU_ASSERT(rtcp <= lives[l]);
		list_free(&tx);
	}
	/* a shorter life than the one before: what was sent counts against it */
	struct dp_srtp_key *tx = NULL;
	uint64_t made = 0;

	put(&tx, key_make(1, DP_DIR_SEND, 1, (struct dp_srtp_params){.lifetime = 100000}), 0, 0);
	for (uint16_t i = 0; i < 300; i++)
		made += sent_by(tx, NULL, 5, i) == DP_OK;
	put(&tx, key_make(1, DP_DIR_SEND, 1, (struct dp_srtp_params){.lifetime = 600, .mki = (uint8_t[]){1}, .mki_len = 1}), 0, 0);
	for (uint16_t i = 300; i < 2000; i++)
		made += sent_by(tx, NULL, 5, i) == DP_OK;
	CU_ASSERT_EQUAL(made, 600);
	list_free(&tx);
}

/* A ROC from signalling and the SSRC with it: that stream, too, begins with the ROC. */
static void test_roc_of_named_stream(void)
{
	for (int dir = 0; dir < 2; dir++)
		for (uint64_t floor = 0; floor < 2; floor++) {
			struct dp_srtp_params par = {.flags = DP_KEY_F_HAVE_ROC, .roc = 3, .ssrc = 5, .rtcp_floor = floor * 9};
			struct dp_srtp_key *list = NULL;
			struct ref ref = ref_of(1, 1);

			put(&list, key_make(1, dir, 1, par), 0, 0);
			if (dir == DP_DIR_RECV) {
				CU_ASSERT_EQUAL(send_to(list, &ref, 5, 3 << 16 | 60000), DP_OK);
				CU_ASSERT_EQUAL(send_to(list, &ref, 6, 3 << 16 | 2), DP_OK);
				if (floor != 0)
					CU_ASSERT_EQUAL(send_rtcp_to(list, &ref, 5, 9), DP_DROP_REPLAY);
				CU_ASSERT_EQUAL(send_rtcp_to(list, &ref, 5, 10), DP_OK);
			} else {
				CU_ASSERT_EQUAL(sent_by(list, &ref, 5, 3 << 16 | 60000), DP_OK);
				CU_ASSERT_EQUAL(sent_by(list, &ref, 6, 3 << 16 | 2), DP_OK);
				CU_ASSERT_EQUAL(sent_rtcp_by(list, &ref, 5, floor != 0 ? 10 : 1), DP_OK);
			}
			list_free(&list);
		}
}

/*
 * A key that was used before a restart joins others that know less: what it may have sent is not sent again, also by
 * streams that began before it came, and a ROC from signalling does not lift that.
 */
static void test_floor_of_joining_key(void)
{
	struct dp_srtp_params floor = {.index_floor = 3 << 16 | 500, .rtcp_floor = 77};
	const uint8_t flags[] = {DP_KEY_F_ADD, DP_KEY_F_KEEP_ROC};

	for (int f = 0; f < 2; f++)
		for (int roc = 0; roc < 2; roc++)
			for (int begun = 0; begun < 2; begun++) {
				struct dp_srtp_params first = {.roc = (uint32_t)roc, .flags = roc ? DP_KEY_F_HAVE_ROC : 0};
				struct dp_srtp_key *tx = NULL;
				struct ref ref = ref_of(1, 2);

				put(&tx, key_make(1, DP_DIR_SEND, 1, first), 0, 0);
				if (begun)
					for (uint32_t ssrc = 5; ssrc < 8; ssrc++)
						CU_ASSERT_EQUAL(sent_by(tx, NULL, ssrc, 490), DP_OK);
				put(&tx, key_make(1, DP_DIR_SEND, 2, floor), flags[f], 0);
				for (uint32_t ssrc = 5; ssrc < 8; ssrc++) {
					CU_ASSERT_NOT_EQUAL(sent_by(tx, NULL, ssrc, 499), DP_OK);
					CU_ASSERT_NOT_EQUAL(sent_by(tx, NULL, ssrc, 500), DP_OK);
					CU_ASSERT_EQUAL(sent_by(tx, &ref, ssrc, 3 << 16 | 501), DP_OK);
				}
				CU_ASSERT_EQUAL(sent_rtcp_by(tx, &ref, 5, 78), DP_OK);
				list_free(&tx);
			}
}

/* The very first index: after a crash it is known that it was used. */
static void test_first_index_reserved(void)
{
	struct dp_srtp_key *tx = NULL;
	uint8_t p[64 + ROOM];
	uint64_t reserved = 0;
	struct dp_srtp_pkt pkt;

	put(&tx, key_make(1, DP_DIR_SEND, 1, NONE), 0, 0);
	pkt = pkt_at(p, rtp_put(p, 5, 0, 20, 0), tx);
	pkt.tx_reserved = &reserved;
	CU_ASSERT_EQUAL(dp_srtp_protect_burst(mb, &pkt, 1), 1);
	CU_ASSERT(reserved > 0);
	list_free(&tx);
}

/* Without a ROC from signalling a stream begins with ROC 0, however many keys there are to try. */
static void test_no_further_roc(void)
{
	for (int suite = 1; suite <= REF_SUITES; suite++) {
		struct dp_srtp_key *rx = NULL;
		struct ref ref[2] = {ref_of(suite, 1), ref_of(suite, 2)};

		put(&rx, key_make(suite, DP_DIR_RECV, 1, NONE), 0, 0);
		put(&rx, key_make(suite, DP_DIR_RECV, 2, NONE), DP_KEY_F_ADD, 0);
		for (int k = 0; k < 2; k++) {
			CU_ASSERT_EQUAL(send_to(rx, &ref[k], 5, 1 << 16 | 100), DP_DROP_AUTH);
			CU_ASSERT_EQUAL(rx->stream_cnt, 0);
		}
		list_free(&rx);
	}
}

/* A key whose lifetime is over receives no more, also where it is not the first that is tried. */
static void test_expired_beside_others(void)
{
	for (int suite = 1; suite <= REF_SUITES; suite++) {
		struct dp_srtp_key *rx = NULL;
		struct ref ref[2] = {ref_of(suite, 1), ref_of(suite, 2)};
		uint64_t index = 1;

		put(&rx, key_make(suite, DP_DIR_RECV, 1, NONE), 0, 0);
		put(&rx, key_make(suite, DP_DIR_RECV, 2, (struct dp_srtp_params){.lifetime = 10}), DP_KEY_F_ADD, 0);
		for (int i = 0; i < 10; i++)
			CU_ASSERT_EQUAL(send_to(rx, &ref[1], 5, index++), DP_OK);
		for (int i = 0; i < 10; i++)
			CU_ASSERT_NOT_EQUAL(send_to(rx, &ref[1], 5, index++), DP_OK);
		CU_ASSERT_EQUAL(send_to(rx, &ref[0], 5, index++), DP_OK);
		list_free(&rx);
	}
}

/* Many SSRCs of several directions in one small table: re-keys lose none and mix none up. */
static void test_many_move(void)
{
	struct dp_srtp_pool *small = dp_srtp_pool_create(120, 0);
	struct dp_srtp_params par = {.pool = small, .ssrc_max = 40};
	struct dp_srtp_key *rx[3] = {NULL};
	struct dp_srtp_event ev[DP_SRTP_EVENTS];

	for (unsigned int round = 0; round < 6; round++)
		for (unsigned int d = 0; d < 3; d++) {
			struct ref ref = ref_of(1, d * 10 + round);

			put(&rx[d], key_make(1, DP_DIR_RECV, d * 10 + round, par), round > 0 ? DP_KEY_F_KEEP_ROC : 0, 0);
			for (uint32_t ssrc = 1; ssrc <= 40; ssrc++) {
				if (round > 0)
					CU_ASSERT_EQUAL(send_to(rx[d], &ref, ssrc, 9 + round), DP_DROP_REPLAY);
				CU_ASSERT_EQUAL(send_to(rx[d], &ref, ssrc, 10 + round), DP_OK);
			}
			CU_ASSERT_EQUAL(rx[d]->stream_cnt, 40);
			/* one too many is told once in a minute, whichever key is in use meanwhile */
			CU_ASSERT_EQUAL(send_to(rx[d], &ref, 41, 10 + round), DP_DROP_NO_STREAM);
			CU_ASSERT_EQUAL(dp_srtp_keys_service(&rx[d], 30, ev), round == 0);
		}
	for (unsigned int d = 0; d < 3; d++)
		list_free(&rx[d]);
	dp_srtp_pool_destroy(small);
}

/* --- whatever is done --- */

#define SEEN_MAX (1u << 17)
static uint8_t (*seen)[16];

/* False: that has been there. */
static bool first_time(const uint8_t *block)
{
	uint64_t h;
	static const uint8_t none[16];

	memcpy(&h, block, 8);
	for (h %= SEEN_MAX;; h = (h + 1) % SEEN_MAX) {
		if (memcmp(seen[h], none, 16) == 0) {
			memcpy(seen[h], block, 16);
			return true;
		}
		if (memcmp(seen[h], block, 16) == 0)
			return false;
	}
}

static struct dp_srtp_params any_params(uint64_t *r, uint8_t *mki, bool mkis)
{
	struct dp_srtp_params par = {0};

	*mki = (uint8_t)(rnd(r) % 3);
	if (mkis) {
		par.mki = mki;
		par.mki_len = 1;
	} else if (rnd(r) % 4 == 0) {
		par.from = rnd(r) % 3000;
		par.to = par.from + rnd(r) % 3000 + 1;
	}
	if (rnd(r) % 4 == 0)
		par.kdr = (uint8_t)(1 + rnd(r) % 10);
	if (rnd(r) % 6 == 0)
		par.lifetime = 1 + rnd(r) % 2000;
	return par;
}

/* Sending: random keys, flags, ends and packets. Zeros are sent, so what comes out is the key stream. */
static void test_no_stream_twice(void)
{
	uint64_t r = 20250117;
	unsigned int again = 0, made = 0;

	seen = calloc(SEEN_MAX, sizeof(*seen));
	CU_ASSERT_PTR_NOT_NULL_FATAL(seen);
	for (unsigned int trial = 0; trial < 60; trial++) {
		struct dp_srtp_key *tx = NULL;
		unsigned int next = trial * 100; /* master keys: one that ended is never taken again */
		unsigned int live[8], n = 0;
		int suite = (int[]){1, 2, 4, 5, 7, 8}[trial % 6];
		bool mkis = rnd(&r) % 2 == 0;
		uint16_t seq[4] = {(uint16_t)rnd(&r), 65000, 0, 100};

		for (unsigned int step = 0; step < 1500; step++) {
			uint32_t s = (uint32_t)(rnd(&r) % 4);
			struct dp_srtp_event ev[DP_SRTP_EVENTS];
			uint8_t p[64 + ROOM];
			size_t len;
			bool rtcp;

			if (step == 0 || rnd(&r) % 25 == 0) {
				static const uint8_t kinds[] = {0, DP_KEY_F_KEEP_ROC, DP_KEY_F_ADD, DP_KEY_F_ADD | DP_KEY_F_STANDBY};
				uint8_t flags = kinds[rnd(&r) % 4], mki;
				struct dp_srtp_params par = any_params(&r, &mki, mkis);
				unsigned int which = n > 0 && rnd(&r) % 2 == 0 ? live[rnd(&r) % n] : next++;
				bool known = false;

				par.flags = flags & DP_KEY_F_STANDBY;
				put(&tx, key_make(suite, DP_DIR_SEND, which, par), flags, 0);
				for (unsigned int i = 0; i < n; i++)
					known |= live[i] == which;
				if ((flags & DP_KEY_F_ADD) == 0)
					n = 0;
				if ((!known || n == 0) && n < 8)
					live[n++] = which;
				continue;
			}
			if (mkis && n > 1 && rnd(&r) % 60 == 0) {
				uint8_t mki = (uint8_t)(rnd(&r) % 3);

				key_free(dp_srtp_keys_del(&tx, &mki, 1));
				n = 0; /* whose that was is not looked for: those left are not told again */
				if (tx == NULL)
					put(&tx, key_make(suite, DP_DIR_SEND, next++, with_mki(&mki, 1)), 0, 0);
				continue;
			}
			rtcp = rnd(&r) % 8 == 0;
			if (rnd(&r) % 5 != 0)
				seq[s]++;
			else
				seq[s] = (uint16_t)(seq[s] + rnd(&r) % 200 - 100);
			len = rtcp ? rtcp_put(p, s, 40, 0) : rtp_put(p, s, seq[s], 40, 0);
			if (run_one(tx, rtcp, p, &len, false) == DP_OK) {
				made++;
				again += !first_time(p + (rtcp ? 8 : 12));
			}
			if (tx->pending != 0)
				(void)dp_srtp_keys_service(&tx, step, ev);
		}
		list_free(&tx);
	}
	free(seen);
	CU_ASSERT(made > 20000);
	CU_ASSERT_EQUAL(again, 0);
}

struct kept { /* a packet that was on the wire */
	uint8_t data[64 + ROOM];
	size_t len;
	bool rtcp;
	unsigned int accepted;
};

/*
 * Receiving: whatever is done to the keys, a packet is accepted once, and one with a bit wrong never. Keys that ended are
 * not taken again.
 */
static void test_no_packet_twice(void)
{
	uint64_t r = 4711;
	unsigned int twice = 0, forged = 0, accepted = 0;
	struct kept *kept = calloc(1500, sizeof(*kept));

	CU_ASSERT_PTR_NOT_NULL_FATAL(kept);
	for (unsigned int trial = 0; trial < 60; trial++) {
		struct dp_srtp_key *rx = NULL, *party[8] = {NULL};
		int suite = (int[]){1, 2, 4, 6, 7, 8, 9}[trial % 7];
		unsigned int next = 0, k = 0, now = 1000;
		bool mkis = rnd(&r) % 2 == 0;
		uint16_t seq = (uint16_t)rnd(&r);

		memset(kept, 0, 1500 * sizeof(*kept));
		for (unsigned int step = 0; step < 1500; step++) {
			struct dp_srtp_event ev[DP_SRTP_EVENTS];
			uint8_t p[64 + ROOM];
			struct kept *it;
			size_t len;

			now += (unsigned int)(rnd(&r) % 10);
			key_free(dp_srtp_keys_expire(&rx, now));
			if (rx == NULL || (rnd(&r) % 200 == 0 && next < 8)) {
				static const uint8_t kinds[] = {0, DP_KEY_F_KEEP_ROC, DP_KEY_F_ADD};
				uint8_t flags = kinds[rnd(&r) % 3], mki;
				struct dp_srtp_params par = any_params(&r, &mki, mkis);
				bool fresh;

				if (next == 8)
					break;
				par.lifetime = 0;
				party[next] = key_make(suite, DP_DIR_SEND, trial * 10 + next, par);
				key_free(take(&rx, key_make(suite, DP_DIR_RECV, trial * 10 + next, par), flags,
					      (uint32_t)(rnd(&r) % 2000), now, &fresh));
				next++;
				continue;
			}
			if (rnd(&r) % 40 == 0)
				k = (unsigned int)(rnd(&r) % next);
			else if (rnd(&r) % 20 == 0)
				k = next - 1;
			it = &kept[rnd(&r) % 2 == 0 && step > 10 ? rnd(&r) % step : step];
			if (it == &kept[step]) {
				it->rtcp = rnd(&r) % 8 == 0;
				seq++;
				it->len = it->rtcp ? rtcp_put(it->data, 5, 32, 1) : rtp_put(it->data, 5, seq, 40, 1);
				if (run_one(party[k], it->rtcp, it->data, &it->len, false) != DP_OK)
					it->len = 0;
			}
			if (it->len == 0)
				continue;
			memcpy(p, it->data, it->len);
			len = it->len;
			if (rnd(&r) % 5 == 0) {
				p[rnd(&r) % len] ^= (uint8_t)(1u << rnd(&r) % 8);
				forged += run_one(rx, it->rtcp, p, &len, false) == DP_OK;
			} else if (run_one(rx, it->rtcp, p, &len, false) == DP_OK) {
				accepted++;
				twice += it->accepted++ > 0;
			}
			if (rx->pending != 0)
				(void)dp_srtp_keys_service(&rx, now / 1000, ev);
		}
		list_free(&rx);
		for (unsigned int i = 0; i < next; i++)
			key_free(party[i]);
	}
	free(kept);
	CU_ASSERT(accepted > 5000);
	CU_ASSERT_EQUAL(twice, 0);
	CU_ASSERT_EQUAL(forged, 0);
}

static CU_TestInfo tests[] = {
	{"MKIs of several lengths within an overlap", test_mki_lengths},
	{"the same key with and without a derivation rate", test_rate_of_same_key},
	{"the same key again: its lifetime does not grow", test_lifetime_of_same_key},
	{"a ROC from signalling for a stream that is named", test_roc_of_named_stream},
	{"a key that was used before joins others", test_floor_of_joining_key},
	{"the first index is reserved", test_first_index_reserved},
	{"no ROC but the first without signalling", test_no_further_roc},
	{"a key that is used up beside others", test_expired_beside_others},
	{"many SSRCs go over from key to key", test_many_move},
	{"no key stream twice, whatever is done to the keys", test_no_stream_twice},
	{"no packet twice, whatever is done to the keys", test_no_packet_twice},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("srtp_hostile", tests, fix_setup, fix_teardown)
