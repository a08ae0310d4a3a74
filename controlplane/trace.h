/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One trace of packets at a time (DP_MSG_TRACE), fetched by the operator's program in pages: trace.start answers with its
 * id, trace.next waits up to a second for packets, trace.stop ends it. Nobody fetches for CP_TRACE_QUIET_S: it ends.
 */
#ifndef CP_TRACE_H
#define CP_TRACE_H

#include "api/dp_msg.h"

struct cfg;
struct cp_admin;
struct cp_dp;
struct cp_trace;
struct event_base;

/** NULL: no memory. destroy takes NULL; a request that waits is answered. */
struct cp_trace *cp_trace_create(struct event_base *base, struct cp_dp *dp, const struct cfg *cfg);
void cp_trace_destroy(struct cp_trace *t);

/** Register trace.start, trace.next, trace.stop. 0 or negative errno. */
int cp_trace_commands(struct cp_trace *t, struct cp_admin *admin);

void cp_trace_input(struct cp_trace *t, const struct dp_trace_pkt *p);

/** The channel is down: it ends; what has come may still be fetched. */
void cp_trace_down(struct cp_trace *t);

#endif
