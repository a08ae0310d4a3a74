/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Captures and traces through the real worker round: what is in the files is what was on the wire, or in clear; how a
 * capture ends; what a trace says of packets that get through and of those that do not. PC-*: rows of the catalogue.
 * Rows: 004c:PC-01, PC-02, PC-08, PC-09, PC-14.
 */
#include <CUnit/CUnit.h>
#include <signal.h>
#include <srtp2/srtp.h>
#include <sys/resource.h>

#include "dp_harness.h"
#include "pcapng.h"
#include "capring.h"
#include "watch.h"

#define A_PORT (BASE + 512)
#define B_PORT (BASE + 514)

static char dir[64], path[192];
static uint32_t leg_a, leg_b; /* a: SRTP, on port 0; b: plain, on port 1 */

static int setup(void)
{
	strcpy(dir, "/tmp/see.XXXXXX");
	signal(SIGXFSZ, SIG_IGN);
	if (mkdtemp(dir) == NULL)
		return 1;
	cfg.capture = (struct cfg_capture){.enabled = true, .plain = CFG_CAPTURE_ALLOW, .directory = dir, .max_s = 3600,
					   .max_mb = 4};
	return harness_up() != 0 || srtp_init() != srtp_err_status_ok;
}

static srtp_t party(uint8_t fill, bool sends)
{
	static uint8_t k[30];
	srtp_policy_t pol = {0};
	srtp_t s = NULL;

	memset(k, fill, 16);
	memset(k + 16, fill + 1, 14);
	srtp_crypto_policy_set_rtp_default(&pol.rtp);
	srtp_crypto_policy_set_rtcp_default(&pol.rtcp);
	pol.ssrc.type = sends ? ssrc_any_outbound : ssrc_any_inbound;
	pol.key = k;
	pol.window_size = 128;
	CU_ASSERT_EQUAL_FATAL(srtp_create(&s, &pol), srtp_err_status_ok);
	return s;
}

static void legs_up(void)
{
	leg_a = leg(0, A_PORT, DP_LEG_ID(1, B_PORT, BASE), "10.0.0.2", 4000, DP_AES_CM_128_HMAC_SHA1_80,
		    DP_AES_CM_128_HMAC_SHA1_80, DP_LATCH_AUTH, 0);
	leg_b = leg(1, B_PORT, leg_a, "10.1.0.2", 5000, 0, 0, DP_LATCH_NONE, 0);
	key(leg_a, DP_DIR_RECV, DP_AES_CM_128_HMAC_SHA1_80, 1);
	key(leg_a, DP_DIR_SEND, DP_AES_CM_128_HMAC_SHA1_80, 3);
	rounds(2);
	host_speaks(0, "10.0.0.2");
	host_speaks(1, "10.1.0.2");
	drain_tx();
}

static int capture(uint32_t id, uint32_t leg_id, uint8_t side, const char *name, uint64_t max, uint32_t max_s, uint32_t snap)
{
	struct dp_capture m = {.id = id, .leg_id = leg_id, .side = side, .max_bytes = max, .max_s = max_s, .snap_len = snap};

	snprintf(m.name, sizeof(m.name), "%s", name);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return msg(&m, DP_MSG_CAPTURE, sizeof(m));
}

static int end_capture(uint32_t id)
{
	struct dp_capture m = {.id = id};

	return msg(&m, DP_MSG_CAPTURE, sizeof(m));
}

/* The writer is a thread: rounds until the capture's end is told. */
static void await_done(void)
{
	for (int i = 0; i < 5000 && capture_cnt == 0; i++) {
		usleep(1000);
		rounds(1);
	}
	CU_ASSERT_EQUAL(capture_cnt, 1);
	capture_cnt = 0;
}

/* Headers of an IP packet, and the RTP behind them. */
static void assert_path(const struct pcapng_pkt *p, const char *src, uint16_t sport, const char *dst, uint16_t dport,
			struct dp_frame *f)
{
	struct dp_sockaddr s, d;

	ip_of(src, &s, sport);
	ip_of(dst, &d, dport);
	CU_ASSERT_EQUAL_FATAL(dp_parse_ip(p->data, (uint16_t)p->len, f), DP_OK);
	CU_ASSERT_EQUAL(memcmp(f->src, s.ip, 16), 0);
	CU_ASSERT_EQUAL(memcmp(f->dst, d.ip, 16), 0);
	CU_ASSERT_EQUAL(f->src_port, sport);
	CU_ASSERT_EQUAL(f->dst_port, dport);
	/* a sum over UDP with its own sum in it is 0 */
	CU_ASSERT_EQUAL(dp_sum_fold(dp_sum(p->data + f->l4_off, f->l4_len,
					   dp_sum_pseudo(f->family, f->src, f->dst, DP_PROTO_UDP, f->l4_len))), 0);
}

