/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lists in force and the jobs that change them. A job is planned on the event loop, signed on a thread, verified and
 * submitted on the loop, and takes effect when the store has synced it; only one runs, so that each is planned on what the last
 * one left. Whatever fails before the sync leaves the old lists in force.
 */
#include "lists.h"

#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alarm.h"
#include "ctlcmd.h"
#include "ctlop.h"
#include "itl.h"
#include "listrec.h"
#include "log.h"
#include "offload.h"
#include "store/store.h"

#define WATCHERS_MAX 4
#define JOBS_MAX     16
#define RETRY_MS     5000
#define WHY_MAX      512

enum job_kind { JOB_ITL, JOB_CTL, JOB_STORE, JOB_IMPORT };

struct job {
	struct job *next;
	struct cp_lists *lists;
	enum job_kind kind;
	cp_lists_done_fn fn;
	void *ctx;
	int64_t strand;
	/* what is asked */
	struct cp_ctl_change ch; /* strings and certificates are the job's own */
	struct cp_itl_rec itl;   /* JOB_ITL: the settings that are to be */
	bool itl_forced;         /* settings change: kept even if the files do not */
	struct cp_ctl_rec ctl;   /* JOB_IMPORT: the record that is to be */
	uint64_t serial;         /* JOB_STORE: of the CTL it was planned on */
	char who[CP_TEXT_MAX];
	/* what comes of it */
	struct cp_ctl_plan plan;
	struct cp_trust_own own;
	char ident[CP_NAME_MAX]; /* who signs here; "": signatures were brought */
	X509 *signer;            /* reference */
	enum pki_tl_kind list;
	struct cp_buf tbs[PKI_CLASS_MAX]; /* OPENSSL_malloc'ed; empty: this class's file stays */
	struct cp_buf sig[PKI_CLASS_MAX]; /* heap */
	int rc;
	unsigned stranded;
	char why[WHY_MAX];
};

struct cp_ctl_draft {
	struct job *job;
};

struct cp_lists {
	struct cp_lists_env env;
	struct cp_ctl_rec ctl;
	struct cp_itl_rec itl;
	bool ctl_bad; /* its record cannot be read: nothing of it is known but that there was one */
	pthread_mutex_t lock; /* of 'file' */
	struct cp_file *file[3][PKI_CLASS_MAX];
	struct job *jobs, **jobs_last; /* the first one runs */
	bool itl_wanted, stopping, starting, running;
	struct event *retry;
	unsigned jobs_cnt;
	struct {
		cp_lists_fn fn;
		void *ctx;
	} watcher[WATCHERS_MAX];
	unsigned watcher_cnt;
	char stale[256];
	struct cp_ctlcmd *cmd;
};

static int64_t now_us(const struct cp_lists *l)
{
	struct timespec ts;

	if (l->env.now_us != NULL)
		return l->env.now_us(l->env.ctx);
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* --- files in force --- */

static void file_free(struct cp_file *f)
{
	free((void *)(uintptr_t)f->data);
	free(f);
}

static struct cp_file *file_make(enum pki_tl_kind kind, const struct cp_buf *b, uint32_t mtime)
{
	struct cp_file *f = calloc(1, sizeof(*f));
	uint8_t *data = malloc(b->len);

	if (f == NULL || data == NULL) {
		free(f);
		free(data);
		return NULL;
	}
	memcpy(data, b->data, b->len);
	*f = (struct cp_file){.kind = kind == PKI_TL_CTL ? CP_FILE_CTL : CP_FILE_ITL, .data = data, .len = b->len,
			      .mtime = mtime, .destroy = file_free};
	atomic_init(&f->refs, 1);
	strcpy(f->name, kind == PKI_TL_CTL ? "CTLFile.tlv" : "ITLFile.tlv");
	SHA256(data, b->len, f->sha256);
	f->etag[0] = '"';
	for (unsigned i = 0; i < 16; i++)
		snprintf(f->etag + 1 + 2 * i, 3, "%02x", f->sha256[i]);
	strcat(f->etag, "\"");
	return f;
}

/* Make what the records say what is served; tells the watchers of what changed. */
static int in_force(struct cp_lists *l, enum pki_tl_kind kind)
{
	const struct cp_list_file *files = kind == PKI_TL_CTL ? l->ctl.files : l->itl.files;
	unsigned cnt = kind == PKI_TL_CTL ? l->ctl.file_cnt : l->itl.file_cnt;
	uint32_t mtime = kind == PKI_TL_CTL ? l->ctl.timestamp : l->itl.timestamp;

	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		const struct cp_buf *b = cp_list_file_find(files, cnt, (uint8_t)cls);
		struct cp_file *f = b != NULL ? file_make(kind, b, mtime) : NULL, *old;
		bool same;

		if (b != NULL && f == NULL)
			return -ENOMEM;
		pthread_mutex_lock(&l->lock);
		old = l->file[kind][cls];
		same = (old == NULL && f == NULL) ||
		       (old != NULL && f != NULL && memcmp(old->sha256, f->sha256, sizeof(f->sha256)) == 0);
		if (same) {
			old = f;
		} else {
			l->file[kind][cls] = f;
		}
		pthread_mutex_unlock(&l->lock);
		cp_file_put(old);
		for (unsigned i = 0; !same && !l->starting && i < l->watcher_cnt; i++)
			l->watcher[i].fn(l->watcher[i].ctx, kind, (enum pki_tl_class)cls);
	}
	return 0;
}

struct cp_file *cp_lists_file(struct cp_lists *l, enum pki_tl_kind kind, enum pki_tl_class cls)
{
	struct cp_file *f;

