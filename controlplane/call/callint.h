/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of call control, shared by the files of this folder. */
#ifndef CP_CALLINT_H
#define CP_CALLINT_H

#include <event2/event.h>

#include "alarm.h"
#include "call/call.h"
#include "call/keys.h"
#include "call/media.h"
#include "call/rule.h"
#include "call/security.h"
#include "dpclient.h"
#include "gateway/farm.h"
#include "gateway/gateway.h"
#include "log.h"
#include "sccp/phone.h"
#include "store/cdrrec.h"
#include "store/dialrec.h"
#include "store/records.h"
#include "store/store.h"
#include "store/typerec.h"

#define CALL_SLOTS  16384 /* calls at once; the low bits of a call reference */
#define AGENT_HASH  16384
#define DIGITS_MAX  (CP_NUMBER_MAX - 1)
#define NO_LEG      UINT32_MAX

enum call_state {
	CALL_DIALING,    /* digits come */
	CALL_ROUTING,    /* CRCX is out */
	CALL_ALERTING,   /* called party rings */
	CALL_CONNECTING, /* answered: legs and record on their way */
	CALL_CONNECTED,
	CALL_FAILED,     /* the caller hears why until it hangs up */
};

/* Why a party waits, which says what it hears: the source of the phone that holds it, or of a network that is busy with it. */
enum music_kind { MUSIC_NONE, MUSIC_USER, MUSIC_NETWORK };

enum party_kind { PARTY_NONE, PARTY_PHONE, PARTY_GATEWAY, PARTY_STATIC, PARTY_PARK /* nobody: a park number */ };

/* A device that registered once; lives on without its phone while a call needs it. */
struct agent {
	struct agent *next; /* hash chain */
	struct cp_calls *calls;
	char name[32];
	struct cp_phone *phone;  /* NULL: not registered now */
	struct party *parties;   /* its places in calls, newest first; NULL: idle */
	struct agent *port_next; /* voice-mail ports that are registered, in order */
	bool is_port;            /* it is among them */
};

struct party {
	enum party_kind kind;
	char name[DP_MGCP_NAME_MAX];   /* device or gateway */
	char number[DIGITS_MAX + 1];
	char calling[DIGITS_MAX + 1];   /* caller: his number as the called one sees it; empty: 'number' */
	char label[41];
	char region[CP_TEXT_MAX];
	struct cp_call *call;          /* that it is a part of */
	struct agent *agent;           /* PHONE */
	struct party *ag_next;         /* chain of the agent's places */
	uint32_t ref;                  /* what phone and gateway know the call by */
	uint8_t stream;                /* 0 or 1: which of the phone's streams of that number */
	uint32_t line;
	struct party *fork_next;       /* call's list of the others that ring */
	bool fork;                     /* it is there, and not one of the call's two */
	uint32_t bridges;              /* a barge's stream: of the phone's call of this number; 0: it is a call's own */
	bool guest;                    /* a barger that takes the shield from nobody (001:P1-126) */
	uint8_t shown;                 /* enum remote_state: what the other phones of a shared line are shown */
	bool held;                     /* the phone put the call on hold: it has no media */
	bool resuming;                 /* its media is on the way back */
	uint8_t music;                 /* enum music_kind: it waits */
	uint8_t plays;                 /* its leg has been told to send this of moh.sources, and 1; 0: none */
	bool unplayable;               /* the dataplane would not send it to this leg */
	bool toned;                    /* phone: it was told to make a tone instead */
	uint32_t consult;              /* phone: the held call that it will be transferred from; 0: none */
	bool signal_auth, signal_enc;  /* as proven when the call was made */
	bool untrusted;                /* its type is not trusted */
	uint8_t can;                   /* phone: CP_DT_* of its type, as party_learn() found it */
	/* media */
	uint32_t leg_id;               /* NO_LEG */
	uint8_t suite;                 /* enum dp_srtp_suite, both directions */
	uint8_t latch;
	struct cp_keyset *rx, *tx;     /* what the party sends with; what it is sent */
	struct cfg_addr remote;        /* family 0: not known yet */
	uint32_t codec;                /* SCCP's number, also for a gateway */
	uint8_t packet_ms;             /* of both directions */
	uint8_t audio_pt;              /* payload type that it wants to get the codec under: a gateway may say another than ours */
	bool media_on;                 /* phone: ORC and SMT are out. gateway: connection is sendrecv */
	bool ready;                    /* its side of the media has been confirmed */
	bool reopen;                   /* gateway: its connection is there, and must be told of another leg and key */
	struct dp_page_leg page;       /* counters of the leg when the channel was lost */
	uint8_t ptime_ms;              /* of what it sends, 0: not known */
	uint8_t event_pt;              /* payload type of the events (RFC 2833) that it wants to get, 0: none */
	/* re-keying */
	bool rekeying;
	bool unsure;                   /* which keys it has: nobody heard how the last renewal ended */
	uint8_t tries;                 /* renewals begun since it is unsure */
	uint32_t rekey_seq;            /* of the renewal under way */
	struct cp_keyset *next_rx, *next_tx; /* on their way; what was before is good until they are there */
	int64_t keyed_s, rekey_s;      /* monotonic: last new keys, last begin */
	uint64_t rekeys, mki;          /* mki: of the last key drawn for it */
	unsigned alarms;               /* bits of enum dp_leg_event_kind: raised */
	/* gateway */
	char endpoint[DP_MGCP_NAME_MAX];
	char conn_id[DP_MGCP_ID_MAX];
	char request_id[DP_MGCP_ID_MAX];
	uint8_t offer;                 /* which of its suites was offered last: policy_suite() */
	uint8_t tag;                   /* of the crypto line that was offered last */
	bool inbound;                  /* it called from there: it dials, and hears tones (inbound.c) */
	uint8_t put_off;               /* so often its gateway said "not now" in a row (again.c) */
	char watched[32], heard[12];   /* what its gateway was asked last: events, signals */
	bool plain;                    /* its gateway takes neither digit map nor quarantine handling: each digit alone */
	/* for its call detail record (cdr.c) */
	uint64_t cdr_leg;
	uint8_t best, worst;           /* enum cp_security, while it was connected */
	uint64_t counted[5];           /* of its leg: what an earlier record has already */
	struct party *ep_next; /* chain of the endpoint index */
	bool in_index;
	/* gateway: a port of a conference */
	struct conf *conf;     /* NULL: it is none */
	struct party *cf_next; /* chain of the conference's ports, newest first */
	bool asked, reserved;  /* CRCX is out, was answered */
	uint8_t listed;        /* phone: which member of its conference it was shown last */
};

