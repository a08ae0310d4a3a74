/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/ipout.c's list: messages of one burst of commands are laid out one after the other and encrypted together. Whatever
 * happens in between (the SA goes, another takes its place, no room in the driver, no buffers), each leaves under the SA that it
 * was made for, with a number of its own, in order, or not at all; never in clear.
 */
#include "gw_fix.h"

#include "ipout.h"
#include "ipsec/iphdr.h"

#define KEYED "inline:a2tra2tra2tra2tra2tra3Nzc3Nzc3Nzc3Nzc3Nz"

static uint64_t last_seq;
static struct dp_sa_set ours, theirs; /* the SA to the gateway, at both ends */

/* Another key: its numbers begin anew. */
static void rekey(uint64_t limit)
{
	static uint8_t fill = 0x90;

	ours = sa_msg(true, false);
	theirs = sa_msg(false, false);
	memset(ours.key, ++fill, 16);
	memset(theirs.key, fill, 16);
	ours.seq_limit = limit;
	theirs.shard = SPI_OUT % 64;
	CU_ASSERT_EQUAL_FATAL(msg(&ours, DP_MSG_SA_SET, sizeof(ours)), 0);
}

static void rekey_there(void)
{
	dp_sa_wipe(gw_rx);
	CU_ASSERT_EQUAL_FATAL(dp_sa_init(gw_rx, mb, &theirs), 0);
	last_seq = 0;
}

/* A command whose key is in its own endpoint's message, which waits in the worker's ring. */
static void key_cmd(void)
{
	CU_ASSERT_EQUAL_FATAL(crcx(true), 0);
}

/* The next packet is such a message, through the gateway's SA, with the number behind the one before. */
static bool key_out(void)
{
	struct out o;
	bool esp = false;
	const char *t;
	uint32_t seq;

	if (!next_out(&o))
		return false;
	CU_ASSERT_FALSE(contains(&o, "CRCX"));
	CU_ASSERT_FALSE(contains(&o, "inline:"));
	CU_ASSERT_FATAL(o.len > 14 + 20 + 8);
	seq = be32(o.data + 14 + 20 + 4);
	CU_ASSERT_EQUAL(seq, last_seq + 1);
	last_seq = seq;
	t = text_of(&o, &esp);
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_TRUE(esp);
	CU_ASSERT_PTR_NOT_NULL(strstr(t, KEYED));
	return true;
}

static unsigned int keys_out(void)
{
	unsigned int n = 0;

	while (key_out())
		n++;
	return n;
}

/* The gateway anew: nothing of it is under way. */
static void anew(void)
{
	struct dp_obj g = {.id = GW, .kind = DP_OBJ_GW};

	(void)msg(&g, DP_MSG_GW_DEL, sizeof(g));
	CU_ASSERT_EQUAL_FATAL(gateway(0), 0);
	sas(1000);
	rekey(1000);
	rekey_there();
	rounds(2);
	host_speaks(0, "10.0.0.7");
	drain_tx();
	done_cnt = 0;
}

static void test_order(void)
{
	anew();
	for (unsigned int i = 0; i < 3; i++)
		key_cmd();
	dp_worker_round(node.worker[SHARD]);
	CU_ASSERT_EQUAL(keys_out(), 3);
	CU_ASSERT_EQUAL(buffers_with(KEYED), 0);
	assert_accounts();
}

/* What was built before it went is encrypted by it; what comes after is refused, in the same burst. */
static void test_sa_gone(void)
{
	struct dp_obj d = {.id = 2, .kind = DP_OBJ_SA};

	anew();
	key_cmd();
	key_cmd();
	CU_ASSERT_EQUAL(msg(&d, DP_MSG_SA_DEL, sizeof(d)), 0);
	key_cmd();
	rounds(2);
	CU_ASSERT_EQUAL(keys_out(), 2);
	CU_ASSERT_EQUAL(done_cnt, 1);
	CU_ASSERT_EQUAL(last_done.result, DP_MGCP_NO_SA);
	CU_ASSERT_EQUAL(buffers_with(KEYED), 0);
	assert_accounts();
}

/* The same SA said again, in between: it goes on where it was. */
static void test_sa_again(void)
{
	anew();
	key_cmd();
	CU_ASSERT_EQUAL(msg(&ours, DP_MSG_SA_SET, sizeof(ours)), 0);
	key_cmd();
	rounds(2);
	CU_ASSERT_EQUAL(keys_out(), 2);
	assert_accounts();
}

/* Another key under the same identifier: each message is in the SA that was there when it was made. */
static void test_sa_other_key(void)
{
	anew();
	key_cmd();
	rekey(1000);
	key_cmd();
	rounds(2);
	CU_ASSERT_TRUE(key_out());
	rekey_there();
	CU_ASSERT_TRUE(key_out());
	CU_ASSERT_FALSE(key_out());
	CU_ASSERT_EQUAL(buffers_with(KEYED), 0);
	assert_accounts();
}

/* The last number is taken by the first of two: the second is told so at once, and nothing of it leaves. */
static void test_last_number(void)
{
	anew();
	rekey(1);
	rekey_there();
	key_cmd();
	key_cmd();
	rounds(2);
	CU_ASSERT_EQUAL(keys_out(), 1);
	CU_ASSERT_EQUAL(done_cnt, 1);
	CU_ASSERT_EQUAL(last_done.result, DP_MGCP_NO_SA);
	CU_ASSERT_EQUAL(buffers_with(KEYED), 0);
	assert_accounts();
}

