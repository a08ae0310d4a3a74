/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctlprov.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/listener.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "admin/admin.h"
#include "alarm.h"
#include "app.h"
#include "clock.h"
#include "config.h"
#include "ctlseat.h"
#include "ctluser.h"
#include "log.h"
#include "net/tls.h"
#include "trust/certs.h"
#include "trust/ctlcmd.h"
#include "trust/lists.h"

struct ask { /* a request that waits for its answer */
	struct ask *next, **at;
	struct cp_ctlprov *p;
	cp_ctlprov_fn fn;
	void *ctx;
	uint64_t seat; /* whose it is; 0: nobody's yet */
	char who[CP_TEXT_MAX];
	char source[64];
};

struct gate { /* counts connections; the last of them may end after the provider */
	struct cp_ctlprov *p; /* NULL: gone */
	struct conn *list;    /* the newest first */
	unsigned conns;
};

struct conn { /* of evhttp, which knows only how long it is silent */
	struct conn *next, **at;
	struct gate *gate;
	struct bufferevent *bev;
	int64_t since_s; /* it was made, or had its last request whole, or its answer */
	char addr[64];   /* "" until it is looked at */
	bool cut;
};

struct cp_ctlprov {
	struct cp_ctlprov_env env;
	struct cp_users *own_users; /* made by cp_ctlprov_create() */
	struct cp_tls *own_tls;
	struct evhttp *http;
	struct evconnlistener *listener;
	struct event *sweep;
	struct cp_seats seats;
	struct ask *asks;
	struct gate *gate;
	bool stopping;
};

/* --- answers --- */

static int status_of(int rc)
{
	switch (rc) {
	case 0:
		return 200;
	case -EACCES:
		return 403;
	case -ENOENT:
		return 404;
	case -EBUSY:
	case -EEXIST:
	case -EPERM:
	case -ESTALE:
		return 409;
	case -EAGAIN:
		return 429;
	case -EINVAL:
	case -EBADMSG:
	case -EMSGSIZE:
		return 400;
	default:
		return 503;
	}
}

/* Sends and frees; 'o' is stolen. */
static void answer(struct ask *a, int status, json_t *o)
{
	char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
	struct cp_seat *s;

	json_decref(o);
	if (a->seat != 0 && (s = cp_seat_by_id(&a->p->seats, a->seat)) != NULL)
		s->asks--;
	if (text == NULL)
		a->fn(a->ctx, 500, "{\"ok\":false}", 12);
	else
		a->fn(a->ctx, status, text, strlen(text));
	if (text != NULL)
		OPENSSL_cleanse(text, strlen(text)); /* it may hold a session's token */
	free(text);
	if (a->next != NULL)
		a->next->at = a->at;
	*a->at = a->next;
	free(a);
}

static void refuse(struct ask *a, int status, const char *code, const char *message)
{
	answer(a, status, json_pack("{s:b,s:{s:s,s:s}}", "ok", 0, "error", "code", code, "message", message));
}

static void done(void *ctx, int rc, const char *why, json_t *result)
{
	struct ask *a = ctx;

	if (rc < 0)
		refuse(a, status_of(rc), cp_admin_code(rc), why);
	else
		answer(a, 200, json_pack("{s:b,s:o}", "ok", 1, "result", result != NULL ? result : json_null()));
}

/* --- sessions --- */

static const char five[] = "five clients configure the CTL already: one of them must log out";

static void logged_in(void *ctx, int rc, const char *name, enum cp_user_role role, const char *why)
{
	struct ask *a = ctx;
	struct cp_seat *s;

	if (rc < 0 || a->p->stopping) {
		refuse(a, rc == -EACCES ? 401 : status_of(rc < 0 ? rc : -ESHUTDOWN), rc == -EACCES ? "denied" : cp_admin_code(rc),
		       rc < 0 ? why : "the appliance is stopping");
		return;
	}
	cp_seats_age(&a->p->seats);
	s = cp_seat_of(&a->p->seats, name);
	if (s == NULL) {
		refuse(a, 503, "full", five);
		return;
	}
	if (cp_seat_token(s) < 0) {
		cp_seat_end(&a->p->seats, s);
		refuse(a, 503, "failed", "no randomness");
		return;
	}
	cp_seat_seen(s);
	cfg_log(CFG_LOG_NOTICE, "ctl-login", "user=%s from=%s", cfg_q(name), a->source);
	answer(a, 200, json_pack("{s:b,s:{s:s,s:s,s:i,s:b}}", "ok", 1, "result", "token", s->token, "role",
				 role == CP_USER_ADMIN ? "admin" : "reader", "seconds", CP_CTLPROV_SESSION_S, "lease",
				 (int)cp_ctlcmd_holds(a->p->env.cmd, s->id)));
}

