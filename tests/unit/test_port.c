/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/port.c: what EAL is told of each kind of port, ports of drivers that need no machine, VLANs of one device. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>
#include <rte_bus_vdev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "port.h"

static struct rte_mempool *pool;

static int setup(void)
{
	static char *argv[] = {"t", "--no-huge", "-m", "64", "--no-pci", "--no-shconf", "--no-telemetry", "-l", "0",
			       "--log-level=*:error", NULL};

	if (rte_eal_init(10, argv) < 0)
		return 1;
	pool = rte_pktmbuf_pool_create("p", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	return pool == NULL;
}

static const struct {
	const char *device;
	uint16_t queues, mtu;
	const char *arg;
} args[] = {
	{"pci:0000:3b:00.0", 4, 0, "--allow=0000:3b:00.0"},
	{"pci:0000:3b:00.0", 4, 9000, "--allow=0000:3b:00.0"},
	{"af_packet:eth0", 2, 0, "--vdev=net_af_packet7,iface=eth0,qpairs=2,blocksz=4096,framesz=2048,framecnt=512"},
	{"af_packet:eth0", 1, 1900, "--vdev=net_af_packet7,iface=eth0,qpairs=1,blocksz=4096,framesz=2048,framecnt=512"},
	{"af_packet:eth0", 1, 3000, "--vdev=net_af_packet7,iface=eth0,qpairs=1,blocksz=4096,framesz=4096,framecnt=512"},
	{"af_packet:eth0", 1, 9000, "--vdev=net_af_packet7,iface=eth0,qpairs=1,blocksz=12288,framesz=12288,framecnt=512"},
	{"af_xdp:eth0", 3, 0, "--vdev=net_af_xdp7,iface=eth0,start_queue=0,queue_count=3"},
	{"tap:t0", 1, 0, "--vdev=net_tap7,iface=t0"},
	{"memif:id=3,socket=/s", 1, 0, "--vdev=net_memif7,role=server,socket-abstract=no,id=3,socket=/s"},
	{"memif:role=client,socket=/s", 1, 0, "--vdev=net_memif7,socket-abstract=no,role=client,socket=/s"},
	{"memif:socket=@s,socket-abstract=yes,role=server", 1, 0,
	 "--vdev=net_memif7,socket=@s,socket-abstract=yes,role=server"},
	{"pcap:/a", 1, 0, "--vdev=net_pcap7,rx_pcap=/a"},
	{"pcap:/a,tx=/b", 1, 0, "--vdev=net_pcap7,rx_pcap=/a,tx_pcap=/b"},
	{"pcap:/a,infinite,tx=/b", 1, 0, "--vdev=net_pcap7,rx_pcap=/a,infinite_rx=1,tx_pcap=/b"},
	{"ring", 1, 0, "--vdev=net_ring7"},
	{"ring:left", 1, 0, "--vdev=net_ring7"},
	{"null", 1, 0, "--vdev=net_null7,no-rx=1"},
};

static void test_args(void)
{
	char buf[700];

	for (unsigned i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
		CU_ASSERT_EQUAL(dp_port_eal_arg(args[i].device, 7, args[i].queues, 512, args[i].mtu, buf, sizeof(buf)), 0);
		CU_ASSERT_STRING_EQUAL(buf, args[i].arg);
		CU_ASSERT_EQUAL(dp_port_is_pci(args[i].device), strncmp(args[i].device, "pci:", 4) == 0);
		/* no room for the whole of it */
		for (size_t n = 0; n <= strlen(args[i].arg); n++)
			CU_ASSERT_EQUAL(dp_port_eal_arg(args[i].device, 7, args[i].queues, 512, args[i].mtu, buf, n), -EINVAL);
	}
	CU_ASSERT_EQUAL(dp_port_eal_arg("eth0", 0, 1, 512, 0, buf, sizeof(buf)), -EINVAL);
	CU_ASSERT_FALSE(dp_port_is_pci("eth0"));
}

static void test_buffers(void)
{
	/* what is usual fits into the usual buffer */
	CU_ASSERT_EQUAL(dp_port_buf_size("pci:1", 0), RTE_MBUF_DEFAULT_BUF_SIZE);
	CU_ASSERT_EQUAL(dp_port_buf_size("af_packet:x", 1500), RTE_MBUF_DEFAULT_BUF_SIZE);
	/* headroom, headers with two tags, packet, tags of ciphers */
	CU_ASSERT(dp_port_buf_size("pci:1", 9000) >= 128 + 14 + 8 + 9000 + 160);
	/* the driver refuses buffers smaller than a slot of its ring */
	CU_ASSERT(dp_port_buf_size("af_packet:x", 9000) >= 128 + 12288 - 32);
	CU_ASSERT(dp_port_buf_size("af_packet:x", 3000) >= 128 + 4096 - 32);
}

static struct cfg_dp_port pc[4] = {
	{.device = (char *)(uintptr_t)"null:a"},
	{.device = (char *)(uintptr_t)"null:a", .vlan = 5, .mtu = 9000},
	{.device = (char *)(uintptr_t)"null:b", .mtu = 600},
	{.device = (char *)(uintptr_t)"null:a", .vlan = 6},
};

static void test_entries(void)
{
	const struct cfg_dataplane dc = {.ports = pc, .ports_count = 4};

	CU_ASSERT_EQUAL(dp_port_first(&dc, 0), 0);
	CU_ASSERT_EQUAL(dp_port_first(&dc, 1), 0);
	CU_ASSERT_EQUAL(dp_port_first(&dc, 2), 2);
	CU_ASSERT_EQUAL(dp_port_first(&dc, 3), 0);
	CU_ASSERT_EQUAL(dp_port_dev_mtu(&dc, "null:a"), 9000);
	CU_ASSERT_EQUAL(dp_port_dev_mtu(&dc, "null:b"), 600);
	CU_ASSERT_EQUAL(dp_port_dev_mtu(&(struct cfg_dataplane){.ports = pc, .ports_count = 1}, "null:a"), 0);
	/* one that says less than the default does not lower the others' */
	CU_ASSERT_EQUAL(dp_port_dev_mtu(&(struct cfg_dataplane){.ports = (struct cfg_dp_port[]){pc[0], {.device = pc[0].device,
			.vlan = 9, .mtu = 600}}, .ports_count = 2}, "null:a"), 1500);
}

/* Make, start, use and stop a device as the dataplane does. */
static void one(const char *device, unsigned int n, struct dp_port *p)
{
	char buf[300], *rest;
	uint16_t id = 99;

	CU_ASSERT_EQUAL_FATAL(dp_port_eal_arg(device, n, 1, 512, 0, buf, sizeof(buf)), 0);
	rest = strchr(buf + 7, ',');
	if (rest != NULL)
		*rest++ = '\0';
	CU_ASSERT_EQUAL(dp_port_ethdev(device, n, &id), -ENODEV);
	CU_ASSERT_EQUAL_FATAL(rte_vdev_init(buf + 7, rest), 0);
	CU_ASSERT_EQUAL_FATAL(dp_port_ethdev(device, n, &id), 0);
	snprintf(p->device, sizeof(p->device), "%s", device);
	CU_ASSERT_EQUAL(dp_port_start(p, id, 1, 512, pool), 0);
	CU_ASSERT_TRUE(p->started);
}

static void test_ring(void)
{
	static const uint8_t zero[6];
	struct dp_port p = {0}, q = {.mtu = 1400, .has_mac = true, .mac = {2, 9, 9, 9, 9, 9}};
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *in = NULL;

	one("ring", 0, &p);
	CU_ASSERT_EQUAL(p.mtu, 1500);
	CU_ASSERT_FALSE(p.kernel);
	/* what has no address of its own gets one: all zero would be everybody's */
	CU_ASSERT(memcmp(p.mac, zero, 6) != 0);
	CU_ASSERT_EQUAL(p.mac[0] & 3, 2);
	/* what is sent into it comes out of it */
	memset(rte_pktmbuf_append(m, 64), 0x5a, 64);
	CU_ASSERT_EQUAL(rte_eth_tx_burst(p.id, 0, &m, 1), 1);
	CU_ASSERT_EQUAL(rte_eth_rx_burst(p.id, 0, &in, 1), 1);
	CU_ASSERT_PTR_EQUAL(in, m);
	rte_pktmbuf_free(in);
	one("ring:b", 1, &q);
	CU_ASSERT_EQUAL(q.mtu, 1400);
	CU_ASSERT_EQUAL(q.mac[1], 9);
	dp_port_stop(&p);
	CU_ASSERT_FALSE(p.started);
	dp_port_stop(&p); /* once more is nothing */
	dp_port_stop(&q);
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), 1023);
}

