/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libravelin-xfrm.so, preloaded into charon: its NETLINK_XFRM sockets become connections to the controlplane's ike.socket, which
 * stands in for the kernel. For kernels without ESP, and where the kernel shall hold no keys.
 *
 *   LD_PRELOAD=libravelin-xfrm.so RAVELIN_XFRM=/run/ravelin/xfrm.sock /usr/lib/ipsec/charon
 *
 * Messages go as they are, one per packet. Ours is one more: NLMSG_NOOP with a struct hello behind the header, which says for which multicast
 * groups a connection listens, and where a replay begins and ends.
 *
 * The controlplane may die and come back: what charon asks meanwhile fails at once, what it listens on is silent, and when the controlplane is
 * there again, it is told each SA and policy that charon holds. That is why the messages that installed them are kept here, in locked memory,
 * wiped when charon deletes them, whether or not anybody is there to hear it: charon itself does not keep the keys, and without them tunnels
 * would be down until re-keyed.
 *
 * What charon does with other sockets goes by without a lock, and none is held while the controlplane is waited for: a replay that takes its time
 * holds up the threads that install SAs, and not IKE.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ike/shim.h"

#define CONNS   16
#define SLOT    1024 /* bytes of a kept message; larger ones are not kept: charon's have 500 */
#define CHUNK   256  /* slots locked at a time */
#define BUCKETS 4096
#define AGAIN_MS 250
#ifndef ACK_MS
#define ACK_MS   20000 /* nothing went on for so long: given up. Whoever died has closed: this is one that is busy with a thousand SAs */
#endif
#define FDS      65536 /* what is above asks the lock */

struct conn {
	int fd;           /* 0: free. Never 0 itself: charon has one */
	uint32_t groups;
	bool bound, down;
	int quiet;        /* down: the other end of what 'fd' is meanwhile */
	struct kept *last; /* what the last request made us keep, */
	struct kept *prior; /* in the place of this one: not in the table, */
	uint32_t last_seq; /* until its answer says that it holds */
};

struct kept {
	struct kept *next; /* of the same hash, or of the free ones */
	uint32_t len, key_len;
	uint8_t key[64];
	uint8_t msg[SLOT];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct conn conns[CONNS];
static struct kept *buckets[BUCKETS], *spare;
static bool mending;
static uint64_t start;
static bool replaying;   /* without the lock: what is kept stays as it is until it is over */
static pthread_cond_t replayed = PTHREAD_COND_INITIALIZER;
static _Atomic(uint32_t) ours[FDS / 32]; /* descriptors that may be in conns */

#define REAL(name) __extension__({                                           \
	static __typeof__(&name) real_;                                       \
	if (real_ == NULL)                                                    \
		real_ = (__typeof__(&name))dlsym(RTLD_NEXT, #name);           \
	real_;                                                                \
})

static struct conn *find(int fd)
{
	for (struct conn *c = conns; fd > 0 && c < conns + CONNS; c++)
		if (c->fd == fd)
			return c;
	return NULL;
}

/* Caller holds the lock. */
static void mark(int fd, bool is)
{
	if (fd < 0 || fd >= FDS)
		return;
	if (is)
		atomic_fetch_or(&ours[fd / 32], 1u << fd % 32);
	else
		atomic_fetch_and(&ours[fd / 32], ~(1u << fd % 32));
}

static bool maybe_mine(int fd)
{
	return fd >= FDS || (fd > 0 && (atomic_load(&ours[fd / 32]) >> fd % 32 & 1) != 0);
}

static bool mine(int fd)
{
	bool is;

	if (!maybe_mine(fd))
		return false;
	pthread_mutex_lock(&lock);
	is = find(fd) != NULL;
	pthread_mutex_unlock(&lock);
	return is;
}

/* --- what charon has installed --- */

static struct kept **bucket(const uint8_t *key, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ key[i]) * 16777619u;
	return &buckets[h % BUCKETS];
}

