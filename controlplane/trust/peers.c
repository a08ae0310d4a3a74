/* SPDX-License-Identifier: BSD-3-Clause */
#include "trust/peers.h"

#include <string.h>

#include <openssl/x509v3.h>

#include "trust/certs.h"
#include "trust/itl.h"

enum cp_peer cp_peer_kind(X509 *cert)
{
	uint32_t flags = X509_get_extension_flags(cert);

	if (X509_check_ca(cert) == 1 || (X509_get_key_usage(cert) & KU_DIGITAL_SIGNATURE) == 0)
		return CP_PEER_OTHER;
	if ((flags & EXFLAG_XKUSAGE) == 0)
		return CP_PEER_SIGNER;
	return (X509_get_extended_key_usage(cert) & XKU_SSL_SERVER) != 0 ? CP_PEER_TVS : CP_PEER_OTHER;
}

X509 *cp_peer_tvs(const struct cp_certs *certs, unsigned n)
{
	STACK_OF(X509) *list = cp_certs_trusted(certs, CP_TS_TVS);
	X509 *own = cp_certs_own(certs, "TVS"), *ret = NULL;

	/* The store's order is that of uploads, and after a restart another one: a list must not be made anew for that. */
	for (int i = 0; i < sk_X509_num(list) && ret == NULL; i++) {
		X509 *c = sk_X509_value(list, i);
		unsigned before = 0;

		if (cp_peer_kind(c) != CP_PEER_TVS || cp_cert_same(c, own))
			continue;
		for (int k = 0; k < sk_X509_num(list); k++) {
			X509 *o = sk_X509_value(list, k);

			before += k != i && cp_peer_kind(o) == CP_PEER_TVS && !cp_cert_same(o, own) && X509_cmp(o, c) < 0;
		}
		if (before == n) {
			X509_up_ref(c);
			ret = c;
		}
	}
	X509_free(own);
	sk_X509_pop_free(list, X509_free);
	return ret;
}

const char *cp_peer_name(X509 *cert)
{
	const X509_NAME *name = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	const ASN1_STRING *cn = at >= 0 ? X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)) : NULL;
	const char *text = cn != NULL ? (const char *)ASN1_STRING_get0_data(cn) : NULL;
	size_t len = cn != NULL ? (size_t)ASN1_STRING_length(cn) : 0;

	if (len == 0 || len >= PKI_TL_NAME_MAX || ASN1_STRING_type(cn) == V_ASN1_BMPSTRING || ASN1_STRING_type(cn) == V_ASN1_UNIVERSALSTRING)
		return NULL;
	for (size_t i = 0; i < len; i++)
		if (text[i] < 0x21 || text[i] > 0x7e)
			return NULL;
	return text; /* OpenSSL puts a NUL behind it */
}
