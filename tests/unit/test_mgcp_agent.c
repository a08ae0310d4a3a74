/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/mgcp: the call agent as its gateways see it: which dialect it speaks to whom, what it asks and what of the answers
 * goes up, messages that share a datagram, overload, identifiers over restarts, keep-alives, and 2,000 malformed messages.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "mgcp/deliver.h"
#include "mgcp/msg.h"
#include "mgcp/pkg.h"

#define MS 1000ull
#define S  1000000ull

static struct {
	uint64_t now;
	bool sa;
	int text_rc, heard_rc;
	unsigned sends, dones, events, heards, texts;
	char last[DP_MGCP_DATAGRAM_MAX + 1];
	uint16_t last_port;
	struct dp_mgcp_done done;
	struct dp_mgcp_event event[64];
	struct dp_gw_heard heard;
	char text[DP_MGCP_DATAGRAM_MAX];
	uint16_t text_len;
} t;
static struct dp_deliver *d;

static int t_send(void *ctx, uint32_t gw_id, const struct dp_sockaddr *from, const struct dp_sockaddr *to, const uint8_t *payload,
                  uint16_t len, bool need_sa)
{
	(void)ctx;
	(void)gw_id;
	(void)to;
	if (need_sa && !t.sa)
		return -ENOKEY;
	memcpy(t.last, payload, len);
	t.last[len] = '\0';
	t.last_port = from->port;
	t.sends++;
	return 0;
}

static bool t_live(void *ctx, uint32_t gw_id)
{
	(void)ctx;
	(void)gw_id;
	return t.sa;
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
	t.event[t.events++ % 64] = *event;
	return 0;
}

static int t_text(void *ctx, const struct dp_mgcp_text *text)
{
	(void)ctx;
	if (t.text_rc < 0)
		return t.text_rc;
	CU_ASSERT(text->off == t.text_len && text->len > 0 && text->len <= DP_MGCP_TEXT_MAX && text->handle == 77);
	memcpy(t.text + t.text_len, text->text, text->len);
	t.text_len = (uint16_t)(t.text_len + text->len);
	t.texts++;
	return 0;
}

static int t_heard(void *ctx, const struct dp_gw_heard *heard)
{
	(void)ctx;
	if (t.heard_rc < 0)
		return t.heard_rc;
	t.heard = *heard;
	t.heards++;
	return 0;
}

static const struct dp_sockaddr gw1 = {.ip = {10, 0, 1, 1}, .port = 2427, .family = 4};

static struct dp_sockaddr agent(uint16_t port)
{
	return (struct dp_sockaddr){.ip = {10, 0, 0, 1}, .port = port, .family = 4};
}

static int set(uint8_t flags, uint16_t other_port, uint8_t keepalive_s)
{
	struct dp_gw_set gw = {.gw_id = 1, .flags = flags, .remote = gw1, .local = agent(2727), .domain = "gw1",
	                       .other_port = other_port, .keepalive_s = keepalive_s, .notified = "ca2@other.example:2727"};

	return dp_deliver_gw_set(d, &gw);
}

static void fresh(uint8_t flags, uint16_t other_port, uint8_t keepalive_s)
{
	static const struct dp_deliver_ops ops = {.send = t_send, .sa_live = t_live, .done = t_done, .event = t_event, .seed = 4710,
	                                          .text = t_text, .heard = t_heard};

	dp_deliver_destroy(d);
	memset(&t, 0, sizeof(t));
	t.now = 5 * S;
	t.sa = true;
	d = dp_deliver_create(&ops, NULL, 4, 400);
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	CU_ASSERT_EQUAL(set(flags, other_port, keepalive_s), 0);
}

static enum dp_drop rx_n(const char *text, size_t n, uint16_t port)
{
	uint8_t *copy = malloc(n + (n == 0)); /* exact size */
	struct dp_sockaddr to = agent(port);
	enum dp_drop v;

	memcpy(copy, text, n);
	v = dp_deliver_rx(d, copy, (uint16_t)n, &gw1, &to, true, 1, t.now);
	free(copy);
	return v;
}

static enum dp_drop rx_to(const char *text, uint16_t port)
{
	return rx_n(text, strlen(text), port);
}

static enum dp_drop rx(const char *text)
{
	return rx_n(text, strlen(text), 2727);
}

static struct dp_mgcp_cmd crcx(void)
{
	return (struct dp_mgcp_cmd){.handle = 7, .gw_id = 1, .verb = DP_MGCP_CRCX, .mode = DP_MGCP_M_SENDRECV, .endpoint = "e/1",
	                            .call_id = "A1",
	                            .media = {.addr = {.ip = {10, 0, 0, 9}, .port = 16384, .family = 4},
	                                      .suite = DP_AES_CM_128_HMAC_SHA1_80, .tag = 1}};
}

static struct dp_mgcp_ask ask(uint8_t verb, const char *params)
{
	struct dp_mgcp_ask a = {.handle = 77, .gw_id = 1, .verb = verb, .endpoint = "e/1"};

	strcpy(a.params, params);
	return a;
}

/* The transaction that was sent last. */
static unsigned tid(void)
{
	return (unsigned)strtoul(t.last + 5, NULL, 10);
}

static enum dp_drop say(const char *code, const char *rest)
{
	static char text[DP_MGCP_DATAGRAM_MAX];

	snprintf(text, sizeof(text), "%s %u %s", code, tid(), rest);
	return rx(text);
}

#define SDP_X "\nI: 8C2\n\nv=0\nc=IN IP4 192.0.2.7\nm=audio 18000 RTP/SAVP 0\na=X-crypto:AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz||\n"
#define SDP_R "\nI: 8C2\n\nv=0\nc=IN IP4 192.0.2.7\nm=audio 18000 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\n"

