/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/punt.c: what the kernel is given, byte for byte, and what not; what it sends; floods. The kernel's ends of two
 * interfaces are datagram sockets of the test: port 0's, and that of VLAN 100 on the same device.
 */
#include <fcntl.h>
#include <sys/socket.h>

#include <CUnit/CUnit.h>

#include "dp_harness.h"

#define VPORT 2
#define PPS   1000

static int tap, vtap;

static int setup(void)
{
	int s[2], v[2], f;

	more_ports = 1;
	pcs[VPORT].device = (char *)(uintptr_t)"ring:0";
	pcs[VPORT].vlan = 100;
	cfg_addr_parse("10.2.0.1/24", &pcs[VPORT].addr[0]);
	pcs[VPORT].addresses_count = 1;
	cfg.dataplane.punt_pps = 1000000;
	f = SOCK_DGRAM | SOCK_NONBLOCK;
	if (harness_up() != 0 || socketpair(AF_UNIX, f, 0, s) < 0 || socketpair(AF_UNIX, f, 0, v) < 0)
		return 1;
	node.punt = dp_punt_create(&node);
	if (node.punt == NULL || dp_punt_add(node.punt, 0, s[1]) < 0 || dp_punt_add(node.punt, VPORT, v[1]) < 0)
		return 1;
	tap = s[0];
	vtap = v[0];
	return dp_punt_start(node.punt);
}

/* --- frames --- */

static uint8_t fr[2000];

static uint16_t ether(uint16_t etype, uint16_t len)
{
	memcpy(fr, node.ports[0].mac, 6);
	memcpy(fr + 6, peer_mac, 6);
	dp_put16(fr + 12, etype);
	return (uint16_t)(14 + len);
}

static uint16_t ip4(const char *src, const char *dst, uint8_t proto, uint16_t payload)
{
	struct dp_sockaddr s, d;
	uint16_t sum;

	ip_of(src, &s, 0);
	ip_of(dst, &d, 0);
	memset(fr, 0, sizeof(fr));
	for (uint16_t i = 0; i < payload; i++)
		fr[34 + i] = (uint8_t)(i * 3);
	fr[14] = 0x45;
	dp_put16(fr + 16, (uint16_t)(20 + payload));
	fr[22] = 64;
	fr[23] = proto;
	memcpy(fr + 26, s.ip, 4);
	memcpy(fr + 30, d.ip, 4);
	sum = dp_ip4_sum(fr + 14);
	memcpy(fr + 24, &sum, 2);
	return ether(DP_ETYPE_IP4, (uint16_t)(20 + payload));
}

static uint16_t udp(const char *dst, uint16_t port, const char *bytes, uint16_t len)
{
	struct dp_sockaddr s, d;

	ip_of("10.0.0.9", &s, 0);
	ip_of(dst, &d, 0);
	memcpy(fr + 42, bytes, len);
	dp_build_udp(fr + 14, 4, s.ip, port, d.ip, port, len, 0, true);
	return ether(DP_ETYPE_IP4, (uint16_t)(28 + len));
}

static uint16_t arp(uint16_t op, const char *from, const char *ask, bool group)
{
	struct dp_sockaddr a, b;

	ip_of(from, &a, 0);
	ip_of(ask, &b, 0);
	dp_neigh_solicit(fr, 4, peer_mac, a.ip, b.ip);
	dp_put16(fr + 20, op);
	if (!group)
		memcpy(fr, node.ports[0].mac, 6);
	return 60;
}

static uint16_t ns(const char *from, const char *ask)
{
	struct dp_sockaddr a, b;

	ip_of(from, &a, 0);
	ip_of(ask, &b, 0);
	return dp_neigh_solicit(fr, 6, peer_mac, a.ip, b.ip);
}

