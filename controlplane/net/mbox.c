/* SPDX-License-Identifier: BSD-3-Clause */
#include "mbox.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

int cp_mbox_init(struct cp_mbox *box)
{
	for (int i = 0; i < 2; i++) {
		STAILQ_INIT(&box->come[i]);
		STAILQ_INIT(&box->taken[i]);
	}
	box->row = 0;
	box->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (box->fd < 0)
		return -errno;
	pthread_mutex_init(&box->lock, NULL);
	return 0;
}

void cp_mbox_fini(struct cp_mbox *box)
{
	if (box->fd < 0)
		return;
	close(box->fd);
	box->fd = -1;
	pthread_mutex_destroy(&box->lock);
}

void cp_mbox_again(struct cp_mbox *box)
{
	const uint64_t one = 1;

	if (write(box->fd, &one, sizeof(one)) < 0)
		abort(); /* an eventfd of our own: the letters would never be read */
}

void cp_mbox_put(struct cp_mbox *box, struct cp_letter *letter, bool urgent)
{
	bool first;

	pthread_mutex_lock(&box->lock);
	first = STAILQ_EMPTY(&box->come[0]) && STAILQ_EMPTY(&box->come[1]);
	STAILQ_INSERT_TAIL(&box->come[urgent], letter, link);
	pthread_mutex_unlock(&box->lock);
	/* Who finds letters there knows that the reader was told of them. */
	if (first)
		cp_mbox_again(box);
}

void cp_mbox_collect(struct cp_mbox *box)
{
	uint64_t n;

	if (read(box->fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		abort();
	pthread_mutex_lock(&box->lock);
	for (int i = 0; i < 2; i++)
		STAILQ_CONCAT(&box->taken[i], &box->come[i]);
	pthread_mutex_unlock(&box->lock);
}

struct cp_letter *cp_mbox_take(struct cp_mbox *box)
{
	bool turn = box->row >= CP_MBOX_ROW && !STAILQ_EMPTY(&box->taken[0]);
	struct cp_letters *from = STAILQ_EMPTY(&box->taken[1]) || turn ? &box->taken[0] : &box->taken[1];
	struct cp_letter *l = STAILQ_FIRST(from);

	box->row = from == &box->taken[0] ? 0 : box->row < CP_MBOX_ROW ? box->row + 1 : CP_MBOX_ROW;
	if (l != NULL)
		STAILQ_REMOVE_HEAD(from, link);
	return l;
}

bool cp_mbox_left(const struct cp_mbox *box)
{
	return !STAILQ_EMPTY(&box->taken[0]) || !STAILQ_EMPTY(&box->taken[1]);
}
