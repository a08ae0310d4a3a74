/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's librte_ipsec with the cryptodevs that Debian's DPDK has (crypto_aesni_gcm, crypto_aesni_mb), as a peer of ravelin-bench esp:
 * IPv4 tunnels, a replay window of 192, packets in buffers of its pool that the others work on too. Once in a process.
 */
#ifndef BENCH_ESPDPDK_H
#define BENCH_ESPDPDK_H

#include <stdbool.h>
#include <stdint.h>

#include "bench.h"
#include "dp_msg.h"

#define BENCH_ESPD_HEAD 128  /* bytes before a packet, at least */
#define BENCH_ESPD_SAS  1000 /* at a time */

/** EAL, devices, and n packet buffers: data[i] is where an inner packet begins. 0, or -1 after a message. */
int bench_espd_up(const struct bench_opts *opts, unsigned int n, uint8_t **data);
void bench_espd_down(void);

/** SAs as these, outbound and inbound of each. False: the devices have no such algorithm, which is said. */
bool bench_espd_sas(const struct bench_opts *opts, const struct dp_sa_set *sets, unsigned int n);
void bench_espd_sas_end(void);

/** Describe the packets of a batch, untimed: each 'len' bytes from 'before' bytes before its inner packet on. */
void bench_espd_lay(unsigned int n, unsigned int before, unsigned int len);

/**
 * Encapsulate or decapsulate the batch in bursts, sa[i] being packet i's. 'sync': on the CPU at once (RTE_SECURITY_ACTION_TYPE_CPU_CRYPTO),
 * one call for packets of one SA that follow each other; else through the device's queue. Returns how many were refused.
 */
unsigned int bench_espd_run(bool encap, bool sync, const uint32_t *sa, unsigned int n, unsigned int burst);

#endif
