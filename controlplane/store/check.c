/* SPDX-License-Identifier: BSD-3-Clause */
/* What makes a record valid by itself: see records.h. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/dp_suite.h"
#include "ike/ikerec.h"
#include "log.h"
#include "mgcp/digitmap.h"
#include "phonecfg.h"
#include "records.h"
#include "why.h"

bool cp_device_name_ok(const char *name)
{
	if (strncmp(name, "SEP", 3) != 0 || strlen(name) != 15)
		return false;
	for (const char *p = name + 3; *p != '\0'; p++)
		if (!(*p >= '0' && *p <= '9') && !(*p >= 'A' && *p <= 'F'))
			return false;
	return true;
}

bool cp_vm_port_name_ok(const char *name)
{
	const char *dash = strrchr(name, '-');
	size_t n = strlen(name), server = dash != NULL ? (size_t)(dash - name) : 0;

	if (n >= CP_DEVICE_NAME_MAX || server == 0 || strncmp(name, "SEP", 3) == 0 || strncmp(dash, "-VI", 3) != 0)
		return false;
	for (size_t i = 0; i < server; i++)
		if (!(name[i] >= 'A' && name[i] <= 'Z') && !(name[i] >= 'a' && name[i] <= 'z') &&
		    !(i > 0 && ((name[i] >= '0' && name[i] <= '9') || name[i] == '-')))
			return false;
	n = strlen(dash + 3);
	return n >= 1 && n <= 3 && dash[3] != '0' && strspn(dash + 3, "0123456789") == n;
}

bool cp_number_ok(const char *number)
{
	size_t n = strlen(number);

	return n > 0 && n < CP_NUMBER_MAX && strspn(number + (number[0] == '+'), "0123456789*#") ==
						     n - (number[0] == '+') &&
	       (number[0] != '+' || n > 1);
}

static bool made_of(const char *s, size_t max, const char *extra)
{
	size_t n = 0;

	for (; s[n] != '\0'; n++)
		if (n + 1 >= max || (!(s[n] >= '0' && s[n] <= '9') && !(s[n] >= 'A' && s[n] <= 'Z') &&
				     !(s[n] >= 'a' && s[n] <= 'z') && strchr(extra, s[n]) == NULL))
			return false;
	return n > 0;
}

bool cp_gw_name_ok(const char *name)
{
	return made_of(name, CP_NAME_MAX, ".-_[]:");
}

bool cp_part_name_ok(const char *name)
{
	return made_of(name, CP_PART_MAX, "._-");
}

bool cp_endpoint_name_ok(const char *name)
{
	return made_of(name, CP_NAME_MAX, "/.-_#");
}

bool cp_text_ok(const char *text)
{
	static const uint32_t least[] = {0, 0xa0, 0x800, 0x10000}; /* no C1 controls, no overlong forms */
	const unsigned char *p = (const unsigned char *)text;

	if (strnlen(text, CP_TEXT_MAX) == CP_TEXT_MAX)
		return false;
	while (*p != '\0') {
		unsigned more = *p < 0x80 ? 0 : *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
		uint32_t c = more == 0 ? *p : *p & (0x3fu >> more);

		if (*p < 0x20 || *p == 0x7f || (*p >= 0x80 && *p < 0xc2) || *p > 0xf4)
			return false;
		p++;
		for (unsigned i = 0; i < more; i++, p++) {
			if ((*p & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*p & 0x3fu);
		}
		if (c < least[more] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
			return false;
	}
	return true;
}

bool cp_secret_text_ok(const char *text)
{
	char piece[CP_TEXT_MAX];
	size_t n = strlen(text), at = 0;

	/* in pieces that a text may be long, cut where a character begins */
	while (at < n) {
		size_t len = n - at < CP_TEXT_MAX - 4 ? n - at : CP_TEXT_MAX - 4;

		while (len > 0 && at + len < n && ((unsigned char)text[at + len] & 0xc0) == 0x80)
			len--;
		if (len == 0)
			return false;
		memcpy(piece, text + at, len);
		piece[len] = '\0';
		if (!cp_text_ok(piece))
			return false;
		at += len;
	}
	explicit_bzero(piece, sizeof(piece));
	return true;
}

bool cp_load_ok(const char *name)
{
	return name[0] == '\0' || made_of(name, CP_LOAD_MAX, "._-");
}

bool cp_locale_ok(const char *name)
{
	return name[0] == '\0' || made_of(name, CP_LOCALE_MAX, "_-");
}

const char *cp_device_mode_name(enum cp_device_mode mode)
{
	switch (mode) {
	case CP_DEVICE_NONSECURE:
		return "nonsecure";
	case CP_DEVICE_AUTHENTICATED:
		return "authenticated";
	case CP_DEVICE_ENCRYPTED:
		return "encrypted";
	}
	return "unknown";
}

int cp_device_mode_parse(const char *name, enum cp_device_mode *ret)
{
	for (int m = CP_DEVICE_NONSECURE; m <= CP_DEVICE_ENCRYPTED; m++)
		if (strcmp(name, cp_device_mode_name((enum cp_device_mode)m)) == 0) {
			*ret = (enum cp_device_mode)m;
			return 0;
		}
	return -EINVAL;
}

bool cp_device_suite_ok(uint8_t suite)
{
	return suite <= DP_AES_CM_128_HMAC_SHA1_32 || suite == DP_AEAD_AES_128_GCM;
}

int cp_device_check(const struct cp_device *dev, char *why, size_t size)
{
	if (!cp_device_name_ok(dev->name) && !cp_vm_port_name_ok(dev->name))
		return cfg_invalid(why, size, "name %s is not SEP and 12 upper-case hex digits, nor a voice-mail port's", cfg_q(dev->name));
	if (dev->mode < CP_DEVICE_NONSECURE || dev->mode > CP_DEVICE_ENCRYPTED)
		return cfg_invalid(why, size, "%s: unknown mode %d", dev->name, (int)dev->mode);
	if (!cp_device_suite_ok(dev->suite))
		return cfg_invalid(why, size, "%s: unknown suite %d", dev->name, (int)dev->suite);
	if (!cp_text_ok(dev->description) || !cp_text_ok(dev->model))
		return cfg_invalid(why, size, "%s: description or model is not printable UTF-8 below %d bytes", dev->name,
				   CP_TEXT_MAX);
	if (!cp_text_ok(dev->region) || dev->region[0] == '\0')
		return cfg_invalid(why, size, "%s: region is empty or not printable", dev->name);
	if (dev->line_cnt > CP_DEVICE_LINES_MAX)
		return cfg_invalid(why, size, "%s: %u lines, at most %d", dev->name, dev->line_cnt, CP_DEVICE_LINES_MAX);
	if ((dev->profile[0] != '\0' && !cp_conf_name_ok(dev->profile)) ||
	    (dev->srst[0] != '\0' && !cp_conf_name_ok(dev->srst)))
		return cfg_invalid(why, size, "%s: profile or SRST reference has a name that none can have", dev->name);
	if (dev->protocol > CP_PROTOCOL_SIP)
		return cfg_invalid(why, size, "%s: unknown protocol %d", dev->name, (int)dev->protocol);
	if (!cp_load_ok(dev->load) || !cp_locale_ok(dev->user_locale) || !cp_locale_ok(dev->network_locale))
		return cfg_invalid(why, size, "%s: load or locale is no file name", dev->name);
	if (!cp_text_ok(dev->digest_user))
		return cfg_invalid(why, size, "%s: digest user is not printable UTF-8 below %d bytes", dev->name, CP_TEXT_MAX);
	if (dev->digest_secret.len > 0 && dev->digest_user[0] == '\0')
		return cfg_invalid(why, size, "%s: a digest secret without a digest user", dev->name);
	if (dev->digest_secret.len > 1024 || dev->config_key.len > 1024)
		return cfg_invalid(why, size, "%s: a sealed secret is over 1024 bytes", dev->name);
	if (cp_harden_check(&dev->harden, why, size) < 0)
		return -EINVAL;
	if (dev->css[0] != '\0' && !cp_part_name_ok(dev->css))
		return cfg_invalid(why, size, "%s: calling search space %s is not letters, digits and . _ -", dev->name, cfg_q(dev->css));
	for (unsigned i = 0; i < dev->line_cnt; i++) {
		if (!cp_number_ok(dev->lines[i].number))
			return cfg_invalid(why, size, "%s: number %s is not 1 to 32 of 0-9 * # (and a leading +)", dev->name,
					   cfg_q(dev->lines[i].number));
		if (dev->lines[i].partition[0] != '\0' && !cp_part_name_ok(dev->lines[i].partition))
			return cfg_invalid(why, size, "%s: partition %s of line %u is not letters, digits and . _ -", dev->name,
					   cfg_q(dev->lines[i].partition), i + 1);
		if (dev->lines[i].css[0] != '\0' && !cp_part_name_ok(dev->lines[i].css))
			return cfg_invalid(why, size, "%s: calling search space %s of line %u is not letters, digits and . _ -", dev->name,
					   cfg_q(dev->lines[i].css), i + 1);
		if (dev->lines[i].pickup[0] != '\0' && !cp_number_ok(dev->lines[i].pickup))
			return cfg_invalid(why, size, "%s: pickup group of line %u is no number", dev->name, i + 1);
		if (!cp_text_ok(dev->lines[i].label))
			return cfg_invalid(why, size, "%s: label of line %u is not printable", dev->name, i + 1);
		for (unsigned j = 0; j < i; j++)
			if (strcmp(dev->lines[i].number, dev->lines[j].number) == 0)
				return cfg_invalid(why, size, "%s: number %s twice", dev->name, dev->lines[i].number);
	}
	return 0;
}

static bool has_endpoint(const struct cp_gateway *gw, const char *name)
{
	for (unsigned i = 0; i < gw->endpoint_cnt; i++)
		if (strcmp(gw->endpoints[i].name, name) == 0)
			return true;
	return false;
}

/* RFC 3435 s2.1.2: '$' as the last term is "any one of": a bridge chooses, and says which one it took. */
static bool any_of(const struct cp_gateway *gw, const char *name)
{
	size_t n = strlen(name);
	char stem[CP_NAME_MAX];

	if ((gw->flags & CP_GW_CONFERENCE) == 0 || n < 3 || n >= sizeof(stem) || strcmp(name + n - 2, "/$") != 0)
		return false;
	snprintf(stem, sizeof(stem), "%.*s", (int)n - 2, name);
	return cp_endpoint_name_ok(stem);
}

static int bridge_check(const struct cp_gateway *gw, char *why, size_t size)
{
	if ((gw->flags & CP_GW_CONFERENCE) == 0)
		return gw->ports == 0 && gw->conference_max == 0 ? 0 : cfg_invalid(why, size, "%s: ports of what is no conference bridge", gw->name);
	if (gw->ports < 3 || gw->ports > 4096)
		return cfg_invalid(why, size, "%s: %d ports are not 3 to 4096", gw->name, (int)gw->ports);
	if (gw->conference_max < 3 || gw->conference_max > CP_CONFERENCE_MAX || gw->conference_max > gw->ports)
		return cfg_invalid(why, size, "%s: conferences of %d are not 3 to %d, and to its ports", gw->name, (int)gw->conference_max,
				   CP_CONFERENCE_MAX);
	if (gw->endpoint_cnt == 0)
		return cfg_invalid(why, size, "%s: a conference bridge without endpoints", gw->name);
	if (gw->number_cnt != 0)
		return cfg_invalid(why, size, "%s: a conference bridge has no numbers", gw->name);
	return 0;
}

static int dialling_check(const struct cp_gateway *gw, char *why, size_t size)
{
	struct dp_digitmap map;

	if (gw->quarantine >= CP_GW_Q_CNT || gw->bearer >= CP_GW_B_CNT)
		return cfg_invalid(why, size, "%s: unknown quarantine handling %d or bearer %d", gw->name, (int)gw->quarantine, (int)gw->bearer);
	if (gw->digit_map[0] != '\0' && dp_digitmap_compile(gw->digit_map, strlen(gw->digit_map), &map) < 0)
		return cfg_invalid(why, size, "%s: %s is no digit map, as (0T|[1-7]xxx|9011x.T), or too large a one", gw->name, cfg_q(gw->digit_map));
	return 0;
}

static int farm_check(const struct cp_gateway *gw, char *why, size_t size)
{
	if (gw->group[0] != '\0' && !cp_gw_name_ok(gw->group))
		return cfg_invalid(why, size, "%s: group %s is not letters, digits and . - _", gw->name, cfg_q(gw->group));
	if (gw->group[0] != '\0' && (gw->flags & CP_GW_CONFERENCE) != 0)
		return cfg_invalid(why, size, "%s: a conference bridge is in no group", gw->name);
	if (gw->priority > CP_GW_PRIORITIES)
		return cfg_invalid(why, size, "%s: priority %d is not 1 to %d", gw->name, (int)gw->priority, CP_GW_PRIORITIES);
	if (gw->weight > CP_GW_WEIGHT_MAX)
		return cfg_invalid(why, size, "%s: weight %d is not 1 to %d", gw->name, (int)gw->weight, CP_GW_WEIGHT_MAX);
	if (gw->admin >= CP_ADMIN_MAX || gw->line >= CP_LINE_MAX)
		return cfg_invalid(why, size, "%s: unknown state %d or line %d", gw->name, (int)gw->admin, (int)gw->line);
	if (gw->incoming[0] != '\0' && !cp_number_ok(gw->incoming))
		return cfg_invalid(why, size, "%s: incoming %s is not 1 to 32 of 0-9 * # (and a leading +)", gw->name, cfg_q(gw->incoming));
	if (strspn(gw->agent, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@:[]") != strlen(gw->agent))
		return cfg_invalid(why, size, "%s: agent %s is not [NAME@]HOST[:PORT]", gw->name, cfg_q(gw->agent));
	if (gw->css[0] != '\0' && !cp_part_name_ok(gw->css))
		return cfg_invalid(why, size, "%s: css %s is no name of one", gw->name, cfg_q(gw->css));
	return dialling_check(gw, why, size);
}

int cp_gateway_check(const struct cp_gateway *gw, char *why, size_t size)
{
	if (!cp_gw_name_ok(gw->name))
		return cfg_invalid(why, size, "name %s is not a domain name", cfg_q(gw->name));
	if (gw->address.family == 0)
		return cfg_invalid(why, size, "%s: no address", gw->name);
	if (gw->address.plen != (gw->address.family == 4 ? 32 : 128))
		return cfg_invalid(why, size, "%s: address is a network", gw->name);
	if (gw->address.port == 0)
		return cfg_invalid(why, size, "%s: port 0", gw->name);
	if (gw->gw_id >= DP_GW_MAX)
		return cfg_invalid(why, size, "%s: gw_id %u is not below %d", gw->name, gw->gw_id, DP_GW_MAX);
	if (!cp_text_ok(gw->region) || gw->region[0] == '\0')
		return cfg_invalid(why, size, "%s: region is empty or not printable", gw->name);
	if ((gw->flags & ~(uint32_t)CP_GW_FLAGS_ALL) != 0)
		return cfg_invalid(why, size, "%s: unknown flags %x", gw->name, gw->flags);
	if (gw->dialect >= CP_GW_DIALECT_CNT)
		return cfg_invalid(why, size, "%s: unknown dialect %d", gw->name, (int)gw->dialect);
	if ((gw->heard & ~(CP_GW_HEARD | CP_GW_HEARD_01 | CP_GW_HEARD_X)) != 0)
		return cfg_invalid(why, size, "%s: unknown dialect %x was heard", gw->name, gw->heard);
	if (!cp_text_ok(gw->type))
		return cfg_invalid(why, size, "%s: type is not printable UTF-8 below %d bytes", gw->name, CP_TEXT_MAX);
	if (gw->suite != 0 && (dp_suite(gw->suite) == NULL || dp_suite(gw->suite)->null_cipher))
		return cfg_invalid(why, size, "%s: unknown suite %d", gw->name, (int)gw->suite);
	if (gw->mki_len > 8)
		return cfg_invalid(why, size, "%s: an MKI of %d bytes, at most 8", gw->name, (int)gw->mki_len);
	if (gw->lifetime != 0 && (gw->lifetime < 16 || gw->lifetime > 48))
		return cfg_invalid(why, size, "%s: lifetime 2^%d is not 2^16 to 2^48", gw->name, (int)gw->lifetime);
	if (gw->endpoint_cnt > CP_GW_ENDPOINTS_MAX || gw->number_cnt > CP_GW_NUMBERS_MAX)
		return cfg_invalid(why, size, "%s: more than %d endpoints or %d numbers", gw->name, CP_GW_ENDPOINTS_MAX,
				   CP_GW_NUMBERS_MAX);
	if (bridge_check(gw, why, size) < 0 || farm_check(gw, why, size) < 0 ||
	    cp_ike_check(gw, why, size) < 0)
		return -EINVAL;
	for (unsigned i = 0; i < gw->endpoint_cnt; i++) {
		if (!cp_endpoint_name_ok(gw->endpoints[i].name) && !any_of(gw, gw->endpoints[i].name))
			return cfg_invalid(why, size, "%s: endpoint %s is not a local endpoint name", gw->name,
					   cfg_q(gw->endpoints[i].name));
		if (gw->endpoints[i].line >= CP_LINE_MAX)
			return cfg_invalid(why, size, "%s: endpoint %s: unknown line %d", gw->name, gw->endpoints[i].name,
					   (int)gw->endpoints[i].line);
		for (unsigned j = 0; j < i; j++)
			if (strcmp(gw->endpoints[i].name, gw->endpoints[j].name) == 0)
				return cfg_invalid(why, size, "%s: endpoint %s twice", gw->name, gw->endpoints[i].name);
	}
	for (unsigned i = 0; i < gw->number_cnt; i++) {
		const struct cp_gw_number *n = &gw->numbers[i];

		if (!cp_number_ok(n->number))
			return cfg_invalid(why, size, "%s: number %s is not 1 to 32 of 0-9 * # (and a leading +)", gw->name,
					   cfg_q(n->number));
		if (n->endpoint[0] != '\0' && !has_endpoint(gw, n->endpoint))
			return cfg_invalid(why, size, "%s: number %s: endpoint %s is not of this gateway", gw->name,
					   n->number, cfg_q(n->endpoint));
		for (unsigned j = 0; j < i; j++)
			if (n->prefix == gw->numbers[j].prefix && strcmp(n->number, gw->numbers[j].number) == 0)
				return cfg_invalid(why, size, "%s: number %s%s twice", gw->name, n->number,
						   n->prefix ? "*" : "");
	}
	return 0;
}

int cp_sa_check(const struct cp_sa *sa, char *why, size_t size)
{
	if (!made_of(sa->name, CP_NAME_MAX, ".-_:/"))
		return cfg_invalid(why, size, "name %s is not letters, digits and . - _ : /", cfg_q(sa->name));
	if (sa->gateway[0] != '\0' && !cp_gw_name_ok(sa->gateway))
		return cfg_invalid(why, size, "%s: gateway %s is not a domain name", sa->name, cfg_q(sa->gateway));
	if (sa->sa_id >= DP_SA_MAX)
		return cfg_invalid(why, size, "%s: sa_id %u is not below %d", sa->name, sa->sa_id, DP_SA_MAX);
	if (sa->spi < 256)
		return cfg_invalid(why, size, "%s: SPI %u is not above 255", sa->name, sa->spi);
	if (sa->dir != DP_DIR_RECV && sa->dir != DP_DIR_SEND)
		return cfg_invalid(why, size, "%s: unknown direction %u", sa->name, sa->dir);
	if (sa->alg == 0 || sa->alg >= DP_ESP_ALG_MAX)
		return cfg_invalid(why, size, "%s: unknown algorithm %u", sa->name, sa->alg);
	if (sa->mode == 0 || sa->mode >= DP_ESP_MODE_MAX)
		return cfg_invalid(why, size, "%s: unknown mode %u", sa->name, sa->mode);
	if (sa->local.family == 0 || sa->local.family != sa->remote.family)
		return cfg_invalid(why, size, "%s: local and remote address must be of one family", sa->name);
	if (sa->sealed.len == 0)
		return cfg_invalid(why, size, "%s: no sealed key", sa->name);
	if (sa->tfc != 0 && (sa->tfc > DP_SA_TFC_MAX || sa->dir != DP_DIR_SEND || sa->mode != DP_ESP_TUNNEL))
		return cfg_invalid(why, size, "%s: packets are padded to at most %d bytes, in tunnel mode, to the gateway", sa->name, DP_SA_TFC_MAX);
	if (sa->keepalive && (sa->dir != DP_DIR_SEND || sa->local.port == 0))
		return cfg_invalid(why, size, "%s: keepalives are for ESP in UDP, to the gateway", sa->name);
	if ((sa->hard_s != 0 && sa->soft_s > sa->hard_s) || (sa->hard_bytes != 0 && sa->soft_bytes > sa->hard_bytes) ||
	    (sa->hard_pkts != 0 && sa->soft_pkts > sa->hard_pkts))
		return cfg_invalid(why, size, "%s: a soft lifetime is longer than the hard one", sa->name);
	if (sa->window != 0 && (sa->window < DP_SA_WINDOW_MIN || sa->window > DP_SA_WINDOW_MAX))
		return cfg_invalid(why, size, "%s: window %u is not %d to %d", sa->name, sa->window, DP_SA_WINDOW_MIN, DP_SA_WINDOW_MAX);
	return 0;
}
