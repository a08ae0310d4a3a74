/* SPDX-License-Identifier: BSD-3-Clause */
#include "see.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_rcu_qsbr.h>

#include "capring.h"
#include "capwriter.h"
#include "log.h"
#include "objs.h"
#include "watch.h"
#include "worker.h"

struct run { /* a capture */
	uint32_t id;     /* 0: none */
	uint32_t leg_id;
	uint32_t snap_len;
	uint8_t side;
	uint8_t end;     /* enum dp_capture_end; 0: runs */
	bool told;       /* the writer closes, or has closed, its file */
	bool done;       /* closed: DP_MSG_CAPTURE_DONE is still to be sent */
	int rc;
	uint64_t until_cyc;
	uint64_t lost0;  /* of all workers when it began */
	uint64_t pkts, bytes, lost;
};

struct dp_see {
	struct dp_node *node;
	struct dp_objs_sink sink;
	struct dp_capwriter *writer; /* NULL before the first capture */
	struct dp_capring *rings[DP_WORKER_MAX];
	struct run run[DP_CAPTURE_MAX];
	uint32_t run_cnt;
	struct dp_trace trace; /* count: how many packets are still to come; 0: none */
};

struct dp_see *dp_see_create(struct dp_node *node, const struct dp_objs_sink *sink)
{
	struct dp_see *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->node = node;
	s->sink = *sink;
	for (uint16_t i = 0; i < node->worker_cnt; i++)
		s->rings[i] = node->worker[i]->cap_ring;
	return s;
}

void dp_see_destroy(struct dp_see *s)
{
	if (s == NULL)
		return;
	dp_capwriter_destroy(s->writer);
	free(s->node->watch);
	s->node->watch = NULL;
	free(s);
}

/* Tell the workers what is to be looked at from now on. When this returns, none looks at anything else. */
static int publish(struct dp_see *s)
{
	struct dp_watch *old = s->node->watch, *w = NULL;

	if (s->run_cnt > 0 || s->trace.count > 0) {
		w = calloc(1, sizeof(*w));
		if (w == NULL)
			return -ENOMEM;
		for (uint8_t k = 0; k < DP_CAPTURE_MAX; k++)
			if (s->run[k].id != 0 && s->run[k].end == 0)
				w->capture[w->capture_cnt++] = (struct dp_watch_capture){
					.leg_id = s->run[k].leg_id, .snap_len = s->run[k].snap_len,
					.side = s->run[k].side, .slot = k};
		w->trace = s->trace;
		if (w->capture_cnt == 0 && w->trace.count == 0) {
			free(w);
			w = NULL;
		}
	}
	if (w == NULL && old == NULL)
		return 0;
	__atomic_store_n(&s->node->watch, w, __ATOMIC_RELEASE);
	/* A round of a worker is microseconds, and a sleeping one is offline. */
	rte_rcu_qsbr_synchronize(s->node->qs, RTE_QSBR_THRID_INVALID);
	free(old);
	return 0;
}

static uint64_t lost_of(const struct dp_see *s, unsigned int slot)
{
	uint64_t sum = 0;

	for (uint16_t i = 0; i < s->node->worker_cnt; i++)
		sum += __atomic_load_n(&s->node->worker[i]->cap_lost[slot], __ATOMIC_RELAXED);
	return sum;
}

/* --- captures --- */

static struct run *find(struct dp_see *s, uint32_t id)
{
	for (unsigned int k = 0; k < DP_CAPTURE_MAX; k++)
		if (s->run[k].id == id)
			return &s->run[k];
	return NULL;
}

static void finish(struct dp_see *s, struct run *r, enum dp_capture_end end, int rc)
{
	if (r->end != 0)
		return;
	r->end = (uint8_t)end;
	r->rc = rc;
	if (publish(s) < 0) /* no memory: the workers go on, and dp_see_poll() tries again */
		return;
	r->told = true;
	r->lost = lost_of(s, (unsigned int)(r - s->run)) - r->lost0;
	dp_capwriter_finish(s->writer, (unsigned int)(r - s->run), r->lost);
}

