/* SPDX-License-Identifier: BSD-3-Clause */
/* What the end of a CAPF session, or a certificate that a phone shows elsewhere, makes of the records. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarm.h"
#include "enrol/capf_priv.h"
#include "log.h"

/* Audit: what happened to whose certificate. */
void cp_capf_audit(struct cp_batch *b, const char *event, const char *device, const char *who, const char *serial, const char *text)
{
	json_t *a = json_pack("{s:s,s:s,s:s}", "event", event, "who", who, "device", device);

	if (serial != NULL && serial[0] != '\0')
		json_object_set_new(a, "serial", json_string(serial));
	if (text != NULL && text[0] != '\0')
		json_object_set_new(a, "text", json_string(text)); /* NULL, not set, if it is no UTF-8 */
	(void)cp_batch_audit_json(b, a);
}

enum holds { HOLDS_SAME, HOLDS_THIS, HOLDS_NONE };

struct ending { /* a batch under way */
	struct cp_capf_client *c;
	struct cp_capf *capf;
	char device[CP_DEVICE_NAME_MAX];
	enum holds holds;
	struct cp_buf cert;
	bool locked;
	enum cp_capf_outcome outcome; /* of c's session */
};

/* What could not be written down did not happen, as far as the phone and the counters are told. */
static void count(struct cp_capf *f, enum cp_capf_outcome outcome, int rc)
{
	f->stats.outcome[rc < 0 ? CP_CAPF_OUT_STORE : outcome]++;
}

static void tell(struct cp_capf *f, const struct ending *e)
{
	if (e->locked && f->env.alarms != NULL)
		cp_alarm_raise(f->env.alarms, "capf-string-locked", CP_ALARM_MAJOR, e->device,
			       "%u wrong authentication strings in a row: locked for ten minutes; ravelinctl capf unlock %s", CP_CAPF_WRONG_MAX,
			       e->device);
	if (f->env.holds != NULL && e->holds != HOLDS_SAME)
		f->env.holds(f->env.ctx, e->device, e->cert.data, e->holds == HOLDS_THIS ? e->cert.len : 0);
}

static void ending_free(struct ending *e)
{
	free(e->cert.data);
	free(e);
}

static void recorded(void *ctx, int rc)
{
	struct ending *e = ctx;

	if (rc < 0)
		cfg_log_limited(CFG_LOG_ERR, "capf-store", "device=%s reason=%s", e->device, cfg_q(strerror(-rc)));
	else
		tell(e->capf, e);
	if (e->c != NULL) {
		count(e->capf, e->outcome, rc);
		e->c->holds--;
		cp_capf_sess_recorded(e->c->sess, rc);
	}
	ending_free(e);
}

/* The certificate that encrypted configuration is made for. */
static int phone_cert(struct cp_batch *b, const char *device, const struct cp_lsc *lsc, int64_t at)
{
	struct cp_phone_cert pc = {.cert = lsc->cert, .since_us = at};
	struct cp_buf val;
	int rc;

	snprintf(pc.device, sizeof(pc.device), "%s", device);
	rc = cp_phone_cert_build(&pc, &val);
	if (rc == 0) {
		rc = cp_batch_put(b, CP_CF_CAPF, device, strlen(device), val.data, val.len);
		free(val.data);
	}
	return rc;
}

/* It is known that the phone holds this one: others it has overwritten. 1: it was news; 0: it was not; or a negative errno. */
static int now_held(struct cp_capf *f, struct cp_batch *b, struct ending *e, const char *serial, unsigned others, int64_t at)
{
	struct cp_lsc rec;
	int rc, n;

	rc = cp_lscs_change(f->env.lscs, b, serial, CP_LSC_HELD, 0, at);
	if (rc < 0 && rc != -EALREADY)
		return rc;
	n = cp_lscs_change_all(f->env.lscs, b, e->device, others, serial, CP_LSC_REVOKED, CP_CRL_SUPERSEDED, at);
	if (n < 0)
		return n;
	if (rc == -EALREADY)
		return n > 0;
	rc = cp_store_lsc(f->env.store, serial, &rec);
	if (rc < 0)
		return rc;
	rc = phone_cert(b, e->device, &rec, at);
	free(e->cert.data);
	e->cert = rec.cert;
	e->holds = HOLDS_THIS;
	rec.cert = (struct cp_buf){0};
	cp_lsc_free(&rec);
	return rc < 0 ? rc : 1;
}

