/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * To a relay and back over two interfaces of the kernel: frames leave through a packet socket, past the queueing
 * discipline, and what comes back is counted by the sink interface. Nobody reads it there: no socket's cost is on the
 * relay's core.
 */
#include "mediaload.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <x86intrin.h>

#define GROUP 32

static int out = -1;
static char counter[128];

static uint64_t received(void)
{
	FILE *f = fopen(counter, "re");
	unsigned long n = 0;

	if (f == NULL || fscanf(f, "%lu", &n) != 1)
		n = 0;
	if (f != NULL)
		fclose(f);
	return n;
}

static int socket_on(const char *iface, uint16_t proto)
{
	struct sockaddr_ll sa = {.sll_family = AF_PACKET, .sll_protocol = htons(proto), .sll_ifindex = (int)if_nametoindex(iface)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), yes = 1, buf = 8 << 20;

	if (fd < 0 || sa.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		perror(iface);
		return -1;
	}
	(void)setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof(yes));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buf, sizeof(buf));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buf, sizeof(buf));
	return fd;
}

static int veth_open(const struct ml_opts *opts)
{
	struct ifreq ifr;

	snprintf(counter, sizeof(counter), "/sys/class/net/%s/statistics/rx_packets", opts->sink);
	memset(&ifr, 0, sizeof(ifr));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", opts->iface);
	out = socket_on(opts->iface, 0);
	if (out < 0 || ioctl(out, SIOCGIFHWADDR, &ifr) < 0)
		return -1;
	return ml_calls_read(opts, (const uint8_t *)ifr.ifr_hwaddr.sa_data);
}

/* Up to n packets; how many the kernel took. */
static unsigned int send_some(unsigned int n)
{
	struct mmsghdr msg[GROUP];
	struct iovec iov[GROUP];
	unsigned int done = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct ml_call *c = ml_next();

		iov[i] = (struct iovec){c->frame, ML_HEAD + c->rtp_len};
		msg[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
	}
	while (done < n) {
		int rc = sendmmsg(out, msg + done, n - done, 0);

		if (rc <= 0)
			break;
		done += (unsigned int)rc;
	}
	return done;
}

static int veth_trial(const struct ml_opts *opts, double rate, double seconds, struct ml_result *ret)
{
	uint64_t before = received(), sent = 0, last, now_n;
	double t0 = ml_now(), t;

	(void)opts;
	while ((t = ml_now()) < t0 + seconds) {
		double owed = rate > 0 ? (t - t0) * rate - (double)sent : GROUP;
		unsigned int n = owed >= GROUP ? GROUP : owed > 0 ? (unsigned int)owed : 0;

		if (n == 0) {
			_mm_pause();
			continue;
		}
		if (ml_call_cnt < n)
			n = ml_call_cnt; /* a frame is stamped in place */
		sent += send_some(n);
	}
	/* Until nothing comes any more. */
	now_n = received();
	do {
		last = now_n;
		usleep(100000);
		now_n = received();
	} while (now_n > last + 20);
	*ret = (struct ml_result){.sent = sent, .received = now_n - before};
	return 0;
}

static int veth_verify(const struct ml_opts *opts)
{
	struct bench_raw *raw = bench_raw_create();
	int in = socket_on(opts->sink, ETH_P_IP), rc = -1;
	unsigned int right = 0, sent = 0;
	uint8_t frame[2048];
	double until;

	if (raw == NULL || in < 0)
		goto out;
	while (sent < ml_call_cnt) {
		sent += send_some(1);
		if (sent % 8 == 0)
			usleep(1000);
	}
	until = ml_now() + 2;
	while (right < sent && ml_now() < until) {
		ssize_t n = recv(in, frame, sizeof(frame), MSG_DONTWAIT);

		if (n > 0 && frame[12] == 8 && frame[23] == 17)
			right += ml_right(raw, frame, (unsigned int)n, opts->payload);
	}
	if (right == sent)
		rc = 0;
	else
		fprintf(stderr, "ravelin-mediaload: %u of %u packets came right\n", right, sent);
out:
	if (in >= 0)
		close(in);
	bench_raw_destroy(raw);
	return rc;
}

static void veth_close(void)
{
	if (out >= 0)
		close(out);
}

const struct ml_path ml_veth = {veth_open, veth_trial, veth_verify, veth_close};
