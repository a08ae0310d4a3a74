/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/gateway/sa.c: no sequence number under one key is ever granted before the disk knows it, nor twice,
 * whatever restarts when; adding, deleting, loading.
 */
#include "sa_fix.h"

#include <openssl/sha.h>

static char sa_why[200];

/* The dataplane's end: what one outbound SA may use, by the rules of dp_sa_set and dp_sa_grant. */
static struct model {
	bool there;
	uint64_t seq, limit, top; /* next above seq, up to limit; top: highest ever used by any incarnation */
	unsigned sets, grants;
} mod;

static struct dp_sa_set last_set; /* outbound */

static int sa_hook(struct fake_dp *f, const union fake_msg *m)
{
	(void)f;
	if (w.refuse_type == m->hdr.type)
		return w.refuse_rc;
	if (m->hdr.type == DP_MSG_SA_SET && m->sa.dir == DP_DIR_SEND) {
		mod.sets++;
		last_set = m->sa;
		CU_ASSERT_FATAL(m->sa.seq_limit <= on_disk("sa-seq:out:"));
		if (!mod.there)
			mod = (struct model){true, m->sa.seq_floor, m->sa.seq_limit, mod.top, mod.sets, mod.grants};
		if (m->sa.seq_floor > mod.seq)
			mod.seq = m->sa.seq_floor;
		if (m->sa.seq_limit > mod.limit)
			mod.limit = m->sa.seq_limit;
	} else if (m->hdr.type == DP_MSG_SA_GRANT) {
		mod.grants++;
		CU_ASSERT_FATAL(m->grant.seq_limit <= on_disk("sa-seq:out:"));
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

static void begin(bool gateway)
{
	memset(&mod, 0, sizeof(mod));
	begin_with(gateway, sa_hook);
}

static int add_alg(const char *name, uint8_t dir, uint32_t spi, uint8_t key, uint8_t alg)
{
	struct cp_sa r = {.spi = spi, .dir = dir, .alg = alg, .mode = DP_ESP_TRANSPORT};
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

static int add(const char *name, uint8_t dir, uint32_t spi, uint8_t key)
{
	return add_alg(name, dir, spi, key, DP_ESP_AES_GCM_128);
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

/* As the dataplane does now and then. */
static void tick(void)
{
	want_grant(DP_SA_WANT_GRANT);
	for (int i = 0; i < 100 && !(mod.there && mod.seq < mod.limit); i++)
		spin();
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
	/* and it still works at the end */
	STEP_UNTIL(mod.there && mod.seq < mod.limit, tick());
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

static const char *shown(const char *name, const char *key)
{
	static char buf[80];
	json_t *list = cp_sas_show(sas), *sa;
	size_t i;

	snprintf(buf, sizeof(buf), "-");
	json_array_foreach(list, i, sa) {
		json_t *v = json_object_get(sa, key);

		if (strcmp(json_string_value(json_object_get(sa, "name")), name) != 0 || v == NULL)
			continue;
		if (json_is_string(v))
			snprintf(buf, sizeof(buf), "%s", json_string_value(v));
		else
			snprintf(buf, sizeof(buf), "%lld", (long long)json_integer_value(v));
	}
	json_decref(list);
	return buf;
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
	/* it has no room now: kept, no alarm, and set again until it has */
	w.refuse_type = DP_MSG_SA_SET;
	w.refuse_rc = -EAGAIN;
	CU_ASSERT_EQUAL(add("in3", DP_DIR_RECV, 0x3001, 5), 0);
	for (int i = 0; i < 3; i++) {
		unsigned seen = fake_seen(&w.fake, DP_MSG_SA_SET, NULL);

		UNTIL(fake_seen(&w.fake, DP_MSG_SA_SET, NULL) > seen);
	}
	CU_ASSERT_PTR_NULL(cp_alarm_find(w.alarms, "sa-refused", "in3"));
	CU_ASSERT_STRING_EQUAL(shown("in3", "state"), "waiting");
	w.refuse_type = 0;
	UNTIL(strcmp(shown("in3", "state"), "live") == 0);
	CU_ASSERT_EQUAL(del("in3"), 0);
	/* the signer cannot open what is stored: said so, and not served */
	cp_stop();
	unseal_rc = -EBADMSG;
	CU_ASSERT_EQUAL(cp_up(), 2);
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(w.alarms, "sa-unusable", "out"));
	rest();
	CU_ASSERT_FALSE(cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	end();
}

/* --- algorithms --- */

/* A key as it was sealed when there were two algorithms: 32 bytes of key, 20 of HMAC key or salt. Its spent numbers count on. */
static void test_old_form(void)
{
	for (uint8_t alg = DP_ESP_AES_GCM_128; alg <= DP_ESP_AES_CBC_128_SHA1_96; alg++) {
		static const uint8_t spent[8] = {[6] = 0x13, [7] = 0x88};
		size_t rest_len = alg == DP_ESP_AES_GCM_128 ? 4 : 20;
		struct cp_sa r = {.name = "out", .gateway = "gw1", .spi = 0x1001, .dir = DP_DIR_SEND, .alg = alg, .mode = DP_ESP_TRANSPORT};
		uint8_t sealed[52] = {0}, md[32];
		char key[80] = "sa-seq:out:";
		struct cp_batch *b = cp_batch_create();

		begin(true);
		memset(sealed, 0x21, 16);
		memset(sealed + 32, 0x43, rest_len);
		SHA256(sealed, sizeof(sealed), md);
		for (int i = 0; i < 32; i++)
			sprintf(key + strlen(key), "%02x", md[i]);
		cp_batch_put(b, CP_CF_META, key, strlen(key), spent, sizeof(spent));
		CU_ASSERT_EQUAL(cp_store_commit(w.store, b), 0);
		cfg_addr_parse("10.9.9.9", &r.local);
		cfg_addr_parse("10.0.0.1", &r.remote);
		r.sealed = (struct cp_buf){sealed, sizeof(sealed)};
		done = 0;
		CU_ASSERT_EQUAL(cp_store_put_sa(w.store, &r, NULL, on_done, NULL), 0);
		UNTIL(done);
		cp_stop();
		CU_ASSERT_EQUAL(cp_up(), 0);
		UNTIL(mod.there);
		CU_ASSERT_EQUAL(mod.seq, 5000);
		CU_ASSERT_EQUAL(memcmp(last_set.key, sealed, 32), 0);
		CU_ASSERT_EQUAL(memcmp(rest_len == 4 ? last_set.salt : last_set.auth, sealed + 32, rest_len), 0);
		CU_ASSERT(rest_len == 20 || last_set.auth[0] == 0);
		end();
	}
	/* as long, and of an algorithm that never was sealed so */
	struct cp_sa r = {.name = "out", .gateway = "gw1", .spi = 0x1001, .dir = DP_DIR_SEND, .alg = DP_ESP_AES_GCM_256, .mode = DP_ESP_TRANSPORT};
	uint8_t sealed[52] = {1};

	begin(true);
	cfg_addr_parse("10.9.9.9", &r.local);
	cfg_addr_parse("10.0.0.1", &r.remote);
	r.sealed = (struct cp_buf){sealed, sizeof(sealed)};
	done = 0;
	CU_ASSERT_EQUAL(cp_store_put_sa(w.store, &r, NULL, on_done, NULL), 0);
	UNTIL(done);
	cp_stop();
	CU_ASSERT_EQUAL(cp_up(), 1);
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(w.alarms, "sa-unusable", "out"));
	end();
}

/* A key and its salt have one row of numbers, whatever the ICV's length, and CTR the same one. */
static void test_key_in_two_algorithms(void)
{
	begin(true);
	CU_ASSERT_EQUAL(add("out", DP_DIR_SEND, 0x1001, 1), 0);
	UNTIL(mod.there);
	CU_ASSERT_EQUAL(add_alg("two", DP_DIR_SEND, 0x1002, 1, DP_ESP_AES_GCM_128_8), -EEXIST);
	CU_ASSERT_EQUAL(add_alg("two", DP_DIR_SEND, 0x1002, 1, DP_ESP_AES_CTR_128_SHA256_128), -EEXIST);
	CU_ASSERT_EQUAL(add_alg("in", DP_DIR_RECV, 0x1002, 1, DP_ESP_AES_CTR_128_SHA256_128), -EEXIST); /* the peer counts from 1, too */
	CU_ASSERT_EQUAL(add_alg("in", DP_DIR_RECV, 0x1002, 1, DP_ESP_AES_CBC_128_SHA256_128), 0);
	CU_ASSERT_EQUAL(add("in2", DP_DIR_RECV, 0x1003, 2), 0);
	CU_ASSERT_EQUAL(add("out2", DP_DIR_SEND, 0x1004, 2), -EEXIST);
	send_some(100);
	CU_ASSERT_EQUAL(del("out"), 0);
	rest();
	CU_ASSERT_EQUAL(add_alg("two", DP_DIR_SEND, 0x1002, 1, DP_ESP_AES_CTR_128_SHA1_96), 0);
	UNTIL(mod.there);
	CU_ASSERT_TRUE(mod.seq >= 100);
	end();
}

static void test_old_algorithms(void)
{
	begin(true);
	CU_ASSERT_EQUAL(add_alg("o", DP_DIR_SEND, 0x1001, 1, DP_ESP_NULL_SHA256_128), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(sa_why, "null-sha256"));
	CU_ASSERT_PTR_NOT_NULL(strstr(sa_why, "ipsec.old_algorithms"));
	CU_ASSERT_EQUAL(add_alg("o", DP_DIR_SEND, 0x1001, 1, DP_ESP_3DES_CBC_SHA1_96), -EINVAL);
	w.cfg->ipsec.old_algorithms = true;
	CU_ASSERT_EQUAL(add_alg("o", DP_DIR_SEND, 0x1001, 1, DP_ESP_NULL_SHA256_128), 0);
	CU_ASSERT_EQUAL(add_alg("i", DP_DIR_RECV, 0x2001, 1, DP_ESP_NULL_SHA256_128), 0);
	UNTIL(mod.there);
	rest();
	/* both directions stand, and hide nothing */
	CU_ASSERT_FALSE(cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	CU_ASSERT_EQUAL(add_alg("o3", DP_DIR_SEND, 0x1003, 3, DP_ESP_3DES_CBC_SHA1_96), 0);
	CU_ASSERT_EQUAL(add_alg("i3", DP_DIR_RECV, 0x2003, 3, DP_ESP_3DES_CBC_SHA1_96), 0);
	UNTIL(cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	/* what is stored is not used either once they are not allowed any more */
	cp_stop();
	w.cfg->ipsec.old_algorithms = false;
	CU_ASSERT_EQUAL(cp_up(), 4);
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(w.alarms, "sa-unusable", "o3"));
	end();
}

static void test_secret(void)
{
	uint8_t key[CP_SA_KEY_MAX + 1], out[CP_SA_SECRET_LEN];
	char hint[80];

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i + 1);
	/* 16 of key, 4 of nonce, 32 of HMAC key */
	CU_ASSERT_EQUAL(cp_sa_secret(DP_ESP_AES_CTR_128_SHA256_128, key, 52, out), 0);
	CU_ASSERT(memcmp(out, key, 16) == 0 && out[16] == 0 && out[31] == 0);
	CU_ASSERT_EQUAL(memcmp(out + 32, key + 20, 32), 0);
	CU_ASSERT(out[64] == 0 && memcmp(out + 96, key + 16, 4) == 0);
	CU_ASSERT_STRING_EQUAL(cp_sa_key_hint(DP_ESP_AES_CTR_128_SHA256_128, hint, sizeof(hint)),
			       "52 bytes: 16 of key, 4 of salt, 32 of the HMAC's key");
	for (size_t n = 0; n <= sizeof(key); n++) {
		CU_ASSERT_EQUAL(cp_sa_secret(DP_ESP_AES_GCM_256, key, n, out), n == 36 ? 0 : -EINVAL);
		CU_ASSERT_EQUAL(cp_sa_secret(DP_ESP_AES_CBC_256_SHA512_256, key, n, out), n == 96 ? 0 : -EINVAL);
		CU_ASSERT_EQUAL(cp_sa_secret(DP_ESP_NULL_SHA1_96, key, n, out), n == 20 ? 0 : -EINVAL);
	}
	CU_ASSERT_EQUAL(cp_sa_secret(0, key, 20, out), -EINVAL);
	CU_ASSERT_EQUAL(cp_sa_secret(DP_ESP_ALG_MAX, key, 20, out), -EINVAL);
}

#define HEX16 "000102030405060708090a0b0c0d0e0f"
#define HEX20 HEX16 "10111213"

/* The configuration's SAs: what the parser cannot know. */
static void test_config(void)
{
	static const struct {
		const char *alg, *key, *auth, *why; /* why NULL: good */
		bool old;
	} cases[] = {
		{"aes-gcm-128", HEX20, NULL, NULL, false},
		{"aes-gcm-256-12", HEX16 HEX20, NULL, NULL, false},
		{"aes-cbc-128-sha1-96", HEX16, HEX20, NULL, false},
		{"aes-cbc-256-sha256", HEX16 HEX16, HEX16 HEX16, NULL, false},
		{"aes-ctr-128-sha1", HEX20, HEX20, NULL, false},
		{"null-sha1", NULL, HEX20, NULL, true},
		{"3des-cbc-sha1", HEX20 "14151617", HEX20, NULL, true},
		{"des", HEX20, NULL, "algorithm: \"des\" is no algorithm", true},
		{"null-sha1", NULL, HEX20, "old gateways", false},
		{"3des-cbc-sha1", HEX20 "14151617", HEX20, "ipsec.old_algorithms", false},
		{"aes-gcm-128", HEX16, NULL, "16 of key, 4 of salt", false},
		{"aes-gcm-128", NULL, NULL, "aes-gcm-128 wants", false},
		{"aes-gcm-128", HEX20, HEX20, "auth_key", false},
		{"aes-cbc-128-sha1", HEX20, HEX20, "36 bytes: 16 of key, 20 of the HMAC", false},
		{"aes-cbc-128-sha1", HEX16, NULL, "auth_key", false},
		{"aes-cbc-128-sha256", HEX16, HEX20, "48 bytes", false},
		{"null-sha1", HEX16, HEX20, "20 bytes: 0 of key", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct cfg_sa sa = {.algorithm = (char *)(uintptr_t)cases[i].alg, .key = (char *)(uintptr_t)cases[i].key,
				    .auth_key = (char *)(uintptr_t)cases[i].auth};
		struct cfg cfg = {.sas = &sa, .sas_count = 1, .ipsec.old_algorithms = cases[i].old};
		char err[256] = "";
		int rc = cp_sas_config(&cfg, err, sizeof(err));

		CU_ASSERT_EQUAL(rc, cases[i].why == NULL ? 0 : -EINVAL);
		CU_ASSERT(cases[i].why == NULL || (strstr(err, cases[i].why) != NULL && strstr(err, "ipsec.sas[0].") != NULL));
		CU_ASSERT_PTR_NULL(strstr(err, "000102"));
		if (cases[i].why != NULL && strstr(err, cases[i].why) == NULL)
			fprintf(stderr, "case %zu: %s\n", i, err);
	}
}

static void expire(uint32_t kind, uint32_t why)
{
	struct dp_sa_event ev = {.sa_id = last_set.sa_id, .spi = last_set.spi, .kind = kind, .why = why};

	fake_send(&w.fake, &ev, DP_MSG_SA_EVENT, sizeof(ev), 0);
}

/* Lifetimes reach the dataplane, survive a restart with their age, and what it says of them is told. */
static void test_lifetimes(void)
{
	struct cp_sa r = {.name = "out", .gateway = "gw1", .spi = 0x1001, .dir = DP_DIR_SEND, .alg = DP_ESP_AES_GCM_128,
			  .mode = DP_ESP_TRANSPORT, .hard_s = 1000, .hard_bytes = 5000, .soft_bytes = 100, .soft_pkts = 7};
	uint8_t secret[CP_SA_SECRET_LEN] = {9};

	begin(true);
	cfg_addr_parse("10.9.9.9", &r.local);
	cfg_addr_parse("10.0.0.1", &r.remote);
	r.sealed = (struct cp_buf){secret, sizeof(secret)};
	r.soft_bytes = 5001;
	CU_ASSERT_EQUAL(cp_sas_add(sas, &r, secret, "test", on_done, NULL, sa_why, sizeof(sa_why)), -EINVAL);
	r.soft_bytes = 100;
	done = 0;
	CU_ASSERT_EQUAL(cp_sas_add(sas, &r, secret, "test", on_done, NULL, sa_why, sizeof(sa_why)), 0);
	UNTIL(done && mod.there);
	CU_ASSERT(last_set.hard_s == 1000 && last_set.soft_s == 900 && last_set.hard_bytes == 5000 && last_set.soft_bytes == 100);
	CU_ASSERT(last_set.hard_pkts == 0 && last_set.soft_pkts == 7 && last_set.age_s <= 2);
	CU_ASSERT_STRING_EQUAL(shown("out", "soft_s"), "900");
	CU_ASSERT_STRING_EQUAL(shown("out", "hard_packets"), "-");
	CU_ASSERT_STRING_EQUAL(shown("out", "expiring"), "-");
	expire(DP_SA_SOFT_EXPIRED, DP_SA_WHY_PKTS);
	UNTIL(cp_alarm_find(w.alarms, "sa-expiring", "out") != NULL);
	CU_ASSERT_STRING_EQUAL(shown("out", "expiring"), "packets");
	CU_ASSERT_STRING_EQUAL(shown("out", "state"), "live");
	expire(DP_SA_SOFT_EXPIRED, DP_SA_WHY_PKTS | DP_SA_WHY_TIME);
	expire(DP_SA_HARD_EXPIRED, DP_SA_WHY_BYTES);
	UNTIL(cp_alarm_find(w.alarms, "sa-expired", "out") != NULL);
	CU_ASSERT_STRING_EQUAL(shown("out", "expiring"), "seconds, packets");
	CU_ASSERT_STRING_EQUAL(shown("out", "expired"), "bytes");
	CU_ASSERT_STRING_EQUAL(shown("out", "state"), "dead");
	/* Kept, with the day that it was added on: another program goes on from there. */
	cp_stop();
	mod.there = false;
	mod.sets = 0;
	CU_ASSERT_EQUAL(cp_up(), 0);
	UNTIL(mod.there);
	CU_ASSERT(last_set.hard_s == 1000 && last_set.soft_s == 900 && last_set.soft_pkts == 7 && last_set.age_s < 60);
	CU_ASSERT_EQUAL(del("out"), 0);
	CU_ASSERT_PTR_NULL(cp_alarm_find(w.alarms, "sa-expiring", "out"));
	CU_ASSERT_PTR_NULL(cp_alarm_find(w.alarms, "sa-expired", "out"));
	/* One that is older than its life: the dataplane is told so. */
	r.sa_id = 3;
	r.soft_s = 900;
	r.added_s = time(NULL) - 2000;
	done = 0;
	CU_ASSERT_EQUAL(cp_store_put_sa(w.store, &r, NULL, on_done, NULL), 0);
	UNTIL(done);
	cp_stop();
	mod.there = false;
	CU_ASSERT_EQUAL(cp_up(), 0);
	UNTIL(mod.there);
	CU_ASSERT(last_set.age_s >= 2000 && last_set.age_s < 2060);
	end();
}

static CU_TestInfo tests[] = {
	{"lifetimes", test_lifetimes},
	{"keys sealed by older programs", test_old_form},
	{"one key in two algorithms", test_key_in_two_algorithms},
	{"old algorithms", test_old_algorithms},
	{"key material", test_secret},
	{"the configuration's SAs", test_config},
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
