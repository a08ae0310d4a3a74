/* SPDX-License-Identifier: BSD-3-Clause */
#include "enrol/wavelist.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "admin/csv.h"
#include "log.h"
#include "store/tab.h"

struct cp_wavelist {
	struct cp_csv *csv;
	bool (*known)(void *ctx, const char *device);
	void *ctx;
	bool header;
	unsigned column;
	struct cp_tab seen; /* n: line */
	char (*name)[CP_DEVICE_NAME_MAX];
	uint32_t cnt, room;
	struct cp_wavelist_error error[CP_WAVELIST_ERRORS];
	unsigned long errors;
	char why[160];
};

static void wrong(struct cp_wavelist *l, unsigned long line, const char *device, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void wrong(struct cp_wavelist *l, unsigned long line, const char *device, const char *fmt, ...)
{
	struct cp_wavelist_error *e;
	va_list ap;

	if (l->errors++ >= CP_WAVELIST_ERRORS)
		return;
	e = &l->error[l->errors - 1];
	e->line = line;
	snprintf(e->device, sizeof(e->device), "%s", device);
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
}

static int on_header(struct cp_wavelist *l, const struct cp_csv_row *row)
{
	static const char *const names[] = {"device", "name", "device name"};

	for (unsigned n = 0; n < 3 && row->error == NULL; n++)
		for (unsigned c = 0; c < row->cnt; c++)
			if (strcasecmp(row->field[c], names[n]) == 0) {
				l->header = true;
				l->column = c;
				return 0;
			}
	snprintf(l->why, sizeof(l->why), "line %lu: %s%s", row->line, row->error != NULL ? row->error : "",
		 row->error != NULL ? "" : "the header has no column device (or name)");
	return -EINVAL;
}

static int on_row(void *ctx, const struct cp_csv_row *row)
{
	struct cp_wavelist *l = ctx;
	char name[CP_DEVICE_NAME_MAX];
	struct cp_ent *e;
	const char *text;

	if (!l->header)
		return on_header(l, row);
	if (row->error != NULL) {
		wrong(l, row->line, "", "%s", row->error);
		return 0;
	}
	text = l->column < row->cnt ? row->field[l->column] : "";
	if (snprintf(name, sizeof(name), "%s", text) >= (int)sizeof(name) || !cp_device_name_ok(name)) {
		wrong(l, row->line, "", "%s is no device name: SEP and 12 digits of 0-9 A-F", cfg_q(text));
		return 0;
	}
	e = cp_tab_put(&l->seen, name, strlen(name));
	if (e == NULL)
		return -ENOMEM;
	if (e->n != 0) {
		wrong(l, row->line, name, "it is on line %u already", e->n);
		return 0;
	}
	e->n = (uint32_t)row->line;
	if (!l->known(l->ctx, name)) {
		wrong(l, row->line, name, "there is no such device");
		return 0;
	}
	if (l->cnt == CP_WAVE_MAX) {
		snprintf(l->why, sizeof(l->why), "line %lu: more than %d devices", row->line, CP_WAVE_MAX);
		return -EFBIG;
	}
	if (l->cnt == l->room) {
		uint32_t room = l->room == 0 ? 256 : l->room * 2;
		void *more = realloc(l->name, room * sizeof(*l->name));

		if (more == NULL)
			return -ENOMEM;
		l->name = more;
		l->room = room;
	}
	memcpy(l->name[l->cnt++], name, sizeof(name));
	return 0;
}

struct cp_wavelist *cp_wavelist_create(bool (*known)(void *ctx, const char *device), void *ctx)
{
	struct cp_wavelist *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->known = known;
	l->ctx = ctx;
	l->csv = cp_csv_create(on_row, l);
	if (l->csv == NULL || cp_tab_init(&l->seen, NULL) < 0) {
		cp_wavelist_destroy(l);
		return NULL;
	}
	return l;
}

void cp_wavelist_destroy(struct cp_wavelist *l)
{
	if (l == NULL)
		return;
	cp_csv_destroy(l->csv);
	cp_tab_fini(&l->seen);
	free(l->name);
	free(l);
}

int cp_wavelist_feed(struct cp_wavelist *l, const void *data, size_t len)
{
	return cp_csv_feed(l->csv, data, len);
}

int cp_wavelist_end(struct cp_wavelist *l)
{
	int rc = cp_csv_end(l->csv);

	if (rc == 0 && !l->header) {
		snprintf(l->why, sizeof(l->why), "the table is empty: not even a header");
		rc = -EINVAL;
	}
	return rc;
}

const char *cp_wavelist_why(const struct cp_wavelist *l)
{
	return l->why;
}

const char (*cp_wavelist_names(const struct cp_wavelist *l, uint32_t *ret_cnt))[CP_DEVICE_NAME_MAX]
{
	*ret_cnt = l->cnt;
	return (const char (*)[CP_DEVICE_NAME_MAX])l->name;
}

const struct cp_wavelist_error *cp_wavelist_errors(const struct cp_wavelist *l, unsigned *ret_cnt, unsigned long *ret_all)
{
	*ret_all = l->errors;
	*ret_cnt = l->errors < CP_WAVELIST_ERRORS ? (unsigned)l->errors : CP_WAVELIST_ERRORS;
	return l->error;
}
