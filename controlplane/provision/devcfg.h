/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A phone's configuration: what holds for it and why (effective.c), and the XML that says so (devcfg.c; wire formats section 7).
 * Gathering reads records and runs on the event loop; building runs anywhere and touches nothing but its arguments.
 */
#ifndef CP_PROVISION_DEVCFG_H
#define CP_PROVISION_DEVCFG_H

#include <openssl/x509.h>

#include "config.h"
#include "store/phonecfg.h"

struct cp_store;

#define CP_SCCP_TLS_PORT 2443 /* what phones try: wire formats section 6.2 */

enum cp_from { /* who says so */
	CP_FROM_DEFAULT,
	CP_FROM_CLUSTER, /* the cluster's record */
	CP_FROM_PROFILE,
	CP_FROM_DEVICE,
	CP_FROM_MODE,    /* the cluster's security mode */
	CP_FROM_MODEL,
	CP_FROM_MAX
};
const char *cp_from_name(enum cp_from from);

struct cp_devcfg { /* what holds for a phone; everything its own */
	/* the phone */
	char device[CP_DEVICE_NAME_MAX]; /* "": of XMLDefault */
	char model[CP_TEXT_MAX], description[CP_TEXT_MAX], profile[CP_NAME_MAX];
	bool profile_missing;            /* it names one that there is not: the device's own settings hold */
	uint8_t protocol;                /* CP_PROTOCOL_SCCP or SIP */
	unsigned line_cnt;
	struct cp_line *lines;
	/* how it is secured */
	bool mixed;
	enum cp_device_mode mode_set;    /* what is demanded */
	enum cp_device_mode mode;        /* what holds: nonsecure in a non-secure cluster (004b:SEC-07) */
	uint8_t transport;               /* transportLayerProtocol: 1 TCP, 2 UDP, 3 TLS, 4 default */
	bool digest, digest_exclude, plain_secrets, oauth, oauth_set, no_verify;
	bool encrypted_set;              /* the profile demands an encrypted configuration */
	bool encrypted;                  /* and there is a key for it */
	uint8_t capf_auth;
	uint16_t port;
	uint32_t nonce_s;
	char digest_user[CP_TEXT_MAX];
	struct cp_buf digest_secret, config_key; /* sealed */
	X509 *cert;                      /* the phone's, NULL: not known */
	bool cert_wraps;                 /* its key is RSA */
	/* the rest */
	char load[CP_LOAD_MAX], user_locale[CP_LOCALE_MAX], network_locale[CP_LOCALE_MAX], ciphers_off[CP_LOCALE_MAX];
	struct cp_harden harden;         /* none is DEFAULT */
	struct cp_srst srst;             /* name "": none */
	bool srst_secure;                /* all four conditions of 004b:SRST-06 hold */
	char server[5][64];              /* call managers in order; CAPF and TVS are there too */
	unsigned server_cnt;
	uint16_t capf_port;
	uint16_t sccp_port, sccp_tls_port; /* of the second no element tells: phones know 2443 */
	uint8_t ip_mode;                 /* ipAddressMode: 0 IPv4, 1 IPv6, 2 both */
	struct cp_cluster cluster;
	/* who said so */
	struct {
		uint8_t mode, protocol, transport, load, user_locale, network_locale, srst, digest, encrypted, oauth, capf;
		uint8_t harden[CP_HARDEN_CNT];
	} from; /* enum cp_from */
};

/** What holds for a device; 'device' NULL: for phones that nobody knows (XMLDefault). 0, -ENOENT, -ENOMEM. */
int cp_devcfg_gather(const struct cp_store *store, const struct cfg *cfg, bool mixed, const char *device,
		     struct cp_devcfg *ret);
void cp_devcfg_free(struct cp_devcfg *c);

enum cp_devcfg_form {
	CP_DEVCFG_FULL,
	CP_DEVCFG_SHORT, /* beside an encrypted one: wire formats section 3 */
	CP_DEVCFG_DEFAULT, /* XMLDefault.cnf.xml */
};

/**
 * The XML. 'secret' (may be NULL) is the digest password in clear: it is written if given. *ret: malloc'ed, wiped by the caller if
 * there was a secret. The versionStamp changes if and only if the rest does. 0, -ENOMEM, -EINVAL (a certificate cannot be hashed).
 */
int cp_devcfg_build(const struct cp_devcfg *c, enum cp_devcfg_form form, const char *secret, struct cp_buf *ret);

/** May the digest password stand in a file of this kind (001:P1-074, P1-138)? */
bool cp_devcfg_secret_ok(const struct cp_devcfg *c, bool protected_);

/** Is there a key that this configuration can be encrypted for, and which: the certificate, else the symmetric key. */
bool cp_devcfg_can_encrypt(const struct cp_devcfg *c);

#endif
