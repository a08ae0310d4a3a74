/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What operators see of media: legs with their figures, filters and pages (call/legview.c), captures with permission,
 * audit and alarm (capture.c), traces in pages (trace.c). The real store and call control, a dataplane's end that the
 * suite plays. PC-*: rows of the catalogue.
 * Rows: 004c:PC-02, PC-03, PC-08, PC-09.
 */
#include <jansson.h>
#include <math.h>

#include "admin/admin.h"
#include "call_fix.h"
#include "call/legview.h"
#include "quality/quality.h"
#include "capture.h"

static struct cp_captures *caps;
static struct cp_admin *admin;
static json_t *got; /* the last answer */
static uint32_t legs[2], call_ref;

static void see_up(void *ctx, bool fresh)
{
	cp_captures_up(caps, fresh);
	world_up(ctx, fresh);
}

static void see_down(void *ctx)
{
	cp_captures_down(caps);
	world_down(ctx);
}

static void see_done(void *ctx, const struct dp_capture_done *ev)
{
	(void)ctx;
	cp_captures_done(caps, ev);
}

static void see_trace(void *ctx, const struct dp_trace_pkt *ev)
{
	(void)ctx;
	cp_captures_trace(caps, ev);
}

static void on_line(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	json_decref(got);
	got = json_loadb(line, len, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(got);
}

/* One request; its answer comes at once or a little later. */
static void request(const char *text)
{
	json_decref(got);
	got = NULL;
	cp_admin_input(admin, text, strlen(text), on_line, NULL);
}

static json_t *ask(const char *text)
{
	request(text);
	UNTIL(got != NULL);
	return json_object_get(got, "result");
}

static const char *refusal(const char *text)
{
	(void)ask(text);
	CU_ASSERT_TRUE(json_is_false(json_object_get(got, "ok")));
	return json_string_value(json_object_get(json_object_get(got, "error"), "code"));
}

static long long num(const json_t *o, const char *name)
{
	return (long long)json_number_value(json_object_get(o, name));
}

static const char *str(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL ? s : "";
}

static void on_session(void *ctx, int rc, const char *why, json_t *result)
{
	(void)why;
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	*(json_t **)ctx = result;
}

/* A relay session between regions; its legs. */
static uint32_t session(const char *region_b, uint32_t leg[2])
{
	json_t *spec = json_pack("{s:{s:s, s:s}, s:{s:s, s:s, s:s}}", "leg_a", "remote", "10.5.0.1:4000", "suite", "RTP", "leg_b",
				 "remote", "10.5.0.2:4000", "suite", "RTP", "region", region_b);
	json_t *r = NULL;
	uint32_t ref;

	cp_calls_session_add(w.calls, spec, on_session, &r);
	UNTIL(r != NULL);
	leg[0] = (uint32_t)num(json_object_get(r, "leg_a"), "id");
	leg[1] = (uint32_t)num(json_object_get(r, "leg_b"), "id");
	ref = (uint32_t)num(r, "id");
	for (int s = 0; s < 2; s++) {
		struct dp_page_leg *p = fake_leg(&w.fake, leg[s]);

		memset(p, 0, sizeof(*p));
		p->state = DP_PAGE_LEG_UP;
		p->session = ref;
	}
	json_decref(spec);
	json_decref(r);
	return ref;
}

static void begin(bool enabled, bool plain)
{
	static struct cp_dp_ops ops;
	struct cp_captures_env env;

	world_begin();
	ops = world_ops;
	ops.up = see_up;
	ops.down = see_down;
	ops.capture_done = see_done;
	ops.trace_pkt = see_trace;
	/* world_begin()'s client has no such events: another one takes its place */
	cp_dp_close(w.dp);
	cp_calls_destroy(w.calls);
	cp_gws_destroy(w.gws);
	cp_dp_destroy(w.dp);
	cp_alarms_destroy(w.alarms);
	w.cfg->capture.enabled = enabled;
	w.cfg->capture.plain = plain ? CFG_CAPTURE_ALLOW : CFG_CAPTURE_DENY;

	struct cp_calls_env cenv = {.base = w.base, .cfg = w.cfg, .store = w.store};
	struct cfg_addr agent;

	cfg_addr_parse("10.9.9.9:2727", &agent);
	cenv.alarms = w.alarms = cp_alarms_create();
	ups = 0;
	cenv.dp = w.dp = cp_dp_create(w.base, tmp_dir, 100, 3, 16384, &ops, NULL);
	w.calls = cp_calls_create(&cenv);
	w.gws = cp_gws_create(w.base, w.dp, w.store, w.alarms, &agent, &cp_calls_gateway_ops, w.calls);
	cp_calls_set_gateways(w.calls, w.gws);
	env = (struct cp_captures_env){.base = w.base, .cfg = w.cfg, .store = w.store, .alarms = w.alarms, .dp = w.dp,
				       .calls = w.calls};
	caps = cp_captures_create(&env);
	admin = cp_admin_create(w.base);
	CU_ASSERT_EQUAL_FATAL(cp_captures_commands(caps, admin), 0);
	UNTIL(ups == 1);
	call_ref = session("b", legs);
	w.fake.n = 0;
}

static void end(void)
{
	json_decref(got);
	got = NULL;
	cp_dp_close(w.dp);
	cp_store_close(w.store);
	cp_admin_destroy(admin);
	cp_captures_destroy(caps);
	cp_gws_destroy(w.gws);
	cp_calls_destroy(w.calls);
	cp_dp_destroy(w.dp);
	cp_alarms_destroy(w.alarms);
	w.store = NULL;
	fake_stop(&w.fake);
	event_base_free(w.base);
	w.cfg->media.addresses = NULL;
	w.cfg->media.addresses_count = 0;
	cfg_free(w.cfg);
	tmp_remove();
}

/* --- audit, as the operator reads it --- */

static unsigned audits;
static char audit_text[4096];

static void on_audit(void *ctx, int64_t us, const char *json)
{
	(void)us;
	if (strstr(json, ctx) != NULL) {
		audits++;
		snprintf(audit_text, sizeof(audit_text), "%s", json);
	}
}

static unsigned audited(const char *event)
{
	char text[64];

	snprintf(text, sizeof(text), "\"%s\"", event);
	audits = 0;
	CU_ASSERT_EQUAL(cp_store_audit(w.store, 1000, on_audit, text), 0);
	return audits;
}

/* --- legs --- */

static json_t *page(struct cp_leg_filter f)
{
	if (f.max == 0)
		f.max = 10;
	return cp_calls_show_legs(w.calls, &f);
}

#define ANY .leg = UINT32_MAX

static void test_figures(void)
{
	struct dp_page_leg *p;
	json_t *r, *l;

	begin(false, false);
	w.fake.page->now_s = 1000;
	p = fake_leg(&w.fake, legs[0]);
	p->rx_suite = DP_AEAD_AES_256_GCM;
	p->tx_suite = DP_NULL_HMAC_SHA1_80;
	p->rx_key_s = 900;
	p->codec = DP_CODEC_G729;
	p->clock_hz = 8000;
	p->ptime_ms = 20;
	p->rx_pkts = 1000;
	p->tx_pkts = 1010;
	p->tx_rtcp = 10;
	p->last_rx_s = 998;
	p->rtp = (struct dp_page_rtp){.ssrc = 0xdeadbeef, .ssrc_changes = 1, .expected = 1000, .received = 980, .reordered = 3,
				      .jitter = 16 * 80, .gap_max_us = 61500};
	p->rtcp = (struct dp_page_rtcp){.reports = 4, .lost = 50, .fraction = 64, .jitter = 160, .rtt_us = 80000};
	p->auth_fail = 1;
	p->replayed = 2;
	p->policed = 3;
	p->other_drop = 4;
	p->latches = 5;
	r = page((struct cp_leg_filter){.leg = legs[0]});
	CU_ASSERT_EQUAL_FATAL(json_array_size(json_object_get(r, "legs")), 1);
	CU_ASSERT_TRUE(json_is_null(json_object_get(r, "next")));
	l = json_array_get(json_object_get(r, "legs"), 0);
	CU_ASSERT_EQUAL(num(l, "leg"), legs[0]);
	CU_ASSERT_EQUAL(num(l, "call"), call_ref);
	CU_ASSERT_STRING_EQUAL(str(l, "state"), "up");
	CU_ASSERT_STRING_EQUAL(str(l, "rx_suite"), "AEAD_AES_256_GCM");
	CU_ASSERT_STRING_EQUAL(str(l, "tx_suite"), "NULL_HMAC_SHA1_80");
	CU_ASSERT_EQUAL(num(l, "rx_key_age_s"), 100);
	CU_ASSERT_TRUE(json_is_null(json_object_get(l, "tx_key_age_s")));
	CU_ASSERT_STRING_EQUAL(str(l, "codec"), "g729");
	CU_ASSERT_EQUAL(num(l, "quiet_s"), 2);
	CU_ASSERT_EQUAL(num(l, "rx_lost"), 20);
	CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(l, "rx_loss_percent")), 2, 1e-9);
	CU_ASSERT_EQUAL(num(l, "rx_reordered"), 3);
	CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(l, "rx_jitter_ms")), 10, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(l, "rx_gap_max_ms")), 61.5, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(l, "tx_loss_percent")), 5, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(l, "tx_fraction_percent")), 25, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(l, "tx_jitter_ms")), 20, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(l, "rtt_ms")), 80, 1e-9);
	CU_ASSERT_EQUAL(num(l, "auth_failed"), 1);
	CU_ASSERT_EQUAL(num(l, "replayed"), 2);
	CU_ASSERT_EQUAL(num(l, "policed"), 3);
	CU_ASSERT_EQUAL(num(l, "dropped"), 4);
	CU_ASSERT_EQUAL(num(l, "latches"), 5);
	/* G.729, 2 %: Ie,eff = 11 + 84 * 2 / 21 = 19; 40 ms network, 45 ms of codec and buffer */
	CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(l, "rx_r")), 72.0, 0.3);
	CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(l, "rx_mos")), 3.69, 0.03);
	CU_ASSERT_TRUE(json_number_value(json_object_get(l, "tx_r")) < json_number_value(json_object_get(l, "rx_r")));
	CU_ASSERT_EQUAL(json_array_size(json_object_get(l, "problems")), 4); /* loss, quality, forgery, policed */
	json_decref(r);

	/* nothing published for this codec: no figure, and not a bad one either */
	p->codec = DP_CODEC_G722;
	r = page((struct cp_leg_filter){.leg = legs[0]});
	l = json_array_get(json_object_get(r, "legs"), 0);
	CU_ASSERT_TRUE(json_is_null(json_object_get(l, "rx_r")));
	CU_ASSERT_TRUE(json_is_null(json_object_get(l, "rx_mos")));
	CU_ASSERT_TRUE(json_is_null(json_object_get(l, "tx_mos")));
	json_decref(r);

	/* duplicates make a party's loss negative; a page of another session is not ours */
	struct dp_quality q;

	p->rtcp.lost = (uint64_t)-3;
	dp_quality_of(p, &q);
	CU_ASSERT_DOUBLE_EQUAL(q.tx_loss, 0, 0);
	p->rtp.received = p->rtp.expected + 5;
	dp_quality_of(p, &q);
	CU_ASSERT_EQUAL(q.rx_lost, 0);
	p->codec = 77;
	dp_quality_of(p, &q);
	CU_ASSERT_TRUE(isnan(q.rx_r));
	p->session++;
	r = page((struct cp_leg_filter){.leg = legs[0]});
	l = json_array_get(json_object_get(r, "legs"), 0);
	CU_ASSERT_STRING_EQUAL(str(l, "state"), "setup");
	CU_ASSERT_EQUAL(num(l, "rx_packets"), 0);
	json_decref(r);
	end();
}

