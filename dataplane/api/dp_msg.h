/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The channel between controlplane and dataplane: an AF_UNIX SOCK_SEQPACKET socket, RUN/dataplane.sock, mode
 * 0600, one controlplane at a time. A datagram holds one or more messages back to back; each begins with
 * struct dp_msg_hdr, has a fixed size given by its type, and is checked field by field before use. Every
 * command is answered by one message with the same seq: DP_MSG_REPLY, or its own reply type. Events carry
 * seq 0. Integers are in host order (both ends are on one machine), addresses in network order.
 *
 * Errors in replies are negative errno values: -EBADMSG malformed field, -ENOENT no such object, -EPROTO
 * wrong state (no HELLO yet), -EPERM the configuration does not allow it, -ENOSPC table full, -EAGAIN ring full: try again.
 */
#ifndef DP_MSG_H
#define DP_MSG_H

#include <assert.h>
#include <stdint.h>

#define DP_MSG_VERSION      10
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
	DP_MSG_KEY_DEL,    /* dp_key_del     ends one key of a leg's direction, found by its MKI */
	DP_MSG_SHARD_MOVE, /* dp_shard_move  accepted: one DP_MSG_SHARD_MOVED will follow */
	DP_MSG_CAPTURE,    /* dp_capture     accepted: one DP_MSG_CAPTURE_DONE will follow */
	DP_MSG_TRACE,      /* dp_trace       DP_MSG_TRACE_PKT for each packet, the last one says so */
	DP_MSG_MUSIC_SET,  /* dp_music_set   loads a source of music, or its files anew; or unloads it */
	DP_MSG_LEG_MUSIC,  /* dp_leg_music   idempotent: what plays goes on */
	DP_MSG_SPD_SET = 24, /* dp_spd_set   the next policy of a new list; nothing changes before SPD_COMMIT */
	DP_MSG_SPD_COMMIT, /* dp_spd_commit  the new list takes the place of the old one, at once */
	DP_MSG_MGCP_ASK = 28, /* dp_mgcp_ask  accepted: one DP_MSG_MGCP_DONE will follow, an audit's DP_MSG_MGCP_TEXT before it */
	/* replies */
	DP_MSG_REPLY = 64,   /* dp_reply */
	DP_MSG_HELLO_REPLY,  /* dp_hello_reply */
	/* events */
	DP_MSG_LEG_AGED = 96, /* dp_leg_aged: the leg is gone */
	DP_MSG_MGCP_DONE,     /* dp_mgcp_done */
	DP_MSG_MGCP_EVENT,    /* dp_mgcp_event */
	DP_MSG_SA_EVENT,      /* dp_sa_event */
	DP_MSG_LEG_EVENT,     /* dp_leg_event */
	DP_MSG_SHARD_MOVED,   /* dp_shard_moved */
	DP_MSG_CAPTURE_DONE,  /* dp_capture_done */
	DP_MSG_TRACE_PKT,     /* dp_trace_pkt */
	DP_MSG_MGCP_TEXT = 124, /* dp_mgcp_text */
	DP_MSG_GW_HEARD = 125,  /* dp_gw_heard */
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

/* Names, lengths of keys, salts and tags: api/dp_suite.h. */
enum dp_srtp_suite {
	DP_SRTP_NONE = 0, /* RTP */
	DP_AES_CM_128_HMAC_SHA1_80, /* RFC 4568 */
	DP_AES_CM_128_HMAC_SHA1_32,
	DP_AES_192_CM_HMAC_SHA1_80, /* RFC 6188 */
	DP_AES_192_CM_HMAC_SHA1_32,
	DP_AES_256_CM_HMAC_SHA1_80,
	DP_AES_256_CM_HMAC_SHA1_32,
	DP_AEAD_AES_128_GCM,        /* RFC 7714 */
	DP_AEAD_AES_256_GCM,
	DP_NULL_HMAC_SHA1_80,       /* RFC 3711 s4.1.3: authenticated, not encrypted; keys as AES_CM_128 */
	DP_NULL_HMAC_SHA1_32,
	DP_SRTP_SUITE_MAX
};
#define DP_SRTP_KEY_MAX  32
#define DP_SRTP_SALT_MAX 14
#define DP_SRTP_MKI_MAX  128

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
	DP_LEG_F_RTCP_CLEAR_RX = 1 << 3, /* SRTCP with E = 0 from the party is accepted */
	DP_LEG_F_RTCP_CLEAR_TX = 1 << 4, /* SRTCP to the party is sent with E = 0 (UNENCRYPTED_SRTCP) */
	DP_LEG_F_ALL = (1 << 5) - 1,
};