static void speaks(const char *version, const char *form, uint16_t port)
{
	struct dp_mgcp_cmd c = crcx();

	t.last[0] = '\0';
	CU_ASSERT_EQUAL(dp_deliver_cmd(d, &c, t.now), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(t.last, version));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.last, form));
	CU_ASSERT_EQUAL(t.last_port, port);
	CU_ASSERT_EQUAL(say("502", "no\n"), DP_DROP_CONSUMED);
}

/* So long that what it speaks is told, unless it was. */
static void settle(void)
{
	t.now += 11 * S;
	dp_deliver_tick(d, t.now);
}

/* Now so, now so: what it says is answered, and told when it has settled. */
static void test_turns(void)
{
	char text[64];

	fresh(DP_GW_F_AUTO, 2427, 0);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "NTFY %u *@gw1 MGCP %s\nX: 0\nO:\n", i + 1, i % 2 == 0 ? "0.1" : "1.0");
		CU_ASSERT_EQUAL(rx_to(text, i % 4 < 2 ? 2427 : 2727), DP_DROP_CONSUMED);
		t.now += S / 10;
		dp_deliver_tick(d, t.now);
	}
	CU_ASSERT_EQUAL(t.heards, 1);
	CU_ASSERT_EQUAL(t.sends, 1000);
	settle();
	CU_ASSERT(t.heards == 2 && t.heard.flags == DP_GW_F_X_CRYPTO && t.heard.port == 2727);
	/* each 5 s is steady enough: told, but not each time */
	for (unsigned i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "NTFY %u *@gw1 MGCP %s\nX: 0\nO:\n", i + 2000, i % 2 == 0 ? "0.1" : "1.0");
		rx(text);
		for (unsigned k = 0; k < 5; k++) {
			t.now += S;
			dp_deliver_tick(d, t.now);
		}
	}
	CU_ASSERT(t.heards > 2 && t.heards <= 2 + 200 / 10);
	/* who sets it does not know: told again, and only then */
	settle();
	t.heards = 0;
	CU_ASSERT_EQUAL(set(DP_GW_F_AUTO, 2427, 0), 0);
	settle();
	CU_ASSERT_EQUAL(t.heards, 1);
	CU_ASSERT_EQUAL(set(DP_GW_F_AUTO | DP_GW_F_X_CRYPTO, 2427, 0), 0);
	settle();
	CU_ASSERT_EQUAL(t.heards, 1);
}

