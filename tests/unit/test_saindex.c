/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/gateway/saindex.c: finds what a walk over all would find, and looks at a few entries whatever there is. */
#include <CUnit/Basic.h>

#include "gateway/saint.h"

#define MAX 20000
#define FEW 24 /* entries of one chain at one entry per bucket: 20,000 throws give 9 at most, but for odds of 1 to 10^9 */

static struct cp_sas *make(uint32_t max)
{
	struct cp_sas *sas = calloc(1, sizeof(*sas));

	sas->max = max;
	sas->sa = calloc(max + 1, sizeof(*sas->sa));
	sas->secret = calloc(max + 1, sizeof(*sas->secret));
	CU_ASSERT_EQUAL_FATAL(sa_index_init(sas), 0);
	return sas;
}

static void unmake(struct cp_sas *sas)
{
	sa_index_fini(sas);
	free(sas->sa);
	free(sas->secret);
	free(sas);
}

/* Takes what one call looked at. */
static uint64_t looked(struct cp_sas *sas)
{
	uint64_t n = sas->ix.probes;

	sas->ix.probes = 0;
	return n;
}

static void put(struct cp_sas *sas, uint32_t id, uint32_t n, uint8_t dir, uint32_t key, uint32_t gw)
{
	struct sa *sa = &sas->sa[id];

	memset(sa, 0, sizeof(*sa));
	memset(&sas->secret[id], 0, sizeof(*sas->secret));
	memcpy(sas->secret[id].key, &key, sizeof(key));
	sa->used = true;
	sa->rec.dir = dir;
	sa->rec.alg = DP_ESP_AES_GCM_128;
	sa->rec.spi = 0x1000 + n;
	sa->rec.remote.ip[0] = (uint8_t)n;
	snprintf(sa->rec.name, sizeof(sa->rec.name), "sa%u", n);
	snprintf(sa->rec.gateway, sizeof(sa->rec.gateway), "gw%u", gw);
	sa_index_add(sas, id);
}

static void drop(struct cp_sas *sas, uint32_t id)
{
	sa_index_del(sas, id);
	memset(&sas->sa[id], 0, sizeof(sas->sa[0]));
}

static uint32_t by_key(struct cp_sas *sas, uint8_t dir, uint32_t key)
{
	uint8_t id[96];
	struct secret s = {.key = {0}};

	memcpy(s.key, &key, sizeof(key));
	return sa_find_key(sas, dir, id, sa_identity(&s, DP_ESP_AES_GCM_128, id));
}

/* With 20,000 SAs no call looks at more entries than with 200. 'same': one key and one gateway for all inbound ones. */
static void grown(bool same)
{
	struct cp_sas *sas = make(MAX);
	uint64_t worst = 0, n;

	for (uint32_t i = 0; i < MAX; i++) {
		uint32_t id = i % 2 == 0 ? sa_id_low(sas) : sa_id_high(sas);
		struct cfg_addr remote = {.ip = {(uint8_t)i}};
		uint8_t dir = i % 2 == 0 ? DP_DIR_RECV : DP_DIR_SEND;

		CU_ASSERT_EQUAL_FATAL(id, i % 2 == 0 ? i / 2 : MAX - 1 - i / 2);
		put(sas, id, i, dir, same && i % 2 == 0 ? 7 : 100 + i, same ? 1 : i / 2);
		worst = (n = looked(sas)) > worst ? n : worst;
		CU_ASSERT_EQUAL(sa_find_spi(sas, dir, 0x1000 + i, &remote), id);
		worst = (n = looked(sas)) > worst ? n : worst;
		CU_ASSERT_EQUAL(sa_find_name(sas, sas->sa[id].rec.name), id);
		worst = (n = looked(sas)) > worst ? n : worst;
		CU_ASSERT_NOT_EQUAL(by_key(sas, dir, same && i % 2 == 0 ? 7 : 100 + i), SA_NONE);
		worst = (n = looked(sas)) > worst ? n : worst;
		CU_ASSERT_EQUAL(by_key(sas, dir, 1), SA_NONE);
		worst = !same && (n = looked(sas)) > worst ? n : worst;
		looked(sas);
		CU_ASSERT_PTR_NOT_NULL(sa_find_gateway(sas, sas->sa[id].rec.gateway));
		worst = (n = looked(sas)) > worst ? n : worst;
	}
	CU_ASSERT_EQUAL(sa_id_low(sas), SA_NONE);
	CU_ASSERT_EQUAL(sa_id_high(sas), SA_NONE);
	for (uint32_t i = 0; i < MAX; i++) {
		uint32_t id = i * 7919u % MAX; /* every one, in no order */

		drop(sas, id);
		worst = (n = looked(sas)) > worst ? n : worst;
	}
	CU_ASSERT_TRUE(worst > 0 && worst <= FEW);
	CU_ASSERT_EQUAL(sa_id_low(sas), 0);
	CU_ASSERT_EQUAL(sa_id_high(sas), MAX - 1);
	CU_ASSERT_PTR_NULL(sa_find_gateway(sas, "gw1"));
	unmake(sas);
}

