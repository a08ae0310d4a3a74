/* SPDX-License-Identifier: BSD-3-Clause */
/* What ravelin-gwsim's ESP makes, the appliance's opens, and the reverse: every algorithm of api/dp_esp.h, with and without ESN. */
#include "dp_esp.h"
#include "esp_fix.h"

#include "esp.h" /* bench/sim */

static struct sim_sa sim_of(const struct dp_sa_set *s, bool esn)
{
	const struct dp_esp_suite *suite = dp_esp_suite(s->alg);
	char spec[512], hex[2 * SIM_ESP_KEY_MAX + 1] = "";
	uint8_t all[SIM_ESP_KEY_MAX];
	const char *why = "";
	struct sim_sa sa;
	size_t n = 0;

	memcpy(all, s->key, suite->key_len);
	n += suite->key_len;
	memcpy(all + n, s->salt, suite->salt_len);
	n += suite->salt_len;
	memcpy(all + n, s->auth, suite->auth_len);
	n += suite->auth_len;
	for (size_t i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", all[i]);
	snprintf(spec, sizeof(spec), "spi=%u,alg=%s,key=%s%s", s->spi, suite->name, hex, esn ? ",esn" : "");
	if (sim_sa_parse(spec, &sa, &why) < 0) {
		printf("%s: %s\n", spec, why);
		abort();
	}
	return sa;
}

static void one_alg(int alg, bool esn)
{
	struct dp_sa_set send = mkset(DP_DIR_SEND, alg, DP_ESP_TRANSPORT, 4, 4, false, esn), recv = send;
	struct sim_sa in = sim_of(&send, esn), out = in;
	struct dp_sa *tx, *rx;

	recv.dir = DP_DIR_RECV;
	recv.seq_limit = 0;
	tx = mksa(&send);
	rx = mksa(&recv);
	for (uint16_t len = 0; len < 200; len += 3) {
		struct inner d = {.family = 4, .mode = DP_ESP_TRANSPORT, .out = true, .len = len};
		struct peer_ip ip = {.family = 4, .src = B4, .dst = A4, .ttl = 9, .proto = 50};
		uint8_t plain[512], pkt[1024], esp[1024], text[1024], next = 0;
		size_t plain_len = mkinner(&d, plain), n = 0, h;
		int rc;

		CU_ASSERT_EQUAL(one(true, tx, plain, plain_len, pkt, &n), DP_OK);
		rc = sim_esp_open(&in, pkt + 20, n - 20, text, sizeof(text), &next);
		CU_ASSERT_EQUAL(rc, (int)plain_len - 20);
		CU_ASSERT_EQUAL(next, 17);
		CU_ASSERT_EQUAL(memcmp(text, plain + 20, plain_len - 20), 0);

		d.out = false;
		plain_len = mkinner(&d, plain);
		rc = sim_esp_seal(&out, 17, plain + 20, plain_len - 20, esp, sizeof(esp));
		CU_ASSERT(rc > 0);
		if (rc <= 0)
			break;
		h = peer_ip(&ip, (size_t)rc, pkt);
		memcpy(pkt + h, esp, (size_t)rc);
		pkt[h + (size_t)rc - 1] ^= 1;
		CU_ASSERT_EQUAL(decap(rx, pkt, h + (size_t)rc), DP_DROP_ESP_AUTH);
		pkt[h + (size_t)rc - 1] ^= 1;
		CU_ASSERT_EQUAL(one(false, rx, pkt, h + (size_t)rc, text, &n), DP_OK);
		CU_ASSERT_EQUAL(n, plain_len);
		CU_ASSERT_EQUAL(memcmp(text + 20, plain + 20, plain_len - 20), 0);
	}
	free(tx);
	free(rx);
}

static void test_every_algorithm(void)
{
	for (int alg = 1; alg < DP_ESP_ALG_MAX; alg++)
		for (int esn = 0; esn < 2; esn++)
			one_alg(alg, esn != 0);
}

static int begin(void)
{
	mb = dp_mb_create();
	return mb == NULL;
}

static int end(void)
{
	dp_mb_destroy(mb);
	return 0;
}

static CU_TestInfo tests[] = {
	{"every algorithm, both ways", test_every_algorithm},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("esp_sim", tests, begin, end)
