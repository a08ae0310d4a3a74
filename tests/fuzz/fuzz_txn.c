/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/mgcp/txn*.c: sequences. Each two bytes are a step: a command of ours, an answer (right, late, twice, from another peer,
 * provisional, asking for 000), time, a command of a peer or its repeat, our answer to it, a confirmation, a peer that goes over to
 * another engine, is reset, or cannot be sent to, an engine that dies and comes again. Whatever the order: each command ends once,
 * is sent at most so often and under one identifier, none of which comes again within three minutes; one of a peer's order key at a
 * time; a peer's command is executed once; nothing grows.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mgcp/txn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PEERS = 3, OUT = 48, IN = 24, TIDS = 12, KEEP = 4096, SENT = 64 };

struct cmd {
	bool live, flying;
	uint8_t peer, order;
	uint32_t tid, tries;
};

struct exec { /* a peer's command */
	bool executing, answered;
	uint16_t code;
	uint32_t in, gen;
	uint64_t until_us; /* remembered at least so long */
};

struct world {
	struct dp_txn *e[2];
	uint8_t at[PEERS];       /* the engine that a peer is with */
	struct cmd cmd[2][OUT];  /* by slot */
	struct exec exec[PEERS][TIDS + 1];
	struct {
		uint32_t tid;
		uint64_t at_us;
	} used[KEEP];
	struct {
		uint32_t tid;
		uint8_t peer;
	} sent[SENT];
	unsigned sent_at, live;
	int transmit_rc;
	uint64_t now;
};

static struct world w;

#define check(ok)                                                                                  \
	do {                                                                                       \
		if (!(ok))                                                                         \
			abort();                                                                   \
	} while (0)

static int side(void *ctx)
{
	return (int)((struct dp_txn **)ctx - w.e);
}

static int f_transmit(void *ctx, uint32_t peer, uint32_t slot, uint32_t tid, uint32_t try, const struct dp_mgcp_range *confirm, uint16_t n)
{
	int s = side(ctx);
	struct cmd *c = &w.cmd[s][slot];
	unsigned h = tid * 2654435761u >> 20;

	check(slot < OUT && peer < PEERS && c->live && c->peer == peer && w.at[peer] == s);
	check(tid >= 1 && tid <= DP_MGCP_TID_MAX && n <= DP_TXN_CONFIRM_MAX);
	check(try > 1 || (tid < 500000000) == (s == 0)); /* one that came with its peer keeps its own */
	for (uint16_t i = 0; i < n; i++)
		check(confirm[i].first != 0 && confirm[i].first <= confirm[i].last);
	if (try == 1) { /* new, or again without K: */
		check(w.used[h].tid != tid || w.now - w.used[h].at_us >= DP_TXN_REUSE_US);
		w.used[h].tid = tid;
		for (unsigned k = 0; c->order != 0 && !c->flying && k < OUT; k++) {
			const struct cmd *o = &w.cmd[s][k];

			check(o == c || !o->live || !o->flying || o->peer != peer || o->order != c->order);
		}
		c->flying = true;
		c->tid = tid;
		c->tries = 0;
		w.sent[w.sent_at].peer = (uint8_t)peer;
		w.sent[w.sent_at].tid = tid;
		w.sent_at = (w.sent_at + 1) % SENT;
	}
	check(c->tid == tid && try == c->tries + 1);
	c->tries = try;
	if (w.used[h].tid == tid)
		w.used[h].at_us = w.now;
	check(try <= DP_TXN_MAX2 + DP_TXN_LONG_MAX_US / DP_TXN_LONGTRAN_US + 2);
	return w.transmit_rc;
}

static void f_end(void *ctx, uint32_t peer, uint32_t slot, const struct dp_txn_end *end)
{
	struct cmd *c = &w.cmd[side(ctx)][slot];

	check(slot < OUT && c->live && c->peer == peer && end->tries == c->tries);
	check(end->rc == 0 ? end->code >= 200 && end->answer == &w : end->answer == NULL);
	c->live = c->flying = false;
	w.live--;
}

static void f_respond(void *ctx, uint32_t peer, uint32_t in, uint32_t tid, uint16_t code, bool ask)
{
	struct exec *x;

	(void)ctx;
	(void)ask;
	check(peer < PEERS && tid != 0);
	if (in == DP_TXN_NONE) {
		check(code == 0);
		return;
	}
	check(tid <= TIDS);
	x = &w.exec[peer][tid];
	check(code < 200 ? x->executing : x->answered && code == x->code);
}

