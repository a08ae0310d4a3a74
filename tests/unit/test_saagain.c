/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IKE's SAs that come again: ids and SPIs of others, a dataplane that has no room just now, records of spent numbers that are lost or old. In
 * none of it is a number used twice under one key, and none stays that charon has deleted.
 */
#include "ike_fix.h"

/* --- numbers that the disk does not know --- */

static char rec_key[CP_STORE_KEY_MAX];
static size_t rec_len;

static bool find_rec(void *ctx, const uint8_t *key, size_t len, const uint8_t *val, size_t val_len)
{
	(void)ctx;
	(void)val;
	(void)val_len;
	if (len >= 11 && memcmp(key, "sa-seq:ike:", 11) == 0)
		memcpy(rec_key, key, rec_len = len);
	return true;
}

/* The record of the one outbound SA: gone (val NULL), or another. */
static void record(const uint8_t val[16])
{
	struct cp_batch *b = cp_batch_create();

	rec_len = 0;
	cp_store_each(w.store, CP_CF_META, find_rec, NULL);
	CU_ASSERT_TRUE_FATAL(rec_len > 0);
	if (val == NULL)
		cp_batch_del(b, CP_CF_META, rec_key, rec_len);
	else
		cp_batch_put(b, CP_CF_META, rec_key, rec_len, val, 16);
	CU_ASSERT_EQUAL(cp_store_commit(w.store, b), 0);
}

static uint32_t child(void)
{
	uint32_t in;

	begin_ike();
	in = child_up(0xaaaa, 1, true);
	UNTIL(set_of(in) != NULL && set_of(0xaaaa) != NULL && cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	return in;
}

/* The dataplane still has it, the disk says nothing of its numbers: charon is to renew it, and until then nothing new is promised. */
static void test_record_lost(void)
{
	uint32_t in = child();

	fake_sa(&w.fake, set_of(0xaaaa)->sa_id)->seq = 60000;
	restart(false);
	record(NULL);
	set_cnt = 0;
	sets[set_of(0xaaaa)->sa_id].seq_limit = 7;
	replay(in, 0xaaaa, true);
	UNTIL(set_cnt > 0);
	rest();
	CU_ASSERT_EQUAL(set_of(0xaaaa)->seq_limit, 7); /* not set again */
	hear(0xaaaa, false);
	CU_ASSERT_EQUAL(on_disk("sa-seq:ike:"), 0);
	end_ike();
}

/* A backup was restored: the page tells more than the disk. What the dataplane may use by now is not granted again after its death. */
static void test_record_old(void)
{
	uint32_t in = child();
	int before;

	fake_sa(&w.fake, set_of(0xaaaa)->sa_id)->seq = 500000;
	restart(false);
	replay(in, 0xaaaa, true);
	UNTIL(set_of(0xaaaa)->seq_floor > 0);
	CU_ASSERT(set_of(0xaaaa)->seq_floor >= 500000 + SA_GRANT + SA_GRANT / 2);
	before = ups;
	fake_stop(&w.fake);
	memset(sets, 0, sizeof(sets));
	fake_start(&w.fake, w.base, tmp_dir);
	UNTIL(ups > before && set_of(0xaaaa) != NULL);
	CU_ASSERT(set_of(0xaaaa)->seq_floor >= 500000 + SA_GRANT + SA_GRANT / 2);
	end_ike();
}

/* The wall clock was set forward: the record is long due to go. It stays while its key is in use. */
static void test_clock_forward(void)
{
	static const uint8_t due[16] = {[5] = 48, [15] = 1}; /* 3,145,728 numbers, until 1970 */
	uint32_t in = child();

	record(due);
	restart(false);
	replay(in, 0xaaaa, true);
	UNTIL(set_of(0xaaaa) != NULL && set_of(0xaaaa)->seq_floor >= 48 << 16);
	rest();
	record(due);
	sa_seqs_clean(sas);
	rest();
	CU_ASSERT_EQUAL(on_disk("sa-seq:ike:"), 48 << 16);
	/* And goes when it is not. */
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_DELSA, false, 0xaaaa), 0);
	sa_seqs_clean(sas);
	UNTIL(on_disk("sa-seq:ike:") == 0);
	end_ike();
}

/* --- ids and SPIs that come again --- */

