/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gateways behind ESP for a dataplane in this process (loop.h): records and a pair of SAs for each, set as from the channel, and a
 * generator that is all of them. It opens what the worker sends and answers it with OpenSSL's AES-GCM, and finds every
 * packet's place by itself: nothing of dataplane/ipsec or dataplane/mgcp is in it. Transport mode, protocol 50, IPv4.
 */
#ifndef BENCH_GWLOAD_H
#define BENCH_GWLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "bench.h"
#include "dp_msg.h"

#define BENCH_GW_BATCH 1024 /* commands under way: half of what the worker's ring takes */

/* A command that reached its gateway. */
struct bench_gw_got {
	uint32_t gw;
	char tid[12];
};

/** Start the dataplane with 'n' gateways; the caller is their generator. 0, or -1 after a message: bench_gw_down() all the same. */
int bench_gw_up(const struct bench_opts *opts, unsigned int n);
int bench_gw_down(void);

/** CRCX with a key for the next gateway, in one random order of all; the handle says which. Another key each time. */
void bench_gw_crcx(struct dp_mgcp_cmd *ret);

/** Empty the transmit ring: what reached the gateways, authenticated, with the key that its command had. At most 'max'; the number. */
unsigned int bench_gw_take(struct bench_gw_got *ret, unsigned int max);

/** Put an answer to each into the receive ring, with a key. */
void bench_gw_answer(const struct bench_gw_got *got, unsigned int n);

/** Is that the answer which the gateway gave? */
bool bench_gw_right(const struct dp_mgcp_done *done);

/** Put n ESP packets with 'size' bytes of inner IP packet, which no user of the dataplane wants, into the receive ring. */
void bench_gw_flood(unsigned int n, unsigned int size);

/**
 * Let the worker, which is held (bench_loop_hold()), go until it has executed n commands, or received n packets; it is held again
 * then. TSC ticks of its lcore for each.
 */
double bench_gw_phase(bool commands, unsigned int n);

/** The same in this thread instead of its lcore's: the caller's caches are the worker's. Packets only. */
double bench_gw_phase_here(unsigned int n);

/** Packets that were not what they should be. */
uint64_t bench_gw_bad(void);

/** The address of a gateway, for whoever keeps a table of his own. */
struct dp_sockaddr bench_gw_addr(uint32_t gw);

/** The text of a gateway's answer with its key in base64; bytes, without the zero. At most 511. */
unsigned int bench_gw_text(char *ret, size_t size, const char *tid, uint32_t gw);

#endif
