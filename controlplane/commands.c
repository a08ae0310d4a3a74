/* SPDX-License-Identifier: BSD-3-Clause */
/* Administration commands about what runs: calls, legs, SAs, gateways, counters, registrations, sessions. */
#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "admin/phonelist.h"
#include "api/dp_page.h"
#include "app.h"
#include "call/call.h"
#include "call/legview.h"
#include "config.h"
#include "dpclient.h"
#include "gateway/gateway.h"
#include "gateway/sa.h"
#include "ike/sasource.h"
#include "gateway/spd.h"
#include "offload.h"
#include "sccp/front.h"
#include "dial/explain.h"
#include "sccp/sccp.h"
#include "shards.h"
#include "signerc/signerc.h"
#include "store/store.h"

static const char *const no_args[] = {NULL};

static void show_calls(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_app *app = ctx;

	if (cp_admin_arg_known(req, args, no_args) == 0)
		cp_admin_reply(req, cp_calls_show(app->calls));
}

static void dial_explain(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"digits", "device", "line", NULL};
	const char *digits = NULL, *device = NULL;
	const struct cp_device *dev;
	struct cp_app *app = ctx;
	int64_t line = 1;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "digits", true, &digits) < 0 ||
	    cp_admin_arg_str(req, args, "device", true, &device) < 0 ||
	    cp_admin_arg_int(req, args, "line", false, 1, CP_DEVICE_LINES_MAX, &line) < 0)
		return;
	dev = cp_dir_device(app->store, device);
	if (dev == NULL)
		cp_admin_fail(req, "not-found", "no device %s", cfg_q(device));
	else if ((unsigned)line > dev->line_cnt)
		cp_admin_fail(req, "not-found", "%s has no line %d", dev->name, (int)line);
	else if (!cp_number_ok(digits))
		cp_admin_fail(req, "invalid", "digits %s are not 1 to 32 of 0-9 * # (and a leading +)", cfg_q(digits));
	else
		cp_admin_reply(req, cp_dial_explain_json(cp_calls_plan(app->calls), dev, (unsigned)line, digits));
}

static void show_mwi(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_app *app = ctx;

	if (cp_admin_arg_known(req, args, no_args) == 0)
		cp_admin_reply(req, cp_calls_show_mwi(app->calls));
}

static void mwi_set(void *ctx, int rc)
{
	if (rc < 0)
		cp_admin_fail_rc(ctx, rc, "the store cannot write: nothing was changed");
	else
		cp_admin_reply(ctx, NULL);
}

static void line_mwi(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"number", "state", NULL};
	const char *number = NULL, *state = NULL;
	struct cp_app *app = ctx;
	json_t *o;
	char *audit;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "number", true, &number) < 0 ||
	    cp_admin_arg_str(req, args, "state", true, &state) < 0)
		return;
	if (strcmp(state, "on") != 0 && strcmp(state, "off") != 0) {
		cp_admin_fail(req, "invalid", "the state is on or off");
		return;
	}
	o = json_pack("{s:s, s:s, s:s, s:s}", "event", "line.mwi", "by", cp_admin_who(req), "number", number, "state", state);
	audit = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
	rc = cp_calls_mwi(app->calls, number, strcmp(state, "on") == 0, audit, mwi_set, req);
	json_decref(o);
	free(audit);
	if (rc < 0)
		cp_admin_fail_rc(req, rc, "%s", rc == -ENOENT ? "no line has this number" : rc == -EINVAL ? "this is no number" : strerror(-rc));
}

static void show_legs(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"call", "leg", "region", "bad", "from", "max", NULL};
	struct cp_leg_filter f = {.leg = UINT32_MAX};
	int64_t call = 0, leg = UINT32_MAX, from = 0, max = CP_LEGS_PAGE;
	struct cp_app *app = ctx;

	if (cp_admin_arg_known(req, args, known) < 0 ||
	    cp_admin_arg_int(req, args, "call", false, 1, UINT32_MAX, &call) < 0 ||
	    cp_admin_arg_int(req, args, "leg", false, 0, DP_LEG_MAX - 1, &leg) < 0 ||
	    cp_admin_arg_str(req, args, "region", false, &f.region) < 0 ||
	    cp_admin_arg_bool(req, args, "bad", &f.bad) < 0 ||
	    cp_admin_arg_int(req, args, "from", false, 0, UINT32_MAX, &from) < 0 ||
	    cp_admin_arg_int(req, args, "max", false, 1, CP_LEGS_PAGE, &max) < 0)
		return;
	f.call = (uint32_t)call;
	f.leg = (uint32_t)leg;
	f.from = (uint32_t)from;
	f.max = (uint32_t)max;
	cp_admin_reply(req, cp_calls_show_legs(app->calls, &f));
}

