/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IKE's SAs from NETLINK_XFRM's bytes to the dataplane: controlplane/ike/xfrms.c, xfrmdb.c, gateway/sasource.c over the real store and a dataplane's
 * end that remembers. charon's part is played by messages as charon writes them, over the real socket.
 */
#include "ike_fix.h"

#include "ike/xfrmk.h"

static void test_alloc(void)
{
	static uint32_t spis[500];

	begin_ike();
	for (unsigned i = 0; i < 500; i++) {
		spis[i] = alloc();
		CU_ASSERT(spis[i] >= 0xc0000000 && spis[i] <= 0xcfffffff);
		CU_ASSERT_EQUAL(spis[i] % DP_SHARDS, cp_gw_id(cp_gws_find(w.gws, "gw1")) % DP_SHARDS);
		for (unsigned k = 0; k < i; k++)
			CU_ASSERT_NOT_EQUAL_FATAL(spis[i], spis[k]);
	}
	CU_ASSERT_EQUAL(set_cnt, 0);
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_DELSA, true, spis[3]), 0);
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_DELSA, true, spis[3]), -ESRCH);
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_GETSA, true, spis[4]), 0);
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_GETSA, true, 0x1000), -ESRCH);
	end_ike();
}

/* A bound of the SPI that leaves one of the shard, and one that leaves none. */
static void test_spi_range(void)
{
	uint32_t spi = 0;

	begin_ike();
	CU_ASSERT_EQUAL(cp_sas_new_spi(sas, 0x1000, 0x103f, 5, &spi), 0);
	CU_ASSERT_EQUAL(spi, 0x1005);
	CU_ASSERT_EQUAL(cp_sas_new_spi(sas, 0x1006, 0x1044, 5, &spi), -ENOSPC);
	CU_ASSERT_EQUAL(cp_sas_new_spi(sas, 0xffffffff, 0xffffffff, 63, &spi), 0);
	CU_ASSERT_EQUAL(spi, 0xffffffff);
	CU_ASSERT_EQUAL(cp_sas_new_spi(sas, 0, 255, 0, &spi), -ENOSPC);
	end_ike();
}

static void test_child(void)
{
	const struct dp_sa_set *s;
	uint32_t in, in2;

	begin_ike();
	in = alloc();
	CU_ASSERT_EQUAL(sa_new(true, in, 7), 0);
	UNTIL(set_of(in) != NULL);
	s = set_of(in);
	CU_ASSERT(s->dir == DP_DIR_RECV && s->alg == DP_ESP_AES_GCM_128 && s->mode == DP_ESP_TUNNEL && s->local.port == 4500 && s->replay_window == 64);
	CU_ASSERT(s->key[0] == 7 && s->key[15] == 7 && s->key[16] == 0 && s->salt[0] == 7 && s->hard_s == 3600 && s->soft_s == 3000);
	/* The peer may not have it yet: the dataplane does not. */
	CU_ASSERT_EQUAL(sa_new(false, 0xaaaa, 8), 0);
	rest();
	CU_ASSERT_PTR_NULL(set_of(0xaaaa));
	CU_ASSERT_FALSE(cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	CU_ASSERT_EQUAL(policy(XFRM_MSG_NEWPOLICY, true, 0, NULL), 0);
	CU_ASSERT_EQUAL(policy(XFRM_MSG_NEWPOLICY, false, 0xaaaa, NULL), 0);
	UNTIL(set_of(0xaaaa) != NULL && cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	s = set_of(0xaaaa);
	CU_ASSERT(s->dir == DP_DIR_SEND && s->gw_id == cp_gw_id(cp_gws_find(w.gws, "gw1")) && s->seq_limit > 0 && s->seq_floor == 0);
	CU_ASSERT(s->sel_local.ip[0] == 10 && s->sel_local.ip[1] == 9 && s->sel_local_plen == 32 && s->sel_remote.ip[1] == 0);
	CU_ASSERT(s->soft_pkts == UINT64_C(3) << 30); /* its numbers end, too */
	CU_ASSERT_EQUAL(policy(XFRM_MSG_NEWPOLICY, false, 0xaaaa, NULL), -EEXIST);
	CU_ASSERT_EQUAL(policy(XFRM_MSG_UPDPOLICY, false, 0xaaaa, "10.9.9.8"), -EOPNOTSUPP); /* a second pair of selectors */
	CU_ASSERT_EQUAL(sa_new(false, 0xaaaa, 9), -EEXIST);  /* another key under its SPI */
	CU_ASSERT_EQUAL(sa_new(false, 0xaaab, 8), -EEXIST);  /* its key under another SPI */
	/* Renewed by the peer: both are installed, the policy moves when the old one is deleted. */
	in2 = alloc();
	CU_ASSERT_EQUAL(sa_new(true, in2, 17), 0);
	CU_ASSERT_EQUAL(sa_new(false, 0xbbbb, 18), 0);
	CU_ASSERT_EQUAL(policy(XFRM_MSG_UPDPOLICY, true, 0, NULL), 0);
	UNTIL(set_of(in2) != NULL);
	rest();
	CU_ASSERT_PTR_NULL(set_of(0xbbbb));
	/* The disk is slow: the old one goes after the new one has come. */
	order_cnt = 0;
	CU_ASSERT_EQUAL(policy(XFRM_MSG_UPDPOLICY, false, 0xbbbb, NULL), 0);
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_DELSA, false, 0xaaaa), 0);
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_GETSA, false, 0xaaaa), -ESRCH);
	UNTIL(set_of(0xbbbb) != NULL && set_of(0xaaaa) == NULL);
	CU_ASSERT(order_cnt >= 2 && (order[0] & 1u << 31) == 0 && (order[order_cnt - 1] & 1u << 31) != 0);
	CU_ASSERT_PTR_NOT_NULL(set_of(in)); /* the old inbound one until charon deletes it */
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_DELSA, true, in), 0);
	UNTIL(set_of(in) == NULL);
	CU_ASSERT_TRUE(cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	/* All of it goes: nothing is left, on disk neither. */
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_DELSA, true, in2), 0);
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_DELSA, false, 0xbbbb), 0);
	UNTIL(set_of(0xbbbb) == NULL && set_of(in2) == NULL);
	CU_ASSERT_FALSE(cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	CU_ASSERT(on_disk("sa-seq:ike:") > 0); /* for a minute: charon may only be moving them to another address */
	sa_seqs_gone(sas);
	sa_seqs_gone(sas);
	UNTIL(on_disk("sa-seq:ike:") == 0);
	CU_ASSERT_EQUAL(cp_store_count(w.store, CP_CF_SA), 0);
	end_ike();
}

