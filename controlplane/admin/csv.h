/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Comma-separated values as RFC 4180 has them: quoted fields with doubled quotes, commas and line ends inside; also a
 * UTF-8 byte order mark, lines that end in LF or CR alone, and no end of line at the end. Bytes are fed as they come, in
 * pieces of any size; whole rows come out. A row that is wrong is reported and skipped, reading goes on with the next
 * line. Empty lines are no rows. One thread.
 */
#ifndef CP_ADMIN_CSV_H
#define CP_ADMIN_CSV_H

#include <stdbool.h>
#include <stddef.h>

#define CP_CSV_ROW_MAX    65536 /* bytes of all fields of a row, and a byte each */
#define CP_CSV_FIELDS_MAX 2048

struct cp_csv_row {
	unsigned long line;       /* from 1: where it begins */
	unsigned cnt;
	const char *const *field; /* zero-terminated, without zeros inside; borrowed */
	const char *error;        /* NULL, or what is wrong; the fields before 'error_at' are whole */
	unsigned error_at;        /* field, from 0 */
};

/** Not 0: stop; cp_csv_feed() returns it, now and from then on. */
typedef int (*cp_csv_fn)(void *ctx, const struct cp_csv_row *row);

struct cp_csv;

struct cp_csv *cp_csv_create(cp_csv_fn fn, void *ctx); /* NULL: no memory */
void cp_csv_destroy(struct cp_csv *csv);
int cp_csv_feed(struct cp_csv *csv, const void *data, size_t len);
/** No more bytes: the last row, if its line did not end. */
int cp_csv_end(struct cp_csv *csv);

#endif
