/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/ike/xfrm.c: what Debian's charon 5.9.8 said when it was recorded (tests/fuzz/corpus/xfrm), every algorithm, what is refused by
 * name, messages cut at every length, and what is written back.
 */
#include <CUnit/Basic.h>
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/dp_esp.h"
#include "ike/xfrm.h"

static _Alignas(8) uint8_t buf[4096];
static struct cp_xfrm_msg m;
static char why[200];
static size_t used;

static int parse(const void *data, size_t len)
{
	return cp_xfrm_parse(data, len, &m, &used, why, sizeof(why));
}

/* The recorded message on the heap, exactly as long: a read behind it is seen. */
static uint8_t *slurp(const char *name, size_t *len)
{
	char path[512];
	uint8_t *data;
	FILE *f;

	snprintf(path, sizeof(path), "%s/../fuzz/corpus/xfrm/%s", getenv("RAVELIN_VECTORS"), name);
	f = fopen(path, "rb");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	*len = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	data = malloc(*len);
	memcpy(data, buf, *len);
	return data;
}

static const struct {
	const char *name;
	uint16_t type;
	const char *alg; /* of an SA */
	uint16_t key_len;
} recorded[] = {
	{"allocspi", XFRM_MSG_ALLOCSPI, NULL, 0}, {"updsa_gcm", XFRM_MSG_UPDSA, "aes-gcm-128", 20},
	{"newsa_gcm", XFRM_MSG_NEWSA, "aes-gcm-128", 20}, {"updsa_cbc", XFRM_MSG_UPDSA, "aes-cbc-256-sha256", 64},
	{"updsa_3des", XFRM_MSG_UPDSA, "3des-cbc-sha1", 44}, {"updsa_ctr", XFRM_MSG_UPDSA, "aes-ctr-128-sha512", 84},
	{"newpolicy_a", XFRM_MSG_NEWPOLICY, NULL, 0}, {"newpolicy_c", XFRM_MSG_NEWPOLICY, NULL, 0}, {"updpolicy", XFRM_MSG_UPDPOLICY, NULL, 0},
	{"delsa", XFRM_MSG_DELSA, NULL, 0}, {"getsa", XFRM_MSG_GETSA, NULL, 0}, {"delpolicy", XFRM_MSG_DELPOLICY, NULL, 0},
	{"getspdinfo", XFRM_MSG_GETSPDINFO, NULL, 0},
};
#define RECORDED (sizeof(recorded) / sizeof(*recorded))

static bool ip_is(const struct cfg_addr *a, const char *text)
{
	char s[64];

	cfg_addr_print(a, s, sizeof(s));
	return strcmp(s, text) == 0;
}

static void test_recorded(void)
{
	for (size_t i = 0; i < RECORDED; i++) {
		size_t len;
		uint8_t *data = slurp(recorded[i].name, &len);

		CU_ASSERT_EQUAL(parse(data, len), 0);
		CU_ASSERT_EQUAL(m.type, recorded[i].type);
		CU_ASSERT_EQUAL(used, len);
		CU_ASSERT(m.seq > 0);
		if (recorded[i].alg != NULL) {
			CU_ASSERT_EQUAL(m.sa.alg, dp_esp_find(recorded[i].alg));
			CU_ASSERT_EQUAL(m.sa.key_len, recorded[i].key_len);
			CU_ASSERT(m.sa.mode == DP_ESP_TUNNEL && m.sa.id.proto == 50 && m.sa.reqid == 1 && !m.sa.esn);
			CU_ASSERT(m.sa.src.port == 4500 && m.sa.id.dst.port == 4500);
			CU_ASSERT(m.sa.life.hard_s == 3960 && m.sa.life.soft_s > 0 && m.sa.life.hard_bytes == 0);
		}
		free(data);
	}
	free(slurp("newsa_gcm", &(size_t){0}));
	CU_ASSERT_EQUAL(parse(buf, 364), 0);
	CU_ASSERT(m.sa.id.spi == 0x1ed06b72 && ip_is(&m.sa.src, "10.77.0.1:4500") && ip_is(&m.sa.id.dst, "10.77.0.2:4500"));
	/* The outbound policy names the SPI that sends; the inbound one does not. */
	free(slurp("newpolicy_c", &(size_t){0}));
	CU_ASSERT_EQUAL(parse(buf, 252), 0);
	CU_ASSERT(m.policy.dir == CP_XFRM_OUT && m.policy.tmpl_cnt == 1 && m.policy.tmpl[0].spi == 0x1ed06b72 && m.policy.tmpl[0].reqid == 1);
	CU_ASSERT(ip_is(&m.policy.sel.src, "10.77.0.1") && ip_is(&m.policy.sel.dst, "10.77.0.2") && m.policy.sel.proto == 0);
	free(slurp("newpolicy_a", &(size_t){0}));
	CU_ASSERT_EQUAL(parse(buf, 252), 0);
	CU_ASSERT(m.policy.dir == CP_XFRM_IN && m.policy.tmpl[0].spi == 0 && m.policy.tmpl[0].mode == DP_ESP_TUNNEL);
	free(slurp("allocspi", &(size_t){0}));
	CU_ASSERT_EQUAL(parse(buf, 248), 0);
	CU_ASSERT(m.min == 0xc0000000 && m.max == 0xcfffffff && ip_is(&m.sa.id.dst, "10.77.0.1"));
	free(slurp("getsa", &(size_t){0}));
	CU_ASSERT_EQUAL(parse(buf, 40), 0);
	CU_ASSERT(m.id.spi != 0 && m.id.proto == 50);
}

