/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The channel between controlplane and dataplane: an AF_UNIX SOCK_SEQPACKET socket, RUN/dataplane.sock, mode
 * 0600, one controlplane at a time. A datagram holds one or more messages back to back; each begins with
 * struct dp_msg_hdr, has a fixed size given by its type, and is checked field by field before use. Every
 * command is answered by one message with the same seq: DP_MSG_REPLY, or its own reply type. Events carry
 * seq 0. Integers are in host order (both ends are on one machine), addresses in network order.
 *
 * Errors in replies are negative errno values: -EBADMSG malformed field, -ENOENT no such object, -EPROTO
 * wrong state (no HELLO yet), -ENOSPC table full, -EAGAIN ring full: try again.
 */
#ifndef DP_MSG_H
#define DP_MSG_H

#include <assert.h>
#include <stdint.h>

#define DP_MSG_VERSION      1
#define DP_MSG_DATAGRAM_MAX 32768 /* bytes */

#define DP_SHARDS          64
#define DP_PORTS_PER_ADDR  16384
#define DP_PORTS_PER_SHARD 256
#define DP_LEGS_PER_ADDR   (DP_PORTS_PER_ADDR / 2)
#define DP_MEDIA_ADDR_MAX  64
#define DP_LEG_MAX         (DP_MEDIA_ADDR_MAX * DP_LEGS_PER_ADDR)

/*
 * A leg's identifier is its local address: index of the media address in the configuration (media.addresses),
 * and the even RTP port. RTCP is on port + 1 or multiplexed. The shard is bits 7..12 of the identifier.
 */
#define DP_LEG_ID(addr_idx, port, base) \
	((uint32_t)(addr_idx) * DP_LEGS_PER_ADDR + ((uint32_t)(port) - (uint32_t)(base)) / 2)
#define DP_LEG_ADDR(leg_id)       ((leg_id) / DP_LEGS_PER_ADDR)
#define DP_LEG_PORT(leg_id, base) ((uint16_t)((base) + ((leg_id) % DP_LEGS_PER_ADDR) * 2))
#define DP_LEG_SHARD(leg_id)      (((leg_id) % DP_LEGS_PER_ADDR) * 2 / DP_PORTS_PER_SHARD)

enum dp_msg_type {
	/* commands */
	DP_MSG_HELLO = 1,  /* dp_hello       -> DP_MSG_HELLO_REPLY, with the counter page's descriptor */
	DP_MSG_LEG_SET,    /* dp_leg_set     idempotent; both legs of a session name each other */
	DP_MSG_LEG_KEY,    /* dp_leg_key     idempotent: the same key keeps ROC and window */
	DP_MSG_LEG_DEL,    /* dp_obj         */
	DP_MSG_SA_SET,     /* dp_sa_set      idempotent: the same SPI and key keeps sequence and window */
	DP_MSG_SA_GRANT,   /* dp_sa_grant    raises the sequence limit of an outbound SA */
	DP_MSG_SA_DEL,     /* dp_obj         */
	DP_MSG_GW_SET,     /* dp_gw_set      idempotent; running transactions go on */
	DP_MSG_GW_DEL,     /* dp_obj         running transactions end with -ECANCELED */
	DP_MSG_MGCP_CMD,   /* dp_mgcp_cmd    accepted: one DP_MSG_MGCP_DONE will follow */
	DP_MSG_MGCP_ACK,   /* dp_mgcp_ack    answers a DP_MSG_MGCP_EVENT */
	DP_MSG_ADOPT,      /* dp_obj         takes an object into the connection's epoch without its keys */
	DP_MSG_SWEEP,      /* dp_sweep       removes every object of another epoch */
	/* replies */
	DP_MSG_REPLY = 64,   /* dp_reply */
	DP_MSG_HELLO_REPLY,  /* dp_hello_reply */
	/* events */
	DP_MSG_LEG_AGED = 96, /* dp_leg_aged: the leg is gone */
	DP_MSG_MGCP_DONE,     /* dp_mgcp_done */
	DP_MSG_MGCP_EVENT,    /* dp_mgcp_event */
	DP_MSG_SA_EVENT,      /* dp_sa_event */
};

struct dp_msg_hdr {
	uint16_t type; /* enum dp_msg_type */
	uint16_t len;  /* bytes of the whole message, header included; fixed by the type */
	uint32_t seq;  /* chosen by the sender of a command, above 0; repeated in the answer */
};

