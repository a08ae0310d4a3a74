/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every code and every text of enrolment, each by its cause: how a CAPF session can end, what the phone is told then, and what an operator
 * reads, with a remedy; the states of an operation; the words about strings and deadlines; and TVS's answers. A row that no cause reaches is
 * a failure, so a code or text that is added needs its row here.
 * Rows: 004b:CAPF-06, CAPF-09, CAPF-16, CAPF-23, CAPF-24; 004c:CA-03 to CA-06 and Table 9-5 (004c 4.6); 002:P2-12, P2-13.
 */
#include <errno.h>

#include "enrol/capfop.h"
#include "enrol/tvsbook.h"
#include "store/phonecfg.h"
#include "suite.h"
#include "trust_fix.h"
#include "x509.h"

#define NOW    INT64_C(1790000000) /* 2026-09-21 14:13:20 UTC */
#define DEVICE "SEP0A1B2C3D4E51"

/* --- a session whose owner does what a row wants --- */

static struct {
	struct cp_capf_sess *s;
	uint64_t ms;
	struct cp_capf_order order;
	int order_rc, issue_rc, record_rc;
	unsigned closes, records;
	struct cp_capf_end end;
	char detail[200];
	int told; /* reason of END_SESSION; -1: none */
	unsigned last; /* command that was sent last */
} o;

static const uint8_t cert_der[] = {0x30, 3, 2, 1, 5};

static void o_send(void *ctx, const uint8_t *data, size_t len)
{
	struct cp_capf_msg m;

	(void)ctx;
	CU_ASSERT_EQUAL_FATAL(cp_capf_parse(data, len, &m), 0);
	o.last = m.cmd;
	if (m.cmd == CP_CAPF_END_SESSION)
		o.told = m.reason;
}

static void o_close(void *ctx)
{
	(void)ctx;
	o.closes++;
}

static void o_order(void *ctx, struct cp_capf_sess *s, const char *device)
{
	(void)ctx;
	CU_ASSERT_STRING_EQUAL(device, DEVICE);
	cp_capf_sess_order(s, o.order_rc, &o.order);
}

static void o_issue(void *ctx, struct cp_capf_sess *s, const char *device, const struct pki_spki *pub)
{
	(void)ctx;
	(void)device;
	(void)pub;
	cp_capf_sess_issued(s, o.issue_rc, cert_der, sizeof(cert_der), "the signer is away");
}

static void o_record(void *ctx, struct cp_capf_sess *s, const struct cp_capf_end *e)
{
	(void)ctx;
	o.records++;
	o.end = *e;
	snprintf(o.detail, sizeof(o.detail), "%s", e->detail);
	o.end.detail = o.detail;
	o.end.device = DEVICE;
	o.end.proof = o.end.fetched = NULL;
	cp_capf_sess_recorded(s, o.record_rc);
}

static void o_trust(void *ctx, struct cp_capf_trust *ret)
{
	(void)ctx;
	(void)ret; /* nobody is believed */
}

static int64_t o_now(void *ctx)
{
	(void)ctx;
	return NOW;
}

static uint64_t o_ms(void *ctx)
{
	(void)ctx;
	return o.ms;
}

/* --- what a phone says --- */

static void say(const struct cp_capf_msg *m)
{
	uint8_t buf[CP_CAPF_MSG_MAX];
	int n = cp_capf_build(m, buf, sizeof(buf));

	CU_ASSERT_FATAL(n > 0);
	cp_capf_sess_input(o.s, buf, (size_t)n);
}

static struct cp_capf_msg auth(const char *string)
{
	return (struct cp_capf_msg){
		.cmd = CP_CAPF_AUTH_RESPONSE,
		.session = 7,
		.have = CP_CAPF_BIT(CP_CAPF_REASON) | CP_CAPF_BIT(CP_CAPF_TAG_VERSION) | CP_CAPF_BIT(CP_CAPF_PASSWORD) |
			CP_CAPF_BIT(CP_CAPF_DEVICE),
		.reason = 1,
		.version = 3,
		.password = {(const uint8_t *)string, strlen(string)},
		.device = DEVICE,
	};
}

static void says_string(const char *string)
{
	struct cp_capf_msg m = auth(string);

	say(&m);
}

