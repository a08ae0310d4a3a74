/* SPDX-License-Identifier: BSD-3-Clause */
#include "vici.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum element { SECTION_START = 1, SECTION_END, KEY_VALUE, LIST_START, LIST_ITEM, LIST_END };

#define HEAD 4 /* the length in front of a packet */

static bool named(enum cp_vici_type type)
{
	return type == CP_VICI_CMD_REQUEST || type == CP_VICI_EVENT_REGISTER || type == CP_VICI_EVENT_UNREGISTER || type == CP_VICI_EVENT;
}

/* --- writing --- */

static void name_out(struct cp_vici_msg *msg, const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= CP_VICI_NAME_MAX) {
		msg->wr.bad = true;
		return;
	}
	pki_wr_u8(&msg->wr, (uint8_t)n);
	pki_wr_bytes(&msg->wr, name, n);
}

struct cp_vici_msg *cp_vici_msg_create(enum cp_vici_type type, const char *name, size_t room)
{
	struct cp_vici_msg *msg = calloc(1, sizeof(*msg));
	size_t all = HEAD + 2 + CP_VICI_NAME_MAX + (room < CP_VICI_MAX ? room : CP_VICI_MAX);
	uint8_t *buf = malloc(all);

	if (msg == NULL || buf == NULL) {
		free(msg);
		free(buf);
		return NULL;
	}
	msg->wr = pki_wr_init(buf, all);
	pki_wr_u32(&msg->wr, 0); /* cp_vici_msg_end() knows */
	pki_wr_u8(&msg->wr, (uint8_t)type);
	if (named(type))
		name_out(msg, name);
	if (msg->wr.bad) {
		cp_vici_msg_destroy(msg);
		return NULL;
	}
	return msg;
}

void cp_vici_msg_destroy(struct cp_vici_msg *msg)
{
	if (msg == NULL)
		return;
	OPENSSL_cleanse(msg->wr.buf, msg->wr.room);
	free(msg->wr.buf);
	free(msg);
}

/* An element that may not stand in a list. */
static void element(struct cp_vici_msg *msg, enum element e)
{
	if (msg->list)
		msg->wr.bad = true;
	pki_wr_u8(&msg->wr, (uint8_t)e);
}

static void value_out(struct cp_vici_msg *msg, const void *value, size_t len)
{
	if (len > UINT16_MAX) {
		msg->wr.bad = true;
		return;
	}
	pki_wr_u16(&msg->wr, (uint16_t)len);
	pki_wr_bytes(&msg->wr, value, len);
}

void cp_vici_section(struct cp_vici_msg *msg, const char *name)
{
	element(msg, SECTION_START);
	name_out(msg, name);
	if (++msg->depth > CP_VICI_DEPTH)
		msg->wr.bad = true;
}

void cp_vici_section_end(struct cp_vici_msg *msg)
{
	element(msg, SECTION_END);
	if (msg->depth-- == 0) {
		msg->depth = 0;
		msg->wr.bad = true;
	}
}

void cp_vici_bytes(struct cp_vici_msg *msg, const char *name, const void *value, size_t len)
{
	element(msg, KEY_VALUE);
	name_out(msg, name);
	value_out(msg, value, len);
}

void cp_vici_str(struct cp_vici_msg *msg, const char *name, const char *value)
{
	cp_vici_bytes(msg, name, value, strlen(value));
}

void cp_vici_fmt(struct cp_vici_msg *msg, const char *name, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || n >= (int)sizeof(text))
		msg->wr.bad = true;
	else
		cp_vici_str(msg, name, text);
}

void cp_vici_bool(struct cp_vici_msg *msg, const char *name, bool value)
{
	cp_vici_str(msg, name, value ? "yes" : "no");
}

void cp_vici_list(struct cp_vici_msg *msg, const char *name)
{
	element(msg, LIST_START);
	name_out(msg, name);
	msg->list = true;
}

void cp_vici_item(struct cp_vici_msg *msg, const void *value, size_t len)
{
	if (!msg->list)
		msg->wr.bad = true;
	pki_wr_u8(&msg->wr, LIST_ITEM);
	value_out(msg, value, len);
}

void cp_vici_list_end(struct cp_vici_msg *msg)
{
	if (!msg->list)
		msg->wr.bad = true;
	msg->list = false;
	element(msg, LIST_END);
}

void cp_vici_words(struct cp_vici_msg *msg, const char *name, const char *words)
{
	cp_vici_list(msg, name);
	for (;;) {
		size_t n = strcspn(words, ",");

		cp_vici_item(msg, words, n);
		if (words[n] == '\0')
			break;
		words += n + 1;
	}
	cp_vici_list_end(msg);
}

