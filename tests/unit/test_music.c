/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Music on hold by a worker (dataplane/music.c): packets at their millisecond by a clock of the test's, numbers and times
 * that go on, keys and indices that come once, sources that change, legs that move. libsrtp2 plays the parties.
 */
#include <CUnit/CUnit.h>
#include <sched.h>
#include <srtp2/srtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dp_harness.h"
#include "objs_impl.h"
#include "srtp/srtp.h"

#define CM DP_AES_CM_128_HMAC_SHA1_80

static char dir[] = "/tmp/ravelin-music.XXXXXX";
static uint64_t clock_us; /* of the workers, while music is tested */

static void file(const char *name, size_t len, uint8_t add)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	for (size_t i = 0; i < len; i++)
		putc((uint8_t)(i * 7 + i / 251 + add), f);
	fclose(f);
}

static int setup(void)
{
	if (mkdtemp(dir) == NULL)
		return 1;
	cfg.moh.directory = dir;
	return harness_up() != 0 || srtp_init() != srtp_err_status_ok;
}

static int teardown(void)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	return harness_down() != 0 || system(cmd) != 0;
}

static int load(const char *name, const char *pcm, const char *g729)
{
	struct dp_music_set m = {.name = ""};

	snprintf(m.name, sizeof(m.name), "%s", name);
	snprintf(m.file[DP_MUSIC_F_PCM], DP_MUSIC_FILE_MAX, "%s", pcm);
	snprintf(m.file[DP_MUSIC_F_G729], DP_MUSIC_FILE_MAX, "%s", g729);
	return msg(&m, DP_MSG_MUSIC_SET, sizeof(m));
}

static int play(uint32_t id, const char *name, uint8_t codec, uint8_t ptime)
{
	struct dp_leg_music m = {.leg_id = id, .codec = codec, .pt = codec == DP_MUSIC_PCMA ? 8 : codec == DP_MUSIC_G729 ? 18 : 0,
				 .ptime_ms = ptime};

	snprintf(m.name, sizeof(m.name), "%s", name);
	return msg(&m, DP_MSG_LEG_MUSIC, sizeof(m));
}

/* Commands, without a round: that would look at the real clock. */
static void commands(void)
{
	for (int i = 0; i < WORKERS; i++) {
		struct dp_worker *w = node.worker[i];
		void *cmd;

		w->now_us = clock_us;
		while (rte_ring_dequeue(w->cmd, &cmd) == 0) {
			dp_worker_cmd(w, cmd);
			(void)rte_ring_enqueue(w->done, cmd);
		}
	}
	for (uint16_t i = 0; i < WORKERS; i++)
		dp_objs_drain_done(objs, i);
}

/* The test's clock goes on by so many milliseconds, and every worker has a turn of music. Returns packets made. */
static unsigned int step(unsigned int ms)
{
	unsigned int n = 0;

	clock_us += ms * 1000;
	for (int i = 0; i < WORKERS; i++) {
		node.worker[i]->now_us = clock_us;
		node.worker[i]->nh = node.nh;
		n += dp_music_round(node.worker[i]);
		for (uint16_t p = 0; p < PORTS; p++)
			dp_worker_flush(node.worker[i], p);
	}
	return n;
}

struct heard {
	uint8_t rtp[512];
	int len;
	uint16_t seq, dport;
	uint32_t ts, ssrc;
	bool marker;
	uint8_t pt;
};

static bool hear(struct heard *h)
{
	struct dp_frame f;
	struct out o;

	if (!next_out(&o))
		return false;
	CU_ASSERT_EQUAL_FATAL(dp_parse_frame(o.data, o.len, &f), DP_OK);
	h->len = f.payload_len;
	h->dport = f.dst_port;
	memcpy(h->rtp, o.data + f.payload_off, f.payload_len);
	h->seq = dp_get16(h->rtp + 2);
	h->ts = dp_get32(h->rtp + 4);
	h->ssrc = dp_get32(h->rtp + 8);
	h->marker = (h->rtp[1] & 0x80) != 0;
	h->pt = h->rtp[1] & 0x7f;
	CU_ASSERT_EQUAL(h->rtp[0], 0x80);
	return true;
}

