/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CAPF sessions: another program's phones replayed against ours, with answers of the same structure; every order, mode and end; what
 * comes out of turn; who vanishes; and that nothing is told as done before it was written down.
 * Rows: 004b:CAPF-03.
 */
#include <errno.h>

#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "dialogue.h"
#include "enrol/capfsess.h"
#include "suite.h"
#include "x509.h"

#define DAY 86400

static struct {
	struct cp_capf_sess *s;
	uint64_t ms;
	int64_t now;
	X509_STORE *lsc, *mic;
	/* what the owner does */
	struct cp_capf_order order;
	int order_rc, issue_rc, record_rc;
	bool order_waits, issue_waits, record_waits;
	/* what happened */
	char asked[16];
	unsigned orders, issues, records, closes;
	struct cp_capf_end end;
	char end_device[16], end_detail[200];
	bool had_proof, had_fetched;
	uint8_t out[16][8192];
	size_t out_len[16];
	unsigned sent, sent_at_record;
} o;

static const uint8_t cert_der[] = {0x30, 3, 2, 1, 5}; /* goes out as it is */

static void o_send(void *ctx, const uint8_t *data, size_t len)
{
	(void)ctx;
	if (o.sent == 16 || len > sizeof(o.out[0]))
		abort();
	memcpy(o.out[o.sent], data, len);
	o.out_len[o.sent++] = len;
}

static void o_close(void *ctx)
{
	(void)ctx;
	o.closes++;
}

static void o_order(void *ctx, struct cp_capf_sess *s, const char *device)
{
	(void)ctx;
	o.orders++;
	snprintf(o.asked, sizeof(o.asked), "%s", device);
	if (!o.order_waits)
		cp_capf_sess_order(s, o.order_rc, &o.order);
}

static void o_issue(void *ctx, struct cp_capf_sess *s, const char *device, const struct pki_spki *key)
{
	(void)ctx;
	CU_ASSERT_STRING_EQUAL(device, o.asked);
	CU_ASSERT_PTR_NOT_NULL(key->der);
	o.issues++;
	if (!o.issue_waits)
		cp_capf_sess_issued(s, o.issue_rc, cert_der, sizeof(cert_der), "the signer is away");
}

static void o_record(void *ctx, struct cp_capf_sess *s, const struct cp_capf_end *e)
{
	(void)ctx;
	o.records++;
	o.end = *e;
	snprintf(o.end_device, sizeof(o.end_device), "%s", e->device);
	snprintf(o.end_detail, sizeof(o.end_detail), "%s", e->detail);
	o.had_proof = e->proof != NULL;
	o.had_fetched = e->fetched != NULL;
	o.sent_at_record = o.sent;
	if (!o.record_waits)
		cp_capf_sess_recorded(s, o.record_rc);
}

static void o_trust(void *ctx, struct cp_capf_trust *ret)
{
	(void)ctx;
	ret->lsc = o.lsc;
	ret->mic = o.mic;
}

static int64_t o_now(void *ctx)
{
	(void)ctx;
	return o.now;
}

static uint64_t o_ms(void *ctx)
{
	(void)ctx;
	return o.ms;
}

static const struct cp_capf_owner owner = {.send = o_send, .close = o_close, .order = o_order, .issue = o_issue, .record = o_record,
					   .trust = o_trust, .now = o_now, .now_ms = o_ms};

static void begin(uint32_t id, enum cp_capf_op op, enum cp_capf_by by, const char *string)
{
	X509_STORE *lsc = o.lsc, *mic = o.mic;
	int64_t now = o.now;

	memset(&o, 0, sizeof(o));
	o.lsc = lsc;
	o.mic = mic;
	o.now = now;
	o.ms = 1000;
	o.order = (struct cp_capf_order){.op = (uint8_t)op, .by = (uint8_t)by, .key = CP_CAPF_RSA, .rsa_bits = 2048};
	snprintf(o.order.string, sizeof(o.order.string), "%s", string);
	o.s = cp_capf_sess_create(&owner, id);
	CU_ASSERT_PTR_NOT_NULL_FATAL(o.s);
	CU_ASSERT_EQUAL(o.sent, 1); /* the server speaks first */
}

static void finish(void)
{
	cp_capf_sess_destroy(o.s);
	o.s = NULL;
}

