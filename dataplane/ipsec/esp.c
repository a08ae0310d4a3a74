/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both directions work in three steps over at most DP_MB_BURST packets: check everything and lay the packet
 * out; crypto in bursts, one for each kind of cipher and hash among them (GCM one by one, which ipsec-mb does as fast);
 * then what only the result may change.
 */
#include "ipsec/esp.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "crypto/mb.h"
#include "dp_esp.h"
#include "ipsec/iphdr.h"
#include "ipsec/sa.h"

#define CHUNK    DP_MB_BURST
#define SHA1_ICV 12 /* HMAC-SHA1-96, RFC 2404 */
#define ICV_MAX  32

/* A packet between the steps. */
struct esp_meta {
	struct dp_esp_laid at; /* seq: 64 bits, inferred ones included */
	uint32_t aad_len;  /* GCM: 8, ESN 12 */
	struct dp_iphdr ip; /* inbound: outer header */
	uint8_t nonce[16]; /* GCM: 12; CTR: the counter block */
	uint8_t aad[12]; /* GCM */
	uint8_t tag[ICV_MAX], icv[ICV_MAX]; /* inbound: computed; received */
};

/* The packets of a chunk by the burst that works on them: indices. */
struct todo {
	uint8_t crypt_n[DP_SA_CRYPTS], auth_n[DP_ESP_A_SHA512 + 1];
	uint8_t crypt[DP_SA_CRYPTS][CHUNK], auth[DP_ESP_A_SHA512 + 1][CHUNK];
};

/* --- both directions --- */

/* May the SA carry one more packet, with 'len' bytes of ciphertext? */
static inline enum dp_drop life(struct dp_sa *sa, uint32_t len)
{
	if (__builtin_expect(sa->dead != 0, 0))
		return dp_sa_dead_drop(sa);
	if (__builtin_expect(sa->bytes + len > sa->next_bytes || sa->pkts >= sa->next_pkts, 0))
		return dp_sa_life(sa, len);
	return DP_OK;
}

/* The two commonest lengths as constants: as loops of an unknown length these cost 15 cycles a packet more. */
static inline bool icv_right(const struct esp_meta *m, unsigned int len)
{
	return len == 12 ? dp_mb_equal(m->tag, m->icv, 12) : len == 16 ? dp_mb_equal(m->tag, m->icv, 16) : dp_mb_equal(m->tag, m->icv, len);
}

static inline void icv_keep(struct esp_meta *m, unsigned int len)
{
	const uint8_t *icv = m->at.text + m->at.text_len;

	if (len == 12)
		memcpy(m->icv, icv, 12);
	else if (len == 16)
		memcpy(m->icv, icv, 16);
	else
		memcpy(m->icv, icv, len);
}

static void gcm_fields(const struct dp_sa *sa, struct esp_meta *m)
{
	memcpy(m->nonce, sa->salt, 4);
	memcpy(m->nonce + 4, m->at.esp + 8, 8);
	put_be32(m->aad, sa->spi);
	if (sa->esn) {
		put_be64(m->aad + 4, m->at.seq);
		m->aad_len = 12;
	} else {
		put_be32(m->aad + 4, (uint32_t)m->at.seq);
		m->aad_len = 8;
	}
}

/* RFC 3686 s4: nonce, IV, and a block counter that begins at 1. */
static void ctr_fields(const struct dp_sa *sa, struct esp_meta *m)
{
	memcpy(m->nonce, sa->salt, 4);
	memcpy(m->nonce + 4, m->at.esp + 8, 8);
	put_be32(m->nonce + 12, 1);
}

static inline void todo_crypt(struct todo *t, const struct dp_sa *sa, unsigned int i)
{
	t->crypt[sa->crypt][t->crypt_n[sa->crypt]++] = (uint8_t)i;
}

static inline void todo_auth(struct todo *t, const struct dp_sa *sa, unsigned int i)
{
	t->auth[sa->auth][t->auth_n[sa->auth]++] = (uint8_t)i;
}

static inline void todo_init(struct todo *t)
{
	memset(t->crypt_n, 0, sizeof(t->crypt_n));
	memset(t->auth_n, 0, sizeof(t->auth_n));
}

/*
 * Outbound CBC encrypts the block that becomes the IV with the rest, see sa.h. Of the kinds with one key length the length
 * follows from the kind.
 */
