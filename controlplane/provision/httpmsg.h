/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTTP/1.0 and 1.1 as far as a file server needs it (RFC 9110, 9112): a request's header in one piece of memory, the
 * header of the answer to it. No sockets, no clock. What is ambiguous is refused rather than guessed.
 */
#ifndef CP_PROVISION_HTTPMSG_H
#define CP_PROVISION_HTTPMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "files.h"

#define CP_HTTP_HEAD_MAX   8192 /* bytes of a request's header, its empty line included */
#define CP_HTTP_TARGET_MAX 2048 /* of its target */
#define CP_HTTP_FIELDS_MAX 64
#define CP_HTTP_ANSWER_MAX 1024 /* bytes of an answer's header */

struct cp_http_text { /* a part of the request; ptr NULL: the field was not there */
	const char *ptr;
	size_t len;
};

struct cp_http_req {
	bool head, http11, keep_alive;
	char name[CP_FILE_NAME_MAX]; /* decoded once, without its first slash; "" if it can be no file's */
	struct cp_http_text bearer;  /* of Authorization */
	struct cp_http_text range, if_range, if_match, if_none_match, if_modified_since, if_unmodified_since;
};

/** Length of the header at the start of 'buf' with its empty line; 0: it is not whole. '*scan' (0 at first) saves looking twice. */
size_t cp_http_head_len(const char *buf, size_t len, size_t *scan);

/**
 * Parse a whole header. 0; else the status to answer with before closing: 400, 405, 413 (a body), 414, 431, 501, 505. '*ret' points
 * into 'buf'. keep_alive is false where an error was found.
 */
int cp_http_parse(const char *buf, size_t len, struct cp_http_req *ret);

/** Which part of a file is the answer, and how: see RFC 9110 sections 13 and 14. Status 200, 206, 304, 412 or 416. */
int cp_http_select(const struct cp_http_req *req, const struct cp_file *file, size_t *ret_at, size_t *ret_len);

/** Header of an answer with the part [at, at + len) of 'file'. Returns its length. 'date': of Date, IMF-fixdate. */
size_t cp_http_answer(const struct cp_http_req *req, const struct cp_file *file, int status, size_t at, size_t len,
		      const char *date, char out[CP_HTTP_ANSWER_MAX]);

/**
 * Header and body of a refusal. 'why' (401; may be NULL): "error", "description" of WWW-Authenticate after RFC 6750, no quotes or
 * control characters in it. 'head': no body follows, but its length is said. Returns the length of both.
 */
size_t cp_http_refusal(int status, const char *why, bool keep_alive, bool head, const char *date,
		       char out[CP_HTTP_ANSWER_MAX]);

/** IMF-fixdate of seconds since 1970, into 30 bytes. */
const char *cp_http_date(int64_t t, char out[30]);

#endif
