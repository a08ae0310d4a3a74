/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A call agent as others build one: a UDP socket of the kernel's, sendmmsg() and recvmmsg() of 32 datagrams, and for the codec and
 * the transactions the worker's own (dataplane/mgcp), so that what differs is the way to the wire. Timed is what the agent's
 * thread does; loopback makes its sendmmsg() do the receiving half of the gateway's end too, and spares it that of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "dp_suite.h"
#include "mgcp.h"
#include "mgcp/deliver.h"

#define BATCH 32
#define SLOT  2048
#define HEAD  16 /* SPI, number, IV */
#define ICV   16

struct gw {
	EVP_CIPHER_CTX *to_seal, *to_open, *from_seal, *from_open; /* agent's and gateway's end of each direction */
	uint64_t seq[2];
};

struct bench_agent {
	struct dp_deliver *d;
	struct gw *gw; /* NULL: in clear */
	unsigned int gateways, next;
	int fd, far_fd;
	struct sockaddr_in addr, far;
	uint64_t now_us, t0, good, bad, sent;
	double us_per_tick;
	struct {
		uint8_t data[SLOT];
		uint8_t control[64] __attribute__((aligned(8)));
		struct sockaddr_in addr;
		struct iovec iov;
	} slot[BATCH];
	struct mmsghdr msg[BATCH];
	unsigned int n;
};

static struct dp_sockaddr gw_addr(const struct bench_agent *a, uint32_t gw)
{
	return (struct dp_sockaddr){.ip = {127, 16, (uint8_t)(gw >> 8), (uint8_t)gw}, .port = ntohs(a->far.sin_port), .family = 4};
}

static struct dp_sockaddr agent_addr(const struct bench_agent *a)
{
	return (struct dp_sockaddr){.ip = {127, 0, 0, 1}, .port = ntohs(a->addr.sin_port), .family = 4};
}

static uint32_t gw_of(const struct in_addr *addr)
{
	return ntohl(addr->s_addr) & 0xffff;
}

/* Seal or open HEAD + len + ICV bytes in place. */
static bool gcm(EVP_CIPHER_CTX *c, bool seal, uint8_t *esp, int len)
{
	uint8_t nonce[12] = {1, 2, 3, 4};
	int n;

	memcpy(nonce + 4, esp + 8, 8);
	return EVP_CipherInit_ex(c, NULL, NULL, NULL, nonce, -1) == 1 && EVP_CipherUpdate(c, NULL, &n, esp, 8) == 1 &&
	       (seal || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, ICV, esp + HEAD + len) == 1) &&
	       EVP_CipherUpdate(c, esp + HEAD, &n, esp + HEAD, len) == 1 && EVP_CipherFinal_ex(c, esp + HEAD + len, &n) == 1 &&
	       (!seal || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, ICV, esp + HEAD + len) == 1);
}

static unsigned int wrap(struct bench_agent *a, uint32_t gw, bool out, uint8_t *esp, unsigned int len)
{
	uint64_t seq;

	if (a->gw == NULL)
		return len;
	seq = ++a->gw[gw].seq[out];
	memcpy(esp, &gw, 4);
	memcpy(esp + 4, &seq, 4);
	memcpy(esp + 8, &seq, 8);
	a->bad += !gcm(out ? a->gw[gw].to_seal : a->gw[gw].from_seal, true, esp, (int)len);
	return HEAD + len + ICV;
}

/* The text within; *len becomes its. NULL: it is none. */
static uint8_t *unwrap(struct bench_agent *a, bool out, uint8_t *data, unsigned int *len, uint32_t *gw)
{
	if (a->gw == NULL)
		return data;
	if (*len < HEAD + ICV)
		return NULL;
	memcpy(gw, data, 4);
	*len -= HEAD + ICV;
	if (*gw >= a->gateways || !gcm(out ? a->gw[*gw].to_open : a->gw[*gw].from_open, false, data, (int)*len))
		return NULL;
	return data + HEAD;
}

static void flush(struct bench_agent *a, int fd)
{
	unsigned int at = 0;

	while (at < a->n) {
		int n = sendmmsg(fd, a->msg + at, a->n - at, 0);

		if (n <= 0) {
			a->bad++;
			break;
		}
		at += (unsigned int)n;
	}
	a->n = 0;
}

static void slot_ready(struct bench_agent *a, unsigned int i, unsigned int len, bool control)
{
	a->slot[i].iov = (struct iovec){a->slot[i].data, len};
	a->msg[i].msg_hdr = (struct msghdr){.msg_name = &a->slot[i].addr, .msg_namelen = sizeof(a->slot[i].addr), .msg_iov = &a->slot[i].iov,
					    .msg_iovlen = 1, .msg_control = control ? a->slot[i].control : NULL,
					    .msg_controllen = control ? sizeof(a->slot[i].control) : 0};
}