/* --- captures --- */

static void test_refused(void)
{
	struct cfg_capture was = cfg.capture;

	legs_up();
	/* PC-02: the service's switch and the leg's, both; PC-03: none unless asked for */
	cfg.capture.enabled = false;
	CU_ASSERT_EQUAL(capture(1, leg_a, DP_CAPTURE_CIPHER, "a", 1 << 20, 60, 0), -EACCES);
	cfg.capture = was;
	cfg.capture.plain = CFG_CAPTURE_DENY;
	CU_ASSERT_EQUAL(capture(1, leg_a, DP_CAPTURE_PLAIN, "a", 1 << 20, 60, 0), -EACCES);
	cfg.capture = was;
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	CU_ASSERT_EQUAL(capture(1, leg_a, DP_CAPTURE_CIPHER, "a", (4 << 20) + 1, 60, 0), -ERANGE);
	CU_ASSERT_EQUAL(capture(1, leg_a, DP_CAPTURE_CIPHER, "a", 1 << 20, 3601, 0), -ERANGE);
	CU_ASSERT_EQUAL(capture(1, leg_a, DP_CAPTURE_CIPHER, "../a", 1 << 20, 60, 0), -EINVAL);
	CU_ASSERT_EQUAL(capture(1, leg_a + 8, DP_CAPTURE_CIPHER, "a", 1 << 20, 60, 0), -ENOENT);
	CU_ASSERT_EQUAL(end_capture(1), -ENOENT);
	CU_ASSERT_PTR_NULL(node.watch);
	/* one id once, one file once, DP_CAPTURE_MAX at a time */
	CU_ASSERT_EQUAL(capture(1, leg_a, DP_CAPTURE_CIPHER, "n1", 1 << 20, 60, 0), 0);
	CU_ASSERT_PTR_NOT_NULL(node.watch);
	CU_ASSERT_EQUAL(capture(1, leg_a, DP_CAPTURE_CIPHER, "other", 1 << 20, 60, 0), -EEXIST);
	CU_ASSERT_EQUAL(capture(2, leg_a, DP_CAPTURE_CIPHER, "n1", 1 << 20, 60, 0), -EEXIST);
	for (uint32_t i = 2; i <= DP_CAPTURE_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%u", i);
		CU_ASSERT_EQUAL(capture(i, leg_a, DP_CAPTURE_CIPHER, name, 1 << 20, 60, 0), 0);
	}
	CU_ASSERT_EQUAL(capture(99, leg_a, DP_CAPTURE_CIPHER, "n99", 1 << 20, 60, 0), -ENOSPC);
	for (uint32_t i = 1; i <= DP_CAPTURE_MAX; i++) {
		CU_ASSERT_EQUAL(end_capture(i), 0);
		await_done();
		CU_ASSERT_EQUAL(last_capture.id, i);
		CU_ASSERT_EQUAL(last_capture.end, DP_CAPTURE_STOPPED);
		CU_ASSERT_EQUAL(end_capture(i), -ENOENT);
	}
	/* PC-14: behind the last one nothing looks any more */
	CU_ASSERT_PTR_NULL(node.watch);
	assert_accounts();
}

