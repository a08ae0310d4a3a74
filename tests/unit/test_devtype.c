/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/store/typerec.c, admin/typejson.c: packages of device types, and the modes that a device may have by its type.
 * Rows: 000:P0-28, P0-29, P0-30, P0-32, R-07, R-11, R-12; 004b:SEC-10, R-28.
 */
#include <CUnit/CUnit.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/typejson.h"
#include "store/change.h"
#include "store/phonecfg.h"
#include "store_tmp.h"

#define HEAD "{\"devtype\":1,\"name\":\"ACME 100\",\"security\":"
#define ALL  "{\"authentication\":true,\"encryption\":true,\"media\":true}"

static const struct {
	const char *text, *why; /* why NULL: taken; else a part of what is said */
	uint8_t flags;
} packages[] = {
	{HEAD ALL "}", NULL, CP_DT_TLS | CP_DT_SRTP},
	{HEAD ALL ",\"vendor\":\"ACME\",\"description\":\"x\",\"sccp_type\":4711,\"features\":{\"icon\":true,\"tone\":true,\"bridge\":true}}", NULL,
	 CP_DT_TLS | CP_DT_SRTP | CP_DT_ICON | CP_DT_TONE | CP_DT_BRIDGE},
	{HEAD "{\"authentication\":true}}", NULL, CP_DT_TLS | CP_DT_AUTH_ONLY},
	{HEAD "{\"authentication\":true,\"encryption\":true}}", NULL, CP_DT_TLS},
	{HEAD "{}}", NULL, 0}, /* 000:P0-29, R-11: it switches nothing on */
	{HEAD "{},\"features\":{\"icon\":true}}", NULL, CP_DT_ICON},
	{"{\"name\":\"ACME 100\",\"security\":" ALL "}", "\"devtype\": 1 is missing", 0},
	{"{\"devtype\":2,\"name\":\"ACME 100\",\"security\":" ALL "}", "devtype is not 1", 0},
	{"{\"devtype\":1,\"name\":\"ACME 100\"}", "does not say its security", 0},
	{"{\"devtype\":1,\"security\":{}}", "a name is", 0},
	{"{\"devtype\":1,\"name\":\" x\",\"security\":{}}", "a name is", 0},
	{"{\"devtype\":1,\"name\":\"a/b\",\"security\":{}}", "a name is", 0},
	{"{\"devtype\":1,\"name\":7,\"security\":{}}", "name is not a text", 0},
	{"{\"devtype\":1,\"name\":\"Cisco 7960\",\"security\":" ALL "}", "built in", 0},
	{HEAD ALL ",\"sccp_type\":30006}", "built in", 0}, /* 0x7536: the 7970's */
	{HEAD ALL ",\"sccp_type\":-1}", "32 bits", 0},
	{HEAD ALL ",\"trusted\":true}", "no package can say", 0}, /* 000:P0-14, R-07 */
	{HEAD ALL ",\"colour\":1}", "unknown member", 0},
	{HEAD "{\"encrypt\":true}}", "security: unknown member", 0},
	{HEAD "{\"authentication\":1}}", "authentication is not true or false", 0},
	{HEAD "true}", "security is no object", 0},
	{HEAD "{\"encryption\":true}}", "encryption needs authentication", 0},
	{HEAD "{\"authentication\":true,\"media\":true}}", "media encryption needs encryption", 0},
	{HEAD "{},\"features\":{\"tone\":true}}", "secure tone needs media encryption", 0},
	{"[]", "a package is an object", 0},
};

static int parse(const char *text, struct cp_typerec *ret, char *why, size_t size)
{
	json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	int rc;

	CU_ASSERT_PTR_NOT_NULL_FATAL(o);
	rc = json_to_typerec(o, ret, why, size);
	json_decref(o);
	return rc;
}