static int op_send(void *ctx, uint32_t gw_id, const struct dp_sockaddr *from, const struct dp_sockaddr *to, const uint8_t *payload,
		   uint16_t len, bool need_sa)
{
	struct bench_agent *a = ctx;
	unsigned int i = a->n;

	(void)from;
	(void)need_sa;
	if (i == BATCH || len > SLOT - HEAD - ICV)
		return -EAGAIN;
	memcpy(a->slot[i].data + (a->gw != NULL ? HEAD : 0), payload, len);
	a->slot[i].addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(to->port)};
	memcpy(&a->slot[i].addr.sin_addr, to->ip, 4);
	slot_ready(a, i, wrap(a, gw_id, true, a->slot[i].data, len), false);
	a->n++;
	a->sent++;
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
	struct bench_agent *a = ctx;
	bool ok = done->result == DP_MGCP_ANSWERED && done->code == 200 && done->media.suite == DP_AES_CM_128_HMAC_SHA1_80 &&
		  done->media.key[0] == 'X';

	a->good += ok;
	a->bad += !ok;
}

static int op_event(void *ctx, const struct dp_mgcp_event *event)
{
	(void)ctx;
	(void)event;
	return -EAGAIN;
}

static unsigned int receive(struct bench_agent *a, int fd, bool control)
{
	unsigned int got = 0;

	for (unsigned int i = 0; i < BATCH; i++)
		slot_ready(a, i, SLOT, control);
	while (got < BATCH) {
		int n = recvmmsg(fd, a->msg + got, BATCH - got, MSG_DONTWAIT, NULL);

		if (n <= 0)
			break;
		got += (unsigned int)n;
	}
	return got;
}

/* The gateways: each datagram is answered from the address it came to. */
static void far_end(struct bench_agent *a)
{
	static const char text[] = " OK\r\nI: 8C2\r\n\r\nv=0\r\no=- 1 1 IN IP4 10.0.1.1\r\ns=-\r\nc=IN IP4 10.0.1.1\r\nt=0 0\r\n"
				   "m=audio 18000 RTP/SAVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
				   "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WFNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";
	unsigned int n = receive(a, a->far_fd, true);

	for (unsigned int i = 0; i < n; i++) {
		unsigned int len = a->msg[i].msg_len, k;
		uint32_t gw = 0;
		uint8_t *p = unwrap(a, true, a->slot[i].data, &len, &gw);
		struct cmsghdr *c = CMSG_FIRSTHDR(&a->msg[i].msg_hdr);
		struct in_pktinfo *to = c != NULL ? (struct in_pktinfo *)(void *)CMSG_DATA(c) : NULL;
		char tid[16] = "";

		if (p == NULL || to == NULL || len < 20 || len >= SLOT - 1) {
			a->bad++;
			continue;
		}
		gw = gw_of(&to->ipi_addr);
		p[len] = '\0';
		(void)sscanf((const char *)p + 5, "%11[0-9]", tid);
		k = (unsigned int)snprintf((char *)p, SLOT - HEAD - ICV, "200 %s%s", tid, text);
		to->ipi_spec_dst = to->ipi_addr;
		to->ipi_ifindex = 0;
		a->slot[i].iov.iov_len = wrap(a, gw, false, a->slot[i].data, k);
		a->msg[i].msg_hdr.msg_controllen = CMSG_SPACE(sizeof(*to));
	}
	a->n = n;
	flush(a, a->far_fd);
}

static void commands(struct bench_agent *a)
{
	struct dp_mgcp_cmd c = {.verb = DP_MGCP_CRCX, .mode = DP_MGCP_M_SENDRECV, .call_id = "A1B2C3", .endpoint = "S0/SU0/DS1-0/01",
				.media = {.addr = {.ip = {10, 0, 0, 9}, .port = 16384, .family = 4},
					  .suite = DP_AES_CM_128_HMAC_SHA1_80, .tag = 1, .ptime_ms = 20}};

	for (unsigned int i = 0; i < BATCH; i++) {
		c.gw_id = a->next;
		a->next = (a->next + 1021) % a->gateways; /* 1021 has no factor in common with what is asked for */
		c.media.key[i % 16]++;
		a->bad += dp_deliver_cmd(a->d, &c, a->now_us) != 0;
	}
	flush(a, a->fd);
}

