/* SPDX-License-Identifier: BSD-3-Clause */
#include "dpclient.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

#define RETRY_MS    200
#define PENDING_MAX 65536            /* commands without an answer yet; a power of two */
#define QUEUE_MAX   (16u << 20)      /* bytes that may wait for the socket */

struct chunk { /* one datagram that waits */
	struct chunk *next;
	size_t len;
	uint8_t data[DP_MSG_DATAGRAM_MAX];
};

struct pending {
	uint32_t seq; /* 0: free */
	cp_dp_reply_fn fn;
	void *ctx;
};

struct cp_dp {
	struct event_base *base;
	struct sockaddr_un addr;
	uint64_t epoch;
	unsigned media_addr_cnt;
	uint16_t base_port;
	const struct cp_dp_ops *ops;
	void *ctx;

	int fd;
	bool up;          /* HELLO answered */
	uint64_t boot_id; /* of the dataplane we spoke to last */
	struct event *ev_read, *ev_write, *ev_retry, *ev_flush;
	struct chunk *head, *tail;
	size_t queued;
	uint32_t seq;
	uint32_t pending_cnt;
	uint32_t tries; /* to connect, since the last success */
	struct pending *pending; /* indexed by seq */

	void *page;
	size_t page_size;
	struct dp_page pg_head; /* offsets and counts as they were when checked */
	uint8_t *rx;
};

static void retry_later(struct cp_dp *dp)
{
	struct timeval tv = {0, RETRY_MS * 1000};

	event_add(dp->ev_retry, &tv);
}

static void chunk_free(struct chunk *c)
{
	OPENSSL_cleanse(c->data, c->len);
	free(c);
}

static void hang_up(struct cp_dp *dp, const char *why)
{
	bool was_up = dp->up;

	if (dp->fd < 0)
		return;
	event_del(dp->ev_read);
	event_del(dp->ev_write);
	event_free(dp->ev_read);
	event_free(dp->ev_write);
	dp->ev_read = dp->ev_write = NULL;
	close(dp->fd);
	dp->fd = -1;
	dp->up = false;
	while (dp->head != NULL) {
		struct chunk *c = dp->head;

		dp->head = c->next;
		chunk_free(c);
	}
	dp->tail = NULL;
	dp->queued = 0;
	if (was_up) {
		cfg_log(CFG_LOG_WARN, "dataplane-lost", "reason=%s", cfg_q(why));
		dp->ops->down(dp->ctx);
	}
	for (uint32_t i = 0; i < PENDING_MAX && dp->pending_cnt > 0; i++) {
		struct pending p = dp->pending[i];

		if (p.seq == 0)
			continue;
		dp->pending[i].seq = 0;
		dp->pending_cnt--;
		if (p.fn != NULL)
			p.fn(p.ctx, -ENOTCONN);
	}
	if (dp->page != NULL)
		munmap(dp->page, dp->page_size);
	dp->page = NULL;
	retry_later(dp);
}

/* The sender fixed the size with seals; what it says about offsets is checked before it is believed. */
static int page_map(struct cp_dp *dp, int fd, uint64_t size)
{
	const struct dp_page *pg = &dp->pg_head;
	struct stat st;
	void *mem;

	if (fstat(fd, &st) < 0 || size < sizeof(*pg) || size > (1ull << 32) || (uint64_t)st.st_size < size)
		return -EBADMSG;
	mem = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		return -errno;
	memcpy(&dp->pg_head, mem, sizeof(dp->pg_head));
	if (pg->magic != DP_PAGE_MAGIC || pg->version != DP_PAGE_VERSION || pg->worker_cnt > 256 ||
	    pg->leg_cnt > DP_LEG_MAX || pg->sa_cnt > DP_SA_MAX || pg->worker_off > size || pg->leg_off > size ||
	    pg->sa_off > size || pg->worker_cnt * sizeof(struct dp_page_worker) > size - pg->worker_off ||
	    pg->leg_cnt * sizeof(struct dp_page_leg) > size - pg->leg_off ||
	    pg->sa_cnt * sizeof(struct dp_page_sa) > size - pg->sa_off ||
	    (pg->worker_off | pg->leg_off | pg->sa_off) % 8 != 0) {
		munmap(mem, size);
		return -EBADMSG;
	}
	dp->page = mem;
	dp->page_size = size;
	return 0;
}

