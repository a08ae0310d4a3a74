/* SPDX-License-Identifier: BSD-3-Clause */
/* One connection: first byte, TLS, frames, sending, draining. */
#include "conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/bufferevent_struct.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "log.h"

#define DRAIN_MS 2000

static void move(struct cp_conn *c, enum cp_conn_list to, uint64_t limit_ms)
{
	struct cp_net *net = c->l->net;

	TAILQ_REMOVE(&net->list[c->list], c, link);
	c->list = (uint8_t)to;
	c->deadline_ms = cp_net_now(net) + limit_ms;
	TAILQ_INSERT_TAIL(&net->list[to], c, link);
}

static void leave_preauth(struct cp_conn *c)
{
	struct cp_net *net = c->l->net;

	if (c->src == NULL)
		return;
	cp_room_known(net->room, c->src);
	c->src = NULL;
	net->stats.preauth--;
	cp_net_may_accept(net);
}

void cp_conn_doom(struct cp_conn *c, enum cp_close why)
{
	if (c->list == CP_CONN_DOOMED)
		return;
	if (c->list != CP_CONN_DRAIN)
		c->why = (uint8_t)why;
	if (c->bev != NULL)
		bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	move(c, CP_CONN_DOOMED, 0);
	event_active(c->l->net->doomed_ev, EV_TIMEOUT, 1);
}

void cp_net_bury(struct cp_net *net)
{
	struct cp_conn *c;

	while ((c = TAILQ_FIRST(&net->list[CP_CONN_DOOMED])) != NULL) {
		void *user = c->user;

		c->user = NULL;
		if (user != NULL)
			c->l->ops->closed(user, c->why);
		TAILQ_REMOVE(&net->list[CP_CONN_DOOMED], c, link);
		leave_preauth(c);
		if (c->peek != NULL)
			event_free(c->peek);
		if (c->handshaken)
			cp_tls_part(bufferevent_openssl_get_ssl(c->bev));
		if (c->bev != NULL)
			bufferevent_free(c->bev); /* with the SSL and the descriptor */
		else
			close(c->fd);
		cp_tls_peer_fini(&c->tls_peer);
		net->stats.closed[c->why]++;
		net->stats.conns--;
		cp_room_leave(net->room);
		free(c);
	}
	ERR_clear_error();
}

/* The protocol gets it. False: it does not want it. */
static bool open_up(struct cp_conn *c)
{
	move(c, CP_CONN_PREAUTH, c->l->net->opts.auth_ms);
	c->user = c->l->ops->opened(c->l->ctx, c);
	if (c->user == NULL)
		cp_conn_close(c);
	return c->user != NULL;
}

/* --- reading --- */

static void bad_frame(struct cp_conn *c)
{
	char text[64];

	cfg_log_limited(CFG_LOG_WARN, "bad-frame", "from=%s what=length",
	                cfg_addr_print(&c->peer, text, sizeof(text)));
	cp_conn_doom(c, CP_CLOSE_BAD_FRAME);
}

/* The known come before strangers. Not while its event waits for its turn: libevent refuses that, and it is tried again. */
static void go_first(struct cp_conn *c)
{
	if (c->list == CP_CONN_AUTHED && !c->raised && c->l->net->low >= 0 && c->bev != NULL)
		c->raised = bufferevent_priority_set(c->bev, CP_NET_DEFAULT) == 0;
}

static bool put_aside(struct event *ev, short what)
{
	return event_pending(ev, what, NULL) != 0 && event_del(ev) == 0;
}

