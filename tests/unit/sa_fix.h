/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A world for security associations: the real store, gateways and SAs of the controlplane, and a dataplane's end that is hooked by the test.
 */
#ifndef TESTS_SA_FIX_H
#define TESTS_SA_FIX_H

#include "call_fix.h"
#include "gateway/sa.h"

static struct cp_sas *sas;
static struct cp_sas_env env;
static int done, done_rc;
static int unseal_rc;

static inline void on_done(void *ctx, int rc)
{
	(void)ctx;
	done = 1;
	done_rc = rc;
}

static inline int fake_unseal(void *ctx, const uint8_t *sealed, size_t len, const char *aad, struct cp_buf *ret)
{
	(void)ctx;
	(void)aad;
	if (unseal_rc < 0)
		return unseal_rc;
	ret->data = malloc(len);
	memcpy(ret->data, sealed, len);
	ret->len = len;
	return 0;
}

static const char *seq_prefix; /* of 11 characters */

/* Highest number that any record on disk (as far as it is synced) says is spent. */
static inline bool disk_max(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	uint64_t v = 0, *max = ctx;

	if (key_len < 11 || memcmp(key, seq_prefix, 11) != 0)
		return true;
	for (size_t i = 0; i < len && i < 8; i++)
		v = v << 8 | val[i];
	if (v > *max)
		*max = v;
	return true;
}

static inline uint64_t on_disk(const char *prefix)
{
	uint64_t max = 0;

	seq_prefix = prefix;
	cp_store_each(w.store, CP_CF_META, disk_max, &max);
	return max;
}

static inline void sa_up(void *ctx, bool fresh)
{
	(void)ctx;
	cp_gws_up(w.gws, fresh);
	cp_sas_up(sas);
	cp_sas_adopt(sas);
	cp_dp_sweep(w.dp);
	ups++;
}

static inline void sa_down(void *ctx)
{
	(void)ctx;
	if (sas != NULL)
		cp_sas_down(sas, w.dying);
	cp_gws_down(w.gws);
}

static inline void sa_event(void *ctx, const struct dp_sa_event *ev)
{
	(void)ctx;
	cp_sas_event(sas, ev);
}

static const struct cp_dp_ops sa_ops = {.up = sa_up, .down = sa_down, .leg_aged = world_aged, .leg_event = world_leg,
					 .mgcp_done = world_done, .mgcp_event = world_event, .sa_event = sa_event};

static inline unsigned cp_up(void)
{
	struct cp_store_opts o = {.path = tmp_store, .base = w.base};
	struct cp_calls_env ce = {.base = w.base, .cfg = w.cfg};
	struct cfg_addr agent;
	char err[256];

	cfg_addr_parse("10.9.9.9:2727", &agent);
	if (w.store == NULL)
		CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &w.store, err, sizeof(err)), 0);
	ce.store = w.store;
	ce.alarms = w.alarms = cp_alarms_create();
	ce.dp = w.dp = cp_dp_create(w.base, tmp_dir, 99, 3, 16384, &sa_ops, NULL);
	w.calls = cp_calls_create(&ce);
	w.gws = cp_gws_create(w.base, w.dp, w.store, w.alarms, &agent, &cp_calls_gateway_ops, w.calls);
	cp_calls_set_gateways(w.calls, w.gws);
	env = (struct cp_sas_env){.base = w.base, .cfg = w.cfg, .store = w.store, .alarms = w.alarms, .dp = w.dp,
				  .gws = w.gws, .unseal = fake_unseal};
	sas = cp_sas_create(&env);
	return cp_sas_load(sas);
}

static inline void cp_stop(void)
{
	w.dying = true;
	cp_dp_close(w.dp);
	cp_store_close(w.store);
	cp_sas_destroy(sas);
	cp_gws_destroy(w.gws);
	cp_calls_destroy(w.calls);
	cp_dp_destroy(w.dp);
	cp_alarms_destroy(w.alarms);
	sas = NULL;
	w.gws = NULL;
	w.store = NULL;
	w.dying = false;
}

static inline void begin_with(bool gateway, int (*hook)(struct fake_dp *f, const union fake_msg *m))
{
	struct cp_store_opts o = {.path = tmp_store};
	char err[256];

	memset(&w, 0, sizeof(w));
	ups = 0;
	unseal_rc = 0;
	tmp_make();
	w.base = event_base_new();
	CU_ASSERT_EQUAL_FATAL(cfg_load(NULL, &w.cfg, err, sizeof(err)), 0);
	o.base = w.base;
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &w.store, err, sizeof(err)), 0);
	if (gateway)
		add_gateway(0, false);
	w.fake.media_addrs = 3;
	w.fake.hook = hook;
	fake_start(&w.fake, w.base, tmp_dir);
	CU_ASSERT_EQUAL(cp_up(), 0);
	UNTIL(ups == 1);
}

static inline void end(void)
{
	cp_stop();
	fake_stop(&w.fake);
	event_base_free(w.base);
	cfg_free(w.cfg);
	tmp_remove();
}

static inline int del(const char *name)
{
	int rc;

	done = 0;
	rc = cp_sas_del(sas, name, "test", on_done, NULL);
	if (rc < 0)
		return rc;
	UNTIL(done);
	return done_rc;
}

#endif
