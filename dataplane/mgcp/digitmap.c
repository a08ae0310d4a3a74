/* SPDX-License-Identifier: BSD-3-Clause */
#include "digitmap.h"

#include <errno.h>
#include <string.h>

#define REPEAT (1u << 31)
#define ANY    0x3ffu /* 0 to 9 */

static const char symbols[] = "0123456789*#ABCDT";

/* Its bit; 0: no symbol of a digit map. */
static uint32_t symbol(char c)
{
	const char *at;

	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	at = c != '\0' ? strchr(symbols, c) : NULL;
	return at != NULL ? 1u << (at - symbols) : 0;
}

/* "[0-27*]", the bracket has been read. Moves *at behind its end; 0: malformed. */
static uint32_t range(const char *s, size_t len, size_t *at)
{
	uint32_t set = 0;

	while (*at < len && s[*at] != ']') {
		uint32_t bit = symbol(s[(*at)++]), last;

		if (bit == 0)
			return 0;
		if (*at + 1 < len && s[*at] == '-') {
			last = symbol(s[*at + 1]);
			if ((bit & ANY) == 0 || (last & ANY) == 0 || last < bit)
				return 0;
			bit = (last << 1) - bit;
			*at += 2;
		}
		set |= bit;
	}
	if (*at == len)
		return 0;
	(*at)++;
	return set;
}

int dp_digitmap_compile(const char *s, size_t len, struct dp_digitmap *ret)
{
	size_t at = 0;
	uint16_t n = 0, alts = 0;

	memset(ret, 0, sizeof(*ret));
	if (len > 0 && s[0] == '(') {
		if (len < 2 || s[len - 1] != ')')
			return -EBADMSG;
		s++;
		len -= 2;
	} else if (memchr(s, '|', len) != NULL) {
		return -EBADMSG; /* a list has its brackets */
	}
	do {
		uint16_t first = n;

		if (alts == DP_DIGITMAP_ALTS)
			return -E2BIG;
		while (at < len && s[at] != '|') {
			char c = s[at++];
			uint32_t set = c == 'x' || c == 'X' ? ANY : c == '[' ? range(s, len, &at) : symbol(c);

			if (set == 0)
				return -EBADMSG;
			if (at < len && s[at] == '.') {
				set |= REPEAT;
				at++;
			}
			if (n == DP_DIGITMAP_ALL || n - first == DP_DIGITMAP_LEN)
				return -E2BIG;
			ret->pos[n++] = set;
		}
		if (n == first)
			return -EBADMSG;
		ret->first[alts++] = first;
	} while (at++ < len);
	ret->first[alts] = n;
	ret->alt_cnt = alts;
	return 0;
}

/* Positions that may be next, and those behind them that need nothing. */
static uint64_t skip(const uint32_t *pos, uint16_t n, uint64_t at)
{
	for (uint16_t i = 0; i < n; i++)
		if ((at >> i & 1) != 0 && (pos[i] & REPEAT) != 0)
			at |= 1ull << (i + 1);
	return at;
}

static uint64_t step(const uint32_t *pos, uint16_t n, uint64_t at, uint32_t bit)
{
	uint64_t next = 0;

	for (uint16_t i = 0; i < n; i++)
		if ((at >> i & 1) != 0 && (pos[i] & bit) != 0)
			next |= 1ull << ((pos[i] & REPEAT) != 0 ? i : i + 1);
	return skip(pos, n, next);
}

enum dp_dial dp_digitmap_match(const struct dp_digitmap *map, const char *dialled, size_t n, bool *ret_timer)
{
	bool partial = false, match = false, timer = false;

	for (uint16_t a = 0; a < map->alt_cnt; a++) {
		const uint32_t *pos = &map->pos[map->first[a]];
		uint16_t len = (uint16_t)(map->first[a + 1] - map->first[a]);
		uint64_t at = skip(pos, len, 1);

		for (size_t i = 0; i < n && at != 0; i++)
			at = step(pos, len, at, symbol(dialled[i]));
		match |= (at >> len & 1) != 0;
		partial |= at != 0;
		timer |= (step(pos, len, at, symbol('T')) >> len & 1) != 0;
	}
	/* Nothing dialled is no match yet, though "x." would allow it. */
	match = match && n > 0;
	if (ret_timer != NULL)
		*ret_timer = timer && !match;
	return match ? DP_DIAL_MATCH : partial ? DP_DIAL_PARTIAL : DP_DIAL_IMPOSSIBLE;
}
