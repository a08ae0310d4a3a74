/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bounded little-endian cursors of the SCCP codec. Reader: what is not there reads as zero and sets
 * 'missed', so a parser reads all fields and then asks whether the ones it needs were there.
 * Writer: a sticky overflow flag; nothing is written past the end.
 */
#ifndef CP_SCCP_CURSOR_H
#define CP_SCCP_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cp_sccp_r {
	const uint8_t *p;
	size_t left;
	bool missed;
};

const uint8_t *cp_r_bytes(struct cp_sccp_r *r, size_t n);
void cp_r_skip(struct cp_sccp_r *r, size_t n);
uint8_t cp_r_u8(struct cp_sccp_r *r);
uint32_t cp_r_u32(struct cp_sccp_r *r);
/* A fixed field of n bytes, read up to its first NUL into out[n + 1]. */
void cp_r_str(struct cp_sccp_r *r, char *out, size_t n);

struct cp_sccp_w {
	uint8_t *buf;
	size_t cap, len;
	bool over;
};

uint8_t *cp_w_room(struct cp_sccp_w *w, size_t n);
void cp_w_zero(struct cp_sccp_w *w, size_t n);
void cp_w_bytes(struct cp_sccp_w *w, const void *src, size_t n);
void cp_w_u8(struct cp_sccp_w *w, uint8_t v);
void cp_w_u16(struct cp_sccp_w *w, uint16_t v);
void cp_w_u32(struct cp_sccp_w *w, uint32_t v);
/* Bytes of 's' that fit 'max', not ending inside a UTF-8 sequence. */
size_t cp_w_fit(const char *s, size_t max);
/* A fixed field of n bytes, zero-filled, always with a NUL. */
void cp_w_fixed(struct cp_sccp_w *w, const char *s, size_t n);
/* A dynamic string: at most max bytes and a NUL. */
void cp_w_cstr(struct cp_sccp_w *w, const char *s, size_t max);

#endif
