/* SPDX-License-Identifier: BSD-3-Clause */
/* A phone's calls and media: one call at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "phone_priv.h"

enum { S_OFFHOOK = 1, S_ONHOOK = 2, S_RINGOUT = 3, S_RINGIN = 4, S_CONNECTED = 5, S_BUSY = 6, S_CONGESTION = 7,
       S_INVALID = 14 };

#define HANGUP_WAIT_MS 15000 /* for the server to come back, so that it can be told */

#define STATUS_OK            0
#define STATUS_ERROR         1
#define STATUS_INVALID_CODEC 6
#define STATUS_NO_SOCKETS    8

static void after_ms(struct event *timer, unsigned int ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	event_add(timer, &tv);
}

static void remember(uint32_t *list, uint32_t *cnt, uint32_t value)
{
	if (*cnt > 0 && list[*cnt - 1] == value)
		return;
	if (*cnt < SIM_STATES_MAX)
		list[(*cnt)++] = value;
}

static json_t *list_of(const uint32_t *list, uint32_t cnt)
{
	json_t *a = json_array();

	for (uint32_t i = 0; i < cnt; i++)
		json_array_append_new(a, json_integer(list[i]));
	return a;
}

static json_t *one_report(const struct sim_call *c)
{
	return json_pack("{s:i, s:i, s:i, s:s, s:s, s:s, s:o, s:o, s:i, s:b, s:b, s:b, s:i, s:s}", "callref",
			 (int)c->callref, "line", (int)c->line, "type", (int)c->type, "calling", c->calling,
			 "called", c->called, "dialed", c->dialed, "states", list_of(c->states, c->state_cnt),
			 "security_sequence", list_of(c->securities, c->security_cnt), "security",
			 (int)c->security, "connected", c->connected, "ended", c->ended, "hung_up_by_us",
			 c->onhook_sent, "media_errors", (int)c->media_errors, "media_error", c->media_error);
}

json_t *sim_call_report(const struct sim_phone *p)
{
	const struct sim_call *c = &p->call;
	json_t *now = NULL, *calls = json_copy(c->history);

	if (c->active) {
		now = one_report(c);
		if (c->media != NULL)
			json_object_set_new(now, "media", sim_media_report(c->media));
		json_array_append_new(calls, now);
	}
	return calls;
}

/* Save what was recorded, keep the report, forget the call. */
static void finish(struct sim_phone *p, const char *why)
{
	struct sim_call *c = &p->call;
	json_t *r;
	int rc;

	if (!c->active)
		return;
	event_del(c->digit_timer);
	event_del(c->answer_timer);
	event_del(c->end_timer);
	c->ended = true;
	r = p->opts->pretend ? NULL : one_report(c); /* a load's calls are counted only */
	json_object_set_new(r, "end", json_string(why));
	if (c->media != NULL) {
		sim_media_send_stop(c->media);
		sim_media_stats(c->media, c->last_stats);
		json_object_set_new(r, "media", sim_media_report(c->media));
		rc = sim_media_save(c->media);
		if (rc < 0)
			json_object_set_new(r, "save_error", json_string(strerror(-rc)));
		sim_media_destroy(c->media);
		c->media = NULL;
	}
	if (r != NULL)
		json_array_append_new(c->history, r);
	c->active = false;
	sim_event(p->name, "call-ended", "{s:i, s:s, s:b}", "callref", (int)c->callref, "why", why, "connected",
		  c->connected);
	if (p->ops->call_ended != NULL)
		p->ops->call_ended(p->ctx, p);
}

static void begin(struct sim_phone *p)
{
	struct sim_call *c = &p->call, old = *c;

	memset(c, 0, sizeof(*c));
	c->digit_timer = old.digit_timer;
	c->answer_timer = old.answer_timer;
	c->end_timer = old.end_timer;
	c->history = old.history;
	memcpy(c->last_stats, old.last_stats, sizeof(c->last_stats));
	c->calls = old.calls + 1;
	c->active = true;
}

static void send_onhook(struct sim_phone *p)
{
	struct sim_call *c = &p->call;
	uint32_t words[2] = {c->line, c->callref};

	c->onhook_sent = true;
	c->hangup_wanted = false;
	sim_phone_words(p, SIM_ONHOOK, words, 2);
	after_ms(c->end_timer, 3000); /* for CallState 2 */
}

