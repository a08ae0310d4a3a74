/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What any thread may know of devices and of the addresses they ask from, behind one lock. Devices by the 48 bits of their
 * MAC address, open addressing; addresses in sets of four that the newest push out: an address costs nobody memory.
 */
#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define WAYS 4
#define GONE UINT64_MAX /* a slot whose device was removed */

struct dev {
	uint64_t key; /* MAC + 1; 0: never used */
	struct cp_idx_dev d;
	uint64_t at;     /* where it registered from last, as struct here's key; 0: it is not registered */
	uint32_t at_cnt; /* its registrations; more than one for the moment in which a new one replaces the old */
	uint8_t at_family;
};

struct source {
	uint8_t addr[16];
	uint8_t family; /* 0: free */
	bool shared;
	int64_t seen_s;
	uint64_t mac;
};

struct here { /* an address that phones are registered from */
	uint64_t key;  /* a keyed hash of it; 0: never used */
	uint64_t macs; /* of all of them, XORed: of the one, if it is one */
	uint32_t cnt;
};

struct cp_index {
	pthread_mutex_t lock;
	struct dev *dev;
	size_t size, used; /* used: slots that are not "never used" */
	size_t there;
	uint64_t gen, seed;
	struct source *source;
	struct here *here;
	size_t here_size, here_used;
};

struct cp_index *cp_index_create(void)
{
	struct cp_index *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->size = 1024;
	x->dev = calloc(x->size, sizeof(*x->dev));
	x->source = calloc(CP_FILES_SOURCES, sizeof(*x->source));
	x->here_size = 1024;
	x->here = calloc(x->here_size, sizeof(*x->here));
	if (x->dev == NULL || x->source == NULL || x->here == NULL || RAND_bytes((uint8_t *)&x->seed, sizeof(x->seed)) != 1 ||
	    pthread_mutex_init(&x->lock, NULL) != 0) {
		free(x->dev);
		free(x->source);
		free(x->here);
		free(x);
		return NULL;
	}
	return x;
}

void cp_index_destroy(struct cp_index *x)
{
	if (x == NULL)
		return;
	pthread_mutex_destroy(&x->lock);
	free(x->dev);
	free(x->source);
	free(x->here);
	free(x);
}

static bool mac_of(const char *device, uint64_t *ret)
{
	uint64_t m = 0;

	if (!cp_device_name_ok(device))
		return false;
	for (const char *p = device + 3; *p != '\0'; p++)
		m = m << 4 | (uint64_t)(*p <= '9' ? *p - '0' : *p - 'A' + 10);
	*ret = m;
	return true;
}

static uint64_t mix(uint64_t v)
{
	v = (v ^ v >> 31) * 0x9e3779b97f4a7c15ull;
	v = (v ^ v >> 29) * 0xbf58476d1ce4e5b9ull;
	return v ^ v >> 32;
}

/* The device's slot, or the one where it would go. */
static struct dev *find(const struct cp_index *x, uint64_t key)
{
	struct dev *gone = NULL;

	for (size_t i = mix(key ^ x->seed);; i++) {
		struct dev *d = &x->dev[i & (x->size - 1)];

		if (d->key == key)
			return d;
		if (d->key == GONE && gone == NULL)
			gone = d;
		if (d->key == 0)
			return gone != NULL ? gone : d;
	}
}

static int grow(struct cp_index *x)
{
	struct dev *old = x->dev;
	size_t n = x->size;

	x->dev = calloc(n * 2, sizeof(*x->dev));
	if (x->dev == NULL) {
		x->dev = old;
		return -ENOMEM;
	}
	x->size = n * 2;
	x->used = x->there;
	for (size_t i = 0; i < n; i++)
		if (old[i].key != 0 && old[i].key != GONE)
			*find(x, old[i].key) = old[i];
	free(old);
	return 0;
}

