/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What call control sees of a registered SCCP phone. Up: struct cp_call_ops, called from the event
 * loop of the shard that owns the phone. Down: cp_phone_*(), callable from any up-call or other
 * code on that loop.
 *
 * A struct cp_phone lives from ops.registered() until ops.gone() returns, and belongs to the SCCP
 * service. No down-call frees it or calls up: a phone whose connection fails in a down-call
 * (-ENOTCONN, or its write buffer is over the cap) is reported gone from the loop later. Lines
 * count from 1. Call references are call control's.
 */
#ifndef CP_SCCP_PHONE_H
#define CP_SCCP_PHONE_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

struct cp_device;
struct cp_phone;

/* What the registration proved and the device record demands: the lower of both. */
enum cp_phone_sec {
	CP_PHONE_NONSECURE,     /* TCP, or a non-secure device on TLS */
	CP_PHONE_AUTHENTICATED, /* TLS, certificate names the device; no SRTP */
	CP_PHONE_ENCRYPTED,     /* the same, with an encrypting suite: keys may be sent */
};

enum cp_phone_gone {
	CP_GONE_UNREGISTERED, /* the phone said so */
	CP_GONE_CLOSED,       /* connection ended or failed */
	CP_GONE_TIMEOUT,      /* keep-alives stopped */
	CP_GONE_REPLACED,     /* the same device registered again */
	CP_GONE_REMOVED,      /* device record deleted or changed, or the service stops */
	CP_GONE_PROTOCOL,     /* malformed frame, or its write buffer grew over the cap */
};

/* Call states of CallState (0x0111). */
enum cp_sccp_state {
	CP_SCCP_OFFHOOK = 1,
	CP_SCCP_ONHOOK = 2,
	CP_SCCP_RINGOUT = 3,
	CP_SCCP_RINGIN = 4,
	CP_SCCP_CONNECTED = 5,
	CP_SCCP_BUSY = 6,
	CP_SCCP_CONGESTION = 7,
	CP_SCCP_HOLD = 8,
	CP_SCCP_CALLWAITING = 9,
	CP_SCCP_TRANSFER = 10,
	CP_SCCP_PROCEED = 12,
	CP_SCCP_REMOTE = 13, /* in use at another phone of a shared line */
	CP_SCCP_INVALID_NUMBER = 14,
};

enum cp_sccp_calltype { CP_SCCP_INBOUND = 1, CP_SCCP_OUTBOUND = 2, CP_SCCP_FORWARD = 3 };

/* Call security status: 2 shows a shield, 3 a lock. */
enum cp_sccp_security {
	CP_SCCP_SEC_UNKNOWN = 0,
	CP_SCCP_SEC_NOT_AUTH = 1,
	CP_SCCP_SEC_AUTH = 2,
	CP_SCCP_SEC_ENCRYPTED = 3,
};

enum cp_sccp_ringer { CP_SCCP_RING_OFF = 1, CP_SCCP_RING_INSIDE = 2, CP_SCCP_RING_OUTSIDE = 3 };
enum cp_sccp_lamp {
	CP_SCCP_LAMP_OFF = 1,
	CP_SCCP_LAMP_ON = 2,
	CP_SCCP_LAMP_WINK = 3,
	CP_SCCP_LAMP_FLASH = 4,
	CP_SCCP_LAMP_BLINK = 5
};

enum cp_sccp_tone {
	CP_SCCP_TONE_DIAL = 0x21,
	CP_SCCP_TONE_BUSY = 0x23,
	CP_SCCP_TONE_RINGBACK = 0x24,
	CP_SCCP_TONE_REORDER = 0x25,
	CP_SCCP_TONE_CALLWAITING = 0x2d,
	CP_SCCP_TONE_HOLD = 0x35,
	CP_SCCP_TONE_SECURE = 0x39,
	CP_SCCP_TONE_NONSECURE = 0x49,
};

