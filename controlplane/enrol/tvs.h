/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The trust verification service: phones ask over TLS whether a certificate may be believed, and in which roles (wire-formats 5;
 * 002:P2-04 to P2-08, P2-13). One request or many on a connection. Phones may show a certificate and need not; an answer is nobody's
 * secret. A malformed request ends its connection without an answer, as the original does.
 *
 * A connection that has asked something is no stranger to net/ any more; it is closed after idle_s without a question, and the one
 * that was idle longest is closed when there are more than max_idle. One thread.
 */
#ifndef CP_ENROL_TVS_H
#define CP_ENROL_TVS_H

#include <stdint.h>

#include <openssl/x509.h>

#include "config.h"
#include "enrol/tvsbook.h"

struct cp_net;
struct cp_tls;
struct cp_tvs;
struct event_base;

struct cp_tvs_env {
	struct event_base *base; /* for the tick each second; NULL: the caller calls cp_tvs_tick() */
	uint32_t ttl_s;          /* what phones are told; 0: CP_TVS_TTL_S */
	uint32_t idle_s;         /* 0: 60 */
	uint32_t max_idle;       /* connections; 0: 4096 */
	/* After each answer: 'device' is the name in the request ("CP-8861-SEP..."), "" if it gave none; 'cert' what the phone showed and
	 * the handshake verified, or NULL. 'asked' is the request. May be NULL. */
	void (*answered)(void *ctx, const char *device, X509 *cert, const struct cfg_addr *from, const struct cp_tvs_msg *asked,
			 enum cp_tvs_answer answer);
	int64_t (*now)(void *ctx);     /* wall clock, seconds; NULL: the system's */
	uint64_t (*now_ms)(void *ctx); /* monotonic; NULL: the system's */
	void *ctx;
};

struct cp_tvs_stats {
	uint64_t verify, query;            /* requests, by type */
	uint64_t vouched, unknown, expired; /* answers */
	uint64_t malformed;                /* connections ended for it */
	uint64_t idle_closed;
	uint32_t conns;                    /* now, that have asked something */
	uint32_t certificates;             /* that are vouched for */
};

/** 0, -ENOMEM. There is an empty book at first: nobody is vouched for. */
int cp_tvs_create(const struct cp_tvs_env *env, struct cp_tvs **ret);
/** After the nets it listens on. NULL is allowed. */
void cp_tvs_destroy(struct cp_tvs *tvs);

/** The next answers come from 'book', which is the service's from here, closed. */
void cp_tvs_set_book(struct cp_tvs *tvs, struct cp_tvs_book *book);

/** As cp_net_listen(). */
int cp_tvs_listen(struct cp_tvs *tvs, struct cp_net *net, const struct cfg_addr *addr, struct cp_tls *tls, uint16_t *ret_port);

void cp_tvs_stats(const struct cp_tvs *tvs, struct cp_tvs_stats *ret);
void cp_tvs_tick(struct cp_tvs *tvs);

#endif
