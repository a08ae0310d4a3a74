/* SPDX-License-Identifier: BSD-3-Clause */
/* What the store holds, shown: devices, lines, gateways, alarms, audit. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alarm.h"
#include "clock.h"
#include "internal.h"
#include "log.h"

#define AUDIT_LIST 1000

const char *const cmds_no_args[] = {NULL};
const char *const cmds_name_arg[] = {"name", NULL};

static void device_show(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	const struct cp_device *dev;
	const char *name = NULL;
	json_t *o, *warnings;

	if (cp_admin_arg_known(req, args, cmds_name_arg) < 0 || cp_admin_arg_str(req, args, "name", true, &name) < 0)
		return;
	dev = cp_dir_device(cmds_store(ctx), name);
	if (dev == NULL) {
		cp_admin_fail(req, "not-found", "no device %s", cfg_q(name));
		return;
	}
	o = device_to_json(dev);
	warnings = cp_warnings(cmds_store(ctx), CP_WARN_DEVICE, name);
	if (warnings != NULL)
		json_object_set_new(o, "warnings", warnings);
	cp_admin_reply(req, o);
}

static void gateway_show(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	const struct cp_gateway *gw;
	const char *name = NULL;
	json_t *o;

	if (cp_admin_arg_known(req, args, cmds_name_arg) < 0 || cp_admin_arg_str(req, args, "name", true, &name) < 0)
		return;
	gw = cp_dir_gateway(cmds_store(ctx), name);
	if (gw == NULL) {
		cp_admin_fail(req, "not-found", "no gateway %s", cfg_q(name));
		return;
	}
	o = gateway_to_json(gw);
	if (json_object_del(o, "ike_psk_sealed") == 0) /* an export has it */
		json_object_set_new(o, "ike_psk", json_string("sealed"));
	cp_admin_reply(req, o);
}

void bulk_device(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_device dev;

	(void)key;
	(void)key_len;
	if (cp_device_parse(val, len, &dev) < 0)
		return; /* not served: the alarm store-bad-record tells of it */
	cp_bulk_item(b, device_to_json(&dev));
	cp_device_free(&dev);
}

static void make_devices(struct cp_bulk *b)
{
	cp_bulk_array(b);
	cp_bulk_each(b, CP_CF_DEVICE, NULL, bulk_device);
	cp_bulk_text(b, "]");
}

static void show_devices(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	if (cp_admin_arg_known(req, args, cmds_no_args) == 0)
		cmds_bulk(ctx, req, make_devices);
}

static void device_lines(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_device dev;

	(void)key;
	(void)key_len;
	if (cp_device_parse(val, len, &dev) < 0)
		return;
	for (unsigned i = 0; i < dev.line_cnt; i++)
		cp_bulk_item(b, json_pack("{s:s,s:b,s:s,s:s,s:i,s:s}", "number", dev.lines[i].number, "prefix", 0, "owner",
				       dev.name, "kind", "device", "line", (int)i + 1, "label", dev.lines[i].label));
	cp_device_free(&dev);
}

static void gateway_lines(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_gateway gw;

	(void)key;
	(void)key_len;
	if (cp_gateway_parse(val, len, &gw) < 0)
		return;
	for (unsigned i = 0; i < gw.number_cnt; i++)
		cp_bulk_item(b, json_pack("{s:s,s:b,s:s,s:s,s:s}", "number", gw.numbers[i].number, "prefix",
				       (int)gw.numbers[i].prefix, "owner", gw.name, "kind", "gateway", "endpoint",
				       gw.numbers[i].endpoint));
	cp_gateway_free(&gw);
}

static void make_lines(struct cp_bulk *b)
{
	cp_bulk_array(b);
	cp_bulk_each(b, CP_CF_DEVICE, NULL, device_lines);
	cp_bulk_each(b, CP_CF_GATEWAY, NULL, gateway_lines);
	cp_bulk_text(b, "]");
}

static void show_lines(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	if (cp_admin_arg_known(req, args, cmds_no_args) == 0)
		cmds_bulk(ctx, req, make_lines);
}

static json_t *time_text(int64_t us)
{
	char buf[CP_UTC_LEN];

	return json_string(cp_utc_us(us, buf));
}

static void add_alarm(void *ctx, const struct cp_alarm *a)
{
	json_array_append_new(ctx, json_pack("{s:o,s:s,s:s,s:s,s:s,s:I}", "since", time_text(a->since_us), "severity",
					     cp_alarm_severity_name(a->severity), "id", a->id, "subject", a->subject,
					     "text", a->text, "count", (json_int_t)a->count));
}

static void show_alarms(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_alarms *alarms = cmds_backend(ctx)->alarms;
	json_t *list;

	if (cp_admin_arg_known(req, args, cmds_no_args) < 0)
		return;
	list = json_array();
	if (alarms != NULL)
		cp_alarm_each(alarms, add_alarm, list);
	cp_admin_reply(req, list);
}

static void alarm_clear(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"id", "subject", "all", NULL};
	struct cp_alarms *alarms = cmds_backend(ctx)->alarms;
	const char *id = NULL, *subject = NULL;
	bool all = false;
	unsigned n;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "id", false, &id) < 0 ||
	    cp_admin_arg_str(req, args, "subject", false, &subject) < 0 ||
	    cp_admin_arg_bool(req, args, "all", &all) < 0)
		return;
	if ((id == NULL) != all || (subject != NULL && id == NULL) || alarms == NULL) {
		cp_admin_fail(req, "invalid", "give an id, an id and a subject, or all");
		return;
	}
	cfg_log(CFG_LOG_NOTICE, "alarm-clear", "by=%s id=%s", cfg_q(cp_admin_who(req)), cfg_q(id != NULL ? id : "*"));
	n = subject != NULL ? cp_alarm_clear(alarms, id, subject) : cp_alarm_clear_all(alarms, id);
	if (n == 0 && !all)
		cp_admin_fail(req, "not-found", "no such alarm");
	else
		cp_admin_reply(req, json_pack("{s:i}", "cleared", (int)n));
}

static void add_audit(void *ctx, int64_t time_us, const char *text)
{
	json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *e = json_object();

	json_object_set_new(e, "time", time_text(time_us));
	if (json_is_object(o))
		json_object_update(e, o);
	json_decref(o);
	json_array_append_new(ctx, e);
}

static void show_audit(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"max", NULL};
	int64_t max = 50;
	json_t *list;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 ||
	    cp_admin_arg_int(req, args, "max", false, 1, AUDIT_LIST, &max) < 0)
		return;
	list = json_array();
	rc = cp_store_audit(cmds_store(ctx), (unsigned)max, add_audit, list);
	if (rc == 0) {
		cp_admin_reply(req, list);
		return;
	}
	json_decref(list);
	cp_admin_fail_rc(req, rc, "the store cannot be read just now");
}

int cmds_show(struct cmds *c, struct cp_admin *admin)
{
	static const struct {
		const char *cmd;
		cp_admin_fn fn;
	} list[] = {
		{"device.show", device_show},
		{"gateway.show", gateway_show},
		{"show.devices", show_devices},
		{"show.lines", show_lines},
		{"show.alarms", show_alarms},
		{"show.audit", show_audit},
		{"alarm.clear", alarm_clear},
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && rc == 0; i++)
		rc = cp_admin_register(admin, list[i].cmd, list[i].fn, c);
	return rc;
}