void cp_conn_raise(struct cp_conn *c)
{
	bool reads, writes;

	if (c->raised)
		return;
	if (c->bev == NULL) { /* no byte of it was seen yet */
		(void)event_del(c->peek);
		c->raised = event_priority_set(c->peek, CP_NET_DEFAULT) == 0;
		if (event_add(c->peek, NULL) != 0)
			cp_conn_doom(c, CP_CLOSE_LOCAL);
		return;
	}
	/* Their priority cannot be changed while they wait for their turn: so they are taken out of the queue. */
	reads = put_aside(&c->bev->ev_read, EV_READ);
	writes = put_aside(&c->bev->ev_write, EV_WRITE);
	c->raised = bufferevent_priority_set(c->bev, CP_NET_DEFAULT) == 0;
	if ((reads && event_add(&c->bev->ev_read, NULL) != 0) || (writes && event_add(&c->bev->ev_write, NULL) != 0))
		cp_conn_doom(c, CP_CLOSE_LOCAL);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct cp_conn *c = arg;
	const struct cp_net_ops *ops = c->l->ops;
	struct evbuffer *in = bufferevent_get_input(bev);

	go_first(c);
	while (c->list < CP_CONN_DRAIN && !c->held) {
		size_t have = evbuffer_get_length(in), total = 0;
		uint8_t head[16];
		ev_ssize_t n = evbuffer_copyout(in, head, sizeof(head));
		const uint8_t *frame;
		int rc;

		if (n <= 0)
			return;
		rc = ops->frame_len(head, (size_t)n, &total);
		if (rc == -EAGAIN)
			return;
		if (rc != 0 || total > ops->frame_max || total == 0) {
			bad_frame(c);
			return;
		}
		if (have < total)
			return;
		frame = evbuffer_pullup(in, (ev_ssize_t)total);
		if (frame == NULL) {
			cp_conn_doom(c, CP_CLOSE_LOCAL);
			return;
		}
		c->l->net->stats.frames++;
		if (c->user == NULL && !open_up(c))
			return;
		ops->frame(c->user, frame, total);
		evbuffer_drain(in, total);
	}
	if (c->list >= CP_CONN_DRAIN) /* closing: nobody wants it. Held: libevent reads on until the watermark */
		evbuffer_drain(in, evbuffer_get_length(in));
}

/* All is sent: tell the peer, and wait for its end so that no reset destroys our last words. */
static void half_close(struct cp_conn *c)
{
	SSL *ssl = bufferevent_openssl_get_ssl(c->bev);

	if (c->half_closed)
		return;
	c->half_closed = true;
	if (ssl != NULL && c->handshaken)
		SSL_shutdown(ssl);
	ERR_clear_error();
	shutdown(bufferevent_getfd(c->bev), SHUT_WR);
}

static void on_written(struct bufferevent *bev, void *arg)
{
	struct cp_conn *c = arg;

	if (c->list == CP_CONN_DRAIN && evbuffer_get_length(bufferevent_get_output(bev)) == 0)
		half_close(c);
}

static void handshake_failed(struct cp_conn *c, short what)
{
	struct cp_net *net = c->l->net;
	unsigned long err = bufferevent_get_openssl_error(c->bev), e;
	enum cp_tls_fail why = cp_tls_why(&c->tls_peer, err);
	char text[64], reason[128] = "";

	for (e = err; e != 0; e = bufferevent_get_openssl_error(c->bev))
		if (why == CP_TLS_FAIL_PROTOCOL || cp_tls_why(&c->tls_peer, e) == CP_TLS_FAIL_NO_CERT)
			why = cp_tls_why(&c->tls_peer, e);
	net->stats.tls_failed[why]++;
	if (why != CP_TLS_FAIL_PROTOCOL && c->l->ops->cert_refused != NULL) {
		c->l->ops->cert_refused(c->l->ctx, &c->peer, why, c->tls_peer.verify_err,
		                        c->tls_peer.leaf);
		return;
	}
	if (err != 0)
		ERR_error_string_n(err, reason, sizeof(reason));
	cfg_log_limited(CFG_LOG_WARN, "tls-handshake-failed", "from=%s why=%s end=%s",
	                cfg_addr_print(&c->peer, text, sizeof(text)),
	                err != 0 ? cfg_q(reason) : cp_tls_fail_name(why),
	                (what & BEV_EVENT_EOF) != 0 ? "eof" : "error");
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct cp_conn *c = arg;

	(void)bev;
	if ((what & BEV_EVENT_CONNECTED) != 0) {
		c->handshaken = true;
		c->l->net->stats.handshakes++;
		if (c->l->ops->server_first && c->list < CP_CONN_DRAIN)
			open_up(c);
		return;
	}
	if (c->l->tls != NULL && !c->handshaken) {
		handshake_failed(c, what);
		cp_conn_doom(c, CP_CLOSE_TLS);
		return;
	}
	cp_conn_doom(c, CP_CLOSE_PEER);
}

