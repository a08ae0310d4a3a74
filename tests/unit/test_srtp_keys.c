/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/srtp: several keys of a direction (list.c, slow.c), MKI, re-key with and without ROC, <From,To>, derivation
 * rates, lifetimes, ROC from signalling, many SSRCs, wide windows. RFC 3711 s3.3.1, s4.3.1, s8.1, s9.2.
 */
#include "srtp_fix.h"

static const int some[] = {DP_AES_CM_128_HMAC_SHA1_80, DP_AES_256_CM_HMAC_SHA1_32, DP_AEAD_AES_128_GCM,
			   DP_AEAD_AES_256_GCM, DP_NULL_HMAC_SHA1_80};
#define SOME (sizeof(some) / sizeof(some[0]))
#define NONE ((struct dp_srtp_params){0})

/* keys_set, and what it returns is freed. Returns how many came back. */
static unsigned int set(struct dp_srtp_key **list, struct dp_srtp_key *key, uint8_t flags, uint32_t overlap, bool want_fresh)
{
	bool fresh;
	struct dp_srtp_key *gone = dp_srtp_keys_set(list, key, flags, overlap, 1000, &fresh);
	unsigned int n = 0;

	for (struct dp_srtp_key *k = gone; k != NULL; k = k->next)
		n++;
	CU_ASSERT_EQUAL(fresh, want_fresh);
	key_free(gone);
	return n;
}

static unsigned int expire(struct dp_srtp_key **list, uint32_t now)
{
	struct dp_srtp_key *gone = dp_srtp_keys_expire(list, now);
	unsigned int n = 0;

	for (struct dp_srtp_key *k = gone; k != NULL; k = k->next)
		n++;
	key_free(gone);
	return n;
}

/* Re-key that keeps the ROC: packets of the old key come late, and each index passes once under whichever key. */
static void test_rekey_keeps(void)
{
	for (size_t s = 0; s < SOME; s++) {
		struct dp_srtp_key *rx = NULL;
		struct ref old = ref_of(some[s], 1), new = ref_of(some[s], 2);

		(void)set(&rx, key_make(some[s], DP_DIR_RECV, 1, NONE), 0, 0, true);
		for (uint64_t i = 65500; i < 65560; i++)
			if (i % 7 != 0)
				CU_ASSERT_EQUAL(send_to(rx, &old, 5, i), DP_OK);
		CU_ASSERT_EQUAL(send_rtcp_to(rx, &old, 5, 9), DP_OK);
		CU_ASSERT_EQUAL(set(&rx, key_make(some[s], DP_DIR_RECV, 2, NONE), DP_KEY_F_KEEP_ROC, 500, false), 0);
		CU_ASSERT_EQUAL(dp_srtp_key_top(rx), 65559);
		CU_ASSERT_EQUAL(send_to(rx, &new, 5, 65560), DP_OK);
		CU_ASSERT_EQUAL(send_to(rx, &old, 5, 65520 - 65520 % 7), DP_OK);
		CU_ASSERT_EQUAL(send_to(rx, &old, 5, 65561), DP_OK);
		CU_ASSERT_EQUAL(send_to(rx, &new, 5, 65562), DP_OK);
		CU_ASSERT_EQUAL(send_to(rx, &old, 5, 65560), DP_DROP_REPLAY);
		CU_ASSERT_EQUAL(send_to(rx, &new, 5, 65561), DP_DROP_REPLAY);
		CU_ASSERT_EQUAL(send_to(rx, &old, 5, 65501), DP_DROP_REPLAY);
		CU_ASSERT_EQUAL(send_rtcp_to(rx, &new, 5, 9), DP_DROP_REPLAY);
		CU_ASSERT_EQUAL(send_rtcp_to(rx, &old, 5, 10), DP_OK);
		CU_ASSERT_EQUAL(send_rtcp_to(rx, &new, 5, 11), DP_OK);
		struct ref forged = ref_of(some[s], 3);
		CU_ASSERT_EQUAL(send_to(rx, &forged, 5, 65570), DP_DROP_AUTH);
		CU_ASSERT_EQUAL(expire(&rx, 1499), 0);
		CU_ASSERT_EQUAL(send_to(rx, &old, 5, 65563), DP_OK);
		CU_ASSERT_EQUAL(expire(&rx, 1500), 1);
		CU_ASSERT_EQUAL(send_to(rx, &old, 5, 65564), DP_DROP_AUTH);
		CU_ASSERT_EQUAL(send_rtcp_to(rx, &old, 5, 12), DP_DROP_AUTH);
		CU_ASSERT_EQUAL(send_to(rx, &new, 5, 65564), DP_OK);
		list_free(&rx);
	}
}

/* Three keys that share streams: what the last opens has been tried with the others, RTP and RTCP with E and without. */
static void test_third_key(void)
{
	for (int suite = 1; suite <= REF_SUITES; suite++) {
		struct dp_srtp_key *rx = NULL;
		struct ref ref[3];

		for (unsigned int k = 0; k < 3; k++) {
			ref[k] = ref_of(suite, k);
			(void)set(&rx, key_make(suite, DP_DIR_RECV, k, NONE), DP_KEY_F_KEEP_ROC, 500, k == 0);
		}
		for (uint32_t i = 1; i < 30; i++) {
			uint8_t p[64 + ROOM];
			size_t len = ref_rtcp_protect(&ref[i % 3], p, rtcp_put(p, 5, 32, (uint8_t)i), i, i % 2);

			CU_ASSERT_EQUAL(run_one(rx, true, p, &len, true), DP_OK);
			CU_ASSERT(len == 32 && p[8] == (uint8_t)i && p[31] == (uint8_t)i);
			CU_ASSERT_EQUAL(send_to(rx, &ref[i % 3], 5, i), DP_OK);
		}
		list_free(&rx);
	}
}