static void show_sas(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_app *app = ctx;

	if (cp_admin_arg_known(req, args, no_args) == 0)
		cp_admin_reply(req, cp_sas_show(app->sas));
}

static void show_policies(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_app *app = ctx;

	if (cp_admin_arg_known(req, args, no_args) == 0)
		cp_admin_reply(req, cp_spd_show(app->spd));
}

static void show_gateways(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_app *app = ctx;

	if (cp_admin_arg_known(req, args, no_args) == 0)
		cp_admin_reply(req, cp_gws_show(app->gws));
}

static void show_registrations(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_app *app = ctx;

	if (cp_admin_arg_known(req, args, no_args) == 0)
		cp_admin_reply(req, cp_sccp_show_registrations(app->sccp));
}

static json_t *worker_counters(const struct dp_page_worker *w, uint32_t i)
{
	static const struct {
		const char *name;
		size_t off;
	} fields[] = {
#define F(n) {#n, offsetof(struct dp_page_worker, n)}
		F(rx_pkts), F(rx_bytes), F(tx_pkts), F(tx_bytes), F(made_pkts), F(in_flight), F(handoff_in),
		F(handoff_out), F(polls), F(busy_polls), F(busy_cyc), F(cmds), F(events_lost), F(esp_in), F(esp_out),
		F(held), F(esp_keepalive), F(esp_dummy), F(frag_made), F(pmtu_learnt), F(pmtu_refused), F(mgcp_tx), F(mgcp_retx), F(mgcp_rx), F(mgcp_timeout), F(mgcp_no_sa),
		F(mgcp_stale), F(mgcp_source), F(mgcp_bad_answer), F(mgcp_repeats), F(mgcp_keepalive), F(mgcp_overload),
#undef F
	};
	json_t *o = json_object(), *drops = json_object();

	json_object_set_new(o, "worker", json_integer(i));
	for (size_t k = 0; k < sizeof(fields) / sizeof(fields[0]); k++) {
		uint64_t v;

		memcpy(&v, (const uint8_t *)w + fields[k].off, sizeof(v));
		json_object_set_new(o, fields[k].name, json_integer((json_int_t)v));
	}
	for (unsigned d = 1; d < DP_DROP_MAX; d++)
		if (w->drop[d] != 0)
			json_object_set_new(drops, dp_drop_name(d), json_integer((json_int_t)w->drop[d]));
	json_object_set_new(o, "drops", drops);
	return o;
}

static void show_counters(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_app *app = ctx;
	const struct dp_page *pg = cp_dp_page(app->dp);
	const struct dp_page_worker *w;
	struct cp_net_stats net;
	struct cp_store_stats st;
	json_t *o, *workers;

	if (cp_admin_arg_known(req, args, no_args) < 0)
		return;
	o = json_object();
	workers = json_array();
	for (uint32_t i = 0; (w = cp_dp_page_worker(app->dp, i)) != NULL; i++)
		json_array_append_new(workers, worker_counters(w, i));
	json_object_set_new(o, "workers", workers);
	if (pg != NULL)
		json_object_set_new(o, "dataplane",
				    json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "channel_refused", (json_int_t)pg->chan_bad,
					      "events_dropped", (json_int_t)pg->events_dropped, "mbufs_total",
					      (json_int_t)pg->mbufs_total, "mbufs_used", (json_int_t)pg->mbufs_used,
					      "leg_bytes", (json_int_t)pg->leg_bytes, "sa_bytes", (json_int_t)pg->sa_bytes,
					      "sa_window_bytes", (json_int_t)pg->sa_window_bytes));
	cp_fronts_stats(app->fronts, &net);
	json_object_set_new(o, "sccp", cp_sccp_show_counters(app->sccp, &net));
	json_object_set_new(o, "calls", cp_calls_show_counters(app->calls));
	if (app->sasource != NULL)
		json_object_set_new(o, "ike_source", cp_sasource_show(app->sasource));
	cp_store_stats(app->store, &st);
	json_object_set_new(o, "store",
			    json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "batches", (json_int_t)st.batches, "ops",
				      (json_int_t)st.ops, "writes", (json_int_t)st.writes, "failed",
				      (json_int_t)st.failed, "reopens", (json_int_t)st.reopens, "queued",
				      (json_int_t)st.queued, "last_write_us", (json_int_t)st.last_write_us));
	cp_admin_reply(req, o);
}

