/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shards move between workers while traffic flows (dataplane/move.h): numbered streams that are re-keyed from SRTP to
 * SRTP, and a gateway with ESP and MGCP. Three workers are driven in random order from one thread, by a seed
 * (RAVELIN_SEED), and then as threads of their own. Nothing is lost, late, twice or refused; every command is answered once.
 */
#include <pthread.h>
#include <stdio.h>

#define WORKERS 3
#include "crypto/mb.h"
#include "dp_harness.h"
#include "ipsec/esp.h"
#include "ipsec/sa.h"
#include "srtp/srtp.h"

#define SESSIONS 24
#define SSRCS    6 /* of some sessions: more than are walked, so that the pools' tables are used */
#define GW       3
#define GW_SHARD 1
#define SPI_IN   0x1001
#define SPI_OUT  0x2222
#define CMDS     4096

static struct session {
	uint32_t in, out;        /* legs */
	uint16_t port;
	int queue;               /* where RSS would put it */
	struct dp_srtp_key *tx, *rx;
	unsigned int ssrcs;
	uint64_t sent[SSRCS], got[SSRCS];
} ses[SESSIONS];
static struct dp_mb *mb;
static struct dp_sa *gw_tx, *gw_rx;
static uint64_t sent, got, answered, acked, rsips, bad;
static uint32_t cmd_cnt, say_cnt;
static uint8_t done_of[CMDS];
static uint64_t seed = 1;
static bool threads;

static uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % below;
}

static struct dp_srtp_key *party_key(uint8_t dir, uint8_t fill)
{
	struct dp_srtp_key *k = aligned_alloc(64, sizeof(*k));
	uint8_t key[32], salt[14];
	struct dp_srtp_params par = {.suite = DP_AES_CM_128_HMAC_SHA1_80, .dir = dir, .key = key, .salt = salt,
				     .pool = dp_srtp_pool_create(SSRCS, 0)};

	CU_ASSERT_PTR_NOT_NULL_FATAL(k);
	memset((void *)k, 0, sizeof(*k));
	memset(key, fill, sizeof(key));
	memset(salt, fill + 1, sizeof(salt));
	CU_ASSERT_EQUAL_FATAL(dp_srtp_key_init(mb, k, &par), 0);
	return k;
}

static struct dp_sa_set sa_msg(bool ours, bool in)
{
	struct dp_sa_set m = {.sa_id = in ? 1 : 2, .spi = in ? SPI_IN : SPI_OUT, .gw_id = GW, .alg = DP_ESP_AES_GCM_128,
			      .dir = (in == ours) ? DP_DIR_RECV : DP_DIR_SEND, .mode = DP_ESP_TRANSPORT,
			      .shard = GW_SHARD, .seq_limit = 1000000};

	ip_of("10.0.0.1", ours ? &m.local : &m.remote, 0);
	ip_of("10.0.0.7", ours ? &m.remote : &m.local, 0);
	memset(m.key, in ? 0x51 : 0x61, 16);
	memset(m.salt, 7, 4);
	return m;
}

static void gateway(void)
{
	struct dp_gw_set g = {.gw_id = GW, .shard = GW_SHARD, .domain = "gw"};
	struct dp_sa_set in = sa_msg(true, true), out = sa_msg(true, false);

	ip_of("10.0.0.7", &g.remote, 2427);
	ip_of("10.0.0.1", &g.local, 2727);
	CU_ASSERT_EQUAL_FATAL(msg(&g, DP_MSG_GW_SET, sizeof(g)), 0);
	CU_ASSERT_EQUAL_FATAL(msg(&in, DP_MSG_SA_SET, sizeof(in)), 0);
	CU_ASSERT_EQUAL_FATAL(msg(&out, DP_MSG_SA_SET, sizeof(out)), 0);
	in = sa_msg(false, true);
	out = sa_msg(false, false);
	out.shard = SPI_OUT % 64;
	CU_ASSERT_EQUAL_FATAL(dp_sa_init(gw_tx, mb, &in), 0);
	CU_ASSERT_EQUAL_FATAL(dp_sa_init(gw_rx, mb, &out), 0);
}