/* The last message that went out is END_SESSION with this reason. */
static void ended(unsigned reason)
{
	struct cp_capf_msg m;

	CU_ASSERT_EQUAL(o.closes, 1);
	CU_ASSERT_EQUAL(cp_capf_parse(o.out[o.sent - 1], o.out_len[o.sent - 1], &m), 0);
	CU_ASSERT(m.cmd == CP_CAPF_END_SESSION && m.have == CP_CAPF_BIT(CP_CAPF_REASON));
	CU_ASSERT_EQUAL(m.reason, reason);
}

static unsigned last_cmd(void)
{
	return o.out[o.sent - 1][1];
}

static void say(const struct cp_capf_msg *m)
{
	uint8_t buf[CP_CAPF_MSG_MAX];
	int n = cp_capf_build(m, buf, sizeof(buf));

	CU_ASSERT_FATAL(n > 0);
	cp_capf_sess_input(o.s, buf, (size_t)n);
}

static void say_auth(const char *string)
{
	struct cp_capf_msg m = {
		.cmd = CP_CAPF_AUTH_RESPONSE,
		.session = 7,
		.have = CP_CAPF_BIT(CP_CAPF_REASON) | CP_CAPF_BIT(CP_CAPF_TAG_VERSION) | CP_CAPF_BIT(CP_CAPF_PASSWORD) |
			CP_CAPF_BIT(CP_CAPF_DEVICE),
		.reason = 1,
		.version = 3,
		.password = {(const uint8_t *)string, strlen(string)},
		.device = "SEP0a1b2c3d4e51",
	};

	say(&m);
}

static EVP_PKEY *rsa, *small, *ec;

static void say_key(EVP_PKEY *key)
{
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(key, &der);
	struct cp_capf_msg m = {.cmd = CP_CAPF_KEYGEN_RESPONSE,
				.session = 7,
				.have = CP_CAPF_BIT(CP_CAPF_PUBLIC_KEY),
				.public_key = {der, (size_t)n}};

	say(&m);
	OPENSSL_free(der);
}

static void say_reason(unsigned cmd, unsigned reason)
{
	say(&(struct cp_capf_msg){.cmd = (uint8_t)cmd, .session = 7, .have = CP_CAPF_BIT(CP_CAPF_REASON), .reason = (uint8_t)reason});
}

/* --- recordings --- */

static const struct {
	const char *file;
	enum cp_capf_op op;
	enum cp_capf_by by;
	unsigned key, bits;
	enum cp_capf_outcome outcome;
} recorded[] = {
	{"install-password-rsa2048.txt", CP_CAPF_OP_INSTALL, CP_CAPF_BY_STRING, CP_CAPF_RSA, 2048, CP_CAPF_OUT_DONE},
	{"install-password-ec256.txt", CP_CAPF_OP_INSTALL, CP_CAPF_BY_STRING, CP_CAPF_EC, 0, CP_CAPF_OUT_DONE},
	{"install-nopassword-rsa1024.txt", CP_CAPF_OP_INSTALL, CP_CAPF_BY_NULL, CP_CAPF_RSA, 1024, CP_CAPF_OUT_DONE},
	{"install-micauth-rsa2048.txt", CP_CAPF_OP_INSTALL, CP_CAPF_BY_MIC, CP_CAPF_RSA, 2048, CP_CAPF_OUT_DONE},
	{"install-lscauth-rsa2048.txt", CP_CAPF_OP_INSTALL, CP_CAPF_BY_LSC, CP_CAPF_RSA, 2048, CP_CAPF_OUT_DONE},
	{"install-ecauth-rsa2048.txt", CP_CAPF_OP_INSTALL, CP_CAPF_BY_LSC, CP_CAPF_RSA, 2048, CP_CAPF_OUT_DONE},
	{"fetch.txt", CP_CAPF_OP_FETCH, CP_CAPF_BY_NULL, 0, 0, CP_CAPF_OUT_DONE},
	{"delete.txt", CP_CAPF_OP_DELETE, CP_CAPF_BY_NULL, 0, 0, CP_CAPF_OUT_DONE},
	{"none.txt", CP_CAPF_OP_NONE, CP_CAPF_BY_NULL, 0, 0, CP_CAPF_OUT_NOTHING},
	{"unknown-device.txt", CP_CAPF_OP_NONE, CP_CAPF_BY_STRING, 0, 0, CP_CAPF_OUT_UNKNOWN_DEVICE},
	{"wrong-password.txt", CP_CAPF_OP_INSTALL, CP_CAPF_BY_STRING, CP_CAPF_RSA, 2048, CP_CAPF_OUT_WRONG_STRING},
	{"wrong-certificate.txt", CP_CAPF_OP_INSTALL, CP_CAPF_BY_LSC, CP_CAPF_RSA, 2048, CP_CAPF_OUT_CERTIFICATE},
};

