/* SPDX-License-Identifier: BSD-3-Clause */
/* Short names for files that are tables of fields (fields.h): only such a file includes this. */
#ifndef CP_STORE_FIELDTAB_H
#define CP_STORE_FIELDTAB_H

#include "fields.h"

#define F(tag, type, st, member) {tag, type, (uint16_t)sizeof(((struct st *)0)->member), offsetof(struct st, member), NULL}
#define L(tag, st, member, desc) {tag, CP_F_LIST, 0, offsetof(struct st, member), desc}
#define END {0, CP_F_END, 0, 0, NULL}

/* NAME_build() checks, NAME_parse() checks, NAME_free() wipes. */
#define RECORD(st, kind, fields, check)                                                                    \
	int st##_build(const struct st *rec, struct cp_buf *ret)                                           \
	{                                                                                                  \
		char why[200];                                                                             \
		int rc = check(rec, why, sizeof(why));                                                     \
                                                                                                           \
		return rc < 0 ? rc : cp_fields_build(kind, fields, rec, &rec->unknown, ret);               \
	}                                                                                                  \
	int st##_parse(const uint8_t *data, size_t len, struct st *ret)                                    \
	{                                                                                                  \
		char why[200];                                                                             \
		int rc = cp_fields_parse(kind, fields, data, len, ret, sizeof(*ret), &ret->unknown);       \
                                                                                                           \
		if (rc == 0 && check(ret, why, sizeof(why)) < 0) {                                         \
			st##_free(ret);                                                                    \
			rc = -EBADMSG;                                                                     \
		}                                                                                          \
		return rc;                                                                                 \
	}                                                                                                  \
	void st##_free(struct st *rec)                                                                     \
	{                                                                                                  \
		if (rec != NULL)                                                                           \
			cp_fields_free(fields, rec, sizeof(*rec), &rec->unknown);                          \
	}

#endif
