/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a party hears while it waits: a source that the dataplane sends over its leg, under its leg's keys and in its codec;
 * else the phone makes a tone. Sources are the configuration's (moh); the dataplane is told of them whenever the channel comes up, and
 * when an operator says that a file has changed.
 *
 * Security status: 001:P1-119 and 004a:CALL-03 let a call fall from encrypted to not secure where the streams of hold are not
 * encrypted. Ours are as the leg is: SRTP to a party that has SRTP. So hold changes no status (001:P1-111 and 001:R-18 are of a server
 * that could not encrypt).
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "callint.h"

static_assert(sizeof(((struct cp_calls *)0)->music_bad) * 8 >= DP_MUSIC_MAX, "a bit for each source");

/* --- sources --- */

struct load {
	struct cp_calls *calls;
	unsigned left;
	json_t *list;
	cp_session_fn fn; /* NULL: nobody asked */
	void *ctx;
};

struct load_one {
	struct load *all;
	unsigned i;
};

static const char *load_text(int rc)
{
	switch (rc) {
	case -ENOENT:
		return "there is no such file in moh.directory";
	case -EFBIG:
		return "the file is longer than 32 MiB";
	case -EINVAL:
		return "not a file of this format: the dataplane's log says why";
	case -ENOTCONN:
		return "the dataplane is not there";
	default:
		return strerror(-rc);
	}
}

static void load_done(struct load *l)
{
	if (--l->left > 0)
		return;
	if (l->fn != NULL)
		l->fn(l->ctx, 0, NULL, l->list);
	else
		json_decref(l->list);
	free(l);
}

static void on_loaded(void *ctx, int rc)
{
	struct load_one *one = ctx;
	struct load *l = one->all;
	const char *name = l->calls->env.cfg->moh.sources[one->i].name;

	if (rc == 0) {
		l->calls->music_bad &= (uint16_t)~(1u << one->i);
		cp_alarm_clear(l->calls->env.alarms, "music-missing", name);
	} else if (rc != -ENOTCONN) { /* loaded anew it may be what it was: a dataplane that had it goes on with it */
		if (l->fn == NULL)
			l->calls->music_bad |= (uint16_t)(1u << one->i);
		cp_alarm_raise(l->calls->env.alarms, "music-missing", CP_ALARM_WARNING, name, "%s", load_text(rc));
	}
	json_array_append_new(l->list, json_pack("{s:s, s:b, s:s?}", "source", name, "loaded", rc == 0, "error", rc == 0 ? NULL : load_text(rc)));
	free(one);
	load_done(l);
}

static int load_send(struct load *l, unsigned i)
{
	const struct cfg_moh_source *s = &l->calls->env.cfg->moh.sources[i];
	const char *files[DP_MUSIC_FILE_CNT] = {s->file, s->g722, s->g729};
	struct dp_music_set m = {.name = ""};
	struct load_one *one = malloc(sizeof(*one));
	int rc;

	if (one == NULL)
		return -ENOMEM;
	*one = (struct load_one){l, i};
	/* Configuration has checked the lengths. */
	snprintf(m.name, sizeof(m.name), "%s", s->name);
	for (unsigned k = 0; k < DP_MUSIC_FILE_CNT; k++)
		snprintf(m.file[k], sizeof(m.file[k]), "%s", files[k] != NULL ? files[k] : "");
	rc = cp_dp_send(l->calls->env.dp, DP_MSG_MUSIC_SET, &m, on_loaded, one);
	if (rc < 0)
		free(one);
	else
		l->left++;
	return rc;
}

static int load(struct cp_calls *calls, const char *name, cp_session_fn fn, void *ctx)
{
	const struct cfg_moh *moh = &calls->env.cfg->moh;
	struct load *l = calloc(1, sizeof(*l));
	int rc = 0;

	if (l == NULL)
		return -ENOMEM;
	*l = (struct load){.calls = calls, .left = 1, .list = json_array(), .fn = fn, .ctx = ctx};
	for (unsigned i = 0; i < moh->sources_count && rc == 0; i++)
		if (name == NULL || strcmp(moh->sources[i].name, name) == 0)
			rc = load_send(l, i);
	if (rc < 0)
		l->fn = NULL; /* those that are under way answer nobody */
	load_done(l);
	return rc;
}

void music_up(struct cp_calls *calls)
{
	calls->music_bad = 0;
	if (load(calls, NULL, NULL, NULL) < 0)
		cfg_log(CFG_LOG_WARN, "music-not-loaded", "sources=%u", calls->env.cfg->moh.sources_count);
}

void cp_calls_music_load(struct cp_calls *calls, const char *name, cp_session_fn fn, void *ctx)
{
	int rc;

	if (name != NULL && cfg_moh_find(&calls->env.cfg->moh, name) == NULL) {
		fn(ctx, -ENOENT, "moh.sources has none of that name", NULL);
		return;
	}
	rc = cp_dp_up(calls->env.dp) ? load(calls, name, fn, ctx) : -ENOTCONN;
	if (rc < 0)
		fn(ctx, rc, load_text(rc), NULL);
}

