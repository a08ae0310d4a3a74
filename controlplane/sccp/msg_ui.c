/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages to the phone: registration, templates, status, display. */
#include "msg.h"

#include <string.h>
#include <time.h>

#include "build.h"

/*
 * Soft keys that call control acts upon. A label 0x80 nn is text nn of the phone's own language; up to 18 nn
 * equals the event; 0: none that is certain (two public tables have Barge as 67 and cBarge as 81, no phone was asked), its name is given.
 * A phone answers with the event that it was given here, so 21 and 33 need be no vendor's. Sets name keys by their place in this table, counted from 1.
 */
static const struct {
	uint8_t event, label;
} softkeys[] = {
	{CP_SCCP_KEY_NEWCALL, 2},   {CP_SCCP_KEY_ENDCALL, 9},   {CP_SCCP_KEY_ANSWER, 11}, {CP_SCCP_KEY_HOLD, 3},
	{CP_SCCP_KEY_RESUME, 10},   {CP_SCCP_KEY_TRANSFER, 4},  {CP_SCCP_KEY_CONFRN, 13}, {CP_SCCP_KEY_JOIN, 15},
	{CP_SCCP_KEY_MEETME, 16},   {CP_SCCP_KEY_RMLSTC, 57},   {CP_SCCP_KEY_CONFLIST, 79}, {CP_SCCP_KEY_BARGE, 0},
	{CP_SCCP_KEY_CFWDALL, 5},   {CP_SCCP_KEY_PARK, 14},     {CP_SCCP_KEY_PICKUP, 17}, {CP_SCCP_KEY_GPICKUP, 18},
	{CP_SCCP_KEY_OPICKUP, 0}, {CP_SCCP_KEY_CBARGE, 0},
};
enum {
	K_NEWCALL = 1, K_ENDCALL, K_ANSWER, K_HOLD, K_RESUME, K_TRANSFER, K_CONFRN, K_JOIN, K_MEETME, K_RMLSTC, K_CONFLIST, K_BARGE, K_CFWDALL, K_PARK,
	K_PICKUP, K_GPICKUP, K_OPICKUP, K_CBARGE
};
#define KEYS ((uint32_t)(sizeof(softkeys) / sizeof(softkeys[0])))

static const uint8_t softkey_sets[][16] = {
	[CP_SCCP_KEYS_ONHOOK] = {K_NEWCALL, K_MEETME, K_CFWDALL, K_PICKUP, K_GPICKUP, K_OPICKUP},
	[CP_SCCP_KEYS_CONNECTED] = {K_HOLD, K_ENDCALL, K_TRANSFER, K_CONFRN, K_JOIN, K_PARK},
	[CP_SCCP_KEYS_HOLD] = {K_RESUME, K_NEWCALL, K_TRANSFER, K_CONFRN, K_JOIN},
	[CP_SCCP_KEYS_RINGIN] = {K_ANSWER, K_ENDCALL},
	[CP_SCCP_KEYS_OFFHOOK] = {K_ENDCALL, K_MEETME, K_CFWDALL, K_PICKUP, K_GPICKUP, K_OPICKUP},
	[CP_SCCP_KEYS_TRANSFERABLE] = {K_TRANSFER, K_ENDCALL},
	[CP_SCCP_KEYS_DIGITS] = {K_ENDCALL},
	[CP_SCCP_KEYS_CONFERENCE] = {K_HOLD, K_ENDCALL, K_CONFRN, K_JOIN, K_CONFLIST, K_RMLSTC, K_TRANSFER},
	[CP_SCCP_KEYS_RINGOUT] = {K_ENDCALL, K_TRANSFER},
	[CP_SCCP_KEYS_REMOTE] = {K_BARGE, K_CBARGE, K_NEWCALL},
};
#define SETS ((uint32_t)(sizeof(softkey_sets) / sizeof(softkey_sets[0])))

unsigned cp_sccp_negotiate(unsigned phone)
{
	if (phone >= CP_SCCP_VER_MAX)
		return CP_SCCP_VER_MAX;
	if (phone >= 12 && phone <= 14)
		return 11; /* header versions 12..14 were never seen */
	return phone < 3 ? 3 : phone;
}

