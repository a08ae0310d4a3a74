/* SPDX-License-Identifier: BSD-3-Clause */
/* One connection: reads a request, asks for the file, writes the answer, and again. */
#include <errno.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "httpint.h"
#include "log.h"
#include "net/tls.h"

const int cp_http_statuses[STATUSES] = {200, 206, 304, 400, 401, 404, 405, 412, 413, 414, 416, 431, 503, 0};
const char *const cp_http_ends[END_MAX] = {"closed", "header_timeout", "idle", "slow", "tls", "error", "stopped"};

static void run(struct conn *c);

static void count_status(struct thread *t, int status)
{
	unsigned i = 0;

	while (i < STATUSES - 1 && cp_http_statuses[i] != status)
		i++;
	COUNT(t, status[i]);
}

static void want(struct conn *c, bool rd, bool wr)
{
	if (rd != c->reading) {
		if (rd)
			event_add(&c->rd, NULL);
		else
			event_del(&c->rd);
		c->reading = rd;
	}
	if (wr != c->writing) {
		if (wr)
			event_add(&c->wr, NULL);
		else
			event_del(&c->wr);
		c->writing = wr;
	}
}

static void enter(struct conn *c, enum conn_state state)
{
	c->state = (uint8_t)state;
	c->since_ms = c->t->now_ms;
}

static void forget_head(struct conn *c)
{
	if (c->head != c->t->head)
		free(c->head);
	c->head = NULL;
}

