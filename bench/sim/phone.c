/* SPDX-License-Identifier: BSD-3-Clause */
#include "phone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "phone_priv.h"

/* Start-up requests and the bit of 'waiting' that their answers clear. */
enum { W_BUTTONS = 1, W_SOFTKEYS = 2, W_SETS = 4, W_CONFIG = 8, W_LINE = 16, W_FORWARD = 32, W_TIME = 64,
       W_CAPS = 128 };

static const struct sim_conn_ops conn_ops;

void sim_phone_send(struct sim_phone *p, const uint8_t *frame, size_t len)
{
	if (p->conn != NULL)
		sim_conn_send(p->conn, frame, len);
}

void sim_phone_words(struct sim_phone *p, uint32_t id, const uint32_t *words, size_t n)
{
	uint8_t out[SIM_SCCP_OUT_MAX];

	sim_phone_send(p, out, sim_sccp_words(out, p->version, id, words, n));
}

static void after_ms(struct event *timer, unsigned int ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	event_add(timer, &tv);
}

static void connect_now(struct sim_phone *p)
{
	struct sim_conn_cfg cfg = {
		.base = p->opts->base,
		.server = p->opts->server,
		.source = p->source,
		.tls = p->opts->tls,
		.cert = p->cert,
		.key = p->key,
		.ops = &conn_ops,
		.ctx = p,
		.timeout_s = p->opts->timeout_s,
	};

	p->start_us = sim_now_us();
	p->state = SIM_PHONE_CONNECTING;
	p->in_len = 0;
	p->version = 0;
	p->conn = sim_conn_open(&cfg);
	if (p->conn == NULL)
		conn_ops.down(p, strerror(errno));
}

static void lost(struct sim_phone *p, const char *reason)
{
	bool was = p->state == SIM_PHONE_REGISTERED, leaving = p->state == SIM_PHONE_LEAVING;

	snprintf(p->last_error, sizeof(p->last_error), "%s", reason);
	p->conn = NULL;
	p->keepalive_us = 0;
	event_del(p->keepalive_timer);
	sim_event(p->name, leaving ? "closed" : was ? "lost" : "refused", "{s:s}", "reason", reason);
	if (leaving) {
		p->state = SIM_PHONE_IDLE;
		if (p->ops->left != NULL)
			p->ops->left(p->ctx, p);
		return;
	}
	p->losses += was;
	if (p->away_us == 0)
		p->away_us = sim_now_us();
	if (p->opts->retry_ms != 0 && p->registrations > 0 &&
	    (p->opts->give_up_s == 0 || sim_now_us() - p->away_us < p->opts->give_up_s * 1000000ULL)) {
		sim_call_lost(p);
		p->state = SIM_PHONE_WAITING;
		after_ms(p->retry_timer, p->opts->retry_ms);
	} else {
		p->state = SIM_PHONE_IDLE;
		sim_call_drop(p);
	}
	if (p->ops->failed != NULL)
		p->ops->failed(p->ctx, p, reason);
}

static void on_down(void *ctx, const char *reason)
{
	lost(ctx, reason);
}

/* Close from our side, with a reason that counts as a loss. */
static void abandon(struct sim_phone *p, const char *reason)
{
	struct sim_conn *c = p->conn;

	lost(p, reason);
	sim_conn_close(c);
}

static void on_up(void *ctx)
{
	struct sim_phone *p = ctx;
	uint8_t out[SIM_SCCP_OUT_MAX];
	struct sim_sccp_register reg = {
		.name = p->name,
		.device_type = p->opts->device_type,
		.max_streams = 5,
		.active_streams = p->call.rx_open || p->call.tx_open,
		.line_max = 2,
		.protocol = p->opts->protocol,
		.mac_ascii = p->opts->mac_ascii,
		.load = p->opts->load,
	};

	sim_conn_local(p->conn, &reg.ip);
	snprintf(p->cipher, sizeof(p->cipher), "%s", sim_conn_cipher(p->conn));
	p->state = SIM_PHONE_REGISTERING;
	sim_event(p->name, "connected-to-server", "{s:s}", "transport", p->cipher);
	sim_phone_send(p, out, sim_sccp_register(out, &reg));
	sim_phone_send(p, out, sim_sccp_words(out, 0, SIM_IP_PORT, &(uint32_t){16384}, 1));
	after_ms(p->keepalive_timer, p->opts->timeout_s * 1000);
}

