/* SPDX-License-Identifier: BSD-3-Clause */
/* Gateways, and whose a datagram is: by address, or by the SA that it came out of. */
#include "deliverint.h"

#include <errno.h>

bool dp_deliver_addr_ok(const struct dp_sockaddr *a)
{
	static const uint8_t zero[16];

	if (a->port == 0 || memcmp(a->zero, zero, sizeof(a->zero)) != 0)
		return false;
	return a->family == 6 || (a->family == 4 && memcmp(a->ip + 4, zero, 12) == 0);
}

static uint32_t *addr_chain(const struct dp_deliver *d, const struct dp_sockaddr *a)
{
	uint8_t port[2] = {(uint8_t)(a->port >> 8), (uint8_t)a->port};
	uint64_t h = hash_bytes(hash_bytes(d->hash_key, a->ip, sizeof(a->ip)), port, sizeof(port));

	return &d->by_addr[(uint32_t)(h ^ h >> 32) & d->addr_mask];
}

static void addr_link(struct dp_deliver *d, uint32_t slot)
{
	uint32_t *chain = addr_chain(d, &d->gw[slot].set.remote);

	d->gw[slot].hnext = *chain;
	*chain = slot;
}

static void addr_unlink(struct dp_deliver *d, uint32_t slot)
{
	uint32_t *link = addr_chain(d, &d->gw[slot].set.remote);

	while (*link != slot)
		link = &d->gw[*link].hnext;
	*link = d->gw[slot].hnext;
}

static struct deliver_local *local_find(struct dp_deliver *d, const struct dp_sockaddr *a)
{
	for (uint32_t i = 0; i < d->local_cnt; i++)
		if (addr_same(&d->local[i].addr, a))
			return &d->local[i];
	return NULL;
}

static int local_take(struct dp_deliver *d, const struct dp_sockaddr *a)
{
	struct deliver_local *l = local_find(d, a);

	if (l == NULL) {
		if (d->local_cnt == LOCALS_MAX)
			return -ENOSPC;
		l = &d->local[d->local_cnt++];
		*l = (struct deliver_local){.addr = *a};
	}
	l->refs++;
	return 0;
}

static void local_put(struct dp_deliver *d, const struct dp_sockaddr *a)
{
	struct deliver_local *l = local_find(d, a);

	if (l != NULL && --l->refs == 0)
		*l = d->local[--d->local_cnt];
}

/* The other address of ours that a gateway may speak to; family 0: none. */
static struct dp_sockaddr other_local(const struct dp_gw_set *set)
{
	struct dp_sockaddr a = set->local;

	a.port = set->other_port;
	if (a.port == 0)
		a.family = 0;
	return a;
}

static void locals_put(struct dp_deliver *d, const struct dp_gw_set *set)
{
	struct dp_sockaddr other = other_local(set);

	local_put(d, &set->local);
	if (other.family != 0)
		local_put(d, &other);
}

static int locals_take(struct dp_deliver *d, const struct dp_gw_set *set)
{
	struct dp_sockaddr other = other_local(set);
	int rc = local_take(d, &set->local);

	if (rc == 0 && other.family != 0) {
		rc = local_take(d, &other);
		if (rc < 0)
			local_put(d, &set->local);
	}
	return rc;
}

bool dp_deliver_local_ok(const struct deliver_gw *gw, const struct dp_sockaddr *to)
{
	struct dp_sockaddr other = other_local(&gw->set);

	return addr_same(to, &gw->set.local) || (other.family != 0 && addr_same(to, &other));
}

/* --- what it speaks --- */

#define LEARNT (DP_GW_F_MGCP_01 | DP_GW_F_X_CRYPTO)

/* Of a gateway that speaks now so, now so, it is told what it settles on; the first that is heard at once. */
#define STEADY_US 2000000
#define AGAIN_US  10000000

static void swap_ports(struct dp_gw_set *set)
{
	uint16_t port = set->local.port;

	set->local.port = set->other_port;
	set->other_port = port;
}

static void forget_heard(struct deliver_gw *gw)
{
	gw->heard = gw->form_known = gw->untold = false;
	gw->told_us = 0;
}