static void right(void)
{
	says_string("4711");
}

static void wrong(void)
{
	says_string("4712");
}

static void speaks_newer(void)
{
	struct cp_capf_msg m = auth("4711");

	m.version = 4;
	say(&m);
}

static void ec_of_version_2(void)
{
	struct cp_capf_msg m = auth("4711");

	o.order.key = CP_CAPF_EC;
	m.version = 2;
	say(&m);
}

static void shows_rubbish(void)
{
	struct cp_capf_msg m = auth("");

	m.have |= CP_CAPF_BIT(CP_CAPF_CERT) | CP_CAPF_BIT(CP_CAPF_SIGNED_DATA);
	m.cert = (struct cp_capf_bytes){cert_der, sizeof(cert_der)};
	m.cert_kind = CP_CAPF_IS_MIC;
	m.signed_data = (struct cp_capf_bytes){cert_der, sizeof(cert_der)};
	say(&m);
}

static void sends_key(EVP_PKEY *key)
{
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(key, &der);

	right();
	CU_ASSERT_EQUAL(o.last, CP_CAPF_KEYGEN_REQUEST);
	say(&(struct cp_capf_msg){.cmd = CP_CAPF_KEYGEN_RESPONSE, .session = 7, .have = CP_CAPF_BIT(CP_CAPF_PUBLIC_KEY),
				  .public_key = {der, (size_t)n}});
	OPENSSL_free(der);
}

static void rsa_key(void)
{
	sends_key(fix_key(0));
}

static void ec_key(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	sends_key(key);
	EVP_PKEY_free(key);
}

static void answers(unsigned cmd, unsigned reason)
{
	say(&(struct cp_capf_msg){.cmd = (uint8_t)cmd, .session = 7, .have = CP_CAPF_BIT(CP_CAPF_REASON), .reason = (uint8_t)reason});
}

static void no_key(void)
{
	right();
	answers(CP_CAPF_KEYGEN_RESPONSE, 7);
}

static void installs(void)
{
	rsa_key();
	CU_ASSERT_EQUAL(o.last, CP_CAPF_STORE_CERT_REQUEST);
	answers(CP_CAPF_STORE_CERT_RESPONSE, 1);
}

static void cannot_store(void)
{
	rsa_key();
	answers(CP_CAPF_STORE_CERT_RESPONSE, 7);
}

static void deletes(void)
{
	right();
	answers(CP_CAPF_DELETE_CERT_RESPONSE, 1);
}

static void cannot_delete(void)
{
	right();
	answers(CP_CAPF_DELETE_CERT_RESPONSE, 7);
}

static void shows_none(void)
{
	right();
	answers(CP_CAPF_FETCH_CERT_RESPONSE, 7);
}

static void shows_one(void)
{
	X509 *cert = fix_cert(DEVICE, fix_key(0));
	uint8_t *der = NULL;
	int n = i2d_X509(cert, &der);

	right();
	say(&(struct cp_capf_msg){.cmd = CP_CAPF_FETCH_CERT_RESPONSE, .session = 7, .have = CP_CAPF_BIT(CP_CAPF_REASON) | CP_CAPF_BIT(CP_CAPF_CERT),
				  .reason = 1, .cert_kind = CP_CAPF_IS_LSC, .cert = {der, (size_t)n}});
	OPENSSL_free(der);
	X509_free(cert);
}

static void waits(void)
{
	right();
	o.ms += (CP_CAPF_KEYGEN_S + 1) * UINT64_C(1000);
	cp_capf_sess_tick(o.s);
}

static void goes(void)
{
	right();
	cp_capf_sess_gone(o.s);
}

static void raw(const char *hex)
{
	uint8_t buf[256];
	size_t n = 0;

	for (; hex[2 * n] != '\0'; n++)
		sscanf(hex + 2 * n, "%2hhx", &buf[n]);
	right();
	cp_capf_sess_input(o.s, buf, n);
}

static void cut_short(void)
{
	raw("550400000007000401000201"); /* the element says two bytes, and there is one */
}

static void twice(void)
{
	raw("55040000000700080100010101000101");
}

