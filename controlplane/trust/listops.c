/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations: what callers ask for becomes a job. */
#include "lists_int.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cp_lists_ctl_change(struct cp_lists *l, const struct cp_ctl_change *change, int64_t strand, cp_lists_done_fn fn, void *ctx,
			char *why, size_t why_size)
{
	struct job *j = lists_job_make(l, JOB_CTL, change->who, fn, ctx);
	int rc;

	if (j == NULL)
		return -ENOMEM;
	lists_change_copy(change, &j->ch);
	j->strand = strand;
	rc = lists_enqueue(l, j);
	if (rc < 0) {
		snprintf(why, why_size, rc == -EAGAIN ? "too many CTL operations wait" : "the appliance is stopping");
		lists_job_free(j);
	}
	return rc;
}

int cp_lists_ctl_prepare(struct cp_lists *l, const struct cp_ctl_change *change, int64_t strand, struct cp_ctl_draft **ret,
			 unsigned *ret_stranded, char *why, size_t why_size)
{
	struct cp_ctl_draft *d = calloc(1, sizeof(*d));
	struct job *j = lists_job_make(l, JOB_STORE, change->who, NULL, NULL);
	int rc = d == NULL || j == NULL ? -ENOMEM : 0;

	*ret_stranded = 0;
	if (rc == 0) {
		lists_change_copy(change, &j->ch);
		j->strand = strand;
		cp_trust_own_get(&j->own, l->env.own, l->env.ctx);
		rc = lists_plan_ctl(j);
		*ret_stranded = j->stranded;
		if (rc < 0)
			snprintf(why, why_size, "%s", j->why);
		j->serial = l->ctl.serial;
	}
	if (rc < 0) {
		free(d);
		lists_job_free(j);
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
	lists_job_free(d->job);
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

	if (rc == 0 && !lists_same_tbs(file, tbs))
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
		rc = lists_enqueue(l, j);
		if (rc < 0)
			snprintf(why, why_size, "too many CTL operations wait");
	}
	if (rc < 0)
		lists_job_free(j);
	return rc;
}

int cp_lists_ctl_import(struct cp_lists *l, const uint8_t *file, size_t len, const char *who, cp_lists_done_fn fn, void *ctx,
			char *why, size_t why_size)
{
	struct job *j = lists_job_make(l, JOB_IMPORT, who, fn, ctx);
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
		rc = lists_enqueue(l, j);
	}
	free(tl);
	if (rc < 0)
		lists_job_free(j);
	return rc;
}

int cp_lists_itl_set(struct cp_lists *l, const char *sign_with, int rollback, int64_t strand, const char *who, cp_lists_done_fn fn,
		     void *ctx, char *why, size_t why_size)
{
	static const char *const ways[] = {"auto", "TFTP", "TFTP.prev", "ITLRecovery"};
	struct job *j = lists_job_make(l, JOB_ITL, who, fn, ctx);
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
		j->itl.changed_us = lists_now_us(l);
		if (rollback >= 0)
			j->itl.rollback = rollback != 0;
		if (sign_with != NULL)
			snprintf(j->itl.sign_with, sizeof(j->itl.sign_with), "%s", sign_with);
		rc = lists_enqueue(l, j);
	}
	if (rc < 0)
		lists_job_free(j);
	return rc;
}