#define FULL 1000000 /* the dataplane's answer to what comes: later */

static unsigned unsettled(void)
{
	json_t *show = cp_xfrms_show(xs);
	unsigned n = (unsigned)json_integer_value(json_object_get(show, "unsettled"));

	json_decref(show);
	return n;
}

/* charon hears that a renewal is installed when the dataplane has it: what it tells the peer then, the peer acts on. */
static void test_answers_wait(void)
{
	uint32_t in2, first;

	begin_ike();
	CU_ASSERT_NOT_EQUAL(child_up(0xaaaa, 1, true), 0);
	UNTIL(set_of(0xaaaa) != NULL);
	in2 = alloc();
	no_room = FULL;
	sa_msg(XFRM_MSG_UPDSA, true, in2, 17, 0);
	ask_only();
	for (int i = 0; i < 50; i++)
		CU_ASSERT_FALSE(answered());
	CU_ASSERT(no_room < FULL && set_of(in2) == NULL);
	no_room = 0;
	hear_answer();
	CU_ASSERT(reply.type == NLMSG_ERROR && reply.error == 0 && reply.seq == seq && set_of(in2) != NULL);
	/* The outbound one is held until the policy names it: nothing to wait for. */
	no_room = FULL;
	CU_ASSERT_EQUAL(sa_new(false, 0xbbbb, 18), 0);
	CU_ASSERT_EQUAL(policy(XFRM_MSG_UPDPOLICY, true, 0, NULL), 0);
	put_policy(XFRM_MSG_UPDPOLICY, false, 0xbbbb, NULL);
	ask_only();
	first = seq;
	for (int i = 0; i < 50; i++)
		CU_ASSERT_FALSE(answered());
	/* What is asked behind it is answered behind it. */
	msg(XFRM_MSG_GETSPDINFO, &(void *){NULL}, sizeof(uint32_t));
	ask_only();
	for (int i = 0; i < 50; i++)
		CU_ASSERT_FALSE(answered());
	CU_ASSERT_PTR_NULL(set_of(0xbbbb));
	no_room = 0;
	hear_answer();
	CU_ASSERT(reply.type == NLMSG_ERROR && reply.error == 0 && reply.seq == first && set_of(0xbbbb) != NULL);
	hear_answer();
	CU_ASSERT(reply.type == XFRM_MSG_NEWSPDINFO && reply.seq == seq);
	CU_ASSERT_EQUAL(unsettled(), 0);
	/* Not for ever: charon does nothing else meanwhile. */
	no_room = FULL;
	in2 = alloc();
	CU_ASSERT_EQUAL(sa_new(true, in2, 27), 0);
	CU_ASSERT_PTR_NULL(set_of(in2));
	CU_ASSERT_EQUAL(unsettled(), 1);
	/* A connection that goes while it is waited for. */
	sa_msg(XFRM_MSG_NEWSA, true, 0xc0000040, 37, 0);
	ask_only();
	spin();
	close(ask_fd);
	no_room = 0;
	UNTIL(set_of(in2) != NULL);
	ask_fd = connect_as(0, SHIM_BOUND);
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_GETSA, true, in2), 0);
	end_ike();
}

