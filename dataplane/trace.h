/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker's part of a trace: what each stage said of a packet. A packet that fits the filter is noted when it has been
 * parsed, by its buffer; the note follows it through the stages and becomes one event when the packet leaves, is
 * dropped, or the round ends with it still held. All of it only while something is watched (w->watch); a worker's notes
 * are a small fixed table, and a trace takes only the upper part of the event buffers: it may miss packets under
 * load, it does not take from anybody.
 */
#ifndef DP_TRACE_H
#define DP_TRACE_H

#include "worker.h"

struct dp_tracer;

/** A worker's notes. NULL: no memory. destroy takes NULL. */
struct dp_tracer *dp_tracer_create(void);
void dp_tracer_destroy(struct dp_tracer *t);

/** Packet i of the burst has been classified; its verdict is the parse stage's. 'media': the media stages are next. */
void dp_trace_begin(struct dp_worker *w, const struct dp_burst *b, uint16_t i, bool media);

/** A media packet got through 'stage' (LOOKUP to REWRITE), the leg it goes out of is 'leg_out' (UINT32_MAX: none), on 'port_out'. */
void dp_trace_pass(struct dp_worker *w, const struct rte_mbuf *m, enum dp_stage stage, uint32_t leg_out, uint16_t port_out);

/** What lookup read: RTP's or RTCP's header in front of 'len' bytes. */
void dp_trace_media(struct dp_worker *w, const struct rte_mbuf *m, bool rtcp, const uint8_t *data, uint16_t len);

/** Packet index, once unprotect knows it. */
void dp_trace_index(struct dp_worker *w, const struct rte_mbuf *m, uint64_t index);

/** The packet is dropped where it is. */
void dp_trace_drop(struct dp_worker *w, const struct rte_mbuf *m, enum dp_drop why);

/** The driver took these. */
void dp_trace_sent(struct dp_worker *w, struct rte_mbuf *const *m, uint16_t n);

/** These belong to another worker now, which notes them itself. */
void dp_trace_forget(struct dp_worker *w, struct rte_mbuf *const *m, uint16_t n);

/** End of the round: what has no verdict is held, or was used up without one. */
void dp_trace_flush(struct dp_worker *w);

#endif
