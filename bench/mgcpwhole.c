/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelin-bench mgcp's rows of the whole worker among 4,000 gateways, and of the way from the controlplane's command to its event. */
#include "loop_priv.h" /* first: see peer.h */

#include <stdio.h>

#include "counters.h"
#include "gwload.h"
#include "mgcp.h"

#define GATEWAYS 4000
#define BATCHES  64 /* of BENCH_GW_BATCH commands, in a run */

static struct {
	unsigned int good, bad;
} whole;

static int on_event(const struct dp_msg_hdr *msg)
{
	bool right;

	if (msg->type != DP_MSG_MGCP_DONE)
		return 0;
	right = bench_gw_right((const struct dp_mgcp_done *)(const void *)msg);
	whole.good += right;
	whole.bad += !right;
	return 0;
}

/* One run: medians over its batches of the ticks of a command and of an answer. False: one was wrong or is missing. */
static bool run_worker(unsigned int batches, double *ret_cmd, double *ret_answer)
{
	static struct bench_gw_got got[BENCH_GW_BATCH];
	double cmd[BENCH_RUNS_MAX], answer[BENCH_RUNS_MAX];

	bench_l.on_event = on_event;
	bench_loop_neighbours();
	bench_loop_hold();
	for (unsigned int b = 0; b < batches; b++) {
		unsigned int n = 0;

		whole.good = whole.bad = 0;
		bench_ring_free(bench_l.tx[0][0]); /* repeats that crossed their answers */
		for (unsigned int i = 0; i < BENCH_GW_BATCH; i++) {
			struct dp_mgcp_cmd c;

			bench_gw_crcx(&c);
			if (bench_message(&c, DP_MSG_MGCP_CMD, sizeof(c)) < 0)
				return false;
		}
		cmd[b] = bench_gw_phase(true, BENCH_GW_BATCH);
		while (n < BENCH_GW_BATCH) {
			unsigned int k = bench_gw_take(got + n, BENCH_GW_BATCH - n);

			if (k == 0)
				break;
			n += k;
		}
		bench_gw_answer(got, n);
		answer[b] = n > 0 ? bench_gw_phase(false, n) : 0;
		for (unsigned int i = 0; i < BENCH_GW_BATCH; i++)
			dp_objs_poll(bench_l.objs);
		if (whole.good != BENCH_GW_BATCH || whole.bad != 0 || bench_gw_bad() != 0) {
			fprintf(stderr, "ravelin-bench: mgcp: of %d commands %u reached their gateways, %u answers came, %u not what it should be\n",
				BENCH_GW_BATCH, n, whole.good, whole.bad);
			return false;
		}
	}
	*ret_cmd = bench_quantile(cmd, batches, 0.5);
	*ret_answer = bench_quantile(answer, batches, 0.5);
	bench_l.on_event = NULL;
	bench_mode_all(BENCH_ROUNDS);
	return true;
}

static json_t *whole_case(bool end_to_end)
{
	json_t *k = json_pack("{s:s, s:s, s:i}", "op", "crcx", "esp", "AES_GCM_128", "gateways", GATEWAYS);

	if (end_to_end)
		json_object_set_new(k, "end_to_end", json_integer(1));
	return k;
}

static int worker_rows(const struct bench_opts *opts, unsigned int runs, double seconds)
{
	static const char *const peers[] = {"kernel-agent", "kernel-agent-openssl"};
	double cmd[BENCH_RUNS_MAX], answer[BENCH_RUNS_MAX], value[BENCH_RUNS_MAX], tsc[BENCH_RUNS_MAX];
	double peer[2][BENCH_RUNS_MAX], peer_tsc[2][BENCH_RUNS_MAX];
	struct bench_agent *agent[2] = {bench_agent_create(GATEWAYS, false), bench_agent_create(GATEWAYS, true)};
	unsigned int batches = opts->quick ? 8 : BATCHES;
	int rc = agent[0] == NULL || agent[1] == NULL;

	for (unsigned int r = 0; r < runs && rc == 0; r++) {
		if (!run_worker(batches, &cmd[r], &answer[r]))
			rc = 1;
		tsc[r] = cmd[r] + answer[r];
		value[r] = opts->tsc_hz / tsc[r];
		for (unsigned int p = 0; p < 2 && rc == 0; p++) {
			peer_tsc[p][r] = bench_agent_run(agent[p], seconds);
			peer[p][r] = opts->tsc_hz / peer_tsc[p][r];
			rc = peer_tsc[p][r] == 0;
		}
	}
	for (unsigned int p = 0; p < 2 && rc == 0; p++)
		bench_row(opts, &(struct bench_row){.bench = "mgcp", .kase = whole_case(false), .unit = "command/s/core", .peer = peers[p],
						    .value = value, .peer_value = peer[p], .runs = runs, .peer_runs = runs,
						    .cycles = bench_quantile(tsc, runs, 0.5),
						    .more = json_pack("{s:f, s:b, s:{s:f, s:f}}", "peer_cycles", bench_quantile(peer_tsc[p], runs, 0.5),
								      "hugepages", bench_l.huge, "stage_cycles", "command", bench_quantile(cmd, runs, 0.5), "answer",
								      bench_quantile(answer, runs, 0.5))});
	bench_agent_destroy(agent[0]);
	bench_agent_destroy(agent[1]);
	return rc;
}

static int end_rows(const struct bench_opts *opts, unsigned int runs, double seconds)
{
	static const char *const names[3] = {"controlplane", "main", "worker"};
	double value[BENCH_RUNS_MAX], tsc[BENCH_RUNS_MAX], part[3][BENCH_RUNS_MAX], p[3];
	json_t *stages = json_object();

	for (unsigned int r = 0; r < runs; r++) {
		bench_loop_neighbours();
		tsc[r] = bench_end_run(opts, seconds, p);
		if (tsc[r] == 0) {
			json_decref(stages);
			return 1;
		}
		value[r] = opts->tsc_hz / tsc[r];
		for (unsigned int i = 0; i < 3; i++)
			part[i][r] = p[i];
	}
	for (unsigned int i = 0; i < 3; i++)
		json_object_set_new(stages, names[i], json_real(bench_quantile(part[i], runs, 0.5)));
	bench_row(opts, &(struct bench_row){.bench = "mgcp", .kase = whole_case(true), .unit = "command/s/core", .value = value, .runs = runs,
					    .cycles = bench_quantile(tsc, runs, 0.5), .more = json_pack("{s:o, s:b}", "stage_cycles", stages, "hugepages", bench_l.huge)});
	return 0;
}

static int all_rows(const struct bench_opts *opts)
{
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 3 : 7;
	double seconds = opts->quick ? 0.1 : 0.5;
	int rc = bench_gw_up(opts, GATEWAYS) < 0;

	if (rc == 0 && bench_wanted_free(opts, whole_case(false)))
		rc = worker_rows(opts, runs, seconds);
	if (rc == 0 && bench_wanted_free(opts, whole_case(true)))
		rc = end_rows(opts, runs, seconds);
	return rc | bench_gw_down();
}

int bench_mgcp_whole(const struct bench_opts *opts)
{
	if (!bench_wanted_free(opts, whole_case(false)) && !bench_wanted_free(opts, whole_case(true)))
		return 0;
	return bench_isolated(opts, all_rows);
}
