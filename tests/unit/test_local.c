/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/local.c: MGCP through the worker. A gateway in shard 1 (the second worker's), while packets arrive on the
 * first worker's queue. The gateway's end of ESP is the library of the stage, which has its own tests against others;
 * here it is about which packets are encrypted, with which SA, and which are refused.
 */
#include "gw_fix.h"

static uint32_t txid;

static void test_no_sa_no_key(void)
{
	struct out o;

	CU_ASSERT_EQUAL(crcx(true), -ENOENT); /* no gateway */
	CU_ASSERT_EQUAL(gateway(0), 0);
	rounds(2);
	host_speaks(0, "10.0.0.7");
	drain_tx();
	CU_ASSERT_EQUAL(crcx(true), 0);
	rounds(2);
	CU_ASSERT_EQUAL(done_cnt, 1);
	CU_ASSERT_EQUAL(last_done.result, DP_MGCP_NO_SA);
	CU_ASSERT_EQUAL(last_done.handle, 77);
	CU_ASSERT_FALSE(next_out(&o));
	/* without a key it may not go in clear either, unless the gateway is marked so */
	CU_ASSERT_EQUAL(crcx(false), 0);
	rounds(2);
	CU_ASSERT_EQUAL(done_cnt, 2);
	CU_ASSERT_EQUAL(last_done.result, DP_MGCP_NO_SA);
	CU_ASSERT_FALSE(next_out(&o));
	assert_accounts();
}

static void test_keys_in_esp(void)
{
	struct out o;
	const char *t;
	char answer[256];
	bool esp = false;

	sas(1000);
	CU_ASSERT_EQUAL(crcx(true), 0);
	rounds(2);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_FALSE(contains(&o, "CRCX"));
	CU_ASSERT_FALSE(contains(&o, "a2tra2tra2tra2tra2tra"));
	t = text_of(&o, &esp);
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_TRUE(esp);
	CU_ASSERT_EQUAL(strncmp(t, "CRCX ", 5), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(t, "inline:a2tra2tra2tra2tra2tra3Nzc3Nzc3Nzc3Nzc3Nz"));
	txid = (uint32_t)atoi(t + 5);
	/* the answer in clear is refused, in the SA it counts, and a second time it is a replay */
	snprintf(answer, sizeof(answer), "200 %u OK\r\nI: 5\r\n", txid);
	gw_says(answer, false);
	CU_ASSERT_EQUAL(drops(DP_DROP_POLICY), 1);
	CU_ASSERT_EQUAL(done_cnt, 2);
	gw_says(answer, true);
	CU_ASSERT_EQUAL(done_cnt, 3);
	CU_ASSERT_EQUAL(last_done.result, DP_MGCP_ANSWERED);
	CU_ASSERT_EQUAL(last_done.code, 200);
	CU_ASSERT_STRING_EQUAL(last_done.conn_id, "5");
	CU_ASSERT(dp_page_workers(node.page)[0].handoff_out > 0); /* it came in at the wrong worker */
	CU_ASSERT_EQUAL(dp_page_workers(node.page)[1].esp_in, 1);
	CU_ASSERT_EQUAL(dp_page_workers(node.page)[1].esp_out, 1);
	assert_accounts();
}

static void test_events_and_acks(void)
{
	struct dp_mgcp_ack ack = {.code = 200};
	struct out o;
	bool esp = false;
	const char *t;

	gw_says("RSIP 4711 *@gw MGCP 1.0\r\nRM: restart\r\n", true);
	CU_ASSERT_EQUAL(mgcp_event_cnt, 1);
	CU_ASSERT_EQUAL(last_event.verb, DP_MGCP_RSIP);
	CU_ASSERT_EQUAL(last_event.gw_id, GW);
	CU_ASSERT_FALSE(next_out(&o)); /* not answered before the controlplane accepted it */
	ack.token = last_event.token;
	CU_ASSERT_EQUAL(msg(&ack, DP_MSG_MGCP_ACK, sizeof(ack)), 0);
	rounds(2);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	t = text_of(&o, &esp);
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_TRUE(esp);
	CU_ASSERT_EQUAL(strncmp(t, "200 4711", 8), 0);
	ack.token = 0xff000001; /* a worker that is not there */
	CU_ASSERT_EQUAL(msg(&ack, DP_MSG_MGCP_ACK, sizeof(ack)), -EBADMSG);
	/* an SPI that nobody has */
	gw_tx->spi ^= 0x40;
	gw_says("RSIP 4712 *@gw MGCP 1.0\r\nRM: restart\r\n", true);
	gw_tx->spi ^= 0x40;
	CU_ASSERT_EQUAL(drops(DP_DROP_ESP_NO_SA), 1);
	CU_ASSERT_EQUAL(mgcp_event_cnt, 1);
	assert_accounts();
}

/* An SA that was set up for no gateway, whose other end says that it is one. */
static void test_sa_of_nobody(void)
{
	struct dp_sa_set in = sa_msg(true, true);
	struct dp_obj d = {.id = 5, .kind = DP_OBJ_SA};
	uint64_t policy = drops(DP_DROP_POLICY), source;
	unsigned events = mgcp_event_cnt;

	in.sa_id = 5;
	in.spi += 64;
	in.gw_id = UINT32_MAX;
	CU_ASSERT_EQUAL_FATAL(msg(&in, DP_MSG_SA_SET, sizeof(in)), 0);
	rounds(2);
	gw_tx->spi += 64;
	gw_says("RSIP 5001 *@gw MGCP 1.0\r\nRM: restart\r\n", true);
	CU_ASSERT_EQUAL(drops(DP_DROP_POLICY), policy + 1);
	/* nor does another gateway's carry it */
	in.gw_id = GW + 1;
	in.spi += 64;
	gw_tx->spi += 64;
	CU_ASSERT_EQUAL_FATAL(msg(&in, DP_MSG_SA_SET, sizeof(in)), 0);
	struct dp_gw_set g = {.gw_id = GW + 1, .shard = SHARD, .domain = "gw2"};

	ip_of("10.0.0.8", &g.remote, 2427);
	ip_of("10.0.0.1", &g.local, 2727);
	CU_ASSERT_EQUAL_FATAL(msg(&g, DP_MSG_GW_SET, sizeof(g)), 0);
	rounds(2);
	source = drops(DP_DROP_SOURCE);
	gw_says("RSIP 5002 *@gw MGCP 1.0\r\nRM: restart\r\n", true);
	CU_ASSERT_EQUAL(drops(DP_DROP_SOURCE), source + 1);
	CU_ASSERT_EQUAL(mgcp_event_cnt, events);
	gw_tx->spi -= 128;
	CU_ASSERT_EQUAL(msg(&d, DP_MSG_SA_DEL, sizeof(d)), 0);
	d = (struct dp_obj){.id = GW + 1, .kind = DP_OBJ_GW};
	CU_ASSERT_EQUAL(msg(&d, DP_MSG_GW_DEL, sizeof(d)), 0);
	rounds(2);
	assert_accounts();
}

/* One result for each accepted command, however long the controlplane does not read. */
static void test_results_are_kept(void)
{
	uint64_t lost = dp_page_workers(node.page)[SHARD].events_lost;
	unsigned before = done_cnt, accepted = 0;
	int rc = 0;

	sink_rc = -EAGAIN;
	for (int i = 0; i < 2 * DP_MGCP_TXN_MAX && rc == 0; i++) {
		rc = crcx(true); /* without an SA: its result comes at once */
		accepted += rc == 0;
		if (i % 8 == 7)
			rounds(1);
	}
	CU_ASSERT_EQUAL(rc, -EAGAIN);
	CU_ASSERT_EQUAL(accepted, DP_MGCP_TXN_MAX);
	rounds(DP_MGCP_TXN_MAX / 32);
	CU_ASSERT_EQUAL(done_cnt, before);
	sink_rc = 0;
	rounds(DP_MGCP_TXN_MAX / 32);
	CU_ASSERT_EQUAL(done_cnt - before, accepted);
	CU_ASSERT_EQUAL(dp_page_workers(node.page)[SHARD].events_lost, lost);
	/* and nobody there: counted */
	sink_rc = -ENOTCONN;
	uint64_t dropped = node.page->events_dropped;

	CU_ASSERT_EQUAL(crcx(true), 0);
	rounds(3);
	sink_rc = 0;
	CU_ASSERT_EQUAL(node.page->events_dropped, dropped + 1);
	CU_ASSERT_EQUAL(crcx(true), 0);
	rounds(3);
	CU_ASSERT_EQUAL(done_cnt - before, accepted + 1);
	done_cnt = before;
}

/* An SA without encryption says who speaks and hides nothing: a key that came through it is everybody's. */
static void test_key_in_null(void)
{
	static const struct {
		uint32_t spi;
		bool null;
	} cases[] = {{SPI_IN + 64, false}, {SPI_IN + 64, true}, {SPI_IN + 63, false}, {SPI_IN + 63, true}}; /* its worker's, another's */
	static const uint8_t zero[sizeof(last_done.media)];
	char text[400];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		unsigned done = done_cnt;

		drain_tx();
		gw_other_sa(5, cases[i].spi, cases[i].null, DP_ESP_TRANSPORT);
		CU_ASSERT_EQUAL(crcx(true), 0);
		rounds(2);
		snprintf(text, sizeof(text), KEYED_ANSWER, tid_out());
		gw_says(text, true);
		CU_ASSERT_EQUAL(done_cnt, done + 1);
		CU_ASSERT_EQUAL(last_done.result, cases[i].null ? DP_MGCP_BAD_ANSWER : DP_MGCP_ANSWERED);
		CU_ASSERT_EQUAL(memcmp(&last_done.media, zero, sizeof(zero)) == 0, cases[i].null);
		sa_gone(5);
		assert_accounts();
	}
	/* what has no key in it counts */
	gw_other_sa(5, SPI_IN + 64, true, DP_ESP_TRANSPORT);
	CU_ASSERT_EQUAL(crcx(true), 0);
	rounds(2);
	snprintf(text, sizeof(text), "200 %u OK\r\nI: 8\r\n", tid_out());
	gw_says(text, true);
	CU_ASSERT_EQUAL(last_done.result, DP_MGCP_ANSWERED);
	sa_gone(5);
	dp_sa_wipe(gw_tx);
	struct dp_sa_set in = sa_msg(false, true);

	CU_ASSERT_EQUAL_FATAL(dp_sa_init(gw_tx, mb, &in), 0);
	gw_tx->seq = 100; /* goes on where it was */
	assert_accounts();
}

