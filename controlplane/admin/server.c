/* SPDX-License-Identifier: BSD-3-Clause */
/* The listening side: who may connect, how much may be sent, how long it may take. */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "internal.h"
#include "log.h"

#define READ_STEP (1u << 20) /* bytes taken from the socket at once */

struct cp_conn { /* refs: the server's list, and the request that waits for its answer */
	struct cp_conn *next, **at;
	struct cp_server *server; /* NULL: closed, only a request still refers to it */
	struct bufferevent *bev;
	struct event *timer;
	uid_t uid;
	char *in;       /* what was read: one run of bytes, so that a long line is not searched again and again */
	size_t head, len, cap; /* 'in' holds bytes head to len */
	size_t scanned; /* up to here it holds no newline; from head */
	bool busy;      /* a request waits for its answer */
	bool inside;    /* process() is on the stack */
	bool eof;       /* the peer sends no more: close once all is answered and written */
};

struct cp_server {
	struct cp_admin *admin;
	struct evconnlistener *listener;
	struct cp_conn *conns;
	unsigned cnt;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static struct timeval idle_time(const struct cp_server *s)
{
	return (struct timeval){s->admin->idle_ms / 1000, (suseconds_t)(s->admin->idle_ms % 1000 * 1000)};
}

static void conn_free(struct cp_conn *c)
{
	if (c->in != NULL)
		OPENSSL_cleanse(c->in, c->cap);
	free(c->in);
	free(c);
}

static void conn_close(struct cp_conn *c)
{
	struct cp_server *s = c->server;

	if (s == NULL)
		return;
	*c->at = c->next;
	if (c->next != NULL)
		c->next->at = c->at;
	s->cnt--;
	c->server = NULL;
	event_free(c->timer);
	bufferevent_free(c->bev);
	c->bev = NULL;
	if (!c->busy && !c->inside)
		conn_free(c);
}

/* Move what has arrived behind what is there. False: no memory. */
static bool fetch(struct cp_conn *c)
{
	struct evbuffer *from = bufferevent_get_input(c->bev);
	size_t n = evbuffer_get_length(from);

	if (n == 0)
		return true;
	if (c->len + n > c->cap) {
		size_t cap = 4096, have = c->len - c->head;
		char *grown;

		while (cap < have + n)
			cap *= 2;
		grown = malloc(cap);
		if (grown == NULL)
			return false;
		if (have > 0)
			memcpy(grown, c->in + c->head, have);
		if (c->in != NULL)
			OPENSSL_cleanse(c->in, c->len);
		free(c->in);
		c->in = grown;
		c->cap = cap;
		c->scanned -= c->head;
		c->head = 0;
		c->len = have;
	}
	evbuffer_remove(from, c->in + c->len, n);
	c->len += n;
	return true;
}

static void process(struct cp_conn *c);

static void on_answer(void *ctx, const char *line, size_t len, admin_free_fn free_line, void *free_ctx)
{
	struct cp_conn *c = ctx;

	c->busy = false;
	if (c->server == NULL) { /* the client went away */
		if (free_line != NULL)
			free_line(line, len, free_ctx);
		if (!c->inside)
			conn_free(c);
		return;
	}
	if (free_line == NULL)
		bufferevent_write(c->bev, line, len);
	else if (evbuffer_add_reference(bufferevent_get_output(c->bev), line, len, free_line, free_ctx) < 0)
		free_line(line, len, free_ctx);
	bufferevent_write(c->bev, "\n", 1);
	if (!c->inside)
		process(c);
}

static void refuse(struct cp_conn *c, const char *code, const char *message)
{
	evbuffer_add_printf(bufferevent_get_output(c->bev),
			    "{\"ok\":false,\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}\n", code, message);
	cfg_log_limited(CFG_LOG_WARN, "admin-refused", "uid=%u reason=%s", (unsigned)c->uid, cfg_q(message));
	c->head = c->len = c->scanned = 0;
	bufferevent_disable(c->bev, EV_READ);
	c->eof = true;
}

/* Take whole lines while none waits for an answer. May free 'c'. */
static void process(struct cp_conn *c)
{
	c->inside = true;
	if (!fetch(c))
		refuse(c, "failed", "no memory");
	while (c->server != NULL && !c->busy && c->len > c->head) {
		char *line = c->in + c->head, *eol = memchr(c->in + c->scanned, '\n', c->len - c->scanned);
		size_t len;

		if (eol == NULL) {
			c->scanned = c->len;
			if (c->len - c->head > CP_ADMIN_REQUEST_MAX)
				refuse(c, "too-large", "the request is too large");
			break;
		}
		len = (size_t)(eol - line);
		c->busy = true;
		admin_dispatch(c->server->admin, c->uid, line, len, on_answer, c);
		OPENSSL_cleanse(line, len);
		c->head += len + 1;
		if (c->head == c->len)
			c->head = c->len = 0;
		c->scanned = c->head;
	}
	if (c->len == 0 && c->cap > READ_STEP) { /* an import's buffer is not kept */
		free(c->in);
		c->in = NULL;
		c->cap = 0;
	}
	c->inside = false;
	if (c->server == NULL) {
		if (!c->busy)
			conn_free(c);
		return;
	}
	if (c->busy) {
		bufferevent_disable(c->bev, EV_READ);
		evtimer_del(c->timer);
		return;
	}
	if (c->eof) {
		if (evbuffer_get_length(bufferevent_get_output(c->bev)) == 0)
			conn_close(c);
		return; /* else on_written() closes */
	}
	bufferevent_enable(c->bev, EV_READ);
	if (c->len == c->head) {
		evtimer_del(c->timer);
	} else if (!evtimer_pending(c->timer, NULL)) {
		struct timeval tv = idle_time(c->server);

		evtimer_add(c->timer, &tv);
	}
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	(void)bev;
	process(ctx);
}

static void on_written(struct bufferevent *bev, void *ctx)
{
	struct cp_conn *c = ctx;

	if (c->eof && !c->busy && evbuffer_get_length(bufferevent_get_output(bev)) == 0)
		conn_close(c);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct cp_conn *c = ctx;

	if ((what & BEV_EVENT_EOF) != 0 && (what & BEV_EVENT_ERROR) == 0) {
		c->eof = true;
		bufferevent_disable(bev, EV_READ);
		if (!c->busy && evbuffer_get_length(bufferevent_get_output(bev)) == 0)
			conn_close(c);
		return;
	}
	if ((what & BEV_EVENT_TIMEOUT) != 0)
		cfg_log_limited(CFG_LOG_WARN, "admin-slow-reader", "uid=%u", (unsigned)c->uid);
	if ((what & (BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT)) != 0)
		conn_close(c);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct cp_conn *c = ctx;

	(void)fd;
	(void)what;
	cfg_log_limited(CFG_LOG_WARN, "admin-slow-request", "uid=%u", (unsigned)c->uid);
	conn_close(c);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int sa_len, void *ctx)
{
	struct cp_server *s = ctx;
	struct timeval tv = idle_time(s);
	struct cp_conn *c;
	struct ucred cred;
	socklen_t len = sizeof(cred);

	(void)l;
	(void)sa;
	(void)sa_len;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ||
	    (cred.uid != 0 && cred.uid != geteuid())) {
		cfg_log_limited(CFG_LOG_WARN, "admin-denied", "uid=%u pid=%d", (unsigned)cred.uid, (int)cred.pid);
		close(fd);
		return;
	}
	c = s->cnt >= CP_ADMIN_CONN_MAX ? NULL : calloc(1, sizeof(*c));
	if (c == NULL) {
		cfg_log_limited(CFG_LOG_WARN, "admin-too-many", "connections=%u", s->cnt);
		close(fd);
		return;
	}
	c->bev = bufferevent_socket_new(s->admin->base, fd, BEV_OPT_CLOSE_ON_FREE);
	c->timer = evtimer_new(s->admin->base, on_timer, c);
	if (c->bev == NULL || c->timer == NULL) {
		if (c->bev != NULL)
			bufferevent_free(c->bev);
		else
			close(fd);
		if (c->timer != NULL)
			event_free(c->timer);
		free(c);
		return;
	}
	c->uid = cred.uid;
	c->server = s;
	c->next = s->conns;
	c->at = &s->conns;
	if (c->next != NULL)
		c->next->at = &c->next;
	s->conns = c;
	s->cnt++;
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	bufferevent_set_max_single_read(c->bev, READ_STEP);
	bufferevent_setwatermark(c->bev, EV_READ, 0, READ_STEP);
	bufferevent_set_timeouts(c->bev, NULL, &tv); /* an answer that nobody reads */
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

/* Make the directory, or check that nobody else can put a socket there. */
static int check_dir(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (stat(dir, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022) != 0) {
		cfg_log(CFG_LOG_ERR, "admin-directory", "path=%s reason=\"others may write there\"", cfg_q(dir));
		return -EACCES;
	}
	return 0;
}

static int listen_at(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rc = 0;

	if (fd < 0)
		return -errno;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 || errno == EAGAIN) {
		close(fd);
		return -EADDRINUSE;
	}
	if (errno == ECONNREFUSED && unlink(path) < 0 && errno != ENOENT)
		rc = -errno;
	close(fd);
	fd = rc < 0 ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* the mode is set before there is a name: at no time may others connect */
	if (rc == 0 && (fd < 0 || fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
			listen(fd, 16) < 0))
		rc = -errno;
	if (rc < 0) {
		if (fd >= 0)
			close(fd);
		return rc;
	}
	return fd;
}

int cp_server_create(struct cp_admin *admin, const char *run_dir, struct cp_server **ret)
{
	struct cp_server *s = calloc(1, sizeof(*s));
	int rc, fd = -1;

	if (s == NULL)
		return -ENOMEM;
	s->admin = admin;
	signal(SIGPIPE, SIG_IGN); /* a client that goes away is not the end of the process */
	rc = check_dir(run_dir);
	if (rc == 0 && snprintf(s->path, sizeof(s->path), "%s/admin.sock", run_dir) >= (int)sizeof(s->path))
		rc = -ENAMETOOLONG;
	if (rc == 0) {
		fd = listen_at(s->path);
		rc = fd < 0 ? fd : 0;
	}
	if (rc == 0) {
		s->listener = evconnlistener_new(admin->base, on_accept, s, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
						 0, fd);
		if (s->listener == NULL) {
			close(fd);
			rc = -ENOMEM;
		}
	}
	if (rc < 0) {
		free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void cp_server_destroy(struct cp_server *s)
{
	if (s == NULL)
		return;
	while (s->conns != NULL)
		conn_close(s->conns);
	evconnlistener_free(s->listener);
	unlink(s->path);
	free(s);
}
