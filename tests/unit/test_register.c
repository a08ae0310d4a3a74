/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/sccp/register.c: storms (tokens, back-off), two phones of one name, records made for unknown phones, LSC before MIC; that
 * each refusal says who, where from, why and what to do. A fake link and a fake clock. Admission itself: test_session.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "sccp/cursor.h"
#include "sccp/session.h"

#define PHONES 8

struct wire {
	uint32_t id[64], first[64]; /* of what was sent, and its first word */
	char text[64][33];
	unsigned n;
	bool closed;
	uint64_t answered_ms; /* when it answered a keep-alive itself; 0: never */
	struct cp_phone *p;
};

static struct cp_sccp *sccp;
static uint64_t now_ms;
static struct cp_device devices[PHONES];
static unsigned device_cnt, adds, alarms_up[CP_SCCP_REF_MAX + 1];
static int add_rc;
static bool is_lsc;
static char last_id[64], last_subject[64], last_text[512];
static struct wire wires[PHONES];
static unsigned registered, gone;

static int w_send(void *io, const uint8_t *frame, size_t len, bool secret)
{
	struct wire *w = io;
	struct cp_sccp_frame f;

	(void)secret;
	if (w->n == 64 || cp_sccp_frame_parse(frame, len, &f) != 0)
		abort();
	w->id[w->n] = f.id;
	cp_sccp_parse_u32(&f, &w->first[w->n]);
	memset(w->text[w->n], 0, 33);
	memcpy(w->text[w->n], f.body, f.len < 32 ? f.len : 32);
	w->n++;
	return 0;
}

static void w_close(void *io)
{
	((struct wire *)io)->closed = true;
}

static void w_authed(void *io)
{
	(void)io;
}

static uint64_t w_quiet_ms(void *io)
{
	const struct wire *w = io;

	return w->answered_ms == 0 ? UINT64_MAX : now_ms - w->answered_ms;
}

static const struct cp_sccp_link link_ops = {w_send, w_close, w_authed, NULL, w_quiet_ms};

static void up_registered(void *ctx, struct cp_phone *p)
{
	(void)ctx, (void)p;
	registered++;
}
static void up_gone(void *ctx, struct cp_phone *p, enum cp_phone_gone why)
{
	(void)ctx, (void)p, (void)why;
	gone++;
}
static void up_caps(void *ctx, struct cp_phone *p)
{
	(void)ctx, (void)p;
}
static const struct cp_call_ops call_ops = {.registered = up_registered, .gone = up_gone, .caps = up_caps};

static const struct cp_device *find_device(void *ctx, const char *name)
{
	(void)ctx;
	for (unsigned i = 0; i < device_cnt; i++)
		if (strcmp(devices[i].name, name) == 0)
			return &devices[i];
	return NULL;
}

static const char *name_of(unsigned i)
{
	static char text[4][CP_DEVICE_NAME_MAX];
	static unsigned at;

	at = (at + 1) % 4;
	snprintf(text[at], sizeof(text[at]), "SEP00000000%04X", i & 0xffff);
	return text[at];
}

static int cert_name(X509 *cert, char ret_name[CP_DEVICE_NAME_MAX])
{
	(void)cert;
	snprintf(ret_name, CP_DEVICE_NAME_MAX, "%s", name_of(0));
	return 0;
}

static bool cert_lsc(void *ctx, X509 *cert)
{
	(void)ctx, (void)cert;
	return is_lsc;
}

static int auto_add(void *ctx, const char *name, uint32_t type, char *why, size_t why_size)
{
	(void)ctx, (void)name;
	CU_ASSERT_EQUAL(type, 0x1b2);
	adds++;
	if (add_rc != 0)
		snprintf(why, why_size, "the range is used up");
	return add_rc;
}

static void alarm_cb(void *ctx, const char *id, const char *subject, const char *text)
{
	(void)ctx;
	if (strcmp(id, "sccp-storm") == 0)
		alarms_up[CP_SCCP_REF_MAX] = text != NULL;
	if (text == NULL)
		return;
	snprintf(last_id, sizeof(last_id), "%s", id);
	snprintf(last_subject, sizeof(last_subject), "%s", subject);
	snprintf(last_text, sizeof(last_text), "%s", text);
}

