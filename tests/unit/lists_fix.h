/* SPDX-License-Identifier: BSD-3-Clause */
/* A signer, a clock and a store for the trust lists' suites: keys are real, and made once per program. */
#ifndef TESTS_LISTS_FIX_H
#define TESTS_LISTS_FIX_H

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "alarm.h"
#include "offload.h"
#include "store/store.h"
#include "store_tmp.h"
#include "trust/ctlcmd.h"
#include "trust/ctlop.h"
#include "trust/ctlstale.h"
#include "trust/lists.h"
#include "trust/turn.h"

#define FX_IDENTS 24

struct fx_ident {
	char name[48];
	EVP_PKEY *key;
	X509 *cert;
};

struct fx {
	struct event_base *base;
	struct cp_store *store;
	struct cp_alarms *alarms;
	struct cp_offload *offload;
	struct cp_lists *lists;
	struct fx_ident id[FX_IDENTS];
	unsigned id_cnt;
	unsigned signs;      /* how often the signer was asked */
	int sign_rc;         /* what it answers */
	int64_t now_us;
	int allow_rc;        /* of the ledger */
	unsigned allow_cnt;
	enum cp_trust_change allow_what;
	/* of the last operation */
	int done, rc;
	char text[600];
};

static EVP_PKEY *fx_keys[4];
static struct cp_turn *fx_turn; /* what the lists take turns in */
static const char *fx_host;     /* another name in the configuration of the next start */

/* Four keys for everything: lists look at certificates. */
static inline EVP_PKEY *fx_key(unsigned n)
{
	if (fx_keys[n % 4] == NULL)
		fx_keys[n % 4] = EVP_RSA_gen(2048);
	return fx_keys[n % 4];
}

static inline X509 *fx_cert_days(const char *cn, EVP_PKEY *key, int from, int to)
{
	static long serial = 1000;
	X509 *c = X509_new();

	X509_set_version(c, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(c), from * 86400L);
	X509_gmtime_adj(X509_getm_notAfter(c), to * 86400L);
	X509_set_pubkey(c, key);
	if (cn != NULL) {
		X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
		X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "O", MBSTRING_ASC, (const unsigned char *)"Test", -1, -1, 0);
		X509_set_issuer_name(c, X509_get_subject_name(c));
	}
	X509_sign(c, key, EVP_sha256());
	return c;
}

static inline X509 *fx_cert(const char *cn, EVP_PKEY *key)
{
	return fx_cert_days(cn, key, -1, 3650);
}

static inline struct fx_ident *fx_find(struct fx *f, const char *name)
{
	for (unsigned i = 0; i < f->id_cnt; i++)
		if (strcmp(f->id[i].name, name) == 0)
			return &f->id[i];
	return NULL;
}

static inline void fx_set(struct fx *f, const char *name, EVP_PKEY *key)
{
	struct fx_ident *i = fx_find(f, name);

	if (i == NULL) {
		i = &f->id[f->id_cnt++];
		snprintf(i->name, sizeof(i->name), "%s", name);
	}
	X509_free(i->cert);
	i->key = key;
	i->cert = fx_cert(name, key);
}

/* As the signer does: the old pair becomes NAME.prev. */
static inline void fx_regen(struct fx *f, const char *name)
{
	static unsigned n;
	struct fx_ident *i = fx_find(f, name);
	char prev[40];

	snprintf(prev, sizeof(prev), "%s.prev", name);
	if (fx_find(f, prev) == NULL) {
		fx_set(f, prev, i->key);
		i = fx_find(f, name);
	}
	X509_free(fx_find(f, prev)->cert);
	fx_find(f, prev)->cert = i->cert;
	fx_find(f, prev)->key = i->key;
	i->cert = NULL;
	fx_set(f, name, fx_key(++n));
}

static inline void fx_drop(struct fx *f, const char *name)
{
	struct fx_ident *i = fx_find(f, name);

	if (i == NULL)
		return;
	X509_free(i->cert);
	*i = f->id[--f->id_cnt];
}

