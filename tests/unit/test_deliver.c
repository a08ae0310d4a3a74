/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/mgcp/deliver.c: what goes on the wire for each command, what comes back, who may say
 * what, and that no key leaves without a live SA, whatever the SAs do meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "mgcp/deliver.h"
#include "mgcp/msg.h"
#include "mgcp/sdp.h"
#include "mgcp/txn.h"

#define MS   1000ull
#define S    1000000ull
#define TID0 4711u

static struct {
	uint64_t now;
	bool sa[8];
	int send_rc, event_rc;
	unsigned sends, dones, events, clear_sends;
	char last[DP_MGCP_DATAGRAM_MAX + 1];
	uint16_t last_len;
	bool last_need_sa;
	struct dp_sockaddr last_from, last_to;
	struct dp_mgcp_done done;
	struct dp_mgcp_event event;
} t;
static struct dp_deliver *d;

static int t_send(void *ctx, uint32_t gw_id, const struct dp_sockaddr *from,
                  const struct dp_sockaddr *to, const uint8_t *payload, uint16_t len, bool need_sa)
{
	(void)ctx;
	if (need_sa && !t.sa[gw_id])
		return -ENOKEY;
	if (t.send_rc != 0)
		return t.send_rc;
	memcpy(t.last, payload, len);
	t.last[len] = '\0';
	t.last_len = len;
	t.last_need_sa = need_sa;
	t.last_from = *from;
	t.last_to = *to;
	t.sends++;
	return 0;
}

static bool t_sa_live(void *ctx, uint32_t gw_id)
{
	(void)ctx;
	return t.sa[gw_id];
}

static void t_done(void *ctx, const struct dp_mgcp_done *done)
{
	(void)ctx;
	t.done = *done;
	t.dones++;
}

static int t_event(void *ctx, const struct dp_mgcp_event *event)
{
	(void)ctx;
	t.event = *event;
	t.events++;
	return t.event_rc;
}

static const struct dp_deliver_ops ops = {t_send, t_sa_live, t_done, t_event, TID0 - 1, 0, 0, NULL, NULL, 0};

static const struct dp_sockaddr ca = {.ip = {10, 0, 0, 1}, .port = 2727, .family = 4};

static struct dp_sockaddr gw_addr(uint32_t gw_id)
{
	return (struct dp_sockaddr){.ip = {10, 0, 1, (uint8_t)gw_id}, .port = 2427, .family = 4};
}

static int gw_set(uint32_t gw_id, uint8_t flags)
{
	struct dp_gw_set set = {
		.gw_id = gw_id, .flags = flags, .remote = gw_addr(gw_id), .local = ca};

	snprintf(set.domain, sizeof(set.domain), "gw%u", gw_id);
	return dp_deliver_gw_set(d, &set);
}

static void fresh(uint8_t flags, bool sa)
{
	dp_deliver_destroy(d);
	memset(&t, 0, sizeof(t));
	t.now = 5 * S;
	t.sa[1] = sa;
	d = dp_deliver_create(&ops, NULL, 8, 400);
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	CU_ASSERT_EQUAL(gw_set(1, flags), 0);
}

static struct dp_mgcp_cmd crcx(bool keys)
{
	struct dp_mgcp_cmd c = {.handle = 0x1122334455667788,
	                        .gw_id = 1,
	                        .verb = DP_MGCP_CRCX,
	                        .mode = DP_MGCP_M_SENDRECV,
	                        .endpoint = "S0/SU0/DS1-0/1",
	                        .call_id = "A1B2"};

	c.media = (struct dp_mgcp_media){.addr = {.ip = {10, 0, 0, 9}, .port = 16384, .family = 4},
	                                 .ptime_ms = 20};
	if (keys) {
		c.media.suite = DP_AES_CM_128_HMAC_SHA1_32;
		c.media.tag = 1;
		memcpy(c.media.key, "YS___semctl () {", 16);
		memcpy(c.media.salt, "\t220;}\n}\nunles", 14);
	}
	return c;
}

static enum dp_drop rx_as(const char *text, bool in_sa, uint32_t sa_gw,
                          const struct dp_sockaddr *from)
{
	size_t n = strlen(text);
	uint8_t *copy = malloc(n + (n == 0));
	enum dp_drop v;

	memcpy(copy, text, n);
	v = dp_deliver_rx(d, copy, (uint16_t)n, from, &ca, in_sa, sa_gw, t.now);
	free(copy);
	return v;
}

static enum dp_drop rx(const char *text)
{
	struct dp_sockaddr from = gw_addr(1);

	return rx_as(text, t.sa[1], t.sa[1] ? 1 : UINT32_MAX, &from);
}

#define SDP_OF(profile, crypto)                                                                            \
	"v=0\r\no=- 4711 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 16384 " profile \
	" 0\r\n"                                                                                           \
	"a=rtpmap:0 PCMU/8000\r\na=ptime:20\r\n" crypto
#define B64 "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"