static void test_filters_and_pages(void)
{
	uint32_t more[2], ref, from = 0;
	unsigned seen = 0, pages = 0;
	json_t *r;

	begin(false, false);
	ref = session("c", more);
	for (int i = 0; i < 5; i++) {
		uint32_t l[2];

		session("b", l);
	}
	r = page((struct cp_leg_filter){ANY, .call = ref});
	CU_ASSERT_EQUAL(json_array_size(json_object_get(r, "legs")), 2);
	json_decref(r);
	r = page((struct cp_leg_filter){ANY, .region = "c"});
	CU_ASSERT_EQUAL_FATAL(json_array_size(json_object_get(r, "legs")), 1);
	CU_ASSERT_EQUAL(num(json_array_get(json_object_get(r, "legs"), 0), "leg"), more[1]);
	json_decref(r);
	r = page((struct cp_leg_filter){ANY, .region = "nowhere"});
	CU_ASSERT_EQUAL(json_array_size(json_object_get(r, "legs")), 0);
	json_decref(r);
	/* every leg once, whatever ends or begins between two pages */
	for (;;) {
		struct cp_leg_filter f = {ANY, .from = from, .max = 3};
		uint32_t l[2];

		r = page(f);
		seen += (unsigned)json_array_size(json_object_get(r, "legs"));
		pages++;
		if (!json_is_integer(json_object_get(r, "next")))
			break;
		from = (uint32_t)num(r, "next");
		json_decref(r);
		if (pages == 2) {
			CU_ASSERT_EQUAL(cp_calls_hangup(w.calls, ref), 0); /* was shown already */
			session("b", l);
		}
	}
	json_decref(r);
	CU_ASSERT_TRUE(seen == 14 || seen == 16); /* the new call is behind, or in the place of the old one */
	CU_ASSERT_TRUE(pages >= 5);
	/* only bad ones: none until one is */
	w.fake.page->now_s = 3;
	r = page((struct cp_leg_filter){ANY, .bad = true, .max = 50});
	CU_ASSERT_EQUAL(json_array_size(json_object_get(r, "legs")), 0);
	json_decref(r);
	fake_leg(&w.fake, legs[1])->auth_fail = 1;
	r = page((struct cp_leg_filter){ANY, .bad = true, .max = 50});
	CU_ASSERT_EQUAL_FATAL(json_array_size(json_object_get(r, "legs")), 1);
	CU_ASSERT_EQUAL(num(json_array_get(json_object_get(r, "legs"), 0), "leg"), legs[1]);
	json_decref(r);
	fake_leg(&w.fake, legs[1])->auth_fail = 0;
	fake_leg(&w.fake, legs[0])->last_rx_s = 1;
	w.fake.page->now_s = 7;
	r = page((struct cp_leg_filter){ANY, .bad = true, .max = 50});
	CU_ASSERT_EQUAL(json_array_size(json_object_get(r, "legs")), 1); /* silent */
	json_decref(r);
	end();
}

