/* SPDX-License-Identifier: BSD-3-Clause */
#include "media.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS_PER_BLOCK (DP_PORTS_PER_SHARD / 2)

struct block {
	uint64_t used[PAIRS_PER_BLOCK / 64];
	uint8_t next; /* where the next search begins: a given-back pair comes last */
	uint8_t free;
};

struct cp_ports {
	const struct cfg_media *media;
	uint32_t used;
	uint8_t next_shard;
	struct block (*blocks)[DP_SHARDS]; /* [address][shard] */
};

struct cp_ports *cp_ports_create(const struct cfg_media *media)
{
	struct cp_ports *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->media = media;
	p->blocks = calloc(media->addresses_count > 0 ? media->addresses_count : 1, sizeof(*p->blocks));
	if (p->blocks == NULL) {
		free(p);
		return NULL;
	}
	for (unsigned a = 0; a < media->addresses_count; a++)
		for (unsigned s = 0; s < DP_SHARDS; s++)
			p->blocks[a][s].free = PAIRS_PER_BLOCK;
	return p;
}

void cp_ports_destroy(struct cp_ports *ports)
{
	if (ports == NULL)
		return;
	free(ports->blocks);
	free(ports);
}

static bool address_fits(const struct cfg_media_addr *a, const char *region, uint8_t family)
{
	return strcmp(a->region, region) == 0 && (family == 0 || a->addr.family == family);
}

static bool region_known(const struct cp_ports *p, const char *region, uint8_t family)
{
	for (unsigned a = 0; a < p->media->addresses_count; a++)
		if (address_fits(&p->media->addresses[a], region, family))
			return true;
	return false;
}

/* An address of the region with 'want' free pairs in the shard, or -1. */
static int address_in_shard(const struct cp_ports *p, const char *region, uint8_t family, unsigned shard,
			    unsigned want, int also_used_by)
{
	for (unsigned a = 0; a < p->media->addresses_count; a++) {
		unsigned need = (int)a == also_used_by ? want + 1 : want;

		if (address_fits(&p->media->addresses[a], region, family) && p->blocks[a][shard].free >= need)
			return (int)a;
	}
	return -1;
}

static uint32_t take_pair(struct cp_ports *p, unsigned addr, unsigned shard)
{
	struct block *b = &p->blocks[addr][shard];

	for (unsigned i = 0; i < PAIRS_PER_BLOCK; i++) {
		unsigned k = (b->next + i) % PAIRS_PER_BLOCK;

		if ((b->used[k / 64] >> (k % 64) & 1) == 0) {
			b->used[k / 64] |= 1ull << (k % 64);
			b->next = (uint8_t)((k + 1) % PAIRS_PER_BLOCK);
			b->free--;
			p->used++;
			return addr * DP_LEGS_PER_ADDR + shard * PAIRS_PER_BLOCK + k;
		}
	}
	return UINT32_MAX; /* the caller saw a free pair */
}

int cp_ports_take(struct cp_ports *ports, const char *region_a, uint8_t family_a, const char *region_b,
		  uint8_t family_b, uint32_t *ret_leg_a, uint32_t *ret_leg_b)
{
	if (!region_known(ports, region_a, family_a))
		region_a = "default";
	if (!region_known(ports, region_b, family_b))
		region_b = "default";
	if (!region_known(ports, region_a, family_a) || !region_known(ports, region_b, family_b))
		return -ENOENT;
	for (unsigned i = 0; i < DP_SHARDS; i++) {
		unsigned shard = (ports->next_shard + i) % DP_SHARDS;
		int a = address_in_shard(ports, region_a, family_a, shard, 1, -1);
		int b = a < 0 ? -1 : address_in_shard(ports, region_b, family_b, shard, 1, a);

		if (b < 0)
			continue;
		*ret_leg_a = take_pair(ports, (unsigned)a, shard);
		*ret_leg_b = take_pair(ports, (unsigned)b, shard);
		ports->next_shard = (uint8_t)((shard + 1) % DP_SHARDS);
		return 0;
	}
	return -ENOSPC;
}

int cp_ports_take_in(struct cp_ports *ports, const char *region, uint8_t family, unsigned shard, uint32_t *ret_leg)
{
	int a;

	if (!region_known(ports, region, family))
		region = "default";
	if (!region_known(ports, region, family))
		return -ENOENT;
	a = address_in_shard(ports, region, family, shard % DP_SHARDS, 1, -1);
	if (a < 0)
		return -ENOSPC;
	*ret_leg = take_pair(ports, (unsigned)a, shard % DP_SHARDS);
	return 0;
}

static struct block *block_of(struct cp_ports *p, uint32_t leg_id, unsigned *ret_pair)
{
	if (leg_id >= p->media->addresses_count * (uint32_t)DP_LEGS_PER_ADDR)
		return NULL;
	*ret_pair = leg_id % PAIRS_PER_BLOCK;
	return &p->blocks[DP_LEG_ADDR(leg_id)][DP_LEG_SHARD(leg_id)];
}

int cp_ports_claim(struct cp_ports *ports, uint32_t leg_id)
{
	unsigned k;
	struct block *b = block_of(ports, leg_id, &k);

	if (b == NULL)
		return -EINVAL;
	if ((b->used[k / 64] >> (k % 64) & 1) != 0)
		return -EEXIST;
	b->used[k / 64] |= 1ull << (k % 64);
	b->free--;
	ports->used++;
	return 0;
}

void cp_ports_put(struct cp_ports *ports, uint32_t leg_id)
{
	unsigned k;
	struct block *b = block_of(ports, leg_id, &k);

	if (b == NULL || (b->used[k / 64] >> (k % 64) & 1) == 0)
		return;
	b->used[k / 64] &= ~(1ull << (k % 64));
	b->free++;
	ports->used--;
}

uint32_t cp_ports_used(const struct cp_ports *ports)
{
	return ports->used;
}

bool cp_ports_addr(const struct cp_ports *ports, uint32_t leg_id, struct cfg_addr *ret_addr)
{
	if (leg_id >= ports->media->addresses_count * (uint32_t)DP_LEGS_PER_ADDR)
		return false;
	*ret_addr = ports->media->addresses[DP_LEG_ADDR(leg_id)].addr;
	ret_addr->plen = ret_addr->family == 4 ? 32 : 128;
	ret_addr->port = DP_LEG_PORT(leg_id, ports->media->base_port);
	return true;
}

void cp_to_dp_addr(struct dp_sockaddr *out, const struct cfg_addr *in)
{
	memset(out, 0, sizeof(*out));
	out->family = in->family;
	out->port = in->port;
	memcpy(out->ip, in->ip, in->family == 4 ? 4 : 16);
}

void cp_from_dp_addr(struct cfg_addr *out, const struct dp_sockaddr *in)
{
	memset(out, 0, sizeof(*out));
	out->family = in->family;
	out->port = in->port;
	out->plen = in->family == 4 ? 32 : 128;
	memcpy(out->ip, in->ip, in->family == 4 ? 4 : 16);
}
