/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration file: YAML (libcyaml) read into one immutable struct cfg that all processes share the
 * definition of. An unknown key, a wrong type or a value out of range is an error that names the key. Every
 * key has a default, given here and in ravelin.yaml.example; a file may be empty.
 */
#ifndef CFG_CONFIG_H
#define CFG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

/* An IP address with an optional prefix length or port, as configured. */
struct cfg_addr {
	uint8_t family;  /* 4, 6; 0 not set */
	uint8_t plen;    /* prefix length; 32 or 128 when none was given */
	uint16_t port;   /* 0: none given */
	uint8_t ip[16];  /* network order, IPv4 in the first four */
};

/** Parse "A.B.C.D", "A.B.C.D/N", "A.B.C.D:PORT", "X::Y", "X::Y/N", "[X::Y]:PORT". 0 or -EINVAL. */
int cfg_addr_parse(const char *text, struct cfg_addr *ret_addr);

/** Print address, "/plen" if shorter than the family's, ":port" if set. Returns buf (at least 64 bytes). */
const char *cfg_addr_print(const struct cfg_addr *addr, char *buf, size_t size);

/**
 * A port's device: "pci:ADDRESS", "af_packet:INTERFACE", "af_xdp:INTERFACE", "tap:INTERFACE", "memif:KEY=VALUE[,...]" (net_memif's
 * own), "pcap:FILE[,tx=FILE][,infinite]", "ring[:LABEL]", "null[:LABEL]". 0, or -EINVAL and the reason in 'why'.
 */
int cfg_device_check(const char *device, char *why, size_t size);

/** Parse hex digits into exactly 'len' bytes. 0 or -EINVAL; 'out' is unspecified then. */
int cfg_hex_parse(const char *text, uint8_t *out, size_t len);

struct cfg_paths {
	char *state; /* /var/lib/ravelin */
	char *run;   /* /run/ravelin: dataplane.sock, signer.sock, admin.sock */
};

struct cfg_log_section {
	enum cfg_log_format format;
	enum cfg_log_level level;
};

enum cfg_huge { CFG_HUGE_AUTO, CFG_HUGE_NEVER, CFG_HUGE_REQUIRE };
enum cfg_frag { CFG_FRAG_DROP, CFG_FRAG_REASSEMBLE };
enum cfg_latch { CFG_LATCH_STRICT, CFG_LATCH_ADDRESS, CFG_LATCH_ANY };
enum cfg_duplicate { CFG_DUPLICATE_EVICT, CFG_DUPLICATE_REFUSE };
enum cfg_media_mode { CFG_MEDIA_RELAY, CFG_MEDIA_DIRECT };
enum cfg_fallback { CFG_FALLBACK_RTP, CFG_FALLBACK_REFUSE };
enum cfg_capture_plain { CFG_CAPTURE_DENY, CFG_CAPTURE_ALLOW, CFG_CAPTURE_KEYS };
enum cfg_key_type { CFG_KEY_RSA_2048, CFG_KEY_EC_P256 };

struct cfg_dp_port {
	char *device;         /* KIND:REST, see cfg_device_check(); entries of one device differ by vlan */
	uint16_t vlan;        /* 802.1Q identifier, 1 to 4094; 0: untagged */
	uint16_t mtu;         /* bytes of the largest IP packet, 576 to 9000; 0: the driver's, at most 1500 */
	char *mac;            /* set at the device and used by it; may be NULL: the device's own */
	char *punt;           /* the kernel's interface for what is not the dataplane's; may be NULL: none */
	char **addresses;     /* ADDRESS/PREFIX that the dataplane answers for on this port */
	unsigned addresses_count;
	char *gateway;        /* next hop for what is not on link; may be NULL */
	char *gateway6;
	/* parsed from the above */
	struct cfg_addr addr[8];
	struct cfg_addr gw4, gw6;
	uint8_t mac_addr[6];
};

struct cfg_dataplane {
	uint16_t main_lcore;        /* 0 */
	uint16_t *worker_lcores;    /* [1] */
	unsigned worker_lcores_count;
	enum cfg_huge huge_pages;   /* auto */
	uint32_t memory_mb;         /* 256 */
	enum cfg_frag fragments;    /* drop */
	uint32_t max_legs;          /* 4096: leg records made at start */
	uint32_t max_sas;           /* four for each of max_gateways */
	uint32_t max_gateways;      /* 1024 */
	uint32_t mbufs;             /* 16384 */
	uint16_t ring_desc;         /* 1024: receive and transmit descriptors per queue */
	uint32_t punt_pps;          /* 20000: packets a second for the kernel, all ports together */
	char *file_prefix;          /* EAL's; default made from paths.run */
	struct cfg_dp_port *ports;
	unsigned ports_count;
};