int sim_phone_hangup(struct sim_phone *p)
{
	struct sim_call *c = &p->call;

	if (!c->active)
		return -EPROTO;
	if (c->onhook_sent)
		return 0;
	if (c->media != NULL)
		sim_media_send_stop(c->media);
	c->tx_open = false;
	sim_event(p->name, "hangup", "{s:i}", "callref", (int)c->callref);
	if (p->state == SIM_PHONE_REGISTERED) {
		send_onhook(p);
	} else {
		c->hangup_wanted = true;
		after_ms(c->end_timer, HANGUP_WAIT_MS);
	}
	return 0;
}

bool sim_phone_clear(const struct sim_phone *p)
{
	return p->call.clear;
}

bool sim_phone_in_call(const struct sim_phone *p)
{
	return p->call.active;
}

void sim_call_lost(struct sim_phone *p)
{
	struct sim_call *c = &p->call;

	if (!c->active || !c->onhook_sent)
		return;
	c->onhook_sent = false; /* nobody knows whether it arrived: say it again */
	c->hangup_wanted = true;
	after_ms(c->end_timer, HANGUP_WAIT_MS);
}

void sim_call_resume(struct sim_phone *p)
{
	if (p->call.active && p->call.hangup_wanted)
		send_onhook(p);
}

void sim_call_drop(struct sim_phone *p)
{
	if (p->call.active && p->state == SIM_PHONE_REGISTERED && !p->call.onhook_sent)
		send_onhook(p);
	finish(p, "dropped");
}

static void on_end_timer(evutil_socket_t fd, short what, void *arg)
{
	struct sim_phone *p = arg;

	(void)fd;
	(void)what;
	if (p->call.onhook_sent || p->call.hangup_wanted)
		finish(p, "no answer to on-hook");
	else
		sim_phone_hangup(p);
}

static void on_play_done(void *ctx)
{
	struct sim_phone *p = ctx;

	if (p->opts->hangup_at_end)
		after_ms(p->call.end_timer, p->opts->linger_ms);
}

/* --- dialling --- */

int sim_phone_digit(struct sim_phone *p, char digit)
{
	struct sim_call *c = &p->call;
	uint32_t words[3] = {0, c->line, c->callref};
	size_t n = strlen(c->dialed);

	if (p->state != SIM_PHONE_REGISTERED || !c->active)
		return -EPROTO;
	if (digit >= '0' && digit <= '9')
		words[0] = (uint32_t)(digit - '0');
	else if (digit == '*')
		words[0] = 0xE;
	else if (digit == '#')
		words[0] = 0xF;
	else
		return -EINVAL;
	if (n + 1 < sizeof(c->dialed)) {
		c->dialed[n] = digit;
		c->dialed[n + 1] = '\0';
	}
	sim_phone_words(p, SIM_KEYPAD, words, 3);
	return 0;
}

static void on_digit(evutil_socket_t fd, short what, void *arg)
{
	struct sim_phone *p = arg;
	struct sim_call *c = &p->call;

	(void)fd;
	(void)what;
	if (c->digits == NULL || *c->digits == '\0')
		return;
	sim_phone_digit(p, *c->digits++);
	if (*c->digits != '\0')
		after_ms(c->digit_timer, p->opts->digit_ms);
}

int sim_phone_dial(struct sim_phone *p, const char *number)
{
	struct sim_call *c = &p->call;
	uint32_t words[2] = {0, 0};
	uint8_t out[SIM_SCCP_OUT_MAX];

	if (p->state != SIM_PHONE_REGISTERED || c->active)
		return -EPROTO;
	begin(p);
	sim_event(p->name, "dial", "{s:s, s:b}", "number", number, "enbloc", p->opts->enbloc);
	if (p->opts->enbloc) {
		snprintf(c->dialed, sizeof(c->dialed), "%s", number);
		sim_phone_send(p, out, sim_sccp_enbloc(out, p->version, number, 1));
	} else {
		c->offhook = true;
		c->digits = number;
		sim_phone_words(p, SIM_OFFHOOK, words, 2);
	}
	return 0;
}

int sim_phone_softkey(struct sim_phone *p, uint32_t event)
{
	uint32_t words[3] = {event, p->call.line, p->call.callref};

	if (p->state != SIM_PHONE_REGISTERED)
		return -EPROTO;
	sim_phone_words(p, SIM_SOFTKEY_EVENT, words, 3);
	return 0;
}

