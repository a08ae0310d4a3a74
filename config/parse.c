/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

static int number(const char *text, unsigned max, unsigned *ret)
{
	unsigned v = 0;

	if (*text == '\0')
		return -EINVAL;
	for (; *text != '\0'; text++) {
		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		v = v * 10 + (unsigned)(*text - '0');
		if (v > max)
			return -EINVAL;
	}
	*ret = v;
	return 0;
}

int cfg_addr_parse(const char *text, struct cfg_addr *ret_addr)
{
	struct cfg_addr a = {0};
	char buf[80];
	char *host = buf, *port = NULL, *plen;
	unsigned v;

	if (text == NULL || strlen(text) >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, text, strlen(text) + 1);
	plen = strchr(buf, '/');
	if (plen != NULL)
		*plen++ = '\0';
	if (buf[0] == '[') {
		char *close = strchr(buf, ']');

		if (close == NULL || plen != NULL)
			return -EINVAL;
		*close = '\0';
		host = buf + 1;
		if (close[1] == ':')
			port = close + 2;
		else if (close[1] != '\0')
			return -EINVAL;
		a.family = 6;
	} else if (strchr(buf, ':') != NULL && strchr(strchr(buf, ':') + 1, ':') != NULL) {
		a.family = 6;
	} else {
		a.family = 4;
		port = strchr(buf, ':');
		if (port != NULL) {
			if (plen != NULL)
				return -EINVAL;
			*port++ = '\0';
		}
	}
	if (inet_pton(a.family == 4 ? AF_INET : AF_INET6, host, a.ip) != 1)
		return -EINVAL;
	a.plen = a.family == 4 ? 32 : 128;
	if (plen != NULL) {
		if (number(plen, a.plen, &v) < 0)
			return -EINVAL;
		a.plen = (uint8_t)v;
	}
	if (port != NULL) {
		if (number(port, 65535, &v) < 0 || v == 0)
			return -EINVAL;
		a.port = (uint16_t)v;
	}
	*ret_addr = a;
	return 0;
}

const char *cfg_addr_print(const struct cfg_addr *addr, char *buf, size_t size)
{
	char ip[INET6_ADDRSTRLEN] = "none";

	if (addr->family == 4)
		inet_ntop(AF_INET, addr->ip, ip, sizeof(ip));
	else if (addr->family == 6)
		inet_ntop(AF_INET6, addr->ip, ip, sizeof(ip));
	if (addr->family != 0 && addr->port != 0)
		snprintf(buf, size, addr->family == 6 ? "[%s]:%u" : "%s:%u", ip, addr->port);
	else if (addr->family != 0 && addr->plen < (addr->family == 4 ? 32 : 128))
		snprintf(buf, size, "%s/%u", ip, addr->plen);
	else
		snprintf(buf, size, "%s", ip);
	return buf;
}

int cfg_hex_parse(const char *text, uint8_t *out, size_t len)
{
	if (text == NULL || strlen(text) != 2 * len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int v = 0;

		for (int k = 0; k < 2; k++) {
			int c = tolower((unsigned char)text[2 * i + (size_t)k]);

			if (!isxdigit(c))
				return -EINVAL;
			v = v * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
		}
		out[i] = (uint8_t)v;
	}
	return 0;
}
