/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A third party's CA behind CAPF. A phone's key becomes a request, which is written down before anything else; then operators carry
 * requests out and certificates in (batch), or the CA is asked over SCEP. A certificate is checked before it is believed, written down, and
 * offered: in the session that still waits, or in the phone's next one, which is not asked for another key then.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509v3.h>

#include "alarm.h"
#include "enrol/capf_priv.h"
#include "enrol/scepc.h"
#include "log.h"
#include "scep.h"
#include "signer.h"
#include "x509.h"

#define SENT_MAX   3  /* a phone that never says what became of it is asked for a new key then */
#define ASK_AT_ONCE 16 /* begun in one second */
#define CERT_MAX   8192 /* bytes: it must fit a message and a phone's flash */

static void keep(struct cp_capf_req *req, const char *note)
{
	snprintf(req->note, sizeof(req->note), "%s", note);
}

static int set_cert(struct cp_capf_req *req, X509 *cert)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der);
	uint8_t *own = len > 0 ? malloc((size_t)len) : NULL;

	if (own != NULL) {
		memcpy(own, der, (size_t)len);
		free(req->cert.data);
		req->cert = (struct cp_buf){own, (size_t)len};
	}
	OPENSSL_free(der);
	return own != NULL ? 0 : -ENOMEM;
}

static EVP_PKEY *key_of(const struct cp_capf_req *req)
{
	const uint8_t *p = req->csr.data;
	X509_REQ *csr = d2i_X509_REQ(NULL, &p, (long)req->csr.len);
	EVP_PKEY *pub = csr != NULL ? X509_REQ_get_pubkey(csr) : NULL;

	X509_REQ_free(csr);
	return pub;
}

/* --- the phone comes --- */

void cp_capf_req_order(struct cp_capf *f, const struct cp_capf_oprec *rec, struct cp_capf_order *order)
{
	struct cp_capf_req req;

	if (order->op != CP_CAPF_OP_INSTALL || cp_store_capf_req(f->env.store, rec->device, &req) < 0)
		return;
	if (req.op_id == rec->id) {
		order->ready = req.state == CP_CAPF_REQ_READY && req.sent < SENT_MAX;
		order->awaiting = req.state == CP_CAPF_REQ_WAITING;
	}
	cp_capf_req_free(&req);
}

void cp_capf_req_offer(struct cp_capf_client *c, const char *device)
{
	struct cp_capf *f = c->capf;
	struct cp_batch *b = cp_batch_create();
	struct cp_capf_req req;
	const uint8_t *p;
	X509 *cert = NULL;
	int rc = cp_store_capf_req(f->env.store, device, &req);

	if (rc < 0 || b == NULL || req.state != CP_CAPF_REQ_READY) {
		cp_batch_destroy(b);
		if (rc == 0)
			cp_capf_req_free(&req);
		cp_capf_sess_issued(c->sess, rc < 0 ? rc : -ENOENT, NULL, 0, "its certificate cannot be read now");
		return;
	}
	p = req.cert.data;
	cert = d2i_X509(NULL, &p, (long)req.cert.len);
	if (cert == NULL || cp_lscs_refused(f->env.lscs, cert)) { /* revoked before it ever went out */
		req.state = CP_CAPF_REQ_REFUSED;
		free(req.cert.data);
		req.cert = (struct cp_buf){0};
		keep(&req, "the certificate was revoked before it went out");
		rc = cp_batch_capf_req(b, &req);
		if (rc < 0)
			cp_batch_destroy(b);
		else
			rc = cp_store_submit(f->env.store, b, NULL, NULL);
		if (rc < 0) /* it is refused again the next time */
			cfg_log_limited(CFG_LOG_ERR, "capf-store", "device=%s reason=%s", device, cfg_q(strerror(-rc)));
		cp_capf_sess_issued(c->sess, -EKEYREJECTED, NULL, 0, req.note);
		X509_free(cert);
	} else {
		req.sent++;
		rc = cp_batch_capf_req(b, &req);
		if (rc == 0) {
			cp_capf_offer(c, device, cert, b);
			X509_free(cert);
		} else {
			cp_batch_destroy(b);
			X509_free(cert);
			cp_capf_sess_issued(c->sess, rc, NULL, 0, "its record could not be written");
		}
	}
	cp_capf_req_free(&req);
}

/* --- what came from the CA --- */

