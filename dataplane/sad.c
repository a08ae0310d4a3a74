/* SPDX-License-Identifier: BSD-3-Clause */
#include "sad.h"

#include <stdlib.h>
#include <string.h>

#include "ipsec/sa.h"

#define NONE    UINT16_MAX
#define BUCKETS (DP_SA_MAX * 2)

struct dp_sad {
	uint32_t n;
	uint16_t id[DP_SA_MAX];       /* of those in use */
	uint16_t spi_head[BUCKETS];   /* chains of identifiers through next */
	uint16_t gw_head[DP_GW_MAX];
	uint16_t next[DP_SA_MAX];     /* an SA is in one chain: by SPI inbound, by gateway outbound */
	struct dp_sa *sa[DP_SA_MAX];
};

struct dp_sad *dp_sad_create(void)
{
	struct dp_sad *sad = calloc(1, sizeof(*sad));

	if (sad != NULL) {
		memset(sad->spi_head, 0xff, sizeof(sad->spi_head));
		memset(sad->gw_head, 0xff, sizeof(sad->gw_head));
	}
	return sad;
}

void dp_sad_destroy(struct dp_sad *sad)
{
	free(sad);
}

static uint16_t *head_of(struct dp_sad *sad, const struct dp_sa *sa)
{
	if (sa->dir == DP_DIR_RECV)
		return &sad->spi_head[(sa->spi * 0x9e3779b1u) >> 16 & (BUCKETS - 1)];
	return sa->gw_id < DP_GW_MAX ? &sad->gw_head[sa->gw_id] : NULL;
}

struct dp_sa *dp_sad_take(struct dp_sad *sad, uint32_t sa_id)
{
	struct dp_sa *sa = sad->sa[sa_id];
	uint16_t *at;

	if (sa == NULL)
		return NULL;
	for (at = head_of(sad, sa); at != NULL && *at != NONE; at = &sad->next[*at]) {
		if (*at == sa_id) {
			*at = sad->next[sa_id];
			break;
		}
	}
	for (uint32_t i = 0; i < sad->n; i++) {
		if (sad->id[i] == sa_id) {
			sad->id[i] = sad->id[--sad->n];
			break;
		}
	}
	sad->sa[sa_id] = NULL;
	return sa;
}

struct dp_sa *dp_sad_put(struct dp_sad *sad, struct dp_sa *sa)
{
	struct dp_sa *old = dp_sad_take(sad, sa->sa_id);
	uint16_t *head = head_of(sad, sa);

	sad->sa[sa->sa_id] = sa;
	sad->id[sad->n++] = (uint16_t)sa->sa_id;
	sad->next[sa->sa_id] = NONE;
	if (head != NULL) {
		sad->next[sa->sa_id] = *head;
		*head = (uint16_t)sa->sa_id;
	}
	return old;
}

struct dp_sa *dp_sad_find(const struct dp_sad *sad, uint32_t sa_id)
{
	return sad->sa[sa_id];
}

struct dp_sa *dp_sad_in(const struct dp_sad *sad, uint32_t spi)
{
	uint16_t i = sad->spi_head[(spi * 0x9e3779b1u) >> 16 & (BUCKETS - 1)];

	for (; i != NONE; i = sad->next[i])
		if (sad->sa[i]->spi == spi)
			return sad->sa[i];
	return NULL;
}

struct dp_sa *dp_sad_out(const struct dp_sad *sad, uint32_t gw_id)
{
	uint16_t i = gw_id < DP_GW_MAX ? sad->gw_head[gw_id] : NONE;

	for (; i != NONE; i = sad->next[i])
		if (dp_sa_live(sad->sa[i]))
			return sad->sa[i];
	return NULL;
}

uint32_t dp_sad_list(const struct dp_sad *sad, const uint16_t **ret_ids)
{
	*ret_ids = sad->id;
	return sad->n;
}
