/* SPDX-License-Identifier: BSD-3-Clause */
#include "health.h"

#include <stddef.h>

static bool open_it(struct cp_health *h, int64_t now_ms)
{
	bool was = h->state != CP_HEALTH_CLOSED;
	bool again = was || (h->wait_ms != 0 && now_ms - h->closed_ms < CP_HEALTH_CALM_MS);
	uint32_t wait = again ? 2 * h->wait_ms : CP_HEALTH_FIRST_MS;

	h->wait_ms = wait > CP_HEALTH_MOST_MS ? CP_HEALTH_MOST_MS : wait;
	h->state = CP_HEALTH_OPEN;
	h->since_ms = now_ms;
	h->failures = 0;
	h->opened += !was;
	return !was;
}

bool cp_health_failed(struct cp_health *h, bool dead, int64_t now_ms)
{
	if (h->state == CP_HEALTH_OPEN)
		return false; /* of a command from before */
	if (dead || h->state == CP_HEALTH_HALF)
		return open_it(h, now_ms);
	if (h->failures == 0 || now_ms - h->since_ms > CP_HEALTH_WINDOW_MS) {
		h->failures = 0;
		h->since_ms = now_ms;
	}
	if (++h->failures < CP_HEALTH_FAILURES)
		return false;
	return open_it(h, now_ms);
}

void cp_health_worked(struct cp_health *h)
{
	h->failures = 0;
}

bool cp_health_answered(struct cp_health *h, int64_t now_ms)
{
	if (h->state == CP_HEALTH_CLOSED)
		return false;
	h->state = CP_HEALTH_CLOSED;
	h->failures = 0;
	h->closed_ms = now_ms;
	return true;
}

bool cp_health_probe(struct cp_health *h, int64_t now_ms)
{
	if (h->state != CP_HEALTH_OPEN || now_ms - h->since_ms < h->wait_ms)
		return false;
	h->state = CP_HEALTH_HALF;
	return true;
}

const char *cp_health_name(const struct cp_health *h)
{
	static const char *const names[] = {"closed", "open", "half-open"};

	return names[h->state];
}