/* At every length: cut, and cut with a header that says so. */
static void test_truncated(void)
{
	for (size_t i = 0; i < RECORDED; i++) {
		size_t len;
		uint8_t *data = slurp(recorded[i].name, &len);

		for (size_t n = 0; n < len; n++) {
			uint8_t *cut = malloc(n > 0 ? n : 1);
			uint32_t said = (uint32_t)n;

			memcpy(cut, data, n);
			CU_ASSERT_EQUAL(parse(cut, n), -EBADMSG);
			CU_ASSERT_EQUAL(used, 0);
			if (n >= 16) { /* a length that is below zero as an int, as libmnl has it */
				memset(cut, 0xff, 4);
				CU_ASSERT_EQUAL(parse(cut, n), -EBADMSG);
			}
			if (n >= 16) {
				int rc;

				memcpy(cut, &said, 4);
				rc = parse(cut, n);
				CU_ASSERT(rc == 0 || rc == -EBADMSG || rc == -EOPNOTSUPP);
				/* A key is there whole, or not at all. */
				CU_ASSERT(rc < 0 || recorded[i].alg == NULL || m.sa.alg == 0 || m.sa.key_len == recorded[i].key_len);
			}
			free(cut);
		}
		/* Lengths that lie: of each attribute, larger and smaller. */
		for (size_t at = 16; at + 4 <= len; at += 4)
			for (unsigned v = 0; v < 3; v++) {
				static const uint16_t lies[] = {0xffff, 3, 5};
				uint8_t *bad = malloc(len);

				memcpy(bad, data, len);
				memcpy(bad + at, &lies[v], 2);
				parse(bad, len);
				free(bad);
			}
		free(data);
	}
}

/* --- algorithms --- */

static void put_algo(struct nlmsghdr *n, uint16_t type, const char *name, unsigned bits, const uint8_t *key, int icv)
{
	uint8_t a[72 + 128] = {0};
	uint32_t v = bits, t = (uint32_t)icv;
	size_t head = icv >= 0 ? 72 : 68;

	strcpy((char *)a, name);
	memcpy(a + 64, &v, 4);
	if (icv >= 0)
		memcpy(a + 68, &t, 4);
	memcpy(a + head, key, bits / 8);
	mnl_attr_put(n, type, head + bits / 8, a);
}

static struct nlmsghdr *newsa(uint8_t proto, uint8_t mode, uint8_t flags)
{
	struct nlmsghdr *n = mnl_nlmsg_put_header(buf);
	struct xfrm_usersa_info *x = mnl_nlmsg_put_extra_header(n, sizeof(*x));

	n->nlmsg_type = XFRM_MSG_NEWSA;
	n->nlmsg_seq = 7;
	x->family = AF_INET;
	x->id.spi = htonl(0x1234);
	x->id.proto = proto;
	x->mode = mode;
	x->flags = flags;
	x->lft = (struct xfrm_lifetime_cfg){XFRM_INF, 1000, XFRM_INF, 2000, 30, 40, 0, 0};
	return n;
}

