/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A key delivery from end to end: the controlplane's client (cp_dp_send() and its callback) on libevent, the channel's socket, the main
 * lcore's server and object table, the worker with ESP. All of it on this thread, one after the other, so that a command's
 * ticks are those of every core that works on it; the gateways' part is left out.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_rcu_qsbr.h>

#include "loop_priv.h"

#include "chan.h"
#include "dpclient.h"
#include "gwload.h"
#include "mgcp.h"

#define L     bench_l
#define BATCH 512

static struct {
	struct event_base *base;
	struct dp_chan *chan;
	struct cp_dp *client;
	bool up;
	uint64_t good, bad, refused;
} e;

static int on_hello(void *ctx, uint64_t epoch, struct dp_hello_reply *ret)
{
	(void)ctx;
	return dp_objs_hello(L.objs, epoch, ret);
}

static int on_cmd(void *ctx, const struct dp_msg_hdr *msg, uint32_t *ret_detail)
{
	(void)ctx;
	return dp_objs_msg(L.objs, msg, ret_detail);
}

static void on_bad(void *ctx)
{
	(void)ctx;
	e.bad++;
}

static int to_channel(const struct dp_msg_hdr *msg)
{
	return dp_chan_event(e.chan, msg);
}

static void on_up(void *ctx, bool fresh)
{
	(void)ctx;
	(void)fresh;
	e.up = true;
}

static void on_down(void *ctx)
{
	(void)ctx;
	e.up = false;
}

static void on_done(void *ctx, struct dp_mgcp_done *ev)
{
	bool ok = bench_gw_right(ev);

	(void)ctx;
	e.good += ok;
	e.bad += !ok;
}

static void on_sa(void *ctx, const struct dp_sa_event *ev)
{
	(void)ctx;
	(void)ev;
}

static void on_event(void *ctx, const struct dp_mgcp_event *ev)
{
	(void)ctx;
	(void)ev;
}

static void on_leg(void *ctx, const struct dp_leg_event *ev)
{
	(void)ctx;
	(void)ev;
}

static void on_aged(void *ctx, const struct dp_leg_aged *ev)
{
	(void)ctx;
	(void)ev;
}

static void on_reply(void *ctx, int rc)
{
	(void)ctx;
	e.refused += rc < 0;
}

/* Controlplane, main lcore, worker: each has its turn. Ticks of the three go to 'part'. */
static void turn(double part[3])
{
	uint64_t t0 = bench_tsc(), t1, t2, t3;

	(void)event_base_loop(e.base, EVLOOP_NONBLOCK);
	t1 = bench_tsc();
	(void)dp_chan_poll(e.chan, 0);
	dp_objs_poll(L.objs);
	t2 = bench_tsc();
	for (int i = 0; i < 4; i++)
		(void)dp_worker_round(L.node.worker[0]);
	rte_rcu_qsbr_quiescent(L.node.qs, 0);
	t3 = bench_tsc();
	part[0] += (double)(t1 - t0);
	part[1] += (double)(t2 - t1);
	part[2] += (double)(t3 - t2);
}

/* So many commands there and back. False: something is wrong. */
static bool batch(unsigned int n, double part[3])
{
	static struct bench_gw_got got[BATCH];
	uint64_t good = e.good, t;
	double limit = bench_now() + 10;

	for (unsigned int i = 0; i < n; i++) {
		struct dp_mgcp_cmd c;
		int rc;

		bench_gw_crcx(&c);
		t = bench_tsc();
		rc = cp_dp_send(e.client, DP_MSG_MGCP_CMD, &c, on_reply, NULL);
		part[0] += (double)(bench_tsc() - t);
		if (rc < 0)
			return false;
	}
	while (e.good < good + n && e.bad + e.refused + bench_gw_bad() == 0 && bench_now() < limit) {
		unsigned int k;

		turn(part);
		k = bench_gw_take(got, BATCH);
		bench_gw_answer(got, k);
	}
	return e.good == good + n;
}

static bool up(void)
{
	static const struct cp_dp_ops ops = {.up = on_up, .down = on_down, .leg_aged = on_aged, .leg_event = on_leg, .mgcp_done = on_done,
					     .mgcp_event = on_event, .sa_event = on_sa};
	const struct dp_chan_ops chan_ops = {.hello = on_hello, .cmd = on_cmd, .bad = on_bad};
	const struct dp_chan_lim lim = {.leg_id_cnt = L.node.legs.id_cnt};
	char dir[] = "/tmp/ravelin-bench-XXXXXX", path[64];
	double limit = bench_now() + 5, none[3];

	if (mkdtemp(dir) == NULL)
		return false;
	snprintf(path, sizeof(path), "%s/dataplane.sock", dir);
	e.base = event_base_new();
	if (e.base != NULL && dp_chan_create(path, &lim, &chan_ops, L.node.page_fd, &e.chan) == 0)
		e.client = cp_dp_create(e.base, dir, 1, L.cfg.media.addresses_count, BENCH_BASE, &ops, NULL);
	while (e.client != NULL && !e.up && bench_now() < limit)
		turn(none);
	(void)unlink(path);
	(void)rmdir(dir);
	return e.up;
}

double bench_end_run(const struct bench_opts *opts, double seconds, double ret_part[3])
{
	double end, n = 0, part[3] = {0};
	bool ok;

	(void)opts;
	memset(&e, 0, sizeof(e));
	bench_loop_hold();
	L.on_event = to_channel;
	ok = up() && batch(BATCH, part);
	memset(part, 0, sizeof(part));
	for (end = bench_now() + seconds; ok && (n == 0 || bench_now() < end); n += BATCH)
		ok = batch(BATCH, part);
	L.on_event = NULL;
	if (!ok)
		fprintf(stderr, "ravelin-bench: mgcp: end to end: %llu results, %llu wrong, %llu refused, %llu at the gateways not what it should be\n",
			(unsigned long long)e.good, (unsigned long long)e.bad, (unsigned long long)e.refused,
			(unsigned long long)bench_gw_bad());
	cp_dp_destroy(e.client);
	dp_chan_destroy(e.chan);
	if (e.base != NULL)
		event_base_free(e.base);
	bench_mode_all(BENCH_ROUNDS);
	for (unsigned int i = 0; i < 3; i++)
		ret_part[i] = part[i] / n;
	return ok ? (part[0] + part[1] + part[2]) / n : 0;
}
