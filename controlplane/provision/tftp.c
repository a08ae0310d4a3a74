/* SPDX-License-Identifier: BSD-3-Clause */
#include "tftp.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "log.h"
#include "tftpd.h"
#include "thread.h"

#define EVENTS    64
#define REQS      32   /* requests read at once */
#define PORTS     256  /* idle sockets kept for the next transfers */
#define PORT_USES 64   /* after so many a socket is closed: ports stay hard to guess */
#define COPY_MAX  2048 /* a block up to this is cheaper copied behind its header than sent by sendmsg(2) */

struct port { /* of a transfer; idle: x is NULL */
	struct cp_tftp_xfer *x;
	union cp_sa local, last; /* last: the client before, whose late ACKs must not meet it in another transfer */
	struct port *next; /* of the dead */
	int fd;
	unsigned uses;
};

struct thread {
	struct cp_tftpd *d;
	struct cp_tftp *tftp;
	struct cp_thread thread;
	int ep, fd;
	uint64_t now_ms;
	struct port *idle[PORTS];
	unsigned idle_n, seed;
	struct port *dead; /* closed while events of them may be in hand */
};

struct cp_tftp {
	struct cp_sources *sources;
	uint16_t port;
	unsigned n;
	struct thread *threads;
};

static socklen_t sa_len(const union cp_sa *sa)
{
	return sa->sa.sa_family == AF_INET ? sizeof(sa->in) : sizeof(sa->in6);
}

static int udp_socket(const union cp_sa *sa, bool service)
{
	int fd = socket(sa->sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, zero = 0, frag4 = IP_PMTUDISC_DONT, frag6 = IPV6_PMTUDISC_DONT, err;
	bool six = sa->sa.sa_family == AF_INET6;

	if (fd < 0)
		return -errno;
	if (six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) < 0)
		goto fail;
	/* A block may be larger than the path takes: the client chose it. */
	setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &frag4, sizeof(frag4));
	if (six)
		setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &frag6, sizeof(frag6));
	if (service) { /* to answer from the address that was asked */
		int size = 4 << 20;

		if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
		    (six ? setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one))
			 : setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one))) < 0)
			goto fail;
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)); /* as much as we get: a boot storm waits there */
	}
	if (bind(fd, &sa->sa, sa_len(sa)) < 0)
		goto fail;
	return fd;
fail:
	err = -errno;
	close(fd);
	return err;
}

/* --- what the state machine does --- */

static bool same_host(const union cp_sa *a, const union cp_sa *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return a->in6.sin6_scope_id == b->in6.sin6_scope_id && memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0;
}

static void port_free(struct thread *t, struct port *p)
{
	close(p->fd);
	p->fd = -1;
	p->x = NULL;
	p->next = t->dead; /* freed when the events in hand are done: one of them may be of it */
	t->dead = p;
}

static void bury(struct thread *t)
{
	struct port *p;

	while ((p = t->dead) != NULL) {
		t->dead = p->next;
		free(p);
	}
}

