/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames and all that phones send. What phones are sent is built in msg_ui.c and msg_media.c. */
#include "msg.h"

#include <errno.h>
#include <string.h>

#include "cursor.h"

int cp_sccp_frame_len(const uint8_t *buf, size_t have, size_t *ret_total)
{
	struct cp_sccp_r r = {buf, have, false};
	uint32_t len = cp_r_u32(&r);

	if (r.missed)
		return -EAGAIN;
	if (len < CP_SCCP_LEN_MIN || len > CP_SCCP_LEN_MAX)
		return -EBADMSG;
	*ret_total = (size_t)len + 8;
	return 0;
}

int cp_sccp_frame_parse(const uint8_t *buf, size_t len, struct cp_sccp_frame *ret_frame)
{
	struct cp_sccp_r r = {buf, len, false};
	size_t total = 0;

	if (cp_sccp_frame_len(buf, len, &total) != 0 || total != len)
		return -EBADMSG;
	cp_r_skip(&r, 4);
	ret_frame->version = cp_r_u32(&r);
	ret_frame->id = cp_r_u32(&r);
	ret_frame->body = r.p;
	ret_frame->len = r.left;
	return 0;
}

static struct cp_sccp_r body(const struct cp_sccp_frame *f)
{
	return (struct cp_sccp_r){f->body, f->len, false};
}

int cp_sccp_parse_register(const struct cp_sccp_frame *f, struct cp_sccp_register *ret)
{
	struct cp_sccp_r r = body(f);
	const uint8_t *p;

	memset(ret, 0, sizeof(*ret));
	cp_r_str(&r, ret->name, CP_SCCP_NAME_MAX);
	cp_r_skip(&r, 4); /* user id */
	ret->instance = cp_r_u32(&r);
	p = cp_r_bytes(&r, 4);
	if (p != NULL)
		memcpy(ret->ip, p, 4);
	ret->type = cp_r_u32(&r);
	if (r.missed)
		return -EBADMSG;
	ret->max_streams = cp_r_u32(&r);
	cp_r_skip(&r, 4); /* active streams */
	ret->protocol = cp_r_u8(&r);
	p = cp_r_bytes(&r, 3);
	if (p != NULL)
		memcpy(ret->features, p, 3);
	if (ret->protocol == 0)
		ret->protocol = 3;
	cp_r_skip(&r, 4 + 4 + 12 + 4); /* conferences, MAC (not to be trusted), IPv4 scope */
	ret->max_lines = cp_r_u32(&r);
	cp_r_skip(&r, 16 + 4); /* IPv6 address and scope: the connection's is used */
	cp_r_str(&r, ret->load, 32);
	return 0;
}

int cp_sccp_parse_token(const struct cp_sccp_frame *f, struct cp_sccp_register *ret)
{
	struct cp_sccp_r r = body(f);
	const uint8_t *p;

	memset(ret, 0, sizeof(*ret));
	cp_r_str(&r, ret->name, CP_SCCP_NAME_MAX);
	if (r.missed)
		return -EBADMSG;
	cp_r_skip(&r, 4);
	ret->instance = cp_r_u32(&r);
	p = cp_r_bytes(&r, 4);
	if (p != NULL)
		memcpy(ret->ip, p, 4);
	ret->type = cp_r_u32(&r);
	return 0;
}

int cp_sccp_parse_u32(const struct cp_sccp_frame *f, uint32_t *ret)
{
	struct cp_sccp_r r = body(f);
	uint32_t v = cp_r_u32(&r);

	if (r.missed)
		return -EBADMSG;
	*ret = v;
	return 0;
}

int cp_sccp_parse_hook(const struct cp_sccp_frame *f, struct cp_sccp_hook *ret)
{
	struct cp_sccp_r r = body(f);

	ret->line = cp_r_u32(&r);
	ret->callref = cp_r_u32(&r);
	return 0;
}

int cp_sccp_parse_softkey(const struct cp_sccp_frame *f, struct cp_sccp_softkey_event *ret)
{
	struct cp_sccp_r r = body(f);

	ret->event = cp_r_u32(&r);
	if (r.missed)
		return -EBADMSG;
	ret->line = cp_r_u32(&r);
	ret->callref = cp_r_u32(&r);
	return 0;
}

