/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "tlv.h"
#include "x509.h"

#define VERIFY_BITS_MIN 1024 /* anybody can make signatures of a smaller key */

void pki_tlv_why(char *why, size_t why_size, const char *fmt, ...)
{
	va_list ap;

	if (why == NULL || why_size == 0)
		return;
	va_start(ap, fmt);
	vsnprintf(why, why_size, fmt, ap);
	va_end(ap);
}

const char *pki_digest_name(unsigned digest)
{
	switch (digest) {
	case PKI_SHA1:
		return "SHA-1";
	case PKI_SHA256:
		return "SHA-256";
	case PKI_SHA512:
		return "SHA-512";
	default:
		return "unknown";
	}
}

const EVP_MD *pki_digest_md(unsigned digest)
{
	switch (digest) {
	case PKI_SHA1:
		return EVP_sha1();
	case PKI_SHA256:
		return EVP_sha256();
	case PKI_SHA512:
		return EVP_sha512();
	default:
		return NULL; /* 4 and above were never seen; SHA-384 has no code */
	}
}

/* Bytes of a signature by the code of tag 11; 0: no such code. */
static size_t modulus_bytes(uint8_t code)
{
	static const uint16_t bytes[] = {64, 128, 256, 512};

	return code < sizeof(bytes) / sizeof(bytes[0]) ? bytes[code] : 0;
}

const char *pki_tlv_string(const uint8_t *val, size_t len)
{
	if (len == 0 || len > PKI_TL_NAME_MAX || memchr(val, 0, len) != val + len - 1)
		return NULL;
	return (const char *)val;
}

bool pki_tlv_serial_equal(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	if (a == NULL || b == NULL)
		return false;
	for (; a_len > 1 && *a == 0; a_len--)
		a++;
	for (; b_len > 1 && *b == 0; b_len--)
		b++;
	return a_len == b_len && a_len > 0 && memcmp(a, b, a_len) == 0;
}

/* --- reading --- */

struct scan {
	struct pki_tlv_header *h;
	const uint8_t *file;
	struct pki_rd rd; /* of the container that is read */
	uint32_t seen;	  /* bit per tag */
	bool tbs;
	char *why;
	size_t why_size;
};

static uint8_t container_of(uint8_t tag)
{
	switch (tag) {
	case PKI_TLV_SIGNER_NAME:
	case PKI_TLV_SERIAL:
	case PKI_TLV_ISSUER:
		return PKI_TLV_SIGNER;
	case PKI_TLV_DIGEST:
	case PKI_TLV_SIG_ALG_INFO:
		return PKI_TLV_SIG_INFO;
	case PKI_TLV_SIG_ALG:
	case PKI_TLV_SIG_MODULUS:
		return PKI_TLV_SIG_ALG_INFO;
	case PKI_TLV_IV_INFO:
	case PKI_TLV_KEY_INFO:
		return PKI_TLV_ENC_INFO;
	case PKI_TLV_IV_ZERO:
	case PKI_TLV_IV:
	case PKI_TLV_CUT:
		return PKI_TLV_IV_INFO;
	case PKI_TLV_KEY_ZERO:
	case PKI_TLV_KEY_BITS:
	case PKI_TLV_KEY_ALG:
	case PKI_TLV_KEY:
		return PKI_TLV_KEY_INFO;
	default:
		return 0;
	}
}

static int bad_tag(const struct scan *sc, uint8_t tag, const char *what)
{
	pki_tlv_why(sc->why, sc->why_size, "header tag %u: %s", tag, what);
	return -EBADMSG;
}