struct play {
	unsigned i, next; /* which recording; how many of the server's messages were compared */
};

/* The structure of what we say is the recorded server's: command, elements, and the reason of the end. */
static void replay(const char *file, const struct dlg_msg *d, void *ctx)
{
	struct play *p = ctx;
	struct cp_capf_msg want, got;

	CU_ASSERT_EQUAL_FATAL(cp_capf_parse(d->buf, d->len, &want), 0);
	if (d->from == 'C') {
		CU_ASSERT(o.closes == 0);
		cp_capf_sess_input(o.s, d->buf, d->len);
		return;
	}
	if (o.s == NULL) {
		begin(want.session, recorded[p->i].op, recorded[p->i].by, "123456");
		o.order.key = (uint8_t)recorded[p->i].key;
		o.order.rsa_bits = (uint16_t)recorded[p->i].bits;
		o.order_rc = recorded[p->i].outcome == CP_CAPF_OUT_UNKNOWN_DEVICE ? -ENOENT : 0;
	}
	CU_ASSERT_FATAL(p->next < o.sent);
	CU_ASSERT_EQUAL(cp_capf_parse(o.out[p->next], o.out_len[p->next], &got), 0);
	p->next++;
	CU_ASSERT(got.cmd == want.cmd && got.session == want.session && got.have == want.have);
	CU_ASSERT(got.reason == want.reason && got.version == want.version && got.key_type == want.key_type);
	CU_ASSERT(got.curve == want.curve && got.key_bits == want.key_bits && got.cert_type == want.cert_type);
	if (got.cmd != want.cmd || got.have != want.have || got.reason != want.reason)
		fprintf(stderr, "%s: %s: %s %#x reason %u\n", file, d->said, cp_capf_cmd_name(got.cmd), got.have, got.reason);
}

static void test_recorded(void)
{
	static const char *const sets[] = {"set-a-sha1", "set-b-sha512"};

	for (unsigned s = 0; s < 2; s++) {
		struct blob b = trust_file(sets[s], "keys/capf.pem");
		STACK_OF(X509) *certs = NULL;
		struct tm tm;

		pki_pem_certs(b.p, b.len, &certs);
		pki_phone_store(certs, true, &o.lsc);
		ASN1_TIME_to_tm(X509_get0_notBefore(sk_X509_value(certs, 0)), &tm);
		o.now = timegm(&tm) + 30 * DAY;
		sk_X509_pop_free(certs, X509_free);
		free(b.p);
		b = trust_file(sets[s], "keys/mfg-ca.pem");
		certs = NULL;
		pki_pem_certs(b.p, b.len, &certs);
		pki_phone_store(certs, true, &o.mic);
		sk_X509_pop_free(certs, X509_free);
		free(b.p);
		for (unsigned i = 0; i < sizeof(recorded) / sizeof(recorded[0]); i++) {
			struct play p = {.i = i};

			CU_ASSERT_NOT_EQUAL(dlg_each(sets[s], "capf", recorded[i].file, replay, &p), 0);
			CU_ASSERT_EQUAL(p.next, o.sent);
			CU_ASSERT_EQUAL(o.closes, 1);
			CU_ASSERT_STRING_EQUAL(o.asked, recorded[i].outcome == CP_CAPF_OUT_UNKNOWN_DEVICE ? "SEP000000000000" :
									    s == 0 ? "SEP0A1B2C3D4E51" : "SEP0A1B2C3D4E52");
			if (recorded[i].outcome == CP_CAPF_OUT_UNKNOWN_DEVICE) {
				CU_ASSERT_EQUAL(o.records, 0);
			} else {
				CU_ASSERT_EQUAL(o.records, 1);
				CU_ASSERT_EQUAL(o.end.outcome, recorded[i].outcome);
				CU_ASSERT_EQUAL(o.had_proof, recorded[i].by >= CP_CAPF_BY_LSC &&
								     recorded[i].outcome == CP_CAPF_OUT_DONE);
				CU_ASSERT_EQUAL(o.had_fetched, recorded[i].op == CP_CAPF_OP_FETCH);
			}
			finish();
		}
		X509_STORE_free(o.lsc);
		X509_STORE_free(o.mic);
		o.lsc = o.mic = NULL;
	}
}