static int now_deleted(struct cp_capf *f, struct cp_batch *b, struct ending *e, int64_t at)
{
	struct cp_phone_cert pc;
	int rc = cp_lscs_change_all(f->env.lscs, b, e->device, CP_LSC_LIVE, NULL, CP_LSC_DELETED, CP_CRL_CEASED, at);

	e->holds = HOLDS_NONE;
	if (rc < 0 || cp_store_phone_cert(f->env.store, e->device, &pc) < 0)
		return rc < 0 ? rc : 1;
	{
		const uint8_t *p = pc.cert.data;
		X509 *cert = d2i_X509(NULL, &p, (long)pc.cert.len);

		/* its MIC stays what its configuration is encrypted for */
		if (cert != NULL && cp_lscs_state(f->env.lscs, cert) != 0)
			rc = cp_batch_del(b, CP_CF_CAPF, e->device, strlen(e->device));
		X509_free(cert);
	}
	cp_phone_cert_free(&pc);
	return rc < 0 ? rc : 1;
}

static void log_end(const struct cp_capf_client *c, const struct cp_capf_end *e)
{
	char op[64];

	snprintf(op, sizeof(op), "%s", cp_capf_op_name(e->op));
	cfg_log_limited(e->outcome == CP_CAPF_OUT_DONE || e->outcome == CP_CAPF_OUT_NOTHING ? CFG_LOG_INFO : CFG_LOG_WARN, "capf-session",
			"device=%s from=%s op=%s outcome=%s%s%s%s%s", e->device, c->from, op, cfg_q(cp_capf_outcome_text(e->outcome)),
			e->detail[0] != '\0' ? " detail=" : "", e->detail[0] != '\0' ? cfg_q(e->detail) : "",
			c->serial[0] != '\0' ? " serial=" : "", c->serial);
}

/* What this end makes of the records. 1: something changed; 0: nothing did. */
static int take_end(struct cp_capf *f, struct cp_capf_client *c, const struct cp_capf_end *end, struct cp_batch *b, struct ending *e)
{
	struct cp_capf_oprec rec;
	int64_t at = cp_capf_now_us(f);
	bool was_locked, current;
	int rc = cp_store_capf_op(f->env.store, end->device, &rec), news = 0;

	if (rc == -ENOENT) {
		memset(&rec, 0, sizeof(rec));
		rc = 0;
	}
	if (rc < 0)
		return rc;
	/* Set anew or cancelled while the session ran: what it did to certificates counts, the operation is another one. */
	current = rec.id == c->op_id && rec.id != 0;
	was_locked = rec.locked_us > at;
	if (current && cp_capf_op_end(&rec, end, at, NULL)) {
		e->locked = !was_locked && rec.locked_us > at;
		rc = cp_batch_capf_op(b, &rec);
		news = 1;
	}
	cp_capf_oprec_free(&rec);
	if (rc == 0 && end->proof != NULL && cp_lscs_state(f->env.lscs, end->proof) != 0) {
		char serial[CP_LSC_SERIAL_MAX];

		/* It has shown that it held this one when it came; what was offered since is another matter. */
		if (cp_lsc_serial(end->proof, serial) == 0 && !end->offered && end->op != CP_CAPF_OP_DELETE) {
			rc = now_held(f, b, e, serial, CP_LSC_LIVE, at);
			news |= rc > 0;
		}
	}
	if (rc >= 0 && end->op == CP_CAPF_OP_INSTALL && end->offered && c->serial[0] != '\0') {
		if (end->outcome == CP_CAPF_OUT_DONE)
			rc = now_held(f, b, e, c->serial, CP_LSC_LIVE, at);
		else if (end->outcome == CP_CAPF_OUT_PHONE || end->outcome == CP_CAPF_OUT_OLD_KEY) /* it says that it did not take it */
			rc = cp_lscs_change(f->env.lscs, b, c->serial, CP_LSC_REVOKED, CP_CRL_CEASED, at);
		if ((rc >= 0 || rc == -EALREADY) &&
		    (end->outcome == CP_CAPF_OUT_DONE || end->outcome == CP_CAPF_OUT_PHONE || end->outcome == CP_CAPF_OUT_OLD_KEY))
			cp_batch_capf_req_del(b, end->device); /* what was asked of a CA for it has served */
		news = 1;
	}
	if (rc >= 0 && end->op == CP_CAPF_OP_DELETE && end->outcome == CP_CAPF_OUT_DONE) {
		rc = now_deleted(f, b, e, at);
		news = 1;
	}
	if (rc == -EALREADY)
		rc = 0;
	if (rc >= 0 && news)
		cp_capf_audit(b, "capf.session", end->device, c->from, c->serial, cp_capf_outcome_text(end->outcome));
	return rc < 0 ? rc : news;
}

