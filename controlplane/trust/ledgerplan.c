/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trust.plan: what a change costs at once, and the order that costs nothing. The phones are counted on the event loop, which takes
 * no longer for many than for few; orders are searched on a thread, in a copy of what was counted.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "ledgerint.h"
#include "offload.h"

struct plan_ask {
	struct cp_tm_step step[CP_TM_STEPS_MAX];
	unsigned n;
};

/* "regenerate TVS + regenerate TFTP" */
static int parse_change(const char *text, struct plan_ask *ret, char *why, size_t size)
{
	const char *at = text;

	memset(ret, 0, sizeof(*ret));
	for (;;) {
		size_t n = strcspn(at, "+");
		char one[160];
		int rc;

		if (n >= sizeof(one) || ret->n == CP_TM_STEPS_MAX) {
			snprintf(why, size, "a plan has up to %d changes, joined by +", CP_TM_STEPS_MAX);
			return -EINVAL;
		}
		memcpy(one, at, n);
		one[n] = '\0';
		rc = cp_tm_step_parse(one, &ret->step[ret->n++], why, size);
		if (rc < 0 || at[n] == '\0')
			return rc;
		at += n + 1;
	}
}

static int apply_all(const struct cp_ledger_worlds *from, const struct cp_tm_step *s, struct cp_ledger_worlds *to, char *why, size_t size)
{
	int rc = 0;

	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++) {
		to->have[cls] = from->have[cls];
		if (!from->have[cls])
			continue;
		to->w[cls] = from->w[cls];
		rc = cp_tm_apply(&to->w[cls], s, why, size);
	}
	return rc;
}

/* All at once, nobody comes in between: what it would cost. */
static int at_once(struct cp_ledger *l, const struct plan_ask *ask, struct cp_ledger_toll *ret, char *why, size_t size)
{
	struct cp_ledger_worlds *from = calloc(1, sizeof(*from)), *to = calloc(1, sizeof(*to)), *tmp = calloc(1, sizeof(*tmp));
	int rc = from == NULL || to == NULL || tmp == NULL ? -ENOMEM : cp_ledger_now(l, from);

	if (rc == 0)
		*tmp = *from;
	for (unsigned i = 0; rc == 0 && i < ask->n; i++) {
		rc = apply_all(tmp, &ask->step[i], to, why, size);
		if (rc == 0)
			*tmp = *to;
	}
	if (rc == 0)
		rc = cp_ledger_toll(l, from, tmp, ret);
	free(from);
	free(to);
	free(tmp);
	return rc;
}

/* What a search needs, and nothing of the ledger's. */
struct job {
	struct cp_admin_req *req;
	struct plan_ask ask;
	struct cp_ledger_worlds w;
	struct cp_ledger_toll toll;
	struct cp_ledger_census census;
	struct cp_tm_group *g[PKI_CLASS_MAX];
	unsigned n[PKI_CLASS_MAX];
	bool wanted[PKI_CLASS_MAX]; /* there are devices of the class */
	struct cp_tm_list *list;    /* copies of those that phones hold */
	/* what comes of it */
	int found, other_found;
	struct cp_tm_plan plan, other;
	struct plan_ask other_ask;
	char why[512];
};

static void job_free(struct job *j)
{
	for (int cls = 0; j != NULL && cls < PKI_CLASS_MAX; cls++)
		free(j->g[cls]);
	if (j != NULL)
		free(j->list);
	free(j);
}

/* Lists lie in the ledger, which may let one go while it is searched. */
static const struct cp_tm_list *own_list(const struct cp_ledger *l, const struct job *j, const struct cp_tm_list *list)
{
	unsigned i = 0;

	for (const struct kept *k = l->kept; k != NULL; k = k->next, i++)
		if (&k->list == list)
			return &j->list[i];
	return list; /* none, or one that is served: the job has it */
}

/* Phones that hold the same are one group here, whatever else may be true of some of them. */
static int take_groups(const struct cp_ledger *l, struct job *j, enum pki_tl_class cls)
{
	struct cp_ledger_groups g;
	unsigned n = 0;
	int rc = cp_ledger_groups(l, cls, &j->w.w[cls], &g);

	if (rc < 0)
		return rc;
	j->wanted[cls] = g.phones > 0 || g.fresh > 0;
	for (unsigned i = 0; i < g.n; i++) {
		struct cp_tm_phone p = g.g[i].phone;
		unsigned k = 0;

		while (k < n && (g.g[k].phone.ctl != p.ctl || g.g[k].phone.itl != p.itl || g.g[k].phone.secure != p.secure))
			k++;
		if (k == n)
			g.g[n++] = g.g[i];
		else
			g.g[k].cnt += g.g[i].cnt;
	}
	for (unsigned i = 0; i < n; i++) {
		g.g[i].phone.ctl = own_list(l, j, g.g[i].phone.ctl);
		g.g[i].phone.itl = own_list(l, j, g.g[i].phone.itl);
	}
	j->g[cls] = g.g;
	j->n[cls] = n;
	g.g = NULL;
	cp_ledger_groups_free(&g);
	return n > CP_TM_GROUPS_MAX ? -EOVERFLOW : 0;
}

static int take_phones(const struct cp_ledger *l, struct job *j)
{
	unsigned i = 0;
	int rc = cp_ledger_now(l, &j->w);

	if (rc == 0)
		rc = cp_ledger_count(l, &j->w, &j->census);
	j->list = malloc((l->kept_cnt + 1) * sizeof(*j->list));
	if (j->list == NULL)
		return -ENOMEM;
	for (const struct kept *k = l->kept; k != NULL; k = k->next)
		j->list[i++] = k->list;
	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++)
		rc = take_groups(l, j, (enum pki_tl_class)cls);
	return rc;
}

