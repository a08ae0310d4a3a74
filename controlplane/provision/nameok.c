/* SPDX-License-Identifier: BSD-3-Clause */
#include "files.h"

#include <string.h>

/* wire-formats.md section 8.2. In a file of its own: what the servers ask before any name meets the files. */
bool cp_file_name_ok(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= CP_FILE_NAME_MAX || name[0] == '/' || name[len - 1] == '/' || strstr(name, "//") != NULL)
		return false;
	if (strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/") != len)
		return false;
	for (const char *p = name; *p != '\0'; p += strcspn(p, "/"), p += *p == '/') {
		size_t n = strcspn(p, "/");

		if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
	}
	return true;
}
