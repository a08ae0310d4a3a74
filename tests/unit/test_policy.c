/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/policy.c in the worker's round: what a list of policies refuses of media, ICMP, and a gateway's MGCP, in clear and
 * out of its SA, both ways; what a gateway's record demands is not undone by any list. RFC 4301 s5.1, s5.2.
 */
/* Rows: 004c:MG-06, 004c:MG-09. */
#include "gw_fix.h"
#include "ipsec/spd.h"

static struct dp_spd_set policy(uint8_t pos, uint8_t action, uint8_t dirs, uint8_t proto)
{
	return (struct dp_spd_set){.pos = pos, .dirs = dirs, .action = action, .proto = proto, .local_hi = UINT16_MAX,
				   .remote_hi = UINT16_MAX, .icmp_hi = UINT8_MAX,
				   .dscp = action == DP_SPD_PROTECT ? DP_SPD_DSCP_COPY : 0};
}

static int commit(uint32_t count)
{
	struct dp_spd_commit m = {.count = count};
	int rc = msg(&m, DP_MSG_SPD_COMMIT, sizeof(m));

	rounds(1);
	return rc;
}

static void one(struct dp_spd_set m)
{
	CU_ASSERT_EQUAL_FATAL(msg(&m, DP_MSG_SPD_SET, sizeof(m)), 0);
	CU_ASSERT_EQUAL_FATAL(commit(1), 0);
}

static struct dp_spd_set mgcp(uint8_t action, uint8_t dirs)
{
	struct dp_spd_set m = policy(0, action, dirs, 17);

	m.local_lo = m.local_hi = 2727;
	ip_of("10.0.0.0", &m.remote, 0);
	m.remote_plen = 24;
	return m;
}

static uint64_t hits(uint8_t pos)
{
	uint64_t n = 0;

	for (int w = 0; w < WORKERS; w++)
		n += dp_page_workers(node.page)[w].spd_hit[pos];
	return n;
}

static void test_lists(void)
{
	struct dp_spd_set m = policy(1, DP_SPD_BYPASS, 3, 0);
	struct dp_hello_reply r;

	CU_ASSERT_PTR_NULL(node.spd);
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_SPD_SET, sizeof(m)), -EBADMSG); /* there is no first */
	m.pos = 0;
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_SPD_SET, sizeof(m)), 0);
	m.pos = 2;
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_SPD_SET, sizeof(m)), -EBADMSG);
	CU_ASSERT_EQUAL(commit(2), -EBADMSG);
	CU_ASSERT_PTR_NULL(node.spd);
	CU_ASSERT_EQUAL(commit(1), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(node.spd);
	CU_ASSERT_EQUAL(node.spd->n, 1);
	CU_ASSERT_EQUAL(commit(1), -EBADMSG); /* it is used up */
	/* the list in force outlives its controlplane; one that was begun does not */
	m.pos = 0;
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_SPD_SET, sizeof(m)), 0);
	CU_ASSERT_EQUAL(dp_objs_hello(objs, 78, &r), 0);
	CU_ASSERT_PTR_NOT_NULL(node.spd);
	CU_ASSERT_EQUAL(commit(1), -EBADMSG);
	for (uint8_t i = 0; i < DP_SPD_MAX; i++) {
		m.pos = i;
		CU_ASSERT_EQUAL(msg(&m, DP_MSG_SPD_SET, sizeof(m)), 0);
	}
	CU_ASSERT_EQUAL(commit(DP_SPD_MAX), 0);
	CU_ASSERT_EQUAL(node.spd->n, DP_SPD_MAX);
	CU_ASSERT_EQUAL(commit(0), 0);
	CU_ASSERT_PTR_NULL(node.spd);
}

#define LP (BASE + 40)

/* One packet each way over two plain legs. How many of the two came through. */
static unsigned int media(void)
{
	uint8_t p[200];
	struct out o;
	unsigned int came = 0;
	static uint16_t seq;
	uint16_t n = rtp(p, ++seq, 7, 100);

	send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", LP, p, n);
	send_udp(1, 0, "10.1.0.3", 5000, "10.1.0.1", LP, p, n);
	rounds(3);
	while (next_out(&o))
		came++;
	return came;
}

