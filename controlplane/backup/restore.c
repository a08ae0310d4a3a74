/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/x509.h>

#include "backup/backup.h"
#include "backup/due.h"
#include "backup/families.h"
#include "bundle.h"
#include "config.h"
#include "file.h"
#include "trust/ledgeroff.h"
#include "kek.h"
#include "x509.h"

#define BATCH_BYTES (1024 * 1024)
#define MARK        "being-restored" /* in a state that is put together; taken away when it is in its place and the old one is kept */

struct ctx {
	char *err;
	size_t err_size;
	const uint8_t *file;
	size_t file_len;
	struct pki_bundle bundle;
	uint8_t *keys; /* opened */
	size_t keys_len;
	uint8_t key[32];
	uint8_t *chunk;
	json_t *show;
	char *due; /* the record of a restored machine that says so; NULL: of an older version */
};

static int __attribute__((format(printf, 3, 4))) fail(struct ctx *c, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->err, c->err_size, fmt, ap);
	va_end(ap);
	return rc;
}

int cp_backup_passphrase(const char *file, char **ret, char *err, size_t err_size)
{
	char buf[PKI_BUNDLE_PASS_MAX + 2] = "";
	FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	int rc = 0;

	if (f == NULL) {
		snprintf(err, err_size, "%s: %s", file, strerror(errno));
		return -errno;
	}
	setvbuf(f, NULL, _IONBF, 0); /* no copy of it in a buffer */
	if (fgets(buf, sizeof(buf), f) == NULL || buf[strcspn(buf, "\r\n")] == '\0')
		rc = strlen(buf) == sizeof(buf) - 1 ? -EMSGSIZE : 0;
	buf[strcspn(buf, "\r\n")] = '\0';
	if (rc == 0 && strlen(buf) < PKI_BUNDLE_PASS_MIN)
		rc = -EINVAL;
	if (rc < 0)
		snprintf(err, err_size, "a passphrase has %d to %d characters", PKI_BUNDLE_PASS_MIN, PKI_BUNDLE_PASS_MAX);
	else if ((*ret = OPENSSL_strdup(buf)) == NULL)
		rc = -ENOMEM;
	OPENSSL_cleanse(buf, sizeof(buf));
	if (f != stdin)
		fclose(f);
	return rc;
}

static const struct cp_backup_family *family(unsigned id)
{
	for (size_t i = 0; i < CP_BACKUP_FAMILIES; i++)
		if (cp_backup_families[i].id == id)
			return &cp_backup_families[i];
	return NULL;
}

static int find_entry(const struct ctx *c, const char *name, struct pki_bundle_entry *ret)
{
	size_t at = 0;

	while (pki_bundle_next_entry(c->keys, c->keys_len, &at, ret) == 1)
		if (strcmp(ret->name, name) == 0)
			return 0;
	return -ENOENT;
}

/* Names of entries become names of files: nothing but ours. */
static bool entry_is_file(const char *name)
{
	size_t n = strlen(name);

	return strcmp(name, "made") == 0 ||
	       (n > 8 && strcmp(name + n - 8, ".key.pem") == 0 && strchr(name, '/') == NULL && name[0] != '.');
}

/* Certificates stand in the identities' files in clear. */
static int show_identities(struct ctx *c)
{
	json_t *ids = json_object();
	struct pki_bundle_entry e;
	size_t at = 0;
	int rc;

	while ((rc = pki_bundle_next_entry(c->keys, c->keys_len, &at, &e)) == 1) {
		STACK_OF(X509) *certs = NULL;
		char hex[65] = "";
		uint8_t fp[32];

		if (!entry_is_file(e.name) || strcmp(e.name, "made") == 0)
			continue;
		if (pki_pem_certs(e.p, e.len, &certs) == 0 && pki_fingerprint(sk_X509_value(certs, 0), fp) == 0)
			for (int i = 0; i < 32; i++)
				snprintf(hex + 2 * i, 3, "%02x", fp[i]);
		e.name[strlen(e.name) - 8] = '\0';
		json_object_set_new(ids, e.name, json_string(hex));
		sk_X509_pop_free(certs, X509_free);
	}
	json_object_set_new(c->show, "identities", ids);
	return rc < 0 ? fail(c, rc, "the bundle's keys make no sense") : 0;
}

typedef int (*record_fn)(void *ctx, const struct cp_backup_family *f, const struct pki_bundle_record *r);

