/* SPDX-License-Identifier: BSD-3-Clause */
/* Call detail records: asked for in pages and printed as they come, so that nobody holds a million of them. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

static const char *const columns[] = {"end", "duration_ms", "calling", "dialled", "called", "redirecting", "cause", "released", "origin", "security",
				      "security_worst", "a_device", "b_device", "global_id"};

static json_t *few(const json_t *records)
{
	json_t *list = json_array(), *r;
	size_t i;

	json_array_foreach(records, i, r) {
		json_t *o = json_object();

		for (size_t k = 0; k < sizeof(columns) / sizeof(columns[0]); k++)
			json_object_set(o, columns[k], json_object_get(r, columns[k]));
		json_array_append_new(list, o);
	}
	return list;
}

static void print_lines(FILE *out, const json_t *records)
{
	json_t *r;
	size_t i;

	json_array_foreach(records, i, r) {
		json_dumpf(r, out, JSON_COMPACT);
		fputc('\n', out);
	}
}

int ctl_cdr(ctl_ask_fn ask, void *ctx, json_t *args, enum ctl_cdr_form form, json_int_t most, FILE *out, json_t **ret)
{
	bool first = true;
	json_t *next;

	*ret = NULL;
	do {
		json_t *answer, *result, *records;

		if (most > 0 && most < 500)
			json_object_set_new(args, "max", json_integer(most));
		answer = ask(ctx, "cdr.list", args);
		result = answer != NULL && json_is_true(json_object_get(answer, "ok")) ? json_object_get(answer, "result") : NULL;
		if (result == NULL) {
			*ret = answer;
			return -EIO;
		}
		records = json_object_get(result, "records");
		if (form == CTL_CDR_TABLE && (json_array_size(records) > 0 || first)) {
			json_t *list = few(records);

			ctl_render(out, list);
			json_decref(list);
		} else if (form == CTL_CDR_LINES) {
			print_lines(out, records);
		} else if (form == CTL_CDR_CSV && json_array_size(records) > 0) {
			ctl_render_csv(out, records, first);
		}
		first = first && json_array_size(records) == 0;
		next = json_object_get(result, "next");
		if (json_is_string(next))
			json_object_set(args, "after", next);
		if (most > 0)
			most = most > (json_int_t)json_array_size(records) ? most - (json_int_t)json_array_size(records) : -1;
		next = json_is_string(next) ? next : NULL;
		json_decref(answer);
	} while (next != NULL && most >= 0 && ferror(out) == 0);
	return ferror(out) != 0 ? -ENOSPC : 0;
}