/* An SA is its SPI, protocol and address; a policy its selector and direction. Returns the key's length, 0: of neither. */
static size_t key_of(const struct nlmsghdr *nlh, const uint8_t *body, size_t len, uint8_t key[64])
{
	struct xfrm_usersa_info sa;
	struct xfrm_usersa_id id;
	struct xfrm_userpolicy_info p;
	struct xfrm_userpolicy_id pid;

	memset(key, 0, 64);
	switch (nlh->nlmsg_type) {
	case XFRM_MSG_NEWSA:
	case XFRM_MSG_UPDSA:
		if (len < sizeof(sa))
			return 0;
		memcpy(&sa, body, sizeof(sa));
		key[0] = sa.id.proto;
		memcpy(key + 4, &sa.id.spi, 4);
		memcpy(key + 8, &sa.id.daddr, sa.family == AF_INET6 ? 16 : 4);
		return 24;
	case XFRM_MSG_DELSA:
		if (len < sizeof(id))
			return 0;
		memcpy(&id, body, sizeof(id));
		key[0] = id.proto;
		memcpy(key + 4, &id.spi, 4);
		memcpy(key + 8, &id.daddr, id.family == AF_INET6 ? 16 : 4);
		return 24;
	case XFRM_MSG_NEWPOLICY:
	case XFRM_MSG_UPDPOLICY:
		if (len < sizeof(p))
			return 0;
		memcpy(&p, body, sizeof(p));
		memcpy(key, &p.sel, sizeof(p.sel));
		key[63] = (uint8_t)(p.dir + 1);
		return 64;
	case XFRM_MSG_DELPOLICY:
		if (len < sizeof(pid))
			return 0;
		memcpy(&pid, body, sizeof(pid));
		memcpy(key, &pid.sel, sizeof(pid.sel));
		key[63] = (uint8_t)(pid.dir + 1);
		return 64;
	default:
		return 0;
	}
}
_Static_assert(sizeof(struct xfrm_selector) < 63, "a policy's key");

static void give(struct kept *k)
{
	if (k == NULL)
		return;
	explicit_bzero(k, sizeof(*k));
	k->next = spare;
	spare = k;
}

/* The last request is over, whatever of it holds. */
static void settle(struct conn *c)
{
	give(c->prior);
	c->last = c->prior = NULL;
}

/* Takes it out of the table; the caller has it now. */
static struct kept *take(struct kept **at)
{
	struct kept *k = *at;

	*at = k->next;
	for (struct conn *c = conns; c < conns + CONNS; c++)
		if (c->last == k)
			settle(c);
	return k;
}

static void drop(struct kept **at)
{
	give(take(at));
}

static struct kept **look(const uint8_t *key, size_t len)
{
	struct kept **at = bucket(key, len);

	while (*at != NULL && ((*at)->key_len != len || memcmp((*at)->key, key, len) != 0))
		at = &(*at)->next;
	return at;
}

