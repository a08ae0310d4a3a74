/* SPDX-License-Identifier: BSD-3-Clause */
/* What charon is told of gateways, keys and certificates, as VICI requests. Pure: bytes out, nothing sent. */
#ifndef CP_IKECONF_H
#define CP_IKECONF_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "vici.h"

struct cfg_addr;
struct cp_gateway;

/**
 * load-conn of a gateway: a connection with one child, both of its name. 'agent' is mgcp.local; 'own' our certificate, for those
 * with certificates. NULL: no memory, or it has certificates and we have none.
 */
struct cp_vici_msg *cp_ike_conn(const struct cp_gateway *gw, const struct cfg_addr *agent, X509 *own);

/** load-shared: a pre-shared key, good for this gateway's identity and address only; 'psk' stays the caller's to wipe. */
struct cp_vici_msg *cp_ike_shared(const struct cp_gateway *gw, const uint8_t *psk, size_t len);

/** load-key, load-cert. 'ca': it may issue others. */
struct cp_vici_msg *cp_ike_key(EVP_PKEY *key);
struct cp_vici_msg *cp_ike_cert(X509 *cert, bool ca);

/** A request with string members: "terminate", "ike", "gw1", NULL. */
struct cp_vici_msg *cp_ike_plain(const char *cmd, ...) __attribute__((sentinel));

/** IKE's addresses of a gateway: as its record has them, or as they follow from it; without ports. */
void cp_ike_ends(const struct cp_gateway *gw, const struct cfg_addr *agent, struct cfg_addr *ret_local, struct cfg_addr *ret_remote);

#endif
