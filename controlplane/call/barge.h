/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who may barge into which call, what the one who may not hears, and what the call is afterwards. 001 section 1.10 with
 * 004a section 5.4; later phone guides print another table, which is not this one. Pure functions.
 */
#ifndef CP_BARGE_H
#define CP_BARGE_H

#include <stdbool.h>

#include "call/security.h"
#include "sccp/phone.h"

enum cp_barge_result {
	CP_BARGE_OK,
	CP_BARGE_BUSY,    /* refused with the busy tone, 0x23 (001:P1-123) */
	CP_BARGE_FAILURE, /* refused with the failure tone, 0x25 (001:P1-128) */
};

struct cp_barge_ask {
	enum cp_phone_sec barger; /* as it registered */
	enum cp_security call;    /* that it wants to join */
	bool target_old;          /* the phone whose bridge would be used is an encrypted 7940 or 7960 */
	bool shared;              /* cBarge: over a conference bridge, not over the target's own */
};

struct cp_barge {
	enum cp_barge_result result;
	enum cp_security call; /* afterwards; as before when it was refused */
	bool guest;            /* the barger takes no shield away: struct cp_party_security.guest */
};

struct cp_barge cp_barge_decide(const struct cp_barge_ask *ask);

/**
 * What an operator is told (a warning, the change is made) when encryption and the built-in bridge are both on for a 7940 or 7960,
 * when the cluster's security mode changes, or the bridge is switched on for all (001:P1-129, 004c:BG-02). NULL: nothing.
 */
const char *cp_barge_warning(bool old_phones, bool encrypted, bool bridge);

#endif