/* Re-key with fresh streams: the sender begins its indices anew, ROC 0, and the old key's packets still find their own. */
static void test_rekey_fresh(void)
{
	for (size_t s = 0; s < SOME; s++) {
		struct dp_srtp_key *rx = NULL, *tx = NULL;
		struct ref old = ref_of(some[s], 1), new = ref_of(some[s], 2), third = ref_of(some[s], 3);

		(void)set(&rx, key_make(some[s], DP_DIR_RECV, 1, NONE), 0, 0, true);
		CU_ASSERT_EQUAL(send_to(rx, &old, 5, 65530), DP_OK);
		CU_ASSERT_EQUAL(send_to(rx, &old, 5, 65540), DP_OK); /* ROC 1 */
		CU_ASSERT_EQUAL(set(&rx, key_make(some[s], DP_DIR_RECV, 2, NONE), 0, 500, true), 0);
		CU_ASSERT_EQUAL(send_to(rx, &old, 5, 65541), DP_OK); /* before the new key's first */
		CU_ASSERT_EQUAL(send_to(rx, &new, 5, 6), DP_OK);     /* ROC 0, a SEQ that the old key has in ROC 1 */
		CU_ASSERT_EQUAL(send_to(rx, &old, 5, 65542), DP_OK);
		CU_ASSERT_EQUAL(send_to(rx, &old, 5, 65535), DP_OK);
		CU_ASSERT_EQUAL(send_to(rx, &old, 5, 65542), DP_DROP_REPLAY); /* under the new key it is what has come */
		CU_ASSERT_EQUAL(send_to(rx, &old, 5, 65530), DP_DROP_REPLAY);
		CU_ASSERT_EQUAL(send_to(rx, &new, 5, 6), DP_DROP_REPLAY);
		CU_ASSERT_EQUAL(dp_srtp_key_top(rx), 6);
		/* again, within the overlap: three are alive, with two that never shared */
		CU_ASSERT_EQUAL(set(&rx, key_make(some[s], DP_DIR_RECV, 3, NONE), DP_KEY_F_KEEP_ROC, 200, false), 0);
		CU_ASSERT_EQUAL(send_to(rx, &third, 5, 7), DP_OK);
		CU_ASSERT_EQUAL(send_to(rx, &new, 5, 8), DP_OK);
		CU_ASSERT_EQUAL(send_to(rx, &old, 5, 65543), DP_OK);
		CU_ASSERT_EQUAL(send_to(rx, &third, 5, 8), DP_DROP_REPLAY);
		CU_ASSERT_EQUAL(expire(&rx, 1200), 2); /* an end once set comes no later */
		CU_ASSERT_EQUAL(send_to(rx, &old, 5, 65550), DP_DROP_AUTH);
		CU_ASSERT_EQUAL(send_to(rx, &third, 5, 9), DP_OK);
		CU_ASSERT_EQUAL(set(&rx, key_make(some[s], DP_DIR_RECV, 4, NONE), 0, 0, true), 1);
		CU_ASSERT_EQUAL(send_to(rx, &third, 5, 10), DP_DROP_AUTH);
		list_free(&rx);
		/* sending: the new key alone, from the first index on */
		(void)set(&tx, key_make(some[s], DP_DIR_SEND, 1, NONE), 0, 0, true);
		CU_ASSERT_EQUAL(sent_by(tx, &old, 5, 65535), DP_OK);
		CU_ASSERT_EQUAL(sent_by(tx, &old, 5, 65536), DP_OK);
		CU_ASSERT_EQUAL(set(&tx, key_make(some[s], DP_DIR_SEND, 2, NONE), 0, 500, true), 1);
		CU_ASSERT_EQUAL(sent_by(tx, &new, 5, 1), DP_OK);
		CU_ASSERT_EQUAL(set(&tx, key_make(some[s], DP_DIR_SEND, 3, NONE), DP_KEY_F_KEEP_ROC, 500, false), 1);
		CU_ASSERT_EQUAL(sent_by(tx, &third, 5, 1), DP_DROP_REPLAY);
		CU_ASSERT_EQUAL(sent_by(tx, &third, 5, 2), DP_OK);
		list_free(&tx);
	}
}