static void test_media(void)
{
	uint32_t a = leg(0, LP, DP_LEG_ID(1, LP, BASE), "10.0.0.2", 4000, 0, 0, DP_LATCH_NONE, 0), b;
	uint64_t discard = drops(DP_DROP_POLICY_DISCARD), clear = drops(DP_DROP_POLICY);
	struct dp_spd_set m = policy(0, DP_SPD_DISCARD, DP_SPD_IN, 17);

	b = leg(1, LP, a, "10.1.0.3", 5000, 0, 0, DP_LATCH_NONE, 0);
	rounds(2);
	host_speaks(0, "10.0.0.2");
	host_speaks(1, "10.1.0.3");
	drain_tx();
	CU_ASSERT_EQUAL(media(), 2);
	/* one party's network, what it sends and then what it is sent */
	ip_of("10.1.0.0", &m.remote, 0);
	m.remote_plen = 24;
	one(m);
	CU_ASSERT_EQUAL(media(), 1);
	CU_ASSERT_EQUAL(drops(DP_DROP_POLICY_DISCARD), discard + 1);
	CU_ASSERT_EQUAL(hits(0), 1);
	m.dirs = DP_SPD_OUT;
	m.action = DP_SPD_PROTECT; /* media goes through no SA: it is stopped, not sent in clear */
	m.dscp = DP_SPD_DSCP_COPY;
	one(m);
	CU_ASSERT_EQUAL(media(), 1);
	CU_ASSERT_EQUAL(drops(DP_DROP_POLICY), clear + 1);
	/* an earlier bypass wins; policies about other ports ask media nothing */
	m = policy(0, DP_SPD_BYPASS, 3, 17);
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_SPD_SET, sizeof(m)), 0);
	m = policy(1, DP_SPD_DISCARD, 3, 0);
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_SPD_SET, sizeof(m)), 0);
	CU_ASSERT_EQUAL(commit(2), 0);
	CU_ASSERT_EQUAL(media(), 2);
	CU_ASSERT_EQUAL(hits(0), 4); /* in and out, both ways */
	one(mgcp(DP_SPD_DISCARD, 3));
	CU_ASSERT_EQUAL(media(), 2);
	CU_ASSERT_EQUAL(hits(0), 0);
	/* everything discarded, and with the list gone it flows again */
	one(policy(0, DP_SPD_DISCARD, 3, 0));
	CU_ASSERT_EQUAL(media(), 0);
	CU_ASSERT_EQUAL(commit(0), 0);
	CU_ASSERT_EQUAL(media(), 2);
	CU_ASSERT_EQUAL(del(a), 0);
	CU_ASSERT_EQUAL(del(b), 0);
	rounds(3);
	assert_accounts();
}

/* Is an echo answered? */
static bool echo(uint8_t code)
{
	uint8_t f[100] = {0};
	struct dp_sockaddr s, d;
	struct out o;
	bool came;

	ip_of("10.0.0.2", &s, 1);
	ip_of("10.0.0.1", &d, 1);
	dp_build_udp(f + 14, 4, s.ip, 0, d.ip, 0, 20, 0, false); /* its IP header; ICMP goes over UDP's */
	memcpy(f, node.ports[0].mac, 6);
	memcpy(f + 6, peer_mac, 6);
	dp_put16(f + 12, DP_ETYPE_IP4);
	f[14 + 9] = 1;
	dp_put16(f + 24, 0);
	dp_put16(f + 24, dp_sum_fold(dp_sum(f + 14, 20, 0)));
	memset(f + 34, 0, 28);
	f[34] = 8;
	f[35] = code;
	dp_put16(f + 36, dp_sum_fold(dp_sum(f + 34, 28, 0)));
	inject(0, 0, f, 62);
	rounds(2);
	came = next_out(&o);
	drain_tx();
	return came;
}

