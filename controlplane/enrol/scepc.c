/* SPDX-License-Identifier: BSD-3-Clause */
#include "enrol/scepc.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "clock.h"
#include "log.h"
#include "offload.h"
#include "scep.h"
#include "signerc/signerc.h"

#define WAIT_MAX 65536
#define KEEP_S   3600
#define JOBS     2
#define NAME_MAX_LEN 64

enum stage { QUEUED, FETCH_CAPS, FETCH_CERT, BUILD, BUILDING, SENDING, OPEN, OPENING };

struct ask {
	TAILQ_ENTRY(ask) link;
	struct cp_scepc *c;
	enum stage stage;
	char name[NAME_MAX_LEN];
	unsigned op;
	EVP_PKEY *pub;
	cp_scepc_fn fn;
	void *ctx;
	struct evhttp_connection *conn;
	/* a copy of what the CA said, for the thread */
	uint8_t *ca;
	size_t ca_len;
	unsigned caps;
	uint8_t *answer; /* nonce, then the answer */
	size_t answer_len;
	struct cp_signer_ra made;
	time_t due; /* when the CA must have answered all of it: what libevent times is silence only */
	int rc;
	char why[200];
};

struct cp_scepc {
	struct event_base *base;
	struct cp_offload *offload;
	struct cp_signer *signer;
	const struct cfg_scep *cfg;
	struct evdns_base *dns;
	struct event *tick;
	char host[256];
	uint16_t port;
	const char *path; /* in cfg->url */
	TAILQ_HEAD(, ask) waiting, running;
	unsigned waits, runs, jobs;
	bool stopped;
	/* what the CA said of itself */
	uint8_t *ca;
	size_t ca_len;
	unsigned caps;
	time_t ca_at;
	uint64_t asked, success, pending, failure, errors;
};

static void ask_free(struct ask *a)
{
	if (a->conn != NULL)
		evhttp_connection_free(a->conn); /* frees the request */
	EVP_PKEY_free(a->pub);
	cp_signer_ra_free(&a->made);
	free(a->ca);
	free(a->answer);
	free(a);
}

static void forget_ca(struct cp_scepc *c)
{
	free(c->ca);
	c->ca = NULL;
}

/* The end of one: its caller hears of it, once. */
static void finish(struct ask *a, int rc)
{
	struct cp_scepc *c = a->c;
	struct cp_scepc_result r = {.rc = rc, .status = a->made.status, .fail = a->made.fail, .why = rc < 0 ? a->why : a->made.text,
				    .certs = a->made.certs};

	TAILQ_REMOVE(&c->running, a, link);
	c->runs--;
	if (rc < 0) {
		c->errors++;
		forget_ca(c); /* perhaps it has changed */
		cfg_log_limited(CFG_LOG_WARN, "scep", "name=%s url=%s reason=%s", a->name, cfg_q(c->cfg->url), cfg_q(a->why));
	} else {
		c->success += r.status == PKI_SCEP_SUCCESS;
		c->pending += r.status == PKI_SCEP_PENDING;
		c->failure += r.status == PKI_SCEP_FAILURE;
		cfg_log_limited(CFG_LOG_INFO, "scep", "name=%s status=%u failinfo=%d text=%s", a->name, r.status, r.fail, cfg_q(r.why));
	}
	a->fn(a->ctx, &r);
	ask_free(a);
}

/* --- HTTP --- */

static int request(struct ask *a, const char *operation, const uint8_t *post, size_t len);

static void got_caps(struct ask *a, const uint8_t *data, size_t len)
{
	a->caps = pki_scep_caps(data, len);
	a->stage = FETCH_CERT;
}

static void got_cert(struct ask *a, const uint8_t *data, size_t len)
{
	struct cp_scepc *c = a->c;

	a->ca = malloc(len > 0 ? len : 1);
	if (a->ca != NULL) {
		memcpy(a->ca, data, len);
		a->ca_len = len;
		free(c->ca);
		c->ca = malloc(len > 0 ? len : 1);
		if (c->ca != NULL)
			memcpy(c->ca, data, len);
		c->ca_len = len;
		c->caps = a->caps;
		c->ca_at = cp_mono_s();
	}
	a->stage = BUILD;
}

static void got_answer(struct ask *a, const uint8_t *data, size_t len)
{
	a->answer = malloc(len + PKI_SCEP_NONCE);
	if (a->answer != NULL) {
		memcpy(a->answer, a->made.nonce, PKI_SCEP_NONCE);
		memcpy(a->answer + PKI_SCEP_NONCE, data, len);
		a->answer_len = len + PKI_SCEP_NONCE;
	}
	cp_signer_ra_free(&a->made);
	a->stage = OPEN;
}

