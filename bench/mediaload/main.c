/* SPDX-License-Identifier: BSD-3-Clause */
#include "mediaload.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <net/ethernet.h>
#include <netinet/ether.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(void)
{
	fprintf(stderr,
		"usage: ravelin-mediaload legs --socket FILE --calls FILE -n N\n"
		"       ravelin-mediaload veth --calls FILE --iface IF --sink IF --mac MAC [options]\n"
		"       ravelin-mediaload memif --calls FILE --vdev net_memif0,... --gateway IP [--echo] [options]\n"
		"options: --payload BYTES (160), --seconds S (1.5) of each trial, --most PPS (800000) to search below, --steps N (9),\n"
		"         --loss SHARE (0.001) that still counts as none, --cpu N (0), --rate PPS (one trial; 0: as fast as it goes)\n");
	return 2;
}

/* Twice: a stall of the machine is not the relay's. */
static int loss_free(const struct ml_path *path, const struct ml_opts *o, double rate, bool *ret_limited)
{
	for (int turn = 0; turn < 2; turn++) {
		struct ml_result r;

		if (path->trial(o, rate, o->seconds, &r) < 0)
			return -1;
		fprintf(stderr, "  offered %.0f: sent %.0f, back %.0f a second%s\n", rate, (double)r.sent / o->seconds,
			(double)r.received / o->seconds, r.refused > 0 ? ", the ring was full at times" : "");
		*ret_limited = false;
		if ((double)r.sent < 0.98 * rate * o->seconds) {
			*ret_limited = r.refused == 0;
			return 0;
		}
		if ((double)r.received >= (double)r.sent * (1 - o->loss))
			return 1;
	}
	return 0;
}

static int search(const struct ml_path *path, const struct ml_opts *o)
{
	double lo = 0, hi = o->most;
	bool limited = false, last = false;

	for (unsigned int i = 0; i < o->steps; i++) {
		double mid = (lo + hi) / 2;
		int ok = loss_free(path, o, mid, &limited);

		if (ok < 0)
			return -1;
		if (ok)
			lo = mid;
		else
			hi = mid, last = limited;
	}
	printf("{\"rate\": %.0f, \"above\": %.0f, \"sender_limited\": %s, \"calls\": %u}\n", lo, hi, last ? "true" : "false",
	       ml_call_cnt);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"calls", required_argument, NULL, 'f'},   {"iface", required_argument, NULL, 'i'},
		{"sink", required_argument, NULL, 's'},    {"mac", required_argument, NULL, 'm'},
		{"socket", required_argument, NULL, 'S'},  {"vdev", required_argument, NULL, 'v'},
		{"gateway", required_argument, NULL, 'g'}, {"payload", required_argument, NULL, 'p'},
		{"seconds", required_argument, NULL, 't'}, {"most", required_argument, NULL, 'M'},
		{"steps", required_argument, NULL, 'N'},   {"loss", required_argument, NULL, 'l'},
		{"cpu", required_argument, NULL, 'c'},     {"rate", required_argument, NULL, 'r'},
		{"echo", no_argument, NULL, 'e'},          {NULL, 0, NULL, 0},
	};
	struct ml_opts o = {.payload = 160, .seconds = 1.5, .most = 800000, .steps = 9, .loss = 0.001, .rate = -1,
			    .first_port = 20000};
	const struct ml_path *path;
	const struct ether_addr *ea;
	struct in_addr ia;
	cpu_set_t set;
	int c, rc;

	while ((c = getopt_long(argc, argv, "n:", longs, NULL)) != -1) {
		switch (c) {
		case 'f':
			o.calls = optarg;
			break;
		case 'i':
			o.iface = optarg;
			break;
		case 's':
			o.sink = optarg;
			break;
		case 'm':
			ea = ether_aton(optarg);
			if (ea == NULL)
				return usage();
			memcpy(o.dst_mac, ea->ether_addr_octet, 6);
			break;
		case 'S':
			o.socket = optarg;
			break;
		case 'v':
			o.vdev = optarg;
			break;
		case 'g':
			if (inet_aton(optarg, &ia) == 0)
				return usage();
			o.gateway = ntohl(ia.s_addr);
			break;
		case 'p':
			o.payload = (unsigned int)atoi(optarg);
			break;
		case 't':
			o.seconds = atof(optarg);
			break;
		case 'M':
			o.most = atof(optarg);
			break;
		case 'N':
			o.steps = (unsigned int)atoi(optarg);
			break;
		case 'l':
			o.loss = atof(optarg);
			break;
		case 'c':
			o.cpu = atoi(optarg);
			break;
		case 'r':
			o.rate = atof(optarg);
			break;
		case 'e':
			o.echo = true;
			break;
		case 'n':
			o.n = (unsigned int)atoi(optarg);
			break;
		default:
			return usage();
		}
	}
	if (optind + 1 != argc || o.calls == NULL)
		return usage();
	if (strcmp(argv[optind], "legs") == 0)
		return o.socket == NULL || o.n == 0 || o.n > 8192 ? usage() : ml_legs(&o) < 0;
	if (strcmp(argv[optind], "veth") == 0 && o.iface != NULL && o.sink != NULL)
		path = &ml_veth;
	else if (strcmp(argv[optind], "memif") == 0 && o.vdev != NULL)
		path = &ml_memif;
	else
		return usage();
	CPU_ZERO(&set);
	CPU_SET(o.cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
	rc = path->open(&o);
	if (rc == 0)
		rc = path->verify(&o);
	if (rc == 0 && o.rate >= 0) {
		struct ml_result r = {0};

		rc = path->trial(&o, o.rate, o.seconds, &r);
		printf("{\"sent\": %.0f, \"received\": %.0f, \"calls\": %u}\n", (double)r.sent / o.seconds,
		       (double)r.received / o.seconds, ml_call_cnt);
	} else if (rc == 0) {
		rc = search(path, &o);
	}
	path->close();
	free(ml_calls);
	return rc < 0;
}
