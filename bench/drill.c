/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The trust ledger under many phones. "boot": a cluster with real keys and signed lists rolls CallManager, TVS, TFTP and CAPF;
 * after each roll all phones that are not away yet (a tenth more each time) boot by the rules of sim/trustphone.h, with its own
 * parser and real signatures, and the ledger hears what they fetched and decides whether they took it: phones per second through all
 * of that. What the ledger then believes is compared with what the phones hold, for each of them.
 * "plan": the phones as those rolls left them; `trust plan` through the admin commands, with its search on a thread: milliseconds
 * from request to answer, and the longest that the event loop was held. "allow": what the loop is held by the question before a
 * change. The store does not sync: it is not what is measured.
 * "ask": an ITL signed by the TFTP key of the day, which is rolled; each phone meets a signer it does not know, opens a TLS connection to
 * the appliance's own TVS and asks: phones per second, one after the other, both ends in this process. All must trust the new ITL then, and
 * none where TVS's port is closed, else the bench fails.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "bench.h"
#include "drill.h"
#include "offload.h"
#include "proc.h"
#include "trust/ledger.h"
#include "tvs_live.h"

#define AWAY 10 /* from each roll on another tenth of the phones is away */

struct field {
	const struct bench_opts *opts;
	struct event_base *base;
	struct cp_store *store;
	struct cp_offload *offload;
	struct cp_admin *admin;
	struct cp_ledger *ledger;
	struct drill *cluster;
	struct tp_pool *pool;
	struct tp_phone *phone;
	unsigned phones;
	bool answered, said_ok;
};

static int world(void *ctx, enum pki_tl_class cls, struct cp_tm_world *ret)
{
	struct field *f = ctx;
	int rc = drill_world(f->cluster, cls, ret);

	ret->no_tvs = true; /* as in the appliance: no plan counts on TVS */
	return rc;
}

static void hears(struct field *f, const char *name, enum pki_tl_kind kind, const struct tp_list *l)
{
	const struct cp_buf *b = kind == PKI_TL_CTL ? f->cluster->ctl : f->cluster->itl;

	if (l != NULL)
		cp_ledger_list_sha(f->ledger, name, kind, tp_list_sha(l), b[PKI_CLASS_MODERN].data, b[PKI_CLASS_MODERN].len,
				   CP_LEDGER_FETCHED);
}

/* Phones that boot, all but some: how many. */
static unsigned boot(struct field *f, unsigned round)
{
	struct tp_offer o;
	unsigned n = 0;

	drill_offer(f->cluster, f->pool, PKI_CLASS_MODERN, &o);
	o.tvs = (struct tp_blob){0};
	for (unsigned i = 0; i < f->phones; i++) {
		struct tp_phone *p = &f->phone[i];
		char name[16];

		if (i % AWAY > 0 && i % AWAY <= round)
			continue;
		fix_name(i, name);
		do {
			tp_boot(f->pool, p, &o);
			hears(f, name, PKI_TL_CTL, o.ctl);
			hears(f, name, PKI_TL_ITL, o.itl);
		} while (p->took_ctl || p->took_itl);
		if (++n % 1000 == 0)
			event_base_loop(f->base, EVLOOP_NONBLOCK); /* as the ledger's writes do in an appliance */
	}
	return n;
}

static bool same_list(const struct cp_tm_list *a, const struct tp_list *b)
{
	return b == NULL ? a == NULL : a != NULL && memcmp(a->file, tp_list_sha(b), 32) == 0;
}

static int check(struct field *f)
{
	for (unsigned i = 0; i < f->phones; i++) {
		struct cp_tm_phone p = {0};
		char name[16];

		fix_name(i, name);
		if (f->opts->spoil)
			name[14] ^= 1;
		if (!cp_ledger_holds(f->ledger, name, &p) || !same_list(p.ctl, f->phone[i].ctl) || !same_list(p.itl, f->phone[i].itl)) {
			fprintf(stderr, "ravelin-bench: drill: the ledger does not know what %s holds\n", name);
			return 1;
		}
	}
	return 0;
}

static int step(struct field *f, const char *text)
{
	struct cp_tm_step s;
	char why[200] = "";

	return cp_tm_step_parse(text, &s, why, sizeof(why)) == 0 && drill_do(f->cluster, &s) ? 0 : 1;
}

static void row(const struct bench_opts *o, const char *what, unsigned phones, const char *change, const char *unit, double *value,
		unsigned runs, json_t *more)
{
	json_t *kase = json_pack("{s:s, s:i, s:s*}", "what", what, "phones", (int)phones, "change", change);

	if (bench_wanted(o, kase))
		bench_row(o, &(struct bench_row){.bench = "drill", .kase = kase, .unit = unit, .value = value, .runs = runs, .more = more});
	else {
		json_decref(kase);
		json_decref(more);
	}
}