void cp_capf_record(void *ctx, struct cp_capf_sess *s, const struct cp_capf_end *end)
{
	struct cp_capf_client *c = ctx;
	struct cp_capf *f = c->capf;
	struct cp_batch *b = cp_batch_create();
	struct ending *e = calloc(1, sizeof(*e));
	struct cp_capf_end known = *end;
	struct cp_capf_job *j = NULL;
	int rc = b == NULL || e == NULL ? -ENOMEM : 0;

	if (known.proof != NULL && cp_lscs_state(f->env.lscs, known.proof) != 0) /* of an external CA, but issued for us */
		known.proof_kind = CP_CAPF_PROOF_LSC;
	end = &known;
	log_end(c, end);
	if (rc == 0) {
		e->c = c;
		e->outcome = end->outcome;
		e->capf = f;
		snprintf(e->device, sizeof(e->device), "%s", end->device);
		rc = take_end(f, c, end, b, e);
	}
	if (rc <= 0) {
		cp_batch_destroy(b);
		if (e != NULL)
			ending_free(e);
		count(f, end->outcome, rc);
		cp_capf_sess_recorded(s, rc);
		return;
	}
	if (end->fetched != NULL && f->env.files != NULL && (j = cp_capf_job_new(c, CP_CAPF_KEEP, end->device)) != NULL) {
		X509_up_ref(end->fetched);
		j->shown[0] = end->fetched;
		j->kind[0] = end->fetched_kind;
		if (end->proof != NULL && X509_cmp(end->proof, end->fetched) != 0) {
			X509_up_ref(end->proof);
			j->shown[1] = end->proof;
			j->kind[1] = end->proof_kind == CP_CAPF_PROOF_LSC ? CP_CAPF_IS_LSC : CP_CAPF_IS_MIC;
		}
	}
	c->holds++;
	rc = cp_store_submit(f->env.store, b, recorded, e);
	if (rc < 0) {
		c->holds--;
		if (j != NULL)
			cp_capf_job_free(j);
		ending_free(e);
		count(f, end->outcome, rc);
		cp_capf_sess_recorded(s, rc);
		return;
	}
	if (j != NULL)
		cp_capf_job_start(j); /* beside the record: END_SESSION does not wait for a file */
}

/* --- evidence from elsewhere --- */

void cp_capf_seen(struct cp_capf *f, const char *device, X509 *cert)
{
	enum cp_lsc_state state = cp_lscs_state(f->env.lscs, cert);
	struct cp_batch *b = NULL;
	struct ending *e = NULL;
	struct cp_capf_oprec rec;
	struct cp_capf_req req;
	struct cp_lsc lsc;
	char serial[CP_LSC_SERIAL_MAX];
	unsigned others = CP_LSC_LIVE;
	int64_t at = cp_capf_now_us(f);
	int rc;

	/* what is held is no news; what is refused was refused before it came here */
	if ((state != CP_LSC_OFFERED && state != CP_LSC_SUPERSEDED) || cp_lsc_serial(cert, serial) < 0 ||
	    cp_store_lsc(f->env.store, serial, &lsc) < 0)
		return;
	if (cp_capf_busy(f, device)) /* a newer one may be on its way to it right now */
		others &= ~CP_LSC_BIT(CP_LSC_OFFERED);
	b = cp_batch_create();
	e = calloc(1, sizeof(*e));
	if (strcmp(lsc.device, device) != 0 || b == NULL || e == NULL)
		goto out;
	e->capf = f;
	snprintf(e->device, sizeof(e->device), "%s", device);
	if (now_held(f, b, e, serial, others, at) < 0)
		goto out;
	if (cp_store_capf_op(f->env.store, device, &rec) == 0) {
		if (rec.id == lsc.op_id && rec.op == CP_CAPF_OP_INSTALL && rec.status != CP_CAPF_ST_DONE && rec.status != CP_CAPF_ST_NONE) {
			struct cp_capf_end end = {.outcome = CP_CAPF_OUT_DONE, .op = CP_CAPF_OP_INSTALL, .device = device,
						  .detail = "it showed its new LSC", .authenticated = true};

			rec.status = CP_CAPF_ST_PENDING; /* it had been given up */
			if (cp_capf_op_end(&rec, &end, at, NULL) && cp_batch_capf_op(b, &rec) < 0) {
				cp_capf_oprec_free(&rec);
				goto out;
			}
		}
		cp_capf_oprec_free(&rec);
	}
	if (lsc.external && cp_store_capf_req(f->env.store, device, &req) == 0) { /* it may be a newer operation's by now */
		if (req.op_id == lsc.op_id)
			cp_batch_capf_req_del(b, device);
		cp_capf_req_free(&req);
	}
	cp_capf_audit(b, "capf.evidence", device, "the phone", serial, "it showed its LSC");
	rc = cp_store_submit(f->env.store, b, recorded, e);
	b = NULL;
	if (rc == 0)
		e = NULL;
	cfg_log(CFG_LOG_NOTICE, "capf-evidence", "device=%s serial=%s was=%s", device, serial, cp_lsc_state_name(state));
out:
	cp_batch_destroy(b);
	if (e != NULL)
		ending_free(e);
	cp_lsc_free(&lsc);
}