static void cbc_run(struct dp_mb *mb, const struct dp_esp_pkt *pkts, struct esp_meta *meta, const struct todo *t, unsigned int kind,
		    bool encrypt)
{
	unsigned int n = t->crypt_n[kind];

	for (unsigned int j = 0; j < n; j++) {
		const struct esp_meta *m = &meta[t->crypt[kind][j]];
		const struct dp_sa *sa = pkts[t->crypt[kind][j]].sa;

		if (encrypt)
			dp_mb_cbc_set(mb, j, sa->key.cbc.rk, sa->iv_mask, m->at.text - 16, m->at.text - 16, 16 + m->at.text_len);
		else
			dp_mb_cbc_set(mb, j, sa->key.cbc.rk, m->at.text - 16, m->at.text, m->at.text, m->at.text_len);
	}
	dp_mb_cbc_run(mb, n, 16 + 8 * (kind - DP_SA_CBC_128), encrypt);
}

static void des3_run(struct dp_mb *mb, const struct dp_esp_pkt *pkts, struct esp_meta *meta, const struct todo *t, bool encrypt)
{
	unsigned int n = t->crypt_n[DP_SA_3DES];

	for (unsigned int j = 0; j < n; j++) {
		const struct esp_meta *m = &meta[t->crypt[DP_SA_3DES][j]];
		const struct dp_sa *sa = pkts[t->crypt[DP_SA_3DES][j]].sa;

		if (encrypt)
			dp_mb_des3_set(mb, j, sa->key.cbc.rk, sa->iv_mask, m->at.text - 8, m->at.text - 8, 8 + m->at.text_len);
		else
			dp_mb_des3_set(mb, j, sa->key.cbc.rk, m->at.text - 8, m->at.text, m->at.text, m->at.text_len);
	}
	dp_mb_des3_run(mb, n, encrypt);
}

static void crypt_run(struct dp_mb *mb, const struct dp_esp_pkt *pkts, struct esp_meta *meta, const struct todo *t, bool encrypt)
{
	unsigned int n = t->crypt_n[DP_SA_CTR];

	for (unsigned int kind = DP_SA_CBC_128; kind <= DP_SA_CBC_256; kind++)
		if (t->crypt_n[kind] > 0)
			cbc_run(mb, pkts, meta, t, kind, encrypt);
	if (n > 0) {
		for (unsigned int j = 0; j < n; j++) {
			struct esp_meta *m = &meta[t->crypt[DP_SA_CTR][j]];
			const struct dp_sa *sa = pkts[t->crypt[DP_SA_CTR][j]].sa;

			ctr_fields(sa, m);
			dp_mb_ctr_set(mb, j, sa->key.cbc.rk, dp_mb_aes_rounds(sa->key_len), m->nonce, m->at.text, m->at.text_len);
		}
		dp_mb_ctr_run(mb, n);
	}
	if (t->crypt_n[DP_SA_3DES] > 0)
		des3_run(mb, pkts, meta, t, encrypt);
}

/*
 * HMAC covers SPI to ciphertext, and with ESN the high half of the sequence, which is not on the wire (RFC 4303 s2.2.1).
 * SHA-2 wants it behind the data: where the ICV goes, or was; a received one has been copied. 'out': the tag becomes the ICV.
 */
static void auth_run(struct dp_mb *mb, const struct dp_esp_pkt *pkts, struct esp_meta *meta, const struct todo *t, bool out)
{
	unsigned int n = t->auth_n[DP_ESP_A_SHA1];

	for (unsigned int j = 0; j < n; j++) {
		struct esp_meta *m = &meta[t->auth[DP_ESP_A_SHA1][j]];
		const struct dp_sa *sa = pkts[t->auth[DP_ESP_A_SHA1][j]].sa;
		uint8_t *tag = out ? m->at.text + m->at.text_len : m->tag;
		size_t len = 8u + sa->iv_len + m->at.text_len;

		if (sa->esn)
			dp_mb_hmac_set_word(mb, j, dp_sa_hmac(sa), m->at.esp, len, (uint32_t)(m->at.seq >> 32), tag, SHA1_ICV);
		else
			dp_mb_hmac_set(mb, j, dp_sa_hmac(sa), m->at.esp, len, tag, SHA1_ICV);
	}
	if (n > 0)
		dp_mb_hmac_run(mb, n);
	for (unsigned int a = DP_ESP_A_SHA256; a <= DP_ESP_A_SHA512; a++) {
		enum dp_mb_sha2 hash = (enum dp_mb_sha2)(a - DP_ESP_A_SHA256);

		for (unsigned int j = 0; j < t->auth_n[a]; j++) {
			struct esp_meta *m = &meta[t->auth[a][j]];
			const struct dp_sa *sa = pkts[t->auth[a][j]].sa;
			uint8_t *end = m->at.text + m->at.text_len;
			size_t len = (size_t)(end - m->at.esp);

			if (sa->esn) {
				put_be32(end, (uint32_t)(m->at.seq >> 32));
				len += 4;
			}
			dp_mb_sha2_set(mb, j, hash, dp_sa_hmac(sa), m->at.esp, len, out ? end : m->tag);
		}
		dp_mb_sha2_run(mb, hash, t->auth_n[a]);
	}
}

