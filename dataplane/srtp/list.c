/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "srtp/ext.h"
#include "srtp/list.h"
#include "srtp/stream.h"

/* The head's summary of its list. */
static void look(struct dp_srtp_key *list)
{
	uint8_t slow = 0;

	for (struct dp_srtp_key *k = list; k != NULL; k = k->next) {
		slow |= (k->flags & DP_SRTP_F_RANGE) != 0;
		/* Packets of such a key are taken out of the burst; those of others need not be. */
		slow |= k == list && (k->flags & DP_SRTP_F_KDR) != 0;
		if (k != list && k->pending != 0)
			list->pending |= DP_SRTP_P_LIST;
	}
	if (list != NULL)
		list->slow = slow;
}

/* The main lcore reads tops through the head: what it finds there must be complete. */
static void publish(struct dp_srtp_key **list, struct dp_srtp_key *head)
{
	look(head);
	__atomic_store_n(list, head, __ATOMIC_RELEASE);
}

static void cut(struct dp_srtp_key **list, struct dp_srtp_key *key)
{
	while (*list != key)
		list = &(*list)->next;
	*list = key->next;
	key->next = NULL;
}

/* Who has the streams of a key of the list. */
static struct dp_srtp_key *own_of(struct dp_srtp_key *list, const struct dp_srtp_key *key)
{
	struct dp_srtp_key *own = list;

	for (struct dp_srtp_key *k = list; k != NULL; k = k->next) {
		if ((k->flags & DP_SRTP_F_SHARES) == 0)
			own = k;
		if (k == key)
			break;
	}
	return own;
}

/* Streams, floors and SRTCP index go over; what both count (index spaces) goes with them. */
static void hand_over(struct dp_srtp_key *to, struct dp_srtp_key *from)
{
	dp_srtp_stream_move(to, from);
	to->flags &= (uint8_t)~DP_SRTP_F_SHARES;
	from->flags |= DP_SRTP_F_SHARES;
	to->minute = from->minute;
}

/*
 * 'key', somewhere in the list, becomes its head. Its group (the keys that share streams with it) comes to the front
 * with it, in the order it had.
 */
static void to_front(struct dp_srtp_key **list, struct dp_srtp_key *key)
{
	struct dp_srtp_key *own = own_of(*list, key), *rest = NULL, **rest_end = &rest, *group = NULL, **group_end = &group;
	struct dp_srtp_key *cur = *list, *old = NULL;
	struct dp_srtp_key *next;

	if (cur == key)
		return;
	if (own != key) {
		hand_over(key, own);
		old = own;
	}
	for (struct dp_srtp_key *k = *list, *o = *list; k != NULL; k = next) {
		next = k->next;
		if ((k->flags & DP_SRTP_F_SHARES) == 0 || k == old)
			o = k == old || k == key ? own : k;
		if (k == key)
			continue;
		if (o == own) {
			*group_end = k;
			group_end = &k->next;
		} else {
			*rest_end = k;
			rest_end = &k->next;
		}
	}
	*rest_end = NULL;
	*group_end = rest;
	key->next = group;
	publish(list, key);
	if (old != NULL)
		dp_srtp_stream_forget(old);
}

/* Take a key out; its streams go to the next that shares them. */
static void take_out(struct dp_srtp_key **list, struct dp_srtp_key *key)
{
	struct dp_srtp_key *heir = key->next;

	if ((key->flags & DP_SRTP_F_SHARES) == 0 && heir != NULL && (heir->flags & DP_SRTP_F_SHARES) != 0) {
		hand_over(heir, key);
		heir->pending |= (uint8_t)(key->pending & DP_SRTP_P_SSRC);
		heir->evt_ssrc = key->evt_ssrc;
	}
	if (*list == key) {
		publish(list, heir);
		key->next = NULL;
	} else {
		cut(list, key);
		look(*list);
	}
	if ((key->flags & DP_SRTP_F_SHARES) != 0)
		dp_srtp_stream_forget(key);
	else
		dp_srtp_key_leave(key);
}

static void chain(struct dp_srtp_key **ret, struct dp_srtp_key *key)
{
	key->next = *ret;
	*ret = key;
}

/* All but the head end: at once, or after a time in which nobody is asked again. */
static struct dp_srtp_key *end_others(struct dp_srtp_key **list, uint32_t overlap_ms, uint32_t now_ms)
{
	struct dp_srtp_key *gone = NULL, *next;

	for (struct dp_srtp_key *k = (*list)->next; k != NULL; k = next) {
		next = k->next;
		if ((*list)->dir == DP_DIR_SEND || overlap_ms == 0) {
			take_out(list, k);
			chain(&gone, k);
			continue;
		}
		if ((k->flags & DP_SRTP_F_ENDING) == 0 || (int32_t)(k->end_ms - (now_ms + overlap_ms)) > 0)
			k->end_ms = now_ms + overlap_ms;
		k->flags |= DP_SRTP_F_ENDING;
	}
	look(*list);
	return gone;
}

