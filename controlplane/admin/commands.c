/* SPDX-License-Identifier: BSD-3-Clause */
/* The store's commands: changes of devices, lines and gateways, certificates, status. What shows it is in show.c. */
#include <errno.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alarm.h"
#include "cdr.h"
#include "ike/ikerec.h"
#include "internal.h"
#include "log.h"
#include "loopwatch.h"
#include "offload.h"
#include "sccp/resets.h"
#include "srst.h"
#include "store/phonecfg.h"
#include "vm.h"
#include "x509.h"

#define RETRY_MS  20
#define TRIES_MAX 250 /* of a change that something is in the way of: 5 s */

struct cmds {
	struct cp_admin *admin; /* NULL once the dispatcher is gone */
	struct cp_admin_backend be;
	struct cp_offload *offload;
	struct cp_phones *phones;
	struct cp_srsts *srsts;
	struct cp_loopwatch *watch; /* NULL: no loop */
	struct event *retry;
	struct pending_change *waiting, **waiting_last;
	unsigned in_flight; /* changes that the store has */
	time_t started_s;
};

struct cp_store *cmds_store(const struct cmds *c)
{
	return c->be.store;
}

const struct cp_admin_backend *cmds_backend(const struct cmds *c)
{
	return &c->be;
}

struct cp_offload *cmds_offload(const struct cmds *c)
{
	return c->offload;
}

struct cp_srsts *cmds_srsts(const struct cmds *c)
{
	return c->srsts;
}

/* --- changes --- */

static void free_change(struct pending_change *p)
{
	json_decref(p->own_args);
	free(p);
}

static void answer_change(struct pending_change *p)
{
	json_t *warnings;

	if (p->warn != CP_WARN_NONE && (warnings = cp_warnings(cmds_store(p->cmds), p->warn, p->warn_name)) != NULL)
		json_object_set_new(p->result, "warnings", warnings);
	cp_admin_reply(p->req, p->result);
	json_decref(p->more);
	free_change(p);
}

/* One is not on its way any more. */
static void landed(struct cmds *c)
{
	c->in_flight--;
	if (c->admin == NULL && c->in_flight == 0)
		free(c);
	else if (c->waiting != NULL && c->retry != NULL)
		event_active(c->retry, EV_TIMEOUT, 0); /* perhaps this was in the way */
}

static void on_told(void *ctx, unsigned phones)
{
	struct pending_change *p = ctx;
	struct cmds *c = p->cmds;

	json_object_set_new(p->result, "told", json_integer(phones));
	answer_change(p);
	landed(c);
}

/* Written, or refused. The phones that are to be told are on their way as the change was. */
static void end_change(struct pending_change *p, int rc, const char *why)
{
	const struct cp_admin_backend *be = &p->cmds->be;

	if (rc < 0) {
		admin_fail_more(p->req, cp_admin_code(rc), why != NULL && why[0] != '\0' ? why : strerror(-rc), p->more);
		json_decref(p->result);
		free_change(p);
	} else if (p->reset && be->reset != NULL) {
		p->cmds->in_flight++;
		be->reset(be->reset_ctx, json_object_get(p->result, "reset"), json_string_value(json_object_get(p->result, "name")), on_told, p);
	} else {
		answer_change(p);
	}
}

static void try_change(struct pending_change *p)
{
	struct cmds *c = p->cmds;
	char why[512] = "";
	int rc = p->attempt(p, why, sizeof(why));

	if (rc == 0) {
		c->in_flight++;
		return;
	}
	if (rc == -EBUSY && c->retry != NULL && p->tries++ < TRIES_MAX) {
		struct timeval tv = {0, RETRY_MS * 1000};

		json_decref(p->result);
		json_decref(p->more);
		p->result = p->more = NULL;
		p->next = NULL;
		*c->waiting_last = p;
		c->waiting_last = &p->next;
		if (!evtimer_pending(c->retry, NULL))
			evtimer_add(c->retry, &tv);
		return;
	}
	end_change(p, rc, why);
}

static void on_retry(evutil_socket_t fd, short what, void *ctx)
{
	struct cmds *c = ctx;
	struct pending_change *list = c->waiting, *p;

	(void)fd;
	(void)what;
	c->waiting = NULL;
	c->waiting_last = &c->waiting;
	while ((p = list) != NULL) {
		list = p->next;
		try_change(p);
	}
}

