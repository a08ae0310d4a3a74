/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random events at 50 phones, two gateway endpoints and the dataplane, against what must hold whatever happens: nothing crashes, no
 * leg, port, key or record is left over, a phone is active in one call at most, no key is ever given out twice, and no phone is
 * shown more than the model allows, which knows nothing of calls but who can do what. 001:P1-104, P1-119; 000:P0-18, P0-20.
 *   RAVELIN_FULL: 10^6 steps instead of 15,000; RAVELIN_SEED: another run.
 */
#include "talk.h"

#include <stdint.h>

#define PHONES 50
#define LINE(i) ((i) < 30 ? (i) : (i) / 4 * 4) /* the later ones share lines, four by four */

static struct cp_phone ph[PHONES + 2];
static bool registered[PHONES];
static unsigned kind[PHONES]; /* 0 encrypted, 1 authenticated, 2 non-secure, 3 encrypted but of a type that is not trusted */
static uint64_t rng;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 16) % n;
}

/* --- every key that a phone was told, ever --- */

#define SEEN_MAX (1u << 21)
static uint64_t *seen;
static unsigned seen_cnt, twice;

static void note_key(struct cp_phone *p, const struct cp_phone_media *m, bool receive)
{
	uint64_t h;
	uint32_t i;

	(void)p;
	(void)receive;
	if (m->suite == DP_SRTP_NONE)
		return;
	memcpy(&h, m->key, sizeof(h));
	h |= 1;
	for (i = (uint32_t)(h * UINT64_C(0x9e3779b97f4a7c15) >> 43) % SEEN_MAX; seen[i] != 0; i = (i + 1) % SEEN_MAX) {
		if (seen[i] == h) {
			twice++;
			return;
		}
	}
	if (seen_cnt++ < SEEN_MAX / 2)
		seen[i] = h;
}

/* --- the model --- */

static int index_of(const char *name)
{
	unsigned n;

	return sscanf(name, "SEP0000000B%4u", &n) == 1 && n < PHONES ? (int)n : -1;
}

/* Phones of its line that are not in a call, and are shown it. */
static bool shown_too_much(const struct party *p, enum cp_security allowed)
{
	int k = index_of(p->name);

	for (unsigned i = 0; k >= 0 && i < PHONES; i++) {
		const struct agent *a = agent_find(w.calls, ph[i].name, false);

		if (LINE(i) != LINE((unsigned)k) || i == (unsigned)k || a == NULL || a->phone == NULL || agent_party(a, p->ref) != NULL)
			continue;
		if (ph[i].info_ref == p->ref && !ph[i].dead && (enum cp_security)ph[i].security > allowed)
			return true;
	}
	return false;
}

/* The best that a phone of this kind can take part in. */
static enum cp_security best(const struct party *p)
{
	int i;

	if (p->kind == PARTY_GATEWAY || p->kind == PARTY_PARK)
		return CP_SEC_ENCRYPTED; /* nobody; its SA is live, and it can SRTP */
	i = index_of(p->name);
	if (i < 0 || kind[i] >= 2)
		return CP_SEC_NOT_SECURE;
	return kind[i] == 0 ? CP_SEC_ENCRYPTED : CP_SEC_AUTHENTICATED;
}

static unsigned barges, parks;

/*
 * With who has barged in: an encrypted phone leaves nothing but encrypted calls what they are, one that only signs takes the lock, and
 * one that does neither too, though not the shield.
 */
static enum cp_security with_barge(const struct cp_call *c, enum cp_security allowed)
{
	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		const struct cp_call *b = w.calls->slot[i];
		enum cp_security in;

