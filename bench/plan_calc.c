/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan_calc.h"

#include <math.h>
#include <string.h>

#include "dp_msg.h"

#define RTP_HDR    12
#define WIRE_OVER  (14 + 20 + 8 + 4 + 20) /* Ethernet, IPv4, UDP; FCS; preamble and gap */
#define WIRE_MIN   (64 + 20)
#define MBUF_BYTES 2432 /* default buffer, mbuf, our private part, the pool's header */
#define QUEUE      1024 /* descriptors, each direction and queue: dataplane.ring_desc */
#define PORTS_MIN  2    /* a queue pair of each worker on each port */
#define BASE_MB    96   /* tables and rings that do not grow with calls */
#define PAGE_LEG   320  /* counter page, per leg identifier */

uint32_t bench_plan_payload(const char *codec, uint32_t ptime_ms)
{
	static const struct {
		const char *name;
		uint32_t frame_ms, bytes;
	} codecs[] = {
		{"g711", 1, 8}, {"g722", 1, 8}, {"g726-32", 1, 4}, {"g729", 10, 10}, {"g723.1", 30, 24},
		{"ilbc-30", 30, 50}, {"ilbc-20", 20, 38}, {"l16-16k", 1, 32},
	};

	for (unsigned int i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
		if (strcmp(codec, codecs[i].name) == 0)
			return ptime_ms % codecs[i].frame_ms != 0 ? 0 : ptime_ms / codecs[i].frame_ms * codecs[i].bytes;
	return 0;
}

bool bench_plan_point(struct bench_plan_curve *curve, double payload, double cycles)
{
	unsigned int i = curve->n;

	if (curve->n == BENCH_PLAN_POINTS)
		return false;
	for (; i > 0 && curve->at[i - 1].payload > payload; i--)
		curve->at[i] = curve->at[i - 1];
	curve->at[i].payload = payload;
	curve->at[i].cycles = cycles;
	curve->n++;
	return true;
}

double bench_plan_cycles(const struct bench_plan_curve *curve, double payload)
{
	unsigned int i = 1;
	double dx, c;

	if (curve->n < 2)
		return curve->n == 1 ? curve->at[0].cycles : 0;
	while (i + 1 < curve->n && curve->at[i].payload < payload)
		i++;
	dx = curve->at[i].payload - curve->at[i - 1].payload;
	if (dx <= 0)
		return curve->at[i].cycles;
	c = curve->at[i - 1].cycles +
	    (curve->at[i].cycles - curve->at[i - 1].cycles) * (payload - curve->at[i - 1].payload) / dx;
	return c > 0 ? c : 0;
}

double bench_plan_wire_bits(uint32_t udp_payload)
{
	uint32_t bytes = udp_payload + WIRE_OVER;

	return 8.0 * (bytes < WIRE_MIN ? WIRE_MIN : bytes);
}

int bench_plan_make(const struct bench_plan_in *in, struct bench_plan *ret)
{
	double pps, cycles, a, b, rtcp_a, rtcp_b, rtcp_pps = in->rtcp ? 1 / BENCH_PLAN_RTCP_S : 0, bits, most;

	memset(ret, 0, sizeof(*ret));
	if (in->calls == 0 || in->ptime_ms == 0 || in->payload == 0 || in->hz <= 0 || in->port_gbit == 0 ||
	    in->ways[0].n == 0 || in->ways[1].n == 0)
		return -1;
	pps = 1000.0 / in->ptime_ms; /* each party of each call */
	cycles = bench_plan_cycles(&in->ways[0], in->payload) + bench_plan_cycles(&in->ways[1], in->payload);
	if (cycles <= 0)
		return -1;
	ret->load = in->calls * (pps + rtcp_pps * BENCH_PLAN_RTCP_COST) * cycles / in->hz;
	ret->workers = (uint32_t)ceil(ret->load / BENCH_PLAN_LOAD);
	/* The two sides of a call: what comes in on one goes out of the other, so rx and tx are each both of them. */
	a = bench_plan_wire_bits(RTP_HDR + in->payload + (in->both_legs ? in->tag : 0));
	b = bench_plan_wire_bits(RTP_HDR + in->payload + in->tag);
	rtcp_a = bench_plan_wire_bits(BENCH_PLAN_RTCP_BYTES + (in->both_legs ? in->rtcp_tag : 0));
	rtcp_b = bench_plan_wire_bits(BENCH_PLAN_RTCP_BYTES + in->rtcp_tag);
	ret->rx_pps = ret->tx_pps = 2 * in->calls * (pps + rtcp_pps);
	bits = in->calls * (pps * (a + b) + rtcp_pps * (rtcp_a + rtcp_b));
	ret->rx_gbit = ret->tx_gbit = bits / 1e9;
	most = ret->rx_gbit; /* a port is full duplex */
	ret->ports = (uint32_t)ceil(most / (in->port_gbit * BENCH_PLAN_LOAD));
	ret->legs = 2 * in->calls;
	ret->addresses = (ret->legs + DP_LEGS_PER_ADDR - 1) / DP_LEGS_PER_ADDR;
	ret->mbufs = ret->workers * (ret->ports > PORTS_MIN ? ret->ports : PORTS_MIN) * 2 * QUEUE + 8192;
	ret->leg_mb = (double)ret->legs * in->leg_bytes / (1 << 20);
	ret->mbuf_mb = (double)ret->mbufs * MBUF_BYTES / (1 << 20);
	ret->memory_mb = ceil(ret->leg_mb + ret->mbuf_mb + BASE_MB);
	ret->huge_pages = (uint32_t)ceil(ret->memory_mb / 2);
	ret->page_mb = (double)ret->addresses * DP_LEGS_PER_ADDR * PAGE_LEG / (1 << 20);
	return 0;
}
