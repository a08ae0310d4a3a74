/* SPDX-License-Identifier: BSD-3-Clause */
#include "enrol/enrol.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alarm.h"
#include "app.h"
#include "config.h"
#include "crl.h"
#include "enrol/capf.h"
#include "enrol/capfapp.h"
#include "enrol/scepc.h"
#include "enrol/waves.h"
#include "log.h"
#include "net/net.h"
#include "net/tls.h"
#include "offload.h"
#include "provision/cache.h"
#include "signerc/lscask.h"
#include "signerc/signerc.h"
#include "store/store.h"
#include "trust/certs.h"
#include "trust/ledger.h"
#include "trustlist.h"
#include "x509.h"

#define SIGNER_ANSWER_MS 20000 /* making an RSA key of 4,096 bits, or a backup, lets others wait */

struct cp_enrol {
	struct cp_net *net;
	struct cp_tls *tls;
	struct cp_lscask *ask;
	struct cp_waves *waves;
	struct cp_wavecmd *wavecmd;
	struct cp_capfapps *apps;
	STACK_OF(X509) *cas; /* further issuers of phones' certificates: signer.trust */
	X509_STORE *lsc, *mic;
	struct cp_scepc *scep;
	bool stale; /* lsc, mic */
	bool look;  /* is the CA in CAPF-trust? */
	char files[512];
	/* revocation lists: those of the issuer, and of what it was before */
	pthread_mutex_t lock; /* of 'crl' */
	struct cp_file *crl[2];
	struct event *tick;
	bool making;
	uint64_t made_of;   /* cp_lscs_stats.changes */
	int64_t due_s, tried_s;
	uint32_t number;
};

static const char *const issuers[2] = {"CAPF", "CAPF.prev"};

/* --- whom CAPF believes --- */

static void add(STACK_OF(X509) *list, X509 *cert) /* takes the reference */
{
	if (cert != NULL && sk_X509_push(list, cert) <= 0)
		X509_free(cert);
}

static void rebuild(struct cp_app *app)
{
	struct cp_enrol *e = app->enrol;
	STACK_OF(X509) *ours = sk_X509_new_null(), *theirs = cp_certs_trusted(app->certs, CP_TS_CAPF);
	X509_STORE *lsc = NULL, *mic = NULL;

	if (ours == NULL)
		goto out;
	add(ours, cp_certs_own(app->certs, "CAPF"));
	add(ours, cp_certs_own(app->certs, "CAPF.prev"));
	for (int i = 0; e->cas != NULL && i < sk_X509_num(e->cas); i++) {
		X509 *ca = sk_X509_value(e->cas, i);

		if (X509_up_ref(ca) == 1)
			add(ours, ca);
	}
	/* Old MICs are signed with SHA-1 by keys of 1,024 bits; what they may do here is ask for a better certificate. */
	if (pki_phone_store(ours, app->cfg->enrol.old_keys, &lsc) < 0 ||
	    (theirs != NULL && sk_X509_num(theirs) > 0 && pki_phone_store(theirs, true, &mic) < 0)) {
		X509_STORE_free(lsc);
		cfg_log(CFG_LOG_ERR, "capf-trust", "reason=\"no memory\"");
		goto out;
	}
	X509_STORE_free(e->lsc);
	X509_STORE_free(e->mic);
	e->lsc = lsc;
	e->mic = mic;
	e->stale = false;
out:
	sk_X509_pop_free(ours, X509_free);
	sk_X509_pop_free(theirs, X509_free);
}

static void trust(void *ctx, struct cp_capf_trust *ret)
{
	struct cp_app *app = ctx;

	if (app->enrol->stale)
		rebuild(app);
	ret->lsc = app->enrol->lsc;
	ret->mic = app->enrol->mic;
}

static void certs_changed(void *ctx, const char *name)
{
	struct cp_app *app = ctx;

	if (app->enrol != NULL && (strcmp(name, "CAPF") == 0 || strcmp(name, cp_trust_store_name(CP_TS_CAPF)) == 0))
		app->enrol->stale = app->enrol->look = true;
}

/* --- what the service asks for --- */

static int issue(void *ctx, const char *device, const struct pki_spki *key, cp_capf_issued_fn *done, void *done_ctx)
{
	struct cp_app *app = ctx;

	return cp_lscask(app->enrol->ask, device, key, done, done_ctx);
}