int cp_vici_msg_end(struct cp_vici_msg *msg)
{
	struct pki_wr head = pki_wr_init(msg->wr.buf, HEAD);

	if (msg->wr.bad || msg->wr.len - HEAD > CP_VICI_MAX)
		return -EMSGSIZE;
	if (msg->depth > 0 || msg->list)
		return -EPROTO;
	pki_wr_u32(&head, (uint32_t)(msg->wr.len - HEAD));
	return 0;
}

/* --- reading --- */

int cp_vici_packet(const uint8_t *data, size_t len, enum cp_vici_type *ret_type, char ret_name[CP_VICI_NAME_MAX],
		   const uint8_t **ret_body, size_t *ret_len)
{
	struct pki_rd rd = pki_rd_init(data, len);
	uint8_t type = pki_rd_u8(&rd), n = 0;
	const uint8_t *name = NULL;

	if (rd.bad || type >= CP_VICI_TYPES)
		return -EBADMSG;
	if (named((enum cp_vici_type)type)) {
		n = pki_rd_u8(&rd);
		name = pki_rd_bytes(&rd, n);
		if (rd.bad || n == 0 || !pki_printable(name, n))
			return -EBADMSG;
	}
	if (rd.left > 0 && type != CP_VICI_CMD_REQUEST && type != CP_VICI_CMD_RESPONSE && type != CP_VICI_EVENT)
		return -EBADMSG;
	*ret_type = (enum cp_vici_type)type;
	if (n > 0)
		memcpy(ret_name, name, n);
	ret_name[n] = '\0';
	*ret_body = rd.p;
	*ret_len = rd.left;
	return 0;
}

/* Text of the other side's, fit for JSON and for a terminal. 'room' is above 'len'. */
static void clean(char *out, const uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = text[i] >= 0x20 && text[i] <= 0x7e ? (char)text[i] : '?';
	out[len] = '\0';
}

static bool control(const uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < 0x20 || text[i] == 0x7f)
			return true;
	return false;
}

static json_t *value_json(const uint8_t *text, size_t len)
{
	json_t *v = control(text, len) ? NULL : json_stringn((const char *)text, len);
	char *copy;

	if (v != NULL)
		return v;
	copy = malloc(len + 1); /* no UTF-8 */
	if (copy == NULL)
		return NULL;
	clean(copy, text, len);
	v = json_stringn(copy, len);
	free(copy);
	return v;
}

/* A name: at least one byte. */
static bool name_in(struct pki_rd *rd, char ret[CP_VICI_NAME_MAX])
{
	uint8_t n = pki_rd_u8(rd);
	const uint8_t *p = pki_rd_bytes(rd, n);

	if (rd->bad || n == 0)
		return false;
	clean(ret, p, n);
	return true;
}

int cp_vici_parse(const uint8_t *data, size_t len, json_t **ret)
{
	struct pki_rd rd = pki_rd_init(data, len);
	json_t *root = json_object(), *at[CP_VICI_DEPTH + 1] = {root}, *list = NULL;
	unsigned depth = 0, cnt = 0;
	int rc = root != NULL ? 0 : -ENOMEM;

	while (rc == 0 && rd.left > 0) {
		uint8_t e = pki_rd_u8(&rd);
		char name[CP_VICI_NAME_MAX];
		const uint8_t *value;
		uint16_t n;
		json_t *v;

		rc = -EBADMSG;
		if (++cnt > CP_VICI_ELEMENTS || (list != NULL) != (e == LIST_ITEM || e == LIST_END))
			break;
		switch (e) {
		case SECTION_START:
		case LIST_START:
			if (!name_in(&rd, name) || (e == SECTION_START && depth == CP_VICI_DEPTH))
				break;
			v = e == SECTION_START ? json_object() : json_array();
			rc = json_object_set_new(at[depth], name, v) == 0 ? 0 : -ENOMEM;
			if (e == LIST_START)
				list = v;
			else
				at[++depth] = v;
			break;
		case SECTION_END:
			if (depth == 0)
				break;
			depth--;
			rc = 0;
			break;
		case KEY_VALUE:
			if (!name_in(&rd, name))
				break;
			/* fallthrough */
		case LIST_ITEM:
			n = pki_rd_u16(&rd);
			value = pki_rd_bytes(&rd, n);
			if (rd.bad)
				break;
			v = value_json(value, n);
			rc = (e == KEY_VALUE ? json_object_set_new(at[depth], name, v) : json_array_append_new(list, v)) == 0 ? 0 : -ENOMEM;
			break;
		case LIST_END:
			list = NULL;
			rc = 0;
			break;
		default:
			break;
		}
	}
	if (rc == 0 && (depth > 0 || list != NULL))
		rc = -EBADMSG;
	if (rc < 0) {
		json_decref(root);
		return rc;
	}
	*ret = root;
	return 0;
}

const char *cp_vici_get(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text != NULL ? text : "";
}
