/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dial/pattern.c and trie.c. Lines of input: a pattern, digits, a caller's mask, a prefix; a fifth byte chooses what is discarded. What is
 * refused says why in one line; what is taken has one spelling, fits what its text says, as closely as that, in the tree, too; and what
 * comes of a number is a number.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dial/trie.h"
#include "dial_naive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)               \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

struct heard {
	unsigned cnt;
	struct cp_trie_hit hit;
};

static void on_hit(void *ctx, const struct cp_trie_hit *hit)
{
	struct heard *h = ctx;

	h->cnt++;
	h->hit = *hit;
}

static bool is_number(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < CP_NUMBER_MAX && strspn(s, NV_DIGITS) == n;
}

static void match(const struct cp_pat *pat, const char *text, const char *digits)
{
	bool fits = nv_fits(text, digits, false), more = nv_fits(text, digits, true);
	struct cp_trie *trie = cp_trie_create();
	struct heard h = {0};
	cp_weight weight = 0;

	REQUIRE(trie != NULL && cp_trie_set(trie, pat, text) == 0 && cp_trie_count(trie) == 1 && cp_trie_get(trie, pat) == text);
	REQUIRE(cp_pat_match(pat, digits, &weight) == fits);
	REQUIRE(!fits || weight == nv_weight(text, digits));
	REQUIRE(cp_pat_predot(pat, digits) == (fits ? nv_predot(text, digits) : 0));
	REQUIRE(cp_trie_match(trie, digits, on_hit, &h) == more && h.cnt == fits);
	REQUIRE(!fits || (h.hit.owner == text && h.hit.weight == weight && h.hit.many == (strchr(text, '!') != NULL)));
	REQUIRE(cp_trie_set(trie, pat, NULL) == 0 && cp_trie_count(trie) == 0 && cp_trie_get(trie, pat) == NULL);
	cp_trie_destroy(trie);
}

static void transform(const struct cp_pat *pat, const char *digits, const char *mask, const char *prefix, unsigned discard)
{
	char out[CP_NUMBER_MAX] = "before", naive[CP_NUMBER_MAX] = "";
	unsigned predot = cp_pat_predot(pat, digits);
	int rc;

	REQUIRE(predot <= strlen(digits));
	rc = cp_xform(digits, predot, (enum cp_discard)discard, mask, prefix, out, sizeof(out));
	REQUIRE((rc == 0) == nv_xform(digits, predot, discard, mask, prefix, naive));
	REQUIRE(strcmp(out, rc == 0 ? naive : "before") == 0 && (rc == 0 || rc == -EINVAL));
}

/* The next line into 'out', which has 200 bytes; what does not fit is cut off. Zeros end it. */
static const uint8_t *line(const uint8_t *p, const uint8_t *end, char *out)
{
	size_t n = 0;

	for (; p < end && *p != '\n'; p++)
		if (n < 199)
			out[n++] = (char)*p;
	out[n] = '\0';
	return p < end ? p + 1 : p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[200], digits[200], mask[200], prefix[200], normal[CP_PATTERN_MAX], again[CP_PATTERN_MAX], why[160] = "";
	const uint8_t *end = data + size, *p = data;
	struct cp_pat pat = {.cnt = 99}, same;
	char *exact;

	p = line(p, end, text);
	p = line(p, end, digits);
	p = line(p, end, mask);
	p = line(p, end, prefix);
	/* no byte behind it, as a record's has none */
	exact = malloc(strlen(text) > 0 ? strlen(text) : 1);
	REQUIRE(exact != NULL);
	memcpy(exact, text, strlen(text));
	if (cp_pat_parse(exact, strlen(text), &pat, why, sizeof(why)) < 0) {
		REQUIRE(pat.cnt == 99 && why[0] != '\0' && strchr(why, '\n') == NULL);
		free(exact);
		return 0;
	}
	free(exact);
	REQUIRE(pat.cnt > 0 && pat.cnt <= CP_PATTERN_ELEMS && pat.dot <= (int)pat.cnt && pat.many < (int)pat.cnt);
	if (cp_pat_normal(text, normal, why, sizeof(why)) < 0) /* it fits a number's digits, but not a record */
		return 0;
	REQUIRE(strlen(normal) < CP_PATTERN_MAX && cp_pat_normal(normal, again, why, sizeof(why)) == 0 && strcmp(normal, again) == 0);
	REQUIRE(cp_pat_parse(normal, strlen(normal), &same, NULL, 0) == 0 && same.cnt == pat.cnt && same.many == pat.many && same.dot == pat.dot &&
		memcmp(same.mask, pat.mask, pat.cnt * sizeof(pat.mask[0])) == 0);
	if (is_number(digits))
		match(&pat, normal, digits);
	if (is_number(digits) && cp_mask_ok(mask) && (prefix[0] == '\0' || is_number(prefix)))
		transform(&pat, digits, mask, prefix, p < end ? *p % CP_DISCARD_MAX : 0);
	return 0;
}
