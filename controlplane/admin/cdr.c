/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Call detail records for operators: "cdr.list" answers a page of them in order of time, made on a thread from the disk, and says where
 * the next page begins. Whoever exports a million of them asks as often as that; the loop is held up by none of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/dp_suite.h"
#include "bulk.h"
#include "call/keys.h"
#include "call/security.h"
#include "cdr.h"
#include "clock.h"
#include "internal.h"
#include "log.h"
#include "store/cdrrec.h"

#define PAGE_MAX 500   /* records of an answer */
#define LOOK_MAX 20000 /* and so many are looked at for it */
#define STEP     500   /* of one look at the disk, which a failing one waits for */

struct page {
	struct cp_store *store;
	uint8_t from[CP_CDR_KEY_LEN]; /* first key */
	size_t from_len;
	uint64_t to_us;
	char device[CP_NAME_MAX], number[CP_NUMBER_MAX];
	unsigned max;
	/* while it is made */
	struct cp_bulk *b;
	uint8_t next[CP_CDR_KEY_LEN + 1];
	size_t next_len;
	unsigned found, looked, left;
	bool over;
};

static json_t *when(int64_t us)
{
	char buf[CP_UTC_LEN];

	return us != 0 ? json_string(cp_utc_us(us, buf)) : json_null();
}

static json_t *id(uint64_t v)
{
	char buf[20];

	snprintf(buf, sizeof(buf), "%016llx", (unsigned long long)v);
	return v == 0 ? json_null() : json_string(buf); /* a number of 64 bits is more than JSON's readers keep */
}

static json_t *status(uint8_t s)
{
	return s == CP_SEC_UNKNOWN ? json_null() : json_string(cp_security_name((enum cp_security)s));
}

static void set(json_t *o, const char *prefix, const char *name, json_t *v)
{
	char key[48];

	snprintf(key, sizeof(key), "%s_%s", prefix, name);
	json_object_set_new(o, key, v != NULL ? v : json_null());
}

static void set_party(json_t *o, const char *prefix, const struct cp_cdr_party *p)
{
	char addr[64];

	set(o, prefix, "device", json_string(p->device));
	set(o, prefix, "endpoint", json_string(p->endpoint));
	set(o, prefix, "number", json_string(p->number));
	set(o, prefix, "line", json_integer(p->line));
	set(o, prefix, "leg", id(p->leg));
	set(o, prefix, "address", p->media.family == 0 ? json_null() : json_string(cfg_addr_print(&p->media, addr, sizeof(addr))));
	set(o, prefix, "codec", p->codec == 0 ? json_null() : json_integer(p->codec));
	set(o, prefix, "suite", json_string(cp_suite_name(p->suite)));
	set(o, prefix, "security", status(p->security));
	set(o, prefix, "security_best", status(p->best));
	set(o, prefix, "security_worst", status(p->worst));
	set(o, prefix, "rx_packets", p->counted ? json_integer((json_int_t)p->rx_pkts) : NULL);
	set(o, prefix, "rx_octets", p->counted ? json_integer((json_int_t)p->rx_bytes) : NULL);
	set(o, prefix, "rx_lost", p->counted ? json_integer((json_int_t)p->rx_lost) : NULL);
	set(o, prefix, "rx_jitter_ms", p->counted ? json_real((double)p->jitter_us / 1000) : NULL);
	set(o, prefix, "tx_packets", p->counted ? json_integer((json_int_t)p->tx_pkts) : NULL);
	set(o, prefix, "tx_octets", p->counted ? json_integer((json_int_t)p->tx_bytes) : NULL);
}

json_t *cp_cdr_json(const struct cp_cdr *r)
{
	static const char *const released[] = {"system", "calling", "called"};
	json_t *o = json_object();

	json_object_set_new(o, "end", when(r->end_us));
	json_object_set_new(o, "setup", when(r->setup_ms * 1000));
	json_object_set_new(o, "connect", when(r->connect_ms * 1000));
	json_object_set_new(o, "duration_ms", json_integer(r->connect_ms == 0 ? 0 : r->end_us / 1000 - r->connect_ms));
	json_object_set_new(o, "calling", json_string(r->party[0].number));
	json_object_set_new(o, "dialled", json_string(r->dialled));
	json_object_set_new(o, "called", json_string(r->party[1].number));
	json_object_set_new(o, "redirecting", json_string(r->redirecting));
	json_object_set_new(o, "cause", json_integer(r->cause));
	json_object_set_new(o, "reason", json_string(r->no_sa ? "no-sa" : ""));
	json_object_set_new(o, "released", json_string(r->released < 3 ? released[r->released] : ""));
	json_object_set_new(o, "origin", json_string(cp_cdr_origin_name(r->origin)));
	json_object_set_new(o, "security", status(r->security));
	json_object_set_new(o, "security_best", status(r->best));
	json_object_set_new(o, "security_worst", status(r->worst));
	json_object_set_new(o, "media", json_string(r->direct ? "direct" : "relay"));
	json_object_set_new(o, "adopted", json_boolean(r->adopted));
	json_object_set_new(o, "global_id", id(r->global_id));
	json_object_set_new(o, "joined_id", id(r->joined_id));
	json_object_set_new(o, "call", json_integer(r->call));
	set_party(o, "a", &r->party[0]);
	set_party(o, "b", &r->party[1]);
	return o;
}

