/* SPDX-License-Identifier: BSD-3-Clause */
#include "enrol/capf.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "alarm.h"
#include "enrol/capffile.h"
#include "log.h"
#include "net/net.h"
#include "offload.h"
#include "store/phonecfg.h"
#include "store/store.h"
#include "store/tab.h"

#define SWEEP_MS 3600000u
#define KEEP_US  (INT64_C(90) * 86400 * 1000000) /* an expired certificate's record */

struct client { /* a connection, its session, and what is under way for them */
	TAILQ_ENTRY(client) link;
	struct cp_capf *capf;
	struct cp_conn *conn; /* NULL: gone */
	struct cp_capf_sess *sess;
	char device[CP_DEVICE_NAME_MAX]; /* whose slot it has; "": none */
	char from[64];
	uint64_t op_id;
	char serial[CP_LSC_SERIAL_MAX]; /* of what was offered */
	X509 *cert;                     /* that very certificate: reading one again is slow */
	unsigned holds;                 /* jobs and batches that will call back */
	bool ended;
};

enum what { UNSEAL, ISSUE, KEEP };

struct job {
	STAILQ_ENTRY(job) link;
	struct client *c;
	enum what what;
	int rc;
	char device[CP_DEVICE_NAME_MAX];
	char why[160];
	/* UNSEAL */
	struct cp_buf sealed;
	char aad[64], string[CP_CAPF_STRING_MAX + 1];
	struct cp_capf_order order;
	/* ISSUE */
	EVP_PKEY *pub;
	X509 *cert;
	/* KEEP: what it showed, and what it authenticated with */
	X509 *shown[2];
	uint8_t kind[2];
	struct cp_batch *batch; /* submitted behind it */
};

struct cp_capf {
	struct cp_capf_env env;
	TAILQ_HEAD(, client) clients;
	struct cp_tab slots; /* device -> client */
	STAILQ_HEAD(, job) waiting;
	unsigned jobs, waits;
	struct event *tick;
	uint32_t next_id;
	uint64_t swept_ms;
	struct cp_capf_stats stats;
};

