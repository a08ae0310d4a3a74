/* SPDX-License-Identifier: BSD-3-Clause */
#include "phonealarm.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define READ_MAX 2048 /* bytes: anyone may send it. In XML the reason stands some 1,200 behind its beginning */
#define SKIP_MAX 3    /* blanks and dashes between two letters */

static const struct {
	int number;
	const char *words;
} reasons[] = {
	{10, "its connection timed out"},
	{12, "we reset its connection"},
	{13, "we aborted its connection"},
	{14, "we closed its connection"},
	{15, "its keep-alives were not answered"},
	{16, "it lost its address: look at the DHCP server, and for a second one with that address"},
	{17, "its registration was not answered in time"},
	{18, "it went to a call manager that it prefers"},
	{20, "somebody reset it at its keys"},
	{22, "it was told to reset"},
	{23, "it was told to restart"},
	{24, "its registration was rejected: see the alarms of that device"},
};

const char *cp_phone_alarm_reason(int number)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].number == number)
			return reasons[i].words;
	return "";
}

/* Spellings differ in case, blanks and dashes: "File Auth Failed", "file-auth-fail". NULL, or what stands behind it. */
static const char *behind(const char *text, const char *end, const char *words)
{
	for (const char *at = text; at < end; at++) {
		const char *p = at, *w = words;
		unsigned skipped = 0;

		while (p < end && *w != '\0') {
			if (tolower((unsigned char)*p) == *w)
				p++, w++, skipped = 0;
			else if (w != words && skipped < SKIP_MAX && (*p == ' ' || *p == '-' || *p == '_'))
				p++, skipped++;
			else
				break;
		}
		if (*w == '\0')
			return p;
	}
	return NULL;
}

/* A word of the characters that 'ok' allows, from there on; what is longer than the field is none. */
static void word(const char *at, const char *end, const char *ok, char *ret, size_t size)
{
	size_t n = 0;

	while (at + n < end && at[n] != '\0' && strchr(ok, at[n]) != NULL)
		n++;
	if (n >= size)
		n = 0;
	memcpy(ret, at, n);
	ret[n] = '\0';
}

static int number(const char *at, const char *end)
{
	int n = 0, digits = 0;

	for (; at < end && isdigit((unsigned char)*at) && digits < 5; at++, digits++)
		n = n * 10 + (*at - '0');
	return digits == 0 || (at < end && isdigit((unsigned char)*at)) ? -1 : n;
}

void cp_phone_alarm_parse(const char *text, size_t len, struct cp_phone_alarm *ret)
{
	static const char name_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *end = text + strnlen(text, len < READ_MAX ? len : READ_MAX), *at;
	bool xml = text < end && behind(text, end, "<alarm") != NULL;

	memset(ret, 0, sizeof(*ret));
	ret->number = -1;
	at = behind(text, end, xml ? "name=\"devicename\">" : "name=");
	if (at != NULL)
		word(at, end, name_chars, ret->device, sizeof(ret->device));
	if (xml)
		at = behind(text, end, "name=\"reasonforoutofservice\">");
	else
		at = text;
	if (at != NULL)
		ret->number = number(at, end);
	at = behind(text, end, "tftpnotauthorized");
	if (at != NULL) {
		ret->kind = CP_PHONE_ALARM_TFTP;
		while (at < end && (*at == ':' || *at == ' '))
			at++;
		word(at, end, "0123456789abcdefABCDEF.:", ret->server, sizeof(ret->server));
	} else if (behind(text, end, "fileauthfail") != NULL || behind(text, end, "fileautherr") != NULL) {
		ret->kind = CP_PHONE_ALARM_FILE;
	}
}
