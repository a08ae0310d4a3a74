/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/store/records.c, fields.c, check.c: round trips, every truncation, unknown and newer, validity. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "api/dp_msg.h"
#include "store/owner.h"
#include "store/records.h"

static struct cp_line two_lines[2] = {{.number = "1000", .label = "Anna"}, {.number = "*21#", .partition = "codes", .css = "inside"}};
static struct cp_endpoint eps[2] = {{.name = "aaln/1"}, {.name = "S2/DS1-0/1"}};
static struct cp_gw_number nums[2] = {{"4989", true, ""}, {"2000", false, "aaln/1"}};

static struct cp_device device(void)
{
	struct cp_device d = {.name = "SEP0011AABBCCDD", .mode = CP_DEVICE_ENCRYPTED, .suite = 1, .description = "Büro 1",
			      .model = "7965", .region = "default", .srtp = true, .line_cnt = 2,
			      .lines = two_lines, .changed_us = 1700000000000000};
	return d;
}

static struct cp_gateway gateway(void)
{
	struct cp_gateway g = {.name = "gw1.example", .gw_id = 16383, .region = "default",
			       .flags = CP_GW_X_CRYPTO | CP_GW_MGCP_01 | CP_GW_SRTCP_CLEAR,
			       .suite = DP_AEAD_AES_256_GCM, .mki_len = 8, .lifetime = 48, .endpoint_cnt = 2, .endpoints = eps,
			       .dialect = CP_GW_AUTO, .heard = CP_GW_HEARD | CP_GW_HEARD_01, .heard_port = 2427, .piggyback = true,
			       .digit_map = "(0T|[1-7]xxx|9011x.T)", .quarantine = CP_GW_Q_LOOP, .bearer = CP_GW_B_A,
			       .number_cnt = 2, .numbers = nums, .changed_us = 5};
	CU_ASSERT_EQUAL(cfg_addr_parse("10.0.0.9:2427", &g.address), 0);
	return g;
}

static struct cp_sa sa(void)
{
	static uint8_t sealed[] = {0, 1, 2, 0, 0xff};
	struct cp_sa s = {.name = "gw1-in", .gateway = "gw1.example", .sa_id = 7, .spi = 0x12345678,
			  .dir = DP_DIR_RECV, .alg = DP_ESP_AES_GCM_128, .mode = DP_ESP_TRANSPORT, .esn = true,
			  .seq_reserved = UINT64_C(1) << 40, .sealed = {sealed, sizeof(sealed)}};
	CU_ASSERT_EQUAL(cfg_addr_parse("2001:db8::1", &s.local), 0);
	CU_ASSERT_EQUAL(cfg_addr_parse("[2001:db8::2]:4500", &s.remote), 0);
	return s;
}

static struct cp_call_rec call(void)
{
	struct cp_call_rec c = {.call_id = UINT64_C(0xfedcba9876543210), .state = 3, .security = 3,
				.mgcp_call_id = "A1", .started_us = 9, .leg_cnt = 2};
	c.leg[0] = (struct cp_call_leg){.leg_id = 5, .sa_gw_id = UINT32_MAX, .party = "SEP0011AABBCCDD",
					.number = "1000", .line = 1, .callref = 77, .rx_suite = 1, .tx_suite = 2,
					.codec = 4, .event_pt = 101, .rekeying = 1};
	c.leg[1] = (struct cp_call_leg){.leg_id = 6, .sa_gw_id = 3, .party = "gw1.example", .endpoint = "aaln/1",
					.conn_id = "32F345E2", .number = "2000"};
	CU_ASSERT_EQUAL(cfg_addr_parse("10.1.1.1:16400", &c.leg[0].remote), 0);
	return c;
}

