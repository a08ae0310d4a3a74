/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files that make struct cp_app out of its parts share: main.c and app*.c. */
#ifndef CP_APPINT_H
#define CP_APPINT_H

#include <openssl/x509.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

struct cp_app;
struct cp_autoreg_env;
struct cp_buf;
struct cp_dp_ops;
struct cp_sccp_opts;

/* SIGTERM or SIGINT came. Until the event loop runs it is all that says so: what waits before that asks it. */
extern volatile sig_atomic_t cp_app_stop_early;

/** Make every part and listen. Main, once; 'base', 'cfg' and 'signer' are set. 0 or negative errno: cp_app_stop() ends what there is. */
int cp_app_start(struct cp_app *app);
/** End every part, of a start that failed too; the dataplane goes on with the calls. */
void cp_app_stop(struct cp_app *app);

/* of the channel; ctx is the struct cp_app */
extern const struct cp_dp_ops cp_app_dp_ops;

/** What registration asks, and tells, of phones. */
void cp_app_phone_hooks(struct cp_app *app, struct cp_sccp_opts *opts);
/** What records that phones make for themselves ask, and tell. */
void cp_app_autoreg_hooks(struct cp_app *app, struct cp_autoreg_env *env);

/** Open the signer, which this process cannot start without: waits for it, saying so now and then. 0; -EINTR: told to stop. */
int cp_app_signer_wait(struct cp_app *app);

/*
 * ctx is the struct cp_app. All wait for the signer's answer: not for the running loop, but for start and for threads that may wait.
 */

/** A secret, sealed for a record. 0 (the caller frees ret->data) or negative errno. */
int cp_app_seal(void *ctx, const uint8_t *clear, size_t len, const char *aad, struct cp_buf *ret);
/** One try to open it. 0 (the caller wipes and frees ret->data) or negative errno. */
int cp_app_unseal_once(void *ctx, const uint8_t *sealed, size_t len, const char *aad, struct cp_buf *ret);
/** Tries until the signer, busy or starting anew, has answered. 0 or negative errno, as cp_app_unseal_once(). */
int cp_app_unseal(void *ctx, const uint8_t *sealed, size_t len, const char *aad, struct cp_buf *ret);
/** What charon shows gateways. 0 (the caller frees all three) or negative errno. */
int cp_app_ike_identity(void *ctx, EVP_PKEY **ret_key, X509 **ret_cert, STACK_OF(X509) **ret_chain);
/** A device's certificate, for tests and simulators. 0 (the caller frees all three, and wipes the key) or negative errno. */
int cp_app_cert_issue(void *ctx, const char *device, char **ret_key_pem, char **ret_cert_pem, char **ret_ca_pem);

#endif
