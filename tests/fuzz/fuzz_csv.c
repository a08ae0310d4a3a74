/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * admin/csv.c and phones.c: the same rows come out whatever the pieces are; rows and devices keep their promises.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/phones.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
	uint64_t hash;
	struct cp_phonetab_columns *cols;
	unsigned long line;
};

static struct cp_line lines[CP_DEVICE_LINES_MAX];

static int on_row(void *ctx, const struct cp_csv_row *row)
{
	struct sum *s = ctx;
	struct cp_device dev;
	char why[256], name[CP_DEVICE_NAME_MAX];
	unsigned col = 0;

	if (row->line < s->line || row->cnt > CP_CSV_FIELDS_MAX || (row->error != NULL && row->cnt != row->error_at))
		abort();
	s->line = row->line;
	s->hash = s->hash * 31 + row->line + (row->error != NULL);
	for (unsigned i = 0; i < row->cnt; i++)
		for (const char *p = row->field[i]; *p != '\0'; p++)
			s->hash = s->hash * 31 + (unsigned char)*p;
	if (s->cols == NULL)
		return 0;
	if (!s->cols->known) {
		if (cp_phonetab_header(row, s->cols, why, sizeof(why)) < 0)
			return -1;
		return 0;
	}
	if (row->error == NULL && row->cnt == s->cols->cnt &&
	    cp_phonetab_name(s->cols, row, name, &col, why, sizeof(why)) == 0 && !cp_device_name_ok(name))
		abort();
	cp_phonetab_defaults(&dev);
	why[0] = '\0';
	if (cp_phonetab_row(s->cols, row, &dev, lines, &col, why, sizeof(why)) < 0) {
		if (why[0] == '\0')
			abort();
		return 0;
	}
	memcpy(dev.name, "SEP000000000001", 16);
	if (cp_device_check(&dev, why, sizeof(why)) < 0 && dev.load[0] == '\0' && dev.user_locale[0] == '\0' &&
	    dev.network_locale[0] == '\0' && dev.digest_user[0] == '\0' && dev.protocol == 0)
		abort(); /* what was read is valid by itself */
	return 0;
}

static uint64_t run(const uint8_t *data, size_t size, size_t piece, struct cp_phonetab_columns *cols)
{
	struct sum s = {.cols = cols};
	struct cp_csv *c = cp_csv_create(on_row, &s);
	int rc = 0;

	if (c == NULL)
		abort();
	for (size_t at = 0; at < size && rc == 0; at += piece)
		rc = cp_csv_feed(c, data + at, size - at < piece ? size - at : piece);
	if (rc == 0)
		cp_csv_end(c);
	cp_csv_destroy(c);
	return s.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cp_phonetab_columns cols;

	if (run(data, size, size > 0 ? size : 1, NULL) != run(data, size, 3, NULL))
		abort();
	memset(&cols, 0, sizeof(cols));
	run(data, size, 64, &cols);
	json_decref(cols.ignored);
	return 0;
}
