/* SPDX-License-Identifier: BSD-3-Clause */
#include "signerc/link.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"

#define CONNS   8      /* calls at once; the signer takes 16 clients */
#define SLOW_MS 120000 /* for what makes a key or stretches a passphrase */

struct cp_signer_conn {
	int fd; /* -1: not connected */
	bool busy;
	uint32_t seq;
	size_t used;                     /* bytes of buf to be wiped */
	uint8_t buf[PKI_SIGNER_MSG_MAX]; /* request, then reply; wiped after each call */
};

struct cp_signer {
	pthread_mutex_t lock; /* guards 'busy' and which connections there are */
	pthread_cond_t freed;
	struct sockaddr_un addr;
	unsigned timeout_ms;
	struct cp_signer_conn *conn[CONNS]; /* NULL: not needed yet */
};

static _Thread_local char last_error[160];

const char *cp_signer_error(const struct cp_signer *s)
{
	(void)s;
	return last_error;
}

int cp_signer_fail(int rc, const char *what)
{
	snprintf(last_error, sizeof(last_error), "%s: %s", what, strerror(-rc));
	return rc;
}

static void disconnect(struct cp_signer_conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

/* Wait until 'events' or the deadline. */
static int await(int fd, short events, int64_t deadline_ms)
{
	struct pollfd pfd = {.fd = fd, .events = events};

	for (;;) {
		int64_t left = deadline_ms - (int64_t)cp_mono_ms();
		int n = poll(&pfd, 1, left > 0 ? (int)left : 0);

		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int transact(struct cp_signer_conn *c, struct pki_signer_msg *m, int pass_fd, int64_t deadline_ms);

/* Connect, check whose socket it is, greet. */
static int reconnect(struct cp_signer *s, struct cp_signer_conn *c, int64_t deadline_ms)
{
	struct pki_signer_msg hello = {.type = PKI_SIGNER_HELLO};
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int rc = 0;

	disconnect(c);
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return cp_signer_fail(-errno, "signer socket");
	if (connect(c->fd, (const struct sockaddr *)&s->addr, sizeof(s->addr)) < 0)
		rc = cp_signer_fail(-errno, s->addr.sun_path); /* EAGAIN: its queue is full */
	else if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		rc = cp_signer_fail(-errno, s->addr.sun_path);
	else if (cred.uid != geteuid() && cred.uid != 0)
		rc = cp_signer_fail(-EACCES, "the signer's socket is another user's");
	if (rc == 0)
		rc = transact(c, &hello, -1, deadline_ms);
	if (rc < 0)
		disconnect(c);
	return rc;
}

static int send_request(struct cp_signer_conn *c, size_t len, int pass_fd)
{
	struct iovec iov = {c->buf, len};
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cmsg;
	ssize_t n;

	if (pass_fd >= 0) {
		msg.msg_control = &ctl;
		msg.msg_controllen = sizeof(ctl);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &pass_fd, sizeof(int));
	}
	n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	return n == (ssize_t)len ? 0 : n < 0 ? -errno : -EIO;
}

/* Send one request and take its reply; 'm' becomes the reply, its blobs lie in c->buf. */
static int transact(struct cp_signer_conn *c, struct pki_signer_msg *m, int pass_fd, int64_t deadline_ms)
{
	struct iovec iov = {c->buf, sizeof(c->buf)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	uint16_t type = m->type;
	ssize_t n;
	int rc, len;

	m->seq = ++c->seq;
	len = pki_signer_build(m, c->buf, sizeof(c->buf));
	if (len < 0)
		return cp_signer_fail(len, "request");
	rc = await(c->fd, POLLOUT, deadline_ms);
	if (rc == 0)
		rc = send_request(c, (size_t)len, pass_fd);
	OPENSSL_cleanse(c->buf, (size_t)len);
	if (rc == 0)
		rc = await(c->fd, POLLIN, deadline_ms);
	if (rc < 0) {
		disconnect(c); /* an answer that comes later must not meet another question */
		return cp_signer_fail(rc, "signer");
	}
	n = recvmsg(c->fd, &msg, MSG_DONTWAIT);
	if (n <= 0) {
		rc = n < 0 ? -errno : -ECONNRESET;
		disconnect(c);
		return cp_signer_fail(rc, "signer");
	}
	c->used = (size_t)n;
	rc = (msg.msg_flags & MSG_TRUNC) != 0 ? -EPROTO : pki_signer_parse(c->buf, (size_t)n, m);
	if (rc < 0 || !m->reply || m->seq != c->seq || (m->rc == 0 && m->type != type)) {
		disconnect(c);
		return cp_signer_fail(-EPROTO, "the signer's answer makes no sense");
	}
	if (m->rc < 0) {
		snprintf(last_error, sizeof(last_error), "the signer refused: %s", m->name);
		return m->rc;
	}
	return 0;
}

/* A connection that nobody uses, best one that is connected. NULL: no memory. */
static struct cp_signer_conn *take(struct cp_signer *s)
{
	struct cp_signer_conn *c = NULL;

	pthread_mutex_lock(&s->lock);
	while (c == NULL) {
		for (int i = 0; i < CONNS && c == NULL; i++) {
			if (s->conn[i] == NULL) {
				s->conn[i] = calloc(1, sizeof(*s->conn[i]));
				if (s->conn[i] == NULL)
					break;
				s->conn[i]->fd = -1;
			}
			if (!s->conn[i]->busy)
				c = s->conn[i];
		}
		if (c == NULL && s->conn[0] == NULL)
			break;
		if (c == NULL)
			pthread_cond_wait(&s->freed, &s->lock);
	}
	if (c != NULL)
		c->busy = true;
	pthread_mutex_unlock(&s->lock);
	return c;
}

int cp_signer_done(struct cp_signer *s, struct cp_signer_conn *c, int rc)
{
	ERR_clear_error();
	if (c == NULL)
		return rc;
	OPENSSL_cleanse(c->buf, c->used);
	c->used = 0;
	pthread_mutex_lock(&s->lock);
	c->busy = false;
	pthread_cond_signal(&s->freed);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/*
 * Take a connection and make the request. Whatever comes back, cp_signer_done() must follow. A connection that is
 * found closed before the request is sent is made again; after that nothing is repeated.
 */
int cp_signer_ask_fd(struct cp_signer *s, struct pki_signer_msg *m, int pass_fd, unsigned timeout_ms, struct cp_signer_conn **ret_conn)
{
	struct cp_signer_conn *c = take(s);
	int64_t deadline_ms;
	struct pollfd pfd;
	int rc = 0;

	last_error[0] = '\0';
	*ret_conn = c;
	if (c == NULL)
		return cp_signer_fail(-ENOMEM, "signer");
	deadline_ms = (int64_t)cp_mono_ms() + timeout_ms;
	pfd = (struct pollfd){.fd = c->fd, .events = POLLIN};
	/* Nothing is due: readable means that the signer went away. */
	if (c->fd < 0 || poll(&pfd, 1, 0) != 0)
		rc = reconnect(s, c, deadline_ms);
	return rc == 0 ? transact(c, m, pass_fd, deadline_ms) : rc;
}

int cp_signer_ask(struct cp_signer *s, struct pki_signer_msg *m, struct cp_signer_conn **ret_conn)
{
	return cp_signer_ask_fd(s, m, -1, s->timeout_ms, ret_conn);
}

int cp_signer_ask_slow(struct cp_signer *s, struct pki_signer_msg *m, struct cp_signer_conn **ret_conn)
{
	return cp_signer_ask_fd(s, m, -1, s->timeout_ms > SLOW_MS ? s->timeout_ms : SLOW_MS, ret_conn);
}

int cp_signer_open(const char *run_dir, unsigned timeout_ms, struct cp_signer **ret_signer)
{
	struct cp_signer *s = calloc(1, sizeof(*s));
	struct cp_signer_conn *c;
	int rc;

	if (s == NULL)
		return cp_signer_fail(-ENOMEM, "signer");
	s->timeout_ms = timeout_ms;
	s->addr.sun_family = AF_UNIX;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->freed, NULL);
	if (snprintf(s->addr.sun_path, sizeof(s->addr.sun_path), "%s/signer.sock", run_dir) >=
	    (int)sizeof(s->addr.sun_path)) {
		rc = cp_signer_fail(-ENAMETOOLONG, run_dir);
	} else if ((c = take(s)) == NULL) {
		rc = cp_signer_fail(-ENOMEM, "signer");
	} else {
		rc = reconnect(s, c, (int64_t)cp_mono_ms() + timeout_ms);
		cp_signer_done(s, c, rc);
	}
	if (rc < 0) {
		cp_signer_close(s);
		return rc;
	}
	*ret_signer = s;
	return 0;
}

void cp_signer_close(struct cp_signer *s)
{
	if (s == NULL)
		return;
	for (int i = 0; i < CONNS && s->conn[i] != NULL; i++) {
		disconnect(s->conn[i]);
		OPENSSL_cleanse(s->conn[i]->buf, sizeof(s->conn[i]->buf));
		free(s->conn[i]);
	}
	pthread_cond_destroy(&s->freed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

unsigned cp_signer_timeout_ms(const struct cp_signer *s)
{
	return s->timeout_ms;
}
