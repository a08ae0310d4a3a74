/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/srtp with every suite through the burst functions: published vectors both ways, bursts of mixed suites against
 * the reference of srtp_ref.h, and packets that must not pass. RFC 3711, 6188, 7714.
 */
#include "srtp_fix.h"
#include "srtp_vectors.h"

static void both_ways(struct dp_srtp_key *tx, struct dp_srtp_key *rx, bool rtcp, bool clear, const char *plain_hex,
		      const char *wire_hex)
{
	uint8_t p[256], plain[128], wire[256];
	size_t plen = unhex(plain_hex, plain), wlen = unhex(wire_hex, wire), len = plen;

	memcpy(p, plain, plen);
	CU_ASSERT_EQUAL(run_one(tx, rtcp, p, &len, clear), DP_OK);
	CU_ASSERT_EQUAL_FATAL(len, wlen);
	CU_ASSERT_EQUAL(memcmp(p, wire, wlen), 0);
	CU_ASSERT_EQUAL(run_one(rx, rtcp, p, &len, clear), DP_OK);
	CU_ASSERT_EQUAL(len, plen);
	CU_ASSERT_EQUAL(memcmp(p, plain, plen), 0);
	memcpy(p, wire, wlen);
	len = wlen;
	CU_ASSERT_EQUAL(run_one(rx, rtcp, p, &len, clear), DP_DROP_REPLAY);
}

static struct dp_srtp_key *key_hex(int suite, int dir, const char *key_hex, const char *salt_hex, uint64_t rtcp_floor)
{
	struct dp_srtp_key *key = aligned_alloc(64, sizeof(*key));
	uint8_t mkey[32], msalt[14];
	struct dp_srtp_params par = {.suite = (uint8_t)suite, .dir = (uint8_t)dir, .key = mkey, .salt = msalt,
				     .rtcp_floor = rtcp_floor};

	unhex(key_hex, mkey);
	unhex(salt_hex, msalt);
	CU_ASSERT_EQUAL_FATAL(dp_srtp_key_init(mb, key, &par), 0);
	return key;
}

static void test_derived_vectors(void)
{
	for (size_t i = 0; i < sizeof(srtp_derived) / sizeof(srtp_derived[0]); i++) {
		struct dp_srtp_key *k[2];

		for (int dir = 0; dir < 2; dir++)
			k[dir] = key_hex(srtp_derived[i].suite, dir, srtp_derived[i].key, srtp_derived[i].salt, 0);
		both_ways(k[DP_DIR_SEND], k[DP_DIR_RECV], srtp_derived[i].rtcp != 0, false, srtp_derived[i].plain,
			  srtp_derived[i].wire);
		for (int dir = 0; dir < 2; dir++)
			key_free(k[dir]);
	}
}

/* RFC 7714's packets have no master key: their session keys are put where derived ones would be. */
static void test_7714(void)
{
	for (size_t i = 0; i < sizeof(srtp_7714) / sizeof(srtp_7714[0]); i++) {
		struct dp_srtp_key *k[2];
		uint8_t key[32], salt[12];
		size_t len = unhex(srtp_7714[i].key, key);

		unhex(srtp_7714[i].salt, salt);
		for (int dir = 0; dir < 2; dir++) {
			k[dir] = key_hex(srtp_7714[i].suite, dir, srtp_7714[i].key, srtp_7714[i].salt,
					 dir == DP_DIR_SEND ? 0x5d3 : 0);
			dp_mb_gcm_key(mb, key, len, (void *)k[dir]->ext);
			memcpy(k[dir]->salt, salt, 12);
			memcpy(dp_srtp_rtcp_key(k[dir]), key, len);
			memcpy(k[dir]->rtcp_salt, salt, 12);
		}
		both_ways(k[DP_DIR_SEND], k[DP_DIR_RECV], srtp_7714[i].rtcp != 0, srtp_7714[i].clear != 0,
			  srtp_7714[i].plain, srtp_7714[i].wire);
		for (int dir = 0; dir < 2; dir++)
			key_free(k[dir]);
	}
	for (size_t i = 0; i < sizeof(srtp_7714_tagging) / sizeof(srtp_7714_tagging[0]); i++) {
		struct gcm_key_data gk __attribute__((aligned(64)));
		uint8_t key[32], iv[12], aad[64], want[16], tag[16], none[1];
		size_t len = unhex(srtp_7714_tagging[i].key, key), n = unhex(srtp_7714_tagging[i].aad, aad);

		unhex(srtp_7714_tagging[i].iv, iv);
		unhex(srtp_7714_tagging[i].tag, want);
		dp_mb_gcm_key(mb, key, len, &gk);
		dp_mb_gcm_enc(mb, len, &gk, iv, aad, n, none, none, 0, tag);
		CU_ASSERT_EQUAL(memcmp(tag, want, 16), 0);
	}
}

