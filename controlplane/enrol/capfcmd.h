/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What CAPF's commands share: capfset.c changes, capfshow.c shows one device, capfreport.c all of them. Strings are in answers to
 * operators and nowhere else: not in logs, not in the audit.
 */
#ifndef CP_ENROL_CAPFCMD_H
#define CP_ENROL_CAPFCMD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "enrol/capfsess.h"
#include "store/capfrec.h"

struct cp_admin_req;
struct cp_app;
struct cp_batch;
struct cp_signer;

/** Local time with its zone, "" for 0. Returns 'buf'. Any thread. */
const char *cp_capfcmd_iso(int64_t us, char buf[32]);
void cp_capfcmd_audit(struct cp_batch *b, const char *event, const char *who, const char *device, const char *text);

/** The last record, as of now; zeroed if there is none. As cp_store_capf_op() else. */
int cp_capfcmd_load(struct cp_app *app, const char *device, struct cp_capf_oprec *rec);
/** NULL: answered. */
const struct cp_device *cp_capfcmd_device_arg(struct cp_app *app, struct cp_admin_req *req, const json_t *args, const char *member);
enum cp_device_mode cp_capfcmd_mode_of(struct cp_app *app, const struct cp_device *dev);
/** Did it ever show a certificate that is not one of ours? */
bool cp_capfcmd_has_mic(struct cp_app *app, const char *device, const struct cp_capf_oprec *rec);

struct cp_capf_want { /* an operation that somebody wants */
	uint8_t op;          /* enum cp_capf_op */
	uint8_t by;          /* enum cp_capf_auth; NONE: as the profile has it */
	bool fit;            /* with NONE: by a certificate if the device has one that is on record */
	const char *key;     /* NULL: as the profile has it */
	uint16_t backup_bits; /* 0: as the profile has it, unless 'key' is said */
	bool has_string;
	bool make_string;    /* if it is to be by string, one will be made */
	bool force;
	int64_t deadline_us;
	uint32_t wave;
};
/**
 * The new operation in *rec, which holds the last one; as cp_capf_op_set(). Its string is the caller's to make and seal: rec->by says.
 * 0, -EINVAL, -EIO.
 */
int cp_capfcmd_new_op(struct cp_app *app, const struct cp_device *dev, const struct cp_capf_want *want, int64_t now_us,
		      struct cp_capf_oprec *rec, char *why, size_t size);
/** Bits of "rsa-2048" and so on. 0, -EINVAL. */
int cp_capfcmd_backup_bits(const char *name, uint16_t *ret);

struct cp_capf_row { /* what a row of a report is made of; borrowed */
	const struct cp_capf_oprec *rec;
	const char *string;
	const char *serial;  /* of the LSC that is held; "" none */
	int64_t expires_us;  /* of that; 0: unknown */
	const char *model, *profile;
};
/** Any thread. */
json_t *cp_capf_row(const struct cp_capf_row *r, int64_t now_us);

/** The string of a record: "" none, "?" it cannot be opened. Asks the signer (may be NULL): on a thread. */
void cp_capf_string_open(struct cp_signer *signer, const struct cp_capf_oprec *rec, char ret[CP_CAPF_STRING_MAX + 1]);
/** Seals one for the record. 0, or negative errno. Asks the signer: on a thread. */
int cp_capf_string_seal(struct cp_signer *signer, struct cp_capf_oprec *rec, const char *string);

/* One of each file, for cp_capf_commands(). */
int cp_capf_set_commands(struct cp_app *app);
int cp_capf_show_commands(struct cp_app *app);
int cp_capf_report_commands(struct cp_app *app);

#endif
