/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which codec two parties speak: what both can, in the order and below the bit rate that the regions' rule says. Nothing is
 * transcoded here, so both directions and both legs have the same one. Pure functions.
 *
 * SCCP has a number for each codec and four for G.729: 11 and 12 (annex A) send the same packets, 15 and 16 (annex B) may leave
 * some out in silence. Phones are told not to (StartMediaTransmission: no silence suppression), so that all four understand each
 * other; each phone is told a number that it announced.
 */
#ifndef CP_CODEC_H
#define CP_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sccp/phone.h"

enum cp_codec {
	CP_CODEC_NONE,
	CP_CODEC_G711U,
	CP_CODEC_G711A,
	CP_CODEC_G722,
	CP_CODEC_G729,
	CP_CODEC_ILBC,
	CP_CODEC_WIDEBAND, /* the vendor's own: 16 bit, 16 kHz */
	CP_CODEC_MAX
};

struct cp_codec_info {
	const char *name;  /* "g711ulaw", as operators write it */
	uint16_t kbps;     /* of the voice, without headers */
	uint8_t frame_ms;  /* packets hold whole frames */
	uint8_t pt;        /* RTP payload type that we declare */
	uint8_t audio;     /* enum dp_audio; NONE: no gateway does it */
	uint8_t dp;        /* enum dp_codec, of the dataplane's statistics */
	uint32_t clock_hz; /* of RTP's time stamps: 8000 for G.722 too (RFC 3551 s4.5.2) */
};

/** NULL for CP_CODEC_NONE and what is none. */
const struct cp_codec_info *cp_codec_info(enum cp_codec codec);
/** By operators' name, in any case; CP_CODEC_NONE: there is none. */
enum cp_codec cp_codec_parse(const char *name);
/** What an SCCP number (enum cp_sccp_codec) stands for, and what a description's codec (enum dp_audio) is. */
enum cp_codec cp_codec_of_sccp(uint32_t number);
enum cp_codec cp_codec_of_audio(unsigned audio);
/** "G.729", of an SCCP number; "none" for 0 or one that is not done here. */
const char *cp_codec_sccp_name(uint32_t number);

/* One party. A gateway's codecs are not known before it answers: it may do all that have a place in SDP. */
struct cp_codec_side {
	const struct cp_sccp_cap *caps; /* as the phone announced them, in its order */
	unsigned cap_cnt;
	bool gateway;
	bool old_srtp;    /* 7940, 7960 */
	unsigned version; /* of SCCP: before 11 a phone cannot be told iLBC's payload type */
	uint32_t only;    /* other than 0: the one codec (SCCP number) that it is set to, and cannot leave */
};

/* What the regions' rule says: store/region.h. */
struct cp_codec_rule {
	uint8_t list[CP_CODEC_MAX]; /* enum cp_codec, best first; NONE ends it */
	uint32_t max_kbps;
};

enum cp_codec_why { /* why a codec is passed over */
	CP_CODEC_OK,
	CP_CODEC_NOT_A,      /* the first party cannot */
	CP_CODEC_NOT_B,
	CP_CODEC_NOT_LISTED, /* in the rule */
	CP_CODEC_TOO_WIDE,   /* over the rule's bit rate */
	CP_CODEC_OLD_SRTP,   /* 001:P1-130: wideband in an encrypted call of a 7940 or 7960 */
	CP_CODEC_WHY_MAX
};

struct cp_codec_choice {
	enum cp_codec codec;
	uint32_t number[2]; /* SCCP's, for each party */
	uint8_t packet_ms;  /* of both directions */
};

/** The order where no rule says another, all of them. */
extern const uint8_t cp_codec_order[CP_CODEC_MAX];
#define CP_CODEC_KBPS 64 /* where no rule says another */

/** May this one be spoken between the two? 'secure': the call will be SRTP. */
enum cp_codec_why cp_codec_fits(enum cp_codec codec, const struct cp_codec_side *a, const struct cp_codec_side *b,
				const struct cp_codec_rule *rule, bool secure);
/** "the first party cannot", ... */
const char *cp_codec_why_text(enum cp_codec_why why);

/**
 * The best that fits, its numbers, and packets of 'want_ms' at most: the largest multiple of its frame that both take, one frame
 * at least. 0, or -ENOENT: they have none in common.
 */
int cp_codec_choose(const struct cp_codec_side *a, const struct cp_codec_side *b, const struct cp_codec_rule *rule, bool secure,
		    unsigned want_ms, struct cp_codec_choice *ret);

/** The number that a party is told for a codec; 0: it has none. *ret_ms (may be NULL): the longest packet that it takes. */
uint32_t cp_codec_number(const struct cp_codec_side *side, enum cp_codec codec, unsigned *ret_ms);

#endif