static struct rte_mbuf *inner_buf(const char *text)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(node.pool);
	struct dp_mbuf_priv *priv = rte_mbuf_to_priv(m);
	uint16_t len = (uint16_t)strlen(text);

	*priv = (struct dp_mbuf_priv){.inner = 1, .gw_id = GW};
	memcpy(rte_pktmbuf_append(m, len), text, len);
	return m;
}

/* What was decrypted and does not reach its worker is wiped before its buffer is somebody else's. */
static void test_lost_is_wiped(void)
{
	struct dp_move *mv = calloc(1, sizeof(*mv)), *none = node.worker[SHARD]->move;
	uint64_t full = drops(DP_DROP_RING_FULL);

	CU_ASSERT_PTR_NOT_NULL_FATAL(mv);
	gw_other_sa(5, SPI_IN + 63, false, DP_ESP_TRANSPORT); /* the first worker's; the gateway is the second's */
	for (unsigned int i = 0; i < DP_HANDOFF_DEPTH + 64; i++) {
		gw_puts(i < DP_HANDOFF_DEPTH ? "200 999999 filler\r\n" : "200 999999 k3y-no-room\r\n", true);
		if (i % DP_BURST == DP_BURST - 1)
			dp_worker_round(node.worker[0]);
	}
	CU_ASSERT_EQUAL(drops(DP_DROP_RING_FULL), full + 65);
	CU_ASSERT_EQUAL(buffers_with("k3y-no-room"), 0);
	CU_ASSERT(buffers_with("filler") > 1000); /* the search finds what is there */
	rounds(DP_HANDOFF_DEPTH / DP_BURST + 2);
	CU_ASSERT_EQUAL(buffers_with("filler"), 0);
	sa_gone(5);
	assert_accounts();
	/* held back for a shard that comes: no room, and the end */
	node.worker[SHARD]->move = mv;
	mv->hold_n = DP_MOVE_HOLD;
	dp_move_pass(node.worker[SHARD], SHARD, inner_buf("k3y-hold-full"));
	dp_page_workers(node.page)[SHARD].rx_pkts++;
	node.worker[SHARD]->move = none;
	CU_ASSERT_EQUAL(drops(DP_DROP_RING_FULL), full + 66);
	CU_ASSERT_EQUAL(buffers_with("k3y-hold-full"), 0);
	mv->hold_n = 1;
	mv->hold[0] = inner_buf("k3y-at-end");
	dp_move_fini(mv);
	CU_ASSERT_EQUAL(buffers_with("k3y-at-end"), 0);
	free(mv);
	dp_sa_wipe(gw_tx);
	struct dp_sa_set in = sa_msg(false, true);

	CU_ASSERT_EQUAL_FATAL(dp_sa_init(gw_tx, mb, &in), 0);
	gw_tx->seq = 100;
	assert_accounts();
}

