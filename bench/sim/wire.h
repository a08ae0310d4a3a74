/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How MGCP leaves and reaches a gateway: plain UDP, ESP as protocol 50 over a raw socket, or ESP in UDP 4500; transport
 * or tunnel mode. With SAs nothing is sent or accepted in clear.
 */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H

#include <event2/event.h>

#include "esp.h"
#include "util.h"

#define SIM_WIRE_SAS 8

struct sim_wire_cfg {
	struct event_base *base;
	const char *who;             /* borrowed */
	struct sim_addr local, agent; /* MGCP addresses with ports */
	struct sim_sa in[SIM_WIRE_SAS], out[SIM_WIRE_SAS];
	size_t in_cnt, out_cnt;      /* the last outbound one is used */
	void (*rx)(void *ctx, char *text, size_t len, const struct sim_addr *from); /* text[len] is writable */
	void *ctx;
};

struct sim_wire;

struct sim_wire *sim_wire_create(const struct sim_wire_cfg *cfg, char *ret_err, size_t err_len);
void sim_wire_destroy(struct sim_wire *w);
/** With SAs: by the last outbound one that is with 'to'; -ENOKEY: none is. 0 or -errno. */
int sim_wire_send(struct sim_wire *w, const char *text, size_t len, const struct sim_addr *to);
/** Take over another SA (rekeying): the new outbound one is used at once. 0, -ENOSPC. */
int sim_wire_add_sa(struct sim_wire *w, const struct sim_sa *sa, bool inbound);
json_t *sim_wire_report(const struct sim_wire *w);

#endif