/* ICMPv6 of a type with nothing of interest in it, to a group or an address. */
static uint16_t icmp6(uint8_t type, const char *dst, const char *target)
{
	struct dp_sockaddr s, d, t;

	ip_of("fe80::9", &s, 0);
	ip_of(dst, &d, 0);
	ip_of(target, &t, 0);
	memset(fr, 0, 100);
	fr[14] = 0x60;
	dp_put16(fr + 18, 24);
	fr[20] = 58;
	fr[21] = 255;
	memcpy(fr + 22, s.ip, 16);
	memcpy(fr + 38, d.ip, 16);
	fr[54] = type;
	memcpy(fr + 62, t.ip, 16);
	dp_put16(fr + 56, dp_sum_fold(dp_sum(fr + 54, 24, dp_sum_pseudo(6, s.ip, d.ip, 58, 24))));
	ether(DP_ETYPE_IP6, 0);
	if (d.ip[0] == 0xff)
		memcpy(fr, "\x33\x33\x00\x00\x00\x01", 6);
	return 14 + 40 + 24;
}

/* --- helpers --- */

#define MS_MAX 20000 /* for what must come: the thread that brings it runs when the machine lets it */

/* What the kernel got, counted by the worker too; 0: nothing in 20 ms of rounds, or MS_MAX if it is expected. */
static ssize_t kernel_gets(int fd, uint8_t *buf, size_t size, bool expected)
{
	uint64_t punted = drops(DP_DROP_PUNTED);
	ssize_t n = 0;

	for (int i = 0; i < (expected ? MS_MAX : 20); i++) {
		rounds(1);
		if (n <= 0)
			n = recv(fd, buf, size, 0);
		if (n > 0 && drops(DP_DROP_PUNTED) > punted)
			return n;
		usleep(1000);
	}
	return n > 0 ? n : 0;
}

/* The frame in fr: does the kernel get exactly it (why: DP_OK), or is it dropped for that reason? From both queues. */
static bool goes(uint16_t len, enum dp_drop why)
{
	uint8_t sent[2000], got[2000];
	bool good = true;
	struct out o;

	memcpy(sent, fr, len);
	for (int q = 0; q < WORKERS; q++) {
		uint64_t punted = drops(DP_DROP_PUNTED), before = why != DP_OK ? drops(why) : 0;
		ssize_t n;

		inject(0, q, sent, len);
		n = kernel_gets(tap, got, sizeof(got), why == DP_OK);
		if (why == DP_OK)
			good = good && n == len && memcmp(sent, got, len) == 0 && drops(DP_DROP_PUNTED) == punted + 1;
		else
			good = good && n == 0 && drops(DP_DROP_PUNTED) == punted && drops(why) == before + 1;
	}
	while (next_out(&o)) /* answers */
		;
	assert_accounts();
	return good;
}

static void test_what_goes(void)
{
	uint16_t n;

	CU_ASSERT_TRUE(goes(ip4("10.0.0.9", "10.0.0.200", 6, 40), DP_OK)); /* TCP to an address of the kernel */
	CU_ASSERT_TRUE(goes(ip4("10.0.0.9", "10.0.0.200", 6, 1), DP_OK));
	CU_ASSERT_TRUE(goes(ip4("10.0.0.9", "10.0.0.200", 17, 3), DP_OK)); /* UDP that is too short is its matter */
	CU_ASSERT_TRUE(goes(udp("10.0.0.200", 53, "x", 1), DP_OK));
	CU_ASSERT_TRUE(goes(udp("10.0.0.1", 500, "ike", 3), DP_OK));
	CU_ASSERT_TRUE(goes(udp("10.0.0.1", 4500, "\0\0\0\0ike", 7), DP_OK));
	CU_ASSERT_TRUE(goes(arp(1, "10.0.0.9", "10.0.0.200", true), DP_OK));
	CU_ASSERT_TRUE(goes(arp(2, "10.0.0.9", "10.0.0.200", false), DP_OK));
	CU_ASSERT_TRUE(goes(arp(2, "10.0.0.9", "10.0.0.1", false), DP_OK)); /* may be for both */
	CU_ASSERT_TRUE(goes(ns("fd00::9", "fd00::200"), DP_OK));
	CU_ASSERT_TRUE(goes(icmp6(136, "fd00::1", "fd00::9"), DP_OK));      /* NA */
	CU_ASSERT_TRUE(goes(icmp6(134, "ff02::1", "::"), DP_OK));           /* RA */
	CU_ASSERT_TRUE(goes(icmp6(128, "ff02::1", "::"), DP_OK));           /* echo to a group */
	CU_ASSERT_TRUE(goes(icmp6(128, "fd00::200", "::"), DP_OK));
	n = ip4("10.0.0.9", "10.0.0.200", 17, 60); /* a fragment */
	dp_put16(fr + 20, 0x2000);
	dp_put16(fr + 24, 0);
	dp_put16(fr + 24, dp_sum_fold(dp_sum(fr + 14, 20, 0)));
	CU_ASSERT_TRUE(goes(n, DP_OK));
	n = ip4("10.0.0.9", "10.0.0.200", 6, 60); /* checksum, TTL */
	fr[22] = 0;
	CU_ASSERT_TRUE(goes(n, DP_OK));
	n = ip4("0.0.0.0", "255.255.255.255", 17, 60); /* DHCP */
	memset(fr, 0xff, 6);
	CU_ASSERT_TRUE(goes(n, DP_OK));
	n = ip4("10.0.0.9", "224.0.0.5", 89, 60); /* OSPF */
	memcpy(fr, "\x01\x00\x5e\x00\x00\x05", 6);
	CU_ASSERT_TRUE(goes(n, DP_OK));
	n = ether(0x88cc, 60);
	CU_ASSERT_TRUE(goes(n, DP_OK));
	memcpy(fr, "\x01\x80\xc2\x00\x00\x0e", 6); /* LLDP */
	CU_ASSERT_TRUE(goes(n, DP_OK));
}

