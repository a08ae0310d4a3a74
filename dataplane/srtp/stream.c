/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "crypto/mb.h"
#include "srtp/ext.h"
#include "srtp/stream.h"

#define NEAR 4 /* a list of so many is walked rather than hashed */

/* A stream that is not a key's first, with its place in the pool's table. Its window follows if it is a wide one. */
struct far {
	struct dp_srtp_stream s;
	struct dp_srtp_key *own; /* in the table: whose it is */
	struct far *chain;
	struct dp_srtp_pool *home; /* where it goes back to, whoever used it last */
	uint64_t zero;
};
static_assert(sizeof(struct far) == 128, "two cache lines");

/*
 * The worker takes from 'local' alone. Whoever wipes a key pushes its streams on 'returned'; the worker takes
 * that list as a whole when its own is empty, so that there is no pop beside a push and thus no ABA. Streams in use are
 * in the table, by key and SSRC, which is the worker's alone.
 */
struct dp_srtp_pool {
	uint8_t *mem;
	struct dp_srtp_stream *local;
	struct far **bucket;
	uint32_t mask;
	uint16_t words; /* of a wide window; 0: none */
	struct dp_srtp_stream *returned __attribute__((aligned(64)));
};

static uint32_t wide_words(uint16_t window)
{
	return window > DP_REPLAY_WINDOW ? dp_replay_words(window) : 0;
}

/* Whole lines: a moved shard's streams are another worker's than their neighbours. Words are a power of two, 8 at least. */
static size_t stride(uint16_t window)
{
	return sizeof(struct far) + 8 * wide_words(window);
}

size_t dp_srtp_pool_bytes(uint16_t window)
{
	return stride(window) + 2 * sizeof(struct far *);
}

struct dp_srtp_pool *dp_srtp_pool_create(uint32_t n, uint16_t window)
{
	struct dp_srtp_pool *pool = aligned_alloc(64, sizeof(*pool));
	uint32_t buckets = 16;

	if (pool == NULL)
		return NULL;
	memset(pool, 0, sizeof(*pool));
	while (buckets < n)
		buckets *= 2;
	pool->mask = buckets - 1;
	pool->words = (uint16_t)wide_words(window);
	pool->mem = aligned_alloc(64, (size_t)(n > 0 ? n : 1) * stride(window));
	pool->bucket = calloc(buckets, sizeof(*pool->bucket));
	if (pool->mem == NULL || pool->bucket == NULL) {
		dp_srtp_pool_destroy(pool);
		return NULL;
	}
	memset(pool->mem, 0, (size_t)n * stride(window));
	for (uint32_t i = 0; i < n; i++) {
		struct dp_srtp_stream *s = (void *)(pool->mem + i * stride(window));

		((struct far *)(void *)s)->home = pool;
		s->next = pool->local;
		pool->local = s;
	}
	return pool;
}