/* A gateway with SAs for several things: each packet goes through the newest that is for it. */
static void test_selectors(void)
{
	struct dp_sa_set other = sa_msg(true, false);
	struct dp_sa_set theirs = sa_msg(false, false);
	uint64_t refused = drops(DP_DROP_ESP_SELECTOR);
	struct out o;
	bool esp;

	other.sa_id = 6;
	other.spi = SPI_OUT + 64;
	memset(other.key, 0x44, 16);
	ip_of("10.0.0.1", &other.sel_local, 2727);
	ip_of("10.0.0.7", &other.sel_remote, 2428); /* another port of it */
	other.sel_local_plen = other.sel_remote_plen = 32;
	CU_ASSERT_EQUAL_FATAL(msg(&other, DP_MSG_SA_SET, sizeof(other)), 0);
	rounds(2);
	drain_tx();
	CU_ASSERT_EQUAL(crcx(true), 0);
	rounds(2);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_PTR_NOT_NULL(text_of(&o, &esp)); /* opens with the older one's key */
	CU_ASSERT_TRUE(esp);
	CU_ASSERT_EQUAL(drops(DP_DROP_ESP_SELECTOR), refused);
	/* one for it, newer: that one */
	other.sa_id = 7;
	other.spi = theirs.spi = SPI_OUT + 128;
	memset(other.key, 0x45, 16);
	memset(theirs.key, 0x45, 16);
	other.sel_remote.port = 2427;
	theirs.shard = (uint8_t)(theirs.spi % 64);
	CU_ASSERT_EQUAL_FATAL(msg(&other, DP_MSG_SA_SET, sizeof(other)), 0);
	dp_sa_wipe(gw_rx);
	CU_ASSERT_EQUAL_FATAL(dp_sa_init(gw_rx, mb, &theirs), 0);
	rounds(2);
	CU_ASSERT_EQUAL(crcx(true), 0);
	rounds(2);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_PTR_NOT_NULL(text_of(&o, &esp));
	sa_gone(7);
	/* none for it is refused by name */
	sa_gone(2);
	CU_ASSERT_EQUAL(crcx(true), 0);
	rounds(2);
	CU_ASSERT_FALSE(next_out(&o));
	CU_ASSERT_EQUAL(drops(DP_DROP_ESP_SELECTOR), refused + 1);
	sa_gone(6);
	other = sa_msg(true, false);
	CU_ASSERT_EQUAL_FATAL(msg(&other, DP_MSG_SA_SET, sizeof(other)), 0);
	theirs = sa_msg(false, false);
	theirs.shard = SPI_OUT % 64;
	dp_sa_wipe(gw_rx);
	CU_ASSERT_EQUAL_FATAL(dp_sa_init(gw_rx, mb, &theirs), 0);
	rounds(2);
	drain_tx();
	assert_accounts();
}