static void login(struct ask *a, const json_t *args)
{
	const char *user = json_string_value(json_object_get(args, "user"));
	const char *password = json_string_value(json_object_get(args, "password"));

	if (user == NULL || password == NULL || json_object_size(args) != 2)
		refuse(a, 400, "invalid", "login takes user and password");
	else
		cp_users_login(a->p->env.users, user, password, a->source, logged_in, a);
}

/* {data: anything} keeps it; {} gives it back */
static void entered(struct ask *a, struct cp_seat *s, const json_t *args)
{
	json_t *data = json_object_get(args, "data");
	char *text;
	size_t len;

	if (json_object_size(args) > (data != NULL ? 1u : 0u)) {
		refuse(a, 400, "invalid", "entered takes data, or nothing");
		return;
	}
	if (data != NULL) {
		text = json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY);
		len = text != NULL ? strlen(text) : SIZE_MAX;
		free(text);
		if (len > CP_CTLPROV_DATA_MAX) {
			refuse(a, 400, "invalid", "the data entered is too large");
			return;
		}
		json_decref(s->data);
		s->data = json_incref(data);
	}
	answer(a, 200, json_pack("{s:b,s:{s:O}}", "ok", 1, "result", "data", s->data != NULL ? s->data : json_null()));
}

/* --- a request --- */

/* Who asks: the token's session, or the certificate's. NULL: answered. */
static struct cp_seat *authenticate(struct ask *a, const char *authorization, X509 *cert, enum cp_user_role *role)
{
	struct cp_ctlprov *p = a->p;
	struct cp_seat *s = NULL;
	char name[CP_TEXT_MAX];

	cp_seats_age(&p->seats);
	if (authorization != NULL && strncasecmp(authorization, "Bearer ", 7) == 0)
		s = cp_seat_by_token(&p->seats, authorization + 7);
	if (s == NULL && cert != NULL && cp_users_cert(p->env.users, cert, name, role) == 0) {
		s = cp_seat_of(&p->seats, name);
		if (s == NULL) {
			refuse(a, 503, "full", five);
			return NULL;
		}
	}
	if (s != NULL && (cp_users_role(p->env.users, s->name, role) < 0 ||
			  cp_users_made_us(p->env.users, s->name) != s->made_us)) { /* deleted meanwhile, or made anew */
		cp_seat_end(&p->seats, s);
		s = NULL;
	}
	if (s == NULL) {
		refuse(a, 401, "denied", "User could not be authenticated");
		return NULL;
	}
	cp_seat_seen(s);
	s->asks++;
	a->seat = s->id;
	snprintf(a->who, sizeof(a->who), "%s", s->name);
	return s;
}

/* "" for none. */
static void cert_hex(X509 *cert, char ret[65])
{
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	ret[0] = '\0';
	if (cert != NULL && X509_digest(cert, EVP_sha256(), md, &n) == 1)
		for (unsigned i = 0; i < n; i++)
			snprintf(ret + 2 * i, 3, "%02x", md[i]);
}