static void answers(struct bench_agent *a)
{
	struct dp_sockaddr to = agent_addr(a);
	unsigned int n = receive(a, a->fd, false);

	for (unsigned int i = 0; i < n; i++) {
		unsigned int len = a->msg[i].msg_len;
		uint32_t gw = gw_of(&a->slot[i].addr.sin_addr);
		struct dp_sockaddr from = gw_addr(a, gw);
		uint8_t *p = unwrap(a, false, a->slot[i].data, &len, &gw);

		if (p == NULL || dp_deliver_rx(a->d, p, (uint16_t)len, &from, &to, true, gw, a->now_us) != DP_DROP_CONSUMED)
			a->bad++;
	}
	(void)dp_deliver_tick(a->d, a->now_us);
}

double bench_agent_run(struct bench_agent *a, double seconds)
{
	double end = bench_now() + seconds;
	uint64_t spent = 0, was = a->good, bad = a->bad;

	do {
		uint64_t t = bench_tsc(), want = a->good + BATCH;

		a->now_us = 1000000 + (uint64_t)((double)(t - a->t0) * a->us_per_tick);
		commands(a);
		spent += bench_tsc() - t;
		far_end(a);
		t = bench_tsc();
		answers(a);
		spent += bench_tsc() - t;
		for (int i = 0; i < 100 && a->good + a->bad < want; i++) { /* what loopback delivered late */
			far_end(a);
			answers(a);
		}
	} while (bench_now() < end && a->bad == bad);
	if (a->bad != bad || a->good == was) {
		fprintf(stderr, "ravelin-bench: mgcp: the kernel's agent had %llu answers, %llu wrong\n", (unsigned long long)(a->good - was),
			(unsigned long long)(a->bad - bad));
		return 0;
	}
	return (double)spent / (double)(a->good - was);
}

static int open_socket(struct sockaddr_in *ret, in_addr_t ip)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), yes = 1, size = 4 << 20;
	socklen_t len = sizeof(*ret);

	*ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(ip)};
	if (fd < 0 || bind(fd, (const struct sockaddr *)ret, sizeof(*ret)) < 0 || getsockname(fd, (struct sockaddr *)ret, &len) < 0 ||
	    setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &yes, sizeof(yes)) < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return fd;
}

static EVP_CIPHER_CTX *context(uint32_t gw, bool out, bool seal)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t key[16] = {out};

	memcpy(key + 4, &gw, 4);
	if (c == NULL || EVP_CipherInit_ex(c, EVP_aes_128_gcm(), NULL, key, NULL, seal) != 1)
		abort();
	return c;
}

struct bench_agent *bench_agent_create(unsigned int gateways, bool esp)
{
	static const struct dp_deliver_ops ops = {.send = op_send, .sa_live = op_sa_live, .done = op_done, .event = op_event, .seed = 100000000};
	struct bench_agent *a = bench_array(1, sizeof(*a));
	double t = bench_now();
	int rc = 0;

	a->gateways = gateways;
	a->t0 = bench_tsc();
	a->fd = open_socket(&a->addr, INADDR_LOOPBACK);
	a->far_fd = open_socket(&a->far, INADDR_ANY);
	a->d = dp_deliver_create(&ops, a, gateways, 1024);
	for (uint32_t i = 0; a->d != NULL && i < gateways; i++) {
		struct dp_gw_set set = {.gw_id = i, .remote = gw_addr(a, i), .local = agent_addr(a)};

		snprintf(set.domain, sizeof(set.domain), "gw%u.example.net", i);
		rc |= dp_deliver_gw_set(a->d, &set);
	}
	if (esp) {
		a->gw = bench_array(gateways, sizeof(*a->gw));
		for (uint32_t i = 0; i < gateways; i++)
			a->gw[i] = (struct gw){context(i, true, true), context(i, true, false), context(i, false, true), context(i, false, false), {0}};
	}
	while (bench_now() - t < 0.02)
		;
	a->us_per_tick = (bench_now() - t) * 1e6 / (double)(bench_tsc() - a->t0);
	if (a->fd >= 0 && a->far_fd >= 0 && a->d != NULL && rc == 0)
		return a;
	fprintf(stderr, "ravelin-bench: mgcp: no agent on loopback\n");
	bench_agent_destroy(a);
	return NULL;
}

void bench_agent_destroy(struct bench_agent *a)
{
	if (a == NULL)
		return;
	for (uint32_t i = 0; a->gw != NULL && i < a->gateways; i++) {
		EVP_CIPHER_CTX_free(a->gw[i].to_seal);
		EVP_CIPHER_CTX_free(a->gw[i].to_open);
		EVP_CIPHER_CTX_free(a->gw[i].from_seal);
		EVP_CIPHER_CTX_free(a->gw[i].from_open);
	}
	free(a->gw);
	dp_deliver_destroy(a->d);
	if (a->fd >= 0)
		close(a->fd);
	if (a->far_fd >= 0)
		close(a->far_fd);
	free(a);
}
