/* SPDX-License-Identifier: BSD-3-Clause */
#include "load.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#include "loadcalls.h"

#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define REASONS_MAX 32
#define CALLS_AFTER_S 2 /* for the last ones to start up */

struct load {
	const struct sim_load_opts *opts;
	struct sim_phone_opts *phone_opts;
	struct sim_phone **phones;
	X509 **certs;
	EVP_PKEY **keys;
	unsigned int started, registered, ready, failed, lost, busy, left;
	struct sim_calls *calls;
	bool leaving;
	uint64_t start_us, all_us;
	double due;                  /* starts that the rate allows by now */
	struct event *starter, *holder, *caller, *sigint, *sigterm;
	uint32_t *reg_us;            /* of each registration, for percentiles */
	unsigned int reg_cnt, reg_room;
	uint32_t *ka_us;
	unsigned int ka_cnt, ka_room;
	struct {
		char text[96];
		unsigned int cnt;
	} reasons[REASONS_MAX];
};

static void keep(uint32_t **list, unsigned int *cnt, unsigned int *room, uint64_t us)
{
	if (*cnt == *room) {
		unsigned int more = *room == 0 ? 4096 : *room * 2;
		uint32_t *p = more > 1U << 22 ? NULL : realloc(*list, more * sizeof(**list));

		if (p == NULL)
			return;
		*list = p;
		*room = more;
	}
	(*list)[(*cnt)++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static void after(struct event *ev, double s)
{
	struct timeval tv = {.tv_sec = (time_t)s, .tv_usec = (suseconds_t)((s - (double)(time_t)s) * 1e6)};

	event_add(ev, &tv);
}

static void settled(struct load *l)
{
	if (l->all_us == 0 && l->started == l->opts->phones && l->busy == 0) {
		l->all_us = sim_now_us();
		sim_event("load", "settled", "{s:i, s:i, s:f}", "registered", (int)l->registered, "failed",
			  (int)l->failed, "seconds", (double)(l->all_us - l->start_us) / 1e6);
		if (l->calls != NULL)
			after(l->caller, CALLS_AFTER_S);
		else
			after(l->holder, l->opts->hold_s);
	}
}

static void on_registered(void *ctx, struct sim_phone *p, uint64_t took_us)
{
	struct load *l = ctx;

	(void)p;
	l->registered++;
	l->busy--;
	keep(&l->reg_us, &l->reg_cnt, &l->reg_room, took_us);
	settled(l);
}

static void on_ready(void *ctx, struct sim_phone *p)
{
	struct load *l = ctx;

	(void)p;
	l->ready++;
}

static void on_failed(void *ctx, struct sim_phone *p, const char *reason)
{
	struct load *l = ctx;
	unsigned int i = 0;

	if (sim_phone_state(p) == SIM_PHONE_WAITING) {
		l->lost++;
	} else {
		l->failed++;
		l->busy--;
	}
	while (i < REASONS_MAX - 1 && l->reasons[i].cnt > 0 && strncmp(l->reasons[i].text, reason, 95) != 0)
		i++;
	if (l->reasons[i].cnt++ == 0)
		snprintf(l->reasons[i].text, sizeof(l->reasons[i].text), "%s",
			 i == REASONS_MAX - 1 ? "other reasons" : reason);
	settled(l);
}

static void on_left(void *ctx, struct sim_phone *p)
{
	struct load *l = ctx;

	(void)p;
	if (++l->left == l->started)
		event_base_loopexit(l->phone_opts->base, NULL);
}

static void on_keepalive_rtt(void *ctx, uint64_t rtt_us)
{
	struct load *l = ctx;

	keep(&l->ka_us, &l->ka_cnt, &l->ka_room, rtt_us);
}

static void on_ringing(void *ctx, struct sim_phone *p)
{
	struct load *l = ctx;

	if (l->calls != NULL)
		sim_calls_ringing(l->calls, p);
}

static void on_media_up(void *ctx, struct sim_phone *p)
{
	struct load *l = ctx;

	if (l->calls != NULL)
		sim_calls_media(l->calls, p);
}

static void on_call_ended(void *ctx, struct sim_phone *p)
{
	struct load *l = ctx;

	if (l->calls != NULL)
		sim_calls_ended(l->calls, p);
}

static const struct sim_phone_ops load_ops = {
	.registered = on_registered,
	.ready = on_ready,
	.failed = on_failed,
	.left = on_left,
	.keepalive = on_keepalive_rtt,
	.ringing = on_ringing,
	.media_up = on_media_up,
	.call_ended = on_call_ended,
};

static void on_start(evutil_socket_t fd, short what, void *arg)
{
	struct load *l = arg;
	unsigned int n;

	(void)fd;
	(void)what;
	l->due += l->opts->rate * 0.01;
	n = (unsigned int)l->due;
	l->due -= n;
	for (; n > 0 && l->started < l->opts->phones && l->busy < l->opts->parallel && !l->leaving; n--) {
		l->busy++;
		sim_phone_start(l->phones[l->started++]);
	}
	if (l->started < l->opts->phones && !l->leaving)
		after(l->starter, 0.01);
}

static void leave(struct load *l)
{
	if (l->leaving) {
		event_base_loopbreak(l->phone_opts->base);
		return;
	}
	l->leaving = true;
	event_del(l->starter);
	if (l->started == 0)
		event_base_loopexit(l->phone_opts->base, NULL);
	for (unsigned int i = 0; i < l->started; i++)
		sim_phone_leave(l->phones[i]);
}

static void on_call(evutil_socket_t fd, short what, void *arg)
{
	struct load *l = arg;

	(void)fd;
	(void)what;
	if (!l->leaving)
		sim_calls_start(l->calls);
}

static void on_calls_over(void *ctx)
{
	leave(ctx);
}

static void on_hold_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	leave(arg);
}

/* --- phones and their certificates --- */

static void name_of(const char *first, unsigned int i, char ret[17])
{
	unsigned long long mac = strtoull(first + 3, NULL, 16) + i;

	snprintf(ret, 17, "SEP%012llX", mac & 0xFFFFFFFFFFFFULL);
}

static X509 *issue(EVP_PKEY *ca_key, X509 *ca, EVP_PKEY *key, const char *name)
{
	X509 *x = X509_new();
	X509_NAME *subject;
	uint8_t serial[8];
	BIGNUM *bn;

	if (x == NULL || RAND_bytes(serial, sizeof(serial)) != 1)
		goto fail;
	serial[0] &= 0x7F;
	subject = X509_get_subject_name(x);
	bn = BN_bin2bn(serial, sizeof(serial), NULL);
	if (bn == NULL || BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) == NULL || X509_set_version(x, 2) != 1 ||
	    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) !=
		    1 ||
	    X509_set_issuer_name(x, X509_get_subject_name(ca)) != 1 ||
	    X509_gmtime_adj(X509_getm_notBefore(x), -86400) == NULL ||
	    X509_gmtime_adj(X509_getm_notAfter(x), 86400 * 365) == NULL || X509_set_pubkey(x, key) != 1 ||
	    X509_sign(x, ca_key, EVP_sha256()) == 0) {
		BN_free(bn);
		goto fail;
	}
	BN_free(bn);
	return x;
