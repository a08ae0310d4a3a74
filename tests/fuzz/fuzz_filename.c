/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names that phones ask for. A name that passes the check has no way out of a tree, and what it stands for is consistent:
 * the base is a name as well, a device in it is one.
 */
#include <stdlib.h>
#include <string.h>

#include "provision/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *name = malloc(len + 1);
	struct cp_name n;
	size_t part = 0;

	memcpy(name, data, len);
	name[len] = '\0';
	if (cp_file_name_ok(name)) {
		size_t all = strlen(name);

		if (all == 0 || all >= CP_FILE_NAME_MAX || name[0] == '/' || name[all - 1] == '/')
			abort();
		for (const char *p = name; p != NULL; p = strchr(p, '/') != NULL ? strchr(p, '/') + 1 : NULL) {
			part = strcspn(p, "/");
			if (part == 0 || (part == 1 && p[0] == '.') || (part == 2 && p[0] == '.' && p[1] == '.'))
				abort();
		}
		cp_name_parse(name, &n);
		if (strlen(n.base) > all || !cp_file_name_ok(n.base) || strncmp(n.base, name, strlen(n.base)) != 0 ||
		    (n.device[0] != '\0' && !cp_device_name_ok(n.device)) ||
		    (n.what == CP_NAME_CONFIG) != (n.device[0] != '\0' && n.what != CP_NAME_LIST))
			abort();
	}
	free(name);
	return 0;
}