/* The change inside one burst, in disorder, twins under both keys: as one by one. */
static void test_rekey_in_burst(void)
{
	for (size_t s = 0; s < SOME; s++)
		for (int keep = 0; keep < 2; keep++) {
			static uint8_t a[DP_SRTP_BURST][64 + ROOM], b[DP_SRTP_BURST][64 + ROOM];
			struct dp_srtp_pkt one[DP_SRTP_BURST], all[DP_SRTP_BURST];
			struct dp_srtp_key *rx[2] = {NULL, NULL};
			struct ref ref[2] = {ref_of(some[s], 1), ref_of(some[s], 2)};
			uint64_t r = 5 + s;
			int wrong = 0, ok = 0;

			for (int i = 0; i < 2; i++) {
				(void)set(&rx[i], key_make(some[s], DP_DIR_RECV, 1, NONE), 0, 0, true);
				CU_ASSERT_EQUAL(send_to(rx[i], &ref[0], 5, 65500), DP_OK);
				(void)set(&rx[i], key_make(some[s], DP_DIR_RECV, 2, NONE), keep ? DP_KEY_F_KEEP_ROC : 0, 500, !keep);
			}
			for (int burst = 0; burst < 20; burst++) {
				for (int i = 0; i < DP_SRTP_BURST; i++) {
					int k = rnd(&r) % 2;
					uint64_t idx = 65520 + (uint64_t)(burst * 8) + rnd(&r) % 24;
					size_t len;

					if (!keep && k == 1)
						idx -= 65000;
					len = ref_protect(&ref[k], a[i], rtp_put(a[i], 5, (uint16_t)idx, 30, (uint8_t)i), 12, idx);
					if (rnd(&r) % 6 == 0)
						a[i][12 + rnd(&r) % (len - 12)] ^= 4;
					memcpy(b[i], a[i], len);
					all[i] = pkt_at(a[i], len, rx[0]);
					one[i] = pkt_at(b[i], len, rx[1]);
				}
				dp_srtp_unprotect_burst(mb, all, DP_SRTP_BURST);
				for (int i = 0; i < DP_SRTP_BURST; i++) {
					dp_srtp_unprotect_burst(mb, &one[i], 1);
					wrong += all[i].verdict != one[i].verdict || all[i].len != one[i].len;
					if (all[i].verdict == DP_OK) {
						wrong += all[i].index != one[i].index || memcmp(a[i], b[i], all[i].len) != 0 ||
							 a[i][12] != (uint8_t)i;
						ok++;
					}
				}
			}
			CU_ASSERT_EQUAL(wrong, 0);
			CU_ASSERT(ok > 100);
			list_free(&rx[0]);
			list_free(&rx[1]);
		}
}

static struct dp_srtp_params with_mki(const uint8_t *mki, uint8_t len)
{
	return (struct dp_srtp_params){.mki = mki, .mki_len = len};
}

static void test_mki(void)
{
	for (int suite = 1; suite <= REF_SUITES; suite++)
		for (int len = 1; len <= 128; len = len == 1 ? 4 : len == 4 ? 127 : len + 1) {
			struct dp_srtp_key *rx = NULL, *tx = NULL;
			struct ref ref[3];
			uint8_t mki[3][128], p[64 + ROOM];
			struct dp_srtp_event ev[DP_SRTP_EVENTS];
			size_t n;

			memset(mki, 0x11, sizeof(mki));
			for (int k = 0; k < 3; k++) {
				mki[k][len - 1] = (uint8_t)k;
				ref[k] = ref_of(suite, (unsigned int)k);
				ref[k].mki_len = (size_t)len;
				memcpy(ref[k].mki, mki[k], (size_t)len);
			}
			for (unsigned int k = 0; k < 2; k++) {
				(void)set(&rx, key_make(suite, DP_DIR_RECV, k, with_mki(mki[k], (uint8_t)len)), k ? DP_KEY_F_ADD : 0, 0, k == 0);
				(void)set(&tx, key_make(suite, DP_DIR_SEND, k, with_mki(mki[k], (uint8_t)len)), k ? DP_KEY_F_ADD : 0, 0, k == 0);
			}
			CU_ASSERT_EQUAL(send_to(rx, &ref[0], 5, 65534), DP_OK);
			CU_ASSERT_EQUAL(rx->pending, 0);
			CU_ASSERT_EQUAL(send_to(rx, &ref[1], 5, 65536), DP_OK); /* one stream, one ROC, whichever key */
			CU_ASSERT_EQUAL(send_to(rx, &ref[0], 5, 65535), DP_OK);
			CU_ASSERT_EQUAL(send_to(rx, &ref[0], 5, 65536), DP_DROP_REPLAY);
			CU_ASSERT_EQUAL(send_to(rx, &ref[2], 5, 65537), DP_DROP_NO_KEY);
			CU_ASSERT_EQUAL(send_rtcp_to(rx, &ref[1], 5, 1), DP_OK);
			CU_ASSERT_EQUAL(send_rtcp_to(rx, &ref[2], 5, 2), DP_DROP_NO_KEY);
			/* another key's MKI on a packet */
			n = ref_protect(&ref[0], p, rtp_put(p, 5, 2, 40, 1), 12, 65538);
			memcpy(p + (ref[0].gcm ? n - (size_t)len : n - (size_t)len - (size_t)ref[0].tag_len), mki[1], (size_t)len);
			CU_ASSERT_EQUAL(run_one(rx, false, p, &n, false), DP_DROP_AUTH);
			/* no MKI at all, and shorter than one */
			ref[2] = ref_of(suite, 0);
			CU_ASSERT_NOT_EQUAL(send_to(rx, &ref[2], 5, 65538), DP_OK);
			n = rtp_put(p, 5, 2, (size_t)len / 2, 1);
			CU_ASSERT_EQUAL(run_one(rx, false, p, &n, false), DP_DROP_RTP_MALFORMED);
			/* the party went over: its key is looked at first from now on */
			CU_ASSERT_NOT_EQUAL(rx->pending, 0);
			CU_ASSERT_EQUAL(dp_srtp_keys_service(&rx, 1, ev), 0);
			CU_ASSERT_EQUAL(memcmp(dp_srtp_more(rx)->mki, mki[1], (size_t)len), 0);
			CU_ASSERT_EQUAL(rx->pending, 0);
			CU_ASSERT_EQUAL(send_to(rx, &ref[1], 5, 65540), DP_OK);
			CU_ASSERT_EQUAL(send_to(rx, &ref[0], 5, 65541), DP_OK);
			CU_ASSERT_EQUAL(send_to(rx, &ref[0], 5, 65540), DP_DROP_REPLAY);
			CU_ASSERT_EQUAL(dp_srtp_key_top(rx), 65541);
			/* ended by its MKI, head or not */
			CU_ASSERT_PTR_NULL(dp_srtp_keys_del(&rx, mki[2], (uint8_t)len));
			key_free(dp_srtp_keys_del(&rx, mki[1], (uint8_t)len));
			CU_ASSERT_EQUAL(send_to(rx, &ref[1], 5, 65542), DP_DROP_NO_KEY);
			CU_ASSERT_EQUAL(send_to(rx, &ref[0], 5, 65540), DP_DROP_REPLAY);
			CU_ASSERT_EQUAL(send_to(rx, &ref[0], 5, 65542), DP_OK);
			key_free(dp_srtp_keys_del(&rx, mki[0], (uint8_t)len));
			CU_ASSERT_PTR_NULL(rx);
			/* sending: the newest; when it ends the one before, with the same indices */
			CU_ASSERT_EQUAL(sent_by(tx, &ref[1], 5, 1), DP_OK);
			CU_ASSERT_EQUAL(sent_rtcp_by(tx, &ref[1], 5, 1), DP_OK);
			key_free(dp_srtp_keys_del(&tx, mki[1], (uint8_t)len));
			CU_ASSERT_EQUAL(sent_by(tx, NULL, 5, 1), DP_DROP_REPLAY);
			CU_ASSERT_EQUAL(sent_by(tx, &ref[0], 5, 2), DP_OK);
			CU_ASSERT_EQUAL(sent_rtcp_by(tx, &ref[0], 5, 2), DP_OK);
			list_free(&tx);
		}
}

