/* SPDX-License-Identifier: BSD-3-Clause */
#include "room.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define SOURCES 1024 /* hash slots */

struct cp_source {
	struct cp_source *next;
	uint32_t slot, conns;
	uint8_t key[9];
};

struct cp_room {
	struct cp_room_limits max;
	pthread_mutex_t lock; /* of all below */
	uint32_t conns, preauth;
	struct cp_source *sources[SOURCES];
};

int cp_room_create(const struct cp_room_limits *limits, struct cp_room **ret_room)
{
	struct cp_room *room = calloc(1, sizeof(*room));

	if (room == NULL)
		return -ENOMEM;
	room->max = *limits;
	if (room->max.max_source == 0)
		room->max.max_source = room->max.max_preauth - room->max.max_preauth / 4;
	pthread_mutex_init(&room->lock, NULL);
	*ret_room = room;
	return 0;
}

void cp_room_destroy(struct cp_room *room)
{
	if (room == NULL)
		return;
	pthread_mutex_destroy(&room->lock);
	free(room);
}

static uint32_t source_key(const struct cfg_addr *a, uint8_t key[9])
{
	uint32_t h = 2166136261u;

	memset(key, 0, 9);
	key[0] = a->family;
	memcpy(key + 1, a->ip, a->family == 6 ? 8 : 4);
	for (int i = 0; i < 9; i++)
		h = (h ^ key[i]) * 16777619u;
	return h % SOURCES;
}

static struct cp_source *source_take(struct cp_room *room, const struct cfg_addr *a)
{
	uint8_t key[9];
	uint32_t slot = source_key(a, key);
	struct cp_source *s;

	for (s = room->sources[slot]; s != NULL; s = s->next)
		if (memcmp(s->key, key, sizeof(key)) == 0)
			break;
	if (s == NULL) {
		s = calloc(1, sizeof(*s));
		if (s == NULL)
			return NULL;
		memcpy(s->key, key, sizeof(key));
		s->slot = slot;
		s->next = room->sources[slot];
		room->sources[slot] = s;
	}
	s->conns++;
	return s;
}

static void source_put(struct cp_room *room, struct cp_source *s)
{
	struct cp_source **at;

	if (--s->conns > 0)
		return;
	for (at = &room->sources[s->slot]; *at != s; at = &(*at)->next)
		;
	*at = s->next;
	free(s);
}

bool cp_room_full(struct cp_room *room)
{
	bool full;

	pthread_mutex_lock(&room->lock);
	full = room->preauth >= room->max.max_preauth;
	pthread_mutex_unlock(&room->lock);
	return full;
}

bool cp_room_reserve(struct cp_room *room)
{
	bool free_;

	pthread_mutex_lock(&room->lock);
	free_ = room->preauth < room->max.max_preauth;
	room->preauth += free_;
	pthread_mutex_unlock(&room->lock);
	return free_;
}

void cp_room_give_back(struct cp_room *room)
{
	pthread_mutex_lock(&room->lock);
	room->preauth--;
	pthread_mutex_unlock(&room->lock);
}

static int enter(struct cp_room *room, const struct cfg_addr *from, struct cp_source **ret_source)
{
	struct cp_source *s;

	if (room->conns >= room->max.max_conns)
		return -ENFILE;
	s = source_take(room, from);
	if (s == NULL)
		return -ENOMEM;
	if (s->conns > room->max.max_source) {
		source_put(room, s);
		return -EMFILE;
	}
	room->conns++;
	*ret_source = s;
	return 0;
}

int cp_room_enter(struct cp_room *room, const struct cfg_addr *from, struct cp_source **ret_source)
{
	int rc;

	pthread_mutex_lock(&room->lock);
	rc = enter(room, from, ret_source);
	if (rc < 0)
		room->preauth--;
	pthread_mutex_unlock(&room->lock);
	return rc;
}

struct cp_source *cp_room_owe(struct cp_room *room, const struct cfg_addr *from)
{
	struct cp_source *s;

	pthread_mutex_lock(&room->lock);
	s = source_take(room, from);
	room->preauth += s != NULL;
	pthread_mutex_unlock(&room->lock);
	return s;
}

void cp_room_known(struct cp_room *room, struct cp_source *source)
{
	pthread_mutex_lock(&room->lock);
	source_put(room, source);
	room->preauth--;
	pthread_mutex_unlock(&room->lock);
}

void cp_room_leave(struct cp_room *room)
{
	pthread_mutex_lock(&room->lock);
	room->conns--;
	pthread_mutex_unlock(&room->lock);
}
