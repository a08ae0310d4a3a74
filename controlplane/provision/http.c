/* SPDX-License-Identifier: BSD-3-Clause */
/* Listeners and threads of the HTTP servers, their limits, and what is shown of them. */
#include "http.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "httpint.h"
#include "log.h"

#define BACKLOG   4096
#define ACCEPTS   64     /* at once: those who are connected have their turn too */
#define SEND_BUF  131072 /* what a client that does not read makes the kernel hold */
#define DEAD_MS   30000  /* the same, when it does not even acknowledge */
#define PAUSE_MS  100    /* without descriptors */

uint64_t cp_http_now(struct thread *t)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	t->now_ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	return t->now_ms;
}

static void addr_of(const struct sockaddr_storage *ss, struct cfg_addr *ret)
{
	*ret = (struct cfg_addr){0};
	if (ss->ss_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, ss, sizeof(in));
		ret->family = 4;
		ret->plen = 32;
		ret->port = ntohs(in.sin_port);
		memcpy(ret->ip, &in.sin_addr, 4);
	} else {
		struct sockaddr_in6 in6;
		bool mapped;

		memcpy(&in6, ss, sizeof(in6));
		mapped = IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
		ret->family = mapped ? 4 : 6;
		ret->plen = mapped ? 32 : 128;
		ret->port = ntohs(in6.sin6_port);
		memcpy(ret->ip, in6.sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
	}
}

/* --- accepting --- */

