/* SPDX-License-Identifier: BSD-3-Clause */
/* Phones' connections on loops of their own, joined with sessions by letters. */
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/crypto.h>

#include "log.h"
#include "net/mbox.h"
#include "net/room.h"
#include "session.h"
#include "thread.h"

#define HELD_AT  16384 /* bytes of one phone that call control has not read yet: it has to wait */
#define GO_ON_AT 4096
#define ALONE_MS 100   /* between two keep-alives of a phone that its loop answers alone */
#define STALL_MS 3000  /* call control did nothing for so long */
#define LAST_WORDS_US 200000 /* of a loop that stops: those who talk on must not keep it */
#define TURN     128 /* letters that call control reads before others have their turn */

enum kind {
	/* to call control */
	MAIL_FRAME,
	MAIL_CLOSED,
	MAIL_REFUSED,
	/* to the loop */
	MAIL_SEND,
	MAIL_SEND_SECRET,
	MAIL_CLOSE,
	MAIL_AUTHED,
	MAIL_GO_ON,
	MAIL_FREE,
	MAIL_LISTEN,
};

struct mail {
	struct cp_letter letter; /* first */
	struct seat *seat;       /* NULL: of the loop */
	uint32_t len;            /* of what lies behind it */
	uint8_t kind, why;
};

struct loop {
	struct cp_fronts *fronts;
	struct event_base *base;
	struct cp_net *net;
	struct event *mail_ev, *stop_ev, *publish_ev;
	struct cp_mbox mbox; /* what call control wants */
	struct cp_thread thread;
	bool stop;
	pthread_mutex_t lock; /* of stats */
	struct cp_net_stats stats;
};

/* One connection. It is freed by its loop, by the last letter that call control writes about it. */
struct seat {
	struct loop *loop;
	struct cp_sccp_peer peer; /* its certificate is a reference; constant */
	/* the loop's */
	struct cp_conn *conn; /* NULL: closed */
	bool authed, fast;    /* fast: what it says overtakes strangers */
	struct cp_source *owed; /* a stranger's place, kept until call control has read all of it; or NULL */
	/* call control's */
	struct cp_phone *session;
	bool dead; /* closed, or told to */
	bool known;
	/* both */
	atomic_size_t waiting; /* bytes of frames on their way to call control */
	atomic_bool held;
	atomic_bool here; /* registered: its KeepAlive messages are answered by the loop */
	atomic_uint_fast64_t heard_ms; /* when the last one of these was; 0: none */
	/* letters that must not fail for want of memory */
	struct mail closed, close, authed_mail, free;
};

struct cp_fronts {
	struct cp_sccp *sccp;
	struct cp_room *room;
	struct cp_mbox mbox; /* what loops tell */
	struct event *mail_ev, *alive_ev;
	atomic_uint_fast64_t alive_ms; /* when call control's loop last had a turn */
	unsigned n;
	struct loop loops[];
};

struct refused {
	struct cfg_addr from;
	enum cp_tls_fail why;
	int verify_err;
	X509 *leaf; /* a reference or NULL */
	struct cp_source *owed; /* as in a seat */
};

struct to_listen {
	int fd;
	struct cp_tls *tls;
};

static uint8_t *mail_data(struct mail *m)
{
	return (uint8_t *)(m + 1);
}

static struct mail *mail_new(struct seat *seat, enum kind kind, const void *data, size_t len)
{
	struct mail *m = malloc(sizeof(*m) + len);

	if (m == NULL)
		return NULL;
	m->seat = seat;
	m->kind = (uint8_t)kind;
	m->why = 0;
	m->len = (uint32_t)len;
	if (len > 0)
		memcpy(mail_data(m), data, len);
	return m;
}

/* --- the loop's side --- */

static void tell(struct loop *l, struct mail *m, bool urgent)
{
	cp_mbox_put(&l->fronts->mbox, &m->letter, urgent);
}

