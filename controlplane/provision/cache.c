/* SPDX-License-Identifier: BSD-3-Clause */
#include "cache.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "live.h"

#define OVERHEAD 512 /* of an entry and its file, about */

struct entry {
	struct entry *next;         /* in the bucket */
	struct entry *newer, *older; /* by last use */
	struct cp_file *file;
	struct cp_stamp stamp;
	uint64_t hash;
	size_t bytes;
	char key[];
};

struct cp_fcache {
	pthread_mutex_t lock;
	struct entry **bucket;
	size_t size; /* a power of two */
	struct entry *newest, *oldest;
	size_t max_bytes;
	uint64_t seed;
	struct cp_live *live;
	struct cp_fcache_stats stats;
};

struct cp_fcache *cp_fcache_create(size_t max_bytes)
{
	struct cp_fcache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->size = 1024;
	c->bucket = calloc(c->size, sizeof(struct entry *));
	c->live = cp_live_create();
	if (c->bucket == NULL || c->live == NULL || RAND_bytes((uint8_t *)&c->seed, sizeof(c->seed)) != 1 ||
	    pthread_mutex_init(&c->lock, NULL) != 0) {
		cp_live_destroy(c->live);
		free(c->bucket);
		free(c);
		return NULL;
	}
	c->max_bytes = max_bytes;
	return c;
}

/* FNV-1a behind a random seed: names come from outside, but only those of files that there are get in. */
static uint64_t hash_of(const struct cp_fcache *c, const char *key)
{
	uint64_t h = 0xcbf29ce484222325ull ^ c->seed;

	for (; *key != '\0'; key++)
		h = (h ^ (uint8_t)*key) * 0x100000001b3ull;
	return h ^ h >> 29;
}

static struct entry **slot_of(struct cp_fcache *c, const char *key, uint64_t h)
{
	struct entry **e = &c->bucket[h & (c->size - 1)];

	while (*e != NULL && ((*e)->hash != h || strcmp((*e)->key, key) != 0))
		e = &(*e)->next;
	return e;
}

static void unlink_use(struct cp_fcache *c, struct entry *e)
{
	*(e->newer != NULL ? &e->newer->older : &c->newest) = e->older;
	*(e->older != NULL ? &e->older->newer : &c->oldest) = e->newer;
}

static void link_newest(struct cp_fcache *c, struct entry *e)
{
	e->newer = NULL;
	e->older = c->newest;
	*(c->newest != NULL ? &c->newest->newer : &c->oldest) = e;
	c->newest = e;
}

/* Takes it out; returns its file for the caller to put outside the lock. */
static struct cp_file *take_out(struct cp_fcache *c, struct entry **slot)
{
	struct entry *e = *slot;
	struct cp_file *file = e->file;

	*slot = e->next;
	unlink_use(c, e);
	c->stats.bytes -= e->bytes;
	c->stats.files--;
	free(e);
	return file;
}

void cp_fcache_destroy(struct cp_fcache *c)
{
	if (c == NULL)
		return;
	while (c->oldest != NULL)
		cp_file_put(take_out(c, slot_of(c, c->oldest->key, c->oldest->hash)));
	cp_live_destroy(c->live);
	pthread_mutex_destroy(&c->lock);
	free(c->bucket);
	free(c);
}

static void grow(struct cp_fcache *c)
{
	size_t size = c->size * 2;
	struct entry **bucket = calloc(size, sizeof(struct entry *));

	if (bucket == NULL)
		return; /* slower, not wrong */
	for (size_t i = 0; i < c->size; i++)
		while (c->bucket[i] != NULL) {
			struct entry *e = c->bucket[i];

			c->bucket[i] = e->next;
			e->next = bucket[e->hash & (size - 1)];
			bucket[e->hash & (size - 1)] = e;
		}
	free(c->bucket);
	c->bucket = bucket;
	c->size = size;
}

static void keep(struct cp_fcache *c, const char *key, const struct cp_stamp *stamp, struct cp_file *file);