struct dp_sockaddr {
	uint8_t ip[16];  /* IPv4 in the first four, rest zero */
	uint16_t port;   /* host order */
	uint8_t family;  /* 4, 6, or 0: none */
	uint8_t zero[5];
};
static_assert(sizeof(struct dp_sockaddr) == 24, "wire format");

struct dp_hello {
	struct dp_msg_hdr hdr;
	uint32_t version; /* DP_MSG_VERSION */
	uint32_t zero;
	uint64_t epoch;   /* of the controlplane's start: random, never 0 */
};

struct dp_hello_reply {
	struct dp_msg_hdr hdr;
	int32_t rc;
	uint32_t version;
	uint64_t boot_id;      /* of the dataplane's start */
	uint64_t last_epoch;   /* of the controlplane before; 0: none since the start */
	uint64_t page_size;    /* bytes of the counter page */
	uint32_t worker_cnt;
	uint32_t media_addr_cnt; /* must equal what the controlplane has configured */
	uint32_t leg_cnt, sa_cnt, gw_cnt; /* objects alive */
	uint16_t base_port;
	uint8_t zero[2];
};
static_assert(sizeof(struct dp_hello_reply) == 64, "wire format");

struct dp_reply {
	struct dp_msg_hdr hdr;
	int32_t rc;      /* 0 or negative errno */
	uint32_t detail; /* offset of the offending field for -EBADMSG, else 0 */
};

enum dp_obj_kind { DP_OBJ_LEG = 1, DP_OBJ_SA, DP_OBJ_GW };

struct dp_obj { /* LEG_DEL, SA_DEL, GW_DEL, ADOPT */
	struct dp_msg_hdr hdr;
	uint32_t id;
	uint8_t kind; /* enum dp_obj_kind; must fit the type */
	uint8_t zero[3];
};

struct dp_sweep {
	struct dp_msg_hdr hdr;
	uint64_t epoch; /* must be the connection's */
};

/* --- media --- */

enum dp_srtp_suite {
	DP_SRTP_NONE = 0, /* RTP */
	DP_AES_CM_128_HMAC_SHA1_80,
	DP_AES_CM_128_HMAC_SHA1_32,
	DP_SRTP_SUITE_MAX
};
#define DP_SRTP_KEY_MAX  32
#define DP_SRTP_SALT_MAX 14

enum dp_dir { DP_DIR_RECV = 0, DP_DIR_SEND = 1 }; /* seen from the appliance */

enum dp_latch {
	DP_LATCH_NONE = 0,  /* only the signalled address and port */
	DP_LATCH_AUTH,      /* secure legs: any source, once a packet of it authenticated */
	DP_LATCH_ADDRESS,   /* plain legs: any port of the signalled address, first packet wins */
	DP_LATCH_ANY,       /* plain legs, by explicit configuration: first source wins */
	DP_LATCH_MAX
};

enum {
	DP_LEG_F_RTCP_MUX = 1 << 0, /* RTCP on the RTP port (RFC 5761) */
	DP_LEG_F_RECV = 1 << 1,     /* media from the party is wanted */
	DP_LEG_F_SEND = 1 << 2,     /* media to the party is wanted */
	DP_LEG_F_ALL = (1 << 3) - 1,
};

/* A leg, without its keys. A secure leg (suite != NONE) passes nothing in a direction before its key came. */
struct dp_leg_set {
	struct dp_msg_hdr hdr;
	uint32_t leg_id;      /* DP_LEG_ID of its local address and port */
	uint32_t peer_id;     /* the session's other leg, same shard; UINT32_MAX: none yet */
	uint64_t session;     /* the controlplane's number of the call; shown, not interpreted */
	uint32_t idle_s;      /* age out after so long without an accepted packet; 0: never */
	uint8_t rx_suite;     /* enum dp_srtp_suite: what the party sends */
	uint8_t tx_suite;     /* what it is sent */
	uint8_t latch;        /* enum dp_latch */
	uint8_t flags;        /* DP_LEG_F_* */
	struct dp_sockaddr remote;      /* RTP; family 0: not known yet, sends nothing */
	struct dp_sockaddr remote_rtcp; /* family 0: remote, port + 1 (or multiplexed) */
	uint8_t dscp;         /* 0..63 on what is sent to the party; 46 EF */
	uint8_t zero[7];
};
static_assert(sizeof(struct dp_leg_set) == 88, "wire format");

