/* SPDX-License-Identifier: BSD-3-Clause */
#include "source.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define WAYS  8
#define LOCKS 64
#define PREFIX 64

struct entry { /* unused: family 0 */
	uint64_t addr[2];
	uint64_t last_ms;   /* something was sent to it, or it answered */
	uint64_t proven_ms; /* 0: never */
	uint64_t error_ms;  /* when 'errors' was brought up to date */
	uint32_t open;
	uint32_t errors;    /* error answers it may still get */
	uint8_t family;     /* 4, 6; PREFIX: the /64 of an IPv6 address */
	uint8_t sent;       /* to it, since it is unproven */
};

struct cp_sources {
	uint64_t k0, k1;
	uint32_t max, max_each;
	uint32_t sets; /* a power of two */
	atomic_uint open;
	pthread_mutex_t lock[LOCKS];
	struct entry *tab;
};

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = ROTL(v[1], 13) ^ v[0];
	v[0] = ROTL(v[0], 32);
	v[2] += v[3];
	v[3] = ROTL(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = ROTL(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = ROTL(v[1], 17) ^ v[2];
	v[2] = ROTL(v[2], 32);
}

/* SipHash-1-3 of three words: enough against a peer who never sees a result. */
static uint64_t sip13(uint64_t k0, uint64_t k1, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
			 k1 ^ 0x7465646279746573u};
	const uint64_t m[4] = {a, b, c, (uint64_t)24 << 56};

	for (unsigned i = 0; i < 4; i++) {
		v[3] ^= m[i];
		sip_round(v);
		v[0] ^= m[i];
	}
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct cp_sources *cp_sources_create(uint32_t max, uint32_t max_each, const uint8_t key[16])
{
	struct cp_sources *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	memcpy(&s->k0, key, 8);
	memcpy(&s->k1, key + 8, 8);
	s->max = max;
	s->max_each = max_each;
	/* Four times as many places as there can be sources with something open (two of IPv6); the rest remembers who answered. */
	for (s->sets = 512; (uint64_t)s->sets * WAYS < (uint64_t)max * 4; s->sets *= 2)
		;
	s->tab = calloc((size_t)s->sets * WAYS, sizeof(*s->tab));
	if (s->tab == NULL) {
		free(s);
		return NULL;
	}
	for (unsigned i = 0; i < LOCKS; i++)
		pthread_mutex_init(&s->lock[i], NULL);
	return s;
}

void cp_sources_destroy(struct cp_sources *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&s->lock[i]);
	free(s->tab);
	free(s);
}

uint32_t cp_sources_open(const struct cp_sources *s)
{
	return atomic_load_explicit(&s->open, memory_order_relaxed);
}

/* The entry of an address, made if 'make'; NULL: not there, or its set is full of others with something open. Locks. */
static struct entry *lookup_as(struct cp_sources *s, const struct cfg_addr *from, uint8_t family, bool make,
			       pthread_mutex_t **ret_lock)
{
	struct entry *set, *old = NULL;
	uint64_t addr[2] = {0, 0};
	uint32_t i;

	memcpy(addr, from->ip, family == 6 ? 16 : family == PREFIX ? 8 : 4);
	i = (uint32_t)sip13(s->k0, s->k1, addr[0], addr[1], family) & (s->sets - 1);
	*ret_lock = &s->lock[i % LOCKS];
	pthread_mutex_lock(*ret_lock);
	set = &s->tab[(size_t)i * WAYS];
	for (i = 0; i < WAYS; i++) {
		struct entry *e = &set[i];

		if (e->family == family && e->addr[0] == addr[0] && e->addr[1] == addr[1])
			return e;
		/* To be given up: a free place, or whom nothing was heard of for longest; the unproven before others. */
		if (e->open == 0 &&
		    (old == NULL || (e->proven_ms != 0) < (old->proven_ms != 0) ||
		     ((e->proven_ms != 0) == (old->proven_ms != 0) && e->last_ms < old->last_ms)))
			old = e;
	}
	if (!make || old == NULL)
		return NULL;
	*old = (struct entry){.addr = {addr[0], addr[1]}, .family = family, .errors = CP_SOURCE_ERRORS};
	return old;
}

static struct entry *lookup(struct cp_sources *s, const struct cfg_addr *from, bool make, pthread_mutex_t **ret_lock)
{
	return lookup_as(s, from, from->family, make, ret_lock);
}