		if (b == NULL || !b->barge || b->state != CALL_CONNECTED || c->barge || b->p[1].agent == NULL)
			continue;
		for (unsigned s = 0; s < 2; s++) {
			if (c->p[s].agent != b->p[1].agent || c->p[s].ref != b->p[1].bridges)
				continue;
			barges++;
			in = best(&b->p[0]);
			if (in == CP_SEC_ENCRYPTED && allowed < CP_SEC_ENCRYPTED)
				allowed = CP_SEC_NOT_SECURE;
			else if (in < CP_SEC_ENCRYPTED && allowed == CP_SEC_ENCRYPTED)
				allowed = CP_SEC_AUTHENTICATED;
		}
	}
	return allowed;
}

static unsigned broken;
#define HOLDS(cond)                                                                  \
	do {                                                                         \
		if (!(cond)) {                                                       \
			if (broken++ < 10)                                           \
				printf("step %u: not so: %s\n", step_now, #cond);    \
			CU_ASSERT_TRUE(cond);                                        \
		}                                                                    \
	} while (0)

static unsigned step_now, forks, elsewhere;

/* --- every call that was made has one last record, and what was split says where it went --- */

#define CALLS_MAX (1u << 18)
static struct made {
	uint64_t id; /* global; 0: free */
	unsigned last;
} *made;
static unsigned made_cnt;

static struct made *made_at(uint64_t id)
{
	uint32_t i = (uint32_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 46) % CALLS_MAX;

	while (made[i].id != 0 && made[i].id != id)
		i = (i + 1) % CALLS_MAX;
	return &made[i];
}

static void note_call(const struct cp_call *c)
{
	struct made *m = made_at(c->global_id);

	if (m->id != 0 || made_cnt >= CALLS_MAX / 2)
		return;
	made_cnt++;
	m->id = c->global_id;
}

static bool note_record(void *ctx, const uint8_t *k, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_cdr r;
	struct made *m;

	(void)k;
	(void)key_len;
	CU_ASSERT_EQUAL_FATAL(cp_cdr_parse(val, len, &r), 0);
	HOLDS(r.best >= r.worst && (r.best != 0) == (r.connect_ms != 0));
	HOLDS(r.connect_ms == 0 || (r.connect_ms >= r.setup_ms && r.end_us / 1000 >= r.connect_ms));
	HOLDS(r.cause != CP_Q850_NONE);
	m = made_at(r.global_id);
	if (m->id == 0)
		m->id = r.global_id; /* came and went between two looks */
	m->last += r.cause != CP_Q850_SPLIT || r.joined_id != 0;
	++*(unsigned *)ctx;
	cp_cdr_free(&r);
	return true;
}

static void look_at_records(void)
{
	unsigned n = 0;

	CU_ASSERT_EQUAL(cp_store_scan(w.store, CP_CF_CDR, NULL, 0, note_record, &n), 0);
	for (uint32_t i = 0; i < CALLS_MAX; i++)
		HOLDS(made[i].id == 0 || made[i].last == 1);
	printf("%u calls seen, %u records\n", made_cnt, n);
	CU_ASSERT(made_cnt > 0 && n >= made_cnt);
}

static void look_at_calls(void)
{
	unsigned legs = 0, keys = 0, n = 0;

	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		const struct cp_call *c = w.calls->slot[i];
		enum cp_security allowed = CP_SEC_ENCRYPTED;

		if (c == NULL)
			continue;
		n++;
		for (unsigned s = 0; s < 2; s++) {
			const struct party *p = &c->p[s];

			HOLDS(p->call == c);
			legs += p->leg_id != NO_LEG;
			keys += (p->rx != NULL) + (p->tx != NULL) + (p->next_rx != NULL) + (p->next_tx != NULL);
			if (p->kind == PARTY_NONE)
				continue;
			if (best(p) < allowed)
				allowed = best(p);
			if (p->kind == PARTY_PHONE)
				HOLDS(p->agent != NULL && agent_party(p->agent, p->ref) == p);
			HOLDS(p->kind != PARTY_GATEWAY || p->in_index);
		}
		allowed = with_barge(c, allowed);
		parks += c->park[0] != '\0';
		HOLDS(c->forks == NULL || c->state == CALL_ALERTING);
		for (const struct party *f = c->forks; f != NULL; f = f->fork_next) {
			forks++;
			HOLDS(f->fork && f->call == c && f->agent != NULL && agent_party(f->agent, f->ref) == f);
			HOLDS(f->leg_id == NO_LEG && f->rx == NULL && f->tx == NULL && !f->media_on);
			HOLDS(f->agent != c->p[0].agent && f->agent != c->p[1].agent && strcmp(f->number, c->p[1].number) == 0);
		}
		if (c->p[0].leg_id != NO_LEG && c->p[1].leg_id != NO_LEG) {
			HOLDS(DP_LEG_SHARD(c->p[0].leg_id) == DP_LEG_SHARD(c->p[1].leg_id));
			HOLDS(c->p[0].leg_id != c->p[1].leg_id);
		}
		HOLDS(c->p[0].agent == NULL || c->p[0].agent != c->p[1].agent);
		/* whoever has media has it in one codec: nothing is transcoded */
		if (c->state == CALL_CONNECTED && c->p[0].kind != PARTY_NONE && c->p[1].kind != PARTY_NONE && c->park[0] == '\0') {
			HOLDS(cp_codec_of_sccp(c->p[0].codec) != CP_CODEC_NONE);
			HOLDS(cp_codec_of_sccp(c->p[0].codec) == cp_codec_of_sccp(c->p[1].codec));
			HOLDS(c->p[0].packet_ms == c->p[1].packet_ms);
		}
		if (c->digit_cnt > 0)
			note_call(c);
		/* what is shown to somebody who talks */
		for (unsigned s = 0; s < 2 && c->state == CALL_CONNECTED; s++) {
			int k = c->p[s].kind == PARTY_PHONE && party_phone(&c->p[s]) != NULL ? index_of(c->p[s].name) : -1;

			if (k >= 0 && ph[k].info_ref == c->p[s].ref)
				HOLDS((enum cp_security)ph[k].security <= allowed);
			/* a barge goes by the number of the call that it joined, which is what others are shown */
			HOLDS(c->barge || !shown_too_much(&c->p[s], allowed));
		}
	}
	HOLDS(n == cp_calls_count(w.calls));
	HOLDS(legs == cp_ports_used(w.calls->ports));
	HOLDS(keys == cp_keys_used(w.calls->keys));
	for (unsigned i = 0; i < AGENT_HASH; i++) {
		for (const struct agent *a = w.calls->agents[i]; a != NULL; a = a->next) {
			unsigned active = 0;

			for (const struct party *p = a->parties; p != NULL; p = p->ag_next) {
				HOLDS(p->agent == a);
				active += !p->held && p->bridges == 0 && !party_rings(p);
			}
			HOLDS(active <= 1);
		}
	}
}