int cp_sccp_parse_keypad(const struct cp_sccp_frame *f, struct cp_sccp_keypad *ret)
{
	struct cp_sccp_r r = body(f);
	uint32_t button = cp_r_u32(&r);

	if (r.missed)
		return -EBADMSG;
	if (button <= 9)
		ret->digit = (char)('0' + button);
	else if (button == 0xe)
		ret->digit = '*';
	else if (button == 0xf)
		ret->digit = '#';
	else
		return -EBADMSG;
	ret->line = cp_r_u32(&r);
	ret->callref = cp_r_u32(&r);
	return 0;
}

int cp_sccp_parse_enbloc(const struct cp_sccp_frame *f, struct cp_sccp_enbloc *ret)
{
	struct cp_sccp_r r = body(f);

	memset(ret, 0, sizeof(*ret));
	if (f->version >= 18) {
		cp_r_str(&r, ret->number, 25);
		if (r.missed)
			return -EBADMSG;
		/* The line follows at once (7970) or aligned at 28 (8945): the latter has 32 bytes
		 * or more. Both may be padded to 32 bytes, so a small number at 25 decides. */
		if (r.left >= 4) {
			struct cp_sccp_r packed = r;

			ret->line = cp_r_u32(&packed);
			if (ret->line == 0 || ret->line > 255) {
				cp_r_skip(&r, 3);
				ret->line = cp_r_u32(&r);
			}
		}
	} else {
		cp_r_str(&r, ret->number, 24);
		if (r.missed)
			return -EBADMSG;
		ret->line = cp_r_u32(&r);
	}
	if (ret->number[0] == '\0')
		return -EBADMSG;
	if (ret->number[strspn(ret->number, "0123456789*#+ABCD")] != '\0')
		return -EBADMSG;
	return 0;
}

int cp_sccp_parse_stimulus(const struct cp_sccp_frame *f, struct cp_sccp_stimulus *ret)
{
	struct cp_sccp_r r = body(f);

	ret->stimulus = cp_r_u32(&r);
	ret->instance = cp_r_u32(&r);
	if (r.missed)
		return -EBADMSG;
	ret->callref = cp_r_u32(&r);
	ret->status = cp_r_u32(&r);
	return 0;
}

int cp_sccp_parse_caps(const struct cp_sccp_frame *f, struct cp_sccp_caps *ret)
{
	struct cp_sccp_r r = body(f);
	uint32_t n = cp_r_u32(&r);

	memset(ret, 0, sizeof(*ret));
	if (r.missed || n > CP_SCCP_CAPS_MAX)
		return -EBADMSG;
	if (f->id != CP_SCCP_CAPABILITIES_RES)
		cp_r_skip(&r, 308); /* audio entries at 312; that v1 is laid out as v2 and v3 is
		                       inferred */
	for (uint32_t i = 0; i < n; i++) {
		uint32_t codec = cp_r_u32(&r), frames = cp_r_u32(&r);

		if (r.missed)
			return -EBADMSG;
		cp_r_skip(&r, 8); /* codec parameters; may be missing behind the last */
		if (codec == 0 || codec > UINT16_MAX)
			continue;
		ret->cap[ret->n].codec = (uint16_t)codec;
		ret->cap[ret->n].max_frames = (uint16_t)(frames > UINT16_MAX ? UINT16_MAX : frames);
		ret->n++;
	}
	return 0;
}

/* IPv4 in 4 bytes, or from version 17 on a type and 16 bytes; the port follows. */
static void read_addr(struct cp_sccp_r *r, uint32_t version, struct cfg_addr *ret)
{
	uint32_t type = version >= 17 ? cp_r_u32(r) : 0, port;
	const uint8_t *p = cp_r_bytes(r, version >= 17 ? 16 : 4);

	memset(ret, 0, sizeof(*ret));
	port = cp_r_u32(r);
	if (p == NULL || type > 1 || port > UINT16_MAX)
		return;
	ret->family = type == 0 ? 4 : 6;
	ret->plen = type == 0 ? 32 : 128;
	memcpy(ret->ip, p, type == 0 ? 4 : 16);
	ret->port = (uint16_t)port;
}