static void test_packages(void)
{
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++) {
		struct cp_typerec t, back;
		struct cp_buf out;
		char why[512] = "";
		int rc = parse(packages[i].text, &t, why, sizeof(why));

		if (packages[i].why != NULL) {
			if (rc != -EINVAL || strstr(why, packages[i].why) == NULL)
				printf("%s: %d %s\n", packages[i].text, rc, why);
			CU_ASSERT(rc == -EINVAL && strstr(why, packages[i].why) != NULL);
			continue;
		}
		CU_ASSERT_EQUAL_FATAL(rc, 0);
		CU_ASSERT_EQUAL(cp_typerec_devtype(&t).flags, packages[i].flags);
		CU_ASSERT_EQUAL_FATAL(cp_typerec_build(&t, &out), 0);
		for (size_t n = 0; n < out.len; n++) { /* cut at every length: less of it, or refused */
			uint8_t *cut = malloc(n + (n == 0));

			memcpy(cut, out.data, n);
			if (cp_typerec_parse(cut, n, &back) == 0)
				cp_typerec_free(&back);
			free(cut);
		}
		CU_ASSERT_EQUAL_FATAL(cp_typerec_parse(out.data, out.len, &back), 0);
		CU_ASSERT(strcmp(back.name, t.name) == 0 && back.media == t.media && back.tone == t.tone && back.sccp_type == t.sccp_type);
		cp_typerec_free(&back);
		free(out.data);
	}
}

/* --- with a store --- */

static struct event_base *base;
static struct cp_store *store;
static int stored, stored_rc;
static char why[300];

static void on_stored(void *ctx, int rc)
{
	(void)ctx;
	stored_rc = rc;
	stored = 1;
}

static void submit(struct cp_change *c)
{
	stored = 0;
	CU_ASSERT_EQUAL_FATAL(cp_change_submit(c, "test", "test", NULL, on_stored, NULL), 0);
	CU_ASSERT_TRUE_FATAL(wait_for(base, &stored));
	CU_ASSERT_EQUAL_FATAL(stored_rc, 0);
}

static void install(const char *text)
{
	struct cp_change *c = cp_change_create(store);
	struct cp_typerec t;

	CU_ASSERT_EQUAL_FATAL(parse(text, &t, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL_FATAL(cp_typerec_put(c, &t, true, why, sizeof(why)), 0);
	submit(c);
}

/* A device of this model and mode: 0 and it is stored, or why not. */
static int put(const char *model, enum cp_device_mode mode, bool tone)
{
	struct cp_device d = {.name = "SEP000000000001", .mode = mode, .region = "default", .secure_tone = tone};
	struct cp_change *c = cp_change_create(store);
	int rc;

	snprintf(d.model, sizeof(d.model), "%s", model);
	rc = cp_change_device_put(c, &d, true, why, sizeof(why));
	if (rc == 0)
		submit(c);
	else
		cp_change_destroy(c);
	return rc;
}

static void begin(void)
{
	struct cp_store_opts o = {.no_sync = true};
	char err[256];

	tmp_make();
	base = event_base_new();
	o.path = tmp_store;
	o.base = base;
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &store, err, sizeof(err)), 0);
}

static void end(void)
{
	cp_store_close(store);
	event_base_free(base);
	tmp_remove();
}

