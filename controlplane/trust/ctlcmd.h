/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CTL operations as requests and answers in JSON: one set for the admin socket and the CTL provider (004a:CTL-09, 004c:CT-14).
 * Event loop's thread.
 *
 * Operations, by name, with their members (all optional unless said):
 *   version                 protocol version, serial and MD5 of the CTL's files (004c:CT-19, CT-25)
 *   read {class}            the CTL in force: base64 in "data", records in "records", what an import brought in "others"
 *   servers                 our servers with functions and certificates, and the alternate TFTP servers
 *   mode                    the cluster's security mode
 *   lease {action: take | release | break}   who may write, for CP_CTL_LEASE_S seconds after his last request
 *   change {mode, tokenless, add_tokens: [PEM], del_tokens: [NAME], add_tftp: [{host, address, cert}], del_tftp: [HOST],
 *           signer, strand}               signed here
 *   prepare {as change, signer_cert: PEM}  -> {draft, files: [{class, digest, tbs}]}
 *   store {draft, signatures: [{class, signature | file}]}
 *   import {file}           another cluster's CTL
 */
#ifndef CP_CTLCMD_H
#define CP_CTLCMD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lists.h"

#define CP_CTL_LEASE_S  300
#define CP_CTL_DRAFTS   5   /* prepared changes that wait for their signatures */
#define CP_CTL_DRAFT_S  600
#define CP_CTL_PROTOCOL 1

struct cp_ctlcmd;

struct cp_ctlcmd *cp_ctlcmd_create(struct cp_lists *lists); /* NULL: no memory */
void cp_ctlcmd_destroy(struct cp_ctlcmd *cmd);

/** The answer, once: rc 0 and a result (stolen), or an error with one line. May be called from inside cp_ctlcmd_run(). */
typedef void (*cp_ctlcmd_fn)(void *ctx, int rc, const char *why, json_t *result);

struct cp_ctl_asker {
	const char *who; /* for the audit: "uid 0", "alice" */
	bool local;      /* the admin socket: may break a lease */
	/* A lease or draft is of all of these together: another's of the same name, or another certificate's, is another's. */
	uint64_t session; /* 0: none */
	const char *cert; /* SHA-256 of the client's certificate in hex; NULL or "": none */
};

/** False: there is no such operation, nothing is called. 'args' is an object, borrowed until return. */
bool cp_ctlcmd_run(struct cp_ctlcmd *cmd, const char *op, const json_t *args, const struct cp_ctl_asker *by, cp_ctlcmd_fn fn,
		   void *ctx);
/** Does an operation change something, so that reading rights do not do? False also for unknown ones. */
bool cp_ctlcmd_writes(const char *op);

/** Does a session hold the lease? */
bool cp_ctlcmd_holds(const struct cp_ctlcmd *cmd, uint64_t session);
/** It ended: so does its lease, and its drafts. */
void cp_ctlcmd_gone(struct cp_ctlcmd *cmd, uint64_t session);

/** A list as JSON, as 'show ctl' and 'show itl' print it. NULL: none, or no memory. */
json_t *cp_list_json(struct cp_lists *lists, enum pki_tl_kind kind, enum pki_tl_class cls);

#endif