size_t cp_sccp_build_empty(uint8_t *buf, unsigned ver, uint32_t id)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, id);

	return cp_sccp_end(&w);
}

size_t cp_sccp_build_words(uint8_t *buf, unsigned ver, uint32_t id, const uint32_t *words,
                           unsigned n)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, id);

	for (unsigned i = 0; i < n && i < 8; i++)
		cp_w_u32(&w, words[i]);
	return cp_sccp_end(&w);
}

size_t cp_sccp_build_register_ack(uint8_t *buf, unsigned ver, uint32_t keepalive_s,
                                  const char *date, uint32_t secondary_s)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, 0, CP_SCCP_REGISTER_ACK);

	cp_w_u32(&w, keepalive_s);
	cp_w_fixed(&w, date, 8); /* 6 or 7 characters and padding, as one reads it */
	cp_w_u32(&w, secondary_s);
	cp_w_u8(&w, (uint8_t)ver);
	cp_w_u8(&w, ver <= 3 ? 0x00 : 0x20);
	cp_w_u8(&w, ver <= 3 ? 0x00 : 0xf1);
	cp_w_u8(&w, ver <= 3 ? 0x00 : ver <= 10 ? 0xfe : 0xff);
	return cp_sccp_end(&w);
}

size_t cp_sccp_build_register_reject(uint8_t *buf, const char *text)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, 0, CP_SCCP_REGISTER_REJECT);

	cp_w_fixed(&w, text, 32);
	return cp_sccp_end(&w);
}

size_t cp_sccp_build_button_template(uint8_t *buf, unsigned ver, const struct cp_sccp_button *b,
                                     unsigned n)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, CP_SCCP_BUTTON_TEMPLATE);

	if (n > CP_SCCP_BUTTONS)
		n = CP_SCCP_BUTTONS;
	cp_w_u32(&w, 0);
	cp_w_u32(&w, n);
	cp_w_u32(&w, n);
	for (unsigned i = 0; i < CP_SCCP_BUTTONS; i++) {
		cp_w_u8(&w, i < n ? b[i].instance : 0);
		cp_w_u8(&w, i < n ? b[i].type : 0xff);
	}
	return cp_sccp_end(&w);
}

static const char *key_name(uint8_t event)
{
	return event == CP_SCCP_KEY_BARGE ? "Barge" : event == CP_SCCP_KEY_CBARGE ? "cBarge" : "OPickUp";
}

size_t cp_sccp_build_softkey_template(uint8_t *buf, unsigned ver)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, CP_SCCP_SOFTKEY_TEMPLATE);

	cp_w_u32(&w, 0);
	cp_w_u32(&w, KEYS);
	cp_w_u32(&w, KEYS);
	for (size_t i = 0; i < KEYS; i++) {
		if (softkeys[i].label == 0) {
			cp_w_fixed(&w, key_name(softkeys[i].event), 16);
		} else {
			cp_w_u8(&w, 0x80);
			cp_w_u8(&w, softkeys[i].label);
			cp_w_zero(&w, 14);
		}
		cp_w_u32(&w, softkeys[i].event);
	}
	return cp_sccp_end(&w);
}

size_t cp_sccp_build_softkey_sets(uint8_t *buf, unsigned ver)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, CP_SCCP_SOFTKEY_SET);

	cp_w_u32(&w, 0);
	cp_w_u32(&w, SETS);
	cp_w_u32(&w, SETS);
	for (uint32_t s = 0; s < SETS; s++) {
		for (unsigned k = 0; k < 16; k++)
			cp_w_u8(&w, softkey_sets[s][k]);
		for (unsigned k = 0; k < 16; k++) { /* help text of the key: numbered from 300 */
			uint8_t key = softkey_sets[s][k];

			cp_w_u16(&w, key != 0 ? (uint16_t)(300 + softkeys[key - 1].event) : 0);
		}
	}
	return cp_sccp_end(&w);
}

size_t cp_sccp_build_config_stat(uint8_t *buf, unsigned ver, const char *name, uint32_t instance,
                                 const char *user, const char *server, uint32_t lines,
                                 uint32_t speed_dials)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, CP_SCCP_CONFIG_STAT);

	cp_w_fixed(&w, name, 16);
	cp_w_u32(&w, 0);
	cp_w_u32(&w, instance);
	cp_w_fixed(&w, user, 40);
	cp_w_fixed(&w, server, 40);
	cp_w_u32(&w, lines);
	cp_w_u32(&w, speed_dials);
	return cp_sccp_end(&w);
}

