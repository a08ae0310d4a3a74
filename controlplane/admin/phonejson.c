/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What phones are told, from and to JSON: security profiles, SRST references, the cluster's settings, and the fields of a
 * device that concern its files. Every record has one table of members; what is not given stays as it is.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base64.h"
#include "internal.h"
#include "log.h"
#include "phonejson.h"
#include "store/change.h"
#include "why.h"
#include "x509.h"

enum type { T_STR, T_BOOL, T_UINT, T_ENUM, T_MODE, T_HARDEN, T_BASE64, T_TIME };

struct member {
	const char *name;
	enum type type;
	uint16_t size;
	size_t off;
	uint64_t max; /* UINT */
	int (*parse)(const char *name, uint8_t *ret); /* ENUM */
	const char *(*print)(unsigned value);
};

#define M(n, t, st, m, ...) {n, t, (uint16_t)sizeof(((struct st *)0)->m), offsetof(struct st, m), __VA_ARGS__}
#define S(n, st, m) M(n, T_STR, st, m, 0, NULL, NULL)
#define B(n, st, m) M(n, T_BOOL, st, m, 0, NULL, NULL)
#define U(n, st, m, most) M(n, T_UINT, st, m, most, NULL, NULL)
#define E(n, st, m, parse, print) M(n, T_ENUM, st, m, 0, parse, print)
#define END {NULL, T_STR, 0, 0, 0, NULL, NULL}

static const struct member device_members[] = {
	S("profile", cp_device, profile),
	S("srst", cp_device, srst),
	E("protocol", cp_device, protocol, cp_protocol_parse, cp_protocol_name),
	S("load", cp_device, load),
	S("user_locale", cp_device, user_locale),
	S("network_locale", cp_device, network_locale),
	S("digest_user", cp_device, digest_user),
	M("digest_secret", T_BASE64, cp_device, digest_secret, 0, NULL, NULL),
	M("config_key", T_BASE64, cp_device, config_key, 0, NULL, NULL),
	E("built_in_bridge", cp_device, bridge, cp_bridge_parse, cp_bridge_name),
	M("harden", T_HARDEN, cp_device, harden, 0, NULL, NULL),
	END,
};

static const struct member device_set_members[] = { /* what is in the other table belongs here too */
	S("description", cp_device, description),
	S("model", cp_device, model),
	S("region", cp_device, region),
	B("protected", cp_device, secure_tone),
	M("mode", T_MODE, cp_device, mode, 0, NULL, NULL),
	END,
};

static const struct member profile_members[] = {
	S("name", cp_profile, name),
	S("description", cp_profile, description),
	E("protocol", cp_profile, protocol, cp_protocol_parse, cp_protocol_name),
	M("mode", T_MODE, cp_profile, mode, 0, NULL, NULL),
	E("transport", cp_profile, transport, cp_transport_parse, cp_transport_name),
	B("digest", cp_profile, digest),
	B("digest_exclude", cp_profile, digest_exclude),
	B("oauth", cp_profile, oauth),
	B("encrypted_config", cp_profile, encrypted_config),
	B("no_verify", cp_profile, no_verify),
	E("capf_auth", cp_profile, capf_auth, cp_capf_auth_parse, cp_capf_auth_name),
	S("capf_key", cp_profile, capf_key),
	S("capf_backup", cp_profile, capf_backup),
	U("port", cp_profile, port, 65535),
	U("nonce_s", cp_profile, nonce_s, 86400),
	S("load", cp_profile, load),
	S("user_locale", cp_profile, user_locale),
	S("network_locale", cp_profile, network_locale),
	S("srst", cp_profile, srst),
	S("ciphers_off", cp_profile, ciphers_off),
	M("harden", T_HARDEN, cp_profile, harden, 0, NULL, NULL),
	M("changed_us", T_TIME, cp_profile, changed_us, 0, NULL, NULL),
	END,
};