static void show_workers(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_app *app = ctx;
	const struct dp_page *pg = cp_dp_page(app->dp);
	const struct dp_page_worker *w;
	json_t *list;

	if (cp_admin_arg_known(req, args, no_args) < 0)
		return;
	if (pg == NULL) {
		cp_admin_fail_rc(req, -ENOTCONN, "there is no dataplane");
		return;
	}
	list = json_array();
	for (uint32_t i = 0; (w = cp_dp_page_worker(app->dp, i)) != NULL; i++) {
		uint64_t drops = 0;
		int shards = 0;

		for (unsigned d = 1; d < DP_DROP_MAX; d++)
			drops += d != DP_DROP_CONSUMED && d != DP_DROP_PUNTED ? w->drop[d] : 0;
		for (unsigned s = 0; s < DP_SHARDS; s++)
			shards += pg->shard_worker[s] == i;
		json_array_append_new(list, json_pack("{s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "worker", (int)i,
						      "shards", shards, "rx_pkts", (json_int_t)w->rx_pkts, "tx_pkts",
						      (json_int_t)w->tx_pkts, "drops", (json_int_t)drops, "handoff_in",
						      (json_int_t)w->handoff_in, "handoff_out",
						      (json_int_t)w->handoff_out, "held", (json_int_t)w->held,
						      "busy_cyc", (json_int_t)w->busy_cyc, "polls",
						      (json_int_t)w->polls));
	}
	cp_admin_reply(req, list);
}

static void show_shards(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_app *app = ctx;
	json_t *list;

	if (cp_admin_arg_known(req, args, no_args) < 0)
		return;
	list = cp_shards_show(app->shards);
	if (list == NULL)
		cp_admin_fail_rc(req, -ENOTCONN, "there is no dataplane");
	else
		cp_admin_reply(req, list);
}

static void shard_moved(void *ctx, int rc, const struct dp_shard_moved *ev)
{
	if (rc < 0 && rc != -EALREADY)
		cp_admin_fail_rc(ctx, rc, rc == -EBUSY ? "too much signalling is under way, nothing was changed" : "not moved");
	else
		cp_admin_reply(ctx, json_pack("{s:i, s:i, s:i, s:i, s:i}", "shard", (int)ev->shard, "from", (int)ev->from,
					      "worker", (int)ev->to, "took_us", (int)ev->took_us, "held", (int)ev->held));
}

static void shard_move(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"shard", "worker", NULL};
	struct cp_app *app = ctx;
	int64_t shard = 0, worker = 0;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 ||
	    cp_admin_arg_int(req, args, "shard", true, 0, DP_SHARDS - 1, &shard) < 0 ||
	    cp_admin_arg_int(req, args, "worker", true, 0, UINT16_MAX, &worker) < 0)
		return;
	rc = cp_shards_move(app->shards, (uint32_t)shard, (uint32_t)worker, shard_moved, req);
	if (rc < 0)
		cp_admin_fail_rc(req, rc, "%s", rc == -ENOTCONN ? "there is no dataplane" : rc == -EBUSY ?
				 "that shard is on its way" : "no such worker");
}

static void call_hangup(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"id", NULL};
	struct cp_app *app = ctx;
	int64_t id = 0;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 ||
	    cp_admin_arg_int(req, args, "id", true, 1, UINT32_MAX, &id) < 0)
		return;
	rc = cp_calls_hangup(app->calls, (uint32_t)id);
	if (rc < 0)
		cp_admin_fail_rc(req, rc, "no such call");
	else
		cp_admin_reply(req, NULL);
}

