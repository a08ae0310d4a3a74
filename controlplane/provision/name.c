/* SPDX-License-Identifier: BSD-3-Clause */
/* Names that phones ask for. */
#include <string.h>

#include "internal.h"

static bool cut(char *name, const char *end)
{
	size_t n = strlen(name), e = strlen(end);

	if (n <= e || memcmp(name + n - e, end, e) != 0)
		return false;
	name[n - e] = '\0';
	return true;
}

void cp_name_parse(const char *name, struct cp_name *ret)
{
	char rest[CP_FILE_NAME_MAX];

	memset(ret, 0, sizeof(*ret));
	memcpy(ret->base, name, strnlen(name, CP_FILE_NAME_MAX - 1));
	/* 004a:TFTP-07, wire formats 1.1 */
	if (strncmp(name, "CTL", 3) == 0 || strncmp(name, "ITL", 3) == 0) {
		memcpy(rest, ret->base, sizeof(rest));
		if (cut(rest, ".tlv")) {
			bool all = strcmp(rest + 3, "File") == 0;

			if (all || cp_device_name_ok(rest + 3)) {
				ret->what = CP_NAME_LIST;
				ret->list = name[0] == 'C' ? PKI_TL_CTL : PKI_TL_ITL;
				if (!all)
					memcpy(ret->device, rest + 3, sizeof(ret->device));
				return;
			}
		}
	}
	if (cut(ret->base, ".cnf.xml.enc.sgn")) {
		strcat(ret->base, ".cnf.xml"); /* shorter than what was cut */
		ret->end = CP_END_ENC;
	} else if (cut(ret->base, ".sgn")) {
		ret->end = CP_END_SGN;
	}
	if (ret->end != CP_END_PLAIN && !cp_file_name_ok(ret->base)) { /* "folder/.sgn" is a name of its own */
		memcpy(ret->base, name, strlen(name) + 1);
		ret->end = CP_END_PLAIN;
	}
	memcpy(rest, ret->base, sizeof(rest));
	if (!cut(rest, ".cnf.xml"))
		return;
	if (strcmp(rest, "XMLDefault") == 0) {
		ret->what = CP_NAME_DEFAULT;
	} else if (cp_device_name_ok(rest)) {
		ret->what = CP_NAME_CONFIG;
		memcpy(ret->device, rest, sizeof(ret->device));
	}
}
