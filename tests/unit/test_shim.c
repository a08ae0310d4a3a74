/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/ike/shim.c as charon's calls see it, against a controlplane made here that dies, is silent and comes back: what is replayed is
 * what charon has, and nothing that it has deleted meanwhile; a replay that takes its time holds up nobody else's sockets.
 */
#define ACK_MS 5000 /* as long as nothing else happens here */
#pragma GCC diagnostic ignored "-Wpedantic"
#include "ike/shim.c"

#include <CUnit/CUnit.h>
#include <netinet/in.h>
#include <stdio.h>

#define SEEN 64

struct seen { /* a message that the controlplane got */
	uint16_t type;
	uint32_t what; /* SPI or policy */
	uint32_t mark; /* its version */
	bool replayed;
};

static struct {
	int fd, conn[8];
	bool replaying[8];
	unsigned int n, replays, begun, closed, conns;
	struct seen seen[SEEN];
	bool silent, slow; /* answers nothing; does not confirm a replay */
	int slow_fd;       /* who waits for that */
	int error;
} srv;

static char path[108];
static int ask_fd, listen_fd;
static uint32_t seq;

static void srv_up(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	memset(&srv, 0, sizeof(srv));
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	unlink(path);
	srv.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
	CU_ASSERT_EQUAL_FATAL(bind(srv.fd, (struct sockaddr *)&at, sizeof(at)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(srv.fd, 8), 0);
}

static void srv_down(void)
{
	for (unsigned int i = 0; i < 8; i++)
		if (srv.conn[i] > 0)
			close(srv.conn[i]);
	memset(srv.conn, 0, sizeof(srv.conn));
	close(srv.fd);
	unlink(path);
}

static void confirm(int fd)
{
	struct {
		struct nlmsghdr nlh;
		struct shim_hello h;
	} m = {{.nlmsg_len = sizeof(m), .nlmsg_type = NLMSG_NOOP}, {.version = SHIM_VERSION, .phase = SHIM_REPLAYED}};

	CU_ASSERT_EQUAL(send(fd, &m, sizeof(m), MSG_NOSIGNAL), (ssize_t)sizeof(m));
}

static void hear(unsigned int i, const uint8_t *buf, ssize_t len)
{
	struct {
		struct nlmsghdr nlh;
		int error;
	} a = {.nlh = {.nlmsg_len = sizeof(a), .nlmsg_type = NLMSG_ERROR}, .error = srv.error};
	struct seen *s = &srv.seen[srv.n];
	struct nlmsghdr nlh;
	struct shim_hello h;

	CU_ASSERT_FATAL(len >= NLMSG_HDRLEN && srv.n < SEEN);
	memcpy(&nlh, buf, sizeof(nlh));
	if (nlh.nlmsg_type == NLMSG_NOOP) {
		memcpy(&h, buf + NLMSG_HDRLEN, sizeof(h));
		if (h.phase == SHIM_REPLAY) {
			srv.replaying[i] = true;
			srv.begun++;
		} else if (h.phase == SHIM_REPLAYED) {
			srv.replays++;
			srv.replaying[i] = false;
			srv.slow_fd = srv.conn[i];
			if (!srv.slow)
				confirm(srv.conn[i]);
		}
		return;
	}
	*s = (struct seen){.type = nlh.nlmsg_type, .replayed = srv.replaying[i]};
	if (nlh.nlmsg_type == XFRM_MSG_NEWSA || nlh.nlmsg_type == XFRM_MSG_UPDSA) {
		struct xfrm_usersa_info x;

		memcpy(&x, buf + NLMSG_HDRLEN, sizeof(x));
		s->what = x.id.spi;
		s->mark = x.reqid;
	} else if (nlh.nlmsg_type == XFRM_MSG_NEWPOLICY || nlh.nlmsg_type == XFRM_MSG_UPDPOLICY) {
		struct xfrm_userpolicy_info x;

		memcpy(&x, buf + NLMSG_HDRLEN, sizeof(x));
		s->what = x.sel.sport;
		s->mark = x.priority;
	}
	srv.n++;
	a.nlh.nlmsg_seq = nlh.nlmsg_seq;
	if ((nlh.nlmsg_flags & NLM_F_ACK) != 0 && !srv.silent)
		CU_ASSERT_EQUAL(send(srv.conn[i], &a, sizeof(a), MSG_NOSIGNAL), (ssize_t)sizeof(a));
}

/* The controlplane has a turn. */
static void turn(void)
{
	static uint8_t buf[8192];
	int fd = accept4(srv.fd, NULL, NULL, SOCK_NONBLOCK);

	if (fd >= 0) {
		CU_ASSERT_FATAL(srv.conns < 8);
		srv.conn[srv.conns++] = fd;
	}
	for (unsigned int i = 0; i < srv.conns; i++) {
		ssize_t n;

		while (srv.conn[i] > 0 && (n = recv(srv.conn[i], buf, sizeof(buf), 0)) != -1) {
			if (n == 0) {
				close(srv.conn[i]);
				srv.conn[i] = 0;
				srv.closed++;
			} else {
				hear(i, buf, n);
			}
		}
	}
}

#define TURNS_UNTIL(cond)                               \
	do {                                            \
		for (int t_ = 0; t_ < 20000 && !(cond); t_++) { \
			turn();                         \
			if (!(cond))                    \
				usleep(1000);           \
		}                                       \
		CU_ASSERT_FATAL(cond);                  \
	} while (0)

/* --- charon --- */

union body {
	struct xfrm_usersa_info sa;
	struct xfrm_usersa_id sa_id;
	struct xfrm_userpolicy_info policy;
	struct xfrm_userpolicy_id policy_id;
	struct xfrm_usersa_flush flush;
};

/* Returns what sendto() did, its errno negative. */
static int charon_sends(uint16_t type, uint32_t what, uint32_t mark_)
{
	struct {
		struct nlmsghdr nlh;
		union body u;
	} m;

	memset(&m, 0, sizeof(m));
	m.nlh = (struct nlmsghdr){.nlmsg_len = sizeof(m), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK, .nlmsg_seq = ++seq};
	switch (type) {
	case XFRM_MSG_NEWSA:
	case XFRM_MSG_UPDSA:
		m.u.sa.family = AF_INET;
		m.u.sa.id.proto = 50;
		m.u.sa.id.spi = what;
		m.u.sa.reqid = mark_;
		break;
	case XFRM_MSG_DELSA:
		m.u.sa_id.family = AF_INET;
		m.u.sa_id.proto = 50;
		m.u.sa_id.spi = what;
		break;
	case XFRM_MSG_NEWPOLICY:
	case XFRM_MSG_UPDPOLICY:
		m.u.policy.sel.sport = (uint16_t)what;
		m.u.policy.priority = mark_;
		break;
	case XFRM_MSG_DELPOLICY:
		m.u.policy_id.sel.sport = (uint16_t)what;
		break;
	default:
		break;
	}
	return sendto(ask_fd, &m, sizeof(m), 0, NULL, 0) == (ssize_t)sizeof(m) ? 0 : -errno;
}

/* The same with its answer. */
static int charon_asks(uint16_t type, uint32_t what, uint32_t mark_)
{
	struct {
		struct nlmsghdr nlh;
		int error;
	} a = {.error = 1};
	int rc = charon_sends(type, what, mark_);
	ssize_t n = -1;

	if (rc < 0)
		return rc;
	for (int i = 0; i < 20000 && n < 0; i++) {
		turn();
		n = recvfrom(ask_fd, &a, sizeof(a), MSG_DONTWAIT, NULL, NULL);
		if (n < 0)
			usleep(1000);
	}
	CU_ASSERT_EQUAL(n, (ssize_t)sizeof(a));
	CU_ASSERT_EQUAL(a.nlh.nlmsg_seq, seq);
	return a.error;
}

static void begin(void)
{
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK};

	srv_up();
	ask_fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM);
	listen_fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM);
	CU_ASSERT_FATAL(ask_fd > 0 && listen_fd > 0);
	CU_ASSERT_EQUAL(bind(ask_fd, (struct sockaddr *)&nl, sizeof(nl)), 0);
	nl.nl_groups = 1;
	CU_ASSERT_EQUAL(bind(listen_fd, (struct sockaddr *)&nl, sizeof(nl)), 0);
	turn();
}