	if ((kind != PKI_TL_CTL && kind != PKI_TL_ITL) || cls <= 0 || cls >= PKI_CLASS_MAX)
		return NULL;
	pthread_mutex_lock(&l->lock);
	f = l->file[kind][cls];
	if (f != NULL)
		cp_file_take(f);
	pthread_mutex_unlock(&l->lock);
	return f;
}

enum cp_cluster_mode cp_lists_mode(const struct cp_lists *l)
{
	if (l->ctl_bad) /* there was one and it may have been mixed: no phone is let in on less than its record demands */
		return CP_CLUSTER_MIXED;
	return l->ctl.made && l->ctl.mode == CP_CLUSTER_MIXED ? CP_CLUSTER_MIXED : CP_CLUSTER_NONSECURE;
}

enum cp_device_mode cp_lists_device_mode(const struct cp_lists *l, const struct cp_device *dev)
{
	return l != NULL && cp_lists_mode(l) != CP_CLUSTER_MIXED ? CP_DEVICE_NONSECURE : dev->mode;
}

bool cp_lists_auto_registration(const struct cp_lists *l)
{
	return l->env.auto_registration && cp_lists_mode(l) != CP_CLUSTER_MIXED;
}

bool cp_lists_rollback(const struct cp_lists *l)
{
	return l->itl.rollback;
}

const char *cp_lists_itl_signer(const struct cp_lists *l)
{
	return l->itl.signer;
}

const char *cp_lists_itl_sign_with(const struct cp_lists *l)
{
	return l->itl.sign_with;
}

bool cp_lists_busy(const struct cp_lists *l)
{
	return l->jobs != NULL || l->itl_wanted;
}

const struct cp_lists_env *cp_lists_get_env(const struct cp_lists *l)
{
	return &l->env;
}

struct cp_ctlcmd *cp_lists_cmd(const struct cp_lists *l)
{
	return l->cmd;
}

const struct cp_ctl_rec *cp_lists_ctl(const struct cp_lists *l)
{
	return &l->ctl;
}

int cp_lists_watch(struct cp_lists *l, cp_lists_fn fn, void *ctx)
{
	if (l->watcher_cnt == WATCHERS_MAX)
		return -ENOSPC;
	l->watcher[l->watcher_cnt].fn = fn;
	l->watcher[l->watcher_cnt++].ctx = ctx;
	return 0;
}

/* --- alarms that follow from what is in force --- */

static void alarms(struct cp_lists *l)
{
	struct cp_trust_own own;

	if (l->env.auto_registration && cp_lists_mode(l) == CP_CLUSTER_MIXED)
		cp_alarm_raise(l->env.alarms, "auto-registration-off", CP_ALARM_WARNING, "cluster",
			       "provision.auto_registration is set, but the cluster is in mixed mode: unknown phones get nothing");
	else
		cp_alarm_clear(l->env.alarms, "auto-registration-off", "cluster");
	cp_trust_own_get(&own, l->env.own, l->env.ctx);
	cp_ctl_stale(&l->ctl, &own, l->stale, sizeof(l->stale));
	cp_trust_own_free(&own);
	if (l->stale[0] != '\0')
		cp_alarm_raise(l->env.alarms, "ctl-stale", CP_ALARM_MAJOR, "ctl",
			       "the CTL does not hold the certificates of today of: %s; run 'ravelinctl ctl update'", l->stale);
	else
		cp_alarm_clear(l->env.alarms, "ctl-stale", "ctl");
}

/* --- jobs --- */

static void change_free(struct cp_ctl_change *c)
{
	for (unsigned i = 0; i < c->token_cnt; i++)
		X509_free(c->token[i]);
	for (unsigned i = 0; i < c->del_token_cnt; i++)
		free((char *)(uintptr_t)c->del_token[i]);
	for (unsigned i = 0; i < c->tftp_cnt; i++) {
		free((char *)(uintptr_t)c->tftp[i].host);
		free((char *)(uintptr_t)c->tftp[i].address);
		X509_free(c->tftp[i].cert);
	}
	for (unsigned i = 0; i < c->del_tftp_cnt; i++)
		free((char *)(uintptr_t)c->del_tftp[i]);
	free((char *)(uintptr_t)c->signer);
	X509_free(c->signer_cert);
	memset(c, 0, sizeof(*c));
}

static X509 *ref(X509 *c)
{
	if (c != NULL)
		X509_up_ref(c);
	return c;
}

static char *copy_text(const char *s)
{
	return s != NULL ? strdup(s) : NULL;
}

static void change_copy(const struct cp_ctl_change *c, struct cp_ctl_change *ret)
{
	*ret = *c;
	for (unsigned i = 0; i < c->token_cnt; i++)
		ref(c->token[i]);
	for (unsigned i = 0; i < c->del_token_cnt; i++)
		ret->del_token[i] = copy_text(c->del_token[i]);
	for (unsigned i = 0; i < c->tftp_cnt; i++)
		ret->tftp[i] = (struct cp_ctl_tftp_add){copy_text(c->tftp[i].host), copy_text(c->tftp[i].address), ref(c->tftp[i].cert)};
	for (unsigned i = 0; i < c->del_tftp_cnt; i++)
		ret->del_tftp[i] = copy_text(c->del_tftp[i]);
	ret->signer = copy_text(c->signer);
	ref(c->signer_cert);
}

