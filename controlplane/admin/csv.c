/* SPDX-License-Identifier: BSD-3-Clause */
#include "csv.h"

#include <stdlib.h>

enum state {
	AT_START, /* of a field */
	PLAIN,
	QUOTED,
	AFTER_QUOTE, /* inside a quoted field: its end, or the first of two */
	SKIP,        /* a row that is wrong, to the end of its line */
};

struct cp_csv {
	cp_csv_fn fn;
	void *ctx;
	enum state state;
	unsigned mark;   /* bytes of a byte order mark that were read; 3: there was one or cannot be any more */
	bool cr;         /* the last byte was a CR that ended a line */
	bool quoted_row; /* some field was quoted: "" alone is a row */
	unsigned long line, row_line;
	int rc;
	const char *error;
	unsigned error_at, cnt; /* cnt: fields that are whole; the one being read is number cnt */
	size_t len;
	const char *field[CP_CSV_FIELDS_MAX];
	char buf[CP_CSV_ROW_MAX];
};

struct cp_csv *cp_csv_create(cp_csv_fn fn, void *ctx)
{
	struct cp_csv *c = malloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	c->fn = fn;
	c->ctx = ctx;
	c->state = AT_START;
	c->mark = 0;
	c->cr = c->quoted_row = false;
	c->line = c->row_line = 1;
	c->rc = 0;
	c->error = NULL;
	c->error_at = c->cnt = 0;
	c->len = 0;
	c->field[0] = c->buf;
	return c;
}

void cp_csv_destroy(struct cp_csv *c)
{
	free(c);
}

static void wrong(struct cp_csv *c, const char *what)
{
	c->error = what;
	c->error_at = c->cnt;
	c->state = SKIP;
}

static void add(struct cp_csv *c, char byte)
{
	if (byte == '\0')
		wrong(c, "a zero byte");
	else if (c->len + 2 > sizeof(c->buf)) /* the terminating zero fits always */
		wrong(c, "a row of more than 65536 bytes: is a quote not closed?");
	else
		c->buf[c->len++] = byte;
}

static void end_field(struct cp_csv *c)
{
	c->buf[c->len++] = '\0';
	c->cnt++;
	c->state = AT_START;
	if (c->cnt == CP_CSV_FIELDS_MAX)
		wrong(c, "a row of more than 2048 fields");
	else if (c->len + 1 >= sizeof(c->buf))
		wrong(c, "a row of more than 65536 bytes: is a quote not closed?");
	else
		c->field[c->cnt] = c->buf + c->len;
}

static void end_row(struct cp_csv *c)
{
	bool empty = c->error == NULL && c->state == AT_START && c->cnt == 0 && !c->quoted_row;
	struct cp_csv_row row;

	if (c->error == NULL) {
		/* the last field needs no comma behind it, so none is too many */
		c->buf[c->len++] = '\0';
		c->cnt++;
	}
	row = (struct cp_csv_row){c->row_line, c->error == NULL ? c->cnt : c->error_at, c->field, c->error, c->error_at};
	if (!empty)
		c->rc = c->fn(c->ctx, &row);
	c->state = AT_START;
	c->quoted_row = false;
	c->error = NULL;
	c->error_at = c->cnt = 0;
	c->len = 0;
	c->field[0] = c->buf;
	c->row_line = c->line;
}

/* A line end, CR LF being one. True: the byte is dealt with. */
static bool line_end(struct cp_csv *c, char byte)
{
	bool after_cr = c->cr;

	c->cr = byte == '\r';
	if (byte == '\n' && after_cr) {
		if (c->state == QUOTED)
			add(c, byte);
		return true;
	}
	if (byte != '\n' && byte != '\r')
		return false;
	c->line++;
	if (c->state == QUOTED)
		add(c, byte);
	else
		end_row(c);
	return true;
}

static void take(struct cp_csv *c, char byte)
{
	if (line_end(c, byte))
		return;
	switch (c->state) {
	case AT_START:
		if (byte == '"') {
			c->state = QUOTED;
			c->quoted_row = true;
			break;
		}
		c->state = PLAIN;
		/* fall through */
	case PLAIN:
		if (byte == ',')
			end_field(c);
		else if (byte == '"')
			wrong(c, "a quote inside a field that does not begin with one");
		else
			add(c, byte);
		break;
	case QUOTED:
		if (byte == '"')
			c->state = AFTER_QUOTE;
		else
			add(c, byte);
		break;
	case AFTER_QUOTE:
		if (byte == '"') {
			c->state = QUOTED;
			add(c, byte);
		} else if (byte == ',') {
			end_field(c);
		} else {
			wrong(c, "something behind a closing quote");
		}
		break;
	case SKIP:
		break;
	}
}

int cp_csv_feed(struct cp_csv *c, const void *data, size_t len)
{
	static const char mark[3] = "\xef\xbb\xbf";
	const char *p = data;

	for (size_t i = 0; i < len && c->rc == 0; i++) {
		if (c->mark < 3) {
			if (p[i] == mark[c->mark]) {
				c->mark++;
				continue;
			}
			for (unsigned k = 0; k < c->mark && c->rc == 0; k++) /* it only began like one */
				take(c, mark[k]);
			c->mark = 3;
			if (c->rc != 0)
				break;
		}
		take(c, p[i]);
	}
	return c->rc;
}

int cp_csv_end(struct cp_csv *c)
{
	static const char mark[2] = "\xef\xbb";

	for (unsigned k = 0; c->mark < 3 && k < c->mark && c->rc == 0; k++)
		take(c, mark[k]);
	c->mark = 3;
	if (c->rc == 0 && c->state == QUOTED)
		wrong(c, "a quote that is not closed");
	if (c->rc == 0 && (c->state != AT_START || c->cnt > 0))
		end_row(c);
	return c->rc;
}
