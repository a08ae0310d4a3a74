/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who has a file whole. Trust lists are told of when the client has acknowledged every byte: what lies in the socket's buffer when
 * a phone loses its power would be taken for a list that it holds, and the next change could strand it.
 */
#include <linux/sockios.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "httpint.h"

void cp_conn_http_tell(struct conn *c, bool last)
{
	const struct cp_file_source *source = &c->t->http->o.source;
	struct told *i;
	int waits = 0;
	bool has = ioctl(c->fd, SIOCOUTQ, &waits) == 0 && waits == 0;

	while ((has || last) && (i = c->told) != NULL) {
		c->told = i->next;
		if (has)
			source->fetched(source->ctx, &i->ask, i->file);
		cp_file_put(i->file);
		free(i);
	}
}

void cp_conn_http_sent(struct conn *c)
{
	const struct cp_file_source *source = &c->t->http->o.source;
	struct told *new, **end = &c->told;

	if (c->file->kind != CP_FILE_CTL && c->file->kind != CP_FILE_ITL) {
		source->fetched(source->ctx, &c->ask, c->file);
		return;
	}
	new = malloc(sizeof(*new));
	if (new == NULL)
		return; /* the ledger knows less: a change waits for this phone longer than it must */
	*new = (struct told){NULL, cp_file_take(c->file), c->ask};
	while (*end != NULL)
		end = &(*end)->next;
	*end = new;
	cp_conn_http_tell(c, false);
}
