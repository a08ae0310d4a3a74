/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "log.h"
#include "scan.h"

#define DEPTH_MAX 16
#define PATH_MAX_ 256 /* bytes of a path with its NUL; no key of ours comes near */
#define ITEMS_MAX 20000

struct level {
	bool map;        /* else a sequence */
	bool want_key;   /* map: the next scalar is a key */
	unsigned idx;    /* sequence: index of the next entry */
	size_t path_len; /* length of the path of this collection */
};

struct walk {
	struct cfg_scan *scan;
	size_t room;
	struct level lv[DEPTH_MAX];
	int depth; /* collections open */
	char path[PATH_MAX_];
	size_t path_len;
	char *err;
	size_t err_size;
};

static int fail(struct walk *w, size_t line0, const char *what, const char *arg)
{
	snprintf(w->err, w->err_size, "line %zu: %s%s%s", line0 + 1, what,
	         arg[0] != '\0' ? " " : "", arg);
	return -EINVAL;
}

static int append(struct walk *w, const char *s, size_t line0)
{
	size_t n = strlen(s);

	if (w->path_len + n + 1 > sizeof(w->path))
		return fail(w, line0, "the key is too long", "");
	memcpy(w->path + w->path_len, s, n + 1);
	w->path_len += n;
	return 0;
}

static int note(struct walk *w, size_t line0)
{
	struct cfg_scan *s = w->scan;

	if (s->n == ITEMS_MAX)
		return fail(w, line0, "the file has too many entries", "");
	if (s->n == w->room) {
		size_t room = w->room == 0 ? 64 : w->room * 2;
		struct cfg_scan_item *item = realloc(s->item, room * sizeof(*item));

		if (item == NULL)
			return -ENOMEM;
		s->item = item;
		w->room = room;
	}
	s->item[s->n].path = strdup(w->path);
	if (s->item[s->n].path == NULL)
		return -ENOMEM;
	s->item[s->n++].line = (unsigned)line0 + 1;
	return 0;
}

/* A value begins: the path of an entry of a sequence is made here, that of a key was made with the
 * key. */
static int value_begins(struct walk *w, size_t line0)
{
	struct level *lv = w->depth > 0 ? &w->lv[w->depth - 1] : NULL;
	char num[16];
	int rc;

	if (lv == NULL || lv->map)
		return 0;
	snprintf(num, sizeof(num), "[%u]", lv->idx++);
	rc = append(w, num, line0);
	return rc < 0 ? rc : note(w, line0);
}

static void value_ends(struct walk *w)
{
	struct level *lv = w->depth > 0 ? &w->lv[w->depth - 1] : NULL;

	if (lv == NULL)
		return;
	w->path_len = lv->path_len;
	w->path[w->path_len] = '\0';
	lv->want_key = lv->map;
}

static int scalar(struct walk *w, const yaml_event_t *e)
{
	struct level *lv = w->depth > 0 ? &w->lv[w->depth - 1] : NULL;
	size_t line0 = e->start_mark.line;
	int rc;

	if (lv != NULL && lv->map && lv->want_key) {
		char key[100];

		/* Quoted so that no byte of the file reaches a terminal; the quotes are left out.
		 */
		cfg_qn(key, sizeof(key), (const char *)e->data.scalar.value, e->data.scalar.length);
		key[strlen(key) - 1] = '\0';
		if (w->path_len > 0 && append(w, ".", line0) < 0)
			return -EINVAL;
		rc = append(w, key + 1, line0);
		if (rc == 0)
			rc = note(w, line0);
		lv->want_key = false;
		return rc;
	}
	rc = value_begins(w, line0);
	if (lv == NULL)
		w->scan->empty = e->data.scalar.length == 0;
	value_ends(w);
	return rc;
}