static int ike_set(uint32_t spi, uint8_t dir, uint8_t key, unsigned flags)
{
	struct cp_sa r = {.spi = spi, .dir = dir, .alg = DP_ESP_AES_GCM_128, .mode = DP_ESP_TUNNEL, .gateway = "gw1"};
	uint8_t secret[CP_SA_SECRET_LEN] = {key};
	char why[200];

	snprintf(r.name, sizeof(r.name), "ike-%u-%x", dir, spi);
	cfg_addr_parse("10.9.9.9", &r.local);
	cfg_addr_parse("10.0.0.1", &r.remote);
	return cp_sas_ike_set(sas, &r, secret, 1, flags, 0, why, sizeof(why));
}

static struct cp_sa_ref ref_of(uint32_t spi, uint8_t dir)
{
	struct cp_sa_ref r = {.dir = dir, .spi = spi};

	cfg_addr_parse("10.0.0.1", &r.remote);
	return r;
}

/* Numbers of one that ended come back from the disk when its id and its SPI have another one, which is not to send yet. */
static void test_late_answer(void)
{
	const struct cp_sa_ref ref = ref_of(0xaaaa, DP_DIR_SEND);

	begin_ike();
	CU_ASSERT_EQUAL(ike_set(0xaaaa, DP_DIR_SEND, 1, CP_SA_HOLD), 0);
	CU_ASSERT_EQUAL(cp_sas_ike_send(sas, &ref), 0);
	CU_ASSERT_EQUAL(cp_sas_ike_del(sas, &ref), 0);
	CU_ASSERT_EQUAL(ike_set(0xaaaa, DP_DIR_SEND, 2, CP_SA_HOLD), 0);
	rest();
	CU_ASSERT_PTR_NULL(set_of(0xaaaa));
	CU_ASSERT_EQUAL(cp_sas_ike_send(sas, &ref), 0);
	UNTIL(set_of(0xaaaa) != NULL);
	CU_ASSERT_EQUAL(set_of(0xaaaa)->key[0], 2);
	end_ike();
}

/* The peer's NAT gave it another port, or address: charon asks for the SA, deletes it, and says the answer again as a new one. */
static bool mapped(int fd, uint32_t spi, struct xfrm_user_mapping *ret)
{
	static _Alignas(8) uint8_t in[4096];
	const struct nlmsghdr *n = (const void *)in;
	ssize_t got = recv(fd, in, sizeof(in), MSG_DONTWAIT);

	if (got != (ssize_t)NLMSG_LENGTH(sizeof(*ret)) || n->nlmsg_type != XFRM_MSG_MAPPING || n->nlmsg_len != (uint32_t)got)
		return false;
	memcpy(ret, NLMSG_DATA(n), sizeof(*ret));
	return ret->id.spi == htonl(spi);
}

static void test_moved(void)
{
	uint32_t in = child();
	uint64_t spent = set_of(0xaaaa)->seq_limit;
	struct dp_sa_event ev = {.sa_id = set_of(in)->sa_id, .spi = in, .kind = DP_SA_MOVED, .from = {.ip = {10, 0, 0, 9}, .port = 61234, .family = 4}};
	struct dp_sa_event of_out = ev, v6 = ev, soft = {.sa_id = set_of(in)->sa_id, .spi = in, .kind = DP_SA_SOFT_EXPIRED, .why = DP_SA_WHY_PKTS};
	int fd = connect_as(1u << (XFRMNLGRP_MAPPING - 1), SHIM_BOUND);
	struct xfrm_user_mapping m;
	bool did = false;

	/* charon hears where from packets come, and what cannot be, never: what follows them comes first. */
	of_out.sa_id = set_of(0xaaaa)->sa_id;
	of_out.spi = 0xaaaa;
	v6.from.family = 6;
	fake_send(&w.fake, &of_out, DP_MSG_SA_EVENT, sizeof(of_out), 0);
	fake_send(&w.fake, &v6, DP_MSG_SA_EVENT, sizeof(v6), 0);
	fake_send(&w.fake, &ev, DP_MSG_SA_EVENT, sizeof(ev), 0);
	fake_send(&w.fake, &soft, DP_MSG_SA_EVENT, sizeof(soft), 0);
	STEP_UNTIL(did, (spin(), did = mapped(fd, in, &m)));
	CU_ASSERT(m.id.family == AF_INET && m.id.proto == 50 && m.id.daddr.a4 == inet_addr("10.9.9.9") && m.reqid == 1);
	CU_ASSERT(m.old_saddr.a4 == inet_addr("10.0.0.1") && m.old_sport == htons(4500));
	CU_ASSERT(m.new_saddr.a4 == inet_addr("10.0.0.9") && m.new_sport == htons(61234));
	hear(in, false); /* who did not ask for mappings hears the next thing */
	CU_ASSERT_FALSE(mapped(fd, in, &m));
	close(fd);

	fake_sa(&w.fake, set_of(in)->sa_id)->seq = 777;
	for (int i = 0; i < 2; i++) {
		const uint32_t spi = i == 0 ? in : 0xaaaa;
		struct cp_xfrm_sa sa;

		CU_ASSERT_EQUAL(sa_id(XFRM_MSG_GETSA, i == 0, spi), 0);
		sa = reply.sa;
		CU_ASSERT(sa.alg == DP_ESP_AES_GCM_128 && sa.key_len == 20 && sa.key[0] == 1 + i && sa.key[19] == 1 + i);
		CU_ASSERT_EQUAL(sa_id(XFRM_MSG_DELSA, i == 0, spi), 0);
		UNTIL(set_of(spi) == NULL);
		*(i == 0 ? &sa.src.port : &sa.id.dst.port) = 61234;
		((struct nlmsghdr *)(void *)out)->nlmsg_len = (uint32_t)cp_xfrm_put_sa(out, XFRM_MSG_NEWSA, NLM_F_REQUEST | NLM_F_ACK, ++seq, 0, &sa, false);
		CU_ASSERT_EQUAL(ask(), 0);
		UNTIL(set_of(spi) != NULL);
		CU_ASSERT_EQUAL(set_of(spi)->remote.port, 61234);
		CU_ASSERT(i == 0 ? set_of(spi)->seq_floor == 777 : set_of(spi)->seq_floor >= spent);
	}
	/* Nor was the record deleted under it. */
	sa_seqs_gone(sas);
	sa_seqs_gone(sas);
	rest();
	CU_ASSERT(on_disk("sa-seq:ike:") >= spent);
	end_ike();
}