/* 004b:SEC-10: only modes that the type can do are taken; a type that nobody knows can do nothing until its package is there. */
static void test_modes(void)
{
	struct cp_change *c;

	begin();
	CU_ASSERT_EQUAL(put("7912", CP_DEVICE_ENCRYPTED, false), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "7912"));
	CU_ASSERT_EQUAL(put("7912", CP_DEVICE_AUTHENTICATED, false), -EINVAL);
	CU_ASSERT_EQUAL(put("7912", CP_DEVICE_NONSECURE, false), 0);
	CU_ASSERT_EQUAL(put("", CP_DEVICE_ENCRYPTED, false), 0);
	CU_ASSERT_EQUAL(put("Cisco 8865", CP_DEVICE_ENCRYPTED, true), 0);
	CU_ASSERT_EQUAL(put("7961", CP_DEVICE_ENCRYPTED, true), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "plays no secure tone"));
	CU_ASSERT_EQUAL(put("ACME 100", CP_DEVICE_ENCRYPTED, false), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "no such type is installed"));
	CU_ASSERT_EQUAL(put("ACME 100", CP_DEVICE_NONSECURE, false), 0);
	/* a package without security gives none */
	install(HEAD "{}}");
	CU_ASSERT_EQUAL(put("ACME 100", CP_DEVICE_AUTHENTICATED, false), -EINVAL);
	install(HEAD "{\"authentication\":true}}");
	CU_ASSERT_EQUAL(put("ACME 100", CP_DEVICE_ENCRYPTED, false), -EINVAL);
	CU_ASSERT_EQUAL(put("acme 100", CP_DEVICE_AUTHENTICATED, false), 0); /* 000:P0-30, whatever the case */
	install(HEAD ALL "}");
	CU_ASSERT_EQUAL(put("ACME 100", CP_DEVICE_ENCRYPTED, false), 0);
	CU_ASSERT_EQUAL(cp_store_devtype(store, "ACME 100", 0).flags, CP_DT_TLS | CP_DT_SRTP);
	CU_ASSERT_EQUAL(cp_store_devtype(store, "", 4711).flags & CP_DT_SRTP, CP_DT_SRTP); /* no such number: the generic phone */
	install(HEAD "{\"authentication\":true},\"sccp_type\":4711}");
	CU_ASSERT_EQUAL(cp_store_devtype(store, "", 4711).flags, CP_DT_TLS | CP_DT_AUTH_ONLY);
	/* what it has stays as it is while nobody changes it */
	CU_ASSERT_EQUAL(put("ACME 100", CP_DEVICE_ENCRYPTED, false), 0);
	/* a type that is used stays; then it can go */
	c = cp_change_create(store);
	CU_ASSERT_EQUAL(cp_typerec_del(store, c, "ACME 100", why, sizeof(why)), -EPROTO);
	CU_ASSERT_EQUAL(cp_typerec_del(store, c, "other", why, sizeof(why)), -ENOENT);
	cp_change_destroy(c);
	CU_ASSERT_EQUAL(put("7961", CP_DEVICE_ENCRYPTED, false), 0);
	/* a device on its way may be of it */
	c = cp_change_create(store);
	CU_ASSERT_EQUAL_FATAL(cp_change_device_put(c, &(struct cp_device){.name = "SEP000000000002", .mode = CP_DEVICE_NONSECURE, .region = "default"}, false, why, sizeof(why)), 0);
	stored = 0;
	CU_ASSERT_EQUAL_FATAL(cp_change_submit(c, "test", "test", NULL, on_stored, NULL), 0);
	c = cp_change_create(store);
	CU_ASSERT_EQUAL(cp_typerec_del(store, c, "ACME 100", why, sizeof(why)), -EBUSY);
	CU_ASSERT_TRUE_FATAL(wait_for(base, &stored));
	CU_ASSERT_EQUAL_FATAL(cp_typerec_del(store, c, "ACME 100", why, sizeof(why)), 0);
	submit(c);
	CU_ASSERT_STRING_EQUAL(cp_store_devtype(store, "ACME 100", 0).model, "unknown");
	end();
}

/* 004b:R-28: no profile gives a device what its type cannot. */
static void test_profile(void)
{
	struct cp_profile p = {.name = "p", .mode = CP_DEVICE_NONSECURE, .protocol = CP_PROTOCOL_SCCP};
	struct cp_device d = {.name = "SEP000000000001", .mode = CP_DEVICE_NONSECURE, .region = "default", .model = "7912", .profile = "p"};
	struct cp_change *c;

	begin();
	c = cp_change_create(store);
	CU_ASSERT_EQUAL_FATAL(cp_change_profile_put(c, &p, false, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL_FATAL(cp_change_device_put(c, &d, false, why, sizeof(why)), 0);
	submit(c);
	p.mode = CP_DEVICE_ENCRYPTED;
	c = cp_change_create(store);
	CU_ASSERT_EQUAL(cp_change_profile_put(c, &p, true, why, sizeof(why)), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "SEP000000000001"));
	cp_change_destroy(c);
	strcpy(p.name, "q");
	c = cp_change_create(store);
	CU_ASSERT_EQUAL_FATAL(cp_change_profile_put(c, &p, false, why, sizeof(why)), 0);
	strcpy(d.profile, "q");
	CU_ASSERT_EQUAL(cp_change_device_put(c, &d, true, why, sizeof(why)), -EINVAL);
	/* the package and the device that needs it, in one change */
	strcpy(d.model, "ACME 100");
	d.profile[0] = '\0';
	d.mode = CP_DEVICE_ENCRYPTED;
	CU_ASSERT_EQUAL(cp_change_device_put(c, &d, true, why, sizeof(why)), -EINVAL);
	{
		struct cp_typerec t;

		CU_ASSERT_EQUAL_FATAL(parse(HEAD ALL "}", &t, why, sizeof(why)), 0);
		CU_ASSERT_EQUAL_FATAL(cp_typerec_put(c, &t, false, why, sizeof(why)), 0);
	}
	CU_ASSERT_EQUAL(cp_change_device_put(c, &d, true, why, sizeof(why)), 0);
	submit(c);
	end();
}

static CU_TestInfo tests[] = {
	{"packages", test_packages},
	{"modes by type", test_modes},
	{"profiles", test_profile},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	return 0;
}

#include "suite.h"
SUITE_MAIN("devtype", tests, setup, NULL)
