/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IKE by strongSwan's charon, a process of its own, steered over VICI: connections, pre-shared keys and certificates of every gateway
 * whose record has IKE (struct cp_gw_ike) are loaded when charon is found, and when a record, our IPsec certificate or
 * IPsec-trust changes; what charon has and no record knows is unloaded. IKE SAs that stand are taken over: we begin only where there is none.
 * Event loop's thread; the signer is asked on threads of offload.h.
 */
#ifndef CP_IKE_H
#define CP_IKE_H

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "store/records.h"

struct cp_admin;
struct cp_alarms;
struct cp_certs;
struct cp_ikes;
struct cp_offload;
struct cp_sas;
struct cp_store;
struct event_base;

struct cp_ikes_env {
	struct event_base *base;
	const char *vici;            /* charon's socket */
	struct cfg_addr agent;       /* mgcp.local */
	bool old_algorithms;         /* ipsec.old_algorithms: allow */
	struct cp_store *store;
	struct cp_alarms *alarms;
	struct cp_offload *offload;
	struct cp_certs *certs;      /* NULL: none are loaded */
	struct cp_sas *sas;          /* whose counters show.ike joins; NULL: none */
	/* On threads; they may wait. unseal: *ret is malloc'ed. identity: key, certificate and its issuers (may be NULL), the caller's. */
	int (*unseal)(void *ctx, const uint8_t *sealed, size_t len, const char *aad, struct cp_buf *ret);
	int (*identity)(void *ctx, EVP_PKEY **ret_key, X509 **ret_cert, STACK_OF(X509) **ret_chain);
	/* Event loop's thread; may be NULL: a charon is there that is not the one before, and has no connection from us yet. */
	void (*another)(void *ctx);
	void *ctx;
};

/** Begins to look for charon. 0, -ENOMEM. */
int cp_ikes_create(const struct cp_ikes_env *env, struct cp_ikes **ret);
/** Nothing is begun any more; charon and its SAs stay as they are. Before cp_offload_destroy(). NULL is allowed, as below. */
void cp_ikes_stop(struct cp_ikes *ikes);
/** After cp_offload_destroy(), which may still call. */
void cp_ikes_destroy(struct cp_ikes *ikes);

/** A gateway's record was added, changed or deleted. */
void cp_ikes_changed(struct cp_ikes *ikes, const char *gateway);

/** show.ike, ike.up, ike.down; without 'ikes' they say that there is no charon. */
int cp_ikes_commands(struct cp_ikes *ikes, struct cp_admin *admin);

#endif