static struct pending *pending_take(struct cp_dp *dp, uint32_t seq, struct pending *ret)
{
	struct pending *p = &dp->pending[seq % PENDING_MAX];

	if (seq == 0 || p->seq != seq)
		return NULL;
	*ret = *p;
	p->seq = 0;
	dp->pending_cnt--;
	return ret;
}

static int hello_done(struct cp_dp *dp, const struct dp_hello_reply *r, int fd)
{
	bool fresh;
	int rc;

	if (dp->up)
		return -EPROTO;
	if (r->rc != 0 || r->version != DP_MSG_VERSION) {
		cfg_log_limited(CFG_LOG_ERR, "dataplane-refused", "rc=%d version=%u", r->rc, r->version);
		return -EPROTO;
	}
	if (r->media_addr_cnt != dp->media_addr_cnt || r->base_port != dp->base_port) {
		cfg_log_limited(CFG_LOG_ERR, "dataplane-configured-differently",
				"media_addresses=%u expected=%u base_port=%u expected_port=%u", r->media_addr_cnt,
				dp->media_addr_cnt, r->base_port, dp->base_port);
		return -EPROTO;
	}
	rc = fd < 0 ? -EBADMSG : page_map(dp, fd, r->page_size);
	if (rc < 0) {
		cfg_log_limited(CFG_LOG_ERR, "dataplane-page-unusable", "rc=%d", rc);
		return rc;
	}
	/* Nothing of us: another boot than before, or at first contact nobody before us was served. */
	fresh = dp->boot_id != 0 ? dp->boot_id != r->boot_id : r->last_epoch == 0;
	dp->boot_id = r->boot_id;
	dp->up = true;
	cfg_log(CFG_LOG_NOTICE, "dataplane-up", "workers=%u legs=%u sas=%u gateways=%u fresh=%d", r->worker_cnt,
		r->leg_cnt, r->sa_cnt, r->gw_cnt, fresh);
	dp->ops->up(dp->ctx, fresh);
	return 0;
}

static bool name_ok(const char *s, size_t size)
{
	return memchr(s, '\0', size) != NULL;
}

union cp_dp_any {
	struct dp_msg_hdr hdr;
	struct dp_reply reply;
	struct dp_hello_reply hello;
	struct dp_leg_aged aged;
	struct dp_leg_event leg_event;
	struct dp_mgcp_done done;
	struct dp_mgcp_event event;
	struct dp_sa_event sa;
	struct dp_shard_moved shard_moved;
	struct dp_capture_done capture;
	struct dp_trace_pkt trace;
	struct dp_mgcp_text text;
	struct dp_gw_heard heard;
	uint8_t bytes[DP_MSG_MAX];
};