static bool more(void)
{
	struct kept *k = mmap(NULL, CHUNK * sizeof(*k), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (k == MAP_FAILED)
		return false;
	mlock(k, CHUNK * sizeof(*k)); /* refused: as charon's own copies of them then */
	madvise(k, CHUNK * sizeof(*k), MADV_DONTDUMP);
	for (int i = 0; i < CHUNK; i++) {
		k[i].next = spare;
		spare = &k[i];
	}
	return true;
}

static void put(struct kept *k)
{
	struct kept **at = bucket(k->key, k->key_len);

	k->next = *at;
	*at = k;
}

/* What the last request wanted does not hold, or nobody knows: what was there before does. */
static void take_back(struct conn *c)
{
	struct kept *k = c->last, *prior = c->prior;

	c->prior = NULL;
	if (k != NULL)
		drop(look(k->key, k->key_len));
	if (prior != NULL)
		put(prior);
	c->last = NULL;
}

static void flush(bool policies)
{
	for (struct kept **b = buckets; b < buckets + BUCKETS; b++)
		for (struct kept **at = b; *at != NULL;)
			if (((*at)->key_len == 64) == policies)
				drop(at);
			else
				at = &(*at)->next;
}

/* 'sent': the controlplane has it. Else only what charon forgets is of interest: it does so without an answer as well. */
static void note(struct conn *c, const void *buf, size_t size, bool sent)
{
	struct nlmsghdr nlh;
	const uint8_t *body = (const uint8_t *)buf + NLMSG_HDRLEN;
	struct kept **at, *k, *prior = NULL;
	uint8_t key[64];
	size_t len;
	bool gone;

	if (size < NLMSG_HDRLEN)
		return;
	memcpy(&nlh, buf, sizeof(nlh));
	gone = nlh.nlmsg_type == XFRM_MSG_DELSA || nlh.nlmsg_type == XFRM_MSG_DELPOLICY;
	if (sent)
		settle(c);
	if (nlh.nlmsg_type == XFRM_MSG_FLUSHSA || nlh.nlmsg_type == XFRM_MSG_FLUSHPOLICY)
		flush(nlh.nlmsg_type == XFRM_MSG_FLUSHPOLICY);
	len = key_of(&nlh, body, size - NLMSG_HDRLEN, key);
	if (len == 0 || (!sent && !gone))
		return;
	at = look(key, len);
	if (*at != NULL)
		prior = take(at);
	if (gone || size > SLOT || (spare == NULL && !more())) {
		give(prior);
		return;
	}
	k = spare;
	spare = k->next;
	k->len = (uint32_t)size;
	k->key_len = (uint32_t)len;
	memcpy(k->key, key, 64);
	memcpy(k->msg, buf, size);
	put(k);
	c->last = k;
	c->prior = prior;
	c->last_seq = nlh.nlmsg_seq;
}

/* What was refused is not held, and what it was to replace still is. */
static void answered(struct conn *c, const void *buf, size_t len)
{
	struct nlmsghdr nlh;
	int err;

	if (c->last == NULL || len < NLMSG_HDRLEN + sizeof(err))
		return;
	memcpy(&nlh, buf, sizeof(nlh));
	memcpy(&err, (const uint8_t *)buf + NLMSG_HDRLEN, sizeof(err));
	if (nlh.nlmsg_type == NLMSG_ERROR && err != 0 && nlh.nlmsg_seq == c->last_seq)
		take_back(c);
	else
		settle(c);
}

/* --- connections --- */

static int dial(void)
{
	const char *path = getenv("RAVELIN_XFRM");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = REAL(socket)(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), big = 4 << 20;

	if (path == NULL)
		path = "/run/ravelin/xfrm.sock";
	if (fd < 0 || strlen(path) >= sizeof(to.sun_path)) {
		if (fd >= 0)
			REAL(close)(fd);
		return -1;
	}
	memcpy(to.sun_path, path, strlen(path));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	/* Without blocking: where many wait to be let in nobody lets in. */
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || fcntl(fd, F_SETFL, 0) < 0) {
		REAL(close)(fd);
		return -1;
	}
	return fd;
}

