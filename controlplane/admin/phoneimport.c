/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table of phones (csv.h, phones.h), in pieces, so that the loop is never held up for long and the table may be large:
 *     import.phones.begin {"replace":false,"dry_run":false,"shared":false}  -> {"id":n}
 *     import.phones.data  {"id":n,"data":"base64, at most 64 KiB of the file"}
 *     import.phones.end   {"id":n} -> {"lines","phones","wrong","errors":[{"line","column","name","message"}],"ignored"}
 * A line that is wrong is reported (IMPORT_ERRORS of them; all are counted) and left out, the others are taken. The
 * lines of a piece are one write, synced before it is answered: after a power cut each piece is there whole or not at all.
 * A dry run checks the same, conflicts between lines included, and changes nothing. With "replace" a line changes what
 * its table has columns for in a device that exists, and leaves the rest of it. One import at a time.
 *     export.phones {"after":"SEP...","max":250} -> {"columns":[...],"line_columns":[...],"rows":[[...]],"next":"SEP..."|null}
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "csv.h"
#include "internal.h"
#include "log.h"
#include "offload.h"
#include "phones.h"
#include "store/change.h"
#include "store/phonecfg.h"
#include "store/tab.h"

#define PIECE_MAX     65536
#define IMPORT_ERRORS 100
#define LINES_MAX     1000000
#define IDLE_S        60
#define EXPORT_MAX    1000 /* asked for; no more than EXPORT_STEP come at once */
#define EXPORT_STEP   250

struct import {
	uint64_t id;
	struct cp_csv *csv;
	struct cp_phonetab_columns *cols;
	struct cp_change *change; /* of this piece; of all of them in a dry run */
	struct cp_tab seen;       /* device names; n: the line */
	struct cp_line *lines;
	json_t *errors;
	bool replace, dry_run, shared;
	unsigned long rows, wrong, phones;
	unsigned in_piece;
	char why[512];            /* the table is refused whole */
	struct cp_admin_req *req; /* of the piece that is being written */
};

struct cp_phones {
	struct cp_store *store;
	struct cmds *cmds;
	struct event *idle;
	struct import *run; /* NULL: none */
	uint64_t next_id;
	bool orphan;        /* the dispatcher is gone, a write is not */
};

static void run_free(struct import *im)
{
	if (im == NULL)
		return;
	cp_csv_destroy(im->csv);
	if (im->cols != NULL)
		json_decref(im->cols->ignored);
	free(im->cols);
	cp_change_destroy(im->change);
	cp_tab_fini(&im->seen);
	free(im->lines);
	json_decref(im->errors);
	free(im);
}

static void free_names(void *arg)
{
	cp_tab_fini(arg);
}

/* The names of 100,000 phones take the loop too long to forget. */
static void run_drop(struct cp_phones *p, struct import *im)
{
	struct cp_tab *seen = im == NULL || p->orphan || im->seen.cnt < 1000 ? NULL : malloc(sizeof(*seen));

	if (seen != NULL) {
		*seen = im->seen;
		if (cp_offload_run(cmds_offload(p->cmds), free_names, free, seen) < 0)
			free(seen);
		else
			im->seen = (struct cp_tab){.bucket = NULL};
	}
	run_free(im);
}

static void on_idle(evutil_socket_t fd, short what, void *ctx)
{
	struct cp_phones *p = ctx;

	(void)fd;
	(void)what;
	if (p->run != NULL && p->run->req != NULL)
		return; /* the store is slow, not the client */
	run_drop(p, p->run);
	p->run = NULL;
}

static void touch(struct cp_phones *p)
{
	struct timeval tv = {IDLE_S, 0};

	if (p->idle != NULL)
		evtimer_add(p->idle, &tv);
}

/* --- rows --- */

static void report(struct import *im, unsigned long line, unsigned col, const char *name, const char *why)
{
	const char *column = col < im->cols->cnt ? im->cols->names[col] : "";
	json_t *o;

	if (im->wrong++ >= IMPORT_ERRORS)
		return;
	o = json_pack("{s:I,s:s,s:s,s:s}", "line", (json_int_t)line, "column", column, "name", name, "message", why);
	if (o == NULL) /* a message that quotes the file in the middle of a character */
		o = json_pack("{s:I,s:s,s:s,s:s}", "line", (json_int_t)line, "column", "", "name", name, "message",
			      "not UTF-8");
	json_array_append_new(im->errors, o);
}

