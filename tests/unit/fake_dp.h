/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A dataplane's end of the channel for tests of the controlplane: listens on DIR/dataplane.sock, greets, answers
 * every command with 0 or what the test's hook says, keeps the commands it saw. Events and signals that the real one does not know it
 * refuses as that does: the command ends as canceled, and no gateway sees it.
 */
#ifndef TESTS_FAKE_DP_H
#define TESTS_FAKE_DP_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/dp_msg.h"
#include "api/dp_page.h"
#include "dpclient.h"
#include "mgcp/pkg.h"

#define FAKE_LOG 4096
#define FAKE_LEGS (3 * DP_LEGS_PER_ADDR)

union fake_msg {
	struct dp_msg_hdr hdr;
	struct dp_hello hello;
	struct dp_leg_set leg;
	struct dp_leg_key key;
	struct dp_obj obj;
	struct dp_sa_set sa;
	struct dp_sa_grant grant;
	struct dp_gw_set gw;
	struct dp_mgcp_cmd mgcp;
	struct dp_mgcp_ack ack;
	struct dp_sweep sweep;
	struct dp_music_set music;
	struct dp_leg_music hears;
	struct dp_spd_set spd;
	struct dp_spd_commit commit;
	uint8_t bytes[DP_MSG_MAX];
};

struct fake_dp {
	struct event_base *base;
	char path[108];
	int lfd, fd;
	struct event *ev_accept, *ev_read;
	uint64_t boot_id, last_epoch, epoch;
	uint32_t media_addrs;
	struct dp_page *page;
	size_t page_size;
	int page_fd;
	int (*hook)(struct fake_dp *f, const union fake_msg *m); /* rc to answer; NULL: 0 */
	union fake_msg log[FAKE_LOG];
	unsigned n;
	unsigned refused; /* MGCP commands of which the packages are not known */
	bool mute; /* answer nothing */
};

static inline void fake_send(struct fake_dp *f, void *msg, uint16_t type, uint16_t len, uint32_t seq)
{
	struct dp_msg_hdr hdr = {type, len, seq};

	memcpy(msg, &hdr, sizeof(hdr));
	if (f->fd >= 0 && send(f->fd, msg, len, MSG_NOSIGNAL) < 0)
		perror("fake dataplane");
}

static inline struct dp_page_leg *fake_leg(struct fake_dp *f, uint32_t id)
{
	return (struct dp_page_leg *)(void *)((uint8_t *)f->page + f->page->leg_off) + id;
}

static inline struct dp_page_sa *fake_sa(struct fake_dp *f, uint32_t id)
{
	return (struct dp_page_sa *)(void *)((uint8_t *)f->page + f->page->sa_off) + id;
}

static inline void fake_hangup(struct fake_dp *f)
{
	if (f->fd < 0)
		return;
	event_free(f->ev_read);
	close(f->fd);
	f->fd = -1;
}

static inline void fake_greet(struct fake_dp *f, const struct dp_hello *h)
{
	struct dp_hello_reply r = {.version = DP_MSG_VERSION, .boot_id = f->boot_id, .last_epoch = f->last_epoch,
				   .page_size = f->page_size, .worker_cnt = 1, .media_addr_cnt = f->media_addrs,
				   .base_port = 16384};
	union {
		struct cmsghdr align;
		uint8_t buf[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct iovec iov = {&r, sizeof(r)};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl, .msg_controllen = sizeof(ctl.buf)};
	struct cmsghdr *c;

	r.hdr = (struct dp_msg_hdr){DP_MSG_HELLO_REPLY, sizeof(r), h->hdr.seq};
	f->last_epoch = f->epoch = h->epoch;
	memset(&ctl, 0, sizeof(ctl));
	c = CMSG_FIRSTHDR(&mh);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &f->page_fd, sizeof(int));
	if (sendmsg(f->fd, &mh, MSG_NOSIGNAL) < 0)
		perror("fake dataplane");
}

static inline bool fake_mgcp_ok(const struct dp_mgcp_cmd *c)
{
	struct dp_mgcp_str events = {c->events, (uint16_t)strnlen(c->events, sizeof(c->events))},
			   signals = {c->signals, (uint16_t)strnlen(c->signals, sizeof(c->signals))};
	uint32_t pkgs;

	return dp_pkg_events(&events, &pkgs) == 0 && dp_pkg_signals(&signals, &pkgs) == 0;
}

