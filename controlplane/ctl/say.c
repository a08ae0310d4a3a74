/* SPDX-License-Identifier: BSD-3-Clause */
#include "say.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl.h"

bool ctl_json;

int ctl_fail(int status, const char *code, const char *message, json_t *error)
{
	if (ctl_json) {
		json_t *o = error != NULL ? json_pack("{s:O}", "error", error)
					  : json_pack("{s:{s:s,s:s}}", "error", "code", code, "message", message);
		char *text = json_dumps(o, JSON_COMPACT);

		puts(text != NULL ? text : "{\"error\":{}}");
		free(text);
		json_decref(o);
	} else {
		json_t *items = json_object_get(error, "items");

		fprintf(stderr, "ravelinctl: %s\n", message);
		if (json_array_size(items) > 0)
			ctl_render(stderr, items);
	}
	return status;
}

int ctl_fail_answer(const json_t *answer)
{
	json_t *error = json_object_get(answer, "error");
	const char *message = json_string_value(json_object_get(error, "message"));

	return ctl_fail(CTL_REFUSED, "failed", message != NULL ? message : "refused", error);
}

int ctl_refused(int rc, json_t *answer, const char *why)
{
	int status = CTL_UNREACHABLE; /* and it has been said */

	if (answer != NULL)
		status = ctl_fail_answer(answer);
	else if (why[0] != '\0')
		status = ctl_fail(rc == -EIO ? CTL_REFUSED : CTL_USAGE, "failed", why, NULL);
	json_decref(answer);
	return status;
}

void ctl_print(const json_t *result)
{
	char *text = json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY);

	puts(text != NULL ? text : "null");
	free(text);
}

int ctl_flushed(int status)
{
	return fflush(stdout) != 0 || ferror(stdout) ? CTL_REFUSED : status;
}