static uint64_t fake_now(void *ctx)
{
	(void)ctx;
	return now_ms;
}

static int64_t fake_wall(void *ctx)
{
	(void)ctx;
	return 1700000000000;
}

static struct cp_sccp_opts usual(void)
{
	return (struct cp_sccp_opts){.find_device = find_device, .cert_name = cert_name, .alarm = alarm_cb, .call = &call_ops,
				     .keepalive_s = 30, .grace_s = 45, .date_template = "D/M/Y", .server_name = "cm", .now_ms = fake_now,
				     .wall_ms = fake_wall};
}

static void fresh(const struct cp_sccp_opts *o)
{
	cp_sccp_destroy(sccp);
	now_ms = 1000000;
	memset(devices, 0, sizeof(devices));
	device_cnt = PHONES;
	for (unsigned i = 0; i < PHONES; i++) {
		strcpy(devices[i].name, name_of(i));
		devices[i].mode = CP_DEVICE_NONSECURE;
	}
	adds = registered = gone = 0;
	memset(alarms_up, 0, sizeof(alarms_up));
	last_id[0] = last_subject[0] = last_text[0] = '\0';
	if (cp_sccp_create(o, &sccp) != 0)
		abort();
}

static struct wire *come(unsigned i, X509 *cert)
{
	struct cp_sccp_peer peer = {.addr = {.family = 4, .plen = 32, .ip = {192, 0, 2, (uint8_t)(10 + i)}, .port = 5000},
				    .local = {.family = 4, .plen = 32, .port = 2000}, .tls = cert != NULL, .encrypts = true, .cert = cert,
				    .tls_version = "TLSv1.3", .tls_cipher = "X"};
	struct wire *w = &wires[i];

	memset(w, 0, sizeof(*w));
	w->p = cp_session_open(sccp, &link_ops, w, &peer);
	return w;
}

static void leave(struct wire *w)
{
	cp_session_closed(w->p, CP_GONE_CLOSED);
	w->p = NULL;
}

static void say(struct wire *w, uint32_t id, const void *body, size_t len)
{
	uint8_t *frame = malloc(CP_SCCP_HDR + len);
	struct cp_sccp_w out = {frame, CP_SCCP_HDR + len, 0, false};

	cp_w_u32(&out, (uint32_t)(4 + len));
	cp_w_u32(&out, 0);
	cp_w_u32(&out, id);
	cp_w_bytes(&out, body, len);
	cp_session_frame(w->p, frame, CP_SCCP_HDR + len);
	free(frame);
}

static void say_name(struct wire *w, uint32_t id, const char *name)
{
	uint8_t body[68] = {0};

	memcpy(body, name, strlen(name));
	body[28] = 0xb2;
	body[29] = 1;
	body[40] = 17;
	say(w, id, body, id == CP_SCCP_TOKEN_REQ ? 48 : sizeof(body));
}

static uint32_t last(const struct wire *w)
{
	return w->n > 0 ? w->id[w->n - 1] : UINT32_MAX;
}

static bool is_in(const struct wire *w)
{
	return cp_sccp_find(sccp, name_of((unsigned)(w - wires))) == w->p && last(w) == CP_SCCP_CAPABILITIES_REQ && !w->closed;
}

static bool refused(const struct wire *w, const char *text)
{
	return last(w) == CP_SCCP_REGISTER_REJECT && w->closed && strcmp(w->text[w->n - 1], text) == 0;
}

/* --- storms --- */

