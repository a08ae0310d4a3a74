/* SPDX-License-Identifier: BSD-3-Clause */
#include "pace.h"

#include <stddef.h>

#define AIR_MIN      16
#define SILENT_EVERY 8 /* of so many turns one is the last lane's, however full the others are */

void cp_pace_init(struct cp_pace *p, uint32_t rate)
{
	*p = (struct cp_pace){.rate = rate};
	for (unsigned i = 0; i < CP_PACE_LANES; i++)
		TAILQ_INIT(&p->lane[i]);
	TAILQ_INIT(&p->air);
}

void cp_pace_wait(struct cp_pace *p, struct cp_pace_member *m, enum cp_pace_lane lane)
{
	if (m->waits)
		return;
	m->waits = true;
	m->lane = (uint8_t)lane;
	TAILQ_INSERT_TAIL(&p->lane[lane], m, wait);
}

void cp_pace_answered(struct cp_pace *p, struct cp_pace_member *m)
{
	if (!m->out)
		return;
	m->out = false;
	p->air_cnt--;
	TAILQ_REMOVE(&p->air, m, air);
}

void cp_pace_leave(struct cp_pace *p, struct cp_pace_member *m)
{
	if (m->waits)
		TAILQ_REMOVE(&p->lane[m->lane], m, wait);
	m->waits = false;
	cp_pace_answered(p, m);
}

/* So many may be out: a quarter of a second's. */
static uint32_t air_max(const struct cp_pace *p)
{
	return p->rate / 4 > AIR_MIN ? p->rate / 4 : AIR_MIN;
}

static int64_t gap(const struct cp_pace *p)
{
	return p->rate < 1000000 ? 1000000 / p->rate : 1;
}

struct cp_pace_member *cp_pace_next(struct cp_pace *p, int64_t now_us, int64_t *ret_us)
{
	struct cp_pace_member *m = NULL;

	*ret_us = -1;
	while ((m = TAILQ_FIRST(&p->air)) != NULL && now_us - m->asked_us >= CP_PACE_AIR_US)
		cp_pace_answered(p, m);
	m = p->turn % SILENT_EVERY == SILENT_EVERY - 1 ? TAILQ_FIRST(&p->lane[CP_PACE_SILENT]) : NULL;
	for (unsigned i = 0; m == NULL && i < CP_PACE_LANES; i++)
		m = TAILQ_FIRST(&p->lane[i]);
	if (m == NULL)
		return NULL;
	if (p->next_us > now_us)
		*ret_us = p->next_us - now_us;
	else if (p->air_cnt >= air_max(p))
		*ret_us = TAILQ_FIRST(&p->air)->asked_us + CP_PACE_AIR_US - now_us;
	else {
		TAILQ_REMOVE(&p->lane[m->lane], m, wait);
		m->waits = false;
		return m;
	}
	return NULL;
}

void cp_pace_asked(struct cp_pace *p, struct cp_pace_member *m, int64_t now_us)
{
	cp_pace_answered(p, m); /* the one before is forgotten */
	if (p->next_us < now_us - (CP_PACE_BURST - 1) * gap(p))
		p->next_us = now_us - (CP_PACE_BURST - 1) * gap(p);
	p->next_us += gap(p);
	p->turn++;
	m->out = true;
	m->asked_us = now_us;
	p->air_cnt++;
	TAILQ_INSERT_TAIL(&p->air, m, air);
}
