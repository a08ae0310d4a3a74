/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a gateway's record says of IKE: names of algorithms against charon's own (swanctl.conf(5), "proposals"), what is refused and why,
 * the record through the store's encoding and JSON, and what charon is told of it.
 */
#include <CUnit/CUnit.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/internal.h"
#include "ike/ikeconf.h"
#include "ike/ikerec.h"

static const struct cfg_addr agent = {.family = 4, .plen = 32, .port = 2727, .ip = {192, 0, 2, 1}};

static struct cp_gateway gateway(void)
{
	struct cp_gateway g = {.name = "gw1", .region = "default", .address = {.family = 4, .plen = 32, .port = 2427, .ip = {192, 0, 2, 9}}};

	g.ike.version = 2;
	g.ike.psk.data = malloc(4);
	g.ike.psk.len = 4;
	memcpy(g.ike.psk.data, "seal", 4);
	return g;
}

static void test_names(void)
{
	static const struct {
		bool ike;
		const char *ours, *charon; /* NULL: none */
	} tab[] = {
		{true, "aes-cbc-128-sha1/modp2048", "aes128-sha1-modp2048"},
		{true, "aes-cbc-256-sha512/ecp521,aes-gcm-128-sha256/x25519", "aes256-sha512-ecp521,aes128gcm16-prfsha256-curve25519"},
		{true, "aes-gcm-256-sha384/ecp384", "aes256gcm16-prfsha384-ecp384"},
		{true, "3des-cbc-sha1/modp1024", "3des-sha1-modp1024"},
		{true, "aes-cbc-128-sha1", NULL},             /* no group */
		{true, "aes-gcm-128/x25519", NULL},           /* no PRF */
		{true, "aes-gcm-128-sha1/x25519", NULL},
		{true, "aes-gcm-128-8-sha256/x25519", NULL},  /* a short ICV */
		{true, "aes-ctr-128-sha1/modp2048", NULL},
		{true, "null-sha1/modp2048", NULL},
		{true, "aes-cbc-128-sha1/modp2047", NULL},
		{true, "aes-cbc-128-sha1/modp2048,", NULL},
		{true, "aes128-sha1-modp2048", NULL},         /* charon's own */
		{false, "aes-gcm-128", "aes128gcm16-noesn"},
		{false, "aes-gcm-192-12,aes-gcm-256-8/ecp256", "aes192gcm12-noesn,aes256gcm8-ecp256-noesn"},
		{false, "aes-cbc-128-sha1-96", "aes128-sha1-noesn"},
		{false, "aes-ctr-256-sha384/modp3072", "aes256ctr-sha384-modp3072-noesn"},
		{false, "null-sha256", "null-sha256-noesn"},
		{false, "aes-gcm-128/none", NULL},
		{false, "aes-cbc-128", NULL},
		{false, "des-cbc-sha1", NULL},
		{false, ",", NULL},
	};
	char out[CP_IKE_CHARON_MAX], why[200];

	for (size_t i = 0; i < sizeof(tab) / sizeof(tab[0]); i++) {
		int rc = tab[i].ike ? cp_ike_proposals(tab[i].ours, 2, out, why, sizeof(why)) : cp_ike_esp(tab[i].ours, 2, false, out, why, sizeof(why));

		CU_ASSERT_EQUAL(rc, tab[i].charon != NULL ? 0 : -EINVAL);
		if (rc == 0 && tab[i].charon != NULL) {
			CU_ASSERT_STRING_EQUAL(out, tab[i].charon);
		}
	}
	/* defaults are of the version, and IKEv1 has no GCM of its own */
	CU_ASSERT_EQUAL(cp_ike_proposals("", 1, out, why, sizeof(why)), 0);
	CU_ASSERT_PTR_NULL(strstr(out, "gcm"));
	CU_ASSERT_EQUAL(cp_ike_proposals("", 2, out, why, sizeof(why)), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "gcm"));
	CU_ASSERT_EQUAL(cp_ike_proposals("aes-gcm-128-sha256/x25519", 1, out, why, sizeof(why)), -EINVAL);
	CU_ASSERT_EQUAL(cp_ike_esp("aes-gcm-128", 2, true, out, why, sizeof(why)), 0);
	CU_ASSERT_STRING_EQUAL(out, "aes128gcm16-esn");
}

