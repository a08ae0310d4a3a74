/* SPDX-License-Identifier: BSD-3-Clause */
#include "sigcap/record.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#define APP       "ravelin-controlplane"
#define BLOCK_MAX 128 /* of a block around its message: headers, padding, options */
#define RAW_IP    101
#define TCP_LEN   20
#define SNAP      65535

enum { BLOCK_SHB = 0x0a0d0d0a, BLOCK_IDB = 1, BLOCK_ISB = 5, BLOCK_EPB = 6 };
enum { OPT_END = 0, OPT_COMMENT = 1, SHB_USERAPPL = 4, IF_TSRESOL = 9, EPB_FLAGS = 2, ISB_IFRECV = 4, ISB_IFDROP = 5 };
enum { TCP_FIN = 0x01, TCP_PSH = 0x08, TCP_ACK = 0x10 };

size_t cp_sigrec_need(size_t n)
{
	return n + BLOCK_MAX;
}

/* Room for 'n' bytes more. What is left behind when the buffer moves is wiped. */
static int room(struct cp_sigrec *r, size_t n)
{
	size_t cap = r->cap;
	uint8_t *grown;

	while (cap < r->len + n)
		cap = cap == 0 ? 4096 : cap * 2;
	if (cap == r->cap)
		return 0;
	grown = malloc(cap);
	if (grown == NULL)
		return -ENOMEM;
	if (r->len > 0)
		memcpy(grown, r->data, r->len);
	OPENSSL_cleanse(r->data, r->len);
	free(r->data);
	r->data = grown;
	r->cap = cap;
	return 0;
}

/* --- blocks, in host order as the format wants; room() was asked before --- */

static void put(struct cp_sigrec *r, const void *data, size_t len)
{
	if (len > 0)
		memcpy(r->data + r->len, data, len);
	r->len += len;
}

static void put16(struct cp_sigrec *r, uint16_t v)
{
	put(r, &v, 2);
}

static void put32(struct cp_sigrec *r, uint32_t v)
{
	put(r, &v, 4);
}

static void pad(struct cp_sigrec *r, size_t n)
{
	static const uint8_t zero[3];

	put(r, zero, (4 - n % 4) % 4);
}

static void option(struct cp_sigrec *r, uint16_t code, const void *data, size_t len)
{
	put16(r, code);
	put16(r, (uint16_t)len);
	put(r, data, len);
	pad(r, len);
}

static size_t begin(struct cp_sigrec *r, uint32_t type)
{
	size_t at = r->len;

	put32(r, type);
	put32(r, 0); /* end() knows */
	return at;
}

static void end(struct cp_sigrec *r, size_t at)
{
	uint32_t n = (uint32_t)(r->len - at) + 4;

	put32(r, n);
	memcpy(r->data + at + 4, &n, 4);
}

static void time_of(struct cp_sigrec *r, uint64_t ns)
{
	put32(r, (uint32_t)(ns >> 32));
	put32(r, (uint32_t)ns);
}

int cp_sigrec_begin(struct cp_sigrec *r, const char *comment)
{
	uint8_t resol = 9; /* 10^-9 s */
	size_t at, n = strnlen(comment, 512);

	if (room(r, CP_SIGREC_HEAD) < 0)
		return -ENOMEM;
	at = begin(r, BLOCK_SHB);
	put32(r, 0x1a2b3c4d);
	put16(r, 1);
	put16(r, 0);
	put32(r, UINT32_MAX); /* length of the section: not said */
	put32(r, UINT32_MAX);
	option(r, OPT_COMMENT, comment, n);
	option(r, SHB_USERAPPL, APP, sizeof(APP) - 1);
	option(r, OPT_END, NULL, 0);
	end(r, at);
	at = begin(r, BLOCK_IDB);
	put16(r, RAW_IP);
	put16(r, 0);
	put32(r, SNAP);
	option(r, IF_TSRESOL, &resol, 1);
	option(r, OPT_END, NULL, 0);
	end(r, at);
	return 0;
}

/* --- headers --- */

static uint32_t sum(uint32_t s, const uint8_t *p, size_t n)
{
	for (; n > 1; p += 2, n -= 2)
		s += (uint32_t)p[0] << 8 | p[1];
	return n > 0 ? s + ((uint32_t)p[0] << 8) : s;
}

static void fold(uint8_t *at, uint32_t s)
{
	while (s >> 16 != 0)
		s = (s & 0xffff) + (s >> 16);
	at[0] = (uint8_t)(~s >> 8);
	at[1] = (uint8_t)~s;
}

