/* SPDX-License-Identifier: BSD-3-Clause */
/* Steps of a plan: from words, to words, and what the cluster serves behind them. */
#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "model.h"
#include "why.h"

int cp_tm_ident_parse(const char *name, enum cp_tm_ident *ret)
{
	for (unsigned i = 0; i < CP_TM_IDENTS; i++)
		if (strcasecmp(name, cp_tm_ident_name(i)) == 0) {
			*ret = (enum cp_tm_ident)i;
			return 0;
		}
	return -ENOENT;
}

const char *cp_tm_step_name(const struct cp_tm_step *step, char *buf, size_t size)
{
	static const char *const form[CP_TM_OPS] = {
		[CP_TM_REGEN] = "regenerate ",	     [CP_TM_RETURN] = "restore ",
		[CP_TM_SIGN_ITL] = "sign itl with ", [CP_TM_SIGN_CTL] = "sign ctl with ",
		[CP_TM_UPDATE_CTL] = "update ctl",   [CP_TM_REMOVE_CTL] = "remove ctl ",
		[CP_TM_RETIRE] = "retire ",	     [CP_TM_MIXED] = "mode mixed",
		[CP_TM_NONSECURE] = "mode nonsecure", [CP_TM_ROLLBACK_ON] = "rollback on",
		[CP_TM_ROLLBACK_OFF] = "rollback off",
	};

	snprintf(buf, size, "%s%s", step->op < CP_TM_OPS ? form[step->op] : "?",
		 step->op == CP_TM_SIGN_ITL ? cp_tm_with_name(step->with) :
		 step->ident >= 0	    ? cp_tm_ident_name((unsigned)step->ident) :
		 step->op == CP_TM_RETURN   ? "all" :
					      "");
	return buf;
}

/* --- words --- */

struct words {
	char text[160];
	char *w[6];
	unsigned n;
};

static int split(const char *text, struct words *ret)
{
	char *save = NULL;

	memset(ret, 0, sizeof(*ret));
	if (strlen(text) >= sizeof(ret->text))
		return -EINVAL;
	strcpy(ret->text, text);
	for (char *w = strtok_r(ret->text, " \t", &save); w != NULL; w = strtok_r(NULL, " \t", &save)) {
		if (ret->n == sizeof(ret->w) / sizeof(ret->w[0]))
			return -EINVAL;
		ret->w[ret->n++] = w;
	}
	return ret->n > 0 ? 0 : -EINVAL;
}

static bool is(const struct words *w, unsigned i, const char *text)
{
	return i < w->n && strcasecmp(w->w[i], text) == 0;
}

static int ident_word(const struct words *w, unsigned i, struct cp_tm_step *s, char *why, size_t size)
{
	enum cp_tm_ident ident;

	if (i + 1 != w->n)
		return cfg_no(why, size, -EINVAL, "%s: one certificate's name is wanted", w->w[0]);
	if (cp_tm_ident_parse(w->w[i], &ident) < 0)
		return cfg_no(why, size, -EINVAL,
			      "%.64s: not a certificate of ours (CallManager, TVS, TFTP, CAPF, CAPF-TLS, SAST1, SAST2, ITLRecovery, TFTP-EC)",
			      w->w[i]);
	s->ident = (int)ident;
	return 0;
}

static int with_word(const struct words *w, unsigned i, struct cp_tm_step *s, char *why, size_t size)
{
	s->op = CP_TM_SIGN_ITL;
	for (unsigned k = 0; i + 1 == w->n && k < CP_TM_WITHS; k++)
		if (strcasecmp(w->w[i], cp_tm_with_name(k)) == 0) {
			s->with = (enum cp_tm_with)k;
			return 0;
		}
	return cfg_no(why, size, -EINVAL, "an ITL is signed with auto, TFTP, TFTP.prev or ITLRecovery");
}

