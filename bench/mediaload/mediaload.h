/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ravelin-mediaload: one RTP packet per call in turn towards a relay, at a steady rate, and what comes out of it: for the
 * rows beside rtpengine (bench/peer-rtpengine.sh). Calls are lines of a file:
 *	SOURCE-IP PORT RELAY-IP PORT SINK-IP PORT KEY
 * where SOURCE sends RTP to RELAY's address, and the relay sends SRTP to SINK under KEY (base64 of AES_CM_128_HMAC_SHA1_80's
 * key and salt, as in a=crypto). IPv4.
 */
#ifndef MEDIALOAD_H
#define MEDIALOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "../peer.h" /* first: see there */

#define ML_CALLS_MAX 16384
#define ML_FRAME_MAX 1518
#define ML_HEAD      42 /* Ethernet, IPv4, UDP */
#define ML_KEY_LEN   30
#define ML_SSRC      0x51000000u

struct ml_call {
	uint32_t src, dst, sink; /* host order */
	uint16_t src_port, dst_port, sink_port;
	uint16_t seq;            /* of the next packet */
	uint64_t rtp_len;
	uint8_t key[ML_KEY_LEN];
	uint8_t frame[ML_FRAME_MAX]; /* the next packet, but for its sequence number */
};

struct ml_opts {
	const char *calls, *iface, *sink, *socket, *vdev, *out;
	uint8_t dst_mac[6];
	uint32_t gateway;        /* memif: ours, to be asked for */
	unsigned int payload, n, steps, first_port;
	int cpu;
	double rate, most, seconds, loss;
	bool verify, echo;       /* echo: frames come back as they are (testpmd's mac), not as SRTP */
};

extern struct ml_call *ml_calls;
extern unsigned int ml_call_cnt;

/** Read the file and make the frames. 0, or -1 after a message. */
int ml_calls_read(const struct ml_opts *opts, const uint8_t src_mac[6]);

/** The frame of the next packet of the next call; its length too. */
struct ml_call *ml_next(void);
void ml_stamp(struct ml_call *call);

/** Is a frame what a call's packet became? Says why not, a few times. */
bool ml_right(struct bench_raw *raw, const uint8_t *frame, unsigned int len, unsigned int payload);

/* What came of a trial. */
struct ml_result {
	uint64_t sent, received;
	uint64_t refused; /* packets that the relay's ring had no room for: then it is not the load that is slow */
};

/* A way to the relay and back. */
struct ml_path {
	int (*open)(const struct ml_opts *opts);
	/* Send 'rate' a second for so long (0: as fast as it goes), wait for what is under way. 0, -1. */
	int (*trial)(const struct ml_opts *opts, double rate, double seconds, struct ml_result *ret);
	/* As many as calls, slowly: every one must come, and right. 0, -1. */
	int (*verify)(const struct ml_opts *opts);
	void (*close)(void);
};
extern const struct ml_path ml_veth, ml_memif;

/** Legs of 'n' calls in a dataplane, over its channel; writes the calls file. 0, or -1 after a message. */
int ml_legs(const struct ml_opts *opts);

double ml_now(void);

#endif