/* Every chunk and every record of it; 'fn' may be NULL: all is checked. */
static int each_record(struct ctx *c, record_fn fn, void *arg)
{
	struct pki_bundle b = c->bundle;
	uint64_t count[CP_BACKUP_FAMILIES] = {0};
	bool meta = false;
	json_t *recs;
	size_t len;
	int rc;

	while ((rc = pki_bundle_next_chunk(&b, c->key, c->chunk, &len)) == 1) {
		struct pki_bundle_record r;
		size_t at = 0;
		int more;

		while ((more = pki_bundle_next_record(c->chunk, len, &at, &r)) == 1) {
			const struct cp_backup_family *f = family(r.family);

			if (r.family == PKI_BUNDLE_META) {
				json_t *o = json_loadb((const char *)r.val, r.val_len, 0, NULL);

				if (o == NULL)
					return fail(c, -EBADMSG, "the bundle's own record makes no sense");
				meta = true;
				if (json_integer_value(json_object_get(o, "schema")) != CP_STORE_SCHEMA) {
					rc = fail(c, -ENOTSUP, "its records are of schema %lld, these programs' are of %d: restore with the "
						  "version that made it, then upgrade",
						  (long long)json_integer_value(json_object_get(o, "schema")), CP_STORE_SCHEMA);
					json_decref(o);
					return rc;
				}
				free(c->due);
				c->due = json_object_get(o, "prints") == NULL ? NULL :
					 cp_due_record(json_string_value(json_object_get(o, "time")), json_object_get(o, "prints"));
				json_object_del(o, "prints"); /* says nothing to people */
				json_object_set_new(c->show, "meta", o);
				continue;
			}
			if (f == NULL || !meta)
				return fail(c, -ENOTSUP, "a family of records that is not known: %u", r.family);
			count[f - cp_backup_families]++;
			rc = fn != NULL ? fn(arg, f, &r) : 0;
			if (rc < 0)
				return fail(c, rc, "a record of family %s is refused: %s", f->name, strerror(-rc));
		}
		if (more < 0)
			return fail(c, more, "the bundle's records make no sense");
	}
	if (rc == -EBADMSG)
		return fail(c, rc, "the bundle is cut short, or not one");
	if (rc < 0)
		return fail(c, rc, "the bundle was changed at or behind byte %zu", (size_t)(b.chunk - c->file));
	if (!meta)
		return fail(c, -EBADMSG, "the bundle has no record of its own");
	recs = json_object();
	for (size_t i = 0; i < CP_BACKUP_FAMILIES; i++)
		json_object_set_new(recs, cp_backup_families[i].name, json_integer((json_int_t)count[i]));
	json_object_set_new(c->show, "records", recs);
	return 0;
}

static int open_bundle(struct ctx *c, const char *file, const char *pass)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), rc;
	struct pki_bundle_entry e;
	struct stat st;
	void *p;

	if (fd < 0)
		return fail(c, -errno, "%s: %s", file, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
		close(fd);
		return fail(c, -EBADMSG, "%s: not a bundle", file);
	}
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return fail(c, -errno, "%s: %s", file, strerror(errno));
	c->file = p;
	c->file_len = (size_t)st.st_size;
	c->chunk = malloc(PKI_BUNDLE_CHUNK_MAX);
	c->show = json_object();
	if (c->chunk == NULL || c->show == NULL)
		return fail(c, -ENOMEM, "out of memory");
	if (pki_bundle_parse(c->file, c->file_len, &c->bundle) < 0)
		return fail(c, -EBADMSG, "%s: not a bundle, or cut short", file);
	rc = pki_bundle_open_keys(pass, c->bundle.keys, c->bundle.keys_len, &c->keys, &c->keys_len);
	if (rc == -EACCES)
		return fail(c, rc, "%s: wrong passphrase, or the bundle was changed", file);
	if (rc < 0)
		return fail(c, rc, "%s: %s", file, rc == -EOPNOTSUPP ? "made by a newer version" : strerror(-rc));
	if (find_entry(c, "records", &e) < 0 || e.len != 32)
		return fail(c, -EBADMSG, "%s: the key of its records is not there", file);
	memcpy(c->key, e.p, 32);
	rc = show_identities(c);
	return rc == 0 ? each_record(c, NULL, NULL) : rc;
}

