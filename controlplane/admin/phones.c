/* SPDX-License-Identifier: BSD-3-Clause */
#include "phones.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/dp_suite.h"
#include "call/keys.h"
#include "log.h"
#include "store/phonecfg.h"

enum kind { IGNORED, NAME, NAME_FULL, MODE, TEXT, SRTP, SUITE, PROTOCOL, NUMBER, LABEL, DISPLAY, SECURITY };

/* Plain texts of a device. */
static const struct {
	const char *name, *bat;
	size_t at, size;
	bool conf_name; /* of a record of its own */
} texts[] = {
#define TEXT_COLUMN(member, bat, name) \
	{#member, bat, offsetof(struct cp_device, member), sizeof(((struct cp_device *)0)->member), name}
	TEXT_COLUMN(description, "description", false),
	TEXT_COLUMN(model, "device type", false),
	TEXT_COLUMN(region, NULL, false),
	TEXT_COLUMN(profile, NULL, true),
	TEXT_COLUMN(srst, NULL, true),
	TEXT_COLUMN(load, "phone load name", false),
	TEXT_COLUMN(user_locale, NULL, false),
	TEXT_COLUMN(network_locale, NULL, false),
	TEXT_COLUMN(digest_user, NULL, false),
};
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

const char *const cp_phonetab_export_columns[] = {"name", "mode", "description", "model", "region", "srtp", "suite",
						"protocol", "profile", "srst", "load", "user_locale", "network_locale",
						"digest_user", NULL};

static int no(char *why, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int no(char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* --- the header --- */

/* A column's name: small letters, one space where there are some. */
static void plain(char *out, size_t size, const char *name)
{
	size_t n = 0;

	for (; *name != '\0' && n + 1 < size; name++) {
		char c = *name >= 'A' && *name <= 'Z' ? (char)(*name + 32) : *name;

		if (c == ' ' || c == '\t') {
			if (n == 0 || out[n - 1] == ' ')
				continue;
			c = ' ';
		}
		out[n++] = c;
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

/* "line12" or "directory number 12": the number behind a prefix, from 0; -1: it is none. */
static int numbered(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);
	char *end;
	unsigned long v;

	if (strncmp(name, prefix, n) != 0 || !isdigit((unsigned char)name[n]))
		return -1;
	v = strtoul(name + n, &end, 10);
	return *end == '\0' && v >= 1 && v <= CP_DEVICE_LINES_MAX ? (int)v - 1 : -1;
}

static enum kind kind_of(const char *name, int *ret_index, bool *ret_bat)
{
	static const struct {
		const char *name;
		enum kind kind;
		bool bat;
	} fixed[] = {
		{"name", NAME, false}, {"mode", MODE, false}, {"srtp", SRTP, false}, {"suite", SUITE, false},
		{"protocol", PROTOCOL, false}, {"device protocol", PROTOCOL, true},
		{"mac address", NAME, true}, {"mac address/device name", NAME, true}, {"device name", NAME_FULL, true},
		{"device security profile", SECURITY, true}, {"security profile", SECURITY, true},
	};
	static const struct {
		const char *prefix;
		enum kind kind;
		bool bat;
	} list[] = {
		{"line", NUMBER, false}, {"label", LABEL, false}, {"directory number ", NUMBER, true},
		{"line text label ", LABEL, true}, {"display ", DISPLAY, true},
	};

	*ret_bat = false;
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (strcmp(name, fixed[i].name) == 0) {
			*ret_bat = fixed[i].bat;
			return fixed[i].kind;
		}
	for (size_t i = 0; i < TEXTS; i++) {
		bool bat = texts[i].bat != NULL && strcmp(name, texts[i].bat) == 0;

		if (bat || strcmp(name, texts[i].name) == 0) {
			*ret_index = (int)i;
			*ret_bat = strcmp(name, texts[i].name) != 0;
			return TEXT;
		}
	}
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int n = numbered(name, list[i].prefix);

		if (n >= 0) {
			*ret_index = n;
			*ret_bat = list[i].bat;
			return list[i].kind;
		}
	}
	return IGNORED;
}

int cp_phonetab_header(const struct cp_csv_row *row, struct cp_phonetab_columns *c, char *why, size_t size)
{
	const char *unknown = NULL;
	bool named = false;

	if (row->error != NULL)
		return no(why, size, "the header: %s", row->error);
	c->cnt = row->cnt;
	c->bat = false;
	c->ignored = json_array();
	for (unsigned i = 0; i < row->cnt; i++) {
		char name[80];
		bool bat = false;
		int index = 0;

		plain(name, sizeof(name), row->field[i]);
		c->col[i].kind = (unsigned char)kind_of(name, &index, &bat);
		c->col[i].line = (unsigned char)index;
		c->bat = c->bat || bat;
		named = named || c->col[i].kind == NAME || c->col[i].kind == NAME_FULL;
		if (strlen(row->field[i]) < sizeof(c->names[i]) && cp_text_ok(row->field[i]))
			strcpy(c->names[i], row->field[i]);
		else
			snprintf(c->names[i], sizeof(c->names[i]), "(column %u)", i + 1);
		if (c->col[i].kind == IGNORED && name[0] != '\0') {
			json_t *text = json_string(row->field[i]);

			json_array_append_new(c->ignored, text != NULL ? text : json_string("(not UTF-8)"));
			unknown = unknown == NULL ? row->field[i] : unknown;
		}
		for (unsigned k = 0; k < i && c->col[i].kind != IGNORED; k++)
			if (c->col[k].kind == c->col[i].kind && c->col[k].line == c->col[i].line)
				return no(why, size, "columns %s and %s are the same", cfg_q(row->field[k]),
					  cfg_q(row->field[i]));
	}
	if (!named)
		return no(why, size, "no column name (or MAC ADDRESS); columns are separated by commas, in UTF-8; the first is %s",
			  row->cnt > 0 ? cfg_q(c->names[0]) : "not there");
	if (!c->bat && unknown != NULL)
		return no(why, size, "unknown column %s", cfg_q(unknown));
	c->known = true;
	return 0;
}

/* --- a row --- */

/* SEP and 12 hex digits, of what people write for it. */
static bool mac_name(const char *text, char name[CP_DEVICE_NAME_MAX])
{
	size_t n = 3;

	memcpy(name, "SEP", 3);
	while (*text == ' ')
		text++;
	if (strncasecmp(text, "SEP", 3) == 0)
		text += 3;
	for (; *text != '\0'; text++) {
		if (*text == ':' || *text == '-' || *text == '.' || *text == ' ')
			continue;
		if (!isxdigit((unsigned char)*text) || n >= CP_DEVICE_NAME_MAX - 1)
			return false;
		name[n++] = (char)toupper((unsigned char)*text);
	}
	name[n] = '\0';
	return n == CP_DEVICE_NAME_MAX - 1;
}

int cp_phonetab_name(const struct cp_phonetab_columns *c, const struct cp_csv_row *row, char name[CP_DEVICE_NAME_MAX],
		  unsigned *ret_col, char *why, size_t size)
{
	char other[CP_DEVICE_NAME_MAX];
	bool have = false;

	for (unsigned i = 0; i < c->cnt && i < row->cnt; i++) {
		if ((c->col[i].kind != NAME && c->col[i].kind != NAME_FULL) || row->field[i][0] == '\0')
			continue;
		*ret_col = i;
		if (!mac_name(row->field[i], have ? other : name))
			return no(why, size, "%s is not SEP and 12 hex digits", cfg_q(row->field[i]));
		if (have && strcmp(name, other) != 0)
			return no(why, size, "%s is another device than %s", other, name);
		have = true;
	}
	if (!have) {
		for (unsigned i = 0; i < c->cnt; i++)
			if (c->col[i].kind == NAME || c->col[i].kind == NAME_FULL)
				*ret_col = i;
		return no(why, size, "it is empty");
	}
	return 0;
}

void cp_phonetab_defaults(struct cp_device *dev)
{
	memset(dev, 0, sizeof(*dev));
	dev->mode = CP_DEVICE_ENCRYPTED;
	dev->srtp = true;
	strcpy(dev->region, "default");
}

static bool contains(const char *text, const char *word)
{
	return strcasestr(text, word) != NULL;
}

/* What a security profile of the other tool demands, by its name. */
static int profile_mode(const char *text, enum cp_device_mode *ret)
{
	if (text[0] == '\0' || contains(text, "non-secure") || contains(text, "nonsecure") || contains(text, "non secure"))
		*ret = CP_DEVICE_NONSECURE;
	else if (contains(text, "authenticated"))
		*ret = CP_DEVICE_AUTHENTICATED;
	else if (contains(text, "encrypted") || contains(text, "secure"))
		*ret = CP_DEVICE_ENCRYPTED;
	else
		return -EINVAL;
	return 0;
}

static int one_field(enum kind kind, unsigned at, const char *v, struct cp_device *dev, struct cp_line *lines, bool own_mode,
		     char *why, size_t size)
{
	char *text;

	switch (kind) {
	case MODE:
		if (v[0] != '\0' && cp_device_mode_parse(v, &dev->mode) < 0)
			return no(why, size, "%s is not nonsecure, authenticated or encrypted", cfg_q(v));
		break;
	case SECURITY:
		if (!own_mode && profile_mode(v, &dev->mode) < 0)
			return no(why, size, "%s does not say a mode: add a column mode", cfg_q(v));
		break;
	case SRTP:
		if (strcasecmp(v, "yes") == 0 || strcasecmp(v, "true") == 0 || v[0] == '\0')
			dev->srtp = true;
		else if (strcasecmp(v, "no") == 0 || strcasecmp(v, "false") == 0)
			dev->srtp = false;
		else
			return no(why, size, "%s is not yes or no", cfg_q(v));
		break;
	case SUITE:
		dev->suite = 0;
		if (v[0] != '\0' && (cp_suite_parse(v, &dev->suite) < 0 || dev->suite == DP_SRTP_NONE ||
				     !cp_device_suite_ok(dev->suite)))
			return no(why, size, "%s is not AES_CM_128_HMAC_SHA1_80, AES_CM_128_HMAC_SHA1_32 or AEAD_AES_128_GCM", cfg_q(v));
		break;
	case PROTOCOL:
		dev->protocol = CP_PROTOCOL_ANY;
		if (strcasecmp(v, "sccp") == 0)
			dev->protocol = CP_PROTOCOL_SCCP;
		else if (strcasecmp(v, "sip") == 0)
			dev->protocol = CP_PROTOCOL_SIP;
		else if (v[0] != '\0' && strcasecmp(v, "any") != 0)
			return no(why, size, "%s is not sccp, sip or any", cfg_q(v));
		break;
	case TEXT:
		if (!cp_text_ok(v) || strlen(v) >= texts[at].size)
			return no(why, size, "not printable UTF-8 below %zu bytes", texts[at].size);
		if (texts[at].conf_name && v[0] != '\0' && !cp_conf_name_ok(v))
			return no(why, size, "%s is not a name: letters, digits and . _ -", cfg_q(v));
		text = (char *)dev + texts[at].at;
		strcpy(text, v);
		if (text == dev->region && v[0] == '\0')
			strcpy(dev->region, "default");
		break;
	case NUMBER:
		if (v[0] != '\0' && !cp_number_ok(v))
			return no(why, size, "%s is not 1 to 32 of 0-9 * # (and a leading +)", cfg_q(v));
		strcpy(lines[at].number, v);
		break;
	case LABEL:
	case DISPLAY: /* what others see of the line; shown where there is no label */
		if (!cp_text_ok(v))
			return no(why, size, "not printable UTF-8 below %d bytes", CP_TEXT_MAX);
		if (kind == LABEL ? v[0] != '\0' : lines[at].label[0] == '\0')
			strcpy(lines[at].label, v);
		break;
	default:
		break;
	}
	return 0;
}

int cp_phonetab_row(const struct cp_phonetab_columns *c, const struct cp_csv_row *row, struct cp_device *dev,
		 struct cp_line lines[CP_DEVICE_LINES_MAX], unsigned *ret_col, char *why, size_t size)
{
	unsigned number_col[CP_DEVICE_LINES_MAX] = {0}, cnt = 0;
	bool has_lines = false, own_mode = false;
	int rc = 0;

	*ret_col = row->error_at;
	if (row->error != NULL)
		return no(why, size, "%s", row->error);
	*ret_col = row->cnt < c->cnt ? row->cnt : c->cnt - 1;
	if (row->cnt != c->cnt)
		return no(why, size, "%u fields where the header has %u", row->cnt, c->cnt);
	memset(lines, 0, CP_DEVICE_LINES_MAX * sizeof(*lines));
	for (unsigned i = 0; i < c->cnt; i++)
		own_mode = own_mode || (c->col[i].kind == MODE && row->field[i][0] != '\0');
	for (unsigned i = 0; i < c->cnt && rc == 0; i++) {
		*ret_col = i;
		rc = one_field((enum kind)c->col[i].kind, c->col[i].line, row->field[i], dev, lines, own_mode, why, size);
		if (c->col[i].kind == NUMBER) {
			has_lines = true;
			number_col[c->col[i].line] = i;
		}
	}
	if (rc < 0 || !has_lines)
		return rc;
	for (unsigned i = 0; i < CP_DEVICE_LINES_MAX; i++) { /* buttons that are not used are left out */
		if (lines[i].number[0] == '\0')
			continue;
		for (unsigned k = 0; k < cnt; k++)
			if (strcmp(lines[k].number, lines[i].number) == 0) {
				*ret_col = number_col[i];
				return no(why, size, "number %s twice", lines[i].number);
			}
		if (cnt != i)
			lines[cnt] = lines[i];
		cnt++;
	}
	dev->lines = lines;
	dev->line_cnt = cnt;
	return 0;
}

unsigned cp_phonetab_column_of(const struct cp_phonetab_columns *c, const char *name)
{
	for (unsigned i = 0; i < c->cnt; i++)
		if (strcasecmp(c->names[i], name) == 0)
			return i;
	return 0;
}

bool cp_phonetab_says_mode(const struct cp_phonetab_columns *c, const struct cp_csv_row *row)
{
	for (unsigned i = 0; i < c->cnt; i++)
		if ((c->col[i].kind == MODE || c->col[i].kind == SECURITY) && row->field[i][0] != '\0')
			return true;
	return false;
}

unsigned cp_phonetab_column(const struct cp_phonetab_columns *c, const struct cp_device *dev, const char *message)
{
	unsigned name = 0;

	for (unsigned i = 0; i < c->cnt; i++)
		if (c->col[i].kind == NAME || c->col[i].kind == NAME_FULL)
			name = i;
	if (strncmp(message, "number ", 7) != 0)
		return name;
	for (unsigned k = 0; k < dev->line_cnt; k++) {
		size_t n = strlen(dev->lines[k].number);
		unsigned seen = 0;

		if (strncmp(message + 7, dev->lines[k].number, n) != 0 || message[7 + n] != ' ')
			continue;
		for (unsigned i = 0; i < c->cnt; i++) /* the k-th number column: right unless buttons were left out */
			if (c->col[i].kind == NUMBER && seen++ == k)
				return i;
	}
	return name;
}

json_t *cp_phonetab_export(const struct cp_device *dev)
{
	json_t *row = json_pack("[s,s,s,s,s,s,s,s,s,s,s,s,s,s]", dev->name, cp_device_mode_name(dev->mode), dev->description,
				dev->model, dev->region, dev->srtp ? "yes" : "no",
				dev->suite != 0 ? cp_suite_name(dev->suite) : "", cp_protocol_name(dev->protocol),
				dev->profile, dev->srst, dev->load, dev->user_locale, dev->network_locale,
				dev->digest_user);

	for (unsigned i = 0; i < dev->line_cnt; i++) {
		json_array_append_new(row, json_string(dev->lines[i].number));
		json_array_append_new(row, json_string(dev->lines[i].label));
	}
	return row;
}
