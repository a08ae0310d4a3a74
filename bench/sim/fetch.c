/* SPDX-License-Identifier: BSD-3-Clause */
#include "fetch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EVENTS  256
#define NAME    128
#define HEAD    4096  /* bytes of an HTTP answer's head */
#define BUF     65536 /* read at once */
#define SUB     32    /* histogram: steps of a power of two */
#define BUCKETS (40 * SUB)

struct hist {
	uint64_t n[BUCKETS], cnt;
	double max_us;
};

struct client {
	int fd; /* -1: none */
	unsigned int index;  /* of its source address */
	unsigned int phone;  /* boot: number from 0 */
	unsigned int file;   /* of names */
	bool lost;           /* boot: one of its files did not come */
	char name[NAME];
	double began_us, phone_began_us;
	double due_us;       /* of the repetition; the client is in the list of its slot */
	size_t got;
	uint8_t *kept;       /* with 'save': the bytes that came, kept_room of them fit */
	size_t kept_room;
	/* TFTP */
	bool answered;       /* the server's port is known */
	struct sockaddr_in peer;
	uint16_t block;      /* the last one that came in order */
	unsigned int in_window, window, blksize, tries;
	long tsize;
	uint8_t last[516];   /* what is repeated */
	size_t last_len;
	/* HTTP */
	bool connected, body;
	size_t want, head_len;
	char head[HEAD];
};

struct save {
	char path[512];
	uint8_t *data;
	size_t len;
	bool there;
};

struct fetch {
	const struct sim_fetch_opts *o;
	struct sim_fetch_result *r;
	int ep;
	unsigned int next_phone, running;
	double now_us, end_us;
	struct client *clients;
	struct hist files, phones;
	struct save *last; /* of each of names: what was saved under it before */
	uint8_t *buf;
	int error;
};

static double clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* --- times --- */

static void hist_add(struct hist *h, double us)
{
	unsigned int e = 0, i;
	double v = us < 1 ? 1 : us;

	if (us > h->max_us)
		h->max_us = us;
	for (; v >= 2 && e < 39; v /= 2)
		e++;
	i = e * SUB + (unsigned int)((v - 1) * SUB);
	h->n[i < BUCKETS ? i : BUCKETS - 1]++;
	h->cnt++;
}

static double hist_ms(const struct hist *h, double q)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < BUCKETS; i++) {
		sum += h->n[i];
		if (sum > 0 && (double)sum >= q * (double)h->cnt)
			return (double)(1ull << i / SUB) * (1 + (i % SUB + 0.5) / SUB) / 1e3;
	}
	return 0;
}

/* --- a client's course --- */

static void begin_file(struct fetch *f, struct client *c);

static void drop(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->connected = false;
}

/* The next phone or round, or rest. */
static void begin(struct fetch *f, struct client *c)
{
	if (f->o->phones > 0) {
		if (f->next_phone == f->o->phones || (f->o->seconds > 0 && f->now_us >= f->end_us)) {
			drop(c);
			f->running--;
			return;
		}
		drop(c); /* another phone, from another address */
		c->phone = f->next_phone++;
		c->index = c->phone;
	} else if (f->now_us >= f->end_us) {
		drop(c);
		f->running--;
		return;
	}
	c->file = 0;
	c->lost = false;
	c->phone_began_us = f->now_us;
	begin_file(f, c);
}