/* The session that waits for this, if it still does. */
static struct cp_capf_client *waits(struct cp_capf *f, const char *device)
{
	struct cp_ent *e = cp_tab_find(&f->slots, device, strlen(device));
	struct cp_capf_client *c = e != NULL ? e->obj : NULL;

	return c != NULL && c->asks && !c->ended ? c : NULL;
}

static int refused(char *why, size_t size, int rc, const char *text)
{
	snprintf(why, size, "%s", text);
	return rc;
}

/* May the phone have this certificate? */
static int check(struct cp_capf *f, const struct cp_capf_req *req, X509 *cert, STACK_OF(X509) *more, char *why, size_t size)
{
	EVP_PKEY *pub = key_of(req);
	char device[PKI_DEVICE_MAX], serial[CP_LSC_SERIAL_MAX];
	bool same = pub != NULL && EVP_PKEY_eq(pub, X509_get0_pubkey(cert)) == 1;
	struct cp_lsc known;

	EVP_PKEY_free(pub);
	if (!same)
		return refused(why, size, -EACCES, "it is for another key than the request");
	if (pki_name_device(cert, device) < 0 || strcmp(device, req->device) != 0)
		return refused(why, size, -EACCES, "it does not name the device");
	if (i2d_X509(cert, NULL) > CERT_MAX)
		return refused(why, size, -EACCES, "it is larger than a phone takes");
	if (X509_check_ca(cert) == 1 || (X509_get_key_usage(cert) & KU_DIGITAL_SIGNATURE) == 0)
		return refused(why, size, -EACCES, "wrong usage: no certificate for an end, with digitalSignature");
	if (cp_lsc_serial(cert, serial) < 0)
		return refused(why, size, -EACCES, "its serial number has more than 20 bytes");
	if (cp_store_lsc(f->env.store, serial, &known) == 0) {
		bool this = cp_lscs_state(f->env.lscs, cert) != 0;
		bool dead = cp_lscs_refused(f->env.lscs, cert);

		cp_lsc_free(&known);
		if (!this)
			return refused(why, size, -EACCES, "another certificate on record has its serial number");
		if (dead)
			return refused(why, size, -EACCES, "it was revoked or deleted here");
	}
	return f->env.vouched(f->env.ctx, cert, more, why, size);
}

/* The operation's record says how it stands, for reports. */
static int note_op(struct cp_capf *f, struct cp_batch *b, const struct cp_capf_req *req, enum cp_capf_outcome out)
{
	struct cp_capf_oprec rec;
	int rc = cp_store_capf_op(f->env.store, req->device, &rec);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (rec.id == req->op_id && rec.status == CP_CAPF_ST_PENDING) {
		rec.tried = true;
		rec.outcome = (uint8_t)out;
		snprintf(rec.detail, sizeof(rec.detail), "%s", req->note);
		rc = cp_batch_capf_op(b, &rec);
	}
	cp_capf_oprec_free(&rec);
	return rc;
}

int cp_capf_take(struct cp_capf *f, struct cp_batch *b, X509 *cert, STACK_OF(X509) *more, char device[16], char *why, size_t size)
{
	struct cp_capf_oprec op;
	struct cp_capf_req req;
	char serial[CP_LSC_SERIAL_MAX];
	int rc;

	device[0] = '\0';
	if (pki_name_device(cert, device) < 0)
		return refused(why, size, -EACCES, "it names no device");
	rc = cp_store_capf_req(f->env.store, device, &req);
	if (rc < 0)
		return refused(why, size, rc == -ENOENT && cp_lscs_state(f->env.lscs, cert) != 0 ? -EALREADY : rc,
			       rc == -ENOENT ? "no request of this device waits" : "its request cannot be read");
	if (req.state == CP_CAPF_REQ_READY) {
		const uint8_t *p = req.cert.data;
		X509 *have = d2i_X509(NULL, &p, (long)req.cert.len);
		bool same = have != NULL && X509_cmp(have, cert) == 0;

		X509_free(have);
		if (same)
			rc = refused(why, size, -EALREADY, "it is there already");
	}
	if (rc == 0 && (cp_store_capf_op(f->env.store, device, &op) < 0))
		rc = refused(why, size, -ENOENT, "no operation of this device is pending");
	else if (rc == 0) {
		if (op.id != req.op_id || op.status != CP_CAPF_ST_PENDING)
			rc = refused(why, size, -ENOENT, "the operation that it was asked for is over");
		cp_capf_oprec_free(&op);
	}
	if (rc == 0)
		rc = check(f, &req, cert, more, why, size);
	if (rc == 0)
		rc = set_cert(&req, cert);
	if (rc == 0) {
		req.state = CP_CAPF_REQ_READY;
		req.pending = false;
		req.sent = 0;
		keep(&req, "its certificate is there: reset the phone");
		rc = cp_batch_capf_req(b, &req);
	}
	if (rc == 0)
		rc = note_op(f, b, &req, CP_CAPF_OUT_AWAITING);
	if (rc == 0) {
		cp_lsc_serial(cert, serial);
		cp_capf_audit(b, "capf.external", device, "the CA", serial, NULL);
	}
	cp_capf_req_free(&req);
	return rc;
}

