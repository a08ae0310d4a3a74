/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The phone's side of SCCP: frames out, frames in. Integers little-endian, addresses as octets. Layouts
 * depend on the header version; trailing fields may be missing. Pure functions, no sockets.
 */
#ifndef SIM_SCCP_H
#define SIM_SCCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "srtp.h"
#include "util.h"

#define SIM_SCCP_HDR       12    /* octets before the body: length, version, id */
#define SIM_SCCP_FRAME_MAX 16384 /* octets; a longer frame from the server ends the connection */
#define SIM_SCCP_OUT_MAX   512   /* octets: room every builder needs */

enum sim_sccp_id {
	/* from the phone */
	SIM_KEEPALIVE = 0x0000,
	SIM_REGISTER = 0x0001,
	SIM_IP_PORT = 0x0002,
	SIM_KEYPAD = 0x0003,
	SIM_ENBLOC = 0x0004,
	SIM_STIMULUS = 0x0005,
	SIM_OFFHOOK = 0x0006,
	SIM_ONHOOK = 0x0007,
	SIM_FORWARD_STAT_REQ = 0x0009,
	SIM_LINE_STAT_REQ = 0x000B,
	SIM_CONFIG_STAT_REQ = 0x000C,
	SIM_TIME_DATE_REQ = 0x000D,
	SIM_BUTTON_TEMPLATE_REQ = 0x000E,
	SIM_VERSION_REQ = 0x000F,
	SIM_CAPS_RES = 0x0010,
	SIM_ORC_ACK = 0x0022,
	SIM_STATS_RES = 0x0023,
	SIM_SOFTKEY_SET_REQ = 0x0025,
	SIM_SOFTKEY_EVENT = 0x0026,
	SIM_UNREGISTER = 0x0027,
	SIM_SOFTKEY_TEMPLATE_REQ = 0x0028,
	SIM_AVAILABLE_LINES = 0x002D,
	SIM_PORT_RES = 0x0045,
	SIM_SMT_ACK = 0x0154,
	/* to the phone */
	SIM_REGISTER_ACK = 0x0081,
	SIM_START_TONE = 0x0082,
	SIM_STOP_TONE = 0x0083,
	SIM_SET_RINGER = 0x0085,
	SIM_SET_LAMP = 0x0086,
	SIM_SET_SPEAKER = 0x0088,
	SIM_SMT = 0x008A,
	SIM_STOP_MT = 0x008B,
	SIM_CALL_INFO = 0x008F,
	SIM_FORWARD_STAT = 0x0090,
	SIM_SPEEDDIAL_STAT = 0x0091,
	SIM_LINE_STAT = 0x0092,
	SIM_CONFIG_STAT = 0x0093,
	SIM_TIME_DATE = 0x0094,
	SIM_BUTTON_TEMPLATE = 0x0097,
	SIM_VERSION = 0x0098,
	SIM_CAPS_REQ = 0x009B,
	SIM_REGISTER_REJECT = 0x009D,
	SIM_SERVER_RES = 0x009E,
	SIM_RESET = 0x009F,
	SIM_KEEPALIVE_ACK = 0x0100,
	SIM_ORC = 0x0105,
	SIM_CRC = 0x0106,
	SIM_STATS_REQ = 0x0107,
	SIM_SOFTKEY_TEMPLATE = 0x0108,
	SIM_SOFTKEY_SET = 0x0109,
	SIM_SELECT_SOFTKEYS = 0x0110,
	SIM_CALL_STATE = 0x0111,
	SIM_PROMPT = 0x0112,
	SIM_CLEAR_PROMPT = 0x0113,
	SIM_ACTIVATE_PLANE = 0x0116,
	SIM_DEACTIVATE_PLANE = 0x0117,
	SIM_UNREGISTER_ACK = 0x0118,
	SIM_DIALED_NUMBER = 0x011D,
	SIM_NOTIFY = 0x0120,
	SIM_CLEAR_NOTIFY = 0x0121,
	SIM_NOTIFY_DYN = 0x0144,
	SIM_PROMPT_DYN = 0x0145,
	SIM_LINE_STAT_DYN = 0x0147,
	SIM_CALL_INFO_DYN = 0x014A,
	SIM_PORT_REQ = 0x014B,
	SIM_PORT_CLOSE = 0x014C,
};

