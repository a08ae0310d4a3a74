/* SPDX-License-Identifier: BSD-3-Clause */
/* CAPF's messages as they come: a stream is cut into frames, and what is read is written again and read as the same. */
#include <stdlib.h>
#include <string.h>

#include "enrol/capfmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                                           \
	do {                                                                                                                 \
		if (!(x))                                                                                                    \
			abort();                                                                                             \
	} while (0)

static void inside(struct cp_capf_bytes b, const uint8_t *data, size_t size)
{
	REQUIRE(b.p == NULL ? b.len == 0 : b.p >= data && b.p <= data + size && b.len <= (size_t)(data + size - b.p));
}

static void same(struct cp_capf_bytes a, struct cp_capf_bytes b)
{
	REQUIRE(a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0));
}

static void one(const uint8_t *data, size_t size)
{
	static uint8_t out[CP_CAPF_MSG_MAX];
	struct cp_capf_sudi sudi;
	struct cp_capf_msg m, again;
	int len;

	if (cp_capf_parse(data, size, &m) < 0)
		return;
	inside(m.cert, data, size);
	inside(m.signed_data, data, size);
	inside(m.public_key, data, size);
	inside(m.password, data, size);
	inside(m.device_raw, data, size);
	inside(m.sha2, data, size);
	inside(m.sudi, data, size);
	REQUIRE(memchr(m.device, 0, sizeof(m.device)) != NULL);
	if (cp_capf_sudi_parse(m.sudi, &sudi) == 0) {
		inside(sudi.cert, data, size);
		inside(sudi.sha1, data, size);
		inside(sudi.sha512, data, size);
	}
	len = cp_capf_build(&m, out, sizeof(out));
	REQUIRE(len >= CP_CAPF_HDR_LEN && (size_t)len <= size);
	REQUIRE(cp_capf_parse(out, (size_t)len, &again) == 0);
	REQUIRE(again.cmd == m.cmd && again.session == m.session && again.have == m.have && again.skipped == 0);
	REQUIRE(again.reason == m.reason && again.cert_type == m.cert_type && again.cert_kind == m.cert_kind);
	REQUIRE(again.version == m.version && again.auth_type == m.auth_type && again.key_type == m.key_type);
	REQUIRE(again.curve == m.curve && again.sha2_hash == m.sha2_hash && again.key_bits == m.key_bits);
	REQUIRE(strcmp(again.device, m.device) == 0);
	same(again.cert, m.cert);
	same(again.signed_data, m.signed_data);
	same(again.public_key, m.public_key);
	same(again.password, m.password);
	same(again.device_raw, m.device_raw);
	same(again.sha2, m.sha2);
	same(again.sudi, m.sudi);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 0;

	one(data, size);
	while (at < size) {
		int n = cp_capf_frame(data + at, size - at, NULL);

		if (n <= 0 || (size_t)n > size - at)
			break;
		REQUIRE(n >= CP_CAPF_HDR_LEN && n <= CP_CAPF_MSG_MAX);
		one(data + at, (size_t)n);
		at += (size_t)n;
	}
	return 0;
}