enum remote_state { REMOTE_NONE, REMOTE_IN_USE, REMOTE_HELD };

struct cp_call {
	uint32_t ref;
	enum call_state state;
	bool adopted;       /* from before a restart: no keys here */
	bool stored;        /* a record of it is in the store or on its way */
	bool secure;        /* SRTP was agreed */
	bool is_static;     /* operator's session */
	bool barge;         /* p[0] is in the call that the phone of p[1] is in (bridge.c) */
	bool cbarge;        /* p[0] comes into a conference by cBarge */
	uint8_t cap;        /* barge: enum cp_security: no better is the call that it joined */
	bool direct;        /* media goes between the parties: no legs */
	struct cp_media_rule rule; /* of the regions of its parties */
	bool meetme;        /* what is dialled is to start a conference */
	struct cp_call *joined; /* became a part of this one: gone with the next record; NULL: none */
	uint8_t pending;    /* answers outstanding before media may start */
	bool media_started;
	bool reserving;     /* it was answered, and the gateway that calls is asked for its connection */
	uint8_t again;      /* the dataplane has not taken its legs yet: 1, they are asserted again; 2, with their keys */
	bool untold;        /* a leg is another one than the dataplane, which was away, knows */
	int64_t since_s;    /* connected, wall clock */
	/* for its call detail record (cdr.c) */
	uint64_t global_id;
	int64_t setup_ms, connect_ms; /* of the part that the next record is about */
	char redirecting[DIGITS_MAX + 1];
	uint8_t origin;     /* enum cp_cdr_origin */
	uint8_t cause;      /* enum cp_q850: the first one that is known */
	uint8_t released;   /* 1 + side that ended it; 0: the system */
	uint8_t best, worst; /* enum cp_security, as shown while it was connected */
	bool no_sa;         /* keys for a gateway were held back */
	bool billed;        /* has its last record */
	bool group_pickup;  /* what is dialled is the number of a pickup group */
	char park[DIGITS_MAX + 1]; /* the number that it is parked at, also while it rings where it was parked from; "": it is not */
	char park_device[32];
	uint32_t park_line;
	struct cdr_due *due; /* records that go with the next change of the store's */
	char digits[DIGITS_MAX + 1];
	unsigned digit_cnt;
	bool sets_cfa;      /* what is dialled is the number to forward to (cfa.c) */
	/* where it was led to (route.c, forward.c) */
	char line_number[CP_NUMBER_MAX], line_partition[CP_PART_MAX]; /* the line that is called; empty: none */
	char list_pattern[CP_PATTERN_MAX], list_partition[CP_PART_MAX]; /* the route whose gateways are tried; empty: none */
	char list_number[CP_NUMBER_MAX];
	unsigned list_next;
	char farm[CP_NAME_MAX];      /* the group of gateways that it is led to; empty: none */
	uint32_t farm_tried[CP_FARM_TRIES]; /* their numbers */
	unsigned farm_tries;
	bool farm_stop;              /* what failed would fail anywhere */
	char recall_number[CP_NUMBER_MAX], recall_partition[CP_PART_MAX]; /* of who transferred it unanswered; empty: nobody */
	struct forwarded *fwd; /* NULL: it was not */
	struct event *timer;
	struct cp_calls *calls;
	struct party p[2];  /* 0: caller */
	struct party *forks; /* ALERTING: phones that ring beside p[1]; the first one to answer becomes it */
	cp_session_fn session_fn;
	void *session_ctx;
	cp_session_fn rekey_fn; /* waits for 'rekey_left' parties */
	void *rekey_ctx;
	unsigned rekey_left;
	json_t *rekey_list;
};