int cp_sccp_parse_orc_ack(const struct cp_sccp_frame *f, struct cp_sccp_media_ack *ret)
{
	struct cp_sccp_r r = body(f);

	memset(ret, 0, sizeof(*ret));
	ret->status = cp_r_u32(&r);
	read_addr(&r, f->version, &ret->addr);
	ret->party = cp_r_u32(&r);
	if (r.missed)
		return -EBADMSG;
	ret->callref = cp_r_u32(&r); /* missing in old phones */
	return 0;
}

int cp_sccp_parse_smt_ack(const struct cp_sccp_frame *f, struct cp_sccp_media_ack *ret)
{
	struct cp_sccp_r r = body(f);

	memset(ret, 0, sizeof(*ret));
	ret->conference = cp_r_u32(&r);
	ret->party = cp_r_u32(&r);
	ret->callref = cp_r_u32(&r);
	read_addr(&r, f->version, &ret->addr);
	ret->status = cp_r_u32(&r);
	return r.missed ? -EBADMSG : 0;
}

int cp_sccp_parse_media_failure(const struct cp_sccp_frame *f, struct cp_sccp_media_failure *ret)
{
	struct cp_sccp_r r = body(f);
	struct cfg_addr addr;

	ret->conference = cp_r_u32(&r);
	ret->party = cp_r_u32(&r);
	if (r.missed)
		return -EBADMSG;
	read_addr(&r, f->version, &addr);
	ret->callref = cp_r_u32(&r);
	return 0;
}

static uint32_t peek_u32(const struct cp_sccp_frame *f, size_t off)
{
	struct cp_sccp_r r = body(f);

	cp_r_skip(&r, off);
	return cp_r_u32(&r);
}

int cp_sccp_parse_stats(const struct cp_sccp_frame *f, struct cp_sccp_quality *ret)
{
	struct cp_sccp_r r = body(f);
	size_t pad = 0, mode_len = 4, text_at;
	uint32_t text_len;
	const uint8_t *p;

	memset(ret, 0, sizeof(*ret));
	if (f->version >= 18) {
		pad = 4;
		/* body = 65 + text: packed; 68 + text: aligned. Without text: 61 or 64. Padding may
		 * follow. */
		if (f->len >= 68 && f->len - 68 == peek_u32(f, 64))
			mode_len = 4;
		else if (f->len == 61 || (f->len >= 65 && f->len - 65 >= peek_u32(f, 61)))
			mode_len = 1;
	}
	cp_r_str(&r, ret->number, 24);
	cp_r_skip(&r, pad);
	ret->callref = cp_r_u32(&r);
	ret->mode = mode_len == 1 ? cp_r_u8(&r) : cp_r_u32(&r);
	ret->tx_pkts = cp_r_u32(&r);
	ret->tx_bytes = cp_r_u32(&r);
	ret->rx_pkts = cp_r_u32(&r);
	ret->rx_bytes = cp_r_u32(&r);
	ret->lost = cp_r_u32(&r);
	ret->jitter = cp_r_u32(&r);
	ret->latency = cp_r_u32(&r);
	if (r.missed)
		return -EBADMSG;
	if (r.left < 4)
		return 0;
	text_at = f->len - r.left + 4;
	text_len = cp_r_u32(&r);
	if (text_len > f->len - text_at || text_len >= CP_SCCP_TEXT_MAX)
		return -EBADMSG;
	p = cp_r_bytes(&r, text_len);
	if (p != NULL)
		memcpy(ret->quality, p, strnlen((const char *)p, text_len));
	return 0;
}

int cp_sccp_parse_alarm(const struct cp_sccp_frame *f, struct cp_sccp_alarm *ret)
{
	struct cp_sccp_r r = body(f);

	memset(ret, 0, sizeof(*ret));
	ret->severity = cp_r_u32(&r);
	if (r.missed)
		return -EBADMSG;
	if (r.left >= 80) {
		cp_r_str(&r, ret->text, 80);
	} else {
		size_t n = strnlen((const char *)r.p, r.left); /* cut short: what is there */

		memcpy(ret->text, r.p, n);
		r.left = 0;
	}
	ret->param1 = cp_r_u32(&r);
	ret->param2 = cp_r_u32(&r);
	return 0;
}