enum dp_codec { /* what the leg's main payload type is: for R factor and MOS, not for the packets' way */
	DP_CODEC_OTHER = 0,
	DP_CODEC_G711,
	DP_CODEC_G729,
	DP_CODEC_G722,
	DP_CODEC_MAX
};

#define DP_PT_MAP_MAX 8
#define DP_SSRC_MAX   1024

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
	uint8_t codec;        /* enum dp_codec */
	uint8_t ptime_ms;     /* of what the party sends; 0: not known */
	uint8_t pt_map_cnt;   /* entries of pt_map, at most DP_PT_MAP_MAX */
	uint16_t ssrc_max;    /* SSRCs per direction, at most DP_SSRC_MAX; 0: the configuration's media.ssrc_max */
	uint16_t latch_max;   /* DP_LATCH_ANY and _ADDRESS: sources taken since remote was signalled; 0: one */
	uint32_t clock_hz;    /* RTP clock of the main payload type, for jitter; 0: 8000 */
	uint32_t rate_pps;    /* accepted from the party at most, packets a second; 0: the configuration's; UINT32_MAX: no limit */
	struct {
		uint8_t from, to; /* RTP payload types, 0..127: of what is sent to the party */
	} pt_map[DP_PT_MAP_MAX];
};
static_assert(sizeof(struct dp_leg_set) == 112, "wire format");

enum {
	DP_KEY_F_ADD = 1 << 0,      /* beside the direction's other keys (MKI, From/To); else it replaces them */
	DP_KEY_F_KEEP_ROC = 1 << 1, /* RFC 3711 s3.3.1: ROC, windows and SRTCP index go on; else the streams begin anew */
	DP_KEY_F_STANDBY = 1 << 2,  /* send, with ADD: used only from 'from' on, or when the others are gone */
	DP_KEY_F_HAVE_ROC = 1 << 3, /* 'roc' is known from signalling (late joining): first guess of every stream that begins */
	DP_KEY_F_ALL = (1 << 4) - 1,
};

/*
 * Key of one direction of a leg. The receiver wipes the message after use. RFC 3711, RFC 4568. Replacing a receive key:
 * what was sent under the old one is accepted for overlap_ms more. A key that equals one in use changes nothing, except
 * that it ends the others unless DP_KEY_F_ADD is set.
 */
struct dp_leg_key {
	struct dp_msg_hdr hdr;
	uint32_t leg_id;
	uint8_t suite;        /* enum dp_srtp_suite, not NONE: gives the lengths of key and salt */
	uint8_t dir;          /* enum dp_dir */
	uint8_t mki_len;      /* 0: no MKI; at most DP_SRTP_MKI_MAX; the same for all live keys of a direction */
	uint8_t kdr;          /* key derivation rate is 2^kdr, 1..24; 0: no rate, keys are derived once */
	uint32_t ssrc;        /* 0: any; else index_floor is for this SSRC */
	uint32_t overlap_ms;  /* receive: how long the keys that this one replaces stay good; at most 60000 */
	uint64_t index_floor; /* send: 48-bit index above which the key may be used; receive: highest accepted
	                       * before a restart, what is at or below it is stale. 0: fresh key */
	uint64_t rtcp_floor;  /* the same for SRTCP, 31 bits */
	uint64_t lifetime;    /* packets under this key, RTP and RTCP counted apart; 0: 2^48 and 2^31 */
	uint64_t from, to;    /* <From,To>: 48-bit indices for which the key is, both included; to 0: no such limit */
	uint32_t roc;         /* with DP_KEY_F_HAVE_ROC */
	uint8_t flags;        /* DP_KEY_F_* */
	uint8_t zero[3];
	uint8_t key[DP_SRTP_KEY_MAX];   /* master key, zero-filled */
	uint8_t salt[DP_SRTP_SALT_MAX]; /* master salt, zero-filled */
	uint8_t zero2[2];
	uint8_t mki[DP_SRTP_MKI_MAX];   /* mki_len bytes as on the wire, zero-filled */
};
static_assert(sizeof(struct dp_leg_key) == 248, "wire format");