struct cp_calls {
	struct cp_calls_env env;
	struct cp_gws *gws;
	struct cp_plan *plan;
	struct cp_ports *ports;
	struct cp_keys *keys;
	struct agent *agents[AGENT_HASH];
	struct party *endpoints[AGENT_HASH]; /* by gateway and endpoint */
	struct conf *confs;
	struct again *agains;       /* commands that are said again in a while (again.c) */
	struct leg_gone *legs_gone; /* the dataplane may still have them (legs.c) */
	uint32_t assert_left;       /* slots that are still to be looked at for calls to be asserted again */
	struct beep { /* tones that say no, and end by themselves */
		char name[32]; /* device; "": none */
		uint32_t line, ref;
		uint8_t left_s;
	} beeps[32];
	bool stopping; /* phones that go now are no reason to end calls */
	struct cp_call *slot[CALL_SLOTS];
	uint32_t next_slot, generation, count;
	uint64_t total, failed, dropped_adopt;
	uint64_t completed[CP_SEC_ENCRYPTED + 1]; /* were connected; by their status when they ended */
	uint8_t suites[DP_SRTP_SUITE_MAX]; /* media.suites */
	unsigned suite_cnt;
	struct cdrs *cdrs;
	uint16_t music_bad; /* bit n: the dataplane could not load source n */
	struct agent *ports_vm;
	struct event *tick;
};

enum gw_op { GW_OP_CRCX, GW_OP_RQNT, GW_OP_MDCX, GW_OP_DLCX, GW_OP_REKEY, GW_OP_REOPEN, GW_OP_AUCX, GW_OP_ASK };

#define EVENT_PT 101 /* of RFC 2833 events, as we declare it to every party */

/* call.c */
struct cp_call *call_find(struct cp_calls *calls, uint32_t ref);
struct cp_call *call_new(struct cp_calls *calls);
void call_timer(struct cp_call *call, unsigned ms);
void call_end(struct cp_call *call, const char *why);
void call_vanish(struct cp_call *call); /* its parties are elsewhere: nobody is told, its record is gone already */
void call_connect(struct cp_call *call); /* media for whom has none yet */
void call_fail(struct cp_call *call, enum cp_sccp_state state, enum cp_sccp_tone tone, const char *text);
void call_answered(struct cp_call *call);
void call_media_ready(struct cp_call *call);
enum cp_security call_security(const struct cp_call *call);
struct cp_party_security party_security(const struct cp_call *call, const struct party *p);
void call_show(struct cp_call *call); /* its status may be another one: every phone of it is told, and of its conference */
const char *call_state_name(const struct cp_call *call);
bool party_up(const struct party *p); /* nothing need be done for its media */
unsigned party_side(const struct cp_call *call, const struct party *party);

/* index.c */
struct agent *agent_find(struct cp_calls *calls, const char *name, bool make);
void agent_release(struct cp_calls *calls, struct agent *agent); /* frees it if nothing needs it; NULL is allowed */
void agent_enter(struct agent *agent, struct party *p);          /* party_clear() takes it out */
bool party_rings(const struct party *p); /* at a phone, and was not answered */
struct party *agent_party(const struct agent *agent, uint32_t ref);
struct party *agent_active(const struct agent *agent);           /* that it dials, talks or hears a tone in; at most one */
struct party *agent_ringing(const struct agent *agent, uint32_t line); /* line 0: any */
struct party *agent_held(const struct agent *agent, uint32_t line);
unsigned agent_line_calls(const struct agent *agent, uint32_t line);
bool agent_line_room(const struct agent *agent, uint32_t line);  /* for one more, which what it is only dialling makes way for */
void endpoint_enter(struct cp_call *call, unsigned side);        /* once name and endpoint are set */
void endpoint_rename(struct cp_call *call, unsigned side, const char *endpoint); /* which one "any of" became */
struct party *endpoint_after(const struct party *p); /* the next one there; or NULL */
struct party *endpoint_party(struct cp_calls *calls, const char *gateway, const char *endpoint, const char *conn_id); /* "": any; or NULL */
struct cp_call *endpoint_call(struct cp_calls *calls, const char *gateway, const char *endpoint, unsigned *side);
void party_clear(struct cp_call *call, unsigned side);           /* nobody is on this side any more */
void party_move(struct cp_call *to, unsigned to_side, struct cp_call *from, unsigned from_side);
void party_drop_fork(struct party *fork); /* frees it */
void party_promote(struct party *fork); /* becomes p[1], which must be clear; it is no fork any more, and must not be used */