/* The first bytes are there: only now the connection gets buffers and TLS state. */
static void on_first_byte(evutil_socket_t fd, short what, void *arg)
{
	struct cp_conn *c = arg;
	struct cp_net *net = c->l->net;
	uint8_t first[3] = {0};
	ssize_t n = recv(fd, first, sizeof(first), MSG_PEEK);
	bool looks_tls = n >= 1 && first[0] == 0x16 && (n < 2 || first[1] == 0x03);
	char text[64];

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		event_add(c->peek, NULL);
		return;
	}
	if (n <= 0) {
		cp_conn_doom(c, CP_CLOSE_PEER);
		return;
	}
	if (c->l->tls != NULL) {
		SSL *ssl = looks_tls ? cp_tls_accept(c->l->tls, &c->tls_peer) : NULL;

		if (ssl == NULL) {
			net->stats.not_tls += !looks_tls;
			cfg_log_limited(CFG_LOG_WARN,
			                looks_tls ? "tls-not-ready" : "clear-on-tls-port",
			                "from=%s", cfg_addr_print(&c->peer, text, sizeof(text)));
			cp_conn_doom(c, CP_CLOSE_TLS);
			return;
		}
		c->bev = bufferevent_openssl_socket_new(
			net->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
		if (c->bev == NULL)
			SSL_free(ssl);
	} else {
		if (looks_tls && n > 1) {
			net->stats.tls_on_clear++;
			cfg_log_limited(CFG_LOG_WARN, "tls-on-clear-port", "from=%s",
			                cfg_addr_print(&c->peer, text, sizeof(text)));
			cp_conn_doom(c, CP_CLOSE_BAD_FRAME);
			return;
		}
		c->bev = bufferevent_socket_new(net->base, fd, BEV_OPT_CLOSE_ON_FREE);
	}
	if (c->bev == NULL) {
		cp_conn_doom(c, CP_CLOSE_LOCAL);
		return;
	}
	event_free(c->peek);
	c->peek = NULL;
	if (net->low >= 0 && !c->raised)
		bufferevent_priority_set(c->bev, net->low);
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, 2 * c->l->ops->frame_max);
	bufferevent_set_max_single_read(c->bev, (ev_ssize_t)(2 * c->l->ops->frame_max));
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	if (c->l->ops->server_first && c->l->tls == NULL)
		open_up(c);
}

/* Two of three parts of the time idle, then three probes. */
static void watch_for_death(int fd, unsigned dead_s)
{
	int on = 1, idle = (int)(dead_s * 2 / 3), each = (int)(dead_s / 9), probes = 3, ms = (int)dead_s * 1000;

	idle = idle > 0 ? idle : 1;
	each = each > 0 ? each : 1;
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &each, sizeof(each));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms)); /* what it owes an answer to */
}

int cp_conn_start(struct cp_listener *l, int fd, const struct cfg_addr *peer,
                  const struct cfg_addr *local, struct cp_source *src)
{
	struct cp_net *net = l->net;
	struct cp_conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	*c = (struct cp_conn){
		.l = l, .fd = fd, .peer = *peer, .local = *local, .list = CP_CONN_HANDSHAKE};
	c->peek = event_new(net->base, fd, EV_READ, on_first_byte, c);
	if (c->peek != NULL)
		cp_net_low(net, c->peek);
	if (c->peek == NULL || event_add(c->peek, NULL) != 0) {
		if (c->peek != NULL)
			event_free(c->peek);
		free(c);
		return -ENOMEM;
	}
	if (l->ops->dead_s != 0)
		watch_for_death(fd, l->ops->dead_s);
	c->src = src;
	c->deadline_ms = cp_net_now(net) + net->opts.handshake_ms;
	TAILQ_INSERT_TAIL(&net->list[CP_CONN_HANDSHAKE], c, link);
	net->stats.conns++;
	net->stats.preauth++;
	cp_net_share(net);
	return 0;
}

/* --- for the protocol --- */

static void wipe_free(const void *data, size_t len, void *extra)
{
	(void)data;
	OPENSSL_cleanse(extra, len);
	free(extra);
}

static void plain_free(const void *data, size_t len, void *extra)
{
	(void)data, (void)len;
	free(extra);
}

/* In a piece of its own. */
static int add_copy(struct evbuffer *out, const uint8_t *data, size_t len, evbuffer_ref_cleanup_cb done)
{
	uint8_t *copy = malloc(len);

	if (copy == NULL)
		return -1;
	memcpy(copy, data, len);
	if (evbuffer_add_reference(out, copy, len, done, copy) == 0)
		return 0;
	done(copy, len, copy);
	return -1;
}