struct cp_file *cp_fcache_get(struct cp_fcache *c, const char *key, const struct cp_stamp *stamp)
{
	struct cp_file *file = NULL, *drop = NULL;
	struct entry **slot;

	pthread_mutex_lock(&c->lock);
	slot = slot_of(c, key, hash_of(c, key));
	if (*slot != NULL && memcmp(&(*slot)->stamp, stamp, sizeof(*stamp)) == 0) {
		struct entry *e = *slot;

		file = cp_file_take(e->file);
		unlink_use(c, e);
		link_newest(c, e);
		c->stats.hits++;
	} else {
		c->stats.misses++;
		if (*slot != NULL)
			drop = take_out(c, slot);
	}
	pthread_mutex_unlock(&c->lock);
	cp_file_put(drop);
	if (file == NULL) {
		file = cp_live_get(c->live, key, stamp);
		if (file != NULL)
			keep(c, key, stamp, file);
	}
	return file;
}

struct cp_file *cp_fcache_put(struct cp_fcache *c, const char *key, const struct cp_stamp *stamp, struct cp_file *file)
{
	file = cp_live_add(c->live, key, stamp, file);
	keep(c, key, stamp, file);
	return file;
}

static void keep(struct cp_fcache *c, const char *key, const struct cp_stamp *stamp, struct cp_file *file)
{
	size_t n = strlen(key) + 1, bytes = file->len + sizeof(struct entry) + n + OVERHEAD;
	struct entry *e;
	struct entry **slot;

	if (bytes > c->max_bytes / 2)
		return;
	e = malloc(sizeof(*e) + n);
	if (e == NULL)
		return;
	memcpy(e->key, key, n);
	e->stamp = *stamp;
	e->bytes = bytes;
	e->file = cp_file_take(file);
	pthread_mutex_lock(&c->lock);
	e->hash = hash_of(c, key);
	slot = slot_of(c, key, e->hash);
	if (*slot != NULL)
		cp_file_put(take_out(c, slot));
	while (c->oldest != NULL && c->stats.bytes + bytes > c->max_bytes) {
		cp_file_put(take_out(c, slot_of(c, c->oldest->key, c->oldest->hash)));
		c->stats.evicted++;
	}
	if (c->stats.files > c->size)
		grow(c);
	slot = &c->bucket[e->hash & (c->size - 1)];
	e->next = *slot;
	*slot = e;
	link_newest(c, e);
	c->stats.bytes += bytes;
	c->stats.files++;
	pthread_mutex_unlock(&c->lock);
}

void cp_fcache_stats(struct cp_fcache *c, struct cp_fcache_stats *ret)
{
	pthread_mutex_lock(&c->lock);
	*ret = c->stats;
	pthread_mutex_unlock(&c->lock);
}

static void file_destroy(struct cp_file *file)
{
	uint8_t *data = (uint8_t *)(uintptr_t)file->data; /* ours: constant for others only */

	if (file->secret)
		OPENSSL_cleanse(data, file->len);
	free(data);
	free(file);
}

struct cp_file *cp_file_create(enum cp_file_kind kind, const char *name, uint8_t *data, size_t len, int64_t mtime,
			       bool secret)
{
	static const char hex[] = "0123456789abcdef";
	struct cp_file *f = calloc(1, sizeof(*f));

	if (f == NULL || strlen(name) >= sizeof(f->name)) {
		if (secret && data != NULL)
			OPENSSL_cleanse(data, len);
		free(data);
		free(f);
		return NULL;
	}
	atomic_init(&f->refs, 1);
	f->kind = kind;
	memcpy(f->name, name, strlen(name) + 1);
	f->data = data;
	f->len = len;
	f->mtime = mtime;
	f->secret = secret;
	f->destroy = file_destroy;
	SHA256(data != NULL ? data : (const uint8_t *)"", len, f->sha256);
	f->etag[0] = f->etag[33] = '"';
	for (unsigned i = 0; i < 16; i++) {
		f->etag[1 + 2 * i] = hex[f->sha256[i] >> 4];
		f->etag[2 + 2 * i] = hex[f->sha256[i] & 15];
	}
	return f;
}