/* route.c: who is called */
void route_fill(struct cp_call *call, unsigned side, struct agent *a, uint32_t line);
void route_fill_party(struct party *p, struct agent *a, uint32_t line); /* 'call' and 'stream' are set */
void route_security(struct party *p, const struct cp_phone *phone); /* trust and signalling, as it is registered */
bool route_srtp(const struct party *p, const struct cp_media_rule *rule); /* it can do SRTP: a phone as it is registered now, a gateway as it was agreed */
/* What the call would be with 'p', which may be a fork, as the one who is called: 0, or why not. */
enum route_no { ROUTE_OK, ROUTE_NOT_REGISTERED, ROUTE_NOT_ENCRYPTED, ROUTE_NO_CODEC, ROUTE_BUSY, ROUTE_NO_PORT };
struct route_terms {
	struct cp_media_rule rule;     /* of both regions */
	struct cp_codec_choice choice; /* [0] is the caller's, or of who stays */
	bool secure, direct;
};
enum route_no route_terms(const struct cp_call *call, const struct party *p, struct route_terms *ret);
enum route_no route_agree(struct cp_call *call); /* between the call's two, with media ports: p[1] is not up yet */
void route_refuse(struct cp_call *call, enum route_no no); /* the caller is told */
struct cp_call *call_dial(struct cp_calls *calls, struct cp_phone *phone, uint32_t line); /* off hook, and listening to digits */
void route_digits(struct cp_call *call);
void call_digit(struct cp_call *call, char digit); /* the caller dials it: the number may be whole with it */
struct cp_dialled;
/* cp_dial() of what the call's caller dials. */
bool route_look(const struct cp_call *call, const char *digits, bool no_prefix, struct cp_dialled *ret);
void route_device(struct cp_call *call, const char *device, const char *number); /* to this line of this device, whatever was dialled */

/* Numbers that are nobody's (special.c): no, such a number begins so, it is one. */
enum special { SPECIAL_NO, SPECIAL_BEGINS, SPECIAL_WHOLE };
enum special special_number(const struct cp_call *call, const char *digits);
bool special_route(struct cp_call *call); /* it was one that only dialling leads to (not the pilot); the call may have ended */

/* park.c */
int park(struct party *p, const char **why); /* who talks to 'p' waits at a park number */
enum special park_number(const struct cp_calls *calls, const char *digits);
void park_retrieve(struct cp_call *dial); /* its digits are a park number; it becomes a part of what is parked there, or fails */
bool park_expired(struct cp_call *call); /* its timer; false: not one of ours */
bool park_unring(struct party *p);       /* it rang where it was parked from, and cannot any more; false: it did not */
void park_answered(struct cp_call *call);
void park_loaded(struct cp_call *call);  /* from the store */
void park_watch(struct cp_call *call);   /* its timer was another's */

/* How a phone joins who waits in a call (park.c). may_join: NONE, or why not; agree: with legs; 'side' is who joins. */
enum cp_q850 party_may_join(const struct party *waits, struct agent *a, struct route_terms *ret);
int party_agree(struct cp_call *call, unsigned side, const struct route_terms *terms);

/* pickup.c: the phone is off hook for it, in a call that lives on only if nothing can be picked up */
void pickup_key(struct cp_call *dial, uint32_t event);
void pickup_route(struct cp_call *dial); /* its digits are a group's number */

/* voicemail.c */
int vm_create(struct cp_calls *calls);
void vm_registered(struct agent *a);
void vm_gone(struct agent *a);
enum special vm_number(const struct cp_call *call, const char *digits);
bool vm_pilot(const struct cp_calls *calls, const char *digits);
bool vm_route(struct cp_call *call, const char *digits); /* to a port, if these are the pilot's */
bool vm_lamp(struct cp_call *call); /* a port has dialled for a lamp; false: its digits are something else */

