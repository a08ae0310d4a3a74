/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/mgcp/deliver.c: a gateway's datagrams (split at 0xff) while a command with a key is on
 * its way; the first byte says how: bit 0 inside an SA, bit 1 a new 0.1 gateway, bit 2 events are
 * refused, bit 3 the SA dies, bit 4 the gateway is AUTO, bit 5 messages share datagrams, bit 6 an audit instead of the key. Each command has one result at most until the gateway goes, one in
 * all, and no key leaves in clear. "4711" in a datagram stands for the command's transaction
 * identifier.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgcp/deliver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool sa, refuse;
static unsigned dones;
static uint64_t token;

static int f_send(void *ctx, uint32_t gw_id, const struct dp_sockaddr *from,
                  const struct dp_sockaddr *to, const uint8_t *payload, uint16_t len, bool need_sa)
{
	(void)ctx;
	(void)gw_id;
	(void)from;
	(void)to;
	if (!sa && memmem(payload, len, "inline:", 7) != NULL)
		abort();
	return need_sa && !sa ? -ENOKEY : 0;
}

static bool f_live(void *ctx, uint32_t gw_id)
{
	(void)ctx;
	(void)gw_id;
	return sa;
}

static void f_done(void *ctx, const struct dp_mgcp_done *done)
{
	(void)ctx;
	(void)done;
	dones++;
}

static int f_event(void *ctx, const struct dp_mgcp_event *ev)
{
	(void)ctx;
	if (memchr(ev->endpoint, 0, sizeof(ev->endpoint)) == NULL ||
	    memchr(ev->observed, 0, sizeof(ev->observed)) == NULL)
		abort();
	token = ev->token;
	return refuse ? -EAGAIN : 0;
}

static unsigned text_at;

static int f_text(void *ctx, const struct dp_mgcp_text *text)
{
	(void)ctx;
	if (text->off != text_at || text->len == 0 || text->len > sizeof(text->text) || text->handle != 7)
		abort();
	text_at += text->len;
	return 0;
}

static int f_heard(void *ctx, const struct dp_gw_heard *heard)
{
	(void)ctx;
	if (heard->gw_id != 1 || (heard->port != 2727 && heard->port != 2427))
		abort();
	return refuse ? -EAGAIN : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct dp_deliver_ops ops = {f_send, f_live, f_done, f_event, 4710, 0, 0, f_text, f_heard, 0};
	struct dp_gw_set gw = {.gw_id = 1,
	                       .remote = {.ip = {10, 0, 1, 1}, .port = 2427, .family = 4},
	                       .local = {.ip = {10, 0, 0, 1}, .port = 2727, .family = 4},
	                       .domain = "gw1"};
	struct dp_mgcp_cmd cmd = {
		.gw_id = 1,
		.verb = DP_MGCP_CRCX,
		.mode = DP_MGCP_M_SENDRECV,
		.endpoint = "e/1",
		.call_id = "A1",
		.media = {.addr = {.ip = {10, 0, 0, 9}, .port = 16384, .family = 4}, .suite = 1}};
	struct dp_mgcp_ask ask = {.handle = 7, .gw_id = 1, .verb = DP_MGCP_AUEP, .endpoint = "*", .params = "F: A,I\n"};
	static struct dp_deliver *d; /* used again: setting one up costs more than all the rest */
	static uint64_t now = 1000000;
	static unsigned tid = 9999;
	uint8_t how;

	if (size == 0)
		return 0;
	how = *data++;
	size--;
	if (++tid > 9999) {
		dp_deliver_destroy(d);
		d = dp_deliver_create(&ops, NULL, 2, 8);
		tid = 4711;
	}
	if (d == NULL)
		abort();
	gw.flags = (how & 1 ? 0 : DP_GW_F_CLEAR) | (how & 2 ? DP_GW_F_MGCP_01 : 0) | (how & 16 ? DP_GW_F_AUTO : 0) |
	           (how & 32 ? DP_GW_F_PIGGYBACK : 0);
	gw.other_port = how & 16 ? 2427 : 0;
	text_at = 0;
	refuse = how & 4;
	sa = true;
	dones = 0;
	token = 0;
	if (dp_deliver_gw_set(d, &gw) != 0 ||
	    (how & 64 ? dp_deliver_ask(d, &ask, now) : dp_deliver_cmd(d, &cmd, now)) != 0) /* transaction 'tid' */
		abort();
	sa = how & 1;
	while (size > 0) {
		const uint8_t *end = memchr(data, 0xff, size);
		size_t n = end != NULL ? (size_t)(end - data) : size;
		uint8_t *copy = malloc(n + (n == 0)); /* exact size */

		memcpy(copy, data, n);
		for (uint8_t *p = copy; (p = memmem(p, n - (size_t)(p - copy), "4711", 4)) != NULL;
		     p += 4) {
			char text[5];

			snprintf(text, sizeof(text), "%u", tid);
			memcpy(p, text, 4);
		}
		dp_deliver_rx(d, copy, (uint16_t)(n < 65535 ? n : 65535), &gw.remote, &gw.local, sa,
		              sa ? 1 : UINT32_MAX, now);
		free(copy);
		if (token != 0)
			dp_deliver_ack(d, &(struct dp_mgcp_ack){.token = token, .code = 200}, now);
		now += 150000;
		dp_deliver_tick(d, now);
		if (how & 8)
			sa = !sa;
		data += n < size ? n + 1 : n;
		size -= n < size ? n + 1 : n;
	}
	if (dones > 1)
		abort();
	dp_deliver_gw_del(d, 1);
	if (dones != 1 || dp_deliver_txn_cnt(d) != 0)
		abort();
	return 0;
}