/* Asserted again, in every shape: index and window stay, nothing is used twice. */
static void test_same_again(void)
{
	const uint8_t mki[2][4] = {{1}, {2}};
	struct dp_srtp_key *tx = NULL, *rx = NULL;
	struct ref a = ref_of(1, 1), b = ref_of(1, 2);

	(void)set(&tx, key_make(1, DP_DIR_SEND, 1, NONE), 0, 0, true);
	CU_ASSERT_EQUAL(sent_by(tx, &a, 5, 100), DP_OK);
	CU_ASSERT_EQUAL(set(&tx, key_make(1, DP_DIR_SEND, 1, NONE), 0, 0, false), 1);
	CU_ASSERT_EQUAL(sent_by(tx, &a, 5, 100), DP_DROP_REPLAY);
	/* another lifetime is no other key */
	CU_ASSERT_EQUAL(set(&tx, key_make(1, DP_DIR_SEND, 1, (struct dp_srtp_params){.lifetime = 5000}), 0, 0, false), 1);
	CU_ASSERT_EQUAL(sent_by(tx, &a, 5, 100), DP_DROP_REPLAY);
	/* the same session keys with an MKI, or a shorter tag, and no KEEP_ROC: still the same indices */
	CU_ASSERT_EQUAL(set(&tx, key_make(1, DP_DIR_SEND, 1, with_mki(mki[0], 4)), 0, 0, false), 1);
	CU_ASSERT_EQUAL(sent_by(tx, NULL, 5, 100), DP_DROP_REPLAY);
	CU_ASSERT_EQUAL(sent_by(tx, NULL, 5, 101), DP_OK);
	CU_ASSERT_EQUAL(set(&tx, key_make(2, DP_DIR_SEND, 1, NONE), 0, 0, false), 1);
	CU_ASSERT_EQUAL(sent_by(tx, NULL, 5, 101), DP_DROP_REPLAY);
	CU_ASSERT_EQUAL(tx->tag_len, 4);
	list_free(&tx);
	/* an ended key comes back with the window it had, and others end */
	(void)set(&rx, key_make(1, DP_DIR_RECV, 1, NONE), 0, 0, true);
	CU_ASSERT_EQUAL(send_to(rx, &a, 5, 70000 % 65536), DP_OK);
	(void)set(&rx, key_make(1, DP_DIR_RECV, 2, NONE), 0, 300, true);
	CU_ASSERT_EQUAL(send_to(rx, &b, 5, 8), DP_OK);
	CU_ASSERT_EQUAL(set(&rx, key_make(1, DP_DIR_RECV, 1, NONE), 0, 300, false), 1);
	CU_ASSERT_EQUAL(send_to(rx, &a, 5, 70000 % 65536), DP_DROP_REPLAY);
	CU_ASSERT_EQUAL(send_to(rx, &b, 5, 8), DP_DROP_REPLAY);
	CU_ASSERT_EQUAL(send_to(rx, &b, 5, 9), DP_OK);
	CU_ASSERT_EQUAL(expire(&rx, 1300), 1);
	CU_ASSERT_EQUAL(send_to(rx, &b, 5, 10), DP_DROP_STALE);
	CU_ASSERT_EQUAL(send_to(rx, &a, 5, 4465), DP_OK);
	list_free(&rx);
}

