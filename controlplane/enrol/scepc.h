/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SCEP client's transport: asks a third party's CA over HTTP (RFC 8894 4), and the signer to make the messages and to judge the
 * answers (pki/signer/scepra.h). Nothing here waits on the loop: HTTP is libevent's, the signer is asked on threads, two at once. A few
 * exchanges run at a time, the rest waits its turn. What GetCACaps and GetCACert say is kept for an hour, or until an exchange fails.
 */
#ifndef CP_ENROL_SCEPC_H
#define CP_ENROL_SCEPC_H

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "config.h"

struct cp_offload;
struct cp_scepc;
struct cp_signer;
struct event_base;

#define CP_SCEPC_RUNS 8 /* exchanges at once */

struct cp_scepc_result {
	int rc;        /* 0, or negative: the CA is away, or its answer is not to be believed; 'why' says it */
	unsigned status; /* enum pki_scep_status */
	int fail;      /* failInfo of FAILURE, -1: none */
	const char *why; /* words: of the error, or the CA's own */
	STACK_OF(X509) *certs; /* SUCCESS: the certificate, the CA's; borrowed */
};
typedef void (*cp_scepc_fn)(void *ctx, const struct cp_scepc_result *r);

/** 'cfg' and the others are borrowed. 0, -EINVAL (its URL), -ENOMEM. */
int cp_scepc_create(struct event_base *base, struct cp_offload *offload, struct cp_signer *signer, const struct cfg_scep *cfg, struct cp_scepc **ret);
/** No exchange begins or ends any more: before cp_offload_destroy(). */
void cp_scepc_stop(struct cp_scepc *c);
/** After cp_offload_destroy(). What is under way is dropped without a call. NULL is allowed. */
void cp_scepc_destroy(struct cp_scepc *c);

/**
 * One exchange: 'op' is PKI_RA_ENROL or PKI_RA_POLL, for a device and its key, or an identity and NULL. 'fn' is called once, later. 0,
 * -ENOMEM, -ENOSPC (too many wait).
 */
int cp_scepc_ask(struct cp_scepc *c, const char *name, unsigned op, EVP_PKEY *pub, cp_scepc_fn fn, void *ctx);

/** Counters. */
json_t *cp_scepc_show(const struct cp_scepc *c);

#endif
