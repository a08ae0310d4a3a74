/* SPDX-License-Identifier: BSD-3-Clause */
/* Secrets of a change: sealed by the signer first, away from the loop, then it is made with what was sealed. */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "offload.h"
#include "phonejson.h"

struct cmds_seal {
	struct cmds *cmds;
	struct cp_admin_req *req;
	const struct cmds_secret *secrets;
	int (*attempt)(struct pending_change *p, char *why, size_t why_size);
	json_t *args; /* a copy, without what was in clear */
	char name[CP_NAME_MAX];
	uint8_t *clear[CMDS_SECRETS];
	size_t clear_len[CMDS_SECRETS];
	struct cp_buf sealed[CMDS_SECRETS];
	int rc;
};

static void seal_work(void *arg)
{
	struct cmds_seal *j = arg;
	const struct cp_admin_backend *be = cmds_backend(j->cmds);

	for (unsigned i = 0; i < CMDS_SECRETS && j->rc == 0; i++) {
		char aad[CP_NAME_MAX + 32];

		if (j->clear[i] == NULL)
			continue;
		snprintf(aad, sizeof(aad), "%s/%s", j->secrets[i].aad, j->name);
		j->rc = be->seal(be->cert_ctx, j->clear[i], j->clear_len[i], aad, &j->sealed[i]);
	}
}

void cmds_seal_destroy(struct cmds_seal *j)
{
	for (unsigned i = 0; i < CMDS_SECRETS; i++) {
		OPENSSL_clear_free(j->clear[i], j->clear_len[i]);
		free(j->sealed[i].data);
	}
	json_decref(j->args);
	free(j);
}

static void seal_done(void *arg)
{
	struct cmds_seal *j = arg;

	if (j->rc < 0) {
		cp_admin_fail_rc(j->req, -ENOTCONN, "the signer does not seal: %s", strerror(-j->rc));
	} else {
		for (unsigned i = 0; i < CMDS_SECRETS; i++)
			if (j->sealed[i].len > 0)
				json_object_set_new(j->args, j->secrets[i].sealed, json_base64(&j->sealed[i]));
		cmds_run(j->cmds, j->req, j->args, json_incref(j->args), j->attempt);
	}
	cmds_seal_destroy(j);
}

struct cmds_seal *cmds_seal_create(struct cmds *cmds, struct cp_admin_req *req, const json_t *args, const char *name,
				   const struct cmds_secret *secrets, int (*attempt)(struct pending_change *p, char *why, size_t why_size))
{
	struct cmds_seal *j = NULL;

	if (cmds_backend(cmds)->seal == NULL)
		cp_admin_fail(req, "unavailable", "no signer");
	else if (strlen(name) >= sizeof(j->name))
		cp_admin_fail(req, "invalid", "name is too long");
	else if ((j = calloc(1, sizeof(*j))) == NULL)
		cp_admin_fail_rc(req, -ENOMEM, NULL);
	if (j == NULL)
		return NULL;
	*j = (struct cmds_seal){.cmds = cmds, .req = req, .secrets = secrets, .attempt = attempt};
	memcpy(j->name, name, strlen(name) + 1);
	j->args = json_copy((json_t *)(uintptr_t)args);
	return j;
}

void cmds_seal_add(struct cmds_seal *j, unsigned i, const void *clear, size_t len)
{
	json_object_del(j->args, j->secrets[i].clear);
	j->clear[i] = OPENSSL_malloc(len);
	if (j->clear[i] == NULL)
		j->rc = -ENOMEM;
	else
		memcpy(j->clear[i], clear, len);
	j->clear_len[i] = len;
}

void cmds_seal_run(struct cmds_seal *j)
{
	int rc = cp_offload_run(cmds_offload(j->cmds), seal_work, seal_done, j);

	if (rc < 0) {
		cp_admin_fail_rc(j->req, rc, "too many secrets are being sealed");
		cmds_seal_destroy(j);
	}
}
