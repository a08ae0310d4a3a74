/* SPDX-License-Identifier: BSD-3-Clause */
#include "enrol/capf_priv.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "enrol/capffile.h"
#include "log.h"
#include "net/net.h"
#include "offload.h"

#define SWEEP_MS 3600000u
#define CA_SLACK_MS 10000u
#define KEEP_US  (INT64_C(90) * 86400 * 1000000) /* an expired certificate's record */

int64_t cp_capf_now_us(const struct cp_capf *f)
{
	return f->env.now_us != NULL ? f->env.now_us(f->env.ctx) : cp_wall_us();
}

static uint64_t now_ms(const struct cp_capf *f)
{
	return f->env.now_ms != NULL ? f->env.now_ms(f->env.ctx) : cp_mono_ms();
}

/* --- jobs on threads --- */

void cp_capf_job_free(struct cp_capf_job *j)
{
	if (j->sealed.data != NULL)
		explicit_bzero(j->sealed.data, j->sealed.len);
	free(j->sealed.data);
	free(j->spki.data);
	free(j->cert.data);
	OPENSSL_free(j->csr);
	X509_free(j->shown[0]);
	X509_free(j->shown[1]);
	cp_batch_destroy(j->batch);
	explicit_bzero(j, sizeof(*j));
	free(j);
}

static void job_work(void *arg)
{
	struct cp_capf_job *j = arg;
	const struct cp_capf_env *env = &j->c->capf->env;

	switch (j->what) {
	case CP_CAPF_UNSEAL:
		j->rc = env->unseal(env->ctx, &j->sealed, j->aad, j->string);
		break;
	case CP_CAPF_ISSUE:
		cp_capf_request_work(j); /* ours are asked for without a thread */
		break;
	case CP_CAPF_KEEP:
		for (unsigned i = 0; i < 2 && j->rc == 0; i++)
			if (j->shown[i] != NULL)
				j->rc = cp_capf_file_write(env->files, j->device, j->kind[i], j->shown[i], j->why, sizeof(j->why));
		break;
	}
}

static void job_done(void *arg);

static void run_waiting(struct cp_capf *f)
{
	struct cp_capf_job *j;

	while (f->jobs < CP_CAPF_JOBS && (j = STAILQ_FIRST(&f->waiting)) != NULL) {
		if (cp_offload_run(f->env.offload, job_work, job_done, j) < 0)
			return; /* others have all threads: the tick tries again */
		STAILQ_REMOVE_HEAD(&f->waiting, link);
		f->waits--;
		f->jobs++;
	}
}

struct cp_capf_job *cp_capf_job_new(struct cp_capf_client *c, enum cp_capf_what what, const char *device)
{
	struct cp_capf_job *j = calloc(1, sizeof(*j));

	if (j != NULL) {
		j->c = c;
		j->what = what;
		snprintf(j->device, sizeof(j->device), "%s", device);
	}
	return j;
}

void cp_capf_job_start(struct cp_capf_job *j)
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
	struct cp_capf_client *c = ctx;

	if (c->conn != NULL)
		(void)cp_conn_send(c->conn, data, len); /* too slow: closed() follows */
}

static void slot_free(struct cp_capf_client *c)
{
	if (c->device[0] != '\0')
		cp_tab_del(&c->capf->slots, c->device, strlen(c->device));
	c->device[0] = '\0';
}

static void o_close(void *ctx)
{
	struct cp_capf_client *c = ctx;

	c->ended = true; /* freed by the tick, or when the connection is gone: never from inside the session */
	slot_free(c);
	if (c->conn != NULL)
		cp_conn_close(c->conn);
}

static void o_known(void *ctx)
{
	struct cp_capf_client *c = ctx;

	if (c->conn != NULL)
		cp_conn_authed(c->conn);
}

static void o_order(void *ctx, struct cp_capf_sess *s, const char *device)
{
	struct cp_capf_client *c = ctx;
	struct cp_capf *f = c->capf;
	const struct cp_device *dev = cp_dir_device(f->env.store, device);
	struct cp_capf_order order = {0};
	struct cp_capf_oprec rec;
	struct cp_ent *slot;
	struct cp_capf_job *j;
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
	cp_capf_op_order(&rec, cp_capf_now_us(f), f->env.old_phone != NULL && f->env.old_phone(f->env.ctx, dev), &order);
	cp_capf_req_order(f, &rec, &order);
	if (order.op == CP_CAPF_OP_NONE || order.by != CP_CAPF_BY_STRING || order.locked) {
		cp_capf_oprec_free(&rec);
		cp_capf_sess_order(s, 0, &order);
		return;
	}
	j = cp_capf_job_new(c, CP_CAPF_UNSEAL, device);
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
	cp_capf_job_start(j);
}

static void unsealed(struct cp_capf_job *j)
{
	if (j->rc < 0)
		cfg_log_limited(CFG_LOG_ERR, "capf-string", "device=%s reason=%s", j->device, cfg_q(strerror(-j->rc)));
	memcpy(j->order.string, j->string, sizeof(j->order.string));
	cp_capf_sess_order(j->c->sess, j->rc, &j->order);
}

static void job_done(void *arg)
{
	struct cp_capf_job *j = arg;
	struct cp_capf_client *c = j->c;
	struct cp_capf *f = c->capf;

	f->jobs--;
	c->holds--;
	switch (j->what) {
	case CP_CAPF_UNSEAL:
		unsealed(j);
		break;
	case CP_CAPF_ISSUE:
		cp_capf_requested(j);
		break;
	case CP_CAPF_KEEP:
		if (j->rc < 0)
			cfg_log_limited(CFG_LOG_ERR, "capf-file", "device=%s reason=%s", j->device, cfg_q(j->why));
	}
	cp_capf_job_free(j);
	run_waiting(f);
}

