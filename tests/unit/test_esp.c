/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/ipsec/esp.c agrees with published packets and with a peer written on OpenSSL only: every mode,
 * algorithm, address family, with and without ESN and UDP, both ways; headers after RFC 4301 and RFC 3948.
 * What must be refused is in test_esp_bad.c.
 */
#include "esp_fix.h"
#include "dp_esp.h"
#include "esp_vectors.h"
#include "ipsec/iphdr.h"

static struct dp_sa_set vector_set(const struct esp_vector *v, int dir, int alg, int mode)
{
	struct dp_sa_set s = mkset(dir, alg, mode, 4, 4, false, v->esn);

	memset(s.key, 0, sizeof(s.key));
	memset(s.auth, 0, sizeof(s.auth));
	memset(s.salt, 0, sizeof(s.salt));
	unhex(v->key, s.key);
	unhex(v->auth, peer_gcm(&s) ? s.salt : s.auth);
	s.spi = v->spi > 255 ? v->spi : 256;
	s.seq_floor = v->seq - 1;
	return s;
}

/* Opens the published packet; the payload and next header must come out. */
static void vector_in(const struct esp_vector *v, int alg, int mode, const uint8_t *esp, size_t esp_len)
{
	struct dp_sa_set s = vector_set(v, DP_DIR_RECV, alg, mode);
	struct dp_sa *sa = mksa(&s);
	struct peer_ip ip = {.family = 4, .src = B4, .dst = A4, .ttl = 9, .proto = 50};
	uint8_t pkt[512], out[512], text[512];
	size_t h = peer_ip(&ip, esp_len, pkt), tlen = unhex(v->text, text), n = 0;
	size_t pay = tlen - 2 - text[tlen - 2], at = mode == DP_ESP_TUNNEL ? 0 : 20;

	sa->spi = v->spi; /* one of the draft's is a reserved one */
	memcpy(pkt + h, esp, esp_len);
	CU_ASSERT_EQUAL(one(false, sa, pkt, h + esp_len, out, &n), DP_OK);
	CU_ASSERT_EQUAL(n, at + pay);
	CU_ASSERT_EQUAL(memcmp(out + at, text, pay), 0);
	CU_ASSERT(mode == DP_ESP_TUNNEL || out[9] == text[tlen - 1]);
	CU_ASSERT_EQUAL(dp_sa_seq(sa), v->seq);
	CU_ASSERT_EQUAL(one(false, sa, pkt, h + esp_len, out, &n), DP_DROP_ESP_REPLAY);
	free(sa);
}

static void test_gcm_vectors(void)
{
	for (size_t i = 0; i < sizeof(esp_gcm_vectors) / sizeof(*esp_gcm_vectors); i++) {
		uint8_t esp[512];
		size_t n = unhex(esp_gcm_vectors[i].esp, esp);

		size_t key = strlen(esp_gcm_vectors[i].key) / 2;

		vector_in(&esp_gcm_vectors[i], key == 16 ? DP_ESP_AES_GCM_128 : key == 24 ? DP_ESP_AES_GCM_192 : DP_ESP_AES_GCM_256,
			  DP_ESP_TRANSPORT, esp, n);
	}
}

/* The number is the IV: what an SA sends under it begins with the published ciphertext. */
static void test_ctr_vectors(void)
{
	for (size_t i = 0; i < sizeof(esp_ctr_vectors) / sizeof(*esp_ctr_vectors); i++) {
		size_t key = strlen(esp_ctr_vectors[i].key) / 2, text, out_len = 0;
		int alg = DP_ESP_AES_CTR_128_SHA1_96 + 4 * (int)((key - 16) / 8);
		struct dp_sa_set s = mkset(DP_DIR_SEND, alg, DP_ESP_TRANSPORT, 4, 4, false, true);
		struct peer_ip ip = {.family = 4, .src = A4, .dst = B4, .ttl = 9, .proto = 17};
		uint8_t in[100], out[200], want[64];
		struct dp_sa *sa;

		unhex(esp_ctr_vectors[i].key, s.key);
		unhex(esp_ctr_vectors[i].nonce, s.salt);
		s.seq_floor = esp_ctr_vectors[i].iv - 1;
		sa = mksa(&s);
		text = unhex(esp_ctr_vectors[i].text, in + 20);
		peer_ip(&ip, text, in);
		CU_ASSERT_EQUAL(one(true, sa, in, 20 + text, out, &out_len), DP_OK);
		CU_ASSERT_EQUAL(unhex(esp_ctr_vectors[i].cipher, want), text);
		CU_ASSERT_EQUAL(memcmp(out + 20 + 16, want, text), 0);
		free(sa);
	}
}

