/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Codec of the SCCP (Skinny) messages that this server uses. parse: what a phone sends, read
 * through a bounded cursor; a missing trailing field reads as absent (0), surplus bytes are
 * ignored, a field that decides something and is missing is -EBADMSG. build: what a phone is sent,
 * in the layout of its header version. Integers are little-endian on the wire and host order here;
 * addresses keep network order. No state, no clock.
 *
 * Frame: length u32 (of id and body, 4 or more), header version u32, message id u32, body.
 */
#ifndef CP_SCCP_MSG_H
#define CP_SCCP_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "phone.h"

#define CP_SCCP_HDR       12   /* bytes before the body */
#define CP_SCCP_LEN_MIN   4    /* of the length field */
#define CP_SCCP_LEN_MAX   4096 /* accepted from phones */
#define CP_SCCP_FRAME_MAX (CP_SCCP_LEN_MAX + 8)
#define CP_SCCP_BUILD_MAX 1024 /* room that any cp_sccp_build_*() needs */
#define CP_SCCP_VER_MAX   22   /* highest protocol version spoken */

enum cp_sccp_id {
	/* from the phone */
	CP_SCCP_KEEPALIVE = 0x0000,
	CP_SCCP_REGISTER = 0x0001,
	CP_SCCP_IP_PORT = 0x0002,
	CP_SCCP_KEYPAD = 0x0003,
	CP_SCCP_ENBLOC = 0x0004,
	CP_SCCP_STIMULUS = 0x0005,
	CP_SCCP_OFF_HOOK = 0x0006,
	CP_SCCP_ON_HOOK = 0x0007,
	CP_SCCP_FORWARD_STAT_REQ = 0x0009,
	CP_SCCP_SPEED_DIAL_STAT_REQ = 0x000a,
	CP_SCCP_LINE_STAT_REQ = 0x000b,
	CP_SCCP_CONFIG_STAT_REQ = 0x000c,
	CP_SCCP_TIME_DATE_REQ = 0x000d,
	CP_SCCP_BUTTON_TEMPLATE_REQ = 0x000e,
	CP_SCCP_VERSION_REQ = 0x000f,
	CP_SCCP_CAPABILITIES_RES = 0x0010,
	CP_SCCP_SERVER_REQ = 0x0012,
	CP_SCCP_ALARM = 0x0020,
	CP_SCCP_ORC_ACK = 0x0022,
	CP_SCCP_STATISTICS_RES = 0x0023,
	CP_SCCP_SOFTKEY_SET_REQ = 0x0025,
	CP_SCCP_SOFTKEY_EVENT = 0x0026,
	CP_SCCP_UNREGISTER = 0x0027,
	CP_SCCP_SOFTKEY_TEMPLATE_REQ = 0x0028,
	CP_SCCP_TOKEN_REQ = 0x0029,
	CP_SCCP_MEDIA_FAILURE = 0x002a,
	CP_SCCP_HEADSET = 0x002b,
	CP_SCCP_AVAILABLE_LINES = 0x002d,
	CP_SCCP_UPDATE_CAPS1 = 0x0030,
	CP_SCCP_UPDATE_CAPS2 = 0x0043,
	CP_SCCP_UPDATE_CAPS3 = 0x0044,
	CP_SCCP_SMT_ACK = 0x0154,
	CP_SCCP_XML_ALARM = 0x015a,
	/* to the phone */
	CP_SCCP_REGISTER_ACK = 0x0081,
	CP_SCCP_START_TONE = 0x0082,
	CP_SCCP_STOP_TONE = 0x0083,
	CP_SCCP_SET_RINGER = 0x0085,
	CP_SCCP_SET_LAMP = 0x0086,
	CP_SCCP_SET_SPEAKER = 0x0088,
	CP_SCCP_SMT = 0x008a,
	CP_SCCP_STOP_MT = 0x008b,
	CP_SCCP_CALL_INFO = 0x008f,
	CP_SCCP_FORWARD_STAT = 0x0090,
	CP_SCCP_SPEED_DIAL_STAT = 0x0091,
	CP_SCCP_LINE_STAT = 0x0092,
	CP_SCCP_CONFIG_STAT = 0x0093,
	CP_SCCP_TIME_DATE = 0x0094,
	CP_SCCP_BUTTON_TEMPLATE = 0x0097,
	CP_SCCP_VERSION = 0x0098,
	CP_SCCP_CAPABILITIES_REQ = 0x009b,
	CP_SCCP_REGISTER_REJECT = 0x009d,
	CP_SCCP_SERVER_RES = 0x009e,
	CP_SCCP_RESET = 0x009f,
	CP_SCCP_KEEPALIVE_ACK = 0x0100,
	CP_SCCP_ORC = 0x0105,
	CP_SCCP_CLOSE_RECEIVE = 0x0106,
	CP_SCCP_STATISTICS_REQ = 0x0107,
	CP_SCCP_SOFTKEY_TEMPLATE = 0x0108,
	CP_SCCP_SOFTKEY_SET = 0x0109,
	CP_SCCP_SELECT_SOFTKEYS = 0x0110,
	CP_SCCP_CALL_STATE = 0x0111,
	CP_SCCP_PROMPT = 0x0112,
	CP_SCCP_CLEAR_PROMPT = 0x0113,
	CP_SCCP_ACTIVATE_PLANE = 0x0116,
	CP_SCCP_DEACTIVATE_PLANE = 0x0117,
	CP_SCCP_UNREGISTER_ACK = 0x0118,
	CP_SCCP_TOKEN_ACK = 0x011a,
	CP_SCCP_TOKEN_REJECT = 0x011b,
	CP_SCCP_DIALED_NUMBER = 0x011d,
	CP_SCCP_PROMPT_DYN = 0x0145,
	CP_SCCP_LINE_STAT_DYN = 0x0147,
	CP_SCCP_CALL_INFO_DYN = 0x014a,
};