static void end(void)
{
	(void)charon_asks(XFRM_MSG_FLUSHSA, 0, 0);
	(void)charon_asks(XFRM_MSG_FLUSHPOLICY, 0, 0);
	close(ask_fd);
	close(listen_fd);
	srv_down();
}

/* The controlplane dies, and charon sees it. */
static void dies(void)
{
	uint8_t buf[64];

	srv_down();
	for (int i = 0; i < 3; i++) { /* an answer or a confirmation may be before the end */
		(void)recvfrom(ask_fd, buf, sizeof(buf), MSG_DONTWAIT, NULL, NULL);
		(void)recvfrom(listen_fd, buf, sizeof(buf), MSG_DONTWAIT, NULL, NULL);
	}
}

static void comes_back(void)
{
	srv_up();
	TURNS_UNTIL(srv.replays == 1);
}

/* What the replay says of an SA ('policy': of a policy): its version, 0: nothing. */
static uint32_t said(bool policy, uint32_t what)
{
	uint32_t mark_ = 0;

	for (unsigned int i = 0; i < srv.n; i++) {
		const struct seen *s = &srv.seen[i];

		if (s->replayed && s->what == what && (s->type == XFRM_MSG_NEWPOLICY || s->type == XFRM_MSG_UPDPOLICY) == policy)
			mark_ = mark_ == 0 ? s->mark : UINT32_MAX; /* not twice */
	}
	return mark_;
}