struct dp_key_del {
	struct dp_msg_hdr hdr;
	uint32_t leg_id;
	uint8_t dir;          /* enum dp_dir */
	uint8_t mki_len;      /* above 0 */
	uint8_t zero[2];
	uint8_t mki[DP_SRTP_MKI_MAX];
};
static_assert(sizeof(struct dp_key_del) == 144, "wire format");

struct dp_leg_aged {
	struct dp_msg_hdr hdr;
	uint32_t leg_id;
	uint32_t idle_s;
	uint64_t session;
};

enum dp_leg_event_kind {
	DP_LEG_KEY_SOON = 1,  /* a key's lifetime or index space is nearly used up: re-key */
	DP_LEG_KEY_EXPIRED,   /* it is used up: the direction stands still */
	DP_LEG_MOVED,         /* another source was latched: 'addr' */
	DP_LEG_SSRC_LIMIT,    /* a further SSRC was refused; once per leg and minute */
	DP_LEG_POLICED,       /* packets over the leg's rate were dropped; once per leg and minute */
	DP_LEG_EVENT_MAX
};

struct dp_leg_event {
	struct dp_msg_hdr hdr;
	uint32_t leg_id;
	uint8_t kind;         /* enum dp_leg_event_kind */
	uint8_t dir;          /* enum dp_dir */
	uint8_t rtcp;         /* 1: it was SRTCP's index */
	uint8_t zero;
	uint64_t session;
	uint64_t index;       /* KEY_*: last used */
	uint32_t ssrc;        /* KEY_*, SSRC_LIMIT */
	uint32_t zero2;
	struct dp_sockaddr addr;
};
static_assert(sizeof(struct dp_leg_event) == 64, "wire format");

/* --- music --- */

enum dp_music_codec { DP_MUSIC_PCMU, DP_MUSIC_PCMA, DP_MUSIC_G722, DP_MUSIC_G729, DP_MUSIC_CODEC_MAX };
enum { DP_MUSIC_F_PCM, DP_MUSIC_F_G722, DP_MUSIC_F_G729, DP_MUSIC_FILE_CNT }; /* in dp_music_set.file */
#define DP_MUSIC_MAX      16 /* sources */
#define DP_MUSIC_NAME_MAX 32 /* bytes, with the terminating zero; so are the others */
#define DP_MUSIC_FILE_MAX 64

/*
 * Files lie in the configuration's moh.directory: [A-Za-z0-9._-], no leading dot. PCM: .wav or .pcm, 8 kHz, 16 bit, one
 * channel, played as both laws of G.711; the others hold what is sent, as it is. Without any file the source is unloaded, and
 * legs that play it are silent. -ENOENT: no such file; -EINVAL: not of this format, the log says why; -EFBIG; -ENOSPC:
 * DP_MUSIC_MAX others are there. After an error the source is what it was.
 */
struct dp_music_set {
	struct dp_msg_hdr hdr;
	char name[DP_MUSIC_NAME_MAX];
	char file[DP_MUSIC_FILE_CNT][DP_MUSIC_FILE_MAX]; /* empty: no such file */
};
static_assert(sizeof(struct dp_music_set) == 232, "wire format");

/*
 * The leg's party hears a source, from the place where the source is now; no media of the peer is kept from it by that: who
 * wants silence from there clears the peer's DP_LEG_F_RECV. Name empty: the music ends, and the rest is zero.
 * -ENOENT: no such leg or source; -ENOTSUP: the source is not there in this codec.
 */
struct dp_leg_music {
	struct dp_msg_hdr hdr;
	uint32_t leg_id;
	uint8_t codec;        /* enum dp_music_codec */
	uint8_t pt;           /* RTP payload type, 0..127 */
	uint8_t ptime_ms;     /* 10, 20, ... 60 */
	uint8_t zero;
	char name[DP_MUSIC_NAME_MAX];
};
static_assert(sizeof(struct dp_leg_music) == 48, "wire format");

/* --- shards --- */

struct dp_shard_move { /* the shard's legs, SAs and gateways go over while traffic flows, nothing lost or out of order */
	struct dp_msg_hdr hdr;
	uint32_t shard;
	uint32_t worker;
};