/* One TLV that is no container. */
static int take_tag(struct scan *sc, uint8_t tag, const uint8_t *val, size_t len)
{
	struct pki_tlv_header *h = sc->h;
	struct pki_rd rd = pki_rd_init(val, len);

	switch (tag) {
	case PKI_TLV_SIGNER_NAME:
	case PKI_TLV_ISSUER:
	case PKI_TLV_FILENAME: {
		const char *s = pki_tlv_string(val, len);

		if (s == NULL)
			return bad_tag(sc, tag, "not a string of at most 511 characters and its NUL");
		*(tag == PKI_TLV_SIGNER_NAME ? &h->signer : tag == PKI_TLV_ISSUER ? &h->issuer : &h->filename) = s;
		return 0;
	}
	case PKI_TLV_SERIAL:
		if (len == 0 || len > PKI_TL_SERIAL_MAX)
			return bad_tag(sc, tag, "a serial number has 1 to 20 bytes");
		h->serial = val;
		h->serial_len = len;
		return 0;
	case PKI_TLV_SIGNATURE:
		if (sc->tbs)
			return bad_tag(sc, tag, "signed already");
		h->sig = val;
		h->sig_len = len;
		h->sig_tlv_off = (size_t)(val - sc->file) - 3;
		return 0;
	case PKI_TLV_DIGEST:
		h->digest = pki_rd_u8(&rd);
		break;
	case PKI_TLV_SIG_ALG:
		h->sig_alg = pki_rd_u8(&rd);
		break;
	case PKI_TLV_SIG_MODULUS:
		h->sig_mod = pki_rd_u8(&rd);
		break;
	case PKI_TLV_TIMESTAMP:
		h->timestamp = pki_rd_u32(&rd);
		break;
	case PKI_TLV_SIGNER_VERSION:
		h->signer_major = pki_rd_u8(&rd);
		h->signer_minor = pki_rd_u8(&rd);
		break;
	case PKI_TLV_IV_ZERO:
		h->iv_zero = pki_rd_u8(&rd);
		break;
	case PKI_TLV_IV:
		h->iv = pki_rd_bytes(&rd, 16);
		break;
	case PKI_TLV_CUT:
		h->cut = pki_rd_u16(&rd);
		break;
	case PKI_TLV_KEY_ZERO:
		h->key_zero = pki_rd_u8(&rd);
		break;
	case PKI_TLV_KEY_BITS:
		h->key_bits = pki_rd_u16(&rd);
		break;
	case PKI_TLV_KEY_ALG:
		h->key_alg = pki_rd_u8(&rd);
		break;
	case PKI_TLV_KEY:
		h->wrapped = val;
		h->wrapped_len = len;
		return 0;
	case PKI_TLV_HASH_ALG:
		h->hash_alg = pki_rd_u8(&rd);
		break;
	case PKI_TLV_HASH:
		h->hash = val;
		h->hash_len = len;
		return 0;
	default:
		return 0; /* not known here: covered by the signature, and without meaning */
	}
	return pki_rd_done(&rd) ? 0 : bad_tag(sc, tag, "wrong length");
}

/* All TLVs of a container (0: the header itself, behind tags 1 and 2). */
static int scan_tags(struct scan *sc, uint8_t container)
{
	struct pki_tlv_header *h = sc->h;
	int rc;

	while (sc->rd.left > 0) {
		uint8_t tag = pki_rd_u8(&sc->rd);
		const uint8_t *val;
		size_t len;

		if (h->order_len < PKI_TLV_ORDER_MAX)
			h->order[h->order_len++] = tag;
		if (tag == PKI_TLV_PADDING && container == 0) {
			h->padding++;
			continue;
		}
		len = pki_rd_u16(&sc->rd);
		val = pki_rd_bytes(&sc->rd, len);
		if (val == NULL)
			return bad_tag(sc, tag, "longer than what it is in");
		if (container_of(tag) != container)
			return bad_tag(sc, tag, "out of its container");
		if (tag < 32) {
			if (sc->seen & 1u << tag)
				return bad_tag(sc, tag, "twice");
			sc->seen |= 1u << tag;
		}
		if (tag == PKI_TLV_SIGNER || tag == PKI_TLV_SIG_INFO || tag == PKI_TLV_SIG_ALG_INFO ||
		    tag == PKI_TLV_ENC_INFO || tag == PKI_TLV_IV_INFO || tag == PKI_TLV_KEY_INFO) {
			struct pki_rd outer = sc->rd;

			sc->rd = pki_rd_init(val, len);
			rc = scan_tags(sc, tag);
			sc->rd = outer;
		} else {
			rc = take_tag(sc, tag, val, len);
		}
		if (rc < 0)
			return rc;
		if (tag == PKI_TLV_SIG_INFO && sc->tbs)
			h->sig_tlv_off = (size_t)(sc->rd.p - sc->file);
	}
	return 0;
}

