/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctluser.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "alarm.h"
#include "clock.h"
#include "log.h"
#include "offload.h"
#include "store/fieldtab.h"
#include "store/store.h"

#define LOG_N   15
#define SALT    16
#define HASH    32
#define MEM_MAX (64u << 20)

static const struct cp_field fields[] = {
	F(1, CP_F_STR, cp_user_rec, name),  F(2, CP_F_UINT, cp_user_rec, role),	 F(3, CP_F_UINT, cp_user_rec, log_n),
	F(4, CP_F_BUF, cp_user_rec, salt),  F(5, CP_F_BUF, cp_user_rec, hash),	 F(6, CP_F_BUF, cp_user_rec, cert),
	F(7, CP_F_UINT, cp_user_rec, changed_us), {0, CP_F_END, 0, 0, NULL},
};

struct tries { /* of a name, or of a source */
	char what[CP_TEXT_MAX];
	char good[CP_TEXT_MAX]; /* of a source: who logged in there last */
	unsigned wrong;
	int64_t until_s, seen_s;
};

struct cp_users {
	struct cp_store *store;
	struct cp_offload *offload;
	struct cp_alarms *alarms;
	struct tries name[CP_USER_MAX], source[CP_USER_SOURCES];
	int64_t (*now_s)(void *ctx);
	void *now_ctx;
	unsigned checking;
};

int cp_user_rec_build(const struct cp_user_rec *rec, struct cp_buf *ret)
{
	return cp_fields_build(CP_KIND_USER, fields, rec, &rec->unknown, ret);
}

int cp_user_rec_parse(const uint8_t *data, size_t len, struct cp_user_rec *ret)
{
	int rc = cp_fields_parse(CP_KIND_USER, fields, data, len, ret, sizeof(*ret), &ret->unknown);

	if (rc == 0 && (ret->role < CP_USER_READER || ret->role > CP_USER_ADMIN || ret->name[0] == '\0' ||
			(ret->hash.len != 0 && (ret->hash.len != HASH || ret->salt.len != SALT || ret->log_n < 10 || ret->log_n > 15)) ||
			(ret->cert.len != 0 && ret->cert.len != 32))) {
		cp_user_rec_free(ret);
		return -EBADMSG;
	}
	return rc;
}

void cp_user_rec_free(struct cp_user_rec *rec)
{
	cp_fields_free(fields, rec, sizeof(*rec), &rec->unknown);
}

static int64_t now_s(const struct cp_users *u)
{
	return u->now_s != NULL ? u->now_s(u->now_ctx) : cp_mono_s();
}

void cp_users_clock(struct cp_users *u, int64_t (*fn)(void *ctx), void *ctx)
{
	u->now_s = fn;
	u->now_ctx = ctx;
}

static int find(const struct cp_users *u, const char *name, struct cp_user_rec *ret)
{
	const uint8_t *v;
	size_t len;

	if (name[0] == '\0' || strlen(name) >= CP_TEXT_MAX ||
	    cp_store_get(u->store, CP_CF_USER, name, strlen(name), &v, &len) < 0)
		return -ENOENT;
	return cp_user_rec_parse(v, len, ret);
}

int cp_users_role(struct cp_users *u, const char *name, enum cp_user_role *ret_role)
{
	struct cp_user_rec r;

	if (find(u, name, &r) < 0)
		return -ENOENT;
	*ret_role = (enum cp_user_role)r.role;
	cp_user_rec_free(&r);
	return 0;
}

int64_t cp_users_made_us(struct cp_users *u, const char *name)
{
	struct cp_user_rec r;
	int64_t us;

	if (find(u, name, &r) < 0)
		return -1;
	us = r.changed_us;
	cp_user_rec_free(&r);
	return us;
}

/* --- tries --- */

/* The entry of 'what': an old one, or that of which nothing was heard longest. */
static struct tries *tries_of(struct cp_users *u, struct tries *t, unsigned n, const char *what)
{
	struct tries *oldest = &t[0];