static inline X509 *fx_own(void *ctx, const char *name)
{
	struct fx_ident *i = fx_find(ctx, name);

	if (i == NULL)
		return NULL;
	X509_up_ref(i->cert);
	return i->cert;
}

static inline int fx_sign_raw(EVP_PKEY *key, unsigned digest, const void *tbs, size_t len, uint8_t *sig, size_t *n)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	int ok = EVP_DigestSignInit(c, NULL, pki_digest_md(digest), NULL, key) == 1 && EVP_DigestSign(c, sig, n, tbs, len) == 1;

	EVP_MD_CTX_free(c);
	return ok ? 0 : -EIO;
}

static inline int fx_sign(void *ctx, enum pki_tl_kind kind, const char *ident, const void *tbs, size_t len, uint8_t *sig,
			  size_t *n, char *why, size_t size)
{
	struct fx *f = ctx;
	struct fx_ident *i = fx_find(f, ident);
	struct pki_tl *tl = malloc(sizeof(*tl));
	enum pki_tl_kind is;
	int rc;

	f->signs++;
	if (f->sign_rc != 0 || i == NULL) {
		snprintf(why, size, "the fake signer says no");
		free(tl);
		return f->sign_rc != 0 ? f->sign_rc : -ENOENT;
	}
	rc = pki_tl_parse_tbs(tbs, len, tl, why, size);
	if (rc == 0 && (pki_tl_kind_of(tl, &is) < 0 || is != kind))
		rc = -EACCES;
	if (rc == 0)
		rc = fx_sign_raw(i->key, tl->digest, tbs, len, sig, n);
	free(tl);
	return rc;
}

static inline int fx_allow(void *ctx, const struct cp_trust_ask *ask, int64_t strand, unsigned *cnt, char *why, size_t size)
{
	struct fx *f = ctx;

	f->allow_cnt++;
	f->allow_what = ask->change;
	if (f->allow_rc != 0 && strand != 7) {
		*cnt = 7;
		snprintf(why, size, "7 phones would be stranded");
		return f->allow_rc;
	}
	return 0;
}

static inline int64_t fx_now(void *ctx)
{
	return ((struct fx *)ctx)->now_us;
}

static inline int fx_open(struct fx *f)
{
	struct cp_store_opts o = {.path = tmp_store, .base = f->base, .alarms = f->alarms};
	struct cp_lists_env env = {.own = fx_own, .sign = fx_sign, .allow = fx_allow, .now_us = fx_now, .ctx = f,
				   .host = fx_host != NULL ? fx_host : "cm.example.test", .auto_registration = true, .retry_ms = 20};
	char err[256];

	if (cp_store_open(&o, &f->store, err, sizeof(err)) < 0)
		abort();
	f->offload = cp_offload_create(f->base);
	env.base = f->base;
	env.store = f->store;
	env.alarms = f->alarms;
	env.offload = f->offload;
	env.turn = fx_turn;
	cfg_addr_parse("192.0.2.1", &env.address);
	return cp_lists_create_env(&env, &f->lists);
}

static inline void fx_close(struct fx *f)
{
	cp_lists_stop(f->lists);
	cp_offload_destroy(f->offload);
	cp_store_close(f->store);
	cp_lists_destroy(f->lists);
	f->lists = NULL;
}

static inline void fx_up(struct fx *f)
{
	static const char *const names[] = {"CallManager", "TFTP", "TVS", "CAPF", "CAPF-TLS", "ITLRecovery", "SAST1", "SAST2"};
	struct timespec ts;

	memset(f, 0, sizeof(*f));
	clock_gettime(CLOCK_REALTIME, &ts);
	f->now_us = (int64_t)ts.tv_sec * 1000000;
	tmp_make();
	f->base = event_base_new();
	f->alarms = cp_alarms_create();
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		fx_set(f, names[i], fx_key(i));
	if (fx_open(f) < 0)
		abort();
}

static inline void fx_down(struct fx *f)
{
	fx_close(f);
	cp_alarms_destroy(f->alarms);
	event_base_free(f->base);
	while (f->id_cnt > 0)
		X509_free(f->id[--f->id_cnt].cert);
	tmp_remove();
}