int sim_phone_answer(struct sim_phone *p)
{
	struct sim_call *c = &p->call;
	uint32_t words[2] = {c->line, c->callref};

	if (p->state != SIM_PHONE_REGISTERED || !c->active || c->state != S_RINGIN)
		return -EPROTO;
	sim_event(p->name, "answer", "{s:i}", "callref", (int)c->callref);
	c->offhook = true;
	if (!p->opts->answer_offhook)
		return sim_phone_softkey(p, 11);
	sim_phone_words(p, SIM_OFFHOOK, words, 2);
	return 0;
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	sim_phone_answer(arg);
}

/* --- what the server says about the call --- */

static void call_state(struct sim_phone *p, const struct sim_sccp_msg *m)
{
	struct sim_call *c = &p->call;

	sim_event(p->name, "call-state", "{s:i, s:i, s:i}", "state", (int)m->state, "line", (int)m->line,
		  "callref", (int)m->callref);
	if (!c->active) {
		if (m->state == S_ONHOOK)
			return;
		begin(p);
	}
	if (c->callref == 0) {
		c->callref = m->callref;
		c->line = m->line;
	} else if (c->callref != m->callref) {
		return; /* another call: this phone has one at a time */
	}
	c->state = m->state;
	remember(c->states, &c->state_cnt, m->state);
	switch (m->state) {
	case S_OFFHOOK:
		if (c->digits != NULL && *c->digits != '\0' && c->dialed[0] == '\0')
			after_ms(c->digit_timer, p->opts->digit_ms);
		break;
	case S_RINGOUT:
		if (p->ops->ringing != NULL)
			p->ops->ringing(p->ctx, p);
		break;
	case S_RINGIN:
		if (p->opts->answer)
			after_ms(c->answer_timer, p->opts->answer_after_ms);
		break;
	case S_CONNECTED:
		if (!c->connected && p->ops->connected != NULL)
			p->ops->connected(p->ctx, p);
		c->connected = true;
		break;
	case S_BUSY:
	case S_CONGESTION:
	case S_INVALID:
		after_ms(c->end_timer, 500); /* nobody listens to a busy tone for long */
		break;
	case S_ONHOOK:
		finish(p, c->onhook_sent ? "hung up" : "hung up by the other side");
		break;
	default:
		break;
	}
}

static void call_info(struct sim_phone *p, const struct sim_sccp_msg *m)
{
	struct sim_call *c = &p->call;

	sim_event(p->name, "call-info", "{s:i, s:s, s:s, s:i, s:i}", "security", (int)m->security, "calling",
		  m->calling, "called", m->called, "type", (int)m->type, "callref", (int)m->callref);
	if (!c->active || (c->callref != 0 && c->callref != m->callref))
		return;
	c->security = m->security;
	c->type = m->type;
	remember(c->securities, &c->security_cnt, m->security);
	if (m->calling[0] != '\0')
		memcpy(c->calling, m->calling, sizeof(c->calling));
	if (m->called[0] != '\0')
		memcpy(c->called, m->called, sizeof(c->called));
}

/* --- media --- */

static uint8_t payload_type(uint32_t codec)
{
	return codec == 2 ? SIM_PT_ALAW : codec == 4 ? SIM_PT_ULAW : 0xFF;
}

static void suffixed(char *dst, size_t room, const char *path, uint32_t n)
{
	if (n <= 1)
		snprintf(dst, room, "%s", path);
	else
		snprintf(dst, room, "%s.%u", path, n);
}

static uint32_t open_media(struct sim_phone *p)
{
	struct sim_call *c = &p->call;
	struct sim_media_cfg cfg = p->opts->media_cfg;

	if (c->media != NULL)
		return STATUS_OK;
	if (!p->opts->media)
		return STATUS_NO_SOCKETS;
	if (!c->active)
		begin(p);
	cfg.base = p->opts->base;
	cfg.who = p->name;
	if (cfg.local.len == 0)
		sim_conn_local(p->conn, &cfg.local);
	sim_addr_set_port(&cfg.local, sim_addr_port(&p->opts->media_cfg.local));
	if (cfg.record != NULL) {
		suffixed(c->record, sizeof(c->record), cfg.record, c->calls);
		cfg.record = c->record;
	}
	if (cfg.played != NULL) {
		suffixed(c->played, sizeof(c->played), cfg.played, c->calls);
		cfg.played = c->played;
	}
	cfg.play_done = on_play_done;
	cfg.ctx = p;
	c->media = sim_media_create(&cfg, c->media_error, sizeof(c->media_error));
	return c->media == NULL ? STATUS_NO_SOCKETS : STATUS_OK;
}

