/* SPDX-License-Identifier: BSD-3-Clause */
/* TVS's messages: recordings of other programs, a published trace's layout, and what is no message. */
#include <errno.h>

#include "dialogue.h"
#include "enrol/tvsmsg.h"
#include "suite.h"

static const struct {
	const char *name;
	enum cp_tvs_tag tag;
} names[] = {
	{"device-name", CP_TVS_DEVICE}, {"certificate", CP_TVS_CERT}, {"subject", CP_TVS_SUBJECT}, {"issuer", CP_TVS_ISSUER},
	{"serial", CP_TVS_SERIAL},	{"status", CP_TVS_STATUS},    {"roles", CP_TVS_ROLES},	   {"ttl", CP_TVS_TTL},
};

static int element_len(const struct cp_tvs_msg *m, enum cp_tvs_tag tag)
{
	switch (tag) {
	case CP_TVS_DEVICE: return (int)strlen(m->device) + 1;
	case CP_TVS_CERT: return (int)m->cert_len;
	case CP_TVS_SUBJECT: return (int)strlen(m->subject) + 1;
	case CP_TVS_ISSUER: return (int)strlen(m->issuer) + 1;
	case CP_TVS_SERIAL: return (int)m->serial_len;
	case CP_TVS_ROLES: return (int)m->role_cnt;
	case CP_TVS_TTL: return 4;
	default: return 1;
	}
}

static void one_recorded(const char *file, const struct dlg_msg *d, void *ctx)
{
	static const char *const types[] = {"", "VERIFY_REQUEST", "VERIFY_RESPONSE", "QUERY_REQUEST", "QUERY_RESPONSE"};
	uint8_t out[CP_TVS_MSG_MAX];
	struct cp_tvs_msg m;
	unsigned said = 0;

	(void)ctx;
	if (cp_tvs_parse(d->buf, d->len, &m) != 0) {
		CU_FAIL("not read");
		fprintf(stderr, "%s: %s\n", file, d->said);
		return;
	}
	CU_ASSERT_EQUAL(cp_tvs_frame(d->buf, d->len), (int)d->len);
	CU_ASSERT_EQUAL(strncmp(d->said, types[m.type], strlen(types[m.type])), 0);
	CU_ASSERT_EQUAL(m.skipped, 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int len = dlg_said_len(d, names[i].name);

		CU_ASSERT_EQUAL(len >= 0, (m.have & CP_TVS_BIT(names[i].tag)) != 0);
		if (len >= 0) {
			CU_ASSERT_EQUAL(len, element_len(&m, names[i].tag));
			said |= CP_TVS_BIT(names[i].tag);
		}
	}
	CU_ASSERT_EQUAL(said, m.have);
	if ((m.have & CP_TVS_BIT(CP_TVS_TTL)) != 0) {
		const char *ttl = strstr(d->said, "ttl[4]=");

		CU_ASSERT(ttl != NULL && m.ttl_s == strtoul(ttl + 7, NULL, 16));
		CU_ASSERT(m.status == CP_TVS_VALID && m.role_cnt > 0 && m.ttl_s >= 1 && m.ttl_s <= CP_TVS_TTL_MAX_S);
	}
	CU_ASSERT_EQUAL(cp_tvs_build(&m, out, sizeof(out)), (int)d->len);
	CU_ASSERT_EQUAL(memcmp(out, d->buf, d->len), 0);
	for (size_t room = 0; room < d->len; room++)
		if (cp_tvs_build(&m, out, room) != -EMSGSIZE)
			CU_FAIL("written past its room");
	for (size_t n = 0; n < d->len; n++) {
		uint8_t *cut = malloc(n > 0 ? n : 1);
		struct cp_tvs_msg untouched = {.type = 99};

		memcpy(cut, d->buf, n);
		if (cp_tvs_frame(cut, n) != (n < CP_TVS_HDR_LEN ? 0 : (int)d->len))
			CU_FAIL("a cut message's length");
		if (cp_tvs_parse(cut, n, &untouched) != -EBADMSG || untouched.type != 99)
			CU_FAIL("a cut message was taken");
		free(cut);
	}
	for (size_t n = 0; n < d->len && n < 80; n++)
		for (unsigned x = 1; x < 256; x++) {
			uint8_t *bent = malloc(d->len);
			struct cp_tvs_msg b;

			memcpy(bent, d->buf, d->len);
			bent[n] ^= (uint8_t)x;
			if (cp_tvs_parse(bent, d->len, &b) == 0 && cp_tvs_build(&b, out, sizeof(out)) < 0)
				CU_FAIL("read, and cannot be written");
			free(bent);
		}
}