static void *front_opened(void *ctx, struct cp_conn *conn)
{
	const SSL *ssl = cp_conn_ssl(conn);
	struct seat *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->loop = ctx;
	s->conn = conn;
	s->peer = (struct cp_sccp_peer){.addr = *cp_conn_peer(conn), .local = *cp_conn_local(conn), .tls = ssl != NULL};
	s->closed = (struct mail){.seat = s, .kind = MAIL_CLOSED};
	s->close = (struct mail){.seat = s, .kind = MAIL_CLOSE};
	s->authed_mail = (struct mail){.seat = s, .kind = MAIL_AUTHED};
	s->free = (struct mail){.seat = s, .kind = MAIL_FREE};
	if (ssl != NULL) {
		s->peer.encrypts = cp_tls_encrypts(ssl);
		s->peer.tls_version = SSL_get_version(ssl);
		s->peer.tls_cipher = SSL_get_cipher_name(ssl);
		s->peer.cert = cp_conn_cert(conn);
		if (s->peer.cert != NULL)
			X509_up_ref(s->peer.cert);
	}
	return s;
}

/* Held, and call control has read enough: true to the one side that lets it go on. */
static bool go_on(struct seat *s)
{
	return atomic_load(&s->waiting) < GO_ON_AT && atomic_exchange(&s->held, false);
}

static uint64_t mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/*
 * A KeepAlive of a registered phone, which is most of what phones say: no letters, and nobody else is woken. Not while something that it
 * said before waits for call control: nothing is overtaken, and who says too much has to wait, who says nothing but this, too. Not if it
 * has a body, or while somebody captures: that is call control's. Not while call control stands still: a phone that cannot call must notice.
 * Call control asks when it was heard when it wants to know, seat_quiet_ms().
 */
static bool keep_alive(struct seat *s, const uint8_t *frame, size_t len)
{
	const struct cp_fronts *f = s->loop->fronts;
	uint64_t now, heard, alive;
	uint8_t ack[CP_SCCP_BUILD_MAX];
	struct cp_sccp_frame msg;

	if (len != CP_SCCP_HDR || !atomic_load(&s->here) || atomic_load(&s->waiting) > 0 || atomic_load(&f->sccp->tapped) ||
	    cp_sccp_frame_parse(frame, len, &msg) != 0 || msg.id != CP_SCCP_KEEPALIVE)
		return false;
	now = mono_ms();
	heard = atomic_load(&s->heard_ms);
	alive = atomic_load(&f->alive_ms);
	if ((heard != 0 && now < heard + ALONE_MS) || now > alive + STALL_MS)
		return false;
	atomic_store(&s->heard_ms, now);
	cp_conn_send_at_once(s->conn, ack, cp_sccp_build_empty(ack, 0, CP_SCCP_KEEPALIVE_ACK)); /* if it cannot be sent it is closing */
	return true;
}

static void front_frame(void *user, const uint8_t *frame, size_t len)
{
	struct seat *s = user;
	struct mail *m;
	size_t all;

	if (keep_alive(s, frame, len))
		return;
	m = mail_new(s, MAIL_FRAME, frame, len);
	if (m == NULL) {
		cp_conn_close(s->conn);
		return;
	}
	/* Order: nothing of it is among the strangers' letters any more. */
	if (s->authed && !s->fast && atomic_load(&s->waiting) == 0)
		s->fast = true;
	all = atomic_fetch_add(&s->waiting, len) + len;
	tell(s->loop, m, s->fast);
	if (all < HELD_AT)
		return;
	atomic_store(&s->held, true);
	if (!go_on(s)) /* else all was read before call control could see that it waits */
		cp_conn_hold(s->conn, true);
}

static void front_closed(void *user, enum cp_close why)
{
	struct seat *s = user;

	s->conn = NULL;
	s->closed.why = (uint8_t)why;
	/* His place is free in a moment: else who comes, talks and goes would fill call control's letters without a bound. */
	if (!s->authed)
		s->owed = cp_room_owe(s->loop->fronts->room, &s->peer.addr);
	tell(s->loop, &s->closed, s->fast);
}

static void front_refused(void *ctx, const struct cfg_addr *from, enum cp_tls_fail why, int verify_err, X509 *leaf)
{
	struct loop *l = ctx;
	struct refused r = {*from, why, verify_err, leaf, cp_room_owe(l->fronts->room, from)};
	struct mail *m = r.owed != NULL ? mail_new(NULL, MAIL_REFUSED, &r, sizeof(r)) : NULL;

	if (m == NULL) {
		if (r.owed != NULL)
			cp_room_known(l->fronts->room, r.owed);
		return;
	}
	if (leaf != NULL)
		X509_up_ref(leaf);
	tell(l, m, false);
}

static const struct cp_net_ops front_ops = {
	.frame_max = CP_SCCP_FRAME_MAX,
	.frame_len = cp_sccp_frame_len,
	.opened = front_opened,
	.frame = front_frame,
	.closed = front_closed,
	.cert_refused = front_refused,
};

