/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The real codec, transactions and key delivery as a call agent over a UDP socket, in clear,
 * against osmo-mgw: a gateway that nobody here wrote. mgcpcli AGENT-IP GATEWAY-IP; ends with 'N
 * passed, N failed'. tests/scenario/osmo-mgw.sh starts both. No key goes out but the published one
 * of RFC 4568's examples, and that only to the gateway entry that has keys in clear allowed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mgcp/deliver.h"
#include "mgcp/txn.h"

enum { GW_WITHHELD = 1, GW_KEYS_CLEAR = 2 };

static struct dp_deliver *d;
static int fd = -1;
static struct dp_sockaddr agent, gateway;
static unsigned passed, failed, sent, lose, copies = 1, dones, speed = 1;
static struct dp_mgcp_done done[8]; /* by handle */
static bool saw_inline;
static uint64_t clock_base_us, clock_us;

/* Microseconds; runs 'speed' times as fast while we wait for what is never answered. */
static uint64_t now_us(void)
{
	struct timespec ts;
	uint64_t t;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	t = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	if (clock_base_us != 0)
		clock_us += (t - clock_base_us) * speed;
	else
		clock_us = t;
	clock_base_us = t;
	return clock_us;
}

static struct sockaddr_in to_in(const struct dp_sockaddr *a)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};

	memcpy(&in.sin_addr, a->ip, 4);
	return in;
}

static int op_send(void *ctx, uint32_t gw_id, const struct dp_sockaddr *from,
                   const struct dp_sockaddr *to, const uint8_t *payload, uint16_t len, bool need_sa)
{
	struct sockaddr_in in = to_in(to);

	(void)ctx;
	(void)gw_id;
	(void)from;
	if (memmem(payload, len, "inline:", 7) != NULL)
		saw_inline = true;
	if (need_sa)
		return -ENOKEY;
	sent++;
	if (lose > 0) {
		lose--;
		return 0;
	}
	for (unsigned i = 0; i < copies; i++)
		if (sendto(fd, payload, len, 0, (struct sockaddr *)&in, sizeof(in)) != len)
			return -EAGAIN;
	return 0;
}

static bool op_sa_live(void *ctx, uint32_t gw_id)
{
	(void)ctx;
	(void)gw_id;
	return false;
}

static void op_done(void *ctx, const struct dp_mgcp_done *r)
{
	(void)ctx;
	done[r->handle % 8] = *r;
	dones++;
}

static int op_event(void *ctx, const struct dp_mgcp_event *event)
{
	(void)ctx;
	(void)event;
	return -EAGAIN;
}

/* Until 'n' results came, or real time is up. */
static void wait_for(unsigned n, int real_ms)
{
	struct timespec begin, ts;
	uint8_t buf[4096];

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		struct sockaddr_in in;
		socklen_t in_len = sizeof(in);
		ssize_t len;

		dp_deliver_tick(d, now_us());
		clock_gettime(CLOCK_MONOTONIC, &ts);
		if (dones >= n ||
		    (ts.tv_sec - begin.tv_sec) * 1000 + (ts.tv_nsec - begin.tv_nsec) / 1000000 >
		            real_ms)
			return;
		if (poll(&p, 1, 5) <= 0)
			continue;
		len = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&in, &in_len);
		if (len > 0) {
			struct dp_sockaddr from = {.port = ntohs(in.sin_port), .family = 4};

			memcpy(from.ip, &in.sin_addr, 4);
			dp_deliver_rx(d, buf, (uint16_t)len, &from, &agent, false, UINT32_MAX,
			              now_us());
		}
	}
}

static struct dp_mgcp_cmd cmd(uint8_t verb, const char *endpoint, uint64_t handle)
{
	struct dp_mgcp_cmd c = {.gw_id = GW_WITHHELD, .verb = verb, .handle = handle};

	snprintf(c.endpoint, sizeof(c.endpoint), "%s", endpoint);
	return c;
}