static int request(void *ctx, const char *device, EVP_PKEY *pub, uint8_t **ret, size_t *ret_len, char *why, size_t size)
{
	struct cp_app *app = ctx;
	struct cp_signer_ra r;
	int rc = cp_signer_ra(app->signer, device, PKI_RA_REQUEST, 0, pub, (struct pki_blob){0}, (struct pki_blob){0}, &r);

	if (rc < 0) {
		snprintf(why, size, "%s", cp_signer_error(app->signer));
		return rc;
	}
	*ret = r.data;
	*ret_len = r.len;
	r.data = NULL;
	cp_signer_ra_free(&r);
	return 0;
}

/* By a CA in CAPF-trust or signer.trust, as when the phone shows it later; ours is none here. */
static int vouched(void *ctx, X509 *cert, STACK_OF(X509) *more, char *why, size_t size)
{
	struct cp_app *app = ctx;
	STACK_OF(X509) *cas = cp_certs_trusted(app->certs, CP_TS_CAPF);
	X509_STORE *store = NULL;
	int error = 0, rc = -ENOMEM;

	if (cas == NULL)
		cas = sk_X509_new_null();
	if (cas == NULL) {
		snprintf(why, size, "no memory");
		return rc;
	}
	for (int i = 0; app->enrol->cas != NULL && i < sk_X509_num(app->enrol->cas); i++)
		if (X509_up_ref(sk_X509_value(app->enrol->cas, i)) == 1)
			add(cas, sk_X509_value(app->enrol->cas, i));
	if (pki_phone_store(cas, app->cfg->enrol.old_keys, &store) == 0)
		rc = pki_phone_verify(store, cert, more, (int64_t)time(NULL), &error);
	if (rc < 0)
		snprintf(why, size, error == 0 ? "no memory" : "%s: its CA must be in CAPF-trust, and it must be valid for a TLS client", pki_verify_word(error));
	X509_STORE_free(store);
	sk_X509_pop_free(cas, X509_free);
	return rc;
}

static bool among(const STACK_OF(X509) *certs, const uint8_t sha256[32])
{
	uint8_t fp[32];

	for (int i = 0; certs != NULL && i < sk_X509_num(certs); i++)
		if (pki_fingerprint(sk_X509_value(certs, i), fp) == 0 && memcmp(fp, sha256, sizeof(fp)) == 0)
			return true;
	return false;
}

/* The pin says whom we talk to, not that what it issues is believed: then each certificate that it issues would be refused. */
static void look_at_ca(struct cp_app *app)
{
	const uint8_t *sha256 = app->cfg->enrol.scep.ca_sha256;
	STACK_OF(X509) *certs;

	app->enrol->look = false;
	if (app->cfg->enrol.issuer != CFG_ISSUER_SCEP)
		return;
	certs = cp_certs_trusted(app->certs, CP_TS_CAPF);
	if (among(certs, sha256) || among(app->enrol->cas, sha256))
		cp_alarm_clear(app->alarms, "scep-ca-not-trusted", "CAPF");
	else
		cp_alarm_raise(app->alarms, "scep-ca-not-trusted", CP_ALARM_MAJOR, "CAPF",
			       "the CA of enrol.scep.ca_sha256 is not in CAPF-trust, so what it issues is refused: ravelinctl cert upload --store CAPF-trust FILE");
	sk_X509_pop_free(certs, X509_free);
}

static int unseal(void *ctx, const struct cp_buf *sealed, const char *aad, char ret[CP_CAPF_STRING_MAX + 1])
{
	struct cp_app *app = ctx;
	uint8_t *plain = NULL;
	size_t len = 0;
	int rc = cp_signer_unseal(app->signer, sealed->data, sealed->len, aad, strlen(aad), &plain, &len);

	if (rc < 0)
		return rc;
	rc = len <= CP_CAPF_STRING_MAX ? 0 : -EBADMSG;
	if (rc == 0) {
		memcpy(ret, plain, len);
		ret[len] = '\0';
	}
	OPENSSL_clear_free(plain, len);
	return rc;
}

