/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records of what phones are told beside their own device record: security profiles, SRST references, the cluster's settings,
 * a phone's certificate. In family profile under "profile/NAME", "srst/NAME" and "cluster", the certificate in family capf under
 * the device's name. Encoding and errors as records.h.
 */
#ifndef CP_STORE_PHONECFG_H
#define CP_STORE_PHONECFG_H

#include "records.h"

struct cp_store;

/* --- phone settings that harden (004b:HARD-01 to HARD-06 and the product-specific rest) --- */

struct cp_harden_row {
	const char *name;  /* as operators and the XML call it */
	const char *value[CP_SET_MAX]; /* in the XML, by enum cp_set; NULL: this setting is not possible */
	enum cp_set otherwise; /* what it is unless somebody says */
};
extern const struct cp_harden_row cp_harden_rows[CP_HARDEN_CNT];
/** "default", "on", "off", "restricted". */
const char *cp_set_name(enum cp_set set);
/** One setting by name: 0, -EINVAL with what is wrong in 'why'. */
int cp_harden_parse(struct cp_harden *h, const char *name, const char *value, char *why, size_t why_size);

/* --- profiles --- */

enum cp_transport { CP_TRANSPORT_MODE, CP_TRANSPORT_TCP, CP_TRANSPORT_UDP, CP_TRANSPORT_TLS }; /* MODE: as the mode needs it */
enum cp_capf_auth { CP_CAPF_NONE, CP_CAPF_STRING, CP_CAPF_NULL, CP_CAPF_LSC, CP_CAPF_MIC }; /* capfAuthMode in the file */

struct cp_profile {
	char name[CP_NAME_MAX];
	char description[CP_TEXT_MAX];
	uint8_t protocol;       /* enum cp_protocol */
	enum cp_device_mode mode;
	uint8_t transport;      /* enum cp_transport */
	bool digest;            /* SIP: requests of the phone are challenged */
	bool digest_exclude;    /* its credentials stay out of the file */
	bool oauth;             /* its configuration is for bearers of a token only */
	bool encrypted_config;
	bool no_verify;         /* the phones cannot verify signatures: their configuration is not signed */
	uint8_t capf_auth;      /* enum cp_capf_auth */
	char capf_key[16];      /* "rsa-2048", ..., "" not said */
	char capf_backup[16];   /* RSA key asked for when a phone cannot make the EC key; "" none */
	uint16_t port;          /* SIP port of the phone, 0: 5060 */
	uint32_t nonce_s;       /* validity of a digest nonce, 0: 600 */
	char load[CP_LOAD_MAX]; /* firmware */
	char user_locale[CP_LOCALE_MAX], network_locale[CP_LOCALE_MAX];
	char srst[CP_NAME_MAX];
	char ciphers_off[CP_LOCALE_MAX]; /* disableTLSCiphers: numbers and commas */
	struct cp_harden harden;
	int64_t changed_us;
	struct cp_buf unknown;
};

/* --- SRST references (004b:SRST-01 to SRST-13) --- */

#define CP_SRST_ADDRS_MAX 3
#define CP_SRST_CERT_PORT     2445 /* of a gateway's certificate provider, unless its reference says another */
#define CP_SRST_CERT_PORT_MIN 1024
#define CP_SRST_CERT_PORT_MAX 49151

struct cp_srst_addr {
	struct cfg_addr sccp, sip; /* family 0: not there; port 0: 2000, 5060 or 5061 */
};

struct cp_srst {
	char name[CP_NAME_MAX];
	unsigned addr_cnt;
	struct cp_srst_addr *addrs;
	bool user_modifiable;
	bool secure;         /* "Is SRST Secure?" */
	uint16_t cert_port;  /* of its certificate provider, 0: 2445 */
	struct cp_buf cert;  /* DER; none while it is not secure */
	int64_t changed_us;
	struct cp_buf unknown;
};

/* --- the cluster --- */

#define CP_URL_MAX 256 /* bytes with NUL: phones take 255 characters */
enum cp_url { CP_URL_AUTH, CP_URL_DIRECTORY, CP_URL_SERVICES, CP_URL_MESSAGES, CP_URL_IDLE, CP_URL_INFORMATION, CP_URL_CNT };