/* Soft key sets, sent by cp_phone_softkeys(). */
enum cp_sccp_keyset {
	CP_SCCP_KEYS_ONHOOK = 0,
	CP_SCCP_KEYS_CONNECTED = 1,
	CP_SCCP_KEYS_HOLD = 2,
	CP_SCCP_KEYS_RINGIN = 3,
	CP_SCCP_KEYS_OFFHOOK = 4,
	CP_SCCP_KEYS_TRANSFERABLE = 5,
	CP_SCCP_KEYS_DIGITS = 6,
	CP_SCCP_KEYS_CONFERENCE = 7,
	CP_SCCP_KEYS_RINGOUT = 8,
	CP_SCCP_KEYS_REMOTE = 10,
};

/* Soft key events, given to ops.softkey(). */
enum cp_sccp_softkey {
	CP_SCCP_KEY_REDIAL = 1,
	CP_SCCP_KEY_NEWCALL = 2,
	CP_SCCP_KEY_HOLD = 3,
	CP_SCCP_KEY_TRANSFER = 4,
	CP_SCCP_KEY_CFWDALL = 5,
	CP_SCCP_KEY_ENDCALL = 9,
	CP_SCCP_KEY_RESUME = 10,
	CP_SCCP_KEY_ANSWER = 11,
	CP_SCCP_KEY_CONFRN = 13,
	CP_SCCP_KEY_PARK = 14,
	CP_SCCP_KEY_JOIN = 15,
	CP_SCCP_KEY_MEETME = 16,
	CP_SCCP_KEY_PICKUP = 17,
	CP_SCCP_KEY_GPICKUP = 18,
	CP_SCCP_KEY_RMLSTC = 19,
	CP_SCCP_KEY_BARGE = 21,
	CP_SCCP_KEY_CONFLIST = 27,
	CP_SCCP_KEY_CBARGE = 33,
	CP_SCCP_KEY_OPICKUP = 81, /* ours: its label is text, not one of the phone's own */
	CP_SCCP_KEY_MESSAGES = 0x1000f, /* the Messages button: no soft key's number */
};

enum cp_sccp_codec {
	CP_SCCP_G711A = 2,
	CP_SCCP_G711U = 4,
	CP_SCCP_G722 = 6,
	CP_SCCP_G729 = 11,
	CP_SCCP_G729A = 12,
	CP_SCCP_G729B = 15,
	CP_SCCP_G729AB = 16,
	CP_SCCP_WIDEBAND = 25,
	CP_SCCP_ILBC = 86,
	CP_SCCP_RFC2833 = 0x101,
};

#define CP_SCCP_VER_ANY  22 /* as if a phone spoke all of the protocol */
#define CP_SCCP_CAPS_MAX 18

struct cp_sccp_cap {
	uint16_t codec;      /* enum cp_sccp_codec, and others */
	uint16_t max_frames; /* milliseconds that a packet may have; 1 for events */
};

struct cp_phone_callinfo {
	uint32_t line;
	uint32_t callref;
	uint8_t type;             /* enum cp_sccp_calltype */
	uint8_t security;         /* enum cp_sccp_security */
	uint32_t instance;        /* 0: 1 is sent */
	const char *calling_name; /* UTF-8, NULL: empty; cut at what the message holds */
	const char *calling_number;
	const char *called_name;
	const char *called_number;
	const char *orig_called_name;
	const char *orig_called_number;
	const char *last_redirect_number; /* who forwarded it last; NULL: nobody. So are the reasons: Q.931's, 0 none */
	uint32_t orig_reason, last_reason;
};

/* Parameters of one direction of a phone's audio stream. Keys: seen from the phone, see each call.
 */