static bool old_phone(void *ctx, const struct cp_device *dev)
{
	struct cp_app *app = ctx;

	return pki_tl_class_of_model(dev->model, (enum pki_tl_class)app->cfg->provision.default_class) == PKI_CLASS_79XX;
}

static void holds(void *ctx, const char *device, const uint8_t *der, size_t len)
{
	struct cp_app *app = ctx;

	if (app->ledger != NULL && !app->stopping)
		cp_ledger_lsc_der(app->ledger, device, der, len, CP_LEDGER_CAPF);
}

/* --- revocation lists --- */

#define CRL_GATHER_S 2  /* many are revoked at once when phones are renewed */
#define CRL_AGAIN_S  30 /* the signer was away */

struct crl_job {
	struct cp_app *app;
	uint8_t *entries;
	size_t len, room;
	bool nomem, prev;
	uint64_t made_of;
	uint32_t number, valid_min;
	uint8_t *der[2];
	size_t der_len[2];
	int rc;
	char why[160];
};

static void crl_free(struct crl_job *j)
{
	free(j->entries);
	OPENSSL_free(j->der[0]);
	OPENSSL_free(j->der[1]);
	free(j);
}

static void crl_add(void *ctx, const char *serial, int64_t since_us, unsigned reason)
{
	struct crl_job *j = ctx;
	uint8_t raw[PKI_CRL_SERIAL_MAX];
	size_t n = strlen(serial) / 2;
	int got;

	if (n > sizeof(raw) || cfg_hex_parse(serial, raw, n) < 0)
		return;
	if (j->room - j->len < PKI_CRL_ENTRY_MAX) {
		size_t room = j->room == 0 ? 4096 : j->room * 2;
		uint8_t *more = realloc(j->entries, room);

		if (more == NULL) {
			j->nomem = true;
			return;
		}
		j->entries = more;
		j->room = room;
	}
	got = pki_crl_entry(raw, n, since_us / 1000000, reason, j->entries + j->len);
	j->len += got > 0 ? (size_t)got : 0;
}

static void crl_work(void *arg)
{
	struct crl_job *j = arg;

	for (unsigned i = 0; i < 2 && j->rc == 0; i++) {
		if (i == 1 && !j->prev)
			break;
		/* Serial numbers are random: those of the other issuer in it mean nobody. */
		j->rc = cp_signer_crl(j->app->signer, issuers[i], j->entries, j->len, j->number, j->valid_min, &j->der[i], &j->der_len[i]);
		if (j->rc < 0)
			snprintf(j->why, sizeof(j->why), "%s", cp_signer_error(j->app->signer));
	}
}

static void crl_done(void *arg)
{
	struct crl_job *j = arg;
	struct cp_enrol *e = j->app->enrol;

	e->making = false;
	if (j->rc < 0) {
		cfg_log_limited(CFG_LOG_ERR, "crl-not-made", "reason=%s", cfg_q(j->why));
		cp_alarm_raise(j->app->alarms, "crl-not-made", CP_ALARM_MAJOR, "CAPF", "the revocation list is not current: %s", j->why);
		crl_free(j);
		return;
	}
	cp_alarm_clear(j->app->alarms, "crl-not-made", "CAPF");
	e->made_of = j->made_of;
	e->due_s = (int64_t)time(NULL) + (int64_t)j->valid_min * 30; /* half of it */
	for (unsigned i = 0; i < 2; i++) {
		struct cp_file *file = NULL, *old;
		uint8_t *own = j->der[i] != NULL ? malloc(j->der_len[i]) : NULL;
		char name[32];

		snprintf(name, sizeof(name), "%s.crl", issuers[i]);
		if (own != NULL) {
			memcpy(own, j->der[i], j->der_len[i]);
			file = cp_file_create(CP_FILE_PLAIN, name, own, j->der_len[i], (int64_t)time(NULL), false);
		}
		pthread_mutex_lock(&e->lock);
		old = e->crl[i];
		e->crl[i] = file;
		pthread_mutex_unlock(&e->lock);
		cp_file_put(old);
	}
	crl_free(j);
}