static void job_free(struct job *j)
{
	if (j == NULL)
		return;
	change_free(&j->ch);
	cp_itl_rec_free(&j->itl);
	cp_ctl_rec_free(&j->ctl);
	cp_ctl_plan_free(&j->plan);
	cp_trust_own_free(&j->own);
	X509_free(j->signer);
	for (unsigned i = 0; i < PKI_CLASS_MAX; i++) {
		OPENSSL_free(j->tbs[i].data);
		free(j->sig[i].data);
	}
	free(j);
}

static struct job *job_make(struct cp_lists *l, enum job_kind kind, const char *who, cp_lists_done_fn fn, void *ctx)
{
	struct job *j = calloc(1, sizeof(*j));

	if (j == NULL)
		return NULL;
	*j = (struct job){.lists = l, .kind = kind, .fn = fn, .ctx = ctx,
			  .list = kind == JOB_ITL ? PKI_TL_ITL : PKI_TL_CTL};
	snprintf(j->who, sizeof(j->who), "%s", who != NULL ? who : "");
	return j;
}

static void next_job(struct cp_lists *l);

/* The first job is over. Its caller hears of it before the next one starts. */
static void job_end(struct job *j)
{
	struct cp_lists *l = j->lists;

	l->jobs = j->next;
	if (l->jobs == NULL)
		l->jobs_last = &l->jobs;
	l->jobs_cnt--;
	l->running = false;
	if (j->rc < 0 && j->why[0] == '\0')
		snprintf(j->why, sizeof(j->why), "%s", strerror(-j->rc));
	if (j->rc < 0 && j->kind != JOB_ITL)
		cfg_log(CFG_LOG_WARN, "ctl-operation-refused", "who=%s rc=%d reason=%s", cfg_q(j->who), j->rc, cfg_q(j->why));
	if (j->fn != NULL)
		j->fn(j->ctx, j->rc, j->why, j->stranded);
	job_free(j);
	next_job(l);
}

static int own_bytes(struct job *j, enum pki_tl_class cls, const struct pki_tl_entry *e, unsigned n, uint32_t timestamp)
{
	struct pki_tl_opts o = {.kind = j->list, .cls = cls, .signer = j->signer, .timestamp = timestamp};
	char text[256] = "";
	int rc = pki_tl_build(&o, e, n, &j->tbs[cls].data, &j->tbs[cls].len, text, sizeof(text));

	if (rc == -EMSGSIZE && j->list == PKI_TL_CTL)
		snprintf(j->why, sizeof(j->why), "%s: %s (phones of class %s)",
			 n > pki_tl_class_limits(cls)->records ?
				 "Cannot create CTL Entries. Total number of CTL Records has exceeded the Maximum" :
				 "Unable to create CTL Entry",
			 text, pki_tl_class_limits(cls)->name);
	else if (rc < 0)
		snprintf(j->why, sizeof(j->why), "%s (phones of class %s)", text, pki_tl_class_limits(cls)->name);
	return rc;
}

/* The bytes of a file that were signed: what pki_tl_build() made once. */
static bool same_tbs(const struct cp_buf *file, const struct cp_buf *tbs)
{
	struct pki_tl *tl = malloc(sizeof(*tl));
	bool same = false;

	if (tl != NULL && pki_tl_parse(file->data, file->len, tl, NULL, 0) == 0) {
		size_t cut = tl->sig_tlv_off, tail = tl->sig_tlv_off + 3 + tl->sig_len;

		same = tbs->len == file->len - 3 - tl->sig_len && memcmp(tbs->data, file->data, cut) == 0 &&
		       memcmp(tbs->data + cut, file->data + tail, file->len - tail) == 0;
	}
	free(tl);
	return same;
}

/* Does the list that is planned strand phones? The ledger knows; what it cannot say yet of a first list is no reason. */
static int allowed(struct job *j, const struct pki_tl_entry *const entry[PKI_CLASS_MAX], const unsigned cnt[PKI_CLASS_MAX],
		   bool mixed, bool first)
{
	struct cp_trust_ask ask = {.change = CP_TRUST_LIST, .subject = j->list == PKI_TL_CTL ? "ctl" : "itl", .to = j->signer,
				   .mixed = mixed};
	int rc;

	if (j->lists->env.allow == NULL)
		return 0;
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		ask.entry[cls] = entry[cls];
		ask.cnt[cls] = cnt[cls];
	}
	rc = j->lists->env.allow(j->lists->env.ctx, &ask, j->strand, &j->stranded, j->why, sizeof(j->why));
	return rc == -EAGAIN && first ? 0 : rc;
}

