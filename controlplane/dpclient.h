/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The controlplane's end of the channel (dataplane/api/dp_msg.h). Connects to RUN/dataplane.sock, says
 * HELLO, maps the counter page read-only, pairs answers with commands, hands events up, reconnects every
 * 200 ms. Everything runs on one libevent base; nothing here blocks. Commands of one loop iteration leave
 * in one datagram. Messages that hold keys are wiped once sent or given up.
 */
#ifndef CP_DPCLIENT_H
#define CP_DPCLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/dp_msg.h"
#include "api/dp_page.h"

struct event_base;
struct cp_dp;

/** Outcome of one command: the dataplane's rc, or -ENOTCONN when the channel closed first. Called once. */
typedef void (*cp_dp_reply_fn)(void *ctx, int rc);

struct cp_dp_ops {
	/* The channel is up. 'fresh': this dataplane holds nothing of us (first contact or it restarted). The
	 * callee asserts or adopts what it wants kept, then calls cp_dp_sweep(). */
	void (*up)(void *ctx, bool fresh);
	void (*down)(void *ctx);
	void (*leg_aged)(void *ctx, const struct dp_leg_aged *ev);
	void (*leg_event)(void *ctx, const struct dp_leg_event *ev);
	void (*mgcp_done)(void *ctx, struct dp_mgcp_done *ev); /* wiped after the call: may hold a key */
	void (*mgcp_event)(void *ctx, const struct dp_mgcp_event *ev);
	void (*sa_event)(void *ctx, const struct dp_sa_event *ev);
	void (*shard_moved)(void *ctx, const struct dp_shard_moved *ev); /* may be NULL */
	/* these may be NULL */
	void (*capture_done)(void *ctx, const struct dp_capture_done *ev);
	void (*trace_pkt)(void *ctx, const struct dp_trace_pkt *ev);
	void (*mgcp_text)(void *ctx, const struct dp_mgcp_text *ev);
	void (*gw_heard)(void *ctx, const struct dp_gw_heard *ev);
};

/** Make the client and begin to connect. 'epoch' names this run of the controlplane. NULL on no memory. */
struct cp_dp *cp_dp_create(struct event_base *base, const char *run_dir, uint64_t epoch,
			   unsigned media_addr_cnt, uint16_t base_port, const struct cp_dp_ops *ops, void *ctx);

/**
 * Close for good: what is queued is sent if the socket takes it, 'down' and outstanding replies (-ENOTCONN) are
 * called. 'dp' answers every further call with -ENOTCONN. NULL is allowed.
 */
void cp_dp_close(struct cp_dp *dp);

/** Close; outstanding replies are called with -ENOTCONN. NULL is allowed. */
void cp_dp_destroy(struct cp_dp *dp);

/**
 * Queue one command: any struct of dp_msg.h that begins with dp_msg_hdr; type, length and seq are filled in
 * here, the message is copied. 'fn' may be NULL. -ENOTCONN when the channel is down (fn is not called),
 * -EAGAIN when too much waits already.
 */
int cp_dp_send(struct cp_dp *dp, enum dp_msg_type type, const void *msg, cp_dp_reply_fn fn, void *ctx);

/** Remove what was neither asserted nor adopted in this epoch. */
int cp_dp_sweep(struct cp_dp *dp);

bool cp_dp_up(const struct cp_dp *dp);

/** Commands that were not answered yet: cp_dp_send() takes no more than 65536. */
uint32_t cp_dp_waiting(const struct cp_dp *dp);

/** The mapped page and its parts, NULL while the channel is down. Borrowed until 'down'. */
const struct dp_page *cp_dp_page(const struct cp_dp *dp);
const struct dp_page_leg *cp_dp_page_leg(const struct cp_dp *dp, uint32_t leg_id);
const struct dp_page_sa *cp_dp_page_sa(const struct cp_dp *dp, uint32_t sa_id);
const struct dp_page_worker *cp_dp_page_worker(const struct cp_dp *dp, uint32_t worker);

/** Reads events and replies from one datagram; for tests and fuzzing. Returns messages refused. */
unsigned cp_dp_input(struct cp_dp *dp, uint8_t *data, size_t len);

#endif
