/* SPDX-License-Identifier: BSD-3-Clause */
#include "dialrec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fieldtab.h"
#include "log.h"
#include "store.h"
#include "why.h"

static const struct cp_field partition_fields[] = {
	F(1, CP_F_STR, cp_partition, name),
	F(2, CP_F_STR, cp_partition, description),
	F(3, CP_F_UINT, cp_partition, changed_us),
	END,
};

static const struct cp_field css_item_fields[] = {
	F(1, CP_F_STR, cp_css_item, partition),
	END,
};
static const struct cp_list css_list = {sizeof(struct cp_css_item), CP_CSS_PARTITIONS_MAX, offsetof(struct cp_css, partition_cnt), false,
					css_item_fields};
static const struct cp_field css_fields[] = {
	F(1, CP_F_STR, cp_css, name),
	F(2, CP_F_STR, cp_css, description),
	L(3, cp_css, partitions, &css_list),
	F(4, CP_F_UINT, cp_css, changed_us),
	END,
};

static const struct cp_field target_fields[] = {
	F(1, CP_F_STR, cp_pattern_target, gateway),
	F(2, CP_F_STR, cp_pattern_target, endpoint),
	END,
};
static const struct cp_list target_list = {sizeof(struct cp_pattern_target), CP_PATTERN_TARGETS_MAX,
					   offsetof(struct cp_pattern, target_cnt), false, target_fields};
static const struct cp_field pattern_fields[] = {
	F(1, CP_F_STR, cp_pattern, pattern),
	F(2, CP_F_STR, cp_pattern, partition),
	F(3, CP_F_STR, cp_pattern, description),
	F(4, CP_F_UINT, cp_pattern, kind),
	F(5, CP_F_BOOL, cp_pattern, urgent),
	L(6, cp_pattern, targets, &target_list),
	F(7, CP_F_UINT, cp_pattern, discard),
	F(8, CP_F_STR, cp_pattern, mask),
	F(9, CP_F_STR, cp_pattern, prefix),
	F(10, CP_F_STR, cp_pattern, calling_mask),
	F(11, CP_F_STR, cp_pattern, calling_prefix),
	F(12, CP_F_STR, cp_pattern, css),
	F(13, CP_F_STR, cp_pattern, reason),
	F(14, CP_F_BOOL, cp_pattern, busy_tone),
	F(15, CP_F_UINT, cp_pattern, changed_us),
	END,
};

static const struct cp_field forward_fields[] = {
	F(1, CP_F_STR, cp_forward, number),
	F(2, CP_F_STR, cp_forward, partition),
	F(3, CP_F_STR, cp_forward, all),
	F(4, CP_F_STR, cp_forward, busy),
	F(5, CP_F_STR, cp_forward, no_answer),
	F(6, CP_F_STR, cp_forward, unregistered),
	F(7, CP_F_STR, cp_forward, css),
	F(8, CP_F_UINT, cp_forward, ring_s),
	F(9, CP_F_UINT, cp_forward, changed_us),
	END,
};

RECORD(cp_partition, CP_KIND_PARTITION, partition_fields, cp_partition_check)
RECORD(cp_css, CP_KIND_CSS, css_fields, cp_css_check)
RECORD(cp_pattern, CP_KIND_PATTERN, pattern_fields, cp_pattern_check)
RECORD(cp_forward, CP_KIND_FORWARD, forward_fields, cp_forward_check)

static int check_name(const char *what, const char *name, char *why, size_t size)
{
	return cp_part_name_ok(name) ? 0 : cfg_invalid(why, size, "%s %s is not 1 to %d of letters, digits and . _ -", what, cfg_q(name),
							   CP_PART_MAX - 1);
}

int cp_partition_check(const struct cp_partition *p, char *why, size_t size)
{
	int rc = check_name("partition", p->name, why, size);

	if (rc == 0 && !cp_text_ok(p->description))
		rc = cfg_invalid(why, size, "description is no text");
	return rc;
}

