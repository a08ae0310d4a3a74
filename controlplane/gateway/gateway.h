/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Voice gateways as call control sees them: their records asserted in the dataplane, MGCP commands with one
 * answer each, and what gateways say by themselves (RSIP, NTFY). The protocol runs in the dataplane's
 * workers; this is its steering. Runs on the controlplane's event loop.
 */
#ifndef CP_GATEWAY_H
#define CP_GATEWAY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/dp_msg.h"
#include "config.h"

struct event_base;
struct cp_dp;
struct cp_store;
struct cp_alarms;
struct cp_gateway;
struct cp_gws;
struct cp_gw; /* one gateway; lives until its record is deleted and no call uses it */

/* Names what a command was for; comes back with the answer, by value: its call may be gone by then. */
struct cp_gw_tag {
	uint32_t callref;
	uint8_t side;
	uint8_t op; /* the caller's */
	char conn_id[DP_MGCP_ID_MAX];    /* of the command */
	char endpoint[DP_MGCP_NAME_MAX];
};

typedef void (*cp_gw_fn)(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag,
			 const struct dp_mgcp_done *done);

/** The same for an audit: 'text' is what it answered, lines "A: ...", NULL where nothing or not all of it came. */
typedef void (*cp_gw_text_fn)(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done,
			      const char *text);

struct cp_gw_ops {
	/* NTFY with observed events on an endpoint, already accepted. */
	void (*notified)(void *ctx, struct cp_gw *gw, const char *endpoint, const char *request_id,
			 const char *observed);
	/* The connection ("": all) of the endpoint is gone. 'endpoint' may hold wildcards: cp_gw_endpoint_match(). */
	void (*lost)(void *ctx, struct cp_gw *gw, const char *endpoint, const char *conn_id);
	/* Is the connection of the call on this endpoint still there? Asked of whoever has the call; may be NULL. */
	void (*check)(void *ctx, struct cp_gw *gw, const char *endpoint);
	/*
	 * All connections that the gateway has at this endpoint, at most CP_GW_CONNS. Calls' own that are not among them are asked for as with
	 * 'check'. Returned: bit i for each that no call knows. May be NULL.
	 */
	uint32_t (*conns)(void *ctx, struct cp_gw *gw, const char *endpoint, const char (*id)[DP_MGCP_ID_MAX], unsigned n);
	/* An operator takes it out of service: its calls are to end. May be NULL. */
	void (*stopped)(void *ctx, struct cp_gw *gw);
};

#define CP_GW_CONNS  32   /* connections of an endpoint that are looked at */
#define CP_GW_ARM_ID "A0" /* request identifier of who waits for a phone to go off hook, or a line to ring */

enum cp_ep_state {
	CP_EP_IN_SERVICE,
	CP_EP_LEAVING,      /* RSIP graceful: gets no new connection */
	CP_EP_OUT,          /* RSIP forced, or restart that is still to come; or it refused calls as what does not exist */
	CP_EP_DISCONNECTED, /* RSIP disconnected: in service once it was asked */
	CP_EP_OFF_HOOK,     /* its phone was left off its hook: no call is there, none is led there, and that it is put back is watched for */
	CP_EP_ELSEWHERE,    /* it notifies another call agent, and is left to that one */
	CP_EP_STATES
};

enum cp_gw_state {
	CP_GW_UNKNOWN, /* no answer yet */
	CP_GW_UP,
	CP_GW_DOWN,    /* a transaction timed out; AUEP is repeated until it answers */
	CP_GW_NO_SA,   /* fails closed: no live SA covers it */
};

struct cp_gws *cp_gws_create(struct event_base *base, struct cp_dp *dp, struct cp_store *store,
			     struct cp_alarms *alarms, const struct cfg_addr *agent, const struct cp_gw_ops *ops,
			     void *ctx);
void cp_gws_destroy(struct cp_gws *gws);
/** So many questions a second are asked of all gateways, at most; above 0. CP_PACE_RATE otherwise. */
void cp_gws_pace(struct cp_gws *gws, unsigned rate);
/** mgcp.agents and mgcp.claim (enum cfg_claim): 'agents' is borrowed for good. Before the channel is up. */
void cp_gws_agents(struct cp_gws *gws, char *const *agents, unsigned n, uint8_t claim);

/** The channel is up: assert every gateway again. 'fresh' as in cp_dp_ops.up. */
void cp_gws_up(struct cp_gws *gws, bool fresh);
void cp_gws_down(struct cp_gws *gws);

/** A gateway's record was added, changed or deleted. False: nothing that anybody would have to act on, only what was heard of it was kept. */
bool cp_gws_changed(struct cp_gws *gws, const char *name);

struct cp_gw *cp_gws_find(struct cp_gws *gws, const char *name);
/** True if an endpoint is meant: "*" as a whole term stands for any term, at the end for all that follow (RFC 3435 s2.1.2). "$" in
 * 'endpoint' stands for any one term: a bridge's record says so. */
