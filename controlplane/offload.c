/* SPDX-License-Identifier: BSD-3-Clause */
#include "offload.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct task {
	struct cp_offload *off;
	void (*work)(void *job);
	void (*done)(void *job);
	void *job;
	pthread_t thread;
};

struct cp_offload {
	struct event *ev;
	int fd[2]; /* finished tasks, by pointer: writes of this size are whole (pipe(7)) */
	unsigned running;
};

static void *run(void *arg)
{
	struct task *t = arg;

	t->work(t->job);
	while (write(t->off->fd[1], &t, sizeof(t)) < 0 && errno == EINTR)
		;
	return NULL;
}

static int finish_one(struct cp_offload *off)
{
	struct task *t;
	ssize_t n = read(off->fd[0], &t, sizeof(t));

	if (n != (ssize_t)sizeof(t))
		return -1;
	pthread_join(t->thread, NULL);
	off->running--;
	t->done(t->job);
	free(t);
	return 0;
}

static void on_finished(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	finish_one(arg);
}

struct cp_offload *cp_offload_create(struct event_base *base)
{
	struct cp_offload *off = calloc(1, sizeof(*off));

	if (off == NULL)
		return NULL;
	if (pipe2(off->fd, O_CLOEXEC) < 0) {
		free(off);
		return NULL;
	}
	off->ev = event_new(base, off->fd[0], EV_READ | EV_PERSIST, on_finished, off);
	if (off->ev == NULL || event_add(off->ev, NULL) < 0) {
		cp_offload_destroy(off);
		return NULL;
	}
	return off;
}

void cp_offload_destroy(struct cp_offload *off)
{
	if (off == NULL)
		return;
	while (off->running > 0 && finish_one(off) == 0)
		;
	if (off->ev != NULL)
		event_free(off->ev);
	close(off->fd[0]);
	close(off->fd[1]);
	free(off);
}

int cp_offload_run(struct cp_offload *off, void (*work)(void *job), void (*done)(void *job), void *job)
{
	struct task *t;
	int rc;

	if (off == NULL || off->running == CP_OFFLOAD_MAX)
		return -EAGAIN;
	t = malloc(sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	*t = (struct task){.off = off, .work = work, .done = done, .job = job};
	off->running++;
	rc = pthread_create(&t->thread, NULL, run, t);
	if (rc != 0) {
		off->running--;
		free(t);
		return -rc;
	}
	return 0;
}
