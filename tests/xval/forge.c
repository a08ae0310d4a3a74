/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * forge [TRIALS] [SEED]: for every suite, TRIALS forgeries and TRIALS replays of SRTP, and a tenth as many of SRTCP (10^7 with
 * RAVELIN_FULL=1): none is accepted, and genuine packets in between all are. Forgeries: bits of header, extension, payload, tag, MKI and
 * index turned over, cut short, lengthened, tags of other packets, other keys' packets, random bytes. With a 32-bit tag a
 * random one passes once in 2^32: the seed is fixed, so it is always the same ones that do not.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/mb.h"
#include "dp_suite.h"
#include "srtp/srtp.h"

#define BUF  1800
#define KEEP 128 /* genuine packets of late, all within a window of 192 or left of it */

struct wire {
	uint8_t data[BUF];
	uint16_t len;
};

static struct dp_mb *mb;
static uint64_t seed;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull >> 11;
}

static void bytes(uint8_t *p, size_t n)
{
	while (n-- > 0)
		*p++ = (uint8_t)rnd();
}

static uint16_t rtp(uint8_t *p, uint16_t seq)
{
	unsigned int cc = rnd() % 8 == 0 ? (unsigned int)(rnd() % 16) : 0, x = rnd() % 8 == 0;
	size_t at = 12 + 4 * cc;

	bytes(p, 12 + 60 + 12);
	p[0] = (uint8_t)(0x80 | x << 4 | cc);
	p[1] &= 0x7f;
	p[2] = (uint8_t)(seq >> 8);
	p[3] = (uint8_t)seq;
	memset(p + 8, 7, 4);
	if (x) {
		p[at + 2] = 0;
		p[at + 3] = 1;
		at += 8;
	}
	size_t payload = rnd() % 4 != 0 ? rnd() % 200 : rnd() % 1500;

	bytes(p + at, payload);
	return (uint16_t)(at + payload);
}

static uint16_t rtcp(uint8_t *p)
{
	uint16_t words = (uint16_t)(1 + rnd() % 20);

	bytes(p, 4u * words + 4);
	p[0] = 0x80;
	p[1] = 201;
	p[2] = 0;
	p[3] = (uint8_t)words;
	memset(p + 4, 7, 4);
	return (uint16_t)(4 * words + 4);
}

/* Something that the party did not send. */
static void forge(struct wire *w, const struct wire *good, const struct wire *other)
{
	*w = *good;
	switch (rnd() % 8) {
	case 0: /* a bit anywhere */
	case 1:
		w->data[rnd() % w->len] ^= (uint8_t)(1 << rnd() % 8);
		break;
	case 2: /* of the last bytes: tag, MKI, SRTCP index */
		w->data[w->len - 1 - rnd() % 20 % w->len] ^= (uint8_t)(1 << rnd() % 8);
		break;
	case 3: /* of the first */
		w->data[rnd() % 12] ^= (uint8_t)(1 << rnd() % 8);
		break;
	case 4: /* cut */
		w->len = (uint16_t)(rnd() % w->len);
		break;
	case 5: /* longer */
		bytes(w->data + w->len, 20);
		w->len = (uint16_t)(w->len + 1 + rnd() % 20);
		break;
	case 6: /* the end of another one */
		memcpy(w->data + w->len - 10, other->data + other->len - 10, 10);
		if (memcmp(w->data, good->data, w->len) == 0)
			w->data[rnd() % w->len] ^= 1;
		break;
	default: /* bytes behind a fitting header */
		bytes(w->data + 12, w->len - 12u);
	}
}

typedef uint16_t (*burst_fn)(struct dp_mb *, struct dp_srtp_pkt *, uint16_t);

/* 'n' of the packets through a burst; how many were accepted. */
static unsigned int give(struct dp_srtp_key *key, struct wire *w, unsigned int n, burst_fn fn, uint64_t *why)
{
	struct dp_srtp_pkt pkt[DP_SRTP_BURST];
	unsigned int ok;

	for (unsigned int i = 0; i < n; i++)
		pkt[i] = (struct dp_srtp_pkt){.data = w[i].data, .key = key, .len = w[i].len};
	ok = fn(mb, pkt, (uint16_t)n);
	for (unsigned int i = 0; i < n; i++)
		why[pkt[i].verdict]++;
	return ok;
}

