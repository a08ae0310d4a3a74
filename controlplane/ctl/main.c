/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelinctl: what was asked for, where the appliance is, and what is done without one. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "ctl.h"
#include "doctor.h"
#include "file.h"
#include "run.h"
#include "say.h"

#define DEFAULT_CONFIG "/etc/ravelin/ravelin.yaml"

/* The configuration that was named, the usual one, or where there is none the defaults. */
static int load_config(const char *config, struct cfg **ret_cfg, char *why, size_t why_size)
{
	const char *file = config != NULL ? config : DEFAULT_CONFIG;

	if (config == NULL && access(file, F_OK) < 0)
		file = NULL;
	return cfg_load(file, ret_cfg, why, why_size);
}

static int doctor(const char *config, const char *root)
{
	const struct ctl_doctor_env env = {.root = root != NULL ? root : "", .sync_us = ctl_doctor_sync_us};
	struct cfg *cfg = NULL;
	unsigned int bad;
	char why[512];
	json_t *list;

	if (load_config(config, &cfg, why, sizeof(why)) < 0)
		return ctl_fail(CTL_USAGE, "configuration", why, NULL);
	list = ctl_doctor(cfg, &env);
	cfg_free(cfg);
	if (list == NULL)
		return ctl_fail(CTL_REFUSED, "failed", "out of memory", NULL);
	bad = ctl_doctor_print(ctl_json ? NULL : stdout, list);
	if (ctl_json)
		ctl_print(list);
	json_decref(list);
	return ctl_flushed(bad > 0 ? CTL_REFUSED : CTL_OK);
}

/* What opens a bundle is the controlplane's own program: beside this one, or found as programs are. */
static int run_bundle(const struct ctl_request *r, const char *config)
{
	bool restore = strcmp(r->cmd->cmd, "restore") == 0;
	char self[4000], beside[2][4100] = {"", ""};
	const char *argv[12];
	char *slash;
	int n = 0;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	argv[n++] = "ravelin-controlplane";
	if (config != NULL && restore) {
		argv[n++] = "-c";
		argv[n++] = config;
	}
	argv[n++] = restore ? "--restore" : "--show-backup";
	argv[n++] = r->local[0];
	if (r->local[1] != NULL) {
		argv[n++] = "--passphrase-file";
		argv[n++] = r->local[1];
	}
	if (restore && r->local[2] != NULL)
		argv[n++] = "--force";
	if (restore && r->local[3] != NULL) {
		argv[n++] = "--strand";
		argv[n++] = r->local[3];
	}
	argv[n] = NULL;
	if (strcmp(r->cmd->cmd, "verify") == 0 && freopen("/dev/null", "w", stdout) == NULL)
		return CTL_REFUSED;
	if (len > 0) {
		self[len] = '\0';
		slash = strrchr(self, '/');
		*slash = '\0';
		snprintf(beside[0], sizeof(beside[0]), "%s/ravelin-controlplane", self);
		snprintf(beside[1], sizeof(beside[1]), "%s/../ravelin-controlplane", self);
	}
	for (int i = 0; i < 2; i++)
		execv(beside[i], (char *const *)(uintptr_t)argv);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	return ctl_fail(CTL_UNREACHABLE, "unreachable", "ravelin-controlplane is not installed here", NULL);
}

static int default_socket(const char *config, char *path, size_t size, char *why, size_t why_size)
{
	struct cfg *cfg = NULL;
	int rc = load_config(config, &cfg, why, why_size);

	if (rc < 0)
		return rc;
	snprintf(path, size, "%s/admin.sock", cfg->paths.run);
	cfg_free(cfg);
	return 0;
}

int main(int argc, char **argv)
{
	const char *config = NULL, *socket_opt = NULL;
	struct ctl_request r = {0};
	char path[4096], why[512] = "";
	int i = 1, rc;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "-j") == 0 || strcmp(argv[i], "--json") == 0) {
			ctl_json = true;
		} else if ((strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "-s") == 0) && i + 1 < argc) {
			*(argv[i][1] == 'c' ? &config : &socket_opt) = argv[i + 1];
			i++;
		} else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			ctl_usage(stdout);
			return CTL_OK;
		} else if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0) {
			puts(RAVELIN_VERSION);
			return CTL_OK;
		} else {
			snprintf(why, sizeof(why), "unknown option %s; try --help", argv[i]);
			return ctl_fail(CTL_USAGE, "usage", why, NULL);
		}
	}
	/* -j is also taken behind the command: it is what one adds last */
	if (argc > i + 1 && strcmp(argv[argc - 1], "-j") == 0) {
		ctl_json = true;
		argc--;
	}
	if (i < argc && strcmp(argv[i], "help") == 0) {
		ctl_usage(stdout);
		return CTL_OK;
	}
	if (ctl_parse(argc - i, argv + i, &r, why, sizeof(why)) < 0) {
		if (!ctl_json && i == argc)
			ctl_usage(stderr);
		return ctl_fail(CTL_USAGE, "usage", why, NULL);
	}
	if (r.help) {
		ctl_command_help(stdout, r.cmd);
		json_decref(r.args);
		return CTL_OK;
	}
	if (r.cmd->special == CTL_FILE) {
		rc = ctl_file(r.cmd->cmd, r.args, ctl_json);
		json_decref(r.args);
		return rc;
	}
	if (r.cmd->special == CTL_DOCTOR) {
		json_decref(r.args);
		return doctor(config, r.local[0]);
	}
	if (r.cmd->special == CTL_BUNDLE) {
		rc = run_bundle(&r, config);
		json_decref(r.args);
		return rc;
	}
	if (socket_opt != NULL) {
		snprintf(path, sizeof(path), "%s", socket_opt);
	} else if (json_object_get(r.args, "_server") != NULL) { /* another machine's: this one may have no configuration */
		path[0] = '\0';
	} else if (default_socket(config, path, sizeof(path), why, sizeof(why)) < 0) {
		json_decref(r.args);
		return ctl_fail(CTL_USAGE, "configuration", why, NULL);
	}
	rc = ctl_run(&r, path);
	json_decref(r.args);
	return rc;
}