static void *port_open(void *ctx, const union cp_sa *local, const union cp_sa *peer, struct cp_tftp_xfer *x)
{
	struct thread *t = ctx;
	struct epoll_event ev = {.events = EPOLLIN};
	union cp_sa any = *local;
	struct port *p;

	/* One of those at hand, by chance. */
	for (unsigned tries = 0; t->idle_n > 0 && tries < 4; tries++) {
		unsigned i = (t->seed = t->seed * 1103515245u + 12345u) / 65536u % t->idle_n;

		p = t->idle[i];
		if (!same_host(&p->local, local) || cp_sa_same(&p->last, peer))
			continue;
		t->idle[i] = t->idle[--t->idle_n];
		p->x = x;
		p->last = *peer;
		p->uses++;
		return p;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	if (any.sa.sa_family == AF_INET)
		any.in.sin_port = 0;
	else
		any.in6.sin6_port = 0;
	p->fd = udp_socket(&any, false);
	ev.data.ptr = p;
	if (p->fd < 0 || epoll_ctl(t->ep, EPOLL_CTL_ADD, p->fd, &ev) < 0) {
		if (p->fd >= 0)
			close(p->fd);
		free(p);
		return NULL;
	}
	p->x = x;
	p->local = *local;
	p->last = *peer;
	return p;
}

static void port_close(void *ctx, void *port)
{
	struct thread *t = ctx;
	struct port *p = port;

	p->x = NULL;
	if (p->uses < PORT_USES && t->idle_n < PORTS)
		t->idle[t->idle_n++] = p;
	else
		port_free(t, p);
}

static void port_send(void *ctx, void *port, const union cp_sa *to, const struct cp_tftp_out *out, unsigned n)
{
	struct port *p = port;
	struct mmsghdr msgs[CP_TFTP_WINDOW_MAX];
	struct iovec iov[CP_TFTP_WINDOW_MAX][2];
	union cp_sa dst = *to;

	(void)ctx;
	if (n == 1 && out->len <= COPY_MAX) {
		uint8_t buf[4 + COPY_MAX];

		memcpy(buf, out->hdr, 4);
		memcpy(buf + out->hdr_len, out->data, out->len);
		if (sendto(p->fd, buf, out->hdr_len + out->len, 0, &dst.sa, sa_len(&dst)) < 0)
			return; /* lost: the timer knows */
		return;
	}
	memset(msgs, 0, n * sizeof(msgs[0]));
	for (unsigned i = 0; i < n; i++) {
		/* sendmsg(2) reads only; its iovec knows no const */
		iov[i][0] = (struct iovec){(void *)(uintptr_t)out[i].hdr, out[i].hdr_len};
		iov[i][1] = (struct iovec){(void *)(uintptr_t)out[i].data, out[i].len};
		msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &dst, .msg_namelen = sa_len(&dst), .msg_iov = iov[i], .msg_iovlen = 2};
	}
	for (unsigned done = 0; done < n;) {
		int rc = sendmmsg(p->fd, msgs + done, n - done, 0);

		if (rc <= 0)
			return; /* the rest is lost */
		done += (unsigned)rc;
	}
}

static void answer(void *ctx, const union cp_sa *local, const union cp_sa *to, const uint8_t *data, size_t len)
{
	struct thread *t = ctx;
	union cp_sa dst = *to;
	struct iovec iov = {(void *)(uintptr_t)data, len};
	_Alignas(struct cmsghdr) uint8_t ctl[CMSG_SPACE(sizeof(struct in6_pktinfo))] = {0};
	struct msghdr m = {.msg_name = &dst, .msg_namelen = sa_len(&dst), .msg_iov = &iov, .msg_iovlen = 1,
			   .msg_control = ctl, .msg_controllen = sizeof(ctl)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	if (local->sa.sa_family == AF_INET) {
		struct in_pktinfo pi = {.ipi_spec_dst = local->in.sin_addr};

		*c = (struct cmsghdr){CMSG_LEN(sizeof(pi)), IPPROTO_IP, IP_PKTINFO};
		memcpy(CMSG_DATA(c), &pi, sizeof(pi));
		m.msg_controllen = CMSG_SPACE(sizeof(pi));
	} else {
		struct in6_pktinfo pi = {.ipi6_addr = local->in6.sin6_addr, .ipi6_ifindex = local->in6.sin6_scope_id};

		*c = (struct cmsghdr){CMSG_LEN(sizeof(pi)), IPPROTO_IPV6, IPV6_PKTINFO};
		memcpy(CMSG_DATA(c), &pi, sizeof(pi));
		m.msg_controllen = CMSG_SPACE(sizeof(pi));
	}
	if (sendmsg(t->fd, &m, 0) < 0)
		cfg_log_limited(CFG_LOG_DEBUG, "tftp-answer-lost", "reason=%s", cfg_q(strerror(errno)));
}

/* --- the loop --- */

/* The address a datagram was sent to, where the answer comes from. */
static void local_of(struct msghdr *m, const union cp_sa *from, union cp_sa *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->sa.sa_family = from->sa.sa_family;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO && from->sa.sa_family == AF_INET) {
			struct in_pktinfo pi;

			memcpy(&pi, CMSG_DATA(c), sizeof(pi));
			ret->in.sin_addr = pi.ipi_spec_dst;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO && from->sa.sa_family == AF_INET6) {
			struct in6_pktinfo pi;

			memcpy(&pi, CMSG_DATA(c), sizeof(pi));
			ret->in6.sin6_addr = pi.ipi6_addr;
			if (IN6_IS_ADDR_LINKLOCAL(&pi.ipi6_addr))
				ret->in6.sin6_scope_id = pi.ipi6_ifindex;
		}
	}
}

