/* SPDX-License-Identifier: BSD-3-Clause */
#include "loopwatch.h"

#include <event2/event.h>
#include <stdlib.h>

#include "clock.h"
#include "log.h"

#define LOG_US    250000 /* a stall that is worth a line */
#define MINUTE_US 60000000

struct cp_loopwatch {
	struct event *ev;
	uint64_t due_us;
	struct cp_loopwatch_stats st;
	uint64_t now_us, before_us; /* longest of this minute and of the one before */
	uint64_t minute_ends_us;
};

static void arm(struct cp_loopwatch *w)
{
	struct timeval tv = {0, CP_LOOPWATCH_MS * 1000};

	w->due_us = cp_mono_us() + CP_LOOPWATCH_MS * 1000;
	evtimer_add(w->ev, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct cp_loopwatch *w = ctx;
	uint64_t now = cp_mono_us(), late = now > w->due_us ? now - w->due_us : 0;

	(void)fd;
	(void)what;
	if (now >= w->minute_ends_us) {
		w->before_us = now >= w->minute_ends_us + MINUTE_US ? 0 : w->now_us;
		w->now_us = 0;
		w->minute_ends_us = now + MINUTE_US;
	}
	if (late > w->now_us)
		w->now_us = late;
	if (late > w->st.longest_us)
		w->st.longest_us = late;
	w->st.stalls += late > CP_LOOPWATCH_STALL_US;
	if (late > LOG_US)
		cfg_log_limited(CFG_LOG_WARN, "loop-held-up", "ms=%llu", (unsigned long long)late / 1000);
	arm(w);
}

struct cp_loopwatch *cp_loopwatch_create(struct event_base *base)
{
	struct cp_loopwatch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->ev = evtimer_new(base, on_timer, w);
	if (w->ev == NULL) {
		free(w);
		return NULL;
	}
	w->minute_ends_us = cp_mono_us() + MINUTE_US;
	arm(w);
	return w;
}

void cp_loopwatch_destroy(struct cp_loopwatch *w)
{
	if (w == NULL)
		return;
	event_free(w->ev);
	free(w);
}

void cp_loopwatch_stats(const struct cp_loopwatch *w, struct cp_loopwatch_stats *ret)
{
	*ret = w->st;
	ret->minute_us = w->now_us > w->before_us ? w->now_us : w->before_us;
}