/* 1: nothing is to be done; 0: to be signed. */
static int plan_itl(struct job *j)
{
	struct cp_lists *l = j->lists;
	struct cp_itl_in in = {
		.own = &j->own,
		.mixed = cp_lists_mode(l) == CP_CLUSTER_MIXED,
		.rollback = j->itl.rollback,
		.sign_with = j->itl.sign_with,
		.host = l->env.host,
		.ip = l->env.address.family == 4 ? l->env.address.ip : NULL,
	};
	int64_t now_s = now_us(l) / 1000000;
	uint32_t stamp = now_s > (int64_t)l->itl.timestamp ? (uint32_t)now_s : l->itl.timestamp + 1;
	const struct pki_tl_entry *entry[PKI_CLASS_MAX] = {NULL};
	struct cp_itl_out out[PKI_CLASS_MAX];
	unsigned cnt[PKI_CLASS_MAX] = {0};
	bool changed = false;
	int rc = 0;

	in.ccm_in_ctl = in.mixed && j->own.callmanager != NULL && cp_ctl_lists(&l->ctl, j->own.callmanager, PKI_TL_CCM);
	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++) {
		const struct cp_buf *old = cp_list_file_find(l->itl.files, l->itl.file_cnt, (uint8_t)cls);

		in.cls = (enum pki_tl_class)cls;
		rc = cp_itl_entries(&in, &out[cls], j->why, sizeof(j->why));
		if (rc < 0)
			return rc;
		if (j->signer == NULL)
			j->signer = ref(out[cls].signer);
		snprintf(j->ident, sizeof(j->ident), "%s", out[cls].ident);
		entry[cls] = out[cls].entry;
		cnt[cls] = out[cls].cnt;
		rc = own_bytes(j, in.cls, out[cls].entry, out[cls].cnt, l->itl.timestamp);
		changed = changed || rc < 0 || old == NULL || !same_tbs(old, &j->tbs[cls]);
	}
	if (rc < 0)
		return rc;
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		OPENSSL_free(j->tbs[cls].data);
		j->tbs[cls] = (struct cp_buf){0};
	}
	if (!changed)
		return 1;
	if (j->fn != NULL && (rc = allowed(j, entry, cnt, in.mixed, false)) < 0) /* what follows by itself was asked for where it began */
		return rc;
	/* all classes at once, with one time: lists that differ between classes for other reasons than the class confuse */
	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++)
		rc = own_bytes(j, (enum pki_tl_class)cls, out[cls].entry, out[cls].cnt, stamp);
	j->itl.timestamp = stamp;
	snprintf(j->itl.signer, sizeof(j->itl.signer), "%s", j->ident);
	return rc;
}

static int plan_ctl(struct job *j)
{
	struct cp_lists *l = j->lists;
	const struct pki_tl_entry *entry[PKI_CLASS_MAX] = {NULL};
	bool anew = l->ctl_bad || j->ch.recreate;
	struct cp_ctl_rec none = {.serial = l->ctl.serial, .timestamp = l->ctl.timestamp}; /* newer than what there was */
	int rc;

	if (j->ch.recreate && !j->ch.set_mode) {
		snprintf(j->why, sizeof(j->why), "a CTL is recreated by setting the cluster's mode");
		return -EINVAL;
	}
	if (l->ctl_bad && !j->ch.set_mode) {
		snprintf(j->why, sizeof(j->why), "The CTL File signature is invalid or the CTL File is corrupt. You must recreate the CTL "
			 "File. All existing certificate information in the CTL file will be lost: set the cluster's mode");
		return -EBADMSG;
	}
	j->ch.now_us = now_us(l);
	j->ch.who = j->who;
	rc = cp_ctlop_plan(anew ? &none : &l->ctl, &j->ch, &j->own, l->env.own, l->env.ctx, l->env.host,
			   l->env.address.family == 4 ? l->env.address.ip : NULL, &j->plan, j->why, sizeof(j->why));
	if (rc < 0)
		return rc;
	j->signer = ref(j->plan.signer);
	snprintf(j->ident, sizeof(j->ident), "%s", j->plan.ident != NULL ? j->plan.ident : "");
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++)
		entry[cls] = j->plan.entry[cls];
	rc = allowed(j, entry, j->plan.cnt, j->plan.next.mode == CP_CLUSTER_MIXED, j->plan.first);
	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++)
		rc = own_bytes(j, (enum pki_tl_class)cls, j->plan.entry[cls], j->plan.cnt[cls], j->plan.next.timestamp);
	return rc;
}

/* What a draft was planned with is what there is: a list of yesterday's certificates would be signed, else. */
static bool own_same(struct cp_lists *l, const struct cp_trust_own *own)
{
	struct cp_trust_own now;
	bool same;

	cp_trust_own_get(&now, l->env.own, l->env.ctx);
	same = cp_trust_own_same(&now, own);
	cp_trust_own_free(&now);
	return same;
}

/* Phones may have come or gone since a draft was made: the ledger is asked again before it is in force. */
static int draft_allowed(struct job *j)
{
	const struct pki_tl_entry *entry[PKI_CLASS_MAX] = {NULL};

	for (int cls = 1; cls < PKI_CLASS_MAX; cls++)
		entry[cls] = j->plan.entry[cls];
	return allowed(j, entry, j->plan.cnt, j->plan.next.mode == CP_CLUSTER_MIXED, j->plan.first);
}

/* On a thread, or at start. */
static void sign(void *arg)
{
	struct job *j = arg;
	struct cp_lists *l = j->lists;

	for (int cls = 1; j->rc == 0 && cls < PKI_CLASS_MAX; cls++) {
		uint8_t sig[PKI_TL_SIG_MAX];
		size_t n = sizeof(sig);

		if (j->tbs[cls].len == 0)
			continue;
		j->rc = l->env.sign(l->env.ctx, j->list, j->ident, j->tbs[cls].data, j->tbs[cls].len, sig, &n, j->why,
				    sizeof(j->why));
		if (j->rc == 0) {
			j->sig[cls] = (struct cp_buf){malloc(n), n};
			if (j->sig[cls].data == NULL)
				j->rc = -ENOMEM;
			else
				memcpy(j->sig[cls].data, sig, n);
		} else if (j->list == PKI_TL_CTL) {
			char inner[256];

			snprintf(inner, sizeof(inner), "%.*s", (int)sizeof(inner) - 1, j->why);
			snprintf(j->why, sizeof(j->why), "Could not sign CTL File.: %s: %s", j->ident,
				 inner[0] != '\0' ? inner : strerror(-j->rc));
		}
	}
}