static void test_tx_full(void)
{
	struct rte_ring *r = tx_ring[0][SHARD];
	uint64_t full = drops(DP_DROP_TX_FULL);
	unsigned int n = 0, out = 0;
	static void *fill[1024];
	void *m;

	anew();
	while (rte_ring_free_count(r) > 2) {
		fill[n] = rte_pktmbuf_alloc(node.pool);
		CU_ASSERT_PTR_NOT_NULL_FATAL(fill[n]);
		CU_ASSERT_EQUAL_FATAL(rte_ring_enqueue(r, fill[n]), 0);
		n++;
	}
	for (unsigned int i = 0; i < 5; i++)
		key_cmd();
	dp_worker_round(node.worker[SHARD]);
	CU_ASSERT_EQUAL(drops(DP_DROP_TX_FULL), full + 3);
	while (n-- > 0 && rte_ring_dequeue(r, &m) == 0)
		rte_pktmbuf_free(m);
	while (rte_ring_dequeue(r, &m) == 0) {
		struct rte_mbuf *p = m;
		const uint8_t *ip = rte_pktmbuf_mtod(p, const uint8_t *) + 14;

		CU_ASSERT_EQUAL(ip[9], IPH_ESP);
		CU_ASSERT_EQUAL(be32(ip + 24), ++last_seq);
		rte_pktmbuf_free(p);
		out++;
	}
	CU_ASSERT_EQUAL(out, 2);
	CU_ASSERT_EQUAL(buffers_with(KEYED), 0);
	assert_accounts();
}

static void test_pool_empty(void)
{
	static struct rte_mbuf *all[4096];
	unsigned int n = 0, out = 0;
	struct out o;
	uint64_t was;

	anew();
	was = dp_page_workers(node.page)[SHARD].esp_out;
	while (n < 4096 && (all[n] = rte_pktmbuf_alloc(node.pool)) != NULL)
		n++;
	CU_ASSERT_FATAL(n > 3 && n < 4096);
	for (unsigned int i = 0; i < 3; i++)
		rte_pktmbuf_free(all[--n]);
	for (unsigned int i = 0; i < 5; i++)
		key_cmd();
	dp_worker_round(node.worker[SHARD]);
	CU_ASSERT_EQUAL(dp_page_workers(node.page)[SHARD].esp_out, was + 3);
	while (next_out(&o)) {
		CU_ASSERT_FALSE(contains(&o, "CRCX"));
		out++;
	}
	CU_ASSERT_EQUAL(out, 3);
	while (n > 0)
		rte_pktmbuf_free(all[--n]);
	CU_ASSERT_EQUAL(done_cnt, 0); /* lost on the way: they are said again */
	CU_ASSERT_EQUAL(buffers_with(KEYED), 0);
	assert_accounts();
}

/* Nobody knows the way: laid out, never encrypted, and nothing stays in the buffer. */
static void test_no_way(void)
{
	struct dp_gw_set far = {.gw_id = GW, .shard = SHARD, .domain = "gw"};
	uint64_t none = drops(DP_DROP_NO_NEIGH);
	struct out o;

	anew();
	ip_of("10.0.0.77", &far.remote, 2427);
	ip_of("10.0.0.1", &far.local, 2727);
	CU_ASSERT_EQUAL_FATAL(msg(&far, DP_MSG_GW_SET, sizeof(far)), 0);
	ip_of("10.0.0.77", &ours.remote, 0);
	memset(ours.key, 0x40, 16);
	CU_ASSERT_EQUAL_FATAL(msg(&ours, DP_MSG_SA_SET, sizeof(ours)), 0);
	key_cmd();
	key_cmd();
	dp_worker_round(node.worker[SHARD]);
	CU_ASSERT_FALSE(next_out(&o));
	CU_ASSERT_EQUAL(drops(DP_DROP_NO_NEIGH), none + 2);
	CU_ASSERT_EQUAL(buffers_with(KEYED), 0);
	assert_accounts();
}

/* Buffers are taken ahead of messages that then are none. */
static void test_end(void)
{
	struct dp_worker *w = node.worker[SHARD];
	struct rte_mbuf *m;
	struct out o;

	anew();
	key_cmd();
	dp_worker_round(w);
	CU_ASSERT_TRUE(next_out(&o));
	dp_ipout_expect(w);
	dp_ipout_expect(w);
	m = dp_ipout_buffer(w);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	rte_pktmbuf_free(m);
	dp_ipout_flush(w); /* the other one goes back too, as the count at the end shows */
	assert_accounts();
}

static void test_down(void)
{
	CU_ASSERT_EQUAL(harness_down(), 0);
}

static CU_TestInfo tests[] = {
	{"messages for one SA in one burst: numbers in order", test_order},
	{"the SA goes between two messages", test_sa_gone},
	{"the SA is said again between two messages", test_sa_again},
	{"the SA gets another key between two messages", test_sa_other_key},
	{"the last number goes to the first of two", test_last_number},
	{"the driver takes two of five", test_tx_full},
	{"buffers for three of five", test_pool_empty},
	{"no way to the gateway", test_no_way},
	{"buffers that were expected go back", test_end},
	{"all buffers come back", test_down},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("outburst", tests, setup, teardown)
