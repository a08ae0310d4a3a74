/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The trust verification service of a drill's cluster (drill.h), live: the appliance's own server on a loopback port with real TLS, on a
 * thread of its own, vouching for what the appliance's own code makes of the cluster's certificates. And the phones' side: a connection
 * for each phone that has a question (bench/sim/tvsask.h), none for the others.
 */
#ifndef TESTS_TVS_LIVE_H
#define TESTS_TVS_LIVE_H

#include <arpa/inet.h>
#include <event2/event.h>
#include <pthread.h>
#include <unistd.h>

#include "drill.h"
#include "enrol/tvs.h"
#include "enrol/tvsfeed.h"
#include "net/net.h"
#include "tvsask.h"

struct tvs_live {
	struct drill *cluster;
	struct event_base *base;
	struct event *stop;
	int wake[2];
	pthread_t thread;
	struct cp_tls *tls;
	struct cp_tvs *tvs;
	struct cp_net *net;
	uint16_t port;
};

static inline STACK_OF(X509) *tvs_live_none(void *ctx, enum cp_trust_store ts)
{
	(void)ctx;
	(void)ts;
	return sk_X509_new_null();
}

static inline void *tvs_live_run(void *ctx)
{
	struct tvs_live *l = ctx;

	event_base_dispatch(l->base);
	return NULL;
}

static inline void tvs_live_woken(evutil_socket_t fd, short what, void *ctx)
{
	struct tvs_live *l = ctx;
	char c;

	(void)what;
	if (read(fd, &c, 1) == 1)
		event_base_loopbreak(l->base);
}

/* The thread waits in pause; what is served may be changed between the two. */
static inline void tvs_live_go(struct tvs_live *l)
{
	if (pthread_create(&l->thread, NULL, tvs_live_run, l) != 0)
		abort();
}

static inline void tvs_live_pause(struct tvs_live *l)
{
	if (write(l->wake[1], "", 1) != 1 || pthread_join(l->thread, NULL) != 0)
		abort();
}

/* After a change in the cluster, while it is paused: certificate and book of today. */
static inline void tvs_live_now(struct tvs_live *l)
{
	const struct drill_id *id = &l->cluster->now[CP_TM_TVS];
	STACK_OF(X509) *trust = sk_X509_new_null();
	struct cp_tls_identity who = {id->key, id->cert, NULL, trust};
	struct cp_tvs_source src = {.own = drill_own, .trusted = tvs_live_none, .ctx = l->cluster};
	struct cp_tvs_book *book = cp_tvs_feed(&src);
	char err[200] = "";

	if (book == NULL || cp_tls_load(l->tls, &who, err, sizeof(err)) != 0) {
		fprintf(stderr, "TVS: %s\n", err);
		abort();
	}
	sk_X509_free(trust);
	cp_tvs_set_book(l->tvs, book);
}

static inline void tvs_live_open(struct tvs_live *l, struct drill *cluster)
{
	const struct cfg_addr any = {.family = 4, .plen = 32, .ip = {127, 0, 0, 1}};
	struct cp_net_opts opts = {.max_conns = 1024, .max_preauth = 512, .handshake_ms = 60000};
	struct cp_tvs_env env = {0};

	memset(l, 0, sizeof(*l));
	l->cluster = cluster;
	l->base = event_base_new();
	env.base = l->base;
	if (l->base == NULL || pipe(l->wake) < 0 || cp_tls_create(CP_TLS_MODERN, false, &l->tls) != 0)
		abort();
	cp_tls_clients(l->tls, CP_TLS_CLIENTS_NOT_ASKED);
	l->stop = event_new(l->base, l->wake[0], EV_READ | EV_PERSIST, tvs_live_woken, l);
	if (l->stop == NULL || event_add(l->stop, NULL) < 0 || cp_tvs_create(&env, &l->tvs) != 0)
		abort();
	tvs_live_now(l);
	if (cp_net_create(l->base, &opts, &l->net) != 0 || cp_tvs_listen(l->tvs, l->net, &any, l->tls, &l->port) != 0)
		abort();
}

/* While it is paused. */
static inline void tvs_live_close(struct tvs_live *l)
{
	event_free(l->stop);
	cp_net_destroy(l->net);
	cp_tvs_destroy(l->tvs);
	cp_tls_destroy(l->tls);
	event_base_free(l->base);
	close(l->wake[0]);
	close(l->wake[1]);
}

/* --- phones --- */

struct tvs_asker { /* of one phone while it boots */
	struct sim_addr server;
	char device[64];
	struct tp_blob shows; /* what the server is expected to show: the phone has looked it up in its lists */
	struct sim_tvs *tvs;
	bool refused;
	unsigned conns, asked, valid; /* in all */
};

static inline void tvs_asker_init(struct tvs_asker *a, uint16_t port)
{
	static const uint8_t loopback[4] = {127, 0, 0, 1};

	memset(a, 0, sizeof(*a));
	sim_addr_set(&a->server, loopback, AF_INET, port);
}

static inline bool tvs_asker_up(struct tvs_asker *a)
{
	struct tp_blob seen;

	if (a->tvs == NULL && !a->refused) {
		a->tvs = sim_tvs_open(&a->server, a->device);
		a->conns += a->tvs != NULL;
		a->refused = a->tvs == NULL;
	}
	if (a->tvs == NULL)
		return false;
	seen = sim_tvs_cert(a->tvs);
	return seen.len == a->shows.len && memcmp(seen.p, a->shows.p, seen.len) == 0;
}

static inline bool tvs_asker_query(void *ctx, const uint8_t *serial, size_t len, const char *issuer, struct tp_tvs_answer *ret)
{
	struct tvs_asker *a = ctx;

	return tvs_asker_up(a) && sim_tvs_query(a->tvs, serial, len, issuer, ret);
}

static inline bool tvs_asker_verify(void *ctx, struct tp_blob der, struct tp_tvs_answer *ret)
{
	struct tvs_asker *a = ctx;

	return tvs_asker_up(a) && sim_tvs_verify(a->tvs, der, ret);
}

/* Phone 'i' boots until nothing changes; it asks 'a' where it must. True: it works, and holds what is served. */
static inline bool tvs_asker_boots(struct tvs_asker *a, struct tp_pool *pool, struct tp_phone *phone, unsigned i, const struct tp_offer *o)
{
	struct tp_offer mine = *o;
	unsigned asked = 0, valid = 0;
	char name[16];
	bool ok;

	fix_name(i, name);
	snprintf(a->device, sizeof(a->device), "CP-8861-%s", name);
	a->shows = o->tvs;
	a->refused = false;
	mine.tvs_ask = tvs_asker_query;
	mine.tvs_verify = tvs_asker_verify;
	mine.tvs_ctx = a;
	ok = tp_settle(pool, phone, &mine, 6);
	if (a->tvs != NULL) {
		sim_tvs_counts(a->tvs, &asked, &valid);
		sim_tvs_close(a->tvs);
		a->tvs = NULL;
	}
	a->asked += asked;
	a->valid += valid;
	return ok;
}

#endif
