/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions of phones (controlplane/sccp/session.c) with a fake link, a fake clock and three devices: what was sent is in a struct wire, what
 * went up in 'events', the last alarm in last_*. No sockets.
 */
#ifndef TESTS_SESSION_FIX_H
#define TESTS_SESSION_FIX_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "dp_msg.h"
#include "sccp/cursor.h"
#include "sccp/session.h"

#define NAME "SEP0A1B2C3D4E51"

static uint64_t now_ms;
static struct cp_sccp *sccp;
static struct cp_line lines[2] = {{.number = "1001", .label = "Alice"}, {.number = "1002"}};
static struct cp_device devices[3];
static char last_alarm[64], last_subject[64], last_text[512];
static unsigned raised, cleared;
static char cert_says[16];

/* --- the other side of every callback --- */

struct wire {
	uint8_t out[65536];
	size_t len;
	bool closed, authed, broken;
	bool here; /* may answer keep-alives itself */
	uint64_t answered_ms; /* when it did; 0: never */
	unsigned secrets;
};

static inline int w_send(void *io, const uint8_t *frame, size_t len, bool secret)
{
	struct wire *w = io;

	if (w->broken)
		return -ENOTCONN;
	if (w->len + len > sizeof(w->out))
		abort();
	memcpy(w->out + w->len, frame, len);
	w->len += len;
	w->secrets += secret;
	return 0;
}

static inline void w_close(void *io)
{
	((struct wire *)io)->closed = true;
}

static inline void w_authed(void *io)
{
	((struct wire *)io)->authed = ((struct wire *)io)->here = true;
}

static inline void w_left(void *io)
{
	((struct wire *)io)->here = false;
}

static inline uint64_t w_quiet_ms(void *io)
{
	const struct wire *w = io;

	return w->answered_ms == 0 ? UINT64_MAX : now_ms - w->answered_ms;
}

static const struct cp_sccp_link link_ops = {w_send, w_close, w_authed, w_left, w_quiet_ms};

/* Next frame that was sent; false: none. */
static inline bool next(struct wire *w, struct cp_sccp_frame *f, uint8_t *keep)
{
	size_t total = 0;

	if (w->len == 0)
		return false;
	if (cp_sccp_frame_len(w->out, w->len, &total) != 0 || total > w->len)
		abort();
	memcpy(keep, w->out, total);
	memmove(w->out, w->out + total, w->len - total);
	w->len -= total;
	return cp_sccp_frame_parse(keep, total, f) == 0;
}

static inline uint32_t next_id(struct wire *w)
{
	static uint8_t keep[CP_SCCP_FRAME_MAX];
	struct cp_sccp_frame f;

	return next(w, &f, keep) ? f.id : UINT32_MAX;
}

static char events[512];

static inline void note(const char *what)
{
	strncat(events, what, sizeof(events) - strlen(events) - 1);
	strncat(events, " ", sizeof(events) - strlen(events) - 1);
}