/* --- orders and ends --- */

/* 004b:CAPF-18, CAPF-22, wrong strings. */
static void test_strings(void)
{
	begin(7, CP_CAPF_OP_INSTALL, CP_CAPF_BY_STRING, "12345");
	say_auth("54321");
	ended(CP_CAPF_FAILED);
	CU_ASSERT(o.end.outcome == CP_CAPF_OUT_WRONG_STRING && !o.end.authenticated && o.records == 1);
	finish();
	begin(7, CP_CAPF_OP_INSTALL, CP_CAPF_BY_STRING, "12345");
	o.order.locked = true; /* the right one, too late */
	say_auth("12345");
	ended(CP_CAPF_FAILED);
	CU_ASSERT_EQUAL(o.end.outcome, CP_CAPF_OUT_LOCKED);
	finish();
	begin(7, CP_CAPF_OP_INSTALL, CP_CAPF_BY_STRING, ""); /* no string was set: the null string is none */
	say_auth("");
	ended(CP_CAPF_FAILED);
	CU_ASSERT_EQUAL(o.end.outcome, CP_CAPF_OUT_WRONG_STRING);
	finish();
	begin(7, CP_CAPF_OP_INSTALL, CP_CAPF_BY_NULL, ""); /* 004b:CAPF-19 */
	say_auth("");
	CU_ASSERT_EQUAL(last_cmd(), CP_CAPF_KEYGEN_REQUEST);
	finish();
	begin(7, CP_CAPF_OP_INSTALL, CP_CAPF_BY_NOBODY, "");
	say_auth("");
	ended(CP_CAPF_FAILED);
	CU_ASSERT_EQUAL(o.end.outcome, CP_CAPF_OUT_NOT_ALLOWED);
	finish();
	begin(7, CP_CAPF_OP_INSTALL, CP_CAPF_BY_LSC, ""); /* 004b:CAPF-09, CAPF-20: it has none */
	say_auth("");
	ended(CP_CAPF_FAILED);
	CU_ASSERT_EQUAL(o.end.outcome, CP_CAPF_OUT_NO_CERTIFICATE);
	finish();
}

/* As far as the key; then each end of an installation. */
static void to_key(void)
{
	begin(7, CP_CAPF_OP_INSTALL, CP_CAPF_BY_STRING, "12345");
	say_auth("12345");
	CU_ASSERT_EQUAL(last_cmd(), CP_CAPF_KEYGEN_REQUEST);
}