static int rolls(struct field *f)
{
	static const char *const roll[] = {"regenerate CallManager", "regenerate TVS", "regenerate TFTP", "regenerate CAPF"};
	double rate[4];

	for (unsigned r = 0; r < 4; r++) {
		unsigned n;
		double t;

		if (step(f, roll[r]) != 0)
			return 1;
		t = bench_now();
		n = boot(f, r + 1);
		rate[r] = n / (bench_now() - t);
	}
	row(f->opts, "boot", f->phones, NULL, "phone/s", rate, 4,
	    json_pack("{s:i}", "signatures", (int)tp_pool_checks(f->pool)));
	return check(f);
}

static void answer(void *ctx, const char *line, size_t len)
{
	struct field *f = ctx;

	f->answered = true;
	f->said_ok = len > 10 && strncmp(line, "{\"ok\":true", 10) == 0;
}

/* Milliseconds to the answer; *ret_held: the longest in one go on the loop. Below 0: it failed. */
static double ask(struct field *f, const char *request, double *ret_held)
{
	double from = bench_now(), at = from, held;

	f->answered = f->said_ok = false;
	cp_admin_input(f->admin, request, strlen(request), answer, f);
	held = bench_now() - at;
	while (!f->answered && bench_now() - from < 60) {
		at = bench_now();
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		if (bench_now() - at > held)
			held = bench_now() - at;
		if (!f->answered)
			usleep(100);
	}
	*ret_held = held * 1e3;
	return f->said_ok ? (bench_now() - from) * 1e3 : -1;
}

static int plans(struct field *f)
{
	static const struct {
		const char *name, *request;
	} all[] = {
		{"TVS + TFTP", "{\"cmd\":\"trust.plan\",\"args\":{\"change\":[\"regenerate TVS + regenerate TFTP\"]}}"},
		{"six", "{\"cmd\":\"trust.plan\",\"args\":{\"change\":[\"regenerate CallManager + regenerate TVS + regenerate TFTP + "
			"regenerate CAPF + regenerate SAST1 + retire TFTP\"]}}"},
		{"status", "{\"cmd\":\"trust.status\"}"},
	};
	struct cp_trust_ask a = {.change = CP_TRUST_RETIRE, .subject = "TFTP"};
	unsigned runs = f->opts->runs > 0 ? f->opts->runs : f->opts->quick ? 3 : 11;
	double ms[BENCH_RUNS_MAX], held[BENCH_RUNS_MAX];
	unsigned stranded = 0;
	char why[512];

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		for (unsigned r = 0; r < runs; r++)
			if ((ms[r] = ask(f, all[i].request, &held[r])) < 0) {
				fprintf(stderr, "ravelin-bench: drill: %s: no answer\n", all[i].name);
				return 1;
			}
		row(f->opts, "plan", f->phones, all[i].name, "ms", ms, runs,
		    json_pack("{s:f, s:f}", "held_ms", bench_quantile(held, runs, 0.5), "held_max_ms", bench_quantile(held, runs, 1)));
	}
	for (unsigned r = 0; r < runs; r++) {
		double t = bench_now();
		int rc = cp_ledger_allow(f->ledger, &a, 0, &stranded, why, sizeof(why));

		ms[r] = (bench_now() - t) * 1e3;
		if (rc != (stranded > 0 ? -EPERM : 0))
			return 1;
	}
	row(f->opts, "allow", f->phones, "retire TFTP", "ms", ms, runs, json_pack("{s:i}", "stranded", (int)stranded));
	return 0;
}

/* All boot; how many are stranded. */
static unsigned settle(struct tp_pool *pool, struct tp_phone *phone, unsigned phones, struct drill *cluster, struct tvs_live *live, bool spoil,
		       struct tvs_asker *a)
{
	unsigned stranded = 0;
	struct tp_offer o;

	tvs_asker_init(a, live->port);
	drill_offer(cluster, pool, PKI_CLASS_MODERN, &o);
	if (spoil)
		o.tvs = o.ccm; /* another certificate than the phones' lists have for TVS */
	for (unsigned i = 0; i < phones && !bench_stopped; i++)
		stranded += !tvs_asker_boots(a, pool, &phone[i], i, &o);
	return stranded;
}

static int roll_tftp(struct drill *cluster, struct tvs_live *live)
{
	struct cp_tm_step s;
	char why[200] = "";

	if (cp_tm_step_parse("regenerate TFTP", &s, why, sizeof(why)) < 0 || !drill_do(cluster, &s))
		return 1;
	tvs_live_now(live);
	return 0;
}

