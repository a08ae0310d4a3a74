/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a gateway's record says of IKE (struct cp_gw_ike of store/records.h): its check, and the names of algorithms as operators write
 * them and as charon does. Pure.
 *
 *     IKE  aes-cbc-N-HASH/GROUP, aes-gcm-N-HASH/GROUP (the hash is the PRF's), 3des-cbc-HASH/GROUP
 *     ESP  as 'sa add' has them (api/dp_esp.h), perhaps with /GROUP: perfect forward secrecy
 *     N 128, 192, 256; HASH sha1, sha256, sha384, sha512
 *     GROUP x25519, x448, ecp256, ecp384, ecp521, modp2048, 3072, 4096, 6144, 8192; modp1024, modp1536
 */
#ifndef CP_IKEREC_H
#define CP_IKEREC_H

#include <stdbool.h>
#include <stddef.h>

#include "store/records.h"

/* Unless a record says otherwise. */
#define CP_IKE_DPD_S    30
#define CP_IKE_REKEY_S  14400
#define CP_IKE_CHILD_S  3600

#define CP_IKE_CHARON_MAX 512 /* bytes of a list of proposals as charon writes them */

/**
 * A list of proposals, parted by commas, in charon's names; "": the defaults of the version. 'esn': with extended sequence
 * numbers. 0; -EINVAL with 'why' names the one that is none.
 */
int cp_ike_proposals(const char *list, unsigned version, char ret[CP_IKE_CHARON_MAX], char *why, size_t why_size);
int cp_ike_esp(const char *list, unsigned version, bool esn, char ret[CP_IKE_CHARON_MAX], char *why, size_t why_size);

/** May it be, as the configuration is? 0; -EPERM with 'why': an algorithm or group is old, and ipsec.old_algorithms does not allow them. */
int cp_ike_allowed(const struct cp_gw_ike *ike, bool old_allowed, char *why, size_t why_size);

/** Consistent by itself: 0, or -EINVAL with 'why' (part of cp_gateway_check()). */
int cp_ike_check(const struct cp_gateway *gw, char *why, size_t why_size);

/** What charon is told of the two is the same. */
bool cp_ike_same(const struct cp_gateway *a, const struct cp_gateway *b);

#endif
