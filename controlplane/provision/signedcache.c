/* SPDX-License-Identifier: BSD-3-Clause */
#include "signedcache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "log.h"
#include "store/fields.h"

#define TRIM_BATCH 1000 /* deletions in one write */

static const struct cp_field signed_fields[] = {
	{1, CP_F_BUF, sizeof(struct cp_buf), offsetof(struct cp_signed, input), NULL},
	{2, CP_F_UINT, sizeof(uint32_t), offsetof(struct cp_signed, timestamp), NULL},
	{3, CP_F_BUF, sizeof(struct cp_buf), offsetof(struct cp_signed, sig), NULL},
	{4, CP_F_BUF, sizeof(struct cp_buf), offsetof(struct cp_signed, file), NULL},
	{0, CP_F_END, 0, 0, NULL},
};

static bool valid(const struct cp_signed *r)
{
	return r->input.len == CP_SIGNED_INPUT && (r->sig.len > 0) != (r->file.len > 0) && r->sig.len <= PKI_TL_SIG_MAX;
}

int cp_signed_build(const struct cp_signed *rec, struct cp_buf *ret)
{
	return valid(rec) ? cp_fields_build(CP_KIND_SIGNED, signed_fields, rec, &rec->unknown, ret) : -EINVAL;
}

int cp_signed_parse(const uint8_t *data, size_t len, struct cp_signed *ret)
{
	int rc = cp_fields_parse(CP_KIND_SIGNED, signed_fields, data, len, ret, sizeof(*ret), &ret->unknown);

	if (rc == 0 && !valid(ret)) {
		cp_signed_free(ret);
		rc = -EBADMSG;
	}
	return rc;
}

void cp_signed_free(struct cp_signed *rec)
{
	if (rec != NULL)
		cp_fields_free(signed_fields, rec, sizeof(*rec), &rec->unknown);
}

void cp_signed_forget(struct cp_files *f, const char *device)
{
	struct cp_batch *b = cp_batch_create();
	static const char *const ends[] = {".cnf.xml.sgn", ".cnf.xml.enc.sgn"};

	for (unsigned d = PKI_SHA1; d <= PKI_SHA512 && b != NULL; d++)
		for (unsigned e = 0; e < 2; e++) {
			char key[64];
			int n = snprintf(key, sizeof(key), "%c%u/%s%s", e == 0 ? 's' : 'e', d, device, ends[e]);

			cp_batch_del(b, CP_CF_SIGNED, key, (size_t)n);
		}
	if (b != NULL)
		cp_store_submit(f->env.store, b, NULL, NULL);
}

struct trim {
	struct cp_files *f;
	struct cp_batch *b;
	unsigned n;
};

/* Does what the record was made for still exist? */
static bool trim_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct trim *t = ctx;
	char name[CP_FILE_NAME_MAX] = "";
	struct cp_name parsed;
	struct cp_stamp st;
	bool gone = true;

	(void)val;
	(void)len;
	if (key_len > 3 && key_len - 3 < sizeof(name) && key[2] == '/') {
		memcpy(name, key + 3, key_len - 3);
		if (cp_file_name_ok(name)) {
			cp_name_parse(name, &parsed);
			gone = parsed.what == CP_NAME_CONFIG && cp_index_get(t->f->index, parsed.device).flags != 0 ? false
			       : parsed.what == CP_NAME_DEFAULT ? false
								: cp_filedir_stamp(t->f->dir, parsed.base, &st) < 0;
		}
	}
	if (gone && cp_batch_del(t->b, CP_CF_SIGNED, key, key_len) == 0)
		t->n++;
	return t->n < TRIM_BATCH; /* the rest at the next start: nothing depends on it */
}

void cp_signed_trim(struct cp_files *f)
{
	struct trim t = {f, cp_batch_create(), 0};

	if (t.b == NULL)
		return;
	if (cp_store_scan(f->env.store, CP_CF_SIGNED, "", 0, trim_one, &t) < 0 || t.n == 0) {
		cp_batch_destroy(t.b);
		return;
	}
	cfg_log(CFG_LOG_INFO, "signed-trimmed", "records=%u", t.n);
	cp_store_submit(f->env.store, t.b, NULL, NULL);
}
