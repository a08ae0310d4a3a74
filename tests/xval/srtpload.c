/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * srtpload NETNS_A NETNS_B FILE PPS: many SRTP parties on libsrtp2, for scenarios in which something in between dies. Each
 * line of FILE is a one-way call: "IP_A PORT_A TO_IP TO_PORT SUITE_A KEY_A IP_B PORT_B SUITE_B KEY_B"; suites are 80 or 32 (AES_CM_128), keys
 * 60 hex digits. Party A sends PPS packets a second from its namespace, party B hears in its own. Until SIGTERM; then
 * what is under way is heard for LINGER_S, and one line of JSON is written:
 *
 *  sent, heard                 packets
 *  forged                      did not authenticate at B
 *  index_twice                 an index came again under one key (libsrtp2's replay list, as wide as it goes)
 *  replayed                    a payload came again
 *  reordered                   a packet came after a later one of its call
 *  changed                     a payload was not what its number says
 *  resent                      copies of packets sent before, thrown in after each SIGUSR2 once media is back
 *  outages: [{back_s, lost}]   SIGUSR2 says: the restart begins. back_s: until every party had heard something again
 *                              that was sent afterwards, -1: never; lost: packets sent since SIGUSR1 that nobody heard
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <srtp2/srtp.h>

#define CALLS   512
#define PAYLOAD 160
#define NUMBERS (1u << 20) /* packets of a call, at most */
#define KEPT    8192       /* sent packets of which copies may come again */
#define RESEND  400
#define OUTAGES 256
#define LINGER_S 0.5

struct call {
	int tx, rx;
	srtp_t out, in;
	uint32_t ssrc, next, heard_to; /* next to send; one more than the highest heard */
	uint16_t seq0;
	struct sockaddr_in to;
	uint8_t *heard; /* bit by number */
	double back;    /* first packet of those sent after the restart */
	uint32_t fence; /* numbers from here on were sent after the restart */
};

struct kept {
	unsigned int call;
	int len;
	uint8_t data[12 + PAYLOAD + SRTP_MAX_TRAILER_LEN];
};

static struct call calls[CALLS];
static unsigned int call_cnt;
static struct kept kept[KEPT];
static uint64_t kept_cnt, sent, heard, forged, twice, replayed, reordered, changed, resent;
static struct {
	double back_s;
	uint64_t lost;
} outages[OUTAGES];
static unsigned int outage_cnt;
static volatile sig_atomic_t sig_stop, sig_down, sig_up;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		sig_down = 1;
	else if (sig == SIGUSR2)
		sig_up = 1;
	else
		sig_stop = 1;
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void fail(const char *what)
{
	fprintf(stderr, "srtpload: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void enter(const char *netns)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		fail(path);
	close(fd);
}

static struct sockaddr_in address(const char *ip, unsigned int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1)
		fail(ip);
	return a;
}

static int bound(const char *ip, unsigned int port)
{
	struct sockaddr_in a = address(ip, port);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), size = 1 << 20;

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		fail("bind");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return fd;
}

static srtp_t context(unsigned int suite, const char *hex, srtp_ssrc_type_t type)
{
	static uint8_t key[CALLS * 2][30]; /* libsrtp2 has copied them when srtp_create() returns; they may stay */
	static unsigned int n;
	uint8_t *k = key[n++];
	srtp_policy_t policy = {.ssrc = {.type = type}, .window_size = 0x7fff};
	srtp_t ctx;

	for (unsigned int i = 0; i < 30; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &k[i]) != 1)
			fail("key");
	if (suite == 32)
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(&policy.rtp);
	else
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtp);
	srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtcp);
	policy.key = k;
	if (srtp_create(&ctx, &policy) != srtp_err_status_ok)
		fail("srtp_create");
	return ctx;
}

static void load(const char *path, const char *ns_a, const char *ns_b)
{
	FILE *f = fopen(path, "re");
	char ip_a[64], to[64], ip_b[64], key_a[64], key_b[64];
	struct { unsigned int port; char ip[64]; } b[CALLS];
	unsigned int pa, pt, sa, sb, port_b;

	if (f == NULL)
		fail(path);
	enter(ns_a);
	while (call_cnt < CALLS && fscanf(f, "%63s %u %63s %u %u %63s %63s %u %u %63s", ip_a, &pa, to, &pt, &sa, key_a, ip_b,
					  &port_b, &sb, key_b) == 10) {
		struct call *c = &calls[call_cnt];

		c->tx = bound(ip_a, pa);
		c->to = address(to, pt);
		c->out = context(sa, key_a, ssrc_any_outbound);
		c->in = context(sb, key_b, ssrc_any_inbound);
		c->ssrc = 0x5000 + call_cnt;
		c->seq0 = (uint16_t)rand();
		c->heard = calloc(NUMBERS / 8, 1);
		snprintf(b[call_cnt].ip, sizeof(b[0].ip), "%s", ip_b);
		b[call_cnt].port = port_b;
		call_cnt++;
	}
	fclose(f);
	enter(ns_b);
	for (unsigned int i = 0; i < call_cnt; i++)
		calls[i].rx = bound(b[i].ip, b[i].port);
	if (call_cnt == 0)
		fail("no calls");
}

static void fill(uint8_t *p, unsigned int call, uint32_t number)
{
	uint32_t x = number * 2654435761u ^ call;

	memcpy(p, &number, 4);
	memcpy(p + 4, &call, 4);
	for (unsigned int i = 8; i < PAYLOAD; i++)
		p[i] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
}

