/* SPDX-License-Identifier: BSD-3-Clause */
#include "shards.h"

#include <errno.h>
#include <stdlib.h>

#include "api/dp_page.h"
#include "dpclient.h"
#include "log.h"

#define NOWHERE UINT32_MAX

struct shard {
	uint32_t wanted; /* NOWHERE: where the default map has it */
	uint32_t to;     /* of the move that waits or runs; NOWHERE: none */
	cp_shards_fn fn; /* of that move; NULL: nobody asks */
	void *ctx;
};

struct cp_shards {
	struct cp_dp *dp; /* NULL: down */
	uint32_t running; /* shard whose move the dataplane has; NOWHERE: none */
	struct shard s[DP_SHARDS];
};

struct cp_shards *cp_shards_create(void)
{
	struct cp_shards *sh = calloc(1, sizeof(*sh));

	if (sh == NULL)
		return NULL;
	sh->running = NOWHERE;
	for (uint32_t i = 0; i < DP_SHARDS; i++)
		sh->s[i].wanted = sh->s[i].to = NOWHERE;
	return sh;
}

static void end(struct cp_shards *sh, uint32_t shard, int rc, const struct dp_shard_moved *ev)
{
	struct shard s = sh->s[shard];

	sh->s[shard].to = NOWHERE;
	sh->s[shard].fn = NULL;
	if (s.fn != NULL)
		s.fn(s.ctx, rc, ev);
	else if (rc < 0 && rc != -EALREADY)
		cfg_log(CFG_LOG_WARN, "shard-not-moved", "shard=%u worker=%u rc=%d", shard, s.to, rc);
}

void cp_shards_down(struct cp_shards *sh)
{
	sh->dp = NULL;
	sh->running = NOWHERE;
	for (uint32_t i = 0; i < DP_SHARDS; i++)
		if (sh->s[i].to != NOWHERE)
			end(sh, i, -ENOTCONN, NULL);
}

void cp_shards_destroy(struct cp_shards *sh)
{
	if (sh == NULL)
		return;
	cp_shards_down(sh);
	free(sh);
}

static void next(struct cp_shards *sh);

static void on_reply(void *ctx, int rc)
{
	struct cp_shards *sh = ctx;
	uint32_t shard = sh->running;

	/* 0: accepted, the event ends it. -ENOTCONN: cp_shards_down() does. */
	if (rc >= 0 || rc == -ENOTCONN || shard == NOWHERE)
		return;
	sh->running = NOWHERE;
	end(sh, shard, rc, NULL);
	next(sh);
}

static void next(struct cp_shards *sh)
{
	for (uint32_t i = 0; i < DP_SHARDS && sh->dp != NULL && sh->running == NOWHERE; i++) {
		struct dp_shard_move m = {.shard = i, .worker = sh->s[i].to};
		int rc;

		if (m.worker == NOWHERE)
			continue;
		sh->running = i;
		rc = cp_dp_send(sh->dp, DP_MSG_SHARD_MOVE, &m, on_reply, sh);
		if (rc < 0) {
			sh->running = NOWHERE;
			end(sh, i, rc, NULL);
		}
	}
}

void cp_shards_up(struct cp_shards *sh, struct cp_dp *dp, bool fresh)
{
	const struct dp_page *pg = cp_dp_page(dp);

	sh->dp = dp;
	for (uint32_t i = 0; pg != NULL && pg->worker_cnt > 0 && i < DP_SHARDS; i++) {
		uint32_t at = (uint32_t)pg->shard_worker[i];

		if (!fresh) /* it ran on: what it says is how it is wanted */
			sh->s[i].wanted = at != i % pg->worker_cnt ? at : NOWHERE;
		else if (sh->s[i].wanted != NOWHERE && sh->s[i].wanted < pg->worker_cnt && sh->s[i].wanted != at)
			sh->s[i].to = sh->s[i].wanted;
	}
	next(sh);
}

void cp_shards_moved(struct cp_shards *sh, const struct dp_shard_moved *ev)
{
	const struct dp_page *pg = sh->dp != NULL ? cp_dp_page(sh->dp) : NULL;

	if (ev->shard >= DP_SHARDS || pg == NULL || pg->worker_cnt == 0)
		return;
	if (ev->rc == 0 || ev->rc == -EALREADY)
		sh->s[ev->shard].wanted = ev->to != ev->shard % pg->worker_cnt ? ev->to : NOWHERE;
	if (sh->running != ev->shard) /* of a controlplane before us */
		return;
	sh->running = NOWHERE;
	end(sh, ev->shard, ev->rc, ev);
	next(sh);
}

int cp_shards_move(struct cp_shards *sh, uint32_t shard, uint32_t worker, cp_shards_fn fn, void *ctx)
{
	const struct dp_page *pg = sh->dp != NULL ? cp_dp_page(sh->dp) : NULL;

	if (pg == NULL)
		return -ENOTCONN;
	if (shard >= DP_SHARDS || worker >= pg->worker_cnt)
		return -EINVAL;
	if (sh->s[shard].to != NOWHERE)
		return -EBUSY;
	sh->s[shard].to = worker;
	sh->s[shard].fn = fn;
	sh->s[shard].ctx = ctx;
	next(sh);
	return 0;
}

json_t *cp_shards_show(const struct cp_shards *sh)
{
	const struct dp_page *pg = sh->dp != NULL ? cp_dp_page(sh->dp) : NULL;
	json_t *list;

	if (pg == NULL)
		return NULL;
	list = json_array();
	for (uint32_t i = 0; i < DP_SHARDS; i++)
		json_array_append_new(list, json_pack("{s:i, s:I, s:b}", "shard", (int)i, "worker",
						      (json_int_t)pg->shard_worker[i], "moved",
						      sh->s[i].wanted != NOWHERE));
	return list;
}