/*
 * ring.c: a call that rings at several phones, as that to a shared line does. p[1] is one of them, the others are in 'forks'. To ring:
 * ring_add() for each place, then ring_begin(). Who has answered is made p[1] by ring_answer(), and the others are let go.
 */
enum route_no ring_add(struct cp_call *call, const char *device, const char *number); /* ROUTE_OK: it will ring there */
enum route_no ring_begin(struct cp_call *call); /* all that were added; ROUTE_OK, else nobody rings. Media ports are taken */
int ring_answer(struct party *p, const char **why); /* 'p' is invalid afterwards: it is the call's p[1]. -errno: it rings on */
bool ring_leave(struct party *p);               /* it rings at the others only; false: there is no other, and nothing was done */
void ring_without(struct cp_call *call, const struct agent *a); /* the same for this device, if it is one of several */
void ring_stop(struct cp_call *call);           /* only p[1] is left */

/* shared.c: what the other phones of a shared line see, and what they can do */
void shared_update(struct party *p);     /* its call has changed */
void shared_clear(struct party *p);      /* it leaves its call */
void shared_registered(struct agent *a); /* the phone is shown what goes on at its lines */
enum remote_state shared_lamp(const struct agent *a, uint32_t line);
struct party *shared_find(const struct agent *a, uint32_t ref, uint32_t *ret_line); /* the place that the phone is shown */
int shared_resume(struct party *held, struct agent *a, uint32_t line, const char **why); /* it goes on at another phone */
int shared_may_resume(struct party *held, struct agent *a, uint32_t line, struct route_terms *ret, const char **why); /* nothing is done */

void route_to(struct cp_call *call, const char *digits, const char *css); /* css NULL: the caller's */
void route_line(struct cp_call *call, const struct cp_dialled *to);
bool route_next(struct cp_call *call); /* the next gateway of its route. False: there is none */
bool route_farm_next(struct cp_call *call); /* the same, of the group that it is at: it has left the last one then */

/* forward.c: where it goes instead */
struct forwarded;
void forward_free(struct cp_call *call);
void forward_unroute(struct cp_call *call); /* the side that was called is nobody's again */
bool forward_all(struct cp_call *call); /* true: the line forwards all calls, and this one is elsewhere, or has failed */
bool forward_instead(struct cp_call *call, bool busy); /* nobody is there: true if it goes on elsewhere */
void forward_recall(struct cp_call *call, const struct party *by); /* 'by' transfers it unanswered: it comes back if nobody answers */
unsigned forward_ring_ms(const struct cp_call *call);
void forward_info(const struct cp_call *call, struct cp_phone_callinfo *info);

/* cfa.c: forwarding of all calls set at a phone, and what a phone shows of it */
void cfa_key(struct cp_calls *calls, struct cp_phone *phone, uint32_t line, struct cp_call *dials); /* 'dials': NULL, or the call that it listens in */
void cfa_dialled(struct cp_call *call);
void cfa_show(struct cp_calls *calls, struct cp_phone *phone, uint32_t line);
void cfa_watch(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted);

/* bridge.c: barge. A target is the place that a phone has in the call that is joined. */
#define BARGE_PARTIES_MAX 6
int barge_begin(struct party *target, struct agent *a, uint32_t line, const char **why); /* 0 also: it hears why not */
int barge_may(const struct party *target, const struct agent *a, uint32_t line, const char **why); /* it would not be -errno: nothing is done */
int barge_allowed(const struct party *target, const struct agent *a, uint32_t line, const char **why); /* whatever bridge it is done with */
struct party *barge_target(const struct cp_call *barge); /* NULL: it is no barge, or that call has ended */
struct party *barge_at(const struct party *target);      /* its second place; NULL: nobody has barged in there */
void barge_drop(const struct party *target);             /* the target leaves its call, or holds it */
void barge_show(struct cp_call *barge);                  /* the barger is told of the call */
void barge_changed(struct party *target);                /* somebody has barged in, or left; NULL is allowed */
/* All who hear each other in this call or the one that it joined. How many; *ret_cap: it is no better than that. */
unsigned barge_parties(const struct cp_call *call, struct cp_party_security s[BARGE_PARTIES_MAX], enum cp_security *ret_cap);

