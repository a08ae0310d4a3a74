/* SPDX-License-Identifier: BSD-3-Clause */
/* The controlplane's parts: made in the order in which they need each other, ended in the order that owes nobody an answer. */
#include <errno.h>
#include <event2/event.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin.h"
#include "alarm.h"
#include "app.h"
#include "appint.h"
#include "backup/backup.h"
#include "backup/due.h"
#include "call/call.h"
#include "capture.h"
#include "config.h"
#include "dpclient.h"
#include "enrol/ctlprov.h"
#include "enrol/enrol.h"
#include "enrol/lscs.h"
#include "enrol/tvsapp.h"
#include "gateway/gateway.h"
#include "gateway/sa.h"
#include "gateway/spd.h"
#include "ike/ike.h"
#include "ike/sasource.h"
#include "log.h"
#include "net/net.h"
#include "net/tls.h"
#include "offload.h"
#include "provision/files.h"
#include "provision/serve.h"
#include "sccp/autoreg.h"
#include "sccp/front.h"
#include "sccp/resetcmd.h"
#include "sccp/resetkeep.h"
#include "sccp/sccp.h"
#include "shards.h"
#include "sigcap/sigcap.h"
#include "signerc/signerc.h"
#include "store/store.h"
#include "trust/certs.h"
#include "trust/ledger.h"
#include "trust/lists.h"
#include "trust/turn.h"

#define FD_SPARE      1024 /* descriptors of what has no limit of its own: the store, administrators */
#define LOOPS_DEFAULT 8    /* of phones' connections, at most */

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
		.unseal = cp_app_unseal_once,
		.identity = cp_app_ike_identity,
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

int cp_app_start(struct cp_app *app)
{
	const struct cfg *cfg = app->cfg;
	struct cp_admin_backend backend;
	struct cp_sccp_opts sccp = {
		.base = app->base,
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
		.first = cfg->sccp.auto_first,
		.last = cfg->sccp.auto_last,
		.digits = cfg->sccp.auto_digits,
	};
	struct cp_captures_env captures = {.base = app->base, .cfg = cfg};
	struct cp_sigcaps_env sigcaps = {.base = app->base, .cfg = cfg, .next_id = cp_captures_next_id};
	struct cp_sas_env sas = {.base = app->base, .cfg = cfg, .unseal = cp_app_unseal, .unseal_ctx = app};
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
	cp_alarms_limit(app->alarms, CP_ALARM_MAX + CP_ALARM_OF_GATEWAY * cfg->dataplane.max_gateways);
	app->dp = cp_dp_create(app->base, cfg->paths.run, app->epoch, cfg->media.addresses_count, cfg->media.base_port,
			       &cp_app_dp_ops, app);
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
	cp_gws_agents(app->gws, cfg->mgcp.agents, cfg->mgcp.agents_count, cfg->mgcp.claim);
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

	cp_app_autoreg_hooks(app, &autoreg);
	autoreg.store = app->store;
	autoreg.alarms = app->alarms;
	app->autoreg = cp_autoreg_create(&autoreg);
	if (app->autoreg == NULL)
		return -ENOMEM;
	cp_app_phone_hooks(app, &sccp);
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
		.seal = cp_app_seal,
		.cert_issue = cp_app_cert_issue,
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

void cp_app_stop(struct cp_app *app)
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
