/* SPDX-License-Identifier: BSD-3-Clause */
/* What so many calls need: arithmetic on measured rates. No clock, no files, no DPDK. */
#ifndef BENCH_PLAN_CALC_H
#define BENCH_PLAN_CALC_H

#include <stdbool.h>
#include <stdint.h>

#define BENCH_PLAN_POINTS 16

/* Cycles per packet of one way through a worker, by payload: measured points in rising order of payload. */
struct bench_plan_curve {
	unsigned int n;
	struct {
		double payload, cycles;
	} at[BENCH_PLAN_POINTS];
};

struct bench_plan_in {
	uint32_t calls;
	uint32_t payload;    /* bytes of RTP payload per packet */
	uint32_t ptime_ms;   /* of all parties */
	uint32_t tag;        /* bytes that the suite adds; 0: RTP */
	uint32_t rtcp_tag;   /* trailer and tag of SRTCP; 0: RTCP */
	bool both_legs;      /* both legs are secure; else one is, if there is a suite */
	bool rtcp;
	double hz;           /* of the cycles below */
	struct bench_plan_curve ways[2]; /* to the secure leg, and from it; the same where they are one */
	uint32_t leg_bytes;
	uint32_t port_gbit;
};

struct bench_plan {
	uint32_t workers;    /* lcores at BENCH_PLAN_LOAD of what they can; one more is the main lcore's */
	double load;         /* cores' worth of work */
	double rx_pps, tx_pps, rx_gbit, tx_gbit; /* over all ports; bits as on the wire of Ethernet */
	uint32_t ports;      /* of port_gbit each, at BENCH_PLAN_LOAD of their rate */
	uint32_t legs, addresses, mbufs;
	double leg_mb, mbuf_mb, memory_mb, page_mb; /* memory_mb: what EAL wants; page_mb: the counter page beside it */
	uint32_t huge_pages; /* of 2 MiB */
};

#define BENCH_PLAN_LOAD       0.7 /* share of a core or port that is planned with */
#define BENCH_PLAN_RTCP_S     5.0 /* seconds between a party's RTCP packets: RFC 3550 s6.2 */
#define BENCH_PLAN_RTCP_BYTES 84  /* SR with one report block, SDES with a CNAME */
#define BENCH_PLAN_RTCP_COST  4.0 /* of an RTP packet's cycles: SRTCP's keys are expanded at use */

/** Bytes of payload of a codec in so many milliseconds; 0: unknown codec, or not a whole number of its frames. */
uint32_t bench_plan_payload(const char *codec, uint32_t ptime_ms);

/** Enter a point; keeps the order. False: full. */
bool bench_plan_point(struct bench_plan_curve *curve, double payload, double cycles);

/**
 * Cycles at a payload: straight lines between points, the first one's and last one's slope beyond them, never below 0. With
 * one point: that; without: 0.
 */
double bench_plan_cycles(const struct bench_plan_curve *curve, double payload);

/** Bits on the wire of a packet of so many bytes behind UDP, IPv4: preamble, gap and checksum included. */
double bench_plan_wire_bits(uint32_t udp_payload);

/** 0, or -1: something in 'in' makes no sense (no calls, no ptime, no curve, no rate). */
int bench_plan_make(const struct bench_plan_in *in, struct bench_plan *ret);

#endif
