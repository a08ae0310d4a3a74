/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VICI, by which strongSwan's charon is told what to do (its README.md in src/libcharon/plugins/vici): packets in front of
 * which stands their length (4 bytes, big-endian), in them a type, a name where the type has one, and a message of sections,
 * keys with values, and lists. A message is written into memory that is wiped when it has gone; what is read becomes JSON. Pure: no
 * sockets.
 */
#ifndef CP_VICI_H
#define CP_VICI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

#define CP_VICI_MAX      (512u * 1024) /* bytes of a packet, without its length: charon's own limit */
#define CP_VICI_NAME_MAX 256           /* with the terminating zero */
#define CP_VICI_DEPTH    8             /* sections inside each other */
#define CP_VICI_ELEMENTS 32768         /* of one message that is read */

enum cp_vici_type {
	CP_VICI_CMD_REQUEST,
	CP_VICI_CMD_RESPONSE,
	CP_VICI_CMD_UNKNOWN,
	CP_VICI_EVENT_REGISTER,
	CP_VICI_EVENT_UNREGISTER,
	CP_VICI_EVENT_CONFIRM,
	CP_VICI_EVENT_UNKNOWN,
	CP_VICI_EVENT,
	CP_VICI_TYPES
};

/* A packet that is being written: heap, of which nobody else has a copy. */
struct cp_vici_msg {
	struct pki_wr wr;
	unsigned depth;
	bool list;
};

/** A packet of a type and name, with room for so many bytes of message. NULL: no memory, or the name is too long. */
struct cp_vici_msg *cp_vici_msg_create(enum cp_vici_type type, const char *name, size_t room);
/** Wipes it. NULL is allowed. */
void cp_vici_msg_destroy(struct cp_vici_msg *msg);

/* Elements. Whatever does not fit or may not stand there sets msg->wr.bad, and cp_vici_msg_end() says so. */
void cp_vici_section(struct cp_vici_msg *msg, const char *name);
void cp_vici_section_end(struct cp_vici_msg *msg);
void cp_vici_bytes(struct cp_vici_msg *msg, const char *name, const void *value, size_t len);
void cp_vici_str(struct cp_vici_msg *msg, const char *name, const char *value);
void cp_vici_fmt(struct cp_vici_msg *msg, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void cp_vici_bool(struct cp_vici_msg *msg, const char *name, bool value); /* "yes", "no" */
void cp_vici_list(struct cp_vici_msg *msg, const char *name);
void cp_vici_item(struct cp_vici_msg *msg, const void *value, size_t len);
void cp_vici_list_end(struct cp_vici_msg *msg);
/** A list of one or more items that commas part. */
void cp_vici_words(struct cp_vici_msg *msg, const char *name, const char *words);

/** Whole: its length is put in front. 0; -EMSGSIZE: it did not fit; -EPROTO: a section or list is open. */
int cp_vici_msg_end(struct cp_vici_msg *msg);

/**
 * A packet behind its length: type, name ("" where the type has none) and message, borrowed from 'data'. 0; -EBADMSG: cut
 * short, of no known type, a name that is no text, or bytes behind a packet that has no message.
 */
int cp_vici_packet(const uint8_t *data, size_t len, enum cp_vici_type *ret_type, char ret_name[CP_VICI_NAME_MAX],
		   const uint8_t **ret_body, size_t *ret_len);

/**
 * A message as JSON: sections are objects, lists arrays, values strings; what is no printable UTF-8 in them becomes '?'. Of two
 * elements of one name the last counts. 0 (the caller owns *ret); -EBADMSG: cut short, an element where none may stand,
 * deeper than CP_VICI_DEPTH, more than CP_VICI_ELEMENTS; -ENOMEM.
 */
int cp_vici_parse(const uint8_t *data, size_t len, json_t **ret);

/** A string member, or "". */
const char *cp_vici_get(const json_t *o, const char *name);

#endif
