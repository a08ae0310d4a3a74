/* SPDX-License-Identifier: BSD-3-Clause */
/* A gateway's endpoints: hook, ring, notifications; and their connections with media. */
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "gw_priv.h"

static void after_ms(struct event *ev, unsigned int ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	event_add(ev, &tv);
}

/* Tell the agent, if it asked for this event. An event uses up the request (RFC 3435 4.4.1, quarantine of one). */
static bool notify(struct sim_ep *ep, const char *event)
{
	char params[128];

	if (ep->request_id[0] == '\0' || !sim_mgcp_listed(ep->events, event))
		return false;
	snprintf(params, sizeof(params), "X: %s\r\nO: %s\r\n", ep->request_id, event);
	sim_gw_command(ep->gw, ep, "NTFY", ep->name, params);
	return true;
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	sim_ep_offhook(arg);
}

static void on_hangup(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	sim_ep_onhook(arg);
}

/* A digit map (RFC 3435 s2.1.5) as a regular expression of whole numbers: x is [0-9], a dot any number of what stands before it. */
static bool map_matches(const char *map, const char *digits)
{
	char text[1024];
	size_t n = 0;
	regex_t re;
	bool hit;

	text[n++] = '^';
	text[n++] = '(';
	for (const char *p = map; *p != '\0' && n + 8 < sizeof(text); p++) {
		if (*p == 'x' || *p == 'X') {
			memcpy(text + n, "[0-9]", 5);
			n += 5;
		} else if (*p == '.') {
			text[n++] = '*';
		} else if (*p == '*') {
			memcpy(text + n, "[*]", 3);
			n += 3;
		} else {
			text[n++] = *p;
		}
	}
	memcpy(text + n, ")$", 3);
	if (regcomp(&re, text, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	hit = regexec(&re, digits, 0, NULL, 0) == 0;
	regfree(&re);
	return hit;
}

/* All that was collected, in one notification: "D/1,D/0,D/T". */
static void tell_collected(struct sim_ep *ep)
{
	char params[64 + 4 * sizeof(ep->collected)];
	int n = snprintf(params, sizeof(params), "X: %s\r\nO: ", ep->request_id);

	for (const char *p = ep->collected; *p != '\0'; p++)
		n += snprintf(params + n, sizeof(params) - (size_t)n, "%sD/%c", p != ep->collected ? "," : "", *p);
	snprintf(params + n, sizeof(params) - (size_t)n, "\r\n");
	ep->collected[0] = '\0';
	ep->gw->mapped++;
	if (!ep->loop)
		ep->events[0] = '\0'; /* the request is used up */
	sim_gw_command(ep->gw, ep, "NTFY", ep->name, params);
}

/* The next digit of who dials by the map; behind the last one its timer goes off. */
static void dial_by_map(struct sim_ep *ep)
{
	const char *dial = ep->gw->opts->dial;
	size_t n = strlen(ep->collected);
	char next = dial[ep->dialled - 1];

	if (n + 2 > sizeof(ep->collected) || (next == '\0' && n == 0))
		return;
	ep->collected[n] = next != '\0' ? next : 'T';
	ep->collected[n + 1] = '\0';
	ep->dialled += next != '\0';
	if (next == '\0' || map_matches(ep->map, ep->collected))
		tell_collected(ep);
	else
		after_ms(ep->dial_timer, dial[ep->dialled - 1] != '\0' ? 60 : 400);
}

/* Off hook, once; then a digit for each request that asks for some. */
static void on_dial(evutil_socket_t fd, short what, void *arg)
{
	struct sim_ep *ep = arg;
	char event[8];

	(void)fd;
	(void)what;
	if (ep->dialled == 0) {
		ep->dialled = 1;
		ep->offhook = true;
		sim_event(ep->gw->name, "offhook", "{s:s}", "endpoint", ep->name);
		notify(ep, "L/hd");
		return;
	}
	if (ep->request_id[0] == '\0' || strstr(ep->events, "D/[") == NULL)
		return;
	if (ep->map[0] != '\0' && strstr(ep->events, "T](D)") != NULL) {
		dial_by_map(ep);
		return;
	}
	if (ep->gw->opts->dial[ep->dialled - 1] == '\0')
		return;
	snprintf(event, sizeof(event), "D/%c", ep->gw->opts->dial[ep->dialled++ - 1]);
	if (ep->loop) { /* the request stands */
		char params[64];

		snprintf(params, sizeof(params), "X: %s\r\nO: %s\r\n", ep->request_id, event);
		ep->gw->looped++;
		sim_gw_command(ep->gw, ep, "NTFY", ep->name, params);
		after_ms(ep->dial_timer, 60);
		return;
	}
	snprintf(ep->events, sizeof(ep->events), "%s", event); /* it is what was asked for */
	notify(ep, event);
}

/* It dials, or will. */
static bool caller(const struct sim_ep *ep)
{
	return ep->gw->opts->dial != NULL && ep == &ep->gw->eps[0];
}

static void goes_on(struct sim_ep *ep)
{
	if (caller(ep) && (ep->dialled == 0 ? sim_mgcp_listed(ep->events, "L/hd") : strstr(ep->events, "D/[") != NULL))
		after_ms(ep->dial_timer, ep->dialled == 0 ? 300 : 60);
}

int sim_ep_init(struct sim_ep *ep, struct sim_gw *g, const char *name)
{
	ep->gw = g;
	ep->name = name;
	ep->mixes = strncasecmp(name, "cnf/", 4) == 0;
	ep->conn_max = ep->mixes ? SIM_MIX_CONNS : SIM_GW_CONNS;
	ep->conns = calloc(ep->conn_max, sizeof(*ep->conns));
	if (ep->conns == NULL)
		return -ENOMEM;
	ep->answer_timer = event_new(g->opts->base, -1, 0, on_answer, ep);
	ep->hangup_timer = event_new(g->opts->base, -1, 0, on_hangup, ep);
	ep->dial_timer = event_new(g->opts->base, -1, 0, on_dial, ep);
	return ep->answer_timer == NULL || ep->hangup_timer == NULL || ep->dial_timer == NULL ? -ENOMEM : 0;
}

void sim_ep_fini(struct sim_ep *ep)
{
	for (size_t i = 0; ep->conns != NULL && i < ep->conn_max; i++)
		sim_gconn_drop(&ep->conns[i]);
	free(ep->conns);
	ep->conns = NULL;
	if (ep->answer_timer != NULL)
		event_free(ep->answer_timer);
	if (ep->hangup_timer != NULL)
		event_free(ep->hangup_timer);
	if (ep->dial_timer != NULL)
		event_free(ep->dial_timer);
}

void sim_ep_request(struct sim_ep *ep, const char *request_id, const char *events, const char *signals, const char *quarantine, const char *map)
{
	bool ring = sim_mgcp_listed(signals, "L/rg") || sim_mgcp_listed(signals, "rg");

	snprintf(ep->request_id, sizeof(ep->request_id), "%.32s", request_id);
	snprintf(ep->events, sizeof(ep->events), "%.127s", events != NULL ? events : "");
	snprintf(ep->signals, sizeof(ep->signals), "%.127s", signals != NULL ? signals : "");
	ep->collected[0] = '\0';
	ep->loop = sim_mgcp_listed(quarantine, "loop");
	if (map != NULL) {
		ep->gw->maps++;
		snprintf(ep->map, sizeof(ep->map), "%.200s", map);
	}
	if (ring && !ep->ringing && !ep->offhook) {
		sim_event(ep->gw->name, "ring", "{s:s}", "endpoint", ep->name);
		if (ep->gw->opts->answer_after_ms >= 0)
			after_ms(ep->answer_timer, (unsigned int)ep->gw->opts->answer_after_ms);
	}
	if (!ring && ep->ringing) { /* signals that are not named again stop */
		sim_event(ep->gw->name, "ring-stopped", "{s:s}", "endpoint", ep->name);
		event_del(ep->answer_timer);
	}
	ep->ringing = ring && !ep->offhook;
	if (ep->signals[0] != '\0')
		sim_event(ep->gw->name, "signal", "{s:s, s:s}", "endpoint", ep->name, "signals", ep->signals);
	goes_on(ep);
}

/*
 * Send or stop as mode, remote side and hook say: nobody speaks into a phone that is on its hook. Endpoints that
 * are not analog have none.
 */
static int send_media(struct sim_gconn *c)
{
	bool hook = strncasecmp(c->ep->name, "aaln", 4) == 0 && !c->ep->gw->opts->early_media;
	struct sim_srtp_key none = {.alg = SIM_SRTP_NONE};

	if (!c->send || c->remote.to.len == 0 || sim_addr_port(&c->remote.to) == 0 || (hook && !c->ep->offhook)) {
		sim_media_send_stop(c->media);
		return 0;
	}
	return sim_media_send(c->media, &c->remote.to, c->local.pts[0], c->local.ptime_ms,
			      c->local.secure ? &c->local.key : &none, c->remote.rtcp_mux);
}

void sim_ep_offhook(struct sim_ep *ep)
{
	if (ep->offhook)
		return;
	ep->offhook = true;
	ep->ringing = false;
	ep->calls++;
	sim_event(ep->gw->name, "offhook", "{s:s}", "endpoint", ep->name);
	ep->notified_hd = notify(ep, "L/hd");
	for (size_t i = 0; i < ep->conn_max; i++) {
		if (ep->conns[i].used)
			send_media(&ep->conns[i]);
	}
	if (ep->gw->opts->duration_ms != 0)
		after_ms(ep->hangup_timer, ep->gw->opts->duration_ms);
}

void sim_ep_onhook(struct sim_ep *ep)
{
	event_del(ep->hangup_timer);
	event_del(ep->answer_timer);
	if (!ep->offhook)
		return;
	ep->offhook = false;
	sim_event(ep->gw->name, "onhook", "{s:s}", "endpoint", ep->name);
	for (size_t i = 0; i < ep->conn_max; i++) {
		if (ep->conns[i].used && ep->conns[i].media != NULL)
			sim_media_send_stop(ep->conns[i].media);
	}
	notify(ep, "L/hu");
}

static void on_play_done(void *ctx)
{
	struct sim_gconn *c = ctx;

	if (c->ep->gw->opts->hangup_at_end)
		after_ms(c->ep->hangup_timer, c->ep->gw->opts->linger_ms);
}

static bool in_conference(const struct sim_gconn *c)
{
	return c->used && strcmp(c->mode, "confrnce") == 0;
}

static void on_heard(void *ctx, uint8_t pt, const uint8_t *payload, size_t len)
{
	struct sim_gconn *c = ctx;

	if (in_conference(c))
		sim_mix_heard(c->mix, pt, payload, len);
}

static void on_fill(void *ctx, uint8_t pt, uint8_t *frame, size_t len)
{
	struct sim_mix *all[SIM_MIX_CONNS];
	struct sim_gconn *c = ctx;
	struct sim_ep *ep = c->ep;

	for (size_t i = 0; i < ep->conn_max; i++)
		all[i] = in_conference(c) && in_conference(&ep->conns[i]) ? ep->conns[i].mix : NULL;
	sim_mix_next(c->mix, all, ep->conn_max, pt, frame, len);
}

/* A new one is heard from now on, by nobody from where the one before it was. */
static int begin_mix(struct sim_gconn *c, struct sim_media_cfg *cfg)
{
	struct sim_ep *ep = c->ep;

	c->mix = sim_mix_create();
	if (c->mix == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < ep->conn_max; i++)
		if (ep->conns[i].mix != NULL)
			sim_mix_forget(ep->conns[i].mix, (size_t)(c - ep->conns));
	cfg->play = NULL;
	cfg->heard = on_heard;
	cfg->fill = on_fill;
	return 0;
}

struct sim_gconn *sim_gconn_add(struct sim_ep *ep, const char *call_id)
{
	struct sim_gw *g = ep->gw;
	struct sim_media_cfg cfg = g->opts->media;
	struct sim_gconn *c = NULL;
	char err[160];
	uint32_t id;

	for (size_t i = 0; i < ep->conn_max && c == NULL; i++)
		c = ep->conns[i].used ? NULL : &ep->conns[i];
	if (c == NULL || RAND_bytes((unsigned char *)&id, sizeof(id)) != 1)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->ep = ep;
	c->session = id;
	snprintf(c->id, sizeof(c->id), "%X", id);
	snprintf(c->call_id, sizeof(c->call_id), "%.32s", call_id);
	cfg.base = g->opts->base;
	cfg.who = g->name;
	if (cfg.local.len == 0) {
		cfg.local = g->local;
		sim_addr_set_port(&cfg.local, 0);
	}
	ep->conn_cnt++;
	g->conn_cnt++;
	if (cfg.record != NULL && g->conn_cnt > 1) {
		snprintf(c->record, sizeof(c->record), "%s.%u", cfg.record, g->conn_cnt);
		cfg.record = c->record;
	}
	if (cfg.played != NULL && g->conn_cnt > 1) {
		snprintf(c->played, sizeof(c->played), "%s.%u", cfg.played, g->conn_cnt);
		cfg.played = c->played;
	}
	cfg.play_done = on_play_done;
	cfg.ctx = c;
	if (ep->mixes && begin_mix(c, &cfg) < 0)
		return NULL;
	c->media = sim_media_create(&cfg, err, sizeof(err));
	if (c->media == NULL) {
		sim_event(g->name, "no-media", "{s:s}", "error", err);
		sim_gconn_drop(c);
		return NULL;
	}
	c->used = true;
	c->local.to = *sim_media_local(c->media);
	c->local.pts[0] = SIM_PT_ULAW;
	c->local.pts[1] = SIM_PT_ALAW;
	c->local.pt_cnt = 2;
	c->local.ptime_ms = 20;
	c->local.form = g->opts->form;
	c->local.tag = 1;
	return c;
}

/* Our own key of this suite: made once, kept as long as the suite stays. An MKI if the other side has one, as long as its. */
static int own_key(struct sim_gconn *c, enum sim_srtp_alg alg, const struct sim_srtp_key *theirs)
{
	if (c->local.secure && c->local.key.alg == alg)
		return 0;
	memset(&c->local.key, 0, sizeof(c->local.key));
	c->local.key.alg = alg;
	if (RAND_priv_bytes(c->local.key.key, (int)sim_srtp_key_len(alg)) != 1 ||
	    RAND_priv_bytes(c->local.key.salt, (int)sim_srtp_salt_len(alg)) != 1)
		return -EIO;
	c->local.key.mki_len = theirs->mki_len;
	c->local.key.lifetime = theirs->lifetime;
	if (RAND_bytes(c->local.key.mki, theirs->mki_len) != 1)
		return -EIO;
	c->local.secure = true;
	return 0;
}

static unsigned int negotiate(struct sim_gconn *c, const struct sim_sdp *remote)
{
	uint8_t pt = 0xFF;

	for (size_t i = 0; i < remote->pt_cnt && pt == 0xFF; i++) {
		if (remote->pts[i] == SIM_PT_ULAW || remote->pts[i] == SIM_PT_ALAW)
			pt = remote->pts[i];
	}
	if (pt == 0xFF)
		return 534;
	if (remote->secure && !remote->have_crypto)
		return 505; /* nothing we can do with it; never answered in clear */
	c->local.pts[0] = pt;
	c->local.pt_cnt = 1;
	c->local.rtcp_mux = remote->rtcp_mux;
	c->local.ptime_ms = remote->ptime_ms != 0 ? remote->ptime_ms : 20;
	if (remote->secure) {
		/* Another key of the agent's for a stream that runs: we get another one, too. */
		c->rekey = c->remote.secure && c->local.secure && c->local.key.alg == remote->key.alg &&
			   CRYPTO_memcmp(c->remote.key.key, remote->key.key, sizeof(remote->key.key)) != 0;
		if (c->rekey)
			c->local.secure = false;
		if (own_key(c, remote->key.alg, &remote->key) < 0)
			return 400;
		c->local.form = remote->form;
		c->local.tag = remote->tag;
	} else {
		c->local.secure = false;
		memset(&c->local.key, 0, sizeof(c->local.key));
	}
	c->remote = *remote;
	return 200;
}

unsigned int sim_gconn_apply(struct sim_gconn *c, const char *mode, const struct sim_sdp *remote)
{
	static const struct {
		const char *name;
		bool send, recv;
	} modes[] = {{"sendrecv", true, true}, {"sendonly", true, false}, {"recvonly", false, true},
		     {"inactive", false, false}, {"confrnce", true, true}}; /* confrnce: the endpoint mixes */
	enum sim_srtp_alg offer = c->ep->gw->opts->offer;
	struct sim_srtp_key none = {.alg = SIM_SRTP_NONE};
	unsigned int code = 200;
	size_t i = 0;

	while (i < sizeof(modes) / sizeof(modes[0]) && strcasecmp(modes[i].name, mode) != 0)
		i++;
	if (i == sizeof(modes) / sizeof(modes[0]))
		return 517;
	if (remote != NULL)
		code = negotiate(c, remote);
	else if (c->remote.to.len == 0 && offer != SIM_SRTP_NONE && own_key(c, offer, &none) < 0)
		code = 400;
	if (code != 200)
		return code;
	snprintf(c->mode, sizeof(c->mode), "%s", modes[i].name);
	if (c->rekey) {
		c->rekey = false;
		c->rekeys++;
		if (sim_media_rekey(c->media, &c->remote.key, &c->local.key) < 0)
			return 505;
	}
	if (modes[i].recv && (c->remote.to.len != 0 || !c->local.secure)) {
		if (sim_media_recv(c->media, c->local.pts[0], c->remote.secure ? &c->remote.key : &none) < 0)
			return 505;
	} else {
		sim_media_recv_stop(c->media);
	}
	c->send = modes[i].send;
	if (send_media(c) < 0)
		return 535;
	if (c->send && caller(c->ep) && c->ep->calls == 0) { /* who was called has answered */
		c->ep->calls++;
		if (c->ep->gw->opts->duration_ms != 0)
			after_ms(c->ep->hangup_timer, c->ep->gw->opts->duration_ms);
	}
	sim_event(c->ep->gw->name, "connection", "{s:s, s:s, s:s, s:s, s:s, s:s}", "endpoint", c->ep->name, "id",
		  c->id, "mode", c->mode, "suite", sim_srtp_name(c->local.key.alg), "local",
		  sim_addr_str(&c->local.to), "remote",
		  c->remote.to.len != 0 ? sim_addr_str(&c->remote.to) : "-");
	return 200;
}

void sim_gconn_drop(struct sim_gconn *c)
{
	struct sim_ep *ep = c->ep;

	sim_media_destroy(c->media);
	sim_mix_destroy(c->mix);
	OPENSSL_cleanse(c, sizeof(*c));
	c->ep = ep;
}

json_t *sim_gconn_report(const struct sim_gconn *c)
{
	json_t *r = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:i, s:i, s:i, s:o}", "endpoint", c->ep->name, "id", c->id, "call",
			 c->call_id, "mode", c->mode, "suite", sim_srtp_name(c->local.key.alg), "secure",
			 c->local.secure, "crypto", c->local.form == SIM_CRYPTO_X ? "X-crypto" : "crypto", "rekeys",
			 (int)c->rekeys, "mki_len", c->remote.key.mki_len, "lifetime", c->remote.key.lifetime, "media",
			 sim_media_report(c->media));

	if (c->mix != NULL)
		json_object_set_new(r, "mix", sim_mix_report(c->mix));
	return r;
}

