/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the gateways, shared by the files of this folder. */
#ifndef CP_GWINT_H
#define CP_GWINT_H

#include <event2/event.h>

#include "farm.h"
#include "gateway.h"
#include "health.h"
#include "mgcp/pkg.h"
#include "pace.h"
#include "store/records.h"

#define TXN_MAX     16384 /* commands without an answer, all gateways */
#define BACKLOG_MAX 256   /* DLCX kept per gateway while it cannot be told */
#define AGAIN_S     30    /* until the next question to a gateway that is not up, of an endpoint that is not in service */
#define PUT_OFF_MAX 5     /* times that a gateway may say "not now" to a DLCX, to what it can */
#define GW_SEEN     16    /* commands of a gateway remembered, so that none is executed twice */
#define TEXT_MAX    4096  /* what an audit answers: a datagram has 4,000 */

struct backlog {
	struct backlog *next;
	struct dp_mgcp_cmd cmd; /* DLCX: no keys in it */
	uint8_t put_off;        /* so often the gateway said "not now" (4xx) */
};

struct txn {
	uint64_t handle; /* 0: free; low bits are the index */
	struct cp_gws *gws;
	uint32_t gw_id;
	cp_gw_fn fn;
	cp_gw_text_fn tfn; /* of an audit, instead of fn */
	void *ctx;
	char *text;        /* what has come of its answer */
	size_t text_len;
	struct cp_gw_tag tag;
	int64_t began_ms;
	struct backlog *del; /* a DLCX, kept until the gateway has answered it; else NULL */
	bool leaves;         /* the last one of a gateway whose record is deleted: behind it the dataplane forgets the gateway */
};

/* What is still to be asked of an endpoint: bits. */
enum {
	EP_CHECK = 1,
	EP_ARM = 2,
	EP_SWEEP = 4,
	EP_CALL = 8,
	EP_LATER = 4, /* shift: the same, but later */
	EP_NOW = EP_CHECK | EP_ARM | EP_SWEEP | EP_CALL,
	EP_AGAIN = EP_CHECK << EP_LATER,
	EP_REARM = EP_ARM << EP_LATER,
};

/* A gateway's endpoints beside its record, of which they have the numbers: five bytes and a bit each. */
struct eps {
	unsigned cnt;
	unsigned in_service, off_hook, work; /* how many are (off_hook: of these, left off their hook), or have something left to be asked */
	uint16_t *order;           /* numbers by name, without case */
	uint8_t *state;            /* enum cp_ep_state */
	uint8_t *uses;             /* calls there, up to 255 */
	uint8_t *todo;             /* EP_* */
	uint64_t *ready;           /* bit: in service, and no call is there */
};

struct cp_gw {
	struct cp_gws *gws;
	struct cp_gw *next, *next_host; /* of the same hash */
	struct cp_gateway rec; /* copy of the record */
	bool asserted;
	bool set_again;  /* the dataplane had no room for it */
	enum cp_gw_state state;
	bool sa_live;
	uint64_t cmds, answers, timeouts, no_sa, events, restarts, media_refused, failures;
	uint32_t rtt_us;
	int64_t heard_ms; /* it said something last */
	struct backlog *backlog;
	unsigned backlog_cnt;
	struct cp_farm_member farm;
	struct cp_health health;
	struct eps eps;
	/* audit.c */
	struct event *ev_audit;
	bool asking;    /* one question is out */
	bool sweep;     /* what it has from before us has not been deleted yet */
	bool sweeping;  /* the question is that */
	bool probing;   /* the question is whether it is there */
	bool plain;     /* it was silent when that was asked together with what it can */
	struct cp_pace_member pace;
	int64_t again_ms; /* when EP_AGAIN and EP_REARM are due; 0: no endpoint has one */
	unsigned at;    /* endpoint that is looked at next */
	bool suspect;   /* to be asked whether it is there, whatever its state is */
	/* speech.c */
	bool unsaved;   /* what it was heard to speak is not in its record yet */
	bool saving;    /* and is on its way there */
	uint64_t saved_ms; /* it was written last; 0: never */
	bool silent;    /* its keep-alives are missing */
	bool caps_asked;
	uint8_t caps_put_off; /* so often it said "not now" to that */
	bool bearer_told;     /* what its record says of its lines (EPCF) */
	uint8_t bearer_put_off;
	struct dp_mgcp_caps caps;
	struct {
		uint64_t at_ms;
		uint32_t tid;
		uint16_t code;
		uint8_t verb;
	} seen[GW_SEEN];
	unsigned seen_at;
	uint64_t repeats;
	/* agents.c */
	char notified[DP_MGCP_NAME_MAX]; /* the last other agent that an endpoint of it named; "": none did */
	uint64_t claimed;                /* endpoints that were taken over */
};

struct cp_gws {
	struct event_base *base;
	struct cp_dp *dp;
	struct cp_store *store;
	struct cp_alarms *alarms;
	struct cfg_addr agent;
	const struct cp_gw_ops *ops;
	void *ctx;
	struct cp_gw **gw;     /* by gw_id */
	struct cp_gw **by_name, **by_host; /* hash chains */
	struct cp_farm *farm;
	struct txn *txn;
	uint32_t txn_next, txn_used;
	uint64_t generation;
	struct cp_pace pace; /* whose question is next (audit.c) */
	struct event *ev_pump;
	uint64_t asked;
	unsigned leaving; /* struct txn that are 'leaves' */
	struct event *ev_save;  /* what gateways speak, and is not in their records yet */
	struct event *ev_again; /* gateways are set that the dataplane had no room for */
	char *const *agents;    /* ourselves, and partners; the configuration's */
	unsigned agent_cnt;
	uint8_t claim;          /* enum cfg_claim */
};