static void fail(struct fetch *f, struct client *c, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void fail(struct fetch *f, struct client *c, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	if (f->r->failed++ == 0) {
		n = (size_t)snprintf(f->r->why, sizeof(f->r->why), "%.60s: ", c->name);
		va_start(ap, fmt);
		vsnprintf(f->r->why + n, sizeof(f->r->why) - n, fmt, ap);
		va_end(ap);
	}
	drop(c);
	c->lost = true;
	c->due_us = f->now_us + 1e4; /* not at once: a server that refuses all would spin us */
	c->last_len = 0;
	c->tries = 0;
	c->began_us = 0; /* says: waiting to go on */
}

static void go_on(struct fetch *f, struct client *c)
{
	if (++c->file < f->o->name_cnt) {
		begin_file(f, c);
		return;
	}
	if (f->o->phones > 0 && !c->lost) {
		hist_add(&f->phones, f->now_us - c->phone_began_us);
		f->r->phones++;
	}
	begin(f, c);
}

/* What came, as a file. Most lists are the same for all phones: those become one file of many names. */
static int keep_file(struct fetch *f, const struct client *c)
{
	struct save *last = &f->last[c->file];
	char path[sizeof(last->path)];
	FILE *to;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", f->o->save, c->name);
	if (last->there && strcmp(path, last->path) == 0)
		return 0;
	if (last->there && last->len == c->got && memcmp(last->data, c->kept, c->got) == 0 && link(last->path, path) == 0)
		return 0;
	to = fopen(path, "wxe");
	if (to == NULL)
		return errno == EEXIST ? 0 : -errno;
	ok = fchmod(fileno(to), 0644) == 0 && (c->got == 0 || fwrite(c->kept, 1, c->got, to) == c->got);
	if (fclose(to) != 0 || !ok)
		return -EIO;
	free(last->data);
	last->data = malloc(c->got > 0 ? c->got : 1);
	last->there = last->data != NULL;
	if (!last->there)
		return -ENOMEM;
	memcpy(last->data, c->kept, c->got);
	last->len = c->got;
	memcpy(last->path, path, sizeof(path));
	return 0;
}

static void done(struct fetch *f, struct client *c)
{
	if (f->o->compare != NULL && c->got != f->o->compare_len) {
		fail(f, c, "%zu bytes, not %zu", c->got, f->o->compare_len);
		return;
	}
	if (f->o->save != NULL && f->error == 0)
		f->error = keep_file(f, c);
	f->r->files++;
	f->r->bytes += c->got;
	hist_add(&f->files, f->now_us - c->began_us);
	if (!f->o->http || !f->o->keep_alive)
		drop(c);
	go_on(f, c);
}

/* False: not what was to come. */
static bool take(struct fetch *f, struct client *c, const uint8_t *p, size_t len)
{
	const struct sim_fetch_opts *o = f->o;

	if (len > SIM_FETCH_SIZE - c->got)
		return false;
	if (o->compare != NULL && (len > o->compare_len - c->got || memcmp(p, o->compare + c->got, len) != 0))
		return false;
	if (o->save != NULL) {
		if (c->got + len > c->kept_room) {
			size_t room = (c->got + len) * 2;
			uint8_t *more = realloc(c->kept, room);

			if (more == NULL)
				return false;
			c->kept = more;
			c->kept_room = room;
		}
		memcpy(c->kept + c->got, p, len);
	}
	c->got += len;
	return true;
}

static int open_socket(struct fetch *f, struct client *c, int type)
{
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = f->o->source};
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
	unsigned int step = f->o->sources > 0 ? c->index % f->o->sources : c->index;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (fd < 0)
		return -errno;
	if (type == SOCK_STREAM) {
		ev.events |= EPOLLOUT;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	}
	if (from.sin_addr.s_addr != 0)
		from.sin_addr.s_addr = htonl(ntohl(from.sin_addr.s_addr) + step);
	if ((from.sin_addr.s_addr != 0 && bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0) ||
	    epoll_ctl(f->ep, EPOLL_CTL_ADD, fd, &ev) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	c->fd = fd;
	return 0;
}

/* --- TFTP --- */

static void tftp_send(struct fetch *f, struct client *c, const void *p, size_t len)
{
	if (p != c->last)
		memcpy(c->last, p, len);
	c->last_len = len;
	c->due_us = f->now_us + f->o->timeout_ms * 1e3;
	if (sendto(c->fd, p, len, 0, (struct sockaddr *)&c->peer, sizeof(c->peer)) < 0 && errno != EAGAIN && errno != ENOBUFS)
		fail(f, c, "%s", strerror(errno));
}

static void put_opt(uint8_t *p, size_t *at, const char *name, unsigned int value)
{
	*at += (size_t)sprintf((char *)p + *at, "%s", name) + 1;
	*at += (size_t)sprintf((char *)p + *at, "%u", value) + 1;
}

static void tftp_begin(struct fetch *f, struct client *c)
{
	uint8_t p[516] = {0, 1};
	size_t at = 2;
	int rc = open_socket(f, c, SOCK_DGRAM);

	if (rc < 0) {
		f->error = rc;
		return;
	}
	c->peer = f->o->server;
	c->answered = false;
	c->block = 0;
	c->in_window = 0;
	c->tries = 0;
	c->blksize = 512;
	c->window = 1;
	c->tsize = -1;
	at += (size_t)sprintf((char *)p + at, "%s", c->name) + 1;
	at += (size_t)sprintf((char *)p + at, "octet") + 1;
	if (f->o->blksize > 0 || f->o->windowsize > 0)
		put_opt(p, &at, "tsize", 0);
	if (f->o->blksize > 0)
		put_opt(p, &at, "blksize", f->o->blksize);
	if (f->o->windowsize > 0)
		put_opt(p, &at, "windowsize", f->o->windowsize);
	tftp_send(f, c, p, at);
}

static void tftp_ack(struct fetch *f, struct client *c)
{
	const uint8_t p[4] = {0, 4, (uint8_t)(c->block >> 8), (uint8_t)c->block};

	c->in_window = 0;
	tftp_send(f, c, p, sizeof(p));
}

static bool tftp_oack(struct fetch *f, struct client *c, const char *p, size_t len)
{
	const char *end = p + len;

	while (p < end) {
		const char *name = p, *value;
		size_t n = strnlen(p, (size_t)(end - p));

		if (p + n == end || p + n + 1 == end)
			return false;
		value = p + n + 1;
		n = strnlen(value, (size_t)(end - value));
		if (value + n == end)
			return false;
		p = value + n + 1;
		if (strcasecmp(name, "blksize") == 0)
			c->blksize = (unsigned int)atoi(value);
		else if (strcasecmp(name, "windowsize") == 0)
			c->window = (unsigned int)atoi(value);
		else if (strcasecmp(name, "tsize") == 0)
			c->tsize = atol(value);
	}
	return c->blksize >= 8 && c->blksize <= (f->o->blksize > 0 ? f->o->blksize : 512) && c->window >= 1 &&
	       c->window <= (f->o->windowsize > 0 ? f->o->windowsize : 1);
}

static void tftp_packet(struct fetch *f, struct client *c, const uint8_t *p, size_t len, const struct sockaddr_in *from)
{
	unsigned int op = len >= 4 ? (unsigned int)(p[0] << 8 | p[1]) : 0;
	uint16_t block = len >= 4 ? (uint16_t)(p[2] << 8 | p[3]) : 0;

	if (from->sin_addr.s_addr != c->peer.sin_addr.s_addr || (c->answered && from->sin_port != c->peer.sin_port))
		return; /* nobody we asked */
	if (op == 5) {
		fail(f, c, "error %u %.*s", block, (int)(len - 4 < 80 ? len - 4 : 80), (const char *)p + 4);
		return;
	}
	if (op == 6 && !c->answered) {
		c->peer.sin_port = from->sin_port;
		c->answered = true;
		if (tftp_oack(f, c, (const char *)p + 2, len - 2))
			tftp_ack(f, c);
		else
			fail(f, c, "options that were not asked for");
		return;
	}
	if (op != 3)
		return;
	if (!c->answered) {
		c->peer.sin_port = from->sin_port;
		c->answered = true;
	}
	if (block != (uint16_t)(c->block + 1)) {
		f->r->repeats++;
		if (c->window > 1 && (uint16_t)(block - c->block) < 0x8000 && block != c->block)
			tftp_ack(f, c); /* a hole: the sender begins again behind our block (RFC 7440) */
		return; /* a duplicate is not acknowledged again: only the first ACK of a block makes the next one */
	}
	if (len - 4 > c->blksize || !take(f, c, p + 4, len - 4)) {
		fail(f, c, "block %u is not what it should be", block);
		return;
	}
	c->block = block;
	c->tries = 0;
	if (len - 4 < c->blksize) {
		const uint8_t ack[4] = {0, 4, (uint8_t)(block >> 8), (uint8_t)block};

		(void)sendto(c->fd, ack, sizeof(ack), 0, (struct sockaddr *)&c->peer, sizeof(c->peer));
		if (c->tsize >= 0 && (size_t)c->tsize != c->got)
			fail(f, c, "%zu bytes, tsize said %ld", c->got, c->tsize);
		else
			done(f, c);
	} else if (++c->in_window == c->window) {
		tftp_ack(f, c);
	}
}

static void tftp_event(struct fetch *f, struct client *c)
{
	int fd = c->fd;

	while (c->fd == fd && fd >= 0) {
		struct sockaddr_in from;
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(fd, f->buf, BUF, 0, (struct sockaddr *)&from, &from_len);

		if (n < 0) {
			if (errno == ECONNREFUSED)
				continue;
			return;
		}
		tftp_packet(f, c, f->buf, (size_t)n, &from);
		if (c->window == 1)
			return; /* lock-step: nothing more can be there */
	}
}

/* --- HTTP --- */

static void http_ask(struct fetch *f, struct client *c)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "GET /%s HTTP/1.1\r\nHost: tftp\r\n%s\r\n", c->name,
			 f->o->keep_alive ? "" : "Connection: close\r\n");

	c->head_len = 0;
	c->body = false;
	c->want = 0;
	c->due_us = f->now_us + f->o->timeout_ms * 1e3;
	if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		fail(f, c, "request: %s", strerror(errno));
}

