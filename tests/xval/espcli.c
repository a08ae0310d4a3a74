/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ESP stage on stdin and stdout, for peers in other languages (tests/scenario/esp-scapy.sh). One command a
 * line, one answer a line:
 *	sa NAME in|out ALG tunnel|transport ESN UDP-PORT LOCAL REMOTE SPI KEY AUTH	-> ok | error RC
 *	enc NAME HEX	-> ok HEX | drop VERDICT	the IP packet goes into outbound SA NAME
 *	enp NAME DF DSCP HEX	-> the same, by a policy: DF copy, set or clear, DSCP -1 (copied) or 0 to 63
 *	dec NAME HEX	-> ok HEX | fragment HEX | drop VERDICT
 * ALG as operators write it, KEY with the salt behind it, "-": none; NAME is a number below 64, ESN 0 or 1, port 0: protocol 50; inner selectors: any address of LOCAL's family.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/mb.h"
#include "dp_esp.h"
#include "ipsec/esp.h"
#include "ipsec/sa.h"

#define SAS     64
#define PKT_MAX 2048

static struct dp_sa *sas[SAS];

static size_t unhex(const char *h, uint8_t *ret, size_t max)
{
	size_t n = 0;
	unsigned int v;

	for (; n < max && sscanf(h, "%2x", &v) == 1 && h[1] != '\0'; h += 2)
		ret[n++] = (uint8_t)v;
	return n;
}

static int addr(const char *text, struct dp_sockaddr *ret)
{
	ret->family = strchr(text, ':') != NULL ? 6 : 4;
	return inet_pton(ret->family == 6 ? AF_INET6 : AF_INET, text, ret->ip) == 1 ? 0 : -1;
}

static void sa_cmd(struct dp_mb *mb, const char *line)
{
	struct dp_sa_set s = {.gw_id = UINT32_MAX, .seq_limit = UINT64_MAX};
	char dir[8], alg[32], mode[16], local[64], remote[64], key[80], auth[132];
	const struct dp_esp_suite *suite;
	uint8_t bytes[DP_ESP_KEY_MAX + DP_ESP_SALT_LEN];
	unsigned int name, esn, port, spi;
	int rc;

	if (sscanf(line, "sa %u %7s %31s %15s %u %u %63s %63s %u %79s %131s", &name, dir, alg, mode, &esn, &port,
		   local, remote, &spi, key, auth) != 11 || name >= SAS || addr(local, &s.local) < 0 ||
	    addr(remote, &s.remote) < 0) {
		puts("error usage");
		return;
	}
	s.spi = spi;
	s.dir = strcmp(dir, "out") == 0 ? DP_DIR_SEND : DP_DIR_RECV;
	s.alg = dp_esp_find(alg);
	suite = dp_esp_suite(s.alg);
	if (suite == NULL || (unhex(key, bytes, sizeof(bytes)) != (size_t)suite->key_len + suite->salt_len)) {
		puts("error algorithm or key");
		return;
	}
	s.mode = strcmp(mode, "tunnel") == 0 ? DP_ESP_TUNNEL : DP_ESP_TRANSPORT;
	s.esn = (uint8_t)esn;
	s.local.port = s.remote.port = (uint16_t)port;
	if (s.mode == DP_ESP_TUNNEL)
		s.sel_local.family = s.sel_remote.family = s.local.family;
	memcpy(s.key, bytes, suite->key_len);
	memcpy(s.salt, bytes + suite->key_len, suite->salt_len);
	unhex(auth, s.auth, sizeof(s.auth));
	if (sas[name] == NULL)
		sas[name] = aligned_alloc(64, (sizeof(struct dp_sa) + 63) & ~(size_t)63);
	rc = sas[name] == NULL ? -1 : dp_sa_init(sas[name], mb, &s);
	if (rc == 0)
		puts("ok");
	else
		printf("error %d\n", rc);
}

static void packet_cmd(struct dp_mb *mb, const char *line)
{
	static uint8_t buf[DP_ESP_HEADROOM + PKT_MAX + DP_ESP_TAILROOM];
	struct dp_esp_pkt p = {.data = buf + DP_ESP_HEADROOM, .headroom = DP_ESP_HEADROOM};
	static char hex[2 * PKT_MAX + 1];
	unsigned int name;

	char df[8] = "copy";
	int dscp = -1;
	const char *rest = line + 3;
	bool policy = line[2] == 'p';

	bool read = policy ? sscanf(rest, " %u %7s %d %4096s", &name, df, &dscp, hex) == 4 : sscanf(rest, " %u %4096s", &name, hex) == 2;

	if (!read || dscp < -1 || dscp > 63 || name >= SAS || sas[name] == NULL) {
		puts("error usage");
		return;
	}
	p.sa = sas[name];
	p.df = strcmp(df, "set") == 0 ? DP_SPD_DF_SET : strcmp(df, "clear") == 0 ? DP_SPD_DF_CLEAR : DP_SPD_DF_COPY;
	p.dscp = (uint8_t)(dscp + 1);
	p.len = (uint16_t)unhex(hex, p.data, PKT_MAX);
	p.tailroom = (uint16_t)(PKT_MAX - p.len + DP_ESP_TAILROOM);
	if (line[0] == 'e')
		dp_esp_encap_burst(mb, &p, 1);
	else
		dp_esp_decap_burst(mb, &p, 1);
	if (p.verdict != DP_OK) {
		printf("drop %u\n", p.verdict);
		return;
	}
	fputs(line[0] == 'd' && p.fragment ? "fragment " : "ok ", stdout);
	for (uint16_t i = 0; i < p.len; i++)
		printf("%02x", p.data[i]);
	putchar('\n');
}

int main(void)
{
	struct dp_mb *mb = dp_mb_create();
	static char line[2 * PKT_MAX + 256];

	if (mb == NULL)
		return 1;
	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (strncmp(line, "sa ", 3) == 0)
			sa_cmd(mb, line);
		else if (strncmp(line, "enc ", 4) == 0 || strncmp(line, "enp ", 4) == 0 || strncmp(line, "dec ", 4) == 0)
			packet_cmd(mb, line);
		else
			puts("error usage");
		fflush(stdout);
	}
	for (int i = 0; i < SAS; i++)
		free(sas[i]);
	dp_mb_destroy(mb);
	return 0;
}
