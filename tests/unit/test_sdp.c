/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/mgcp/sdp.c: RFC 4568's inline keys, both crypto forms, bad and cut input, base64. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "dp_suite.h"
#include "mgcp/sdp.h"

/* Key strings printed in the examples of RFC 4568. */
static const struct {
	const char *b64;
	uint8_t key[16], salt[14];
} rfc4568[] = {
	{"WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
         {0x59, 0x53, 0x5f, 0x5f, 0x5f, 0x73, 0x65, 0x6d, 0x63, 0x74, 0x6c, 0x20, 0x28, 0x29, 0x20,
          0x7b},
         {0x09, 0x32, 0x32, 0x30, 0x3b, 0x7d, 0x0a, 0x7d, 0x0a, 0x75, 0x6e, 0x6c, 0x65, 0x73}},
	{"NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj",
         {0x37, 0x30, 0x78, 0x77, 0x50, 0x48, 0x35, 0x40, 0x2f, 0x2c, 0x4c, 0x3a, 0x53, 0x31, 0x77,
          0x59},
         {0x22, 0x7e, 0x3d, 0x27, 0x45, 0x70, 0x67, 0x54, 0x25, 0x28, 0x69, 0x5f, 0x56, 0x63}},
	{"PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR",
         {0x3d, 0x2d, 0x6e, 0x40, 0x25, 0x5e, 0x78, 0x21, 0x42, 0x6a, 0x75, 0x66, 0x72, 0x39, 0x29,
          0x3f},
         {0x2c, 0x23, 0x35, 0x68, 0x5c, 0x60, 0x3d, 0x26, 0x5d, 0x7b, 0x71, 0x69, 0x50, 0x51}},
	{"d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj",
         {0x77, 0x44, 0x66, 0x76, 0x67, 0x26, 0x54, 0x2b, 0x29, 0x78, 0x47, 0x37, 0x40, 0x66, 0x62,
          0x35},
         {0x6a, 0x55, 0x2c, 0x52, 0x61, 0x41, 0x7d, 0x5c, 0x7c, 0x70, 0x30, 0x25, 0x2a, 0x23}},
};
#define KEY0 "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
#define HEAD "v=0\r\nc=IN IP4 192.0.2.7\r\n"

static struct dp_mgcp_media media;
static struct dp_sdp_no no;

static int parse(const char *text)
{
	size_t n = strlen(text);
	char *copy = malloc(n + (n == 0));
	int rc;

	memcpy(copy, text, n);
	memset(&media, 0x5a, sizeof(media));
	rc = dp_sdp_parse(copy, n, &media, &no);
	free(copy);
	return rc;
}

static void test_rfc4568_vectors(void)
{
	char text[256];

	for (size_t i = 0; i < sizeof(rfc4568) / sizeof(rfc4568[0]); i++) {
		snprintf(text, sizeof(text),
		         HEAD "m=audio 49170 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 "
		              "inline:%s|2^20\r\n",
		         rfc4568[i].b64);
		CU_ASSERT_EQUAL(parse(text), 0);
		CU_ASSERT_EQUAL(media.suite, DP_AES_CM_128_HMAC_SHA1_80);
		CU_ASSERT_EQUAL(media.tag, 1);
		CU_ASSERT_EQUAL(memcmp(media.key, rfc4568[i].key, 16), 0);
		CU_ASSERT_EQUAL(memcmp(media.salt, rfc4568[i].salt, 14), 0);
	}
}

/* The wire page's example: old form, no o=, s=, t=. */
static void test_old_form(void)
{
	CU_ASSERT_EQUAL(parse("v=0\nc=IN IP4 192.0.2.7\nm=audio 18000 RTP/SAVP 0\n"
	                      "a=X-crypto:AES_CM_128_HMAC_SHA1_32 inline:" KEY0 "||\n"),
	                0);
	CU_ASSERT(media.suite == DP_AES_CM_128_HMAC_SHA1_32 && media.tag == 0 &&
	          media.addr.port == 18000);
	CU_ASSERT_EQUAL(memcmp(media.addr.ip, "\xc0\x00\x02\x07\0\0\0\0\0\0\0\0\0\0\0\0", 16), 0);
	CU_ASSERT_EQUAL(memcmp(media.key, rfc4568[0].key, 16), 0);
	for (int i = 16; i < DP_SRTP_KEY_MAX; i++)
		CU_ASSERT_EQUAL(media.key[i], 0);
}

