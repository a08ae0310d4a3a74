/* SPDX-License-Identifier: BSD-3-Clause */
#include "trace.h"

#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/admin.h"
#include "api/dp_page.h"
#include "capture.h"
#include "clock.h"
#include "config.h"
#include "dpclient.h"

#define WAIT_MS   1000
#define COUNT_MAX 10000

struct cp_trace {
	struct event_base *base;
	struct cp_dp *dp;
	const struct cfg *cfg;
	uint32_t id;     /* of the last one */
	bool runs;       /* in the dataplane */
	bool starting;
	const char *end; /* why it ended, NULL: by its count, or it runs */
	time_t fetched;  /* monotonic seconds */
	struct event *quiet, *wait;
	struct cp_admin_req *start_req; /* waits for the dataplane */
	struct cp_admin_req *next_req;  /* waits for packets */
	uint32_t n, at;  /* packets that came, that were fetched */
	struct dp_trace_pkt *pkt; /* COUNT_MAX */
};

static void stop(struct cp_trace *t, const char *why)
{
	struct dp_trace m = {.id = t->id, .leg_id = UINT32_MAX};

	if (!t->runs)
		return;
	t->runs = false;
	t->end = why;
	(void)cp_dp_send(t->dp, DP_MSG_TRACE, &m, NULL, NULL); /* it may have ended there */
}

/* --- answers --- */

static const char *const stages[DP_STAGE_MAX] = {"rx", "parse", "lookup", "unprotect", "protect", "rewrite", "tx", "other"};

static json_t *address(const struct dp_sockaddr *a)
{
	struct cfg_addr c = {.family = a->family, .plen = a->family == 4 ? 32 : 128, .port = a->port};
	char text[64];

	if (a->family != 4 && a->family != 6)
		return json_null();
	memcpy(c.ip, a->ip, 16);
	return json_string(cfg_addr_print(&c, text, sizeof(text)));
}

static json_t *leg(uint32_t id)
{
	return id == UINT32_MAX ? json_null() : json_integer(id);
}

static json_t *port(const struct cp_trace *t, uint16_t i)
{
	return i < t->cfg->dataplane.ports_count ? json_string(t->cfg->dataplane.ports[i].device) : json_null();
}

static json_t *to_json(const struct cp_trace *t, const struct dp_trace_pkt *p)
{
	const char *verdict = "held", *at = "rx", *name;
	json_t *list = json_object();

	for (unsigned s = 0; s < DP_STAGE_MAX; s++) {
		if (p->stage[s] == DP_TRACE_NOT_REACHED)
			continue;
		name = dp_drop_name(p->stage[s]);
		json_object_set_new(list, stages[s], json_string(name != NULL ? name : "unknown"));
		at = stages[s];
		if (p->stage[s] != DP_OK)
			verdict = name != NULL ? name : "unknown";
		else if (s == DP_STAGE_TX)
			verdict = "sent";
		else if (s == DP_STAGE_OTHER)
			verdict = "ok";
	}
	return json_pack("{s:I, s:i, s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:b, s:I, s:I, s:i, s:s, s:s, s:o}", "at_us",
			 (json_int_t)p->at_us, "worker", p->worker, "port_in", port(t, p->port_in), "port_out",
			 port(t, p->port_out), "src", address(&p->src), "dst", address(&p->dst), "len", p->len, "leg_in",
			 leg(p->leg_in), "leg_out", leg(p->leg_out), "rtcp", p->rtcp != 0, "ssrc", (json_int_t)p->ssrc,
			 "index", (json_int_t)p->index, "pt", p->pt, "verdict", verdict, "at", at, "stages", list);
}

static void answer(struct cp_trace *t)
{
	struct cp_admin_req *req = t->next_req;
	json_t *list;

	if (req == NULL)
		return;
	list = json_array();
	for (unsigned k = 0; k < CP_TRACE_PAGE && t->at < t->n; k++)
		json_array_append_new(list, to_json(t, &t->pkt[t->at++]));
	t->next_req = NULL;
	t->fetched = cp_mono_s();
	event_del(t->wait);
	cp_admin_reply(req, json_pack("{s:I, s:o, s:b, s:o}", "id", (json_int_t)t->id, "packets", list, "done",
				      !t->runs && t->at == t->n, "end",
				      t->end != NULL && !t->runs ? json_string(t->end) : json_null()));
}

static void on_wait(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	answer(ctx);
}

static void on_quiet(evutil_socket_t fd, short what, void *ctx)
{
	struct timeval tv = {1, 0};
	struct cp_trace *t = ctx;

	(void)fd;
	(void)what;
	if (!t->runs)
		return;
	if (t->next_req == NULL && cp_mono_s() - t->fetched > CP_TRACE_QUIET_S)
		stop(t, "nobody fetched its packets");
	else
		event_add(t->quiet, &tv);
}

void cp_trace_input(struct cp_trace *t, const struct dp_trace_pkt *p)
{
	if (!t->runs || p->id != t->id || t->n == COUNT_MAX)
		return;
	t->pkt[t->n++] = *p;
	if (p->left == 0)
		t->runs = false;
	/* A moment later: packets come in bursts. */
	if (t->next_req != NULL) {
		struct timeval tv = {0, t->runs ? 20000 : 0};

		if (t->n - t->at == 1 || !t->runs)
			event_add(t->wait, &tv);
	}
}

