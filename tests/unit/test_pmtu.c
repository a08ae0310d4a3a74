/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/ipsec/pmtu.c: which ICMP messages say how long an SA's packets may be, cut at every length; which are believed; how long.
 * RFC 1191, 8201, RFC 4301 s8.2.
 */
#include <stdlib.h>
#include <string.h>

#include "esp_fix.h"
#include "ipsec/iphdr.h"
#include "ipsec/pmtu.h"

#define SEQ 5000

static struct dp_sa *out_sa(int family, bool udp)
{
	struct dp_sa_set s = mkset(DP_DIR_SEND, 1, DP_ESP_TUNNEL, family, 4, udp, false);
	struct dp_sa *sa = mksa(&s);

	sa->seq = SEQ;
	return sa;
}

/* A message about 'sa's packet of number 'seq' and 'total' bytes. Returns its length. */
static uint16_t message(const struct dp_sa *sa, uint32_t mtu, uint16_t total, uint32_t seq, uint8_t *m)
{
	uint8_t *ip = m + 8, *at;

	memset(m, 0, 100);
	if (sa->family == 4) {
		m[0] = 3;
		m[1] = 4;
		put_be16(m + 6, (uint16_t)mtu);
		ip[0] = 0x45;
		put_be16(ip + 2, total);
		ip[9] = sa->udp ? 17 : 50;
		memcpy(ip + 12, sa->local.ip, 4);
		memcpy(ip + 16, sa->remote.ip, 4);
		at = ip + 20;
	} else {
		m[0] = 2;
		put_be32(m + 4, mtu);
		ip[0] = 0x60;
		put_be16(ip + 4, (uint16_t)(total - 40));
		ip[6] = sa->udp ? 17 : 50;
		memcpy(ip + 8, sa->local.ip, 16);
		memcpy(ip + 24, sa->remote.ip, 16);
		at = ip + 40;
	}
	if (sa->udp) {
		put_be16(at, sa->local.port);
		put_be16(at + 2, sa->remote.port);
		at += 8;
	}
	put_be32(at, sa->spi);
	put_be32(at + 4, seq);
	return (uint16_t)(at + 8 - m);
}

/* Reading from a buffer of exactly that size. */
static enum dp_drop reading(uint8_t family, const uint8_t *m, uint16_t len, struct dp_pmtu *ret)
{
	uint8_t *copy = malloc(len + (len == 0));
	enum dp_drop rc;

	memcpy(copy, m, len);
	rc = dp_pmtu_read(family, copy, len, ret);
	free(copy);
	return rc;
}

static bool told(struct dp_sa *sa, uint32_t mtu, uint16_t total, uint32_t seq)
{
	struct dp_pmtu msg;
	uint8_t m[100];
	uint16_t len = message(sa, mtu, total, seq, m);

	CU_ASSERT_EQUAL_FATAL(reading(sa->family, m, len, &msg), DP_OK);
	return dp_pmtu_apply(sa, &msg, 1000);
}

static void test_forms(void)
{
	for (int i = 0; i < 4; i++) {
		struct dp_sa *sa = out_sa(i & 1 ? 4 : 6, i & 2);
		struct dp_pmtu msg;
		uint8_t m[100];
		uint16_t len = message(sa, 1400, 1500, SEQ - 1, m);

		for (uint16_t cut = 0; cut < len; cut++)
			CU_ASSERT_NOT_EQUAL(reading(sa->family, m, cut, &msg), DP_OK);
		CU_ASSERT_EQUAL(reading(sa->family, m, len, &msg), DP_OK);
		CU_ASSERT(msg.mtu == 1400 && msg.total == 1500 && msg.spi == sa->spi && msg.seq == SEQ - 1 && msg.udp == (sa->udp != 0));
		/* other types and codes, other protocols, later fragments, another family's packet */
		m[0] ^= 1;
		CU_ASSERT_EQUAL(reading(sa->family, m, len, &msg), DP_DROP_L4_PROTO);
		m[0] ^= 1;
		m[1]++;
		CU_ASSERT_EQUAL(reading(sa->family, m, len, &msg), DP_DROP_L4_PROTO);
		m[1]--;
		m[8 + (i & 1 ? 9 : 6)] = 6;
		CU_ASSERT_EQUAL(reading(sa->family, m, len, &msg), DP_DROP_L4_PROTO);
		m[8 + (i & 1 ? 9 : 6)] = sa->udp ? 17 : 50;
		m[8] ^= 0x20;
		CU_ASSERT_EQUAL(reading(sa->family, m, len, &msg), DP_DROP_L4_MALFORMED);
		m[8] ^= 0x20;
		if (i & 1) {
			m[8 + 7] = 1;
			CU_ASSERT_EQUAL(reading(4, m, len, &msg), DP_DROP_L4_PROTO);
			m[8 + 7] = 0;
			m[8 + 6] = 0x20; /* the first of several */
			CU_ASSERT_EQUAL(reading(4, m, len, &msg), DP_OK);
			m[8] = 0x44;
			CU_ASSERT_EQUAL(reading(4, m, len, &msg), DP_DROP_L4_MALFORMED);
			m[8] = 0x4f; /* options up to beyond the end */
			CU_ASSERT_EQUAL(reading(4, m, len, &msg), DP_DROP_L4_PROTO);
		}
		free(sa);
	}
	/* IPv6 with a fragment header: the first, and a later one */
	struct dp_sa *sa = out_sa(6, false);
	struct dp_pmtu msg;
	uint8_t m[120];
	uint16_t len = message(sa, 1400, 1500, SEQ, m);

	memmove(m + 8 + 48, m + 8 + 40, 8);
	memset(m + 48, 0, 8);
	m[48] = 50;
	m[8 + 6] = 44;
	m[51] = 1;
	for (uint16_t cut = 0; cut < len + 8; cut++)
		CU_ASSERT_NOT_EQUAL(reading(6, m, cut, &msg), DP_OK);
	CU_ASSERT_EQUAL(reading(6, m, (uint16_t)(len + 8), &msg), DP_OK);
	CU_ASSERT_EQUAL(msg.spi, sa->spi);
	m[50] = 1;
	CU_ASSERT_EQUAL(reading(6, m, (uint16_t)(len + 8), &msg), DP_DROP_L4_PROTO);
	free(sa);
}