static const struct member srst_members[] = {
	S("name", cp_srst, name),
	B("user_modifiable", cp_srst, user_modifiable),
	B("secure", cp_srst, secure),
	U("cert_port", cp_srst, cert_port, 65535), /* taken by take_cert_port() */
	M("cert", T_BASE64, cp_srst, cert, 0, NULL, NULL),
	M("changed_us", T_TIME, cp_srst, changed_us, 0, NULL, NULL),
	END,
};

static const struct member cluster_members[] = {
	B("sip_oauth", cp_cluster, sip_oauth),
	B("foreign_files", cp_cluster, foreign_files),
	B("plain_secrets", cp_cluster, plain_secrets),
	S("realm", cp_cluster, realm),
	S("user_locale", cp_cluster, user_locale),
	S("network_locale", cp_cluster, network_locale),
	S("srst", cp_cluster, srst),
	S("date_template", cp_cluster, date_template),
	S("time_zone", cp_cluster, time_zone),
	S("load", cp_cluster, load),
	S("url_authentication", cp_cluster, url[CP_URL_AUTH]),
	S("url_directory", cp_cluster, url[CP_URL_DIRECTORY]),
	S("url_services", cp_cluster, url[CP_URL_SERVICES]),
	S("url_messages", cp_cluster, url[CP_URL_MESSAGES]),
	S("url_idle", cp_cluster, url[CP_URL_IDLE]),
	S("url_information", cp_cluster, url[CP_URL_INFORMATION]),
	U("resumption_s", cp_cluster, resumption_s, 604800),
	U("monitor_s", cp_cluster, monitor_s, 86400),
	E("built_in_bridge", cp_cluster, bridge, cp_bridge_parse, cp_bridge_name),
	M("harden", T_HARDEN, cp_cluster, harden, 0, NULL, NULL),
	M("changed_us", T_TIME, cp_cluster, changed_us, 0, NULL, NULL),
	END,
};

/* --- JSON --- */

int json_take_base64(const char *text, size_t len, struct cp_buf *ret)
{
	uint8_t *data;
	size_t n;

	if (len == 0) {
		free(ret->data);
		*ret = (struct cp_buf){0};
		return 0;
	}
	if (pki_base64_decode(text, len, 65536 / 4 * 3, &data, &n) < 0)
		return -EINVAL;
	free(ret->data);
	*ret = (struct cp_buf){data, (size_t)n};
	return 0;
}

