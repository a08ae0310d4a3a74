/* SPDX-License-Identifier: BSD-3-Clause */
#include "live.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096u

struct one {
	struct cp_file file;  /* what others hold: the bytes are base's */
	struct cp_file *base; /* a reference */
	struct cp_live *in;
	struct one *next, **at;
	struct cp_stamp stamp;
	char key[];
};

struct cp_live {
	pthread_mutex_t lock;
	size_t refs; /* lock: the owner's, and one of each file */
	struct one *bucket[BUCKETS];
};

struct cp_live *cp_live_create(void)
{
	struct cp_live *l = calloc(1, sizeof(*l));

	if (l != NULL) {
		pthread_mutex_init(&l->lock, NULL);
		l->refs = 1;
	}
	return l;
}

static void unlock_put(struct cp_live *l)
{
	bool gone = --l->refs == 0;

	pthread_mutex_unlock(&l->lock);
	if (gone) {
		pthread_mutex_destroy(&l->lock);
		free(l);
	}
}

void cp_live_destroy(struct cp_live *l)
{
	if (l == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	unlock_put(l);
}

/* Behind the last put: from here on nobody finds it. */
static void one_destroy(struct cp_file *file)
{
	struct one *o = (struct one *)(void *)file; /* its first member */

	pthread_mutex_lock(&o->in->lock);
	if (o->next != NULL)
		o->next->at = o->at;
	*o->at = o->next;
	unlock_put(o->in);
	cp_file_put(o->base);
	free(o);
}

static struct one **bucket_of(struct cp_live *l, const char *key)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (; *key != '\0'; key++)
		h = (h ^ (uint8_t)*key) * 0x100000001b3ull;
	return &l->bucket[(h ^ h >> 32) % BUCKETS];
}

/* A reference, but of none that is being destroyed. */
static struct cp_file *take_living(struct one *o, const char *key, const struct cp_stamp *stamp)
{
	for (; o != NULL; o = o->next) {
		unsigned n = atomic_load(&o->file.refs);

		if (strcmp(o->key, key) != 0 || memcmp(&o->stamp, stamp, sizeof(*stamp)) != 0)
			continue;
		while (n > 0)
			if (atomic_compare_exchange_weak(&o->file.refs, &n, n + 1))
				return &o->file;
	}
	return NULL;
}

struct cp_file *cp_live_get(struct cp_live *l, const char *key, const struct cp_stamp *stamp)
{
	struct cp_file *file;

	pthread_mutex_lock(&l->lock);
	file = take_living(*bucket_of(l, key), key, stamp);
	pthread_mutex_unlock(&l->lock);
	return file;
}

struct cp_file *cp_live_add(struct cp_live *l, const char *key, const struct cp_stamp *stamp, struct cp_file *file)
{
	size_t n = strlen(key) + 1;
	struct one *o = malloc(sizeof(*o) + n), **head;
	struct cp_file *there;

	if (o == NULL)
		return file; /* it serves as well */
	pthread_mutex_lock(&l->lock);
	head = bucket_of(l, key);
	there = take_living(*head, key, stamp);
	if (there == NULL) {
		*o = (struct one){.base = file, .in = l, .next = *head, .at = head, .stamp = *stamp};
		o->file = (struct cp_file){.kind = file->kind, .data = file->data, .len = file->len, .mtime = file->mtime,
					   .secret = file->secret, .destroy = one_destroy};
		memcpy(o->file.name, file->name, sizeof(file->name));
		memcpy(o->file.etag, file->etag, sizeof(file->etag));
		memcpy(o->file.sha256, file->sha256, sizeof(file->sha256));
		atomic_init(&o->file.refs, 1);
		memcpy(o->key, key, n);
		if (o->next != NULL)
			o->next->at = &o->next;
		*head = o;
		l->refs++;
	}
	pthread_mutex_unlock(&l->lock);
	if (there == NULL)
		return &o->file;
	free(o);
	cp_file_put(file);
	return there;
}