/* Is that what the source has at this time? */
static bool is_place(const char *name, uint8_t codec, uint64_t ms, uint32_t n, const uint8_t *payload)
{
	uint8_t want[480];

	for (int i = 0; i < DP_MUSIC_MAX; i++) {
		const struct dp_tune *t = node.music.tune[i];

		if (t == NULL || strcmp(name, objs->music[i].name) != 0)
			continue;
		dp_tune_copy(t, codec, ms, n, want);
		return memcmp(want, payload, n * dp_tune_rate(codec)) == 0;
	}
	return false;
}

static uint64_t now_ms(void)
{
	return clock_us / 1000;
}

/* The same after steps of 20 ms: what was due may have been of the packet time before. */
static bool is_about(const uint8_t *payload)
{
	uint64_t at = clock_us / 1000 - clock_us / 1000 % 20;

	return is_place("a", DP_MUSIC_PCMU, at, 20, payload) || is_place("a", DP_MUSIC_PCMU, at - 20, 20, payload);
}

/* The workers' clock is the test's from here on; it has gone further than the real one ever will. */
static void begin(void)
{
	static bool known;

	if (!known) {
		uint32_t id = leg(0, BASE, UINT32_MAX, "10.0.0.2", 4000, 0, 0, DP_LATCH_NONE, 0);

		rounds(2);
		host_speaks(0, "10.0.0.2");
		CU_ASSERT_EQUAL(del(id), 0);
		file("a.pcm", 2 * 8 * 1010, 0);
		file("b.pcm", 2 * 8 * 730, 77);
		file("c.g729", 500, 3);
		known = true;
	}
	rounds(2);
	clock_us += 1000000000000;
	clock_us -= clock_us % 1000;
	for (int i = 0; i < WORKERS; i++)
		node.worker[i]->now_us = clock_us;
	drain_tx();
	CU_ASSERT_EQUAL(load("a", "a.pcm", ""), 0);
}

/* --- tests --- */

