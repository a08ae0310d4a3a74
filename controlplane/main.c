/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ravelin-controlplane: registration, call control, key management and administration on one event loop, the
 * store's thread beside it. Starts in any order with the other processes: waits for the signer, then serves,
 * and finds the dataplane by itself.
 */
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/admin.h"
#include "alarm.h"
#include "app.h"
#include "call/call.h"
#include "capture.h"
#include "backup/backup.h"
#include "backup/due.h"
#include "config.h"
#include "dpclient.h"
#include "enrol/capf.h"
#include "enrol/ctlprov.h"
#include "enrol/enrol.h"
#include "enrol/tvsapp.h"
#include "gateway/gateway.h"
#include "gateway/sa.h"
#include "ike/ike.h"
#include "gateway/spd.h"
#include "ike/sasource.h"
#include "net/net.h"
#include "net/tls.h"
#include "nodump.h"
#include "offload.h"
#include "provision/files.h"
#include "provision/serve.h"
#include "sccp/autoreg.h"
#include "sccp/front.h"
#include "sccp/resetcmd.h"
#include "sccp/resetkeep.h"
#include "sccp/sccp.h"
#include "secheap.h"
#include "shards.h"
#include "sigcap/sigcap.h"
#include "signerc/signerc.h"
#include "store/store.h"
#include "trust/certs.h"
#include "trust/ledger.h"
#include "trust/lists.h"
#include "trust/turn.h"
#include "x509.h"

#define FD_SPARE          1024 /* descriptors of what has no limit of its own: the store, administrators */
#define SIGNER_TIMEOUT_MS 5000
#define LOOPS_DEFAULT     8 /* of phones' connections, at most */

static volatile sig_atomic_t stop_early;

static void on_early_signal(int sig)
{
	(void)sig;
	stop_early = 1;
}

/* --- the channel --- */

static void dp_up(void *ctx, bool fresh)
{
	struct cp_app *app = ctx;

	cp_alarm_clear(app->alarms, "dataplane-down", "dataplane");
	cp_shards_up(app->shards, app->dp, fresh);
	cp_spd_up(app->spd); /* before anything that they are about */
	cp_gws_up(app->gws, fresh); /* before the SAs, which name their gateway */
	cp_sas_up(app->sas);
	cp_calls_up(app->calls, fresh);
	cp_captures_up(app->captures, fresh);
	/* What was asserted or adopted above is in front of this in the channel. SAs follow when their sequence
	 * numbers are on disk: they are adopted first, so that the sweep spares a living one. */
	cp_sas_adopt(app->sas);
	cp_dp_sweep(app->dp);
	if (app->sasource != NULL)
		cp_sasource_up(app->sasource);
}

static void dp_down(void *ctx)
{
	struct cp_app *app = ctx;

	cp_calls_down(app->calls);
	cp_captures_down(app->captures);
	cp_shards_down(app->shards);
	cp_sas_down(app->sas, app->stopping);
	cp_gws_down(app->gws);
	if (!app->stopping)
		cp_alarm_raise(app->alarms, "dataplane-down", CP_ALARM_CRITICAL, "dataplane",
			       "the channel to the dataplane is down: no new calls");
}

static void dp_shard_moved(void *ctx, const struct dp_shard_moved *ev)
{
	struct cp_app *app = ctx;

	cp_shards_moved(app->shards, ev);
}

static void dp_leg_aged(void *ctx, const struct dp_leg_aged *ev)
{
	struct cp_app *app = ctx;

	cp_calls_leg_aged(app->calls, ev);
}

static void dp_leg_event(void *ctx, const struct dp_leg_event *ev)
{
	struct cp_app *app = ctx;

	cp_calls_leg_event(app->calls, ev);
}

static void dp_mgcp_done(void *ctx, struct dp_mgcp_done *ev)
{
	struct cp_app *app = ctx;

	cp_gws_mgcp_done(app->gws, ev);
}

static void dp_mgcp_event(void *ctx, const struct dp_mgcp_event *ev)
{
	struct cp_app *app = ctx;

	cp_gws_mgcp_event(app->gws, ev);
}

static void dp_mgcp_text(void *ctx, const struct dp_mgcp_text *ev)
{
	struct cp_app *app = ctx;

	cp_gws_mgcp_text(app->gws, ev);
}