/* With our description: the agent's address, port 16384, PCMU. */
static struct dp_mgcp_cmd crcx(const char *endpoint, const char *call)
{
	struct dp_mgcp_cmd c = cmd(DP_MGCP_CRCX, endpoint, 0);

	c.mode = DP_MGCP_M_RECVONLY;
	snprintf(c.call_id, sizeof(c.call_id), "%s", call);
	c.media.addr = agent;
	c.media.addr.port = 16384;
	c.media.ptime_ms = 20;
	return c;
}

static void with_key(struct dp_mgcp_cmd *c)
{
	c->media.suite = DP_AES_CM_128_HMAC_SHA1_80;
	c->media.tag = 1;
	memcpy(c->media.key, "YS___semctl () {", 16);
	memcpy(c->media.salt, "\t220;}\n}\nunles", 14);
}

/* Run one command to its result. */
static const struct dp_mgcp_done *run(const struct dp_mgcp_cmd *c)
{
	dones = 0;
	sent = 0;
	memset(done, 0, sizeof(done));
	if (dp_deliver_cmd(d, c, now_us()) != 0)
		return &done[7];
	wait_for(1, 5000);
	return &done[0];
}

static void claim(bool ok, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void claim(bool ok, const char *fmt, ...)
{
	va_list ap;

	printf("%s ", ok ? "ok   " : "FAIL ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	passed += ok;
	failed += !ok;
}

static bool answered(const struct dp_mgcp_done *r, uint16_t code)
{
	return dones == 1 && r->result == DP_MGCP_ANSWERED && r->code == code;
}

static void connections(void)
{
	struct dp_mgcp_cmd c = crcx("rtpbridge/1", "A1"), m;
	const struct dp_mgcp_done *r = run(&c);
	char id[DP_MGCP_ID_MAX];
	uint16_t port;

	claim(answered(r, 200) && r->conn_id[0] != '\0', "CRCX: %u %s, connection %s", r->code,
	      r->comment, r->conn_id);
	claim(memcmp(r->media.addr.ip, gateway.ip, 4) == 0 && r->media.addr.port != 0 &&
	              r->media.suite == DP_SRTP_NONE && r->media.pt == 0,
	      "its description: port %u, payload type %u, RTP/AVP", r->media.addr.port,
	      r->media.pt);
	snprintf(id, sizeof(id), "%s", r->conn_id);
	port = r->media.addr.port;

	m = c;
	m.verb = DP_MGCP_MDCX;
	m.mode = DP_MGCP_M_SENDRECV;
	m.media.addr.port = 16390;
	snprintf(m.conn_id, sizeof(m.conn_id), "%s", id);
	r = run(&m);
	claim(answered(r, 200) && (r->media.addr.family == 0 || r->media.addr.port == port),
	      "MDCX: %u %s", r->code, r->comment);
	snprintf(m.conn_id, sizeof(m.conn_id), "FFFFFFFF");
	r = run(&m);
	claim(answered(r, 515), "MDCX, wrong connection: %u %s", r->code, r->comment);

	m = cmd(DP_MGCP_RQNT, "rtpbridge/1", 0);
	snprintf(m.request_id, sizeof(m.request_id), "7F");
	snprintf(m.signals, sizeof(m.signals), "%s", "L/rg");
	r = run(&m);
	claim(answered(r, 200), "RQNT: %u %s", r->code, r->comment);
	m = cmd(DP_MGCP_AUEP, "rtpbridge/1", 0);
	r = run(&m);
	claim(answered(r, 200), "AUEP: %u %s", r->code, r->comment);

	m = cmd(DP_MGCP_DLCX, "rtpbridge/1", 0);
	snprintf(m.call_id, sizeof(m.call_id), "A1");
	snprintf(m.conn_id, sizeof(m.conn_id), "FFFFFFFF");
	r = run(&m);
	claim(answered(r, 515), "DLCX, wrong connection: %u %s", r->code, r->comment);
	snprintf(m.call_id, sizeof(m.call_id), "BEEF");
	snprintf(m.conn_id, sizeof(m.conn_id), "%s", id);
	r = run(&m);
	claim(answered(r, 516), "DLCX, wrong call: %u %s", r->code, r->comment);
	snprintf(m.call_id, sizeof(m.call_id), "A1");
	r = run(&m);
	claim(answered(r, 250), "DLCX: %u %s", r->code, r->comment);
	r = run(&m);
	claim(dones == 1 && r->result == DP_MGCP_ANSWERED && r->code >= 400, "DLCX again: %u %s",
	      r->code, r->comment);
}

static void errors(void)
{
	struct dp_mgcp_cmd c = crcx("rtpbridge/9999", "A2");
	const struct dp_mgcp_done *r = run(&c);

	claim(answered(r, 500), "CRCX, endpoint out of range: %u %s", r->code, r->comment);
	c = cmd(DP_MGCP_AUEP, "aaln/1", 0);
	r = run(&c);
	claim(answered(r, 500), "AUEP, no such endpoint: %u %s", r->code, r->comment);
	c = crcx("rtpbridge/*", "A3");
	r = run(&c);
	claim(answered(r, 200), "CRCX, any endpoint: %u %s, connection %s", r->code, r->comment,
	      r->conn_id);
}

static void network(void)
{
	struct dp_mgcp_cmd c = crcx("rtpbridge/2", "A4");
	const struct dp_mgcp_done *r;
	uint64_t unknown;

	/* Each datagram twice: executed once, one result; the second answer is nobody's. */
	copies = 2;
	unknown = dp_deliver_stats(d)->unknown;
	r = run(&c);
	claim(answered(r, 200), "CRCX twice: %u %s", r->code, r->comment);
	wait_for(2, 200);
	claim(dones == 1 && dp_deliver_stats(d)->unknown == unknown + 1,
	      "one result, the second answer is dropped");
	copies = 1;
	c = cmd(DP_MGCP_DLCX, "rtpbridge/2", 0);
	snprintf(c.call_id, sizeof(c.call_id), "A4");
	snprintf(c.conn_id, sizeof(c.conn_id), "%s", r->conn_id);
	r = run(&c);
	claim(answered(r, 250), "the connection of the twins is one: DLCX %u", r->code);
	/* The first three are lost. */
	lose = 3;
	c = cmd(DP_MGCP_AUEP, "rtpbridge/2", 0);
	r = run(&c);
	claim(answered(r, 200) && r->tries == 4 && sent == 4,
	      "AUEP, three lost: %u after %u transmissions", r->code, r->tries);
}

static void keys(void)
{
	struct dp_mgcp_cmd c = crcx("rtpbridge/3", "A5");
	const struct dp_mgcp_done *r;

	saw_inline = false;
	with_key(&c);
	r = run(&c);
	claim(dones == 1 && r->result == DP_MGCP_NO_SA && sent == 0 && !saw_inline,
	      "CRCX with a key, no SA: nothing is sent, no-sa");
	/* the same gateway under the setting that allows it */
	c.gw_id = GW_KEYS_CLEAR;
	dp_deliver_gw_del(d, GW_WITHHELD);
	r = run(&c);
	claim(answered(r, 200) && saw_inline, "RTP/SAVP offer, keys in clear allowed: %u %s",
	      r->code, r->comment);
	claim(r->media.addr.port != 0 && r->media.suite == DP_SRTP_NONE,
	      "is answered with RTP/AVP");
	c = cmd(DP_MGCP_DLCX, "rtpbridge/3", 0);
	c.gw_id = GW_KEYS_CLEAR;
	r = run(&c);
	claim(answered(r, 250) || answered(r, 200), "DLCX of the whole endpoint: %u %s", r->code,
	      r->comment);
}

/* What the controlplane asks when it comes up: all connections at once, or endpoint by endpoint; and how an endpoint is. */
static void audit(void)
{
	struct dp_mgcp_cmd c = crcx("rtpbridge/4", "A6");
	const struct dp_mgcp_done *r;
	char id[DP_MGCP_ID_MAX];

	c.gw_id = GW_KEYS_CLEAR;
	r = run(&c);
	snprintf(id, sizeof(id), "%s", r->conn_id);
	c = cmd(DP_MGCP_DLCX, "*", 0);
	c.gw_id = GW_KEYS_CLEAR;
	r = run(&c);
	claim(dones == 1 && r->result == DP_MGCP_ANSWERED, "DLCX of all: %u %s", r->code, r->comment);
	c = cmd(DP_MGCP_DLCX, "rtpbridge/4", 0);
	c.gw_id = GW_KEYS_CLEAR;
	r = run(&c);
	claim(dones == 1 && r->result == DP_MGCP_ANSWERED && (r->code < 300 || r->code == 515), "DLCX of one endpoint: %u %s", r->code,
	      r->comment);
	snprintf(c.call_id, sizeof(c.call_id), "A6");
	snprintf(c.conn_id, sizeof(c.conn_id), "%s", id);
	r = run(&c);
	claim(dones == 1 && r->result == DP_MGCP_ANSWERED && r->code >= 400, "its connection is gone: DLCX %u %s", r->code, r->comment);
	c = cmd(DP_MGCP_AUEP, "rtpbridge/4", 0);
	c.gw_id = GW_KEYS_CLEAR;
	r = run(&c);
	claim(answered(r, 200), "AUEP of what was swept: %u %s", r->code, r->comment);
}

/* osmo-mgw never answers these; ten times as fast, both at once. */
static void silence(void)
{
	struct dp_mgcp_cmd a = cmd(DP_MGCP_AUCX, "rtpbridge/1", 1),
			   b = cmd(DP_MGCP_EPCF, "rtpbridge/1", 2);

	a.gw_id = GW_KEYS_CLEAR;
	b.gw_id = GW_KEYS_CLEAR;
	snprintf(a.call_id, sizeof(a.call_id), "A1");
	snprintf(a.conn_id, sizeof(a.conn_id), "1");
	dones = 0;
	speed = 10;
	if (dp_deliver_cmd(d, &a, now_us()) == 0 && dp_deliver_cmd(d, &b, now_us()) == 0)
		wait_for(2, 5000);
	now_us();
	speed = 1;
	claim(done[1].result == DP_MGCP_TIMEOUT && done[1].tries == DP_TXN_MAX2,
	      "AUCX: no answer, %u transmissions", done[1].tries);
	claim(done[2].result == DP_MGCP_TIMEOUT && done[2].tries == DP_TXN_MAX2,
	      "EPCF: no answer, %u transmissions", done[2].tries);
	claim(dones == 2 && dp_deliver_txn_cnt(d) == 0, "one result each");
}

int main(int argc, char **argv)
{
	static const struct dp_deliver_ops ops = {op_send, op_sa_live, op_done, op_event, 0, 0, 0, NULL, NULL, 0};
	struct dp_gw_set set = {.gw_id = GW_WITHHELD, .flags = DP_GW_F_CLEAR, .domain = "mgw"};
	struct sockaddr_in in;

	if (argc != 3 || inet_pton(AF_INET, argv[1], agent.ip) != 1 ||
	    inet_pton(AF_INET, argv[2], gateway.ip) != 1) {
		fprintf(stderr, "usage: mgcpcli AGENT-IP GATEWAY-IP\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	agent.family = gateway.family = 4;
	agent.port = 2727;
	gateway.port = 2427;
	in = to_in(&agent);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0) {
		perror("mgcpcli: bind");
		return 2;
	}
	d = dp_deliver_create(&ops, NULL, 4, 64);
	set.remote = gateway;
	set.local = agent;
	if (d == NULL || dp_deliver_gw_set(d, &set) != 0)
		return 2;
	set.gw_id = GW_KEYS_CLEAR;
	set.flags |= DP_GW_F_KEYS_CLEAR;
	connections();
	errors();
	network();
	/* same address as the other entry: in clear only one of them can be told */
	if (dp_deliver_gw_set(d, &set) != 0)
		return 2;
	keys();
	audit();
	silence();
	dp_deliver_destroy(d);
	close(fd);
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0 || passed == 0;
}