void cp_ctlprov_input(struct cp_ctlprov *p, const char *path, const char *authorization, const char *source, X509 *cert,
		      const char *body, size_t len, cp_ctlprov_fn fn, void *ctx)
{
	struct ask *a = calloc(1, sizeof(*a));
	json_t *args = NULL;
	enum cp_user_role role = CP_USER_READER;
	struct cp_ctl_asker by = {0};
	char fp[65] = "";
	struct cp_seat *s;
	const char *op;

	if (a == NULL) {
		fn(ctx, 500, "{\"ok\":false}", 12);
		return;
	}
	*a = (struct ask){.next = p->asks, .at = &p->asks, .p = p, .fn = fn, .ctx = ctx};
	if (a->next != NULL)
		a->next->at = &a->next;
	p->asks = a;
	snprintf(a->source, sizeof(a->source), "%s", source);
	if (p->stopping) {
		refuse(a, 503, "unavailable", "the appliance is stopping");
		return;
	}
	if (strncmp(path, "/v1/", 4) != 0 || strlen(path) > 64) {
		refuse(a, 404, "not-found", "Invalid Response: this is protocol version 1; see /v1/version");
		return;
	}
	op = path + 4;
	args = len > CP_CTLPROV_BODY_MAX ? NULL :
	       len == 0			 ? json_object() :
					   json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(args)) {
		cfg_log_limited(CFG_LOG_WARN, "ctl-bad-request", "from=%s op=%s len=%zu", a->source, cfg_q(op), len);
		refuse(a, 400, "invalid", "the body is no JSON object");
	} else if (strcmp(op, "login") == 0) {
		login(a, args);
	} else if ((s = authenticate(a, authorization, cert, &role)) == NULL) {
		; /* it is answered */
	} else if (strcmp(op, "logout") == 0) {
		cp_seat_end(&p->seats, s);
		answer(a, 200, json_pack("{s:b,s:n}", "ok", 1, "result"));
	} else if (strcmp(op, "entered") == 0) {
		entered(a, s, args);
	} else if (cp_ctlcmd_writes(op) && role != CP_USER_ADMIN) {
		refuse(a, 403, "denied", "Invalid Group Name: this user may read only");
	} else {
		cert_hex(cert, fp);
		by = (struct cp_ctl_asker){.who = a->who, .session = s->id, .cert = fp};
		if (!cp_ctlcmd_run(p->env.cmd, op, args, &by, done, a))
			refuse(a, 404, "not-found", "there is no such operation");
	}
	json_decref(args);
}

/* --- HTTPS --- */

struct http_ask {
	struct evhttp_request *req; /* NULL: its connection is gone */
};

static int conns_idx = -1;

static void progress(struct evhttp_connection *conn)
{
	SSL *ssl = bufferevent_openssl_get_ssl(evhttp_connection_get_bufferevent(conn));
	struct conn *c = ssl != NULL ? SSL_get_ex_data(ssl, conns_idx) : NULL;

	if (c != NULL)
		c->since_s = cp_mono_s();
}

static void http_gone(struct evhttp_connection *conn, void *ctx)
{
	struct http_ask *h = ctx;

	(void)conn;
	h->req = NULL;
}

static void http_answer(void *ctx, int status, const char *body, size_t len)
{
	struct http_ask *h = ctx;
	struct evkeyvalq *head;

	if (h->req != NULL) {
		evhttp_connection_set_closecb(evhttp_request_get_connection(h->req), NULL, NULL);
		progress(evhttp_request_get_connection(h->req));
		head = evhttp_request_get_output_headers(h->req);
		evhttp_add_header(head, "Content-Type", "application/json");
		evhttp_add_header(head, "Cache-Control", "no-store");
		if (status == 401)
			evhttp_add_header(head, "WWW-Authenticate", "Bearer");
		evbuffer_add(evhttp_request_get_output_buffer(h->req), body, len);
		evhttp_send_reply(h->req, status, NULL, NULL);
	}
	free(h);
}

static void on_request(struct evhttp_request *req, void *ctx)
{
	struct evhttp_connection *conn = evhttp_request_get_connection(req);
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	SSL *ssl = bufferevent_openssl_get_ssl(evhttp_connection_get_bufferevent(conn));
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
	size_t len = evbuffer_get_length(in);
	struct cp_ctlprov *p = ctx;
	struct http_ask *h;
	char *addr = NULL;
	uint16_t port = 0;
	X509 *cert;

	if (ssl == NULL) { /* a TLS that could not be made: nothing is said in clear */
		evhttp_connection_free(conn);
		return;
	}
	progress(conn);
	if (evhttp_find_header(evhttp_request_get_input_headers(req), "Origin") != NULL) {
		/* From a browser, for a page: it would lend any page the client certificate that it holds. */
		cfg_log_limited(CFG_LOG_WARN, "ctl-bad-request", "reason=origin");
		evhttp_send_reply(req, 403, NULL, NULL);
		return;
	}
	if (evhttp_request_get_command(req) != EVHTTP_REQ_POST) {
		evhttp_add_header(evhttp_request_get_output_headers(req), "Allow", "POST");
		evhttp_send_reply(req, 405, NULL, NULL);
		return;
	}
	h = malloc(sizeof(*h));
	if (h == NULL) {
		evhttp_send_reply(req, 500, NULL, NULL);
		return;
	}
	h->req = req;
	evhttp_connection_get_peer(conn, &addr, &port);
	evhttp_connection_set_closecb(conn, http_gone, h);
	cert = SSL_get1_peer_certificate(ssl);
	cp_ctlprov_input(p, path != NULL ? path : "", evhttp_find_header(evhttp_request_get_input_headers(req), "Authorization"),
			 addr != NULL ? addr : "?", cert, len > 0 ? (const char *)evbuffer_pullup(in, -1) : "", len, http_answer, h);
	X509_free(cert);
}

