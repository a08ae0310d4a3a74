/* SPDX-License-Identifier: BSD-3-Clause */
#include "signerc/lscask.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "signer.h"
#include "x509.h"

#define BUF_MAX  (PKI_DER_MAX + 1024) /* bytes of a question or an answer about one certificate */
#define AT_ONCE  16                   /* answers taken per wake-up: others want the loop too */

struct question {
	STAILQ_ENTRY(question) link;
	cp_lscask_fn *fn; /* NULL: the greeting */
	void *ctx;
	uint32_t seq;
	uint64_t deadline_ms;
};

struct cp_lscask {
	struct event_base *base;
	struct sockaddr_un addr;
	unsigned timeout_ms, cnt;
	int fd; /* -1: not connected */
	bool stopping;
	struct event *ev, *tick;
	uint32_t seq;
	STAILQ_HEAD(, question) out;
	uint8_t buf[BUF_MAX];
};

static void drop(struct cp_lscask *a)
{
	if (a->ev != NULL)
		event_free(a->ev);
	a->ev = NULL;
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

/* Take the oldest one out and call back. The callback may ask again. */
static void answer(struct cp_lscask *a, int rc, const uint8_t *der, size_t len, const char *why)
{
	struct question *q = STAILQ_FIRST(&a->out);
	cp_lscask_fn *fn = q->fn;
	void *ctx = q->ctx;

	STAILQ_REMOVE_HEAD(&a->out, link);
	a->cnt--;
	free(q);
	if (fn != NULL)
		fn(ctx, rc, der, len, why);
}

/* The connection is of no use any more: an answer that comes later must not meet another question. */
static void fail_all(struct cp_lscask *a, int rc)
{
	STAILQ_HEAD(, question) old = STAILQ_HEAD_INITIALIZER(old);
	char why[160];

	drop(a);
	STAILQ_CONCAT(&old, &a->out);
	a->cnt = 0;
	snprintf(why, sizeof(why), "signer: %s", strerror(-rc));
	while (!STAILQ_EMPTY(&old)) { /* what callbacks ask now is on a new connection */
		struct question *q = STAILQ_FIRST(&old);

		STAILQ_REMOVE_HEAD(&old, link);
		if (q->fn != NULL)
			q->fn(q->ctx, rc, NULL, 0, why);
		free(q);
	}
}

/* One answer. 0, or why the connection is to be given up. */
static int take(struct cp_lscask *a, size_t len)
{
	const struct question *q = STAILQ_FIRST(&a->out);
	struct pki_signer_msg m;
	char why[160];

	if (q == NULL || pki_signer_parse(a->buf, len, &m) < 0 || !m.reply || m.seq != q->seq ||
	    (m.rc == 0 && m.type != (q->fn != NULL ? PKI_SIGNER_LSC : PKI_SIGNER_HELLO)))
		return -EPROTO;
	if (m.rc < 0 && q->fn == NULL)
		return m.rc;
	if (m.rc < 0)
		snprintf(why, sizeof(why), "the signer refused: %s", m.name);
	answer(a, m.rc, m.a.p, m.a.len, why);
	return 0;
}

static void on_answers(evutil_socket_t fd, short what, void *arg)
{
	struct cp_lscask *a = arg;

	(void)what;
	for (unsigned i = 0; i < AT_ONCE && fd == a->fd; i++) {
		ssize_t n = recv(fd, a->buf, sizeof(a->buf), MSG_DONTWAIT | MSG_TRUNC);
		int rc;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		rc = n < 0 ? -errno : n == 0 ? -ECONNRESET : (size_t)n > sizeof(a->buf) ? -EPROTO : take(a, (size_t)n);
		if (rc < 0) {
			cfg_log_limited(CFG_LOG_WARN, "signer-connection", "reason=%s", cfg_q(strerror(-rc)));
			fail_all(a, rc);
			return;
		}
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct cp_lscask *a = arg;
	const struct question *q = STAILQ_FIRST(&a->out);

	(void)fd;
	(void)what;
	if (q != NULL && cp_mono_ms() >= q->deadline_ms) {
		cfg_log_limited(CFG_LOG_WARN, "signer-connection", "reason=\"no answer\"");
		fail_all(a, -ETIMEDOUT);
	}
}

/* Send it and remember who asked. */
static int ask(struct cp_lscask *a, struct pki_signer_msg *m, cp_lscask_fn *fn, void *ctx)
{
	struct question *q = malloc(sizeof(*q));
	int len;

	if (q == NULL)
		return -ENOMEM;
	m->seq = ++a->seq;
	*q = (struct question){.fn = fn, .ctx = ctx, .seq = m->seq, .deadline_ms = cp_mono_ms() + a->timeout_ms};
	len = pki_signer_build(m, a->buf, sizeof(a->buf));
	if (len >= 0 && send(a->fd, a->buf, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		len = -errno; /* EAGAIN: it has as many as the socket takes */
	if (len < 0) {
		free(q);
		return len;
	}
	STAILQ_INSERT_TAIL(&a->out, q, link);
	a->cnt++;
	return 0;
}

/* Local, so that it is made at once or not at all. Whose socket it is, is looked at; the greeting's answer comes first. */
static int dial(struct cp_lscask *a)
{
	struct pki_signer_msg hello = {.type = PKI_SIGNER_HELLO};
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int rc = 0;

	a->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->fd < 0 || connect(a->fd, (const struct sockaddr *)&a->addr, sizeof(a->addr)) < 0 ||
	    getsockopt(a->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		rc = errno == EAGAIN ? -ECONNREFUSED : -errno; /* its queue is full */
	else if (cred.uid != geteuid() && cred.uid != 0)
		rc = -EACCES;
	if (rc == 0) {
		a->ev = event_new(a->base, a->fd, EV_READ | EV_PERSIST, on_answers, a);
		rc = a->ev == NULL || event_add(a->ev, NULL) < 0 ? -ENOMEM : ask(a, &hello, NULL, NULL);
	}
	if (rc < 0)
		drop(a);
	return rc;
}

int cp_lscask(struct cp_lscask *a, const char *device, const struct pki_spki *key, cp_lscask_fn *fn, void *ctx)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_LSC, .b = {key->der, key->len}};
	int rc = 0;

	if (a->stopping)
		return -ECANCELED;
	if (a->cnt >= CP_LSCASK_MAX)
		return -EAGAIN;
	if (strlen(device) >= sizeof(m.name))
		return -EINVAL;
	memcpy(m.name, device, strlen(device) + 1);
	if (a->fd < 0)
		rc = dial(a);
	if (rc == 0)
		rc = ask(a, &m, fn, ctx);
	if (rc != -EPIPE && rc != -ECONNRESET)
		return rc;
	/* The signer went away, and the loop has not said so yet. */
	if (a->cnt > 0)
		return -EAGAIN; /* after those that were asked have heard of it */
	drop(a);
	rc = dial(a);
	return rc == 0 ? ask(a, &m, fn, ctx) : rc;
}

int cp_lscask_create(struct event_base *base, const char *run_dir, unsigned timeout_ms, struct cp_lscask **ret)
{
	static const struct timeval second = {1, 0};
	struct cp_lscask *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return -ENOMEM;
	a->base = base;
	a->fd = -1;
	a->timeout_ms = timeout_ms;
	STAILQ_INIT(&a->out);
	a->addr.sun_family = AF_UNIX;
	if (snprintf(a->addr.sun_path, sizeof(a->addr.sun_path), "%s/signer.sock", run_dir) >= (int)sizeof(a->addr.sun_path)) {
		cp_lscask_destroy(a);
		return -ENAMETOOLONG;
	}
	a->tick = event_new(base, -1, EV_PERSIST, on_tick, a);
	if (a->tick == NULL || event_add(a->tick, &second) < 0) {
		cp_lscask_destroy(a);
		return -ENOMEM;
	}
	*ret = a;
	return 0;
}

void cp_lscask_destroy(struct cp_lscask *a)
{
	if (a == NULL)
		return;
	a->stopping = true;
	fail_all(a, -ECANCELED);
	if (a->tick != NULL)
		event_free(a->tick);
	free(a);
}