/* One message, already copied to aligned memory and of its type's size. */
static int input_one(struct cp_dp *dp, union cp_dp_any *m, int fd)
{
	struct pending p;

	if (m->hdr.type == DP_MSG_HELLO_REPLY)
		return hello_done(dp, &m->hello, fd);
	if (!dp->up)
		return -EPROTO;
	switch (m->hdr.type) {
	case DP_MSG_REPLY:
		if (pending_take(dp, m->hdr.seq, &p) == NULL)
			return -ENOENT;
		if (m->reply.rc == -EBADMSG)
			cfg_log_limited(CFG_LOG_ERR, "dataplane-refused-command", "field_at=%u", m->reply.detail);
		if (p.fn != NULL)
			p.fn(p.ctx, m->reply.rc);
		return 0;
	case DP_MSG_LEG_EVENT:
		dp->ops->leg_event(dp->ctx, &m->leg_event);
		return 0;
	case DP_MSG_LEG_AGED:
		dp->ops->leg_aged(dp->ctx, &m->aged);
		return 0;
	case DP_MSG_MGCP_DONE:
		if (!name_ok(m->done.endpoint, sizeof(m->done.endpoint)) ||
		    !name_ok(m->done.conn_id, sizeof(m->done.conn_id)) ||
		    !name_ok(m->done.comment, sizeof(m->done.comment)))
			return -EBADMSG;
		dp->ops->mgcp_done(dp->ctx, &m->done);
		return 0;
	case DP_MSG_MGCP_EVENT:
		if (!name_ok(m->event.endpoint, sizeof(m->event.endpoint)) ||
		    !name_ok(m->event.request_id, sizeof(m->event.request_id)) ||
		    !name_ok(m->event.call_id, sizeof(m->event.call_id)) ||
		    !name_ok(m->event.conn_id, sizeof(m->event.conn_id)) ||
		    !name_ok(m->event.restart_method, sizeof(m->event.restart_method)) ||
		    !name_ok(m->event.observed, sizeof(m->event.observed)) ||
		    !name_ok(m->event.reason, sizeof(m->event.reason)))
			return -EBADMSG;
		dp->ops->mgcp_event(dp->ctx, &m->event);
		return 0;
	case DP_MSG_MGCP_TEXT:
		if (m->text.len == 0 || m->text.len > sizeof(m->text.text))
			return -EBADMSG;
		if (dp->ops->mgcp_text != NULL)
			dp->ops->mgcp_text(dp->ctx, &m->text);
		return 0;
	case DP_MSG_GW_HEARD:
		if (m->heard.kind == 0 || m->heard.kind >= DP_GW_HEARD_MAX)
			return -EBADMSG;
		if (dp->ops->gw_heard != NULL)
			dp->ops->gw_heard(dp->ctx, &m->heard);
		return 0;
	case DP_MSG_SHARD_MOVED:
		if (dp->ops->shard_moved != NULL)
			dp->ops->shard_moved(dp->ctx, &m->shard_moved);
		return 0;
	case DP_MSG_SA_EVENT:
		dp->ops->sa_event(dp->ctx, &m->sa);
		return 0;
	case DP_MSG_CAPTURE_DONE:
		if (dp->ops->capture_done != NULL)
			dp->ops->capture_done(dp->ctx, &m->capture);
		return 0;
	case DP_MSG_TRACE_PKT:
		if (dp->ops->trace_pkt != NULL)
			dp->ops->trace_pkt(dp->ctx, &m->trace);
		return 0;
	default:
		return -EBADMSG; /* a command, or nothing we know */
	}
}

static unsigned input_fd(struct cp_dp *dp, uint8_t *data, size_t len, int fd)
{
	unsigned bad = 0;
	size_t off = 0;

	while (off < len) {
		struct dp_msg_hdr hdr;
		union cp_dp_any m;
		uint16_t size;
		int rc = -EBADMSG;

		if (len - off < sizeof(hdr))
			return bad + 1;
		memcpy(&hdr, data + off, sizeof(hdr));
		size = dp_msg_size(hdr.type);
		if (size == 0 || hdr.len != size || size > len - off || size > sizeof(m))
			return bad + 1; /* no boundary left to go on from */
		memcpy(&m, data + off, size);
		rc = input_one(dp, &m, fd);
		OPENSSL_cleanse(&m, size);
		if (rc < 0)
			bad++;
		off += size;
		if (dp->fd < 0 && dp->rx != NULL && data == dp->rx)
			break; /* a callback hung up */
	}
	return bad;
}

unsigned cp_dp_input(struct cp_dp *dp, uint8_t *data, size_t len)
{
	return input_fd(dp, data, len, -1);
}

static void on_read(evutil_socket_t sock, short what, void *arg)
{
	struct cp_dp *dp = arg;

	(void)sock;
	(void)what;
	for (int i = 0; i < 64 && dp->fd >= 0; i++) { /* let other events run now and then */
		union {
			struct cmsghdr align;
			uint8_t buf[CMSG_SPACE(sizeof(int))];
		} ctl;
		struct iovec iov = {dp->rx, DP_MSG_DATAGRAM_MAX};
		struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.buf,
				    .msg_controllen = sizeof(ctl.buf)};
		struct cmsghdr *c;
		int fd = -1;
		unsigned bad;
		ssize_t n = recvmsg(dp->fd, &mh, MSG_CMSG_CLOEXEC);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			hang_up(dp, n == 0 ? "closed" : strerror(errno));
			return;
		}
		c = CMSG_FIRSTHDR(&mh);
		if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		    c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		bad = (mh.msg_flags & MSG_TRUNC) != 0 ? 1 : input_fd(dp, dp->rx, (size_t)n, fd);
		if (fd >= 0)
			close(fd);
		OPENSSL_cleanse(dp->rx, (size_t)n);
		if (bad > 0) {
			cfg_log_limited(CFG_LOG_ERR, "dataplane-bad-message", "count=%u", bad);
			if (!dp->up) {
				hang_up(dp, "no usable greeting");
				return;
			}
		}
	}
}