struct dp_shard_moved {
	struct dp_msg_hdr hdr;
	uint32_t shard;
	uint32_t from, to;    /* workers */
	int32_t rc;           /* 0; -EALREADY: was there; -EBUSY: could not be moved, nothing changed */
	uint32_t took_us;
	uint32_t held;        /* packets that waited for the move */
};

/* --- seeing --- */

enum dp_capture_side {
	DP_CAPTURE_CIPHER = 1, /* packets as they are on the wire, both directions of the leg */
	DP_CAPTURE_PLAIN,      /* after unprotect, before protect; refused unless capture.plain allows it */
};
#define DP_CAPTURE_MAX 8 /* at a time */

struct dp_capture { /* starts one; max_bytes 0: ends the one of that id */
	struct dp_msg_hdr hdr;
	uint32_t id;          /* the controlplane's, above 0 */
	uint32_t leg_id;
	uint8_t side;         /* enum dp_capture_side */
	uint8_t zero[3];
	uint32_t snap_len;    /* bytes of each packet; 0: all */
	uint64_t max_bytes;   /* of the file */
	uint32_t max_s;       /* seconds; at most capture.max_s */
	char name[60];        /* file in capture.directory: [A-Za-z0-9._-], no leading dot; must not exist */
};
static_assert(sizeof(struct dp_capture) == 96, "wire format");

enum dp_capture_end { DP_CAPTURE_STOPPED = 1, DP_CAPTURE_FULL, DP_CAPTURE_TIME, DP_CAPTURE_LEG_GONE, DP_CAPTURE_FAILED };

struct dp_capture_done {
	struct dp_msg_hdr hdr;
	uint32_t id;
	uint8_t end;          /* enum dp_capture_end */
	uint8_t zero[3];
	int32_t rc;           /* FAILED: negative errno */
	uint32_t zero2;
	uint64_t pkts, bytes; /* in the file */
	uint64_t lost;        /* packets that the writer was too slow for */
};

struct dp_trace { /* verdicts of the next 'count' packets that match; count 0: ends the one of that id */
	struct dp_msg_hdr hdr;
	uint32_t id;          /* above 0; one trace at a time */
	uint32_t count;       /* at most 10000 */
	uint32_t leg_id;      /* UINT32_MAX: any; of the leg that the packet came in on */
	uint16_t dst_port;    /* 0: any */
	uint8_t drops_only;   /* 1: only packets that did not leave */
	uint8_t zero;
	struct dp_sockaddr src; /* family 0: any; port 0: any */
};
static_assert(sizeof(struct dp_trace) == 48, "wire format");

enum { DP_TRACE_NOT_REACHED = 255 }; /* in dp_trace_pkt.stage[] */

struct dp_trace_pkt {
	struct dp_msg_hdr hdr;
	uint32_t id;
	uint32_t left;        /* how many more will come; 0: the last one */
	uint64_t at_us;       /* since the dataplane's start */
	struct dp_sockaddr src, dst; /* family 0: not IP */
	uint32_t leg_in, leg_out; /* UINT32_MAX: none */
	uint64_t index;       /* of what came in: packet index of SRTP or SRTCP, else sequence number */
	uint32_t ssrc;
	uint16_t len;         /* of the frame as received */
	uint8_t worker;
	uint8_t rtcp;         /* bool */
	uint16_t port_in, port_out; /* configured ports; UINT16_MAX: none */
	uint8_t pt;
	uint8_t zero[3];
	uint8_t stage[8];     /* by enum dp_stage: enum dp_drop (DP_OK: passed), DP_TRACE_NOT_REACHED */
};
static_assert(sizeof(struct dp_trace_pkt) == 112, "wire format");

/* --- IPsec --- */

