/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Getting and waiting. What is in memory under the right stamp is answered at once, on the asker's thread. Else the name
 * becomes a flight, which all who ask for it meanwhile share: its records are read on the event loop, the file is made and signed
 * on a thread of ours, and everybody is called from there.
 */
#include <errno.h>
#include <event2/event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"
#include "log.h"

static int64_t mono_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec;
}

/* --- what any thread can tell --- */

static struct cp_stamp stamp_now(struct cp_files *f, const struct cp_name *name, enum pki_tl_class cls)
{
	struct cp_stamp st = {{atomic_load(&f->gen), (uint64_t)cls, 0, 0, 0}};

	if (name->device[0] != '\0')
		st.v[2] = cp_index_get(f->index, name->device).gen;
	return st;
}

/* Whose trust decides about the digest: the device that is named, or that is known to sit at the address. */
static enum pki_tl_class class_of(struct cp_files *f, const struct cp_file_ask *ask, const struct cp_name *name)
{
	struct cp_idx_dev d = {0};
	char device[16];

	if (name->device[0] != '\0')
		d = cp_index_get(f->index, name->device);
	else if (ask->device[0] != '\0')
		d = cp_index_get(f->index, ask->device);
	else if (cp_index_at(f->index, &ask->from, device))
		d = cp_index_get(f->index, device);
	return d.flags != 0 ? (enum pki_tl_class)d.cls : (enum pki_tl_class)f->env.cfg->provision.default_class;
}

static int count(struct cp_files *f, uint64_t *what, int rc)
{
	pthread_mutex_lock(&f->lock);
	(*what)++;
	pthread_mutex_unlock(&f->lock);
	return rc;
}

static int lookup_list(struct cp_files *f, const struct cp_name *name, enum pki_tl_class cls, struct cp_file **ret)
{
	/* a device that there is not has no list of its own: it asks for the common one next */
	if (name->device[0] != '\0' && cp_index_get(f->index, name->device).flags == 0)
		return -ENOENT;
	*ret = f->env.list != NULL ? f->env.list(f->env.ctx, name->list, cls) : NULL;
	return *ret != NULL ? 0 : -ENOENT;
}

/*
 * The operator's files. 0; -EINPROGRESS: it has to be read, or signed; -ENOENT, -EIO. *name becomes plain if the name with its
 * ending lies there: a vendor's signed file is served as it is. *st is what a file made of it depends on.
 */
static int lookup_dir(struct cp_files *f, const char *asked, struct cp_name *name, struct cp_stamp *st, struct cp_file **ret)
{
	struct cp_stamp on_disk;
	int rc = cp_filedir_stamp(f->dir, asked, &on_disk);

	if (rc == 0 || name->end == CP_END_PLAIN) {
		name->end = CP_END_PLAIN;
		memcpy(name->base, asked, strlen(asked) + 1);
		if (rc == 0)
			*ret = cp_filedir_cached(f->dir, asked, &on_disk);
		return rc < 0 ? rc : *ret != NULL ? 0 : -EINPROGRESS;
	}
	if (rc != -ENOENT || name->end == CP_END_ENC) /* only configurations that we make are encrypted */
		return rc;
	rc = cp_filedir_stamp(f->dir, name->base, &on_disk);
	if (rc < 0)
		return rc;
	st->v[2] = on_disk.v[0] ^ on_disk.v[1] << 20 ^ on_disk.v[2];
	st->v[3] = on_disk.v[3];
	st->v[4] = on_disk.v[4];
	return -EINPROGRESS;
}