static void test_algorithms(void)
{
	static const char *const crypt[][2] = {{"", ""}, {"cbc(aes)", "aes"}, {"rfc3686(ctr(aes))", "rfc3686(ctr(aes))"},
					       {"cbc(des3_ede)", "des3_ede"}, {"ecb(cipher_null)", "cipher_null"}};
	static const char *const auth[][2] = {{"", ""}, {"hmac(sha1)", "sha1"}, {"hmac(sha256)", "sha256"}, {"hmac(sha384)", "sha384"},
					      {"hmac(sha512)", "sha512"}};
	uint8_t key[100];

	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i + 1);
	for (uint8_t alg = 1; alg < DP_ESP_ALG_MAX; alg++)
		for (int old = 0; old < 2; old++) {
			const struct dp_esp_suite *s = dp_esp_suite(alg);
			struct nlmsghdr *n = newsa(50, XFRM_MODE_TRANSPORT, 0);
			unsigned head = s->key_len + s->salt_len;

			if (s->cipher == DP_ESP_C_GCM) {
				put_algo(n, XFRMA_ALG_AEAD, "rfc4106(gcm(aes))", head * 8, key, s->icv_len * 8);
			} else {
				put_algo(n, XFRMA_ALG_CRYPT, crypt[s->cipher][old], head * 8, key, -1);
				/* The kernel's dump has both; SHA-256's default of theirs is 96 bits. */
				put_algo(n, XFRMA_ALG_AUTH, auth[s->auth][old], s->auth_len * 8, key + head, -1);
				put_algo(n, XFRMA_ALG_AUTH_TRUNC, auth[s->auth][old], s->auth_len * 8, key + head, s->icv_len * 8);
			}
			CU_ASSERT_EQUAL(parse(buf, n->nlmsg_len), 0);
			CU_ASSERT_EQUAL(m.sa.alg, alg);
			CU_ASSERT_EQUAL(m.sa.key_len, head + s->auth_len);
			CU_ASSERT_EQUAL(memcmp(m.sa.key, key, m.sa.key_len), 0);
			CU_ASSERT(m.sa.mode == DP_ESP_TRANSPORT && m.sa.life.hard_bytes == 1000 && m.sa.life.hard_pkts == 2000);
			CU_ASSERT(m.sa.life.soft_s == 30 && m.sa.life.hard_s == 40 && m.sa.life.soft_bytes == 0);
		}
	/* Where AUTH_TRUNC does not say, it is the kernel's length: right for all but SHA-256. */
	for (uint8_t a = DP_ESP_A_SHA1; a <= DP_ESP_A_SHA512; a++) {
		static const uint8_t lens[] = {0, 20, 32, 48, 64};
		struct nlmsghdr *n = newsa(50, XFRM_MODE_TUNNEL, 0);

		put_algo(n, XFRMA_ALG_CRYPT, "cbc(aes)", 128, key, -1);
		put_algo(n, XFRMA_ALG_AUTH, auth[a][0], lens[a] * 8u, key, -1);
		CU_ASSERT_EQUAL(parse(buf, n->nlmsg_len), a == DP_ESP_A_SHA256 ? -EOPNOTSUPP : 0);
		CU_ASSERT(a == DP_ESP_A_SHA256 || dp_esp_suite(m.sa.alg)->auth == a);
	}
	CU_ASSERT_PTR_NULL(strstr(why, "\x01\x02"));
}

