/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/ipsec/sa.c: fields are checked, numbers survive replacement, keys do not survive wiping. */
#include <errno.h>
#include <stddef.h>

#include "esp_fix.h"
#include "ipsec/iphdr.h"

static struct dp_sa_set base(int dir, int alg)
{
	struct dp_sa_set s = mkset(dir, alg, DP_ESP_TUNNEL, 4, 4, false, false);

	s.seq_limit = 1000;
	return s;
}

#define F(field, v)  {offsetof(struct dp_sa_set, field), sizeof(((struct dp_sa_set *)0)->field), v, -EBADMSG}
#define OK(field, v) {offsetof(struct dp_sa_set, field), sizeof(((struct dp_sa_set *)0)->field), v, 0}

static void test_fields(void)
{
	static const struct {
		size_t at, size;
		uint64_t v;
		int rc;
	} cases[] = {
		F(sa_id, DP_SA_MAX), OK(sa_id, DP_SA_MAX - 1), F(spi, 0), F(spi, 255), OK(spi, 256),
		OK(spi, UINT32_MAX), F(gw_id, DP_GW_MAX), OK(gw_id, 0), OK(gw_id, UINT32_MAX), F(dir, 2),
		F(alg, 0), F(alg, DP_ESP_ALG_MAX), F(mode, 0), F(mode, DP_ESP_MODE_MAX), F(esn, 2),
		F(shard, DP_SHARDS), OK(shard, DP_SHARDS - 1), F(replay_window, 63), OK(replay_window, 64),
		OK(replay_window, 193), OK(replay_window, 4096), F(replay_window, 4097), F(seq_floor, 1ull << 32),
		OK(seq_floor, UINT32_MAX), OK(seq_limit, UINT64_MAX), F(local.family, 0), F(local.family, 5),
		F(local.family, 6), F(remote.family, 6), F(local.port, 4500), F(remote.port, 4500),
		F(local.zero[2], 1), F(remote.ip[4], 1), F(local.ip[15], 1), F(sel_local.family, 6),
		F(sel_local.family, 7), F(sel_local.zero[0], 1), F(sel_local_plen, 33), OK(sel_local_plen, 32),
		F(sel_remote_plen, 129), F(sel_remote.ip[9], 3), F(zero, 1), F(tfc, 1401), F(flags, 2), F(flags, 1), F(key[16], 1), F(key[31], 1),
		OK(hard_bytes, 1), OK(hard_s, 1), OK(hard_pkts, 1), OK(soft_bytes, UINT64_MAX), OK(soft_s, 1), OK(soft_pkts, 1), OK(age_s, UINT64_MAX), OK(sel_proto, 255),
	};
	struct dp_sa *sa = aligned_alloc(64, (sizeof(*sa) + 63) & ~(size_t)63);
	static const struct dp_sa none;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (int dir = 0; dir < 2; dir++) {
			struct dp_sa_set s = base(dir, 1 + (int)i % 2);
			uint8_t *at = (uint8_t *)&s + cases[i].at;

			for (size_t k = 0; k < cases[i].size; k++) /* little-endian, as the channel's machine is */
				at[k] = (uint8_t)(cases[i].v >> (8 * k));
			CU_ASSERT_EQUAL(dp_sa_init(sa, mb, &s), cases[i].rc);
			/* Refused: no key in it. */
			CU_ASSERT(cases[i].rc == 0 || memcmp(&sa->key, &none.key, sizeof(sa->key)) == 0);
			dp_sa_wipe(sa);
		}
	/* Every algorithm has as many bytes of key, salt and authentication key as the peer thinks, and nothing behind them. */
	for (int alg = 1; alg < DP_ESP_ALG_MAX; alg++) {
		struct dp_sa_set s = base(0, alg);
		struct peer_alg a = peer_alg(&s);
		const struct {
			uint8_t *at;
			size_t len, max;
		} parts[] = {{s.key, a.key, sizeof(s.key)}, {s.salt, a.salt, sizeof(s.salt)}, {s.auth, a.auth, sizeof(s.auth)}};

		CU_ASSERT_EQUAL(dp_sa_init(sa, mb, &s), 0);
		for (size_t p = 0; p < 3; p++)
			for (size_t k = parts[p].len; k < parts[p].max; k++) {
				parts[p].at[k] = 1;
				CU_ASSERT_EQUAL(dp_sa_init(sa, mb, &s), -EBADMSG);
				parts[p].at[k] = 0;
			}
		/* Ports need a protocol that has some. */
		s = base(0, alg);
		s.sel_local.port = 2427;
		CU_ASSERT_EQUAL(dp_sa_init(sa, mb, &s), 0);
		s.sel_proto = 17;
		CU_ASSERT_EQUAL(dp_sa_init(sa, mb, &s), 0);
		s.sel_proto = 1;
		CU_ASSERT_EQUAL(dp_sa_init(sa, mb, &s), -EBADMSG);
		/* Transport mode carries the outer family only. */
		s = mkset(0, alg, DP_ESP_TRANSPORT, 4, 4, false, false);
		s.sel_local.family = s.sel_remote.family = 6;
		CU_ASSERT_EQUAL(dp_sa_init(sa, mb, &s), -EBADMSG);
		s.sel_local.family = s.sel_remote.family = 0;
		s.sel_local.ip[0] = 1; /* no family, but an address */
		CU_ASSERT_EQUAL(dp_sa_init(sa, mb, &s), -EBADMSG);
	}
	dp_sa_wipe(sa);
	free(sa);
}