static void too_long(void)
{
	raw("5504000000070005010002010111"); /* more than the header says */
}

static void oversized(void)
{
	uint8_t head[8] = {0x55, 4, 0, 0, 0, 7, 0xff, 0xff};

	CU_ASSERT_EQUAL(cp_capf_frame(head, sizeof(head), NULL), -EMSGSIZE); /* what the connection is ended for */
	right();
	cp_capf_sess_garbage(o.s);
}

static void other_session(void)
{
	raw("5504000000080004010001" "07");
}

static void out_of_turn(void)
{
	right();
	answers(CP_CAPF_STORE_CERT_RESPONSE, 1);
}

static void unknown_command(void)
{
	right();
	answers(77, 1);
}

static void no_capf(void)
{
	cp_capf_sess_garbage(o.s);
}

static void forgot_key(void)
{
	right();
	answers(CP_CAPF_STORE_CERT_RESPONSE, 7);
}

static void in_another_order(void)
{
	/* AUTH_RESPONSE with its elements the other way round: name, password, version, reason, and one that nobody knows */
	static const uint8_t msg[] = {0x55, 2, 0, 0, 0, 7, 0, 42, 13, 0, 16, 'S', 'E', 'P', '0', 'A', '1', 'B', '2', 'C', '3', 'D', '4', 'E',
				      '5', '1', 0, 11, 0, 5, '4', '7', '1', '1', 0, 99, 0, 1, 1, 7, 0, 1, 3, 1, 0, 1, 1};
	uint8_t buf[sizeof(msg)];

	memcpy(buf, msg, sizeof(msg));
	buf[7] = (uint8_t)(sizeof(msg) - CP_CAPF_HDR_LEN);
	cp_capf_sess_input(o.s, buf, sizeof(buf));
	CU_ASSERT_EQUAL(o.last, CP_CAPF_KEYGEN_REQUEST);
	cp_capf_sess_gone(o.s);
}

/* --- how sessions end --- */

#define RSA_STRING .op = CP_CAPF_OP_INSTALL, .by = CP_CAPF_BY_STRING