static void test_recorded(void)
{
	CU_ASSERT_EQUAL(dlg_each("set-a-sha1", "tvs", NULL, one_recorded, NULL), 16);
	CU_ASSERT_EQUAL(dlg_each("set-b-sha512", "tvs", NULL, one_recorded, NULL), 16);
	CU_ASSERT_EQUAL(dlg_each("set-c-sha256", "tvs", NULL, one_recorded, NULL), 6);
}

/* A request by name and serial as a phone of the 8861 sent it, and the answer's last bytes: lengths of a published trace. */
static void test_trace(void)
{
	static const uint8_t serial[19] = {0x24, 0, 0, 0, 0x17, 0x94, 0x79, 0xb8, 0xf1, 0x24, 0xac, 0x3f, 0x3b, 0, 0, 0, 0, 0, 0x17};
	static const uint8_t cert[1451] = {0x30, 0x82};
	struct cp_tvs_msg m = {
		.type = CP_TVS_QUERY_REQUEST,
		.id = 0x3e9,
		.have = CP_TVS_BIT(CP_TVS_DEVICE) | CP_TVS_BIT(CP_TVS_SUBJECT) | CP_TVS_BIT(CP_TVS_ISSUER) | CP_TVS_BIT(CP_TVS_SERIAL),
		.device = "CP-8861-SEPB000B4BA0AEE",
		.subject = "CN=ucm11pub.stormin.local;OU=IST;O=Stormin;L=Brisbane;ST=QLD;C=AU",
		.issuer = "CN=stormin-WIN2012-CA",
		.serial = serial,
		.serial_len = sizeof(serial),
	}, back;
	uint8_t out[CP_TVS_MSG_MAX];

	CU_ASSERT_EQUAL(cp_tvs_build(&m, out, sizeof(out)), 153);
	CU_ASSERT_EQUAL(memcmp(out, "\x57\x01\x03\x00\0\0\x03\xe9\0\x8f\x01\0\x18\x01" "CP-8861", 21), 0);
	m = (struct cp_tvs_msg){
		.type = CP_TVS_QUERY_RESPONSE,
		.id = 0x3e9,
		.have = CP_TVS_BIT(CP_TVS_STATUS) | CP_TVS_BIT(CP_TVS_CERT) | CP_TVS_BIT(CP_TVS_ROLES) | CP_TVS_BIT(CP_TVS_TTL),
		.cert = cert,
		.cert_len = sizeof(cert),
		.roles = {0, 3},
		.role_cnt = 2,
		.ttl_s = 86400,
	};
	CU_ASSERT_EQUAL(cp_tvs_build(&m, out, sizeof(out)), 1480);
	CU_ASSERT_EQUAL(memcmp(out + 10, "\x07\0\1\0\x02\x05\xab\x30\x82", 9), 0);
	CU_ASSERT_EQUAL(memcmp(out + 1468, "\x08\0\2\0\3\x09\0\4\0\1\x51\x80", 12), 0);
	out[3] = 0xf7; /* a real server's reserved byte */
	CU_ASSERT_EQUAL(cp_tvs_parse(out, 1480, &back), 0);
	CU_ASSERT(back.role_cnt == 2 && back.roles[1] == 3 && back.ttl_s == 86400 && back.cert_len == 1451);
}

static int read_body(unsigned type, const void *body, size_t len, struct cp_tvs_msg *m)
{
	uint8_t *buf = malloc(10 + len);
	int rc;

	memcpy(buf, "\x57\x01\0\0\0\0\0\1", 8);
	buf[2] = (uint8_t)type;
	buf[8] = (uint8_t)(len >> 8);
	buf[9] = (uint8_t)len;
	memcpy(buf + 10, body, len);
	rc = cp_tvs_parse(buf, 10 + len, m);
	free(buf);
	return rc;
}

#define READ(type, body, m) read_body(type, body, sizeof(body) - 1, m)