size_t cp_sccp_build_line_stat(uint8_t *buf, unsigned ver, bool dynamic, uint32_t line,
                               const char *number, const char *name, const char *label)
{
	struct cp_sccp_w w;

	if (dynamic) {
		w = cp_sccp_begin(buf, ver, CP_SCCP_LINE_STAT_DYN);
		cp_w_u32(&w, line);
		cp_w_u32(&w, 0x0f);
		cp_w_cstr(&w, number, 24);
		cp_w_cstr(&w, name, 120);
		cp_w_cstr(&w, label, 120);
		return cp_sccp_end(&w);
	}
	w = cp_sccp_begin(buf, ver, CP_SCCP_LINE_STAT);
	cp_w_u32(&w, line);
	cp_w_fixed(&w, number, 24);
	cp_w_fixed(&w, name, 40);
	cp_w_fixed(&w, label, 40);
	cp_w_u32(&w, 0x0f); /* display options: names and numbers */
	return cp_sccp_end(&w);
}

size_t cp_sccp_build_forward_stat(uint8_t *buf, unsigned ver, uint32_t line, const char *const to[3])
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, CP_SCCP_FORWARD_STAT);
	uint32_t any = 0;

	for (int i = 0; i < 3; i++)
		any |= to[i] != NULL && to[i][0] != '\0';
	cp_w_u32(&w, any);
	cp_w_u32(&w, line);
	for (int i = 0; i < 3; i++) {
		cp_w_u32(&w, to[i] != NULL && to[i][0] != '\0');
		cp_w_fixed(&w, to[i], ver >= 18 ? 25 : 24);
	}
	return cp_sccp_end(&w);
}

size_t cp_sccp_build_speed_dial_stat(uint8_t *buf, unsigned ver, uint32_t num, const char *number,
                                     const char *name)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, CP_SCCP_SPEED_DIAL_STAT);

	cp_w_u32(&w, num);
	cp_w_fixed(&w, number, 24);
	cp_w_fixed(&w, name, 40);
	return cp_sccp_end(&w);
}

size_t cp_sccp_build_time_date(uint8_t *buf, unsigned ver, int64_t now, uint32_t ms,
                               int32_t tz_off_s)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, CP_SCCP_TIME_DATE);
	time_t local = (time_t)(now + tz_off_s);
	struct tm tm;

	gmtime_r(&local, &tm);
	cp_w_u32(&w, (uint32_t)(tm.tm_year + 1900));
	cp_w_u32(&w, (uint32_t)(tm.tm_mon + 1));
	cp_w_u32(&w, (uint32_t)tm.tm_wday);
	cp_w_u32(&w, (uint32_t)tm.tm_mday);
	cp_w_u32(&w, (uint32_t)tm.tm_hour);
	cp_w_u32(&w, (uint32_t)tm.tm_min);
	cp_w_u32(&w, (uint32_t)tm.tm_sec);
	cp_w_u32(&w, ms);
	cp_w_u32(&w, (uint32_t)now);
	return cp_sccp_end(&w);
}

size_t cp_sccp_build_version(uint8_t *buf, unsigned ver, const char *load)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, CP_SCCP_VERSION);

	cp_w_fixed(&w, load, 16);
	return cp_sccp_end(&w);
}

size_t cp_sccp_build_server_res(uint8_t *buf, unsigned ver, const char *name,
                                const struct cfg_addr *addr)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, CP_SCCP_SERVER_RES);
	bool one = addr != NULL && (addr->family == 4 || (addr->family == 6 && ver >= 17));

	for (int i = 0; i < 5; i++)
		cp_w_fixed(&w, i == 0 ? name : NULL, 48);
	for (int i = 0; i < 5; i++)
		cp_w_u32(&w, i == 0 && one ? addr->port : 0);
	for (int i = 0; i < 5; i++) {
		if (ver >= 17)
			cp_sccp_w_addr(&w, i == 0 && one ? addr : NULL);
		else if (i == 0 && one)
			cp_w_bytes(&w, addr->ip, 4);
		else
			cp_w_zero(&w, 4);
	}
	return cp_sccp_end(&w);
}

