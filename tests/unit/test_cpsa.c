/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/gateway/sa.c: no sequence number under one key is ever granted before the disk knows it, nor twice,
 * whatever restarts when; adding, deleting, loading.
 */
#include "call_fix.h"
#include "gateway/sa.h"

static struct cp_sas *sas;
static struct cp_sas_env env;
static char sa_why[200];
static int done, done_rc;
static int unseal_rc;

/* The dataplane's end: what one outbound SA may use, by the rules of dp_sa_set and dp_sa_grant. */
static struct model {
	bool there;
	uint64_t seq, limit, top; /* next above seq, up to limit; top: highest ever used by any incarnation */
	unsigned sets, grants;
} mod;

static void on_done(void *ctx, int rc)
{
	(void)ctx;
	done = 1;
	done_rc = rc;
}

static int fake_unseal(void *ctx, const uint8_t *sealed, size_t len, const char *aad, struct cp_buf *ret)
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

/* Highest number that any record on disk (as far as it is synced) says is spent. */
static bool disk_max(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	uint64_t v = 0, *max = ctx;

	if (key_len < 11 || memcmp(key, "sa-seq:out:", 11) != 0)
		return true;
	for (size_t i = 0; i < len; i++)
		v = v << 8 | val[i];
	if (v > *max)
		*max = v;
	return true;
}

static uint64_t on_disk(void)
{
	uint64_t max = 0;

	cp_store_each(w.store, CP_CF_META, disk_max, &max);
	return max;
}

static int sa_hook(struct fake_dp *f, const union fake_msg *m)
{
	(void)f;
	if (w.refuse_type == m->hdr.type)
		return w.refuse_rc;
	if (m->hdr.type == DP_MSG_SA_SET && m->sa.dir == DP_DIR_SEND) {
		mod.sets++;
		CU_ASSERT_FATAL(m->sa.seq_limit <= on_disk());
		if (!mod.there)
			mod = (struct model){true, m->sa.seq_floor, m->sa.seq_limit, mod.top, mod.sets, mod.grants};
		if (m->sa.seq_floor > mod.seq)
			mod.seq = m->sa.seq_floor;
		if (m->sa.seq_limit > mod.limit)
			mod.limit = m->sa.seq_limit;
	} else if (m->hdr.type == DP_MSG_SA_GRANT) {
		mod.grants++;
		CU_ASSERT_FATAL(m->grant.seq_limit <= on_disk());
		if (mod.there && m->grant.seq_limit > mod.limit)
			mod.limit = m->grant.seq_limit;
	} else if (m->hdr.type == DP_MSG_SA_DEL) {
		mod.there = false;
	}
	return 0;
}

static void send_some(uint64_t n)
{
	for (; n > 0 && mod.there && mod.seq < mod.limit; n--) {
		mod.seq++;
		CU_ASSERT_FATAL(mod.seq > mod.top); /* never twice */
		mod.top = mod.seq;
	}
}

static void sa_up(void *ctx, bool fresh)
{
	(void)ctx;
	cp_gws_up(w.gws, fresh);
	cp_sas_up(sas);
	cp_sas_adopt(sas);
	cp_dp_sweep(w.dp);
	ups++;
}

static void sa_down(void *ctx)
{
	(void)ctx;
	if (sas != NULL)
		cp_sas_down(sas, w.dying);
	cp_gws_down(w.gws);
}

static void sa_event(void *ctx, const struct dp_sa_event *ev)
{
	(void)ctx;
	cp_sas_event(sas, ev);
}

static const struct cp_dp_ops sa_ops = {.up = sa_up, .down = sa_down, .leg_aged = world_aged, .leg_event = world_leg,
					 .mgcp_done = world_done, .mgcp_event = world_event, .sa_event = sa_event};

static unsigned cp_up(void)
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

static void cp_stop(void)
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

static void begin(bool gateway)
{
	struct cp_store_opts o = {.path = tmp_store};
	char err[256];

	memset(&w, 0, sizeof(w));
	memset(&mod, 0, sizeof(mod));
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
	w.fake.hook = sa_hook;
	fake_start(&w.fake, w.base, tmp_dir);
	CU_ASSERT_EQUAL(cp_up(), 0);
	UNTIL(ups == 1);
}

static void end(void)
{
	cp_stop();
	fake_stop(&w.fake);
	event_base_free(w.base);
	cfg_free(w.cfg);
	tmp_remove();
}

static int add(const char *name, uint8_t dir, uint32_t spi, uint8_t key)
{
	struct cp_sa r = {.spi = spi, .dir = dir, .alg = DP_ESP_AES_GCM_128, .mode = DP_ESP_TRANSPORT};
	uint8_t secret[CP_SA_SECRET_LEN] = {0};
	int rc;

	secret[0] = key;
	strcpy(r.name, name);
	strcpy(r.gateway, "gw1");
	cfg_addr_parse("10.9.9.9", &r.local);
	cfg_addr_parse("10.0.0.1", &r.remote);
	r.sealed = (struct cp_buf){secret, sizeof(secret)}; /* this signer seals in the open */
	done = 0;
	rc = cp_sas_add(sas, &r, secret, "test", on_done, NULL, sa_why, sizeof(sa_why));
	if (rc < 0)
		return rc;
	UNTIL(done);
	return done_rc;
}