/* --- out --- */

static void ipv4_finish(uint8_t *ip, uint32_t total, uint64_t sum_rest, uint16_t id, uint16_t frag, uint8_t tos)
{
	ip[1] = tos;
	put_be16(ip + 2, (uint16_t)total);
	put_be16(ip + 4, id);
	put_be16(ip + 6, frag);
	put_be16(ip + 10, (uint16_t)~dp_iphdr_fold(sum_rest + tos + total + id + frag));
}

/* Outer headers in front of m->esp, around inner packet 'in'. RFC 4301 s5.1.2.1. */
static uint8_t *outer_build(const struct dp_sa *sa, const struct dp_esp_pkt *p, const struct dp_esp_laid *m, const uint8_t *in,
			    uint32_t esp_len)
{
	uint8_t *o = m->esp - sa->outer_len;
	uint32_t total = sa->outer_len + esp_len;
	bool in4 = in[0] >> 4 == 4;
	uint8_t tc = in4 ? in[1] : (uint8_t)(in[0] << 4 | in[1] >> 4);

	memcpy(o, sa->outer, sa->outer_len);
	if (__builtin_expect(p->dscp != 0, 0))
		tc = (uint8_t)((p->dscp - 1) << 2 | (tc & 3));
	if (sa->family == 4) {
		uint16_t df = in4 ? (uint16_t)(be16(in + 6) & 0x4000) : 0x4000;

		if (__builtin_expect(p->df != DP_SPD_DF_COPY, 0))
			df = p->df == DP_SPD_DF_SET ? 0x4000 : 0;

		ipv4_finish(o, total, sa->outer_sum, (uint16_t)m->seq, df, tc);
	} else {
		o[0] = (uint8_t)(0x60 | tc >> 4);
		o[1] = (uint8_t)(tc << 4 | (in4 ? 0 : in[1] & 15));
		if (!in4)
			memcpy(o + 2, in + 2, 2); /* flow label */
		put_be16(o + 4, (uint16_t)(total - 40));
	}
	return o;
}

/* The packet's own header, moved in front of ESP. RFC 4303 s3.1.1. */
static uint8_t *header_move(const struct dp_sa *sa, const struct dp_esp_laid *m, uint8_t *ip, const struct dp_iphdr *h,
			    uint32_t esp_len)
{
	uint8_t *o = m->esp - sa->outer_len - h->esp_at;
	uint32_t total = h->esp_at + sa->outer_len + esp_len;

	memmove(o, ip, h->esp_at);
	memcpy(o + h->esp_at, sa->outer, sa->outer_len);
	o[h->esp_nh_off] = sa->udp ? IPH_UDP : IPH_ESP;
	if (h->version == 4) {
		put_be16(o + 2, (uint16_t)total);
		dp_iphdr_v4_sum(o, h->esp_at);
	} else {
		put_be16(o + 4, (uint16_t)(total - 40));
	}
	return o;
}

/* Bytes that make all packets look alike, behind the inner packet, whose length says where it ends; as many as there is room for. */
static uint32_t tfc(const struct dp_sa *sa, uint32_t pay_len, uint32_t room)
{
	uint32_t rest = sa->align + 1u + sa->icv_len, want = sa->tfc - pay_len;

	return room <= rest ? 0 : want < room - rest ? want : room - rest;
}

enum dp_drop dp_esp_lay(struct dp_esp_pkt *p, struct dp_esp_laid *m)
{
	struct dp_sa *sa = p->sa;
	struct dp_iphdr h;
	uint32_t skip, pay_len, pad, esp_len, head, room, end;
	enum dp_drop rc;
	uint8_t *t, nh;

	if (sa->dir != DP_DIR_SEND)
		return DP_DROP_ESP_NO_SA;
	rc = dp_iphdr_parse(p->data, p->len, &h);
	if (rc != DP_OK)
		return rc;
	rc = __builtin_expect(p->dummy, 0) ? DP_OK : dp_sa_select(sa, p->data, &h);
	if (rc != DP_OK)
		return rc;
	if (sa->mode == DP_ESP_TUNNEL) {
		skip = 0;
		nh = h.version == 4 ? IPH_IPIP : IPH_IPV6;
	} else {
		if (h.fragment)
			return DP_DROP_L3_FRAGMENT;
		skip = h.esp_at;
		nh = p->data[h.esp_nh_off];
	}
	if (__builtin_expect(p->dummy, 0))
		nh = IPH_NONE;
	pay_len = h.total - skip;
	room = p->tailroom + (uint32_t)(p->len - h.total);
	end = pay_len + (__builtin_expect(pay_len < sa->tfc, 0) ? tfc(sa, pay_len, room) : 0);
	m->text_len = (end + 2 + sa->align - 1) & ~(uint32_t)(sa->align - 1);
	pad = m->text_len - 2 - end;
	esp_len = 8u + sa->iv_len + m->text_len + sa->icv_len;
	head = 8u + sa->iv_len + sa->outer_len;
	if (head > p->headroom || m->text_len - pay_len + sa->icv_len > room ||
	    skip + sa->outer_len + esp_len > UINT16_MAX)
		return DP_DROP_NO_ROOM;