static void be16(uint8_t *at, size_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void be32(uint8_t *at, uint32_t v)
{
	be16(at, v >> 16);
	be16(at + 2, v & 0xffff);
}

/* IP and TCP (RFC 791, 8200, 9293), with checksums. Returns their length. */
static size_t headers(uint8_t *h, const struct cfg_addr *src, const struct cfg_addr *dst, uint32_t seq, uint32_t ack, uint8_t flags,
		      const uint8_t *msg, size_t n)
{
	size_t alen = src->family == 6 ? 16 : 4, ip = src->family == 6 ? 40 : 20;
	uint8_t *tcp = h + ip;
	uint32_t s;

	memset(h, 0, ip + TCP_LEN);
	if (alen == 4) {
		h[0] = 0x45;
		be16(h + 2, ip + TCP_LEN + n);
		h[6] = 0x40; /* don't fragment */
		h[8] = 64;
		h[9] = IPPROTO_TCP;
		memcpy(h + 12, src->ip, 4);
		memcpy(h + 16, dst->ip, 4);
		fold(h + 10, sum(0, h, ip));
	} else {
		h[0] = 0x60;
		be16(h + 4, TCP_LEN + n);
		h[6] = IPPROTO_TCP;
		h[7] = 64;
		memcpy(h + 8, src->ip, 16);
		memcpy(h + 24, dst->ip, 16);
	}
	be16(tcp, src->port);
	be16(tcp + 2, dst->port);
	be32(tcp + 4, seq);
	be32(tcp + 8, ack);
	tcp[12] = TCP_LEN / 4 << 4;
	tcp[13] = flags;
	be16(tcp + 14, 65535);
	s = sum(sum(0, src->ip, alen), dst->ip, alen) + IPPROTO_TCP + (uint32_t)(TCP_LEN + n);
	fold(tcp + 16, sum(sum(s, tcp, TCP_LEN), msg, n));
	return ip + TCP_LEN;
}

static int segment(struct cp_sigrec *r, uint64_t time_ns, struct cp_sigrec_flow *f, bool sent, uint8_t flags, const uint8_t *msg, size_t n)
{
	uint32_t dir = sent ? 2 : 1; /* of epb_flags: outbound, inbound */
	uint8_t h[64];
	size_t hlen, at;

	if (room(r, cp_sigrec_need(n)) < 0)
		return -ENOMEM;
	hlen = sent ? headers(h, &f->local, &f->phone, f->seq[1], f->seq[0], flags, msg, n) :
		      headers(h, &f->phone, &f->local, f->seq[0], f->seq[1], flags, msg, n);
	at = begin(r, BLOCK_EPB);
	put32(r, 0); /* the interface */
	time_of(r, time_ns);
	put32(r, (uint32_t)(hlen + n));
	put32(r, (uint32_t)(hlen + n));
	put(r, h, hlen);
	put(r, msg, n);
	pad(r, hlen + n);
	option(r, EPB_FLAGS, &dir, 4);
	option(r, OPT_END, NULL, 0);
	end(r, at);
	f->seq[sent] += (uint32_t)n + ((flags & TCP_FIN) != 0);
	return 0;
}

static struct cp_sigrec_flow *find(struct cp_sigrec *r, const void *conn)
{
	for (unsigned i = 0; i < CP_SIGREC_FLOWS; i++)
		if (r->flow[i].conn == conn)
			return &r->flow[i];
	return NULL;
}

static struct cp_sigrec_flow *flow(struct cp_sigrec *r, const void *conn, const struct cfg_addr *phone, const struct cfg_addr *local)
{
	struct cp_sigrec_flow *f = find(r, conn);

	if (f == NULL) {
		f = &r->flow[0];
		for (unsigned i = 1; i < CP_SIGREC_FLOWS; i++)
			if (r->flow[i].used < f->used)
				f = &r->flow[i];
		*f = (struct cp_sigrec_flow){.conn = conn, .phone = *phone, .local = *local, .seq = {1, 1}};
		f->local.port = CP_SIGREC_PORT;
	}
	f->used = ++r->turn;
	return f;
}

int cp_sigrec_add(struct cp_sigrec *r, uint64_t time_ns, const void *conn, const struct cfg_addr *phone, const struct cfg_addr *local,
		  bool sent, const uint8_t *msg, size_t n)
{
	int rc = segment(r, time_ns, flow(r, conn, phone, local), sent, TCP_PSH | TCP_ACK, msg, n);

	if (rc == 0)
		r->msgs++;
	return rc;
}

int cp_sigrec_gone(struct cp_sigrec *r, uint64_t time_ns, const void *conn)
{
	struct cp_sigrec_flow *f = find(r, conn);
	int rc = 0;

	if (f == NULL)
		return 0;
	if (r->data != NULL) /* else it ended between two files */
		rc = segment(r, time_ns, f, true, TCP_FIN | TCP_ACK, NULL, 0);
	memset(f, 0, sizeof(*f));
	return rc;
}

int cp_sigrec_end(struct cp_sigrec *r, uint64_t time_ns, uint64_t lost)
{
	uint64_t all = r->msgs + lost;
	size_t at;

	if (room(r, BLOCK_MAX) < 0)
		return -ENOMEM;
	at = begin(r, BLOCK_ISB);
	put32(r, 0);
	time_of(r, time_ns);
	option(r, ISB_IFRECV, &all, 8);
	option(r, ISB_IFDROP, &lost, 8);
	option(r, OPT_END, NULL, 0);
	end(r, at);
	return 0;
}

uint8_t *cp_sigrec_take(struct cp_sigrec *r, size_t *ret_len)
{
	uint8_t *data = r->data;

	*ret_len = r->len;
	r->data = NULL;
	r->len = r->cap = 0;
	r->msgs = 0;
	return data;
}

void cp_sigrec_free(struct cp_sigrec *r)
{
	OPENSSL_cleanse(r->data, r->len);
	free(r->data);
	memset(r, 0, sizeof(*r));
}
