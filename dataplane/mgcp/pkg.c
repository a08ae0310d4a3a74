/* SPDX-License-Identifier: BSD-3-Clause */
#include "pkg.h"

#include <errno.h>
#include <string.h>

#include "digitmap.h"
#include "sdp.h"

/* Each name between blanks. RFC 3660 s2.1 (G), s2.2 (D), s2.4 (T), s2.5 (L), s2.6 (H), s2.7 (R). */
static const struct {
	const char *name, *events, *signals;
} pkgs[DP_PKG_CNT] = {
	[DP_PKG_L] = {"L", " aw hd hf hu lsa oc of ",
	              " adsi bz ci dl e ht lsa mwi nbz osi ot p r0 r1 r2 r3 r4 r5 r6 r7 rg ro rs s sit sl v vmwi wt wt1 wt2 wt3 wt4 y z "},
	[DP_PKG_D] = {"D", " 0 1 2 3 4 5 6 7 8 9 # * a b c d l x t oc of ", " 0 1 2 3 4 5 6 7 8 9 # * a b c d dd do "},
	[DP_PKG_T] = {"T", " as bl co1 co2 oc of ", " as bl bz co1 co2 ct lb mm nm om pst qt ro sit tl tp zz "},
	[DP_PKG_R] = {"R", " co1 co2 iu ji ma oc of pl qa rto sr uc ", " co1 co2 ct "},
	[DP_PKG_G] = {"G", " ft ld mt oc of pat ", " cf cg it pt rbk rt "},
	/* the line package with what is heard and what is done exchanged */
	[DP_PKG_HS] = {"H", " aw bz ci dl e hd hf hu ht lsa mwi nbz oc of osi ot p r0 r1 r2 r3 r4 r5 r6 r7 rg ro rs s sit sl v vmwi wt ",
	              " aw hd hf hu lsa "},
	[DP_PKG_SRTP] = {"SRTP", " ", " "},
};

const char *dp_pkg_name(enum dp_mgcp_pkg pkg)
{
	return pkg < DP_PKG_CNT ? pkgs[pkg].name : "";
}

int dp_pkg_find(const struct dp_mgcp_str *name)
{
	for (int i = 0; i < DP_PKG_CNT; i++)
		if (dp_mgcp_str_is(name, pkgs[i].name))
			return i;
	return -1;
}

/* --- reading a list --- */

struct in {
	const char *s, *end;
};

static char peek(const struct in *in)
{
	return in->s < in->end ? *in->s : '\0';
}

static void blanks(struct in *in)
{
	while (peek(in) == ' ' || peek(in) == '\t')
		in->s++;
}

static bool take(struct in *in, char c)
{
	blanks(in);
	if (peek(in) != c)
		return false;
	in->s++;
	return true;
}

static bool word_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '#' ||
	       c == '*' || c == '$';
}

static struct dp_mgcp_str word(struct in *in)
{
	struct dp_mgcp_str w = {in->s, 0};

	while (word_char(peek(in))) {
		in->s++;
		w.len++;
	}
	return w;
}

static bool listed(const char *table, const struct dp_mgcp_str *name)
{
	for (const char *p = table; *p != '\0';) {
		const char *end;
		struct dp_mgcp_str have;

		p++;
		end = strchr(p, ' ');
		if (end == NULL)
			return false;
		have = (struct dp_mgcp_str){p, (uint16_t)(end - p)};
		if (have.len == name->len) {
			uint16_t i = 0;

			while (i < have.len && (name->s[i] | (name->s[i] >= 'A' && name->s[i] <= 'Z' ? 0x20 : 0)) == have.s[i])
				i++;
			if (i == have.len)
				return true;
		}
		p = end;
	}
	return false;
}

/* "[0-9#*T]" of D: a digit map of one position. The bracket is next. */
static bool digit_range(struct in *in)
{
	const char *close = memchr(in->s, ']', (size_t)(in->end - in->s));
	struct dp_digitmap map;

	if (close == NULL || dp_digitmap_compile(in->s, (size_t)(close + 1 - in->s), &map) < 0)
		return false;
	in->s = close + 1;
	return true;
}