static void test_refused(void)
{
	static const uint8_t key[64] = {1};
	static const struct {
		uint16_t attr;
		const char *name;
		unsigned bits;
		int icv;
		const char *why;
	} algs[] = {
		{XFRMA_ALG_AEAD, "rfc7539esp(chacha20,poly1305)", 288, 128, "chacha20"},
		{XFRMA_ALG_AEAD, "rfc4309(ccm(aes))", 152, 128, "ccm"},
		{XFRMA_ALG_AEAD, "rfc4543(gcm(aes))", 160, 128, "rfc4543"},
		{XFRMA_ALG_AEAD, "rfc4106(gcm(aes))", 168, 128, "168 bits"},
		{XFRMA_ALG_AEAD, "rfc4106(gcm(aes))", 160, 32, "ICV of 32"},
		{XFRMA_ALG_CRYPT, "cbc(camellia)", 128, -1, "camellia"},
		{XFRMA_ALG_CRYPT, "cbc(des)", 64, -1, "cbc(des)"},
		{XFRMA_ALG_CRYPT, "cbc(aes)", 128, -1, "without authentication"},
		{XFRMA_ALG_AUTH, "hmac(sha1)", 160, -1, "algorithm"},
		{XFRMA_ALG_COMP, "deflate", 0, -1, "IPComp"},
	};
	static const struct {
		uint16_t attr;
		uint32_t v[2];
		size_t len;
		int rc;
		const char *why;
	} attrs[] = {
		{XFRMA_MARK, {0, 0}, 8, 0, ""},
		{XFRMA_MARK, {5, 0xffffffff}, 8, -EOPNOTSUPP, "mark"},
		{XFRMA_MARK, {5}, 4, -EBADMSG, "cut off"},
		{XFRMA_SET_MARK, {9}, 4, -EOPNOTSUPP, "mark"},
		{XFRMA_IF_ID, {0}, 4, 0, ""},
		{XFRMA_IF_ID, {42}, 4, -EOPNOTSUPP, "interface 42"},
		{XFRMA_SA_EXTRA_FLAGS, {XFRM_SA_XFLAG_OSEQ_MAY_WRAP}, 4, -EOPNOTSUPP, "wrap"},
		{XFRMA_SA_EXTRA_FLAGS, {XFRM_SA_XFLAG_DONT_ENCAP_DSCP}, 4, -EOPNOTSUPP, "DSCP"},
		{XFRMA_OFFLOAD_DEV, {1, 0}, 8, -EOPNOTSUPP, "offload"},
		{XFRMA_TFCPAD, {900}, 4, 0, ""},
		{XFRMA_TFCPAD, {900}, 2, -EBADMSG, "cut off"},
		{XFRMA_ENCAP, {7, 0}, 8, -EBADMSG, "cut off"},
	};

	for (size_t i = 0; i < sizeof(algs) / sizeof(*algs); i++) {
		struct nlmsghdr *n = newsa(50, XFRM_MODE_TUNNEL, 0);

		put_algo(n, algs[i].attr, algs[i].name, algs[i].bits, key, algs[i].icv);
		CU_ASSERT_EQUAL(parse(buf, n->nlmsg_len), -EOPNOTSUPP);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, algs[i].why));
		CU_ASSERT_EQUAL(m.seq, 7); /* to answer it */
	}
	for (size_t i = 0; i < sizeof(attrs) / sizeof(*attrs); i++) {
		struct nlmsghdr *n = newsa(50, XFRM_MODE_TUNNEL, 0);

		put_algo(n, XFRMA_ALG_AEAD, "rfc4106(gcm(aes))", 160, key, 128);
		mnl_attr_put(n, attrs[i].attr, attrs[i].len, attrs[i].v);
		CU_ASSERT_EQUAL(parse(buf, n->nlmsg_len), attrs[i].rc);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, attrs[i].why));
		CU_ASSERT(attrs[i].attr != XFRMA_TFCPAD || attrs[i].rc < 0 || m.sa.tfc == 900);
	}
	for (int what = 0; what < 5; what++) {
		struct nlmsghdr *n = newsa(what == 0 ? 51 : 50, what == 1 ? XFRM_MODE_BEET : XFRM_MODE_TUNNEL, what == 3 ? XFRM_STATE_ESN : 0);

		put_algo(n, XFRMA_ALG_AEAD, "rfc4106(gcm(aes))", 160, key, 128);
		if (what == 2)
			((struct xfrm_usersa_info *)mnl_nlmsg_get_payload(n))->family = 99;
		if (what == 4)
			n->nlmsg_type = XFRM_MSG_MIGRATE;
		CU_ASSERT_EQUAL(parse(buf, n->nlmsg_len), what == 2 || what == 3 ? -EBADMSG : -EOPNOTSUPP);
		CU_ASSERT(why[0] != '\0');
	}
}