/* --- SCEP --- */

struct asking { /* one exchange, and the batch after it */
	struct cp_capf *f;
	char device[CP_DEVICE_NAME_MAX];
	uint64_t op_id;
	uint8_t csr[32]; /* hash of the request: one operation may come to another key meanwhile */
	int rc; /* for the session that waits */
	char why[CP_CAPF_DETAIL_MAX];
};

static void resume(struct cp_capf *f, const char *device, int rc, const char *why)
{
	struct cp_capf_client *c = waits(f, device);

	if (c == NULL)
		return;
	c->asks = false;
	if (rc == 0)
		cp_capf_req_offer(c, device);
	else
		cp_capf_sess_issued(c->sess, rc, NULL, 0, why);
}

static void asked_written(void *ctx, int rc)
{
	struct asking *a = ctx;

	if (rc < 0)
		cfg_log_limited(CFG_LOG_ERR, "capf-store", "device=%s reason=%s", a->device, cfg_q(strerror(-rc)));
	cp_tab_del(&a->f->scep_now, a->device, strlen(a->device));
	resume(a->f, a->device, rc < 0 ? rc : a->rc, rc < 0 ? "its record could not be written" : a->why);
	free(a);
}

/* What the CA's answer makes of the record. 0: a certificate; -EINPROGRESS, -EKEYREJECTED; others: the batch failed. */
static int judge(struct asking *a, const struct cp_scepc_result *r, struct cp_capf_req *req, struct cp_batch *b)
{
	struct cp_capf *f = a->f;
	char device[PKI_DEVICE_MAX], text[200];
	int rc;

	req->asked++;
	req->last_us = cp_capf_now_us(f);
	if (r->rc < 0) {
		snprintf(a->why, sizeof(a->why), "%s", r->why);
		a->rc = -EINPROGRESS; /* it is asked again */
		if (f->env.alarms != NULL)
			cp_alarm_raise(f->env.alarms, "scep-failing", CP_ALARM_MAJOR, "CAPF", "the external CA cannot issue: %s", r->why);
	} else {
		if (f->env.alarms != NULL)
			cp_alarm_clear(f->env.alarms, "scep-failing", "CAPF");
		if (r->status == PKI_SCEP_SUCCESS) {
			X509 *cert = sk_X509_value(r->certs, 0);

			rc = cert != NULL ? cp_capf_take(f, b, cert, r->certs, device, text, sizeof(text)) : -EBADMSG;
			if (rc == 0)
				return 0;
			if (rc != -EACCES && rc != -EBADMSG)
				return rc;
			snprintf(a->why, sizeof(a->why), "what the CA issued is not good: %.100s", cert != NULL ? text : "no certificate");
			a->rc = -EKEYREJECTED;
		} else if (r->status == PKI_SCEP_PENDING) {
			snprintf(a->why, sizeof(a->why), "the CA has the request and has not decided");
			req->pending = true;
			a->rc = -EINPROGRESS;
		} else if (req->pending && r->fail == 4) { /* it has forgotten what it said would wait */
			snprintf(a->why, sizeof(a->why), "the CA has lost the request: it is asked anew");
			req->pending = false;
			a->rc = -EINPROGRESS;
		} else {
			snprintf(a->why, sizeof(a->why), "%.95s%s%.35s", pki_scep_fail_text(r->fail), r->why[0] != '\0' ? "; it says: " : "", r->why);
			a->rc = -EKEYREJECTED;
		}
	}
	if (a->rc == -EINPROGRESS && req->last_us - req->since_us > (int64_t)f->env.give_up_h * 3600000000) {
		char last[100];

		snprintf(last, sizeof(last), "%.99s", a->why);
		snprintf(a->why, sizeof(a->why), "given up after %u hours: %s", f->env.give_up_h, last);
		a->rc = -EKEYREJECTED;
	}
	if (a->rc == -EKEYREJECTED)
		req->state = CP_CAPF_REQ_REFUSED;
	keep(req, a->why);
	rc = cp_batch_capf_req(b, req);
	return rc == 0 ? note_op(f, b, req, a->rc == -EKEYREJECTED ? CP_CAPF_OUT_CA : CP_CAPF_OUT_AWAITING) : rc;
}

