/* SPDX-License-Identifier: BSD-3-Clause */
/* What a change means for the phones of the ledger: counted by what they hold, and refused if it strands one. */
#include <errno.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledgerint.h"
#include "log.h"
#include "world.h"

#define NOBODYS 2 /* groups at the end: holds nothing, holds what is served */

struct walk {
	const struct cp_ledger *l;
	enum pki_tl_class cls;
	struct cp_ledger_groups *g;
	unsigned room, of_cnt, of_room;
	int rc;
};

static bool group_is(const struct cp_tm_group *g, const struct entry *e, bool secure)
{
	return g->phone.secure == secure && g->phone.ctl == (e->ctl != NULL ? &e->ctl->list : NULL) &&
	       g->phone.itl == (e->itl != NULL ? &e->itl->list : NULL);
}

static void *room_for(void *p, unsigned cnt, unsigned *room, size_t item)
{
	unsigned more = *room == 0 ? 64 : 2 * *room;
	void *grown;

	if (cnt < *room)
		return p;
	grown = realloc(p, more * item);
	if (grown != NULL)
		*room = more;
	return grown;
}

static int group_of(struct walk *w, const struct entry *e, bool secure)
{
	struct cp_ledger_groups *g = w->g;
	struct cp_tm_group *grown;

	for (unsigned i = 0; i < g->n; i++)
		if (group_is(&g->g[i], e, secure))
			return (int)i;
	grown = room_for(g->g, g->n + NOBODYS + 1, &w->room, sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	g->g = grown;
	g->g[g->n] = (struct cp_tm_group){.phone = {.ctl = e->ctl != NULL ? &e->ctl->list : NULL,
						    .itl = e->itl != NULL ? &e->itl->list : NULL, .secure = secure}};
	return (int)g->n++;
}

static void one_device(void *ctx, const struct cp_device *dev)
{
	struct walk *w = ctx;
	struct cp_ledger_groups *g = w->g;
	const struct cp_ledger *l = w->l;
	struct entry *e, **of;
	unsigned *of_group, room;
	int i;

	if (w->rc < 0 || pki_tl_class_of_model(dev->model, l->env.default_class) != w->cls)
		return;
	e = cp_ledger_entry(l, dev->name);
	if (e == NULL) {
		g->fresh++;
		return;
	}
	if ((e->rec.has_ctl && e->ctl == NULL) || (e->rec.has_itl && e->itl == NULL) ||
	    (!e->rec.has_ctl && !e->rec.has_itl && !e->rec.blank)) {
		g->dark++;
		return;
	}
	i = group_of(w, e, dev->mode != CP_DEVICE_NONSECURE);
	room = w->of_room;
	of = i < 0 ? NULL : room_for(g->of, w->of_cnt, &room, sizeof(*of));
	if (of != NULL)
		g->of = of;
	of_group = of == NULL ? NULL : room_for(g->of_group, w->of_cnt, &w->of_room, sizeof(*of_group));
	if (of_group == NULL) {
		w->rc = -ENOMEM;
		return;
	}
	g->of_group = of_group;
	g->of[w->of_cnt] = e;
	g->of_group[w->of_cnt++] = (unsigned)i;
	g->g[i].cnt++;
	g->phones++;
}

int cp_ledger_groups(const struct cp_ledger *l, enum pki_tl_class cls, const struct cp_tm_world *now, struct cp_ledger_groups *ret)
{
	struct walk w = {.l = l, .cls = cls, .g = ret};

	memset(ret, 0, sizeof(*ret));
	ret->g = room_for(NULL, 0, &w.room, sizeof(*ret->g));
	if (ret->g == NULL)
		return -ENOMEM;
	cp_dir_each_device(l->env.store, one_device, &w);
	if (w.rc == 0 && ret->n + NOBODYS > CP_TM_GROUPS_MAX)
		w.rc = -EOVERFLOW;
	if (w.rc < 0) {
		cp_ledger_groups_free(ret);
		return w.rc;
	}
	ret->g[ret->n++] = (struct cp_tm_group){.phone.secure = true};
	ret->g[ret->n++] = (struct cp_tm_group){.phone = {.ctl = now->ctl.served ? &now->ctl.list : NULL,
							  .itl = now->itl.served ? &now->itl.list : NULL, .secure = true}};
	return 0;
}

void cp_ledger_groups_free(struct cp_ledger_groups *g)
{
	free(g->g);
	free(g->of);
	free(g->of_group);
	memset(g, 0, sizeof(*g));
}

int cp_ledger_now(const struct cp_ledger *l, struct cp_ledger_worlds *ret)
{
	int rc = l->env.world == NULL ? -EAGAIN : 0;

	memset(ret->have, 0, sizeof(ret->have));
	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++) {
		rc = l->env.world(l->env.ctx, (enum pki_tl_class)cls, &ret->w[cls]);
		ret->have[cls] = rc == 0;
	}
	return rc;
}