static void test_install(void)
{
	/* written down before it is said, both times */
	to_key();
	o.issue_waits = o.record_waits = true;
	say_key(rsa);
	CU_ASSERT(o.issues == 1 && last_cmd() == CP_CAPF_KEYGEN_REQUEST);
	cp_capf_sess_issued(o.s, 0, cert_der, sizeof(cert_der), NULL);
	CU_ASSERT_EQUAL(last_cmd(), CP_CAPF_STORE_CERT_REQUEST);
	say_reason(CP_CAPF_STORE_CERT_RESPONSE, CP_CAPF_DONE);
	CU_ASSERT(o.records == 1 && o.closes == 0 && last_cmd() == CP_CAPF_STORE_CERT_REQUEST);
	CU_ASSERT(o.end.outcome == CP_CAPF_OUT_DONE && o.end.authenticated && o.end.offered && o.end.op == CP_CAPF_OP_INSTALL);
	CU_ASSERT_STRING_EQUAL(o.end_device, "SEP0A1B2C3D4E51");
	cp_capf_sess_recorded(o.s, 0);
	ended(CP_CAPF_DONE);
	cp_capf_sess_recorded(o.s, 0); /* once is enough */
	cp_capf_sess_tick(o.s);
	CU_ASSERT_EQUAL(o.closes, 1);
	finish();
	/* it was done and cannot be written down: the phone is not told that it was */
	to_key();
	o.record_rc = -EIO;
	say_key(rsa);
	say_reason(CP_CAPF_STORE_CERT_RESPONSE, CP_CAPF_DONE);
	ended(CP_CAPF_FAILED);
	finish();
	/* the phone cannot store it */
	to_key();
	say_key(rsa);
	say_reason(CP_CAPF_STORE_CERT_RESPONSE, CP_CAPF_FAILED);
	ended(CP_CAPF_FAILED);
	CU_ASSERT(o.end.outcome == CP_CAPF_OUT_PHONE && o.end.offered);
	finish();
	/* it cannot make a key */
	to_key();
	say_reason(CP_CAPF_KEYGEN_RESPONSE, CP_CAPF_FAILED);
	ended(CP_CAPF_FAILED);
	CU_ASSERT(o.end.outcome == CP_CAPF_OUT_NO_KEY && !o.end.offered && o.issues == 0);
	finish();
	/* it makes another */
	to_key();
	say_key(small);
	ended(CP_CAPF_FAILED);
	CU_ASSERT(o.end.outcome == CP_CAPF_OUT_KEY && o.issues == 0);
	finish();
	to_key();
	say_key(ec);
	CU_ASSERT_EQUAL(o.end.outcome, CP_CAPF_OUT_KEY);
	finish();
	begin(7, CP_CAPF_OP_INSTALL, CP_CAPF_BY_NULL, "");
	o.order.key = CP_CAPF_EC;
	o.order.curve = CP_CAPF_P384;
	say_auth("");
	say_key(ec); /* P-256 */
	CU_ASSERT_EQUAL(o.end.outcome, CP_CAPF_OUT_KEY);
	finish();
	to_key();
	say(&(struct cp_capf_msg){.cmd = CP_CAPF_KEYGEN_RESPONSE,
				  .session = 7,
				  .have = CP_CAPF_BIT(CP_CAPF_PUBLIC_KEY),
				  .public_key = {(const uint8_t *)"\x30\x01\x00", 3}});
	CU_ASSERT_EQUAL(o.end.outcome, CP_CAPF_OUT_KEY);
	finish();
	/* we cannot issue */
	begin(7, CP_CAPF_OP_INSTALL, CP_CAPF_BY_NULL, "");
	o.issue_rc = -EPIPE;
	say_auth("");
	say_key(rsa);
	ended(CP_CAPF_FAILED);
	CU_ASSERT(o.end.outcome == CP_CAPF_OUT_ISSUE && strcmp(o.end_detail, "the signer is away") == 0);
	finish();
	/* a version-2 phone: the size alone, and no EC; a newer version is refused */
	for (unsigned v = 2; v <= 4; v++) {
		struct cp_capf_msg m = {.cmd = CP_CAPF_AUTH_RESPONSE,
					.session = 7,
					.have = CP_CAPF_BIT(CP_CAPF_TAG_VERSION) | CP_CAPF_BIT(CP_CAPF_DEVICE),
					.version = (uint8_t)v,
					.device = "SEP0A1B2C3D4E51"};

		begin(7, CP_CAPF_OP_INSTALL, CP_CAPF_BY_NULL, "");
		say(&m);
		if (v == 4) {
			ended(CP_CAPF_FAILED);
			CU_ASSERT_EQUAL(o.orders, 0);
		} else {
			CU_ASSERT_EQUAL(cp_capf_parse(o.out[1], o.out_len[1], &m), 0);
			CU_ASSERT_EQUAL(m.have, v == 2 ? CP_CAPF_BIT(CP_CAPF_KEY_SIZE) :
							 CP_CAPF_BIT(CP_CAPF_KEY_SIZE) | CP_CAPF_BIT(CP_CAPF_KEY_TYPE));
		}
		finish();
	}
}

