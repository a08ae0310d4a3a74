/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where files for phones are served from: a whole appliance (signer and controlplane) in a network namespace of this process,
 * ravelin-bootsim with its own TFTP and HTTP against it, and beside it dnsmasq, tftpd-hpa and nginx on the same files. The
 * servers run on the last CPU, the load on CPU 0.
 */
#ifndef BENCH_SITE_H
#define BENCH_SITE_H

#include "bench.h"
#include "proc.h"

#define BENCH_TFTP_PORT 6969 /* ours; dnsmasq can have no other than 69 */
#define BENCH_HPA_PORT  6900
#define BENCH_HTTP_PORT 6970
#define BENCH_NGX_PORT  8080

struct bench_site {
	const char *name; /* of the bench */
	struct bench_place at;
	pid_t signer, cp, dnsmasq, hpa, nginx;
	int cpu;
};

struct bench_load { /* a report of ravelin-bootsim, and what the server used meanwhile */
	double files, bytes, phones, per_s, p50_ms, p99_ms, cpu_s, phone_p99_ms, seconds;
	long long failed, repeats;
	char why[160];
};

/** The namespace, the directory files/ with f10k.bin and Ringlist.xml, and an appliance that serves it. 0; 1: it cannot be done
 * here, which was said; -1 after a message. */
int bench_site_begin(const struct bench_opts *opts, struct bench_site *s, const char *name);
/** Ends all daemons; the place is the caller's to end. */
void bench_site_stop(struct bench_site *s);

/** A server of somebody else's on the folder 'files' of the place; where it is not installed a note says so. */
void bench_site_dnsmasq(const struct bench_opts *opts, struct bench_site *s, const char *files);
void bench_site_hpa(const struct bench_opts *opts, struct bench_site *s, const char *files);
void bench_site_nginx(const struct bench_opts *opts, struct bench_site *s, const char *files);

/** bootsim with these further arguments against 'port'; the CPU time of 'pid', and of 'more' if above 0. 0 or -1. */
int bench_site_load(const struct bench_site *s, int port, pid_t pid, pid_t more, char *const *args, struct bench_load *ret);

#endif