/* Whoever issued it: which user it is for is in that user's record, which names this very certificate. */
static int any_cert(int ok, X509_STORE_CTX *ctx)
{
	(void)ok;
	X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return 1;
}

static void conn_gone(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
	struct conn *c = ptr;
	struct gate *g;

	(void)parent;
	(void)ad;
	(void)idx;
	(void)argl;
	(void)argp;
	if (c == NULL)
		return;
	g = c->gate;
	if (c->next != NULL)
		c->next->at = c->at;
	*c->at = c->next;
	free(c);
	if (g->conns-- == CP_CTLPROV_CONNS && g->p != NULL && g->p->listener != NULL)
		evconnlistener_enable(g->p->listener);
	if (g->conns == 0 && g->p == NULL)
		free(g);
}

static void addr_of(struct conn *c, evutil_socket_t fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getpeername(fd, (struct sockaddr *)&ss, &len) < 0 ||
	    evutil_inet_ntop(ss.ss_family, ss.ss_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)&ss)->sin6_addr :
								      (void *)&((struct sockaddr_in *)&ss)->sin_addr,
			     c->addr, sizeof(c->addr)) == NULL)
		snprintf(c->addr, sizeof(c->addr), "?");
}

/* Who drips his request, or opens more than his share, keeps no administrator out: evhttp sees the end and closes. */
static void on_sweep(evutil_socket_t fd, short what, void *ctx)
{
	struct cp_ctlprov *p = ctx;
	int64_t now = cp_mono_s();

	(void)what;
	for (struct conn *c = p->gate->list; c != NULL; c = c->next) {
		unsigned older = 0;

		fd = bufferevent_getfd(c->bev);
		if (fd < 0 || c->cut)
			continue;
		if (c->addr[0] == '\0')
			addr_of(c, fd);
		for (const struct conn *o = c->next; o != NULL; o = o->next)
			older += !o->cut && strcmp(o->addr, c->addr) == 0;
		if (older < p->env.source && now - c->since_s <= p->env.request_s)
			continue;
		cfg_log_limited(CFG_LOG_NOTICE, "ctl-connection-cut", "from=%s reason=%s", c->addr,
				older >= p->env.source ? "limit_source" : "slow");
		c->cut = true;
		shutdown(fd, SHUT_RDWR);
	}
}

static struct bufferevent *new_conn(struct event_base *base, void *ctx)
{
	struct cp_ctlprov *p = ctx;
	SSL *ssl = cp_tls_accept(p->env.tls, NULL);
	struct conn *c = calloc(1, sizeof(*c));
	struct bufferevent *bev;

	if (ssl == NULL || c == NULL) {
		SSL_free(ssl);
		free(c);
		return NULL;
	}
	SSL_set_verify(ssl, SSL_VERIFY_PEER, any_cert);
	bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING,
					     BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (bev == NULL) {
		SSL_free(ssl);
		free(c);
		return NULL;
	}
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	*c = (struct conn){.next = p->gate->list, .at = &p->gate->list, .gate = p->gate, .bev = bev, .since_s = cp_mono_s()};
	if (c->next != NULL)
		c->next->at = &c->next;
	p->gate->list = c;
	SSL_set_ex_data(ssl, conns_idx, c);
	if (++p->gate->conns == CP_CTLPROV_CONNS)
		evconnlistener_disable(p->listener);
	return bev;
}

int cp_ctlprov_listen(struct cp_ctlprov *p, const char *address, uint16_t port, uint16_t *ret_port)
{
	static const struct timeval second = {1, 0};
	struct evhttp_bound_socket *sock;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	p->http = evhttp_new(p->env.base);
	p->sweep = event_new(p->env.base, -1, EV_PERSIST, on_sweep, p);
	if (p->http == NULL || p->sweep == NULL || event_add(p->sweep, &second) < 0)
		return -ENOMEM;
	evhttp_set_bevcb(p->http, new_conn, p);
	evhttp_set_gencb(p->http, on_request, p);
	evhttp_set_allowed_methods(p->http, EVHTTP_REQ_POST | EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(p->http, CP_CTLPROV_HEAD_MAX);
	evhttp_set_max_body_size(p->http, CP_CTLPROV_BODY_MAX);
	evhttp_set_timeout(p->http, CP_CTLPROV_TIMEOUT_S);
	sock = evhttp_bind_socket_with_handle(p->http, address, port);
	if (sock == NULL)
		return errno != 0 ? -errno : -EADDRINUSE;
	p->listener = evhttp_bound_socket_get_listener(sock);
	if (ret_port != NULL && getsockname(evhttp_bound_socket_get_fd(sock), (struct sockaddr *)&ss, &len) == 0)
		*ret_port = ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port :
							     ((struct sockaddr_in *)&ss)->sin_port);
	return 0;
}