static void rekey_done(void *ctx, int rc, const char *why, json_t *result)
{
	if (rc < 0)
		cp_admin_fail_rc(ctx, rc, "%s", why);
	else
		cp_admin_reply(ctx, result);
}

static void call_rekey(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"id", "party", NULL};
	struct cp_app *app = ctx;
	const char *party = "gateway";
	int64_t id = 0;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_int(req, args, "id", true, 1, UINT32_MAX, &id) < 0 ||
	    cp_admin_arg_str(req, args, "party", false, &party) < 0)
		return;
	if (strcmp(party, "gateway") != 0 && strcmp(party, "phone") != 0 && strcmp(party, "both") != 0) {
		cp_admin_fail(req, "invalid", "party must be gateway, phone or both");
		return;
	}
	cp_calls_rekey(app->calls, (uint32_t)id, party, rekey_done, req);
}

static void region_explain(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"a", "b", NULL};
	const char *a = NULL, *b = NULL, *why = NULL;
	struct cp_app *app = ctx;
	json_t *result;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "a", true, &a) < 0 ||
	    cp_admin_arg_str(req, args, "b", true, &b) < 0)
		return;
	rc = cp_calls_explain(app->calls, a, b, &result, &why);
	if (rc < 0)
		cp_admin_fail_rc(req, rc, "%s", why);
	else
		cp_admin_reply(req, result);
}

static void show_music(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_app *app = ctx;

	if (cp_admin_arg_known(req, args, no_args) == 0)
		cp_admin_reply(req, cp_calls_show_music(app->calls));
}

static void show_conferences(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_app *app = ctx;

	if (cp_admin_arg_known(req, args, no_args) == 0)
		cp_admin_reply(req, cp_calls_show_conferences(app->calls));
}

static void music_load(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"source", NULL};
	struct cp_app *app = ctx;
	const char *name = NULL;

	if (cp_admin_arg_known(req, args, known) == 0 && cp_admin_arg_str(req, args, "source", false, &name) == 0)
		cp_calls_music_load(app->calls, name, rekey_done, req);
}

static void session_done(void *ctx, int rc, const char *why, json_t *result)
{
	if (rc < 0)
		cp_admin_fail_rc(ctx, rc, "%s", why);
	else
		cp_admin_reply(ctx, result);
}

static void session_add(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"leg_a", "leg_b", NULL};
	struct cp_app *app = ctx;

	if (cp_admin_arg_known(req, args, known) == 0)
		cp_calls_session_add(app->calls, args, session_done, req);
}

/* --- sa.add: sealed on a thread, then stored --- */

struct sa_job {
	struct cp_app *app;
	struct cp_admin_req *req;
	struct cp_sa rec;
	uint8_t secret[CP_SA_SECRET_LEN];
	uint8_t *sealed; /* OpenSSL's */
	size_t sealed_len;
	int rc;
};

static void sa_stored(void *ctx, int rc)
{
	if (rc < 0)
		cp_admin_fail_rc(ctx, rc, NULL);
	else
		cp_admin_reply(ctx, NULL);
}

static void sa_seal(void *arg)
{
	struct sa_job *j = arg;

	j->rc = cp_signer_seal(j->app->signer, j->secret, sizeof(j->secret), j->rec.name, strlen(j->rec.name), &j->sealed,
			       &j->sealed_len);
}

static void sa_sealed(void *arg)
{
	struct sa_job *j = arg;
	char why[160] = "the signer does not answer";
	int rc = j->rc < 0 ? -ENOTCONN : 0;

	if (rc == 0) {
		j->rec.sealed = (struct cp_buf){j->sealed, j->sealed_len};
		rc = cp_sas_add(j->app->sas, &j->rec, j->secret, cp_admin_who(j->req), sa_stored, j->req, why,
				sizeof(why));
	}
	if (rc < 0)
		cp_admin_fail_rc(j->req, rc, "%s", why[0] != '\0' ? why : strerror(-rc));
	OPENSSL_cleanse(j->secret, sizeof(j->secret));
	OPENSSL_free(j->sealed);
	free(j);
}

static int addr_arg(struct cp_admin_req *req, const json_t *args, const char *name, struct cfg_addr *ret)
{
	const char *text = NULL;

	if (cp_admin_arg_str(req, args, name, true, &text) < 0)
		return -EINVAL;
	if (cfg_addr_parse(text, ret) < 0) {
		cp_admin_fail(req, "invalid", "%s is not an address", name);
		return -EINVAL;
	}
	return 0;
}

