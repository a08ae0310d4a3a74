/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/gateway/conns.c: a list of connections. What is taken are identifiers, all of them, and as many with room for just these. */
#include <stdlib.h>
#include <string.h>

#include "gateway/gwint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char id[CP_GW_CONNS][DP_MGCP_ID_MAX], again[CP_GW_CONNS][DP_MGCP_ID_MAX], *text = malloc(size + 1);
	int n;

	memcpy(text, data, size);
	text[size] = '\0'; /* as the text of an answer is; a zero within ends it */
	n = conns_listed(text, id, CP_GW_CONNS);
	if (n > CP_GW_CONNS)
		abort();
	for (int i = 0; i < n; i++) {
		struct dp_mgcp_str s = {id[i], (uint16_t)strnlen(id[i], sizeof(id[i]))};

		if (!dp_mgcp_id_valid(&s))
			abort();
	}
	if (n > 0 && (conns_listed(text, again, (unsigned)n) != n || conns_listed(text, again, (unsigned)n - 1) != -1))
		abort();
	free(text);
	return 0;
}