static void test_sources(void)
{
	char name[8];
	uint32_t id;

	begin();
	CU_ASSERT_EQUAL(load("x", "none.wav", ""), -ENOENT);
	file("short.pcm", 1598, 0);
	CU_ASSERT_EQUAL(load("x", "short.pcm", ""), -EINVAL);
	CU_ASSERT_EQUAL(load("x", "a.pcm", "none.g729"), -ENOENT);
	CU_ASSERT_EQUAL(load("x", ".", ""), -EINVAL); /* a directory; the channel refuses the name before */
	CU_ASSERT_EQUAL(load("x", "", ""), -ENOENT);
	id = leg(0, BASE + 2, UINT32_MAX, "10.0.0.2", 4002, 0, 0, DP_LATCH_NONE, 0);
	CU_ASSERT_EQUAL(play(id, "x", DP_MUSIC_PCMU, 20), -ENOENT);
	CU_ASSERT_EQUAL(play(id, "a", DP_MUSIC_G729, 20), -ENOTSUP);
	CU_ASSERT_EQUAL(play(id + 1, "a", DP_MUSIC_PCMU, 20), -ENOENT);
	for (int i = 0; i < DP_MUSIC_MAX - 1; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		CU_ASSERT_EQUAL(load(name, "b.pcm", ""), 0);
	}
	CU_ASSERT_EQUAL(load("x", "b.pcm", ""), -ENOSPC);
	CU_ASSERT_EQUAL(load("s3", "a.pcm", "c.g729"), 0); /* loaded anew it needs no place */
	CU_ASSERT_EQUAL(load("a", "none.pcm", ""), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(node.music.tune[0]); /* what was there is there */
	for (int i = 0; i < DP_MUSIC_MAX - 1; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		CU_ASSERT_EQUAL(load(name, "", ""), 0);
	}
	/* a controlplane that does not know of a source any more sweeps it away */
	struct dp_hello_reply r;
	struct dp_sweep s = {.epoch = 78};

	CU_ASSERT_EQUAL(load("b", "b.pcm", ""), 0);
	CU_ASSERT_EQUAL(dp_objs_hello(objs, 78, &r), 0);
	CU_ASSERT_EQUAL(load("a", "a.pcm", ""), 0);
	CU_ASSERT_EQUAL(msg(&s, DP_MSG_SWEEP, sizeof(s)), 0);
	CU_ASSERT_PTR_NOT_NULL(node.music.tune[0]);
	CU_ASSERT_PTR_NULL(node.music.tune[1]);
	commands();
}

/* Exact times, places, numbers; marker at the start and nowhere else. */
static void test_times(void)
{
	struct heard h, last = {.len = 0};
	unsigned int n = 0;
	uint32_t id;

	begin();
	id = leg(0, BASE + 2, UINT32_MAX, "10.0.0.2", 4002, 0, 0, DP_LATCH_NONE, 0);
	commands();
	CU_ASSERT_EQUAL(step(50), 0);
	CU_ASSERT_EQUAL(play(id, "a", DP_MUSIC_PCMA, 20), 0);
	commands();
	for (int ms = 0; ms < 2500; ms++) {
		(void)step(ms > 0);
		if (!hear(&h))
			continue;
		CU_ASSERT_FALSE(hear(&h));
		CU_ASSERT_EQUAL(h.marker, n == 0);
		CU_ASSERT_EQUAL(h.pt, 8);
		CU_ASSERT_EQUAL(h.len, 172);
		CU_ASSERT_EQUAL(h.dport, 4002);
		CU_ASSERT_TRUE(is_place("a", DP_MUSIC_PCMA, now_ms() - now_ms() % 20, 20, h.rtp + 12));
		if (n == 0) {
			CU_ASSERT_TRUE(ms < 20);
		} else {
			CU_ASSERT_EQUAL(h.seq, (uint16_t)(last.seq + 1));
			CU_ASSERT_EQUAL(h.ts, last.ts + 160);
			CU_ASSERT_EQUAL(h.ssrc, last.ssrc);
		}
		last = h;
		n++;
	}
	CU_ASSERT_EQUAL(n, 125);
	/* The same again changes nothing; another packet time does. */
	CU_ASSERT_EQUAL(play(id, "a", DP_MUSIC_PCMA, 20), 0);
	commands();
	for (n = 0; n < 20; n++)
		(void)step(1);
	CU_ASSERT_TRUE_FATAL(hear(&h));
	CU_ASSERT_EQUAL(h.seq, (uint16_t)(last.seq + 1));
	CU_ASSERT_FALSE(h.marker);
	last = h;
	CU_ASSERT_EQUAL(play(id, "a", DP_MUSIC_PCMU, 30), 0);
	commands();
	for (n = 0; n < 30; n++)
		(void)step(1);
	CU_ASSERT_TRUE_FATAL(hear(&h));
	CU_ASSERT_EQUAL(h.len, 12 + 240);
	CU_ASSERT_EQUAL(h.seq, (uint16_t)(last.seq + 1));
	CU_ASSERT_EQUAL(h.ssrc, last.ssrc);
	CU_ASSERT_FALSE(hear(&h));
	/* Silence when it ends; another stream when it begins again. */
	CU_ASSERT_EQUAL(play(id, "", 0, 0), 0);
	commands();
	CU_ASSERT_EQUAL(step(100), 0);
	CU_ASSERT_EQUAL(play(id, "a", DP_MUSIC_PCMU, 20), 0);
	commands();
	for (n = 0; n < 20; n++)
		(void)step(1);
	CU_ASSERT_TRUE_FATAL(hear(&h));
	CU_ASSERT_TRUE(h.marker);
	CU_ASSERT_NOT_EQUAL(h.ssrc, last.ssrc);
	CU_ASSERT_EQUAL(del(id), 0);
	commands();
	CU_ASSERT_EQUAL(step(100), 0);
	CU_ASSERT_FALSE(hear(&h));
	assert_accounts();
}

/* 16 and 32 bits of RTP come round. */
static void test_wraps(void)
{
	uint32_t id, ts = 0;
	struct heard h;

	begin();
	id = leg(0, BASE + 2, UINT32_MAX, "10.0.0.2", 4002, 0, 0, DP_LATCH_NONE, 0);
	CU_ASSERT_EQUAL(play(id, "a", DP_MUSIC_PCMU, 20), 0);
	commands();
	node.music.mem[node.music.of[node.legs.slot[id]] - 1].seq = 65534;
	node.music.mem[node.music.of[node.legs.slot[id]] - 1].ts0 = (uint32_t)(0u - 160 - now_ms() * 8);
	for (int k = 0; k < 4; k++) {
		for (int i = 0; i < 20; i++)
			(void)step(1);
		CU_ASSERT_TRUE_FATAL(hear(&h));
		CU_ASSERT_EQUAL(h.seq, (uint16_t)(65534 + k));
		if (k > 0)
			CU_ASSERT_EQUAL(h.ts, (uint32_t)(ts + 160));
		ts = h.ts;
	}
	CU_ASSERT_TRUE(ts < 1000);
	CU_ASSERT_EQUAL(del(id), 0);
	commands();
}

/* Many legs: each has its packet in each packet time, no millisecond has them all, and all hear the same place. */
static void test_many(void)
{
	unsigned int got[24] = {0}, most = 0;
	uint32_t id[24];
	struct heard h;

	begin();
	for (int i = 0; i < 24; i++) {
		id[i] = leg(0, (uint16_t)(BASE + 512 * (i % 8) + 2 * i), UINT32_MAX, "10.0.0.2", (uint16_t)(5000 + i), 0, 0,
			    DP_LATCH_NONE, 0);
		CU_ASSERT_EQUAL(play(id[i], "a", DP_MUSIC_PCMU, 20), 0);
	}
	commands();
	clock_us += 20000 - clock_us % 20000;
	(void)step(0);
	drain_tx();
	for (int ms = 0; ms < 200; ms++) {
		unsigned int n = step(1);

		most = n > most ? n : most;
		while (hear(&h)) {
			CU_ASSERT_FATAL(h.dport >= 5000 && h.dport < 5024);
			got[h.dport - 5000]++;
			CU_ASSERT_TRUE(is_place("a", DP_MUSIC_PCMU, now_ms() - now_ms() % 20, 20, h.rtp + 12));
		}
	}
	for (int i = 0; i < 24; i++) {
		CU_ASSERT_EQUAL(got[i], 10);
		CU_ASSERT_EQUAL(del(id[i]), 0);
	}
	CU_ASSERT_TRUE(most <= 3);
	commands();
	/* records come back: more holds than there are records */
	id[0] = leg(0, BASE + 2, UINT32_MAX, "10.0.0.2", 4002, 0, 0, DP_LATCH_NONE, 0);
	for (int i = 0; i < 500; i++) {
		CU_ASSERT_EQUAL(play(id[0], "a", DP_MUSIC_PCMU, 20), 0);
		CU_ASSERT_EQUAL(play(id[0], i % 2 == 0 ? "" : "a", 0, i % 2 == 0 ? 0 : 20), 0);
		commands();
	}
	CU_ASSERT_EQUAL(del(id[0]), 0);
	commands();
	assert_accounts();
}

/* A worker that was kept from its work sends a little late, and leaves out the rest. */
static void test_late(void)
{
	uint64_t late = node.worker[0]->cnt->music_late + node.worker[1]->cnt->music_late;
	struct heard h, last = {.len = 0};
	uint32_t id;
	int n = 0;

	begin();
	id = leg(0, BASE + 2, UINT32_MAX, "10.0.0.2", 4002, 0, 0, DP_LATCH_NONE, 0);
	CU_ASSERT_EQUAL(play(id, "a", DP_MUSIC_PCMU, 20), 0);
	commands();
	for (int i = 0; i < 20; i++)
		(void)step(1);
	CU_ASSERT_TRUE_FATAL(hear(&last));
	(void)step(40);
	(void)step(0);
	while (hear(&h)) {
		CU_ASSERT_EQUAL(h.ts, last.ts + 160);
		last = h;
		n++;
	}
	CU_ASSERT_TRUE(n == 2 || n == 3);
	(void)step(10000);
	(void)step(0);
	(void)step(0);
	for (n = 0; hear(&h); n++) {
		CU_ASSERT_EQUAL(h.seq, (uint16_t)(last.seq + 1)); /* none was lost on the way */
		CU_ASSERT_EQUAL((h.ts - last.ts) % 160, 0);
		last.seq = h.seq;
	}
	CU_ASSERT_TRUE(n <= DP_MUSIC_LATE);
	CU_ASSERT_TRUE(node.worker[0]->cnt->music_late + node.worker[1]->cnt->music_late - late >= 490);
	CU_ASSERT_EQUAL(del(id), 0);
	commands();
}

/* Stalls of about the wheel's turn, at every phase: nothing comes before its time, and what was left out is counted as what it is. */
static void test_stalls(void)
{
	uint64_t late = node.worker[0]->cnt->music_late + node.worker[1]->cnt->music_late;
	struct heard h, last = {.len = 0};
	unsigned int n = 0, early = 0;
	uint64_t began, ms;
	uint32_t id;

	begin();
	id = leg(0, BASE + 2, UINT32_MAX, "10.0.0.2", 4002, 0, 0, DP_LATCH_NONE, 0);
	CU_ASSERT_EQUAL(play(id, "a", DP_MUSIC_PCMU, 20), 0);
	commands();
	for (int i = 0; i < 20; i++)
		(void)step(1);
	CU_ASSERT_TRUE_FATAL(hear(&last));
	began = now_ms();
	for (unsigned int k = 0; k < 400; k++) {
		for (unsigned int i = 0; i < 4 + k % 3; i++)
			(void)step(i == 0 ? 90 + k : 1);
		while (hear(&h)) {
			CU_ASSERT_EQUAL(h.seq, (uint16_t)(last.seq + 1));
			early += (int32_t)(h.ts - last.ts) <= 0;
			last = h;
			n++;
		}
		ms = node.music.mem[node.music.of[node.legs.slot[id]] - 1].beat.due;
		early += ms <= now_ms() - 20 || ms > now_ms() + 20;
	}
	CU_ASSERT_EQUAL(early, 0);
	late = node.worker[0]->cnt->music_late + node.worker[1]->cnt->music_late - late;
	ms = now_ms() - began;
	CU_ASSERT_TRUE(n + late <= ms / 20 + 1 && n + late + 1 >= ms / 20);
	CU_ASSERT_EQUAL(del(id), 0);
	commands();
}

/* --- keys --- */

static srtp_t listener(uint8_t fill)
{
	static uint8_t k[30];
	srtp_policy_t pol = {0};
	srtp_t s = NULL;

	memset(k, fill, 16);
	memset(k + 16, fill + 1, 14);
	srtp_crypto_policy_set_rtp_default(&pol.rtp);
	srtp_crypto_policy_set_rtcp_default(&pol.rtcp);
	pol.ssrc.type = ssrc_any_inbound;
	pol.key = k;
	pol.window_size = 128;
	CU_ASSERT_EQUAL_FATAL(srtp_create(&s, &pol), srtp_err_status_ok);
	return s;
}

static bool hear_srtp(srtp_t rx, struct heard *h)
{
	if (!hear(h))
		return false;
	CU_ASSERT_EQUAL(h->len, 172 + 10);
	CU_ASSERT_EQUAL(srtp_unprotect(rx, h->rtp, &h->len), srtp_err_status_ok);
	CU_ASSERT_EQUAL(h->len, 172);
	CU_ASSERT_TRUE(is_about(h->rtp + 12));
	return true;
}

/* A key that may have been used up to 'floor'. */
static void send_key(uint32_t id, uint8_t fill, uint64_t floor)
{
	struct dp_leg_key m = {.leg_id = id, .suite = CM, .dir = DP_DIR_SEND, .index_floor = floor};

	memset(m.key, fill, 16);
	memset(m.salt, fill + 1, 14);
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_LEG_KEY, sizeof(m)), 0);
	commands();
}