static void send_one(unsigned int i)
{
	struct call *c = &calls[i];
	struct kept *k = &kept[kept_cnt++ % KEPT];
	uint8_t *p = k->data;
	uint16_t seq = htons((uint16_t)(c->seq0 + c->next));
	uint32_t ts = htonl(c->next * 160), ssrc = htonl(c->ssrc);

	if (c->next == NUMBERS)
		return;
	k->call = i;
	p[0] = 0x80;
	p[1] = 0;
	memcpy(p + 2, &seq, 2);
	memcpy(p + 4, &ts, 4);
	memcpy(p + 8, &ssrc, 4);
	fill(p + 12, i, c->next++);
	k->len = 12 + PAYLOAD;
	if (srtp_protect(c->out, p, &k->len) != srtp_err_status_ok)
		fail("srtp_protect");
	if (sendto(c->tx, p, (size_t)k->len, 0, (struct sockaddr *)&c->to, sizeof(c->to)) == k->len)
		sent++;
}

static void resend(void)
{
	for (unsigned int n = 0; n < RESEND && kept_cnt > 0; n++) {
		uint64_t have = kept_cnt < KEPT ? kept_cnt : KEPT;
		const struct kept *k = &kept[(uint64_t)rand() % have];
		const struct call *c = &calls[k->call];

		if (sendto(c->tx, k->data, (size_t)k->len, 0, (const struct sockaddr *)&c->to, sizeof(c->to)) == k->len)
			resent++;
	}
}

static void hear(unsigned int i)
{
	struct call *c = &calls[i];
	uint8_t p[2048], want[PAYLOAD];
	ssize_t n;

	while ((n = recv(c->rx, p, sizeof(p), 0)) > 0) {
		int len = (int)n;
		uint32_t number;

		switch (srtp_unprotect(c->in, p, &len)) {
		case srtp_err_status_ok:
			break;
		case srtp_err_status_replay_fail:
		case srtp_err_status_replay_old:
			twice++;
			continue;
		default:
			forged++;
			continue;
		}
		memcpy(&number, p + 12, 4);
		if (len != 12 + PAYLOAD || number >= c->next) {
			changed++;
			continue;
		}
		fill(want, i, number);
		if (memcmp(want, p + 12, PAYLOAD) != 0)
			changed++;
		if ((c->heard[number / 8] >> number % 8 & 1) != 0)
			replayed++;
		c->heard[number / 8] |= (uint8_t)(1u << number % 8);
		heard++;
		if (number < c->heard_to)
			reordered++;
		else
			c->heard_to = number + 1;
		if (number >= c->fence && c->back < 0)
			c->back = now_s();
	}
}

static uint64_t unheard(const uint32_t *from)
{
	uint64_t lost = 0;

	for (unsigned int i = 0; i < call_cnt; i++)
		for (uint32_t k = from[i]; k < calls[i].fence; k++)
			lost += (calls[i].heard[k / 8] >> k % 8 & 1) == 0;
	return lost;
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_signal};
	static uint32_t down_at[CALLS];
	static struct pollfd fds[CALLS];
	double start, up_at = 0, end = 0;
	uint64_t slots = 0;
	bool away = false;
	unsigned int turn = 0, pps;

	if (argc != 5 || (pps = (unsigned int)atoi(argv[4])) == 0) {
		fprintf(stderr, "usage: srtpload NETNS_A NETNS_B FILE PPS\n");
		return 2;
	}
	srand(1);
	if (srtp_init() != srtp_err_status_ok)
		fail("srtp_init");
	load(argv[3], argv[1], argv[2]);
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	for (unsigned int i = 0; i < call_cnt; i++)
		fds[i] = (struct pollfd){.fd = calls[i].rx, .events = POLLIN};
	start = now_s();
	while (end == 0 || now_s() < end) {
		uint64_t due = end == 0 ? (uint64_t)((now_s() - start) * pps) : slots;

		if (sig_stop && end == 0) {
			end = now_s() + LINGER_S;
			due = slots;
		}

		if (due > slots + pps / 10) /* stopped for a while: not all of it at once */
			slots = due - pps / 10;
		while (slots < due) {
			send_one(turn);
			turn = (turn + 1) % call_cnt;
			slots++;
		}
		(void)poll(fds, call_cnt, 2);
		for (unsigned int i = 0; i < call_cnt; i++)
			if ((fds[i].revents & POLLIN) != 0)
				hear(i);
		if (sig_down) {
			sig_down = 0;
			for (unsigned int i = 0; i < call_cnt; i++)
				down_at[i] = calls[i].next;
		}
		if (sig_up && outage_cnt < OUTAGES) {
			sig_up = 0;
			away = true;
			up_at = now_s();
			resend(); /* before it is ready, too */
			outages[outage_cnt++].back_s = -1;
			for (unsigned int i = 0; i < call_cnt; i++) {
				calls[i].back = -1;
				calls[i].fence = calls[i].next;
			}
		}
		if (away) {
			double last = 0;

			for (unsigned int i = 0; i < call_cnt && last >= 0; i++)
				last = calls[i].back < 0 ? -1 : calls[i].back > last ? calls[i].back : last;
			if (last > 0) {
				away = false;
				outages[outage_cnt - 1].back_s = last - up_at;
				outages[outage_cnt - 1].lost = unheard(down_at);
				resend();
			}
		}
	}
	printf("{\"calls\": %u, \"sent\": %lu, \"heard\": %lu, \"forged\": %lu, \"index_twice\": %lu, \"replayed\": %lu, \"reordered\": %lu, \"changed\": %lu, "
	       "\"resent\": %lu, \"outages\": [", call_cnt, sent, heard, forged, twice, replayed, reordered,
	       changed, resent);
	for (unsigned int i = 0; i < outage_cnt; i++)
		printf("%s{\"back_s\": %.3f, \"lost\": %lu}", i > 0 ? ", " : "", outages[i].back_s, outages[i].lost);
	printf("]}\n");
	return 0;
}