/* --- tests --- */

static void test_deleted_meanwhile(void)
{
	begin();
	for (uint32_t i = 1; i <= 3; i++)
		CU_ASSERT_EQUAL(charon_asks(XFRM_MSG_NEWSA, i, 10 + i), 0);
	for (uint32_t i = 1; i <= 2; i++)
		CU_ASSERT_EQUAL(charon_asks(XFRM_MSG_NEWPOLICY, i, 20 + i), 0);
	dies();
	CU_ASSERT_EQUAL(charon_sends(XFRM_MSG_DELSA, 1, 0), -ECONNREFUSED);
	CU_ASSERT_EQUAL(charon_sends(XFRM_MSG_DELPOLICY, 1, 0), -ECONNREFUSED);
	CU_ASSERT_EQUAL(charon_sends(XFRM_MSG_NEWSA, 4, 14), -ECONNREFUSED); /* charon takes it for refused */
	CU_ASSERT_EQUAL(charon_sends(XFRM_MSG_UPDPOLICY, 2, 29), -ECONNREFUSED);
	comes_back();
	CU_ASSERT(said(false, 2) == 12 && said(false, 3) == 13 && said(true, 2) == 22);
	CU_ASSERT(said(false, 1) == 0 && said(true, 1) == 0 && said(false, 4) == 0);
	CU_ASSERT_EQUAL(srv.n, 3);
	CU_ASSERT_EQUAL(charon_asks(XFRM_MSG_NEWSA, 5, 15), 0); /* and all goes on */
	dies();
	CU_ASSERT_EQUAL(charon_sends(XFRM_MSG_FLUSHSA, 0, 0), -ECONNREFUSED);
	comes_back();
	CU_ASSERT(srv.n == 1 && said(true, 2) == 22);
	end();
}

