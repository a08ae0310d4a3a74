/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "sgn.h"
#include "tlv.h"

#define AES_LEN	 16
#define KEY_AES  1 /* tag 24 */
#define PAD_BYTE 0x0d

_Static_assert(PKI_SGN_HEADER_MAX == PKI_TLV_HEADER_MAX, "one header for lists and files");

/* What an encrypted file says of itself must agree before anything is decrypted. */
static int check_enc(const struct pki_sgn *f, bool with_body, char *why, size_t why_size)
{
	const EVP_MD *md = pki_digest_md(f->hash_alg);
	const char *what = NULL;

	if (f->cut < 1 || f->cut > AES_LEN)
		what = "1 to 16 bytes of padding can be cut off";
	else if (f->key_alg != KEY_AES)
		what = "key algorithm is not AES-128";
	else if (f->wrapped == NULL ? f->key_bits != AES_LEN * 8 : (size_t)f->key_bits != f->wrapped_len * 8)
		what = "length of the wrapped key is not what tag 23 says";
	else if (md != NULL && f->hash_len != (size_t)EVP_MD_get_size(md))
		what = "length of the hash is not that of its algorithm";
	else if (with_body && (f->body_len == 0 || f->body_len % AES_LEN != 0))
		what = "cipher text is not in blocks of 16 bytes";
	if (what == NULL)
		return 0;
	pki_tlv_why(why, why_size, "%s", what);
	return -EBADMSG;
}

static int parse(const uint8_t *file, size_t len, bool tbs, struct pki_sgn *ret, char *why, size_t why_size)
{
	struct pki_tlv_header h;
	int rc;

	if (len > PKI_SGN_HEADER_MAX + (size_t)PKI_SGN_BODY_MAX) {
		pki_tlv_why(why, why_size, "a file of %zu bytes is not looked at", len);
		return -EMSGSIZE;
	}
	rc = pki_tlv_header_parse(file, len, tbs, &h, why, why_size);
	if (rc < 0)
		return rc;
	if ((h.major != 1 || h.encrypted) && (h.major != 2 || !h.encrypted)) {
		pki_tlv_why(why, why_size, "version %u.%u %s encryption information", h.major, h.minor,
			    h.encrypted ? "with" : "without");
		return -EBADMSG;
	}
	*ret = (struct pki_sgn){
		.file = file, .file_len = len, .major = h.major, .minor = h.minor, .header_len = h.header_len,
		.signer_major = h.signer_major, .signer_minor = h.signer_minor, .signer = h.signer, .issuer = h.issuer,
		.serial = h.serial, .serial_len = h.serial_len, .digest = h.digest, .sig_alg = h.sig_alg,
		.sig_mod = h.sig_mod, .sig = h.sig, .sig_len = h.sig_len, .sig_tlv_off = h.sig_tlv_off,
		.filename = h.filename, .timestamp = h.timestamp, .padding = h.padding, .order_len = h.order_len,
		.body = file + h.end, .body_len = len - h.end, .encrypted = h.encrypted, .iv = h.iv, .cut = h.cut,
		.key_bits = h.key_bits, .key_alg = h.key_alg, .wrapped = h.wrapped, .wrapped_len = h.wrapped_len,
		.hash_alg = h.hash_alg, .hash = h.hash, .hash_len = h.hash_len,
	};
	memcpy(ret->order, h.order, sizeof(ret->order));
	return h.encrypted ? check_enc(ret, !tbs || ret->body_len > 0, why, why_size) : 0;
}

int pki_sgn_parse(const uint8_t *file, size_t len, struct pki_sgn *ret, char *why, size_t why_size)
{
	return parse(file, len, false, ret, why, why_size);
}

int pki_sgn_parse_tbs(const uint8_t *header, size_t len, struct pki_sgn *ret, char *why, size_t why_size)
{
	return parse(header, len, true, ret, why, why_size);
}

static struct pki_tlv_header header_of(const struct pki_sgn *f)
{
	return (struct pki_tlv_header){.issuer = f->issuer, .serial = f->serial, .serial_len = f->serial_len,
				       .digest = f->digest, .sig_alg = f->sig_alg, .sig_mod = f->sig_mod,
				       .sig = f->sig, .sig_len = f->sig_len, .sig_tlv_off = f->sig_tlv_off};
}