static void read_requests(struct thread *t)
{
	static _Thread_local struct {
		uint8_t data[CP_TFTP_REQ_MAX + 1]; /* one byte more shows what was too long */
		union cp_sa from;
		_Alignas(struct cmsghdr) uint8_t ctl[CMSG_SPACE(sizeof(struct in6_pktinfo)) +
						     CMSG_SPACE(sizeof(struct in_pktinfo))];
	} r[REQS];
	struct mmsghdr m[REQS];
	struct iovec iov[REQS];
	int n;

	/* Not more than this at once: transfers that run come first. */
	for (unsigned i = 0; i < REQS; i++) {
		iov[i] = (struct iovec){r[i].data, sizeof(r[i].data)};
		m[i].msg_hdr = (struct msghdr){.msg_name = &r[i].from, .msg_namelen = sizeof(r[i].from), .msg_iov = &iov[i],
					       .msg_iovlen = 1, .msg_control = r[i].ctl,
					       .msg_controllen = sizeof(r[i].ctl)};
	}
	n = recvmmsg(t->fd, m, REQS, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		union cp_sa local;

		local_of(&m[i].msg_hdr, &r[i].from, &local);
		cp_tftpd_request(t->d, t->now_ms, &r[i].from, &local, r[i].data, m[i].msg_len);
	}
}

static void read_port(struct thread *t, struct port *p)
{
	uint8_t buf[CP_TFTP_REQ_MAX];
	union cp_sa from = {0};
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(p->fd, buf, sizeof(buf), MSG_DONTWAIT, &from.sa, &from_len);

	if (n < 0 || p->x == NULL)
		return; /* idle: something late, of a transfer that is over */
	cp_tftpd_packet(t->d, t->now_ms, p->x, &from, buf, (size_t)n);
}

static void *loop(void *arg)
{
	struct thread *t = arg;
	struct epoll_event ev[EVENTS];
	int wait = -1;

	for (;;) {
		int n = epoll_wait(t->ep, ev, EVENTS, wait);
		bool requests = false;

		t->now_ms = cp_mono_ms();
		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr == &t->thread)
				return NULL;
			if (ev[i].data.ptr == &t->fd)
				requests = true;
			else if (ev[i].data.ptr == t->d)
				cp_tftpd_files(t->d, t->now_ms);
			else if (((struct port *)ev[i].data.ptr)->fd >= 0)
				read_port(t, ev[i].data.ptr);
		}
		if (requests)
			read_requests(t);
		wait = cp_tftpd_tick(t->d, t->now_ms);
		bury(t);
	}
}

static int watch(int ep, int fd, void *ptr)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = ptr};

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static int thread_start(struct thread *t, const union cp_sa *sa, const struct cp_tftpd_opts *opts)
{
	struct cp_tftpd_opts o = *opts;
	int rc;

	o.io = (struct cp_tftpd_io){port_open, port_close, port_send, answer, t};
	t->ep = epoll_create1(EPOLL_CLOEXEC);
	if (t->ep < 0)
		return -errno;
	rc = cp_thread_init(&t->thread);
	if (rc < 0)
		return rc;
	t->fd = udp_socket(sa, true);
	if (t->fd < 0)
		return t->fd;
	t->d = cp_tftpd_create(&o, cp_mono_ms());
	if (t->d == NULL || RAND_bytes((uint8_t *)&t->seed, sizeof(t->seed)) != 1)
		return -ENOMEM;
	rc = watch(t->ep, t->fd, &t->fd);
	if (rc == 0)
		rc = watch(t->ep, t->thread.stop, &t->thread);
	if (rc == 0)
		rc = watch(t->ep, cp_tftpd_fd(t->d), t->d);
	if (rc < 0)
		return rc;
	return cp_thread_start(&t->thread, loop, t, "tftp");
}

static int listen_sa(const struct cfg_provision *cfg, union cp_sa *ret)
{
	struct cfg_addr a;

	memset(ret, 0, sizeof(*ret));
	if (cfg_addr_parse(cfg->listen, &a) < 0)
		return -EINVAL;
	if (a.family == 4) {
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = htons(cfg->tftp_port);
		memcpy(&ret->in.sin_addr, a.ip, 4);
	} else {
		ret->in6.sin6_family = AF_INET6;
		ret->in6.sin6_port = htons(cfg->tftp_port);
		memcpy(&ret->in6.sin6_addr, a.ip, 16);
	}
	return 0;
}

