/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers for people. Knows no command: any array of objects is a table, any object a list. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define COLUMNS_MAX 64

/* The text of a value in a cell; heap. Control characters never reach the terminal. */
static char *cell(const json_t *v, bool inner)
{
	char *out = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&out, &len);
	const char *key;
	json_t *item;
	size_t i;

	if (f == NULL)
		abort();
	switch (v == NULL ? JSON_NULL : json_typeof(v)) {
	case JSON_STRING:
		fputs(json_string_value(v), f);
		break;
	case JSON_INTEGER:
		fprintf(f, "%lld", (long long)json_integer_value(v));
		break;
	case JSON_REAL:
		fprintf(f, "%g", json_real_value(v));
		break;
	case JSON_TRUE:
		fputs("yes", f);
		break;
	case JSON_FALSE:
		fputs("no", f);
		break;
	case JSON_ARRAY:
		json_array_foreach(v, i, item) {
			char *s = cell(item, true);

			fprintf(f, "%s%s", i > 0 ? "," : "", s);
			free(s);
		}
		break;
	case JSON_OBJECT:
		i = 0;
		json_object_foreach((json_t *)(uintptr_t)v, key, item) {
			char *s;

			/* inside a list: the first member names the item, and only what is set is shown */
			if (inner && i > 0 && (json_is_false(item) || (json_is_string(item) && json_string_length(item) == 0)))
				continue;
			s = cell(item, true);
			if (inner && i == 0)
				fputs(s, f);
			else
				fprintf(f, "%s%s=%s", i > 0 ? (inner ? "/" : " ") : "", key, s);
			i++;
			free(s);
		}
		break;
	default:
		fputs("-", f);
		break;
	}
	fclose(f);
	for (char *p = out; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return out;
}

static size_t width(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80; /* characters, not bytes */
	return n;
}

static void pad(FILE *out, const char *s, size_t to, bool last)
{
	fputs(s, out);
	for (size_t n = width(s); !last && n < to + 2; n++)
		fputc(' ', out);
}

static void table(FILE *out, const json_t *list)
{
	const char *name[COLUMNS_MAX], *key;
	size_t wide[COLUMNS_MAX], n = 0, i, k;
	json_t *row, *v;

	json_array_foreach(list, i, row)
		json_object_foreach(row, key, v) {
			for (k = 0; k < n && strcmp(name[k], key) != 0; k++)
				;
			if (k == n && n < COLUMNS_MAX) {
				name[n] = key;
				wide[n++] = width(key);
			}
		}
	json_array_foreach(list, i, row)
		for (k = 0; k < n; k++) {
			char *s = cell(json_object_get(row, name[k]), false);

			if (width(s) > wide[k])
				wide[k] = width(s);
			free(s);
		}
	for (k = 0; k < n; k++) {
		char *head = strdup(name[k]);

		for (char *p = head; *p != '\0'; p++)
			*p = *p == '_' ? '-' : (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
		pad(out, head, wide[k], k + 1 == n);
		free(head);
	}
	fputc('\n', out);
	json_array_foreach(list, i, row) {
		for (k = 0; k < n; k++) {
			char *s = cell(json_object_get(row, name[k]), false);

			pad(out, s, wide[k], k + 1 == n);
			free(s);
		}
		fputc('\n', out);
	}
}

static bool is_table(const json_t *v)
{
	json_t *item;
	size_t i;

	json_array_foreach(v, i, item)
		if (!json_is_object(item))
			return false;
	return json_array_size(v) > 0;
}

static void object(FILE *out, const json_t *o, const char *prefix)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)o, key, v) {
		char name[128];

		snprintf(name, sizeof(name), "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", key);
		if (json_is_object(v)) {
			object(out, v, name);
		} else if (is_table(v)) {
			fprintf(out, "%s:\n", name);
			table(out, v);
		} else {
			char *s = cell(v, false);

			fprintf(out, "%s: %s\n", name, s);
			free(s);
		}
	}
}

void ctl_render(FILE *out, const json_t *result)
{
	if (json_is_array(result) && json_array_size(result) == 0) {
		fputs("none\n", out);
	} else if (json_is_array(result) && is_table(result)) {
		table(out, result);
	} else if (json_is_object(result)) {
		object(out, result, "");
	} else if (result != NULL && !json_is_null(result)) {
		char *s = cell(result, false);

		fprintf(out, "%s\n", s);
		free(s);
	}
}

static void csv_cell(FILE *out, const char *text)
{
	bool quote = strpbrk(text, ",\"\r\n") != NULL || (text[0] != '\0' && strchr("=+-@", text[0]) != NULL);

	if (quote)
		fputc('"', out);
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '"')
			fputc('"', out);
		fputc(*p, out);
	}
	if (quote)
		fputc('"', out);
}

void ctl_render_csv(FILE *out, const json_t *list, bool with_head)
{
	const json_t *head = json_array_get(list, 0);
	const char *key;
	json_t *row, *v;
	size_t i, n = 0;

	json_object_foreach((json_t *)(uintptr_t)(with_head ? head : NULL), key, v)
		fprintf(out, "%s%s", n++ > 0 ? "," : "", key);
	if (head != NULL && with_head)
		fputs("\r\n", out);
	json_array_foreach(list, i, row) {
		n = 0;
		json_object_foreach((json_t *)(uintptr_t)head, key, v) {
			json_t *mine = json_object_get(row, key);
			char *text = mine == NULL || json_is_null(mine) ? strdup("") : cell(mine, false);

			if (n++ > 0)
				fputc(',', out);
			csv_cell(out, text);
			free(text);
		}
		fputs("\r\n", out);
	}
}