static struct dp_srtp_key *find_same(struct dp_srtp_key *list, const struct dp_srtp_key *key, bool material)
{
	while (list != NULL && !(material ? dp_srtp_key_same_material(list, key) : dp_srtp_key_same(list, key)))
		list = list->next;
	return list;
}

/*
 * After a restart the first key of several need not be the one with the highest floors, and streams may have begun before
 * that one came.
 */
static void raise(struct dp_srtp_key *head, const struct dp_srtp_key *key)
{
	if (key->rtcp_next > head->rtcp_next)
		head->rtcp_next = key->rtcp_next;
	if ((key->flags & DP_SRTP_F_ROC) != 0)
		return; /* a guess */
	if (key->index_floor > head->index_floor) {
		head->index_floor = key->index_floor;
		head->flags &= (uint8_t)~DP_SRTP_F_ROC;
	}
	for (struct dp_srtp_stream *s = &head->first; s != NULL; s = s->next)
		if (s->valid != 0 && s->rtp.top < key->index_floor)
			dp_srtp_win_restart(head, s, key->index_floor);
}

static void join(struct dp_srtp_key **list, struct dp_srtp_key *key)
{
	struct dp_srtp_key **at = &(*list)->next;

	raise(*list, key);
	dp_srtp_stream_forget(key);
	key->flags |= DP_SRTP_F_SHARES;
	/* Behind the head, or behind all that share its streams: what is on standby is the last to be used. */
	while ((key->flags & DP_SRTP_F_STANDBY) != 0 && *at != NULL && ((*at)->flags & DP_SRTP_F_SHARES) != 0)
		at = &(*at)->next;
	key->next = *at;
	*at = key;
	look(*list);
}

/* The same session keys under another MKI, range or tag length: counts go on too. */
static void go_on(struct dp_srtp_key *key, const struct dp_srtp_key *old)
{
	for (int rtcp = 0; rtcp < 2; rtcp++) {
		uint64_t mine = dp_srtp_used(key, rtcp != 0), used = dp_srtp_used(old, rtcp != 0);

		dp_srtp_live(key, rtcp != 0, mine > used ? mine : used);
	}
}

struct dp_srtp_key *dp_srtp_keys_set(struct dp_srtp_key **list, struct dp_srtp_key *key, uint8_t flags,
				     uint32_t overlap_ms, uint32_t now_ms, bool *ret_fresh)
{
	struct dp_srtp_key *same = find_same(*list, key, false), *gone = NULL, *stale = NULL;
	bool add = (flags & DP_KEY_F_ADD) != 0, keep = add || (flags & DP_KEY_F_KEEP_ROC) != 0;

	*ret_fresh = false;
	if (*list == NULL) {
		*ret_fresh = true;
		publish(list, key);
		return NULL;
	}
	if (same != NULL) {
		same->flags &= (uint8_t)~DP_SRTP_F_ENDING;
		if (!add) {
			to_front(list, same);
			gone = end_others(list, overlap_ms, now_ms);
		}
		chain(&gone, key);
		return gone;
	}
	stale = find_same(*list, key, true);
	if (stale != NULL) {
		struct dp_srtp_key *head = *list;

		to_front(list, stale); /* so that its streams are the head's, which 'key' gets */
		go_on(key, stale);
		join(list, key);
		to_front(list, key);
		if (add && head != stale)
			to_front(list, head);
		take_out(list, stale);
		if (!add)
			gone = end_others(list, overlap_ms, now_ms);
		chain(&gone, stale);
		return gone;
	}
	if (keep) {
		join(list, key);
		if (!add || (key->dir == DP_DIR_SEND && (key->flags & DP_SRTP_F_STANDBY) == 0))
			to_front(list, key);
		return add ? NULL : end_others(list, overlap_ms, now_ms);
	}
	*ret_fresh = true;
	key->ssrc_max = (*list)->ssrc_max;
	key->minute = (*list)->minute;
	key->next = *list;
	publish(list, key);
	return end_others(list, overlap_ms, now_ms);
}

struct dp_srtp_key *dp_srtp_keys_del(struct dp_srtp_key **list, const uint8_t *mki, uint8_t mki_len)
{
	struct dp_srtp_key *key = *list;

	while (key != NULL && (key->mki_len != mki_len || mki_len == 0 || memcmp(dp_srtp_more(key)->mki, mki, mki_len) != 0))
		key = key->next;
	if (key != NULL)
		take_out(list, key);
	return key;
}

