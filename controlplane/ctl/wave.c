/* SPDX-License-Identifier: BSD-3-Clause */
/* A wave's devices from a table, in pieces: enrol/wavecmd.c is the other side. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"

#define PIECE 49152 /* bytes of the file in one request: 64 KiB of base64 */

/* One request; its result, a new reference, perhaps null. NULL: *ret is the refusal, or NULL. */
static json_t *request(ctl_ask_fn ask, void *ctx, const char *cmd, json_t *args, json_t **ret)
{
	json_t *answer = ask(ctx, cmd, args), *result = NULL;

	json_decref(args);
	if (answer != NULL && json_is_true(json_object_get(answer, "ok")))
		result = json_incref(json_object_get(answer, "result"));
	if (result == NULL) {
		*ret = answer;
		return NULL;
	}
	json_decref(answer);
	return result;
}

int ctl_wave_start(ctl_ask_fn ask, void *ctx, const char *path, json_t *args, bool skip_wrong, json_t **ret, char *why, size_t size)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	unsigned char bytes[PIECE];
	char text[PIECE / 3 * 4 + 1];
	int rc = -EIO;
	json_int_t id;
	json_t *r;
	size_t n;

	*ret = NULL;
	why[0] = '\0';
	if (f == NULL) {
		rc = -errno;
		snprintf(why, size, "%s: %s", path, strerror(errno));
		return rc;
	}
	json_object_set_new(args, "csv", json_true());
	r = request(ask, ctx, "capf.wave.start", json_incref(args), ret);
	id = json_integer_value(json_object_get(r, "upload"));
	while (r != NULL && (n = fread(bytes, 1, sizeof(bytes), f)) > 0) {
		json_decref(r);
		EVP_EncodeBlock((unsigned char *)text, bytes, (int)n);
		r = request(ask, ctx, "capf.wave.data", json_pack("{s:I,s:s}", "upload", id, "data", text), ret);
	}
	if (r != NULL && ferror(f)) {
		snprintf(why, size, "%s: cannot be read", path);
	} else if (r != NULL) {
		json_t *end = request(ask, ctx, "capf.wave.go", json_pack("{s:I,s:b}", "upload", id, "skip_wrong", (int)skip_wrong), ret);

		if (end != NULL) {
			*ret = end;
			rc = 0;
		}
	}
	json_decref(r);
	if (f != stdin)
		fclose(f);
	return rc;
}