#define SAVP    HEAD "m=audio 4000 RTP/SAVP 0\r\n"
#define C(rest) "a=crypto:" rest "\r\n"
#define S80     "AES_CM_128_HMAC_SHA1_80 inline:"
static const struct {
	const char *text;
	int rc;
	uint8_t suite, tag;
} cases[] = {
	{HEAD "m=audio 4000 RTP/AVP 0\r\n", 0, 0, 0},
	{HEAD "m=audio 4000 RTP/AVP 0\r\n" C("1 " S80 KEY0), 0, 0,
         0}, /* a key outside SAVP is none */
	{SAVP, -ENOTSUP, 0, 0},
	{SAVP C("1 " S80 KEY0), 0, 1, 1},
	{SAVP C("7 aes_cm_128_hmac_sha1_32 inline:" KEY0 "|1048576|"), 0, 2, 7},
	{SAVP C("1 F8_128_HMAC_SHA1_80 inline:" KEY0) C("2 " S80 KEY0), 0, 1,
         2}, /* the first that we know */
	{SAVP C("1 " S80 KEY0 "|2^20|1:9") C("2 AES_CM_128_HMAC_SHA1_32 inline:" KEY0), 0, 2,
         2}, /* an MKI longer than we write */
	{SAVP C("1 " S80 KEY0 "|2^49"), -ENOTSUP, 0, 0},
	{SAVP C("1 " S80 KEY0 ";inline:" KEY0), -ENOTSUP, 0, 0}, /* several keys */
	{SAVP C("1 " S80 KEY0 " UNENCRYPTED_SRTP"), -ENOTSUP, 0, 0},
	{SAVP C("1 " S80 KEY0 " UNAUTHENTICATED_SRTP"), -ENOTSUP, 0, 0},
	{SAVP C("1 " S80 KEY0 " FUTURE=1"), -ENOTSUP, 0, 0},
	{SAVP C("1 " S80 KEY0 " WSH=128 -FUTURE=1"), 0, 1, 1},
	{SAVP C("1 " S80 KEY0 " WSH=63"), -ENOTSUP, 0, 0},
	{SAVP C("1 " S80 KEY0) C("1 " S80 KEY0), 0, 1, 1},
	{SAVP C("1 F8_128_HMAC_SHA1_80 inline:" KEY0) C("1 " S80 KEY0), -EBADMSG, 0,
         0}, /* a tag twice */
	{SAVP C("0 " S80 KEY0), -ENOTSUP, 0, 0},
	{SAVP C("x " S80 KEY0), -EBADMSG, 0, 0},
	{SAVP C("1234567890 " S80 KEY0), -EBADMSG, 0, 0},
	{SAVP C("1 " S80 "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGV"), -ENOTSUP, 0,
         0}, /* 39 characters */
	{SAVP C("1 " S80 KEY0 "A"), -ENOTSUP, 0, 0},
	{SAVP C("1 " S80 "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGV="), -ENOTSUP, 0, 0},
	{SAVP C("1 " S80 "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVub-Vz"), -ENOTSUP, 0, 0},
	{SAVP C("1 AES_CM_128_HMAC_SHA1_80 " KEY0), -ENOTSUP, 0, 0},
	{SAVP "a=X-crypto:AES_CM_128_HMAC_SHA1_80 inline:" KEY0 "\r\n", 0, 1, 0},
	{HEAD "m=video 5000 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 0\r\n", 0, 0, 0},
	{HEAD "m=audio 0 RTP/AVP 0\r\n", -ENOTSUP, 0, 0},
	{HEAD "m=audio 65536 RTP/AVP 0\r\n", -EBADMSG, 0, 0},
	{HEAD "m=audio 4000 RTP/AVP\r\n", -EBADMSG, 0, 0},
	{HEAD "m=audio 4000 RTP/AVP 128\r\n", -EBADMSG, 0, 0},
	{HEAD "m=audio 4000 UDP/TLS/RTP/SAVP 0\r\n", -ENOTSUP, 0, 0},
	{HEAD "m=audio 4000/2 RTP/AVP 0\r\n", -ENOTSUP, 0, 0},
	{"v=0\r\nc=IN IP4 gw.example\r\nm=audio 4000 RTP/AVP 0\r\n", -ENOTSUP, 0, 0},
	{"v=0\r\nc=IN IP4 1.2.3.4.5\r\nm=audio 4000 RTP/AVP 0\r\n", -ENOTSUP, 0, 0},
	{"v=0\r\nc=IN IP5 1.2.3.4\r\nm=audio 4000 RTP/AVP 0\r\n", -EBADMSG, 0, 0},
	{"v=0\r\nm=audio 4000 RTP/AVP 0\r\n", -ENOTSUP, 0, 0},
	{"v=0\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\n", 0, 0, 0},
	{"v=1\r\nc=IN IP4 1.2.3.4\r\nm=audio 4000 RTP/AVP 0\r\n", -EBADMSG, 0, 0},
	{"c=IN IP4 1.2.3.4\r\nm=audio 4000 RTP/AVP 0\r\n", -EBADMSG, 0, 0},
	{"v=0\r\nv=0\r\nc=IN IP4 1.2.3.4\r\nm=audio 4000 RTP/AVP 0\r\n", -EBADMSG, 0, 0},
	{"v=0\r\nnonsense\r\n", -EBADMSG, 0, 0},
	{"", -EBADMSG, 0, 0},
};

