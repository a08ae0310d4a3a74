/* SPDX-License-Identifier: BSD-3-Clause */
/* What loop.c (node, legs, keys) and gen.c (generator, runs) share. */
#ifndef BENCH_LOOP_PRIV_H
#define BENCH_LOOP_PRIV_H

#include "peer.h" /* first: see there */

#include "loop.h"
#include "node.h"
#include "objs.h"

#define BENCH_ADDRS    8 /* of each port: seven IPv4, one IPv6 */
#define BENCH_SESSIONS (BENCH_LEGS_MAX / 2)
#define BENCH_BASE     16384
#define BENCH_PORT     4000 /* of every party */

/* A generator: the caller's thread's, or in SELF one on each worker's lcore. */
struct bench_gen {
	struct bench_raw *raw;
	uint32_t *order, order_n, cursor; /* sessions in the order they speak */
	struct rte_mbuf *staged[BENCH_BATCH];
	uint16_t worker;
	bool bad;      /* a wrong packet left */
	uint64_t fed, left;
} __attribute__((aligned(64)));

struct bench_loop {
	struct cfg cfg;
	struct cfg_dp_port pcs[2];
	struct cfg_media_addr medias[2 * BENCH_ADDRS];
	struct dp_node node;
	struct dp_objs *objs;
	struct rte_ring *rx[2][DP_WORKER_MAX], *tx[2][DP_WORKER_MAX];
	unsigned int workers, memory_mb;
	bool self, huge, spoil;
	struct bench_gen gen[DP_WORKER_MAX];
	struct {
		unsigned int mode; /* enum bench_mode; atomic: both sides wait for the other */
		struct bench_sample *s;
	} lcore[DP_WORKER_MAX];
	unsigned int batches, barrier; /* of a run; lcores that have arrived, counted up for ever */
	/* the flow */
	struct bench_flow flow;
	uint32_t sessions, had_sessions, round;
	struct bench_flow had;
	struct bench_raw_key *key; /* of the parties that send, by session */
	uint64_t *next_index;      /* of their packets */
	struct dp_page_worker start[DP_WORKER_MAX]; /* counters when the run began */
	/* with gateways (gwload.c) instead of legs: how many, who hears events, and what GO does */
	unsigned int gateways;
	int (*on_event)(const struct dp_msg_hdr *msg);
	void (*go)(struct dp_worker *w, struct bench_sample *s);
};

extern struct bench_loop bench_l;
extern const uint8_t bench_peer_mac[6];

static inline unsigned int bench_mode_get(unsigned int w)
{
	return __atomic_load_n(&bench_l.lcore[w].mode, __ATOMIC_ACQUIRE);
}

static inline void bench_mode_set(unsigned int w, unsigned int m)
{
	__atomic_store_n(&bench_l.lcore[w].mode, m, __ATOMIC_RELEASE);
}

/** All workers to a mode. */
void bench_mode_all(unsigned int m);

/** Identifier of a session's leg on port 0 (a) or 1. */
uint32_t bench_leg_of(uint32_t session, int port);

/** Address of a session's party on a port; family of the flow's. */
void bench_remote_of(uint32_t session, int port, uint8_t ip[16]);

/** Session keys of what a session's party sends (dir RECV) or is sent. */
void bench_keys_of(uint32_t session, int port, uint8_t dir, struct bench_session *ret);

void bench_ring_free(struct rte_ring *r);

/** A message to the object table, as from the channel; repeated while that is -EAGAIN. What it says. */
int bench_message(void *msg, uint16_t type, uint16_t len);

/** Until all commands have been executed by every worker. */
void bench_loop_settle(void);

/** No worker does anything, until the next bench_mode_all(). */
void bench_loop_hold(void);

/** The lcore function; 'arg' is the worker. */
int bench_lcore_main(void *arg);

#endif
