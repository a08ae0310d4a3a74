/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The records of the store: what devices, lines, gateways, SAs and running calls are, how they become bytes and
 * back, and what makes one valid. A value is
 *     version (1 byte), kind (1 byte), then fields: tag (2 bytes), length (4 bytes), content; big-endian.
 * A list is a repeated tag, its content again fields. Unknown tags of a known version are kept in 'unknown' and
 * written back, so that a program of the same schema which knows fewer fields loses none; inside a list's item
 * an unknown tag, and a newer version, are refused with -ENOTSUP. Tags never change meaning.
 *
 * parse: -EBADMSG malformed (truncated, lying length, a scalar twice, field out of range), -ENOTSUP newer version,
 * -ENOMEM. On success the output must be released with cp_*_free(), which takes an already freed one too.
 */
#ifndef CP_RECORDS_H
#define CP_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define CP_RECORD_VERSION 1
#define CP_RECORD_MAX     (1u << 20) /* bytes of one encoded record */

#define CP_DEVICE_NAME_MAX 16  /* bytes, with the terminating zero: SEP + 12 hex digits; so are the others */
#define CP_NUMBER_MAX      33  /* up to 32 of 0-9 * # + */
#define CP_TEXT_MAX        64  /* labels, descriptions, models, regions: UTF-8 */
#define CP_NAME_MAX        64  /* gateway (domain), endpoint and SA names */
#define CP_PART_MAX        32  /* partitions and calling search spaces */

#define CP_DEVICE_LINES_MAX   42
#define CP_GW_ENDPOINTS_MAX   1024
#define CP_GW_NUMBERS_MAX     1024
#define CP_CONFERENCE_MAX     64 /* members of a conference */

/* What the operator demands of a device. */
enum cp_device_mode { CP_DEVICE_NONSECURE = 1, CP_DEVICE_AUTHENTICATED, CP_DEVICE_ENCRYPTED };

struct cp_buf { /* heap bytes; data NULL when len is 0 */
	uint8_t *data;
	size_t len;
};

#define CP_LOAD_MAX   64 /* firmware names */
#define CP_LOCALE_MAX 32

enum cp_protocol { CP_PROTOCOL_ANY, CP_PROTOCOL_SCCP, CP_PROTOCOL_SIP };

/* Settings of the phone itself that harden it, one after the other of phonecfg.h's table. */
enum cp_set { CP_SET_DEFAULT, CP_SET_ON, CP_SET_OFF, CP_SET_RESTRICTED, CP_SET_MAX };
enum {
	CP_HARDEN_PC_PORT,
	CP_HARDEN_SETTINGS,
	CP_HARDEN_GARP,
	CP_HARDEN_VOICE_VLAN,
	CP_HARDEN_WEB,
	CP_HARDEN_SPAN,
	CP_HARDEN_TLS12,
	CP_HARDEN_SSH,
	CP_HARDEN_WEB_PROTOCOL,
	CP_HARDEN_CDP_SW,
	CP_HARDEN_CDP_PC,
	CP_HARDEN_LLDP_SW,
	CP_HARDEN_LLDP_PC,
	CP_HARDEN_BLUETOOTH,
	CP_HARDEN_PEER_FIRMWARE,
	CP_HARDEN_FIPS,
	CP_HARDEN_CNT
};
struct cp_harden {
	uint8_t v[CP_HARDEN_CNT]; /* enum cp_set */
};

struct cp_line {
	char number[CP_NUMBER_MAX];
	char label[CP_TEXT_MAX]; /* empty: the number is shown */
	char partition[CP_PART_MAX]; /* that its number is in; empty: the one that all see */
	char css[CP_PART_MAX];       /* calling search space of what it dials; empty: the device's */
	char pickup[CP_NUMBER_MAX]; /* its pickup group's number; empty: none */
};