static void on_response(struct evhttp_request *req, void *arg)
{
	struct ask *a = arg;
	int code = req != NULL ? evhttp_request_get_response_code(req) : 0;
	struct evbuffer *in = req != NULL ? evhttp_request_get_input_buffer(req) : NULL;
	size_t len = in != NULL ? evbuffer_get_length(in) : 0;
	const uint8_t *data = len > 0 ? evbuffer_pullup(in, -1) : (const uint8_t *)"";

	/* GetCACaps may be missing in an old CA: then it can nothing (RFC 8894 3.5.2). */
	if (code == 0 || data == NULL || len > PKI_SCEP_MSG_MAX || (code != 200 && a->stage != FETCH_CAPS)) {
		if (code != 0 && len <= PKI_SCEP_MSG_MAX)
			snprintf(a->why, sizeof(a->why), "the CA at %.100s:%u answers with HTTP status %d", a->c->host, a->c->port, code);
		else
			snprintf(a->why, sizeof(a->why), "the CA at %.100s:%u does not answer", a->c->host, a->c->port);
		a->rc = -EHOSTUNREACH;
	} else if (a->stage == FETCH_CAPS) {
		got_caps(a, data, code == 200 ? len : 0);
	} else if (a->stage == FETCH_CERT) {
		got_cert(a, data, len);
	} else {
		got_answer(a, data, len);
	}
	/* The connection must not be freed from inside: the tick, or the next step, does. */
	if (a->rc == 0 && a->stage == FETCH_CERT)
		a->rc = request(a, "GetCACert", NULL, 0);
	if ((a->rc < 0 || a->stage != FETCH_CERT) && a->c->tick != NULL)
		event_active(a->c->tick, EV_TIMEOUT, 0);
}

/* Percent-encoding. */
static int escape(char *out, size_t room, const uint8_t *p, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		bool plain = ((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'A' && p[i] <= 'Z') || (p[i] >= 'a' && p[i] <= 'z') ||
					     (p[i] != 0 && strchr("-._~", p[i]) != NULL));

		if (n + 4 > room)
			return -EMSGSIZE;
		n += (size_t)snprintf(out + n, room - n, plain ? "%c" : "%%%02X", p[i]);
	}
	out[n] = '\0';
	return (int)n;
}

static int request(struct ask *a, const char *operation, const uint8_t *post, size_t len)
{
	struct cp_scepc *c = a->c;
	size_t room = strlen(c->path) + 128 + 3 * (strlen(c->cfg->identifier) + 1) + (post != NULL ? len * 4 + 8 : 0);
	struct evhttp_request *req;
	bool get = post != NULL && (a->caps & PKI_SCEP_CAP_POST) == 0;
	char *uri = malloc(room), host[300];
	uint8_t *b64 = NULL;
	int n, rc = 0;

	if (uri == NULL)
		return -ENOMEM;
	n = snprintf(uri, room, "%s?operation=%s", c->path, operation);
	if (post == NULL && c->cfg->identifier[0] != '\0') {
		n += snprintf(uri + n, room - (size_t)n, "&message=");
		rc = escape(uri + n, room - (size_t)n, (const uint8_t *)c->cfg->identifier, strlen(c->cfg->identifier));
	} else if (get) {
		n += snprintf(uri + n, room - (size_t)n, "&message=");
		b64 = malloc(len / 3 * 4 + 8);
		if (b64 == NULL)
			rc = -ENOMEM;
		else
			rc = escape(uri + n, room - (size_t)n, b64, (size_t)EVP_EncodeBlock(b64, post, (int)len));
	}
	if (a->conn == NULL && rc >= 0) {
		a->conn = evhttp_connection_base_new(c->base, c->dns, c->host, c->port);
		if (a->conn == NULL)
			rc = -ENOMEM;
		else {
			evhttp_connection_set_timeout(a->conn, c->cfg->timeout_s);
			evhttp_connection_set_max_body_size(a->conn, PKI_SCEP_MSG_MAX + 1);
			evhttp_connection_set_max_headers_size(a->conn, 16384);
			evhttp_connection_set_retries(a->conn, 0);
		}
	}
	req = rc >= 0 ? evhttp_request_new(on_response, a) : NULL;
	if (req != NULL) {
		snprintf(host, sizeof(host), strchr(c->host, ':') != NULL ? "[%s]:%u" : "%s:%u", c->host, c->port);
		evhttp_add_header(evhttp_request_get_output_headers(req), "Host", host);
		if (post != NULL && !get) {
			evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", "application/x-pki-message");
			evbuffer_add(evhttp_request_get_output_buffer(req), post, len);
		}
		/* It owns 'req' from here, whatever it returns. */
		rc = evhttp_make_request(a->conn, req, post != NULL && !get ? EVHTTP_REQ_POST : EVHTTP_REQ_GET, uri) == 0 ? 0 : -EHOSTUNREACH;
		if (a->rc < 0) /* a connect() that fails at once: on_response() was called from inside, and 0 returned */
			rc = a->rc;
	} else if (rc >= 0) {
		rc = -ENOMEM;
	}
	if (rc < 0 && a->why[0] == '\0')
		snprintf(a->why, sizeof(a->why), "the CA at %.100s:%u cannot be asked", c->host, c->port);
	free(b64);
	free(uri);
	return rc;
}