/* --- what happens --- */

static uint32_t some_ref(struct cp_phone *p)
{
	struct agent *a = agent_find(w.calls, p->name, false);
	struct party *q = a != NULL ? a->parties : NULL;

	if (rnd(10) == 0)
		return rnd(3) == 0 ? rnd(1000000) : 0;
	if (rnd(3) == 0) { /* what somebody else of the line does */
		struct agent *o = agent_find(w.calls, ph[index_of(p->name) / 4 * 4 + (int)rnd(4)].name, false);

		if (o != NULL && o->parties != NULL) {
			elsewhere++;
			return o->parties->ref;
		}
	}
	for (unsigned n = rnd(4); n > 0 && q != NULL && q->ag_next != NULL; n--)
		q = q->ag_next;
	return q != NULL ? q->ref : 0;
}

static void ack_some(struct cp_phone *p)
{
	struct agent *a = agent_find(w.calls, p->name, false);
	struct cfg_addr at = v4;

	at.port = (uint16_t)(20000 + 2 * rnd(1000));
	for (struct party *q = a != NULL ? a->parties : NULL; q != NULL; q = q->ag_next) {
		if (!q->media_on || q->ready)
			continue;
		cp_calls_phone_ops.orc_ack(w.calls, p, rnd(40) == 0, &at, q->ref << 1 | q->stream, q->ref);
		return; /* the list may be another one now */
	}
}