static bool o_refused(void *ctx, X509 *cert)
{
	struct cp_capf *f = ctx;

	return cp_lscs_refused(f->env.lscs, cert);
}

static void o_trust(void *ctx, struct cp_capf_trust *ret)
{
	struct cp_capf_client *c = ctx;

	c->capf->env.trust(c->capf->env.ctx, ret);
	ret->refused = o_refused;
	ret->ctx = c->capf;
}

static int64_t o_now(void *ctx)
{
	struct cp_capf_client *c = ctx;

	return cp_capf_now_us(c->capf) / 1000000;
}

static uint64_t o_now_ms(void *ctx)
{
	struct cp_capf_client *c = ctx;

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

static void client_free(struct cp_capf_client *c)
{
	struct cp_capf *f = c->capf;

	slot_free(c);
	TAILQ_REMOVE(&f->clients, c, link);
	f->stats.conns--;
	cp_capf_sess_destroy(c->sess);
	free(c);
}

static void *opened(void *ctx, struct cp_conn *conn)
{
	struct cp_capf *f = ctx;
	struct cp_capf_client *c = calloc(1, sizeof(*c));
	const struct cp_capf_owner owner = {
		.send = o_send,
		.close = o_close,
		.order = o_order,
		.known = o_known,
		.issue = cp_capf_issue,
		.record = cp_capf_record,
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
	struct cp_capf_client *c = user;

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
	struct cp_capf_client *c = user;

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
	struct cp_capf_req req;
	struct cp_lsc lsc;

	if (key_len > 3 && memcmp(key, "op/", 3) == 0 && cp_capf_oprec_parse(val, len, &rec) == 0) {
		if (cp_dir_device(s->f->env.store, rec.device) == NULL) { /* what comes back under its name begins anew */
			cp_batch_del(s->b, CP_CF_CAPF, key, key_len);
			s->n++;
		} else if (cp_capf_op_expire(&rec, s->at) && !cp_capf_busy(s->f, rec.device)) {
			cp_batch_capf_op(s->b, &rec);
			cp_capf_audit(s->b, "capf.expired", rec.device, "the clock", NULL, NULL);
			s->n++;
		}
		cp_capf_oprec_free(&rec);
	} else if (key_len > 4 && memcmp(key, "req/", 4) == 0 && cp_capf_req_parse(val, len, &req) == 0) {
		/* of an operation that ended, was cancelled or set anew */
		if (cp_store_capf_op(s->f->env.store, req.device, &rec) < 0) {
			cp_batch_del(s->b, CP_CF_CAPF, key, key_len);
			s->n++;
		} else {
			if (rec.id != req.op_id || rec.status != CP_CAPF_ST_PENDING) {
				cp_batch_del(s->b, CP_CF_CAPF, key, key_len);
				s->n++;
			}
			cp_capf_oprec_free(&rec);
		}
		cp_capf_req_free(&req);
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
	struct sweep s = {.f = f, .b = cp_batch_create(), .at = cp_capf_now_us(f)};

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
	struct cp_capf_client *c, *next;

	for (c = TAILQ_FIRST(&f->clients); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (!c->ended && c->asks && cp_capf_sess_deadline(c->sess) <= now + CA_SLACK_MS) { /* the CA takes its time: the phone need not */
			c->asks = false;
			cp_capf_sess_issued(c->sess, -EINPROGRESS, NULL, 0, "the CA has not answered yet");
		}
		if (!c->ended && cp_capf_sess_deadline(c->sess) <= now)
			cp_capf_sess_tick(c->sess);
		if (c->ended && c->conn == NULL && c->holds == 0)
			client_free(c);
	}
	run_waiting(f);
	cp_capf_ask(f);
	cp_capf_req_tick(f);
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
	STAILQ_INIT(&f->asking);
	f->swept_ms = now_ms(f) - SWEEP_MS; /* the first tick sweeps: deadlines pass while nobody runs */
	if (env->base != NULL)
		f->tick = event_new(env->base, -1, EV_PERSIST, on_tick, f);
	if (cp_tab_init(&f->slots, NULL) < 0 || cp_tab_init(&f->scep_now, NULL) < 0 || (env->base != NULL && (f->tick == NULL || event_add(f->tick, &second) < 0))) {
		cp_capf_destroy(f);
		return -ENOMEM;
	}
	*ret = f;
	return 0;
}

void cp_capf_destroy(struct cp_capf *f)
{
	struct cp_capf_client *c;
	struct cp_capf_job *j;

	if (f == NULL)
		return;
	while ((j = STAILQ_FIRST(&f->waiting)) != NULL) { /* what no thread took any more */
		STAILQ_REMOVE_HEAD(&f->waiting, link);
		cp_capf_job_free(j);
	}
	while ((j = STAILQ_FIRST(&f->asking)) != NULL) {
		STAILQ_REMOVE_HEAD(&f->asking, link);
		cp_capf_job_free(j);
	}
	while ((c = TAILQ_FIRST(&f->clients)) != NULL)
		client_free(c);
	if (f->tick != NULL)
		event_free(f->tick);
	cp_tab_fini(&f->slots);
	cp_tab_fini(&f->scep_now);
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
	ret->jobs = f->jobs + f->asked;
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