/* --- the signer, on a thread --- */

static void sign_work(void *arg)
{
	struct ask *a = arg;
	const struct pki_blob ca = {a->ca, a->ca_len}, what = {a->answer, a->answer_len};

	a->rc = cp_signer_ra(a->c->signer, a->name, a->stage == OPENING ? PKI_RA_OPEN : a->op, a->caps, a->pub, ca, what, &a->made);
	if (a->rc < 0)
		snprintf(a->why, sizeof(a->why), "%s", cp_signer_error(a->c->signer));
}

static void sign_done(void *arg)
{
	struct ask *a = arg;
	struct cp_scepc *c = a->c;

	c->jobs--;
	if (c->stopped)
		return; /* cp_scepc_destroy() frees it */
	if (a->rc == 0 && a->stage == BUILDING) {
		a->stage = SENDING;
		a->rc = request(a, "PKIOperation", a->made.data, a->made.len);
		if (a->rc == 0)
			return;
	}
	finish(a, a->rc);
}

static void advance(struct ask *a)
{
	struct cp_scepc *c = a->c;

	if (a->rc < 0) {
		finish(a, a->rc);
		return;
	}
	switch (a->stage) {
	case FETCH_CAPS:
		a->rc = request(a, "GetCACaps", NULL, 0);
		break;
	case BUILD:
	case OPEN:
		if (a->conn != NULL) {
			evhttp_connection_free(a->conn);
			a->conn = NULL;
		}
		if ((a->stage == BUILD ? a->ca : a->answer) == NULL) {
			snprintf(a->why, sizeof(a->why), "no memory");
			a->rc = -ENOMEM;
			break;
		}
		if (c->jobs >= JOBS)
			return; /* its turn comes */
		a->stage = a->stage == BUILD ? BUILDING : OPENING;
		if (cp_offload_run(c->offload, sign_work, sign_done, a) == 0)
			c->jobs++;
		else
			a->stage = a->stage == BUILDING ? BUILD : OPEN; /* the tick tries again */
		return;
	default:
		return;
	}
	if (a->rc < 0)
		finish(a, a->rc);
}

static void start(struct ask *a)
{
	struct cp_scepc *c = a->c;

	if (c->ca != NULL && cp_mono_s() - c->ca_at < KEEP_S && (a->ca = malloc(c->ca_len)) != NULL) {
		memcpy(a->ca, c->ca, c->ca_len);
		a->ca_len = c->ca_len;
		a->caps = c->caps;
		a->stage = BUILD;
	} else {
		a->stage = FETCH_CAPS;
	}
	a->due = cp_mono_s() + c->cfg->timeout_s;
	c->asked++;
	advance(a);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct cp_scepc *c = arg;
	struct ask *a, *next;
	time_t at = cp_mono_s();

	(void)fd;
	(void)what;
	if (c->stopped)
		return;
	for (a = TAILQ_FIRST(&c->running); a != NULL; a = next) {
		next = TAILQ_NEXT(a, link);
		if (a->rc == 0 && at > a->due && (a->stage == FETCH_CAPS || a->stage == FETCH_CERT || a->stage == SENDING)) {
			snprintf(a->why, sizeof(a->why), "the CA at %.100s:%u does not answer in %u s", c->host, c->port, c->cfg->timeout_s);
			a->rc = -ETIMEDOUT;
		}
		if (a->stage == BUILD || a->stage == OPEN || (a->rc < 0 && a->stage != BUILDING && a->stage != OPENING))
			advance(a);
	}
	while (c->runs < CP_SCEPC_RUNS && (a = TAILQ_FIRST(&c->waiting)) != NULL) {
		TAILQ_REMOVE(&c->waiting, a, link);
		c->waits--;
		TAILQ_INSERT_TAIL(&c->running, a, link);
		c->runs++;
		start(a);
	}
}