void change_written(void *ctx, int rc)
{
	struct pending_change *p = ctx;
	struct cmds *c = p->cmds;

	end_change(p, rc,
		   rc == -ENOSPC ? "the store has no space: nothing was changed"
		   : rc < 0	 ? "the store cannot write: nothing was changed"
				 : NULL);
	landed(c);
}

void change_says(struct pending_change *p, int ev, const char *subject)
{
	json_t *say = cp_reset_say((enum cp_reset_event)ev, subject);

	if (say != NULL)
		json_object_set_new(p->result, "reset", say);
}

void change_warns(struct pending_change *p, enum cp_warn_of of, const char *name)
{
	p->warn = of;
	snprintf(p->warn_name, sizeof(p->warn_name), "%s", name);
}

/* True, and no member of the arguments any more: it is not of the record. */
static bool take_flag(struct pending_change *p, const char *name)
{
	json_t *rest;

	if (!json_is_true(json_object_get(p->args, name)))
		return false;
	rest = json_copy((json_t *)(uintptr_t)p->args);
	json_object_del(rest, name);
	json_decref(p->own_args);
	p->args = p->own_args = rest;
	return true;
}

void cmds_run(struct cmds *c, struct cp_admin_req *req, const json_t *args, json_t *own,
	      int (*attempt)(struct pending_change *p, char *why, size_t why_size))
{
	struct pending_change *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		json_decref(own);
		return;
	}
	*p = (struct pending_change){.cmds = c, .req = req, .attempt = attempt, .args = args, .own_args = own};
	p->reset = take_flag(p, "reset"); /* of the phones, afterwards */
	p->shared = take_flag(p, "shared");
	try_change(p);
}

static struct cp_dir_ctx dir_ctx(struct pending_change *p, char *why, size_t size)
{
	return (struct cp_dir_ctx){.who = cp_admin_who(p->req), .fn = change_written, .ctx = p, .why = why,
				   .why_size = size, .shared = p->shared};
}

static int attempt_device_add(struct pending_change *p, char *why, size_t size)
{
	struct cp_dir_ctx x = dir_ctx(p, why, size);
	struct cp_line lines[CP_DEVICE_LINES_MAX];
	enum cp_reset_event ev = CP_RESET_EV_MAX;
	struct cp_device dev;
	bool replace = false;
	int rc = json_to_device(p->args, &dev, lines, &replace, why, size);

	if (rc == 0) {
		const struct cp_device *old = cp_dir_device(cmds_store(p->cmds), dev.name);

		ev = old != NULL ? cp_reset_of_device(old, &dev) : CP_RESET_EV_MAX;
		rc = cp_dir_device_put(cmds_store(p->cmds), &dev, replace, &x);
	}
	if (rc == 0) {
		p->result = json_pack("{s:s}", "name", dev.name);
		change_says(p, (int)ev, dev.name);
		change_warns(p, CP_WARN_DEVICE, dev.name);
	}
	free(dev.digest_secret.data);
	free(dev.config_key.data);
	return rc;
}

static int attempt_line_add(struct pending_change *p, char *why, size_t size)
{
	struct cp_dir_ctx x = dir_ctx(p, why, size);
	const char *device = NULL;
	struct cp_line line;
	int rc = json_to_line(p->args, &line, &device, why, size);

	if (rc == 0)
		rc = cp_dir_line_add(cmds_store(p->cmds), device, &line, &x);
	if (rc < 0)
		return rc;
	p->result = json_pack("{s:s,s:s}", "number", line.number, "device", device);
	change_says(p, CP_RESET_EV_LINES, device);
	change_warns(p, CP_WARN_DEVICE, device);
	return 0;
}

/* 'args' as gateway.add takes them. */
static int gateway_put(struct pending_change *p, const json_t *args, bool replace, char *why, size_t size)
{
	struct cp_dir_ctx x = dir_ctx(p, why, size);
	struct cp_endpoint *eps = malloc(CP_GW_ENDPOINTS_MAX * sizeof(*eps));
	struct cp_gw_number *nums = malloc(CP_GW_NUMBERS_MAX * sizeof(*nums));
	struct cp_gateway gw = {0};
	int rc = eps == NULL || nums == NULL ? -ENOMEM : 0;

	if (rc == 0)
		rc = json_to_gateway(args, &gw, eps, nums, &replace, why, size);
	if (rc == 0)
		rc = cp_ike_allowed(&gw.ike, p->cmds->be.old_algorithms, why, size);
	if (rc == 0)
		rc = cp_dir_gateway_put(cmds_store(p->cmds), &gw, replace, &x);
	if (rc == 0)
		p->result = json_pack("{s:s}", "name", gw.name);
	free(gw.ike.psk.data);
	free(eps);
	free(nums);
	return rc;
}