static void on_keepalive(evutil_socket_t fd, short what, void *arg)
{
	struct sim_phone *p = arg;
	uint8_t out[SIM_SCCP_OUT_MAX];

	(void)fd;
	(void)what;
	if (p->state != SIM_PHONE_REGISTERED) {
		abandon(p, p->state == SIM_PHONE_LEAVING ? "no answer to Unregister" : "no answer to Register");
		return;
	}
	if (p->keepalives - p->keepalive_acks >= 3) {
		abandon(p, "no answer to three keep-alives");
		return;
	}
	p->keepalives++;
	p->keepalive_us = sim_now_us();
	sim_phone_send(p, out, sim_sccp_empty(out, 0, SIM_KEEPALIVE));
	after_ms(p->keepalive_timer, p->keepalive_s * 1000);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	connect_now(arg);
}

static void registered(struct sim_phone *p, const struct sim_sccp_msg *m)
{
	uint64_t took = sim_now_us() - p->start_us;

	p->state = SIM_PHONE_REGISTERED;
	p->registrations++;
	p->away_us = 0;
	p->register_ms = (double)took / 1000;
	p->protocol = (uint8_t)(m->protocol == 0 || m->protocol > p->opts->protocol ? p->opts->protocol
										     : m->protocol);
	p->version = p->protocol >= 10 ? p->protocol : 0;
	p->keepalive_s = m->keepalive_s < 1 || m->keepalive_s > 3600 ? 30 : m->keepalive_s;
	p->keepalives = p->keepalive_acks = 0;
	p->ready = false;
	after_ms(p->keepalive_timer, p->keepalive_s * 1000);
	sim_event(p->name, "registered", "{s:i, s:i, s:f}", "protocol", p->protocol, "keepalive_s",
		  (int)p->keepalive_s, "ms", p->register_ms);
	/* What a phone asks for when it starts; lines are asked for once their number is known. */
	p->waiting = W_BUTTONS | W_SOFTKEYS | W_SETS | W_CONFIG | W_FORWARD | W_TIME | W_CAPS | W_LINE;
	sim_phone_words(p, SIM_BUTTON_TEMPLATE_REQ, NULL, 0);
	sim_phone_words(p, SIM_SOFTKEY_TEMPLATE_REQ, NULL, 0);
	sim_phone_words(p, SIM_SOFTKEY_SET_REQ, NULL, 0);
	sim_phone_words(p, SIM_CONFIG_STAT_REQ, NULL, 0);
	sim_phone_words(p, SIM_FORWARD_STAT_REQ, &(uint32_t){1}, 1);
	sim_phone_words(p, SIM_TIME_DATE_REQ, NULL, 0);
	if (p->ops->registered != NULL)
		p->ops->registered(p->ctx, p, took);
	sim_call_resume(p);
}

static void answered(struct sim_phone *p, uint32_t bit)
{
	p->waiting &= ~bit;
	if (p->waiting != 0 || p->ready)
		return;
	p->ready = true;
	sim_phone_words(p, SIM_AVAILABLE_LINES, &(uint32_t){p->line_cnt}, 1);
	sim_event(p->name, "ready", "{s:i, s:s}", "lines", (int)p->line_cnt, "number", p->number);
	if (p->ops->ready != NULL)
		p->ops->ready(p->ctx, p);
}