	rc = life(sa, m->text_len);
	if (rc == DP_OK && sa->seq >= sa->seq_limit)
		rc = DP_DROP_ESP_SEQ;
	if (rc != DP_OK) {
		sa->dead_drop++;
		return rc;
	}
	m->seq = ++sa->seq;
	if (m->seq >= sa->want_at) {
		sa->want_at = UINT64_MAX;
		if (m->seq < (sa->esn ? UINT64_MAX : UINT32_MAX)) {
			sa->wanting = true;
			sa->events |= DP_SA_EV(DP_SA_WANT_GRANT);
		}
	}
	if (m->seq == (sa->esn ? UINT64_MAX : UINT32_MAX))
		sa->events |= DP_SA_EV(DP_SA_EXHAUSTED);
	sa->pkts++;
	sa->bytes += m->text_len;

	/* From here on it goes out. */
	m->text = p->data + skip;
	m->esp = m->text - sa->iv_len - 8;
	t = sa->mode == DP_ESP_TUNNEL ? outer_build(sa, p, m, p->data, esp_len)
				      : header_move(sa, m, p->data, &h, esp_len);
	if (sa->udp) {
		put_be16(m->esp - 4, (uint16_t)(8 + esp_len));
		put_be16(m->esp - 2, 0);
	}
	put_be32(m->esp, sa->spi);
	put_be32(m->esp + 4, (uint32_t)m->seq);
	if (sa->iv_len == 16)
		put_be64(m->esp + 8, 0); /* the block that becomes the IV, see sa.h */
	if (sa->iv_len != 0)
		put_be64(m->esp + sa->iv_len, m->seq);
	if (end > pay_len)
		memset(m->text + pay_len, 0, end - pay_len);
	for (uint32_t i = 0; i < pad; i++)
		m->text[end + i] = (uint8_t)(i + 1);
	m->text[end + pad] = (uint8_t)pad;
	m->text[end + pad + 1] = nh;

	p->tailroom = (uint16_t)(room - (m->text_len - pay_len + sa->icv_len));
	p->headroom = (uint16_t)(p->headroom - head);
	p->data = t;
	p->len = (uint16_t)(m->esp + esp_len - t);
	return DP_OK;
}

static inline void gcm_seal(struct dp_mb *mb, const struct dp_sa *sa, struct esp_meta *m)
{
	gcm_fields(sa, m);
	dp_mb_gcm_seal(mb, sa->key_len, &sa->key.gcm, m->nonce, m->aad, m->aad_len, m->at.text, m->at.text, m->at.text_len,
		       m->at.text + m->at.text_len, sa->icv_len);
}

/* Over IPv4 the checksum is zero (RFC 3948 s2.1); over IPv6 UDP must have one (RFC 8200 s8.1). */
static inline void udp6_sum(const struct dp_esp_pkt *p, const struct esp_meta *m)
{
	uint8_t *udp = m->at.esp - 8;

	if (p->sa->udp && p->sa->family == 6)
		dp_iphdr_udp_sum(p->data, udp, (uint32_t)(p->data + p->len - udp));
}

static uint16_t encap_chunk(struct dp_mb *mb, struct dp_esp_pkt *pkts, unsigned int n)
{
	struct esp_meta meta[CHUNK];
	struct todo todo;
	unsigned int ok = 0, others = 0;

	todo_init(&todo);
	for (unsigned int i = 0; i < n; i++) {
		const struct dp_sa *sa = pkts[i].sa;

		pkts[i].verdict = (uint8_t)dp_esp_lay(&pkts[i], &meta[i].at);
		if (pkts[i].verdict != DP_OK)
			continue;
		ok++;
		if (sa->crypt == DP_SA_GCM) {
			gcm_seal(mb, sa, &meta[i]);
		} else {
			todo_crypt(&todo, sa, i);
			todo_auth(&todo, sa, i);
			others++;
		}
	}
	if (others > 0) {
		crypt_run(mb, pkts, meta, &todo, true);
		auth_run(mb, pkts, meta, &todo, true);
	}
	for (unsigned int i = 0; i < n; i++)
		if (pkts[i].verdict == DP_OK)
			udp6_sum(&pkts[i], &meta[i]);
	return (uint16_t)ok;
}

