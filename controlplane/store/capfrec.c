/* SPDX-License-Identifier: BSD-3-Clause */
#include "capfrec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fieldtab.h"
#include "log.h"
#include "phonecfg.h"
#include "store.h"

/* Tags are forever. */
static const struct cp_field op_fields[] = {
	F(1, CP_F_STR, cp_capf_oprec, device),
	F(2, CP_F_UINT, cp_capf_oprec, op),
	F(3, CP_F_UINT, cp_capf_oprec, status),
	F(4, CP_F_UINT, cp_capf_oprec, by),
	F(5, CP_F_UINT, cp_capf_oprec, id),
	F(6, CP_F_BUF, cp_capf_oprec, string),
	F(7, CP_F_STR, cp_capf_oprec, key),
	F(8, CP_F_UINT, cp_capf_oprec, backup_bits),
	F(9, CP_F_BOOL, cp_capf_oprec, use_backup),
	F(10, CP_F_UINT, cp_capf_oprec, attempts),
	F(11, CP_F_UINT, cp_capf_oprec, wrong),
	F(12, CP_F_UINT, cp_capf_oprec, locked_us),
	F(13, CP_F_UINT, cp_capf_oprec, deadline_us),
	F(14, CP_F_UINT, cp_capf_oprec, set_us),
	F(15, CP_F_UINT, cp_capf_oprec, last_us),
	F(16, CP_F_UINT, cp_capf_oprec, ended_us),
	F(17, CP_F_UINT, cp_capf_oprec, outcome),
	F(18, CP_F_BOOL, cp_capf_oprec, tried),
	F(19, CP_F_STR, cp_capf_oprec, detail),
	F(20, CP_F_UINT, cp_capf_oprec, shown),
	F(21, CP_F_UINT, cp_capf_oprec, wave),
	END,
};

static const struct cp_field lsc_fields[] = {
	F(1, CP_F_STR, cp_lsc, serial),
	F(2, CP_F_STR, cp_lsc, device),
	F(3, CP_F_BUF, cp_lsc, cert),
	F(4, CP_F_UINT, cp_lsc, state),
	F(5, CP_F_UINT, cp_lsc, reason),
	F(6, CP_F_UINT, cp_lsc, op_id),
	F(7, CP_F_UINT, cp_lsc, offered_us),
	F(8, CP_F_UINT, cp_lsc, held_us),
	F(9, CP_F_UINT, cp_lsc, ended_us),
	F(10, CP_F_UINT, cp_lsc, expires_us),
	F(11, CP_F_STR, cp_lsc, app),
	F(12, CP_F_BOOL, cp_lsc, external),
	END,
};

static const struct cp_field app_fields[] = {
	F(1, CP_F_STR, cp_capf_app, name),
	F(2, CP_F_UINT, cp_capf_app, status),
	F(3, CP_F_UINT, cp_capf_app, by),
	F(4, CP_F_UINT, cp_capf_app, id),
	F(5, CP_F_BUF, cp_capf_app, string),
	F(6, CP_F_STR, cp_capf_app, key),
	F(7, CP_F_STR, cp_capf_app, serial),
	F(8, CP_F_UINT, cp_capf_app, wrong),
	F(9, CP_F_UINT, cp_capf_app, locked_us),
	F(10, CP_F_UINT, cp_capf_app, set_us),
	F(11, CP_F_UINT, cp_capf_app, issued_us),
	END,
};

static const struct cp_field req_fields[] = {
	F(1, CP_F_STR, cp_capf_req, device),
	F(2, CP_F_UINT, cp_capf_req, op_id),
	F(3, CP_F_UINT, cp_capf_req, state),
	F(4, CP_F_BOOL, cp_capf_req, scep),
	F(5, CP_F_BOOL, cp_capf_req, pending),
	F(6, CP_F_UINT, cp_capf_req, asked),
	F(7, CP_F_UINT, cp_capf_req, sent),
	F(8, CP_F_BUF, cp_capf_req, csr),
	F(9, CP_F_BUF, cp_capf_req, cert),
	F(10, CP_F_UINT, cp_capf_req, since_us),
	F(11, CP_F_UINT, cp_capf_req, last_us),
	F(12, CP_F_STR, cp_capf_req, note),
	END,
};

