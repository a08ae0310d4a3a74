/* SPDX-License-Identifier: BSD-3-Clause */
/* Legs for N calls in a running ravelin-dataplane: RTP from the caller, AES_CM_128_HMAC_SHA1_80 to the sink. */
#include "mediaload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dp_msg.h"

#define BASE 16384

static int fd = -1;
static uint32_t seq;

/* A command and its answer; events in between are nobody's here. rc, or -EIO. */
static int call(void *msg, uint16_t type, uint16_t len)
{
	struct dp_msg_hdr *hdr = msg;
	union {
		struct dp_msg_hdr hdr;
		struct dp_reply reply;
		struct dp_hello_reply hello;
		uint8_t room[DP_MSG_DATAGRAM_MAX];
	} in;

	do {
		*hdr = (struct dp_msg_hdr){.type = type, .len = len, .seq = ++seq};
		if (send(fd, msg, len, 0) != len)
			return -EIO;
		do {
			if (recv(fd, &in, sizeof(in), 0) < (ssize_t)sizeof(in.reply))
				return -EIO;
		} while (in.hdr.seq != seq);
	} while (in.reply.rc == -EAGAIN);
	return in.hdr.type == DP_MSG_HELLO_REPLY ? in.hello.rc : in.reply.rc;
}

static void base64(const uint8_t *in, unsigned int len, char *out)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (unsigned int i = 0; i + 2 < len; i += 3) { /* 30 bytes: no rest */
		uint32_t v = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];

		for (int k = 18; k >= 0; k -= 6)
			*out++ = set[v >> k & 63];
	}
	*out = '\0';
}

static int one(unsigned int i, FILE *out, const struct ml_opts *opts)
{
	/* Caller 10.80.0.9, sink 10.79.0.9; the first two media addresses of the configuration are 10.78.1.1, 10.78.2.1. */
	static const uint8_t caller[4] = {10, 80, 0, 9}, sink[4] = {10, 79, 0, 9};
	uint32_t a = i, b = DP_LEGS_PER_ADDR + i;
	struct dp_leg_set set = {.leg_id = a, .peer_id = b, .session = i, .latch = DP_LATCH_NONE, .dscp = 46,
				 .flags = DP_LEG_F_RECV | DP_LEG_F_SEND, .codec = DP_CODEC_G711, .ptime_ms = 20,
				 .rate_pps = UINT32_MAX};
	struct dp_leg_key key = {.leg_id = b, .suite = DP_AES_CM_128_HMAC_SHA1_80, .dir = DP_DIR_SEND};
	uint8_t both[ML_KEY_LEN];
	char text[48];
	int rc;

	memcpy(set.remote.ip, caller, 4);
	set.remote.family = 4;
	set.remote.port = (uint16_t)(opts->first_port + 2 * i);
	rc = call(&set, DP_MSG_LEG_SET, sizeof(set));
	set.leg_id = b;
	set.peer_id = a;
	set.rx_suite = set.tx_suite = DP_AES_CM_128_HMAC_SHA1_80;
	memcpy(set.remote.ip, sink, 4);
	if (rc == 0)
		rc = call(&set, DP_MSG_LEG_SET, sizeof(set));
	for (int dir = 0; dir < 2 && rc == 0; dir++) {
		if (getrandom(both, sizeof(both), 0) != sizeof(both))
			return -EIO;
		key.dir = dir == 0 ? DP_DIR_RECV : DP_DIR_SEND; /* the last one is the line's */
		memcpy(key.key, both, 16);
		memcpy(key.salt, both + 16, 14);
		rc = call(&key, DP_MSG_LEG_KEY, sizeof(key));
	}
	base64(both, sizeof(both), text);
	fprintf(out, "10.80.0.9 %u 10.78.1.1 %u 10.79.0.9 %u %s\n", opts->first_port + 2 * i, BASE + 2 * i,
		opts->first_port + 2 * i, text);
	return rc;
}

int ml_legs(const struct ml_opts *opts)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct dp_hello hello = {.version = DP_MSG_VERSION, .epoch = (uint64_t)getpid()};
	FILE *out = fopen(opts->calls, "we");
	int rc;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", opts->socket);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (out == NULL || fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		perror("ravelin-mediaload: legs");
		return -1;
	}
	rc = call(&hello, DP_MSG_HELLO, sizeof(hello));
	for (unsigned int i = 0; i < opts->n && rc == 0; i++)
		rc = one(i, out, opts);
	if (fclose(out) != 0)
		rc = -EIO;
	close(fd);
	if (rc < 0)
		fprintf(stderr, "ravelin-mediaload: legs: %s\n", strerror(-rc));
	return rc < 0 ? -1 : 0;
}