static void seal_chunk(struct dp_mb *mb, const struct dp_esp_pkt *pkts, const struct dp_esp_laid *laid, unsigned int n)
{
	struct esp_meta meta[CHUNK];
	struct todo todo;
	unsigned int others = 0;

	todo_init(&todo);
	for (unsigned int i = 0; i < n; i++) {
		const struct dp_sa *sa = pkts[i].sa;

		meta[i].at = laid[i];
		if (sa->crypt == DP_SA_GCM) {
			gcm_seal(mb, sa, &meta[i]);
		} else {
			todo_crypt(&todo, sa, i);
			todo_auth(&todo, sa, i);
			others++;
		}
	}
	if (others > 0) {
		crypt_run(mb, pkts, meta, &todo, true);
		auth_run(mb, pkts, meta, &todo, true);
	}
	for (unsigned int i = 0; i < n; i++)
		udp6_sum(&pkts[i], &meta[i]);
}

void dp_esp_seal_burst(struct dp_mb *mb, const struct dp_esp_pkt *pkts, const struct dp_esp_laid *laid, uint16_t n)
{
	for (unsigned int i = 0; i < n; i += CHUNK)
		seal_chunk(mb, pkts + i, laid + i, n - i < CHUNK ? n - i : CHUNK);
}

uint32_t dp_esp_outer_len(const struct dp_sa *sa, uint32_t len, uint32_t head)
{
	uint32_t skip = sa->mode == DP_ESP_TUNNEL ? 0 : head;
	uint32_t text = (len - skip + 2 + sa->align - 1) & ~(uint32_t)(sa->align - 1);

	return skip + sa->outer_len + 8 + sa->iv_len + text + sa->icv_len;
}

uint32_t dp_esp_inner_max(const struct dp_sa *sa, uint32_t mtu)
{
	uint32_t over = 8u + sa->outer_len + sa->iv_len + sa->icv_len, text;

	if (mtu < over)
		return 0;
	text = (mtu - over) & ~(uint32_t)(sa->align - 1);
	return text < 2 ? 0 : text - 2;
}

uint16_t dp_esp_encap_burst(struct dp_mb *mb, struct dp_esp_pkt *pkts, uint16_t n)
{
	uint16_t ok = 0;

	for (unsigned int i = 0; i < n; i += CHUNK)
		ok = (uint16_t)(ok + encap_chunk(mb, pkts + i, n - i < CHUNK ? n - i : CHUNK));
	return ok;
}

/* --- in --- */

/*
 * The 64-bit number that 32 received bits mean: of those with these low bits the one nearest to the window.
 * RFC 4303 appendix A2.2. False: it would lie before the first or behind the last number.
 */
static bool seq_infer(const struct dp_sa *sa, uint32_t low, uint64_t *ret)
{
	uint32_t top_low = (uint32_t)sa->win.top, high = (uint32_t)(sa->win.top >> 32);
	uint32_t bottom = top_low - (sa->window - 1u); /* modulo 2^32 */

	if (!sa->esn) {
		*ret = low;
		return low != 0;
	}
	if (top_low >= sa->window - 1u) {
		if (low < bottom && high++ == UINT32_MAX)
			return false;
	} else {
		if (low >= bottom && high-- == 0)
			return false;
	}
	*ret = (uint64_t)high << 32 | low;
	return *ret != 0;
}

static enum dp_drop replay_verdict(int rc)
{
	return rc == 0 ? DP_OK : rc == -ESTALE ? DP_DROP_ESP_STALE : DP_DROP_ESP_REPLAY;
}

/* UDP or IP payload between 'at' and the packet's end: where ESP begins. */
static enum dp_drop udp_skip(const uint8_t *ip, const struct dp_iphdr *h, uint32_t *ret_esp)
{
	uint32_t left = (uint32_t)h->total - h->len;

	if (left < 8 || be16(ip + h->len + 4) != left)
		return DP_DROP_L4_MALFORMED;
	*ret_esp = h->len + 8u;
	return DP_OK;
}

static enum dp_drop decap_prepare(struct dp_esp_pkt *p, struct esp_meta *m)
{
	struct dp_sa *sa = p->sa;
	uint32_t at, esp_len, over = 8u + sa->iv_len + sa->icv_len;
	enum dp_drop rc;