/* The engine still has it as executing; if not, T-HIST has passed. */
static bool has(uint32_t peer, const struct exec *x)
{
	uint32_t gen = 0, of = 0;
	bool yes = dp_txn_executing(w.e[w.at[peer]], x->in, &gen, &of) && gen == x->gen && of == peer;

	check(yes || w.now >= x->until_us);
	return yes;
}

static struct dp_txn *engine(int s, uint64_t now)
{
	static const struct dp_txn_ops ops = {f_transmit, f_end, f_respond};
	struct dp_txn *e = dp_txn_create(&ops, &w.e[s], PEERS, OUT, IN, 12345u + (uint64_t)s);

	check(e != NULL);
	dp_txn_tids(e, s == 0 ? 1 : 500000000, s == 0 ? 499999999 : DP_MGCP_TID_MAX);
	dp_txn_wall(e, 1795000000000000ull + now);
	(void)dp_txn_tick(e, now);
	return e;
}

static void begin(uint8_t a, uint8_t b)
{
	struct dp_txn *e = w.e[w.at[a % PEERS]];
	uint8_t peer = a % PEERS;
	uint32_t slot;
	struct cmd *c;

	if (dp_txn_take(e, peer, &slot) < 0)
		return;
	check(slot < OUT);
	c = &w.cmd[w.at[peer]][slot];
	check(!c->live);
	if (b == 255) {
		dp_txn_put(e, slot);
		return;
	}
	*c = (struct cmd){.live = true, .peer = peer, .order = b % 5};
	w.live++;
	dp_txn_start(e, slot, b % 5, w.now);
}

static void answer(uint8_t a, uint8_t b)
{
	static const uint16_t codes[] = {200, 100, 250, 409, 510, 407, 500, 539, 101, 200, 200, 899, 400, 200, 511, 999};
	uint8_t peer = (b & 0x40) != 0 ? (uint8_t)(a % PEERS) : w.sent[a % SENT].peer;
	uint32_t tid = w.sent[a % SENT].tid;

	if (tid != 0)
		(void)dp_txn_answer(w.e[w.at[peer]], peer, tid, codes[b % 16], (b & 0x20) != 0, &w, w.now);
}

static void command(uint8_t a, uint8_t b)
{
	uint32_t peer = a % PEERS, tid = 1 + b % TIDS, in = 0, of = 0;
	struct exec *x = &w.exec[peer][tid];

	switch (dp_txn_command(w.e[w.at[peer]], peer, tid, (b & 0x80) != 0, w.now, &in)) {
	case DP_TXN_NEW: /* at most once */
		check((!x->executing && !x->answered) || w.now >= x->until_us);
		*x = (struct exec){.executing = true, .in = in, .until_us = w.now + DP_TXN_T_HIST_US};
		check(dp_txn_executing(w.e[w.at[peer]], in, &x->gen, &of) && of == peer);
		break;
	case DP_TXN_REPEATED:
		check(x->executing || x->answered);
		break;
	case DP_TXN_FULL:
		break;
	}
}

static void respond(uint8_t a, uint8_t b)
{
	uint32_t peer = a % PEERS;
	struct exec *x = &w.exec[peer][1 + b % TIDS];
	struct dp_txn *e = w.e[w.at[peer]];

	if (!x->executing)
		return;
	x->executing = false;
	if (!has(peer, x))
		return;
	if (b >= 0xf0) {
		dp_txn_forget(e, x->in);
		return;
	}
	x->answered = true;
	x->code = b & 1 ? 250 : 521;
	check(dp_txn_respond(e, x->in, x->code, w.now) == 0);
	x->until_us = w.now + DP_TXN_T_HIST_US;
}

static void forget_peer(uint32_t peer)
{
	memset(w.exec[peer], 0, sizeof(w.exec[peer]));
}

