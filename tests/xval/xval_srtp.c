/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * xval_srtp [PACKETS] [SEED]: dataplane/srtp against libsrtp2, with every suite that it has (10^7 packets of each with
 * RAVELIN_FULL=1). Both protect the same packets, then both receive what a
 * bad network makes of them: disorder, loss, copies, forgeries. Checked for every packet:
 *
 *  - what is protected is byte-identical, and the two refuse the same ones (an index used before, or too old);
 *  - what is accepted is the same, byte for byte what was sent, never a forgery, and nothing twice;
 *  - what is refused is the same, and never a first copy within the window.
 *
 * Where they may differ: libsrtp2's RTCP window is 128 packets and fixed, ours 192 (its RTP window is set to 192), so
 * an RTCP packet that is 128 to 191 behind may be accepted by us alone. Our SRTCP index is one count per key,
 * libsrtp2's one per SSRC: RTCP of further SSRCs is protected by libsrtp2 alone. libsrtp2 does not look at
 * padding: packets here have none that lies.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <srtp2/srtp.h>

#include "crypto/mb.h"
#include "dp_suite.h"
#include "srtp/srtp.h"

#define KEYS    8
#define SSRCS   3
#define PAYLOAD 1500
#define BUF     (12 + 60 + 64 + PAYLOAD + SRTP_MAX_TRAILER_LEN)
#define FLIGHT  4096 /* packets on the way at a time */
#define DELAY   600

struct party {
	struct dp_srtp_key tx, rx;
	srtp_t lib_tx, lib_rx;
	uint64_t next[SSRCS];                /* true RTP index of the sender */
	uint64_t top[SSRCS], rtcp_top[SSRCS]; /* highest accepted by us */
	bool begun[SSRCS], rtcp_begun[SSRCS];
};

struct sent { /* a packet on the wire, and what it was */
	uint8_t *wire, *plain;
	uint16_t len, plain_len;
	uint64_t index, due;
	unsigned int key, ssrc;
	bool rtcp, forged;
	uint32_t *accepted; /* count, shared by all copies */
};

static struct dp_mb *mb;
static struct dp_srtp_pool *pool;
static struct party party[KEYS];
static struct sent flight[FLIGHT];
static unsigned int in_flight;
static uint64_t now, seed;
static uint64_t bad, n_protected, n_refused_tx, n_received, n_accepted, n_forged, n_copies, n_lost, n_replay, n_stale,
	n_wraps, n_rtcp, n_window;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull >> 11;
}

static void fail(const char *what, const struct sent *s, int ours, int lib)
{
	if (++bad > 20)
		return;
	fprintf(stderr, "DIFFERS: %s: key %u ssrc %u %s index %llu len %u ours %d libsrtp2 %d\n", what, s->key, s->ssrc,
		s->rtcp ? "rtcp" : "rtp", (unsigned long long)s->index, s->len, ours, lib);
}

/* What libsrtp2 calls the suites; its AES-192 is not RFC 6188's (other tests have that: vectors, OpenSSL, rtpengine). */
static const struct {
	uint8_t suite;
	void (*rtp)(srtp_crypto_policy_t *p), (*rtcp)(srtp_crypto_policy_t *p);
} suites[KEYS] = {
	{DP_AES_CM_128_HMAC_SHA1_80, srtp_crypto_policy_set_rtp_default, srtp_crypto_policy_set_rtcp_default},
	{DP_AES_CM_128_HMAC_SHA1_32, srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32, srtp_crypto_policy_set_rtcp_default},
	{DP_AES_256_CM_HMAC_SHA1_80, srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80, srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80},
	{DP_AES_256_CM_HMAC_SHA1_32, srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32, srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80},
	{DP_AEAD_AES_128_GCM, srtp_crypto_policy_set_aes_gcm_128_16_auth, srtp_crypto_policy_set_aes_gcm_128_16_auth},
	{DP_AEAD_AES_256_GCM, srtp_crypto_policy_set_aes_gcm_256_16_auth, srtp_crypto_policy_set_aes_gcm_256_16_auth},
	{DP_NULL_HMAC_SHA1_80, srtp_crypto_policy_set_null_cipher_hmac_sha1_80, srtp_crypto_policy_set_null_cipher_hmac_sha1_80},
	{DP_AES_CM_128_HMAC_SHA1_80, srtp_crypto_policy_set_rtp_default, srtp_crypto_policy_set_rtcp_default},
};

