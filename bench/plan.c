/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ravelin-bench plan: cores, memory and NIC for so many calls, from the rates of this machine: of an earlier run's
 * 'media' rows (--baseline), or measured now, with the codec's own payload. See plan_calc.h for what is assumed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "dp_suite.h"
#include "loop.h"
#include "plan_calc.h"

/* The number of legs that was measured and is nearest above. */
static uint32_t bucket(uint32_t calls)
{
	return calls <= 500 ? 1000 : calls <= 5000 ? 10000 : BENCH_LEGS_MAX;
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

/* Points of one way out of rows; those of so many legs if there are any, else all. */
static void curve_of(const json_t *rows, const char *from, const char *to, uint32_t legs, struct bench_plan_curve *ret,
		     uint32_t *ret_leg_bytes)
{
	for (int exact = 1; exact >= 0 && ret->n == 0; exact--) {
		size_t i;
		json_t *row;

		json_array_foreach((json_t *)(uintptr_t)rows, i, row) {
			const json_t *k = json_object_get(row, "case");

			if (strcmp(text_of(row, "bench"), "media") != 0 || json_object_get(row, "peer") != NULL ||
			    json_object_get(k, "ip") != NULL || strcmp(text_of(k, "from"), from) != 0 ||
			    strcmp(text_of(k, "to"), to) != 0)
				continue;
			if (exact && json_integer_value(json_object_get(k, "legs")) != legs)
				continue;
			(void)bench_plan_point(ret, json_number_value(json_object_get(k, "payload")),
					       json_number_value(json_object_get(row, "cycles")));
			*ret_leg_bytes = (uint32_t)json_integer_value(json_object_get(row, "leg_bytes"));
		}
	}
}

static double env_hz(const json_t *rows, double dflt)
{
	size_t i;
	json_t *row;

	json_array_foreach((json_t *)(uintptr_t)rows, i, row) {
		double hz = json_number_value(json_object_get(json_object_get(row, "env"), "tsc_hz"));

		if (hz > 0)
			return hz;
	}
	return dflt;
}

/* --- measured now, in a child: what it finds comes back in a file --- */

static struct {
	struct bench_flow way[2];
	FILE *out;
} now;

static int measure(const struct bench_opts *opts)
{
	static struct bench_sample s[BENCH_BATCHES_MAX];
	int rc = bench_loop_up(opts, 1, false);

	for (unsigned int k = 0; k < 2 && rc == 0; k++) {
		double cyc[5];

		rc = bench_loop_flow(opts, &now.way[k]);
		for (unsigned int r = 0; r < 5 && rc == 0; r++) {
			bench_loop_neighbours();
			if (!bench_loop_run(64, s))
				rc = -1;
			cyc[r] = bench_loop_median(s, offsetof(struct bench_sample, cyc), 64);
		}
		if (rc == 0) {
			json_t *row = bench_loop_memory(); /* leg_bytes among others */
			char *text;

			json_object_update_new(row, json_pack("{s:s, s:o, s:f}", "bench", "media", "case",
							      bench_flow_case(&now.way[k]), "cycles",
							      bench_quantile(cyc, 5, 0.5)));
			text = json_dumps(row, JSON_COMPACT);
			fprintf(now.out, "%s\n", text);
			free(text);
			json_decref(row);
		}
	}
	fclose(now.out);
	return (rc != 0) | bench_loop_down();
}

static json_t *measured(const struct bench_opts *opts, unsigned int suite, uint32_t payload, uint32_t legs)
{
	char path[] = "/tmp/ravelin-plan-XXXXXX", *line = NULL;
	json_t *rows = json_array();
	size_t size = 0;
	int fd = mkstemp(path), rc;

	if (fd < 0)
		return rows;
	now.out = fdopen(fd, "w+");
	unlink(path);
	for (unsigned int k = 0; k < 2; k++) {
		bool plain = !opts->plan.both_legs;

		now.way[k] = (struct bench_flow){.from = (uint8_t)(plain && k == 0 ? DP_SRTP_NONE : suite),
						 .to = (uint8_t)(plain && k == 1 ? DP_SRTP_NONE : suite), .ip_in = 4, .ip_out = 4,
						 .payload = (uint16_t)payload, .legs = legs};
	}
	rc = bench_isolated(opts, measure);
	if (now.out == NULL || rc != 0) {
		json_decref(rows);
		return NULL;
	}
	rewind(now.out);
	while (getline(&line, &size, now.out) > 0)
		json_array_append_new(rows, json_loads(line, 0, NULL));
	free(line);
	fclose(now.out);
	return rows;
}

static void print(const struct bench_opts *opts, const struct bench_plan_in *in, const struct bench_plan *p, const char *source)
{
	const struct bench_plan_opts *o = &opts->plan;

	if (opts->json) {
		json_t *k = json_pack("{s:i, s:s, s:i, s:s, s:b, s:b}", "calls", (int)o->calls, "codec", o->codec, "ptime",
				      (int)o->ptime_ms, "suite", o->suite, "both_legs_srtp", (int)o->both_legs, "rtcp",
				      (int)o->rtcp);
		json_t *more = json_pack("{s:f, s:i, s:f, s:f, s:f, s:f, s:i, s:i, s:i, s:i, s:i, s:f, s:i, s:f, s:s}", "load",
					 p->load, "main_lcores", 1, "rx_pps", p->rx_pps, "tx_pps", p->tx_pps, "rx_gbit",
					 p->rx_gbit, "tx_gbit", p->tx_gbit, "ports", (int)p->ports, "port_gbit",
					 (int)in->port_gbit, "max_legs", (int)p->legs, "media_addresses", (int)p->addresses,
					 "mbufs", (int)p->mbufs, "memory_mb", p->memory_mb, "huge_pages_2m", (int)p->huge_pages,
					 "counter_page_mb", p->page_mb, "rates", source);
		double workers = p->workers;

		bench_row(opts, &(struct bench_row){.bench = "plan", .kase = k, .unit = "worker cores", .value = &workers,
						    .runs = 1, .more = more});
		return;
	}
	printf("%u calls of %s, %u ms, %s%s%s; rates %s\n", o->calls, o->codec, o->ptime_ms, o->suite,
	       in->tag > 0 ? o->both_legs ? " on both legs" : " on one leg" : "", o->rtcp ? ", RTCP" : "", source);
	printf("  cores      %u workers at %.0f %% (%.2f cores of work), and one for the main lcore and the rest\n", p->workers,
	       p->load / p->workers * 100, p->load);
	printf("  network    %.4g packets/s and %.3g Gbit/s each way, on the wire: %u port%s of %u Gbit/s\n", p->rx_pps, p->rx_gbit,
	       p->ports, p->ports == 1 ? "" : "s", in->port_gbit);
	printf("  memory     %.0f MiB for the dataplane (legs %.0f, packet buffers %.0f): %u huge pages of 2 MiB; counter page %.0f MiB\n",
	       p->memory_mb, p->leg_mb, p->mbuf_mb, p->huge_pages, p->page_mb);
	printf("  config     dataplane: max_legs %u, mbufs %u, memory_mb %.0f; media: %u address%s\n", p->legs, p->mbufs,
	       p->memory_mb, p->addresses, p->addresses == 1 ? "" : "es");
}

int bench_plan(const struct bench_opts *opts)
{
	const struct bench_plan_opts *o = &opts->plan;
	int suite = bench_suite_of(o->suite);
	const struct dp_suite *s = suite > 0 ? dp_suite((unsigned int)suite) : NULL;
	struct bench_plan_in in = {.calls = o->calls, .payload = bench_plan_payload(o->codec, o->ptime_ms),
				   .ptime_ms = o->ptime_ms, .both_legs = o->both_legs, .rtcp = o->rtcp, .hz = opts->tsc_hz,
				   .port_gbit = o->port_gbit};
	const char *name = s != NULL ? s->name : "RTP", *other = o->both_legs ? name : "RTP";
	json_t *fresh = NULL;
	struct bench_plan p;

	if (o->calls == 0 || o->calls > DP_LEG_MAX / 2 || suite < 0 || in.payload == 0 || in.payload > 1400 ||
	    o->ptime_ms < 10 || o->ptime_ms > 60) {
		fprintf(stderr, "ravelin-bench plan: --calls 1 to %d, --codec g711, g722, g726-32, g729, g723.1, ilbc-20, "
				"ilbc-30 or l16-16k, --ptime 10 to 60 in whole frames of it, --suite RTP or as in a=crypto\n", DP_LEG_MAX / 2);
		return 2;
	}
	if (s != NULL) {
		in.tag = s->rtp_tag;
		in.rtcp_tag = 4u + s->rtcp_tag;
	}
	if (bench_baseline() == NULL && (fresh = measured(opts, (unsigned int)suite, in.payload, bucket(o->calls))) == NULL)
		return 1;
	if (fresh == NULL)
		in.hz = env_hz(bench_baseline(), opts->tsc_hz);
	curve_of(fresh != NULL ? fresh : bench_baseline(), other, name, bucket(o->calls), &in.ways[0], &in.leg_bytes);
	curve_of(fresh != NULL ? fresh : bench_baseline(), name, other, bucket(o->calls), &in.ways[1], &in.leg_bytes);
	if (bench_plan_make(&in, &p) < 0) {
		fprintf(stderr, "ravelin-bench plan: no 'media' rows of %s to %s in the baseline\n", other, name);
		json_decref(fresh);
		return 1;
	}
	print(opts, &in, &p, fresh != NULL ? "measured now" : "of the baseline");
	json_decref(fresh);
	return 0;
}
