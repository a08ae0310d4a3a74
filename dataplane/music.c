/* SPDX-License-Identifier: BSD-3-Clause */
#include "music.h"

#include <string.h>

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "srtp/stream.h"
#include "worker.h"

#define RTP_HDR 12

static uint64_t now_ms(const struct dp_worker *w)
{
	return w->now_us / 1000;
}

/* splitmix64: spreads, hides nothing. */
static uint64_t mix(uint64_t v)
{
	v += 0x9e3779b97f4a7c15;
	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9;
	v = (v ^ v >> 27) * 0x94d049bb133111eb;
	return v ^ v >> 31;
}

static struct dp_music *of(const struct dp_worker *w, const struct dp_leg *leg)
{
	uint32_t n = w->node->music.of[dp_leg_num(w->legs, leg)];

	return n > 0 ? &w->node->music.mem[n - 1] : NULL;
}

/* --- start and end --- */

/* A stream of its own. Under a key it is the same one at each start, see music.h. */
static void begin(struct dp_worker *w, struct dp_music *mu, struct dp_leg *leg)
{
	uint64_t seed = mix(w->page_leg[leg->tx.leg_id].session << 32 ^ leg->tx.leg_id), v;

	v = leg->tx.suite != DP_SRTP_NONE ? seed : mix(seed ^ w->now_us ^ w->node->page->boot_id);
	mu->leg = leg;
	mu->ssrc = (uint32_t)v;
	mu->ts0 = (uint32_t)(mix(v) + w->node->music.ms0 * 8);
	/* Under a key from the lowest index on: the floor after a restart is the highest of the leg's streams, and relayed speech that is
	 * behind music is refused until it has passed it. Otherwise RFC 3711: a first one that is lost must not be taken for one of ROC 1. */
	mu->seq = leg->tx.suite != DP_SRTP_NONE ? 0 : v >> 32 & 0x7fff;
	mu->fresh = 1;
	w->node->music.of[dp_leg_num(w->legs, leg)] = (uint32_t)(mu - w->node->music.mem) + 1;
}

/* The first time from now on that is the leg's. */
static void schedule(struct dp_worker *w, struct dp_music *mu)
{
	uint64_t now = now_ms(w), phase = dp_leg_num(w->legs, mu->leg) % mu->ptime_ms;

	mu->beat.due = now - now % mu->ptime_ms + phase;
	if (mu->beat.due < now)
		mu->beat.due += mu->ptime_ms;
	dp_wheel_put(&w->wheel, &mu->beat);
}

void dp_music_cmd(struct dp_worker *w, struct dp_cmd *cmd)
{
	struct dp_leg *leg = dp_leg_find(w->legs, cmd->id);
	struct dp_music *mu;

	if (leg == NULL) /* deleted in the meantime: a free record goes back */
		return;
	mu = of(w, leg);
	if (!cmd->u.music.on) {
		cmd->music = dp_music_remove(w, leg);
		return;
	}
	if (mu == NULL) {
		mu = cmd->music;
		cmd->music = NULL;
		begin(w, mu, leg);
	}
	mu->tune = cmd->u.music.tune;
	mu->tune_id = cmd->u.music.tune_id;
	mu->codec = cmd->u.music.codec;
	mu->pt = cmd->u.music.pt;
	if (mu->ptime_ms == cmd->u.music.ptime_ms && mu->beat.next != NULL)
		return;
	mu->ptime_ms = cmd->u.music.ptime_ms;
	dp_wheel_take(&w->wheel, &mu->beat);
	schedule(w, mu);
}

struct dp_music *dp_music_remove(struct dp_worker *w, const struct dp_leg *leg)
{
	struct dp_music *mu = of(w, leg);

	if (mu == NULL)
		return NULL;
	dp_wheel_take(&w->wheel, &mu->beat);
	w->node->music.of[dp_leg_num(w->legs, leg)] = 0;
	mu->ptime_ms = 0;
	return mu;
}

void dp_music_leave(struct dp_worker *w, const struct dp_leg *leg)
{
	struct dp_music *mu = of(w, leg);

	if (mu != NULL)
		dp_wheel_take(&w->wheel, &mu->beat);
}

void dp_music_enter(struct dp_worker *w, const struct dp_leg *leg)
{
	struct dp_music *mu = of(w, leg);

	if (mu != NULL)
		dp_wheel_put(&w->wheel, &mu->beat);
}

/* --- packets --- */