/* Key of one direction of a leg. The receiver wipes the message after use. RFC 3711. */
struct dp_leg_key {
	struct dp_msg_hdr hdr;
	uint32_t leg_id;
	uint8_t suite;        /* enum dp_srtp_suite, not NONE: gives the lengths of key and salt */
	uint8_t dir;          /* enum dp_dir */
	uint8_t mki_len;      /* 0: no MKI; others are refused for now */
	uint8_t zero;
	uint32_t mki;
	uint32_t ssrc;        /* 0: any; else index_floor is for this SSRC */
	uint64_t index_floor; /* send: 48-bit index above which the key may be used; receive: highest accepted
	                       * before a restart, what is at or below it is stale. 0: fresh key */
	uint64_t rtcp_floor;  /* the same for SRTCP, 31 bits */
	uint8_t key[DP_SRTP_KEY_MAX];   /* master key, zero-filled */
	uint8_t salt[DP_SRTP_SALT_MAX]; /* master salt, zero-filled */
	uint8_t zero2[2];
};
static_assert(sizeof(struct dp_leg_key) == 88, "wire format");

struct dp_leg_aged {
	struct dp_msg_hdr hdr;
	uint32_t leg_id;
	uint32_t idle_s;
	uint64_t session;
};

/* --- IPsec --- */

#define DP_SA_MAX 4096
enum dp_esp_alg {
	DP_ESP_AES_GCM_128 = 1,        /* RFC 4106, 16-byte ICV; key 16, salt 4 */
	DP_ESP_AES_CBC_128_SHA1_96,    /* RFC 3602, RFC 2404; cipher key 16, authentication key 20 */
	DP_ESP_ALG_MAX
};
enum dp_esp_mode { DP_ESP_TUNNEL = 1, DP_ESP_TRANSPORT, DP_ESP_MODE_MAX };

struct dp_sa_set {
	struct dp_msg_hdr hdr;
	uint32_t sa_id;      /* below DP_SA_MAX, chosen by the controlplane */
	uint32_t spi;        /* host order, above 255; inbound: low 6 bits are the shard */
	uint32_t gw_id;      /* the gateway whose MGCP this SA carries; UINT32_MAX: none */
	uint8_t dir;         /* enum dp_dir: RECV inbound, SEND outbound */
	uint8_t alg;         /* enum dp_esp_alg */
	uint8_t mode;        /* enum dp_esp_mode */
	uint8_t esn;         /* 1: extended sequence numbers */
	struct dp_sockaddr local;  /* outer addresses; ports above 0: UDP encapsulation (RFC 3948) */
	struct dp_sockaddr remote;
	struct dp_sockaddr sel_local;  /* inner selector: address, port 0 any; family 0: as outer */
	struct dp_sockaddr sel_remote;
	uint8_t sel_local_plen, sel_remote_plen; /* prefix lengths */
	uint8_t sel_proto;   /* inner protocol; 0 any */
	uint8_t shard;       /* below DP_SHARDS: whose worker owns it */
	uint32_t replay_window; /* inbound: packets, 64 to 192; 0: 192 */
	uint64_t seq_floor;  /* outbound: last number that may have been used; inbound: highest accepted */
	uint64_t seq_limit;  /* outbound: highest number that may be used until SA_GRANT raises it */
	uint64_t hard_bytes, hard_s; /* lifetime, 0: none */
	uint8_t key[32];     /* cipher key, zero-filled */
	uint8_t auth[20];    /* authentication key; GCM: salt in the first 4 */
	uint8_t zero[4];
};
static_assert(sizeof(struct dp_sa_set) == 216, "wire format");

struct dp_sa_grant {
	struct dp_msg_hdr hdr;
	uint32_t sa_id;
	uint32_t spi;
	uint64_t seq_limit;
};

enum dp_sa_event_kind { DP_SA_WANT_GRANT = 1, DP_SA_HARD_EXPIRED, DP_SA_EXHAUSTED };
struct dp_sa_event {
	struct dp_msg_hdr hdr;
	uint32_t sa_id;
	uint32_t spi;
	uint32_t kind; /* enum dp_sa_event_kind */
	uint32_t zero;
	uint64_t seq;  /* last used */
};