int attempt_gateway_add(struct pending_change *p, char *why, size_t size)
{
	return gateway_put(p, p->args, false, why, size);
}

/* The record as it is, with these members instead of its own. */
static int gateway_with(struct pending_change *p, const char *name, const json_t *members, char *why, size_t size)
{
	const struct cp_gateway *gw = cp_dir_gateway(cmds_store(p->cmds), name);
	json_t *args;
	int rc;

	if (gw == NULL) {
		snprintf(why, size, "no gateway %s", cfg_q(name));
		return -ENOENT;
	}
	args = gateway_to_args(gw);
	json_ike_under(args, members);
	rc = args == NULL || json_object_update(args, (json_t *)(uintptr_t)members) < 0 ? -ENOMEM : gateway_put(p, args, true, why, size);
	json_decref(args);
	return rc;
}

int attempt_gateway_change(struct pending_change *p, char *why, size_t size)
{
	const json_t *name = json_object_get(p->args, "name");

	if (!json_is_string(name) || json_object_get(p->args, "replace") != NULL || json_object_get(p->args, "service") != NULL) {
		snprintf(why, size, json_is_string(name) ? "replace and service are not gateway.change's" : "name is missing or not a string");
		return -EINVAL;
	}
	return gateway_with(p, json_string_value(name), p->args, why, size);
}

static const char *only_string(const struct pending_change *p, const char *name, char *why, size_t size)
{
	const json_t *v = json_object_get(p->args, name);

	if (!json_is_string(v) || json_object_size(p->args) != 1) {
		snprintf(why, size, "exactly one member is needed: the string %s", name);
		return NULL;
	}
	return json_string_value(v);
}

static int gateway_service(struct pending_change *p, const char *service, char *why, size_t size)
{
	const char *name = only_string(p, "name", why, size);
	json_t *members = json_pack("{s:s}", "service", service);
	int rc = name == NULL ? -EINVAL : members == NULL ? -ENOMEM : gateway_with(p, name, members, why, size);

	json_decref(members);
	return rc;
}

static int attempt_gateway_drain(struct pending_change *p, char *why, size_t size)
{
	return gateway_service(p, "drain", why, size);
}

static int attempt_gateway_restore(struct pending_change *p, char *why, size_t size)
{
	return gateway_service(p, "in-service", why, size);
}

static int attempt_gateway_disable(struct pending_change *p, char *why, size_t size)
{
	return gateway_service(p, "out-of-service", why, size);
}

static int attempt_device_del(struct pending_change *p, char *why, size_t size)
{
	struct cp_dir_ctx x = dir_ctx(p, why, size);
	const char *name = only_string(p, "name", why, size);

	return name == NULL ? -EINVAL : cp_dir_device_del(cmds_store(p->cmds), name, &x);
}

static int attempt_line_del(struct pending_change *p, char *why, size_t size)
{
	struct cp_dir_ctx x = dir_ctx(p, why, size);
	const json_t *device = json_object_get(p->args, "device"), *partition = json_object_get(p->args, "partition");
	const json_t *number = json_object_get(p->args, "number");
	char name[CP_NUMBER_MAX + CP_PART_MAX + 8]; /* longer than what is right, so that what is cut is wrong still */

	if (!json_is_string(number) || (device != NULL && !json_is_string(device)) || (partition != NULL && !json_is_string(partition)) ||
	    json_object_size(p->args) != 1u + (device != NULL) + (partition != NULL)) {
		snprintf(why, size, "needed are the string number and perhaps the strings partition and, where several devices have it, device");
		return -EINVAL;
	}
	snprintf(name, sizeof(name), "%s%s%s", json_string_value(number), partition != NULL && json_string_length(partition) > 0 ? "@" : "",
		 partition != NULL ? json_string_value(partition) : "");
	return cp_dir_line_del(cmds_store(p->cmds), name, json_string_value(device), &x);
}

static int attempt_gateway_del(struct pending_change *p, char *why, size_t size)
{
	struct cp_dir_ctx x = dir_ctx(p, why, size);
	const char *name = only_string(p, "name", why, size);

	return name == NULL ? -EINVAL : cp_dir_gateway_del(cmds_store(p->cmds), name, &x);
}