	for (unsigned i = 0; i < n; i++) {
		if (strcmp(t[i].what, what) == 0)
			return &t[i];
		if (t[i].seen_s < oldest->seen_s)
			oldest = &t[i];
	}
	memset(oldest, 0, sizeof(*oldest));
	snprintf(oldest->what, sizeof(oldest->what), "%s", what);
	oldest->seen_s = now_s(u);
	return oldest;
}

/* Only names that there are have an entry: strangers cannot push a locked one out by inventing others. */
static struct tries *name_tries(struct cp_users *u, const char *name)
{
	struct cp_user_rec r;

	if (find(u, name, &r) < 0)
		return NULL;
	cp_user_rec_free(&r);
	return tries_of(u, u->name, CP_USER_MAX, name);
}

static void failed(struct cp_users *u, const char *name, const char *source)
{
	struct tries *n = name_tries(u, name), *s = tries_of(u, u->source, CP_USER_SOURCES, source);
	int64_t now = now_s(u);

	s->wrong++;
	s->seen_s = now;
	s->until_s = now + (s->wrong < 4 ? 0 : s->wrong < 12 ? 1 << (s->wrong - 4) : CP_USER_LOCK_S);
	cfg_log_limited(CFG_LOG_WARN, "login-failed", "user=%s from=%s", cfg_q(name), cfg_q(source));
	if (n == NULL)
		return;
	n->seen_s = now;
	if (++n->wrong >= CP_USER_TRIES) {
		n->wrong = 0;
		n->until_s = now + CP_USER_LOCK_S;
		cp_alarm_raise(u->alarms, "user-locked", CP_ALARM_MAJOR, name, "%d wrong passwords in a row, the last from %s: locked for %d s",
			       CP_USER_TRIES, source, CP_USER_LOCK_S);
	}
}

/* --- passwords --- */

static int derive(const char *password, const uint8_t *salt, unsigned log_n, uint8_t out[HASH])
{
	return EVP_PBE_scrypt(password, strlen(password), salt, SALT, UINT64_C(1) << log_n, 8, 1, MEM_MAX, out, HASH) == 1 ? 0 : -ENOMEM;
}

struct check {
	struct cp_users *u;
	cp_user_fn fn;
	void *ctx;
	char name[CP_TEXT_MAX], source[CP_TEXT_MAX];
	char password[CP_USER_PASS_MAX + 1];
	uint8_t salt[SALT], want[HASH], got[HASH];
	uint8_t log_n;
	int64_t made_us; /* of the record that is compared with */
	bool known;
	enum cp_user_role role;
	int rc;
};

static void check_work(void *arg)
{
	struct check *c = arg;

	c->rc = derive(c->password, c->salt, c->log_n, c->got);
}

static void check_end(struct check *c, int rc, const char *why)
{
	c->fn(c->ctx, rc, c->name, c->role, why);
	OPENSSL_cleanse(c, sizeof(*c));
	free(c);
}

static void check_done(void *arg)
{
	struct check *c = arg;
	struct cp_users *u = c->u;
	bool equal = CRYPTO_memcmp(c->got, c->want, HASH) == 0;
	enum cp_user_role role;

	u->checking--;
	if (c->rc < 0) {
		check_end(c, -EAGAIN, "the login could not be checked: try again");
	} else if (!c->known || !equal || cp_users_role(u, c->name, &role) < 0 || cp_users_made_us(u, c->name) != c->made_us) {
		failed(u, c->name, c->source);
		check_end(c, -EACCES, "User could not be authenticated");
	} else {
		struct tries *n = name_tries(u, c->name);

		if (n != NULL)
			n->wrong = 0;
		n = tries_of(u, u->source, CP_USER_SOURCES, c->source);
		n->wrong = 0;
		n->seen_s = now_s(u);
		memcpy(n->good, c->name, sizeof(n->good));
		cp_alarm_clear(u->alarms, "user-locked", c->name);
		c->role = role;
		check_end(c, 0, NULL);
	}
}