static void test_few(void)
{
	grown(false);
	grown(true);
}

/* Against a walk over all, at sizes around the bitmap's words. */
static void test_model(void)
{
	static const uint32_t sizes[] = {1, 2, 63, 64, 65, 128, 200};
	uint32_t rnd = 99;

	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		struct cp_sas *sas = make(sizes[s]);

		for (int step = 0; step < 4000; step++) {
			uint32_t n, low = SA_NONE, high = SA_NONE, spi = SA_NONE, key = SA_NONE, of = 0, seen = 0;
			const struct sa_gateway *g;
			struct cfg_addr remote = {.family = 4};
			char gw[16];

			rnd = rnd * 1664525 + 1013904223;
			n = rnd >> 16 & 63;
			if (rnd >> 30 != 0 && sa_id_low(sas) != SA_NONE)
				put(sas, rnd >> 29 & 1 ? sa_id_low(sas) : sa_id_high(sas), n, rnd >> 15 & 1, rnd >> 12 & 7, rnd >> 9 & 7);
			else if (sas->sa[(rnd >> 8) % sas->max].used)
				drop(sas, (rnd >> 8) % sas->max);
			snprintf(gw, sizeof(gw), "gw%u", rnd >> 9 & 7);
			remote.ip[0] = (uint8_t)n;
			for (uint32_t i = 0; i < sas->max; i++) {
				const struct sa *sa = &sas->sa[i];

				if (!sa->used) {
					low = low == SA_NONE ? i : low;
					high = i;
					continue;
				}
				spi = sa->rec.dir == DP_DIR_SEND && sa->rec.spi == 0x1000 + n ? i : spi;
				key = sa->rec.dir == DP_DIR_RECV && sas->secret[i].key[0] == (rnd >> 12 & 7) ? i : key;
				of += strcmp(sa->rec.gateway, gw) == 0;
			}
			CU_ASSERT_EQUAL(sa_id_low(sas), low);
			CU_ASSERT_EQUAL(sa_id_high(sas), high);
			CU_ASSERT_EQUAL(sa_find_spi(sas, DP_DIR_SEND, 0x1000 + n, &remote) == SA_NONE, spi == SA_NONE);
			CU_ASSERT_EQUAL(by_key(sas, DP_DIR_RECV, rnd >> 12 & 7) == SA_NONE, key == SA_NONE);
			g = sa_find_gateway(sas, gw);
			for (uint32_t i = g != NULL ? g->first : SA_NONE; i != SA_NONE; i = sas->sa[i].next[SA_OF_GATEWAY]) {
				seen++;
				CU_ASSERT_TRUE(sas->sa[i].next[SA_OF_GATEWAY] != SA_NONE || g->last == i);
			}
			CU_ASSERT_EQUAL(seen, of);
		}
		unmake(sas);
	}
}

static CU_TestInfo tests[] = {
	{"no call looks at more than a few of 20,000", test_few},
	{"finds what a walk over all finds", test_model},
	CU_TEST_INFO_NULL,
};
#include "suite.h"
SUITE_MAIN("saindex", tests, NULL, NULL)
