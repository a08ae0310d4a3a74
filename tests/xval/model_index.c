/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * model_index [TRIALS] [SEED]: (10^8 trials with RAVELIN_FULL=1) ROC, index guess and replay list of dataplane/srtp, sending and receiving, against a model
 * that knows the definition only: the index is the one that ends in SEQ and is nearest to the highest one so far (RFC 3711
 * s3.3.1, appendix A), an accepted index is never accepted again, and what lies a window or more behind is too old. Packets go
 * through the production bursts (NULL cipher, no payload, so that nearly all of the time goes into this) in sizes of 1 to
 * 64, several SSRCs under several keys, with jumps of every size around 2^15, 2^16 and the window, forgeries, and starts at
 * both ends of the 48 bits. Tags are made here, with OpenSSL.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/aes.h>
#include <openssl/sha.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/mb.h"
#include "srtp/srtp.h"

#define KEYS    6
#define SSRCS   4
#define BEHIND  (1u << 16) /* indices below the highest that the model remembers one by one: many windows */
#define INDICES ((uint64_t)1 << 48)
#define TAG     10

struct stream { /* what the model knows */
	bool begun;
	uint64_t top;
	uint8_t had[BEHIND]; /* by index modulo BEHIND: accepted */
};

struct dir {
	struct dp_srtp_key key;
	SHA_CTX inner, outer;
	uint32_t window;
	uint64_t start; /* of streams that begin */
	bool floor;     /* start is an index below which nothing may be used again, not a mere ROC */
	bool roc;       /* start is the ROC that signalling gave */
	uint64_t left;  /* packets until the key has had 2^48, those before the floor counted in (s9.2) */
	struct stream s[SSRCS];
};

static struct dp_mb *mb;
static uint64_t seed, verdicts[DP_DROP_MAX], wraps;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* --- the model --- */

/* Nearest index that ends in seq; of two equally near ones the one with the present ROC. May be INDICES or more. */
static uint64_t nearest(uint64_t top, uint16_t seq)
{
	uint64_t roc = top / 65536, best = roc * 65536 + seq, best_far = best > top ? best - top : top - best;

	for (int step = -1; step <= 1; step += 2) {
		uint64_t idx, far;

		if (step < 0 && roc == 0)
			continue;
		idx = (roc + (uint64_t)step) * 65536 + seq;
		far = idx > top ? idx - top : top - idx;
		if (far < best_far) {
			best = idx;
			best_far = far;
		}
	}
	return best;
}

/* A stream's first packet has the ROC that signalling gave, or 0 (s3.3.1); after a floor it is near that. */
static uint64_t first_or_nearest(const struct dir *d, const struct stream *s, uint16_t seq)
{
	if (s->begun)
		return nearest(s->top, seq);
	return d->floor ? nearest(d->start, seq) : d->start + seq;
}

static uint8_t model_check(const struct dir *d, const struct stream *s, uint64_t idx)
{
	uint64_t top = s->begun ? s->top : d->start;

	if (idx >= INDICES || d->left == 0)
		return DP_DROP_KEY_LIMIT;
	if (!s->begun)
		return d->floor && idx <= d->start ? DP_DROP_STALE : DP_OK;
	if (idx > top)
		return DP_OK;
	if (top - idx >= d->window)
		return DP_DROP_STALE;
	/* After a floor nothing at or below it is welcome, seen or not. */
	if (s->had[idx % BEHIND] != 0 || (d->floor && idx <= d->start))
		return DP_DROP_REPLAY;
	return DP_OK;
}

static void model_accept(struct stream *s, uint64_t idx)
{
	if (!s->begun) {
		memset(s->had, 0, sizeof(s->had));
		s->begun = true;
		s->top = idx;
	} else if (idx > s->top) {
		if (idx - s->top >= BEHIND)
			memset(s->had, 0, sizeof(s->had));
		else
			for (uint64_t i = s->top + 1; i <= idx; i++)
				s->had[i % BEHIND] = 0;
		wraps += idx / 65536 != s->top / 65536;
		s->top = idx;
	}
	s->had[idx % BEHIND] = 1;
}

/* --- packets --- */

static void tag_of(const struct dir *d, const uint8_t *data, uint32_t roc, uint8_t *tag)
{
	const uint8_t be[4] = {(uint8_t)(roc >> 24), (uint8_t)(roc >> 16), (uint8_t)(roc >> 8), (uint8_t)roc};
	uint8_t hash[20];
	SHA_CTX c = d->inner;

	SHA1_Update(&c, data, 12);
	SHA1_Update(&c, be, 4);
	SHA1_Final(hash, &c);
	c = d->outer;
	SHA1_Update(&c, hash, 20);
	SHA1_Final(hash, &c);
	memcpy(tag, hash, TAG);
}