#define DP_SA_MAX 32768 /* 10,000 gateways have 20,000, and more while they re-key */
/* What they are: api/dp_esp.h. The numbers are in stored records and stay what they are. */
enum dp_esp_alg {
	DP_ESP_AES_GCM_128 = 1,
	DP_ESP_AES_CBC_128_SHA1_96, DP_ESP_AES_CBC_128_SHA256_128, DP_ESP_AES_CBC_128_SHA384_192, DP_ESP_AES_CBC_128_SHA512_256,
	DP_ESP_AES_CBC_192_SHA1_96, DP_ESP_AES_CBC_192_SHA256_128, DP_ESP_AES_CBC_192_SHA384_192, DP_ESP_AES_CBC_192_SHA512_256,
	DP_ESP_AES_CBC_256_SHA1_96, DP_ESP_AES_CBC_256_SHA256_128, DP_ESP_AES_CBC_256_SHA384_192, DP_ESP_AES_CBC_256_SHA512_256,
	DP_ESP_AES_CTR_128_SHA1_96, DP_ESP_AES_CTR_128_SHA256_128, DP_ESP_AES_CTR_128_SHA384_192, DP_ESP_AES_CTR_128_SHA512_256,
	DP_ESP_AES_CTR_192_SHA1_96, DP_ESP_AES_CTR_192_SHA256_128, DP_ESP_AES_CTR_192_SHA384_192, DP_ESP_AES_CTR_192_SHA512_256,
	DP_ESP_AES_CTR_256_SHA1_96, DP_ESP_AES_CTR_256_SHA256_128, DP_ESP_AES_CTR_256_SHA384_192, DP_ESP_AES_CTR_256_SHA512_256,
	DP_ESP_AES_GCM_192, DP_ESP_AES_GCM_256,
	DP_ESP_AES_GCM_128_12, DP_ESP_AES_GCM_192_12, DP_ESP_AES_GCM_256_12,
	DP_ESP_AES_GCM_128_8, DP_ESP_AES_GCM_192_8, DP_ESP_AES_GCM_256_8,
	DP_ESP_3DES_CBC_SHA1_96, DP_ESP_3DES_CBC_SHA256_128, DP_ESP_3DES_CBC_SHA384_192, DP_ESP_3DES_CBC_SHA512_256,
	DP_ESP_NULL_SHA1_96, DP_ESP_NULL_SHA256_128, DP_ESP_NULL_SHA384_192, DP_ESP_NULL_SHA512_256,
	DP_ESP_ALG_MAX
};
#define DP_ESP_KEY_MAX  32
#define DP_SA_TFC_MAX   1400
enum { DP_SA_F_KEEPALIVE = 1 << 0, DP_SA_F_ALL = 1 }; /* outbound in UDP: NAT keepalives while silent (RFC 3948 s4) */
#define DP_SA_WINDOW_MIN 64
#define DP_SA_WINDOW_MAX 4096
#define DP_ESP_AUTH_MAX 64
#define DP_ESP_SALT_LEN 4
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
	uint32_t replay_window; /* inbound: packets, DP_SA_WINDOW_MIN to _MAX; 0: 192 */
	uint64_t seq_floor;  /* outbound: last number that may have been used; inbound: highest accepted */
	uint64_t seq_limit;  /* outbound: highest number that may be used until SA_GRANT raises it */
	/* Lifetimes, each 0: none. Bytes are of ciphertext. Soft: an event, and it goes on; hard: it passes nothing more. */
	uint64_t hard_bytes, hard_s, hard_pkts;
	uint64_t soft_bytes, soft_s, soft_pkts; /* at most the hard one */
	uint64_t age_s;      /* how old it is already: counts for an SA that the dataplane does not have yet */
	uint8_t key[DP_ESP_KEY_MAX];   /* cipher key, zero-filled */
	uint8_t auth[DP_ESP_AUTH_MAX]; /* authentication key, zero-filled */
	uint8_t salt[DP_ESP_SALT_LEN]; /* GCM: salt; CTR: nonce; else zero */
	uint16_t tfc;        /* outbound, tunnel mode: inner packets are padded to so many bytes (RFC 4303 s2.7), at most DP_SA_TFC_MAX */
	uint8_t flags;       /* DP_SA_F_* */
	uint8_t zero;
};
static_assert(sizeof(struct dp_sa_set) == 304, "wire format");

struct dp_sa_grant {
	struct dp_msg_hdr hdr;
	uint32_t sa_id;
	uint32_t spi;
	uint64_t seq_limit;
};