static void on(uint32_t id, bool on)
{
	CU_ASSERT_EQUAL(on ? play(id, "a", DP_MUSIC_PCMU, 20) : play(id, "", 0, 0), 0);
	commands();
}

/* Holds under one key go on where the one before ended, over a turn of the ROC; nothing is sent before there is a key. */
static void test_srtp(void)
{
	srtp_t rx = listener(0x31), rx2 = listener(0x41);
	struct heard h;
	uint32_t id, ssrc = 0;
	uint16_t seq = 0;
	int n = 0;

	begin();
	id = leg(0, BASE + 2, UINT32_MAX, "10.0.0.2", 4002, CM, CM, DP_LATCH_AUTH, 0);
	on(id, true);
	for (int i = 0; i < 40; i++)
		(void)step(1);
	CU_ASSERT_FALSE(hear(&h)); /* no key, no music in clear */
	send_key(id, 0x31, 65000); /* near the turn */
	for (int i = 0; n < 1500 && i < 2000; i++) {
		if (i % 100 == 99) { /* a resume, and another hold */
			on(id, false);
			(void)step(60);
			CU_ASSERT_FALSE(hear(&h));
			on(id, true);
		}
		(void)step(20);
		while (hear_srtp(rx, &h)) {
			if (n++ == 0) {
				CU_ASSERT_EQUAL(h.seq, 65001);
			} else {
				CU_ASSERT_EQUAL(h.seq, (uint16_t)(seq + 1));
				CU_ASSERT_EQUAL(h.ssrc, ssrc);
			}
			seq = h.seq;
			ssrc = h.ssrc;
		}
	}
	CU_ASSERT_EQUAL(n, 1500);
	/* another key under way: its stream begins, and no packet waits for anything */
	key(id, DP_DIR_SEND, CM, 0x41);
	commands();
	(void)step(20);
	CU_ASSERT_TRUE_FATAL(hear_srtp(rx2, &h));
	CU_ASSERT_EQUAL(h.seq, (uint16_t)(seq + 1));
	CU_ASSERT_EQUAL(del(id), 0);
	commands();
	srtp_dealloc(rx);
	srtp_dealloc(rx2);
	assert_accounts();
}