static inline void fake_on_read(evutil_socket_t fd, short what, void *arg)
{
	static uint8_t buf[DP_MSG_DATAGRAM_MAX];
	struct fake_dp *f = arg;
	ssize_t n = recv(f->fd, buf, sizeof(buf), 0);
	static uint8_t out[DP_MSG_DATAGRAM_MAX];
	size_t off = 0, out_len = 0;

	(void)fd;
	(void)what;
	if (n <= 0) {
		fake_hangup(f);
		return;
	}
	while (off < (size_t)n && f->fd >= 0) {
		union fake_msg m;
		struct dp_msg_hdr hdr;
		struct dp_reply r = {.rc = 0};

		memcpy(&hdr, buf + off, sizeof(hdr));
		memset(&m, 0, sizeof(m));
		memcpy(&m, buf + off, hdr.len);
		off += hdr.len;
		if (hdr.type == DP_MSG_HELLO) {
			fake_greet(f, &m.hello);
			continue;
		}
		if (f->n < FAKE_LOG)
			f->log[f->n++] = m;
		if (f->mute)
			continue;
		if (hdr.type == DP_MSG_MGCP_CMD && !fake_mgcp_ok(&m.mgcp)) {
			struct dp_mgcp_done d = {.handle = m.mgcp.handle, .gw_id = m.mgcp.gw_id, .verb = m.mgcp.verb, .result = DP_MGCP_CANCELED};

			f->refused++;
			fake_send(f, &d, DP_MSG_MGCP_DONE, sizeof(d), 0);
		} else if (f->hook != NULL) {
			r.rc = f->hook(f, &m);
		}
		/* one datagram for all answers: the test is both ends, neither may block */
		r.hdr = (struct dp_msg_hdr){DP_MSG_REPLY, sizeof(r), hdr.seq};
		memcpy(out + out_len, &r, sizeof(r));
		out_len += sizeof(r);
	}
	if (out_len > 0 && f->fd >= 0 && send(f->fd, out, out_len, MSG_NOSIGNAL) < 0)
		perror("fake dataplane");
}

static inline void fake_on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct fake_dp *f = arg;

	(void)what;
	fake_hangup(f);
	f->fd = accept(fd, NULL, NULL);
	f->ev_read = event_new(f->base, f->fd, EV_READ | EV_PERSIST, fake_on_read, f);
	event_add(f->ev_read, NULL);
}

static inline void fake_start(struct fake_dp *f, struct event_base *base, const char *dir)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	static uint64_t boots;

	f->base = base;
	f->fd = -1;
	f->boot_id = ++boots;
	f->last_epoch = 0;
	f->page_size = sizeof(struct dp_page) + sizeof(struct dp_page_worker) + FAKE_LEGS * sizeof(struct dp_page_leg) +
		       DP_SA_MAX * sizeof(struct dp_page_sa);
	f->page_fd = memfd_create("page", MFD_CLOEXEC);
	if (ftruncate(f->page_fd, (off_t)f->page_size) < 0)
		abort();
	f->page = mmap(NULL, f->page_size, PROT_READ | PROT_WRITE, MAP_SHARED, f->page_fd, 0);
	*f->page = (struct dp_page){.magic = DP_PAGE_MAGIC, .version = DP_PAGE_VERSION, .size = f->page_size,
				    .worker_cnt = 1, .leg_cnt = FAKE_LEGS, .sa_cnt = DP_SA_MAX};
	f->page->worker_off = sizeof(struct dp_page);
	f->page->leg_off = f->page->worker_off + sizeof(struct dp_page_worker);
	f->page->sa_off = f->page->leg_off + FAKE_LEGS * sizeof(struct dp_page_leg);
	snprintf(f->path, sizeof(f->path), "%s/dataplane.sock", dir);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", f->path);
	unlink(f->path);
	f->lfd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (bind(f->lfd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(f->lfd, 4) < 0)
		abort();
	f->ev_accept = event_new(base, f->lfd, EV_READ | EV_PERSIST, fake_on_accept, f);
	event_add(f->ev_accept, NULL);
}

static inline void fake_stop(struct fake_dp *f)
{
	fake_hangup(f);
	event_free(f->ev_accept);
	close(f->lfd);
	close(f->page_fd);
	munmap(f->page, f->page_size);
	unlink(f->path);
}

/* Commands of a type seen so far; the last one in *ret. */
static inline unsigned fake_seen(const struct fake_dp *f, uint16_t type, const union fake_msg **ret)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->n; i++) {
		if (f->log[i].hdr.type == type) {
			n++;
			if (ret != NULL)
				*ret = &f->log[i];
		}
	}
	return n;
}

/* Run the loop until 'cond' holds or 'ms' pass. */
#define LOOP_UNTIL(base, cond, ms)                                                                 \
	do {                                                                                       \
		for (int loop_i_ = 0; loop_i_ < (ms) && !(cond); loop_i_++) {                      \
			struct timeval loop_tv_ = {0, 1000};                                       \
			event_base_loopexit(base, &loop_tv_);                                      \
			event_base_dispatch(base);                                                 \
		}                                                                                  \
	} while (0)

#endif