static int64_t now_us(const struct cp_capf *f)
{
	struct timespec ts;

	if (f->env.now_us != NULL)
		return f->env.now_us(f->env.ctx);
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static uint64_t now_ms(const struct cp_capf *f)
{
	struct timespec ts;

	if (f->env.now_ms != NULL)
		return f->env.now_ms(f->env.ctx);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* --- jobs on threads --- */

static void job_free(struct job *j)
{
	if (j->sealed.data != NULL)
		explicit_bzero(j->sealed.data, j->sealed.len);
	free(j->sealed.data);
	EVP_PKEY_free(j->pub);
	X509_free(j->cert);
	X509_free(j->shown[0]);
	X509_free(j->shown[1]);
	cp_batch_destroy(j->batch);
	explicit_bzero(j, sizeof(*j));
	free(j);
}

static void job_work(void *arg)
{
	struct job *j = arg;
	const struct cp_capf_env *env = &j->c->capf->env;

	switch (j->what) {
	case UNSEAL:
		j->rc = env->unseal(env->ctx, &j->sealed, j->aad, j->string);
		break;
	case ISSUE:
		j->rc = env->issue(env->ctx, j->device, j->pub, &j->cert, j->why, sizeof(j->why));
		break;
	case KEEP:
		for (unsigned i = 0; i < 2 && j->rc == 0; i++)
			if (j->shown[i] != NULL)
				j->rc = cp_capf_file_write(env->files, j->device, j->kind[i], j->shown[i], j->why, sizeof(j->why));
		break;
	}
}

static void job_done(void *arg);

static void run_waiting(struct cp_capf *f)
{
	struct job *j;

	while (f->jobs < CP_CAPF_JOBS && (j = STAILQ_FIRST(&f->waiting)) != NULL) {
		if (cp_offload_run(f->env.offload, job_work, job_done, j) < 0)
			return; /* others have all threads: the tick tries again */
		STAILQ_REMOVE_HEAD(&f->waiting, link);
		f->waits--;
		f->jobs++;
	}
}

static struct job *job_new(struct client *c, enum what what, const char *device)
{
	struct job *j = calloc(1, sizeof(*j));

	if (j != NULL) {
		j->c = c;
		j->what = what;
		snprintf(j->device, sizeof(j->device), "%s", device);
	}
	return j;
}

static void job_start(struct job *j)
{
	struct cp_capf *f = j->c->capf;

	j->c->holds++;
	STAILQ_INSERT_TAIL(&f->waiting, j, link);
	f->waits++;
	run_waiting(f);
}

/* --- the session's owner --- */

static void o_send(void *ctx, const uint8_t *data, size_t len)
{
	struct client *c = ctx;

	if (c->conn != NULL)
		(void)cp_conn_send(c->conn, data, len); /* too slow: closed() follows */
}

static void slot_free(struct client *c)
{
	if (c->device[0] != '\0')
		cp_tab_del(&c->capf->slots, c->device, strlen(c->device));
	c->device[0] = '\0';
}

static void o_close(void *ctx)
{
	struct client *c = ctx;

	c->ended = true; /* freed by the tick, or when the connection is gone: never from inside the session */
	slot_free(c);
	if (c->conn != NULL)
		cp_conn_close(c->conn);
}

static void o_known(void *ctx)
{
	struct client *c = ctx;

	if (c->conn != NULL)
		cp_conn_authed(c->conn);
}

static void o_order(void *ctx, struct cp_capf_sess *s, const char *device)
{
	struct client *c = ctx;
	struct cp_capf *f = c->capf;
	const struct cp_device *dev = cp_dir_device(f->env.store, device);
	struct cp_capf_order order = {0};
	struct cp_capf_oprec rec;
	struct cp_ent *slot;
	struct job *j;
	int rc;

	if (dev == NULL) {
		cfg_log_limited(CFG_LOG_WARN, "capf-unknown-device", "device=%s from=%s", cfg_q(device), c->from);
		f->stats.outcome[CP_CAPF_OUT_UNKNOWN_DEVICE]++;
		cp_capf_sess_order(s, -ENOENT, NULL);
		return;
	}
	if (cp_tab_find(&f->slots, device, strlen(device)) != NULL) {
		cfg_log_limited(CFG_LOG_WARN, "capf-busy", "device=%s from=%s", device, c->from);
		f->stats.outcome[CP_CAPF_OUT_BUSY]++;
		cp_capf_sess_order(s, -EBUSY, NULL);
		return;
	}
	rc = cp_store_capf_op(f->env.store, device, &rec);
	if (rc == -ENOENT) { /* nobody ever set one */
		memset(&rec, 0, sizeof(rec));
		rc = 0;
	}
	slot = rc == 0 ? cp_tab_put(&f->slots, device, strlen(device)) : NULL;
	if (slot == NULL) {
		cp_capf_sess_order(s, rc == 0 ? -ENOMEM : rc, NULL);
		return;
	}
	slot->obj = c;
	snprintf(c->device, sizeof(c->device), "%s", device);
	c->op_id = rec.id;
	cp_capf_op_order(&rec, now_us(f), f->env.old_phone != NULL && f->env.old_phone(f->env.ctx, dev), &order);
	if (order.op == CP_CAPF_OP_NONE || order.by != CP_CAPF_BY_STRING || order.locked) {
		cp_capf_oprec_free(&rec);
		cp_capf_sess_order(s, 0, &order);
		return;
	}
	j = job_new(c, UNSEAL, device);
	if (j == NULL) {
		cp_capf_oprec_free(&rec);
		cp_capf_sess_order(s, -ENOMEM, NULL);
		return;
	}
	j->order = order;
	j->sealed = rec.string;
	rec.string = (struct cp_buf){0};
	cp_capf_string_aad(device, rec.id, j->aad);
	cp_capf_oprec_free(&rec);
	job_start(j);
}

static void unsealed(struct job *j)
{
	if (j->rc < 0)
		cfg_log_limited(CFG_LOG_ERR, "capf-string", "device=%s reason=%s", j->device, cfg_q(strerror(-j->rc)));
	memcpy(j->order.string, j->string, sizeof(j->order.string));
	cp_capf_sess_order(j->c->sess, j->rc, &j->order);
}

/* --- issuing --- */

static void o_issue(void *ctx, struct cp_capf_sess *s, const char *device, EVP_PKEY *pub)
{
	struct client *c = ctx;
	struct job *j = job_new(c, ISSUE, device);

	if (j == NULL || EVP_PKEY_up_ref(pub) != 1) {
		free(j);
		cp_capf_sess_issued(s, -ENOMEM, NULL, 0, "no memory");
		return;
	}
	j->pub = pub;
	job_start(j);
}

struct offer { /* a batch under way */
	struct client *c;
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

/* Audit: what happened to whose certificate. */
static void audit(struct cp_batch *b, const char *event, const char *device, const char *who, const char *serial, const char *text)
{
	json_t *a = json_pack("{s:s,s:s,s:s}", "event", event, "who", who, "device", device);
	char *line;

	if (serial != NULL && serial[0] != '\0')
		json_object_set_new(a, "serial", json_string(serial));
	if (text != NULL && text[0] != '\0')
		json_object_set_new(a, "text", json_string(text)); /* NULL, not set, if it is no UTF-8 */
	line = json_dumps(a, JSON_COMPACT);
	if (line != NULL)
		cp_batch_audit(b, line);
	free(line);
	json_decref(a);
}

static int64_t expires_us(X509 *cert)
{
	struct tm tm;

	return ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? (int64_t)timegm(&tm) * 1000000 : 0;
}

static void issued(struct job *j)
{
	struct client *c = j->c;
	struct cp_capf *f = c->capf;
	struct cp_lsc rec = {.state = CP_LSC_OFFERED, .op_id = c->op_id, .offered_us = now_us(f)};
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
		audit(b, "capf.offer", j->device, c->from, rec.serial, NULL);
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

/* --- the end --- */

enum holds { HOLDS_SAME, HOLDS_THIS, HOLDS_NONE };

struct ending { /* a batch under way */
	struct client *c;
	struct cp_capf *capf;
	char device[CP_DEVICE_NAME_MAX];
	enum holds holds;
	X509 *cert;
	bool locked;
};

static void tell(struct cp_capf *f, const struct ending *e)
{
	if (e->locked && f->env.alarms != NULL)
		cp_alarm_raise(f->env.alarms, "capf-string-locked", CP_ALARM_MAJOR, e->device,
			       "%u wrong authentication strings in a row: locked for ten minutes; ravelinctl capf unlock %s", CP_CAPF_WRONG_MAX,
			       e->device);
	if (f->env.holds != NULL && e->holds != HOLDS_SAME)
		f->env.holds(f->env.ctx, e->device, e->holds == HOLDS_THIS ? e->cert : NULL);
}

static void ending_free(struct ending *e)
{
	X509_free(e->cert);
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

/* It is known that the phone holds this one ("cert", where it is at hand): others it has overwritten. 1: it was news; 0: it was not; or a negative errno. */
static int now_held(struct cp_capf *f, struct cp_batch *b, struct ending *e, const char *serial, X509 *cert, unsigned others, int64_t at)
{
	const uint8_t *p;
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
	p = rec.cert.data;
	X509_free(e->cert);
	if (cert != NULL && X509_up_ref(cert) == 1)
		e->cert = cert;
	else
		e->cert = d2i_X509(NULL, &p, (long)rec.cert.len);
	e->holds = e->cert != NULL ? HOLDS_THIS : HOLDS_SAME;
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

static void log_end(const struct client *c, const struct cp_capf_end *e)
{
	char op[64];

	snprintf(op, sizeof(op), "%s", cp_capf_op_name(e->op));
	cfg_log_limited(e->outcome == CP_CAPF_OUT_DONE || e->outcome == CP_CAPF_OUT_NOTHING ? CFG_LOG_INFO : CFG_LOG_WARN, "capf-session",
			"device=%s from=%s op=%s outcome=%s%s%s%s%s", e->device, c->from, op, cfg_q(cp_capf_outcome_text(e->outcome)),
			e->detail[0] != '\0' ? " detail=" : "", e->detail[0] != '\0' ? cfg_q(e->detail) : "",
			c->serial[0] != '\0' ? " serial=" : "", c->serial);
}

/* What this end makes of the records. 1: something changed; 0: nothing did. */
static int take_end(struct cp_capf *f, struct client *c, const struct cp_capf_end *end, struct cp_batch *b, struct ending *e)
{
	struct cp_capf_oprec rec;
	int64_t at = now_us(f);
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
	if (rc == 0 && end->proof != NULL && end->proof_kind == CP_CAPF_PROOF_LSC && cp_lscs_state(f->env.lscs, end->proof) != 0) {
		char serial[CP_LSC_SERIAL_MAX];

		/* It has shown that it held this one when it came; what was offered since is another matter. */
		if (cp_lsc_serial(end->proof, serial) == 0 && !end->offered && end->op != CP_CAPF_OP_DELETE) {
			rc = now_held(f, b, e, serial, end->proof, CP_LSC_LIVE, at);
			news |= rc > 0;
		}
	}
	if (rc >= 0 && end->op == CP_CAPF_OP_INSTALL && end->offered && c->serial[0] != '\0') {
		if (end->outcome == CP_CAPF_OUT_DONE)
			rc = now_held(f, b, e, c->serial, c->cert, CP_LSC_LIVE, at);
		else if (end->outcome == CP_CAPF_OUT_PHONE) /* it says that it did not take it */
			rc = cp_lscs_change(f->env.lscs, b, c->serial, CP_LSC_REVOKED, CP_CRL_CEASED, at);
		news = 1;
	}
	if (rc >= 0 && end->op == CP_CAPF_OP_DELETE && end->outcome == CP_CAPF_OUT_DONE) {
		rc = now_deleted(f, b, e, at);
		news = 1;
	}
	if (rc == -EALREADY)
		rc = 0;
	if (rc >= 0 && news)
		audit(b, "capf.session", end->device, c->from, c->serial, cp_capf_outcome_text(end->outcome));
	return rc < 0 ? rc : news;
}

static void o_record(void *ctx, struct cp_capf_sess *s, const struct cp_capf_end *end)
{
	struct client *c = ctx;
	struct cp_capf *f = c->capf;
	struct cp_batch *b = cp_batch_create();
	struct ending *e = calloc(1, sizeof(*e));
	struct job *j = NULL;
	int rc = b == NULL || e == NULL ? -ENOMEM : 0;

	f->stats.outcome[end->outcome]++;
	log_end(c, end);
	if (rc == 0) {
		e->c = c;
		e->capf = f;
		snprintf(e->device, sizeof(e->device), "%s", end->device);
		rc = take_end(f, c, end, b, e);
	}
	if (rc <= 0) {
		cp_batch_destroy(b);
		if (e != NULL)
			ending_free(e);
		cp_capf_sess_recorded(s, rc);
		return;
	}
	if (end->fetched != NULL && f->env.files != NULL && (j = job_new(c, KEEP, end->device)) != NULL) {
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
			job_free(j);
		ending_free(e);
		cp_capf_sess_recorded(s, rc);
		return;
	}
	if (j != NULL)
		job_start(j); /* beside the record: END_SESSION does not wait for a file */
}

static void job_done(void *arg)
{
	struct job *j = arg;
	struct client *c = j->c;
	struct cp_capf *f = c->capf;

	f->jobs--;
	c->holds--;
	switch (j->what) {
	case UNSEAL:
		unsealed(j);
		break;
	case ISSUE:
		issued(j);
		break;
	case KEEP:
		if (j->rc < 0)
			cfg_log_limited(CFG_LOG_ERR, "capf-file", "device=%s reason=%s", j->device, cfg_q(j->why));
	}
	job_free(j);
	run_waiting(f);
}

static bool o_refused(void *ctx, X509 *cert)
{
	struct cp_capf *f = ctx;

	return cp_lscs_refused(f->env.lscs, cert);
}

static void o_trust(void *ctx, struct cp_capf_trust *ret)
{
	struct client *c = ctx;

	c->capf->env.trust(c->capf->env.ctx, ret);
	ret->refused = o_refused;
	ret->ctx = c->capf;
}

static int64_t o_now(void *ctx)
{
	struct client *c = ctx;

	return now_us(c->capf) / 1000000;
}

static uint64_t o_now_ms(void *ctx)
{
	struct client *c = ctx;

	return now_ms(c->capf);
}

/* --- connections --- */

static int frame_len(const uint8_t *buf, size_t have, size_t *ret_total)
{
	uint32_t session;
	int n = cp_capf_frame(buf, have, &session);

	if (n == 0)
		return -EAGAIN;
	*ret_total = n > 0 ? (size_t)n : 1; /* no CAPF: the session ends with an answer (wire-formats 4.6) */
	return 0;
}

static void client_free(struct client *c)
{
	struct cp_capf *f = c->capf;

	slot_free(c);
	TAILQ_REMOVE(&f->clients, c, link);
	f->stats.conns--;
	cp_capf_sess_destroy(c->sess);
	X509_free(c->cert);
	free(c);
}

static void *opened(void *ctx, struct cp_conn *conn)
{
	struct cp_capf *f = ctx;
	struct client *c = calloc(1, sizeof(*c));
	const struct cp_capf_owner owner = {
		.send = o_send,
		.close = o_close,
		.order = o_order,
		.known = o_known,
		.issue = o_issue,
		.record = o_record,
		.trust = o_trust,
		.now = o_now,
		.now_ms = o_now_ms,
		.ctx = c,
	};

	if (c == NULL)
		return NULL;
	c->capf = f;
	c->conn = conn;
	cfg_addr_print(cp_conn_peer(conn), c->from, sizeof(c->from));
	f->next_id = f->next_id == UINT32_MAX ? 1 : f->next_id + 1;
	c->sess = cp_capf_sess_create(&owner, f->next_id);
	if (c->sess == NULL) {
		free(c);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&f->clients, c, link);
	f->stats.conns++;
	f->stats.sessions++;
	return c;
}

static void frame(void *user, const uint8_t *data, size_t len)
{
	struct client *c = user;

	if (c->ended)
		return;
	if (len < CP_CAPF_HDR_LEN) {
		c->capf->stats.malformed++;
		cp_capf_sess_garbage(c->sess);
	} else {
		cp_capf_sess_input(c->sess, data, len);
	}
}

static void closed(void *user, enum cp_close why)
{
	struct client *c = user;

	(void)why;
	c->conn = NULL;
	if (!c->ended)
		cp_capf_sess_gone(c->sess); /* may go on until what it asked for is answered */
	if (c->ended && c->holds == 0)
		client_free(c);
}

static const struct cp_net_ops ops = {
	.frame_max = CP_CAPF_MSG_MAX,
	.frame_len = frame_len,
	.opened = opened,
	.frame = frame,
	.closed = closed,
	.server_first = true,
	.dead_s = CP_CAPF_DEAD_S,
};

/* --- evidence from elsewhere --- */

void cp_capf_seen(struct cp_capf *f, const char *device, X509 *cert)
{
	enum cp_lsc_state state = cp_lscs_state(f->env.lscs, cert);
	struct cp_batch *b = NULL;
	struct ending *e = NULL;
	struct cp_capf_oprec rec;
	struct cp_lsc lsc;
	char serial[CP_LSC_SERIAL_MAX];
	unsigned others = CP_LSC_LIVE;
	int64_t at = now_us(f);
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
	if (now_held(f, b, e, serial, cert, others, at) < 0)
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
	audit(b, "capf.evidence", device, "the phone", serial, "it showed its LSC");
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

bool cp_capf_busy(const struct cp_capf *f, const char *device)
{
	return cp_tab_find(&f->slots, device, strlen(device)) != NULL;
}

/* --- time --- */

struct sweep {
	struct cp_capf *f;
	struct cp_batch *b;
	int64_t at;
	unsigned n;
};

static bool sweep_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct sweep *s = ctx;
	struct cp_capf_oprec rec;
	struct cp_lsc lsc;

	if (key_len > 3 && memcmp(key, "op/", 3) == 0 && cp_capf_oprec_parse(val, len, &rec) == 0) {
		if (cp_dir_device(s->f->env.store, rec.device) == NULL) { /* what comes back under its name begins anew */
			cp_batch_del(s->b, CP_CF_CAPF, key, key_len);
			s->n++;
		} else if (cp_capf_op_expire(&rec, s->at) && !cp_capf_busy(s->f, rec.device)) {
			cp_batch_capf_op(s->b, &rec);
			audit(s->b, "capf.expired", rec.device, "the clock", NULL, NULL);
			s->n++;
		}
		cp_capf_oprec_free(&rec);
	} else if (key_len > 4 && memcmp(key, "lsc/", 4) == 0 && cp_lsc_parse(val, len, &lsc) == 0) {
		if (lsc.expires_us != 0 && lsc.expires_us + KEEP_US < s->at) {
			cp_batch_del(s->b, CP_CF_CAPF, key, key_len);
			s->n++;
		}
		cp_lsc_free(&lsc);
	}
	return s->n < 4096; /* the rest the next time */
}

static void sweep(struct cp_capf *f)
{
	struct sweep s = {.f = f, .b = cp_batch_create(), .at = now_us(f)};

	if (s.b == NULL)
		return;
	cp_store_each(f->env.store, CP_CF_CAPF, sweep_one, &s);
	if (s.n > 0)
		cp_store_submit(f->env.store, s.b, NULL, NULL);
	else
		cp_batch_destroy(s.b);
}

void cp_capf_tick(struct cp_capf *f)
{
	uint64_t now = now_ms(f);
	struct client *c, *next;

	for (c = TAILQ_FIRST(&f->clients); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (!c->ended && cp_capf_sess_deadline(c->sess) <= now)
			cp_capf_sess_tick(c->sess);
		if (c->ended && c->conn == NULL && c->holds == 0)
			client_free(c);
	}
	run_waiting(f);
	if (now - f->swept_ms >= SWEEP_MS) {
		f->swept_ms = now;
		sweep(f);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	cp_capf_tick(arg);
}

int cp_capf_create(const struct cp_capf_env *env, struct cp_capf **ret)
{
	static const struct timeval second = {1, 0};
	struct cp_capf *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -ENOMEM;
	f->env = *env;
	TAILQ_INIT(&f->clients);
	STAILQ_INIT(&f->waiting);
	f->swept_ms = now_ms(f) - SWEEP_MS; /* the first tick sweeps: deadlines pass while nobody runs */
	if (env->base != NULL)
		f->tick = event_new(env->base, -1, EV_PERSIST, on_tick, f);
	if (cp_tab_init(&f->slots, NULL) < 0 || (env->base != NULL && (f->tick == NULL || event_add(f->tick, &second) < 0))) {
		cp_capf_destroy(f);
		return -ENOMEM;
	}
	*ret = f;
	return 0;
}

void cp_capf_destroy(struct cp_capf *f)
{
	struct client *c;
	struct job *j;

	if (f == NULL)
		return;
	while ((j = STAILQ_FIRST(&f->waiting)) != NULL) { /* what no thread took any more */
		STAILQ_REMOVE_HEAD(&f->waiting, link);
		job_free(j);
	}
	while ((c = TAILQ_FIRST(&f->clients)) != NULL)
		client_free(c);
	if (f->tick != NULL)
		event_free(f->tick);
	cp_tab_fini(&f->slots);
	free(f);
}

int cp_capf_listen(struct cp_capf *f, struct cp_net *net, const struct cfg_addr *addr, struct cp_tls *tls, uint16_t *ret_port)
{
	return cp_net_listen(net, addr, tls, &ops, f, ret_port);
}

void cp_capf_stats(const struct cp_capf *f, struct cp_capf_stats *ret)
{
	*ret = f->stats;
	ret->devices = (uint32_t)f->slots.cnt;
	ret->jobs = f->jobs;
	ret->waiting = f->waits;
}

json_t *cp_capf_show_stats(const struct cp_capf *f)
{
	struct cp_capf_stats s;
	struct cp_lscs_stats l;
	json_t *ends = json_object(), *lscs = json_object();

	cp_capf_stats(f, &s);
	cp_lscs_stats(f->env.lscs, &l);
	for (unsigned i = 0; i < CP_CAPF_OUT_MAX; i++)
		if (s.outcome[i] > 0)
			json_object_set_new(ends, cp_capf_outcome_text((enum cp_capf_outcome)i), json_integer((json_int_t)s.outcome[i]));
	for (unsigned i = 1; i < CP_LSC_STATES; i++)
		json_object_set_new(lscs, cp_lsc_state_name(i), json_integer(l.by_state[i]));
	return json_pack("{s:I,s:I,s:i,s:i,s:i,s:I,s:o,s:o}", "sessions", (json_int_t)s.sessions, "malformed", (json_int_t)s.malformed,
			 "connections", (int)s.conns, "devices", (int)s.devices, "waiting", (int)s.waiting, "issued", (json_int_t)s.issued,
			 "ends", ends, "certificates", lscs);
}