/* Tags that must be there, and what they say of each other. */
static int check_header(const struct scan *sc)
{
	static const uint8_t must[] = {PKI_TLV_SIGNER_NAME, PKI_TLV_SERIAL,	 PKI_TLV_ISSUER,  PKI_TLV_DIGEST,
				       PKI_TLV_SIG_ALG,	    PKI_TLV_SIG_MODULUS, PKI_TLV_FILENAME};
	static const uint8_t must_enc[] = {PKI_TLV_IV,	    PKI_TLV_CUT,      PKI_TLV_KEY_BITS,
					   PKI_TLV_KEY_ALG, PKI_TLV_HASH_ALG, PKI_TLV_HASH};
	struct pki_tlv_header *h = sc->h;

	for (size_t i = 0; i < sizeof(must); i++)
		if (!(sc->seen & 1u << must[i]))
			return bad_tag(sc, must[i], "missing");
	if (!sc->tbs && h->sig == NULL)
		return bad_tag(sc, PKI_TLV_SIGNATURE, "missing");
	if (!sc->tbs && (h->sig_len == 0 || h->sig_len != modulus_bytes(h->sig_mod)))
		return bad_tag(sc, PKI_TLV_SIGNATURE, "not of the length that tag 11 says");
	h->encrypted = (sc->seen & 1u << PKI_TLV_ENC_INFO) != 0;
	for (size_t i = 0; h->encrypted && i < sizeof(must_enc); i++)
		if (!(sc->seen & 1u << must_enc[i]))
			return bad_tag(sc, must_enc[i], "missing");
	return 0;
}

static int scan_header(struct scan *sc, const struct pki_tlv_header *start, const uint8_t *tags, size_t end)
{
	int rc;

	*sc->h = *start;
	sc->h->end = end;
	sc->seen = 0;
	sc->rd = pki_rd_init(tags, end - 10);
	rc = scan_tags(sc, 0);
	return rc < 0 ? rc : check_header(sc);
}

int pki_tlv_header_parse(const uint8_t *file, size_t len, bool tbs, struct pki_tlv_header *ret, char *why,
			 size_t why_size)
{
	struct pki_rd rd = pki_rd_init(file, len);
	struct pki_tlv_header start = {0}, h;
	struct scan sc = {.h = &h, .file = file, .tbs = tbs, .why = why, .why_size = why_size};
	int rc = -EBADMSG;

	if (pki_rd_u8(&rd) != PKI_TLV_VERSION || pki_rd_u16(&rd) != 2) {
		pki_tlv_why(why, why_size, "does not begin with a version");
		return -EBADMSG;
	}
	start.major = pki_rd_u8(&rd);
	start.minor = pki_rd_u8(&rd);
	if (pki_rd_u8(&rd) != PKI_TLV_HEADER_LEN || pki_rd_u16(&rd) != 2) {
		pki_tlv_why(why, why_size, "no header length behind the version");
		return -EBADMSG;
	}
	start.header_len = pki_rd_u16(&rd);
	if (rd.bad || start.header_len < 10) {
		pki_tlv_why(why, why_size, "no header behind its length");
		return -EBADMSG;
	}
	if (start.header_len > PKI_TLV_HEADER_MAX) {
		pki_tlv_why(why, why_size, "header of %u bytes, at most %u", start.header_len, PKI_TLV_HEADER_MAX);
		return -EMSGSIZE;
	}
	start.order[start.order_len++] = PKI_TLV_VERSION;
	start.order[start.order_len++] = PKI_TLV_HEADER_LEN;
	if (!tbs) {
		if (start.header_len > len) {
			pki_tlv_why(why, why_size, "file of %zu bytes, header of %u", len, start.header_len);
			return -EBADMSG;
		}
		rc = scan_header(&sc, &start, rd.p, start.header_len);
	}
	/*
	 * A tbs is shorter than its header will be by the signature, whose length stands in the header: try
	 * each. The tags in front of tag 11 are the same every time, so no more than one can fit.
	 */
	pki_tlv_why(why, tbs ? why_size : 0, "header without signature is cut off");
	for (uint8_t code = 0; tbs && rc < 0 && modulus_bytes(code) != 0; code++) {
		size_t sig = modulus_bytes(code) + 3;

		if (start.header_len < 10 + sig || start.header_len - sig > len)
			continue;
		rc = scan_header(&sc, &start, rd.p, start.header_len - sig);
		if (rc == 0 && h.sig_mod != code) {
			pki_tlv_why(why, why_size, "header length and tag 11 disagree");
			rc = -EBADMSG;
		}
		h.sig_len = sig - 3;
	}
	if (rc == 0)
		*ret = h;
	return rc;
}

/* --- writing --- */

size_t pki_tlv_open(struct pki_wr *wr, uint8_t tag)
{
	pki_wr_u8(wr, tag);
	pki_wr_u16(wr, 0);
	return wr->len;
}