struct cfg_media_addr {
	char *address;  /* one of the dataplane's port addresses, without prefix */
	char *region;   /* devices and gateways of this region use it; "default" */
	struct cfg_addr addr;
};

struct cfg_region {
	char *name;
	enum cfg_media_mode mode;
};

struct cfg_media {
	uint16_t base_port;          /* 16384; 16384, 32768 or 49152 */
	struct cfg_media_addr *addresses;
	unsigned addresses_count;
	enum cfg_media_mode mode;    /* relay; of a region that 'regions' does not name */
	struct cfg_region *regions;
	unsigned regions_count;
	char **suites;               /* SRTP suites offered, in this order; names as in SDP, checked by the controlplane */
	unsigned suites_count;
	uint32_t rekey_s;            /* 0: keys of gateways' legs are renewed after so long; 0 only when they must be */
	uint16_t window;             /* 192: SRTP replay window, packets */
	uint16_t ssrc_max;           /* 8: SSRCs per direction of a leg, where LEG_SET says nothing else */
	uint32_t streams;            /* 0: SSRCs beyond the first of their direction, all legs together; 0: max_legs / 4 */
	uint16_t latch_max;          /* 1: sources that plain_latch: address and any take in a leg's life */
	uint32_t idle_s;             /* 300: a leg without media ends after so long; 0 never */
	enum cfg_latch plain_latch;  /* address */
	bool rtcp_mux;               /* false */
	uint32_t rate_pps;           /* 1000: packets a second that a leg's party may send; 0 no limit */
	uint32_t source_pps;         /* 500: and that a source which is not a leg's known one may try; 0 no limit */
	uint8_t dscp;                /* 46 */
	uint8_t ptime_ms;            /* 20 */
	enum cfg_fallback fallback;  /* rtp: when one party cannot encrypt */
};

struct cfg_sccp {
	char *listen;            /* "0.0.0.0": signalling address, the kernel's */
	uint16_t port;           /* 2000; 0: off */
	uint16_t tls_port;       /* 2443; 0: off */
	uint16_t keepalive_s;    /* 30 */
	char *date_template;     /* "D/M/Y" */
	bool legacy_tls;         /* false: TLS 1.0 and NULL-SHA for 79xx phones */
	uint32_t max_connections; /* 20000 */
	uint32_t max_preauth;    /* 4096: connections that have not registered yet */
	uint16_t handshake_s;    /* 10: TLS handshake and first message must be done by then */
	uint8_t loops;           /* threads for phones' connections; 0: one for each processor, at most 8 */
	uint16_t reset_rate;     /* 20: phones told to reset or restart in a second */
	enum cfg_duplicate duplicate; /* evict: a second registration of a name ends the first */
	bool mic_only;           /* true (admit): a MIC is enough to register; false (refuse): it takes an LSC of our CAPF */
	uint32_t register_rate;  /* 2000 registrations a second, and as many at once; 0: no limit */
	uint16_t keepalive_grace_s; /* 1.5 times keepalive_s: so much later than that a phone is taken for gone */
	uint64_t auto_first, auto_last; /* numbers of phones that register by themselves; both 0: none do */
	uint8_t auto_digits;     /* of each number, leading zeros included; 1 to 15 */
};

struct cfg_ident_key {
	char *identity;          /* "SAST1" and so on: pki/signer/state.h */
	char *key;               /* "rsa-2048", ..., "ec-p384", or a pkcs11: URI of a key that is in a token */
};

struct cfg_signer {
	char *kek_file;          /* STATE/signer/kek: 32 bytes, mode 0400, made at first start; "credential:NAME": systemd's */
	char *pkcs11_uri;        /* not set: software keys; a token whose keys SAST1 and SAST2 are those identities */
	char *pkcs11_module;     /* not set: OpenSSL's and p11-kit's choice */
	char *pkcs11_pin;        /* file with the PIN, mode 0400, or "credential:NAME" */
	struct cfg_ident_key *keys; /* kinds of the keys made at first start; NULL: defaults */
	unsigned keys_count;
	char *cluster_name;      /* "ravelin": in the subject of what is made at first start */
	enum cfg_key_type server_key; /* rsa-2048: of the TLS server certificates made at first start */
	char **server_names;     /* DNS names and addresses for their subjectAltName; empty: sccp.listen */
	unsigned server_names_count;
	uint16_t lsc_days;       /* 1825 */
	uint16_t ca_days;        /* 3650 */
	uint16_t server_days;    /* 1825 */
	char **trust;            /* PEM files with further CAs that may issue phone certificates (MIC roots) */
	unsigned trust_count;
};