static int enter(struct cp_sources *s, const struct cfg_addr *from, uint8_t family, uint64_t most, uint64_t now_ms)
{
	pthread_mutex_t *lock;
	struct entry *e = lookup_as(s, from, family, true, &lock);
	int rc = e == NULL ? -ENFILE : e->open >= most ? -EMFILE : 0;

	if (rc == 0)
		e->open++;
	if (e != NULL && e->last_ms == 0)
		e->last_ms = now_ms;
	pthread_mutex_unlock(lock);
	return rc;
}

static bool leave(struct cp_sources *s, const struct cfg_addr *from, uint8_t family)
{
	pthread_mutex_t *lock;
	struct entry *e = lookup_as(s, from, family, false, &lock);
	bool was = e != NULL && e->open > 0;

	if (was)
		e->open--;
	pthread_mutex_unlock(lock);
	return was;
}

int cp_source_enter(struct cp_sources *s, const struct cfg_addr *from, uint64_t now_ms)
{
	int rc;

	if (atomic_fetch_add_explicit(&s->open, 1, memory_order_relaxed) >= s->max) {
		atomic_fetch_sub_explicit(&s->open, 1, memory_order_relaxed);
		return -ENFILE;
	}
	rc = enter(s, from, from->family, s->max_each, now_ms);
	if (rc == 0 && from->family == 6) {
		rc = enter(s, from, PREFIX, (uint64_t)s->max_each * CP_SOURCE_PREFIX, now_ms);
		if (rc < 0)
			leave(s, from, 6);
	}
	if (rc < 0)
		atomic_fetch_sub_explicit(&s->open, 1, memory_order_relaxed);
	return rc;
}

void cp_source_leave(struct cp_sources *s, const struct cfg_addr *from)
{
	if (!leave(s, from, from->family))
		return;
	if (from->family == 6)
		leave(s, from, PREFIX);
	atomic_fetch_sub_explicit(&s->open, 1, memory_order_relaxed);
}

static bool proven(const struct entry *e, uint64_t now_ms)
{
	return e->proven_ms != 0 && now_ms - e->proven_ms < CP_SOURCE_PROVEN_MS;
}

bool cp_source_send_ok(struct cp_sources *s, const struct cfg_addr *from, uint64_t now_ms)
{
	pthread_mutex_t *lock;
	struct entry *e = lookup(s, from, true, &lock);
	bool yes = false;

	if (e != NULL && proven(e, now_ms)) {
		yes = true;
	} else if (e != NULL) {
		if (now_ms - e->last_ms >= CP_SOURCE_FORGET_MS)
			e->sent = 0;
		yes = e->sent < CP_SOURCE_UNPROVEN;
		if (yes) {
			e->sent++;
			e->last_ms = now_ms;
		}
	}
	pthread_mutex_unlock(lock);
	return yes;
}

bool cp_source_error_ok(struct cp_sources *s, const struct cfg_addr *from, uint64_t now_ms)
{
	pthread_mutex_t *lock;
	struct entry *e = lookup(s, from, true, &lock);
	bool yes = false;

	if (e != NULL) {
		uint64_t more = (now_ms - e->error_ms) * CP_SOURCE_ERRORS_S / 1000;

		if (e->error_ms == 0 || more + e->errors >= CP_SOURCE_ERRORS) {
			e->errors = CP_SOURCE_ERRORS;
			e->error_ms = now_ms;
		} else if (more > 0) {
			e->errors += (uint32_t)more;
			e->error_ms += more * 1000 / CP_SOURCE_ERRORS_S;
		}
		yes = proven(e, now_ms) || e->errors > 0;
		if (yes && e->errors > 0)
			e->errors--;
		if (e->last_ms == 0)
			e->last_ms = now_ms;
	}
	pthread_mutex_unlock(lock);
	return yes;
}

void cp_source_proven(struct cp_sources *s, const struct cfg_addr *from, uint64_t now_ms)
{
	pthread_mutex_t *lock;
	struct entry *e = lookup(s, from, true, &lock);

	if (e != NULL) {
		e->proven_ms = now_ms > 0 ? now_ms : 1;
		e->last_ms = now_ms;
		e->sent = 0;
	}
	pthread_mutex_unlock(lock);
}
