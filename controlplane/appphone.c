/* SPDX-License-Identifier: BSD-3-Clause */
/* What registration asks about a phone and its certificate, and what it tells of one. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "alarm.h"
#include "app.h"
#include "appint.h"
#include "config.h"
#include "enrol/capf.h"
#include "enrol/lscs.h"
#include "provision/files.h"
#include "sccp/autoreg.h"
#include "sccp/sccp.h"
#include "store/store.h"
#include "trust/certs.h"
#include "trust/ledger.h"
#include "trust/lists.h"
#include "x509.h"

static const struct cp_device *find_device(void *ctx, const char *name)
{
	struct cp_app *app = ctx;

	return cp_dir_device(app->store, name);
}

/* What a device's record demands counts in a mixed cluster only. */
static enum cp_device_mode device_mode(void *ctx, const struct cp_device *dev)
{
	struct cp_app *app = ctx;

	return cp_lists_device_mode(app->lists, dev);
}

static int cert_name(X509 *cert, char ret_name[CP_DEVICE_NAME_MAX])
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1), len;
	const ASN1_STRING *cn;
	char name[CP_DEVICE_NAME_MAX];

	if (pki_name_device(cert, ret_name) == 0)
		return 0;
	/* 004a:PKI-09: a voice-mail port's, which its server signed: one common name, the port's */
	if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return -EACCES;
	cn = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
	len = ASN1_STRING_length(cn);
	if (len <= 0 || len >= (int)sizeof(name))
		return -EACCES;
	memcpy(name, ASN1_STRING_get0_data(cn), (size_t)len);
	name[len] = '\0';
	if (strlen(name) != (size_t)len || !cp_vm_port_name_ok(name))
		return -EACCES;
	memcpy(ret_name, name, (size_t)len + 1);
	return 0;
}

/* It believed our certificate, and showed its own: the ledger notes both. A MIC is no LSC: only what our CAPF issued is one. */
static void note_handshake(struct cp_app *app, const char *device, X509 *cert)
{
	X509 *ours = cp_certs_own(app->certs, "CallManager"), *capf = cp_certs_own(app->certs, "CAPF");

	cp_ledger_handshake(app->ledger, device, ours);
	if (capf != NULL && X509_check_issued(capf, cert) == X509_V_OK)
		cp_ledger_lsc(app->ledger, device, cert, CP_LEDGER_HANDSHAKE);
	X509_free(ours);
	X509_free(capf);
}

static bool cert_revoked(void *ctx, X509 *cert)
{
	struct cp_app *app = ctx;

	return cp_lscs_refused(app->lscs, cert);
}

/*
 * Issued through our CAPF: by an external CA, or under a key of long ago, as its records say; or by its key of now or before. A
 * manufacturer's is not. A voice-mail port has no LSC: its certificate is its server's.
 */
static bool cert_lsc(void *ctx, X509 *cert)
{
	static const char *const names[] = {"CAPF", "CAPF.prev"};
	struct cp_app *app = ctx;
	char name[CP_DEVICE_NAME_MAX];
	bool ours = (CP_LSC_BIT(cp_lscs_state(app->lscs, cert)) & CP_LSC_LIVE) != 0 ||
		    (cert_name(cert, name) == 0 && cp_vm_port_name_ok(name));

	for (unsigned i = 0; i < 2 && !ours; i++) {
		X509 *capf = cp_certs_own(app->certs, names[i]);
		EVP_PKEY *key = capf != NULL ? X509_get0_pubkey(capf) : NULL;

		ours = key != NULL && X509_check_issued(capf, cert) == X509_V_OK && X509_verify(cert, key) == 1;
		X509_free(capf);
	}
	ERR_clear_error();
	return ours;
}

static bool auto_allowed(void *ctx)
{
	struct cp_app *app = ctx;

	return cp_lists_auto_registration(app->lists);
}

static void auto_added(void *ctx, const char *name, int rc)
{
	struct cp_app *app = ctx;

	cp_sccp_auto_added(app->sccp, name, rc);
}

static int auto_add(void *ctx, const char *name, uint32_t type, char *why, size_t size)
{
	struct cp_app *app = ctx;

	return cp_autoreg_add(app->autoreg, name, type, why, size);
}

static void sccp_alarm(void *ctx, const char *id, const char *subject, const char *text)
{
	struct cp_app *app = ctx;

	if (text != NULL)
		cp_alarm_raise(app->alarms, id, CP_ALARM_MAJOR, subject, "%s", text);
	else
		cp_alarm_clear(app->alarms, id, subject);
}

static void phone_seen(void *ctx, const char *device, const struct cfg_addr *addr, X509 *cert, bool here)
{
	struct cp_app *app = ctx;

	if (!cp_device_name_ok(device)) /* a voice-mail port: it has neither lists, nor files, nor an LSC of ours */
		return;
	if (here && app->ledger != NULL)
		cp_ledger_here(app->ledger, device, addr);
	if (here && cert != NULL && app->ledger != NULL)
		note_handshake(app, device, cert);
	if (here && cert != NULL && app->capf != NULL)
		cp_capf_seen(app->capf, device, cert);
	if (app->files == NULL)
		return;
	cp_files_phone(app->files, device, addr, here);
	if (cert != NULL)
		cp_files_phone_cert(app->files, device, cert);
}

void cp_app_phone_hooks(struct cp_app *app, struct cp_sccp_opts *opts)
{
	opts->find_device = find_device;
	opts->device_mode = device_mode;
	opts->cert_name = cert_name;
	opts->cert_revoked = cert_revoked;
	opts->cert_lsc = app->cfg->sccp.mic_only ? NULL : cert_lsc;
	opts->auto_add = auto_add;
	opts->alarm = sccp_alarm;
	opts->seen = phone_seen;
	opts->ctx = app;
}

void cp_app_autoreg_hooks(struct cp_app *app, struct cp_autoreg_env *env)
{
	env->allowed = auto_allowed;
	env->added = auto_added;
	env->ctx = app;
}