void cp_conn_http_end(struct conn *c, enum conn_end why)
{
	struct thread *t = c->t;

	if (why == END_HEADER_TIME || why == END_SLOW || why == END_TLS) {
		char a[64];

		cfg_log_limited(CFG_LOG_NOTICE, "http-cut", "from=%s port=%u reason=%s", cfg_addr_print(&c->from, a, sizeof(a)),
				t->http->port[c->l->which], cp_http_ends[why]);
	}
	COUNT(t, ends[why]);
	if (c->told != NULL)
		cp_conn_http_tell(c, true);
	want(c, false, false);
	if (c->wait != NULL)
		cp_inbox_cancel(c->wait);
	cp_file_put(c->file);
	forget_head(c);
	if (c->ssl != NULL) {
		if (why == END_CLOSED && c->state != CONN_HANDSHAKE)
			SSL_shutdown(c->ssl); /* one try; nobody waits for the other's */
		ERR_clear_error();
		SSL_free(c->ssl);
	}
	if (why == END_SLOW) { /* a reset: else the kernel would hold what it has not read for as long again */
		const struct linger now = {.l_onoff = 1, .l_linger = 0};

		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
	close(c->fd);
	cp_source_leave(t->http->sources, &c->from);
	TAILQ_REMOVE(&t->conns, c, link);
	COUNT_N(t, active, -1);
	free(c->buf);
	free(c);
}

/* --- bytes in and out: clear or TLS --- */

/* Bytes read; 0: the client has closed its side; -EAGAIN: nothing now (c->writing says what TLS waits for); -EIO. */
static ssize_t take(struct conn *c, void *buf, size_t size)
{
	ssize_t n;
	int rc;

	if (c->ssl == NULL) {
		n = recv(c->fd, buf, size, 0);
		return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? -EAGAIN : -EIO;
	}
	ERR_clear_error();
	rc = SSL_read(c->ssl, buf, (int)size);
	if (rc > 0)
		return rc;
	rc = SSL_get_error(c->ssl, rc);
	if (rc == SSL_ERROR_ZERO_RETURN)
		return 0;
	/* A write inside a read is a key update or so: the next readable event repeats it. */
	return rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE ? -EAGAIN : -EIO;
}

/* Some of the answer. Bytes taken, -EAGAIN or -EIO. */
static ssize_t give(struct conn *c)
{
	size_t head = (size_t)(c->head_len - c->head_at), n;
	char *s = c->t->scratch;
	int rc;

	if (c->ssl == NULL) {
		/* sendmsg(2) reads only; its iovec knows no const */
		struct iovec iov[2] = {{c->head + c->head_at, head},
				       {c->left > 0 ? (void *)(uintptr_t)(c->file->data + c->at) : NULL, c->left}};
		struct msghdr m = {.msg_iov = head > 0 ? iov : iov + 1, .msg_iovlen = (head > 0) + (c->left > 0)};
		ssize_t sent = sendmsg(c->fd, &m, MSG_NOSIGNAL);

		return sent >= 0 ? sent : errno == EAGAIN || errno == EINTR ? -EAGAIN : -EIO;
	}
	/* One record: header and file together. After WANT_WRITE the same bytes are put together again. */
	n = 16384 - head < c->left ? 16384 - head : c->left;
	memcpy(s, c->head + c->head_at, head);
	if (n > 0)
		memcpy(s + head, c->file->data + c->at, n);
	ERR_clear_error();
	rc = SSL_write(c->ssl, s, (int)(head + n));
	if (rc > 0)
		return rc;
	rc = SSL_get_error(c->ssl, rc);
	return rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE ? -EAGAIN : -EIO;
}

/* --- answers --- */

static const char *date(struct thread *t)
{
	time_t now = time(NULL);

	if (now != t->date_s) {
		t->date_s = now;
		cp_http_date(now, t->date);
	}
	return t->date;
}

/* The thread's piece of memory is the next one's: copy what is left. */
static bool keep_head(struct conn *c, size_t left)
{
	char *copy = malloc(left);

	if (copy == NULL)
		return false;
	memcpy(copy, c->head + c->head_at, left);
	c->head = copy;
	c->head_len = (uint16_t)left;
	c->head_at = 0;
	return true;
}

/* Write on. True: the answer is out, and the next request may be read. False: it waits, or the connection is gone. */
static bool write_on(struct conn *c)
{
	struct thread *t = c->t;

	while (c->head_at < c->head_len || c->left > 0) {
		ssize_t n = give(c);
		size_t head = (size_t)(c->head_len - c->head_at), of_head;

		if (n == -EAGAIN) {
			if (c->state != CONN_WRITE) {
				enter(c, CONN_WRITE);
				c->looked_ms = 0;
			}
			if (head > 0 && c->head == t->head && !keep_head(c, head)) {
				cp_conn_http_end(c, END_ERROR);
				return false;
			}
			/* TLS that wants to read first is rare (TLS 1.3 has no such thing): both wake it */
			want(c, c->ssl != NULL && SSL_want_read(c->ssl), true);
			return false;
		}
		if (n < 0) {
			cp_conn_http_end(c, c->ssl != NULL ? END_TLS : END_ERROR);
			return false;
		}
		of_head = (size_t)n < head ? (size_t)n : head;
		c->head_at = (uint16_t)(c->head_at + of_head);
		c->at += (size_t)n - of_head;
		c->left -= (size_t)n - of_head;
		c->moved += (size_t)n;
		COUNT_N(t, bytes, (size_t)n - of_head);
	}
	if (c->file != NULL && c->whole) {
		COUNT(t, done);
		cp_conn_http_sent(c);
	}
	cp_file_put(c->file);
	c->file = NULL;
	forget_head(c);
	c->served = true;
	if (!c->req.keep_alive) {
		if (c->ssl != NULL) {
			SSL_shutdown(c->ssl);
			ERR_clear_error();
		}
		shutdown(c->fd, SHUT_WR);
		enter(c, CONN_DRAIN);
		want(c, true, false);
		return true;
	}
	enter(c, CONN_READ);
	want(c, true, false);
	return true;
}

static bool begin_answer(struct conn *c, size_t head_len)
{
	c->head = c->t->head;
	c->head_len = (uint16_t)head_len;
	c->head_at = 0;
	c->moved = 0;
	return write_on(c);
}

static bool refuse(struct conn *c, int status, const char *why)
{
	struct thread *t = c->t;

	count_status(t, status);
	if (status == 400 || status == 413 || status == 414 || status == 431 || status == 501 || status == 505) {
		char a[64];

		cfg_log_limited(CFG_LOG_NOTICE, "http-refused", "from=%s port=%u status=%d",
				cfg_addr_print(&c->from, a, sizeof(a)), t->http->port[c->l->which], status);
	}
	c->left = 0;
	c->whole = false;
	return begin_answer(c, cp_http_refusal(status, why, c->req.keep_alive, c->req.head, date(t), t->head));
}

static bool refuse_token(struct conn *c, const char *why)
{
	char a[64];

	COUNT(c->t, token_refused);
	cfg_log_limited(CFG_LOG_NOTICE, "http-token-refused", "from=%s name=%s reason=\"%s\"",
			cfg_addr_print(&c->from, a, sizeof(a)), cfg_q(c->ask.name), why != NULL ? why : "none given");
	return refuse(c, 401, why);
}

static bool have_file(struct conn *c, int rc, struct cp_file *file)
{
	struct thread *t = c->t;
	int status;

	switch (rc) {
	case 0:
		break;
	case -ENOENT:
	case -EACCES:
		return refuse(c, 404, NULL);
	case -EPERM:
		return refuse_token(c, NULL);
	default:
		COUNT(t, errors);
		cfg_log_limited(CFG_LOG_WARN, "http-file-failed", "name=%s rc=%d", cfg_q(c->ask.name), rc);
		return refuse(c, 503, NULL);
	}
	status = cp_http_select(&c->req, file, &c->at, &c->left);
	count_status(t, status);
	c->file = file;
	c->whole = status == 200 && !c->req.head;
	rc = (int)cp_http_answer(&c->req, file, status, c->at, c->left, date(t), t->head);
	if (c->req.head)
		c->left = 0;
	return begin_answer(c, (size_t)rc);
}

void cp_conn_http_file(void *ctx, void *owner, int rc, struct cp_file *file)
{
	struct conn *c = owner;

	(void)ctx;
	c->wait = NULL;
	if (have_file(c, rc == -EINPROGRESS ? -EIO : rc, file))
		run(c);
}

/* --- requests --- */

bool cp_http_device(const char *name, char ret_device[16])
{
	const char *slash = strrchr(name, '/');
	const char *base = name + (slash != NULL ? slash + 1 - name : 0);

	if (strncmp(base, "CTL", 3) == 0 || strncmp(base, "ITL", 3) == 0)
		base += 3;
	if (strncmp(base, "SEP", 3) != 0 || strspn(base + 3, "0123456789ABCDEF") < 12)
		return false;
	memcpy(ret_device, base, 15);
	ret_device[15] = '\0';
	return true;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), e = strlen(end);

	return n > e && strcmp(s + n - e, end) == 0;
}

