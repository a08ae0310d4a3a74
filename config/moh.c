/* SPDX-License-Identifier: BSD-3-Clause */
/* The section moh: sources of music on hold. Whether the files are there and what is in them is the dataplane's to say. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "log.h"
#include "raw.h"
#include "values.h"

#define SOURCES_MAX 16 /* as many as the dataplane takes */

static void check_file(struct cfg_ctx *c, unsigned i, const char *key, const char *name, const char *const *ends)
{
	size_t n = name != NULL ? strlen(name) : 0;
	char path[60];

	if (c->rc != 0 || name == NULL)
		return;
	snprintf(path, sizeof(path), "moh.sources[%u].%s", i, key);
	if (!cfg_words_only(name, 63) || name[0] == '.')
		cfg_bad(c, path, "%s is not 1 to 63 of A-Z a-z 0-9 . _ - without a dot in front", cfg_q(name));
	for (; ends != NULL && *ends != NULL; ends++)
		if (n > strlen(*ends) && strcmp(name + n - strlen(*ends), *ends) == 0)
			return;
	if (ends != NULL)
		cfg_bad(c, path, "%s does not end in .wav or .pcm", name);
}

static void do_source(struct cfg_ctx *c, struct cfg_moh *m, unsigned i, const struct raw_moh_source *r)
{
	static const char *const pcm[] = {".wav", ".pcm", NULL};
	struct cfg_moh_source *s = &m->sources[i];
	char path[60];

	s->name = cfg_text(c, r->name, NULL);
	s->file = cfg_text(c, r->file, NULL);
	s->g722 = cfg_text(c, r->g722, NULL);
	s->g729 = cfg_text(c, r->g729, NULL);
	if (c->rc != 0)
		return;
	snprintf(path, sizeof(path), "moh.sources[%u].name", i);
	if (!cfg_words_only(s->name, 31))
		cfg_bad(c, path, "%s is not 1 to 31 of A-Z a-z 0-9 . _ -", cfg_q(s->name));
	for (unsigned k = 0; k < i; k++)
		if (strcmp(m->sources[k].name, s->name) == 0)
			cfg_bad(c, path, "%s is given twice", s->name);
	check_file(c, i, "file", s->file, pcm);
	check_file(c, i, "g722", s->g722, NULL);
	check_file(c, i, "g729", s->g729, NULL);
	if (s->file == NULL && s->g722 == NULL && s->g729 == NULL)
		cfg_bad(c, path, "%s has no file", s->name);
}

const struct cfg_moh_source *cfg_moh_find(const struct cfg_moh *m, const char *name)
{
	for (unsigned i = 0; name != NULL && i < m->sources_count; i++)
		if (strcmp(m->sources[i].name, name) == 0)
			return &m->sources[i];
	return NULL;
}

static void check_use(struct cfg_ctx *c, const struct cfg_moh *m, const char *path, const char *name)
{
	if (c->rc == 0 && name != NULL && cfg_moh_find(m, name) == NULL)
		cfg_bad(c, path, "%s is none of moh.sources", cfg_q(name));
}

void cfg_do_moh(struct cfg_ctx *c, struct cfg *cfg, const struct raw_moh *r)
{
	struct cfg_moh *m = &cfg->moh;

	m->directory = cfg_directory(c, "moh.directory", r->directory, cfg, "moh");
	TEXT(moh, user, NULL);
	TEXT(moh, network, NULL);
	if (r->sources_count > SOURCES_MAX)
		cfg_bad(c, "moh.sources", "%u sources, at most %d", r->sources_count, SOURCES_MAX);
	if (c->rc != 0)
		return;
	m->sources = cfg_array(c, r->sources_count, sizeof(*m->sources));
	for (unsigned i = 0; c->rc == 0 && i < r->sources_count; i++) {
		m->sources_count = i + 1;
		do_source(c, m, i, &r->sources[i]);
	}
	check_use(c, m, "moh.user", m->user);
	check_use(c, m, "moh.network", m->network);
}

void cfg_free_moh(struct cfg *cfg)
{
	struct cfg_moh *m = &cfg->moh;

	for (unsigned i = 0; i < m->sources_count; i++) {
		free(m->sources[i].name);
		free(m->sources[i].file);
		free(m->sources[i].g722);
		free(m->sources[i].g729);
	}
	free(m->sources);
	free(m->directory);
	free(m->user);
	free(m->network);
}
