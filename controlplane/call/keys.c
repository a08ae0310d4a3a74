/* SPDX-License-Identifier: BSD-3-Clause */
#include "keys.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

struct cp_keys {
	size_t max, used, bytes;
	struct cp_keyset *sets; /* locked, not dumped */
	uint32_t *free_idx;     /* stack of free places */
};

const char *cp_suite_name(uint8_t suite)
{
	return suite == DP_SRTP_NONE ? "RTP" : dp_suite(suite) != NULL ? dp_suite(suite)->name : "unknown";
}

int cp_suite_parse(const char *name, uint8_t *ret_suite)
{
	for (uint8_t s = 0; s < DP_SRTP_SUITE_MAX; s++) {
		if (name != NULL && strcasecmp(name, cp_suite_name(s)) == 0) {
			*ret_suite = s;
			return 0;
		}
	}
	return -EINVAL;
}

struct cp_keys *cp_keys_create(size_t max, int *ret_locked)
{
	struct cp_keys *k = calloc(1, sizeof(*k));
	void *mem;

	if (k == NULL)
		return NULL;
	k->max = max;
	k->bytes = max * sizeof(*k->sets);
	k->free_idx = calloc(max, sizeof(*k->free_idx));
	mem = mmap(NULL, k->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (k->free_idx == NULL || mem == MAP_FAILED) {
		free(k->free_idx);
		free(k);
		return NULL;
	}
	k->sets = mem;
	madvise(mem, k->bytes, MADV_DONTDUMP);
	madvise(mem, k->bytes, MADV_WIPEONFORK);
	*ret_locked = mlock(mem, k->bytes) == 0;
	for (size_t i = 0; i < max; i++)
		k->free_idx[i] = (uint32_t)(max - 1 - i);
	return k;
}

void cp_keys_destroy(struct cp_keys *keys)
{
	if (keys == NULL)
		return;
	OPENSSL_cleanse(keys->sets, keys->bytes);
	munmap(keys->sets, keys->bytes);
	free(keys->free_idx);
	free(keys);
}

static struct cp_keyset *place(struct cp_keys *keys)
{
	if (keys->used == keys->max)
		return NULL;
	return &keys->sets[keys->free_idx[keys->max - 1 - keys->used++]];
}

struct cp_keyset *cp_keys_draw(struct cp_keys *keys, uint8_t suite)
{
	const struct dp_suite *info = dp_suite(suite);
	struct cp_keyset *set = info != NULL ? place(keys) : NULL;

	if (set == NULL)
		return NULL;
	set->suite = suite;
	if (RAND_priv_bytes(set->key, info->key_len) != 1 || RAND_priv_bytes(set->salt, info->salt_len) != 1) {
		cp_keys_put(keys, set);
		return NULL;
	}
	return set;
}

struct cp_keyset *cp_keys_take(struct cp_keys *keys, uint8_t suite, const uint8_t *key, const uint8_t *salt)
{
	const struct dp_suite *info = dp_suite(suite);
	struct cp_keyset *set = info != NULL ? place(keys) : NULL;

	if (set == NULL)
		return NULL;
	set->suite = suite;
	memcpy(set->key, key, info->key_len);
	memcpy(set->salt, salt, info->salt_len);
	return set;
}

struct cp_keyset *cp_keys_copy(struct cp_keys *keys, const struct cp_keyset *set)
{
	struct cp_keyset *copy = place(keys);

	if (copy != NULL)
		*copy = *set;
	return copy;
}

bool cp_keys_equal(const struct cp_keyset *a, const struct cp_keyset *b)
{
	return a->suite == b->suite && CRYPTO_memcmp(a->key, b->key, sizeof(a->key)) == 0 &&
	       CRYPTO_memcmp(a->salt, b->salt, sizeof(a->salt)) == 0;
}

void cp_keys_put(struct cp_keys *keys, struct cp_keyset *set)
{
	if (set == NULL)
		return;
	OPENSSL_cleanse(set, sizeof(*set));
	keys->used--;
	keys->free_idx[keys->max - 1 - keys->used] = (uint32_t)(set - keys->sets);
}

size_t cp_keys_used(const struct cp_keys *keys)
{
	return keys->used;
}
