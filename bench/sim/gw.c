/* SPDX-License-Identifier: BSD-3-Clause */
#include "gw.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "gw_priv.h"

#define RTO_FIRST_US 200000U
#define RTO_MAX_US   4000000U
#define TRIES_MAX    7
#define T_MAX_US     20000000U
#define T_HIST_US    30000000U
#define RSIP_WAIT_MAX_S 15

static const char *const verb_names[] = {"CRCX", "MDCX", "DLCX", "RQNT", "AUEP", "AUCX", "EPCF", "other"};

static void after_us(struct event *ev, uint64_t us)
{
	struct timeval tv = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};

	event_add(ev, &tv);
}

/* --- own commands --- */

static void out_free(struct sim_out *o)
{
	event_del(o->timer);
	if (o->text != NULL)
		OPENSSL_cleanse(o->text, o->len);
	free(o->text);
	o->text = NULL;
	o->used = false;
}

static void disconnected(struct sim_gw *g)
{
	g->in_service = false;
	g->rsip_wait_s = g->rsip_wait_s == 0 ? 1 : g->rsip_wait_s * 2;
	if (g->rsip_wait_s > RSIP_WAIT_MAX_S)
		g->rsip_wait_s = RSIP_WAIT_MAX_S;
	sim_event(g->name, "disconnected", "{s:i}", "retry_s", (int)g->rsip_wait_s);
	after_us(g->rsip_timer, g->rsip_wait_s * 1000000ULL);
}

static void on_rto(evutil_socket_t fd, short what, void *arg)
{
	struct sim_out *o = arg;
	struct sim_gw *g = o->gw;

	(void)fd;
	(void)what;
	if (o->tries >= TRIES_MAX || sim_now_us() - o->first_us >= T_MAX_US) {
		g->gave_up++;
		out_free(o);
		if (!event_pending(g->rsip_timer, EV_TIMEOUT, NULL))
			disconnected(g);
		return;
	}
	o->tries++;
	g->retransmitted++;
	sim_gw_send(g, o->text, o->len, &o->to);
	o->wait_us = o->wait_us * 2 > RTO_MAX_US ? RTO_MAX_US : o->wait_us * 2;
	after_us(o->timer, o->wait_us);
}

void sim_gw_command(struct sim_gw *g, const struct sim_ep *ep, const char *verb, const char *endpoint, const char *params)
{
	struct sim_out *o = NULL;
	char text[SIM_MGCP_MAX];
	int n;

	for (size_t i = 0; i < SIM_GW_OUT_MAX && o == NULL; i++)
		o = g->out[i].used ? NULL : &g->out[i];
	if (o == NULL) {
		g->gave_up++;
		return;
	}
	o->txid = g->next_txid++;
	if (g->next_txid > 999999999)
		g->next_txid = 1;
	n = snprintf(text, sizeof(text), "%s %u %s@%s MGCP %s\r\n%s", verb, o->txid, endpoint, g->name,
		     g->opts->version, params);
	o->text = n < 0 || (size_t)n >= sizeof(text) ? NULL : strdup(text);
	if (o->text == NULL)
		return;
	o->len = (size_t)n;
	o->used = true;
	o->rsip = strcmp(verb, "RSIP") == 0;
	o->to = ep != NULL && ep->notified.len != 0 ? ep->notified : g->agent;
	free(g->again);
	g->again = strdup(text);
	g->again_len = o->len;
	g->again_to = o->to;
	o->tries = 1;
	o->first_us = sim_now_us();
	o->wait_us = RTO_FIRST_US;
	sim_event(g->name, "sent", "{s:s, s:s, s:i}", "verb", verb, "endpoint", endpoint, "txid", (int)o->txid);
	sim_gw_send(g, o->text, o->len, &o->to);
	after_us(o->timer, o->wait_us);
}

