/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/store/dir.c, change.c, devchange.c: who owns which number, and what changes are refused. */
#include <errno.h>

#include <CUnit/CUnit.h>

#include "api/dp_msg.h"
#include "log.h"
#include "store/change.h"
#include "store/internal.h"
#include "store/store.h"
#include "store_tmp.h"

static struct event_base *base;
static struct cp_store *store;
static char why[200];
static int done, last_rc;

static void on_done(void *ctx, int rc)
{
	(void)ctx;
	last_rc = rc;
	done = 1;
}

static const struct cp_dir_ctx ctx = {.who = "test", .fn = on_done, .why = why, .why_size = sizeof(why)};

static void open_it(void)
{
	struct cp_store_opts o = {.path = tmp_store, .base = base};
	char err[256];

	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &store, err, sizeof(err)), 0);
}

static void begin(void)
{
	tmp_make();
	base = event_base_new();
	open_it();
}

static void end(void)
{
	cp_store_close(store);
	event_base_free(base);
	tmp_remove();
}

/* What a change came to, waiting for the sync. */
static int sync_rc(int rc)
{
	if (rc < 0)
		return rc;
	CU_ASSERT_TRUE(wait_for(base, &done));
	done = 0;
	return last_rc;
}

static int device(const char *name, bool replace, const char *n1, const char *n2)
{
	struct cp_line lines[2] = {0};
	struct cp_device d = {.mode = CP_DEVICE_ENCRYPTED, .region = "default", .srtp = true, .lines = lines};

	strcpy(d.name, name);
	if (n1 != NULL)
		strcpy(lines[d.line_cnt++].number, n1);
	if (n2 != NULL)
		strcpy(lines[d.line_cnt++].number, n2);
	return cp_dir_device_put(store, &d, replace, &ctx);
}

/* numbers: blank-separated, a trailing * is a prefix */
static int gateway(const char *name, bool replace, const char *numbers)
{
	struct cp_endpoint ep = {.name = "aaln/1"};
	struct cp_gw_number n[8] = {0};
	struct cp_gateway g = {.region = "default", .endpoints = &ep, .endpoint_cnt = 1, .numbers = n};
	char copy[200], *p, *save;

	strcpy(g.name, name);
	cfg_addr_parse("10.0.0.1:2427", &g.address);
	strcpy(copy, numbers);
	for (p = strtok_r(copy, " ", &save); p != NULL; p = strtok_r(NULL, " ", &save)) {
		struct cp_gw_number *x = &n[g.number_cnt++];

		x->prefix = p[strlen(p) - 1] == '*';
		memcpy(x->number, p, strlen(p) - x->prefix);
		if (!x->prefix)
			strcpy(x->endpoint, "aaln/1");
	}
	return cp_dir_gateway_put(store, &g, replace, &ctx);
}

/* "SEP...:2", "gw1/aaln/1", "gw1", "-"; a '+' behind: longer numbers may follow */
static const char *who(const char *number)
{
	static char buf[200];
	struct cp_dir_hit hit;
	bool longer;

	if (!cp_dir_number(store, number, &hit, &longer))
		strcpy(buf, "-");
	else if (hit.kind == CP_DIR_LINE)
		snprintf(buf, sizeof(buf), "%s:%u", hit.device->name, hit.line);
	else
		snprintf(buf, sizeof(buf), "%s%s%s", hit.gateway->name, hit.endpoint[0] ? "/" : "", hit.endpoint);
	if (longer)
		strcat(buf, "+");
	return buf;
}