/* A range in which all SPIs are promised: an answer, and not the loop's end. */
static void test_no_spi(void)
{
	struct cp_xfrm_msg m = {.min = 0x1000, .max = 0x103f, .sa = {.id = {.proto = 50}, .mode = DP_ESP_TUNNEL}};
	struct cp_xfrm_sa got;
	unsigned n = 0;

	begin_ike();
	cfg_addr_parse("10.9.9.9", &m.sa.id.dst);
	cfg_addr_parse("10.0.0.1", &m.sa.src);
	CU_ASSERT_EQUAL(cp_xfrmdb_alloc(db, &m, &got), 0);
	CU_ASSERT_EQUAL(cp_xfrmdb_alloc(db, &m, &got), -ENOSPC); /* the gateway's shard has one of these */
	m.max = UINT32_MAX;
	while (cp_xfrmdb_alloc(db, &m, &got) == 0 && n <= CP_XFRMDB_LARVAL_MAX)
		n++;
	CU_ASSERT_EQUAL(n + 1, CP_XFRMDB_LARVAL_MAX);
	end_ike();
}

/* --- gateways' addresses --- */

static void put_gateway(const char *name, const char *address, bool replace)
{
	struct cp_endpoint ep[1] = {{.name = "aaln/1"}};
	struct cp_gateway g = {.region = "default", .endpoints = ep, .endpoint_cnt = 1};

	snprintf(g.name, sizeof(g.name), "%s", name);
	cfg_addr_parse(address, &g.address);
	synced(cp_dir_gateway_put(w.store, &g, replace, &dir_ctx));
	cp_gws_changed(w.gws, name);
	cp_sas_gateway_changed(sas, name);
	cp_xfrmdb_gateway_changed(db);
}

