/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A gateway behind the harness' dataplane, in shard 1 (the second worker's), while its packets arrive on the first worker's
 * queue: its record, its SAs, what it says and what it is told. Its end of ESP is the library of the stage. Include once.
 */
#ifndef TESTS_GW_FIX_H
#define TESTS_GW_FIX_H

#include <CUnit/CUnit.h>

#include "crypto/mb.h"
#include "dp_harness.h"
#include "ipsec/esp.h"
#include "ipsec/sa.h"

#define GW    3
#define SHARD 1
#define SPI_IN 0x1001 /* shard 1 */
#define SPI_OUT 0x2222

static struct dp_mb *mb;
static struct dp_sa *gw_tx, *gw_rx; /* the gateway's */
static unsigned int endpoint;

static inline int setup(void)
{
	mb = dp_mb_create();
	gw_tx = aligned_alloc(64, (sizeof(struct dp_sa) + 63) & ~(size_t)63);
	gw_rx = aligned_alloc(64, (sizeof(struct dp_sa) + 63) & ~(size_t)63);
	return mb == NULL || harness_up() != 0;
}

static inline int teardown(void)
{
	dp_mb_destroy(mb);
	free(gw_tx);
	free(gw_rx);
	return 0;
}

static inline int gateway(uint8_t flags)
{
	struct dp_gw_set m = {.gw_id = GW, .shard = SHARD, .flags = flags, .domain = "gw"};

	ip_of("10.0.0.7", &m.remote, 2427);
	ip_of("10.0.0.1", &m.local, 2727);
	return msg(&m, DP_MSG_GW_SET, sizeof(m));
}

static inline struct dp_sa_set sa_msg(bool ours, bool in)
{
	struct dp_sa_set m = {.sa_id = in ? 1 : 2, .spi = in ? SPI_IN : SPI_OUT, .gw_id = GW, .alg = DP_ESP_AES_GCM_128,
			      .dir = (in == ours) ? DP_DIR_RECV : DP_DIR_SEND, .mode = DP_ESP_TRANSPORT,
			      .shard = SHARD, .seq_limit = 1000};

	ip_of("10.0.0.1", ours ? &m.local : &m.remote, 0);
	ip_of("10.0.0.7", ours ? &m.remote : &m.local, 0);
	memset(m.key, in ? 0x51 : 0x61, 16);
	memset(m.salt, 7, 4);
	return m;
}

static inline void sas(uint64_t limit)
{
	struct dp_sa_set in = sa_msg(true, true), out = sa_msg(true, false);

	out.seq_limit = limit;
	CU_ASSERT_EQUAL_FATAL(msg(&in, DP_MSG_SA_SET, sizeof(in)), 0);
	CU_ASSERT_EQUAL_FATAL(msg(&out, DP_MSG_SA_SET, sizeof(out)), 0);
	in = sa_msg(false, true);
	out = sa_msg(false, false);
	out.shard = SPI_OUT % 64;
	CU_ASSERT_EQUAL_FATAL(dp_sa_init(gw_tx, mb, &in), 0);
	CU_ASSERT_EQUAL_FATAL(dp_sa_init(gw_rx, mb, &out), 0);
	rounds(2);
}

static inline int crcx(bool with_key)
{
	struct dp_mgcp_cmd m = {.handle = 77, .gw_id = GW, .verb = DP_MGCP_CRCX, .mode = DP_MGCP_M_SENDRECV,
				.call_id = "1a"};

	/* an endpoint of its own: one command at a time goes to each */
	snprintf(m.endpoint, sizeof(m.endpoint), "aaln/%u", ++endpoint);
	ip_of("10.0.0.1", &m.media.addr, BASE);
	m.media.pt = 8;
	m.media.ptime_ms = 20;
	if (with_key) {
		m.media.suite = DP_AES_CM_128_HMAC_SHA1_80;
		m.media.tag = 1;
		memset(m.media.key, 'k', 16);
		memset(m.media.salt, 's', 14);
	}
	return msg(&m, DP_MSG_MGCP_CMD, sizeof(m));
}

static inline bool contains(const struct out *o, const char *what)
{
	return memmem(o->data, o->len, what, strlen(what)) != NULL;
}

/* A frame that left: its MGCP text, through the gateway's SA if it is ESP. NULL: not that. */
static inline const char *text_of(struct out *o, bool *ret_esp)
{
	static char text[2048];
	struct dp_esp_pkt e = {.data = o->data + 14, .len = (uint16_t)(o->len - 14), .sa = gw_rx};
	struct dp_frame f;

	if (dp_parse_frame(o->data, o->len, &f) != DP_OK)
		return NULL;
	*ret_esp = f.proto == DP_PROTO_ESP;
	if (*ret_esp) {
		CU_ASSERT_EQUAL_FATAL(dp_esp_decap_burst(mb, &e, 1), 1);
		CU_ASSERT_EQUAL_FATAL(dp_parse_ip(e.data, e.len, &f), DP_OK);
	} else {
		e.data = o->data;
	}
	if (f.proto != DP_PROTO_UDP)
		return NULL;
	CU_ASSERT_EQUAL(f.src_port, 2727);
	CU_ASSERT_EQUAL(f.dst_port, 2427);
	CU_ASSERT_EQUAL(dp_sum_fold(dp_sum(e.data + f.l4_off, f.l4_len,
					   dp_sum_pseudo(4, f.src, f.dst, 17, f.l4_len))), 0);
	memcpy(text, e.data + f.payload_off, f.payload_len);
	text[f.payload_len] = '\0';
	return text;
}