static void dp_gw_heard(void *ctx, const struct dp_gw_heard *ev)
{
	struct cp_app *app = ctx;

	cp_gws_heard(app->gws, ev);
}

static void dp_sa_event(void *ctx, const struct dp_sa_event *ev)
{
	struct cp_app *app = ctx;

	cp_sas_event(app->sas, ev);
}

static void dp_capture_done(void *ctx, const struct dp_capture_done *ev)
{
	struct cp_app *app = ctx;

	cp_captures_done(app->captures, ev);
}

static void dp_trace_pkt(void *ctx, const struct dp_trace_pkt *ev)
{
	struct cp_app *app = ctx;

	cp_captures_trace(app->captures, ev);
}

static const struct cp_dp_ops dp_ops = {
	.up = dp_up,
	.down = dp_down,
	.leg_aged = dp_leg_aged,
	.leg_event = dp_leg_event,
	.shard_moved = dp_shard_moved,
	.mgcp_done = dp_mgcp_done,
	.mgcp_event = dp_mgcp_event,
	.mgcp_text = dp_mgcp_text,
	.gw_heard = dp_gw_heard,
	.sa_event = dp_sa_event,
	.capture_done = dp_capture_done,
	.trace_pkt = dp_trace_pkt,
};

/* --- services --- */

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