static void keep_heard(struct deliver_gw *gw, const struct dp_gw_set *was)
{
	struct dp_gw_set *set = &gw->set;

	gw->told_flags = set->flags & LEARNT;
	gw->told_port = set->local.port;
	set->flags = (uint8_t)((set->flags & ~LEARNT) | (was->flags & LEARNT));
	if (set->other_port != 0 && set->other_port == was->local.port)
		swap_ports(set);
	gw->untold = gw->told_us == 0 || gw->told_flags != (set->flags & LEARNT) || gw->told_port != set->local.port;
}

static bool tell(struct dp_deliver *d, const struct deliver_gw *gw, enum dp_gw_heard_kind kind)
{
	struct dp_gw_heard heard = {.hdr = {.type = DP_MSG_GW_HEARD, .len = sizeof(heard)},
	                            .gw_id = gw->set.gw_id,
	                            .kind = (uint8_t)kind,
	                            .flags = gw->set.flags & LEARNT,
	                            .port = gw->set.local.port};

	return d->ops.heard == NULL || d->ops.heard(d->ctx, &heard) == 0;
}

/* It is kept for who remembers such things; each costs them a record. */
static void tell_dialect(struct dp_deliver *d, struct deliver_gw *gw)
{
	if (gw->told_us != 0 && (d->now_us - gw->turned_us < STEADY_US || d->now_us - gw->told_us < AGAIN_US))
		return;
	if (!tell(d, gw, DP_GW_HEARD_DIALECT))
		return;
	gw->untold = false;
	gw->told_us = d->now_us;
	gw->told_flags = gw->set.flags & LEARNT;
	gw->told_port = gw->set.local.port;
}

static void turned(struct dp_deliver *d, struct deliver_gw *gw)
{
	gw->heard = true;
	gw->turned_us = d->now_us;
	gw->untold = gw->told_us == 0 || gw->told_flags != (gw->set.flags & LEARNT) || gw->told_port != gw->set.local.port;
	if (gw->untold)
		tell_dialect(d, gw);
}

void dp_deliver_learn(struct dp_deliver *d, uint32_t peer, uint8_t mask, uint8_t flags)
{
	struct deliver_gw *gw = &d->gw[peer];
	uint8_t now = (uint8_t)((gw->set.flags & ~mask) | (flags & mask));

	if ((gw->set.flags & DP_GW_F_AUTO) == 0 || (gw->heard && now == gw->set.flags))
		return;
	gw->set.flags = now;
	turned(d, gw);
}

void dp_deliver_alive(struct dp_deliver *d, uint32_t peer, uint16_t port)
{
	struct deliver_gw *gw = &d->gw[peer];

	gw->heard_us = d->now_us;
	if (gw->silent)
		gw->silent = !tell(d, gw, DP_GW_HEARD_BACK);
	if (gw->set.other_port != 0 && port == gw->set.other_port) {
		swap_ports(&gw->set);
		turned(d, gw);
	}
}

void dp_deliver_look(struct dp_deliver *d)
{
	if (d->now_us - d->look_us < 1000)
		return;
	d->look_us = d->now_us;
	for (unsigned k = 0; k < 8; k++) {
		struct deliver_gw *gw = &d->gw[d->look_at];
		uint64_t limit_us = gw->set.keepalive_s * 3000000ull;

		if (d->slot_of[gw->set.gw_id] == d->look_at && !gw->going) {
			if (gw->untold)
				tell_dialect(d, gw);
			if (gw->heard_us == 0)
				gw->heard_us = d->now_us;
			if (limit_us != 0 && !gw->silent && d->now_us - gw->heard_us > limit_us)
				gw->silent = tell(d, gw, DP_GW_HEARD_SILENT);
		}
		d->look_at = d->look_at + 1 < d->max_gw ? d->look_at + 1 : 0;
	}
}

uint32_t dp_deliver_find(const struct dp_deliver *d, const struct dp_sockaddr *remote,
                          const struct dp_sockaddr *local)
{
	uint32_t i = *addr_chain(d, remote);

	while (i != NONE &&
	       (!addr_same(&d->gw[i].set.remote, remote) || !dp_deliver_local_ok(&d->gw[i], local)))
		i = d->gw[i].hnext;
	return i != NONE && d->gw[i].going ? NONE : i;
}

bool dp_deliver_text_ok(const char *s, size_t size, bool word)
{
	const char *end = memchr(s, 0, size);

	if (end == NULL)
		return false;
	for (; s < end; s++)
		if (*s < 0x20 || *s >= 0x7f || (word && (*s == ' ' || *s == '@')))
			return false;
	return true;
}