struct cp_device { /* key: name */
	char name[CP_DEVICE_NAME_MAX]; /* SEP + 12 upper-case hex digits, or a voice-mail port's */
	enum cp_device_mode mode;
	char description[CP_TEXT_MAX];
	char model[CP_TEXT_MAX];
	char region[CP_TEXT_MAX];      /* "default" */
	bool srtp;                     /* the model can do SRTP */
	bool secure_tone;              /* protected: it plays the secure or the non-secure tone when a call connects */
	uint8_t suite;                 /* enum dp_srtp_suite for its leg; 0: _32, which all secure phones know */
	unsigned line_cnt;
	struct cp_line *lines;         /* in button order, from line 1 */
	char profile[CP_NAME_MAX];     /* its security profile, whose mode 'mode' then is; "" none */
	char srst[CP_NAME_MAX];        /* SRST reference; "" as the profile or the cluster has it */
	uint8_t protocol;              /* enum cp_protocol; ANY: SCCP */
	char load[CP_LOAD_MAX];        /* firmware; "" as the profile or the cluster has it; so are the locales */
	char user_locale[CP_LOCALE_MAX], network_locale[CP_LOCALE_MAX];
	char digest_user[CP_TEXT_MAX];
	struct cp_buf digest_secret;   /* sealed by the signer, bound to "digest/" and the name */
	struct cp_buf config_key;      /* 16 bytes, for phones without PKI; sealed, bound to "config-key/" and the name */
	struct cp_harden harden;
	char css[CP_PART_MAX];         /* calling search space of lines that have none */
	uint8_t bridge;                /* enum cp_set: built-in bridge; DEFAULT: as the cluster has it */
	int64_t changed_us;            /* wall clock */
	struct cp_buf unknown;
};

enum { /* struct cp_gateway.flags */
	CP_GW_KEYS_WITHOUT_IPSEC = 1 << 0, /* mgcp.keys_without_ipsec: allow */
	CP_GW_CLEAR = 1 << 1,      /* no SA needed for commands without keys */
	CP_GW_X_CRYPTO = 1 << 2,   /* a=X-crypto instead of a=crypto */
	CP_GW_MGCP_01 = 1 << 3,    /* MGCP 0.1 */
	CP_GW_SRTCP_CLEAR = 1 << 4, /* SRTCP is offered and taken unencrypted (UNENCRYPTED_SRTCP) */
	CP_GW_CONFERENCE = 1 << 5, /* a conference bridge: its endpoints mix their connections of mode confrnce */
	CP_GW_FLAGS_ALL = (1 << 6) - 1,
};

enum cp_gw_line { /* what is at an endpoint, as far as calls from it go */
	CP_LINE_DEFAULT, /* as its gateway's record says; there: nothing, calls from it are not taken */
	CP_LINE_NONE,
	CP_LINE_FXS,     /* an analog phone: off hook it hears dial tone, and dials (RFC 3660, package L) */
	CP_LINE_FXO,     /* a line of the telephone network: it rings, and is led to 'incoming' (package H) */
	CP_LINE_MAX
};

enum cp_gw_admin { /* what an operator wants of it */
	CP_ADMIN_IN_SERVICE,
	CP_ADMIN_DRAIN, /* gets no new call */
	CP_ADMIN_OUT,   /* and those it has end */
	CP_ADMIN_MAX
};

#define CP_GW_PRIORITIES   16  /* 1: first */
#define CP_GW_WEIGHT_MAX   1000
#define CP_GW_WEIGHT       100 /* unless said */

struct cp_endpoint {
	char name[CP_NAME_MAX]; /* local part, without @domain */
	uint8_t line;           /* enum cp_gw_line */
};

struct cp_gw_number {
	char number[CP_NUMBER_MAX]; /* without the '*' of a prefix */
	bool prefix;                /* every number that begins so */
	char endpoint[CP_NAME_MAX]; /* empty: any free endpoint of the gateway */
};

#define CP_IKE_ID_MAX   128
#define CP_IKE_LIST_MAX 160
#define CP_IKE_TS_MAX   64

enum { /* struct cp_gw_ike.flags */
	CP_IKE_CERT = 1 << 0,   /* certificates: ours is the signer's "IPsec", theirs is found in IPsec-trust; else a pre-shared key */
	CP_IKE_TUNNEL = 1 << 1, /* else transport mode */
	CP_IKE_ENCAP = 1 << 2,  /* ESP in UDP, NAT or not */
	CP_IKE_ESN = 1 << 3,
	CP_IKE_WAIT = 1 << 4,   /* the gateway begins */
	CP_IKE_TRAP = 1 << 5,   /* a packet begins */
	CP_IKE_FLAGS_ALL = (1 << 6) - 1,
};

