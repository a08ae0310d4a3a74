/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of key delivery: deliver.c takes commands and messages, deliver_gw.c has the gateways and their addresses, deliver_out.c what goes
 * out and what comes of it, deliver_move.c a gateway's way to another instance. Private to deliver*.c.
 */
#ifndef DP_DELIVER_INT_H
#define DP_DELIVER_INT_H

#include <stddef.h>
#include <string.h>

#include "deliver.h"
#include "msg.h"
#include "txn.h"

#define NONE       UINT32_MAX
#define LOCALS_MAX 64 /* our MGCP addresses: one or two in practice */

struct deliver_gw {
	struct dp_gw_set set;
	uint32_t hnext; /* chain of the address table; free list */
	bool going;     /* parts of it are with another instance: what comes in clear waits */
	/* AUTO */
	bool heard;       /* set's flags, port and other_port are as it speaks */
	bool form_known;  /* the form of a=crypto was seen in a description of its own */
	bool untold;      /* what it speaks is not what was told last */
	uint8_t told_flags;  /* what was told last, or set by who would be told */
	uint16_t told_port;
	uint64_t told_us;    /* 0: never */
	uint64_t turned_us;  /* it spoke in another way last */
	/* keep-alives */
	bool silent;
	uint64_t heard_us; /* of the last datagram; 0: counted from the next look */
};

struct deliver_local {
	struct dp_sockaddr addr;
	uint32_t refs; /* gateways that use it */
};

struct dp_deliver {
	struct dp_deliver_ops ops;
	void *ctx;
	struct dp_txn *txn;
	struct deliver_gw *gw;           /* max_gw; index: the engine's peer */
	union dp_deliver_cmd *cmd; /* max_txn; index: the engine's outgoing slot; wiped at its end */
	uint32_t *slot_of;       /* gw_id -> index in gw, NONE */
	uint32_t *by_addr;       /* heads of chains, by remote address and port */
	uint32_t addr_mask;
	uint32_t max_gw, max_txn, gw_free, gw_cnt;
	uint32_t local_cnt;
	struct deliver_local local[LOCALS_MAX];
	uint64_t hash_key;
	uint64_t now_us; /* of the call we are in */
	uint64_t look_us;
	uint32_t look_at;    /* gateway whose keep-alives are looked at next */
	struct dp_deliver_stats stats;
	bool rx_clear;                    /* others could read the message being read */
	struct dp_mgcp_msg msg;           /* the message being read */
	uint8_t tx[DP_MGCP_DATAGRAM_MAX]; /* the message being built; wiped once sent if it held a
	                                     key */
	/* messages without keys that wait for others to the same gateway, until the next tick at most */
	uint32_t piggy_gw;
	uint16_t piggy_len;
	uint8_t piggy_cnt;
	bool piggy_sa;
	uint8_t piggy[DP_MGCP_PIGGY_LEN];
	struct dp_mgcp_text text;         /* the piece being filled */
};

/* What both kinds of commands have. */
static inline const char *cmd_endpoint(const union dp_deliver_cmd *c)
{
	return c->cmd.hdr.type == DP_MSG_MGCP_ASK ? c->ask.endpoint : c->cmd.endpoint;
}

static_assert(offsetof(struct dp_mgcp_cmd, handle) == offsetof(struct dp_mgcp_ask, handle) &&
	      offsetof(struct dp_mgcp_cmd, gw_id) == offsetof(struct dp_mgcp_ask, gw_id) &&
	      offsetof(struct dp_mgcp_cmd, verb) == offsetof(struct dp_mgcp_ask, verb), "both are read as one");

static inline bool addr_same(const struct dp_sockaddr *a, const struct dp_sockaddr *b)
{
	return a->family == b->family && a->port == b->port &&
	       memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static inline uint64_t hash_bytes(uint64_t h, const uint8_t *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ s[i]) * 0x100000001b3ull;
	return h ^ h >> 29;
}

static inline uint32_t gw_find(const struct dp_deliver *d, uint32_t gw_id)
{
	return gw_id < DP_GW_MAX ? d->slot_of[gw_id] : NONE;
}

/* --- deliver_gw.c --- */

/** A gateway by its address and ours; NONE also while parts of it are with another instance. */
uint32_t dp_deliver_find(const struct dp_deliver *d, const struct dp_sockaddr *remote, const struct dp_sockaddr *local);
bool dp_deliver_addr_ok(const struct dp_sockaddr *a);
/** Terminated, and of characters that can stand in a line; 'word': no blanks, no '@' either. */
bool dp_deliver_text_ok(const char *s, size_t size, bool word);
/** An address of ours that the gateway may speak to. */
bool dp_deliver_local_ok(const struct deliver_gw *gw, const struct dp_sockaddr *to);
/** A datagram of the gateway was accepted, to this port of ours. */
void dp_deliver_alive(struct dp_deliver *d, uint32_t peer, uint16_t port);
/** AUTO: it speaks so. */
void dp_deliver_learn(struct dp_deliver *d, uint32_t peer, uint8_t mask, uint8_t flags);
/** Look at some gateways' keep-alives, and tell what could not be told. */
void dp_deliver_look(struct dp_deliver *d);
/** Send what waits to go in one datagram. */
void dp_deliver_flush(struct dp_deliver *d);

/* --- deliver.c --- */

/**
 * Commands that touch the same of an endpoint run one after the other: its connections (CRCX, MDCX,
 * DLCX), its events and signals, its settings, audits. A wildcard names no endpoint yet, or many:
 * no order (0).
 */
uint64_t dp_deliver_order(const struct dp_deliver *d, uint8_t verb, const char *endpoint);

/* --- deliver_out.c: struct dp_txn_ops --- */

int dp_deliver_transmit(void *ctx, uint32_t peer, uint32_t slot, uint32_t tid, uint32_t try, const struct dp_mgcp_range *confirm, uint16_t n);
void dp_deliver_respond(void *ctx, uint32_t peer, uint32_t in, uint32_t tid, uint16_t code, bool ask);
void dp_deliver_end(void *ctx, uint32_t peer, uint32_t slot, const struct dp_txn_end *end);

#endif