static bool wanted(const struct page *p, const struct cp_cdr *r)
{
	if (p->device[0] != '\0' && strcmp(p->device, r->party[0].device) != 0 && strcmp(p->device, r->party[1].device) != 0)
		return false;
	return p->number[0] == '\0' || strcmp(p->number, r->party[0].number) == 0 || strcmp(p->number, r->party[1].number) == 0 ||
	       strcmp(p->number, r->dialled) == 0 || strcmp(p->number, r->redirecting) == 0;
}

static bool one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct page *p = ctx;
	struct cp_cdr r;
	uint64_t us = 0;

	for (size_t i = 0; i < 8 && i < key_len; i++)
		us = us << 8 | key[i];
	if (us > p->to_us || key_len != CP_CDR_KEY_LEN) {
		p->over = true;
		return false;
	}
	if (p->left-- == 0 || p->found == p->max || p->looked == LOOK_MAX) {
		memcpy(p->next, key, key_len);
		p->next_len = key_len;
		return false;
	}
	p->looked++;
	if (cp_cdr_parse(val, len, &r) < 0)
		return true;
	if (wanted(p, &r)) {
		p->found++;
		cp_bulk_item(p->b, cp_cdr_json(&r));
	}
	cp_cdr_free(&r);
	return true;
}

static void hex(char *out, const uint8_t *in, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sprintf(out + 2 * i, "%02x", in[i]);
}

static void make(struct cp_bulk *b)
{
	struct page *p = cp_bulk_ctx(b);
	char text[2 * CP_CDR_KEY_LEN + 16] = "],\"next\":null}";
	int rc;

	p->b = b;
	p->found = p->looked = 0;
	p->over = false;
	memcpy(p->next, p->from, p->from_len);
	p->next_len = p->from_len;
	cp_bulk_text(b, "{\"records\":");
	cp_bulk_array(b);
	do {
		size_t len = p->next_len;
		uint8_t from[CP_CDR_KEY_LEN];

		memcpy(from, p->next, len);
		p->next_len = 0;
		p->left = STEP;
		rc = cp_store_scan(p->store, CP_CF_CDR, from, len, one, p);
	} while (rc == 0 && !p->over && p->next_len != 0 && p->found < p->max && p->looked < LOOK_MAX);
	if (rc < 0)
		cp_bulk_fail(b, rc);
	if (p->next_len != 0) {
		char key[2 * CP_CDR_KEY_LEN + 1];

		hex(key, p->next, p->next_len);
		snprintf(text, sizeof(text), "],\"next\":\"%s\"}", key);
	}
	cp_bulk_text(b, text);
}

/* "2026-11-22", or with "T10:20:30", "T10:20:30.123"; UTC, as it is shown. */
static int parse_time(const char *text, uint64_t *ret_us)
{
	struct tm tm = {0};
	const char *at = strptime(text, "%Y-%m-%d", &tm);
	unsigned ms = 0;
	int n = 0;

	if (at != NULL && *at == 'T') {
		at = strptime(at + 1, "%H:%M:%S", &tm);
		if (at != NULL && *at == '.' && sscanf(at, ".%3u%n", &ms, &n) == 1)
			at += n;
	}
	if (at != NULL && *at == 'Z')
		at++;
	if (at == NULL || *at != '\0' || timegm(&tm) < 0)
		return -EINVAL;
	*ret_us = (uint64_t)timegm(&tm) * 1000000 + ms * 1000;
	return 0;
}

static int time_arg(struct cp_admin_req *req, const json_t *args, const char *name, uint64_t *ret)
{
	const char *text = NULL;

	if (cp_admin_arg_str(req, args, name, false, &text) < 0)
		return -EINVAL;
	if (text == NULL || parse_time(text, ret) == 0)
		return 0;
	cp_admin_fail(req, "invalid", "%s %s is not YYYY-MM-DD, or with THH:MM:SS behind it, UTC", name, cfg_q(text));
	return -EINVAL;
}

static int parse_page(struct cp_admin_req *req, const json_t *args, struct page *p)
{
	static const char *const known[] = {"from", "to", "device", "number", "after", "max", NULL};
	const char *device = "", *number = "", *after = NULL;
	uint64_t from = 0;
	int64_t max = PAGE_MAX;

	p->to_us = UINT64_MAX;
	if (cp_admin_arg_known(req, args, known) < 0 || time_arg(req, args, "from", &from) < 0 || time_arg(req, args, "to", &p->to_us) < 0 ||
	    cp_admin_arg_str(req, args, "device", false, &device) < 0 || cp_admin_arg_str(req, args, "number", false, &number) < 0 ||
	    cp_admin_arg_str(req, args, "after", false, &after) < 0 || cp_admin_arg_int(req, args, "max", false, 1, PAGE_MAX, &max) < 0)
		return -EINVAL;
	snprintf(p->device, sizeof(p->device), "%s", device);
	snprintf(p->number, sizeof(p->number), "%s", number);
	p->max = (unsigned)max;
	cp_cdr_key(p->from, (int64_t)from, 0);
	p->from_len = CP_CDR_KEY_LEN;
	if (after != NULL && cfg_hex_parse(after, p->from, CP_CDR_KEY_LEN) < 0) {
		cp_admin_fail(req, "invalid", "after is not what an answer had in next");
		return -EINVAL;
	}
	return 0;
}

static void cdr_list(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct page *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	p->store = cmds_store(ctx);
	if (parse_page(req, args, p) < 0) {
		free(p);
		return;
	}
	cp_bulk_run(req, &(struct cp_bulk_job){.store = p->store, .offload = cmds_offload(ctx), .make = make, .free_ctx = free, .ctx = p});
}

int cmds_cdr(struct cmds *c, struct cp_admin *admin)
{
	return cp_admin_register(admin, "cdr.list", cdr_list, c);
}
