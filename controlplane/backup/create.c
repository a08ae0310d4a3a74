/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "admin/admin.h"
#include "app.h"
#include "backup/backup.h"
#include "backup/due.h"
#include "backup/families.h"
#include "bundle.h"
#include "config.h"
#include "file.h"
#include "log.h"
#include "offload.h"
#include "signerc/signerc.h"
#include "trust/certs.h"
#include "trust/turn.h"

#define FILL (256 * 1024) /* bytes from which a chunk is closed */

struct job {
	struct cp_app *app;
	struct cp_admin_req *req;
	struct cp_turn_wait turn;
	char *pass;
	char when[40];
	json_t *prints;                /* of what the records and the signer held when it began */
	struct cp_signer_ident *ident; /* as the signer has them behind the bundle's keys */
	unsigned ident_cnt;
	uint8_t *recs; /* all records, one after the other */
	size_t len, room;
	unsigned family;
	uint64_t count;
	bool no_memory;
	char path[4200];
	size_t bytes;
	int rc;
	char err[256];
};

static int running; /* event loop: one at a time, the signer keeps one */

static void put(struct job *j, const struct pki_bundle_record *r)
{
	size_t need = pki_bundle_record_len(r->key_len, r->val_len);

	if (j->len + need > j->room) {
		size_t room = (j->room > 0 ? j->room * 2 : 1 << 20) + need;
		uint8_t *p = realloc(j->recs, room);

		if (p == NULL) {
			j->no_memory = true;
			return;
		}
		j->recs = p;
		j->room = room;
	}
	pki_bundle_put_record(j->recs + j->len, r);
	j->len += need;
}

static bool each(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t val_len)
{
	struct job *j = ctx;
	struct pki_bundle_record r = {(uint8_t)j->family, key, val, key_len, val_len};

	put(j, &r);
	j->count++;
	return !j->no_memory;
}

