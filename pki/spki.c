/* SPDX-License-Identifier: BSD-3-Clause */
#include "spki.h"

#include <errno.h>
#include <pthread.h>

#include <openssl/ec.h>
#include <openssl/err.h>

#include "der.h"
#include "x509.h"

static const uint8_t oid_rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
static const uint8_t oid_ec[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
static const uint8_t oid_p256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t oid_p384[] = {0x2b, 0x81, 0x04, 0x00, 0x22};
static const uint8_t oid_p521[] = {0x2b, 0x81, 0x04, 0x00, 0x23};

#define CURVES 3
static const struct {
	const uint8_t *oid;
	size_t oid_len;
	int nid;
	unsigned bits;
} curves[CURVES] = {
	{oid_p256, sizeof(oid_p256), NID_X9_62_prime256v1, 256},
	{oid_p384, sizeof(oid_p384), NID_secp384r1, 384},
	{oid_p521, sizeof(oid_p521), NID_secp521r1, 521},
};

/* Made once: each takes as long as twenty checks of a point. Only read afterwards, by any thread. */
static EC_GROUP *group[CURVES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_groups(void)
{
	for (unsigned i = 0; i < CURVES; i++)
		group[i] = EC_GROUP_new_by_curve_name(curves[i].nid);
}

static unsigned bits_of(const struct pki_rd *n)
{
	unsigned top = 0;

	for (unsigned v = n->p[0]; v != 0; v >>= 1)
		top++;
	return (unsigned)(n->left - 1) * 8 + top;
}

static int rsa_key(struct pki_rd *params, struct pki_spki *k)
{
	struct pki_rd rd = pki_rd_init(k->key, k->key_len), seq, n, e, null;

	null = pki_der_next(params, PKI_DER_NULL);
	if (!pki_rd_done(params) || !pki_rd_done(&null))
		return -EBADMSG;
	seq = pki_der_next(&rd, PKI_DER_SEQUENCE);
	n = pki_der_positive(&seq);
	e = pki_der_positive(&seq);
	if (!pki_rd_done(&rd) || !pki_rd_done(&seq))
		return -EBADMSG;
	k->nid = NID_rsaEncryption;
	k->bits = bits_of(&n);
	k->e_bits = bits_of(&e);
	/* An even modulus or exponent, or an exponent of one, is no RSA. */
	return (n.p[n.left - 1] & 1) != 0 && (e.p[e.left - 1] & 1) != 0 && k->e_bits > 1 ? 0 : -EACCES;
}

static bool on_curve(const EC_GROUP *g, const uint8_t *p, size_t len)
{
	EC_POINT *pt = g != NULL ? EC_POINT_new(g) : NULL;
	bool ok = pt != NULL && EC_POINT_oct2point(g, pt, p, len, NULL) == 1; /* refuses what is not on it */

	EC_POINT_free(pt);
	ERR_clear_error();
	return ok;
}

static int ec_key(struct pki_rd *params, struct pki_spki *k)
{
	struct pki_rd oid = pki_der_next(params, PKI_DER_OID);
	unsigned i = 0;
	size_t n;

	if (!pki_rd_done(params))
		return -EBADMSG; /* explicit parameters too */
	while (i < CURVES && !pki_der_is(&oid, curves[i].oid, curves[i].oid_len))
		i++;
	if (i == CURVES)
		return -ENOTSUP;
	n = (curves[i].bits + 7) / 8;
	if (!(k->key_len == 1 + 2 * n && k->key[0] == 4) && !(k->key_len == 1 + n && (k->key[0] == 2 || k->key[0] == 3)))
		return -EBADMSG; /* also the point at infinity */
	pthread_once(&once, make_groups);
	k->nid = curves[i].nid;
	k->bits = curves[i].bits;
	return on_curve(group[i], k->key, k->key_len) ? 0 : -EACCES;
}

int pki_spki_parse(const uint8_t *der, size_t len, struct pki_spki *ret)
{
	struct pki_rd rd = pki_rd_init(der, len), seq, alg, oid, key;
	struct pki_spki k = {.der = der, .len = len};
	int rc;

	if (len == 0 || len > PKI_DER_MAX)
		return -EBADMSG;
	seq = pki_der_next(&rd, PKI_DER_SEQUENCE);
	alg = pki_der_next(&seq, PKI_DER_SEQUENCE);
	oid = pki_der_next(&alg, PKI_DER_OID);
	key = pki_der_next(&seq, PKI_DER_BIT_STRING);
	if (!pki_rd_done(&rd) || !pki_rd_done(&seq) || alg.bad || pki_rd_u8(&key) != 0 || key.bad || key.left == 0)
		return -EBADMSG;
	k.key = key.p;
	k.key_len = key.left;
	rc = pki_der_is(&oid, oid_rsa, sizeof(oid_rsa)) ? rsa_key(&alg, &k)
	     : pki_der_is(&oid, oid_ec, sizeof(oid_ec)) ? ec_key(&alg, &k)
							: -ENOTSUP;
	if (rc == 0)
		*ret = k;
	return rc;
}

int pki_spki_canon(const uint8_t *der, size_t len, uint8_t **ret_der, size_t *ret_len)
{
	const unsigned char *p = der;
	EVP_PKEY *key = len > 0 && len <= PKI_DER_MAX ? d2i_PUBKEY(NULL, &p, (long)len) : NULL;
	unsigned char *own = NULL;
	int n = key != NULL && p == der + len ? i2d_PUBKEY(key, &own) : -1;

	EVP_PKEY_free(key);
	ERR_clear_error();
	if (n <= 0)
		return -EBADMSG;
	*ret_der = own;
	*ret_len = (size_t)n;
	return 0;
}

bool pki_lsc_spki_acceptable(const struct pki_spki *k, bool old)
{
	if (k->nid != NID_rsaEncryption)
		return true; /* the three curves */
	if (k->bits >= 2048)
		return k->bits <= 4096 && k->e_bits >= 17 && k->e_bits <= 64;
	return old && k->bits >= 512 && k->e_bits <= 64;
}

int pki_spki_set(X509 *cert, const struct pki_spki *k)
{
	bool rsa = k->nid == NID_rsaEncryption;
	uint8_t *copy = OPENSSL_memdup(k->key, k->key_len);

	if (copy != NULL && X509_PUBKEY_set0_param(X509_get_X509_PUBKEY(cert), OBJ_nid2obj(rsa ? NID_rsaEncryption : NID_X9_62_id_ecPublicKey),
						   rsa ? V_ASN1_NULL : V_ASN1_OBJECT, rsa ? NULL : OBJ_nid2obj(k->nid), copy,
						   (int)k->key_len) == 1)
		return 0;
	OPENSSL_free(copy);
	return -ENOMEM;
}