static void test_tokens(void)
{
	struct cp_sccp_opts o = usual();
	struct wire *w;
	uint8_t body[48] = {0};

	o.register_rate = 2;
	fresh(&o);
	for (unsigned i = 0; i < 2; i++) { /* two a second: they get theirs, and a place with it */
		w = come(i, NULL);
		say_name(w, CP_SCCP_TOKEN_REQ, name_of(i));
		CU_ASSERT_EQUAL(last(w), CP_SCCP_TOKEN_ACK);
		say_name(w, CP_SCCP_TOKEN_REQ, name_of(i)); /* asking again takes no second one */
		CU_ASSERT_EQUAL(last(w), CP_SCCP_TOKEN_ACK);
	}
	for (unsigned i = 2; i < 5; i++) { /* each later one is told a later time */
		w = come(i, NULL);
		say_name(w, CP_SCCP_TOKEN_REQ, name_of(i));
		CU_ASSERT_EQUAL(last(w), CP_SCCP_TOKEN_REJECT);
		CU_ASSERT_EQUAL(w->first[w->n - 1], i < 3 ? 2 : i < 4 ? 2 : 3);
		CU_ASSERT_FALSE(w->closed);
	}
	CU_ASSERT(alarms_up[CP_SCCP_REF_MAX] == 1 && strstr(last_text, "remedy") != NULL);
	w = come(5, NULL); /* asks for no token: told in words, and cut off */
	say_name(w, CP_SCCP_REGISTER, name_of(5));
	CU_ASSERT(refused(w, "Busy: try in 3 s"));
	w = come(6, NULL); /* a stranger's question takes nothing */
	say_name(w, CP_SCCP_TOKEN_REQ, "SEPFFFFFFFFFFFF");
	CU_ASSERT_EQUAL(last(w), CP_SCCP_TOKEN_ACK);
	say_name(w, CP_SCCP_REGISTER, "SEPFFFFFFFFFFFF");
	CU_ASSERT_TRUE(w->closed);
	say_name(&wires[0], CP_SCCP_REGISTER, name_of(0)); /* the token's place is used, not another one */
	say_name(&wires[1], CP_SCCP_REGISTER, name_of(1));
	CU_ASSERT(is_in(&wires[0]) && is_in(&wires[1]) && registered == 2);
	now_ms += 500;
	say_name(&wires[2], CP_SCCP_TOKEN_REQ, name_of(2));
	CU_ASSERT_EQUAL(last(&wires[2]), CP_SCCP_TOKEN_ACK);
	say_name(&wires[3], CP_SCCP_TOKEN_REQ, name_of(3));
	CU_ASSERT_EQUAL(last(&wires[3]), CP_SCCP_TOKEN_REJECT);
	say_name(&wires[0], CP_SCCP_REGISTER, name_of(0)); /* who is in may begin anew */
	CU_ASSERT_TRUE(is_in(&wires[0]));
	CU_ASSERT_EQUAL(cp_sccp_stats(sccp)->held_back, 5);
	for (size_t n = 0; n < 16; n++) { /* cut short: no answer, no place */
		unsigned before = wires[4].n;

		say(&wires[4], CP_SCCP_TOKEN_REQ, body, n);
		CU_ASSERT_EQUAL(wires[4].n, before);
	}
	now_ms += 31000;
	cp_sccp_tick(sccp);
	CU_ASSERT_EQUAL(alarms_up[CP_SCCP_REF_MAX], 0);
	for (unsigned i = 0; i < 7; i++)
		leave(&wires[i]);
}

/* However many come: what is promised stays within five minutes, and all get in at the rate. */
static void test_storm_ends(void)
{
	struct cp_sccp_opts o = usual();
	unsigned in = 0, longest = 0;
	uint64_t begun;

	o.register_rate = 10;
	fresh(&o);
	for (unsigned i = 0; i < 10000; i++) {
		struct wire *w = come(0, NULL);

		say_name(w, CP_SCCP_TOKEN_REQ, name_of(i % PHONES));
		if (last(w) == CP_SCCP_TOKEN_REJECT && w->first[0] > longest)
			longest = w->first[0];
		CU_ASSERT(last(w) == CP_SCCP_TOKEN_ACK || w->first[0] >= 1);
		in += last(w) == CP_SCCP_TOKEN_ACK;
		leave(w);
	}
	CU_ASSERT_EQUAL(in, 10);
	CU_ASSERT(longest > 250 && longest <= 300);
	begun = now_ms;
	for (; now_ms < begun + 20000; now_ms += 10) {
		struct wire *w = come(0, NULL);

		say_name(w, CP_SCCP_TOKEN_REQ, name_of(0));
		in += last(w) == CP_SCCP_TOKEN_ACK;
		leave(w);
	}
	CU_ASSERT(in >= 10 + 199 && in <= 10 + 200); /* 10 a second, whatever else was asked */
}

