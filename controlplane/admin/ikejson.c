/* SPDX-License-Identifier: BSD-3-Clause */
/* What a gateway's record says of IKE, from and to JSON: "ike" is "1", "2" or "no", the other members begin with "ike_". */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "log.h"
#include "phonejson.h"
#include "why.h"

enum type { T_VERSION, T_STR, T_ADDR, T_LIST, T_FLAG, T_UINT, T_SEALED, T_BEGIN, T_MODE };

static const struct member {
	const char *name;
	enum type type;
	size_t off;
	size_t size;   /* STR, LIST */
	uint32_t flag; /* FLAG */
} members[] = {
#define M(name, type, m, flag) {name, type, offsetof(struct cp_gw_ike, m), sizeof(((struct cp_gw_ike *)0)->m), flag}
	M("ike", T_VERSION, version, 0),
	M("ike_cert", T_FLAG, flags, CP_IKE_CERT),
	M("ike_psk_sealed", T_SEALED, psk, 0),
	M("ike_local", T_ADDR, local, 0),
	M("ike_remote", T_ADDR, remote, 0),
	M("ike_local_id", T_STR, local_id, 0),
	M("ike_remote_id", T_STR, remote_id, 0),
	M("ike_proposals", T_LIST, proposals, 0),
	M("ike_esp", T_LIST, esp, 0),
	M("ike_mode", T_MODE, flags, CP_IKE_TUNNEL),
	M("ike_local_ts", T_STR, local_ts, 0),
	M("ike_remote_ts", T_STR, remote_ts, 0),
	M("ike_encap", T_FLAG, flags, CP_IKE_ENCAP),
	M("ike_esn", T_FLAG, flags, CP_IKE_ESN),
	M("ike_begin", T_BEGIN, flags, 0),
	M("ike_dpd_s", T_UINT, dpd_s, 0),
	M("ike_rekey_s", T_UINT, rekey_s, 0),
	M("ike_reauth_s", T_UINT, reauth_s, 0),
	M("ike_child_s", T_UINT, child_s, 0),
#undef M
};

bool json_ike_member(const char *name)
{
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (strcmp(members[i].name, name) == 0)
			return true;
	return false;
}

static int list_in(const json_t *v, char *out, size_t size)
{
	size_t at = 0;

	if (!json_is_array(v))
		return -EINVAL;
	for (size_t i = 0; i < json_array_size(v); i++) {
		const char *text = json_string_value(json_array_get(v, i));
		size_t len = text != NULL ? strlen(text) : 0;

		if (len == 0 || strchr(text, ',') != NULL || at + len + 2 > size)
			return -EINVAL;
		if (at > 0)
			out[at++] = ',';
		memcpy(out + at, text, len + 1);
		at += len;
	}
	return 0;
}

static int begin_in(const char *text, uint32_t *flags)
{
	if (strcmp(text, "wait") == 0)
		*flags |= CP_IKE_WAIT;
	else if (strcmp(text, "trap") == 0)
		*flags |= CP_IKE_TRAP;
	else if (strcmp(text, "now") != 0)
		return -EINVAL;
	return 0;
}

