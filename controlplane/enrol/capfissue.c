/* SPDX-License-Identifier: BSD-3-Clause */
/* How a phone's public key becomes a certificate that it is offered: issued on a thread, written down, then said. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "enrol/capf_priv.h"
#include "log.h"

void cp_capf_issue(void *ctx, struct cp_capf_sess *s, const char *device, EVP_PKEY *pub)
{
	struct cp_capf_client *c = ctx;
	struct cp_capf_job *j = cp_capf_job_new(c, CP_CAPF_ISSUE, device);

	if (j == NULL || EVP_PKEY_up_ref(pub) != 1) {
		free(j);
		cp_capf_sess_issued(s, -ENOMEM, NULL, 0, "no memory");
		return;
	}
	j->pub = pub;
	cp_capf_job_start(j);
}

struct offer { /* a batch under way */
	struct cp_capf_client *c;
	uint8_t *der;
	int len;
};

static void offered(void *ctx, int rc)
{
	struct offer *o = ctx;

	o->c->holds--;
	if (rc < 0)
		cfg_log_limited(CFG_LOG_ERR, "capf-store", "device=%s reason=%s", o->c->device, cfg_q(strerror(-rc)));
	cp_capf_sess_issued(o->c->sess, rc, o->der, (size_t)o->len, rc < 0 ? "its record could not be written" : NULL);
	OPENSSL_free(o->der);
	free(o);
}

static int64_t expires_us(X509 *cert)
{
	struct tm tm;

	return ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? (int64_t)timegm(&tm) * 1000000 : 0;
}

void cp_capf_issued(struct cp_capf_job *j)
{
	struct cp_capf_client *c = j->c;
	struct cp_capf *f = c->capf;
	struct cp_lsc rec = {.state = CP_LSC_OFFERED, .op_id = c->op_id, .offered_us = cp_capf_now_us(f)};
	struct offer *o = calloc(1, sizeof(*o));
	struct cp_batch *b = cp_batch_create();
	int rc = j->rc;

	if (rc == 0 && (o == NULL || b == NULL))
		rc = -ENOMEM;
	if (rc == 0) {
		f->stats.issued++;
		o->c = c;
		o->len = i2d_X509(j->cert, &o->der);
		rc = o->len > 0 ? cp_lsc_serial(j->cert, rec.serial) : -ENOMEM;
	}
	if (rc == 0) {
		memcpy(rec.device, j->device, sizeof(rec.device));
		rec.cert = (struct cp_buf){o->der, (size_t)o->len};
		rec.expires_us = expires_us(j->cert);
		/* what went out before and was never heard of again: the phone may still hold it, until it holds this one */
		rc = cp_lscs_change_all(f->env.lscs, b, j->device, CP_LSC_BIT(CP_LSC_OFFERED), NULL, CP_LSC_SUPERSEDED, 0, rec.offered_us);
	}
	if (rc >= 0)
		rc = cp_batch_lsc(b, &rec);
	if (rc == 0) {
		cp_capf_audit(b, "capf.offer", j->device, c->from, rec.serial, NULL);
		memcpy(c->serial, rec.serial, sizeof(c->serial));
		X509_free(c->cert);
		c->cert = j->cert;
		j->cert = NULL;
		c->holds++;
		rc = cp_store_submit(f->env.store, b, offered, o);
		b = NULL;
		if (rc == 0)
			return;
		c->holds--;
	}
	if (j->rc < 0)
		cfg_log_limited(CFG_LOG_ERR, "capf-issue", "device=%s reason=%s", j->device, cfg_q(j->why));
	cp_batch_destroy(b);
	if (o != NULL)
		OPENSSL_free(o->der);
	free(o);
	cp_capf_sess_issued(c->sess, rc, NULL, 0, j->rc < 0 ? j->why : "its record could not be written");
}
