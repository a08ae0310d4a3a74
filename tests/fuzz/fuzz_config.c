/* SPDX-License-Identifier: BSD-3-Clause */
/* config/: any bytes give a configuration or an error of one line. */
#include <stdlib.h>
#include <string.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cfg *cfg = NULL;
	char err[512];
	int rc = cfg_load_data(data, size, &cfg, err, sizeof(err));

	if ((rc == 0) != (cfg != NULL) || (rc == 0) != (err[0] == '\0') ||
	    strchr(err, '\n') != NULL)
		abort();
	cfg_free(cfg);
	return 0;
}