json_t *cp_calls_show_music(const struct cp_calls *calls)
{
	const struct cfg_moh *moh = &calls->env.cfg->moh;
	json_t *list = json_array();

	for (unsigned i = 0; i < moh->sources_count; i++) {
		const struct cfg_moh_source *s = &moh->sources[i];
		unsigned hear = 0;

		for (uint32_t k = 0; k < CALL_SLOTS; k++)
			for (unsigned side = 0; calls->slot[k] != NULL && side < 2; side++)
				hear += calls->slot[k]->p[side].plays == i + 1;
		json_array_append_new(list, json_pack("{s:s, s:s?, s:s?, s:s?, s:b, s:i}", "source", s->name, "file", s->file, "g722",
						      s->g722, "g729", s->g729, "loaded",
						      cp_dp_up(calls->env.dp) && (calls->music_bad >> i & 1) == 0, "parties", (int)hear));
	}
	return list;
}

/* --- parties --- */

/* The codec of the party's leg, if the source has it; RFC 3551's payload type. */
static bool codec_of(const struct party *p, const struct cfg_moh_source *s, struct dp_leg_music *m)
{
	switch (p->codec) {
	case CP_SCCP_G711U:
		m->codec = DP_MUSIC_PCMU;
		m->pt = 0;
		return s->file != NULL;
	case CP_SCCP_G711A:
		m->codec = DP_MUSIC_PCMA;
		m->pt = 8;
		return s->file != NULL;
	case CP_SCCP_G722:
		m->codec = DP_MUSIC_G722;
		m->pt = 9;
		return s->g722 != NULL;
	case CP_SCCP_G729:
	case CP_SCCP_G729A:
	case CP_SCCP_G729B: /* without gaps, as phones are told to send, too */
	case CP_SCCP_G729AB:
		m->codec = DP_MUSIC_G729;
		m->pt = 18;
		return s->g729 != NULL;
	default:
		return false;
	}
}

/* What this party is to be sent; false: nothing. A bridge is not: its conference would hear it. */
static bool wanted(const struct cp_call *call, const struct party *p, struct dp_leg_music *m)
{
	const struct cfg_moh *moh = &call->calls->env.cfg->moh;
	const struct cfg_moh_source *s = cfg_moh_find(moh, p->music == MUSIC_NETWORK ? moh->network : moh->user);

	if (p->music == MUSIC_NONE || p->held || p->conf != NULL || call->direct || p->leg_id == NO_LEG || p->unplayable || s == NULL ||
	    (call->calls->music_bad >> (s - moh->sources) & 1) != 0 || !codec_of(p, s, m))
		return false;
	/* As what is relayed to it: its own number, and its packets, if the dataplane makes them. */
	if (p->audio_pt != 0)
		m->pt = p->audio_pt;
	m->ptime_ms = p->packet_ms != 0 && p->packet_ms <= 60 && p->packet_ms % 10 == 0 ? p->packet_ms : call->calls->env.cfg->media.ptime_ms;
	snprintf(m->name, sizeof(m->name), "%s", s->name);
	return true;
}

struct played {
	struct cp_calls *calls;
	uint32_t ref, leg_id;
};

/* It hears a tone instead, if it waits still. */
static void on_leg_music(void *ctx, int rc)
{
	struct played by = *(struct played *)ctx;
	struct cp_call *call;

	free(ctx);
	if (rc == 0 || rc == -ENOTCONN)
		return;
	call = call_find(by.calls, by.ref);
	cfg_log_limited(CFG_LOG_WARN, "music-not-played", "call=%u rc=%d", by.ref, rc);
	for (unsigned s = 0; call != NULL && s < 2; s++) {
		struct party *p = &call->p[s];

		if (p->leg_id != by.leg_id || p->plays == 0)
			continue;
		p->plays = 0;
		p->unplayable = true;
		music_tone(call, s);
	}
}

int music_assert(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct dp_leg_music m = {.codec = 0}, off = {.leg_id = p->leg_id};
	const struct cfg_moh *moh = &call->calls->env.cfg->moh;
	bool on = wanted(call, p, &m);
	struct played *by;
	int rc;

	if (!on && p->plays == 0)
		return 0;
	m.leg_id = p->leg_id;
	p->plays = on ? (uint8_t)(cfg_moh_find(moh, m.name) - moh->sources + 1) : 0;
	by = malloc(sizeof(*by));
	if (by == NULL)
		return -ENOMEM;
	*by = (struct played){call->calls, call->ref, p->leg_id};
	rc = cp_dp_send(call->calls->env.dp, DP_MSG_LEG_MUSIC, on ? &m : &off, on_leg_music, by);
	if (rc < 0)
		free(by);
	return rc;
}

void music_tone(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct cp_phone *phone = party_phone(p);
	struct dp_leg_music m;
	bool want = p->music != MUSIC_NONE && !p->held && !wanted(call, p, &m);

	if (phone == NULL || want == p->toned)
		return;
	p->toned = want;
	if (want)
		cp_phone_tone(phone, CP_SCCP_TONE_HOLD, p->line, p->ref);
	else
		cp_phone_stop_tone(phone, p->line, p->ref);
}

int music_set(struct cp_call *call, unsigned side, enum music_kind kind)
{
	struct party *p = &call->p[side];
	int rc = 0;

	p->music = (uint8_t)kind;
	p->unplayable = false;
	if (p->leg_id != NO_LEG && call->media_started)
		rc = music_assert(call, side);
	music_tone(call, side);
	return rc == -ENOTCONN ? 0 : rc; /* asserted when the dataplane returns */
}

void music_gone(struct party *p)
{
	p->plays = 0;
	p->unplayable = false;
}