/* --- MGCP --- */

#define DP_GW_MAX          16384
#define DP_MGCP_NAME_MAX   64 /* bytes, with the terminating zero; so are the others */
#define DP_MGCP_ID_MAX     33 /* call, connection and request identifiers: up to 32 hex digits */
#define DP_MGCP_EVENTS_MAX 96
#define DP_MGCP_OBS_MAX    128

enum {
	DP_GW_F_KEYS_CLEAR = 1 << 0, /* mgcp.keys_without_ipsec: allow - keys may go in clear */
	DP_GW_F_CLEAR = 1 << 1,      /* commands without keys may go in clear when no SA covers the gateway */
	DP_GW_F_X_CRYPTO = 1 << 2,   /* write a=X-crypto (old form) instead of a=crypto */
	DP_GW_F_MGCP_01 = 1 << 3,    /* "MGCP 0.1" instead of "MGCP 1.0" */
	DP_GW_F_ALL = (1 << 4) - 1,
};

struct dp_gw_set {
	struct dp_msg_hdr hdr;
	uint32_t gw_id;           /* below DP_GW_MAX */
	uint8_t shard;            /* below DP_SHARDS */
	uint8_t flags;            /* DP_GW_F_* */
	uint8_t zero[2];
	struct dp_sockaddr remote; /* the gateway's MGCP address */
	struct dp_sockaddr local;  /* ours: a dataplane address */
	char domain[DP_MGCP_NAME_MAX]; /* endpoint names are local@domain */
};

enum dp_mgcp_verb {
	DP_MGCP_EPCF = 1,
	DP_MGCP_CRCX,
	DP_MGCP_MDCX,
	DP_MGCP_DLCX,
	DP_MGCP_RQNT,
	DP_MGCP_NTFY,
	DP_MGCP_AUEP,
	DP_MGCP_AUCX,
	DP_MGCP_RSIP,
	DP_MGCP_VERB_MAX
};

enum dp_mgcp_mode { /* M: */
	DP_MGCP_M_NONE,
	DP_MGCP_M_SENDONLY,
	DP_MGCP_M_RECVONLY,
	DP_MGCP_M_SENDRECV,
	DP_MGCP_M_INACTIVE,
	DP_MGCP_M_LOOPBACK,
	DP_MGCP_M_CONTTEST,
	DP_MGCP_M_CONFRNCE,
	DP_MGCP_M_NETWLOOP,
	DP_MGCP_M_NETWTEST,
	DP_MGCP_M_MAX
};

/* One media description, as it goes into or comes out of SDP. */
struct dp_mgcp_media {
	struct dp_sockaddr addr; /* c= and m=; family 0: no description */
	uint8_t suite;           /* enum dp_srtp_suite; NONE: RTP/AVP */
	uint8_t pt;              /* RTP payload type: 0 PCMU, 8 PCMA, 18 G729 */
	uint8_t ptime_ms;        /* 0: not said */
	uint8_t telephone_event; /* payload type of RFC 2833 events, 0: none */
	uint8_t tag;             /* of a=crypto, 1..255; 0 with a=X-crypto */
	uint8_t zero[5];
	uint8_t key[DP_SRTP_KEY_MAX];   /* the key that the description's owner encrypts with */
	uint8_t salt[DP_SRTP_SALT_MAX];
};
static_assert(sizeof(struct dp_mgcp_media) == 80, "wire format");

struct dp_mgcp_cmd {
	struct dp_msg_hdr hdr;
	uint64_t handle;     /* the controlplane's; comes back in dp_mgcp_done */
	uint32_t gw_id;
	uint8_t verb;        /* EPCF, CRCX, MDCX, DLCX, RQNT, AUEP, AUCX */
	uint8_t mode;        /* enum dp_mgcp_mode: CRCX and MDCX */
	uint8_t zero[2];
	struct dp_mgcp_media media;        /* remote description; addr.family 0: none */
	char endpoint[DP_MGCP_NAME_MAX];   /* local part, without @domain */
	char call_id[DP_MGCP_ID_MAX];      /* C: */
	char conn_id[DP_MGCP_ID_MAX];      /* I: */
	char request_id[DP_MGCP_ID_MAX];   /* X: RQNT */
	char events[DP_MGCP_EVENTS_MAX];   /* R: */
	char signals[DP_MGCP_EVENTS_MAX];  /* S: */
	uint8_t zero2[5];
};
static_assert(sizeof(struct dp_mgcp_cmd) == 464, "wire format");

