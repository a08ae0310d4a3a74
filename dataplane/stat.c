/* SPDX-License-Identifier: BSD-3-Clause */
#include "stat.h"

#include "parse.h"

void dp_stat_begin(struct dp_stat *s, uint32_t ssrc, uint16_t seq, uint32_t transit)
{
	__atomic_store_n(&s->turn, (uint8_t)(s->turn + 1), __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	if (s->begun) {
		s->before += s->ext - s->base + 1;
		s->changes = (uint16_t)(s->changes + (ssrc != s->ssrc));
	}
	s->begun = 1;
	s->ssrc = ssrc;
	s->ext = seq;
	s->base = seq;
	s->bad = DP_STAT_NO_BAD;
	s->seen = 1;
	s->transit = transit; /* jitter goes on: it is the way's, not the SSRC's */
	s->received++;
	__atomic_store_n(&s->turn, (uint8_t)(s->turn + 1), __ATOMIC_RELEASE);
}

enum dp_stat_seq dp_stat_jump(struct dp_stat *s, uint16_t seq, uint32_t transit)
{
	if (seq != s->bad) {
		s->bad = (seq + 1u) & 0xffff;
		return DP_STAT_JUMP;
	}
	dp_stat_begin(s, s->ssrc, (uint16_t)(seq - 1), transit);
	s->ext = s->base + 1;
	s->seen = 3;
	s->received++; /* the one before, too */
	return DP_STAT_BEGIN;
}

/* Go on in 64 bits where a counter of 32 wraps. */
static void extend(uint64_t *at, uint32_t now)
{
	*at += (uint32_t)(now - (uint32_t)*at);
}

void dp_stat_page(const struct dp_stat *s, struct dp_page_rtp *ret)
{
	uint8_t turn = __atomic_load_n(&s->turn, __ATOMIC_ACQUIRE);
	struct dp_stat now = *s;

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	/* Half of a change: sums that are too high now would seem to wrap the next time. Then they are read. */
	if ((turn & 1) != 0 || __atomic_load_n(&s->turn, __ATOMIC_RELAXED) != turn || !now.begun)
		return;
	ret->ssrc = now.ssrc;
	ret->ssrc_changes += (uint16_t)(now.changes - (uint16_t)ret->ssrc_changes);
	extend(&ret->expected, now.before + (now.ext - now.base + 1));
	extend(&ret->received, now.received);
	extend(&ret->reordered, now.reordered);
	ret->jitter = now.jitter;
	ret->gap_max_us = now.gap_us;
	ret->ext_seq = now.ext;
}

void dp_rtcp_read(const uint8_t *data, uint16_t len, uint32_t ssrc, struct dp_rtcp_seen *ret)
{
	uint32_t at = 0;

	memset(ret, 0, sizeof(*ret));
	while (at + 8 <= len && data[at] >> 6 == 2) {
		const uint8_t *p = data + at;
		uint32_t plen = (dp_get16(p + 2) + 1u) * 4u, off = 8;

		if (plen > len - at)
			return;
		if (p[1] == 200) {
			if (plen < 28)
				return;
			if (!ret->sr) {
				ret->sr = true;
				ret->sr_ssrc = dp_get32(p + 4);
				ret->sr_mid = dp_get32(p + 10);
			}
			off = 28;
		}
		for (unsigned int i = 0; (p[1] == 200 || p[1] == 201) && i < (p[0] & 31u) && off + 24 <= plen; i++, off += 24) {
			const uint8_t *b = p + off;

			if (dp_get32(b) != ssrc)
				continue;
			ret->block = true;
			ret->fraction = b[4];
			ret->lost = (int32_t)((uint32_t)b[5] << 24 | (uint32_t)b[6] << 16 | (uint32_t)b[7] << 8) >> 8;
			ret->ext_off = (uint16_t)(at + off + 8);
			ret->jitter = dp_get32(b + 12);
			ret->lsr = dp_get32(b + 16);
			ret->dlsr = dp_get32(b + 20);
		}
		at += plen;
	}
}

uint64_t dp_rtcp_rtt(const struct dp_rtcp_seen *seen, uint32_t sr_mid, uint64_t sr_us, uint64_t now_us)
{
	uint64_t held = ((uint64_t)seen->dlsr * 1000000) >> 16, took = now_us - sr_us;

	if (!seen->block || seen->lsr == 0 || seen->lsr != sr_mid || sr_us == 0)
		return 0;
	/* Clocks of two machines: what comes out below zero is a very short one. */
	return took > held ? took - held : 1;
}
