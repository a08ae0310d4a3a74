/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Captures and traces, as the main lcore runs them: DP_MSG_CAPTURE and DP_MSG_TRACE in, what the workers are to look at
 * published (watch.h), ends found (size, time, leg gone, disk) and told. Every worker looks for every leg, so a
 * shard may move while its leg is captured.
 */
#ifndef DP_SEE_H
#define DP_SEE_H

#include <stdbool.h>
#include <stdint.h>

#include "dp_msg.h"

struct dp_node;
struct dp_objs_sink;
struct dp_see;

/** NULL: no memory. destroy: after the workers' loops have ended; closes files; takes NULL. */
struct dp_see *dp_see_create(struct dp_node *node, const struct dp_objs_sink *sink);
void dp_see_destroy(struct dp_see *s);

/**
 * A checked DP_MSG_CAPTURE; 'leg_up': there is such a leg. Makes the file at once. 0; -EACCES: the configuration does
 * not allow it, or the directory is not ours alone; -ENOENT: no such leg, or no such capture to end; -EEXIST: the id runs, or
 * the file is there; -ENOSPC: DP_CAPTURE_MAX run; -ERANGE: longer or larger than the configuration allows; other
 * errors of the file.
 */
int dp_see_capture(struct dp_see *s, const struct dp_capture *m, bool leg_up);

/** A checked DP_MSG_TRACE. 0; -EBUSY: another one runs; -ENOENT: no such trace to end. */
int dp_see_trace(struct dp_see *s, const struct dp_trace *m);

/** A worker's record for the running trace. False: the controlplane cannot take it now, keep it. */
bool dp_see_trace_pkt(struct dp_see *s, struct dp_trace_pkt *p);

/** A leg is deleted: its captures end. */
void dp_see_leg_gone(struct dp_see *s, uint32_t leg_id);

/** Another controlplane: it knows nothing of what runs, so that ends. */
void dp_see_forget(struct dp_see *s);

/** Ends by time, size and disk; DP_MSG_CAPTURE_DONE. As often as possible. */
void dp_see_poll(struct dp_see *s);

#endif