static void test_cases(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = parse(cases[i].text);

		CU_ASSERT_EQUAL(rc, cases[i].rc);
		if (rc != cases[i].rc)
			printf("case %zu: %d\n%s\n", i, rc, cases[i].text);
		if (rc == 0) {
			CU_ASSERT(media.suite == cases[i].suite && media.tag == cases[i].tag);
			CU_ASSERT_EQUAL(media.addr.port, 4000);
		} else { /* untouched on failure */
			CU_ASSERT(media.suite == 0x5a && media.key[0] == 0x5a);
		}
	}
}

/* Everything behind the key: what it becomes, or why the line is none for us. */
#define K32 "AES_256_CM_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLQ=="
static const struct {
	const char *line; /* behind a=crypto: */
	uint8_t suite;    /* NONE: refused */
	uint8_t lifetime, mki_len, kdr, flags;
	uint64_t mki;
	const char *why;
} params[] = {
	{"1 " S80 KEY0 "|2^20|1:4", 1, 20, 4, 0, 0, 1, NULL},
	{"1 " S80 KEY0 "|1:4", 1, 0, 4, 0, 0, 1, NULL},
	{"1 " S80 KEY0 "|255:1", 1, 0, 1, 0, 0, 255, NULL},
	{"1 " S80 KEY0 "|256:1", 0, 0, 0, 0, 0, 0, "MKI"},
	{"1 " S80 KEY0 "|18446744073709551615:8", 1, 0, 8, 0, 0, UINT64_MAX, NULL},
	{"1 " S80 KEY0 "|18446744073709551616:8", 0, 0, 0, 0, 0, 0, "MKI"},
	{"1 " S80 KEY0 "|1:0", 0, 0, 0, 0, 0, 0, "MKI"},
	{"1 " S80 KEY0 "|1:128", 0, 0, 0, 0, 0, 0, "MKI"},
	{"1 " S80 KEY0 "|:4", 0, 0, 0, 0, 0, 0, "MKI"},
	{"1 " S80 KEY0 "|1:4|2^20", 0, 0, 0, 0, 0, 0, "what follows the key"},
	{"1 " S80 KEY0 "|2^20|2^20", 0, 0, 0, 0, 0, 0, "key lifetime"},
	{"1 " S80 KEY0 "|1048576", 1, 20, 0, 0, 0, 0, NULL},
	{"1 " S80 KEY0 "|1048575", 1, 19, 0, 0, 0, 0, NULL}, /* never more than was said */
	{"1 " S80 KEY0 "|281474976710656", 1, 48, 0, 0, 0, 0, NULL},
	{"1 " S80 KEY0 "|281474976710657", 0, 0, 0, 0, 0, 0, "key lifetime"},
	{"1 " S80 KEY0 "|2^48", 1, 48, 0, 0, 0, 0, NULL},
	{"1 " S80 KEY0 "|2^0", 0, 0, 0, 0, 0, 0, "key lifetime"},
	{"1 " S80 KEY0 "|2^", 0, 0, 0, 0, 0, 0, "key lifetime"},
	{"1 " S80 KEY0 " KDR=24", 1, 0, 0, 24, 0, 0, NULL},
	{"1 " S80 KEY0 " KDR=25", 0, 0, 0, 0, 0, 0, "session parameter KDR"},
	{"1 " S80 KEY0 " KDR=0", 0, 0, 0, 0, 0, 0, "session parameter KDR"}, /* RFC 4568 s6.3.1: 1 to 24 */
	{"1 " S80 KEY0 " KDR=01", 0, 0, 0, 0, 0, 0, "session parameter KDR"},
	{"1 " S80 KEY0 " KDR=1 KDR=1", 0, 0, 0, 0, 0, 0, "session parameter KDR"},
	{"1 " S80 KEY0 "|2^31|7:2 KDR=3 UNENCRYPTED_SRTCP WSH=4096 -X", 1, 31, 2, 3, 1, 7, NULL},
	{"1 " S80 KEY0 " UNENCRYPTED_SRTP UNENCRYPTED_SRTCP", DP_NULL_HMAC_SHA1_80, 0, 0, 0, 1, 0, NULL},
	{"1 AES_CM_128_HMAC_SHA1_32 inline:" KEY0 " UNENCRYPTED_SRTCP UNENCRYPTED_SRTP", DP_NULL_HMAC_SHA1_32, 0, 0, 0, 1,
	 0, NULL},
	{"1 " S80 KEY0 " UNENCRYPTED_SRTP", 0, 0, 0, 0, 0, 0, "UNENCRYPTED_SRTP without UNENCRYPTED_SRTCP"},
	{"1 " K32 " UNENCRYPTED_SRTP UNENCRYPTED_SRTCP", 0, 0, 0, 0, 0, 0,
	 "UNENCRYPTED_SRTP with a suite other than AES_CM_128"},
	{"1 " K32, DP_AES_256_CM_HMAC_SHA1_80, 0, 0, 0, 0, 0, NULL},
	{"1 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==", DP_AEAD_AES_128_GCM, 0, 0, 0, 0, 0, NULL},
	{"1 AEAD_AES_128_GCM inline:" KEY0, 0, 0, 0, 0, 0, 0, "a key that is not the suite's"}, /* a salt of 14 bytes */
	{"1 " S80 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==", 0, 0, 0, 0, 0, 0, "a key that is not the suite's"},
	{"1 " S80 KEY0 " UNAUTHENTICATED_SRTP", 0, 0, 0, 0, 0, 0, "session parameter UNAUTHENTICATED_SRTP"},
	{"1 " S80 KEY0 " " KEY0, 0, 0, 0, 0, 0, 0, "session parameter"},
	{"1 " S80 KEY0 " FEC_ORDER=FEC_SRTP", 0, 0, 0, 0, 0, 0, "session parameter FEC_ORDER"},
	{"1 " S80 KEY0 " FEC_KEY=inline:" KEY0, 0, 0, 0, 0, 0, 0, "session parameter FEC_KEY"},
	{"1 " S80 KEY0 "|1:4;inline:" KEY0 "|2:4", 0, 0, 0, 0, 0, 0, "several keys in one line"},
	{"1 F8_128_HMAC_SHA1_80 inline:" KEY0, 0, 0, 0, 0, 0, 0, "suite F8_128_HMAC_SHA1_80"},
	{"1 AEAD_ARIA_128_GCM inline:" KEY0, 0, 0, 0, 0, 0, 0, "suite AEAD_ARIA_128_GCM"},
	{"1 SEED_CTR_128_HMAC_SHA1_80 inline:" KEY0, 0, 0, 0, 0, 0, 0, "suite SEED_CTR_128_HMAC_SHA1_80"},
	{"1 NULL_HMAC_SHA1_80 inline:" KEY0, 0, 0, 0, 0, 0, 0, "suite NULL_HMAC_SHA1_80"}, /* our name, not SDP's */
	{"1 AEAD_AES_128_GCM_8 inline:" KEY0, 0, 0, 0, 0, 0, 0, "suite AEAD_AES_128_GCM_8"},
	{"256 " S80 KEY0, 0, 0, 0, 0, 0, 0, "crypto tag"},
};

static void test_params(void)
{
	char text[400];

	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		int rc;

		snprintf(text, sizeof(text), SAVP "a=crypto:%s\r\n", params[i].line);
		rc = parse(text);
		CU_ASSERT_EQUAL(rc, params[i].suite != 0 ? 0 : -ENOTSUP);
		if (rc == 0) {
			bool same = media.suite == params[i].suite && media.lifetime == params[i].lifetime &&
				    media.mki_len == params[i].mki_len && media.mki == params[i].mki &&
				    media.kdr == params[i].kdr && media.flags == params[i].flags;

			CU_ASSERT(same && no.why == DP_SDP_OK && params[i].suite != 0);
			if (!same)
				printf("%s\n", params[i].line);
		} else {
			bool same = params[i].why != NULL && strcmp(no.text, params[i].why) == 0;

			CU_ASSERT(same && no.why >= DP_SDP_SUITE);
			if (!same)
				printf("%s: %s\n", params[i].line, no.text);
			/* no part of the key is in the reason */
			CU_ASSERT_PTR_NULL(strstr(no.text, "WVNf"));
		}
	}
}