/* The gateway's record comes after its SAs. */
static void test_gateway_later(void)
{
	const struct cp_gw *gw;
	uint32_t in;

	begin_ike();
	CU_ASSERT_EQUAL(del_gateway(), 0);
	in = child_up(0xaaaa, 1, true);
	UNTIL(set_of(in) != NULL && set_of(0xaaaa) != NULL);
	CU_ASSERT_EQUAL(set_of(in)->gw_id, UINT32_MAX);
	CU_ASSERT_TRUE(cp_sas_gatewayless(sas));
	add_gateway(0, false);
	cp_gws_changed(w.gws, "gw1");
	cp_xfrmdb_gateway_changed(db);
	gw = cp_gws_find(w.gws, "gw1");
	UNTIL(cp_gw_secured(gw));
	UNTIL(set_of(in)->gw_id == cp_gw_id(gw));
	CU_ASSERT_FALSE(cp_sas_gatewayless(sas));
	end_ike();
}

static void test_lifetimes(void)
{
	struct dp_sa_event ev = {.kind = DP_SA_SOFT_EXPIRED, .why = DP_SA_WHY_PKTS};
	uint32_t in;

	begin_ike();
	in = child_up(0xaaaa, 1, true);
	UNTIL(set_of(in) != NULL && set_of(0xaaaa) != NULL);
	ev.sa_id = set_of(in)->sa_id;
	ev.spi = in;
	fake_send(&w.fake, &ev, DP_MSG_SA_EVENT, sizeof(ev), 0);
	hear(in, false);
	CU_ASSERT_PTR_NULL(cp_alarm_find(w.alarms, "sa-expiring", "ike-in"));
	ev.sa_id = set_of(0xaaaa)->sa_id;
	ev.spi = 0xaaaa;
	ev.kind = DP_SA_HARD_EXPIRED;
	fake_send(&w.fake, &ev, DP_MSG_SA_EVENT, sizeof(ev), 0);
	hear(0xaaaa, true);
	CU_ASSERT_FALSE(cp_gw_secured(cp_gws_find(w.gws, "gw1"))); /* fails closed until there is another */
	/* Counters of the dataplane in GETSA. */
	fake_sa(&w.fake, set_of(in)->sa_id)->pkts = 12;
	fake_sa(&w.fake, set_of(in)->sa_id)->bytes = 3456;
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_GETSA, true, in), 0);
	CU_ASSERT(reply.sa.cur.pkts == 12 && reply.sa.cur.bytes == 3456 && reply.sa.cur.used_s > 0 && reply.sa.cur.added_s > 0);
	end_ike();
}

static void test_taken_over(void)
{
	uint32_t in, id_in, id_out;
	uint64_t spent;

	begin_ike();
	in = child_up(0xaaaa, 1, true);
	UNTIL(set_of(in) != NULL && set_of(0xaaaa) != NULL && cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	id_in = set_of(in)->sa_id;
	id_out = set_of(0xaaaa)->sa_id;
	spent = set_of(0xaaaa)->seq_limit;
	set_cnt = adopt_cnt = 0;
	restart(false);
	UNTIL(adopt_cnt >= 2); /* kept, until charon has said whether it has them */
	CU_ASSERT_EQUAL(set_cnt, 0);
	replay(in, 0xaaaa, true);
	UNTIL(cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	CU_ASSERT(set_of(in)->sa_id == id_in && set_of(0xaaaa)->sa_id == id_out);
	CU_ASSERT_EQUAL(set_of(0xaaaa)->seq_floor, spent); /* above all that may have been sent */
	CU_ASSERT_FALSE(heard(in, false));
	/* And ended as any other. */
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_DELSA, false, 0xaaaa), 0);
	UNTIL(set_of(0xaaaa) == NULL);
	end_ike();
}