static void test_grants(void)
{
	struct dp_sa_grant g = {.sa_id = 2, .spi = SPI_OUT, .seq_limit = 1004};
	struct dp_obj d = {.id = 2, .kind = DP_OBJ_SA};
	struct dp_sa_set out = sa_msg(true, false);
	unsigned sent = 0;
	struct out o;

	/* the same SA asserted with a floor as after a restart, and four numbers left */
	CU_ASSERT_EQUAL(msg(&d, DP_MSG_SA_DEL, sizeof(d)), 0);
	out.seq_floor = 1000;
	out.seq_limit = 1004;
	CU_ASSERT_EQUAL(msg(&out, DP_MSG_SA_SET, sizeof(out)), 0);
	rounds(2);
	sa_event_cnt = 0;
	for (int i = 0; i < 6; i++) {
		CU_ASSERT_EQUAL(crcx(true), 0);
		rounds(2);
		sent += next_out(&o);
	}
	CU_ASSERT_EQUAL(sent, 4); /* as many as there are numbers */
	CU_ASSERT(sa_event_cnt >= 1);
	CU_ASSERT_EQUAL(last_sa_event.sa_id, 2);
	g.spi++;
	CU_ASSERT_EQUAL(msg(&g, DP_MSG_SA_GRANT, sizeof(g)), -ENOENT);
	g.spi--;
	g.seq_limit = 2000;
	CU_ASSERT_EQUAL(msg(&g, DP_MSG_SA_GRANT, sizeof(g)), 0);
	g.sa_id = 1;
	g.spi = SPI_IN;
	CU_ASSERT_EQUAL(msg(&g, DP_MSG_SA_GRANT, sizeof(g)), -EPROTO);
	rounds(2);
	/* gone: nothing leaves any more, neither commands nor answers */
	CU_ASSERT_EQUAL(msg(&d, DP_MSG_SA_DEL, sizeof(d)), 0);
	CU_ASSERT_EQUAL(msg(&d, DP_MSG_SA_DEL, sizeof(d)), -ENOENT);
	rounds(4);
	drain_tx();
	CU_ASSERT_EQUAL(crcx(true), 0);
	rounds(2);
	CU_ASSERT_FALSE(next_out(&o));
	assert_accounts();
}