/* One too many: told so if that costs nothing (a TLS client just sees the end). */
static void turn_away(struct listener *l, int fd, const struct cfg_addr *from, int rc)
{
	struct thread *t = l->t;
	char a[64];

	if (rc == -EMFILE)
		COUNT(t, refused_source);
	else
		COUNT(t, refused_total);
	cfg_log_limited(CFG_LOG_NOTICE, "http-refused", "from=%s port=%u reason=%s", cfg_addr_print(from, a, sizeof(a)),
			t->http->port[l->which], rc == -EMFILE ? "limit_source" : "limit_total");
	if (l->tls == NULL) {
		char out[CP_HTTP_ANSWER_MAX], date[30];
		size_t n = cp_http_refusal(503, NULL, false, false, cp_http_date(time(NULL), date), out);

		if (send(fd, out, n, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
			shutdown(fd, SHUT_WR);
	}
	close(fd);
}

static void on_accept(evutil_socket_t lfd, short what, void *arg)
{
	struct listener *l = arg;
	struct thread *t = l->t;

	(void)what;
	cp_http_now(t);
	for (unsigned i = 0; i < ACCEPTS; i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		struct cfg_addr from;
		int fd = accept4(lfd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC), rc;

		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
			COUNT(t, errors);
			cfg_log_limited(CFG_LOG_ERR, "http-accept-failed", "reason=%s", cfg_q(strerror(errno)));
			for (unsigned k = 0; k < CP_HTTP_PORTS; k++)
				if (t->listeners[k].fd >= 0)
					event_del(&t->listeners[k].ev);
			t->paused = true; /* the tick goes on: connections that end give descriptors back */
			return;
		}
		if (fd < 0 && errno != ECONNABORTED && errno != EINTR && errno != EPROTO)
			return;
		if (fd < 0)
			continue;
		addr_of(&ss, &from);
		rc = cp_source_enter(t->http->sources, &from, t->now_ms);
		if (rc < 0) {
			turn_away(l, fd, &from, rc);
			continue;
		}
		if (cp_conn_http_start(l, fd, &from) < 0) {
			cp_source_leave(t->http->sources, &from);
			COUNT(t, errors);
			close(fd);
		}
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct thread *t = arg;
	struct conn *c, *next;

	(void)fd;
	(void)what;
	cp_http_now(t);
	for (c = TAILQ_FIRST(&t->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		cp_conn_http_tick(c);
	}
	if (t->paused) {
		t->paused = false;
		for (unsigned k = 0; k < CP_HTTP_PORTS; k++)
			if (t->listeners[k].fd >= 0)
				event_add(&t->listeners[k].ev, NULL);
	}
}

static void on_inbox(evutil_socket_t fd, short what, void *arg)
{
	struct thread *t = arg;

	(void)fd;
	(void)what;
	cp_http_now(t);
	cp_inbox_drain(t->inbox, cp_conn_http_file, t);
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	struct thread *t = arg;

	(void)fd;
	(void)what;
	event_base_loopbreak(t->base);
}

static void *loop(void *arg)
{
	struct thread *t = arg;

	event_base_dispatch(t->base);
	return NULL;
}

/* --- starting and stopping --- */

static int tcp_listen(const struct cfg_addr *a, uint16_t port, uint16_t *ret_port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	bool six = a->family == 6;
	struct sockaddr *sa = six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
	socklen_t len = six ? sizeof(in6) : sizeof(in);
	int one = 1, zero = 0, buf = SEND_BUF, dead = DEAD_MS, err;
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	memcpy(six ? (void *)&in6.sin6_addr : (void *)&in.sin_addr, a->ip, six ? 16 : 4);
	/* what is set here, accepted sockets inherit */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead, sizeof(dead)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buf, sizeof(buf)) < 0 ||
	    (six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) < 0) || bind(fd, sa, len) < 0 ||
	    listen(fd, BACKLOG) < 0 || getsockname(fd, sa, &len) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	*ret_port = ntohs(six ? in6.sin6_port : in.sin_port);
	return fd;
}

static int listener_start(struct thread *t, enum cp_http_port which, const struct cfg_addr *a, uint16_t port, struct cp_tls *tls)
{
	struct listener *l = &t->listeners[which];

	l->t = t;
	l->which = which;
	l->tls = tls;
	l->fd = tcp_listen(a, t->http->port[which] != 0 ? t->http->port[which] : port, &t->http->port[which]);
	if (l->fd < 0)
		return l->fd;
	event_assign(&l->ev, t->base, l->fd, EV_READ | EV_PERSIST, on_accept, l);
	return event_add(&l->ev, NULL) < 0 ? -ENOMEM : 0;
}

static int watch(struct thread *t, struct event *ev, int fd, event_callback_fn fn)
{
	event_assign(ev, t->base, fd, EV_READ | EV_PERSIST, fn, t);
	return event_add(ev, NULL) < 0 ? -ENOMEM : 0;
}

static int thread_start(struct thread *t)
{
	static const struct timeval tick = {0, PAUSE_MS * 5000};
	const struct cp_http_opts *o = &t->http->o;
	struct cfg_addr a;
	int rc = cp_thread_init(&t->thread);

	TAILQ_INIT(&t->conns);
	t->base = event_base_new();
	t->inbox = cp_inbox_create();
	if (rc < 0 || t->base == NULL || t->inbox == NULL)
		return -ENOMEM;
	if (cfg_addr_parse(o->cfg->listen, &a) < 0)
		return -EINVAL;
	if (o->cfg->http_port != 0)
		rc = listener_start(t, CP_HTTP_CLEAR, &a, o->cfg->http_port, NULL);
	if (rc == 0 && o->cfg->https_port != 0 && o->tls != NULL)
		rc = listener_start(t, CP_HTTP_TLS, &a, o->cfg->https_port, o->tls);
	if (rc == 0 && o->cfg->token_port != 0 && o->token_tls != NULL)
		rc = listener_start(t, CP_HTTP_TOKEN, &a, o->cfg->token_port, o->token_tls);
	if (rc < 0)
		return rc;
	event_assign(&t->tick_ev, t->base, -1, EV_PERSIST, on_tick, t);
	if (watch(t, &t->stop_ev, t->thread.stop, on_stop) < 0 || watch(t, &t->inbox_ev, cp_inbox_fd(t->inbox), on_inbox) < 0 ||
	    event_add(&t->tick_ev, &tick) < 0)
		return -ENOMEM;
	return cp_thread_start(&t->thread, loop, t, "http");
}

static void thread_fini(struct thread *t)
{
	cp_thread_stop(&t->thread);
	while (t->base != NULL && TAILQ_FIRST(&t->conns) != NULL)
		cp_conn_http_end(TAILQ_FIRST(&t->conns), END_STOP);
	for (unsigned i = 0; i < CP_HTTP_PORTS; i++)
		if (t->listeners[i].fd >= 0) {
			if (t->listeners[i].ev.ev_base != NULL)
				event_del(&t->listeners[i].ev);
			close(t->listeners[i].fd);
		}
	if (t->tick_ev.ev_base != NULL)
		event_del(&t->tick_ev);
	if (t->stop_ev.ev_base != NULL)
		event_del(&t->stop_ev);
	if (t->inbox_ev.ev_base != NULL)
		event_del(&t->inbox_ev);
	cp_inbox_close(t->inbox);
	if (t->base != NULL)
		event_base_free(t->base);
	cp_thread_fini(&t->thread);
}

int cp_http_create(const struct cp_http_opts *opts, struct cp_http **ret_http)
{
	struct cp_http *h = calloc(1, sizeof(*h));
	const struct cfg_provision *cfg = opts->cfg;
	uint8_t key[16];
	int rc = 0;

	if (h == NULL)
		return -ENOMEM;
	h->o = *opts;
	h->idle_ms = cfg->idle_s * 1000u;
	h->min_rate = cfg->min_rate;
	h->header_ms = opts->header_ms != 0 ? opts->header_ms : CP_HTTP_HEADER_S * 1000u;
	h->rate_ms = opts->stall_ms != 0 ? opts->stall_ms : CP_HTTP_STALL_S * 1000u;
	h->threads = calloc(cfg->threads, sizeof(*h->threads));
	if (h->threads == NULL || RAND_bytes(key, sizeof(key)) != 1)
		rc = -ENOMEM;
	else
		h->sources = cp_sources_create(cfg->max_connections, cfg->max_source, key);
	if (rc == 0 && h->sources == NULL)
		rc = -ENOMEM;
	for (unsigned i = 0; rc == 0 && i < cfg->threads; i++) {
		struct thread *t = &h->threads[h->n++];

		t->http = h;
		t->thread = CP_THREAD_NONE;
		for (unsigned k = 0; k < CP_HTTP_PORTS; k++)
			t->listeners[k].fd = -1;
		rc = thread_start(t);
	}
	h->o.cfg = NULL;
	if (rc < 0) {
		cp_http_destroy(h);
		return rc;
	}
	*ret_http = h;
	return 0;
}

void cp_http_destroy(struct cp_http *http)
{
	if (http == NULL)
		return;
	for (unsigned i = 0; i < http->n; i++)
		thread_fini(&http->threads[i]);
	cp_sources_destroy(http->sources);
	free(http->threads);
	free(http);
}

uint16_t cp_http_port(const struct cp_http *http, enum cp_http_port which)
{
	return http->port[which];
}

json_t *cp_http_show(const struct cp_http *http)
{
	static const struct {
		const char *name;
		size_t off;
	} fields[] = {
#define F(n) {#n, offsetof(struct stats, n)}
		F(active), F(accepted), F(requests), F(done), F(bytes), F(handshakes), F(refused_total), F(refused_source),
		F(token_refused), F(bad_names), F(errors),
#undef F
	};
	json_t *o = json_object(), *statuses = json_object(), *ends = json_object();
	char name[16];

	json_object_set_new(o, "http_port", json_integer(http->port[CP_HTTP_CLEAR]));
	json_object_set_new(o, "https_port", json_integer(http->port[CP_HTTP_TLS]));
	json_object_set_new(o, "token_port", json_integer(http->port[CP_HTTP_TOKEN]));
	for (unsigned k = 0; k < sizeof(fields) / sizeof(fields[0]); k++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < http->n; i++)
			sum += *(const _Atomic uint64_t *)((const char *)&http->threads[i].stats + fields[k].off);
		json_object_set_new(o, fields[k].name, json_integer((json_int_t)sum));
	}
	for (unsigned k = 0; k < STATUSES; k++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < http->n; i++)
			sum += http->threads[i].stats.status[k];
		snprintf(name, sizeof(name), cp_http_statuses[k] != 0 ? "%d" : "other", cp_http_statuses[k]);
		if (sum > 0)
			json_object_set_new(statuses, name, json_integer((json_int_t)sum));
	}
	for (unsigned k = 0; k < END_MAX; k++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < http->n; i++)
			sum += http->threads[i].stats.ends[k];
		if (sum > 0)
			json_object_set_new(ends, cp_http_ends[k], json_integer((json_int_t)sum));
	}
	json_object_set_new(o, "status", statuses);
	json_object_set_new(o, "ended", ends);
	return o;
}