int cp_css_check(const struct cp_css *css, char *why, size_t size)
{
	int rc = check_name("calling search space", css->name, why, size);

	if (rc == 0 && !cp_text_ok(css->description))
		rc = cfg_invalid(why, size, "description is no text");
	if (rc == 0 && css->partition_cnt > CP_CSS_PARTITIONS_MAX)
		rc = cfg_invalid(why, size, "it has more than %d partitions", CP_CSS_PARTITIONS_MAX);
	for (unsigned i = 0; i < css->partition_cnt && rc == 0; i++) {
		rc = check_name("partition", css->partitions[i].partition, why, size);
		for (unsigned k = 0; k < i && rc == 0; k++)
			if (strcmp(css->partitions[i].partition, css->partitions[k].partition) == 0)
				rc = cfg_invalid(why, size, "partition %s is named twice", css->partitions[i].partition);
	}
	return rc;
}

static int check_number(const char *what, const char *number, char *why, size_t size)
{
	if (number[0] == '\0' || cp_number_ok(number))
		return 0;
	return cfg_invalid(why, size, "%s %s is not 1 to 32 of 0-9 * # (and a leading +)", what, cfg_q(number));
}

static int check_xforms(const struct cp_pattern *p, char *why, size_t size)
{
	struct cp_pat pat;

	if (p->discard >= CP_DISCARD_MAX)
		return cfg_invalid(why, size, "discard is not none, predot, trailing-#, predot-trailing-# or all");
	if (!cp_mask_ok(p->mask))
		return cfg_invalid(why, size, "mask %s is not up to 32 of 0-9 * # X (and a leading +)", cfg_q(p->mask));
	if (!cp_mask_ok(p->calling_mask))
		return cfg_invalid(why, size, "calling_mask %s is not up to 32 of 0-9 * # X (and a leading +)", cfg_q(p->calling_mask));
	if (cp_pat_parse(p->pattern, strlen(p->pattern), &pat, why, size) == 0 && pat.dot < 0 &&
	    (p->discard == CP_DISCARD_PREDOT || p->discard == CP_DISCARD_PREDOT_POUND))
		return cfg_invalid(why, size, "discard %s needs a '.' in the pattern", cp_discard_name((enum cp_discard)p->discard));
	if (check_number("prefix", p->prefix, why, size) < 0 || check_number("calling_prefix", p->calling_prefix, why, size) < 0)
		return -EINVAL;
	return 0;
}

static int check_targets(const struct cp_pattern *p, char *why, size_t size)
{
	if ((p->kind == CP_PATTERN_ROUTE) != (p->target_cnt > 0))
		return cfg_invalid(why, size, p->kind == CP_PATTERN_ROUTE ? "a route needs a gateway" : "only a route has gateways");
	if (p->target_cnt > CP_PATTERN_TARGETS_MAX)
		return cfg_invalid(why, size, "it has more than %d gateways", CP_PATTERN_TARGETS_MAX);
	for (unsigned i = 0; i < p->target_cnt; i++) {
		const struct cp_pattern_target *t = &p->targets[i];

		if (!cp_gw_name_ok(t->gateway[0] == '@' ? t->gateway + 1 : t->gateway))
			return cfg_invalid(why, size, "gateway %s is neither a domain name nor @ and a group", cfg_q(t->gateway));
		if (t->gateway[0] == '@' && t->endpoint[0] != '\0')
			return cfg_invalid(why, size, "%s is a group: it has no endpoints of its own", cfg_q(t->gateway));
		if (t->endpoint[0] != '\0' && !cp_endpoint_name_ok(t->endpoint))
			return cfg_invalid(why, size, "endpoint %s is not letters, digits and / . - _ #", cfg_q(t->endpoint));
	}
	return 0;
}

int cp_pattern_check(const struct cp_pattern *p, char *why, size_t size)
{
	char normal[CP_PATTERN_MAX], text[160] = "";
	int rc;

	if (cp_pat_normal(p->pattern, normal, text, sizeof(text)) < 0)
		return cfg_invalid(why, size, "pattern %s: %s", cfg_q(p->pattern), text);
	if (strcmp(normal, p->pattern) != 0)
		return cfg_invalid(why, size, "pattern %s is spelled %s", cfg_q(p->pattern), normal);
	if (p->partition[0] != '\0' && check_name("partition", p->partition, why, size) < 0)
		return -EINVAL;
	if (p->kind < CP_PATTERN_ROUTE || p->kind >= CP_PATTERN_KINDS)
		return cfg_invalid(why, size, "kind is not route, translate or block");
	if (!cp_text_ok(p->description) || !cp_text_ok(p->reason))
		return cfg_invalid(why, size, "description or reason is no text");
	if (p->kind != CP_PATTERN_TRANSLATE && p->css[0] != '\0')
		return cfg_invalid(why, size, "only a translation has a calling search space");
	if (p->css[0] != '\0' && check_name("calling search space", p->css, why, size) < 0)
		return -EINVAL;
	if (p->kind != CP_PATTERN_BLOCK && (p->reason[0] != '\0' || p->busy_tone))
		return cfg_invalid(why, size, "only a block has a reason and a tone");
	rc = check_xforms(p, why, size);
	return rc < 0 ? rc : check_targets(p, why, size);
}