/* Killed and back: above what may have been used, in the same stream, which the listener follows. */
static void test_floor(void)
{
	srtp_t rx = listener(0x51);
	struct heard h;
	uint32_t id, ssrc;
	uint64_t reserved;
	uint16_t seq;

	begin();
	id = leg(0, BASE + 2, UINT32_MAX, "10.0.0.2", 4002, CM, CM, DP_LATCH_AUTH, 0);
	key(id, DP_DIR_SEND, CM, 0x51);
	on(id, true);
	for (int i = 0; i < 50; i++) {
		(void)step(20);
		CU_ASSERT_TRUE_FATAL(hear_srtp(rx, &h));
	}
	ssrc = h.ssrc;
	seq = h.seq;
	reserved = dp_page_legs(node.page)[id].tx_reserved;
	CU_ASSERT_TRUE(reserved >= seq && reserved <= (uint64_t)seq + DP_TX_RESERVE);
	CU_ASSERT_EQUAL(del(id), 0);
	commands();
	(void)leg(0, BASE + 2, UINT32_MAX, "10.0.0.2", 4002, CM, CM, DP_LATCH_AUTH, 0);
	send_key(id, 0x51, reserved);
	on(id, true);
	(void)step(20);
	CU_ASSERT_TRUE_FATAL(hear_srtp(rx, &h));
	CU_ASSERT_EQUAL(h.ssrc, ssrc);
	CU_ASSERT_EQUAL(h.seq, (uint16_t)(reserved + 1));
	CU_ASSERT_EQUAL(del(id), 0);
	commands();
	srtp_dealloc(rx);
}

