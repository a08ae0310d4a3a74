/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the trust lists: lists.c (what is in force), listjob.c (jobs that change it), listplan.c (what a job makes), listops.c. */
#ifndef CP_LISTS_INT_H
#define CP_LISTS_INT_H

#include <event2/util.h>
#include <pthread.h>

#include "ctlop.h"
#include "itl.h"
#include "listrec.h"
#include "lists.h"
#include "turn.h"

#define WATCHERS_MAX 4
#define WHY_MAX      512

struct cp_ctlcmd;
struct event;

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
	struct cp_turn_wait turn; /* a job runs in it; not at start, when there is nobody else */
	struct event *retry;
	unsigned jobs_cnt;
	struct {
		cp_lists_fn fn;
		void *ctx;
	} watcher[WATCHERS_MAX];
	unsigned watcher_cnt;
	char stale[180]; /* fits into the alarm's text */
	struct cp_ctlcmd *cmd;
};
/* lists.c */
int64_t lists_now_us(const struct cp_lists *l);
/** Make what the records say what is served; tells the watchers of what changed. */
int lists_in_force(struct cp_lists *l, enum pki_tl_kind kind);
/** Alarms that follow from what is in force. */
void lists_alarms(struct cp_lists *l);

/* listjob.c */
X509 *lists_ref(X509 *c);
void lists_change_copy(const struct cp_ctl_change *c, struct cp_ctl_change *ret);
struct job *lists_job_make(struct cp_lists *l, enum job_kind kind, const char *who, cp_lists_done_fn fn, void *ctx);
void lists_job_free(struct job *j);
int lists_enqueue(struct cp_lists *l, struct job *j);
void lists_next_job(struct cp_lists *l);
/** It is our turn. */
void lists_go(void *ctx);
void lists_on_retry(evutil_socket_t fd, short what, void *ctx);

/* listplan.c */
/** 1: nothing is to be done; 0: to be signed. */
int lists_plan_itl(struct job *j);
int lists_plan_ctl(struct job *j);
/** Phones may have come or gone since a draft was made: the ledger is asked again before it is in force. */
int lists_draft_allowed(struct job *j);
/** What a draft was planned with is what there is: a list of yesterday's certificates would be signed, else. */
bool lists_own_same(struct cp_lists *l, const struct cp_trust_own *own);
/** The bytes of a file that were signed: what pki_tl_build() made once. */
bool lists_same_tbs(const struct cp_buf *file, const struct cp_buf *tbs);
/** On a thread, or at start. */
void lists_sign(void *arg);
/** Put signatures in, and look at the result as a phone would (004c:CT-17). */
int lists_finish(struct job *j, struct cp_list_file **files, unsigned *cnt);

#endif