struct cfg_capture { /* packet capture of media legs, and of phones' signalling */
	bool enabled;            /* false: none can be started */
	enum cfg_capture_plain plain; /* deny: of decrypted media */
	enum cfg_capture_plain signalling; /* deny: of decrypted signalling; keys: with the media keys in it, too */
	char *directory;         /* STATE/captures */
	uint32_t max_s;          /* 600: the longest one */
	uint32_t max_mb;         /* 256: the largest file */
};

struct cfg_moh_source { /* of music on hold; files are in cfg_moh.directory, NULL: none of this kind */
	char *name;
	char *file;              /* .wav or .pcm, 8 kHz, 16 bit, one channel: for G.711 */
	char *g722;              /* what is sent, as it is; a leg of that codec hears nothing without */
	char *g729;
};

struct cfg_moh {
	char *directory;         /* STATE/moh */
	char *user;              /* NULL: a party that a phone holds hears a tone; else the name of a source */
	char *network;           /* the same while a call is transferred, parked or joined */
	struct cfg_moh_source *sources;
	unsigned sources_count;
};

struct cfg_oauth { /* who issues the bearer tokens of phones (SIP OAuth) */
	char *issuer;   /* "iss" of a token; NULL: no token is taken, and devices that need one get 401 */
	char *keys;     /* file with the issuer's public keys: JWKS, or PEM */
	char *audience; /* "aud" must hold it; NULL: not looked at */
	char *scope;    /* "scope" must hold it; "tftp" */
};

enum cfg_phone_class { CFG_CLASS_79XX = 1, CFG_CLASS_MODERN }; /* as enum pki_tl_class */

struct cfg_provision { /* what phones boot from */
	char *listen;             /* "0.0.0.0" */
	uint16_t tftp_port;       /* 69; 0: off; so are the others */
	uint16_t http_port;       /* 6970 */
	uint16_t https_port;      /* 6972 */
	uint16_t token_port;      /* 6971: demands a bearer token of devices whose profile says so */
	char *directory;          /* operator's files; STATE/files */
	uint16_t threads;         /* 1: serving threads, beside the event loop */
	enum cfg_phone_class default_class; /* modern: of lists asked for without a device, and of unknown models */
	uint32_t max_transfers;   /* 4096 TFTP transfers at once */
	uint32_t max_source;      /* 16 of one source address, TFTP transfers or HTTP connections */
	uint16_t blksize_max;     /* 1428 */
	uint16_t windowsize_max;  /* 16 */
	uint16_t timeout_ms;      /* 1000 until the first retransmission of TFTP */
	uint8_t retries;          /* 5 */
	uint32_t max_connections; /* 20000 HTTP and HTTPS */
	uint16_t idle_s;          /* 30: between requests of a connection */
	uint32_t min_rate;        /* 1024 bytes a second that a client must take or send, or it is cut off; 0: any */
	char **call_managers;     /* names or addresses written into phones' files, in order; empty: signer.server_names, or sccp.listen */
	unsigned call_managers_count;
	bool auto_registration;   /* false; never in mixed mode */
	struct cfg_oauth oauth;
};

struct cfg_ctl_provider {
	char *listen;   /* "0.0.0.0" */
	uint16_t port;  /* 0: off; CallManager's is 2444 */
};

#define CFG_SCEP_RA_MAX 2

struct cfg_scep { /* the CA of a third party that issues phones' certificates (RFC 8894) */
	char *url;            /* http://HOST[:PORT]/PATH; NULL: none */
	char *identifier;     /* of the CA or its profile at that server: the parameter of GetCACert and GetCACaps; "" none */
	uint8_t ca_sha256[32]; /* of the CA's certificate */
	uint8_t ra_sha256[CFG_SCEP_RA_MAX][32]; /* of registration authorities' that stand in for it: one, or one to sign and one to encrypt */
	uint32_t ra_cnt;      /* 0: the CA itself alone is believed */
	char *challenge;      /* file with the challenge password, mode 0400, or "credential:NAME"; NULL: none */
	uint16_t timeout_s;   /* 20: of one exchange, all of its HTTP requests together */
	uint32_t poll_s;      /* 300: between two questions about a request that waits */
	uint16_t give_up_h;   /* 168: a request that still waits then has failed */
	bool old_crypto;      /* false: SHA-1, triple DES and DES are taken from the CA */
};