static void test_cbc_vectors(void)
{
	for (size_t i = 0; i < sizeof(esp_cbc_vectors) / sizeof(*esp_cbc_vectors); i++) {
		const struct esp_vector *v = &esp_cbc_vectors[i];
		uint8_t esp[512], text[512], in[512], out[512], iv[16], icv[12];
		size_t n = unhex(v->esp, esp), tlen = unhex(v->text, text), in_len, out_len = 0;
		size_t pay = tlen - 2 - text[tlen - 2];
		int mode = text[tlen - 1] == 4 ? DP_ESP_TUNNEL : DP_ESP_TRANSPORT, len, fin;
		struct dp_sa_set s = vector_set(v, DP_DIR_SEND, DP_ESP_AES_CBC_128_SHA1_96, mode);
		struct peer_ip ip = {.family = 4, .src = A4, .dst = B4, .ttl = 9, .proto = text[tlen - 1]};
		struct dp_sa *sa = mksa(&s);
		EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

		peer_hmac(&s, v->seq, esp, n, esp + n);
		if (v->icv != NULL) {
			unhex(v->icv, icv);
			CU_ASSERT_EQUAL(memcmp(esp + n, icv, 12), 0);
		}
		vector_in(v, DP_ESP_AES_CBC_128_SHA1_96, mode, esp, n + 12);

		/* Out: choose the mask so that IV = E_K(mask xor sequence) becomes the published one. */
		unhex(v->iv, iv);
		EVP_DecryptInit_ex(c, EVP_aes_128_ecb(), NULL, s.key, NULL);
		EVP_CIPHER_CTX_set_padding(c, 0);
		EVP_DecryptUpdate(c, sa->iv_mask, &len, iv, 16);
		EVP_DecryptFinal_ex(c, sa->iv_mask + len, &fin);
		EVP_CIPHER_CTX_free(c);
		for (int b = 0; b < 8; b++)
			sa->iv_mask[8 + b] ^= (uint8_t)(v->seq >> (56 - 8 * b));
		in_len = mode == DP_ESP_TUNNEL ? 0 : peer_ip(&ip, pay, in);
		memcpy(in + in_len, text, pay);
		CU_ASSERT_EQUAL(one(true, sa, in, in_len + pay, out, &out_len), DP_OK);
		CU_ASSERT_EQUAL(out_len, 20 + n + 12);
		CU_ASSERT_EQUAL(memcmp(out + 20, esp, n + 12), 0);
		free(sa);
	}
}

/* --- the table --- */

