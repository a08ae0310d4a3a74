/* SPDX-License-Identifier: BSD-3-Clause */
/* How a phone's public key becomes a certificate that it is offered: asked for, written down, then said. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "certder.h"
#include "enrol/capf_priv.h"
#include "log.h"

struct offer { /* a batch under way */
	struct cp_capf_client *c;
	struct cp_buf cert;
};

static void offered(void *ctx, int rc)
{
	struct offer *o = ctx;

	o->c->holds--;
	if (rc < 0)
		cfg_log_limited(CFG_LOG_ERR, "capf-store", "device=%s reason=%s", o->c->device, cfg_q(strerror(-rc)));
	cp_capf_sess_issued(o->c->sess, rc, o->cert.data, o->cert.len, rc < 0 ? "its record could not be written" : NULL);
	free(o->cert.data);
	free(o);
}

/* What it is about: serial number and end, and that it is for the key that was sent. */
static int read_cert(struct cp_capf_job *j, struct cp_lsc *rec)
{
	struct pki_certder d;
	int rc = pki_certder_parse(j->cert.data, j->cert.len, &d);

	if (rc == 0 && (d.spki_len != j->spki.len || memcmp(d.spki, j->spki.data, d.spki_len) != 0))
		rc = -EBADMSG;
	if (rc == 0)
		rc = cp_lsc_serial_text(d.serial, d.serial_len, rec->serial);
	if (rc < 0) {
		snprintf(j->why, sizeof(j->why), "what was issued is no certificate for this key");
		return rc;
	}
	rec->expires_us = d.not_after > 0 ? d.not_after * 1000000 : 0;
	memcpy(rec->device, j->device, sizeof(rec->device));
	rec->cert = j->cert;
	return 0;
}

/* It was issued, or not: write it down, and offer it then. */
static void issued(struct cp_capf_job *j)
{
	struct cp_capf_client *c = j->c;
	struct cp_capf *f = c->capf;
	struct cp_lsc rec = {.state = CP_LSC_OFFERED, .op_id = c->op_id, .offered_us = cp_capf_now_us(f)};
	struct offer *o = NULL;
	struct cp_batch *b = NULL;
	int rc = j->rc == 0 ? read_cert(j, &rec) : j->rc;

	if (rc < 0) {
		cfg_log_limited(CFG_LOG_ERR, "capf-issue", "device=%s reason=%s", j->device, cfg_q(j->why));
		cp_capf_sess_issued(c->sess, rc, NULL, 0, j->why);
		return;
	}
	f->stats.issued++;
	o = calloc(1, sizeof(*o));
	b = cp_batch_create();
	/* what went out before and was never heard of again: the phone may still hold it, until it holds this one */
	rc = o == NULL || b == NULL ? -ENOMEM
				    : cp_lscs_change_all(f->env.lscs, b, j->device, CP_LSC_BIT(CP_LSC_OFFERED), NULL, CP_LSC_SUPERSEDED, 0,
							 rec.offered_us);
	if (rc >= 0)
		rc = cp_batch_lsc(b, &rec);
	if (rc == 0) {
		cp_capf_audit(b, "capf.offer", j->device, c->from, rec.serial, NULL);
		memcpy(c->serial, rec.serial, sizeof(c->serial));
		*o = (struct offer){c, j->cert};
		c->holds++;
		rc = cp_store_submit(f->env.store, b, offered, o);
		b = NULL;
		if (rc == 0) {
			j->cert = (struct cp_buf){0};
			return;
		}
		c->holds--;
	}
	cp_batch_destroy(b);
	free(o);
	cp_capf_sess_issued(c->sess, rc, NULL, 0, "its record could not be written");
}