static void http_begin(struct fetch *f, struct client *c)
{
	int rc;

	if (c->fd >= 0) {
		http_ask(f, c);
		return;
	}
	rc = open_socket(f, c, SOCK_STREAM);
	if (rc < 0) {
		f->error = rc;
		return;
	}
	c->due_us = f->now_us + f->o->timeout_ms * 1e3;
	if (connect(c->fd, (const struct sockaddr *)&f->o->server, sizeof(f->o->server)) < 0 && errno != EINPROGRESS)
		fail(f, c, "connect: %s", strerror(errno));
}

/* Head complete: its length, with the status and content length; 0: more is to come; below 0: not HTTP we know. */
static int http_head(struct client *c, const char *end, int *ret_status)
{
	const char *line = c->head;
	bool length = false;

	if (sscanf(c->head, "HTTP/1.1 %d ", ret_status) != 1)
		return -1;
	while ((line = strstr(line, "\r\n")) != NULL && line < end) {
		line += 2;
		if (strncasecmp(line, "Content-Length:", 15) == 0) {
			c->want = strtoul(line + 15, NULL, 10);
			length = true;
		}
	}
	return length && c->want <= SIM_FETCH_SIZE ? 0 : -1;
}

static void http_data(struct fetch *f, struct client *c, const uint8_t *p, size_t len)
{
	size_t before = c->head_len, room = sizeof(c->head) - 1 - before;
	int status = 0;
	char *end;

	if (!c->body) {
		size_t n = len < room ? len : room;

		memcpy(c->head + before, p, n);
		c->head_len += n;
		c->head[c->head_len] = '\0';
		end = strstr(c->head, "\r\n\r\n");
		if (end == NULL) {
			if (c->head_len == sizeof(c->head) - 1)
				fail(f, c, "a head of more than %d bytes", HEAD);
			return;
		}
		if (http_head(c, end, &status) < 0) {
			fail(f, c, "an answer without length");
			return;
		}
		if (status != 200) {
			fail(f, c, "status %d", status);
			return;
		}
		n = (size_t)(end + 4 - c->head) - before; /* of this piece */
		p += n;
		len -= n;
		c->body = true;
	}
	if (len > c->want - c->got || !take(f, c, p, len)) {
		fail(f, c, "the body is not what it should be");
		return;
	}
	if (c->got == c->want)
		done(f, c);
}