/* The session authentication key: AES-CM under the master key, label 1 (RFC 3711 s4.3). */
static void derive(struct dir *d, const uint8_t *key, const uint8_t *salt)
{
	uint8_t iv[16] = {0}, out[32], pad[64];
	AES_KEY aes;

	memcpy(iv, salt, 14);
	iv[7] ^= 1;
	AES_set_encrypt_key(key, 128, &aes);
	AES_encrypt(iv, out, &aes);
	iv[15]++;
	AES_encrypt(iv, out + 16, &aes);
	for (int o = 0; o < 2; o++) {
		memset(pad, o ? 0x5c : 0x36, sizeof(pad));
		for (int i = 0; i < 20; i++)
			pad[i] ^= out[i];
		SHA1_Init(o ? &d->outer : &d->inner);
		SHA1_Update(o ? &d->outer : &d->inner, pad, 64);
	}
}

/* A step away from where a stream stands: near, at the edges of window, 2^15 and 2^16, and anywhere. */
static int64_t step(uint32_t window)
{
	int64_t small = (int64_t)(rnd() % 9) - 4, edge[] = {window, 32768, 65536, 98304, 2 * 64, window + 64};
	int64_t sign = (rnd() & 1) != 0 ? 1 : -1;

	switch (rnd() % 16) {
	case 0:
	case 1:
		return -(int64_t)(rnd() % (window + 70));
	case 2:
		return sign * edge[rnd() % 6] + small;
	case 3:
		return small;
	case 4:
		return (int64_t)(rnd() % 40000);
	case 5:
		return (rnd() & 15) == 0 ? sign * (int64_t)(rnd() % 200000) : 0;
	default:
		return 1;
	}
}

static bool setup(struct dir *d, uint8_t dir, unsigned int k)
{
	static const uint32_t windows[KEYS] = {192, 64, 1024, 4096, 192, 192};
	uint8_t key[16], salt[14];
	struct dp_srtp_params par = {.suite = DP_NULL_HMAC_SHA1_80, .dir = dir, .window = (uint16_t)windows[k], .ssrc_max = SSRCS,
				     .key = key, .salt = salt};

	memset(d->s, 0, sizeof(d->s));
	for (int i = 0; i < 16; i++)
		key[i] = (uint8_t)rnd();
	for (int i = 0; i < 14; i++)
		salt[i] = (uint8_t)rnd();
	derive(d, key, salt);
	d->window = windows[k];
	d->start = 0;
	d->floor = false;
	d->roc = k == 5;
	if (k == 4) { /* near the end of the indices, after a restart */
		d->start = par.index_floor = INDICES - 1 - rnd() % 300000;
		d->floor = true;
	} else if (k == 5) { /* a late joiner */
		par.roc = (uint32_t)(rnd() % 3 == 0 ? UINT32_MAX : rnd());
		par.flags = DP_KEY_F_HAVE_ROC;
		d->start = (uint64_t)par.roc << 16;
	}
	d->left = INDICES - (d->floor ? d->start : 0);
	par.pool = dp_srtp_pool_create(SSRCS * 2, par.window);
	return par.pool != NULL && dp_srtp_key_init(mb, &d->key, &par) == 0;
}