struct cp_cluster {
	bool sip_oauth;       /* "Cluster SIPOAuth Mode" (000:P0-58) */
	bool foreign_files;   /* phones behind one address (NAT) may ask for each other's files */
	bool plain_secrets;   /* digest credentials may stand in files that are not encrypted (001:P1-074) */
	char realm[CP_TEXT_MAX]; /* "SIP Station Realm" */
	char user_locale[CP_LOCALE_MAX], network_locale[CP_LOCALE_MAX];
	char srst[CP_NAME_MAX];
	char date_template[CP_LOCALE_MAX], time_zone[CP_TEXT_MAX];
	char load[CP_LOAD_MAX]; /* of phones that no record says one for: XMLDefault too */
	char url[CP_URL_CNT][CP_URL_MAX];
	uint32_t resumption_s;  /* TLSResumptionTimer, 0: 3600 */
	uint32_t monitor_s;     /* connectionMonitorDuration, 0: 120 */
	struct cp_harden harden;
	uint8_t bridge;       /* enum cp_set: built-in bridges of phones that do not say; DEFAULT: on (001:P1-129) */
	int64_t changed_us;
	struct cp_buf unknown;
};

struct cp_phone_cert { /* key: device */
	char device[CP_DEVICE_NAME_MAX];
	struct cp_buf cert;  /* DER */
	int64_t since_us;
	struct cp_buf unknown;
};

int cp_profile_build(const struct cp_profile *p, struct cp_buf *ret);
int cp_profile_parse(const uint8_t *data, size_t len, struct cp_profile *ret);
void cp_profile_free(struct cp_profile *p);
/**
 * Valid by itself? -EINVAL names the rule: OAuth excludes digest and encrypted configuration and needs encrypted mode over TLS
 * (000: ), an authentication string needs non-secure mode (004b:R-22), secure SIP needs TLS, an EC key cannot unwrap.
 */
int cp_profile_check(const struct cp_profile *p, char *why, size_t why_size);

int cp_srst_build(const struct cp_srst *s, struct cp_buf *ret);
int cp_srst_parse(const uint8_t *data, size_t len, struct cp_srst *ret);
void cp_srst_free(struct cp_srst *s);
int cp_srst_check(const struct cp_srst *s, char *why, size_t why_size);

int cp_cluster_build(const struct cp_cluster *c, struct cp_buf *ret);
int cp_cluster_parse(const uint8_t *data, size_t len, struct cp_cluster *ret);
void cp_cluster_free(struct cp_cluster *c);
int cp_cluster_check(const struct cp_cluster *c, char *why, size_t why_size);

int cp_phone_cert_build(const struct cp_phone_cert *c, struct cp_buf *ret);
int cp_phone_cert_parse(const uint8_t *data, size_t len, struct cp_phone_cert *ret);
void cp_phone_cert_free(struct cp_phone_cert *c);

/* Read from the synced view: 0, -ENOENT, -EBADMSG; to be freed. The cluster's record always reads: defaults if there is none. */
int cp_store_profile(const struct cp_store *store, const char *name, struct cp_profile *ret);
int cp_store_srst(const struct cp_store *store, const char *name, struct cp_srst *ret);
void cp_store_cluster(const struct cp_store *store, struct cp_cluster *ret);
int cp_store_phone_cert(const struct cp_store *store, const char *device, struct cp_phone_cert *ret);

const char *cp_protocol_name(unsigned protocol); /* "any", "sccp", "sip" */
int cp_protocol_parse(const char *name, uint8_t *ret);
const char *cp_transport_name(unsigned transport); /* "default", "tcp", "udp", "tls" */
int cp_transport_parse(const char *name, uint8_t *ret);
const char *cp_capf_auth_name(unsigned auth); /* "none", "string", "null", "lsc", "mic" */
int cp_capf_auth_parse(const char *name, uint8_t *ret);
/** Built-in bridge of a phone: "default", "on", "off". In effect: its own setting, else the cluster's, which is on unless it says off. */
const char *cp_bridge_name(unsigned bridge);
int cp_bridge_parse(const char *name, uint8_t *ret);
bool cp_bridge_on(uint8_t device, const struct cp_cluster *cluster);
/** Names of profiles and SRST references: 1 to 63 of letters, digits and . _ - (profiles: also of a certificate's DNS name). */
bool cp_conf_name_ok(const char *name);

#endif