void cp_users_login(struct cp_users *u, const char *name, const char *password, const char *source, cp_user_fn fn, void *ctx)
{
	struct check *c = calloc(1, sizeof(*c));
	struct cp_user_rec r = {0};
	struct tries *n, *s;
	int rc;

	if (c == NULL) {
		fn(ctx, -EAGAIN, name, 0, "out of memory");
		return;
	}
	c->u = u;
	c->fn = fn;
	c->ctx = ctx;
	snprintf(c->name, sizeof(c->name), "%s", name);
	snprintf(c->source, sizeof(c->source), "%s", source);
	snprintf(c->password, sizeof(c->password), "%s", password);
	if (name[0] == '\0' || strlen(name) >= CP_TEXT_MAX) {
		check_end(c, -EINVAL, "Invalid User Name");
		return;
	}
	if (password[0] == '\0' || strlen(password) > CP_USER_PASS_MAX) {
		check_end(c, -EINVAL, "Invalid Password");
		return;
	}
	/* A stranger can lock every name he knows, again and again: not for its owner where that one logged in before. Who is
	 * there too and is not he meets the source's own limit. */
	n = name_tries(u, name);
	s = tries_of(u, u->source, CP_USER_SOURCES, source);
	if ((n != NULL && n->until_s > now_s(u) && strcmp(s->good, name) != 0) || s->until_s > now_s(u)) {
		cfg_log_limited(CFG_LOG_WARN, "login-locked", "user=%s from=%s", cfg_q(name), cfg_q(source));
		check_end(c, -EAGAIN, "too many wrong passwords: wait");
		return;
	}
	c->log_n = LOG_N;
	if (find(u, name, &r) == 0 && r.hash.len == HASH) {
		memcpy(c->salt, r.salt.data, SALT);
		memcpy(c->want, r.hash.data, HASH);
		c->log_n = r.log_n;
		c->made_us = r.changed_us;
		c->known = true;
	}
	cp_user_rec_free(&r);
	if (u->checking >= 4) { /* each takes memory and a core: strangers do not get them all */
		check_end(c, -EAGAIN, "too many logins at once: try again");
		return;
	}
	rc = cp_offload_run(u->offload, check_work, check_done, c);
	if (rc < 0)
		check_end(c, -EAGAIN, "too much at once: try again");
	else
		u->checking++;
}

struct by_cert {
	const uint8_t *sha256;
	char *name;
	enum cp_user_role role;
};

static bool match_cert(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t val_len)
{
	struct by_cert *b = ctx;
	struct cp_user_rec r;

	(void)key;
	(void)key_len;
	if (cp_user_rec_parse(val, val_len, &r) < 0)
		return true;
	if (r.cert.len == 32 && CRYPTO_memcmp(r.cert.data, b->sha256, 32) == 0) {
		memcpy(b->name, r.name, CP_TEXT_MAX);
		b->role = (enum cp_user_role)r.role;
	}
	cp_user_rec_free(&r);
	return b->role == 0;
}