	p->fragment = 0;
	if (sa->dir != DP_DIR_RECV)
		return DP_DROP_ESP_NO_SA;
	rc = dp_iphdr_parse(p->data, p->len, &m->ip);
	if (rc != DP_OK)
		return rc;
	if (m->ip.fragment)
		return DP_DROP_L3_FRAGMENT;
	if (m->ip.version != sa->family || m->ip.proto != (sa->udp ? IPH_UDP : IPH_ESP))
		return DP_DROP_ESP_NO_SA;
	/* In transport mode this header goes on, with a new checksum that must not cover up an old error. */
	if (sa->mode == DP_ESP_TRANSPORT && m->ip.version == 4 &&
	    dp_iphdr_fold(dp_iphdr_sum(p->data, m->ip.len)) != 0xffff)
		return DP_DROP_L3_MALFORMED;
	at = m->ip.len;
	if (sa->udp) {
		rc = udp_skip(p->data, &m->ip, &at);
		if (rc != DP_OK)
			return rc;
	}
	esp_len = m->ip.total - at;
	if (esp_len < over + 2 || ((esp_len - over) & (sa->align - 1u)) != 0)
		return DP_DROP_ESP_MALFORMED;
	m->at.esp = p->data + at;
	m->at.text = m->at.esp + 8 + sa->iv_len;
	m->at.text_len = esp_len - over;
	if (be32(m->at.esp) != sa->spi)
		return DP_DROP_ESP_NO_SA;
	if (sa->dead != 0) {
		sa->dead_drop++;
		return dp_sa_dead_drop(sa);
	}
	rc = DP_DROP_ESP_STALE;
	if (seq_infer(sa, be32(m->at.esp + 4), &m->at.seq))
		rc = replay_verdict(dp_replay_check_in(sa->win.top, dp_sa_seen(sa), sa->win_words, sa->window, m->at.seq));
	if (rc != DP_OK)
		sa->replayed++;
	icv_keep(m, sa->icv_len);
	return rc;
}

/* What only an authentic packet may do: take its place in the window, count. */
static enum dp_drop decap_commit(struct dp_sa *sa, const struct esp_meta *m)
{
	/* Twins, and a packet that another of its burst pushed out of the window, end here. */
	enum dp_drop rc = replay_verdict(dp_replay_commit_in(&sa->win.top, dp_sa_seen(sa), sa->win_words, sa->window, m->at.seq));

	if (rc != DP_OK) {
		sa->replayed++;
		return rc;
	}
	rc = life(sa, m->at.text_len);
	if (rc != DP_OK) {
		sa->dead_drop++;
		return rc;
	}
	sa->pkts++;
	sa->bytes += m->at.text_len;
	return DP_OK;
}

/*
 * Did a NAT on the way give the peer another address or port? It is sent to where it was until IKE, which knows whether there is a NAT, says so:
 * of what is said here once a second at most. Only the newest packet tells: one that was long on its way comes from where the peer was.
 */
static void look_moved(struct dp_sa *sa, const uint8_t *ip, const struct esp_meta *m)
{
	unsigned int at = m->ip.version == 4 ? 12 : 8, len = m->ip.version == 4 ? 4 : 16;
	uint16_t port = be16(ip + m->ip.len);

	if (m->at.seq != sa->win.top || sa->moved || (port == sa->peer.at.port && memcmp(ip + at, sa->peer.at.ip, len) == 0))
		return;
	sa->moved = true;
	sa->peer.from = (struct dp_sockaddr){.port = port, .family = sa->family};
	memcpy(sa->peer.from.ip, ip + at, len);
	sa->events |= DP_SA_EV(DP_SA_MOVED);
}

/* Padding must be 1, 2, 3 ...; gives payload length and next header. RFC 4303 s2.4. */
static enum dp_drop trailer(const struct esp_meta *m, uint32_t *ret_len, uint8_t *ret_nh)
{
	const uint8_t *end = m->at.text + m->at.text_len;
	uint32_t pad = end[-2];
	uint8_t diff = 0;

	if (pad + 2 > m->at.text_len)
		return DP_DROP_ESP_MALFORMED;
	for (uint32_t i = 0; i < pad; i++)
		diff |= (uint8_t)(end[(int32_t)i - 2 - (int32_t)pad] ^ (i + 1));
	if (diff != 0)
		return DP_DROP_ESP_MALFORMED;
	*ret_len = m->at.text_len - 2 - pad;
	*ret_nh = end[-1];
	return DP_OK;
}

/*
 * RFC 6040 s4.2, by outer and inner ECN (0 not capable, 1 and 2 capable, 3 congestion): what the inner one becomes. Congestion
 * that somebody marked on a packet which its sender said not to be capable cannot be told to the receiver: a drop can.
 */
static enum dp_drop ecn_inward(const uint8_t *outer, uint8_t *in)
{
	uint8_t o = outer[0] >> 4 == 4 ? outer[1] & 3 : outer[1] >> 4 & 3;
	uint8_t i = in[0] >> 4 == 4 ? in[1] & 3 : in[1] >> 4 & 3, want = i;