/* 004b:CAPF-04, CAPF-06: it may vanish anywhere. 004b:CAPF-07: it may take its time. */
static void test_time(void)
{
	to_key();
	cp_capf_sess_gone(o.s);
	CU_ASSERT(o.end.outcome == CP_CAPF_OUT_GONE && !o.end.offered && o.closes == 1 && last_cmd() == CP_CAPF_KEYGEN_REQUEST);
	finish();
	to_key();
	say_key(rsa);
	cp_capf_sess_gone(o.s);
	CU_ASSERT(o.end.outcome == CP_CAPF_OUT_GONE && o.end.offered); /* it may have it */
	finish();
	begin(7, CP_CAPF_OP_INSTALL, CP_CAPF_BY_NULL, ""); /* before anybody knows who it is */
	cp_capf_sess_gone(o.s);
	CU_ASSERT(o.records == 0 && o.closes == 1);
	finish();
	begin(7, CP_CAPF_OP_INSTALL, CP_CAPF_BY_NULL, ""); /* while the owner looks it up: his answer finds nobody */
	o.order_waits = true;
	say_auth("");
	cp_capf_sess_gone(o.s);
	cp_capf_sess_order(o.s, 0, &o.order);
	CU_ASSERT(o.records == 0 && o.closes == 1 && o.sent == 1);
	finish();
	to_key(); /* while the signer works: what it makes is not offered */
	o.issue_waits = true;
	say_key(rsa);
	cp_capf_sess_gone(o.s);
	cp_capf_sess_issued(o.s, 0, cert_der, sizeof(cert_der), NULL);
	CU_ASSERT(o.records == 1 && !o.end.offered && o.closes == 1 && o.sent == 2);
	finish();

	begin(7, CP_CAPF_OP_INSTALL, CP_CAPF_BY_NULL, "");
	CU_ASSERT_EQUAL(cp_capf_sess_deadline(o.s), o.ms + CP_CAPF_AUTH_S * 1000);
	o.ms += CP_CAPF_AUTH_S * 1000 - 1;
	cp_capf_sess_tick(o.s);
	CU_ASSERT_EQUAL(o.closes, 0);
	o.ms++;
	cp_capf_sess_tick(o.s);
	ended(CP_CAPF_FAILED);
	finish();
	to_key();
	for (unsigned i = 0; i < CP_CAPF_PROGRESS_MAX; i++) {
		o.ms += CP_CAPF_KEYGEN_S * 1000 - 1;
		cp_capf_sess_tick(o.s);
		say(&(struct cp_capf_msg){.cmd = CP_CAPF_REQUEST_IN_PROGRESS, .session = 7});
		CU_ASSERT_EQUAL(o.closes, 0);
	}
	o.ms += CP_CAPF_KEYGEN_S * 1000 - 1;
	say(&(struct cp_capf_msg){.cmd = CP_CAPF_REQUEST_IN_PROGRESS, .session = 7}); /* no more time for it */
	o.ms++;
	cp_capf_sess_tick(o.s);
	ended(CP_CAPF_FAILED);
	CU_ASSERT_EQUAL(o.end.outcome, CP_CAPF_OUT_TIMEOUT);
	finish();
	to_key(); /* a store that never answers does not hold the phone for ever */
	o.record_waits = true;
	say_key(rsa);
	say_reason(CP_CAPF_STORE_CERT_RESPONSE, CP_CAPF_DONE);
	o.ms += CP_CAPF_OWNER_S * 1000;
	cp_capf_sess_tick(o.s);
	ended(CP_CAPF_FAILED);
	finish();
}

/* Every message in every state: only the one that belongs there goes on; everything else is the end, with the session's id. */
static void test_turns(void)
{
	for (unsigned at = 0; at < 5; at++)
		for (unsigned cmd = 0; cmd < 32; cmd++) {
			static const unsigned right[] = {CP_CAPF_AUTH_RESPONSE, CP_CAPF_KEYGEN_RESPONSE, CP_CAPF_STORE_CERT_RESPONSE,
							 CP_CAPF_FETCH_CERT_RESPONSE, CP_CAPF_DELETE_CERT_RESPONSE};

			if (cmd == right[at] || (at == 1 && cmd == CP_CAPF_REQUEST_IN_PROGRESS))
				continue;
			begin(7, at == 3 ? CP_CAPF_OP_FETCH : at == 4 ? CP_CAPF_OP_DELETE : CP_CAPF_OP_INSTALL, CP_CAPF_BY_NULL, "");
			if (at > 0)
				say_auth("");
			if (at == 2)
				say_key(rsa);
			say_reason(cmd, CP_CAPF_DONE);
			ended(CP_CAPF_FAILED);
			CU_ASSERT_EQUAL(o.records, at > 0);
			if (at > 0)
				CU_ASSERT_EQUAL(o.end.outcome, CP_CAPF_OUT_PROTOCOL);
			say_reason(cmd, CP_CAPF_DONE); /* and nothing after it */
			CU_ASSERT_EQUAL(o.closes, 1);
			finish();
		}
	/* another session's, malformed, no CAPF at all */
	to_key();
	say(&(struct cp_capf_msg){.cmd = CP_CAPF_REQUEST_IN_PROGRESS, .session = 8});
	ended(CP_CAPF_FAILED);
	CU_ASSERT_EQUAL(o.end.outcome, CP_CAPF_OUT_PROTOCOL);
	finish();
	to_key();
	cp_capf_sess_input(o.s, (const uint8_t *)"\x55\x04\0\0\0\7\0\2\x09\0", 10);
	ended(CP_CAPF_FAILED);
	finish();
	to_key();
	cp_capf_sess_garbage(o.s);
	ended(CP_CAPF_FAILED);
	finish();
	/* no name */
	begin(7, CP_CAPF_OP_INSTALL, CP_CAPF_BY_NULL, "");
	say(&(struct cp_capf_msg){.cmd = CP_CAPF_AUTH_RESPONSE, .session = 7, .have = CP_CAPF_BIT(CP_CAPF_TAG_VERSION), .version = 3});
	ended(CP_CAPF_FAILED);
	CU_ASSERT_EQUAL(o.orders, 0);
	finish();
}

