/* SPDX-License-Identifier: BSD-3-Clause */
/* Records from and to JSON: the admin commands' and the import file's form. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/dp_suite.h"
#include "call/keys.h"
#include "internal.h"
#include "sccp/devtype.h"
#include "log.h"

struct from { /* one object being read; the first error stays */
	json_t *o;
	char *why;
	size_t size;
	int rc;
};

static int no(struct from *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int no(struct from *f, const char *fmt, ...)
{
	va_list ap;

	if (f->rc == 0) {
		va_start(ap, fmt);
		vsnprintf(f->why, f->size, fmt, ap);
		va_end(ap);
		f->rc = -EINVAL;
	}
	return f->rc;
}

/* 'also' (may be NULL) knows further members. */
static struct from begin(const json_t *o, const char *const *known, bool (*also)(const char *name), char *why, size_t size)
{
	/* jansson's iterators take no const; nothing is changed */
	struct from f = {(json_t *)(uintptr_t)o, why, size, 0};

	if (!json_is_object(o)) {
		no(&f, "it is no object");
		return f;
	}
	for (void *it = json_object_iter(f.o); it != NULL; it = json_object_iter_next(f.o, it)) {
		const char *const *n = known;

		while (*n != NULL && strcmp(*n, json_object_iter_key(it)) != 0)
			n++;
		if (*n == NULL && !(also != NULL && also(json_object_iter_key(it))))
			no(&f, "unknown member %s", cfg_q(json_object_iter_key(it)));
	}
	return f;
}

/* A string member into a fixed field. */
static void text(struct from *f, const char *name, bool required, char *out, size_t size)
{
	const json_t *v = json_object_get(f->o, name);

	if (v == NULL) {
		if (required)
			no(f, "%s is missing", name);
		return;
	}
	if (!json_is_string(v))
		no(f, "%s is not a string", name);
	else if (json_string_length(v) >= size)
		no(f, "%s is longer than %zu bytes", name, size - 1);
	else
		memcpy(out, json_string_value(v), json_string_length(v) + 1);
}

static bool flag(struct from *f, const char *name, bool otherwise)
{
	const json_t *v = json_object_get(f->o, name);

	if (v != NULL && !json_is_boolean(v))
		no(f, "%s is not true or false", name);
	return v == NULL ? otherwise : json_is_true(v);
}

/* A whole number in a range; 0 where it is not said. */
static int64_t number(struct from *f, const char *name, int64_t min, int64_t max)
{
	const json_t *v = json_object_get(f->o, name);

	if (v == NULL)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
		no(f, "%s is not a whole number from %lld to %lld", name, (long long)min, (long long)max);
		return 0;
	}
	return json_integer_value(v);
}

/* Which of the names it is; the first one where it is not said. */
static unsigned one_of(struct from *f, const char *name, const char *const *names, unsigned n)
{
	const json_t *v = json_object_get(f->o, name);

	if (v == NULL)
		return 0;
	for (unsigned i = 0; json_is_string(v) && i < n; i++)
		if (strcmp(json_string_value(v), names[i]) == 0)
			return i;
	no(f, "%s is not one of %s, %s, ...", name, names[0], names[1]);
	return 0;
}

static json_t *array(struct from *f, const char *name, size_t max)
{
	json_t *v = json_object_get(f->o, name);

	if (v == NULL)
		return NULL;
	if (!json_is_array(v)) {
		no(f, "%s is not an array", name);
		return NULL;
	}
	if (json_array_size(v) > max) {
		no(f, "%s has %zu items, at most %zu", name, json_array_size(v), max);
		return NULL;
	}
	return v;
}

/* A string item that fits, as a substitute for an object. */
static bool item_text(struct from *f, const char *of, const json_t *v, char *out, size_t size)
{
	if (!json_is_string(v))
		return false;
	if (json_string_length(v) >= size)
		no(f, "an item of %s is longer than %zu bytes", of, size - 1);
	else
		memcpy(out, json_string_value(v), json_string_length(v) + 1);
	return true;
}