static void test_what_stays(void)
{
	uint16_t n;

	CU_ASSERT_TRUE(goes(ip4("10.0.0.9", "10.0.0.1", 6, 40), DP_DROP_L4_PROTO));
	CU_ASSERT_TRUE(goes(udp("10.0.0.1", 501, "ike", 3), DP_DROP_L4_PROTO));
	CU_ASSERT_TRUE(goes(udp("10.0.0.1", 4500, "\0\0\1\0abcdefghijklmnopqrstuvwxyz012345", 36), DP_DROP_ESP_NO_SA));
	CU_ASSERT_TRUE(goes(udp("10.0.0.1", 4500, "\xff", 1), DP_DROP_CONSUMED));
	CU_ASSERT_TRUE(goes(udp("10.0.0.1", BASE, "rtp", 3), DP_DROP_NO_LEG));
	CU_ASSERT_TRUE(goes(arp(1, "10.0.0.9", "10.0.0.1", true), DP_DROP_CONSUMED));
	CU_ASSERT_TRUE(goes(arp(1, "10.0.0.1", "10.0.0.9", true), DP_DROP_L3_NOT_OURS)); /* says it is us */
	CU_ASSERT_TRUE(goes(ns("fd00::9", "fd00::1"), DP_DROP_CONSUMED));
	CU_ASSERT_TRUE(goes(icmp6(3, "fd00::1", "::"), DP_DROP_L4_PROTO));
	n = ip4("10.0.0.9", "10.0.0.1", 17, 60);
	dp_put16(fr + 20, 0x2000);
	fr[24] = fr[25] = 0;
	dp_put16(fr + 24, dp_sum_fold(dp_sum(fr + 14, 20, 0)));
	CU_ASSERT_TRUE(goes(n, DP_DROP_L3_FRAGMENT));
	n = ip4("10.0.0.9", "10.0.0.1", 6, 60);
	fr[25] ^= 1;
	CU_ASSERT_TRUE(goes(n, DP_DROP_L3_MALFORMED));
	n = ip4("10.0.0.9", "10.0.0.200", 6, 60); /* another station's */
	fr[5] ^= 9;
	CU_ASSERT_TRUE(goes(n, DP_DROP_L2_NOT_OURS));
	n = ip4("10.0.0.9", "10.0.0.200", 6, 60); /* our own, seen on its way out */
	memcpy(fr + 6, node.ports[0].mac, 6);
	CU_ASSERT_TRUE(goes(n, DP_DROP_L2_NOT_OURS));
	n = ip4("10.0.0.9", "10.0.0.200", 6, 60); /* a VLAN that no entry has */
	memmove(fr + 4, fr, n);
	dp_vlan_tag(fr + 4, 101);
	CU_ASSERT_TRUE(goes((uint16_t)(n + 4), DP_DROP_L2_NOT_OURS));
	/* so short that nobody can tell whose it is */
	n = ip4("10.0.0.9", "10.0.0.200", 6, 60);
	for (uint16_t cut = 1; cut < 34; cut++)
		CU_ASSERT_TRUE(goes(cut, cut < 14 ? DP_DROP_L2_NOT_OURS : DP_DROP_L3_MALFORMED));
}