static bool is_gcm(unsigned int key)
{
	return dp_suite(suites[key].suite)->gcm;
}

/* libsrtp2 says E = 0 with the NULL cipher. */
static bool is_clear(unsigned int key)
{
	return dp_suite(suites[key].suite)->null_cipher;
}

/* Where SRTCP's E and index stand, from the end. */
static unsigned int index_at(unsigned int key)
{
	return is_gcm(key) ? 4 : 14;
}

static void start(void)
{
	mb = dp_mb_create();
	pool = dp_srtp_pool_create(KEYS * 2 * SSRCS, 0);
	if (mb == NULL || pool == NULL || srtp_init() != srtp_err_status_ok)
		abort();
	for (unsigned int k = 0; k < KEYS; k++) {
		const struct dp_suite *su = dp_suite(suites[k].suite);
		uint8_t master[48];
		struct dp_srtp_params par = {.suite = suites[k].suite, .key = master, .salt = master + su->key_len, .pool = pool};
		srtp_policy_t pol;

		for (size_t i = 0; i < sizeof(master); i++)
			master[i] = (uint8_t)rnd();
		memset(&pol, 0, sizeof(pol));
		suites[k].rtp(&pol.rtp);
		suites[k].rtcp(&pol.rtcp);
		pol.key = master;
		pol.window_size = DP_REPLAY_WINDOW;
		pol.ssrc.type = ssrc_any_outbound;
		if (srtp_create(&party[k].lib_tx, &pol) != srtp_err_status_ok)
			abort();
		pol.ssrc.type = ssrc_any_inbound;
		if (srtp_create(&party[k].lib_rx, &pol) != srtp_err_status_ok)
			abort();
		par.dir = DP_DIR_SEND;
		if (dp_srtp_key_init(mb, &party[k].tx, &par) != 0)
			abort();
		par.dir = DP_DIR_RECV;
		if (dp_srtp_key_init(mb, &party[k].rx, &par) != 0)
			abort();
		for (unsigned int s = 0; s < SSRCS; s++)
			party[k].next[s] = rnd() % 65536;
	}
}

static uint32_t ssrc_of(const struct sent *s)
{
	return 0x10000u * (s->key + 1) + s->ssrc;
}

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void make_rtp(struct sent *s)
{
	struct party *pa = &party[s->key];
	uint64_t *next = &pa->next[s->ssrc], what = rnd() % 100, idx, before = *next;
	size_t cc = rnd() % 4 == 0 ? rnd() % 16 : 0, ext = rnd() % 5 == 0 ? 1 + rnd() % 5 : 0;
	size_t hdr = 12 + 4 * cc + (ext > 0 ? 4 * ext : 0), payload = rnd() % 3 == 0 ? rnd() % 50 : rnd() % (PAYLOAD + 1);

	*next += what < 2 ? rnd() % 3000 : 1;
	n_wraps += *next >> 16 != before >> 16;
	idx = *next;
	if (what >= 90) /* what a relay sees: late, or again */
		idx -= rnd() % (what == 99 ? 250 : 6);
	s->plain_len = (uint16_t)(hdr + payload);
	for (size_t i = 0; i < s->plain_len; i++)
		s->plain[i] = (uint8_t)rnd();
	s->plain[0] = (uint8_t)(0x80 | (ext > 0 ? 0x10 : 0) | cc);
	s->plain[2] = (uint8_t)(idx >> 8);
	s->plain[3] = (uint8_t)idx;
	put32(s->plain + 8, ssrc_of(s));
	if (ext > 0) {
		s->plain[12 + 4 * cc + 2] = 0;
		s->plain[12 + 4 * cc + 3] = (uint8_t)(ext - 1);
	}
	if (payload > 4 && rnd() % 8 == 0) {
		s->plain[0] |= 0x20;
		s->plain[s->plain_len - 1] = (uint8_t)(1 + rnd() % 4);
	}
}