static bool hash(const struct cp_capf_req *req, uint8_t ret[32])
{
	return EVP_Digest(req->csr.data, req->csr.len, ret, NULL, EVP_sha256(), NULL) == 1;
}

static int ask(struct cp_capf *f, const struct cp_capf_req *req);

/* Set anew, or of another key: if that waits for the CA, and nobody asks for it, it is asked for now. 0: it is. */
static int ask_instead(struct asking *a, const struct cp_capf_req *req)
{
	cp_tab_del(&a->f->scep_now, a->device, strlen(a->device));
	return req->scep && req->state == CP_CAPF_REQ_WAITING ? ask(a->f, req) : -ENOENT;
}

static void answered(void *ctx, const struct cp_scepc_result *r)
{
	struct asking *a = ctx;
	struct cp_capf *f = a->f;
	struct cp_batch *b = cp_batch_create();
	struct cp_capf_req req;
	uint8_t now[32];
	int rc = b == NULL ? -ENOMEM : cp_store_capf_req(f->env.store, a->device, &req);

	if (rc == 0) {
		bool same = req.op_id == a->op_id && hash(&req, now) && memcmp(now, a->csr, sizeof(now)) == 0;

		if (!same)
			rc = ask_instead(a, &req);
		else
			rc = req.state == CP_CAPF_REQ_WAITING ? judge(a, r, &req, b) : -ENOENT;
		cp_capf_req_free(&req);
		if (!same && rc == 0) { /* the session that waits goes on waiting, for that one */
			cp_batch_destroy(b);
			free(a);
			return;
		}
	}
	if (rc == 0) {
		rc = cp_store_submit(f->env.store, b, asked_written, a);
		b = NULL;
		if (rc == 0)
			return;
	}
	cp_batch_destroy(b);
	a->rc = rc;
	snprintf(a->why, sizeof(a->why), rc == -ENOENT ? "the operation is another one by now" : "its record could not be written");
	cp_tab_del(&f->scep_now, a->device, strlen(a->device));
	resume(f, a->device, a->rc, a->why);
	free(a);
}

static int ask(struct cp_capf *f, const struct cp_capf_req *req)
{
	struct asking *a = NULL;
	EVP_PKEY *pub = NULL;
	int rc;

	if (f->env.scep == NULL)
		return -EINVAL;
	if (cp_tab_find(&f->scep_now, req->device, strlen(req->device)) != NULL)
		return 0;
	pub = key_of(req);
	a = calloc(1, sizeof(*a));
	if (pub == NULL || a == NULL || !hash(req, a->csr) || cp_tab_put(&f->scep_now, req->device, strlen(req->device)) == NULL) {
		rc = -ENOMEM;
	} else {
		a->f = f;
		a->op_id = req->op_id;
		memcpy(a->device, req->device, sizeof(a->device));
		rc = cp_scepc_ask(f->env.scep, req->device, req->pending ? PKI_RA_POLL : PKI_RA_ENROL, pub, answered, a);
		if (rc < 0)
			cp_tab_del(&f->scep_now, req->device, strlen(req->device));
	}
	EVP_PKEY_free(pub);
	if (rc < 0)
		free(a);
	return rc;
}

struct due {
	struct cp_capf *f;
	int64_t at;
	unsigned n;
};

static bool due_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct due *d = ctx;
	struct cp_capf_oprec op;
	struct cp_capf_req req;
	bool mine = false;

	if (key_len <= 4 || memcmp(key, "req/", 4) != 0 || cp_capf_req_parse(val, len, &req) < 0)
		return true;
	if (req.scep && req.state == CP_CAPF_REQ_WAITING && req.last_us + (int64_t)d->f->env.poll_s * 1000000 <= d->at &&
	    cp_store_capf_op(d->f->env.store, req.device, &op) == 0) {
		mine = op.id == req.op_id && op.status == CP_CAPF_ST_PENDING;
		cp_capf_oprec_free(&op);
	}
	if (mine && ask(d->f, &req) == 0)
		d->n++;
	cp_capf_req_free(&req);
	return d->n < ASK_AT_ONCE;
}