static int setup(void)
{
	const char *s = getenv("RAVELIN_SEED");

	seed = s != NULL ? strtoull(s, NULL, 0) | 1 : 0x5eed5eed1234567;
	mb = dp_mb_create();
	gw_tx = aligned_alloc(64, (sizeof(struct dp_sa) + 63) & ~(size_t)63);
	gw_rx = aligned_alloc(64, (sizeof(struct dp_sa) + 63) & ~(size_t)63);
	one_tx = true;
	return mb == NULL || harness_up() != 0;
}

static void test_up(void)
{
	gateway();
	for (uint32_t i = 0; i < SESSIONS; i++) {
		/* two sessions in each of twelve shards; shard 1 is the gateway's as well */
		struct session *x = &ses[i];
		uint8_t suite = DP_AES_CM_128_HMAC_SHA1_80;
		char ip[16];

		x->port = (uint16_t)(BASE + (i % 12) * DP_PORTS_PER_SHARD + i / 12 * 2);
		x->queue = (int)rnd(WORKERS);
		x->ssrcs = i % 3 == 0 ? SSRCS : 1;
		snprintf(ip, sizeof(ip), "10.0.0.%u", 20 + i);
		x->in = leg(0, x->port, DP_LEG_ID(1, x->port, BASE), "10.0.0.2", (uint16_t)(4000 + i), suite, suite,
			    DP_LATCH_NONE, 0);
		x->out = leg(1, x->port, x->in, "10.1.0.3", (uint16_t)(5000 + i), suite, suite, DP_LATCH_NONE, 0);
		rounds(2);
		key(x->in, DP_DIR_RECV, suite, (uint8_t)(3 * i));
		key(x->out, DP_DIR_SEND, suite, (uint8_t)(3 * i + 100));
		x->tx = party_key(DP_DIR_SEND, (uint8_t)(3 * i));
		x->rx = party_key(DP_DIR_RECV, (uint8_t)(3 * i + 100));
		rounds(2);
	}
	host_speaks(0, "10.0.0.2");
	host_speaks(0, "10.0.0.7");
	host_speaks(1, "10.1.0.3");
	drain_tx();
}

static int teardown(void)
{
	for (uint32_t i = 0; i < SESSIONS; i++) {
		struct dp_srtp_key *k[2] = {ses[i].tx, ses[i].rx};

		for (int n = 0; n < 2; n++) {
			struct dp_srtp_pool *pool = k[n]->pool;

			dp_srtp_key_wipe(k[n]);
			dp_srtp_pool_destroy(pool);
			free(k[n]);
		}
	}
	dp_mb_destroy(mb);
	free(gw_tx);
	free(gw_rx);
	return 0;
}

/* --- the parties --- */

static bool room(int port, int queue)
{
	return rte_ring_free_count(rx_ring[port][queue]) > 0 && rte_mempool_avail_count(node.pool) > 600;
}

/* The party of a session sends the next packet of one of its streams. */
static void speak_of(uint32_t i)
{
	struct session *x = &ses[i];
	uint32_t s = rnd(x->ssrcs);
	uint8_t p[256];
	struct dp_srtp_pkt pkt = {.data = p, .key = x->tx, .room = 64, .verdict = DP_OK};

	/* The ring in which all that leaves waits for us has 1,024 places: with threads also for commands said again while we were not let on a CPU. */
	if (!room(0, x->queue) || sent - got > (threads ? 400 : 700))
		return;
	pkt.len = rtp(p, (uint16_t)x->sent[s], 0x1000 * i + s, 40);
	memcpy(p + 12, &x->sent[s], 8);
	CU_ASSERT_EQUAL_FATAL(dp_srtp_protect_burst(mb, &pkt, 1), 1);
	send_udp(0, x->queue, "10.0.0.2", (uint16_t)(4000 + i), "10.0.0.1", x->port, p, pkt.len);
	x->sent[s]++;
	sent++;
}

static void speak(void)
{
	speak_of(rnd(SESSIONS));
}

static void gw_says(const char *text)
{
	uint8_t frame[2048];
	struct dp_sockaddr s, d;
	uint16_t len = (uint16_t)strlen(text);
	struct dp_esp_pkt e;

	ip_of("10.0.0.7", &s, 2427);
	ip_of("10.0.0.1", &d, 2727);
	e = (struct dp_esp_pkt){.data = frame + 128, .len = (uint16_t)(28 + len), .headroom = 128, .tailroom = 200,
				.sa = gw_tx};
	memcpy(e.data + 28, text, len);
	dp_build_udp(e.data, 4, s.ip, 2427, d.ip, 2727, len, 0, true);
	CU_ASSERT_EQUAL_FATAL(dp_esp_encap_burst(mb, &e, 1), 1);
	memcpy(e.data - 14, node.ports[0].mac, 6);
	memcpy(e.data - 8, peer_mac, 6);
	dp_put16(e.data - 2, DP_ETYPE_IP4);
	inject(0, 2, e.data - 14, (uint16_t)(e.len + 14));
}

