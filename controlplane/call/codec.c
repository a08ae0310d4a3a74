/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec.h"

#include <errno.h>
#include <strings.h>

#include "api/dp_msg.h"

#define DYNAMIC_VERSION 11  /* of SCCP, from which a codec's payload type can be told (wire formats 6.6) */
#define PACKET_MAX_MS   60  /* whatever a phone says it takes */
#define WIDEBAND_PT     118 /* chosen by the phones themselves: the relay passes what comes */

static const struct cp_codec_info infos[CP_CODEC_MAX] = {
	[CP_CODEC_G711U] = {"g711ulaw", 64, 10, 0, DP_AUDIO_PCMU, DP_CODEC_G711, 8000},
	[CP_CODEC_G711A] = {"g711alaw", 64, 10, 8, DP_AUDIO_PCMA, DP_CODEC_G711, 8000},
	[CP_CODEC_G722] = {"g722", 64, 10, 9, DP_AUDIO_G722, DP_CODEC_G722, 8000},
	[CP_CODEC_G729] = {"g729", 8, 10, 18, DP_AUDIO_G729, DP_CODEC_G729, 8000},
	[CP_CODEC_ILBC] = {"ilbc", 15, 20, DP_ILBC_PT, DP_AUDIO_ILBC, DP_CODEC_OTHER, 8000},
	[CP_CODEC_WIDEBAND] = {"wideband", 256, 10, WIDEBAND_PT, DP_AUDIO_NONE, DP_CODEC_OTHER, 16000},
};

/* SCCP's numbers; of several for one codec the first that a phone announced in this order is what it is told. */
static const struct {
	uint32_t number;
	enum cp_codec codec;
	const char *name;
} numbers[] = {
	{CP_SCCP_G711U, CP_CODEC_G711U, "G.711 u-law"},
	{CP_SCCP_G711A, CP_CODEC_G711A, "G.711 A-law"},
	{CP_SCCP_G722, CP_CODEC_G722, "G.722"},
	{CP_SCCP_G729A, CP_CODEC_G729, "G.729 A"},
	{CP_SCCP_G729, CP_CODEC_G729, "G.729"},
	{CP_SCCP_G729AB, CP_CODEC_G729, "G.729 AB"},
	{CP_SCCP_G729B, CP_CODEC_G729, "G.729 B"},
	{CP_SCCP_ILBC, CP_CODEC_ILBC, "iLBC"},
	{CP_SCCP_WIDEBAND, CP_CODEC_WIDEBAND, "wideband 256k"},
};
#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

const uint8_t cp_codec_order[CP_CODEC_MAX] = {CP_CODEC_WIDEBAND, CP_CODEC_G722, CP_CODEC_G711U, CP_CODEC_G711A, CP_CODEC_ILBC,
					      CP_CODEC_G729};

const struct cp_codec_info *cp_codec_info(enum cp_codec codec)
{
	return codec > CP_CODEC_NONE && codec < CP_CODEC_MAX ? &infos[codec] : NULL;
}

enum cp_codec cp_codec_parse(const char *name)
{
	for (unsigned c = CP_CODEC_NONE + 1; c < CP_CODEC_MAX; c++)
		if (strcasecmp(infos[c].name, name) == 0)
			return (enum cp_codec)c;
	return CP_CODEC_NONE;
}

enum cp_codec cp_codec_of_sccp(uint32_t number)
{
	for (size_t i = 0; i < NUMBERS; i++)
		if (numbers[i].number == number)
			return numbers[i].codec;
	return CP_CODEC_NONE;
}

enum cp_codec cp_codec_of_audio(unsigned audio)
{
	for (unsigned c = CP_CODEC_NONE + 1; c < CP_CODEC_MAX && audio != DP_AUDIO_NONE; c++)
		if (infos[c].audio == audio)
			return (enum cp_codec)c;
	return CP_CODEC_NONE;
}

const char *cp_codec_sccp_name(uint32_t number)
{
	for (size_t i = 0; i < NUMBERS; i++)
		if (numbers[i].number == number)
			return numbers[i].name;
	return "none";
}

/* A phone's announced limit is in milliseconds, whatever the codec (wire formats: 40 for G.711, 60 for G.729). */
static unsigned limit_ms(const struct cp_sccp_cap *cap)
{
	return cap->max_frames == 0 || cap->max_frames > PACKET_MAX_MS ? PACKET_MAX_MS : cap->max_frames;
}

