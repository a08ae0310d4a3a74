/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration as libcyaml loads it: keys and nesting are checked, every scalar is text, NULL
 * when the key is not there. config.c reads numbers and words from it: libcyaml 1.3.1 takes
 * "12junk" for 12 and any unknown word for a true boolean. Private to config/.
 */
#ifndef CFG_RAW_H
#define CFG_RAW_H

#include <stddef.h>
#include <stdint.h>

struct cfg_scan;

struct raw_paths {
	char *state, *run;
};

struct raw_log {
	char *format, *level;
};

struct raw_port {
	char *device;
	char **addresses;
	unsigned addresses_count;
	char *gateway, *gateway6;
	char *vlan, *mtu, *mac, *punt;
};

struct raw_dataplane {
	char *main_lcore;
	char **worker_lcores;
	unsigned worker_lcores_count;
	char *huge_pages;
	char *fragments;
	char *memory_mb, *max_legs, *max_sas, *max_gateways, *mbufs, *ring_desc, *punt_pps;
	char *file_prefix;
	struct raw_port *ports;
	unsigned ports_count;
};

struct raw_media_addr {
	char *address, *region;
};

struct raw_region {
	char *name, *mode;
};

struct raw_media {
	char *base_port;
	struct raw_media_addr *addresses;
	unsigned addresses_count;
	char *mode;
	struct raw_region *regions;
	unsigned regions_count;
	char **suites;
	unsigned suites_count;
	char *rekey_s, *latch_max;
	char *window, *ssrc_max, *streams;
	char *idle_s;
	char *plain_latch;
	char *rtcp_mux;
	char *rate_pps, *source_pps;
	char *dscp, *ptime_ms;
	char *fallback;
};

struct raw_sccp {
	char *listen;
	char *port, *tls_port, *keepalive_s;
	char *date_template;
	char *legacy_tls;
	char *max_connections, *max_preauth, *handshake_s, *loops;
	char *reset_rate, *duplicate, *mic_only, *register_rate, *keepalive_grace_s, *auto_numbers;
};

struct raw_ident_key {
	char *identity, *key;
};

struct raw_signer {
	char *pkcs11_module, *pkcs11_pin;
	struct raw_ident_key *keys;
	unsigned keys_count;
	char *kek_file, *pkcs11_uri, *cluster_name;
	char *server_key;
	char **server_names;
	unsigned server_names_count;
	char *lsc_days, *ca_days, *server_days;
	char **trust;
	unsigned trust_count;
};

struct raw_calls {
	char *max_per_line, *busy_trigger;
	char *cdr_max, *cdr_days;
	char *interdigit_s, *no_answer_s, *forward_hops;
	char *secure_tone;
	char **pickup_other;
	unsigned pickup_other_count;
	char *park, *park_reversion_s, *voicemail, *mwi_on, *mwi_off;
};

struct raw_meetme {
	char *numbers, *security;
};

struct raw_conference {
	char *drop, *add, *security;
	struct raw_meetme *meetme;
	unsigned meetme_count;
};

struct raw_mgcp {
	char *local;
	char **agents;
	unsigned agents_count;
	char *claim;
	char *answer_s;
	char *audit_rate;
};

struct raw_oauth {
	char *issuer, *keys, *audience, *scope;
};

struct raw_provision {
	char *listen;
	char *tftp_port, *http_port, *https_port, *token_port;
	char *directory;
	char *threads;
	char *default_class;
	char *max_transfers, *max_source, *blksize_max, *windowsize_max, *timeout_ms, *retries;
	char *max_connections, *idle_s, *min_rate;
	char **call_managers;
	unsigned call_managers_count;
	char *auto_registration;
	struct raw_oauth *oauth;
};

struct raw_ctl_provider {
	char *listen, *port;
};

struct raw_scep {
	char *url, *identifier, *ca_sha256, *ra_sha256, *challenge;
	char *timeout_s, *poll_s, *give_up_h;
	char *old_crypto;
};

struct raw_enrol {
	char *listen;
	char *capf_port, *tvs_port, *tvs_ttl_s;
	char *max_connections, *max_preauth, *max_source, *handshake_s;
	char *expires_days, *crl_days;
	char *old_keys;
	char *issuer;
	struct raw_scep *scep;
};

struct raw_capture {
	char *enabled, *plain, *signalling, *directory;
	char *max_s, *max_mb;
};

struct raw_moh_source {
	char *name, *file, *g722, *g729;
};

struct raw_moh {
	char *directory, *user, *network;
	struct raw_moh_source *sources;
	unsigned sources_count;
};

struct raw_sa {
	char *gateway, *direction;
	char *spi;
	char *mode, *algorithm, *key, *auth_key, *local, *remote;
	char *esn, *window, *tfc, *keepalive;
	char *hard_s, *hard_bytes, *hard_packets, *soft_s, *soft_bytes, *soft_packets;
};

struct raw_policy {
	char *action, *direction, *local, *remote, *protocol, *local_ports, *remote_ports, *icmp_types, *df, *dscp;
};

struct raw_ipsec {
	char *old_algorithms, *dummy_pps;
	struct raw_policy *policies;
	unsigned policies_count;
	struct raw_sa *sas;
	unsigned sas_count;
};

struct raw_ike {
	char *enable, *vici, *source, *socket;
};

struct raw_cfg {
	struct raw_paths *paths;
	struct raw_log *log;
	struct raw_dataplane *dataplane;
	struct raw_media *media;
	struct raw_sccp *sccp;
	struct raw_signer *signer;
	struct raw_mgcp *mgcp;
	struct raw_calls *calls;
	struct raw_conference *conference;
	struct raw_provision *provision;
	struct raw_ctl_provider *ctl_provider;
	struct raw_enrol *enrol;
	struct raw_capture *capture;
	struct raw_moh *moh;
	struct raw_ipsec *ipsec;
	struct raw_ike *ike;
};

/** Load; 0, -EINVAL with one line in err, -ENOMEM. The caller owns *ret_raw: cfg_raw_free(). */
int cfg_raw_load(const uint8_t *data, size_t len, const struct cfg_scan *scan,
                 struct raw_cfg **ret_raw, char *err, size_t err_size);

/** Frees and wipes everything. NULL is allowed. */
void cfg_raw_free(struct raw_cfg *raw);

#endif