static void media_out(const struct dp_frame *f, uint8_t *data)
{
	uint32_t i = f->dst_port - 5000u, s;
	struct dp_srtp_pkt pkt = {.data = data + f->payload_off, .len = f->payload_len, .verdict = DP_OK};
	uint64_t n;

	CU_ASSERT_TRUE_FATAL(i < SESSIONS);
	pkt.key = ses[i].rx;
	if (dp_srtp_unprotect_burst(mb, &pkt, 1) != 1) {
		bad++;
		return;
	}
	s = dp_get32(pkt.data + 8) - 0x1000 * i;
	CU_ASSERT_TRUE_FATAL(s < SSRCS);
	memcpy(&n, pkt.data + 12, 8);
	bad += n != ses[i].got[s]; /* the next one, no other */
	ses[i].got[s] = n + 1;
	got++;
}

static void mgcp_out(struct out *o, struct dp_frame *f)
{
	struct dp_esp_pkt e = {.data = o->data + 14, .len = (uint16_t)(o->len - 14), .sa = gw_rx};
	char text[2048], say[128];

	if (f->proto != DP_PROTO_ESP || dp_esp_decap_burst(mb, &e, 1) != 1 || dp_parse_ip(e.data, e.len, f) != DP_OK) {
		bad++;
		return;
	}
	memcpy(text, e.data + f->payload_off, f->payload_len);
	text[f->payload_len] = '\0';
	if (strncmp(text, "200 ", 4) == 0) {
		acked++;
	} else if (strncmp(text, "CRCX ", 5) == 0 && room(0, 2)) {
		snprintf(say, sizeof(say), "200 %u OK\r\nI: 5\r\n", (unsigned)atoi(text + 5));
		gw_says(say);
	}
}

static void hear(void)
{
	struct dp_frame f;
	struct out o;

	while (next_out(&o)) {
		CU_ASSERT_EQUAL_FATAL(dp_parse_frame(o.data, o.len, &f), DP_OK);
		if (o.port == 1)
			media_out(&f, o.data);
		else
			mgcp_out(&o, &f);
	}
}

/* --- the controlplane --- */

static unsigned int seen_done, seen_event;

static void control(void)
{
	/* one event a time: the harness keeps the last */
	if (done_cnt != seen_done) {
		seen_done = done_cnt;
		CU_ASSERT_TRUE_FATAL(last_done.handle < CMDS);
		bad += last_done.result != DP_MGCP_ANSWERED || done_of[last_done.handle]++ != 0;
		answered++;
	}
	if (mgcp_event_cnt != seen_event) {
		struct dp_mgcp_ack a = {.token = last_event.token, .code = 200};

		rsips++;
		seen_event = mgcp_event_cnt;
		/* at any time later: the gateway may have moved */
		CU_ASSERT_EQUAL(msg(&a, DP_MSG_MGCP_ACK, sizeof(a)), 0);
	}
}

static void command(void)
{
	struct dp_mgcp_cmd m = {.handle = cmd_cnt, .gw_id = GW, .verb = DP_MGCP_CRCX, .mode = DP_MGCP_M_SENDRECV,
				.call_id = "1a"};

	if (cmd_cnt == CMDS || cmd_cnt > answered) /* one at a time: the harness keeps the last result */
		return;
	snprintf(m.endpoint, sizeof(m.endpoint), "aaln/%u", cmd_cnt % 7);
	ip_of("10.0.0.1", &m.media.addr, BASE);
	m.media.ptime_ms = 20;
	if (msg(&m, DP_MSG_MGCP_CMD, sizeof(m)) == 0)
		cmd_cnt++;
}

static void say(void)
{
	char text[128];

	if (say_cnt == 1000 || say_cnt > acked || !room(0, 2)) /* a peer has 1,024 commands remembered */
		return;
	snprintf(text, sizeof(text), "RSIP %u *@gw MGCP 1.0\r\nRM: restart\r\n", 5000 + say_cnt++);
	gw_says(text);
}