enum { CFG_ISSUER_OWN, CFG_ISSUER_BATCH, CFG_ISSUER_SCEP };

struct cfg_enrol { /* where phones get their certificates, and ask about others' */
	char *listen;             /* "0.0.0.0" */
	uint16_t capf_port;       /* 3804; 0: off */
	uint16_t tvs_port;        /* 2445; 0: off */
	uint32_t tvs_ttl_s;       /* 86400: how long phones may believe an answer */
	uint32_t max_connections; /* 20000 */
	uint32_t max_preauth;     /* 1024: connections of phones that have not shown who they are */
	uint32_t max_source;      /* 64 of those of one source address */
	uint16_t handshake_s;     /* 90: old phones take a minute with a 2,048-bit key (004b:CAPF-08) */
	uint16_t expires_days;    /* 10: an operation without a deadline of its own is given up then */
	uint16_t crl_days;        /* 7: validity of the revocation list; made anew at half of it */
	uint8_t issuer;           /* CFG_ISSUER_*: who issues phones' certificates; own */
	struct cfg_scep scep;
	bool old_keys;            /* false: RSA keys of 512 and 1024 bits may be asked of phones that can do no better */
};

struct cfg_sa { /* a manual SA; both ends by hand */
	char *gateway;    /* name of the gateway whose MGCP it carries */
	char *direction;  /* in, out */
	uint32_t spi;
	char *mode;       /* transport, tunnel */
	char *algorithm;  /* aes-gcm-128, aes-cbc-256-sha256, ...: which there are, and their keys' lengths, is the controlplane's to know */
	char *key;        /* hex: cipher key, for GCM and CTR with the 4-byte salt behind it; NULL: not given */
	char *auth_key;   /* hex: key of the HMAC; NULL: not given */
	char *local;      /* outer addresses; a port means UDP encapsulation */
	char *remote;
	bool esn;
	uint16_t window;  /* inbound: anti-replay, packets; 0: 192 */
	uint64_t hard_s, hard_bytes, hard_packets; /* lifetimes, 0: none; they begin with the dataplane */
	uint16_t tfc;     /* out, tunnel: inner packets are padded to so many bytes; 0: not */
	bool keepalive;   /* out, in UDP: NAT keepalives */
	uint64_t soft_s, soft_bytes, soft_packets; /* 0: nine tenths of the hard one */
};

enum cfg_policy_action { CFG_POLICY_BYPASS = 1, CFG_POLICY_PROTECT, CFG_POLICY_DISCARD };
enum cfg_policy_df { CFG_POLICY_DF_COPY, CFG_POLICY_DF_SET, CFG_POLICY_DF_CLEAR };

struct cfg_policy { /* the first of the list that fits decides */
	enum cfg_policy_action action;
	bool in, out;
	struct cfg_addr local, remote; /* prefixes; family 0: any */
	uint8_t proto;           /* 0: any */
	uint16_t local_lo, local_hi, remote_lo, remote_hi; /* ports; 0 and 65535: any */
	uint8_t icmp_lo, icmp_hi; /* message types; 0 and 255: any */
	enum cfg_policy_df df;   /* copy */
	uint8_t dscp;            /* 255: copied */
};

struct cfg_ipsec {
	bool old_algorithms;     /* deny: 3DES and NULL */
	uint8_t dummy_pps;       /* 0: dummy packets a second on each SA to a gateway */
	struct cfg_policy *policies;
	unsigned policies_count;
};

enum { CFG_IKE_KERNEL, CFG_IKE_SOCKET };

struct cfg_ike {
	bool enable;             /* false: no charon; gateways have SAs by hand only */
	uint8_t source;          /* CFG_IKE_*: where charon's SAs are seen: in the kernel, or at our own socket instead */
	char *vici;              /* charon's control socket; /run/charon.vici */
	char *socket;            /* where libravelin-xfrm.so brings charon; PATHS.RUN/xfrm.sock */
};

enum cfg_claim { CFG_CLAIM_PARTNERS, CFG_CLAIM_ANY, CFG_CLAIM_NONE };
#define CFG_AGENTS 8