static void test_icmp(void)
{
	struct dp_spd_set m = policy(0, DP_SPD_DISCARD, 3, 1);
	uint64_t discard = drops(DP_DROP_POLICY_DISCARD), clear = drops(DP_DROP_POLICY);

	CU_ASSERT_TRUE(echo(0));
	m.icmp_lo = m.icmp_hi = 8;
	one(m);
	CU_ASSERT_FALSE(echo(0));
	m.icmp_lo = m.icmp_hi = 0; /* the answer */
	one(m);
	CU_ASSERT_FALSE(echo(0));
	CU_ASSERT_EQUAL(drops(DP_DROP_POLICY_DISCARD), discard + 2);
	m.icmp_lo = m.icmp_hi = 3;
	one(m);
	CU_ASSERT_TRUE(echo(0));
	one(policy(0, DP_SPD_PROTECT, DP_SPD_IN, 1));
	CU_ASSERT_FALSE(echo(0));
	CU_ASSERT_EQUAL(drops(DP_DROP_POLICY), clear + 1);
	/* ARP and neighbour discovery are no traffic that policies are about */
	one(policy(0, DP_SPD_DISCARD, 3, 0));
	usleep(3000);
	host_speaks(0, "fd00::7");
	CU_ASSERT_EQUAL(drops(DP_DROP_POLICY_DISCARD), discard + 2);
	CU_ASSERT_EQUAL(commit(0), 0);
	assert_accounts();
}

/* A gateway that must have an SA, with it: a list that bypasses neither lets a key out nor takes what came sealed. */
static void test_gateway_protected(void)
{
	unsigned int done, events;
	uint64_t sealed = drops(DP_DROP_POLICY_SEALED), discard = drops(DP_DROP_POLICY_DISCARD), clear = drops(DP_DROP_POLICY);
	struct out o;
	bool esp = false;

	CU_ASSERT_EQUAL(gateway(0), 0);
	rounds(2);
	host_speaks(0, "10.0.0.7");
	sas(1000);
	drain_tx();
	one(mgcp(DP_SPD_PROTECT, 3));
	CU_ASSERT_EQUAL(crcx(true), 0);
	rounds(2);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_PTR_NOT_NULL(text_of(&o, &esp));
	CU_ASSERT_TRUE(esp);
	events = mgcp_event_cnt;
	gw_says("RSIP 6001 *@gw MGCP 1.0\r\nRM: restart\r\n", true);
	CU_ASSERT_EQUAL(mgcp_event_cnt, events + 1);
	/* in clear: not even as far as the gateway's own rule */
	gw_says("RSIP 6002 *@gw MGCP 1.0\r\nRM: restart\r\n", false);
	CU_ASSERT_EQUAL(mgcp_event_cnt, events + 1);
	CU_ASSERT_EQUAL(drops(DP_DROP_POLICY), clear + 1);
	/* bypass: what comes sealed is refused, and what would have to leave with a key does not leave at all */
	one(mgcp(DP_SPD_BYPASS, 3));
	gw_says("RSIP 6003 *@gw MGCP 1.0\r\nRM: restart\r\n", true);
	CU_ASSERT_EQUAL(drops(DP_DROP_POLICY_SEALED), sealed + 1);
	gw_says("RSIP 6004 *@gw MGCP 1.0\r\nRM: restart\r\n", false); /* the list would, the gateway's record would not */
	CU_ASSERT_EQUAL(drops(DP_DROP_POLICY), clear + 2);
	CU_ASSERT_EQUAL(mgcp_event_cnt, events + 1);
	done = done_cnt;
	CU_ASSERT_EQUAL(crcx(true), 0);
	rounds(2);
	CU_ASSERT_EQUAL(done_cnt, done + 1);
	CU_ASSERT_EQUAL(last_done.result, DP_MGCP_NO_SA);
	CU_ASSERT_EQUAL(crcx(false), 0);
	rounds(2);
	CU_ASSERT_EQUAL(done_cnt, done + 2);
	CU_ASSERT_EQUAL(last_done.result, DP_MGCP_NO_SA);
	CU_ASSERT_FALSE(next_out(&o));
	one(mgcp(DP_SPD_DISCARD, 3));
	gw_says("RSIP 6005 *@gw MGCP 1.0\r\nRM: restart\r\n", true);
	gw_says("RSIP 6006 *@gw MGCP 1.0\r\nRM: restart\r\n", false);
	CU_ASSERT_EQUAL(drops(DP_DROP_POLICY_DISCARD), discard + 2);
	CU_ASSERT_EQUAL(crcx(true), 0);
	rounds(2);
	CU_ASSERT_EQUAL(drops(DP_DROP_POLICY_DISCARD), discard + 3);
	CU_ASSERT_FALSE(next_out(&o));
	CU_ASSERT_EQUAL(mgcp_event_cnt, events + 1);
	CU_ASSERT_EQUAL(commit(0), 0);
	assert_accounts();
}

