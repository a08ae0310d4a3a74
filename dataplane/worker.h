/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dataplane's parts in one struct (node), and the worker: one pinned lcore that polls its queues and owns whole
 * shards. A loop: drain commands, receive a burst from each port and each handoff ring, classify, run the stages
 * over the burst, send, timers, report a quiescent state.
 *
 * Nothing in the loop allocates, locks, logs or calls the system; what drivers do is theirs (af_packet sends by
 * system call). An idle worker goes on polling, with one exception: when all its ports are sockets of the local kernel
 * (struct dp_port.kernel), it sleeps DP_NAP_US after DP_NAP_POLLS polls that brought nothing, because such machines
 * are small, shared, and their packets need the CPU to be produced at all.
 *
 * What goes between main lcore and worker are pointers to objects of fixed pools, over single-producer,
 * single-consumer rings: commands there, the same objects back on 'done' with what they displaced; events up,
 * empty ones back. The pools are no larger than the rings, so giving back never fails.
 */
#ifndef DP_WORKER_H
#define DP_WORKER_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "dp_msg.h"
#include "dp_page.h"
#include "leg.h"
#include "move.h"
#include "music.h"
#include "neigh.h"
#include "port.h"
#include "punt.h"
#include "shard.h"
#include "srtp/srtp.h"

#define DP_BURST       64
#define DP_CMD_DEPTH   2048 /* commands to one worker that are under way, at most */
#define DP_EVT_DEPTH   8192 /* events to the main lcore that are under way; results have DP_MGCP_TXN_MAX of them kept */
#define DP_EVT_BOX     16
#define DP_NAP_POLLS   256
#define DP_NAP_US      50
#define DP_PMTU_PER_MS  16  /* messages about packets that were too long, handed on by one worker in a millisecond */
#define DP_NEIGH_PER_MS 16  /* neighbour events that one worker may send up in a millisecond */
#define DP_MGCP_TXN_MAX 4096 /* MGCP commands of one worker that have no result yet, in its ring or running */

static_assert(DP_EVT_DEPTH >= 2 * DP_MGCP_TXN_MAX, "a buffer for each result, and some for the rest");

struct dp_capring;
struct dp_deliver;
struct dp_frag;
struct dp_ipout;
struct dp_mb;
struct dp_node;
struct dp_sa;
struct dp_sad;
struct rte_mbuf;
struct rte_mempool;
struct rte_rcu_qsbr;
struct rte_ring;
struct dp_see;
struct dp_spd;
struct dp_spd_cache;
struct dp_steer;
struct dp_tracer;
struct dp_watch;

enum dp_op {
	DP_OP_LEG_SET,
	DP_OP_LEG_KEY,
	DP_OP_LEG_DEL,
	DP_OP_LEG_MUSIC,
	DP_OP_KEY_DEL,
	DP_OP_KEY_END, /* keys that were replaced: the time of some is over */
	DP_OP_SA_SET,
	DP_OP_SA_GRANT,
	DP_OP_SA_DEL,
	DP_OP_GW_SET,
	DP_OP_GW_DEL,
	DP_OP_MGCP_CMD,
	DP_OP_MGCP_ASK,
	DP_OP_MGCP_ACK,
	DP_OP_FORGET,  /* MGCP events that nobody will acknowledge */
	DP_OP_SOLICIT, /* send an ARP request or NS */
	DP_OP_SHARD_TAKE, /* node->move: it comes here */
	DP_OP_SHARD_GIVE, /* node->move: it goes */
};

/* A command. Filled by the main lcore, which has checked every field; executed once; given back on 'done'. */
struct dp_cmd {
	uint8_t op;        /* enum dp_op */
	uint8_t dir;       /* LEG_KEY, KEY_DEL */
	uint32_t id;       /* leg, SA or gateway */
	/* Objects. In: what is new. Out: what the main lcore is to wipe and free, NULL for what was taken; keys as a list. */
	struct dp_leg *leg;
	struct dp_srtp_key *key[2];
	struct dp_sa *sa;
	struct dp_music *music;
	union {
		struct dp_leg_set leg_set;
		struct {
			uint32_t overlap_ms, now_ms;
			uint8_t flags; /* DP_KEY_F_* */
		} key;
		struct dp_key_del key_del;
		struct {
			uint32_t tune_id;
			uint8_t tune, codec, pt, ptime_ms; /* struct dp_music */
			bool on;
		} music;
		struct dp_sa_grant grant;
		struct dp_gw_set gw;
		struct dp_mgcp_cmd mgcp; /* may hold a key: the main lcore wipes it */
		struct dp_mgcp_ask ask;
		struct dp_mgcp_ack ack;
		struct {
			struct dp_nh nh;
			uint8_t own[16];
		} solicit;
	} u;
};

