/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Indexes of security associations. 20,000 of them, each renewed by IKE every hour: nothing that is done for one may look
 * at the others.
 */
#include <openssl/rand.h>

#include "gateway/saint.h"

enum { HEADS_NAME, HEADS_SPI, HEADS_KEY, HEADS_KEY_OUT, HEADS_GATEWAY, HEADS };

int sa_index_init(struct cp_sas *sas)
{
	struct sa_index *ix = &sas->ix;
	uint32_t heads = 64, words = (sas->max + 63) / 64, sums = (words + 63) / 64;

	while (heads < sas->max)
		heads *= 2;
	ix->mask = heads - 1;
	ix->head = malloc((size_t)heads * HEADS * sizeof(*ix->head));
	ix->gw = calloc(sas->max + 1, sizeof(*ix->gw));
	ix->taken = calloc(words + (size_t)sums, sizeof(*ix->taken));
	if (ix->head == NULL || ix->gw == NULL || ix->taken == NULL)
		return -ENOMEM;
	if (RAND_bytes((unsigned char *)ix->seed, sizeof(ix->seed)) != 1)
		return -EIO;
	ix->all = ix->taken + words;
	memset(ix->head, 0xff, (size_t)heads * HEADS * sizeof(*ix->head));
	for (uint32_t i = 0; i < sas->max; i++)
		ix->gw[i].next = i + 1 < sas->max ? i + 1 : SA_NONE;
	/* What is behind the last id is taken for ever. */
	for (uint32_t i = sas->max; i < words * 64; i++)
		sa_id_take(sas, i);
	for (uint32_t i = words; i < sums * 64; i++)
		ix->all[i / 64] |= UINT64_C(1) << i % 64;
	return 0;
}

void sa_index_fini(struct cp_sas *sas)
{
	free(sas->ix.head);
	free(sas->ix.gw);
	free(sas->ix.taken);
}

static uint32_t *heads(struct cp_sas *sas, int which, const void *key, size_t len)
{
	return &sas->ix.head[(size_t)which * (sas->ix.mask + 1) + (cp_tab_hash(sas->ix.seed, key, len) & sas->ix.mask)];
}

static uint32_t *spi_heads(struct cp_sas *sas, uint8_t dir, uint32_t spi, const struct cfg_addr *remote)
{
	uint8_t key[24] = {dir};

	memcpy(key + 4, &spi, sizeof(spi));
	if (dir == DP_DIR_SEND)
		memcpy(key + 8, remote->ip, sizeof(remote->ip));
	return heads(sas, HEADS_SPI, key, sizeof(key));
}

static void link_front(struct cp_sas *sas, uint32_t id, enum sa_chain c, uint32_t *head)
{
	struct sa *sa = &sas->sa[id];

	sa->head[c] = head;
	sa->prev[c] = SA_NONE;
	sa->next[c] = *head;
	if (*head != SA_NONE)
		sas->sa[*head].prev[c] = id;
	*head = id;
}

static void unlink_from(struct cp_sas *sas, uint32_t id, enum sa_chain c)
{
	struct sa *sa = &sas->sa[id];

	if (sa->prev[c] != SA_NONE)
		sas->sa[sa->prev[c]].next[c] = sa->next[c];
	else
		*sa->head[c] = sa->next[c];
	if (sa->next[c] != SA_NONE)
		sas->sa[sa->next[c]].prev[c] = sa->prev[c];
}

struct sa_gateway *sa_find_gateway(struct cp_sas *sas, const char *name)
{
	uint32_t i = *heads(sas, HEADS_GATEWAY, name, strlen(name));

	for (; i != SA_NONE; i = sas->ix.gw[i].next) {
		sas->ix.probes++;
		if (strcmp(sas->ix.gw[i].name, name) == 0)
			return &sas->ix.gw[i];
	}
	return NULL;
}

static void append(struct cp_sas *sas, struct sa_gateway *g, uint32_t id)
{
	struct sa *sa = &sas->sa[id];

	sa->prev[SA_OF_GATEWAY] = g->last;
	sa->next[SA_OF_GATEWAY] = SA_NONE;
	if (g->last != SA_NONE)
		sas->sa[g->last].next[SA_OF_GATEWAY] = id;
	else
		g->first = id;
	g->last = id;
}

static void join_gateway(struct cp_sas *sas, uint32_t id)
{
	struct sa *sa = &sas->sa[id];
	struct sa_gateway *g = sa_find_gateway(sas, sa->rec.gateway);

	if (g == NULL) {
		uint32_t *head = heads(sas, HEADS_GATEWAY, sa->rec.gateway, strlen(sa->rec.gateway));
		uint32_t i = sas->ix.gw_free;

		g = &sas->ix.gw[i];
		sas->ix.gw_free = g->next;
		*g = (struct sa_gateway){.next = *head, .first = SA_NONE, .last = SA_NONE};
		snprintf(g->name, sizeof(g->name), "%s", sa->rec.gateway);
		*head = i;
	}
	sa->gw = (uint32_t)(g - sas->ix.gw);
	g->ike[sa->rec.dir] += sa->origin == SA_IKE;
	append(sas, g, id);
}

