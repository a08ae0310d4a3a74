/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of sccp/: one session per connection, a registered one is a phone. Fed with whole frames,
 * it speaks through struct cp_sccp_link, so it knows neither sockets nor TLS.
 */
#ifndef CP_SCCP_SESSION_H
#define CP_SCCP_SESSION_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "msg.h"
#include "sccp.h"
#include "tap.h"

#define CP_SCCP_BUCKETS   4096
#define CP_SCCP_LOOKS     256  /* seconds; who may be silent for longer is looked at once in so many */
#define CP_SCCP_STRANGERS 64 /* addresses that alarms may stand for */
#define CP_SCCP_LOG_BURST 1000 /* lines of phones that come, and of those that go: at once, and a second */
#define CP_SCCP_LOG_RATE  50
#define CP_SCCP_AGAIN_MAX 8  /* registrations on one connection within CP_SCCP_AGAIN_MS; a phone begins anew once, after a restart */
#define CP_SCCP_AGAIN_MS  60000
#define CP_SCCP_EARLY_MAX 64 /* frames before registration; a phone needs about five */

/* How a session reaches its peer. */
struct cp_sccp_link {
	int (*send)(void *io, const uint8_t *frame, size_t len, bool secret); /* 0 or -ENOTCONN */
	void (*close)(void *io); /* never frees at once */
	void (*authed)(void *io); /* it is registered, each time */
	/*
	 * Of a link that answers KeepAlive messages of who is registered itself, while nobody taps; both NULL: it passes all of them on.
	 * left: it is registered no longer. quiet_ms: since it answered one; UINT64_MAX: it did not.
	 */
	void (*left)(void *io);
	uint64_t (*quiet_ms)(void *io);
};

/* What the connection proved before the first frame. */
struct cp_sccp_peer {
	struct cfg_addr addr, local;
	bool tls, encrypts;
	X509 *cert; /* verified; borrowed while the session lives; NULL on clear */
	const char *tls_version, *tls_cipher; /* constant strings, NULL on clear */
};

/* HELD: its registration waits for another phone's answer, or for a record to be synced. */
enum cp_session_state { CP_SESSION_NEW, CP_SESSION_HELD, CP_SESSION_REGISTERED, CP_SESSION_GONE };
enum cp_session_hold { CP_HOLD_PROBE, CP_HOLD_RECORD };

struct cp_phone {
	struct cp_sccp *sccp;
	const struct cp_sccp_link *link;
	void *io;
	void *user;
	TAILQ_ENTRY(cp_phone) all; /* registered: in the order in which they came */
	LIST_ENTRY(cp_phone) look; /* registered: to be looked at in the second in which it may have been silent for too long */
	TAILQ_ENTRY(cp_phone) due; /* reset_due not 0: in the order of the askers */
	TAILQ_ENTRY(cp_phone) hold; /* HELD */
	struct cp_sccp_register *reg; /* HELD: what it asked for */
	struct cp_phone *next;     /* registered: hash chain */
	uint64_t last_rx_ms, registered_ms; /* last_rx: of what was not answered by the link, cp_session_heard() */
	uint64_t hold_until_ms, again_ms;
	struct cp_sccp_peer peer;
	struct cp_line *lines;
	char *said;     /* text of its last Alarm; NULL: none */
	uint32_t type;  /* as the phone said */
	uint32_t boot;  /* cp_reset_digest() of the record it registered with */
	uint16_t early; /* frames before registration */
	uint8_t again;  /* registrations on this connection since again_ms */
	uint8_t state;  /* enum cp_session_state */
	uint8_t sec;    /* enum cp_phone_sec */
	uint8_t ver;    /* negotiated */
	uint8_t features[3];
	uint8_t line_cnt;
	uint8_t cap_cnt;
	int16_t said_number; /* reason number in it; -1 */
	uint8_t said_what;   /* enum cp_sccp_refusal that it raised itself; CP_SCCP_REF_MAX: none */
	uint8_t reset_due; /* type of the Reset message that it waits for; 0: none */
	uint8_t hold_why;  /* enum cp_session_hold */
	bool token;  /* its place among those who may register now is taken */
	bool probed; /* registered: another one claims to be it; anything that it says proves that it is there */
	bool dead; /* a send failed: closed() will follow */
	char name[CP_SCCP_NAME_MAX + 1];
	char claim[CP_SCCP_NAME_MAX + 1]; /* while it is watched: whom it says it is, before it is registered */
	char load[33];
	struct cp_sccp_cap caps[CP_SCCP_CAPS_MAX];
};

