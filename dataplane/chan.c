/* SPDX-License-Identifier: BSD-3-Clause */
#include "chan.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

#define DATAGRAMS_PER_POLL 32

struct dp_chan {
	struct dp_chan_lim lim;
	struct dp_chan_ops ops;
	int page_fd;
	int listen_fd;
	int fd;             /* the controlplane; -1: none */
	bool greeted;
	bool send_page;     /* the pending reply carries the page's descriptor */
	uint32_t out_len;   /* replies that could not be sent yet */
	struct sockaddr_un path;
	uint8_t in[DP_MSG_DATAGRAM_MAX + 1];
	uint8_t out[DP_MSG_DATAGRAM_MAX];
};

/* --- one datagram --- */

/* The longest reply to the shortest command: what a datagram can make us say must fit in one. */
static_assert(sizeof(struct dp_reply) <= sizeof(struct dp_obj), "a reply is no longer than a command");

static uint32_t reply(uint8_t *out, uint32_t seq, int rc, uint32_t detail)
{
	const struct dp_reply r = {.hdr = {.type = DP_MSG_REPLY, .len = sizeof(r), .seq = seq}, .rc = rc,
				   .detail = detail};

	memcpy(out, &r, sizeof(r));
	return sizeof(r);
}

/* Refused as malformed: counted, and logged at a limited rate. */
static void bad(struct dp_chan *c, uint16_t type, uint16_t len, uint32_t detail)
{
	c->ops.bad(c->ops.ctx);
	cfg_log_limited(CFG_LOG_WARN, "channel-bad-message", "type=%u len=%u field_at=%u", type, len, detail);
}

union chan_msg {
	struct dp_msg_hdr hdr;
	struct dp_hello hello;
	uint64_t align;
	uint8_t bytes[DP_MSG_MAX];
};

/* One message of its type's length. Bytes of the answer. */
static uint32_t execute(struct dp_chan *c, const union chan_msg *m, uint8_t *out)
{
	struct dp_hello_reply r = {.hdr = {.type = DP_MSG_HELLO_REPLY, .len = sizeof(r), .seq = m->hdr.seq}};
	uint32_t detail = 0;
	int rc = dp_chan_check(&c->lim, m, m->hdr.len, &detail);

	if (rc < 0)
		bad(c, m->hdr.type, m->hdr.len, detail);
	else if (m->hdr.type != DP_MSG_HELLO && !c->greeted)
		rc = -EPROTO;
	else if (m->hdr.type != DP_MSG_HELLO)
		rc = c->ops.cmd(c->ops.ctx, &m->hdr, &detail);
	r.version = DP_MSG_VERSION;
	if (m->hdr.type == DP_MSG_HELLO && rc < 0 && m->hello.version != DP_MSG_VERSION)
		r.rc = rc; /* the other side is told which version we have: it logs why nothing comes up */
	else if (m->hdr.type != DP_MSG_HELLO || rc < 0)
		return reply(out, m->hdr.seq, rc, detail);
	else
		r.rc = c->ops.hello(c->ops.ctx, m->hello.epoch, &r);
	if (r.rc == 0) {
		c->greeted = true;
		c->send_page = true;
	}
	memcpy(out, &r, sizeof(r));
	return sizeof(r);
}

uint32_t dp_chan_datagram(struct dp_chan *c, const uint8_t *data, uint32_t len, uint8_t *out)
{
	uint32_t at = 0, n = 0;

	while (at < len) {
		union chan_msg m;
		uint16_t size;

		memset(&m.hdr, 0, sizeof(m.hdr));
		if (len - at < sizeof(m.hdr)) {
			bad(c, 0, (uint16_t)(len - at), 0);
			break;
		}
		memcpy(&m.hdr, data + at, sizeof(m.hdr));
		size = dp_chan_size(m.hdr.type);
		if (size == 0 || m.hdr.len != size || size > len - at) {
			/* Where the next message begins nobody knows. */
			bad(c, m.hdr.type, m.hdr.len, 0);
			if (m.hdr.seq != 0 && n + sizeof(struct dp_reply) <= DP_MSG_DATAGRAM_MAX)
				n += reply(out + n, m.hdr.seq, -EBADMSG, size == 0 ? 0 : 2);
			break;
		}
		memcpy(&m, data + at, size);
		if (n + sizeof(struct dp_hello_reply) > DP_MSG_DATAGRAM_MAX) {
			/* Only a datagram full of greetings gets here. */
			bad(c, m.hdr.type, m.hdr.len, 0);
			explicit_bzero(&m, size);
			break;
		}
		n += execute(c, &m, out + n);
		explicit_bzero(&m, size);
		at += size;
	}
	return n;
}

/* --- the socket --- */

static void hang_up(struct dp_chan *c, const char *why)
{
	if (c->fd < 0)
		return;
	cfg_log(CFG_LOG_NOTICE, "controlplane-gone", "reason=%s", cfg_q(why));
	close(c->fd);
	c->fd = -1;
	c->greeted = false;
	c->send_page = false;
	explicit_bzero(c->out, c->out_len);
	c->out_len = 0;
}