/* One whole frame; body points into the caller's buffer. */
struct cp_sccp_frame {
	uint32_t version;
	uint32_t id;
	const uint8_t *body;
	size_t len; /* of body */
};

/**
 * Size of the frame that begins at 'buf'. 0: *ret_total is set (header and body). -EAGAIN: fewer
 * than 4 bytes. -EBADMSG: length field outside CP_SCCP_LEN_MIN..MAX.
 */
int cp_sccp_frame_len(const uint8_t *buf, size_t have, size_t *ret_total);

/** Split a whole frame of exactly 'len' bytes. 0 or -EBADMSG. */
int cp_sccp_frame_parse(const uint8_t *buf, size_t len, struct cp_sccp_frame *ret_frame);

#define CP_SCCP_NAME_MAX   16 /* device name, with NUL */
#define CP_SCCP_NUMBER_MAX 26 /* directory number, with NUL */
#define CP_SCCP_TEXT_MAX   601

struct cp_sccp_register {
	char name[CP_SCCP_NAME_MAX + 1]; /* not checked: any bytes up to the first NUL */
	uint32_t instance;
	uint8_t ip[4];
	uint32_t type;
	uint32_t max_streams;
	uint8_t protocol;    /* highest the phone speaks; 3 if it did not say */
	uint8_t features[3]; /* bytes 41..43 of the body */
	uint32_t max_lines;
	char load[33];
};

/* Features of the phone, in features[] (after chan-sccp, which real phones' bits agree with). */
#define CP_SCCP_FEAT1_UTF8    0x10 /* features[1] */
#define CP_SCCP_FEAT2_DYNAMIC 0x01 /* features[2]: understands dynamic messages */

struct cp_sccp_hook { /* OffHook, OnHook: 0 where absent */
	uint32_t line, callref;
};

struct cp_sccp_softkey_event {
	uint32_t event, line, callref;
};

struct cp_sccp_keypad {
	char digit;
	uint32_t line, callref;
};

struct cp_sccp_enbloc {
	char number[CP_SCCP_NUMBER_MAX];
	uint32_t line;
};

struct cp_sccp_stimulus {
	uint32_t stimulus, instance, callref, status;
};

struct cp_sccp_caps {
	unsigned n;
	struct cp_sccp_cap cap[CP_SCCP_CAPS_MAX];
};

struct cp_sccp_media_ack { /* OpenReceiveChannelAck, StartMediaTransmissionAck */
	uint32_t status;
	struct cfg_addr addr; /* family 0: none or not usable */
	uint32_t conference;  /* SMT only */
	uint32_t party, callref;
};

struct cp_sccp_media_failure {
	uint32_t conference, party, callref;
};

struct cp_sccp_quality {
	char number[CP_SCCP_NUMBER_MAX];
	uint32_t callref, mode;
	uint32_t tx_pkts, tx_bytes, rx_pkts, rx_bytes, lost, jitter, latency;
	char quality[CP_SCCP_TEXT_MAX]; /* may hold any bytes but NUL */
};

struct cp_sccp_alarm {
	uint32_t severity;
	char text[81]; /* any bytes but NUL */
	uint32_t param1, param2;
};

int cp_sccp_parse_register(const struct cp_sccp_frame *f, struct cp_sccp_register *ret);
/** RegisterTokenReq: name, type and address only. */
int cp_sccp_parse_token(const struct cp_sccp_frame *f, struct cp_sccp_register *ret);
/** A body that is one u32 (LineStatReq and its kind). */
int cp_sccp_parse_u32(const struct cp_sccp_frame *f, uint32_t *ret);
int cp_sccp_parse_hook(const struct cp_sccp_frame *f, struct cp_sccp_hook *ret);
int cp_sccp_parse_softkey(const struct cp_sccp_frame *f, struct cp_sccp_softkey_event *ret);
int cp_sccp_parse_keypad(const struct cp_sccp_frame *f, struct cp_sccp_keypad *ret);
int cp_sccp_parse_enbloc(const struct cp_sccp_frame *f, struct cp_sccp_enbloc *ret);
int cp_sccp_parse_stimulus(const struct cp_sccp_frame *f, struct cp_sccp_stimulus *ret);
/** CapabilitiesRes and the three updated forms. A count that the body does not hold is -EBADMSG. */
int cp_sccp_parse_caps(const struct cp_sccp_frame *f, struct cp_sccp_caps *ret);
int cp_sccp_parse_orc_ack(const struct cp_sccp_frame *f, struct cp_sccp_media_ack *ret);
int cp_sccp_parse_smt_ack(const struct cp_sccp_frame *f, struct cp_sccp_media_ack *ret);
int cp_sccp_parse_media_failure(const struct cp_sccp_frame *f, struct cp_sccp_media_failure *ret);
/** ConnectionStatisticsRes; the three layouts seen are told apart by version and length. */
int cp_sccp_parse_stats(const struct cp_sccp_frame *f, struct cp_sccp_quality *ret);
int cp_sccp_parse_alarm(const struct cp_sccp_frame *f, struct cp_sccp_alarm *ret);

