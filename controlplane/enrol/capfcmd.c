/* SPDX-License-Identifier: BSD-3-Clause */
#include "enrol/capfcmd.h"

#include <errno.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/admin.h"
#include "app.h"
#include "clock.h"
#include "config.h"
#include "enrol/capfop.h"
#include "enrol/enrol.h"
#include "enrol/lscs.h"
#include "log.h"
#include "sccp/devtype.h"
#include "signerc/signerc.h"
#include "store/phonecfg.h"
#include "store/store.h"
#include "store/typerec.h"
#include "trust/certs.h"
#include "trust/lists.h"

const char *cp_capfcmd_iso(int64_t us, char buf[32])
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	buf[0] = '\0';
	if (us > 0 && localtime_r(&t, &tm) != NULL)
		strftime(buf, 32, "%Y-%m-%dT%H:%M:%S%z", &tm);
	return buf;
}

void cp_capfcmd_audit(struct cp_batch *b, const char *event, const char *who, const char *device, const char *text)
{
	(void)cp_batch_audit_json(b, json_pack("{s:s,s:s,s:s,s:s}", "event", event, "who", who, "device", device, "text", text));
}

int cp_capfcmd_load(struct cp_app *app, const char *device, struct cp_capf_oprec *rec)
{
	int rc = cp_store_capf_op(app->store, device, rec);

	if (rc == -ENOENT) {
		memset(rec, 0, sizeof(*rec));
		snprintf(rec->device, sizeof(rec->device), "%s", device);
		return 0;
	}
	if (rc == 0)
		(void)cp_capf_op_expire(rec, cp_wall_us()); /* the sweep writes it down */
	return rc;
}

const struct cp_device *cp_capfcmd_device_arg(struct cp_app *app, struct cp_admin_req *req, const json_t *args, const char *member)
{
	const struct cp_device *dev;
	const char *name = NULL;

	if (cp_admin_arg_str(req, args, member, true, &name) < 0)
		return NULL;
	dev = cp_dir_device(app->store, name);
	if (dev == NULL)
		cp_admin_fail(req, "not-found", "no device %s", cfg_q(name));
	return dev;
}

enum cp_device_mode cp_capfcmd_mode_of(struct cp_app *app, const struct cp_device *dev)
{
	return app->lists != NULL ? cp_lists_device_mode(app->lists, dev) : dev->mode;
}

bool cp_capfcmd_has_mic(struct cp_app *app, const char *device, const struct cp_capf_oprec *rec)
{
	struct cp_phone_cert pc;
	const uint8_t *p;
	bool mic = false;
	X509 *cert;

	if (rec->shown == 2)
		return true;
	if (cp_store_phone_cert(app->store, device, &pc) < 0)
		return false;
	p = pc.cert.data;
	cert = d2i_X509(NULL, &p, (long)pc.cert.len);
	if (cert != NULL) {
		X509 *capf = cp_certs_own(app->certs, "CAPF");

		mic = cp_lscs_state(app->lscs, cert) == 0 && (capf == NULL || X509_check_issued(capf, cert) != X509_V_OK);
		X509_free(capf);
	}
	X509_free(cert);
	cp_phone_cert_free(&pc);
	return mic;
}

int cp_capfcmd_backup_bits(const char *name, uint16_t *ret)
{
	uint8_t key, curve;

	return cp_capf_key_parse(name, &key, &curve, ret) < 0 || key != CP_CAPF_RSA ? -EINVAL : 0;
}

int cp_capfcmd_new_op(struct cp_app *app, const struct cp_device *dev, const struct cp_capf_want *want, int64_t now_us,
		      struct cp_capf_oprec *rec, char *why, size_t size)
{
	struct cp_capf_set s = {.device = dev->name, .op = want->op, .by = want->by, .deadline_us = want->deadline_us, .wave = want->wave,
				.force = want->force, .backup_bits = want->backup_bits, .old_keys = app->cfg->enrol.old_keys};
	struct cp_profile profile = {0};
	bool has_profile = dev->profile[0] != '\0' && cp_store_profile(app->store, dev->profile, &profile) == 0;
	char serial[CP_LSC_SERIAL_MAX];
	int rc;