/* Both sides at once, of both legs; RTP and RTCP, both directions, the two workers' queues. */
static void test_sides(void)
{
	srtp_t from_a = party(1, true), to_a = party(3, false);
	uint8_t sent[8][256], wire_in[8][2048], clear[256];
	uint16_t sent_len[8], wire_len[8], out_len[8], n = 0;
	uint8_t out[8][2048];
	struct dp_frame f;
	struct out o;

	CU_ASSERT_EQUAL(capture(11, leg_a, DP_CAPTURE_CIPHER, "cipher", 1 << 20, 60, 0), 0);
	CU_ASSERT_EQUAL(capture(12, leg_a, DP_CAPTURE_PLAIN, "plain", 1 << 20, 60, 0), 0);
	CU_ASSERT_EQUAL(capture(13, leg_b, DP_CAPTURE_PLAIN, "plain_b", 1 << 20, 60, 0), 0);
	CU_ASSERT_EQUAL(capture(14, leg_a, DP_CAPTURE_PLAIN, "cut", 1 << 20, 60, 40), 0);
	CU_ASSERT_EQUAL(capture(15, leg_b + 20, DP_CAPTURE_PLAIN, "none", 1 << 20, 60, 0), -ENOENT);
	for (uint16_t i = 0; i < 6; i++) {
		bool rtcp = i == 2, back = i >= 3;
		uint8_t pkt[256];
		int len;

		sent_len[n] = rtcp ? rtcp_sr(sent[n], 77) : rtp(sent[n], (uint16_t)(100 + i), back ? 88 : 77, 160);
		memcpy(pkt, sent[n], sent_len[n]);
		len = sent_len[n];
		if (!back && rtcp)
			CU_ASSERT_EQUAL_FATAL(srtp_protect_rtcp(from_a, pkt, &len), srtp_err_status_ok);
		if (!back && !rtcp)
			CU_ASSERT_EQUAL_FATAL(srtp_protect(from_a, pkt, &len), srtp_err_status_ok);
		memcpy(wire_in[n], pkt, (size_t)len);
		wire_len[n] = (uint16_t)len;
		if (back)
			send_udp(1, i % 2, "10.1.0.2", 5000, "10.1.0.1", B_PORT, pkt, (uint16_t)len);
		else
			send_udp(0, i % 2, "10.0.0.2", (uint16_t)(4000 + rtcp), "10.0.0.1", (uint16_t)(A_PORT + rtcp), pkt,
				 (uint16_t)len);
		rounds(3);
		CU_ASSERT_TRUE_FATAL(next_out(&o));
		memcpy(out[n], o.data, o.len);
		out_len[n++] = o.len;
	}
	/* a forgery: on the wire, but never in clear */
	send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", A_PORT, wire_in[0], wire_len[0]);
	rounds(3);
	/* and a packet of nobody */
	send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", A_PORT + 100, wire_in[0], wire_len[0]);
	rounds(3);
	for (uint32_t id = 11; id <= 14; id++) {
		CU_ASSERT_EQUAL(end_capture(id), 0);
		await_done();
		CU_ASSERT_EQUAL(last_capture.id, id);
		CU_ASSERT_EQUAL(last_capture.end, DP_CAPTURE_STOPPED);
		CU_ASSERT_EQUAL(last_capture.lost, 0);
		CU_ASSERT_EQUAL(last_capture.pkts, id == 11 ? 7 : 6);
	}

	snprintf(path, sizeof(path), "%s/cipher", dir);
	pcapng_read(path);
	CU_ASSERT_EQUAL(pcapng.link, 1);
	CU_ASSERT_EQUAL_FATAL(pcapng.n, 7);
	CU_ASSERT_EQUAL(pcapng.recv, 7);
	for (uint16_t i = 0; i < 6; i++) {
		const struct pcapng_pkt *p = &pcapng.pkt[i];

		CU_ASSERT_EQUAL(p->flags, i < 3 ? 1 : 2);
		CU_ASSERT_EQUAL_FATAL(dp_parse_frame(p->data, (uint16_t)p->len, &f), DP_OK);
		if (i < 3) { /* byte for byte what the party sent */
			CU_ASSERT_EQUAL(f.payload_len, wire_len[i]);
			CU_ASSERT_EQUAL(memcmp(p->data + f.payload_off, wire_in[i], wire_len[i]), 0);
		} else { /* byte for byte the frame that left */
			int len;

			CU_ASSERT_EQUAL_FATAL(p->len, out_len[i]);
			CU_ASSERT_EQUAL(memcmp(p->data, out[i], out_len[i]), 0);
			memcpy(clear, p->data + f.payload_off, f.payload_len);
			len = f.payload_len;
			CU_ASSERT_NOT_EQUAL(memcmp(clear + 12, sent[i] + 12, 160), 0);
			CU_ASSERT_EQUAL(srtp_unprotect(to_a, clear, &len), srtp_err_status_ok);
			CU_ASSERT_EQUAL(memcmp(clear, sent[i], sent_len[i]), 0);
		}
	}

	for (int k = 0; k < 3; k++) { /* leg a, cut, leg b */
		snprintf(path, sizeof(path), "%s/%s", dir, k == 0 ? "plain" : k == 1 ? "cut" : "plain_b");
		pcapng_read(path);
		CU_ASSERT_EQUAL(pcapng.link, 101);
		CU_ASSERT_EQUAL_FATAL(pcapng.n, 6);
		for (uint16_t i = 0; i < 6; i++) {
			const struct pcapng_pkt *p = &pcapng.pkt[i];
			bool in = k == 2 ? i >= 3 : i < 3;
			uint16_t odd = i == 2;

			CU_ASSERT_EQUAL(p->flags, in ? 1 : 2);
			CU_ASSERT_EQUAL(p->orig_len, 28u + sent_len[i]);
			if (k == 1) {
				CU_ASSERT_EQUAL(p->len, 40);
				CU_ASSERT_EQUAL(memcmp(p->data + 28, sent[i], 12), 0);
				continue;
			}
			if (k == 0 && i < 3)
				assert_path(p, "10.0.0.2", 4000 + odd, "10.0.0.1", A_PORT + odd, &f);
			else if (k == 0)
				assert_path(p, "10.0.0.1", A_PORT, "10.0.0.2", 4000, &f);
			else if (i < 3)
				assert_path(p, "10.1.0.1", B_PORT + odd, "10.1.0.2", 5000 + odd, &f);
			else
				assert_path(p, "10.1.0.2", 5000, "10.1.0.1", B_PORT, &f);
			CU_ASSERT_EQUAL(f.payload_len, sent_len[i]);
			CU_ASSERT_EQUAL(memcmp(p->data + f.payload_off, sent[i], sent_len[i]), 0);
		}
	}
	CU_ASSERT_PTR_NULL(node.watch);
	assert_accounts();
	srtp_dealloc(from_a);
	srtp_dealloc(to_a);
}