/* 20,000 legs: no answer looks at more than a page of them, whether they are shown or not, and all are seen once. */
static void test_twenty_thousand(void)
{
	static uint8_t times[3 * DP_LEGS_PER_ADDR];
	uint32_t made = 0, from, pages, bad_leg = 12345;

	begin(false, false);
	CU_ASSERT_EQUAL_FATAL(cp_calls_hangup(w.calls, call_ref), 0);
	UNTIL(cp_ports_used(w.calls->ports) == 0); /* its legs' numbers are free when they are known to be deleted */
	while (made < 20000) {
		struct cp_call *c = call_new(w.calls);

		CU_ASSERT_PTR_NOT_NULL_FATAL(c);
		c->state = CALL_CONNECTED;
		c->is_static = c->media_started = true;
		for (unsigned s = 0; s < 2; s++, made++) {
			struct dp_page_leg *p = fake_leg(&w.fake, made);

			CU_ASSERT_EQUAL(cp_ports_claim(w.calls->ports, made), 0);
			c->p[s].kind = PARTY_STATIC;
			c->p[s].leg_id = made;
			*p = (struct dp_page_leg){.state = DP_PAGE_LEG_UP, .session = c->ref, .codec = DP_CODEC_G711,
						  .last_rx_s = 5, .rtp = {.expected = 100, .received = 100}};
		}
	}
	w.fake.page->now_s = 6;
	fake_leg(&w.fake, bad_leg)->auth_fail = 1;
	for (int bad = 0; bad < 2; bad++) {
		memset(times, 0, sizeof(times));
		for (from = pages = 0; pages < 200; pages++) {
			json_t *r = page((struct cp_leg_filter){ANY, .bad = bad == 1, .from = from, .max = CP_LEGS_PAGE}), *v;
			size_t i;

			CU_ASSERT_TRUE(json_array_size(json_object_get(r, "legs")) <= CP_LEGS_PAGE);
			json_array_foreach(json_object_get(r, "legs"), i, v)
				times[num(v, "leg")]++;
			from = json_is_integer(json_object_get(r, "next")) ? (uint32_t)num(r, "next") : UINT32_MAX;
			json_decref(r);
			if (from == UINT32_MAX)
				break;
		}
		CU_ASSERT_EQUAL(pages + 1, 20000 / CP_LEGS_PAGE);
		for (uint32_t leg = 0; leg < 20000; leg++)
			if (times[leg] != (bad == 0 || leg == bad_leg))
				CU_FAIL("a leg was left out, or came twice");
	}
	end();
}