/* What is relayed to the leg goes on after a kill, too: music that was heard before does not hold its low indices up. */
static void test_floor_of_speech(void)
{
	uint32_t id = DP_LEG_ID(0, BASE + 2, BASE), from = DP_LEG_ID(0, BASE + 4, BASE);
	srtp_t rx = listener(0x71);
	unsigned int refused = 0;
	uint64_t reserved = 0;
	uint16_t seq = 3;
	struct heard h;
	uint8_t p[64];

	for (int killed = 0; killed < 2; killed++) {
		begin();
		(void)leg(0, BASE + 2, from, "10.0.0.2", 4002, CM, CM, DP_LATCH_AUTH, 0);
		(void)leg(0, BASE + 4, id, "10.0.0.2", 4004, 0, 0, DP_LATCH_NONE, 0);
		send_key(id, 0x71, reserved);
		for (int i = 0; i < 100; i++) {
			send_udp(0, 0, "10.0.0.2", 4004, "10.0.0.1", BASE + 4, p, rtp(p, seq++, 7, 20));
			rounds(2);
			if (!hear(&h)) {
				refused++;
				continue;
			}
			CU_ASSERT_EQUAL(srtp_unprotect(rx, h.rtp, &h.len), srtp_err_status_ok);
			CU_ASSERT_EQUAL(h.ssrc, 7);
		}
		on(id, true);
		for (int i = 0; i < 10; i++) {
			(void)step(20);
			CU_ASSERT_TRUE_FATAL(hear_srtp(rx, &h));
		}
		reserved = dp_page_legs(node.page)[id].tx_reserved;
		CU_ASSERT_TRUE(reserved >= seq && reserved <= (uint64_t)seq + DP_TX_RESERVE);
		CU_ASSERT_EQUAL(del(id), 0);
		CU_ASSERT_EQUAL(del(from), 0);
		commands();
	}
	CU_ASSERT_TRUE(refused <= DP_TX_RESERVE);
	srtp_dealloc(rx);
}

