/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What phones are told, from and to JSON, and the commands that change it: security profiles, SRST references, the cluster's
 * settings, and the fields of a device that concern its files. Every record has one table of members; "add" begins with an
 * empty record, "set" with the one there is, and members that are not given stay.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "log.h"
#include "offload.h"
#include "store/change.h"
#include "store/phonecfg.h"

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
	M("harden", T_HARDEN, cp_device, harden, 0, NULL, NULL),
	END,
};

static const struct member device_set_members[] = { /* what is in the other table belongs here too */
	S("description", cp_device, description),
	S("model", cp_device, model),
	S("region", cp_device, region),
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
	U("cert_port", cp_srst, cert_port, 65535),
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
	M("harden", T_HARDEN, cp_cluster, harden, 0, NULL, NULL),
	M("changed_us", T_TIME, cp_cluster, changed_us, 0, NULL, NULL),
	END,
};

static int no(char *why, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int no(char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* --- JSON --- */

static int take_base64(const char *text, size_t len, struct cp_buf *ret)
{
	uint8_t *data = len > 0 && len % 4 == 0 && len <= 65536 ? malloc(len / 4 * 3) : NULL;
	int n = data != NULL ? EVP_DecodeBlock(data, (const uint8_t *)text, (int)len) : -1;

	if (len == 0) {
		free(ret->data);
		*ret = (struct cp_buf){0};
		return 0;
	}
	if (n > 0 && text[len - 1] == '=')
		n -= 1 + (text[len - 2] == '=');
	if (n <= 0) {
		free(data);
		return -EINVAL;
	}
	free(ret->data);
	*ret = (struct cp_buf){data, (size_t)n};
	return 0;
}

static int take_harden(const json_t *v, struct cp_harden *h, char *why, size_t size)
{
	json_t *o = (json_t *)(uintptr_t)v; /* jansson's iterators take no const; nothing is changed */

	for (void *it = json_object_iter(o); it != NULL; it = json_object_iter_next(o, it)) {
		const char *value = json_string_value(json_object_iter_value(it));
		int rc = value == NULL ? no(why, size, "harden: %s is not a string", cfg_q(json_object_iter_key(it)))
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
		return no(why, size, "%s is not a whole number from 0 to %llu", m->name, (unsigned long long)m->max);
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
			return no(why, size, "%s is not true or false", m->name);
		memcpy(at, &(bool){json_is_true(v)}, sizeof(bool));
		return 0;
	case T_UINT:
		return take_number(at, m, v, why, size);
	case T_HARDEN:
		if (!json_is_object(v))
			return no(why, size, "%s is not an object", m->name);
		return take_harden(v, (struct cp_harden *)(void *)at, why, size);
	case T_TIME:
		return 0; /* said by us: what an export holds of it is passed over */
	default:
		break;
	}
	if (text == NULL || strlen(text) != len)
		return no(why, size, "%s is not a string", m->name);
	if (m->type == T_STR) {
		if (len >= m->size)
			return no(why, size, "%s is longer than %d bytes", m->name, m->size - 1);
		memset(at, 0, m->size);
		memcpy(at, text, len);
		return 0;
	}
	if (m->type == T_BASE64)
		return take_base64(text, len, (struct cp_buf *)(void *)at) < 0 ? no(why, size, "%s is not base64", m->name) : 0;
	if (m->type == T_MODE) {
		enum cp_device_mode mode;

		if (cp_device_mode_parse(text, &mode) < 0)
			return no(why, size, "mode %s is not nonsecure, authenticated or encrypted", cfg_q(text));
		memcpy(at, &mode, sizeof(mode));
		return 0;
	}
	return m->parse(text, at) < 0 ? no(why, size, "%s cannot be %s", m->name, cfg_q(text)) : 0;
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
		return no(why, size, "it is no object");
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
				return no(why, size, "unknown member %s", cfg_q(name));
			continue;
		}
		rc = take(m, rec, json_object_iter_value(it), why, size);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static json_t *base64(const struct cp_buf *b)
{
	char *text = malloc(b->len / 3 * 4 + 8);
	json_t *v;

	if (text == NULL)
		return NULL;
	EVP_EncodeBlock((uint8_t *)text, b->data, (int)b->len);
	v = json_string(text);
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

			v = b->len > 0 ? base64(b) : NULL;
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
		       : no(why, size, "address %s is not ADDRESS or ADDRESS:PORT", cfg_q(text));
}

/* "addresses": ["A[:PORT]", or "A[:PORT]/A[:PORT]" where SIP has another] */
static int take_addrs(const json_t *list, struct cp_srst *s, char *why, size_t size)
{
	json_t *v;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > CP_SRST_ADDRS_MAX)
		return no(why, size, "addresses are 1 to %d", CP_SRST_ADDRS_MAX);
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
			return no(why, size, "an address is not a string");
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

static int take_srst(const json_t *o, struct cp_srst *s, char *why, size_t size)
{
	static const char *const also[] = {"addresses", "replace", NULL};
	const json_t *list = json_object_get(o, "addresses");
	int rc = apply(o, srst_members, NULL, also, s, why, size);

	return rc == 0 && list != NULL ? take_addrs(list, s, why, size) : rc;
}

static json_t *profile_json(const struct cp_profile *p)
{
	json_t *o = json_object();

	print_into(o, profile_members, p);
	return o;
}

static json_t *srst_json(const struct cp_srst *s)
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

int json_change_profile(struct cp_change *c, const json_t *o, bool replace, char *why, size_t size)
{
	static const char *const also[] = {"replace", NULL};
	struct cp_profile p = {.mode = CP_DEVICE_ENCRYPTED};
	int rc = apply(o, profile_members, NULL, also, &p, why, size);

	return rc < 0 ? rc : cp_change_profile_put(c, &p, replace || json_is_true(json_object_get(o, "replace")), why, size);
}

int json_change_srst(struct cp_change *c, const json_t *o, bool replace, char *why, size_t size)
{
	struct cp_srst s = {0};
	int rc = take_srst(o, &s, why, size);

	if (rc == 0)
		rc = cp_change_srst_put(c, &s, replace || json_is_true(json_object_get(o, "replace")), why, size);
	cp_srst_free(&s);
	return rc;
}

int json_change_cluster(struct cp_change *c, const json_t *o, char *why, size_t size)
{
	static const char *const also[] = {NULL};
	struct cp_cluster cl = {0};
	int rc = apply(o, cluster_members, NULL, also, &cl, why, size);

	return rc < 0 ? rc : cp_change_cluster_put(c, &cl, why, size);
}

/* --- changes --- */

static const char *name_of(const json_t *args)
{
	const char *name = json_string_value(json_object_get(args, "name"));

	return name != NULL ? name : "";
}

/* Commits what was put into 'c', or drops it. */
static int finish(struct pending_change *p, struct cp_change *c, int rc, const char *event, const char *name)
{
	if (c == NULL)
		return -ENOMEM;
	if (rc == 0) {
		json_t *detail = json_pack("{s:s}", "name", name);

		p->result = json_pack("{s:s}", "name", name);
		return cp_change_submit(c, event, cp_admin_who(p->req), detail, change_written, p);
	}
	cp_change_destroy(c);
	return rc;
}

static int attempt_profile_add(struct pending_change *p, char *why, size_t size)
{
	struct cp_change *c = cp_change_create(cmds_store(p->cmds));
	int rc = c == NULL ? -ENOMEM : json_change_profile(c, p->args, false, why, size);

	return finish(p, c, rc, "profile.add", name_of(p->args));
}

static int attempt_profile_set(struct pending_change *p, char *why, size_t size)
{
	static const char *const also[] = {NULL};
	struct cp_store *s = cmds_store(p->cmds);
	struct cp_change *c;
	struct cp_profile pr;
	int rc = cp_store_profile(s, name_of(p->args), &pr);

	if (rc < 0) {
		snprintf(why, size, "no profile %s", cfg_q(name_of(p->args)));
		return rc;
	}
	c = cp_change_create(s);
	rc = c == NULL ? -ENOMEM : apply(p->args, profile_members, NULL, also, &pr, why, size);
	if (rc == 0)
		rc = cp_change_profile_put(c, &pr, true, why, size);
	cp_profile_free(&pr);
	return finish(p, c, rc, "profile.set", name_of(p->args));
}

static int attempt_profile_del(struct pending_change *p, char *why, size_t size)
{
	struct cp_change *c = cp_change_create(cmds_store(p->cmds));
	int rc = c == NULL ? -ENOMEM : cp_change_profile_del(c, name_of(p->args), why, size);

	return finish(p, c, rc, "profile.del", name_of(p->args));
}

static int attempt_srst_add(struct pending_change *p, char *why, size_t size)
{
	struct cp_change *c = cp_change_create(cmds_store(p->cmds));
	int rc = c == NULL ? -ENOMEM : json_change_srst(c, p->args, false, why, size);

	return finish(p, c, rc, "srst.add", name_of(p->args));
}

static int attempt_srst_set(struct pending_change *p, char *why, size_t size)
{
	struct cp_store *s = cmds_store(p->cmds);
	struct cp_change *c;
	struct cp_srst sr;
	int rc = cp_store_srst(s, name_of(p->args), &sr);

	if (rc < 0) {
		snprintf(why, size, "no SRST reference %s", cfg_q(name_of(p->args)));
		return rc;
	}
	c = cp_change_create(s);
	rc = c == NULL ? -ENOMEM : take_srst(p->args, &sr, why, size);
	if (rc == 0 && !sr.secure) { /* 004b:SRST-07: without the box the certificate goes */
		free(sr.cert.data);
		sr.cert = (struct cp_buf){0};
	}
	if (rc == 0)
		rc = cp_change_srst_put(c, &sr, true, why, size);
	cp_srst_free(&sr);
	return finish(p, c, rc, "srst.set", name_of(p->args));
}

/* 004b:SRST-08: a certificate that somebody has looked at and accepts. */
static int attempt_srst_cert(struct pending_change *p, char *why, size_t size)
{
	const char *data = json_string_value(json_object_get(p->args, "data"));
	struct cp_store *s = cmds_store(p->cmds);
	struct cp_buf raw = {0};
	const unsigned char *at;
	struct cp_change *c;
	struct cp_srst sr;
	X509 *cert;
	uint8_t *der = NULL;
	BIO *bio;
	int rc = cp_store_srst(s, name_of(p->args), &sr), len;

	if (rc < 0) {
		snprintf(why, size, "no SRST reference %s", cfg_q(name_of(p->args)));
		return rc;
	}
	if (data == NULL || take_base64(data, strlen(data), &raw) < 0 || raw.len == 0) {
		cp_srst_free(&sr);
		return no(why, size, "data is not base64, or empty");
	}
	at = raw.data;
	cert = d2i_X509(NULL, &at, (long)raw.len);
	if (cert == NULL && (bio = BIO_new_mem_buf(raw.data, (int)raw.len)) != NULL) {
		cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		BIO_free(bio);
	}
	free(raw.data);
	len = cert != NULL ? i2d_X509(cert, &der) : -1;
	X509_free(cert);
	if (len <= 0) {
		cp_srst_free(&sr);
		return no(why, size, "it is no certificate, in PEM or DER");
	}
	free(sr.cert.data);
	sr.cert = (struct cp_buf){malloc((size_t)len), (size_t)len};
	if (sr.cert.data != NULL)
		memcpy(sr.cert.data, der, (size_t)len);
	OPENSSL_free(der);
	c = cp_change_create(s);
	rc = c == NULL || sr.cert.data == NULL ? -ENOMEM : cp_change_srst_put(c, &sr, true, why, size);
	cp_srst_free(&sr);
	return finish(p, c, rc, "srst.cert", name_of(p->args));
}

static int attempt_srst_del(struct pending_change *p, char *why, size_t size)
{
	struct cp_change *c = cp_change_create(cmds_store(p->cmds));
	int rc = c == NULL ? -ENOMEM : cp_change_srst_del(c, name_of(p->args), why, size);

	return finish(p, c, rc, "srst.del", name_of(p->args));
}

static int attempt_cluster_set(struct pending_change *p, char *why, size_t size)
{
	static const char *const also[] = {NULL};
	struct cp_store *s = cmds_store(p->cmds);
	struct cp_change *c = cp_change_create(s);
	struct cp_cluster cl;
	int rc;

	cp_store_cluster(s, &cl);
	rc = c == NULL ? -ENOMEM : apply(p->args, cluster_members, NULL, also, &cl, why, size);
	if (rc == 0)
		rc = cp_change_cluster_put(c, &cl, why, size);
	cp_cluster_free(&cl);
	return finish(p, c, rc, "cluster.set", "cluster");
}

static int attempt_device_set(struct pending_change *p, char *why, size_t size)
{
	static const char *const also[] = {"name", NULL};
	struct cp_store *s = cmds_store(p->cmds);
	const struct cp_device *old = cp_dir_device(s, name_of(p->args));
	struct cp_change *c;
	struct cp_device dev;
	int rc;

	if (old == NULL) {
		snprintf(why, size, "no device %s", cfg_q(name_of(p->args)));
		return -ENOENT;
	}
	rc = cp_device_copy(old, &dev);
	if (rc < 0)
		return rc;
	c = cp_change_create(s);
	rc = c == NULL ? -ENOMEM : apply(p->args, device_members, device_set_members, also, &dev, why, size);
	if (rc == 0 && dev.digest_user[0] == '\0') { /* without a user there is nobody whose secret it is */
		free(dev.digest_secret.data);
		dev.digest_secret = (struct cp_buf){0};
	}
	if (rc == 0)
		rc = cp_change_device_put(c, &dev, true, why, size);
	cp_device_free(&dev);
	return finish(p, c, rc, "device.set", name_of(p->args));
}

#define CHANGE(name)                                                                       \
	static void name(void *ctx, struct cp_admin_req *req, const json_t *args)          \
	{                                                                                  \
		cmds_run(ctx, req, args, NULL, attempt_##name);                            \
	}
CHANGE(profile_add)
CHANGE(profile_set)
CHANGE(profile_del)
CHANGE(srst_add)
CHANGE(srst_set)
CHANGE(srst_cert)
CHANGE(srst_del)
CHANGE(cluster_set)

/* --- secrets of a device: sealed by the signer first, away from the loop --- */

struct seal_job {
	struct cmds *cmds;
	struct cp_admin_req *req;
	json_t *args;     /* a copy, without what was in clear */
	char device[CP_DEVICE_NAME_MAX];
	uint8_t *clear[2];
	size_t clear_len[2];
	struct cp_buf sealed[2];
	int rc;
};

static const char *const secret_clear[2] = {"digest_password", "config_key_hex"};
static const char *const secret_member[2] = {"digest_secret", "config_key"};
static const char *const secret_aad[2] = {"digest", "config-key"};

static void seal_work(void *arg)
{
	struct seal_job *j = arg;
	const struct cp_admin_backend *be = cmds_backend(j->cmds);

	for (unsigned i = 0; i < 2 && j->rc == 0; i++) {
		char aad[48];

		if (j->clear[i] == NULL)
			continue;
		snprintf(aad, sizeof(aad), "%s/%s", secret_aad[i], j->device);
		j->rc = be->seal(be->cert_ctx, j->clear[i], j->clear_len[i], aad, &j->sealed[i]);
	}
}

static void seal_free(struct seal_job *j)
{
	for (unsigned i = 0; i < 2; i++) {
		OPENSSL_clear_free(j->clear[i], j->clear_len[i] + 1);
		free(j->sealed[i].data);
	}
	json_decref(j->args);
	free(j);
}

static void seal_done(void *arg)
{
	struct seal_job *j = arg;

	if (j->rc < 0) {
		cp_admin_fail_rc(j->req, -ENOTCONN, "the signer does not seal: %s", strerror(-j->rc));
	} else {
		for (unsigned i = 0; i < 2; i++)
			if (j->sealed[i].len > 0)
				json_object_set_new(j->args, secret_member[i], base64(&j->sealed[i]));
		cmds_run(j->cmds, j->req, j->args, json_incref(j->args), attempt_device_set);
	}
	seal_free(j);
}

static int hex_key(const char *text, uint8_t *ret)
{
	return strlen(text) == 32 ? cfg_hex_parse(text, ret, 16) : -EINVAL;
}

static void device_set(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct seal_job *j;
	const char *name = NULL, *text[2] = {NULL, NULL};
	int rc;

	if (cp_admin_arg_str(req, args, "name", true, &name) < 0 ||
	    cp_admin_arg_str(req, args, secret_clear[0], false, &text[0]) < 0 ||
	    cp_admin_arg_str(req, args, secret_clear[1], false, &text[1]) < 0)
		return;
	if (text[0] == NULL && text[1] == NULL) {
		cmds_run(ctx, req, args, NULL, attempt_device_set);
		return;
	}
	if (!cp_device_name_ok(name)) {
		cp_admin_fail(req, "invalid", "name %s is not SEP and 12 upper-case hex digits", cfg_q(name));
		return;
	}
	if (text[0] != NULL && (strlen(text[0]) == 0 || strlen(text[0]) > 128 || !cp_secret_text_ok(text[0]))) {
		cp_admin_fail(req, "invalid", "a digest password is 1 to 128 bytes of printable UTF-8");
		return;
	}
	if (cmds_backend(ctx)->seal == NULL) {
		cp_admin_fail(req, "unavailable", "no signer");
		return;
	}
	j = calloc(1, sizeof(*j));
	if (j == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	j->cmds = ctx;
	j->req = req;
	memcpy(j->device, name, strlen(name) + 1);
	j->args = json_copy((json_t *)(uintptr_t)args);
	for (unsigned i = 0; i < 2; i++) {
		size_t n = text[i] == NULL ? 0 : i == 0 ? strlen(text[i]) : 16;

		json_object_del(j->args, secret_clear[i]);
		if (n == 0)
			continue;
		j->clear[i] = OPENSSL_zalloc(n + 1);
		j->clear_len[i] = n;
		if (j->clear[i] == NULL || (i == 1 && hex_key(text[1], j->clear[1]) < 0)) {
			cp_admin_fail(req, "invalid", "a configuration key is 32 hex digits");
			seal_free(j);
			return;
		}
		if (i == 0)
			memcpy(j->clear[0], text[0], n);
	}
	rc = cp_offload_run(cmds_offload(ctx), seal_work, seal_done, j);
	if (rc < 0) {
		cp_admin_fail_rc(req, rc, "too many secrets are being sealed");
		seal_free(j);
	}
}

/* --- shows --- */

static const char *const name_arg[] = {"name", NULL};
static const char *const no_args[] = {NULL};

struct count_uses {
	const char *profile;
	json_int_t n;
};

static void count_use(void *ctx, const struct cp_device *dev)
{
	struct count_uses *u = ctx;

	u->n += strcmp(dev->profile, u->profile) == 0;
}

static void profile_show(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_store *s = cmds_store(ctx);
	struct cp_profile p;
	const char *name = NULL;
	struct count_uses u = {0};
	json_t *o;

	if (cp_admin_arg_known(req, args, name_arg) < 0 || cp_admin_arg_str(req, args, "name", true, &name) < 0)
		return;
	if (cp_store_profile(s, name, &p) < 0) {
		cp_admin_fail(req, "not-found", "no profile %s", cfg_q(name));
		return;
	}
	o = profile_json(&p);
	u.profile = name;
	cp_dir_each_device(s, count_use, &u);
	json_object_set_new(o, "devices", json_integer(u.n));
	cp_profile_free(&p);
	cp_admin_reply(req, o);
}

static void srst_show(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_srst sr;
	const char *name = NULL;

	if (cp_admin_arg_known(req, args, name_arg) < 0 || cp_admin_arg_str(req, args, "name", true, &name) < 0)
		return;
	if (cp_store_srst(cmds_store(ctx), name, &sr) < 0) {
		cp_admin_fail(req, "not-found", "no SRST reference %s", cfg_q(name));
		return;
	}
	cp_admin_reply(req, srst_json(&sr));
	cp_srst_free(&sr);
}

static void cluster_show(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_cluster cl;
	json_t *o = json_object();

	if (cp_admin_arg_known(req, args, no_args) < 0) {
		json_decref(o);
		return;
	}
	cp_store_cluster(cmds_store(ctx), &cl);
	print_into(o, cluster_members, &cl);
	cp_cluster_free(&cl);
	cp_admin_reply(req, o);
}

struct list {
	json_t *profiles, *srsts;
};

static bool list_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct list *l = ctx;
	struct cp_profile p;
	struct cp_srst s;

	if (l->profiles != NULL && key_len > 8 && memcmp(key, "profile/", 8) == 0 && cp_profile_parse(val, len, &p) == 0) {
		json_array_append_new(l->profiles, profile_json(&p));
		cp_profile_free(&p);
	} else if (l->srsts != NULL && key_len > 5 && memcmp(key, "srst/", 5) == 0 && cp_srst_parse(val, len, &s) == 0) {
		json_array_append_new(l->srsts, srst_json(&s));
		cp_srst_free(&s);
	}
	return true;
}

static void show_profiles(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct list l = {json_array(), NULL};

	if (cp_admin_arg_known(req, args, no_args) < 0) {
		json_decref(l.profiles);
		return;
	}
	cp_store_each(cmds_store(ctx), CP_CF_PROFILE, list_one, &l);
	cp_admin_reply(req, l.profiles);
}

static void show_srst(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct list l = {NULL, json_array()};

	if (cp_admin_arg_known(req, args, no_args) < 0) {
		json_decref(l.srsts);
		return;
	}
	cp_store_each(cmds_store(ctx), CP_CF_PROFILE, list_one, &l);
	cp_admin_reply(req, l.srsts);
}

static void export_device(void *ctx, const struct cp_device *dev)
{
	json_array_append_new(ctx, device_to_json(dev));
}

/* What import reads: secrets as they are sealed, good only where the same signer's keys are. */
static void export(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_store *s = cmds_store(ctx);
	struct list l = {json_array(), json_array()};
	json_t *devices = json_array(), *cluster = json_object();
	struct cp_cluster cl;

	if (cp_admin_arg_known(req, args, no_args) < 0) {
		json_decref(l.profiles);
		json_decref(l.srsts);
		json_decref(devices);
		json_decref(cluster);
		return;
	}
	cp_store_each(s, CP_CF_PROFILE, list_one, &l);
	cp_store_cluster(s, &cl);
	print_into(cluster, cluster_members, &cl);
	cp_cluster_free(&cl);
	cp_dir_each_device(s, export_device, devices);
	cp_admin_reply(req, json_pack("{s:o,s:o,s:o,s:o,s:b}", "cluster", cluster, "srst", l.srsts, "profiles", l.profiles,
				      "devices", devices, "replace", 1));
}

int cmds_phone(struct cmds *c, struct cp_admin *admin)
{
	static const struct {
		const char *cmd;
		cp_admin_fn fn;
	} list[] = {
		{"device.set", device_set},
		{"profile.add", profile_add},
		{"profile.set", profile_set},
		{"profile.del", profile_del},
		{"profile.show", profile_show},
		{"show.profiles", show_profiles},
		{"srst.add", srst_add},
		{"srst.set", srst_set},
		{"srst.cert", srst_cert},
		{"srst.del", srst_del},
		{"srst.show", srst_show},
		{"show.srst", show_srst},
		{"cluster.set", cluster_set},
		{"cluster.show", cluster_show},
		{"export", export},
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && rc == 0; i++)
		rc = cp_admin_register(admin, list[i].cmd, list[i].fn, c);
	return rc;
}