static const struct {
	const char *text;
	enum dp_sdp_why why;
	const char *says;
} refused[] = {
	{HEAD "m=image 4000 udptl t38\r\n", DP_SDP_T38, "T.38 (udptl)"},
	{HEAD "m=audio 0 RTP/AVP 0\r\nm=image 4000 udptl t38\r\n", DP_SDP_T38, "T.38 (udptl)"},
	{HEAD "m=image 4000 udptl t38\r\nm=audio 4000 RTP/AVP 0\r\n", DP_SDP_OK, NULL},
	{HEAD "m=audio 4000 UDP/TLS/RTP/SAVP 0\r\na=fingerprint:sha-1 00\r\na=setup:actpass\r\n", DP_SDP_DTLS,
	 "DTLS-SRTP UDP/TLS/RTP/SAVP"},
	{HEAD "m=audio 4000 UDP/TLS/RTP/SAVPF 0\r\n", DP_SDP_DTLS, "DTLS-SRTP UDP/TLS/RTP/SAVPF"},
	{HEAD "m=audio 4000 RTP/AVP 0\r\na=fingerprint:sha-256 00\r\n", DP_SDP_DTLS, "DTLS-SRTP"},
	{"v=0\r\na=fingerprint:sha-256 00\r\nc=IN IP4 192.0.2.7\r\nm=audio 4000 RTP/SAVP 0\r\n", DP_SDP_DTLS, "DTLS-SRTP"},
	{SAVP "a=fingerprint:sha-256 00\r\na=crypto:1 " S80 KEY0 "\r\n", DP_SDP_OK, NULL}, /* a key is there too */
	{HEAD "m=audio 4000 RTP/AVP 0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n", DP_SDP_ICE, "ICE"},
	{HEAD "m=audio 4000 RTP/AVP 0\r\na=candidate:1 1 UDP 1 10.0.0.1 4000 typ host\r\n", DP_SDP_ICE, "ICE"},
	{"v=0\r\na=ice-lite\r\nc=IN IP4 192.0.2.7\r\nm=audio 4000 RTP/AVP 0\r\n", DP_SDP_ICE, "ICE"},
	{HEAD "m=audio 4000 RTP/AVP 0\r\nm=video 4002 RTP/AVP 96\r\na=ice-ufrag:abcd\r\n", DP_SDP_OK, NULL}, /* not of ours */
	{HEAD "m=audio 4000 RTP/SAVPF 0\r\n", DP_SDP_PROFILE, "profile RTP/SAVPF"},
	{HEAD "m=audio 4000/2 RTP/AVP 0\r\n", DP_SDP_PROFILE, "several ports of one stream"},
	{HEAD "m=video 4000 RTP/AVP 96\r\n", DP_SDP_NO_AUDIO, "no audio stream"},
	{SAVP, DP_SDP_KEY, "RTP/SAVP without a key"},
	{SAVP C("1 F8_128_HMAC_SHA1_80 inline:" KEY0) C("2 " S80 KEY0 " FEC_ORDER=X"), DP_SDP_SUITE,
	 "suite F8_128_HMAC_SHA1_80"}, /* the first reason */
	{"v=0\r\nc=IN IP4 gw.example\r\nm=audio 4000 RTP/AVP 0\r\n", DP_SDP_ADDRESS, "a host name as address"},
	{"v=0\r\nm=audio 4000 RTP/AVP 0\r\n", DP_SDP_ADDRESS, "no address"},
	{"v=0\r\nx\r\n", DP_SDP_MALFORMED, "malformed description"},
	{SAVP C("1 \x01\x7f\xff inline:" KEY0), DP_SDP_SUITE, "no suite's name"},
	{SAVP "a=crypto:1 inline:" KEY0 "\r\n", DP_SDP_SUITE, "no suite's name"},
	{SAVP "a=crypto:1 " KEY0 "\r\n", DP_SDP_SUITE, "no suite's name"},
	{SAVP C("1 " S80 KEY0 "|" KEY0), DP_SDP_KEY, "key lifetime"},
	{SAVP C("1 " S80 KEY0 "|" KEY0 ":4"), DP_SDP_KEY, "MKI"},
};