static void make_rtcp(struct sent *s)
{
	s->plain_len = (uint16_t)(8 + 4 * (rnd() % 100));
	for (size_t i = 0; i < s->plain_len; i++)
		s->plain[i] = (uint8_t)rnd();
	s->plain[0] = 0x81;
	s->plain[1] = 200;
	put32(s->plain + 4, ssrc_of(s));
}

static void drop(struct sent *s)
{
	free(s->wire);
	free(s->plain);
	if (s->accepted != NULL && --s->accepted[1] == 0)
		free(s->accepted);
}

static void fly(struct sent *s)
{
	uint64_t what = rnd() % 100;

	s->due = now + (what < 60 ? 0 : what < 97 ? rnd() % 40 : rnd() % DELAY);
	if (s->rtcp && rnd() % 20 == 0) /* RTCP is rarer: this is as many packets of a stream */
		s->due += rnd() % (DELAY * 50);
	if (in_flight == FLIGHT) {
		n_lost++;
		drop(s);
		return;
	}
	flight[in_flight++] = *s;
}

static struct sent copy_of(const struct sent *s)
{
	struct sent c = *s;

	c.wire = malloc(BUF);
	c.plain = malloc(BUF);
	memcpy(c.wire, s->wire, s->len);
	memcpy(c.plain, s->plain, s->plain_len);
	c.accepted[1]++;
	return c;
}

static void forge(struct sent *s)
{
	switch (rnd() % 6) {
	case 0: /* cut short */
		s->len = (uint16_t)(rnd() % s->len);
		break;
	case 1: /* longer */
		s->wire[s->len++] = (uint8_t)rnd();
		break;
	case 2: /* another SSRC, of the same key or of none */
		s->wire[(s->rtcp ? 4 : 8) + 3] ^= (uint8_t)(1 + rnd() % 255);
		break;
	case 3: /* tag */
		s->wire[s->len - 1 - rnd() % 4] ^= (uint8_t)(1 + rnd() % 255);
		break;
	case 4: /* SEQ, or E and index */
		s->wire[s->rtcp ? s->len - index_at(s->key) + rnd() % 4 : 2 + rnd() % 2] ^= (uint8_t)(1 + rnd() % 255);
		break;
	default:
		s->wire[rnd() % s->len] ^= (uint8_t)(1 + rnd() % 255);
	}
	s->forged = true;
}

/* The network takes the wire's copy 's', makes others. */
static void network(struct sent *s)
{
	if (rnd() % 20 == 0) {
		struct sent c = copy_of(s);

		n_copies++;
		fly(&c);
	}
	if (rnd() % 8 == 0) {
		struct sent c = copy_of(s);

		n_forged++;
		forge(&c);
		fly(&c);
	}
	if (rnd() % 50 == 0) {
		n_lost++;
		drop(s);
	} else {
		fly(s);
	}
}