static void flush_queue(struct cp_dp *dp)
{
	while (dp->head != NULL && dp->fd >= 0) {
		struct chunk *c = dp->head;
		ssize_t n = send(dp->fd, c->data, c->len, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)) {
			event_add(dp->ev_write, NULL);
			return;
		}
		if (n < 0) {
			hang_up(dp, strerror(errno));
			return;
		}
		dp->head = c->next;
		if (dp->head == NULL)
			dp->tail = NULL;
		dp->queued -= c->len;
		chunk_free(c);
	}
}

static void on_write(evutil_socket_t sock, short what, void *arg)
{
	(void)sock;
	(void)what;
	flush_queue(arg);
}

static int queue_msg(struct cp_dp *dp, enum dp_msg_type type, const void *msg, uint32_t seq)
{
	struct dp_msg_hdr hdr = {.type = (uint16_t)type, .len = dp_msg_size((uint16_t)type), .seq = seq};
	struct chunk *c = dp->tail;

	if (hdr.len == 0)
		return -EINVAL;
	if (dp->queued + hdr.len > QUEUE_MAX)
		return -EAGAIN;
	if (c == NULL || c->len + hdr.len > sizeof(c->data)) {
		c = malloc(sizeof(*c));
		if (c == NULL)
			return -ENOMEM;
		c->next = NULL;
		c->len = 0;
		if (dp->tail != NULL)
			dp->tail->next = c;
		else
			dp->head = c;
		dp->tail = c;
	}
	memcpy(c->data + c->len, &hdr, sizeof(hdr));
	memcpy(c->data + c->len + sizeof(hdr), (const uint8_t *)msg + sizeof(hdr), hdr.len - sizeof(hdr));
	c->len += hdr.len;
	dp->queued += hdr.len;
	event_active(dp->ev_flush, EV_TIMEOUT, 0);
	return 0;
}

int cp_dp_send(struct cp_dp *dp, enum dp_msg_type type, const void *msg, cp_dp_reply_fn fn, void *ctx)
{
	struct pending *p;
	int rc;

	if (!dp->up)
		return -ENOTCONN;
	do {
		dp->seq++;
	} while (dp->seq == 0);
	p = &dp->pending[dp->seq % PENDING_MAX];
	if (p->seq != 0)
		return -EAGAIN; /* that many answers are outstanding */
	rc = queue_msg(dp, type, msg, dp->seq);
	if (rc < 0)
		return rc;
	*p = (struct pending){.seq = dp->seq, .fn = fn, .ctx = ctx};
	dp->pending_cnt++;
	return 0;
}

int cp_dp_sweep(struct cp_dp *dp)
{
	struct dp_sweep msg = {.epoch = dp->epoch};

	return cp_dp_send(dp, DP_MSG_SWEEP, &msg, NULL, NULL);
}

