/* SPDX-License-Identifier: BSD-3-Clause */
/* Header checks of RTP and RTCP on exact-size copies; what passes in clear must also pass as the encrypted form. */
#include <stdlib.h>
#include <string.h>

#include "rtp.h"
#include "stat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *p;
	uint16_t len = (uint16_t)size;

	if (size > 2048)
		return 0;
	p = malloc(size + 1);
	memcpy(p, data, size);
	if (dp_rtp_check(p, len, true) == DP_OK && dp_rtp_check(p, len, false) != DP_OK)
		abort();
	if (dp_rtcp_check(p, len) == DP_OK && (dp_srtcp_check(p, len) != DP_OK || !dp_rtp_is_rtcp(p, len)))
		abort();
	/* The reader of report blocks does not rely on the check before it. */
	struct dp_rtcp_seen seen;

	dp_rtcp_read(p, len, len >= 36 ? dp_get32(p + 32) : 0, &seen);
	if (seen.block && seen.ext_off + 16u > len)
		abort();
	if (dp_rtp_check(p, len, true) == DP_OK) {
		struct dp_stat s;

		memset(&s, 0, sizeof(s));
		dp_stat_clock(&s, 0);
		for (uint64_t i = 0; i < 3; i++)
			(void)dp_stat_rtp(&s, p, i << (len & 31));
	}
	free(p);
	return 0;
}