int cp_index_set(struct cp_index *x, const char *device, uint8_t flags, enum pki_tl_class cls)
{
	struct dev *d;
	uint64_t mac;
	int rc = 0;

	if (!mac_of(device, &mac))
		return -EINVAL;
	pthread_mutex_lock(&x->lock);
	if (flags != 0 && x->used * 4 >= x->size * 3)
		rc = grow(x);
	d = rc == 0 ? find(x, mac + 1) : NULL;
	if (d != NULL && flags == 0 && d->key == mac + 1) {
		d->key = GONE;
		x->there--;
	} else if (d != NULL && flags != 0) {
		x->used += d->key == 0;
		x->there += d->key != mac + 1;
		if (d->key != mac + 1)
			*d = (struct dev){0};
		d->key = mac + 1;
		d->d = (struct cp_idx_dev){++x->gen, flags, (uint8_t)cls};
	}
	pthread_mutex_unlock(&x->lock);
	return rc;
}

struct cp_idx_dev cp_index_get(struct cp_index *x, const char *device)
{
	struct cp_idx_dev ret = {0};
	const struct dev *d;
	uint64_t mac;

	if (!mac_of(device, &mac))
		return ret;
	pthread_mutex_lock(&x->lock);
	d = find(x, mac + 1);
	if (d->key == mac + 1)
		ret = d->d;
	pthread_mutex_unlock(&x->lock);
	return ret;
}

static uint64_t addr_hash(const struct cp_index *x, const struct cfg_addr *a)
{
	uint64_t lo, hi;

	memcpy(&lo, a->ip, 8);
	memcpy(&hi, a->ip + 8, 8);
	if (a->family == 4) { /* the rest says nothing */
		uint32_t v4;

		memcpy(&v4, a->ip, 4);
		lo = v4;
		hi = 0;
	}
	return mix(lo ^ mix(hi ^ x->seed));
}

static struct source *set_of(const struct cp_index *x, const struct cfg_addr *a)
{
	return &x->source[(addr_hash(x, a) % (CP_FILES_SOURCES / WAYS)) * WAYS];
}

static bool is(const struct source *s, const struct cfg_addr *a)
{
	return s->family == a->family && memcmp(s->addr, a->ip, a->family == 4 ? 4 : 16) == 0;
}

void cp_index_seen(struct cp_index *x, const struct cfg_addr *a, const char *device, int64_t now_s)
{
	struct source *set, *s = NULL;
	uint64_t mac;

	if (a->family == 0 || !mac_of(device, &mac))
		return;
	pthread_mutex_lock(&x->lock);
	set = set_of(x, a);
	for (unsigned i = 0; i < WAYS && s == NULL; i++)
		if (is(&set[i], a))
			s = &set[i];
	if (s == NULL) {
		s = &set[0];
		for (unsigned i = 1; i < WAYS; i++)
			if (set[i].family == 0 || (s->family != 0 && set[i].seen_s < s->seen_s))
				s = &set[i];
		*s = (struct source){.family = a->family, .mac = mac};
		memcpy(s->addr, a->ip, sizeof(s->addr));
	} else if (s->mac != mac) {
		s->shared = now_s - s->seen_s < CP_IDX_SHARED_S;
		s->mac = mac;
	}
	s->seen_s = now_s;
	pthread_mutex_unlock(&x->lock);
}

static void name_of(uint64_t mac, char ret_device[16])
{
	static const char hex[] = "0123456789ABCDEF";

	memcpy(ret_device, "SEP", 3);
	for (unsigned i = 0; i < 12; i++)
		ret_device[3 + i] = hex[mac >> (44 - 4 * i) & 15];
	ret_device[15] = '\0';
}

bool cp_index_at(struct cp_index *x, const struct cfg_addr *a, char ret_device[16])
{
	bool found = false;

	if (a->family == 0)
		return false;
	pthread_mutex_lock(&x->lock);
	for (const struct source *s = set_of(x, a), *end = s + WAYS; s < end && !found; s++)
		if (is(s, a) && !s->shared) {
			name_of(s->mac, ret_device);
			found = true;
		}
	pthread_mutex_unlock(&x->lock);
	return found;
}

