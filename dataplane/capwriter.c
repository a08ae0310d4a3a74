/* SPDX-License-Identifier: BSD-3-Clause */
#include "capwriter.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "capring.h"

#define NAP_MS 2 /* between looks at the rings while a capture runs */

__extension__ typedef unsigned __int128 u128;

enum { S_FREE, S_OPEN, S_CLOSING, S_CLOSED };

struct slot {
	/* under the lock */
	uint8_t state;
	uint64_t lost;
	int rc;
	uint64_t pkts, bytes;
	/* the thread's, while open */
	struct dp_capfile *file;
	/* written by the thread, read by the main lcore */
	uint32_t ended; /* DP_CAPTURE_FULL, DP_CAPTURE_FAILED */
	int32_t ended_rc;
	uint64_t now_pkts, now_bytes;
};

struct dp_capwriter {
	struct dp_capring *const *rings;
	unsigned int ring_cnt;
	uint64_t real_ns, cyc, hz;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool stop;
	struct slot slot[DP_CAPTURE_MAX];
};

static uint64_t time_ns(const struct dp_capwriter *w, uint64_t cyc)
{
	return w->real_ns + (uint64_t)((u128)(cyc - w->cyc) * 1000000000u / w->hz);
}

static void one(struct dp_capwriter *w, const struct dp_cap_rec *rec)
{
	struct slot *s = &w->slot[rec->slot];
	int rc;

	if (s->file == NULL || s->ended != 0)
		return;
	rc = dp_capfile_packet(s->file, time_ns(w, rec->cyc), rec->dir, rec->data, rec->len, rec->orig_len);
	if (rc == 0)
		return;
	s->ended_rc = rc == -EFBIG ? 0 : rc;
	__atomic_store_n(&s->ended, rc == -EFBIG ? DP_CAPTURE_FULL : DP_CAPTURE_FAILED, __ATOMIC_RELEASE);
}

/*
 * The ring with the oldest record of all; ring_cnt: all are empty. A shard's new owner gets packets only after the old one
 * has pushed its last: who sees a record of the new one sees those of the old one, if it looks again.
 */
static unsigned int oldest(struct dp_capwriter *w)
{
	unsigned int best = w->ring_cnt, before;
	uint64_t cyc = 0;

	do {
		before = best;
		for (unsigned int i = 0; i < w->ring_cnt; i++) {
			const struct dp_cap_rec *rec = dp_capring_peek(w->rings[i]);

			if (rec != NULL && (best == w->ring_cnt || (int64_t)(rec->cyc - cyc) < 0)) {
				best = i;
				cyc = rec->cyc;
			}
		}
	} while (best != before);
	return best;
}

/* Everything that is in the rings now, in the order of its times. */
static void drain(struct dp_capwriter *w)
{
	/* workers may add as fast as we read */
	unsigned int budget = w->ring_cnt * (DP_CAPRING_BYTES / (unsigned int)sizeof(struct dp_cap_rec)), i;

	while (budget-- > 0 && (i = oldest(w)) != w->ring_cnt) {
		one(w, dp_capring_peek(w->rings[i]));
		dp_capring_pop(w->rings[i]);
	}
	for (unsigned int k = 0; k < DP_CAPTURE_MAX; k++) {
		struct slot *s = &w->slot[k];
		int rc;

		if (s->file == NULL)
			continue;
		if (s->ended == 0) { /* so that the file can be read while it grows */
			rc = dp_capfile_flush(s->file);
			if (rc < 0) {
				s->ended_rc = rc;
				__atomic_store_n(&s->ended, DP_CAPTURE_FAILED, __ATOMIC_RELEASE);
			}
		}
		__atomic_store_n(&s->now_pkts, dp_capfile_pkts(s->file), __ATOMIC_RELAXED);
		__atomic_store_n(&s->now_bytes, dp_capfile_bytes(s->file), __ATOMIC_RELAXED);
	}
}

static void close_slot(struct dp_capwriter *w, struct slot *s, uint64_t lost, int *rc, uint64_t *pkts, uint64_t *bytes)
{
	*rc = dp_capfile_close(s->file, time_ns(w, rte_rdtsc()), lost, pkts, bytes);
	s->file = NULL;
}