static int bad(char *why, size_t size, const char *what, const char *name)
{
	snprintf(why, size, "%s: %s", cfg_q(name), what);
	return -EINVAL;
}

static int op_check(const struct cp_capf_oprec *r, char *why, size_t size)
{
	if (!cp_device_name_ok(r->device))
		return bad(why, size, "no device", r->device);
	if (r->op > 3 || r->status > CP_CAPF_ST_DONE || r->by > CP_CAPF_MIC || r->shown > 2)
		return bad(why, size, "unknown operation, status or authentication", r->device);
	if (r->op == 0 && r->status != CP_CAPF_ST_NONE)
		return bad(why, size, "a status of no operation", r->device);
	if (r->locked_us < 0 || r->deadline_us < 0 || r->set_us < 0 || r->last_us < 0 || r->ended_us < 0)
		return bad(why, size, "a time before 1970", r->device);
	return 0;
}

static int lsc_check(const struct cp_lsc *r, char *why, size_t size)
{
	size_t n = strlen(r->serial);

	if (r->app[0] != '\0' ? r->device[0] != '\0' || !cp_capf_app_name_ok(r->app) : !cp_device_name_ok(r->device))
		return bad(why, size, "no device", r->device);
	if (n == 0 || n % 2 != 0 || strspn(r->serial, "0123456789ABCDEF") != n)
		return bad(why, size, "no serial number", r->serial);
	if (r->state < CP_LSC_OFFERED || r->state >= CP_LSC_STATES || r->reason > 10)
		return bad(why, size, "unknown state", r->serial);
	if (r->cert.len == 0 || r->cert.len > 16384)
		return bad(why, size, "no certificate", r->serial);
	if (r->offered_us < 0 || r->held_us < 0 || r->ended_us < 0 || r->expires_us < 0)
		return bad(why, size, "a time before 1970", r->serial);
	return 0;
}

bool cp_capf_app_name_ok(const char *name)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t user = strspn(name, set), inst = user > 0 && name[user] == '/' ? strspn(name + user + 1, set) : 0;

	return user <= 31 && inst > 0 && inst <= 31 && name[user + 1 + inst] == '\0';
}

static int app_check(const struct cp_capf_app *r, char *why, size_t size)
{
	if (!cp_capf_app_name_ok(r->name))
		return bad(why, size, "no application user and instance", r->name);
	if (r->status > CP_CAPF_ST_DONE || (r->by != CP_CAPF_STRING && r->by != CP_CAPF_NULL))
		return bad(why, size, "unknown status or authentication", r->name);
	if (r->locked_us < 0 || r->set_us < 0 || r->issued_us < 0)
		return bad(why, size, "a time before 1970", r->name);
	return 0;
}

static int req_check(const struct cp_capf_req *r, char *why, size_t size)
{
	if (!cp_device_name_ok(r->device))
		return bad(why, size, "no device", r->device);
	if (r->state < CP_CAPF_REQ_WAITING || r->state >= CP_CAPF_REQ_STATES)
		return bad(why, size, "unknown state", r->device);
	if (r->csr.len == 0 || r->csr.len > 16384 || r->cert.len > 16384 || (r->state == CP_CAPF_REQ_READY) != (r->cert.len > 0))
		return bad(why, size, "no request, or no certificate", r->device);
	if (r->since_us < 0 || r->last_us < 0)
		return bad(why, size, "a time before 1970", r->device);
	return 0;
}

RECORD(cp_capf_req, CP_KIND_CAPF_REQ, req_fields, req_check)
RECORD(cp_capf_oprec, CP_KIND_CAPF_OP, op_fields, op_check)
RECORD(cp_lsc, CP_KIND_CAPF_LSC, lsc_fields, lsc_check)
RECORD(cp_capf_app, CP_KIND_CAPF_APP, app_fields, app_check)