static const char *some_parked(void)
{
	for (uint32_t i = 0; i < CALL_SLOTS; i++)
		if (w.calls->slot[i] != NULL && w.calls->slot[i]->park[0] != '\0')
			return w.calls->slot[i]->park;
	return NULL;
}

static void dial_some(struct cp_phone *p)
{
	const struct agent *a = agent_find(w.calls, p->name, false);
	const char *parked_at = some_parked();
	char number[16];

	if (a != NULL && agent_active(a) != NULL && agent_active(a)->call->state != CALL_CONNECTED && rnd(8) != 0)
		return; /* it would end what is being set up: now and then */

	if (parked_at != NULL && rnd(3) == 0)
		snprintf(number, sizeof(number), "%.15s", parked_at);
	else if (rnd(24) == 0)
		snprintf(number, sizeof(number), "80%02u", rnd(8));
	else if (rnd(12) == 0)
		snprintf(number, sizeof(number), "%s", rnd(2) == 0 ? "77" : "9123");
	else if (rnd(30) == 0)
		snprintf(number, sizeof(number), "5");
	else
		snprintf(number, sizeof(number), "3%03u", LINE(rnd(PHONES)));
	cp_calls_phone_ops.enbloc(w.calls, p, number, 1);
}

/* Somebody of a line presses Barge at a call of another phone of it. */
static void barge_some(void)
{
	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		struct cp_call *c = w.calls->slot[i];

		for (unsigned s = 0; c != NULL && s < 2; s++) {
			int k = c->p[s].shown == REMOTE_IN_USE ? index_of(c->p[s].name) : -1;
			unsigned who = k >= 30 ? (unsigned)k / 4 * 4 + ((unsigned)k + 1 + rnd(3)) % 4 : PHONES;

			if (who < PHONES && registered[who]) {
				cp_calls_phone_ops.softkey(w.calls, &ph[who], CP_SCCP_KEY_BARGE, 1, c->p[s].ref);
				return;
			}
		}
	}
}

static void gateway_event(void)
{
	for (unsigned e = 0; e < AGENT_HASH; e++) {
		struct party *p = w.calls->endpoints[e];
		char id[16];

		if (p == NULL)
			continue;
		snprintf(id, sizeof(id), "%08X%s", p->ref, p->call->state == CALL_CONNECTED ? "1" : "");
		gw_event(DP_MGCP_NTFY, p->endpoint, id, rnd(4) == 0 ? "L/hu" : "L/hd");
		return;
	}
}

static void come_or_go(unsigned i)
{
	static const enum cp_phone_gone whys[] = {CP_GONE_CLOSED, CP_GONE_UNREGISTERED, CP_GONE_REMOVED, CP_GONE_TIMEOUT};

	if (registered[i])
		gone(&ph[i], whys[rnd(4)]);
	else
		cp_calls_phone_ops.registered(w.calls, &ph[i]);
	registered[i] = !registered[i];
}

/* Who has a call does more than who has none. */
static unsigned somebody(void)
{
	unsigned i = rnd(PHONES);

	for (unsigned n = 0; n < 12 && rnd(8) != 0; n++, i = rnd(PHONES)) {
		struct agent *a = agent_find(w.calls, ph[i].name, false);

		if (a != NULL && a->parties != NULL)
			break;
	}
	return i;
}