/* A whole header of 'len' bytes at 'buf'. True: answered, more may be read. False: it waits, or the connection is gone. */
static bool request(struct conn *c, const char *buf, size_t len)
{
	struct thread *t = c->t;
	const struct cp_http_opts *o = &t->http->o;
	static const enum cp_file_via via[] = {CP_VIA_HTTP, CP_VIA_HTTPS, CP_VIA_TOKEN};
	struct cp_file *file = NULL;
	char device[16];
	const char *why = NULL;
	int rc = cp_http_parse(buf, len, &c->req);

	COUNT(t, requests);
	if (rc != 0)
		return refuse(c, rc, NULL);
	if (c->req.name[0] == '\0') {
		COUNT(t, bad_names);
		return refuse(c, 404, NULL);
	}
	c->ask.via = via[c->l->which];
	c->ask.from = c->from;
	c->ask.device[0] = '\0';
	memcpy(c->ask.name, c->req.name, sizeof(c->ask.name));
	if (c->l->which == CP_HTTP_TOKEN) {
		/* wire-formats.md section 8.2 */
		if (ends_with(c->ask.name, ".sgn") && !ends_with(c->ask.name, ".enc.sgn"))
			c->ask.name[strlen(c->ask.name) - 4] = '\0';
		if (cp_http_device(c->ask.name, device) && o->source.needs_token(o->source.ctx, device)) {
			if (c->req.bearer.ptr == NULL)
				return refuse_token(c, NULL);
			if (o->token_check == NULL)
				return refuse_token(c, "no issuer is configured");
			if (o->token_check(o->token_ctx, c->req.bearer.ptr, c->req.bearer.len, device, &why) < 0)
				return refuse_token(c, why != NULL ? why : "not valid");
			memcpy(c->ask.device, device, sizeof(c->ask.device));
		}
	}
	/* Conditions point into the request, which is gone when a file comes late: then they are as if not given. */
	rc = cp_inbox_ask(t->inbox, &o->source, &c->ask, c, &file, &c->wait);
	if (rc == -EINPROGRESS) {
		c->req.range = c->req.if_range = c->req.if_match = c->req.if_none_match = c->req.if_modified_since =
			c->req.if_unmodified_since = c->req.bearer = (struct cp_http_text){NULL, 0};
		enter(c, CONN_FILE);
		want(c, false, false);
		return false;
	}
	return have_file(c, rc, file);
}