/* The device has its profile's mode. */
static int profile(struct import *im, const struct cp_csv_row *row, struct cp_device *dev, struct cp_store *store,
		   unsigned *ret_col, char *why, size_t size)
{
	struct cp_profile p;
	int rc;

	if (dev->profile[0] == '\0')
		return 0;
	rc = cp_store_profile(store, dev->profile, &p);
	if (rc < 0) {
		*ret_col = cp_phonetab_column_of(im->cols, "profile");
		snprintf(why, size, "no profile %s", dev->profile);
		return rc == -ENOMEM ? rc : -ENOENT;
	}
	if (cp_phonetab_says_mode(im->cols, row) && dev->mode != p.mode) {
		*ret_col = cp_phonetab_column_of(im->cols, "mode");
		snprintf(why, size, "mode %s is not that of profile %s, %s", cp_device_mode_name(dev->mode), dev->profile,
			 cp_device_mode_name(p.mode));
		rc = -EINVAL;
	}
	dev->mode = p.mode;
	cp_profile_free(&p);
	return rc;
}

static int put(struct import *im, const struct cp_csv_row *row, const char *name, struct cp_store *store, unsigned *ret_col,
	       char *why, size_t size)
{
	const struct cp_device *old = im->replace ? cp_dir_device(store, name) : NULL;
	struct cp_device dev;
	int rc;

	cp_phonetab_defaults(&dev);
	if (old != NULL)
		dev = *old; /* its memory is borrowed: the change copies */
	memcpy(dev.name, name, CP_DEVICE_NAME_MAX);
	rc = cp_phonetab_row(im->cols, row, &dev, im->lines, ret_col, why, size);
	if (rc == 0)
		rc = profile(im, row, &dev, store, ret_col, why, size);
	if (rc == 0) {
		rc = cp_change_device_put(im->change, &dev, im->replace, why, size);
		*ret_col = cp_phonetab_column(im->cols, &dev, why);
	}
	return rc;
}

static int on_row(void *ctx, const struct cp_csv_row *row)
{
	struct cp_phones *p = ctx;
	struct import *im = p->run;
	char name[CP_DEVICE_NAME_MAX] = "", why[512] = "";
	struct cp_ent *e;
	unsigned col = 0;
	int rc;

	if (!im->cols->known) {
		rc = cp_phonetab_header(row, im->cols, why, sizeof(why));
		if (rc < 0)
			snprintf(im->why, sizeof(im->why), "line %lu: %s", row->line, why);
		return rc;
	}
	if (im->rows++ == LINES_MAX) {
		snprintf(im->why, sizeof(im->why), "line %lu: more than %d phones", row->line, LINES_MAX);
		return -EFBIG;
	}
	rc = row->error == NULL && row->cnt == im->cols->cnt ? cp_phonetab_name(im->cols, row, name, &col, why, sizeof(why)) : 0;
	if (rc < 0) {
		report(im, row->line, col, "", why);
		return 0;
	}
	if (name[0] == '\0') { /* the row is no row: cp_phonetab_row() says why */
		struct cp_device dev = {.line_cnt = 0};

		cp_phonetab_row(im->cols, row, &dev, im->lines, &col, why, sizeof(why));
		report(im, row->line, col, "", why);
		return 0;
	}
	e = cp_tab_put(&im->seen, name, strlen(name));
	if (e == NULL)
		return -ENOMEM;
	if (e->n != 0) {
		snprintf(why, sizeof(why), "device %s is on line %u already", name, e->n);
		rc = -EEXIST;
		col = cp_phonetab_column(im->cols, &(struct cp_device){.line_cnt = 0}, why);
	} else {
		e->n = (uint32_t)row->line;
		rc = put(im, row, name, p->store, &col, why, sizeof(why));
	}
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0) {
		report(im, row->line, col, name, why[0] != '\0' ? why : strerror(-rc));
		return 0;
	}
	im->phones++;
	im->in_piece++;
	return 0;
}

/* --- requests --- */

static struct import *run_create(void)
{
	struct import *im = calloc(1, sizeof(*im));

	if (im == NULL)
		return NULL;
	im->cols = calloc(1, sizeof(*im->cols));
	im->lines = malloc(CP_DEVICE_LINES_MAX * sizeof(*im->lines));
	im->errors = json_array();
	if (im->cols == NULL || im->lines == NULL || im->errors == NULL || cp_tab_init(&im->seen, NULL) < 0) {
		run_free(im);
		return NULL;
	}
	return im;
}