static void loop_mail(struct loop *l, struct mail *m)
{
	struct seat *s = m->seat;
	struct to_listen to;

	switch ((enum kind)m->kind) {
	case MAIL_SEND:
		if (s->conn != NULL)
			cp_conn_send(s->conn, mail_data(m), m->len);
		break;
	case MAIL_SEND_SECRET:
		if (s->conn != NULL)
			cp_conn_send_secret(s->conn, mail_data(m), m->len);
		OPENSSL_cleanse(mail_data(m), m->len);
		break;
	case MAIL_GO_ON:
		if (s->conn != NULL)
			cp_conn_hold(s->conn, false);
		break;
	case MAIL_LISTEN:
		memcpy(&to, mail_data(m), sizeof(to));
		if (cp_net_listen_fd(l->net, to.fd, to.tls, &front_ops, l) < 0)
			cfg_log(CFG_LOG_ERR, "cannot-listen", "reason=memory");
		break;
	case MAIL_CLOSE:
		if (s->conn != NULL)
			cp_conn_close(s->conn);
		return; /* part of the seat, as are the next */
	case MAIL_AUTHED:
		s->authed = true;
		if (s->conn != NULL)
			cp_conn_authed(s->conn);
		return;
	case MAIL_FREE:
		if (s->owed != NULL)
			cp_room_known(l->fronts->room, s->owed); /* nets that have stopped accepting look in their next tick */
		X509_free(s->peer.cert);
		free(s);
		return;
	default:
		break;
	}
	free(m);
}

static void on_loop_mail(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	struct cp_letter *m;

	(void)fd;
	(void)what;
	cp_mbox_collect(&l->mbox);
	while ((m = cp_mbox_take(&l->mbox)) != NULL)
		loop_mail(l, (struct mail *)m);
}

static void on_loop_stop(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)what;
	l->stop = true;
	event_base_loopbreak(l->base); /* also while there is always something to read */
}

static void publish(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	l->stats = *cp_net_stats(l->net);
	pthread_mutex_unlock(&l->lock);
}

static void on_publish(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	publish(arg);
}

static void *loop_run(void *arg)
{
	static const struct timeval last_words = {0, LAST_WORDS_US};
	struct loop *l = arg;

	while (!l->stop && event_base_loop(l->base, EVLOOP_ONCE) == 0)
		publish(l);
	/* What call control sent before it stopped is still written: as much as the sockets take. */
	on_loop_mail(-1, 0, l);
	event_base_loopexit(l->base, &last_words);
	event_base_loop(l->base, EVLOOP_NONBLOCK);
	cp_net_destroy(l->net);
	event_base_loop(l->base, EVLOOP_NONBLOCK); /* connections' last events: then libevent frees them */
	l->net = NULL;
	return NULL;
}

/* --- call control's side --- */

static void order(struct seat *s, struct mail *m)
{
	cp_mbox_put(&s->loop->mbox, &m->letter, false);
}

static void seat_close(void *io)
{
	struct seat *s = io;

	if (s->dead)
		return;
	s->dead = true;
	order(s, &s->close);
}

static int seat_send(void *io, const uint8_t *frame, size_t len, bool secret)
{
	struct seat *s = io;
	struct mail *m = s->dead ? NULL : mail_new(s, secret ? MAIL_SEND_SECRET : MAIL_SEND, frame, len);

	if (m == NULL) {
		seat_close(s);
		return -ENOTCONN;
	}
	order(s, m);
	return 0;
}

static void seat_authed(void *io)
{
	struct seat *s = io;

	atomic_store(&s->here, true);
	if (s->known || s->dead)
		return;
	s->known = true;
	order(s, &s->authed_mail);
}

static void seat_left(void *io)
{
	struct seat *s = io;

	atomic_store(&s->here, false);
}

static uint64_t seat_quiet_ms(void *io)
{
	const struct seat *s = io;
	uint64_t heard = atomic_load(&s->heard_ms), now = mono_ms();

	return heard == 0 ? UINT64_MAX : now > heard ? now - heard : 0;
}

static const struct cp_sccp_link seat_link = {seat_send, seat_close, seat_authed, seat_left, seat_quiet_ms};

