/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recorded dialogues (tests/vectors/trust/SET/capf and tvs): "C <hex>" was sent by the phone, "S <hex>" by the server, and the
 * comment before each says what is in it: "# NAME element[length]=hex element[length] ...".
 */
#ifndef TESTS_DIALOGUE_H
#define TESTS_DIALOGUE_H

#include <dirent.h>
#include <stdint.h>

#include "trust_files.h"

struct dlg_msg {
	char from; /* 'C', 'S' */
	char said[768]; /* the comment, without "# " */
	uint8_t buf[8192];
	size_t len;
};

static inline unsigned dlg_nibble(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
}

/* Calls fn for each message of each dialogue in the folder; returns how many there were. */
static inline unsigned dlg_each(const char *set, const char *folder, const char *only,
				void (*fn)(const char *name, const struct dlg_msg *m, void *ctx), void *ctx)
{
	static char line[32768];
	char path[512], file[1024];
	struct dirent *e;
	unsigned n = 0;
	DIR *dir;

	trust_path(path, sizeof(path), set, folder);
	dir = opendir(path);
	while (dir != NULL && (e = readdir(dir)) != NULL) {
		static struct dlg_msg m;
		FILE *f;

		if (strstr(e->d_name, ".txt") == NULL || (only != NULL && strcmp(only, e->d_name) != 0))
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		f = fopen(file, "r");
		while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
			line[strcspn(line, "\n")] = '\0';
			if (line[0] == '#') {
				snprintf(m.said, sizeof(m.said), "%.*s", (int)sizeof(m.said) - 1, line + 2);
				continue;
			}
			m.from = line[0];
			m.len = 0;
			for (const char *p = line + 2; p[0] != '\0' && p[1] != '\0' && m.len < sizeof(m.buf); p += 2)
				m.buf[m.len++] = (uint8_t)(dlg_nibble(p[0]) << 4 | dlg_nibble(p[1]));
			fn(e->d_name, &m, ctx);
			n++;
		}
		if (f != NULL)
			fclose(f);
	}
	if (dir != NULL)
		closedir(dir);
	return n;
}

/* The length that the comment gives an element, or -1. */
static inline int dlg_said_len(const struct dlg_msg *m, const char *element)
{
	char key[64];
	const char *p;

	snprintf(key, sizeof(key), " %s[", element);
	p = strstr(m->said, key);
	return p != NULL ? atoi(p + strlen(key)) : -1;
}

#endif
