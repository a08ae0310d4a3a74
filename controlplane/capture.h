/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Captures and traces as operators start them: capture.start, capture.stop, show.captures, trace.start, trace.next,
 * trace.stop. The dataplane does the work (DP_MSG_CAPTURE, DP_MSG_TRACE); here are the permission, the audit and the alarm.
 *
 * A capture is written into the audit before it begins, whoever asked for it, and again when it ends; without a
 * store that writes there is none. While decrypted media are captured an alarm stands. Source documents: modes None, Real-Time
 * and Batch (PC-03 to PC-05); ours is a batch capture of one leg, off unless the configuration switches the service on.
 */
#ifndef CP_CAPTURE_H
#define CP_CAPTURE_H

#include <jansson.h>
#include <stdbool.h>

#include "api/dp_msg.h"

struct cfg;
struct cp_admin;
struct cp_alarms;
struct cp_calls;
struct cp_dp;
struct cp_captures;
struct cp_sigcaps;
struct cp_store;
struct event_base;

#define CP_CAPTURE_PAST  32    /* ended captures that are still shown */
#define CP_TRACE_QUIET_S 10    /* a trace whose packets nobody fetches ends */
#define CP_TRACE_PAGE    200   /* packets in one answer */

struct cp_captures_env {
	struct event_base *base;
	const struct cfg *cfg;
	struct cp_store *store;
	struct cp_alarms *alarms;
	struct cp_dp *dp;
	struct cp_calls *calls;
};

/** NULL: no memory. destroy: with the store closed and nothing on its way; takes NULL. */
struct cp_captures *cp_captures_create(const struct cp_captures_env *env);
void cp_captures_destroy(struct cp_captures *c);

/** Register the commands. 0 or negative errno. */
int cp_captures_commands(struct cp_captures *c, struct cp_admin *admin);

/** The channel is up: what ran in a dataplane that is gone has ended; what may run in this one is ended, its news may be lost. */
void cp_captures_up(struct cp_captures *c, bool fresh);
/** The channel is down: a trace ends. */
void cp_captures_down(struct cp_captures *c);

void cp_captures_done(struct cp_captures *c, const struct dp_capture_done *ev);
void cp_captures_trace(struct cp_captures *c, const struct dp_trace_pkt *ev);

/** Captures of signalling, for capture.stop and show.captures; they are numbered with those of media: next_id, of a struct cp_captures. */
void cp_captures_signalling(struct cp_captures *c, struct cp_sigcaps *sig);
uint32_t cp_captures_next_id(void *captures);

/** How many run. */
unsigned cp_captures_count(const struct cp_captures *c);

#endif