void sim_gconn_del(struct sim_gconn *c, char *stats, size_t room)
{
	struct sim_gw *g;
	struct sim_ep *ep;
	uint32_t s[7];
	json_t *r;
	bool last = true;
	int rc;

	if (!c->used)
		return;
	ep = c->ep;
	g = ep->gw;
	sim_media_send_stop(c->media);
	sim_media_stats(c->media, s);
	if (stats != NULL)
		snprintf(stats, room, "PS=%u, OS=%u, PR=%u, OR=%u, PL=%u, JI=%u, LA=0", s[0], s[1], s[2], s[3], s[4],
			 s[5]);
	r = sim_gconn_report(c);
	rc = sim_media_save(c->media);
	if (rc < 0)
		json_object_set_new(r, "save_error", json_string(strerror(-rc)));
	json_array_append_new(g->history, r);
	sim_event(g->name, "connection-deleted", "{s:s, s:s}", "endpoint", ep->name, "id", c->id);
	sim_gconn_drop(c);
	for (size_t i = 0; i < ep->conn_max; i++)
		last &= !ep->conns[i].used;
	if (last && ep->offhook) {
		after_ms(ep->hangup_timer, 300); /* nobody is there any more: the user hangs up */
		if (g->ops->call_ended != NULL)
			g->ops->call_ended(g->ctx, g);
	} else if (last && ep->calls > 0 && g->ops->call_ended != NULL) {
		g->ops->call_ended(g->ctx, g);
	}
}