static bool run(uint8_t suite, bool is_rtcp, uint64_t trials)
{
	static struct wire kept[KEEP], test[DP_SRTP_BURST], alien;
	static struct dp_srtp_key tx, rx, other;
	uint8_t master[32], salt[14], mki[3] = {1, 2, (uint8_t)rnd()};
	struct dp_srtp_pool *pool = dp_srtp_pool_create(8, 0);
	struct dp_srtp_params par = {.suite = suite, .dir = DP_DIR_SEND, .key = master, .salt = salt, .pool = pool,
				     .mki = mki, .mki_len = suite % 3 == 0 ? sizeof(mki) : 0};
	const burst_fn protect = is_rtcp ? dp_srtcp_protect_burst : dp_srtp_protect_burst;
	const burst_fn unprotect = is_rtcp ? dp_srtcp_unprotect_burst : dp_srtp_unprotect_burst;
	uint64_t forged = 0, again = 0, passed = 0, lost = 0, genuine = 0, why[DP_DROP_MAX] = {0}, f_why[DP_DROP_MAX] = {0},
		 r_why[DP_DROP_MAX] = {0};
	uint16_t seq = (uint16_t)rnd();

	bytes(master, sizeof(master));
	bytes(salt, sizeof(salt));
	if (pool == NULL || dp_srtp_key_init(mb, &tx, &par) != 0)
		return false;
	par.dir = DP_DIR_RECV;
	if (dp_srtp_key_init(mb, &rx, &par) != 0)
		return false;
	par.dir = DP_DIR_SEND;
	master[0] ^= 1;
	if (dp_srtp_key_init(mb, &other, &par) != 0)
		return false;
	while (forged < trials || again < trials) {
		/* Some genuine packets, kept as they are on the wire. */
		unsigned int n = 1 + (unsigned int)(rnd() % 16);

		for (unsigned int i = 0; i < n; i++) {
			struct wire *w = &kept[genuine++ % KEEP];
			struct dp_srtp_pkt pkt = {.data = w->data, .key = &tx};

			pkt.len = is_rtcp ? rtcp(w->data) : rtp(w->data, seq++);
			pkt.room = (uint16_t)(BUF - pkt.len);
			alien = *w;
			if (protect(mb, &pkt, 1) != 1)
				return false;
			w->len = pkt.len;
			test[i] = *w;
			pkt = (struct dp_srtp_pkt){.data = alien.data, .key = &other, .len = pkt.len, .room = 64};
			pkt.len = (uint16_t)(w->len - (tx.tag_len + tx.mki_len));
			if (!is_rtcp && protect(mb, &pkt, 1) == 1)
				alien.len = pkt.len;
			else
				alien.len = 0;
		}
		/* Forgeries before the genuine ones: those must lose nothing by it. */
		for (int turn = 0; turn < 2; turn++) {
			struct wire bad[DP_SRTP_BURST];
			unsigned int m = 16 + (unsigned int)(rnd() % 49);

			for (unsigned int i = 0; i < m; i++) {
				const struct wire *g = &kept[(genuine - 1 - rnd() % n) % KEEP];

				forge(&bad[i], g, &kept[rnd() % (genuine < KEEP ? genuine : KEEP)]);
			}
			if (alien.len > 0)
				bad[0] = alien;
			passed += give(&rx, bad, m, unprotect, f_why);
			forged += m;
			if (turn == 1) {
				unsigned int got = give(&rx, test, n, unprotect, why);

				lost += n - got;
			}
		}
		/* All over again. */
		for (int turn = 0; turn < 2; turn++) {
			struct wire old[DP_SRTP_BURST];
			unsigned int have = genuine < KEEP ? (unsigned int)genuine : KEEP;

			for (unsigned int i = 0; i < DP_SRTP_BURST; i++)
				old[i] = kept[rnd() % have];
			passed += give(&rx, old, DP_SRTP_BURST, unprotect, r_why);
			again += DP_SRTP_BURST;
		}
	}
	printf("%-26s %-4s %9lu genuine, %lu lost; %lu forged, %lu replayed: %lu accepted;", dp_suite(suite)->name, is_rtcp ? "RTCP" : "RTP",
	       genuine, lost, forged, again, passed);
	for (int v = 0; v < DP_DROP_MAX; v++)
		if (f_why[v] + r_why[v] > 0)
			printf(" %s %lu+%lu", dp_drop_name((unsigned int)v), f_why[v], r_why[v]);
	printf("\n");
	dp_srtp_key_leave(&tx);
	dp_srtp_key_leave(&rx);
	dp_srtp_key_leave(&other);
	dp_srtp_key_wipe(&tx);
	dp_srtp_key_wipe(&rx);
	dp_srtp_key_wipe(&other);
	dp_srtp_pool_destroy(pool);
	/* A replay is a replay, most forgeries fail by their tag: else something else was tested. */
	return passed == 0 && lost == 0 && r_why[DP_DROP_REPLAY] + r_why[DP_DROP_STALE] == again && f_why[DP_DROP_AUTH] > forged / 3;
}

int main(int argc, char **argv)
{
	uint64_t trials = argc > 1 ? strtoull(argv[1], NULL, 0) : 100000;
	bool ok = true;

	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 20261121;
	if (getenv("RAVELIN_FULL") != NULL && strcmp(getenv("RAVELIN_FULL"), "1") == 0)
		trials = 10000000;
	printf("seed %lu\n", seed);
	mb = dp_mb_create();
	if (mb == NULL)
		return 2;
	for (uint8_t s = DP_SRTP_NONE + 1; s < DP_SRTP_SUITE_MAX; s++) {
		ok = run(s, false, trials) && ok;
		ok = run(s, true, trials / 10) && ok;
	}
	dp_mb_destroy(mb);
	return !ok;
}
