/* SPDX-License-Identifier: BSD-3-Clause */
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

static FILE *events, *keys;
static uint64_t start_us;

int sim_addr_parse(const char *text, uint16_t default_port, struct sim_addr *ret)
{
	char host[INET6_ADDRSTRLEN + 1];
	const char *port = NULL, *colon = strchr(text, ':');
	size_t len = strlen(text);
	unsigned long number = default_port;
	uint8_t ip[16];
	int family;

	if (text[0] == '[') {
		const char *end = strchr(text, ']');

		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return -EINVAL;
		len = (size_t)(end - text) - 1;
		port = end[1] == ':' ? end + 2 : NULL;
		text++;
	} else if (colon != NULL && strchr(colon + 1, ':') == NULL) {
		len = (size_t)(colon - text);
		port = colon + 1;
	}
	if (len == 0 || len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if (port != NULL) {
		char *end;

		if (port[0] < '0' || port[0] > '9')
			return -EINVAL;
		number = strtoul(port, &end, 10);
		if (*end != '\0' || number > 65535)
			return -EINVAL;
	}
	family = strchr(host, ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(family, host, ip) != 1)
		return -EINVAL;
	sim_addr_set(ret, ip, family, (uint16_t)number);
	return 0;
}

void sim_addr_set(struct sim_addr *a, const uint8_t *ip, int family, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	if (family == AF_INET6) {
		struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

		memcpy(&sin6.sin6_addr, ip, 16);
		memcpy(&a->ss, &sin6, sizeof(sin6));
		a->len = sizeof(sin6);
	} else {
		struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};

		memcpy(&sin.sin_addr, ip, 4);
		memcpy(&a->ss, &sin, sizeof(sin));
		a->len = sizeof(sin);
	}
}

/* The port is at the same offset in both families. */
uint16_t sim_addr_port(const struct sim_addr *a)
{
	struct sockaddr_in sin;

	memcpy(&sin, &a->ss, sizeof(sin));
	return ntohs(sin.sin_port);
}

void sim_addr_set_port(struct sim_addr *a, uint16_t port)
{
	uint16_t be = htons(port);

	memcpy((uint8_t *)&a->ss + offsetof(struct sockaddr_in, sin_port), &be, sizeof(be));
}

const uint8_t *sim_addr_ip(const struct sim_addr *a)
{
	return (const uint8_t *)&a->ss + (a->ss.ss_family == AF_INET6
						  ? offsetof(struct sockaddr_in6, sin6_addr)
						  : offsetof(struct sockaddr_in, sin_addr));
}

size_t sim_addr_ip_len(const struct sim_addr *a)
{
	return a->ss.ss_family == AF_INET6 ? 16 : 4;
}

bool sim_addr_same_ip(const struct sim_addr *a, const struct sim_addr *b)
{
	return a->ss.ss_family == b->ss.ss_family &&
	       memcmp(sim_addr_ip(a), sim_addr_ip(b), sim_addr_ip_len(a)) == 0;
}

void sim_addr_add(struct sim_addr *a, uint32_t n)
{
	uint8_t ip[16];
	size_t len = sim_addr_ip_len(a);
	uint64_t carry = n;

	memcpy(ip, sim_addr_ip(a), len);
	for (size_t i = len; i-- > 0 && carry != 0; carry >>= 8) {
		carry += ip[i];
		ip[i] = (uint8_t)carry;
	}
	sim_addr_set(a, ip, a->ss.ss_family, sim_addr_port(a));
}

const char *sim_addr_ip_str(const struct sim_addr *a)
{
	static char text[4][INET6_ADDRSTRLEN];
	static unsigned int turn;
	char *t = text[turn++ % 4];

	if (a->len == 0 || inet_ntop(a->ss.ss_family, sim_addr_ip(a), t, INET6_ADDRSTRLEN) == NULL)
		memcpy(t, "-", 2);
	return t;
}