/* A port without punt interface is as before; a VLAN's frames come without tag on its own interface. */
static void test_ports(void)
{
	uint8_t t[200], got[200];
	uint16_t n = ip4("10.2.0.9", "10.2.0.200", 6, 40);
	uint64_t before = drops(DP_DROP_L3_NOT_OURS);

	memcpy(t + 4, fr, n);
	dp_vlan_tag(t + 4, 100);
	for (int q = 0; q < WORKERS; q++) {
		inject(0, q, t, (uint16_t)(n + 4));
		CU_ASSERT_EQUAL(kernel_gets(vtap, got, sizeof(got), true), n);
		CU_ASSERT_EQUAL(memcmp(got, fr, n), 0);
	}
	CU_ASSERT_TRUE(recv(tap, got, sizeof(got), 0) < 0);
	/* a tag within the tag is nobody's */
	memcpy(t + 8, fr, n);
	dp_vlan_tag(t + 8, 7);
	dp_vlan_tag(t + 4, 100);
	inject(0, 0, t, (uint16_t)(n + 8));
	CU_ASSERT_EQUAL(kernel_gets(vtap, got, sizeof(got), false), 0);
	ip4("10.1.0.9", "10.1.0.200", 6, 40);
	memcpy(fr, node.ports[1].mac, 6);
	inject(1, 0, fr, n);
	rounds(2);
	CU_ASSERT_EQUAL(drops(DP_DROP_L3_NOT_OURS), before + 1);
	assert_accounts();
}

static bool comes_out(struct out *o)
{
	for (int i = 0; i < MS_MAX; i++) {
		rounds(1);
		if (next_out(o))
			return true;
		usleep(1000);
	}
	return false;
}

static void test_from_the_kernel(void)
{
	uint64_t made = dp_page_workers(node.page)[0].made_pkts, tx = dp_page_workers(node.page)[0].tx_pkts;
	uint16_t n = ip4("10.0.0.200", "10.0.0.9", 6, 1480);
	struct out o;

	memcpy(fr, peer_mac, 6);
	memcpy(fr + 6, node.ports[0].mac, 6);
	CU_ASSERT_EQUAL(n, 1514);
	CU_ASSERT_EQUAL(send(tap, fr, n, 0), n);
	CU_ASSERT_TRUE_FATAL(comes_out(&o));
	CU_ASSERT_EQUAL(o.port, 0);
	CU_ASSERT_EQUAL(o.len, n);
	CU_ASSERT_EQUAL(memcmp(o.data, fr, n), 0);
	CU_ASSERT_EQUAL(send(vtap, fr, n, 0), n);
	CU_ASSERT_TRUE_FATAL(comes_out(&o));
	CU_ASSERT_EQUAL(o.port, 0);
	CU_ASSERT_EQUAL(o.len, n + 4);
	CU_ASSERT_EQUAL(dp_get16(o.data + 12), DP_ETYPE_VLAN);
	CU_ASSERT_EQUAL(dp_get16(o.data + 14), 100);
	CU_ASSERT_EQUAL(memcmp(o.data + 16, fr + 12, n - 12u), 0);
	CU_ASSERT_EQUAL(dp_page_workers(node.page)[0].made_pkts, made + 2);
	CU_ASSERT_EQUAL(dp_page_workers(node.page)[0].tx_pkts, tx + 2);
	/* longer than the port may send; and no frame at all */
	CU_ASSERT_EQUAL(send(tap, fr, 13, 0), 13);
	CU_ASSERT_EQUAL(send(tap, fr, n + 1, 0), n + 1);
	for (int i = 0; i < MS_MAX && drops(DP_DROP_NO_ROOM) == 0; i++) {
		usleep(1000);
		rounds(1);
	}
	CU_ASSERT_EQUAL(drops(DP_DROP_NO_ROOM), 1);
	CU_ASSERT_FALSE(next_out(&o));
	/* many: in order, none lost */
	for (uint32_t i = 0, got = 0; i < 600 || got < 600;) {
		if (i < 600) {
			dp_put32(fr + 40, i);
			if (send(tap, fr, 100, 0) == 100)
				i++;
		}
		rounds(1);
		while (next_out(&o)) {
			CU_ASSERT_EQUAL(dp_get32(o.data + 40), got);
			got++;
		}
	}
	assert_accounts();
}