static void on_retry(evutil_socket_t sock, short what, void *arg)
{
	struct cp_dp *dp = arg;
	struct dp_hello hello = {.version = DP_MSG_VERSION, .epoch = dp->epoch};
	int size = 1 << 20;

	(void)sock;
	(void)what;
	dp->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (dp->fd < 0) {
		retry_later(dp);
		return;
	}
	setsockopt(dp->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (connect(dp->fd, (const struct sockaddr *)&dp->addr, sizeof(dp->addr)) < 0) {
		if (dp->tries++ % 150 == 0) /* at once, then every half minute */
			cfg_log(CFG_LOG_NOTICE, "dataplane-not-there", "path=%s reason=%s", dp->addr.sun_path,
				cfg_q(strerror(errno)));
		close(dp->fd);
		dp->fd = -1;
		retry_later(dp);
		return;
	}
	dp->tries = 0;
	dp->ev_read = event_new(dp->base, dp->fd, EV_READ | EV_PERSIST, on_read, dp);
	dp->ev_write = event_new(dp->base, dp->fd, EV_WRITE, on_write, dp);
	if (dp->ev_read == NULL || dp->ev_write == NULL)
		abort(); /* out of memory at start-up size: nothing sane can follow */
	event_add(dp->ev_read, NULL);
	do {
		dp->seq++;
	} while (dp->seq == 0);
	queue_msg(dp, DP_MSG_HELLO, &hello, dp->seq);
}

struct cp_dp *cp_dp_create(struct event_base *base, const char *run_dir, uint64_t epoch,
			   unsigned media_addr_cnt, uint16_t base_port, const struct cp_dp_ops *ops, void *ctx)
{
	struct cp_dp *dp = calloc(1, sizeof(*dp));
	struct timeval now = {0, 0};

	if (dp == NULL)
		return NULL;
	*dp = (struct cp_dp){.base = base, .epoch = epoch, .media_addr_cnt = media_addr_cnt,
			     .base_port = base_port, .ops = ops, .ctx = ctx, .fd = -1};
	dp->addr.sun_family = AF_UNIX;
	if ((size_t)snprintf(dp->addr.sun_path, sizeof(dp->addr.sun_path), "%s/dataplane.sock", run_dir) >=
	    sizeof(dp->addr.sun_path))
		goto fail;
	dp->pending = calloc(PENDING_MAX, sizeof(*dp->pending));
	dp->rx = malloc(DP_MSG_DATAGRAM_MAX);
	dp->ev_retry = event_new(base, -1, 0, on_retry, dp);
	dp->ev_flush = event_new(base, -1, 0, on_write, dp);
	if (dp->pending == NULL || dp->rx == NULL || dp->ev_retry == NULL || dp->ev_flush == NULL)
		goto fail;
	event_add(dp->ev_retry, &now);
	return dp;
fail:
	cp_dp_destroy(dp);
	return NULL;
}

void cp_dp_close(struct cp_dp *dp)
{
	if (dp == NULL)
		return;
	if (dp->up)
		flush_queue(dp); /* what was said last is still heard, if the socket takes it */
	hang_up(dp, "stopping");
	if (dp->ev_retry != NULL)
		event_del(dp->ev_retry);
}

void cp_dp_destroy(struct cp_dp *dp)
{
	if (dp == NULL)
		return;
	cp_dp_close(dp);
	if (dp->ev_retry != NULL)
		event_free(dp->ev_retry);
	if (dp->ev_flush != NULL)
		event_free(dp->ev_flush);
	free(dp->pending);
	free(dp->rx);
	free(dp);
}

bool cp_dp_up(const struct cp_dp *dp)
{
	return dp->up;
}

uint32_t cp_dp_waiting(const struct cp_dp *dp)
{
	return dp->pending_cnt;
}

const struct dp_page *cp_dp_page(const struct cp_dp *dp)
{
	return dp->page;
}

const struct dp_page_leg *cp_dp_page_leg(const struct cp_dp *dp, uint32_t leg_id)
{
	const struct dp_page *pg = &dp->pg_head;

	if (dp->page == NULL || leg_id >= pg->leg_cnt)
		return NULL;
	return (const struct dp_page_leg *)((const uint8_t *)dp->page + pg->leg_off) + leg_id;
}

const struct dp_page_sa *cp_dp_page_sa(const struct cp_dp *dp, uint32_t sa_id)
{
	const struct dp_page *pg = &dp->pg_head;

	if (dp->page == NULL || sa_id >= pg->sa_cnt)
		return NULL;
	return (const struct dp_page_sa *)((const uint8_t *)dp->page + pg->sa_off) + sa_id;
}

const struct dp_page_worker *cp_dp_page_worker(const struct cp_dp *dp, uint32_t worker)
{
	const struct dp_page *pg = &dp->pg_head;

	if (dp->page == NULL || worker >= pg->worker_cnt)
		return NULL;
	return (const struct dp_page_worker *)((const uint8_t *)dp->page + pg->worker_off) + worker;
}
