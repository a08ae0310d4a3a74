/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A dataplane in this process for benches: a node with N workers, two ports whose queues are rings in memory, legs and
 * keys that go in through objs.c as from the channel, and the generator that feeds it and checks what leaves. Packets
 * come in on the legs of port 0, in one random order of the sessions, and leave through their peers on port 1. The
 * generator's cryptography is peer.c's, not the dataplane's. One at a time in a process, EAL included.
 */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "bench.h"
#include "worker.h"

#define BENCH_BATCH       2048 /* packets: as many as the receive rings of two NICs hold */
#define BENCH_LEGS_MAX    100000
#define BENCH_LEGS_IP6    16384 /* IPv6 has one address per port */
#define BENCH_BATCHES_MAX 256

/* What all packets of a case are. */
struct bench_flow {
	uint8_t from, to;      /* enum dp_srtp_suite */
	uint8_t ip_in, ip_out; /* 4 or 6 */
	uint16_t payload;      /* bytes of RTP payload, above 0 */
	uint32_t legs;         /* two per session */
};

/* One batch, as its worker saw it. */
struct bench_sample {
	uint64_t cyc, stage[DP_STAGE_MAX];
};

struct bench_gen;

/* What a worker's lcore does: it turns HOLD, and the end of GO and SELF, into HELD. */
enum bench_mode { BENCH_ROUNDS, BENCH_HOLD, BENCH_HELD, BENCH_GO, BENCH_SELF, BENCH_STOP };

/**
 * Start EAL and the node. 'self': each worker's lcore feeds itself (bench_loop_self), so that there may be as many as
 * CPUs; else there is one worker, on 'cpu', and the caller's thread is the generator on another CPU. 0, or -1 after a
 * message: then bench_loop_down() all the same.
 */
int bench_loop_up(const struct bench_opts *opts, unsigned int workers, bool self);

/** The same, one worker on 'cpu' and the caller on another one, for so many gateways with two SAs each, and next to no legs. */
int bench_loop_up_gateways(const struct bench_opts *opts, unsigned int gateways);

/** Stop and free. 0, or 1: packet buffers did not come back. */
int bench_loop_down(void);

/** Take the legs there are away, make those of a flow with fresh keys, let the next hops speak. 0; -EINVAL: no such suite. */
int bench_loop_flow(const struct bench_opts *opts, const struct bench_flow *flow);

/** The next hops speak again: they are forgotten after a while. */
void bench_loop_neighbours(void);

/** One run of 'batches' through worker 0 by this thread, a sample of each to s. False: lost, wrong or unaccounted packets. */
bool bench_loop_run(unsigned int batches, struct bench_sample *s);

/** The same by all workers at once, each on its own lcore with its own packets; s[worker * BENCH_BATCHES_MAX + batch]. */
bool bench_loop_self(unsigned int batches, struct bench_sample *s);

/** What came of a time in which this thread offered packets at a steady rate. */
struct bench_offer {
	double seconds;
	uint64_t offered, missed, delivered; /* missed: the receive ring was full, as a NIC's would be */
	uint64_t drop[DP_DROP_MAX];
	uint32_t *lat;  /* TSC ticks from when a packet was due to when it had left, one for each; NULL: not wanted */
	uint32_t lat_n, lat_max;
};

/** Offer 'rate' packets a second for so long. False: a packet is wrong, or is not accounted for. */
bool bench_loop_offer(double rate, double seconds, struct bench_offer *ret);

/** Median over samples of what lies at 'offset' in them, per packet. */
double bench_loop_median(const struct bench_sample *s, size_t offset, unsigned int n);

/** leg_bytes, memory_mb, hugepages, heap_mb, heap_used_mb. */
json_t *bench_loop_memory(void);

/** Drops by reason, as an object. */
json_t *bench_loop_drops(const uint64_t *drop);

/** from, to, payload, legs, and ip where it is not IPv4 alone: "6", "4-6", "6-4". */
json_t *bench_flow_case(const struct bench_flow *flow);

/** "RTP" or a suite's name to its number. -1: neither. */
int bench_suite_of(const char *name);

#endif
