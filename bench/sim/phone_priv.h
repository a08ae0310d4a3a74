/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of a phone: phone.c has connection and registration, call.c calls and media. */
#ifndef SIM_PHONE_PRIV_H
#define SIM_PHONE_PRIV_H

#include "phone.h"
#include "sccp.h"

#define SIM_STATES_MAX 64 /* call states and security levels kept for the report */

struct sim_call {
	bool active, offhook, connected, ended, hangup_wanted, onhook_sent;
	bool rx_open, tx_open;
	bool clear; /* a channel had no key */
	uint32_t line, callref, state, security, conference, party, type;
	char calling[48], called[48], dialed[48];
	uint32_t states[SIM_STATES_MAX], state_cnt;
	uint32_t securities[SIM_STATES_MAX], security_cnt;
	uint32_t calls;             /* on this phone so far */
	uint32_t media_errors;      /* channels refused: keys or codecs we cannot do */
	char media_error[96];
	char record[512], played[512];
	struct sim_media *media;
	const char *digits;         /* still to be dialled */
	uint32_t last_stats[7];
	json_t *history;            /* reports of finished calls */
	struct event *digit_timer, *answer_timer, *end_timer;
};

struct sim_phone {
	const struct sim_phone_opts *opts;
	const struct sim_phone_ops *ops;
	void *ctx;
	char name[17];
	unsigned int index;
	X509 *cert;
	EVP_PKEY *key;
	struct sim_addr source;
	struct sim_conn *conn;
	enum sim_phone_state state;
	uint8_t *in;                /* the beginning of a frame that is not whole yet */
	size_t in_len, in_room;
	uint32_t version;           /* header version to send */
	uint8_t protocol;           /* negotiated */
	uint32_t keepalive_s, line_cnt;
	uint32_t waiting;           /* bit i: answer i of start-up is missing */
	bool ready;
	uint64_t start_us, keepalive_us, away_us; /* away_us: since when there is no server, 0: there is */
	struct event *keepalive_timer, *retry_timer;
	uint64_t registrations, losses, keepalives, keepalive_acks, unknown, bad_frames, resets;
	double register_ms;
	char cipher[96], last_error[160], number[32];
	struct sim_call call;
};

void sim_phone_send(struct sim_phone *p, const uint8_t *frame, size_t len);
void sim_phone_words(struct sim_phone *p, uint32_t id, const uint32_t *words, size_t n);

/* call.c */
int sim_call_init(struct sim_phone *p);
void sim_call_fini(struct sim_phone *p);
/** A message that concerns calls or media; false: it does not. */
bool sim_call_message(struct sim_phone *p, const struct sim_sccp_msg *m);
/** The connection is gone: what is not known to have arrived will be said again. */
void sim_call_lost(struct sim_phone *p);
/** Registered (again): go on with what waited. */
void sim_call_resume(struct sim_phone *p);
/** The phone gives up: close media, end the call. */
void sim_call_drop(struct sim_phone *p);
json_t *sim_call_report(const struct sim_phone *p);

#endif