/* --- two of one name --- */

static void test_evict(void)
{
	struct cp_sccp_opts o = usual();
	struct wire *a, *b;

	fresh(&o);
	a = come(0, NULL);
	say_name(a, CP_SCCP_REGISTER, name_of(0));
	b = come(1, NULL);
	say_name(b, CP_SCCP_REGISTER, name_of(0));
	CU_ASSERT(a->closed && cp_sccp_find(sccp, name_of(0)) == b->p && registered == 2 && gone == 1);
	leave(a);
	leave(b);
}

static void test_duplicate_of_a_living_one(void)
{
	struct cp_sccp_opts o = usual();
	struct wire *a, *b, *c;

	o.refuse_duplicates = true;
	fresh(&o);
	a = come(0, NULL);
	say_name(a, CP_SCCP_REGISTER, name_of(0));
	b = come(1, NULL);
	c = come(2, NULL);
	say_name(b, CP_SCCP_REGISTER, name_of(0));
	say_name(c, CP_SCCP_REGISTER, name_of(0));
	say_name(b, CP_SCCP_REGISTER, name_of(0)); /* impatient */
	CU_ASSERT(b->n == 0 && c->n == 0 && !a->closed); /* they wait */
	CU_ASSERT_EQUAL(last(a), CP_SCCP_CAPABILITIES_REQ); /* and it is asked, once for both */
	CU_ASSERT_EQUAL(cp_sccp_stats(sccp)->probes, 1);
	say(b, CP_SCCP_KEEPALIVE, NULL, 0); /* nothing that they say proves anything */
	CU_ASSERT_EQUAL(b->n, 1);
	say(a, CP_SCCP_CAPABILITIES_RES, "\0\0\0", 4);
	CU_ASSERT(refused(b, "Registered elsewhere") && refused(c, "Registered elsewhere"));
	CU_ASSERT(cp_sccp_find(sccp, name_of(0)) == a->p && registered == 1 && gone == 0);
	CU_ASSERT_STRING_EQUAL(last_id, "sccp-duplicate");
	CU_ASSERT(strstr(last_text, "192.0.2.12") != NULL && strstr(last_text, "remedy: ") != NULL);
	now_ms += 5000;
	cp_sccp_tick(sccp);
	CU_ASSERT_FALSE(a->closed);
	leave(a), leave(b), leave(c);
}

/* Its link answered a keep-alive after it was asked: as good as any answer. One before that proves nothing. */
static void test_duplicate_of_one_that_its_link_heard(void)
{
	struct cp_sccp_opts o = usual();
	struct wire *a, *b, *c;

	o.refuse_duplicates = true;
	for (int meanwhile = 0; meanwhile < 2; meanwhile++) {
		fresh(&o);
		a = come(0, NULL);
		say_name(a, CP_SCCP_REGISTER, name_of(0));
		now_ms += 5000;
		a->answered_ms = now_ms - 1;
		b = come(1, NULL);
		say_name(b, CP_SCCP_REGISTER, name_of(0));
		c = come(2, NULL);
		say_name(c, CP_SCCP_REGISTER, name_of(0));
		now_ms += 1000;
		cp_sccp_tick(sccp);
		CU_ASSERT(b->n == 0 && c->n == 0 && !a->closed);
		if (meanwhile)
			a->answered_ms = now_ms;
		now_ms += 1000;
		cp_sccp_tick(sccp);
		CU_ASSERT_EQUAL(a->closed, !meanwhile);
		CU_ASSERT_PTR_EQUAL(cp_sccp_find(sccp, name_of(0)), meanwhile ? a->p : b->p);
		CU_ASSERT(!meanwhile || (refused(b, "Registered elsewhere") && refused(c, "Registered elsewhere")));
		leave(a), leave(b), leave(c);
	}
}