/* ESN, windows, the SA's own selector with ports, and UDP encapsulation. */
static void test_fields(void)
{
	const struct xfrm_replay_state_esn e = {.bmp_len = 128, .replay_window = 4096, .seq_hi = 2, .seq = 5, .oseq_hi = 1, .oseq = 9};
	uint8_t esn[sizeof(e) + 512] = {0};
	static const uint8_t key[20] = {1};
	struct xfrm_usersa_info *x;
	struct nlmsghdr *n = newsa(50, XFRM_MODE_TRANSPORT, XFRM_STATE_ESN);

	memcpy(esn, &e, sizeof(e));
	x = mnl_nlmsg_get_payload(n);
	x->sel = (struct xfrm_selector){.family = AF_INET, .prefixlen_s = 32, .prefixlen_d = 24, .proto = 17, .sport = htons(2427), .sport_mask = 0xffff};
	put_algo(n, XFRMA_ALG_AEAD, "rfc4106(gcm(aes))", 160, key, 128);
	mnl_attr_put(n, XFRMA_REPLAY_ESN_VAL, sizeof(esn), esn);
	CU_ASSERT_EQUAL(parse(buf, n->nlmsg_len), 0);
	CU_ASSERT(m.sa.esn && m.sa.window == 4096 && m.sa.top_in == (UINT64_C(2) << 32 | 5) && m.sa.top_out == (UINT64_C(1) << 32 | 9));
	CU_ASSERT(m.sa.sel.src.port == 2427 && m.sa.sel.dst.port == 0 && m.sa.sel.proto == 17 && m.sa.sel.dst.plen == 24);
	x->sel.sport_mask = 0xff00;
	CU_ASSERT_EQUAL(parse(buf, n->nlmsg_len), -EOPNOTSUPP);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "range of ports"));
	x->sel.sport_mask = 0xffff;
	x->sel.prefixlen_d = 33;
	CU_ASSERT_EQUAL(parse(buf, n->nlmsg_len), -EBADMSG);
	/* A window larger than its bitmap, a bitmap larger than the attribute. */
	for (int i = 0; i < 2; i++) {
		struct xfrm_replay_state_esn bad = {.bmp_len = i == 0 ? 1 : 0, .replay_window = i == 0 ? 32 : 64};

		n = newsa(50, XFRM_MODE_TUNNEL, XFRM_STATE_ESN);
		mnl_attr_put(n, XFRMA_REPLAY_ESN_VAL, sizeof(bad), &bad);
		CU_ASSERT_EQUAL(parse(buf, n->nlmsg_len), -EBADMSG);
	}
}