struct cfg_mgcp {
	char *local;             /* ADDRESS[:PORT] of the call agent, a dataplane address; port 2727 */
	char **agents;           /* at most CFG_AGENTS: our own name for N:, [NAME@]HOST; partners' [NAME@]HOST[:PORT] behind it; none: no N: is said */
	unsigned agents_count;
	uint8_t claim;           /* enum cfg_claim: whose endpoints are claimed */
	uint16_t answer_s;       /* 60: how long a called party may ring */
	uint32_t audit_rate;     /* 4000: questions a second that gateways are asked without a call, all of them together */
};

enum cfg_tone { CFG_TONE_OFF, CFG_TONE_LOCAL, CFG_TONE_REMOTE, CFG_TONE_BOTH };
/* "8000-8099": numbers of a fixed length. */
struct cfg_range {
	uint64_t first, last;
	uint8_t digits;          /* of each, leading zeros included, 1 to 15; 0: there are none */
};

struct cfg_calls {
	uint16_t max_per_line;   /* 4: calls on one line of a phone */
	uint16_t busy_trigger;   /* 2: as many, and the next caller hears busy */
	enum cfg_tone secure_tone; /* local: who hears the tone of a protected phone */
	uint32_t cdr_max;        /* 1000000: call detail records kept, the newest; 0: all */
	uint16_t cdr_days;       /* 90: and for so long; 0: for ever */
	uint16_t interdigit_s;   /* 4: T302, after a digit when more could follow */
	uint16_t no_answer_s;    /* 12: ringing until a line's no-answer number is called, unless the line says */
	uint16_t forward_hops;   /* 12: forwards of one call */
	struct cfg_range park;   /* numbers that calls are parked at, at most 1000 */
	uint16_t park_reversion_s; /* 60: then the phone that parked it rings */
	char *voicemail;         /* pilot's number; NULL: none. So are the others */
	char **pickup_other;     /* "7000 7001 7002": a pickup group, and those that its phones may take from, too, in that order */
	unsigned pickup_other_count;
	char *mwi_on, *mwi_off;  /* what voice-mail ports dial, with a line's number behind it */
};

enum { CFG_DROP_CONTROLLER, CFG_DROP_ONNET, CFG_DROP_NEVER };
enum { CFG_ADD_CONTROLLER, CFG_ADD_ANYONE };
enum { CFG_LEVEL_NONE, CFG_LEVEL_AUTHENTICATED, CFG_LEVEL_ENCRYPTED };

struct cfg_meetme { /* numbers by which conferences are dialled */
	struct cfg_range numbers;
	uint8_t security; /* CFG_LEVEL_*: the least that members must have */
};

struct cfg_conference {
	uint8_t drop;     /* CFG_DROP_*: when an ad hoc conference ends before only two are left; onnet */
	uint8_t add;      /* CFG_ADD_*: who may add to it; controller */
	uint8_t security; /* CFG_LEVEL_* of ad hoc conferences; none */
	struct cfg_meetme *meetme;
	unsigned meetme_count;
};

struct cfg {
	struct cfg_paths paths;
	struct cfg_log_section log;
	struct cfg_dataplane dataplane;
	struct cfg_media media;
	struct cfg_sccp sccp;
	struct cfg_signer signer;
	struct cfg_mgcp mgcp;
	struct cfg_calls calls;
	struct cfg_conference conference;
	struct cfg_provision provision;
	struct cfg_ctl_provider ctl_provider;
	struct cfg_enrol enrol;
	struct cfg_capture capture;
	struct cfg_moh moh;
	struct cfg_ipsec ipsec;
	struct cfg_ike ike;
	struct cfg_sa *sas;
	unsigned sas_count;
	struct cfg_addr mgcp_local; /* parsed mgcp.local */
};

/**
 * Read, complete with defaults and check 'path' (NULL: defaults only). On error returns -EINVAL (content),
 * -ENOENT and others (file), with one line that names key, value and range in 'err'. The caller owns
 * *ret_cfg: cfg_free().
 */
int cfg_load(const char *path, struct cfg **ret_cfg, char *err, size_t err_size);

/** The same from memory, for tests and fuzzing. */
int cfg_load_data(const uint8_t *data, size_t len, struct cfg **ret_cfg, char *err, size_t err_size);

/** The source of a name, or NULL; so of the name NULL. */
const struct cfg_moh_source *cfg_moh_find(const struct cfg_moh *m, const char *name);

/** Frees; wipes what held keys. NULL is allowed. */
void cfg_free(struct cfg *cfg);

#endif