/* No 16 bytes of key, salt or key schedule stay behind. */
static void test_wipe(void)
{
	for (int alg = 1; alg < DP_ESP_ALG_MAX; alg++)
		for (int dir = 0; dir < 2; dir++) {
			struct dp_sa_set s = base(dir, alg);
			struct dp_sa *sa = mksa(&s);
			static const struct dp_sa none;

			CU_ASSERT_NOT_EQUAL(memcmp(sa, &none, sizeof(*sa)), 0);
			dp_sa_wipe(sa);
			CU_ASSERT_EQUAL(memcmp(sa, &none, sizeof(*sa)), 0);
			free(sa);
		}
}

static void test_grants(void)
{
	struct dp_sa_set s = base(DP_DIR_SEND, 1);
	struct dp_sa *sa;

	s.seq_floor = s.seq_limit = 0;
	sa = mksa(&s); /* nothing granted yet: asks at once, and again with each tick */
	CU_ASSERT_FALSE(dp_sa_live(sa));
	CU_ASSERT_EQUAL(dp_sa_take_events(sa), DP_SA_EV(DP_SA_WANT_GRANT));
	CU_ASSERT_EQUAL(dp_sa_take_events(sa), 0);
	dp_sa_tick(sa, 1);
	CU_ASSERT_EQUAL(dp_sa_take_events(sa), DP_SA_EV(DP_SA_WANT_GRANT));
	CU_ASSERT_EQUAL(dp_sa_grant(sa, s.spi + 1, 100), -EPROTO);
	CU_ASSERT_EQUAL(dp_sa_grant(sa, s.spi, 100), 0);
	CU_ASSERT_TRUE(dp_sa_live(sa));
	CU_ASSERT_EQUAL(sa->want_at, 50);
	dp_sa_tick(sa, 2);
	CU_ASSERT_EQUAL(dp_sa_take_events(sa), 0);
	CU_ASSERT_EQUAL(dp_sa_grant(sa, s.spi, 60), 0); /* lower: an old message */
	CU_ASSERT_EQUAL(sa->seq_limit, 100);
	CU_ASSERT_EQUAL(dp_sa_grant(sa, s.spi, 300), 0);
	CU_ASSERT_EQUAL(sa->want_at, 200); /* half of the last grant */
	CU_ASSERT_EQUAL(dp_sa_grant(sa, s.spi, UINT64_MAX), 0);
	CU_ASSERT_EQUAL(sa->seq_limit, UINT32_MAX); /* without ESN there are no more */
	CU_ASSERT_EQUAL(sa->want_at, UINT64_MAX);
	free(sa);
	s.dir = DP_DIR_RECV;
	sa = mksa(&s);
	CU_ASSERT_EQUAL(dp_sa_grant(sa, s.spi, 100), -EPROTO);
	CU_ASSERT_EQUAL(dp_sa_take_events(sa), 0);
	free(sa);
}

