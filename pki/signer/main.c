/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelin-signer: owns the keys that make trust, and answers typed requests. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "config.h"
#include "nodump.h"
#include "serve.h"
#include "state.h"

#define SECURE_HEAP (1024 * 1024) /* bytes; an RSA key takes about 3 KiB of it */
#define LOCK_WANTED (64UL * 1024 * 1024)

static int usage(FILE *to, int rc)
{
	fprintf(to, "usage: ravelin-signer [-c FILE] [--check-config]\n");
	return rc;
}

/* No core dumps, no ptrace by others of our user, no swapping of keys. */
static void harden(void)
{
	struct rlimit lock = {RLIM_INFINITY, RLIM_INFINITY};
	bool locked = false;

	umask(077);
	if (cfg_no_dump() < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		cfg_log(CFG_LOG_WARN, "harden", "error=%s", cfg_q(strerror(errno)));
	/* MCL_FUTURE under a small limit would make later allocations fail. */
	if (setrlimit(RLIMIT_MEMLOCK, &lock) < 0)
		getrlimit(RLIMIT_MEMLOCK, &lock);
	if (lock.rlim_cur == RLIM_INFINITY || lock.rlim_cur >= LOCK_WANTED)
		locked = mlockall(MCL_CURRENT | MCL_FUTURE) == 0;
	if (CRYPTO_secure_malloc_init(SECURE_HEAP, 32) != 1)
		cfg_log(CFG_LOG_WARN, "secure-heap", "locked=false");
	if (!locked)
		cfg_log(CFG_LOG_WARN, "memory-not-locked", "hint=%s",
		        cfg_q("only the secure heap is: RLIMIT_MEMLOCK is below 64 MiB"));
}

static int stop_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run(const struct cfg *cfg)
{
	struct pki_state *state = NULL;
	struct pki_serve *serve = NULL;
	int stop = stop_signals(), rc;
	char err[512];

	if (stop < 0)
		return 1;
	rc = pki_state_open(cfg, (int64_t)time(NULL), &state, err, sizeof(err));
	if (rc < 0) {
		if (rc == -EINVAL)
			fprintf(stderr, "ravelin-signer: %s\n", err);
		else
			cfg_log(CFG_LOG_ERR, "start-failed", "error=%s", cfg_q(err));
		close(stop);
		return rc == -EINVAL ? 2 : 1;
	}
	rc = pki_serve_create(state, cfg->paths.run, &serve);
	if (rc < 0) {
		cfg_log(CFG_LOG_ERR, "start-failed", "run=%s error=%s", cfg_q(cfg->paths.run),
		        cfg_q(strerror(-rc)));
	} else {
		cfg_log(CFG_LOG_NOTICE, "ready", "run=%s cluster=%s trust=%d",
		        cfg_q(cfg->paths.run), cfg_q(state->cluster), sk_X509_num(state->trust));
		rc = pki_serve_run(serve, stop);
		cfg_log(CFG_LOG_NOTICE, "stop", "rc=%d", rc);
	}
	pki_serve_destroy(serve);
	pki_state_close(state);
	close(stop);
	return rc < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct option opts[] = {
		{"config", required_argument, NULL, 'c'},
		{"check-config", no_argument, NULL, 'k'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *path = "/etc/ravelin/ravelin.yaml";
	bool check = false;
	struct cfg *cfg = NULL;
	char err[512];
	int c, rc;

	while ((c = getopt_long(argc, argv, "c:h", opts, NULL)) != -1) {
		if (c == 'c')
			path = optarg;
		else if (c == 'k')
			check = true;
		else
			return c == 'h' ? usage(stdout, 0) : usage(stderr, 2);
	}
	if (optind != argc)
		return usage(stderr, 2);
	if (cfg_load(path, &cfg, err, sizeof(err)) < 0) {
		fprintf(stderr, "ravelin-signer: %s\n", err);
		return 2;
	}
	if (check) {
		cfg_free(cfg);
		return 0;
	}
	cfg_log_init("signer", cfg->log.format, cfg->log.level);
	harden();
	rc = run(cfg);
	cfg_free(cfg);
	CRYPTO_secure_malloc_done();
	return rc;
}