static const struct {
	const char *what;
	enum cp_capf_outcome outcome;
	int told;
	void (*phone)(void);
	const char *text, *remedy; /* what an operator reads; a word of what he is to do */
	uint8_t op, by;
	int order_rc, issue_rc, record_rc;
	bool awaiting, ready; /* of an external CA: its certificate */
	bool locked, not_recorded; /* there is no device, or it is another session's: nothing is written down */
} ends[] = {
	{"installed", CP_CAPF_OUT_DONE, 1, installs, "successful", "", RSA_STRING},
	{"deleted", CP_CAPF_OUT_DONE, 1, deletes, "successful", "", .op = CP_CAPF_OP_DELETE, .by = CP_CAPF_BY_STRING},
	{"shown", CP_CAPF_OUT_DONE, 0, shows_one, "successful", "", .op = CP_CAPF_OP_FETCH, .by = CP_CAPF_BY_STRING},
	{"nothing to do", CP_CAPF_OUT_NOTHING, 0, right, "no operation is pending", "set an operation", .by = CP_CAPF_BY_STRING},
	{"nobody's name", CP_CAPF_OUT_UNKNOWN_DEVICE, 9, right, "no such device", "add the device", RSA_STRING, .order_rc = -ENOENT,
	 .not_recorded = true},
	{"wrong string", CP_CAPF_OUT_WRONG_STRING, 7, wrong, "the authentication string is wrong", "type it", RSA_STRING},
	{"locked", CP_CAPF_OUT_LOCKED, 7, right, "wrong authentication strings came too often", "capf unlock", RSA_STRING, .locked = true},
	{"neither LSC nor MIC", CP_CAPF_OUT_NO_CERTIFICATE, 7, right, "the phone has neither LSC nor MIC", "authentication string",
	 .op = CP_CAPF_OP_INSTALL, .by = CP_CAPF_BY_LSC},
	{"not believed", CP_CAPF_OUT_CERTIFICATE, 7, shows_rubbish, "the phone's certificate is not believed", "CAPF-trust",
	 .op = CP_CAPF_OP_INSTALL, .by = CP_CAPF_BY_MIC},
	{"no mode", CP_CAPF_OUT_NOT_ALLOWED, 7, right, "the device's authentication mode allows no operation", "authentication mode",
	 .op = CP_CAPF_OP_INSTALL, .by = CP_CAPF_BY_NOBODY},
	{"newer protocol", CP_CAPF_OUT_VERSION, 7, speaks_newer, "the phone speaks another version of the protocol", "firmware", RSA_STRING,
	 .not_recorded = true},
	{"EC of an old protocol", CP_CAPF_OUT_VERSION, 7, ec_of_version_2, "the phone speaks another version of the protocol", "RSA", RSA_STRING},
	{"an element cut short", CP_CAPF_OUT_PROTOCOL, 7, cut_short, "the phone broke the protocol", "reset the phone", RSA_STRING},
	{"an element twice", CP_CAPF_OUT_PROTOCOL, 7, twice, "the phone broke the protocol", "reset the phone", RSA_STRING},
	{"more than it says", CP_CAPF_OUT_PROTOCOL, 7, too_long, "the phone broke the protocol", "reset the phone", RSA_STRING},
	{"more than anybody says", CP_CAPF_OUT_PROTOCOL, 7, oversized, "the phone broke the protocol", "reset the phone", RSA_STRING},
	{"another session's", CP_CAPF_OUT_PROTOCOL, 7, other_session, "the phone broke the protocol", "reset the phone", RSA_STRING},
	{"out of turn", CP_CAPF_OUT_PROTOCOL, 7, out_of_turn, "the phone broke the protocol", "reset the phone", RSA_STRING},
	{"no such command", CP_CAPF_OUT_PROTOCOL, 7, unknown_command, "the phone broke the protocol", "reset the phone", RSA_STRING},
	{"no CAPF at all", CP_CAPF_OUT_PROTOCOL, 7, no_capf, "the phone broke the protocol", "reset the phone", RSA_STRING, .not_recorded = true},
	{"no key", CP_CAPF_OUT_NO_KEY, 7, no_key, "the phone could not make a key", "smaller key", RSA_STRING},
	{"another key", CP_CAPF_OUT_KEY, 7, ec_key, "the phone's key is not what was asked for", "firmware", RSA_STRING},
	{"not issued", CP_CAPF_OUT_ISSUE, 7, rsa_key, "the certificate could not be issued", "signer's log", RSA_STRING, .issue_rc = -EIO},
	{"not issued yet", CP_CAPF_OUT_AWAITING, 0, rsa_key, "its certificate is asked for at the external CA", "reset the phone", RSA_STRING,
	 .issue_rc = -EINPROGRESS},
	{"a key waits for the CA", CP_CAPF_OUT_AWAITING, 0, right, "its certificate is asked for at the external CA", "reset the phone", RSA_STRING,
	 .awaiting = true},
	{"the CA refused", CP_CAPF_OUT_CA, 7, rsa_key, "the external CA refused", "mend what the CA says", RSA_STRING, .issue_rc = -EKEYREJECTED},
	{"no key for what came", CP_CAPF_OUT_OLD_KEY, 7, forgot_key, "the phone has no key for the certificate that came", "a new key", RSA_STRING,
	 .ready = true},
	{"not stored", CP_CAPF_OUT_PHONE, 7, cannot_store, "the phone could not do it", "status messages", RSA_STRING},
	{"not deleted", CP_CAPF_OUT_PHONE, 7, cannot_delete, "the phone could not do it", "status messages", .op = CP_CAPF_OP_DELETE,
	 .by = CP_CAPF_BY_STRING},
	{"not shown", CP_CAPF_OUT_PHONE, 7, shows_none, "the phone could not do it", "status messages", .op = CP_CAPF_OP_FETCH,
	 .by = CP_CAPF_BY_STRING},
	{"too slow", CP_CAPF_OUT_TIMEOUT, 7, waits, "the phone did not answer in time", "reset the phone", RSA_STRING},
	{"gone", CP_CAPF_OUT_GONE, -1, goes, "the connection ended", "by itself", RSA_STRING},
	{"elements in another order are no harm, and then it goes", CP_CAPF_OUT_GONE, -1, in_another_order, "the connection ended", "by itself",
	 RSA_STRING},
	{"two of one name", CP_CAPF_OUT_BUSY, 7, right, "another session of this device is under way", "two phones", RSA_STRING,
	 .order_rc = -EBUSY, .not_recorded = true},
	{"done, and not written down", CP_CAPF_OUT_STORE, 7, installs, "the outcome could not be written down", "alarms", RSA_STRING,
	 .record_rc = -EIO},
};