void cp_capf_req_tick(struct cp_capf *f)
{
	struct due d = {.f = f, .at = cp_capf_now_us(f)};

	/* Once in a while: each look goes through all records. */
	if (f->env.scep == NULL || d.at < f->look_us || f->scep_now.cnt >= ASK_AT_ONCE)
		return;
	cp_store_each(f->env.store, CP_CF_CAPF, due_one, &d);
	f->look_us = d.at + (d.n >= ASK_AT_ONCE ? 1 : f->env.poll_s < 20 ? 1 : 10) * INT64_C(1000000);
}

/* --- a new request --- */

void cp_capf_request_work(struct cp_capf_job *j)
{
	const struct cp_capf_env *env = &j->c->capf->env;
	const uint8_t *p = j->spki.data;
	EVP_PKEY *pub = d2i_PUBKEY(NULL, &p, (long)j->spki.len);

	j->rc = pub != NULL ? env->request(env->ctx, j->device, pub, &j->csr, &j->csr_len, j->why, sizeof(j->why)) : -EBADMSG;
	if (pub == NULL)
		snprintf(j->why, sizeof(j->why), "its key cannot be read");
	EVP_PKEY_free(pub);
}

struct making { /* a batch under way */
	struct cp_capf_client *c;
	char device[CP_DEVICE_NAME_MAX];
	bool scep;
};

static void made(void *ctx, int rc)
{
	struct making *m = ctx;
	struct cp_capf_client *c = m->c;
	struct cp_capf_req req;

	c->holds--;
	if (rc < 0) {
		cfg_log_limited(CFG_LOG_ERR, "capf-store", "device=%s reason=%s", m->device, cfg_q(strerror(-rc)));
		cp_capf_sess_issued(c->sess, rc, NULL, 0, "its request could not be written down");
	} else if (!m->scep) {
		cp_capf_sess_issued(c->sess, -EINPROGRESS, NULL, 0, "its request waits for the CA: capf requests");
	} else {
		rc = cp_store_capf_req(c->capf->env.store, m->device, &req);
		if (rc == 0) {
			c->asks = !c->ended;
			rc = ask(c->capf, &req);
			cp_capf_req_free(&req);
		}
		if (rc < 0) {
			c->asks = false;
			cp_capf_sess_issued(c->sess, -EINPROGRESS, NULL, 0, "the CA cannot be asked now: it is, later");
		}
	}
	free(m);
}

void cp_capf_requested(struct cp_capf_job *j)
{
	struct cp_capf_client *c = j->c;
	struct cp_capf *f = c->capf;
	struct cp_capf_req req = {.op_id = c->op_id, .state = CP_CAPF_REQ_WAITING, .scep = f->env.scep != NULL, .since_us = cp_capf_now_us(f)};
	struct cp_batch *b = cp_batch_create();
	struct making *m = calloc(1, sizeof(*m));
	int rc = j->rc < 0 ? j->rc : b == NULL || m == NULL ? -ENOMEM : 0;

	if (rc == 0) {
		m->c = c;
		m->scep = req.scep;
		memcpy(m->device, j->device, sizeof(m->device));
		memcpy(req.device, j->device, sizeof(req.device));
		req.csr = (struct cp_buf){j->csr, j->csr_len}; /* borrowed */
		req.last_us = req.since_us;
		rc = cp_batch_capf_req(b, &req);
	}
	if (rc == 0) {
		cp_capf_audit(b, "capf.request", j->device, c->from, NULL, req.scep ? "scep" : "batch");
		c->holds++;
		rc = cp_store_submit(f->env.store, b, made, m);
		b = NULL;
		if (rc == 0)
			return;
		c->holds--;
	}
	cp_batch_destroy(b);
	free(m);
	if (j->rc < 0)
		cfg_log_limited(CFG_LOG_ERR, "capf-issue", "device=%s reason=%s", j->device, cfg_q(j->why));
	cp_capf_sess_issued(c->sess, rc, NULL, 0, j->rc < 0 ? j->why : "its request could not be written down");
}
