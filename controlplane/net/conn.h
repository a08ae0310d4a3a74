/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of net/: what net.c (listeners, limits, reaping) and conn.c (one connection) share. */
#ifndef CP_NET_CONN_H
#define CP_NET_CONN_H

#include <sys/queue.h>

#include "net.h"
#include "room.h"

struct bufferevent;
struct event;

/* Lists are by time limit; a connection is on exactly one. */
enum cp_conn_list {
	CP_CONN_HANDSHAKE, /* waiting for its first byte, in the handshake, or for its first frame
	                    */
	CP_CONN_PREAUTH,   /* speaks, but is not known yet */
	CP_CONN_AUTHED,
	CP_CONN_DRAIN,  /* flushing before the close */
	CP_CONN_DOOMED, /* will be freed by cp_net_bury() */
	CP_CONN_LISTS
};

struct cp_listener {
	struct cp_listener *next;
	struct cp_net *net;
	struct cp_tls *tls;
	const struct cp_net_ops *ops;
	void *ctx;
	struct event *ev;
	int fd;
};

struct cp_conn {
	TAILQ_ENTRY(cp_conn) link;
	struct cp_listener *l;
	struct bufferevent *bev; /* from the first byte on; owns the descriptor then */
	struct event *peek;      /* until then */
	struct cp_source *src;   /* NULL once authenticated */
	void *user;              /* NULL: not opened */
	uint64_t deadline_ms;
	struct cp_tls_peer tls_peer;
	struct cfg_addr peer, local;
	int fd;
	uint8_t list; /* enum cp_conn_list */
	uint8_t why;  /* enum cp_close */
	bool handshaken, half_closed;
	bool held; /* cp_conn_hold() */
	bool raised; /* its events have the priority of the known */
};

struct cp_net {
	struct event_base *base;
	struct cp_net_opts opts;
	struct cp_listener *listeners;
	TAILQ_HEAD(, cp_conn) list[CP_CONN_LISTS];
	struct cp_room *room, *own_room; /* own: not shared with other loops */
	int low; /* priority of strangers' events; -1: the loop has no priorities */
	struct event *tick, *doomed_ev;
	struct event *mark_ev, *look_ev; /* share.c; NULL without priorities */
	bool marked; /* what strangers want up to the mark was not all done yet */
	uint64_t pause_until_ms;
	bool paused, stopping;
	struct cp_net_stats stats;
};

uint64_t cp_net_now(const struct cp_net *net);
/** An event of a stranger, or of the listener: after those of the known. */
void cp_net_low(const struct cp_net *net, struct event *ev);
/** Accept at most 'max' of those who wait. */
void cp_net_accept(struct cp_listener *l, int max);
/** Accept again, if a limit had stopped it and no longer does. */
void cp_net_may_accept(struct cp_net *net);
/** Free all doomed connections, telling their protocols. */
void cp_net_bury(struct cp_net *net);

/** Begin with an accepted descriptor. On success it takes 'fd' and 'src'; else -ENOMEM and they
 * stay the caller's. */
int cp_conn_start(struct cp_listener *l, int fd, const struct cfg_addr *peer,
                  const struct cfg_addr *local, struct cp_source *src);
/** share.c: see that strangers get their turns, soon. With each tick, and when one comes. */
void cp_net_share(struct cp_net *net);
int cp_net_share_init(struct cp_net *net); /* 0; -1: no memory. fini() in either case */
void cp_net_share_fini(struct cp_net *net);
/** It goes first from now on, as if it were known. */
void cp_conn_raise(struct cp_conn *c);
/** Mark for cp_net_bury(), which runs from the loop. The first reason stays. */
void cp_conn_doom(struct cp_conn *c, enum cp_close why);

#endif
