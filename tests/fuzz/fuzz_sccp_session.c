/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session fed with outside bytes cut into frames as the reader of net/ does, with call control
 * calling down in every way from inside its up-calls, time passing and the link failing. What must
 * hold: call control hears of a phone in order (registered, then the rest, then gone, once), and
 * keys never leave to one that is not encrypted. First byte: bits 0..1 device mode, 2 TLS, 3 link
 * fails, 4 the device vanishes, 5 its record changes, 6 show, 7 policies: frames go to two sessions in turn, the second of a name
 * waits for the first's answer, registrations are few, and a device that vanished is made again, sometimes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dp_msg.h"
#include "log.h"
#include "sccp/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

static struct cp_line lines[2] = {{.number = "1001", .label = "Alice"}, {.number = "1002"}};
static struct cp_device device = {
	.name = "SEP0A1B2C3D4E51", .srtp = true, .lines = lines, .line_cnt = 2};
struct side {
	struct cp_phone *p;
	bool closed, known; /* known: registered and not gone */
};

static struct side sides[2];
static struct cp_sccp *with_policies;
static bool vanished, link_fails, encrypted;
static unsigned sends;
static uint64_t clock_ms;

static int l_send(void *io, const uint8_t *frame, size_t len, bool secret)
{
	struct cp_sccp_frame f;

	REQUIRE(cp_sccp_frame_parse(frame, len, &f) == 0);
	REQUIRE(!((struct side *)io)->closed);
	if (f.id == CP_SCCP_ORC)
		REQUIRE(secret && (encrypted || f.body[28] == 0));
	return link_fails && ++sends > 20 ? -ENOTCONN : 0;
}

static void l_close(void *io)
{
	((struct side *)io)->closed = true;
}

static void l_authed(void *io)
{
	(void)io;
}

static const struct cp_sccp_link link_ops = {l_send, l_close, l_authed, NULL, NULL};

static struct side *side_of(const struct cp_phone *p)
{
	return sides[1].p == p && p != NULL ? &sides[1] : &sides[0];
}

static void drive(struct cp_phone *p, uint32_t x)
{
	struct cp_phone_media m = {.party = x,
	                           .callref = x,
	                           .codec = 4,
	                           .packet_ms = 20,
	                           .suite = (uint8_t)(x % 4),
	                           .remote = {.family = x & 1 ? 6 : 4, .port = (uint16_t)x}};
	struct cp_phone_callinfo info = {.line = x,
	                                 .callref = x,
	                                 .security = 3,
	                                 .calling_name = cp_phone_name(p),
	                                 .calling_number = cp_phone_line_number(p, x % 4)};

	REQUIRE(side_of(p)->known);
	cp_phone_call_state(p, CP_SCCP_CONNECTED, x, x);
	cp_phone_callinfo(p, &info);
	cp_phone_prompt(p, cp_phone_line_label(p, x % 4), 0, x, x);
	cp_phone_dialed(p, "2002", x, x);
	cp_phone_stop_tone(p, x, x);
	cp_phone_orc(p, &m);
	cp_phone_smt(p, &m);
	cp_phone_stats(p, "1001", x);
	REQUIRE(cp_phone_device(p) == (vanished ? NULL : &device));
}

static void up_registered(void *ctx, struct cp_phone *p)
{
	(void)ctx;
	REQUIRE(!sides[0].known && !sides[1].known); /* one of a name at a time */
	side_of(p)->known = true;
	drive(p, 1);
}
static void up_gone(void *ctx, struct cp_phone *p, enum cp_phone_gone why)
{
	(void)ctx, (void)why;
	REQUIRE(side_of(p)->known);
	side_of(p)->known = false;
}
static void up_hook(void *ctx, struct cp_phone *p, uint32_t line, uint32_t ref)
{
	(void)ctx;
	drive(p, line ^ ref);
}
static void up_digit(void *ctx, struct cp_phone *p, char digit, uint32_t line, uint32_t ref)
{
	(void)ctx, (void)ref;
	REQUIRE(strchr("0123456789*#", digit) != NULL && digit != '\0');
	drive(p, line);
}
static void up_enbloc(void *ctx, struct cp_phone *p, const char *number, uint32_t line)
{
	(void)ctx;
	REQUIRE(number[0] != '\0' && strspn(number, "0123456789*#+ABCD") == strlen(number));
	drive(p, line);
}
static void up_softkey(void *ctx, struct cp_phone *p, uint32_t event, uint32_t line, uint32_t ref)
{
	(void)ctx, (void)line, (void)ref;
	drive(p, event);
}
static void up_orc(void *ctx, struct cp_phone *p, uint32_t status, const struct cfg_addr *media,
                   uint32_t party, uint32_t ref)
{
	(void)ctx, (void)ref;
	REQUIRE((status == 0) == (media != NULL));
	REQUIRE(media == NULL || (media->port != 0 && (media->family == 4 || media->family == 6)));
	drive(p, party);
}
static void up_smt(void *ctx, struct cp_phone *p, uint32_t status, uint32_t party, uint32_t ref)
{
	(void)ctx, (void)status, (void)ref;
	drive(p, party);
}
static void up_caps(void *ctx, struct cp_phone *p)
{
	unsigned n;

	(void)ctx;
	cp_phone_caps(p, &n);
	REQUIRE(n <= CP_SCCP_CAPS_MAX);
	drive(p, n);
}