int cp_users_cert(struct cp_users *u, X509 *cert, char name[CP_TEXT_MAX], enum cp_user_role *ret_role)
{
	uint8_t md[EVP_MAX_MD_SIZE];
	struct by_cert b = {md, name, 0};
	unsigned n;

	if (X509_digest(cert, EVP_sha256(), md, &n) != 1 || X509_cmp_current_time(X509_get0_notBefore(cert)) >= 0 ||
	    X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
		return -EACCES;
	cp_store_each(u->store, CP_CF_USER, match_cert, &b);
	if (b.role == 0)
		return -EACCES;
	*ret_role = b.role;
	return 0;
}

struct cp_users *cp_users_create(struct cp_store *store, struct cp_offload *offload, struct cp_alarms *alarms)
{
	struct cp_users *u = calloc(1, sizeof(*u));

	if (u != NULL) {
		u->store = store;
		u->offload = offload;
		u->alarms = alarms;
	}
	return u;
}

void cp_users_destroy(struct cp_users *u)
{
	free(u);
}

/* --- commands --- */

struct add {
	struct cp_users *u;
	struct cp_admin_req *req;
	struct cp_user_rec rec;
	char password[CP_USER_PASS_MAX + 1];
	char who[CP_TEXT_MAX];
	bool del;
	int rc;
};

static void add_free(struct add *a)
{
	cp_user_rec_free(&a->rec);
	OPENSSL_cleanse(a, sizeof(*a));
	free(a);
}

static void add_stored(void *ctx, int rc)
{
	struct add *a = ctx;

	if (rc < 0)
		cp_admin_fail_rc(a->req, rc, "the store cannot write: nothing was changed");
	else
		cp_admin_reply(a->req, json_pack("{s:s}", "name", a->rec.name));
	add_free(a);
}

static void add_submit(void *arg)
{
	struct add *a = arg;
	struct cp_batch *b = cp_batch_create();
	struct cp_buf v = {0};
	int rc = a->rc;

	if (rc == 0 && b == NULL)
		rc = -ENOMEM;
	if (rc == 0 && !a->del)
		rc = cp_user_rec_build(&a->rec, &v);
	if (rc == 0)
		rc = a->del ? cp_batch_del(b, CP_CF_USER, a->rec.name, strlen(a->rec.name)) :
			      cp_batch_put(b, CP_CF_USER, a->rec.name, strlen(a->rec.name), v.data, v.len);
	if (rc == 0)
		rc = cp_batch_audit_json(b, json_pack("{s:s,s:s,s:s}", "what", a->del ? "user-del" : "user-add", "who", a->who, "user",
						      a->rec.name));
	if (v.data != NULL)
		OPENSSL_cleanse(v.data, v.len);
	free(v.data);
	if (rc == 0)
		rc = cp_store_submit(a->u->store, b, add_stored, a);
	else
		cp_batch_destroy(b);
	if (rc < 0) {
		cp_admin_fail_rc(a->req, rc, NULL);
		add_free(a);
	}
}

static void add_work(void *arg)
{
	struct add *a = arg;

	a->rc = derive(a->password, a->rec.salt.data, a->rec.log_n, a->rec.hash.data);
}

static bool name_ok(const char *s)
{
	return s[0] != '\0' && strlen(s) < CP_TEXT_MAX &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@") == strlen(s);
}

/* {name, role: admin|reader, password, cert: hex SHA-256} */
static void user_add(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"name", "role", "password", "cert", NULL};
	const char *name = NULL, *role = "admin", *password = NULL, *cert = NULL;
	struct cp_users *u = ctx;
	struct add *a;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "name", true, &name) < 0 ||
	    cp_admin_arg_str(req, args, "role", false, &role) < 0 || cp_admin_arg_str(req, args, "password", false, &password) < 0 ||
	    cp_admin_arg_str(req, args, "cert", false, &cert) < 0)
		return;
	if (!name_ok(name) || (strcmp(role, "admin") != 0 && strcmp(role, "reader") != 0)) {
		cp_admin_fail(req, "invalid", !name_ok(name) ? "Invalid User Name" : "a role is admin or reader");
		return;
	}
	if ((password == NULL) == (cert == NULL)) {
		cp_admin_fail(req, "invalid", "a user has a password or a client certificate's SHA-256");
		return;
	}
	if (password != NULL && (strlen(password) < CP_USER_PASS_MIN || strlen(password) > CP_USER_PASS_MAX)) {
		cp_admin_fail(req, "invalid", "Invalid Password: it has %d to %d characters", CP_USER_PASS_MIN, CP_USER_PASS_MAX);
		return;
	}
	if (cp_store_count(u->store, CP_CF_USER) >= CP_USER_MAX) {
		cp_admin_fail(req, "full", "there are %d users already", CP_USER_MAX);
		return;
	}
	a = calloc(1, sizeof(*a));
	if (a == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	a->u = u;
	a->req = req;
	snprintf(a->who, sizeof(a->who), "%s", cp_admin_who(req));
	snprintf(a->rec.name, sizeof(a->rec.name), "%s", name);
	a->rec.role = strcmp(role, "admin") == 0 ? CP_USER_ADMIN : CP_USER_READER;
	a->rec.changed_us = cp_wall_us();
	if (cert != NULL) {
		a->rec.cert = (struct cp_buf){malloc(32), 32};
		if (a->rec.cert.data == NULL || cfg_hex_parse(cert, a->rec.cert.data, 32) < 0) {
			cp_admin_fail(req, "invalid", "cert is the SHA-256 of a certificate in hex");
			add_free(a);
			return;
		}
		add_submit(a);
		return;
	}
	a->rec.log_n = LOG_N;
	a->rec.salt = (struct cp_buf){malloc(SALT), SALT};
	a->rec.hash = (struct cp_buf){calloc(1, HASH), HASH};
	snprintf(a->password, sizeof(a->password), "%s", password);
	if (a->rec.salt.data == NULL || a->rec.hash.data == NULL || RAND_bytes(a->rec.salt.data, SALT) != 1 ||
	    cp_offload_run(u->offload, add_work, add_submit, a) < 0) {
		cp_admin_fail_rc(req, -EAGAIN, NULL);
		add_free(a);
	}
}