/* RSIP was sent elsewhere: to that one from now on, at once (RFC 3435 s4.4.7). */
static bool redirected(struct sim_gw *g, const struct sim_mgcp_msg *m)
{
	const char *entity = sim_mgcp_param(m, "N");
	struct sim_addr to;

	if (entity == NULL || sim_gw_entity(entity, &to) < 0)
		return false;
	g->agent = to;
	for (size_t i = 0; i < g->opts->endpoint_cnt; i++)
		g->eps[i].notified.len = 0;
	sim_event(g->name, "redirected", "{s:s, s:i}", "agent", entity, "code", (int)m->code);
	if (m->code < 300)
		return false;
	g->redirected++;
	event_active(g->rsip_timer, EV_TIMEOUT, 0);
	return true;
}

static void response(struct sim_gw *g, const struct sim_mgcp_msg *m, const struct sim_addr *from)
{
	struct sim_out *o = NULL;
	char text[64];
	bool rsip;
	int n;

	for (size_t i = 0; i < SIM_GW_OUT_MAX && o == NULL; i++)
		o = g->out[i].used && g->out[i].txid == m->txid ? &g->out[i] : NULL;
	if (m->code == 0) {
		sim_gw_acknowledged(g, m->txid);
		return;
	}
	if (o == NULL) { /* to what was said again, or too late */
		g->late_answers++;
		sim_event(g->name, "late-answer", "{s:i, s:i}", "txid", (int)m->txid, "code", (int)m->code);
		return;
	}
	if (m->code < 200) { /* provisional: LONGTRAN */
		after_us(o->timer, 5000000);
		return;
	}
	if (sim_mgcp_param(m, "K") != NULL) {
		n = snprintf(text, sizeof(text), "000 %u\r\n", m->txid);
		sim_gw_send(g, text, (size_t)n, from);
	}
	rsip = o->rsip;
	out_free(o);
	sim_event(g->name, "answered", "{s:i, s:i, s:b}", "txid", (int)m->txid, "code", (int)m->code, "rsip", rsip);
	if (!rsip) {
		g->ntfy_acked += m->code < 300;
		g->ntfy_refused += m->code >= 300;
		return;
	}
	if (m->code < 300) {
		redirected(g, m);
		g->rsip_acked++;
		g->in_service = true;
		g->rsip_wait_s = 0;
		if (g->ops->registered != NULL)
			g->ops->registered(g->ctx, g);
	} else if (m->code == 521 && redirected(g, m)) {
		g->in_service = false;
	} else {
		g->refused++;
		disconnected(g);
	}
}

static void on_rsip(evutil_socket_t fd, short what, void *arg)
{
	struct sim_gw *g = arg;

	(void)fd;
	(void)what;
	sim_gw_command(g, NULL, "RSIP", "*", g->rsip_acked == 0 ? "RM: restart\r\n" : "RM: disconnected\r\n");
}

static void on_keepalive(evutil_socket_t fd, short what, void *arg)
{
	struct sim_gw *g = arg;

	(void)fd;
	(void)what;
	sim_gw_command(g, NULL, "NTFY", "*", "X: 0\r\nO: \r\n");
	if (g->opts->keepalive_s != 0)
		after_us(g->keepalive_timer, g->opts->keepalive_s * 1000000ULL);
}

/* --- commands of the call agent --- */

static void cache_free(struct sim_cached *c)
{
	if (c->text != NULL)
		OPENSSL_cleanse(c->text, c->len);
	free(c->text);
	memset(c, 0, sizeof(*c));
}

/* The slot of a transaction; else a free or the oldest one. */
static struct sim_cached *cache_slot(struct sim_gw *g, uint32_t txid)
{
	struct sim_cached *best = &g->cache[0];
	uint64_t now = sim_now_us();

	for (size_t i = 0; i < SIM_GW_CACHE_MAX; i++) {
		struct sim_cached *c = &g->cache[i];

		if (c->txid != 0 && now - c->at_us > T_HIST_US)
			cache_free(c);
		if (c->txid == txid)
			return c;
		if (best->txid != 0 && (c->txid == 0 || c->at_us < best->at_us))
			best = c;
	}
	return best;
}

