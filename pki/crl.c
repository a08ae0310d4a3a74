/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "crl.h"
#include "wire.h"

#define BACKDATE_S 300
#define DAY_S      86400

int pki_crl_entry(const uint8_t *serial, size_t len, int64_t at, unsigned reason, uint8_t *buf)
{
	struct pki_wr w = pki_wr_init(buf, PKI_CRL_ENTRY_MAX);

	if (len == 0 || len > PKI_CRL_SERIAL_MAX || at < 0 || reason > 10 || reason == 7) /* 7 is not used: RFC 5280 5.3.1 */
		return -EINVAL;
	pki_wr_u8(&w, (uint8_t)len);
	pki_wr_bytes(&w, serial, len);
	pki_wr_u64(&w, (uint64_t)at);
	pki_wr_u8(&w, (uint8_t)reason);
	return (int)(1 + len + 9);
}

/* One entry, of what is left in 'rd'. */
static int add_one(X509_CRL *crl, struct pki_rd *rd, int64_t now)
{
	size_t n = pki_rd_u8(rd);
	const uint8_t *serial = pki_rd_bytes(rd, n);
	uint64_t at = pki_rd_u64(rd);
	unsigned reason = pki_rd_u8(rd);
	X509_REVOKED *r = NULL;
	ASN1_INTEGER *number = NULL;
	ASN1_ENUMERATED *why = NULL;
	ASN1_TIME *time = NULL;
	BIGNUM *bn = NULL;
	int rc = -EBADMSG;

	if (rd->bad || n == 0 || n > PKI_CRL_SERIAL_MAX || reason > 10 || reason == 7 || at > (uint64_t)(now + DAY_S))
		return -EBADMSG;
	rc = -EIO;
	r = X509_REVOKED_new();
	bn = BN_bin2bn(serial, (int)n, NULL);
	number = bn != NULL ? BN_to_ASN1_INTEGER(bn, NULL) : NULL;
	time = ASN1_TIME_adj(NULL, (time_t)at, 0, 0);
	if (r == NULL || number == NULL || time == NULL || X509_REVOKED_set_serialNumber(r, number) != 1 ||
	    X509_REVOKED_set_revocationDate(r, time) != 1)
		goto out;
	if (reason != 0) { /* "unspecified" is not said: RFC 5280 5.3.1 */
		why = ASN1_ENUMERATED_new();
		if (why == NULL || ASN1_ENUMERATED_set(why, (long)reason) != 1 ||
		    X509_REVOKED_add1_ext_i2d(r, NID_crl_reason, why, 0, 0) != 1)
			goto out;
	}
	if (X509_CRL_add0_revoked(crl, r) == 1) {
		r = NULL;
		rc = 0;
	}
out:
	X509_REVOKED_free(r);
	ASN1_INTEGER_free(number);
	ASN1_ENUMERATED_free(why);
	ASN1_TIME_free(time);
	BN_free(bn);
	return rc;
}

static int add_exts(X509_CRL *crl, X509 *ca, uint32_t number)
{
	ASN1_INTEGER *n = ASN1_INTEGER_new();
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	int ok;

	X509V3_set_ctx(&ctx, ca, NULL, NULL, crl, 0);
	X509V3_set_ctx_nodb(&ctx);
	/* a third party's issuer may have no key identifier to point to */
	ext = X509_get0_subject_key_id(ca) != NULL ? X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always") : NULL;
	ok = (ext == NULL ? X509_get0_subject_key_id(ca) == NULL : X509_CRL_add_ext(crl, ext, -1) == 1) && n != NULL && ASN1_INTEGER_set_uint64(n, number) == 1 &&
	     X509_CRL_add1_ext_i2d(crl, NID_crl_number, n, 0, 0) == 1;
	X509_EXTENSION_free(ext);
	ASN1_INTEGER_free(n);
	return ok ? 0 : -EIO;
}

int pki_crl_issue(const struct pki_ca *ca, const uint8_t *entries, size_t len, uint32_t number, int64_t now, uint32_t valid_s,
		  uint8_t **ret_der, size_t *ret_len)
{
	struct pki_rd rd = pki_rd_init(entries, len);
	ASN1_TIME *from = NULL, *to = NULL;
	X509_CRL *crl = NULL;
	STACK_OF(X509_REVOKED) *all;
	unsigned char *der = NULL;
	size_t cnt = 0;
	int rc = 0, n;

	if (valid_s == 0)
		return -EINVAL;
	if ((X509_get_key_usage(ca->cert) & KU_CRL_SIGN) == 0)
		return -EACCES;
	from = ASN1_TIME_adj(NULL, (time_t)now, 0, -BACKDATE_S);
	to = ASN1_TIME_adj(NULL, (time_t)now, (int)(valid_s / DAY_S), (long)(valid_s % DAY_S));
	crl = X509_CRL_new();
	if (crl == NULL || from == NULL || to == NULL || X509_CRL_set_version(crl, X509_CRL_VERSION_2) != 1 ||
	    X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert)) != 1 || X509_CRL_set1_lastUpdate(crl, from) != 1 ||
	    X509_CRL_set1_nextUpdate(crl, to) != 1)
		rc = -EIO;
	while (rc == 0 && !pki_rd_done(&rd))
		rc = ++cnt > PKI_CRL_ENTRIES ? -EMSGSIZE : rd.bad ? -EBADMSG : add_one(crl, &rd, now);
	if (rc == 0) {
		X509_CRL_sort(crl);
		all = X509_CRL_get_REVOKED(crl);
		for (int i = 1; rc == 0 && all != NULL && i < sk_X509_REVOKED_num(all); i++)
			if (ASN1_INTEGER_cmp(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(all, i - 1)),
					     X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(all, i))) == 0)
				rc = -EBADMSG;
	}
	if (rc == 0)
		rc = add_exts(crl, ca->cert, number);
	if (rc == 0 && X509_CRL_sign(crl, ca->key, EVP_sha256()) <= 0)
		rc = -EIO;
	n = rc == 0 ? i2d_X509_CRL(crl, &der) : 0;
	if (rc == 0 && n <= 0)
		rc = -EIO;
	if (rc == 0) {
		*ret_der = der;
		*ret_len = (size_t)n;
	}
	X509_CRL_free(crl);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	ERR_clear_error();
	return rc;
}
