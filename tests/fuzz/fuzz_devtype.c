/* SPDX-License-Identifier: BSD-3-Clause */
/* Packages of device types: what is taken becomes a record that reads the same, and a package that reads the same. */
#include <stdlib.h>
#include <string.h>

#include "admin/typejson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *o = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL), *back;
	struct cp_typerec first, second;
	char why[512] = "";
	struct cp_buf out;

	if (o == NULL)
		return 0;
	if (json_to_typerec(o, &first, why, sizeof(why)) < 0) {
		if (why[0] == '\0') /* a refusal has a reason */
			abort();
		json_decref(o);
		return 0;
	}
	json_decref(o);
	if (cp_typerec_build(&first, &out) < 0 || cp_typerec_parse(out.data, out.len, &second) < 0 || strcmp(first.name, second.name) != 0 ||
	    first.media != second.media || first.sccp_type != second.sccp_type)
		abort();
	/* nothing that a package says makes its type trusted, or encrypts without encryption */
	if ((cp_typerec_devtype(&second).flags & CP_DT_TRUSTED) != 0 || (second.media && !second.encryption))
		abort();
	free(out.data);
	back = typerec_to_json(&second);
	cp_typerec_free(&second);
	if (back == NULL || json_to_typerec(back, &second, why, sizeof(why)) < 0 || strcmp(first.vendor, second.vendor) != 0)
		abort();
	json_decref(back);
	return 0;
}