static int take(const struct member *m, const json_t *v, struct cp_gw_ike *ret, char *why, size_t size)
{
	uint8_t *at = (uint8_t *)ret + m->off;
	const char *text = json_string_value(v);
	size_t len = json_string_length(v);

	switch (m->type) {
	case T_FLAG:
		if (!json_is_boolean(v))
			return cfg_invalid(why, size, "%s is not true or false", m->name);
		ret->flags |= json_is_true(v) ? m->flag : 0;
		return 0;
	case T_UINT:
		if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > UINT32_MAX)
			return cfg_invalid(why, size, "%s is not a number of seconds", m->name);
		memcpy(at, &(uint32_t){(uint32_t)json_integer_value(v)}, sizeof(uint32_t));
		return 0;
	case T_LIST:
		if (list_in(v, (char *)at, m->size) < 0)
			return cfg_invalid(why, size, "%s is not a list of names, of %zu bytes together", m->name, m->size - 1);
		return 0;
	default:
		break;
	}
	if (text == NULL || strlen(text) != len)
		return cfg_invalid(why, size, "%s is not a string", m->name);
	switch (m->type) {
	case T_VERSION:
		if (strcmp(text, "1") != 0 && strcmp(text, "2") != 0 && strcmp(text, "no") != 0)
			return cfg_invalid(why, size, "ike %s is not 1 (main mode: there is no aggressive mode), 2 or no", cfg_q(text));
		ret->version = text[0] == 'n' ? 0 : (uint8_t)(text[0] - '0');
		return 0;
	case T_SEALED:
		return json_take_base64(text, len, &ret->psk) < 0 ? cfg_invalid(why, size, "%s is not base64", m->name) : 0;
	case T_ADDR:
		if (len > 0 && cfg_addr_parse(text, (struct cfg_addr *)(void *)at) < 0)
			return cfg_invalid(why, size, "%s %s is not an address", m->name, cfg_q(text));
		return 0;
	case T_MODE:
		if (strcmp(text, "transport") != 0 && strcmp(text, "tunnel") != 0)
			return cfg_invalid(why, size, "%s is not transport or tunnel", m->name);
		ret->flags |= text[1] == 'u' ? m->flag : 0;
		return 0;
	case T_BEGIN:
		return begin_in(text, &ret->flags) < 0 ? cfg_invalid(why, size, "%s is not now, wait or trap", m->name) : 0;
	default:
		if (len >= m->size)
			return cfg_invalid(why, size, "%s is longer than %zu bytes", m->name, m->size - 1);
		memcpy(at, text, len + 1);
		return 0;
	}
}

int json_ike(const json_t *o, struct cp_gw_ike *ret, char *why, size_t size)
{
	int rc = 0;

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]) && rc == 0; i++) {
		const json_t *v = json_object_get(o, members[i].name);

		if (v != NULL)
			rc = take(&members[i], v, ret, why, size);
	}
	return rc;
}

static json_t *list_out(const char *text)
{
	json_t *list = json_array();

	while (*text != '\0') {
		size_t n = strcspn(text, ",");

		json_array_append_new(list, json_stringn(text, n));
		text += n + (text[n] == ',');
	}
	return list;
}

static json_t *print(const struct member *m, const struct cp_gw_ike *k)
{
	const void *at = (const uint8_t *)k + m->off;
	const struct cfg_addr *a = at;
	char text[80];

	switch (m->type) {
	case T_VERSION:
		return json_string(k->version == 1 ? "1" : "2");
	case T_FLAG:
		return (k->flags & m->flag) != 0 ? json_true() : NULL;
	case T_MODE:
		return json_string((k->flags & m->flag) != 0 ? "tunnel" : "transport");
	case T_BEGIN:
		return json_string((k->flags & CP_IKE_WAIT) != 0 ? "wait" : (k->flags & CP_IKE_TRAP) != 0 ? "trap" : "now");
	case T_ADDR:
		return a->family != 0 ? json_string(cfg_addr_print(a, text, sizeof(text))) : NULL;
	case T_LIST:
		return *(const char *)at != '\0' ? list_out(at) : NULL;
	case T_UINT:
		return *(const uint32_t *)at != 0 ? json_integer(*(const uint32_t *)at) : NULL;
	case T_SEALED:
		return k->psk.len > 0 ? json_base64(&k->psk) : NULL;
	default:
		return *(const char *)at != '\0' ? json_string(at) : NULL;
	}
}

void json_ike_print(json_t *o, const struct cp_gw_ike *ike)
{
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]) && ike->version != 0; i++) {
		json_t *v = print(&members[i], ike);

		if (v != NULL)
			json_object_set_new(o, members[i].name, v);
	}
}

/* A key in place of certificates, and the other way round, say so by themselves; "ike":"no" takes all of IKE away. */
void json_ike_under(json_t *record, const json_t *with)
{
	const char *ike = json_string_value(json_object_get(with, "ike"));

	if (json_is_true(json_object_get(with, "ike_cert")))
		json_object_del(record, "ike_psk_sealed");
	if (json_object_get(with, "ike_psk_sealed") != NULL)
		json_object_del(record, "ike_cert");
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]) && ike != NULL && strcmp(ike, "no") == 0; i++)
		json_object_del(record, members[i].name);
}
