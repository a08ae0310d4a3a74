/* SPDX-License-Identifier: BSD-3-Clause */
#include "sigcap/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "privdir.h"

#define RSA_MIN 2048
#define EC_MIN  256

int cp_sigseal_check(X509 *cert, int64_t now, char *why, size_t size)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	int type = key != NULL ? EVP_PKEY_get_base_id(key) : NID_undef, bits = key != NULL ? EVP_PKEY_get_bits(key) : 0;
	uint32_t usage = X509_get_key_usage(cert); /* all bits if it says none */
	time_t t = (time_t)now;

	if ((type != EVP_PKEY_RSA || bits < RSA_MIN) && (type != EVP_PKEY_EC || bits < EC_MIN))
		snprintf(why, size, "nothing is encrypted to such a key: RSA of %d bits or more, or an elliptic curve of %d or more", RSA_MIN, EC_MIN);
	else if (X509_cmp_time(X509_get0_notBefore(cert), &t) >= 0 || X509_cmp_time(X509_get0_notAfter(cert), &t) <= 0)
		snprintf(why, size, "the certificate is not valid now");
	else if ((usage & (type == EVP_PKEY_RSA ? KU_KEY_ENCIPHERMENT : KU_KEY_AGREEMENT)) == 0)
		snprintf(why, size, "its key usage has no %s", type == EVP_PKEY_RSA ? "keyEncipherment" : "keyAgreement");
	else
		return 0;
	return -EACCES;
}

static int recipient(CMS_ContentInfo *cms, X509 *cert)
{
	CMS_RecipientInfo *ri = CMS_add1_recipient_cert(cms, cert, CMS_KEY_PARAM);
	EVP_PKEY_CTX *ctx;

	if (ri == NULL)
		return -EIO;
	if (CMS_RecipientInfo_type(ri) != CMS_RECIPINFO_TRANS)
		return 0;
	ctx = CMS_RecipientInfo_get0_pkey_ctx(ri);
	return ctx != NULL && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
			       EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) > 0 ?
		       0 :
		       -EIO;
}

/* DER; OPENSSL_free(). NULL: no memory, or OpenSSL would not. */
static uint8_t *seal(X509 *cert, const uint8_t *data, size_t len, int *ret_len)
{
	BIO *in = BIO_new_mem_buf(data, (int)len);
	CMS_ContentInfo *cms = CMS_encrypt(NULL, NULL, EVP_aes_256_cbc(), CMS_PARTIAL | CMS_BINARY);
	unsigned char *der = NULL;

	*ret_len = -1;
	if (in != NULL && cms != NULL && recipient(cms, cert) == 0 && CMS_final(cms, in, NULL, CMS_BINARY) == 1)
		*ret_len = i2d_CMS_ContentInfo(cms, &der);
	CMS_ContentInfo_free(cms);
	BIO_free(in);
	ERR_clear_error();
	return *ret_len > 0 ? der : NULL;
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, data + at, len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		at += (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int cp_sigseal_file(const char *dir, const char *name, X509 *cert, const uint8_t *data, size_t len, uint64_t *ret_bytes)
{
	int dfd = cfg_privdir_open(dir), fd = -1, der_len = 0, rc;
	uint8_t *der;

	if (dfd < 0)
		return dfd;
	der = seal(cert, data, len, &der_len);
	rc = der != NULL ? 0 : -EIO;
	if (rc == 0) {
		fd = openat(dfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		rc = fd < 0 ? -errno : write_all(fd, der, (size_t)der_len);
	}
	if (fd >= 0) {
		if (close(fd) < 0 && rc == 0)
			rc = -errno;
		if (rc < 0)
			(void)unlinkat(dfd, name, 0);
		else if (fsync(dfd) < 0)
			rc = -errno;
	}
	close(dfd);
	OPENSSL_free(der);
	*ret_bytes = rc == 0 ? (uint64_t)der_len : 0;
	return rc;
}
