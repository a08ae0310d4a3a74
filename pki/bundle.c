/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "bundle.h"
#include "wire.h"

#define MAGIC    "RVBUNDLE"
#define KEYS     "RVKY"
#define VERSION  1
#define KEYS_HEAD 36 /* magic, version, log2 N, r, p, salt, nonce */
#define TAG      16
#define SCRYPT_R 8
#define SCRYPT_P 1

/* scrypt takes 128 * N * r bytes: what a file may make us take is bounded. */
#define LOG2N_MAX 20

static int stretch(const char *pass, unsigned log2n, const uint8_t salt[16], uint8_t key[32])
{
	uint64_t n = (uint64_t)1 << log2n;

	return EVP_PBE_scrypt(pass, strlen(pass), salt, 16, n, SCRYPT_R, SCRYPT_P, 160ULL * n * SCRYPT_R, key, 32) == 1 ? 0
																: -ENOMEM;
}

/* AES-256-GCM in one go; for decryption 'tag' is checked. */
static int gcm(int enc, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len, const uint8_t *in,
	       size_t len, uint8_t *out, uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, rc = -EIO;

	if (ctx == NULL || EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce, enc) != 1 ||
	    (!enc && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) != 1) ||
	    EVP_CipherUpdate(ctx, NULL, &n, aad, (int)aad_len) != 1 ||
	    (len > 0 && EVP_CipherUpdate(ctx, out, &n, in, (int)len) != 1))
		goto out;
	if (EVP_CipherFinal_ex(ctx, out + len, &n) != 1) {
		rc = -EACCES;
		goto out;
	}
	rc = enc && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, tag) != 1 ? -EIO : 0;
out:
	EVP_CIPHER_CTX_free(ctx);
	ERR_clear_error();
	return rc;
}

int pki_bundle_seal_keys(const char *pass, unsigned log2n, const uint8_t random[PKI_BUNDLE_RANDOM],
			 const struct pki_bundle_entry *entries, unsigned n, uint8_t **ret, size_t *ret_len)
{
	uint8_t key[32], *plain = NULL, *out = NULL;
	struct pki_wr wr;
	size_t len = 0;
	int rc;

	if (log2n < 10 || log2n > LOG2N_MAX || strlen(pass) > PKI_BUNDLE_PASS_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++)
		len += 5 + strlen(entries[i].name) + entries[i].len;
	if (len > PKI_BUNDLE_KEYS_MAX - KEYS_HEAD - TAG)
		return -EMSGSIZE;
	plain = OPENSSL_malloc(len + 1);
	out = OPENSSL_malloc(KEYS_HEAD + len + TAG);
	if (plain == NULL || out == NULL) {
		rc = -ENOMEM;
		goto out;
	}
	wr = pki_wr_init(plain, len);
	for (unsigned i = 0; i < n; i++) {
		pki_wr_u8(&wr, (uint8_t)strlen(entries[i].name));
		pki_wr_bytes(&wr, entries[i].name, strlen(entries[i].name));
		pki_wr_u32(&wr, (uint32_t)entries[i].len);
		pki_wr_bytes(&wr, entries[i].p, entries[i].len);
	}
	memcpy(out, KEYS, 4);
	out[4] = VERSION;
	out[5] = (uint8_t)log2n;
	out[6] = SCRYPT_R;
	out[7] = SCRYPT_P;
	memcpy(out + 8, random, PKI_BUNDLE_RANDOM);
	rc = wr.bad ? -EINVAL : stretch(pass, log2n, out + 8, key);
	if (rc == 0)
		rc = gcm(1, key, out + 24, out, KEYS_HEAD, plain, len, out + KEYS_HEAD, out + KEYS_HEAD + len);
	OPENSSL_cleanse(key, sizeof(key));
	if (rc == 0) {
		*ret = out;
		*ret_len = KEYS_HEAD + len + TAG;
		out = NULL;
	}
out:
	OPENSSL_clear_free(plain, len + 1);
	OPENSSL_free(out);
	ERR_clear_error();
	return rc;
}

int pki_bundle_open_keys(const char *pass, const uint8_t *part, size_t len, uint8_t **ret_plain, size_t *ret_len)
{
	uint8_t key[32], tag[TAG], *plain;
	size_t n;
	int rc;

	if (len < KEYS_HEAD + TAG || len > PKI_BUNDLE_KEYS_MAX || memcmp(part, KEYS, 4) != 0)
		return -EBADMSG;
	if (part[4] != VERSION)
		return -EOPNOTSUPP;
	if (part[5] < 10 || part[5] > LOG2N_MAX || part[6] != SCRYPT_R || part[7] != SCRYPT_P)
		return -EBADMSG;
	if (strlen(pass) > PKI_BUNDLE_PASS_MAX)
		return -EACCES;
	n = len - KEYS_HEAD - TAG;
	plain = OPENSSL_malloc(n + 1);
	if (plain == NULL)
		return -ENOMEM;
	memcpy(tag, part + len - TAG, TAG);
	rc = stretch(pass, part[5], part + 8, key);
	if (rc == 0)
		rc = gcm(0, key, part + 24, part, KEYS_HEAD, part + KEYS_HEAD, n, plain, tag);
	OPENSSL_cleanse(key, sizeof(key));
	ERR_clear_error();
	if (rc < 0) {
		OPENSSL_clear_free(plain, n + 1);
		return rc;
	}
	*ret_plain = plain;
	*ret_len = n;
	return 0;
}

