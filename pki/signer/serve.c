/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "file.h"
#include "log.h"
#include "serve.h"
#include "signer.h"
#include "state.h"

#define CLIENTS_MAX 16
#define PASSED_MAX  (17 * 1024 * 1024) /* bytes in a descriptor: sgn.h's largest body and a head */

struct pki_serve {
	struct pki_state *state;
	int listen_fd;
	struct sockaddr_un addr;
	struct {
		int fd;
		pid_t pid;
	} client[CLIENTS_MAX];
	unsigned clients;
	/* One request at a time; both may hold secrets. */
	uint8_t req[PKI_SIGNER_MSG_MAX];
	uint8_t reply[PKI_SIGNER_MSG_MAX];
};

/* Is anyone behind the socket that is there? */
static bool answered(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool yes = fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0;

	if (fd >= 0)
		close(fd);
	return yes;
}

int pki_serve_create(struct pki_state *state, const char *run_dir, struct pki_serve **ret_serve)
{
	struct pki_serve *s = calloc(1, sizeof(*s));
	mode_t old;
	int rc;

	if (s == NULL)
		return -ENOMEM;
	s->state = state;
	s->listen_fd = -1;
	s->addr.sun_family = AF_UNIX;
	if (snprintf(s->addr.sun_path, sizeof(s->addr.sun_path), "%s/signer.sock", run_dir) >=
	    (int)sizeof(s->addr.sun_path)) {
		free(s);
		return -ENAMETOOLONG;
	}
	rc = pki_dir_make(run_dir);
	if (rc == 0 && answered(&s->addr))
		rc = -EADDRINUSE;
	if (rc < 0) {
		free(s);
		return rc;
	}
	unlink(s->addr.sun_path);
	s->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	old = umask(0177); /* never, not even for a moment, open to others */
	if (s->listen_fd < 0 ||
	    bind(s->listen_fd, (const struct sockaddr *)&s->addr, sizeof(s->addr)) < 0 ||
	    listen(s->listen_fd, CLIENTS_MAX) < 0)
		rc = -errno;
	umask(old);
	if (rc < 0) {
		if (s->listen_fd >= 0)
			close(s->listen_fd);
		free(s);
		return rc;
	}
	*ret_serve = s;
	return 0;
}

static int peer_check(int fd, pid_t *ret_pid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	if (cred.uid != geteuid() && cred.uid != 0) {
		cfg_log_limited(CFG_LOG_WARN, "peer-refused", "peer_pid=%d peer_uid=%u",
		                (int)cred.pid, cred.uid);
		return -EACCES;
	}
	*ret_pid = cred.pid;
	return 0;
}

/* What a descriptor that came with a request holds: a memfd that nobody can change any more. */
static int map_passed(int fd, struct pki_blob *ret)
{
	static const int sealed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *p;

	if (seals < 0 || (seals & sealed) != sealed || fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > PASSED_MAX)
		return -EBADMSG;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*ret = (struct pki_blob){p, (size_t)st.st_size};
	return 0;
}

/* The descriptor of a message, -1: none. More than one is more than anyone asked for. */
static int take_fd(struct msghdr *msg, bool *ret_bad)
{
	int fd = -1;

	*ret_bad = (msg->msg_flags & MSG_CTRUNC) != 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		int n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (int i = 0; i < n; i++) {
			int got;

			memcpy(&got, CMSG_DATA(c) + (size_t)i * sizeof(int), sizeof(int));
			if (fd < 0 && n == 1)
				fd = got;
			else {
				close(got);
				*ret_bad = true;
			}
		}
	}
	return fd;
}

/* One request of one client. 0, or negative when the connection is to be closed. */
static int one(struct pki_serve *s, int fd, pid_t pid)
{
	struct iovec iov = {s->req, sizeof(s->req)};
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl, .msg_controllen = sizeof(ctl)};
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	struct pki_blob passed = {0};
	size_t len;
	int rc = 0, got;
	bool bad;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	got = take_fd(&msg, &bad);
	if (bad || (got >= 0 && map_passed(got, &passed) < 0)) {
		cfg_log_limited(CFG_LOG_WARN, "descriptor-refused", "peer_pid=%d", (int)pid);
		rc = -EBADMSG;
	} else if ((msg.msg_flags & MSG_TRUNC) != 0) {
		cfg_log_limited(CFG_LOG_WARN, "request-oversize", "peer_pid=%d", (int)pid);
		rc = -EMSGSIZE;
	} else {
		len = pki_serve_answer(s->state, s->req, (size_t)n, got >= 0 ? &passed : NULL,
		                       (int64_t)time(NULL), pid, s->reply);
		if (send(fd, s->reply, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
			rc = -EPIPE;
		OPENSSL_cleanse(s->reply, len);
	}
	if (passed.p != NULL)
		munmap((void *)(uintptr_t)passed.p, passed.len);
	if (got >= 0)
		close(got);
	OPENSSL_cleanse(s->req, (size_t)n);
	return rc;
}

static void admit(struct pki_serve *s)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	pid_t pid = 0;

	if (fd < 0)
		return;
	if (s->clients == CLIENTS_MAX || peer_check(fd, &pid) < 0) {
		if (s->clients == CLIENTS_MAX)
			cfg_log_limited(CFG_LOG_WARN, "too-many-clients", "max=%d", CLIENTS_MAX);
		close(fd);
		return;
	}
	s->client[s->clients].fd = fd;
	s->client[s->clients++].pid = pid;
	cfg_log(CFG_LOG_DEBUG, "client", "peer_pid=%d", (int)pid);
}

int pki_serve_run(struct pki_serve *s, int stop_fd)
{
	struct pollfd pfd[2 + CLIENTS_MAX];

	for (;;) {
		unsigned n = s->clients;

		pfd[0] = (struct pollfd){.fd = stop_fd, .events = POLLIN};
		pfd[1] = (struct pollfd){.fd = s->listen_fd, .events = POLLIN};
		for (unsigned i = 0; i < n; i++)
			pfd[2 + i] = (struct pollfd){.fd = s->client[i].fd, .events = POLLIN};
		if (poll(pfd, 2 + n, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (pfd[0].revents != 0)
			return 0;
		/* From the last: a closed one's place is taken by one that was looked at. */
		for (unsigned i = n; i-- > 0;) {
			if (pfd[2 + i].revents == 0 ||
			    one(s, s->client[i].fd, s->client[i].pid) == 0)
				continue;
			close(s->client[i].fd);
			s->client[i] = s->client[--s->clients];
		}
		if (s->state->unknown)
			return -EUCLEAN;
		if (pfd[1].revents != 0)
			admit(s);
	}
}

void pki_serve_destroy(struct pki_serve *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < s->clients; i++)
		close(s->client[i].fd);
	close(s->listen_fd);
	unlink(s->addr.sun_path);
	OPENSSL_cleanse(s, sizeof(*s));
	free(s);
}

int pki_serve_fd(struct pki_state *state, int fd)
{
	struct pki_serve *s = calloc(1, sizeof(*s));
	pid_t pid = 0;
	int rc;

	if (s == NULL)
		return -ENOMEM;
	s->state = state;
	rc = peer_check(fd, &pid);
	while (rc == 0)
		rc = one(s, fd, pid);
	OPENSSL_cleanse(s, sizeof(*s));
	free(s);
	return rc;
}
