/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of music on hold (dataplane/tune.c): the first byte says what kind it is. What is accepted can be played from anywhere. */
#include <stdlib.h>
#include <string.h>

#include "tune.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int kind = size > 0 ? data[0] % DP_MUSIC_FILE_CNT : 0;
	struct dp_tune *tune = calloc(1, sizeof(*tune));
	size_t len = size > 0 ? size - 1 : 0;
	uint8_t *copy = malloc(len + (len == 0)), out[60 * 8];
	const char *why = NULL;

	if (tune == NULL || copy == NULL)
		abort();
	if (len > 0)
		memcpy(copy, data + 1, len);
	if (dp_tune_add(tune, kind, copy, len, &why) < 0) {
		if (why == NULL)
			abort();
		dp_tune_free(tune);
		free(copy);
		return 0;
	}
	for (unsigned int c = 0; c < DP_MUSIC_CODEC_MAX; c++) {
		if (tune->part[c].data == NULL)
			continue;
		if (tune->part[c].ms < DP_TUNE_MS_MIN || tune->part[c].ms % 10 != 0 || tune->part[c].ms * dp_tune_rate(c) > len)
			abort();
		for (uint64_t at = 0; at < (uint64_t)tune->part[c].ms + 70; at += 10)
			dp_tune_copy(tune, c, at, 60, out);
	}
	dp_tune_free(tune);
	free(copy);
	return 0;
}