/* A gateway that may speak in clear: a list makes it stricter. */
static void test_gateway_clear(void)
{
	struct dp_obj in = {.id = 1, .kind = DP_OBJ_SA}, out = {.id = 2, .kind = DP_OBJ_SA}, g = {.id = GW, .kind = DP_OBJ_GW};
	unsigned int done, events;
	bool esp = true;
	struct out o;

	/* it has its SAs still: in them by default, in clear where the list says bypass; keys not even then */
	CU_ASSERT_EQUAL(msg(&g, DP_MSG_GW_DEL, sizeof(g)), 0);
	rounds(2);
	CU_ASSERT_EQUAL(gateway(DP_GW_F_CLEAR), 0);
	rounds(2);
	drain_tx();
	one(mgcp(DP_SPD_BYPASS, DP_SPD_OUT));
	CU_ASSERT_EQUAL(crcx(false), 0);
	rounds(2);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_PTR_NOT_NULL(text_of(&o, &esp));
	CU_ASSERT_FALSE(esp);
	done = done_cnt;
	CU_ASSERT_EQUAL(crcx(true), 0);
	rounds(2);
	CU_ASSERT_EQUAL(done_cnt, done + 1);
	CU_ASSERT_EQUAL(last_done.result, DP_MGCP_NO_SA);
	CU_ASSERT_FALSE(next_out(&o));
	/* without SAs it would speak in clear: protect makes that an end */
	CU_ASSERT_EQUAL(msg(&in, DP_MSG_SA_DEL, sizeof(in)), 0);
	CU_ASSERT_EQUAL(msg(&out, DP_MSG_SA_DEL, sizeof(out)), 0);
	one(mgcp(DP_SPD_PROTECT, 3));
	events = mgcp_event_cnt;
	gw_says("RSIP 6101 *@gw MGCP 1.0\r\nRM: restart\r\n", false);
	CU_ASSERT_EQUAL(mgcp_event_cnt, events);
	done = done_cnt;
	CU_ASSERT_EQUAL(crcx(false), 0);
	rounds(2);
	CU_ASSERT_EQUAL(done_cnt, done + 1);
	CU_ASSERT_EQUAL(last_done.result, DP_MGCP_NO_SA);
	CU_ASSERT_FALSE(next_out(&o));
	CU_ASSERT_EQUAL(commit(0), 0);
	gw_says("RSIP 6102 *@gw MGCP 1.0\r\nRM: restart\r\n", false);
	CU_ASSERT_EQUAL(mgcp_event_cnt, events + 1);
	CU_ASSERT_EQUAL(crcx(false), 0);
	rounds(2);
	CU_ASSERT_TRUE(next_out(&o));
	drain_tx();
	assert_accounts();
}

static void test_stop(void)
{
	one(policy(0, DP_SPD_DISCARD, 3, 0)); /* in force at the end */
	CU_ASSERT_EQUAL(harness_down(), 0);
}

static CU_TestInfo tests[] = {
	{"a list is whole or nothing", test_lists},
	{"media", test_media},
	{"ICMP, and what is not asked", test_icmp},
	{"a gateway that must be protected", test_gateway_protected},
	{"a gateway that may speak in clear", test_gateway_clear},
	{"the end", test_stop},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("policy", tests, setup, teardown)
