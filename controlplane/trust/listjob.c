/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Jobs: changes of the lists in force. A job is planned on the event loop, signed on a thread, verified and
 * submitted on the loop, and takes effect when the store has synced it; only one runs, so that each is planned on what the last
 * one left. Whatever fails before the sync leaves the old lists in force.
 */
#include "lists_int.h"

#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarm.h"
#include "log.h"
#include "offload.h"
#include "store/store.h"

#define JOBS_MAX 16
#define RETRY_MS 5000

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

X509 *lists_ref(X509 *c)
{
	if (c != NULL)
		X509_up_ref(c);
	return c;
}

static char *copy_text(const char *s)
{
	return s != NULL ? strdup(s) : NULL;
}

void lists_change_copy(const struct cp_ctl_change *c, struct cp_ctl_change *ret)
{
	*ret = *c;
	for (unsigned i = 0; i < c->token_cnt; i++)
		lists_ref(c->token[i]);
	for (unsigned i = 0; i < c->del_token_cnt; i++)
		ret->del_token[i] = copy_text(c->del_token[i]);
	for (unsigned i = 0; i < c->tftp_cnt; i++)
		ret->tftp[i] = (struct cp_ctl_tftp_add){copy_text(c->tftp[i].host), copy_text(c->tftp[i].address), lists_ref(c->tftp[i].cert)};
	for (unsigned i = 0; i < c->del_tftp_cnt; i++)
		ret->del_tftp[i] = copy_text(c->del_tftp[i]);
	ret->signer = copy_text(c->signer);
	lists_ref(c->signer_cert);
}

void lists_job_free(struct job *j)
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

struct job *lists_job_make(struct cp_lists *l, enum job_kind kind, const char *who, cp_lists_done_fn fn, void *ctx)
{
	struct job *j = calloc(1, sizeof(*j));

	if (j == NULL)
		return NULL;
	*j = (struct job){.lists = l, .kind = kind, .fn = fn, .ctx = ctx,
			  .list = kind == JOB_ITL ? PKI_TL_ITL : PKI_TL_CTL};
	snprintf(j->who, sizeof(j->who), "%s", who != NULL ? who : "");
	return j;
}

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
	lists_job_free(j);
	if (!l->running) /* its caller may have asked for the next one */
		cp_turn_give(l->env.turn, &l->turn);
	lists_next_job(l);
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

	(void)cp_batch_audit_json(b, o);
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
		lists_in_force(l, PKI_TL_ITL);
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
			lists_in_force(l, PKI_TL_CTL);
			l->itl_wanted = true; /* whether the ITL must name the CallManager depends on the CTL */
		}
	}
	if (j->kind == JOB_ITL)
		itl_alarm(j);
	if (!l->starting)
		lists_alarms(l);
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

	if (j->rc == 0 && j->kind == JOB_CTL && !lists_own_same(j->lists, &j->own)) { /* while it was signed: nobody was asked about both */
		snprintf(j->why, sizeof(j->why), "a certificate of ours was changed meanwhile: try again");
		j->rc = -ESTALE;
	}
	if (j->rc == 0 && j->kind == JOB_ITL)
		j->rc = lists_finish(j, &j->itl.files, &j->itl.file_cnt);
	else if (j->rc == 0)
		j->rc = lists_finish(j, &j->plan.next.files, &j->plan.next.file_cnt);
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
			j->rc = lists_plan_itl(j);
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
		j->rc = lists_plan_ctl(j);
		break;
	case JOB_STORE:
		if (j->serial != l->ctl.serial || l->ctl_bad) {
			snprintf(j->why, sizeof(j->why), "the CTL was changed meanwhile: prepare it again");
			j->rc = -ESTALE;
		} else if (!lists_own_same(l, &j->own)) {
			snprintf(j->why, sizeof(j->why), "a certificate of ours was changed meanwhile: prepare it again");
			j->rc = -ESTALE;
		} else {
			j->rc = lists_draft_allowed(j);
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
		lists_sign(j);
		signed_(j);
		return;
	}
	rc = cp_offload_run(l->env.offload, lists_sign, signed_, j); /* from here 'j' is the thread's */
	if (rc < 0) {
		j->rc = rc;
		if (j->kind == JOB_ITL)
			itl_alarm(j);
		job_end(j);
	}
}

int lists_enqueue(struct cp_lists *l, struct job *j)
{
	if (l->stopping)
		return -ESHUTDOWN;
	if (l->jobs_cnt >= JOBS_MAX)
		return -EAGAIN;
	l->jobs_cnt++;
	*l->jobs_last = j;
	l->jobs_last = &j->next;
	lists_next_job(l);
	return 0;
}

/* Nothing is planned on certificates that a change under way is about to replace: in our turn only. */
void lists_next_job(struct cp_lists *l)
{
	struct job *j;

	if (l->running || l->stopping || (l->jobs == NULL && !l->itl_wanted))
		return;
	if (!l->starting && !cp_turn_take(l->env.turn, &l->turn))
		return;
	if (l->itl_wanted) { /* before what others ask: it follows what just happened */
		l->itl_wanted = false;
		j = lists_job_make(l, JOB_ITL, "", NULL, NULL);
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
	else
		cp_turn_give(l->env.turn, &l->turn);
}

void lists_go(void *ctx)
{
	struct cp_lists *l = ctx;

	if (l->stopping || l->running || (l->jobs == NULL && !l->itl_wanted))
		cp_turn_give(l->env.turn, &l->turn);
	else
		lists_next_job(l);
}

void lists_on_retry(evutil_socket_t fd, short what, void *ctx)
{
	struct cp_lists *l = ctx;

	(void)fd;
	(void)what;
	l->itl_wanted = true;
	lists_next_job(l);
}

void cp_lists_cert_changed(struct cp_lists *l, const char *name)
{
	(void)name; /* what of it matters is found out by building */
	l->itl_wanted = true;
	lists_next_job(l);
	if (!l->starting)
		lists_alarms(l);
}