struct dp_srtp_key *dp_srtp_keys_expire(struct dp_srtp_key **list, uint32_t now_ms)
{
	struct dp_srtp_key *gone = NULL, *next;

	for (struct dp_srtp_key *k = *list; k != NULL; k = next) {
		next = k->next;
		if ((k->flags & DP_SRTP_F_ENDING) != 0 && (int32_t)(now_ms - k->end_ms) >= 0) {
			take_out(list, k);
			chain(&gone, k);
		}
	}
	return gone;
}

struct dp_srtp_key *dp_srtp_keys_clear(struct dp_srtp_key **list)
{
	struct dp_srtp_key *gone = *list;

	__atomic_store_n(list, NULL, __ATOMIC_RELEASE);
	for (struct dp_srtp_key *k = gone; k != NULL; k = k->next)
		if ((k->flags & DP_SRTP_F_SHARES) == 0)
			dp_srtp_key_leave(k);
	return gone;
}

void dp_srtp_keys_leave(struct dp_srtp_key *list)
{
	for (; list != NULL; list = list->next)
		if ((list->flags & DP_SRTP_F_SHARES) == 0)
			dp_srtp_key_leave(list);
}

void dp_srtp_keys_enter(struct dp_srtp_key *list, struct dp_srtp_pool *pool)
{
	for (; list != NULL; list = list->next) {
		list->pool = pool;
		if ((list->flags & DP_SRTP_F_SHARES) == 0)
			dp_srtp_key_enter(list, pool);
	}
}

void dp_srtp_keys_ssrcs(struct dp_srtp_key *list, uint16_t ssrc_max)
{
	for (struct dp_srtp_key *k = list; k != NULL; k = k->next)
		k->ssrc_max = ssrc_max != 0 ? ssrc_max : DP_SRTP_SSRCS;
}

/* Can the direction go on with another key than this? */
static bool others(const struct dp_srtp_key *list, const struct dp_srtp_key *key, bool rtcp)
{
	for (; list != NULL; list = list->next)
		if (list != key && (list->flags & DP_SRTP_F_ENDING) == 0 && (rtcp ? list->rtcp_until > 0 : list->until > 0))
			return true;
	return false;
}

static void tell(struct dp_srtp_event *ret, unsigned int *n, uint8_t kind, bool rtcp, uint32_t ssrc, uint64_t index)
{
	if (*n < DP_SRTP_EVENTS)
		ret[(*n)++] = (struct dp_srtp_event){.kind = kind, .rtcp = rtcp, .ssrc = ssrc, .index = index};
}

unsigned int dp_srtp_keys_service(struct dp_srtp_key **list, uint32_t now_s, struct dp_srtp_event ret[DP_SRTP_EVENTS])
{
	struct dp_srtp_key *head = *list, *used = NULL;
	uint8_t minute = (uint8_t)(now_s / 60 % 255 + 1);
	unsigned int n = 0;

	if (head == NULL)
		return 0;
	for (struct dp_srtp_key *k = head; k != NULL; k = k->next) {
		uint8_t what = k->pending;
		const struct dp_srtp_key *own;

		if (what == 0)
			continue;
		k->pending = 0;
		own = own_of(head, k);
		if ((what & DP_SRTP_P_USED) != 0) {
			k->told &= (uint8_t)~DP_SRTP_P_USED;
			used = k;
		}
		if ((what & DP_SRTP_P_SOON) != 0)
			tell(ret, &n, DP_LEG_KEY_SOON, false, own->first.ssrc, dp_srtp_key_top(own));
		if ((what & DP_SRTP_P_RTCP_SOON) != 0)
			tell(ret, &n, DP_LEG_KEY_SOON, true, own->first.ssrc, dp_srtp_key_rtcp_top(own));
		if ((what & DP_SRTP_P_STILL) != 0 || ((what & DP_SRTP_P_EXPIRED) != 0 && !others(head, k, false))) {
			tell(ret, &n, DP_LEG_KEY_EXPIRED, false, own->first.ssrc, dp_srtp_key_top(own));
			head->told |= DP_SRTP_P_STILL;
		}
		if ((what & DP_SRTP_P_RTCP_EXPIRED) != 0 &&
		    (!others(head, k, true) || own->rtcp_next > DP_SRTCP_INDEX_MAX))
			tell(ret, &n, DP_LEG_KEY_EXPIRED, true, own->first.ssrc, dp_srtp_key_rtcp_top(own));
		if ((what & DP_SRTP_P_SSRC) != 0 && k->minute != minute) {
			k->minute = minute;
			tell(ret, &n, DP_LEG_SSRC_LIMIT, false, k->evt_ssrc, 0);
		}
	}
	if (used != NULL && used != head && (used->flags & DP_SRTP_F_ENDING) == 0)
		to_front(list, used);
	return n;
}