static unsigned int moves;

static void move(uint32_t shard, uint32_t worker)
{
	struct dp_shard_move m = {.shard = shard, .worker = worker};

	if (moved_cnt == moves && msg(&m, DP_MSG_SHARD_MOVE, sizeof(m)) == 0)
		moves++;
}

/* --- checks --- */

static void assert_sums(void)
{
	uint64_t rx = 0, tx = 0, made = 0, fly = 0, d = 0;

	for (int w = 0; w < WORKERS; w++) {
		const struct dp_page_worker *c = &dp_page_workers(node.page)[w];

		rx += c->rx_pkts;
		tx += c->tx_pkts;
		made += c->made_pkts;
		fly += c->in_flight;
		for (int i = 1; i < DP_DROP_MAX; i++)
			d += c->drop[i];
	}
	CU_ASSERT_EQUAL(rx, tx - made + d + fly);
}

static uint64_t losses(void)
{
	uint64_t sum = 0;

	for (int i = 1; i < DP_DROP_MAX; i++)
		if (i != DP_DROP_CONSUMED && i != DP_DROP_NO_NEIGH && i != DP_DROP_MGCP_UNKNOWN)
			sum += drops((enum dp_drop)i);
	return sum;
}

static void settle(void)
{
	for (int i = 0; i < 200000 && (got != sent || answered != cmd_cnt || moved_cnt != moves || acked != say_cnt); i++) {
		if (threads)
			dp_objs_poll(objs);
		else
			rounds(1);
		control();
		hear();
		if (i % 100 == 99)
			usleep(100);
	}
}

static void assert_whole(uint64_t before)
{
	uint64_t again = 0;

	/* A command that was repeated, because a thread slept, is answered once more. */
	for (int w = 0; w < WORKERS; w++)
		again += dp_page_workers(node.page)[w].mgcp_retx;
	CU_ASSERT(drops(DP_DROP_MGCP_UNKNOWN) <= again);
	CU_ASSERT_EQUAL(got, sent);
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_EQUAL(answered, cmd_cnt);
	CU_ASSERT_EQUAL(acked, say_cnt);
	CU_ASSERT_EQUAL(rsips, say_cnt);
	CU_ASSERT_EQUAL(moved_cnt, moves);
	CU_ASSERT_EQUAL(losses(), before);
	CU_ASSERT_EQUAL(last_moved.rc == 0 || last_moved.rc == -EALREADY, true);
}

/* --- tests --- */

static void test_refusals(void)
{
	struct dp_shard_move m = {.shard = 5, .worker = WORKERS};

	CU_ASSERT_EQUAL(node.page->shard_worker[5], 5 % WORKERS);
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_SHARD_MOVE, sizeof(m)), -EBADMSG);
	m.worker = 5 % WORKERS;
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_SHARD_MOVE, sizeof(m)), 0);
	moves++;
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_SHARD_MOVE, sizeof(m)), -EAGAIN); /* one at a time */
	rounds(2);
	CU_ASSERT_EQUAL(moved_cnt, 1);
	CU_ASSERT_EQUAL(last_moved.rc, -EALREADY);
	m.worker = 0;
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_SHARD_MOVE, sizeof(m)), 0);
	moves++;
	sink_rc = -EAGAIN; /* the end is told when it can be */
	rounds(20);
	sink_rc = 0;
	CU_ASSERT_EQUAL(moved_cnt, 1);
	rounds(1);
	CU_ASSERT_EQUAL(moved_cnt, 2);
	CU_ASSERT_EQUAL(last_moved.rc, 0);
	CU_ASSERT_EQUAL(last_moved.from, 5 % WORKERS);
	CU_ASSERT_EQUAL(last_moved.to, 0);
	CU_ASSERT_EQUAL(node.page->shard_worker[5], 0);
}