static int del(const char *name)
{
	int rc;

	done = 0;
	rc = cp_sas_del(sas, name, "test", on_done, NULL);
	if (rc < 0)
		return rc;
	UNTIL(done);
	return done_rc;
}

static void want_grant(uint32_t kind)
{
	struct dp_sa_event ev = {.sa_id = 0, .spi = 0x1001, .kind = kind, .seq = mod.seq};

	fake_send(&w.fake, &ev, DP_MSG_SA_EVENT, sizeof(ev), 0);
}

static void test_grants(void)
{
	uint64_t first;

	begin(true);
	CU_ASSERT_EQUAL(add("out", DP_DIR_SEND, 0x1001, 1), 0);
	UNTIL(mod.sets == 1);
	CU_ASSERT(mod.seq == 0 && mod.limit > 0);
	first = mod.limit;
	send_some(40000);
	want_grant(DP_SA_WANT_GRANT);
	want_grant(DP_SA_WANT_GRANT); /* asked twice: granted once */
	UNTIL(mod.grants > 0);
	rest();
	CU_ASSERT_EQUAL(mod.grants, 1);
	CU_ASSERT_EQUAL(mod.limit, 2 * first);
	/* the gateway covered once both directions stand */
	CU_ASSERT_FALSE(cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	CU_ASSERT_EQUAL(add("in", DP_DIR_RECV, 0x2001, 2), 0);
	UNTIL(cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	CU_ASSERT_EQUAL(del("in"), 0);
	CU_ASSERT_FALSE(cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	/* deleted, and added again: with another name, another SPI. It is the key that counts */
	send_some(100000);
	CU_ASSERT_EQUAL(del("out"), 0);
	rest();
	CU_ASSERT_FALSE(mod.there);
	CU_ASSERT_EQUAL(add("again", DP_DIR_SEND, 0x1005, 1), 0);
	UNTIL(mod.there);
	CU_ASSERT_TRUE(mod.seq >= 2 * first);
	send_some(10);
	end();
}

/* Restarts of either side, grants, gateway changes and disk trouble in random order. */
static void test_model(void)
{
	uint32_t rnd = 4711;

	begin(true);
	CU_ASSERT_EQUAL(add("out", DP_DIR_SEND, 0x1001, 1), 0);
	for (int step = 0; step < 60; step++) {
		int before = ups;

		rnd = rnd * 1664525 + 1013904223;
		switch (rnd >> 24 & 7) {
		case 0: /* the dataplane dies; it may take a while for us to see what we wrote for it */
			fake_stop(&w.fake);
			mod.there = false;
			mod.limit = mod.seq = 0;
			fake_start(&w.fake, w.base, tmp_dir);
			UNTIL(ups > before);
			break;
		case 1: /* the controlplane dies */
			cp_stop();
			CU_ASSERT_EQUAL_FATAL(cp_up(), 0);
			UNTIL(ups > before);
			break;
		case 2: /* the channel flaps */
			fake_hangup(&w.fake);
			UNTIL(ups > before);
			break;
		case 3:
			cp_sas_gateway_changed(sas, "gw1");
			want_grant(DP_SA_WANT_GRANT);
			cp_sas_gateway_changed(sas, "gw1");
			break;
		case 4:
			want_grant(DP_SA_WANT_GRANT);
			cp_sas_gateway_changed(sas, "gw1");
			break;
		case 5:
			store_break(true);
			want_grant(DP_SA_WANT_GRANT);
			cp_sas_gateway_changed(sas, "gw1");
			spin();
			spin();
			store_break(false);
			break;
		default:
			want_grant(DP_SA_WANT_GRANT);
			break;
		}
		for (unsigned i = 0; i < (rnd >> 20 & 7); i++) {
			spin();
			send_some(rnd >> 12 & 0x7fff);
		}
	}
	for (int i = 0; i < 2000 && !(mod.there && mod.seq < mod.limit); i++) {
		if (i % 100 == 0)
			want_grant(DP_SA_WANT_GRANT); /* as the dataplane does with each tick */
		spin();
	}
	CU_ASSERT_TRUE(mod.there && mod.seq < mod.limit); /* and it still works at the end */
	end();
}

/* A store that fails when the dataplane is new: the SA comes up by itself once the store does. */
static void test_store_recovers(void)
{
	int before;

	begin(true);
	CU_ASSERT_EQUAL(add("out", DP_DIR_SEND, 0x1001, 1), 0);
	UNTIL(mod.there);
	store_break(true);
	CU_ASSERT_TRUE(del("out") < 0); /* not forgotten on disk: not ended */
	CU_ASSERT_TRUE(add("in", DP_DIR_RECV, 0x2001, 2) < 0);
	fake_hangup(&w.fake);
	mod.there = false; /* it has lost all: what is asserted is new to it */
	before = ups;
	UNTIL(ups > before);
	rest();
	CU_ASSERT_FALSE(mod.there);
	store_break(false);
	UNTIL(mod.there);
	send_some(5);
	end();
}

static char seq_name[CP_STORE_KEY_MAX];
static size_t seq_len;

static bool find_key(void *ctx, const uint8_t *key, size_t len, const uint8_t *val, size_t val_len)
{
	(void)ctx;
	(void)val;
	(void)val_len;
	if (len >= 11 && memcmp(key, "sa-seq:out:", 11) == 0)
		memcpy(seq_name, key, seq_len = len);
	return true;
}

static void test_limit(void)
{
	static const uint8_t last[8] = {0, 0, 0, 0, 0xff, 0xff, 0xff, 0x00};
	struct cp_batch *b = cp_batch_create();

	begin(true);
	CU_ASSERT_EQUAL(add("out", DP_DIR_SEND, 0x1001, 1), 0);
	UNTIL(mod.there);
	/* as after 65,000 restarts: 255 numbers are left */
	cp_store_each(w.store, CP_CF_META, find_key, NULL);
	CU_ASSERT_TRUE_FATAL(seq_len > 0);
	cp_batch_put(b, CP_CF_META, seq_name, seq_len, last, sizeof(last));
	CU_ASSERT_EQUAL(cp_store_commit(w.store, b), 0);
	cp_stop();
	fake_stop(&w.fake);
	mod.there = false;
	fake_start(&w.fake, w.base, tmp_dir);
	CU_ASSERT_EQUAL(cp_up(), 0);
	UNTIL(mod.there);
	CU_ASSERT_EQUAL(mod.seq, 0xffffff00);
	CU_ASSERT_EQUAL(mod.limit, 0xffffffff); /* not one more */
	mod.grants = 0;
	want_grant(DP_SA_WANT_GRANT);
	rest();
	CU_ASSERT_EQUAL(mod.grants, 0);
	want_grant(DP_SA_EXHAUSTED);
	UNTIL(cp_alarm_find(w.alarms, "sa-exhausted", "out") != NULL);
	/* and after another restart it is not offered again */
	cp_stop();
	fake_stop(&w.fake);
	mod.there = false;
	fake_start(&w.fake, w.base, tmp_dir);
	CU_ASSERT_EQUAL(cp_up(), 0);
	rest();
	CU_ASSERT_FALSE(mod.there);
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(w.alarms, "sa-exhausted", "out"));
	CU_ASSERT_EQUAL(del("out"), 0);
	CU_ASSERT_PTR_NULL(cp_alarm_find(w.alarms, "sa-exhausted", "out"));
	end();
}

static void test_refusals(void)
{
	begin(false);
	CU_ASSERT_EQUAL(add("out", DP_DIR_SEND, 0x1001, 1), -ENOENT); /* no such gateway */
	add_gateway(0, false);
	CU_ASSERT_EQUAL(add("out", DP_DIR_SEND, 0x1001, 1), 0);
	CU_ASSERT_EQUAL(add("out", DP_DIR_SEND, 0x1002, 2), -EEXIST);
	CU_ASSERT_EQUAL(add("out2", DP_DIR_SEND, 0x1001, 2), -EEXIST);
	CU_ASSERT_EQUAL(add("out2", DP_DIR_SEND, 0x1002, 1), -EEXIST); /* the key is in use */
	CU_ASSERT_EQUAL(add("low", DP_DIR_RECV, 255, 3), -EINVAL);
	CU_ASSERT_EQUAL(add("in", DP_DIR_RECV, 0x1001, 3), 0); /* the other direction is another number space */
	CU_ASSERT_EQUAL(del("nosuch"), -ENOENT);
	/* the dataplane does not take it: said so */
	w.refuse_type = DP_MSG_SA_SET;
	w.refuse_rc = -ENOSPC;
	CU_ASSERT_EQUAL(add("in2", DP_DIR_RECV, 0x3001, 4), 0);
	UNTIL(cp_alarm_find(w.alarms, "sa-refused", "in2") != NULL);
	w.refuse_type = 0;
	CU_ASSERT_EQUAL(del("in2"), 0);
	CU_ASSERT_PTR_NULL(cp_alarm_find(w.alarms, "sa-refused", "in2"));
	/* the signer cannot open what is stored: said so, and not served */
	cp_stop();
	unseal_rc = -EBADMSG;
	CU_ASSERT_EQUAL(cp_up(), 2);
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(w.alarms, "sa-unusable", "out"));
	rest();
	CU_ASSERT_FALSE(cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	end();
}

static CU_TestInfo tests[] = {
	{"grants", test_grants},
	{"never twice: model", test_model},
	{"the store recovers", test_store_recovers},
	{"the last numbers", test_limit},
	{"refusals", test_refusals},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	(void)timer_fires;
	return 0;
}

#include "suite.h"
SUITE_MAIN("cpsa", tests, setup, NULL)
