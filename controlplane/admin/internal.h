/* SPDX-License-Identifier: BSD-3-Clause */
/* What the dispatcher (admin.c), the listener (server.c) and the commands share. */
#ifndef CP_ADMIN_INTERNAL_H
#define CP_ADMIN_INTERNAL_H

#include <sys/types.h>

#include "admin.h"
#include "bulk.h"
#include "provision/warn.h"
#include "store/store.h"

struct cp_server;

#define STATUS_MAX 8

struct command {
	struct command *next;
	const char *cmd;
	cp_admin_fn fn;
	void *ctx;
};

struct cp_admin {
	struct event_base *base;
	unsigned idle_ms; /* CP_ADMIN_IDLE_S; tests are less patient */
	struct command *commands;
	struct {
		cp_admin_status_fn fn;
		void *ctx;
	} status[STATUS_MAX];
	unsigned status_cnt;
	struct cp_server *server;      /* NULL until listening */
	void (*stop)(void *ctx);       /* of the commands: no threads any more */
	void (*fini)(void *ctx);
	void *fini_ctx;
};

/* Where an answer goes. Called once per request. 'free_line' NULL: the line is borrowed; else it is taken, and freed by that. */
typedef void (*admin_free_fn)(const void *line, size_t len, void *ctx);
typedef void (*admin_answer_fn)(void *ctx, const char *line, size_t len, admin_free_fn free_line, void *free_ctx);

/* One request line; the bytes are the caller's. Leads to exactly one 'fn', perhaps from inside. */
void admin_dispatch(struct cp_admin *admin, uid_t uid, const char *data, size_t len, admin_answer_fn fn, void *ctx);

/* Answer with a whole line that is made already, which is taken. */
void admin_reply_text(struct cp_admin_req *req, const char *line, size_t len, admin_free_fn free_line, void *free_ctx);

/* Answer with an error that carries more than a message: members of 'more' (stolen) are added to it. */
void admin_fail_more(struct cp_admin_req *req, const char *code, const char *message, json_t *more);

/* server.c */
int cp_server_create(struct cp_admin *admin, const char *run_dir, struct cp_server **ret);
void cp_server_destroy(struct cp_server *server);

/*
 * json.c: records from and to JSON. from: 0, or -EINVAL with the member and what is wrong in 'why'. The arrays of
 * the device and gateway are the caller's, of the maximum sizes; so is ret->ike.psk.data of a gateway, to free in any case.
 */
int json_to_device(const json_t *o, struct cp_device *ret, struct cp_line lines[CP_DEVICE_LINES_MAX], bool *ret_replace,
		   char *why, size_t why_size);
int json_to_line(const json_t *o, struct cp_line *ret, const char **ret_device, char *why, size_t why_size);
int json_to_gateway(const json_t *o, struct cp_gateway *ret, struct cp_endpoint eps[CP_GW_ENDPOINTS_MAX],
		    struct cp_gw_number nums[CP_GW_NUMBERS_MAX], bool *ret_replace, char *why, size_t why_size);
json_t *device_to_json(const struct cp_device *dev);
json_t *gateway_to_json(const struct cp_gateway *gw);
/* Without what gateway.add does not take: what is only shown, and a conference's limits where it is none. */
json_t *gateway_to_args(const struct cp_gateway *gw);

/*
 * commands.c: a change of the store that a request asked for. attempt() checks and submits with change_written() and
 * the pending_change as callback: 0 waits for the store, -EBUSY (something on its way is in the way) is tried
 * again soon, anything else is the answer, with 'why' and the members of 'more'.
 */
struct cmds;
struct pending_change {
	struct pending_change *next;
	struct cmds *cmds;
	struct cp_admin_req *req;
	int (*attempt)(struct pending_change *p, char *why, size_t why_size);
	const json_t *args; /* the request's */
	json_t *own_args;   /* or these; released at the end */
	json_t *result;     /* answered when synced; may be NULL */
	json_t *more;       /* about a refusal; may be NULL */
	unsigned tries;
	bool reset;         /* asked with "reset": true, which is no member of args any more */
	bool shared;        /* the same with "shared": numbers of other devices may be taken as lines, too */
	enum cp_warn_of warn; /* what the answer warns about, once it is written */
	char warn_name[CP_NAME_MAX];
};
void change_warns(struct pending_change *p, enum cp_warn_of of, const char *name);
/* What must be reset after this change, for its result; 'subject' as in cp_reset_say(). 'ev': enum cp_reset_event. */
void change_says(struct pending_change *p, int ev, const char *subject);
struct cp_store *cmds_store(const struct cmds *cmds);
const struct cp_admin_backend *cmds_backend(const struct cmds *cmds);
struct cp_offload;
struct cp_offload *cmds_offload(const struct cmds *cmds);
struct cp_srsts;
struct cp_srsts *cmds_srsts(const struct cmds *cmds);
/* 'own' (may be NULL, taken) is released with the change: arguments that are not the request's. */
void cmds_run(struct cmds *cmds, struct cp_admin_req *req, const json_t *args, json_t *own,
	      int (*attempt)(struct pending_change *p, char *why, size_t why_size));
