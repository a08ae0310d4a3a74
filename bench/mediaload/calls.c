/* SPDX-License-Identifier: BSD-3-Clause */
#include "mediaload.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dp_msg.h"
#include "parse.h"

struct ml_call *ml_calls;
unsigned int ml_call_cnt;
static unsigned int cursor;

double ml_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int base64(const char *text, uint8_t *ret, size_t max)
{
	unsigned int bits = 0, v = 0;
	size_t n = 0;

	for (; *text != '\0' && *text != '='; text++) {
		static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
		const char *at = strchr(set, *text);

		if (at == NULL)
			return -1;
		v = v << 6 | (unsigned int)(at - set);
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		if (n == max)
			return -1;
		ret[n++] = (uint8_t)(v >> bits);
	}
	return (int)n;
}

static void make_frame(struct ml_call *c, const struct ml_opts *opts, const uint8_t src_mac[6], uint32_t id)
{
	uint8_t *f = c->frame, *rtp = f + ML_HEAD, src[16] = {0}, dst[16] = {0};
	uint32_t be = htonl(c->src);

	memcpy(src, &be, 4);
	be = htonl(c->dst);
	memcpy(dst, &be, 4);
	memcpy(f, opts->dst_mac, 6);
	memcpy(f + 6, src_mac, 6);
	dp_put16(f + 12, DP_ETYPE_IP4);
	memset(rtp, 0, BENCH_RTP_HDR);
	rtp[0] = 0x80;
	dp_put32(rtp + 8, ML_SSRC + id);
	memset(rtp + BENCH_RTP_HDR, (int)(uint8_t)id, opts->payload);
	c->rtp_len = BENCH_RTP_HDR + opts->payload;
	dp_build_udp(f + 14, 4, src, c->src_port, dst, c->dst_port, (uint16_t)c->rtp_len, 46, false);
}

int ml_calls_read(const struct ml_opts *opts, const uint8_t src_mac[6])
{
	FILE *f = fopen(opts->calls, "re");
	char src[16], dst[16], sink[16], key[64];
	unsigned int sp, dp, kp;

	if (f == NULL || opts->payload > ML_FRAME_MAX - ML_HEAD - BENCH_RTP_HDR) {
		perror(opts->calls);
		return -1;
	}
	ml_calls = calloc(ML_CALLS_MAX, sizeof(*ml_calls));
	while (ml_calls != NULL && ml_call_cnt < ML_CALLS_MAX &&
	       fscanf(f, "%15s %u %15s %u %15s %u %63s", src, &sp, dst, &dp, sink, &kp, key) == 7) {
		struct ml_call *c = &ml_calls[ml_call_cnt];
		struct in_addr a, b, d;

		if (inet_aton(src, &a) == 0 || inet_aton(dst, &b) == 0 || inet_aton(sink, &d) == 0 ||
		    base64(key, c->key, ML_KEY_LEN) != ML_KEY_LEN) {
			fprintf(stderr, "ravelin-mediaload: %s: line %u is no call\n", opts->calls, ml_call_cnt + 1);
			fclose(f);
			return -1;
		}
		*c = (struct ml_call){.src = ntohl(a.s_addr), .dst = ntohl(b.s_addr), .sink = ntohl(d.s_addr),
				      .src_port = (uint16_t)sp, .dst_port = (uint16_t)dp, .sink_port = (uint16_t)kp, .seq = 1};
		(void)base64(key, c->key, ML_KEY_LEN);
		make_frame(c, opts, src_mac, ml_call_cnt++);
	}
	fclose(f);
	if (ml_call_cnt == 0)
		fprintf(stderr, "ravelin-mediaload: %s: no calls\n", opts->calls);
	return ml_call_cnt > 0 ? 0 : -1;
}

void ml_stamp(struct ml_call *c)
{
	dp_put16(c->frame + ML_HEAD + 2, c->seq);
	dp_put32(c->frame + ML_HEAD + 4, (uint32_t)c->seq * 160);
	c->seq++;
}

struct ml_call *ml_next(void)
{
	struct ml_call *c = &ml_calls[cursor];

	cursor = cursor + 1 == ml_call_cnt ? 0 : cursor + 1;
	ml_stamp(c);
	return c;
}

static bool wrong(const char *why)
{
	static unsigned int said;

	if (said++ < 5)
		fprintf(stderr, "ravelin-mediaload: a packet came back with %s\n", why);
	return false;
}

bool ml_right(struct bench_raw *raw, const uint8_t *frame, unsigned int len, unsigned int payload)
{
	uint8_t copy[2048];
	struct bench_raw_key key;
	struct bench_session ses;
	struct bench_raw_pkt pkt = {.key = &key};
	const struct ml_call *c;
	struct dp_frame f;
	uint32_t id, ip;

	if (len > sizeof(copy) - 32)
		return wrong("a length that none has");
	memcpy(copy, frame, len);
	if (dp_parse_frame(copy, (uint16_t)len, &f) != DP_OK || f.proto != DP_PROTO_UDP || f.family != 4)
		return wrong("something else than UDP");
	pkt.data = copy + f.payload_off;
	if (f.payload_len != BENCH_RTP_HDR + payload + 10)
		return wrong("another length");
	id = dp_get32(pkt.data + 8) - ML_SSRC;
	if (id >= ml_call_cnt)
		return wrong("another SSRC");
	c = &ml_calls[id];
	memcpy(&ip, f.dst, 4);
	if (ntohl(ip) != c->sink || f.dst_port != c->sink_port)
		return wrong("another destination");
	bench_session_derive(&ses, DP_AES_CM_128_HMAC_SHA1_80, c->key, c->key + 16);
	bench_raw_key_init(raw, &key, &ses);
	pkt.len = (uint16_t)(BENCH_RTP_HDR + payload);
	bench_raw_unprotect(raw, &pkt, 1); /* verified before a sequence number has turned: the ROC is 0 */
	if (!pkt.ok)
		return wrong("a wrong tag");
	for (unsigned int i = 0; i < payload; i++)
		if (pkt.data[BENCH_RTP_HDR + i] != (uint8_t)id)
			return wrong("another payload");
	return true;
}
