/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of a gateway: gw.c has transactions, gwcmd.c executes commands, gwep.c has endpoints and connections. */
#ifndef SIM_GW_PRIV_H
#define SIM_GW_PRIV_H

#include "gw.h"
#include "gwmix.h"

#define SIM_GW_OUT_MAX   32  /* own commands unanswered at a time */
#define SIM_GW_CACHE_MAX 512 /* responses kept */

struct sim_ep;

struct sim_gconn {
	struct sim_ep *ep;
	bool used, send; /* send: the mode allows it */
	bool rekey;      /* the last description brought another key */
	uint32_t rekeys;
	char id[33], call_id[33], mode[16];
	uint32_t session;
	struct sim_media *media;
	struct sim_mix *mix; /* of a conference, or NULL */
	struct sim_sdp local, remote; /* remote.to.len 0: not known */
	char record[512], played[512];
};

struct sim_ep {
	struct sim_gw *gw;
	const char *name; /* local part */
	bool offhook, ringing, notified_hd;
	char request_id[33], events[128], signals[128];
	struct sim_gconn *conns;
	size_t conn_max;
	bool mixes; /* cnf/...: what it hears in mode confrnce all others hear */
	struct event *answer_timer, *hangup_timer, *dial_timer;
	size_t dialled; /* digits that are said; of who dials, and 1 */
	uint32_t calls;   /* answered */
	uint32_t conn_cnt;
};

struct sim_out { /* an own command */
	bool used;
	uint32_t txid;
	char *text;
	size_t len;
	unsigned int tries;
	uint64_t first_us, wait_us;
	struct event *timer;
	struct sim_gw *gw;
	bool rsip;
};

struct sim_cached {
	uint32_t txid; /* 0: free */
	uint64_t at_us;
	char *text;
	size_t len;
};

struct sim_gw {
	const struct sim_gw_opts *opts;
	const struct sim_gw_ops *ops;
	void *ctx;
	char name[64];
	struct sim_addr local;
	uint16_t agent_port; /* where notifications go: N: may move it */
	struct sim_wire *wire;
	struct sim_ep eps[SIM_GW_ENDPOINTS];
	struct sim_out out[SIM_GW_OUT_MAX];
	struct sim_cached cache[SIM_GW_CACHE_MAX];
	uint32_t next_txid;
	struct event *rsip_timer, *keepalive_timer;
	uint32_t conn_cnt; /* connections made, ever */
	unsigned int rsip_wait_s;
	bool in_service;
	uint64_t commands, duplicates, lost_on_purpose, bad, retransmitted, gave_up, rsip_acked, ntfy_acked,
		ntfy_refused, refused, verbs[8];
	json_t *history; /* reports of deleted connections */
};

/* gw.c */
/** Send an own command; what stands behind the endpoint ("X: 1\r\n"...) is params. */
void sim_gw_command(struct sim_gw *g, const char *verb, const char *endpoint, const char *params);

/* gwcmd.c */
/** Execute a parsed command; the whole response is written to out. Length. */
int sim_gw_execute(struct sim_gw *g, const struct sim_mgcp_msg *m, char *out, size_t room);

/* gwep.c */
int sim_ep_init(struct sim_ep *ep, struct sim_gw *g, const char *name);
void sim_ep_fini(struct sim_ep *ep);
void sim_ep_request(struct sim_ep *ep, const char *request_id, const char *events, const char *signals);
void sim_ep_offhook(struct sim_ep *ep);
void sim_ep_onhook(struct sim_ep *ep);
struct sim_gconn *sim_gconn_add(struct sim_ep *ep, const char *call_id);
/** Apply mode and remote description to sockets and keys. MGCP code: 200 or an error. */
unsigned int sim_gconn_apply(struct sim_gconn *c, const char *mode, const struct sim_sdp *remote);
/** Forget a connection: nobody is told. */
void sim_gconn_drop(struct sim_gconn *c);
/** Delete: writes the P: line's value to stats (at least 160 octets). */
void sim_gconn_del(struct sim_gconn *c, char *stats, size_t room);
json_t *sim_gconn_report(const struct sim_gconn *c);

#endif
