/* SPDX-License-Identifier: BSD-3-Clause */
#include "sad.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "ipsec/sa.h"

#define NONE    UINT16_MAX
static_assert(DP_SA_MAX < NONE, "identifiers of 16 bits");
#define BUCKETS (DP_SA_MAX * 2)
#define AHEAD   (offsetof(struct dp_sa, key) + 192) /* bytes of an SA that are asked for before its packet: up to the key's rounds; */
#define AHEAD_GCM (offsetof(struct dp_sa, key) + sizeof(struct gcm_key_data)) /* and of GCM the hash key's powers, the highest first: */
#define POWERS    48 /* a packet needs as many as it has blocks, two more, and not more than these */

struct dp_sad {
	uint32_t n;
	uint16_t id[DP_SA_MAX];       /* of those in use */
	uint16_t pos[DP_SA_MAX];      /* where in id[] */
	uint8_t shard[DP_SA_MAX];     /* what dp_sad_shard() looks through, without touching SAs */
	uint16_t spi_head[BUCKETS];   /* chains of identifiers through next */
	uint16_t gw_head[DP_GW_MAX];
	uint16_t next[DP_SA_MAX];     /* an SA is in one chain: by SPI inbound, by gateway outbound */
	uint16_t out_head[BUCKETS];   /* outbound ones are in another as well: by SPI */
	uint16_t out_next[DP_SA_MAX];
	struct dp_sa *sa[DP_SA_MAX];
};

struct dp_sad *dp_sad_create(void)
{
	struct dp_sad *sad = calloc(1, sizeof(*sad));

	if (sad != NULL) {
		memset(sad->spi_head, 0xff, sizeof(sad->spi_head));
		memset(sad->gw_head, 0xff, sizeof(sad->gw_head));
		memset(sad->out_head, 0xff, sizeof(sad->out_head));
	}
	return sad;
}

void dp_sad_destroy(struct dp_sad *sad)
{
	free(sad);
}

static uint32_t bucket(uint32_t spi)
{
	return (spi * 0x9e3779b1u) >> 16 & (BUCKETS - 1);
}

static void unchain(uint16_t *at, uint16_t *next, uint32_t sa_id)
{
	for (; at != NULL && *at != NONE; at = &next[*at]) {
		if (*at == sa_id) {
			__atomic_store_n(at, next[sa_id], __ATOMIC_RELAXED); /* dp_sad_out_maybe() */
			return;
		}
	}
}

static uint16_t *head_of(struct dp_sad *sad, const struct dp_sa *sa)
{
	if (sa->dir == DP_DIR_RECV)
		return &sad->spi_head[bucket(sa->spi)];
	return sa->gw_id < DP_GW_MAX ? &sad->gw_head[sa->gw_id] : NULL;
}

struct dp_sa *dp_sad_take(struct dp_sad *sad, uint32_t sa_id)
{
	struct dp_sa *sa = sad->sa[sa_id];

	if (sa == NULL)
		return NULL;
	unchain(head_of(sad, sa), sad->next, sa_id);
	if (sa->dir == DP_DIR_SEND)
		unchain(&sad->out_head[bucket(sa->spi)], sad->out_next, sa_id);
	sad->id[sad->pos[sa_id]] = sad->id[--sad->n];
	sad->pos[sad->id[sad->n]] = sad->pos[sa_id];
	sad->sa[sa_id] = NULL;
	return sa;
}

struct dp_sa *dp_sad_put(struct dp_sad *sad, struct dp_sa *sa)
{
	struct dp_sa *old = dp_sad_take(sad, sa->sa_id);
	uint16_t *head = head_of(sad, sa);

	sad->sa[sa->sa_id] = sa;
	sad->shard[sa->sa_id] = sa->shard;
	sad->pos[sa->sa_id] = (uint16_t)sad->n;
	sad->id[sad->n++] = (uint16_t)sa->sa_id;
	sad->next[sa->sa_id] = NONE;
	if (head != NULL) {
		sad->next[sa->sa_id] = *head;
		*head = (uint16_t)sa->sa_id;
	}
	if (sa->dir == DP_DIR_SEND) {
		sad->out_next[sa->sa_id] = sad->out_head[bucket(sa->spi)];
		__atomic_store_n(&sad->out_head[bucket(sa->spi)], (uint16_t)sa->sa_id, __ATOMIC_RELAXED);
	}
	return old;
}

struct dp_sa *dp_sad_find(const struct dp_sad *sad, uint32_t sa_id)
{
	return sad->sa[sa_id];
}