void pki_tlv_close(struct pki_wr *wr, size_t mark)
{
	size_t len = wr->len - mark;

	if (len > UINT16_MAX)
		wr->bad = true;
	if (wr->bad)
		return;
	wr->buf[mark - 2] = (uint8_t)(len >> 8);
	wr->buf[mark - 1] = (uint8_t)len;
}

void pki_tlv_put(struct pki_wr *wr, uint8_t tag, const void *val, size_t len)
{
	pki_wr_u8(wr, tag);
	pki_wr_u16(wr, (uint16_t)len);
	pki_wr_bytes(wr, val, len);
	if (len > UINT16_MAX)
		wr->bad = true;
}

void pki_tlv_put_string(struct pki_wr *wr, uint8_t tag, const char *val)
{
	pki_tlv_put(wr, tag, val, strlen(val) + 1);
}

void pki_tlv_put_uint(struct pki_wr *wr, uint8_t tag, uint64_t val, unsigned n)
{
	pki_wr_u8(wr, tag);
	pki_wr_u16(wr, (uint16_t)n);
	pki_wr_uint(wr, val, n);
}

/* What tag 11 says of a signer's key. -ENOTSUP. */
static int modulus_code(X509 *signer, char *why, size_t why_size)
{
	EVP_PKEY *pub = signer != NULL ? X509_get0_pubkey(signer) : NULL;
	int bits;

	if (pub == NULL || EVP_PKEY_get_base_id(pub) != EVP_PKEY_RSA) {
		pki_tlv_why(why, why_size, "only an RSA key can sign");
		return -ENOTSUP;
	}
	bits = EVP_PKEY_get_bits(pub);
	for (uint8_t code = 0; modulus_bytes(code) != 0; code++)
		if ((size_t)bits == modulus_bytes(code) * 8 && bits >= VERIFY_BITS_MIN)
			return code;
	pki_tlv_why(why, why_size, "a signer's key has 1024, 2048 or 4096 bits, not %d", bits);
	return -ENOTSUP;
}

int pki_tlv_header_build(const struct pki_tlv_head_opts *o, struct pki_wr *wr, char *why, size_t why_size)
{
	char subject[PKI_TL_NAME_MAX], issuer[PKI_TL_NAME_MAX];
	size_t sig_info, sig_alg, signer, start = wr->len, total;
	const ASN1_INTEGER *serial;
	int code = modulus_code(o->signer, why, why_size);

	if (code < 0)
		return code;
	if (pki_digest_md(o->digest) == NULL) {
		pki_tlv_why(why, why_size, "digest code %d is not known", (int)o->digest);
		return -ENOTSUP;
	}
	if (o->filename == NULL || o->filename[0] == '\0' || strlen(o->filename) >= PKI_TL_NAME_MAX) {
		pki_tlv_why(why, why_size, "a file name has 1 to %d bytes", PKI_TL_NAME_MAX - 1);
		return -EINVAL;
	}
	serial = X509_get0_serialNumber(o->signer);
	if (pki_tl_dn(X509_get_subject_name(o->signer), subject, sizeof(subject)) < 0 ||
	    pki_tl_dn(X509_get_issuer_name(o->signer), issuer, sizeof(issuer)) < 0 || ASN1_STRING_length(serial) < 1 ||
	    ASN1_STRING_length(serial) > PKI_TL_SERIAL_MAX) {
		pki_tlv_why(why, why_size, "the signer's names or serial number do not fit");
		return -EMSGSIZE;
	}
	pki_wr_u8(wr, PKI_TLV_VERSION);
	pki_wr_u16(wr, 2);
	pki_wr_u8(wr, o->major);
	pki_wr_u8(wr, o->minor);
	pki_tlv_put_uint(wr, PKI_TLV_HEADER_LEN, 0, 2);
	if (o->signer_minor >= 0)
		pki_tlv_put_uint(wr, PKI_TLV_SIGNER_VERSION, 0x100u | (uint8_t)o->signer_minor, 2);
	signer = pki_tlv_open(wr, PKI_TLV_SIGNER);
	pki_tlv_put_string(wr, PKI_TLV_SIGNER_NAME, subject);
	pki_tlv_put(wr, PKI_TLV_SERIAL, ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));
	pki_tlv_put_string(wr, PKI_TLV_ISSUER, issuer);
	pki_tlv_close(wr, signer);
	sig_info = pki_tlv_open(wr, PKI_TLV_SIG_INFO);
	pki_tlv_put_uint(wr, PKI_TLV_DIGEST, o->digest, 1);
	sig_alg = pki_tlv_open(wr, PKI_TLV_SIG_ALG_INFO);
	pki_tlv_put_uint(wr, PKI_TLV_SIG_ALG, 0, 1);
	pki_tlv_put_uint(wr, PKI_TLV_SIG_MODULUS, (uint8_t)code, 1);
	pki_tlv_close(wr, sig_alg);
	pki_tlv_close(wr, sig_info);
	pki_tlv_put_string(wr, PKI_TLV_FILENAME, o->filename);
	if (o->timestamp != 0)
		pki_tlv_put_uint(wr, PKI_TLV_TIMESTAMP, o->timestamp, 4);
	pki_wr_bytes(wr, o->extra, o->extra_len);
	total = wr->len - start + 3 + modulus_bytes((uint8_t)code);
	for (; total % 4 != 0; total++)
		pki_wr_u8(wr, PKI_TLV_PADDING);
	if (wr->bad || total > PKI_TLV_HEADER_MAX) {
		pki_tlv_why(why, why_size, "header of %zu bytes, at most %u", total, PKI_TLV_HEADER_MAX);
		return -EMSGSIZE;
	}
	wr->buf[start + 8] = (uint8_t)(total >> 8);
	wr->buf[start + 9] = (uint8_t)total;
	return 0;
}