/* <From,To>: the index says which key, inside a burst too; before and behind them there is none. */
static void test_ranges(void)
{
	for (int suite = 1; suite <= REF_SUITES; suite++) {
		struct dp_srtp_key *rx = NULL, *tx = NULL;
		struct ref ref[2] = {ref_of(suite, 0), ref_of(suite, 1)};
		static uint8_t data[40][64 + ROOM];
		struct dp_srtp_pkt pkts[40];
		struct dp_srtp_event ev[DP_SRTP_EVENTS];

		for (unsigned int k = 0; k < 2; k++) {
			struct dp_srtp_params par = {.from = k ? 65540 : 65520, .to = k ? 65559 : 65539, .index_floor = 65519};

			par.flags = 0;
			(void)set(&rx, key_make(suite, DP_DIR_RECV, k, par), k ? DP_KEY_F_ADD : 0, 0, k == 0);
			par.flags = k ? DP_KEY_F_STANDBY : 0;
			(void)set(&tx, key_make(suite, DP_DIR_SEND, k, par), k ? DP_KEY_F_ADD : 0, 0, k == 0);
		}
		for (unsigned int i = 0; i < 40; i++)
			pkts[i] = pkt_at(data[i], rtp_put(data[i], 5, (uint16_t)(65520 + i), 30, (uint8_t)i), tx);
		CU_ASSERT_EQUAL(dp_srtp_protect_burst(mb, pkts, 40), 40);
		for (unsigned int i = 0; i < 40; i++) {
			uint8_t q[64 + ROOM];
			size_t len = ref_protect(&ref[i / 20], q, rtp_put(q, 5, (uint16_t)(65520 + i), 30, (uint8_t)i), 12, 65520 + i);

			CU_ASSERT(pkts[i].len == len && memcmp(q, data[i], len) == 0);
			pkts[i] = pkt_at(data[i], len, rx);
		}
		/* in disorder around the change */
		for (int i = 12; i < 28; i += 2) {
			struct dp_srtp_pkt t = pkts[i];

			pkts[i] = pkts[39 - i];
			pkts[39 - i] = t;
		}
		CU_ASSERT_EQUAL(dp_srtp_unprotect_burst(mb, pkts, 40), 40);
		CU_ASSERT_EQUAL(dp_srtp_keys_service(&tx, 1, ev), 0);
		CU_ASSERT_EQUAL(sent_by(tx, NULL, 5, 65560), DP_DROP_KEY_LIMIT);
		CU_ASSERT_EQUAL(dp_srtp_keys_service(&tx, 1, ev), 1);
		CU_ASSERT_EQUAL(ev[0].kind, DP_LEG_KEY_EXPIRED);
		CU_ASSERT_EQUAL(sent_by(tx, NULL, 5, 65561), DP_DROP_KEY_LIMIT);
		CU_ASSERT_EQUAL(tx->pending, 0); /* once */
		CU_ASSERT_EQUAL(send_to(rx, &ref[1], 5, 65560), DP_DROP_KEY_LIMIT);
		CU_ASSERT_EQUAL(send_to(rx, &ref[1], 5, 65530), DP_DROP_REPLAY);
		/* SRTCP: the key in use, and whichever fits */
		CU_ASSERT_EQUAL(send_rtcp_to(rx, &ref[0], 5, 1), DP_OK);
		CU_ASSERT_EQUAL(send_rtcp_to(rx, &ref[1], 5, 2), DP_OK);
		CU_ASSERT_EQUAL(sent_rtcp_by(tx, &ref[1], 5, 1), DP_OK);
		list_free(&rx);
		list_free(&tx);
	}
}

/* Derivation rates, the change inside bursts, disorder around it, forgeries that ask for other periods. */
static void test_kdr(void)
{
	for (int suite = 1; suite <= REF_SUITES; suite++)
		for (uint8_t kdr = 1; kdr <= 24; kdr = kdr < 4 ? kdr + 1 : (uint8_t)(kdr + 10)) {
			struct dp_srtp_params par = {.kdr = kdr, .index_floor = ((uint64_t)3 << kdr) + 65530 - 32};
			struct dp_srtp_key *rx = key_make(suite, DP_DIR_RECV, 4, par), *tx = key_make(suite, DP_DIR_SEND, 4, par);
			struct ref ref = ref_of(suite, 4);
			static uint8_t data[64][64 + ROOM];
			struct dp_srtp_pkt pkts[64];
			uint64_t base = par.index_floor + 1;

			ref.kdr = kdr;
			for (unsigned int i = 0; i < 64; i++)
				pkts[i] = pkt_at(data[i], rtp_put(data[i], 5, (uint16_t)(base + i), 30, (uint8_t)i), tx);
			CU_ASSERT_EQUAL(dp_srtp_protect_burst(mb, pkts, 64), 64);
			for (unsigned int i = 0; i < 64; i++) {
				uint8_t q[64 + ROOM];
				size_t len = ref_protect(&ref, q, rtp_put(q, 5, (uint16_t)(base + i), 30, (uint8_t)i), 12, base + i);

				CU_ASSERT(pkts[i].len == len && memcmp(q, data[i], len) == 0);
			}
			for (unsigned int i = 0; i < 64; i++) { /* in pairs, the later first; some forged, all twice */
				unsigned int at = i ^ 3;
				struct dp_srtp_pkt twin[3];
				uint8_t copy[3][64 + ROOM];

				for (int t = 0; t < 3; t++) {
					memcpy(copy[t], data[at], pkts[at].len);
					twin[t] = pkt_at(copy[t], pkts[at].len, rx);
				}
				copy[0][pkts[at].len - 1] ^= 1;
				CU_ASSERT_EQUAL(dp_srtp_unprotect_burst(mb, twin, 3), 1);
				CU_ASSERT(twin[0].verdict == DP_DROP_AUTH && twin[1].verdict == DP_OK && twin[2].verdict == DP_DROP_REPLAY);
				CU_ASSERT(twin[1].index == base + at && copy[1][20] == (uint8_t)at);
			}
			for (uint32_t i = 0; i < 20; i++) {
				CU_ASSERT_EQUAL(send_rtcp_to(rx, &ref, 5, i ^ 1), DP_OK);
				CU_ASSERT_EQUAL(sent_rtcp_by(tx, &ref, 5, i + 1), DP_OK);
			}
			key_free(rx);
			key_free(tx);
		}
}