static void test_rate(void)
{
	struct dp_punt_rate r = {0};
	unsigned int n = 0;

	while (dp_punt_rate_take(&r, 1000, 5))
		n++;
	CU_ASSERT_EQUAL(n, 100); /* a tenth of a second's */
	CU_ASSERT_FALSE(dp_punt_rate_take(&r, 1000, 1004));
	CU_ASSERT_TRUE(dp_punt_rate_take(&r, 1000, 1005));
	CU_ASSERT_FALSE(dp_punt_rate_take(&r, 1000, 1005));
	for (n = 0; dp_punt_rate_take(&r, 1000, 51005); n++)
		;
	CU_ASSERT_EQUAL(n, 50);
	for (n = 0; dp_punt_rate_take(&r, 1000, 10000000000); n++)
		;
	CU_ASSERT_EQUAL(n, 100);
	/* after so long that the product is 0 again */
	for (n = 0; dp_punt_rate_take(&r, 1000, 10000000000 + (1ull << 61)); n++)
		;
	CU_ASSERT_EQUAL(n, 100);
	r = (struct dp_punt_rate){0};
	for (n = 0; dp_punt_rate_take(&r, 100, 0); n++)
		;
	CU_ASSERT_EQUAL(n, 64); /* a burst from the wire at least */
}

/* Ten thousand frames for the kernel while media flows: media is whole, and every frame is counted. */
static void test_flood(void)
{
	uint32_t a = leg(0, BASE + 40, DP_LEG_ID(1, BASE + 40, BASE), "10.0.0.7", 4000, 0, 0, DP_LATCH_NONE, 0);
	uint64_t punted = drops(DP_DROP_PUNTED), full = drops(DP_DROP_PUNT_FULL), t0;
	uint8_t p[200], got[2000];
	unsigned int media = 0, kernel = 0;
	uint16_t n;
	struct out o;

	cfg.dataplane.punt_pps = PPS;
	leg(1, BASE + 40, a, "10.1.0.7", 5000, 0, 0, DP_LATCH_NONE, 0);
	rounds(2);
	host_speaks(1, "10.1.0.7");
	drain_tx();
	t0 = node.worker[0]->now_us;
	n = ip4("10.0.0.9", "10.0.0.200", 6, 40);
	for (uint16_t i = 0; i < 500; i++) {
		for (int k = 0; k < 20; k++)
			inject(0, k % WORKERS, fr, n);
		send_udp(0, i % WORKERS, "10.0.0.7", 4000, "10.0.0.1", BASE + 40, p, rtp(p, i, 5, 160));
		rounds(2);
		while (next_out(&o))
			media += o.port == 1 && o.len == 42 + 172;
		while (recv(tap, got, sizeof(got), 0) > 0)
			kernel++;
	}
	for (int i = 0; i < MS_MAX && drops(DP_DROP_PUNTED) + drops(DP_DROP_PUNT_FULL) < punted + full + 10000; i++) {
		usleep(1000);
		rounds(1);
		while (recv(tap, got, sizeof(got), 0) > 0)
			kernel++;
	}
	while (recv(tap, got, sizeof(got), 0) > 0)
		kernel++;
	CU_ASSERT_EQUAL(media, 500);
	CU_ASSERT_EQUAL(drops(DP_DROP_PUNTED) + drops(DP_DROP_PUNT_FULL), punted + full + 10000);
	/* no more than the burst and the rate (and what the bucket had from a higher one), and what went was taken */
	CU_ASSERT(drops(DP_DROP_PUNTED) - punted <= 2 * PPS / 10 + PPS * (node.worker[0]->now_us - t0) / 1000000 + 1);
	CU_ASSERT(drops(DP_DROP_PUNTED) - punted >= PPS / 10 / 2);
	CU_ASSERT_EQUAL(kernel, drops(DP_DROP_PUNTED) - punted);
	assert_accounts();
	cfg.dataplane.punt_pps = 1000000;
}