int cp_tftp_create(const struct cfg_provision *cfg, const struct cp_file_source *source, struct cp_tftp **ret_tftp)
{
	struct cp_tftp *tftp = calloc(1, sizeof(*tftp));
	struct cp_tftpd_opts opts = {
		.source = *source,
		.blksize_max = cfg->blksize_max,
		.windowsize_max = cfg->windowsize_max,
		.timeout_ms = cfg->timeout_ms,
		.retries = cfg->retries,
		.min_rate = cfg->min_rate,
		.max = cfg->max_transfers,
	};
	uint8_t key[16];
	union cp_sa sa;
	int rc;

	if (tftp == NULL)
		return -ENOMEM;
	tftp->threads = calloc(cfg->threads, sizeof(*tftp->threads));
	rc = tftp->threads != NULL ? listen_sa(cfg, &sa) : -ENOMEM;
	if (rc == 0 && RAND_bytes(key, sizeof(key)) != 1)
		rc = -EIO;
	if (rc == 0) {
		tftp->sources = cp_sources_create(cfg->max_transfers, cfg->max_source, key);
		rc = tftp->sources == NULL ? -ENOMEM : 0;
	}
	opts.sources = tftp->sources;
	for (unsigned i = 0; rc == 0 && i < cfg->threads; i++) {
		struct thread *t = &tftp->threads[tftp->n++];
		socklen_t len = sizeof(sa);

		t->ep = t->fd = -1;
		t->thread = CP_THREAD_NONE;
		t->tftp = tftp;
		rc = thread_start(t, &sa, &opts);
		if (rc == 0 && getsockname(t->fd, &sa.sa, &len) < 0) /* port 0, in tests: the others take the first's */
			rc = -errno;
	}
	if (rc < 0) {
		cp_tftp_destroy(tftp);
		return rc;
	}
	tftp->port = ntohs(sa.sa.sa_family == AF_INET ? sa.in.sin_port : sa.in6.sin6_port);
	*ret_tftp = tftp;
	return 0;
}

uint16_t cp_tftp_port(const struct cp_tftp *tftp)
{
	return tftp->port;
}

static void thread_fini(struct thread *t)
{
	cp_thread_stop(&t->thread);
	cp_tftpd_destroy(t->d);
	while (t->idle_n > 0)
		port_free(t, t->idle[--t->idle_n]);
	bury(t);
	if (t->fd >= 0)
		close(t->fd);
	if (t->ep >= 0)
		close(t->ep);
	cp_thread_fini(&t->thread);
}

void cp_tftp_destroy(struct cp_tftp *tftp)
{
	if (tftp == NULL)
		return;
	for (unsigned i = 0; i < tftp->n; i++)
		thread_fini(&tftp->threads[i]);
	cp_sources_destroy(tftp->sources);
	free(tftp->threads);
	free(tftp);
}

json_t *cp_tftp_show(const struct cp_tftp *tftp)
{
	uint64_t sum[8] = {0}, ends[CP_TFTP_END_MAX] = {0};
	json_t *o, *reasons = json_object();

	for (unsigned i = 0; i < tftp->n; i++) {
		const struct cp_tftpd_stats *s = cp_tftpd_stats(tftp->threads[i].d);

		sum[0] += s->active;
		sum[1] += s->requests;
		sum[2] += s->duplicates;
		sum[3] += s->bytes;
		sum[4] += s->packets;
		sum[5] += s->retransmissions;
		sum[6] += s->strangers;
		sum[7] += s->errors_held;
		for (unsigned k = 0; k < CP_TFTP_END_MAX; k++)
			ends[k] += s->ends[k];
	}
	for (unsigned k = CP_TFTP_DONE + 1; k < CP_TFTP_END_MAX; k++)
		if (ends[k] > 0)
			json_object_set_new(reasons, cp_tftp_end_name(k), json_integer((json_int_t)ends[k]));
	o = json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "port", (int)tftp->port, "active", (json_int_t)sum[0],
		      "requests", (json_int_t)sum[1], "done", (json_int_t)ends[CP_TFTP_DONE], "bytes", (json_int_t)sum[3],
		      "packets", (json_int_t)sum[4], "retransmissions", (json_int_t)sum[5], "duplicates", (json_int_t)sum[2],
		      "strangers", (json_int_t)sum[6], "errors_held", (json_int_t)sum[7]);
	json_object_set_new(o, "ended", reasons);
	return o;
}
