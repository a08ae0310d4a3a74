/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bursts of outside bytes into SRTP and SRTCP. Input: two bytes of setup (bits 0..3 suite, 4 SRTCP with E = 0 allowed, 5 a
 * named SSRC, 6 an MKI, 7 a second key; second byte: bits 0 and 1 derivation rate, 2 a wide window, 3 From and To, 4 the
 * second key has streams of its own), then records: a byte of flags, two of length (9 bits used), the packet. Flags: bit
 * 0 RTCP; bit 1 protect it first, so that what lies behind authentication is reached; bit 2 then flip a byte of it;
 * bit 3 protect it with the second key. Every packet lies in a heap block of its exact size.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/mb.h"
#include "dp_suite.h"
#include "srtp/list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct dp_mb *mb;
static struct dp_srtp_pool *pool[2]; /* of narrow windows, and of wide ones */

static void run(struct dp_srtp_key **rx, struct dp_srtp_pkt *pkts, uint16_t n, int rtcp)
{
	struct dp_srtp_event ev[DP_SRTP_EVENTS];
	uint16_t len[DP_SRTP_BURST], ok = 0, got;

	for (uint16_t i = 0; i < n; i++) {
		len[i] = pkts[i].len;
		pkts[i].key = *rx;
	}
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
	if ((*rx)->pending != 0)
		(void)dp_srtp_keys_service(rx, 1, ev);
	if ((*rx)->pending != 0)
		abort();
}

static struct dp_srtp_key *make(const struct dp_srtp_params *par)
{
	struct dp_srtp_key *key = aligned_alloc(64, sizeof(*key));

	if (key == NULL || dp_srtp_key_init(mb, key, par) != 0)
		abort();
	return key;
}

static void drop(struct dp_srtp_key *key)
{
	while (key != NULL) {
		struct dp_srtp_key *next = key->next;

		dp_srtp_key_wipe(key);
		free(key);
		key = next;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t master[2][46] = {{1, 2, 3, 4}, {5, 6, 7, 8}}, mki[2][4] = {{1}, {2}};
	struct dp_srtp_pkt pkts[2][DP_SRTP_BURST];
	struct dp_srtp_key *rx = NULL, *tx[2];
	struct dp_srtp_params par = {0};
	uint16_t n[2] = {0, 0};
	uint8_t clear;
	bool fresh;

	if (mb == NULL) {
		mb = dp_mb_create();
		pool[0] = dp_srtp_pool_create(16, 0);
		pool[1] = dp_srtp_pool_create(16, DP_REPLAY_MAX);
		if (mb == NULL || pool[0] == NULL || pool[1] == NULL)
			abort();
	}
	if (size < 2)
		return 0;
	par.suite = (uint8_t)(1 + (data[0] & 15) % (DP_SRTP_SUITE_MAX - 1));
	clear = (data[0] & 16) != 0;
	par.ssrc = (data[0] & 32) != 0 ? 0x01020304 : 0;
	par.mki_len = (data[0] & 64) != 0 ? 4 : 0;
	par.kdr = data[1] & 3;
	par.window = (data[1] & 4) != 0 ? DP_REPLAY_MAX : 0;
	par.to = (data[1] & 8) != 0 ? 0x2000 : 0;
	par.pool = pool[(data[1] & 4) != 0];
	for (int k = 0; k < 2; k++) {
		par.key = master[k];
		par.salt = master[k] + 32;
		par.mki = mki[k];
		par.dir = DP_DIR_SEND;
		tx[k] = make(&par);
		par.dir = DP_DIR_RECV;
		if (k == 0 || (data[0] & 128) != 0)
			drop(dp_srtp_keys_set(&rx, make(&par), (data[1] & 16) != 0 ? 0 : par.mki_len > 0 ? DP_KEY_F_ADD : DP_KEY_F_KEEP_ROC,
					      1000, 0, &fresh));
	}
	data += 2;
	size -= 2;
	while (size >= 3) {
		uint8_t flags = data[0], r = flags & 1;
		size_t len = ((size_t)data[1] << 8 | data[2]) & 0x1ff;
		struct dp_srtp_pkt *pkt = &pkts[r][n[r]];
		uint8_t *wire;

		data += 3;
		size -= 3;
		if (len > size)
			len = size;
		wire = malloc(len + DP_SRTCP_TRAILER_MAX);
		memcpy(wire, data, len);
		data += len;
		size -= len;
		*pkt = (struct dp_srtp_pkt){.data = wire, .len = (uint16_t)len, .room = DP_SRTCP_TRAILER_MAX,
					    .key = tx[(flags & 8) != 0], .clear = clear};
		if ((flags & 2) != 0) {
			(void)(r ? dp_srtcp_protect_burst(mb, pkt, 1) : dp_srtp_protect_burst(mb, pkt, 1));
			if ((flags & 4) != 0 && pkt->len > 0)
				wire[(size_t)flags * 7 % pkt->len] ^= (uint8_t)(flags | 1);
		}
		len = pkt->len;
		*pkt = (struct dp_srtp_pkt){.data = malloc(len > 0 ? len : 1), .len = (uint16_t)len, .clear = clear};
		memcpy(pkt->data, wire, len);
		free(wire);
		if (++n[r] == DP_SRTP_BURST) {
			run(&rx, pkts[r], n[r], r);
			n[r] = 0;
		}
	}
	run(&rx, pkts[0], n[0], 0);
	run(&rx, pkts[1], n[1], 1);
	drop(dp_srtp_keys_clear(&rx));
	drop(tx[0]);
	drop(tx[1]);
	return 0;
}
