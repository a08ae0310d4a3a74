/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looks for keys in captures, or in any file: keyscan KEYS CAPTURE...; KEYS has a key in hex on each line. Every key is looked
 * for as it is, in hex of either case, and in base64 (both alphabets) at each of the three places where its octets can stand in
 * one. Prints each find, at most 20, and a line of JSON. Exit: 0 none found, 1 some, 2 nothing to look for or to look at.
 *
 * A hundred thousand keys and hundreds of megabytes: all forms are in one table by their first eight octets, and a file is gone
 * through once.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD    8  /* octets of a form that the table goes by */
#define KEY_MAX 64 /* octets */

struct form {
	uint8_t *data;
	uint32_t len, key, next; /* next of its chain; 0: none */
	const char *name;
};

static struct form *forms;
static uint32_t form_cnt = 1, form_room, *table, mask;
static uint8_t *seen; /* by 24 bits of a hash: most places of a file are in no chain */
static unsigned long keys, hits, octets;

static uint64_t head_of(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, HEAD);
	return v * 0x9e3779b97f4a7c15ull;
}

static void add(const uint8_t *data, size_t len, uint32_t key, const char *name)
{
	if (len < HEAD)
		return;
	if (form_cnt >= form_room) {
		form_room = form_room == 0 ? 1024 : form_room * 2;
		forms = realloc(forms, form_room * sizeof(*forms));
		if (forms == NULL)
			abort();
	}
	forms[form_cnt] = (struct form){.data = malloc(len), .len = (uint32_t)len, .key = key, .name = name};
	if (forms[form_cnt].data == NULL)
		abort();
	memcpy(forms[form_cnt++].data, data, len);
}

/* What of base64 depends on the key alone, with 'shift' octets of something else before it. */
static void base64(const uint8_t *key, size_t len, unsigned int shift, uint32_t n, bool url)
{
	static const char *const digits[] = {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
					     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"};
	uint8_t out[2 * KEY_MAX];
	size_t k = 0, from = (8 * shift + 5) / 6, to = 8 * (shift + len) / 6;

	for (size_t c = from; c < to; c++) {
		unsigned int v = 0;

		for (size_t b = 6 * c; b < 6 * c + 6; b++)
			v = v << 1 | (key[b / 8 - shift] >> (7 - b % 8) & 1);
		out[k++] = (uint8_t)digits[url][v];
	}
	add(out, k, n, url ? "base64url" : "base64");
}

static void add_key(const uint8_t *key, size_t len)
{
	char hex[2 * KEY_MAX + 1];
	uint32_t n = (uint32_t)++keys;

	add(key, len, n, "raw");
	for (int upper = 0; upper < 2; upper++) {
		for (size_t i = 0; i < len; i++)
			snprintf(hex + 2 * i, 3, upper ? "%02X" : "%02x", key[i]);
		add((const uint8_t *)hex, 2 * len, n, "hex");
	}
	for (unsigned int shift = 0; shift < 3; shift++)
		for (int url = 0; url < 2; url++)
			base64(key, len, shift, n, url != 0);
}

static int read_keys(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[512];

	if (f == NULL) {
		perror(path);
		return -1;
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		uint8_t key[KEY_MAX];
		size_t n = 0;
		unsigned int v;

		while (n < KEY_MAX && sscanf(line + 2 * n, "%2x", &v) == 1)
			key[n++] = (uint8_t)v;
		if (n >= 10)
			add_key(key, n);
	}
	fclose(f);
	return 0;
}

static void index_forms(void)
{
	uint32_t size = 1024;

	while (size < 2 * form_cnt)
		size *= 2;
	mask = size - 1;
	table = calloc(size, sizeof(*table));
	seen = calloc(1, 1u << 21);
	if (table == NULL || seen == NULL)
		abort();
	for (uint32_t i = 1; i < form_cnt; i++) {
		uint64_t h = head_of(forms[i].data);

		forms[i].next = table[h >> 32 & mask];
		table[h >> 32 & mask] = i;
		seen[h >> 43] |= (uint8_t)(1 << (h >> 40 & 7));
	}
}

static int scan(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	const uint8_t *p;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0) {
		fprintf(stderr, "keyscan: %s: cannot be read, or is empty\n", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return -1;
	octets += (unsigned long)st.st_size;
	for (size_t at = 0; at + HEAD <= (size_t)st.st_size; at++) {
		uint64_t h = head_of(p + at);

		if ((seen[h >> 43] >> (h >> 40 & 7) & 1) == 0)
			continue;
		for (uint32_t i = table[h >> 32 & mask]; i != 0; i = forms[i].next) {
			if (forms[i].len > (size_t)st.st_size - at || memcmp(p + at, forms[i].data, forms[i].len) != 0)
				continue;
			if (hits++ < 20)
				printf("%s: octet %zu: key %u as %s\n", path, at, forms[i].key, forms[i].name);
		}
	}
	munmap((void *)(uintptr_t)p, (size_t)st.st_size);
	return 0;
}

int main(int argc, char **argv)
{
	int rc = 0;

	if (argc < 3 || read_keys(argv[1]) < 0)
		return 2;
	index_forms();
	for (int i = 2; i < argc; i++)
		rc |= scan(argv[i]);
	printf("{\"keys\": %lu, \"forms\": %u, \"octets\": %lu, \"hits\": %lu}\n", keys, form_cnt - 1, octets, hits);
	for (uint32_t i = 1; i < form_cnt; i++)
		free(forms[i].data);
	free(forms);
	free(table);
	free(seen);
	return rc < 0 || keys == 0 || octets == 0 ? 2 : hits > 0;
}