#define ENDS (sizeof(ends) / sizeof(ends[0]))

static void test_ends(void)
{
	static const struct cp_capf_owner owner = {.send = o_send, .close = o_close, .order = o_order, .issue = o_issue, .record = o_record,
						   .trust = o_trust, .now = o_now, .now_ms = o_ms};

	for (size_t i = 0; i < ENDS; i++) {
		bool reached;

		memset(&o, 0, sizeof(o));
		o.told = -1;
		o.ms = 1000;
		o.order = (struct cp_capf_order){.op = ends[i].op, .by = ends[i].by, .rsa_bits = 2048, .string = "4711", .locked = ends[i].locked,
						 .awaiting = ends[i].awaiting, .ready = ends[i].ready};
		o.order_rc = ends[i].order_rc;
		o.issue_rc = ends[i].issue_rc;
		o.record_rc = ends[i].record_rc;
		o.s = cp_capf_sess_create(&owner, 7);
		CU_ASSERT_PTR_NOT_NULL_FATAL(o.s);
		ends[i].phone();
		/* what could not be written down is seen by the owner, and not told to it */
		reached = o.closes == 1 && o.told == ends[i].told && o.records == !ends[i].not_recorded &&
			  (ends[i].not_recorded || o.end.outcome == ends[i].outcome ||
			   (ends[i].outcome == CP_CAPF_OUT_STORE && o.end.outcome == CP_CAPF_OUT_DONE)) &&
			  strcmp(cp_capf_outcome_text(ends[i].outcome), ends[i].text) == 0 &&
			  strstr(cp_capf_outcome_remedy(ends[i].outcome), ends[i].remedy) != NULL;
		if (!reached)
			fprintf(stderr, "\n%s: told %d, outcome %d, recorded %u\n", ends[i].what, o.told, (int)o.end.outcome, o.records);
		CU_ASSERT(reached);
		cp_capf_sess_destroy(o.s);
	}
}

static void test_no_end_without_cause(void)
{
	static const int codes[] = {CP_CAPF_NOTHING, CP_CAPF_DONE, CP_CAPF_FAILED, CP_CAPF_UNKNOWN_DEVICE};
	unsigned seen = 0, told = 0;

	for (size_t i = 0; i < ENDS; i++) {
		seen |= 1u << ends[i].outcome;
		for (size_t k = 0; k < sizeof(codes) / sizeof(codes[0]); k++)
			told |= ends[i].told == codes[k] ? 1u << k : 0;
	}
	CU_ASSERT_EQUAL(seen, (1u << CP_CAPF_OUT_MAX) - 1);
	CU_ASSERT_EQUAL(told, 15);
	for (unsigned i = 0; i < CP_CAPF_OUT_MAX; i++)
		CU_ASSERT(i == CP_CAPF_OUT_DONE || cp_capf_outcome_remedy((enum cp_capf_outcome)i)[0] != '\0');
}

/* --- the states of an operation (004b:CAPF-24) --- */

static struct cp_capf_oprec pending(uint8_t op)
{
	struct cp_capf_oprec rec = {0};
	struct cp_capf_set set = {.device = DEVICE, .op = op, .by = CP_CAPF_NULL, .key = "", .id = 5, .deadline_us = (NOW + 3600) * 1000000,
				  .mode = CP_DEVICE_NONSECURE, .has_lsc = true, .has_mic = true};
	char why[200] = "";

	CU_ASSERT_EQUAL_FATAL(cp_capf_op_set(&rec, &set, NOW * 1000000, why, sizeof(why)), 0);
	return rec;
}