/* The gateway says something, in its SA or in clear, to the first worker's queue, and nobody has looked at it yet. */
static inline void gw_puts(const char *text, bool esp)
{
	uint8_t frame[2048];
	struct dp_sockaddr s, d;
	uint16_t len = (uint16_t)strlen(text);
	struct dp_esp_pkt e;

	ip_of("10.0.0.7", &s, 2427);
	ip_of("10.0.0.1", &d, 2727);
	e = (struct dp_esp_pkt){.data = frame + 128, .len = (uint16_t)(28 + len), .headroom = 128, .tailroom = 200,
				.sa = gw_tx};
	memcpy(e.data + 28, text, len);
	dp_build_udp(e.data, 4, s.ip, 2427, d.ip, 2727, len, 0, true);
	if (esp)
		CU_ASSERT_EQUAL_FATAL(dp_esp_encap_burst(mb, &e, 1), 1);
	memcpy(e.data - 14, node.ports[0].mac, 6);
	memcpy(e.data - 8, peer_mac, 6);
	dp_put16(e.data - 2, DP_ETYPE_IP4);
	inject(0, 0, e.data - 14, (uint16_t)(e.len + 14));
}

static inline void gw_says(const char *text, bool esp)
{
	gw_puts(text, esp);
	rounds(3);
}

struct hunt {
	const char *what;
	unsigned int found;
};

static inline void look_in(struct rte_mempool *pool, void *arg, void *obj, unsigned int i)
{
	struct hunt *h = arg;

	(void)i;
	h->found += memmem(obj, pool->elt_size, h->what, strlen(h->what)) != NULL;
}

/* Buffers, free ones as well, that this text stands in. */
static inline unsigned int buffers_with(const char *what)
{
	struct hunt h = {.what = what};

	(void)rte_mempool_obj_iter(node.pool, look_in, &h);
	return h.found;
}

/* Another inbound SA of the gateway, which its next messages come through: 'null' without encryption. 'spi' says whose worker's. */
static inline void gw_other_sa(uint32_t sa_id, uint32_t spi, bool null, uint8_t mode)
{
	for (int ours = 0; ours < 2; ours++) {
		struct dp_sa_set m = sa_msg(ours, true);

		m.sa_id = sa_id;
		m.spi = spi;
		m.shard = spi % 64;
		m.seq_limit = UINT32_MAX;
		m.mode = mode;
		memset(m.key, (int)(0x80 + sa_id), 16);
		if (mode == DP_ESP_TUNNEL) {
			ip_of("10.0.0.1", ours ? &m.sel_local : &m.sel_remote, 0);
			ip_of("10.0.0.7", ours ? &m.sel_remote : &m.sel_local, 0);
			m.sel_local_plen = m.sel_remote_plen = 32;
		}
		if (null) {
			m.alg = DP_ESP_NULL_SHA1_96;
			memset(m.key, 0, sizeof(m.key));
			memset(m.salt, 0, sizeof(m.salt));
			memset(m.auth, (int)(0x90 + sa_id), 20);
		}
		if (ours) {
			cfg.ipsec.old_algorithms = true;
			CU_ASSERT_EQUAL_FATAL(msg(&m, DP_MSG_SA_SET, sizeof(m)), 0);
			cfg.ipsec.old_algorithms = false;
		} else {
			dp_sa_wipe(gw_tx);
			CU_ASSERT_EQUAL_FATAL(dp_sa_init(gw_tx, mb, &m), 0);
		}
	}
	rounds(2);
}

static inline void sa_gone(uint32_t sa_id)
{
	struct dp_obj d = {.id = sa_id, .kind = DP_OBJ_SA};

	CU_ASSERT_EQUAL(msg(&d, DP_MSG_SA_DEL, sizeof(d)), 0);
	rounds(2);
}

/* The answer to a CRCX with the gateway's own key. */
#define KEYED_ANSWER                                                                                              \
	"200 %u OK\r\nI: 7\r\n\r\nv=0\r\nc=IN IP4 10.0.0.7\r\nm=audio 18000 RTP/SAVP 8\r\n"                       \
	"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n"

/* The transaction of the one command that left. */
static inline uint32_t tid_out(void)
{
	struct out o;
	bool esp;
	const char *t = next_out(&o) ? text_of(&o, &esp) : NULL;

	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	return (uint32_t)atoi(t + 5);
}

#endif