static inline void fx_done(void *ctx, int rc, const char *text, unsigned stranded)
{
	struct fx *f = ctx;

	(void)stranded;
	f->rc = rc;
	snprintf(f->text, sizeof(f->text), "%s", text != NULL ? text : "");
	f->done = 1;
}

/* One change of the CTL, waited for. */
static inline int fx_change(struct fx *f, struct cp_ctl_change ch, int64_t strand)
{
	char why[512] = "";
	int rc;

	ch.who = "tester";
	f->done = 0;
	rc = cp_lists_ctl_change(f->lists, &ch, strand, fx_done, f, why, sizeof(why));
	if (rc < 0) {
		snprintf(f->text, sizeof(f->text), "%s", why);
		return rc;
	}
	if (!wait_for(f->base, &f->done))
		return -ETIMEDOUT;
	return f->rc;
}

static inline int fx_itl(struct fx *f, const char *with, int rollback, int64_t strand)
{
	char why[512] = "";
	int rc;

	f->done = 0;
	rc = cp_lists_itl_set(f->lists, with, rollback, strand, "tester", fx_done, f, why, sizeof(why));
	if (rc < 0) {
		snprintf(f->text, sizeof(f->text), "%s", why);
		return rc;
	}
	if (!wait_for(f->base, &f->done))
		return -ETIMEDOUT;
	return f->rc;
}

/* Let what follows by itself follow. */
static inline void fx_settle(struct fx *f)
{
	for (int i = 0; i < 20000 && (i < 3 || cp_lists_busy(f->lists)); i++) {
		struct timeval tv = {0, 1000};

		event_base_loopexit(f->base, &tv);
		event_base_dispatch(f->base);
	}
}

/* Until an alarm stands or does not, 20 s at most. */
static inline bool fx_alarm(struct fx *f, const char *id, const char *subject, bool stands)
{
	for (int i = 0; i < 20000 && (cp_alarm_find(f->alarms, id, subject) != NULL) != stands; i++) {
		struct timeval tv = {0, 1000};

		event_base_loopexit(f->base, &tv);
		event_base_dispatch(f->base);
	}
	return (cp_alarm_find(f->alarms, id, subject) != NULL) == stands;
}

/* A list in force, parsed; the caller frees both. */
struct fx_list {
	struct cp_file *file;
	struct pki_tl *tl;
};
static inline struct fx_list fx_list(struct fx *f, enum pki_tl_kind kind, enum pki_tl_class cls)
{
	struct fx_list l = {cp_lists_file(f->lists, kind, cls), NULL};

	if (l.file == NULL)
		return l;
	l.tl = malloc(sizeof(*l.tl));
	if (pki_tl_parse(l.file->data, l.file->len, l.tl, NULL, 0) < 0) {
		free(l.tl);
		l.tl = NULL;
	}
	return l;
}
static inline void fx_list_free(struct fx_list *l)
{
	cp_file_put(l->file);
	free(l->tl);
}

static inline unsigned fx_roles(const struct pki_tl *tl, int role)
{
	unsigned n = 0;

	for (unsigned i = 0; i < tl->rec_cnt; i++)
		n += tl->rec[i].role == role;
	return n;
}

#define MIXED ((struct cp_ctl_change){.set_mode = true, .mode = CP_CLUSTER_MIXED})
#define CLEAR ((struct cp_ctl_change){.set_mode = true, .mode = CP_CLUSTER_NONSECURE})
#define UPDATE ((struct cp_ctl_change){0})

/* Has the last change said this? */
static inline bool fx_says(const struct fx *f, const char *what)
{
	if (strstr(f->text, what) != NULL)
		return true;
	fprintf(stderr, "text is: %s\n", f->text);
	return false;
}

static inline int fx_keys_free(void)
{
	for (unsigned i = 0; i < 4; i++)
		EVP_PKEY_free(fx_keys[i]);
	return 0;
}

#endif
