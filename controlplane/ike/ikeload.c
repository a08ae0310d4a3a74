/* SPDX-License-Identifier: BSD-3-Clause */
/* What charon is told: certificates first, then gateway by gateway its key and its connection. */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "alarm.h"
#include "clock.h"
#include "ikeint.h"
#include "ikerec.h"
#include "log.h"
#include "offload.h"
#include "trust/certs.h"

#define OPEN_MAX 6    /* keys that are being opened: threads are others' too */
#define LOAD_MAX 64   /* gateways that are being loaded: charon is told the next one while it does one */
#define AGAIN_MS 5000 /* what could not be loaded */

struct load_job {
	struct cp_ikes *ikes;
	unsigned epoch;
	char name[CP_NAME_MAX], aad[CP_NAME_MAX + 16];
	struct cp_buf sealed, psk;
	int rc;
};

struct ident_job {
	struct cp_ikes *ikes;
	unsigned epoch;
	EVP_PKEY *key;
	X509 *cert;
	STACK_OF(X509) *chain;
	int rc;
};

static void job_free(struct load_job *j)
{
	if (j->psk.data != NULL)
		OPENSSL_cleanse(j->psk.data, j->psk.len);
	free(j->psk.data);
	free(j->sealed.data);
	free(j);
}

static void unusable(struct ike *ike, const char *why)
{
	ike->next_ms = cp_mono_ms() + AGAIN_MS;
	ike_failed(ike, "", why);
}

/* Of a request that is part of loading a gateway. */
static void loaded(void *ctx, int rc, const json_t *answer)
{
	struct load_job *j = ctx;
	struct cp_ikes *ikes = j->ikes;
	struct ike *ike = ike_find(ikes, j->name);

	ikes->loading--;
	if (ike != NULL && j->epoch == ikes->epoch) {
		ike->loading = false;
		if (rc == 0 && strcmp(cp_vici_get(answer, "success"), "yes") == 0) {
			ike->loaded = !ike->wanted;
			ike->next_ms = 0;
			if (ike->anew && ike->loaded)
				ike_end(ike);
			ike->anew &= !ike->loaded;
		} else if (rc != -ENOTCONN) {
			unusable(ike, rc == 0 ? cp_vici_get(answer, "errmsg") : "charon's answer to load-conn makes no sense");
			ike->wanted = true;
		}
	}
	job_free(j);
	ike_load_some(ikes);
	if (ikes->loading == 0)
		ike_sweep_soon(ikes, 50); /* behind it they are begun with */
}

static void shared_loaded(void *ctx, int rc, const json_t *answer)
{
	struct cp_ikes *ikes = ctx;

	(void)ikes;
	if (rc == 0 && strcmp(cp_vici_get(answer, "success"), "yes") != 0)
		cfg_log_limited(CFG_LOG_ERR, "ike-key-refused", "reason=%s", cfg_q(cp_vici_get(answer, "errmsg")));
}

static void give_up(struct load_job *j, struct ike *ike, const char *why)
{
	j->ikes->loading--;
	if (ike != NULL && j->epoch == j->ikes->epoch) {
		ike->loading = false;
		ike->wanted = true;
		unusable(ike, why);
	}
	job_free(j);
}

/* The key is known, or none is needed. */
static void hand_over(struct load_job *j)
{
	struct cp_ikes *ikes = j->ikes;
	struct ike *ike = ike_find(ikes, j->name);
	int rc = 0;

	if (ike == NULL || j->epoch != ikes->epoch || ikes->stopping) {
		ikes->loading--;
		job_free(j);
		return;
	}
	if (j->psk.len > 0)
		rc = cp_vici_send(ikes->vici, cp_ike_shared(&ike->rec, j->psk.data, j->psk.len), shared_loaded, ikes);
	if (rc == 0)
		rc = cp_vici_send(ikes->vici, cp_ike_conn(&ike->rec, &ikes->env.agent, ikes->own), loaded, j);
	if (rc < 0)
		give_up(j, ike, rc == -ENOTCONN ? "charon is not there" : strerror(-rc));
}