void dp_srtp_pool_destroy(struct dp_srtp_pool *pool)
{
	if (pool == NULL)
		return;
	free(pool->mem);
	free(pool->bucket);
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

static struct far *far_of(struct dp_srtp_stream *stream)
{
	return (struct far *)(void *)stream; /* its first member */
}

static struct far **place(struct dp_srtp_pool *pool, const struct dp_srtp_key *own, uint32_t ssrc)
{
	uint64_t h = ((uint64_t)(uintptr_t)own >> 6 ^ (uint64_t)ssrc << 32) * 0x9e3779b97f4a7c15u;

	h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9u;
	return &pool->bucket[h >> 32 & pool->mask];
}

static void table_put(struct dp_srtp_key *own, struct dp_srtp_stream *stream)
{
	struct far *f = far_of(stream), **at = place(own->pool, own, stream->ssrc);

	f->own = own;
	f->chain = *at;
	*at = f;
}

static void table_cut(struct dp_srtp_key *own, struct dp_srtp_stream *stream)
{
	struct far **at = place(own->pool, own, stream->ssrc);

	while (*at != NULL && *at != far_of(stream))
		at = &(*at)->chain;
	if (*at != NULL)
		*at = (*at)->chain;
	far_of(stream)->own = NULL;
}

struct dp_srtp_stream *dp_srtp_stream_far(struct dp_srtp_key *own, uint32_t ssrc)
{
	struct far *f;

	if (own->stream_cnt <= NEAR) {
		for (struct dp_srtp_stream *s = own->first.next; s != NULL; s = s->next)
			if (s->ssrc == ssrc)
				return s;
		return NULL;
	}
	f = *place(own->pool, own, ssrc);
	while (f != NULL && (f->s.ssrc != ssrc || f->own != own))
		f = f->chain;
	return f != NULL ? &f->s : NULL;
}

struct dp_srtp_stream *dp_srtp_stream_begin(struct dp_srtp_key *own, uint32_t ssrc)
{
	struct dp_srtp_stream *stream = &own->first;

	if (own->stream_cnt > 0) {
		if (own->stream_cnt >= own->ssrc_max)
			return NULL;
		stream = pool_take(own->pool);
		if (stream == NULL)
			return NULL;
		memset(stream, 0, sizeof(*stream)); /* its place in the table is not in use */
		memset(far_of(stream) + 1, 0, 8u * own->pool->words);
	}
	if ((own->flags & DP_SRTP_F_WIDE) != 0)
		stream->wide.seen = stream == &own->first ? dp_srtp_wide(own) : (void *)(far_of(stream) + 1);
	stream->ssrc = ssrc;
	if (own->index_floor > 0 && (own->flags & DP_SRTP_F_ROC) == 0)
		dp_srtp_win_restart(own, stream, own->index_floor);
	if (own->dir == DP_DIR_RECV && own->rtcp_next > 0)
		dp_replay_restart(&stream->rtcp, own->rtcp_next);
	stream->valid = 1;
	if (stream != &own->first) {
		table_put(own, stream);
		stream->next = own->first.next;
		/* The main lcore walks the list for the counter page. */
		__atomic_store_n(&own->first.next, stream, __ATOMIC_RELEASE);
	}
	own->stream_cnt++;
	return stream;
}

void dp_srtp_key_leave(struct dp_srtp_key *key)
{
	for (struct dp_srtp_stream *s = key->first.next; s != NULL; s = s->next)
		table_cut(key, s);
}

void dp_srtp_key_enter(struct dp_srtp_key *key, struct dp_srtp_pool *pool)
{
	key->pool = pool;
	for (struct dp_srtp_stream *s = key->first.next; s != NULL; s = s->next)
		table_put(key, s);
}

void dp_srtp_stream_drop_all(struct dp_srtp_key *own)
{
	struct dp_srtp_stream *next;

	for (struct dp_srtp_stream *s = own->first.next; s != NULL; s = next) {
		struct dp_srtp_pool *home = far_of(s)->home;

		next = s->next;
		if (far_of(s)->own != NULL) /* no worker had it, or none is running */
			table_cut(own, s);
		s->next = __atomic_load_n(&home->returned, __ATOMIC_RELAXED);
		while (!__atomic_compare_exchange_n(&home->returned, &s->next, s, true, __ATOMIC_RELEASE,
						    __ATOMIC_RELAXED))
			;
	}
	own->first.next = NULL;
}

void dp_srtp_stream_move(struct dp_srtp_key *to, struct dp_srtp_key *from)
{
	to->pool = from->pool;
	to->first = from->first;
	if ((to->flags & DP_SRTP_F_WIDE) != 0 && from->first.valid != 0) {
		to->first.wide.seen = dp_srtp_wide(to);
		memcpy(to->first.wide.seen, from->first.wide.seen, 8 * dp_replay_words(to->window));
	}
	for (struct dp_srtp_stream *s = from->first.next; s != NULL; s = s->next) {
		table_cut(from, s);
		table_put(to, s);
	}
	to->index_floor = from->index_floor;
	to->flags = (uint8_t)((to->flags & ~DP_SRTP_F_ROC) | (from->flags & DP_SRTP_F_ROC));
	to->rtcp_next = from->rtcp_next;
	to->stream_cnt = from->stream_cnt;
	to->ssrc_max = from->ssrc_max;
}

void dp_srtp_stream_forget(struct dp_srtp_key *from)
{
	memset(&from->first, 0, sizeof(from->first));
	from->stream_cnt = 0;
}

uint64_t dp_srtp_soon(uint64_t life)
{
	uint64_t soon = life / 64 > 65536 ? life / 64 : 65536;

	return soon < life / 2 ? soon : life / 2;
}

static uint64_t life_of(const struct dp_srtp_key *key, bool rtcp)
{
	uint64_t life = (key->flags & DP_SRTP_F_MORE) != 0 ? dp_srtp_more(key)->lifetime : 0;
	uint64_t max = rtcp ? DP_SRTCP_INDEX_MAX + 1 : DP_SRTP_INDEX_MAX + 1;

	return life != 0 && life < max ? life : max;
}

static uint8_t soon_bit(bool rtcp)
{
	return rtcp ? DP_SRTP_P_RTCP_SOON : DP_SRTP_P_SOON;
}

static void until_set(struct dp_srtp_key *key, bool rtcp, uint64_t packets)
{
	if (rtcp)
		key->rtcp_until = (uint32_t)packets;
	else
		key->until = packets;
}

void dp_srtp_live(struct dp_srtp_key *key, bool rtcp, uint64_t used)
{
	uint64_t life = life_of(key, rtcp), soon = dp_srtp_soon(life), left = life > used ? life - used : 0;
	uint8_t bit = soon_bit(rtcp);

	if (left > soon && (key->told & bit) == 0) {
		left -= soon;
	} else if ((key->told & bit) == 0) {
		key->pending |= bit;
		key->told |= bit;
	}
	until_set(key, rtcp, left);
}

uint64_t dp_srtp_used(const struct dp_srtp_key *key, bool rtcp)
{
	uint64_t life = life_of(key, rtcp), left = rtcp ? key->rtcp_until : key->until;

	return life - left - ((key->told & soon_bit(rtcp)) == 0 ? dp_srtp_soon(life) : 0);
}

void dp_srtp_due(struct dp_srtp_key *head, struct dp_srtp_key *key, bool rtcp)
{
	uint64_t soon = dp_srtp_soon(life_of(key, rtcp));

	if ((key->told & soon_bit(rtcp)) == 0 && soon > 0)
		until_set(key, rtcp, soon);
	else
		dp_srtp_mark(head, key, rtcp ? DP_SRTP_P_RTCP_EXPIRED : DP_SRTP_P_EXPIRED);
	dp_srtp_mark(head, key, soon_bit(rtcp));
}

uint64_t dp_srtp_key_top(const struct dp_srtp_key *key)
{
	uint64_t top = key->index_floor;

	if ((key->flags & DP_SRTP_F_ROC) != 0)
		top = 0;
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