struct cp_gw_ike { /* what charon is told of a gateway (ike/); empty strings and 0: as ike/ikerec.h has it */
	uint8_t version; /* 0: no IKE; 1: main mode; 2 */
	uint32_t flags;  /* CP_IKE_* */
	struct cfg_addr local, remote; /* family 0: mgcp.local, and the gateway's address */
	char local_id[CP_IKE_ID_MAX], remote_id[CP_IKE_ID_MAX]; /* "": the address; of us with certificates: its subject */
	struct cp_buf psk; /* sealed by the signer, bound to "ike-psk/" and the gateway's name */
	char proposals[CP_IKE_LIST_MAX], esp[CP_IKE_LIST_MAX]; /* parted by commas */
	char local_ts[CP_IKE_TS_MAX], remote_ts[CP_IKE_TS_MAX]; /* "": MGCP between the two */
	uint32_t dpd_s, rekey_s, reauth_s, child_s; /* reauth_s 0: none */
	int64_t changed_us; /* the store's: when something of this, or the address, was changed last; 0: before that was kept */
};

enum cp_gw_dialect {
	CP_GW_RFC3435, /* version and a=crypto as the flags have them, our port is mgcp.local's */
	CP_GW_CISCO,   /* our port is 2427, too, and it sends a keep-alive each 15 s */
	CP_GW_AUTO,    /* as it is heard to speak; before that as the flags have it */
	CP_GW_DIALECT_CNT
};
enum { /* struct cp_gateway.heard */
	CP_GW_HEARD = 1 << 0, /* something was */
	CP_GW_HEARD_01 = 1 << 1,
	CP_GW_HEARD_X = 1 << 2,
};

enum cp_gw_quarantine { /* Q: while digits are dialled (RFC 3435 s4.4.1) */
	CP_GW_Q_STEP, /* each notification uses up its request; not said */
	CP_GW_Q_LOOP, /* one request for all digits */
	CP_GW_Q_CNT
};
enum cp_gw_bearer { /* B: of EPCF */
	CP_GW_B_NONE, /* not said */
	CP_GW_B_MU,
	CP_GW_B_A,
	CP_GW_B_CNT
};
#define CP_GW_MAP_MAX 200

struct cp_gateway { /* key: name */
	char name[CP_NAME_MAX];  /* MGCP domain; letters, digits, '.', '-', '_' or [address] */
	uint32_t gw_id;          /* below DP_GW_MAX, given at first add, unique, stays */
	char type[CP_TEXT_MAX];  /* "VG224"; "" the vendor's: decides whether it is trusted (sccp/devtype.h) */
	struct cfg_addr address; /* MGCP address and port (2427 unless said) */
	char region[CP_TEXT_MAX];
	uint32_t flags;          /* CP_GW_* */
	uint8_t suite;           /* enum dp_srtp_suite offered first; 0: as media.suites has it */
	uint8_t mki_len;         /* bytes of the MKI of keys that it is sent, 0 to 8; 0: none */
	uint8_t lifetime;        /* 2^lifetime packets for each of them, 16 to 48; 0: not said */
	uint16_t ports;          /* conference bridge: connections at a time, 3 to 4096; else 0 */
	uint8_t dialect;         /* enum cp_gw_dialect */
	uint8_t heard;           /* AUTO: CP_GW_HEARD_*, what it spoke last */
	uint16_t heard_port;     /* AUTO: and to which port of ours; 0: not heard */
	bool piggyback;          /* messages without keys may share a datagram */
	uint8_t conference_max;  /* conference bridge: of them in one conference, 3 to CP_CONFERENCE_MAX; else 0 */
	/* as one of a farm */
	char group[CP_NAME_MAX]; /* routes lead to "@group"; "": it is in none */
	uint8_t priority;        /* 1 to CP_GW_PRIORITIES, lower first; 0: 1 */
	uint16_t weight;         /* of its load among those of its priority, 1 to CP_GW_WEIGHT_MAX; 0: CP_GW_WEIGHT */
	uint16_t capacity;       /* calls at most; 0: as many as it has endpoints */
	uint8_t admin;           /* enum cp_gw_admin */
	/* calls from it */
	uint8_t line;            /* enum cp_gw_line of endpoints that do not say it themselves */
	char incoming[CP_NUMBER_MAX]; /* FXO: where what rings is led to; "": it is not taken */
	char css[CP_PART_MAX];   /* calling search space of who calls from it */
	char digit_map[CP_GW_MAP_MAX]; /* FXS: D:, by which the gateway collects digits; "": it tells each one */
	uint8_t quarantine;      /* enum cp_gw_quarantine */
	uint8_t bearer;          /* enum cp_gw_bearer */
	char agent[CP_NAME_MAX]; /* [name@]host[:port] of the call agent that it is sent to while it is not in service here; "": none */
	unsigned endpoint_cnt;
	struct cp_endpoint *endpoints;
	unsigned number_cnt;
	struct cp_gw_number *numbers;
	struct cp_gw_ike ike;
	int64_t changed_us;
	struct cp_buf unknown;
};

