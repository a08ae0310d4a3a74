/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The channel's server (api/dp_msg.h): RUN/dataplane.sock, one controlplane at a time, on the main lcore. Every message
 * is copied out of the datagram, checked field by field, executed through struct dp_chan_ops, answered, and wiped.
 * Malformed ones change nothing: -EBADMSG with the field's offset, counted, logged at a limited rate; after one whose
 * length cannot be believed the rest of its datagram is ignored.
 *
 * Nothing here waits: while a reply cannot be sent no further command is read, and events are refused (-EAGAIN).
 */
#ifndef DP_CHAN_H
#define DP_CHAN_H

#include <stdint.h>

#include "dp_msg.h"

struct dp_chan;

/* What a message may refer to. */
struct dp_chan_lim {
	uint32_t leg_id_cnt; /* identifiers: media addresses * DP_LEGS_PER_ADDR */
};

struct dp_chan_ops {
	/* Fill the reply but header and rc; the counter page's descriptor goes with it if rc is 0. 0 or -EAGAIN. */
	int (*hello)(void *ctx, uint64_t epoch, struct dp_hello_reply *ret);
	/* A checked command other than HELLO. 0 or negative errno, *ret_detail with -EBADMSG. */
	int (*cmd)(void *ctx, const struct dp_msg_hdr *msg, uint32_t *ret_detail);
	/* A message was refused as malformed. */
	void (*bad)(void *ctx);
	void *ctx;
};

/** Fixed size of a command, 0: no such command. */
uint16_t dp_chan_size(uint16_t type);

/**
 * Check one message of 'len' bytes, aligned to 8. 0, or -EBADMSG with *ret_detail the offset of the first field that
 * does not fit. Changes nothing.
 */
int dp_chan_check(const struct dp_chan_lim *lim, const void *msg, uint16_t len, uint32_t *ret_detail);

/**
 * Listen on 'path' (at most 107 bytes; a stale socket is replaced, one that answers is -EADDRINUSE). 'page_fd'
 * stays the caller's. 0 or negative errno.
 */
int dp_chan_create(const char *path, const struct dp_chan_lim *lim, const struct dp_chan_ops *ops, int page_fd,
		   struct dp_chan **ret_chan);

/** Closes, removes the socket. Takes NULL. */
void dp_chan_destroy(struct dp_chan *chan);

/** Wait up to 'timeout_ms' for the controlplane and serve what there is. 0, or negative errno of poll(2). */
int dp_chan_poll(struct dp_chan *chan, int timeout_ms);

/** Send an event. 0; -EAGAIN: not now; -ENOTCONN: nobody has said hello. */
int dp_chan_event(struct dp_chan *chan, const struct dp_msg_hdr *msg);

/**
 * Serve one datagram as if it had come from a connection that has ('greeted') said hello; replies are written to 'out'
 * (DP_MSG_DATAGRAM_MAX bytes). Returns bytes of replies. For tests and fuzzing; 'data' is not changed.
 */
uint32_t dp_chan_datagram(struct dp_chan *chan, const uint8_t *data, uint32_t len, uint8_t *out);

/** A chan without socket, for dp_chan_datagram(). NULL: no memory. */
struct dp_chan *dp_chan_create_test(const struct dp_chan_lim *lim, const struct dp_chan_ops *ops, int greeted);

#endif