static void test_null(void)
{
	struct dp_port p = {0};
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *in[4];

	one("null", 2, &p);
	CU_ASSERT_EQUAL(rte_eth_rx_burst(p.id, 0, in, 4), 0); /* it makes none */
	rte_pktmbuf_append(m, 64);
	CU_ASSERT_EQUAL(rte_eth_tx_burst(p.id, 0, &m, 1), 1); /* and takes all */
	dp_port_stop(&p);
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), 1023);
}

static void test_vlans(void)
{
	struct dp_port p[4] = {{.id = 3, .mac = {2, 1, 1, 1, 1, 1}, .mtu = 1600, .vlan = 5, .kernel = true},
			       {.vlan = 7, .mtu = 1000}, {.vlan = 0}, {.vlan = 7}};

	CU_ASSERT_EQUAL(dp_port_share(p, 0, 1), 0);
	CU_ASSERT_EQUAL(dp_port_share(p, 0, 2), 0);
	CU_ASSERT_EQUAL(dp_port_share(p, 0, 3), -EEXIST);
	for (unsigned int v = 0; v < 4096; v++)
		CU_ASSERT_EQUAL(p[0].by_vlan[v], v == 5 ? 0 : v == 7 ? 1 : v == 0 ? 2 : DP_PORT_NONE);
	CU_ASSERT_EQUAL(p[1].id, 3);
	CU_ASSERT_EQUAL(p[1].dev, 0);
	CU_ASSERT_TRUE(p[1].kernel);
	CU_ASSERT_EQUAL(p[1].mac[5], 1);
	CU_ASSERT_EQUAL(p[1].mtu, 1000);
	CU_ASSERT_EQUAL(p[2].mtu, 1500);
	CU_ASSERT_PTR_NULL(p[1].by_vlan);
	dp_port_stop(&p[1]); /* not its ethdev */
	dp_port_stop(&p[0]);
	CU_ASSERT_PTR_NULL(p[0].by_vlan);
}

static CU_TestInfo tests[] = {
	{"what EAL is told", test_args},
	{"size of packet buffers", test_buffers},
	{"entries of one device", test_entries},
	{"ring", test_ring},
	{"null", test_null},
	{"VLANs of a device", test_vlans},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("port", tests, setup, NULL)
