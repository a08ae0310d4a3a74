/* SPDX-License-Identifier: BSD-3-Clause */
/* The dispatcher: one request in, one answer out. */
#include "admin.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "log.h"

struct cp_admin_req {
	json_t *root;
	admin_answer_fn fn;
	void *ctx;
	char who[24];
};

/* Requests and answers can hold keys: what jansson gives back is wiped. */
static void wiping_free(void *p)
{
	if (p == NULL)
		return;
	explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

struct cp_admin *cp_admin_create(struct event_base *base)
{
	struct cp_admin *admin = calloc(1, sizeof(*admin));

	json_set_alloc_funcs(malloc, wiping_free);
	if (admin != NULL) {
		admin->base = base;
		admin->idle_ms = CP_ADMIN_IDLE_S * 1000;
	}
	return admin;
}

int cp_admin_listen(struct cp_admin *admin, const char *run_dir)
{
	return cp_server_create(admin, run_dir, &admin->server);
}

void cp_admin_stop(struct cp_admin *admin)
{
	if (admin != NULL && admin->stop != NULL)
		admin->stop(admin->fini_ctx);
}

void cp_admin_destroy(struct cp_admin *admin)
{
	if (admin == NULL)
		return;
	cp_server_destroy(admin->server);
	if (admin->fini != NULL)
		admin->fini(admin->fini_ctx);
	while (admin->commands != NULL) {
		struct command *c = admin->commands;

		admin->commands = c->next;
		free(c);
	}
	free(admin);
}

int cp_admin_register(struct cp_admin *admin, const char *cmd, cp_admin_fn fn, void *ctx)
{
	struct command *c;

	for (c = admin->commands; c != NULL; c = c->next)
		if (strcmp(c->cmd, cmd) == 0)
			return -EEXIST;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	*c = (struct command){admin->commands, cmd, fn, ctx};
	admin->commands = c;
	return 0;
}

int cp_admin_status_add(struct cp_admin *admin, cp_admin_status_fn fn, void *ctx)
{
	if (admin->status_cnt == STATUS_MAX)
		return -ENOSPC;
	admin->status[admin->status_cnt].fn = fn;
	admin->status[admin->status_cnt++].ctx = ctx;
	return 0;
}

const char *cp_admin_who(const struct cp_admin_req *req)
{
	return req->who;
}

/* --- answers --- */

static const char no_memory[] = "{\"ok\":false,\"error\":{\"code\":\"failed\",\"message\":\"no memory\"}}";

static void answer(struct cp_admin_req *req, json_t *o)
{
	char *line = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);

	json_decref(o);
	if (line != NULL) {
		req->fn(req->ctx, line, strlen(line), NULL, NULL);
		wiping_free(line);
	} else {
		req->fn(req->ctx, no_memory, sizeof(no_memory) - 1, NULL, NULL);
	}
	json_decref(req->root);
	free(req);
}

void admin_reply_text(struct cp_admin_req *req, const char *line, size_t len, admin_free_fn free_line, void *free_ctx)
{
	req->fn(req->ctx, line, len, free_line, free_ctx);
	json_decref(req->root);
	free(req);
}

void cp_admin_reply(struct cp_admin_req *req, json_t *result)
{
	json_t *o = json_object();

	json_object_set_new(o, "ok", json_true());
	json_object_set_new(o, "result", result != NULL ? result : json_null());
	answer(req, o);
}

void admin_fail_more(struct cp_admin_req *req, const char *code, const char *message, json_t *more)
{
	json_t *o = json_object(), *e = json_object(), *text = json_string(message);

	json_object_set_new(o, "ok", json_false());
	json_object_set_new(e, "code", json_string(code));
	/* a message that quotes the request in the middle of a character must not cost the answer */
	json_object_set_new(e, "message", text != NULL ? text : json_string("the request is not valid UTF-8"));
	if (more != NULL)
		json_object_update(e, more);
	json_decref(more);
	json_object_set_new(o, "error", e);
	answer(req, o);
}

static void vfail(struct cp_admin_req *req, const char *code, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

static void vfail(struct cp_admin_req *req, const char *code, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	admin_fail_more(req, code, text, NULL);
}

void cp_admin_fail(struct cp_admin_req *req, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfail(req, code, fmt, ap);
	va_end(ap);
}

const char *cp_admin_code(int rc)
{
	static const struct {
		int rc;
		const char *code;
	} codes[] = {
		{-EINVAL, "invalid"}, {-EBADMSG, "invalid"}, {-ENOENT, "not-found"}, {-EEXIST, "exists"},
		{-EBUSY, "busy"}, {-ENOSPC, "full"}, {-EIO, "store-failing"}, {-EAGAIN, "overload"},
		{-ENOTCONN, "unavailable"}, {-EACCES, "denied"}, {-EPROTO, "in-use"},
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].rc == rc)
			return codes[i].code;
	return "failed";
}

void cp_admin_fail_rc(struct cp_admin_req *req, int rc, const char *fmt, ...)
{
	va_list ap;

	if (fmt == NULL) {
		cp_admin_fail(req, cp_admin_code(rc), "%s", strerror(-rc));
		return;
	}
	va_start(ap, fmt);
	vfail(req, cp_admin_code(rc), fmt, ap);
	va_end(ap);
}

/* --- arguments --- */

static int missing(struct cp_admin_req *req, const json_t *v, const char *name, bool required)
{
	if (v == NULL && required) {
		cp_admin_fail(req, "invalid", "%s is missing", name);
		return -EINVAL;
	}
	return v == NULL ? 1 : 0;
}

