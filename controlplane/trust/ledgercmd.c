/* SPDX-License-Identifier: BSD-3-Clause */
/* trust.status, trust.ledger, trust.forget, trust.plan. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/admin.h"
#include "ledgerint.h"

#define SHOW_MAX 10000 /* phones of one trust.ledger */

static const char *how_name(unsigned how)
{
	static const char *const names[] = {"", "fetched", "handshake", "tvs", "imported", "capf"};

	return how < sizeof(names) / sizeof(names[0]) ? names[how] : "?";
}

static json_t *when(int64_t us)
{
	time_t t = (time_t)(us / 1000000);
	char buf[32];
	struct tm tm;

	if (us <= 0)
		return json_string("");
	gmtime_r(&t, &tm);
	strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(buf);
}

static void hex8(const uint8_t *p, char ret[17])
{
	for (unsigned i = 0; i < 8; i++)
		snprintf(ret + 2 * i, 3, "%02x", p[i]);
}

static json_t *list_name(bool has, const uint8_t hash[32])
{
	char text[17];

	if (!has)
		return json_string("-");
	hex8(hash, text);
	return json_string(text);
}

/* --- status --- */

/* Does it hold what is served to its class? */
static bool holds(const struct cp_tm_list *has, const struct cp_tm_signed *served)
{
	return !served->served || cp_tm_list_same(has, &served->list);
}

static void count_class(const struct cp_ledger *l, enum pki_tl_class cls, const struct cp_tm_world *w, unsigned n[5])
{
	struct cp_ledger_groups g;

	if (cp_ledger_groups(l, cls, w, &g) < 0)
		return;
	for (unsigned i = 0; i < g.n; i++) {
		const struct cp_tm_group *p = &g.g[i];

		n[0] += p->cnt;
		if (holds(p->phone.ctl, &w->ctl) && holds(p->phone.itl, &w->itl))
			n[1] += p->cnt;
		if (cp_tm_boot(w, &p->phone, NULL) != 0)
			n[2] += p->cnt;
	}
	n[3] += g.dark;
	n[4] += g.fresh;
	cp_ledger_groups_free(&g);
}

static bool in_force(const struct cp_ledger_worlds *w, const struct kept *k)
{
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++)
		if (w->have[cls] && cp_tm_list_same(&k->list, k->kind == PKI_TL_CTL ? &w->w[cls].ctl.list : &w->w[cls].itl.list))
			return true;
	return false;
}

static void status(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {NULL};
	struct cp_ledger *l = ctx;
	struct cp_ledger_worlds *w;
	unsigned n[5] = {0};
	json_t *lists, *o;

	if (cp_admin_arg_known(req, args, known) < 0)
		return;
	w = calloc(1, sizeof(*w));
	if (w == NULL || cp_ledger_now(l, w) < 0) {
		free(w);
		cp_admin_fail(req, "unavailable", "certificates or lists are not there yet");
		return;
	}
	lists = json_array();
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++)
		count_class(l, (enum pki_tl_class)cls, &w->w[cls], n);
	for (const struct kept *k = l->kept; k != NULL; k = k->next)
		if (k->refs > 0) {
			o = json_pack("{s:s, s:o, s:i, s:s}", "list", k->kind == PKI_TL_CTL ? "CTL" : "ITL", "sha256",
				      list_name(true, k->sha), "phones", (int)k->refs, "in_force", in_force(w, k) ? "yes" : "no");
			json_object_set_new(o, "made", when((int64_t)k->timestamp * 1000000));
			json_object_set_new(o, "first_fetched", when(k->first_us));
			json_array_append_new(lists, o);
		}
	free(w);
	cp_admin_reply(req, json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:o}", "phones", (int)n[0], "hold_what_is_served", (int)n[1],
				      "behind", (int)(n[0] - n[1]), "stranded", (int)n[2], "holdings_not_known", (int)n[3],
				      "never_seen", (int)n[4], "lists", lists));
}

/* --- phones --- */

static json_t *phone(const struct cp_ledger_rec *r)
{
	json_t *o = json_pack("{s:s, s:o, s:s, s:o, s:o, s:s, s:o}", "device", r->device, "ctl", list_name(r->has_ctl, r->ctl), "ctl_how",
			      how_name(r->ctl_how), "ctl_when", when(r->ctl_us), "itl", list_name(r->has_itl, r->itl), "itl_how",
			      how_name(r->itl_how), "itl_when", when(r->itl_us));

	json_object_set_new(o, "lsc", list_name(r->has_lsc, r->lsc));
	json_object_set_new(o, "lsc_expires", when(r->lsc_expires_us));
	json_object_set_new(o, "callmanager", list_name(r->has_ccm, r->ccm));
	json_object_set_new(o, "seen", when(r->seen_us));
	json_object_set_new(o, "note", json_string(r->blank ? "reset: holds no list" : !r->has_ctl && !r->has_itl ? "lists not known" : ""));
	return o;
}