/*
 * A shard goes from worker to worker while a leg in it is captured: every packet is in the files, once and in order,
 * from whichever worker had it.
 */
static void test_shard_moves(void)
{
	enum { N = 120 };
	struct dp_shard_move m = {.shard = DP_LEG_SHARD(leg_a)};
	srtp_t from_a = party(1, true);
	uint8_t out[2048];
	uint16_t seq0 = 5000, got = 0;
	uint64_t by[WORKERS] = {0};
	unsigned int moves = 0;
	struct dp_frame f;
	struct out o;

	CU_ASSERT_EQUAL(capture(16, leg_a, DP_CAPTURE_CIPHER, "moved", 1 << 20, 60, 0), 0);
	CU_ASSERT_EQUAL(capture(17, leg_a, DP_CAPTURE_PLAIN, "moved_plain", 1 << 20, 60, 0), 0);
	for (int i = 0; i < WORKERS; i++)
		by[i] = dp_page_workers(node.page)[i].stage_pkts[DP_STAGE_UNPROTECT];
	for (uint16_t i = 0; i < N; i++) {
		int len = rtp(out, (uint16_t)(seq0 + i), 77, 160);

		CU_ASSERT_EQUAL_FATAL(srtp_protect(from_a, out, &len), srtp_err_status_ok);
		send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", A_PORT, out, (uint16_t)len); /* one queue: a NIC keeps a stream together */
		if (i % 7 == 3) { /* some are in rings, or held, when it goes */
			m.worker = (uint32_t)(node.page->shard_worker[m.shard] + 1) % WORKERS;
			moves += msg(&m, DP_MSG_SHARD_MOVE, sizeof(m)) == 0;
		}
		rounds(1);
		while (next_out(&o))
			got++;
	}
	for (int i = 0; i < 50 && got < N; i++) {
		rounds(1);
		while (next_out(&o))
			got++;
	}
	CU_ASSERT_EQUAL(got, N);
	CU_ASSERT_TRUE(moves > 4);
	for (int i = 0; i < WORKERS; i++)
		CU_ASSERT_TRUE(dp_page_workers(node.page)[i].stage_pkts[DP_STAGE_UNPROTECT] > by[i]);
	for (uint32_t id = 16; id <= 17; id++) {
		CU_ASSERT_EQUAL(end_capture(id), 0);
		await_done();
		CU_ASSERT_EQUAL(last_capture.lost, 0);
		CU_ASSERT_EQUAL(last_capture.pkts, N);
		snprintf(path, sizeof(path), "%s/%s", dir, id == 16 ? "moved" : "moved_plain");
		pcapng_read(path);
		CU_ASSERT_EQUAL_FATAL(pcapng.n, N);
		for (uint16_t i = 0; i < N; i++) {
			const struct pcapng_pkt *p = &pcapng.pkt[i];

			CU_ASSERT_EQUAL_FATAL(id == 16 ? dp_parse_frame(p->data, (uint16_t)p->len, &f) :
							 dp_parse_ip(p->data, (uint16_t)p->len, &f), DP_OK);
			CU_ASSERT_EQUAL(dp_get16(p->data + f.payload_off + 2), seq0 + i);
		}
	}
	m.worker = m.shard % WORKERS; /* where it was */
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_SHARD_MOVE, sizeof(m)), 0);
	rounds(50);
	CU_ASSERT_EQUAL(node.page->shard_worker[m.shard], m.worker);
	assert_accounts();
	srtp_dealloc(from_a);
}

static void send_some(unsigned int n)
{
	static uint16_t seq = 1000;
	uint8_t p[1300];

	for (unsigned int i = 0; i < n; i++) {
		send_udp(1, (int)(i % 2), "10.1.0.2", 5000, "10.1.0.1", B_PORT, p, rtp(p, seq++, 88, 1200));
		rounds(2);
		drain_tx();
	}
}