const char *sim_addr_str(const struct sim_addr *a)
{
	static char text[4][INET6_ADDRSTRLEN + 10];
	static unsigned int turn;
	char *t = text[turn++ % 4];

	snprintf(t, sizeof(text[0]), a->ss.ss_family == AF_INET6 ? "[%s]:%u" : "%s:%u", sim_addr_ip_str(a),
		 sim_addr_port(a));
	return t;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int sim_hex(const char *text, uint8_t *ret, size_t len)
{
	if (strlen(text) != 2 * len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int hi = nibble(text[2 * i]), lo = nibble(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		ret[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

void sim_hex_str(const uint8_t *data, size_t len, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		ret[2 * i] = digits[data[i] >> 4];
		ret[2 * i + 1] = digits[data[i] & 15];
	}
	ret[2 * len] = '\0';
}

static int b64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int sim_b64(const char *text, size_t text_len, uint8_t *ret, size_t room)
{
	size_t pad = 0, n = 0;

	if (text_len == 0 || text_len % 4 != 0)
		return -EINVAL;
	while (pad < 2 && text[text_len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < text_len; i += 4) {
		size_t keep = i + 4 == text_len ? 3 - pad : 3;
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++) {
			int d = k > keep ? 0 : b64_digit(text[i + k]);

			if (d < 0)
				return -EINVAL;
			v = v << 6 | (uint32_t)d;
		}
		if ((v & (0xFFFFFFU >> (8 * keep))) != 0)
			return -EINVAL; /* bits behind the data must be zero */
		if (n + keep > room)
			return -ENOSPC;
		for (size_t k = 0; k < keep; k++)
			ret[n++] = (uint8_t)(v >> (16 - 8 * k));
	}
	return (int)n;
}

void sim_b64_str(const uint8_t *data, size_t len, char *ret)
{
	EVP_EncodeBlock((unsigned char *)ret, data, (int)len);
}

uint64_t sim_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint8_t *sim_read_file(const char *path, size_t max, size_t *ret_len)
{
	uint8_t *data = NULL;
	struct stat st;
	size_t len = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > max) {
		err = S_ISREG(st.st_mode) ? EFBIG : EINVAL;
		goto fail;
	}
	data = malloc((size_t)st.st_size + 1);
	if (data == NULL) {
		err = ENOMEM;
		goto fail;
	}
	while (len < (size_t)st.st_size) {
		ssize_t n = read(fd, data + len, (size_t)st.st_size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err = n < 0 ? errno : EIO;
			goto fail;
		}
		len += (size_t)n;
	}
	close(fd);
	data[len] = '\0';
	*ret_len = len;
	return data;
fail:
	free(data);
	close(fd);
	errno = err;
	return NULL;
}

FILE *sim_create_private(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f;

	if (fd < 0)
		return NULL;
	if (fchmod(fd, 0600) < 0 || (f = fdopen(fd, "w")) == NULL) {
		close(fd);
		return NULL;
	}
	return f;
}

int sim_events_open(const char *path)
{
	start_us = sim_now_us();
	if (path == NULL)
		return 0;
	events = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
	if (events == NULL)
		return -errno;
	setvbuf(events, NULL, _IOLBF, 0);
	return 0;
}

bool sim_events_on(void)
{
	return events != NULL;
}

void sim_event(const char *who, const char *event, const char *fmt, ...)
{
	double t = (double)((sim_now_us() - start_us) / 1000) / 1000;
	json_t *line, *more = NULL;

	if (events == NULL)
		return;
	line = json_pack("{s:f, s:s, s:s}", "t", t, "who", who, "event", event);
	if (fmt != NULL) {
		json_error_t err;
		va_list ap;

		va_start(ap, fmt);
		more = json_vpack_ex(&err, 0, fmt, ap);
		va_end(ap);
		json_object_update(line, more);
	}
	json_dumpf(line, events, JSON_COMPACT | JSON_REAL_PRECISION(9));
	fputc('\n', events);
	json_decref(more);
	json_decref(line);
}

int sim_keys_open(const char *path)
{
	keys = sim_create_private(path);
	if (keys == NULL)
		return -errno;
	setvbuf(keys, NULL, _IOLBF, 0);
	return 0;
}

void sim_key(const char *who, const char *kind, const char *alg, const uint8_t *key, size_t key_len,
	     const uint8_t *salt, size_t salt_len)
{
	char key_hex[129], salt_hex[65];
	json_t *line;

	if (keys == NULL || key_len > 64 || salt_len > 32)
		return;
	sim_hex_str(key, key_len, key_hex);
	sim_hex_str(salt, salt_len, salt_hex);
	line = json_pack("{s:s, s:s, s:s, s:s, s:s}", "who", who, "kind", kind, "alg", alg, "key", key_hex,
			 "salt", salt_hex);
	json_dumpf(line, keys, JSON_COMPACT);
	fputc('\n', keys);
	json_decref(line);
}

int sim_report_write(const char *path, json_t *report)
{
	if (path == NULL)
		return 0;
	if (strcmp(path, "-") == 0) {
		int rc = json_dumpf(report, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));

		putchar('\n');
		return rc == 0 && fflush(stdout) == 0 ? 0 : -EIO;
	}
	return json_dump_file(report, path, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0 ? 0 : -EIO;
}

void sim_copy_field(char *dst, size_t room, const uint8_t *src, size_t n)
{
	size_t i;

	for (i = 0; i < n && i + 1 < room && src[i] != 0; i++)
		dst[i] = src[i] >= 0x20 && src[i] < 0x7F ? (char)src[i] : '?';
	dst[i] = '\0';
}

int sim_raise_files(uint64_t n)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return -errno;
	if (lim.rlim_cur >= n)
		return 0;
	if (lim.rlim_max < n)
		lim.rlim_max = n; /* only root may */
	lim.rlim_cur = n;
	return setrlimit(RLIMIT_NOFILE, &lim) < 0 ? -errno : 0;
}