/* May this asker have a device's configuration? 0, -EACCES, -EPERM. */
static int may(struct cp_files *f, const struct cp_file_ask *ask, const struct cp_name *name, struct cp_idx_dev d)
{
	char there[16];

	if ((d.flags & CP_IDX_TOKEN) != 0) { /* 000:R-18, P0-53, P0-54 */
		if (ask->via != CP_VIA_TOKEN)
			return count(f, &f->stats.refused_token, -EACCES);
		if (ask->device[0] == '\0')
			return count(f, &f->stats.refused_token, -EPERM);
	}
	if (ask->device[0] != '\0')
		return strcmp(ask->device, name->device) == 0 ? 0 : count(f, &f->stats.refused_foreign, -EACCES);
	/* wire formats 8.2: another phone's file, and we know whose address this is */
	if (cp_index_here(f->index, &ask->from, there) && strcmp(there, name->device) != 0 &&
	    !atomic_load(&f->foreign_ok)) {
		count(f, &f->stats.refused_foreign, 0);
		cfg_log_limited(CFG_LOG_WARN, "file-of-another-phone", "asked=%s phone=%s", name->device, there);
		return -EACCES;
	}
	return 0;
}

/* --- flights --- */

static size_t hash_of(const char *key)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (; *key != '\0'; key++)
		h = (h ^ (uint8_t)*key) * 0x100000001b3ull;
	return (size_t)(h ^ h >> 32) % (sizeof(((struct cp_files *)NULL)->flight) / sizeof(struct cp_flight *));
}

void cp_files_kick(struct cp_files *f)
{
	uint64_t one = 1;

	/* full (EAGAIN) means that the loop is to wake anyway */
	if (write(f->efd, &one, sizeof(one)) < 0)
		return;
}

/* Under the lock. To the event loop first if records have to be read, else to a thread. */
static void enqueue(struct cp_files *f, struct cp_flight *fl)
{
	fl->qnext = NULL;
	if (fl->name.what == CP_NAME_CONFIG || fl->name.what == CP_NAME_DEFAULT) {
		*f->gather_last = fl;
		f->gather_last = &fl->qnext;
		cp_files_kick(f);
	} else {
		*f->queue_last = fl;
		f->queue_last = &fl->qnext;
		pthread_cond_signal(&f->work);
	}
}

static void flight_free(struct cp_flight *fl)
{
	cp_gathered_free(fl->in);
	X509_free(fl->cert);
	free(fl);
}

/* The flight ends: everybody is told. 'file' is borrowed. */
static void land(struct cp_files *f, struct cp_flight *fl, int rc, struct cp_file *file)
{
	struct cp_flight **at;
	struct cp_waiter *w;

	pthread_mutex_lock(&f->lock);
	for (at = &f->flight[hash_of(fl->key)]; *at != fl; at = &(*at)->hnext)
		;
	*at = fl->hnext;
	for (w = fl->waiters; w != NULL; w = w->next)
		f->waiting--;
	pthread_mutex_unlock(&f->lock);
	while ((w = fl->waiters) != NULL) {
		fl->waiters = w->next;
		w->fn(w->ctx, rc, rc == 0 ? cp_file_take(file) : NULL);
		free(w);
	}
	flight_free(fl);
}

/* Join the flight of this key, or begin it. -EINPROGRESS, -EAGAIN, -ENOMEM, -EIO (stopped). */
static int board(struct cp_files *f, const struct cp_flight *like, cp_file_fn fn, void *ctx)
{
	struct cp_waiter *w = calloc(1, sizeof(*w));
	struct cp_flight *fl, **head;
	int rc = -EINPROGRESS;

	if (w == NULL)
		return -ENOMEM;
	w->fn = fn;
	w->ctx = ctx;
	pthread_mutex_lock(&f->lock);
	head = &f->flight[hash_of(like->key)];
	/* One that was begun before a change is not joined after it: who asks then gets the new. */
	for (fl = *head; fl != NULL && (strcmp(fl->key, like->key) != 0 ||
					memcmp(&fl->stamp, &like->stamp, sizeof(fl->stamp)) != 0);
	     fl = fl->hnext)
		;
	if (f->stop) {
		rc = -EIO;
	} else if (f->waiting >= CP_FILES_WAIT_MAX) {
		f->stats.overload++;
		rc = -EAGAIN;
	} else if (fl == NULL) {
		fl = malloc(sizeof(*fl));
		if (fl == NULL) {
			rc = -ENOMEM;
		} else {
			*fl = *like;
			fl->hnext = *head;
			*head = fl;
			enqueue(f, fl);
		}
	}
	if (rc == -EINPROGRESS) {
		w->next = fl->waiters;
		fl->waiters = w;
		f->waiting++;
	}
	pthread_mutex_unlock(&f->lock);
	if (rc != -EINPROGRESS)
		free(w);
	return rc;
}