static void test_lookup(void)
{
	begin();
	CU_ASSERT_EQUAL(sync_rc(device("SEP000000000001", false, "1000", "10")), 0);
	CU_ASSERT_EQUAL(sync_rc(gateway("gw1", false, "4* 49* 2000 +1*")), 0);
	CU_ASSERT_EQUAL(sync_rc(gateway("gw2", false, "498* 4989123")), 0);
	for (int again = 0; again < 2; again++) {
		CU_ASSERT_STRING_EQUAL(who("1000"), "SEP000000000001:1");
		CU_ASSERT_STRING_EQUAL(who("10"), "SEP000000000001:2+"); /* 1000 may follow */
		CU_ASSERT_STRING_EQUAL(who("1"), "-+");
		CU_ASSERT_STRING_EQUAL(who("100"), "-+");
		CU_ASSERT_STRING_EQUAL(who("10000"), "-");
		CU_ASSERT_STRING_EQUAL(who("2000"), "gw1/aaln/1");
		CU_ASSERT_STRING_EQUAL(who("4"), "gw1+");
		CU_ASSERT_STRING_EQUAL(who("41"), "gw1+");
		CU_ASSERT_STRING_EQUAL(who("498"), "gw2+");
		CU_ASSERT_STRING_EQUAL(who("497"), "gw1+");
		CU_ASSERT_STRING_EQUAL(who("4989123"), "gw2/aaln/1+"); /* exact wins over the prefix */
		CU_ASSERT_STRING_EQUAL(who("+12"), "gw1+");
		CU_ASSERT_STRING_EQUAL(who(""), "-+");
		CU_ASSERT_STRING_EQUAL(who("abc"), "-");
		CU_ASSERT_STRING_EQUAL(who("3"), "-");
		CU_ASSERT_STRING_EQUAL(who("400000000000000000000000000000000000000000000000"), "gw1+");
		cp_store_close(store); /* the same from disk */
		open_it();
	}
	CU_ASSERT_PTR_EQUAL(cp_dir_gateway_id(store, cp_dir_gateway(store, "gw2")->gw_id), cp_dir_gateway(store, "gw2"));
	CU_ASSERT_PTR_NULL(cp_dir_gateway_id(store, 12345678));
	CU_ASSERT_PTR_NULL(cp_dir_device(store, ""));
	end();
}

static void test_owned_once(void)
{
	begin();
	CU_ASSERT_EQUAL(sync_rc(device("SEP000000000001", false, "1000", NULL)), 0);
	CU_ASSERT_EQUAL(device("SEP000000000002", false, "1000", NULL), -EEXIST);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "owned by SEP000000000001"));
	CU_ASSERT_EQUAL(gateway("gw1", false, "1000"), -EEXIST);
	CU_ASSERT_EQUAL(sync_rc(gateway("gw1", false, "1000*")), 0); /* a prefix is another thing */
	CU_ASSERT_EQUAL(gateway("gw2", false, "1000*"), -EEXIST);
	CU_ASSERT_EQUAL(device("SEP000000000001", false, NULL, NULL), -EEXIST);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "exists"));
	CU_ASSERT_EQUAL(device("SEP000000000003", false, "12x", NULL), -EINVAL);
	CU_ASSERT_EQUAL(device("SEP3", false, "12", NULL), -EINVAL);
	CU_ASSERT_PTR_NULL(cp_dir_device(store, "SEP000000000002"));
	/* replacing frees what is no longer there and keeps what is */
	CU_ASSERT_EQUAL(sync_rc(device("SEP000000000001", true, "1001", NULL)), 0);
	CU_ASSERT_STRING_EQUAL(who("1000"), "gw1+");
	CU_ASSERT_EQUAL(sync_rc(device("SEP000000000002", false, "1000", "1002")), 0);
	CU_ASSERT_EQUAL(sync_rc(device("SEP000000000002", true, "1002", "1000")), 0);
	CU_ASSERT_STRING_EQUAL(who("1000"), "SEP000000000002:2+");
	end();
}

