/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Phones by what they may hold. Every device of the store is in exactly one holding, moved when something of it changes, so
 * that a plan for a hundred thousand phones looks at a few dozen holdings and at nothing else.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledgerint.h"

#define NOBODYS 2 /* groups at the end: holds nothing, holds what is served */

/* --- which holding --- */

static void hyp_add(struct hold_key *k, const struct kept *ctl, const struct kept *itl)
{
	for (unsigned i = 0; i < k->hyps; i++)
		if (k->hyp[i][OF_CTL] == ctl && k->hyp[i][OF_ITL] == itl)
			return;
	k->hyp[k->hyps][OF_CTL] = ctl;
	k->hyp[k->hyps++][OF_ITL] = itl;
}

static void claim_hyp(struct hold_key *k, const struct entry *e, unsigned i)
{
	const struct cp_ledger_claim *c = &e->rec.claim[i];

	hyp_add(k, c->has_ctl ? e->claim[i][OF_CTL] : e->list[OF_CTL], c->has_itl ? e->claim[i][OF_ITL] : e->list[OF_ITL]);
}

static void key_of(const struct entry *e, struct hold_key *k)
{
	const struct cp_ledger_rec *r = &e->rec;
	bool known = r->blank || r->has_ctl || r->has_itl, lost = false;
	unsigned last = 0;

	memset(k, 0, sizeof(*k));
	k->cls = e->cls;
	k->secure = e->secure;
	if (!e->heard || e->removed)
		return;
	for (unsigned i = 0; i < r->claim_cnt; i++) {
		lost = lost || (r->claim[i].has_ctl && e->claim[i][OF_CTL] == NULL) ||
		       (r->claim[i].has_itl && e->claim[i][OF_ITL] == NULL);
		if (r->claim[i].us > r->claim[last].us)
			last = i;
	}
	lost = lost || (r->has_ctl && e->list[OF_CTL] == NULL) || (r->has_itl && e->list[OF_ITL] == NULL);
	k->doubt = r->doubt != 0;
	k->unproven = r->claim_cnt > 0 && r->doubt == 0;
	k->vague = r->vague;
	k->state = lost || (!known && r->claim_cnt == 0) ? HOLD_DARK : HOLD_KNOWN;
	if (k->state == HOLD_DARK)
		return;
	if (!known) /* what was fetched last, or it is still in its box */
		claim_hyp(k, e, last);
	hyp_add(k, e->list[OF_CTL], e->list[OF_ITL]);
	for (unsigned i = 0; i < r->claim_cnt; i++)
		claim_hyp(k, e, i);
}

static size_t bucket_of(const struct hold_key *k)
{
	const uint8_t *p = (const uint8_t *)k;
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < sizeof(*k); i++)
		h = (h ^ p[i]) * UINT64_C(1099511628211);
	return (size_t)(h ^ h >> 29) % HOLD_BUCKETS;
}

static void leave(struct cp_ledger *l, struct entry *e)
{
	struct holding *h = e->holding, **at;

	if (h == NULL)
		return;
	*e->hold_at = e->hold_next;
	if (e->hold_next != NULL)
		e->hold_next->hold_at = e->hold_at;
	else
		h->last = e->hold_at;
	e->holding = NULL;
	if (--h->cnt > 0)
		return;
	for (at = &l->hold[bucket_of(&h->key)]; *at != h; at = &(*at)->next)
		;
	*at = h->next;
	*(h->older != NULL ? &h->older->newer : &l->hold_first) = h->newer;
	*(h->newer != NULL ? &h->newer->older : &l->hold_last) = h->older;
	l->hold_cnt--;
	free(h);
}

static struct holding *holding_of(struct cp_ledger *l, const struct hold_key *k)
{
	struct holding **bucket = &l->hold[bucket_of(k)], *h = *bucket;

	while (h != NULL && memcmp(&h->key, k, sizeof(*k)) != 0)
		h = h->next;
	if (h != NULL)
		return h;
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return NULL;
	memcpy(&h->key, k, sizeof(*k)); /* padding too */
	h->last = &h->first;
	h->next = *bucket;
	*bucket = h;
	h->older = l->hold_last;
	*(l->hold_last != NULL ? &l->hold_last->newer : &l->hold_first) = h;
	l->hold_last = h;
	l->hold_cnt++;
	return h;
}