static void test_time(void)
{
	struct dp_sa_set s = base(DP_DIR_RECV, 1);
	struct dp_sa *sa;

	s.hard_s = 10;
	sa = mksa(&s);
	CU_ASSERT_FALSE(dp_sa_tick(sa, 0)); /* a clock that starts at 0 */
	CU_ASSERT_FALSE(dp_sa_tick(sa, 9));
	CU_ASSERT_TRUE(dp_sa_live(sa));
	CU_ASSERT_TRUE(dp_sa_tick(sa, 10));
	CU_ASSERT_FALSE(dp_sa_live(sa));
	CU_ASSERT_EQUAL(dp_sa_take_events(sa), DP_SA_EV(DP_SA_HARD_EXPIRED));
	CU_ASSERT_FALSE(dp_sa_tick(sa, 11)); /* once */
	CU_ASSERT_EQUAL(dp_sa_take_events(sa), 0);
	free(sa);
	/* Soft before hard, and what it had lived before it came here counts; once in its life, whoever sets it again. */
	s.hard_s = 100;
	s.soft_s = 90;
	s.age_s = 80;
	sa = mksa(&s);
	CU_ASSERT_FALSE(dp_sa_tick(sa, 5)); /* a clock that has not come so far */
	CU_ASSERT_FALSE(dp_sa_tick(sa, 14));
	CU_ASSERT_EQUAL(dp_sa_take_events(sa), 0);
	CU_ASSERT_FALSE(dp_sa_tick(sa, 15));
	CU_ASSERT_EQUAL(dp_sa_take_events(sa), DP_SA_EV(DP_SA_SOFT_EXPIRED));
	CU_ASSERT(sa->soft == DP_SA_WHY_TIME && sa->dead == 0);
	CU_ASSERT_FALSE(dp_sa_tick(sa, 16));
	CU_ASSERT_EQUAL(dp_sa_take_events(sa), 0);
	CU_ASSERT_TRUE(dp_sa_tick(sa, 25));
	CU_ASSERT_EQUAL(dp_sa_take_events(sa), DP_SA_EV(DP_SA_HARD_EXPIRED));
	CU_ASSERT_EQUAL(sa->dead, DP_SA_WHY_TIME);
	s.age_s = 0;
	struct dp_sa *next = mksa(&s);
	CU_ASSERT_TRUE(dp_sa_inherit(next, sa));
	CU_ASSERT_EQUAL(next->dead, DP_SA_WHY_TIME);
	CU_ASSERT_EQUAL(dp_sa_take_events(next), DP_SA_EV(DP_SA_HARD_EXPIRED) | DP_SA_EV(DP_SA_SOFT_EXPIRED));
	free(next);
	s.hard_s = 1000; /* given more time: its age is the old one */
	next = mksa(&s);
	CU_ASSERT_TRUE(dp_sa_inherit(next, sa));
	CU_ASSERT_TRUE(dp_sa_live(next));
	CU_ASSERT_FALSE(dp_sa_tick(next, 924));
	CU_ASSERT_TRUE(dp_sa_tick(next, 925));
	free(next);
	free(sa);
	s.hard_s = s.soft_s = 0;
	sa = mksa(&s);
	dp_sa_tick(sa, 1);
	CU_ASSERT_FALSE(dp_sa_tick(sa, UINT64_MAX));
	free(sa);
}

