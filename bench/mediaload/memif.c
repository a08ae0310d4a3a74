/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * To a relay and back over one ethdev of a driver without the kernel: memif as the client of the relay's server. One core
 * sends and receives. Each call's frame is one mbuf that is sent again and again with the next sequence number: the driver
 * copies it into the ring before its burst returns.
 */
#include "mediaload.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_pause.h>

#include "neigh.h"
#include "parse.h"

#define GROUP 64

static struct rte_mempool *pool;
static struct rte_mbuf **frames;
static uint16_t *seqs; /* of the calls: their own records are too large to walk through at speed */
static uint8_t mac[6], gateway[16];
static uint16_t port;
static unsigned int cursor;
static struct bench_raw *raw; /* with it, what comes is looked at */
static uint64_t right_n;

static int memif_open(const struct ml_opts *opts)
{
	static char lcores[32], vdev[512];
	char *argv[] = {(char *)(uintptr_t)"ravelin-mediaload", lcores, vdev, (char *)(uintptr_t)"--no-pci",
			(char *)(uintptr_t)"--no-huge", (char *)(uintptr_t)"--no-shconf", (char *)(uintptr_t)"--no-telemetry",
			(char *)(uintptr_t)"-m", (char *)(uintptr_t)"256", (char *)(uintptr_t)"--log-level=*:warning", NULL};
	struct rte_eth_conf conf = {0};
	struct rte_eth_link link = {0};
	struct rte_ether_addr ea;
	uint32_t be = htonl(opts->gateway);

	memcpy(gateway, &be, 4);
	snprintf(lcores, sizeof(lcores), "--lcores=0@%d", opts->cpu);
	snprintf(vdev, sizeof(vdev), "--vdev=%s", opts->vdev);
	if (rte_eal_init(10, argv) < 0 || rte_eth_dev_count_avail() != 1)
		return -1;
	port = 0;
	pool = rte_pktmbuf_pool_create("load", 32767, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, (int)rte_socket_id());
	if (pool == NULL || rte_eth_dev_configure(port, 1, 1, &conf) < 0 ||
	    rte_eth_rx_queue_setup(port, 0, 2048, 0, NULL, pool) < 0 || rte_eth_tx_queue_setup(port, 0, 2048, 0, NULL) < 0 ||
	    rte_eth_dev_start(port) < 0 || rte_eth_macaddr_get(port, &ea) < 0)
		return -1;
	memcpy(mac, ea.addr_bytes, 6);
	for (int i = 0; i < 100 && link.link_status == RTE_ETH_LINK_DOWN; i++) {
		usleep(100000);
		(void)rte_eth_link_get_nowait(port, &link);
	}
	if (link.link_status == RTE_ETH_LINK_DOWN) {
		fprintf(stderr, "ravelin-mediaload: no server behind %s\n", opts->vdev);
		return -1;
	}
	if (ml_calls_read(opts, mac) < 0)
		return -1;
	frames = calloc(ml_call_cnt, sizeof(*frames));
	seqs = calloc(ml_call_cnt, sizeof(*seqs));
	for (unsigned int i = 0; frames != NULL && seqs != NULL && i < ml_call_cnt; i++) {
		frames[i] = rte_pktmbuf_alloc(pool);
		if (frames[i] == NULL)
			return -1;
		frames[i]->data_len = (uint16_t)(ML_HEAD + ml_calls[i].rtp_len);
		frames[i]->pkt_len = frames[i]->data_len;
		memcpy(rte_pktmbuf_mtod(frames[i], void *), ml_calls[i].frame, frames[i]->data_len);
	}
	return frames == NULL || seqs == NULL ? -1 : 0;
}

/* The gateway asks for the relay's address: it is answered, and the gateway is known. */
static void ask(const struct ml_opts *opts)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t relay[16] = {0};
	uint32_t be = htonl(ml_calls[0].dst);

	if (m == NULL || opts->echo) {
		rte_pktmbuf_free(m);
		return;
	}
	memcpy(relay, &be, 4);
	m->data_len = dp_neigh_solicit(rte_pktmbuf_mtod(m, uint8_t *), 4, mac, gateway, relay);
	m->pkt_len = m->data_len;
	if (rte_eth_tx_burst(port, 0, &m, 1) != 1)
		rte_pktmbuf_free(m);
}

/* Who asks for the gateway gets its answer; the relay's own answers are only taken note of: its MAC. */
static void arp(const struct rte_mbuf *in)
{
	const uint8_t *f = rte_pktmbuf_mtod(in, const uint8_t *);
	struct rte_mbuf *m;
	uint8_t *o;

	if (in->data_len < 42)
		return;
	if (dp_get16(f + 20) == 2) {
		for (unsigned int i = 0; i < ml_call_cnt; i++)
			memcpy(rte_pktmbuf_mtod(frames[i], uint8_t *), f + 22, 6);
		return;
	}
	m = memcmp(f + 38, gateway, 4) == 0 ? rte_pktmbuf_alloc(pool) : NULL;
	if (m == NULL)
		return;
	o = rte_pktmbuf_mtod(m, uint8_t *);
	memcpy(o, f + 6, 6);
	memcpy(o + 6, mac, 6);
	memcpy(o + 12, f + 12, 9);
	o[21] = 2;
	o[20] = 0;
	memcpy(o + 22, mac, 6);
	memcpy(o + 28, gateway, 4);
	memcpy(o + 32, f + 22, 10);
	m->data_len = m->pkt_len = 42;
	if (rte_eth_tx_burst(port, 0, &m, 1) != 1)
		rte_pktmbuf_free(m);
}

