/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "file.h"
#include "kek.h"
#include "signer.h"

#define KEK_LEN   32
#define MAGIC     "RVS1"
#define ID_LEN    8
#define NONCE_LEN 12
#define TAG_LEN   16
#define HEAD_LEN  (4 + ID_LEN + NONCE_LEN)

_Static_assert(HEAD_LEN + TAG_LEN == PKI_SIGNER_SEAL_OVERHEAD, "callers reserve this much");

struct pki_kek {
	uint8_t seal[32];
	char pass[65];
	uint8_t id[ID_LEN];
};

static int derive(const uint8_t *key, const char *label, uint8_t *out, size_t len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
	char digest[] = "SHA256", info[64];
	uint8_t ikm[KEK_LEN];
	OSSL_PARAM params[4];
	int rc;

	memcpy(ikm, key, KEK_LEN); /* OSSL_PARAM wants what it points to writable */
	snprintf(info, sizeof(info), "%s", label);
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, ikm, KEK_LEN);
	params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, strlen(info));
	params[3] = OSSL_PARAM_construct_end();
	rc = ctx != NULL && EVP_KDF_derive(ctx, out, len, params) == 1 ? 0 : -EIO;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	OPENSSL_cleanse(ikm, sizeof(ikm));
	return rc;
}

int pki_kek_init(const uint8_t key[KEK_LEN], struct pki_kek **ret_kek)
{
	struct pki_kek *kek = OPENSSL_secure_zalloc(sizeof(*kek));
	uint8_t pass[32];
	int rc;

	if (kek == NULL)
		return -ENOMEM;
	rc = derive(key, "ravelin seal 1", kek->seal, sizeof(kek->seal));
	if (rc == 0)
		rc = derive(key, "ravelin pem passphrase 1", pass, sizeof(pass));
	if (rc == 0)
		rc = derive(key, "ravelin key identifier 1", kek->id, sizeof(kek->id));
	for (size_t i = 0; rc == 0 && i < sizeof(pass); i++) {
		static const char hex[] = "0123456789abcdef";

		kek->pass[2 * i] = hex[pass[i] >> 4];
		kek->pass[2 * i + 1] = hex[pass[i] & 15];
	}
	OPENSSL_cleanse(pass, sizeof(pass));
	if (rc < 0) {
		pki_kek_destroy(kek);
		return rc;
	}
	*ret_kek = kek;
	return 0;
}

bool pki_kek_is_credential(const char *path)
{
	return strncmp(path, "credential:", 11) == 0;
}

int pki_kek_read(const char *path, uint8_t ret_key[KEK_LEN])
{
	const char *creds = getenv("CREDENTIALS_DIRECTORY");
	char buf[PATH_MAX];
	uint8_t key[KEK_LEN + 1];
	struct stat st;
	int fd, rc = 0;

	if (pki_kek_is_credential(path)) {
		if (creds == NULL)
			return -ENOENT;
		if (snprintf(buf, sizeof(buf), "%s/%s", creds, path + 11) >= (int)sizeof(buf))
			return -ENAMETOOLONG;
		path = buf;
	}
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		rc = -errno;
	else if (!S_ISREG(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0) ||
	         (st.st_mode & 077) != 0)
		rc = -EPERM;
	else if (st.st_size != KEK_LEN || read(fd, key, sizeof(key)) != KEK_LEN)
		rc = -EBADMSG;
	close(fd);
	if (rc == 0)
		memcpy(ret_key, key, KEK_LEN);
	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

int pki_kek_load(const char *path, struct pki_kek **ret_kek)
{
	uint8_t key[KEK_LEN];
	int rc = pki_kek_read(path, key);

	if (rc == 0)
		rc = pki_kek_init(key, ret_kek);
	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

int pki_kek_make(const char *path)
{
	uint8_t key[KEK_LEN];
	int rc = RAND_priv_bytes(key, sizeof(key)) == 1 ? 0 : -EIO;

	if (rc == 0)
		rc = pki_file_write(path, key, sizeof(key), 0400, true);
	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

void pki_kek_destroy(struct pki_kek *kek)
{
	OPENSSL_secure_clear_free(kek, sizeof(*kek));
}

const uint8_t *pki_kek_id(const struct pki_kek *kek)
{
	return kek->id;
}

const char *pki_kek_passphrase(const struct pki_kek *kek)
{
	return kek->pass;
}

/* The part that both directions share; for decryption 'tag' is set before and checked at the end.
 */
static int gcm(const struct pki_kek *kek, int enc, const uint8_t *head, const uint8_t *aad,
               size_t aad_len, const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, rc = -EIO;

	if (ctx == NULL ||
	    EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, kek->seal, head + 4 + ID_LEN, enc) !=
	            1 ||
	    (!enc && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) != 1) ||
	    EVP_CipherUpdate(ctx, NULL, &n, head, 4 + ID_LEN) != 1 ||
	    (aad_len > 0 && EVP_CipherUpdate(ctx, NULL, &n, aad, (int)aad_len) != 1) ||
	    (len > 0 && EVP_CipherUpdate(ctx, out, &n, in, (int)len) != 1))
		goto out;
	if (EVP_CipherFinal_ex(ctx, out + len, &n) != 1) {
		rc = -EACCES;
		goto out;
	}
	if (enc && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) != 1)
		goto out;
	rc = 0;
out:
	EVP_CIPHER_CTX_free(ctx);
	ERR_clear_error();
	return rc;
}

int pki_kek_seal(const struct pki_kek *kek, const uint8_t *plain, size_t len, const uint8_t *aad,
                 size_t aad_len, uint8_t *out)
{
	int rc;

	if (len > PKI_SIGNER_SEAL_MAX || aad_len > PKI_SIGNER_AAD_MAX)
		return -EMSGSIZE;
	memcpy(out, MAGIC, 4);
	memcpy(out + 4, kek->id, ID_LEN);
	if (RAND_bytes(out + 4 + ID_LEN, NONCE_LEN) != 1)
		return -EIO;
	rc = gcm(kek, 1, out, aad, aad_len, plain, len, out + HEAD_LEN, out + HEAD_LEN + len);
	return rc < 0 ? rc : (int)(HEAD_LEN + len + TAG_LEN);
}

int pki_kek_unseal(const struct pki_kek *kek, const uint8_t *sealed, size_t len, const uint8_t *aad,
                   size_t aad_len, uint8_t *out)
{
	uint8_t tag[TAG_LEN];
	size_t body;
	int rc;

	if (len < HEAD_LEN + TAG_LEN || memcmp(sealed, MAGIC, 4) != 0)
		return -EBADMSG;
	body = len - HEAD_LEN - TAG_LEN;
	if (body > PKI_SIGNER_SEAL_MAX || aad_len > PKI_SIGNER_AAD_MAX)
		return -EMSGSIZE;
	if (CRYPTO_memcmp(sealed + 4, kek->id, ID_LEN) != 0)
		return -EACCES;
	memcpy(tag, sealed + HEAD_LEN + body, TAG_LEN);
	rc = gcm(kek, 0, sealed, aad, aad_len, sealed + HEAD_LEN, body, out, tag);
	if (rc < 0)
		OPENSSL_cleanse(out, body); /* decrypted, but not authentic */
	return rc < 0 ? rc : (int)body;
}
