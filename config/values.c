/* SPDX-License-Identifier: BSD-3-Clause */
#include "values.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

const char *const cfg_truth[] = {"false", "true", NULL};

void cfg_bad(struct cfg_ctx *c, const char *path, const char *fmt, ...)
{
	unsigned line = cfg_scan_line(c->scan, path);
	size_t n;
	va_list args;

	if (c->rc != 0)
		return;
	c->rc = -EINVAL;
	if (line > 0)
		snprintf(c->err, c->err_size, "line %u: %s: ", line, path);
	else
		snprintf(c->err, c->err_size, "%s: ", path);
	n = strlen(c->err);
	va_start(args, fmt);
	vsnprintf(c->err + n, c->err_size - n, fmt, args);
	va_end(args);
}

/* A whole number, decimal or 0x. */
int64_t cfg_num(struct cfg_ctx *c, const char *path, const char *v, int64_t dflt, int64_t min,
                   int64_t max)
{
	bool hex = v != NULL && strncmp(v, "0x", 2) == 0;
	const char *p = v != NULL ? v : "";
	char *end = NULL;
	long long n;

	if (v == NULL)
		return dflt;
	errno = 0;
	n = strtoll(v, &end, hex ? 16 : 10);
	p += hex ? 2 : *p == '-' ? 1 : 0;
	if (!isxdigit((unsigned char)*p) || *end != '\0' || errno == EINVAL) {
		cfg_bad(c, path, "%s is not a whole number", cfg_q(v));
		return dflt;
	}
	if (errno != 0 || n < min || n > max) {
		cfg_bad(c, path, "%s is not in %lld to %lld", v, (long long)min, (long long)max);
		return dflt;
	}
	return n;
}

/* One of 'words', which stand in the order of the enum that is returned. */
int cfg_word(struct cfg_ctx *c, const char *path, const char *v, int dflt, const char *const *words)
{
	char list[160] = "";

	if (v == NULL)
		return dflt;
	for (int i = 0; words[i] != NULL; i++) {
		size_t n = strlen(list);

		if (strcmp(v, words[i]) == 0)
			return i;
		snprintf(list + n, sizeof(list) - n, "%s%s", i > 0 ? ", " : "", words[i]);
	}
	cfg_bad(c, path, "%s is not one of %s", cfg_q(v), list);
	return dflt;
}

char *cfg_text(struct cfg_ctx *c, const char *v, const char *dflt)
{
	char *s;

	v = v != NULL ? v : dflt;
	if (v == NULL)
		return NULL;
	s = strdup(v);
	if (s == NULL)
		c->rc = -ENOMEM;
	return s;
}

void *cfg_array(struct cfg_ctx *c, size_t n, size_t size)
{
	void *p = n > 0 ? calloc(n, size) : NULL;

	if (n > 0 && p == NULL)
		c->rc = -ENOMEM;
	return p;
}

char **cfg_texts(struct cfg_ctx *c, char *const *v, unsigned n)
{
	char **out = cfg_array(c, n, sizeof(*out));

	for (unsigned i = 0; out != NULL && i < n; i++)
		out[i] = cfg_text(c, v[i], NULL);
	return out;
}

/* An address without prefix length; a port only where one is allowed. */
bool cfg_host(struct cfg_ctx *c, const char *path, const char *v, bool port, struct cfg_addr *ret)
{
	struct cfg_addr a;

	if (cfg_addr_parse(v, &a) < 0 || a.plen != (a.family == 4 ? 32 : 128) ||
	    strchr(v, '/') != NULL || (a.port != 0 && !port)) {
		cfg_bad(c, path, "%s is not an address%s", cfg_q(v),
		    port ? " with or without a port" : "");
		return false;
	}
	*ret = a;
	return true;
}

char *cfg_directory(struct cfg_ctx *c, const char *path, const char *v, const struct cfg *cfg, const char *name)
{
	char *dir = NULL;

	if (c->rc == 0 && v == NULL && asprintf(&dir, "%s/%s", cfg->paths.state, name) < 0) {
		c->rc = -ENOMEM;
		return NULL;
	}
	if (c->rc == 0 && v != NULL)
		dir = cfg_text(c, v, NULL);
	if (c->rc == 0 && dir[0] != '/')
		cfg_bad(c, path, "%s is not an absolute path", cfg_q(dir));
	return dir;
}

bool cfg_words_only(const char *s, size_t max)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && strchr("._-", s[i]) == NULL)
			return false;
	return n > 0 && n <= max;
}

void cfg_free_texts(char **v, unsigned n)
{
	for (unsigned i = 0; v != NULL && i < n; i++)
		free(v[i]);
	free(v);
}

void cfg_range(struct cfg_ctx *c, const char *key, const char *text, unsigned most, struct cfg_range *ret)
{
	size_t n = strspn(text, "0123456789");
	const char *last = text + n + 1;

	if (c->rc != 0)
		return;
	if (n < 1 || n > 15 || text[n] != '-' || strspn(last, "0123456789") != n || last[n] != '\0') {
		cfg_bad(c, key, "%s is not FIRST-LAST, both of 1 to 15 digits, as many", cfg_q(text));
		return;
	}
	ret->first = strtoull(text, NULL, 10);
	ret->last = strtoull(last, NULL, 10);
	ret->digits = (uint8_t)n;
	if (ret->last < ret->first || ret->last - ret->first >= most)
		cfg_bad(c, key, "%s is not 1 to %u numbers", cfg_q(text), most);
	if (ret->last == 0)
		cfg_bad(c, key, "%s has no number above 0", cfg_q(text));
}