static void test_round_trips(void)
{
	struct cp_device d = device(), d2;
	struct cp_gateway g = gateway(), g2;
	struct cp_sa s = sa(), s2;
	struct cp_call_rec c = call(), c2;
	struct cp_buf b, again;

	CU_ASSERT_EQUAL_FATAL(cp_device_build(&d, &b), 0);
	CU_ASSERT_EQUAL_FATAL(cp_device_parse(b.data, b.len, &d2), 0);
	CU_ASSERT_EQUAL(d2.line_cnt, 2);
	CU_ASSERT_EQUAL(memcmp(d2.lines, two_lines, sizeof(two_lines)), 0);
	CU_ASSERT_STRING_EQUAL(d2.description, "Büro 1");
	CU_ASSERT(d2.srtp && d2.suite == 1 && d2.mode == CP_DEVICE_ENCRYPTED && d2.changed_us == d.changed_us);
	CU_ASSERT_EQUAL_FATAL(cp_device_build(&d2, &again), 0);
	CU_ASSERT(again.len == b.len && memcmp(again.data, b.data, b.len) == 0);
	free(b.data);
	free(again.data);
	cp_device_free(&d2);
	cp_device_free(&d2); /* allowed */

	CU_ASSERT_EQUAL_FATAL(cp_gateway_build(&g, &b), 0);
	CU_ASSERT_EQUAL_FATAL(cp_gateway_parse(b.data, b.len, &g2), 0);
	CU_ASSERT(g2.gw_id == 16383 && g2.flags == g.flags && g2.suite == DP_AEAD_AES_256_GCM && g2.mki_len == 8 &&
		  g2.lifetime == 48 && g2.endpoint_cnt == 2 && g2.number_cnt == 2);
	CU_ASSERT_EQUAL(memcmp(&g2.address, &g.address, sizeof(g.address)), 0);
	CU_ASSERT_EQUAL(memcmp(g2.numbers, nums, sizeof(nums)), 0);
	CU_ASSERT_EQUAL(memcmp(g2.endpoints, eps, sizeof(eps)), 0);
	free(b.data);
	cp_gateway_free(&g2);

	CU_ASSERT_EQUAL_FATAL(cp_sa_build(&s, &b), 0);
	CU_ASSERT_EQUAL_FATAL(cp_sa_parse(b.data, b.len, &s2), 0);
	CU_ASSERT(s2.spi == s.spi && s2.esn && s2.seq_reserved == s.seq_reserved && s2.dir == DP_DIR_RECV);
	CU_ASSERT(s2.sealed.len == 5 && memcmp(s2.sealed.data, s.sealed.data, 5) == 0);
	CU_ASSERT_EQUAL(memcmp(&s2.remote, &s.remote, sizeof(s.remote)), 0);
	CU_ASSERT_EQUAL(s2.sel_local.family, 0);
	free(b.data);
	cp_sa_free(&s2);

	CU_ASSERT_EQUAL_FATAL(cp_call_rec_build(&c, &b), 0);
	CU_ASSERT_EQUAL_FATAL(cp_call_rec_parse(b.data, b.len, &c2), 0);
	CU_ASSERT_EQUAL(c2.call_id, c.call_id);
	CU_ASSERT_EQUAL(c2.leg_cnt, 2);
	CU_ASSERT_EQUAL(memcmp(c2.leg, c.leg, sizeof(c.leg)), 0);
	free(b.data);
	cp_call_rec_free(&c2);
}

/* 1 parsed, 0 refused; parsed things must still be valid, so that nothing half-read passes. */
static int try_parse(int kind, const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1); /* exact size: ASan sees a byte too far */
	int rc;

	if (len > 0)
		memcpy(copy, data, len);
	if (kind == 0) {
		struct cp_device d;

		rc = cp_device_parse(copy, len, &d);
		if (rc == 0) {
			CU_ASSERT_EQUAL(cp_device_check(&d, NULL, 0), 0);
			cp_device_free(&d);
		}
	} else if (kind == 1) {
		struct cp_gateway g;

		rc = cp_gateway_parse(copy, len, &g);
		if (rc == 0) {
			CU_ASSERT_EQUAL(cp_gateway_check(&g, NULL, 0), 0);
			cp_gateway_free(&g);
		}
	} else if (kind == 2) {
		struct cp_sa s;

		rc = cp_sa_parse(copy, len, &s);
		if (rc == 0) {
			CU_ASSERT_EQUAL(cp_sa_check(&s, NULL, 0), 0);
			cp_sa_free(&s);
		}
	} else {
		struct cp_call_rec c;

		rc = cp_call_rec_parse(copy, len, &c);
		if (rc == 0) {
			CU_ASSERT(c.leg_cnt <= 2);
			cp_call_rec_free(&c);
		}
	}
	free(copy);
	CU_ASSERT(rc == 0 || rc == -EBADMSG || rc == -ENOTSUP);
	return rc == 0;
}

