/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows of a table of phones as devices, and back. The first row names the columns:
 *     name            SEP and the MAC address, or the MAC address alone, in any case, with or without : - .
 *     mode            encrypted (default), authenticated or nonsecure
 *     description, model, region, suite, load, user_locale, network_locale, digest_user: texts
 *     profile, srst   names of a security profile, which must be there and whose mode the device has, and an SRST reference
 *     protocol        sccp, sip or any (default)
 *     srtp            yes (default) or no
 *     css             calling search space of lines that have none of their own
 *     protected       yes or no (default): it plays the secure or non-secure tone
 *     line1, label1, partition1, css1, pickup1, ... line42 ...: numbers in button order, what is shown beside them, their partitions (empty: that
 *                     which all see), calling search spaces and pickup groups; only lineN is needed
 * Also known are the names that the bulk administration tool of CallManager gives these columns when it exports "all
 * details": MAC ADDRESS, DEVICE NAME, DESCRIPTION, DEVICE TYPE, DEVICE PROTOCOL, PHONE LOAD NAME, DIRECTORY NUMBER 1, LINE TEXT LABEL 1, DISPLAY 1,
 * DEVICE SECURITY PROFILE (whose name says the mode: ... Non-Secure, Authenticated, Encrypted or Secure Profile). In such
 * a table other columns are ignored; in one of our own they are an error. Upper and lower case are the same.
 */
#ifndef CP_ADMIN_PHONES_H
#define CP_ADMIN_PHONES_H

#include <jansson.h>

#include "csv.h"
#include "store/store.h"

struct cp_phonetab_columns {
	bool known; /* a header was read */
	bool bat;   /* it has the other tool's names */
	unsigned cnt;
	json_t *ignored; /* names of columns that are not used; owned */
	bool labels[CP_DEVICE_LINES_MAX]; /* there is a column of what is shown beside the number */
	struct {
		unsigned char kind; /* phones.c's */
		unsigned char line; /* from 0 */
	} col[CP_CSV_FIELDS_MAX];
	char names[CP_CSV_FIELDS_MAX][32]; /* for messages, cut */
};

/** Read the header. 0, or -EINVAL with what is wrong in 'why'. */
int cp_phonetab_header(const struct cp_csv_row *row, struct cp_phonetab_columns *ret, char *why, size_t why_size);

/** The name of a row's device. 0, or -EINVAL as cp_phonetab_row(). */
int cp_phonetab_name(const struct cp_phonetab_columns *cols, const struct cp_csv_row *row, char name[CP_DEVICE_NAME_MAX],
		  unsigned *ret_col, char *why, size_t why_size);

/** What a device has of which the table says nothing, where there is none to change. */
void cp_phonetab_defaults(struct cp_device *dev);

/**
 * One row: sets in 'dev' what the table has columns for. 'lines' are the caller's; dev->lines points to them if there is a
 * column of a line. What a line of the same number had before and the table has no column for stays. 0, or -EINVAL with what is wrong in 'why' and *ret_col, the number of the column it is in.
 */
int cp_phonetab_row(const struct cp_phonetab_columns *cols, const struct cp_csv_row *row, struct cp_device *dev,
		 struct cp_line lines[CP_DEVICE_LINES_MAX], unsigned *ret_col, char *why, size_t why_size);

/** The column that a message about a device is about: that of the number it names, else that of the name. */
unsigned cp_phonetab_column(const struct cp_phonetab_columns *cols, const struct cp_device *dev, const char *message);

/** Which column has this name, whatever its case; 0 if none. */
unsigned cp_phonetab_column_of(const struct cp_phonetab_columns *cols, const char *name);
/** Does the row say a mode? It has the header's fields. */
bool cp_phonetab_says_mode(const struct cp_phonetab_columns *cols, const struct cp_csv_row *row);

/** A device as an array of strings: the columns before line1 in the order of cp_phonetab_export_columns, then those of each line. */
json_t *cp_phonetab_export(const struct cp_device *dev);
extern const char *const cp_phonetab_export_columns[]; /* ends with NULL */
extern const char *const cp_phonetab_line_columns[];   /* without their number; ends with NULL */

#endif