int cp_files_get(struct cp_files *f, const struct cp_file_ask *ask, struct cp_file **ret, cp_file_fn fn, void *ctx)
{
	struct cp_flight like = {0};
	struct cp_idx_dev d;
	int rc;

	count(f, &f->stats.gets, 0);
	if (!cp_file_name_ok(ask->name))
		return count(f, &f->stats.bad_name, -ENOENT);
	cp_name_parse(ask->name, &like.name);
	memcpy(like.asked, ask->name, strlen(ask->name) + 1);
	like.cls = class_of(f, ask, &like.name);
	like.stamp = stamp_now(f, &like.name, like.cls);
	if (like.name.device[0] != '\0' && cp_index_get(f->index, like.name.device).flags != 0)
		cp_index_seen(f->index, &ask->from, like.name.device, mono_s());
	switch (like.name.what) {
	case CP_NAME_LIST:
		rc = lookup_list(f, &like.name, like.cls, ret);
		if (rc == -ENOENT && like.name.device[0] == '\0')
			rc = lookup_dir(f, ask->name, &like.name, &like.stamp, ret); /* made elsewhere, put there by hand */
		if (rc == -EINPROGRESS)
			like.name.what = CP_NAME_DIR;
		break;
	case CP_NAME_CONFIG:
		d = cp_index_get(f->index, like.name.device);
		if (d.flags == 0) { /* not ours: perhaps the operator's */
			like.name.what = CP_NAME_DIR;
			rc = lookup_dir(f, ask->name, &like.name, &like.stamp, ret);
			break;
		}
		rc = may(f, ask, &like.name, d);
		if (rc < 0)
			return rc;
		/* Inside TLS, to a device that proved who it is, secrets may be said; and the token port's ".sgn" is the file itself
		 * (wire formats 8.2). */
		like.in_tls = ask->via >= CP_VIA_HTTPS && ask->device[0] != '\0';
		like.token = ask->via == CP_VIA_TOKEN && ask->device[0] != '\0';
		if (ask->via == CP_VIA_TOKEN && like.name.end == CP_END_SGN)
			like.name.end = CP_END_PLAIN;
		if ((d.flags & CP_IDX_PLAIN) != 0 && like.name.end == CP_END_SGN)
			rc = -ENOENT; /* cannot verify: it asks for the unsigned one next */
		else
			rc = -EINPROGRESS;
		break;
	case CP_NAME_DEFAULT: {
		struct cp_stamp st = {0}; /* the operator's, where he has one */

		if (cp_filedir_stamp(f->dir, like.name.base, &st) == 0) {
			like.stamp.v[2] = st.v[1];
			like.stamp.v[3] = st.v[3];
			like.stamp.v[4] = st.v[4];
		}
		rc = like.name.end == CP_END_ENC ? -ENOENT : -EINPROGRESS;
		break;
	}
	default:
		*ret = f->env.extra != NULL ? f->env.extra(f->env.ctx, ask->name) : NULL;
		rc = *ret != NULL ? 0 : lookup_dir(f, ask->name, &like.name, &like.stamp, ret);
		break;
	}
	snprintf(like.key, sizeof(like.key), "%d%d%d:%s", (int)like.cls, (int)like.name.end, (int)like.in_tls, ask->name);
	if (rc == -EINPROGRESS && (like.name.what != CP_NAME_DIR || like.name.end == CP_END_SGN)) {
		*ret = cp_fcache_get(f->cache, like.key, &like.stamp);
		if (*ret != NULL)
			rc = 0;
	}
	if (rc == 0)
		return count(f, &f->stats.hits, 0);
	if (rc == -ENOENT)
		return count(f, &f->stats.not_found, rc);
	return rc == -EINPROGRESS ? board(f, &like, fn, ctx) : rc;
}