static void test_states(void)
{
	static const struct {
		uint8_t op;
		const char *pending, *failed, *done;
	} rows[] = {
		{CP_CAPF_OP_INSTALL, "Install/Upgrade pending", "Install/Upgrade failed", "Install/Upgrade successful"},
		{CP_CAPF_OP_DELETE, "Delete pending", "Delete failed", "Delete Success"},
		{CP_CAPF_OP_FETCH, "Troubleshoot pending", "Troubleshoot failed", "Troubleshoot successful"},
	};
	char text[64];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cp_capf_end end = {.op = rows[i].op, .device = DEVICE, .detail = "", .authenticated = true};
		struct cp_capf_oprec rec = pending(rows[i].op);

		CU_ASSERT_STRING_EQUAL(cp_capf_op_text(&rec, text, sizeof(text)), rows[i].pending);
		CU_ASSERT_PTR_NOT_NULL(strstr(cp_capf_op_remedy(&rec), "reset the phone"));
		end.outcome = CP_CAPF_OUT_PHONE;
		CU_ASSERT(cp_capf_op_end(&rec, &end, NOW * 1000000, NULL));
		CU_ASSERT_STRING_EQUAL(cp_capf_op_text(&rec, text, sizeof(text)), rows[i].failed);
		CU_ASSERT_STRING_NOT_EQUAL(cp_capf_op_remedy(&rec), "");
		cp_capf_oprec_free(&rec);

		rec = pending(rows[i].op);
		end.outcome = CP_CAPF_OUT_DONE;
		CU_ASSERT(cp_capf_op_end(&rec, &end, NOW * 1000000, NULL));
		CU_ASSERT_STRING_EQUAL(cp_capf_op_text(&rec, text, sizeof(text)), rows[i].done);
		CU_ASSERT_STRING_EQUAL(cp_capf_op_remedy(&rec), "");
		cp_capf_oprec_free(&rec);

		rec = pending(rows[i].op); /* nobody came */
		CU_ASSERT(cp_capf_op_expire(&rec, (NOW + 3601) * 1000000));
		CU_ASSERT_STRING_EQUAL(cp_capf_op_text(&rec, text, sizeof(text)), rows[i].failed);
		CU_ASSERT_PTR_NOT_NULL(strstr(cp_capf_op_remedy(&rec), "set the operation again"));
		CU_ASSERT_STRING_NOT_EQUAL(rec.detail, "");
		cp_capf_oprec_free(&rec);

		rec = pending(rows[i].op);
		CU_ASSERT(cp_capf_op_cancel(&rec, NOW * 1000000));
		CU_ASSERT_STRING_EQUAL(cp_capf_op_text(&rec, text, sizeof(text)), "No Pending Operation");
		cp_capf_oprec_free(&rec);
	}
}

/* --- what an operator is told of his own words: 004c 4.6, each message of Table 9-5 --- */

static void test_words(void)
{
	static const struct {
		const char *string, *deadline, *says;
	} rows[] = {
		{"12a4", NULL, "Authentication String contains one or more invalid characters.Valid characters for Authentication String are numbers."},
		{"123", NULL, "CAPF Authentication String length should be between 4 and 10."},
		{"12345678901", NULL, "CAPF Authentication String length should be between 4 and 10."},
		{NULL, "2027:x4:01:10",
		 "Operation Completes By contains one or more invalid characters.Valid characters for Operation Completes By are numbers."},
		{NULL, "2025:12:31:23", "Invalid Year.Please enter a value equal to or greater than the current year."},
		{NULL, "2027:13:01:00", "Invalid Month.Please adjust your entry to continue."},
		{NULL, "2026:09:20:23", "Invalid Date.Please enter a value equal to or greater than the current date."},
		{NULL, "2027:02:29:00", "Invalid Date.Please adjust your entry to continue."},
		{NULL, "2026:09:21:13", "Invalid Time.Please enter a value equal to or greater than current time (hours)."},
		{NULL, "2027:04:01:24", "Invalid Time.Please adjust your entry to continue."},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char why[240] = "";
		int64_t at = 0;
		int rc = rows[i].string != NULL ? cp_capf_string_check(rows[i].string, why, sizeof(why)) :
						  cp_capf_deadline_parse(rows[i].deadline, NOW * 1000000, &at, why, sizeof(why));

		CU_ASSERT_EQUAL(rc, -EINVAL);
		CU_ASSERT_STRING_EQUAL(why, rows[i].says);
	}
}

