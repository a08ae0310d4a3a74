/* SPDX-License-Identifier: BSD-3-Clause */
/* Listeners, limits and reaping; a connection's own life is in conn.c. */
#include "net.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "conn.h"
#include "log.h"

#define BACKLOG      4096
#define ACCEPT_BURST 64 /* per wake-up: handshakes must get their turn */
#define OUT_MAX      65536
#define FD_PAUSE_MS  1000

static uint64_t mono_ms(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t cp_net_now(const struct cp_net *net)
{
	return net->opts.now_ms(net->opts.now_ctx);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	cp_net_tick(arg);
}

static void on_doomed(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	cp_net_bury(arg);
}

int cp_net_create(struct event_base *base, const struct cp_net_opts *opts, struct cp_net **ret_net)
{
	struct cp_net *net = calloc(1, sizeof(*net));
	uint32_t tick_ms;
	struct timeval tv;

	if (net == NULL)
		return -ENOMEM;
	net->base = base;
	net->opts = *opts;
	if (net->opts.now_ms == NULL)
		net->opts.now_ms = mono_ms;
	if (net->opts.max_source == 0)
		net->opts.max_source = net->opts.max_preauth - net->opts.max_preauth / 4;
	if (net->opts.auth_ms == 0)
		net->opts.auth_ms = 3 * net->opts.handshake_ms;
	if (net->opts.out_max == 0)
		net->opts.out_max = OUT_MAX;
	for (int i = 0; i < CP_CONN_LISTS; i++)
		TAILQ_INIT(&net->list[i]);
	tick_ms = net->opts.handshake_ms / 8;
	tick_ms = tick_ms < 20 ? 20 : tick_ms > 500 ? 500 : tick_ms;
	tv = (struct timeval){tick_ms / 1000, (tick_ms % 1000) * 1000};
	net->tick = event_new(base, -1, EV_PERSIST, on_tick, net);
	net->doomed_ev = event_new(base, -1, EV_PERSIST, on_doomed, net);
	if (net->tick == NULL || net->doomed_ev == NULL || event_add(net->tick, &tv) != 0) {
		cp_net_destroy(net);
		return -ENOMEM;
	}
	*ret_net = net;
	return 0;
}

void cp_net_destroy(struct cp_net *net)
{
	if (net == NULL)
		return;
	net->stopping = true; /* room that is made now is not for new ones */
	for (int i = 0; i < CP_CONN_LISTS; i++) {
		struct cp_conn *c;

		while ((c = TAILQ_FIRST(&net->list[i])) != NULL) {
			cp_conn_doom(c, CP_CLOSE_STOP);
			cp_net_bury(net);
		}
	}
	/* connections point to their listener: these go last */
	while (net->listeners != NULL) {
		struct cp_listener *l = net->listeners;

		net->listeners = l->next;
		if (l->ev != NULL)
			event_free(l->ev);
		if (l->fd >= 0)
			close(l->fd);
		free(l);
	}
	if (net->tick != NULL)
		event_free(net->tick);
	if (net->doomed_ev != NULL)
		event_free(net->doomed_ev);
	free(net);
}

const struct cp_net_stats *cp_net_stats(const struct cp_net *net)
{
	return &net->stats;
}

/* --- sources: how many strangers an address has here --- */

static uint32_t source_key(const struct cfg_addr *a, uint8_t key[9])
{
	uint32_t h = 2166136261u;

	memset(key, 0, 9);
	key[0] = a->family;
	memcpy(key + 1, a->ip, a->family == 6 ? 8 : 4);
	for (int i = 0; i < 9; i++)
		h = (h ^ key[i]) * 16777619u;
	return h % CP_NET_SOURCES;
}

static struct cp_source *source_take(struct cp_net *net, const struct cfg_addr *a)
{
	uint8_t key[9];
	uint32_t slot = source_key(a, key);
	struct cp_source *s;

	for (s = net->sources[slot]; s != NULL; s = s->next)
		if (memcmp(s->key, key, sizeof(key)) == 0)
			break;
	if (s == NULL) {
		s = calloc(1, sizeof(*s));
		if (s == NULL)
			return NULL;
		memcpy(s->key, key, sizeof(key));
		s->slot = slot;
		s->next = net->sources[slot];
		net->sources[slot] = s;
	}
	s->conns++;
	return s;
}

void cp_net_source_put(struct cp_net *net, struct cp_source *s)
{
	struct cp_source **at;

	if (s == NULL || --s->conns > 0)
		return;
	for (at = &net->sources[s->slot]; *at != s; at = &(*at)->next)
		;
	*at = s->next;
	free(s);
}

/* --- accepting --- */

static void set_accepting(struct cp_net *net, bool on)
{
	if (net->paused == !on)
		return;
	net->paused = !on;
	if (!on)
		net->stats.pauses++;
	for (struct cp_listener *l = net->listeners; l != NULL; l = l->next) {
		if (on)
			event_add(l->ev, NULL);
		else
			event_del(l->ev);
	}
}

void cp_net_may_accept(struct cp_net *net)
{
	if (net->paused && !net->stopping && net->stats.preauth < net->opts.max_preauth &&
	    cp_net_now(net) >= net->pause_until_ms)
		set_accepting(net, true);
}

static void addr_from_sa(const struct sockaddr_storage *ss, struct cfg_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (ss->ss_family == AF_INET) {
		struct sockaddr_in sin;

		memcpy(&sin, ss, sizeof(sin));
		ret->family = 4;
		ret->plen = 32;
		ret->port = ntohs(sin.sin_port);
		memcpy(ret->ip, &sin.sin_addr, 4);
	} else if (ss->ss_family == AF_INET6) {
		struct sockaddr_in6 sin6;

		memcpy(&sin6, ss, sizeof(sin6));
		ret->port = ntohs(sin6.sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&sin6.sin6_addr)) {
			ret->family = 4;
			ret->plen = 32;
			memcpy(ret->ip, (const uint8_t *)&sin6.sin6_addr + 12, 4);
		} else {
			ret->family = 6;
			ret->plen = 128;
			memcpy(ret->ip, &sin6.sin6_addr, 16);
		}
	}
}

