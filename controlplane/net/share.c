/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The strangers' share of a loop with priorities. libevent runs a lower queue only after a look at the descriptors that finds nothing for
 * the higher ones: known connections that always want something, and one that floods is enough, would keep everyone else out for ever.
 * So a mark is put behind what strangers want. If it was not reached within a look's time, those strangers that have waited longest, and
 * have something to be read, go first from there on; so do those who wait to be accepted. That is a fifth of the loop's time at most, as
 * a handshake is a millisecond.
 */
#include <poll.h>

#include <event2/event.h>

#include "conn.h"

#define LOOK_MS 20
#define TURNS   4  /* strangers in a look */
#define ACCEPTS 16
#define CHUNK   64

static void on_mark(evutil_socket_t fd, short what, void *arg)
{
	struct cp_net *net = arg;

	(void)fd, (void)what;
	net->marked = false;
	(void)evtimer_del(net->look_ev);
}

/* Those of a chunk who have something to be read, 'turns' of them. How many. */
static unsigned give_turns(struct pollfd *fds, struct cp_conn **who, nfds_t n, unsigned turns)
{
	unsigned given = 0;

	if (n == 0 || poll(fds, n, 0) <= 0)
		return 0;
	for (nfds_t i = 0; i < n && given < turns; i++)
		if (fds[i].revents != 0) {
			cp_conn_raise(who[i]);
			given++;
		}
	return given;
}

static void help(struct cp_net *net)
{
	struct pollfd fds[CHUNK];
	struct cp_conn *who[CHUNK], *c;
	unsigned turns = TURNS;
	nfds_t n = 0;

	for (struct cp_listener *l = net->listeners; l != NULL; l = l->next)
		if (!net->paused)
			cp_net_accept(l, ACCEPTS);
	for (int i = CP_CONN_PREAUTH; i >= CP_CONN_HANDSHAKE; i--) /* who has got so far is first */
		TAILQ_FOREACH (c, &net->list[i], link) {
			if (c->raised)
				continue;
			fds[n] = (struct pollfd){.fd = c->fd, .events = POLLIN};
			who[n++] = c;
			if (n < CHUNK)
				continue;
			turns -= give_turns(fds, who, n, turns);
			n = 0;
			if (turns == 0)
				return;
		}
	give_turns(fds, who, n, turns);
}

static void look_later(struct cp_net *net)
{
	static const struct timeval later = {0, LOOK_MS * 1000};

	(void)evtimer_add(net->look_ev, &later); /* no memory: with the next tick */
}

void cp_net_share(struct cp_net *net)
{
	if (net->low < 0)
		return;
	if (!net->marked)
		event_active(net->mark_ev, EV_TIMEOUT, 1);
	net->marked = true;
	if (!evtimer_pending(net->look_ev, NULL))
		look_later(net);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	help(arg); /* the mark would have taken this timer away */
	look_later(arg);
}

int cp_net_share_init(struct cp_net *net)
{
	if (net->low < 0)
		return 0;
	net->mark_ev = event_new(net->base, -1, 0, on_mark, net);
	net->look_ev = evtimer_new(net->base, on_look, net);
	if (net->mark_ev == NULL || net->look_ev == NULL)
		return -1;
	cp_net_low(net, net->mark_ev);
	return 0;
}

void cp_net_share_fini(struct cp_net *net)
{
	if (net->mark_ev != NULL)
		event_free(net->mark_ev);
	if (net->look_ev != NULL)
		event_free(net->look_ev);
}