/* The members of an array of device names; NULL: answered. */
static const json_t *devices_arg(struct cp_admin_req *req, const json_t *args, bool required)
{
	static const char *const known[] = {"devices", NULL};
	const json_t *list = json_object_get(args, "devices"), *v;
	static json_t *none;
	size_t i;

	if (cp_admin_arg_known(req, args, known) < 0)
		return NULL;
	if (list == NULL && !required) {
		if (none == NULL)
			none = json_array();
		return none;
	}
	if (!json_is_array(list) || (required && json_array_size(list) == 0) || json_array_size(list) > SHOW_MAX) {
		cp_admin_fail(req, "invalid", "devices must be a list of device names");
		return NULL;
	}
	json_array_foreach(list, i, v)
		if (!json_is_string(v) || !cp_device_name_ok(json_string_value(v))) {
			cp_admin_fail(req, "invalid", "devices: SEP and 12 hexadecimal digits");
			return NULL;
		}
	return list;
}

struct show {
	const struct cp_ledger *l;
	json_t *out;
};

static void show_device(void *ctx, const struct cp_device *dev)
{
	struct show *s = ctx;
	const struct cp_ledger_rec *r = cp_ledger_find(s->l, dev->name);

	if (r != NULL && json_array_size(s->out) < SHOW_MAX)
		json_array_append_new(s->out, phone(r));
}

static void show_ledger(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_ledger *l = ctx;
	const json_t *list = devices_arg(req, args, false), *v;
	struct show s = {l, NULL};
	size_t i;

	if (list == NULL)
		return;
	s.out = json_array();
	if (json_array_size(list) == 0)
		cp_dir_each_device(l->env.store, show_device, &s);
	json_array_foreach(list, i, v) {
		const struct cp_ledger_rec *r = cp_ledger_find(l, json_string_value(v));

		if (r == NULL) {
			json_decref(s.out);
			cp_admin_fail(req, "not-found", "%s: nothing was ever heard of it", json_string_value(v));
			return;
		}
		json_array_append_new(s.out, phone(r));
	}
	cp_admin_reply(req, s.out);
}

struct forget {
	struct cp_admin_req *req;
	int n;
};

static void forgotten(void *ctx, int rc)
{
	struct forget *f = ctx;

	if (rc < 0)
		cp_admin_fail_rc(f->req, rc, NULL);
	else
		cp_admin_reply(f->req, json_pack("{s:i}", "forgotten", f->n));
	free(f);
}

/* What was heard otherwise is gathered; what an operator says is answered when it is synced, with an audit record. */
static void forget(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_ledger *l = ctx;
	const json_t *list = devices_arg(req, args, true), *v;
	struct cp_batch *b;
	struct forget *f;
	json_t *audit;
	char *text;
	size_t i;
	int rc = 0;

	if (list == NULL)
		return;
	json_array_foreach(list, i, v)
		if (cp_dir_device(l->env.store, json_string_value(v)) == NULL) {
			cp_admin_fail(req, "not-found", "%s: no such device", json_string_value(v));
			return;
		}
	b = cp_batch_create();
	f = calloc(1, sizeof(*f));
	audit = json_pack("{s:s, s:s, s:O}", "what", "trust-forget", "who", cp_admin_who(req), "devices", list);
	text = audit != NULL ? json_dumps(audit, JSON_COMPACT) : NULL;
	json_decref(audit);
	if (b == NULL || f == NULL || text == NULL)
		rc = -ENOMEM;
	json_array_foreach(list, i, v) {
		const struct cp_ledger_rec *r;
		struct cp_buf buf;

		if (rc == 0)
			rc = cp_ledger_forget(l, json_string_value(v));
		r = rc == 0 ? cp_ledger_find(l, json_string_value(v)) : NULL;
		if (r == NULL || (rc = cp_ledger_rec_build(r, &buf)) < 0)
			continue;
		rc = cp_batch_put(b, CP_CF_LEDGER, r->device, strlen(r->device), buf.data, buf.len);
		free(buf.data);
	}
	if (rc == 0)
		rc = cp_batch_audit(b, text);
	free(text);
	if (rc == 0) {
		*f = (struct forget){req, (int)json_array_size(list)};
		rc = cp_store_submit(l->env.store, b, forgotten, f);
		b = NULL;
	}
	if (rc < 0) {
		cp_batch_destroy(b);
		free(f);
		cp_admin_fail_rc(req, rc, NULL);
	}
}

/* --- plans --- */

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

/* One order for all classes: searched where most phones are, and checked with the others' phones in the same search. */
static int find_order(struct cp_ledger *l, const struct plan_ask *ask, struct cp_tm_plan *ret, char *why, size_t size)
{
	struct cp_ledger_worlds *w = calloc(1, sizeof(*w));
	int rc = w == NULL ? -ENOMEM : cp_ledger_now(l, w);
	bool first = true;

	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++) {
		struct cp_ledger_groups g;
		struct cp_tm_plan p;

		rc = cp_ledger_groups(l, (enum pki_tl_class)cls, &w->w[cls], &g);
		if (rc < 0)
			break;
		if (g.phones > 0 || g.fresh > 0 || cls == PKI_CLASS_MAX - 1) {
			rc = cp_tm_search(&w->w[cls], ask->step, ask->n, g.g, g.n, &p, why, size);
			/* Lists of classes differ in TFTP-EC only, which leads nobody anywhere: more waits are on the safe side. */
			if (rc == 0 && (first || p.waits > ret->waits))
				*ret = p;
			first = false;
		}
		cp_ledger_groups_free(&g);
	}
	free(w);
	return rc;
}