static void accepted(struct cp_listener *l, int fd, const struct sockaddr_storage *ss)
{
	struct cp_net *net = l->net;
	struct sockaddr_storage local_ss = {0};
	socklen_t len = sizeof(local_ss);
	struct cfg_addr peer, local;
	struct cp_source *src;
	char text[64];
	int on = 1;

	addr_from_sa(ss, &peer);
	if (net->stats.conns >= net->opts.max_conns) {
		net->stats.refused_full++;
		cfg_log_limited(CFG_LOG_WARN, "connections-full", "from=%s max=%u",
		                cfg_addr_print(&peer, text, sizeof(text)), net->opts.max_conns);
		close(fd);
		return;
	}
	src = source_take(net, &peer);
	if (src == NULL || src->conns > net->opts.max_source) {
		net->stats.refused_source++;
		cp_net_source_put(net, src);
		cfg_log_limited(CFG_LOG_WARN, "source-over-limit", "from=%s max=%u",
		                cfg_addr_print(&peer, text, sizeof(text)), net->opts.max_source);
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (getsockname(fd, (struct sockaddr *)&local_ss, &len) == 0)
		addr_from_sa(&local_ss, &local);
	else
		memset(&local, 0, sizeof(local));
	if (cp_conn_start(l, fd, &peer, &local, src) !=
	    0) { /* took the descriptor only on success */
		net->stats.accept_errors++;
		cp_net_source_put(net, src);
		close(fd);
		return;
	}
	net->stats.accepted++;
}

static void on_accept(evutil_socket_t lfd, short what, void *arg)
{
	struct cp_listener *l = arg;
	struct cp_net *net = l->net;

	(void)what;
	for (int i = 0; i < ACCEPT_BURST; i++) {
		struct sockaddr_storage ss = {0};
		socklen_t len = sizeof(ss);
		int fd;

		if (net->stats.preauth >= net->opts.max_preauth) {
			set_accepting(net, false);
			cfg_log_limited(CFG_LOG_WARN, "preauth-full", "max=%u",
			                net->opts.max_preauth);
			return;
		}
		fd = accept4(lfd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EAGAIN || errno == EWOULDBLOCK)
				return;
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			net->stats.accept_errors++;
			cfg_log_limited(CFG_LOG_ERR, "accept-failed", "errno=%d text=%s", errno,
			                cfg_q(strerror(errno)));
			/* out of descriptors: spinning would not make any */
			net->pause_until_ms = cp_net_now(net) + FD_PAUSE_MS;
			set_accepting(net, false);
			return;
		}
		accepted(l, fd, &ss);
	}
}

