/* SPDX-License-Identifier: BSD-3-Clause */
/* What comes from charon's socket: a packet, and its message, which is written again and read as the same. */
#include <stdlib.h>
#include <string.h>

#include "ike/vici.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                                           \
	do {                                                                                                                 \
		if (!(x))                                                                                                    \
			abort();                                                                                             \
	} while (0)

static void write_again(struct cp_vici_msg *msg, json_t *o)
{
	const char *name;
	json_t *v, *item;
	size_t i;

	json_object_foreach(o, name, v) {
		if (json_is_object(v)) {
			cp_vici_section(msg, name);
			write_again(msg, v);
			cp_vici_section_end(msg);
		} else if (json_is_array(v)) {
			cp_vici_list(msg, name);
			json_array_foreach(v, i, item)
				cp_vici_item(msg, json_string_value(item), json_string_length(item));
			cp_vici_list_end(msg);
		} else {
			cp_vici_bytes(msg, name, json_string_value(v), json_string_length(v));
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[CP_VICI_NAME_MAX];
	enum cp_vici_type type;
	const uint8_t *body;
	size_t len;
	json_t *o, *again;
	struct cp_vici_msg *msg;

	if (size > CP_VICI_MAX || cp_vici_packet(data, size, &type, name, &body, &len) < 0)
		return 0;
	REQUIRE(type < CP_VICI_TYPES && strlen(name) < sizeof(name) && len < size && body + len == data + size);
	if (cp_vici_parse(body, len, &o) < 0)
		return 0;
	msg = cp_vici_msg_create(CP_VICI_CMD_RESPONSE, NULL, len);
	REQUIRE(msg != NULL);
	write_again(msg, o);
	REQUIRE(cp_vici_msg_end(msg) == 0);
	REQUIRE(cp_vici_packet(msg->wr.buf + 4, msg->wr.len - 4, &type, name, &body, &len) == 0 && type == CP_VICI_CMD_RESPONSE);
	REQUIRE(cp_vici_parse(body, len, &again) == 0 && json_equal(o, again));
	json_decref(again);
	json_decref(o);
	cp_vici_msg_destroy(msg);
	return 0;
}