/* Counted apart; told once before, once at the end; nothing passes then, received or sent. */
static void test_lifetime(void)
{
	for (size_t s = 0; s < SOME; s++)
		for (int rtcp = 0; rtcp < 2; rtcp++) {
			struct dp_srtp_params par = {.lifetime = 10};
			struct dp_srtp_key *tx = key_make(some[s], DP_DIR_SEND, 1, par), *rx = key_make(some[s], DP_DIR_RECV, 1, par);
			struct ref ref = ref_of(some[s], 1), next = ref_of(some[s], 2);
			struct dp_srtp_event ev[DP_SRTP_EVENTS];
			unsigned int soon[2] = {0, 0}, expired[2] = {0, 0};

			for (uint32_t i = 1; i <= 13; i++) {
				struct dp_srtp_key **k[2] = {&rx, &tx};
				uint8_t want = i <= 10 ? DP_OK : DP_DROP_KEY_LIMIT;

				CU_ASSERT_EQUAL(rtcp ? send_rtcp_to(rx, &ref, 5, i) : send_to(rx, &ref, 5, i), want);
				CU_ASSERT_EQUAL(rtcp ? sent_rtcp_by(tx, &ref, 5, i) : sent_by(tx, &ref, 5, i), want);
				for (int d = 0; d < 2; d++) {
					unsigned int n = (*k[d])->pending != 0 ? dp_srtp_keys_service(k[d], 1, ev) : 0;

					for (unsigned int e = 0; e < n; e++) {
						CU_ASSERT_EQUAL(ev[e].rtcp, rtcp);
						CU_ASSERT_EQUAL(ev[e].ssrc, rtcp && d == 1 ? 0 : 5); /* who sends RTCP alone has no stream */
						soon[d] += ev[e].kind == DP_LEG_KEY_SOON;
						expired[d] += ev[e].kind == DP_LEG_KEY_EXPIRED;
						CU_ASSERT_EQUAL(ev[e].index, ev[e].kind == DP_LEG_KEY_SOON ? 5 : 10);
					}
				}
				CU_ASSERT(soon[0] == (i >= 5) && soon[1] == (i >= 5));
				CU_ASSERT(expired[0] == (i >= 10) && expired[1] == (i >= 10));
			}
			/* forgeries count nothing; the other kind is still good */
			CU_ASSERT_EQUAL(rtcp ? send_to(rx, &ref, 5, 20) : send_rtcp_to(rx, &ref, 5, 20), DP_OK);
			key_free(rx);
			/* a key on standby takes over within the burst that uses the first one up */
			(void)set(&tx, key_make(some[s], DP_DIR_SEND, 2, (struct dp_srtp_params){.flags = DP_KEY_F_STANDBY}),
				  DP_KEY_F_ADD | DP_KEY_F_STANDBY, 0, false);
			CU_ASSERT_EQUAL(rtcp ? sent_rtcp_by(tx, &next, 5, 11) : sent_by(tx, &next, 5, 11), DP_OK);
			list_free(&tx);
		}
	CU_ASSERT_EQUAL(dp_srtp_soon((uint64_t)1 << 48), (uint64_t)1 << 42);
	CU_ASSERT_EQUAL(dp_srtp_soon((uint64_t)1 << 20), 65536);
	CU_ASSERT_EQUAL(dp_srtp_soon(65536), 32768);
	CU_ASSERT_EQUAL(dp_srtp_soon(1), 0);
}

/* The index spaces' ends are told before they are reached. */
static void test_index_soon(void)
{
	struct dp_srtp_params par = {.index_floor = DP_SRTP_INDEX_SOON - 1, .rtcp_floor = DP_SRTCP_INDEX_SOON - 1};
	struct dp_srtp_key *tx = key_make(1, DP_DIR_SEND, 1, par);
	struct dp_srtp_event ev[DP_SRTP_EVENTS];

	(void)dp_srtp_keys_service(&tx, 1, ev); /* the lifetime, which floors count against */
	tx->told = 0;
	CU_ASSERT_EQUAL(sent_by(tx, NULL, 5, DP_SRTP_INDEX_SOON), DP_OK);
	CU_ASSERT_EQUAL(tx->pending & DP_SRTP_P_SOON, 0);
	CU_ASSERT_EQUAL(sent_by(tx, NULL, 5, DP_SRTP_INDEX_SOON + 1), DP_OK);
	CU_ASSERT_EQUAL(tx->pending & DP_SRTP_P_SOON, DP_SRTP_P_SOON);
	CU_ASSERT_EQUAL(sent_rtcp_by(tx, NULL, 5, 0), DP_OK);
	CU_ASSERT_EQUAL(sent_rtcp_by(tx, NULL, 5, 0), DP_OK);
	CU_ASSERT_EQUAL(tx->pending & DP_SRTP_P_RTCP_SOON, DP_SRTP_P_RTCP_SOON);
	key_free(tx);
}

