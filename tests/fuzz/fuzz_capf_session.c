/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole CAPF session against anything that calls itself a phone. The first bytes choose the operation, the mode and how the owner
 * behaves (at once, later, with errors); the rest is the phone's stream, with the right session id put into its headers. Whatever comes:
 * one end, one record, nothing told as done that was not written down, no certificate sent that was not issued.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "enrol/capfsess.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                                           \
	do {                                                                                                                 \
		if (!(x))                                                                                                    \
			abort();                                                                                             \
	} while (0)

static const uint8_t cert_der[] = {0x30, 3, 2, 1, 5};

static struct {
	struct cp_capf_sess *s;
	struct cp_capf_order order;
	uint64_t ms;
	bool later, order_asked, issue_asked, record_asked; /* answers that are outstanding */
	int order_rc, issue_rc, record_rc;
	unsigned closes, records, issues, ends;
	bool issued, recorded, done;
} o;

static void o_send(void *ctx, const uint8_t *data, size_t len)
{
	struct cp_capf_msg m;

	(void)ctx;
	REQUIRE(o.closes == 0 && o.ends == 0);
	REQUIRE(cp_capf_parse(data, len, &m) == 0 && m.session == 9);
	if (m.cmd == CP_CAPF_STORE_CERT_REQUEST)
		REQUIRE(o.issued && o.order.op == CP_CAPF_OP_INSTALL);
	if (m.cmd == CP_CAPF_DELETE_CERT_REQUEST)
		REQUIRE(o.order.op == CP_CAPF_OP_DELETE);
	if (m.cmd == CP_CAPF_END_SESSION) {
		o.ends++;
		if (m.reason == CP_CAPF_DONE)
			REQUIRE(o.recorded && o.done && o.record_rc == 0);
	}
}

static void o_close(void *ctx)
{
	(void)ctx;
	o.closes++;
}

static void give_order(void)
{
	o.order_asked = false;
	cp_capf_sess_order(o.s, o.order_rc, &o.order);
}

static void o_order(void *ctx, struct cp_capf_sess *s, const char *device)
{
	(void)ctx;
	o.s = s; /* asked from inside */
	REQUIRE(strlen(device) == 15 && strncmp(device, "SEP", 3) == 0);
	o.order_asked = true;
	if (!o.later)
		give_order();
}

static void give_issued(void)
{
	o.issue_asked = false;
	o.issued = o.issue_rc == 0;
	cp_capf_sess_issued(o.s, o.issue_rc, cert_der, sizeof(cert_der), "no");
}

static void o_issue(void *ctx, struct cp_capf_sess *s, const char *device, const struct pki_spki *key)
{
	(void)ctx;
	(void)s;
	(void)device;
	REQUIRE(key->len > 0 && ++o.issues == 1 && o.order.op == CP_CAPF_OP_INSTALL);
	REQUIRE((key->nid == NID_rsaEncryption) == (o.order.key != CP_CAPF_EC));
	o.issue_asked = true;
	if (!o.later)
		give_issued();
}

static void give_recorded(void)
{
	o.record_asked = false;
	o.recorded = true;
	cp_capf_sess_recorded(o.s, o.record_rc);
}

static void o_record(void *ctx, struct cp_capf_sess *s, const struct cp_capf_end *e)
{
	(void)ctx;
	(void)s;
	REQUIRE(++o.records == 1 && e->outcome < CP_CAPF_OUT_MAX && e->op == o.order.op);
	REQUIRE(e->outcome != CP_CAPF_OUT_DONE || e->authenticated);
	REQUIRE(!e->offered || o.issued);
	o.done = e->outcome == CP_CAPF_OUT_DONE;
	o.record_asked = true;
	if (!o.later)
		give_recorded();
}

static void o_trust(void *ctx, struct cp_capf_trust *ret)
{
	(void)ctx;
	(void)ret; /* nobody is believed: what is read of certificates is read all the same */
}

static int64_t o_now(void *ctx)
{
	(void)ctx;
	return 1790000000;
}

static uint64_t o_ms(void *ctx)
{
	(void)ctx;
	return o.ms;
}

static void answer_all(void)
{
	if (o.order_asked)
		give_order();
	if (o.issue_asked)
		give_issued();
	if (o.record_asked)
		give_recorded();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t bits[] = {512, 1024, 2048, 3072};
	static uint8_t buf[CP_CAPF_MSG_MAX];
	const struct cp_capf_owner owner = {.send = o_send, .close = o_close, .order = o_order, .issue = o_issue, .record = o_record,
					    .trust = o_trust, .now = o_now, .now_ms = o_ms};
	size_t at = 3;

	if (size < 3)
		return 0;
	memset(&o, 0, sizeof(o));
	o.order = (struct cp_capf_order){.op = data[0] & 3, .by = (data[0] >> 2 & 7) % 5, .locked = (data[0] & 0x80) != 0,
					 .old_phone = (data[0] & 0x40) != 0, .key = data[1] & 1, .curve = (data[1] >> 1 & 3) % 3,
					 .rsa_bits = bits[data[1] >> 3 & 3], .string = "123456"};
	o.order_rc = (data[1] & 0xe0) == 0xe0 ? -ENOENT : (data[1] & 0xe0) == 0xc0 ? -EBUSY : 0;
	o.issue_rc = (data[2] & 1) != 0 ? -EIO : 0;
	o.record_rc = (data[2] & 2) != 0 ? -ENOSPC : 0;
	o.later = (data[2] & 4) != 0;
	o.s = cp_capf_sess_create(&owner, 9);
	REQUIRE(o.s != NULL);
	while (at < size && o.closes == 0) {
		size_t left = size - at;
		int n = cp_capf_frame(data + at, left, NULL);

		if (n < 0) {
			cp_capf_sess_garbage(o.s);
			break;
		}
		if (n == 0 || (size_t)n > left)
			break;
		memcpy(buf, data + at, (size_t)n);
		if ((data[2] & 8) == 0)
			memcpy(buf + 2, "\0\0\0\x09", 4);
		cp_capf_sess_input(o.s, buf, (size_t)n);
		if ((data[2] & 0x10) != 0) {
			o.ms += 61000;
			cp_capf_sess_tick(o.s);
		}
		answer_all();
		at += (size_t)n;
	}
	if (o.closes == 0)
		cp_capf_sess_gone(o.s);
	for (unsigned i = 0; i < 4; i++)
		answer_all();
	for (unsigned i = 0; i < 4 && o.closes == 0; i++) { /* or it is too late for it */
		o.ms += 10000000;
		cp_capf_sess_tick(o.s);
		answer_all();
	}
	REQUIRE(o.closes == 1 && o.ends <= 1 && o.records <= 1);
	cp_capf_sess_destroy(o.s);
	ERR_clear_error();
	return 0;
}