/* conf.c, conftask.c, confkey.c: conferences. Each member is an ordinary call of its party with a port of an external bridge */
struct conf *call_conf(const struct cp_call *call);     /* NULL: it is a call of two */
struct party *party_other(const struct party *p);       /* across its call */
bool conf_has(const struct conf *conf, const struct agent *a); /* as a member; conf NULL: no */
void conf_enter(struct conf *conf, struct party *port);
void conf_leave(struct party *port);                    /* the last one takes the conference along */
void conf_moved(struct party *from, struct party *to);  /* party_move() of a port */
void conf_load(struct party *port, const struct cp_call_leg *leg); /* from the store: its conference is made, or joined */
void conf_fill(const struct party *port, struct cp_call_leg *ret_leg);
void conf_changed(struct cp_call *call);                /* a call of a conference came to a state where nothing is under way */
void conf_answered(struct cp_call *call, unsigned side, const char *endpoint); /* CRCX succeeded; endpoint: that the bridge chose */
void conf_show(struct conf *conf);
enum cp_security conf_security(const struct conf *conf, const struct cp_call *call);
bool conf_route(struct cp_call *call);                  /* what was dialled is a conference's number, or was to be: done */
bool conf_number(const struct cp_calls *calls, const char *digits, bool *ret_longer); /* a meet-me number; more digits could be one */
bool conf_key(struct party *p, uint32_t event);         /* a soft key of conferences: done, or refused at the phone */
bool conf_takes(const struct party *a, const struct party *b); /* these two may be across: neither is a port, or the other may be a member */
void conf_codecs(struct cp_media_rule *rule);           /* it is with a port: G.711, which is what a bridge mixes */
void conf_destroy_all(struct cp_calls *calls);
/**
 * cBarge: a phone that is shown the place 'target' of its line's becomes a member of that call's conference; if it is a call of two, those
 * and the phone become one. Its status is not secure from then on (001:P1-127). 0: under way, or the phone hears and reads why not, in a
 * call of its own, and the target's stays as it is. -errno: nothing was changed.
 */
int conf_barge(struct party *target, struct agent *a, uint32_t line, const char **why);
int conf_may_barge(const struct party *target, const struct agent *a, uint32_t line, const char **why); /* it would not be -errno: nothing is done */

/* transfer.c: parties of one call become those of another */
void party_unplug(struct party *p); /* its media is stopped; leg and keys are gone */
int party_replug(struct cp_call *call, unsigned stays); /* legs for a call whose other party is new: relayed from here on */
int party_terms(const struct party *stays, const struct party *moves, struct route_terms *ret, const char **why); /* of a call of these two */
void party_meet(struct cp_call *call, unsigned moves, const struct route_terms *terms); /* that side is new: what stays is opened anew if it must */
void party_leave(struct party *p);  /* the phone has no more to do with its call */
bool call_busy(const struct cp_call *call); /* answers are outstanding: its parties must stay where they are */
int transfer_begin(struct party *p, const char **why);  /* the other party waits, its phone dials */
int transfer_finish(struct party *p, const char **why); /* 'p': the phone's place in the call that it dialled meanwhile */
/* Who is opposite of 'held' and who is opposite of 'talks' become one call; these two are let go. Both calls are connected. */
int transfer_join(struct party *held, struct party *talks, const char **why);

/* hold.c */
int hold_begin(struct cp_call *call, unsigned side, const char **why);
int hold_end(struct cp_call *call, unsigned side, const char **why);
int hold_may_end(const struct cp_call *call, unsigned side, const char **why); /* nothing is done */
void hold_over(struct cp_call *call, unsigned side, bool resumed); /* the media is back, or cannot come */

/*
 * music.c: what a party hears that waits. music_set() says that it does, or (MUSIC_NONE) not any more; from hold, and from whoever
 * else keeps a party waiting (park, conference, transfer). Its own leg stays open and active; that the other party's media does not come
 * through is for the caller to see to (a party on hold sends none). assert: with the leg, after each assertion of it.
 */
int music_set(struct cp_call *call, unsigned side, enum music_kind kind);
int music_assert(struct cp_call *call, unsigned side);
void music_tone(struct cp_call *call, unsigned side); /* makes the phone's tone begin or end */
void music_gone(struct party *p);                     /* its leg is given back */
void music_up(struct cp_calls *calls);                /* the channel is there: sources first */

/* legs.c: legs, keys and the record of a call */
int legs_take(struct cp_call *call);
int legs_take_beside(struct cp_call *call, unsigned side); /* for that side, where the other one is */
void legs_put(struct cp_call *call, unsigned side);       /* that side has no leg and no keys any more */
int legs_keys(struct cp_call *call, unsigned side, uint8_t suite);
int legs_assert(struct cp_call *call, unsigned side, bool with_keys);
int legs_key(struct cp_call *call, unsigned side, uint8_t dir, uint8_t flags, uint32_t overlap_ms, cp_dp_reply_fn fn,
	     void *ctx); /* ctx is the caller's: its own on -errno too */