static void test_refused_by_name(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		int rc = parse(refused[i].text);

		CU_ASSERT_EQUAL(rc == 0, refused[i].why == DP_SDP_OK);
		CU_ASSERT_EQUAL(no.why, refused[i].why);
		if (no.why != refused[i].why || (refused[i].says != NULL && strcmp(no.text, refused[i].says) != 0))
			printf("%s\nis %d %s\n", refused[i].text, (int)no.why, no.text);
		if (refused[i].says != NULL)
			CU_ASSERT_STRING_EQUAL(no.text, refused[i].says);
	}
}

/* Which codec is taken, under which number. */
static const struct {
	const char *stream;
	uint8_t audio, pt, ilbc_ms, events;
} audios[] = {
	{"0", DP_AUDIO_PCMU, 0, 0, 0},
	{"8", DP_AUDIO_PCMA, 8, 0, 0},
	{"9", DP_AUDIO_G722, 9, 0, 0},
	{"18", DP_AUDIO_G729, 18, 0, 0},
	{"18\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no", DP_AUDIO_G729, 18, 0, 0},
	{"9 0\r\na=rtpmap:9 G722/8000", DP_AUDIO_G722, 9, 0, 0},
	{"9 0\r\na=rtpmap:9 G722/16000", DP_AUDIO_PCMU, 0, 0, 0}, /* RFC 3551 s4.5.2: that is not what it is called */
	{"4 18", DP_AUDIO_G729, 18, 0, 0},
	{"97 0\r\na=rtpmap:97 iLBC/8000\r\na=fmtp:97 mode=20", DP_AUDIO_ILBC, 97, 20, 0},
	{"97\r\na=rtpmap:97 ilbc/8000", DP_AUDIO_ILBC, 97, 30, 0},
	{"97\r\na=rtpmap:97 iLBC/8000\r\na=fmtp:97 x=1;mode=25", DP_AUDIO_ILBC, 97, 30, 0},
	{"98 99 0\r\na=rtpmap:98 opus/48000/2\r\na=rtpmap:99 AMR/8000", DP_AUDIO_PCMU, 0, 0, 0},
	{"96\r\na=rtpmap:96 PCMA/8000/1", DP_AUDIO_PCMA, 96, 0, 0},
	{"101 18\r\na=rtpmap:101 telephone-event/8000", DP_AUDIO_G729, 18, 0, 101},
	{"0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15", DP_AUDIO_PCMU, 0, 0, 101},
	{"3", DP_AUDIO_NONE, 3, 0, 0},
	{"116", DP_AUDIO_NONE, 116, 0, 0}, /* a number that nobody named */
	{"0\r\na=rtpmap:0 L16/44100", DP_AUDIO_NONE, 0, 0, 0},
	{"0 ", DP_AUDIO_PCMU, 0, 0, 0}, /* what is behind the numbers is passed over */
	{"8 0 ", DP_AUDIO_PCMA, 8, 0, 0},
	{"18  0  ", DP_AUDIO_G729, 18, 0, 0},
	{"0 x", DP_AUDIO_PCMU, 0, 0, 0},
	{"8 128", DP_AUDIO_PCMA, 8, 0, 0},
	{"8 0x", DP_AUDIO_PCMA, 8, 0, 0},
	{"8 \r\nm=audio 5000 RTP/AVP 0", DP_AUDIO_PCMA, 8, 0, 0}, /* another stream's numbers are not ours */
};