/* SA_SET again. What was used under a key stays used, whatever else the new message says. */
static void test_inherit(void)
{
	for (int alg = 1; alg < DP_ESP_ALG_MAX; alg++) {
		struct dp_sa_set s = base(DP_DIR_SEND, alg), t;
		struct dp_sa *old = mksa(&s), *sa;

		old->seq = 500;
		old->pkts = 77;
		sa = mksa(&s);
		CU_ASSERT_TRUE(dp_sa_inherit(sa, old));
		CU_ASSERT(sa->seq == 500 && sa->seq_limit == 1000 && sa->pkts == 77);
		CU_ASSERT_EQUAL(memcmp(sa->iv_mask, old->iv_mask, 16), 0);
		free(sa);
		t = s;
		t.spi++;
		t.seq_limit = 400; /* below what is used */
		t.esn = 1;
		sa = mksa(&t);
		CU_ASSERT_TRUE(dp_sa_inherit(sa, old));
		CU_ASSERT_EQUAL(sa->seq, 500);
		CU_ASSERT_FALSE(dp_sa_live(sa));
		CU_ASSERT(sa->events & DP_SA_EV(DP_SA_WANT_GRANT));
		free(sa);
		for (int k = 0; k < 3; k++) { /* another key, another second half of it */
			struct peer_alg a = peer_alg(&s);

			if ((k == 0 ? a.key : k == 1 ? a.salt : a.auth) == 0)
				continue;
			/* Another key of the HMAC does not make CTR's counter blocks others. */
			if (k == 2 && a.kind == PEER_CTR)
				continue;
			t = s;
			*(k == 0 ? t.key : k == 1 ? t.salt : t.auth) ^= 1;
			sa = mksa(&t);
			CU_ASSERT_FALSE(dp_sa_inherit(sa, old));
			CU_ASSERT(sa->seq == 0 && sa->pkts == 0);
			free(sa);
		}
		for (int other = 1; other < DP_ESP_ALG_MAX; other++) { /* the same key in another algorithm */
			struct peer_alg a = peer_alg(&s), b;
			bool counts;

			t = mkset(DP_DIR_SEND, other, DP_ESP_TUNNEL, 4, 4, false, false);
			b = peer_alg(&t);
			memset(t.key, 0, sizeof(t.key));
			memcpy(t.key, s.key, b.key < a.key ? b.key : a.key);
			if (b.salt > 0)
				memcpy(t.salt, s.salt, 4);
			memset(t.auth, 0, sizeof(t.auth));
			memcpy(t.auth, s.auth, b.auth < a.auth ? b.auth : a.auth);
			sa = mksa(&t);
			/* GCM and CTR share the space of counter blocks. */
			counts = a.salt > 0 && b.salt > 0 && a.key == b.key;
			CU_ASSERT_EQUAL(dp_sa_inherit(sa, old), counts || other == alg);
			CU_ASSERT_EQUAL(sa->seq, counts || other == alg ? 500 : 0);
			free(sa);
		}
		free(old);

		s.dir = DP_DIR_RECV;
		old = mksa(&s);
		CU_ASSERT_EQUAL(dp_replay_commit(&old->win, 300), 0);
		sa = mksa(&s);
		CU_ASSERT_TRUE(dp_sa_inherit(sa, old));
		CU_ASSERT_EQUAL(memcmp(&sa->win, &old->win, sizeof(sa->win)), 0);
		free(sa);
		s.seq_floor = 5000; /* the message knows of a higher one */
		sa = mksa(&s);
		CU_ASSERT_TRUE(dp_sa_inherit(sa, old));
		CU_ASSERT_EQUAL(dp_sa_seq(sa), 5000);
		free(sa);
		free(old);
	}
}

/* A window that is replaced by one of another size: every number that passed stays refused, and those that did not may come. */
static void test_inherit_window(void)
{
	static const uint16_t sizes[] = {64, 100, 192, 193, 1024, 4096};

	for (size_t a = 0; a < 6; a++)
		for (size_t b = 0; b < 6; b++)
			for (uint64_t floor = 0; floor < 10000; floor += 4999) {
				struct dp_sa_set s = base(DP_DIR_RECV, 1), t;
				uint64_t top = floor + 3000, n = sizes[a] < sizes[b] ? sizes[a] : sizes[b];
				static bool seen[20000];
				struct dp_sa *old, *sa;

				s.seq_floor = floor;
				s.replay_window = sizes[a];
				old = mksa(&s);
				memset(seen, 0, sizeof(seen));
				for (uint64_t i = floor + 1; i <= top; i++)
					if (i == top || rnd(3) != 0)
						seen[i] = dp_replay_commit_in(&old->win.top, dp_sa_seen(old), old->win_words, old->window, i) == 0;
				t = s;
				t.seq_floor = 0;
				t.replay_window = sizes[b];
				sa = mksa(&t);
				CU_ASSERT_TRUE(dp_sa_inherit(sa, old));
				CU_ASSERT_EQUAL(dp_sa_seq(sa), top);
				CU_ASSERT_EQUAL(dp_sa_window_bytes(sa), sizes[b] <= 192 ? 0 : 8 * dp_replay_words(sizes[b]));
				for (uint64_t i = 1; i <= top; i++) {
					int rc = dp_replay_check_in(sa->win.top, dp_sa_seen(sa), sa->win_words, sa->window, i);

					CU_ASSERT(rc < 0 || !(seen[i] || i <= floor));
					CU_ASSERT(rc == 0 || seen[i] || i <= floor || top - i >= n);
				}
				CU_ASSERT_EQUAL(dp_replay_check_in(sa->win.top, dp_sa_seen(sa), sa->win_words, sa->window, top + 1), 0);
				dp_sa_wipe(old);
				dp_sa_wipe(sa);
				free(old);
				free(sa);
			}
}