static int step_words(const struct words *w, struct cp_tm_step *s, char *why, size_t size)
{
	bool ctl = is(w, 1, "ctl");

	if (is(w, 0, "regenerate") || is(w, 0, "regen") || is(w, 0, "renew")) {
		s->op = CP_TM_REGEN;
		return ident_word(w, 1, s, why, size);
	}
	if (is(w, 0, "restore")) {
		s->op = CP_TM_RETURN;
		return w->n == 1 || (w->n == 2 && is(w, 1, "all")) ? 0 : ident_word(w, 1, s, why, size);
	}
	if (is(w, 0, "retire")) {
		s->op = CP_TM_RETIRE;
		return ident_word(w, 1, s, why, size);
	}
	if (is(w, 0, "sign") && ctl && is(w, 2, "with")) {
		s->op = CP_TM_SIGN_CTL;
		return ident_word(w, 3, s, why, size);
	}
	if (is(w, 0, "sign") && is(w, 1, "itl") && is(w, 2, "with"))
		return with_word(w, 3, s, why, size);
	if (is(w, 0, "sign") && is(w, 1, "with"))
		return with_word(w, 2, s, why, size);
	if (is(w, 0, "remove") && ctl) {
		s->op = CP_TM_REMOVE_CTL;
		return ident_word(w, 2, s, why, size);
	}
	if (is(w, 0, "update") && ctl && w->n == 2) {
		s->op = CP_TM_UPDATE_CTL;
		return 0;
	}
	if (is(w, 0, "mode") && w->n == 2 && (is(w, 1, "mixed") || is(w, 1, "nonsecure"))) {
		s->op = is(w, 1, "mixed") ? CP_TM_MIXED : CP_TM_NONSECURE;
		return 0;
	}
	if (is(w, 0, "rollback") && (w->n == 1 || (w->n == 2 && (is(w, 1, "on") || is(w, 1, "off"))))) {
		s->op = is(w, 1, "off") ? CP_TM_ROLLBACK_OFF : CP_TM_ROLLBACK_ON;
		return 0;
	}
	return cfg_no(why, size, -EINVAL,
		      "%.64s ...: not a change (regenerate NAME, retire NAME, restore [NAME], sign itl with auto|TFTP|TFTP.prev|"
		      "ITLRecovery, sign ctl with NAME, remove ctl NAME, update ctl, mode mixed|nonsecure, rollback on|off)",
		      w->w[0]);
}

int cp_tm_step_parse(const char *text, struct cp_tm_step *ret, char *why, size_t why_size)
{
	struct cp_tm_step s = {.ident = -1};
	struct words w;
	int rc;

	if (split(text, &w) < 0)
		return cfg_no(why, why_size, -EINVAL, "a change has one to six words");
	rc = step_words(&w, &s, why, why_size);
	if (rc == 0)
		*ret = s;
	return rc;
}

/* --- the world behind --- */

static void fresh(struct cp_tm_world *w, unsigned ident, uint8_t ret[CP_TM_ID])
{
	char text[64];
	int n = snprintf(text, sizeof(text), "to be made: %s %u", cp_tm_ident_name(ident), w->fresh++);

	SHA256((const unsigned char *)text, (size_t)n, ret);
}

static void list_remove(struct cp_tm_list *list, const uint8_t id[CP_TM_ID])
{
	unsigned n = 0;

	for (unsigned i = 0; i < list->cnt; i++)
		if (memcmp(list->e[i].id, id, CP_TM_ID) != 0)
			list->e[n++] = list->e[i];
	list->cnt = n;
}

static void list_add(struct cp_tm_list *list, unsigned role, const struct cp_tm_cert *cert)
{
	if (!cert->have || list->cnt == PKI_TL_REC_MAX)
		return;
	list->e[list->cnt].role = (uint16_t)role;
	memcpy(list->e[list->cnt++].id, cert->id, CP_TM_ID);
}

