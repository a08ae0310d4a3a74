/* SPDX-License-Identifier: BSD-3-Clause */
/* What ravelin-bench mgcp compares: mgcpwhole.c has the worker, agent.c the kernel's sockets, mgcpend.c the way from the controlplane and back. */
#ifndef BENCH_MGCP_H
#define BENCH_MGCP_H

#include <stdbool.h>

#include "bench.h"

struct bench_agent;

/**
 * A call agent in user space: the worker's own codec and transactions over sendmmsg() and recvmmsg() on loopback, with a
 * gateway's end in this process. 'esp': what goes between them is sealed by OpenSSL's AES-128-GCM, a key for each gateway and
 * direction. NULL after a message.
 */
struct bench_agent *bench_agent_create(unsigned int gateways, bool esp);
void bench_agent_destroy(struct bench_agent *a);

/** TSC ticks of the agent for each CRCX over 'seconds'; 0: an answer was wrong or missing. */
double bench_agent_run(struct bench_agent *a, double seconds);

/** TSC ticks of a CRCX from cp_dp_send() to the callback with its result, all on this thread; gateways are up (gwload.h). 0: wrong. */
double bench_end_run(const struct bench_opts *opts, double seconds, double ret_part[3]);

/** Their rows. 0, or 1 if something measured was wrong. */
int bench_mgcp_whole(const struct bench_opts *opts);

#endif
