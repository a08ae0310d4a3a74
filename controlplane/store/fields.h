/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The encoding behind records.h, driven by tables: one row per field gives its tag, type and place in the struct.
 * Private to the store.
 */
#ifndef CP_STORE_FIELDS_H
#define CP_STORE_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "records.h"

enum cp_field_type {
	CP_F_END,
	CP_F_STR,  /* char array of 'size' bytes, zero-terminated; empty strings are not written */
	CP_F_UINT, /* unsigned integer or enum of 'size' bytes; 1 to 8 bytes big-endian, no leading zeros */
	CP_F_BOOL, /* one byte, 0 or 1 */
	CP_F_ADDR, /* struct cfg_addr: family, plen, port, 16 bytes of address */
	CP_F_BUF,  /* struct cp_buf */
	CP_F_LIST, /* repeated: see 'list' */
};

struct cp_list {
	size_t item_size;
	unsigned max;
	size_t cnt_off;  /* unsigned: how many */
	bool in_place;   /* the field is the array itself, of 'max' items, not a pointer to one */
	const struct cp_field *item;
};

struct cp_field {
	uint16_t tag; /* above 0, below 64 */
	uint8_t type; /* enum cp_field_type */
	uint16_t size;
	size_t off;
	const struct cp_list *list;
};

enum cp_record_kind { /* second byte of a value */
	CP_KIND_DEVICE = 1,
	CP_KIND_GATEWAY,
	CP_KIND_SA,
	CP_KIND_CALL,
	CP_KIND_OWNER,
	CP_KIND_PROFILE,
	CP_KIND_SRST,
	CP_KIND_CERT,
	CP_KIND_CTL,
	CP_KIND_ITL,
	CP_KIND_LEDGER,
	CP_KIND_LIST,
	CP_KIND_SIGNED,
	CP_KIND_USER,
	CP_KIND_CLUSTER,
	CP_KIND_PHONE_CERT,
	CP_KIND_CAPF_OP,
	CP_KIND_CAPF_LSC,
	CP_KIND_WAVE,
	CP_KIND_WAVE_ITEM,
	CP_KIND_CAPF_APP,
	CP_KIND_CAPF_REQ,
	CP_KIND_CDR = 40,
	CP_KIND_PARTITION = 50,
	CP_KIND_CSS,
	CP_KIND_PATTERN,
	CP_KIND_FORWARD,
	CP_KIND_REGION = 60,
	CP_KIND_DEVTYPE,
};

#define CP_HARDEN_FIELD(tag, st, i) \
	{(tag) + (i), CP_F_UINT, 1, offsetof(struct st, harden) + (i), NULL}
#define CP_HARDEN_FIELDS(tag, st) /* 16 tags */                                                            \
	CP_HARDEN_FIELD(tag, st, 0), CP_HARDEN_FIELD(tag, st, 1), CP_HARDEN_FIELD(tag, st, 2),             \
		CP_HARDEN_FIELD(tag, st, 3), CP_HARDEN_FIELD(tag, st, 4), CP_HARDEN_FIELD(tag, st, 5),     \
		CP_HARDEN_FIELD(tag, st, 6), CP_HARDEN_FIELD(tag, st, 7), CP_HARDEN_FIELD(tag, st, 8),     \
		CP_HARDEN_FIELD(tag, st, 9), CP_HARDEN_FIELD(tag, st, 10), CP_HARDEN_FIELD(tag, st, 11),   \
		CP_HARDEN_FIELD(tag, st, 12), CP_HARDEN_FIELD(tag, st, 13), CP_HARDEN_FIELD(tag, st, 14),  \
		CP_HARDEN_FIELD(tag, st, 15)

/** Encode 'rec' by its table; 'unknown' (may be NULL) is appended. 0, -ENOMEM, -EINVAL (over CP_RECORD_MAX). */
int cp_fields_build(enum cp_record_kind kind, const struct cp_field *fields, const void *rec,
		    const struct cp_buf *unknown, struct cp_buf *ret);

/** Decode into 'rec' (rec_size bytes, zeroed first). On error 'rec' is released and zeroed. Errors as records.h. */
int cp_fields_parse(enum cp_record_kind kind, const struct cp_field *fields, const uint8_t *data, size_t len,
		    void *rec, size_t rec_size, struct cp_buf *ret_unknown);

/** Wipe and free what the fields own, then zero 'rec'. 'unknown' lies inside it. */
void cp_fields_free(const struct cp_field *fields, void *rec, size_t rec_size, struct cp_buf *unknown);

#endif