static void test_duplicate_of_a_dead_one(void)
{
	struct cp_sccp_opts o = usual();
	struct wire *a, *b, *c;

	o.refuse_duplicates = true;
	fresh(&o);
	a = come(0, NULL);
	say_name(a, CP_SCCP_REGISTER, name_of(0));
	b = come(1, NULL);
	say_name(b, CP_SCCP_REGISTER, name_of(0));
	c = come(2, NULL);
	say_name(c, CP_SCCP_REGISTER, name_of(0));
	now_ms += 1999;
	cp_sccp_tick(sccp);
	CU_ASSERT_FALSE(a->closed);
	now_ms++;
	cp_sccp_tick(sccp);
	CU_ASSERT(a->closed && cp_sccp_find(sccp, name_of(0)) == b->p);
	CU_ASSERT(last(b) == CP_SCCP_CAPABILITIES_REQ && !c->closed); /* the third waits for the second's answer now */
	say(b, CP_SCCP_KEEPALIVE, NULL, 0);
	CU_ASSERT(refused(c, "Registered elsewhere") && !b->closed);
	leave(c);
	c = come(2, NULL);
	say_name(c, CP_SCCP_REGISTER, name_of(0)); /* the first one goes while it is asked: no need to wait */
	leave(b);
	cp_sccp_tick(sccp);
	CU_ASSERT(cp_sccp_find(sccp, name_of(0)) == c->p && !c->closed);
	b = come(1, NULL);
	say_name(b, CP_SCCP_REGISTER, name_of(0));
	leave(b); /* who waits may go */
	now_ms += 3000;
	cp_sccp_tick(sccp);
	CU_ASSERT_FALSE(c->closed);
	leave(a), leave(c);
}

/* --- records for unknown phones --- */

static void test_auto(void)
{
	struct cp_sccp_opts o = usual();
	struct wire *a, *b;

	o.auto_add = auto_add;
	fresh(&o);
	device_cnt = 0;
	add_rc = 0;
	a = come(0, NULL);
	say_name(a, CP_SCCP_REGISTER, name_of(0));
	b = come(1, NULL);
	say_name(b, CP_SCCP_REGISTER, name_of(0)); /* a second claim, one record */
	CU_ASSERT(a->n == 0 && b->n == 0 && adds == 1);
	cp_sccp_tick(sccp);
	now_ms += 10000;
	cp_sccp_tick(sccp);
	CU_ASSERT(a->n == 0 && !a->closed); /* nothing is said before it is synced */
	leave(b);
	device_cnt = 1;
	cp_sccp_auto_added(sccp, name_of(0), 0);
	CU_ASSERT(is_in(a) && registered == 1);
	leave(a);
	device_cnt = 0;
	a = come(0, NULL);
	say_name(a, CP_SCCP_REGISTER, name_of(0));
	cp_sccp_auto_added(sccp, name_of(0), -EIO); /* the store refused */
	CU_ASSERT_TRUE(refused(a, "No Device Entry"));
	leave(a);
	a = come(0, NULL);
	say_name(a, CP_SCCP_REGISTER, name_of(0));
	cp_sccp_auto_added(sccp, name_of(0), 0); /* it was deleted in the meantime: not made again and again */
	CU_ASSERT(refused(a, "No Device Entry") && adds == 3);
	leave(a);
	cp_sccp_auto_added(sccp, name_of(0), 0); /* nobody waits any more */
	add_rc = -ENOSPC;
	a = come(0, NULL);
	say_name(a, CP_SCCP_REGISTER, name_of(0));
	CU_ASSERT(refused(a, "No Device Entry") && strstr(last_text, "used up") != NULL);
	leave(a);
}

/* --- alarms --- */

