/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Begin and end of a frame, and addresses: shared by the builders. Frames are padded to a multiple
 * of 4 as real servers do; the length field counts the padding.
 */
#ifndef CP_SCCP_BUILD_H
#define CP_SCCP_BUILD_H

#include "config.h"
#include "cursor.h"
#include "msg.h"

static inline struct cp_sccp_w cp_sccp_begin(uint8_t *buf, unsigned ver, uint32_t id)
{
	struct cp_sccp_w w = {buf, CP_SCCP_BUILD_MAX, 0, false};

	cp_w_u32(&w, 0);
	cp_w_u32(&w, ver >= 10 ? ver : 0);
	cp_w_u32(&w, id);
	return w;
}

static inline size_t cp_sccp_end(struct cp_sccp_w *w)
{
	struct cp_sccp_w len = {w->buf, 4, 0, false};

	cp_w_zero(w, (4 - w->len % 4) % 4);
	if (w->over)
		return 0;
	cp_w_u32(&len, (uint32_t)(w->len - 8));
	return w->len;
}

/* Type and 16 bytes, from version 17 on. NULL or family 0: zeros. */
static inline void cp_sccp_w_addr(struct cp_sccp_w *w, const struct cfg_addr *addr)
{
	size_t n = addr == NULL || addr->family == 0 ? 0 : addr->family == 6 ? 16 : 4;

	cp_w_u32(w, n == 16);
	cp_w_bytes(w, n > 0 ? addr->ip : NULL, n);
	cp_w_zero(w, 16 - n);
}

#endif