/* --- captures --- */

static void start_text(char *buf, size_t size, const char *side, const char *more)
{
	snprintf(buf, size, "{\"cmd\":\"capture.start\",\"args\":{\"leg\":%u,\"side\":\"%s\",\"max_mb\":5%s}}", legs[0], side, more);
}

static const struct dp_capture *sent_capture(unsigned n)
{
	const union fake_msg *m = NULL;

	CU_ASSERT_EQUAL_FATAL(fake_seen(&w.fake, DP_MSG_CAPTURE, &m), n);
	return (const struct dp_capture *)(const void *)m;
}

static void tell_done(uint32_t id, uint8_t why, int rc)
{
	struct dp_capture_done d = {.id = id, .end = why, .rc = rc, .pkts = 7, .bytes = 900, .lost = 2};

	fake_send(&w.fake, &d, DP_MSG_CAPTURE_DONE, sizeof(d), 0);
}

/* PC-02: both switches; PC-03: none by default. Who tried is written down. */
static void test_denied(void)
{
	char text[256];

	begin(false, false);
	start_text(text, sizeof(text), "cipher", "");
	CU_ASSERT_STRING_EQUAL(refusal(text), "denied");
	UNTIL(audited("capture.refused") == 1);
	end();
	begin(true, false);
	start_text(text, sizeof(text), "plain", "");
	CU_ASSERT_STRING_EQUAL(refusal(text), "denied");
	UNTIL(audited("capture.refused") == 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(audit_text, "\"plain\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(audit_text, "uid 0"));
	CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_CAPTURE, NULL), 0);
	start_text(text, sizeof(text), "both", "");
	CU_ASSERT_STRING_EQUAL(refusal(text), "invalid");
	start_text(text, sizeof(text), "cipher", ",\"seconds\":601"); /* PC-09 */
	CU_ASSERT_STRING_EQUAL(refusal(text), "invalid");
	start_text(text, sizeof(text), "cipher", ",\"snap_len\":3");
	CU_ASSERT_STRING_EQUAL(refusal(text), "invalid");
	CU_ASSERT_STRING_EQUAL(refusal("{\"cmd\":\"capture.start\",\"args\":{\"leg\":1,\"side\":\"cipher\",\"max_mb\":257}}"),
			       "invalid"); /* PC-08 */
	CU_ASSERT_STRING_EQUAL(refusal("{\"cmd\":\"capture.start\",\"args\":{\"leg\":9,\"side\":\"cipher\",\"max_mb\":1}}"),
			       "not-found");
	CU_ASSERT_STRING_EQUAL(refusal("{\"cmd\":\"capture.start\",\"args\":{\"side\":\"cipher\",\"max_mb\":1}}"), "invalid");
	CU_ASSERT_STRING_EQUAL(refusal("{\"cmd\":\"capture.stop\",\"args\":{\"id\":1}}"), "not-found");
	CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_CAPTURE, NULL), 0);
	end();
}

