/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CAPF's messages, as bytes: a header of 8 and elements (tag u8, length u16, value), all big-endian. Both directions, for the
 * server, simulated phones and tests. No sockets, no clock, no keys. wire-formats 4; catalogues 004b and 004c CAPF.
 *
 *   0  u8  protocol, 0x55
 *   1  u8  command
 *   2  u32 session id: the server's choice, echoed by the phone
 *   6  u16 bytes of elements that follow
 */
#ifndef CP_ENROL_CAPFMSG_H
#define CP_ENROL_CAPFMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CP_CAPF_HDR_LEN    8
#define CP_CAPF_MSG_MAX    16384 /* bytes of a message, header included: the largest has two certificates and three signatures */
#define CP_CAPF_STRING_MAX 15    /* digits of an authentication string in the protocol; ours have 4 to 10 (004b:CAPF-06) */
#define CP_CAPF_VERSION    3

enum cp_capf_cmd {
	CP_CAPF_AUTH_REQUEST = 1,
	CP_CAPF_AUTH_RESPONSE,
	CP_CAPF_KEYGEN_REQUEST,
	CP_CAPF_KEYGEN_RESPONSE,
	CP_CAPF_STORE_CERT_REQUEST = 9,
	CP_CAPF_STORE_CERT_RESPONSE,
	CP_CAPF_FETCH_CERT_REQUEST,
	CP_CAPF_FETCH_CERT_RESPONSE,
	CP_CAPF_DELETE_CERT_REQUEST,
	CP_CAPF_DELETE_CERT_RESPONSE,
	CP_CAPF_END_SESSION,
	CP_CAPF_REQUEST_IN_PROGRESS = 17,
};

/* Tags of elements. Those the specification names without a layout, and unknown ones, are skipped when read. */
enum cp_capf_tag {
	CP_CAPF_REASON = 1,
	CP_CAPF_CERT_TYPE = 3,
	CP_CAPF_CERT = 4,
	CP_CAPF_SIGNED_DATA = 6,
	CP_CAPF_TAG_VERSION = 7,
	CP_CAPF_AUTH_TYPE = 8,
	CP_CAPF_PUBLIC_KEY = 9,
	CP_CAPF_KEY_SIZE = 10,
	CP_CAPF_PASSWORD = 11,
	CP_CAPF_DEVICE = 13,
	CP_CAPF_SUDI = 16,
	CP_CAPF_KEY_TYPE = 17,
	CP_CAPF_CURVE = 18,
	CP_CAPF_SHA2_SIGNED_DATA = 20,
};

enum cp_capf_reason {
	CP_CAPF_NOTHING = 0, /* END_SESSION: nothing to do; also after a fetch */
	CP_CAPF_DONE = 1,    /* END_SESSION: done; from a phone: success */
	CP_CAPF_FAILED = 7,
	CP_CAPF_UNKNOWN_DEVICE = 9,
};

enum cp_capf_cert_type { CP_CAPF_IS_LSC = 1, CP_CAPF_IS_MIC };

enum cp_capf_key { CP_CAPF_RSA = 0, CP_CAPF_EC };

enum cp_capf_curve { CP_CAPF_P256 = 0, CP_CAPF_P384, CP_CAPF_P521 };

#define CP_CAPF_SHA512 3 /* hash code of tag 20 */

struct cp_capf_bytes {
	const uint8_t *p; /* borrowed from what was parsed */
	size_t len;
};

#define CP_CAPF_BIT(tag) (1u << (tag))

struct cp_capf_msg {
	uint8_t cmd;
	uint32_t session;
	uint32_t have; /* CP_CAPF_BIT() of each element that is there; the others' fields are 0 */
	unsigned skipped; /* elements that were not looked at */
	uint8_t reason;
	uint8_t cert_type;     /* tag 3 */
	uint8_t cert_kind;     /* type byte inside tag 4 */
	uint8_t version;
	uint8_t auth_type;
	uint8_t key_type;
	uint8_t curve;
	uint8_t sha2_hash;     /* hash code inside tag 20 */
	uint16_t key_bits;
	struct cp_capf_bytes cert;      /* DER */
	struct cp_capf_bytes signed_data;
	struct cp_capf_bytes public_key; /* SubjectPublicKeyInfo, DER */
	struct cp_capf_bytes password;  /* as typed, without its NUL; a null string is of length 0. A secret */
	struct cp_capf_bytes device_raw; /* tag 13 as sent, its NUL included: what the signatures of 4.7 cover */
	struct cp_capf_bytes sha2;      /* signature inside tag 20 */
	struct cp_capf_bytes sudi;      /* cp_capf_sudi_parse() */
	char device[16];                /* "SEP" and 12 hex digits, as sent */
};

struct cp_capf_sudi { /* borrowed */
	struct cp_capf_bytes cert; /* DER */
	struct cp_capf_bytes sha1, sha512; /* signatures; sha1 may be missing (p NULL) */
};

/**
 * How long the message is that begins in 'buf': its length, header included; 0: fewer than CP_CAPF_HDR_LEN bytes are there, ask
 * again; -EPROTO: not CAPF's protocol byte; -EMSGSIZE: longer than CP_CAPF_MSG_MAX. *ret_session (may be NULL) is the session id
 * where the header is whole, else 0.
 */
int cp_capf_frame(const uint8_t *buf, size_t len, uint32_t *ret_session);

/**
 * One whole message of exactly 'len' bytes. An element that comes twice, that is longer or shorter than its layout, or that has a
 * device name or password which is none is -EBADMSG; a command that is unknown here is not (the state machine refuses it).
 * 0, -EBADMSG, -EPROTO.
 */
int cp_capf_parse(const uint8_t *buf, size_t len, struct cp_capf_msg *ret);

/** Value of tag 16: certificate, signatures; each once. 0, -EBADMSG. */
int cp_capf_sudi_parse(struct cp_capf_bytes sudi, struct cp_capf_sudi *ret);

/**
 * The message with the elements of 'have', in the order of tags, which is that of recorded servers and phones. device_raw is
 * ignored: 'device' and a NUL are written. Returns the length, or -EMSGSIZE (out is too small), -EINVAL (a field out of range).
 */
int cp_capf_build(const struct cp_capf_msg *msg, uint8_t *out, size_t room);

/** "AUTH_REQUEST" and so on; "unknown". For log lines. */
const char *cp_capf_cmd_name(unsigned cmd);

#endif
