/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bounds-checked big-endian reader and writer with a sticky error: after the first read past the end (or
 * write past the room) every further call gives zero (or does nothing) and 'bad' stays set, so that a parser
 * checks once, before it uses what it read. Nothing here allocates or copies more than it is told.
 */
#ifndef PKI_WIRE_H
#define PKI_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct pki_rd {
	const uint8_t *p; /* next byte */
	size_t left;      /* bytes behind p */
	bool bad;
};

struct pki_wr {
	uint8_t *buf;
	size_t room; /* bytes of buf */
	size_t len;  /* written */
	bool bad;
};

static inline struct pki_rd pki_rd_init(const uint8_t *buf, size_t len)
{
	return (struct pki_rd){.p = buf, .left = len};
}

/** Borrow 'len' bytes; NULL and 'bad' if there are fewer. A length of 0 is fine and gives non-NULL. */
static inline const uint8_t *pki_rd_bytes(struct pki_rd *rd, size_t len)
{
	const uint8_t *p = rd->p;

	if (rd->bad || len > rd->left) {
		rd->bad = true;
		return NULL;
	}
	if (len == 0)
		return p != NULL ? p : (const uint8_t *)"";
	rd->p += len;
	rd->left -= len;
	return p;
}

/** An unsigned integer of n bytes, 1 to 8. */
static inline uint64_t pki_rd_uint(struct pki_rd *rd, unsigned n)
{
	const uint8_t *p = pki_rd_bytes(rd, n);
	uint64_t v = 0;

	for (unsigned i = 0; p != NULL && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static inline uint8_t pki_rd_u8(struct pki_rd *rd)
{
	return (uint8_t)pki_rd_uint(rd, 1);
}

static inline uint16_t pki_rd_u16(struct pki_rd *rd)
{
	return (uint16_t)pki_rd_uint(rd, 2);
}

static inline uint32_t pki_rd_u32(struct pki_rd *rd)
{
	return (uint32_t)pki_rd_uint(rd, 4);
}

static inline uint64_t pki_rd_u64(struct pki_rd *rd)
{
	return pki_rd_uint(rd, 8);
}

/** True if all was read and nothing was missing. */
static inline bool pki_rd_done(const struct pki_rd *rd)
{
	return !rd->bad && rd->left == 0;
}

static inline struct pki_wr pki_wr_init(uint8_t *buf, size_t room)
{
	return (struct pki_wr){.buf = buf, .room = room};
}

static inline void pki_wr_bytes(struct pki_wr *wr, const void *src, size_t len)
{
	if (wr->bad || len > wr->room - wr->len) {
		wr->bad = true;
		return;
	}
	if (len > 0)
		memcpy(wr->buf + wr->len, src, len);
	wr->len += len;
}

static inline void pki_wr_uint(struct pki_wr *wr, uint64_t v, unsigned n)
{
	uint8_t b[8];

	for (unsigned i = 0; i < n; i++)
		b[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
	pki_wr_bytes(wr, b, n);
}

static inline void pki_wr_u8(struct pki_wr *wr, uint8_t v)
{
	pki_wr_uint(wr, v, 1);
}

static inline void pki_wr_u16(struct pki_wr *wr, uint16_t v)
{
	pki_wr_uint(wr, v, 2);
}

static inline void pki_wr_u32(struct pki_wr *wr, uint32_t v)
{
	pki_wr_uint(wr, v, 4);
}

static inline void pki_wr_u64(struct pki_wr *wr, uint64_t v)
{
	pki_wr_uint(wr, v, 8);
}

/** ASCII that can stand in a log line: no control characters. */
static inline bool pki_printable(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] < 0x20 || p[i] > 0x7e)
			return false;
	return true;
}

#endif