enum dp_evt_type {
	DP_EVT_MGCP_DONE,
	DP_EVT_MGCP_EVENT,
	DP_EVT_MGCP_TEXT,
	DP_EVT_GW_HEARD,
	DP_EVT_SA,
	DP_EVT_LEG,
	DP_EVT_NEIGH_HEARD, /* nh: address, MAC and port of somebody who spoke */
	DP_EVT_TRACE,       /* trace: what each stage said of a packet */
	DP_EVT_NEIGH_WANT,  /* nh: address and port of a next hop without entry, or without MAC */
};

struct dp_evt {
	uint8_t type; /* enum dp_evt_type */
	union {
		struct dp_mgcp_done done; /* may hold a key: the main lcore wipes it */
		struct dp_mgcp_event event;
		struct dp_mgcp_text text;
		struct dp_gw_heard heard;
		struct dp_sa_event sa;
		struct dp_trace_pkt trace;
		struct dp_leg_event leg;
		struct dp_nh nh;
	} u;
};

/* Behind each mbuf: what a handed-over packet is. */
struct dp_mbuf_priv {
	uint8_t inner;  /* not 0: an IP packet that came out of an SA, without Ethernet header: enum dp_deliver_way */
	uint8_t hops;   /* MGCP in clear: workers that did not know its gateway */
	uint8_t port;   /* index of the port it came in on; of its device's first one until 'known' */
	uint8_t known;  /* 1: the VLAN was looked at, the tag is off */
	uint8_t punt;   /* 1: for the kernel */
	uint8_t refused; /* punt: 1: the kernel did not take it */
	uint8_t whole;  /* 1: made of fragments */
	uint8_t zero;
	uint32_t gw_id; /* inner: the SA's gateway */
	uint32_t zero2;
};

/* A burst under way. */
struct dp_burst {
	uint16_t n;
	struct rte_mbuf *m[DP_BURST];
	uint8_t *data[DP_BURST];       /* first byte of the frame */
	struct dp_frame f[DP_BURST];
	uint8_t verdict[DP_BURST];     /* enum dp_drop */
	const struct dp_local *local[DP_BURST];
};

enum dp_give_state { DP_GIVE_NOT, DP_GIVE_DRAIN, DP_GIVE_BOXES, DP_GIVE_GIVEN };

/* A worker's part in a move of a shard that was its own (move.h). */
struct dp_give {
	uint8_t state; /* enum dp_give_state */
	uint8_t what;  /* the next box: enum dp_move_what */
	uint16_t addr; /* and its media address */
	uint32_t ring_left[DP_WORKER_MAX]; /* packets that other workers had handed over before GIVE */
	uint32_t port_left[DP_PORT_MAX];   /* packets that receive queues may have had then */
};

struct dp_worker {
	/* read-mostly */
	struct dp_node *node;
	uint16_t id;
	uint16_t lcore;
	struct dp_page_worker *cnt; /* in the counter page; this worker is its only writer */
	struct dp_page_leg *page_leg;
	struct dp_mb *mb;
	struct dp_deliver *deliver;
	struct dp_sad *sad;
	struct dp_leg_tab *legs;
	struct dp_police *police; /* of sources that are not known */
	struct dp_frag *frag;     /* NULL: fragments are dropped */
	struct dp_frag *frag_inner; /* of packets out of SAs; there with frag */
	const struct dp_nh_snap *nh; /* of this round */
	const struct dp_watch *watch; /* of this round; NULL: nobody looks (watch.h) */
	const struct dp_spd *spd;     /* of this round; NULL: no policies (policy.h) */
	uint32_t spd_gen;             /* of that list; 0: none */
	uint8_t spd_media;            /* DP_SPD_IN, DP_SPD_OUT: policies may refuse media */
	struct dp_spd_cache *spd_cache;
	struct rte_ring *cmd, *done, *evt, *evt_free;
	struct dp_ipout *out;     /* packets of ours that wait to be encrypted together (ipout.h) */
	/* Empty events, taken a few ahead of their use: the main lcore wrote them last, and their lines are asked for here. */
	struct {
		uint16_t at, n;
		struct dp_evt *evt[DP_EVT_BOX];
	} box;
	struct dp_evt *evt_mem;   /* DP_EVT_DEPTH - 1 */
	uint64_t us_mult; /* microseconds per cycle, 2^-32 */
	bool may_nap;
	uint8_t own[DP_SHARDS]; /* 1: its packets are processed here */
	struct dp_move *move;   /* NULL: no shard comes here or goes */
	bool cmd_wait;          /* commands wait until it is there */
	bool taken;             /* the last box of the move has been emptied */
	bool freeing;           /* packets that waited for it are worked off */
	struct dp_give give;
	/* time of this round */
	uint64_t now_cyc, now_us, tick_us, second_us;
	uint32_t sa_left; /* SAs that this second's look at them has not come to yet */
	uint32_t now_s;
	uint32_t neigh_budget;
	uint32_t pmtu_budget; /* ICMP about SAs' packets that is handed on in this millisecond */
	uint32_t frag_id;     /* of the last IPv4 packet that was cut */
	uint32_t dummy_at;    /* dp_ipout_dummies() */
	uint64_t dummy_ms, dummy_due;
	uint32_t idle_polls;
	struct dp_punt_rate punt_rate;
	struct dp_wheel wheel; /* packets of music (music.h) */
	/* packets on their way out */
	struct {
		uint16_t n;
		struct rte_mbuf *m[DP_BURST];
	} tx[DP_PORT_MAX], handoff[DP_WORKER_MAX];
	struct dp_burst burst;
	/* used while w->watch is set */
	struct dp_tracer *tracer;
	struct dp_capring *cap_ring;
	uint64_t cap_lost[DP_CAPTURE_MAX]; /* packets that found the ring full; only ever counted up */
};