/* The ITL follows the certificates by itself, and is made in the same way as itl.c makes it. */
int cp_tm_itl(struct cp_tm_world *w, char *why, size_t why_size)
{
	const struct cp_tm_cert *tftp = &w->ident[CP_TM_TFTP], *recovery = &w->ident[CP_TM_ITLRECOVERY];
	struct cp_tm_cert prev = w->prev[CP_TM_TFTP];
	const struct cp_tm_cert *signer = tftp, *second = recovery;
	enum cp_tm_with with = w->with;
	struct cp_tm_list *l = &w->itl.list, old = *l;
	bool same;

	if (prev.have && memcmp(prev.id, tftp->id, CP_TM_ID) == 0)
		prev.have = false;
	if (with == CP_TM_WITH_AUTO || (with == CP_TM_WITH_PREV && !prev.have))
		with = prev.have ? CP_TM_WITH_PREV : CP_TM_WITH_TFTP;
	if (with != CP_TM_WITH_TFTP) {
		signer = with == CP_TM_WITH_PREV ? &prev : recovery;
		second = tftp;
	}
	if (!signer->have)
		return cfg_no(why, why_size, -EPROTO, "there is no %s to sign the ITL with", cp_tm_with_name(with));
	l->cnt = 0;
	if (!w->rollback) {
		list_add(l, PKI_TL_SAST, signer);
		list_add(l, PKI_TL_SAST, second);
		list_add(l, PKI_TL_TFTP, tftp);
		list_add(l, PKI_TL_TFTP, &prev);
		if (w->modern)
			list_add(l, PKI_TL_TFTP, &w->ident[CP_TM_TFTP_EC]);
		list_add(l, PKI_TL_TVS, &w->ident[CP_TM_TVS]);
		list_add(l, PKI_TL_CAPF, &w->ident[CP_TM_CAPF]);
		list_add(l, PKI_TL_CAPF, &w->ident[CP_TM_CAPF_TLS]);
		if (w->mixed && !cp_tm_list_has(&w->ctl.list, w->ident[CP_TM_CALLMANAGER].id, cp_tm_role(PKI_TL_CCM)))
			list_add(l, PKI_TL_CCM, &w->ident[CP_TM_CALLMANAGER]);
	}
	same = w->itl.served && cp_tm_list_equal(l, &old) && memcmp(w->itl.signer, signer->id, CP_TM_ID) == 0;
	if (!same) /* else there is nothing to make */
		memset(l->file, 0, sizeof(l->file));
	w->itl.served = true;
	memcpy(w->itl.signer, signer->id, CP_TM_ID);
	return 0;
}

static void regen(struct cp_tm_world *w, unsigned ident, const struct cp_tm_step *s)
{
	w->prev[ident] = w->ident[ident];
	w->ident[ident].have = true;
	if (s->has_to)
		memcpy(w->ident[ident].id, s->to, CP_TM_ID);
	else
		fresh(w, ident, w->ident[ident].id);
}

static int go_back(struct cp_tm_world *w, int ident, char *why, size_t size)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CP_TM_IDENTS; i++) {
		if ((ident >= 0 && (unsigned)ident != i) || !w->prev[i].have)
			continue;
		w->ident[i] = w->prev[i];
		w->prev[i].have = false; /* a backup brings its own keys, not those made since */
		n++;
	}
	return n > 0 ? 0 : cfg_no(why, size, -EPROTO, "%s: nothing older is known to return to",
				  ident >= 0 ? cp_tm_ident_name((unsigned)ident) : "restore");
}

/* --- the CTL: as ctlop.c makes it --- */

static const struct {
	uint16_t role;
	enum cp_tm_ident ident;
} servers[] = {
	{PKI_TL_CCM, CP_TM_CALLMANAGER}, {PKI_TL_TFTP, CP_TM_TFTP},     {PKI_TL_TFTP, CP_TM_TFTP_EC},
	{PKI_TL_CAPF, CP_TM_CAPF},       {PKI_TL_CAPF, CP_TM_CAPF_TLS},
};

static bool ours(const struct cp_tm_world *w, int ident, const uint8_t id[CP_TM_ID], bool prev)
{
	const struct cp_tm_cert *c = ident < 0 ? NULL : prev ? &w->prev[ident] : &w->ident[ident];

	return c != NULL && c->have && memcmp(c->id, id, CP_TM_ID) == 0;
}

static int token_find(const struct cp_tm_world *w, const uint8_t id[CP_TM_ID])
{
	for (unsigned i = 0; i < w->token_cnt; i++)
		if (memcmp(w->token[i].id, id, CP_TM_ID) == 0)
			return (int)i;
	return -1;
}

static void token_add(struct cp_tm_world *w, int ident, const uint8_t id[CP_TM_ID])
{
	struct cp_tm_token *t = &w->token[w->token_cnt];

	if (w->token_cnt == CP_TM_TOKENS)
		return;
	*t = (struct cp_tm_token){.ident = ident};
	memcpy(t->id, id, CP_TM_ID);
	w->token_cnt++;
}

static void token_drop(struct cp_tm_world *w, unsigned i)
{
	memmove(&w->token[i], &w->token[i + 1], (--w->token_cnt - i) * sizeof(w->token[0]));
}