static int toll_class(const struct cp_ledger *l, enum pki_tl_class cls, const struct cp_tm_world *from,
		      const struct cp_tm_world *to, struct cp_ledger_toll *t, unsigned *dark)
{
	struct cp_ledger_groups g;
	struct cp_tm_toll toll;
	int rc = cp_ledger_groups(l, cls, from, &g);

	if (rc < 0)
		return rc;
	cp_tm_count(from, to, g.g, g.n, &toll);
	t->known += toll.stranded;
	t->lost += toll.lost;
	t->phones += g.phones;
	*dark += g.dark;
	if (toll.unseen)
		t->fresh += g.fresh;
	for (unsigned i = 0; i < g.n; i++)
		if (g.g[i].why != 0 && (g.g[i].cnt > 0 || g.fresh > 0))
			t->why |= g.g[i].why;
	if (toll.unseen) /* what is served today is what they may hold */
		t->dark = 1;
	for (unsigned i = 0; i < g.phones && t->first_cnt < sizeof(t->first) / sizeof(t->first[0]); i++)
		if (g.g[g.of_group[i]].why != 0)
			memcpy(t->first[t->first_cnt++], g.of[i]->rec.device, sizeof(t->first[0]));
	cp_ledger_groups_free(&g);
	return 0;
}

int cp_ledger_toll(const struct cp_ledger *l, const struct cp_ledger_worlds *from, const struct cp_ledger_worlds *to,
		   struct cp_ledger_toll *ret)
{
	unsigned dark = 0;
	int rc = 0;

	memset(ret, 0, sizeof(*ret));
	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++)
		if (from->have[cls] && to->have[cls])
			rc = toll_class(l, (enum pki_tl_class)cls, &from->w[cls], &to->w[cls], ret, &dark);
	ret->dark = ret->known > 0 || ret->dark > 0 ? dark : 0;
	ret->stranded = ret->known + ret->dark + ret->fresh;
	return rc;
}

void cp_ledger_toll_text(const struct cp_ledger_toll *t, char *buf, size_t size)
{
	size_t n = 0;

	if (size == 0)
		return;
	buf[0] = '\0';
#define ADD(...) (n < size ? n += (size_t)snprintf(buf + n, size - n, __VA_ARGS__) : 0)
	ADD("%u phone%s would be stranded", t->stranded, t->stranded == 1 ? "" : "s");
	if (t->dark > 0)
		ADD(", %u of them of which it is not known what they hold", t->dark);
	if (t->fresh > 0)
		ADD(", %u of them never seen", t->fresh);
	for (unsigned i = 0, k = 0; i < CP_TM_WHYS; i++)
		if (t->why & 1u << i)
			ADD("%s %s", k++ == 0 ? ":" : ",", cp_tm_why_name(i));
	if (t->first_cnt > 0)
		ADD("; first %s", t->first[0]);
#undef ADD
}

/* --- asks --- */

static int ask_step(const struct cp_trust_ask *ask, const struct cp_tm_world *w, struct cp_tm_step *s, char *why, size_t size)
{
	enum cp_tm_ident ident;
	uint8_t to[CP_TM_ID];
	const char *subject = ask->subject != NULL ? ask->subject : "";

	*s = (struct cp_tm_step){.ident = -1};
	if (ask->to != NULL && cp_tm_cert_id(ask->to, to) < 0)
		return -EIO;
	switch (ask->change) {
	case CP_TRUST_REGEN:
	case CP_TRUST_RETIRE:
	case CP_TRUST_RESTORE:
		s->op = ask->change == CP_TRUST_REGEN ? CP_TM_REGEN :
			ask->change == CP_TRUST_RETIRE ? CP_TM_RETIRE : CP_TM_RETURN;
		if (ask->change == CP_TRUST_RESTORE && subject[0] == '\0')
			return 0;
		if (cp_tm_ident_parse(subject, &ident) < 0)
			return -ENOENT; /* phones never meet it */
		s->ident = (int)ident;
		s->has_to = ask->to != NULL;
		if (s->has_to)
			memcpy(s->to, to, sizeof(to));
		return 0;
	case CP_TRUST_MODE:
		s->op = strcmp(subject, "mixed") == 0 ? CP_TM_MIXED : CP_TM_NONSECURE;
		return 0;
	case CP_TRUST_ROLLBACK:
		s->op = strcmp(subject, "off") == 0 ? CP_TM_ROLLBACK_OFF : CP_TM_ROLLBACK_ON;
		return 0;
	case CP_TRUST_SIGNER:
		if (ask->to == NULL)
			break;
		if (strcmp(subject, "itl") == 0) {
			s->op = CP_TM_SIGN_ITL;
			s->with = w->prev[CP_TM_TFTP].have && memcmp(w->prev[CP_TM_TFTP].id, to, CP_TM_ID) == 0 ? CP_TM_WITH_PREV :
				  w->ident[CP_TM_ITLRECOVERY].have && memcmp(w->ident[CP_TM_ITLRECOVERY].id, to, CP_TM_ID) == 0 ?
														  CP_TM_WITH_RECOVERY :
														  CP_TM_WITH_TFTP;
			return 0;
		}
		s->op = CP_TM_SIGN_CTL;
		for (int i = 0; i < CP_TM_IDENTS; i++)
			if (w->ident[i].have && memcmp(w->ident[i].id, to, CP_TM_ID) == 0)
				s->ident = i;
		return s->ident >= 0 ? 0 : -ENOTSUP; /* a token that is elsewhere: CP_TRUST_LIST says all of it */
	case CP_TRUST_REMOVE:
		s->op = CP_TM_REMOVE_CTL;
		if (cp_tm_ident_parse(subject, &ident) < 0)
			return -ENOENT;
		s->ident = (int)ident;
		return 0;
	case CP_TRUST_LIST:
		break;
	}
	snprintf(why, size, "a change that is not known");
	return -EINVAL;
}