void cp_files_fetched(struct cp_files *f, const struct cp_file_ask *ask, const struct cp_file *file)
{
	struct cp_note *n;
	struct cp_name name;
	char device[16], there[16];

	if (file->kind != CP_FILE_CTL && file->kind != CP_FILE_ITL)
		return;
	cp_name_parse(ask->name, &name);
	if (name.what != CP_NAME_LIST)
		return;
	if (name.device[0] != '\0')
		memcpy(device, name.device, sizeof(device));
	else if (ask->device[0] != '\0')
		memcpy(device, ask->device, sizeof(device));
	else if (!cp_index_at(f->index, &ask->from, device))
		return; /* nobody knows who that was */
	if (cp_index_get(f->index, device).flags == 0)
		return;
	/* Another phone's address: whoever reads SEP1's list from SEP2's place says nothing of what SEP1 holds. */
	if (ask->device[0] == '\0' && cp_index_here(f->index, &ask->from, there) && strcmp(there, device) != 0)
		return;
	/* Anybody may fetch a phone's list by its name. Where the phone is known to be elsewhere, that was not the phone: to believe
	 * that it has the new list could strand it. */
	if (ask->device[0] == '\0' && cp_index_elsewhere(f->index, &ask->from, device)) {
		count(f, &f->stats.refused_foreign, 0);
		cfg_log_limited(CFG_LOG_NOTICE, "list-of-another-phone", "fetched=%s", device);
		return;
	}
	n = calloc(1, sizeof(*n));
	if (n == NULL)
		return;
	n->what = CP_NOTE_LIST;
	n->kind = file->kind == CP_FILE_CTL ? PKI_TL_CTL : PKI_TL_ITL;
	memcpy(n->device, device, sizeof(n->device));
	n->file = cp_file_take((struct cp_file *)(uintptr_t)file); /* only its count changes */
	n->from = ask->from;
	n->proven = ask->device[0] != '\0' && strcmp(ask->device, device) == 0;
	cp_files_note(f, n);
}

/* --- threads --- */

static void *thread_main(void *arg)
{
	const struct sched_param none = {0};
	struct cp_files *f = arg;

	/* Awake, it lets the signer finish the file in hand before it takes the CPU: 4 % more files where they share one. */
	(void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);

	for (;;) {
		struct cp_file *file = NULL;
		struct cp_flight *fl;
		int rc;

		pthread_mutex_lock(&f->lock);
		while (f->queue == NULL && !f->stop)
			pthread_cond_wait(&f->work, &f->lock);
		if (f->stop) {
			pthread_mutex_unlock(&f->lock);
			return NULL;
		}
		fl = f->queue;
		f->queue = fl->qnext;
		if (f->queue == NULL)
			f->queue_last = &f->queue;
		X509_free(fl->cert);
		fl->cert = f->cert;
		if (fl->cert != NULL)
			X509_up_ref(fl->cert);
		pthread_mutex_unlock(&f->lock);

		rc = cp_make(f, fl, &file);
		if (rc == 0 && (fl->name.what != CP_NAME_DIR || fl->name.end == CP_END_SGN))
			file = cp_fcache_put(f->cache, fl->key, &fl->stamp, file);
		count(f, rc == 0 ? &f->stats.made : rc == -ENOENT ? &f->stats.not_found : &f->stats.failed, 0);
		if (rc < 0 && rc != -ENOENT && rc != -EACCES)
			cfg_log_limited(CFG_LOG_WARN, "file-not-made", "name=%s reason=%s", fl->asked, cfg_q(strerror(-rc)));
		land(f, fl, rc == 0 || rc == -ENOENT || rc == -EACCES ? rc : -EIO, file);
		cp_file_put(file);
	}
}

void cp_files_note(struct cp_files *f, struct cp_note *n)
{
	n->next = NULL;
	pthread_mutex_lock(&f->lock);
	*f->notes_last = n;
	f->notes_last = &n->next;
	pthread_mutex_unlock(&f->lock);
	cp_files_kick(f);
}

/* --- the event loop's part --- */