/* All families from the view, which does not change meanwhile: one moment of all of them. */
static int snapshot(struct job *j)
{
	struct pki_bundle_record r = {.family = PKI_BUNDLE_META, .key = (const uint8_t *)"meta", .key_len = 4};
	const struct cp_signer_ident *ident;
	time_t now = time(NULL);
	unsigned cnt;
	struct tm tm;
	json_t *meta;
	char *text;

	strftime(j->when, sizeof(j->when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	ident = cp_certs_idents(j->app->certs, &cnt);
	j->prints = cp_due_prints(j->app->store, ident, cnt);
	if (j->prints == NULL)
		return -ENOMEM;
	meta = json_pack("{s:s,s:s,s:i,s:O}", "time", j->when, "cluster", j->app->cfg->signer.cluster_name, "schema", CP_STORE_SCHEMA,
			 "prints", j->prints);
	text = meta != NULL ? json_dumps(meta, JSON_COMPACT) : NULL;
	json_decref(meta);
	if (text == NULL)
		return -ENOMEM;
	r.val = (const uint8_t *)text;
	r.val_len = strlen(text);
	put(j, &r);
	free(text);
	for (size_t i = 0; i < CP_BACKUP_FAMILIES && !j->no_memory; i++) {
		j->family = cp_backup_families[i].id;
		cp_store_each(j->app->store, cp_backup_families[i].cf, each, j);
	}
	return j->no_memory ? -ENOMEM : 0;
}

static int put_chunk(FILE *f, const uint8_t key[32], const uint8_t id[32], uint64_t number, bool last, const uint8_t *p,
		     size_t len, uint8_t *out)
{
	int rc = pki_bundle_seal_chunk(key, id, number, last, p, len, out);

	if (rc == 0 && fwrite(out, 1, len + PKI_BUNDLE_OVERHEAD, f) != len + PKI_BUNDLE_OVERHEAD)
		rc = errno != 0 ? -errno : -EIO;
	return rc;
}

static int write_chunks(FILE *f, struct job *j, const uint8_t key[32], const uint8_t id[32])
{
	uint8_t *out = malloc(PKI_BUNDLE_CHUNK_MAX + PKI_BUNDLE_OVERHEAD);
	size_t from = 0, at = 0;
	uint64_t number = 0;
	int rc = out != NULL ? 0 : -ENOMEM;

	while (rc == 0 && from < j->len) {
		struct pki_bundle_record r;

		at = from;
		while (at < j->len && at - from < FILL && pki_bundle_next_record(j->recs, j->len, &at, &r) == 1)
			;
		rc = put_chunk(f, key, id, number++, false, j->recs + from, at - from, out);
		from = at;
	}
	if (rc == 0)
		rc = put_chunk(f, key, id, number, true, NULL, 0, out);
	free(out);
	return rc;
}

static int write_file(struct job *j, const uint8_t *keys, size_t keys_len, const uint8_t key[32])
{
	char tmp[4300], dir[4096];
	uint8_t head[12], id[32];
	FILE *f;
	int fd, rc;

	snprintf(dir, sizeof(dir), "%s/backup", j->app->cfg->paths.state);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	rc = pki_file_sweep(dir);
	if (rc < 0)
		return rc;
	snprintf(tmp, sizeof(tmp), "%s/.tmp-bundle", dir);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	f = fdopen(fd, "wb");
	if (f == NULL) {
		close(fd);
		unlink(tmp);
		return -ENOMEM;
	}
	pki_bundle_head(keys_len, head);
	rc = pki_bundle_id(head, keys, keys_len, id);
	errno = 0;
	if (rc == 0 && (fwrite(head, 1, sizeof(head), f) != sizeof(head) || fwrite(keys, 1, keys_len, f) != keys_len))
		rc = errno != 0 ? -errno : -EIO;
	if (rc == 0)
		rc = write_chunks(f, j, key, id);
	if (rc == 0 && (fflush(f) != 0 || fsync(fd) < 0))
		rc = -errno;
	j->bytes = rc == 0 ? (size_t)ftell(f) : 0;
	if (fclose(f) != 0 && rc == 0)
		rc = -errno;
	for (unsigned n = 0; rc == 0; n++) {
		snprintf(j->path, sizeof(j->path), "%s/%s-%lld-%u.bundle", dir, j->app->cfg->signer.cluster_name,
			 (long long)time(NULL), n);
		if (renameat2(AT_FDCWD, tmp, AT_FDCWD, j->path, RENAME_NOREPLACE) == 0)
			break;
		if (errno != EEXIST)
			rc = -errno;
	}
	if (rc == 0) {
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || fsync(fd) < 0)
			rc = -errno;
		if (fd >= 0)
			close(fd);
	}
	if (rc < 0)
		unlink(tmp);
	return rc;
}

/* Keys and records are of one state: nothing of ours changes certificates meanwhile, but others could have. */
static bool same_idents(const struct job *j)
{
	json_t *now = cp_due_ident_prints(j->ident, j->ident_cnt), *v;
	bool same = now != NULL;
	size_t cnt = json_object_size(now);
	const char *name;

	json_object_foreach(now, name, v)
		same = same && json_equal(v, json_object_get(j->prints, name));
	same = same && cnt + CP_DUE_STORE_PRINTS == json_object_size(j->prints);
	json_decref(now);
	return same;
}

static void work(void *arg)
{
	struct job *j = arg;
	uint8_t *keys = NULL, key[32];
	size_t keys_len = 0;

	j->rc = cp_signer_backup(j->app->signer, j->pass, &keys, &keys_len, key);
	if (j->rc < 0) {
		snprintf(j->err, sizeof(j->err), "%s", cp_signer_error(j->app->signer));
		return;
	}
	j->rc = cp_signer_idents(j->app->signer, &j->ident, &j->ident_cnt);
	if (j->rc < 0)
		snprintf(j->err, sizeof(j->err), "%s", cp_signer_error(j->app->signer));
	else if (!same_idents(j)) {
		snprintf(j->err, sizeof(j->err), "the signer's certificates are others than ours of them: try again");
		j->rc = -EAGAIN;
	}
	if (j->rc < 0) {
		OPENSSL_cleanse(key, sizeof(key));
		OPENSSL_free(keys);
		return;
	}
	j->rc = write_file(j, keys, keys_len, key);
	if (j->rc < 0)
		snprintf(j->err, sizeof(j->err), "not written: %s", strerror(-j->rc));
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_free(keys);
}

static void job_free(struct job *j)
{
	if (j->pass != NULL)
		OPENSSL_clear_free(j->pass, strlen(j->pass));
	if (j->recs != NULL)
		OPENSSL_cleanse(j->recs, j->len);
	free(j->recs);
	json_decref(j->prints);
	cp_signer_idents_free(j->ident, j->ident_cnt);
	free(j);
}

/* It is noted that there is one, or cannot be: it is there all the same. */
static void noted(void *arg, int rc)
{
	struct job *j = arg;

	(void)rc;
	cp_admin_reply(j->req, json_pack("{s:s,s:I,s:I}", "file", j->path, "bytes", (json_int_t)j->bytes, "records",
					 (json_int_t)j->count));
	job_free(j);
}

static void done(void *arg)
{
	struct job *j = arg;

	running = 0;
	cp_turn_give(j->app->turn, &j->turn);
	if (j->rc < 0) {
		cp_admin_fail_rc(j->req, j->rc, "%s", j->err);
		job_free(j);
	} else {
		cfg_log(CFG_LOG_NOTICE, "backup", "who=%s file=%s bytes=%zu records=%llu", cfg_q(cp_admin_who(j->req)),
			cfg_q(j->path), j->bytes, (unsigned long long)j->count);
		cp_due_made(j->app->due, j->when, j->prints, noted, j);
	}
}

static void go(void *arg)
{
	struct job *j = arg;
	int rc = j->app->stopping ? -ENOTCONN : snapshot(j);

	if (rc == 0)
		rc = cp_offload_run(j->app->offload, work, done, j);
	if (rc == 0)
		return;
	running = 0;
	cp_turn_give(j->app->turn, &j->turn);
	cp_admin_fail_rc(j->req, rc, NULL);
	job_free(j);
}

static void create(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"passphrase", NULL};
	const char *pass = NULL;
	struct job *j;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "passphrase", true, &pass) < 0)
		return;
	if (running) {
		cp_admin_fail_rc(req, -EBUSY, "another backup is being made");
		return;
	}
	j = calloc(1, sizeof(*j));
	if (j == NULL || (j->pass = OPENSSL_strdup(pass)) == NULL) {
		free(j);
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	j->app = ctx;
	j->req = req;
	j->turn = (struct cp_turn_wait){.go = go, .ctx = j};
	running = 1;
	if (cp_turn_take(j->app->turn, &j->turn))
		go(j);
}

int cp_backup_commands(struct cp_app *app)
{
	return cp_admin_register(app->admin, "backup.create", create, app);
}