static void test_audio(void)
{
	char text[400];

	for (size_t i = 0; i < sizeof(audios) / sizeof(audios[0]); i++) {
		snprintf(text, sizeof(text), HEAD "m=audio 4000 RTP/AVP %s\r\n", audios[i].stream);
		CU_ASSERT_EQUAL_FATAL(parse(text), 0);
		if (media.audio[0] != audios[i].audio || media.pt != audios[i].pt)
			printf("%s: codec %u number %u\n", audios[i].stream, media.audio[0], media.pt);
		CU_ASSERT(media.audio[0] == audios[i].audio && media.audio[1] == DP_AUDIO_NONE);
		CU_ASSERT(media.pt == audios[i].pt && media.ilbc_ms == audios[i].ilbc_ms &&
			  media.telephone_event == audios[i].events);
	}
	CU_ASSERT_EQUAL(parse(HEAD "m=audio 4000 RTP/AVP x\r\n"), -EBADMSG);
	CU_ASSERT_EQUAL(parse(HEAD "m=audio 4000 RTP/AVP 0\r\na=rtpmap:128 PCMU/8000\r\n"), -EBADMSG);
	CU_ASSERT_EQUAL(parse(HEAD "m=audio 4000 RTP/AVP 0\r\na=fmtp:200 x\r\n"), -EBADMSG);
}

