/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The local administration socket: AF_UNIX SOCK_STREAM, RUN/admin.sock, mode 0600 in a directory of mode 0700;
 * only root and the daemon's own user are served (SO_PEERCRED). One JSON object per line each way:
 *     {"cmd":"device.add","args":{...}}
 *     {"ok":true,"result":...}  or  {"ok":false,"error":{"code":"...","message":"..."}}
 * Answers come in the order of the requests of a connection; the next request is read once the last one is
 * answered. A request is at most CP_ADMIN_REQUEST_MAX bytes ("import" is one request, so this bounds it too) and
 * CP_ADMIN_DEPTH_MAX levels deep; a connection whose request has not come whole within CP_ADMIN_IDLE_S is closed. One
 * dispatcher for all services: each registers its commands here. Runs on the event loop's thread.
 */
#ifndef CP_ADMIN_H
#define CP_ADMIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CP_ADMIN_REQUEST_MAX (64u << 20) /* bytes of one request: imports are that large; memory is taken as it comes */
#define CP_ADMIN_SMALL_MAX   (1u << 20)  /* the same for every command but import */
#define CP_ADMIN_DEPTH_MAX   32
#define CP_ADMIN_CONN_MAX    64
#define CP_ADMIN_IDLE_S      30          /* from the first byte of a request to its last, and for reading answers */

struct event_base;
struct cp_admin;
struct cp_admin_req; /* a request that waits for its answer; freed by the one reply */

/*
 * A command. 'args' is an object (empty if none was sent), borrowed until the request is answered. Must lead to exactly one
 * cp_admin_reply*(), from inside or later. When the client has gone meanwhile, replying is still right
 * and does nothing but free.
 */
typedef void (*cp_admin_fn)(void *ctx, struct cp_admin_req *req, const json_t *args);

/**
 * 'base' may be NULL where cp_admin_input() is all that is used. Makes jansson wipe what it frees, since requests
 * and answers can hold keys.
 */
struct cp_admin *cp_admin_create(struct event_base *base);

/** Make RUN (0700) if absent and listen on RUN/admin.sock. A stale socket is replaced; one that answers is -EADDRINUSE. */
int cp_admin_listen(struct cp_admin *admin, const char *run_dir);

/** Ends the threads that make answers and ask the signer, and gives their answers. Before cp_store_close(). NULL is allowed. */
void cp_admin_stop(struct cp_admin *admin);

/**
 * Closes connections; requests that wait for others stay valid to reply to, and are answered into nothing. Before
 * cp_store_close(), or after it if cp_admin_stop() was called before; not from inside a callback of either. NULL is allowed.
 */
void cp_admin_destroy(struct cp_admin *admin);

/** 'cmd' ("show.calls") must be a string literal or outlive 'admin'. 0, -EEXIST, -ENOMEM. */
int cp_admin_register(struct cp_admin *admin, const char *cmd, cp_admin_fn fn, void *ctx);

/** Answer with a result, which is taken (its reference is stolen); NULL: {"ok":true,"result":null}. */
void cp_admin_reply(struct cp_admin_req *req, json_t *result);

/** Answer with an error. 'code' is a fixed lower-case-with-dashes name: "not-found", "invalid", "exists", ... */
void cp_admin_fail(struct cp_admin_req *req, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** The same from a negative errno; fmt may be NULL: strerror. Codes: cp_admin_code(). */
void cp_admin_fail_rc(struct cp_admin_req *req, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** -EINVAL "invalid", -ENOENT "not-found", -EEXIST "exists", -EBUSY "busy", -ENOSPC "full", -EIO "store-failing",
 * -EAGAIN "overload", -ENOTCONN "unavailable", -EACCES "denied", -EPROTO "in-use", else "failed". */
const char *cp_admin_code(int rc);

/** Who asked: "uid 0". For the audit. */
const char *cp_admin_who(const struct cp_admin_req *req);

/* Reading args. 0; or the request was answered with "invalid" naming the member, and a negative errno is returned:
 * the caller just returns. Optional members leave *ret as it was. */
int cp_admin_arg_str(struct cp_admin_req *req, const json_t *args, const char *name, bool required, const char **ret);
int cp_admin_arg_int(struct cp_admin_req *req, const json_t *args, const char *name, bool required, int64_t min,
		     int64_t max, int64_t *ret);
int cp_admin_arg_bool(struct cp_admin_req *req, const json_t *args, const char *name, bool *ret);
/** Refuse members that are not in the NULL-terminated list. */
int cp_admin_arg_known(struct cp_admin_req *req, const json_t *args, const char *const *names);

/**
 * One request without a socket, of the daemon itself ("uid 0"), for tests and fuzzing: 'fn' gets the answer line (without newline), borrowed, once.
 */
void cp_admin_input(struct cp_admin *admin, const char *data, size_t len,
		    void (*fn)(void *ctx, const char *line, size_t len), void *ctx);

/* --- commands of the store's own part (commands.c) --- */

struct cp_store;
struct cp_alarms;
struct cp_buf;

/*
 * Issue a key and LSC for a device: PEM texts, heap, freed (key wiped) by the caller. 0 or negative errno
 * (-ENOTCONN: the signer does not answer). Called on a thread of its own, since the signer may be slow.
 */
typedef int (*cp_admin_cert_fn)(void *ctx, const char *device, char **ret_key_pem, char **ret_cert_pem,
				char **ret_ca_pem);
/** Adds members to the object of "status" ("dataplane", "signer", "phones", "calls", ...). */
typedef void (*cp_admin_status_fn)(void *ctx, json_t *status);

/** Told how many phones are to reset, when that is synced. */
typedef void (*cp_admin_told_fn)(void *ctx, unsigned phones);

struct cp_admin_backend {
	struct cp_store *store;
	struct cp_alarms *alarms;
	/* Seal a device's secret, bound to 'aad'; with cert_ctx, on a thread of its own. *ret is malloc'ed. NULL: no signer. */
	int (*seal)(void *ctx, const uint8_t *clear, size_t len, const char *aad, struct cp_buf *ret);
	/*
	 * Tell the phones that a change's answer names ('say', of sccp/resets.h) to reset; 'told' is called once, perhaps from inside: how many
	 * there are. NULL: nobody is told.
	 */
	void (*reset)(void *ctx, const json_t *say, const char *subject, cp_admin_told_fn told, void *told_ctx);
	void *reset_ctx;
	cp_admin_cert_fn cert_issue; /* NULL: cert.issue answers "unavailable" */
	void *cert_ctx;
	bool old_algorithms; /* ipsec.old_algorithms: allow */
	const char *version;
};

/** Register status, device.*, line.*, gateway.add/change/del/show, import, import.phones.*, export.phones, show.devices, show.lines, show.alarms, show.audit,
 * alarm.clear, cert.issue. 'backend' is copied. */
int cp_admin_commands(struct cp_admin *admin, const struct cp_admin_backend *backend);

/** Up to 8. */
int cp_admin_status_add(struct cp_admin *admin, cp_admin_status_fn fn, void *ctx);

#endif