static void later(uint32_t s)
{
	node.start_cyc -= s * node.hz;
	rounds(2);
	for (int i = 0; i < 4; i++) { /* the look at all SAs takes some of its milliseconds */
		usleep(1500);
		rounds(1);
	}
}

/* A lifetime in seconds: said once, soft and hard, shown on the page, and then nothing leaves. 3DES and NULL are refused. */
static void test_lifetime(void)
{
	struct dp_sa_set out = sa_msg(true, false), old = out;
	struct dp_obj d = {.id = 2, .kind = DP_OBJ_SA};
	const struct dp_page_sa *pg = &dp_page_sas(node.page)[2];

	old.alg = DP_ESP_NULL_SHA1_96;
	memset(old.key, 0, sizeof(old.key));
	memset(old.salt, 0, sizeof(old.salt));
	CU_ASSERT_EQUAL(msg(&old, DP_MSG_SA_SET, sizeof(old)), -EPERM);
	out.hard_s = 1000;
	out.soft_s = 500;
	out.seq_limit = UINT32_MAX;
	CU_ASSERT_EQUAL(msg(&out, DP_MSG_SA_SET, sizeof(out)), 0);
	later(2);
	sa_event_cnt = 0;
	later(497);
	CU_ASSERT_EQUAL(sa_event_cnt, 0);
	later(3);
	CU_ASSERT(sa_event_cnt == 1 && last_sa_event.kind == DP_SA_SOFT_EXPIRED && last_sa_event.why == DP_SA_WHY_TIME);
	later(300);
	CU_ASSERT_EQUAL(sa_event_cnt, 1);
	later(200);
	CU_ASSERT(sa_event_cnt == 2 && last_sa_event.kind == DP_SA_HARD_EXPIRED && last_sa_event.why == DP_SA_WHY_TIME);
	later(2);
	CU_ASSERT_EQUAL(sa_event_cnt, 2);
	dp_objs_tick(objs);
	CU_ASSERT_EQUAL(pg->expired, DP_SA_WHY_TIME | DP_SA_WHY_TIME << 8);
	CU_ASSERT_EQUAL(msg(&d, DP_MSG_SA_DEL, sizeof(d)), 0);
	rounds(4);
	drain_tx();
	assert_accounts();
}