struct dp_node {
	const struct cfg *cfg;
	struct rte_mempool *pool;
	struct rte_mempool *kept_pool; /* of drivers that keep what they have; NULL: there is none */
	uint32_t pool_size;
	uint16_t port_cnt;
	struct dp_port ports[DP_PORT_MAX];
	struct dp_locals locals;
	uint16_t media_cnt;
	const struct dp_local *media[DP_MEDIA_ADDR_MAX];
	uint16_t base_port;
	struct cfg_addr mgcp_local;
	struct dp_shard shard;
	struct dp_move *move;          /* the one there may be */
	struct dp_steer *steer;        /* rules in NICs; NULL: none */
	struct dp_leg_tab legs;
	struct dp_musics music;
	struct dp_page *page;
	size_t page_size;
	int page_fd;
	struct dp_punt *punt;          /* NULL: no port has a punt interface */
	uint8_t *gw_shard;             /* by gw_id; main writes, workers read */
	struct dp_nh_snap *nh;         /* current snapshot: atomic pointer */
	struct dp_watch *watch;        /* what workers look at, or NULL: atomic pointer */
	struct dp_spd *spd;            /* the list of policies, or NULL: atomic pointer */
	struct rte_rcu_qsbr *qs;       /* reader i is worker i */
	uint16_t worker_cnt;
	struct dp_worker *worker[DP_WORKER_MAX];
	uint64_t start_cyc, hz;
	uint32_t stop;                 /* atomic: workers leave their loops */
	/* memory, freed at the end */
	void *leg_mem, *key_mem, *sa_mem;
	struct dp_srtp_slab *slab;     /* main: what keys have beyond their records */
	struct dp_srtp_pool *streams[DP_WORKER_MAX]; /* each taken from by its worker alone */
	char tag[8];                   /* in names of rings and pools */
};

/* --- main lcore --- */

/** A worker with its rings, manager and tables, for worker number 'id' of the node. NULL: no memory. */
struct dp_worker *dp_worker_create(struct dp_node *node, uint16_t id, uint16_t lcore);

/** After its loop has ended. Takes NULL. Packets it still held are freed. */
void dp_worker_destroy(struct dp_worker *w);

/** The lcore function: loops until node->stop, then flushes. 'arg' is the worker. Returns 0. */
int dp_worker_main(void *arg);

/** One round of the loop, for tests and the bench: everything but sleeping. Returns packets received. */
unsigned int dp_worker_round(struct dp_worker *w);

/* --- the worker itself, for its other files --- */

/** A frame that came in on port 'port_idx', or from a handoff ring (its priv says what it is). Consumes the mbufs. */
void dp_worker_input(struct dp_worker *w, struct rte_mbuf **m, uint16_t n);

/** Media packets of the burst: verdict DP_OK on entry marks 'idx' ones. Consumes them. media.c */
void dp_media_burst(struct dp_worker *w, struct dp_burst *b, const uint16_t *idx, uint16_t n);

/** RTP packets that the worker made, each for a leg: protects and sends them. Not more than DP_BURST. Consumes them. media.c */
void dp_media_send(struct dp_worker *w, struct rte_mbuf *const *m, struct dp_leg *const *to, uint16_t n);

/** ESP packets of the burst. Consumes them. local.c */
void dp_local_esp(struct dp_worker *w, struct dp_burst *b, const uint16_t *idx, uint16_t n);

