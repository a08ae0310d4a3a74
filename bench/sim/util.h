/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the simulators share: addresses, hex and base64, JSON event lines, key files, clocks. Nothing here or
 * elsewhere in bench/sim comes from the appliance's own code: where both agree, two readings of the
 * documents agree.
 */
#ifndef SIM_UTIL_H
#define SIM_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include <jansson.h>

struct sim_addr {
	struct sockaddr_storage ss;
	socklen_t len; /* 0: none */
};

/** Parse "IP", "IP:PORT", "[IP6]:PORT". 0 or -EINVAL; nothing is looked up. */
int sim_addr_parse(const char *text, uint16_t default_port, struct sim_addr *ret);
/** From 4 or 16 octets in network order and a port in host order. */
void sim_addr_set(struct sim_addr *a, const uint8_t *ip, int family, uint16_t port);
uint16_t sim_addr_port(const struct sim_addr *a);
void sim_addr_set_port(struct sim_addr *a, uint16_t port);
/** The octets of the address, 4 or 16 (sim_addr_ip_len). */
const uint8_t *sim_addr_ip(const struct sim_addr *a);
size_t sim_addr_ip_len(const struct sim_addr *a);
bool sim_addr_same_ip(const struct sim_addr *a, const struct sim_addr *b);
/** Add n to the address, as a number. */
void sim_addr_add(struct sim_addr *a, uint32_t n);
/** "IP" and "IP:PORT" as text, in one of four static buffers. */
const char *sim_addr_ip_str(const struct sim_addr *a);
const char *sim_addr_str(const struct sim_addr *a);

/** Exactly 'len' octets of hex. 0 or -EINVAL. */
int sim_hex(const char *text, uint8_t *ret, size_t len);
void sim_hex_str(const uint8_t *data, size_t len, char *ret); /* ret: 2 * len + 1 */
/** Strict base64. Octets written, or -EINVAL, -ENOSPC. */
int sim_b64(const char *text, size_t text_len, uint8_t *ret, size_t room);
void sim_b64_str(const uint8_t *data, size_t len, char *ret); /* ret: 4 * ((len + 2) / 3) + 1 */

/* Network order. */
static inline unsigned sim_be16(const uint8_t *p)
{
	return (unsigned)(p[0] << 8 | p[1]);
}

static inline uint32_t sim_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void sim_put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

uint64_t sim_now_us(void); /* CLOCK_MONOTONIC */

/** Whole file, at most 'max' octets; one more, zero, is appended. The caller frees. NULL: errno says why. */
uint8_t *sim_read_file(const char *path, size_t max, size_t *ret_len);
/** Create or truncate with mode 0600. */
FILE *sim_create_private(const char *path);

/** Where event lines go: NULL for nowhere, "-" for stdout. 0 or -errno. */
int sim_events_open(const char *path);
bool sim_events_on(void);
/**
 * One event line: {"t": seconds since start, "who": who, "event": event, ...}. fmt is a json_pack format of an
 * object, "{s:i}", or NULL.
 */
void sim_event(const char *who, const char *event, const char *fmt, ...);

/** Where keys go (--dump-keys): one JSON line per key, in a file of mode 0600. 0 or -errno. */
int sim_keys_open(const char *path);
void sim_key(const char *who, const char *kind, const char *alg, const uint8_t *key, size_t key_len,
	     const uint8_t *salt, size_t salt_len);

/** Write a report as indented JSON ("-" is stdout). 0 or -errno. Does not steal the reference. */
int sim_report_write(const char *path, json_t *report);

/** Append at most n characters, always terminated: a bounded strncpy for fixed fields of messages. */
void sim_copy_field(char *dst, size_t room, const uint8_t *src, size_t n);

/** Raise the limit on open files to at least n, as far as allowed. 0 or -errno. */
int sim_raise_files(uint64_t n);

#endif