/* One received message. Which members count is given by the id; absent trailing fields are zero. */
struct sim_sccp_msg {
	uint32_t version, id;
	uint32_t line, callref, state; /* state: call state, tone, ringer or lamp mode, reset type, status */
	uint32_t keepalive_s, secondary_s, protocol; /* RegisterAck */
	uint32_t security, type;       /* call info: security status; 1 in, 2 out, 3 forward */
	char calling[48], called[48];  /* numbers */
	char calling_name[48], called_name[48];
	char text[104];                /* prompt, notification, number, reason */
	uint32_t line_cnt;             /* lines in a button template */
	uint32_t conference, party;    /* media messages */
	uint32_t packet_ms, codec, rfc2833;
	struct sim_addr remote;        /* StartMediaTransmission */
	struct sim_srtp_key key;
	bool key_unknown;              /* an algorithm or key length that we cannot do */
	uint32_t mode;                 /* statistics: 0 clear, 1 keep; address type wanted (PortReq) */
};

/**
 * Length of the frame that starts at data, header included: 0 while that cannot be told, -EBADMSG when the
 * length field is impossible.
 */
long sim_sccp_frame_len(const uint8_t *data, size_t len);
/** Parse one whole frame. 0, or -EBADMSG when a field is missing that its message cannot do without. */
int sim_sccp_parse(const uint8_t *frame, size_t len, struct sim_sccp_msg *ret);
/** Name of an id for events, "0x...." when we do not know it. */
const char *sim_sccp_name(uint32_t id);

struct sim_sccp_register {
	const char *name;    /* SEP + 12 hex digits */
	struct sim_addr ip;  /* IPv4, or IPv6 from version 17 */
	uint32_t device_type;
	uint32_t instance, max_streams, active_streams, line_max;
	uint8_t protocol;
	bool mac_ascii;      /* MAC as 12 ASCII digits in place of 6 octets */
	const char *load;    /* firmware name; NULL: the short form that ends at 68 octets */
};

/*
 * Builders: write a whole frame into out (SIM_SCCP_OUT_MAX octets) and return its length. 'version' is the
 * header version: 0 or the negotiated protocol.
 */
size_t sim_sccp_register(uint8_t *out, const struct sim_sccp_register *reg);
size_t sim_sccp_empty(uint8_t *out, uint32_t version, uint32_t id);
/** Messages made of n 32-bit numbers. */
size_t sim_sccp_words(uint8_t *out, uint32_t version, uint32_t id, const uint32_t *words, size_t n);
size_t sim_sccp_caps(uint8_t *out, uint32_t version, const uint32_t (*caps)[2], size_t n);
size_t sim_sccp_enbloc(uint8_t *out, uint32_t version, const char *number, uint32_t line);
size_t sim_sccp_orc_ack(uint8_t *out, uint32_t version, uint32_t status, const struct sim_addr *local,
			uint32_t party, uint32_t callref);
size_t sim_sccp_smt_ack(uint8_t *out, uint32_t version, uint32_t status, const struct sim_addr *local,
			uint32_t conference, uint32_t party, uint32_t callref);
size_t sim_sccp_port_res(uint8_t *out, uint32_t version, const struct sim_addr *local, uint32_t conference,
			 uint32_t party, uint32_t callref);
/** stats: packets sent, octets sent, packets received, octets received, lost, jitter, latency. */
size_t sim_sccp_stats(uint8_t *out, uint32_t version, const char *number, uint32_t callref, uint32_t mode,
		      const uint32_t stats[7]);

#endif