/* One order for all classes: searched in each, and the one with more waits is taken. */
static int find_order(struct job *j, const struct plan_ask *ask, struct cp_tm_plan *ret)
{
	bool first = true;
	int rc = 0;

	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++) {
		struct cp_tm_plan p;

		if (!j->wanted[cls] && cls != PKI_CLASS_MAX - 1)
			continue;
		rc = cp_tm_search(&j->w.w[cls], ask->step, ask->n, j->g[cls], j->n[cls], &p, j->why, sizeof(j->why));
		/* Lists of classes differ in TFTP-EC only, which leads nobody anywhere: more waits are on the safe side. */
		if (rc == 0 && (first || p.waits > ret->waits))
			*ret = p;
		first = false;
	}
	return rc;
}

/* On a thread. The same with the ITL signed by the recovery key first: a third key that phones know. */
static void search(void *arg)
{
	struct job *j = arg;
	struct plan_ask *o = &j->other_ask;

	j->found = find_order(j, &j->ask, &j->plan);
	j->other_found = -ENOENT;
	if ((j->found < 0 && j->found != -ENOENT) || j->ask.n == CP_TM_STEPS_MAX || (j->found == 0 && j->plan.waits == 0))
		return;
	*o = j->ask;
	o->step[o->n++] = (struct cp_tm_step){.op = CP_TM_SIGN_ITL, .ident = -1, .with = CP_TM_WITH_RECOVERY};
	j->other_found = find_order(j, o, &j->other);
	if (j->other_found == 0 && j->found == 0 && j->other.waits >= j->plan.waits)
		j->other_found = -ENOENT;
}

/* --- the answer --- */

static void add_do(json_t *out, unsigned *no, const char *text)
{
	json_array_append_new(out, json_pack("{s:i, s:s}", "step", (int)++*no, "do", text));
}

static json_t *order_text(const struct job *j, const struct plan_ask *ask, const struct cp_tm_plan *p)
{
	json_t *out = json_array();
	char text[256], name[64];
	unsigned no = 0;

	for (unsigned i = 0; i < p->n; i++) {
		if (p->wait[i]) {
			if (i == 0)
				snprintf(text, sizeof(text), "wait until all %u phones have fetched the lists of today (now %u)",
					 j->census.phones, j->census.hold);
			else
				snprintf(text, sizeof(text), "wait until all %u phones have fetched the new lists (trust status)",
					 j->census.phones);
			add_do(out, &no, text);
		}
		add_do(out, &no, cp_tm_step_name(&ask->step[p->order[i]], name, sizeof(name)));
	}
	return out;
}

static json_t *names(const struct cp_ledger_toll *t)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < t->first_cnt; i++)
		json_array_append_new(a, json_string(t->first[i]));
	return a;
}

static void refuse(struct cp_admin_req *req, int rc, const char *why)
{
	if (rc == -EAGAIN)
		cp_admin_fail(req, "unavailable", "certificates or lists are not there yet");
	else
		cp_admin_fail_rc(req, rc, "%s", why[0] != '\0' ? why : strerror(-rc));
}

static void answer(void *arg)
{
	struct job *j = arg;
	const struct cp_ledger_toll *t = &j->toll;
	char text[600];
	json_t *o;

	if (j->found < 0 && j->found != -ENOENT) {
		refuse(j->req, j->found, j->why);
		job_free(j);
		return;
	}
	cp_ledger_toll_text(t, text, sizeof(text));
	o = json_pack("{s:i, s:i, s:i, s:i, s:i, s:s, s:o}", "phones", (int)j->census.phones, "unproven", (int)j->census.unproven,
		      "doubtful", (int)j->census.doubtful, "stranded_already", (int)j->census.stranded, "stranded_if_done_at_once",
		      (int)t->stranded, "because", t->stranded > 0 ? text : "", "first", names(t));
	if (j->found == 0)
		json_object_set_new(o, "order", order_text(j, &j->ask, &j->plan));
	json_object_set_new(o, "verdict",
			    json_string(j->found < 0	     ? "no order strands nobody" :
					j->plan.waits > 0 ? "strands nobody, if every wait is kept" :
							    "strands nobody"));
	if (j->other_found == 0)
		json_object_set_new(o, "or", order_text(j, &j->other_ask, &j->other));
	cp_admin_reply(j->req, o);
	job_free(j);
}

void cp_ledger_plan(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"change", NULL};
	struct cp_ledger *l = ctx;
	const json_t *words = json_object_get(args, "change"), *v;
	char text[600] = "", why[512] = "";
	struct job *j;
	size_t i, n = 0;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0)
		return;
	json_array_foreach(words, i, v)
		if (json_is_string(v) && n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n > 0 ? " " : "", json_string_value(v));
	if (!json_is_array(words) || n >= sizeof(text)) {
		cp_admin_fail(req, "invalid", "change must be a list of words");
		return;
	}
	j = calloc(1, sizeof(*j));
	if (j == NULL) {
		refuse(req, -ENOMEM, "");
		return;
	}
	j->req = req;
	rc = parse_change(text, &j->ask, why, sizeof(why));
	if (rc < 0) {
		cp_admin_fail(req, "invalid", "%s", why);
		job_free(j);
		return;
	}
	rc = at_once(l, &j->ask, &j->toll, why, sizeof(why));
	if (rc == -EPROTO) { /* perhaps in another order */
		memset(&j->toll, 0, sizeof(j->toll));
		rc = 0;
	}
	if (rc == 0)
		rc = take_phones(l, j);
	if (rc == 0 && l->env.offload != NULL)
		rc = cp_offload_run(l->env.offload, search, answer, j);
	if (rc < 0) {
		refuse(req, rc, why);
		job_free(j);
	} else if (l->env.offload == NULL) {
		search(j);
		answer(j);
	}
}