/* True: nothing left to send. */
static bool flush_out(struct dp_chan *c)
{
	union {
		struct cmsghdr align;
		uint8_t buf[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct iovec iov = {c->out, c->out_len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (c->out_len == 0)
		return true;
	if (c->send_page) {
		struct cmsghdr *h;

		memset(&ctl, 0, sizeof(ctl));
		mh.msg_control = ctl.buf;
		mh.msg_controllen = sizeof(ctl.buf);
		h = CMSG_FIRSTHDR(&mh);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &c->page_fd, sizeof(int));
	}
	if (sendmsg(c->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
			hang_up(c, strerror(errno));
		return false;
	}
	c->out_len = 0;
	c->send_page = false;
	return true;
}

static void serve(struct dp_chan *c)
{
	for (int i = 0; i < DATAGRAMS_PER_POLL && c->fd >= 0 && flush_out(c); i++) {
		ssize_t n = recv(c->fd, c->in, sizeof(c->in), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			hang_up(c, n == 0 ? "closed" : strerror(errno));
			return;
		}
		if (n > DP_MSG_DATAGRAM_MAX)
			bad(c, 0, UINT16_MAX, 0);
		else
			c->out_len = dp_chan_datagram(c, c->in, (uint32_t)n, c->out);
		explicit_bzero(c->in, (size_t)n);
	}
	if (c->fd >= 0)
		(void)flush_out(c);
}

static void take(struct dp_chan *c)
{
	int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (c->fd >= 0) {
		/* A dead controlplane's socket reads as closed: only a second living one is refused. */
		cfg_log_limited(CFG_LOG_WARN, "controlplane-second", "refused=1");
		close(fd);
		return;
	}
	c->fd = fd;
	cfg_log(CFG_LOG_INFO, "controlplane-connected", "fd=%d", fd);
}

int dp_chan_poll(struct dp_chan *c, int timeout_ms)
{
	struct pollfd p[2] = {{.fd = c->listen_fd, .events = POLLIN}, {.fd = c->fd, .events = POLLIN}};

	if (c->out_len > 0)
		p[1].events = POLLOUT;
	if (poll(p, 2, timeout_ms) < 0)
		return errno == EINTR ? 0 : -errno;
	if (p[1].revents != 0)
		serve(c);
	if (p[0].revents != 0)
		take(c);
	return 0;
}

int dp_chan_event(struct dp_chan *c, const struct dp_msg_hdr *msg)
{
	if (c->fd < 0 || !c->greeted)
		return -ENOTCONN;
	if (c->out_len > 0 && !flush_out(c)) /* replies first: they are older */
		return c->fd < 0 ? -ENOTCONN : -EAGAIN;
	if (send(c->fd, msg, msg->len, MSG_DONTWAIT | MSG_NOSIGNAL) == msg->len)
		return 0;
	if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)
		return -EAGAIN;
	hang_up(c, strerror(errno));
	return -ENOTCONN;
}

static struct dp_chan *make(const struct dp_chan_lim *lim, const struct dp_chan_ops *ops, int page_fd)
{
	struct dp_chan *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->lim = *lim;
	c->ops = *ops;
	c->page_fd = page_fd;
	c->listen_fd = -1;
	c->fd = -1;
	return c;
}

struct dp_chan *dp_chan_create_test(const struct dp_chan_lim *lim, const struct dp_chan_ops *ops, int greeted)
{
	struct dp_chan *c = make(lim, ops, -1);

	if (c != NULL)
		c->greeted = greeted != 0;
	return c;
}

/* A socket file that nobody answers on is left over from a process that was killed. */
static int clear_stale(const struct sockaddr_un *path)
{
	struct stat st;
	int fd, rc;

	if (lstat(path->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	rc = connect(fd, (const struct sockaddr *)path, sizeof(*path)) == 0 || errno == EAGAIN ? -EADDRINUSE : 0;
	close(fd);
	if (rc == 0 && unlink(path->sun_path) < 0)
		rc = -errno;
	return rc;
}

int dp_chan_create(const char *path, const struct dp_chan_lim *lim, const struct dp_chan_ops *ops, int page_fd,
		   struct dp_chan **ret_chan)
{
	struct dp_chan *c;
	mode_t old;
	int rc;

	if (strlen(path) >= sizeof(c->path.sun_path))
		return -ENAMETOOLONG;
	c = make(lim, ops, page_fd);
	if (c == NULL)
		return -ENOMEM;
	c->path.sun_family = AF_UNIX;
	memcpy(c->path.sun_path, path, strlen(path) + 1);
	rc = clear_stale(&c->path);
	if (rc < 0)
		goto fail;
	c->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->listen_fd < 0) {
		rc = -errno;
		goto fail;
	}
	old = umask(0177);
	rc = bind(c->listen_fd, (struct sockaddr *)&c->path, sizeof(c->path)) < 0 ? -errno : 0;
	umask(old);
	if (rc == 0 && listen(c->listen_fd, 4) < 0)
		rc = -errno;
	if (rc < 0)
		goto fail;
	*ret_chan = c;
	return 0;
fail:
	if (c->listen_fd >= 0)
		close(c->listen_fd);
	free(c);
	return rc;
}

void dp_chan_destroy(struct dp_chan *c)
{
	if (c == NULL)
		return;
	if (c->fd >= 0)
		close(c->fd);
	if (c->listen_fd >= 0) {
		close(c->listen_fd);
		unlink(c->path.sun_path);
	}
	explicit_bzero(c, sizeof(*c));
	free(c);
}