static void refused(struct sim_call *c, const char *why)
{
	c->media_errors++;
	if (c->media_error[0] == '\0')
		snprintf(c->media_error, sizeof(c->media_error), "%s", why);
}

/* Where media would be, if there were any: a port of its own for each phone. */
static void pretended(const struct sim_phone *p, struct sim_addr *ret)
{
	*ret = p->opts->media_cfg.local;
	if (ret->len == 0)
		sim_conn_local(p->conn, ret);
	sim_addr_set_port(ret, (uint16_t)(16384 + 2 * (p->index % 24000)));
}

static void both_ways(struct sim_phone *p)
{
	if (p->call.rx_open && p->call.tx_open && p->ops->media_up != NULL)
		p->ops->media_up(p->ctx, p);
}

/* Acknowledge what OpenReceiveChannel or StartMediaTransmission asks for, as a phone with sockets would. */
static void pretend(struct sim_phone *p, const struct sim_sccp_msg *m)
{
	struct sim_call *c = &p->call;
	uint8_t out[SIM_SCCP_OUT_MAX];
	struct sim_addr at;

	pretended(p, &at);
	if (m->key_unknown)
		refused(c, "encryption");
	c->clear |= m->key.alg == SIM_SRTP_NONE;
	c->conference = m->conference;
	c->party = m->party;
	if (m->id == SIM_ORC) {
		c->rx_open = true;
		sim_phone_send(p, out, sim_sccp_orc_ack(out, p->version, m->key_unknown ? STATUS_ERROR : STATUS_OK, &at, m->party, m->callref));
	} else {
		c->tx_open = true;
		if (p->version >= 17)
			sim_phone_send(p, out, sim_sccp_smt_ack(out, p->version, m->key_unknown ? STATUS_ERROR : STATUS_OK, &at, m->conference,
								m->party, m->callref));
	}
	both_ways(p);
}

static void first_media(struct sim_phone *p)
{
	struct sim_call *c = &p->call;

	if (!c->rx_open && !c->tx_open && p->opts->duration_ms != 0)
		after_ms(c->end_timer, p->opts->duration_ms);
}

static void open_receive(struct sim_phone *p, const struct sim_sccp_msg *m)
{
	struct sim_call *c = &p->call;
	uint8_t pt = payload_type(m->codec), out[SIM_SCCP_OUT_MAX];
	uint32_t status = open_media(p);
	struct sim_addr none;

	sim_addr_set(&none, (const uint8_t[4]){0}, 2 /* AF_INET */, 0);
	if (status != STATUS_OK) {
		refused(c, "no media sockets");
	} else if (pt == 0xFF) {
		status = STATUS_INVALID_CODEC;
		refused(c, "codec in OpenReceiveChannel");
	} else if (m->key_unknown || sim_media_recv(c->media, pt, &m->key) < 0) {
		status = STATUS_ERROR; /* no media: never fall back to clear by ourselves */
		refused(c, "encryption in OpenReceiveChannel");
	} else {
		first_media(p);
		c->rx_open = true;
		c->conference = m->conference;
		c->party = m->party;
	}
	sim_event(p->name, "open-receive", "{s:s, s:i, s:s, s:i}", "suite", sim_srtp_name(m->key.alg), "codec",
		  (int)m->codec, "local", c->media != NULL ? sim_addr_str(sim_media_local(c->media)) : "-",
		  "status", (int)status);
	sim_phone_send(p, out,
		       sim_sccp_orc_ack(out, p->version, status,
					status == STATUS_OK ? sim_media_local(c->media) : &none, m->party,
					m->callref));
}

static void start_media(struct sim_phone *p, const struct sim_sccp_msg *m)
{
	struct sim_call *c = &p->call;
	uint8_t pt = payload_type(m->codec), out[SIM_SCCP_OUT_MAX];
	uint32_t status = open_media(p);
	int rc = 0;

	if (status == STATUS_OK && pt == 0xFF) {
		status = STATUS_INVALID_CODEC;
		refused(c, "codec in StartMediaTransmission");
	} else if (status == STATUS_OK && m->key_unknown) {
		status = STATUS_ERROR;
		refused(c, "encryption in StartMediaTransmission");
	} else if (status == STATUS_OK) {
		first_media(p);
		rc = sim_media_send(c->media, &m->remote, pt, m->packet_ms, &m->key, false);
		if (rc < 0) {
			status = STATUS_ERROR;
			refused(c, strerror(-rc));
		} else {
			c->tx_open = true;
		}
	}
	sim_event(p->name, "start-media", "{s:s, s:i, s:s, s:i, s:i}", "suite", sim_srtp_name(m->key.alg),
		  "codec", (int)m->codec, "to", sim_addr_str(&m->remote), "ms", (int)m->packet_ms, "status",
		  (int)status);
	if (p->version >= 17 && c->media != NULL)
		sim_phone_send(p, out,
			       sim_sccp_smt_ack(out, p->version, status, sim_media_local(c->media),
						m->conference, m->party, m->callref));
}