static void leave_gateway(struct cp_sas *sas, uint32_t id)
{
	struct sa *sa = &sas->sa[id];
	struct sa_gateway *g = &sas->ix.gw[sa->gw];
	uint32_t *at;

	if (sa->covers)
		g->cover[sa->rec.dir]--;
	sa->covers = false;
	g->ike[sa->rec.dir] -= sa->origin == SA_IKE;
	sa->head[SA_OF_GATEWAY] = &g->first;
	unlink_from(sas, id, SA_OF_GATEWAY);
	if (g->last == id)
		g->last = sa->prev[SA_OF_GATEWAY];
	if (g->first != SA_NONE)
		return;
	at = heads(sas, HEADS_GATEWAY, g->name, strlen(g->name));
	while (*at != sa->gw) {
		sas->ix.probes++;
		at = &sas->ix.gw[*at].next;
	}
	*at = g->next;
	g->next = sas->ix.gw_free;
	sas->ix.gw_free = sa->gw;
}

static uint32_t *key_heads(struct cp_sas *sas, uint8_t dir, const uint8_t *id, size_t len)
{
	return heads(sas, dir == DP_DIR_SEND ? HEADS_KEY_OUT : HEADS_KEY, id, len);
}

void sa_index_add(struct cp_sas *sas, uint32_t id)
{
	struct sa *sa = &sas->sa[id];
	uint8_t key[96];
	size_t len = sa_identity(&sas->secret[id], sa->rec.alg, key);

	link_front(sas, id, SA_BY_NAME, heads(sas, HEADS_NAME, sa->rec.name, strlen(sa->rec.name)));
	link_front(sas, id, SA_BY_SPI, spi_heads(sas, sa->rec.dir, sa->rec.spi, &sa->rec.remote));
	link_front(sas, id, SA_BY_KEY, key_heads(sas, sa->rec.dir, key, len));
	OPENSSL_cleanse(key, sizeof(key));
	join_gateway(sas, id);
	sa_id_take(sas, id);
}

void sa_index_del(struct cp_sas *sas, uint32_t id)
{
	unlink_from(sas, id, SA_BY_NAME);
	unlink_from(sas, id, SA_BY_SPI);
	unlink_from(sas, id, SA_BY_KEY);
	leave_gateway(sas, id);
	sa_id_give(sas, id);
}

void sa_index_last(struct cp_sas *sas, uint32_t id)
{
	struct sa *sa = &sas->sa[id];
	struct sa_gateway *g = &sas->ix.gw[sa->gw];

	if (g->last == id)
		return;
	sa->head[SA_OF_GATEWAY] = &g->first;
	unlink_from(sas, id, SA_OF_GATEWAY);
	append(sas, g, id);
}

uint32_t sa_find_name(struct cp_sas *sas, const char *name)
{
	uint32_t i = *heads(sas, HEADS_NAME, name, strlen(name));

	for (; i != SA_NONE; i = sas->sa[i].next[SA_BY_NAME]) {
		sas->ix.probes++;
		if (strcmp(sas->sa[i].rec.name, name) == 0)
			break;
	}
	return i;
}

uint32_t sa_find_spi(struct cp_sas *sas, uint8_t dir, uint32_t spi, const struct cfg_addr *remote)
{
	uint32_t i = *spi_heads(sas, dir, spi, remote);

	for (; i != SA_NONE; i = sas->sa[i].next[SA_BY_SPI]) {
		const struct cp_sa *r = &sas->sa[i].rec;

		sas->ix.probes++;
		if (r->dir == dir && r->spi == spi &&
		    (dir == DP_DIR_RECV || memcmp(r->remote.ip, remote->ip, sizeof(remote->ip)) == 0))
			break;
	}
	return i;
}

uint32_t sa_find_key(struct cp_sas *sas, uint8_t dir, const uint8_t *id, size_t len)
{
	uint32_t i = *key_heads(sas, dir, id, len);
	uint8_t have[96];

	for (; i != SA_NONE; i = sas->sa[i].next[SA_BY_KEY]) {
		sas->ix.probes++;
		if (sa_identity(&sas->secret[i], sas->sa[i].rec.alg, have) == len && CRYPTO_memcmp(have, id, len) == 0)
			break;
	}
	OPENSSL_cleanse(have, sizeof(have));
	return i;
}

/* --- ids --- */

uint32_t sa_id_low(const struct cp_sas *sas)
{
	uint32_t sums = ((sas->max + 63) / 64 + 63) / 64;

	for (uint32_t s = 0; s < sums; s++) {
		if (~sas->ix.all[s] != 0) {
			uint32_t w = s * 64 + (uint32_t)__builtin_ctzll(~sas->ix.all[s]);

			return w * 64 + (uint32_t)__builtin_ctzll(~sas->ix.taken[w]);
		}
	}
	return SA_NONE;
}

uint32_t sa_id_high(const struct cp_sas *sas)
{
	for (uint32_t s = ((sas->max + 63) / 64 + 63) / 64; s-- > 0;) {
		if (~sas->ix.all[s] != 0) {
			uint32_t w = s * 64 + 63 - (uint32_t)__builtin_clzll(~sas->ix.all[s]);

			return w * 64 + 63 - (uint32_t)__builtin_clzll(~sas->ix.taken[w]);
		}
	}
	return SA_NONE;
}

void sa_id_take(struct cp_sas *sas, uint32_t id)
{
	struct sa_index *ix = &sas->ix;

	ix->taken[id / 64] |= UINT64_C(1) << id % 64;
	if (ix->taken[id / 64] == UINT64_MAX)
		ix->all[id / 4096] |= UINT64_C(1) << id / 64 % 64;
}

void sa_id_give(struct cp_sas *sas, uint32_t id)
{
	sas->ix.taken[id / 64] &= ~(UINT64_C(1) << id % 64);
	sas->ix.all[id / 4096] &= ~(UINT64_C(1) << id / 64 % 64);
}