/* --- changes --- */

/* Another file under the name: no packet is missing, and the next one is of the new file. Gone: silence. Back: not by itself. */
static void test_reload(void)
{
	struct heard h, last = {.len = 0};
	uint32_t id;

	begin();
	id = leg(0, BASE + 2, UINT32_MAX, "10.0.0.2", 4002, 0, 0, DP_LATCH_NONE, 0);
	on(id, true);
	(void)step(20);
	CU_ASSERT_TRUE_FATAL(hear(&last));
	CU_ASSERT_EQUAL(load("a", "b.pcm", ""), 0);
	(void)step(20);
	CU_ASSERT_TRUE_FATAL(hear(&h));
	CU_ASSERT_EQUAL(h.seq, (uint16_t)(last.seq + 1));
	CU_ASSERT_EQUAL(h.ts, last.ts + 160);
	CU_ASSERT_TRUE(is_about(h.rtp + 12));
	CU_ASSERT_EQUAL(load("a", "", ""), 0);
	(void)step(20);
	CU_ASSERT_FALSE(hear(&h));
	/* another source in its place is not what this leg is to hear */
	CU_ASSERT_EQUAL(load("other", "a.pcm", ""), 0);
	(void)step(20);
	CU_ASSERT_FALSE(hear(&h));
	CU_ASSERT_EQUAL(load("other", "", ""), 0);
	CU_ASSERT_EQUAL(load("g", "", "c.g729"), 0);
	CU_ASSERT_EQUAL(play(id, "g", DP_MUSIC_G729, 20), 0);
	commands();
	(void)step(20);
	CU_ASSERT_TRUE_FATAL(hear(&h));
	CU_ASSERT_EQUAL(h.len, 12 + 20);
	CU_ASSERT_EQUAL(h.pt, 18);
	CU_ASSERT_EQUAL(load("g", "", ""), 0);
	CU_ASSERT_EQUAL(del(id), 0);
	commands();
}

