/* SPDX-License-Identifier: BSD-3-Clause */
/* TFTP's datagrams, as bytes: RFC 1350, options of RFC 2347, 2348, 2349 and 7440. No sockets, no clock. */
#ifndef CP_PROVISION_TFTPMSG_H
#define CP_PROVISION_TFTPMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "files.h"

enum cp_tftp_op { CP_TFTP_RRQ = 1, CP_TFTP_WRQ, CP_TFTP_DATA, CP_TFTP_ACK, CP_TFTP_ERROR, CP_TFTP_OACK };

enum cp_tftp_code { /* of ERROR */
	CP_TFTP_UNDEFINED,
	CP_TFTP_NOT_FOUND,
	CP_TFTP_ACCESS,
	CP_TFTP_DISK,
	CP_TFTP_ILLEGAL,
	CP_TFTP_UNKNOWN_TID,
	CP_TFTP_EXISTS,
	CP_TFTP_NO_USER,
	CP_TFTP_OPTION,
};

#define CP_TFTP_BLOCK     512   /* bytes of a block without blksize */
#define CP_TFTP_BLOCK_MAX 65464
#define CP_TFTP_REQ_MAX   512   /* bytes of a request: RFC 2347 */
#define CP_TFTP_OACK_MAX  128   /* bytes of the longest answer to options */
#define CP_TFTP_TEXT_MAX  64

struct cp_tftp_rrq {
	char name[CP_FILE_NAME_MAX]; /* as sent; "" if it was longer or held what no name may: never found */
	bool netascii;
	bool has_blksize, has_timeout, has_tsize, has_windowsize; /* given, and with a value the RFCs allow */
	uint32_t blksize;    /* 8 to 65464; 512 if not given */
	uint32_t timeout_s;  /* 1 to 255 */
	uint32_t windowsize; /* 1 to 65535; 1 if not given */
};

/** Operation code, or -EBADMSG: shorter than one. */
int cp_tftp_op(const uint8_t *data, size_t len);

/**
 * A read request. Options that nobody knows, and values outside an option's range, are as if not given (RFC 2347); of an option that
 * comes twice the first counts. 0; -EBADMSG: not a request; -ENOTSUP: a mode that is neither octet nor netascii.
 */
int cp_tftp_rrq_parse(const uint8_t *data, size_t len, struct cp_tftp_rrq *ret);

/** Block number of an ACK, or -EBADMSG. Bytes behind it are ignored, as they always were. */
int cp_tftp_ack_parse(const uint8_t *data, size_t len);

/** Options that 'opt' has, with their values; 'tsize' if has_tsize. Returns the length, at most CP_TFTP_OACK_MAX. */
size_t cp_tftp_oack_build(const struct cp_tftp_rrq *opt, uint64_t tsize, uint8_t out[CP_TFTP_OACK_MAX]);

/** 'text' is cut to CP_TFTP_TEXT_MAX - 1 bytes. Returns the length. */
size_t cp_tftp_error_build(enum cp_tftp_code code, const char *text, uint8_t out[4 + CP_TFTP_TEXT_MAX]);

void cp_tftp_data_build(uint16_t block, uint8_t out[4]);

/** RFC 764's line ends: LF becomes CR LF, CR becomes CR NUL. Returns the length that 'out' (NULL: only count) gets. */
size_t cp_tftp_netascii(const uint8_t *data, size_t len, uint8_t *out);

#endif
