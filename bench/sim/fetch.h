/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Phones that fetch files: thousands of TFTP (RFC 1350, 2347 to 2349, 7440) or HTTP/1.1 clients on one thread, each with
 * a source address of its own. Rounds of one file by some clients, for rates; or a boot of many phones, each of which fetches
 * its list of files once, in order.
 */
#ifndef SIM_FETCH_H
#define SIM_FETCH_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_FETCH_FILES 16
#define SIM_FETCH_SIZE  (64u << 20) /* bytes of a file that is taken */

struct sim_fetch_opts {
	bool http;
	struct sockaddr_in server;
	struct in_addr source;   /* of client 0, the next ones count up; 0.0.0.0: the system's choice for all */
	unsigned int sources;    /* addresses before it begins again; 0: one per client */
	const char *names[SIM_FETCH_FILES]; /* "%s" becomes the phone's 12 hex digits */
	unsigned int name_cnt;
	uint64_t first_mac;
	unsigned int parallel;   /* clients at once */
	unsigned int phones;     /* boot: so many phones, each fetches all names once. 0: rounds for 'seconds' */
	double seconds;          /* boot: no phone begins after that; 0: all of them do */
	unsigned int blksize, windowsize; /* TFTP options; 0: none, so 512 bytes and 1 block */
	bool keep_alive;         /* HTTP: one connection per client */
	const uint8_t *compare;  /* rounds: what each file must be; NULL: lengths alone are looked at */
	size_t compare_len;
	unsigned int timeout_ms; /* TFTP until a repetition, HTTP until the connection is given up */
	unsigned int tries;      /* TFTP */
	const char *save;        /* directory for what came, by its name; NULL: nothing is kept */
};

struct sim_fetch_result {
	uint64_t files, failed, repeats, bytes;
	uint64_t phones;                        /* boot: that have all of their files */
	double seconds;
	double p50_ms, p99_ms, max_ms;          /* of a file */
	double phone_p50_ms, phone_p99_ms;      /* boot: of a phone's files together */
	char why[160];                          /* the first failure */
};

/** Run to the end, or until *stop. 0, or a negative errno of sockets. */
int sim_fetch(const struct sim_fetch_opts *opts, const volatile int *stop, struct sim_fetch_result *ret);

#endif