struct cp_sa { /* key: name. A manual SA; the key only as sealed bytes */
	char name[CP_NAME_MAX];
	char gateway[CP_NAME_MAX];
	uint32_t sa_id;  /* below DP_SA_MAX, given at first add, unique, stays */
	uint32_t spi;    /* above 255, host order */
	uint8_t dir;     /* enum dp_dir */
	uint8_t alg;     /* enum dp_esp_alg */
	uint8_t mode;    /* enum dp_esp_mode */
	bool esn;
	uint16_t window; /* inbound: anti-replay, packets; 0: 192 */
	uint64_t hard_s, hard_bytes, hard_pkts; /* lifetimes, 0: none; of its key, not of a run of ours */
	uint64_t soft_s, soft_bytes, soft_pkts;
	uint16_t tfc;    /* outbound tunnel: inner packets are padded to so many bytes; 0: not */
	bool keepalive;  /* outbound in UDP: NAT keepalives */
	int64_t added_s; /* wall clock: when the lifetime in seconds began; 0: with each start of the dataplane */
	struct cfg_addr local, remote;         /* outer; ports: UDP encapsulation */
	struct cfg_addr sel_local, sel_remote; /* family 0: as outer */
	uint64_t seq_reserved; /* outbound: highest number granted to the dataplane; inbound: highest known accepted */
	struct cp_buf sealed;  /* key material sealed by the signer, aad is the SA's name */
	int64_t changed_us;
	struct cp_buf unknown;
};

enum { CP_LEG_KNOWN = 1, CP_LEG_AUTH = 2, CP_LEG_ENC = 4, CP_LEG_INBOUND = 8 /* gateway: the call began there */ }; /* struct cp_call_leg.proven */
enum { CP_CONF_MEETME = 1, CP_CONF_SHARED = 2, CP_CONF_FLAGS_ALL = 3 }; /* .conf_flags: dialled by a number; made by cBarge */

struct cp_call_leg {
	uint32_t leg_id;           /* DP_LEG_ID */
	uint32_t sa_gw_id;         /* gateway party: its gw_id, else UINT32_MAX */
	char party[CP_NAME_MAX];   /* device or gateway name */
	char endpoint[CP_NAME_MAX];/* gateway party */
	char conn_id[33];          /* gateway party: MGCP connection */
	char number[CP_NUMBER_MAX];
	uint32_t line;             /* phone party */
	uint32_t callref;          /* phone party's call reference */
	uint8_t rx_suite, tx_suite; /* enum dp_srtp_suite */
	struct cfg_addr remote;
	uint32_t codec;            /* call control's number of it */
	uint8_t packet_ms;         /* 0: not known */
	uint8_t audio_pt;          /* payload type that the party wants the codec under, and 1; 0: not known */
	uint8_t event_pt;          /* payload type of RFC 2833 events that the party wants; 0: none */
	uint8_t rekeying;          /* 1: new keys are on their way: which ones the party has is not known */
	uint8_t held;              /* 1: the phone has put the call on hold */
	uint8_t untrusted;         /* 1: a device whose type is not trusted */
	uint8_t waits;             /* call control's: it hears music, and which; 0: it does not wait */
	uint32_t bridges;          /* a barge: the target's number of its call; 0: none */
	uint8_t guest;             /* 1: a barger that takes the shield from nobody */
	uint8_t stream;            /* 1 or 2: which of the two streams of 'callref' is the phone's; 0: the leg's place says */
	uint8_t best, worst;       /* enum cp_security of the party while it was connected; 0: it was not */
	uint64_t cdr_leg;          /* its number in call detail records */
	uint8_t parked;            /* 1: nobody; 'number' is a park number, to which line 'line' of device 'party' put the other one */
	uint8_t proven;            /* CP_LEG_*: what its signalling was when the call was made, and who began it; 0: only the call's status says */
	uint32_t conf;             /* gateway party that is a port of a conference: its number; else 0 */
	uint8_t conf_flags;        /* CP_CONF_*, and in the upper four bits the least security that members must have */
	char conf_owner[CP_DEVICE_NAME_MAX]; /* who controls it: device; may be "" */
};

