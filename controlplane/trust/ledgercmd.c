/* SPDX-License-Identifier: BSD-3-Clause */
/* trust.status, trust.ledger, trust.forget, trust.confirm; trust.plan is ledgerplan.c's. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/admin.h"
#include "clock.h"
#include "ledgerint.h"

#define SHOW_MAX 10000 /* phones of one trust.ledger */

static const char *how_name(unsigned how)
{
	static const char *const names[] = {"", "fetched", "handshake", "tvs", "imported", "capf"};

	return how < sizeof(names) / sizeof(names[0]) ? names[how] : "?";
}

static json_t *when(int64_t us)
{
	char buf[CP_UTC_LEN];

	return json_string(us > 0 ? cp_utc(us / 1000000, buf) : "");
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
	struct cp_ledger_census n;
	json_t *lists, *o;

	if (cp_admin_arg_known(req, args, known) < 0)
		return;
	w = calloc(1, sizeof(*w));
	if (w == NULL || cp_ledger_now(l, w) < 0 || cp_ledger_count(l, w, &n) < 0) {
		free(w);
		cp_admin_fail(req, "unavailable", "certificates or lists are not there yet");
		return;
	}
	lists = json_array();
	for (const struct kept *k = l->kept; k != NULL; k = k->next)
		if (k->refs > 0) {
			o = json_pack("{s:s, s:o, s:i, s:s}", "list", k->kind == PKI_TL_CTL ? "CTL" : "ITL", "sha256",
				      list_name(true, k->sha), "phones", (int)k->refs, "in_force", in_force(w, k) ? "yes" : "no");
			json_object_set_new(o, "made", when((int64_t)k->timestamp * 1000000));
			json_object_set_new(o, "first_fetched", when(k->first_us));
			json_array_append_new(lists, o);
		}
	free(w);
	cp_admin_reply(req, json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:o}", "phones", (int)n.phones, "hold_what_is_served",
				      (int)n.hold, "behind", (int)(n.phones - n.hold), "stranded", (int)n.stranded, "unproven",
				      (int)n.unproven, "doubtful", (int)n.doubtful, "holdings_not_known", (int)n.dark, "never_seen",
				      (int)n.fresh, "lists", lists));
}

/* --- phones --- */

static json_t *claims(const struct cp_ledger_rec *r)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < r->claim_cnt; i++) {
		const struct cp_ledger_claim *c = &r->claim[i];
		char from[64] = "";

		if (c->from.family != 0)
			cfg_addr_print(&c->from, from, sizeof(from));
		json_array_append_new(a, json_pack("{s:s, s:o, s:o, s:o}", "from", from, "ctl", list_name(c->has_ctl, c->ctl), "itl",
						   list_name(c->has_itl, c->itl), "when", when(c->us)));
	}
	return a;
}

/* What one should know beside what it holds. */
static const char *note_of(const struct cp_ledger_rec *r)
{
	if (r->doubt != 0)
		return "doubted: it fetched a list that what it holds would refuse";
	if (r->vague)
		return "lists were fetched in its name from more places than are kept";
	if (r->claim_cnt > 0)
		return "unproven: fetched in its name; it did not register from there within the hour";
	return r->blank ? "reset: holds no list" : !r->has_ctl && !r->has_itl ? "lists not known" : "";
}