/* What has come: media packets are counted. */
static uint64_t receive(const struct ml_opts *opts)
{
	struct rte_mbuf *m[GROUP];
	uint64_t total = 0;
	uint16_t n;

	while ((n = rte_eth_rx_burst(port, 0, m, GROUP)) > 0) {
		for (uint16_t i = 0; i < n; i++)
			rte_prefetch0(rte_pktmbuf_mtod(m[i], uint8_t *));
		for (uint16_t i = 0; i < n; i++) {
			const uint8_t *f = rte_pktmbuf_mtod(m[i], const uint8_t *);

			if (f[12] == 8 && f[13] == 6) {
				arp(m[i]);
				continue;
			}
			total++;
			if (raw != NULL)
				right_n += ml_right(raw, f, m[i]->data_len, opts->payload);
		}
		rte_pktmbuf_free_bulk(m, n);
		if (n < GROUP)
			break;
	}
	return total;
}

static unsigned int send_some(unsigned int n)
{
	struct rte_mbuf *m[GROUP];
	unsigned int first = cursor;
	uint16_t done;

	/* The driver copies them: all are on their way before the first one is. */
	for (unsigned int i = 0; i < n; i++) {
		m[i] = frames[(first + i) % ml_call_cnt];
		rte_prefetch0(m[i]);
	}
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int at = 0; at < m[i]->data_len; at += 64)
			rte_prefetch0(rte_pktmbuf_mtod_offset(m[i], uint8_t *, at));
	for (unsigned int i = 0; i < n; i++) {
		uint8_t *rtp = rte_pktmbuf_mtod_offset(m[i], uint8_t *, ML_HEAD);

		dp_put16(rtp + 2, seqs[cursor]);
		dp_put32(rtp + 4, (uint32_t)seqs[cursor] * 160);
		rte_mbuf_refcnt_update(m[i], 1);
		cursor = cursor + 1 == ml_call_cnt ? 0 : cursor + 1;
	}
	done = rte_eth_tx_burst(port, 0, m, (uint16_t)n);
	for (unsigned int i = 0; i < n; i++) {
		if (i < done)
			seqs[(first + i) % ml_call_cnt]++;
		else
			rte_pktmbuf_free(m[i]);
	}
	cursor = (first + done) % ml_call_cnt;
	return done;
}

static int memif_trial(const struct ml_opts *opts, double rate, double seconds, struct ml_result *ret)
{
	uint64_t sent = 0, got = 0, refused = 0, n;
	double t0, t, quiet;
	unsigned int most = ml_call_cnt < GROUP ? ml_call_cnt : GROUP;

	ask(opts);
	usleep(20000);
	(void)receive(opts);
	t0 = t = ml_now();
	while (t < t0 + seconds) {
		double owed = rate > 0 ? (t - t0) * rate - (double)sent : most;

		if (owed >= 1) {
			unsigned int want = owed >= most ? most : (unsigned int)owed, took = send_some(want);

			sent += took;
			refused += want - took;
		}
		got += receive(opts);
		t = ml_now();
	}
	for (quiet = ml_now() + 0.1; ml_now() < quiet;) {
		n = receive(opts);
		got += n;
		if (n > 0)
			quiet = ml_now() + 0.1;
	}
	*ret = (struct ml_result){.sent = sent, .received = got, .refused = refused};
	return 0;
}

static int memif_verify(const struct ml_opts *opts)
{
	double until = ml_now() + 10;
	uint64_t got = 0, sent = 0;

	/* Until the relay knows the gateway and we know the relay. */
	for (int i = 0; i < 5; i++) {
		ask(opts);
		usleep(100000);
		(void)receive(opts);
	}
	raw = opts->echo ? NULL : bench_raw_create();
	right_n = 0;
	while (sent < ml_call_cnt && ml_now() < until) {
		sent += send_some(1);
		got += receive(opts);
		usleep(20);
	}
	for (until = ml_now() + 0.5; ml_now() < until;)
		got += receive(opts);
	if (!opts->echo) {
		bench_raw_destroy(raw);
		raw = NULL;
		got = right_n;
	}
	if (got != ml_call_cnt)
		fprintf(stderr, "ravelin-mediaload: %lu of %u packets came right\n", (unsigned long)got, ml_call_cnt);
	return got == ml_call_cnt ? 0 : -1;
}

static void memif_close(void)
{
	for (unsigned int i = 0; frames != NULL && i < ml_call_cnt; i++)
		rte_pktmbuf_free(frames[i]);
	free(frames);
	free(seqs);
	(void)rte_eth_dev_stop(port);
	(void)rte_eth_dev_close(port);
	(void)rte_eal_cleanup();
}

const struct ml_path ml_memif = {memif_open, memif_trial, memif_verify, memif_close};