/* What follows an opening bracket up to the one that closes it, unread: quoted strings may hold anything. */
static bool balanced(struct in *in)
{
	unsigned depth = 1;

	for (; in->s < in->end; in->s++) {
		if (*in->s == '"') {
			do
				in->s++;
			while (in->s < in->end && *in->s != '"');
			if (in->s == in->end)
				return false;
		} else if (*in->s == '(') {
			if (++depth > 4)
				return false;
		} else if (*in->s == ')' && --depth == 0) {
			in->s++;
			return true;
		}
	}
	return false;
}

static int item_list(struct in *in, bool signals, unsigned depth, uint32_t *pkgs_used);

/* "E(R(..), S(..), D(..))", the E has been read. One inside another is not there (RFC 3435 s2.3.3). */
static int embedded(struct in *in, unsigned depth, uint32_t *pkgs_used)
{
	int rc = 0;

	if (depth > 0 || !take(in, '('))
		return -EBADMSG;
	do {
		char kind;

		blanks(in);
		kind = (char)(peek(in) | 0x20);
		if (in->s < in->end)
			in->s++;
		if (!take(in, '('))
			return -EBADMSG;
		if (kind == 'd') {
			const char *begin = in->s;
			struct dp_digitmap map;

			if (peek(in) == '(') { /* "D((..))" */
				in->s++;
				if (!balanced(in))
					return -EBADMSG;
				rc = dp_digitmap_compile(begin, (size_t)(in->s - begin), &map);
				if (rc == 0 && !take(in, ')'))
					rc = -EBADMSG;
			} else {
				if (!balanced(in))
					return -EBADMSG;
				/* "D(xxx|x11)" is written too: the brackets around are those of the list. */
				rc = dp_digitmap_compile(begin - 1, (size_t)(in->s - begin + 1), &map);
			}
		} else if (kind == 'r' || kind == 's') {
			rc = item_list(in, kind == 's', depth + 1, pkgs_used);
			if (rc == 0 && !take(in, ')'))
				rc = -EBADMSG;
		} else {
			rc = -EBADMSG;
		}
	} while (rc == 0 && take(in, ','));
	return rc != 0 ? rc : take(in, ')') ? 0 : -EBADMSG;
}

static int actions(struct in *in, unsigned depth, uint32_t *pkgs_used)
{
	int rc;

	do {
		char a;

		blanks(in);
		a = (char)(peek(in) | 0x20);
		if (in->s == in->end || strchr("nadsike", a) == NULL)
			return in->s == in->end ? -EBADMSG : -ENOTSUP;
		in->s++;
		if (word_char(peek(in)))
			return -ENOTSUP; /* C, X and other longer ones */
		if (a == 'e') {
			rc = embedded(in, depth, pkgs_used);
			if (rc < 0)
				return rc;
		}
	} while (take(in, ','));
	return take(in, ')') ? 0 : -EBADMSG;
}

/* "L/hd@1A2F(N)(par)", "D/[0-9#T](D)", "hu", "G/rt(to=3000)" */
static int item(struct in *in, bool signals, unsigned depth, uint32_t *pkgs_used)
{
	struct dp_mgcp_str name;
	bool known = false, range = false;
	int pkg = -1, rc;

	blanks(in);
	name = word(in);
	if (name.len > 0 && peek(in) == '/') {
		in->s++;
		pkg = dp_pkg_find(&name);
		if (pkg < 0 && !(name.len == 1 && name.s[0] == '*'))
			return -ENOTSUP;
		name = word(in);
	}
	if (name.len == 0 && peek(in) == '[') {
		if (signals || !digit_range(in))
			return -EBADMSG;
		range = true;
		if (pkg >= 0 && pkg != DP_PKG_D)
			return -ENOTSUP;
		pkg = DP_PKG_D;
	} else if (name.len == 0) {
		return -EBADMSG;
	}
	for (int p = pkg >= 0 ? pkg : 0; !range && p < (pkg >= 0 ? pkg + 1 : DP_PKG_CNT); p++)
		known |= listed(signals ? pkgs[p].signals : pkgs[p].events, &name);
	if (!range && !known && !(!signals && pkg != DP_PKG_SRTP && (dp_mgcp_str_is(&name, "all") || dp_mgcp_str_is(&name, "*"))))
		return -ENOTSUP;
	if (pkg >= 0)
		*pkgs_used |= 1u << pkg;
	if (peek(in) == '@') {
		in->s++;
		name = word(in);
		if (!dp_mgcp_id_valid(&name) && !dp_mgcp_str_is(&name, "$") && !dp_mgcp_str_is(&name, "*"))
			return -EBADMSG;
	}
	if (!take(in, '('))
		return 0;
	if (signals)
		return balanced(in) ? 0 : -EBADMSG;
	rc = actions(in, depth, pkgs_used);
	if (rc < 0)
		return rc;
	return !take(in, '(') || balanced(in) ? 0 : -EBADMSG;
}