struct cp_sccp {
	struct cp_sccp_opts o;
	struct event *tick;
	struct cp_phone *buckets[CP_SCCP_BUCKETS];
	TAILQ_HEAD(, cp_phone) all;
	LIST_HEAD(cp_looks, cp_phone) look[CP_SCCP_LOOKS]; /* by the second, modulo */
	uint64_t looked_s; /* seconds before it are done */
	TAILQ_HEAD(, cp_phone) due; /* to be reset, resetq.c */
	unsigned due_cnt, due_rate, due_sent; /* sent: in the second that began at due_ms */
	uint64_t due_ms;
	TAILQ_HEAD(, cp_phone) held;
	uint64_t slot_us, back_us;  /* times until which registrations are given out, and promised; register.c */
	uint64_t storm_ms;          /* when one was held back last; 0: not, or long ago */
	struct cfg_addr strangers[CP_SCCP_STRANGERS]; /* a ring: the oldest one's alarms go when it
	                                                 is full */
	unsigned stranger_at;
	const struct cp_sccp_tap_ops *tap; /* NULL: nobody watches */
	atomic_bool tapped; /* the same, for other threads */
	void *tap_ctx;
	struct cp_sccp_stats stats;
};

/** NULL: no memory. The session belongs to the connection: cp_session_closed() frees it. */
struct cp_phone *cp_session_open(struct cp_sccp *sccp, const struct cp_sccp_link *link, void *io,
                                 const struct cp_sccp_peer *peer);
void cp_session_frame(struct cp_phone *p, const uint8_t *frame, size_t len);
void cp_session_closed(struct cp_phone *p, enum cp_phone_gone why);

/** End a registration: call control is told; the connection is closed. The session stays until
 * closed(). */
void cp_session_gone(struct cp_phone *p, enum cp_phone_gone why);

/** Its registration ends, and the session goes on. */
void cp_session_leave(struct cp_phone *p, enum cp_phone_gone why);

/* register.c */
void cp_session_register(struct cp_phone *p, const struct cp_sccp_frame *f);
void cp_session_token(struct cp_phone *p, const struct cp_sccp_frame *f);
/** It is there: those who claim to be it are refused. */
void cp_session_alive(struct cp_phone *p);
void cp_session_unhold(struct cp_phone *p);
/** Those who have waited long enough; the end of a storm. */
void cp_session_tick(struct cp_sccp *sccp);

/** When its link answered it last; 0: never. */
uint64_t cp_session_answered(const struct cp_phone *p);
/** When it was heard last, with that. Registered ones. */
uint64_t cp_session_heard(const struct cp_phone *p);

/** Send a built frame; n 0 is -EINVAL. */
int cp_session_send(struct cp_phone *p, const uint8_t *frame, size_t n);

/** tap.c: to who watches, if anybody does. in: a whole message that came. out: one that was sent; 'keyed' as in struct cp_sccp_tapped. */
void cp_session_tap_in(struct cp_phone *p, const struct cp_sccp_frame *f, const uint8_t *msg, size_t len);
void cp_session_tap_out(struct cp_phone *p, const uint8_t *msg, const uint8_t *keyed, size_t len);
void cp_session_tap_gone(struct cp_phone *p);

/** Count and log a body that could not be used. */
void cp_session_malformed(struct cp_phone *p, const struct cp_sccp_frame *f);

/** A request whose answer needs nothing but what is known: answered. False: not one of them. */
bool cp_session_startup(struct cp_phone *p, const struct cp_sccp_frame *f);

uint64_t cp_sccp_now(const struct cp_sccp *sccp);
/** Count, log and raise: 'name' is what the peer claims (may be NULL), 'detail' quoted or fixed
 * text. */
void cp_sccp_refuse(struct cp_sccp *sccp, enum cp_sccp_refusal why, const char *name,
                    const struct cfg_addr *from, const char *detail);
/** A client's handshake failed because of its certificate ('leaf', unproven; NULL: none), or of what TLS it can do. */
void cp_sccp_refuse_handshake(struct cp_sccp *sccp, const struct cfg_addr *from, enum cp_tls_fail why, int verify_err, X509 *leaf);
/** A phone has proven itself from there: alarms about that address without a device's name are over. */
void cp_sccp_vouch(struct cp_sccp *sccp, const struct cfg_addr *from);
/** Whether a connection like that may be this device: 0 and *ret_sec, or the refusal as 1 + enum
 * cp_sccp_refusal. */
int cp_session_admit(const struct cp_phone *p, const struct cp_device *dev,
                     enum cp_phone_sec *ret_sec);

/** resetq.c: tell it as soon as the rate allows. A heavier type replaces a lighter one. */
void cp_resetq_add(struct cp_sccp *sccp, struct cp_phone *p, uint8_t type);
void cp_resetq_del(struct cp_sccp *sccp, struct cp_phone *p);
void cp_resetq_back(struct cp_sccp *sccp, struct cp_phone *p); /* it has registered: was something left to tell it? */
void cp_resetq_run(struct cp_sccp *sccp);

void cp_sccp_index_add(struct cp_sccp *sccp, struct cp_phone *p);
void cp_sccp_index_del(struct cp_sccp *sccp, struct cp_phone *p);

#endif
