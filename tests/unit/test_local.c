/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/local.c: MGCP through the worker. A gateway in shard 1 (the second worker's), while packets arrive on the
 * first worker's queue. The gateway's end of ESP is the library of the stage, which has its own tests against others;
 * here it is about which packets are encrypted, with which SA, and which are refused.
 */
#include <CUnit/CUnit.h>

#include "crypto/mb.h"
#include "dp_harness.h"
#include "ipsec/esp.h"
#include "ipsec/sa.h"

#define GW    3
#define SHARD 1
#define SPI_IN 0x1001 /* shard 1 */
#define SPI_OUT 0x2222

static struct dp_mb *mb;
static struct dp_sa *gw_tx, *gw_rx; /* the gateway's */
static uint32_t txid;
static unsigned int endpoint;

static int setup(void)
{
	mb = dp_mb_create();
	gw_tx = aligned_alloc(64, 1536);
	gw_rx = aligned_alloc(64, 1536);
	return mb == NULL || harness_up() != 0;
}

static int teardown(void)
{
	dp_mb_destroy(mb);
	free(gw_tx);
	free(gw_rx);
	return 0;
}

static int gateway(uint8_t flags)
{
	struct dp_gw_set m = {.gw_id = GW, .shard = SHARD, .flags = flags, .domain = "gw"};

	ip_of("10.0.0.7", &m.remote, 2427);
	ip_of("10.0.0.1", &m.local, 2727);
	return msg(&m, DP_MSG_GW_SET, sizeof(m));
}

static struct dp_sa_set sa_msg(bool ours, bool in)
{
	struct dp_sa_set m = {.sa_id = in ? 1 : 2, .spi = in ? SPI_IN : SPI_OUT, .gw_id = GW, .alg = DP_ESP_AES_GCM_128,
			      .dir = (in == ours) ? DP_DIR_RECV : DP_DIR_SEND, .mode = DP_ESP_TRANSPORT,
			      .shard = SHARD, .seq_limit = 1000};

	ip_of("10.0.0.1", ours ? &m.local : &m.remote, 0);
	ip_of("10.0.0.7", ours ? &m.remote : &m.local, 0);
	memset(m.key, in ? 0x51 : 0x61, 16);
	memset(m.auth, 7, 4);
	return m;
}

static void sas(uint64_t limit)
{
	struct dp_sa_set in = sa_msg(true, true), out = sa_msg(true, false);

	out.seq_limit = limit;
	CU_ASSERT_EQUAL_FATAL(msg(&in, DP_MSG_SA_SET, sizeof(in)), 0);
	CU_ASSERT_EQUAL_FATAL(msg(&out, DP_MSG_SA_SET, sizeof(out)), 0);
	in = sa_msg(false, true);
	out = sa_msg(false, false);
	out.shard = SPI_OUT % 64;
	CU_ASSERT_EQUAL_FATAL(dp_sa_init(gw_tx, mb, &in), 0);
	CU_ASSERT_EQUAL_FATAL(dp_sa_init(gw_rx, mb, &out), 0);
	rounds(2);
}

static int crcx(bool with_key)
{
	struct dp_mgcp_cmd m = {.handle = 77, .gw_id = GW, .verb = DP_MGCP_CRCX, .mode = DP_MGCP_M_SENDRECV,
				.call_id = "1a"};

	/* an endpoint of its own: one command at a time goes to each */
	snprintf(m.endpoint, sizeof(m.endpoint), "aaln/%u", ++endpoint);
	ip_of("10.0.0.1", &m.media.addr, BASE);
	m.media.pt = 8;
	m.media.ptime_ms = 20;
	if (with_key) {
		m.media.suite = DP_AES_CM_128_HMAC_SHA1_80;
		m.media.tag = 1;
		memset(m.media.key, 'k', 16);
		memset(m.media.salt, 's', 14);
	}
	return msg(&m, DP_MSG_MGCP_CMD, sizeof(m));
}

static bool contains(const struct out *o, const char *what)
{
	return memmem(o->data, o->len, what, strlen(what)) != NULL;
}

/* A frame that left: its MGCP text, through the gateway's SA if it is ESP. NULL: not that. */
static const char *text_of(struct out *o, bool *ret_esp)
{
	static char text[2048];
	struct dp_esp_pkt e = {.data = o->data + 14, .len = (uint16_t)(o->len - 14), .sa = gw_rx};
	struct dp_frame f;

	if (dp_parse_frame(o->data, o->len, &f) != DP_OK)
		return NULL;
	*ret_esp = f.proto == DP_PROTO_ESP;
	if (*ret_esp) {
		CU_ASSERT_EQUAL_FATAL(dp_esp_decap_burst(mb, &e, 1), 1);
		CU_ASSERT_EQUAL_FATAL(dp_parse_ip(e.data, e.len, &f), DP_OK);
	} else {
		e.data = o->data;
	}
	if (f.proto != DP_PROTO_UDP)
		return NULL;
	CU_ASSERT_EQUAL(f.src_port, 2727);
	CU_ASSERT_EQUAL(f.dst_port, 2427);
	CU_ASSERT_EQUAL(dp_sum_fold(dp_sum(e.data + f.l4_off, f.l4_len,
					   dp_sum_pseudo(4, f.src, f.dst, 17, f.l4_len))), 0);
	memcpy(text, e.data + f.payload_off, f.payload_len);
	text[f.payload_len] = '\0';
	return text;
}

/* The gateway says something, in its SA or in clear, to the first worker's queue. */
static void gw_says(const char *text, bool esp)
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
	if (esp)
		CU_ASSERT_EQUAL_FATAL(dp_esp_encap_burst(mb, &e, 1), 1);
	memcpy(e.data - 14, node.ports[0].mac, 6);
	memcpy(e.data - 8, peer_mac, 6);
	dp_put16(e.data - 2, DP_ETYPE_IP4);
	inject(0, 0, e.data - 14, (uint16_t)(e.len + 14));
	rounds(3);
}

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

static CU_TestInfo tests[] = {
	{"without an SA no key leaves, nor anything else", test_no_sa_no_key},
	{"results are kept while the controlplane does not read", test_results_are_kept},
	{"a key leaves in ESP, the answer counts in ESP only", test_keys_in_esp},
	{"events go up, acknowledgements go out", test_events_and_acks},
	{"an SA of nobody or of another gateway carries no MGCP", test_sa_of_nobody},
	{"grants, a deleted SA", test_grants},
	{"a gateway in clear gets no keys", test_clear_gateway},
	{"all buffers come back", test_down},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("local", tests, setup, teardown)