struct dp_sa *dp_sad_in(const struct dp_sad *sad, uint32_t spi)
{
	uint16_t i = sad->spi_head[bucket(spi)];

	for (; i != NONE; i = sad->next[i])
		if (sad->sa[i]->spi == spi)
			return sad->sa[i];
	return NULL;
}

struct dp_sa *dp_sad_out_spi(const struct dp_sad *sad, uint32_t spi, uint8_t family, const uint8_t *ip)
{
	uint16_t i = sad->out_head[bucket(spi)];

	for (; i != NONE; i = sad->out_next[i]) {
		struct dp_sa *sa = sad->sa[i];

		if (sa->spi == spi && sa->family == family && memcmp(sa->remote.ip, ip, 16) == 0)
			return sa;
	}
	return NULL;
}

bool dp_sad_out_maybe(const struct dp_sad *sad, uint32_t spi)
{
	return __atomic_load_n(&sad->out_head[bucket(spi)], __ATOMIC_RELAXED) != NONE;
}

struct dp_sa *dp_sad_out(const struct dp_sad *sad, uint32_t gw_id)
{
	uint16_t i = gw_id < DP_GW_MAX ? sad->gw_head[gw_id] : NONE;

	for (; i != NONE; i = sad->next[i])
		if (dp_sa_live(sad->sa[i]))
			return sad->sa[i];
	return NULL;
}

/*
 * By loads, whose values nobody wants: where many lines are under way, some CPUs (AMD Zen 4) let prefetches fall, and the packet waits
 * for each line by itself.
 */
static void fetch(const uint8_t *p, size_t from, size_t to)
{
	for (; from < to; from += 64)
		(void)*(const volatile uint8_t *)(p + from);
}

static void ask(const uint8_t *p, size_t from, size_t to)
{
	for (; from < to; from += 64)
		__builtin_prefetch(p + from);
}

/* 'sure': bytes of the SA that are loaded, the rest is prefetched. */
static inline void ahead(const struct dp_sad *sad, const uint16_t *head, unsigned step, uint32_t len, size_t sure)
{
	uint32_t powers = len / 16 + 2 < POWERS ? len / 16 + 2 : POWERS;
	size_t gcm = (AHEAD_GCM - 16 * powers) & ~(size_t)63;
	const uint8_t *sa;

	if (step == 0) {
		__builtin_prefetch(head);
		return;
	}
	if (*head == NONE)
		return;
	if (step == 1) {
		__builtin_prefetch(&sad->sa[*head]);
		return;
	}
	sa = (const uint8_t *)sad->sa[*head];
	if (step == 2) {
		fetch(sa, 0, sure < AHEAD ? sure : AHEAD);
		ask(sa, sure, AHEAD);
	} else if (sad->sa[*head]->crypt == DP_SA_GCM) {
		if (sure > AHEAD)
			fetch(sa, gcm, AHEAD_GCM);
		else
			ask(sa, gcm, AHEAD_GCM);
	}
}

void dp_sad_ahead_in(const struct dp_sad *sad, uint32_t spi, unsigned step, uint32_t len)
{
	ahead(sad, &sad->spi_head[bucket(spi)], step, len, 192); /* what is checked of a packet, and the window */
}

void dp_sad_ahead_out(const struct dp_sad *sad, uint32_t gw_id, unsigned step, uint32_t len)
{
	if (gw_id < DP_GW_MAX)
		ahead(sad, &sad->gw_head[gw_id], step, len, AHEAD_GCM);
}

struct dp_sa *dp_sad_out_udp(const struct dp_sad *sad, uint32_t gw_id, const struct dp_sockaddr *from, const struct dp_sockaddr *to)
{
	struct dp_sa *first = dp_sad_out(sad, gw_id);

	if (first == NULL || (sad->next[first->sa_id] == NONE) || dp_sa_selects_udp(first, from, to))
		return first;
	for (uint16_t i = sad->next[first->sa_id]; i != NONE; i = sad->next[i])
		if (dp_sa_live(sad->sa[i]) && dp_sa_selects_udp(sad->sa[i], from, to))
			return sad->sa[i];
	return first;
}

uint8_t dp_sad_shard(const struct dp_sad *sad, uint32_t sa_id)
{
	return sad->shard[sa_id];
}

uint32_t dp_sad_list(const struct dp_sad *sad, const uint16_t **ret_ids)
{
	*ret_ids = sad->id;
	return sad->n;
}
