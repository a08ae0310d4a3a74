/* SPDX-License-Identifier: BSD-3-Clause */
/* Trust lists from anywhere: parsed, verified by their own records, looked through, and what signers are asked to sign. */
#include <stdlib.h>
#include <string.h>

#include "trustlist.h"
#include "x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pki_tl tl, again;

static void inside(const void *p, size_t len, const uint8_t *file, size_t size)
{
	const uint8_t *b = p;

	if (p != NULL && (b < file || b > file + size || len > (size_t)(file + size - b)))
		abort();
}

static void look_through(const struct pki_tl *l, size_t header)
{
	size_t at = header;

	inside(l->signer, strlen(l->signer) + 1, l->file, l->file_len);
	inside(l->issuer, strlen(l->issuer) + 1, l->file, l->file_len);
	inside(l->filename, strlen(l->filename) + 1, l->file, l->file_len);
	inside(l->serial, l->serial_len, l->file, l->file_len);
	inside(l->sig, l->sig_len, l->file, l->file_len);
	for (unsigned i = 0; i < l->rec_cnt; i++) {
		const struct pki_tl_rec *r = &l->rec[i];
		X509 *cert = NULL;

		if (r->off != at)
			abort();
		at += r->len;
		inside(r->dns, r->dns != NULL ? strlen(r->dns) + 1 : 0, l->file, l->file_len);
		inside(r->serial, r->serial_len, l->file, l->file_len);
		inside(r->pubkey, r->pubkey_len, l->file, l->file_len);
		inside(r->sig, r->sig_len, l->file, l->file_len);
		inside(r->cert, r->cert_len, l->file, l->file_len);
		inside(r->ip, 4, l->file, l->file_len);
		(void)pki_tl_role_name(r->role);
		if (r->subject != NULL && r->issuer != NULL &&
		    pki_tl_dn_equal(r->subject, r->issuer) != pki_tl_dn_equal(r->issuer, r->subject))
			abort();
		if (r->cert != NULL && pki_cert_parse(r->cert, r->cert_len, &cert) == 0) {
			char why[128];

			(void)pki_tl_find(l, cert, r->role);
			(void)pki_tl_check_cert(pki_tl_class_limits(PKI_CLASS_MODERN), cert, why, sizeof(why));
			X509_free(cert);
		}
	}
	if (at != l->file_len)
		abort(); /* nothing follows the last record */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t sig[512];
	char why[128] = "";
	enum pki_tl_kind kind;
	uint8_t *out;
	size_t len;

	if (pki_tl_parse(data, size, &tl, why, sizeof(why)) == 0) {
		look_through(&tl, tl.header_len);
		(void)pki_tl_kind_of(&tl, &kind);
		if (pki_tl_verify(&tl, NULL, NULL, why, sizeof(why)) == 0) {
			/* then a bit of the end does not pass */
			uint8_t *copy = malloc(size);

			memcpy(copy, data, size);
			copy[size - 1] ^= 1;
			if (pki_tl_parse(copy, size, &again, why, sizeof(why)) == 0 &&
			    pki_tl_verify(&again, &tl, NULL, why, sizeof(why)) == 0)
				abort();
			free(copy);
		}
	} else if (why[0] == '\0') {
		abort();
	}
	if (pki_tl_parse_tbs(data, size, &tl, why, sizeof(why)) == 0) {
		look_through(&tl, tl.header_len - tl.sig_len - 3);
		if (tl.sig != NULL || tl.sig_len > sizeof(sig))
			abort();
		if (pki_tl_finish(data, size, sig, tl.sig_len, &out, &len) != 0)
			abort();
		if (len != size + tl.sig_len + 3 || pki_tl_parse(out, len, &again, why, sizeof(why)) != 0 ||
		    again.rec_cnt != tl.rec_cnt || again.sig_tlv_off != tl.sig_tlv_off || again.digest != tl.digest)
			abort();
		OPENSSL_free(out);
	}
	return 0;
}
