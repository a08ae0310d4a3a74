/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_ 2048

static const char *log_proc = "ravelin";
static enum cfg_log_format log_format = CFG_LOG_KV;
static enum cfg_log_level log_level = CFG_LOG_INFO;
static const char *const level_names[] = {"err", "warn", "notice", "info", "debug"};

void cfg_log_init(const char *proc, enum cfg_log_format format, enum cfg_log_level level)
{
	log_proc = proc;
	log_format = format;
	log_level = level;
}

bool cfg_log_on(enum cfg_log_level level)
{
	return level <= log_level;
}

const char *cfg_qn(char *buf, size_t size, const char *s, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	if (size < 8)
		return "";
	buf[n++] = '"';
	for (size_t i = 0; s != NULL && i < len && (len != SIZE_MAX || s[i] != '\0'); i++) {
		unsigned char c = (unsigned char)s[i];

		if (n + 6 > size)
			break; /* room for \xNN, the quote and the zero */
		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			buf[n++] = (char)c;
		} else {
			buf[n++] = '\\';
			buf[n++] = 'x';
			buf[n++] = hex[c >> 4];
			buf[n++] = hex[c & 15];
		}
	}
	buf[n++] = '"';
	buf[n] = '\0';
	return buf;
}

/* Turn "k=v k2="quoted"" into JSON members. Quoted values hold no bare quote or backslash but \xNN. */
static size_t kv_to_json(char *out, size_t size, const char *kv)
{
	size_t n = 0;

	while (*kv != '\0') {
		const char *eq, *end;
		bool quoted, number = true;

		while (*kv == ' ')
			kv++;
		eq = strchr(kv, '=');
		if (eq == NULL)
			break;
		quoted = eq[1] == '"';
		end = quoted ? strchr(eq + 2, '"') : strchr(eq + 1, ' ');
		if (end == NULL)
			end = eq + strlen(eq);
		if (n + 12 + 2 * (size_t)(end - kv) > size)
			break;
		out[n++] = ',';
		out[n++] = '"';
		memcpy(out + n, kv, (size_t)(eq - kv));
		n += (size_t)(eq - kv);
		out[n++] = '"';
		out[n++] = ':';
		for (const char *p = eq + 1; p < end; p++)
			number = number && (isdigit((unsigned char)*p) || (p == eq + 1 && *p == '-' && end > p + 1));
		/* JSON has no leading zeros, and 64-bit values are safer as text past 15 digits */
		if (quoted || end == eq + 1 || end - eq > 16 || (eq[1] == '0' && end > eq + 2) || eq[1] == '-')
			number = false;
		if (!number)
			out[n++] = '"';
		for (const char *p = eq + 1 + (quoted ? 1 : 0); p < end; p++) {
			if (*p == '\\' || *p == '"')
				out[n++] = '\\';
			out[n++] = *p;
		}
		if (!number)
			out[n++] = '"';
		kv = quoted && *end == '"' ? end + 1 : end;
	}
	out[n] = '\0';
	return n;
}

void cfg_log(enum cfg_log_level level, const char *event, const char *fmt, ...)
{
	char body[LINE_MAX_], line[2 * LINE_MAX_ + 256];
	struct timespec ts;
	struct tm tm;
	char when[40];
	va_list ap;
	int n;

	if (!cfg_log_on(level))
		return;
	va_start(ap, fmt);
	n = vsnprintf(body, sizeof(body), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	for (char *p = body; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
			*p = '?';
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	if (log_format == CFG_LOG_JSON) {
		char members[2 * LINE_MAX_];

		kv_to_json(members, sizeof(members), body);
		n = snprintf(line, sizeof(line),
			     "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"proc\":\"%s\",\"event\":\"%s\"%s}\n", when,
			     ts.tv_nsec / 1000000, level_names[level], log_proc, event, members);
	} else {
		n = snprintf(line, sizeof(line), "time=%s.%03ldZ level=%s proc=%s event=%s%s%s\n", when,
			     ts.tv_nsec / 1000000, level_names[level], log_proc, event, body[0] != '\0' ? " " : "",
			     body);
	}
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1) < 0)
		return; /* nowhere left to say it */
}

bool cfg_log_allow(struct cfg_log_rate *rate, uint32_t burst, uint32_t per_s, uint32_t *ret_skipped)
{
	struct timespec ts;
	uint64_t now_ms;
	bool ok = false;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	now_ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000 + 1;
	while (__atomic_exchange_n(&rate->lock, 1, __ATOMIC_ACQUIRE) != 0)
		;
	if (rate->last_ms == 0) {
		rate->tokens_milli = burst * 1000;
	} else {
		uint64_t more = rate->tokens_milli + (now_ms - rate->last_ms) * per_s;

		rate->tokens_milli = more > (uint64_t)burst * 1000 ? burst * 1000 : (uint32_t)more;
	}
	rate->last_ms = now_ms;
	if (rate->tokens_milli >= 1000) {
		rate->tokens_milli -= 1000;
		if (ret_skipped != NULL)
			*ret_skipped = rate->skipped;
		rate->skipped = 0;
		ok = true;
	} else {
		rate->skipped++;
	}
	__atomic_store_n(&rate->lock, 0, __ATOMIC_RELEASE);
	return ok;
}
