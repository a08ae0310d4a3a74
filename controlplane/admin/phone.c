/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands that change what phones are told: "add" begins with an empty record, "set" with the one there is, and members
 * that are not given stay. What shows it is in phoneshow.c.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "log.h"
#include "offload.h"
#include "phonejson.h"
#include "sccp/resets.h"
#include "srst.h"
#include "store/change.h"
#include "x509.h"

static const char *name_of(const json_t *args)
{
	const char *name = json_string_value(json_object_get(args, "name"));

	return name != NULL ? name : "";
}

/* Commits what was put into 'c', or drops it. 'ev': what must be reset then; CP_RESET_EV_MAX: nothing. */
static int finish(struct pending_change *p, struct cp_change *c, int rc, const char *event, const char *name, enum cp_reset_event ev)
{
	if (c == NULL)
		return -ENOMEM;
	if (rc == 0) {
		json_t *detail = json_pack("{s:s}", "name", name);

		p->result = json_pack("{s:s}", "name", name);
		change_says(p, (int)ev, name);
		return cp_change_submit(c, event, cp_admin_who(p->req), detail, change_written, p);
	}
	cp_change_destroy(c);
	return rc;
}

static int attempt_profile_add(struct pending_change *p, char *why, size_t size)
{
	struct cp_change *c = cp_change_create(cmds_store(p->cmds));
	int rc = c == NULL ? -ENOMEM : json_change_profile(c, p->args, false, why, size);

	return finish(p, c, rc, "profile.add", name_of(p->args), CP_RESET_EV_MAX);
}

static int attempt_profile_set(struct pending_change *p, char *why, size_t size)
{
	struct cp_store *s = cmds_store(p->cmds);
	struct cp_change *c;
	struct cp_profile pr;
	int rc = cp_store_profile(s, name_of(p->args), &pr);

	if (rc < 0) {
		snprintf(why, size, "no profile %s", cfg_q(name_of(p->args)));
		return rc;
	}
	c = cp_change_create(s);
	rc = c == NULL ? -ENOMEM : json_profile_set(p->args, &pr, why, size);
	if (rc == 0)
		rc = cp_change_profile_put(c, &pr, true, why, size);
	cp_profile_free(&pr);
	change_warns(p, CP_WARN_PROFILE, name_of(p->args));
	return finish(p, c, rc, "profile.set", name_of(p->args), CP_RESET_EV_PROFILE);
}

static int attempt_profile_del(struct pending_change *p, char *why, size_t size)
{
	struct cp_change *c = cp_change_create(cmds_store(p->cmds));
	int rc = c == NULL ? -ENOMEM : cp_change_profile_del(c, name_of(p->args), why, size);

	return finish(p, c, rc, "profile.del", name_of(p->args), CP_RESET_EV_MAX);
}

static int attempt_srst_add(struct pending_change *p, char *why, size_t size)
{
	struct cp_change *c = cp_change_create(cmds_store(p->cmds));
	int rc = c == NULL ? -ENOMEM : json_change_srst(c, p->args, false, why, size);

	return finish(p, c, rc, "srst.add", name_of(p->args), CP_RESET_EV_MAX);
}

static int attempt_srst_set(struct pending_change *p, char *why, size_t size)
{
	struct cp_store *s = cmds_store(p->cmds);
	struct cp_change *c;
	struct cp_srst sr;
	bool had;
	int rc = cp_store_srst(s, name_of(p->args), &sr);

	if (rc < 0) {
		snprintf(why, size, "no SRST reference %s", cfg_q(name_of(p->args)));
		return rc;
	}
	had = sr.cert.len > 0;
	c = cp_change_create(s);
	rc = c == NULL ? -ENOMEM : json_srst_set(p->args, &sr, why, size);
	if (rc == 0)
		rc = cp_change_srst_put(c, &sr, true, why, size);
	had = had && !sr.secure; /* 004b:SRST-07: with the box it goes */
	cp_srst_free(&sr);
	rc = finish(p, c, rc, "srst.set", name_of(p->args), CP_RESET_EV_SRST);
	if (rc == 0)
		cp_srst_says(s, name_of(p->args), had, p->result);
	return rc;
}