static void send_burst(bool rtcp)
{
	struct dp_srtp_pkt pkts[DP_SRTP_BURST];
	struct sent s[DP_SRTP_BURST];
	unsigned int n = 1 + (unsigned int)(rnd() % DP_SRTP_BURST);

	for (unsigned int i = 0; i < n; i++) {
		s[i] = (struct sent){.wire = malloc(BUF), .plain = malloc(BUF), .rtcp = rtcp,
				     .key = (unsigned int)(rnd() % KEYS), .ssrc = (unsigned int)(rnd() % SSRCS)};
		if (rtcp)
			make_rtcp(&s[i]);
		else
			make_rtp(&s[i]);
		memcpy(s[i].wire, s[i].plain, s[i].plain_len);
		pkts[i] = (struct dp_srtp_pkt){.data = s[i].wire, .len = s[i].plain_len, .room = 64,
					       .key = &party[s[i].key].tx, .clear = rtcp && is_clear(s[i].key)};
		if (rtcp && s[i].ssrc > 0)
			pkts[i].verdict = DP_DROP_POLICY; /* libsrtp2's alone */
	}
	if (rtcp)
		dp_srtcp_protect_burst(mb, pkts, (uint16_t)n);
	else
		dp_srtp_protect_burst(mb, pkts, (uint16_t)n);
	for (unsigned int i = 0; i < n; i++) {
		uint8_t *lib = malloc(BUF);
		int len = s[i].plain_len;
		srtp_t tx = party[s[i].key].lib_tx;
		srtp_err_status_t st;
		bool alone = rtcp && s[i].ssrc > 0;

		memcpy(lib, s[i].plain, (size_t)len);
		st = rtcp ? srtp_protect_rtcp(tx, lib, &len) : srtp_protect(tx, lib, &len);
		s[i].len = alone ? (uint16_t)len : pkts[i].len;
		s[i].index = pkts[i].index;
		if (alone) {
			const uint8_t *at = lib + len - index_at(s[i].key);

			s[i].index = (uint64_t)(at[0] & 0x7f) << 24 | (uint64_t)at[1] << 16 | (uint64_t)at[2] << 8 | at[3];
			memcpy(s[i].wire, lib, (size_t)len);
		} else if ((st == srtp_err_status_ok) != (pkts[i].verdict == DP_OK)) {
			fail("protect, who refuses", &s[i], pkts[i].verdict, (int)st);
		} else if (st == srtp_err_status_ok &&
			   (len != pkts[i].len || memcmp(lib, s[i].wire, (size_t)len) != 0)) {
			fail("protected bytes", &s[i], pkts[i].len, len);
		}
		free(lib);
		if (st != srtp_err_status_ok) {
			n_refused_tx++;
			drop(&s[i]);
			continue;
		}
		n_protected++;
		n_rtcp += rtcp;
		s[i].accepted = calloc(2, sizeof(uint32_t)); /* accepted, copies */
		s[i].accepted[1] = 1;
		network(&s[i]);
		now++;
	}
}

/* What an exact receiver must do with the first copy of a genuine packet. */
static bool must_accept(const struct sent *s)
{
	const struct party *pa = &party[s->key];
	uint64_t top = s->rtcp ? pa->rtcp_top[s->ssrc] : pa->top[s->ssrc];

	if (s->forged || s->accepted[0] > 0)
		return false;
	if (!(s->rtcp ? pa->rtcp_begun[s->ssrc] : pa->begun[s->ssrc]))
		return s->rtcp || s->index < 65536;
	return s->index > top ? s->rtcp || s->index - top < 32768 : top - s->index < DP_REPLAY_WINDOW;
}

static void received(struct sent *s, const struct dp_srtp_pkt *pkt, const uint8_t *lib, int lib_len, srtp_err_status_t st)
{
	struct party *pa = &party[s->key];
	uint64_t *top = s->rtcp ? &pa->rtcp_top[s->ssrc] : &pa->top[s->ssrc];
	bool ok = pkt->verdict == DP_OK, must = must_accept(s);

	n_received++;
	if (ok != (st == srtp_err_status_ok)) {
		if (s->rtcp && ok && st == srtp_err_status_replay_old && *top - s->index >= 128)
			n_window++;
		else
			fail("unprotect, who refuses", s, pkt->verdict, (int)st);
	}
	if (must && !ok)
		fail("a first copy in the window is refused", s, pkt->verdict, (int)st);
	if (!ok) {
		n_replay += pkt->verdict == DP_DROP_REPLAY;
		n_stale += pkt->verdict == DP_DROP_STALE;
		return;
	}
	if (s->forged)
		fail("a forgery is accepted", s, pkt->verdict, (int)st);
	if (s->accepted[0]++ > 0)
		fail("accepted twice", s, pkt->verdict, (int)st);
	if (pkt->len != s->plain_len || memcmp(pkt->data, s->plain, pkt->len) != 0)
		fail("not what was sent", s, pkt->len, s->plain_len);
	if (st == srtp_err_status_ok && (lib_len != pkt->len || memcmp(lib, pkt->data, pkt->len) != 0))
		fail("received bytes", s, pkt->len, lib_len);
	if (pkt->index != s->index)
		fail("index", s, (int)pkt->index, (int)s->index);
	if (s->rtcp)
		pa->rtcp_begun[s->ssrc] = true;
	else
		pa->begun[s->ssrc] = true;
	if (s->index > *top)
		*top = s->index;
	n_accepted++;
}

