/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One line per event on stderr: time, level, event name, then key=value pairs. Every process of the
 * appliance logs through here, so that format and level are configured once. Never call from a worker's
 * loop; never pass key material. Strings that came from outside go through cfg_q().
 */
#ifndef CFG_LOG_H
#define CFG_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cfg_log_level { CFG_LOG_ERR, CFG_LOG_WARN, CFG_LOG_NOTICE, CFG_LOG_INFO, CFG_LOG_DEBUG };
enum cfg_log_format { CFG_LOG_KV, CFG_LOG_JSON };

/** Set format, level and the process's name ("proc"), which must outlive the process's last line. */
void cfg_log_init(const char *proc, enum cfg_log_format format, enum cfg_log_level level);

/** True if a line of 'level' would be written: lets callers skip costly arguments. Any thread. */
bool cfg_log_on(enum cfg_log_level level);

/**
 * Write one line. 'event' is a fixed lower-case-with-dashes name; 'fmt' gives key=value pairs separated by
 * one blank. Control characters never reach the output. One write(2) per line, any thread.
 */
void cfg_log(enum cfg_log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * Quote an outside string as a value: "..." with quotes, backslashes, control and non-ASCII bytes as \xNN,
 * cut at what fits. Returns 'buf'. 'len' bounds the bytes read from 's' (SIZE_MAX: until NUL).
 */
const char *cfg_qn(char *buf, size_t size, const char *s, size_t len);
#define cfg_q(s) cfg_qn((char[160]){0}, 160, (s), SIZE_MAX)

/**
 * Token bucket for lines that a peer can cause: true if this one may be written. 'burst' lines at once,
 * then 'per_s' a second; when lines were held back, their number is put in *ret_skipped (may be NULL) with
 * the next one let through. One struct per place, zero-initialised, any thread.
 */
struct cfg_log_rate {
	uint64_t last_ms;
	uint32_t tokens_milli;
	uint32_t skipped;
	int lock;
};
bool cfg_log_allow(struct cfg_log_rate *rate, uint32_t burst, uint32_t per_s, uint32_t *ret_skipped);

/* A rate-limited line: 5 at once, then one a second, per place in the code. */
#define cfg_log_limited(level, event, ...)                                                         \
	do {                                                                                       \
		static struct cfg_log_rate cfg_rate_;                                              \
		uint32_t cfg_skipped_ = 0;                                                         \
		if (cfg_log_allow(&cfg_rate_, 5, 1, &cfg_skipped_)) {                              \
			cfg_log(level, event, __VA_ARGS__);                                        \
			if (cfg_skipped_ > 0)                                                      \
				cfg_log(level, event, "skipped=%u", cfg_skipped_);                 \
		}                                                                                  \
	} while (0)

#endif
