/* SPDX-License-Identifier: BSD-3-Clause */
/* CAPF's messages: recordings of other programs read and written again byte for byte, and what is no message. */
#include <errno.h>

#include "dialogue.h"
#include "enrol/capfmsg.h"
#include "suite.h"

static const struct {
	const char *name;
	enum cp_capf_tag tag;
} names[] = {
	{"reason", CP_CAPF_REASON},
	{"certificate-type", CP_CAPF_CERT_TYPE},
	{"certificate", CP_CAPF_CERT},
	{"signed-data", CP_CAPF_SIGNED_DATA},
	{"version", CP_CAPF_TAG_VERSION},
	{"auth-type", CP_CAPF_AUTH_TYPE},
	{"public-key", CP_CAPF_PUBLIC_KEY},
	{"key-size", CP_CAPF_KEY_SIZE},
	{"password", CP_CAPF_PASSWORD},
	{"device-name", CP_CAPF_DEVICE},
	{"sudi-data", CP_CAPF_SUDI},
	{"key-type", CP_CAPF_KEY_TYPE},
	{"curve", CP_CAPF_CURVE},
	{"sha2-signed-data", CP_CAPF_SHA2_SIGNED_DATA},
};

static int element_len(const struct cp_capf_msg *m, enum cp_capf_tag tag)
{
	switch (tag) {
	case CP_CAPF_CERT: return (int)m->cert.len + 5;
	case CP_CAPF_SIGNED_DATA: return (int)m->signed_data.len;
	case CP_CAPF_PUBLIC_KEY: return (int)m->public_key.len;
	case CP_CAPF_KEY_SIZE: return 2;
	case CP_CAPF_PASSWORD: return (int)m->password.len + 1;
	case CP_CAPF_DEVICE: return 16;
	case CP_CAPF_SUDI: return (int)m->sudi.len;
	case CP_CAPF_SHA2_SIGNED_DATA: return (int)m->sha2.len + 3;
	default: return 1;
	}
}

/* What a recording holds: every message of it, its elements by the comment, and nothing else. */
static void one_recorded(const char *file, const struct dlg_msg *d, void *ctx)
{
	uint8_t out[CP_CAPF_MSG_MAX];
	struct cp_capf_msg m;
	uint32_t session;
	unsigned said = 0;

	(void)ctx;
	if (cp_capf_parse(d->buf, d->len, &m) != 0) {
		CU_FAIL("not read");
		fprintf(stderr, "%s: %s\n", file, d->said);
		return;
	}
	CU_ASSERT_EQUAL(cp_capf_frame(d->buf, d->len, &session), (int)d->len);
	CU_ASSERT_EQUAL(session, m.session);
	CU_ASSERT_EQUAL(strncmp(d->said, cp_capf_cmd_name(m.cmd), strlen(cp_capf_cmd_name(m.cmd))), 0);
	CU_ASSERT_EQUAL(m.skipped, 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int len = dlg_said_len(d, names[i].name);

		CU_ASSERT_EQUAL(len >= 0, (m.have & CP_CAPF_BIT(names[i].tag)) != 0);
		if (len >= 0) {
			CU_ASSERT_EQUAL(len, element_len(&m, names[i].tag));
			said |= CP_CAPF_BIT(names[i].tag);
		}
	}
	CU_ASSERT_EQUAL(said, m.have);
	CU_ASSERT_EQUAL(cp_capf_build(&m, out, sizeof(out)), (int)d->len);
	CU_ASSERT_EQUAL(memcmp(out, d->buf, d->len), 0);
	CU_ASSERT_EQUAL(cp_capf_build(&m, out, d->len), (int)d->len);
	for (size_t room = 0; room < d->len; room++)
		if (cp_capf_build(&m, out, room) != -EMSGSIZE)
			CU_FAIL("written past its room");

	/* cut at every length: asked for more, and never taken */
	for (size_t n = 0; n < d->len; n++) {
		uint8_t *cut = malloc(n > 0 ? n : 1);
		struct cp_capf_msg untouched = {.cmd = 99};
		int rc;

		memcpy(cut, d->buf, n);
		rc = cp_capf_frame(cut, n, NULL);
		if (rc != (n < CP_CAPF_HDR_LEN ? 0 : (int)d->len))
			CU_FAIL("a cut message's length");
		rc = cp_capf_parse(cut, n, &untouched);
		if (rc != -EBADMSG || untouched.cmd != 99)
			CU_FAIL("a cut message was taken");
		free(cut);
	}
	/* every byte of header and tags changed: read as something else, or not at all, but never out of bounds */
	for (size_t n = 0; n < d->len && n < 64; n++)
		for (unsigned x = 1; x < 256; x++) {
			uint8_t *bent = malloc(d->len);
			struct cp_capf_msg b;

			memcpy(bent, d->buf, d->len);
			bent[n] ^= (uint8_t)x;
			if (cp_capf_parse(bent, d->len, &b) == 0 && cp_capf_build(&b, out, sizeof(out)) < 0)
				CU_FAIL("read, and cannot be written");
			free(bent);
		}
}