static void take_notes(struct cp_files *f)
{
	struct cp_batch *b = NULL;
	struct cp_note *n, *list;

	pthread_mutex_lock(&f->lock);
	list = f->notes;
	f->notes = NULL;
	f->notes_last = &f->notes;
	pthread_mutex_unlock(&f->lock);
	while ((n = list) != NULL) {
		list = n->next;
		if (n->what == CP_NOTE_LIST) {
			if (f->env.has_list != NULL)
				/* a phone that registered meanwhile is asked for here, so that its registration does not overtake this */
				f->env.has_list(f->env.ctx, n->device, n->kind, n->file,
						n->proven || cp_index_at_home(f->index, &n->from, n->device) ? NULL : &n->from);
		} else {
			if (b == NULL)
				b = cp_batch_create();
			if (b != NULL)
				cp_batch_put(b, CP_CF_SIGNED, n->key, strlen(n->key), n->val, n->val_len);
		}
		cp_file_put(n->file);
		free(n->val);
		free(n);
	}
	if (b != NULL) /* lost if the store fails: it is signed again then */
		cp_store_submit(f->env.store, b, NULL, NULL);
}

static void on_kick(evutil_socket_t fd, short what, void *ctx)
{
	struct cp_files *f = ctx;
	struct cp_flight *fl;
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return;
	if (atomic_exchange(&f->reindex, false))
		cp_files_reindex(f);
	take_notes(f);
	for (unsigned i = 0; i < CP_FILES_GATHER_MAX; i++) {
		int rc;

		pthread_mutex_lock(&f->lock);
		fl = f->gather;
		if (fl != NULL) {
			f->gather = fl->qnext;
			if (f->gather == NULL)
				f->gather_last = &f->gather;
		}
		pthread_mutex_unlock(&f->lock);
		if (fl == NULL)
			return;
		rc = cp_gather(f, fl);
		if (rc < 0) {
			count(f, rc == -ENOENT || rc == -EACCES ? &f->stats.not_found : &f->stats.failed, 0);
			land(f, fl, rc, NULL);
			continue;
		}
		pthread_mutex_lock(&f->lock);
		fl->qnext = NULL;
		*f->queue_last = fl;
		f->queue_last = &fl->qnext;
		pthread_cond_signal(&f->work);
		pthread_mutex_unlock(&f->lock);
	}
	cp_files_kick(f); /* the loop has other work too: the rest in the next round */
}

static void take_cert(struct cp_files *f)
{
	X509 *cert = f->env.signer_cert != NULL ? f->env.signer_cert(f->env.ctx) : NULL;

	if (cert != NULL)
		cp_files_set_cert(f, cert);
}

void cp_files_set_cert(struct cp_files *f, X509 *cert)
{
	X509 *old;

	pthread_mutex_lock(&f->lock);
	old = f->cert;
	f->cert = cert;
	pthread_mutex_unlock(&f->lock);
	X509_free(old);
}

X509 *cp_files_cert(struct cp_files *f)
{
	X509 *cert;

	pthread_mutex_lock(&f->lock);
	cert = f->cert;
	if (cert != NULL)
		X509_up_ref(cert);
	pthread_mutex_unlock(&f->lock);
	return cert;
}

void cp_files_changed(struct cp_files *f)
{
	take_cert(f);
	atomic_fetch_add(&f->gen, 1);
}

void cp_files_phone(struct cp_files *f, const char *device, const struct cfg_addr *addr, bool here)
{
	cp_index_phone(f->index, device, addr, here);
}

static void record_changed(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted)
{
	struct cp_files *f = ctx;
	char name[CP_DEVICE_NAME_MAX];

	if (cf == CP_CF_PROFILE) {
		atomic_fetch_add(&f->gen, 1);
		atomic_store(&f->reindex, true);
		cp_files_kick(f);
		return;
	}
	if (key_len >= sizeof(name))
		return;
	memcpy(name, key, key_len);
	name[key_len] = '\0';
	if (cf == CP_CF_DEVICE) {
		cp_files_index(f, name);
		if (deleted)
			cp_signed_forget(f, name);
	} else {
		atomic_fetch_add(&f->gen, 1); /* a phone's certificate: rare */
	}
}