/* PC-08 size, PC-09 duration; the leg's end; the disk's. */
static void test_ends(void)
{
	struct rlimit old, cut;

	CU_ASSERT_EQUAL(capture(21, leg_b, DP_CAPTURE_CIPHER, "full", 20000, 60, 0), 0);
	send_some(40);
	await_done();
	CU_ASSERT_EQUAL(last_capture.end, DP_CAPTURE_FULL);
	CU_ASSERT_EQUAL(last_capture.rc, 0);
	pcapng_read(path);
	CU_ASSERT_TRUE(pcapng.size <= 20000 && pcapng.size > 18000);
	CU_ASSERT_EQUAL(last_capture.bytes, pcapng.size);
	CU_ASSERT_EQUAL(last_capture.pkts, pcapng.n);
	CU_ASSERT_TRUE(pcapng.ended);

	CU_ASSERT_EQUAL(capture(22, leg_b, DP_CAPTURE_CIPHER, "time", 1 << 20, 1, 0), 0);
	send_some(3);
	await_done();
	CU_ASSERT_EQUAL(last_capture.end, DP_CAPTURE_TIME);
	CU_ASSERT_EQUAL(last_capture.pkts, 3);

	getrlimit(RLIMIT_FSIZE, &old);
	cut = (struct rlimit){9000, old.rlim_max};
	CU_ASSERT_EQUAL(capture(23, leg_b, DP_CAPTURE_CIPHER, "disk", 1 << 20, 60, 0), 0);
	setrlimit(RLIMIT_FSIZE, &cut);
	send_some(20);
	await_done();
	setrlimit(RLIMIT_FSIZE, &old);
	CU_ASSERT_EQUAL(last_capture.end, DP_CAPTURE_FAILED);
	CU_ASSERT_EQUAL(last_capture.rc, -ENOSPC);
	pcapng_read(path);
	CU_ASSERT_EQUAL(last_capture.pkts, pcapng.n);
	CU_ASSERT_EQUAL(last_capture.bytes, pcapng.size);

	/* nobody takes the news: it is kept while the controlplane is busy */
	CU_ASSERT_EQUAL(capture(24, leg_b, DP_CAPTURE_CIPHER, "gone", 1 << 20, 60, 0), 0);
	send_some(2);
	sink_rc = -EAGAIN;
	CU_ASSERT_EQUAL(del(leg_b), 0);
	rounds(20);
	usleep(20000);
	rounds(20);
	CU_ASSERT_EQUAL(capture_cnt, 0);
	sink_rc = 0;
	await_done();
	CU_ASSERT_EQUAL(last_capture.end, DP_CAPTURE_LEG_GONE);
	CU_ASSERT_EQUAL(last_capture.pkts, 2);
	CU_ASSERT_EQUAL(capture(25, leg_b, DP_CAPTURE_CIPHER, "never", 1 << 20, 60, 0), -ENOENT);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	legs_up();

	/* a controlplane that knows nothing of it */
	struct dp_hello_reply r;

	CU_ASSERT_EQUAL(capture(26, leg_b, DP_CAPTURE_PLAIN, "orphan", 1 << 20, 60, 0), 0);
	CU_ASSERT_EQUAL(dp_objs_hello(objs, 77, &r), 0); /* the same one, again: it knows */
	rounds(2);
	send_some(1);
	CU_ASSERT_EQUAL(capture_cnt, 0);
	CU_ASSERT_EQUAL(dp_objs_hello(objs, 78, &r), 0);
	await_done();
	CU_ASSERT_EQUAL(last_capture.end, DP_CAPTURE_STOPPED);
	CU_ASSERT_EQUAL(last_capture.pkts, 1);
	CU_ASSERT_PTR_NULL(node.watch);
	assert_accounts();
}

/* More than the ring holds between two looks of the writer: counted, and the media do not notice. */
static void test_too_fast(void)
{
	uint64_t tx = 0, sent = 0;
	uint8_t p[1300];

	CU_ASSERT_EQUAL(capture(31, leg_b, DP_CAPTURE_CIPHER, "fast", 4 << 20, 60, 0), 0);
	for (int w = 0; w < WORKERS; w++)
		tx -= dp_page_workers(node.page)[w].tx_pkts;
	for (int k = 0; k < 60 && last_capture.id != 31; k++) {
		for (int i = 0; i < 60; i++, sent++)
			send_udp(1, i % 2, "10.1.0.2", 5000, "10.1.0.1", B_PORT, p, rtp(p, (uint16_t)(2000 + sent), 88, 1200));
		for (int w = 0; w < WORKERS; w++)
			dp_worker_round(node.worker[w]);
		drain_tx();
	}
	rounds(4);
	drain_tx();
	for (int w = 0; w < WORKERS; w++)
		tx += dp_page_workers(node.page)[w].tx_pkts;
	CU_ASSERT_EQUAL(tx, sent); /* every packet was relayed */
	(void)end_capture(31);
	await_done();
	pcapng_read(path);
	if (last_capture.end == DP_CAPTURE_STOPPED) /* else the file was full, which is no loss */
		CU_ASSERT_EQUAL(last_capture.pkts + last_capture.lost, sent);
	CU_ASSERT_EQUAL(pcapng.drop, last_capture.lost);
	assert_accounts();
}

