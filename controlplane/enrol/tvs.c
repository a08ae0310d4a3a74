/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#include "clock.h"
#include "enrol/tvs.h"
#include "log.h"
#include "net/net.h"

struct asker {
	TAILQ_ENTRY(asker) link;
	struct cp_tvs *tvs;
	struct cp_conn *conn;
	uint64_t last_ms;
	bool known, closing;
};

struct cp_tvs {
	struct cp_tvs_env env;
	struct cp_tvs_book *book;
	TAILQ_HEAD(, asker) idle; /* that have asked something, the idlest first */
	struct event *tick;
	struct cp_tvs_stats stats;
};

static uint64_t now_ms(const struct cp_tvs *t)
{
	return t->env.now_ms != NULL ? t->env.now_ms(t->env.ctx) : cp_mono_ms();
}

static int frame_len(const uint8_t *buf, size_t have, size_t *ret_total)
{
	int rc = cp_tvs_frame(buf, have);

	if (rc <= 0)
		return rc == 0 ? -EAGAIN : rc;
	*ret_total = (size_t)rc;
	return 0;
}

static void *opened(void *ctx, struct cp_conn *conn)
{
	struct asker *a = calloc(1, sizeof(*a));

	if (a != NULL) {
		a->tvs = ctx;
		a->conn = conn;
	}
	return a;
}

static void end(struct asker *a)
{
	if (!a->closing)
		cp_conn_close(a->conn);
	a->closing = true;
}

static void refuse(struct asker *a, const char *why)
{
	char from[64];

	a->tvs->stats.malformed++;
	cfg_log_limited(CFG_LOG_WARN, "tvs-malformed", "from=%s reason=%s", cfg_addr_print(cp_conn_peer(a->conn), from, sizeof(from)),
			cfg_q(why));
	end(a);
}

/* It asked something: from here on only its idling is looked at. */
static void make_known(struct asker *a)
{
	struct cp_tvs *t = a->tvs;

	if (a->known)
		TAILQ_REMOVE(&t->idle, a, link);
	else
		t->stats.conns++;
	a->known = true;
	a->last_ms = now_ms(t);
	TAILQ_INSERT_TAIL(&t->idle, a, link);
	cp_conn_authed(a->conn);
	if (t->stats.conns > t->env.max_idle) {
		struct asker *idlest = TAILQ_FIRST(&t->idle);

		if (idlest != a && !idlest->closing) {
			t->stats.idle_closed++;
			end(idlest);
		}
	}
}

static void frame(void *user, const uint8_t *data, size_t len)
{
	struct asker *a = user;
	struct cp_tvs *t = a->tvs;
	struct cp_tvs_msg req, out;
	uint8_t buf[CP_TVS_MSG_MAX];
	enum cp_tvs_answer answer;
	int n;

	if (a->closing)
		return;
	if (cp_tvs_parse(data, len, &req) != 0) {
		refuse(a, "malformed request");
		return;
	}
	answer = cp_tvs_book_answer(t->book, &req, t->env.now != NULL ? t->env.now(t->env.ctx) : (int64_t)time(NULL), t->env.ttl_s, &out);
	if (answer == CP_TVS_NO_REQUEST) {
		refuse(a, "an answer where a request belongs");
		return;
	}
	if (req.type == CP_TVS_VERIFY_REQUEST)
		t->stats.verify++;
	else
		t->stats.query++;
	t->stats.vouched += answer == CP_TVS_VOUCHED;
	t->stats.unknown += answer == CP_TVS_UNKNOWN;
	t->stats.expired += answer == CP_TVS_EXPIRED;
	n = cp_tvs_build(&out, buf, sizeof(buf));
	if (n < 0) { /* a certificate of a trust store that is longer than a message may be */
		cfg_log_limited(CFG_LOG_ERR, "tvs-answer-too-long", "bytes=%zu", out.cert_len);
		end(a);
		return;
	}
	make_known(a);
	if (t->env.answered != NULL)
		t->env.answered(t->env.ctx, req.device, cp_conn_cert(a->conn), cp_conn_peer(a->conn), &req, answer);
	if (cp_conn_send(a->conn, buf, (size_t)n) < 0)
		a->closing = true;
}

static void closed(void *user, enum cp_close why)
{
	struct asker *a = user;

	if (why == CP_CLOSE_BAD_FRAME)
		a->tvs->stats.malformed++;
	if (a->known) {
		TAILQ_REMOVE(&a->tvs->idle, a, link);
		a->tvs->stats.conns--;
	}
	free(a);
}

static const struct cp_net_ops ops = {
	.frame_max = CP_TVS_MSG_MAX,
	.frame_len = frame_len,
	.opened = opened,
	.frame = frame,
	.closed = closed,
};

void cp_tvs_tick(struct cp_tvs *t)
{
	uint64_t now = now_ms(t);
	struct asker *a;

	TAILQ_FOREACH(a, &t->idle, link) {
		if (now - a->last_ms < (uint64_t)t->env.idle_s * 1000)
			break;
		if (!a->closing) {
			t->stats.idle_closed++;
			end(a);
		}
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	cp_tvs_tick(arg);
}

int cp_tvs_create(const struct cp_tvs_env *env, struct cp_tvs **ret)
{
	static const struct timeval second = {1, 0};
	struct cp_tvs *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	t->env = *env;
	t->env.ttl_s = env->ttl_s != 0 ? env->ttl_s : CP_TVS_TTL_S;
	t->env.idle_s = env->idle_s != 0 ? env->idle_s : 60;
	t->env.max_idle = env->max_idle != 0 ? env->max_idle : 4096;
	TAILQ_INIT(&t->idle);
	t->book = cp_tvs_book_create();
	if (env->base != NULL)
		t->tick = event_new(env->base, -1, EV_PERSIST, on_tick, t);
	if (t->book == NULL || cp_tvs_book_close(t->book) < 0 ||
	    (env->base != NULL && (t->tick == NULL || event_add(t->tick, &second) < 0))) {
		cp_tvs_destroy(t);
		return -ENOMEM;
	}
	*ret = t;
	return 0;
}

void cp_tvs_destroy(struct cp_tvs *t)
{
	if (t == NULL)
		return;
	if (t->tick != NULL)
		event_free(t->tick);
	cp_tvs_book_destroy(t->book);
	free(t);
}

void cp_tvs_set_book(struct cp_tvs *t, struct cp_tvs_book *book)
{
	cp_tvs_book_destroy(t->book);
	t->book = book;
	t->stats.certificates = cp_tvs_book_count(book);
}

int cp_tvs_listen(struct cp_tvs *t, struct cp_net *net, const struct cfg_addr *addr, struct cp_tls *tls, uint16_t *ret_port)
{
	return cp_net_listen(net, addr, tls, &ops, t, ret_port);
}

void cp_tvs_stats(const struct cp_tvs *t, struct cp_tvs_stats *ret)
{
	*ret = t->stats;
}