static void sa_add(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"name", "gateway", "direction", "spi", "mode", "algorithm", "local",
					    "remote", "key", "esn", "window", "hard_s", "hard_bytes", "hard_packets",
					    "soft_s", "soft_bytes", "soft_packets", "tfc", "keepalive", NULL};
	struct cp_app *app = ctx;
	const char *name = NULL, *gateway = NULL, *dir = NULL, *mode = "transport", *alg = NULL, *hex = NULL;
	uint8_t key[CP_SA_KEY_MAX];
	char hint[80];
	struct sa_job *j;
	int64_t spi = 0, window = 0, tfc = 0, hard[3] = {0}, soft[3] = {0};
	bool esn = false, keepalive = false;
	size_t len;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "name", true, &name) < 0 ||
	    cp_admin_arg_str(req, args, "gateway", true, &gateway) < 0 ||
	    cp_admin_arg_str(req, args, "direction", true, &dir) < 0 ||
	    cp_admin_arg_int(req, args, "spi", true, 256, UINT32_MAX, &spi) < 0 ||
	    cp_admin_arg_str(req, args, "mode", false, &mode) < 0 ||
	    cp_admin_arg_str(req, args, "algorithm", true, &alg) < 0 ||
	    cp_admin_arg_str(req, args, "key", true, &hex) < 0 || cp_admin_arg_bool(req, args, "esn", &esn) < 0 ||
	    cp_admin_arg_int(req, args, "window", false, DP_SA_WINDOW_MIN, DP_SA_WINDOW_MAX, &window) < 0 ||
	    cp_admin_arg_int(req, args, "tfc", false, 1, DP_SA_TFC_MAX, &tfc) < 0 ||
	    cp_admin_arg_bool(req, args, "keepalive", &keepalive) < 0 ||
	    cp_admin_arg_int(req, args, "hard_s", false, 1, INT64_MAX, &hard[0]) < 0 ||
	    cp_admin_arg_int(req, args, "hard_bytes", false, 1, INT64_MAX, &hard[1]) < 0 ||
	    cp_admin_arg_int(req, args, "hard_packets", false, 1, INT64_MAX, &hard[2]) < 0 ||
	    cp_admin_arg_int(req, args, "soft_s", false, 1, INT64_MAX, &soft[0]) < 0 ||
	    cp_admin_arg_int(req, args, "soft_bytes", false, 1, INT64_MAX, &soft[1]) < 0 ||
	    cp_admin_arg_int(req, args, "soft_packets", false, 1, INT64_MAX, &soft[2]) < 0)
		return;
	j = calloc(1, sizeof(*j));
	if (j == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	j->app = app;
	j->req = req;
	j->rec.spi = (uint32_t)spi;
	j->rec.esn = esn;
	j->rec.window = (uint16_t)window;
	j->rec.tfc = (uint16_t)tfc;
	j->rec.keepalive = keepalive;
	j->rec.hard_s = (uint64_t)hard[0];
	j->rec.hard_bytes = (uint64_t)hard[1];
	j->rec.hard_pkts = (uint64_t)hard[2];
	j->rec.soft_s = (uint64_t)soft[0];
	j->rec.soft_bytes = (uint64_t)soft[1];
	j->rec.soft_pkts = (uint64_t)soft[2];
	if (addr_arg(req, args, "local", &j->rec.local) < 0 || addr_arg(req, args, "remote", &j->rec.remote) < 0) {
		free(j);
		return;
	}
	len = strlen(hex) / 2;
	if (strlen(name) >= sizeof(j->rec.name) || strlen(gateway) >= sizeof(j->rec.gateway)) {
		cp_admin_fail(req, "invalid", "name or gateway is too long");
	} else if (strcmp(dir, "in") != 0 && strcmp(dir, "out") != 0) {
		cp_admin_fail(req, "invalid", "direction must be in or out");
	} else if (cp_sa_mode_parse(mode, &j->rec.mode) < 0) {
		cp_admin_fail(req, "invalid", "mode must be transport or tunnel");
	} else if (cp_sa_alg_parse(alg, &j->rec.alg) < 0) {
		cp_admin_fail(req, "invalid",
			      "algorithm must be aes-gcm-N, aes-gcm-N-12, aes-gcm-N-8, aes-cbc-N-HASH, aes-ctr-N-HASH, 3des-cbc-HASH or "
			      "null-HASH, N 128, 192 or 256, HASH sha1, sha256, sha384 or sha512");
	} else if (len > sizeof(key) || cfg_hex_parse(hex, key, len) < 0 ||
		   cp_sa_secret(j->rec.alg, key, len, j->secret) < 0) {
		cp_admin_fail(req, "invalid", "key must be hex, for %s %s", cp_sa_alg_name(j->rec.alg),
			      cp_sa_key_hint(j->rec.alg, hint, sizeof(hint)));
	} else {
		int rc;

		snprintf(j->rec.name, sizeof(j->rec.name), "%s", name);
		snprintf(j->rec.gateway, sizeof(j->rec.gateway), "%s", gateway);
		j->rec.dir = strcmp(dir, "out") == 0 ? DP_DIR_SEND : DP_DIR_RECV;
		OPENSSL_cleanse(key, sizeof(key));
		rc = cp_offload_run(app->offload, sa_seal, sa_sealed, j);
		if (rc == 0)
			return;
		cp_admin_fail_rc(req, rc, NULL);
	}
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(j, sizeof(*j));
	free(j);
}

