/* SPDX-License-Identifier: BSD-3-Clause */
#include "cursor.h"

#include <string.h>

const uint8_t *cp_r_bytes(struct cp_sccp_r *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->left < n) {
		r->left = 0;
		r->missed = true;
		return NULL;
	}
	r->p += n;
	r->left -= n;
	return p;
}

void cp_r_skip(struct cp_sccp_r *r, size_t n)
{
	(void)cp_r_bytes(r, n);
}

uint8_t cp_r_u8(struct cp_sccp_r *r)
{
	const uint8_t *p = cp_r_bytes(r, 1);

	return p != NULL ? p[0] : 0;
}

uint32_t cp_r_u32(struct cp_sccp_r *r)
{
	const uint8_t *p = cp_r_bytes(r, 4);

	return p != NULL ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	                           (uint32_t)p[3] << 24
	                 : 0;
}

void cp_r_str(struct cp_sccp_r *r, char *out, size_t n)
{
	const uint8_t *p = cp_r_bytes(r, n);
	size_t len = 0;

	if (p != NULL) {
		len = strnlen((const char *)p, n);
		memcpy(out, p, len);
	}
	out[len] = '\0';
}

uint8_t *cp_w_room(struct cp_sccp_w *w, size_t n)
{
	uint8_t *p = w->buf + w->len;

	if (w->over || w->cap - w->len < n) {
		w->over = true;
		return NULL;
	}
	w->len += n;
	return p;
}

void cp_w_zero(struct cp_sccp_w *w, size_t n)
{
	uint8_t *p = cp_w_room(w, n);

	if (p != NULL)
		memset(p, 0, n);
}

void cp_w_bytes(struct cp_sccp_w *w, const void *src, size_t n)
{
	uint8_t *p = cp_w_room(w, n);

	if (p != NULL && n > 0)
		memcpy(p, src, n);
}

void cp_w_u8(struct cp_sccp_w *w, uint8_t v)
{
	cp_w_bytes(w, &v, 1);
}

void cp_w_u16(struct cp_sccp_w *w, uint16_t v)
{
	const uint8_t b[2] = {(uint8_t)v, (uint8_t)(v >> 8)};

	cp_w_bytes(w, b, 2);
}

void cp_w_u32(struct cp_sccp_w *w, uint32_t v)
{
	const uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
	                      (uint8_t)(v >> 24)};

	cp_w_bytes(w, b, 4);
}

size_t cp_w_fit(const char *s, size_t max)
{
	size_t n = s != NULL ? strnlen(s, max + 1) : 0;

	if (n <= max)
		return n;
	n = max;
	while (n > 0 && ((uint8_t)s[n] & 0xc0) == 0x80)
		n--;
	return n;
}

void cp_w_fixed(struct cp_sccp_w *w, const char *s, size_t n)
{
	size_t len = cp_w_fit(s, n - 1);

	cp_w_bytes(w, s, len);
	cp_w_zero(w, n - len);
}

void cp_w_cstr(struct cp_sccp_w *w, const char *s, size_t max)
{
	cp_w_bytes(w, s, cp_w_fit(s, max));
	cp_w_u8(w, 0);
}