int pki_tlv_finish(const uint8_t *tbs, size_t tbs_len, const uint8_t *tail, size_t tail_len, const uint8_t *sig,
		   size_t sig_len, uint8_t **ret, size_t *ret_len)
{
	struct pki_tlv_header h;
	struct pki_wr wr;
	uint8_t *out;
	int rc = pki_tlv_header_parse(tbs, tbs_len, true, &h, NULL, 0);

	if (rc < 0)
		return rc;
	if (sig == NULL || sig_len != h.sig_len || tail_len > SIZE_MAX / 2)
		return -EINVAL;
	wr = pki_wr_init(NULL, tbs_len + 3 + sig_len + tail_len);
	out = OPENSSL_malloc(wr.room);
	if (out == NULL)
		return -ENOMEM;
	wr.buf = out;
	pki_wr_bytes(&wr, tbs, h.sig_tlv_off);
	pki_tlv_put(&wr, PKI_TLV_SIGNATURE, sig, sig_len);
	pki_wr_bytes(&wr, tbs + h.sig_tlv_off, tbs_len - h.sig_tlv_off);
	pki_wr_bytes(&wr, tail, tail_len);
	*ret = out;
	*ret_len = wr.len;
	return 0;
}

/* --- signatures --- */

int pki_tlv_verify(const uint8_t *file, size_t len, const struct pki_tlv_header *h, EVP_PKEY *pub, char *why,
		   size_t why_size)
{
	const EVP_MD *md = pki_digest_md(h->digest);
	size_t behind = h->sig_tlv_off + 3 + h->sig_len;
	EVP_MD_CTX *ctx;
	bool ok;

	if (md == NULL || h->sig_alg != 0) {
		pki_tlv_why(why, why_size, "%s code %u is not known", md == NULL ? "digest" : "signature algorithm",
			    md == NULL ? h->digest : h->sig_alg);
		return -ENOTSUP;
	}
	if (EVP_PKEY_get_base_id(pub) != EVP_PKEY_RSA || EVP_PKEY_get_bits(pub) < VERIFY_BITS_MIN) {
		pki_tlv_why(why, why_size, "the signer's key is not RSA of at least %d bits", VERIFY_BITS_MIN);
		return -EACCES;
	}
	ctx = EVP_MD_CTX_new();
	if (ctx == NULL)
		return -ENOMEM;
	ok = EVP_DigestVerifyInit(ctx, NULL, md, NULL, pub) == 1 &&
	     EVP_DigestVerifyUpdate(ctx, file, h->sig_tlv_off) == 1 &&
	     EVP_DigestVerifyUpdate(ctx, file + behind, len - behind) == 1 &&
	     EVP_DigestVerifyFinal(ctx, h->sig, h->sig_len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	if (!ok) {
		pki_tlv_why(why, why_size, "the signature is wrong");
		return -EACCES;
	}
	return 0;
}

static bool cert_is_signer(const struct pki_tlv_header *h, X509 *cert)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	char issuer[PKI_TL_NAME_MAX];

	return ASN1_STRING_length(serial) > 0 &&
	       pki_tlv_serial_equal(h->serial, h->serial_len, ASN1_STRING_get0_data(serial),
				    (size_t)ASN1_STRING_length(serial)) &&
	       pki_tl_dn(X509_get_issuer_name(cert), issuer, sizeof(issuer)) >= 0 && pki_tl_dn_equal(h->issuer, issuer);
}