static void http_event(struct fetch *f, struct client *c, uint32_t events)
{
	ssize_t n;

	if (!c->connected) {
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
		socklen_t len = sizeof(int);
		int err = 0;

		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
		if (err != 0) {
			fail(f, c, "connect: %s", strerror(err));
			return;
		}
		if (!(events & EPOLLOUT))
			return;
		c->connected = true;
		epoll_ctl(f->ep, EPOLL_CTL_MOD, c->fd, &ev);
		http_ask(f, c);
		return;
	}
	n = recv(c->fd, f->buf, BUF, 0);
	if (n > 0)
		http_data(f, c, f->buf, (size_t)n);
	else if (n == 0 || errno != EAGAIN)
		fail(f, c, "the connection was closed: %s", n == 0 ? "end" : strerror(errno));
}

/* --- all --- */

static void begin_file(struct fetch *f, struct client *c)
{
	char mac[16];
	const char *name = f->o->names[c->file], *at = strstr(name, "%s");

	if (at != NULL) {
		snprintf(mac, sizeof(mac), "%012llX", (unsigned long long)(f->o->first_mac + c->phone));
		snprintf(c->name, sizeof(c->name), "%.*s%s%s", (int)(at - name), name, mac, at + 2);
	} else if (c->name[0] == '\0' || strcmp(c->name, name) != 0) {
		snprintf(c->name, sizeof(c->name), "%s", name);
	}
	c->got = 0;
	c->began_us = f->now_us;
	if (f->o->http)
		http_begin(f, c);
	else
		tftp_begin(f, c);
}