/* Nobody reads there: as many as the thread may hold, the others are counted at once. */
static void test_stuck(void)
{
	uint64_t sum = drops(DP_DROP_PUNTED) + drops(DP_DROP_PUNT_FULL), full = drops(DP_DROP_PUNT_FULL);
	uint16_t n = ip4("10.0.0.9", "10.0.0.200", 6, 40);
	uint8_t got[100];

	usleep(200000);
	rounds(1);
	for (int i = 0; i < 2000; i++) {
		inject(0, 0, fr, n);
		rounds(1);
	}
	for (int i = 0; i < MS_MAX && drops(DP_DROP_PUNTED) + drops(DP_DROP_PUNT_FULL) < sum + 2000; i++) {
		usleep(1000);
		rounds(1);
	}
	CU_ASSERT_EQUAL(drops(DP_DROP_PUNTED) + drops(DP_DROP_PUNT_FULL), sum + 2000);
	CU_ASSERT(drops(DP_DROP_PUNT_FULL) > full);
	assert_accounts();
	while (recv(tap, got, sizeof(got), 0) > 0)
		;
	CU_ASSERT_TRUE(goes(ip4("10.0.0.9", "10.0.0.200", 6, 40), DP_OK)); /* and goes on */
	/* the interface goes away */
	close(tap);
	full = drops(DP_DROP_PUNT_FULL);
	inject(0, 0, fr, n);
	for (int i = 0; i < MS_MAX && drops(DP_DROP_PUNT_FULL) == full; i++) {
		usleep(1000);
		rounds(1);
	}
	CU_ASSERT_EQUAL(drops(DP_DROP_PUNT_FULL), full + 1);
	assert_accounts();
}

/* A tap of this machine, if it lets us make one. */
static void test_tap(void)
{
	static const uint8_t mac[6] = {2, 0x72, 0x76, 1, 2, 3};
	char name[16], path[80], text[64] = "";
	FILE *f;
	int fd;

	snprintf(name, sizeof(name), "rvt%d", getpid());
	fd = dp_punt_tap(name, mac, 1400);
	if (fd == -EPERM || fd == -ENOENT || fd == -EACCES) {
		printf("(no tap here: %s) ", strerror(-fd));
		return;
	}
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	snprintf(path, sizeof(path), "/sys/class/net/%s/address", name);
	f = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_PTR_NOT_NULL(fgets(text, sizeof(text), f));
	fclose(f);
	CU_ASSERT_STRING_EQUAL(text, "02:72:76:01:02:03\n");
	snprintf(path, sizeof(path), "/sys/class/net/%s/mtu", name);
	f = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_PTR_NOT_NULL(fgets(text, sizeof(text), f));
	fclose(f);
	CU_ASSERT_STRING_EQUAL(text, "1400\n");
	CU_ASSERT_EQUAL(dp_punt_tap(name, mac, 1400), -EBUSY);
	CU_ASSERT_EQUAL(dp_punt_tap("lo", mac, 1400), -EINVAL);
	close(fd);
}

static void test_all_buffers_back(void)
{
	uint16_t n = ip4("10.0.0.9", "10.0.0.200", 6, 40);

	for (int i = 0; i < 100; i++)
		inject(0, i % WORKERS, fr, n);
	for (int w = 0; w < WORKERS; w++)
		dp_worker_round(node.worker[w]); /* on their way when it ends */
	CU_ASSERT_EQUAL(harness_down(), 0);
}

static CU_TestInfo tests[] = {
	{"the bucket", test_rate},
	{"what goes to the kernel", test_what_goes},
	{"what does not", test_what_stays},
	{"ports with and without, VLANs", test_ports},
	{"what the kernel sends", test_from_the_kernel},
	{"a flood beside media", test_flood},
	{"a kernel that does not read", test_stuck},
	{"a tap", test_tap},
	{"all buffers come back", test_all_buffers_back},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("punt", tests, setup, NULL)
