/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Letters from threads to one event loop, in order. The writer owns the memory until it is put, the reader from when it is taken. A
 * descriptor is readable while letters wait. Urgent letters are taken before the others, each kind in its order; but one of
 * the others after each CP_MBOX_ROW urgent ones, so that one writer who has much to say of urgency does not keep all others waiting.
 */
#ifndef CP_NET_MBOX_H
#define CP_NET_MBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

#define CP_MBOX_ROW 16

struct cp_letter {
	STAILQ_ENTRY(cp_letter) link;
};

STAILQ_HEAD(cp_letters, cp_letter);

struct cp_mbox {
	pthread_mutex_t lock; /* of come */
	struct cp_letters come[2]; /* [1]: urgent */
	struct cp_letters taken[2]; /* the reader's */
	unsigned row; /* the reader's: urgent ones taken since one of the others was */
	int fd;
};

int cp_mbox_init(struct cp_mbox *box); /* 0 or a negative errno */
/** Letters in it are lost. Not initialised (fd -1): nothing. */
void cp_mbox_fini(struct cp_mbox *box);

/** Any thread. */
void cp_mbox_put(struct cp_mbox *box, struct cp_letter *letter, bool urgent);
/** The reader, when the descriptor is readable: what has come can be taken. */
void cp_mbox_collect(struct cp_mbox *box);
/** The next of what was collected, or NULL. The reader. */
struct cp_letter *cp_mbox_take(struct cp_mbox *box);
/** Letters were collected and are not taken yet. The reader. */
bool cp_mbox_left(const struct cp_mbox *box);
/** The descriptor is readable again, though nothing has come: who leaves letters is woken for them. The reader. */
void cp_mbox_again(struct cp_mbox *box);

#endif
