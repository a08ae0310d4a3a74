/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TVS's messages, as bytes: a header of 10 and elements (tag u8, length u16, value), all big-endian. Both directions, for the
 * server, simulated phones and tests. No sockets, no clock, no keys. wire-formats 5; catalogue 002 TVS rows.
 *
 *   0  u8  protocol, 0x57
 *   1  u8  version, 1
 *   2  u8  type
 *   3  u8  reserved: 0 when sent, ignored when read
 *   4  u32 request id: the phone's choice, echoed by the server
 *   8  u16 bytes of elements that follow
 */
#ifndef CP_ENROL_TVSMSG_H
#define CP_ENROL_TVSMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CP_TVS_HDR_LEN   10
#define CP_TVS_MSG_MAX   8192 /* bytes of a message, header included: one certificate and names */
#define CP_TVS_NAME_MAX  64   /* bytes of a device name, "CP-<model>-SEP<MAC>", with a NUL */
#define CP_TVS_DN_MAX    512  /* bytes of a distinguished name with its NUL */
#define CP_TVS_SERIAL_MAX 64  /* bytes of a serial number */
#define CP_TVS_ROLES_MAX 16
#define CP_TVS_TTL_S     86400 /* what phones are told by default */
#define CP_TVS_TTL_MAX_S 2592000

enum cp_tvs_type { CP_TVS_VERIFY_REQUEST = 1, CP_TVS_VERIFY_RESPONSE, CP_TVS_QUERY_REQUEST, CP_TVS_QUERY_RESPONSE };

enum cp_tvs_tag {
	CP_TVS_DEVICE = 1,
	CP_TVS_CERT,
	CP_TVS_SUBJECT,
	CP_TVS_ISSUER,
	CP_TVS_SERIAL,
	CP_TVS_STATUS = 7,
	CP_TVS_ROLES,
	CP_TVS_TTL,
};

enum cp_tvs_status { CP_TVS_VALID = 0, CP_TVS_NOT_VALID };

#define CP_TVS_BIT(tag) (1u << (tag))

struct cp_tvs_msg { /* pointers are borrowed from what was parsed */
	uint8_t type;
	uint32_t id;
	uint32_t have; /* CP_TVS_BIT() of each element that is there */
	unsigned skipped;
	char device[CP_TVS_NAME_MAX]; /* printable ASCII, without the byte 01 that goes before it */
	const uint8_t *cert;          /* DER */
	size_t cert_len;
	const char *subject, *issuer; /* with their NUL: "CN=a;OU=b" */
	const uint8_t *serial;
	size_t serial_len;
	uint8_t status;
	uint8_t roles[CP_TVS_ROLES_MAX]; /* enum pki_tl_role's numbers */
	unsigned role_cnt;
	uint32_t ttl_s;
};

/**
 * How long the message is that begins in 'buf': its length, header included; 0: ask again with more bytes; -EPROTO: not TVS's
 * protocol byte, or another version; -EMSGSIZE: longer than CP_TVS_MSG_MAX.
 */
int cp_tvs_frame(const uint8_t *buf, size_t len);

/**
 * One whole message of exactly 'len' bytes. A request must have the elements of its type and an answer its status; unknown elements
 * are skipped; one that comes twice or breaks its layout is -EBADMSG. 0, -EBADMSG, -EPROTO.
 */
int cp_tvs_parse(const uint8_t *buf, size_t len, struct cp_tvs_msg *ret);

/** The message with the elements of 'have', in the order that recorded peers write. Its length; -EMSGSIZE, -EINVAL. */
int cp_tvs_build(const struct cp_tvs_msg *msg, uint8_t *out, size_t room);

#endif
