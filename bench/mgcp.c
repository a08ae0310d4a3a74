/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many CRCX with keys one worker delivers a second: command in, message built with its key in base64, transaction, answer parsed
 * with the gateway's key, result out.
 *  esp=none         codec and transactions alone: the gateway answers in the same process by memcpy; no ESP, no sockets. Beside it what a
 *                   plain kernel UDP socket needs for the same two datagrams over loopback, without any codec ("kernel-udp")
 *  esp=AES_GCM_128  the whole worker among 4,000 gateways with a pair of SAs each (gwload.h): commands from its ring, ESP out, ESP in,
 *                   results into its ring. Beside it a call agent on the kernel's sockets with the same codec (agent.c), in clear
 *                   and with OpenSSL's AES-GCM around each message
 *  end_to_end=1     from the controlplane's command to its event, all that is between on one core (mgcpend.c)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mgcp.h"
#include "mgcp/deliver.h"

#define BATCH 32

static const char answer[] =
	"200 000000000 OK\r\nI: 8C2\r\n\r\nv=0\r\no=- 1 1 IN IP4 10.0.1.1\r\ns=-\r\n"
	"c=IN IP4 10.0.1.1\r\nt=0 0\r\nm=audio 18000 RTP/SAVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
	"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";

static struct {
	struct {
		uint32_t gw_id;
		char tid[9];
	} out[BATCH]; /* on their way to the gateways */
	unsigned int n;
	uint64_t good, bad;
	uint16_t sent_len;
	uint8_t sent[1024]; /* the last message */
} b;

static int op_send(void *ctx, uint32_t gw_id, const struct dp_sockaddr *from,
                   const struct dp_sockaddr *to, const uint8_t *payload, uint16_t len, bool need_sa)
{
	(void)ctx;
	(void)from;
	(void)to;
	(void)need_sa;
	if (b.n == BATCH || len < 14 || len > sizeof(b.sent))
		return -EAGAIN;
	memcpy(b.sent, payload, len); /* as if into an mbuf */
	b.sent_len = len;
	b.out[b.n].gw_id = gw_id;
	memcpy(b.out[b.n++].tid, payload + 5, 9);
	return 0;
}

static bool op_sa_live(void *ctx, uint32_t gw_id)
{
	(void)ctx;
	(void)gw_id;
	return true;
}

static void op_done(void *ctx, const struct dp_mgcp_done *done)
{
	(void)ctx;
	if (done->result == DP_MGCP_ANSWERED && done->code == 200 &&
	    done->media.suite == DP_AES_CM_128_HMAC_SHA1_80)
		b.good++;
	else
		b.bad++;
}

static int op_event(void *ctx, const struct dp_mgcp_event *event)
{
	(void)ctx;
	(void)event;
	return -EAGAIN;
}

static const struct dp_sockaddr agent = {.ip = {10, 0, 0, 1}, .port = 2727, .family = 4};

static struct dp_sockaddr gw_addr(uint32_t gw_id)
{
	return (struct dp_sockaddr){
		.ip = {10, 1, (uint8_t)(gw_id >> 8), (uint8_t)gw_id}, .port = 2427, .family = 4};
}

/* Commands a second over at least 'seconds'. */
static double run_deliver(struct dp_deliver *d, uint32_t gateways, double seconds,
                          double *ret_cycles)
{
	static uint64_t now_us = 1000000;
	static uint32_t next_gw;
	struct dp_mgcp_cmd c = {.verb = DP_MGCP_CRCX,
	                        .mode = DP_MGCP_M_SENDRECV,
	                        .call_id = "A1B2C3",
	                        .media = {.addr = {.ip = {10, 0, 0, 9}, .port = 16384, .family = 4},
	                                  .suite = DP_AES_CM_128_HMAC_SHA1_80,
	                                  .tag = 1,
	                                  .ptime_ms = 20}};
	uint8_t text[sizeof(answer)];
	uint64_t n = 0, begin_cyc = bench_tsc();
	double begin = bench_now(), end;

	memcpy(text, answer, sizeof(answer));
	do {
		for (unsigned int k = 0; k < 16; k++) {
			for (unsigned int i = 0; i < BATCH; i++) {
				c.gw_id = next_gw;
				next_gw = next_gw + 1 < gateways ? next_gw + 1 : 0;
				memcpy(c.endpoint, "S0/SU0/DS1-0/00", 16);
				c.endpoint[13] = (char)('0' + i / 10);
				c.endpoint[14] = (char)('0' + i % 10);
				c.media.key[i % 16]++;
				dp_deliver_cmd(d, &c, now_us);
			}
			now_us += 100;
			for (unsigned int i = 0; i < b.n; i++) {
				struct dp_sockaddr from = gw_addr(b.out[i].gw_id);

				memcpy(text + 4, b.out[i].tid, 9);
				dp_deliver_rx(d, text, sizeof(answer) - 1, &from, &agent, true,
				              b.out[i].gw_id, now_us);
			}
			n += b.n;
			b.n = 0;
			dp_deliver_tick(d, now_us);
		}
		end = bench_now();
	} while (end - begin < seconds);
	*ret_cycles = (double)(bench_tsc() - begin_cyc) / (double)n;
	return (double)n / (end - begin);
}