/* One byte FF in UDP after each 20 s of silence; the wide window's memory is counted, and given back. */
static void test_keepalive(void)
{
	struct dp_sa_set out = sa_msg(true, false), in = sa_msg(true, true);
	struct dp_obj d = {.id = 2, .kind = DP_OBJ_SA}, di = {.id = 1, .kind = DP_OBJ_SA};
	uint64_t before = dp_page_workers(node.page)[SHARD].esp_keepalive, had = node.page->sa_window_bytes;
	struct dp_frame f;
	struct out o;

	in.replay_window = 4096;
	CU_ASSERT_EQUAL(msg(&in, DP_MSG_SA_SET, sizeof(in)), 0);
	CU_ASSERT_EQUAL(node.page->sa_window_bytes, had + 1024);
	out.local.port = out.remote.port = 4500;
	out.flags = DP_SA_F_KEEPALIVE;
	CU_ASSERT_EQUAL(msg(&out, DP_MSG_SA_SET, sizeof(out)), 0);
	later(2);
	host_speaks(0, "10.0.0.7"); /* it was long silent */
	later(10);
	drain_tx();
	CU_ASSERT_EQUAL(dp_page_workers(node.page)[SHARD].esp_keepalive, before);
	later(11);
	CU_ASSERT_EQUAL(dp_page_workers(node.page)[SHARD].esp_keepalive, before + 1);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_EQUAL(dp_parse_frame(o.data, o.len, &f), DP_OK);
	CU_ASSERT(f.proto == DP_PROTO_UDP && f.src_port == 4500 && f.dst_port == 4500 && f.payload_len == 1);
	CU_ASSERT_EQUAL(o.data[f.payload_off], 0xff);
	CU_ASSERT_EQUAL(memcmp(f.dst, "\x0a\0\0\x07", 4), 0);
	CU_ASSERT_FALSE(next_out(&o));
	CU_ASSERT_EQUAL(msg(&d, DP_MSG_SA_DEL, sizeof(d)), 0);
	CU_ASSERT_EQUAL(msg(&di, DP_MSG_SA_DEL, sizeof(di)), 0);
	rounds(4);
	dp_objs_poll(objs);
	CU_ASSERT_EQUAL(node.page->sa_window_bytes, had);
	drain_tx();
	assert_accounts();
}