void legs_start(struct cp_call *call);
void legs_drop(struct cp_call *call);
void legs_tick(struct cp_calls *calls);        /* what the dataplane could not be told to delete */
void legs_forget_gone(struct cp_calls *calls); /* the process ends */
int record_write(struct cp_call *call, cp_store_fn fn, void *ctx);
void record_end(struct cp_call *call); /* delete it, and that of who became a part of it; with what is kept of both */
int record_join(struct cp_call *call, struct cp_call *gone, cp_store_fn fn, void *ctx); /* write one, delete one: both or none */
struct cp_call *record_load(struct cp_calls *calls, const struct cp_call_rec *rec);

/*
 * cdr.c: call detail records. cut: what has been of this call until now is a record; it begins anew, unless 'cause' is another one than
 * CP_Q850_SPLIT. Records wait with their call (or one that it becomes a part of) for the next change of its record in the store.
 */
struct cdrs *cdrs_create(struct cp_calls *calls);
void cdrs_destroy(struct cdrs *cdrs);
void cdrs_tick(struct cdrs *cdrs);
json_t *cdrs_show(const struct cdrs *cdrs);
void cdr_begin(struct cp_call *call);
void cdr_connected(struct cp_call *call);
void cdr_status(struct cp_call *call); /* the status may be another one now */
void cdr_cut(struct cp_call *call, enum cp_q850 cause);
void cdr_split(struct cp_call *call, const struct cp_call *into, struct cp_call *keeper); /* 'into': where it goes on, or NULL; 'keeper' has the record then */
void cdr_restart(struct cp_call *call, enum cp_cdr_origin origin, const char *by); /* behind a cut, once its new parties are there */
void cdr_gone(struct party *p); /* its leg is given back: counters begin anew */
struct cp_call *call_cause(struct cp_call *call, enum cp_q850 cause); /* unless one is known */
struct cp_call *call_by(struct party *p); /* normal clearing by that party */
int cdr_write(struct cp_call *call, const struct cp_call_rec *rec, struct cp_call *gone, bool ends, cp_store_fn fn, void *ctx);
void cdr_drop(struct cp_call *call); /* the process ends: nothing is written any more */

/* phoneui.c: what a phone is shown and told */
struct cp_phone *party_phone(const struct party *p);
void ui_dialing(struct cp_call *call);
void ui_proceeding(struct cp_call *call);
void ui_ringout(struct cp_call *call);
void ui_ringin(struct party *p);
void ui_ringoff(struct party *p); /* it rings there no more: somebody else answered, or will */
void ui_connected(struct cp_call *call, unsigned side);
void ui_callinfo(struct cp_call *call, unsigned side);
void ui_secure_tone(struct cp_call *call, unsigned side);
void party_learn(struct party *p); /* what its device's type can do: once its phone is there */
void ui_failed(struct cp_call *call, enum cp_sccp_state state, enum cp_sccp_tone tone, const char *text);
void ui_refused(struct party *p, const char *text); /* text, and a tone of two seconds, in a call that goes on */
void ui_tick(struct cp_calls *calls);               /* every second */
void ui_transferred(struct cp_call *call); /* the new caller hears that it rings */
void ui_held(struct cp_call *call, unsigned side);
void ui_resumed(struct cp_call *call, unsigned side);
void ui_idle(struct cp_call *call, unsigned side);
void ui_lamp(const struct agent *a, uint32_t line);
/* To a phone that is not in it; 'guest': it is told that it is not secure itself. */
void ui_callinfo_at(struct cp_call *call, unsigned side, struct cp_phone *phone, uint32_t line, bool guest);
int ui_media_start(struct cp_call *call, unsigned side);
int ui_media_receive(struct cp_call *call, unsigned side); /* the first half of it: OpenReceiveChannel */
int ui_media_send(struct cp_call *call, unsigned side);    /* the other: StartMediaTransmission */
void ui_media_stop(struct cp_call *call, unsigned side);