static int keep(struct conn *c, const char *data, size_t len)
{
	char *copy = NULL;

	if (len > 0) {
		copy = malloc(len);
		if (copy == NULL)
			return -ENOMEM;
		memcpy(copy, data, len);
	}
	free(c->buf); /* 'data' may be of it no more: it was read into scratch */
	c->buf = copy;
	c->buf_len = (uint32_t)len;
	return 0;
}

/* The requests among the 'len' bytes of 'data', in scratch; what is left is kept. 1: all used up, read more; 0: not now. */
static int requests(struct conn *c, char *data, size_t len)
{
	char one[CP_HTTP_HEAD_MAX];

	while (len > 0) {
		size_t scan = 0, head;

		while (len > 0 && (*data == '\r' || *data == '\n')) { /* RFC 9112 section 2.2 */
			data++;
			len--;
		}
		head = cp_http_head_len(data, len < CP_HTTP_HEAD_MAX ? len : CP_HTTP_HEAD_MAX, &scan);
		if (head == 0 && len >= CP_HTTP_HEAD_MAX) {
			const char *nl = memchr(data, '\n', CP_HTTP_HEAD_MAX);

			memset(&c->req, 0, sizeof(c->req));
			COUNT(c->t, requests);
			keep(c, NULL, 0);
			return refuse(c, nl == NULL ? 414 : 431, NULL) ? 1 : 0;
		}
		if (head == 0)
			break;
		memcpy(one, data, head); /* scratch is used by TLS to write from */
		data += head;
		len -= head;
		/* Before the answer, which may end the connection or find a reason to wait. */
		if (keep(c, data, len) < 0) {
			cp_conn_http_end(c, END_ERROR);
			return 0;
		}
		if (!request(c, one, head))
			return 0;
		if (c->state == CONN_DRAIN)
			return 1;
		if (c->ssl != NULL && len > 0) {
			memcpy(c->t->scratch, c->buf, len);
			data = c->t->scratch;
		}
	}
	if (len != c->buf_len && keep(c, data, len) < 0) {
		cp_conn_http_end(c, END_ERROR);
		return 0;
	}
	return 1;
}

static bool handshake(struct conn *c)
{
	int rc;

	ERR_clear_error();
	rc = SSL_accept(c->ssl);
	if (rc == 1) {
		COUNT(c->t, handshakes);
		c->state = CONN_READ; /* its header has what is left of the time */
		want(c, true, false);
		return true;
	}
	rc = SSL_get_error(c->ssl, rc);
	if (rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE)
		want(c, rc == SSL_ERROR_WANT_READ, rc == SSL_ERROR_WANT_WRITE);
	else
		cp_conn_http_end(c, END_TLS);
	return false;
}

/* Line ends in front of a request begin none: who sends nothing else has the time of one who sends nothing. */
static bool begins(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] != '\r' && s[i] != '\n')
			return true;
	return false;
}