static void test_mic(void)
{
	struct cp_sccp_opts o = usual();
	X509 *cert = X509_new();
	struct wire *w;

	X509_time_adj_ex(X509_getm_notAfter(cert), 1, 0, &(time_t){1700000000});
	o.cert_lsc = cert_lsc;
	for (int i = 0; i < 2; i++) {
		fresh(&o);
		devices[0].mode = CP_DEVICE_ENCRYPTED;
		is_lsc = i == 1;
		w = come(0, cert);
		say_name(w, CP_SCCP_REGISTER, name_of(0));
		CU_ASSERT_EQUAL(is_lsc, is_in(w));
		CU_ASSERT(is_lsc || (refused(w, "LSC needed") && strcmp(last_id, "sccp-mic-only") == 0));
		leave(w);
	}
	X509_free(cert);
}

static const struct {
	const char *row, *id;
} named[] = {
	{"004c:TR-01", "sccp-clear-registration"}, /* authenticated device on a clear port */
	{"004c:TR-01", "sccp-tls-nonsecure"},      /* unauthenticated phone on TLS */
	{"004c:TR-02", "sccp-cert-name"},
	{"004c:TR-03", "sccp-tls-weak"},
	{"004c:TR-03", "sccp-tls-incompatible"},
	{"004b:CTL-18", "sccp-clear-registration"}, /* secure devices use the secure port */
	{"004b:R-23", "sccp-cert-missing"},         /* secure mode, no certificate: registration fails */
	{"000:P0-24", "sccp-mic-only"},
};

static void test_every_refusal_says_all(void)
{
	struct cp_sccp_opts o = usual();
	struct cfg_addr from = {.family = 4, .plen = 32, .ip = {198, 51, 100, 7}, .port = 3000};

	fresh(&o);
	for (int i = 0; i < CP_SCCP_REF_MAX; i++) {
		enum cp_sccp_refusal why = (enum cp_sccp_refusal)i;

		cp_sccp_refuse(sccp, why, name_of(3), &from, "because");
		CU_ASSERT_STRING_EQUAL(last_id, cp_sccp_refusal_id(why));
		CU_ASSERT_STRING_EQUAL(last_subject, name_of(3));
		CU_ASSERT(strstr(last_text, name_of(3)) != NULL && strstr(last_text, "198.51.100.7") != NULL);
		CU_ASSERT(strstr(last_text, "because") != NULL && strstr(last_text, cp_sccp_refusal_remedy(why)) != NULL);
		CU_ASSERT(strlen(cp_sccp_refusal_remedy(why)) > 10);
		CU_ASSERT(strlen(cp_sccp_refusal_text(why)) < 32); /* what RegisterReject has room for */
	}
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		bool there = false;

		for (int k = 0; k < CP_SCCP_REF_MAX; k++)
			there = there || strcmp(named[i].id, cp_sccp_refusal_id((enum cp_sccp_refusal)k)) == 0;
		CU_ASSERT_TRUE(there);
	}
	CU_ASSERT_STRING_EQUAL(cp_sccp_refusal_id(CP_SCCP_REF_MAX), "sccp-refused");
}

static void test_grace(void)
{
	struct cp_sccp_opts o = usual();
	struct wire *w;

	o.keepalive_s = 10;
	o.grace_s = 3;
	fresh(&o);
	w = come(0, NULL);
	say_name(w, CP_SCCP_REGISTER, name_of(0));
	now_ms += 12999;
	cp_sccp_tick(sccp);
	CU_ASSERT_FALSE(w->closed);
	now_ms++;
	cp_sccp_tick(sccp);
	CU_ASSERT_TRUE(w->closed);
	leave(w);
}

static int teardown(void)
{
	cp_sccp_destroy(sccp);
	return 0;
}

static CU_TestInfo tests[] = {
	{"tokens and back-off", test_tokens},
	{"a storm ends at the rate", test_storm_ends},
	{"the second of a name ends the first", test_evict},
	{"or is refused while that one lives", test_duplicate_of_a_living_one},
	{"or while its keep-alives are answered", test_duplicate_of_one_that_its_link_heard},
	{"and takes its place if it does not", test_duplicate_of_a_dead_one},
	{"records for unknown phones", test_auto},
	{"MIC or LSC", test_mic},
	{"every refusal says who, where from, why, and what to do", test_every_refusal_says_all},
	{"keep-alive and grace", test_grace},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("register", tests, NULL, teardown)
