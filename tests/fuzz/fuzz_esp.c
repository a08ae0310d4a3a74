/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP with a known SA. The first byte chooses one (algorithm, mode, outer family, UDP, ESN), the second what is
 * done with the rest: decapsulated as it came; sealed first, trailer included, so that what lies behind the ICV
 * is reached (padding, next header, inner packet, selectors); or encapsulated and, when that worked, opened
 * again, which must give the same packet. Buffers are of exactly the size needed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/mb.h"
#include "dp_esp.h"
#include "ipsec/esp.h"
#include "ipsec/sa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SAS 64 /* bits: one of two algorithms, tunnel, outer IPv4, UDP, ESN, selectors with ports */

/* By bits 1 to 5 of the choice: each kind of cipher, hash and length of ICV. The first pair is the commonest. */
static const uint8_t algs[][2] = {
	{DP_ESP_AES_CBC_128_SHA1_96, DP_ESP_AES_GCM_128},
	{DP_ESP_AES_CBC_256_SHA256_128, DP_ESP_AES_GCM_256_8},
	{DP_ESP_AES_CTR_128_SHA1_96, DP_ESP_AES_GCM_192_12},
	{DP_ESP_3DES_CBC_SHA1_96, DP_ESP_NULL_SHA256_128},
	{DP_ESP_AES_CTR_192_SHA512_256, DP_ESP_AES_CBC_192_SHA384_192},
};
#define ALGS (sizeof(algs) / sizeof(*algs))

static struct dp_mb *mb;
static struct dp_sa *in_sa[SAS], *out_sa[SAS];

static void must(int ok)
{
	if (!ok)
		abort();
}