/*
 * Building. 'buf' has CP_SCCP_BUILD_MAX bytes; the return value is the frame's size, always > 0 for
 * the inputs allowed. 'ver' is the negotiated protocol version; the header carries it from 10 on,
 * else 0. Strings are cut to their field, at a UTF-8 boundary; NULL is empty.
 */

/** Protocol to use with a phone that speaks up to 'phone': one that WS lists, at most
 * CP_SCCP_VER_MAX. */
unsigned cp_sccp_negotiate(unsigned phone);

size_t cp_sccp_build_empty(uint8_t *buf, unsigned ver, uint32_t id);
/** A body of 'n' <= 8 words. */
size_t cp_sccp_build_words(uint8_t *buf, unsigned ver, uint32_t id, const uint32_t *words,
                           unsigned n);
size_t cp_sccp_build_register_ack(uint8_t *buf, unsigned ver, uint32_t keepalive_s,
                                  const char *date, uint32_t secondary_s);
size_t cp_sccp_build_register_reject(uint8_t *buf, const char *text);

struct cp_sccp_button {
	uint8_t instance, type; /* type: 9 line, 2 speed dial */
};
#define CP_SCCP_BUTTONS     42
#define CP_SCCP_BUTTON_LINE 9
size_t cp_sccp_build_button_template(uint8_t *buf, unsigned ver, const struct cp_sccp_button *b,
                                     unsigned n);
/** The soft keys known here: the table is constant, see msg_ui.c. */
size_t cp_sccp_build_softkey_template(uint8_t *buf, unsigned ver);
size_t cp_sccp_build_softkey_sets(uint8_t *buf, unsigned ver);
size_t cp_sccp_build_config_stat(uint8_t *buf, unsigned ver, const char *name, uint32_t instance,
                                 const char *user, const char *server, uint32_t lines,
                                 uint32_t speed_dials);
size_t cp_sccp_build_line_stat(uint8_t *buf, unsigned ver, bool dynamic, uint32_t line,
                               const char *number, const char *name, const char *label);
/** to: all, busy, no answer; NULL or "": not forwarded. */
size_t cp_sccp_build_forward_stat(uint8_t *buf, unsigned ver, uint32_t line, const char *const to[3]);
size_t cp_sccp_build_speed_dial_stat(uint8_t *buf, unsigned ver, uint32_t num, const char *number,
                                     const char *name);
/** 'now' is Unix time in UTC, 'ms' below 1000; tz_off_s is what local time is ahead of UTC. */
size_t cp_sccp_build_time_date(uint8_t *buf, unsigned ver, int64_t now, uint32_t ms,
                               int32_t tz_off_s);
size_t cp_sccp_build_version(uint8_t *buf, unsigned ver, const char *load);
size_t cp_sccp_build_server_res(uint8_t *buf, unsigned ver, const char *name,
                                const struct cfg_addr *addr);
size_t cp_sccp_build_prompt(uint8_t *buf, unsigned ver, bool dynamic, const char *text,
                            uint32_t timeout_s, uint32_t line, uint32_t callref);
size_t cp_sccp_build_dialed(uint8_t *buf, unsigned ver, const char *number, uint32_t line,
                            uint32_t callref);
/** alt_calling: write the alternate calling number, which sources disagree about (dynamic form
 * only). */
size_t cp_sccp_build_callinfo(uint8_t *buf, unsigned ver, bool dynamic, bool alt_calling,
                              const struct cp_phone_callinfo *info);
size_t cp_sccp_build_statistics_req(uint8_t *buf, unsigned ver, const char *number,
                                    uint32_t callref, uint32_t mode);
/** Key material passes through 'buf': the caller wipes it. 0 if the suite or address is not
 * possible. */
size_t cp_sccp_build_orc(uint8_t *buf, unsigned ver, const struct cp_phone_media *m);
size_t cp_sccp_build_smt(uint8_t *buf, unsigned ver, const struct cp_phone_media *m);

/** SCCP algorithm number of an enum dp_srtp_suite: 0 none, 1 SHA1_32, 2 SHA1_80, 5 AEAD_AES_128_GCM;
 * -EINVAL for others. */
int cp_sccp_algorithm(unsigned suite);

#endif
