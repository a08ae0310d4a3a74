/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a job makes: the bytes of its lists as planned on what is in force now, asked of the ledger; their signatures; and the
 * finished files, looked at as a phone would.
 */
#include "ctlstale.h"
#include "lists_int.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
bool lists_same_tbs(const struct cp_buf *file, const struct cp_buf *tbs)
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
int lists_plan_itl(struct job *j)
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
	int64_t now_s = lists_now_us(l) / 1000000;
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
			j->signer = lists_ref(out[cls].signer);
		snprintf(j->ident, sizeof(j->ident), "%s", out[cls].ident);
		entry[cls] = out[cls].entry;
		cnt[cls] = out[cls].cnt;
		rc = own_bytes(j, in.cls, out[cls].entry, out[cls].cnt, l->itl.timestamp);
		changed = changed || rc < 0 || old == NULL || !lists_same_tbs(old, &j->tbs[cls]);
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

int lists_plan_ctl(struct job *j)
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
	j->ch.now_us = lists_now_us(l);
	j->ch.who = j->who;
	rc = cp_ctlop_plan(anew ? &none : &l->ctl, &j->ch, &j->own, l->env.own, l->env.ctx, l->env.host,
			   l->env.address.family == 4 ? l->env.address.ip : NULL, &j->plan, j->why, sizeof(j->why));
	if (rc < 0)
		return rc;
	j->signer = lists_ref(j->plan.signer);
	snprintf(j->ident, sizeof(j->ident), "%s", j->plan.ident != NULL ? j->plan.ident : "");
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++)
		entry[cls] = j->plan.entry[cls];
	rc = allowed(j, entry, j->plan.cnt, j->plan.next.mode == CP_CLUSTER_MIXED, j->plan.first);
	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++)
		rc = own_bytes(j, (enum pki_tl_class)cls, j->plan.entry[cls], j->plan.cnt[cls], j->plan.next.timestamp);
	return rc;
}

/* What a draft was planned with is what there is: a list of yesterday's certificates would be signed, else. */
bool lists_own_same(struct cp_lists *l, const struct cp_trust_own *own)
{
	struct cp_trust_own now;
	bool same;

	cp_trust_own_get(&now, l->env.own, l->env.ctx);
	same = cp_trust_own_same(&now, own);
	cp_trust_own_free(&now);
	return same;
}

/* Phones may have come or gone since a draft was made: the ledger is asked again before it is in force. */
int lists_draft_allowed(struct job *j)
{
	const struct pki_tl_entry *entry[PKI_CLASS_MAX] = {NULL};

	for (int cls = 1; cls < PKI_CLASS_MAX; cls++)
		entry[cls] = j->plan.entry[cls];
	return allowed(j, entry, j->plan.cnt, j->plan.next.mode == CP_CLUSTER_MIXED, j->plan.first);
}

/* On a thread, or at start. */
void lists_sign(void *arg)
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
int lists_finish(struct job *j, struct cp_list_file **files, unsigned *cnt)
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
