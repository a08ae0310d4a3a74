/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CAPF operations on devices, as rules: what may be set, what a phone is asked when it comes, and what each end of a session makes of
 * the record. Records in, records out; no store, no clock, no secrets but the string, which is checked here and kept elsewhere.
 * 004b:CAPF-04, CAPF-12 to CAPF-26, CAPF-35; 004c:CA-03 to CA-06.
 *
 * An operation is one until it ends: sessions that come to nothing (the phone vanished, was too slow) are attempts of it, up to
 * CP_CAPF_ATTEMPTS (004b:CAPF-04). What is our own fault costs the phone no attempt, and a wrong string none either: those are counted
 * by themselves, and lock after CP_CAPF_WRONG_MAX. A phone that cannot make the EC key is asked for the RSA key the next time.
 */
#ifndef CP_ENROL_CAPFOP_H
#define CP_ENROL_CAPFOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enrol/capfsess.h"
#include "store/capfrec.h"

#define CP_CAPF_ATTEMPTS  4
#define CP_CAPF_WRONG_MAX 10
#define CP_CAPF_LOCK_US   (INT64_C(600) * 1000000)
#define CP_CAPF_DIGITS_MIN 4
#define CP_CAPF_DIGITS_MAX 10
#define CP_CAPF_DIGITS     8 /* of a string that we make */

/** "install", "delete", "troubleshoot", "none". 0 or -EINVAL. */
const char *cp_capf_op_name(unsigned op);
int cp_capf_op_parse(const char *name, uint8_t *ret);

/** "rsa-512" to "rsa-4096", "ec-p256" to "ec-p521": what KEYGEN_REQUEST says. 0 or -EINVAL. */
int cp_capf_key_parse(const char *name, uint8_t *ret_key, uint8_t *ret_curve, uint16_t *ret_bits);

/** 4 to 10 digits; else -EINVAL with the catalogue's words (004c 4.6). */
int cp_capf_string_check(const char *string, char *why, size_t size);
/** 'ret' has CP_CAPF_DIGITS + 1 bytes, each digit drawn evenly. 0, -EIO. */
int cp_capf_string_make(char *ret);

/**
 * "Operation Completes By": YYYY:MM:DD:HH, YYYY-MM-DD HH:MM or with T, in the appliance's own time zone (004b:CAPF-23); not past.
 * 0, or -EINVAL with the catalogue's words (004c 4.6, CA-04).
 */
int cp_capf_deadline_parse(const char *text, int64_t now_us, int64_t *ret_us, char *why, size_t size);

struct cp_capf_set { /* what an operator asks for, and what is known of the device */
	const char *device;
	uint8_t op, by;
	bool has_string;
	const char *key;    /* "": rsa-2048 */
	uint16_t backup_bits;
	int64_t deadline_us;
	uint64_t id;
	uint32_t wave;      /* 0: an operator sets it */
	/* known */
	enum cp_device_mode mode;  /* as effective */
	bool has_lsc;              /* one that the phone may hold is on record */
	bool has_mic;              /* it showed one */
	bool old_keys;             /* RSA below 2,048 bits may be asked for */
	bool foreign;              /* another vendor's model: it has no CAPF (000:P0-25, R-10) */
	bool force;                /* the operator knows that the phone has what is not on record */
};

/**
 * A new operation in *rec, which holds the last one (or is zeroed); its string is wiped, and the new one put there by the caller. 0, or
 * -EINVAL with what is wrong and what to do.
 */
int cp_capf_op_set(struct cp_capf_oprec *rec, const struct cp_capf_set *set, int64_t now_us, char *why, size_t size);
/** No operation is pending any more. False: none was. */
bool cp_capf_op_cancel(struct cp_capf_oprec *rec, int64_t now_us);

/** The deadline has passed: becomes failed, and true. */
bool cp_capf_op_expire(struct cp_capf_oprec *rec, int64_t now_us);

/** What a session is to do, but for the string. */
void cp_capf_op_order(const struct cp_capf_oprec *rec, int64_t now_us, bool old_phone, struct cp_capf_order *ret);

/** What a session's end makes of it. True: the record changed. *ret_ended (may be NULL): the operation is over. */
bool cp_capf_op_end(struct cp_capf_oprec *rec, const struct cp_capf_end *end, int64_t now_us, bool *ret_ended);

/** "Install/Upgrade pending", "Delete Success", "No Pending Operation" (004b:CAPF-16, CAPF-24). Returns 'buf'. */
const char *cp_capf_op_text(const struct cp_capf_oprec *rec, char *buf, size_t size);
/** What to do about it; "" where there is nothing. */
const char *cp_capf_op_remedy(const struct cp_capf_oprec *rec);

#endif
