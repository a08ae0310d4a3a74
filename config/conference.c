/* SPDX-License-Identifier: BSD-3-Clause */
/* The section "conference": who may add, when conferences end, the numbers by which some are dialled. */
#include <stdio.h>

#include "raw.h"
#include "values.h"

static const char *const drops[] = {"controller", "onnet", "never", NULL};
static const char *const adders[] = {"controller", "anyone", NULL};
static const char *const levels[] = {"none", "authenticated", "encrypted", NULL};

static bool overlap(const struct cfg_range *a, const struct cfg_range *b)
{
	return a->digits == b->digits && a->first <= b->last && b->first <= a->last;
}

static void do_meetme(struct cfg_ctx *c, struct cfg_conference *p, unsigned i, const struct raw_meetme *r)
{
	struct cfg_meetme *m = &p->meetme[i];
	char path[60];

	snprintf(path, sizeof(path), "conference.meetme[%u].numbers", i);
	cfg_range(c, path, r->numbers, 1000000, &m->numbers);
	for (unsigned k = 0; c->rc == 0 && k < i; k++)
		if (overlap(&m->numbers, &p->meetme[k].numbers))
			cfg_bad(c, path, "%s overlaps conference.meetme[%u]", r->numbers, k);
	snprintf(path, sizeof(path), "conference.meetme[%u].security", i);
	m->security = (uint8_t)cfg_word(c, path, r->security, CFG_LEVEL_NONE, levels);
}

void cfg_do_conference(struct cfg_ctx *c, struct cfg *cfg, const struct raw_conference *r)
{
	struct cfg_conference *p = &cfg->conference;

	WORD(conference, drop, CFG_DROP_ONNET, drops);
	WORD(conference, add, CFG_ADD_CONTROLLER, adders);
	WORD(conference, security, CFG_LEVEL_NONE, levels);
	p->meetme = cfg_array(c, r->meetme_count, sizeof(*p->meetme));
	for (unsigned i = 0; c->rc == 0 && i < r->meetme_count; i++) {
		p->meetme_count = i + 1;
		do_meetme(c, p, i, &r->meetme[i]);
	}
}