static struct cp_buf build(int kind)
{
	struct cp_device d = device();
	struct cp_gateway g = gateway();
	struct cp_sa s = sa();
	struct cp_call_rec c = call();
	struct cp_buf b = {0};
	int rc = kind == 0   ? cp_device_build(&d, &b)
		 : kind == 1 ? cp_gateway_build(&g, &b)
		 : kind == 2 ? cp_sa_build(&s, &b)
			     : cp_call_rec_build(&c, &b);

	CU_ASSERT_EQUAL_FATAL(rc, 0);
	return b;
}

/* A prefix that ends between two fields may still be a record with fewer fields; one that ends inside must not. */
static void test_truncation(void)
{
	for (int kind = 0; kind < 4; kind++) {
		struct cp_buf b = build(kind);
		size_t at = 2;

		for (size_t len = 0; len < b.len; len++) {
			if (len == at) {
				at += 6 + ((size_t)b.data[at + 2] << 24 | (size_t)b.data[at + 3] << 16 |
					   (size_t)b.data[at + 4] << 8 | b.data[at + 5]);
				try_parse(kind, b.data, len);
			} else {
				CU_ASSERT_EQUAL(try_parse(kind, b.data, len), 0);
			}
		}
		CU_ASSERT_EQUAL(at, b.len); /* the walk above met every field */
		CU_ASSERT_EQUAL(try_parse(kind, b.data, b.len), 1);
		free(b.data);
	}
}

static void test_every_byte_changed(void)
{
	for (int kind = 0; kind < 4; kind++) {
		struct cp_buf b = build(kind);

		for (size_t i = 0; i < b.len; i++) {
			uint8_t was = b.data[i];

			for (unsigned v = 0; v < 256; v++) {
				b.data[i] = (uint8_t)v;
				try_parse(kind, b.data, b.len);
			}
			b.data[i] = was;
		}
		free(b.data);
	}
}

static void test_unknown_tags_survive(void)
{
	static const uint8_t extra[] = {0, 60, 0, 0, 0, 3, 'n', 'e', 'w', 1, 0, 0, 0, 0, 0};
	struct cp_buf b = build(0), out;
	uint8_t *with = malloc(b.len + sizeof(extra));
	struct cp_device d;

	memcpy(with, b.data, 2); /* in front of all that is known */
	memcpy(with + 2, extra, sizeof(extra));
	memcpy(with + 2 + sizeof(extra), b.data + 2, b.len - 2);
	CU_ASSERT_EQUAL_FATAL(cp_device_parse(with, b.len + sizeof(extra), &d), 0);
	CU_ASSERT(d.unknown.len == sizeof(extra) && memcmp(d.unknown.data, extra, sizeof(extra)) == 0);
	strcpy(d.description, "changed by an older program");
	CU_ASSERT_EQUAL_FATAL(cp_device_build(&d, &out), 0);
	CU_ASSERT_PTR_NOT_NULL(memmem(out.data, out.len, extra, sizeof(extra)));
	free(out.data);
	cp_device_free(&d);
	free(with);
	free(b.data);
}

static void test_refused(void)
{
	static const uint8_t line_extra[] = {0, 7, 0, 0, 0, 16, 0, 1, 0, 0, 0, 1, '5', 0, 9, 0, 0, 0, 3, 'a', 'b', 'c'};
	struct cp_buf b = build(0);
	uint8_t *more = malloc(b.len + 64);
	struct cp_device d;

	b.data[0] = CP_RECORD_VERSION + 1;
	CU_ASSERT_EQUAL(cp_device_parse(b.data, b.len, &d), -ENOTSUP); /* newer */
	b.data[0] = 0;
	CU_ASSERT_EQUAL(cp_device_parse(b.data, b.len, &d), -EBADMSG);
	b.data[0] = CP_RECORD_VERSION;
	b.data[1] = 2;
	CU_ASSERT_EQUAL(cp_device_parse(b.data, b.len, &d), -EBADMSG); /* another kind */
	b.data[1] = 1;
	memcpy(more, b.data, b.len);
	memcpy(more + b.len, "\0\6\0\0\0\1\1", 7); /* a scalar twice */
	CU_ASSERT_EQUAL(cp_device_parse(more, b.len + 7, &d), -EBADMSG);
	memcpy(more + b.len, line_extra, sizeof(line_extra)); /* unknown inside an item */
	CU_ASSERT_EQUAL(cp_device_parse(more, b.len + sizeof(line_extra), &d), -ENOTSUP);
	memcpy(more + b.len, "\0\74\xff\xff\xff\xff", 6); /* a length that wraps */
	CU_ASSERT_EQUAL(cp_device_parse(more, b.len + 6, &d), -EBADMSG);
	free(more);
	free(b.data);
}

