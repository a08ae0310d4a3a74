/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/mgcp/sdp.c: what parses can be written, and reads the same again. */
#include <stdlib.h>
#include <string.h>

#include "mgcp/sdp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dp_mgcp_media first, again;
	uint8_t text[1024];
	struct dp_mgcp_buf b;

	if (dp_sdp_parse((const char *)data, size, &first) < 0)
		return 0;
	dp_mgcp_buf_init(&b, text, sizeof(text));
	dp_sdp_build(&b, &first, 1, first.tag == 0);
	if (b.bad || dp_sdp_parse((const char *)text, b.len, &again) < 0 ||
	    memcmp(&first, &again, sizeof(first)) != 0)
		abort();
	return 0;
}
