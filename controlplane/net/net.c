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
#include <unistd.h>

#include <event2/event.h>

#include "clock.h"
#include "conn.h"
#include "log.h"

#define BACKLOG      4096
#define ACCEPT_BURST 64 /* per wake-up: handshakes must get their turn */
#define OUT_MAX      65536
#define FD_PAUSE_MS  1000
#define LOW_MS       4 /* of handshakes at a time */

static uint64_t mono_ms(void *ctx)
{
	(void)ctx;
	return cp_mono_ms();
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

struct event_base *cp_net_base(void)
{
	const struct timeval turn = {0, LOW_MS * 1000};
	struct event_config *cfg = event_config_new();
	struct event_base *base = NULL;

	if (cfg != NULL && event_config_set_max_dispatch_interval(cfg, &turn, -1, CP_NET_LOW) == 0)
		base = event_base_new_with_config(cfg);
	if (cfg != NULL)
		event_config_free(cfg);
	if (base != NULL && event_base_priority_init(base, CP_NET_PRIORITIES) != 0) {
		event_base_free(base);
		base = NULL;
	}
	return base;
}

void cp_net_low(const struct cp_net *net, struct event *ev)
{
	if (net->low >= 0)
		(void)event_priority_set(ev, net->low);
}

int cp_net_create(struct event_base *base, const struct cp_net_opts *opts, struct cp_net **ret_net)
{
	struct cp_net *net = calloc(1, sizeof(*net));
	const struct cp_room_limits max = {opts->max_conns, opts->max_preauth, opts->max_source};
	uint32_t tick_ms;
	struct timeval tv;

	if (net == NULL)
		return -ENOMEM;
	net->base = base;
	net->low = event_base_get_npriorities(base) == CP_NET_PRIORITIES ? CP_NET_LOW : -1;
	net->opts = *opts;
	for (int i = 0; i < CP_CONN_LISTS; i++)
		TAILQ_INIT(&net->list[i]);
	net->room = opts->room;
	if (net->room == NULL && cp_room_create(&max, &net->own_room) == 0)
		net->room = net->own_room;
	if (net->opts.now_ms == NULL)
		net->opts.now_ms = mono_ms;
	if (net->opts.auth_ms == 0)
		net->opts.auth_ms = 3 * net->opts.handshake_ms;
	if (net->opts.out_max == 0)
		net->opts.out_max = OUT_MAX;
	tick_ms = net->opts.handshake_ms / 8;
	tick_ms = tick_ms < 20 ? 20 : tick_ms > 500 ? 500 : tick_ms;
	tv = (struct timeval){tick_ms / 1000, (tick_ms % 1000) * 1000};
	net->tick = event_new(base, -1, EV_PERSIST, on_tick, net);
	net->doomed_ev = event_new(base, -1, EV_PERSIST, on_doomed, net);
	if (net->room == NULL || net->tick == NULL || net->doomed_ev == NULL || cp_net_share_init(net) < 0 || event_add(net->tick, &tv) != 0) {
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
	cp_net_share_fini(net);
	cp_room_destroy(net->own_room);
	free(net);
}

const struct cp_net_stats *cp_net_stats(const struct cp_net *net)
{
	return &net->stats;
}

void cp_net_stats_add(struct cp_net_stats *sum, const struct cp_net_stats *n)
{
	sum->accepted += n->accepted;
	sum->refused_full += n->refused_full;
	sum->refused_source += n->refused_source;
	sum->accept_errors += n->accept_errors;
	sum->pauses += n->pauses;
	sum->handshakes += n->handshakes;
	for (int i = 0; i < CP_TLS_FAIL_MAX; i++)
		sum->tls_failed[i] += n->tls_failed[i];
	sum->not_tls += n->not_tls;
	sum->tls_on_clear += n->tls_on_clear;
	sum->frames += n->frames;
	for (int i = 0; i < CP_CLOSE_MAX; i++)
		sum->closed[i] += n->closed[i];
	sum->conns += n->conns;
	sum->preauth += n->preauth;
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
	if (net->paused && !net->stopping && !cp_room_full(net->room) && cp_net_now(net) >= net->pause_until_ms)
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
	int on = 1, rc;

	addr_from_sa(ss, &peer);
	rc = cp_room_enter(net->room, &peer, &src);
	if (rc == -ENFILE) {
		net->stats.refused_full++;
		cfg_log_limited(CFG_LOG_WARN, "connections-full", "from=%s", cfg_addr_print(&peer, text, sizeof(text)));
	} else if (rc < 0) {
		net->stats.refused_source++;
		cfg_log_limited(CFG_LOG_WARN, "source-over-limit", "from=%s", cfg_addr_print(&peer, text, sizeof(text)));
	}
	if (rc < 0) {
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
		cp_room_known(net->room, src);
		cp_room_leave(net->room);
		close(fd);
		return;
	}
	net->stats.accepted++;
}

void cp_net_accept(struct cp_listener *l, int max)
{
	struct cp_net *net = l->net;

	for (int i = 0; i < max; i++) {
		struct sockaddr_storage ss = {0};
		socklen_t len = sizeof(ss);
		int fd;

		if (!cp_room_reserve(net->room)) {
			set_accepting(net, false);
			cfg_log_limited(CFG_LOG_WARN, "preauth-full", "here=%u", net->stats.preauth);
			return;
		}
		fd = accept4(l->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			cp_room_give_back(net->room);
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

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	cp_net_accept(arg, ACCEPT_BURST);
}

int cp_net_socket(const struct cfg_addr *addr, uint16_t *ret_port)
{
	struct sockaddr_storage ss = {0};
	struct cfg_addr bound;
	socklen_t len;
	int on = 1, tos = 0x60, rc, fd; /* CS3: signalling */

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
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		goto fail;
	if (addr->family == 4)
		(void)setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	else
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	if (bind(fd, (struct sockaddr *)&ss, len) != 0 || listen(fd, BACKLOG) != 0)
		goto fail;
	len = sizeof(ss);
	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		goto fail;
	addr_from_sa(&ss, &bound);
	if (ret_port != NULL)
		*ret_port = bound.port;
	return fd;
fail:
	rc = -errno;
	close(fd);
	return rc;
}

int cp_net_listen_fd(struct cp_net *net, int fd, struct cp_tls *tls, const struct cp_net_ops *ops, void *ctx)
{
	struct cp_listener *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		close(fd);
		return -ENOMEM;
	}
	*l = (struct cp_listener){.net = net, .tls = tls, .ops = ops, .ctx = ctx, .fd = fd};
	l->ev = event_new(net->base, l->fd, EV_READ | EV_PERSIST, on_accept, l);
	if (l->ev != NULL)
		cp_net_low(net, l->ev);
	if (l->ev == NULL || (!net->paused && event_add(l->ev, NULL) != 0)) {
		if (l->ev != NULL)
			event_free(l->ev);
		close(fd);
		free(l);
		return -ENOMEM;
	}
	l->next = net->listeners;
	net->listeners = l;
	return 0;
}

int cp_net_listen(struct cp_net *net, const struct cfg_addr *addr, struct cp_tls *tls,
                  const struct cp_net_ops *ops, void *ctx, uint16_t *ret_port)
{
	int fd = cp_net_socket(addr, ret_port);

	return fd < 0 ? fd : cp_net_listen_fd(net, fd, tls, ops, ctx);
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
	cp_net_share(net);
}

int cp_net_fd_room(uint32_t n, uint32_t *ret_room)
{
	rlim_t want = (rlim_t)n + CP_NET_FD_SPARE, have = 0;
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		have = lim.rlim_cur;
		if (have < want) {
			struct rlimit up = {want, lim.rlim_max > want ? lim.rlim_max : want}; /* above the hard one: root may */

			if (setrlimit(RLIMIT_NOFILE, &up) != 0)
				up.rlim_cur = up.rlim_max = lim.rlim_max;
			if (up.rlim_cur == want || setrlimit(RLIMIT_NOFILE, &up) == 0)
				have = up.rlim_cur;
		}
	}
	if (have > want) /* also without a limit */
		have = want;
	if (ret_room != NULL)
		*ret_room = have > CP_NET_FD_SPARE ? (uint32_t)(have - CP_NET_FD_SPARE) : 0;
	return have == want ? 0 : -EPERM;
}