static void test_stale(void)
{
	uint32_t in;

	begin_ike();
	in = child_up(0xaaaa, 1, true);
	UNTIL(set_of(in) != NULL && set_of(0xaaaa) != NULL);
	restart(true);
	replay(in, 0xaaaa, true);
	hear(in, false); /* renew it */
	CU_ASSERT_PTR_NULL(set_of(in)); /* what it had received nobody knows */
	CU_ASSERT_PTR_NULL(set_of(0xaaaa));
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_GETSA, true, in), 0); /* charon asks for it, as it did */
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_DELSA, true, in), 0);
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_DELSA, false, 0xaaaa), 0);
	end_ike();
}

/* The dataplane alone dies: all again, above every number granted. */
static void test_dataplane_restarts(void)
{
	uint64_t spent;
	uint32_t in;
	int before = ups;

	begin_ike();
	in = child_up(0xaaaa, 1, true);
	UNTIL(set_of(in) != NULL && set_of(0xaaaa) != NULL);
	spent = set_of(0xaaaa)->seq_limit;
	fake_sa(&w.fake, set_of(in)->sa_id)->seq = 77;
	before = ups;
	fake_stop(&w.fake);
	memset(sets, 0, sizeof(sets));
	fake_start(&w.fake, w.base, tmp_dir);
	UNTIL(ups > before && set_of(in) != NULL && set_of(0xaaaa) != NULL);
	CU_ASSERT(set_of(0xaaaa)->seq_floor >= spent && set_of(in)->seq_floor == 77);
	end_ike();
}

/* charon is killed, with all that it knew; the next one has the same process id, and counts reqids from 1. */
static void another(void)
{
	close(ask_fd);
	close(listen_fd);
	charon++;
	ask_fd = connect_as(0, SHIM_BOUND);
	listen_fd = connect_as(1u << (XFRMNLGRP_EXPIRE - 1), SHIM_BOUND);
}

static int policy_gone(const char *mine)
{
	struct xfrm_userpolicy_id *x;

	msg(XFRM_MSG_DELPOLICY, (void **)&x, sizeof(*x));
	x->dir = XFRM_POLICY_OUT;
	x->sel.family = AF_INET;
	x->sel.prefixlen_s = x->sel.prefixlen_d = 32;
	ends(&x->sel.saddr, &x->sel.daddr, false);
	inet_pton(AF_INET, mine, &x->sel.saddr);
	return ask();
}

/* What is looked at each second has been. */
static void ticks(void)
{
	for (int i = 0; i < 5; i++) {
		time_pass(1000);
		spin();
	}
}

static void test_charon_killed(void)
{
	uint32_t in, in2, larval;
	uint64_t spent;

	left_s = 3600;
	begin_ike();
	in = child_up(0xaaaa, 1, true);
	larval = alloc();
	UNTIL(set_of(in) != NULL && set_of(0xaaaa) != NULL && cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	spent = set_of(0xaaaa)->seq_limit;
	set_cnt = del_cnt = 0;
	another();
	CU_ASSERT_EQUAL(cp_xfrmdb_left(db), 2);
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_GETSA, true, larval), -ESRCH);
	/* They carry on, and nobody touches them: not a connection more of the same charon, not policies of another gateway under their reqid. */
	close(connect_as(0, SHIM_BOUND));
	CU_ASSERT_EQUAL(policy(XFRM_MSG_NEWPOLICY, false, 0xeeee, "10.9.9.8"), 0);
	rest();
	CU_ASSERT(set_cnt == 0 && del_cnt == 0 && set_of(0xaaaa)->seq_limit == spent && cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	/* One direction of the new pair: not yet. The new one sends at once, and with both the old ones go, outbound first. */
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_DELSA, true, 0x1234), -ESRCH);
	CU_ASSERT_EQUAL(sa_new(true, in2 = alloc(), 21), 0);
	UNTIL(set_of(in2) != NULL);
	ticks();
	CU_ASSERT_EQUAL(cp_xfrmdb_left(db), 2);
	CU_ASSERT_EQUAL(sa_new(false, 0xbbbb, 22), 0);
	CU_ASSERT_EQUAL(policy_gone("10.9.9.8"), 0);
	CU_ASSERT_EQUAL(policy(XFRM_MSG_NEWPOLICY, false, 0xbbbb, NULL), 0);
	UNTIL(set_of(0xbbbb) != NULL);
	UNTIL(set_of(0xaaaa) == NULL && cp_xfrmdb_left(db) == 1);
	CU_ASSERT_PTR_NOT_NULL(set_of(in)); /* what is under way */
	UNTIL(set_of(in) == NULL && cp_xfrmdb_left(db) == 0);
	CU_ASSERT(set_of(in2) != NULL && set_of(0xbbbb) != NULL && cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	end_ike();
	left_s = 0;
}

