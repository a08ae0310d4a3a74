/* SPDX-License-Identifier: BSD-3-Clause */
#include "police.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

struct dp_rate dp_rate_of(uint32_t pps, uint64_t hz)
{
	struct dp_rate r = {0, 0};
	uint64_t period;

	if (pps == 0 || pps == DP_POLICE_NONE)
		return r;
	period = hz / pps;
	r.period = period > UINT32_MAX ? UINT32_MAX : period > 0 ? (uint32_t)period : 1;
	r.burst = pps / 2 > UINT16_MAX ? UINT16_MAX : pps / 2 > DP_POLICE_BURST ? pps / 2 : DP_POLICE_BURST;
	return r;
}

int dp_police_init(struct dp_police *p, uint32_t pps, uint64_t hz, uint64_t now_cyc)
{
	p->rate = dp_rate_of(pps, hz);
	if (getrandom(p->secret, sizeof(p->secret), 0) != (ssize_t)sizeof(p->secret))
		return -EIO;
	for (unsigned int i = 0; i < DP_POLICE_SLOTS; i++)
		dp_rate_start(&p->slot[i], &p->rate, now_cyc);
	return 0;
}

/* Multiply and fold with a secret: nobody outside can choose addresses that share a slot. */
static uint32_t slot_of(const struct dp_police *p, uint8_t family, const uint8_t *src)
{
	__extension__ typedef unsigned __int128 u128;
	uint64_t a, b;
	u128 m;

	memcpy(&a, src, 8);
	memcpy(&b, src + 8, 8);
	m = (u128)(a ^ p->secret[0]) * ((b ^ p->secret[1]) | 1);
	a = (uint64_t)m ^ (uint64_t)(m >> 64) ^ family;
	m = (u128)(a ^ p->secret[1]) * (p->secret[0] | 1);
	return (uint32_t)((uint64_t)(m >> 64) ^ (uint64_t)m) % DP_POLICE_SLOTS;
}

bool dp_police_source(struct dp_police *p, uint8_t family, const uint8_t *src, uint64_t now_cyc)
{
	if (p->rate.period == 0)
		return true;
	return dp_rate_pass(&p->slot[slot_of(p, family, src)], p->rate.period, p->rate.burst, now_cyc);
}