struct cp_call_rec { /* key: call id, 8 bytes big-endian. A running call, without keys */
	uint64_t call_id;
	uint8_t state;    /* call control's */
	uint8_t security; /* enum cp_security */
	uint8_t cap;      /* a barge: no better is the call that it joined */
	char mgcp_call_id[33];
	int64_t started_us;
	uint64_t global_id;  /* what its call detail record needs (cdrrec.h); 0: from before there were any */
	int64_t setup_ms, connect_ms;
	char dialled[CP_NUMBER_MAX], redirecting[CP_NUMBER_MAX];
	uint8_t origin, best, worst;
	struct cp_call_leg leg[2];
	unsigned leg_cnt;
	struct cp_buf unknown;
};

/* Encode: *ret is heap, freed by the caller with free(ret->data). 0, -EINVAL (not valid), -ENOMEM. */
int cp_device_build(const struct cp_device *dev, struct cp_buf *ret);
int cp_gateway_build(const struct cp_gateway *gw, struct cp_buf *ret);
int cp_sa_build(const struct cp_sa *sa, struct cp_buf *ret);
int cp_call_rec_build(const struct cp_call_rec *call, struct cp_buf *ret);

int cp_device_parse(const uint8_t *data, size_t len, struct cp_device *ret);
int cp_gateway_parse(const uint8_t *data, size_t len, struct cp_gateway *ret);
int cp_sa_parse(const uint8_t *data, size_t len, struct cp_sa *ret);
int cp_call_rec_parse(const uint8_t *data, size_t len, struct cp_call_rec *ret);

/* Deep copies. 0 or -ENOMEM. */
int cp_device_copy(const struct cp_device *dev, struct cp_device *ret);
int cp_gateway_copy(const struct cp_gateway *gw, struct cp_gateway *ret);

/** But for what was heard of it, and when it was changed. */
bool cp_gateway_same(const struct cp_gateway *a, const struct cp_gateway *b);

/* Release what the struct owns, not the struct; sealed bytes are wiped. */
void cp_device_free(struct cp_device *dev);
void cp_gateway_free(struct cp_gateway *gw);
void cp_sa_free(struct cp_sa *sa);
void cp_call_rec_free(struct cp_call_rec *call);

/* Validity of a record by itself: 0, or -EINVAL with what is wrong in 'why' (names the field and its value). */
int cp_device_check(const struct cp_device *dev, char *why, size_t why_size);
int cp_gateway_check(const struct cp_gateway *gw, char *why, size_t why_size);
int cp_sa_check(const struct cp_sa *sa, char *why, size_t why_size);

bool cp_device_suite_ok(uint8_t suite);   /* one that SCCP has a number for, or 0 */
bool cp_device_name_ok(const char *name); /* a phone's */
/** A voice-mail port's: its server's name, "-VI", a number from 1 to 999: CiscoUM-VI1. Letters, digits and '-', below CP_DEVICE_NAME_MAX. */
bool cp_vm_port_name_ok(const char *name);
bool cp_number_ok(const char *number);   /* 1..32 of 0-9 * # +; '+' only first */
bool cp_gw_name_ok(const char *name);
bool cp_part_name_ok(const char *name);  /* of a partition or calling search space */
bool cp_endpoint_name_ok(const char *name);
bool cp_load_ok(const char *name);       /* firmware: empty, or letters, digits and . _ - */
bool cp_locale_ok(const char *name);     /* a folder's name: empty, or letters, digits and _ - */
int cp_harden_check(const struct cp_harden *harden, char *why, size_t why_size);
bool cp_secret_text_ok(const char *text); /* printable UTF-8 of any length: XML can hold it */
bool cp_text_ok(const char *text);       /* shorter than CP_TEXT_MAX, UTF-8, no control characters */

/** "nonsecure", "authenticated", "encrypted"; and back: 0 or -EINVAL. */
const char *cp_device_mode_name(enum cp_device_mode mode);
int cp_device_mode_parse(const char *name, enum cp_device_mode *ret);

#endif