static void test_old(void)
{
	static const char *const old[][2] = {{"3des-cbc-sha1/modp2048", ""}, {"aes-cbc-128-sha1/modp1024", ""}, {"aes-cbc-128-sha1/modp1536", ""},
					     {"", "3des-cbc-sha1"}, {"", "null-sha256"}, {"", "aes-gcm-128,aes-gcm-128/modp1024"}};
	struct cp_gw_ike k = {.version = 2};
	char why[200];

	CU_ASSERT_EQUAL(cp_ike_allowed(&k, false, why, sizeof(why)), 0);
	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
		snprintf(k.proposals, sizeof(k.proposals), "%s", old[i][0]);
		snprintf(k.esp, sizeof(k.esp), "%s", old[i][1]);
		CU_ASSERT_EQUAL(cp_ike_allowed(&k, false, why, sizeof(why)), -EPERM);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "ipsec.old_algorithms"));
		CU_ASSERT_EQUAL(cp_ike_allowed(&k, true, why, sizeof(why)), 0);
	}
}

/* One thing wrong at a time, and the words that say which. */
static void test_refused(void)
{
	static const char *const many[] = {"0.0.0.0",   "::",          "0::0",         "0:0:0:0:0:0:0:0",     "::0.0.0.0",         "ipv4:0.0.0.0", "IPv6:::",
					   "0.0.0.0/0", "::/0",        "192.0.2.0/24", "192.0.2.1-192.0.2.9", "ipv4net:0.0.0.0/0", "{1}:#00000000", "{9}:#00",
					   "2001:db8::1-2001:db8::9"};
	static const char *const ones[] = {"192.0.2.9", "2001:db8::9", "gw-1.example", "0.example", "a@example.org", "C=DE, O=a-b/c, CN=gw1", "ipv4:192.0.2.9"};
	struct cp_gateway g = gateway(), b;
	char why[200];
	uint8_t *psk = g.ike.psk.data;

	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), 0);
#define REFUSED(change, word)                                                       \
	do {                                                                        \
		b = g;                                                              \
		change;                                                             \
		CU_ASSERT_EQUAL(cp_gateway_check(&b, why, sizeof(why)), -EINVAL);   \
		CU_ASSERT_PTR_NOT_NULL(strstr(why, word));                          \
	} while (0)
#define TEXT(field, text) snprintf(b.ike.field, sizeof(b.ike.field), "%s", text)
	REFUSED(b.ike.version = 3, "version 3");
	REFUSED(b.ike.version = 0, "without its version");
	REFUSED(b.ike.flags = 1 << 6, "unknown flags");
	REFUSED(b.ike.flags = CP_IKE_CERT, "one or the other");
	REFUSED(b.ike.psk.len = 0, "needs a pre-shared key");
	REFUSED(b.ike.flags = CP_IKE_CERT; b.ike.psk.len = 0, "need the gateway's identity");
	REFUSED(b.ike.flags = CP_IKE_WAIT | CP_IKE_TRAP, "one way only");
	REFUSED(b.ike.flags = CP_IKE_ESN; b.ike.version = 1, "need IKEv2");
	REFUSED(b.ike.local = agent, "without ports");
	REFUSED(b.ike.remote = ((struct cfg_addr){.family = 4, .plen = 24, .ip = {192, 0, 2, 9}}), "hosts");
	REFUSED(b.ike.local = ((struct cfg_addr){.family = 6, .plen = 128}), "one family");
	REFUSED(b.ike.remote = ((struct cfg_addr){.family = 4, .plen = 32, .ip = {192, 0, 2, 8}}), "needs tunnel mode");
	REFUSED(TEXT(remote_id, "%any"), "wildcards");
	REFUSED(TEXT(remote_id, "C=DE, CN=*"), "wildcards");
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
		REFUSED(TEXT(remote_id, many[i]), "wildcards");
		REFUSED(TEXT(local_id, many[i]), "wildcards");
	}
	REFUSED(TEXT(local_id, "a\nb"), "printable");
	REFUSED(TEXT(proposals, "aes-cbc-128-sha1/modp2048,des"), "\"des\" is no proposal of IKE");
	REFUSED(TEXT(esp, "aes-gcm-127"), "no algorithm of ESP");
	REFUSED(TEXT(local_ts, "192.0.2.1[udp/0]"), "traffic selector");
	REFUSED(TEXT(local_ts, "192.0.2.1[udp/2427"), "traffic selector");
	REFUSED(TEXT(local_ts, "192.0.2.1[esp]"), "traffic selector");
	REFUSED(TEXT(remote_ts, "192.0.2.0/33"), "traffic selector");
	REFUSED(TEXT(remote_ts, "[udp]"), "traffic selector");
	REFUSED(b.ike.dpd_s = 3601, "DPD");
	REFUSED(b.ike.rekey_s = 9, "rekeying of IKE");
	REFUSED(b.ike.reauth_s = 9, "reauthentication");
	REFUSED(b.ike.child_s = 604801, "rekeying of ESP");
	/* what of this is right */
	b = g;
	for (size_t i = 0; i < sizeof(ones) / sizeof(ones[0]); i++) {
		TEXT(remote_id, ones[i]);
		CU_ASSERT_EQUAL(cp_gateway_check(&b, why, sizeof(why)), 0);
	}
	b = g;
	TEXT(local_ts, "192.0.2.0/24[udp/2727]");
	TEXT(remote_ts, "2001:db8::/32[udp]");
	TEXT(remote_id, "C=DE, O=Gateways, CN=gw1");
	b.ike.flags = CP_IKE_TUNNEL | CP_IKE_ESN | CP_IKE_WAIT;
	b.ike.remote = (struct cfg_addr){.family = 4, .plen = 32, .ip = {192, 0, 2, 8}};
	CU_ASSERT_EQUAL(cp_gateway_check(&b, why, sizeof(why)), 0);
	free(psk);
}