/* K: 6234-6255, 6257 - responses that arrived need not be kept. */
static void confirmed(struct sim_gw *g, const char *list)
{
	while (list != NULL && *list != '\0') {
		char *end;
		unsigned long from = strtoul(list, &end, 10), to = from;

		if (end == list)
			return;
		if (*end == '-')
			to = strtoul(end + 1, &end, 10);
		for (size_t i = 0; i < SIM_GW_CACHE_MAX; i++) {
			if (g->cache[i].txid >= from && g->cache[i].txid <= to && g->cache[i].txid != 0)
				cache_free(&g->cache[i]);
		}
		list = end + strspn(end, ", \t");
	}
}

const struct sim_cached *sim_gw_cached(const struct sim_gw *g, uint32_t txid)
{
	for (size_t i = 0; i < SIM_GW_CACHE_MAX; i++)
		if (g->cache[i].txid == txid)
			return &g->cache[i];
	return NULL;
}

static void command(struct sim_gw *g, const struct sim_mgcp_msg *m, const struct sim_addr *from)
{
	struct sim_cached *c = cache_slot(g, m->txid);
	char text[SIM_MGCP_MAX];
	size_t v = 0;
	int n;

	if (c->txid == m->txid) { /* at most once: the answer that was given */
		g->duplicates++;
		if (!sim_gw_executing(g, m->txid, from))
			sim_gw_send(g, c->text, c->len, from);
		return;
	}
	g->commands++;
	while (v < 7 && strcmp(verb_names[v], m->verb) != 0)
		v++;
	g->verbs[v]++;
	confirmed(g, sim_mgcp_param(m, "K"));
	n = sim_gw_execute(g, m, text, sizeof(text));
	sim_event(g->name, "command", "{s:s, s:s, s:i, s:s%, s:s*}", "verb", m->verb, "endpoint", m->endpoint, "txid",
		  (int)m->txid, "answer", text, (size_t)(n >= 3 ? 3 : 0), "call", sim_mgcp_param(m, "C"));
	cache_free(c);
	c->text = malloc((size_t)n + 1);
	if (c->text != NULL) {
		memcpy(c->text, text, (size_t)n + 1);
		c->len = (size_t)n;
		c->txid = m->txid;
		c->at_us = sim_now_us();
	}
	if (c->text != NULL && g->opts->provisional_ms != 0 && (v <= 1 || v == 3)) /* CRCX, MDCX, RQNT */
		sim_gw_provisional(g, m->txid, from);
	else
		sim_gw_send(g, text, (size_t)n, from);
	OPENSSL_cleanse(text, sizeof(text));
}

static void on_rx(void *ctx, char *text, size_t len, const struct sim_addr *from)
{
	struct sim_gw *g = ctx;
	unsigned int messages = 0;

	while (len > 0) {
		size_t msg_len, next = sim_mgcp_next(text, len, &msg_len);
		struct sim_mgcp_msg m;
		char after = text[msg_len]; /* the parser ends the message with a zero there */
		int rc = sim_mgcp_parse(text, msg_len, &m);

		text[msg_len] = after;
		g->piggy_in += ++messages == 2;
		if (rc < 0) {
			char no[48];
			int n = snprintf(no, sizeof(no), "510 %u protocol error\r\n", m.txid);

			g->bad++;
			sim_event(g->name, "bad-message", "{s:i}", "len", (int)msg_len);
			if (m.txid != 0 && !m.response)
				sim_gw_send(g, no, (size_t)n, from);
		} else if (m.response) {
			response(g, &m, from);
		} else if (g->opts->lose_every != 0 && (g->commands + g->lost_on_purpose + 1) % g->opts->lose_every == 0) {
			g->lost_on_purpose++;
		} else {
			/* The zero must stand behind the description while it is executed. */
			text[msg_len] = '\0';
			command(g, &m, from);
			text[msg_len] = after;
		}
		text += next;
		len -= next;
	}
}

/* --- life --- */