int dp_deliver_gw_set(struct dp_deliver *d, const struct dp_gw_set *set)
{
	uint32_t slot = gw_find(d, set->gw_id);
	struct dp_gw_set was;

	if (set->gw_id >= DP_GW_MAX || (set->flags & ~DP_GW_F_ALL) != 0 ||
	    !dp_deliver_addr_ok(&set->remote) || !dp_deliver_addr_ok(&set->local) ||
	    set->remote.family != set->local.family || set->domain[0] == '\0' ||
	    !dp_deliver_text_ok(set->domain, sizeof(set->domain), true) ||
	    !dp_deliver_text_ok(set->notified, sizeof(set->notified), false) || strchr(set->notified, ' ') != NULL ||
	    !dp_deliver_text_ok(set->agent, sizeof(set->agent), false) || strchr(set->agent, ' ') != NULL ||
	    (set->other_port != 0 && (set->other_port == set->local.port || (set->flags & DP_GW_F_AUTO) == 0)))
		return -EBADMSG;
	if (slot == NONE && d->gw_cnt == d->max_gw)
		return -ENOSPC;
	if (locals_take(d, set) < 0)
		return -ENOSPC;
	if (slot == NONE) {
		slot = d->gw_free;
		d->gw_free = d->gw[slot].hnext;
		d->slot_of[set->gw_id] = slot;
		d->gw[slot] = (struct deliver_gw){.heard_us = 0};
		d->gw_cnt++;
	} else {
		addr_unlink(d, slot);
		locals_put(d, &d->gw[slot].set);
	}
	was = d->gw[slot].set;
	d->gw[slot].set = *set;
	if ((set->flags & DP_GW_F_AUTO) == 0)
		forget_heard(&d->gw[slot]);
	else if (d->gw[slot].heard) /* who sets it may not have been told yet, or not have kept it */
		keep_heard(&d->gw[slot], &was);
	addr_link(d, slot);
	return 0;
}

int dp_deliver_gw_del(struct dp_deliver *d, uint32_t gw_id)
{
	uint32_t slot = gw_find(d, gw_id);

	if (slot == NONE)
		return -ENOENT;
	if (d->piggy_gw == slot)
		dp_deliver_flush(d);
	dp_txn_peer_reset(d->txn, slot);
	addr_unlink(d, slot);
	locals_put(d, &d->gw[slot].set);
	d->slot_of[gw_id] = NONE;
	d->gw[slot].hnext = d->gw_free;
	d->gw_free = slot;
	d->gw_cnt--;
	return 0;
}

void dp_deliver_ahead(const struct dp_deliver *d, uint32_t gw_id, unsigned step)
{
	uint32_t slot;

	if (gw_id >= DP_GW_MAX)
		return;
	if (step == 0) {
		__builtin_prefetch(&d->slot_of[gw_id]);
		return;
	}
	slot = d->slot_of[gw_id];
	if (slot == NONE)
		return;
	for (size_t at = 0; at < sizeof(struct deliver_gw); at += 64)
		__builtin_prefetch((const uint8_t *)&d->gw[slot] + at);
	dp_txn_ahead(d->txn, slot);
}

void dp_deliver_ahead_answer(const struct dp_deliver *d, const uint8_t *payload, uint16_t len, unsigned step)
{
	uint32_t tid = 0, slot;

	for (uint16_t i = 4; i < len && i < 13 && payload[i] >= '0' && payload[i] <= '9'; i++)
		tid = tid * 10 + (uint32_t)(payload[i] - '0');
	slot = dp_txn_ahead_answer(d->txn, tid, step);
	if (slot == DP_TXN_NONE)
		return;
	for (size_t at = 0; at < sizeof(*d->cmd); at += 64)
		__builtin_prefetch((const uint8_t *)&d->cmd[slot] + at, 1);
}

bool dp_deliver_is_local(const struct dp_deliver *d, const struct dp_sockaddr *to)
{
	for (uint32_t i = 0; i < d->local_cnt; i++)
		if (addr_same(&d->local[i].addr, to))
			return true;
	return false;
}

uint32_t dp_deliver_gw_cnt(const struct dp_deliver *d)
{
	return d->gw_cnt;
}