static void close_bundle(struct ctx *c)
{
	if (c->file != NULL)
		munmap((void *)(uintptr_t)c->file, c->file_len);
	if (c->keys != NULL)
		OPENSSL_clear_free(c->keys, c->keys_len + 1);
	if (c->chunk != NULL)
		OPENSSL_cleanse(c->chunk, PKI_BUNDLE_CHUNK_MAX);
	free(c->chunk);
	OPENSSL_cleanse(c->key, sizeof(c->key));
	json_decref(c->show);
	free(c->due);
}

int cp_backup_show(const char *file, const char *pass, json_t **ret, char *err, size_t err_size)
{
	struct ctx c = {.err = err, .err_size = err_size};
	int rc = open_bundle(&c, file, pass);

	if (rc == 0)
		*ret = json_incref(c.show);
	close_bundle(&c);
	return rc;
}

/* --- restoring --- */

struct fill {
	struct cp_store *store;
	struct cp_batch *batch;
	size_t bytes;
};

static int flush_batch(struct fill *f)
{
	struct cp_batch *b = f->batch;

	f->batch = NULL;
	f->bytes = 0;
	return b != NULL ? cp_store_commit(f->store, b) : 0;
}

static int fill_record(void *arg, const struct cp_backup_family *fam, const struct pki_bundle_record *r)
{
	struct fill *f = arg;
	int rc;

	if (f->batch == NULL && (f->batch = cp_batch_create()) == NULL)
		return -ENOMEM;
	rc = cp_batch_put(f->batch, fam->cf, r->key, r->key_len, r->val, r->val_len);
	f->bytes += r->key_len + r->val_len;
	return rc == 0 && f->bytes >= BATCH_BYTES ? flush_batch(f) : rc;
}

static int fill_store(struct ctx *c, const char *stage)
{
	char path[PATH_MAX + 16], why[256];
	struct cp_store_opts opts = {.path = path};
	struct fill f = {0};
	int rc;

	snprintf(path, sizeof(path), "%s/store", stage);
	rc = cp_store_open(&opts, &f.store, why, sizeof(why));
	if (rc < 0)
		return fail(c, rc, "%s: %s", path, why);
	rc = each_record(c, fill_record, &f);
	if (rc == 0 && c->due != NULL) { /* what this machine holds is in a bundle: this one */
		if (f.batch == NULL)
			f.batch = cp_batch_create();
		rc = f.batch == NULL ? -ENOMEM : cp_batch_put(f.batch, CP_CF_META, CP_BACKUP_KEY, strlen(CP_BACKUP_KEY), c->due, strlen(c->due));
	}
	if (rc == 0 && (rc = flush_batch(&f)) < 0)
		fail(c, rc, "%s: %s", path, strerror(-rc));
	cp_batch_destroy(f.batch);
	cp_store_close(f.store);
	return rc;
}

static int fill_keys(struct ctx *c, const char *stage, bool with_kek)
{
	struct pki_bundle_entry e;
	char path[PATH_MAX + 80];
	size_t at = 0;
	int rc;

	snprintf(path, sizeof(path), "%s/signer", stage);
	rc = pki_dir_make(path);
	if (rc < 0)
		return fail(c, rc, "%s: %s", path, strerror(-rc));
	while ((rc = pki_bundle_next_entry(c->keys, c->keys_len, &at, &e)) == 1) {
		bool kek = strcmp(e.name, "kek") == 0;

		if (!entry_is_file(e.name) && !(kek && with_kek))
			continue;
		snprintf(path, sizeof(path), "%s/signer/%s", stage, e.name);
		rc = pki_file_write(path, e.p, e.len, strcmp(e.name, "made") == 0 ? 0600 : 0400, true);
		if (rc < 0)
			return fail(c, rc, "%s: %s", path, strerror(-rc));
	}
	return rc < 0 ? fail(c, rc, "the bundle's keys make no sense") : 0;
}