static int take_harden(const json_t *v, struct cp_harden *h, char *why, size_t size)
{
	json_t *o = (json_t *)(uintptr_t)v; /* jansson's iterators take no const; nothing is changed */

	for (void *it = json_object_iter(o); it != NULL; it = json_object_iter_next(o, it)) {
		const char *value = json_string_value(json_object_iter_value(it));
		int rc = value == NULL ? cfg_invalid(why, size, "harden: %s is not a string", cfg_q(json_object_iter_key(it)))
				       : cp_harden_parse(h, json_object_iter_key(it), value, why, size);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int take_number(uint8_t *at, const struct member *m, const json_t *v, char *why, size_t size)
{
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < 0 || (uint64_t)n > m->max)
		return cfg_invalid(why, size, "%s is not a whole number from 0 to %llu", m->name, (unsigned long long)m->max);
	if (m->size == 2)
		memcpy(at, &(uint16_t){(uint16_t)n}, 2);
	else
		memcpy(at, &(uint32_t){(uint32_t)n}, 4);
	return 0;
}

static int take(const struct member *m, void *rec, const json_t *v, char *why, size_t size)
{
	uint8_t *at = (uint8_t *)rec + m->off;
	const char *text = json_string_value(v);
	size_t len = json_string_length(v);

	switch (m->type) {
	case T_BOOL:
		if (!json_is_boolean(v))
			return cfg_invalid(why, size, "%s is not true or false", m->name);
		memcpy(at, &(bool){json_is_true(v)}, sizeof(bool));
		return 0;
	case T_UINT:
		return take_number(at, m, v, why, size);
	case T_HARDEN:
		if (!json_is_object(v))
			return cfg_invalid(why, size, "%s is not an object", m->name);
		return take_harden(v, (struct cp_harden *)(void *)at, why, size);
	case T_TIME:
		return 0; /* said by us: what an export holds of it is passed over */
	default:
		break;
	}
	if (text == NULL || strlen(text) != len)
		return cfg_invalid(why, size, "%s is not a string", m->name);
	if (m->type == T_STR) {
		if (len >= m->size)
			return cfg_invalid(why, size, "%s is longer than %d bytes", m->name, m->size - 1);
		memset(at, 0, m->size);
		memcpy(at, text, len);
		return 0;
	}
	if (m->type == T_BASE64)
		return json_take_base64(text, len, (struct cp_buf *)(void *)at) < 0 ? cfg_invalid(why, size, "%s is not base64", m->name) : 0;
	if (m->type == T_MODE) {
		enum cp_device_mode mode;

		if (cp_device_mode_parse(text, &mode) < 0)
			return cfg_invalid(why, size, "mode %s is not nonsecure, authenticated or encrypted", cfg_q(text));
		memcpy(at, &mode, sizeof(mode));
		return 0;
	}
	return m->parse(text, at) < 0 ? cfg_invalid(why, size, "%s cannot be %s", m->name, cfg_q(text)) : 0;
}

static const struct member *find_member(const struct member *tab, const char *name)
{
	for (; tab != NULL && tab->name != NULL; tab++)
		if (strcmp(tab->name, name) == 0)
			return tab;
	return NULL;
}

/* The members that are given, into 'rec'. Unknown ones are refused unless they are in 'also' (NULL-terminated; NULL: pass all over). */
static int apply(const json_t *args, const struct member *tab, const struct member *tab2, const char *const *also, void *rec,
		 char *why, size_t size)
{
	json_t *o = (json_t *)(uintptr_t)args;

	if (!json_is_object(o))
		return cfg_invalid(why, size, "it is no object");
	for (void *it = json_object_iter(o); it != NULL; it = json_object_iter_next(o, it)) {
		const char *name = json_object_iter_key(it);
		const struct member *m = find_member(tab, name);
		const char *const *a = also;
		int rc;

		if (m == NULL)
			m = find_member(tab2, name);
		if (m == NULL) {
			while (a != NULL && *a != NULL && strcmp(*a, name) != 0)
				a++;
			if (also != NULL && *a == NULL)
				return cfg_invalid(why, size, "unknown member %s", cfg_q(name));
			continue;
		}
		rc = take(m, rec, json_object_iter_value(it), why, size);
		if (rc < 0)
			return rc;
	}
	return 0;
}

json_t *json_base64(const struct cp_buf *b)
{
	char *text = pki_base64_encode(b->data, b->len);
	json_t *v = json_string(text); /* NULL of NULL */

	free(text);
	return v;
}

static json_t *harden_json(const struct cp_harden *h)
{
	json_t *o = json_object();

	for (unsigned i = 0; i < CP_HARDEN_CNT; i++)
		if (h->v[i] != CP_SET_DEFAULT)
			json_object_set_new(o, cp_harden_rows[i].name, json_string(cp_set_name((enum cp_set)h->v[i])));
	return o;
}

/* What is empty, false or 0 is left out: it is read back as the same. */
static void print_into(json_t *o, const struct member *tab, const void *rec)
{
	for (const struct member *m = tab; m->name != NULL; m++) {
		const uint8_t *at = (const uint8_t *)rec + m->off;
		json_t *v = NULL;

		switch (m->type) {
		case T_STR:
			v = *at != 0 ? json_string((const char *)at) : NULL;
			break;
		case T_BOOL:
			v = *at != 0 ? json_true() : NULL;
			break;
		case T_UINT: {
			uint32_t n = 0;
			uint16_t n2;

			memcpy(m->size == 2 ? (void *)&n2 : (void *)&n, at, m->size);
			if (m->size == 2)
				n = n2;
			v = n != 0 ? json_integer(n) : NULL;
			break;
		}
		case T_ENUM:
			v = *at != 0 ? json_string(m->print(*at)) : NULL;
			break;
		case T_MODE: {
			enum cp_device_mode mode;

			memcpy(&mode, at, sizeof(mode));
			v = json_string(cp_device_mode_name(mode));
			break;
		}
		case T_HARDEN:
			v = harden_json((const struct cp_harden *)(const void *)at);
			if (json_object_size(v) == 0) {
				json_decref(v);
				v = NULL;
			}
			break;
		case T_BASE64: {
			const struct cp_buf *b = (const struct cp_buf *)(const void *)at;

			v = b->len > 0 ? json_base64(b) : NULL;
			break;
		}
		case T_TIME: {
			int64_t t;

			memcpy(&t, at, sizeof(t));
			v = json_integer(t);
			break;
		}
		}
		if (v != NULL)
			json_object_set_new(o, m->name, v);
	}
}

int json_phone_fields(const json_t *o, struct cp_device *ret, char *why, size_t size)
{
	return apply(o, device_members, NULL, NULL, ret, why, size);
}

void json_phone_print(json_t *o, const struct cp_device *dev)
{
	print_into(o, device_members, dev);
}

bool json_phone_member(const char *name)
{
	return find_member(device_members, name) != NULL;
}

static int take_addr(const char *text, struct cfg_addr *ret, char *why, size_t size)
{
	return text[0] == '\0' || cfg_addr_parse(text, ret) == 0
		       ? 0
		       : cfg_invalid(why, size, "address %s is not ADDRESS or ADDRESS:PORT", cfg_q(text));
}

/* "addresses": ["A[:PORT]", or "A[:PORT]/A[:PORT]" where SIP has another] */
static int take_addrs(const json_t *list, struct cp_srst *s, char *why, size_t size)
{
	json_t *v;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > CP_SRST_ADDRS_MAX)
		return cfg_invalid(why, size, "addresses are 1 to %d", CP_SRST_ADDRS_MAX);
	free(s->addrs);
	s->addr_cnt = 0;
	s->addrs = calloc(json_array_size(list), sizeof(*s->addrs));
	if (s->addrs == NULL)
		return -ENOMEM;
	json_array_foreach(list, i, v) {
		struct cp_srst_addr *a = &s->addrs[i];
		char text[128];
		char *slash;
		int rc;

		if (!json_is_string(v) || json_string_length(v) >= sizeof(text))
			return cfg_invalid(why, size, "an address is not a string");
		memcpy(text, json_string_value(v), json_string_length(v) + 1);
		slash = strchr(text, '/');
		if (slash != NULL)
			*slash = '\0';
		rc = take_addr(text, &a->sccp, why, size);
		if (rc == 0 && slash != NULL)
			rc = take_addr(slash + 1, &a->sip, why, size);
		if (rc == 0 && slash == NULL) {
			a->sip = a->sccp;
			a->sip.port = 0;
		}
		if (rc < 0)
			return rc;
		s->addr_cnt++;
	}
	return 0;
}

