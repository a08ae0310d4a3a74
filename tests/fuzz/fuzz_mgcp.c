/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/mgcp/msg.c: whatever parses consists of views into the input, message after message. */
#include <stdlib.h>

#include "mgcp/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const uint8_t *data, size_t size, struct dp_mgcp_str s)
{
	uintptr_t at = (uintptr_t)s.s, begin = (uintptr_t)data;

	if (s.s != NULL && (at < begin || at + s.len > begin + size))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dp_mgcp_msg m;
	struct dp_mgcp_range r[DP_MGCP_RANGE_MAX];
	char text[64];
	size_t off = 0, used;

	while (off < size && dp_mgcp_parse(data + off, size - off, &m, &used) == 0) {
		if (used == 0 || used > size - off || m.tid == 0 || m.tid > DP_MGCP_TID_MAX ||
		    m.code > 999)
			abort();
		inside(data, size, m.verb_name);
		inside(data, size, m.endpoint);
		inside(data, size, m.local);
		inside(data, size, m.domain);
		inside(data, size, m.package);
		inside(data, size, m.comment);
		for (unsigned i = 0; i < m.sdp_cnt; i++)
			inside(data, size, m.sdp[i]);
		for (unsigned i = 0; i < m.param_cnt; i++) {
			inside(data, size, m.param[i].name);
			inside(data, size, m.param[i].value);
			dp_mgcp_str_copy(text, sizeof(text), &m.param[i].value);
			for (int n = dp_mgcp_ranges_parse(&m.param[i].value, r, DP_MGCP_RANGE_MAX);
			     n > 0; n--)
				if (r[n - 1].first == 0 || r[n - 1].first > r[n - 1].last)
					abort();
		}
		off += used;
	}
	return 0;
}