/* The ring itself full, without a writer that empties it meanwhile. */
static void test_lost_is_counted(void)
{
	struct dp_watch *watch = calloc(1, sizeof(*watch));
	struct dp_worker *w = node.worker[DP_LEG_SHARD(leg_b) % WORKERS];
	uint64_t was = w->cap_lost[5];
	const struct dp_cap_rec *rec;
	uint32_t in_ring = 0;

	watch->capture_cnt = 1;
	watch->capture[0] = (struct dp_watch_capture){.leg_id = leg_b, .snap_len = UINT32_MAX, .side = DP_CAPTURE_CIPHER,
						      .slot = 5};
	node.watch = watch;
	send_some(1000);
	while ((rec = dp_capring_peek(w->cap_ring)) != NULL) {
		CU_ASSERT_EQUAL(rec->slot, 5);
		dp_capring_pop(w->cap_ring);
		in_ring++;
	}
	CU_ASSERT_TRUE(w->cap_lost[5] > was);
	CU_ASSERT_EQUAL(in_ring + w->cap_lost[5] - was, 1000);
	node.watch = NULL;
	rounds(1);
	free(watch);
}

/* --- traces --- */

static int trace(uint32_t id, uint32_t count, uint32_t leg_id, const char *src, uint16_t sport, uint16_t dport, bool drops_only)
{
	struct dp_trace m = {.id = id, .count = count, .leg_id = leg_id, .dst_port = dport, .drops_only = drops_only};

	if (src != NULL)
		ip_of(src, &m.src, sport);
	trace_cnt = 0;
	memset(traced, 0, sizeof(traced));
	return msg(&m, DP_MSG_TRACE, sizeof(m));
}

/* Stages up to 'at' passed, there 'why', the rest not reached. */
static void assert_stages(const struct dp_trace_pkt *p, enum dp_stage at, enum dp_drop why)
{
	for (unsigned int s = 0; s < DP_STAGE_OTHER; s++)
		CU_ASSERT_EQUAL(p->stage[s], s < (unsigned int)at ? DP_OK : s == (unsigned int)at ? why : DP_TRACE_NOT_REACHED);
	CU_ASSERT_EQUAL(p->stage[DP_STAGE_OTHER], DP_TRACE_NOT_REACHED);
}