int pki_sgn_verify_cert(const struct pki_sgn *f, X509 *cert, char *why, size_t why_size)
{
	struct pki_tlv_header h = header_of(f);

	if (f->sig == NULL)
		return -EINVAL;
	return pki_tlv_verify_cert(f->file, f->file_len, &h, cert, why, why_size);
}

int pki_sgn_verify(const struct pki_sgn *f, const struct pki_tl *anchor, const struct pki_tl_rec **ret_rec, char *why,
		   size_t why_size)
{
	struct pki_tlv_header h = header_of(f);

	if (f->sig == NULL || anchor == NULL)
		return -EINVAL;
	return pki_tlv_verify_list(f->file, f->file_len, &h, anchor, 1u << PKI_TL_TFTP | 1u << PKI_TL_CCM_TFTP, ret_rec,
				   why, why_size);
}

/* Old tools stored the name without .sgn. */
bool pki_sgn_name_is(const struct pki_sgn *f, const char *asked)
{
	size_t len = strlen(f->filename), asked_len = strlen(asked);

	if (strncmp(f->filename, asked, len) != 0)
		return false;
	return asked_len == len || strcmp(asked + len, ".sgn") == 0;
}

/* --- encryption --- */

static int digest(unsigned alg, const uint8_t *data, size_t len, uint8_t ret[EVP_MAX_MD_SIZE], unsigned *ret_len)
{
	const EVP_MD *md = pki_digest_md(alg);

	if (md == NULL)
		return -ENOTSUP;
	return EVP_Digest(data, len, ret, ret_len, md, NULL) == 1 ? 0 : -EIO;
}