static void test_crcx_on_the_wire(void)
{
	struct dp_mgcp_cmd c = crcx(true);
	struct dp_sockaddr to = gw_addr(1);

	fresh(0, true);
	strcpy(c.request_id, "7F");
	strcpy(c.events, "L/hd");
	strcpy(c.signals, "L/rg");
	CU_ASSERT_EQUAL(dp_deliver_cmd(d, &c, t.now), 0);
	CU_ASSERT_STRING_EQUAL(
		t.last,
		"CRCX 4711 S0/SU0/DS1-0/1@gw1 MGCP 1.0\r\nC: A1B2\r\nL: p:20, a:PCMU\r\n"
		"M: sendrecv\r\nX: 7F\r\nR: L/hd\r\nS: L/rg\r\n\r\n" SDP_OF(
			"RTP/SAVP", "a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:" B64 "\r\n"));
	CU_ASSERT_TRUE(t.last_need_sa);
	CU_ASSERT_EQUAL(memcmp(&t.last_from, &ca, sizeof(ca)), 0);
	CU_ASSERT_EQUAL(memcmp(&t.last_to, &to, sizeof(to)), 0);
	CU_ASSERT_EQUAL(t.dones, 0);
	fresh(DP_GW_F_MGCP_01 | DP_GW_F_X_CRYPTO, true);
	c = crcx(true);
	dp_deliver_cmd(d, &c, t.now);
	CU_ASSERT_PTR_NOT_NULL(strstr(t.last, "@gw1 MGCP 0.1\r\n"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(t.last, "\r\na=X-crypto:AES_CM_128_HMAC_SHA1_32 inline:" B64 "||\r\n"));
	CU_ASSERT_PTR_NULL(strstr(t.last, "X:"));
	fresh(0, true);
	c = crcx(false);
	dp_deliver_cmd(d, &c, t.now);
	CU_ASSERT_PTR_NOT_NULL(strstr(t.last, "\r\n\r\n" SDP_OF("RTP/AVP", "")));
}

static void test_other_commands(void)
{
	static const struct {
		struct dp_mgcp_cmd c;
		const char *text;
	} cases[] = {
		{{.verb = DP_MGCP_MDCX,
	          .call_id = "A1",
	          .conn_id = "B2",
	          .mode = DP_MGCP_M_RECVONLY},
	         "MDCX 4711 e/1@gw1 MGCP 1.0\r\nC: A1\r\nI: B2\r\nM: recvonly\r\n"},
		{{.verb = DP_MGCP_DLCX, .call_id = "A1", .conn_id = "B2"},
	         "DLCX 4711 e/1@gw1 MGCP 1.0\r\nC: A1\r\nI: B2\r\n"},
		{{.verb = DP_MGCP_DLCX}, "DLCX 4711 e/1@gw1 MGCP 1.0\r\n"},
		{{.verb = DP_MGCP_AUEP}, "AUEP 4711 e/1@gw1 MGCP 1.0\r\n"},
		{{.verb = DP_MGCP_AUCX, .conn_id = "B2"}, "AUCX 4711 e/1@gw1 MGCP 1.0\r\nI: B2\r\n"},
		{{.verb = DP_MGCP_AUCX, .call_id = "A1", .conn_id = "B2"},
	         "AUCX 4711 e/1@gw1 MGCP 1.0\r\nC: A1\r\nI: B2\r\n"},
		{{.verb = DP_MGCP_RQNT, .request_id = "7F", .events = "L/hu(N)", .signals = "L/rg"},
	         "RQNT 4711 e/1@gw1 MGCP 1.0\r\nX: 7F\r\nR: L/hu(N)\r\nS: L/rg\r\n"},
		{{.verb = DP_MGCP_EPCF, .media = {.pt = 8}},
	         "EPCF 4711 e/1@gw1 MGCP 1.0\r\nB: e:A\r\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dp_mgcp_cmd c = cases[i].c;

		fresh(0, true);
		c.gw_id = 1;
		strcpy(c.endpoint, "e/1");
		CU_ASSERT_EQUAL(dp_deliver_cmd(d, &c, t.now), 0);
		CU_ASSERT_STRING_EQUAL(t.last, cases[i].text);
		CU_ASSERT_EQUAL(rx("200 4711 OK\r\nI: 1\r\n"), DP_DROP_CONSUMED);
		CU_ASSERT(t.dones == 1 && t.done.code == 200 && t.done.verb == c.verb);
	}
}

static void test_answers(void)
{
	static const struct {
		const char *text;
		uint8_t result, suite;
		uint16_t code;
		const char *refused; /* by name, with the connection to be deleted */
	} cases[] = {
		{"200 4711 OK\nI: 8C2\n\nv=0\nc=IN IP4 192.0.2.7\nm=image 18000 udptl t38\n", DP_MGCP_BAD_ANSWER, 0, 200,
		 "T.38 (udptl)"},
		{"200 4711 OK\nI: 8C2\n\nv=0\nc=IN IP4 192.0.2.7\nm=audio 18000 RTP/AVP 0\na=ice-ufrag:abcd\n",
		 DP_MGCP_BAD_ANSWER, 0, 200, "ICE"},
		{"200 4711 OK\nI: 8C2\n\nv=0\nc=IN IP4 192.0.2.7\nm=audio 18000 RTP/SAVP 0\n"
		 "a=crypto:1 F8_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\n",
		 DP_MGCP_BAD_ANSWER, 0, 200, "suite F8_128_HMAC_SHA1_80"},
		{"200 4711 OK\r\nI: 8C2\r\n\r\nv=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 18000 RTP/SAVP 0\r\n"
	         "a=X-crypto:AES_CM_128_HMAC_SHA1_32 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz||\r\n",
	         DP_MGCP_ANSWERED, DP_AES_CM_128_HMAC_SHA1_32, 200, NULL},
		{"200 4711 OK\nI: 8C2\n\nv=0\nc=IN IP4 192.0.2.7\nm=audio 18000 RTP/AVP 0\n",
	         DP_MGCP_ANSWERED, 0, 200, NULL},
		{"200 4711 OK\nI: 8C2\n", DP_MGCP_ANSWERED, 0, 200, NULL},
		{"200 4711 OK\n\nv=0\nc=IN IP4 192.0.2.7\nm=audio 18000 RTP/AVP 0\n",
	         DP_MGCP_BAD_ANSWER, 0, 200, NULL}, /* no I */
		{"200 4711 OK\nI: 8C2X\n", DP_MGCP_BAD_ANSWER, 0, 200, NULL},
		{"200 4711 OK\nI: 123456789012345678901234567890123\n", DP_MGCP_BAD_ANSWER, 0, 200, NULL},
		{"200 4711 OK\nI: 8C2\n\nv=0\nc=IN IP4 192.0.2.7\nm=audio 18000 RTP/SAVP 0\n",
	         DP_MGCP_BAD_ANSWER, 0, 200, NULL},
		{"200 4711 OK\nI: 8C2\n\nv=7\n", DP_MGCP_BAD_ANSWER, 0, 200, NULL},
		{"502 4711 no\001more\n", 255, 0, 0, NULL},
		{"502 4711 none left\n", DP_MGCP_ANSWERED, 0, 502, NULL},
		{"800 4711 /FM whatever\n", DP_MGCP_ANSWERED, 0, 800, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dp_mgcp_cmd c = crcx(true);

		fresh(0, true);
		dp_deliver_cmd(d, &c, t.now);
		t.now += 30 * MS;
		if (cases[i].result == 255) { /* malformed: as if it had not come */
			CU_ASSERT_EQUAL(rx(cases[i].text), DP_DROP_MGCP_MALFORMED);
			CU_ASSERT_EQUAL(t.dones, 0);
			continue;
		}
		CU_ASSERT_EQUAL(rx(cases[i].text), DP_DROP_CONSUMED);
		CU_ASSERT_EQUAL_FATAL(t.dones, 1);
		CU_ASSERT_EQUAL(t.done.result, cases[i].result);
		CU_ASSERT_EQUAL(t.done.code, cases[i].code);
		CU_ASSERT_EQUAL(t.done.media.suite, cases[i].suite);
		CU_ASSERT(t.done.handle == 0x1122334455667788 && t.done.gw_id == 1 &&
		          t.done.tries == 1);
		CU_ASSERT_EQUAL(t.done.rtt_us, 30 * MS);
		CU_ASSERT_EQUAL(dp_deliver_txn_cnt(d), 0);
		CU_ASSERT_EQUAL(rx(cases[i].text), DP_DROP_MGCP_UNKNOWN); /* a second time */
		CU_ASSERT_EQUAL(t.dones, 1);
		CU_ASSERT_EQUAL(dp_deliver_stats(d)->media_refused,
				cases[i].refused != NULL || t.done.comment[0] == 'm' || t.done.comment[0] == 'R');
		if (cases[i].refused != NULL) {
			CU_ASSERT_STRING_EQUAL(t.done.comment, cases[i].refused);
			CU_ASSERT_STRING_EQUAL(t.done.conn_id, "8C2");
		}
		if (cases[i].suite != 0) {
			CU_ASSERT_STRING_EQUAL(t.done.conn_id, "8C2");
			CU_ASSERT_STRING_EQUAL(t.done.comment, "OK");
			CU_ASSERT_EQUAL(t.done.media.addr.port, 18000);
			CU_ASSERT_EQUAL(memcmp(t.done.media.key, "YS___semctl () {", 16), 0);
			CU_ASSERT_EQUAL(memcmp(t.done.media.salt, "\t220;}\n}\nunles", 14), 0);
		}
	}
}

/* Every combination: flags, keys, SA. What goes in clear is exactly what may. */
static void test_policy_matrix(void)
{
	for (unsigned i = 0; i < 16; i++) {
		bool keys_clear = i & 1, clear = i & 2, keys = i & 4, sa = i & 8;
		struct dp_mgcp_cmd c = crcx(keys);
		bool goes = sa || (clear && (!keys || keys_clear));

		fresh((uint8_t)((keys_clear ? DP_GW_F_KEYS_CLEAR : 0) |
		                (clear ? DP_GW_F_CLEAR : 0)),
		      sa);
		CU_ASSERT_EQUAL(dp_deliver_cmd(d, &c, t.now), 0);
		CU_ASSERT_EQUAL(t.sends, goes ? 1 : 0);
		CU_ASSERT_EQUAL(t.dones, goes ? 0 : 1);
		CU_ASSERT(goes ? t.last_need_sa == !(clear && (!keys || keys_clear))
		               : t.done.result == DP_MGCP_NO_SA && t.done.code == 0);
		CU_ASSERT_EQUAL(dp_deliver_stats(d)->no_sa, goes ? 0 : 1);
	}
}

static void test_sa_dies_before_a_repeat(void)
{
	struct dp_mgcp_cmd c = crcx(true);

	fresh(DP_GW_F_CLEAR, true);
	dp_deliver_cmd(d, &c, t.now);
	CU_ASSERT_EQUAL(t.sends, 1);
	t.sa[1] = false;
	dp_deliver_tick(d, t.now + 1 * S);
	CU_ASSERT(t.sends == 1 && t.dones == 1 && t.done.result == DP_MGCP_NO_SA &&
	          t.done.tries == 2);
	/* without keys the repeat goes on in clear: allowed here */
	c = crcx(false);
	t.sa[1] = true;
	dp_deliver_cmd(d, &c, t.now);
	t.sa[1] = false;
	dp_deliver_tick(d, t.now + 2 * S);
	CU_ASSERT(t.sends == 3 && t.dones == 1);
	CU_ASSERT_EQUAL(dp_deliver_stats(d)->retx, 1);
}

/* A key that the gateway sent in clear is not used. */
static void test_key_in_clear_answer(void)
{
	static const char text[] =
		"200 4711 OK\r\nI: 8C2\r\n\r\nv=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 18000 RTP/SAVP 0\r\n"
		"a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:" B64 "\r\n";
	static const uint8_t zero[sizeof(t.done.media)];

	for (int allowed = 0; allowed < 2; allowed++) {
		struct dp_mgcp_cmd c = crcx(false);

		fresh(allowed ? DP_GW_F_CLEAR | DP_GW_F_KEYS_CLEAR : DP_GW_F_CLEAR, false);
		dp_deliver_cmd(d, &c, t.now);
		CU_ASSERT_EQUAL(rx(text), DP_DROP_CONSUMED);
		CU_ASSERT_EQUAL(t.done.result, allowed ? DP_MGCP_ANSWERED : DP_MGCP_BAD_ANSWER);
		CU_ASSERT_EQUAL(memcmp(&t.done.media, zero, sizeof(zero)) == 0, !allowed);
	}
}

/* The endpoint that the gateway chose out of 'any of' must be one of its own; of one that was named nobody asks. */
static void test_specific_endpoint(void)
{
	static const struct {
		const char *asked, *said;
		bool good;
		const char *is;
	} cases[] = {
		{"cnf/$", "cnf/3@gw1", true, "cnf/3"},
		{"cnf/$", "cnf/3@GW1", true, "cnf/3"},
		{"cnf/$", "cnf/3", true, "cnf/3"},
		{"$", "aaln/1@gw1", true, "aaln/1"},
		{"cnf/$", "cnf/3@gw2", false, ""},
		{"cnf/$", "cnf/$@gw1", false, ""},
		{"cnf/$", "cnf/*@gw1", false, ""},
		{"cnf/$", "@gw1", false, ""},
		{"aaln/1", "aaln/1@gw1", true, ""},
		{"aaln/1", "aaln/1@gw1.example.com", true, ""}, /* another form of its name */
		{"aaln/1", "aaln/1@[192.0.2.7]", true, ""},
	};
	char text[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dp_mgcp_cmd c = crcx(false);

		snprintf(c.endpoint, sizeof(c.endpoint), "%s", cases[i].asked);
		fresh(DP_GW_F_CLEAR, false);
		dp_deliver_cmd(d, &c, t.now);
		snprintf(text, sizeof(text), "200 4711 OK\r\nI: 8C2\r\nZ: %s\r\n", cases[i].said);
		CU_ASSERT_EQUAL(rx(text), DP_DROP_CONSUMED);
		CU_ASSERT_EQUAL(t.done.result, cases[i].good ? DP_MGCP_ANSWERED : DP_MGCP_BAD_ANSWER);
		CU_ASSERT_STRING_EQUAL(t.done.endpoint, cases[i].is);
	}
}

static void test_who_may_speak(void)
{
	const char *ntfy = "NTFY 9 e/1@gw1 MGCP 1.0\r\nX: 1\r\nO: L/hd\r\n";
	struct dp_sockaddr one = gw_addr(1), two = gw_addr(2), port = gw_addr(1), other_ca = ca;

	fresh(0, true);
	gw_set(2, DP_GW_F_CLEAR);
	port.port = 2428;
	other_ca.port = 2427;
	CU_ASSERT_EQUAL(rx_as(ntfy, true, 1, &two), DP_DROP_SOURCE);
	CU_ASSERT_EQUAL(rx_as(ntfy, true, 2, &one), DP_DROP_SOURCE);
	CU_ASSERT_EQUAL(rx_as(ntfy, true, 1, &port), DP_DROP_SOURCE);
	CU_ASSERT_EQUAL(dp_deliver_rx(d, (const uint8_t *)ntfy, (uint16_t)strlen(ntfy), &one,
	                              &other_ca, true, 1, t.now),
	                DP_DROP_SOURCE);
	CU_ASSERT_EQUAL(rx_as(ntfy, true, 7, &one), DP_DROP_MGCP_UNKNOWN);
	CU_ASSERT_EQUAL(rx_as(ntfy, false, UINT32_MAX, &port), DP_DROP_MGCP_UNKNOWN);
	CU_ASSERT_EQUAL(rx_as(ntfy, false, UINT32_MAX, &one), DP_DROP_POLICY);
	t.sa[1] = false;
	CU_ASSERT_EQUAL(rx_as(ntfy, false, UINT32_MAX, &one), DP_DROP_POLICY);
	t.sa[2] = true; /* clear is allowed for it, but there is an SA */
	CU_ASSERT_EQUAL(rx_as(ntfy, false, UINT32_MAX, &two), DP_DROP_POLICY);
	CU_ASSERT_EQUAL(t.events, 0);
	CU_ASSERT_EQUAL(rx_as(ntfy, true, 2, &two), DP_DROP_CONSUMED);
	CU_ASSERT(t.events == 1 && t.event.gw_id == 2);
	t.sa[2] = false;
	CU_ASSERT_EQUAL(
		rx_as("NTFY 10 e/1@gw1 MGCP 1.0\r\nX: 1\r\nO: L/hd\r\n", false, UINT32_MAX, &two),
		DP_DROP_CONSUMED);
	CU_ASSERT_EQUAL(t.events, 2);
	CU_ASSERT_EQUAL(
		rx_as("NTFY 11 e/1@gw1 MGCP 1.0\r\nX: 1\r\nO: L/hd\r\n", true, UINT32_MAX, &one),
		DP_DROP_CONSUMED);
	CU_ASSERT_EQUAL(t.event.gw_id, 1);
	CU_ASSERT_EQUAL(dp_deliver_stats(d)->source, 4);
}

static void ack(uint16_t code, int want)
{
	struct dp_mgcp_ack a = {.token = t.event.token, .code = code};

	CU_ASSERT_EQUAL(dp_deliver_ack(d, &a, t.now), want);
}

static void test_events(void)
{
	uint64_t token;

	fresh(0, true);
	CU_ASSERT_EQUAL(
		rx("NTFY 2002 e/1@gw1 MGCP 1.0\r\nN: ca@x:2727\r\nX: 7F\r\nO: L/hd, D/1\r\n"),
		DP_DROP_CONSUMED);
	CU_ASSERT(t.events == 1 && t.sends == 0 && t.event.verb == DP_MGCP_NTFY &&
	          t.event.token != 0);
	CU_ASSERT_STRING_EQUAL(t.event.endpoint, "e/1");
	CU_ASSERT_STRING_EQUAL(t.event.request_id, "7F");
	CU_ASSERT_STRING_EQUAL(t.event.observed, "L/hd, D/1");
	ack(100, -EBADMSG);
	ack(200, 0);
	CU_ASSERT_STRING_EQUAL(t.last, "200 2002 OK\r\n");
	CU_ASSERT_TRUE(t.last_need_sa);
	ack(200, -ENOENT);
	CU_ASSERT_EQUAL(rx("NTFY 2002 e/1@gw1 MGCP 1.0\r\nX: 7F\r\nO: L/hd\r\n"), DP_DROP_CONSUMED);
	CU_ASSERT(t.events == 1 && t.sends == 2); /* from the cache */
	CU_ASSERT_EQUAL(rx("rsip 2003 *@gw1 MGCP 0.1\nrm: restart\nrd: 0\nE: 900 gone\n"),
	                DP_DROP_CONSUMED);
	CU_ASSERT(t.events == 2 && t.event.verb == DP_MGCP_RSIP);
	CU_ASSERT_STRING_EQUAL(t.event.restart_method, "restart");
	CU_ASSERT_STRING_EQUAL(t.event.reason, "900 gone");
	ack(521, 0);
	CU_ASSERT_STRING_EQUAL(t.last, "521 2003 go to another agent\r\n");
	CU_ASSERT_EQUAL(
		rx("DLCX 2004 e/1@gw1 MGCP 1.0\r\nC: A1\r\nI: B2\r\nE: 902 lost\r\nP: PS=1\r\n"),
		DP_DROP_CONSUMED);
	CU_ASSERT_STRING_EQUAL(t.event.call_id, "A1");
	CU_ASSERT_STRING_EQUAL(t.event.conn_id, "B2");
	ack(250, 0);
	CU_ASSERT_STRING_EQUAL(t.last, "250 2004 deleted\r\n");
	/* not accepted above: the repeat comes up again */
	t.event_rc = -EAGAIN;
	rx("NTFY 2005 e/1@gw1 MGCP 1.0\r\nX: 7F\r\nO: L/hu\r\n");
	token = t.event.token;
	t.event_rc = 0;
	rx("NTFY 2005 e/1@gw1 MGCP 1.0\r\nX: 7F\r\nO: L/hu\r\n");
	CU_ASSERT(t.events == 5 && t.event.token != token);
	/* the controlplane died with it: comes up again under another token */
	token = t.event.token;
	dp_deliver_forget_events(d);
	ack(200, -ENOENT);
	rx("NTFY 2005 e/1@gw1 MGCP 1.0\r\nX: 7F\r\nO: L/hu\r\n");
	CU_ASSERT(t.events == 6 && t.event.token != token);
	CU_ASSERT_EQUAL(
		dp_deliver_ack(d, &(struct dp_mgcp_ack){.token = token, .code = 200}, t.now),
		-ENOENT);
	ack(200, 0);
}

static void test_answered_here(void)
{
	fresh(0, true);
	CU_ASSERT_EQUAL(rx("NTFY 1 *@gw1 MGCP 0.1\r\nX: 0\r\nO: \r\n"), DP_DROP_CONSUMED);
	CU_ASSERT_STRING_EQUAL(t.last, "200 1 OK\r\n");
	CU_ASSERT_EQUAL(t.events, 0);
	/* not quite a keep-alive */
	rx("NTFY 2 *@gw1 MGCP 0.1\r\nX: 0\r\n");
	rx("NTFY 3 *@gw1 MGCP 0.1\r\nX: 1\r\nO:\r\n");
	rx("NTFY 4 e@gw1 MGCP 0.1\r\nX: 0\r\nO:\r\n");
	CU_ASSERT(t.events == 3 && t.sends == 1);
	rx("XYZW 5 e@gw1 MGCP 1.0\r\n");
	CU_ASSERT_STRING_EQUAL(t.last, "504 5 unknown command\r\n");
	CU_ASSERT(t.events == 4 && t.event.verb == 0 && t.event.token == 0);
	rx("CRCX 6 e@gw1 MGCP 1.0\r\nC: 1\r\nM: sendrecv\r\n");
	CU_ASSERT_STRING_EQUAL(t.last, "504 6 unknown command\r\n");
	rx("NTFY 7 e@gw1 MGCP 2.0\r\nX: 1\r\nO: L/hd\r\n");
	CU_ASSERT_STRING_EQUAL(t.last, "528 7 incompatible version\r\n");
	rx("NTFY 8 e@gw1 MGCP 1.0\r\nX: 12345678901234567890123456789012A\r\nO: L/hd\r\n");
	CU_ASSERT_STRING_EQUAL(t.last, "510 8 protocol error\r\n");
	rx("NTFY 9 eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee@gw1 MGCP 1.0\r\nX: 1\r\nO: L/hd\r\n");
	CU_ASSERT_STRING_EQUAL(t.last, "500 9 unknown endpoint\r\n");
	CU_ASSERT_EQUAL(t.events, 4);
	/* two messages in one datagram: an answer and a command */
	rx("200 1 OK\r\n.\r\nNTFY 10 e@gw1 MGCP 1.0\r\nX: 1\r\nO: L/hd\r\n");
	CU_ASSERT_EQUAL(t.events, 5);
}

/* However often it asks in 30 s, it is told that we are there: keep-alives take no room of commands that are executed. */
static void test_many_keepalives(void)
{
	char text[96], want[32];

	fresh(0, true);
	for (unsigned i = 1; i <= 3 * DP_TXN_IN_MAX; i++) {
		snprintf(text, sizeof(text), "NTFY %u *@gw1 MGCP 0.1\r\nX: 0\r\nO: \r\n", i);
		snprintf(want, sizeof(want), "200 %u OK\r\n", i);
		t.last[0] = '\0';
		rx(text);
		CU_ASSERT_STRING_EQUAL(t.last, want);
	}
	CU_ASSERT(dp_deliver_stats(d)->keepalive == 3 * DP_TXN_IN_MAX && dp_deliver_stats(d)->event_full == 0);
	rx("NTFY 9999 e@gw1 MGCP 1.0\r\nX: 1\r\nO: L/hd\r\n");
	CU_ASSERT_EQUAL(t.events, 1);
}

static void test_malformed_changes_nothing(void)
{
	static const char *const good[] = {
		"NTFY 2002 e/1@gw1 MGCP 1.0\r\nX: 7F\r\nO: L/hd\r\n",
		"200 4711 OK\r\nI: 8C2\r\n\r\nv=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 18000 RTP/SAVP 0\r\n"
		"a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:" B64 "\r\n",
	};
	unsigned cuts = 0;

	for (size_t g = 0; g < 2; g++) {
		size_t n = strlen(good[g]);

		for (size_t cut = 0; cut < n; cut++) {
			struct dp_mgcp_cmd c = crcx(true);
			char text[400];
			enum dp_drop v;

			fresh(0, true);
			dp_deliver_cmd(d, &c, t.now);
			memcpy(text, good[g], cut);
			text[cut] = '\0';
			v = rx(text);
			if (cut > 0 && good[g][cut - 1] == '\n')
				continue; /* whole lines: another message, not a malformed one */
			CU_ASSERT_EQUAL(v, DP_DROP_MGCP_MALFORMED);
			CU_ASSERT(t.dones == 0 && t.events == 0 && t.sends == 1);
			CU_ASSERT_EQUAL(dp_deliver_stats(d)->malformed, 1);
			CU_ASSERT_EQUAL(dp_deliver_txn_cnt(d), 1);
			cuts++;
		}
	}
	CU_ASSERT(cuts > 150);
}

static void test_bad_commands(void)
{
	struct dp_mgcp_cmd c;

	fresh(0, true);
#define BAD(change)                                                                                \
	c = crcx(true);                                                                            \
	change;                                                                                    \
	CU_ASSERT_EQUAL(dp_deliver_cmd(d, &c, t.now), -EBADMSG)
	BAD(c.verb = 0);
	BAD(c.verb = DP_MGCP_NTFY);
	BAD(c.verb = DP_MGCP_RSIP);
	BAD(c.verb = DP_MGCP_VERB_MAX);
	BAD(c.verb = DP_MGCP_MDCX); /* no connection */
	BAD(c.verb = DP_MGCP_RQNT);
	BAD(c.verb = DP_MGCP_DLCX); /* with a description */
	BAD(c.mode = DP_MGCP_M_NONE);
	BAD(c.mode = DP_MGCP_M_MAX);
	BAD(c.endpoint[0] = '\0');
	BAD(memset(c.endpoint, 'a', sizeof(c.endpoint)));
	BAD(strcpy(c.endpoint, "a@b"));
	BAD(strcpy(c.endpoint, "a\r\nb"));
	BAD(strcpy(c.call_id, "G"));
	BAD(c.call_id[0] = '\0');
	BAD(memset(c.call_id, 'a', sizeof(c.call_id)));
	BAD(strcpy(c.events, "L/hd")); /* no X */
	BAD(strcpy(c.request_id, "1"); strcpy(c.signals, "a\nM: x"));
	BAD(strcpy(c.request_id, "1"); memset(c.events, 'a', sizeof(c.events)));
	BAD(c.media.suite = DP_SRTP_SUITE_MAX);
	BAD(c.media.addr.family = 5);
	BAD(c.media.addr.port = 0);
	BAD(c.media.addr.family = 0); /* a key for nobody */
	BAD(c.media.pt = 128);
	c = crcx(true);
	c.gw_id = 2;
	CU_ASSERT_EQUAL(dp_deliver_cmd(d, &c, t.now), -ENOENT);
	c.gw_id = UINT32_MAX;
	CU_ASSERT_EQUAL(dp_deliver_cmd(d, &c, t.now), -ENOENT);
	CU_ASSERT(t.sends == 0 && t.dones == 0 && dp_deliver_txn_cnt(d) == 0);
}

static void test_gateways(void)
{
	struct dp_gw_set set = {.gw_id = 3, .remote = gw_addr(3), .local = ca, .domain = "x"};
	struct dp_mgcp_cmd c = crcx(true);

	fresh(0, true);
	dp_deliver_cmd(d, &c, t.now);
	CU_ASSERT_EQUAL(gw_set(1, 0), 0); /* idempotent */
	CU_ASSERT(t.dones == 0 && dp_deliver_gw_cnt(d) == 1);
	CU_ASSERT_EQUAL(rx("200 4711 OK\r\nI: 1\r\n"), DP_DROP_CONSUMED);
	CU_ASSERT_EQUAL(t.dones, 1);
	dp_deliver_cmd(d, &c, t.now);
	CU_ASSERT_TRUE(dp_deliver_is_local(d, &ca));
	CU_ASSERT_EQUAL(dp_deliver_gw_del(d, 1), 0);
	CU_ASSERT(t.dones == 2 && t.done.result == DP_MGCP_CANCELED);
	CU_ASSERT_EQUAL(dp_deliver_gw_del(d, 1), -ENOENT);
	CU_ASSERT_FALSE(dp_deliver_is_local(d, &ca));
	CU_ASSERT_EQUAL(rx("200 4712 OK\r\nI: 1\r\n"), DP_DROP_MGCP_UNKNOWN);
#define BADGW(change)                                                                              \
	set = (struct dp_gw_set){.gw_id = 3, .remote = gw_addr(3), .local = ca, .domain = "x"};    \
	change;                                                                                    \
	CU_ASSERT_EQUAL(dp_deliver_gw_set(d, &set), -EBADMSG)
	BADGW(set.gw_id = DP_GW_MAX);
	BADGW(set.flags = 0x80);
	BADGW(set.remote.port = 0);
	BADGW(set.remote.family = 0);
	BADGW(set.remote.family = 6);
	BADGW(set.remote.ip[9] = 1);
	BADGW(set.domain[0] = '\0');
	BADGW(strcpy(set.domain, "a b"));
	BADGW(memset(set.domain, 'a', sizeof(set.domain)));
	for (uint32_t i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(gw_set(100 + i, 0), 0);
	CU_ASSERT_EQUAL(gw_set(200, 0), -ENOSPC);
	CU_ASSERT_EQUAL(gw_set(107, DP_GW_F_CLEAR), 0);
	for (uint32_t i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(dp_deliver_gw_del(d, 100 + i), 0);
	CU_ASSERT_EQUAL(dp_deliver_gw_cnt(d), 0);
}

static void test_overload(void)
{
	unsigned max = DP_TXN_WINDOW + DP_TXN_QUEUE;

	fresh(0, true);
	for (unsigned i = 0; i < max + 5; i++) {
		struct dp_mgcp_cmd c = crcx(true);

		snprintf(c.endpoint, sizeof(c.endpoint), "e/%u", i);
		c.handle = i;
		CU_ASSERT_EQUAL(dp_deliver_cmd(d, &c, t.now), 0);
		if (i >= max)
			CU_ASSERT(t.done.result == DP_MGCP_OVERLOAD && t.done.handle == i);
	}
	CU_ASSERT_EQUAL(t.dones, 5);
	CU_ASSERT(t.sends >= DP_TXN_WINDOW - 8 && t.sends <= DP_TXN_WINDOW);
	dp_deliver_gw_del(d, 1);
	CU_ASSERT_EQUAL(t.dones, max + 5);
}

/* Commands of one endpoint wait for each other; the answer of the first starts the second. */
static void test_order(void)
{
	struct dp_mgcp_cmd c = crcx(false), del = crcx(false);

	fresh(0, true);
	dp_deliver_cmd(d, &c, t.now);
	del.verb = DP_MGCP_DLCX;
	del.mode = 0;
	memset(&del.media, 0, sizeof(del.media));
	del.endpoint[0] = 's'; /* names know no case */
	dp_deliver_cmd(d, &del, t.now);
	CU_ASSERT_EQUAL(t.sends, 1);
	rx("200 4711 OK\r\nI: 1\r\n");
	CU_ASSERT_EQUAL(t.sends, 2);
	CU_ASSERT_EQUAL(strncmp(t.last,
	                        "DLCX 4712 s0/SU0/DS1-0/1@gw1 MGCP 1.0\r\nK: 4711\r\nC: A1B2\r\n",
	                        55),
	                0);
	strcpy(c.endpoint, "rtpbridge/*");
	dp_deliver_cmd(d, &c, t.now);
	dp_deliver_cmd(d, &c, t.now);
	CU_ASSERT_EQUAL(t.sends, 4);
}

/* --- fail closed --- */

/*
 * Keys are drawn with a marker at the start of key and salt, whose raw, hex and base64 forms (the
 * salt's also as it stands in the middle of an inline key) can be looked for in every byte that
 * leaves.
 */
#define MARK_KEY  "\xc7\x5e\x91\x0d\xf3\x28"
#define MARK_SALT "\x9a\x61\xee\x14\xb8\x77"
static const char *const marks[] = {MARK_KEY,       MARK_SALT,      "c75e910df328", "C75E910DF328",
                                    "9a61ee14b877", "9A61EE14B877", "x16RDfMo",     "mmHuFLh3",
                                    "7hS4",         "crypto",       "inline",       "SAVP"};

static struct {
	char text[256];
	uint64_t at;
	uint32_t gw;
	bool in_sa;
} wire[4096];
static unsigned wire_cnt, leaked, keyed_in_sa, clear_msgs, results[16];
static uint8_t *done_cnt;
static bool sa_up[8];
static uint64_t fc_now, fc_rnd;

static uint32_t rnd(uint32_t below)
{
	fc_rnd ^= fc_rnd << 13;
	fc_rnd ^= fc_rnd >> 7;
	fc_rnd ^= fc_rnd << 17;
	return (uint32_t)(fc_rnd >> 20) % below;
}

static int fc_send(void *ctx, uint32_t gw_id, const struct dp_sockaddr *from,
                   const struct dp_sockaddr *to, const uint8_t *payload, uint16_t len, bool need_sa)
{
	static struct dp_mgcp_msg m;
	bool marked = false;
	size_t used;

	(void)ctx;
	(void)from;
	(void)to;
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		marked = marked || memmem(payload, len, marks[i], strlen(marks[i])) != NULL;
	if (!sa_up[gw_id]) { /* whatever is done with it next: it was given in clear */
		leaked += marked;
		clear_msgs++;
		if (need_sa)
			return -ENOKEY;
	} else {
		keyed_in_sa += marked;
	}
	if (rnd(20) == 0)
		return -EAGAIN;
	if (dp_mgcp_parse(payload, len, &m, &used) < 0 || !m.command || rnd(4) == 0 ||
	    wire_cnt == 4096)
		return 0; /* lost */
	snprintf(wire[wire_cnt].text, sizeof(wire[0].text),
	         rnd(10) == 0 ? "100 %u wait\r\n" : "200 %u OK\r\nI: 1\r\n", m.tid);
	wire[wire_cnt].at = fc_now + rnd(400000);
	wire[wire_cnt].in_sa = sa_up[gw_id];
	wire[wire_cnt++].gw = gw_id;
	return 0;
}

static bool fc_live(void *ctx, uint32_t gw_id)
{
	(void)ctx;
	return sa_up[gw_id];
}

static void fc_done(void *ctx, const struct dp_mgcp_done *done)
{
	(void)ctx;
	done_cnt[done->handle]++;
	results[done->result]++;
}

static void test_fails_closed(void)
{
	static const struct dp_deliver_ops fc_ops = {fc_send, fc_live, fc_done, t_event, 99, 0, 0, NULL, NULL, 0};
	unsigned n = 100000;
	bool missing = false;

	fresh(0, false);
	dp_deliver_destroy(d);
	d = dp_deliver_create(&fc_ops, NULL, 8, 512);
	for (uint32_t g = 0; g < 8;
	     g++) /* every gateway setting except the one that allows keys in clear */
		gw_set(g, (uint8_t)((g & 1 ? DP_GW_F_CLEAR : 0) | (g & 2 ? DP_GW_F_X_CRYPTO : 0)));
	done_cnt = calloc(n, 1);
	fc_now = 1 * S;
	fc_rnd = 88172645463325252ull;
	for (unsigned i = 0; i < n || dp_deliver_txn_cnt(d) > 0; i++) {
		if (i < n) {
			struct dp_mgcp_cmd c = crcx(rnd(4) != 0);

			c.handle = i;
			c.gw_id = rnd(8);
			snprintf(c.endpoint, sizeof(c.endpoint), "e/%u", rnd(200));
			if (c.media.suite != DP_SRTP_NONE) {
				for (int k = 0; k < 16; k++)
					c.media.key[k] = (uint8_t)rnd(256);
				for (int k = 0; k < 14; k++)
					c.media.salt[k] = (uint8_t)rnd(256);
				memcpy(c.media.key, MARK_KEY, 6);
				memcpy(c.media.salt, MARK_SALT, 6);
			}
			if (rnd(2)) {
				c.verb = DP_MGCP_MDCX;
				strcpy(c.conn_id, "1");
			}
			CU_ASSERT_EQUAL(dp_deliver_cmd(d, &c, fc_now), 0);
		}
		if (rnd(8) == 0)
			sa_up[rnd(8)] ^= 1;
		fc_now += i < n ? rnd(3000) : 100000;
		dp_deliver_tick(d, fc_now);
		for (unsigned w = 0; w < wire_cnt;) {
			struct dp_sockaddr from = gw_addr(wire[w].gw);

			if (wire[w].at > fc_now) {
				w++;
				continue;
			}
			dp_deliver_rx(d, (const uint8_t *)wire[w].text,
			              (uint16_t)strlen(wire[w].text), &from, &ca, wire[w].in_sa,
			              wire[w].in_sa ? wire[w].gw : UINT32_MAX, fc_now);
			wire[w] = wire[--wire_cnt];
		}
	}
	CU_ASSERT_EQUAL(leaked, 0);
	CU_ASSERT(keyed_in_sa > 10000); /* the search finds keys where they are */
	CU_ASSERT(clear_msgs > 1000);
	CU_ASSERT(results[DP_MGCP_ANSWERED] > 1000 && results[DP_MGCP_NO_SA] > 1000);
	for (unsigned i = 0; i < n; i++)
		missing = missing || done_cnt[i] != 1;
	CU_ASSERT_FALSE(missing);
	free(done_cnt);
}

static int teardown(void)
{
	dp_deliver_destroy(d);
	return 0;
}

static CU_TestInfo tests[] = {
	{"CRCX on the wire", test_crcx_on_the_wire},
	{"the other commands", test_other_commands},
	{"answers", test_answers},
	{"what may go in clear, all combinations", test_policy_matrix},
	{"an SA that dies before a repeat", test_sa_dies_before_a_repeat},
	{"a key that came in clear is not used", test_key_in_clear_answer},
	{"who may speak", test_who_may_speak},
	{"the endpoint that was chosen", test_specific_endpoint},
	{"events wait for their acknowledgement", test_events},
	{"answered by the worker", test_answered_here},
	{"many keep-alives", test_many_keepalives},
	{"malformed input changes nothing", test_malformed_changes_nothing},
	{"bad commands", test_bad_commands},
	{"gateways come and go", test_gateways},
	{"overload", test_overload},
	{"order", test_order},
	{"fails closed: 100,000 commands, SAs up and down", test_fails_closed},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("deliver", tests, NULL, teardown)