static void test_trace_verdicts(void)
{
	srtp_t from_a = party(1, true);
	uint8_t p[256], q[256];
	int len;
	unsigned int n = 0;

	legs_up();
	CU_ASSERT_EQUAL(trace(5, 0, UINT32_MAX, NULL, 0, 0, false), -ENOENT);
	CU_ASSERT_EQUAL(trace(5, 10, UINT32_MAX, NULL, 0, 0, false), 0);
	CU_ASSERT_EQUAL(trace(6, 10, UINT32_MAX, NULL, 0, 0, false), -EBUSY);
	/* all the way, from the queue of a worker that hands it over: one record, of the owner */
	len = rtp(p, 4000, 79, 160);
	CU_ASSERT_EQUAL_FATAL(srtp_protect(from_a, p, &len), srtp_err_status_ok);
	memcpy(q, p, (size_t)len);
	send_udp(0, 1 - (int)(DP_LEG_SHARD(leg_a) % WORKERS), "10.0.0.2", 4000, "10.0.0.1", A_PORT, p, (uint16_t)len);
	rounds(3);
	CU_ASSERT_EQUAL_FATAL(trace_cnt, ++n);
	assert_stages(&traced[0], DP_STAGE_TX, DP_OK);
	CU_ASSERT_EQUAL(traced[0].id, 5);
	CU_ASSERT_EQUAL(traced[0].left, 9);
	CU_ASSERT_EQUAL(traced[0].leg_in, leg_a);
	CU_ASSERT_EQUAL(traced[0].leg_out, leg_b);
	CU_ASSERT_EQUAL(traced[0].port_in, 0);
	CU_ASSERT_EQUAL(traced[0].port_out, 1);
	CU_ASSERT_EQUAL(traced[0].worker, DP_LEG_SHARD(leg_a) % WORKERS);
	CU_ASSERT_EQUAL(traced[0].index, 4000);
	CU_ASSERT_EQUAL(traced[0].ssrc, 79);
	CU_ASSERT_EQUAL(traced[0].len, 14 + 28 + len);
	CU_ASSERT_EQUAL(traced[0].src.port, 4000);
	CU_ASSERT_EQUAL(traced[0].dst.port, A_PORT);
	CU_ASSERT_EQUAL(traced[0].src.ip[3], 2);
	/* a twin of it, a forgery */
	send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", A_PORT, q, (uint16_t)len);
	rounds(3);
	CU_ASSERT_EQUAL_FATAL(trace_cnt, ++n);
	assert_stages(&traced[1], DP_STAGE_UNPROTECT, DP_DROP_REPLAY);
	CU_ASSERT_EQUAL(traced[1].leg_out, leg_b);
	q[3]++;
	send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", A_PORT, q, (uint16_t)len);
	rounds(3);
	CU_ASSERT_EQUAL_FATAL(trace_cnt, ++n);
	assert_stages(&traced[2], DP_STAGE_UNPROTECT, DP_DROP_AUTH);
	/* before there is a leg: none there, another's address, no address of ours */
	send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", A_PORT + 64, q, (uint16_t)len);
	rounds(3);
	CU_ASSERT_EQUAL_FATAL(trace_cnt, ++n);
	assert_stages(&traced[3], DP_STAGE_LOOKUP, DP_DROP_NO_LEG);
	CU_ASSERT_EQUAL(traced[3].leg_in, DP_LEG_ID(0, A_PORT + 64, BASE));
	CU_ASSERT_EQUAL(traced[3].leg_out, UINT32_MAX);
	send_udp(1, 0, "10.1.0.3", 5000, "10.1.0.1", B_PORT, q, (uint16_t)len);
	rounds(3);
	CU_ASSERT_EQUAL_FATAL(trace_cnt, ++n);
	assert_stages(&traced[4], DP_STAGE_LOOKUP, DP_DROP_SOURCE);
	send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.77", A_PORT, q, (uint16_t)len);
	rounds(3);
	CU_ASSERT_EQUAL_FATAL(trace_cnt, ++n);
	assert_stages(&traced[5], DP_STAGE_PARSE, DP_DROP_L3_NOT_OURS);
	CU_ASSERT_EQUAL(traced[5].leg_in, UINT32_MAX);
	CU_ASSERT_EQUAL(traced[5].dst.ip[3], 77);
	/* a frame of garbage: no addresses */
	memset(q, 0xff, 60);
	inject(0, 0, q, 60);
	rounds(3);
	CU_ASSERT_EQUAL_FATAL(trace_cnt, ++n);
	assert_stages(&traced[6], DP_STAGE_PARSE, DP_DROP_L2_NOT_OURS);
	CU_ASSERT_EQUAL(traced[6].src.family, 0);
	/* what is not media goes another way */
	host_speaks(0, "10.0.0.2");
	CU_ASSERT_EQUAL_FATAL(trace_cnt, ++n);
	CU_ASSERT_EQUAL(traced[7].stage[DP_STAGE_PARSE], DP_OK);
	CU_ASSERT_EQUAL(traced[7].stage[DP_STAGE_LOOKUP], DP_TRACE_NOT_REACHED);
	CU_ASSERT_NOT_EQUAL(traced[7].stage[DP_STAGE_OTHER], DP_TRACE_NOT_REACHED);
	CU_ASSERT_EQUAL(trace(6, 0, UINT32_MAX, NULL, 0, 0, false), -ENOENT); /* another's */
	CU_ASSERT_EQUAL(trace(5, 0, UINT32_MAX, NULL, 0, 0, false), 0);
	CU_ASSERT_PTR_NULL(node.watch);
	drain_tx();
	assert_accounts();
	srtp_dealloc(from_a);
}