static bool make_writer(struct dp_see *s)
{
	struct timespec ts;

	if (s->writer != NULL)
		return true;
	clock_gettime(CLOCK_REALTIME, &ts);
	s->writer = dp_capwriter_create(s->rings, s->node->worker_cnt, (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec,
					rte_rdtsc(), s->node->hz);
	return s->writer != NULL;
}

static int start(struct dp_see *s, const struct dp_capture *m)
{
	const struct cfg_capture *cc = &s->node->cfg->capture;
	struct dp_capfile_opts o = {.dir = cc->directory, .name = m->name, .max_bytes = m->max_bytes};
	struct dp_capfile *file;
	struct run *r = find(s, 0);
	char text[128];
	int rc;

	if (r == NULL)
		return -ENOSPC;
	if (!make_writer(s))
		return -ENOMEM;
	o.snap_len = m->snap_len != 0 ? m->snap_len : 262144;
	o.link_type = m->side == DP_CAPTURE_CIPHER ? DP_CAPFILE_ETHERNET : DP_CAPFILE_RAW_IP;
	snprintf(text, sizeof(text), "ravelin capture %u, leg %u, side %s", m->id, m->leg_id,
		 m->side == DP_CAPTURE_CIPHER ? "cipher" : "plain");
	o.comment = text;
	rc = dp_capfile_open(&o, &file);
	if (rc < 0)
		return rc;
	*r = (struct run){.id = m->id, .leg_id = m->leg_id, .side = m->side,
			  .snap_len = m->snap_len != 0 ? m->snap_len : UINT32_MAX,
			  .until_cyc = rte_rdtsc() + m->max_s * s->node->hz,
			  .lost0 = lost_of(s, (unsigned int)(r - s->run))};
	s->run_cnt++;
	dp_capwriter_start(s->writer, (unsigned int)(r - s->run), file);
	if (publish(s) < 0)
		finish(s, r, DP_CAPTURE_FAILED, -ENOMEM);
	cfg_log(CFG_LOG_NOTICE, "capture-start", "id=%u leg=%u side=%s file=%s max_bytes=%lu max_s=%u", m->id, m->leg_id,
		m->side == DP_CAPTURE_CIPHER ? "cipher" : "plain", m->name, (unsigned long)m->max_bytes, m->max_s);
	return 0;
}

int dp_see_capture(struct dp_see *s, const struct dp_capture *m, bool leg_up)
{
	const struct cfg_capture *cc = &s->node->cfg->capture;
	struct run *r = find(s, m->id);

	if (m->max_bytes == 0) {
		if (r == NULL)
			return -ENOENT;
		finish(s, r, DP_CAPTURE_STOPPED, 0);
		return 0;
	}
	/* The controlplane has asked its own configuration; this process answers for the speech. */
	if (!cc->enabled || (m->side == DP_CAPTURE_PLAIN && cc->plain != CFG_CAPTURE_ALLOW))
		return -EACCES;
	if (m->max_s > cc->max_s || m->max_bytes > (uint64_t)cc->max_mb << 20)
		return -ERANGE;
	if (!leg_up)
		return -ENOENT;
	return r != NULL ? -EEXIST : start(s, m);
}

void dp_see_leg_gone(struct dp_see *s, uint32_t leg_id)
{
	for (unsigned int k = 0; s->run_cnt > 0 && k < DP_CAPTURE_MAX; k++)
		if (s->run[k].id != 0 && s->run[k].leg_id == leg_id)
			finish(s, &s->run[k], DP_CAPTURE_LEG_GONE, 0);
}

static void tell(struct dp_see *s, struct run *r)
{
	struct dp_capture_done ev = {.hdr = {.type = DP_MSG_CAPTURE_DONE, .len = sizeof(ev)}, .id = r->id, .end = r->end,
				     .rc = r->rc, .pkts = r->pkts, .bytes = r->bytes, .lost = r->lost};
	int rc = s->sink.event(s->sink.ctx, &ev.hdr);

	if (rc == -EAGAIN)
		return;
	if (rc < 0)
		s->node->page->events_dropped++;
	cfg_log(CFG_LOG_NOTICE, "capture-end", "id=%u leg=%u end=%u rc=%d packets=%lu bytes=%lu lost=%lu", r->id, r->leg_id,
		r->end, r->rc, (unsigned long)r->pkts, (unsigned long)r->bytes, (unsigned long)r->lost);
	*r = (struct run){0};
	s->run_cnt--;
}

void dp_see_poll(struct dp_see *s)
{
	uint64_t now = rte_rdtsc();

	for (unsigned int k = 0; s->run_cnt > 0 && k < DP_CAPTURE_MAX; k++) {
		struct run *r = &s->run[k];
		int rc = 0;

		if (r->id == 0)
			continue;
		if (r->end == 0) {
			uint8_t end = dp_capwriter_ended(s->writer, k, &rc);

			if (end != 0)
				finish(s, r, end, rc);
			else if ((int64_t)(now - r->until_cyc) >= 0)
				finish(s, r, DP_CAPTURE_TIME, 0);
		} else if (!r->told) {
			uint8_t end = r->end;

			r->end = 0;
			finish(s, r, end, r->rc);
		}
		if (r->told && !r->done && dp_capwriter_finished(s->writer, k, &rc, &r->pkts, &r->bytes)) {
			int unused;

			r->done = true;
			/* What was in the rings when it was stopped may have filled it. */
			if (dp_capwriter_ended(s->writer, k, &unused) == DP_CAPTURE_FULL)
				r->end = DP_CAPTURE_FULL;
			if (rc < 0) { /* the last of it did not reach the disk */
				r->end = DP_CAPTURE_FAILED;
				r->rc = rc;
			}
		}
		if (r->done)
			tell(s, r);
	}
}

/* --- the trace --- */

int dp_see_trace(struct dp_see *s, const struct dp_trace *m)
{
	if (m->count == 0) {
		if (s->trace.count == 0 || s->trace.id != m->id)
			return -ENOENT;
		s->trace.count = 0;
		return publish(s);
	}
	if (s->trace.count > 0)
		return -EBUSY;
	s->trace = *m;
	if (publish(s) < 0) {
		s->trace.count = 0;
		return -ENOMEM;
	}
	return 0;
}

bool dp_see_trace_pkt(struct dp_see *s, struct dp_trace_pkt *p)
{
	int rc;

	if (s->trace.count == 0 || p->id != s->trace.id)
		return true; /* of one that has ended */
	p->hdr = (struct dp_msg_hdr){.type = DP_MSG_TRACE_PKT, .len = sizeof(*p)};
	p->left = s->trace.count - 1;
	rc = s->sink.event(s->sink.ctx, &p->hdr);
	if (rc == -EAGAIN)
		return false;
	if (rc < 0) {
		s->node->page->events_dropped++;
		s->trace.count = 1; /* nobody listens */
	}
	if (--s->trace.count == 0)
		(void)publish(s); /* no memory: the workers go on, what they send is thrown away */
	return true;
}

void dp_see_forget(struct dp_see *s)
{
	for (unsigned int k = 0; s->run_cnt > 0 && k < DP_CAPTURE_MAX; k++)
		if (s->run[k].id != 0)
			finish(s, &s->run[k], DP_CAPTURE_STOPPED, 0);
	if (s->trace.count > 0) {
		s->trace.count = 0;
		(void)publish(s);
	}
}