const char *cp_lsc_state_name(unsigned state)
{
	static const char *const names[CP_LSC_STATES] = {"unknown", "offered", "held", "superseded", "deleted", "revoked"};

	return names[state < CP_LSC_STATES ? state : 0];
}

const char *cp_capf_string_aad(const char *device, uint64_t id, char buf[64])
{
	snprintf(buf, 64, "capf-string/%.15s/%016" PRIx64, device, id);
	return buf;
}

int cp_store_capf_op(const struct cp_store *s, const char *device, struct cp_capf_oprec *ret)
{
	const uint8_t *val;
	size_t len;
	char key[32];
	int n = snprintf(key, sizeof(key), "op/%.20s", device), rc;

	rc = cp_store_get(s, CP_CF_CAPF, key, (size_t)n, &val, &len);
	return rc < 0 ? rc : cp_capf_oprec_parse(val, len, ret);
}

int cp_store_lsc(const struct cp_store *s, const char *serial, struct cp_lsc *ret)
{
	const uint8_t *val;
	size_t len;
	char key[64];
	int n = snprintf(key, sizeof(key), "lsc/%.50s", serial), rc;

	rc = cp_store_get(s, CP_CF_CAPF, key, (size_t)n, &val, &len);
	return rc < 0 ? rc : cp_lsc_parse(val, len, ret);
}

int cp_store_capf_req(const struct cp_store *s, const char *device, struct cp_capf_req *ret)
{
	const uint8_t *val;
	size_t len;
	char key[32];
	int n = snprintf(key, sizeof(key), "req/%.20s", device), rc;

	rc = cp_store_get(s, CP_CF_CAPF, key, (size_t)n, &val, &len);
	return rc < 0 ? rc : cp_capf_req_parse(val, len, ret);
}

static int put(struct cp_batch *b, const char *key, int rc, struct cp_buf *val)
{
	if (rc == 0) {
		rc = cp_batch_put(b, CP_CF_CAPF, key, strlen(key), val->data, val->len);
		explicit_bzero(val->data, val->len); /* a sealed string is nobody's business either */
		free(val->data);
	}
	return rc;
}

int cp_batch_capf_op(struct cp_batch *b, const struct cp_capf_oprec *rec)
{
	struct cp_buf val = {0};
	char key[32];

	snprintf(key, sizeof(key), "op/%s", rec->device);
	return put(b, key, cp_capf_oprec_build(rec, &val), &val);
}

int cp_batch_lsc(struct cp_batch *b, const struct cp_lsc *rec)
{
	struct cp_buf val = {0};
	char key[64];

	snprintf(key, sizeof(key), "lsc/%s", rec->serial);
	return put(b, key, cp_lsc_build(rec, &val), &val);
}

int cp_store_capf_app(const struct cp_store *s, const char *name, struct cp_capf_app *ret)
{
	const uint8_t *val;
	size_t len;
	char key[80];
	int n = snprintf(key, sizeof(key), "app/%.70s", name), rc;

	rc = cp_store_get(s, CP_CF_CAPF, key, (size_t)n, &val, &len);
	return rc < 0 ? rc : cp_capf_app_parse(val, len, ret);
}

int cp_batch_capf_app(struct cp_batch *b, const struct cp_capf_app *rec)
{
	struct cp_buf val = {0};
	char key[80];

	snprintf(key, sizeof(key), "app/%s", rec->name);
	return put(b, key, cp_capf_app_build(rec, &val), &val);
}

int cp_batch_capf_req(struct cp_batch *b, const struct cp_capf_req *rec)
{
	struct cp_buf val = {0};
	char key[32];

	snprintf(key, sizeof(key), "req/%s", rec->device);
	return put(b, key, cp_capf_req_build(rec, &val), &val);
}

int cp_batch_capf_req_del(struct cp_batch *b, const char *device)
{
	char key[32];
	int n = snprintf(key, sizeof(key), "req/%.20s", device);

	return cp_batch_del(b, CP_CF_CAPF, key, (size_t)n);
}