static void test_too_many_items(void)
{
	uint8_t *data = malloc(2 + 64 * 13);
	size_t n = 2;
	struct cp_device d;

	data[0] = CP_RECORD_VERSION;
	data[1] = 1;
	for (int i = 0; i < 64; i++) { /* 64 lines "N", more than CP_DEVICE_LINES_MAX */
		static const uint8_t item[] = {0, 7, 0, 0, 0, 7, 0, 1, 0, 0, 0, 1, '0'};

		memcpy(data + n, item, sizeof(item));
		n += sizeof(item);
	}
	CU_ASSERT_EQUAL(cp_device_parse(data, n, &d), -EBADMSG);
	free(data);
}

static const struct {
	const char *s;
	bool device, number, gw, endpoint, text;
} names[] = {
	{"SEP001122334455", true, false, true, true, true},
	{"SEP00112233445", false, false, true, true, true},
	{"SEP0011223344556", false, false, true, true, true},
	{"SEP00112233445g", false, false, true, true, true},
	{"SEP00112233445a", false, false, true, true, true},
	{"sep001122334455", false, false, true, true, true},
	{"", false, false, false, false, true},
	{"1000", false, true, true, true, true},
	{"+491", false, true, false, false, true},
	{"+", false, false, false, false, true},
	{"4+9", false, false, false, false, true},
	{"*21#", false, true, false, false, true},
	{"12a", false, false, true, true, true},
	{"01234567890123456789012345678901", false, true, true, true, true},
	{"012345678901234567890123456789012", false, false, true, true, true},
	{"aaln/1", false, false, false, true, true},
	{"a b", false, false, false, false, true},
	{"a@b", false, false, false, false, true},
	{"a\nb", false, false, false, false, false},
	{"\xc3\xbc", false, false, false, false, true},
	{"\xc3", false, false, false, false, false},
	{"\xc0\x80", false, false, false, false, false},
	{"\xe0\x80\x80", false, false, false, false, false},
	{"\xed\xa0\x80", false, false, false, false, false},
	{"\xf0\x9f\x93\x9e", false, false, false, false, true},
	{"\xf4\x90\x80\x80", false, false, false, false, false},
	{"\xc2\x85", false, false, false, false, false},
	{"\x7f", false, false, false, false, false},
};

static void test_names(void)
{
	char big[80];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		CU_ASSERT_EQUAL(cp_device_name_ok(names[i].s), names[i].device);
		CU_ASSERT_EQUAL(cp_number_ok(names[i].s), names[i].number);
		CU_ASSERT_EQUAL(cp_gw_name_ok(names[i].s), names[i].gw);
		CU_ASSERT_EQUAL(cp_endpoint_name_ok(names[i].s), names[i].endpoint);
		CU_ASSERT_EQUAL(cp_text_ok(names[i].s), names[i].text);
	}
	memset(big, 'a', 63);
	big[63] = '\0';
	CU_ASSERT(cp_text_ok(big) && cp_gw_name_ok(big) && cp_endpoint_name_ok(big));
	big[63] = 'a';
	big[64] = '\0';
	CU_ASSERT(!cp_text_ok(big) && !cp_gw_name_ok(big) && !cp_endpoint_name_ok(big));
	{
		static const char *const ports[] = {"CiscoUM-VI1", "a-VI999", "Unity-2-VI10", "CiscoUMxxx-VI99"};
		static const char *const not_ports[] = {"CiscoUM-VI0", "CiscoUM-VI01", "CiscoUM-VI1000", "-VI1", "1-VI1", "SEP1-VI1", "CiscoUM-VI",
							"CiscoUM-VI1x", "CiscoUM-V1", "Cisco.UM-VI1", "CiscoUMxxx-VI999", "CiscoUM", ""};

		for (unsigned i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
			CU_ASSERT(cp_vm_port_name_ok(ports[i]) && !cp_device_name_ok(ports[i]));
		for (unsigned i = 0; i < sizeof(not_ports) / sizeof(not_ports[0]); i++)
			CU_ASSERT_FALSE(cp_vm_port_name_ok(not_ports[i]));
	}
}

