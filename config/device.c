/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

/* net_memif's arguments. */
static const char *const memif_keys[] = {"id",  "role", "socket",    "socket-abstract", "mac",
                                         "bsize", "rsize", "zero-copy", "secret",          NULL};

/* The name of a network interface, as the kernel takes it. */
static bool is_ifname(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > 15 || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isgraph((unsigned char)s[i]) || strchr("/:,", s[i]) != NULL)
			return false;
	return true;
}

/* "[dddd:]bb:dd.f" in hex; a lone bus number is left to the driver. */
static bool is_pci(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= 32 && strspn(s, "0123456789abcdefABCDEF:.") == n;
}

static bool is_label(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '_' && s[i] != '-')
			return false;
	return n > 0 && n <= 15;
}

static bool is_path(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isprint((unsigned char)s[i]) || strchr(" \"'[]", s[i]) != NULL)
			return false;
	return n > 0 && n <= 200;
}

static int memif_check(const char *rest, char *why, size_t size)
{
	bool socket = false;

	for (const char *p = rest; *p != '\0';) {
		size_t len = strcspn(p, ","), key = strcspn(p, "=");
		int k = 0;

		while (memif_keys[k] != NULL &&
		       (strlen(memif_keys[k]) != key || strncmp(memif_keys[k], p, key) != 0))
			k++;
		if (key >= len || memif_keys[k] == NULL || !is_path(p + key + 1, len - key - 1)) {
			snprintf(why, size, "memif takes KEY=VALUE of id, role, socket, socket-abstract, mac, "
			                    "bsize, rsize, zero-copy, secret");
			return -EINVAL;
		}
		if (strncmp(p, "role=", 5) == 0 &&
		    (len != 11 || (memcmp(p + 5, "server", 6) != 0 && memcmp(p + 5, "client", 6) != 0))) {
			snprintf(why, size, "role is server or client");
			return -EINVAL;
		}
		socket = socket || strncmp(p, "socket=", 7) == 0;
		p += len;
		if (*p == ',' && *++p == '\0') {
			snprintf(why, size, "a comma at the end");
			return -EINVAL;
		}
	}
	if (!socket) {
		snprintf(why, size, "memif needs socket=PATH");
		return -EINVAL;
	}
	return 0;
}

static int pcap_check(const char *rest, char *why, size_t size)
{
	size_t len = strcspn(rest, ",");
	bool tx = false, infinite = false;

	if (!is_path(rest, len)) {
		snprintf(why, size, "pcap needs a file name");
		return -EINVAL;
	}
	for (const char *p = rest + len; *p != '\0'; p += len) {
		p++;
		len = strcspn(p, ",");
		if (!tx && strncmp(p, "tx=", 3) == 0 && is_path(p + 3, len - 3)) {
			tx = true;
		} else if (!infinite && len == 8 && strncmp(p, "infinite", 8) == 0) {
			infinite = true;
		} else {
			snprintf(why, size, "behind the file, pcap takes tx=FILE and infinite, once each");
			return -EINVAL;
		}
	}
	return 0;
}

int cfg_device_check(const char *device, char *why, size_t size)
{
	const char *rest = strchr(device, ':');
	size_t len = rest != NULL ? (size_t)(rest - device) : strlen(device);
	bool ok;

#define IS(kind) (len == sizeof(kind) - 1 && memcmp(device, kind, len) == 0)
	rest = rest != NULL ? rest + 1 : "";
	if (IS("ring") || IS("null")) {
		snprintf(why, size, "the label is 1 to 15 of A-Z a-z 0-9 _ -");
		return device[len] == '\0' || is_label(rest) ? 0 : -EINVAL;
	}
	if (IS("memif"))
		return memif_check(rest, why, size);
	if (IS("pcap"))
		return pcap_check(rest, why, size);
	if (IS("pci")) {
		ok = is_pci(rest);
		snprintf(why, size, "pci needs an address as 0000:3b:00.0");
	} else if (IS("af_packet") || IS("af_xdp") || IS("tap")) {
		ok = is_ifname(rest);
		snprintf(why, size, "%.*s needs the name of an interface", (int)len, device);
	} else {
		ok = false;
		snprintf(why, size, "is none of pci:, af_packet:, af_xdp:, tap:, memif:, pcap:, ring, null");
	}
#undef IS
	return ok ? 0 : -EINVAL;
}