static void crl_make(struct cp_app *app, uint64_t made_of)
{
	struct cp_enrol *e = app->enrol;
	struct crl_job *j = calloc(1, sizeof(*j));
	int64_t now = (int64_t)time(NULL);
	X509 *prev = cp_certs_own(app->certs, issuers[1]);

	e->tried_s = now;
	if (j != NULL) {
		j->app = app;
		j->made_of = made_of;
		j->prev = prev != NULL;
		/* counts up, restarts included, as clocks do */
		e->number = (uint32_t)now > e->number ? (uint32_t)now : e->number + 1;
		j->number = e->number;
		j->valid_min = (uint32_t)app->cfg->enrol.crl_days * 1440;
		cp_lscs_each_refused(app->lscs, now * 1000000, crl_add, j);
	}
	X509_free(prev);
	if (j == NULL || j->nomem || cp_offload_run(app->offload, crl_work, crl_done, j) < 0) {
		if (j != NULL)
			crl_free(j);
		return; /* the next tick tries again */
	}
	e->making = true;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct cp_app *app = arg;
	struct cp_enrol *e = app->enrol;
	int64_t now = (int64_t)time(NULL);
	struct cp_lscs_stats s;

	(void)fd;
	(void)what;
	if (e->look && !app->stopping)
		look_at_ca(app);
	if (e->making || app->signer == NULL || app->stopping)
		return;
	cp_lscs_stats(app->lscs, &s);
	if (e->due_s == 0 || s.changes != e->made_of ? now - e->tried_s < (e->due_s == 0 && e->tried_s != 0 ? CRL_AGAIN_S : CRL_GATHER_S) :
						       now < e->due_s || now - e->tried_s < CRL_AGAIN_S)
		return;
	crl_make(app, s.changes);
}

struct cp_file *cp_enrol_file(struct cp_app *app, const char *name)
{
	struct cp_enrol *e = app->enrol;
	struct cp_file *file = NULL;
	size_t n = strlen(name);

	if (e == NULL || n < 5 || strcmp(name + n - 4, ".crl") != 0)
		return NULL;
	pthread_mutex_lock(&e->lock);
	for (unsigned i = 0; i < 2 && file == NULL; i++)
		if (strlen(issuers[i]) == n - 4 && memcmp(issuers[i], name, n - 4) == 0 && e->crl[i] != NULL)
			file = cp_file_take(e->crl[i]);
	pthread_mutex_unlock(&e->lock);
	return file;
}

/* --- opening --- */

static int listen_on(struct cp_app *app)
{
	const struct cfg_enrol *cfg = &app->cfg->enrol;
	struct cp_net_opts net = {
		.max_conns = cfg->max_connections,
		.max_preauth = cfg->max_preauth,
		.max_source = cfg->max_source,
		.handshake_ms = cfg->handshake_s * 1000u,
		.auth_ms = CP_CAPF_AUTH_S * 1000u,
	};
	bool legacy = app->cfg->sccp.legacy_tls;
	struct cfg_addr addr;
	uint16_t got;
	int rc;

	if (cfg->capf_port == 0)
		return 0;
	if (cfg_addr_parse(cfg->listen, &addr) < 0)
		return -EINVAL;
	addr.port = cfg->capf_port;
	rc = cp_tls_create(legacy ? CP_TLS_LEGACY_79XX : CP_TLS_MODERN, legacy, &app->enrol->tls);
	if (rc < 0)
		return rc;
	cp_tls_clients(app->enrol->tls, CP_TLS_CLIENTS_NOT_ASKED);
	cp_tls_no_tickets(app->enrol->tls); /* a phone comes once for its certificate */
	rc = cp_certs_serve(app->certs, app->enrol->tls, "CAPF-TLS", 0, false);
	if (rc == 0)
		rc = cp_net_create(app->base, &net, &app->enrol->net);
	return rc == 0 ? cp_capf_listen(app->capf, app->enrol->net, &addr, app->enrol->tls, &got) : rc;
}

const struct cp_net *cp_enrol_net(const struct cp_app *app)
{
	return app->enrol != NULL ? app->enrol->net : NULL;
}

int cp_enrol_init(struct cp_app *app)
{
	app->enrol = calloc(1, sizeof(*app->enrol));
	if (app->enrol == NULL)
		return -ENOMEM;
	pthread_mutex_init(&app->enrol->lock, NULL);
	return 0;
}