/* Random packet: every shape of header. Returns its length, *ret_hdr. */
static size_t any_rtp(uint64_t *r, uint8_t *p, uint32_t ssrc, uint16_t seq, size_t max, size_t *ret_hdr)
{
	size_t cc = rnd(r) % 4 == 0 ? rnd(r) % 16 : 0, ext = rnd(r) % 4 == 0 ? 1 + rnd(r) % 5 : 0, payload = rnd(r) % max;

	*ret_hdr = 12 + 4 * cc + 4 * ext;
	for (size_t i = 0; i < *ret_hdr + payload; i++)
		p[i] = (uint8_t)(rnd(r) >> 20);
	p[0] = (uint8_t)(0x80 | cc | (ext > 0 ? 0x10 : 0));
	p[2] = (uint8_t)(seq >> 8);
	p[3] = (uint8_t)seq;
	for (int i = 0; i < 4; i++)
		p[8 + i] = (uint8_t)(ssrc >> (24 - 8 * i));
	if (ext > 0) {
		p[12 + 4 * cc + 2] = 0;
		p[12 + 4 * cc + 3] = (uint8_t)(ext - 1);
	}
	if (payload > 3 && rnd(r) % 4 == 0) {
		p[0] |= 0x20;
		p[*ret_hdr + payload - 1] = (uint8_t)(1 + rnd(r) % (payload < 255 ? payload : 255));
	}
	return *ret_hdr + payload;
}

/*
 * Bursts that mix suites, MKI lengths, derivation rates and sizes, RTP and RTCP: each packet of ours is the reference's byte
 * for byte, and comes out again as it went in; in between some are forged and some sent twice.
 */