/* 004b:CAPF-14, CAPF-15, CAPF-16. */
static void test_others(void)
{
	begin(7, CP_CAPF_OP_DELETE, CP_CAPF_BY_NULL, "");
	say_auth("");
	CU_ASSERT_EQUAL(last_cmd(), CP_CAPF_DELETE_CERT_REQUEST);
	say_reason(CP_CAPF_DELETE_CERT_RESPONSE, CP_CAPF_FAILED); /* there is nothing to delete */
	ended(CP_CAPF_FAILED);
	CU_ASSERT_EQUAL(o.end.outcome, CP_CAPF_OUT_PHONE);
	finish();
	begin(7, CP_CAPF_OP_FETCH, CP_CAPF_BY_NULL, "");
	say_auth("");
	say_reason(CP_CAPF_FETCH_CERT_RESPONSE, CP_CAPF_FAILED);
	ended(CP_CAPF_FAILED);
	CU_ASSERT(o.end.outcome == CP_CAPF_OUT_PHONE && !o.had_fetched);
	finish();
	begin(7, CP_CAPF_OP_FETCH, CP_CAPF_BY_NULL, "");
	say_auth("");
	say(&(struct cp_capf_msg){.cmd = CP_CAPF_FETCH_CERT_RESPONSE,
				  .session = 7,
				  .have = CP_CAPF_BIT(CP_CAPF_REASON) | CP_CAPF_BIT(CP_CAPF_CERT),
				  .reason = 1,
				  .cert_kind = CP_CAPF_IS_MIC,
				  .cert = {(const uint8_t *)"not one", 7}});
	ended(CP_CAPF_FAILED);
	CU_ASSERT_EQUAL(o.end.outcome, CP_CAPF_OUT_PHONE);
	finish();
	begin(7, CP_CAPF_OP_NONE, CP_CAPF_BY_STRING, "1234"); /* whatever it has to say for itself */
	say_auth("0000");
	ended(CP_CAPF_NOTHING);
	CU_ASSERT(o.end.outcome == CP_CAPF_OUT_NOTHING && !o.end.authenticated);
	finish();
	begin(7, CP_CAPF_OP_INSTALL, CP_CAPF_BY_NULL, ""); /* the store is sick: unknown is not said */
	o.order_rc = -EIO;
	say_auth("");
	ended(CP_CAPF_FAILED);
	CU_ASSERT_EQUAL(o.records, 0);
	finish();
	for (unsigned i = 0; i < CP_CAPF_OUT_MAX; i++)
		CU_ASSERT(strlen(cp_capf_outcome_text((enum cp_capf_outcome)i)) > 5);
	CU_ASSERT_STRING_EQUAL(cp_capf_outcome_text(CP_CAPF_OUT_MAX), "unknown");
}

static int setup(void)
{
	rsa = EVP_RSA_gen(2048);
	small = EVP_RSA_gen(1024);
	ec = EVP_EC_gen("P-256");
	return rsa == NULL || small == NULL || ec == NULL;
}

static int teardown(void)
{
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(small);
	EVP_PKEY_free(ec);
	return 0;
}

static CU_TestInfo tests[] = {
	{"recorded phones get answers of the recorded structure", test_recorded},
	{"strings and modes", test_strings},
	{"installation", test_install},
	{"vanishing, waiting", test_time},
	{"out of turn", test_turns},
	{"delete, fetch, nothing", test_others},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("capfsess", tests, setup, teardown)
