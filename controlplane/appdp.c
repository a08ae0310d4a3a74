/* SPDX-License-Identifier: BSD-3-Clause */
/* What comes over the channel to the dataplane goes to the part that it is about; who is told, and in which order, when it opens. */
#include "alarm.h"
#include "app.h"
#include "appint.h"
#include "call/call.h"
#include "capture.h"
#include "dpclient.h"
#include "gateway/gateway.h"
#include "gateway/sa.h"
#include "gateway/spd.h"
#include "ike/sasource.h"
#include "shards.h"

static void dp_up(void *ctx, bool fresh)
{
	struct cp_app *app = ctx;

	cp_alarm_clear(app->alarms, "dataplane-down", "dataplane");
	cp_shards_up(app->shards, app->dp, fresh);
	cp_spd_up(app->spd); /* before anything that they are about */
	cp_gws_up(app->gws, fresh); /* before the SAs, which name their gateway */
	cp_sas_up(app->sas);
	cp_calls_up(app->calls, fresh);
	cp_captures_up(app->captures, fresh);
	/* What was asserted or adopted above is in front of this in the channel. SAs follow when their sequence
	 * numbers are on disk: they are adopted first, so that the sweep spares a living one. */
	cp_sas_adopt(app->sas);
	cp_dp_sweep(app->dp);
	if (app->sasource != NULL)
		cp_sasource_up(app->sasource);
}

static void dp_down(void *ctx)
{
	struct cp_app *app = ctx;

	cp_calls_down(app->calls);
	cp_captures_down(app->captures);
	cp_shards_down(app->shards);
	cp_sas_down(app->sas, app->stopping);
	cp_gws_down(app->gws);
	if (!app->stopping)
		cp_alarm_raise(app->alarms, "dataplane-down", CP_ALARM_CRITICAL, "dataplane",
			       "the channel to the dataplane is down: no new calls");
}

static void dp_shard_moved(void *ctx, const struct dp_shard_moved *ev)
{
	struct cp_app *app = ctx;

	cp_shards_moved(app->shards, ev);
}

static void dp_leg_aged(void *ctx, const struct dp_leg_aged *ev)
{
	struct cp_app *app = ctx;

	cp_calls_leg_aged(app->calls, ev);
}

static void dp_leg_event(void *ctx, const struct dp_leg_event *ev)
{
	struct cp_app *app = ctx;

	cp_calls_leg_event(app->calls, ev);
}

static void dp_mgcp_done(void *ctx, struct dp_mgcp_done *ev)
{
	struct cp_app *app = ctx;

	cp_gws_mgcp_done(app->gws, ev);
}

static void dp_mgcp_event(void *ctx, const struct dp_mgcp_event *ev)
{
	struct cp_app *app = ctx;

	cp_gws_mgcp_event(app->gws, ev);
}

static void dp_mgcp_text(void *ctx, const struct dp_mgcp_text *ev)
{
	struct cp_app *app = ctx;

	cp_gws_mgcp_text(app->gws, ev);
}

static void dp_gw_heard(void *ctx, const struct dp_gw_heard *ev)
{
	struct cp_app *app = ctx;

	cp_gws_heard(app->gws, ev);
}

static void dp_sa_event(void *ctx, const struct dp_sa_event *ev)
{
	struct cp_app *app = ctx;

	cp_sas_event(app->sas, ev);
}

static void dp_capture_done(void *ctx, const struct dp_capture_done *ev)
{
	struct cp_app *app = ctx;

	cp_captures_done(app->captures, ev);
}

static void dp_trace_pkt(void *ctx, const struct dp_trace_pkt *ev)
{
	struct cp_app *app = ctx;

	cp_captures_trace(app->captures, ev);
}

const struct cp_dp_ops cp_app_dp_ops = {
	.up = dp_up,
	.down = dp_down,
	.leg_aged = dp_leg_aged,
	.leg_event = dp_leg_event,
	.shard_moved = dp_shard_moved,
	.mgcp_done = dp_mgcp_done,
	.mgcp_event = dp_mgcp_event,
	.mgcp_text = dp_mgcp_text,
	.gw_heard = dp_gw_heard,
	.sa_event = dp_sa_event,
	.capture_done = dp_capture_done,
	.trace_pkt = dp_trace_pkt,
};