int cp_enrol_open(struct cp_app *app)
{
	static const struct timeval second = {1, 0};
	struct cp_capf_env env = {
		.base = app->base,
		.store = app->store,
		.offload = app->offload,
		.lscs = app->lscs,
		.alarms = app->alarms,
		.issue = issue,
		.unseal = unseal,
		.trust = trust,
		.old_phone = old_phone,
		.issuer = app->cfg->enrol.issuer,
		.request = request,
		.vouched = vouched,
		.poll_s = app->cfg->enrol.scep.poll_s,
		.give_up_h = app->cfg->enrol.scep.give_up_h,
		.holds = holds,
		.ctx = app,
	};
	int rc;

	snprintf(app->enrol->files, sizeof(app->enrol->files), "%s/capf", app->cfg->paths.state);
	env.files = app->enrol->files;
	app->enrol->stale = app->enrol->look = true;
	if (app->signer != NULL && cp_signer_trust(app->signer, &app->enrol->cas) < 0)
		app->enrol->cas = NULL; /* only our own issuer's then */
	rc = app->cfg->enrol.scep.url != NULL ?
		     cp_scepc_create(app->base, app->offload, app->signer, &app->cfg->enrol.scep, &app->enrol->scep) :
		     0;
	env.scep = app->cfg->enrol.issuer == CFG_ISSUER_SCEP ? app->enrol->scep : NULL;
	if (rc == 0)
		rc = cp_lscask_create(app->base, app->cfg->paths.run, SIGNER_ANSWER_MS, &app->enrol->ask);
	if (rc == 0)
		rc = cp_capf_create(&env, &app->capf);
	if (rc == 0)
		rc = cp_waves_create(app, &app->enrol->waves);
	if (rc == 0)
		rc = cp_wave_commands(app, app->enrol->waves, &app->enrol->wavecmd);
	if (rc == 0)
		rc = cp_capfapps_create(app, &app->enrol->apps);
	if (rc == 0)
		rc = cp_certs_watch(app->certs, certs_changed, app);
	if (rc == 0)
		rc = cp_capf_commands(app);
	if (rc == 0)
		rc = cp_capf_req_commands(app);
	if (rc == 0) {
		app->enrol->tick = event_new(app->base, -1, EV_PERSIST, on_tick, app);
		rc = app->enrol->tick != NULL && event_add(app->enrol->tick, &second) == 0 ? 0 : -ENOMEM;
	}
	if (rc == 0)
		rc = listen_on(app);
	if (rc < 0)
		cfg_log(CFG_LOG_ERR, "cannot-serve", "what=CAPF listen=%s port=%u reason=%s", app->cfg->enrol.listen,
			app->cfg->enrol.capf_port, cfg_q(strerror(-rc)));
	return rc;
}

json_t *cp_enrol_scep_show(struct cp_app *app)
{
	return app->enrol != NULL && app->enrol->scep != NULL ? cp_scepc_show(app->enrol->scep) : NULL;
}

void cp_enrol_stop(struct cp_app *app)
{
	if (app->enrol == NULL)
		return;
	cp_net_destroy(app->enrol->net);
	cp_scepc_stop(app->enrol->scep);
	app->enrol->net = NULL;
	cp_lscask_destroy(app->enrol->ask); /* sessions hear of it while there is a store */
	app->enrol->ask = NULL;
}

void cp_enrol_destroy(struct cp_app *app)
{
	struct cp_enrol *e = app->enrol;

	if (e != NULL) {
		cp_capfapps_destroy(e->apps);
		cp_scepc_destroy(e->scep);
		e->scep = NULL;
		cp_wave_commands_destroy(e->wavecmd);
		cp_waves_destroy(e->waves);
	}
	cp_capf_destroy(app->capf);
	app->capf = NULL;
	cp_lscs_destroy(app->lscs);
	app->lscs = NULL;
	if (e == NULL)
		return;
	if (e->tick != NULL)
		event_free(e->tick);
	cp_file_put(e->crl[0]);
	cp_file_put(e->crl[1]);
	pthread_mutex_destroy(&e->lock);
	X509_STORE_free(e->lsc);
	X509_STORE_free(e->mic);
	sk_X509_pop_free(e->cas, X509_free);
	cp_tls_destroy(e->tls);
	free(e);
	app->enrol = NULL;
}