static inline void notef(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline void notef(const char *fmt, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	note(text);
}

static inline void up_registered(void *ctx, struct cp_phone *p)
{
	(void)ctx;
	notef("registered:%s", cp_phone_name(p));
}
static inline void up_gone(void *ctx, struct cp_phone *p, enum cp_phone_gone why)
{
	(void)ctx;
	CU_ASSERT_EQUAL(cp_phone_speaker(p, false), -ENOTCONN); /* allowed, ignored */
	notef("gone:%d", why);
}
static inline void up_offhook(void *ctx, struct cp_phone *p, uint32_t line, uint32_t ref)
{
	(void)ctx, (void)p;
	notef("offhook:%u:%u", line, ref);
}
static inline void up_onhook(void *ctx, struct cp_phone *p, uint32_t line, uint32_t ref)
{
	(void)ctx, (void)p;
	notef("onhook:%u:%u", line, ref);
}
static inline void up_digit(void *ctx, struct cp_phone *p, char digit, uint32_t line, uint32_t ref)
{
	(void)ctx, (void)p;
	notef("digit:%c:%u:%u", digit, line, ref);
}
static inline void up_enbloc(void *ctx, struct cp_phone *p, const char *number, uint32_t line)
{
	(void)ctx, (void)p;
	notef("enbloc:%s:%u", number, line);
}
static inline void up_softkey(void *ctx, struct cp_phone *p, uint32_t event, uint32_t line, uint32_t ref)
{
	(void)ctx, (void)p;
	notef("softkey:%u:%u:%u", event, line, ref);
}
static inline void up_orc_ack(void *ctx, struct cp_phone *p, uint32_t status, const struct cfg_addr *media,
                       uint32_t party, uint32_t ref)
{
	char text[64] = "none";

	(void)ctx, (void)p;
	if (media != NULL)
		cfg_addr_print(media, text, sizeof(text));
	notef("orc:%u:%s:%u:%u", status, text, party, ref);
}
static inline void up_smt_ack(void *ctx, struct cp_phone *p, uint32_t status, uint32_t party, uint32_t ref)
{
	(void)ctx, (void)p;
	notef("smt:%u:%u:%u", status, party, ref);
}
static inline void up_media_failed(void *ctx, struct cp_phone *p, uint32_t party, uint32_t ref)
{
	(void)ctx, (void)p;
	notef("failed:%u:%u", party, ref);
}
static inline void up_caps(void *ctx, struct cp_phone *p)
{
	unsigned n;

	(void)ctx;
	cp_phone_caps(p, &n);
	notef("caps:%u", n);
}

static const struct cp_call_ops call_ops = {up_registered, up_gone,         up_offhook, up_onhook,
                                            up_digit,      up_enbloc,       up_softkey, up_orc_ack,
                                            up_smt_ack,    up_media_failed, up_caps,    NULL};

static const struct cp_device *find_device(void *ctx, const char *name)
{
	(void)ctx;
	for (int i = 0; i < 3; i++)
		if (strcmp(devices[i].name, name) == 0)
			return &devices[i];
	return NULL;
}

static inline int cert_name(X509 *cert, char ret_name[CP_DEVICE_NAME_MAX])
{
	(void)cert;
	if (cert_says[0] == '\0')
		return -EINVAL;
	snprintf(ret_name, CP_DEVICE_NAME_MAX, "%s", cert_says);
	return 0;
}

static inline void alarm_cb(void *ctx, const char *id, const char *subject, const char *text)
{
	(void)ctx;
	if (text == NULL) {
		cleared++;
		return;
	}
	raised++;
	snprintf(last_alarm, sizeof(last_alarm), "%s", id);
	snprintf(last_subject, sizeof(last_subject), "%s", subject);
	snprintf(last_text, sizeof(last_text), "%s", text);
}

static inline uint64_t fake_now(void *ctx)
{
	(void)ctx;
	return now_ms;
}

static inline int64_t fake_wall(void *ctx)
{
	(void)ctx;
	return 1700000000000; /* 2023-11-14T22:13:20Z */
}

static inline void fresh(enum cp_device_mode mode)
{
	const struct cp_sccp_opts opts = {.find_device = find_device,
	                                  .cert_name = cert_name,
	                                  .alarm = alarm_cb,
	                                  .call = &call_ops,
	                                  .keepalive_s = 30, .grace_s = 45,
	                                  .date_template = "D/M/Y",
	                                  .server_name = "cm1",
	                                  .now_ms = fake_now,
	                                  .wall_ms = fake_wall};

	cp_sccp_destroy(sccp);
	now_ms = 1000;
	memset(devices, 0, sizeof(devices));
	strcpy(devices[0].name, NAME);
	devices[0].mode = mode;
	devices[0].srtp = true;
	devices[0].lines = lines;
	devices[0].line_cnt = 2;
	strcpy(devices[1].name, "SEP000000000002");
	devices[1].mode = CP_DEVICE_NONSECURE;
	events[0] = last_alarm[0] = last_subject[0] = last_text[0] = '\0';
	raised = cleared = 0;
	strcpy(cert_says, NAME);
	if (cp_sccp_create(&opts, &sccp) != 0)
		abort();
}

/* The "certificate": X509_get0_notAfter() needs a real object. */
static inline X509 *test_cert(long valid_s)
{
	X509 *x = X509_new();

	X509_time_adj_ex(X509_getm_notAfter(x), 0, valid_s, &(time_t){1700000000});
	return x;
}

static inline struct cp_phone *connect_phone(struct wire *w, bool tls, bool encrypts, X509 *cert)
{
	struct cp_sccp_peer peer = {
		.addr = {.family = 4, .plen = 32, .ip = {192, 0, 2, 51}, .port = 50000},
		.local = {.family = 4, .plen = 32, .ip = {192, 0, 2, 1}, .port = 2000},
		.tls = tls,
		.encrypts = encrypts,
		.cert = cert,
		.tls_version = "TLSv1.3",
		.tls_cipher = "TLS_AES_256_GCM_SHA384"};

	memset(w, 0, sizeof(*w));
	return cp_session_open(sccp, &link_ops, w, &peer);
}

static inline void say(struct cp_phone *p, unsigned ver, uint32_t id, const void *body, size_t len)
{
	uint8_t *frame = malloc(CP_SCCP_HDR + len); /* exact size: a read past it is seen */
	struct cp_sccp_w w = {frame, CP_SCCP_HDR + len, 0, false};

	cp_w_u32(&w, (uint32_t)(4 + len));
	cp_w_u32(&w, ver);
	cp_w_u32(&w, id);
	cp_w_bytes(&w, body, len);
	cp_session_frame(p, frame, CP_SCCP_HDR + len);
	free(frame);
}

static inline void say_words(struct cp_phone *p, unsigned ver, uint32_t id, unsigned n, uint32_t a,
                      uint32_t b, uint32_t c)
{
	uint8_t body[12];
	struct cp_sccp_w w = {body, sizeof(body), 0, false};

	cp_w_u32(&w, a);
	cp_w_u32(&w, b);
	cp_w_u32(&w, c);
	say(p, ver, id, body, 4 * n);
}

static inline void say_register(struct cp_phone *p, const char *name, uint8_t protocol)
{
	uint8_t body[124] = {0};

	memcpy(body, name, strlen(name) < 16 ? strlen(name) : 16);
	body[28] = 0xb2;
	body[29] = 1;
	body[40] = protocol;
	body[42] = 0x72;
	body[43] = 0x85;
	memcpy(body + 92, "SCCP42.9", 8);
	say(p, 0, CP_SCCP_REGISTER, body, sizeof(body));
}

static inline struct cp_phone *registered_phone(struct wire *w, uint8_t protocol)
{
	struct cp_phone *p = connect_phone(w, false, false, NULL);

	say_register(p, NAME, protocol);
	CU_ASSERT_EQUAL(next_id(w), CP_SCCP_REGISTER_ACK);
	CU_ASSERT_EQUAL(next_id(w), CP_SCCP_CAPABILITIES_REQ);
	CU_ASSERT_EQUAL(w->len, 0);
	return p;
}

static inline int teardown(void)
{
	cp_sccp_destroy(sccp);
	return 0;
}

#endif