static void unseal_work(void *arg)
{
	struct load_job *j = arg;

	j->rc = j->ikes->env.unseal(j->ikes->env.ctx, j->sealed.data, j->sealed.len, j->aad, &j->psk);
}

static void unseal_done(void *arg)
{
	struct load_job *j = arg;
	struct cp_ikes *ikes = j->ikes;

	ikes->opening--;
	if (j->rc == 0)
		hand_over(j);
	else
		give_up(j, ike_find(ikes, j->name), "the signer does not open the pre-shared key");
	ike_load_some(ikes);
}

static void load_one(struct ike *ike)
{
	struct cp_ikes *ikes = ike->ikes;
	const struct cp_gw_ike *k = &ike->rec.ike;
	struct load_job *j;
	char why[200];

	if (cp_ike_allowed(k, ikes->env.old_algorithms, why, sizeof(why)) < 0) {
		unusable(ike, why);
		return;
	}
	if ((k->flags & CP_IKE_CERT) != 0 && ikes->own == NULL) {
		unusable(ike, "we have no certificate: the signer's IPsec is not there");
		return;
	}
	j = calloc(1, sizeof(*j));
	if (j == NULL)
		return;
	j->ikes = ikes;
	j->epoch = ikes->epoch;
	memcpy(j->name, ike->rec.name, sizeof(j->name));
	ike->wanted = false;
	ike->loading = true;
	ikes->loading++;
	if ((k->flags & CP_IKE_CERT) != 0) {
		hand_over(j);
		return;
	}
	snprintf(j->aad, sizeof(j->aad), "ike-psk/%s", ike->rec.name);
	j->sealed.data = malloc(k->psk.len);
	if (j->sealed.data != NULL) {
		memcpy(j->sealed.data, k->psk.data, k->psk.len);
		j->sealed.len = k->psk.len;
	}
	if (j->sealed.data == NULL || cp_offload_run(ikes->env.offload, unseal_work, unseal_done, j) < 0) {
		/* Threads are busy: the next turn. */
		ike->wanted = true;
		ike->loading = false;
		ikes->loading--;
		ike->next_ms = cp_mono_ms() + 100;
		job_free(j);
	} else {
		ikes->opening++;
	}
}

static bool full(const struct cp_ikes *ikes)
{
	return ikes->loading >= LOAD_MAX || ikes->opening >= OPEN_MAX;
}

/* From where it ended last: it is called with each one that is loaded. */
void ike_load_some(struct cp_ikes *ikes)
{
	uint64_t now = cp_mono_ms();

	if (ikes->stopping || !cp_vici_up(ikes->vici) || !ikes->have_identity)
		return;
	for (unsigned i = 0; i < IKE_HASH && !full(ikes); i++) {
		for (struct ike *ike = ikes->by_name[ikes->load_cursor]; ike != NULL && !full(ikes); ike = ike->next)
			if (ike->wanted && !ike->loading && ike->next_ms <= now)
				load_one(ike);
		if (!full(ikes))
			ikes->load_cursor = (ikes->load_cursor + 1) % IKE_HASH;
	}
}

void ike_unload(struct cp_ikes *ikes, const char *name)
{
	cp_vici_send(ikes->vici, cp_ike_plain("unload-conn", "name", name, NULL), NULL, NULL);
	cp_vici_send(ikes->vici, cp_ike_plain("unload-shared", "id", name, NULL), NULL, NULL);
	cp_vici_send(ikes->vici, cp_ike_plain("terminate", "ike", name, "timeout", "-1", NULL), NULL, NULL);
}

/* --- certificates --- */

static void cert_loaded(void *ctx, int rc, const json_t *answer)
{
	(void)ctx;
	if (rc == 0 && strcmp(cp_vici_get(answer, "success"), "yes") != 0)
		cfg_log_limited(CFG_LOG_ERR, "ike-certificate-refused", "reason=%s", cfg_q(cp_vici_get(answer, "errmsg")));
}

