/* SPDX-License-Identifier: BSD-3-Clause */
/* A serving thread: started with all signals blocked, which are the event loop's; ended by a descriptor that its loop waits for. */
#ifndef CP_THREAD_H
#define CP_THREAD_H

#include <pthread.h>
#include <stdbool.h>

struct cp_thread {
	pthread_t id;
	bool running;
	int stop; /* an eventfd: readable when the thread is to return; -1: none */
};

#define CP_THREAD_NONE ((struct cp_thread){.stop = -1})

/** Make the descriptor, for the loop to wait for. 0 or a negative errno. */
int cp_thread_init(struct cp_thread *t);
/** 0 or a negative errno. 'name': at most 15 characters. */
int cp_thread_start(struct cp_thread *t, void *(*loop)(void *arg), void *arg, const char *name);
/** Waits until it has returned, if it was started. The descriptor stays. */
void cp_thread_stop(struct cp_thread *t);
/** Closes the descriptor. */
void cp_thread_fini(struct cp_thread *t);

#endif
