/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a call's icon may claim: one pure function of its parties and of what lies in its path, asked again at every change.
 *
 * A call is as secure as its weakest part. Encrypted (lock): every device is trusted, every party's signalling is authenticated
 * and encrypted, and every stream is SRTP (000:P0-18 to P0-20, 001:P1-115). Authenticated (shield): every party's signalling is
 * authenticated (001:P1-114). One device that is not trusted makes the call not secure, whatever the rest is. Beyond a gateway's
 * telephone line nothing is known: the status speaks of the packets only (001:P1-122). The numbers are SCCP's (wire formats 6.5).
 */
#ifndef CP_SECURITY_H
#define CP_SECURITY_H

#include <stdbool.h>
#include <stdint.h>

enum cp_security {
	CP_SEC_UNKNOWN = 0,
	CP_SEC_NOT_SECURE = 1,
	CP_SEC_AUTHENTICATED = 2,
	CP_SEC_ENCRYPTED = 3,
};

/* What is known of one party. */
struct cp_party_security {
	bool authenticated;    /* signalling: certificate proven (phone), live SA (gateway) */
	bool signal_encrypted; /* signalling cannot be read on its way */
	bool media_encrypted;  /* both directions are SRTP */
	bool untrusted;        /* its type is not trusted (devtype.h) */
	bool guest;            /* barged into the call without security: it takes the shield from nobody (001:P1-126) */
};

/* What else the call passes, or is. */
struct cp_path_security {
	bool clear_stream;  /* music, a bridge, a transcoder: part of what is heard is not encrypted (001:P1-111, P1-119) */
	bool sip_trunk;     /* no lock, and unless 'sip_shield' no shield (001:P1-118, P1-108) */
	bool sip_shield;    /* operator's choice: a trunk whose signalling is TLS keeps the shield */
	bool h323_trunk;    /* no shield (001:P1-121) */
	bool shared_bridge; /* cBarge: the call manager sets it to not secure (001:P1-127) */
};

/** Status of one party by itself. */
enum cp_security cp_security_party(const struct cp_party_security *p);

/** Status of a call. 'n' 0: unknown. 'path' may be NULL: nothing but the parties. */
enum cp_security cp_security_call(const struct cp_party_security *parties, unsigned n, const struct cp_path_security *path);

/** "encrypted", "authenticated", "not-secure", "unknown". */
const char *cp_security_name(enum cp_security s);

#endif