/* A dialect that is set stays; 'auto' follows version token, keep-alive, port and description, is told, and outlives being set again. */
static void test_dialects(void)
{
	struct dp_mgcp_cmd c = crcx();

	fresh(0, 0, 0);
	rx("NTFY 1 *@gw1 MGCP 0.1\nX: 0\nO:\n");
	CU_ASSERT_STRING_EQUAL(t.last, "200 1 OK\r\n");
	speaks(" MGCP 1.0\r\n", "\r\na=crypto:1 ", 2727);
	CU_ASSERT_EQUAL(rx_to("NTFY 2 *@gw1 MGCP 1.0\nX: 0\nO:\n", 2427), DP_DROP_SOURCE); /* not a port for it */
	CU_ASSERT_EQUAL(t.heards, 0);

	fresh(DP_GW_F_AUTO, 2427, 0);
	speaks(" MGCP 1.0\r\n", "\r\na=crypto:1 ", 2727); /* nothing heard yet: as it was set */
	rx("NTFY 1 *@gw1 MGCP 0.1\nX: 0\nO:\n");
	CU_ASSERT(t.heards == 1 && t.heard.kind == DP_GW_HEARD_DIALECT && t.heard.gw_id == 1 && t.heard.port == 2727);
	CU_ASSERT_EQUAL(t.heard.flags, DP_GW_F_MGCP_01 | DP_GW_F_X_CRYPTO);
	speaks(" MGCP 0.1\r\n", "\r\na=X-crypto:", 2727);
	CU_ASSERT_EQUAL(rx_to("NTFY 2 *@gw1 MGCP 0.1\nX: 0\nO:\n", 2427), DP_DROP_CONSUMED);
	CU_ASSERT_EQUAL(t.last_port, 2427); /* the answer goes from where it asked */
	settle();
	CU_ASSERT(t.heards == 2 && t.heard.port == 2427);
	CU_ASSERT_EQUAL(rx_to("NTFY 3 *@gw1 MGCP 0.1\nX: 0\nO:\n", 2427), DP_DROP_CONSUMED);
	settle();
	CU_ASSERT_EQUAL(t.heards, 2); /* said once */
	/* an answer to what left from the other port a moment ago */
	CU_ASSERT_EQUAL(dp_deliver_cmd(d, &c, t.now), 0);
	CU_ASSERT_EQUAL(t.last_port, 2427);
	CU_ASSERT_EQUAL(say("200", "OK" SDP_R), DP_DROP_CONSUMED);
	CU_ASSERT(t.done.result == DP_MGCP_ANSWERED && t.heards == 2);
	settle();
	CU_ASSERT_EQUAL(t.heards, 3); /* its port, and the form of its description */
	CU_ASSERT(t.heard.port == 2727 && t.heard.flags == DP_GW_F_MGCP_01);
	rx_to("NTFY 4 *@gw1 MGCP 0.1\nX: 0\nO:\n", 2427);
	settle();
	CU_ASSERT(t.heards == 4 && t.heard.port == 2427 && t.heard.flags == DP_GW_F_MGCP_01); /* a description is the better witness */
	/* set again by somebody who was not told: what was heard stays */
	CU_ASSERT_EQUAL(set(DP_GW_F_AUTO, 2427, 0), 0);
	CU_ASSERT_EQUAL(dp_deliver_cmd(d, &c, t.now), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(t.last, " MGCP 0.1\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.last, "\r\na=crypto:1 "));
	CU_ASSERT_EQUAL(t.last_port, 2427);
	say("200", "OK" SDP_X);
	settle();
	CU_ASSERT_EQUAL(t.heard.flags, DP_GW_F_MGCP_01 | DP_GW_F_X_CRYPTO);
	rx("NTFY 5 e/1@gw1 MGCP 1.0\nX: 1\nO: L/hd\n"); /* it was changed for another */
	settle();
	CU_ASSERT_EQUAL(t.heard.flags, DP_GW_F_X_CRYPTO);
	CU_ASSERT_EQUAL(set(0, 0, 0), 0); /* not auto any more */
	speaks(" MGCP 1.0\r\n", "\r\na=crypto:1 ", 2727);
	/* what could not be told is told later */
	fresh(DP_GW_F_AUTO, 2427, 0);
	t.heard_rc = -EAGAIN;
	rx("RSIP 1 *@gw1 MGCP 0.1\nRM: restart\n");
	CU_ASSERT_EQUAL(t.heards, 0);
	t.heard_rc = 0;
	dp_deliver_tick(d, t.now);
	CU_ASSERT(t.heards == 1 && t.heard.flags == (DP_GW_F_MGCP_01 | DP_GW_F_X_CRYPTO));
	/* bad ones are not set */
	CU_ASSERT_EQUAL(set(0, 2427, 0), -EBADMSG);
	CU_ASSERT_EQUAL(set(DP_GW_F_AUTO, 2727, 0), -EBADMSG);
	CU_ASSERT_TRUE(dp_deliver_is_local(d, &(struct dp_sockaddr){.ip = {10, 0, 0, 1}, .port = 2427, .family = 4}));
	dp_deliver_gw_del(d, 1);
	CU_ASSERT_FALSE(dp_deliver_is_local(d, &(struct dp_sockaddr){.ip = {10, 0, 0, 1}, .port = 2427, .family = 4}));
	/* who may not speak teaches nothing */
	fresh(DP_GW_F_AUTO, 2427, 0);
	CU_ASSERT_EQUAL(dp_deliver_rx(d, (const uint8_t *)"NTFY 1 *@gw1 MGCP 0.1\nX: 0\nO:\n", sizeof("NTFY 1 *@gw1 MGCP 0.1\nX: 0\nO:\n") - 1, &gw1, &(struct dp_sockaddr){.ip = {10, 0, 0, 1}, .port = 2727, .family = 4},
	                              false, UINT32_MAX, t.now),
	                DP_DROP_POLICY);
	CU_ASSERT_EQUAL(t.heards, 0);
}

static void test_keepalives(void)
{
	fresh(0, 0, 15);
	for (unsigned i = 0; i < 10; i++) {
		char text[64];

		snprintf(text, sizeof(text), "NTFY %u *@gw1 MGCP 0.1\nX: 0\nO:\n", i + 1);
		rx(text);
		t.now += 15 * S;
		dp_deliver_tick(d, t.now);
	}
	CU_ASSERT(t.heards == 0 && dp_deliver_stats(d)->keepalive == 10);
	t.now += 29 * S;
	dp_deliver_tick(d, t.now);
	CU_ASSERT_EQUAL(t.heards, 0);
	t.now += 2 * S;
	dp_deliver_tick(d, t.now);
	CU_ASSERT(t.heards == 1 && t.heard.kind == DP_GW_HEARD_SILENT);
	t.now += 100 * S;
	dp_deliver_tick(d, t.now);
	CU_ASSERT_EQUAL(t.heards, 1);
	rx("NTFY 99 e/1@gw1 MGCP 0.1\nX: 1\nO: L/hd\n"); /* whatever it says */
	CU_ASSERT(t.heards == 2 && t.heard.kind == DP_GW_HEARD_BACK);
	fresh(0, 0, 0); /* none expected */
	dp_deliver_tick(d, t.now);
	dp_deliver_tick(d, t.now + 1000 * S);
	CU_ASSERT_EQUAL(t.heards, 0);
}

static void test_asks(void)
{
	static const struct {
		uint8_t verb;
		const char *call, *conn, *request, *params, *wire;
	} cases[] = {
		{DP_MGCP_EPCF, "", "", "", "B: e:A\n", "EPCF 4711 e/1@gw1 MGCP 1.0\r\nB: e:A\r\n"},
		{DP_MGCP_RQNT, "", "", "7F", "R: L/hd(N), D/[0-9#*T](D)\nS: L/dl\nD: (0T|00T|xxxx)\nQ: loop\nT: L/hf\nN: ca@x:2727\n",
		 "RQNT 4711 e/1@gw1 MGCP 1.0\r\nX: 7F\r\nR: L/hd(N), D/[0-9#*T](D)\r\nS: L/dl\r\nD: (0T|00T|xxxx)\r\nQ: loop\r\nT: L/hf\r\nN: ca@x:2727\r\n"},
		{DP_MGCP_RQNT, "", "", "0", "", "RQNT 4711 e/1@gw1 MGCP 1.0\r\nX: 0\r\n"},
		{DP_MGCP_DLCX, "A1", "B2", "7F", "R: L/hd(N)\n", "DLCX 4711 e/1@gw1 MGCP 1.0\r\nC: A1\r\nI: B2\r\nX: 7F\r\nR: L/hd(N)\r\n"},
		{DP_MGCP_AUEP, "", "", "", "F: A,I,RM,RD\n", "AUEP 4711 e/1@gw1 MGCP 1.0\r\nF: A,I,RM,RD\r\n"},
		{DP_MGCP_AUCX, "", "B2", "", "F: C,N,L,M,P\n", "AUCX 4711 e/1@gw1 MGCP 1.0\r\nI: B2\r\nF: C,N,L,M,P\r\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dp_mgcp_ask a = ask(cases[i].verb, cases[i].params);

		fresh(0, 0, 0);
		strcpy(a.call_id, cases[i].call);
		strcpy(a.conn_id, cases[i].conn);
		strcpy(a.request_id, cases[i].request);
		CU_ASSERT_EQUAL(dp_deliver_ask(d, &a, t.now), 0);
		CU_ASSERT_STRING_EQUAL(t.last, cases[i].wire);
		CU_ASSERT_EQUAL(say("200", "OK\n"), DP_DROP_CONSUMED);
		CU_ASSERT(t.dones == 1 && t.done.handle == 77 && t.done.verb == a.verb && t.done.code == 200);
	}
	fresh(0, 0, 0);
#define BAD(rc, verb, params, ...)                                                                 \
	{                                                                                          \
		struct dp_mgcp_ask a = ask(verb, params);                                          \
		__VA_ARGS__;                                                                       \
		CU_ASSERT_EQUAL(dp_deliver_ask(d, &a, t.now), rc);                                 \
	}
	BAD(-EBADMSG, DP_MGCP_CRCX, "", (void)0)
	BAD(-EBADMSG, DP_MGCP_NTFY, "", (void)0)
	BAD(-EBADMSG, DP_MGCP_RQNT, "", (void)0)                               /* no X */
	BAD(-EBADMSG, DP_MGCP_RQNT, "R: L/hd(N)", strcpy(a.request_id, "1"))   /* no end of line */
	BAD(-EBADMSG, DP_MGCP_AUCX, "", (void)0)                               /* no I */
	BAD(-EBADMSG, DP_MGCP_DLCX, "R: L/hd(N)\n", (void)0)                   /* no X */
	BAD(-EBADMSG, DP_MGCP_DLCX, "", strcpy(a.conn_id, "1"))                /* no C */
	BAD(-EBADMSG, DP_MGCP_AUEP, "", strcpy(a.call_id, "1"))
	BAD(-EBADMSG, DP_MGCP_AUEP, "", strcpy(a.endpoint, "e 1"))
	BAD(-ENOTSUP, DP_MGCP_RQNT, "R: FXR/t38(N)\n", strcpy(a.request_id, "1"))
	BAD(-ENOTSUP, DP_MGCP_AUCX, "F: LC\n", strcpy(a.conn_id, "1"))
	BAD(-ENOENT, DP_MGCP_AUEP, "", a.gw_id = 3)
	CU_ASSERT(t.sends == 0 && t.dones == 0 && dp_deliver_txn_cnt(d) == 0);
	/* the same for the lists inside CRCX */
	{
		struct dp_mgcp_cmd c = crcx();

		strcpy(c.request_id, "1");
		strcpy(c.events, "FXR/t38(N)");
		CU_ASSERT_EQUAL(dp_deliver_cmd(d, &c, t.now), -EBADMSG);
		strcpy(c.events, "L/hd(N)");
		strcpy(c.signals, "L/nosuch");
		CU_ASSERT_EQUAL(dp_deliver_cmd(d, &c, t.now), -EBADMSG);
	}
}

/* What an audit answers goes up whole, in pieces, before its result; keys of descriptions do not. */
static void test_audit_answers(void)
{
	static char big[3900], want[4000];
	struct dp_mgcp_ask a = ask(DP_MGCP_AUEP, "F: A,I\n"), c = ask(DP_MGCP_AUCX, "F: C,P,M\n");
	size_t n = 0, w = 0;

	fresh(0, 0, 0);
	dp_deliver_ask(d, &a, t.now);
	say("200", "OK\r\nA: a:PCMU, v:L;SRTP, m:sendrecv\r\nI: 1,2\r\nK:\r\nLC: x\r\nX-\tbad: 1\r\n");
	CU_ASSERT_EQUAL(t.dones, 0); /* that was malformed: a blank in a name */
	say("200", "OK\r\nA: a:PCMU, v:L;SRTP, m:sendrecv\r\nI: 1,2\r\nK: 1\r\nLC: x\r\nES: L/hd\r\n");
	CU_ASSERT(t.dones == 1 && t.texts == 1 && t.done.text_len == t.text_len);
	CU_ASSERT_STRING_EQUAL(t.text, "A: a:PCMU, v:L;SRTP, m:sendrecv\nI: 1,2\nES: L/hd\n");
	/* 40 endpoints of a wildcard */
	fresh(0, 0, 0);
	strcpy(a.endpoint, "*");
	dp_deliver_ask(d, &a, t.now);
	n += (size_t)sprintf(big, "OK\r\n");
	for (unsigned i = 0; i < 40; i++) {
		n += (size_t)sprintf(big + n, "Z: S0/SU0/DS1-0/some-rather-long-name-of-an-endpoint/%u@gw1\r\n", i);
		w += (size_t)sprintf(want + w, "Z: S0/SU0/DS1-0/some-rather-long-name-of-an-endpoint/%u@gw1\n", i);
	}
	say("200", big);
	CU_ASSERT(t.dones == 1 && t.texts == (w + DP_MGCP_TEXT_MAX - 1) / DP_MGCP_TEXT_MAX && t.texts > 3 && t.done.text_len == w && t.text_len == w);
	CU_ASSERT_EQUAL(memcmp(t.text, want, w), 0);
	/* pieces that found no room: seen by the length */
	fresh(0, 0, 0);
	dp_deliver_ask(d, &a, t.now);
	t.text_rc = -EAGAIN;
	say("200", big);
	CU_ASSERT(t.dones == 1 && t.texts == 0 && t.done.text_len == w && t.done.result == DP_MGCP_ANSWERED);
	/* a connection: parameters parsed; a description in it stays down here */
	fresh(0, 0, 0);
	strcpy(c.conn_id, "8C2");
	dp_deliver_ask(d, &c, t.now);
	say("200", "OK\nC: A1\nM: sendrecv\nP: PS=10, OS=1600, PR=9, OR=1440, PL=1, JI=3, LA=20\n\nv=0\nc=IN IP4 192.0.2.7\n"
		   "m=audio 18000 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\n");
	CU_ASSERT(t.dones == 1 && t.done.stat.have == 0x7f && t.done.stat.value[DP_MGCP_PL] == 1 && t.done.stat.value[DP_MGCP_LA] == 20);
	CU_ASSERT_PTR_NULL(strstr(t.text, "WVNf"));
	CU_ASSERT_EQUAL(t.done.media.addr.family, 0);
	/* refused ones have no text */
	fresh(0, 0, 0);
	dp_deliver_ask(d, &a, t.now);
	say("500", "no\nZ: a@gw1\n");
	CU_ASSERT(t.dones == 1 && t.texts == 0 && t.done.code == 500 && t.done.text_len == 0);
}

static void test_events_of_gateways(void)
{
	struct dp_mgcp_ack ack = {.code = 521};

	fresh(0, 0, 0);
	rx("DLCX 31 e/1@gw1 MGCP 1.0\nC: A1\nI: B2\nE: 902 lower layer\nP: PS=5, OS=800, PL=2\n");
	CU_ASSERT(t.events == 1 && t.event[0].tid == 31 && t.event[0].stat.have == 0x13 && t.event[0].stat.value[DP_MGCP_PL] == 2);
	CU_ASSERT_STRING_EQUAL(t.event[0].reason, "902 lower layer");
	rx("RSIP 32 *@gw1 MGCP 1.0\nRM: graceful\nRD: 300\n");
	CU_ASSERT(t.events == 2 && t.event[1].tid == 32 && t.event[1].delay_s == 300 && t.event[1].stat.have == 0);
	/* to another agent, and the same to each repeat */
	ack.token = t.event[1].token;
	CU_ASSERT_EQUAL(dp_deliver_ack(d, &ack, t.now), 0);
	CU_ASSERT_STRING_EQUAL(t.last, "521 32 go to another agent\r\nN: ca2@other.example:2727\r\n");
	t.last[0] = '\0';
	rx("RSIP 32 *@gw1 MGCP 1.0\nRM: graceful\nRD: 300\n");
	CU_ASSERT_STRING_EQUAL(t.last, "521 32 go to another agent\r\nN: ca2@other.example:2727\r\n");
	CU_ASSERT_EQUAL(t.events, 2);
}

/* Whom an endpoint is to notify: in RQNT, CRCX and MDCX, at the port that the gateway speaks to; and whom it says it does. */
static void test_notified_entity(void)
{
	struct dp_gw_set gw = {.gw_id = 1, .flags = DP_GW_F_AUTO, .remote = gw1, .local = agent(2727), .other_port = 2427, .domain = "gw1",
	                       .agent = "ca1@[10.0.0.1]"};
	struct dp_mgcp_cmd c = crcx();
	struct dp_mgcp_ask a = ask(DP_MGCP_RQNT, "D: (0T|xxxx)\nR: D/[0-9*#T](D)\n");

	fresh(0, 0, 0);
	CU_ASSERT_EQUAL(dp_deliver_gw_set(d, &gw), 0);
	CU_ASSERT_EQUAL(dp_deliver_cmd(d, &c, t.now), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(t.last, "\r\nN: ca1@[10.0.0.1]:2727\r\n"));
	a.request_id[0] = '1';
	CU_ASSERT_EQUAL(dp_deliver_ask(d, &a, t.now), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(t.last, "\r\nN: ca1@[10.0.0.1]:2727\r\n"));
	/* it speaks to the other port: notifications go there, too */
	CU_ASSERT_EQUAL(rx_to("NTFY 5 *@gw1 MGCP 0.1\nX: 0\nO: \n", 2427), DP_DROP_CONSUMED);
	c.verb = DP_MGCP_RQNT;
	memset(&c.media, 0, sizeof(c.media));
	c.mode = DP_MGCP_M_NONE;
	c.call_id[0] = '\0';
	strcpy(c.request_id, "2");
	strcpy(c.endpoint, "e/9");
	CU_ASSERT_EQUAL(dp_deliver_cmd(d, &c, t.now), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(t.last, " MGCP 0.1\r\nN: ca1@[10.0.0.1]:2427\r\n"));
	/* in nothing else, and not twice */
	a = ask(DP_MGCP_AUEP, "F: N\n");
	strcpy(a.endpoint, "e/10");
	CU_ASSERT_EQUAL(dp_deliver_ask(d, &a, t.now), 0);
	CU_ASSERT_PTR_NULL(strstr(t.last, "N: ca1"));
	a = ask(DP_MGCP_RQNT, "N: ca2@[10.0.0.2]:2727\n");
	strcpy(a.endpoint, "e/11");
	strcpy(a.request_id, "3");
	CU_ASSERT_EQUAL(dp_deliver_ask(d, &a, t.now), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(t.last, "N: ca2@[10.0.0.2]:2727\r\n"));
	CU_ASSERT_PTR_NULL(strstr(t.last, "ca1"));
	/* not set: not said */
	fresh(0, 0, 0);
	c = crcx();
	CU_ASSERT_EQUAL(dp_deliver_cmd(d, &c, t.now), 0);
	CU_ASSERT_PTR_NULL(strstr(t.last, "N:"));
	/* what it names goes up, cut to what there is room for */
	rx("NTFY 41 e/1@gw1 MGCP 1.0\nN: ca2@[10.0.0.2]:2727\nX: A0\nO: L/hd\n");
	CU_ASSERT_STRING_EQUAL(t.event[0].notified, "ca2@[10.0.0.2]:2727");
	rx("NTFY 42 e/1@gw1 MGCP 1.0\nN: 0123456789012345678901234567890123456789012345678901234567890123456789\nX: A0\nO: L/hd\n");
	CU_ASSERT_EQUAL(strlen(t.event[1].notified), DP_MGCP_NAME_MAX - 1);
	rx("NTFY 43 e/1@gw1 MGCP 1.0\nX: A0\nO: L/hd\n");
	CU_ASSERT_STRING_EQUAL(t.event[2].notified, "");
	/* refused: what could not stand in a line */
	strcpy(gw.agent, "a b");
	CU_ASSERT_EQUAL(dp_deliver_gw_set(d, &gw), -EBADMSG);
	memset(gw.agent, 'x', sizeof(gw.agent));
	CU_ASSERT_EQUAL(dp_deliver_gw_set(d, &gw), -EBADMSG);
}

/* Several messages in a datagram: read in order and not without end; written in order, without keys, and not without end. */
static void test_piggyback(void)
{
	static char text[DP_MGCP_DATAGRAM_MAX];
	struct dp_mgcp_ask a = ask(DP_MGCP_AUEP, "");
	struct dp_mgcp_cmd c = crcx();
	struct dp_mgcp_ack ack = {.code = 200};
	size_t n = 0;
	const char *p;
	unsigned msgs = 0;

	fresh(0, 0, 0);
	for (unsigned i = 0; i < 3; i++)
		n += (size_t)sprintf(text + n, "%sNTFY %u e/%u@gw1 MGCP 1.0\r\nX: 1\r\nO: L/hd\r\n", i > 0 ? ".\r\n" : "", 10 + i, i);
	CU_ASSERT_EQUAL(rx(text), DP_DROP_CONSUMED);
	CU_ASSERT(t.events == 3 && t.event[0].tid == 10 && t.event[1].tid == 11 && t.event[2].tid == 12);
	for (unsigned i = n = 0; i < 60; i++)
		n += (size_t)sprintf(text + n, "%sNTFY %u e/%u@gw1 MGCP 1.0\r\nX: 1\r\nO: L/hd\r\n", i > 0 ? ".\r\n" : "", 100 + i, i);
	CU_ASSERT_EQUAL(rx(text), DP_DROP_CONSUMED);
	CU_ASSERT_EQUAL(t.events, 3 + DP_MGCP_PIGGY_MAX);
	CU_ASSERT_EQUAL(dp_deliver_stats(d)->malformed, 1);

	fresh(DP_GW_F_PIGGYBACK, 0, 0);
	rx("NTFY 10 e/1@gw1 MGCP 1.0\r\nX: 1\r\nO: L/hd\r\n");
	ack.token = t.event[0].token;
	dp_deliver_ack(d, &ack, t.now);
	for (unsigned i = 0; i < 3; i++) {
		sprintf(a.endpoint, "e/%u", i);
		dp_deliver_ask(d, &a, t.now);
	}
	CU_ASSERT_EQUAL(t.sends, 0);
	dp_deliver_tick(d, t.now);
	CU_ASSERT_EQUAL(t.sends, 1);
	CU_ASSERT_STRING_EQUAL(t.last, "200 10 OK\r\n.\r\nAUEP 4711 e/0@gw1 MGCP 1.0\r\n.\r\nAUEP 4712 e/1@gw1 MGCP 1.0\r\n.\r\nAUEP 4713 e/2@gw1 MGCP 1.0\r\n");
	CU_ASSERT_EQUAL(dp_deliver_stats(d)->tx, 4);
	CU_ASSERT_EQUAL(rx("200 4711 OK\r\n.\r\n200 4713 OK\r\n.\r\n200 4712 OK\r\n"), DP_DROP_CONSUMED);
	CU_ASSERT_EQUAL(t.dones, 3);
	/* a key goes alone, behind what was before it */
	dp_deliver_ask(d, &a, t.now);
	CU_ASSERT_EQUAL(t.sends, 1);
	dp_deliver_cmd(d, &c, t.now);
	CU_ASSERT_EQUAL(t.sends, 3);
	CU_ASSERT(strncmp(t.last, "CRCX ", 5) == 0 && strstr(t.last, "inline:") != NULL && strstr(t.last, "\r\n.\r\n") == NULL);
	/* 20 at once: in datagrams of 8 at most */
	for (unsigned i = 10; i < 30; i++) {
		sprintf(a.endpoint, "e/%u", i);
		dp_deliver_ask(d, &a, t.now);
	}
	CU_ASSERT_EQUAL(t.sends, 3 + 2);
	for (p = t.last; (p = strstr(p, "AUEP")) != NULL; p++)
		msgs++;
	CU_ASSERT_EQUAL(msgs, DP_MGCP_PIGGY_OUT);
	/* the SA goes before they do: nothing leaves, each ends */
	t.sa = false;
	dp_deliver_tick(d, t.now);
	CU_ASSERT_EQUAL(t.sends, 5);
	dp_deliver_tick(d, t.now + 1 * S);
	CU_ASSERT(dp_deliver_txn_cnt(d) == 0 && t.done.result == DP_MGCP_NO_SA);
	t.sa = true;
	dp_deliver_ask(d, &a, t.now);
	dp_deliver_gw_del(d, 1); /* with something waiting */
	CU_ASSERT_EQUAL(dp_deliver_txn_cnt(d), 0);
}

/* A gateway that says 409 is left alone for a while, longer each time; others are not. */
static void test_overload(void)
{
	struct dp_mgcp_ask a = ask(DP_MGCP_AUEP, "");
	unsigned sends;
	uint64_t begin, wait_us = 0;

	fresh(0, 0, 0);
	for (unsigned round = 0; round < 6; round++) {
		dp_deliver_ask(d, &a, t.now);
		sends = t.sends;
		say("409", "too much\n");
		CU_ASSERT_EQUAL(t.done.code, 409);
		begin = t.now;
		dp_deliver_ask(d, &a, t.now);
		CU_ASSERT_EQUAL(t.sends, sends); /* waits */
		while (t.sends == sends && t.now < begin + 20 * S)
			dp_deliver_tick(d, t.now += 10 * MS);
		CU_ASSERT_EQUAL(t.sends, sends + 1);
		CU_ASSERT(t.now - begin > wait_us * 3 / 2 || t.now - begin >= 7 * S);
		CU_ASSERT(t.now - begin <= 9 * S + 100 * MS);
		wait_us = t.now - begin;
		if (round < 5) {
			say("409", "too much\n");
			while (t.now < begin + 60 * S)
				dp_deliver_tick(d, t.now += 10 * MS);
		}
		if (round == 0)
			CU_ASSERT(wait_us >= 430 * MS && wait_us <= 600 * MS);
		wait_us = 0; /* doubled twice a round: the next comparison begins anew */
	}
	say("200", "OK\n");
	dp_deliver_ask(d, &a, t.now);
	say("409", "too much\n");
	begin = t.now;
	sends = t.sends;
	dp_deliver_ask(d, &a, t.now);
	while (t.sends == sends && t.now < begin + 20 * S)
		dp_deliver_tick(d, t.now += 10 * MS);
	CU_ASSERT(t.now - begin >= 430 * MS && t.now - begin <= 600 * MS); /* a success forgave it */
	dp_deliver_gw_del(d, 1);
	CU_ASSERT_EQUAL(dp_deliver_tick(d, t.now + 100 * S), UINT64_MAX);
}

/* --- identifiers over restarts --- */

static int w_send(void *ctx, uint32_t gw_id, const struct dp_sockaddr *from, const struct dp_sockaddr *to, const uint8_t *payload,
                  uint16_t len, bool need_sa)
{
	(void)ctx;
	return t_send(NULL, gw_id, from, to, payload, len, need_sa);
}

/* Processes that live for a while, one after the other, busy and idle: no identifier comes again within three minutes. */
static void test_identifiers_over_restarts(void)
{
	enum { KEEP = 1 << 20 };
	static struct {
		uint32_t tid;
		uint64_t at_us;
	} used[KEEP]; /* by hash: the last use of it */
	struct dp_deliver_ops ops = {.send = w_send, .sa_live = t_live, .done = t_done, .event = t_event, .parts = 4, .part = 2};
	uint64_t wall = 1795000000ull * S;
	unsigned sent = 0, early = 0, restarts = 0;

	srand(7);
	memset(used, 0, sizeof(used));
	for (; restarts < 60; restarts++) {
		uint64_t life = (uint64_t)(rand() % 5 == 0 ? 400 : 1 + rand() % 20) * S, born = wall;

		fresh(0, 0, 0);
		dp_deliver_destroy(d);
		ops.seed = 1; /* the same each time: nothing else tells the processes apart */
		ops.wall_us = wall;
		d = dp_deliver_create(&ops, NULL, 4, 400);
		set(0, 0, 0);
		t.now = 1 * S;
		for (; wall < born + life; wall += 200 * MS, t.now += 200 * MS) {
			unsigned burst = rand() % 4 == 0 ? 30 : 1;

			dp_deliver_tick(d, t.now);
			for (unsigned i = 0; i < burst; i++) {
				struct dp_mgcp_ask a = ask(DP_MGCP_AUEP, "");
				uint32_t id, h;

				dp_deliver_ask(d, &a, t.now);
				id = tid();
				h = id * 2654435761u >> 12;
				CU_ASSERT(id > 499999998 && id <= 749999997);
				if (used[h].tid == id && wall - used[h].at_us < 180 * S)
					early++;
				used[h].tid = id;
				used[h].at_us = wall;
				sent++;
				say("200", "OK\n");
			}
		}
	}
	CU_ASSERT(sent > 5000 && early == 0);
	/* The clock stands still and the seed is the same: then they would be the same. The test can fail. */
	fresh(0, 0, 0);
	for (unsigned i = 0; i < 2; i++) {
		struct dp_mgcp_ask a = ask(DP_MGCP_AUEP, "");

		dp_deliver_destroy(d);
		d = dp_deliver_create(&ops, NULL, 4, 400);
		set(0, 0, 0);
		dp_deliver_ask(d, &a, t.now);
		if (i == 0)
			sent = tid();
	}
	CU_ASSERT_EQUAL(sent, tid());
}

/* --- hostility --- */

static const char *const good[] = {
	"NTFY %u e/1@gw1 MGCP 1.0\r\nN: ca@x:2727\r\nX: 7F\r\nO: L/hd, D/1\r\nK: 1-5, 9\r\n",
	"RSIP %u *@gw1 MGCP 0.1\r\nRM: restart\r\nRD: 5\r\nE: 900 gone\r\n",
	"DLCX %u e/1@gw1 MGCP 1.0\r\nC: A1\r\nI: B2\r\nE: 902 lost\r\nP: PS=1, OS=2, LA=3\r\n",
	"200 %u OK\r\nI: 8C2\r\n\r\nv=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 18000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n",
	"200 %u OK\r\nA: a:PCMU;G729, p:10-40, v:L;S, m:sendonly\r\nZ: a@gw1\r\nP: PS=1\r\n.\r\nNTFY 7 e@gw1 MGCP 1.0\r\nX: 1\r\nO: L/hu\r\n",
};

/* One of them with its number. */
static size_t message(char *text, unsigned which, unsigned number)
{
	const char *at = strstr(good[which], "%u");

	return (size_t)sprintf(text, "%.*s%u%s", (int)(at - good[which]), good[which], number, at + 2);
}

/* A message that is none: something in it is broken so that no reader may take it. */
static size_t spoil(char *text, size_t n, unsigned how)
{
	switch (how % 8) {
	case 0: /* cut in a line */
		n = (size_t)rand() % n;
		while (n > 0 && text[n - 1] == '\n')
			n--;
		return n;
	case 1: /* a control character */
		text[(size_t)rand() % (n - 2)] = (char)(1 + rand() % 8);
		return n;
	case 2: /* no number */
		text[5] = 'x';
		text[4] = 'x';
		return n;
	case 3: { /* a line without a name */
		char *p = strstr(text, "\r\n");

		memmove(p + 5, p + 2, n - (size_t)(p + 2 - text));
		memcpy(p + 2, ":x\n", 3);
		return n + 3;
	}
	case 4: /* a NUL */
		text[(size_t)rand() % (n - 2)] = '\0';
		return n;
	case 5: /* announces another that is not there */
		memcpy(text + n, ".\r\n", 3);
		text[0] = '\x7f';
		return n + 3;
	case 6: /* begins with nothing */
		memmove(text + 2, text, n);
		memcpy(text, "\r\n", 2);
		return n + 2;
	default: /* more lines than are read */
		n = (size_t)sprintf(text, "NTFY 1 e@gw1 MGCP 1.0\n");
		for (unsigned i = 0; i <= DP_MGCP_PARAM_MAX; i++)
			n += (size_t)sprintf(text + n, "X: %u\n", i);
		return n;
	}
}

/* 2,000 of them, a probe behind each: a command of ours is sent and answered, a command of the gateway comes up. */
static void test_malformed_with_probes(void)
{
	unsigned probes = 0;

	srand(2000);
	fresh(DP_GW_F_AUTO, 2427, 15);
	for (unsigned i = 0; i < 2000; i++) {
		struct dp_mgcp_ask a = ask(DP_MGCP_AUEP, "");
		char text[1024], probe[128];
		size_t n = message(text, (unsigned)rand() % 5, 5000 + i);
		unsigned events = t.events, dones = t.dones, heards = t.heards;
		uint64_t bad = dp_deliver_stats(d)->malformed;

		n = spoil(text, n, i);
		CU_ASSERT_EQUAL(rx_n(text, n, 2727), DP_DROP_MGCP_MALFORMED);
		CU_ASSERT(t.events == events && t.dones == dones && t.heards == heards && dp_deliver_stats(d)->malformed == bad + 1);
		CU_ASSERT_EQUAL(dp_deliver_ask(d, &a, t.now), 0);
		CU_ASSERT_EQUAL(say("200", "OK\n"), DP_DROP_CONSUMED);
		CU_ASSERT(t.dones == dones + 1 && t.done.result == DP_MGCP_ANSWERED);
		snprintf(probe, sizeof(probe), "NTFY %u e/1@gw1 MGCP 1.0\r\nX: 1\r\nO: L/hd\r\n", 900000 + i);
		CU_ASSERT_EQUAL(rx(probe), DP_DROP_CONSUMED);
		CU_ASSERT(t.events == events + 1 && t.event[events % 64].tid == 900000 + i);
		CU_ASSERT_EQUAL(dp_deliver_ack(d, &(struct dp_mgcp_ack){.token = t.event[events % 64].token, .code = 200}, t.now), 0);
		probes += strncmp(t.last, "200 9", 5) == 0;
		t.now += 50 * MS;
		dp_deliver_tick(d, t.now);
	}
	CU_ASSERT_EQUAL(probes, 2000);
	CU_ASSERT_EQUAL(dp_deliver_txn_cnt(d), 0);
}

/* Each good message cut at each length, in memory of exactly that size. */
static void test_cut_anywhere(void)
{
	for (size_t g = 0; g < sizeof(good) / sizeof(good[0]); g++) {
		char text[1024];
		size_t n = message(text, (unsigned)g, 4711);

		for (size_t cut = 0; cut < n; cut++) {
			struct dp_mgcp_cmd c = crcx();
			enum dp_drop v;

			fresh(0, 0, 0);
			dp_deliver_cmd(d, &c, t.now);
			v = rx_n(text, cut, 2727);
			if (cut == 0 || text[cut - 1] != '\n')
				CU_ASSERT(v == DP_DROP_MGCP_MALFORMED || (g == 4 && v == DP_DROP_CONSUMED)); /* the first of two was whole */
		}
	}
}

/* Answers that nobody waits for: late, twice, replayed, never asked, of another gateway's transaction; nothing but a count. */
static void test_stale_answers(void)
{
	struct dp_mgcp_ask a = ask(DP_MGCP_AUEP, "");
	struct dp_sockaddr other = {.ip = {10, 0, 1, 2}, .port = 2427, .family = 4}, to = agent(2727);
	char first[64];

	fresh(0, 0, 0);
	dp_deliver_ask(d, &a, t.now);
	snprintf(first, sizeof(first), "200 %u OK\r\n", tid());
	CU_ASSERT_EQUAL(dp_deliver_rx(d, (const uint8_t *)first, (uint16_t)strlen(first), &other, &to, true, 1, t.now), DP_DROP_SOURCE);
	CU_ASSERT(t.dones == 0 && dp_deliver_stats(d)->source == 1);
	CU_ASSERT_EQUAL(rx(first), DP_DROP_CONSUMED);
	for (unsigned i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(rx(first), DP_DROP_MGCP_UNKNOWN);
		CU_ASSERT_EQUAL(rx("200 77 OK\r\n"), DP_DROP_MGCP_UNKNOWN);
	}
	CU_ASSERT(t.dones == 1 && t.sends == 1 && dp_deliver_stats(d)->stale == 200);
	dp_deliver_ask(d, &a, t.now); /* one that gave up */
	snprintf(first, sizeof(first), "200 %u OK\r\n", tid());
	for (unsigned i = 0; i < 300; i++)
		dp_deliver_tick(d, t.now += 100 * MS);
	CU_ASSERT(t.dones == 2 && t.done.result == DP_MGCP_TIMEOUT);
	CU_ASSERT_EQUAL(rx(first), DP_DROP_MGCP_UNKNOWN);
	CU_ASSERT(t.dones == 2 && dp_deliver_stats(d)->stale == 201);
}

static void teardown(void)
{
	dp_deliver_destroy(d);
	d = NULL;
}

static int end(void)
{
	teardown();
	return 0;
}

static CU_TestInfo tests[] = {
	{"dialects, set and heard", test_dialects},
	{"a dialect that turns", test_turns},
	{"keep-alives that are missing", test_keepalives},
	{"commands with lists and maps", test_asks},
	{"what audits answer", test_audit_answers},
	{"what gateways say: E, P, RD, 521 with N", test_events_of_gateways},
	{"whom endpoints notify: N:", test_notified_entity},
	{"messages in one datagram", test_piggyback},
	{"a gateway that is overloaded", test_overload},
	{"identifiers over restarts", test_identifiers_over_restarts},
	{"2,000 malformed messages, a probe behind each", test_malformed_with_probes},
	{"cut anywhere", test_cut_anywhere},
	{"answers that nobody waits for", test_stale_answers},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("mgcp_agent", tests, NULL, end)