/* Who may sign the next CTL: a SAST of the one in force whose key is here; rather one that is not about to go, rather the last. */
static int ctl_signer(const struct cp_tm_world *w, bool first, unsigned *ret, char *why, size_t size)
{
	int score = 0;

	for (unsigned i = 0; i < w->token_cnt; i++) {
		const struct cp_tm_token *t = &w->token[i];
		bool now = !t->prev && ours(w, t->ident, t->id, false), was = ours(w, t->ident, t->id, true);
		int s = 1 + 4 * now + 2 * (memcmp(t->id, w->ctl.signer, CP_TM_ID) == 0);

		if ((!first && !t->in_file) || (!now && !was) || s <= score)
			continue;
		score = s;
		*ret = i;
	}
	return score > 0 ? 0 : cfg_no(why, size, -EPROTO, "no key is here of a SAST that the CTL in force names");
}

/* Is the key here of a SAST that the CTL in force names? */
static bool ctl_key(const struct cp_tm_world *w)
{
	unsigned signer;

	return ctl_signer(w, false, &signer, NULL, 0) == 0;
}

/* Tokens made anew take the place of the old ones, the signer stays for this once; who led phones over before goes. */
static void ctl_refresh(struct cp_tm_world *w, unsigned signer)
{
	unsigned cnt = w->token_cnt;

	for (unsigned i = 0; i < cnt; i++) {
		struct cp_tm_token *t = &w->token[i];
		const struct cp_tm_cert *now = t->ident >= 0 && !t->prev ? &w->ident[t->ident] : NULL;

		if (now == NULL || !now->have || token_find(w, now->id) >= 0)
			continue;
		if (i == signer) {
			t->prev = true;
			token_add(w, t->ident, now->id);
		} else {
			memcpy(t->id, now->id, CP_TM_ID);
		}
	}
	for (unsigned i = cnt; i-- > 0;)
		if (i != signer && w->token[i].ident >= 0 && w->token[i].prev) {
			token_drop(w, i);
			signer -= i < signer;
		}
	memcpy(w->ctl.signer, w->token[signer].id, CP_TM_ID);
}