/* --- registered phones --- */

static struct here *here_find(const struct cp_index *x, uint64_t key)
{
	struct here *h;

	for (size_t i = key;; i++) {
		h = &x->here[i & (x->here_size - 1)];
		if (h->key == key || h->key == 0)
			return h;
	}
}

/* Room for one more; addresses that nobody is at any more are left out of the new table. */
static int here_room(struct cp_index *x)
{
	struct here *old = x->here;
	size_t n = x->here_size, live = 0;

	if (x->here_used * 4 < x->here_size * 3)
		return 0;
	for (size_t i = 0; i < n; i++)
		live += old[i].cnt > 0;
	x->here_size = live * 2 > n ? n * 2 : n;
	x->here = calloc(x->here_size, sizeof(*x->here));
	if (x->here == NULL) {
		x->here = old;
		x->here_size = n;
		return -ENOMEM;
	}
	x->here_used = live;
	for (size_t i = 0; i < n; i++)
		if (old[i].cnt > 0)
			*here_find(x, old[i].key) = old[i];
	free(old);
	return 0;
}

int cp_index_phone(struct cp_index *x, const char *device, const struct cfg_addr *a, bool here)
{
	struct here *h;
	struct dev *d;
	uint64_t mac, key;
	int rc;

	if (a->family == 0 || !mac_of(device, &mac))
		return -EINVAL;
	pthread_mutex_lock(&x->lock);
	d = find(x, mac + 1);
	if (d->key == mac + 1) {
		if (here) {
			d->at = addr_hash(x, a) | 1;
			d->at_family = a->family;
			d->at_cnt++;
		} else if (d->at_cnt > 0 && --d->at_cnt == 0) {
			d->at = 0;
		}
	}
	rc = here_room(x);
	if (rc == 0) {
		key = addr_hash(x, a) | 1;
		h = here_find(x, key);
		if (here || h->cnt > 0) {
			x->here_used += h->key == 0;
			h->key = key;
			h->cnt = here ? h->cnt + 1 : h->cnt - 1;
			h->macs ^= mac;
		}
	}
	pthread_mutex_unlock(&x->lock);
	return rc;
}

bool cp_index_at_home(struct cp_index *x, const struct cfg_addr *a, const char *device)
{
	const struct dev *d;
	uint64_t mac;
	bool yes;

	if (a->family == 0 || !mac_of(device, &mac))
		return false;
	pthread_mutex_lock(&x->lock);
	d = find(x, mac + 1);
	yes = d->key == mac + 1 && d->at == (addr_hash(x, a) | 1) && d->at_family == a->family;
	pthread_mutex_unlock(&x->lock);
	return yes;
}

bool cp_index_elsewhere(struct cp_index *x, const struct cfg_addr *a, const char *device)
{
	const struct dev *d;
	uint64_t mac;
	bool yes;

	if (!mac_of(device, &mac))
		return false;
	pthread_mutex_lock(&x->lock);
	d = find(x, mac + 1);
	/* registered over the other family: it may have both addresses */
	yes = d->key == mac + 1 && d->at != 0 && d->at_family == a->family && d->at != (addr_hash(x, a) | 1);
	pthread_mutex_unlock(&x->lock);
	return yes;
}

bool cp_index_here(struct cp_index *x, const struct cfg_addr *a, char ret_device[16])
{
	const struct here *h;
	bool one;

	if (a->family == 0)
		return false;
	pthread_mutex_lock(&x->lock);
	h = here_find(x, addr_hash(x, a) | 1);
	one = h->key != 0 && h->cnt == 1;
	if (one)
		name_of(h->macs, ret_device);
	pthread_mutex_unlock(&x->lock);
	return one;
}
