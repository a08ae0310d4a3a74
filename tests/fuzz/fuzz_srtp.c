/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bursts of outside bytes into SRTP and SRTCP. Input: one byte of setup (bit 0 suite, bit 1 SRTCP with E = 0
 * allowed, bit 2 a named SSRC), then records: a byte of flags, two of length (9 bits used), the packet. Flags: bit 0
 * RTCP; bit 1 protect it first, so that what lies behind authentication is reached; bit 2 then flip a byte of it.
 * Every packet lies in a heap block of its exact size.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/mb.h"
#include "srtp/srtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct dp_mb *mb;
static struct dp_srtp_pool *pool;

static void run(struct dp_srtp_pkt *pkts, uint16_t n, int rtcp)
{
	uint16_t len[DP_SRTP_BURST], ok = 0, got;

	for (uint16_t i = 0; i < n; i++)
		len[i] = pkts[i].len;
	got = rtcp ? dp_srtcp_unprotect_burst(mb, pkts, n) : dp_srtp_unprotect_burst(mb, pkts, n);
	for (uint16_t i = 0; i < n; i++) {
		if (pkts[i].verdict >= DP_DROP_MAX || pkts[i].len > len[i])
			abort();
		if (pkts[i].verdict == DP_OK ? pkts[i].len >= len[i] : pkts[i].len != len[i])
			abort();
		ok = (uint16_t)(ok + (pkts[i].verdict == DP_OK));
		free(pkts[i].data);
	}
	if (ok != got)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t master[30] = {1, 2, 3, 4};
	struct dp_srtp_pkt pkts[2][DP_SRTP_BURST];
	struct dp_srtp_key rx, tx;
	struct dp_srtp_params par = {.dir = DP_DIR_RECV, .key = master, .salt = master + 16};
	uint16_t n[2] = {0, 0};
	uint8_t clear;

	if (mb == NULL) {
		mb = dp_mb_create();
		pool = dp_srtp_pool_create(16, 0);
		if (mb == NULL || pool == NULL)
			abort();
	}
	if (size < 1)
		return 0;
	par.suite = (data[0] & 1) != 0 ? DP_AES_CM_128_HMAC_SHA1_32 : DP_AES_CM_128_HMAC_SHA1_80;
	clear = (data[0] & 2) != 0;
	par.ssrc = (data[0] & 4) != 0 ? 0x01020304 : 0;
	par.pool = pool;
	if (dp_srtp_key_init(mb, &rx, &par) != 0)
		abort();
	par.dir = DP_DIR_SEND;
	if (dp_srtp_key_init(mb, &tx, &par) != 0)
		abort();
	data++;
	size--;
	while (size >= 3) {
		uint8_t flags = data[0], r = flags & 1;
		size_t len = ((size_t)data[1] << 8 | data[2]) & 0x1ff;
		struct dp_srtp_pkt *pkt = &pkts[r][n[r]];
		uint8_t *wire;

		data += 3;
		size -= 3;
		if (len > size)
			len = size;
		wire = malloc(len + DP_SRTCP_TRAILER);
		memcpy(wire, data, len);
		data += len;
		size -= len;
		*pkt = (struct dp_srtp_pkt){.data = wire, .len = (uint16_t)len, .room = DP_SRTCP_TRAILER, .key = &tx};
		if ((flags & 2) != 0) {
			(void)(r ? dp_srtcp_protect_burst(mb, pkt, 1) : dp_srtp_protect_burst(mb, pkt, 1));
			if ((flags & 4) != 0 && pkt->len > 0)
				wire[(size_t)flags * 7 % pkt->len] ^= (uint8_t)(flags | 1);
		}
		len = pkt->len;
		*pkt = (struct dp_srtp_pkt){.data = malloc(len > 0 ? len : 1), .len = (uint16_t)len, .key = &rx,
					    .clear = clear};
		memcpy(pkt->data, wire, len);
		free(wire);
		if (++n[r] == DP_SRTP_BURST) {
			run(pkts[r], n[r], r);
			n[r] = 0;
		}
	}
	run(pkts[0], n[0], 0);
	run(pkts[1], n[1], 1);
	dp_srtp_key_wipe(&rx);
	dp_srtp_key_wipe(&tx);
	return 0;
}