int main(int argc, char **argv)
{
	static struct dir dirs[2][KEYS];
	static uint8_t data[DP_SRTP_BURST][64];
	uint64_t trials = argc > 1 ? strtoull(argv[1], NULL, 0) : 1000000, done = 0, bad = 0;

	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 20261121;
	if (getenv("RAVELIN_FULL") != NULL && strcmp(getenv("RAVELIN_FULL"), "1") == 0)
		trials = 100000000;
	printf("seed %lu\n", seed);
	mb = dp_mb_create();
	if (mb == NULL)
		return 2;
	while (done < trials && bad < 10) {
		unsigned int dir = rnd() & 1, n = 1 + (unsigned int)(rnd() % DP_SRTP_BURST), k;
		struct dp_srtp_pkt pkt[DP_SRTP_BURST];
		uint8_t want[DP_SRTP_BURST], tag[DP_SRTP_BURST][TAG];
		uint64_t index[DP_SRTP_BURST];

		/* Now and then everything begins anew. */
		if (done == 0 || rnd() % 20000 == 0)
			for (int o = 0; o < 2; o++)
				for (k = 0; k < KEYS; k++) {
					struct dp_srtp_pool *old = done > 0 ? dirs[o][k].key.pool : NULL;

					if (old != NULL) {
						dp_srtp_key_leave(&dirs[o][k].key);
						dp_srtp_key_wipe(&dirs[o][k].key);
						dp_srtp_pool_destroy(old);
					}
					if (!setup(&dirs[o][k], (uint8_t)(o ? DP_DIR_SEND : DP_DIR_RECV), (unsigned int)k))
						return 2;
				}
		for (unsigned int i = 0; i < n; i++) {
			struct dir *d = &dirs[dir][rnd() % KEYS];
			unsigned int ssrc = (unsigned int)(rnd() % SSRCS);
			struct stream *s = &d->s[ssrc];
			uint64_t at = (s->begun ? s->top : d->start) + (uint64_t)step(d->window), guess;
			bool forge = dir == 0 && rnd() % 16 == 0;
			uint8_t *p = data[i];

			if ((int64_t)at < 0)
				at = rnd() % 4;
			if (!s->begun && rnd() % 2 == 0)
				at = (d->start & ~(uint64_t)0xffff) + (rnd() & 0xffff);
			memset(p, 0, 12);
			p[0] = 0x80;
			p[2] = (uint8_t)(at >> 8);
			p[3] = (uint8_t)at;
			p[11] = (uint8_t)(ssrc + 1);
			pkt[i] = (struct dp_srtp_pkt){.data = p, .key = &d->key, .len = 12, .room = 48};
			guess = first_or_nearest(d, s, (uint16_t)at);
			want[i] = model_check(d, s, guess);
			index[i] = guess;
			if (dir == 0) { /* receiving: whoever sent it knows its true index */
				tag_of(d, p, (uint32_t)(at >> 16), p + 12);
				pkt[i].len = 12 + TAG;
				if (forge)
					p[12 + rnd() % TAG] ^= (uint8_t)(1 << rnd() % 8);
				/* The ROC may have turned since it was signalled: the packet that authenticates says so. */
				if (d->roc && !s->begun && !forge && at == guess + 65536 && at < INDICES)
					index[i] = guess = at;
				if (want[i] == DP_OK && (forge || (uint32_t)(at >> 16) != (uint32_t)(guess >> 16)))
					want[i] = DP_DROP_AUTH;
			} else if (want[i] == DP_OK) {
				tag_of(d, p, (uint32_t)(guess >> 16), tag[i]);
			}
			if (want[i] == DP_OK) {
				model_accept(s, guess);
				d->left--;
			}
		}
		if (dir == 0)
			dp_srtp_unprotect_burst(mb, pkt, (uint16_t)n);
		else
			dp_srtp_protect_burst(mb, pkt, (uint16_t)n);
		for (unsigned int i = 0; i < n && bad < 10; i++) {
			bool ok = pkt[i].verdict == want[i];

			if (ok && want[i] == DP_OK)
				ok = pkt[i].index == index[i] && pkt[i].len == (dir == 0 ? 12 : 12 + TAG) &&
				     (dir == 0 || memcmp(pkt[i].data + 12, tag[i], TAG) == 0);
			verdicts[want[i]]++;
			if (!ok) {
				printf("trial %lu: %s: %s, model says %s, index %lx, model's %lx\n", done + i, dir ? "protect" : "unprotect",
				       dp_drop_name(pkt[i].verdict), dp_drop_name(want[i]), pkt[i].index, index[i]);
				bad++;
			}
		}
		done += n;
	}
	printf("%lu trials, %lu differences; %lu ROC steps;", done, bad, wraps);
	for (int v = 0; v < DP_DROP_MAX; v++)
		if (verdicts[v] > 0)
			printf(" %s %lu", dp_drop_name((unsigned int)v), verdicts[v]);
	printf("\n");
	/* Each kind of trial must have come up, or nothing was shown. */
	if (verdicts[DP_OK] < trials / 4 || verdicts[DP_DROP_REPLAY] < trials / 100 || verdicts[DP_DROP_STALE] < trials / 100 ||
	    verdicts[DP_DROP_AUTH] < trials / 100 || verdicts[DP_DROP_KEY_LIMIT] == 0 || wraps < trials / 10000)
		return 1;
	return bad != 0;
}