struct cp_phone_media {
	uint32_t conference; /* conference id: any number, the same for both directions */
	uint32_t party;      /* pass-through party id: comes back in the acknowledgement */
	uint32_t callref;
	uint32_t codec; /* enum cp_sccp_codec */
	uint32_t packet_ms;
	uint8_t codec_mode; /* iLBC: frames of 20 or 30 ms; else 0. From version 11 on */
	uint8_t codec_pt;   /* its RTP payload type, of a codec that has none by itself; else 0 */
	uint32_t dtmf_pt;       /* RFC 2833 payload type; 0: none */
	uint8_t dscp;           /* SMT only; 46 is sent as precedence 0xB8 */
	uint8_t suite;          /* enum dp_srtp_suite; DP_SRTP_NONE: RTP */
	uint8_t key[16];        /* master key, if a suite is given */
	uint8_t salt[14];       /* master salt */
	struct cfg_addr remote; /* SMT: where the phone sends to. ORC: family selects the address
	                           type, rest advisory */
};

/* Up-calls. 'ctx' is what cp_sccp_create() was given. All are set; no phone is freed inside one. */
struct cp_call_ops {
	/* The device has registered: capabilities may not be known yet (caps comes later). */
	void (*registered)(void *ctx, struct cp_phone *phone);
	/* It no longer is. Forget 'phone': it is invalid once this returns. Sends to it are
	 * ignored. */
	void (*gone)(void *ctx, struct cp_phone *phone, enum cp_phone_gone why);
	/* line and callref are 0 if the phone did not say (old phones): the idle first line is
	 * meant. */
	void (*offhook)(void *ctx, struct cp_phone *phone, uint32_t line, uint32_t callref);
	void (*onhook)(void *ctx, struct cp_phone *phone, uint32_t line, uint32_t callref);
	/* '0'..'9', '*', '#' */
	void (*digit)(void *ctx, struct cp_phone *phone, char digit, uint32_t line,
	              uint32_t callref);
	/* A whole number was dialled on hook: checked to be digits, '*', '#', '+', A..D; not empty.
	 */
	void (*enbloc)(void *ctx, struct cp_phone *phone, const char *number, uint32_t line);
	void (*softkey)(void *ctx, struct cp_phone *phone, uint32_t event, uint32_t line,
	                uint32_t callref);
	/* Answer to cp_phone_orc(). status 0: 'media' is where the phone receives, else it is NULL.
	 * callref may be 0. */
	void (*orc_ack)(void *ctx, struct cp_phone *phone, uint32_t status,
	                const struct cfg_addr *media, uint32_t party, uint32_t callref);
	/* Answer to cp_phone_smt(): newer phones only. */
	void (*smt_ack)(void *ctx, struct cp_phone *phone, uint32_t status, uint32_t party,
	                uint32_t callref);
	void (*media_failed)(void *ctx, struct cp_phone *phone, uint32_t party, uint32_t callref);
	/* cp_phone_caps() is now known, or has changed. */
	void (*caps)(void *ctx, struct cp_phone *phone);
	/* The phone asks what a line forwards to: answered by cp_phone_forward_stat(). May be NULL: nothing. */
	void (*forward_stat)(void *ctx, struct cp_phone *phone, uint32_t line);
};

/* --- getters: what they return is valid until the phone is gone --- */

const char *cp_phone_name(const struct cp_phone *phone);
/** The device record as it is now, looked up in the store: borrowed, not to be kept. NULL: deleted
 * meanwhile. */
const struct cp_device *cp_phone_device(const struct cp_phone *phone);
/** Number of lines shown to the phone, and number and label of line 1..count (NULL: no such line).
 */
unsigned cp_phone_lines(const struct cp_phone *phone);
const char *cp_phone_line_number(const struct cp_phone *phone, unsigned line);
const char *cp_phone_line_label(const struct cp_phone *phone, unsigned line);
/** Line of a directory number on this phone, 0: none. */
unsigned cp_phone_find_line(const struct cp_phone *phone, const char *number);
enum cp_phone_sec cp_phone_security(const struct cp_phone *phone);
/** Capabilities as the phone sent them; *ret_n 0: not yet sent. */
const struct cp_sccp_cap *cp_phone_caps(const struct cp_phone *phone, unsigned *ret_n);
bool cp_phone_has_codec(const struct cp_phone *phone, uint32_t codec);
/** True if the record says that the model can do SRTP (no SCCP field says so) and security is
 * encrypted. */