CMDS_CHANGE(device_add)
CMDS_CHANGE(device_del)
CMDS_CHANGE(line_add)
CMDS_CHANGE(line_del)
CMDS_CHANGE(gateway_drain)
CMDS_CHANGE(gateway_restore)
CMDS_CHANGE(gateway_disable)
CMDS_CHANGE(gateway_del)

/* --- status --- */

static void status(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cmds *c = ctx;
	struct cp_store_stats st;
	json_t *o;

	if (cp_admin_arg_known(req, args, cmds_no_args) < 0)
		return;
	cp_store_stats(c->be.store, &st);
	o = json_pack("{s:s,s:I,s:{s:s,s:I,s:I,s:I,s:I},s:I,s:I,s:I,s:I}", "version",
		      c->be.version != NULL ? c->be.version : "", "uptime_s", (json_int_t)(time(NULL) - c->started_s),
		      "store", "state", !st.failing ? "ok" : st.failing_rc == -ENOSPC ? "no-space" : "failing", "writes",
		      (json_int_t)st.writes, "batches", (json_int_t)st.batches, "refused", (json_int_t)st.failed,
		      "reopened", (json_int_t)st.reopens, "devices",
		      (json_int_t)cp_store_count(c->be.store, CP_CF_DEVICE), "lines",
		      (json_int_t)cp_store_count(c->be.store, CP_CF_LINE), "gateways",
		      (json_int_t)cp_store_count(c->be.store, CP_CF_GATEWAY), "alarms",
		      (json_int_t)(c->be.alarms != NULL ? cp_alarm_count(c->be.alarms) : 0));
	if (c->watch != NULL && o != NULL) {
		struct cp_loopwatch_stats w;

		cp_loopwatch_stats(c->watch, &w);
		json_object_set_new(o, "loop", json_pack("{s:I,s:I,s:I}", "stalls", (json_int_t)w.stalls, "longest_us",
							 (json_int_t)w.longest_us, "minute_us", (json_int_t)w.minute_us));
	}
	for (unsigned i = 0; i < c->admin->status_cnt && o != NULL; i++)
		c->admin->status[i].fn(c->admin->status[i].ctx, o);
	cp_admin_reply(req, o);
}

/* --- certificates --- */

struct cert_job {
	struct cmds *cmds;
	struct cp_admin_req *req;
	char device[CP_DEVICE_NAME_MAX];
	char *key, *cert, *ca;
	int rc;
};

static void cert_work(void *arg)
{
	struct cert_job *j = arg;

	j->rc = j->cmds->be.cert_issue(j->cmds->be.cert_ctx, j->device, &j->key, &j->cert, &j->ca);
}

/* It is the phone's now: what its configuration can be encrypted for. */
static void put_phone_cert(struct cp_batch *b, const char *device, const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, pki_no_password, NULL) : NULL;
	struct cp_phone_cert rec = {.since_us = (int64_t)time(NULL) * 1000000};
	uint8_t *der = NULL;
	int len = cert != NULL ? i2d_X509(cert, &der) : -1;
	struct cp_buf val;

	memcpy(rec.device, device, strlen(device) + 1);
	rec.cert = (struct cp_buf){der, len > 0 ? (size_t)len : 0};
	if (len > 0 && cp_phone_cert_build(&rec, &val) == 0) {
		cp_batch_put(b, CP_CF_CAPF, device, strlen(device), val.data, val.len);
		free(val.data);
	}
	OPENSSL_free(der);
	X509_free(cert);
	BIO_free(bio);
}

static void cert_done(void *arg)
{
	struct cert_job *j = arg;

	if (j->rc == 0) {
		struct cp_batch *b = cp_batch_create();
		json_t *a = json_pack("{s:s,s:s,s:s}", "event", "cert.issue", "who", cp_admin_who(j->req), "device",
				      j->device);
		char *text = a == NULL ? NULL : json_dumps(a, JSON_COMPACT);

		cp_admin_reply(j->req, json_pack("{s:s,s:s,s:s,s:s}", "device", j->device, "key", j->key, "cert",
						 j->cert, "ca", j->ca));
		if (b != NULL)
			put_phone_cert(b, j->device, j->cert);
		/* the certificate exists, written down or not: the answer does not wait for its audit record */
		if (b != NULL && text != NULL && cp_batch_audit(b, text) == 0)
			cp_store_submit(j->cmds->be.store, b, NULL, NULL);
		else
			cp_batch_destroy(b);
		free(text);
		json_decref(a);
	} else {
		cp_admin_fail_rc(j->req, j->rc, "%s",
				 j->rc == -ENOTCONN ? "the signer does not answer" : strerror(-j->rc));
	}
	if (j->key != NULL)
		OPENSSL_cleanse(j->key, strlen(j->key));
	free(j->key);
	free(j->cert);
	free(j->ca);
	free(j);
}

