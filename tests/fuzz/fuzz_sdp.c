/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/mgcp/sdp.c: what parses can be written, and reads the same again. */
#include <stdlib.h>
#include <string.h>

#include "mgcp/sdp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dp_mgcp_media first, again;
	struct dp_sdp_no no;
	uint8_t text[1024];
	struct dp_mgcp_buf b;

	if (dp_sdp_parse((const char *)data, size, &first, &no) < 0) {
		/* a refusal has a reason, in one printable line */
		if (no.why == DP_SDP_OK || no.text[0] == '\0' || memchr(no.text, 0, sizeof(no.text)) == NULL)
			abort();
		for (const char *c = no.text; *c != '\0'; c++)
			if (*c < 0x20 || *c > 0x7e)
				abort();
		return 0;
	}
	dp_mgcp_buf_init(&b, text, sizeof(text));
	dp_sdp_build(&b, &first, 1, first.tag == 0);
	if (b.bad || dp_sdp_parse((const char *)text, b.len, &again, NULL) < 0 ||
	    (first.audio[0] != DP_AUDIO_NONE && memcmp(&first, &again, sizeof(first)) != 0))
		abort();
	return 0;
}
