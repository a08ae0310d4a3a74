/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Other nodes of the cluster, as phones need them: what an operator put into TVS-trust. A node's TVS certificate is listed in our ITL, so
 * that phones may ask that node when we do not answer; the certificate that signs a node's lists is vouched for when phones ask us who
 * signed (002:P2-12, P2-13). What is which is seen by the certificate: a TVS says in its extended key usage that it is a TLS server; a
 * signer of lists has none at all.
 */
#ifndef CP_PEERS_H
#define CP_PEERS_H

#include <openssl/x509.h>

#include "trustlist.h"

struct cp_certs;

#define CP_PEERS_TVS_MAX 4 /* in an ITL beside ours: a phone's configuration names five */

enum cp_peer { CP_PEER_OTHER, CP_PEER_TVS, CP_PEER_SIGNER };
enum cp_peer cp_peer_kind(X509 *cert);

/** TVS certificate number 'n' (from 0) of TVS-trust, in an order that stays, without our own one; a reference, or NULL. */
X509 *cp_peer_tvs(const struct cp_certs *certs, unsigned n);

/** The node's name for its record in a list: the common name, borrowed from the certificate; NULL: it has none that fits. */
const char *cp_peer_name(X509 *cert);

#endif