static void one_step(void)
{
	static const uint32_t keys[] = {CP_SCCP_KEY_ANSWER, CP_SCCP_KEY_ANSWER, CP_SCCP_KEY_ANSWER, CP_SCCP_KEY_ANSWER, CP_SCCP_KEY_HOLD, CP_SCCP_KEY_HOLD, CP_SCCP_KEY_TRANSFER, CP_SCCP_KEY_TRANSFER,
					CP_SCCP_KEY_ENDCALL, CP_SCCP_KEY_RESUME, CP_SCCP_KEY_RESUME, CP_SCCP_KEY_BARGE, CP_SCCP_KEY_BARGE, CP_SCCP_KEY_ANSWER,
					CP_SCCP_KEY_ANSWER, CP_SCCP_KEY_ANSWER, CP_SCCP_KEY_PARK, CP_SCCP_KEY_PICKUP, 99};
	unsigned i = somebody(), what = rnd(100);
	struct cp_phone *p = &ph[i];

	if (what < 1 || (what < 4 && !registered[i])) {
		come_or_go(i);
	} else if (!registered[i]) {
		return; /* nobody is there to press anything */
	} else if (what < 20) {
		dial_some(p);
	} else if (what < 21) {
		cp_calls_phone_ops.offhook(w.calls, p, rnd(2), some_ref(p));
	} else if (what < 22) {
		cp_calls_phone_ops.onhook(w.calls, p, 1, some_ref(p));
	} else if (what < 23) {
		cp_calls_phone_ops.digit(w.calls, p, "0123456789*#"[rnd(12)], 1, some_ref(p));
	} else if (what < 55) {
		cp_calls_phone_ops.softkey(w.calls, p, rnd(60) == 0 ? CP_SCCP_KEY_NEWCALL : keys[rnd(sizeof(keys) / sizeof(keys[0]))], 1, some_ref(p));
	} else if (what < 60) {
		for (unsigned n = 0; n < 4; n++)
			barge_some();
	} else if (what < 90) {
		ack_some(p);
	} else if (what < 93) {
		gateway_event();
	} else if (what < 94 && rnd(4) == 0) {
		cp_calls_phone_ops.smt_ack(w.calls, p, 1, some_ref(p) << 1, 0);
	} else if (what < 95 && rnd(3) == 0) {
		struct cp_call *c = call_find(w.calls, some_ref(p));

		if (c != NULL)
			event_active(c->timer, EV_TIMEOUT, 0);
	} else if (what < 96) {
		p->dead = rnd(3) == 0;
		if (p->dead) /* its connection is gone, if not its registration yet: what its display showed last says nothing */
			p->info_ref = 0;
	} else if (what < 97) {
		w.refuse_type = rnd(8) == 0 ? DP_MSG_LEG_SET : 0;
		w.refuse_rc = -ENOSPC;
	} else if (rnd(30) == 0) {
		int before = ups;

		fake_hangup(&w.fake);
		for (unsigned n = rnd(20); n > 0; n--)
			spin();
		UNTIL(ups > before);
	} else {
		struct cp_call *c = call_find(w.calls, some_ref(p));
		const char *why;

		if (c != NULL)
			rekey_party(c, rnd(2), &why);
	}
}