static void up_forward_stat(void *ctx, struct cp_phone *p, uint32_t line)
{
	(void)ctx;
	(void)cp_phone_forward_stat(p, line, "1003", "", NULL);
}

static const struct cp_call_ops call_ops = {up_registered, up_gone,   up_hook,    up_hook,
                                            up_digit,      up_enbloc, up_softkey, up_orc,
                                            up_smt,        up_hook,   up_caps,    up_forward_stat};

static const struct cp_device *find_device(void *ctx, const char *name)
{
	(void)ctx;
	return !vanished && strcmp(name, device.name) == 0 ? &device : NULL;
}

static int cert_name(X509 *cert, char ret_name[CP_DEVICE_NAME_MAX])
{
	(void)cert;
	memcpy(ret_name, "SEP0A1B2C3D4E51", 16);
	return 0;
}

static int auto_add(void *ctx, const char *name, uint32_t type, char *why, size_t why_size)
{
	(void)ctx, (void)type;
	snprintf(why, why_size, "no");
	return strcmp(name, device.name) == 0 ? 0 : -EACCES;
}

static bool cert_lsc(void *ctx, X509 *cert)
{
	(void)ctx, (void)cert;
	return device.srtp;
}

static void alarm_cb(void *ctx, const char *id, const char *subject, const char *text)
{
	(void)ctx;
	REQUIRE(id != NULL && subject != NULL && (text == NULL || strlen(text) < 512));
}

static uint64_t fake_now(void *ctx)
{
	(void)ctx;
	return clock_ms;
}

static int64_t fake_wall(void *ctx)
{
	(void)ctx;
	return 1700000000000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cp_sccp_opts opts = {.find_device = find_device,
	                                         .cert_name = cert_name,
	                                         .alarm = alarm_cb,
	                                         .call = &call_ops,
	                                         .keepalive_s = 30, .grace_s = 45,
	                                         .date_template = "D/M/Y",
	                                         .server_name = "cm",
	                                         .now_ms = fake_now,
	                                         .wall_ms = fake_wall};
	/* Its index is too big to make anew each time; it must be empty each time. */
	static struct cp_sccp *plain;
	static X509 *cert;
	struct cp_sccp *sccp;
	struct cp_sccp_peer peer = {.addr = {.family = 4, .ip = {192, 0, 2, 1}},
	                            .local = {.family = 4, .port = 2443},
	                            .tls_version = "TLSv1.3",
	                            .tls_cipher = "X"};
	unsigned turn = 0, cnt;

	if (plain == NULL) {
		struct cp_sccp_opts o = opts;

		cfg_log_init("fuzz", CFG_LOG_KV, CFG_LOG_ERR);
		cert = X509_new();
		X509_time_adj_ex(X509_getm_notAfter(cert), 1, 0, &(time_t){1700000000});
		REQUIRE(cp_sccp_create(&opts, &plain) == 0);
		o.refuse_duplicates = true;
		o.register_rate = 20;
		o.auto_add = auto_add;
		o.cert_lsc = cert_lsc;
		REQUIRE(cp_sccp_create(&o, &with_policies) == 0);
	}
	if (size < 1)
		return 0;
	device.mode = (enum cp_device_mode)(1 + (data[0] & 3) % 3);
	peer.tls = peer.encrypts = (data[0] & 4) != 0;
	peer.cert = peer.tls ? cert : NULL;
	link_fails = (data[0] & 8) != 0;
	encrypted = peer.tls && device.mode == CP_DEVICE_ENCRYPTED;
	vanished = false;
	sends = 0;
	cnt = (data[0] & 128) != 0 ? 2 : 1;
	sccp = cnt == 2 ? with_policies : plain;
	memset(sides, 0, sizeof(sides));
	for (unsigned i = 0; i < cnt; i++) {
		sides[i].p = cp_session_open(sccp, &link_ops, &sides[i], &peer);
		REQUIRE(sides[i].p != NULL);
	}
	for (size_t at = 1; at < size && !(sides[0].closed && (cnt < 2 || sides[1].closed)); turn++) {
		struct side *side = &sides[turn % cnt];
		size_t total = 0;
		uint8_t *copy;

		if (cp_sccp_frame_len(data + at, size - at, &total) != 0 || total > size - at)
			break;
		copy = malloc(total); /* exact: a read behind the frame is seen */
		memcpy(copy, data + at, total);
		if (!side->closed)
			cp_session_frame(side->p, copy, total);
		at += total;
		clock_ms += 100 + (copy[total - 1] & 7) * 500u;
		free(copy);
		vanished = (data[0] & 16) != 0 && at > 200 && (cnt < 2 || at % 3 != 0);
		if (cnt == 2 && at % 5 == 0)
			cp_sccp_auto_added(sccp, device.name, vanished ? -EIO : 0);
		cp_sccp_tick(sccp);
	}
	if ((data[0] & 32) != 0)
		cp_sccp_device_changed(sccp, device.name);
	if ((data[0] & 64) != 0)
		json_decref(cp_sccp_show_registrations(sccp));
	for (unsigned i = 0; i < cnt; i++) {
		cp_session_closed(sides[i].p, CP_GONE_CLOSED);
		sides[i].p = NULL;
	}
	REQUIRE(!sides[0].known && !sides[1].known && cp_sccp_find(sccp, device.name) == NULL && TAILQ_EMPTY(&sccp->all));
	REQUIRE(TAILQ_EMPTY(&sccp->held) && TAILQ_EMPTY(&sccp->due) && sccp->due_cnt == 0);
	return 0;
}