enum dp_sa_event_kind { DP_SA_WANT_GRANT = 1, DP_SA_HARD_EXPIRED, DP_SA_EXHAUSTED, DP_SA_SOFT_EXPIRED, DP_SA_MOVED, DP_SA_EVENT_MAX };
enum { /* which lifetime: dp_sa_event.why, dp_page_sa */
	DP_SA_WHY_BYTES = 1 << 0,
	DP_SA_WHY_TIME = 1 << 1,
	DP_SA_WHY_PKTS = 1 << 2,
};
struct dp_sa_event {
	struct dp_msg_hdr hdr;
	uint32_t sa_id;
	uint32_t spi;
	uint32_t kind; /* enum dp_sa_event_kind */
	uint32_t why;  /* *_EXPIRED: DP_SA_WHY_* */
	uint64_t seq;  /* last used */
	struct dp_sockaddr from; /* MOVED: where its newest authentic packet came from, which is not 'remote' (a NAT gave it another address or port) */
};

/* --- IPsec policies (RFC 4301 s4.4.1) --- */

#define DP_SPD_MAX 64 /* policies; their order decides: the first that fits */

enum dp_spd_action { DP_SPD_BYPASS = 1, DP_SPD_PROTECT, DP_SPD_DISCARD, DP_SPD_ACTION_MAX };
enum { DP_SPD_IN = 1 << 0, DP_SPD_OUT = 1 << 1 }; /* dp_spd_set.dirs */
enum dp_spd_df { DP_SPD_DF_COPY, DP_SPD_DF_SET, DP_SPD_DF_CLEAR, DP_SPD_DF_MAX };
#define DP_SPD_DSCP_COPY 255

struct dp_spd_set {
	struct dp_msg_hdr hdr;
	uint8_t pos;         /* 0 begins a new list; else how many it has already */
	uint8_t dirs;        /* DP_SPD_IN, DP_SPD_OUT, or both */
	uint8_t action;      /* enum dp_spd_action */
	uint8_t proto;       /* 0: any */
	uint8_t df;          /* enum dp_spd_df: the outer header's in tunnel mode over IPv4. PROTECT only, else 0 */
	uint8_t dscp;        /* of the outer header in tunnel mode: 0..63, or DP_SPD_DSCP_COPY. PROTECT only, else 0 */
	uint8_t local_plen, remote_plen;
	struct dp_sockaddr local, remote; /* family 0: any address of both; port 0 */
	uint16_t local_lo, local_hi;      /* ports; 0 and 65535: any, and the only choice for a protocol that has none */
	uint16_t remote_lo, remote_hi;
	uint8_t icmp_lo, icmp_hi;         /* message types; 0 and 255: any, and the only choice but for ICMP and ICMPv6 */
	uint8_t zero[6];
};
static_assert(sizeof(struct dp_spd_set) == 80, "wire format");

struct dp_spd_commit {
	struct dp_msg_hdr hdr;
	uint32_t count; /* policies of the new list: as many as were set; 0: none */
	uint32_t zero;
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
	DP_GW_F_AUTO = 1 << 4,       /* X_CRYPTO, MGCP_01 and our port follow what the gateway is heard to speak: dp_gw_heard */
	DP_GW_F_PIGGYBACK = 1 << 5,  /* messages without keys that are made at once go in one datagram (RFC 3435 s3.5.5) */
	DP_GW_F_ALL = (1 << 6) - 1,
};

struct dp_gw_set {
	struct dp_msg_hdr hdr;
	uint32_t gw_id;           /* below DP_GW_MAX */
	uint8_t shard;            /* below DP_SHARDS */
	uint8_t flags;            /* DP_GW_F_* */
	uint16_t other_port;      /* AUTO: of ours, where it may speak to instead of local.port; 0: none */
	struct dp_sockaddr remote; /* the gateway's MGCP address */
	struct dp_sockaddr local;  /* ours: a dataplane address */
	char domain[DP_MGCP_NAME_MAX]; /* endpoint names are local@domain */
	char notified[DP_MGCP_NAME_MAX]; /* N: of an answer 521, the agent to go to: [name@]host[:port]; "": none */
	char agent[DP_MGCP_NAME_MAX]; /* N: of our RQNT, CRCX, MDCX: [name@]host, whose port is that of ours that it speaks to; "": no N: */
	uint8_t keepalive_s;      /* a bare NTFY is expected each so many seconds: dp_gw_heard says when three are missing; 0: no */
	uint8_t zero[7];
};
static_assert(sizeof(struct dp_gw_set) == 264, "wire format");

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