/* Put signatures in, and look at the result as a phone would (004c:CT-17). */
static int finish(struct job *j, struct cp_list_file **files, unsigned *cnt)
{
	struct pki_tl *tl = malloc(sizeof(*tl));
	int rc = tl == NULL ? -ENOMEM : 0;

	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++) {
		uint8_t *file = NULL;
		size_t len = 0;
		char text[256] = "";

		if (j->tbs[cls].len == 0)
			continue;
		rc = pki_tl_finish(j->tbs[cls].data, j->tbs[cls].len, j->sig[cls].data, j->sig[cls].len, &file, &len);
		if (rc == 0)
			rc = pki_tl_parse(file, len, tl, text, sizeof(text));
		if (rc == 0)
			rc = pki_tl_verify_cert(tl, j->signer, text, sizeof(text));
		if (rc == 0 && len > pki_tl_class_limits((enum pki_tl_class)cls)->file) {
			snprintf(text, sizeof(text), "the file has %zu bytes, class %s holds %zu", len,
				 pki_tl_class_limits((enum pki_tl_class)cls)->name,
				 pki_tl_class_limits((enum pki_tl_class)cls)->file);
			rc = -EMSGSIZE;
		}
		if (rc < 0)
			snprintf(j->why, sizeof(j->why), "Could not verify Message.: %s", text[0] != '\0' ? text : strerror(-rc));
		else
			rc = cp_list_file_set(files, cnt, (uint8_t)cls, file, len);
		OPENSSL_free(file);
	}
	free(tl);
	return rc;
}

static void itl_alarm(struct job *j)
{
	struct cp_lists *l = j->lists;
	struct timeval tv = {0};
	unsigned ms = l->env.retry_ms != 0 ? l->env.retry_ms : RETRY_MS;

	if (j->rc >= 0) {
		cp_alarm_clear(l->env.alarms, "itl-not-made", "itl");
		return;
	}
	if (j->fn != NULL) /* an operator's wish that was refused changes nothing */
		return;
	cp_alarm_raise(l->env.alarms, "itl-not-made", CP_ALARM_MAJOR, "itl", "%s; %s", j->why[0] != '\0' ? j->why : strerror(-j->rc),
		       l->itl.file_cnt > 0 ? "the old ITL stays in force" : "there is no ITL");
	if (j->rc == -EMSGSIZE || j->rc == -EINVAL || l->retry == NULL || l->stopping)
		return; /* nothing changes by waiting */
	tv.tv_sec = ms / 1000;
	tv.tv_usec = ms % 1000 * 1000;
	evtimer_add(l->retry, &tv);
}

static void audit(struct cp_batch *b, const struct job *j)
{
	json_t *o = j->kind == JOB_ITL ?
			    json_pack("{s:s,s:s,s:s,s:s,s:b}", "what", "itl", "who", j->who, "signer", j->itl.signer, "sign_with",
				      j->itl.sign_with, "rollback", (int)j->itl.rollback) :
		    j->kind == JOB_IMPORT ?
			    json_pack("{s:s,s:s,s:i}", "what", "ctl-import", "who", j->who, "tokens", (int)j->ctl.token_cnt) :
			    json_pack("{s:s,s:s,s:s,s:s,s:I}", "what", "ctl", "who", j->who, "mode",
				      j->plan.next.mode == CP_CLUSTER_MIXED ? "mixed" : "nonsecure", "signer", j->plan.next.signer,
				      "serial", (json_int_t)j->plan.next.serial);
	char *text = json_dumps(o, JSON_COMPACT);

	if (text != NULL)
		cp_batch_audit(b, text);
	free(text);
	json_decref(o);
}

static int batch_of(struct job *j, struct cp_batch **ret)
{
	struct cp_batch *b = cp_batch_create();
	const char *key = j->kind == JOB_ITL ? CP_ITL_KEY : CP_CTL_KEY;
	struct cp_buf v = {0};
	int rc = b == NULL ? -ENOMEM : 0;

	if (rc == 0 && j->kind == JOB_ITL)
		rc = cp_itl_rec_build(&j->itl, &v);
	else if (rc == 0)
		rc = cp_ctl_rec_build(j->kind == JOB_IMPORT ? &j->ctl : &j->plan.next, &v);
	if (rc == 0)
		rc = cp_batch_put(b, j->kind == JOB_ITL ? CP_CF_TRUST : CP_CF_CTL, key, strlen(key), v.data, v.len);
	free(v.data);
	if (rc < 0) {
		cp_batch_destroy(b);
		return rc;
	}
	audit(b, j);
	*ret = b;
	return 0;
}

/* Synced: what the job made is in force. */
static void stored(void *ctx, int rc)
{
	struct job *j = ctx;
	struct cp_lists *l = j->lists;

	j->rc = rc;
	if (rc < 0) {
		snprintf(j->why, sizeof(j->why), rc == -ENOSPC ? "the store has no space: nothing was changed" :
								 "the store cannot write: nothing was changed");
	} else if (j->kind == JOB_ITL) {
		struct cp_itl_rec old = l->itl;

		l->itl = j->itl;
		j->itl = old;
		cfg_log(CFG_LOG_NOTICE, "itl-made", "signer=%s rollback=%d", l->itl.signer, l->itl.rollback);
		in_force(l, PKI_TL_ITL);
	} else {
		struct cp_ctl_rec *from = j->kind == JOB_IMPORT ? &j->ctl : &j->plan.next, old = l->ctl;

		l->ctl = *from;
		*from = old;
		l->ctl_bad = false;
		cp_alarm_clear(l->env.alarms, "trust-list-unreadable", "ctl");
		if (j->kind != JOB_IMPORT) {
			cfg_log(CFG_LOG_NOTICE, "ctl-made", "who=%s mode=%s signer=%s serial=%llu", cfg_q(j->who),
				l->ctl.mode == CP_CLUSTER_MIXED ? "mixed" : "nonsecure", cfg_q(l->ctl.signer),
				(unsigned long long)l->ctl.serial);
			snprintf(j->why, sizeof(j->why), "CTL File created successfully. You must restart all the phones%s%s",
				 j->plan.warning != NULL ? "; " : "", j->plan.warning != NULL ? j->plan.warning : "");
			in_force(l, PKI_TL_CTL);
			l->itl_wanted = true; /* whether the ITL must name the CallManager depends on the CTL */
		}
	}
	if (j->kind == JOB_ITL)
		itl_alarm(j);
	if (!l->starting)
		alarms(l);
	job_end(j);
}