/* An offer of several codecs: their numbers in order, what each is, and what of it is not taken for granted. */
static void test_audio_offer(void)
{
	struct dp_mgcp_media m = {.addr = {.family = 4, .port = 4000, .ip = {192, 0, 2, 1}}, .pt = 9, .ptime_ms = 20, .ilbc_ms = 20,
				  .telephone_event = 101,
				  .audio = {DP_AUDIO_G722, DP_AUDIO_PCMU, DP_AUDIO_G729, DP_AUDIO_ILBC}};
	static const char *const want[] = {" RTP/AVP 9 0 18 116 101\r\n", "a=rtpmap:9 G722/8000\r\n", "a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n",
					   "a=rtpmap:116 iLBC/8000\r\na=fmtp:116 mode=20\r\n", "a=fmtp:101 0-15\r\n", "a=ptime:20\r\n"};
	uint8_t text[1024];
	struct dp_mgcp_buf b;

	dp_mgcp_buf_init(&b, text, sizeof(text) - 1);
	dp_sdp_build(&b, &m, 1, false);
	CU_ASSERT_FALSE_FATAL(b.bad);
	text[b.len] = '\0';
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		CU_ASSERT_PTR_NOT_NULL(strstr((const char *)text, want[i]));
	}
	/* a codec that is none, a gap in the list, frames that iLBC does not have */
	for (int bad = 0; bad < 3; bad++) {
		struct dp_mgcp_media wrong = m;

		if (bad == 0)
			wrong.audio[1] = DP_AUDIO_MAX;
		else if (bad == 1)
			wrong.audio[1] = DP_AUDIO_NONE;
		else
			wrong.ilbc_ms = 25;
		dp_mgcp_buf_init(&b, text, sizeof(text));
		dp_sdp_build(&b, &wrong, 1, false);
		CU_ASSERT_TRUE(b.bad);
	}
}

static void test_media_level_wins(void)
{
	CU_ASSERT_EQUAL(
		parse("v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 8 101\r\nc=IN IP4 192.0.2.2/127\r\n"
	              "a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:30\r\n"
	              "m=audio 5000 RTP/AVP 0\r\nc=IN IP4 192.0.2.3\r\n"),
		0);
	CU_ASSERT(media.addr.ip[3] == 2 && media.pt == 8 && media.telephone_event == 101 &&
	          media.ptime_ms == 30);
}

/* Every suite, both forms, without and with everything that may stand behind a key. */
static void test_round_trip(void)
{
	for (unsigned i = 0; i < 4 * DP_SRTP_SUITE_MAX; i++) {
		bool old = i % 2 != 0, full = i / 2 % 2 != 0;
		const struct dp_suite *suite = dp_suite(i / 4);
		struct dp_mgcp_media in = {.addr = {.ip = {10, 1, 2, 3}, .port = 16384, .family = 4},
					   .suite = (uint8_t)(i / 4),
					   .pt = 8,
					   .audio = {DP_AUDIO_PCMA},
					   .ptime_ms = 20,
					   .telephone_event = 101};
		uint8_t data[700];
		struct dp_mgcp_buf b;

		if (suite != NULL) {
			in.tag = old ? 0 : 3;
			for (int k = 0; k < suite->key_len; k++)
				in.key[k] = (uint8_t)(0xf0 ^ k * 37);
			for (int k = 0; k < suite->salt_len; k++)
				in.salt[k] = (uint8_t)(0x0f ^ k * 91);
			if (suite->null_cipher)
				in.flags = DP_MGCP_SRTP_RTCP_CLEAR;
			if (full) {
				in.mki_len = (uint8_t)(i % 8 + 1);
				in.mki = UINT64_MAX >> (64 - 8 * in.mki_len);
				in.kdr = 24;
				in.lifetime = 48;
				in.flags = DP_MGCP_SRTP_RTCP_CLEAR;
			}
		}
		dp_mgcp_buf_init(&b, data, sizeof(data));
		dp_sdp_build(&b, &in, 77, old);
		CU_ASSERT_FALSE_FATAL(b.bad);
		CU_ASSERT_EQUAL(dp_sdp_parse((char *)data, b.len, &media, &no), 0);
		CU_ASSERT_EQUAL(memcmp(&media, &in, sizeof(in)), 0);
		/* every smaller buffer turns bad */
		for (uint16_t size = 0; size < b.len; size++) {
			uint8_t *small = malloc(size + 1u);
			struct dp_mgcp_buf s;

			small[size] = 0xee;
			dp_mgcp_buf_init(&s, small, size);
			dp_sdp_build(&s, &in, 77, old);
			CU_ASSERT(s.bad && small[size] == 0xee);
			free(small);
		}
		/* cut anywhere: no key, or the whole of it */
		for (size_t cut = 0; suite != NULL && cut < b.len; cut++) {
			char *copy = malloc(cut + (cut == 0));

			memcpy(copy, data, cut);
			CU_ASSERT_NOT_EQUAL(dp_sdp_parse(copy, cut, &media, &no), 0);
			free(copy);
		}
	}
}