static void test_in_flight(void)
{
	begin();
	CU_ASSERT_EQUAL(device("SEP000000000001", false, "1000", NULL), 0);
	CU_ASSERT_EQUAL(device("SEP000000000001", false, "1001", NULL), -EBUSY); /* not synced yet */
	CU_ASSERT_EQUAL(device("SEP000000000002", false, "1000", NULL), -EBUSY);
	CU_ASSERT_EQUAL(gateway("gw1", false, "1000"), -EBUSY);
	CU_ASSERT_EQUAL(cp_dir_device_del(store, "SEP000000000001", &ctx), -EBUSY);
	CU_ASSERT_EQUAL(sync_rc(0), 0);
	CU_ASSERT_EQUAL(device("SEP000000000002", false, "1000", NULL), -EEXIST);
	CU_ASSERT_EQUAL(sync_rc(device("SEP000000000002", false, "1001", NULL)), 0);
	/* two gateways on their way get different numbers */
	CU_ASSERT_EQUAL(gateway("gw1", false, ""), 0);
	CU_ASSERT_EQUAL(gateway("gw2", false, ""), 0);
	cp_store_close(store);
	open_it();
	CU_ASSERT_PTR_NOT_NULL_FATAL(cp_dir_gateway(store, "gw1"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(cp_dir_gateway(store, "gw2"));
	CU_ASSERT_NOT_EQUAL(cp_dir_gateway(store, "gw1")->gw_id, cp_dir_gateway(store, "gw2")->gw_id);
	end();
}

static int pattern(const char *name, const char *partition, const char *gw)
{
	struct cp_change *c = cp_change_create(store);
	struct cp_pattern_target to = {0};
	struct cp_pattern p = {.kind = CP_PATTERN_ROUTE, .targets = &to, .target_cnt = 1};
	int rc;

	strcpy(p.pattern, name);
	strcpy(p.partition, partition);
	strcpy(to.gateway, gw);
	rc = cp_change_pattern_put(c, &p, false, why, sizeof(why));
	if (rc == 0)
		return cp_change_submit(c, "test", "test", NULL, on_done, NULL);
	cp_change_destroy(c);
	return rc;
}

static int partition(const char *name, bool del)
{
	struct cp_change *c = cp_change_create(store);
	struct cp_partition p = {0};
	int rc;

	strcpy(p.name, name);
	rc = del ? cp_change_partition_del(c, name, why, sizeof(why)) : cp_change_partition_put(c, &p, false, why, sizeof(why));
	if (rc == 0)
		return cp_change_submit(c, "test", "test", NULL, on_done, NULL);
	cp_change_destroy(c);
	return rc;
}

/* What a record names may be going, and who names a record may be coming. */
static void test_plan_in_flight(void)
{
	done = 0;
	begin();
	CU_ASSERT_EQUAL(sync_rc(partition("main", false)), 0);
	CU_ASSERT_EQUAL(sync_rc(gateway("gw1", false, "")), 0);
	CU_ASSERT_EQUAL(partition("main", true), 0);
	CU_ASSERT_EQUAL(pattern("9.!", "main", "gw1"), -EBUSY);
	CU_ASSERT_EQUAL(sync_rc(0), 0);
	CU_ASSERT_EQUAL(pattern("9.!", "main", "gw1"), -EINVAL);
	CU_ASSERT_EQUAL(pattern("9.!", "", "gw1"), 0);
	CU_ASSERT_EQUAL(cp_dir_gateway_del(store, "gw1", &ctx), -EBUSY);
	CU_ASSERT_EQUAL(sync_rc(0), 0);
	CU_ASSERT_EQUAL(cp_dir_gateway_del(store, "gw1", &ctx), -EPROTO);
	CU_ASSERT_EQUAL(sync_rc(gateway("gw2", false, "")), 0);
	CU_ASSERT_EQUAL(cp_dir_gateway_del(store, "gw2", &ctx), 0);
	CU_ASSERT_EQUAL(pattern("8.!", "", "gw2"), -EBUSY);
	CU_ASSERT_EQUAL(sync_rc(0), 0);
	CU_ASSERT_EQUAL(pattern("8.!", "", "gw2"), -EINVAL);
	end();
}

static void test_lines(void)
{
	struct cp_line l = {.number = "2000", .label = "Label"};
	uint32_t id;

	done = 0;
	begin();
	CU_ASSERT_EQUAL(cp_dir_line_add(store, "SEP000000000001", &l, &ctx), -ENOENT);
	CU_ASSERT_EQUAL(sync_rc(device("SEP000000000001", false, "1000", NULL)), 0);
	CU_ASSERT_EQUAL(sync_rc(cp_dir_line_add(store, "SEP000000000001", &l, &ctx)), 0);
	CU_ASSERT_STRING_EQUAL(who("2000"), "SEP000000000001:2");
	CU_ASSERT_EQUAL(cp_dir_line_add(store, "SEP000000000001", &l, &ctx), -EEXIST);
	CU_ASSERT_EQUAL(sync_rc(cp_dir_line_del(store, "1000", NULL, &ctx)), 0);
	CU_ASSERT_STRING_EQUAL(who("2000"), "SEP000000000001:1");
	CU_ASSERT_STRING_EQUAL(who("1000"), "-");
	CU_ASSERT_EQUAL(cp_dir_line_del(store, "1000", NULL, &ctx), -ENOENT);
	CU_ASSERT_EQUAL(sync_rc(gateway("gw1", false, "3000")), 0);
	CU_ASSERT_EQUAL(cp_dir_line_del(store, "3000", NULL, &ctx), -EINVAL); /* a gateway's */
	for (int i = 0; i < CP_DEVICE_LINES_MAX - 1; i++) {
		snprintf(l.number, sizeof(l.number), "5%03d", i);
		CU_ASSERT_EQUAL(sync_rc(cp_dir_line_add(store, "SEP000000000001", &l, &ctx)), 0);
	}
	strcpy(l.number, "6000");
	CU_ASSERT_EQUAL(cp_dir_line_add(store, "SEP000000000001", &l, &ctx), -EINVAL);
	CU_ASSERT_EQUAL(sync_rc(cp_dir_device_del(store, "SEP000000000001", &ctx)), 0);
	CU_ASSERT_STRING_EQUAL(who("5000"), "-");
	CU_ASSERT_STRING_EQUAL(who("2"), "-");
	CU_ASSERT_EQUAL(cp_dir_device_del(store, "SEP000000000001", &ctx), -ENOENT);
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_LINE), 1);
	id = cp_dir_gateway(store, "gw1")->gw_id;
	CU_ASSERT_EQUAL(sync_rc(gateway("gw1", true, "3001")), 0);
	CU_ASSERT_EQUAL(cp_dir_gateway(store, "gw1")->gw_id, id); /* stays */
	CU_ASSERT_STRING_EQUAL(who("3000"), "-");
	CU_ASSERT_EQUAL(sync_rc(cp_dir_gateway_del(store, "gw1", &ctx)), 0);
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_LINE), 0);
	CU_ASSERT_PTR_NULL(cp_dir_gateway_id(store, id));
	end();
}