static json_t *phone(const struct cp_ledger_rec *r)
{
	json_t *o = json_pack("{s:s, s:o, s:s, s:o, s:o, s:s, s:o}", "device", r->device, "ctl", list_name(r->has_ctl, r->ctl), "ctl_how",
			      how_name(r->ctl_how), "ctl_when", when(r->ctl_us), "itl", list_name(r->has_itl, r->itl), "itl_how",
			      how_name(r->itl_how), "itl_when", when(r->itl_us));

	json_object_set_new(o, "lsc", list_name(r->has_lsc, r->lsc));
	json_object_set_new(o, "lsc_expires", when(r->lsc_expires_us));
	json_object_set_new(o, "callmanager", list_name(r->has_ccm, r->ccm));
	json_object_set_new(o, "seen", when(r->seen_us));
	json_object_set_new(o, "unproven", claims(r));
	json_object_set_new(o, "note", json_string(note_of(r)));
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

struct said {
	struct cp_admin_req *req;
	const char *done;
	int n;
};

static void said_stored(void *ctx, int rc)
{
	struct said *f = ctx;

	if (rc < 0)
		cp_admin_fail_rc(f->req, rc, NULL);
	else
		cp_admin_reply(f->req, json_pack("{s:i}", f->done, f->n));
	free(f);
}

/* All or none: each must be something that can be said of it. */
static bool sayable(struct cp_ledger *l, struct cp_admin_req *req, const json_t *list, bool claims_wanted)
{
	const json_t *v;
	size_t i;

	json_array_foreach(list, i, v) {
		const struct cp_ledger_rec *r = cp_ledger_find(l, json_string_value(v));

		if (cp_dir_device(l->env.store, json_string_value(v)) == NULL)
			cp_admin_fail(req, "not-found", "%s: no such device", json_string_value(v));
		else if (claims_wanted && (r == NULL || r->claim_cnt == 0))
			cp_admin_fail(req, "not-found", "%s: nothing unproven is known of it", json_string_value(v));
		else
			continue;
		return false;
	}
	return true;
}

/* What was heard otherwise is gathered; what an operator says is answered when it is synced, with an audit record. */
static void say(struct cp_ledger *l, struct cp_admin_req *req, const json_t *args, bool confirm)
{
	const json_t *list = devices_arg(req, args, true), *v;
	struct cp_batch *b;
	struct said *f;
	json_t *audit;
	char *text;
	size_t i;
	int rc = 0;

	if (list == NULL || !sayable(l, req, list, confirm))
		return;
	b = cp_batch_create();
	f = calloc(1, sizeof(*f));
	audit = json_pack("{s:s, s:s, s:O}", "what", confirm ? "trust-confirm" : "trust-forget", "who", cp_admin_who(req), "devices", list);
	text = audit != NULL ? json_dumps(audit, JSON_COMPACT) : NULL;
	json_decref(audit);
	if (b == NULL || f == NULL || text == NULL)
		rc = -ENOMEM;
	json_array_foreach(list, i, v) {
		const char *name = json_string_value(v);
		const struct cp_ledger_rec *r;
		struct cp_buf buf;

		if (rc == 0)
			rc = confirm ? cp_ledger_confirm(l, name) : cp_ledger_forget(l, name);
		if (rc == -ENOENT && confirm) /* named twice */
			rc = 0;
		r = rc == 0 ? cp_ledger_find(l, name) : NULL;
		if (r == NULL || (rc = cp_ledger_rec_build(r, &buf)) < 0)
			continue;
		rc = cp_batch_put(b, CP_CF_LEDGER, r->device, strlen(r->device), buf.data, buf.len);
		free(buf.data);
	}
	if (rc == 0)
		rc = cp_batch_audit(b, text);
	free(text);
	if (rc == 0) {
		*f = (struct said){req, confirm ? "confirmed" : "forgotten", (int)json_array_size(list)};
		rc = cp_store_submit(l->env.store, b, said_stored, f);
		b = NULL;
	}
	if (rc < 0) {
		cp_batch_destroy(b);
		free(f);
		cp_admin_fail_rc(req, rc, NULL);
	}
}

static void forget(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	say(ctx, req, args, false);
}

static void confirm(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	say(ctx, req, args, true);
}

int cp_ledger_commands(struct cp_ledger *l, struct cp_admin *admin)
{
	int rc = cp_admin_register(admin, "trust.status", status, l);

	if (rc == 0)
		rc = cp_admin_register(admin, "trust.ledger", show_ledger, l);
	if (rc == 0)
		rc = cp_admin_register(admin, "trust.forget", forget, l);
	if (rc == 0)
		rc = cp_admin_register(admin, "trust.confirm", confirm, l);
	if (rc == 0)
		rc = cp_admin_register(admin, "trust.plan", cp_ledger_plan, l);
	return rc;
}