static void test_truncation(void)
{
	static const char text[] =
		"v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n"
		"m=audio 4000 RTP/SAVP 0 101\r\na=crypto:1 " S80 KEY0 "|2^20\r\na=ptime:20\r\n";
	size_t keys_end = (size_t)(strstr(text, "|2^20\r\n") + 7 - text);

	for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
		char *copy = malloc(cut + (cut == 0));
		int rc;

		memcpy(copy, text, cut);
		rc = dp_sdp_parse(copy, cut, &media, NULL);
		CU_ASSERT_EQUAL(rc == 0, cut >= keys_end && copy[cut - 1] == '\n');
		free(copy);
	}
}

/* Against the obvious code, all lengths; and one wrong character anywhere is found. */
static void test_base64(void)
{
	static const char set[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t raw[64], back[64];
	char text[96], want[96];

	srand(1);
	for (size_t n = 0; n <= 48; n++) {
		for (int round = 0; round < 50; round++) {
			size_t w = 0;

			for (size_t i = 0; i < n; i++)
				raw[i] = (uint8_t)rand();
			for (size_t i = 0; i < n; i += 3) {
				unsigned v = raw[i] << 16 | (i + 1 < n ? raw[i + 1] << 8 : 0) |
				             (i + 2 < n ? raw[i + 2] : 0);

				want[w++] = set[v >> 18];
				want[w++] = set[v >> 12 & 63];
				want[w++] = i + 1 < n ? set[v >> 6 & 63] : '=';
				want[w++] = i + 2 < n ? set[v & 63] : '=';
			}
			dp_b64_encode(text, raw, n);
			CU_ASSERT_EQUAL(memcmp(text, want, w), 0);
			CU_ASSERT_EQUAL(dp_b64_decode(back, n, text, w), 0);
			CU_ASSERT_EQUAL(memcmp(back, raw, n), 0);
			CU_ASSERT_EQUAL(dp_b64_decode(back, n, text, w + 1), -EBADMSG);
		}
	}
	for (int c = 0; c < 256; c++) {
		memset(text, 'A', 40);
		text[17] = (char)c;
		memset(back, 0xff, sizeof(back));
		CU_ASSERT_EQUAL(dp_b64_decode(back, 30, text, 40),
		                c != 0 && strchr(set, c) != NULL ? 0 : -EBADMSG);
	}
	CU_ASSERT_EQUAL(dp_b64_decode(back, 1, "AB==", 4),
	                -EBADMSG); /* bits that belong to no byte */
	CU_ASSERT_EQUAL(dp_b64_decode(back, 1, "AA=A", 4), -EBADMSG);
}

static void test_refuses_to_build(void)
{
	static const struct dp_mgcp_media bad[] = {
		{.addr = {.family = 0, .port = 1}},
		{.addr = {.family = 4, .port = 0}},
		{.addr = {.family = 4, .port = 1}, .pt = 128},
		{.addr = {.family = 4, .port = 1}, .suite = DP_SRTP_SUITE_MAX},
		{.addr = {.family = 4, .port = 1}, .suite = 1, .mki_len = 9},
		{.addr = {.family = 4, .port = 1}, .suite = 1, .kdr = 25},
		{.addr = {.family = 4, .port = 1}, .suite = 1, .lifetime = 49},
	};
	uint8_t data[600];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct dp_mgcp_buf b;

		dp_mgcp_buf_init(&b, data, sizeof(data));
		dp_sdp_build(&b, &bad[i], 1, false);
		CU_ASSERT_TRUE(b.bad);
	}
}

static CU_TestInfo tests[] = {
	{"RFC 4568 inline keys", test_rfc4568_vectors},
	{"old form", test_old_form},
	{"good and bad descriptions", test_cases},
	{"what stands behind a key", test_params},
	{"refused by name", test_refused_by_name},
	{"codecs and their numbers", test_audio},
	{"an offer of several codecs", test_audio_offer},
	{"media level before session level", test_media_level_wins},
	{"round trip, small buffers", test_round_trip},
	{"truncation at every length", test_truncation},
	{"base64 against a table", test_base64},
	{"what cannot be written is refused", test_refuses_to_build},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("sdp", tests, NULL, NULL)
