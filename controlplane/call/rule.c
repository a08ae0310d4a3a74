/* SPDX-License-Identifier: BSD-3-Clause */
#include "rule.h"

#include <stdio.h>
#include <string.h>

#include "call/keys.h"

/* A list of numbers, 0 ends it. What is known of the names; in both where there is one already. */
static void take_list(uint8_t *list, unsigned max, bool had, const struct cp_region_item *items, unsigned n,
		      uint8_t (*number)(const char *name))
{
	uint8_t these[CP_REGION_LIST], out[CP_REGION_LIST + DP_SRTP_SUITE_MAX] = {0};
	unsigned cnt = 0, k = 0;

	for (unsigned i = 0; i < n && i < CP_REGION_LIST; i++) {
		uint8_t v = number(items[i].name);

		if (v != 0 && cnt < CP_REGION_LIST)
			these[cnt++] = v;
	}
	if (!had) {
		memcpy(out, these, cnt);
		k = cnt;
	}
	for (unsigned i = 0; had && i < max && list[i] != 0; i++)
		if (memchr(these, list[i], cnt) != NULL)
			out[k++] = list[i];
	memset(list, 0, max);
	memcpy(list, out, k < max ? k : max - 1);
}

static uint8_t codec_number(const char *name)
{
	return (uint8_t)cp_codec_parse(name);
}

/* Suites that a call can have: no NULL cipher. */
static uint8_t suite_number(const char *name)
{
	uint8_t suite;

	return cp_suite_parse(name, &suite) == 0 && suite != DP_SRTP_NONE && !dp_suite(suite)->null_cipher ? suite : 0;
}

static void note(char from[CP_RULE_FROM_SIZE], const struct cp_region *r)
{
	char text[CP_RULE_FROM_SIZE];

	if (from[0] == '\0')
		snprintf(text, sizeof(text), "%s %s", r->a, r->b);
	else /* two of one width: "a *, b *" is what is meant; the second name is enough */
		snprintf(text, sizeof(text), "%.60s, %s *", from, r->a);
	memcpy(from, text, sizeof(text));
}

/* From narrow to wide: the pair, one region with any other, any. */
static unsigned width(const struct cp_region *r)
{
	return strcmp(r->a, CP_REGION_ANY) == 0 ? 2 : strcmp(r->b, CP_REGION_ANY) == 0 ? 1 : 0;
}

enum { CODECS, KBPS, MEDIA, SUITES, FIELDS };

struct merge {
	struct cp_media_rule *rule;
	struct cp_rule_from *from;
	unsigned said[FIELDS]; /* width of the rule that said it, and 1 */
};

/* Does this rule count for a field? It does if nobody narrower spoke. */
static bool counts(struct merge *m, unsigned field, const struct cp_region *r, bool *ret_had)
{
	unsigned w = width(r) + 1;

	*ret_had = m->said[field] != 0;
	if (*ret_had && m->said[field] < w)
		return false;
	m->said[field] = w;
	return true;
}

static void add(struct merge *m, const struct cp_region *r)
{
	struct cp_media_rule *rule = m->rule;
	bool had;

	if (r->codec_cnt > 0 && counts(m, CODECS, r, &had)) {
		take_list(rule->codec.list, CP_CODEC_MAX, had, r->codecs, r->codec_cnt, codec_number);
		note(m->from->codecs, r);
	}
	if (r->max_kbps > 0 && counts(m, KBPS, r, &had)) {
		rule->codec.max_kbps = had && rule->codec.max_kbps < r->max_kbps ? rule->codec.max_kbps : r->max_kbps;
		note(m->from->kbps, r);
	}
	if (r->media != CP_REGION_MEDIA_UNSAID && counts(m, MEDIA, r, &had)) {
		rule->direct = r->media == CP_REGION_DIRECT && (!had || rule->direct);
		note(m->from->media, r);
	}
	if (r->suite_cnt > 0 && counts(m, SUITES, r, &had)) {
		take_list(rule->suites, DP_SRTP_SUITE_MAX, had, r->suites, r->suite_cnt, suite_number);
		note(m->from->suites, r);
	}
}

static bool region_direct(const struct cfg_media *media, const char *region)
{
	for (unsigned i = 0; i < media->regions_count; i++)
		if (strcmp(media->regions[i].name, region) == 0)
			return media->regions[i].mode == CFG_MEDIA_DIRECT;
	return media->mode == CFG_MEDIA_DIRECT;
}

void cp_rule_merge(const struct cp_region *rules, unsigned n, const struct cfg_media *cfg, const char *a, const char *b,
		   struct cp_media_rule *ret, struct cp_rule_from *from)
{
	struct cp_rule_from unused;
	struct merge m = {.rule = ret, .from = from != NULL ? from : &unused};

	memset(ret, 0, sizeof(*ret));
	memset(m.from, 0, sizeof(*m.from));
	for (unsigned i = 0; i < n; i++)
		add(&m, &rules[i]);
	ret->suites_said = m.said[SUITES] != 0;
	if (m.said[CODECS] == 0) {
		memcpy(ret->codec.list, cp_codec_order, sizeof(ret->codec.list));
		strcpy(m.from->codecs, "default");
	}
	if (m.said[KBPS] == 0) {
		ret->codec.max_kbps = CP_CODEC_KBPS;
		strcpy(m.from->kbps, "default");
	}
	if (m.said[MEDIA] == 0) {
		ret->direct = region_direct(cfg, a) && region_direct(cfg, b);
		strcpy(m.from->media, "configuration");
	}
	if (m.said[SUITES] == 0)
		strcpy(m.from->suites, "configuration");
}

void cp_rule_find(const struct cp_store *store, const struct cfg_media *cfg, const char *a, const char *b, struct cp_media_rule *ret,
		  struct cp_rule_from *from)
{
	struct cp_region rules[CP_REGION_RULES];
	unsigned n = cp_store_region_rules(store, a, b, rules);

	cp_rule_merge(rules, n, cfg, a, b, ret, from);
	for (unsigned i = 0; i < n; i++)
		cp_region_free(&rules[i]);
}