static void test_random(void)
{
	static struct cp_dir_ctx quiet;
	unsigned steps = getenv("RAVELIN_FULL") != NULL ? 1000000 : 15000;
	const char *seed = getenv("RAVELIN_SEED");

	rng = seed != NULL ? strtoull(seed, NULL, 0) : 0x5eed;
	rng = rng * 2 + 1;
	printf("seed %s, %u steps\n", seed != NULL ? seed : "0x5eed", steps);
	seen = calloc(SEEN_MAX, sizeof(*seen));
	made = calloc(CALLS_MAX, sizeof(*made));
	CU_ASSERT_PTR_NOT_NULL_FATAL(seen);
	CU_ASSERT_PTR_NOT_NULL_FATAL(made);
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	world_begin();
	w.say[DP_MGCP_MDCX].sdp = true;
	w.cfg->calls.park = (struct cfg_range){.first = 8000, .last = 8005, .digits = 4};
	w.no_record = true; /* the check that goes with it is test_call's */
	quiet = dir_ctx;
	quiet.shared = true;
	add_devtype("ACME");
	for (unsigned i = 0; i < PHONES; i++) {
		struct cp_line line = {0};
		struct cp_device d = {.mode = CP_DEVICE_ENCRYPTED, .region = "default", .srtp = true, .lines = &line, .line_cnt = 1};
		char number[16];

		kind[i] = i % 6 < 3 ? 0 : i % 6 - 2;
		snprintf(d.name, sizeof(d.name), "SEP0000000B%04u", i);
		snprintf(number, sizeof(number), "3%03u", LINE(i));
		snprintf(line.number, sizeof(line.number), "%s", number);
		snprintf(line.pickup, sizeof(line.pickup), "70%u", i % 4);
		if (kind[i] == 3)
			snprintf(d.model, sizeof(d.model), "ACME");
		synced(cp_dir_device_put(w.store, &d, false, &quiet));
		phone_reset(&ph[i], d.name, number);
		/* every phone can G.711 u-law, which keeps all calls possible; what else differs makes transfers change the codec */
		ph[i].caps[0] = (struct cp_sccp_cap){CP_SCCP_G711U, 40};
		ph[i].caps[1] = (struct cp_sccp_cap){i % 2 == 0 ? CP_SCCP_G722 : CP_SCCP_G729A, 60};
		ph[i].caps[2] = (struct cp_sccp_cap){i % 3 == 0 ? CP_SCCP_ILBC : CP_SCCP_G711A, i % 5 == 0 ? 10 : 60};
		ph[i].cap_cnt = 3;
		ph[i].srtp = kind[i] == 0 || kind[i] == 3;
		ph[i].sec = kind[i] == 1 ? CP_PHONE_AUTHENTICATED : kind[i] == 2 ? CP_PHONE_NONSECURE : CP_PHONE_ENCRYPTED;
		cp_calls_phone_ops.registered(w.calls, &ph[i]);
		registered[i] = true;
	}
	media_hook = note_key;
	for (step_now = 0; step_now < steps && broken < 10; step_now++) {
		one_step();
		if (step_now % 2 == 0)
			spin();
		else
			event_base_loop(w.base, EVLOOP_NONBLOCK);
		if (step_now % 4 == 0)
			look_at_calls();
		if (w.todo_cnt > 900 && w.todo_done == w.todo_cnt)
			w.todo_cnt = w.todo_done = 0;
		if (step_now % 64 == 0)
			w.fake.n = 0;
	}
	/* everybody hangs up, whatever is under way */
	w.refuse_type = 0;
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < PHONES; i++) {
			struct agent *a;

			ph[i].dead = false;
			if (!registered[i])
				come_or_go(i);
			while ((a = agent_find(w.calls, ph[i].name, false)) != NULL && a->parties != NULL)
				call_end(a->parties->call, "the test is over");
		}
		rest();
		w.todo_cnt = w.todo_done = 0;
	}
	printf("%u rang beside others, %u keys were pressed for somebody else's call\n", forks, elsewhere);
	printf("%u looks at a call with somebody barged in, %u at one that is parked\n", barges, parks);
	CU_ASSERT_TRUE(forks > steps / 100 && elsewhere > steps / 100 && barges > 0);
	printf("%llu calls, %llu of them connected, %u keys, %u of them twice\n", (unsigned long long)w.calls->total,
	       (unsigned long long)(w.calls->completed[1] + w.calls->completed[2] + w.calls->completed[3]), seen_cnt, twice);
	CU_ASSERT_TRUE(w.calls->total > steps / 150);
	CU_ASSERT_TRUE(w.calls->completed[1] + w.calls->completed[2] + w.calls->completed[3] > steps / 400);
	CU_ASSERT_TRUE(seen_cnt > steps / 150);
	CU_ASSERT_EQUAL(twice, 0);
	look_at_records();
	media_hook = NULL;
	world_end();
	free(seen);
	free(made);
}

static CU_TestInfo tests[] = {
	{"random events", test_random},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	return 0;
}

#include "suite.h"
SUITE_MAIN("callmodel", tests, setup, NULL)