static void submit(struct job *j)
{
	struct cp_batch *b = NULL;

	if (j->rc == 0)
		j->rc = batch_of(j, &b);
	if (j->rc == 0 && j->lists->starting) {
		stored(j, cp_store_commit(j->lists->env.store, b));
		return;
	}
	if (j->rc == 0)
		j->rc = cp_store_submit(j->lists->env.store, b, stored, j);
	if (j->rc < 0) {
		if (j->kind == JOB_ITL)
			itl_alarm(j);
		job_end(j);
	}
}

static void signed_(void *arg)
{
	struct job *j = arg;

	if (j->rc == 0 && j->kind == JOB_CTL && !own_same(j->lists, &j->own)) { /* while it was signed: nobody was asked about both */
		snprintf(j->why, sizeof(j->why), "a certificate of ours was changed meanwhile: try again");
		j->rc = -ESTALE;
	}
	if (j->rc == 0 && j->kind == JOB_ITL)
		j->rc = finish(j, &j->itl.files, &j->itl.file_cnt);
	else if (j->rc == 0)
		j->rc = finish(j, &j->plan.next.files, &j->plan.next.file_cnt);
	submit(j);
}

static void start_job(struct job *j)
{
	struct cp_lists *l = j->lists;
	int rc;

	l->running = true;
	if (j->kind == JOB_ITL || j->kind == JOB_CTL)
		cp_trust_own_get(&j->own, l->env.own, l->env.ctx);
	switch (j->kind) {
	case JOB_ITL:
		if (j->fn == NULL) { /* of itself: with the settings as they are now */
			cp_itl_rec_free(&j->itl);
			j->rc = cp_itl_rec_copy(&l->itl, &j->itl);
		}
		if (j->rc == 0)
			j->rc = plan_itl(j);
		if (j->rc == 1) { /* as it was */
			j->rc = 0;
			itl_alarm(j);
			if (j->itl_forced)
				submit(j);
			else
				job_end(j);
			return;
		}
		break;
	case JOB_CTL:
		j->rc = plan_ctl(j);
		break;
	case JOB_STORE:
		if (j->serial != l->ctl.serial || l->ctl_bad) {
			snprintf(j->why, sizeof(j->why), "the CTL was changed meanwhile: prepare it again");
			j->rc = -ESTALE;
		} else if (!own_same(l, &j->own)) {
			snprintf(j->why, sizeof(j->why), "a certificate of ours was changed meanwhile: prepare it again");
			j->rc = -ESTALE;
		} else {
			j->rc = draft_allowed(j);
		}
		if (j->rc == 0)
			signed_(j);
		else
			job_end(j);
		return;
	case JOB_IMPORT:
		submit(j);
		return;
	}
	if (j->rc < 0) {
		if (j->kind == JOB_ITL)
			itl_alarm(j);
		job_end(j);
		return;
	}
	if (l->starting) {
		sign(j);
		signed_(j);
		return;
	}
	rc = cp_offload_run(l->env.offload, sign, signed_, j); /* from here 'j' is the thread's */
	if (rc < 0) {
		j->rc = rc;
		if (j->kind == JOB_ITL)
			itl_alarm(j);
		job_end(j);
	}
}

static int enqueue(struct cp_lists *l, struct job *j)
{
	if (l->stopping)
		return -ESHUTDOWN;
	if (l->jobs_cnt >= JOBS_MAX)
		return -EAGAIN;
	l->jobs_cnt++;
	*l->jobs_last = j;
	l->jobs_last = &j->next;
	if (!l->running)
		start_job(l->jobs);
	return 0;
}

static void next_job(struct cp_lists *l)
{
	struct job *j;

	if (l->running || l->stopping)
		return;
	if (l->itl_wanted) { /* before what others ask: it follows what just happened */
		l->itl_wanted = false;
		j = job_make(l, JOB_ITL, "", NULL, NULL);
		if (j != NULL) {
			j->next = l->jobs;
			if (l->jobs == NULL)
				l->jobs_last = &j->next;
			l->jobs = j;
			l->jobs_cnt++;
		}
	}
	if (l->jobs != NULL)
		start_job(l->jobs);
}

static void on_retry(evutil_socket_t fd, short what, void *ctx)
{
	struct cp_lists *l = ctx;

	(void)fd;
	(void)what;
	l->itl_wanted = true;
	next_job(l);
}

void cp_lists_cert_changed(struct cp_lists *l, const char *name)
{
	(void)name; /* what of it matters is found out by building */
	l->itl_wanted = true;
	next_job(l);
	if (!l->starting)
		alarms(l);
}

/* --- operations --- */