/* gateway.c */
bool gw_needs_sa(const struct cp_gw *gw);
bool gw_reachable(const struct cp_gw *gw); /* false: every command would come back with DP_MGCP_NO_SA */
void gw_state(struct cp_gw *gw, enum cp_gw_state state);
void gw_able(struct cp_gw *gw); /* something changed of what decides whether it gets calls */
void gw_probe_done(struct cp_gw *gw, const struct dp_mgcp_done *done);

/* gwcmd.c */
void gw_replay_backlog(struct cp_gw *gw);
/* Its record is deleted: what it may still have of us is deleted there (DLCX), if it can be told, and the dataplane forgets it then. */
void gw_leave(struct cp_gw *gw);
void gw_left(struct cp_gws *gws, uint32_t gw_id); /* another one gets its number: the dataplane forgets it now */
void gw_txns_cancel(struct cp_gws *gws);
void gw_txns_forget(struct cp_gws *gws, uint32_t gw_id); /* their callbacks are not called any more */
void gw_txn_done(struct cp_gws *gws, const struct dp_mgcp_done *done);

/* endpoint.c. 'old' (may be NULL) with 'old_rec': what is known of endpoints that stay. 0, -ENOMEM. */
int eps_build(struct eps *ret, const struct cp_gateway *rec, const struct eps *old, const struct cp_gateway *old_rec);
void eps_free(struct eps *eps);
int eps_find(const struct eps *eps, const struct cp_gateway *rec, const char *name); /* -1: none of that name */
int eps_ready(const struct eps *eps);                                               /* the first one that may get a call; -1 */
void eps_use(struct eps *eps, unsigned i, int more);
void eps_set(struct eps *eps, unsigned i, enum cp_ep_state state);
void eps_todo(struct eps *eps, unsigned i, uint8_t set, uint8_t clear);
uint8_t eps_line(const struct cp_gateway *rec, unsigned i); /* enum cp_gw_line, never DEFAULT */

/* audit.c */
int audit_init(struct cp_gw *gw);
void audit_now(struct cp_gw *gw);              /* there is something to ask: in its turn */
void audit_later(struct cp_gw *gw, unsigned s); /* the same, in about so many seconds */
void audit_stop(struct cp_gw *gw);             /* nothing can be asked now */
void audit_pump(evutil_socket_t fd, short what, void *arg); /* 'arg': struct cp_gws; those whose turn it is are asked */
void audit_all(struct cp_gw *gw, uint8_t todo); /* of every endpoint of it */
void audit_answered(struct cp_gw *gw, const struct dp_mgcp_done *done); /* a question that another file asked in its turn */

/* conns.c */
/* Of what AUEP answered, "I: 8C2, 9D1": how many, all of them; -1: that is no list of at most 'max'. An empty one is one of none. */
int conns_listed(const char *text, char (*ret)[DP_MGCP_ID_MAX], unsigned max);
/* Bit i of 'which': id[i] is no call's. Asked whose it is, and deleted. */
void conns_strange(struct cp_gw *gw, const char *endpoint, const char (*id)[DP_MGCP_ID_MAX], uint32_t which);

/* agents.c */
enum gw_whose {
	GW_OURS,     /* or nobody in particular */
	GW_LOST,     /* our address, and a port at which we do not hear it */
	GW_PARTNERS,
	GW_OTHERS,
};
enum gw_whose agents_whose(const struct cp_gw *gw, const char *who);
/* N: of an audit's lines. False: it says none, ret is "". */
bool agents_read(const char *text, char *ret, size_t size);
/* An endpoint was asked whom it notifies, and answered. True: it is ours, or is taken over; false: it is left to another agent. */
bool agents_heard(struct cp_gw *gw, unsigned i, const char *text);
void agents_mentioned(struct cp_gw *gw, const struct dp_mgcp_event *ev);    /* what it says by itself may name another agent */
void agents_ask(struct cp_gw *gw, const char *endpoint); /* whom it (NULL: each) notifies, in its turn; where there are other agents */
unsigned agents_elsewhere(const struct cp_gw *gw);
void agents_alarm(struct cp_gw *gw);               /* stands while an endpoint is another agent's */
const char *agents_other(const struct cp_gw *gw);  /* where it is sent if it is not served here; "": nowhere */

/* speech.c */
void gw_speak(const struct cp_gw *gw, struct dp_gw_set *msg); /* msg->local is our own address */
void gw_save_heard(struct cp_gw *gw);
void gw_save_some(evutil_socket_t fd, short what, void *gws); /* of all */
void gw_keep_heard(struct cp_gw *gw, struct cp_gateway *rec); /* its new record, which was written without knowing */
bool gw_wants_caps(const struct cp_gw *gw);
bool gw_ask_caps(struct cp_gw *gw); /* what it can (RFC 3435 s2.3.10), if that was not asked; true: one question is out */
bool gw_wants_bearer(const struct cp_gw *gw);
bool gw_tell_bearer(struct cp_gw *gw); /* what its lines speak (RFC 3435 s2.3.1); true: one question is out */
/* A gateway that lists its packages is not asked for events and signals of others: the whole command would be refused (518). */
bool gw_lacks_srtp(const struct cp_gw *gw); /* it lists its packages, and the one that it needs is not among them */
void gw_fit_list(const struct cp_gw *gw, char *list, bool signals);
bool gw_seen_before(struct cp_gw *gw, const struct dp_mgcp_event *ev, uint16_t *ret_code);
void gw_remember(struct cp_gw *gw, const struct dp_mgcp_event *ev, uint16_t code);
void gw_show_speech(const struct cp_gw *gw, json_t *o);

#endif