/* --- TVS --- */

static void test_tvs(void)
{
	X509 *known = fix_cert("TFTP", fix_key(1)), *stranger = fix_cert("Elsewhere", fix_key(2));
	struct cp_tvs_book *book = cp_tvs_book_create();
	int64_t now = (int64_t)time(NULL);
	const struct {
		X509 *cert;
		int64_t now;
		uint8_t type;
		enum cp_tvs_answer answer;
		uint8_t status;
	} rows[] = {
		{known, now, CP_TVS_VERIFY_REQUEST, CP_TVS_VOUCHED, CP_TVS_VALID},
		{known, now, CP_TVS_QUERY_REQUEST, CP_TVS_VOUCHED, CP_TVS_VALID},
		{stranger, now, CP_TVS_VERIFY_REQUEST, CP_TVS_UNKNOWN, CP_TVS_NOT_VALID},
		{stranger, now, CP_TVS_QUERY_REQUEST, CP_TVS_UNKNOWN, CP_TVS_NOT_VALID},
		{known, now + INT64_C(11) * 365 * 86400, CP_TVS_VERIFY_REQUEST, CP_TVS_EXPIRED, CP_TVS_NOT_VALID},
		{known, now - 86400, CP_TVS_QUERY_REQUEST, CP_TVS_EXPIRED, CP_TVS_NOT_VALID}, /* not yet */
		{known, now, CP_TVS_VERIFY_RESPONSE, CP_TVS_NO_REQUEST, 0},
		{known, now, CP_TVS_QUERY_RESPONSE, CP_TVS_NO_REQUEST, 0},
	};

	CU_ASSERT(book != NULL && cp_tvs_book_add(book, known, 3) == 0 && cp_tvs_book_close(book) == 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cp_tvs_msg req = {.type = rows[i].type, .id = 9}, out = {0}, again;
		const ASN1_INTEGER *serial = X509_get0_serialNumber(rows[i].cert);
		char issuer[CP_TVS_DN_MAX];
		uint8_t *der = NULL, buf[CP_TVS_MSG_MAX];
		int n = i2d_X509(rows[i].cert, &der);

		CU_ASSERT(pki_tl_dn(X509_get_issuer_name(rows[i].cert), issuer, sizeof(issuer)) > 0);
		if (rows[i].type == CP_TVS_VERIFY_REQUEST) {
			req.have = CP_TVS_BIT(CP_TVS_CERT);
			req.cert = der;
			req.cert_len = (size_t)n;
		} else {
			req.have = CP_TVS_BIT(CP_TVS_ISSUER) | CP_TVS_BIT(CP_TVS_SERIAL);
			req.issuer = issuer;
			req.serial = ASN1_STRING_get0_data(serial);
			req.serial_len = (size_t)ASN1_STRING_length(serial);
		}
		CU_ASSERT_EQUAL(cp_tvs_book_answer(book, &req, rows[i].now, 3600, &out), rows[i].answer);
		if (rows[i].answer != CP_TVS_NO_REQUEST) { /* as it goes out */
			n = cp_tvs_build(&out, buf, sizeof(buf));
			CU_ASSERT(n > 0 && cp_tvs_parse(buf, (size_t)n, &again) == 0);
			CU_ASSERT(again.id == 9 && again.type == rows[i].type + 1 && again.status == rows[i].status);
			CU_ASSERT_EQUAL(again.role_cnt, rows[i].status == CP_TVS_VALID);
		}
		OPENSSL_free(der);
	}
	cp_tvs_book_destroy(book);
	X509_free(known);
	X509_free(stranger);
}

static int init(void)
{
	setenv("TZ", "UTC", 1);
	tzset();
	return 0;
}

static int fini(void)
{
	fix_keys_free();
	return 0;
}

static CU_TestInfo tests[] = {
	{"each end of a session, by its cause", test_ends},
	{"no end, no reason and no remedy without a row", test_no_end_without_cause},
	{"each state of an operation", test_states},
	{"each word about strings and deadlines", test_words},
	{"each answer of TVS", test_tvs},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("codes of enrolment", tests, init, fini)
