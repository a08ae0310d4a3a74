/* SPDX-License-Identifier: BSD-3-Clause */
/* Phones of call_fix.h that talk, and the call detail records of what they did. */
#ifndef TESTS_TALK_H
#define TESTS_TALK_H

#include "call_fix.h"
#include "store/cdrrec.h"

static inline void key(struct cp_phone *p, uint32_t event, uint32_t ref) { cp_calls_phone_ops.softkey(w.calls, p, event, 1, ref); }

static inline struct cp_call *call_of(const struct cp_phone *p)
{
	struct agent *a = agent_find(w.calls, p->name, false);

	return a != NULL && agent_active(a) != NULL ? agent_active(a)->call : NULL;
}

/* 'to' answers 'from', who has called it; media is confirmed on both sides. */
static inline void answers(struct cp_phone *to, struct cp_phone *from, uint32_t ref)
{
	key(to, CP_SCCP_KEY_ANSWER, ref);
	UNTIL(from->smt == 1 && to->smt == 1);
	ack_media(from);
	ack_media(to);
	rest();
}

/* 'from' calls 'to', who answers. */
static inline uint32_t talk(struct cp_phone *from, struct cp_phone *to)
{
	uint32_t ref;

	from->smt = to->smt = 0;
	cp_calls_phone_ops.enbloc(w.calls, from, to->number, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(call_of(from));
	ref = call_of(from)->ref;
	CU_ASSERT_EQUAL_FATAL(call_of(from)->state, CALL_ALERTING);
	answers(to, from, ref);
	CU_ASSERT_EQUAL_FATAL(call_of(from)->state, CALL_CONNECTED);
	return ref;
}

static inline void same_key_never(const struct cp_phone_media *a, const struct cp_phone_media *b)
{
	CU_ASSERT_NOT_EQUAL(memcmp(a->key, b->key, sizeof(a->key)), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(a->salt, b->salt, sizeof(a->salt)), 0);
}

static inline const struct dp_leg_set *last_leg(uint32_t leg_id)
{
	const struct dp_leg_set *found = NULL;

	for (unsigned i = 0; i < w.fake.n; i++)
		if (w.fake.log[i].hdr.type == DP_MSG_LEG_SET && w.fake.log[i].leg.leg_id == leg_id)
			found = &w.fake.log[i].leg;
	return found;
}

#define CDRS 32
struct cdr_list {
	unsigned n;
	struct cp_cdr r[CDRS];
};

static inline bool cdr_one(void *ctx, const uint8_t *k, size_t key_len, const uint8_t *val, size_t len)
{
	struct cdr_list *l = ctx;

	(void)k;
	CU_ASSERT_EQUAL(key_len, CP_CDR_KEY_LEN);
	if (l->n < CDRS)
		CU_ASSERT_EQUAL_FATAL(cp_cdr_parse(val, len, &l->r[l->n]), 0);
	l->n++;
	return true;
}

/* All of them, oldest first, once nothing is on its way. */
static inline struct cdr_list *cdrs(void)
{
	static struct cdr_list l;

	rest();
	memset(&l, 0, sizeof(l));
	CU_ASSERT_EQUAL(cp_store_scan(w.store, CP_CF_CDR, NULL, 0, cdr_one, &l), 0);
	return &l;
}

#endif