int cp_scepc_ask(struct cp_scepc *c, const char *name, unsigned op, EVP_PKEY *pub, cp_scepc_fn fn, void *ctx)
{
	struct ask *a;

	if (c->waits >= WAIT_MAX || strlen(name) >= NAME_MAX_LEN)
		return -ENOSPC;
	a = calloc(1, sizeof(*a));
	if (a == NULL || (pub != NULL && EVP_PKEY_up_ref(pub) != 1)) {
		free(a);
		return -ENOMEM;
	}
	a->c = c;
	a->op = op;
	a->pub = pub;
	a->fn = fn;
	a->ctx = ctx;
	a->made.fail = -1;
	snprintf(a->name, sizeof(a->name), "%s", name);
	TAILQ_INSERT_TAIL(&c->waiting, a, link);
	c->waits++;
	event_active(c->tick, EV_TIMEOUT, 0);
	return 0;
}

/* "http://HOST[:PORT]/PATH", which config.c has checked. */
static int split(struct cp_scepc *c, const char *url)
{
	const char *p = url + 7, *slash = strchr(p, '/'), *end = slash, *colon;
	unsigned long port = 80;

	if (strncmp(url, "http://", 7) != 0 || slash == NULL)
		return -EINVAL;
	if (*p == '[') { /* an IPv6 address */
		const char *close = memchr(p, ']', (size_t)(slash - p));

		if (close == NULL)
			return -EINVAL;
		colon = close + 1 < slash ? close + 1 : NULL;
		if (colon != NULL && *colon != ':')
			return -EINVAL;
		p++;
		end = close;
	} else {
		colon = memchr(p, ':', (size_t)(slash - p));
		end = colon != NULL ? colon : slash;
	}
	if (colon != NULL) {
		char *last;

		port = strtoul(colon + 1, &last, 10);
		if (last != slash || port == 0 || port > 65535)
			return -EINVAL;
	}
	if (end == p || (size_t)(end - p) >= sizeof(c->host))
		return -EINVAL;
	memcpy(c->host, p, (size_t)(end - p));
	c->host[end - p] = '\0';
	c->port = (uint16_t)port;
	c->path = slash;
	return 0;
}

int cp_scepc_create(struct event_base *base, struct cp_offload *offload, struct cp_signer *signer, const struct cfg_scep *cfg, struct cp_scepc **ret)
{
	static const struct timeval second = {1, 0};
	struct cp_scepc *c = calloc(1, sizeof(*c));
	int rc = -ENOMEM;

	if (c == NULL)
		return -ENOMEM;
	c->base = base;
	c->offload = offload;
	c->signer = signer;
	c->cfg = cfg;
	TAILQ_INIT(&c->waiting);
	TAILQ_INIT(&c->running);
	rc = split(c, cfg->url);
	if (rc == 0) {
		/* Without a name server in resolv.conf: addresses and /etc/hosts. */
		c->dns = evdns_base_new(base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
		if (c->dns == NULL && (c->dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE)) != NULL)
			(void)evdns_base_load_hosts(c->dns, "/etc/hosts");
		c->tick = event_new(base, -1, EV_PERSIST, on_tick, c);
		rc = c->dns != NULL && c->tick != NULL && event_add(c->tick, &second) == 0 ? 0 : -ENOMEM;
	}
	if (rc < 0) {
		cp_scepc_destroy(c);
		return rc;
	}
	*ret = c;
	return 0;
}

void cp_scepc_stop(struct cp_scepc *c)
{
	if (c != NULL)
		c->stopped = true;
}

void cp_scepc_destroy(struct cp_scepc *c)
{
	struct ask *a;

	if (c == NULL)
		return;
	c->stopped = true;
	if (c->tick != NULL)
		event_free(c->tick);
	c->tick = NULL;
	while ((a = TAILQ_FIRST(&c->waiting)) != NULL) {
		TAILQ_REMOVE(&c->waiting, a, link);
		ask_free(a);
	}
	while ((a = TAILQ_FIRST(&c->running)) != NULL) {
		TAILQ_REMOVE(&c->running, a, link);
		ask_free(a);
	}
	if (c->dns != NULL)
		evdns_base_free(c->dns, 0);
	free(c->ca);
	free(c);
}

json_t *cp_scepc_show(const struct cp_scepc *c)
{
	return json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:i,s:i}", "url", c->cfg->url, "asked", (json_int_t)c->asked, "issued", (json_int_t)c->success, "pending",
			 (json_int_t)c->pending, "refused", (json_int_t)c->failure, "errors", (json_int_t)c->errors, "waiting", (int)c->waits, "running",
			 (int)c->runs);
}
