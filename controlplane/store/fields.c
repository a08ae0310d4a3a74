/* SPDX-License-Identifier: BSD-3-Clause */
#include "fields.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_HDR 6 /* tag, length */

struct writer {
	uint8_t *data;
	size_t len, cap;
	int err; /* sticky */
};

struct reader { /* what is left */
	const uint8_t *data;
	size_t len;
};

static void put(struct writer *w, const void *data, size_t len)
{
	if (w->err != 0 || len == 0)
		return;
	if (len > CP_RECORD_MAX || w->len + len > CP_RECORD_MAX) {
		w->err = -EINVAL;
		return;
	}
	if (w->len + len > w->cap) {
		size_t cap = w->cap == 0 ? 256 : w->cap;
		uint8_t *grown;

		while (cap < w->len + len)
			cap *= 2;
		grown = malloc(cap); /* not realloc: sealed bytes are wiped from the old place */
		if (grown == NULL) {
			w->err = -ENOMEM;
			return;
		}
		if (w->len > 0) {
			memcpy(grown, w->data, w->len);
			OPENSSL_cleanse(w->data, w->len);
		}
		free(w->data);
		w->data = grown;
		w->cap = cap;
	}
	memcpy(w->data + w->len, data, len);
	w->len += len;
}

static void put_be(struct writer *w, uint64_t v, unsigned bytes)
{
	uint8_t b[8];

	for (unsigned i = 0; i < bytes; i++)
		b[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
	put(w, b, bytes);
}

static void put_hdr(struct writer *w, uint16_t tag, size_t len)
{
	put_be(w, tag, 2);
	put_be(w, len, 4);
}

static uint64_t load_uint(const uint8_t *p, unsigned size)
{
	uint64_t v8;
	uint32_t v4;
	uint16_t v2;

	switch (size) {
	case 1:
		return *p;
	case 2:
		memcpy(&v2, p, 2);
		return v2;
	case 4:
		memcpy(&v4, p, 4);
		return v4;
	default:
		memcpy(&v8, p, 8);
		return v8;
	}
}

static void store_uint(uint8_t *p, unsigned size, uint64_t v)
{
	uint32_t v4 = (uint32_t)v;
	uint16_t v2 = (uint16_t)v;

	switch (size) {
	case 1:
		*p = (uint8_t)v;
		break;
	case 2:
		memcpy(p, &v2, 2);
		break;
	case 4:
		memcpy(p, &v4, 4);
		break;
	default:
		memcpy(p, &v, 8);
		break;
	}
}

static void build_fields(struct writer *w, const struct cp_field *fields, const uint8_t *rec);

static void build_list(struct writer *w, const struct cp_field *f, const uint8_t *rec)
{
	const struct cp_list *l = f->list;
	const uint8_t *items = rec + f->off;
	unsigned cnt;

	memcpy(&cnt, rec + l->cnt_off, sizeof(cnt));
	if (!l->in_place)
		memcpy(&items, rec + f->off, sizeof(items));
	if (cnt > l->max)
		w->err = -EINVAL;
	for (unsigned i = 0; i < cnt && w->err == 0; i++) {
		size_t at = w->len;

		put_hdr(w, f->tag, 0);
		build_fields(w, l->item, items + i * l->item_size);
		if (w->err == 0) {
			uint32_t n = (uint32_t)(w->len - at - FIELD_HDR);

			for (unsigned b = 0; b < 4; b++)
				w->data[at + 2 + b] = (uint8_t)(n >> (24 - 8 * b));
		}
	}
}

static void build_fields(struct writer *w, const struct cp_field *fields, const uint8_t *rec)
{
	for (const struct cp_field *f = fields; f->type != CP_F_END && w->err == 0; f++) {
		const uint8_t *p = rec + f->off;

		switch (f->type) {
		case CP_F_STR: {
			size_t n = strnlen((const char *)p, f->size);

			if (n == f->size)
				w->err = -EINVAL;
			else if (n > 0) {
				put_hdr(w, f->tag, n);
				put(w, p, n);
			}
			break;
		}
		case CP_F_UINT: {
			uint64_t v = load_uint(p, f->size);
			unsigned bytes = 1;

			while (bytes < 8 && v >> (8 * bytes) != 0)
				bytes++;
			put_hdr(w, f->tag, bytes);
			put_be(w, v, bytes);
			break;
		}
		case CP_F_BOOL:
			put_hdr(w, f->tag, 1);
			put_be(w, *p != 0, 1);
			break;
		case CP_F_ADDR: {
			struct cfg_addr a;

			memcpy(&a, p, sizeof(a));
			if (a.family == 0)
				break;
			put_hdr(w, f->tag, 20);
			put_be(w, a.family, 1);
			put_be(w, a.plen, 1);
			put_be(w, a.port, 2);
			put(w, a.ip, 16);
			break;
		}
		case CP_F_BUF: {
			struct cp_buf b;

			memcpy(&b, p, sizeof(b));
			if (b.len == 0)
				break;
			put_hdr(w, f->tag, b.len);
			put(w, b.data, b.len);
			break;
		}
		default:
			build_list(w, f, rec);
			break;
		}
	}
}

int cp_fields_build(enum cp_record_kind kind, const struct cp_field *fields, const void *rec,
		    const struct cp_buf *unknown, struct cp_buf *ret)
{
	struct writer w = {0};

	put_be(&w, CP_RECORD_VERSION, 1);
	put_be(&w, kind, 1);
	build_fields(&w, fields, rec);
	if (unknown != NULL)
		put(&w, unknown->data, unknown->len);
	if (w.err != 0) {
		if (w.data != NULL)
			OPENSSL_cleanse(w.data, w.len);
		free(w.data);
		return w.err;
	}
	*ret = (struct cp_buf){w.data, w.len};
	return 0;
}

static uint64_t be(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

/* The next field. 1: there is one; 0: end; -EBADMSG. */
static int next(struct reader *r, uint16_t *ret_tag, struct reader *ret_content)
{
	size_t n;

	if (r->len == 0)
		return 0;
	if (r->len < FIELD_HDR)
		return -EBADMSG;
	n = (size_t)be(r->data + 2, 4);
	if (n > r->len - FIELD_HDR)
		return -EBADMSG;
	*ret_tag = (uint16_t)be(r->data, 2);
	*ret_content = (struct reader){r->data + FIELD_HDR, n};
	r->data += FIELD_HDR + n;
	r->len -= FIELD_HDR + n;
	return *ret_tag == 0 ? -EBADMSG : 1;
}

static int parse_fields(const struct cp_field *fields, struct reader *r, uint8_t *rec, struct cp_buf *ret_unknown);
static void free_fields(const struct cp_field *fields, uint8_t *rec);

static int parse_item(const struct cp_field *f, const struct reader *c, uint8_t *rec)
{
	const struct cp_list *l = f->list;
	uint8_t *items = rec + f->off;
	struct reader inner = *c;
	unsigned cnt;

	memcpy(&cnt, rec + l->cnt_off, sizeof(cnt));
	if (cnt >= l->max)
		return -EBADMSG;
	if (!l->in_place) {
		memcpy(&items, rec + f->off, sizeof(items));
		if ((cnt & (cnt - 1)) == 0) { /* 0, 1, 2, 4, ...: full */
			uint8_t *grown = realloc(items, (cnt == 0 ? 1 : 2 * (size_t)cnt) * l->item_size);

			if (grown == NULL)
				return -ENOMEM;
			items = grown;
			memcpy(rec + f->off, &items, sizeof(items));
		}
	}
	memset(items + cnt * l->item_size, 0, l->item_size);
	cnt++;
	memcpy(rec + l->cnt_off, &cnt, sizeof(cnt));
	return parse_fields(l->item, &inner, items + (cnt - 1) * l->item_size, NULL);
}

static int parse_addr(const struct reader *c, uint8_t *p)
{
	struct cfg_addr a = {0};

	if (c->len != 20)
		return -EBADMSG;
	a.family = c->data[0];
	a.plen = c->data[1];
	a.port = (uint16_t)be(c->data + 2, 2);
	memcpy(a.ip, c->data + 4, 16);
	if ((a.family != 4 && a.family != 6) || a.plen > (a.family == 4 ? 32 : 128))
		return -EBADMSG;
	for (unsigned i = 4; a.family == 4 && i < 16; i++)
		if (a.ip[i] != 0)
			return -EBADMSG;
	memcpy(p, &a, sizeof(a));
	return 0;
}

static int parse_one(const struct cp_field *f, const struct reader *c, uint8_t *rec)
{
	uint8_t *p = rec + f->off;
	struct cp_buf b;
	uint64_t v;

	switch (f->type) {
	case CP_F_STR:
		if (c->len == 0 || c->len >= f->size || memchr(c->data, 0, c->len) != NULL)
			return -EBADMSG;
		memcpy(p, c->data, c->len);
		return 0;
	case CP_F_UINT:
		if (c->len == 0 || c->len > 8 || (c->len > 1 && c->data[0] == 0))
			return -EBADMSG;
		v = be(c->data, (unsigned)c->len);
		if (f->size < 8 && v >> (8 * f->size) != 0)
			return -EBADMSG;
		store_uint(p, f->size, v);
		return 0;
	case CP_F_BOOL:
		if (c->len != 1 || c->data[0] > 1)
			return -EBADMSG;
		*p = c->data[0];
		return 0;
	case CP_F_ADDR:
		return parse_addr(c, p);
	case CP_F_BUF:
		if (c->len == 0)
			return -EBADMSG;
		b = (struct cp_buf){malloc(c->len), c->len};
		if (b.data == NULL)
			return -ENOMEM;
		memcpy(b.data, c->data, c->len);
		memcpy(p, &b, sizeof(b));
		return 0;
	default:
		return parse_item(f, c, rec);
	}
}

static int keep_unknown(struct cp_buf *u, const uint8_t *field, size_t len)
{
	uint8_t *grown = realloc(u->data, u->len + len);

	if (grown == NULL)
		return -ENOMEM;
	memcpy(grown + u->len, field, len);
	*u = (struct cp_buf){grown, u->len + len};
	return 0;
}

static int parse_fields(const struct cp_field *fields, struct reader *r, uint8_t *rec, struct cp_buf *ret_unknown)
{
	const struct cp_field *f = fields;
	uint64_t seen = 0;
	struct reader c;
	uint16_t tag;
	int rc;

	for (;;) {
		const uint8_t *at = r->data;

		rc = next(r, &tag, &c);
		if (rc <= 0)
			return rc;
		/* fields are written in the table's order: from where the last one was, then from the start */
		while (f->type != CP_F_END && f->tag != tag)
			f++;
		for (f = f->type != CP_F_END ? f : fields; f->type != CP_F_END && f->tag != tag;)
			f++;
		if (f->type == CP_F_END) {
			rc = ret_unknown == NULL ? -ENOTSUP
						 : keep_unknown(ret_unknown, at, (size_t)(r->data - at));
		} else if (f->type != CP_F_LIST && (seen & UINT64_C(1) << tag) != 0) {
			rc = -EBADMSG;
		} else {
			seen |= UINT64_C(1) << (tag & 63);
			rc = parse_one(f, &c, rec);
		}
		if (rc < 0)
			return rc;
	}
}

int cp_fields_parse(enum cp_record_kind kind, const struct cp_field *fields, const uint8_t *data, size_t len,
		    void *rec, size_t rec_size, struct cp_buf *ret_unknown)
{
	struct reader r;
	int rc;

	memset(rec, 0, rec_size);
	if (len < 2 || len > CP_RECORD_MAX || data[0] == 0)
		return -EBADMSG;
	if (data[0] > CP_RECORD_VERSION)
		return -ENOTSUP;
	if (data[1] != kind)
		return -EBADMSG;
	r = (struct reader){data + 2, len - 2};
	rc = parse_fields(fields, &r, rec, ret_unknown);
	if (rc < 0)
		cp_fields_free(fields, rec, rec_size, ret_unknown);
	return rc;
}

static void free_fields(const struct cp_field *fields, uint8_t *rec)
{
	for (const struct cp_field *f = fields; f->type != CP_F_END; f++) {
		if (f->type == CP_F_BUF) {
			struct cp_buf b;

			memcpy(&b, rec + f->off, sizeof(b));
			if (b.data != NULL)
				OPENSSL_cleanse(b.data, b.len);
			free(b.data);
		} else if (f->type == CP_F_LIST && !f->list->in_place) {
			uint8_t *items;
			unsigned cnt;

			memcpy(&items, rec + f->off, sizeof(items));
			memcpy(&cnt, rec + f->list->cnt_off, sizeof(cnt));
			for (unsigned i = 0; items != NULL && i < cnt; i++)
				free_fields(f->list->item, items + i * f->list->item_size);
			free(items);
		}
	}
}

void cp_fields_free(const struct cp_field *fields, void *rec, size_t rec_size, struct cp_buf *unknown)
{
	if (rec == NULL)
		return;
	free_fields(fields, rec);
	if (unknown != NULL)
		free(unknown->data);
	OPENSSL_cleanse(rec, rec_size);
}
