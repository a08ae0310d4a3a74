/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Phones that are to be told to reset or restart, so many a second: a cluster that all comes back at once would keep itself out. Who waits is
 * in the store, too (resetkeep.h), until it has been told or has left.
 */
#include "log.h"
#include "session.h"

#define SECOND_MS 1000

static void keep(const struct cp_sccp *s, const char *name, uint8_t type)
{
	if (s->o.reset_keep != NULL)
		s->o.reset_keep(s->o.reset_ctx, name, type, s->due_rate != s->o.reset_rate ? s->due_rate : 0);
}

void cp_resetq_del(struct cp_sccp *s, struct cp_phone *p)
{
	if (p->reset_due == 0)
		return;
	TAILQ_REMOVE(&s->due, p, due);
	p->reset_due = 0;
	s->due_cnt--;
	keep(s, p->name, 0);
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

/* 'kept': this wish is in the store already. */
static void queue(struct cp_sccp *s, struct cp_phone *p, uint8_t type, bool kept)
{
	if (p->reset_due == 0) {
		TAILQ_INSERT_TAIL(&s->due, p, due);
		s->due_cnt++;
		p->reset_due = type;
		if (!kept)
			keep(s, p->name, type);
	} else if (type < p->reset_due) {
		p->reset_due = type;
		if (!kept)
			keep(s, p->name, type);
	} else if (kept && type > p->reset_due) { /* the heavier one counts, there too */
		keep(s, p->name, p->reset_due);
	}
}

void cp_resetq_add(struct cp_sccp *s, struct cp_phone *p, uint8_t type)
{
	queue(s, p, type, false);
	cp_resetq_run(s);
}

void cp_resetq_back(struct cp_sccp *s, struct cp_phone *p)
{
	unsigned per_second = 0;
	uint8_t type = 0;

	if (s->o.reset_left == NULL || !s->o.reset_left(s->o.reset_ctx, p->name, &type, &per_second))
		return;
	queue(s, p, type, true);
	if (per_second > 0)
		s->due_rate = per_second;
	cp_resetq_run(s);
}

void cp_sccp_each(const struct cp_sccp *s, bool (*fits)(void *ctx, const struct cp_device *dev), void *ctx,
		  void (*fn)(void *fn_ctx, const char *name), void *fn_ctx)
{
	struct cp_phone *p;

	TAILQ_FOREACH (p, &s->all, all) {
		const struct cp_device *dev = fits != NULL ? cp_phone_device(p) : NULL;

		if (fits == NULL || (dev != NULL && fits(ctx, dev)))
			fn(fn_ctx, p->name);
	}
}

unsigned cp_sccp_reset(struct cp_sccp *s, uint8_t type, const char (*names)[CP_DEVICE_NAME_MAX], size_t cnt, unsigned per_second)
{
	unsigned n = 0;

	for (size_t i = 0; i < cnt; i++) {
		struct cp_phone *p = cp_sccp_find(s, names[i]);

		if (p == NULL) {
			keep(s, names[i], 0);
			continue;
		}
		queue(s, p, type, true);
		n++;
	}
	if (n > 0 && per_second > 0)
		s->due_rate = per_second;
	cp_resetq_run(s);
	return n;
}

unsigned cp_sccp_resets_waiting(const struct cp_sccp *s)
{
	return s->due_cnt;
}