bool cp_gw_endpoint_match(const char *pattern, const char *endpoint);
/** The gateway whose MGCP address is this host's: of several the one with its port, if one has it; 0: any of them. NULL: none. */
struct cp_gw *cp_gws_by_host(struct cp_gws *gws, const struct cfg_addr *host);
/** One whose MGCP address is in this network: looks at all of them. */
struct cp_gw *cp_gws_in_net(struct cp_gws *gws, const struct cfg_addr *net);
const char *cp_gw_name(const struct cp_gw *gw);
/** Its record as it is now: borrowed, not to be kept. */
const struct cp_gateway *cp_gw_rec(const struct cp_gw *gw);
uint32_t cp_gw_id(const struct cp_gw *gw);
enum cp_gw_state cp_gw_state(const struct cp_gw *gw);
const char *cp_gw_state_name(enum cp_gw_state state);
/** Media address family and region of the gateway's record. */
const char *cp_gw_region(const struct cp_gw *gw);
/** True if keys may go there: a live SA covers it, or its record allows keys without IPsec; and it does not say that it has no use for them. */
bool cp_gw_keys_allowed(const struct cp_gw *gw);
/** True if its MGCP is authenticated and encrypted: a live SA pair covers it. */
bool cp_gw_secured(const struct cp_gw *gw);

/* --- as one of a farm: farm.h --- */

/**
 * The gateway of a group that is to get a call, but for the 'n' numbers (cp_gw_id) of 'but'. NULL: none can take one; *ret_no_sa: nobody
 * of it is able, and one for want of an SA.
 */
struct cp_gw *cp_gws_pick(struct cp_gws *gws, const char *group, const uint32_t *but, unsigned n, bool *ret_no_sa);
/** May it get a new call at all? Not how full it is. */
bool cp_gw_able(const struct cp_gw *gw);
/** The endpoint ("": any) that may get a call: its record's name of it. NULL: it may not, all are busy, or the gateway is full. */
const char *cp_gw_free_endpoint(const struct cp_gw *gw, const char *endpoint);
/** False: what is sent to it now fails, as far as is known (its circuit breaker is open). */
bool cp_gw_works(const struct cp_gw *gw);
/** A call came to an endpoint, or went. */
void cp_gw_ep_use(struct cp_gw *gw, const char *endpoint, int more);
enum cp_ep_state cp_gw_ep_state(const struct cp_gw *gw, const char *endpoint);
const char *cp_gw_ep_state_name(enum cp_ep_state state);
/** Its phone stays off its hook without a call, or ('off' false) was put back: then it is watched for who calls again. */
void cp_gw_ep_hook(struct cp_gw *gw, const char *endpoint, bool off);
/** What was watched for there has come, and no call began: it is watched for again in a while. */
void cp_gw_ep_again(struct cp_gw *gw, const char *endpoint);
/** What calls come from an endpoint: enum cp_gw_line, never DEFAULT; NONE also where the endpoint is not known. */
uint8_t cp_gw_ep_line(const struct cp_gw *gw, const char *endpoint);
/** What is watched for at an endpoint where nothing is going on. */
const char *cp_gw_arm_events(uint8_t line);
unsigned cp_gw_calls(const struct cp_gw *gw);
/** Those of them at endpoints that its record has not, or no more. */
unsigned cp_gw_strays(const struct cp_gw *gw);
/** True if an answer to CRCX, or none, says that another gateway might do better. */
bool cp_gw_elsewhere(const struct dp_mgcp_done *done);

/**
 * Send a command; endpoint and identifiers are set by the caller, gateway and handle here. 'fn' is called
 * once, also when the channel goes; not when the gateway is deleted. -ENOTCONN, -EAGAIN: fn is not called. DLCX
 * that cannot be sent now are kept and sent when channel and SA are back: no connection stays open at a gateway.
 */
int cp_gw_cmd(struct cp_gw *gw, const struct dp_mgcp_cmd *cmd, const struct cp_gw_tag *tag, cp_gw_fn fn, void *ctx);

/** The same for a command without a description (struct dp_mgcp_ask), audits with what they answer. */
int cp_gw_ask(struct cp_gw *gw, const struct dp_mgcp_ask *ask, const struct cp_gw_tag *tag, cp_gw_text_fn fn, void *ctx);

/** From the channel. */
void cp_gws_mgcp_done(struct cp_gws *gws, struct dp_mgcp_done *ev);
void cp_gws_mgcp_event(struct cp_gws *gws, const struct dp_mgcp_event *ev);
void cp_gws_mgcp_text(struct cp_gws *gws, const struct dp_mgcp_text *ev);
void cp_gws_heard(struct cp_gws *gws, const struct dp_gw_heard *ev);

/** An SA of this gateway came or went ('live': both directions are there now). */
void cp_gws_sa_changed(struct cp_gws *gws, uint32_t gw_id, bool live);

/** Array of objects for 'show gateways'. */
json_t *cp_gws_show(struct cp_gws *gws);
/** How many there are; the names of those that may be sent keys in the open are appended to the array. */
uint32_t cp_gws_count(const struct cp_gws *gws, json_t *keys_without_ipsec);

#endif