static void test_recorded(void)
{
	CU_ASSERT_EQUAL(dlg_each("set-a-sha1", "capf", NULL, one_recorded, NULL), 70);
	CU_ASSERT_EQUAL(dlg_each("set-b-sha512", "capf", NULL, one_recorded, NULL), 70);
}

struct found {
	struct cp_capf_msg m;
	uint8_t buf[8192];
};

static void keep_auth(const char *file, const struct dlg_msg *d, void *ctx)
{
	struct found *f = ctx;

	(void)file;
	if (d->from != 'C' || d->buf[1] != CP_CAPF_AUTH_RESPONSE)
		return;
	memcpy(f->buf, d->buf, d->len);
	CU_ASSERT_EQUAL(cp_capf_parse(f->buf, d->len, &f->m), 0);
}

static void test_fields(void)
{
	static struct found f;
	struct cp_capf_sudi sudi;

	CU_ASSERT_NOT_EQUAL(dlg_each("set-a-sha1", "capf", "install-password-ec256.txt", keep_auth, &f), 0);
	CU_ASSERT_EQUAL(f.m.session, 2);
	CU_ASSERT_EQUAL(f.m.reason, CP_CAPF_DONE);
	CU_ASSERT_EQUAL(f.m.version, 3);
	CU_ASSERT_STRING_EQUAL(f.m.device, "SEP0A1B2C3D4E51");
	CU_ASSERT_EQUAL(f.m.device_raw.len, 16);
	CU_ASSERT(f.m.password.len == 6 && memcmp(f.m.password.p, "123456", 6) == 0);

	CU_ASSERT_NOT_EQUAL(dlg_each("set-a-sha1", "capf", "install-micauth-rsa2048.txt", keep_auth, &f), 0);
	CU_ASSERT_EQUAL(f.m.session, 5);
	CU_ASSERT_EQUAL(f.m.password.len, 0); /* null string */
	CU_ASSERT_EQUAL(f.m.cert.len, 941);
	CU_ASSERT_EQUAL(f.m.signed_data.len, 256);
	CU_ASSERT_EQUAL(f.m.sha2_hash, CP_CAPF_SHA512);
	CU_ASSERT_EQUAL(f.m.sha2.len, 256);
	CU_ASSERT_EQUAL(cp_capf_sudi_parse(f.m.sudi, &sudi), 0);
	CU_ASSERT_EQUAL(sudi.cert.len, 941);
	CU_ASSERT_EQUAL(memcmp(sudi.cert.p, f.m.cert.p, 941), 0);
	CU_ASSERT_EQUAL(sudi.sha1.len, 256);
	CU_ASSERT_EQUAL(sudi.sha512.len, 256);
	for (size_t n = 0; n < f.m.sudi.len; n++) { /* cut at every length: whole elements, or nothing */
		struct cp_capf_bytes cut = {f.m.sudi.p, n};

		if (cp_capf_sudi_parse(cut, &sudi) != -EBADMSG)
			CU_FAIL("a cut tag 16 was taken");
	}
}

