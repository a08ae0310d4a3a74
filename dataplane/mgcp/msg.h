/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MGCP messages, RFC 3435 appendix A: commands and responses, parsed into views over the input
 * without copying or allocating, and built into a fixed buffer. Knows no transport, no time, no
 * state.
 *
 * What is demanded of a message: every line ends in LF or CRLF (a cut datagram is never taken for a
 * whole one), no control characters but TAB, at most DP_MGCP_PARAM_MAX parameter lines. What is
 * not: an unknown verb, parameter, version or response code is a well-formed message; its user
 * decides.
 */
#ifndef DP_MGCP_MSG_H
#define DP_MGCP_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dp_msg.h"

#define DP_MGCP_DATAGRAM_MAX 4000 /* bytes, RFC 3435 3.5.4 */
#define DP_MGCP_PARAM_MAX    48
#define DP_MGCP_SDP_MAX      2
#define DP_MGCP_TID_MAX      999999999u
#define DP_MGCP_RANGE_MAX    16

/* A view: not terminated, lives as long as what it points into. */
struct dp_mgcp_str {
	const char *s;
	uint16_t len;
};

enum dp_mgcp_version { DP_MGCP_V_OTHER, DP_MGCP_V_0_1, DP_MGCP_V_1_0 };

/* Known parameter names. */
enum dp_mgcp_pname {
	DP_MGCP_P_OTHER = 0,
	DP_MGCP_P_A,
	DP_MGCP_P_B,
	DP_MGCP_P_C,
	DP_MGCP_P_D,
	DP_MGCP_P_E,
	DP_MGCP_P_ES,
	DP_MGCP_P_F,
	DP_MGCP_P_I,
	DP_MGCP_P_I2,
	DP_MGCP_P_K,
	DP_MGCP_P_L,
	DP_MGCP_P_LC,
	DP_MGCP_P_M,
	DP_MGCP_P_MD,
	DP_MGCP_P_N,
	DP_MGCP_P_O,
	DP_MGCP_P_P,
	DP_MGCP_P_PL,
	DP_MGCP_P_Q,
	DP_MGCP_P_R,
	DP_MGCP_P_RC,
	DP_MGCP_P_RD,
	DP_MGCP_P_RM,
	DP_MGCP_P_S,
	DP_MGCP_P_T,
	DP_MGCP_P_X,
	DP_MGCP_P_Z,
	DP_MGCP_P_Z2,
};

struct dp_mgcp_param {
	struct dp_mgcp_str name;
	struct dp_mgcp_str value; /* without blanks at either end */
	uint8_t id;               /* enum dp_mgcp_pname */
};

struct dp_mgcp_msg {
	bool command;
	uint8_t verb;    /* command: enum dp_mgcp_verb, 0 unknown */
	uint8_t version; /* command: enum dp_mgcp_version */
	uint8_t sdp_cnt;
	uint16_t code; /* response: 0..999 */
	uint16_t param_cnt;
	uint32_t tid; /* 1..DP_MGCP_TID_MAX */
	struct dp_mgcp_str verb_name;
	struct dp_mgcp_str endpoint; /* local@domain as it came */
	struct dp_mgcp_str local;    /* up to the last '@', all of it without one */
	struct dp_mgcp_str domain;   /* behind it, may be empty */
	struct dp_mgcp_str package;  /* response: behind '/', may be empty */
	struct dp_mgcp_str comment;  /* response */
	struct dp_mgcp_str sdp[DP_MGCP_SDP_MAX];
	struct dp_mgcp_param param[DP_MGCP_PARAM_MAX];
};

struct dp_mgcp_range {
	uint32_t first, last; /* 1..DP_MGCP_TID_MAX, first <= last */
};

/**
 * Parse the first message of 'buf'. 0: *ret_used is where the next piggybacked message starts, or
 * 'len'. -EBADMSG: malformed, nothing set; the rest of the datagram is of no use then.
 */
int dp_mgcp_parse(const uint8_t *buf, size_t len, struct dp_mgcp_msg *ret_msg, size_t *ret_used);