/* False: it went wrong, or there was no room, with 'wait' for ACK_MS. */
static bool send_soon(int fd, const void *data, size_t len, bool wait)
{
	while (REAL(send)(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
		if (!wait || (errno != EAGAIN && errno != EINTR) || poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, ACK_MS) != 1)
			return false;
	return true;
}

/* Before charon has a second thread. */
__attribute__((constructor)) static void began(void)
{
	struct timespec ts = {.tv_sec = 0};

	clock_gettime(CLOCK_BOOTTIME, &ts);
	start = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool say(int fd, uint32_t groups, uint32_t phase, bool wait)
{
	struct {
		struct nlmsghdr nlh;
		struct shim_hello hello;
	} m = {.nlh = {.nlmsg_len = sizeof(m), .nlmsg_type = NLMSG_NOOP}, .hello = {SHIM_VERSION, groups, phase, (uint32_t)getpid(), start}};

	return send_soon(fd, &m, sizeof(m), wait);
}

/*
 * All that charon holds: SAs first, policies name them. Without NLM_F_ACK: charon's answers were given when it asked. Waits until there is something
 * to read: who sleeps in poll(2) on what this socket replaces is woken once, looks at this one, and if it is silent sleeps on, for ever.
 * The lock is not held; 'replaying' is set.
 */
static bool replay(int fd, uint32_t groups)
{
	bool ok = say(fd, groups, SHIM_REPLAY, true);

	for (int pass = 0; pass < 2; pass++) {
		for (struct kept **b = buckets; ok && b < buckets + BUCKETS; b++) {
			for (struct kept *k = *b; ok && k != NULL; k = k->next) {
				struct nlmsghdr nlh;

				if ((k->key_len == 64) != (pass == 1))
					continue;
				memcpy(&nlh, k->msg, sizeof(nlh));
				nlh.nlmsg_flags = (uint16_t)(nlh.nlmsg_flags & ~NLM_F_ACK);
				nlh.nlmsg_seq = 0;
				memcpy(k->msg, &nlh, sizeof(nlh));
				ok = send_soon(fd, k->msg, k->len, true);
			}
		}
	}
	return ok && say(fd, groups, SHIM_REPLAYED, true) && poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, ACK_MS) == 1;
}

/* 'fd' takes the place of what 'c' was meanwhile, under the number that charon knows it by. Caller holds the lock. */
static void join(struct conn *c, int fd)
{
	int old = c->quiet;

	dup3(fd, c->fd, O_CLOEXEC);
	REAL(close)(fd);
	c->down = false;
	c->quiet = -1;
	if (old >= 0) {
		/* Whoever polls the silent one wakes up, finds nothing, and polls this one. */
		ssize_t n = REAL(send)(old, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);

		(void)n;
		REAL(close)(old);
	}
}

/* The one that listens brings the replay: there is one of it. */
static bool brings(const struct conn *c)
{
	return c->bound && c->groups != 0;
}

/* Connects 'c', which brings no replay, again. Caller holds the lock. */
static bool mend(struct conn *c)
{
	int fd = dial();

	if (fd < 0)
		return false;
	if (c->bound && !say(fd, c->groups, SHIM_BOUND, false)) {
		REAL(close)(fd);
		return false;
	}
	join(c, fd);
	return true;
}

/* The same for the one that does. Caller holds the lock, which is given up meanwhile. */
static void mend_replaying(struct conn *c)
{
	int was = c->fd, fd;
	uint32_t groups = c->groups;
	bool ok;

	replaying = true;
	pthread_mutex_unlock(&lock);
	fd = dial();
	ok = fd >= 0 && replay(fd, groups);
	pthread_mutex_lock(&lock);
	replaying = false;
	pthread_cond_broadcast(&replayed);
	if (ok && c->fd == was && c->down && c->groups == groups)
		join(c, fd);
	else if (fd >= 0)
		REAL(close)(fd);
}

/* Before anything is done to what is kept. Caller holds the lock. */
static void wait_replayed(void)
{
	int state;

	if (!replaying)
		return;
	/* charon ends its threads where they wait: not with our lock. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	while (replaying)
		pthread_cond_wait(&replayed, &lock);
	pthread_setcancelstate(state, NULL);
}

static void *mender(void *arg)
{
	(void)arg;
	for (;;) {
		struct timespec ts = {.tv_nsec = AGAIN_MS * 1000000L};
		bool left = false;

		nanosleep(&ts, NULL);
		pthread_mutex_lock(&lock);
		for (struct conn *c = conns; c < conns + CONNS; c++)
			if (c->fd != 0 && c->down) {
				if (brings(c))
					mend_replaying(c);
				else
					(void)mend(c);
			}
		for (struct conn *c = conns; c < conns + CONNS; c++)
			left |= c->fd != 0 && c->down;
		if (!left)
			mending = false;
		pthread_mutex_unlock(&lock);
		if (!left)
			return NULL;
	}
}

/* Nothing on the other side: silence instead of an end of file, at which charon would spin. Caller holds the lock. */
static void quieten(struct conn *c)
{
	pthread_attr_t attr;
	pthread_t t;
	int pair[2];

	take_back(c);
	if (!c->down && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0) {
		dup3(pair[0], c->fd, O_CLOEXEC);
		REAL(close)(pair[0]);
		c->quiet = pair[1];
		c->down = true;
	}
	if (mending || pthread_attr_init(&attr) != 0)
		return;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	mending = pthread_create(&t, &attr, mender, NULL) == 0;
	pthread_attr_destroy(&attr);
}

/* --- what charon calls --- */

int socket(int domain, int type, int protocol)
{
	int fd;

	if (domain != AF_NETLINK || protocol != NETLINK_XFRM)
		return REAL(socket)(domain, type, protocol);
	fd = dial();
	pthread_mutex_lock(&lock);
	for (struct conn *c = conns; c < conns + CONNS; c++) {
		if (c->fd != 0)
			continue;
		*c = (struct conn){.fd = fd, .quiet = -1};
		if (fd < 0) {
			c->fd = REAL(socket)(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
			if (c->fd < 0)
				c->fd = 0;
			else
				quieten(c);
		}
		fd = c->fd > 0 ? c->fd : -1;
		mark(fd, true);
		pthread_mutex_unlock(&lock);
		return fd;
	}
	pthread_mutex_unlock(&lock);
	if (fd >= 0)
		REAL(close)(fd);
	errno = EMFILE;
	return -1;
}

int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_nl nl = {.nl_groups = 0};
	struct conn *c;

	if (!maybe_mine(fd))
		return REAL(bind)(fd, addr, len);
	pthread_mutex_lock(&lock);
	wait_replayed();
	c = find(fd);
	if (c != NULL) {
		memcpy(&nl, addr, len < sizeof(nl) ? len : sizeof(nl));
		c->groups = nl.nl_groups;
		c->bound = true;
		if (!c->down && !say(fd, c->groups, SHIM_BOUND, false))
			quieten(c);
	}
	pthread_mutex_unlock(&lock);
	return c != NULL ? 0 : REAL(bind)(fd, addr, len);
}

int setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	return level == SOL_NETLINK && mine(fd) ? 0 : REAL(setsockopt)(fd, level, name, val, len);
}

int close(int fd)
{
	struct conn *c;

	if (!maybe_mine(fd))
		return REAL(close)(fd);
	pthread_mutex_lock(&lock);
	wait_replayed();
	c = find(fd);
	if (c != NULL) {
		if (c->quiet >= 0)
			REAL(close)(c->quiet);
		settle(c);
		*c = (struct conn){.fd = 0};
		mark(fd, false);
	}
	pthread_mutex_unlock(&lock);
	return REAL(close)(fd);
}

ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
	struct conn *c;
	ssize_t n = -1;

	if (!maybe_mine(fd))
		return REAL(sendto)(fd, buf, len, flags, to, to_len);
	pthread_mutex_lock(&lock);
	wait_replayed();
	c = find(fd);
	if (c == NULL) {
		pthread_mutex_unlock(&lock);
		return REAL(sendto)(fd, buf, len, flags, to, to_len);
	}
	for (int again = 0; n < 0 && again < 2; again++) {
		if (c->down && (brings(c) || !mend(c)))
			break;
		n = REAL(send)(fd, buf, len, flags | MSG_NOSIGNAL | MSG_DONTWAIT); /* one is under way at a time: there is room */
		if (n == (ssize_t)len)
			note(c, buf, len, true);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			quieten(c);
		else
			break;
	}
	if (n < 0)
		note(c, buf, len, false);
	if (c->down) {
		n = -1;
		errno = ECONNREFUSED;
	}
	pthread_mutex_unlock(&lock);
	return n;
}

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	return mine(fd) ? sendto(fd, buf, len, flags, NULL, 0) : REAL(send)(fd, buf, len, flags);
}