int json_to_device(const json_t *o, struct cp_device *ret, struct cp_line lines[CP_DEVICE_LINES_MAX], bool *ret_replace,
		   char *why, size_t size)
{
	static const char *const known[] = {"name", "mode", "description", "model", "region", "srtp", "protected", "suite", "lines",
					    "profile", "srst", "protocol", "load", "user_locale", "network_locale",
					    "digest_user", "digest_secret", "config_key", "built_in_bridge", "harden", "css", "changed_us", "replace",
					    NULL};
	static const char *const line_known[] = {"number", "label", "partition", "css", "pickup", NULL};
	struct from f = begin(o, known, NULL, why, size);
	char mode[32] = "encrypted", suite[64] = "";
	json_t *list, *v;
	size_t i;

	memset(ret, 0, sizeof(*ret));
	memset(lines, 0, CP_DEVICE_LINES_MAX * sizeof(*lines));
	strcpy(ret->region, "default");
	if (f.rc < 0)
		return f.rc;
	text(&f, "name", true, ret->name, sizeof(ret->name));
	text(&f, "mode", false, mode, sizeof(mode));
	text(&f, "description", false, ret->description, sizeof(ret->description));
	text(&f, "model", false, ret->model, sizeof(ret->model));
	text(&f, "region", false, ret->region, sizeof(ret->region));
	text(&f, "css", false, ret->css, sizeof(ret->css));
	ret->srtp = flag(&f, "srtp", true);
	ret->secure_tone = flag(&f, "protected", false);
	text(&f, "suite", false, suite, sizeof(suite));
	if (f.rc == 0 && suite[0] != '\0' && (cp_suite_parse(suite, &ret->suite) < 0 || ret->suite == DP_SRTP_NONE ||
					      !cp_device_suite_ok(ret->suite)))
		no(&f, "suite %s is not AES_CM_128_HMAC_SHA1_80, AES_CM_128_HMAC_SHA1_32 or AEAD_AES_128_GCM", cfg_q(suite));
	*ret_replace = flag(&f, "replace", *ret_replace);
	if (f.rc == 0 && cp_device_mode_parse(mode, &ret->mode) < 0)
		no(&f, "mode %s is not nonsecure, authenticated or encrypted", cfg_q(mode));
	if (f.rc == 0)
		f.rc = json_phone_fields(o, ret, why, size);
	list = array(&f, "lines", CP_DEVICE_LINES_MAX);
	json_array_foreach(list, i, v) {
		struct cp_line *l = &lines[ret->line_cnt++];

		if (!item_text(&f, "lines", v, l->number, sizeof(l->number))) {
			struct from lf = begin(v, line_known, NULL, why, size);

			text(&lf, "number", true, l->number, sizeof(l->number));
			text(&lf, "label", false, l->label, sizeof(l->label));
			text(&lf, "partition", false, l->partition, sizeof(l->partition));
			text(&lf, "css", false, l->css, sizeof(l->css));
			text(&lf, "pickup", false, l->pickup, sizeof(l->pickup));
			f.rc = f.rc < 0 ? f.rc : lf.rc;
		}
		if (f.rc < 0)
			break;
	}
	ret->lines = lines;
	return f.rc;
}

int json_to_line(const json_t *o, struct cp_line *ret, const char **ret_device, char *why, size_t size)
{
	static const char *const known[] = {"number", "device", "label", "partition", "css", "pickup", NULL};
	struct from f = begin(o, known, NULL, why, size);
	const json_t *dev = json_object_get(o, "device");

	memset(ret, 0, sizeof(*ret));
	if (f.rc < 0)
		return f.rc;
	text(&f, "number", true, ret->number, sizeof(ret->number));
	text(&f, "label", false, ret->label, sizeof(ret->label));
	text(&f, "partition", false, ret->partition, sizeof(ret->partition));
	text(&f, "css", false, ret->css, sizeof(ret->css));
	text(&f, "pickup", false, ret->pickup, sizeof(ret->pickup));
	if (!json_is_string(dev))
		no(&f, "device is missing or not a string");
	else if (!cp_device_name_ok(json_string_value(dev)) && !cp_vm_port_name_ok(json_string_value(dev)))
		no(&f, "device %s is neither SEP and 12 upper-case hex digits nor a voice-mail port", cfg_q(json_string_value(dev)));
	else
		*ret_device = json_string_value(dev);
	return f.rc;
}

static const char *const admins[CP_ADMIN_MAX] = {"in-service", "drain", "out-of-service"};
static const char *const lines_at[CP_LINE_MAX] = {"default", "none", "fxs", "fxo"};

