/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables of phones, in pieces: admin/phoneimport.c is the other side. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"

#define PIECE 49152 /* bytes of the file in one request: 64 KiB of base64 */

static json_t *result_of(const json_t *answer)
{
	return json_is_true(json_object_get(answer, "ok")) ? json_object_get(answer, "result") : NULL;
}

/* One request; its result, a new reference. NULL: *ret is the refusal, or NULL. */
static json_t *request(ctl_ask_fn ask, void *ctx, const char *cmd, json_t *args, json_t **ret)
{
	json_t *answer = ask(ctx, cmd, args), *result = answer == NULL ? NULL : result_of(answer);

	json_decref(args);
	if (result == NULL) {
		*ret = answer;
		return NULL;
	}
	json_incref(result);
	json_decref(answer);
	return result;
}

/* The whole file once. 0, or negative errno as ctl_import_phones(). */
static int once(ctl_ask_fn ask, void *ctx, FILE *f, json_t *args, json_t **ret)
{
	json_t *r = request(ask, ctx, "import.phones.begin", json_incref(args), ret);
	json_int_t id = json_integer_value(json_object_get(r, "id"));
	unsigned char bytes[PIECE];
	char text[PIECE / 3 * 4 + 1];
	size_t n;

	if (r == NULL)
		return -EIO;
	json_decref(r);
	while ((n = fread(bytes, 1, sizeof(bytes), f)) > 0) {
		EVP_EncodeBlock((unsigned char *)text, bytes, (int)n);
		r = request(ask, ctx, "import.phones.data", json_pack("{s:I,s:s}", "id", id, "data", text), ret);
		if (r == NULL)
			return -EIO;
		json_decref(r);
	}
	if (ferror(f))
		return -EBADF;
	r = request(ask, ctx, "import.phones.end", json_pack("{s:I}", "id", id), ret);
	if (r == NULL)
		return -EIO;
	*ret = r;
	return 0;
}

int ctl_import_phones(ctl_ask_fn ask, void *ctx, const char *path, json_t *args, bool all, json_t **ret, char *why,
		      size_t size)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	int rc = 0;

	*ret = NULL;
	why[0] = '\0';
	if (f == NULL) {
		rc = -errno;
		snprintf(why, size, "%s: %s", path, strerror(errno));
		return rc;
	}
	if (all && fseek(f, 0, SEEK_SET) < 0) {
		rc = -ESPIPE;
		snprintf(why, size, "%s cannot be read twice, which --all-or-nothing needs", path);
	}
	if (rc == 0 && all) {
		json_t *dry = json_copy(args);

		json_object_set_new(dry, "dry_run", json_true());
		rc = once(ask, ctx, f, dry, ret);
		json_decref(dry);
		if (rc == 0 && json_integer_value(json_object_get(*ret, "wrong")) == 0) {
			json_decref(*ret);
			*ret = NULL;
			rewind(f);
			rc = once(ask, ctx, f, args, ret);
		}
	} else if (rc == 0) {
		rc = once(ask, ctx, f, args, ret);
	}
	if (rc == -EBADF)
		snprintf(why, size, "%s: cannot be read", path);
	if (f != stdin)
		fclose(f);
	return rc;
}

/* A field as RFC 4180 has it. */
static void put_field(FILE *out, const char *text)
{
	if (strpbrk(text, "\",\r\n") == NULL) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"')
			fputc('"', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void put_table(FILE *out, const json_t *columns, const json_t *line_columns, const json_t *rows)
{
	size_t fixed = json_array_size(columns), each = json_array_size(line_columns), most = fixed, i, k;
	json_t *row, *field;

	json_array_foreach(rows, i, row)
		most = json_array_size(row) > most ? json_array_size(row) : most;
	json_array_foreach(columns, k, field)
		fprintf(out, "%s%s", k > 0 ? "," : "", json_string_value(field));
	for (k = fixed; k < most; k++)
		fprintf(out, ",%s%zu", json_string_value(json_array_get(line_columns, (k - fixed) % each)), (k - fixed) / each + 1);
	fputc('\n', out);
	json_array_foreach(rows, i, row) {
		json_array_foreach(row, k, field) {
			if (k > 0)
				fputc(',', out);
			put_field(out, json_is_string(field) ? json_string_value(field) : "");
		}
		for (; k < most; k++)
			fputc(',', out);
		fputc('\n', out);
	}
}

int ctl_export_phones(ctl_ask_fn ask, void *ctx, FILE *out, json_t **ret, char *why, size_t size)
{
	json_t *rows = json_array(), *columns = NULL, *line_columns = NULL, *next = json_string("");
	int rc = 0;

	*ret = NULL;
	why[0] = '\0';
	while (json_is_string(next)) {
		json_t *r = request(ask, ctx, "export.phones", json_pack("{s:O}", "after", next), ret);

		json_decref(next);
		next = NULL;
		if (r == NULL) {
			json_decref(rows);
			json_decref(columns);
			json_decref(line_columns);
			return -EIO;
		}
		json_array_extend(rows, json_object_get(r, "rows"));
		json_decref(columns);
		json_decref(line_columns);
		columns = json_incref(json_object_get(r, "columns"));
		line_columns = json_incref(json_object_get(r, "line_columns"));
		next = json_incref(json_object_get(r, "next"));
		json_decref(r);
	}
	json_decref(next);
	if (json_array_size(columns) == 0 || json_array_size(line_columns) == 0) {
		snprintf(why, size, "the controlplane is of another version: it does not say which columns lines have");
		rc = -EPROTO;
	} else {
		put_table(out, columns, line_columns, rows);
	}
	json_decref(rows);
	json_decref(columns);
	json_decref(line_columns);
	if (rc == 0 && (fflush(out) != 0 || ferror(out))) {
		snprintf(why, size, "cannot write: %s", strerror(errno));
		rc = -EIO;
	}
	return rc;
}