/* AES-128-CBC of whole blocks, 'in' and 'out' apart or the same. */
static int aes_cbc(bool enc, const uint8_t key[AES_LEN], const uint8_t iv[AES_LEN], const uint8_t *in, size_t len,
		   uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, last = 0, ok;

	if (ctx == NULL)
		return -ENOMEM;
	ok = EVP_CipherInit_ex(ctx, EVP_aes_128_cbc(), NULL, key, iv, enc) == 1 &&
	     EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 && EVP_CipherUpdate(ctx, out, &n, in, (int)len) == 1 &&
	     EVP_CipherFinal_ex(ctx, out + n, &last) == 1 && (size_t)(n + last) == len;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

/*
 * The AES key. Where unwrapping fails 'key' is left as it was and the answer is false: the caller decrypts all
 * the same and fails where the hash does not agree, so that the two cannot be told apart.
 */
static bool unwrap(const struct pki_sgn *f, EVP_PKEY *rsa, uint8_t key[AES_LEN])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(rsa, NULL);
	uint8_t out[PKI_TL_SIG_MAX] = {0};
	size_t len = sizeof(out);
	bool ok;

	ok = ctx != NULL && EVP_PKEY_get_size(rsa) <= (int)sizeof(out) && EVP_PKEY_decrypt_init(ctx) == 1 &&
	     EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	     EVP_PKEY_decrypt(ctx, out, &len, f->wrapped, f->wrapped_len) == 1 && len == AES_LEN;
	if (ok)
		memcpy(key, out, AES_LEN);
	OPENSSL_cleanse(out, sizeof(out));
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

int pki_sgn_decrypt(const struct pki_sgn *f, EVP_PKEY *key, const uint8_t *sym, uint8_t **ret, size_t *ret_len)
{
	uint8_t aes[AES_LEN] = {0}, hash[EVP_MAX_MD_SIZE] = {0};
	unsigned hash_len = 0;
	uint8_t *plain;
	bool ok = true;
	int rc;

	if (!f->encrypted || f->body_len == 0 || (key != NULL) == (sym != NULL))
		return -EINVAL;
	if (pki_digest_md(f->hash_alg) == NULL)
		return -ENOTSUP;
	plain = OPENSSL_malloc(f->body_len);
	if (plain == NULL)
		return -ENOMEM;
	if (sym != NULL) {
		memcpy(aes, sym, AES_LEN);
		ok = f->wrapped == NULL;
	} else {
		ok = f->wrapped != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && unwrap(f, key, aes);
	}
	rc = aes_cbc(false, aes, f->iv, f->body, f->body_len, plain);
	OPENSSL_cleanse(aes, sizeof(aes));
	if (rc == 0)
		rc = digest(f->hash_alg, plain, f->body_len - f->cut, hash, &hash_len);
	if (rc == 0 && (CRYPTO_memcmp(hash, f->hash, hash_len) != 0 || !ok))
		rc = -EACCES;
	OPENSSL_cleanse(hash, sizeof(hash));
	if (rc < 0) {
		OPENSSL_clear_free(plain, f->body_len);
		return rc;
	}
	OPENSSL_cleanse(plain + f->body_len - f->cut, f->cut);
	*ret = plain;
	*ret_len = f->body_len - f->cut;
	return 0;
}

/* The AES key with the public key of the phone's certificate. */
static int wrap(X509 *cert, const uint8_t key[AES_LEN], uint8_t *ret, size_t *ret_len, char *why, size_t why_size)
{
	EVP_PKEY *pub = X509_get0_pubkey(cert);
	EVP_PKEY_CTX *ctx;
	bool ok;

	if (pub == NULL || EVP_PKEY_get_base_id(pub) != EVP_PKEY_RSA || EVP_PKEY_get_size(pub) > PKI_TL_SIG_MAX ||
	    EVP_PKEY_get_bits(pub) % 8 != 0) {
		pki_tlv_why(why, why_size, "a configuration is encrypted for RSA keys of at most 4096 bits only");
		return -ENOTSUP;
	}
	ctx = EVP_PKEY_CTX_new(pub, NULL);
	ok = ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 &&
	     EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	     EVP_PKEY_encrypt(ctx, ret, ret_len, key, AES_LEN) == 1;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	if (!ok)
		pki_tlv_why(why, why_size, "the key cannot be wrapped");
	return ok ? 0 : -EIO;
}

/*
 * Cipher text, and the header's tags that tell of it. A symmetric key has no public layout: the tags are those of a
 * wrapped key without tag 25, and 128 bits in tag 23.
 */
static int encrypt(const struct pki_sgn_opts *o, const uint8_t *plain, size_t len, struct pki_wr *tags, uint8_t **ret,
		   size_t *ret_len, char *why, size_t why_size)
{
	uint8_t wrapped[PKI_TL_SIG_MAX], hash[EVP_MAX_MD_SIZE];
	const uint8_t *key = o->sym != NULL ? o->sym : o->random;
	const uint8_t *iv = o->random + AES_LEN;
	size_t wrapped_len = sizeof(wrapped), cut = AES_LEN - len % AES_LEN, enc, info;
	unsigned hash_len = 0;
	uint8_t *body;
	int rc;

	if (o->enc != NULL) {
		rc = wrap(o->enc, key, wrapped, &wrapped_len, why, why_size);
		if (rc < 0)
			return rc;
	}
	rc = digest(o->digest, plain, len, hash, &hash_len);
	if (rc < 0) {
		pki_tlv_why(why, why_size, "digest code %d is not known", (int)o->digest);
		return rc;
	}
	body = OPENSSL_malloc(len + cut);
	if (body == NULL)
		return -ENOMEM;
	if (len > 0)
		memcpy(body, plain, len);
	memset(body + len, PAD_BYTE, cut);
	rc = aes_cbc(true, key, iv, body, len + cut, body);
	if (rc < 0) {
		OPENSSL_clear_free(body, len + cut);
		return rc;
	}
	enc = pki_tlv_open(tags, PKI_TLV_ENC_INFO);
	info = pki_tlv_open(tags, PKI_TLV_IV_INFO);
	pki_tlv_put_uint(tags, PKI_TLV_IV_ZERO, 0, 1);
	pki_tlv_put(tags, PKI_TLV_IV, iv, AES_LEN);
	pki_tlv_put_uint(tags, PKI_TLV_CUT, cut, 2);
	pki_tlv_close(tags, info);
	info = pki_tlv_open(tags, PKI_TLV_KEY_INFO);
	pki_tlv_put_uint(tags, PKI_TLV_KEY_ZERO, 0, 1);
	pki_tlv_put_uint(tags, PKI_TLV_KEY_BITS, o->enc != NULL ? wrapped_len * 8 : AES_LEN * 8, 2);
	pki_tlv_put_uint(tags, PKI_TLV_KEY_ALG, KEY_AES, 1);
	if (o->enc != NULL)
		pki_tlv_put(tags, PKI_TLV_KEY, wrapped, wrapped_len);
	pki_tlv_close(tags, info);
	pki_tlv_close(tags, enc);
	pki_tlv_put_uint(tags, PKI_TLV_HASH_ALG, o->digest, 1);
	pki_tlv_put(tags, PKI_TLV_HASH, hash, hash_len);
	*ret = body;
	*ret_len = len + cut;
	return 0;
}

int pki_sgn_build(const struct pki_sgn_opts *o, const uint8_t *plain, size_t plain_len, uint8_t **ret_header,
		  size_t *ret_header_len, uint8_t **ret_body, size_t *ret_body_len, char *why, size_t why_size)
{
	bool secret = o->enc != NULL || o->sym != NULL;
	struct pki_tlv_head_opts head = {.major = secret ? 2 : 1, .signer_minor = -1, .digest = o->digest,
					 .signer = o->signer, .filename = o->name, .timestamp = o->timestamp};
	uint8_t extra[1024], *body = NULL;
	struct pki_wr tags = pki_wr_init(extra, sizeof(extra)), wr;
	size_t body_len = plain_len;
	int rc = 0;

	if (o->signer == NULL || o->name == NULL || (o->enc != NULL && o->sym != NULL) || (secret && o->random == NULL)) {
		pki_tlv_why(why, why_size, "no signer or name, two keys, or no randomness");
		return -EINVAL;
	}
	if (strlen(o->name) >= PKI_SGN_NAME_MAX || plain_len > PKI_SGN_BODY_MAX - AES_LEN) {
		pki_tlv_why(why, why_size, "a name of at most %d, a file of at most %d bytes", PKI_SGN_NAME_MAX - 1,
			    PKI_SGN_BODY_MAX - AES_LEN);
		return -EMSGSIZE;
	}
	wr = pki_wr_init(OPENSSL_malloc(PKI_SGN_HEADER_MAX + 4), PKI_SGN_HEADER_MAX + 4);
	if (wr.buf == NULL)
		return -ENOMEM;
	if (secret)
		rc = encrypt(o, plain, plain_len, &tags, &body, &body_len, why, why_size);
	if (rc == 0 && tags.bad)
		rc = -EMSGSIZE;
	head.extra = extra;
	head.extra_len = tags.len;
	if (rc == 0)
		rc = pki_tlv_header_build(&head, &wr, why, why_size);
	if (rc < 0) {
		OPENSSL_free(wr.buf);
		OPENSSL_free(body);
		return rc;
	}
	*ret_header = wr.buf;
	*ret_header_len = wr.len;
	*ret_body = body;
	*ret_body_len = body_len;
	return 0;
}

int pki_sgn_finish(const uint8_t *header, size_t header_len, const uint8_t *body, size_t body_len, const uint8_t *sig,
		   size_t sig_len, uint8_t **ret, size_t *ret_len)
{
	struct pki_tlv_header h;

	if (body_len > PKI_SGN_BODY_MAX || (body == NULL && body_len > 0))
		return -EINVAL;
	/* A body must not be taken for the rest of the header. */
	if (pki_tlv_header_parse(header, header_len, true, &h, NULL, 0) < 0 || h.end != header_len)
		return -EBADMSG;
	return pki_tlv_finish(header, header_len, body, body_len, sig, sig_len, ret, ret_len);
}

int pki_cert_hash(const X509 *cert, char ret[33])
{
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (X509_digest(cert, EVP_md5(), md, &len) != 1 || len != 16)
		return -EIO;
	for (unsigned i = 0; i < len; i++) {
		ret[2 * i] = "0123456789abcdef"[md[i] >> 4];
		ret[2 * i + 1] = "0123456789abcdef"[md[i] & 15];
	}
	ret[32] = '\0';
	return 0;
}