fail:
	X509_free(x);
	return NULL;
}

static int certificates(struct load *l)
{
	const struct sim_load_opts *o = l->opts;
	EVP_PKEY *ca_key = NULL, *shared = NULL;
	X509 *ca = NULL;
	char name[17], path[512];
	int rc = 0;

	if (o->cert_dir == NULL && o->ca == NULL)
		return 0;
	if (o->ca != NULL) {
		rc = sim_pem_load(o->ca, &ca_key, &ca);
		if (rc < 0) {
			fprintf(stderr, "%s: no key and certificate of a CA in it\n", o->ca);
			return rc;
		}
		shared = EVP_EC_gen("P-256"); /* one key for all: making ten thousand is not what is measured */
	}
	for (unsigned int i = 0; i < o->phones && rc == 0; i++) {
		name_of(o->first, i, name);
		if (o->ca != NULL) {
			l->certs[i] = issue(ca_key, ca, shared, name);
			l->keys[i] = shared;
			if (l->certs[i] == NULL || EVP_PKEY_up_ref(shared) != 1)
				rc = -ENOMEM;
			continue;
		}
		snprintf(path, sizeof(path), "%s/%s.pem", o->cert_dir, name);
		rc = sim_pem_load(path, &l->keys[i], &l->certs[i]);
		if (rc < 0)
			fprintf(stderr, "%s: %s\n", path, rc == -EBADMSG ? "no matching key and certificate"
									 : strerror(-rc));
	}
	EVP_PKEY_free(shared);
	EVP_PKEY_free(ca_key);
	X509_free(ca);
	return rc;
}

static int make_phones(struct load *l)
{
	struct sim_addr source = l->opts->source_first;
	char name[17];

	for (unsigned int i = 0; i < l->opts->phones; i++) {
		name_of(l->opts->first, i, name);
		l->phones[i] = sim_phone_create(l->phone_opts, name, l->certs[i], l->keys[i], &load_ops, l);
		if (l->phones[i] == NULL)
			return -ENOMEM;
		sim_phone_set_index(l->phones[i], i);
		if (source.len == 0)
			continue;
		sim_phone_set_source(l->phones[i], &source);
		if (sim_addr_same_ip(&source, &l->opts->source_last))
			source = l->opts->source_first;
		else
			sim_addr_add(&source, 1);
	}
	return 0;
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	leave(arg);
}

