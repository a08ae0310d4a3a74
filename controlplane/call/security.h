/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a call's icon may claim. A call is as secure as its weakest leg: encrypted (lock) when every party's
 * signalling is authenticated and encrypted and its media is SRTP, authenticated (shield) when every party's
 * signalling is authenticated, otherwise not secure. 000 section 1.1, 004a security icons; the numbers are
 * those of SCCP's call security status (wire formats 6.5).
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
};

/** Status of one party by itself. */
enum cp_security cp_security_party(const struct cp_party_security *p);

/** Status of a call: the minimum over its parties. 'n' 0: unknown. */
enum cp_security cp_security_call(const struct cp_party_security *parties, unsigned n);

/** "encrypted", "authenticated", "not-secure", "unknown". */
const char *cp_security_name(enum cp_security s);

#endif