size_t cp_sccp_build_prompt(uint8_t *buf, unsigned ver, bool dynamic, const char *text,
                            uint32_t timeout_s, uint32_t line, uint32_t callref)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, dynamic ? CP_SCCP_PROMPT_DYN : CP_SCCP_PROMPT);

	cp_w_u32(&w, timeout_s);
	if (!dynamic)
		cp_w_fixed(&w, text, 32);
	cp_w_u32(&w, line);
	cp_w_u32(&w, callref);
	if (dynamic)
		cp_w_cstr(&w, text, 96);
	return cp_sccp_end(&w);
}

size_t cp_sccp_build_dialed(uint8_t *buf, unsigned ver, const char *number, uint32_t line,
                            uint32_t callref)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, CP_SCCP_DIALED_NUMBER);

	cp_w_fixed(&w, number, ver >= 18 ? 25 : 24);
	cp_w_u32(&w, line);
	cp_w_u32(&w, callref);
	return cp_sccp_end(&w);
}

static size_t callinfo_dynamic(uint8_t *buf, unsigned ver, bool alt_calling,
                               const struct cp_phone_callinfo *c)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, CP_SCCP_CALL_INFO_DYN);

	cp_w_u32(&w, c->line);
	cp_w_u32(&w, c->callref);
	cp_w_u32(&w, c->type);
	cp_w_u32(&w, c->orig_reason);
	cp_w_u32(&w, c->last_reason);
	cp_w_u32(&w, c->instance != 0 ? c->instance : 1);
	cp_w_u32(&w, c->security);
	cp_w_u32(&w, 0); /* presentation */
	cp_w_cstr(&w, c->calling_number, 24);
	if (alt_calling)
		cp_w_u8(&w, 0);
	cp_w_cstr(&w, c->called_number, 24);
	cp_w_cstr(&w, c->orig_called_number, 24);
	cp_w_cstr(&w, c->last_redirect_number, 24);
	cp_w_zero(&w, 4); /* four mailboxes */
	cp_w_cstr(&w, c->calling_name, 120);
	cp_w_cstr(&w, c->called_name, 120);
	cp_w_cstr(&w, c->orig_called_name, 120);
	cp_w_u8(&w, 0); /* last redirecting name */
	if (ver >= 17)
		cp_w_zero(&w, 2); /* hunt pilot number and name */
	return cp_sccp_end(&w);
}

size_t cp_sccp_build_callinfo(uint8_t *buf, unsigned ver, bool dynamic, bool alt_calling,
                              const struct cp_phone_callinfo *c)
{
	struct cp_sccp_w w;

	if (dynamic)
		return callinfo_dynamic(buf, ver, alt_calling, c);
	w = cp_sccp_begin(buf, ver, CP_SCCP_CALL_INFO);
	cp_w_fixed(&w, c->calling_name, 40);
	cp_w_fixed(&w, c->calling_number, 24);
	cp_w_fixed(&w, c->called_name, 40);
	cp_w_fixed(&w, c->called_number, 24);
	cp_w_u32(&w, c->line);
	cp_w_u32(&w, c->callref);
	cp_w_u32(&w, c->type);
	cp_w_fixed(&w, c->orig_called_name, 40);
	cp_w_fixed(&w, c->orig_called_number, 24);
	cp_w_zero(&w, 40); /* last redirecting party */
	cp_w_fixed(&w, c->last_redirect_number, 24);
	cp_w_u32(&w, c->orig_reason);
	cp_w_u32(&w, c->last_reason);
	cp_w_zero(&w, 4 * 24);  /* mailboxes */
	cp_w_u32(&w, c->instance != 0 ? c->instance : 1);
	cp_w_u32(&w, c->security);
	cp_w_u32(&w, 0); /* presentation */
	return cp_sccp_end(&w);
}

size_t cp_sccp_build_statistics_req(uint8_t *buf, unsigned ver, const char *number,
                                    uint32_t callref, uint32_t mode)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, CP_SCCP_STATISTICS_REQ);

	cp_w_fixed(&w, number, ver >= 18 ? 28 : 24);
	cp_w_u32(&w, callref);
	cp_w_u32(&w, mode);
	return cp_sccp_end(&w);
}
