/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One simulated phone: registers, keeps alive, calls, answers, plays and records. It keeps its media and
 * reconnects by itself when the server goes away in mid-call.
 */
#ifndef SIM_PHONE_H
#define SIM_PHONE_H

#include "conn.h"
#include "media.h"

/* Options shared by all phones of a process; strings are borrowed. */
struct sim_phone_opts {
	struct event_base *base;
	struct sim_addr server, source;
	SSL_CTX *tls;            /* NULL: TCP */
	uint8_t protocol;
	uint32_t device_type;
	const char *load;        /* firmware name to claim */
	bool mac_ascii;
	unsigned int timeout_s;  /* connect, handshake, registration */
	unsigned int retry_ms;   /* between attempts to come back; 0: do not come back */
	unsigned int give_up_s;  /* do not come back after so long without a server; 0: always try */
	const char *dial;        /* NULL: do not call */
	bool enbloc;
	unsigned int digit_ms, dial_after_ms;
	bool answer, answer_offhook;
	unsigned int answer_after_ms;
	unsigned int duration_ms;  /* of a call from its first media; 0: no limit */
	bool hangup_at_end;        /* of the WAV */
	unsigned int linger_ms;    /* between the end of the WAV and hanging up */
	bool media;                /* open sockets at all; load runs without */
	bool pretend;              /* say that media is there, without sockets: for loads of calls */
	struct sim_media_cfg media_cfg;
};

enum sim_phone_state {
	SIM_PHONE_IDLE,       /* not started, or given up */
	SIM_PHONE_CONNECTING,
	SIM_PHONE_REGISTERING,
	SIM_PHONE_REGISTERED,
	SIM_PHONE_WAITING,    /* to try again */
	SIM_PHONE_LEAVING,    /* Unregister sent */
};

struct sim_phone;

struct sim_phone_ops { /* any may be NULL */
	void (*registered)(void *ctx, struct sim_phone *p, uint64_t took_us);
	void (*ready)(void *ctx, struct sim_phone *p);     /* all start-up answers are there */
	void (*failed)(void *ctx, struct sim_phone *p, const char *reason); /* lost or not registered */
	void (*connected)(void *ctx, struct sim_phone *p);
	void (*call_ended)(void *ctx, struct sim_phone *p);
	void (*ringing)(void *ctx, struct sim_phone *p);   /* the phone that we call */
	void (*media_up)(void *ctx, struct sim_phone *p);  /* both ways; perhaps more than once in a call */
	void (*left)(void *ctx, struct sim_phone *p);      /* after sim_phone_leave */
	void (*keepalive)(void *ctx, uint64_t rtt_us);
};

/** cert and key are borrowed; NULL: those of the TLS context. NULL: no memory. */
struct sim_phone *sim_phone_create(const struct sim_phone_opts *opts, const char *name, X509 *cert,
				   EVP_PKEY *key, const struct sim_phone_ops *ops, void *ctx);
void sim_phone_destroy(struct sim_phone *p);
const char *sim_phone_name(const struct sim_phone *p);
/** A number of the caller's, to know it by; 0 unless set. */
void sim_phone_set_index(struct sim_phone *p, unsigned int index);
unsigned int sim_phone_index(const struct sim_phone *p);
enum sim_phone_state sim_phone_state(const struct sim_phone *p);
void sim_phone_set_source(struct sim_phone *p, const struct sim_addr *source);

void sim_phone_start(struct sim_phone *p);
/** Unregister, then left(). Hangs up first. */
void sim_phone_leave(struct sim_phone *p);
/** Off-hook and digits, or en bloc. 0, -EPROTO when not registered or in a call. */
int sim_phone_dial(struct sim_phone *p, const char *number);
int sim_phone_digit(struct sim_phone *p, char digit);
int sim_phone_answer(struct sim_phone *p);
int sim_phone_softkey(struct sim_phone *p, uint32_t event);
/** On-hook. 0, -EPROTO without a call. Works once the phone is registered again, if it is not now. */
int sim_phone_hangup(struct sim_phone *p);
bool sim_phone_in_call(const struct sim_phone *p);
/** A channel of its call, or of its last one, had no key. */
bool sim_phone_clear(const struct sim_phone *p);
/** Write recordings. 0 or -errno. */
int sim_phone_save(struct sim_phone *p);
json_t *sim_phone_report(const struct sim_phone *p);

#endif