/* Protocol 51 has a reason of its own. */
static void test_ah(void)
{
	uint8_t frame[80] = {0};
	uint64_t before = drops(DP_DROP_AH);

	memcpy(frame, node.ports[0].mac, 6);
	frame[6] = 2;
	frame[12] = 8;
	frame[14] = 0x45;
	frame[14 + 3] = 60;
	frame[14 + 8] = 64;
	frame[14 + 9] = 51;
	memcpy(frame + 14 + 12, "\x0a\0\0\x07\x0a\0\0\x01", 8);
	dp_put16(frame + 14 + 10, dp_sum_fold(dp_sum(frame + 14, 20, 0)));
	inject(0, 0, frame, 74);
	rounds(2);
	CU_ASSERT_EQUAL(drops(DP_DROP_AH), before + 1);
	assert_accounts();
}

static void test_clear_gateway(void)
{
	struct out o;
	bool esp = true;
	struct dp_obj d = {.id = GW, .kind = DP_OBJ_GW};
	unsigned done;
	const char *t;
	char answer[64];

	CU_ASSERT_EQUAL(msg(&d, DP_MSG_GW_DEL, sizeof(d)), 0);
	rounds(2);
	done = done_cnt;
	CU_ASSERT_EQUAL(gateway(DP_GW_F_CLEAR), 0);
	rounds(1);
	drain_tx();
	/* commands go in clear, keys do not */
	CU_ASSERT_EQUAL(crcx(true), 0);
	rounds(2);
	CU_ASSERT_EQUAL(done_cnt, done + 1);
	CU_ASSERT_EQUAL(last_done.result, DP_MGCP_NO_SA);
	CU_ASSERT_EQUAL(crcx(false), 0);
	rounds(2);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	t = text_of(&o, &esp);
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_FALSE(esp);
	snprintf(answer, sizeof(answer), "200 %d OK\r\nI: 6\r\n", atoi(t + 5));
	gw_says(answer, false); /* the first worker does not know the gateway and passes it on */
	CU_ASSERT_EQUAL(done_cnt, done + 2);
	CU_ASSERT_EQUAL(last_done.code, 200);
	CU_ASSERT_EQUAL(msg(&d, DP_MSG_GW_DEL, sizeof(d)), 0);
	rounds(2);
	assert_accounts();
}

static void test_down(void)
{
	CU_ASSERT_EQUAL(harness_down(), 0);
}

/* A controlplane starts and says all SAs again in one burst: those that were replaced serve, before any poll. */
static void test_sas_in_a_burst(void)
{
	struct dp_sa_set in = sa_msg(true, true);

	for (unsigned int i = 0; i < 3 * (cfg.dataplane.max_sas + DP_OBJS_SA_SPARE); i++) {
		CU_ASSERT_EQUAL_FATAL(msg(&in, DP_MSG_SA_SET, sizeof(in)), 0);
		for (int w = 0; w < WORKERS; w++)
			dp_worker_round(node.worker[w]);
	}
	struct dp_obj gone = {.id = in.sa_id, .kind = DP_OBJ_SA};

	CU_ASSERT_EQUAL(msg(&gone, DP_MSG_SA_DEL, sizeof(gone)), 0);
	rounds(2);
}

static CU_TestInfo tests[] = {
	{"SAs in a burst", test_sas_in_a_burst},
	{"without an SA no key leaves, nor anything else", test_no_sa_no_key},
	{"results are kept while the controlplane does not read", test_results_are_kept},
	{"a key leaves in ESP, the answer counts in ESP only", test_keys_in_esp},
	{"events go up, acknowledgements go out", test_events_and_acks},
	{"an SA of nobody or of another gateway carries no MGCP", test_sa_of_nobody},
	{"a key through an SA without encryption is refused", test_key_in_null},
	{"what does not reach its worker is wiped", test_lost_is_wiped},
	{"the SA whose selectors are for a message", test_selectors},
	{"grants, a deleted SA", test_grants},
	{"a gateway in clear gets no keys", test_clear_gateway},
	{"a lifetime in seconds", test_lifetime},
	{"keepalives, and a wide window's memory", test_keepalive},
	{"AH is refused by name", test_ah},
	{"all buffers come back", test_down},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("local", tests, setup, teardown)