static void gateway_numbers(struct from *f, struct cp_gateway *ret, struct cp_gw_number *nums)
{
	static const char *const known[] = {"number", "prefix", "endpoint", NULL};
	json_t *list = array(f, "numbers", CP_GW_NUMBERS_MAX), *v;
	size_t i;

	json_array_foreach(list, i, v) {
		struct cp_gw_number *n = &nums[ret->number_cnt++];
		char number[CP_NUMBER_MAX + 1] = "";

		if (item_text(f, "numbers", v, number, sizeof(number))) {
			size_t len = strlen(number);

			n->prefix = len > 1 && number[len - 1] == '*';
			if (n->prefix)
				number[len - 1] = '\0';
		} else {
			struct from nf = begin(v, known, NULL, f->why, f->size);

			text(&nf, "number", true, number, CP_NUMBER_MAX);
			n->prefix = flag(&nf, "prefix", false);
			text(&nf, "endpoint", false, n->endpoint, sizeof(n->endpoint));
			f->rc = f->rc < 0 ? f->rc : nf.rc;
		}
		if (strlen(number) >= CP_NUMBER_MAX)
			no(f, "an item of numbers is longer than %d digits", CP_NUMBER_MAX - 1);
		if (f->rc < 0)
			return;
		memcpy(n->number, number, strlen(number) + 1);
	}
	ret->numbers = nums;
}

static const char *const quarantines[CP_GW_Q_CNT] = {"step", "loop"};
static const char *const bearers[CP_GW_B_CNT] = {"none", "mu-law", "a-law"};
static const char *const dialect_names[CP_GW_DIALECT_CNT] = {"rfc3435", "cisco", "auto"};

int json_to_gateway(const json_t *o, struct cp_gateway *ret, struct cp_endpoint eps[CP_GW_ENDPOINTS_MAX],
		    struct cp_gw_number nums[CP_GW_NUMBERS_MAX], bool *ret_replace, char *why, size_t size)
{
	static const char *const known[] = {"name", "type", "address", "region", "endpoints", "numbers", "version", "crypto",
					    "keys_without_ipsec", "clear", "suite", "mki", "lifetime", "srtcp_clear",
					    "conference", "ports", "conference_max", "group", "priority", "weight", "capacity",
					    "service", "line", "incoming", "css", "agent", "dialect", "piggyback", "digit_map", "quarantine", "bearer",
					    "replace", NULL};
	static const char *const ep_known[] = {"name", "line", NULL};
	struct from f = begin(o, known, json_ike_member, why, size);
	char address[80] = "", version[16] = "", form[16] = "", suite[64] = "", dialect[16] = "rfc3435";
	json_t *list, *v;
	size_t i;