static void test_random_order(void)
{
	const char *e = getenv("RAVELIN_SHARD_PACKETS");
	uint64_t want = e != NULL ? strtoull(e, NULL, 0) : 200000, before = losses();

	while (sent < want && losses() == before) { /* with too many lost nobody would speak any more */
		uint32_t what = rnd(100);

		if (what < 40)
			for (uint32_t n = rnd(20); n > 0; n--)
				speak();
		else if (what < 90)
			dp_worker_round(node.worker[rnd(WORKERS)]);
		else if (what < 96)
			dp_objs_poll(objs);
		else if (what < 97)
			move(rnd(4) == 0 ? GW_SHARD : rnd(12), rnd(WORKERS));
		else if (what < 98)
			command();
		else if (what < 99)
			say();
		else
			assert_sums();
		if (rnd(4) == 0)
			control();
		hear();
	}
	settle();
	assert_whole(before);
	assert_accounts();
	printf("%lu packets, %u moves, %u commands, %u events, held %lu, ", (unsigned long)sent, moves, cmd_cnt, say_cnt,
	       (unsigned long)(dp_page_workers(node.page)[0].held + dp_page_workers(node.page)[1].held +
			       dp_page_workers(node.page)[2].held));
	CU_ASSERT(moves > 20);
	CU_ASSERT(dp_page_workers(node.page)[0].held > 0);
}

/* More is on its way to the old owner than one of its rounds takes: it is worked off before the shard goes. */
static void test_backlog(void)
{
	struct session *x = &ses[2];
	uint32_t shard = DP_LEG_SHARD(x->in), owner = (uint32_t)node.page->shard_worker[shard];
	struct dp_shard_move m = {.shard = shard, .worker = (owner + 1) % WORKERS};
	uint64_t before = losses();
	int was = x->queue;

	x->queue = (int)(owner + 2) % WORKERS;
	for (int i = 0; i < 400; i++)
		speak_of(2);
	for (int i = 0; i < 10; i++)
		dp_worker_round(node.worker[x->queue]);
	CU_ASSERT(rte_ring_count(node.shard.ring[x->queue][owner]) >= 400);
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_SHARD_MOVE, sizeof(m)), 0);
	moves++;
	dp_worker_round(node.worker[m.worker]);
	dp_objs_poll(objs);
	for (int i = 0; i < 100; i++)
		speak_of(2);
	for (int i = 0; i < 20; i++) {
		dp_worker_round(node.worker[x->queue]);
		dp_worker_round(node.worker[owner]);
		dp_worker_round(node.worker[m.worker]);
		hear();
	}
	settle();
	assert_whole(before);
	CU_ASSERT(last_moved.held >= 64);
	x->queue = was;
}

static void *run(void *arg)
{
	(void)dp_worker_main(arg);
	return NULL;
}

static void test_threads(void)
{
	const char *e = getenv("RAVELIN_SHARD_PACKETS");
	uint64_t want = sent + (e != NULL ? strtoull(e, NULL, 0) : 100000), before = losses();
	pthread_t t[WORKERS];

	threads = true;
	for (int w = 0; w < WORKERS; w++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&t[w], NULL, run, node.worker[w]), 0);
	while (sent < want && losses() == before) { /* with too many lost nobody would speak any more */
		for (int n = 0; n < 20; n++)
			speak();
		dp_objs_poll(objs);
		control();
		command();
		if (rnd(20) == 0)
			say();
		move(rnd(4) == 0 ? GW_SHARD : rnd(12), rnd(WORKERS));
		hear();
	}
	settle();
	__atomic_store_n(&node.stop, 1, __ATOMIC_RELAXED);
	for (int w = 0; w < WORKERS; w++)
		pthread_join(t[w], NULL);
	hear();
	assert_whole(before);
	assert_accounts();
	assert_sums();
	printf("%u moves, %u commands, ", moves, cmd_cnt);
	threads = false;
	node.stop = 0;
}

/* Stopped in the middle of a move, with packets held back: every buffer comes back. */
static void test_stop_in_a_move(void)
{
	struct dp_shard_move m = {.shard = 3};

	m.worker = (uint32_t)((node.page->shard_worker[3] + 1) % WORKERS);
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_SHARD_MOVE, sizeof(m)), 0);
	dp_worker_round(node.worker[m.worker]);
	dp_objs_poll(objs);
	for (int i = 0; i < 200; i++)
		speak();
	dp_worker_round(node.worker[m.worker]);
	dp_worker_round(node.worker[m.worker]);
	assert_accounts();
	CU_ASSERT_EQUAL(harness_down(), 0);
}

static CU_TestInfo tests[] = {
	{"sessions, a gateway", test_up},
	{"what is refused, one move", test_refusals},
	{"workers, traffic and moves in random order", test_random_order},
	{"a backlog at the old owner", test_backlog},
	{"workers as threads", test_threads},
	{"stopped in the middle of a move", test_stop_in_a_move},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("shard", tests, setup, teardown)