	if (o == 0 || o == i)
		return DP_OK;
	if (o == 3) {
		if (i == 0)
			return DP_DROP_ESP_ECN;
		want = 3;
	} else if (o == 1 && i == 2) {
		want = 1;
	}
	if (want == i)
		return DP_OK;
	if (in[0] >> 4 == 6) {
		in[1] = (uint8_t)((in[1] & 0xcf) | want << 4);
	} else {
		uint16_t sum = be16(in + 10);
		uint8_t was = in[1];

		in[1] = (uint8_t)((in[1] & 0xfc) | want);
		/* RFC 1624: a wrong checksum stays wrong. */
		sum = (uint16_t)~dp_iphdr_fold((uint64_t)(uint16_t)~sum + (uint16_t)~(uint16_t)was + in[1]);
		put_be16(in + 10, sum);
	}
	return DP_OK;
}

static enum dp_drop tunnel_out(struct dp_esp_pkt *p, const struct esp_meta *m, uint32_t len, uint8_t nh)
{
	struct dp_iphdr in;
	enum dp_drop rc;

	if (nh != IPH_IPIP && nh != IPH_IPV6)
		return DP_DROP_ESP_SELECTOR;
	/* The inner length may be shorter than what came: the rest is TFC padding (RFC 4303 s2.7). */
	rc = dp_iphdr_parse(m->at.text, (uint16_t)len, &in);
	if (rc != DP_OK)
		return rc;
	if (in.version != (nh == IPH_IPIP ? 4 : 6))
		return DP_DROP_L3_MALFORMED;
	rc = dp_sa_select(p->sa, m->at.text, &in);
	p->fragment = in.fragment;
	if (rc != DP_OK && rc != DP_DROP_L3_FRAGMENT)
		return rc;
	if (ecn_inward(p->data, m->at.text) != DP_OK)
		return DP_DROP_ESP_ECN;
	p->headroom = (uint16_t)(p->headroom + (m->at.text - p->data));
	p->tailroom = (uint16_t)(p->tailroom + (p->data + p->len - m->at.text - in.total));
	p->data = m->at.text;
	p->len = in.total;
	return rc;
}

/*
 * A NAT may have changed the addresses that the inner checksum covers (RFC 3948 s3.1.2): UDP over IPv4 gets
 * none, others a new one, which is honest: the payload has just been authenticated.
 */
static enum dp_drop nat_sum(uint8_t *ip, const struct dp_iphdr *h)
{
	uint32_t len = (uint32_t)h->total - h->len;
	uint8_t *l4 = ip + h->len;

	if (h->proto == IPH_UDP) {
		if (len < 8 || be16(l4 + 4) < 8 || be16(l4 + 4) > len)
			return DP_DROP_L4_MALFORMED;
		if (h->version == 4)
			put_be16(l4 + 6, 0);
		else
			dp_iphdr_udp_sum(ip, l4, be16(l4 + 4));
	} else if (h->proto == IPH_TCP) {
		if (len < 20)
			return DP_DROP_L4_MALFORMED;
		put_be16(l4 + 16, 0);
		put_be16(l4 + 16, (uint16_t)~dp_iphdr_fold(dp_iphdr_pseudo(ip, IPH_TCP, len) +
							   dp_iphdr_sum(l4, len)));
	}
	return DP_OK;
}

static enum dp_drop transport_out(struct dp_esp_pkt *p, const struct esp_meta *m, uint32_t len, uint8_t nh)
{
	uint8_t *ip = m->at.text - m->ip.len;
	uint32_t total = m->ip.len + len;
	struct dp_iphdr in;
	enum dp_drop rc;

	memmove(ip, p->data, m->ip.len); /* over ESP header, IV and UDP header */
	ip[m->ip.nh_off] = nh;
	if (m->ip.version == 4) {
		put_be16(ip + 2, (uint16_t)total);
		dp_iphdr_v4_sum(ip, m->ip.len);
	} else {
		put_be16(ip + 4, (uint16_t)(total - 40));
	}
	rc = dp_iphdr_parse(ip, (uint16_t)total, &in);
	if (rc != DP_OK)
		return rc;
	rc = dp_sa_select(p->sa, ip, &in);
	if (rc == DP_OK && in.fragment)
		rc = DP_DROP_L3_FRAGMENT; /* transport mode carries whole datagrams only */
	if (rc == DP_OK && p->sa->udp)
		rc = nat_sum(ip, &in);
	if (rc != DP_OK)
		return rc;
	p->headroom = (uint16_t)(p->headroom + (ip - p->data));
	p->tailroom = (uint16_t)(p->tailroom + (p->data + p->len - ip - (int32_t)total));
	p->data = ip;
	p->len = (uint16_t)total;
	return DP_OK;
}

static enum dp_drop decap_finish(struct dp_esp_pkt *p, const struct esp_meta *m)
{
	enum dp_drop rc = decap_commit(p->sa, m);
	uint32_t len = 0;
	uint8_t nh = 0;