/* 004b:SRST-08: a certificate that somebody has looked at and accepts. */
static int attempt_srst_cert(struct pending_change *p, char *why, size_t size)
{
	const char *data = json_string_value(json_object_get(p->args, "data"));
	struct cp_store *s = cmds_store(p->cmds);
	struct cp_buf raw = {0};
	const unsigned char *at;
	struct cp_change *c;
	struct cp_srst sr;
	X509 *cert;
	uint8_t *der = NULL;
	BIO *bio;
	int rc = cp_store_srst(s, name_of(p->args), &sr), len;

	if (rc < 0) {
		snprintf(why, size, "no SRST reference %s", cfg_q(name_of(p->args)));
		return rc;
	}
	if (!sr.secure) {
		cp_srst_free(&sr);
		snprintf(why, size, "SRST reference %s is not secured: srst set %s --secure first", name_of(p->args), name_of(p->args));
		return -EINVAL;
	}
	if (data == NULL || json_take_base64(data, strlen(data), &raw) < 0 || raw.len == 0) {
		cp_srst_free(&sr);
		snprintf(why, size, "data is not base64, or empty");
		return -EINVAL;
	}
	at = raw.data;
	cert = d2i_X509(NULL, &at, (long)raw.len);
	if (cert == NULL && (bio = BIO_new_mem_buf(raw.data, (int)raw.len)) != NULL) {
		cert = PEM_read_bio_X509(bio, NULL, pki_no_password, NULL);
		BIO_free(bio);
	}
	free(raw.data);
	len = cert != NULL ? i2d_X509(cert, &der) : -1;
	X509_free(cert);
	if (len <= 0) {
		cp_srst_free(&sr);
		snprintf(why, size, "it is no certificate, in PEM or DER");
		return -EINVAL;
	}
	free(sr.cert.data);
	sr.cert = (struct cp_buf){malloc((size_t)len), (size_t)len};
	if (sr.cert.data != NULL)
		memcpy(sr.cert.data, der, (size_t)len);
	OPENSSL_free(der);
	c = cp_change_create(s);
	rc = c == NULL || sr.cert.data == NULL ? -ENOMEM : cp_change_srst_put(c, &sr, true, why, size);
	cp_srst_free(&sr);
	rc = finish(p, c, rc, "srst.cert", name_of(p->args), CP_RESET_EV_SRST_CERT);
	if (rc == 0)
		cp_srst_says(s, name_of(p->args), false, p->result);
	return rc;
}

static int attempt_srst_del(struct pending_change *p, char *why, size_t size)
{
	struct cp_change *c = cp_change_create(cmds_store(p->cmds));
	bool had = false;
	struct cp_srst sr;
	int rc = c == NULL ? -ENOMEM : cp_change_srst_del(c, name_of(p->args), why, size);

	if (rc == 0 && cp_store_srst(cmds_store(p->cmds), name_of(p->args), &sr) == 0) {
		had = sr.cert.len > 0;
		cp_srst_free(&sr);
	}
	rc = finish(p, c, rc, "srst.del", name_of(p->args), CP_RESET_EV_MAX);
	if (rc == 0 && had)
		cp_srst_says(cmds_store(p->cmds), name_of(p->args), true, p->result);
	return rc;
}

static int attempt_cluster_set(struct pending_change *p, char *why, size_t size)
{
	struct cp_store *s = cmds_store(p->cmds);
	struct cp_change *c = cp_change_create(s);
	struct cp_cluster cl;
	int rc;

	cp_store_cluster(s, &cl);
	rc = c == NULL ? -ENOMEM : json_cluster_set(p->args, &cl, why, size);
	if (rc == 0)
		rc = cp_change_cluster_put(c, &cl, why, size);
	cp_cluster_free(&cl);
	change_warns(p, CP_WARN_ALL, "");
	return finish(p, c, rc, "cluster.set", "cluster", CP_RESET_EV_CLUSTER);
}