/* 'ours': our certificate's issuers, which go to gateways beside it. */
static void give_certs(struct cp_ikes *ikes, STACK_OF(X509) *certs, bool ours)
{
	for (int i = 0; certs != NULL && i < sk_X509_num(certs); i++) {
		X509 *cert = sk_X509_value(certs, i);

		/* charon trusts each root that it has: whoever has a certificate of our issuer is no gateway of ours for that. */
		if (ours && X509_self_signed(cert, 1) != 0)
			continue;
		cp_vici_send(ikes->vici, cp_ike_cert(cert, X509_check_ca(cert) > 0), cert_loaded, NULL);
	}
}

static void ident_work(void *arg)
{
	struct ident_job *j = arg;

	j->rc = j->ikes->env.identity(j->ikes->env.ctx, &j->key, &j->cert, &j->chain);
}

static void ident_done(void *arg)
{
	struct ident_job *j = arg;
	struct cp_ikes *ikes = j->ikes;

	ikes->identity_busy = false;
	if (!ikes->stopping && j->epoch == ikes->epoch && cp_vici_up(ikes->vici)) {
		if (j->rc < 0)
			cfg_log_limited(CFG_LOG_ERR, "ike-no-certificate", "reason=%s", cfg_q(strerror(-j->rc)));
		X509_free(ikes->own);
		ikes->own = NULL;
		if (j->rc == 0) {
			STACK_OF(X509) *trust = ikes->env.certs != NULL ? cp_certs_trusted(ikes->env.certs, CP_TS_IPSEC) : NULL;

			cp_vici_send(ikes->vici, cp_ike_key(j->key), cert_loaded, NULL);
			ikes->own = j->cert;
			j->cert = NULL;
			give_certs(ikes, j->chain, true);
			give_certs(ikes, trust, false);
			sk_X509_pop_free(trust, X509_free);
		}
		ikes->have_identity = true;
		ike_load_some(ikes);
	}
	EVP_PKEY_free(j->key);
	X509_free(j->cert);
	sk_X509_pop_free(j->chain, X509_free);
	free(j);
}

void ike_ask_identity(struct cp_ikes *ikes)
{
	struct ident_job *j;

	ikes->have_identity = false;
	if (ikes->identity_busy || ikes->stopping || (j = calloc(1, sizeof(*j))) == NULL)
		return;
	j->ikes = ikes;
	j->epoch = ikes->epoch;
	if (cp_offload_run(ikes->env.offload, ident_work, ident_done, j) < 0)
		free(j); /* the next tick asks again */
	else
		ikes->identity_busy = true;
}

/* Connections of gateways that are gone, or have no IKE any more: deleted while we were away. */
static void conns_known(void *ctx, int rc, const json_t *answer)
{
	struct cp_ikes *ikes = ctx;
	json_t *list = json_object_get(answer, "conns"), *name;
	size_t i;

	if (rc < 0)
		return;
	json_array_foreach(list, i, name)
		if (ike_find(ikes, json_string_value(name)) == NULL)
			ike_unload(ikes, json_string_value(name));
}

static void want(void *ctx, struct ike *ike)
{
	(void)ctx;
	ike->wanted = true;
	ike->loaded = ike->loading = false;
	ike->next_ms = 0;
}

static void want_certs(void *ctx, struct ike *ike)
{
	bool *certs = ctx;

	*certs |= (ike->rec.ike.flags & CP_IKE_CERT) != 0;
}

/* Everything, from nothing: secrets of before are forgotten, connections and SAs stay. */
void ike_load_all(struct cp_ikes *ikes)
{
	bool certs = false;

	if (ikes->stopping || !cp_vici_up(ikes->vici))
		return;
	ikes->epoch++; /* what is on its way is too old */
	ike_each(ikes, want, ikes);
	ike_each(ikes, want_certs, &certs);
	cp_vici_send(ikes->vici, cp_ike_plain("clear-creds", NULL), NULL, NULL);
	cp_vici_send(ikes->vici, cp_ike_plain("get-conns", NULL), conns_known, ikes);
	ikes->have_identity = !certs || ikes->env.identity == NULL;
	if (!ikes->have_identity)
		ike_ask_identity(ikes);
	ike_load_some(ikes);
}