static void receive_burst(bool rtcp, bool all)
{
	struct dp_srtp_pkt pkts[DP_SRTP_BURST];
	struct sent s[DP_SRTP_BURST];
	unsigned int n = 0, want = 1 + (unsigned int)(rnd() % DP_SRTP_BURST), keep = 0;

	for (unsigned int i = 0; i < in_flight; i++) {
		if (n < want && flight[i].rtcp == rtcp && (all || flight[i].due <= now))
			s[n++] = flight[i];
		else
			flight[keep++] = flight[i];
	}
	in_flight = keep;
	uint8_t *lib[DP_SRTP_BURST];
	for (unsigned int i = 0; i < n; i++) { /* exact size: nothing behind a packet is read or written */
		uint8_t *exact = malloc(s[i].len > 0 ? s[i].len : 1);

		lib[i] = malloc(BUF);
		memcpy(lib[i], s[i].wire, s[i].len);
		memcpy(exact, s[i].wire, s[i].len);
		pkts[i] = (struct dp_srtp_pkt){.data = exact, .len = s[i].len, .key = &party[s[i].key].rx,
					       .clear = rtcp && is_clear(s[i].key)};
	}
	if (rtcp)
		dp_srtcp_unprotect_burst(mb, pkts, (uint16_t)n);
	else
		dp_srtp_unprotect_burst(mb, pkts, (uint16_t)n);
	for (unsigned int i = 0; i < n; i++) {
		srtp_t rx = party[s[i].key].lib_rx;
		int len = s[i].len;
		srtp_err_status_t st = rtcp ? srtp_unprotect_rtcp(rx, lib[i], &len) : srtp_unprotect(rx, lib[i], &len);

		received(&s[i], &pkts[i], lib[i], len, st);
		free(pkts[i].data);
		free(lib[i]);
		drop(&s[i]);
	}
}

int main(int argc, char **argv)
{
	uint64_t packets = argc > 1 ? strtoull(argv[1], NULL, 0) : 100000;

	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 20240611;
	if (seed == 0)
		seed = 1;
	if (getenv("RAVELIN_FULL") != NULL && strcmp(getenv("RAVELIN_FULL"), "1") == 0)
		packets = KEYS * (uint64_t)10000000;
	printf("xval_srtp: %llu packets, seed %llu\n", (unsigned long long)packets, (unsigned long long)seed);
	for (int i = 0; i < 16; i++)
		rnd();
	start();
	while (n_protected < packets && bad == 0) {
		send_burst(rnd() % 12 == 0);
		receive_burst(false, false);
		receive_burst(false, false);
		receive_burst(true, false);
	}
	while (in_flight > 0 && bad == 0) {
		receive_burst(false, true);
		receive_burst(true, true);
	}
	printf("protected %llu (rtcp %llu, refused by both %llu), lost %llu, copies %llu, forged %llu, ROC turns %llu\n"
	       "received %llu: accepted %llu, replayed %llu, too old %llu, rtcp in our window alone %llu\n"
	       "differences: %llu\n",
	       (unsigned long long)n_protected, (unsigned long long)n_rtcp, (unsigned long long)n_refused_tx,
	       (unsigned long long)n_lost, (unsigned long long)n_copies, (unsigned long long)n_forged,
	       (unsigned long long)n_wraps, (unsigned long long)n_received, (unsigned long long)n_accepted,
	       (unsigned long long)n_replay, (unsigned long long)n_stale, (unsigned long long)n_window,
	       (unsigned long long)bad);
	for (unsigned int k = 0; k < KEYS; k++) {
		srtp_dealloc(party[k].lib_tx);
		srtp_dealloc(party[k].lib_rx);
		dp_srtp_key_wipe(&party[k].tx);
		dp_srtp_key_wipe(&party[k].rx);
	}
	srtp_shutdown();
	dp_srtp_pool_destroy(pool);
	dp_mb_destroy(mb);
	/* a run that met no trouble tested nothing */
	if (packets >= 50000 && (n_wraps < 10 || n_replay < 1000 || n_stale < 100 || n_refused_tx < 1000))
		bad++;
	return bad != 0;
}