/* A gateway gets another address: SAs with the host that it was are not its any more, nor is it covered. */
static void test_other_address(void)
{
	uint32_t in = child();

	put_gateway("gw1", "10.0.0.9:2427", true);
	UNTIL(!cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	UNTIL(set_of(in) != NULL && set_of(in)->gw_id == UINT32_MAX && set_of(0xaaaa) != NULL && set_of(0xaaaa)->gw_id == UINT32_MAX);
	put_gateway("gw2", "10.0.0.1:2427", false);
	UNTIL(cp_gw_secured(cp_gws_find(w.gws, "gw2")));
	CU_ASSERT_FALSE(cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	UNTIL(set_of(in) != NULL && set_of(in)->gw_id == cp_gw_id(cp_gws_find(w.gws, "gw2")));
	end_ike();
}

/* Two at one address: the selector's port says whose an SA is. */
static void test_two_ports(void)
{
	struct cp_xfrm_policy p = {.dir = CP_XFRM_IN, .tmpl_cnt = 1, .tmpl = {{.proto = 50, .mode = DP_ESP_TUNNEL, .reqid = 1}}};
	char why[200];
	uint32_t in;

	begin_ike();
	put_gateway("gw2", "10.0.0.1:2428", false);
	in = alloc();
	CU_ASSERT_EQUAL(sa_new(true, in, 1), 0);
	for (int i = 0; i < 2; i++) {
		cfg_addr_parse(i == 0 ? "10.0.0.1:2427" : "10.0.0.1:2428", &p.sel.src);
		cfg_addr_parse("10.9.9.9", &p.sel.dst);
		p.sel.src.plen = p.sel.dst.plen = 32;
		p.sel.proto = 17;
		CU_ASSERT_EQUAL(cp_xfrmdb_policy(db, &p, false, why, sizeof(why)), 0);
		UNTIL(set_of(in) != NULL && set_of(in)->gw_id == cp_gw_id(cp_gws_find(w.gws, i == 0 ? "gw1" : "gw2")));
		CU_ASSERT_EQUAL(cp_xfrmdb_policy_del(db, &p), 0);
	}
	end_ike();
}

/* --- a dataplane that has no room just now --- */

static void count_refused(void *ctx, const struct cp_alarm *alarm)
{
	*(unsigned *)ctx += strcmp(alarm->id, "sa-refused") == 0;
}

static unsigned refused_alarms(void)
{
	unsigned n = 0;

	cp_alarm_each(w.alarms, count_refused, &n);
	return n;
}

static void test_set_again(void)
{
	unsigned last;
	uint32_t in;

	begin_ike();
	in = alloc();
	no_room = 3;
	CU_ASSERT_EQUAL(sa_new(true, in, 7), 0);
	UNTIL(set_of(in) != NULL);
	CU_ASSERT_EQUAL(no_room, 0);
	CU_ASSERT_EQUAL(refused_alarms(), 0);
	/* The older of two that send gets no room, the newer does: it is set after it again. */
	CU_ASSERT_EQUAL(ike_set(0xaaaa, DP_DIR_SEND, 1, 0), 0);
	UNTIL(set_of(0xaaaa) != NULL);
	CU_ASSERT_EQUAL(ike_set(0xbbbb, DP_DIR_SEND, 2, 0), 0);
	UNTIL(set_of(0xbbbb) != NULL);
	set_cnt = order_cnt = 0;
	no_room = 2; /* the inbound one and the older one */
	cp_sas_gateway_changed(sas, "gw1");
	UNTIL(set_cnt >= 3);
	UNTIL(set_cnt >= 4);
	rest();
	last = order[(order_cnt - 1) % 64];
	CU_ASSERT_EQUAL(last, set_of(0xbbbb)->sa_id);
	end_ike();
}

/* --- of two that send, the newer stays the last --- */

static int bind_to(uint32_t spi, uint8_t proto)
{
	const struct cp_sa_ref ref = ref_of(spi, DP_DIR_SEND);

	return cp_sas_ike_bind(sas, &ref, "gw1", &port.addr[0], &ref.remote, proto);
}

static void two_senders(void)
{
	begin_ike();
	for (uint32_t spi = 0xaaaa; spi <= 0xbbbb; spi += 0x1111) {
		CU_ASSERT_EQUAL(ike_set(spi, DP_DIR_SEND, (uint8_t)spi, 0), 0);
		CU_ASSERT_EQUAL(bind_to(spi, 0), 0);
	}
	UNTIL(set_of(0xaaaa) != NULL && set_of(0xbbbb) != NULL);
	rest();
	CU_ASSERT_EQUAL(order[(order_cnt - 1) % 64], set_of(0xbbbb)->sa_id);
	set_cnt = order_cnt = 0;
}

/* The older one's selectors change, then its port. */
static void test_older_changes(void)
{
	struct cp_sa r = {.spi = 0xaaaa, .dir = DP_DIR_SEND, .alg = DP_ESP_AES_GCM_128, .mode = DP_ESP_TUNNEL, .gateway = "gw1", .name = "ike-moved"};
	uint8_t secret[CP_SA_SECRET_LEN] = {0xaa};
	char why[200];

	two_senders();
	CU_ASSERT_EQUAL(bind_to(0xaaaa, 17), 0);
	UNTIL(set_of(0xaaaa)->sel_proto == 17);
	rest();
	CU_ASSERT_EQUAL(order[(order_cnt - 1) % 64], set_of(0xbbbb)->sa_id);
	cfg_addr_parse("10.9.9.9", &r.local);
	cfg_addr_parse("10.0.0.1:61234", &r.remote);
	CU_ASSERT_EQUAL(cp_sas_ike_set(sas, &r, secret, 1, 0, 0, why, sizeof(why)), 0);
	UNTIL(set_of(0xaaaa)->remote.port == 61234);
	rest();
	CU_ASSERT_EQUAL(order[(order_cnt - 1) % 64], set_of(0xbbbb)->sa_id);
	end_ike();
}

/* It changes again and again while the disk has its blocks: the last that is set has it as it is, and few are set. */
static void test_older_changes_often(void)
{
	two_senders();
	for (uint8_t proto = 1; proto <= 100; proto++)
		CU_ASSERT_EQUAL(bind_to(0xaaaa, proto), 0);
	UNTIL(set_of(0xaaaa)->sel_proto == 100);
	rest();
	CU_ASSERT_EQUAL(order[(order_cnt - 1) % 64], set_of(0xbbbb)->sa_id);
	CU_ASSERT(set_cnt <= 12);
	end_ike();
}

/* Both are set again while the older one's grant is on its way to the disk: its block overlaps that, so it is set once more. */
static void test_older_overlaps(void)
{
	struct dp_sa_event ev = {.kind = DP_SA_WANT_GRANT, .spi = 0xaaaa};

	two_senders();
	ev.sa_id = set_of(0xaaaa)->sa_id;
	cp_sas_event(sas, &ev);
	cp_sas_gateway_changed(sas, "gw1");
	UNTIL(set_cnt >= 2);
	rest();
	CU_ASSERT_EQUAL(order[(order_cnt - 1) % 64], set_of(0xbbbb)->sa_id);
	end_ike();
}

static void test_del_again(void)
{
	uint32_t in, id;
	int before;

	begin_ike();
	in = alloc();
	CU_ASSERT_EQUAL(sa_new(true, in, 7), 0);
	UNTIL(set_of(in) != NULL);
	id = set_of(in)->sa_id;
	no_room = 2;
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_DELSA, true, in), 0);
	UNTIL(no_room == 1);
	/* Its id is not free while the dataplane has it. */
	no_room = 0;
	CU_ASSERT_EQUAL(ike_set(0x2000, DP_DIR_RECV, 9, 0), 0);
	UNTIL(set_of(0x2000) != NULL);
	CU_ASSERT_NOT_EQUAL(set_of(0x2000)->sa_id, id);
	UNTIL(set_of(in) == NULL);
	/* The channel is away when another one ends: the sweep spares what this run of ours set, so it is said when the channel is back. */
	before = ups;
	fake_hangup(&w.fake);
	UNTIL(!cp_dp_up(w.dp));
	CU_ASSERT_EQUAL(cp_sas_ike_del(sas, &(struct cp_sa_ref){.dir = DP_DIR_RECV, .spi = 0x2000}), 0);
	UNTIL(ups > before);
	UNTIL(set_of(0x2000) == NULL);
	end_ike();
}