int cp_ledger_rehold(struct cp_ledger *l, struct entry *e, bool there)
{
	struct hold_key k;
	struct holding *h;

	if (!there) {
		leave(l, e);
		return 0;
	}
	key_of(e, &k);
	if (e->holding != NULL && memcmp(&e->holding->key, &k, sizeof(k)) == 0)
		return 0;
	h = holding_of(l, &k);
	if (h == NULL)
		return -ENOMEM; /* it stays where it was */
	leave(l, e);
	e->holding = h;
	e->hold_next = NULL;
	e->hold_at = h->last;
	*h->last = e;
	h->last = &e->hold_next;
	h->cnt++;
	return 0;
}

void cp_ledger_holds_free(struct cp_ledger *l)
{
	while (l->hold_first != NULL) {
		struct holding *h = l->hold_first;

		l->hold_first = h->newer;
		free(h);
	}
}

bool cp_ledger_holds(const struct cp_ledger *l, const char *device, struct cp_tm_phone *ret)
{
	const struct entry *e = cp_ledger_entry(l, device);
	const struct hold_key *k = e != NULL && e->holding != NULL ? &e->holding->key : NULL;

	if (k == NULL || k->state != HOLD_KNOWN)
		return false;
	*ret = (struct cp_tm_phone){.ctl = k->hyp[0][OF_CTL] != NULL ? &k->hyp[0][OF_CTL]->list : NULL,
				    .itl = k->hyp[0][OF_ITL] != NULL ? &k->hyp[0][OF_ITL]->list : NULL, .secure = k->secure};
	return true;
}

/* --- groups for the model --- */

int cp_ledger_groups(const struct cp_ledger *l, enum pki_tl_class cls, const struct cp_tm_world *now, struct cp_ledger_groups *ret)
{
	size_t room = (size_t)l->hold_cnt * HYPS_MAX + NOBODYS;
	struct cp_tm_group *g = calloc(room, sizeof(*g));

	memset(ret, 0, sizeof(*ret));
	ret->of = calloc(room, sizeof(struct holding *));
	ret->g = g;
	if (g == NULL || ret->of == NULL) {
		cp_ledger_groups_free(ret);
		return -ENOMEM;
	}
	for (const struct holding *h = l->hold_first; h != NULL; h = h->newer) {
		if (h->key.cls != cls)
			continue;
		ret->fresh += h->key.state == HOLD_FRESH ? h->cnt : 0;
		ret->dark += h->key.state == HOLD_DARK ? h->cnt : 0;
		ret->unproven += h->key.unproven ? h->cnt : 0;
		ret->doubtful += h->key.doubt ? h->cnt : 0;
		for (unsigned i = 0; i < h->key.hyps; i++) {
			const struct kept *ctl = h->key.hyp[i][OF_CTL], *itl = h->key.hyp[i][OF_ITL];

			ret->of[ret->n] = h;
			g[ret->n++] = (struct cp_tm_group){.phone = {.ctl = ctl != NULL ? &ctl->list : NULL,
								     .itl = itl != NULL ? &itl->list : NULL,
								     .secure = h->key.secure},
							   .cnt = i == 0 ? h->cnt : 0};
			ret->phones += i == 0 ? h->cnt : 0;
		}
	}
	g[ret->n++] = (struct cp_tm_group){.phone.secure = true};
	g[ret->n++] = (struct cp_tm_group){.phone = {.ctl = now->ctl.served ? &now->ctl.list : NULL,
						     .itl = now->itl.served ? &now->itl.list : NULL, .secure = true}};
	return 0;
}

void cp_ledger_groups_free(struct cp_ledger_groups *g)
{
	free(g->g);
	free(g->of);
	memset(g, 0, sizeof(*g));
}

int cp_ledger_world(const struct cp_ledger *l, enum pki_tl_class cls, struct cp_tm_world *ret)
{
	return l->env.world != NULL ? l->env.world(l->env.ctx, cls, ret) : -EAGAIN;
}

int cp_ledger_now(const struct cp_ledger *l, struct cp_ledger_worlds *ret)
{
	int rc = 0;

	memset(ret->have, 0, sizeof(ret->have));
	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++) {
		rc = cp_ledger_world(l, (enum pki_tl_class)cls, &ret->w[cls]);
		ret->have[cls] = rc == 0;
	}
	return rc;
}

/* Does it hold what is served to its class? */
static bool holds(const struct cp_tm_list *has, const struct cp_tm_signed *served)
{
	return !served->served || cp_tm_list_same(has, &served->list);
}