static void test_elements(void)
{
	struct cp_tvs_msg m;
	uint8_t out[16], big[CP_TVS_DN_MAX + 4];

	CU_ASSERT_EQUAL(READ(1, "\x02\0\1c", &m), 0);
	CU_ASSERT_EQUAL(READ(1, "\x02\0\0", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ(1, "", &m), -EBADMSG); /* without what its type needs */
	CU_ASSERT_EQUAL(READ(1, "\x04\0\5" "CN=a\0\x05\0\1\1", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ(3, "\x04\0\5" "CN=a\0\x05\0\1\1", &m), 0);
	CU_ASSERT_EQUAL(READ(3, "\x04\0\5" "CN=a\0", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ(3, "\x05\0\1\1", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ(3, "\x04\0\4" "CN=a\x05\0\1\1", &m), -EBADMSG); /* no NUL */
	CU_ASSERT_EQUAL(READ(3, "\x04\0\5" "C\0=a\0\x05\0\1\1", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ(3, "\x04\0\5" "CN=a\0\x05\0\0", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ(0, "\x02\0\1c", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ(5, "\x02\0\1c", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ(2, "\x07\0\1\1", &m), 0);
	CU_ASSERT_EQUAL(m.status, CP_TVS_NOT_VALID);
	CU_ASSERT_EQUAL(READ(2, "\x07\0\2\1\1", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ(2, "\x07\0\1\0\x09\0\3\0\0\1", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ(1, "\x02\0\1c\x02\0\1c", &m), -EBADMSG); /* twice */
	CU_ASSERT_EQUAL(READ(1, "\x02\0\1c\x06\0\1?\x63\0\0\x06\0\0", &m), 0); /* unknown: skipped */
	CU_ASSERT_EQUAL(m.skipped, 3);
	CU_ASSERT_EQUAL(READ(1, "\x01\0\5\1SEP1\x02\0\1c", &m), 0);
	CU_ASSERT_STRING_EQUAL(m.device, "SEP1");
	CU_ASSERT_EQUAL(READ(1, "\x01\0\5\2SEP1\x02\0\1c", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ(1, "\x01\0\5\1SE\n1\x02\0\1c", &m), -EBADMSG);
	CU_ASSERT_EQUAL(READ(2, "\x07\0\1\0\x08\0\x10" "0123456789abcdef", &m), 0);
	CU_ASSERT_EQUAL(READ(2, "\x07\0\1\0\x08\0\x11" "0123456789abcdefg", &m), -EBADMSG);
	/* a name of the longest size, and one longer */
	memset(big, 'x', sizeof(big));
	big[0] = CP_TVS_ISSUER;
	big[1] = CP_TVS_DN_MAX >> 8;
	big[2] = CP_TVS_DN_MAX & 255;
	big[2 + CP_TVS_DN_MAX] = 0;
	CU_ASSERT_EQUAL(read_body(3, big, 3 + CP_TVS_DN_MAX, &m), -EBADMSG); /* a serial is missing, and that only: */
	big[2] += 1;
	big[2 + CP_TVS_DN_MAX] = 'x';
	big[3 + CP_TVS_DN_MAX] = 0;
	CU_ASSERT_EQUAL(read_body(2, big, 4 + CP_TVS_DN_MAX, &m), -EBADMSG);

	CU_ASSERT_EQUAL(cp_tvs_frame((const uint8_t *)"\x57\x02", 2), -EPROTO);
	CU_ASSERT_EQUAL(cp_tvs_frame((const uint8_t *)"\x55", 1), -EPROTO);
	CU_ASSERT_EQUAL(cp_tvs_frame((const uint8_t *)"\x57\1\1\0\0\0\0\1\x1f\xf6", 10), CP_TVS_MSG_MAX);
	CU_ASSERT_EQUAL(cp_tvs_frame((const uint8_t *)"\x57\1\1\0\0\0\0\1\x1f\xf7", 10), -EMSGSIZE);
	m = (struct cp_tvs_msg){.type = CP_TVS_VERIFY_RESPONSE};
	CU_ASSERT_EQUAL(cp_tvs_build(&m, out, sizeof(out)), -EINVAL);
	m.have = CP_TVS_BIT(CP_TVS_STATUS) | CP_TVS_BIT(6);
	CU_ASSERT_EQUAL(cp_tvs_build(&m, out, sizeof(out)), -EINVAL);
}

static CU_TestInfo tests[] = {
	{"recordings, read and written again; cut; bent", test_recorded},
	{"a published trace", test_trace},
	{"elements that break their layout", test_elements},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("tvsmsg", tests, NULL, NULL)