static void start_up(struct sim_phone *p, const struct sim_sccp_msg *m)
{
	static const uint32_t caps[][2] = {{4, 40}, {2, 40}}; /* G.711 u-law, A-law; frames per packet */
	uint8_t out[SIM_SCCP_OUT_MAX];

	switch (m->id) {
	case SIM_CAPS_REQ:
		sim_phone_send(p, out, sim_sccp_caps(out, p->version, caps, 2));
		answered(p, W_CAPS);
		break;
	case SIM_BUTTON_TEMPLATE:
		p->line_cnt = m->line_cnt;
		for (uint32_t i = 1; i <= m->line_cnt && i <= 8; i++)
			sim_phone_words(p, SIM_LINE_STAT_REQ, &i, 1);
		answered(p, W_BUTTONS | (m->line_cnt == 0 ? W_LINE : 0));
		break;
	case SIM_SOFTKEY_TEMPLATE:
		answered(p, W_SOFTKEYS);
		break;
	case SIM_SOFTKEY_SET:
		answered(p, W_SETS);
		break;
	case SIM_CONFIG_STAT:
		answered(p, W_CONFIG);
		break;
	case SIM_LINE_STAT:
	case SIM_LINE_STAT_DYN:
		if (m->line == 1)
			snprintf(p->number, sizeof(p->number), "%.31s", m->text);
		answered(p, W_LINE);
		break;
	case SIM_FORWARD_STAT:
		answered(p, W_FORWARD);
		break;
	case SIM_TIME_DATE:
		answered(p, W_TIME);
		break;
	case SIM_VERSION:
	case SIM_SERVER_RES:
	case SIM_SPEEDDIAL_STAT:
		break;
	default:
		p->unknown++;
		sim_event(p->name, "unknown-message", "{s:s}", "id", sim_sccp_name(m->id));
	}
}

static void message(struct sim_phone *p, const struct sim_sccp_msg *m)
{
	char text[160];

	if (p->state == SIM_PHONE_REGISTERING) {
		if (m->id == SIM_REGISTER_ACK) {
			registered(p, m);
		} else if (m->id == SIM_REGISTER_REJECT) {
			snprintf(text, sizeof(text), "rejected: %s", m->text);
			abandon(p, text);
		}
		return;
	}
	switch (m->id) {
	case SIM_KEEPALIVE_ACK:
		if (p->keepalive_us != 0 && p->ops->keepalive != NULL)
			p->ops->keepalive(p->ctx, sim_now_us() - p->keepalive_us);
		p->keepalive_us = 0;
		p->keepalive_acks++;
		break;
	case SIM_UNREGISTER_ACK:
		sim_event(p->name, "unregistered", "{s:i}", "status", (int)m->state);
		abandon(p, "unregistered");
		break;
	case SIM_RESET:
		p->resets++;
		sim_event(p->name, "reset", "{s:i}", "type", (int)m->state);
		abandon(p, "reset by the server");
		break;
	case SIM_REGISTER_REJECT:
		snprintf(text, sizeof(text), "rejected: %s", m->text);
		abandon(p, text);
		break;
	default:
		if (!sim_call_message(p, m))
			start_up(p, m);
	}
}

/* One whole frame. false: the connection is gone. */
static bool frame(struct sim_phone *p, const uint8_t *data, size_t len)
{
	struct sim_conn *c = p->conn;
	struct sim_sccp_msg m;

	if (sim_sccp_parse(data, len, &m) < 0) {
		p->bad_frames++;
		sim_event(p->name, "bad-message", "{s:s, s:i}", "id", sim_sccp_name(m.id), "len", (int)len);
	} else {
		message(p, &m);
	}
	OPENSSL_cleanse(&m.key, sizeof(m.key));
	return p->conn == c;
}

static void on_rx(void *ctx, const uint8_t *data, size_t len)
{
	struct sim_phone *p = ctx;
	const uint8_t *at = data;
	size_t left = len;
	long n;

	if (p->in_len > 0) { /* go on with the frame that had begun */
		if (p->in_len + len > p->in_room) {
			size_t room = p->in_len + len;
			uint8_t *more = realloc(p->in, room);

			if (more == NULL) {
				abandon(p, "no memory");
				return;
			}
			p->in = more;
			p->in_room = room;
		}
		memcpy(p->in + p->in_len, data, len);
		p->in_len += len;
		at = p->in;
		left = p->in_len;
	}
	while ((n = sim_sccp_frame_len(at, left)) > 0 && (size_t)n <= left) {
		if (!frame(p, at, (size_t)n))
			return;
		at += n;
		left -= (size_t)n;
	}
	if (n < 0) {
		abandon(p, "impossible frame length from the server");
		return;
	}
	if (left > p->in_room) { /* never of a kept one: that fits */
		uint8_t *more = realloc(p->in, left);

		if (more == NULL) {
			abandon(p, "no memory");
			return;
		}
		p->in = more;
		p->in_room = left;
	}
	if (left > 0)
		memmove(p->in, at, left);
	p->in_len = left;
	if (left == 0) { /* ten thousand idle phones keep no buffers */
		OPENSSL_cleanse(p->in, p->in != NULL ? p->in_room : 0);
		free(p->in);
		p->in = NULL;
		p->in_room = 0;
	}
}

