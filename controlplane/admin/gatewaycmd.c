/* SPDX-License-Identifier: BSD-3-Clause */
/* gateway.add and gateway.change: a pre-shared key is sealed first. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static const struct cmds_secret secrets[CMDS_SECRETS] = {{"ike_psk", "ike_psk_sealed", "ike-psk"}, {NULL, NULL, NULL}};

static void with_psk(struct cmds *cmds, struct cp_admin_req *req, const json_t *args,
		     int (*attempt)(struct pending_change *p, char *why, size_t why_size))
{
	const char *name = NULL, *psk = NULL;
	struct cmds_seal *j;

	if (json_object_get(args, "ike_psk") == NULL) {
		cmds_run(cmds, req, args, NULL, attempt);
		return;
	}
	if (cp_admin_arg_str(req, args, "name", true, &name) < 0 || cp_admin_arg_str(req, args, "ike_psk", true, &psk) < 0)
		return;
	if (!cmds_psk_ok(psk)) {
		cp_admin_fail(req, "invalid", "a pre-shared key is %d to %d bytes of printable UTF-8", CMDS_PSK_MIN, CMDS_PSK_MAX);
		return;
	}
	j = cmds_seal_create(cmds, req, args, name, secrets, attempt);
	if (j == NULL)
		return;
	cmds_seal_add(j, 0, psk, strlen(psk));
	cmds_seal_run(j);
}

static void gateway_add(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	with_psk(ctx, req, args, attempt_gateway_add);
}

static void gateway_change(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	with_psk(ctx, req, args, attempt_gateway_change);
}

int cmds_gateway(struct cmds *c, struct cp_admin *admin)
{
	int rc = cp_admin_register(admin, "gateway.add", gateway_add, c);

	return rc < 0 ? rc : cp_admin_register(admin, "gateway.change", gateway_change, c);
}