/* Prefix lengths against the definition: the first 'plen' bits are equal. */
static void test_prefixes(void)
{
	for (int fam = 4; fam <= 6; fam += 2)
		for (int plen = 0; plen <= (fam == 4 ? 32 : 128); plen++) {
			struct dp_sa_set s = mkset(DP_DIR_SEND, 1, DP_ESP_TUNNEL, 4, fam, false, false);
			int bits = fam == 4 ? 32 : 128, at = fam == 4 ? 12 : 8;
			struct dp_sa *sa;

			rnd_fill(s.sel_local.ip, (size_t)bits / 8);
			s.sel_local_plen = (uint8_t)plen;
			sa = mksa(&s);
			for (int bit = 0; bit < bits; bit++) {
				uint8_t ip[40] = {fam == 4 ? 0x45 : 0x60};
				struct dp_iphdr h = {.version = (uint8_t)fam, .proto = 17, .total = 100, .len = 40};

				memcpy(ip + at, s.sel_local.ip, (size_t)bits / 8);
				ip[at + bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
				CU_ASSERT_EQUAL(dp_sa_select(sa, ip, &h), bit < plen ? DP_DROP_ESP_SELECTOR : DP_OK);
			}
			free(sa);
		}
}

static void test_tfc_and_keepalive_fields(void)
{
	for (int i = 0; i < 8; i++) {
		int dir = i & 1, mode = i & 2 ? DP_ESP_TUNNEL : DP_ESP_TRANSPORT;
		struct dp_sa_set s = mkset(dir, 1, mode, 4, 4, i & 4, false), t = s;
		struct dp_sa *sa = aligned_alloc(64, (sizeof(*sa) + 63) & ~(size_t)63);

		s.tfc = 1400;
		CU_ASSERT_EQUAL(dp_sa_init(sa, mb, &s), dir == DP_DIR_SEND && mode == DP_ESP_TUNNEL ? 0 : -EBADMSG);
		t.flags = DP_SA_F_KEEPALIVE;
		CU_ASSERT_EQUAL(dp_sa_init(sa, mb, &t), dir == DP_DIR_SEND && (i & 4) ? 0 : -EBADMSG);
		free(sa);
	}
}

/* After each 20 s in which nothing was sent; none from one that is dead or not told to. */
static void test_keepalive(void)
{
	struct dp_sa_set s = mkset(DP_DIR_SEND, 1, DP_ESP_TUNNEL, 4, 4, true, false);
	struct dp_sa *sa = mksa(&s);
	unsigned int n = 0;

	for (uint64_t t = 0; t < 100; t++)
		n += dp_sa_keepalive(sa, t);
	CU_ASSERT_EQUAL(n, 0);
	free(sa);
	s.flags = DP_SA_F_KEEPALIVE;
	sa = mksa(&s);
	for (uint64_t t = 1000; t <= 1100; t++) {
		if (t == 1050)
			sa->seq++; /* a packet */
		CU_ASSERT_EQUAL(dp_sa_keepalive(sa, t), t == 1020 || t == 1040 || t == 1070 || t == 1090);
	}
	sa->dead = DP_SA_WHY_TIME;
	CU_ASSERT_FALSE(dp_sa_keepalive(sa, 2000));
	free(sa);
}

static void test_sizes(void)
{
	/* What is read and written per packet before the selectors: three lines, header template included. */
	CU_ASSERT(offsetof(struct dp_sa, sa_id) <= 256);
	CU_ASSERT(offsetof(struct dp_sa, outer) <= 192);
	CU_ASSERT_EQUAL(offsetof(struct dp_sa, key) % 64, 0);
}

static CU_TestInfo tests[] = {
	{"every field is checked", test_fields},
	{"a wiped SA holds nothing", test_wipe},
	{"grants raise the limit and are asked for at half", test_grants},
	{"the lifetime in seconds ends once", test_time},
	{"a replaced SA goes on where the old one is", test_inherit},
	{"a window goes on in one of another size", test_inherit_window},
	{"prefixes mean their first bits", test_prefixes},
	{"who may pad and keep alive", test_tfc_and_keepalive_fields},
	{"keepalives after silence", test_keepalive},
	{"layout", test_sizes},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("sa", tests, fix_setup, fix_teardown)
