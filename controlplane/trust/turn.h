/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who changes what phones trust: one after the other. A change of a certificate of ours, a job of the trust lists and a backup
 * each take some time on threads, and each is decided on what the others have left; so each takes its turn before it looks and
 * gives it back when what it made is in use. Those that wait are served in the order they came. Event loop's thread.
 */
#ifndef CP_TURN_H
#define CP_TURN_H

#include <stdbool.h>

struct cp_turn_wait { /* of one that takes turns; kept by it, zero at first, with 'go' and 'ctx' set */
	void (*go)(void *ctx);
	void *ctx;
	/* the turn's own */
	struct cp_turn_wait *next;
	bool has, waits;
};

struct cp_turn;

struct cp_turn *cp_turn_create(void); /* NULL: no memory */
/** Nobody waits any more. NULL is allowed. */
void cp_turn_destroy(struct cp_turn *turn);

/** True: it is yours, go on. False: 'go' is called once it is. Have it or wait for it already: that stays. NULL turn: always yours. */
bool cp_turn_take(struct cp_turn *turn, struct cp_turn_wait *w);

/** Give it back, or wait no longer; who had neither changes nothing. The next one's 'go' may be called from inside. */
void cp_turn_give(struct cp_turn *turn, struct cp_turn_wait *w);

#endif