bool cp_phone_srtp(const struct cp_phone *phone);
/** Address that the signalling connection comes from. */
const struct cfg_addr *cp_phone_peer(const struct cp_phone *phone);
/** Its type as it said when it registered; 0: not said. */
uint32_t cp_phone_type(const struct cp_phone *phone);
unsigned cp_phone_protocol(const struct cp_phone *phone);
/** Call control's own pointer; NULL at first. */
void cp_phone_set_user(struct cp_phone *phone, void *user);
void *cp_phone_user(const struct cp_phone *phone);

/* --- down: each queues one message. 0, -ENOTCONN (going away), -EINVAL (bad parameter, nothing
 * sent) --- */

int cp_phone_call_state(struct cp_phone *phone, enum cp_sccp_state state, uint32_t line,
                        uint32_t callref);
int cp_phone_callinfo(struct cp_phone *phone, const struct cp_phone_callinfo *info);
int cp_phone_tone(struct cp_phone *phone, enum cp_sccp_tone tone, uint32_t line, uint32_t callref);
/** The same, heard by: 0 its user, 1 the network (the other party), 2 both. */
int cp_phone_tone_to(struct cp_phone *phone, enum cp_sccp_tone tone, uint32_t direction, uint32_t line, uint32_t callref);
int cp_phone_stop_tone(struct cp_phone *phone, uint32_t line, uint32_t callref);
int cp_phone_ringer(struct cp_phone *phone, enum cp_sccp_ringer mode, uint32_t line,
                    uint32_t callref);
int cp_phone_lamp(struct cp_phone *phone, uint32_t line, enum cp_sccp_lamp mode);
/** The message lamp of a line. */
int cp_phone_mwi(struct cp_phone *phone, uint32_t line, bool on);
int cp_phone_speaker(struct cp_phone *phone, bool on);
int cp_phone_softkeys(struct cp_phone *phone, enum cp_sccp_keyset set, uint32_t line,
                      uint32_t callref);
/** timeout_s 0: until cleared. */
int cp_phone_prompt(struct cp_phone *phone, const char *text, uint32_t timeout_s, uint32_t line,
                    uint32_t callref);
int cp_phone_clear_prompt(struct cp_phone *phone, uint32_t line, uint32_t callref);
int cp_phone_dialed(struct cp_phone *phone, const char *number, uint32_t line, uint32_t callref);
/** ForwardStat: what the line forwards to, "" or NULL: nothing. */
int cp_phone_forward_stat(struct cp_phone *phone, uint32_t line, const char *all, const char *busy, const char *no_answer);
/** Bring a line's call to the front; line 0: DeactivateCallPlane. */
int cp_phone_planes(struct cp_phone *phone, uint32_t line);
/**
 * OpenReceiveChannel: the key is the one the phone RECEIVES with. -EACCES: keys given but the
 * phone's security is not CP_PHONE_ENCRYPTED; nothing is sent then. The built message is wiped
 * after use; the caller wipes 'media'.
 */
int cp_phone_orc(struct cp_phone *phone, const struct cp_phone_media *media);
/** StartMediaTransmission: the key is the one the phone SENDS with. Errors as cp_phone_orc(). */
int cp_phone_smt(struct cp_phone *phone, const struct cp_phone_media *media);
/** CloseReceiveChannel and StopMediaTransmission. */
int cp_phone_crc(struct cp_phone *phone, uint32_t conference, uint32_t party, uint32_t callref);
int cp_phone_stopmt(struct cp_phone *phone, uint32_t conference, uint32_t party, uint32_t callref);
/** ConnectionStatisticsReq; the answer is counted and logged. */
int cp_phone_stats(struct cp_phone *phone, const char *number, uint32_t callref);
/** Reset 1, restart 2, apply configuration 3. */
int cp_phone_reset(struct cp_phone *phone, uint32_t type);

#endif