int cp_files_create(const struct cp_files_env *env, struct cp_files **ret)
{
	struct cp_files *f = calloc(1, sizeof(*f));
	const struct cfg *cfg = env->cfg;
	char path[512];
	int rc = -ENOMEM;

	if (f == NULL)
		return -ENOMEM;
	f->env = *env;
	f->gather_last = &f->gather;
	f->queue_last = &f->queue;
	f->notes_last = &f->notes;
	f->efd = -1;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->work, NULL);
	if (cfg->provision.directory != NULL && cfg->provision.directory[0] != '\0')
		snprintf(path, sizeof(path), "%s", cfg->provision.directory);
	else
		snprintf(path, sizeof(path), "%s/files", cfg->paths.state);
	f->cache = cp_fcache_create(CP_FILES_CACHE_BYTES);
	f->dir = cp_filedir_create(path, CP_FILES_DIR_BYTES);
	f->index = cp_index_create();
	f->efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->cache == NULL || f->dir == NULL || f->index == NULL || f->efd < 0)
		goto out;
	f->ev = event_new(env->base, f->efd, EV_READ | EV_PERSIST, on_kick, f);
	if (f->ev == NULL || event_add(f->ev, NULL) < 0 ||
	    cp_store_watch(env->store, CP_CF_DEVICE, record_changed, f) < 0 ||
	    cp_store_watch(env->store, CP_CF_PROFILE, record_changed, f) < 0 ||
	    cp_store_watch(env->store, CP_CF_CAPF, record_changed, f) < 0)
		goto out;
	cp_files_reindex(f);
	take_cert(f);
	cp_signed_trim(f);
	for (; f->threads < CP_FILES_THREADS; f->threads++) {
		rc = -pthread_create(&f->thread[f->threads], NULL, thread_main, f);
		if (rc < 0)
			goto out;
	}
	*ret = f;
	return 0;
out:
	cp_files_destroy(f);
	return rc;
}

void cp_files_stop(struct cp_files *f)
{
	if (f == NULL || f->stop)
		return;
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	pthread_cond_broadcast(&f->work);
	pthread_mutex_unlock(&f->lock);
	for (unsigned i = 0; i < f->threads; i++)
		pthread_join(f->thread[i], NULL);
	f->threads = 0;
	for (size_t i = 0; i < sizeof(f->flight) / sizeof(f->flight[0]); i++)
		while (f->flight[i] != NULL)
			land(f, f->flight[i], -EIO, NULL);
	f->gather = f->queue = NULL;
	take_notes(f);
}

void cp_files_destroy(struct cp_files *f)
{
	if (f == NULL)
		return;
	cp_files_stop(f);
	if (f->ev != NULL)
		event_free(f->ev);
	if (f->efd >= 0)
		close(f->efd);
	cp_fcache_destroy(f->cache);
	cp_filedir_destroy(f->dir);
	cp_index_destroy(f->index);
	X509_free(f->cert);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->work);
	free(f);
}

void cp_files_stats(struct cp_files *f, struct cp_files_stats *ret)
{
	struct cp_fcache_stats made, dir;

	cp_fcache_stats(f->cache, &made);
	cp_filedir_stats(f->dir, &dir);
	pthread_mutex_lock(&f->lock);
	*ret = f->stats;
	ret->waiting = f->waiting;
	pthread_mutex_unlock(&f->lock);
	ret->cache_bytes = made.bytes;
	ret->dir_bytes = dir.bytes;
}

/* --- for the servers --- */

static int source_get(void *ctx, const struct cp_file_ask *ask, struct cp_file **ret, cp_file_fn fn, void *fn_ctx)
{
	return cp_files_get(ctx, ask, ret, fn, fn_ctx);
}

static void source_fetched(void *ctx, const struct cp_file_ask *ask, const struct cp_file *file)
{
	cp_files_fetched(ctx, ask, file);
}

static bool source_needs_token(void *ctx, const char *device)
{
	struct cp_files *f = ctx;

	return (cp_index_get(f->index, device).flags & CP_IDX_TOKEN) != 0;
}

struct cp_file_source cp_files_source(struct cp_files *f)
{
	return (struct cp_file_source){source_get, source_fetched, source_needs_token, f};
}