/* Lengths against the peer's own; names as operators write them, and with the length of the ICV behind. */
static void test_table(void)
{
	static const struct {
		const char *name;
		uint8_t alg;
	} names[] = {
		{"aes-gcm-128", DP_ESP_AES_GCM_128}, {"aes-gcm-128-16", DP_ESP_AES_GCM_128}, {"aes-gcm-256-12", DP_ESP_AES_GCM_256_12},
		{"aes-gcm-192-8", DP_ESP_AES_GCM_192_8}, {"aes-cbc-128-sha1", DP_ESP_AES_CBC_128_SHA1_96},
		{"aes-cbc-128-sha1-96", DP_ESP_AES_CBC_128_SHA1_96}, {"aes-cbc-256-sha256", DP_ESP_AES_CBC_256_SHA256_128},
		{"aes-cbc-192-sha384-192", DP_ESP_AES_CBC_192_SHA384_192}, {"aes-ctr-128-sha512-256", DP_ESP_AES_CTR_128_SHA512_256},
		{"3des-cbc-sha1", DP_ESP_3DES_CBC_SHA1_96}, {"null-sha256", DP_ESP_NULL_SHA256_128}, {"null-sha512", DP_ESP_NULL_SHA512_256},
		{"", 0}, {"aes-gcm-128-", 0}, {"aes-gcm-128-4", 0}, {"aes-gcm-128-128", 0}, {"aes-cbc-128", 0}, {"aes-cbc-128-sha1-128", 0},
		{"aes-cbc-128-sha1-96x", 0}, {"aes-cbc-128-sha1-096", 0}, {"AES-GCM-128", 0}, {"des-cbc-sha1", 0}, {"aes-gcm-12", 0},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		CU_ASSERT_EQUAL(dp_esp_find(names[i].name), names[i].alg);
	CU_ASSERT_EQUAL(dp_esp_find(NULL), 0);
	CU_ASSERT(dp_esp_suite(0) == NULL && dp_esp_suite(DP_ESP_ALG_MAX) == NULL);
	for (unsigned int alg = 1; alg < DP_ESP_ALG_MAX; alg++) {
		const struct dp_esp_suite *t = dp_esp_suite(alg);
		struct dp_sa_set s = {.alg = (uint8_t)alg};
		struct peer_alg a = peer_alg(&s);

		CU_ASSERT(t->key_len == a.key && t->salt_len == a.salt && t->auth_len == a.auth && t->iv_len == a.iv &&
			  t->icv_len == a.icv && t->align == a.align);
		CU_ASSERT_EQUAL(t->old, a.kind == PEER_3DES || a.kind == PEER_NULL);
		CU_ASSERT_EQUAL(dp_esp_find(t->name), alg);
	}
}

/* --- the matrix --- */

static void check_outer(const struct dp_sa_set *s, const uint8_t *in, size_t len, const uint8_t *out, size_t n,
			uint64_t *seq, uint8_t *iv)
{
	size_t u = s->local.port > 0 ? 8 : 0, h;
	uint8_t pay[PEER_PKT_MAX], proto = u > 0 ? 17 : 50;
	struct peer_esp e = {.seq = *seq};
	int plen;

	if (s->mode == DP_ESP_TUNNEL) {
		h = s->local.family == 4 ? 20 : 40;
		CU_ASSERT_EQUAL(out[0] >> 4, s->local.family);
		if (h == 20) {
			CU_ASSERT_EQUAL(out[0], 0x45);
			CU_ASSERT_EQUAL(out[8], 64);
			CU_ASSERT_EQUAL(memcmp(out + 12, s->local.ip, 4), 0);
			CU_ASSERT_EQUAL(memcmp(out + 16, s->remote.ip, 4), 0);
		} else {
			CU_ASSERT_EQUAL(out[7], 64);
			CU_ASSERT_EQUAL(memcmp(out + 8, s->local.ip, 16), 0);
			CU_ASSERT_EQUAL(memcmp(out + 24, s->remote.ip, 16), 0);
		}
	} else {
		h = split_at(in);
	}
	if (out[0] >> 4 == 4) {
		CU_ASSERT_EQUAL(out[2] << 8 | out[3], (int)n);
		CU_ASSERT_EQUAL(peer_sum(out, h, NULL, 0), 0);
		CU_ASSERT_EQUAL(out[9], proto);
		if (s->mode == DP_ESP_TRANSPORT) /* all but length, protocol, checksum */
			CU_ASSERT(memcmp(out, in, 2) == 0 && memcmp(out + 4, in + 4, 5) == 0 &&
				  memcmp(out + 12, in + 12, h - 12) == 0);
	} else {
		CU_ASSERT_EQUAL(out[4] << 8 | out[5], (int)n - 40);
		CU_ASSERT_EQUAL(h == 48 ? out[40] : out[6], proto);
		if (s->mode == DP_ESP_TRANSPORT)
			CU_ASSERT(memcmp(out, in, 4) == 0 && memcmp(out + 7, in + 7, 33) == 0);
	}
	if (u > 0) {
		CU_ASSERT_EQUAL(memcmp(out + h, "\x11\x94\x11\x94", 4), 0);
		CU_ASSERT_EQUAL(out[h + 4] << 8 | out[h + 5], (int)(n - h));
		/* RFC 3948 2.1; over IPv6 a real one */
		CU_ASSERT_EQUAL(out[0] >> 4 == 4 ? out[h + 6] << 8 | out[h + 7]
						 : peer_l4_sum(out, 17, out + h, n - h), 0);
	}
	plen = peer_open(s, &e, out + h + u, n - h - u, pay);
	CU_ASSERT_EQUAL(e.seq, *seq);
	if (s->mode == DP_ESP_TUNNEL) {
		CU_ASSERT_EQUAL(e.next, in[0] >> 4 == 4 ? 4 : 41);
		CU_ASSERT_EQUAL(plen, (int)len);
		CU_ASSERT_EQUAL(memcmp(pay, in, len), 0);
	} else {
		CU_ASSERT_EQUAL(e.next, in[in[0] >> 4 == 4 ? 9 : h == 48 ? 40 : 6]);
		CU_ASSERT_EQUAL(plen, (int)(len - h));
		CU_ASSERT_EQUAL(memcmp(pay, in + h, len - h), 0);
	}
	CU_ASSERT(e.pad < peer_alg(s).align);
	memcpy(iv, e.iv, 16);
}

/* NAT support clears or renews inner checksums: apply that to what is expected. */
static void expect_nat(const struct dp_sa_set *s, uint8_t *in)
{
	if (s->mode == DP_ESP_TRANSPORT && s->local.port > 0 && in[0] >> 4 == 4)
		memset(in + (in[0] & 15) * 4 + 6, 0, 2);
}

static void matrix_case(int alg, int mode, int outer, int inner, bool udp, bool esn)
{
	struct dp_sa_set so = mkset(DP_DIR_SEND, alg, mode, outer, inner, udp, esn), si = so;
	struct dp_sa *out_sa, *in_sa;
	struct heap_pkt h[70];
	static uint8_t in[70][PEER_PKT_MAX];
	uint8_t pkt[PEER_PKT_MAX], iv[16], last_iv[16] = {0};
	size_t len[70];
	uint64_t seq;

	si.dir = DP_DIR_RECV;
	so.seq_floor = si.seq_floor = seq = esn ? 0xfffffff0u : 0; /* ESN: across 2^32 */
	out_sa = mksa(&so);
	in_sa = mksa(&si);
	for (int round = 0; round < 4; round++) {
		uint16_t n = (uint16_t)(1 + rnd(70));
		uint64_t base = seq;

		for (uint16_t i = 0; i < n; i++) {
			struct inner d = {.family = inner, .mode = mode, .out = true,
					  .len = (uint16_t)rnd(rnd(2) ? 64 : 1400), .tos = (uint8_t)rnd(256),
					  .opts = (uint8_t)(inner == 4 ? 4 * rnd(3) : rnd(4)),
					  .frag = rnd(2) ? 0x4000 : 0};

			len[i] = mkinner(&d, in[i]);
			h[i] = heap(out_sa, in[i], len[i], DP_ESP_HEADROOM, DP_ESP_TAILROOM);
		}
		CU_ASSERT_EQUAL(dp_esp_encap_burst(mb, &h[0].p, 0), 0);
		/* The burst takes an array of packets; copy out of and back into the heap wrappers. */
		struct dp_esp_pkt burst[70];
		for (uint16_t i = 0; i < n; i++)
			burst[i] = h[i].p;
		CU_ASSERT_EQUAL(dp_esp_encap_burst(mb, burst, n), n);
		for (uint16_t i = 0; i < n; i++) {
			struct dp_esp_pkt *p = &burst[i];

			seq++;
			CU_ASSERT_EQUAL(p->verdict, DP_OK);
			CU_ASSERT_EQUAL(p->headroom, p->data - h[i].base);
			CU_ASSERT_EQUAL(p->headroom + p->len + p->tailroom,
					DP_ESP_HEADROOM + len[i] + DP_ESP_TAILROOM);
			check_outer(&so, in[i], len[i], p->data, p->len, &seq, iv);
			CU_ASSERT(peer_alg(&so).iv == 0 || memcmp(iv, last_iv, 16) != 0);
			memcpy(last_iv, iv, 16);
			free(h[i].base);
		}
		/* The other way, the peer sealing; in random order within the burst, with TFC sometimes. */
		for (uint16_t i = 0; i < n; i++) {
			struct inner d = {.family = inner, .mode = mode, .len = (uint16_t)rnd(1300),
					  .tos = (uint8_t)(rnd(64) << 2),
					  .opts = (uint8_t)(inner == 4 ? 4 * rnd(3) : rnd(4))};
			struct peer_esp e = {.seq = base + 1 + (uint64_t)(n - 1 - i), .pad = rnd(200),
					     .tfc = mode == DP_ESP_TUNNEL ? rnd(100) : 0};
			size_t plen;

			if (rnd(2))
				e.pad = 0;
			len[i] = mkinner(&d, in[i]);
			rnd_fill(e.iv, 16);
			plen = peer_send(&si, &e, in[i], len[i], pkt);
			h[i] = heap(in_sa, pkt, plen, 0, 0);
			burst[i] = h[i].p;
			expect_nat(&si, in[i]);
		}
		CU_ASSERT_EQUAL(dp_esp_decap_burst(mb, burst, n), n);
		for (uint16_t i = 0; i < n; i++) {
			CU_ASSERT_EQUAL(burst[i].verdict, DP_OK);
			CU_ASSERT_EQUAL(burst[i].len, len[i]);
			CU_ASSERT_EQUAL(memcmp(burst[i].data, in[i], len[i]), 0);
			CU_ASSERT_EQUAL(burst[i].headroom, burst[i].data - h[i].base);
			CU_ASSERT_EQUAL(burst[i].headroom + burst[i].len + burst[i].tailroom, h[i].p.len);
			free(h[i].base);
		}
		CU_ASSERT_EQUAL(dp_sa_seq(in_sa), seq);
		CU_ASSERT_EQUAL(dp_sa_seq(out_sa), seq);
	}
	CU_ASSERT_EQUAL(out_sa->pkts, in_sa->pkts);
	free(out_sa);
	free(in_sa);
}

static void test_matrix(void)
{
	for (int alg = DP_ESP_AES_GCM_128; alg < DP_ESP_ALG_MAX; alg++)
		for (int bits = 0; bits < 32; bits++) {
			int mode = bits & 1 ? DP_ESP_TUNNEL : DP_ESP_TRANSPORT;
			int outer = bits & 2 ? 4 : 6, inner = bits & 4 ? 4 : 6;

			if (mode == DP_ESP_TUNNEL || outer == inner)
				matrix_case(alg, mode, outer, inner, bits & 8, bits & 16);
		}
}

/* All algorithms in one burst, with bad packets in between. */
#define KINDS (DP_ESP_ALG_MAX - 1)
static void test_mixed_burst(void)
{
	struct dp_sa_set s[KINDS];
	struct dp_sa *sa[KINDS];
	struct dp_esp_pkt p[64];
	struct heap_pkt h[64];
	uint8_t in[64][600], pkt[PEER_PKT_MAX];
	size_t len[64];
	uint16_t good = 0;

	for (int k = 0; k < KINDS; k++) {
		s[k] = mkset(DP_DIR_RECV, 1 + k, 1 + k / 2 % 2, 4, 4, k % 3 == 2, k % 4 == 1);
		sa[k] = mksa(&s[k]);
	}
	for (int i = 0; i < 64; i++) {
		int k = i % KINDS;
		struct inner d = {.family = 4, .mode = s[k].mode, .len = (uint16_t)rnd(500)};
		struct peer_esp e = {.seq = (uint64_t)(1 + i / KINDS)};
		size_t n;

		len[i] = mkinner(&d, in[i]);
		n = peer_send(&s[k], &e, in[i], len[i], pkt);
		if (i % 5 == 3)
			pkt[n - 1] ^= 1;
		expect_nat(&s[k], in[i]);
		h[i] = heap(sa[k], pkt, n, 0, 0);
		p[i] = h[i].p;
		good += i % 5 != 3;
	}
	CU_ASSERT_EQUAL(dp_esp_decap_burst(mb, p, 64), good);
	for (int i = 0; i < 64; i++) {
		CU_ASSERT_EQUAL(p[i].verdict, i % 5 == 3 ? DP_DROP_ESP_AUTH : DP_OK);
		if (p[i].verdict == DP_OK)
			CU_ASSERT(p[i].len == len[i] && memcmp(p[i].data, in[i], len[i]) == 0);
		free(h[i].base);
	}
	for (int k = 0; k < KINDS; k++)
		free(sa[k]);
}

/* --- RFC 4301 5.1.2 --- */

static void test_tunnel_header_out(void)
{
	for (int i = 0; i < 8; i++) {
		int outer = i & 1 ? 4 : 6, inner = i & 2 ? 4 : 6;
		struct dp_sa_set s = mkset(DP_DIR_SEND, 1, DP_ESP_TUNNEL, outer, inner, false, false);
		struct dp_sa *sa = mksa(&s);
		struct inner d = {.family = inner, .mode = DP_ESP_TUNNEL, .out = true, .len = 20, .tos = 0xb9,
				  .frag = i & 4 ? 0x4000 : 0};
		uint8_t in[200], out[300];
		size_t len = mkinner(&d, in), n = 0;

		CU_ASSERT_EQUAL(one(true, sa, in, len, out, &n), DP_OK);
		if (outer == 4) {
			CU_ASSERT_EQUAL(out[1], 0xb9); /* DSCP and ECN */
			CU_ASSERT_EQUAL(out[6], inner == 6 || (i & 4) ? 0x40 : 0);
			CU_ASSERT_EQUAL(out[7], 0);
		} else {
			CU_ASSERT_EQUAL(out[0] << 4 & 0xff, 0xb0);
			CU_ASSERT_EQUAL(out[1] >> 4, 9);
			if (inner == 6) /* flow label */
				CU_ASSERT(memcmp(out + 2, in + 2, 2) == 0 && (out[1] & 15) == (in[1] & 15));
		}
		free(sa);
	}
}

/* RFC 6040 figure 4, rows: the inner packet's ECN as it is on the wire (0, ECT(1) is 1, ECT(0) is 2, CE is 3), columns the outer one's. */
#define DROP 9
static const uint8_t ecn_in[4][4] = {{0, 0, 0, DROP}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};

/* What a policy says of the outer header: DF, and DSCP beside the ECN that is copied all the same. */
static void test_tunnel_header_policy(void)
{
	for (int i = 0; i < 36; i++) {
		int outer = i % 2 ? 4 : 6, inner = i / 2 % 2 ? 4 : 6;
		struct dp_sa_set s = mkset(DP_DIR_SEND, 1 + i / 4 % 2, DP_ESP_TUNNEL, outer, inner, false, false);
		struct dp_sa *sa = mksa(&s);
		struct inner d = {.family = inner, .mode = DP_ESP_TUNNEL, .out = true, .len = 20, .tos = 0xb9,
				  .frag = i % 5 == 0 ? 0x4000 : 0};
		uint8_t in[200], df = (uint8_t)(i / 4 % 3);
		size_t len = mkinner(&d, in);
		struct heap_pkt h = heap(sa, in, len, DP_ESP_HEADROOM, DP_ESP_TAILROOM);
		const uint8_t *o;

		h.p.df = df;
		h.p.dscp = (uint8_t)(1 + (i == 7 ? 0 : i == 8 ? 63 : 26));
		CU_ASSERT_EQUAL(dp_esp_encap_burst(mb, &h.p, 1), 1);
		o = h.p.data;
		CU_ASSERT_EQUAL(outer == 4 ? o[1] : (uint8_t)(o[0] << 4 | o[1] >> 4), (h.p.dscp - 1) << 2 | 1);
		if (outer == 4) {
			bool was = inner == 6 || d.frag != 0;

			CU_ASSERT_EQUAL(o[6], (df == DP_SPD_DF_COPY ? was : df == DP_SPD_DF_SET) ? 0x40 : 0);
			CU_ASSERT_EQUAL(peer_sum(o, 20, NULL, 0), 0);
		}
		CU_ASSERT_EQUAL(h.p.len, dp_esp_outer_len(sa, (uint32_t)len, inner == 4 ? 20 : 40));
		free(h.base);
		free(sa);
	}
}

/* What fits is found, and no more: every algorithm, both modes. */
static void test_lengths(void)
{
	for (int i = 0; i < 8 * (DP_ESP_ALG_MAX - 1); i++) {
		int alg = 1 + i / 8, fam = i & 1 ? 4 : 6, mode = i & 2 ? DP_ESP_TUNNEL : DP_ESP_TRANSPORT;
		struct dp_sa_set s = mkset(DP_DIR_SEND, alg, mode, fam, fam, i & 4, false);
		struct dp_sa *sa = mksa(&s);
		struct inner d = {.family = fam, .mode = mode, .out = true};

		for (d.len = 0; d.len < 70; d.len++) {
			uint8_t in[300], out[600];
			size_t len = mkinner(&d, in), n = 0;
			uint32_t max;

			CU_ASSERT_EQUAL(one(true, sa, in, len, out, &n), DP_OK);
			CU_ASSERT_EQUAL(n, dp_esp_outer_len(sa, (uint32_t)len, fam == 4 ? 20 : 40));
			if (mode != DP_ESP_TUNNEL)
				continue;
			max = dp_esp_inner_max(sa, (uint32_t)n);
			CU_ASSERT(max >= len && dp_esp_outer_len(sa, max, 0) <= n && dp_esp_outer_len(sa, max + 1, 0) > n);
		}
		CU_ASSERT_EQUAL(dp_esp_inner_max(sa, sa->outer_len + 8u + sa->iv_len + sa->icv_len), 0);
		CU_ASSERT_EQUAL(dp_esp_inner_max(sa, 5), 0);
		free(sa);
	}
}

/* A fragment out of a tunnel says so; where it does not show what the selectors ask for it is not let through by itself. */
static void test_inner_fragments(void)
{
	for (int i = 0; i < 8; i++) {
		int fam = i & 1 ? 4 : 6;
		bool ports = i & 2, whole = i & 4;
		struct dp_sa_set s = mkset(DP_DIR_RECV, 1, DP_ESP_TUNNEL, 4, fam, false, false);
		struct inner d = {.family = fam, .mode = DP_ESP_TUNNEL, .len = 64, .frag = whole ? 0 : 0x2000};
		struct peer_esp e = {.seq = 1};
		uint8_t in[300], pkt[400];
		size_t len, n;
		struct heap_pkt h;
		struct dp_sa *sa;

		s.sel_local.port = ports ? 2727 : 0;
		sa = mksa(&s);
		len = mkinner(&d, in);
		if (fam == 6 && !whole) { /* a fragment header in front of UDP */
			memmove(in + 48, in + 40, len - 40);
			memset(in + 40, 0, 8);
			in[40] = 17;
			in[43] = 1;
			in[6] = 44;
			in[4] = (uint8_t)((len - 32) >> 8);
			in[5] = (uint8_t)(len - 32);
			len += 8;
		}
		n = peer_send(&s, &e, in, len, pkt);
		h = heap(sa, pkt, n, 0, 0);
		/* 2727 is where the peer's packets come from: to 2427 */
		if (ports && whole)
			sa->sel_dst.port = 2427;
		CU_ASSERT_EQUAL(dp_esp_decap_burst(mb, &h.p, 1), whole || !ports);
		CU_ASSERT_EQUAL(h.p.verdict, whole || !ports ? DP_OK : DP_DROP_L3_FRAGMENT);
		CU_ASSERT_EQUAL(h.p.fragment, !whole);
		CU_ASSERT(h.p.len == len && memcmp(h.p.data, in, len) == 0);
		free(h.base);
		/* what is dropped for another reason says no such thing */
		h = heap(sa, pkt, n, 0, 0);
		h.p.fragment = 1;
		CU_ASSERT_EQUAL(dp_esp_decap_burst(mb, &h.p, 1), 0);
		CU_ASSERT(h.p.verdict == DP_DROP_ESP_REPLAY && h.p.fragment == 0);
		free(h.base);
		free(sa);
	}
}

/* Outbound dummies: the peer finds next header 59, whatever the selectors and the mode, and they look like any packet. */
static void test_dummy_out(void)
{
	for (int i = 0; i < 8; i++) {
		int fam = i & 1 ? 4 : 6, mode = i & 2 ? DP_ESP_TUNNEL : DP_ESP_TRANSPORT;
		struct dp_sa_set s = mkset(DP_DIR_SEND, 1 + (i >> 2), mode, fam, fam, false, false);
		struct inner d = {.family = fam, .mode = DP_ESP_TRANSPORT, .out = true, .len = 77};
		struct peer_esp e = {0};
		uint8_t in[300], text[PEER_PKT_MAX];
		struct dp_sa *sa;
		struct heap_pkt h;
		size_t len = mkinner(&d, in), at = fam == 4 ? 20 : 40;

		s.sel_remote.family = s.sel_local.family = (uint8_t)fam;
		s.sel_local_plen = fam == 4 ? 32 : 128; /* 0.0.0.0 alone: fits nothing */
		s.sel_proto = 6;
		sa = mksa(&s);
		h = heap(sa, in, len, DP_ESP_HEADROOM, DP_ESP_TAILROOM);
		h.p.dummy = 1;
		CU_ASSERT_EQUAL_FATAL(dp_esp_encap_burst(mb, &h.p, 1), 1);
		CU_ASSERT(peer_open(&s, &e, h.p.data + at, h.p.len - at, text) > 0);
		CU_ASSERT_EQUAL(e.next, 59);
		CU_ASSERT_EQUAL(sa->pkts, 1);
		free(h.base);
		free(sa);
	}
}

static void test_tunnel_ecn_in(void)
{
	for (int i = 0; i < 64; i++) {
		int outer = i & 1 ? 4 : 6, inner = i & 2 ? 4 : 6;
		uint8_t o = (uint8_t)(i >> 2 & 3), in_ecn = (uint8_t)(i >> 4 & 3), got;
		struct dp_sa_set s = mkset(DP_DIR_RECV, 1, DP_ESP_TUNNEL, outer, inner, false, false);
		struct dp_sa *sa = mksa(&s);
		struct inner d = {.family = inner, .mode = DP_ESP_TUNNEL, .len = 20,
				  .tos = (uint8_t)(0xb8 | in_ecn)};
		struct peer_esp e = {.seq = 1};
		uint8_t in[200], pkt[300], out[300];
		size_t len = mkinner(&d, in), n = peer_send(&s, &e, in, len, pkt), out_len = 0;

		if (outer == 4)
			pkt[1] = (uint8_t)(0x40 | o); /* another DSCP, which must not come in */
		else
			pkt[1] = (uint8_t)((pkt[1] & 0xcf) | o << 4);
		if (ecn_in[in_ecn][o] == DROP) {
			CU_ASSERT_EQUAL(one(false, sa, pkt, n, out, &out_len), DP_DROP_ESP_ECN);
			CU_ASSERT_EQUAL(sa->pkts, 1); /* authentic: its number is used */
			free(sa);
			continue;
		}
		CU_ASSERT_EQUAL(one(false, sa, pkt, n, out, &out_len), DP_OK);
		got = inner == 4 ? out[1] : (uint8_t)(out[0] << 4 | out[1] >> 4);
		CU_ASSERT_EQUAL(got, 0xb8 | ecn_in[in_ecn][o]);
		if (inner == 4)
			CU_ASSERT_EQUAL(peer_sum(out, 20, NULL, 0), 0);
		CU_ASSERT_EQUAL(out_len, len);
		free(sa);
	}
}

/* RFC 3948 3.1.2: behind a NAT the inner checksum is over other addresses. */
static void test_nat_checksums(void)
{
	for (int fam = 4; fam <= 6; fam += 2)
		for (int tcp = 0; tcp < 2; tcp++) {
			struct dp_sa_set s = mkset(DP_DIR_RECV, 1, DP_ESP_TRANSPORT, fam, fam, true, false);
			struct dp_sa *sa = mksa(&s);
			struct inner d = {.family = fam, .mode = DP_ESP_TRANSPORT, .len = 33};
			struct peer_esp e = {.seq = 1};
			uint8_t in[200], pkt[300], out[300];
			size_t len = mkinner(&d, in), h = fam == 4 ? 20 : 40, n, out_len = 0;

			in[fam == 4 ? 9 : 6] = tcp ? 6 : 17;
			if (fam == 4) {
				in[10] = in[11] = 0;
				uint16_t sum = peer_sum(in, 20, NULL, 0);
				in[10] = (uint8_t)(sum >> 8);
				in[11] = (uint8_t)sum;
			}
			in[h + (tcp ? 16 : 6)] ^= 0x5a; /* as if over the address before the NAT */
			n = peer_send(&s, &e, in, len, pkt);
			CU_ASSERT_EQUAL(one(false, sa, pkt, n, out, &out_len), DP_OK);
			CU_ASSERT_EQUAL(!tcp && fam == 4
						? out[h + 6] << 8 | out[h + 7]
						: peer_l4_sum(out, tcp ? 6 : 17, out + h, len - h), 0);
			free(sa);
		}
}

static void test_dummy_and_tfc(void)
{
	struct dp_sa_set s = mkset(DP_DIR_RECV, 1, DP_ESP_TUNNEL, 4, 4, false, false);
	struct dp_sa *sa = mksa(&s);
	struct inner d = {.family = 4, .mode = DP_ESP_TUNNEL, .len = 50};
	uint8_t in[200], pkt[1000], junk[100];
	size_t len = mkinner(&d, in);
	struct peer_esp e = {.seq = 1, .next = 59}, f = {.seq = 2, .tfc = 300, .pad = 255};

	rnd_fill(junk, sizeof(junk));
	CU_ASSERT_EQUAL(decap(sa, pkt, peer_send(&s, &e, junk, sizeof(junk), pkt)), DP_DROP_ESP_DUMMY);
	CU_ASSERT_EQUAL(decap(sa, pkt, peer_send(&s, &e, junk, sizeof(junk), pkt)), DP_DROP_ESP_REPLAY);
	CU_ASSERT_EQUAL(decap(sa, pkt, peer_send(&s, &f, in, len, pkt)), DP_OK);
	free(sa);
}

/* Outbound: shorter packets leave as long as one of 'tfc' bytes, the peer finds them; longer ones as they are; as far as there is room. */
static void test_tfc_out(void)
{
	for (int alg = 1; alg < DP_ESP_ALG_MAX; alg++) {
		struct dp_sa_set s = mkset(DP_DIR_SEND, alg, DP_ESP_TUNNEL, alg & 1 ? 4 : 6, 4, alg & 2, alg & 4);
		struct dp_sa *sa;
		size_t full = 0;

		s.tfc = 400;
		sa = mksa(&s);
		for (uint16_t pay = 0; pay < 500; pay += 37) {
			struct inner d = {.family = 4, .mode = DP_ESP_TUNNEL, .out = true, .len = pay};
			struct peer_esp e = {0};
			uint8_t in[600], text[PEER_PKT_MAX];
			size_t len = mkinner(&d, in), h = (s.local.family == 4 ? 20u : 40u) + (s.local.port > 0 ? 8 : 0);
			struct heap_pkt p = heap(sa, in, len, DP_ESP_HEADROOM, 500);
			int got;

			CU_ASSERT_EQUAL(dp_esp_encap_burst(mb, &p.p, 1), 1);
			CU_ASSERT_EQUAL(p.p.headroom + p.p.len + p.p.tailroom, DP_ESP_HEADROOM + len + 500);
			got = peer_open(&s, &e, p.p.data + h, p.p.len - h, text);
			CU_ASSERT_EQUAL(got, (int)(len < 400 ? 400 : len));
			CU_ASSERT_EQUAL(memcmp(text, in, len), 0);
			for (size_t i = len; i < 400; i++)
				CU_ASSERT_EQUAL(text[i], 0);
			if (len < 400) {
				CU_ASSERT(full == 0 || full == p.p.len);
				full = p.p.len;
			}
			free(p.base);
			/* Little room: less of it, and never a drop for its sake. */
			p = heap(sa, in, len, DP_ESP_HEADROOM, DP_ESP_TAILROOM + pay % 64);
			CU_ASSERT_EQUAL(dp_esp_encap_burst(mb, &p.p, 1), 1);
			e = (struct peer_esp){0};
			got = peer_open(&s, &e, p.p.data + h, p.p.len - h, text);
			CU_ASSERT(got >= (int)len && got <= (int)(len + DP_ESP_TAILROOM + 64));
			CU_ASSERT_EQUAL(memcmp(text, in, len), 0);
			free(p.base);
		}
		free(sa);
	}
}

/* CBC IVs do not repeat, also not after the SA was made again, and are not the plain counter. */
static void test_ivs(void)
{
	struct dp_sa_set s = mkset(DP_DIR_SEND, DP_ESP_AES_CBC_128_SHA1_96, DP_ESP_TUNNEL, 4, 4, false, true);
	static uint8_t ivs[2048][16];
	struct inner d = {.family = 4, .mode = DP_ESP_TUNNEL, .out = true, .len = 1};
	uint8_t in[100], out[200];
	size_t len = mkinner(&d, in), n = 0, bits = 0;

	for (int k = 0; k < 2; k++) {
		struct dp_sa *sa = mksa(&s);

		for (int i = 0; i < 1024; i++) {
			CU_ASSERT_EQUAL(one(true, sa, in, len, out, &n), DP_OK);
			memcpy(ivs[k * 1024 + i], out + 28, 16);
		}
		free(sa);
	}
	for (int i = 0; i < 2048; i++) {
		for (int j = 0; j < i; j++)
			CU_ASSERT_NOT_EQUAL_FATAL(memcmp(ivs[i], ivs[j], 16), 0);
		for (int b = 0; i > 0 && b < 16; b++)
			bits += (size_t)__builtin_popcount((unsigned int)(ivs[i][b] ^ ivs[i - 1][b]));
	}
	/* Neighbours differ in half of 128 bits: 2047 * 64 on average, six sigma are 1536. */
	CU_ASSERT(bits > 2047 * 64 - 1536 && bits < 2047 * 64 + 1536);
	/* 3DES: 8 bytes of it. */
	s = mkset(DP_DIR_SEND, DP_ESP_3DES_CBC_SHA1_96, DP_ESP_TUNNEL, 4, 4, false, true);
	bits = 0;
	for (int k = 0; k < 2; k++) {
		struct dp_sa *des = mksa(&s);

		for (int i = 0; i < 1024; i++) {
			CU_ASSERT_EQUAL(one(true, des, in, len, out, &n), DP_OK);
			memcpy(ivs[k * 1024 + i], out + 28, 8);
		}
		free(des);
	}
	for (int i = 0; i < 2048; i++) {
		for (int j = 0; j < i; j++)
			CU_ASSERT_NOT_EQUAL_FATAL(memcmp(ivs[i], ivs[j], 8), 0);
		for (int b = 0; i > 0 && b < 8; b++)
			bits += (size_t)__builtin_popcount((unsigned int)(ivs[i][b] ^ ivs[i - 1][b]));
	}
	CU_ASSERT(bits > 2047 * 32 - 1086 && bits < 2047 * 32 + 1086);
	/* GCM: the whole 64-bit sequence. */
	s = mkset(DP_DIR_SEND, DP_ESP_AES_GCM_128, DP_ESP_TUNNEL, 4, 4, false, true);
	s.seq_floor = 0x0123456789abcdef;
	struct dp_sa *sa = mksa(&s);
	CU_ASSERT_EQUAL(one(true, sa, in, len, out, &n), DP_OK);
	CU_ASSERT_EQUAL(memcmp(out + 28, "\x01\x23\x45\x67\x89\xab\xcd\xf0", 8), 0);
	free(sa);
}

/* RFC 768: a checksum that comes out as 0 is sent as ffff, because 0 means none. */
static void test_zero_checksum(void)
{
	uint8_t pkt[60] = {0};
	struct peer_ip ip = {.family = 6, .src = A6, .dst = B6, .ttl = 1, .proto = 17};
	uint16_t sum;

	peer_ip(&ip, 12, pkt);
	pkt[45] = 12;
	sum = peer_l4_sum(pkt, 17, pkt + 40, 12);
	pkt[50] = (uint8_t)(sum >> 8); /* makes the sum complete without the checksum field */
	pkt[51] = (uint8_t)sum;
	dp_iphdr_udp_sum(pkt, pkt + 40, 12);
	CU_ASSERT_EQUAL(pkt[46] << 8 | pkt[47], 0xffff);
	CU_ASSERT_EQUAL(peer_l4_sum(pkt, 17, pkt + 40, 12), 0);
	pkt[51] ^= 1;
	dp_iphdr_udp_sum(pkt, pkt + 40, 12);
	CU_ASSERT_EQUAL(peer_l4_sum(pkt, 17, pkt + 40, 12), 0);
}

static CU_TestInfo tests[] = {
	{"the table of algorithms", test_table},
	{"GCM packets of the draft open", test_gcm_vectors},
	{"CTR's ciphertext is RFC 3686's", test_ctr_vectors},
	{"CBC packets of RFC 3602 open and are made", test_cbc_vectors},
	{"every mode agrees with the OpenSSL peer both ways", test_matrix},
	{"mixed SAs in one burst keep their verdicts", test_mixed_burst},
	{"tunnel header: DSCP, ECN, DF, TTL, flow label", test_tunnel_header_out},
	{"tunnel: ECN on the way in", test_tunnel_ecn_in},
	{"tunnel header by policy", test_tunnel_header_policy},
	{"what becomes how long", test_lengths},
	{"fragments out of a tunnel", test_inner_fragments},
	{"dummy packets are made", test_dummy_out},
	{"transport in UDP: inner checksums", test_nat_checksums},
	{"dummy packets are absorbed, TFC padding cut", test_dummy_and_tfc},
	{"TFC padding hides lengths", test_tfc_out},
	{"a UDP checksum is never 0", test_zero_checksum},
	{"IVs are fresh", test_ivs},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("esp", tests, fix_setup, fix_teardown)