static void test_not_answered(void)
{
	begin();
	CU_ASSERT_EQUAL(charon_asks(XFRM_MSG_NEWSA, 1, 11), 0);
	srv.silent = true;
	CU_ASSERT_EQUAL(charon_sends(XFRM_MSG_NEWSA, 2, 12), 0);
	turn();
	dies();
	comes_back();
	CU_ASSERT(srv.n == 1 && said(false, 1) == 11);
	/* what it was to replace is there still */
	CU_ASSERT_EQUAL(charon_asks(XFRM_MSG_NEWPOLICY, 1, 21), 0);
	srv.silent = true;
	CU_ASSERT_EQUAL(charon_sends(XFRM_MSG_UPDPOLICY, 1, 22), 0);
	turn();
	dies();
	comes_back();
	CU_ASSERT_EQUAL(said(true, 1), 21);
	srv.error = -EINVAL;
	CU_ASSERT_EQUAL(charon_asks(XFRM_MSG_UPDPOLICY, 1, 23), -EINVAL);
	CU_ASSERT_EQUAL(charon_asks(XFRM_MSG_NEWSA, 1, 13), -EINVAL);
	CU_ASSERT_EQUAL(charon_asks(XFRM_MSG_NEWSA, 3, 13), -EINVAL);
	dies();
	comes_back();
	CU_ASSERT(srv.n == 2 && said(true, 1) == 21 && said(false, 1) == 11);
	CU_ASSERT_EQUAL(charon_asks(XFRM_MSG_UPDPOLICY, 1, 24), 0);
	dies();
	comes_back();
	CU_ASSERT_EQUAL(said(true, 1), 24);
	/* deleted, and the answer never came: charon forgets it all the same */
	srv.silent = true;
	CU_ASSERT_EQUAL(charon_sends(XFRM_MSG_DELSA, 1, 0), 0);
	turn();
	dies();
	comes_back();
	CU_ASSERT(srv.n == 1 && said(true, 1) == 24);
	end();
}

static void *deletes(void *arg)
{
	*(int *)arg = charon_sends(XFRM_MSG_DELSA, 1, 0);
	return NULL;
}

/* The controlplane takes its time over a replay: IKE goes on, and what charon asks for comes after it. */
static void test_slow_replay(void)
{
	struct sockaddr_in lo = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(lo);
	pthread_t thread;
	char buf[8];
	int fd, rc = 1;

	begin();
	CU_ASSERT_EQUAL(charon_asks(XFRM_MSG_NEWSA, 1, 11), 0);
	dies();
	srv_up();
	srv.slow = true;
	TURNS_UNTIL(srv.replays == 1);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, deletes, &rc), 0);
	for (int i = 0; i < 100; i++) {
		fd = socket(AF_INET, SOCK_DGRAM, 0);
		lo.sin_port = 0;
		CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&lo, sizeof(lo)), 0);
		CU_ASSERT_EQUAL(getsockname(fd, (struct sockaddr *)&lo, &len), 0);
		CU_ASSERT_EQUAL(sendto(fd, "ike", 3, 0, (struct sockaddr *)&lo, sizeof(lo)), 3);
		CU_ASSERT_EQUAL(recvfrom(fd, buf, sizeof(buf), 0, NULL, NULL), 3);
		close(fd);
	}
	turn();
	CU_ASSERT(srv.closed == 0 && srv.replays == 1 && srv.n == 1); /* it waits for its word still, as does who deletes */
	confirm(srv.slow_fd);
	TURNS_UNTIL(srv.n == 2);
	CU_ASSERT(srv.seen[0].replayed && srv.seen[1].type == XFRM_MSG_DELSA && !srv.seen[1].replayed);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(rc, 0);
	srv.slow = false;
	/* one that is never confirmed is given up, and done again */
	dies();
	srv_up();
	srv.slow = true;
	TURNS_UNTIL(srv.closed == 1);
	srv.slow = false;
	TURNS_UNTIL(srv.replays >= 2);
	end();
}

static void test_other_sockets(void)
{
	int two[2];
	char c;

	begin();
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, two), 0);
	CU_ASSERT(maybe_mine(ask_fd) && maybe_mine(listen_fd) && !maybe_mine(two[0]) && !maybe_mine(-1) && !maybe_mine(0));
	CU_ASSERT_EQUAL(send(two[0], "x", 1, 0), 1);
	CU_ASSERT_EQUAL(recv(two[1], &c, 1, 0), 1);
	close(two[0]);
	close(two[1]);
	end();
	CU_ASSERT_FALSE(maybe_mine(ask_fd));
}

static int setup(void)
{
	snprintf(path, sizeof(path), "/tmp/rv-shim-%d.sock", (int)getpid());
	return setenv("RAVELIN_XFRM", path, 1);
}

static CU_TestInfo tests[] = {
	{"what charon deletes while the controlplane is away", test_deleted_meanwhile},
	{"what was sent and never answered", test_not_answered},
	{"a replay that takes its time", test_slow_replay},
	{"other sockets are none of ours", test_other_sockets},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("shim", tests, setup, NULL)