int cp_net_listen(struct cp_net *net, const struct cfg_addr *addr, struct cp_tls *tls,
                  const struct cp_net_ops *ops, void *ctx, uint16_t *ret_port)
{
	struct sockaddr_storage ss = {0};
	struct cp_listener *l;
	struct cfg_addr bound;
	socklen_t len;
	int on = 1, tos = 0x60, rc; /* CS3: signalling */

	if (addr->family == 4) {
		struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(addr->port)};

		memcpy(&sin.sin_addr, addr->ip, 4);
		memcpy(&ss, &sin, len = sizeof(sin));
	} else if (addr->family == 6) {
		struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6,
		                            .sin6_port = htons(addr->port)};

		memcpy(&sin6.sin6_addr, addr->ip, 16);
		memcpy(&ss, &sin6, len = sizeof(sin6));
	} else {
		return -EINVAL;
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	*l = (struct cp_listener){.net = net, .tls = tls, .ops = ops, .ctx = ctx, .fd = -1};
	l->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    (net->opts.reuse_port &&
	     setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0))
		goto fail;
	if (addr->family == 4)
		(void)setsockopt(l->fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	else
		(void)setsockopt(l->fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	if (bind(l->fd, (struct sockaddr *)&ss, len) != 0 || listen(l->fd, BACKLOG) != 0)
		goto fail;
	len = sizeof(ss);
	if (getsockname(l->fd, (struct sockaddr *)&ss, &len) != 0)
		goto fail;
	addr_from_sa(&ss, &bound);
	errno = ENOMEM;
	l->ev = event_new(net->base, l->fd, EV_READ | EV_PERSIST, on_accept, l);
	if (l->ev == NULL || (!net->paused && event_add(l->ev, NULL) != 0))
		goto fail;
	l->next = net->listeners;
	net->listeners = l;
	if (ret_port != NULL)
		*ret_port = bound.port;
	return 0;
fail:
	rc = -errno;
	if (l->ev != NULL)
		event_free(l->ev);
	if (l->fd >= 0)
		close(l->fd);
	free(l);
	return rc;
}

void cp_net_tick(struct cp_net *net)
{
	uint64_t now = cp_net_now(net);

	/* each list has one time limit, so its head is the oldest */
	for (int i = 0; i < CP_CONN_LISTS; i++) {
		struct cp_conn *c, *next;

		if (i == CP_CONN_AUTHED || i == CP_CONN_DOOMED)
			continue;
		for (c = TAILQ_FIRST(&net->list[i]); c != NULL && c->deadline_ms <= now; c = next) {
			char text[64];

			next = TAILQ_NEXT(c, link);
			if (i != CP_CONN_DRAIN)
				cfg_log_limited(CFG_LOG_INFO, "connection-reaped",
				                "from=%s stage=%d",
				                cfg_addr_print(&c->peer, text, sizeof(text)), i);
			cp_conn_doom(c, i == CP_CONN_DRAIN ? c->why : CP_CLOSE_TIMEOUT);
		}
	}
	cp_net_bury(net);
	cp_net_may_accept(net);
}

int cp_net_fd_room(uint32_t n)
{
	struct rlimit lim;
	rlim_t want = (rlim_t)n + 256;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return -EPERM;
	if (lim.rlim_cur >= want)
		return 0;
	if (lim.rlim_max < want) {
		struct rlimit up = {want, want};

		if (setrlimit(RLIMIT_NOFILE, &up) == 0) /* root may */
			return 0;
	}
	lim.rlim_cur = want < lim.rlim_max ? want : lim.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur < want)
		return -EPERM;
	return 0;
}