/* The cluster's mode is the CTL's: who is registered as it could not be any more is not. */
static void list_changed(void *ctx, enum pki_tl_kind kind, enum pki_tl_class cls)
{
	struct cp_app *app = ctx;
	bool mixed = cp_lists_mode(app->lists) == CP_CLUSTER_MIXED;
	unsigned n;

	(void)cls;
	if (kind != PKI_TL_CTL || app->sccp == NULL || mixed == app->mixed)
		return;
	app->mixed = mixed;
	n = cp_sccp_mode_changed(app->sccp);
	cfg_log(CFG_LOG_NOTICE, "cluster-mode", "mode=%s phones_closed=%u", mixed ? "mixed" : "nonsecure", n);
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

static void record_changed(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted)
{
	struct cp_app *app = ctx;
	char name[CP_NAME_MAX];

	(void)deleted;
	if (key_len >= sizeof(name))
		return;
	memcpy(name, key, key_len);
	name[key_len] = '\0';
	if (cf == CP_CF_DEVICE) {
		cp_sccp_device_changed(app->sccp, name);
	} else {
		if (!cp_gws_changed(app->gws, name))
			return;
		cp_sas_gateway_changed(app->sas, name);
		cp_ikes_changed(app->ikes, name);
		if (app->sasource != NULL)
			cp_sasource_gateway_changed(app->sasource);
	}
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

/* A device's secret, for its record: where the admin service lets it block. */
static int seal(void *ctx, const uint8_t *clear, size_t len, const char *aad, struct cp_buf *ret)
{
	struct cp_app *app = ctx;
	uint8_t *sealed = NULL;
	size_t sealed_len = 0;
	int rc = cp_signer_seal(app->signer, clear, len, aad, strlen(aad), &sealed, &sealed_len);

	if (rc < 0)
		return rc;
	ret->data = malloc(sealed_len);
	if (ret->data != NULL) {
		memcpy(ret->data, sealed, sealed_len);
		ret->len = sealed_len;
	}
	OPENSSL_free(sealed);
	return ret->data != NULL ? 0 : -ENOMEM;
}

static bool signer_away(int rc)
{
	return rc == -ETIMEDOUT || rc == -EPIPE || rc == -ECONNRESET || rc == -ECONNREFUSED || rc == -ENOENT || rc == -EAGAIN;
}

/* One try; it waits for the signer's answer. */
static int unseal_once(void *ctx, const uint8_t *sealed, size_t len, const char *aad, struct cp_buf *ret)
{
	struct cp_app *app = ctx;
	uint8_t *plain = NULL;
	size_t plain_len = 0;
	int rc = cp_signer_unseal(app->signer, sealed, len, aad, strlen(aad), &plain, &plain_len);

	if (rc < 0)
		return rc;
	ret->data = malloc(plain_len);
	if (ret->data != NULL) {
		memcpy(ret->data, plain, plain_len);
		ret->len = plain_len;
	}
	OPENSSL_clear_free(plain, plain_len);
	return ret->data != NULL ? 0 : -ENOMEM;
}

/*
 * Keys of stored SAs, at start and never on the running loop. A signer that is busy with a long answer to somebody else, or that
 * starts anew, is waited for as signer_wait() does: an SA that is living in the dataplane must not be given up for it.
 */
static int unseal(void *ctx, const uint8_t *sealed, size_t len, const char *aad, struct cp_buf *ret)
{
	struct cp_app *app = ctx;

	for (unsigned tries = 0;; tries++) {
		int rc = unseal_once(ctx, sealed, len, aad, ret);

		if (!signer_away(rc) || stop_early)
			return rc;
		if (tries % 50 == 0)
			cfg_log(CFG_LOG_NOTICE, "waiting-for-signer", "reason=%s sa=%s", cfg_q(cp_signer_error(app->signer)), cfg_q(aad));
		nanosleep(&(struct timespec){0, 100000000}, NULL);
	}
}

/* What charon shows gateways, for threads that may wait. */
static int ike_identity(void *ctx, EVP_PKEY **ret_key, X509 **ret_cert, STACK_OF(X509) **ret_chain)
{
	struct cp_app *app = ctx;

	return cp_signer_server_identity(app->signer, "IPsec", ret_key, ret_cert, ret_chain);
}

/* For tests and simulators: runs where the admin service lets it block. */
static int cert_issue(void *ctx, const char *device, char **ret_key_pem, char **ret_cert_pem, char **ret_ca_pem);

static char *bio_text(BIO *bio)
{
	char *data, *text;
	long len = BIO_get_mem_data(bio, &data);

	text = len > 0 ? malloc((size_t)len + 1) : NULL;
	if (text != NULL) {
		memcpy(text, data, (size_t)len);
		text[len] = '\0';
	}
	return text;
}

/* What a client needs to verify any of our servers, and the issuer of phones' certificates. */
static int ca_bundle(struct cp_app *app, BIO *out)
{
	struct cp_signer_ident *ids = NULL;
	unsigned cnt = 0;
	int rc = cp_signer_idents(app->signer, &ids, &cnt);

	for (unsigned i = 0; rc == 0 && i < cnt; i++) {
		int n = ids[i].chain != NULL ? sk_X509_num(ids[i].chain) : 0;
		X509 *root = n > 0 ? sk_X509_value(ids[i].chain, n - 1) : ids[i].cert;

		if ((ids[i].server || strcmp(ids[i].name, "CAPF") == 0) && PEM_write_bio_X509(out, root) != 1)
			rc = -ENOMEM;
	}
	cp_signer_idents_free(ids, cnt);
	return rc;
}

static int cert_issue(void *ctx, const char *device, char **ret_key_pem, char **ret_cert_pem, char **ret_ca_pem)
{
	struct cp_app *app = ctx;
	EVP_PKEY *key = NULL;
	X509 *cert = NULL, *capf = NULL;
	BIO *k = BIO_new(BIO_s_secmem()), *c = BIO_new(BIO_s_mem()), *a = BIO_new(BIO_s_mem());
	int rc = cp_signer_test_identity(app->signer, device, PKI_RSA_2048, &key, &cert, &capf);

	if (rc == 0 && a != NULL)
		rc = ca_bundle(app, a);
	if (rc == 0 && (k == NULL || c == NULL || a == NULL ||
			PEM_write_bio_PKCS8PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) != 1 ||
			PEM_write_bio_X509(c, cert) != 1))
		rc = -ENOMEM;
	if (rc == 0) {
		*ret_key_pem = bio_text(k);
		*ret_cert_pem = bio_text(c);
		*ret_ca_pem = bio_text(a);
		if (*ret_key_pem == NULL || *ret_cert_pem == NULL || *ret_ca_pem == NULL) {
			if (*ret_key_pem != NULL)
				OPENSSL_cleanse(*ret_key_pem, strlen(*ret_key_pem));
			free(*ret_key_pem);
			free(*ret_cert_pem);
			free(*ret_ca_pem);
			rc = -ENOMEM;
		}
	}
	BIO_free(k);
	BIO_free(c);
	BIO_free(a);
	EVP_PKEY_free(key);
	X509_free(cert);
	X509_free(capf);
	return rc == -ENOENT || rc == -ECONNREFUSED || rc == -EPIPE || rc == -ECONNRESET ? -ENOTCONN : rc;
}

/* The signer holds what this process cannot start without: wait for it, saying so now and then. */
static int signer_wait(struct cp_app *app)
{
	for (unsigned tries = 0; !stop_early; tries++) {
		int rc = cp_signer_open(app->cfg->paths.run, SIGNER_TIMEOUT_MS, &app->signer);

		if (rc == 0)
			return 0;
		if (tries % 50 == 0)
			cfg_log(CFG_LOG_NOTICE, "waiting-for-signer", "reason=%s", cfg_q(strerror(-rc)));
		nanosleep(&(struct timespec){0, 100000000}, NULL);
	}
	return -EINTR;
}

/* Changes of our certificates are asked of the ledger, as soon as there is one. */
static int certs_allow(void *ctx, const struct cp_trust_ask *ask, int64_t strand, unsigned *ret_count, char *why, size_t why_size)
{
	struct cp_app *app = ctx;

	return app->ledger != NULL ? cp_ledger_allow(app->ledger, ask, strand, ret_count, why, why_size) : 0;
}

static int listen_on(struct cp_app *app, uint16_t port, struct cp_tls *tls)
{
	struct cfg_addr addr;
	uint16_t got;
	int rc;

	if (port == 0)
		return 0;
	if (cfg_addr_parse(app->cfg->sccp.listen, &addr) < 0)
		return -EINVAL;
	addr.port = port;
	rc = cp_fronts_listen(app->fronts, &addr, tls, &got);
	if (rc < 0)
		cfg_log(CFG_LOG_ERR, "cannot-listen", "address=%s port=%u reason=%s", app->cfg->sccp.listen, port,
			cfg_q(strerror(-rc)));
	return rc;
}

static int start_store(struct cp_app *app)
{
	struct cp_store_opts opts = {.base = app->base, .alarms = app->alarms, .cdr_max = app->cfg->calls.cdr_max,
				     .cdr_days = app->cfg->calls.cdr_days};
	char path[512], err[256];
	int rc;

	if (mkdir(app->cfg->paths.state, 0700) < 0 && errno != EEXIST) {
		cfg_log(CFG_LOG_ERR, "state-folder", "path=%s reason=%s", app->cfg->paths.state, cfg_q(strerror(errno)));
		return -errno;
	}
	snprintf(path, sizeof(path), "%s/store", app->cfg->paths.state);
	opts.path = path;
	rc = cp_store_open(&opts, &app->store, err, sizeof(err));
	if (rc < 0)
		cfg_log(CFG_LOG_ERR, "store-not-opened", "path=%s reason=%s", path, cfg_q(err));
	return rc;
}

static void another_charon(void *ctx)
{
	struct cp_app *app = ctx;

	if (app->sasource != NULL)
		cp_sasource_another(app->sasource);
}

static int start_ike(struct cp_app *app)
{
	const struct cp_ikes_env env = {
		.base = app->base,
		.vici = app->cfg->ike.vici,
		.agent = app->cfg->mgcp_local,
		.old_algorithms = app->cfg->ipsec.old_algorithms,
		.store = app->store,
		.alarms = app->alarms,
		.offload = app->offload,
		.certs = app->certs,
		.sas = app->sas,
		.unseal = unseal_once,
		.identity = ike_identity,
		.another = another_charon,
		.ctx = app,
	};
	int rc = app->cfg->ike.enable ? cp_ikes_create(&env, &app->ikes) : 0;

	return rc < 0 ? rc : cp_ikes_commands(app->ikes, app->admin);
}

static int start_fronts(struct cp_app *app)
{
	const struct cfg_sccp *cfg = &app->cfg->sccp;
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const struct cp_fronts_opts opts = {
		.base = app->base,
		.sccp = app->sccp,
		.loops = cfg->loops != 0 ? cfg->loops : cpus < 1 ? 1 : cpus > LOOPS_DEFAULT ? LOOPS_DEFAULT : (unsigned)cpus,
		.net = {
			.max_conns = cfg->max_connections,
			.max_preauth = cfg->max_preauth,
			.handshake_ms = cfg->handshake_s * 1000u,
		},
	};

	return cp_fronts_create(&opts, &app->fronts);
}

/* TLS keys come from the signer into locked memory that no core dump holds. */
static void lock_keys(const struct cfg *cfg)
{
	const struct cfg_provision *p = &cfg->provision;
	uint32_t conns = 0, room = 0;

	conns += cfg->sccp.tls_port != 0 ? cfg->sccp.max_connections : 0;
	conns += p->https_port != 0 || p->token_port != 0 ? p->max_connections : 0;
	conns += cfg->enrol.capf_port != 0 ? cfg->enrol.max_connections : 0;
	conns += cfg->enrol.tvs_port != 0 ? cfg->enrol.max_connections : 0;
	if (cp_secheap_init(conns, &room) < 0)
		cfg_log(CFG_LOG_WARN, "keys-not-locked", "reason=\"no secure heap: raise LimitMEMLOCK\"");
	else if (room < conns)
		cfg_log(CFG_LOG_WARN, "keys-room", "tls_connections=%u wanted=%u reason=%s", room, conns,
			cfg_q("no more memory for their keys may be locked: raise LimitMEMLOCK, or lower max_connections"));
}

/* Descriptors for all connections that may be. There are fewer: it works, and refuses the last of them. */
static void files_room(const struct cfg *cfg)
{
	const struct cfg_provision *p = &cfg->provision;
	uint32_t want = cfg->sccp.max_connections + FD_SPARE, room = 0;

	want += p->tftp_port != 0 ? p->max_transfers : 0;
	want += p->http_port != 0 || p->https_port != 0 || p->token_port != 0 ? p->max_connections : 0;
	want += cfg->enrol.capf_port != 0 ? cfg->enrol.max_connections : 0;
	want += cfg->enrol.tvs_port != 0 ? cfg->enrol.max_connections : 0;
	if (cp_net_fd_room(want, &room) < 0)
		cfg_log(CFG_LOG_WARN, "files-limit", "allowed=%u wanted=%u sccp=%u remedy=%s", room + CP_NET_FD_SPARE, want + CP_NET_FD_SPARE,
			cfg->sccp.max_connections,
			cfg_q("a higher limit of open files (LimitNOFILE= of the service, ulimit -Hn), or lower max_connections and max_transfers"));
}

static int start(struct cp_app *app)
{
	const struct cfg *cfg = app->cfg;
	struct cp_admin_backend backend;
	struct cp_sccp_opts sccp = {
		.base = app->base,
		.find_device = find_device,
		.device_mode = device_mode,
		.cert_name = cert_name,
		.cert_revoked = cert_revoked,
		.cert_lsc = cfg->sccp.mic_only ? NULL : cert_lsc,
		.auto_add = auto_add,
		.alarm = sccp_alarm,
		.seen = phone_seen,
		.ctx = app,
		.call = &cp_calls_phone_ops,
		.reset_rate = cfg->sccp.reset_rate,
		.grace_s = cfg->sccp.keepalive_grace_s,
		.register_rate = cfg->sccp.register_rate,
		.refuse_duplicates = cfg->sccp.duplicate == CFG_DUPLICATE_REFUSE,
		.keepalive_s = cfg->sccp.keepalive_s,
		.date_template = cfg->sccp.date_template,
		.server_name = cfg->signer.cluster_name,
	};
	struct cp_calls_env calls = {.base = app->base, .cfg = cfg};
	struct cp_autoreg_env autoreg = {
		.allowed = auto_allowed,
		.added = auto_added,
		.ctx = app,
		.first = cfg->sccp.auto_first,
		.last = cfg->sccp.auto_last,
		.digits = cfg->sccp.auto_digits,
	};
	struct cp_captures_env captures = {.base = app->base, .cfg = cfg};
	struct cp_sigcaps_env sigcaps = {.base = app->base, .cfg = cfg, .next_id = cp_captures_next_id};
	struct cp_sas_env sas = {.base = app->base, .cfg = cfg, .unseal = unseal, .unseal_ctx = app};
	struct cp_sasource_env sasource = {.base = app->base, .cfg = cfg};
	char err[128];
	unsigned bad;

	if (RAND_bytes((uint8_t *)&app->epoch, sizeof(app->epoch)) != 1)
		return -EIO;
	app->epoch |= 1;
	app->alarms = cp_alarms_create();
	app->offload = cp_offload_create(app->base);
	app->admin = cp_admin_create(app->base);
	app->shards = cp_shards_create();
	app->turn = cp_turn_create();
	if (app->alarms == NULL || app->offload == NULL || app->admin == NULL || app->shards == NULL || app->turn == NULL ||
	    start_store(app) < 0)
		return -EIO;
	app->dp = cp_dp_create(app->base, cfg->paths.run, app->epoch, cfg->media.addresses_count, cfg->media.base_port,
			       &dp_ops, app);
	calls.store = app->store;
	calls.alarms = app->alarms;
	calls.dp = app->dp;
	app->calls = app->dp != NULL ? cp_calls_create(&calls) : NULL;
	app->gws = app->calls != NULL ? cp_gws_create(app->base, app->dp, app->store, app->alarms, &cfg->mgcp_local,
						      &cp_calls_gateway_ops, app->calls) :
					NULL;
	if (app->gws == NULL)
		return -ENOMEM;
	cp_gws_pace(app->gws, cfg->mgcp.audit_rate);
	cp_calls_set_gateways(app->calls, app->gws);
	captures.store = app->store;
	captures.alarms = app->alarms;
	captures.dp = app->dp;
	captures.calls = app->calls;
	app->captures = cp_captures_create(&captures);
	if (app->captures == NULL)
		return -ENOMEM;
	sas.store = app->store;
	sas.alarms = app->alarms;
	sas.dp = app->dp;
	sas.gws = app->gws;
	app->sas = cp_sas_create(&sas);
	if (app->sas == NULL)
		return -ENOMEM;
	app->spd = cp_spd_create(cfg, app->dp, app->gws, app->alarms);
	if (app->spd == NULL)
		return -ENOMEM;
	sasource.alarms = app->alarms;
	sasource.sas = app->sas;
	sasource.gws = app->gws;
	app->sasource = cfg->ike.enable ? cp_sasource_create(&sasource) : NULL;
	if (cfg->ike.enable && app->sasource == NULL)
		return -ENOMEM;
	bad = cp_sas_load(app->sas);
	if (bad > 0)
		cfg_log(CFG_LOG_ERR, "sas-unusable", "count=%u", bad);
	cp_calls_load(app->calls);

	autoreg.store = app->store;
	autoreg.alarms = app->alarms;
	app->autoreg = cp_autoreg_create(&autoreg);
	if (app->autoreg == NULL)
		return -ENOMEM;
	sccp.call_ctx = app->calls;
	app->resetkeep = cp_resetkeep_create(app->base, app->store);
	if (app->resetkeep == NULL)
		return -ENOMEM;
	sccp.reset_keep = cp_resetkeep_set;
	sccp.reset_left = cp_resetkeep_left;
	sccp.reset_ctx = app->resetkeep;
	files_room(cfg);
	if (cp_tls_create(cfg->sccp.legacy_tls ? CP_TLS_LEGACY_79XX : CP_TLS_MODERN, cfg->sccp.legacy_tls, &app->tls) < 0 ||
	    cp_certs_create(app, &app->certs) < 0 ||
	    cp_certs_serve(app->certs, app->tls, "CallManager", 1u << CP_TS_CALLMANAGER, true) < 0 ||
	    cp_lists_create(app, &app->lists) < 0 || cp_ledger_create(app, &app->ledger) < 0 ||
	    cp_lscs_create(app->store, &app->lscs) < 0 || cp_enrol_init(app) < 0 ||
	    cp_sccp_create(&sccp, &app->sccp) < 0 ||
	    start_fronts(app) < 0 || listen_on(app, cfg->sccp.tls_port, app->tls) < 0 ||
	    listen_on(app, cfg->sccp.port, NULL) < 0)
		return -EIO;
	cp_certs_allow(app->certs, certs_allow, app);
	app->resets = cp_resetcmd_create(app->sccp, app->store, app->resetkeep, app->admin);
	sigcaps.store = app->store;
	sigcaps.alarms = app->alarms;
	sigcaps.offload = app->offload;
	sigcaps.sccp = app->sccp;
	sigcaps.ctx = app->captures;
	app->sigcaps = cp_sigcaps_create(&sigcaps);
	if (app->resets == NULL || app->sigcaps == NULL)
		return -ENOMEM;
	cp_captures_signalling(app->captures, app->sigcaps);
	backend = (struct cp_admin_backend){
		.store = app->store,
		.alarms = app->alarms,
		.seal = seal,
		.cert_issue = cert_issue,
		.cert_ctx = app,
		.reset = cp_resetcmd_after,
		.old_algorithms = cfg->ipsec.old_algorithms,
		.version = RAVELIN_VERSION,
	};
	backend.reset_ctx = app->resets;
	app->mixed = cp_lists_mode(app->lists) == CP_CLUSTER_MIXED;
	if (cp_lists_watch(app->lists, list_changed, app) < 0 || cp_admin_commands(app->admin, &backend) < 0 || cp_app_commands(app) < 0 ||
	    cp_captures_commands(app->captures, app->admin) < 0 || cp_sigcaps_commands(app->sigcaps, app->admin) < 0 || cp_certs_commands(app->certs) < 0 ||
	    cp_lists_commands(app->lists, app->admin) < 0 || cp_ledger_commands(app->ledger, app->admin) < 0 ||
	    cp_ctlprov_create(app, &app->ctlprov) < 0 ||
	    cp_files_open(app) < 0 ||
	    cp_due_create(app, &app->due) < 0 || cp_backup_commands(app) < 0 ||
	    cp_store_watch(app->store, CP_CF_DEVICE, record_changed, app) < 0 ||
	    cp_store_watch(app->store, CP_CF_GATEWAY, record_changed, app) < 0 || start_ike(app) < 0)
		return -ENOMEM;
	if (cp_serve_open(app) < 0 || cp_enrol_open(app) < 0 || cp_tvs_open(app) < 0)
		return -EIO;
	if (cp_admin_listen(app->admin, cfg->paths.run) < 0) {
		cfg_log(CFG_LOG_ERR, "cannot-listen", "socket=%s/admin.sock reason=%s", cfg->paths.run,
			cfg_q(strerror_r(errno, err, sizeof(err))));
		return -EIO;
	}
	return 0;
}

static void stop(struct cp_app *app)
{
	app->stopping = true;
	if (app->calls != NULL)
		cp_calls_stop(app->calls); /* while phones and gateways can still be told */
	cp_serve_close(app);
	cp_enrol_stop(app);
	cp_tvs_close(app);
	cp_resetkeep_stop(app->resetkeep); /* phones that go now are to be told still */
	cp_fronts_destroy(app->fronts);
	cp_resetcmd_stop(app->resets);
	cp_autoreg_stop(app->autoreg);
	cp_sigcaps_stop(app->sigcaps);
	cp_sccp_destroy(app->sccp);
	cp_ctlprov_stop(app->ctlprov);
	cp_ikes_stop(app->ikes);
	cp_lists_stop(app->lists);
	cp_offload_destroy(app->offload);
	cp_ikes_destroy(app->ikes);
	app->ikes = NULL;
	/* The dataplane goes on with the calls: only our end of the channel closes. */
	cp_dp_close(app->dp);
	cp_files_stop(app->files);
	cp_ledger_stop(app->ledger);
	cp_admin_stop(app->admin);
	/* Calls back what is outstanding: whom it answers must still be there. */
	cp_store_close(app->store);
	cp_admin_destroy(app->admin);
	cp_resetcmd_destroy(app->resets);
	cp_resetkeep_destroy(app->resetkeep);
	cp_autoreg_destroy(app->autoreg);
	cp_files_destroy(app->files);
	cp_ledger_destroy(app->ledger);
	cp_lists_destroy(app->lists);
	cp_ctlprov_destroy(app->ctlprov);
	cp_due_destroy(app->due);
	cp_certs_destroy(app->certs);
	cp_enrol_destroy(app);
	cp_tvs_free(app);
	cp_turn_destroy(app->turn);
	cp_tls_destroy(app->tls); /* the certificate manager loads into them until its end */
	cp_tls_destroy(app->https_tls);
	cp_tls_destroy(app->token_tls);
	cp_sigcaps_destroy(app->sigcaps);
	cp_captures_destroy(app->captures);
	cp_shards_destroy(app->shards);
	cp_sasource_destroy(app->sasource);
	cp_sas_destroy(app->sas);
	cp_gws_destroy(app->gws);
	cp_calls_destroy(app->calls);
	cp_dp_destroy(app->dp); /* what it owes is answered here */
	cp_spd_destroy(app->spd);
	cp_alarms_destroy(app->alarms);
	cp_signer_close(app->signer);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct cp_app *app = arg;

	(void)what;
	cfg_log(CFG_LOG_NOTICE, "stopping", "signal=%d", (int)sig);
	event_base_loopbreak(app->base);
}

static const char usage_text[] = "usage: ravelin-controlplane [-c FILE] [--check-config]\n"
				 "       ravelin-controlplane [-c FILE] --restore BUNDLE [--passphrase-file FILE] [--force] [--strand N]\n"
				 "       ravelin-controlplane --show-backup BUNDLE [--passphrase-file FILE]\n";

int main(int argc, char **argv)
{
	static const struct option opts[] = {
		{"config", required_argument, NULL, 'c'}, {"check-config", no_argument, NULL, 'k'},
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'},
		{"restore", required_argument, NULL, 'r'}, {"show-backup", required_argument, NULL, 's'},
		{"passphrase-file", required_argument, NULL, 'p'}, {"force", no_argument, NULL, 'f'},
		{"strand", required_argument, NULL, 'n'}, {NULL, 0, NULL, 0},
	};
	const char *path = "/etc/ravelin/ravelin.yaml";
	struct cp_app app = {0};
	struct event *sigterm, *sigint;
	struct sigaction sa = {.sa_handler = on_early_signal};
	const char *bundle = NULL, *pass_file = NULL;
	bool check = false, restore = false, force = false;
	int64_t strand = -1;
	char *end;
	char err[256];
	int c, rc;

	while ((c = getopt_long(argc, argv, "c:hV", opts, NULL)) != -1) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 'k':
			check = true;
			break;
		case 'r':
		case 's':
			restore = c == 'r';
			bundle = optarg;
			break;
		case 'p':
			pass_file = optarg;
			break;
		case 'f':
			force = true;
			break;
		case 'n':
			strand = strtoll(optarg, &end, 10);
			if (*optarg == '\0' || *end != '\0' || strand < 0) {
				fputs(usage_text, stderr);
				return 2;
			}
			break;
		case 'V':
			puts(RAVELIN_VERSION);
			return 0;
		case 'h':
			fputs(usage_text, stdout);
			return 0;
		default:
			fputs(usage_text, stderr);
			return 2;
		}
	}
	if (bundle != NULL && !restore)
		return cp_backup_tool(NULL, false, bundle, pass_file, false, -1);
	rc = cfg_load(path, &app.cfg, err, sizeof(err));
	if (rc < 0) {
		fprintf(stderr, "%s: %s\n", path, err);
		return 2;
	}
	if (cp_calls_config(&app.cfg->media, err, sizeof(err)) < 0 || cp_sas_config(app.cfg, err, sizeof(err)) < 0) {
		fprintf(stderr, "%s: %s\n", path, err);
		return 2;
	}
	if (check) {
		cfg_free(app.cfg);
		return 0;
	}
	if (bundle != NULL) {
		cfg_log_init("controlplane", app.cfg->log.format, app.cfg->log.level);
		(void)cfg_no_dump();
		rc = cp_backup_tool(app.cfg, true, bundle, pass_file, force, strand);
		cfg_free(app.cfg);
		return rc;
	}
	cfg_log_init("controlplane", app.cfg->log.format, app.cfg->log.level);
	if (cfg_no_dump() < 0)
		cfg_log(CFG_LOG_WARN, "harden", "hint=\"a core dump might hold keys\"");
	lock_keys(app.cfg);
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	rc = signer_wait(&app);
	if (rc < 0) {
		cfg_free(app.cfg);
		return rc == -EINTR ? 0 : 1;
	}
	app.base = event_base_new(); /* no priorities: phones have loops of their own, and nothing here may wait behind all else */
	sigterm = app.base != NULL ? evsignal_new(app.base, SIGTERM, on_signal, &app) : NULL;
	sigint = app.base != NULL ? evsignal_new(app.base, SIGINT, on_signal, &app) : NULL;
	if (sigterm == NULL || sigint == NULL)
		return 1;
	event_add(sigterm, NULL);
	event_add(sigint, NULL);
	rc = start(&app);
	if (rc == 0) {
		cfg_log(CFG_LOG_NOTICE, "ready", "version=%s devices=%zu gateways=%zu calls=%u", RAVELIN_VERSION,
			cp_store_count(app.store, CP_CF_DEVICE), cp_store_count(app.store, CP_CF_GATEWAY),
			cp_calls_count(app.calls));
		if (!stop_early)
			event_base_dispatch(app.base);
	}
	stop(&app);
	event_free(sigterm);
	event_free(sigint);
	event_base_free(app.base);
	cfg_free(app.cfg);
	if (rc == 0)
		cfg_log(CFG_LOG_NOTICE, "stopped", "clean=1");
	return rc == 0 ? 0 : 1;
}