int cp_admin_arg_str(struct cp_admin_req *req, const json_t *args, const char *name, bool required, const char **ret)
{
	const json_t *v = json_object_get(args, name);
	int rc = missing(req, v, name, required);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (!json_is_string(v)) {
		cp_admin_fail(req, "invalid", "%s is not a string", name);
		return -EINVAL;
	}
	*ret = json_string_value(v);
	return 0;
}

int cp_admin_arg_int(struct cp_admin_req *req, const json_t *args, const char *name, bool required, int64_t min,
		     int64_t max, int64_t *ret)
{
	const json_t *v = json_object_get(args, name);
	int rc = missing(req, v, name, required);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
		cp_admin_fail(req, "invalid", "%s is not an integer from %lld to %lld", name, (long long)min,
			      (long long)max);
		return -EINVAL;
	}
	*ret = json_integer_value(v);
	return 0;
}

int cp_admin_arg_bool(struct cp_admin_req *req, const json_t *args, const char *name, bool *ret)
{
	const json_t *v = json_object_get(args, name);

	if (v == NULL)
		return 0;
	if (!json_is_boolean(v)) {
		cp_admin_fail(req, "invalid", "%s is not true or false", name);
		return -EINVAL;
	}
	*ret = json_is_true(v);
	return 0;
}

int cp_admin_arg_known(struct cp_admin_req *req, const json_t *args, const char *const *names)
{
	/* jansson's iterators take no const; nothing is changed */
	json_t *o = (json_t *)(uintptr_t)args;

	for (void *it = json_object_iter(o); it != NULL; it = json_object_iter_next(o, it)) {
		const char *const *n = names;

		while (*n != NULL && strcmp(*n, json_object_iter_key(it)) != 0)
			n++;
		if (*n == NULL) {
			cp_admin_fail(req, "invalid", "unknown member %s", cfg_q(json_object_iter_key(it)));
			return -EINVAL;
		}
	}
	return 0;
}

/* --- requests --- */

/* Deepest nesting of arrays and objects, without parsing: what is too deep is never built. */
static unsigned depth_of(const char *data, size_t len)
{
	unsigned depth = 0, deepest = 0;
	bool string = false;

	for (size_t i = 0; i < len; i++) {
		char c = data[i];

		if (string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				string = false;
		} else if (c == '"') {
			string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > deepest)
				deepest = depth;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return deepest;
}

static void unreadable(struct cp_admin_req *req, const char *code, const char *what)
{
	cfg_log_limited(CFG_LOG_WARN, "admin-bad-request", "from=%s reason=%s", cfg_q(req->who), cfg_q(what));
	cp_admin_fail(req, code, "%s", what);
}

void admin_dispatch(struct cp_admin *admin, uid_t uid, const char *data, size_t len, admin_answer_fn fn, void *ctx)
{
	struct cp_admin_req *req = calloc(1, sizeof(*req));
	json_t *args, *none = NULL;
	const struct command *c;
	const char *cmd = NULL;
	json_error_t err;

	if (req == NULL) {
		fn(ctx, no_memory, sizeof(no_memory) - 1, NULL, NULL);
		return;
	}
	req->fn = fn;
	req->ctx = ctx;
	snprintf(req->who, sizeof(req->who), "uid %u", (unsigned)uid);
	if (len > CP_ADMIN_REQUEST_MAX) {
		unreadable(req, "too-large", "the request is too large");
		return;
	}
	if (depth_of(data, len) > CP_ADMIN_DEPTH_MAX) {
		unreadable(req, "invalid", "the request is nested too deeply");
		return;
	}
	req->root = json_loadb(data, len, JSON_REJECT_DUPLICATES, &err);
	if (req->root == NULL) {
		char text[JSON_ERROR_TEXT_LENGTH + 40];

		/* jansson quotes what it met: printable, or not quoted at all */
		for (char *p = err.text; *p != '\0'; p++)
			if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
				*p = '?';
		snprintf(text, sizeof(text), "not JSON at byte %d: %s", err.position, err.text);
		unreadable(req, "invalid", text);
		return;
	}
	if (json_unpack(req->root, "{s:s}", "cmd", &cmd) < 0) {
		unreadable(req, "invalid", "the request is no object with a member cmd");
		return;
	}
	for (c = admin->commands; c != NULL && strcmp(c->cmd, cmd) != 0; c = c->next)
		;
	if (c == NULL) {
		cp_admin_fail(req, "unknown-command", "no command %s", cfg_q(cmd));
		return;
	}
	if (len > CP_ADMIN_SMALL_MAX && strcmp(cmd, "import") != 0) {
		unreadable(req, "too-large", "only import may be larger than 1 MiB");
		return;
	}
	args = json_object_get(req->root, "args");
	if (args == NULL) {
		none = json_object();
		json_object_set_new(req->root, "args", none);
		args = none;
	}
	if (!json_is_object(args)) {
		cp_admin_fail(req, "invalid", "args is no object");
		return;
	}
	c->fn(c->ctx, req, args);
}

struct input { /* of one request without a socket */
	void (*fn)(void *ctx, const char *line, size_t len);
	void *ctx;
};

static void input_answer(void *ctx, const char *line, size_t len, admin_free_fn free_line, void *free_ctx)
{
	struct input *in = ctx;

	in->fn(in->ctx, line, len);
	if (free_line != NULL)
		free_line(line, len, free_ctx);
	free(in);
}

void cp_admin_input(struct cp_admin *admin, const char *data, size_t len,
		    void (*fn)(void *ctx, const char *line, size_t len), void *ctx)
{
	struct input *in = malloc(sizeof(*in));

	if (in == NULL) {
		fn(ctx, no_memory, sizeof(no_memory) - 1);
		return;
	}
	*in = (struct input){fn, ctx};
	admin_dispatch(admin, 0, data, len, input_answer, in);
}