static void test_differential(void)
{
	enum { KEYS = 40, MAX = 1400 };
	static uint8_t data[DP_SRTP_BURST][MAX + 256 + ROOM], want[MAX + 256 + ROOM], plain[DP_SRTP_BURST][MAX + 256];
	struct dp_srtp_key *tx[KEYS], *rx[KEYS];
	struct ref ref[KEYS];
	uint64_t r = 4711, index[KEYS];
	uint32_t rtcp_index[KEYS];
	int wrong = 0, done = 0;

	for (int k = 0; k < KEYS; k++) {
		int suite = 1 + k % REF_SUITES;
		uint8_t mki[128];
		struct dp_srtp_params par = {.mki_len = k < 10 ? 0 : (uint8_t)(k < 20 ? 4 : rnd(&r) % 129),
					     .kdr = k < 20 ? 0 : (uint8_t)(k < 30 ? 1 + k % 3 : k % 2 * 7), .mki = mki};

		for (int i = 0; i < 128; i++)
			mki[i] = (uint8_t)rnd(&r);
		tx[k] = key_make(suite, DP_DIR_SEND, (unsigned int)k, par);
		rx[k] = key_make(suite, DP_DIR_RECV, (unsigned int)k, par);
		ref[k] = ref_of(suite, (unsigned int)k);
		ref[k].kdr = par.kdr;
		ref[k].mki_len = par.mki_len;
		memcpy(ref[k].mki, mki, par.mki_len);
		index[k] = 60000 + rnd(&r) % 5000;
		rtcp_index[k] = 0;
	}
	for (int burst = 0; burst < 700; burst++) {
		struct dp_srtp_pkt pkts[DP_SRTP_BURST], again[DP_SRTP_BURST];
		unsigned int n = 1 + rnd(&r) % DP_SRTP_BURST;
		bool rtcp = burst % 4 == 3;
		uint16_t plen[DP_SRTP_BURST];
		uint64_t idx[DP_SRTP_BURST];
		int of[DP_SRTP_BURST];
		uint8_t forged[DP_SRTP_BURST];

		for (unsigned int i = 0; i < n; i++) {
			size_t hdr;
			int k = (int)(rnd(&r) % KEYS);

			of[i] = k;
			if (rtcp) {
				plen[i] = (uint16_t)(8 + 4 * (rnd(&r) % 30));
				rtcp_put(data[i], 0x1000u + (uint32_t)k, plen[i], (uint8_t)rnd(&r));
				idx[i] = ++rtcp_index[k];
			} else {
				index[k] += 1 + rnd(&r) % 3;
				idx[i] = index[k];
				plen[i] = (uint16_t)any_rtp(&r, data[i], 0x1000u + (uint32_t)k, (uint16_t)idx[i], MAX, &hdr);
			}
			memcpy(plain[i], data[i], plen[i]);
			pkts[i] = pkt_at(data[i], plen[i], tx[k]);
			pkts[i].clear = rtcp && i % 5 == 0;
		}
		wrong += (rtcp ? dp_srtcp_protect_burst(mb, pkts, (uint16_t)n) : dp_srtp_protect_burst(mb, pkts, (uint16_t)n)) != n;
		for (unsigned int i = 0; i < n; i++) {
			size_t len, hdr = 8;

			memcpy(want, plain[i], plen[i]);
			if (!rtcp) {
				hdr = 12 + 4u * (want[0] & 15);
				if ((want[0] & 0x10) != 0)
					hdr += 4 + 4u * want[hdr + 3];
			}
			len = rtcp ? ref_rtcp_protect(&ref[of[i]], want, plen[i], (uint32_t)idx[i], i % 5 != 0)
				   : ref_protect(&ref[of[i]], want, plen[i], hdr, idx[i]);
			wrong += pkts[i].verdict != DP_OK || pkts[i].len != len || memcmp(want, data[i], len) != 0 ||
				 pkts[i].index != idx[i];
			done++;
			again[i] = pkt_at(data[i], len, rx[of[i]]);
			again[i].clear = 1;
			forged[i] = rnd(&r) % 8 == 0;
			if (forged[i]) /* anywhere but in version and lengths, which are refused as malformed */
				data[i][len - 1 - rnd(&r) % (len - hdr)] ^= (uint8_t)(1 << rnd(&r) % 8);
		}
		(void)(rtcp ? dp_srtcp_unprotect_burst(mb, again, (uint16_t)n) : dp_srtp_unprotect_burst(mb, again, (uint16_t)n));
		for (unsigned int i = 0; i < n; i++) {
			wrong += (again[i].verdict == DP_OK) == forged[i];
			if (again[i].verdict == DP_OK)
				wrong += again[i].len != plen[i] || memcmp(data[i], plain[i], plen[i]) != 0 ||
					 again[i].index != idx[i];
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(done > 20000);
	for (int k = 0; k < KEYS; k++) {
		key_free(tx[k]);
		key_free(rx[k]);
	}
}

/* What an attacker may do to a packet, with every suite, with and without MKI, RTP and RTCP. */
static void test_forged(void)
{
	for (int suite = 1; suite <= REF_SUITES; suite++)
		for (int with = 0; with < 4; with++) {
			bool rtcp = with >= 2;
			uint8_t mki[8] = {1, 2, 3, 4, 5, 6, 7, 8};
			struct dp_srtp_params par = {.mki_len = with % 2 ? 8 : 0, .mki = mki};
			struct dp_srtp_key *rx = key_make(suite, DP_DIR_RECV, 1, par), untouched;
			struct ref ref = ref_of(suite, 1);
			uint8_t full[128 + ROOM], p[128 + ROOM];
			size_t len, n;
			int wrong = 0;

			ref.mki_len = par.mki_len;
			memcpy(ref.mki, mki, 8);
			len = rtcp ? ref_rtcp_protect(&ref, full, rtcp_put(full, 7, 36, 5), 9, 1)
				   : ref_protect(&ref, full, rtp_put(full, 7, 0x1234, 24, 5), 12, 0x1234);
			untouched = *rx;
			for (size_t bit = 0; bit < len * 8; bit++) { /* tag, MKI, AAD, ciphertext, E and index */
				memcpy(p, full, len);
				p[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
				n = len;
				wrong += run_one(rx, rtcp, p, &n, true) == DP_OK;
			}
			for (size_t cut = 0; cut < len; cut++) { /* exact size: nothing behind it is read or written */
				uint8_t *q = malloc(cut > 0 ? cut : 1);

				memcpy(q, full, cut);
				n = cut;
				wrong += run_one(rx, rtcp, q, &n, true) == DP_OK;
				free(q);
			}
			for (size_t more = 1; more < 20; more++) { /* longer than it was */
				memcpy(p, full, len);
				memcpy(p + len, full + len - more, more);
				n = len + more;
				wrong += run_one(rx, rtcp, p, &n, true) == DP_OK;
			}
			CU_ASSERT_EQUAL(wrong, 0);
			CU_ASSERT_EQUAL(memcmp(rx, &untouched, sizeof(*rx)), 0);
			n = len;
			uint8_t *exact = malloc(len);
			memcpy(exact, full, len);
			CU_ASSERT_EQUAL(run_one(rx, rtcp, exact, &n, false), DP_OK);
			free(exact);
			key_free(rx);
		}
}

/* Right in everything but one ingredient: key, salt, SSRC, ROC, the place of the salt in the IV, E bit, suite. */
static void test_wrong_ingredient(void)
{
	for (int suite = 1; suite <= REF_SUITES; suite++) {
		struct dp_srtp_key *rx = key_make(suite, DP_DIR_RECV, 3, (struct dp_srtp_params){0}), untouched = *rx;
		struct ref good = ref_of(suite, 3), bad;
		uint8_t p[128 + ROOM];
		size_t len;

		bad = good;
		bad.key[0] ^= 1;
		bad.auth[0] ^= 1;
		CU_ASSERT_EQUAL(send_to(rx, &bad, 1, 5), DP_DROP_AUTH);
		bad = good;
		bad.auth[19] ^= 0x80;
		CU_ASSERT_EQUAL(send_to(rx, &bad, 1, 5), good.gcm ? DP_OK : DP_DROP_AUTH);
		if (good.gcm) {
			bad = good;
			bad.salt[0] ^= 1; /* where nothing of the packet is mixed in */
			CU_ASSERT_EQUAL(send_to(rx, &bad, 1, 6), DP_DROP_AUTH);
			memmove(bad.salt, good.salt + 1, 11); /* shifted */
			bad.salt[11] = 0;
			CU_ASSERT_EQUAL(send_to(rx, &bad, 1, 6), DP_DROP_AUTH);
			memcpy(bad.salt + 2, good.salt, 10);
			CU_ASSERT_EQUAL(send_to(rx, &bad, 1, 6), DP_DROP_AUTH);
			/* the AAD without the CSRC list, or the payload in it */
			len = rtp_put(p, 1, 6, 40, 1);
			p[0] |= 1;
			len = ref_protect(&good, p, len, 12, 6);
			CU_ASSERT_EQUAL(run_one(rx, false, p, &len, false), DP_DROP_AUTH);
			len = rtp_put(p, 1, 6, 40, 1);
			len = ref_protect(&good, p, len, 16, 6);
			CU_ASSERT_EQUAL(run_one(rx, false, p, &len, false), DP_DROP_AUTH);
			untouched = *rx;
		}
		/* under another ROC */
		len = ref_protect(&good, p, rtp_put(p, 1, 7, 40, 1), 12, 0x10007);
		CU_ASSERT_EQUAL(run_one(rx, false, p, &len, false), DP_DROP_AUTH);
		/* RTCP's keys for RTP, and the other way round */
		bad = good;
		memcpy(bad.key, good.rtcp_key, 32);
		memcpy(bad.auth, good.rtcp_auth, 20);
		memcpy(bad.salt, good.rtcp_salt, 14);
		memcpy(bad.rtcp_key, good.key, 32);
		memcpy(bad.rtcp_auth, good.auth, 20);
		memcpy(bad.rtcp_salt, good.salt, 14);
		CU_ASSERT_EQUAL(send_to(rx, &bad, 1, 8), DP_DROP_AUTH);
		CU_ASSERT_EQUAL(send_rtcp_to(rx, &bad, 1, 8), DP_DROP_AUTH);
		/* E cleared: by who has the key, and on the way */
		len = ref_rtcp_protect(&good, p, rtcp_put(p, 1, 32, 1), 9, 0);
		CU_ASSERT_EQUAL(run_one(rx, true, p, &len, false), DP_DROP_POLICY);
		len = ref_rtcp_protect(&good, p, rtcp_put(p, 1, 32, 1), 9, 1);
		p[good.gcm ? len - 4 : len - 14] &= 0x7f;
		CU_ASSERT_EQUAL(run_one(rx, true, p, &len, false), DP_DROP_POLICY);
		len = ref_rtcp_protect(&good, p, rtcp_put(p, 1, 32, 1), 9, 1);
		p[good.gcm ? len - 4 : len - 14] &= 0x7f;
		CU_ASSERT_EQUAL(run_one(rx, true, p, &len, true), DP_DROP_AUTH);
		/* the other tag length of the same keys */
		if (!good.gcm) {
			bad = ref_of(suite % 2 ? suite + 1 : suite - 1, 3);
			CU_ASSERT_EQUAL(send_to(rx, &bad, 1, 10), DP_DROP_AUTH);
		}
		CU_ASSERT_EQUAL(memcmp(rx, &untouched, sizeof(*rx)), 0);
		len = ref_rtcp_protect(&good, p, rtcp_put(p, 1, 32, 1), 9, 0);
		CU_ASSERT_EQUAL(run_one(rx, true, p, &len, true), DP_OK);
		CU_ASSERT(len == 32 && p[31] == 1);
		key_free(rx);
	}
}

/* Twins, forged twins before and after, a ROC that turns, and disorder around it, all in one burst. */
static void test_one_burst(void)
{
	for (int suite = 1; suite <= REF_SUITES; suite++) {
		static const int step[] = {-3, -1, -2, 0, 1, 3, 2, -1, 1, -5, 6, 5, -4};
		enum { N = sizeof(step) / sizeof(step[0]) };
		struct dp_srtp_key *rx = key_make(suite, DP_DIR_RECV, 8, (struct dp_srtp_params){0}),
				   *tx = key_make(suite, DP_DIR_SEND, 8, (struct dp_srtp_params){0});
		struct ref ref = ref_of(suite, 8);
		static uint8_t data[3 * N][128 + ROOM];
		struct dp_srtp_pkt pkts[3 * N];
		bool seen[16] = {false};

		CU_ASSERT_EQUAL(send_to(rx, &ref, 5, 65500), DP_OK);
		for (int i = 0; i < 3 * N; i++) {
			uint64_t idx = (uint64_t)(65536 + step[i / 3]);
			size_t len = ref_protect(&ref, data[i], rtp_put(data[i], 5, (uint16_t)idx, 30, (uint8_t)idx), 12, idx);

			if (i % 3 == 0)
				data[i][len - 1] ^= 1;
			pkts[i] = pkt_at(data[i], len, rx);
		}
		dp_srtp_unprotect_burst(mb, pkts, 3 * N);
		for (int i = 0; i < 3 * N; i++) {
			bool *s = &seen[8 + step[i / 3]];

			CU_ASSERT_EQUAL(pkts[i].verdict, *s ? DP_DROP_REPLAY : i % 3 == 0 ? DP_DROP_AUTH : DP_OK);
			if (pkts[i].verdict == DP_OK) {
				CU_ASSERT(pkts[i].index == (uint64_t)(65536 + step[i / 3]) && data[i][41] == (uint8_t)step[i / 3]);
				*s = true;
			}
		}
		/* sending over the turn */
		for (int i = 0; i < 8; i++)
			pkts[i] = pkt_at(data[i], rtp_put(data[i], 5, (uint16_t)(65532 + i), 30, 1), tx);
		CU_ASSERT_EQUAL(dp_srtp_protect_burst(mb, pkts, 8), 8);
		for (int i = 0; i < 8; i++) {
			uint8_t q[128 + ROOM];
			size_t len = ref_protect(&ref, q, rtp_put(q, 5, (uint16_t)(65532 + i), 30, 1), 12, 65532 + (uint64_t)i);

			CU_ASSERT(pkts[i].len == len && memcmp(q, data[i], len) == 0);
		}
		key_free(rx);
		key_free(tx);
	}
}

static void test_index_limits(void)
{
	const uint64_t end = ((uint64_t)1 << 48) - 1, rtcp_end = ((uint64_t)1 << 31) - 1;

	for (int suite = 1; suite <= REF_SUITES; suite++) {
		struct dp_srtp_params par = {.index_floor = end - 2, .rtcp_floor = rtcp_end - 2};
		struct dp_srtp_key *rx = key_make(suite, DP_DIR_RECV, 2, par), *tx = key_make(suite, DP_DIR_SEND, 2, par);
		struct ref ref = ref_of(suite, 2);

		for (uint64_t back = 2; back-- > 0;) {
			CU_ASSERT_EQUAL(sent_by(tx, &ref, 1, end - back), DP_OK);
			CU_ASSERT_EQUAL(send_to(rx, &ref, 1, end - back), DP_OK);
			CU_ASSERT_EQUAL(sent_rtcp_by(tx, &ref, 1, (uint32_t)(rtcp_end - back)), DP_OK);
			CU_ASSERT_EQUAL(send_rtcp_to(rx, &ref, 1, (uint32_t)(rtcp_end - back)), DP_OK);
		}
		for (int i = 0; i < 2; i++) {
			CU_ASSERT_EQUAL(sent_by(tx, NULL, 1, (uint64_t)i), DP_DROP_KEY_LIMIT);
			CU_ASSERT_EQUAL(send_to(rx, &ref, 1, (uint64_t)i), DP_DROP_KEY_LIMIT);
			CU_ASSERT_EQUAL(sent_rtcp_by(tx, NULL, 1, 0), DP_DROP_KEY_LIMIT);
			CU_ASSERT_NOT_EQUAL(send_rtcp_to(rx, &ref, 1, (uint32_t)i), DP_OK);
		}
		key_free(rx);
		key_free(tx);
	}
}

static void test_room(void)
{
	for (int suite = 1; suite <= REF_SUITES; suite++)
		for (uint8_t mki_len = 0; mki_len <= 128; mki_len += 64) {
			const uint8_t mki[128] = {9};
			struct dp_srtp_key *tx = key_make(suite, DP_DIR_SEND, 2, (struct dp_srtp_params){.mki_len = mki_len, .mki = mki});
			const struct dp_suite *s = dp_suite((unsigned int)suite);

			for (int rtcp = 0; rtcp < 2; rtcp++) {
				size_t need = rtcp ? 4u + s->rtcp_tag + mki_len : (size_t)s->rtp_tag + mki_len, len = 32;
				uint8_t *p = malloc(len + need); /* exact: nothing is written behind */
				struct dp_srtp_pkt pkt = pkt_at(p, len, tx);

				if (rtcp)
					rtcp_put(p, 1, len, 1);
				else
					rtp_put(p, 1, 1, len - 12, 1);
				pkt.room = (uint16_t)(need - 1);
				(void)(rtcp ? dp_srtcp_protect_burst(mb, &pkt, 1) : dp_srtp_protect_burst(mb, &pkt, 1));
				CU_ASSERT_EQUAL(pkt.verdict, DP_DROP_NO_ROOM);
				pkt.verdict = DP_OK;
				pkt.room = (uint16_t)need;
				(void)(rtcp ? dp_srtcp_protect_burst(mb, &pkt, 1) : dp_srtp_protect_burst(mb, &pkt, 1));
				CU_ASSERT_EQUAL(pkt.verdict, DP_OK);
				CU_ASSERT_EQUAL(pkt.len, len + need);
				CU_ASSERT_EQUAL(pkt.index, 1); /* a refusal uses no index */
				free(p);
			}
			key_free(tx);
		}
}

static void test_tag_equal(void)
{
	static const uint8_t lens[] = {4, 10, 16};
	uint8_t a[32], b[32];

	for (int i = 0; i < 32; i++)
		a[i] = b[i] = (uint8_t)(i * 37);
	for (size_t l = 0; l < sizeof(lens); l++)
		for (int bit = 0; bit < 160; bit++) {
			b[bit / 8] ^= (uint8_t)(1 << bit % 8);
			CU_ASSERT_EQUAL(dp_srtp_tag_equal(a, b, lens[l]), bit / 8 >= lens[l]);
			b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
}

static CU_TestInfo tests[] = {
	{"published packets with key derivation", test_derived_vectors},
	{"RFC 7714: all its packets", test_7714},
	{"mixed bursts against the reference", test_differential},
	{"every bit flipped, every length: no state", test_forged},
	{"one ingredient wrong", test_wrong_ingredient},
	{"twins and a turning ROC in one burst", test_one_burst},
	{"indices end before they come again", test_index_limits},
	{"room for MKI and tag, exactly", test_room},
	{"tags differ in any bit", test_tag_equal},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("srtp_suites", tests, fix_setup, fix_teardown)