/* Under its id the dataplane has one of another direction: of a configuration that was another. */
static void test_id_of_another(void)
{
	uint32_t id;

	begin_ike();
	id = sa_id_high(sas);
	sets[id] = (struct dp_sa_set){.sa_id = id, .spi = 0x9999, .dir = DP_DIR_RECV};
	CU_ASSERT_EQUAL(ike_set(0xaaaa, DP_DIR_SEND, 1, 0), 0);
	UNTIL(set_of(0xaaaa) != NULL);
	CU_ASSERT(set_of(0xaaaa)->seq_floor > 0); /* a fresh block */
	CU_ASSERT_EQUAL(refused_alarms(), 0);
	CU_ASSERT_PTR_NULL(set_of(0x9999));
	end_ike();
}

static CU_TestInfo tests[] = {
	{"no record of spent numbers: charon renews", test_record_lost},
	{"a record older than the dataplane's memory", test_record_old},
	{"a record that is due to go, and in use", test_clock_forward},
	{"the disk answers for one that ended", test_late_answer},
	{"moved to another address", test_moved},
	{"no SPI is left", test_no_spi},
	{"a gateway's other address", test_other_address},
	{"two gateways at one address", test_two_ports},
	{"SA_SET finds no room", test_set_again},
	{"the older of two that send changes", test_older_changes},
	{"the older of two changes often", test_older_changes_often},
	{"the older of two has to ask the disk again", test_older_overlaps},
	{"SA_DEL finds no room, or no channel", test_del_again},
	{"the id is another's in the dataplane", test_id_of_another},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	(void)timer_fires;
	return 0;
}

#include "suite.h"
SUITE_MAIN("saagain", tests, setup, NULL)