static void test_gateway_with_sa(void)
{
	uint8_t sealed[] = {1};
	struct cp_sa sa = {.name = "s1", .gateway = "gw1", .spi = 4096, .dir = DP_DIR_SEND, .alg = DP_ESP_AES_GCM_128,
			   .mode = DP_ESP_TUNNEL, .sealed = {sealed, 1}};

	begin();
	cfg_addr_parse("10.0.0.1", &sa.local);
	cfg_addr_parse("10.0.0.2", &sa.remote);
	CU_ASSERT_EQUAL(sync_rc(gateway("gw1", false, "")), 0);
	CU_ASSERT_EQUAL(sync_rc(cp_store_put_sa(store, &sa, "{}", on_done, NULL)), 0);
	CU_ASSERT_PTR_NOT_NULL(cp_store_sa(store, "s1"));
	CU_ASSERT_EQUAL(cp_dir_gateway_del(store, "gw1", &ctx), -EPROTO);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "s1"));
	CU_ASSERT_EQUAL(sync_rc(cp_store_del_sa(store, "s1", NULL, on_done, NULL)), 0);
	/* one of the two on its way: the other waits */
	CU_ASSERT_EQUAL(cp_store_put_sa(store, &sa, "{}", on_done, NULL), 0);
	CU_ASSERT_EQUAL(cp_dir_gateway_del(store, "gw1", &ctx), -EBUSY);
	CU_ASSERT_EQUAL(sync_rc(0), 0);
	CU_ASSERT_EQUAL(cp_dir_gateway_del(store, "gw1", &ctx), -EPROTO);
	CU_ASSERT_EQUAL(sync_rc(cp_store_del_sa(store, "s1", NULL, on_done, NULL)), 0);
	CU_ASSERT_EQUAL(cp_dir_gateway_del(store, "gw1", &ctx), 0);
	CU_ASSERT_EQUAL(cp_store_put_sa(store, &sa, "{}", on_done, NULL), -EBUSY);
	CU_ASSERT_EQUAL(sync_rc(0), 0);
	CU_ASSERT_PTR_NULL(cp_store_sa(store, "s1"));
	end();
}