/* All of a peer's to the other engine. What it executes is forgotten first: tokens are dp_deliver's matter. */
static void move(uint8_t peer)
{
	int from = w.at[peer], to = !from;
	struct dp_txn_peer p;
	struct dp_txn_rec rec;
	uint32_t slot, at;

	for (unsigned i = 1; i <= TIDS; i++) {
		if (w.exec[peer][i].executing && has(peer, &w.exec[peer][i]))
			dp_txn_forget(w.e[from], w.exec[peer][i].in);
		w.exec[peer][i].executing = false;
	}
	dp_txn_peer_get(w.e[from], peer, &p);
	dp_txn_peer_set(w.e[to], peer, &p);
	while (dp_txn_give(w.e[from], peer, &rec, &slot)) {
		struct cmd *c = rec.kind != DP_TXN_REC_IN ? &w.cmd[from][slot] : NULL;
		int rc = dp_txn_accept(w.e[to], peer, &rec, &at);

		if (c == NULL) {
			if (rc < 0)
				w.exec[peer][rec.tid] = (struct exec){0};
			continue;
		}
		check(c->live && c->peer == peer);
		c->live = false;
		if (rc < 0) {
			w.live--;
			continue;
		}
		check(!w.cmd[to][at].live);
		w.cmd[to][at] = *c;
		w.cmd[to][at].live = true;
	}
	w.at[peer] = (uint8_t)to;
	dp_txn_peer_reset(w.e[from], peer);
	dp_txn_kick(w.e[to], peer, w.now);
}

/* The process of an engine dies and comes again: what it knew is gone, but not which identifiers it used. */
static void restart(int s)
{
	dp_txn_destroy(w.e[s]);
	for (unsigned i = 0; i < OUT; i++) {
		w.live -= w.cmd[s][i].live;
		w.cmd[s][i] = (struct cmd){0};
	}
	for (uint8_t p = 0; p < PEERS; p++)
		if (w.at[p] == s)
			forget_peer(p);
	w.e[s] = engine(s, w.now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int rcs[] = {0, 0, -EAGAIN, -ENOKEY};

	memset(&w, 0, sizeof(w));
	w.now = 1000000;
	w.e[0] = engine(0, w.now);
	w.e[1] = engine(1, w.now);
	for (; size >= 2; data += 2, size -= 2) {
		uint8_t a = data[0] >> 3, b = data[1];
		struct dp_mgcp_range r = {1 + b % TIDS, 1 + b % TIDS + (b & 0x80 ? 1000 : b >> 5)};

		switch (data[0] & 7) {
		case 0:
			begin(a, b);
			break;
		case 1:
			answer((uint8_t)(w.sent_at - 1 - a), b);
			break;
		case 2:
			for (unsigned k = 0; k <= b % 16; k++) {
				w.now += a < 30 ? 1000ull << a % 12 : 60000000;
				(void)dp_txn_tick(w.e[0], w.now);
				(void)dp_txn_tick(w.e[1], w.now);
			}
			break;
		case 3:
			command(a, b);
			break;
		case 4:
			respond(a, b);
			break;
		case 5:
			dp_txn_confirmed(w.e[w.at[a % PEERS]], a % PEERS, &r, 1, w.now);
			break;
		case 6:
			w.transmit_rc = rcs[b % 4];
			break;
		default:
			if (b < 0x60) {
				move((uint8_t)(a % PEERS));
			} else if (b < 0xa0) {
				dp_txn_peer_reset(w.e[w.at[a % PEERS]], a % PEERS);
				forget_peer(a % PEERS);
			} else if (b < 0xc0) {
				w.now += 2000; /* a process needs longer than that to start */
				restart(b & 1);
			}
			break;
		}
		check(dp_txn_out_cnt(w.e[0]) + dp_txn_out_cnt(w.e[1]) == w.live);
		check(dp_txn_in_cnt(w.e[0]) <= IN && dp_txn_in_cnt(w.e[1]) <= IN);
	}
	/* Left alone, everything ends; what was taken is given back. */
	w.transmit_rc = 0;
	for (unsigned i = 0; i < 4000 && (w.live > 0 || dp_txn_in_cnt(w.e[0]) + dp_txn_in_cnt(w.e[1]) > 0); i++) {
		uint64_t due[2] = {dp_txn_tick(w.e[0], w.now), dp_txn_tick(w.e[1], w.now)}, next = due[0] < due[1] ? due[0] : due[1];

		w.now = next != UINT64_MAX && next > w.now + 1000000 ? next : w.now + 1000000; /* nothing is due before */
	}
	check(w.live == 0 && dp_txn_out_cnt(w.e[0]) == 0 && dp_txn_in_cnt(w.e[0]) == 0 && dp_txn_in_cnt(w.e[1]) == 0);
	dp_txn_destroy(w.e[0]);
	dp_txn_destroy(w.e[1]);
	return 0;
}