struct sim_gw *sim_gw_create(const struct sim_gw_opts *opts, const char *name, const struct sim_wire_cfg *wire,
			     const struct sim_gw_ops *ops, void *ctx, char *ret_err, size_t err_len)
{
	struct sim_gw *g = calloc(1, sizeof(*g));
	struct sim_wire_cfg cfg = *wire;
	bool ok = g != NULL;

	if (g == NULL)
		return NULL;
	snprintf(ret_err, err_len, "no memory");
	g->opts = opts;
	g->ops = ops;
	g->ctx = ctx;
	g->local = wire->local;
	g->agent = wire->agent;
	snprintf(g->name, sizeof(g->name), "%s", name);
	RAND_bytes((unsigned char *)&g->next_txid, sizeof(g->next_txid));
	g->next_txid = g->next_txid % 900000000 + 1;
	g->history = json_array();
	g->rsip_timer = event_new(opts->base, -1, 0, on_rsip, g);
	g->keepalive_timer = event_new(opts->base, -1, 0, on_keepalive, g);
	ok = g->history != NULL && g->rsip_timer != NULL && g->keepalive_timer != NULL && sim_gw_send_init(g) == 0;
	for (size_t i = 0; ok && i < SIM_GW_OUT_MAX; i++) {
		g->out[i].gw = g;
		g->out[i].timer = event_new(opts->base, -1, 0, on_rto, &g->out[i]);
		ok = g->out[i].timer != NULL;
	}
	for (size_t i = 0; ok && i < opts->endpoint_cnt; i++)
		ok = sim_ep_init(&g->eps[i], g, opts->endpoints[i]) == 0;
	cfg.who = g->name;
	cfg.rx = on_rx;
	cfg.ctx = g;
	if (ok)
		g->wire = sim_wire_create(&cfg, ret_err, err_len);
	OPENSSL_cleanse(&cfg, sizeof(cfg));
	if (g->wire == NULL) {
		sim_gw_destroy(g);
		return NULL;
	}
	return g;
}

void sim_gw_destroy(struct sim_gw *g)
{
	if (g == NULL)
		return;
	for (size_t i = 0; i < g->opts->endpoint_cnt; i++)
		sim_ep_fini(&g->eps[i]);
	for (size_t i = 0; i < SIM_GW_OUT_MAX; i++) {
		if (g->out[i].timer == NULL)
			continue;
		out_free(&g->out[i]);
		event_free(g->out[i].timer);
	}
	for (size_t i = 0; i < SIM_GW_CACHE_MAX; i++)
		cache_free(&g->cache[i]);
	sim_gw_send_fini(g);
	free(g->again);
	if (g->rsip_timer != NULL)
		event_free(g->rsip_timer);
	if (g->keepalive_timer != NULL)
		event_free(g->keepalive_timer);
	sim_wire_destroy(g->wire);
	json_decref(g->history);
	free(g);
}

void sim_gw_start(struct sim_gw *g, unsigned int after_ms)
{
	if (after_ms == 0)
		on_rsip(-1, 0, g);
	else
		after_us(g->rsip_timer, after_ms * 1000ULL);
	if (g->opts->keepalive_s != 0)
		after_us(g->keepalive_timer, g->opts->piggyback ? 0 : g->opts->keepalive_s * 1000000ULL);
}

void sim_gw_stop(struct sim_gw *g)
{
	sim_gw_command(g, NULL, "RSIP", "*", "RM: forced\r\n");
	for (size_t i = 0; i < g->opts->endpoint_cnt; i++) {
		for (size_t k = 0; k < g->eps[i].conn_max; k++)
			sim_gconn_del(&g->eps[i].conns[k], NULL, 0);
	}
}

void sim_gw_hangup(struct sim_gw *g)
{
	for (size_t i = 0; i < g->opts->endpoint_cnt; i++)
		sim_ep_onhook(&g->eps[i]);
}

void sim_gw_answer(struct sim_gw *g)
{
	for (size_t i = 0; i < g->opts->endpoint_cnt; i++) {
		if (g->eps[i].ringing)
			sim_ep_offhook(&g->eps[i]);
	}
}