/* All fields, through the store's bytes, a copy, and JSON. */
static void test_stored(void)
{
	static struct cp_endpoint eps[CP_GW_ENDPOINTS_MAX];
	static struct cp_gw_number nums[CP_GW_NUMBERS_MAX];
	struct cp_gateway g = gateway(), b, c, d;
	struct cp_buf bytes = {NULL, 0};
	bool replace = false;
	char why[200] = "";
	json_t *o, *o2;

	g.ike.flags = CP_IKE_TUNNEL | CP_IKE_ENCAP | CP_IKE_ESN | CP_IKE_TRAP;
	g.ike.local = (struct cfg_addr){.family = 4, .plen = 32, .ip = {192, 0, 2, 3}};
	g.ike.remote = (struct cfg_addr){.family = 4, .plen = 32, .ip = {192, 0, 2, 8}};
	strcpy(g.ike.local_id, "us.example");
	strcpy(g.ike.remote_id, "gw1.example");
	strcpy(g.ike.proposals, "aes-cbc-128-sha1/modp2048,aes-gcm-128-sha256/x25519");
	strcpy(g.ike.esp, "aes-gcm-128");
	strcpy(g.ike.local_ts, "192.0.2.1[udp/2727]");
	strcpy(g.ike.remote_ts, "192.0.2.9[udp/2427]");
	g.ike.dpd_s = 11;
	g.ike.rekey_s = 22;
	g.ike.reauth_s = 33;
	g.ike.child_s = 44;
	CU_ASSERT_EQUAL_FATAL(cp_gateway_build(&g, &bytes), 0);
	CU_ASSERT_EQUAL_FATAL(cp_gateway_parse(bytes.data, bytes.len, &b), 0);
	CU_ASSERT_EQUAL_FATAL(cp_gateway_copy(&b, &c), 0);
	CU_ASSERT_PTR_NOT_EQUAL(b.ike.psk.data, c.ike.psk.data);
	o = gateway_to_args(&g);
	o2 = gateway_to_args(&c);
	CU_ASSERT(json_equal(o, o2));
	CU_ASSERT_EQUAL(json_to_gateway(o, &d, eps, nums, &replace, why, sizeof(why)), 0);
	CU_ASSERT_STRING_EQUAL(why, "");
	json_decref(o2);
	o2 = gateway_to_args(&d);
	CU_ASSERT(json_equal(o, o2));
	/* what is laid over it */
	json_decref(o2);
	o2 = json_pack("{s:b}", "ike_cert", 1);
	json_ike_under(o, o2);
	CU_ASSERT_PTR_NULL(json_object_get(o, "ike_psk_sealed"));
	CU_ASSERT_PTR_NOT_NULL(json_object_get(o, "ike_esp"));
	json_object_set_new(o2, "ike", json_string("no"));
	json_ike_under(o, o2);
	CU_ASSERT_PTR_NULL(json_object_get(o, "ike_esp"));
	CU_ASSERT_PTR_NULL(json_object_get(o, "ike"));
	json_decref(o);
	json_decref(o2);
	free(d.ike.psk.data);
	free(bytes.data);
	cp_gateway_free(&g);
	cp_gateway_free(&b);
	cp_gateway_free(&c);
}

static void test_json_refused(void)
{
	static const char *const bad[] = {
		"{\"ike\":\"3\"}", "{\"ike\":2}", "{\"ike\":\"aggressive\"}", "{\"ike_cert\":1}", "{\"ike_local\":\"host\"}", "{\"ike_dpd_s\":-1}",
		"{\"ike_dpd_s\":\"1\"}", "{\"ike_esp\":\"aes-gcm-128\"}", "{\"ike_esp\":[\"a,b\"]}", "{\"ike_esp\":[1]}", "{\"ike_mode\":\"both\"}",
		"{\"ike_begin\":\"never\"}", "{\"ike_psk_sealed\":\"?\"}", "{\"ike_child_s\":4294967296}",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *o = json_loads(bad[i], 0, NULL);
		struct cp_gw_ike k = {0};
		char why[200] = "";

		CU_ASSERT_EQUAL(json_ike(o, &k, why, sizeof(why)), -EINVAL);
		CU_ASSERT_STRING_NOT_EQUAL(why, "");
		json_decref(o);
	}
}

