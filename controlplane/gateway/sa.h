/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Manual security associations: from the configuration file and from 'ravelinctl sa add'. Keeps them asserted
 * in the dataplane and sees to it that no sequence number is used twice under one key: a block of numbers
 * is granted only after the store has synced that it is spent, so that even after a power cut an SA resumes
 * above everything that may have been sent (architecture sections 3 and 5, RFC 4303 s3.3.3).
 *
 * Keys live in locked memory here and in the dataplane; in the store only sealed by the signer.
 */
#ifndef CP_SA_H
#define CP_SA_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/dp_msg.h"
#include "config.h"
#include "store/records.h"

struct event_base;
struct cp_alarms;
struct cp_dp;
struct cp_gws;
struct cp_sas;
struct cp_store;

struct cp_sas_env {
	struct event_base *base;
	const struct cfg *cfg;
	struct cp_store *store;
	struct cp_alarms *alarms;
	struct cp_dp *dp;
	struct cp_gws *gws;
	/* Undo cp_sa_secret()'s sealing; 'aad' is bound to it. Output is heap, wiped here. May block: at start only. */
	int (*unseal)(void *ctx, const uint8_t *sealed, size_t len, const char *aad, struct cp_buf *ret);
	void *unseal_ctx;
};

struct cp_sas *cp_sas_create(const struct cp_sas_env *env);
void cp_sas_destroy(struct cp_sas *sas);

/** Take up the SAs of the configuration and of the store. Returns how many could not be used (logged, alarmed). */
unsigned cp_sas_load(struct cp_sas *sas);

/** The channel is up: assert every SA. */
void cp_sas_up(struct cp_sas *sas);
/** A gateway's record came or changed: its SAs are asserted again, now naming it. */
void cp_sas_gateway_changed(struct cp_sas *sas, const char *gateway);

/** Keep those the dataplane still has through the sweep that follows. */
void cp_sas_adopt(struct cp_sas *sas);
/** The channel goes; the page is still mapped. 'stopping': with us, so that nobody need be told. */
void cp_sas_down(struct cp_sas *sas, bool stopping);
void cp_sas_event(struct cp_sas *sas, const struct dp_sa_event *ev);

#define CP_SA_SECRET_LEN 100
#define CP_SA_KEY_MAX    100 /* bytes of key material */

/**
 * The form in which a key is sealed: from key material, which is the cipher's key, behind it GCM's and CTR's salt of 4 bytes,
 * behind that the HMAC's key. -EINVAL: another length than the algorithm's. The caller wipes 'out'.
 */
int cp_sa_secret(uint8_t alg, const uint8_t *key, size_t key_len, uint8_t out[CP_SA_SECRET_LEN]);

/** How long key material of an algorithm is, and what it is made of: "20 bytes: 16 of key, 4 of salt". Writes to 'buf', returns it. */
const char *cp_sa_key_hint(uint8_t alg, char *buf, size_t size);

/** May an SA have this algorithm? 0; -EPERM with 'why': it is old, and the configuration does not allow those. */
int cp_sa_alg_allowed(const struct cfg *cfg, uint8_t alg, char *why, size_t why_size);

/** The configuration's SAs: algorithms and lengths of keys. 0, -EINVAL with 'err'. */
int cp_sas_config(const struct cfg *cfg, char *err, size_t err_size);

/**
 * Add one: checked, synced, then fn(0); the dataplane gets it at once or when it is there. rec->sealed is
 * 'secret' sealed by the signer with the SA's name as bound data; both stay the caller's. Returns 0 (fn will be
 * called), -EINVAL with 'why', -EEXIST, -ENOENT (gateway), -ENOSPC, store errors.
 */
typedef void (*cp_sa_fn)(void *ctx, int rc);
int cp_sas_add(struct cp_sas *sas, const struct cp_sa *rec, const uint8_t secret[CP_SA_SECRET_LEN], const char *who,
	       cp_sa_fn fn, void *ctx, char *why, size_t why_size);
/** Delete one: it ends once that is synced, then fn(0). -ENOENT, -EACCES (from the configuration), -EBUSY, store errors. */
int cp_sas_del(struct cp_sas *sas, const char *name, const char *who, cp_sa_fn fn, void *ctx);

/** Names of configuration values: enum dp_esp_alg, dp_esp_mode. 0 or -EINVAL. */
int cp_sa_alg_parse(const char *name, uint8_t *ret);
int cp_sa_mode_parse(const char *name, uint8_t *ret);
const char *cp_sa_alg_name(uint8_t alg);

/** Soft lifetimes that were not said: nine tenths of the hard ones. */
void cp_sa_soften(struct cp_sa *rec);

/** Array of objects for 'show sas'. */
json_t *cp_sas_show(struct cp_sas *sas);

#endif
