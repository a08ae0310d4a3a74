/* SPDX-License-Identifier: BSD-3-Clause */
/* A signer's folder, made and wiped: what the suites of the signer stand on. */
#ifndef TESTS_SIGNER_FIX_H
#define TESTS_SIGNER_FIX_H

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "log.h"
#include "state.h"

#define NOW 1800000000

static char dir[] = "/tmp/test-signer-XXXXXX";
static char err[512];
static struct cfg *cfg;

static inline void at(char *buf, size_t size, const char *name)
{
	snprintf(buf, size, "%s/state/signer/%s", dir, name);
}

static inline int in_dir(const char *what)
{
	char cmd[300];

	snprintf(cmd, sizeof(cmd), "cd %s && %s", dir, what);
	return system(cmd);
}

static inline void wipe_dir(void)
{
	CU_ASSERT_EQUAL(in_dir("rm -rf state run kek"), 0);
}

/* A state that is whole, without waiting for its keys again: test_cut_first_start() kept one. */
static inline void whole_dir(void)
{
	wipe_dir();
	CU_ASSERT_EQUAL(in_dir("if [ -d whole ]; then cp -a whole state; fi"), 0);
}

static inline int load(const char *more)
{
	char text[1024];
	int n = snprintf(text, sizeof(text),
	                 "paths: {state: %s/state, run: %s/run}\nlog: {level: err}\n"
	                 "signer:\n  server_key: ec-p256\n%s",
	                 dir, dir, more);

	cfg_free(cfg);
	cfg = NULL;
	return cfg_load_data((uint8_t *)text, (size_t)n, &cfg, err, sizeof(err));
}

static inline int setup(void)
{
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	return mkdtemp(dir) != NULL && load("") == 0 ? 0 : -1;
}

static inline int teardown(void)
{
	cfg_free(cfg);
	return in_dir("rm -rf state run kek whole") == 0 ? rmdir(dir) : -1;
}

static inline struct pki_state *opened(void)
{
	struct pki_state *st = NULL;
	int rc = pki_state_open(cfg, time(NULL), &st, err, sizeof(err));

	CU_ASSERT_EQUAL(rc, 0);
	if (rc != 0)
		fprintf(stderr, "%s\n", err);
	return st;
}

#endif