/* What is written reads as it was. */
static void test_written(void)
{
	struct cp_xfrm_msg to = {.type = XFRM_MSG_GETSA, .seq = 77, .pid = 5, .flags = NLM_F_REQUEST};
	struct cp_xfrm_sa sa = {.id = {.spi = 0xc0ffee, .proto = 50}, .reqid = 9, .mode = DP_ESP_TUNNEL, .alg = DP_ESP_AES_GCM_128, .window = 32,
				.life = {1, 2, 3, 4, 5, 6}, .cur = {100, 7, 1000, 2000}, .top_in = 12};
	struct cp_xfrm_policy p = {.dir = CP_XFRM_OUT, .priority = 3, .tmpl_cnt = 2,
				   .tmpl = {{.proto = 50, .mode = DP_ESP_TUNNEL, .reqid = 9, .spi = 0xc0ffee}, {.proto = 108, .mode = DP_ESP_TRANSPORT}}};
	uint32_t cnt[3] = {1, 2, 3};
	size_t len;

	cfg_addr_parse("[2001:db8::1]:4500", &sa.src);
	cfg_addr_parse("[2001:db8::2]:4500", &sa.id.dst);
	cfg_addr_parse("10.1.0.0/16", &p.sel.src);
	cfg_addr_parse("10.2.0.1", &p.sel.dst);
	p.sel.dst.port = 2427;
	p.sel.proto = 17;
	for (int i = 0; i < 2; i++) {
		p.tmpl[i].src = sa.src;
		p.tmpl[i].dst = sa.id.dst;
		p.tmpl[i].src.port = p.tmpl[i].dst.port = 0;
	}
	len = cp_xfrm_put_sa(buf, XFRM_MSG_NEWSA, 0, 77, 5, &sa, false);
	CU_ASSERT(len < CP_XFRM_BUF && parse(buf, len) == 0 && used == len);
	CU_ASSERT(m.seq == 77 && m.pid == 5 && m.sa.id.spi == sa.id.spi && m.sa.reqid == 9 && m.sa.alg == 0 && m.sa.top_in == 12);
	CU_ASSERT_EQUAL(memcmp(&m.sa.life, &sa.life, sizeof(sa.life)), 0);
	CU_ASSERT_EQUAL(memcmp(&m.sa.cur, &sa.cur, sizeof(sa.cur)), 0);
	CU_ASSERT_EQUAL(memcmp(&m.sa.src, &sa.src, sizeof(sa.src)), 0);
	CU_ASSERT_EQUAL(memcmp(&m.sa.id.dst, &sa.id.dst, sizeof(sa.src)), 0);
	for (int hard = 0; hard < 2; hard++) {
		len = cp_xfrm_put_sa(buf, XFRM_MSG_EXPIRE, 0, 0, 0, &sa, hard);
		CU_ASSERT(parse(buf, len) == 0 && m.type == XFRM_MSG_EXPIRE && m.hard == hard && m.sa.id.spi == sa.id.spi && m.sa.reqid == 9);
	}
	len = cp_xfrm_put_policy(buf, XFRM_MSG_UPDPOLICY, 0, 1, 0, &p);
	CU_ASSERT(len < CP_XFRM_BUF && parse(buf, len) == 0 && m.policy.dir == p.dir && m.policy.priority == 3 && !m.policy.block);
	CU_ASSERT_EQUAL(memcmp(&m.policy.sel, &p.sel, sizeof(p.sel)), 0);
	CU_ASSERT_EQUAL(memcmp(m.policy.tmpl, p.tmpl, sizeof(p.tmpl)), 0);
	len = cp_xfrm_put_policy(buf, XFRM_MSG_DELPOLICY, 0, 1, 0, &p);
	CU_ASSERT(parse(buf, len) == 0 && memcmp(&m.policy.sel, &p.sel, sizeof(p.sel)) == 0 && m.policy.dir == p.dir);
	len = cp_xfrm_put_acquire(buf, 4711, &p.sel, &p);
	CU_ASSERT(parse(buf, len) == 0 && m.type == XFRM_MSG_ACQUIRE && m.acquire == 4711 && m.policy.tmpl_cnt == 2);
	len = cp_xfrm_put_error(buf, &to, -ESRCH);
	CU_ASSERT(parse(buf, len) == 0 && m.type == NLMSG_ERROR && m.error == -ESRCH && m.seq == 77);
	len = cp_xfrm_put_spdinfo(buf, &to, cnt);
	CU_ASSERT(parse(buf, len) == 0 && m.type == XFRM_MSG_NEWSPDINFO);
	len = cp_xfrm_put_sadinfo(buf, &to, 3);
	CU_ASSERT(parse(buf, len) == 0 && m.type == XFRM_MSG_NEWSADINFO);
	len = cp_xfrm_put_ae(buf, &to, &sa);
	CU_ASSERT(parse(buf, len) == 0 && m.type == XFRM_MSG_NEWAE && m.id.spi == sa.id.spi);
	len = cp_xfrm_put_dump(buf, XFRM_MSG_GETSA, 3);
	CU_ASSERT(parse(buf, len) == 0 && m.type == XFRM_MSG_GETSA && (m.flags & NLM_F_DUMP) == NLM_F_DUMP);
	len = cp_xfrm_put_done(buf, &to);
	CU_ASSERT(parse(buf, len) == 0 && m.type == NLMSG_DONE);
}

static CU_TestInfo tests[] = {
	{"what charon said", test_recorded},
	{"cut at every length, and lengths that lie", test_truncated},
	{"every algorithm, by both its names", test_algorithms},
	{"what cannot be done is refused by name", test_refused},
	{"ESN, windows, selectors", test_fields},
	{"what is written reads as it was", test_written},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("xfrm", tests, NULL, NULL)