enum dp_audio { /* codecs that descriptions name */
	DP_AUDIO_NONE,
	DP_AUDIO_PCMU, /* 0 */
	DP_AUDIO_PCMA, /* 8 */
	DP_AUDIO_G722, /* 9; its clock is said to be 8000 (RFC 3551 s4.5.2) */
	DP_AUDIO_G729, /* 18, without annex B: nobody here is told to leave packets out */
	DP_AUDIO_ILBC, /* no number of its own (RFC 3952): DP_ILBC_PT where we declare it */
	DP_AUDIO_MAX
};
#define DP_AUDIO_LIST 6
#define DP_ILBC_PT    116

/* One media description, as it goes into or comes out of SDP. */
struct dp_mgcp_media {
	struct dp_sockaddr addr; /* c= and m=; family 0: no description */
	uint8_t suite;           /* enum dp_srtp_suite; NONE: RTP/AVP */
	uint8_t pt;              /* RTP payload type of audio[0] or, where that is NONE, all that is known; the others of the list have their own */
	uint8_t ptime_ms;        /* 0: not said */
	uint8_t telephone_event; /* payload type of RFC 2833 events, 0: none */
	uint8_t tag;             /* of a=crypto, 1..255; 0 with a=X-crypto */
	uint8_t mki_len;         /* 0: no MKI; 1..8 here: what we write and take in SDP */
	uint8_t kdr;             /* KDR=, as in dp_leg_key */
	uint8_t lifetime;        /* 2^lifetime packets, 1..48; 0: not said */
	uint8_t flags;           /* DP_MGCP_SRTP_* */
	uint8_t zero;
	uint8_t key[DP_SRTP_KEY_MAX];   /* the key that the description's owner encrypts with */
	uint8_t salt[DP_SRTP_SALT_MAX];
	uint64_t mki;            /* its value; on the wire the low mki_len bytes, most significant first */
	uint8_t audio[DP_AUDIO_LIST]; /* enum dp_audio, best first, NONE ends it; read: one, or NONE if no codec is known */
	uint8_t ilbc_ms;         /* iLBC's frames: 20 or 30; 0: not iLBC */
	uint8_t zero2;
};
static_assert(sizeof(struct dp_mgcp_media) == 96, "wire format");

enum {
	DP_MGCP_SRTP_RTCP_CLEAR = 1 << 0, /* UNENCRYPTED_SRTCP; UNENCRYPTED_SRTP is the NULL suites, UNAUTHENTICATED_SRTP is refused */
	DP_MGCP_SRTP_ALL = (1 << 1) - 1,
};

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
static_assert(sizeof(struct dp_mgcp_cmd) == 480, "wire format");

/* A command without a description: what takes lists, maps and wanted parameters. RFC 3435 s2.3 */
#define DP_MGCP_PARAMS_MAX 324
struct dp_mgcp_ask {
	struct dp_msg_hdr hdr;
	uint64_t handle;     /* as in dp_mgcp_cmd; they share one number space */
	uint32_t gw_id;
	uint8_t verb;        /* EPCF, RQNT, DLCX, AUEP, AUCX */
	uint8_t zero[3];
	char endpoint[DP_MGCP_NAME_MAX];
	char call_id[DP_MGCP_ID_MAX];
	char conn_id[DP_MGCP_ID_MAX];
	char request_id[DP_MGCP_ID_MAX];
	char params[DP_MGCP_PARAMS_MAX]; /* lines "D: (0T|xxxx)", each ended by LF: EPCF B; RQNT and DLCX R S D Q T N; AUEP and AUCX F */
	uint8_t zero2;
};
static_assert(sizeof(struct dp_mgcp_ask) == 512, "wire format");

/* P: of a connection, from the gateway's side. */
enum { DP_MGCP_PS, DP_MGCP_OS, DP_MGCP_PR, DP_MGCP_OR, DP_MGCP_PL, DP_MGCP_JI, DP_MGCP_LA, DP_MGCP_STAT_CNT };
struct dp_mgcp_stat {
	uint32_t have; /* bit i: value[i] was said */
	uint32_t value[DP_MGCP_STAT_CNT]; /* packets and octets sent, received, packets lost, jitter and latency in ms; too large: UINT32_MAX */
};

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
	char comment[63];                /* of the response line, printable; BAD_ANSWER: what is wrong with its description */
	char endpoint[DP_MGCP_NAME_MAX]; /* local part of Z: which one an "any of" became (RFC 3435 s3.2.1.4); "": not said, or not asked */
	struct dp_mgcp_stat stat; /* DLCX, AUCX */
	uint16_t text_len;        /* audits: bytes of dp_mgcp_text that belong to it; if fewer came, some were lost */
	uint8_t zero[6];
};
static_assert(sizeof(struct dp_mgcp_done) == 328, "wire format");

