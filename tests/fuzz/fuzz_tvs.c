/* SPDX-License-Identifier: BSD-3-Clause */
/* TVS's messages as they come: a stream is cut into frames, and what is read is written again and read as the same. */
#include <stdlib.h>
#include <string.h>

#include "enrol/tvsmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                                           \
	do {                                                                                                                 \
		if (!(x))                                                                                                    \
			abort();                                                                                             \
	} while (0)

static void inside(const void *p, size_t len, const uint8_t *data, size_t size)
{
	const uint8_t *b = p;

	REQUIRE(b == NULL || (b >= data && b <= data + size && len <= (size_t)(data + size - b)));
}

static void one(const uint8_t *data, size_t size)
{
	static uint8_t out[CP_TVS_MSG_MAX];
	struct cp_tvs_msg m, again;
	int len;

	if (cp_tvs_parse(data, size, &m) < 0)
		return;
	inside(m.cert, m.cert_len, data, size);
	inside(m.serial, m.serial_len, data, size);
	inside(m.subject, m.subject != NULL ? strlen(m.subject) + 1 : 0, data, size);
	inside(m.issuer, m.issuer != NULL ? strlen(m.issuer) + 1 : 0, data, size);
	REQUIRE(memchr(m.device, 0, sizeof(m.device)) != NULL && m.role_cnt <= CP_TVS_ROLES_MAX);
	len = cp_tvs_build(&m, out, sizeof(out));
	REQUIRE(len >= CP_TVS_HDR_LEN && (size_t)len <= size);
	REQUIRE(cp_tvs_parse(out, (size_t)len, &again) == 0);
	REQUIRE(again.type == m.type && again.id == m.id && again.have == m.have && again.skipped == 0);
	REQUIRE(again.status == m.status && again.ttl_s == m.ttl_s && again.role_cnt == m.role_cnt);
	REQUIRE(memcmp(again.roles, m.roles, m.role_cnt) == 0 && strcmp(again.device, m.device) == 0);
	REQUIRE(again.cert_len == m.cert_len && again.serial_len == m.serial_len);
	REQUIRE(m.cert == NULL || memcmp(again.cert, m.cert, m.cert_len) == 0);
	REQUIRE(m.serial == NULL || memcmp(again.serial, m.serial, m.serial_len) == 0);
	REQUIRE((m.subject == NULL) == (again.subject == NULL) && (m.subject == NULL || strcmp(m.subject, again.subject) == 0));
	REQUIRE((m.issuer == NULL) == (again.issuer == NULL) && (m.issuer == NULL || strcmp(m.issuer, again.issuer) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 0;

	one(data, size);
	while (at < size) {
		int n = cp_tvs_frame(data + at, size - at);

		if (n <= 0 || (size_t)n > size - at)
			break;
		REQUIRE(n >= CP_TVS_HDR_LEN && n <= CP_TVS_MSG_MAX);
		one(data + at, (size_t)n);
		at += (size_t)n;
	}
	return 0;
}
