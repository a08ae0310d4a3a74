/* SPDX-License-Identifier: BSD-3-Clause */
#include "inbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct cp_wait {
	struct cp_inbox *in;
	struct cp_wait *next;
	void *owner; /* NULL: cancelled; the asking thread's */
	struct cp_file *file;
	int rc;
	bool answered; /* under the inbox's lock */
	bool asking;   /* cp_inbox_ask() has not returned: answers stay with it */
};

struct cp_inbox {
	pthread_mutex_t lock;
	struct cp_wait *first, **last;
	unsigned refs; /* the thread, and each question under way */
	bool closed;
	int fd;
};

struct cp_inbox *cp_inbox_create(void)
{
	struct cp_inbox *in = calloc(1, sizeof(*in));

	if (in == NULL)
		return NULL;
	in->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (in->fd < 0) {
		free(in);
		return NULL;
	}
	pthread_mutex_init(&in->lock, NULL);
	in->last = &in->first;
	in->refs = 1;
	return in;
}

int cp_inbox_fd(const struct cp_inbox *in)
{
	return in->fd;
}

static void put_locked(struct cp_inbox *in) /* unlocks */
{
	bool gone = --in->refs == 0;

	pthread_mutex_unlock(&in->lock);
	if (gone) {
		close(in->fd);
		pthread_mutex_destroy(&in->lock);
		free(in);
	}
}

void cp_inbox_close(struct cp_inbox *in)
{
	struct cp_wait *w;

	if (in == NULL)
		return;
	pthread_mutex_lock(&in->lock);
	in->closed = true;
	while ((w = in->first) != NULL) {
		in->first = w->next;
		in->refs--; /* never the last one: the thread's is still held */
		cp_file_put(w->file);
		free(w);
	}
	put_locked(in);
}

static void answer(void *ctx, int rc, struct cp_file *file)
{
	struct cp_wait *w = ctx;
	struct cp_inbox *in = w->in;
	uint64_t one = 1;

	pthread_mutex_lock(&in->lock);
	w->rc = rc;
	w->file = file;
	w->answered = true;
	if (w->asking) {
		pthread_mutex_unlock(&in->lock);
		return;
	}
	if (in->closed) {
		free(w);
		put_locked(in);
		cp_file_put(file);
		return;
	}
	w->next = NULL;
	*in->last = w;
	in->last = &w->next;
	/* Under the lock, so that the descriptor is still this inbox's; it never blocks. */
	if (write(in->fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort(); /* an eventfd of our own */
	pthread_mutex_unlock(&in->lock);
}

int cp_inbox_ask(struct cp_inbox *in, const struct cp_file_source *source, const struct cp_file_ask *ask, void *owner,
		 struct cp_file **ret_file, struct cp_wait **ret_wait)
{
	struct cp_wait *w = calloc(1, sizeof(*w));
	struct cp_file *file = NULL;
	bool answered;
	int rc;

	if (w == NULL)
		return -ENOMEM;
	w->in = in;
	w->owner = owner;
	w->asking = true;
	pthread_mutex_lock(&in->lock);
	in->refs++;
	pthread_mutex_unlock(&in->lock);
	rc = source->get(source->ctx, ask, &file, answer, w);
	pthread_mutex_lock(&in->lock);
	answered = w->answered;
	w->asking = false;
	if (rc == -EINPROGRESS && !answered) {
		pthread_mutex_unlock(&in->lock);
		*ret_wait = w;
		return rc;
	}
	put_locked(in); /* the thread holds another */
	if (answered) { /* from inside get(), or so fast: as if it had been at hand */
		rc = w->rc;
		file = w->file;
	}
	free(w);
	if (rc == 0)
		*ret_file = file;
	return rc;
}

void cp_inbox_cancel(struct cp_wait *wait)
{
	wait->owner = NULL;
}

void cp_inbox_drain(struct cp_inbox *in, void (*fn)(void *ctx, void *owner, int rc, struct cp_file *file), void *ctx)
{
	struct cp_wait *w, *next;
	uint64_t n;

	if (read(in->fd, &n, sizeof(n)) < 0)
		n = 0; /* nothing: others may have been taken with the last wake-up */
	pthread_mutex_lock(&in->lock);
	w = in->first;
	in->first = NULL;
	in->last = &in->first;
	for (struct cp_wait *i = w; i != NULL; i = i->next)
		in->refs--;
	pthread_mutex_unlock(&in->lock);
	for (; w != NULL; w = next) {
		next = w->next;
		if (w->owner != NULL)
			fn(ctx, w->owner, w->rc, w->file);
		else
			cp_file_put(w->file);
		free(w);
	}
}