/* The message as charon reads it. */
static json_t *read_again(struct cp_vici_msg *m, const char *cmd)
{
	char name[CP_VICI_NAME_MAX];
	enum cp_vici_type type;
	const uint8_t *body;
	json_t *o = NULL;
	size_t len;

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(cp_vici_msg_end(m), 0);
	CU_ASSERT_EQUAL(cp_vici_packet(m->wr.buf + 4, m->wr.len - 4, &type, name, &body, &len), 0);
	CU_ASSERT_STRING_EQUAL(name, cmd);
	CU_ASSERT_EQUAL(cp_vici_parse(body, len, &o), 0);
	cp_vici_msg_destroy(m);
	return o;
}

static void test_told(void)
{
	struct cp_gateway g = gateway();
	json_t *o = read_again(cp_ike_conn(&g, &agent, NULL), "load-conn"), *c, *want;

	want = json_pack("{s:{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:[s,s,s,s],s:[s],s:[s],s:{s:s,s:s},s:{s:s,s:s},s:{s:{s:s,s:[s,s,s,s],s:[s],s:[s],s:s,"
			 "s:s,s:s,s:s,s:s}}}}",
			 "gw1", "version", "2", "aggressive", "no", "mobike", "no", "encap", "no", "unique", "replace", "keyingtries", "1", "send_cert",
			 "always", "dpd_delay", "30s", "dpd_timeout", "150s", "rekey_time", "14400s", "reauth_time", "0s", "proposals",
			 "aes128gcm16-prfsha256-curve25519", "aes256gcm16-prfsha384-ecp384", "aes256-sha256-modp2048", "aes128-sha256-modp2048",
			 "local_addrs", "192.0.2.1", "remote_addrs", "192.0.2.9", "local", "auth", "psk", "id", "192.0.2.1", "remote", "auth", "psk", "id",
			 "192.0.2.9", "children", "gw1", "reqid", "1", "esp_proposals", "aes128gcm16-noesn", "aes256gcm16-noesn", "aes256-sha256-noesn",
			 "aes128-sha256-noesn", "local_ts", "192.0.2.1[udp/2727]", "remote_ts", "192.0.2.9[udp/2427]", "mode", "transport", "rekey_time",
			 "3600s", "start_action", "none", "dpd_action", "restart", "close_action", "none");
	CU_ASSERT(json_equal(o, want));
	json_decref(want);
	json_decref(o);

	strcpy(g.ike.remote_id, "gw1.example");
	g.ike.flags = CP_IKE_TUNNEL | CP_IKE_ENCAP | CP_IKE_TRAP;
	o = read_again(cp_ike_conn(&g, &agent, NULL), "load-conn");
	c = json_object_get(json_object_get(json_object_get(o, "gw1"), "children"), "gw1");
	CU_ASSERT_STRING_EQUAL(cp_vici_get(c, "mode"), "tunnel");
	CU_ASSERT_STRING_EQUAL(cp_vici_get(c, "start_action"), "trap");
	CU_ASSERT_STRING_EQUAL(cp_vici_get(json_object_get(o, "gw1"), "encap"), "yes");
	json_decref(o);
	/* the key is this gateway's: its identity and address, never ours */
	o = read_again(cp_ike_shared(&g, (const uint8_t *)"open sesame", 11), "load-shared");
	want = json_pack("{s:s,s:s,s:s,s:[s,s]}", "id", "gw1", "type", "IKE", "data", "open sesame", "owners", "192.0.2.9", "gw1.example");
	CU_ASSERT(json_equal(o, want));
	json_decref(want);
	json_decref(o);
	/* with certificates, without one of ours */
	g.ike.flags = CP_IKE_CERT;
	CU_ASSERT_PTR_NULL(cp_ike_conn(&g, &agent, NULL));
	cp_gateway_free(&g);
	o = read_again(cp_ike_plain("terminate", "ike", "gw1", "timeout", "-1", NULL), "terminate");
	CU_ASSERT_STRING_EQUAL(cp_vici_get(o, "timeout"), "-1");
	json_decref(o);
}

static CU_TestInfo tests[] = {
	{"names of algorithms", test_names},
	{"old ones need the configuration's word", test_old},
	{"what is refused, and why", test_refused},
	{"a record through store and JSON", test_stored},
	{"members that are none", test_json_refused},
	{"what charon is told", test_told},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("ikerec", tests, NULL, NULL)