static void sa_del(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"name", NULL};
	struct cp_app *app = ctx;
	const char *name = NULL;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "name", true, &name) < 0)
		return;
	rc = cp_sas_del(app->sas, name, cp_admin_who(req), sa_stored, req);
	if (rc < 0)
		cp_admin_fail_rc(req, rc, "%s", rc == -EACCES ? "this SA comes from the configuration file" : "no such SA");
}

static void status(void *ctx, json_t *o)
{
	struct cp_app *app = ctx;
	const struct dp_page *pg = cp_dp_page(app->dp);
	const struct cp_sccp_stats *s = cp_sccp_stats(app->sccp);
	json_t *clear = json_array(); /* who may be sent keys in the open is never out of sight */
	uint32_t gateways = cp_gws_count(app->gws, clear);

	json_object_set_new(o, "dataplane",
			    json_pack("{s:b, s:I}", "up", cp_dp_up(app->dp), "alive",
				      (json_int_t)(pg != NULL ? pg->alive : 0)));
	json_object_set_new(o, "registered",
			    json_pack("{s:i, s:i, s:i}", "nonsecure", (int)s->registered[CP_PHONE_NONSECURE],
				      "authenticated", (int)s->registered[CP_PHONE_AUTHENTICATED], "encrypted",
				      (int)s->registered[CP_PHONE_ENCRYPTED]));
	json_object_set_new(o, "calls", json_integer(cp_calls_count(app->calls)));
	json_object_set_new(o, "gateways", json_integer((json_int_t)gateways));
	json_object_set_new(o, "keys_without_ipsec", clear);
}

int cp_app_commands(struct cp_app *app)
{
	static const struct {
		const char *cmd;
		cp_admin_fn fn;
	} list[] = {
		{"show.calls", show_calls},
		{"region.explain", region_explain},
		{"dial.explain", dial_explain},
		{"show.legs", show_legs},
		{"show.mwi", show_mwi},
		{"line.mwi", line_mwi},
		{"show.sas", show_sas},
		{"show.policies", show_policies},
		{"show.gateways", show_gateways},
		{"show.registrations", show_registrations},
		{"show.counters", show_counters},
		{"show.workers", show_workers},
		{"show.shards", show_shards},
		{"shard.move", shard_move},
		{"call.hangup", call_hangup},
		{"call.rekey", call_rekey},
		{"show.music", show_music},
		{"show.conferences", show_conferences},
		{"music.load", music_load},
		{"session.add", session_add},
		{"session.del", call_hangup},
		{"sa.add", sa_add},
		{"sa.del", sa_del},
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int rc = cp_admin_register(app->admin, list[i].cmd, list[i].fn, app);

		if (rc < 0)
			return rc;
	}
	if (cp_phonelist_commands(app) < 0)
		return -ENOMEM;
	return cp_admin_status_add(app->admin, status, app);
}