static void user_del(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"name", NULL};
	struct cp_users *u = ctx;
	const char *name = NULL;
	struct cp_user_rec r;
	struct add *a;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "name", true, &name) < 0)
		return;
	if (find(u, name, &r) == -ENOENT) { /* one that cannot be read can be deleted */
		cp_admin_fail(req, "not-found", "no user %s", cfg_q(name));
		return;
	}
	cp_user_rec_free(&r);
	a = calloc(1, sizeof(*a));
	if (a == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	a->u = u;
	a->req = req;
	a->del = true;
	snprintf(a->who, sizeof(a->who), "%s", cp_admin_who(req));
	snprintf(a->rec.name, sizeof(a->rec.name), "%s", name);
	cp_alarm_clear(u->alarms, "user-locked", name);
	add_submit(a);
}

struct show {
	struct cp_users *u;
	json_t *list;
};

static bool show_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t val_len)
{
	struct show *s = ctx;
	struct cp_user_rec r;

	(void)key;
	(void)key_len;
	if (cp_user_rec_parse(val, val_len, &r) == 0) {
		bool locked = false;

		for (unsigned i = 0; i < CP_USER_MAX; i++)
			if (strcmp(s->u->name[i].what, r.name) == 0)
				locked = s->u->name[i].until_s > now_s(s->u);
		json_array_append_new(s->list, json_pack("{s:s,s:s,s:b,s:b,s:b}", "name", r.name, "role",
							 r.role == CP_USER_ADMIN ? "admin" : "reader", "password",
							 (int)(r.hash.len > 0), "certificate", (int)(r.cert.len > 0), "locked",
							 (int)locked));
		cp_user_rec_free(&r);
	}
	return true;
}

static void show_users(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {NULL};
	struct show s = {ctx, NULL};

	if (cp_admin_arg_known(req, args, known) < 0)
		return;
	s.list = json_array();
	cp_store_each(s.u->store, CP_CF_USER, show_one, &s);
	cp_admin_reply(req, s.list);
}

int cp_users_commands(struct cp_users *u, struct cp_admin *admin)
{
	int rc = cp_admin_register(admin, "user.add", user_add, u);

	if (rc == 0)
		rc = cp_admin_register(admin, "user.del", user_del, u);
	if (rc == 0)
		rc = cp_admin_register(admin, "show.users", show_users, u);
	return rc;
}
