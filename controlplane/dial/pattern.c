/* SPDX-License-Identifier: BSD-3-Clause */
#include "pattern.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int no(char *why, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int no(char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (why != NULL && size > 0)
		vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

int cp_sym(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c == '*' ? 10 : c == '#' ? 11 : c == '+' ? 12 : -1;
}

char cp_sym_char(unsigned sym)
{
	return sym < CP_SYM_CNT ? "0123456789*#+"[sym] : '\0';
}

/* What is inside of [...]; 'at' is behind the bracket, and afterwards behind the closing one. */
static int parse_set(const char *text, size_t len, size_t *at, uint16_t *ret, char *why, size_t size)
{
	bool not = *at < len && text[*at] == '^';
	uint16_t mask = 0;
	int last = -1;

	if (not)
		++*at;
	for (; *at < len && text[*at] != ']'; ++*at) {
		int d = cp_sym(text[*at]);

		if (text[*at] == '-' && last >= 0 && *at + 1 < len && (d = cp_sym(text[*at + 1])) >= last && d <= 9) {
			for (int i = last; i <= d; i++)
				mask |= (uint16_t)(1u << i);
			last = -1;
			++*at;
		} else if (text[*at] != '-' && d >= 0 && d <= 11) {
			mask |= (uint16_t)(1u << d);
			last = d <= 9 ? d : -1;
		} else {
			return no(why, size, "a set holds digits, * and #, and ranges of digits as [1-4]");
		}
	}
	if (*at >= len)
		return no(why, size, "'[' has no ']'");
	++*at;
	if (not)
		mask = CP_SYM_DIGITS & (uint16_t)~mask;
	if (mask == 0)
		return no(why, size, "a set that nothing fits");
	*ret = mask;
	return 0;
}

static int refuse(char c, char *why, size_t size)
{
	if (c == '@')
		return no(why, size, "'@' needs a numbering plan, which is not known here: write its patterns out");
	if (c == '?' || (c >= 'A' && c <= 'D'))
		return no(why, size, "'%c' is not supported", c);
	if (c == '+')
		return no(why, size, "'+' is a digit at the beginning only; as a repetition it is not supported: use '!'");
	if (c >= 0x21 && c < 0x7f)
		return no(why, size, "'%c' is not part of a pattern: 0-9 * # + X [] ! .", c);
	return no(why, size, "a byte that is not part of a pattern");
}

static int add(struct cp_pat *p, uint16_t mask, char *why, size_t size)
{
	if (p->cnt == CP_PATTERN_ELEMS)
		return no(why, size, "it is longer than %d digits", CP_PATTERN_ELEMS);
	p->mask[p->cnt++] = mask;
	return 0;
}

static int parse_one(const char *text, size_t len, size_t *at, struct cp_pat *p, char *why, size_t size)
{
	char c = text[(*at)++];
	uint16_t mask = 0;
	int rc;

	if (c == ' ' || c == '-')
		return 0;
	if (c == '.') {
		if (p->dot >= 0)
			return no(why, size, "it has two '.'");
		p->dot = (int)p->cnt;
		return 0;
	}
	if (c == '[') {
		rc = parse_set(text, len, at, &mask, why, size);
		return rc < 0 ? rc : add(p, mask, why, size);
	}
	if (c == '!') {
		if (p->many >= 0)
			return no(why, size, "it has two '!'");
		p->many = (int)p->cnt;
		return add(p, CP_SYM_DIGITS, why, size);
	}
	if (c == 'X' || c == 'x')
		return add(p, CP_SYM_DIGITS, why, size);
	if (c == '\\' && *at < len && text[*at] == '+')
		c = text[(*at)++];
	if (cp_sym(c) < 0 || (c == '+' && p->cnt > 0))
		return refuse(c, why, size);
	return add(p, (uint16_t)(1u << cp_sym(c)), why, size);
}

int cp_pat_parse(const char *text, size_t len, struct cp_pat *ret, char *why, size_t size)
{
	struct cp_pat p = {.many = -1, .dot = -1};

	for (size_t at = 0; at < len;) {
		int rc = parse_one(text, len, &at, &p, why, size);

		if (rc < 0)
			return rc;
	}
	if (p.cnt == 0)
		return no(why, size, "it is empty");
	*ret = p;
	return 0;
}

/* One set, digits in order; runs of three and more as a range. */
static size_t put_set(char *out, uint16_t mask)
{
	size_t n = 0;

	out[n++] = '[';
	for (unsigned d = 0; d < CP_SYM_CNT; d++) {
		unsigned to = d;

		if ((mask & 1u << d) == 0)
			continue;
		while (to + 1 <= 9 && (mask & 1u << (to + 1)) != 0)
			to++;
		out[n++] = cp_sym_char(d);
		if (to >= d + 2) {
			out[n++] = '-';
			out[n++] = cp_sym_char(to);
			d = to;
		}
	}
	out[n++] = ']';
	return n;
}