bool sim_gw_control(struct sim_gw *g, const char *line)
{
	char word[4][64] = {"", "", "", ""}, params[160];
	int n = sscanf(line, "%63s %63s %63s %63s", word[0], word[1], word[2], word[3]);

	if (n >= 2 && strcmp(word[0], "rsip") == 0) {
		snprintf(params, sizeof(params), n >= 3 && strcmp(word[2], "0") != 0 ? "RM: %s\r\nRD: %s\r\n" : "RM: %s\r\n", word[1], word[2]);
		sim_gw_command(g, NULL, "RSIP", n >= 4 ? word[3] : "*", params);
	} else if (n == 3 && strcmp(word[0], "notify") == 0) {
		struct sim_ep *ep = NULL;

		for (size_t i = 0; i < g->opts->endpoint_cnt; i++)
			ep = strcasecmp(g->eps[i].name, word[1]) == 0 ? &g->eps[i] : ep;
		if (ep == NULL)
			return false;
		snprintf(params, sizeof(params), "X: %s\r\nO: %s\r\n", ep->request_id[0] != '\0' ? ep->request_id : "0", word[2]);
		sim_gw_command(g, ep, "NTFY", ep->name, params);
	} else if (n == 1 && strcmp(word[0], "keepalive") == 0) {
		on_keepalive(-1, 0, g);
	} else if (n == 1 && strcmp(word[0], "again") == 0 && g->again != NULL) {
		g->said_again++;
		sim_gw_send(g, g->again, g->again_len, &g->again_to);
	} else if (n == 4 && strcmp(word[0], "fail") == 0 && strlen(word[1]) == 4) {
		memcpy(g->fail_verb, word[1], 5);
		g->fail_code = (unsigned int)strtoul(word[2], NULL, 10);
		g->fail_times = (unsigned int)strtoul(word[3], NULL, 10);
	} else {
		return false;
	}
	return true;
}

struct sim_wire *sim_gw_wire(struct sim_gw *g)
{
	return g->wire;
}

json_t *sim_gw_report(const struct sim_gw *g)
{
	json_t *verbs = json_object(), *conns = json_copy(g->history), *eps = json_array(), *spoken;

	for (size_t i = 0; i < 8; i++)
		json_object_set_new(verbs, verb_names[i], json_integer((json_int_t)g->verbs[i]));
	for (size_t i = 0; i < g->opts->endpoint_cnt; i++) {
		const struct sim_ep *ep = &g->eps[i];

		json_array_append_new(eps, json_pack("{s:s, s:i, s:b, s:i}", "name", ep->name, "answered",
						     (int)ep->calls, "offhook", ep->offhook, "connections",
						     (int)ep->conn_cnt));
		for (size_t k = 0; k < ep->conn_max; k++) {
			if (ep->conns[k].used)
				json_array_append_new(conns, sim_gconn_report(&ep->conns[k]));
		}
	}
	spoken = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "piggybacked_out", (json_int_t)g->piggy_out, "piggybacked_in", (json_int_t)g->piggy_in,
			   "provisional", (json_int_t)g->provisional, "acknowledged", (json_int_t)g->acks, "redirected", (json_int_t)g->redirected,
			   "said_again", (json_int_t)g->said_again, "late_answers", (json_int_t)g->late_answers, "failed_on_purpose", (json_int_t)g->failed_on_purpose, "maps", (json_int_t)g->maps, "mapped",
			   (json_int_t)g->mapped, "looped", (json_int_t)g->looped);
	return json_pack("{s:s, s:b, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "name",
			 g->name, "in_service", g->in_service, "rsip_acked", (json_int_t)g->rsip_acked, "commands",
			 (json_int_t)g->commands, "verbs", verbs, "duplicates", (json_int_t)g->duplicates,
			 "lost_on_purpose", (json_int_t)g->lost_on_purpose, "bad_messages", (json_int_t)g->bad,
			 "retransmitted", (json_int_t)g->retransmitted, "gave_up", (json_int_t)g->gave_up,
			 "ntfy_acked", (json_int_t)g->ntfy_acked, "ntfy_refused", (json_int_t)g->ntfy_refused,
			 "rsip_refused", (json_int_t)g->refused, "spoken", spoken, "endpoints", eps, "connections", conns, "wire",
			 sim_wire_report(g->wire));
}