static void test_trace_filters(void)
{
	uint8_t p[256];
	uint16_t len = rtp(p, 1, 88, 160);

	/* by leg; ends by itself after 'count' */
	CU_ASSERT_EQUAL(trace(7, 2, leg_b, NULL, 0, 0, false), 0);
	for (int i = 0; i < 4; i++) {
		send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", A_PORT + 64, p, len);
		send_udp(1, 1, "10.1.0.2", 5000, "10.1.0.1", B_PORT, p, len);
		rounds(2);
	}
	CU_ASSERT_EQUAL(trace_cnt, 2);
	CU_ASSERT_EQUAL(traced[0].left, 1);
	CU_ASSERT_EQUAL(traced[1].left, 0);
	CU_ASSERT_PTR_NULL(node.watch);
	/* by source, with and without port */
	for (uint16_t port = 0; port < 2; port++) {
		CU_ASSERT_EQUAL(trace(8, 50, UINT32_MAX, "10.1.0.2", port * 5001, 0, false), 0);
		send_udp(1, 0, "10.1.0.2", 5000, "10.1.0.1", B_PORT, p, len);
		send_udp(1, 0, "10.1.0.2", 5001, "10.1.0.1", B_PORT, p, len);
		send_udp(1, 0, "10.1.0.9", 5001, "10.1.0.1", B_PORT, p, len);
		rounds(3);
		CU_ASSERT_EQUAL(trace_cnt, port == 0 ? 2 : 1);
		CU_ASSERT_EQUAL(trace(8, 0, UINT32_MAX, NULL, 0, 0, false), 0);
	}
	/* by destination port */
	CU_ASSERT_EQUAL(trace(9, 50, UINT32_MAX, NULL, 0, B_PORT + 1, false), 0);
	send_udp(1, 0, "10.1.0.2", 5000, "10.1.0.1", B_PORT, p, len);
	send_udp(1, 0, "10.1.0.2", 5001, "10.1.0.1", B_PORT + 1, p, len);
	rounds(3);
	CU_ASSERT_EQUAL(trace_cnt, 1);
	assert_stages(&traced[0], DP_STAGE_LOOKUP, DP_DROP_RTCP_MALFORMED);
	CU_ASSERT_EQUAL(traced[0].rtcp, 1);
	CU_ASSERT_EQUAL(trace(9, 0, UINT32_MAX, NULL, 0, 0, false), 0);
	/* drops only: what was answered or used here is none */
	len = rtp(p, 1, 90, 160);
	CU_ASSERT_EQUAL(trace(10, 50, UINT32_MAX, NULL, 0, 0, true), 0);
	send_udp(1, 0, "10.1.0.2", 5000, "10.1.0.1", B_PORT, p, len);
	host_speaks(0, "10.0.0.2");
	CU_ASSERT_EQUAL(trace_cnt, 0);
	send_udp(1, 0, "10.1.0.3", 5000, "10.1.0.1", B_PORT, p, len);
	rounds(3);
	CU_ASSERT_EQUAL(trace_cnt, 1);
	/* the controlplane is slow: nothing is lost, nothing is counted twice */
	sink_rc = -EAGAIN;
	send_udp(1, 0, "10.1.0.3", 5000, "10.1.0.1", B_PORT, p, len);
	rounds(5);
	CU_ASSERT_EQUAL(trace_cnt, 1);
	sink_rc = 0;
	rounds(2);
	CU_ASSERT_EQUAL(trace_cnt, 2);
	CU_ASSERT_EQUAL(traced[1].left, 48);
	/* it is gone: the trace ends */
	sink_rc = -ENOTCONN;
	send_udp(1, 0, "10.1.0.3", 5000, "10.1.0.1", B_PORT, p, len);
	rounds(5);
	sink_rc = 0;
	CU_ASSERT_PTR_NULL(node.watch);
	/* capture and trace at once, and the port's ring full: the packet is refused at its last stage */
	CU_ASSERT_EQUAL(capture(41, leg_b, DP_CAPTURE_CIPHER, "both", 1 << 20, 60, 0), 0);
	CU_ASSERT_EQUAL(trace(11, 1, leg_b, NULL, 0, 0, true), 0);
	drain_tx();
	struct dp_worker *w = node.worker[DP_LEG_SHARD(leg_b) % WORKERS];

	while (rte_ring_free_count(tx_ring[0][w->id]) > 0)
		(void)rte_ring_enqueue(tx_ring[0][w->id], rte_pktmbuf_alloc(node.pool));
	send_udp(1, w->id, "10.1.0.2", 5000, "10.1.0.1", B_PORT, p, rtp(p, 2, 90, 160));
	rounds(3);
	CU_ASSERT_EQUAL_FATAL(trace_cnt, 1);
	assert_stages(&traced[0], DP_STAGE_TX, DP_DROP_TX_FULL);
	drain_tx();
	CU_ASSERT_PTR_NOT_NULL(node.watch); /* the capture's */
	CU_ASSERT_EQUAL(end_capture(41), 0);
	await_done();
	CU_ASSERT_PTR_NULL(node.watch);
	assert_accounts();
}

/* Captures still open when the process ends are whole files. */
static void test_stop(void)
{
	char cmd[128];

	CU_ASSERT_EQUAL(capture(51, leg_b, DP_CAPTURE_PLAIN, "last", 1 << 20, 60, 0), 0);
	CU_ASSERT_EQUAL(trace(12, 5, leg_b, NULL, 0, 0, false), 0);
	send_some(2);
	CU_ASSERT_EQUAL(harness_down(), 0);
	pcapng_read(path);
	CU_ASSERT_EQUAL(pcapng.n, 2);
	CU_ASSERT_TRUE(pcapng.ended);
	srtp_shutdown();
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	CU_ASSERT_EQUAL(system(cmd), 0);
}

static CU_TestInfo tests[] = {
	{"refused: not allowed, no leg, twice, too many", test_refused},
	{"cipher is the wire, plain is what was sent", test_sides},
	{"a shard moves while its leg is captured", test_shard_moves},
	{"ends: size, time, disk, leg, controlplane", test_ends},
	{"faster than the disk: media first", test_too_fast},
	{"what finds no room is counted", test_lost_is_counted},
	{"trace: each stage's verdict", test_trace_verdicts},
	{"trace: filters and ends", test_trace_filters},
	{"open files are whole after a stop", test_stop},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("see", tests, setup, NULL)
