/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A token's key for signing a CTL here. OpenSSL 3 reaches PKCS#11 by the engine of libp11 only, whose interface it calls deprecated:
 * this file is the one of ravelinctl that uses it. The PIN comes with the URI (pin-value or pin-source). A token counts wrong
 * PINs itself and locks for good (15 times, CallManager's do): what it answers is passed on, and nothing is tried twice.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/engine.h>
#include <openssl/err.h>
#include <stdio.h>

#include "trust.h"

EVP_PKEY *ctl_token_key(const char *uri, char *why, size_t why_size)
{
	EVP_PKEY *key = NULL;
	ENGINE *e;

	ENGINE_load_builtin_engines();
	e = ENGINE_by_id("pkcs11");
	if (e == NULL) {
		snprintf(why, why_size, "Error Opening Security Token Store.: OpenSSL has no engine pkcs11 (libengine-pkcs11-openssl)");
		return NULL;
	}
	if (ENGINE_init(e) == 1) {
		key = ENGINE_load_private_key(e, uri, NULL, NULL);
		if (key == NULL)
			snprintf(why, why_size, "Could not Sign Message.: the token gives no key: %s",
				 ERR_reason_error_string(ERR_peek_error()) != NULL ? ERR_reason_error_string(ERR_peek_error()) :
										     "wrong URI, PIN, or locked");
		ENGINE_finish(e); /* the key keeps it */
	} else {
		snprintf(why, why_size, "Error Opening Security Token Store.: the PKCS#11 module cannot be loaded");
	}
	ENGINE_free(e);
	return key;
}