/* Datagram pairs of the same sizes through two kernel sockets. */
static double run_kernel(const int fd[2], const struct sockaddr_in addr[2], double seconds)
{
	uint8_t in[2048];
	uint64_t n = 0;
	double begin = bench_now(), end;

	do {
		for (unsigned int k = 0; k < 256; k++) {
			if (sendto(fd[0], b.sent, b.sent_len, 0, (const struct sockaddr *)&addr[1],
			           sizeof(addr[1])) < 0 ||
			    recv(fd[1], in, sizeof(in), 0) < 0 ||
			    sendto(fd[1], answer, sizeof(answer) - 1, 0,
			           (const struct sockaddr *)&addr[0], sizeof(addr[0])) < 0 ||
			    recv(fd[0], in, sizeof(in), 0) < 0)
				return 0;
			n++;
		}
		end = bench_now();
	} while (end - begin < seconds);
	return (double)n / (end - begin);
}

static int sockets(int fd[2], struct sockaddr_in addr[2])
{
	for (int i = 0; i < 2; i++) {
		socklen_t len = sizeof(addr[i]);

		addr[i] = (struct sockaddr_in){.sin_family = AF_INET,
		                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		fd[i] = socket(AF_INET, SOCK_DGRAM, 0);
		if (fd[i] < 0 || bind(fd[i], (struct sockaddr *)&addr[i], len) < 0 ||
		    getsockname(fd[i], (struct sockaddr *)&addr[i], &len) < 0)
			return -errno;
	}
	return 0;
}

static int alone(const struct bench_opts *opts)
{
	static const struct dp_deliver_ops ops = {op_send, op_sa_live, op_done, op_event,
	                                          100000000, 0, 0, NULL, NULL, 0};
	static const uint32_t gateways[] = {1, 100, 10000};
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 3 : 7;
	double seconds = opts->quick ? 0.1 : 0.5;
	struct sockaddr_in addr[2];
	int fd[2] = {-1, -1}, rc = 0;

	bench_pin(opts->cpu);
	if (runs > BENCH_RUNS_MAX)
		runs = BENCH_RUNS_MAX;
	if (sockets(fd, addr) < 0)
		return 1;
	for (size_t g = 0; g < sizeof(gateways) / sizeof(gateways[0]); g++) {
		json_t *kase = json_pack("{s:s, s:s, s:i}", "op", "crcx", "esp", "none", "gateways",
		                         (int)gateways[g]);
		double value[BENCH_RUNS_MAX], peer[BENCH_RUNS_MAX], cycles[BENCH_RUNS_MAX];
		struct dp_deliver *d;

		if (!bench_wanted(opts, kase)) {
			json_decref(kase);
			continue;
		}
		memset(&b, 0, sizeof(b));
		d = dp_deliver_create(&ops, NULL, gateways[g], 1024);
		for (uint32_t i = 0; d != NULL && i < gateways[g]; i++) {
			struct dp_gw_set set = {.gw_id = i, .remote = gw_addr(i), .local = agent};

			snprintf(set.domain, sizeof(set.domain), "gw%u.example.net", i);
			rc |= dp_deliver_gw_set(d, &set) != 0;
		}
		if (d == NULL || rc != 0) {
			json_decref(kase);
			rc = 1;
			break;
		}
		run_deliver(d, gateways[g], seconds / 5, &cycles[0]); /* warm up */
		for (unsigned int r = 0; r < runs; r++) {
			value[r] = run_deliver(d, gateways[g], seconds, &cycles[r]);
			peer[r] = run_kernel(fd, addr, seconds);
		}
		if (b.bad != 0 || b.good == 0) {
			fprintf(stderr, "ravelin-bench: mgcp: %llu good results, %llu bad\n",
			        (unsigned long long)b.good, (unsigned long long)b.bad);
			rc = 1;
		}
		bench_row(opts, &(struct bench_row){.bench = "mgcp",
		                                    .kase = kase,
		                                    .unit = "command/s/core",
		                                    .peer = "kernel-udp",
		                                    .value = value,
		                                    .peer_value = peer,
		                                    .runs = runs,
		                                    .peer_runs = runs,
		                                    .cycles = bench_quantile(cycles, runs, 0.5)});
		dp_deliver_destroy(d);
	}
	close(fd[0]);
	close(fd[1]);
	return rc;
}

int bench_mgcp(const struct bench_opts *opts)
{
	return alone(opts) | bench_mgcp_whole(opts);
}