static int item_list(struct in *in, bool signals, unsigned depth, uint32_t *pkgs_used)
{
	int rc;

	do
		rc = item(in, signals, depth, pkgs_used);
	while (rc == 0 && take(in, ','));
	return rc;
}

static int whole_list(const struct dp_mgcp_str *list, bool signals, uint32_t *ret_pkgs)
{
	struct in in = {list->s, list->s + list->len};
	uint32_t used = 0;
	int rc = 0;

	blanks(&in);
	if (in.s < in.end) /* an empty one ends what was asked for */
		rc = item_list(&in, signals, 0, &used);
	blanks(&in);
	if (rc == 0 && in.s < in.end)
		rc = -EBADMSG;
	if (rc == 0)
		*ret_pkgs = used;
	return rc;
}

int dp_pkg_events(const struct dp_mgcp_str *list, uint32_t *ret_pkgs)
{
	return whole_list(list, false, ret_pkgs);
}

int dp_pkg_signals(const struct dp_mgcp_str *list, uint32_t *ret_pkgs)
{
	return whole_list(list, true, ret_pkgs);
}

/* --- parameters of a command --- */

/* The words of a list, each one of 'known' ("|a|b|"). */
static int words(const struct dp_mgcp_str *v, const char *known)
{
	struct in in = {v->s, v->s + v->len};

	do {
		struct dp_mgcp_str w;
		const char *p = known;

		blanks(&in);
		w = word(&in);
		if (w.len == 0)
			return -EBADMSG;
		for (;;) {
			char one[16];
			const char *end = strchr(p + 1, '|');

			if (end == NULL)
				return -ENOTSUP;
			memcpy(one, p + 1, (size_t)(end - p - 1));
			one[end - p - 1] = '\0';
			if (dp_mgcp_str_is(&w, one))
				break;
			p = end;
		}
	} while (take(&in, ','));
	blanks(&in);
	return in.s == in.end ? 0 : -EBADMSG;
}

/* "[name@]host[:port]" */
static int entity(const struct dp_mgcp_str *v)
{
	if (v->len == 0 || v->s[0] == '@' || v->s[v->len - 1] == '@' || v->s[v->len - 1] == ':')
		return -EBADMSG;
	for (uint16_t i = 0; i < v->len; i++)
		if (v->s[i] <= ' ' || v->s[i] == ',')
			return -EBADMSG;
	return 0;
}

static int one_param(uint8_t verb, uint8_t id, const struct dp_mgcp_str *v, uint32_t *pkgs_used)
{
	bool request = verb == DP_MGCP_RQNT || verb == DP_MGCP_DLCX;
	bool audit = verb == DP_MGCP_AUEP || verb == DP_MGCP_AUCX;
	struct dp_digitmap map;

	if (request && (id == DP_MGCP_P_R || id == DP_MGCP_P_T))
		return dp_pkg_events(v, pkgs_used);
	if (request && id == DP_MGCP_P_S)
		return dp_pkg_signals(v, pkgs_used);
	if (request && id == DP_MGCP_P_D)
		return dp_digitmap_compile(v->s, v->len, &map);
	if (request && id == DP_MGCP_P_Q)
		return words(v, "|process|discard|step|loop|");
	if (request && id == DP_MGCP_P_N)
		return entity(v);
	if (verb == DP_MGCP_EPCF && id == DP_MGCP_P_B)
		return dp_mgcp_str_is(v, "e:A") || dp_mgcp_str_is(v, "e:mu") ? 0 : -ENOTSUP;
	if (audit && id == DP_MGCP_P_F) /* LC and RC would bring descriptions with keys */
		return v->len == 0 ? 0 : words(v, verb == DP_MGCP_AUEP ? "|A|ES|R|D|S|X|N|I|T|O|Q|B|RM|RD|E|PL|MD|" : "|C|N|L|M|P|");
	return -EBADMSG;
}