/* policy.c: what is offered to whom, and who may speak directly */
uint8_t policy_suite(const struct cp_call *call, const struct cp_gateway *gw, unsigned n); /* n-th offer; NONE: no more */
struct cp_keyset *policy_draw(struct cp_call *call, struct party *p, uint8_t suite); /* with the gateway's MKI, lifetime */
uint8_t policy_phone_suite(const struct cp_media_rule *rule, const struct cp_phone *phone); /* of its leg; NONE: the rule allows none */
uint8_t policy_direct_suite(const struct cp_call *call, const struct cp_phone *phone, const struct cp_gateway *gw); /* that both know */
uint8_t policy_common_suite(const struct cp_media_rule *rule, const struct cp_phone *a, const struct cp_phone *b);
void policy_side(const struct party *p, struct cp_codec_side *ret); /* what its device can */
/* Codec and packet time that two parties have in common: -ENOENT, they have none. speak: it is theirs from now on. */
int policy_codec(const struct party *a, const struct party *b, const struct cp_media_rule *rule, bool secure, struct cp_codec_choice *ret);
void policy_speak(struct party *a, struct party *b, const struct cp_codec_choice *choice);
void policy_offer(const struct cp_call *call, const struct party *gateway, struct dp_mgcp_media *m); /* what it may choose from */
int policy_answer(struct cp_call *call, struct party *gateway, const struct dp_mgcp_media *m); /* what it chose; -EINVAL: of no use */

/* direct.c: media between the parties */
int direct_keys(struct cp_call *call); /* the two sets, each at both parties */
void direct_start(struct cp_call *call);
int direct_confirmed(struct cp_call *call, unsigned side); /* 'remote' is known now */
void direct_watch(struct cp_call *call); /* no leg ages here, nor in a call on hold: ends when no phone is there any more */

/* rekey.c */
int rekey_party(struct cp_call *call, unsigned side, const char **why);
void rekey_answered(struct cp_call *call, unsigned side, const struct dp_mgcp_done *done, bool ok);
void rekey_confirmed(struct cp_call *call, unsigned side); /* the phone opened its channel with the new key */
void rekey_give_up(struct cp_call *call, unsigned side); /* one that was to come back from hold, and does not */
void rekey_drop(struct cp_call *call, const char *why);    /* the call ends */
void rekey_leg_gone(struct cp_call *call, unsigned side);  /* what its leg raised is over: its party may be another call's soon */
void rekey_tick(struct cp_calls *calls);
int64_t rekey_now(void); /* monotonic seconds */

/* again.c */
bool again_later(struct cp_call *call, unsigned side, uint8_t op, const struct dp_mgcp_done *done); /* true: said again, its answer is none yet */
void again_forget(struct cp_calls *calls);

/* inbound.c: calls that begin at a gateway */
enum inbound_tone { INBOUND_SILENCE, INBOUND_RINGBACK, INBOUND_BUSY, INBOUND_REORDER, INBOUND_CONGESTION };
void inbound_begins(struct cp_calls *calls, struct cp_gw *gw, const char *endpoint, const char *request_id, const char *observed); /* no call is there */
void inbound_notified(struct party *p, const char *observed); /* who called from there: the call may end under it */
void inbound_hears(struct cp_call *call, enum inbound_tone tone);
void inbound_fails(struct cp_call *call, enum cp_sccp_state state, enum cp_sccp_tone tone); /* the call may end under it */
bool inbound_plainly(struct cp_call *call, const struct dp_mgcp_done *done); /* true: it was asked for digits in another way */
bool inbound_asks(struct cp_call *call, unsigned side); /* true: digits are asked for again */
bool inbound_left(struct cp_call *call);    /* true: it had failed, its phone is off its hook still, and it has ended */
void inbound_secure(struct cp_call *call);  /* as its signalling is now: before its call is led anywhere */
bool inbound_reserve(struct cp_call *call); /* true: the caller's gateway is asked for a connection, call_answered() goes on behind it */
const char *inbound_events(const struct party *p); /* watched for while it talks */
const char *inbound_takes(const struct party *p);  /* signal that takes the call, "" none */
const char *inbound_leaves(const struct party *p); /* the same for its end */

/* trunk.c: the gateway's side of a call */
int trunk_offer(struct cp_call *call, unsigned side); /* CRCX with the next suite; -ENOENT: none is left */
int trunk_rekey(struct cp_call *call, unsigned side); /* MDCX with 'next_tx' */
int trunk_take_key(struct cp_call *call, struct party *p, const struct dp_mgcp_media *m, const struct cp_keyset *offered,
		   struct cp_keyset **ret); /* checked; -EACCES with a log line */
int trunk_open(struct cp_call *call, unsigned side);
void trunk_ring(struct cp_call *call);
void trunk_request(struct party *p, const char *events, const char *signals); /* RQNT under its request_id */
void trunk_request_again(struct party *p);                                    /* the last one */
void trunk_connect_again(struct cp_call *call, unsigned side);                /* the connection alone */
void trunk_request_with(struct party *p, const char *params);                 /* the same, with more than events and signals: lines of dp_mgcp_ask */
void trunk_connect(struct cp_call *call, unsigned side);
void trunk_reopen(struct cp_call *call, unsigned side); /* MDCX: another leg, another key */
void trunk_close(struct cp_call *call, unsigned side);

#endif