static void begin(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"replace", "dry_run", "shared", NULL};
	struct cp_phones *p = ctx;
	bool replace = false, dry_run = false, shared = false;
	struct import *im;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_bool(req, args, "replace", &replace) < 0 ||
	    cp_admin_arg_bool(req, args, "dry_run", &dry_run) < 0 || cp_admin_arg_bool(req, args, "shared", &shared) < 0)
		return;
	if (p->run != NULL) {
		cp_admin_fail(req, "busy", "another import of phones is running (or was left less than %d s ago)", IDLE_S);
		return;
	}
	im = run_create();
	if (im != NULL)
		im->csv = cp_csv_create(on_row, p);
	if (im == NULL || im->csv == NULL) {
		run_free(im);
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	im->replace = replace;
	im->dry_run = dry_run;
	im->shared = shared;
	im->id = ++p->next_id;
	p->run = im;
	touch(p);
	cp_admin_reply(req, json_pack("{s:I}", "id", (json_int_t)im->id));
}

static struct import *find(struct cp_phones *p, struct cp_admin_req *req, const json_t *args)
{
	int64_t id = 0;

	if (cp_admin_arg_int(req, args, "id", true, 1, INT64_MAX, &id) < 0)
		return NULL;
	if (p->run == NULL || p->run->id != (uint64_t)id) {
		cp_admin_fail(req, "not-found", "no import %lld: it ended, or nothing came for %d s", (long long)id, IDLE_S);
		return NULL;
	}
	if (p->run->req != NULL) {
		cp_admin_fail(req, "busy", "the piece before is being written");
		return NULL;
	}
	touch(p);
	return p->run;
}

/* The answer to the last request of an import, which is over. */
static void finish(struct cp_phones *p, struct cp_admin_req *req)
{
	struct import *im = p->run;
	json_t *o, *warnings;

	p->run = NULL;
	if (p->idle != NULL)
		evtimer_del(p->idle);
	o = json_pack("{s:I,s:I,s:I,s:b,s:O,s:O}", "lines", (json_int_t)im->rows, "phones", (json_int_t)im->phones, "wrong",
		      (json_int_t)im->wrong, "dry_run", (int)im->dry_run, "errors", im->errors, "ignored", im->cols->ignored);
	warnings = im->dry_run ? NULL : cp_warnings(p->store, CP_WARN_ALL, NULL);
	if (warnings != NULL)
		json_object_set_new(o, "warnings", warnings);
	cp_admin_reply(req, o);
	run_drop(p, im);
}

static void refuse(struct cp_phones *p, struct cp_admin_req *req, int rc)
{
	struct import *im = p->run;

	p->run = NULL;
	if (p->idle != NULL)
		evtimer_del(p->idle);
	if (im->why[0] != '\0')
		cp_admin_fail(req, "invalid", "%s (%lu phones were taken)", im->why, im->dry_run ? 0 : im->phones - im->in_piece);
	else
		cp_admin_fail_rc(req, rc, "%s (%lu phones were taken before)",
				 rc == -ENOSPC ? "the store has no space" : rc == -EIO ? "the store cannot write" : strerror(-rc),
				 im->dry_run ? 0 : im->phones - im->in_piece);
	run_drop(p, im);
}

static void answer_piece(struct cp_phones *p, struct cp_admin_req *req, bool last)
{
	p->run->in_piece = 0;
	if (last)
		finish(p, req);
	else
		cp_admin_reply(req, json_pack("{s:I,s:I}", "phones", (json_int_t)p->run->phones, "wrong",
					      (json_int_t)p->run->wrong));
}

static void written(struct cp_phones *p, int rc, bool last)
{
	struct cp_admin_req *req = p->run->req;

	p->run->req = NULL;
	if (rc < 0)
		refuse(p, req, rc);
	else
		answer_piece(p, req, last);
	if (p->orphan) {
		run_free(p->run);
		free(p);
	} else if (p->run != NULL) {
		touch(p);
	}
}

static void on_written(void *ctx, int rc)
{
	written(ctx, rc, false);
}

static void on_last_written(void *ctx, int rc)
{
	written(ctx, rc, true);
}

/* What a piece brought is in the change: write it. */
static void write_piece(struct cp_phones *p, struct cp_admin_req *req, bool last)
{
	struct import *im = p->run;
	int rc;

	if (im->dry_run || im->in_piece == 0) {
		answer_piece(p, req, last);
		return;
	}
	im->req = req;
	rc = cp_change_submit(im->change, "import.phones", cp_admin_who(req), json_pack("{s:i}", "phones", (int)im->in_piece),
			      last ? on_last_written : on_written, p);
	im->change = NULL;
	if (rc < 0) {
		im->req = NULL;
		refuse(p, req, rc);
	}
}

static int ready(struct cp_phones *p)
{
	struct import *im = p->run;

	if (im->change == NULL)
		im->change = cp_change_create(p->store);
	if (im->change == NULL)
		return -ENOMEM;
	cp_change_share(im->change, im->shared);
	return 0;
}

