/* SPDX-License-Identifier: BSD-3-Clause */
#include "thread.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

int cp_thread_init(struct cp_thread *t)
{
	t->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return t->stop < 0 ? -errno : 0;
}

int cp_thread_start(struct cp_thread *t, void *(*loop)(void *arg), void *arg, const char *name)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = -pthread_create(&t->id, NULL, loop, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	t->running = rc == 0;
	if (t->running)
		pthread_setname_np(t->id, name);
	return rc;
}

void cp_thread_stop(struct cp_thread *t)
{
	uint64_t one = 1;

	if (!t->running)
		return;
	if (write(t->stop, &one, sizeof(one)) < 0)
		abort(); /* an eventfd of our own: it would never end */
	pthread_join(t->id, NULL);
	t->running = false;
}

void cp_thread_fini(struct cp_thread *t)
{
	if (t->stop >= 0)
		close(t->stop);
	t->stop = -1;
}