static json_t *report_of(struct load *l, unsigned int still)
{
	json_t *reasons = json_object();
	struct rusage ru;
	double took = (double)((l->all_us != 0 ? l->all_us : sim_now_us()) - l->start_us) / 1e6;

	for (unsigned int i = 0; i < REASONS_MAX && l->reasons[i].cnt > 0; i++)
		json_object_set_new(reasons, l->reasons[i].text, json_integer(l->reasons[i].cnt));
	getrusage(RUSAGE_SELF, &ru);
	return json_pack("{s:o*, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:o, s:o, s:o, s:I, s:f}", "calls",
			 l->calls != NULL ? sim_calls_report(l->calls) : NULL, "phones",
			 (int)l->opts->phones, "registered", (int)l->registered, "ready", (int)l->ready,
			 "registered_at_end", (int)still, "failed", (int)l->failed, "lost", (int)l->lost,
			 "register_seconds", took, "registrations_per_s", took > 0 ? l->registered / took : 0.0,
			 "register", sim_percentiles(l->reg_us, l->reg_cnt), "keepalive",
			 sim_percentiles(l->ka_us, l->ka_cnt), "failures", reasons, "max_rss_kib",
			 (json_int_t)ru.ru_maxrss, "cpu_s",
			 (double)ru.ru_utime.tv_sec + (double)ru.ru_stime.tv_sec +
				 (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
}

int sim_load_run(struct sim_phone_opts *opts, const struct sim_load_opts *load)
{
	struct load l = {.opts = load, .phone_opts = opts};
	unsigned int still = 0;
	json_t *report;
	int rc = 2;

	l.phones = calloc(load->phones, sizeof(*l.phones));
	l.certs = calloc(load->phones, sizeof(*l.certs));
	l.keys = calloc(load->phones, sizeof(*l.keys));
	l.starter = event_new(opts->base, -1, 0, on_start, &l);
	l.holder = event_new(opts->base, -1, 0, on_hold_over, &l);
	l.caller = event_new(opts->base, -1, 0, on_call, &l);
	l.sigint = evsignal_new(opts->base, SIGINT, on_signal, &l);
	l.sigterm = evsignal_new(opts->base, SIGTERM, on_signal, &l);
	if (l.phones == NULL || l.certs == NULL || l.keys == NULL || l.starter == NULL || l.holder == NULL ||
	    l.sigint == NULL || l.sigterm == NULL || certificates(&l) < 0)
		goto out;
	if (sim_raise_files(load->phones + 256ULL) < 0) {
		fprintf(stderr, "not allowed to open %u files: %s\n", load->phones + 256, strerror(errno));
		goto out;
	}
	if (make_phones(&l) < 0)
		goto out;
	if (load->calls_s > 0) {
		const struct sim_calls_opts calls = {.base = opts->base, .phones = l.phones, .phones_cnt = load->phones, .number = load->number,
						     .seconds = load->calls_s, .rate = load->calls_rate, .parallel = load->calls_parallel,
						     .over = on_calls_over, .ctx = &l};

		l.calls = sim_calls_create(&calls);
		if (l.calls == NULL)
			goto out;
	}
	evsignal_add(l.sigint, NULL);
	evsignal_add(l.sigterm, NULL);
	l.start_us = sim_now_us();
	on_start(-1, 0, &l);
	event_base_dispatch(opts->base);
	/* Registered at the end: those that were, and did not fall out before the hold was over. */
	still = l.registered >= l.lost ? l.registered - l.lost : 0;
	report = report_of(&l, still);
	if (sim_report_write(load->report != NULL ? load->report : "-", report) == 0)
		rc = l.registered - l.lost == load->phones && l.failed == 0 ? 0 : 1;
	json_decref(report);
out:
	for (unsigned int i = 0; i < load->phones && l.phones != NULL; i++)
		sim_phone_destroy(l.phones[i]);
	for (unsigned int i = 0; i < load->phones && l.certs != NULL && l.keys != NULL; i++) {
		X509_free(l.certs[i]);
		EVP_PKEY_free(l.keys[i]);
	}
	free(l.phones);
	free(l.certs);
	free(l.keys);
	free(l.reg_us);
	free(l.ka_us);
	if (l.starter != NULL)
		event_free(l.starter);
	if (l.holder != NULL)
		event_free(l.holder);
	if (l.caller != NULL)
		event_free(l.caller);
	sim_calls_destroy(l.calls);
	if (l.sigint != NULL)
		event_free(l.sigint);
	if (l.sigterm != NULL)
		event_free(l.sigterm);
	return rc;
}