static void test_signalled_roc(void)
{
	for (size_t s = 0; s < SOME; s++)
		for (uint32_t turned = 0; turned < 2; turned++) {
			struct dp_srtp_params par = {.flags = DP_KEY_F_HAVE_ROC, .roc = 7};
			struct dp_srtp_key *rx = key_make(some[s], DP_DIR_RECV, 1, par), *tx = key_make(some[s], DP_DIR_SEND, 1, par);
			struct ref ref = ref_of(some[s], 1);
			uint64_t first = turned ? (uint64_t)8 << 16 | 3 : (uint64_t)7 << 16 | 50000;

			CU_ASSERT_EQUAL(dp_srtp_key_top(rx), 0);
			CU_ASSERT_EQUAL(send_to(rx, &ref, 5, (first & 0xffff) | (uint64_t)5 << 16), DP_DROP_AUTH);
			CU_ASSERT_EQUAL(rx->stream_cnt, 0);
			CU_ASSERT_EQUAL(send_to(rx, &ref, 5, first), DP_OK);
			CU_ASSERT_EQUAL(send_to(rx, &ref, 5, first), DP_DROP_REPLAY);
			CU_ASSERT_EQUAL(send_to(rx, &ref, 5, first - 2), DP_OK);
			CU_ASSERT_EQUAL(send_to(rx, &ref, 5, first + 20000), DP_OK);
			CU_ASSERT_EQUAL(send_to(rx, &ref, 6, first), DP_OK); /* every stream that begins */
			CU_ASSERT_EQUAL(sent_by(tx, &ref, 5, (uint64_t)7 << 16 | 65530), DP_OK);
			CU_ASSERT_EQUAL(sent_by(tx, &ref, 5, (uint64_t)8 << 16 | 2), DP_OK);
			key_free(rx);
			key_free(tx);
		}
}