static bool noop(const void *buf)
{
	struct nlmsghdr nlh;

	memcpy(&nlh, buf, sizeof(nlh));
	return nlh.nlmsg_type == NLMSG_NOOP;
}

ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *from_len)
{
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK};
	struct conn *c;
	ssize_t n;

	if (!mine(fd))
		return REAL(recvfrom)(fd, buf, len, flags, from, from_len);
	n = REAL(recv)(fd, buf, len, flags);
	if (n == 1 && len > 1) { /* the silent one's last word */
		errno = EAGAIN;
		return -1;
	}
	if (n >= (ssize_t)NLMSG_HDRLEN && noop(buf)) { /* the server's word that it has the replay: not charon's */
		if (flags & MSG_DONTWAIT) {
			errno = EAGAIN;
			return -1;
		}
		return recvfrom(fd, buf, len, flags, from, from_len);
	}
	pthread_mutex_lock(&lock);
	wait_replayed();
	c = find(fd);
	if (c != NULL && n > 0) {
		answered(c, buf, (size_t)n);
	} else if (c != NULL && (n == 0 || (errno != EAGAIN && errno != EINTR))) {
		quieten(c);
		n = -1;
		errno = flags & MSG_DONTWAIT ? EAGAIN : ECONNRESET;
	}
	pthread_mutex_unlock(&lock);
	if (n > 0 && from != NULL && from_len != NULL) {
		memcpy(from, &nl, *from_len < sizeof(nl) ? *from_len : sizeof(nl));
		*from_len = sizeof(nl);
	}
	return n;
}

ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	return mine(fd) ? recvfrom(fd, buf, len, flags, NULL, NULL) : REAL(recv)(fd, buf, len, flags);
}

/* What compilers with _FORTIFY_SOURCE make of the two. */
ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t size, int flags, struct sockaddr *from, socklen_t *from_len);
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t size, int flags);

ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t size, int flags, struct sockaddr *from, socklen_t *from_len)
{
	if (len > size)
		abort();
	return recvfrom(fd, buf, len, flags, from, from_len);
}

ssize_t __recv_chk(int fd, void *buf, size_t len, size_t size, int flags)
{
	if (len > size)
		abort();
	return recv(fd, buf, len, flags);
}