/* 'body' behind a header that fits it. */
static int read_body(const void *body, size_t len, struct cp_capf_msg *m)
{
	uint8_t *buf = malloc(8 + len);
	int rc;

	memcpy(buf, "\x55\x02\0\0\0\1", 6);
	buf[6] = (uint8_t)(len >> 8);
	buf[7] = (uint8_t)len;
	memcpy(buf + 8, body, len);
	rc = cp_capf_parse(buf, 8 + len, m);
	free(buf);
	return rc;
}

#define READ(body, m) read_body(body, sizeof(body) - 1, m)

static void test_elements(void)
{
	struct cp_capf_msg m;
	uint8_t out[64];

	/* unknown elements, and those without a known layout, are skipped; as often as they come */
	CU_ASSERT_EQUAL(READ("\x0e\0\2ab\x0e\0\0\x63\0\1z\x01\0\1\x01", &m), 0);
	CU_ASSERT(m.skipped == 3 && m.have == CP_CAPF_BIT(CP_CAPF_REASON) && m.reason == 1);
	CU_ASSERT_EQUAL(READ("", &m), 0);
	CU_ASSERT_EQUAL(m.have, 0);
	/* repeated */
	CU_ASSERT_EQUAL(READ("\x01\0\1\x01\x01\0\1\x01", &m), -EBADMSG);
	/* too short and too long for their layout */
	CU_ASSERT_EQUAL(READ("\x01\0\0", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ("\x01\0\2\1\1", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ("\x0a\0\1\x08", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ("\x0a\0\2\x08\0", &m), 0);
	CU_ASSERT_EQUAL(m.key_bits, 2048);
	CU_ASSERT_EQUAL(READ("\x0a\0\3\x08\0\0", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ("\x01\0", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ("\x01\xff\xff\x01", &m), -EBADMSG);
	/* certificates: the two lengths agree, and there is one */
	CU_ASSERT_EQUAL(READ("\x04\0\6\1\0\3\0\1x", &m), 0);
	CU_ASSERT(m.cert.len == 1 && m.cert_kind == CP_CAPF_IS_LSC);
	CU_ASSERT_EQUAL(READ("\x04\0\6\1\0\4\0\1x", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ("\x04\0\6\2\0\3\0\1x", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ("\x04\0\6\1\0\3\1\1x", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ("\x04\0\5\1\0\2\0\1", &m), -EBADMSG);
	/* passwords */
	CU_ASSERT_EQUAL(READ("\x0b\0\1\0", &m), 0);
	CU_ASSERT(m.password.len == 0 && m.password.p != NULL);
	CU_ASSERT_EQUAL(READ("\x0b\0\0", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ("\x0b\0\4" "1234", &m), -EBADMSG); /* no NUL */
	CU_ASSERT_EQUAL(READ("\x0b\0\5" "12\0" "4\0", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ("\x0b\0\x10" "123456789012345\0", &m), 0);
	CU_ASSERT_EQUAL(READ("\x0b\0\x11" "1234567890123456\0", &m), -EBADMSG);
	/* device names */
	CU_ASSERT_EQUAL(READ("\x0d\0\x10" "SEP001122aaBBcc\0", &m), 0);
	CU_ASSERT_STRING_EQUAL(m.device, "SEP001122aaBBcc");
	CU_ASSERT_EQUAL(READ("\x0d\0\x10" "SEP001122aaBBcg\0", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ("\x0d\0\x10" "SEX001122aaBBcc\0", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ("\x0d\0\x10" "SEP001122aaBBccc", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ("\x0d\0\x0f" "SEP001122aaBBcc", &m), -EBADMSG);
	/* SHA-2 signature: its own length */
	CU_ASSERT_EQUAL(READ("\x14\0\5\3\0\2ab", &m), 0);
	CU_ASSERT(m.sha2_hash == 3 && m.sha2.len == 2);
	CU_ASSERT_EQUAL(READ("\x14\0\5\3\0\1ab", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ("\x14\0\5\3\0\3ab", &m), -EBADMSG);

	/* tag 16: its certificate and SHA-512 signature are needed, nothing twice, nothing else */
	CU_ASSERT_EQUAL(cp_capf_sudi_parse((struct cp_capf_bytes){(const uint8_t *)"\0\0\1c\3\0\1s", 8}, &(struct cp_capf_sudi){0}), 0);
	CU_ASSERT_EQUAL(cp_capf_sudi_parse((struct cp_capf_bytes){(const uint8_t *)"\0\0\1c\1\0\1s", 8}, &(struct cp_capf_sudi){0}), -EBADMSG);
	CU_ASSERT_EQUAL(cp_capf_sudi_parse((struct cp_capf_bytes){(const uint8_t *)"\0\0\1c\0\0\1c\3\0\1s", 12}, &(struct cp_capf_sudi){0}), -EBADMSG);
	CU_ASSERT_EQUAL(cp_capf_sudi_parse((struct cp_capf_bytes){(const uint8_t *)"\0\0\1c\3\0\1s\7\0\0", 11}, &(struct cp_capf_sudi){0}), -EBADMSG);

	/* what cannot be written */
	m = (struct cp_capf_msg){.cmd = CP_CAPF_AUTH_RESPONSE, .have = CP_CAPF_BIT(CP_CAPF_DEVICE), .device = "SEP"};
	CU_ASSERT_EQUAL(cp_capf_build(&m, out, sizeof(out)), -EINVAL);
	m = (struct cp_capf_msg){.cmd = CP_CAPF_AUTH_RESPONSE, .have = CP_CAPF_BIT(12)};
	CU_ASSERT_EQUAL(cp_capf_build(&m, out, sizeof(out)), -EINVAL);
	m = (struct cp_capf_msg){.cmd = CP_CAPF_STORE_CERT_REQUEST, .have = CP_CAPF_BIT(CP_CAPF_CERT)};
	CU_ASSERT_EQUAL(cp_capf_build(&m, out, sizeof(out)), -EINVAL);
}

static void test_frame(void)
{
	uint32_t session = 9;

	CU_ASSERT_EQUAL(cp_capf_frame((const uint8_t *)"", 0, &session), 0);
	CU_ASSERT_EQUAL(session, 0);
	CU_ASSERT_EQUAL(cp_capf_frame((const uint8_t *)"\x16", 1, NULL), -EPROTO); /* TLS inside TLS, say */
	CU_ASSERT_EQUAL(cp_capf_frame((const uint8_t *)"\x55\x02\0\0\1\2\0\4", 8, &session), 12);
	CU_ASSERT_EQUAL(session, 258);
	CU_ASSERT_EQUAL(cp_capf_frame((const uint8_t *)"\x55\x02\0\0\1\2\x3f\xf8", 8, NULL), CP_CAPF_MSG_MAX);
	CU_ASSERT_EQUAL(cp_capf_frame((const uint8_t *)"\x55\x02\0\0\1\2\x3f\xf9", 8, &session), -EMSGSIZE);
	CU_ASSERT_EQUAL(session, 258); /* END_SESSION carries it */
	CU_ASSERT_STRING_EQUAL(cp_capf_cmd_name(17), "REQUEST_IN_PROGRESS");
	CU_ASSERT_STRING_EQUAL(cp_capf_cmd_name(5), "unknown");
	CU_ASSERT_STRING_EQUAL(cp_capf_cmd_name(255), "unknown");
}

static CU_TestInfo tests[] = {
	{"recordings, read and written again; cut; bent", test_recorded},
	{"fields of recorded messages", test_fields},
	{"elements that break their layout", test_elements},
	{"framing", test_frame},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("capfmsg", tests, NULL, NULL)