static uint32_t announced(const struct cp_codec_side *side, enum cp_codec codec, unsigned *ret_ms)
{
	for (size_t i = 0; i < NUMBERS; i++) {
		if (numbers[i].codec != codec)
			continue;
		for (unsigned k = 0; k < side->cap_cnt; k++) {
			if (side->caps[k].codec != numbers[i].number)
				continue;
			*ret_ms = limit_ms(&side->caps[k]);
			return numbers[i].number;
		}
	}
	return 0;
}

static uint32_t gateways(enum cp_codec codec)
{
	for (size_t i = 0; i < NUMBERS && infos[codec].audio != DP_AUDIO_NONE; i++)
		if (numbers[i].codec == codec)
			return numbers[i].number;
	return 0;
}

uint32_t cp_codec_number(const struct cp_codec_side *side, enum cp_codec codec, unsigned *ret_ms)
{
	unsigned ms = PACKET_MAX_MS;
	uint32_t number;

	if (cp_codec_info(codec) == NULL || (side->only != 0 && cp_codec_of_sccp(side->only) != codec))
		return 0;
	if (codec == CP_CODEC_ILBC && !side->gateway && side->version < DYNAMIC_VERSION)
		return 0;
	number = side->only != 0 ? side->only : side->gateway ? gateways(codec) : announced(side, codec, &ms);
	if (ret_ms != NULL)
		*ret_ms = ms;
	return number;
}

static bool listed(const struct cp_codec_rule *rule, enum cp_codec codec)
{
	for (unsigned i = 0; i < CP_CODEC_MAX && rule->list[i] != CP_CODEC_NONE; i++)
		if (rule->list[i] == codec)
			return true;
	return false;
}

enum cp_codec_why cp_codec_fits(enum cp_codec codec, const struct cp_codec_side *a, const struct cp_codec_side *b,
				const struct cp_codec_rule *rule, bool secure)
{
	if (!listed(rule, codec))
		return CP_CODEC_NOT_LISTED;
	if (infos[codec].kbps > rule->max_kbps)
		return CP_CODEC_TOO_WIDE;
	if (cp_codec_number(a, codec, NULL) == 0)
		return CP_CODEC_NOT_A;
	if (cp_codec_number(b, codec, NULL) == 0)
		return CP_CODEC_NOT_B;
	if (codec == CP_CODEC_WIDEBAND && secure && (a->old_srtp || b->old_srtp))
		return CP_CODEC_OLD_SRTP;
	return CP_CODEC_OK;
}

const char *cp_codec_why_text(enum cp_codec_why why)
{
	static const char *const texts[CP_CODEC_WHY_MAX] = {
		[CP_CODEC_OK] = "fits",
		[CP_CODEC_NOT_A] = "the first party cannot",
		[CP_CODEC_NOT_B] = "the second party cannot",
		[CP_CODEC_NOT_LISTED] = "not in the regions' list",
		[CP_CODEC_TOO_WIDE] = "over the regions' bit rate",
		[CP_CODEC_OLD_SRTP] = "wideband is not for encrypted calls of a 7940 or 7960",
	};

	return (unsigned)why < CP_CODEC_WHY_MAX ? texts[why] : "unknown";
}

/* iLBC's packets hold frames of 20 or of 30 ms: 30 only where that was asked for. */
static uint8_t packet(enum cp_codec codec, unsigned ms)
{
	unsigned frame = codec == CP_CODEC_ILBC && ms % 30 == 0 && ms > 0 ? 30 : infos[codec].frame_ms;

	return (uint8_t)(ms < frame ? frame : ms - ms % frame);
}

int cp_codec_choose(const struct cp_codec_side *a, const struct cp_codec_side *b, const struct cp_codec_rule *rule, bool secure,
		    unsigned want_ms, struct cp_codec_choice *ret)
{
	for (unsigned i = 0; i < CP_CODEC_MAX && rule->list[i] != CP_CODEC_NONE; i++) {
		enum cp_codec codec = (enum cp_codec)rule->list[i];
		unsigned ms_a = 0, ms_b = 0, ms = want_ms;

		if (cp_codec_fits(codec, a, b, rule, secure) != CP_CODEC_OK)
			continue;
		*ret = (struct cp_codec_choice){.codec = codec,
						.number = {cp_codec_number(a, codec, &ms_a), cp_codec_number(b, codec, &ms_b)}};
		ms = ms_a < ms ? ms_a : ms;
		ms = ms_b < ms ? ms_b : ms;
		ret->packet_ms = packet(codec, ms);
		return 0;
	}
	return -ENOENT;
}
