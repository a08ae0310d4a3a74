/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The CTL provider: HTTPS with JSON bodies on ctl_provider.port (CallManager's is 2444), where an administrator's machine makes
 * and signs trust lists (004a:CTL-09 to CTL-18). One request per operation of trust/ctlcmd.h:
 *     POST /v1/OPERATION  {...}  ->  {"ok":true,"result":...} or {"ok":false,"error":{"code":"...","message":"..."}}
 * POST /v1/login {"user","password"} gives a token for "Authorization: Bearer"; a client certificate that a user's record names
 * needs none. Readers may read; administrators write, one at a time (lease). At most CP_CTLPROV_EDITORS sessions, whose
 * entered data ("entered" {data}) is kept for them until they end. Event loop's thread; limits for strangers below.
 */
#ifndef CP_CTLPROV_H
#define CP_CTLPROV_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctlseat.h"

#define CP_CTLPROV_CONNS     64     /* at once; behind that, the kernel's backlog waits */
#define CP_CTLPROV_SOURCE    16     /* of them of one address: what is more is closed within a second */
#define CP_CTLPROV_REQUEST_S 60     /* handshake and a whole request, however it is dripped */
#define CP_CTLPROV_BODY_MAX  (512 * 1024)
#define CP_CTLPROV_HEAD_MAX  8192
#define CP_CTLPROV_TIMEOUT_S 30     /* without a byte, in handshake, request or answer */
#define CP_CTLPROV_DATA_MAX  65536  /* of an editor's entered data */

struct cp_admin;
struct cp_app;
struct cp_ctlcmd;
struct cp_ctlprov;
struct cp_tls;
struct cp_users;
struct event_base;
struct x509_st;

struct cp_ctlprov_env {
	struct event_base *base;
	struct cp_tls *tls;      /* identity; client certificates are asked for here, and taken whoever issued them */
	struct cp_ctlcmd *cmd;
	struct cp_users *users;
	unsigned request_s, source; /* 0: as above; for tests */
};

int cp_ctlprov_create_env(const struct cp_ctlprov_env *env, struct cp_ctlprov **ret);
/** 0 with the port in *ret_port (NULL is allowed), or a negative errno. */
int cp_ctlprov_listen(struct cp_ctlprov *prov, const char *address, uint16_t port, uint16_t *ret_port);

/** For the running appliance, after cp_lists_create(): the users' commands, and unless ctl_provider.port is 0 the listener. *ret is to
 * be destroyed also on error, if it was set. */
int cp_ctlprov_create(struct cp_app *app, struct cp_ctlprov **ret);
/** No new requests; answers that come later go nowhere. Before cp_offload_destroy(). */
void cp_ctlprov_stop(struct cp_ctlprov *prov);
/** After cp_store_close() and cp_lists_destroy(). NULL is allowed. */
void cp_ctlprov_destroy(struct cp_ctlprov *prov);

/** One request without a socket, for tests and fuzzing: as if from 'source', with a client certificate (may be NULL). The answer
 * is borrowed. Called once, perhaps later. */
typedef void (*cp_ctlprov_fn)(void *ctx, int status, const char *body, size_t len);
void cp_ctlprov_input(struct cp_ctlprov *prov, const char *path, const char *authorization, const char *source, struct x509_st *cert,
		      const char *body, size_t len, cp_ctlprov_fn fn, void *ctx);

#endif