static void *run(void *arg)
{
	struct dp_capwriter *w = arg;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		bool open = false;

		for (unsigned int k = 0; k < DP_CAPTURE_MAX; k++)
			open = open || w->slot[k].state == S_OPEN || w->slot[k].state == S_CLOSING;
		if (!open && w->stop)
			break;
		if (!open) {
			pthread_cond_wait(&w->cond, &w->lock);
			continue;
		}
		/* What is closing now gets no more records: one look at the rings finds its last ones. */
		bool closing[DP_CAPTURE_MAX];

		for (unsigned int k = 0; k < DP_CAPTURE_MAX; k++)
			closing[k] = w->slot[k].state == S_CLOSING || (w->stop && w->slot[k].state == S_OPEN);
		pthread_mutex_unlock(&w->lock);
		drain(w);
		for (unsigned int k = 0; k < DP_CAPTURE_MAX; k++) {
			struct slot *s = &w->slot[k];
			uint64_t lost, pkts = 0, bytes = 0;
			int rc = 0;

			if (!closing[k])
				continue;
			pthread_mutex_lock(&w->lock);
			lost = s->lost;
			pthread_mutex_unlock(&w->lock);
			close_slot(w, s, lost, &rc, &pkts, &bytes);
			pthread_mutex_lock(&w->lock);
			s->rc = rc;
			s->pkts = pkts;
			s->bytes = bytes;
			s->state = S_CLOSED;
			pthread_mutex_unlock(&w->lock);
		}
		pthread_mutex_lock(&w->lock);
		if (!w->stop) {
			struct timespec ts;

			clock_gettime(CLOCK_REALTIME, &ts);
			ts.tv_nsec += NAP_MS * 1000000;
			if (ts.tv_nsec >= 1000000000) {
				ts.tv_nsec -= 1000000000;
				ts.tv_sec++;
			}
			(void)pthread_cond_timedwait(&w->cond, &w->lock, &ts);
		}
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

struct dp_capwriter *dp_capwriter_create(struct dp_capring *const *rings, unsigned int n, uint64_t real_ns, uint64_t cyc,
					 uint64_t hz)
{
	struct dp_capwriter *w = calloc(1, sizeof(*w));
	sigset_t all, old;
	int rc;

	if (w == NULL)
		return NULL;
	w->rings = rings;
	w->ring_cnt = n;
	w->real_ns = real_ns;
	w->cyc = cyc;
	w->hz = hz;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
	/* Signals are the main lcore's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = rte_ctrl_thread_create(&w->thread, "rv-capture", NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		free(w);
		return NULL;
	}
	return w;
}

void dp_capwriter_destroy(struct dp_capwriter *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void dp_capwriter_start(struct dp_capwriter *w, unsigned int slot, struct dp_capfile *file)
{
	struct slot *s = &w->slot[slot];

	pthread_mutex_lock(&w->lock);
	*s = (struct slot){.state = S_OPEN, .file = file};
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

uint8_t dp_capwriter_ended(const struct dp_capwriter *w, unsigned int slot, int *ret_rc)
{
	uint32_t ended = __atomic_load_n(&w->slot[slot].ended, __ATOMIC_ACQUIRE);

	*ret_rc = ended != 0 ? w->slot[slot].ended_rc : 0;
	return (uint8_t)ended;
}

void dp_capwriter_stat(const struct dp_capwriter *w, unsigned int slot, uint64_t *ret_pkts, uint64_t *ret_bytes)
{
	*ret_pkts = __atomic_load_n(&w->slot[slot].now_pkts, __ATOMIC_RELAXED);
	*ret_bytes = __atomic_load_n(&w->slot[slot].now_bytes, __ATOMIC_RELAXED);
}

void dp_capwriter_finish(struct dp_capwriter *w, unsigned int slot, uint64_t lost)
{
	pthread_mutex_lock(&w->lock);
	if (w->slot[slot].state == S_OPEN) {
		w->slot[slot].lost = lost;
		w->slot[slot].state = S_CLOSING;
	}
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

bool dp_capwriter_finished(struct dp_capwriter *w, unsigned int slot, int *ret_rc, uint64_t *ret_pkts,
			   uint64_t *ret_bytes)
{
	struct slot *s = &w->slot[slot];
	bool done;

	pthread_mutex_lock(&w->lock);
	done = s->state == S_CLOSED;
	if (done) {
		*ret_rc = s->rc;
		*ret_pkts = s->pkts;
		*ret_bytes = s->bytes;
		s->state = S_FREE;
	}
	pthread_mutex_unlock(&w->lock);
	return done;
}