static void setup(void)
{
	mb = dp_mb_create();
	must(mb != NULL);
	for (int i = 0; i < SAS; i++) {
		struct dp_sa_set s = {.spi = 0x1000, .gw_id = UINT32_MAX, .alg = algs[i / 2 % ALGS][i & 1],
				      .mode = i & 2 ? DP_ESP_TUNNEL : DP_ESP_TRANSPORT, .esn = i >> 4 & 1,
				      .seq_limit = UINT64_MAX};

		s.local.family = s.remote.family = i & 4 ? 4 : 6;
		memset(s.local.ip, 1, s.local.family == 4 ? 4 : 16);
		memset(s.remote.ip, 2, s.local.family == 4 ? 4 : 16);
		s.local.port = s.remote.port = i & 8 ? 4500 : 0;
		memset(s.key, 3, dp_esp_suite(s.alg)->key_len);
		memset(s.salt, 4, dp_esp_suite(s.alg)->salt_len);
		memset(s.auth, 4, dp_esp_suite(s.alg)->auth_len);
		/* Any address of the outer family, so that random inner packets get in; some with a port. */
		s.sel_local.family = s.sel_remote.family = s.local.family;
		s.sel_local.port = i & 32 ? 0x0101 : 0;
		for (int dir = 0; dir < 2; dir++) {
			struct dp_sa *sa = aligned_alloc(64, (sizeof(*sa) + 63) & ~(size_t)63);

			s.dir = (uint8_t)dir;
			must(sa != NULL && dp_sa_init(sa, mb, &s) == 0);
			*(dir == DP_DIR_RECV ? &in_sa[i] : &out_sa[i]) = sa;
		}
	}
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Ciphertext and ICV behind the IV, which is zero, as is the high half of an ESN. There are 4 bytes of zeros behind the packet. */
static void seal_crypt(const struct dp_sa *sa, uint8_t *e, const uint8_t *text, size_t len)
{
	uint8_t aad[12] = {0}, nonce[16] = {4, 4, 4, 4}, *to = e + 8 + sa->iv_len, tag[32];
	size_t hash = 8u + sa->iv_len + len + (sa->esn ? 4 : 0);

	if (sa->crypt == DP_SA_GCM) {
		memcpy(aad, e, 4);
		memcpy(aad + (sa->esn ? 8 : 4), e + 4, 4);
		dp_mb_gcm_seal(mb, sa->key_len, &sa->key.gcm, nonce, aad, sa->esn ? 12 : 8, text, to, len, to + len, sa->icv_len);
		return;
	}
	if (len > 0 && sa->crypt >= DP_SA_CBC_128 && sa->crypt <= DP_SA_CBC_256) {
		dp_mb_cbc_set(mb, 0, sa->key.cbc.rk, e + 8, text, to, len);
		dp_mb_cbc_run(mb, 1, sa->key_len, true);
	} else if (len > 0 && sa->crypt == DP_SA_3DES) {
		memcpy(to, text, len);
		dp_mb_des3_set(mb, 0, sa->key.cbc.rk, e + 8, to, to, len);
		dp_mb_des3_run(mb, 1, true);
	} else if (len > 0) {
		memcpy(to, text, len);
		nonce[15] = 1;
		if (sa->crypt == DP_SA_CTR) {
			dp_mb_ctr_set(mb, 0, sa->key.cbc.rk, dp_mb_aes_rounds(sa->key_len), nonce, to, len);
			dp_mb_ctr_run(mb, 1);
		}
	}
	if (sa->auth == DP_ESP_A_SHA1) {
		dp_mb_hmac_set(mb, 0, dp_sa_hmac(sa), e, hash, tag, DP_MB_SHA1_LEN);
		dp_mb_hmac_run(mb, 1);
	} else {
		enum dp_mb_sha2 kind = (enum dp_mb_sha2)(sa->auth - DP_ESP_A_SHA256);

		dp_mb_sha2_set(mb, 0, kind, dp_sa_hmac(sa), e, hash, tag);
		dp_mb_sha2_run(mb, kind, 1);
	}
	memcpy(to + len, tag, sa->icv_len);
}

/* An outer packet with 'text' inside, in a buffer of its size. */
static uint8_t *seal(const struct dp_sa *sa, uint32_t seq, const uint8_t *text, size_t len, size_t *ret_len)
{
	size_t h = sa->family == 4 ? 20 : 40, u = sa->udp ? 8 : 0, iv = sa->iv_len, n, esp_len;
	uint8_t *p, *e;

	len -= len % sa->align;
	esp_len = 8 + iv + len + sa->icv_len;
	n = h + u + esp_len;
	p = calloc(1, n + 8);
	e = p + h + u;
	if (h == 20) {
		uint32_t sum = 0;

		p[0] = 0x45;
		put16(p + 2, n);
		p[9] = u > 0 ? 17 : 50;
		memset(p + 12, 2, 4);
		memset(p + 16, 1, 4);
		for (int i = 0; i < 20; i += 2)
			sum += (uint32_t)(p[i] << 8 | p[i + 1]);
		sum = (sum & 0xffff) + (sum >> 16);
		put16(p + 10, (uint16_t)~((sum & 0xffff) + (sum >> 16)));
	} else {
		p[0] = 0x60;
		put16(p + 4, n - 40);
		p[6] = u > 0 ? 17 : 50;
		memset(p + 8, 2, 16);
		memset(p + 24, 1, 16);
	}
	if (u > 0) {
		put16(p + h, 4500);
		put16(p + h + 2, 4500);
		put16(p + h + 4, n - h);
	}
	put16(e + 2, 0x1000);
	put16(e + 4, seq >> 16);
	put16(e + 6, seq & 0xffff);
	seal_crypt(sa, e, text, len);
	*ret_len = n;
	return p;
}

/* What comes out lies inside what went in and is the IP packet it says. */
static void check_out(const struct dp_esp_pkt *p, const uint8_t *base, size_t size)
{
	must(p->data >= base && p->len >= 20 && p->data + p->len <= base + size);
	must(p->headroom == p->data - base && (size_t)p->headroom + p->len + p->tailroom == size);
	must(p->data[0] >> 4 == 4 ? (p->data[2] << 8 | p->data[3]) == p->len
				  : 40 + (p->data[4] << 8 | p->data[5]) == p->len);
}

static int decap(struct dp_sa *sa, const uint8_t *pkt, size_t len, uint8_t **ret, uint16_t *ret_len)
{
	struct dp_esp_pkt p = {.sa = sa, .len = (uint16_t)len};
	uint8_t *copy = malloc(len + (len == 0));

	if (len > 0)
		memcpy(copy, pkt, len);
	p.data = copy;
	dp_replay_init(&sa->win);
	sa->pkts = sa->bytes = 0;
	if (dp_esp_decap_burst(mb, &p, 1) == 1) {
		check_out(&p, copy, len);
		must(sa->pkts == 1);
		if (ret != NULL) {
			*ret = malloc(p.len);
			memcpy(*ret, p.data, p.len);
			*ret_len = p.len;
		}
	}
	must(p.verdict < DP_DROP_MAX);
	must(p.verdict != DP_DROP_ESP_AUTH || (sa->pkts == 0 && sa->win.top == 0));
	free(copy);
	return p.verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum dp_esp_kind kind;
	uint8_t *pkt, *back = NULL;
	uint16_t back_len = 0;
	uint32_t spi;
	size_t n;
	int sel, op, v;

	if (mb == NULL)
		setup();
	if (size < 2 || size > 4096)
		return 0;
	sel = data[0] % SAS;
	op = data[1] % 3;
	data += 2;
	size -= 2;
	if (op == 0) {
		uint8_t *copy = malloc(size + (size == 0));

		memcpy(copy, data, size);
		dp_esp_peek(copy, (uint16_t)size, DP_ESP_UDP_PORT, &kind, &spi);
		free(copy);
		decap(in_sa[sel], data, size, NULL, NULL);
	} else if (op == 1) {
		pkt = seal(out_sa[sel], 1, data, size, &n);
		v = decap(in_sa[sel], pkt, n, NULL, NULL);
		must(v != DP_DROP_ESP_AUTH && v != DP_DROP_ESP_REPLAY); /* it was sealed */
		free(pkt);
	} else {
		struct dp_esp_pkt p = {.sa = out_sa[sel], .headroom = 72, .tailroom = 49, .len = (uint16_t)size};
		uint8_t *base = malloc(72 + size + 49), *first;

		if (size > 0)
			memcpy(base + 72, data, size);
		p.data = base + 72;
		out_sa[sel]->seq = 0;
		out_sa[sel]->pkts = out_sa[sel]->bytes = 0;
		if (dp_esp_encap_burst(mb, &p, 1) == 1) {
			check_out(&p, base, 72 + size + 49);
			first = p.data;
			must(dp_esp_peek(first, p.len, DP_ESP_UDP_PORT, &kind, &spi) == DP_OK && spi == 0x1000);
			/* Selectors of the way back are the other way round: only those without ports match. */
			v = sel < 32 ? decap(in_sa[sel], p.data, p.len, &back, &back_len) : DP_DROP_ESP_SELECTOR;
			if (v == DP_OK) {
				if (sel & 2) { /* tunnel: the packet, without what was behind it */
					must(back_len <= size && memcmp(back, data, back_len) == 0);
				} else {
					must(back_len <= size && back[0] == data[0]);
				}
				free(back);
			} else {
				/*
				 * Transport mode in UDP looks into the payload, and a packet of protocol 59 is a
				 * dummy once it is in ESP; nothing else may refuse.
				 */
				must(sel >= 32 || (!(sel & 2) && ((sel & 8) || v == DP_DROP_ESP_DUMMY)));
			}
		} else {
			must(out_sa[sel]->seq == 0);
		}
		free(base);
	}
	return 0;
}
