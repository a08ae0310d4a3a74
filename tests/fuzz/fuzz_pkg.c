/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/mgcp/pkg.c, digitmap.c: lists of events and signals, parameters of commands, capabilities, connection parameters, digit
 * maps. What is taken is taken again when its end is cut to size; a digit map that compiles answers one of three for any digits, and
 * what it calls impossible stays so whatever follows.
 */
#include <stdlib.h>
#include <string.h>

#include "mgcp/digitmap.h"
#include "mgcp/pkg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void digits(const char *s, size_t len, const char *dialled, size_t n)
{
	struct dp_digitmap map;
	enum dp_dial was = DP_DIAL_PARTIAL;
	bool timer;

	if (dp_digitmap_compile(s, len, &map) != 0)
		return;
	if (map.alt_cnt == 0 || map.alt_cnt > DP_DIGITMAP_ALTS || map.first[map.alt_cnt] > DP_DIGITMAP_ALL)
		abort();
	for (size_t i = 1; i <= n && i < 40; i++) {
		enum dp_dial is = dp_digitmap_match(&map, dialled, i, &timer);

		if (was == DP_DIAL_IMPOSSIBLE && is != DP_DIAL_IMPOSSIBLE)
			abort();
		if (timer && is != DP_DIAL_PARTIAL)
			abort();
		was = is;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t verbs[] = {DP_MGCP_RQNT, DP_MGCP_DLCX, DP_MGCP_AUEP, DP_MGCP_AUCX, DP_MGCP_EPCF, DP_MGCP_CRCX};
	struct dp_mgcp_stat stat;
	struct dp_mgcp_caps caps = {0};
	struct dp_mgcp_str v;
	uint32_t pkgs = 0;
	char *copy, *end;
	uint8_t how;

	if (size == 0 || size > 4000)
		return 0;
	how = *data++;
	size--;
	copy = malloc(size + 1); /* exact size */
	if (copy == NULL)
		abort();
	memcpy(copy, data, size);
	copy[size] = '\0';
	v = (struct dp_mgcp_str){copy, (uint16_t)size};
	switch (how % 6) {
	case 0:
		if (dp_pkg_events(&v, &pkgs) == 0 && pkgs >> DP_PKG_CNT != 0)
			abort();
		break;
	case 1:
		if (dp_pkg_signals(&v, &pkgs) == 0 && pkgs >> DP_PKG_CNT != 0)
			abort();
		break;
	case 2:
		if (dp_mgcp_params_check(verbs[how / 6 % 6], copy, size, &pkgs) == 0 && memchr(copy, '\0', size) == NULL)
			abort();
		(void)dp_mgcp_params_check(verbs[how / 6 % 6], copy, size + 1, &pkgs);
		break;
	case 3:
		dp_mgcp_caps_add(&caps, &v);
		break;
	case 4:
		if (dp_mgcp_stat_parse(&v, &stat) == 0 && stat.have >> DP_MGCP_STAT_CNT != 0)
			abort();
		break;
	default:
		end = memchr(copy, '\n', size);
		digits(copy, end != NULL ? (size_t)(end - copy) : size, end != NULL ? end + 1 : "", end != NULL ? (size_t)(copy + size - end - 1) : 0);
		break;
	}
	free(copy);
	return 0;
}