int cp_forward_check(const struct cp_forward *f, char *why, size_t size)
{
	if (!cp_number_ok(f->number))
		return cfg_invalid(why, size, "number %s is not 1 to 32 of 0-9 * # (and a leading +)", cfg_q(f->number));
	if (f->partition[0] != '\0' && check_name("partition", f->partition, why, size) < 0)
		return -EINVAL;
	if (f->css[0] != '\0' && check_name("calling search space", f->css, why, size) < 0)
		return -EINVAL;
	if (f->ring_s > 300)
		return cfg_invalid(why, size, "ring_s is not 0 to 300");
	if (check_number("all", f->all, why, size) < 0 || check_number("busy", f->busy, why, size) < 0 ||
	    check_number("no_answer", f->no_answer, why, size) < 0 || check_number("unregistered", f->unregistered, why, size) < 0)
		return -EINVAL;
	return 0;
}

bool cp_forward_empty(const struct cp_forward *f)
{
	return f->all[0] == '\0' && f->busy[0] == '\0' && f->no_answer[0] == '\0' && f->unregistered[0] == '\0' && f->ring_s == 0 &&
	       f->css[0] == '\0';
}

static const char *const kinds[CP_PATTERN_KINDS] = {NULL, "route", "translate", "block"};

const char *cp_pattern_kind_name(unsigned kind)
{
	return kind > 0 && kind < CP_PATTERN_KINDS ? kinds[kind] : "?";
}

int cp_pattern_kind_parse(const char *name, uint8_t *ret)
{
	for (uint8_t i = 1; i < CP_PATTERN_KINDS; i++)
		if (strcmp(name, kinds[i]) == 0) {
			*ret = i;
			return 0;
		}
	return -EINVAL;
}

/* --- keys --- */

size_t cp_dial_key(char key[CP_DIAL_KEY_MAX], const char *folder, const char *name)
{
	return (size_t)snprintf(key, CP_DIAL_KEY_MAX, "%s%.*s", folder, CP_NUMBER_MAX + CP_PART_MAX, name);
}

size_t cp_pattern_key(char key[CP_DIAL_KEY_MAX], const char *partition, const char *pattern)
{
	size_t n = (size_t)snprintf(key, CP_DIAL_KEY_MAX, "pattern/%.*s/", CP_PART_MAX, partition);

	for (const char *p = pattern; *p != '\0' && n + 1 < CP_DIAL_KEY_MAX; p++)
		if (*p != '.') /* it says nothing about what fits */
			key[n++] = *p;
	key[n] = '\0';
	return n;
}

size_t cp_forward_key(char key[CP_DIAL_KEY_MAX], const char *number, const char *partition)
{
	return (size_t)snprintf(key, CP_DIAL_KEY_MAX, "forward/%.*s@%.*s", CP_NUMBER_MAX, number, CP_PART_MAX, partition);
}

void cp_forward_get(const struct cp_store *store, const char *number, const char *partition, struct cp_forward *ret)
{
	char key[CP_DIAL_KEY_MAX];
	const uint8_t *val;
	size_t len, n = cp_forward_key(key, number, partition);

	memset(ret, 0, sizeof(*ret));
	if (cp_store_get(store, CP_CF_DIAL, key, n, &val, &len) == 0 && cp_forward_parse(val, len, ret) == 0) {
		free(ret->unknown.data);
		ret->unknown = (struct cp_buf){0};
		return;
	}
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->number, sizeof(ret->number), "%s", number);
	snprintf(ret->partition, sizeof(ret->partition), "%s", partition);
}