/* Everything under 'path', and itself. */
static int remove_tree(int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;
	struct dirent *e;
	DIR *d;

	if (fd < 0)
		return errno == ENOENT || unlinkat(at, path, 0) == 0 ? 0 : -errno;
	d = fdopendir(fd);
	if (d == NULL) {
		close(fd);
		return -ENOMEM;
	}
	while (rc == 0 && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = remove_tree(dirfd(d), e->d_name);
	closedir(d);
	return rc == 0 && unlinkat(at, path, AT_REMOVEDIR) < 0 ? -errno : rc;
}

static int own_tree(int at, const char *path, uid_t uid, gid_t gid)
{
	int fd = openat(at, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), rc = 0;
	struct dirent *e;
	struct stat st;
	DIR *d;

	if (fd < 0 || fstat(fd, &st) < 0 || fchown(fd, uid, gid) < 0) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		return rc;
	}
	if (!S_ISDIR(st.st_mode)) {
		close(fd);
		return 0;
	}
	d = fdopendir(fd);
	if (d == NULL) {
		close(fd);
		return -ENOMEM;
	}
	while (rc == 0 && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = own_tree(dirfd(d), e->d_name, uid, gid);
	closedir(d);
	return rc;
}

static int sync_at(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (fd < 0 || fsync(fd) < 0)
		rc = -errno;
	if (fd >= 0)
		close(fd);
	return rc;
}

/* A daemon holds a lock on what is its own: the signer by flock, the store's by fcntl. */
static int daemons(struct ctx *c, const char *state)
{
	struct flock lk = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[PATH_MAX];
	int fd, rc = 0;

	snprintf(path, sizeof(path), "%s/signer/lock", state);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
		rc = fail(c, -EBUSY, "%s: the signer runs: stop the daemons first", path);
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		return rc;
	snprintf(path, sizeof(path), "%s/store/LOCK", state);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0 && fcntl(fd, F_GETLK, &lk) == 0 && lk.l_type != F_UNLCK)
		rc = fail(c, -EBUSY, "%s: the controlplane runs: stop the daemons first", path);
	if (fd >= 0)
		close(fd);
	return rc;
}

static bool exists(const char *dir, const char *name)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return pki_file_exists(path);
}

/*
 * A KEK outside of the state cannot be exchanged by the same rename: it must be the bundle's already, or not be there, and is then
 * put there first (without the state it opens nothing, so a kill behind it leaves "not restored").
 */
static int place_kek(struct ctx *c, const char *kek_file, const char *state, bool *ret_inside)
{
	struct pki_bundle_entry e;
	char inside[PATH_MAX];
	uint8_t have[32];
	int rc;

	snprintf(inside, sizeof(inside), "%s/signer/kek", state);
	if (find_entry(c, "kek", &e) < 0 || e.len != 32)
		return fail(c, -EBADMSG, "the bundle has no key-encryption key");
	*ret_inside = strcmp(kek_file, inside) == 0;
	if (*ret_inside)
		return 0;
	rc = pki_kek_read(kek_file, have);
	if (rc == 0) {
		rc = CRYPTO_memcmp(have, e.p, 32) == 0 ? 0 : -EXDEV;
		OPENSSL_cleanse(have, sizeof(have));
		return rc < 0 ? fail(c, rc, "%s: another key-encryption key is there: move it away first", kek_file) : 0;
	}
	if (pki_kek_is_credential(kek_file))
		return fail(c, -EXDEV, "%s: the bundle's key-encryption key must be given to the units before; restore with signer.kek_file "
			    "unset, and take STATE/signer/kek", kek_file);
	if (rc != -ENOENT)
		return fail(c, rc, "%s: %s", kek_file, strerror(-rc));
	rc = pki_file_write(kek_file, e.p, 32, 0400, true);
	return rc < 0 ? fail(c, rc, "%s: %s", kek_file, strerror(-rc)) : 0;
}

static int mark_stage(const char *stage)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/" MARK, stage);
	return pki_file_write(path, "", 0, 0600, true);
}

/* What the old state had beside keys and records (the operator's files, say) moves over. */
static void move_rest(const char *from, const char *to)
{
	int to_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = to_fd >= 0 ? opendir(from) : NULL;
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || strcmp(e->d_name, "signer") == 0 ||
		    strncmp(e->d_name, "store", 5) == 0 || strcmp(e->d_name, MARK) == 0)
			continue;
		renameat2(dirfd(d), e->d_name, to_fd, e->d_name, RENAME_NOREPLACE);
	}
	if (d != NULL)
		closedir(d);
	if (to_fd >= 0)
		close(to_fd);
}

/* The old state, which lies where the new one was put together: to where it is kept. */
static void keep_old(struct ctx *c, const char *state, const char *stage)
{
	char old[PATH_MAX];

	move_rest(stage, state);
	snprintf(old, sizeof(old), "%s.before-restore", state);
	for (unsigned n = 2; renameat2(AT_FDCWD, stage, AT_FDCWD, old, RENAME_NOREPLACE) < 0 && errno == EEXIST && n < 1000; n++)
		snprintf(old, sizeof(old), "%s.before-restore-%u", state, n);
	json_object_set_new(c->show, "before", json_string(old));
}