void cp_trace_down(struct cp_trace *t)
{
	if (!t->runs)
		return;
	t->runs = false;
	t->end = "the channel to the dataplane is down";
	answer(t);
}

/* --- commands --- */

static void on_started(void *ctx, int rc)
{
	struct cp_trace *t = ctx;
	struct cp_admin_req *req = t->start_req;
	struct timeval tv = {1, 0};

	t->start_req = NULL;
	t->starting = false;
	if (req == NULL)
		return;
	if (rc < 0) {
		t->runs = false;
		cp_admin_fail_rc(req, rc, "%s", rc == -ENOTCONN ? "the dataplane is not there" : strerror(-rc));
		return;
	}
	t->fetched = cp_mono_s();
	event_add(t->quiet, &tv);
	cp_admin_reply(req, json_pack("{s:I}", "id", (json_int_t)t->id));
}

static void trace_start(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"leg", "source", "port", "drops", "count", NULL};
	int64_t leg_id = UINT32_MAX, dst = 0, count = 10;
	struct cp_trace *t = ctx;
	const char *source = NULL;
	struct dp_trace m = {0};
	bool drops = false;
	struct cfg_addr a;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 ||
	    cp_admin_arg_int(req, args, "leg", false, 0, DP_LEG_MAX - 1, &leg_id) < 0 ||
	    cp_admin_arg_str(req, args, "source", false, &source) < 0 ||
	    cp_admin_arg_int(req, args, "port", false, 1, 65535, &dst) < 0 ||
	    cp_admin_arg_bool(req, args, "drops", &drops) < 0 ||
	    cp_admin_arg_int(req, args, "count", false, 1, COUNT_MAX, &count) < 0)
		return;
	if (source != NULL && (cfg_addr_parse(source, &a) < 0 || strchr(source, '/') != NULL)) {
		cp_admin_fail(req, "invalid", "source is not an address");
		return;
	}
	if (t->runs || t->starting) {
		cp_admin_fail_rc(req, -EBUSY, "a trace runs already");
		return;
	}
	if (t->pkt == NULL)
		t->pkt = calloc(COUNT_MAX, sizeof(*t->pkt));
	if (t->pkt == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	m.leg_id = (uint32_t)leg_id;
	m.dst_port = (uint16_t)dst;
	m.drops_only = drops;
	m.count = (uint32_t)count;
	if (source != NULL) {
		m.src.family = a.family;
		m.src.port = a.port;
		memcpy(m.src.ip, a.ip, a.family == 4 ? 4 : 16);
	}
	m.id = ++t->id;
	t->n = t->at = 0;
	t->end = NULL;
	t->runs = true; /* packets may come before the answer is read */
	t->starting = true;
	t->start_req = req;
	rc = cp_dp_send(t->dp, DP_MSG_TRACE, &m, on_started, t);
	if (rc < 0)
		on_started(t, rc);
}

static bool this_one(const struct cp_trace *t, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"id", NULL};
	int64_t id = 0;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_int(req, args, "id", true, 1, UINT32_MAX, &id) < 0)
		return false;
	if (id != t->id || t->starting) {
		cp_admin_fail(req, "not-found", "no trace %lld", (long long)id);
		return false;
	}
	return true;
}

static void trace_next(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct timeval tv = {WAIT_MS / 1000, WAIT_MS % 1000 * 1000};
	struct cp_trace *t = ctx;

	if (!this_one(t, req, args))
		return;
	if (t->next_req != NULL) {
		cp_admin_fail_rc(req, -EBUSY, "somebody else fetches this trace");
		return;
	}
	t->next_req = req;
	if (t->at < t->n || !t->runs)
		answer(t);
	else
		event_add(t->wait, &tv);
}

static void trace_stop(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_trace *t = ctx;

	if (!this_one(t, req, args))
		return;
	stop(t, "stopped");
	answer(t);
	cp_admin_reply(req, NULL);
}

int cp_trace_commands(struct cp_trace *t, struct cp_admin *admin)
{
	int rc = cp_admin_register(admin, "trace.start", trace_start, t);

	if (rc == 0)
		rc = cp_admin_register(admin, "trace.next", trace_next, t);
	return rc == 0 ? cp_admin_register(admin, "trace.stop", trace_stop, t) : rc;
}

struct cp_trace *cp_trace_create(struct event_base *base, struct cp_dp *dp, const struct cfg *cfg)
{
	struct cp_trace *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->base = base;
	t->dp = dp;
	t->cfg = cfg;
	t->quiet = evtimer_new(base, on_quiet, t);
	t->wait = evtimer_new(base, on_wait, t);
	if (t->quiet == NULL || t->wait == NULL) {
		cp_trace_destroy(t);
		return NULL;
	}
	return t;
}

void cp_trace_destroy(struct cp_trace *t)
{
	if (t == NULL)
		return;
	t->runs = false;
	if (t->next_req != NULL)
		answer(t);
	if (t->start_req != NULL)
		cp_admin_fail_rc(t->start_req, -ENOTCONN, "the controlplane stops");
	if (t->quiet != NULL)
		event_free(t->quiet);
	if (t->wait != NULL)
		event_free(t->wait);
	free(t->pkt);
	free(t);
}