/* Do what can be done now. */
static void run(struct conn *c)
{
	struct thread *t = c->t;

	if (c->told != NULL)
		cp_conn_http_tell(c, false);
	if (c->state == CONN_HANDSHAKE && !handshake(c))
		return;
	if (c->state == CONN_WRITE && !write_on(c))
		return;
	for (unsigned rounds = 0; c->state == CONN_READ || c->state == CONN_DRAIN; rounds++) {
		size_t have = c->state == CONN_READ ? c->buf_len : 0, room = SCRATCH - have;
		ssize_t n;

		if (have > 0)
			memcpy(t->scratch, c->buf, have);
		if (have > 0 && rounds == 0 && c->served) {
			size_t scan = 0;

			/* pipelined behind an answer that waited: no event tells of it */
			if (cp_http_head_len(t->scratch, have, &scan) > 0) {
				if (requests(c, t->scratch, have) == 0)
					return;
				continue;
			}
		}
		if (rounds >= 16 && (c->ssl == NULL || SSL_has_pending(c->ssl) == 0))
			return; /* the others' turn; the event comes again */
		n = take(c, t->scratch + have, room);
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			cp_conn_http_end(c, n == 0 ? END_CLOSED : c->ssl != NULL ? END_TLS : END_ERROR);
			return;
		}
		if (c->state == CONN_DRAIN)
			continue;
		if (have == 0 && begins(t->scratch, (size_t)n))
			c->since_ms = t->now_ms; /* a request begins */
		if (requests(c, t->scratch, have + (size_t)n) == 0)
			return;
		if (c->ssl == NULL ? (size_t)n < room : SSL_has_pending(c->ssl) == 0)
			return; /* all that was there; an event tells of more */
	}
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	cp_http_now(c->t);
	run(c);
}

int cp_conn_http_start(struct listener *l, int fd, const struct cfg_addr *from)
{
	struct thread *t = l->t;
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	c->t = t;
	c->l = l;
	c->fd = fd;
	c->from = *from;
	if (l->tls != NULL) {
		c->ssl = cp_tls_accept(l->tls, NULL);
		if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1) {
			SSL_free(c->ssl);
			free(c);
			return -ENOMEM;
		}
	}
	event_assign(&c->rd, t->base, fd, EV_READ | EV_PERSIST, on_event, c);
	event_assign(&c->wr, t->base, fd, EV_WRITE | EV_PERSIST, on_event, c);
	TAILQ_INSERT_TAIL(&t->conns, c, link);
	COUNT(t, accepted);
	COUNT_N(t, active, 1);
	enter(c, c->ssl != NULL ? CONN_HANDSHAKE : CONN_READ);
	want(c, true, false);
	return 0;
}

/*
 * Slower than min_rate? Time uses up credit, bytes at that rate bring it back. What waits in the socket's buffer has not been
 * taken by the client. Credit is bounded: nobody earns hours of silence by reading a large file's beginning.
 */
static bool too_slow(struct conn *c)
{
	const struct cp_http *h = c->t->http;
	uint64_t now_ms = c->t->now_ms;
	int64_t taken;
	int waits = 0;

	if (ioctl(c->fd, SIOCOUTQ, &waits) < 0)
		waits = 0;
	taken = (int64_t)c->moved - waits;
	if (c->looked_ms == 0)
		c->credit_ms = h->rate_ms;
	else
		c->credit_ms += (taken - c->taken) * 1000 / h->min_rate - (int64_t)(now_ms - c->looked_ms);
	if (c->credit_ms > (int64_t)h->rate_ms * RATE_MAX)
		c->credit_ms = (int64_t)h->rate_ms * RATE_MAX;
	c->looked_ms = now_ms;
	c->taken = taken;
	return c->credit_ms < 0;
}

void cp_conn_http_tick(struct conn *c)
{
	struct thread *t = c->t;
	uint64_t for_ms = t->now_ms - c->since_ms;

	if (c->told != NULL)
		cp_conn_http_tell(c, false);
	switch (c->state) {
	case CONN_HANDSHAKE:
		if (for_ms > t->http->header_ms)
			cp_conn_http_end(c, END_HEADER_TIME);
		break;
	case CONN_READ:
		if (c->served && c->buf_len == 0) {
			if (for_ms > t->http->idle_ms)
				cp_conn_http_end(c, END_IDLE);
		} else if (for_ms > t->http->header_ms) {
			cp_conn_http_end(c, END_HEADER_TIME);
		}
		break;
	case CONN_FILE:
		if (for_ms > FILE_MS) {
			cp_inbox_cancel(c->wait);
			c->wait = NULL;
			if (have_file(c, -EIO, NULL))
				run(c);
		}
		break;
	case CONN_WRITE:
		if (t->http->min_rate > 0 && too_slow(c))
			cp_conn_http_end(c, END_SLOW);
		break;
	default:
		if (for_ms > DRAIN_MS)
			cp_conn_http_end(c, END_CLOSED);
		break;
	}
}