	memset(ret, 0, sizeof(*ret));
	memset(eps, 0, CP_GW_ENDPOINTS_MAX * sizeof(*eps));
	memset(nums, 0, CP_GW_NUMBERS_MAX * sizeof(*nums));
	strcpy(ret->region, "default");
	if (f.rc < 0)
		return f.rc;
	text(&f, "name", true, ret->name, sizeof(ret->name));
	text(&f, "type", false, ret->type, sizeof(ret->type));
	text(&f, "address", true, address, sizeof(address));
	text(&f, "region", false, ret->region, sizeof(ret->region));
	text(&f, "version", false, version, sizeof(version));
	text(&f, "crypto", false, form, sizeof(form));
	text(&f, "dialect", false, dialect, sizeof(dialect));
	ret->piggyback = flag(&f, "piggyback", false);
	while (ret->dialect < CP_GW_DIALECT_CNT && strcmp(dialect, dialect_names[ret->dialect]) != 0)
		ret->dialect++;
	if (ret->dialect == CP_GW_DIALECT_CNT)
		no(&f, "dialect %s is not rfc3435, cisco or auto", cfg_q(dialect));
	/* The dialect says what is usual, the two others what is so. */
	if (version[0] == '\0')
		strcpy(version, ret->dialect == CP_GW_CISCO ? "0.1" : "1.0");
	if (form[0] == '\0')
		strcpy(form, ret->dialect == CP_GW_CISCO ? "x" : "rfc");
	if (f.rc == 0 && cfg_addr_parse(address, &ret->address) < 0)
		no(&f, "address %s is not ADDRESS or ADDRESS:PORT", cfg_q(address));
	if (ret->address.port == 0)
		ret->address.port = 2427;
	if (strcmp(version, "0.1") == 0)
		ret->flags |= CP_GW_MGCP_01;
	else if (strcmp(version, "1.0") != 0)
		no(&f, "version %s is not 0.1 or 1.0", cfg_q(version));
	if (strcmp(form, "x") == 0)
		ret->flags |= CP_GW_X_CRYPTO;
	else if (strcmp(form, "rfc") != 0)
		no(&f, "crypto %s is not rfc or x", cfg_q(form));
	if (flag(&f, "keys_without_ipsec", false))
		ret->flags |= CP_GW_KEYS_WITHOUT_IPSEC;
	if (flag(&f, "clear", false))
		ret->flags |= CP_GW_CLEAR;
	text(&f, "suite", false, suite, sizeof(suite));
	if (f.rc == 0 && suite[0] != '\0' && (cp_suite_parse(suite, &ret->suite) < 0 || ret->suite == DP_SRTP_NONE ||
					      dp_suite(ret->suite)->null_cipher))
		no(&f, "suite %s is none that a gateway can be offered", cfg_q(suite));
	if (flag(&f, "srtcp_clear", false))
		ret->flags |= CP_GW_SRTCP_CLEAR;
	ret->mki_len = (uint8_t)number(&f, "mki", 0, 8);
	ret->lifetime = (uint8_t)number(&f, "lifetime", 0, 48);
	if (flag(&f, "conference", false)) {
		ret->flags |= CP_GW_CONFERENCE;
		ret->ports = 48;
		ret->conference_max = 8;
	}
	if (json_object_get(o, "ports") != NULL)
		ret->ports = (uint16_t)number(&f, "ports", 3, 4096);
	if (json_object_get(o, "conference_max") != NULL)
		ret->conference_max = (uint8_t)number(&f, "conference_max", 3, CP_CONFERENCE_MAX);
	text(&f, "group", false, ret->group, sizeof(ret->group));
	ret->priority = (uint8_t)number(&f, "priority", 0, CP_GW_PRIORITIES);
	ret->weight = (uint16_t)number(&f, "weight", 0, CP_GW_WEIGHT_MAX);
	ret->capacity = (uint16_t)number(&f, "capacity", 0, UINT16_MAX);
	ret->admin = (uint8_t)one_of(&f, "service", admins, CP_ADMIN_MAX);
	ret->line = (uint8_t)one_of(&f, "line", lines_at, CP_LINE_MAX);
	text(&f, "incoming", false, ret->incoming, sizeof(ret->incoming));
	text(&f, "css", false, ret->css, sizeof(ret->css));
	text(&f, "agent", false, ret->agent, sizeof(ret->agent));
	text(&f, "digit_map", false, ret->digit_map, sizeof(ret->digit_map));
	ret->quarantine = (uint8_t)one_of(&f, "quarantine", quarantines, CP_GW_Q_CNT);
	ret->bearer = (uint8_t)one_of(&f, "bearer", bearers, CP_GW_B_CNT);
	*ret_replace = flag(&f, "replace", *ret_replace);
	list = array(&f, "endpoints", CP_GW_ENDPOINTS_MAX);
	json_array_foreach(list, i, v) {
		struct cp_endpoint *e = &eps[ret->endpoint_cnt++];

		if (!item_text(&f, "endpoints", v, e->name, sizeof(e->name))) {
			struct from ef = begin(v, ep_known, NULL, why, size);

			text(&ef, "name", true, e->name, sizeof(e->name));
			e->line = (uint8_t)one_of(&ef, "line", lines_at, CP_LINE_MAX);
			f.rc = f.rc < 0 ? f.rc : ef.rc;
		}
		if (f.rc < 0)
			return f.rc;
	}
	ret->endpoints = eps;
	if (f.rc == 0)
		gateway_numbers(&f, ret, nums);
	return f.rc < 0 ? f.rc : json_ike(o, &ret->ike, why, size);
}

json_t *device_to_json(const struct cp_device *dev)
{
	json_t *lines = json_array(), *o;

	for (unsigned i = 0; i < dev->line_cnt; i++)
		json_array_append_new(lines, json_pack("{s:s,s:s,s:s,s:s,s:s}", "number", dev->lines[i].number, "label", dev->lines[i].label,
						       "partition", dev->lines[i].partition, "css", dev->lines[i].css, "pickup", dev->lines[i].pickup));
	o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:b,s:b,s:s*,s:o,s:I}", "name", dev->name, "mode",
			 cp_device_mode_name(dev->mode), "description", dev->description, "model", dev->model, "region",
			 dev->region, "srtp", (int)dev->srtp, "protected", (int)dev->secure_tone, "suite",
			 dev->suite != 0 ? cp_suite_name(dev->suite) : NULL, "lines", lines, "changed_us", (json_int_t)dev->changed_us);
	if (o != NULL && dev->css[0] != '\0')
		json_object_set_new(o, "css", json_string(dev->css));
	if (o != NULL)
		json_phone_print(o, dev);
	return o;
}