static void on_frame(struct cp_fronts *f, struct mail *m)
{
	struct seat *s = m->seat;

	if (s->session == NULL && !s->dead) {
		s->session = cp_session_open(f->sccp, &seat_link, s, &s->peer);
		if (s->session == NULL)
			seat_close(s);
	}
	if (s->session != NULL)
		cp_session_frame(s->session, mail_data(m), m->len);
	atomic_fetch_sub(&s->waiting, m->len);
	if (go_on(s)) {
		struct mail *more = mail_new(s, MAIL_GO_ON, NULL, 0);

		if (more != NULL)
			order(s, more);
		else
			seat_close(s);
	}
}

static void on_closed(struct seat *s, enum cp_close why)
{
	static const enum cp_phone_gone gone[CP_CLOSE_MAX] = {
		[CP_CLOSE_PEER] = CP_GONE_CLOSED,        [CP_CLOSE_LOCAL] = CP_GONE_CLOSED,
		[CP_CLOSE_TIMEOUT] = CP_GONE_TIMEOUT,    [CP_CLOSE_TLS] = CP_GONE_CLOSED,
		[CP_CLOSE_BAD_FRAME] = CP_GONE_PROTOCOL, [CP_CLOSE_SLOW] = CP_GONE_PROTOCOL,
		[CP_CLOSE_STOP] = CP_GONE_REMOVED,
	};

	s->dead = true;
	if (s->session != NULL)
		cp_session_closed(s->session, gone[why]);
	s->session = NULL;
	order(s, &s->free); /* behind all that was said to it */
}

static void on_refused(struct cp_fronts *f, struct mail *m)
{
	struct refused r;

	memcpy(&r, mail_data(m), sizeof(r));
	cp_sccp_refuse_handshake(f->sccp, &r.from, r.why, r.verify_err, r.leaf);
	cp_room_known(f->room, r.owed);
	X509_free(r.leaf);
}

/* At most 'max' letters (0: all). */
static void read_mail(struct cp_fronts *f, unsigned max)
{
	struct cp_letter *letter;

	cp_mbox_collect(&f->mbox);
	for (unsigned i = 0; (max == 0 || i < max) && (letter = cp_mbox_take(&f->mbox)) != NULL; i++) {
		struct mail *m = (struct mail *)letter;

		if (m->kind == MAIL_CLOSED) {
			on_closed(m->seat, m->why);
			continue; /* part of the seat */
		}
		if (m->kind == MAIL_FRAME)
			on_frame(f, m);
		else
			on_refused(f, m);
		free(m);
	}
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
	struct cp_fronts *f = arg;

	(void)fd;
	(void)what;
	read_mail(f, TURN);
	/* By the descriptor: an event that is made active by hand runs again before the loop looks at timers and at other descriptors. */
	if (cp_mbox_left(&f->mbox))
		cp_mbox_again(&f->mbox);
}

static void on_alive(evutil_socket_t fd, short what, void *arg)
{
	struct cp_fronts *f = arg;

	(void)fd;
	(void)what;
	atomic_store(&f->alive_ms, mono_ms());
}

/* --- starting and stopping --- */

static int loop_start(struct cp_fronts *f, struct loop *l, const struct cp_net_opts *opts)
{
	static const struct timeval second = {1, 0};
	struct cp_net_opts net = *opts;
	int rc;

	l->fronts = f;
	net.room = f->room;
	l->base = cp_net_base();
	if (l->base == NULL || cp_mbox_init(&l->mbox) < 0 || cp_thread_init(&l->thread) < 0)
		return -ENOMEM;
	rc = cp_net_create(l->base, &net, &l->net);
	if (rc < 0)
		return rc;
	l->mail_ev = event_new(l->base, l->mbox.fd, EV_READ | EV_PERSIST, on_loop_mail, l);
	l->stop_ev = event_new(l->base, l->thread.stop, EV_READ, on_loop_stop, l);
	l->publish_ev = event_new(l->base, -1, EV_PERSIST, on_publish, l);
	if (l->mail_ev == NULL || l->stop_ev == NULL || l->publish_ev == NULL || event_add(l->mail_ev, NULL) != 0 ||
	    event_add(l->stop_ev, NULL) != 0 || event_add(l->publish_ev, &second) != 0)
		return -ENOMEM;
	return cp_thread_start(&l->thread, loop_run, l, "sccp");
}