/** The first parameter of that name, borrowed from 'msg'; NULL: none. */
const struct dp_mgcp_str *dp_mgcp_param_find(const struct dp_mgcp_msg *msg, enum dp_mgcp_pname id);

/** One parameter line without its end, "R: L/hd(N)". -EBADMSG; views into 's'. */
int dp_mgcp_param_line(const char *s, size_t len, struct dp_mgcp_param *ret);

/* What a response code says of the transaction (RFC 3435 s2.4). */
enum dp_mgcp_class {
	DP_MGCP_CLASS_ACK,       /* 0xx: acknowledges a response */
	DP_MGCP_CLASS_WAIT,      /* 1xx */
	DP_MGCP_CLASS_DONE,      /* 2xx */
	DP_MGCP_CLASS_LATER,     /* 4xx: the same may succeed later */
	DP_MGCP_CLASS_PERMANENT, /* 5xx, and what the RFC leaves open */
	DP_MGCP_CLASS_PACKAGE,   /* 8xx: a package says */
};
enum dp_mgcp_class dp_mgcp_class(uint16_t code);
/** What a code means, in a few words: for response lines and for people. "" for 0, "error" and the like for one without a name. */
const char *dp_mgcp_code_text(uint16_t code);

/** K: "6234-6255, 6257". Returns the count; 0 for an empty value; -EBADMSG; ranges past 'max' are
 * left out. */
int dp_mgcp_ranges_parse(const struct dp_mgcp_str *value, struct dp_mgcp_range *ret_range,
                         uint16_t max);

/** Copy a view, printable ASCII only (others become '?'), cut to size - 1, zero-filled to 'size'.
 * True if whole. */
bool dp_mgcp_str_copy(char *dst, size_t size, const struct dp_mgcp_str *src);

/** Hex string of 1..32 digits: what C, I and X may be. */
bool dp_mgcp_id_valid(const struct dp_mgcp_str *s);

bool dp_mgcp_str_is(const struct dp_mgcp_str *s, const char *word); /* ASCII, case-insensitive */

const char *dp_mgcp_verb_name(uint8_t verb); /* "CRCX"; "????" for others */
const char *dp_mgcp_mode_name(uint8_t mode); /* "sendrecv"; NULL for NONE and others */

/* --- build --- */

/* Caller's fixed buffer; 'bad' sticks once something did not fit or was not allowed. */
struct dp_mgcp_buf {
	uint8_t *data;
	uint16_t size;
	uint16_t len;
	bool bad;
};

void dp_mgcp_buf_init(struct dp_mgcp_buf *b, uint8_t *data, uint16_t size);

/* Inline: most of a message is put in as words whose length the compiler knows. */
static inline void dp_mgcp_putn(struct dp_mgcp_buf *b, const char *s, size_t len)
{
	if (b->bad || len > (size_t)(b->size - b->len)) {
		b->bad = true;
		return;
	}
	memcpy(b->data + b->len, s, len);
	b->len = (uint16_t)(b->len + len);
}

static inline void dp_mgcp_put(struct dp_mgcp_buf *b, const char *s)
{
	dp_mgcp_putn(b, s, strlen(s));
}

void dp_mgcp_put_u32(struct dp_mgcp_buf *b, uint32_t v);

/** "CRCX 1204 aaln/1@rgw.example.net MGCP 1.0" EOL. 'local' empty is refused. */
void dp_mgcp_put_command(struct dp_mgcp_buf *b, uint8_t verb, uint32_t tid, const char *local,
                         const char *domain, bool mgcp_01);

/** "200 1204 OK" EOL: code as three digits. */
void dp_mgcp_put_response(struct dp_mgcp_buf *b, uint16_t code, uint32_t tid, const char *comment);

/** "name: value" EOL; a control character in 'value' is refused. */
void dp_mgcp_put_param(struct dp_mgcp_buf *b, const char *name, const char *value);

/** "K: 1-3, 7" EOL; n = 0: an empty K:, which asks for an acknowledgement. */
void dp_mgcp_put_ranges(struct dp_mgcp_buf *b, const struct dp_mgcp_range *range, uint16_t n);

#endif
