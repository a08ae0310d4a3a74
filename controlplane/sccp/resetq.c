/* SPDX-License-Identifier: BSD-3-Clause */
/* Phones that are to be told to reset or restart, so many a second: a cluster that all comes back at once would keep itself out. */
#include "log.h"
#include "session.h"

#define SECOND_MS 1000

void cp_resetq_del(struct cp_sccp *s, struct cp_phone *p)
{
	if (p->reset_due == 0)
		return;
	TAILQ_REMOVE(&s->due, p, due);
	p->reset_due = 0;
	s->due_cnt--;
	if (s->due_cnt == 0)
		s->due_rate = s->o.reset_rate; /* another rate was of those who asked for it */
}

void cp_resetq_run(struct cp_sccp *s)
{
	uint64_t now = cp_sccp_now(s);
	struct cp_phone *p;

	if (now - s->due_ms >= SECOND_MS) {
		s->due_ms = now;
		s->due_sent = 0;
	}
	while (s->due_sent < s->due_rate && (p = TAILQ_FIRST(&s->due)) != NULL) {
		uint8_t type = p->reset_due;

		s->due_sent++;
		cp_resetq_del(s, p);
		if (cp_phone_reset(p, type) != 0)
			continue;
		if (type == CP_SCCP_RESET_RESET)
			s->stats.resets++;
		else
			s->stats.restarts++;
		cfg_log(CFG_LOG_INFO, "phone-told-to-reset", "device=%s type=%u waiting=%u", cfg_q(p->name), type, s->due_cnt);
	}
}

static void queue(struct cp_sccp *s, struct cp_phone *p, uint8_t type)
{
	if (p->reset_due == 0) {
		TAILQ_INSERT_TAIL(&s->due, p, due);
		s->due_cnt++;
		p->reset_due = type;
	} else if (type < p->reset_due) {
		p->reset_due = type;
	}
}

void cp_resetq_add(struct cp_sccp *s, struct cp_phone *p, uint8_t type)
{
	queue(s, p, type);
	cp_resetq_run(s);
}

unsigned cp_sccp_reset(struct cp_sccp *s, uint8_t type, bool (*fits)(void *ctx, const struct cp_device *dev), void *ctx, unsigned per_second)
{
	struct cp_phone *p;
	unsigned n = 0;

	TAILQ_FOREACH (p, &s->lru, lru) {
		const struct cp_device *dev = fits != NULL ? cp_phone_device(p) : NULL;

		if (fits != NULL && (dev == NULL || !fits(ctx, dev)))
			continue;
		queue(s, p, type);
		n++;
	}
	if (n > 0 && per_second > 0)
		s->due_rate = per_second;
	cp_resetq_run(s);
	return n;
}

bool cp_sccp_reset_one(struct cp_sccp *s, const char *name, uint8_t type)
{
	struct cp_phone *p = cp_sccp_find(s, name);

	if (p != NULL)
		cp_resetq_add(s, p, type);
	return p != NULL;
}

unsigned cp_sccp_resets_waiting(const struct cp_sccp *s)
{
	return s->due_cnt;
}
