/* SPDX-License-Identifier: BSD-3-Clause */
/* Steps of a plan: from words, to words, and what the cluster serves behind them. */
#include <errno.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "model.h"

static int no(int rc, char *why, size_t size, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static int no(int rc, char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (why != NULL && size > 0)
		vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return rc;
}

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
		[CP_TM_REMOVE_ITL] = "remove itl ",  [CP_TM_MIXED] = "mode mixed",
		[CP_TM_NONSECURE] = "mode nonsecure", [CP_TM_ROLLBACK_ON] = "rollback on",
		[CP_TM_ROLLBACK_OFF] = "rollback off",
	};

	snprintf(buf, size, "%s%s", step->op < CP_TM_OPS ? form[step->op] : "?",
		 step->ident >= 0 ? cp_tm_ident_name((unsigned)step->ident) : step->op == CP_TM_RETURN ? "all" : "");
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
		return no(-EINVAL, why, size, "%s: one certificate's name is wanted", w->w[0]);
	if (cp_tm_ident_parse(w->w[i], &ident) < 0)
		return no(-EINVAL, why, size,
			  "%.64s: not a certificate of ours (CallManager, TVS, TFTP, CAPF, CAPF-TLS, SAST1, SAST2, ITLRecovery)",
			  w->w[i]);
	s->ident = (int)ident;
	return 0;
}