int cp_lists_ctl_change(struct cp_lists *l, const struct cp_ctl_change *change, int64_t strand, cp_lists_done_fn fn, void *ctx,
			char *why, size_t why_size)
{
	struct job *j = job_make(l, JOB_CTL, change->who, fn, ctx);
	int rc;

	if (j == NULL)
		return -ENOMEM;
	change_copy(change, &j->ch);
	j->strand = strand;
	rc = enqueue(l, j);
	if (rc < 0) {
		snprintf(why, why_size, rc == -EAGAIN ? "too many CTL operations wait" : "the appliance is stopping");
		job_free(j);
	}
	return rc;
}

int cp_lists_ctl_prepare(struct cp_lists *l, const struct cp_ctl_change *change, int64_t strand, struct cp_ctl_draft **ret,
			 unsigned *ret_stranded, char *why, size_t why_size)
{
	struct cp_ctl_draft *d = calloc(1, sizeof(*d));
	struct job *j = job_make(l, JOB_STORE, change->who, NULL, NULL);
	int rc = d == NULL || j == NULL ? -ENOMEM : 0;

	*ret_stranded = 0;
	if (rc == 0) {
		change_copy(change, &j->ch);
		j->strand = strand;
		cp_trust_own_get(&j->own, l->env.own, l->env.ctx);
		rc = plan_ctl(j);
		*ret_stranded = j->stranded;
		if (rc < 0)
			snprintf(why, why_size, "%s", j->why);
		j->serial = l->ctl.serial;
	}
	if (rc < 0) {
		free(d);
		job_free(j);
		return rc;
	}
	d->job = j;
	*ret = d;
	return 0;
}

void cp_lists_draft_free(struct cp_ctl_draft *d)
{
	if (d == NULL)
		return;
	job_free(d->job);
	free(d);
}

const struct cp_buf *cp_lists_draft_tbs(const struct cp_ctl_draft *d, enum pki_tl_class cls)
{
	return &d->job->tbs[cls];
}

/* The signature out of a whole file that is the draft's bytes and nothing else. */
static int sig_of_file(const struct cp_buf *file, const struct cp_buf *tbs, struct cp_buf *ret)
{
	struct pki_tl *tl = malloc(sizeof(*tl));
	int rc = tl == NULL ? -ENOMEM : pki_tl_parse(file->data, file->len, tl, NULL, 0);

	if (rc == 0 && !same_tbs(file, tbs))
		rc = -EBADMSG;
	if (rc == 0) {
		*ret = (struct cp_buf){malloc(tl->sig_len), tl->sig_len};
		if (ret->data == NULL)
			rc = -ENOMEM;
		else
			memcpy(ret->data, tl->sig, tl->sig_len);
	}
	free(tl);
	return rc;
}

int cp_lists_ctl_store(struct cp_lists *l, struct cp_ctl_draft *d, const struct cp_buf sig[PKI_CLASS_MAX], cp_lists_done_fn fn,
		       void *ctx, char *why, size_t why_size)
{
	struct job *j = d->job;
	size_t want = (size_t)EVP_PKEY_get_size(X509_get0_pubkey(j->signer));
	int rc = 0;

	free(d);
	j->fn = fn;
	j->ctx = ctx;
	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++) {
		if (sig[cls].len > want) {
			rc = sig_of_file(&sig[cls], &j->tbs[cls], &j->sig[cls]);
			if (rc == -EBADMSG)
				snprintf(why, why_size, "CTL Filename or contents are invalid.: the file of class %s is not the one "
					 "that was prepared", pki_tl_class_limits((enum pki_tl_class)cls)->name);
		} else if (sig[cls].len != want) {
			snprintf(why, why_size, "Could not verify Message.: the signature for class %s has %zu bytes, not %zu",
				 pki_tl_class_limits((enum pki_tl_class)cls)->name, sig[cls].len, want);
			rc = -EINVAL;
		} else {
			j->sig[cls] = (struct cp_buf){malloc(want), want};
			if (j->sig[cls].data == NULL)
				rc = -ENOMEM;
			else
				memcpy(j->sig[cls].data, sig[cls].data, want);
		}
	}
	if (rc == 0) {
		rc = enqueue(l, j);
		if (rc < 0)
			snprintf(why, why_size, "too many CTL operations wait");
	}
	if (rc < 0)
		job_free(j);
	return rc;
}

int cp_lists_ctl_import(struct cp_lists *l, const uint8_t *file, size_t len, const char *who, cp_lists_done_fn fn, void *ctx,
			char *why, size_t why_size)
{
	struct job *j = job_make(l, JOB_IMPORT, who, fn, ctx);
	struct pki_tl *tl = malloc(sizeof(*tl));
	unsigned sasts = 0, extras = 0;
	struct cp_trust_own own = {0};
	bool known = false;
	int rc = j == NULL || tl == NULL ? -ENOMEM : 0;

	if (rc == 0 && l->ctl_bad) {
		snprintf(why, why_size, "our own CTL cannot be read: set the cluster's mode first");
		rc = -EBADMSG;
	}
	if (rc == 0 && l->jobs_cnt > 0) { /* it changes the record that others are planned on */
		snprintf(why, why_size, "another operation on the trust lists is under way: try again");
		rc = -EBUSY;
	}
	if (rc == 0 && pki_tl_parse(file, len, tl, why, why_size) < 0)
		rc = -EBADMSG;
	if (rc == 0)
		rc = cp_ctl_rec_copy(&l->ctl, &j->ctl);
	if (rc == 0) {
		cp_trust_own_get(&own, l->env.own, l->env.ctx);
		rc = cp_ctlop_import(&j->ctl, tl, &own, &sasts, &extras, &known, why, why_size);
		cp_trust_own_free(&own);
	}
	if (rc == 0) {
		j->ctl.serial++; /* drafts made before are stale */
		snprintf(j->why, sizeof(j->why), "%u SAST and %u other records taken over. %s", sasts, extras,
			 known	    ? "One of our tokens is among its SASTs: its phones take our CTL as it is" :
			 l->ctl.made ? "Next: 'ravelinctl ctl update' signed here puts them into our CTL; when our phones have it, "
				       "'ravelinctl ctl update --key' with the other cluster's token makes the one its phones take" :
				       "Next: make our CTL with 'ravelinctl ctl set-mode ... --key' and the other cluster's token");
		rc = enqueue(l, j);
	}
	free(tl);
	if (rc < 0)
		job_free(j);
	return rc;
}