static void test_validity(void)
{
	struct cp_device d = device();
	struct cp_gateway g = gateway();
	struct cp_sa s = sa();
	struct cp_line dup[2] = {{.number = "1"}, {.number = "1"}};
	struct cp_gw_number foreign = {"1", false, "aaln/9"};
	char why[160] = "";

	CU_ASSERT_EQUAL(cp_device_check(&d, why, sizeof(why)), 0);
	d.lines = dup;
	CU_ASSERT_EQUAL(cp_device_check(&d, why, sizeof(why)), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "number 1 twice"));
	d = device();
	d.mode = 0;
	CU_ASSERT_EQUAL(cp_device_check(&d, why, sizeof(why)), -EINVAL);
	d = device();
	d.region[0] = '\0';
	CU_ASSERT_EQUAL(cp_device_check(&d, why, sizeof(why)), -EINVAL);

	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), 0);
	g.numbers = &foreign;
	g.number_cnt = 1;
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "not of this gateway"));
	g = gateway();
	g.address.port = 0;
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), -EINVAL);
	g = gateway();
	g.flags = 1 << 7;
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), -EINVAL);
	g = gateway();
	g.suite = DP_NULL_HMAC_SHA1_80;
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), -EINVAL);
	g.suite = DP_SRTP_SUITE_MAX;
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), -EINVAL);
	g = gateway();
	g.mki_len = 9;
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), -EINVAL);
	g = gateway();
	g.lifetime = 15;
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), -EINVAL);
	g.lifetime = 49;
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), -EINVAL);
	g = gateway();
	strcpy(g.group, "p stn");
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), -EINVAL);
	g = gateway();
	g.priority = CP_GW_PRIORITIES + 1;
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), -EINVAL);
	g = gateway();
	g.weight = CP_GW_WEIGHT_MAX + 1;
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), -EINVAL);
	g = gateway();
	g.admin = CP_ADMIN_MAX;
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), -EINVAL);
	g = gateway();
	strcpy(g.incoming, "1a");
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), -EINVAL);
	d = device();
	d.suite = DP_AEAD_AES_256_GCM; /* nothing that SCCP could say */
	CU_ASSERT_EQUAL(cp_device_check(&d, why, sizeof(why)), -EINVAL);
	d.suite = DP_AEAD_AES_128_GCM;
	CU_ASSERT_EQUAL(cp_device_check(&d, why, sizeof(why)), 0);

	CU_ASSERT_EQUAL(cp_sa_check(&s, why, sizeof(why)), 0);
	s.spi = 255;
	CU_ASSERT_EQUAL(cp_sa_check(&s, why, sizeof(why)), -EINVAL);
	s = sa();
	s.sealed.len = 0;
	CU_ASSERT_EQUAL(cp_sa_check(&s, why, sizeof(why)), -EINVAL);
	s = sa();
	s.remote.family = 4;
	CU_ASSERT_EQUAL(cp_sa_check(&s, why, sizeof(why)), -EINVAL);
}

static void test_owner(void)
{
	struct cp_owner o = {.kind = CP_DIR_GATEWAY, .name = "gw1"}, back;
	struct cp_buf b;

	CU_ASSERT_EQUAL_FATAL(cp_owner_build(&o, &b), 0);
	CU_ASSERT_EQUAL_FATAL(cp_owner_parse(b.data, b.len, &back), 0);
	CU_ASSERT(back.kind == CP_DIR_GATEWAY && strcmp(back.name, "gw1") == 0);
	for (size_t len = 0; len < b.len; len++) {
		uint8_t *cut = malloc(len > 0 ? len : 1);

		memcpy(cut, b.data, len);
		CU_ASSERT(cp_owner_parse(cut, len, &back) < 0);
		free(cut);
	}
	free(b.data);
}

static CU_TestInfo tests[] = {
	{"what is written is what is read", test_round_trips},
	{"a record cut anywhere is refused or a valid smaller one", test_truncation},
	{"any byte changed: refused or valid", test_every_byte_changed},
	{"unknown tags survive a rewrite", test_unknown_tags_survive},
	{"newer, other kinds, twice, lying lengths are refused", test_refused},
	{"more items than allowed are refused", test_too_many_items},
	{"names, numbers, texts", test_names},
	{"validity across fields", test_validity},
	{"owners", test_owner},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("records", tests, NULL, NULL)