/* The CTL of the tokens and of today's servers; without mixed mode its records name nothing. */
static int ctl_make(struct cp_tm_world *w, unsigned signer, char *why, size_t size)
{
	struct cp_tm_list *l = &w->ctl.list;

	ctl_refresh(w, signer);
	if (w->token_cnt < 2)
		return cfg_no(why, size, -EPROTO, "the CTL would name one SAST only");
	w->ctl.served = true;
	l->cnt = 0;
	for (unsigned i = 0; i < w->token_cnt; i++)
		w->token[i].in_file = true;
	if (!w->mixed)
		return 0;
	for (unsigned i = 0; i < w->token_cnt; i++) {
		struct cp_tm_cert c = {.have = true};

		memcpy(c.id, w->token[i].id, CP_TM_ID);
		list_add(l, PKI_TL_SAST, &c);
	}
	for (unsigned i = 0; i < w->others.cnt && l->cnt < PKI_TL_REC_MAX; i++)
		l->e[l->cnt++] = w->others.e[i];
	for (unsigned i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
		if (w->modern || servers[i].ident != CP_TM_TFTP_EC)
			list_add(l, servers[i].role, &w->ident[servers[i].ident]);
	return 0;
}

static int ctl_update(struct cp_tm_world *w, char *why, size_t size)
{
	unsigned signer = 0;
	int rc;

	if (!w->ctl.served || !w->mixed)
		return cfg_no(why, size, -EPROTO, w->ctl.served ? "the CTL of non-secure mode holds nothing" : "there is no CTL");
	rc = ctl_signer(w, false, &signer, why, size);
	return rc == 0 ? ctl_make(w, signer, why, size) : rc;
}

static int ctl_mode(struct cp_tm_world *w, bool mixed, char *why, size_t size)
{
	static const enum cp_tm_ident first[] = {CP_TM_SAST1, CP_TM_SAST2};
	unsigned signer = 0;
	int rc;

	if (w->mixed == mixed)
		return cfg_no(why, size, -EPROTO, "the cluster is in %s mode", mixed ? "mixed" : "non-secure");
	for (unsigned i = 0; !w->ctl.served && i < 2; i++) {
		if (!w->ident[first[i]].have)
			return cfg_no(why, size, -EPROTO, "there are no two keys that could sign a CTL");
		if (token_find(w, w->ident[first[i]].id) < 0)
			token_add(w, (int)first[i], w->ident[first[i]].id);
	}
	rc = ctl_signer(w, !w->ctl.served, &signer, why, size);
	if (rc < 0)
		return rc;
	w->mixed = mixed;
	return ctl_make(w, signer, why, size);
}

static int ctl_sign_with(struct cp_tm_world *w, unsigned ident, char *why, size_t size)
{
	const struct cp_tm_cert *c = &w->ident[ident];

	if (!c->have)
		return cfg_no(why, size, -EPROTO, "there is no %s", cp_tm_ident_name(ident));
	if (!w->ctl.served || !w->mixed)
		return cfg_no(why, size, -EPROTO, "there is no CTL to sign");
	if (token_find(w, c->id) < 0)
		token_add(w, (int)ident, c->id);
	if (token_find(w, c->id) < 0)
		return cfg_no(why, size, -EPROTO, "the CTL is full");
	return ctl_make(w, (unsigned)token_find(w, c->id), why, size);
}

static int ctl_remove(struct cp_tm_world *w, unsigned ident, char *why, size_t size)
{
	unsigned signer = 0;
	uint8_t id[CP_TM_ID];
	int rc, token;

	memcpy(id, w->ident[ident].id, CP_TM_ID);
	if (!w->ctl.served || !w->ident[ident].have || !cp_tm_list_has(&w->ctl.list, id, UINT32_MAX))
		return cfg_no(why, size, -EPROTO, "%s is not in the CTL", cp_tm_ident_name(ident));
	token = token_find(w, id);
	if (token >= 0)
		token_drop(w, (unsigned)token);
	rc = ctl_signer(w, false, &signer, why, size);
	if (rc == 0)
		rc = ctl_make(w, signer, why, size);
	if (rc == 0)
		list_remove(&w->ctl.list, id);
	return rc;
}

static int apply(struct cp_tm_world *w, const struct cp_tm_step *s, char *why, size_t why_size)
{
	switch (s->op) {
	case CP_TM_REGEN:
		regen(w, (unsigned)s->ident, s);
		if (s->ident == CP_TM_CAPF && w->ident[CP_TM_CAPF_TLS].have) /* which the issuer issues */
			regen(w, CP_TM_CAPF_TLS, &(struct cp_tm_step){0});
		return 0;
	case CP_TM_RETURN:
		return go_back(w, s->ident, why, why_size);
	case CP_TM_RETIRE:
		if (!w->prev[s->ident].have)
			return cfg_no(why, why_size, -EPROTO, "there is no %s.prev", cp_tm_ident_name((unsigned)s->ident));
		w->prev[s->ident].have = false;
		return 0;
	case CP_TM_SIGN_ITL:
		w->with = s->with;
		return 0;
	case CP_TM_SIGN_CTL:
		return ctl_sign_with(w, (unsigned)s->ident, why, why_size);
	case CP_TM_UPDATE_CTL:
		return ctl_update(w, why, why_size);
	case CP_TM_REMOVE_CTL:
		return ctl_remove(w, (unsigned)s->ident, why, why_size);
	case CP_TM_MIXED:
	case CP_TM_NONSECURE: /* the CTL stays, without certificates, signed by a SAST that phones know */
		return ctl_mode(w, s->op == CP_TM_MIXED, why, why_size);
	case CP_TM_ROLLBACK_ON:
	case CP_TM_ROLLBACK_OFF:
		if (w->rollback == (s->op == CP_TM_ROLLBACK_ON))
			return cfg_no(why, why_size, -EPROTO, "rollback preparation is %s", w->rollback ? "on" : "off");
		w->rollback = !w->rollback;
		return 0;
	case CP_TM_OPS:
		break;
	}
	return cfg_no(why, why_size, -EINVAL, "no such step");
}

int cp_tm_apply(struct cp_tm_world *w, const struct cp_tm_step *s, char *why, size_t why_size)
{
	bool had = w->ctl.served && ctl_key(w);
	int rc = apply(w, s, why, why_size);

	switch (s->op) {
	case CP_TM_REGEN:
	case CP_TM_RETIRE:
		/* No phone notices today; but no CTL could ever be made again that the phones take. */
		if (rc == 0 && had && !ctl_key(w))
			return cfg_no(why, why_size, -EPROTO, "it is the last key of a SAST that the CTL in force names: update the CTL first");
		break;
	case CP_TM_SIGN_CTL:
	case CP_TM_UPDATE_CTL:
	case CP_TM_REMOVE_CTL:
	case CP_TM_MIXED:
	case CP_TM_NONSECURE:
		memset(w->ctl.list.file, 0, sizeof(w->ctl.list.file)); /* every operation makes a new file */
		break;
	default:
		break;
	}
	return rc == 0 ? cp_tm_itl(w, why, why_size) : rc;
}