int dp_mgcp_params_check(uint8_t verb, const char *params, size_t size, uint32_t *ret_pkgs)
{
	const char *s = params, *end = memchr(params, '\0', size);
	uint64_t seen = 0;

	*ret_pkgs = 0;
	if (end == NULL)
		return -EBADMSG;
	while (s < end) {
		const char *nl = memchr(s, '\n', (size_t)(end - s));
		struct dp_mgcp_param p;
		uint32_t used = 0;
		int rc;

		if (nl == NULL || dp_mgcp_param_line(s, (size_t)(nl - s), &p) < 0 || (seen >> p.id & 1) != 0)
			return -EBADMSG;
		seen |= 1ull << p.id;
		rc = one_param(verb, p.id, &p.value, &used);
		if (rc < 0)
			return rc;
		*ret_pkgs |= used;
		s = nl + 1;
	}
	return verb != DP_MGCP_EPCF || (seen >> DP_MGCP_P_B & 1) != 0 ? 0 : -EBADMSG;
}

/* --- what gateways say --- */

static struct dp_mgcp_str cut(struct dp_mgcp_str *rest, char at)
{
	struct dp_mgcp_str head = *rest;
	const char *p = memchr(rest->s, at, rest->len);

	if (p != NULL) {
		head.len = (uint16_t)(p - rest->s);
		rest->s = p + 1;
		rest->len = (uint16_t)(rest->len - head.len - 1);
	} else {
		rest->s += rest->len;
		rest->len = 0;
	}
	while (head.len > 0 && (head.s[0] == ' ' || head.s[0] == '\t')) {
		head.s++;
		head.len--;
	}
	while (head.len > 0 && (head.s[head.len - 1] == ' ' || head.s[head.len - 1] == '\t'))
		head.len--;
	return head;
}

static void caps_word(struct dp_mgcp_caps *caps, const struct dp_mgcp_str *key, const struct dp_mgcp_str *w)
{
	int pkg;

	if (w->len == 0)
		return;
	if (dp_mgcp_str_is(key, "v")) {
		pkg = dp_pkg_find(w);
		caps->listed = true;
		if (pkg >= 0)
			caps->pkgs |= 1u << pkg;
		else
			caps->others++;
	}
	for (uint8_t m = 1; dp_mgcp_str_is(key, "m") && m < DP_MGCP_M_MAX; m++)
		if (dp_mgcp_str_is(w, dp_mgcp_mode_name(m)))
			caps->modes |= 1u << m;
	for (unsigned a = 1; dp_mgcp_str_is(key, "a") && a < DP_AUDIO_MAX; a++)
		if (dp_mgcp_str_is(w, dp_sdp_audio_name(a)))
			caps->audio |= 1u << a;
}

void dp_mgcp_caps_add(struct dp_mgcp_caps *caps, const struct dp_mgcp_str *value)
{
	struct dp_mgcp_str rest = *value;

	while (rest.len > 0) {
		struct dp_mgcp_str item = cut(&rest, ','), key = cut(&item, ':');

		while (item.len > 0) {
			struct dp_mgcp_str w = cut(&item, ';');

			caps_word(caps, &key, &w);
		}
	}
}

int dp_mgcp_stat_parse(const struct dp_mgcp_str *value, struct dp_mgcp_stat *ret)
{
	static const char names[DP_MGCP_STAT_CNT][3] = {"PS", "OS", "PR", "OR", "PL", "JI", "LA"};
	struct dp_mgcp_stat stat = {0};
	struct dp_mgcp_str rest = *value;

	while (rest.len > 0) {
		struct dp_mgcp_str item = cut(&rest, ','), name = cut(&item, '=');
		uint64_t v = 0;
		bool ours = false;
		unsigned i;

		for (i = 0; i < DP_MGCP_STAT_CNT && !ours; i++)
			ours = dp_mgcp_str_is(&name, names[i]);
		if (name.len == 0 || (ours && item.len == 0))
			return -EBADMSG;
		if (!ours)
			continue;
		for (uint16_t k = 0; k < item.len; k++) {
			if (item.s[k] < '0' || item.s[k] > '9')
				return -EBADMSG;
			v = v * 10 + (uint64_t)(item.s[k] - '0');
			v = v < UINT32_MAX ? v : UINT32_MAX;
		}
		stat.have |= 1u << (i - 1);
		stat.value[i - 1] = (uint32_t)v;
	}
	*ret = stat;
	return 0;
}
