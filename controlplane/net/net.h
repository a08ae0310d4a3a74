/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Listeners and connections of one shard's event loop: TCP or TLS, a bounded frame reader, and the
 * limits that keep strangers from hurting those who are known.
 *
 * A connection passes through: waiting (accepted, nothing received: a descriptor and some 250
 * bytes), TLS handshake, first frame, pre-authentication, authenticated (the protocol called
 * cp_conn_authed()), draining. Up to its first frame it has handshake_ms, from there to
 * authentication auth_ms; then it is reaped. Waiting to pre-authentication count against
 * max_preauth: at the limit accepting stops and the kernel's backlog holds what comes. One source
 * address (IPv6: /64) may have max_source of these, others of it are closed at once. Authenticated
 * ones are not touched by any of that; their idling is the protocol's business. On a base with
 * priorities (cp_net_base()) what strangers want is done when the known have had their turn; if those never end, a few strangers every
 * 20 ms have theirs all the same.
 *
 * Nothing here is freed inside a call from the protocol: cp_conn_close() and failed sends only
 * mark, and the loop calls ops.closed() later. One thread.
 */
#ifndef CP_NET_NET_H
#define CP_NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "config.h"
#include "tls.h"

struct event_base;
struct cp_net;
struct cp_conn;
struct cp_room;

enum cp_close {
	CP_CLOSE_PEER,      /* end of file or reset */
	CP_CLOSE_LOCAL,     /* cp_conn_close() */
	CP_CLOSE_TIMEOUT,   /* handshake, first frame or authentication took too long */
	CP_CLOSE_TLS,       /* handshake or record layer failed */
	CP_CLOSE_BAD_FRAME, /* length outside the protocol's limits, or not this protocol at all */
	CP_CLOSE_SLOW,      /* it does not read: more than out_max bytes wait */
	CP_CLOSE_STOP,      /* cp_net_destroy() */
	CP_CLOSE_MAX
};

/* A protocol on a listener. 'user' is what opened() returned. */
struct cp_net_ops {
	size_t frame_max;
	/** As cp_sccp_frame_len(): 0 and *ret_total <= frame_max; -EAGAIN more bytes are needed;
	 * else the end. */
	int (*frame_len)(const uint8_t *buf, size_t have, size_t *ret_total);
	/** The first whole frame is there (TLS: after the handshake; see server_first). NULL refuses the connection.
	 */
	void *(*opened)(void *ctx, struct cp_conn *conn);
	/** One whole frame; 'frame' is valid until return. */
	void (*frame)(void *user, const uint8_t *frame, size_t len);
	/** Once for each opened(). 'conn' is invalid after it. */
	void (*closed)(void *user, enum cp_close why);
	/** A handshake failed because of the client's certificate, or (CP_TLS_FAIL_INCOMPATIBLE) of what TLS it can do. 'leaf'
	 * (may be NULL) is unproven. May be NULL. */
	void (*cert_refused)(void *ctx, const struct cfg_addr *from, enum cp_tls_fail why,
	                     int verify_err, X509 *leaf);
	/** The server has the first word: opened() is called once the handshake is done (clear: at the first byte), and may
	 * send. Its time until cp_conn_authed() is auth_ms from there. */
	bool server_first;
	/** Not 0: a peer that vanished without a word is noticed after about so many seconds. */
	unsigned dead_s;
};

struct cp_net_opts {
	uint32_t max_conns; /* all states */
	uint32_t max_preauth;
	uint32_t max_source; /* not yet authenticated, of one source; 0: 3/4 of max_preauth */
	uint32_t handshake_ms;
	uint32_t auth_ms; /* 0: three times handshake_ms */
	uint32_t out_max; /* bytes that may wait to be sent on one connection; 0: 64 KiB */
	struct cp_room *room; /* counted together with other nets, by its limits and not by those above; NULL: alone */
	uint64_t (*now_ms)(void *ctx); /* NULL: CLOCK_MONOTONIC */
	void *now_ctx;
};

enum { CP_NET_HIGH, CP_NET_DEFAULT, CP_NET_LOW, CP_NET_PRIORITIES };