/* The list as it is to be, entry for entry. */
static int ask_list(const struct cp_trust_ask *ask, int cls, struct cp_tm_world *w, char *why, size_t size)
{
	bool ctl = ask->subject != NULL && strcmp(ask->subject, "ctl") == 0;
	struct cp_tm_signed *l = ctl ? &w->ctl : &w->itl;
	int rc;

	if (ask->cnt[cls] == 0)
		return 0;
	if (ask->to == NULL) {
		snprintf(why, size, "a list without signer");
		return -EINVAL;
	}
	rc = cp_tm_list_entries(ask->entry[cls], ask->cnt[cls], &l->list);
	if (rc == 0)
		rc = cp_tm_cert_id(ask->to, l->signer);
	if (rc < 0)
		return rc;
	l->served = true;
	if (!ctl)
		return 0;
	w->mixed = ask->mixed;
	return cp_tm_itl(w, why, size); /* which names the CallManager certificate where the CTL does not */
}

static int ask_world(const struct cp_trust_ask *ask, const struct cp_ledger_worlds *from, struct cp_ledger_worlds *to, char *why,
		     size_t size)
{
	int rc = 0;

	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++) {
		struct cp_tm_step s;

		if (!from->have[cls])
			continue;
		to->w[cls] = from->w[cls];
		to->have[cls] = true;
		if (ask->change == CP_TRUST_LIST) {
			rc = ask_list(ask, cls, &to->w[cls], why, size);
			continue;
		}
		rc = ask_step(ask, &from->w[cls], &s, why, size);
		if (rc == 0)
			rc = cp_tm_apply(&to->w[cls], &s, why, size);
	}
	return rc;
}

int cp_ledger_allow(struct cp_ledger *l, const struct cp_trust_ask *ask, int64_t strand, unsigned *ret_count, char *why,
		    size_t why_size)
{
	struct cp_ledger_worlds *from = calloc(1, sizeof(*from)), *to = calloc(1, sizeof(*to));
	struct cp_ledger_toll t = {0};
	char text[512];
	int rc = from == NULL || to == NULL ? -ENOMEM : cp_ledger_now(l, from);

	if (why_size > 0)
		why[0] = '\0';
	*ret_count = 0;
	if (rc == 0)
		rc = ask_world(ask, from, to, why, why_size);
	if (rc == 0)
		rc = cp_ledger_toll(l, from, to, &t);
	if (rc == -ENOENT) /* nothing that a phone ever sees */
		rc = t.stranded = 0;
	free(from);
	free(to);
	if (rc < 0) {
		if (why_size > 0 && why[0] == '\0')
			snprintf(why, why_size, "what it does to the phones cannot be said: %s",
				 rc == -EAGAIN ? "certificates or lists are not there yet" : strerror(-rc));
		return rc;
	}
	*ret_count = t.stranded;
	if (t.stranded == 0)
		return 0;
	cp_ledger_toll_text(&t, text, sizeof(text));
	if (strand == (int64_t)t.stranded) {
		cfg_log(CFG_LOG_WARN, "phones-stranded", "count=%u allowed=yes reason=%s", t.stranded, cfg_q(text));
		return 0;
	}
	if (strand > 0)
		snprintf(why, why_size, "%s. Not %lld. Ask 'ravelinctl trust plan' for an order that strands nobody", text,
			 (long long)strand);
	else
		snprintf(why, why_size, "%s. Ask 'ravelinctl trust plan' for an order that strands nobody, or give --strand %u", text,
			 t.stranded);
	return -EPERM;
}