enum dp_mgcp_result { /* when no final answer came */
	DP_MGCP_ANSWERED = 0,
	DP_MGCP_NO_SA,      /* keys held back: no live SA covers the gateway */
	DP_MGCP_TIMEOUT,    /* T-MAX passed */
	DP_MGCP_CANCELED,   /* gateway deleted */
	DP_MGCP_BAD_ANSWER, /* the answer could not be used */
	DP_MGCP_OVERLOAD,   /* too many transactions wait for this gateway */
};

struct dp_mgcp_done {
	struct dp_msg_hdr hdr;
	uint64_t handle;
	uint32_t gw_id;
	uint16_t code;        /* MGCP response code, 0 when there was none */
	uint8_t result;       /* enum dp_mgcp_result */
	uint8_t verb;
	uint32_t rtt_us;      /* from first transmission to final answer */
	uint32_t tries;
	struct dp_mgcp_media media;      /* the gateway's description */
	char conn_id[DP_MGCP_ID_MAX];
	char comment[63];                /* of the response line, printable */
};
static_assert(sizeof(struct dp_mgcp_done) == 208, "wire format");

struct dp_mgcp_event { /* RSIP, NTFY, DLCX from the gateway, and verbs we do not know */
	struct dp_msg_hdr hdr;
	uint64_t token;       /* for dp_mgcp_ack */
	uint32_t gw_id;
	uint8_t verb;         /* enum dp_mgcp_verb; 0 unknown */
	uint8_t zero[3];
	char endpoint[DP_MGCP_NAME_MAX];
	char request_id[DP_MGCP_ID_MAX];
	char call_id[DP_MGCP_ID_MAX];
	char conn_id[DP_MGCP_ID_MAX];
	char restart_method[13];
	char observed[DP_MGCP_OBS_MAX];  /* O: */
	char reason[48];                 /* E: */
};
static_assert(sizeof(struct dp_mgcp_event) == 376, "wire format");

struct dp_mgcp_ack {
	struct dp_msg_hdr hdr;
	uint64_t token;
	uint16_t code; /* what to answer: 200, 250, 4xx, 5xx */
	uint8_t zero[6];
};

/* The largest command and event: for receive buffers. */
#define DP_MSG_MAX 512
static_assert(sizeof(struct dp_mgcp_cmd) <= DP_MSG_MAX, "DP_MSG_MAX");

/** Bytes of a type's struct; 0: no such type. */
static inline uint16_t dp_msg_size(uint16_t type)
{
	switch (type) {
	case DP_MSG_HELLO:
		return sizeof(struct dp_hello);
	case DP_MSG_LEG_SET:
		return sizeof(struct dp_leg_set);
	case DP_MSG_LEG_KEY:
		return sizeof(struct dp_leg_key);
	case DP_MSG_LEG_DEL:
	case DP_MSG_SA_DEL:
	case DP_MSG_GW_DEL:
	case DP_MSG_ADOPT:
		return sizeof(struct dp_obj);
	case DP_MSG_SA_SET:
		return sizeof(struct dp_sa_set);
	case DP_MSG_SA_GRANT:
		return sizeof(struct dp_sa_grant);
	case DP_MSG_GW_SET:
		return sizeof(struct dp_gw_set);
	case DP_MSG_MGCP_CMD:
		return sizeof(struct dp_mgcp_cmd);
	case DP_MSG_MGCP_ACK:
		return sizeof(struct dp_mgcp_ack);
	case DP_MSG_SWEEP:
		return sizeof(struct dp_sweep);
	case DP_MSG_REPLY:
		return sizeof(struct dp_reply);
	case DP_MSG_HELLO_REPLY:
		return sizeof(struct dp_hello_reply);
	case DP_MSG_LEG_AGED:
		return sizeof(struct dp_leg_aged);
	case DP_MSG_MGCP_DONE:
		return sizeof(struct dp_mgcp_done);
	case DP_MSG_MGCP_EVENT:
		return sizeof(struct dp_mgcp_event);
	case DP_MSG_SA_EVENT:
		return sizeof(struct dp_sa_event);
	default:
		return 0;
	}
}

#endif