/* Hundreds of SSRCs, each with a window of its own; one too many is an event a minute; both directions have their own. */
static void test_many_ssrcs(void)
{
	enum { MANY = 1024 };
	struct dp_srtp_key *rx = key_make(1, DP_DIR_RECV, 1, (struct dp_srtp_params){.ssrc_max = MANY});
	struct dp_srtp_key *tx = key_make(1, DP_DIR_SEND, 2, (struct dp_srtp_params){.ssrc_max = MANY});
	struct ref ref = ref_of(1, 1), out = ref_of(1, 2), new = ref_of(1, 3);
	struct dp_srtp_event ev[DP_SRTP_EVENTS];
	uint64_t r = 3;
	int wrong = 0;

	for (uint32_t i = 0; i < MANY; i++) {
		wrong += send_to(rx, &ref, i * 0x10001, 100 + i % 50) != DP_OK;
		wrong += sent_by(tx, &out, i * 0x10001, 100 + i % 50) != DP_OK; /* a collision of SSRCs is none of keys */
	}
	for (int n = 0; n < 3000; n++) {
		uint32_t i = (uint32_t)(rnd(&r) % MANY);

		wrong += send_to(rx, &ref, i * 0x10001, 100 + i % 50) != DP_DROP_REPLAY;
		wrong += sent_by(tx, NULL, i * 0x10001, 100 + i % 50) != DP_DROP_REPLAY;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(rx->stream_cnt, MANY);
	CU_ASSERT_EQUAL(rx->pending, 0);
	for (uint32_t now = 0; now < 180; now += 20) {
		CU_ASSERT_EQUAL(send_to(rx, &new, 77, 1), DP_DROP_AUTH); /* whoever has no key refuses nobody a place */
		CU_ASSERT_EQUAL(rx->pending, 0);
		CU_ASSERT_EQUAL(send_to(rx, &ref, 77, 1), DP_DROP_NO_STREAM);
		CU_ASSERT_EQUAL(dp_srtp_keys_service(&rx, now, ev), now % 60 == 0);
		if (now % 60 == 0)
			CU_ASSERT(ev[0].kind == DP_LEG_SSRC_LIMIT && ev[0].ssrc == 77);
	}
	CU_ASSERT_EQUAL(sent_by(tx, NULL, 77, 1), DP_DROP_NO_STREAM);
	/* all of them go over to the next key, and to another worker's pool */
	(void)set(&rx, key_make(1, DP_DIR_RECV, 3, NONE), DP_KEY_F_KEEP_ROC, 0, false);
	struct dp_srtp_pool *other = dp_srtp_pool_create(16, 0);
	dp_srtp_keys_leave(rx);
	dp_srtp_keys_enter(rx, other);
	for (uint32_t i = 0; i < MANY; i++) {
		wrong += send_to(rx, &new, i * 0x10001, 100 + i % 50) != DP_DROP_REPLAY;
		wrong += send_to(rx, &new, i * 0x10001, 101 + i % 50) != DP_OK;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	dp_srtp_keys_leave(rx);
	dp_srtp_keys_enter(rx, pool);
	dp_srtp_pool_destroy(other);
	dp_srtp_keys_ssrcs(rx, 0);
	CU_ASSERT_EQUAL(rx->ssrc_max, DP_SRTP_SSRCS);
	list_free(&rx);
	key_free(tx);
	/* what they had is free again */
	for (int pass = 0; pass < 6; pass++) {
		rx = key_make(1, DP_DIR_RECV, 1, (struct dp_srtp_params){.ssrc_max = MANY});
		for (uint32_t i = 0; i < MANY; i++)
			wrong += send_to(rx, &ref, i, 1) != DP_OK;
		list_free(&rx);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

/* Windows of every size, first stream and further ones, against a model that remembers everything; and over a re-key. */
static void test_windows(void)
{
	static const uint16_t sizes[] = {64, 65, 128, 192, 193, 448, 449, 1000, 4032, 4096};

	for (size_t w = 0; w < sizeof(sizes) / sizeof(sizes[0]); w++) {
		struct dp_srtp_pool *own = dp_srtp_pool_create(4, sizes[w]);
		struct dp_srtp_params par = {.window = sizes[w], .pool = own};
		struct dp_srtp_key *rx = key_make(DP_AEAD_AES_128_GCM, DP_DIR_RECV, 1, par);
		struct ref ref = ref_of(DP_AEAD_AES_128_GCM, 1);
		static bool seen[2][200000];
		uint64_t top[2] = {0, 0}, r = w + 1;
		int wrong = 0, stale = 0, back = 0;

		memset(seen, 0, sizeof(seen));
		for (int n = 0; n < 6000; n++) {
			int s = rnd(&r) % 2;
			uint64_t idx = top[s] + rnd(&r) % 40, far = rnd(&r) % (sizes[w] + 20u);
			uint8_t want = DP_OK;

			if (rnd(&r) % 2 == 0 && top[s] > far)
				idx = top[s] - far;
			if (idx <= top[s] && top[s] - idx >= sizes[w])
				want = DP_DROP_STALE;
			else if (seen[s][idx])
				want = DP_DROP_REPLAY;
			wrong += send_to(rx, &ref, 5 + (uint32_t)s, idx) != want;
			stale += want == DP_DROP_STALE;
			back += want == DP_OK && idx < top[s];
			if (want == DP_OK) {
				seen[s][idx] = true;
				if (idx > top[s])
					top[s] = idx;
			}
			if (n == 3000) {
				(void)set(&rx, key_make(DP_AEAD_AES_128_GCM, DP_DIR_RECV, 2, par), DP_KEY_F_KEEP_ROC, 0, false);
				ref = ref_of(DP_AEAD_AES_128_GCM, 2);
			}
		}
		CU_ASSERT_EQUAL(wrong, 0);
		CU_ASSERT(stale > 5 && back > 500);
		list_free(&rx);
		dp_srtp_pool_destroy(own);
	}
}

/* Floors after a restart, with several keys: the highest holds, and nothing at or below it passes. */
static void test_restart(void)
{
	const uint8_t mki[2][2] = {{1}, {2}};
	struct dp_srtp_key *tx = NULL;
	struct ref ref = ref_of(3, 2);
	struct dp_srtp_params par = with_mki(mki[0], 2);

	par.index_floor = 70000;
	par.rtcp_floor = 30;
	(void)set(&tx, key_make(3, DP_DIR_SEND, 1, par), 0, 0, true);
	par = with_mki(mki[1], 2);
	par.index_floor = 80000;
	par.rtcp_floor = 40;
	(void)set(&tx, key_make(3, DP_DIR_SEND, 2, par), DP_KEY_F_ADD, 0, false);
	ref.mki_len = 2;
	memcpy(ref.mki, mki[1], 2);
	CU_ASSERT_NOT_EQUAL(sent_by(tx, NULL, 5, 75000), DP_OK);
	CU_ASSERT_NOT_EQUAL(sent_by(tx, NULL, 5, 80000), DP_OK);
	CU_ASSERT_EQUAL(sent_by(tx, &ref, 5, 80001), DP_OK);
	CU_ASSERT_EQUAL(sent_rtcp_by(tx, &ref, 5, 41), DP_OK);
	list_free(&tx);
}

static void *slab_mem(size_t bytes)
{
	return aligned_alloc(64, bytes);
}

/* What a key takes beyond its record comes back wiped, and is used again. */
static void test_memory(void)
{
	struct dp_srtp_slab *slab = dp_srtp_slab_create(slab_mem, free);
	const uint8_t mki[128] = {7};
	size_t held = 0;

	for (int pass = 0; pass < 20; pass++) {
		struct dp_srtp_key *key[REF_SUITES * 8];
		unsigned int n = 0;

		for (int suite = 1; suite <= REF_SUITES; suite++)
			for (int with = 0; with < 8; with++) {
				struct dp_srtp_params par = {.slab = slab, .mki = mki, .mki_len = with & 1 ? 128 : 0,
							     .kdr = with & 2 ? 3 : 0, .window = with & 4 ? 4096 : 0};

				key[n++] = key_make(suite, DP_DIR_SEND, 1, par);
				CU_ASSERT_EQUAL(key[n - 1]->ext == NULL, with == 0 && (suite <= 2 || suite >= DP_NULL_HMAC_SHA1_80));
			}
		CU_ASSERT(dp_srtp_slab_used(slab) > 0);
		while (n > 0) {
			uint8_t *ext = key[--n]->ext;
			size_t size = dp_srtp_ext_size(key[n]);

			key_free(key[n]);
			for (size_t i = 8; i < size; i++) /* the first word links what is free */
				if (ext[i] != 0) {
					CU_FAIL("not wiped");
					break;
				}
		}
		CU_ASSERT_EQUAL(dp_srtp_slab_used(slab), 0);
		if (pass == 0)
			held = dp_srtp_slab_held(slab);
		CU_ASSERT_EQUAL(dp_srtp_slab_held(slab), held);
	}
	dp_srtp_slab_destroy(slab);
	dp_srtp_slab_destroy(NULL);
}

static CU_TestInfo tests[] = {
	{"re-key that keeps the ROC: no packet lost, none twice", test_rekey_keeps},
	{"three keys at a time", test_third_key},
	{"re-key with fresh streams: the old key keeps its own", test_rekey_fresh},
	{"re-key inside a burst is as one by one", test_rekey_in_burst},
	{"MKI of every length, keys beside each other", test_mki},
	{"the same key again uses no index twice", test_same_again},
	{"From and To", test_ranges},
	{"derivation rates", test_kdr},
	{"lifetimes: told once before and once at the end", test_lifetime},
	{"the end of an index space is told before", test_index_soon},
	{"a ROC from signalling", test_signalled_roc},
	{"a thousand SSRCs", test_many_ssrcs},
	{"windows of 64 to 4,096 packets", test_windows},
	{"floors after a restart, several keys", test_restart},
	{"extension blocks are wiped and used again", test_memory},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("srtp_keys", tests, fix_setup, fix_teardown)