/* The last numbers: one that a change has, or one on its way, is not given again. */
static void test_gateway_numbers(void)
{
	static const struct cp_gateway other;
	struct cp_gateway g = {.name = "gw1", .region = "default"};
	struct cp_change *c;

	begin();
	cfg_addr_parse("10.0.0.1:2427", &g.address);
	for (uint32_t i = 0; i < DP_GW_MAX; i++)
		store->gw_by_id[i] = &other;
	store->gw_by_id[7] = NULL;
	c = cp_change_create(store);
	CU_ASSERT_EQUAL(cp_change_gateway_put(c, &g, false, why, sizeof(why)), 0);
	strcpy(g.name, "gw2");
	CU_ASSERT_EQUAL(cp_change_gateway_put(c, &g, false, why, sizeof(why)), -ENOSPC);
	store->gw_by_id[5] = NULL;
	CU_ASSERT_EQUAL(cp_change_gateway_put(c, &g, false, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(cp_change_submit(c, "import", "test", NULL, on_done, NULL), 0);
	strcpy(g.name, "gw3");
	CU_ASSERT_EQUAL(cp_dir_gateway_put(store, &g, false, &ctx), -EBUSY);
	CU_ASSERT_EQUAL(sync_rc(0), 0);
	CU_ASSERT_EQUAL(cp_dir_gateway(store, "gw1")->gw_id, 7);
	CU_ASSERT_EQUAL(cp_dir_gateway(store, "gw2")->gw_id, 5);
	CU_ASSERT_EQUAL(cp_dir_gateway_put(store, &g, false, &ctx), -ENOSPC);
	store->gw_by_id[9] = NULL;
	CU_ASSERT_EQUAL(sync_rc(cp_dir_gateway_put(store, &g, false, &ctx)), 0);
	CU_ASSERT_EQUAL(cp_dir_gateway(store, "gw3")->gw_id, 9);
	end();
}

static void test_calls(void)
{
	struct cp_call_rec c = {.call_id = 42, .leg_cnt = 1};

	begin();
	strcpy(c.leg[0].party, "SEP000000000001");
	CU_ASSERT_EQUAL(sync_rc(cp_store_put_call(store, &c, on_done, NULL)), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(cp_store_call(store, 42));
	cp_store_close(store);
	open_it();
	CU_ASSERT_PTR_NOT_NULL_FATAL(cp_store_call(store, 42));
	CU_ASSERT_STRING_EQUAL(cp_store_call(store, 42)->leg[0].party, "SEP000000000001");
	CU_ASSERT_EQUAL(sync_rc(cp_store_del_call(store, 42, on_done, NULL)), 0);
	CU_ASSERT_PTR_NULL(cp_store_call(store, 42));
	end();
}

static void test_one_change_many_items(void)
{
	struct cp_line l = {.number = "1", .label = ""};
	struct cp_device d = {.name = "SEP000000000001", .mode = CP_DEVICE_NONSECURE, .region = "r"};
	struct cp_change *c;

	begin();
	c = cp_change_create(store);
	CU_ASSERT_EQUAL(cp_change_device_put(c, &d, false, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(cp_change_line_add(c, d.name, &l, why, sizeof(why)), 0); /* of a device in the change */
	CU_ASSERT_EQUAL(cp_change_device_put(c, &d, false, why, sizeof(why)), -EEXIST);
	strcpy(d.name, "SEP000000000002");
	d.lines = &l;
	d.line_cnt = 1;
	CU_ASSERT_EQUAL(cp_change_device_put(c, &d, false, why, sizeof(why)), -EEXIST); /* the number */
	CU_ASSERT_EQUAL(cp_change_line_del(c, "1", NULL, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(cp_change_device_put(c, &d, false, why, sizeof(why)), 0); /* moved in one change */
	CU_ASSERT_PTR_NULL(cp_dir_device(store, d.name));
	CU_ASSERT_EQUAL(sync_rc(cp_change_submit(c, "import", "test", NULL, on_done, NULL)), 0);
	CU_ASSERT_STRING_EQUAL(who("1"), "SEP000000000002:1");
	CU_ASSERT_EQUAL(cp_dir_device(store, "SEP000000000001")->line_cnt, 0);
	end();
}

/* One number on several devices: 000:P0-10 begins here. */
static void test_shared(void)
{
	static const char *const devs[] = {"SEP000000000001", "SEP000000000002", "SEP000000000003"};
	struct cp_dir_place place[CP_LINE_DEVICES_MAX];
	struct cp_dir_ctx both = ctx;
	struct cp_line l = {.number = "1000", .label = ""};
	char name[16];

	begin();
	both.shared = true;
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(sync_rc(device(devs[i], false, NULL, NULL)), 0);
	CU_ASSERT_EQUAL(sync_rc(cp_dir_line_add(store, devs[1], &l, &ctx)), 0);
	CU_ASSERT_EQUAL(cp_dir_line_add(store, devs[0], &l, &ctx), -EEXIST); /* not unless it is asked for */
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "--shared"));
	CU_ASSERT_EQUAL(sync_rc(cp_dir_line_add(store, devs[0], &l, &both)), 0);
	CU_ASSERT_EQUAL(cp_dir_line_add(store, devs[0], &l, &both), -EEXIST); /* once per device */
	CU_ASSERT_EQUAL(sync_rc(gateway("gw1", false, "2000")), 0);
	strcpy(l.number, "2000");
	CU_ASSERT_EQUAL(cp_dir_line_add(store, devs[0], &l, &both), -EEXIST); /* a gateway shares nothing */
	for (int again = 0; again < 2; again++) {
		CU_ASSERT_EQUAL_FATAL(cp_dir_line_devices(store, "1000", "", place), 2);
		CU_ASSERT(strcmp(place[0].device->name, devs[1]) == 0 && strcmp(place[1].device->name, devs[0]) == 0);
		CU_ASSERT(place[0].line == 1 && place[1].line == 1);
		CU_ASSERT_STRING_EQUAL(who("1000"), "SEP000000000002:1");
		CU_ASSERT_EQUAL(cp_dir_line_devices(store, "2000", "", place) + cp_dir_line_devices(store, "100", "", place) +
				cp_dir_line_devices(store, "", "", place), 0);
		cp_store_close(store);
		open_it();
	}
	/* a record written again keeps its place, also by somebody who does not ask for it */
	CU_ASSERT_EQUAL(sync_rc(device(devs[1], true, "1000", "77")), 0);
	CU_ASSERT_STRING_EQUAL(who("1000"), "SEP000000000002:1");
	CU_ASSERT_EQUAL(cp_dir_line_del(store, "1000", NULL, &ctx), -EINVAL); /* whose? */
	CU_ASSERT_EQUAL(cp_dir_line_del(store, "1000", devs[2], &ctx), -ENOENT);
	CU_ASSERT_EQUAL(sync_rc(cp_dir_line_del(store, "1000", devs[1], &ctx)), 0);
	CU_ASSERT_STRING_EQUAL(who("1000"), "SEP000000000001:1");
	CU_ASSERT_EQUAL(sync_rc(cp_dir_device_del(store, devs[0], &ctx)), 0);
	CU_ASSERT_STRING_EQUAL(who("1000"), "-");
	strcpy(l.number, "3000");
	for (int i = 0; i <= CP_LINE_DEVICES_MAX; i++) {
		snprintf(name, sizeof(name), "SEP0000000A%04d", i);
		CU_ASSERT_EQUAL(sync_rc(device(name, false, NULL, NULL)), 0);
		CU_ASSERT_EQUAL(sync_rc(cp_dir_line_add(store, name, &l, &both)), i < CP_LINE_DEVICES_MAX ? 0 : -EEXIST);
	}
	CU_ASSERT_EQUAL(cp_dir_line_devices(store, "3000", "", place), CP_LINE_DEVICES_MAX);
	end();
}

/* Random changes against a plain array: which devices have a number. */
static void test_against_model(void)
{
	static const char *const devs[] = {"SEP000000000000", "SEP000000000001", "SEP000000000002"};
	unsigned owners[60] = {0};

	begin();
	srand(7);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(sync_rc(device(devs[i], false, NULL, NULL)), 0);
	for (int i = 0; i < 600; i++) {
		int n = rand() % 60, d = rand() % 3, want;
		bool named = rand() % 3 == 0;
		struct cp_dir_ctx x = ctx;
		struct cp_line l = {0};

		snprintf(l.number, sizeof(l.number), "%d", n);
		x.shared = rand() % 2;
		if (rand() % 2) {
			want = owners[n] == 0 || (x.shared && (owners[n] & 1u << d) == 0) ? 0 : -EEXIST;
			CU_ASSERT_EQUAL(sync_rc(cp_dir_line_add(store, devs[d], &l, &x)), want);
			if (want == 0)
				owners[n] |= 1u << d;
		} else if (named) {
			want = (owners[n] & 1u << d) != 0 ? 0 : -ENOENT;
			CU_ASSERT_EQUAL(sync_rc(cp_dir_line_del(store, l.number, devs[d], &x)), want);
			owners[n] &= ~(1u << d);
		} else {
			want = owners[n] == 0 ? -ENOENT : (owners[n] & (owners[n] - 1)) != 0 ? -EINVAL : 0;
			CU_ASSERT_EQUAL(sync_rc(cp_dir_line_del(store, l.number, NULL, &x)), want);
			owners[n] = want == 0 ? 0 : owners[n];
		}
	}
	for (int pass = 0; pass < 2; pass++) {
		for (int n = 0; n < 60; n++) {
			struct cp_dir_place place[CP_LINE_DEVICES_MAX];
			struct cp_dir_hit hit;
			unsigned have = 0;
			char num[8];
			bool longer, want = false;

			snprintf(num, sizeof(num), "%d", n);
			for (int m = 10 * n; n > 0 && n < 6 && m < 10 * n + 10; m++)
				want = want || owners[m] != 0;
			CU_ASSERT_EQUAL(cp_dir_number(store, num, &hit, &longer), owners[n] != 0);
			CU_ASSERT_EQUAL(longer, want);
			for (unsigned i = cp_dir_line_devices(store, num, "", place); i > 0; i--)
				have |= 1u << (place[i - 1].device->name[14] - '0');
			CU_ASSERT_EQUAL(have, owners[n]);
		}
		cp_store_close(store);
		open_it();
	}
	end();
}

static CU_TestInfo tests[] = {
	{"the last numbers of gateways", test_gateway_numbers},
	{"exact, longest prefix, longer numbers", test_lookup},
	{"a number is owned once", test_owned_once},
	{"what is on its way counts", test_in_flight},
	{"and of the dial plan", test_plan_in_flight},
	{"lines, devices and gateways come and go", test_lines},
	{"a gateway with an SA stays", test_gateway_with_sa},
	{"calls", test_calls},
	{"many items in one change", test_one_change_many_items},
	{"a shared line", test_shared},
	{"random changes against a model", test_against_model},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	cfg_log_init("t", CFG_LOG_KV, CFG_LOG_ERR);
	return 0;
}

#include "suite.h"
SUITE_MAIN("dir", tests, setup, NULL)