static int send_bytes(struct cp_conn *c, const uint8_t *data, size_t len, bool secret)
{
	struct evbuffer *out;
	char text[64];

	if (c->list >= CP_CONN_DRAIN || c->bev == NULL)
		return -ENOTCONN;
	out = bufferevent_get_output(c->bev);
	if (evbuffer_get_length(out) + len > c->l->net->opts.out_max) {
		cfg_log_limited(CFG_LOG_WARN, "slow-reader", "from=%s waiting=%zu",
		                cfg_addr_print(&c->peer, text, sizeof(text)),
		                evbuffer_get_length(out));
		cp_conn_doom(c, CP_CLOSE_SLOW);
		return -ENOTCONN;
	}
	if ((secret ? add_copy(out, data, len, wipe_free) : evbuffer_add(out, data, len)) == 0)
		return 0;
	cp_conn_doom(c, CP_CLOSE_LOCAL);
	return -ENOTCONN;
}

/* Written: how much, or a negative errno. */
static ssize_t write_now(struct cp_conn *c, SSL *ssl, const uint8_t *data, size_t len)
{
	ssize_t n;
	int err;

	if (ssl == NULL) {
		n = send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	ERR_clear_error();
	n = SSL_write(ssl, data, (int)len);
	err = n == (ssize_t)len ? SSL_ERROR_NONE : SSL_get_error(ssl, (int)n);
	ERR_clear_error();
	return err == SSL_ERROR_NONE ? n : err == SSL_ERROR_WANT_WRITE || err == SSL_ERROR_WANT_READ ? 0 : -EPIPE;
}

int cp_conn_send_at_once(struct cp_conn *c, const uint8_t *data, size_t len)
{
	SSL *ssl;
	ssize_t n;

	if (c->list >= CP_CONN_DRAIN || c->bev == NULL || evbuffer_get_length(bufferevent_get_output(c->bev)) > 0 ||
	    (c->l->tls != NULL && !c->handshaken))
		return cp_conn_send(c, data, len);
	ssl = bufferevent_openssl_get_ssl(c->bev);
	n = write_now(c, ssl, data, len);
	if (n == (ssize_t)len)
		return 0;
	if (n < 0) {
		cp_conn_doom(c, CP_CLOSE_PEER);
		return -ENOTCONN;
	}
	if (ssl == NULL)
		return cp_conn_send(c, data + n, len - (size_t)n);
	/* OpenSSL holds the record, and wants the same bytes again: in a piece of their own, as libevent writes piece by piece. */
	if (add_copy(bufferevent_get_output(c->bev), data, len, plain_free) == 0)
		return 0;
	cp_conn_doom(c, CP_CLOSE_LOCAL);
	return -ENOTCONN;
}

int cp_conn_send(struct cp_conn *conn, const uint8_t *data, size_t len)
{
	return send_bytes(conn, data, len, false);
}

int cp_conn_send_secret(struct cp_conn *conn, const uint8_t *data, size_t len)
{
	return send_bytes(conn, data, len, true);
}

void cp_conn_close(struct cp_conn *c)
{
	int on = 1;

	if (c->list >= CP_CONN_DRAIN)
		return;
	if (c->bev == NULL) {
		cp_conn_doom(c, CP_CLOSE_LOCAL);
		return;
	}
	c->why = CP_CLOSE_LOCAL;
	move(c, CP_CONN_DRAIN, DRAIN_MS);
	/* What waits, TLS's end and TCP's in one packet: half_close() pushes it out. */
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	if (evbuffer_get_length(bufferevent_get_output(c->bev)) == 0)
		half_close(c);
}

void cp_conn_authed(struct cp_conn *c)
{
	if (c->list >= CP_CONN_AUTHED)
		return;
	leave_preauth(c);
	move(c, CP_CONN_AUTHED, 0);
	go_first(c);
}

void cp_conn_hold(struct cp_conn *c, bool hold)
{
	bool go_on = c->held && !hold;

	c->held = hold;
	if (go_on && c->bev != NULL)
		on_read(c->bev, c);
}

const struct cfg_addr *cp_conn_peer(const struct cp_conn *c)
{
	return &c->peer;
}

const struct cfg_addr *cp_conn_local(const struct cp_conn *c)
{
	return &c->local;
}

const SSL *cp_conn_ssl(const struct cp_conn *c)
{
	return c->l->tls != NULL && c->handshaken ? bufferevent_openssl_get_ssl(c->bev) : NULL;
}

X509 *cp_conn_cert(const struct cp_conn *c)
{
	const SSL *ssl = cp_conn_ssl(c);

	return ssl != NULL ? SSL_get0_peer_certificate(ssl) : NULL;
}