static void cert_issue(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"device", NULL};
	struct cmds *c = ctx;
	const char *device = NULL;
	struct cert_job *j;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "device", true, &device) < 0)
		return;
	if (!cp_device_name_ok(device)) {
		cp_admin_fail(req, "invalid", "device %s is not SEP and 12 upper-case hex digits", cfg_q(device));
		return;
	}
	if (c->be.cert_issue == NULL || c->offload == NULL) {
		cp_admin_fail(req, "unavailable", "no signer");
		return;
	}
	j = calloc(1, sizeof(*j));
	if (j == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	j->cmds = c;
	j->req = req;
	memcpy(j->device, device, strlen(device) + 1);
	rc = cp_offload_run(c->offload, cert_work, cert_done, j);
	if (rc < 0) {
		cp_admin_fail_rc(req, rc, "too many certificates are being issued");
		free(j);
	}
}

/* --- */

static void stop(void *ctx)
{
	struct cmds *c = ctx;

	cp_srsts_stop(c->srsts);
	cp_offload_destroy(c->offload);
	c->offload = NULL;
}

static void fini(void *ctx)
{
	struct cmds *c = ctx;
	struct pending_change *p;

	stop(c);
	cp_phones_destroy(c->phones);
	c->phones = NULL;
	cp_srsts_destroy(c->srsts);
	c->srsts = NULL;
	cp_loopwatch_destroy(c->watch);
	c->watch = NULL;
	if (c->retry != NULL)
		event_free(c->retry);
	c->retry = NULL;
	while ((p = c->waiting) != NULL) {
		c->waiting = p->next;
		end_change(p, -ECANCELED, "the appliance stops");
	}
	c->admin = NULL;
	if (c->in_flight == 0)
		free(c);
}

int cp_admin_commands(struct cp_admin *admin, const struct cp_admin_backend *backend)
{
	static const struct {
		const char *cmd;
		cp_admin_fn fn;
	} list[] = {
		{"status", status},
		{"device.add", device_add},
		{"device.del", device_del},
		{"line.add", line_add},
		{"line.del", line_del},
		{"gateway.drain", gateway_drain},
		{"gateway.restore", gateway_restore},
		{"gateway.disable", gateway_disable},
		{"gateway.del", gateway_del},
		{"import", cmds_import},
		{"cert.issue", cert_issue},
	};
	struct cmds *c = calloc(1, sizeof(*c));
	int rc = 0;

	if (c == NULL)
		return -ENOMEM;
	c->admin = admin;
	c->be = *backend;
	c->started_s = time(NULL);
	c->waiting_last = &c->waiting;
	if (admin->base != NULL) {
		c->retry = evtimer_new(admin->base, on_retry, c);
		c->offload = cp_offload_create(admin->base);
		c->watch = cp_loopwatch_create(admin->base);
		if (c->retry == NULL || c->offload == NULL || c->watch == NULL)
			rc = -ENOMEM;
	}
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && rc == 0; i++)
		rc = cp_admin_register(admin, list[i].cmd, list[i].fn, c);
	if (rc == 0)
		rc = cmds_show(c, admin);
	if (rc == 0)
		rc = cmds_phone(c, admin);
	if (rc == 0)
		rc = cp_phones_create(c, admin, &c->phones);
	if (rc == 0)
		rc = cp_srsts_create(c, admin, &c->srsts);
	if (rc == 0)
		rc = cmds_vm(c, admin);
	if (rc == 0)
		rc = cmds_dial(c, admin);
	if (rc == 0)
		rc = cmds_gateway(c, admin);
	if (rc == 0)
		rc = cmds_cdr(c, admin);
	admin->stop = stop;
	admin->fini = fini; /* also of what is half made: destroy takes it apart */
	admin->fini_ctx = c;
	return rc;
}