/* Repetitions, clients that wait after a failure, and those given up. Looked through a few times a second: all are few
 * thousand. */
static void look_for_late(struct fetch *f)
{
	for (unsigned int i = 0; i < f->o->parallel; i++) {
		struct client *c = &f->clients[i];

		if (c->began_us == 0 && c->due_us > 0 && f->now_us >= c->due_us) {
			c->due_us = 0;
			go_on(f, c);
		} else if (c->fd >= 0 && f->now_us >= c->due_us) {
			if (f->o->http) {
				fail(f, c, "no answer");
			} else if (++c->tries >= f->o->tries) {
				fail(f, c, "no answer after %u tries, block %u", c->tries, c->block);
			} else {
				f->r->repeats++;
				tftp_send(f, c, c->last, c->last_len);
			}
		}
	}
}

int sim_fetch(const struct sim_fetch_opts *o, const volatile int *stop, struct sim_fetch_result *ret)
{
	struct fetch f = {.o = o, .r = ret, .ep = epoll_create1(EPOLL_CLOEXEC)};
	struct epoll_event ev[EVENTS];
	double start, look = 0;

	*ret = (struct sim_fetch_result){0};
	if (f.ep < 0)
		return -errno;
	f.clients = calloc(o->parallel, sizeof(*f.clients));
	f.buf = malloc(BUF);
	f.last = calloc(SIM_FETCH_FILES, sizeof(*f.last));
	if (f.clients == NULL || f.buf == NULL || f.last == NULL)
		f.error = -ENOMEM;
	start = f.now_us = clock_us();
	f.end_us = start + o->seconds * 1e6;
	f.running = o->parallel;
	for (unsigned int i = 0; i < o->parallel && f.error == 0; i++) {
		f.clients[i].fd = -1;
		f.clients[i].index = i;
		f.clients[i].phone = i;
		begin(&f, &f.clients[i]);
	}
	while (f.running > 0 && f.error == 0 && !*stop) {
		int n = epoll_wait(f.ep, ev, EVENTS, 50);

		f.now_us = clock_us();
		for (int i = 0; i < n && f.error == 0; i++) {
			struct client *c = ev[i].data.ptr;

			if (c->fd < 0)
				continue; /* closed by an event before this one */
			if (o->http)
				http_event(&f, c, ev[i].events);
			else
				tftp_event(&f, c);
		}
		if (f.now_us - look > 5e4) {
			look = f.now_us;
			look_for_late(&f);
		}
	}
	ret->seconds = (clock_us() - start) / 1e6;
	ret->p50_ms = hist_ms(&f.files, 0.5);
	ret->p99_ms = hist_ms(&f.files, 0.99);
	ret->max_ms = f.files.max_us / 1e3;
	ret->phone_p50_ms = hist_ms(&f.phones, 0.5);
	ret->phone_p99_ms = hist_ms(&f.phones, 0.99);
	for (unsigned int i = 0; f.clients != NULL && i < o->parallel; i++) {
		drop(&f.clients[i]);
		free(f.clients[i].kept);
	}
	for (unsigned int i = 0; f.last != NULL && i < SIM_FETCH_FILES; i++)
		free(f.last[i].data);
	free(f.last);
	free(f.clients);
	free(f.buf);
	close(f.ep);
	return f.error;
}
