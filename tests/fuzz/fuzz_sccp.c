/* SPDX-License-Identifier: BSD-3-Clause */
/* Every parser of controlplane/sccp/msg.c on one frame; the caps a phone may claim stay within
 * bounds. */
#include <stdlib.h>
#include <string.h>

#include "sccp/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cp_sccp_quality stats;
	struct cp_sccp_frame f;
	struct cp_sccp_register reg;
	struct cp_sccp_hook hook;
	struct cp_sccp_softkey_event key;
	struct cp_sccp_keypad pad;
	struct cp_sccp_enbloc enbloc;
	struct cp_sccp_stimulus stim;
	struct cp_sccp_caps caps;
	struct cp_sccp_media_ack ack;
	struct cp_sccp_media_failure fail;
	struct cp_sccp_alarm alarm;
	size_t total = 0;
	uint32_t v;

	if (cp_sccp_frame_len(data, size, &total) == 0)
		REQUIRE(total >= CP_SCCP_HDR && total <= CP_SCCP_FRAME_MAX);
	if (cp_sccp_frame_parse(data, size, &f) != 0)
		return 0;
	REQUIRE(f.body + f.len == data + size);
	if (cp_sccp_parse_register(&f, &reg) == 0)
		REQUIRE(strlen(reg.name) <= 16 && strlen(reg.load) <= 32 && reg.protocol != 0);
	cp_sccp_parse_token(&f, &reg);
	cp_sccp_parse_u32(&f, &v);
	cp_sccp_parse_hook(&f, &hook);
	cp_sccp_parse_softkey(&f, &key);
	cp_sccp_parse_keypad(&f, &pad);
	if (cp_sccp_parse_enbloc(&f, &enbloc) == 0)
		REQUIRE(strlen(enbloc.number) > 0 && strlen(enbloc.number) <= 25);
	cp_sccp_parse_stimulus(&f, &stim);
	if (cp_sccp_parse_caps(&f, &caps) == 0)
		REQUIRE(caps.n <= CP_SCCP_CAPS_MAX);
	if (cp_sccp_parse_orc_ack(&f, &ack) == 0)
		REQUIRE(ack.addr.family == 0 || ack.addr.family == 4 || ack.addr.family == 6);
	cp_sccp_parse_smt_ack(&f, &ack);
	cp_sccp_parse_media_failure(&f, &fail);
	if (cp_sccp_parse_stats(&f, &stats) == 0)
		REQUIRE(strlen(stats.quality) < CP_SCCP_TEXT_MAX && strlen(stats.number) <= 24);
	if (cp_sccp_parse_alarm(&f, &alarm) == 0)
		REQUIRE(strlen(alarm.text) <= 80);
	return 0;
}