struct cp_net_stats {
	uint64_t accepted, refused_full, refused_source, accept_errors, pauses;
	uint64_t handshakes, tls_failed[CP_TLS_FAIL_MAX];
	uint64_t not_tls;      /* clear client on a TLS port */
	uint64_t tls_on_clear; /* TLS client on a clear port */
	uint64_t frames, closed[CP_CLOSE_MAX];
	uint32_t conns, preauth; /* now */
};

/**
 * An event loop with three priorities: CP_NET_LOW for strangers, the default for all else, CP_NET_HIGH. After some milliseconds of
 * strangers' handshakes it looks whether others want something. NULL: no memory.
 */
struct event_base *cp_net_base(void);

int cp_net_create(struct event_base *base, const struct cp_net_opts *opts, struct cp_net **ret_net);
/** Closes listeners and connections (ops.closed() is called). NULL is allowed. */
void cp_net_destroy(struct cp_net *net);

/**
 * Listen on 'addr' (port 0: any; *ret_port tells). tls NULL: clear. 'tls', 'ops' and 'ctx' outlive
 * the net. 0 or a negative errno of socket, bind or listen.
 */
int cp_net_listen(struct cp_net *net, const struct cfg_addr *addr, struct cp_tls *tls,
                  const struct cp_net_ops *ops, void *ctx, uint16_t *ret_port);

/** The listening socket for that, to be given to cp_net_listen_fd(); or a negative errno. */
int cp_net_socket(const struct cfg_addr *addr, uint16_t *ret_port);
/** As cp_net_listen(), on a socket that listens; it is taken over also on error. Nets of several threads may have a dup() of one each: who
 * has time accepts. */
int cp_net_listen_fd(struct cp_net *net, int fd, struct cp_tls *tls, const struct cp_net_ops *ops, void *ctx);

const struct cp_net_stats *cp_net_stats(const struct cp_net *net);
void cp_net_stats_add(struct cp_net_stats *sum, const struct cp_net_stats *more);

/** Reap what is over its time. Called by a timer; public for tests with their own clock. */
void cp_net_tick(struct cp_net *net);

#define CP_NET_FD_SPARE 256 /* descriptors of a process that are no connections */

/**
 * Raise the soft limit of descriptors to hold 'n' connections and CP_NET_FD_SPARE, and the hard one where that is allowed. 0; -EPERM: as far
 * as it goes. *ret_room (may be NULL): how many connections there is room for, in either case.
 */
int cp_net_fd_room(uint32_t n, uint32_t *ret_room);

/* --- connections --- */

/** Queue bytes. 0; -ENOTCONN: closing, or it was now found too slow. */
int cp_conn_send(struct cp_conn *conn, const uint8_t *data, size_t len);
/**
 * The same for a short answer that comes alone: written before this returns, if nothing waits before it and the socket takes it. Saves the
 * rounds of the loop that many such are most of the cost of; several in a row are better off in one record, by cp_conn_send().
 */
int cp_conn_send_at_once(struct cp_conn *conn, const uint8_t *data, size_t len);
/** The same for key material: our plain-text copy is wiped when TLS has taken it. */
int cp_conn_send_secret(struct cp_conn *conn, const uint8_t *data, size_t len);
/** Send what waits (at most 2 s), then close. No frame is delivered any more; closed() follows from
 * the loop. */
void cp_conn_close(struct cp_conn *conn);
/** Deliver no frames (true), or go on, with what has come meanwhile. What is held is bounded; the peer then has to wait. */
void cp_conn_hold(struct cp_conn *conn, bool hold);
/** The peer is known: limits and times of strangers no longer apply. */
void cp_conn_authed(struct cp_conn *conn);
const struct cfg_addr *cp_conn_peer(const struct cp_conn *conn); /* with port */
const struct cfg_addr *cp_conn_local(const struct cp_conn *conn);
/** NULL on a clear connection. Borrowed. */
const SSL *cp_conn_ssl(const struct cp_conn *conn);
/** The client's certificate, proven by the handshake; NULL on a clear connection. Borrowed. */
X509 *cp_conn_cert(const struct cp_conn *conn);

#endif
