/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an AUTH_RESPONSE proves: that the phone has the string it was given, or the key of a certificate that names it. No state, no
 * I/O. wire-formats 4.7; 004b:CAPF-06 to CAPF-10.
 *
 * The signatures of elements 6 and 20 cover the device's name and the certificate and nothing of the session: who has heard one can
 * say it again. Element 16 covers the session's id. So a certificate alone shows who the phone says it is; that it has the key is
 * shown by element 16 where it is there, and else by nothing but TLS's confidentiality. Phones before SUDI send none.
 */
#ifndef CP_ENROL_CAPFAUTH_H
#define CP_ENROL_CAPFAUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "enrol/capfmsg.h"

enum cp_capf_proof {
	CP_CAPF_PROOF_LSC, /* issued by one of ours */
	CP_CAPF_PROOF_MIC, /* issued by a manufacturer that CAPF-trust has */
};

struct cp_capf_trust { /* borrowed; NULL: none of that kind is believed. pki_phone_store() makes them */
	X509_STORE *lsc, *mic;
	bool old_phones; /* element 20 may be missing: phones that know no SHA-2 */
	bool (*refused)(void *ctx, X509 *cert); /* it was deleted or revoked; NULL: none was */
	void *ctx;
};

/**
 * The string of the message is 'string' (digits; "" for the null string). Takes the same time whatever they are, as long as 'string'
 * is as long.
 */
bool cp_capf_string_ok(const struct cp_capf_msg *m, const char *string);

/**
 * The message's certificate: read, issued by who may, valid at 'now' (seconds since 1970), in the name of the device that the
 * message names; and each signature that is there is right, 6 and 20 needed. Element 16, where it is there, holds the same
 * certificate or another one of the same device that the same rules allow, and covers the message's session id.
 * 0 with a new reference in *ret_cert and its kind; -ENODATA: there is no certificate in it; -EBADMSG: what is no certificate, no
 * public key of a kind we know; -EACCES: not believed. 'why' says what was wrong, for a log line and the operator.
 */
int cp_capf_proof_check(const struct cp_capf_msg *m, const struct cp_capf_trust *trust, int64_t now, X509 **ret_cert,
			enum cp_capf_proof *ret_kind, char *why, size_t why_size);

#endif