	s.mode = cp_capfcmd_mode_of(app, dev);
	s.foreign = !(cp_store_devtype(app->store, dev->model, 0).flags & CP_DT_TRUSTED);
	s.has_lsc = cp_lscs_of(app->lscs, dev->name, CP_LSC_LIVE, serial);
	s.has_mic = cp_capfcmd_has_mic(app, dev->name, rec);
	if (want->by == CP_CAPF_NONE && want->fit && (s.has_lsc || s.has_mic))
		s.by = s.has_lsc ? CP_CAPF_LSC : CP_CAPF_MIC;
	else if (want->by == CP_CAPF_NONE && has_profile)
		s.by = profile.capf_auth;
	s.has_string = want->has_string || (want->make_string && s.by == CP_CAPF_STRING);
	s.key = want->key != NULL ? want->key : has_profile ? profile.capf_key : "";
	if (want->key == NULL && s.backup_bits == 0 && has_profile && profile.capf_backup[0] != '\0')
		(void)cp_capfcmd_backup_bits(profile.capf_backup, &s.backup_bits);
	if (RAND_bytes((uint8_t *)&s.id, sizeof(s.id)) != 1 || s.id == 0) {
		snprintf(why, size, "no random numbers");
		rc = -EIO;
	} else {
		rc = cp_capf_op_set(rec, &s, now_us, why, size);
	}
	if (has_profile)
		cp_profile_free(&profile);
	return rc;
}

json_t *cp_capf_row(const struct cp_capf_row *r, int64_t now_us)
{
	const struct cp_capf_oprec *rec = r->rec;
	bool shown = rec->status != CP_CAPF_ST_NONE;
	bool failed = shown && rec->tried && rec->status != CP_CAPF_ST_DONE;
	char text[64], by[32], until[32], last[32], expires[32];
	json_t *o = json_object();

	json_object_set_new(o, "device", json_string(rec->device));
	json_object_set_new(o, "operation", json_string(shown ? cp_capf_op_name(rec->op) : ""));
	json_object_set_new(o, "status", json_string(cp_capf_op_text(rec, text, sizeof(text))));
	json_object_set_new(o, "auth", json_string(shown ? cp_capf_auth_name(rec->by) : ""));
	json_object_set_new(o, "string", json_string(r->string));
	json_object_set_new(o, "error", json_string(failed ? cp_capf_outcome_text((enum cp_capf_outcome)rec->outcome) : ""));
	json_object_set_new(o, "remedy", json_string(cp_capf_op_remedy(rec)));
	json_object_set_new(o, "lsc", json_string(r->serial));
	json_object_set_new(o, "lsc_expires", json_string(cp_capfcmd_iso(r->expires_us, expires)));
	json_object_set_new(o, "key", json_string(shown ? rec->key : ""));
	json_object_set_new(o, "detail", json_string(shown ? rec->detail : "")); /* ASCII: capfsess.c makes it */
	json_object_set_new(o, "complete_by", json_string(rec->status == CP_CAPF_ST_PENDING ? cp_capfcmd_iso(rec->deadline_us, by) : ""));
	json_object_set_new(o, "last", json_string(cp_capfcmd_iso(rec->last_us, last)));
	json_object_set_new(o, "attempts", json_integer(rec->attempts));
	json_object_set_new(o, "wrong_strings", json_integer(rec->wrong));
	json_object_set_new(o, "locked_until", json_string(rec->locked_us > now_us ? cp_capfcmd_iso(rec->locked_us, until) : ""));
	json_object_set_new(o, "model", json_string(r->model));
	json_object_set_new(o, "profile", json_string(r->profile));
	return o;
}

void cp_capf_string_open(struct cp_signer *signer, const struct cp_capf_oprec *rec, char ret[CP_CAPF_STRING_MAX + 1])
{
	uint8_t *plain = NULL;
	char aad[64];
	size_t len = 0;

	ret[0] = '\0';
	if (rec->string.len == 0)
		return;
	cp_capf_string_aad(rec->device, rec->id, aad);
	if (signer != NULL && cp_signer_unseal(signer, rec->string.data, rec->string.len, aad, strlen(aad), &plain, &len) == 0 &&
	    len <= CP_CAPF_STRING_MAX) {
		memcpy(ret, plain, len);
		ret[len] = '\0';
	} else {
		snprintf(ret, CP_CAPF_STRING_MAX + 1, "?");
	}
	OPENSSL_clear_free(plain, len);
}

int cp_capf_string_seal(struct cp_signer *signer, struct cp_capf_oprec *rec, const char *string)
{
	uint8_t *sealed = NULL, *own;
	char aad[64];
	size_t len = 0;
	int rc;

	cp_capf_string_aad(rec->device, rec->id, aad);
	rc = cp_signer_seal(signer, string, strlen(string), aad, strlen(aad), &sealed, &len);
	if (rc < 0)
		return rc;
	own = malloc(len);
	if (own != NULL) {
		memcpy(own, sealed, len);
		rec->string = (struct cp_buf){own, len};
	}
	OPENSSL_free(sealed);
	return own != NULL ? 0 : -ENOMEM;
}

int cp_capf_commands(struct cp_app *app)
{
	int rc = cp_capf_set_commands(app);

	if (rc == 0)
		rc = cp_capf_show_commands(app);
	return rc == 0 ? cp_capf_report_commands(app) : rc;
}