/* What it is in a farm, and what comes from it: only what was said. */
static void gateway_farm(const struct cp_gateway *gw, json_t *o)
{
	const struct {
		const char *name;
		unsigned value;
	} numbers[] = {{"priority", gw->priority}, {"weight", gw->weight}, {"capacity", gw->capacity}};
	const char *const texts[][2] = {{"group", gw->group}, {"incoming", gw->incoming}, {"css", gw->css}};

	if (o == NULL)
		return;
	json_object_set_new(o, "service", json_string(admins[gw->admin]));
	if (gw->agent[0] != '\0')
		json_object_set_new(o, "agent", json_string(gw->agent));
	for (unsigned i = 0; i < 3; i++) {
		if (numbers[i].value != 0)
			json_object_set_new(o, numbers[i].name, json_integer(numbers[i].value));
		if (texts[i][1][0] != '\0')
			json_object_set_new(o, texts[i][0], json_string(texts[i][1]));
	}
	if (gw->line != CP_LINE_DEFAULT)
		json_object_set_new(o, "line", json_string(lines_at[gw->line]));
}

static void gateway_speech(const struct cp_gateway *gw, json_t *o)
{
	json_object_set_new(o, "dialect", json_string(dialect_names[gw->dialect < CP_GW_DIALECT_CNT ? gw->dialect : 0]));
	json_object_set_new(o, "piggyback", json_boolean(gw->piggyback));
	if (gw->digit_map[0] != '\0')
		json_object_set_new(o, "digit_map", json_string(gw->digit_map));
	if (gw->quarantine != CP_GW_Q_STEP)
		json_object_set_new(o, "quarantine", json_string(quarantines[gw->quarantine]));
	if (gw->bearer != CP_GW_B_NONE)
		json_object_set_new(o, "bearer", json_string(bearers[gw->bearer]));
	if ((gw->heard & CP_GW_HEARD) != 0)
		json_object_set_new(o, "heard", json_pack("{s:s,s:s,s:i}", "version", (gw->heard & CP_GW_HEARD_01) != 0 ? "0.1" : "1.0",
							  "crypto", (gw->heard & CP_GW_HEARD_X) != 0 ? "x" : "rfc", "port",
							  (int)gw->heard_port));
}

json_t *gateway_to_json(const struct cp_gateway *gw)
{
	json_t *eps = json_array(), *nums = json_array(), *o;
	char address[80];

	for (unsigned i = 0; i < gw->endpoint_cnt; i++)
		json_array_append_new(eps, gw->endpoints[i].line == CP_LINE_DEFAULT ? json_string(gw->endpoints[i].name) :
										     json_pack("{s:s,s:s}", "name", gw->endpoints[i].name, "line",
											       lines_at[gw->endpoints[i].line]));
	for (unsigned i = 0; i < gw->number_cnt; i++)
		json_array_append_new(nums, json_pack("{s:s,s:b,s:s}", "number", gw->numbers[i].number, "prefix",
						      (int)gw->numbers[i].prefix, "endpoint", gw->numbers[i].endpoint));
	o = json_pack("{s:s,s:s,s:s,s:i,s:s,s:s,s:o,s:o,s:s,s:s,s:b,s:b,s:s*,s:i,s:i,s:b,s:b,s:i,s:i,s:I}", "name", gw->name, "type", gw->type, "trust",
			 cp_devtype_trust_text(cp_devtype_gateway(gw->type)), "gw_id", (int)gw->gw_id,
			 "address", cfg_addr_print(&gw->address, address, sizeof(address)), "region", gw->region,
			 "endpoints", eps, "numbers", nums, "version",
			 (gw->flags & CP_GW_MGCP_01) != 0 ? "0.1" : "1.0", "crypto",
			 (gw->flags & CP_GW_X_CRYPTO) != 0 ? "x" : "rfc", "keys_without_ipsec",
			 (gw->flags & CP_GW_KEYS_WITHOUT_IPSEC) != 0, "clear", (gw->flags & CP_GW_CLEAR) != 0,
			 "suite", gw->suite != 0 ? cp_suite_name(gw->suite) : NULL, "mki", (int)gw->mki_len, "lifetime",
			 (int)gw->lifetime, "srtcp_clear", (gw->flags & CP_GW_SRTCP_CLEAR) != 0, "conference",
			 (gw->flags & CP_GW_CONFERENCE) != 0, "ports", (int)gw->ports, "conference_max", (int)gw->conference_max, "changed_us", (json_int_t)gw->changed_us);
	gateway_farm(gw, o);
	gateway_speech(gw, o);
	if (o != NULL)
		json_ike_print(o, &gw->ike);
	return o;
}

json_t *gateway_to_args(const struct cp_gateway *gw)
{
	static const char *const shown[] = {"trust", "gw_id", "changed_us", "heard"}, *const limits[] = {"ports", "conference_max"};
	json_t *o = gateway_to_json(gw);

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		json_object_del(o, shown[i]);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (json_integer_value(json_object_get(o, limits[i])) == 0)
			json_object_del(o, limits[i]);
	return o;
}