/* A number, or its digits; the text is the documents' (004c section 4.9). */
static int take_cert_port(const json_t *v, struct cp_srst *s, char *why, size_t size)
{
	const char *text = json_string_value(v);
	json_int_t port = json_integer_value(v);

	if (v == NULL)
		return 0;
	if (text != NULL ? text[0] == '\0' || text[strspn(text, "0123456789")] != '\0' : !json_is_integer(v) || port < 0)
		return cfg_invalid(why, size, "Port Numbers can only contain digits.");
	if (text != NULL)
		port = strlen(text) <= 5 ? atoi(text) : 99999;
	if (port != 0 && (port < CP_SRST_CERT_PORT_MIN || port > CP_SRST_CERT_PORT_MAX))
		return cfg_invalid(why, size, "port of the certificate provider is not %d to %d", CP_SRST_CERT_PORT_MIN, CP_SRST_CERT_PORT_MAX);
	s->cert_port = (uint16_t)port;
	return 0;
}

/* One that is given by hand or by import is looked at as a fetched one is: phones would not take what has expired. */
static int cert_in_time(const struct cp_srst *s, char *why, size_t size)
{
	X509 *cert = NULL;
	time_t now = time(NULL);
	int rc = 0;

	if (s->cert.len == 0 || pki_cert_parse(s->cert.data, s->cert.len, &cert) < 0)
		return 0; /* what is none is refused where it is stored */
	if (X509_cmp_time(X509_get0_notAfter(cert), &now) <= 0)
		rc = cfg_invalid(why, size, "the certificate of %s has expired: srst fetch", cfg_q(s->name));
	X509_free(cert);
	return rc;
}

