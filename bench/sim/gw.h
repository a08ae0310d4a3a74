/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One simulated MGCP gateway with analog endpoints: executes commands at most once, repeats its own until they are
 * answered, rings, answers, plays and records. RFC 3435, 3660 (package L).
 */
#ifndef SIM_GW_H
#define SIM_GW_H

#include "media.h"
#include "mgcp.h"
#include "wire.h"

#define SIM_GW_ENDPOINTS 32
#define SIM_GW_CONNS     4 /* of one endpoint; a conference's has SIM_MIX_CONNS */

struct sim_gw_opts { /* shared by the gateways of a process; strings are borrowed */
	struct event_base *base;
	const char *version;           /* MGCP version token of own commands */
	const char *endpoints[SIM_GW_ENDPOINTS];
	size_t endpoint_cnt;
	int answer_after_ms;           /* -1: let it ring */
	const char *dial;              /* digits: the first endpoint goes off hook once it is watched, and dials them; NULL: no */
	bool hangup_at_end;            /* go on hook when the WAV is over */
	unsigned int linger_ms;        /* after its end */
	unsigned int duration_ms;      /* on hook so long after the answer; 0: no */
	bool early_media;              /* analog endpoints send before they are off hook */
	unsigned int keepalive_s;      /* NTFY with X: 0; 0: none */
	unsigned int lose_every;       /* drop each n-th command received, to see it repeated; 0: none */
	bool piggyback;                /* messages of one moment go in one datagram */
	unsigned int provisional_ms;   /* CRCX, MDCX, RQNT are answered 100, and so long after it finally; 0: at once */
	enum sim_srtp_alg offer;       /* in own description before the other side's is known; none: RTP */
	enum sim_crypto_form form;
	struct sim_media_cfg media;    /* base, who, local are set per connection */
};

struct sim_gw;

struct sim_gw_ops { /* any may be NULL */
	void (*registered)(void *ctx, struct sim_gw *g); /* RSIP answered */
	void (*call_ended)(void *ctx, struct sim_gw *g); /* the last connection of an answered call is deleted */
};

/** name: domain of the endpoints. wire->rx and ->ctx are set here. NULL with a sentence in ret_err. */
struct sim_gw *sim_gw_create(const struct sim_gw_opts *opts, const char *name, const struct sim_wire_cfg *wire,
			     const struct sim_gw_ops *ops, void *ctx, char *ret_err, size_t err_len);
void sim_gw_destroy(struct sim_gw *g);
/** RSIP restart, after so long: thousands that begin at once would be a flood (RFC 3435 s4.4.6). */
void sim_gw_start(struct sim_gw *g, unsigned int after_ms);
/** RSIP forced, once, unanswered: a gateway that goes. Saves recordings. */
void sim_gw_stop(struct sim_gw *g);
/** All endpoints that are off hook go on hook. */
void sim_gw_hangup(struct sim_gw *g);
/** All endpoints that ring go off hook. */
void sim_gw_answer(struct sim_gw *g);
/**
 * A line of a script: "rsip METHOD [DELAY_S [ENDPOINT]]", "notify ENDPOINT EVENT", "keepalive", "again" (its last command, octet for octet),
 * "fail VERB CODE TIMES". False: it is none of these.
 */
bool sim_gw_control(struct sim_gw *g, const char *line);
struct sim_wire *sim_gw_wire(struct sim_gw *g);
json_t *sim_gw_report(const struct sim_gw *g);

#endif