/* No other pair comes: they go when the time is over. A peer that chooses the number of a left one again has a new SA. */
static void test_charon_killed_alone(void)
{
	uint32_t in;

	left_s = 2;
	begin_ike();
	in = child_up(0xaaaa, 1, true);
	UNTIL(set_of(in) != NULL && set_of(0xaaaa) != NULL);
	another();
	CU_ASSERT_EQUAL(cp_xfrmdb_left(db), 2);
	CU_ASSERT_EQUAL(sa_new(false, 0xaaaa, 9), 0);
	CU_ASSERT_EQUAL(cp_xfrmdb_left(db), 1);
	UNTIL(set_of(in) == NULL && cp_xfrmdb_left(db) == 0);
	CU_ASSERT_FALSE(cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_GETSA, false, 0xaaaa), 0);
	end_ike();
	left_s = 0;
}

/* --- one that wants all of them --- */

/* In what is in 'out': of another reqid, of a peer at 10.0.0.'peer'. */
static struct nlmsghdr *of_other(uint32_t reqid, uint8_t peer, bool in)
{
	struct nlmsghdr *n = (struct nlmsghdr *)(void *)out;

	if (n->nlmsg_type == XFRM_MSG_ALLOCSPI) {
		struct xfrm_userspi_info *a = mnl_nlmsg_get_payload(n);

		a->info.reqid = reqid;
		((uint8_t *)&a->info.saddr)[3] = peer;
	} else {
		struct xfrm_usersa_info *x = mnl_nlmsg_get_payload(n);

		x->reqid = reqid;
		((uint8_t *)(in ? &x->saddr : &x->id.daddr))[3] = peer;
	}
	return n;
}

/* Keys are the SPI's. 0: both directions are there. */
static int pair(uint32_t n, uint32_t reqid, uint8_t peer)
{
	int rc = 0;

	for (int in = 1; in >= 0; in--) {
		const uint32_t spi = (in ? 0xc0000000 : 0xd0000000) + n;
		struct nlmsghdr *m = of_other(reqid, peer, (sa_msg(in ? XFRM_MSG_UPDSA : XFRM_MSG_NEWSA, in, spi, 1, 0), in));
		const struct nlattr *a;

		mnl_attr_for_each(a, m, sizeof(struct xfrm_usersa_info))
			if (mnl_attr_get_type(a) == XFRMA_ALG_AEAD)
				memcpy((uint8_t *)mnl_attr_get_payload(a) + 72, &spi, sizeof(spi));
		if (ask() < 0)
			rc = reply.error;
	}
	return rc;
}

static void put_gw2(void)
{
	struct cp_endpoint ep[1] = {{.name = "aaln/1"}};
	struct cp_gateway g = {.name = "gw2", .region = "default", .endpoints = ep, .endpoint_cnt = 1};

	cfg_addr_parse("10.0.0.2:2427", &g.address);
	synced(cp_dir_gateway_put(w.store, &g, false, &dir_ctx));
	cp_gws_changed(w.gws, "gw2");
}

/* A gateway negotiates the same CHILD_SA again and again, then others: it has eight pairs, and the other gateways have theirs. */
static void test_all_of_them(void)
{
	unsigned taken = 0;

	begin_ike();
	put_gw2();
	for (uint32_t i = 0; i < 200; i++)
		taken += pair(i, i < 100 ? 1 : 100 + i, 1) == 0;
	CU_ASSERT_EQUAL(taken, CP_XFRMDB_PAIRS_MAX);
	CU_ASSERT_EQUAL(pair(1000, 2, 2), 0);
	CU_ASSERT_EQUAL(cp_xfrmdb_refused(db), 200 - CP_XFRMDB_PAIRS_MAX + 200 - CP_XFRMDB_IN_MAX);
	/* What it has may be said again; what it has deleted makes room. */
	CU_ASSERT_EQUAL(pair(0, 1, 1), 0);
	CU_ASSERT_EQUAL(pair(201, 1, 1), -ENOSPC);
	UNTIL(set_of(0xc0000000) != NULL);
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_DELSA, true, 0xc0000000), 0);
	CU_ASSERT_EQUAL(sa_id(XFRM_MSG_DELSA, false, 0xd0000000), 0);
	CU_ASSERT_EQUAL(pair(202, 1, 1), 0);
	CU_ASSERT_EQUAL(pair(203, 1, 1), -ENOSPC);
	end_ike();
}

