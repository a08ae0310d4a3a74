/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Client of charon's VICI socket on the event loop: one connection, made again each second while there is none; up to
 * CP_VICI_WINDOW requests under way at a time (charon takes those of a connection one after the other, and answers in that order), the others
 * in a bounded queue, each answered exactly once; events as they come. Requests under way of which none is answered for CP_VICI_ANSWER_S
 * end the connection. Event loop's thread.
 */
#ifndef CP_VICICLIENT_H
#define CP_VICICLIENT_H

#include <jansson.h>

#include "vici.h"

#define CP_VICI_QUEUE    8192 /* requests that wait */
#define CP_VICI_WINDOW   32   /* what charon has to do while its answer and our next request are on their way */
#define CP_VICI_ANSWER_S 60

struct event_base;
struct cp_vici;

/*
 * 'rc' 0: 'answer' is what it said, borrowed. -ENOTCONN: the connection went, and with it what became of the request; -ENOTSUP: charon does not
 * know the command; -EBADMSG: the answer made no sense. A command that charon refused is 0, with "success" "no" and "errmsg".
 */
typedef void (*cp_vici_fn)(void *ctx, int rc, const json_t *answer);

struct cp_vici_ops {
	const char *const *events; /* asked for, NULL at the end */
	void (*up)(void *ctx);     /* greeted: events will come, requests may */
	void (*down)(void *ctx, const char *why); /* it went, or could not be had: each time */
	void (*event)(void *ctx, const char *name, const json_t *msg);
};

/** Begins to connect at once. NULL: no memory, or the path is too long for a socket. */
struct cp_vici *cp_vici_create(struct event_base *base, const char *path, const struct cp_vici_ops *ops, void *ctx);
/** Requests that wait are called back, with -ENOTCONN. NULL is allowed. Not from inside a callback. */
void cp_vici_destroy(struct cp_vici *vici);

/**
 * Send 'msg', a CMD_REQUEST, which is taken and wiped in any case. 'fn' may be NULL. 0: it will be called. -ENOTCONN, -EAGAIN
 * (CP_VICI_QUEUE wait), -ENOMEM, or as cp_vici_msg_end(): it will not.
 */
int cp_vici_send(struct cp_vici *vici, struct cp_vici_msg *msg, cp_vici_fn fn, void *ctx);

bool cp_vici_up(const struct cp_vici *vici);
/** Whose socket it is: charon's process id; 0: there is no connection, or the process is of another container. */
uint32_t cp_vici_pid(const struct cp_vici *vici);

#endif
