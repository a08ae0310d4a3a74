/* SPDX-License-Identifier: BSD-3-Clause */
#include "phones.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/dp_suite.h"
#include "call/keys.h"
#include "log.h"
#include "store/phonecfg.h"
#include "why.h"

enum kind { IGNORED, NAME, NAME_FULL, MODE, TEXT, SRTP, PROTECTED, SUITE, PROTOCOL, CSS, NUMBER, LABEL, DISPLAY, PARTITION, LINE_CSS, PICKUP, SECURITY };

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
						"digest_user", "css", "protected", NULL};
const char *const cp_phonetab_line_columns[] = {"line", "label", "partition", "css", "pickup", NULL};

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

static bool has(const struct cp_phonetab_columns *c, enum kind kind, unsigned line)
{
	for (unsigned i = 0; i < c->cnt; i++)
		if (c->col[i].kind == kind && c->col[i].line == line)
			return true;
	return false;
}

static enum kind kind_of(const char *name, int *ret_index, bool *ret_bat)
{
	static const struct {
		const char *name;
		enum kind kind;
		bool bat;
	} fixed[] = {
		{"name", NAME, false}, {"mode", MODE, false}, {"srtp", SRTP, false}, {"suite", SUITE, false},
		{"css", CSS, false}, {"protected", PROTECTED, false},
		{"protocol", PROTOCOL, false}, {"device protocol", PROTOCOL, true},
		{"mac address", NAME, true}, {"mac address/device name", NAME, true}, {"device name", NAME_FULL, true},
		{"device security profile", SECURITY, true}, {"security profile", SECURITY, true},
	};
	static const struct {
		const char *prefix;
		enum kind kind;
		bool bat;
	} list[] = {
		{"line", NUMBER, false}, {"label", LABEL, false}, {"partition", PARTITION, false}, {"css", LINE_CSS, false},
		{"pickup", PICKUP, false}, {"directory number ", NUMBER, true},
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
		return cfg_invalid(why, size, "the header: %s", row->error);
	c->cnt = row->cnt;
	c->bat = false;
	memset(c->labels, 0, sizeof(c->labels));
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
				return cfg_invalid(why, size, "columns %s and %s are the same", cfg_q(row->field[k]),
						   cfg_q(row->field[i]));
	}
	if (!named)
		return cfg_invalid(why, size, "no column name (or MAC ADDRESS); columns are separated by commas, in UTF-8; the first is %s",
				   row->cnt > 0 ? cfg_q(c->names[0]) : "not there");
	if (!c->bat && unknown != NULL)
		return cfg_invalid(why, size, "unknown column %s", cfg_q(unknown));
	for (unsigned i = 0; i < c->cnt; i++)
		if (c->col[i].kind == LABEL || c->col[i].kind == DISPLAY)
			c->labels[c->col[i].line] = true;
		else if ((c->col[i].kind == PARTITION || c->col[i].kind == LINE_CSS || c->col[i].kind == PICKUP) && !has(c, NUMBER, c->col[i].line))
			return cfg_invalid(why, size, "column %s without line%u", cfg_q(c->names[i]), c->col[i].line + 1u);
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
			return cfg_invalid(why, size, "%s is not SEP and 12 hex digits", cfg_q(row->field[i]));
		if (have && strcmp(name, other) != 0)
			return cfg_invalid(why, size, "%s is another device than %s", other, name);
		have = true;
	}
	if (!have) {
		for (unsigned i = 0; i < c->cnt; i++)
			if (c->col[i].kind == NAME || c->col[i].kind == NAME_FULL)
				*ret_col = i;
		return cfg_invalid(why, size, "it is empty");
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

static int yes_or_no(const char *v, bool otherwise, bool *ret, char *why, size_t size)
{
	bool yes = strcasecmp(v, "yes") == 0 || strcasecmp(v, "true") == 0;

	if (!yes && v[0] != '\0' && strcasecmp(v, "no") != 0 && strcasecmp(v, "false") != 0)
		return cfg_invalid(why, size, "%s is not yes or no", cfg_q(v));
	*ret = v[0] == '\0' ? otherwise : yes;
	return 0;
}

/* A partition or calling search space, or none. */
static int plan_name(const char *v, char out[CP_PART_MAX], char *why, size_t size)
{
	if (v[0] != '\0' && !cp_part_name_ok(v))
		return cfg_invalid(why, size, "%s is not 1 to %d of letters, digits and . _ -", cfg_q(v), CP_PART_MAX - 1);
	strcpy(out, v);
	return 0;
}

static int number(const char *v, char out[CP_NUMBER_MAX], char *why, size_t size)
{
	if (v[0] != '\0' && !cp_number_ok(v))
		return cfg_invalid(why, size, "%s is not 1 to 32 of 0-9 * # (and a leading +)", cfg_q(v));
	strcpy(out, v);
	return 0;
}

static int one_field(enum kind kind, unsigned at, const char *v, struct cp_device *dev, struct cp_line *lines, bool own_mode,
		     char *why, size_t size)
{
	char *text;

	switch (kind) {
	case MODE:
		if (v[0] != '\0' && cp_device_mode_parse(v, &dev->mode) < 0)
			return cfg_invalid(why, size, "%s is not nonsecure, authenticated or encrypted", cfg_q(v));
		break;
	case SECURITY:
		if (!own_mode && profile_mode(v, &dev->mode) < 0)
			return cfg_invalid(why, size, "%s does not say a mode: add a column mode", cfg_q(v));
		break;
	case SRTP:
		return yes_or_no(v, true, &dev->srtp, why, size);
	case PROTECTED:
		return yes_or_no(v, false, &dev->secure_tone, why, size);
	case CSS:
		return plan_name(v, dev->css, why, size);
	case PARTITION:
		return plan_name(v, lines[at].partition, why, size);
	case LINE_CSS:
		return plan_name(v, lines[at].css, why, size);
	case PICKUP:
		return number(v, lines[at].pickup, why, size);
	case SUITE:
		dev->suite = 0;
		if (v[0] != '\0' && (cp_suite_parse(v, &dev->suite) < 0 || dev->suite == DP_SRTP_NONE ||
				     !cp_device_suite_ok(dev->suite)))
			return cfg_invalid(why, size, "%s is not AES_CM_128_HMAC_SHA1_80, AES_CM_128_HMAC_SHA1_32 or AEAD_AES_128_GCM", cfg_q(v));
		break;
	case PROTOCOL:
		dev->protocol = CP_PROTOCOL_ANY;
		if (strcasecmp(v, "sccp") == 0)
			dev->protocol = CP_PROTOCOL_SCCP;
		else if (strcasecmp(v, "sip") == 0)
			dev->protocol = CP_PROTOCOL_SIP;
		else if (v[0] != '\0' && strcasecmp(v, "any") != 0)
			return cfg_invalid(why, size, "%s is not sccp, sip or any", cfg_q(v));
		break;
	case TEXT:
		if (!cp_text_ok(v) || strlen(v) >= texts[at].size)
			return cfg_invalid(why, size, "not printable UTF-8 below %zu bytes", texts[at].size);
		if (texts[at].conf_name && v[0] != '\0' && !cp_conf_name_ok(v))
			return cfg_invalid(why, size, "%s is not a name: letters, digits and . _ -", cfg_q(v));
		text = (char *)dev + texts[at].at;
		strcpy(text, v);
		if (text == dev->region && v[0] == '\0')
			strcpy(dev->region, "default");
		break;
	case NUMBER:
		return number(v, lines[at].number, why, size);
	case LABEL:
	case DISPLAY: /* what others see of the line; shown where there is no label */
		if (!cp_text_ok(v))
			return cfg_invalid(why, size, "not printable UTF-8 below %d bytes", CP_TEXT_MAX);
		if (kind == LABEL ? v[0] != '\0' : lines[at].label[0] == '\0')
			strcpy(lines[at].label, v);
		break;
	default:
		break;
	}
	return 0;
}

/* What the device's line of that number had, but for what the table has columns for. */
static void keep(const struct cp_phonetab_columns *c, const struct cp_device *dev, struct cp_line *lines)
{
	for (unsigned i = 0; i < CP_DEVICE_LINES_MAX; i++) {
		struct cp_line *l = &lines[i];

		for (unsigned k = 0; l->number[0] != '\0' && k < dev->line_cnt; k++)
			if (strcmp(dev->lines[k].number, l->number) == 0)
				*l = dev->lines[k];
		if (c->labels[i]) /* perhaps two columns: the one that says something */
			l->label[0] = '\0';
	}
}

int cp_phonetab_row(const struct cp_phonetab_columns *c, const struct cp_csv_row *row, struct cp_device *dev,
		 struct cp_line lines[CP_DEVICE_LINES_MAX], unsigned *ret_col, char *why, size_t size)
{
	unsigned number_col[CP_DEVICE_LINES_MAX] = {0}, cnt = 0;
	bool has_lines = false, own_mode = false;
	int rc = 0;

	*ret_col = row->error_at;
	if (row->error != NULL)
		return cfg_invalid(why, size, "%s", row->error);
	*ret_col = row->cnt < c->cnt ? row->cnt : c->cnt - 1;
	if (row->cnt != c->cnt)
		return cfg_invalid(why, size, "%u fields where the header has %u", row->cnt, c->cnt);
	memset(lines, 0, CP_DEVICE_LINES_MAX * sizeof(*lines));
	for (unsigned i = 0; i < c->cnt; i++)
		own_mode = own_mode || (c->col[i].kind == MODE && row->field[i][0] != '\0');
	for (unsigned i = 0; i < c->cnt && rc == 0; i++) {
		if (c->col[i].kind != NUMBER)
			continue;
		*ret_col = number_col[c->col[i].line] = i;
		has_lines = true;
		rc = one_field(NUMBER, c->col[i].line, row->field[i], dev, lines, own_mode, why, size);
	}
	if (rc == 0)
		keep(c, dev, lines);
	for (unsigned i = 0; i < c->cnt && rc == 0; i++) {
		*ret_col = i;
		rc = one_field((enum kind)c->col[i].kind, c->col[i].line, row->field[i], dev, lines, own_mode, why, size);
	}
	if (rc < 0 || !has_lines)
		return rc;
	for (unsigned i = 0; i < CP_DEVICE_LINES_MAX; i++) { /* buttons that are not used are left out */
		if (lines[i].number[0] == '\0')
			continue;
		for (unsigned k = 0; k < cnt; k++)
			if (strcmp(lines[k].number, lines[i].number) == 0) {
				*ret_col = number_col[i];
				return cfg_invalid(why, size, "number %s twice", lines[i].number);
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

/* The column of that kind that is the k-th: right unless buttons were left out. */
static bool nth(const struct cp_phonetab_columns *c, enum kind kind, unsigned k, unsigned *ret)
{
	unsigned seen = 0;

	for (unsigned i = 0; i < c->cnt; i++)
		if (c->col[i].kind == kind && seen++ == k) {
			*ret = i;
			return true;
		}
	return false;
}

/* "...: no partition NAME", "...: no calling search space NAME". */
static bool names_plan(const struct cp_phonetab_columns *c, const struct cp_device *dev, const char *message, unsigned *ret)
{
	const char *part = strstr(message, ": no partition "), *css = strstr(message, ": no calling search space ");

	if (css != NULL && strcmp(css + 26, dev->css) == 0)
		return nth(c, CSS, 0, ret);
	for (unsigned k = 0; k < dev->line_cnt; k++) {
		if (part != NULL && strcmp(part + 15, dev->lines[k].partition) == 0)
			return nth(c, PARTITION, k, ret);
		if (css != NULL && strcmp(css + 26, dev->lines[k].css) == 0)
			return nth(c, LINE_CSS, k, ret);
	}
	return false;
}

unsigned cp_phonetab_column(const struct cp_phonetab_columns *c, const struct cp_device *dev, const char *message)
{
	unsigned name = 0, found;

	for (unsigned i = 0; i < c->cnt; i++)
		if (c->col[i].kind == NAME || c->col[i].kind == NAME_FULL)
			name = i;
	if (names_plan(c, dev, message, &found))
		return found;
	if (strncmp(message, "number ", 7) != 0)
		return name;
	for (unsigned k = 0; k < dev->line_cnt; k++) {
		size_t n = strlen(dev->lines[k].number);

		if (strncmp(message + 7, dev->lines[k].number, n) == 0 && message[7 + n] == ' ' && nth(c, NUMBER, k, &found))
			return found;
	}
	return name;
}

json_t *cp_phonetab_export(const struct cp_device *dev)
{
	json_t *row = json_pack("[s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s]", dev->name, cp_device_mode_name(dev->mode), dev->description,
				dev->model, dev->region, dev->srtp ? "yes" : "no",
				dev->suite != 0 ? cp_suite_name(dev->suite) : "", cp_protocol_name(dev->protocol),
				dev->profile, dev->srst, dev->load, dev->user_locale, dev->network_locale,
				dev->digest_user, dev->css, dev->secure_tone ? "yes" : "no");

	for (unsigned i = 0; i < dev->line_cnt; i++) {
		const struct cp_line *l = &dev->lines[i];
		const char *const cells[] = {l->number, l->label, l->partition, l->css, l->pickup};

		for (size_t k = 0; k < sizeof(cells) / sizeof(cells[0]); k++)
			json_array_append_new(row, json_string(cells[k]));
	}
	return row;
}