static void test_believed(void)
{
	for (int i = 0; i < 4; i++) {
		int family = i & 1 ? 4 : 6;
		uint16_t low = family == 4 ? DP_PMTU_MIN4 : DP_PMTU_MIN6;
		struct dp_sa *sa = out_sa(family, i & 2);
		struct dp_pmtu good, msg;
		uint8_t m[100];

		CU_ASSERT_EQUAL(reading((uint8_t)family, m, message(sa, 1400, 1500, SEQ, m), &good), DP_OK);
		/* not about this SA */
		for (int k = 0; k < 9; k++) {
			msg = good;
			msg.spi += k == 0;
			msg.src[0] ^= k == 1;
			msg.src[15] ^= k == 2;
			msg.dst[3] ^= k == 3;
			msg.udp ^= k == 4;
			msg.sport += k == 5 && sa->udp;
			msg.dport += k == 6 && sa->udp;
			msg.family = k == 7 ? 10 - msg.family : msg.family;
			sa->dir = k == 8 ? DP_DIR_RECV : DP_DIR_SEND;
			CU_ASSERT_EQUAL(dp_pmtu_apply(sa, &msg, 5), !sa->udp && (k == 5 || k == 6));
			CU_ASSERT_EQUAL(sa->pmtu, !sa->udp && (k == 5 || k == 6) ? 1400 : 0);
			sa->pmtu = 0;
		}
		sa->dir = DP_DIR_SEND;
		/* numbers that were not used, or long ago */
		CU_ASSERT_FALSE(told(sa, 1400, 1500, SEQ + 1));
		CU_ASSERT_FALSE(told(sa, 1400, 1500, SEQ - DP_PMTU_AGO));
		CU_ASSERT_FALSE(told(sa, 1400, 1500, 0));
		CU_ASSERT_TRUE(told(sa, 1400, 1500, SEQ - DP_PMTU_AGO + 1));
		CU_ASSERT_EQUAL(sa->pmtu, 1400);
		/* it only falls, to where the family's least is, and a path that took the packet is a lie */
		CU_ASSERT_FALSE(told(sa, 1401, 1500, SEQ));
		CU_ASSERT_FALSE(told(sa, 1390, 1390, SEQ));
		CU_ASSERT_TRUE(told(sa, 1390, 1391, SEQ));
		CU_ASSERT_TRUE(told(sa, 1, 1500, SEQ));
		CU_ASSERT_EQUAL(sa->pmtu, low);
		CU_ASSERT_FALSE(told(sa, 1, low, SEQ));
		if (family == 6)
			CU_ASSERT_FALSE(told(sa, 0x10000 + 1300, 1500, SEQ));
		free(sa);
	}
}

/* RFC 1191 s5: a router that says 0. */
static void test_plateaus(void)
{
	struct dp_sa *sa = out_sa(4, false);

	CU_ASSERT_TRUE(told(sa, 0, 1500, SEQ));
	CU_ASSERT_EQUAL(sa->pmtu, 1492);
	CU_ASSERT_TRUE(told(sa, 0, 1492, SEQ));
	CU_ASSERT_EQUAL(sa->pmtu, 1006);
	CU_ASSERT_TRUE(told(sa, 0, 1006, SEQ));
	CU_ASSERT_EQUAL(sa->pmtu, 576);
	CU_ASSERT_FALSE(told(sa, 0, 500, SEQ));
	free(sa);
}

static void test_age(void)
{
	struct dp_sa_set s = mkset(DP_DIR_SEND, 1, DP_ESP_TUNNEL, 4, 4, false, false);
	struct dp_sa *sa = mksa(&s), *next = mksa(&s);

	sa->seq = SEQ;
	(void)dp_sa_tick(sa, 900);
	CU_ASSERT_TRUE(told(sa, 1300, 1500, SEQ)); /* at 1000 */
	(void)dp_sa_tick(sa, 1000 + DP_SA_PMTU_S - 1);
	CU_ASSERT_EQUAL(sa->pmtu, 1300);
	/* the same SA asserted again goes on, to somebody else it does not */
	CU_ASSERT_TRUE(dp_sa_inherit(next, sa));
	CU_ASSERT_EQUAL(next->pmtu, 1300);
	(void)dp_sa_tick(next, 1000 + DP_SA_PMTU_S);
	CU_ASSERT_EQUAL(next->pmtu, 0);
	next->remote.ip[3]++;
	CU_ASSERT_TRUE(dp_sa_inherit(next, sa));
	CU_ASSERT_EQUAL(next->pmtu, 0);
	(void)dp_sa_tick(sa, 1000 + DP_SA_PMTU_S);
	CU_ASSERT_EQUAL(sa->pmtu, 0);
	CU_ASSERT_TRUE(told(sa, 1400, 1500, SEQ));
	free(sa);
	free(next);
}

static int setup(void)
{
	mb = dp_mb_create();
	return mb == NULL;
}

static int teardown(void)
{
	dp_mb_destroy(mb);
	return 0;
}

static CU_TestInfo tests[] = {
	{"what a message is, cut everywhere", test_forms},
	{"which are believed", test_believed},
	{"a router that does not say", test_plateaus},
	{"ten minutes", test_age},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("pmtu", tests, setup, teardown)