/* Nor one whose record is not there yet, or that is elsewhere, and whose selectors say only later which gateway it is. */
static void test_all_of_them_unknown(void)
{
	struct cp_xfrm_policy p = {.dir = CP_XFRM_OUT, .tmpl_cnt = 1, .tmpl = {{.proto = 50, .mode = DP_ESP_TUNNEL}}};
	unsigned taken = 0, bound = 0;
	char why[200];

	begin_ike();
	for (uint32_t i = 0; i < 20; i++)
		taken += pair(i, 1, 77) == 0;
	CU_ASSERT_EQUAL(taken, CP_XFRMDB_PAIRS_MAX);
	cfg_addr_parse("10.9.9.9", &p.sel.src);
	cfg_addr_parse("10.0.0.1", &p.sel.dst);
	p.sel.src.plen = p.sel.dst.plen = 32;
	for (uint32_t i = 100; i < 120; i++) {
		p.tmpl[0].reqid = i;
		p.sel.proto = (uint8_t)i;
		CU_ASSERT_EQUAL(pair(i, i, 77), 0);
		bound += cp_xfrmdb_policy(db, &p, false, why, sizeof(why)) == 0;
	}
	CU_ASSERT_EQUAL(bound, CP_XFRMDB_PAIRS_MAX);
	end_ike();
}

static bool has_key(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	static const uint8_t secret[16] = {91, 91, 91, 91, 91, 91, 91, 91, 91, 91, 91, 91, 91, 91, 91, 91};

	if (memmem(val, len, secret, 16) != NULL || memmem(key, key_len, secret, 16) != NULL)
		*(bool *)ctx = true;
	return true;
}

static void test_no_key_on_disk(void)
{
	bool found = false;
	json_t *list;
	char *text;

	begin_ike();
	child_up(0xaaaa, 91, true);
	UNTIL(set_of(0xaaaa) != NULL);
	for (int cf = 0; cf < CP_CF_MAX; cf++)
		if (cf != CP_CF_AUDIT && cf != CP_CF_SIGNED && cf != CP_CF_CDR)
			cp_store_each(w.store, (enum cp_cf)cf, has_key, &found);
	CU_ASSERT_FALSE(found);
	list = cp_sas_show(sas);
	text = json_dumps(list, 0);
	CU_ASSERT(strstr(text, "\"source\": \"ike\"") != NULL && strstr(text, "\"reqid\": 1") != NULL && strstr(text, "5b5b5b") == NULL);
	free(text);
	json_decref(list);
	CU_ASSERT_EQUAL(del("ike-in-00001000-10.0.0.1"), -ENOENT);
	end_ike();
}

/* --- the kernel's feed --- */

static struct cp_xfrmk *kern;
static unsigned dumps, policy_dumps, blocks, expires;
static _Alignas(8) uint8_t blocked[CP_XFRM_BUF]; /* the policy that ours became */
static uint32_t dump_seq;

/* In the kernel's place. */
static int kernel(void *ctx, const uint8_t *data, size_t len)
{
	struct cp_xfrm_msg m;
	char why[200];
	size_t used;

	(void)ctx;
	CU_ASSERT_EQUAL(cp_xfrm_parse(data, len, &m, &used, why, sizeof(why)), 0);
	dumps += m.type == XFRM_MSG_GETSA;
	policy_dumps += m.type == XFRM_MSG_GETPOLICY;
	if (m.type == XFRM_MSG_GETSA || m.type == XFRM_MSG_GETPOLICY)
		dump_seq = m.seq;
	expires += m.type == XFRM_MSG_EXPIRE;
	if (m.type == XFRM_MSG_UPDPOLICY) {
		CU_ASSERT(m.policy.block && m.policy.dir == CP_XFRM_OUT && m.policy.tmpl_cnt == 1);
		blocks++;
		memcpy(blocked, data, len);
	}
	return 0;
}

static void says(struct nlmsghdr *n, bool dumped)
{
	n->nlmsg_flags = dumped ? NLM_F_MULTI : 0;
	n->nlmsg_seq = dumped ? dump_seq : 0;
	cp_xfrmk_input(kern, out, n->nlmsg_len);
}

static void done_says(void)
{
	struct cp_xfrm_msg to = {.seq = dump_seq};

	cp_xfrmk_input(kern, out, cp_xfrm_put_done(out, &to));
}

static void on_kernel_expire(void *ctx, const struct cp_xfrm_sa *sa, bool hard)
{
	(void)ctx;
	cp_xfrmk_expire(kern, sa, hard);
}

static struct nlmsghdr *policy_msg(bool in, uint32_t spi)
{
	struct xfrm_userpolicy_info *x;
	struct xfrm_user_tmpl t = {.family = AF_INET, .reqid = 1, .mode = XFRM_MODE_TUNNEL, .id = {.proto = 50, .spi = htonl(spi)}};
	struct nlmsghdr *n = msg(XFRM_MSG_UPDPOLICY, (void **)&x, sizeof(*x));