static int attempt_device_set(struct pending_change *p, char *why, size_t size)
{
	struct cp_store *s = cmds_store(p->cmds);
	const struct cp_device *old = cp_dir_device(s, name_of(p->args));
	struct cp_change *c;
	enum cp_reset_event ev;
	struct cp_device dev;
	int rc;

	if (old == NULL) {
		snprintf(why, size, "no device %s", cfg_q(name_of(p->args)));
		return -ENOENT;
	}
	rc = cp_device_copy(old, &dev);
	if (rc < 0)
		return rc;
	c = cp_change_create(s);
	rc = c == NULL ? -ENOMEM : json_device_set(p->args, &dev, why, size);
	if (rc == 0 && dev.digest_user[0] == '\0') { /* without a user there is nobody whose secret it is */
		free(dev.digest_secret.data);
		dev.digest_secret = (struct cp_buf){0};
	}
	if (rc == 0) {
		cp_change_share(c, p->shared);
		rc = cp_change_device_put(c, &dev, true, why, size);
	}
	ev = rc == 0 ? cp_reset_of_device(old, &dev) : CP_RESET_EV_MAX;
	cp_device_free(&dev);
	change_warns(p, CP_WARN_DEVICE, name_of(p->args));
	return finish(p, c, rc, "device.set", name_of(p->args), ev);
}

CMDS_CHANGE(profile_add)
CMDS_CHANGE(profile_set)
CMDS_CHANGE(profile_del)
CMDS_CHANGE(srst_add)
CMDS_CHANGE(srst_set)
CMDS_CHANGE(srst_cert)
CMDS_CHANGE(srst_del)
CMDS_CHANGE(cluster_set)

/* --- secrets of a device: sealed by the signer first, away from the loop --- */

static const struct cmds_secret secrets[2] = {{"digest_password", "digest_secret", "digest"}, {"config_key_hex", "config_key", "config-key"}};

static int hex_key(const char *text, uint8_t *ret)
{
	return strlen(text) == 32 ? cfg_hex_parse(text, ret, 16) : -EINVAL;
}

static void device_set(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	const char *name = NULL, *text[2] = {NULL, NULL};
	struct cmds_seal *j;

	if (cp_admin_arg_str(req, args, "name", true, &name) < 0 ||
	    cp_admin_arg_str(req, args, secrets[0].clear, false, &text[0]) < 0 ||
	    cp_admin_arg_str(req, args, secrets[1].clear, false, &text[1]) < 0)
		return;
	if (text[0] == NULL && text[1] == NULL) {
		cmds_run(ctx, req, args, NULL, attempt_device_set);
		return;
	}
	if (!cp_device_name_ok(name)) {
		cp_admin_fail(req, "invalid", "name %s is not SEP and 12 upper-case hex digits", cfg_q(name));
		return;
	}
	if (text[0] != NULL && (strlen(text[0]) == 0 || strlen(text[0]) > 128 || !cp_secret_text_ok(text[0]))) {
		cp_admin_fail(req, "invalid", "a digest password is 1 to 128 bytes of printable UTF-8");
		return;
	}
	j = cmds_seal_create(ctx, req, args, name, secrets, attempt_device_set);
	if (j == NULL)
		return;
	if (text[0] != NULL)
		cmds_seal_add(j, 0, text[0], strlen(text[0]));
	if (text[1] != NULL) {
		uint8_t key[16];

		if (hex_key(text[1], key) < 0) {
			cp_admin_fail(req, "invalid", "a configuration key is 32 hex digits");
			cmds_seal_destroy(j);
			return;
		}
		cmds_seal_add(j, 1, key, sizeof(key));
		OPENSSL_cleanse(key, sizeof(key));
	}
	cmds_seal_run(j);
}

int cmds_phone(struct cmds *c, struct cp_admin *admin)
{
	static const struct {
		const char *cmd;
		cp_admin_fn fn;
	} list[] = {
		{"device.set", device_set},
		{"profile.add", profile_add},
		{"profile.set", profile_set},
		{"profile.del", profile_del},
		{"srst.add", srst_add},
		{"srst.set", srst_set},
		{"srst.cert", srst_cert},
		{"srst.del", srst_del},
		{"cluster.set", cluster_set},
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && rc == 0; i++)
		rc = cp_admin_register(admin, list[i].cmd, list[i].fn, c);
	if (rc == 0)
		rc = cmds_region(c, admin);
	if (rc == 0)
		rc = cmds_devtype(c, admin);
	return rc < 0 ? rc : cmds_phone_show(c, admin);
}
