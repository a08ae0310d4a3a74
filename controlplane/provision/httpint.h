/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the HTTP servers: what http.c (listeners, threads, limits) and httpconn.c (one connection) share. */
#ifndef CP_PROVISION_HTTPINT_H
#define CP_PROVISION_HTTPINT_H

#include <event2/event_struct.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "http.h"
#include "httpmsg.h"
#include "inbox.h"
#include "source.h"
#include "thread.h"

#define FILE_MS   30000u /* the longest wait for a file that must be made */
#define DRAIN_MS  2000u  /* after the last answer: until the client closes */
#define RATE_MAX  3      /* times the credit that an answer begins with, which is the most a fast reader saves up */
#define SCRATCH   32768u

enum conn_state {
	CONN_HANDSHAKE,
	CONN_READ,  /* for a request, or between two */
	CONN_FILE,  /* waits for the file */
	CONN_WRITE, /* the socket takes no more */
	CONN_DRAIN, /* answered for the last time: reads what comes until the client closes, so that it sees the answer */
};

enum conn_end {
	END_CLOSED,      /* by the client, or after the answer that said so */
	END_HEADER_TIME, /* no whole header in time */
	END_IDLE,
	END_SLOW,        /* below min_rate */
	END_TLS,         /* handshake or record layer */
	END_ERROR,       /* of the socket */
	END_STOP,
	END_MAX
};

#define STATUSES 14

struct stats { /* written by the thread, read by any */
	_Atomic uint64_t accepted, active, requests, done, bytes, handshakes, refused_total, refused_source, bad_names, errors,
		token_refused;
	_Atomic uint64_t status[STATUSES], ends[END_MAX];
};

#define COUNT_N(t, field, n)                                                                                                 \
	atomic_store_explicit(&(t)->stats.field,                                                                             \
			      atomic_load_explicit(&(t)->stats.field, memory_order_relaxed) + (uint64_t)(n),                 \
			      memory_order_relaxed)
#define COUNT(t, field) COUNT_N(t, field, 1)

struct thread;

struct listener {
	struct thread *t;
	struct event ev;
	struct cp_tls *tls; /* NULL: clear */
	enum cp_http_port which;
	int fd;
};

struct told { /* a trust list whose last bytes the client may still lack */
	struct told *next;
	struct cp_file *file;
	struct cp_file_ask ask;
};

struct conn {
	TAILQ_ENTRY(conn) link;
	struct thread *t;
	struct listener *l;
	struct event rd, wr;
	SSL *ssl;
	int fd;
	uint8_t state;
	bool reading, writing;   /* which events are on */
	bool served;             /* a request was answered: idle_s counts */
	struct cfg_addr from;
	uint64_t since_ms;       /* of the state; CONN_READ with bytes: of the first of them */
	char *buf;               /* of a request that is not whole, or of the next one; exactly buf_len */
	uint32_t buf_len;
	struct cp_http_req req;  /* of the answer under way; its texts are gone */
	struct cp_file_ask ask;
	struct cp_wait *wait;
	struct cp_file *file;    /* NULL: the answer has no part of one */
	size_t at, left;         /* of the file */
	uint64_t moved;          /* bytes of this answer that the socket took */
	uint64_t looked_ms;      /* CONN_WRITE: when its rate was looked at; 0: not yet */
	int64_t taken;           /* bytes that the client had then */
	int64_t credit_ms;       /* it may stall for so long */
	uint16_t head_len, head_at;
	bool whole;              /* the answer is the whole file: its end is worth telling */
	struct told *told;
	char *head;              /* the thread's, or a copy of what the socket has not taken */
};

TAILQ_HEAD(conn_list, conn);

struct thread {
	struct cp_http *http;
	struct event_base *base;
	struct event stop_ev, inbox_ev, tick_ev;
	struct listener listeners[CP_HTTP_PORTS];
	struct conn_list conns;
	struct cp_inbox *inbox;
	struct stats stats;
	struct cp_thread thread;
	bool paused;
	uint64_t now_ms;      /* brought up to date by each event */
	int64_t date_s;
	char date[30];
	char head[CP_HTTP_ANSWER_MAX];
	char scratch[SCRATCH]; /* what is being read, or put together for TLS */
};

struct cp_http {
	struct cp_http_opts o;
	struct cp_sources *sources;
	uint32_t idle_ms, min_rate, header_ms, rate_ms;
	uint16_t port[CP_HTTP_PORTS];
	unsigned n;
	struct thread *threads;
};

uint64_t cp_http_now(struct thread *t);

/** Take over an accepted descriptor whose source was entered. On -ENOMEM both stay the caller's. */
int cp_conn_http_start(struct listener *l, int fd, const struct cfg_addr *from);
void cp_conn_http_end(struct conn *c, enum conn_end why);
/** Is it over its time? Ends it if so. */
void cp_conn_http_tick(struct conn *c);
/** The whole of c->file is with the socket. */
void cp_conn_http_sent(struct conn *c);
/** Tell of the trust lists that went out, if the client has them; 'last': else never. */
void cp_conn_http_tell(struct conn *c, bool last);
/** For cp_inbox_drain(). */
void cp_conn_http_file(void *ctx, void *owner, int rc, struct cp_file *file);
/** Which of stats.status, by its number; the last is "other". */
extern const int cp_http_statuses[STATUSES];
extern const char *const cp_http_ends[END_MAX];

#endif