void cp_capf_offer(struct cp_capf_client *c, const char *device, X509 *cert, struct cp_batch *b)
{
	struct cp_capf *f = c->capf;
	struct cp_lsc rec = {.state = CP_LSC_OFFERED, .op_id = c->op_id, .offered_us = cp_capf_now_us(f), .external = true};
	struct offer *o = calloc(1, sizeof(*o));
	int len = i2d_X509(cert, NULL), rc = o == NULL || len <= 0 ? -ENOMEM : cp_lsc_serial(cert, rec.serial);
	struct tm tm;

	if (rc == 0) {
		unsigned char *p = malloc((size_t)len);

		*o = (struct offer){c, {p, (size_t)len}};
		rc = p != NULL && i2d_X509(cert, &p) == len ? 0 : -ENOMEM;
	}
	if (rc == 0) {
		snprintf(rec.device, sizeof(rec.device), "%s", device);
		rec.cert = o->cert;
		rec.expires_us = ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? (int64_t)timegm(&tm) * 1000000 : 0;
		rc = cp_lscs_change_all(f->env.lscs, b, device, CP_LSC_BIT(CP_LSC_OFFERED), rec.serial, CP_LSC_SUPERSEDED, 0, rec.offered_us);
	}
	if (rc >= 0)
		rc = cp_batch_lsc(b, &rec);
	if (rc == 0) {
		cp_capf_audit(b, "capf.offer", device, c->from, rec.serial, "of an external CA");
		memcpy(c->serial, rec.serial, sizeof(c->serial));
		c->holds++;
		rc = cp_store_submit(f->env.store, b, offered, o);
		if (rc == 0)
			return;
		c->holds--;
	} else {
		cp_batch_destroy(b);
	}
	if (o != NULL)
		free(o->cert.data);
	free(o);
	cp_capf_sess_issued(c->sess, rc, NULL, 0, "its record could not be written");
}

/* The end of a job, whichever. */
static void job_done(struct cp_capf_job *j)
{
	j->c->holds--;
	issued(j);
	cp_capf_job_free(j);
}

static void on_issued(void *ctx, int rc, const uint8_t *der, size_t len, const char *why)
{
	struct cp_capf_job *j = ctx;
	struct cp_capf *f = j->c->capf;

	f->asked--;
	j->rc = rc;
	if (rc == 0) {
		j->cert.data = malloc(len > 0 ? len : 1);
		j->rc = j->cert.data != NULL ? 0 : -ENOMEM;
		why = "no memory";
	}
	if (j->rc == 0) {
		memcpy(j->cert.data, der, len);
		j->cert.len = len;
	} else {
		snprintf(j->why, sizeof(j->why), "%s", why);
	}
	job_done(j);
	cp_capf_ask(f);
}

void cp_capf_ask(struct cp_capf *f)
{
	struct cp_capf_job *j;

	while ((j = STAILQ_FIRST(&f->asking)) != NULL) {
		struct pki_spki key;
		int rc = pki_spki_parse(j->spki.data, j->spki.len, &key);

		if (rc == 0)
			rc = f->env.issue(f->env.ctx, j->device, &key, on_issued, j);
		if (rc == -EAGAIN)
			return;
		STAILQ_REMOVE_HEAD(&f->asking, link);
		f->waits--;
		if (rc == 0) {
			f->asked++;
			continue;
		}
		j->rc = rc;
		snprintf(j->why, sizeof(j->why), "the signer: %s", strerror(-rc));
		job_done(j);
	}
}

void cp_capf_issue(void *ctx, struct cp_capf_sess *s, const char *device, const struct pki_spki *key)
{
	struct cp_capf_client *c = ctx;
	struct cp_capf *f = c->capf;
	struct cp_capf_job *j;

	if (key == NULL) {
		cp_capf_req_offer(c, device);
		return;
	}
	j = cp_capf_job_new(c, CP_CAPF_ISSUE, device);
	if (j == NULL || (j->spki.data = malloc(key->len)) == NULL) {
		free(j);
		cp_capf_sess_issued(s, -ENOMEM, NULL, 0, "no memory");
		return;
	}
	memcpy(j->spki.data, key->der, key->len);
	j->spki.len = key->len;
	if (f->env.issuer != CFG_ISSUER_OWN) {
		cp_capf_job_start(j);
		return;
	}
	c->holds++;
	STAILQ_INSERT_TAIL(&f->asking, j, link);
	f->waits++;
	cp_capf_ask(f);
}
