/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelin-bootsim: phones that boot, as far as files go. JSON report. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "fetch.h"
#include "util.h"

static volatile int stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static void usage(FILE *to)
{
	fputs("usage: ravelin-bootsim --server IP:PORT [--http [--close]] [--phones N] [--seconds S] --name NAME...\n"
	      "  --name NAME      file to fetch; %s becomes the phone's 12 hex digits; several: in this order\n"
	      "  --phones N       each of N phones fetches all names once, from an address of its own\n"
	      "  --seconds S      the names again and again; with --phones: no phone begins after that\n"
	      "  --parallel N     at once (default 32)\n"
	      "  --source IP      address of the first phone; the next ones count up (default 127.1.0.1; 0.0.0.0: any)\n"
	      "  --sources N      addresses before it begins again\n"
	      "  --mac HEX        of the first phone (default 000000000001)\n"
	      "  --blksize B      --windowsize N      TFTP options\n"
	      "  --compare FILE   what every answer must be\n"
	      "  --timeout MS     (default 1000; HTTP 5000)  --tries N (default 6)\n"
	      "  --close          HTTP: a connection per file\n"
	      "  --cpu N          run there\n"
	      "  --save DIR       what came goes there, under its name\n"
	      "  --report FILE    JSON\n",
	      to);
}

static int read_compare(const char *path, struct sim_fetch_opts *o)
{
	struct stat st;
	uint8_t *p;
	FILE *f = fopen(path, "re");

	if (f == NULL || fstat(fileno(f), &st) < 0 || st.st_size > SIM_FETCH_SIZE)
		return -1;
	p = malloc((size_t)st.st_size + 1);
	o->compare_len = p != NULL ? fread(p, 1, (size_t)st.st_size, f) : 0;
	o->compare = p;
	fclose(f);
	return p != NULL && o->compare_len == (size_t)st.st_size ? 0 : -1;
}

int main(int argc, char **argv)
{
	static const struct option opts[] = {
		{"server", 1, NULL, 's'},   {"http", 0, NULL, 'h'},	{"close", 0, NULL, 'c'},   {"phones", 1, NULL, 'p'},
		{"seconds", 1, NULL, 't'},  {"parallel", 1, NULL, 'n'}, {"source", 1, NULL, 'a'},  {"sources", 1, NULL, 'A'},
		{"mac", 1, NULL, 'm'},	    {"blksize", 1, NULL, 'b'},	{"windowsize", 1, NULL, 'w'}, {"compare", 1, NULL, 'C'},
		{"timeout", 1, NULL, 'T'},  {"tries", 1, NULL, 'r'},	{"cpu", 1, NULL, 'u'},	   {"report", 1, NULL, 'R'},
		{"name", 1, NULL, 'N'},	    {"save", 1, NULL, 'S'},	{"help", 0, NULL, 'H'},	   {NULL, 0, NULL, 0},
	};
	struct sim_fetch_opts o = {.parallel = 32, .keep_alive = true, .first_mac = 1, .tries = 6,
				   .server.sin_family = AF_INET};
	const char *report = NULL;
	struct sim_fetch_result r;
	char *colon;
	json_t *j;
	int c, rc;

	inet_aton("127.1.0.1", &o.source);
	while ((c = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		switch (c) {
		case 's':
			colon = strrchr(optarg, ':');
			if (colon == NULL)
				goto bad;
			*colon = '\0';
			o.server.sin_port = htons((uint16_t)atoi(colon + 1));
			if (inet_aton(optarg, &o.server.sin_addr) == 0)
				goto bad;
			break;
		case 'h': o.http = true; break;
		case 'c': o.keep_alive = false; break;
		case 'p': o.phones = (unsigned int)atoi(optarg); break;
		case 't': o.seconds = atof(optarg); break;
		case 'n': o.parallel = (unsigned int)atoi(optarg); break;
		case 'a':
			if (inet_aton(optarg, &o.source) == 0)
				goto bad;
			break;
		case 'A': o.sources = (unsigned int)atoi(optarg); break;
		case 'm': o.first_mac = strtoull(optarg, NULL, 16); break;
		case 'b': o.blksize = (unsigned int)atoi(optarg); break;
		case 'w': o.windowsize = (unsigned int)atoi(optarg); break;
		case 'C':
			if (read_compare(optarg, &o) < 0) {
				perror(optarg);
				return 2;
			}
			break;
		case 'T': o.timeout_ms = (unsigned int)atoi(optarg); break;
		case 'r': o.tries = (unsigned int)atoi(optarg); break;
		case 'u': {
			cpu_set_t set;

			CPU_ZERO(&set);
			CPU_SET((unsigned int)atoi(optarg), &set);
			(void)sched_setaffinity(0, sizeof(set), &set);
			break;
		}
		case 'R': report = optarg; break;
		case 'S': o.save = optarg; break;
		case 'N':
			if (o.name_cnt == SIM_FETCH_FILES || strlen(optarg) > 100)
				goto bad;
			o.names[o.name_cnt++] = optarg;
			break;
		case 'H': usage(stdout); return 0;
		default: goto bad;
		}
	}
	if (optind != argc || o.server.sin_port == 0 || o.name_cnt == 0 || o.parallel == 0 ||
	    (o.phones == 0 && o.seconds <= 0))
		goto bad;
	if (o.timeout_ms == 0) /* TCP repeats a lost SYN after 1 s by itself, TFTP is repeated by us */
		o.timeout_ms = o.http ? 5000 : 1000;
	if (o.phones > 0 && o.parallel > o.phones)
		o.parallel = o.phones;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	sim_raise_files(o.parallel + 64);
	rc = sim_fetch(&o, &stop, &r);
	if (rc < 0) {
		fprintf(stderr, "ravelin-bootsim: %s\n", strerror(-rc));
		return 1;
	}
	j = json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s}", "files", (json_int_t)r.files, "phones",
		      (json_int_t)r.phones, "failed", (json_int_t)r.failed, "repeats", (json_int_t)r.repeats, "bytes", (json_int_t)r.bytes, "seconds", r.seconds,
		      "files_per_s", (double)r.files / r.seconds, "p50_ms", r.p50_ms, "p99_ms", r.p99_ms, "max_ms", r.max_ms,
		      "phone_p50_ms", r.phone_p50_ms, "phone_p99_ms", r.phone_p99_ms, "why", r.why);
	if (report != NULL) {
		if (sim_report_write(report, j) != 0)
			return 1;
	} else {
		json_dumpf(j, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(j);
	return r.failed > 0 ? 1 : 0;
bad:
	usage(stderr);
	return 2;
}