static int step_words(const struct words *w, struct cp_tm_step *s, char *why, size_t size)
{
	bool ctl = is(w, 1, "ctl"), itl = is(w, 1, "itl");

	if (is(w, 0, "regenerate") || is(w, 0, "regen") || is(w, 0, "renew")) {
		s->op = CP_TM_REGEN;
		return ident_word(w, 1, s, why, size);
	}
	if (is(w, 0, "restore")) {
		s->op = CP_TM_RETURN;
		return w->n == 1 || (w->n == 2 && is(w, 1, "all")) ? 0 : ident_word(w, 1, s, why, size);
	}
	if (is(w, 0, "sign") && (ctl || itl) && is(w, 2, "with")) {
		s->op = ctl ? CP_TM_SIGN_CTL : CP_TM_SIGN_ITL;
		return ident_word(w, 3, s, why, size);
	}
	if (is(w, 0, "sign") && is(w, 1, "with")) { /* the ITL's signer is the one that is changed by itself */
		s->op = CP_TM_SIGN_ITL;
		return ident_word(w, 2, s, why, size);
	}
	if (is(w, 0, "remove") && (ctl || itl)) {
		s->op = ctl ? CP_TM_REMOVE_CTL : CP_TM_REMOVE_ITL;
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
	return no(-EINVAL, why, size,
		  "%.64s ...: not a change (regenerate NAME, restore [NAME], sign itl|ctl with NAME, remove itl|ctl NAME, "
		  "update ctl, mode mixed|nonsecure, rollback on|off)",
		  w->w[0]);
}

int cp_tm_step_parse(const char *text, struct cp_tm_step *ret, char *why, size_t why_size)
{
	struct cp_tm_step s = {.ident = -1};
	struct words w;
	int rc;

	if (split(text, &w) < 0)
		return no(-EINVAL, why, why_size, "a change has one to six words");
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

static void list_replace(struct cp_tm_list *list, const uint8_t from[CP_TM_ID], const uint8_t to[CP_TM_ID])
{
	for (unsigned i = 0; i < list->cnt; i++)
		if (memcmp(list->e[i].id, from, CP_TM_ID) == 0)
			memcpy(list->e[i].id, to, CP_TM_ID);
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

/* What a phone meets when it asks for an LSC. */
static const struct cp_tm_cert *capf_shown(const struct cp_tm_world *w)
{
	return &w->ident[w->ident[CP_TM_CAPF_TLS].have ? CP_TM_CAPF_TLS : CP_TM_CAPF];
}

/* The ITL follows the certificates by itself. */
static void itl_make(struct cp_tm_world *w)
{
	struct cp_tm_list *l = &w->itl.list;

	l->cnt = 0;
	if (!w->rollback) {
		list_add(l, PKI_TL_TFTP, &w->ident[CP_TM_TFTP]);
		list_add(l, PKI_TL_SAST, &w->ident[CP_TM_TFTP]);
		list_add(l, PKI_TL_TVS, &w->ident[CP_TM_TVS]);
		list_add(l, PKI_TL_CAPF, capf_shown(w));
		list_add(l, PKI_TL_SAST, &w->ident[CP_TM_ITLRECOVERY]);
	}
	w->itl.served = true;
	memcpy(w->itl.signer, w->ident[w->itl_ident].id, CP_TM_ID);
}

static void itl_swap(struct cp_tm_world *w, unsigned ident, const uint8_t from[CP_TM_ID])
{
	list_replace(&w->itl.list, from, w->ident[ident].id);
	memcpy(w->itl.signer, w->ident[w->itl_ident].id, CP_TM_ID);
}

static void regen(struct cp_tm_world *w, unsigned ident, const struct cp_tm_step *s)
{
	struct cp_tm_cert old = w->ident[ident];

	w->prev[ident] = old;
	w->ident[ident].have = true;
	if (s->has_to)
		memcpy(w->ident[ident].id, s->to, CP_TM_ID);
	else
		fresh(w, ident, w->ident[ident].id);
	if (w->itl.served && old.have)
		itl_swap(w, ident, old.id);
}

static int go_back(struct cp_tm_world *w, int ident, char *why, size_t size)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CP_TM_IDENTS; i++) {
		struct cp_tm_cert was = w->ident[i];

		if ((ident >= 0 && (unsigned)ident != i) || !w->prev[i].have)
			continue;
		w->ident[i] = w->prev[i];
		w->prev[i] = (struct cp_tm_cert){0}; /* a backup brings its own keys, not those made since */
		if (w->itl.served && was.have)
			itl_swap(w, i, was.id);
		n++;
	}
	return n > 0 ? 0 : no(-EPROTO, why, size, "%s: nothing older is known to return to",
			      ident >= 0 ? cp_tm_ident_name((unsigned)ident) : "restore");
}

/* The identity that a CTL entry stands for, by its role where the certificate is no longer ours. -1: not of ours. */
static int ctl_ident(const struct cp_tm_world *w, const struct cp_tm_entry *e)
{
	for (unsigned i = 0; i < CP_TM_IDENTS; i++)
		if ((w->ident[i].have && memcmp(w->ident[i].id, e->id, CP_TM_ID) == 0) ||
		    (w->prev[i].have && memcmp(w->prev[i].id, e->id, CP_TM_ID) == 0))
			return (int)i;
	switch (e->role) {
	case PKI_TL_CCM:
		return CP_TM_CALLMANAGER;
	case PKI_TL_TFTP:
		return CP_TM_TFTP;
	case PKI_TL_CAPF:
		return w->ident[CP_TM_CAPF_TLS].have ? CP_TM_CAPF_TLS : CP_TM_CAPF;
	case PKI_TL_TVS:
		return CP_TM_TVS;
	default:
		return -1;
	}
}

/* Who may sign the next CTL: a SAST of the one in force whose key there is. */
static int ctl_signer(struct cp_tm_world *w, char *why, size_t size)
{
	static const enum cp_tm_ident order[] = {CP_TM_SAST1, CP_TM_SAST2, CP_TM_CALLMANAGER, CP_TM_ITLRECOVERY};

	if (cp_tm_vouch(w, w->ctl.signer) & cp_tm_role(PKI_TL_SAST))
		for (unsigned i = 0; i < CP_TM_IDENTS; i++)
			if (w->ident[i].have && memcmp(w->ident[i].id, w->ctl.signer, CP_TM_ID) == 0)
				return 0; /* as before */
	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (w->ident[order[i]].have && cp_tm_list_has(&w->ctl.list, w->ident[order[i]].id, cp_tm_role(PKI_TL_SAST))) {
			memcpy(w->ctl.signer, w->ident[order[i]].id, CP_TM_ID);
			return 0;
		}
	return no(-EPROTO, why, size, "no key is left of a SAST that the CTL in force names");
}

static int ctl_update(struct cp_tm_world *w, char *why, size_t size)
{
	struct cp_tm_list *l = &w->ctl.list;
	int rc;

	if (!w->ctl.served)
		return no(-EPROTO, why, size, "there is no CTL");
	if (l->cnt == 0)
		return 0; /* of non-secure mode: nothing in it */
	rc = ctl_signer(w, why, size);
	for (unsigned i = 0; rc == 0 && i < l->cnt; i++) {
		int ident = ctl_ident(w, &l->e[i]);

		if (ident >= 0 && w->ident[ident].have)
			memcpy(l->e[i].id, w->ident[ident].id, CP_TM_ID);
	}
	return rc;
}

static int ctl_mixed(struct cp_tm_world *w, char *why, size_t size)
{
	struct cp_tm_list *l = &w->ctl.list;

	if (w->mixed)
		return no(-EPROTO, why, size, "the cluster is in mixed mode");
	if (!w->ident[CP_TM_SAST1].have && !w->ident[CP_TM_CALLMANAGER].have)
		return no(-EPROTO, why, size, "there is no key that could sign a CTL");
	w->mixed = w->ctl.served = true;
	l->cnt = 0;
	list_add(l, PKI_TL_SAST, &w->ident[CP_TM_SAST1]);
	list_add(l, PKI_TL_SAST, &w->ident[CP_TM_SAST2]);
	list_add(l, PKI_TL_CCM, &w->ident[CP_TM_CALLMANAGER]);
	list_add(l, PKI_TL_TFTP, &w->ident[CP_TM_TFTP]);
	list_add(l, PKI_TL_CAPF, capf_shown(w));
	memcpy(w->ctl.signer, w->ident[w->ident[CP_TM_SAST1].have ? CP_TM_SAST1 : CP_TM_CALLMANAGER].id, CP_TM_ID);
	return 0;
}

static int step_signer(struct cp_tm_world *w, const struct cp_tm_step *s, char *why, size_t size)
{
	const struct cp_tm_cert *c = &w->ident[s->ident];

	if (!c->have)
		return no(-EPROTO, why, size, "there is no %s", cp_tm_ident_name((unsigned)s->ident));
	if (s->op == CP_TM_SIGN_ITL) {
		if (s->ident != CP_TM_TFTP && s->ident != CP_TM_ITLRECOVERY && s->ident != CP_TM_CALLMANAGER)
			return no(-EPROTO, why, size, "an ITL is signed by TFTP, ITLRecovery or CallManager");
		w->itl_ident = s->ident;
		memcpy(w->itl.signer, c->id, CP_TM_ID);
		return 0;
	}
	if (!w->ctl.served || w->ctl.list.cnt == 0)
		return no(-EPROTO, why, size, "there is no CTL to sign");
	memcpy(w->ctl.signer, c->id, CP_TM_ID);
	if (!cp_tm_list_has(&w->ctl.list, c->id, cp_tm_role(PKI_TL_SAST)))
		list_add(&w->ctl.list, PKI_TL_SAST, c);
	return 0;
}

static int step_remove(struct cp_tm_world *w, const struct cp_tm_step *s, char *why, size_t size)
{
	struct cp_tm_signed *l = s->op == CP_TM_REMOVE_CTL ? &w->ctl : &w->itl;
	uint8_t id[CP_TM_ID];

	memcpy(id, w->ident[s->ident].id, CP_TM_ID);
	if (!l->served || !w->ident[s->ident].have || !cp_tm_list_has(&l->list, id, UINT32_MAX))
		return no(-EPROTO, why, size, "%s is not in the list", cp_tm_ident_name((unsigned)s->ident));
	if (l == &w->ctl) {
		int rc = ctl_signer(w, why, size);

		if (rc < 0)
			return rc;
	}
	list_remove(&l->list, id);
	return 0;
}

int cp_tm_apply(struct cp_tm_world *w, const struct cp_tm_step *s, char *why, size_t why_size)
{
	switch (s->op) {
	case CP_TM_REGEN:
		regen(w, (unsigned)s->ident, s);
		if (s->ident == CP_TM_CAPF && w->ident[CP_TM_CAPF_TLS].have) /* which the issuer issues */
			regen(w, CP_TM_CAPF_TLS, &(struct cp_tm_step){0});
		return 0;
	case CP_TM_RETURN:
		return go_back(w, s->ident, why, why_size);
	case CP_TM_SIGN_ITL:
	case CP_TM_SIGN_CTL:
		return step_signer(w, s, why, why_size);
	case CP_TM_UPDATE_CTL:
		return ctl_update(w, why, why_size);
	case CP_TM_REMOVE_CTL:
	case CP_TM_REMOVE_ITL:
		return step_remove(w, s, why, why_size);
	case CP_TM_MIXED:
		return ctl_mixed(w, why, why_size);
	case CP_TM_NONSECURE: /* the CTL stays, without certificates, signed by a SAST that phones know */
		if (!w->mixed)
			return no(-EPROTO, why, why_size, "the cluster is in non-secure mode");
		if (ctl_signer(w, why, why_size) < 0)
			return -EPROTO;
		w->mixed = false;
		w->ctl.list.cnt = 0;
		return 0;
	case CP_TM_ROLLBACK_ON:
	case CP_TM_ROLLBACK_OFF:
		if (w->rollback == (s->op == CP_TM_ROLLBACK_ON))
			return no(-EPROTO, why, why_size, "rollback preparation is %s", w->rollback ? "on" : "off");
		w->rollback = !w->rollback;
		itl_make(w);
		return 0;
	case CP_TM_OPS:
		break;
	}
	return no(-EINVAL, why, why_size, "no such step");
}
