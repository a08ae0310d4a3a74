/* SPDX-License-Identifier: BSD-3-Clause */
/* A world of call_fix.h with a conference bridge and four phones, which open the channels that they are told to. */
#ifndef TESTS_CONF_FIX_H
#define TESTS_CONF_FIX_H

#include "call/confint.h"
#include "call_fix.h"

static struct cp_phone pd;
static struct cp_phone *const all[] = {&pa, &pb, &pc, &pd};
static const struct cp_phone *deaf; /* opens no channel */

static inline void begin(const char *endpoint)
{
	world_of_three();
	phone_reset(&pd, "SEP000000000004", "10045");
	cp_calls_phone_ops.registered(w.calls, &pd);
	add_bridge(endpoint, 8, 4, 0);
	w.say[DP_MGCP_MDCX].sdp = true;
	rest();
	w.todo_cnt = w.todo_done = 0;
}

static inline void key(struct cp_phone *p, uint32_t event, uint32_t ref) { cp_calls_phone_ops.softkey(w.calls, p, event, 1, ref); }

static inline struct party *place_of(const struct cp_phone *p)
{
	struct agent *a = agent_find(w.calls, p->name, false);

	return a != NULL ? agent_active(a) : NULL;
}

/* Phones open the channels that they are told to. */
static inline void live(void)
{
	struct cfg_addr at = v4;

	at.port = 20000;
	for (unsigned i = 0; i < 4; i++) {
		struct agent *a = agent_find(w.calls, all[i]->name, false);

		for (struct party *q = a != NULL && a->phone != NULL && all[i] != deaf ? a->parties : NULL; q != NULL; q = q->ag_next) {
			if (!q->media_on || q->ready || q->call->pending > 0)
				continue;
			cp_calls_phone_ops.orc_ack(w.calls, all[i], 0, &at, q->ref << 1 | q->stream, q->ref);
			break; /* the list may be another one now */
		}
	}
	spin();
}

#define LIVE_UNTIL(cond) STEP_UNTIL(cond, live())

static inline void calm(void)
{
	for (int i = 0; i < 40; i++)
		live();
	rest();
}

static inline bool talks(const struct cp_phone *p)
{
	const struct party *q = place_of(p);

	return q != NULL && q->call->state == CALL_CONNECTED && q->ready && !q->resuming;
}

static inline uint32_t talk(struct cp_phone *from, struct cp_phone *to)
{
	uint32_t ref;

	cp_calls_phone_ops.enbloc(w.calls, from, to->number, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(place_of(from));
	ref = place_of(from)->ref;
	key(to, CP_SCCP_KEY_ANSWER, ref);
	LIVE_UNTIL(talks(from) && talks(to));
	calm();
	return ref;
}

static inline struct conf *conf_of(const struct cp_phone *p)
{
	const struct party *q = place_of(p);

	return q != NULL ? call_conf(q->call) : NULL;
}

/* Connected ports of the one conference that there is. */
static inline unsigned members(void)
{
	unsigned n = 0;

	for (const struct party *p = w.calls->confs != NULL ? w.calls->confs->ports : NULL; p != NULL; p = p->cf_next)
		n += p->call->state == CALL_CONNECTED;
	return n;
}

/* 'from' asks 'third' in beside whom it talks to: press, number, answer, press. */
static inline uint32_t ask_in(struct cp_phone *from, struct cp_phone *third)
{
	key(from, CP_SCCP_KEY_CONFRN, place_of(from)->ref);
	CU_ASSERT_PTR_NOT_NULL_FATAL(place_of(from));
	CU_ASSERT_EQUAL_FATAL(place_of(from)->call->state, CALL_DIALING);
	talk(from, third);
	return place_of(from)->ref;
}

/* a talks to b, asks c in: three in a conference. */
static inline void three(void)
{
	uint32_t ref;

	talk(&pa, &pb);
	ref = ask_in(&pa, &pc);
	key(&pa, CP_SCCP_KEY_CONFRN, ref);
	LIVE_UNTIL(members() == 3 && talks(&pa) && talks(&pb) && talks(&pc));
	calm();
}

static inline void end_all_calls(void)
{
	for (unsigned i = 0; i < 4; i++) {
		struct agent *a;

		while ((a = agent_find(w.calls, all[i]->name, false)) != NULL && a->parties != NULL)
			call_end(a->parties->call, "the test is over");
	}
	rest();
	CU_ASSERT_PTR_NULL(w.calls->confs);
	CU_ASSERT_EQUAL(bridge_conns(), 0);
}

#endif
