/* SPDX-License-Identifier: BSD-3-Clause */
/* The lists in force: what is served, what follows from it, start and end. The jobs that change them: listjob.c. */
#include "lists_int.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarm.h"
#include "clock.h"
#include "ctlcmd.h"
#include "ctlstale.h"
#include "log.h"
#include "store/store.h"

int64_t lists_now_us(const struct cp_lists *l)
{
	return l->env.now_us != NULL ? l->env.now_us(l->env.ctx) : cp_wall_us();
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
int lists_in_force(struct cp_lists *l, enum pki_tl_kind kind)
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

void lists_alarms(struct cp_lists *l)
{
	struct cp_trust_own own;

	if (l->env.auto_registration && cp_lists_mode(l) == CP_CLUSTER_MIXED)
		cp_alarm_raise(l->env.alarms, "auto-registration-off", CP_ALARM_WARNING, "cluster",
			       "provision.auto_registration is set, but the cluster is in mixed mode: unknown phones get nothing");
	else
		cp_alarm_clear(l->env.alarms, "auto-registration-off", "cluster");
	cp_trust_own_get(&own, l->env.own, l->env.ctx);
	cp_ctl_stale(&l->ctl, &own, l->env.host, l->env.address.family == 4 ? l->env.address.ip : NULL, l->stale, sizeof(l->stale));
	cp_trust_own_free(&own);
	if (l->stale[0] != '\0')
		cp_alarm_raise(l->env.alarms, "ctl-stale", CP_ALARM_MAJOR, "ctl",
			       "the CTL does not say what is so today of: %s; run 'ravelinctl ctl update'", l->stale);
	else
		cp_alarm_clear(l->env.alarms, "ctl-stale", "ctl");
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
	l->turn = (struct cp_turn_wait){.go = lists_go, .ctx = l};
	pthread_mutex_init(&l->lock, NULL);
	l->retry = evtimer_new(env->base, lists_on_retry, l);
	l->cmd = cp_ctlcmd_create(l);
	if (l->retry == NULL || l->cmd == NULL) {
		cp_lists_destroy(l);
		return -ENOMEM;
	}
	load(l);
	l->starting = true;
	rc = lists_in_force(l, PKI_TL_CTL);
	if (rc == 0)
		rc = lists_in_force(l, PKI_TL_ITL);
	if (rc < 0) {
		cp_lists_destroy(l);
		return rc;
	}
	l->itl_wanted = true;
	lists_next_job(l);
	l->starting = false;
	lists_alarms(l);
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
		lists_job_free(j);
	}
	cp_turn_give(l->env.turn, &l->turn);
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
