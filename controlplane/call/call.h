/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Call control: calls between phones, from phones to gateways, and operator-made relay sessions. Owns call
 * records, media legs and keys of living calls; drives phones through sccp/phone.h, gateways through
 * gateway/gateway.h, legs through dpclient.h. One event loop, no locks.
 *
 * A call outlives the controlplane: its record is synced before media starts, and after a restart the legs
 * are adopted without keys. It outlives a phone's connection too: media goes on until the phone returns and
 * hangs up, the other party does, or the legs age out.
 *
 * A phone may have several calls (calls.max_per_line), one of which it talks in; the others are on hold or ring. A call
 * has two parties. Transfer makes the parties of two calls the parties of one; each keeps the number that it knows
 * its call by, so a call's own number may be neither's.
 */
#ifndef CP_CALL_H
#define CP_CALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "sccp/phone.h"
#include "gateway/gateway.h"

struct event_base;
struct cp_alarms;
struct cp_calls;
struct cp_dp;
struct cp_plan;
struct cp_store;
struct dp_leg_aged;
struct dp_leg_event;

struct cp_calls_env {
	struct event_base *base;
	const struct cfg *cfg;
	struct cp_store *store;
	struct cp_alarms *alarms;
	struct cp_dp *dp;
};

/** What the configuration's own check cannot know: the suites' names. 0, or -EINVAL with one line in 'err'. */
int cp_calls_config(const struct cfg_media *media, char *err, size_t err_size);

/** Make call control; the store is open. NULL on no memory. */
struct cp_calls *cp_calls_create(const struct cp_calls_env *env);
void cp_calls_destroy(struct cp_calls *calls);

/** Gateways are made after call control: they need its ops. */
void cp_calls_set_gateways(struct cp_calls *calls, struct cp_gws *gws);
extern const struct cp_call_ops cp_calls_phone_ops;  /* ctx: struct cp_calls */
extern const struct cp_gw_ops cp_calls_gateway_ops;  /* ctx: struct cp_calls */

/** Take up the calls that the store holds from before. Call once, before the channel comes up. */
void cp_calls_load(struct cp_calls *calls);

/** The channel is up: assert or adopt every leg. The caller sweeps afterwards. */
void cp_calls_up(struct cp_calls *calls, bool fresh);
/** The channel is about to go: the page is still mapped. */
void cp_calls_down(struct cp_calls *calls);
void cp_calls_leg_aged(struct cp_calls *calls, const struct dp_leg_aged *ev);
/** A key that ends, a source that moved, a limit that was met: re-keyed where that can be done, else an alarm. */
void cp_calls_leg_event(struct cp_calls *calls, const struct dp_leg_event *ev);

/**
 * The service is about to stop, channel and phones are still there: what is not established ends now, so that no
 * phone or gateway is left waiting; phones that go from here on leave established calls as they are.
 */
void cp_calls_stop(struct cp_calls *calls);

/** End a call by number. 0, -ENOENT. */
int cp_calls_hangup(struct cp_calls *calls, uint32_t callref);

/**
 * An operator's relay session of two legs; 'spec' is the request's arguments (docs of session.add). Answers
 * with the local addresses once the dataplane has the legs and the record is synced.
 */
typedef void (*cp_session_fn)(void *ctx, int rc, const char *why, json_t *result /* taken */);
void cp_calls_session_add(struct cp_calls *calls, const json_t *spec, cp_session_fn fn, void *ctx);

/**
 * New keys for a running call's gateway ("gateway"), its phones ("phone"), or all ("both"). 'fn' as above, once all are
 * done: an array of {party, rc, text}. -ENOENT: no such call; -EINVAL, -EBUSY, -EPROTO (direct media): with a reason.
 */
void cp_calls_rekey(struct cp_calls *calls, uint32_t callref, const char *which, cp_session_fn fn, void *ctx);

/** The dial plan that calls go by (dial/plan.h): borrowed. */
const struct cp_plan *cp_calls_plan(const struct cp_calls *calls);

/**
 * Have the dataplane read the files of a source again (NULL: of all), while it plays. 'fn' as above, once all are read: an array of
 * {source, loaded, error}. What cannot be read stays what it was. -ENOENT: no such source; -ENOTCONN.
 */
void cp_calls_music_load(struct cp_calls *calls, const char *name, cp_session_fn fn, void *ctx);
/** Sources of music, whether they are loaded, how many hear them: a new array. */
json_t *cp_calls_show_music(const struct cp_calls *calls);

/**
 * An object: "conferences", of each its members from the oldest on, and "bridges", of each how many ports it has and how many are free
 * (docs/signalling.md, Conferences).
 */
json_t *cp_calls_show_conferences(struct cp_calls *calls);

/** A phone of this name has a call. */
bool cp_calls_busy(const struct cp_calls *calls, const char *device);

/**
 * What a call between two devices (a phone, and a phone or gateway, by name) would get, and why: an object. -ENOENT, -EINVAL: *why says
 * it. The same code decides that decides for calls.
 */
int cp_calls_explain(struct cp_calls *calls, const char *first, const char *second, json_t **ret, const char **why);

json_t *cp_calls_show(struct cp_calls *calls);

/**
 * A message waits for this line, or no more: written, then shown at its phones. 'audit' (may be NULL) goes along. 'fn' once it is synced; -EINVAL,
 * -ENOENT (no such line; only for 'on'), or as cp_store_submit().
 */
int cp_calls_mwi(struct cp_calls *calls, const char *number, bool on, const char *audit, void (*fn)(void *ctx, int rc), void *ctx);
/** Lines with a message waiting: a new array of {number}. */
json_t *cp_calls_show_mwi(const struct cp_calls *calls);
/**
 * Calls since the start, and how many are connected now and ended after they had been, by their security status (004c:TR-06): a new
 * object. What a transfer joined counts as one.
 */
json_t *cp_calls_show_counters(const struct cp_calls *calls);
unsigned cp_calls_count(const struct cp_calls *calls);

#endif