int pki_bundle_next_entry(const uint8_t *plain, size_t len, size_t *at, struct pki_bundle_entry *ret)
{
	struct pki_rd rd = pki_rd_init(plain + *at, len - *at);
	const uint8_t *name;
	size_t n;

	if (*at == len)
		return 0;
	n = pki_rd_u8(&rd);
	name = pki_rd_bytes(&rd, n);
	ret->len = pki_rd_u32(&rd);
	ret->p = pki_rd_bytes(&rd, ret->len);
	if (rd.bad || n == 0 || n >= sizeof(ret->name) || memchr(name, '\0', n) != NULL)
		return -EBADMSG;
	memcpy(ret->name, name, n);
	ret->name[n] = '\0';
	*at = len - rd.left;
	return 1;
}

void pki_bundle_head(size_t keys_len, uint8_t ret[12])
{
	struct pki_wr wr = pki_wr_init(ret, 12);

	pki_wr_bytes(&wr, MAGIC, 8);
	pki_wr_u32(&wr, (uint32_t)keys_len);
}

int pki_bundle_id(const uint8_t head[12], const uint8_t *keys, size_t keys_len, uint8_t ret[32])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(ctx, head, 12) == 1 &&
		 EVP_DigestUpdate(ctx, keys, keys_len) == 1 && EVP_DigestFinal_ex(ctx, ret, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

/* Nonce (12 bytes) and what is authenticated (41 bytes) of a chunk. */
static void chunk_bind(const uint8_t id[32], uint64_t number, bool last, uint8_t nonce[12], uint8_t aad[41])
{
	struct pki_wr n = pki_wr_init(nonce, 12), a = pki_wr_init(aad, 41);

	pki_wr_u32(&n, 0);
	pki_wr_u64(&n, number);
	pki_wr_bytes(&a, id, 32);
	pki_wr_u64(&a, number);
	pki_wr_u8(&a, last);
}

int pki_bundle_seal_chunk(const uint8_t key[32], const uint8_t id[32], uint64_t number, bool last, const uint8_t *plain,
			  size_t len, uint8_t *out)
{
	uint8_t nonce[12], aad[41];
	struct pki_wr wr = pki_wr_init(out, 4);

	if (len > PKI_BUNDLE_CHUNK_MAX)
		return -EMSGSIZE;
	chunk_bind(id, number, last, nonce, aad);
	pki_wr_u32(&wr, (uint32_t)(len + TAG) | (last ? PKI_BUNDLE_LAST : 0));
	return gcm(1, key, nonce, aad, sizeof(aad), plain, len, out + 4, out + 4 + len);
}

int pki_bundle_parse(const uint8_t *file, size_t len, struct pki_bundle *ret)
{
	struct pki_rd rd = pki_rd_init(file, len);
	const uint8_t *magic = pki_rd_bytes(&rd, 8);

	*ret = (struct pki_bundle){.keys_len = pki_rd_u32(&rd)};
	ret->keys = pki_rd_bytes(&rd, ret->keys_len);
	if (rd.bad || memcmp(magic, MAGIC, 8) != 0 || ret->keys_len > PKI_BUNDLE_KEYS_MAX)
		return -EBADMSG;
	ret->chunk = rd.p;
	ret->left = rd.left;
	return pki_bundle_id(file, ret->keys, ret->keys_len, ret->id);
}

int pki_bundle_next_chunk(struct pki_bundle *b, const uint8_t key[32], uint8_t *out, size_t *ret_len)
{
	struct pki_rd rd = pki_rd_init(b->chunk, b->left);
	uint32_t word = pki_rd_u32(&rd);
	size_t len = word & ~PKI_BUNDLE_LAST;
	bool last = (word & PKI_BUNDLE_LAST) != 0;
	uint8_t nonce[12], aad[41], tag[TAG];
	const uint8_t *p = pki_rd_bytes(&rd, len);
	int rc;

	if (b->done || rd.bad || len < TAG || len - TAG > PKI_BUNDLE_CHUNK_MAX || (last && (len != TAG || rd.left != 0)))
		return -EBADMSG;
	chunk_bind(b->id, b->number, last, nonce, aad);
	memcpy(tag, p + len - TAG, TAG);
	rc = gcm(0, key, nonce, aad, sizeof(aad), p, len - TAG, out, tag);
	if (rc < 0)
		return rc;
	*ret_len = len - TAG;
	b->chunk = rd.p;
	b->left = rd.left;
	b->number++;
	b->done = last;
	return last ? 0 : 1;
}

int pki_bundle_next_record(const uint8_t *plain, size_t len, size_t *at, struct pki_bundle_record *ret)
{
	struct pki_rd rd = pki_rd_init(plain + *at, len - *at);

	if (*at == len)
		return 0;
	ret->family = pki_rd_u8(&rd);
	ret->key_len = pki_rd_u16(&rd);
	ret->key = pki_rd_bytes(&rd, ret->key_len);
	ret->val_len = pki_rd_u32(&rd);
	ret->val = pki_rd_bytes(&rd, ret->val_len);
	if (rd.bad)
		return -EBADMSG;
	*at = len - rd.left;
	return 1;
}

size_t pki_bundle_record_len(size_t key_len, size_t val_len)
{
	return 7 + key_len + val_len;
}

void pki_bundle_put_record(uint8_t *out, const struct pki_bundle_record *r)
{
	struct pki_wr wr = pki_wr_init(out, pki_bundle_record_len(r->key_len, r->val_len));

	pki_wr_u8(&wr, r->family);
	pki_wr_u16(&wr, (uint16_t)r->key_len);
	pki_wr_bytes(&wr, r->key, r->key_len);
	pki_wr_u32(&wr, (uint32_t)r->val_len);
	pki_wr_bytes(&wr, r->val, r->val_len);
}
