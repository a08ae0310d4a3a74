/* SPDX-License-Identifier: BSD-3-Clause */
/* import: pre-shared keys of gateways that are in clear are sealed first, all on one thread; then it is as if they had come sealed. */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "offload.h"
#include "phonejson.h"

struct key {
	size_t item; /* of "gateways" */
	char name[CP_NAME_MAX];
	char *clear;
	size_t len;
	struct cp_buf sealed;
};

struct job {
	struct cmds *cmds;
	struct cp_admin_req *req;
	json_t *args; /* a copy; what was in clear is not in it any more */
	struct key *keys;
	size_t cnt;
	int rc;
};

bool cmds_psk_ok(const char *psk)
{
	size_t len = psk != NULL ? strlen(psk) : 0;

	return len >= CMDS_PSK_MIN && len <= CMDS_PSK_MAX && cp_secret_text_ok(psk);
}

static void job_free(struct job *j)
{
	for (size_t i = 0; i < j->cnt; i++) {
		OPENSSL_clear_free(j->keys[i].clear, j->keys[i].len);
		free(j->keys[i].sealed.data);
	}
	free(j->keys);
	json_decref(j->args);
	free(j);
}

static void seal_work(void *arg)
{
	struct job *j = arg;
	const struct cp_admin_backend *be = cmds_backend(j->cmds);

	for (size_t i = 0; i < j->cnt && j->rc == 0; i++) {
		struct key *k = &j->keys[i];
		char aad[CP_NAME_MAX + 16];

		snprintf(aad, sizeof(aad), "ike-psk/%s", k->name);
		j->rc = be->seal(be->cert_ctx, (const uint8_t *)k->clear, k->len, aad, &k->sealed);
	}
}

static void seal_done(void *arg)
{
	struct job *j = arg;
	json_t *list = json_object_get(j->args, "gateways");

	if (j->rc < 0) {
		cp_admin_fail_rc(j->req, -ENOTCONN, "the signer does not seal: %s", strerror(-j->rc));
	} else {
		for (size_t i = 0; i < j->cnt; i++)
			json_object_set_new(json_array_get(list, j->keys[i].item), "ike_psk_sealed", json_base64(&j->keys[i].sealed));
		cmds_run(j->cmds, j->req, j->args, json_incref(j->args), attempt_import);
	}
	job_free(j);
}

/* The key of an item leaves it. One that cannot be stays where it is: the import's check says so beside whatever else is wrong. */
static int take(struct job *j, size_t i, json_t *item)
{
	const char *name = json_string_value(json_object_get(item, "name")), *psk = json_string_value(json_object_get(item, "ike_psk"));
	struct key *k = &j->keys[j->cnt];

	if (name == NULL || strlen(name) >= sizeof(k->name) || !cmds_psk_ok(psk))
		return 0;
	k->item = i;
	memcpy(k->name, name, strlen(name) + 1);
	k->len = strlen(psk);
	k->clear = OPENSSL_malloc(k->len);
	if (k->clear == NULL)
		return -ENOMEM;
	memcpy(k->clear, psk, k->len);
	j->cnt++;
	return json_object_del(item, "ike_psk");
}

/* Copies of the arguments, of their gateways and of those that have a key: the request's are nobody's to change. */
static int copy(struct job *j, const json_t *args, const json_t *gateways)
{
	json_t *list = json_array(), *item;
	size_t i;
	int rc = 0;

	j->args = json_copy((json_t *)(uintptr_t)args);
	j->keys = calloc(json_array_size(gateways), sizeof(*j->keys));
	if (list == NULL || j->args == NULL || j->keys == NULL) {
		json_decref(list);
		return -ENOMEM;
	}
	json_array_foreach(gateways, i, item) {
		json_t *own = json_object_get(item, "ike_psk") != NULL ? json_copy(item) : json_incref(item);

		if (rc == 0)
			rc = json_array_append_new(list, own) < 0 ? -ENOMEM : 0;
		if (rc == 0 && json_object_get(own, "ike_psk") != NULL)
			rc = take(j, i, own);
	}
	if (json_object_set_new(j->args, "gateways", list) < 0 && rc == 0)
		rc = -ENOMEM;
	return rc;
}

static bool any_key(const json_t *gateways)
{
	json_t *item;
	size_t i;

	json_array_foreach(gateways, i, item)
		if (json_object_get(item, "ike_psk") != NULL)
			return true;
	return false;
}

void cmds_import(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	const json_t *gateways = json_object_get(args, "gateways");
	struct cmds *cmds = ctx;
	struct job *j;
	int rc;

	if (!any_key(gateways)) {
		cmds_run(cmds, req, args, NULL, attempt_import);
		return;
	}
	if (cmds_backend(cmds)->seal == NULL) {
		cp_admin_fail(req, "unavailable", "no signer");
		return;
	}
	j = calloc(1, sizeof(*j));
	if (j == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	*j = (struct job){.cmds = cmds, .req = req};
	rc = copy(j, args, gateways);
	if (rc == 0)
		rc = cp_offload_run(cmds_offload(cmds), seal_work, seal_done, j);
	if (rc < 0) {
		cp_admin_fail_rc(req, rc, rc == -EAGAIN ? "too many secrets are being sealed" : NULL);
		job_free(j);
	}
}