/*
 * What an earlier restore left behind. One that did not come to its end is thrown away: it bears the mark. Without it that is the
 * state of before, of a restore that was killed right behind the exchange: it is kept, as its end would have kept it.
 */
static int clear_stage(struct ctx *c, const char *state, const char *stage)
{
	int rc;

	if (rmdir(stage) == 0 || errno == ENOENT)
		return 0;
	if (exists(stage, MARK)) {
		rc = remove_tree(AT_FDCWD, stage);
		return rc < 0 ? fail(c, rc, "%s: %s", stage, strerror(-rc)) : 0;
	}
	keep_old(c, state, stage);
	return access(stage, F_OK) == 0 ? fail(c, -EEXIST, "%s: a state of before lies there: move it away", stage) : 0;
}

static void refused_stage(struct ctx *c, const char *stage)
{
	int rc = remove_tree(AT_FDCWD, stage); /* keys lie in it */

	if (rc < 0)
		json_object_set_new(c->show, "left", json_string(stage));
}

/*
 * The phones of the state that is replaced: how many of them the restored one would strand, and refused unless 'strand' is that
 * number. What they hold goes over with them. A state that cannot be read any more says nothing, and holds nobody up.
 */
static int ask_phones(struct ctx *c, const struct cfg *cfg, const char *state, const char *stage, int64_t strand)
{
	char now_path[PATH_MAX + 16], now_keys[PATH_MAX + 16], next_path[PATH_MAX + 16], next_keys[PATH_MAX + 16], why[256] = "";
	struct cp_ledger_state now = {.keys = now_keys}, next = {.keys = next_keys};
	struct cp_store_opts now_opts = {.path = now_path}, next_opts = {.path = next_path};
	struct cp_ledger_restored r = {0};
	bool old = exists(state, "store");
	int rc, said;

	snprintf(now_path, sizeof(now_path), "%s/store", state);
	snprintf(now_keys, sizeof(now_keys), "%s/signer", state);
	snprintf(next_path, sizeof(next_path), "%s/store", stage);
	snprintf(next_keys, sizeof(next_keys), "%s/signer", stage);
	rc = cp_store_open(&next_opts, &next.store, why, sizeof(why));
	if (rc < 0)
		return fail(c, rc, "%s: %s", next_path, why);
	if (old && cp_store_open(&now_opts, &now.store, why, sizeof(why)) < 0)
		now.store = NULL;
	said = old && now.store == NULL ? -EBADMSG :
					  cp_ledger_restore(now.store != NULL ? &now : NULL, &next,
							    (enum pki_tl_class)cfg->provision.default_class, &r);
	if (said == 0)
		json_object_set_new(c->show, "phones", json_pack("{s:i, s:i, s:i, s:s}", "known", (int)r.phones, "stranded", (int)r.stranded,
								 "stranded_already", (int)r.lost, "because", r.why));
	else
		json_object_set_new(c->show, "phones", json_pack("{s:s}", "because", said == -ENODATA ? "the bundle has no trust lists" :
						      "what the phones hold, or were served, cannot be read from the state that is replaced"));
	if (said == 0 && r.stranded > 0 && strand != (int64_t)r.stranded)
		rc = strand >= 0 ? fail(c, -EPERM, "%s. Not %lld", r.why, (long long)strand) :
				   fail(c, -EPERM, "%s. Give --strand %u to restore all the same", r.why, r.stranded);
	else if (now.store != NULL && (rc = cp_ledger_carry(now.store, next.store)) < 0)
		fail(c, rc, "%s: %s", next_path, strerror(-rc));
	if (now.store != NULL)
		cp_store_close(now.store);
	cp_store_close(next.store);
	return rc;
}

static int put_in_place(struct ctx *c, const char *state, const char *stage, bool there)
{
	char parent[PATH_MAX], mark[PATH_MAX + 32];
	char *slash;
	int rc = 0;

	snprintf(parent, sizeof(parent), "%s", state);
	slash = strrchr(parent, '/');
	slash[slash == parent ? 1 : 0] = '\0';
	snprintf(mark, sizeof(mark), "%s/" MARK, state);
	if (there && unlink(mark) == 0) /* of a restore before that did not end: behind the exchange it would speak of the old state */
		rc = sync_at(state);
	if (rc == 0)
		rc = sync_at(stage);
	if (rc == 0 && renameat2(AT_FDCWD, stage, AT_FDCWD, state, there ? RENAME_EXCHANGE : RENAME_NOREPLACE) < 0)
		rc = -errno;
	if (rc < 0)
		return fail(c, rc, "%s: %s", state, rc == -EBUSY ? "is a mount point: restore into a directory of it" : strerror(-rc));
	rc = sync_at(parent);
	if (rc < 0)
		return fail(c, rc, "%s: %s", parent, strerror(-rc));
	/* From here on it is restored; the rest is tidying. */
	if (there)
		keep_old(c, state, stage);
	unlink(mark);
	sync_at(parent);
	return 0;
}