static int collection(struct walk *w, const yaml_event_t *e, bool map)
{
	size_t line0 = e->start_mark.line;
	int rc;

	if (w->depth > 0 && w->lv[w->depth - 1].map && w->lv[w->depth - 1].want_key)
		return fail(w, line0, "a key must be a word", "");
	if (w->depth == DEPTH_MAX)
		return fail(w, line0, "nested too deeply", "");
	rc = value_begins(w, line0);
	if (rc < 0)
		return rc;
	w->scan->empty = false;
	w->lv[w->depth++] = (struct level){.map = map, .want_key = map, .path_len = w->path_len};
	return 0;
}

static int event(struct walk *w, const yaml_event_t *e, unsigned *docs)
{
	size_t line0 = e->start_mark.line;

	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		return ++*docs > 1 ? fail(w, line0, "a second document begins", "") : 0;
	case YAML_ALIAS_EVENT:
		return fail(w, line0, "aliases are not supported", "");
	case YAML_SCALAR_EVENT:
		return scalar(w, e);
	case YAML_MAPPING_START_EVENT:
		return collection(w, e, true);
	case YAML_SEQUENCE_START_EVENT:
		return collection(w, e, false);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		w->depth--;
		value_ends(w);
		return 0;
	default:
		return 0;
	}
}

static int by_path(const void *a, const void *b)
{
	const struct cfg_scan_item *x = a, *y = b;
	int c = strcmp(x->path, y->path);

	return c != 0 ? c : (x->line > y->line) - (x->line < y->line);
}

static int duplicates(struct walk *w)
{
	struct cfg_scan *s = w->scan;

	if (s->n > 0)
		qsort(s->item, s->n, sizeof(*s->item), by_path);
	for (size_t i = 1; i < s->n; i++)
		if (strcmp(s->item[i - 1].path, s->item[i].path) == 0)
			return fail(w, s->item[i].line - 1, "given twice:", s->item[i].path);
	return 0;
}

int cfg_scan_init(struct cfg_scan *scan, const uint8_t *data, size_t len, char *err,
                  size_t err_size)
{
	struct walk w = {.scan = scan, .err = err, .err_size = err_size};
	yaml_parser_t parser;
	yaml_event_t e;
	unsigned docs = 0;
	bool end = false;
	int rc = 0;

	*scan = (struct cfg_scan){.empty = true};
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, data, len);
	while (rc == 0 && !end) {
		if (!yaml_parser_parse(&parser, &e)) {
			if (parser.error == YAML_MEMORY_ERROR)
				rc = -ENOMEM;
			else
				rc = fail(
					&w,
					parser.error == YAML_READER_ERROR
						? parser.mark.line
						: parser.problem_mark.line,
					"not YAML:", parser.problem != NULL ? parser.problem : "");
			break;
		}
		end = e.type == YAML_STREAM_END_EVENT;
		rc = event(&w, &e, &docs);
		yaml_event_delete(&e);
	}
	yaml_parser_delete(&parser);
	return rc == 0 ? duplicates(&w) : rc;
}

static const struct cfg_scan_item *find(const struct cfg_scan *scan, const char *path)
{
	size_t lo = 0, hi = scan->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(scan->item[mid].path, path);

		if (c == 0)
			return &scan->item[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

bool cfg_scan_has(const struct cfg_scan *scan, const char *path)
{
	return find(scan, path) != NULL;
}

unsigned cfg_scan_line(const struct cfg_scan *scan, const char *path)
{
	const struct cfg_scan_item *item;
	char buf[PATH_MAX_];
	size_t cut;

	snprintf(buf, sizeof(buf), "%s", path);
	while (buf[0] != '\0') {
		item = find(scan, buf);
		if (item != NULL)
			return item->line;
		for (cut = strlen(buf); cut > 0 && buf[cut] != '.' && buf[cut] != '['; cut--)
			;
		buf[cut] = '\0';
	}
	return 0;
}

void cfg_scan_fini(struct cfg_scan *scan)
{
	for (size_t i = 0; i < scan->n; i++)
		free(scan->item[i].path);
	free(scan->item);
	*scan = (struct cfg_scan){0};
}
