/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of a gateway: gw.c has transactions, gwcmd.c executes commands, gwep.c has endpoints and connections. */
#ifndef SIM_GW_PRIV_H
#define SIM_GW_PRIV_H

#include "gw.h"
#include "gwmix.h"

#define SIM_GW_OUT_MAX   32  /* own commands unanswered at a time */
#define SIM_GW_CACHE_MAX 512 /* responses kept */
#define SIM_GW_PIGGY_MAX 1400 /* octets of a datagram of several messages */

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
	char request_id[33], events[128], signals[128], map[201]; /* map: D:, stays until there is another one */
	char collected[64]; /* digits since the request, by the map */
	bool loop;          /* Q: */
	struct sim_gconn *conns;
	size_t conn_max;
	bool mixes; /* cnf/...: what it hears in mode confrnce all others hear */
	struct event *answer_timer, *hangup_timer, *dial_timer;
	size_t dialled; /* digits that are said; of who dials, and 1 */
	uint32_t calls;   /* answered */
	uint32_t conn_cnt;
	struct sim_addr notified; /* whom N: has named; len 0: the gateway's agent */
	char entity[64];          /* and how */
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
	struct sim_addr to;
	bool rsip;
};

struct sim_cached {
	uint32_t txid; /* 0: free */
	uint64_t at_us;
	char *text;
	size_t len;
};

struct sim_final { /* a response that is still to come, or to be acknowledged (RFC 3435 s3.5.6) */
	struct sim_final *next;
	struct sim_gw *gw;
	uint32_t txid;
	bool waits; /* its command is being executed */
	unsigned int tries;
	struct sim_addr to;
	struct event *timer;
};

struct sim_gw {
	const struct sim_gw_opts *opts;
	const struct sim_gw_ops *ops;
	void *ctx;
	char name[64];
	struct sim_addr local;
	struct sim_addr agent; /* where RSIP goes: 521 with N: moves it */
	struct sim_wire *wire;
	struct sim_ep eps[SIM_GW_ENDPOINTS];
	struct sim_out out[SIM_GW_OUT_MAX];
	struct sim_cached cache[SIM_GW_CACHE_MAX];
	uint32_t next_txid;
	struct event *rsip_timer, *keepalive_timer, *piggy_timer;
	char piggy[SIM_GW_PIGGY_MAX];
	size_t piggy_len;
	unsigned int piggy_cnt;
	struct sim_addr piggy_to;
	struct sim_final *finals;
	char *again; /* its last command */
	size_t again_len;
	struct sim_addr again_to;
	char fail_verb[5];
	unsigned int fail_code, fail_times;
	uint32_t conn_cnt; /* connections made, ever */
	unsigned int rsip_wait_s;
	bool in_service;
	uint64_t commands, duplicates, lost_on_purpose, bad, retransmitted, gave_up, rsip_acked, ntfy_acked,
		ntfy_refused, refused, maps, mapped, looped, redirected, piggy_out, piggy_in, provisional, acks, said_again, late_answers, failed_on_purpose, verbs[8];
	json_t *history; /* reports of deleted connections */
};

/* gw.c */
/** Send an own command; what stands behind the endpoint ("X: 1\r\n"...) is params. ep: whose notified entity gets it; NULL: the agent. */
void sim_gw_command(struct sim_gw *g, const struct sim_ep *ep, const char *verb, const char *endpoint, const char *params);

/* gwsend.c */
int sim_gw_send_init(struct sim_gw *g);
void sim_gw_send_fini(struct sim_gw *g);
/** Send a message, perhaps together with others of this moment. */
void sim_gw_send(struct sim_gw *g, const char *text, size_t len, const struct sim_addr *to);
/** "[name@]host[:port]" with an address for host. 0 or -EINVAL. */
int sim_gw_entity(const char *text, struct sim_addr *ret);
/** 100 now, and later the response, which is in the cache. */
void sim_gw_provisional(struct sim_gw *g, uint32_t txid, const struct sim_addr *to);
/** Said again while it is executed: 100 again. False: it is not. */
bool sim_gw_executing(struct sim_gw *g, uint32_t txid, const struct sim_addr *to);
/** The response of a transaction. NULL: none is kept. */
const struct sim_cached *sim_gw_cached(const struct sim_gw *g, uint32_t txid);
/** 000: the response need not be said again. */
void sim_gw_acknowledged(struct sim_gw *g, uint32_t txid);

/* gwcmd.c */
/** Execute a parsed command; the whole response is written to out. Length. */
int sim_gw_execute(struct sim_gw *g, const struct sim_mgcp_msg *m, char *out, size_t room);

/* gwep.c */
int sim_ep_init(struct sim_ep *ep, struct sim_gw *g, const char *name);
void sim_ep_fini(struct sim_ep *ep);
void sim_ep_request(struct sim_ep *ep, const char *request_id, const char *events, const char *signals, const char *quarantine, const char *map);
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