static void add_do(json_t *out, unsigned *no, const char *text)
{
	json_array_append_new(out, json_pack("{s:i, s:s}", "step", (int)++*no, "do", text));
}

static json_t *order_text(struct cp_ledger *l, const struct plan_ask *ask, const struct cp_tm_plan *p)
{
	struct cp_ledger_worlds *w = calloc(1, sizeof(*w));
	json_t *out = json_array();
	unsigned no = 0, n[5] = {0};
	char text[256], name[64];

	if (w != NULL && cp_ledger_now(l, w) == 0)
		for (int cls = 1; cls < PKI_CLASS_MAX; cls++)
			count_class(l, (enum pki_tl_class)cls, &w->w[cls], n);
	free(w);
	for (unsigned i = 0; i < p->n; i++) {
		if (p->wait[i]) {
			if (i == 0)
				snprintf(text, sizeof(text), "wait until all %u phones have fetched the lists of today (now %u)", n[0], n[1]);
			else
				snprintf(text, sizeof(text), "wait until all %u phones have fetched the new lists (trust status)", n[0]);
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

/* The same with the ITL signed by the recovery key first: a third key that phones know. */
static void suggest(struct cp_ledger *l, const struct plan_ask *ask, const struct cp_tm_plan *found, int found_rc, json_t *out)
{
	struct plan_ask more = *ask;
	struct cp_tm_plan p;
	char why[256];

	if (ask->n == CP_TM_STEPS_MAX || (found_rc == 0 && found->waits == 0))
		return;
	more.step[more.n++] = (struct cp_tm_step){.op = CP_TM_SIGN_ITL, .ident = -1, .with = CP_TM_WITH_RECOVERY};
	if (find_order(l, &more, &p, why, sizeof(why)) == 0 && (found_rc < 0 || p.waits < found->waits))
		json_object_set_new(out, "or", order_text(l, &more, &p));
}

static void plan(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"change", NULL};
	struct cp_ledger *l = ctx;
	const json_t *words = json_object_get(args, "change"), *v;
	struct cp_ledger_toll toll;
	struct plan_ask ask;
	struct cp_tm_plan p = {0};
	char text[600] = "", why[512] = "";
	size_t i, n = 0;
	json_t *o;
	int rc, found;

	if (cp_admin_arg_known(req, args, known) < 0)
		return;
	json_array_foreach(words, i, v)
		if (json_is_string(v) && n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n > 0 ? " " : "", json_string_value(v));
	if (!json_is_array(words) || n >= sizeof(text)) {
		cp_admin_fail(req, "invalid", "change must be a list of words");
		return;
	}
	rc = parse_change(text, &ask, why, sizeof(why));
	if (rc < 0) {
		cp_admin_fail(req, "invalid", "%s", why);
		return;
	}
	rc = at_once(l, &ask, &toll, why, sizeof(why));
	if (rc == -EPROTO) { /* perhaps in another order */
		memset(&toll, 0, sizeof(toll));
		rc = 0;
	}
	found = rc < 0 ? rc : find_order(l, &ask, &p, why, sizeof(why));
	if (rc < 0 || (found < 0 && found != -ENOENT)) {
		rc = rc < 0 ? rc : found;
		if (rc == -EAGAIN)
			cp_admin_fail(req, "unavailable", "certificates or lists are not there yet");
		else
			cp_admin_fail_rc(req, rc, "%s", why[0] != '\0' ? why : strerror(-rc));
		return;
	}
	cp_ledger_toll_text(&toll, text, sizeof(text));
	o = json_pack("{s:i, s:i, s:i, s:s, s:o}", "phones", (int)toll.phones, "stranded_already", (int)toll.lost,
		      "stranded_if_done_at_once", (int)toll.stranded, "because", toll.stranded > 0 ? text : "", "first", names(&toll));
	if (found == 0)
		json_object_set_new(o, "order", order_text(l, &ask, &p));
	json_object_set_new(o, "verdict",
			    json_string(found < 0 ? "no order strands nobody" : p.waits > 0 ? "strands nobody, if every wait is kept" :
											      "strands nobody"));
	suggest(l, &ask, &p, found, o);
	cp_admin_reply(req, o);
}

int cp_ledger_commands(struct cp_ledger *l, struct cp_admin *admin)
{
	int rc = cp_admin_register(admin, "trust.status", status, l);

	if (rc == 0)
		rc = cp_admin_register(admin, "trust.ledger", show_ledger, l);
	if (rc == 0)
		rc = cp_admin_register(admin, "trust.forget", forget, l);
	if (rc == 0)
		rc = cp_admin_register(admin, "trust.plan", plan, l);
	return rc;
}
