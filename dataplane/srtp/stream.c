/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "srtp/stream.h"

/*
 * The worker takes from 'local' alone. Whoever wipes a key pushes its streams on 'returned'; the worker takes
 * that list as a whole when its own is empty, so that there is no pop beside a push and thus no ABA.
 */
struct dp_srtp_pool {
	struct dp_srtp_stream *mem;
	struct dp_srtp_stream *local;
	struct dp_srtp_stream *returned __attribute__((aligned(64)));
};

struct dp_srtp_pool *dp_srtp_pool_create(uint32_t n)
{
	struct dp_srtp_pool *pool = aligned_alloc(64, sizeof(*pool));

	if (pool == NULL)
		return NULL;
	memset(pool, 0, sizeof(*pool));
	pool->mem = calloc(n > 0 ? n : 1, sizeof(*pool->mem));
	if (pool->mem == NULL) {
		free(pool);
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++) {
		pool->mem[i].next = pool->local;
		pool->local = &pool->mem[i];
	}
	return pool;
}

void dp_srtp_pool_destroy(struct dp_srtp_pool *pool)
{
	if (pool == NULL)
		return;
	free(pool->mem);
	free(pool);
}

static struct dp_srtp_stream *pool_take(struct dp_srtp_pool *pool)
{
	struct dp_srtp_stream *stream;

	if (pool == NULL)
		return NULL;
	if (pool->local == NULL)
		pool->local = __atomic_exchange_n(&pool->returned, NULL, __ATOMIC_ACQUIRE);
	stream = pool->local;
	if (stream != NULL)
		pool->local = stream->next;
	return stream;
}

struct dp_srtp_stream *dp_srtp_stream_begin(struct dp_srtp_key *key, uint32_t ssrc)
{
	struct dp_srtp_stream *stream = &key->first;

	if (!dp_srtp_stream_room(key))
		return NULL;
	if (key->stream_cnt > 0) {
		stream = pool_take(key->pool);
		if (stream == NULL)
			return NULL;
		memset(stream, 0, sizeof(*stream));
	}
	stream->ssrc = ssrc;
	if (key->index_floor > 0)
		dp_replay_restart(&stream->rtp, key->index_floor);
	if (key->dir == DP_DIR_RECV && key->rtcp_next > 0)
		dp_replay_restart(&stream->rtcp, key->rtcp_next);
	stream->valid = 1;
	if (stream != &key->first) {
		stream->next = key->first.next;
		/* The main lcore walks the list for the counter page. */
		__atomic_store_n(&key->first.next, stream, __ATOMIC_RELEASE);
	}
	key->stream_cnt++;
	return stream;
}

void dp_srtp_stream_drop_all(struct dp_srtp_key *key)
{
	struct dp_srtp_stream *head = key->first.next, *last = NULL;

	for (struct dp_srtp_stream *s = head; s != NULL; s = s->next) {
		struct dp_srtp_stream *next = s->next;

		memset(s, 0, sizeof(*s));
		s->next = next;
		last = s;
	}
	if (last != NULL) {
		last->next = __atomic_load_n(&key->pool->returned, __ATOMIC_RELAXED);
		while (!__atomic_compare_exchange_n(&key->pool->returned, &last->next, head, true,
						    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
			;
	}
	key->first.next = NULL;
}

uint64_t dp_srtp_key_top(const struct dp_srtp_key *key)
{
	uint64_t top = key->index_floor;

	for (const struct dp_srtp_stream *s = &key->first; s != NULL;
	     s = __atomic_load_n(&s->next, __ATOMIC_ACQUIRE)) {
		uint64_t t = __atomic_load_n(&s->rtp.top, __ATOMIC_RELAXED);

		if (t > top)
			top = t;
	}
	return top;
}

uint64_t dp_srtp_key_rtcp_top(const struct dp_srtp_key *key)
{
	uint64_t top = key->rtcp_next;

	if (key->dir == DP_DIR_SEND)
		return __atomic_load_n(&key->rtcp_next, __ATOMIC_RELAXED) - 1;
	for (const struct dp_srtp_stream *s = &key->first; s != NULL;
	     s = __atomic_load_n(&s->next, __ATOMIC_ACQUIRE)) {
		uint64_t t = __atomic_load_n(&s->rtcp.top, __ATOMIC_RELAXED);

		if (t > top)
			top = t;
	}
	return top;
}