	if (rc == DP_OK && p->sa->udp)
		look_moved(p->sa, p->data, m);
	if (rc == DP_OK)
		rc = trailer(m, &len, &nh);
	if (rc != DP_OK)
		return rc;
	if (nh == IPH_NONE)
		return DP_DROP_ESP_DUMMY; /* RFC 4303 s2.6 */
	return p->sa->mode == DP_ESP_TUNNEL ? tunnel_out(p, m, len, nh) : transport_out(p, m, len, nh);
}

static uint16_t decap_chunk(struct dp_mb *mb, struct dp_esp_pkt *pkts, unsigned int n)
{
	struct esp_meta meta[CHUNK];
	struct todo todo;
	unsigned int ok = 0, others = 0;

	todo_init(&todo);
	for (unsigned int i = 0; i < n; i++) {
		struct esp_meta *m = &meta[i];
		const struct dp_sa *sa = pkts[i].sa;

		pkts[i].verdict = (uint8_t)decap_prepare(&pkts[i], m);
		if (pkts[i].verdict != DP_OK)
			continue;
		if (sa->crypt == DP_SA_GCM) {
			gcm_fields(sa, m);
			dp_mb_gcm_open(mb, sa->key_len, &sa->key.gcm, m->nonce, m->aad, m->aad_len, m->at.text, m->at.text,
				       m->at.text_len, m->tag, sa->icv_len);
			if (!icv_right(m, sa->icv_len))
				pkts[i].verdict = DP_DROP_ESP_AUTH;
		} else {
			todo_auth(&todo, sa, i);
			others++;
		}
	}
	if (others > 0) {
		auth_run(mb, pkts, meta, &todo, false);
		/* Nothing is decrypted that did not authenticate. */
		for (unsigned int a = DP_ESP_A_SHA1; a <= DP_ESP_A_SHA512; a++)
			for (unsigned int j = 0; j < todo.auth_n[a]; j++) {
				unsigned int i = todo.auth[a][j];
				const struct dp_sa *sa = pkts[i].sa;

				if (icv_right(&meta[i], sa->icv_len))
					todo_crypt(&todo, sa, i);
				else
					pkts[i].verdict = DP_DROP_ESP_AUTH;
			}
		crypt_run(mb, pkts, meta, &todo, false);
	}
	for (unsigned int i = 0; i < n; i++) {
		if (pkts[i].verdict == DP_OK)
			pkts[i].verdict = (uint8_t)decap_finish(&pkts[i], &meta[i]);
		else if (pkts[i].verdict == DP_DROP_ESP_AUTH)
			pkts[i].sa->auth_fail++;
		ok += pkts[i].verdict == DP_OK;
	}
	return (uint16_t)ok;
}

uint16_t dp_esp_decap_burst(struct dp_mb *mb, struct dp_esp_pkt *pkts, uint16_t n)
{
	uint16_t ok = 0;

	for (unsigned int i = 0; i < n; i += CHUNK)
		ok = (uint16_t)(ok + decap_chunk(mb, pkts + i, n - i < CHUNK ? n - i : CHUNK));
	return ok;
}

/* --- whose is it --- */

enum dp_drop dp_esp_peek(const uint8_t *ip, uint16_t len, uint16_t udp_port, enum dp_esp_kind *ret_kind,
			 uint32_t *ret_spi)
{
	enum dp_esp_kind kind = DP_ESP_KIND_NONE;
	struct dp_iphdr h;
	uint32_t at, spi;
	enum dp_drop rc = dp_iphdr_parse(ip, len, &h);

	if (rc != DP_OK)
		return rc;
	if (h.fragment)
		return DP_DROP_L3_FRAGMENT;
	at = h.len;
	if (h.proto == IPH_ESP) {
		kind = DP_ESP_KIND_IP;
	} else if (h.proto == IPH_UDP) {
		rc = udp_skip(ip, &h, &at);
		if (rc != DP_OK)
			return rc;
		if (be16(ip + h.len + 2) == udp_port)
			kind = DP_ESP_KIND_UDP;
	}
	if (kind == DP_ESP_KIND_UDP && h.total - at == 1 && ip[at] == 0xff)
		kind = DP_ESP_KIND_KEEPALIVE;
	if (kind != DP_ESP_KIND_IP && kind != DP_ESP_KIND_UDP) {
		*ret_kind = kind;
		return DP_OK;
	}
	if (h.total - at < 4)
		return DP_DROP_ESP_MALFORMED;
	spi = be32(ip + at);
	if (kind == DP_ESP_KIND_UDP && spi == 0) {
		*ret_kind = DP_ESP_KIND_IKE;
		return DP_OK;
	}
	if (spi <= 255)
		return DP_DROP_ESP_MALFORMED;
	*ret_kind = kind;
	*ret_spi = spi;
	return DP_OK;
}
