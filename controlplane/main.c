/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ravelin-controlplane: registration, call control, key management and administration on one event loop, the
 * store's thread beside it. Starts in any order with the other processes: waits for the signer, then serves,
 * and finds the dataplane by itself.
 */
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "app.h"
#include "appint.h"
#include "backup/backup.h"
#include "call/call.h"
#include "config.h"
#include "gateway/sa.h"
#include "log.h"
#include "nodump.h"
#include "secheap.h"
#include "store/store.h"

static void on_early_signal(int sig)
{
	(void)sig;
	cp_app_stop_early = 1;
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
	rc = cp_app_signer_wait(&app);
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
	rc = cp_app_start(&app);
	if (rc == 0) {
		cfg_log(CFG_LOG_NOTICE, "ready", "version=%s devices=%zu gateways=%zu calls=%u", RAVELIN_VERSION,
			cp_store_count(app.store, CP_CF_DEVICE), cp_store_count(app.store, CP_CF_GATEWAY),
			cp_calls_count(app.calls));
		if (!cp_app_stop_early)
			event_base_dispatch(app.base);
	}
	cp_app_stop(&app);
	event_free(sigterm);
	event_free(sigint);
	event_base_free(app.base);
	cfg_free(app.cfg);
	if (rc == 0)
		cfg_log(CFG_LOG_NOTICE, "stopped", "clean=1");
	return rc == 0 ? 0 : 1;
}