/* What an audit answered: its parameter lines, each ended by LF, piece after piece, ahead of its dp_mgcp_done. No descriptions:
 * they may hold keys. */
#define DP_MGCP_TEXT_MAX 488
struct dp_mgcp_text {
	struct dp_msg_hdr hdr;
	uint64_t handle;
	uint32_t gw_id;
	uint16_t off, len;
	char text[DP_MGCP_TEXT_MAX]; /* printable ASCII and LF; zero-filled */
};
static_assert(sizeof(struct dp_mgcp_text) == 512, "wire format");

enum dp_gw_heard_kind {
	DP_GW_HEARD_DIALECT = 1, /* AUTO: it speaks otherwise than it was set */
	DP_GW_HEARD_SILENT,      /* three of its keep-alives are missing */
	DP_GW_HEARD_BACK,        /* it speaks again */
	DP_GW_HEARD_MAX
};
struct dp_gw_heard {
	struct dp_msg_hdr hdr;
	uint32_t gw_id;
	uint8_t kind;  /* enum dp_gw_heard_kind */
	uint8_t flags; /* DP_GW_F_X_CRYPTO, DP_GW_F_MGCP_01: what it speaks now */
	uint16_t port; /* of ours, that it speaks to */
};
static_assert(sizeof(struct dp_gw_heard) == 16, "wire format");

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
	char notified[DP_MGCP_NAME_MAX]; /* N: whom it takes for its agent; "": not said */
	uint32_t tid;         /* the gateway's: it says the same again until it is answered */
	uint32_t delay_s;     /* RD: */
	struct dp_mgcp_stat stat; /* P: of a DLCX */
};
static_assert(sizeof(struct dp_mgcp_event) == 480, "wire format");

struct dp_mgcp_ack {
	struct dp_msg_hdr hdr;
	uint64_t token;
	uint16_t code; /* what to answer: 200, 250, 4xx, 5xx; 521 with the gateway's dp_gw_set.notified */
	uint8_t zero[6];
};

/* The largest command and event: for receive buffers. */
#define DP_MSG_MAX 512
static_assert(sizeof(struct dp_mgcp_cmd) <= DP_MSG_MAX && sizeof(struct dp_mgcp_ask) <= DP_MSG_MAX, "DP_MSG_MAX");

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
	case DP_MSG_MGCP_ASK:
		return sizeof(struct dp_mgcp_ask);
	case DP_MSG_SWEEP:
		return sizeof(struct dp_sweep);
	case DP_MSG_KEY_DEL:
		return sizeof(struct dp_key_del);
	case DP_MSG_SHARD_MOVE:
		return sizeof(struct dp_shard_move);
	case DP_MSG_CAPTURE:
		return sizeof(struct dp_capture);
	case DP_MSG_TRACE:
		return sizeof(struct dp_trace);
	case DP_MSG_MUSIC_SET:
		return sizeof(struct dp_music_set);
	case DP_MSG_LEG_MUSIC:
		return sizeof(struct dp_leg_music);
	case DP_MSG_SPD_SET:
		return sizeof(struct dp_spd_set);
	case DP_MSG_SPD_COMMIT:
		return sizeof(struct dp_spd_commit);
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
	case DP_MSG_MGCP_TEXT:
		return sizeof(struct dp_mgcp_text);
	case DP_MSG_GW_HEARD:
		return sizeof(struct dp_gw_heard);
	case DP_MSG_SA_EVENT:
		return sizeof(struct dp_sa_event);
	case DP_MSG_LEG_EVENT:
		return sizeof(struct dp_leg_event);
	case DP_MSG_SHARD_MOVED:
		return sizeof(struct dp_shard_moved);
	case DP_MSG_CAPTURE_DONE:
		return sizeof(struct dp_capture_done);
	case DP_MSG_TRACE_PKT:
		return sizeof(struct dp_trace_pkt);
	default:
		return 0;
	}
}

#endif