static void data(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"id", "data", NULL};
	struct cp_phones *p = ctx;
	const char *text = NULL;
	struct import *im;
	uint8_t *bytes;
	size_t len;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "data", true, &text) < 0)
		return;
	im = find(p, req, args);
	if (im == NULL)
		return;
	if (pki_base64_decode(text, strlen(text), PIECE_MAX, &bytes, &len) < 0) {
		cp_admin_fail(req, "invalid", "data is not base64 of at most %d bytes", PIECE_MAX);
		return;
	}
	rc = ready(p);
	if (rc == 0)
		rc = cp_csv_feed(im->csv, bytes, len);
	free(bytes);
	if (rc < 0)
		refuse(p, req, rc);
	else
		write_piece(p, req, false);
}

static void end(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"id", NULL};
	struct cp_phones *p = ctx;
	struct import *im;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0)
		return;
	im = find(p, req, args);
	if (im == NULL)
		return;
	rc = ready(p);
	if (rc == 0)
		rc = cp_csv_end(im->csv);
	if (rc == 0 && !im->cols->known) {
		snprintf(im->why, sizeof(im->why), "the table is empty: not even a header");
		rc = -EINVAL;
	}
	if (rc < 0)
		refuse(p, req, rc);
	else
		write_piece(p, req, true);
}

/* --- export --- */

struct exporting {
	json_t *rows;
	char last[CP_DEVICE_NAME_MAX];
	size_t max;
	bool more;
};

static bool export_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct exporting *x = ctx;
	struct cp_device dev;

	if (json_array_size(x->rows) == x->max) {
		x->more = true;
		return false;
	}
	if (key_len >= sizeof(x->last) || cp_device_parse(val, len, &dev) < 0)
		return true; /* not served: the alarm store-bad-record tells of it */
	memcpy(x->last, key, key_len);
	x->last[key_len] = '\0';
	json_array_append_new(x->rows, cp_phonetab_export(&dev));
	cp_device_free(&dev);
	return true;
}

static json_t *names(const char *const *list)
{
	json_t *all = json_array();

	for (; *list != NULL; list++)
		json_array_append_new(all, json_string(*list));
	return all;
}

static void export(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"after", "max", NULL};
	struct cp_phones *p = ctx;
	struct exporting x = {.last = ""};
	char from[CP_DEVICE_NAME_MAX + 1];
	const char *after = "";
	int64_t max = EXPORT_MAX;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "after", false, &after) < 0 ||
	    cp_admin_arg_int(req, args, "max", false, 1, EXPORT_MAX, &max) < 0)
		return;
	if (strlen(after) >= CP_DEVICE_NAME_MAX) {
		cp_admin_fail(req, "invalid", "after is not the name of a device");
		return;
	}
	x.rows = json_array();
	x.max = (size_t)(max < EXPORT_STEP ? max : EXPORT_STEP);
	memcpy(from, after, strlen(after) + 1); /* with its zero: the next key above it */
	rc = cp_store_scan(p->store, CP_CF_DEVICE, from, after[0] == '\0' ? 0 : strlen(after) + 1, export_one, &x);
	if (rc < 0) {
		json_decref(x.rows);
		cp_admin_fail_rc(req, rc, NULL);
		return;
	}
	cp_admin_reply(req, json_pack("{s:o,s:o,s:o,s:s?}", "columns", names(cp_phonetab_export_columns), "line_columns",
				      names(cp_phonetab_line_columns), "rows", x.rows, "next", x.more ? x.last : NULL));
}

int cp_phones_create(struct cmds *cmds, struct cp_admin *admin, struct cp_phones **ret)
{
	struct cp_phones *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return -ENOMEM;
	p->cmds = cmds;
	p->store = cmds_store(cmds);
	if (admin->base != NULL) {
		p->idle = evtimer_new(admin->base, on_idle, p);
		if (p->idle == NULL) {
			free(p);
			return -ENOMEM;
		}
	}
	*ret = p; /* the caller destroys it, also behind an error */
	rc = cp_admin_register(admin, "import.phones.begin", begin, p);
	if (rc == 0)
		rc = cp_admin_register(admin, "import.phones.data", data, p);
	if (rc == 0)
		rc = cp_admin_register(admin, "import.phones.end", end, p);
	return rc < 0 ? rc : cp_admin_register(admin, "export.phones", export, p);
}

void cp_phones_destroy(struct cp_phones *p)
{
	if (p == NULL)
		return;
	if (p->idle != NULL)
		event_free(p->idle);
	p->idle = NULL;
	if (p->run != NULL && p->run->req != NULL) {
		p->orphan = true; /* on_written() frees */
		return;
	}
	run_free(p->run);
	free(p);
}