int cp_pat_normal(const char *text, char *ret, char *why, size_t size)
{
	struct cp_pat p;
	size_t n = 0, len = strnlen(text, 4 * CP_PATTERN_MAX);
	int rc = cp_pat_parse(text, len, &p, why, size);

	for (unsigned i = 0; rc == 0 && i < p.cnt; i++) {
		char piece[20];
		size_t one = 1;

		if (p.dot == (int)i)
			piece[0] = '.', one = 2;
		if (p.many == (int)i)
			piece[one - 1] = '!';
		else if (p.mask[i] == CP_SYM_DIGITS)
			piece[one - 1] = 'X';
		else if ((p.mask[i] & (p.mask[i] - 1)) == 0)
			piece[one - 1] = cp_sym_char((unsigned)__builtin_ctz(p.mask[i]));
		else
			one = one - 1 + put_set(piece + one - 1, p.mask[i]);
		if (n + one + 2 > CP_PATTERN_MAX)
			return no(why, size, "it is longer than %d characters", CP_PATTERN_MAX - 1);
		memcpy(ret + n, piece, one);
		n += one;
	}
	if (rc < 0)
		return rc;
	if (p.dot == (int)p.cnt)
		ret[n++] = '.';
	ret[n] = '\0';
	return 0;
}

/* Which element a digit at this place would have to fit, in a number of 'len' digits: with one '!' there is one way only. */
static unsigned element(const struct cp_pat *p, size_t len, size_t at)
{
	size_t extra = len - p->cnt;

	if (p->many < 0 || at < (size_t)p->many)
		return (unsigned)at;
	return (unsigned)(at <= (size_t)p->many + extra ? (size_t)p->many : at - extra);
}

bool cp_pat_match(const struct cp_pat *p, const char *digits, cp_weight *ret_weight)
{
	size_t len = strnlen(digits, CP_PATTERN_ELEMS + 1);
	cp_weight w = 1;

	if (len > CP_PATTERN_ELEMS || len < p->cnt || (p->many < 0 && len != p->cnt))
		return false;
	for (size_t i = 0; i < len; i++) {
		uint16_t mask = p->mask[element(p, len, i)];
		int d = cp_sym(digits[i]);

		if (d < 0 || (mask & 1u << d) == 0)
			return false;
		w *= (unsigned)__builtin_popcount(mask);
	}
	if (ret_weight != NULL)
		*ret_weight = w;
	return true;
}

unsigned cp_pat_predot(const struct cp_pat *p, const char *digits)
{
	size_t len = strnlen(digits, CP_PATTERN_ELEMS + 1), extra = 0;

	if (p->dot < 0 || !cp_pat_match(p, digits, NULL))
		return 0;
	if (p->many >= 0 && p->many < p->dot)
		extra = len - p->cnt;
	return (unsigned)((size_t)p->dot + extra);
}

/* --- transformations --- */

static const char *const discards[CP_DISCARD_MAX] = {"none", "predot", "trailing-#", "predot-trailing-#", "all"};

const char *cp_discard_name(enum cp_discard d)
{
	return d < CP_DISCARD_MAX ? discards[d] : "?";
}

int cp_discard_parse(const char *name, enum cp_discard *ret)
{
	for (unsigned i = 0; i < CP_DISCARD_MAX; i++)
		if (strcmp(name, discards[i]) == 0) {
			*ret = (enum cp_discard)i;
			return 0;
		}
	return -EINVAL;
}

bool cp_mask_ok(const char *mask)
{
	size_t n = strnlen(mask, CP_PATTERN_ELEMS + 1);

	for (size_t i = 0; i < n; i++)
		if (mask[i] != 'X' && (cp_sym(mask[i]) < 0 || (mask[i] == '+' && i > 0)))
			return false;
	return n <= CP_PATTERN_ELEMS;
}

/* The mask laid over the number, both from the right: an X without a digit behind it is dropped. */
static size_t apply_mask(const char *number, size_t len, const char *mask, char *out)
{
	size_t m = strlen(mask), n = 0;

	for (size_t i = 0; i < m; i++) {
		size_t back = m - i; /* from the right, 1 is the last */

		if (mask[i] != 'X')
			out[n++] = mask[i];
		else if (back <= len)
			out[n++] = number[len - back];
	}
	return n;
}

int cp_xform(const char *number, unsigned predot, enum cp_discard discard, const char *mask, const char *prefix, char *ret, size_t size)
{
	char out[3 * CP_PATTERN_ELEMS + 1];
	size_t len = strnlen(number, CP_PATTERN_ELEMS + 1), pre = strnlen(prefix, CP_PATTERN_ELEMS + 1), n = 0;

	if (len > CP_PATTERN_ELEMS || pre > CP_PATTERN_ELEMS)
		return -EINVAL;
	if (discard == CP_DISCARD_ALL) {
		len = 0;
	} else if ((discard == CP_DISCARD_PREDOT || discard == CP_DISCARD_PREDOT_POUND) && predot <= len) {
		number += predot;
		len -= predot;
	}
	if ((discard == CP_DISCARD_POUND || discard == CP_DISCARD_PREDOT_POUND) && len > 0 && number[len - 1] == '#')
		len--;
	memcpy(out, prefix, pre);
	n = pre;
	if (mask[0] != '\0') {
		n += apply_mask(number, len, mask, out + n);
	} else {
		memcpy(out + n, number, len);
		n += len;
	}
	if (n == 0 || n >= size)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (cp_sym(out[i]) < 0 || (out[i] == '+' && (i > 0 || n == 1)))
			return -EINVAL;
	memcpy(ret, out, n);
	ret[n] = '\0';
	return 0;
}