void change_written(void *ctx, int rc);
/* A command NAME that is nothing but attempt_NAME(). */
#define CMDS_CHANGE(name)                                                                  \
	static void name(void *ctx, struct cp_admin_req *req, const json_t *args)          \
	{                                                                                  \
		cmds_run(ctx, req, args, NULL, attempt_##name);                            \
	}

/*
 * seal.c: a change with secrets. The signer seals each under AAD/NAME; what was in clear leaves the arguments, what was sealed enters them,
 * as base64, and attempt() follows. create: NULL: answered already. add: at least one byte; copied. run takes it, and leads to an answer.
 */
#define CMDS_SECRETS 2
struct cmds_secret {
	const char *clear, *sealed; /* members */
	const char *aad;
};
struct cmds_seal;
struct cmds_seal *cmds_seal_create(struct cmds *cmds, struct cp_admin_req *req, const json_t *args, const char *name,
				   const struct cmds_secret *secrets, int (*attempt)(struct pending_change *p, char *why, size_t why_size));
void cmds_seal_add(struct cmds_seal *j, unsigned i, const void *clear, size_t len);
void cmds_seal_run(struct cmds_seal *j);
void cmds_seal_destroy(struct cmds_seal *j);

/* bulk.h, with the commands' store and threads. */
void cmds_bulk(struct cmds *cmds, struct cp_admin_req *req, cp_bulk_fn make);

/* show.c */
int cmds_show(struct cmds *cmds, struct cp_admin *admin);
void bulk_device(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len);
extern const char *const cmds_no_args[], *const cmds_name_arg[]; /* for cp_admin_arg_known() */

/*
 * phonejson.c: what phones are told. Fields of a device from and to JSON (digest_secret and config_key become the caller's to
 * free), items of an import. phone.c, phoneshow.c: its commands.
 */
struct cp_change;
int json_phone_fields(const json_t *o, struct cp_device *ret, char *why, size_t why_size);
void json_phone_print(json_t *o, const struct cp_device *dev);
bool json_phone_member(const char *name);
int json_change_profile(struct cp_change *c, const json_t *o, bool replace, char *why, size_t why_size);
int json_change_srst(struct cp_change *c, const json_t *o, bool replace, char *why, size_t why_size);
int json_change_cluster(struct cp_change *c, const json_t *o, char *why, size_t why_size);
int cmds_phone(struct cmds *cmds, struct cp_admin *admin);
int cmds_phone_show(struct cmds *cmds, struct cp_admin *admin);

/* phoneimport.c: import.phones.* and export.phones. *ret is set also where registering fails. destroy takes NULL. */
struct cp_phones;
int cp_phones_create(struct cmds *cmds, struct cp_admin *admin, struct cp_phones **ret);
void cp_phones_destroy(struct cp_phones *phones);

/* region.c, typejson.c: rules of the region table and device types: items of an import, of an export, and their commands. */
int json_change_region(struct cp_change *c, const json_t *o, bool replace, char *why, size_t why_size);
void bulk_region(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len);
int cmds_region(struct cmds *cmds, struct cp_admin *admin);
int json_change_typerec(struct cp_change *c, const json_t *o, bool replace, char *why, size_t why_size);
void bulk_typerec(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len);
int cmds_devtype(struct cmds *cmds, struct cp_admin *admin);

/* dial.c: the dial plan's commands; its members of an export */
int cmds_dial(struct cmds *cmds, struct cp_admin *admin);
void bulk_dialplan(struct cp_bulk *b);

/*
 * ikejson.c: what a gateway's record says of IKE, members "ike" and "ike_...". json_ike: ret->psk becomes the caller's to free, on
 * success and else. gatewaycmd.c: the commands.
 */
int json_ike(const json_t *o, struct cp_gw_ike *ret, char *why, size_t why_size);
void json_ike_print(json_t *o, const struct cp_gw_ike *ike);
bool json_ike_member(const char *name);
int cmds_gateway(struct cmds *cmds, struct cp_admin *admin);
int attempt_gateway_add(struct pending_change *p, char *why, size_t why_size); /* commands.c, the next one too */
int attempt_gateway_change(struct pending_change *p, char *why, size_t why_size);
/* Takes from a record's members what those that will be laid over it put an end to. */
void json_ike_under(json_t *record, const json_t *members);

/* import.c; importseal.c: the command, which seals gateways' pre-shared keys ("ike_psk") first. */
int attempt_import(struct pending_change *p, char *why, size_t why_size);
void cmds_import(void *ctx, struct cp_admin_req *req, const json_t *args);
#define CMDS_PSK_MIN 8
#define CMDS_PSK_MAX 255
bool cmds_psk_ok(const char *psk); /* NULL is not */

#endif
