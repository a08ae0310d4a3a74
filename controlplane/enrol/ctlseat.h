/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Seats at the CTL provider: who is logged in, and what he entered there (004a:CTL-18: five at once). When all are taken, who
 * comes and has shown who he is gets that of whoever did nothing for longest, those first that keep nothing; never that of who holds
 * the lease, nor one whose request is being answered. A seat that ends takes its lease along. Event loop's thread.
 */
#ifndef CP_CTLSEAT_H
#define CP_CTLSEAT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/records.h"

#define CP_CTLPROV_EDITORS   5
#define CP_CTLPROV_SESSION_S 900 /* idle */
#define CP_SEAT_TOKEN_LEN    64  /* hex digits */

struct cp_ctlcmd;
struct cp_users;

struct cp_seat {
	char token[CP_SEAT_TOKEN_LEN + 1]; /* "": none yet, or of a client certificate */
	char name[CP_TEXT_MAX];            /* "": free */
	uint64_t id;                       /* never the same twice */
	int64_t seen_s;
	int64_t made_us; /* of the user's record: a password that was changed ends what the old one began */
	unsigned asks;   /* under way */
	json_t *data;    /* entered */
};

struct cp_seats { /* zero, but for what it stands on */
	struct cp_ctlcmd *cmd; /* whose lease it is; NULL: it is gone before us */
	struct cp_users *users;
	struct cp_seat seat[CP_CTLPROV_EDITORS];
	uint64_t last_id;
	uint64_t evicted; /* so far */
};

void cp_seat_end(struct cp_seats *seats, struct cp_seat *s);
/** Those that were idle for too long end. */
void cp_seats_age(struct cp_seats *seats);
unsigned cp_seats_taken(const struct cp_seats *seats);
/** In constant time for a token of the right length. NULL: nobody's. */
struct cp_seat *cp_seat_by_token(struct cp_seats *seats, const char *token);
struct cp_seat *cp_seat_by_id(struct cp_seats *seats, uint64_t id);
/** A name has one seat: what it entered at another place is there too. May end another's. NULL: all five are at work. */
struct cp_seat *cp_seat_of(struct cp_seats *seats, const char *name);
/** Draws a token if there is none. 0, -EIO. */
int cp_seat_token(struct cp_seat *s);
/** It does something now. */
void cp_seat_seen(struct cp_seat *s);

#endif
