/* SPDX-License-Identifier: BSD-3-Clause */
/* A stream of HTTP requests: where a header ends, what it says, which part of a file is the answer, how the answer reads. */
#include <stdlib.h>
#include <string.h>

#include "fake_files.h"
#include "provision/http.h"
#include "provision/httpmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                                           \
	do {                                                                                                                 \
		if (!(x))                                                                                                    \
			abort();                                                                                             \
	} while (0)

static void inside(struct cp_http_text t, const char *buf, size_t len)
{
	REQUIRE(t.ptr == NULL || (t.ptr >= buf && t.len <= len && t.ptr + t.len <= buf + len));
}

static void one(const char *buf, size_t len)
{
	static const size_t sizes[] = {0, 1, 1000};
	char out[CP_HTTP_ANSWER_MAX], date[30], device[16];
	struct cp_http_req r;
	int status = cp_http_parse(buf, len, &r);

	if (status != 0) {
		size_t n = cp_http_refusal(status, NULL, false, r.head, cp_http_date(0, date), out);

		REQUIRE(status >= 400 && status < 600 && n < sizeof(out) && !r.keep_alive);
		return;
	}
	REQUIRE(r.name[0] == '\0' || cp_file_name_ok(r.name));
	inside(r.bearer, buf, len);
	inside(r.range, buf, len);
	inside(r.if_range, buf, len);
	inside(r.if_match, buf, len);
	inside(r.if_none_match, buf, len);
	inside(r.if_modified_since, buf, len);
	inside(r.if_unmodified_since, buf, len);
	if (cp_http_device(r.name, device))
		REQUIRE(strlen(device) == 15);
	for (unsigned i = 0; i < 3; i++) {
		struct cp_file f = {.len = sizes[i], .mtime = 1700000000, .etag = "\"tag\"", .name = "a.xml"};
		size_t at, n;

		status = cp_http_select(&r, &f, &at, &n);
		REQUIRE(status == 200 || status == 206 || status == 304 || status == 412 || status == 416);
		REQUIRE(at <= f.len && n <= f.len - at);
		REQUIRE(status == 200 ? n == f.len : status != 206 ? n == 0 : n > 0);
		n = cp_http_answer(&r, &f, status, at, n, cp_http_date(0, date), out);
		REQUIRE(n < sizeof(out) && n == strlen(out) && memcmp(out + n - 4, "\r\n\r\n", 4) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t scan = 0, whole = 0, head, at = 0;

	/* as it comes, byte by byte, and in one piece: the same end */
	for (size_t n = 0; n <= size && n <= CP_HTTP_HEAD_MAX && whole == 0; n++)
		whole = cp_http_head_len((const char *)data, n, &scan);
	scan = 0;
	head = cp_http_head_len((const char *)data, size < CP_HTTP_HEAD_MAX ? size : CP_HTTP_HEAD_MAX, &scan);
	REQUIRE(head == whole);
	while (at < size) {
		char *copy;

		scan = 0;
		head = cp_http_head_len((const char *)data + at, size - at, &scan);
		if (head == 0)
			break;
		REQUIRE(head <= size - at);
		copy = malloc(head);
		memcpy(copy, data + at, head);
		one(copy, head);
		free(copy);
		at += head;
	}
	if (at < size) {
		char *copy = malloc(size - at);

		memcpy(copy, data + at, size - at);
		one(copy, size - at); /* a header that is none */
		free(copy);
	}
	return 0;
}