int cp_ledger_count(const struct cp_ledger *l, const struct cp_ledger_worlds *w, struct cp_ledger_census *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		const struct cp_tm_world *cw = &w->w[cls];
		struct cp_ledger_groups g;
		int rc = w->have[cls] ? cp_ledger_groups(l, (enum pki_tl_class)cls, cw, &g) : -EAGAIN;

		if (rc < 0)
			return rc;
		for (unsigned i = 0; i < g.n; i++) {
			const struct cp_tm_group *p = &g.g[i];

			ret->phones += p->cnt;
			if (p->cnt > 0 && holds(p->phone.ctl, &cw->ctl) && holds(p->phone.itl, &cw->itl))
				ret->hold += p->cnt;
			if (p->cnt > 0 && cp_tm_boot(cw, &p->phone, NULL) != 0)
				ret->stranded += p->cnt;
		}
		ret->unproven += g.unproven;
		ret->doubtful += g.doubtful;
		ret->dark += g.dark;
		ret->fresh += g.fresh;
		cp_ledger_groups_free(&g);
	}
	return 0;
}

/* --- what a change costs --- */

struct tally {
	struct cp_ledger_toll *t;
	unsigned dark, vague;
	bool unseen;
};

/* One holding: groups 'from' up to 'to'. */
static void toll_holding(const struct cp_ledger_groups *g, unsigned from, unsigned to, struct tally *y)
{
	const struct holding *h = g->of[from];
	struct cp_ledger_toll *t = y->t;
	unsigned why = 0;

	for (unsigned i = from; i < to; i++)
		why |= g->g[i].why;
	t->why |= why;
	if (g->g[from].why != 0)
		t->known += h->cnt;
	else if (why != 0)
		*(h->key.doubt ? &t->doubt : &t->unproven) += h->cnt;
	else if (g->g[from].lost)
		t->lost += h->cnt;
	if (why == 0 && h->key.vague)
		y->vague += h->cnt;
	for (const struct entry *e = h->first; why != 0 && e != NULL && t->first_cnt < sizeof(t->first) / sizeof(t->first[0]);
	     e = e->hold_next)
		memcpy(t->first[t->first_cnt++], e->rec.device, sizeof(t->first[0]));
}

static int toll_class(const struct cp_ledger *l, enum pki_tl_class cls, const struct cp_tm_world *from,
		      const struct cp_tm_world *to, struct tally *y)
{
	struct cp_ledger_toll *t = y->t;
	struct cp_ledger_groups g;
	struct cp_tm_toll toll;
	int rc = cp_ledger_groups(l, cls, from, &g);

	if (rc < 0)
		return rc;
	cp_tm_count(from, to, g.g, g.n, &toll);
	for (unsigned i = 0, k; i + NOBODYS < g.n; i = k) {
		for (k = i + 1; k + NOBODYS < g.n && g.of[k] == g.of[i]; k++)
			;
		toll_holding(&g, i, k, y);
	}
	t->phones += g.phones;
	t->claimed += g.unproven;
	t->doubtful += g.doubtful;
	y->dark += g.dark;
	for (unsigned i = g.n - NOBODYS; i < g.n; i++) {
		if (g.g[i].why == 0)
			continue;
		y->unseen = true; /* what is served today is what they may hold */
		t->fresh += i + 1 == g.n && g.g[i - 1].why != 0 ? 0 : g.fresh;
		t->why |= g.fresh > 0 ? g.g[i].why : 0;
	}
	cp_ledger_groups_free(&g);
	return 0;
}

int cp_ledger_toll(const struct cp_ledger *l, const struct cp_ledger_worlds *from, const struct cp_ledger_worlds *to,
		   struct cp_ledger_toll *ret)
{
	struct tally y = {.t = ret};
	int rc = 0;

	memset(ret, 0, sizeof(*ret));
	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++)
		if (from->have[cls] && to->have[cls])
			rc = toll_class(l, (enum pki_tl_class)cls, &from->w[cls], &to->w[cls], &y);
	if (y.unseen || ret->known > 0 || ret->unproven > 0 || ret->doubt > 0)
		ret->dark = y.dark + y.vague;
	ret->stranded = ret->known + ret->unproven + ret->doubt + ret->dark + ret->fresh;
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
	if (t->unproven > 0)
		ADD(", %u of them if a list that was fetched in their name was not, or was, fetched by them", t->unproven);
	if (t->doubt > 0)
		ADD(", %u of them if they took a list that they should have refused", t->doubt);
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
