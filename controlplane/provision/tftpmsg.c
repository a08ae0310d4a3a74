/* SPDX-License-Identifier: BSD-3-Clause */
#include "tftpmsg.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

int cp_tftp_op(const uint8_t *data, size_t len)
{
	return len < 2 ? -EBADMSG : data[0] << 8 | data[1];
}

/* The next NUL-ended string, or NULL if none ends within the datagram. */
static const char *next_text(const uint8_t *data, size_t len, size_t *at, size_t *ret_len)
{
	const uint8_t *start = data + *at;
	const uint8_t *end = *at < len ? memchr(start, 0, len - *at) : NULL;

	if (end == NULL)
		return NULL;
	*ret_len = (size_t)(end - start);
	*at += *ret_len + 1;
	return (const char *)start;
}

/* A decimal number of digits only; false: it is none, or beyond 32 bits. */
static bool number(const char *s, uint32_t *ret)
{
	uint64_t v = 0;

	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
		if (v > UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)v;
	return true;
}

static void option(struct cp_tftp_rrq *r, const char *name, const char *value)
{
	uint32_t v;

	if (!number(value, &v))
		return;
	if (strcasecmp(name, "blksize") == 0 && !r->has_blksize && v >= 8) {
		/* Above what RFC 2348 allows: still a client that takes less. */
		r->blksize = v > CP_TFTP_BLOCK_MAX ? CP_TFTP_BLOCK_MAX : v;
		r->has_blksize = true;
	} else if (strcasecmp(name, "timeout") == 0 && !r->has_timeout && v >= 1 && v <= 255) {
		r->timeout_s = v;
		r->has_timeout = true;
	} else if (strcasecmp(name, "tsize") == 0) {
		r->has_tsize = true; /* clients send 0; the answer does not depend on it */
	} else if (strcasecmp(name, "windowsize") == 0 && !r->has_windowsize && v >= 1 && v <= 65535) {
		r->windowsize = v;
		r->has_windowsize = true;
	}
}

int cp_tftp_rrq_parse(const uint8_t *data, size_t len, struct cp_tftp_rrq *ret)
{
	struct cp_tftp_rrq r = {.blksize = CP_TFTP_BLOCK, .windowsize = 1};
	size_t at = 2, name_len, n;
	const char *name, *mode, *opt, *value;

	if (len > CP_TFTP_REQ_MAX || cp_tftp_op(data, len) != CP_TFTP_RRQ)
		return -EBADMSG;
	name = next_text(data, len, &at, &name_len);
	mode = name != NULL ? next_text(data, len, &at, &n) : NULL;
	if (mode == NULL || name_len == 0)
		return -EBADMSG;
	if (strcasecmp(mode, "netascii") == 0)
		r.netascii = true;
	else if (strcasecmp(mode, "octet") != 0)
		return -ENOTSUP;
	if (name_len < sizeof(r.name))
		memcpy(r.name, name, name_len); /* cut nothing: a part of a name is another name */
	while (at < len) {
		opt = next_text(data, len, &at, &n);
		value = opt != NULL ? next_text(data, len, &at, &n) : NULL;
		if (value == NULL)
			break; /* padding, as some boot ROMs send it; what came before it counts */
		option(&r, opt, value);
	}
	*ret = r;
	return 0;
}

int cp_tftp_ack_parse(const uint8_t *data, size_t len)
{
	if (len < 4 || cp_tftp_op(data, len) != CP_TFTP_ACK)
		return -EBADMSG;
	return data[2] << 8 | data[3];
}

static size_t put_option(uint8_t *out, const char *name, uint64_t value)
{
	return (size_t)sprintf((char *)out, "%s%c%llu", name, 0, (unsigned long long)value) + 1;
}

size_t cp_tftp_oack_build(const struct cp_tftp_rrq *opt, uint64_t tsize, uint8_t out[CP_TFTP_OACK_MAX])
{
	size_t n = 2; /* four options of at most 11 + 21 bytes: they fit */

	out[0] = 0;
	out[1] = CP_TFTP_OACK;
	if (opt->has_blksize)
		n += put_option(out + n, "blksize", opt->blksize);
	if (opt->has_timeout)
		n += put_option(out + n, "timeout", opt->timeout_s);
	if (opt->has_tsize)
		n += put_option(out + n, "tsize", tsize);
	if (opt->has_windowsize)
		n += put_option(out + n, "windowsize", opt->windowsize);
	return n;
}

size_t cp_tftp_error_build(enum cp_tftp_code code, const char *text, uint8_t out[4 + CP_TFTP_TEXT_MAX])
{
	out[0] = 0;
	out[1] = CP_TFTP_ERROR;
	out[2] = 0;
	out[3] = (uint8_t)code;
	snprintf((char *)out + 4, CP_TFTP_TEXT_MAX, "%s", text);
	return 4 + strlen((char *)out + 4) + 1;
}

void cp_tftp_data_build(uint16_t block, uint8_t out[4])
{
	out[0] = 0;
	out[1] = CP_TFTP_DATA;
	out[2] = (uint8_t)(block >> 8);
	out[3] = (uint8_t)block;
}

size_t cp_tftp_netascii(const uint8_t *data, size_t len, uint8_t *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\n' || data[i] == '\r') {
			if (out != NULL) {
				out[n] = '\r';
				out[n + 1] = data[i] == '\n' ? '\n' : '\0';
			}
			n += 2;
		} else {
			if (out != NULL)
				out[n] = data[i];
			n++;
		}
	}
	return n;
}