/* A party that does not want media, or whose address is not known, gets none. */
static void test_unwanted(void)
{
	struct dp_leg_set m = {.leg_id = DP_LEG_ID(0, BASE + 2, BASE), .peer_id = UINT32_MAX, .flags = DP_LEG_F_RECV};
	struct heard h;

	begin();
	(void)leg(0, BASE + 2, UINT32_MAX, NULL, 0, 0, 0, DP_LATCH_NONE, 0);
	on(m.leg_id, true);
	(void)step(20);
	CU_ASSERT_FALSE(hear(&h));
	(void)leg(0, BASE + 2, UINT32_MAX, "10.0.0.2", 4002, 0, 0, DP_LATCH_NONE, 0);
	commands();
	(void)step(20);
	CU_ASSERT_TRUE_FATAL(hear(&h));
	CU_ASSERT_TRUE(h.marker); /* the first that was sent */
	ip_of("10.0.0.2", &m.remote, 4002);
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_LEG_SET, sizeof(m)), 0);
	commands();
	(void)step(20);
	CU_ASSERT_FALSE(hear(&h));
	CU_ASSERT_EQUAL(del(m.leg_id), 0);
	commands();
}

/* The leg's shard goes to the other worker: the same stream goes on from there. */
static void test_move(void)
{
	uint32_t id = DP_LEG_ID(0, BASE + 2, BASE);
	struct dp_shard_move m = {.shard = DP_LEG_SHARD(id)};
	unsigned int from = node.shard.worker[m.shard], before = moved_cnt;
	struct heard h, last = {.len = 0};
	srtp_t rx = listener(0x61);

	begin();
	m.worker = 1 - from;
	(void)leg(0, BASE + 2, UINT32_MAX, "10.0.0.2", 4002, CM, CM, DP_LATCH_AUTH, 0);
	key(id, DP_DIR_SEND, CM, 0x61);
	on(id, true);
	(void)step(20);
	CU_ASSERT_TRUE_FATAL(hear_srtp(rx, &last));
	CU_ASSERT_EQUAL(node.worker[from]->wheel.n, 1);
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_SHARD_MOVE, sizeof(m)), 0);
	/* rounds look at the real clock, which is far behind the test's: nothing is due */
	for (int i = 0; i < 1000 && moved_cnt == before; i++)
		rounds(1);
	CU_ASSERT_EQUAL(last_moved.rc, 0);
	CU_ASSERT_EQUAL(node.worker[from]->wheel.n, 0);
	CU_ASSERT_EQUAL(node.worker[1 - from]->wheel.n, 1);
	for (int i = 0; i < 3; i++) {
		(void)step(20);
		CU_ASSERT_TRUE_FATAL(hear_srtp(rx, &h));
		CU_ASSERT_EQUAL(h.seq, (uint16_t)(last.seq + 1));
		CU_ASSERT_EQUAL(h.ts, last.ts + 160);
		CU_ASSERT_EQUAL(h.ssrc, last.ssrc);
		last = h;
	}
	CU_ASSERT_EQUAL(del(id), 0);
	commands();
	CU_ASSERT_EQUAL(step(100), 0);
	srtp_dealloc(rx);
	assert_accounts();
}

static CU_TestInfo tests[] = {
	{"sources come, are refused, go", test_sources},
	{"every packet at its millisecond", test_times},
	{"numbers and times come round", test_wraps},
	{"many legs, one place", test_many},
	{"a late worker", test_late},
	{"stalls of about the wheel's turn", test_stalls},
	{"under a key: one stream for all holds", test_srtp},
	{"after a kill above the floor", test_floor},
	{"a kill after music: speech goes on", test_floor_of_speech},
	{"a source changes, goes", test_reload},
	{"only for who wants it", test_unwanted},
	{"a shard moves", test_move},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("music", tests, setup, teardown)
