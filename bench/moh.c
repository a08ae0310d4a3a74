/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ravelin-bench moh: music on hold. So many legs hear one source, each under a key of its own; a worker goes through its
 * rounds of music (dataplane/music.c) with a clock that the bench moves on by milliseconds: what is due is found, made of the source,
 * protected, given headers, sent. Timed is that, per packet; beside it libsrtp2's protecting alone of packets that are
 * there already, one session each, in turn within each run. Every packet that left is counted, and its length looked at.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_mbuf.h>
#include <rte_ring.h>
#include <srtp2/srtp.h>

#include "loop_priv.h"

#include "music.h"

#define CM        DP_AES_CM_128_HMAC_SHA1_80
#define PAYLOAD   160
#define LIB_MAX   1000 /* sessions: making them takes time that grows with the square of their number */
#define SAMPLES   4096
#define LIB_BURST 64
#define FRAME     (14 + 28 + 12 + PAYLOAD + 10) /* Ethernet to tag */

static struct {
	uint32_t legs, lib;
	srtp_t *session;
	uint8_t (*pkt)[256];
	uint16_t seq;
	uint64_t bad;
	double sample[SAMPLES]; /* ticks per packet, of one burst */
	unsigned int samples;
} moh;

static void sample(uint64_t ticks, unsigned int n)
{
	if (moh.samples < SAMPLES)
		moh.sample[moh.samples++] = (double)ticks / n;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* The middle one: a burst in which the core was taken away does not make the figure. */
static double middle(void)
{
	double v;

	qsort(moh.sample, moh.samples, sizeof(moh.sample[0]), by_value);
	v = moh.sample[moh.samples / 2];
	moh.samples = 0;
	return v;
}

/* --- ours --- */

static void drain(unsigned int want)
{
	struct rte_mbuf *m[64];
	unsigned int n;

	for (int p = 0; p < 2; p++)
		while ((n = rte_ring_sc_dequeue_burst(bench_l.tx[p][0], (void **)m, 64, NULL)) > 0) {
			for (unsigned int i = 0; i < n; i++)
				moh.bad += m[i]->data_len != FRAME;
			rte_pktmbuf_free_bulk(m, n);
			want -= n;
		}
	moh.bad += want;
}

static double ours(uint64_t ticks)
{
	struct dp_worker *w = bench_l.node.worker[0];
	uint64_t spent = 0, t;

	/* Whole packet times: every leg as often as any other. */
	while (spent < ticks || moh.samples == 0) {
		for (unsigned int ms = 0; ms < 20; ms++) {
			unsigned int n;

			w->now_us += 1000;
			do {
				t = bench_tsc();
				n = dp_music_round(w);
				for (uint16_t p = 0; p < 2; p++)
					dp_worker_flush(w, p);
				if (n == 0)
					break;
				t = bench_tsc() - t;
				spent += t;
				sample(t, n);
				drain(n);
			} while (n > 0);
		}
	}
	return middle();
}

/* --- libsrtp2 --- */

static double lib(uint64_t ticks)
{
	uint64_t spent = 0, t;

	while (spent < ticks || moh.samples == 0) {
		moh.seq++;
		for (uint32_t i = 0; i < moh.lib; i++)
			dp_put16(moh.pkt[i] + 2, moh.seq);
		for (uint32_t at = 0; at + LIB_BURST <= moh.lib; at += LIB_BURST) {
			t = bench_tsc();
			for (uint32_t i = at; i < at + LIB_BURST; i++) {
				int len = 12 + PAYLOAD;

				moh.bad += srtp_protect(moh.session[i], moh.pkt[i], &len) != srtp_err_status_ok;
			}
			t = bench_tsc() - t;
			spent += t;
			sample(t, LIB_BURST);
		}
	}
	return middle();
}

static bool lib_up(void)
{
	uint8_t key[30];
	srtp_policy_t pol = {.window_size = 128, .key = key, .ssrc = {.type = ssrc_any_outbound}};

	moh.lib = moh.legs < LIB_MAX ? moh.legs : LIB_MAX;
	moh.session = bench_array(moh.lib, sizeof(*moh.session));
	moh.pkt = bench_array(moh.lib, sizeof(*moh.pkt));
	srtp_crypto_policy_set_rtp_default(&pol.rtp);
	srtp_crypto_policy_set_rtcp_default(&pol.rtcp);
	for (uint32_t i = 0; i < moh.lib; i++) {
		memset(key, 0x5a, sizeof(key));
		memcpy(key, &i, sizeof(i));
		if (srtp_create(&moh.session[i], &pol) != srtp_err_status_ok)
			return false;
		moh.pkt[i][0] = 0x80;
		memcpy(moh.pkt[i] + 8, &i, sizeof(i));
	}
	return true;
}

static void lib_down(void)
{
	for (uint32_t i = 0; i < moh.lib; i++)
		if (moh.session[i] != NULL)
			srtp_dealloc(moh.session[i]);
	free(moh.session);
	free(moh.pkt);
}

/* --- cases --- */

static double measure(unsigned int v, void *ctx, uint64_t ticks)
{
	(void)ctx;
	return v == 0 ? ours(ticks) : lib(ticks);
}

/* Two seconds of something, in a directory of its own. False: no file. */
static bool source(char *dir)
{
	struct dp_music_set m = {.name = "bench", .file = {"bench.pcm"}};
	char path[80];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%s/bench.pcm", dir);
	f = fopen(path, "wbe");
	for (unsigned int i = 0; f != NULL && i < 2 * 16000; i++)
		putc((int)(i * 7 & 0xff), f);
	ok = f != NULL && fclose(f) == 0;
	bench_l.cfg.moh.directory = dir;
	ok = ok && bench_message(&m, DP_MSG_MUSIC_SET, sizeof(m)) == 0;
	unlink(path);
	return ok;
}

static int one_case(const struct bench_opts *opts, uint32_t legs)
{
	static const char *const names[] = {"ours", "libsrtp2"};
	struct bench_flow flow = {.from = CM, .to = CM, .ip_in = 4, .ip_out = 4, .payload = PAYLOAD, .legs = 2 * legs};
	json_t *kase = json_pack("{s:s, s:i, s:i}", "suite", "AES_CM_128_HMAC_SHA1_80", "payload", PAYLOAD, "legs", (int)legs);
	struct dp_leg_music m = {.codec = DP_MUSIC_PCMU, .ptime_ms = 20, .name = "bench"};
	int rc = 1;

	if (!bench_wanted_free(opts, json_incref(kase))) {
		json_decref(kase);
		return 0;
	}
	moh.legs = legs;
	moh.bad = 0;
	moh.seq = 0;
	if (bench_loop_flow(opts, &flow) == 0 && lib_up()) {
		for (uint32_t s = 0; s < legs; s++) {
			m.leg_id = bench_leg_of(s, 0);
			moh.bad += bench_message(&m, DP_MSG_LEG_MUSIC, sizeof(m)) != 0;
		}
		bench_loop_settle();
		bench_loop_hold();
		drain(0);
		moh.bad = 0; /* what went out by the real clock is not of the contest */
		bench_contest_run(opts, &(struct bench_contest){.bench = "moh", .unit = "packet/s/core", .n = 2, .names = names, .measure = measure},
				  json_incref(kase));
		rc = moh.bad != 0;
		if (rc != 0)
			fprintf(stderr, "ravelin-bench: moh: packets were lost or changed\n");
	}
	lib_down();
	json_decref(kase);
	return rc;
}

int bench_moh(const struct bench_opts *opts)
{
	static const uint32_t legs[] = {1000, 10000, BENCH_SESSIONS};
	char dir[] = "/tmp/ravelin-bench-moh.XXXXXX";
	cpu_set_t had;
	int rc = 1;

	(void)sched_getaffinity(0, sizeof(had), &had);
	if (mkdtemp(dir) == NULL)
		return 1;
	if (srtp_init() == srtp_err_status_ok && bench_loop_up(opts, 1, false) == 0 && source(dir)) {
		rc = 0;
		for (unsigned int i = 0; i < 3; i++)
			rc |= one_case(opts, legs[i]);
	}
	bench_l.cfg.moh.directory = NULL;
	rc |= bench_loop_down();
	rmdir(dir);
	(void)sched_setaffinity(0, sizeof(had), &had);
	return rc;
}