	x->dir = in ? XFRM_POLICY_IN : XFRM_POLICY_OUT;
	x->sel.family = AF_INET;
	x->sel.prefixlen_s = x->sel.prefixlen_d = 32;
	ends(&x->sel.saddr, &x->sel.daddr, in);
	ends(&t.saddr, &t.id.daddr, in);
	mnl_attr_put(n, XFRMA_TMPL, sizeof(t), &t);
	return n;
}

/* Instead of the socket, of the controlplane that is there now. */
static void kernel_up(void)
{
	struct cp_xfrmdb_env e = {.base = w.base, .cfg = w.cfg, .sas = sas, .gws = w.gws, .expire = on_kernel_expire, .shared = true};

	ike_down();
	db = cp_xfrmdb_create(&e);
	dumps = policy_dumps = blocks = expires = 0;
	CU_ASSERT_EQUAL_FATAL(cp_xfrmk_create_with(w.base, db, kernel, NULL, &kern), 0);
}

/* As the kernel tells it: what we made of charon's. */
static void blocked_says(bool dumped)
{
	memcpy(out, blocked, sizeof(blocked));
	says((struct nlmsghdr *)(void *)out, dumped);
}

static void test_kernel(void)
{
	struct dp_sa_event ev = {.kind = DP_SA_SOFT_EXPIRED, .why = DP_SA_WHY_BYTES};
	struct nlmsghdr *n;

	begin_ike();
	kernel_up();
	/* What was there before us: its numbers nobody knows. charon is to renew it, and it is not used. */
	CU_ASSERT_EQUAL(dumps, 1);
	says(sa_msg(XFRM_MSG_NEWSA, true, 0xc0000001, 1, 0), true);
	says(sa_msg(XFRM_MSG_NEWSA, false, 0xd0000001, 2, 0), true);
	done_says();
	CU_ASSERT_EQUAL(policy_dumps, 1);
	n = policy_msg(true, 0); /* charon's sockets are exempt: it lists that, too */
	((struct xfrm_userpolicy_info *)mnl_nlmsg_get_payload(n))->dir = 4;
	says(n, true);
	says(policy_msg(false, 0xd0000001), true);
	CU_ASSERT_EQUAL(blocks, 1); /* and the kernel sends on it no more */
	CU_ASSERT_EQUAL(expires, 0);
	done_says();
	CU_ASSERT_EQUAL(expires, 1);
	rest();
	CU_ASSERT_EQUAL(set_cnt, 0);
	/* charon does: by multicast. */
	says(sa_msg(XFRM_MSG_UPDSA, true, 0xc0000002, 3, 0), false);
	says(sa_msg(XFRM_MSG_NEWSA, false, 0xd0000002, 4, 0), false);
	says(policy_msg(true, 0), false);
	CU_ASSERT_EQUAL(blocks, 1);
	says(policy_msg(false, 0xd0000002), false);
	CU_ASSERT_EQUAL(blocks, 2);
	n = policy_msg(false, 0); /* what we said comes back to us */
	((struct xfrm_userpolicy_info *)mnl_nlmsg_get_payload(n))->action = XFRM_POLICY_BLOCK;
	says(n, false);
	CU_ASSERT_EQUAL(blocks, 2);
	UNTIL(set_of(0xc0000002) != NULL && set_of(0xd0000002) != NULL && cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	CU_ASSERT(set_of(0xd0000002)->seq_floor >= 65536); /* should the kernel have sent between the policy and our word */
	ev.sa_id = set_of(0xc0000002)->sa_id;
	ev.spi = 0xc0000002;
	fake_send(&w.fake, &ev, DP_MSG_SA_EVENT, sizeof(ev), 0);
	UNTIL(expires == 2);
	/* An overrun: what is in the dump stays and comes, what is not goes. */
	cp_xfrmk_overrun(kern);
	UNTIL(dumps == 2);
	says(sa_msg(XFRM_MSG_NEWSA, true, 0xc0000002, 3, 0), true);
	done_says();
	UNTIL(policy_dumps == 2);
	done_says();
	CU_ASSERT_PTR_NOT_NULL(set_of(0xc0000002));
	UNTIL(set_of(0xd0000002) == NULL);
	/* The kernel's own end of one. */
	n = (struct nlmsghdr *)(void *)out;
	{
		struct cp_xfrm_sa sa = {.id = {.spi = 0xc0000002, .proto = 50}, .mode = DP_ESP_TUNNEL};

		cfg_addr_parse("10.9.9.9", &sa.id.dst);
		cfg_addr_parse("10.0.0.1", &sa.src);
		cp_xfrmk_input(kern, out, cp_xfrm_put_sa(out, XFRM_MSG_EXPIRE, 0, 0, 0, &sa, false));
		CU_ASSERT_PTR_NOT_NULL(set_of(0xc0000002));
		cp_xfrmk_input(kern, out, cp_xfrm_put_sa(out, XFRM_MSG_EXPIRE, 0, 0, 0, &sa, true));
	}
	UNTIL(set_of(0xc0000002) == NULL);
	cp_xfrmk_destroy(kern);
	end_ike();
}

/* A controlplane alone dies. What the next one finds is the policy that the one before left in place of charon's: it says who sends, as that did. */
static void test_kernel_taken_over(void)
{
	uint32_t id_in, id_out;
	uint64_t spent;

	begin_ike();
	kernel_up();
	done_says();
	done_says();
	says(sa_msg(XFRM_MSG_UPDSA, true, 0xc0000002, 3, 0), false);
	says(sa_msg(XFRM_MSG_NEWSA, false, 0xd0000002, 4, 0), false);
	says(policy_msg(true, 0), false);
	says(policy_msg(false, 0xd0000002), false);
	blocked_says(false);
	CU_ASSERT_EQUAL(blocks, 1);
	UNTIL(set_of(0xc0000002) != NULL && set_of(0xd0000002) != NULL && cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	id_in = set_of(0xc0000002)->sa_id;
	id_out = set_of(0xd0000002)->sa_id;
	spent = set_of(0xd0000002)->seq_limit;
	cp_xfrmk_destroy(kern);
	adopt_cnt = 0;
	restart(false);
	ask_fd = listen_fd = -1;
	UNTIL(adopt_cnt >= 2);
	kernel_up();
	says(sa_msg(XFRM_MSG_NEWSA, true, 0xc0000002, 3, 0), true);
	says(sa_msg(XFRM_MSG_NEWSA, false, 0xd0000002, 4, 0), true);
	done_says();
	says(policy_msg(true, 0), true);
	blocked_says(true);
	done_says();
	CU_ASSERT(blocks == 0 && expires == 0); /* it stands already, and nothing needs to be renewed */
	for (int i = 0; i < 20 && !cp_gw_secured(cp_gws_find(w.gws, "gw1")); i++)
		rest();
	CU_ASSERT_TRUE_FATAL(cp_gw_secured(cp_gws_find(w.gws, "gw1")));
	CU_ASSERT(set_of(0xc0000002)->sa_id == id_in && set_of(0xd0000002)->sa_id == id_out);
	CU_ASSERT(set_of(0xd0000002)->seq_floor >= spent);
	/* charon renews: what we say of the old one comes back after the new one, and changes nothing. */
	says(sa_msg(XFRM_MSG_NEWSA, false, 0xd0000003, 5, 0), false);
	says(policy_msg(false, 0xd0000003), false);
	CU_ASSERT_EQUAL(blocks, 1);
	UNTIL(set_of(0xd0000003) != NULL);
	policy_msg(false, 0xd0000002);
	((struct xfrm_userpolicy_info *)mnl_nlmsg_get_payload((struct nlmsghdr *)(void *)out))->action = XFRM_POLICY_BLOCK;
	order_cnt = 0;
	says((struct nlmsghdr *)(void *)out, false);
	rest();
	CU_ASSERT_EQUAL(order_cnt, 0);
	cp_xfrmk_destroy(kern);
	end_ike();
}

static CU_TestInfo tests[] = {
	{"ALLOCSPI: the gateway's shard, none twice", test_alloc},
	{"SPIs at the edges of a range", test_spi_range},
	{"a CHILD_SA comes, is renewed, goes", test_child},
	{"charon's answers wait for the dataplane", test_answers_wait},
	{"a gateway that comes after its SAs", test_gateway_later},
	{"lifetimes are charon's to hear, counters to ask", test_lifetimes},
	{"taken over by another controlplane", test_taken_over},
	{"neither process knows it: charon renews", test_stale},
	{"the dataplane dies", test_dataplane_restarts},
	{"charon is killed: its SAs go when there are others", test_charon_killed},
	{"charon is killed: its SAs go when none come", test_charon_killed_alone},
	{"as the kernel tells it", test_kernel},
	{"as the kernel tells another controlplane", test_kernel_taken_over},
	{"a gateway that wants all SAs there are", test_all_of_them},
	{"one that says later which it is", test_all_of_them_unknown},
	{"no key on disk or in what is shown", test_no_key_on_disk},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	(void)timer_fires;
	return 0;
}

#include "suite.h"
SUITE_MAIN("sasource", tests, setup, NULL)