int pki_tlv_verify_cert(const uint8_t *file, size_t len, const struct pki_tlv_header *h, X509 *cert, char *why,
			size_t why_size)
{
	EVP_PKEY *pub = X509_get0_pubkey(cert);

	if (pub == NULL || !cert_is_signer(h, cert)) {
		pki_tlv_why(why, why_size, "the file names another signer than this certificate");
		return -EACCES;
	}
	return pki_tlv_verify(file, len, h, pub, why, why_size);
}

int pki_tlv_pubkey(X509 *cert, const uint8_t **ret, size_t *ret_len)
{
	const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(cert);
	EVP_PKEY *pub = X509_get0_pubkey(cert);
	int len = bits != NULL ? ASN1_STRING_length(bits) : 0;

	if (pub == NULL || len <= 0)
		return -ENOTSUP;
	*ret = ASN1_STRING_get0_data(bits);
	*ret_len = (size_t)len;
	if (EVP_PKEY_get_base_id(pub) == EVP_PKEY_RSA)
		return 0;
	return EVP_PKEY_get_base_id(pub) == EVP_PKEY_EC && **ret == 0x04 ? 0 : -ENOTSUP;
}

/*
 * The key of a record. A record carries its certificate and, extracted, the certificate's key and serial number; one
 * whose parts disagree is nobody's. Old tokens' records have no certificate: then the key is all there is.
 */
static int record_key(const struct pki_tl_rec *rec, EVP_PKEY **ret)
{
	const uint8_t *p = rec->pubkey, *key;
	const ASN1_INTEGER *serial;
	X509 *cert = NULL;
	size_t key_len;
	int rc = -EACCES;

	if (rec->cert == NULL) {
		if (p == NULL || rec->pubkey_len > 4096)
			return -EACCES;
		*ret = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)rec->pubkey_len);
		ERR_clear_error();
		return *ret != NULL ? 0 : -EACCES;
	}
	if (pki_cert_parse(rec->cert, rec->cert_len, &cert) < 0)
		return -EACCES;
	serial = X509_get0_serialNumber(cert);
	if (ASN1_STRING_length(serial) < 1 ||
	    !pki_tlv_serial_equal(rec->serial, rec->serial_len, ASN1_STRING_get0_data(serial),
				  (size_t)ASN1_STRING_length(serial)))
		goto out;
	if (pki_tlv_pubkey(cert, &key, &key_len) < 0)
		goto out;
	if (p != NULL && (key_len != rec->pubkey_len || memcmp(key, p, key_len) != 0))
		goto out;
	*ret = X509_get_pubkey(cert);
	rc = 0;
out:
	X509_free(cert);
	return rc;
}

int pki_tlv_verify_list(const uint8_t *file, size_t len, const struct pki_tlv_header *h, const struct pki_tl *list,
			uint32_t roles, const struct pki_tl_rec **ret_rec, char *why, size_t why_size)
{
	int rc = -EACCES;

	pki_tlv_why(why, why_size, "the signer is not in the list with a role that may sign this");
	for (unsigned i = 0; i < list->rec_cnt; i++) {
		const struct pki_tl_rec *rec = &list->rec[i];
		EVP_PKEY *pub = NULL;

		if (rec->role >= 32 || !(roles & 1u << rec->role) ||
		    !pki_tlv_serial_equal(h->serial, h->serial_len, rec->serial, rec->serial_len) ||
		    !pki_tl_dn_equal(h->issuer, rec->issuer))
			continue;
		if (record_key(rec, &pub) < 0) {
			pki_tlv_why(why, why_size, "the signer's record disagrees with its own certificate");
			rc = -EACCES;
			continue;
		}
		rc = pki_tlv_verify(file, len, h, pub, why, why_size);
		EVP_PKEY_free(pub);
		if (rc == 0 && ret_rec != NULL)
			*ret_rec = rec;
		if (rc == 0 || rc == -ENOTSUP)
			return rc;
	}
	return rc;
}