static const struct sim_conn_ops conn_ops = {.up = on_up, .rx = on_rx, .down = on_down};

struct sim_phone *sim_phone_create(const struct sim_phone_opts *opts, const char *name, X509 *cert,
				   EVP_PKEY *key, const struct sim_phone_ops *ops, void *ctx)
{
	struct sim_phone *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->opts = opts;
	p->ops = ops;
	p->ctx = ctx;
	p->cert = cert;
	p->key = key;
	p->source = opts->source;
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->keepalive_timer = event_new(opts->base, -1, 0, on_keepalive, p);
	p->retry_timer = event_new(opts->base, -1, 0, on_retry, p);
	if (p->keepalive_timer == NULL || p->retry_timer == NULL || sim_call_init(p) < 0) {
		sim_phone_destroy(p);
		return NULL;
	}
	return p;
}

void sim_phone_destroy(struct sim_phone *p)
{
	if (p == NULL)
		return;
	sim_call_fini(p);
	sim_conn_close(p->conn);
	if (p->keepalive_timer != NULL)
		event_free(p->keepalive_timer);
	if (p->retry_timer != NULL)
		event_free(p->retry_timer);
	if (p->in != NULL)
		OPENSSL_cleanse(p->in, p->in_room);
	free(p->in);
	free(p);
}

const char *sim_phone_name(const struct sim_phone *p)
{
	return p->name;
}

void sim_phone_set_index(struct sim_phone *p, unsigned int index)
{
	p->index = index;
}

unsigned int sim_phone_index(const struct sim_phone *p)
{
	return p->index;
}

enum sim_phone_state sim_phone_state(const struct sim_phone *p)
{
	return p->state;
}

void sim_phone_set_source(struct sim_phone *p, const struct sim_addr *source)
{
	p->source = *source;
}

void sim_phone_start(struct sim_phone *p)
{
	connect_now(p);
}

void sim_phone_leave(struct sim_phone *p)
{
	if (p->state == SIM_PHONE_LEAVING)
		return;
	sim_call_drop(p);
	event_del(p->retry_timer);
	if (p->state != SIM_PHONE_REGISTERED) {
		struct sim_conn *c = p->conn;

		p->state = SIM_PHONE_LEAVING;
		lost(p, "left before it was registered");
		sim_conn_close(c);
		return;
	}
	p->state = SIM_PHONE_LEAVING;
	sim_phone_words(p, SIM_UNREGISTER, &(uint32_t){0}, 1);
	after_ms(p->keepalive_timer, 2000);
}

json_t *sim_phone_report(const struct sim_phone *p)
{
	json_t *r = json_pack("{s:s, s:b, s:b, s:I, s:I, s:s, s:i, s:s, s:i, s:f, s:I, s:I, s:I, s:I, s:I, s:s}",
			      "name", p->name, "registered", p->registrations > 0, "ready", p->ready,
			      "registrations", (json_int_t)p->registrations, "losses", (json_int_t)p->losses,
			      "transport", p->cipher, "protocol", p->protocol, "number", p->number, "lines",
			      (int)p->line_cnt, "register_ms", p->register_ms, "keepalives",
			      (json_int_t)p->keepalives, "keepalive_acks", (json_int_t)p->keepalive_acks,
			      "resets", (json_int_t)p->resets, "bad_frames", (json_int_t)p->bad_frames,
			      "unknown_messages", (json_int_t)p->unknown, "last_error", p->last_error);

	json_object_set_new(r, "call", sim_call_report(p));
	return r;
}