int cp_lists_itl_set(struct cp_lists *l, const char *sign_with, int rollback, int64_t strand, const char *who, cp_lists_done_fn fn,
		     void *ctx, char *why, size_t why_size)
{
	static const char *const ways[] = {"auto", "TFTP", "TFTP.prev", "ITLRecovery"};
	struct job *j = job_make(l, JOB_ITL, who, fn, ctx);
	bool known = sign_with == NULL;
	int rc = j == NULL ? -ENOMEM : cp_itl_rec_copy(&l->itl, &j->itl);

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		known = known || strcmp(sign_with, ways[i]) == 0;
	if (rc == 0 && !known) {
		snprintf(why, why_size, "an ITL is signed with auto, TFTP, TFTP.prev or ITLRecovery");
		rc = -EINVAL;
	}
	if (rc == 0 && l->jobs_cnt > 0) {
		snprintf(why, why_size, "another operation on the trust lists is under way: try again");
		rc = -EBUSY;
	}
	if (rc == 0 && sign_with != NULL && strcmp(sign_with, "TFTP.prev") == 0) {
		X509 *prev = l->env.own(l->env.ctx, "TFTP.prev");

		if (prev == NULL) {
			snprintf(why, why_size, "there is no TFTP.prev: the TFTP key was not changed, or the old one is retired");
			rc = -ENOENT;
		}
		X509_free(prev);
	}
	if (rc == 0) {
		j->strand = strand;
		j->itl_forced = true;
		j->itl.changed_us = now_us(l);
		if (rollback >= 0)
			j->itl.rollback = rollback != 0;
		if (sign_with != NULL)
			snprintf(j->itl.sign_with, sizeof(j->itl.sign_with), "%s", sign_with);
		rc = enqueue(l, j);
	}
	if (rc < 0)
		job_free(j);
	return rc;
}

/* --- start and end --- */

static void load(struct cp_lists *l)
{
	const uint8_t *v;
	size_t len;

	if (cp_store_get(l->env.store, CP_CF_CTL, CP_CTL_KEY, strlen(CP_CTL_KEY), &v, &len) == 0) {
		int rc = cp_ctl_rec_parse(v, len, &l->ctl);

		if (rc < 0) {
			l->ctl_bad = true;
			cp_alarm_raise(l->env.alarms, "trust-list-unreadable", CP_ALARM_CRITICAL, "ctl",
				       "The CTL File signature is invalid or the CTL File is corrupt: %s; restore a backup, or recreate it "
				       "by setting the cluster's mode", strerror(-rc));
		}
	}
	if (cp_store_get(l->env.store, CP_CF_TRUST, CP_ITL_KEY, strlen(CP_ITL_KEY), &v, &len) == 0 &&
	    cp_itl_rec_parse(v, len, &l->itl) < 0)
		cfg_log(CFG_LOG_ERR, "itl-record-unreadable", "action=\"made anew\"");
	if (l->itl.sign_with[0] == '\0')
		strcpy(l->itl.sign_with, "auto");
}

int cp_lists_create_env(const struct cp_lists_env *env, struct cp_lists **ret)
{
	struct cp_lists *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return -ENOMEM;
	l->env = *env;
	l->jobs_last = &l->jobs;
	pthread_mutex_init(&l->lock, NULL);
	l->retry = evtimer_new(env->base, on_retry, l);
	l->cmd = cp_ctlcmd_create(l);
	if (l->retry == NULL || l->cmd == NULL) {
		cp_lists_destroy(l);
		return -ENOMEM;
	}
	load(l);
	l->starting = true;
	rc = in_force(l, PKI_TL_CTL);
	if (rc == 0)
		rc = in_force(l, PKI_TL_ITL);
	if (rc < 0) {
		cp_lists_destroy(l);
		return rc;
	}
	l->itl_wanted = true;
	next_job(l);
	l->starting = false;
	alarms(l);
	*ret = l;
	return 0;
}

void cp_lists_stop(struct cp_lists *l)
{
	if (l != NULL)
		l->stopping = true;
}

void cp_lists_destroy(struct cp_lists *l)
{
	if (l == NULL)
		return;
	l->stopping = true;
	while (l->jobs != NULL) { /* they never ran: what ran was called back by the store or by offload */
		struct job *j = l->jobs;

		l->jobs = j->next;
		if (j->fn != NULL)
			j->fn(j->ctx, -ESHUTDOWN, "the appliance is stopping", 0);
		job_free(j);
	}
	cp_ctlcmd_destroy(l->cmd);
	if (l->retry != NULL)
		event_free(l->retry);
	for (int k = 0; k < 3; k++)
		for (int cls = 0; cls < PKI_CLASS_MAX; cls++)
			cp_file_put(l->file[k][cls]);
	cp_ctl_rec_free(&l->ctl);
	cp_itl_rec_free(&l->itl);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