static int asks(const struct bench_opts *opts, unsigned phones)
{
	unsigned runs = opts->quick ? 1 : 3, questions = 0, valid = 0, lost = 0;
	struct drill *cluster = drill_create(CP_TM_WITH_TFTP, false);
	struct tp_phone *phone = calloc(phones, sizeof(*phone));
	struct tp_pool *pool = tp_pool_create();
	double rate[BENCH_RUNS_MAX];
	struct tvs_live live;
	struct tvs_asker a;
	int rc = 1;

	signal(SIGPIPE, SIG_IGN);
	tvs_live_open(&live, cluster);
	if (phone == NULL || pool == NULL || settle(pool, phone, phones, cluster, &live, false, &a) != 0 || a.conns != 0)
		goto out; /* the first lists are taken without a question */
	for (unsigned r = 0; r < runs && !bench_stopped; r++) {
		double t;

		if (roll_tftp(cluster, &live) != 0)
			goto out;
		t = bench_now();
		tvs_live_go(&live);
		lost += settle(pool, phone, phones, cluster, &live, opts->spoil, &a);
		tvs_live_pause(&live);
		rate[r] = phones / (bench_now() - t);
		questions += a.asked;
		valid += a.valid;
	}
	if (!bench_stopped && (lost > 0 || valid < runs * phones)) {
		fprintf(stderr, "ravelin-bench: drill: %u of %u phones stranded with TVS, %u answers\n", lost, phones, valid);
		goto out;
	}
	/* and without it */
	cp_net_destroy(live.net);
	live.net = NULL;
	if (bench_stopped || roll_tftp(cluster, &live) != 0)
		goto out;
	lost = settle(pool, phone, phones, cluster, &live, false, &a);
	if (lost != phones) {
		fprintf(stderr, "ravelin-bench: drill: %u of %u phones stranded without TVS: no question was needed\n", lost, phones);
		goto out;
	}
	row(opts, "ask", phones, "regenerate TFTP", "phone/s", rate, runs,
	    json_pack("{s:i, s:i, s:i}", "questions", (int)questions, "stranded", 0, "stranded_without", (int)lost));
	rc = 0;
out:
	tvs_live_close(&live);
	tp_pool_destroy(pool);
	free(phone);
	drill_destroy(cluster);
	fix_keys_free();
	return bench_stopped ? 0 : rc;
}

static int one(const struct bench_opts *opts, unsigned phones)
{
	struct field f = {.opts = opts, .phones = phones, .base = event_base_new()};
	struct cp_store_opts so = {.path = tmp_store, .base = f.base, .no_sync = true};
	struct cp_ledger_env env = {.base = f.base, .world = world, .ctx = &f};
	char err[200] = "";
	int rc = 1;

	tmp_make();
	f.offload = f.base != NULL ? cp_offload_create(f.base) : NULL;
	f.admin = cp_admin_create(NULL);
	f.pool = tp_pool_create();
	f.phone = calloc(phones, sizeof(*f.phone));
	f.cluster = drill_create(CP_TM_WITH_AUTO, false);
	if (f.offload == NULL || f.admin == NULL || f.pool == NULL || f.phone == NULL || cp_store_open(&so, &f.store, err, sizeof(err)) < 0)
		goto out;
	env.store = f.store;
	env.offload = f.offload;
	if (fix_devices(f.store, f.base, 0, phones, "8851") < 0 || cp_ledger_create_env(&env, &f.ledger) < 0 ||
	    cp_ledger_commands(f.ledger, f.admin) < 0)
		goto out;
	boot(&f, 0);
	rc = rolls(&f);
	if (rc == 0 && !bench_stopped)
		rc = plans(&f);
out:
	if (rc != 0)
		fprintf(stderr, "ravelin-bench: drill: failed %s\n", err);
	cp_offload_destroy(f.offload);
	if (f.ledger != NULL)
		cp_ledger_stop(f.ledger);
	if (f.store != NULL)
		cp_store_close(f.store);
	cp_ledger_destroy(f.ledger);
	cp_admin_destroy(f.admin);
	drill_destroy(f.cluster);
	tp_pool_destroy(f.pool);
	free(f.phone);
	event_base_free(f.base);
	fix_keys_free();
	tmp_remove();
	return rc;
}

int bench_drill(const struct bench_opts *opts)
{
	json_t *kase = json_pack("{s:s}", "what", "ask");
	int rc = bench_wanted_free(opts, kase) ? asks(opts, opts->quick ? 1000 : 10000) : 0;

	if (rc == 0 && !bench_stopped)
		rc = one(opts, 10000);
	return rc != 0 || bench_stopped ? rc : one(opts, 100000);
}