/* Its thread has ended. */
static void loop_fini(struct loop *l)
{
	struct cp_letter *m;

	if (l->mbox.fd >= 0) { /* seats that go */
		cp_mbox_collect(&l->mbox);
		while ((m = cp_mbox_take(&l->mbox)) != NULL)
			loop_mail(l, (struct mail *)m);
	}
	cp_net_destroy(l->net); /* a thread that was not started */
	if (l->mail_ev != NULL)
		event_free(l->mail_ev);
	if (l->stop_ev != NULL)
		event_free(l->stop_ev);
	if (l->publish_ev != NULL)
		event_free(l->publish_ev);
	if (l->base != NULL)
		event_base_free(l->base);
	cp_mbox_fini(&l->mbox);
	cp_thread_fini(&l->thread);
	pthread_mutex_destroy(&l->lock);
}

int cp_fronts_create(const struct cp_fronts_opts *opts, struct cp_fronts **ret_fronts)
{
	const struct timeval second = {1, 0};
	const struct cp_room_limits max = {opts->net.max_conns, opts->net.max_preauth, opts->net.max_source};
	struct cp_fronts *f = calloc(1, sizeof(*f) + opts->loops * sizeof(f->loops[0]));
	int rc;

	if (f == NULL)
		return -ENOMEM;
	f->sccp = opts->sccp;
	f->n = opts->loops;
	f->mbox.fd = -1;
	for (unsigned i = 0; i < f->n; i++) {
		f->loops[i].mbox.fd = -1;
		f->loops[i].thread = CP_THREAD_NONE;
		pthread_mutex_init(&f->loops[i].lock, NULL);
	}
	rc = cp_room_create(&max, &f->room);
	if (rc == 0)
		rc = cp_mbox_init(&f->mbox);
	if (rc == 0) {
		f->mail_ev = event_new(opts->base, f->mbox.fd, EV_READ | EV_PERSIST, on_mail, f);
		f->alive_ev = event_new(opts->base, -1, EV_PERSIST, on_alive, f);
		rc = f->mail_ev != NULL && event_add(f->mail_ev, NULL) == 0 && f->alive_ev != NULL && event_add(f->alive_ev, &second) == 0
			     ? 0 : -ENOMEM;
		on_alive(-1, 0, f);
	}
	for (unsigned i = 0; i < f->n && rc == 0; i++)
		rc = loop_start(f, &f->loops[i], &opts->net);
	if (rc < 0) {
		cp_fronts_destroy(f);
		return rc;
	}
	*ret_fronts = f;
	return 0;
}

void cp_fronts_destroy(struct cp_fronts *f)
{
	if (f == NULL)
		return;
	for (unsigned i = 0; i < f->n; i++)
		cp_thread_stop(&f->loops[i].thread);
	if (f->mbox.fd >= 0)
		read_mail(f, 0); /* all are closed now */
	for (unsigned i = 0; i < f->n; i++)
		loop_fini(&f->loops[i]);
	if (f->mail_ev != NULL)
		event_free(f->mail_ev);
	if (f->alive_ev != NULL)
		event_free(f->alive_ev);
	cp_mbox_fini(&f->mbox);
	cp_room_destroy(f->room);
	free(f);
}

int cp_fronts_listen(struct cp_fronts *f, const struct cfg_addr *addr, struct cp_tls *tls, uint16_t *ret_port)
{
	int first = cp_net_socket(addr, ret_port), rc = 0;

	if (first < 0)
		return first;
	for (unsigned i = 0; i < f->n && rc == 0; i++) {
		struct to_listen to = {fcntl(first, F_DUPFD_CLOEXEC, 0), tls};
		struct mail *m = to.fd >= 0 ? mail_new(NULL, MAIL_LISTEN, &to, sizeof(to)) : NULL;

		rc = to.fd < 0 ? -errno : m == NULL ? -ENOMEM : 0;
		if (m != NULL)
			cp_mbox_put(&f->loops[i].mbox, &m->letter, false);
		else if (to.fd >= 0)
			close(to.fd);
	}
	close(first);
	return rc;
}

void cp_fronts_stats(struct cp_fronts *f, struct cp_net_stats *ret)
{
	*ret = (struct cp_net_stats){0};
	for (unsigned i = 0; i < f->n; i++) {
		struct loop *l = &f->loops[i];
		struct cp_net_stats one;

		pthread_mutex_lock(&l->lock);
		one = l->stats;
		pthread_mutex_unlock(&l->lock);
		cp_net_stats_add(ret, &one);
	}
}
