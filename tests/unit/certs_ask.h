/* SPDX-License-Identifier: BSD-3-Clause */
/* The certificate manager as its commands see it, without a socket: asked, and what it answers and writes into the audit. */
#ifndef TESTS_CERTS_ASK_H
#define TESTS_CERTS_ASK_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "app.h"
#include "store/store.h"
#include "store_tmp.h"

static struct cp_app app;
static json_t *answer; /* the last one */
static int answered;

static inline void on_answer(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	answer = json_loadb(line, len, 0, NULL);
	answered = 1;
}

/* One request: the whole answer, borrowed until the next one. Steals args. */
static inline json_t *ask(const char *cmd, json_t *args)
{
	json_t *req = json_pack("{s:s, s:o}", "cmd", cmd, "args", args != NULL ? args : json_object());
	char *text = json_dumps(req, JSON_COMPACT);

	json_decref(answer);
	answer = NULL;
	answered = 0;
	cp_admin_input(app.admin, text, strlen(text), on_answer, NULL);
	wait_for(app.base, &answered);
	free(text);
	json_decref(req);
	return answer;
}

static inline const char *code(const json_t *a)
{
	const char *s = json_string_value(json_object_get(json_object_get(a, "error"), "code"));

	return json_is_true(json_object_get(a, "ok")) ? "ok" : s != NULL ? s : "none";
}

static inline const char *message(const json_t *a)
{
	const char *s = json_string_value(json_object_get(json_object_get(a, "error"), "message"));

	return s != NULL ? s : "";
}

static inline bool says(const json_t *a, const char *word)
{
	const char *s = json_string_value(json_object_get(json_object_get(a, "error"), "message"));

	if (s == NULL || strstr(s, word) == NULL)
		printf("\n%s is not in: %s", word, s != NULL ? s : "(nothing)");
	return s != NULL && strstr(s, word) != NULL;
}

struct audit_find {
	const char *a, *b;
	unsigned hits;
};

static inline void audit_one(void *ctx, int64_t time_us, const char *json)
{
	struct audit_find *f = ctx;

	(void)time_us;
	f->hits += strstr(json, f->a) != NULL && strstr(json, f->b) != NULL;
}

static inline unsigned audited(const char *a, const char *b)
{
	struct audit_find f = {a, b, 0};

	cp_store_audit(app.store, 1000, audit_one, &f);
	return f.hits;
}

#endif