/* The source, if the leg's party can be sent something of it now. */
static const struct dp_tune *source(const struct dp_worker *w, const struct dp_music *mu)
{
	const struct dp_tune *tune = __atomic_load_n(&w->node->music.tune[mu->tune], __ATOMIC_ACQUIRE);
	const struct dp_leg_tx *tx = &mu->leg->tx;

	if ((tx->flags & DP_LEG_F_SEND) == 0 || tx->family == 0)
		return NULL;
	if (tx->suite != DP_SRTP_NONE && (tx->key == NULL || tx->key->suite != tx->suite))
		return NULL;
	/* Another source may have its place by now, or it another file, without this codec. */
	return tune != NULL && tune->id == mu->tune_id && tune->part[mu->codec].data != NULL ? tune : NULL;
}

static uint16_t next_seq(const struct dp_music *mu)
{
	struct dp_srtp_key *key = mu->leg->tx.key;
	const struct dp_srtp_stream *stream;

	if (mu->leg->tx.suite == DP_SRTP_NONE)
		return mu->seq;
	stream = dp_srtp_stream_find(key, mu->ssrc);
	if (stream != NULL)
		return (uint16_t)(stream->rtp.top + 1);
	if (key->index_floor > 0 && (key->flags & DP_SRTP_F_ROC) == 0)
		return (uint16_t)(key->index_floor + 1);
	return mu->seq;
}

static void make(struct dp_music *mu, const struct dp_tune *tune, struct rte_mbuf *m)
{
	uint16_t len = (uint16_t)(RTP_HDR + mu->ptime_ms * dp_tune_rate(mu->codec)), seq = next_seq(mu);
	uint32_t ts = mu->ts0 + (uint32_t)(mu->beat.due * 8);
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);

	p[0] = 0x80;
	p[1] = (uint8_t)(mu->pt | (mu->fresh != 0 ? 0x80 : 0));
	dp_put16(p + 2, seq);
	dp_srtp_put_be32(p + 4, ts);
	dp_srtp_put_be32(p + 8, mu->ssrc);
	/* The place belongs to the packet time as a whole: legs differ in when they are sent, not in what. */
	dp_tune_copy(tune, mu->codec, mu->beat.due - mu->beat.due % mu->ptime_ms, mu->ptime_ms, p + RTP_HDR);
	m->data_len = len;
	m->pkt_len = len;
	mu->seq = (uint16_t)(seq + 1);
	mu->fresh = 0;
}

/* Leave out what nobody needs any more. */
static void catch_up(struct dp_worker *w, struct dp_music *mu, uint64_t now)
{
	uint64_t late = (now - mu->beat.due) / mu->ptime_ms;

	if (late < DP_MUSIC_LATE)
		return;
	mu->beat.due += late * mu->ptime_ms;
	w->cnt->music_late += late;
}

/* One burst of different legs. Returns how many were due. */
static unsigned int burst(struct dp_worker *w, uint64_t now)
{
	struct dp_music *due[DP_BURST];
	struct rte_mbuf *m[DP_BURST];
	struct dp_leg *to[DP_BURST];
	uint16_t n = 0, k = 0;
	struct dp_beat *b;

	while (n < DP_BURST && (b = dp_wheel_next(&w->wheel, now)) != NULL) {
		if (b->due > now) { /* after a stall the wheel is behind, and what was put in beyond its turn comes too early */
			dp_wheel_put(&w->wheel, b);
			continue;
		}
		due[n] = (struct dp_music *)b;
		rte_prefetch0(&due[n++]->leg->tx);
	}
	for (uint16_t i = 0; i < n; i++) {
		const struct dp_tune *tune;

		if (due[i]->leg->tx.key != NULL)
			dp_srtp_key_prefetch(due[i]->leg->tx.key);
		catch_up(w, due[i], now);
		tune = source(w, due[i]);
		if (tune == NULL || (m[k] = rte_pktmbuf_alloc(w->node->pool)) == NULL)
			continue;
		make(due[i], tune, m[k]);
		to[k++] = due[i]->leg;
	}
	w->cnt->music_pkts += k;
	if (k > 0)
		dp_media_send(w, m, to, k);
	/* Only now: two packets of one leg in a burst would be made with one sequence number. */
	for (uint16_t i = 0; i < n; i++) {
		due[i]->beat.due += due[i]->ptime_ms;
		dp_wheel_put(&w->wheel, &due[i]->beat);
	}
	return n;
}

unsigned int dp_music_round(struct dp_worker *w)
{
	uint64_t now = now_ms(w), t;
	unsigned int total = 0, n = DP_BURST;

	if (likely(w->wheel.n == 0)) {
		w->wheel.at = now;
		return 0;
	}
	t = rte_rdtsc();
	for (unsigned int i = 0; i < DP_MUSIC_BURSTS && n == DP_BURST; i++) {
		n = burst(w, now);
		total += n;
	}
	if (total > 0) {
		w->cnt->stage_cyc[DP_STAGE_OTHER] += rte_rdtsc() - t;
		w->cnt->stage_pkts[DP_STAGE_OTHER] += total;
	}
	return total;
}