int json_srst_set(const json_t *o, struct cp_srst *s, char *why, size_t size)
{
	static const char *const also[] = {"addresses", "replace", NULL};
	const json_t *list = json_object_get(o, "addresses");
	json_t *rest = json_copy((json_t *)(uintptr_t)o); /* shallow */
	int rc = rest == NULL ? -ENOMEM : take_cert_port(json_object_get(o, "cert_port"), s, why, size);

	json_object_del(rest, "cert_port");
	if (rc == 0)
		rc = apply(rest, srst_members, NULL, also, s, why, size);
	json_decref(rest);
	if (rc == 0 && json_object_get(o, "cert") != NULL)
		rc = cert_in_time(s, why, size);
	return rc == 0 && list != NULL ? take_addrs(list, s, why, size) : rc;
}

json_t *profile_to_json(const struct cp_profile *p)
{
	json_t *o = json_object();

	print_into(o, profile_members, p);
	return o;
}

json_t *srst_to_json(const struct cp_srst *s)
{
	json_t *o = json_object(), *list = json_array();

	print_into(o, srst_members, s);
	for (unsigned i = 0; i < s->addr_cnt; i++) {
		char a[80] = "", b[80] = "", both[168];

		if (s->addrs[i].sccp.family != 0)
			cfg_addr_print(&s->addrs[i].sccp, a, sizeof(a));
		if (s->addrs[i].sip.family != 0)
			cfg_addr_print(&s->addrs[i].sip, b, sizeof(b));
		snprintf(both, sizeof(both), "%s/%s", a, b);
		json_array_append_new(list, json_string(both));
	}
	json_object_set_new(o, "addresses", list);
	return o;
}

json_t *cluster_to_json(const struct cp_cluster *c)
{
	json_t *o = json_object();

	print_into(o, cluster_members, c);
	return o;
}

int json_profile_set(const json_t *o, struct cp_profile *p, char *why, size_t size)
{
	static const char *const also[] = {"replace", NULL};

	return apply(o, profile_members, NULL, also, p, why, size);
}

int json_cluster_set(const json_t *o, struct cp_cluster *c, char *why, size_t size)
{
	static const char *const also[] = {NULL};

	return apply(o, cluster_members, NULL, also, c, why, size);
}

int json_device_set(const json_t *o, struct cp_device *dev, char *why, size_t size)
{
	static const char *const also[] = {"name", NULL};

	return apply(o, device_members, device_set_members, also, dev, why, size);
}

int json_change_profile(struct cp_change *c, const json_t *o, bool replace, char *why, size_t size)
{
	struct cp_profile p = {.mode = CP_DEVICE_ENCRYPTED};
	int rc = json_profile_set(o, &p, why, size);

	return rc < 0 ? rc : cp_change_profile_put(c, &p, replace || json_is_true(json_object_get(o, "replace")), why, size);
}

int json_change_srst(struct cp_change *c, const json_t *o, bool replace, char *why, size_t size)
{
	struct cp_srst s = {0};
	int rc = json_srst_set(o, &s, why, size);

	if (rc == 0)
		rc = cp_change_srst_put(c, &s, replace || json_is_true(json_object_get(o, "replace")), why, size);
	cp_srst_free(&s);
	return rc;
}

int json_change_cluster(struct cp_change *c, const json_t *o, char *why, size_t size)
{
	struct cp_cluster cl = {0};
	int rc = json_cluster_set(o, &cl, why, size);

	return rc < 0 ? rc : cp_change_cluster_put(c, &cl, why, size);
}