int cp_ctlprov_create_env(const struct cp_ctlprov_env *env, struct cp_ctlprov **ret)
{
	struct cp_ctlprov *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	if (conns_idx < 0)
		conns_idx = SSL_get_ex_new_index(0, NULL, NULL, NULL, conn_gone);
	p->gate = calloc(1, sizeof(*p->gate));
	if (conns_idx < 0 || p->gate == NULL) {
		free(p->gate);
		free(p);
		return -ENOMEM;
	}
	p->gate->p = p;
	p->env = *env;
	p->seats.cmd = env->cmd;
	p->seats.users = env->users;
	if (p->env.request_s == 0)
		p->env.request_s = CP_CTLPROV_REQUEST_S;
	if (p->env.source == 0)
		p->env.source = CP_CTLPROV_SOURCE;
	*ret = p;
	return 0;
}

static void status(void *ctx, json_t *o)
{
	const struct cp_ctlprov *p = ctx;

	json_object_set_new(o, "ctl_provider", json_pack("{s:i, s:i, s:I}", "sessions", (int)cp_seats_taken(&p->seats), "connections",
							 (int)p->gate->conns, "evicted", (json_int_t)p->seats.evicted));
}

int cp_ctlprov_create(struct cp_app *app, struct cp_ctlprov **ret)
{
	struct cp_ctlprov_env env = {.base = app->base, .cmd = cp_lists_cmd(app->lists)};
	const struct cfg_ctl_provider *cfg = &app->cfg->ctl_provider;
	struct cp_ctlprov *p = NULL;
	int rc;

	env.users = cp_users_create(app->store, app->offload, app->alarms);
	if (env.users == NULL)
		return -ENOMEM;
	rc = cp_ctlprov_create_env(&env, &p);
	if (rc < 0) {
		cp_users_destroy(env.users);
		return rc;
	}
	p->own_users = env.users;
	*ret = p;
	rc = cp_users_commands(env.users, app->admin);
	if (rc == 0 && cfg->port != 0)
		rc = cp_admin_status_add(app->admin, status, p);
	if (rc < 0 || cfg->port == 0)
		return rc;
	rc = cp_tls_create(CP_TLS_MODERN, false, &p->own_tls);
	if (rc == 0) {
		cp_tls_clients(p->own_tls, CP_TLS_CLIENTS_MAY);
		p->env.tls = p->own_tls;
		rc = cp_certs_serve(app->certs, p->own_tls, "HTTPS", 1u << CP_TS_DIRECTORY, false);
	}
	if (rc == 0)
		rc = cp_ctlprov_listen(p, cfg->listen, cfg->port, NULL);
	if (rc < 0)
		cfg_log(CFG_LOG_ERR, "cannot-listen", "service=ctl-provider address=%s port=%u reason=%s", cfg->listen, cfg->port,
			cfg_q(strerror(-rc)));
	return rc;
}

void cp_ctlprov_stop(struct cp_ctlprov *p)
{
	if (p == NULL)
		return;
	p->stopping = true;
	p->seats.cmd = NULL; /* the trust lists end before the provider does */
	p->listener = NULL;
	if (p->sweep != NULL)
		event_free(p->sweep);
	p->sweep = NULL;
	if (p->http != NULL)
		evhttp_free(p->http); /* tells requests that wait that their connections are gone */
	p->http = NULL;
}

void cp_ctlprov_destroy(struct cp_ctlprov *p)
{
	if (p == NULL)
		return;
	cp_ctlprov_stop(p);
	while (p->asks != NULL)
		refuse(p->asks, 503, "unavailable", "the appliance is stopping");
	for (unsigned i = 0; i < CP_CTLPROV_EDITORS; i++)
		cp_seat_end(&p->seats, &p->seats.seat[i]);
	cp_users_destroy(p->own_users);
	cp_tls_destroy(p->own_tls);
	p->gate->p = NULL;
	if (p->gate->conns == 0)
		free(p->gate);
	free(p);
}