/** ARP, ICMP, ND and MGCP in clear: one packet of the burst. Consumes it. local.c */
void dp_local_arp(struct dp_worker *w, struct dp_burst *b, uint16_t i);
void dp_local_icmp(struct dp_worker *w, struct dp_burst *b, uint16_t i);
void dp_local_mgcp(struct dp_worker *w, struct dp_burst *b, uint16_t i);

/** An inner packet that another worker decrypted. Consumes it. local.c */
void dp_local_inner(struct dp_worker *w, struct rte_mbuf *m);

/** Ask for a next hop on the wire. local.c */
void dp_local_solicit(struct dp_worker *w, const struct dp_cmd *cmd);

/** Events of an SA after it was used. local.c */
void dp_local_sa_events(struct dp_worker *w, struct dp_sa *sa);

/** Send a NAT keepalive: one byte FF in UDP between the SA's outer addresses (RFC 3948 s2.3). Lost where there is no way now. */
void dp_local_keepalive(struct dp_worker *w, const struct dp_sa *sa);

/** What the worker gives the MGCP stage. local.c */
struct dp_deliver *dp_local_deliver_create(struct dp_worker *w);

/** Ask the cache for what a command is going to need; steps 0 to DP_CMD_STEPS - 1, with other commands' in between. */
#define DP_CMD_STEPS 6
void dp_worker_cmd_ahead(struct dp_worker *w, const struct dp_cmd *cmd, unsigned int step);
/** Execute one command. cmd.c; the caller gives it back on 'done'. */
void dp_worker_cmd(struct dp_worker *w, struct dp_cmd *cmd);

/** Commands about a leg's keys: LEG_KEY, KEY_DEL, KEY_END. keys.c */
void dp_keys_cmd(struct dp_worker *w, struct dp_cmd *cmd);

/** After a burst that left the 'pending' of a leg's send or receive key set. keys.c */
void dp_keys_serve(struct dp_worker *w, struct dp_leg *leg, uint8_t dir);

/** Count a packet under its reason and free it. */
void dp_worker_drop(struct dp_worker *w, struct rte_mbuf *m, enum dp_drop why);

/** For a buffer that was to be handed over and goes back to the pool: what came out of an SA may be a key, and does not stay in it. */
void dp_mbuf_forget(struct rte_mbuf *m);

/** Put a port's VLAN tag on a frame. False: no room, the packet is gone and counted. dp_worker_send() does it. */
bool dp_worker_tag(struct dp_worker *w, struct rte_mbuf *m, uint16_t vlan);

/** Send what waits for device 'p' (index of its first port). What the driver does not take is dropped and counted. */
void dp_worker_flush(struct dp_worker *w, uint16_t p);

/** Queue a complete frame for port 'port_idx'; sent at the end of the round at the latest. */
static inline void dp_worker_send(struct dp_worker *w, uint16_t port_idx, struct rte_mbuf *m)
{
	const struct dp_port *port = &w->node->ports[port_idx];

	if (__builtin_expect(port->vlan != 0, 0) && !dp_worker_tag(w, m, port->vlan))
		return;
	w->tx[port->dev].m[w->tx[port->dev].n++] = m;
	if (w->tx[port->dev].n == DP_BURST)
		dp_worker_flush(w, port->dev);
}

/** Is what comes in for 'shard' this worker's to process? If not: dp_move_pass(). */
static inline bool dp_worker_owns(const struct dp_worker *w, uint32_t shard)
{
	return w->own[shard] != 0;
}

/** Hand a packet to another worker; sent at the end of the round at the latest. */
void dp_worker_handoff(struct dp_worker *w, uint16_t to, struct rte_mbuf *m);

/** MAC of the next hop towards 'dst' on a port; NULL: not known (asked for). *nh: index to remember, may be NULL. */
const uint8_t *dp_worker_hop(struct dp_worker *w, uint16_t port_idx, uint8_t family, const uint8_t *dst,
			     uint16_t *ret_nh);

/** Empty events that are left. */
unsigned int dp_worker_evt_left(const struct dp_worker *w);

/** An empty event, or NULL (counted): what is left is kept for results. Then fill it and post it. */
struct dp_evt *dp_worker_evt(struct dp_worker *w);

/**
 * The event for the result of an MGCP command. There always is one: the main lcore accepts no more than DP_MGCP_TXN_MAX
 * commands at a time, and dp_worker_evt() leaves that many.
 */
struct dp_evt *dp_worker_evt_result(struct dp_worker *w);
void dp_worker_post(struct dp_worker *w, struct dp_evt *evt);

#endif