static void statistics(struct sim_phone *p, const struct sim_sccp_msg *m)
{
	struct sim_call *c = &p->call;
	uint8_t out[SIM_SCCP_OUT_MAX];

	if (c->media != NULL)
		sim_media_stats(c->media, c->last_stats);
	sim_phone_send(p, out, sim_sccp_stats(out, p->version, m->text, m->callref, m->mode, c->last_stats));
}

bool sim_call_message(struct sim_phone *p, const struct sim_sccp_msg *m)
{
	struct sim_call *c = &p->call;
	uint8_t out[SIM_SCCP_OUT_MAX];

	switch (m->id) {
	case SIM_CALL_STATE:
		call_state(p, m);
		return true;
	case SIM_CALL_INFO:
	case SIM_CALL_INFO_DYN:
		call_info(p, m);
		return true;
	case SIM_ORC:
	case SIM_SMT:
		if (p->opts->pretend)
			pretend(p, m);
		else if (m->id == SIM_ORC)
			open_receive(p, m);
		else
			start_media(p, m);
		return true;
	case SIM_CRC:
		sim_event(p->name, "close-receive", NULL);
		if (c->media != NULL)
			sim_media_recv_stop(c->media);
		c->rx_open = false;
		return true;
	case SIM_STOP_MT:
		sim_event(p->name, "stop-media", NULL);
		if (c->media != NULL)
			sim_media_send_stop(c->media);
		c->tx_open = false;
		return true;
	case SIM_STATS_REQ:
		statistics(p, m);
		return true;
	case SIM_PORT_REQ:
		if (!p->opts->pretend && open_media(p) == STATUS_OK)
			sim_phone_send(p, out,
				       sim_sccp_port_res(out, p->version, sim_media_local(c->media),
							 m->conference, m->party, m->callref));
		return true;
	case SIM_START_TONE:
	case SIM_SET_RINGER:
	case SIM_SET_SPEAKER:
	case SIM_SET_LAMP:
	case SIM_SELECT_SOFTKEYS:
		sim_event(p->name, sim_sccp_name(m->id), "{s:i}", "value", (int)m->state);
		return true;
	case SIM_PROMPT:
	case SIM_PROMPT_DYN:
	case SIM_NOTIFY:
	case SIM_NOTIFY_DYN:
	case SIM_DIALED_NUMBER:
		sim_event(p->name, sim_sccp_name(m->id), "{s:s}", "text", m->text);
		return true;
	case SIM_STOP_TONE:
	case SIM_CLEAR_PROMPT:
	case SIM_CLEAR_NOTIFY:
	case SIM_ACTIVATE_PLANE:
	case SIM_DEACTIVATE_PLANE:
	case SIM_PORT_CLOSE:
		return true;
	default:
		return false;
	}
}

int sim_phone_save(struct sim_phone *p)
{
	return p->call.media != NULL ? sim_media_save(p->call.media) : 0;
}

int sim_call_init(struct sim_phone *p)
{
	struct sim_call *c = &p->call;

	c->digit_timer = event_new(p->opts->base, -1, 0, on_digit, p);
	c->answer_timer = event_new(p->opts->base, -1, 0, on_answer, p);
	c->end_timer = event_new(p->opts->base, -1, 0, on_end_timer, p);
	c->history = json_array();
	return c->digit_timer == NULL || c->answer_timer == NULL || c->end_timer == NULL || c->history == NULL
		       ? -ENOMEM
		       : 0;
}

void sim_call_fini(struct sim_phone *p)
{
	struct sim_call *c = &p->call;

	sim_media_destroy(c->media);
	if (c->digit_timer != NULL)
		event_free(c->digit_timer);
	if (c->answer_timer != NULL)
		event_free(c->answer_timer);
	if (c->end_timer != NULL)
		event_free(c->end_timer);
	json_decref(c->history);
}