int cp_restore(const struct cfg *cfg, const char *file, const char *pass, bool force, int64_t strand, json_t **ret, char *err,
	       size_t err_size)
{
	struct ctx c = {.err = err, .err_size = err_size};
	char state[PATH_MAX - 100], stage[PATH_MAX];
	bool inside = true, there;
	struct stat st;
	size_t n;
	int rc;

	err[0] = '\0';
	n = strlen(cfg->paths.state);
	while (n > 1 && cfg->paths.state[n - 1] == '/')
		n--;
	if (n >= sizeof(state) || n < 2) {
		snprintf(err, err_size, "paths.state: cannot be restored into");
		return -EINVAL;
	}
	memcpy(state, cfg->paths.state, n);
	state[n] = '\0';
	snprintf(stage, sizeof(stage), "%s.restore", state);
	rc = open_bundle(&c, file, pass);
	there = stat(state, &st) == 0;
	if (rc == 0)
		rc = daemons(&c, state);
	if (rc == 0 && there && !force && (exists(state, "signer/made") || exists(state, "store")))
		rc = fail(&c, -EEXIST, "%s: there is a state already; with --force it is kept as %s.before-restore", state, state);
	if (rc == 0)
		rc = clear_stage(&c, state, stage);
	if (rc == 0)
		rc = place_kek(&c, cfg->signer.kek_file, state, &inside);
	if (rc == 0 && ((rc = pki_dir_make(stage)) < 0 || (rc = mark_stage(stage)) < 0))
		fail(&c, rc, "%s: %s", stage, strerror(-rc));
	if (rc == 0)
		rc = fill_keys(&c, stage, inside);
	if (rc == 0)
		rc = fill_store(&c, stage);
	if (rc == 0) {
		rc = ask_phones(&c, cfg, state, stage, strand);
		if (rc == -EPERM)
			refused_stage(&c, stage);
	}
	/* what was opened belongs to who runs the daemons, whichever state is theirs in the end */
	if (there && exists(state, "store") && geteuid() == 0 && st.st_uid != 0) {
		char store[PATH_MAX + 16];

		snprintf(store, sizeof(store), "%s/store", state);
		if (own_tree(AT_FDCWD, store, st.st_uid, st.st_gid) < 0 && rc == 0)
			rc = fail(&c, -EPERM, "%s: cannot be given back to its owner", store);
	}
	if (rc == 0 && there && geteuid() == 0 && st.st_uid != 0 && (rc = own_tree(AT_FDCWD, stage, st.st_uid, st.st_gid)) < 0)
		fail(&c, rc, "%s: %s", stage, strerror(-rc));
	if (rc == 0)
		rc = put_in_place(&c, state, stage, there);
	if (rc < 0 && err[0] == '\0')
		fail(&c, rc, "%s", strerror(-rc));
	if (rc == 0)
		*ret = json_incref(c.show);
	close_bundle(&c);
	return rc;
}

int cp_backup_tool(const struct cfg *cfg, bool restore, const char *file, const char *pass_file, bool force, int64_t strand)
{
	char err[512] = "", *pass = NULL, *text;
	json_t *show = NULL;
	int rc = cp_backup_passphrase(pass_file != NULL ? pass_file : "-", &pass, err, sizeof(err));

	if (rc == 0) {
		umask(077);
		rc = restore ? cp_restore(cfg, file, pass, force, strand, &show, err, sizeof(err))
			     : cp_backup_show(file, pass, &show, err, sizeof(err));
		OPENSSL_clear_free(pass, strlen(pass));
	}
	if (rc < 0) {
		fprintf(stderr, "error: %s\n", err);
		return 1;
	}
	text = json_dumps(show, JSON_INDENT(2) | JSON_SORT_KEYS);
	puts(text != NULL ? text : "null");
	free(text);
	json_decref(show);
	return fflush(stdout) == 0 ? 0 : 1;
}
