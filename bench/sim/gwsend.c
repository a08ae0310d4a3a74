/* SPDX-License-Identifier: BSD-3-Clause */
/* How a gateway's messages leave: alone or several in one datagram (RFC 3435 s3.5.5), and responses in two parts (s3.5.6). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "gw_priv.h"

#define PIGGY_US 3000   /* so long a message waits for others */
#define FINAL_TRIES 4   /* a final response is said so often without 000 */
#define FINAL_MS 500

static void arm(struct event *ev, uint64_t us)
{
	struct timeval tv = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};

	event_add(ev, &tv);
}

static void flush(struct sim_gw *g)
{
	if (g->piggy_cnt == 0)
		return;
	g->piggy_out += g->piggy_cnt > 1;
	sim_wire_send(g->wire, g->piggy, g->piggy_len, &g->piggy_to);
	OPENSSL_cleanse(g->piggy, g->piggy_len);
	g->piggy_cnt = 0;
	g->piggy_len = 0;
}

static void on_piggy(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	flush(arg);
}

int sim_gw_send_init(struct sim_gw *g)
{
	g->piggy_timer = event_new(g->opts->base, -1, 0, on_piggy, g);
	return g->piggy_timer != NULL ? 0 : -ENOMEM;
}

static bool same(const struct sim_addr *a, const struct sim_addr *b)
{
	return sim_addr_same_ip(a, b) && sim_addr_port(a) == sim_addr_port(b);
}

void sim_gw_send(struct sim_gw *g, const char *text, size_t len, const struct sim_addr *to)
{
	if (!g->opts->piggyback || len + 3 > sizeof(g->piggy)) {
		sim_wire_send(g->wire, text, len, to);
		return;
	}
	if (g->piggy_cnt > 0 && (!same(to, &g->piggy_to) || g->piggy_len + 3 + len > sizeof(g->piggy)))
		flush(g);
	if (g->piggy_cnt > 0) {
		memcpy(g->piggy + g->piggy_len, ".\r\n", 3);
		g->piggy_len += 3;
	} else {
		arm(g->piggy_timer, PIGGY_US);
	}
	memcpy(g->piggy + g->piggy_len, text, len);
	g->piggy_len += len;
	g->piggy_cnt++;
	g->piggy_to = *to;
}

int sim_gw_entity(const char *text, struct sim_addr *ret)
{
	const char *at = strrchr(text, '@'), *host = at != NULL ? at + 1 : text;
	char plain[64];
	size_t n = 0;

	/* brackets of an IPv4 address are nobody's syntax but MGCP's */
	for (bool v6 = strchr(host, ':') != strrchr(host, ':'); *host != '\0' && n + 1 < sizeof(plain); host++)
		if (v6 || (*host != '[' && *host != ']'))
			plain[n++] = *host;
	plain[n] = '\0';
	return sim_addr_parse(plain, 2727, ret);
}

/* The final response, with an empty K: behind its first line: whoever gets it says 000. */
static void send_final(struct sim_final *f)
{
	const struct sim_cached *c = sim_gw_cached(f->gw, f->txid);
	const char *eol = c != NULL ? memchr(c->text, '\n', c->len) : NULL;
	char text[SIM_MGCP_MAX + 8];
	size_t head;

	if (eol == NULL)
		return;
	head = (size_t)(eol - c->text) + 1;
	memcpy(text, c->text, head);
	memcpy(text + head, "K:\r\n", 4);
	memcpy(text + head + 4, c->text + head, c->len - head);
	sim_gw_send(f->gw, text, c->len + 4, &f->to);
	OPENSSL_cleanse(text, sizeof(text));
}

static void forget(struct sim_final *f)
{
	struct sim_final **at = &f->gw->finals;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	event_free(f->timer);
	free(f);
}

static void on_final(evutil_socket_t fd, short what, void *arg)
{
	struct sim_final *f = arg;

	(void)fd;
	(void)what;
	f->waits = false;
	send_final(f);
	if (++f->tries < FINAL_TRIES)
		arm(f->timer, FINAL_MS * 1000);
	else
		forget(f);
}

static void say_executing(struct sim_gw *g, uint32_t txid, const struct sim_addr *to)
{
	char text[48];
	int n = snprintf(text, sizeof(text), "100 %u executing\r\n", txid);

	sim_gw_send(g, text, (size_t)n, to);
	g->provisional++;
}

bool sim_gw_executing(struct sim_gw *g, uint32_t txid, const struct sim_addr *to)
{
	for (struct sim_final *f = g->finals; f != NULL; f = f->next) {
		if (f->txid == txid && f->waits) {
			say_executing(g, txid, to);
			return true;
		}
	}
	return false;
}

void sim_gw_provisional(struct sim_gw *g, uint32_t txid, const struct sim_addr *to)
{
	struct sim_final *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return;
	*f = (struct sim_final){.next = g->finals, .gw = g, .txid = txid, .waits = true, .to = *to, .timer = event_new(g->opts->base, -1, 0, on_final, f)};
	if (f->timer == NULL) {
		free(f);
		return;
	}
	g->finals = f;
	say_executing(g, txid, to);
	arm(f->timer, g->opts->provisional_ms * 1000ULL);
}

void sim_gw_acknowledged(struct sim_gw *g, uint32_t txid)
{
	for (struct sim_final *f = g->finals; f != NULL; f = f->next) {
		if (f->txid == txid && !f->waits) {
			g->acks++;
			forget(f);
			return;
		}
	}
}

void sim_gw_send_fini(struct sim_gw *g)
{
	while (g->finals != NULL)
		forget(g->finals);
	if (g->piggy_timer != NULL)
		event_free(g->piggy_timer);
	OPENSSL_cleanse(g->piggy, sizeof(g->piggy));
}