static void test_plain_audited(void)
{
	const struct dp_capture *m;
	char text[256];
	json_t *r;

	begin(true, true);
	start_text(text, sizeof(text), "plain", ",\"seconds\":60,\"snap_len\":100");
	r = ask(text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_EQUAL(num(r, "id"), 1);
	CU_ASSERT_STRING_EQUAL(str(r, "state"), "running");
	m = sent_capture(1);
	CU_ASSERT_EQUAL(m->leg_id, legs[0]);
	CU_ASSERT_EQUAL(m->side, DP_CAPTURE_PLAIN);
	CU_ASSERT_EQUAL(m->max_bytes, 5 << 20);
	CU_ASSERT_EQUAL(m->max_s, 60);
	CU_ASSERT_EQUAL(m->snap_len, 100);
	CU_ASSERT_PTR_NOT_NULL(strstr(str(r, "file"), m->name));
	CU_ASSERT_EQUAL(strncmp(m->name, "leg", 3), 0);
	CU_ASSERT_PTR_NULL(strchr(m->name, '/'));
	/* on disk before it began, with who, leg, call */
	CU_ASSERT_EQUAL(audited("capture.start"), 1);
	snprintf(text, sizeof(text), "\"call\":%u", call_ref);
	CU_ASSERT_PTR_NOT_NULL(strstr(audit_text, text));
	CU_ASSERT_PTR_NOT_NULL(strstr(audit_text, "\"uid 0\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(audit_text, m->name));
	CU_ASSERT_EQUAL(cp_alarm_count(w.alarms), 1);
	CU_ASSERT_EQUAL(cp_captures_count(caps), 1);
	/* ended by the operator: the news comes from the dataplane */
	(void)ask("{\"cmd\":\"capture.stop\",\"args\":{\"id\":1}}");
	CU_ASSERT_TRUE(json_is_true(json_object_get(got, "ok")));
	m = sent_capture(2);
	CU_ASSERT_EQUAL(m->id, 1);
	CU_ASSERT_EQUAL(m->max_bytes, 0);
	CU_ASSERT_EQUAL(cp_alarm_count(w.alarms), 1); /* it stands until it is over */
	tell_done(1, DP_CAPTURE_STOPPED, 0);
	UNTIL(cp_captures_count(caps) == 0);
	CU_ASSERT_EQUAL(cp_alarm_count(w.alarms), 0);
	UNTIL(audited("capture.end") == 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(audit_text, "\"packets\":7"));
	CU_ASSERT_PTR_NOT_NULL(strstr(audit_text, "\"stopped\""));
	r = ask("{\"cmd\":\"show.captures\"}");
	CU_ASSERT_EQUAL_FATAL(json_array_size(r), 1);
	CU_ASSERT_STRING_EQUAL(str(json_array_get(r, 0), "end"), "stopped");
	CU_ASSERT_EQUAL(num(json_array_get(r, 0), "lost"), 2);
	CU_ASSERT_STRING_EQUAL(refusal("{\"cmd\":\"capture.stop\",\"args\":{\"id\":1}}"), "not-found");
	tell_done(1, DP_CAPTURE_FULL, 0); /* news of one that has ended, of one that never was: nothing happens */
	tell_done(55, DP_CAPTURE_FULL, 0);
	rest();
	CU_ASSERT_EQUAL(audited("capture.end"), 1);
	end();
}

static void test_refused_by_dataplane(void)
{
	char text[256];
	json_t *r;

	begin(true, true);
	w.refuse_type = DP_MSG_CAPTURE;
	w.refuse_rc = -EACCES;
	start_text(text, sizeof(text), "plain", "");
	CU_ASSERT_STRING_EQUAL(refusal(text), "denied");
	CU_ASSERT_EQUAL(cp_alarm_count(w.alarms), 0);
	CU_ASSERT_EQUAL(cp_captures_count(caps), 0);
	UNTIL(audited("capture.end") == 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(audit_text, "not started"));
	w.refuse_type = 0;
	/* as many as the dataplane has places for; then the oldest that ended makes room in the list */
	for (unsigned i = 0; i < DP_CAPTURE_MAX; i++) {
		start_text(text, sizeof(text), "cipher", "");
		CU_ASSERT_PTR_NOT_NULL(ask(text));
	}
	CU_ASSERT_STRING_EQUAL(refusal(text), "full");
	CU_ASSERT_EQUAL(cp_alarm_count(w.alarms), 0); /* cipher: nobody's speech */
	for (uint32_t id = 2; id < 60; id++) {
		tell_done(id, id % 2 != 0 ? DP_CAPTURE_FAILED : DP_CAPTURE_TIME, -ENOSPC);
		UNTIL(cp_captures_count(caps) == DP_CAPTURE_MAX - 1);
		CU_ASSERT_PTR_NOT_NULL(ask(text));
	}
	r = ask("{\"cmd\":\"show.captures\"}");
	CU_ASSERT_EQUAL(json_array_size(r), DP_CAPTURE_MAX + CP_CAPTURE_PAST);
	CU_ASSERT_STRING_EQUAL(str(json_array_get(r, 31), "end"), num(json_array_get(r, 31), "id") % 2 != 0 ? "failed" : "time");
	end();
}

/* No audit, no capture. */
static void test_store_fails(void)
{
	char text[256];

	begin(true, true);
	store_break(true);
	start_text(text, sizeof(text), "plain", "");
	CU_ASSERT_PTR_NOT_NULL(refusal(text));
	store_break(false);
	CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_CAPTURE, NULL), 0);
	CU_ASSERT_EQUAL(cp_captures_count(caps), 0);
	CU_ASSERT_EQUAL(cp_alarm_find(w.alarms, "capture-plain", "x"), NULL);
	end();
}

static void test_channel(void)
{
	char text[256];

	begin(true, true);
	start_text(text, sizeof(text), "plain", "");
	CU_ASSERT_PTR_NOT_NULL(ask(text));
	CU_ASSERT_EQUAL(cp_alarm_count(w.alarms), 1);
	/* the channel breaks and returns: it may run still, its end may have been told to nobody */
	w.fake.n = 0;
	fake_hangup(&w.fake);
	UNTIL(ups == 2);
	rest();
	CU_ASSERT_EQUAL(sent_capture(1)->max_bytes, 0);
	CU_ASSERT_EQUAL(cp_captures_count(caps), 1);
	tell_done(1, DP_CAPTURE_STOPPED, 0);
	UNTIL(cp_captures_count(caps) == 0);
	/* the same, and it is not known there any more */
	CU_ASSERT_PTR_NOT_NULL(ask(text));
	w.refuse_type = DP_MSG_CAPTURE;
	w.refuse_rc = -ENOENT;
	fake_hangup(&w.fake);
	UNTIL(ups == 3 && cp_captures_count(caps) == 0);
	w.refuse_type = 0;
	CU_ASSERT_EQUAL(cp_alarm_find(w.alarms, "capture-plain", "leg 0 capture 2"), NULL);
	/* another dataplane: gone with the one before */
	CU_ASSERT_PTR_NOT_NULL(ask(text));
	w.fake.boot_id += 1000;
	fake_hangup(&w.fake);
	UNTIL(ups == 4 && cp_captures_count(caps) == 0);
	UNTIL(audited("capture.end") == 3);
	end();
}

/* --- traces --- */

static void tell_trace(uint32_t id, uint32_t left, uint8_t why)
{
	struct dp_trace_pkt p = {.id = id, .left = left, .at_us = 1500000, .leg_in = 7, .leg_out = UINT32_MAX, .ssrc = 9,
				 .port_out = UINT16_MAX, .src = {.ip = {10, 0, 0, 1}, .port = 5, .family = 4}};

	memset(p.stage, DP_TRACE_NOT_REACHED, sizeof(p.stage));
	p.stage[DP_STAGE_RX] = p.stage[DP_STAGE_PARSE] = DP_OK;
	p.stage[DP_STAGE_LOOKUP] = why;
	fake_send(&w.fake, &p, DP_MSG_TRACE_PKT, sizeof(p), 0);
}

static void test_trace(void)
{
	const union fake_msg *m = NULL;
	const struct dp_trace *t;
	json_t *r, *p;

	begin(false, false);
	CU_ASSERT_STRING_EQUAL(refusal("{\"cmd\":\"trace.start\",\"args\":{\"source\":\"nonsense\"}}"), "invalid");
	CU_ASSERT_STRING_EQUAL(refusal("{\"cmd\":\"trace.start\",\"args\":{\"source\":\"10.0.0.0/8\"}}"), "invalid");
	CU_ASSERT_STRING_EQUAL(refusal("{\"cmd\":\"trace.start\",\"args\":{\"count\":10001}}"), "invalid");
	CU_ASSERT_STRING_EQUAL(refusal("{\"cmd\":\"trace.next\",\"args\":{\"id\":1}}"), "not-found");
	r = ask("{\"cmd\":\"trace.start\",\"args\":{\"leg\":7,\"source\":\"10.0.0.1:5\",\"port\":80,\"drops\":true,\"count\":500}}");
	CU_ASSERT_EQUAL(num(r, "id"), 1);
	CU_ASSERT_EQUAL_FATAL(fake_seen(&w.fake, DP_MSG_TRACE, &m), 1);
	t = (const void *)m;
	CU_ASSERT_EQUAL(t->id, 1);
	CU_ASSERT_EQUAL(t->count, 500);
	CU_ASSERT_EQUAL(t->leg_id, 7);
	CU_ASSERT_EQUAL(t->dst_port, 80);
	CU_ASSERT_EQUAL(t->drops_only, 1);
	CU_ASSERT_EQUAL(t->src.port, 5);
	CU_ASSERT_EQUAL(t->src.ip[3], 1);
	CU_ASSERT_STRING_EQUAL(refusal("{\"cmd\":\"trace.start\"}"), "busy");
	/* waits, then gives what came */
	request("{\"cmd\":\"trace.next\",\"args\":{\"id\":1}}");
	rest();
	CU_ASSERT_PTR_NULL(got);
	tell_trace(1, 499, DP_DROP_NO_LEG);
	tell_trace(99, 1, DP_DROP_NO_LEG); /* another's */
	UNTIL(got != NULL);
	r = json_object_get(got, "result");
	CU_ASSERT_EQUAL_FATAL(json_array_size(json_object_get(r, "packets")), 1);
	CU_ASSERT_TRUE(json_is_false(json_object_get(r, "done")));
	p = json_array_get(json_object_get(r, "packets"), 0);
	CU_ASSERT_STRING_EQUAL(str(p, "verdict"), "no_leg");
	CU_ASSERT_STRING_EQUAL(str(p, "at"), "lookup");
	CU_ASSERT_STRING_EQUAL(str(p, "src"), "10.0.0.1:5");
	CU_ASSERT_TRUE(json_is_null(json_object_get(p, "dst")));
	CU_ASSERT_TRUE(json_is_null(json_object_get(p, "leg_out")));
	CU_ASSERT_EQUAL(num(p, "leg_in"), 7);
	CU_ASSERT_EQUAL(json_object_size(json_object_get(p, "stages")), 3);
	/* nothing for a second: an empty page */
	r = ask("{\"cmd\":\"trace.next\",\"args\":{\"id\":1}}");
	CU_ASSERT_EQUAL(json_array_size(json_object_get(r, "packets")), 0);
	/* many: in pages; the last one says so */
	for (uint32_t i = 0; i < 499; i++) {
		tell_trace(1, 498 - i, 200); /* a reason that we do not know */
		if (i % 50 == 0)
			spin();
	}
	rest();
	for (unsigned n = 0, k = 0; n < 499; k++) {
		r = ask("{\"cmd\":\"trace.next\",\"args\":{\"id\":1}}");
		n += (unsigned)json_array_size(json_object_get(r, "packets"));
		CU_ASSERT_TRUE(json_array_size(json_object_get(r, "packets")) <= CP_TRACE_PAGE);
		CU_ASSERT_EQUAL(json_is_true(json_object_get(r, "done")), n == 499);
		CU_ASSERT_TRUE_FATAL(k < 10);
	}
	CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_TRACE, NULL), 1); /* it ended by itself */
	/* stopped by the operator while somebody waits */
	CU_ASSERT_EQUAL(num(ask("{\"cmd\":\"trace.start\"}"), "id"), 2);
	CU_ASSERT_STRING_EQUAL(refusal("{\"cmd\":\"trace.stop\",\"args\":{\"id\":1}}"), "not-found");
	(void)ask("{\"cmd\":\"trace.stop\",\"args\":{\"id\":2}}");
	CU_ASSERT_TRUE(json_is_true(json_object_get(got, "ok")));
	UNTIL(fake_seen(&w.fake, DP_MSG_TRACE, &m) == 3);
	t = (const void *)m;
	CU_ASSERT_EQUAL(t->id, 2);
	CU_ASSERT_EQUAL(t->count, 0);
	r = ask("{\"cmd\":\"trace.next\",\"args\":{\"id\":2}}");
	CU_ASSERT_TRUE(json_is_true(json_object_get(r, "done")));
	CU_ASSERT_STRING_EQUAL(str(r, "end"), "stopped");
	/* the dataplane says no; the channel breaks */
	w.refuse_type = DP_MSG_TRACE;
	w.refuse_rc = -EBUSY;
	CU_ASSERT_STRING_EQUAL(refusal("{\"cmd\":\"trace.start\"}"), "busy");
	w.refuse_type = 0;
	CU_ASSERT_EQUAL(num(ask("{\"cmd\":\"trace.start\"}"), "id"), 4);
	fake_hangup(&w.fake);
	UNTIL(ups == 2);
	r = ask("{\"cmd\":\"trace.next\",\"args\":{\"id\":4}}");
	CU_ASSERT_TRUE(json_is_true(json_object_get(r, "done")));
	end();
}

static CU_TestInfo tests[] = {
	{"legs: what counters mean", test_figures},
	{"legs: filters and pages", test_filters_and_pages},
	{"legs: 20,000 of them", test_twenty_thousand},
	{"capture: denied unless allowed, bounds", test_denied},
	{"capture: plain is audited and alarmed", test_plain_audited},
	{"capture: refused by the dataplane, many", test_refused_by_dataplane},
	{"capture: no audit, no capture", test_store_fails},
	{"capture: the channel breaks", test_channel},
	{"trace", test_trace},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("cpsee", tests, NULL, NULL)
