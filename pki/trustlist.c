/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "tlv.h"
#include "x509.h"

enum rec_tag {
	REC_LEN = 1,
	REC_DNS = 2,
	REC_SUBJECT = 3,
	REC_ROLE = 4,
	REC_ISSUER = 5,
	REC_SERIAL = 6,
	REC_PUBKEY = 7,
	REC_SIG = 8,
	REC_CERT = 9,
	REC_IP = 10,
};

static const char *const kind_names[] = {[PKI_TL_CTL] = "CTLFile.tlv", [PKI_TL_ITL] = "ITLFile.tlv"};

/*
 * 004c:CT-08 (100 entries, 75 K) and CT-18 (issuer, subject, serial number 256; key 512; signature 1,024). The
 * documents give one set for all phones. What differs by class is what a phone can check: the 7900, 8900 and 9900
 * series check file signatures with SHA-1 only (000:R-21).
 */
static const struct pki_tl_limits classes[PKI_CLASS_MAX] = {
	[PKI_CLASS_79XX] = {.name = "79xx", .digest = PKI_SHA1, .signer_minor = 0, .records = 100, .file = 76800,
			    .issuer = 256, .subject = 256, .serial = 256, .pubkey = 512, .signature = 1024},
	[PKI_CLASS_MODERN] = {.name = "modern", .digest = PKI_SHA512, .signer_minor = 1, .records = 100, .file = 76800,
			      .issuer = 256, .subject = 256, .serial = 256, .pubkey = 512, .signature = 1024},
};

const struct pki_tl_limits *pki_tl_class_limits(enum pki_tl_class cls)
{
	return cls >= PKI_CLASS_79XX && cls < PKI_CLASS_MAX ? &classes[cls] : NULL;
}

int pki_tl_class_parse(const char *name, enum pki_tl_class *ret)
{
	for (int i = PKI_CLASS_79XX; i < PKI_CLASS_MAX; i++) {
		if (strcasecmp(name, classes[i].name) == 0) {
			*ret = (enum pki_tl_class)i;
			return 0;
		}
	}
	return -EINVAL;
}

enum pki_tl_class pki_tl_class_of_model(const char *model, enum pki_tl_class other)
{
	static const char *const old[] = {"79", "89", "99", "69", "12", "30", "ATA"};

	if (model == NULL || model[0] == '\0')
		return other;
	if (strncasecmp(model, "Cisco", 5) == 0)
		model += 5 + strspn(model + 5, " -");
	if (strncasecmp(model, "CP", 2) == 0)
		model += 2 + strspn(model + 2, " -");
	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
		if (strncasecmp(model, old[i], strlen(old[i])) == 0)
			return PKI_CLASS_79XX;
	return PKI_CLASS_MODERN;
}

static const struct {
	uint16_t role;
	const char *name;
} roles[] = {
	{PKI_TL_SAST, "SAST"}, {PKI_TL_CCM, "CCM"},		 {PKI_TL_CCM_TFTP, "CCM+TFTP"}, {PKI_TL_TFTP, "TFTP"},
	{PKI_TL_CAPF, "CAPF"}, {PKI_TL_APP_SERVER, "APP-SERVER"}, {PKI_TL_TVS, "TVS"},
};

const char *pki_tl_role_name(uint16_t role)
{
	static _Thread_local char text[16];

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (roles[i].role == role)
			return roles[i].name;
	snprintf(text, sizeof(text), "role-%u", role);
	return text;
}

int pki_tl_role_parse(const char *name, uint16_t *ret)
{
	unsigned long n;
	char *end;

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (strcasecmp(name, roles[i].name) == 0) {
			*ret = roles[i].role;
			return 0;
		}
	}
	if (strncasecmp(name, "role-", 5) != 0 || name[5] < '0' || name[5] > '9')
		return -EINVAL;
	n = strtoul(name + 5, &end, 10);
	if (*end != '\0' || n > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)n;
	return 0;
}

/* --- reading --- */

struct reader {
	const uint8_t *file;
	unsigned n; /* number of the record, from 1 */
	char *why;
	size_t why_size;
};

static int bad_rec(const struct reader *r, unsigned tag, const char *what)
{
	pki_tlv_why(r->why, r->why_size, "record %u, tag %u: %s", r->n, tag, what);
	return -EBADMSG;
}

static int parse_tag(const struct reader *r, struct pki_tl_rec *rec, uint8_t tag, const uint8_t *val, size_t len)
{
	switch (tag) {
	case REC_DNS:
	case REC_SUBJECT:
	case REC_ISSUER: {
		const char *s = pki_tlv_string(val, len);

		if (s == NULL)
			return bad_rec(r, tag, "not a string of at most 511 characters and its NUL");
		*(tag == REC_DNS ? &rec->dns : tag == REC_SUBJECT ? &rec->subject : &rec->issuer) = s;
		return 0;
	}
	case REC_ROLE:
		if (len != 2)
			return bad_rec(r, tag, "a role has 2 bytes");
		rec->role = (uint16_t)(val[0] << 8 | val[1]);
		return 0;
	case REC_SERIAL:
		if (len == 0 || len > PKI_TL_SERIAL_MAX)
			return bad_rec(r, tag, "a serial number has 1 to 20 bytes");
		rec->serial = val;
		rec->serial_len = len;
		return 0;
	case REC_PUBKEY:
		rec->pubkey = val;
		rec->pubkey_len = len;
		return 0;
	case REC_SIG:
		rec->sig = val;
		rec->sig_len = len;
		return 0;
	case REC_CERT:
		rec->cert = len > 0 ? val : NULL;
		rec->cert_len = len;
		return 0;
	case REC_IP:
		if (len != 4)
			return bad_rec(r, tag, "an address has 4 bytes");
		rec->ip = val;
		return 0;
	case REC_LEN:
		return bad_rec(r, tag, "twice");
	default:
		return 0; /* certificate hashes (11, 12) were never seen in a list */
	}
}

static int parse_record(const struct reader *r, struct pki_rd *rd, struct pki_tl_rec *ret)
{
	const uint8_t *start = rd->p, *body;
	struct pki_tl_rec rec = {.off = (size_t)(start - r->file)};
	struct pki_rd in;
	uint32_t seen = 0;
	int rc;

	if (pki_rd_u8(rd) != REC_LEN || pki_rd_u16(rd) != 2)
		return bad_rec(r, REC_LEN, "does not begin with its length");
	rec.len = pki_rd_u16(rd);
	if (rd->bad || rec.len < 5)
		return bad_rec(r, REC_LEN, "a record has at least 5 bytes");
	body = pki_rd_bytes(rd, rec.len - 5);
	if (body == NULL)
		return bad_rec(r, REC_LEN, "longer than the file");
	rec.order[rec.order_len++] = REC_LEN;
	in = pki_rd_init(body, rec.len - 5);
	while (in.left > 0) {
		uint8_t tag = pki_rd_u8(&in);
		size_t len = pki_rd_u16(&in);
		const uint8_t *val = pki_rd_bytes(&in, len);

		if (val == NULL)
			return bad_rec(r, tag, "longer than its record");
		if (tag < 32 && seen & 1u << tag)
			return bad_rec(r, tag, "twice");
		if (tag < 32)
			seen |= 1u << tag;
		if (rec.order_len < sizeof(rec.order))
			rec.order[rec.order_len++] = tag;
		rc = parse_tag(r, &rec, tag, val, len);
		if (rc < 0)
			return rc;
	}
	if (!(seen & 1u << REC_ROLE))
		return bad_rec(r, REC_ROLE, "missing");
	*ret = rec;
	return 0;
}

static int parse(const uint8_t *file, size_t len, bool tbs, struct pki_tl *ret, char *why, size_t why_size)
{
	struct reader r = {.file = file, .why = why, .why_size = why_size};
	struct pki_tlv_header h;
	struct pki_rd rd;
	int rc;

	if (len > PKI_TL_FILE_MAX) {
		pki_tlv_why(why, why_size, "a list of %zu bytes is not looked at, at most %d", len, PKI_TL_FILE_MAX);
		return -EMSGSIZE;
	}
	rc = pki_tlv_header_parse(file, len, tbs, &h, why, why_size);
	if (rc < 0)
		return rc;
	if (h.major != 1 || h.encrypted) {
		pki_tlv_why(why, why_size, "version %u.%u is not of a trust list", h.major, h.minor);
		return -EBADMSG;
	}
	memset(ret, 0, sizeof(*ret));
	ret->file = file;
	ret->file_len = len;
	ret->major = h.major;
	ret->minor = h.minor;
	ret->header_len = h.header_len;
	ret->signer_major = h.signer_major;
	ret->signer_minor = h.signer_minor;
	ret->signer = h.signer;
	ret->issuer = h.issuer;
	ret->serial = h.serial;
	ret->serial_len = h.serial_len;
	ret->digest = h.digest;
	ret->sig_alg = h.sig_alg;
	ret->sig_mod = h.sig_mod;
	ret->sig = h.sig;
	ret->sig_len = h.sig_len;
	ret->sig_tlv_off = h.sig_tlv_off;
	ret->filename = h.filename;
	ret->timestamp = h.timestamp;
	ret->padding = h.padding;
	memcpy(ret->order, h.order, sizeof(ret->order));
	ret->order_len = h.order_len;
	rd = pki_rd_init(file + h.end, len - h.end);
	while (rd.left > 0) {
		if (ret->rec_cnt == PKI_TL_REC_MAX) {
			pki_tlv_why(why, why_size, "more than %d records", PKI_TL_REC_MAX);
			return -EMSGSIZE;
		}
		r.n = ret->rec_cnt + 1;
		rc = parse_record(&r, &rd, &ret->rec[ret->rec_cnt]);
		if (rc < 0)
			return rc;
		ret->rec_cnt++;
	}
	return 0;
}

int pki_tl_parse(const uint8_t *file, size_t len, struct pki_tl *ret, char *why, size_t why_size)
{
	return parse(file, len, false, ret, why, why_size);
}

int pki_tl_parse_tbs(const uint8_t *tbs, size_t len, struct pki_tl *ret, char *why, size_t why_size)
{
	return parse(tbs, len, true, ret, why, why_size);
}

static struct pki_tlv_header header_of(const struct pki_tl *tl)
{
	return (struct pki_tlv_header){.issuer = tl->issuer, .serial = tl->serial, .serial_len = tl->serial_len,
				       .digest = tl->digest, .sig_alg = tl->sig_alg, .sig_mod = tl->sig_mod,
				       .sig = tl->sig, .sig_len = tl->sig_len, .sig_tlv_off = tl->sig_tlv_off};
}

int pki_tl_verify(const struct pki_tl *tl, const struct pki_tl *anchor, const struct pki_tl_rec **ret_rec, char *why,
		  size_t why_size)
{
	struct pki_tlv_header h = header_of(tl);

	if (tl->sig == NULL)
		return -EINVAL;
	return pki_tlv_verify_list(tl->file, tl->file_len, &h, anchor != NULL ? anchor : tl, 1u << PKI_TL_SAST, ret_rec,
				   why, why_size);
}

int pki_tl_verify_cert(const struct pki_tl *tl, X509 *cert, char *why, size_t why_size)
{
	struct pki_tlv_header h = header_of(tl);

	if (tl->sig == NULL)
		return -EINVAL;
	return pki_tlv_verify_cert(tl->file, tl->file_len, &h, cert, why, why_size);
}

int pki_tl_kind_of(const struct pki_tl *tl, enum pki_tl_kind *ret)
{
	for (int k = PKI_TL_CTL; k <= PKI_TL_ITL; k++) {
		if (strcmp(tl->filename, kind_names[k]) == 0) {
			*ret = (enum pki_tl_kind)k;
			return 0;
		}
	}
	return -EBADMSG;
}

const struct pki_tl_rec *pki_tl_find(const struct pki_tl *tl, X509 *cert, int role)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	char issuer[PKI_TL_NAME_MAX];

	if (ASN1_STRING_length(serial) < 1 || pki_tl_dn(X509_get_issuer_name(cert), issuer, sizeof(issuer)) < 0)
		return NULL;
	for (unsigned i = 0; i < tl->rec_cnt; i++) {
		const struct pki_tl_rec *rec = &tl->rec[i];

		if ((role < 0 || rec->role == role) &&
		    pki_tlv_serial_equal(rec->serial, rec->serial_len, ASN1_STRING_get0_data(serial),
					 (size_t)ASN1_STRING_length(serial)) &&
		    pki_tl_dn_equal(rec->issuer, issuer))
			return rec;
	}
	return NULL;
}

/* --- writing --- */

static int over(char *why, size_t why_size, const struct pki_tl_limits *lim, const char *limit, size_t is, size_t max,
		const char *subject)
{
	pki_tlv_why(why, why_size, "limit '%s' of class %s: %zu, at most %zu%s%s", limit, lim->name, is, max,
		    subject[0] != '\0' ? ": " : "", subject);
	return -EMSGSIZE;
}

int pki_tl_check_cert(const struct pki_tl_limits *lim, X509 *cert, char *why, size_t why_size)
{
	char subject[4096], issuer[4096];
	const ASN1_BIT_STRING *sig = NULL;
	const uint8_t *key;
	size_t key_len, len;

	if (pki_tl_dn(X509_get_subject_name(cert), subject, sizeof(subject)) < 0 ||
	    pki_tl_dn(X509_get_issuer_name(cert), issuer, sizeof(issuer)) < 0) {
		pki_tlv_why(why, why_size, "limit 'subject' or 'issuer' of class %s: names that are no text of 4,095 bytes",
			    lim->name);
		return -EMSGSIZE;
	}
	if (strlen(issuer) > lim->issuer)
		return over(why, why_size, lim, "issuer", strlen(issuer), lim->issuer, subject);
	if (strlen(subject) > lim->subject)
		return over(why, why_size, lim, "subject", strlen(subject), lim->subject, "");
	len = (size_t)ASN1_STRING_length(X509_get0_serialNumber(cert));
	if (len > lim->serial)
		return over(why, why_size, lim, "serial", len, lim->serial, subject);
	if (len == 0 || len > PKI_TL_SERIAL_MAX) { /* RFC 5280 section 4.1.2.2, and what lists were seen to hold */
		pki_tlv_why(why, why_size, "limit 'serial': %zu bytes, 1 to %d: %s", len, PKI_TL_SERIAL_MAX, subject);
		return -EMSGSIZE;
	}
	if (pki_tlv_pubkey(cert, &key, &key_len) < 0) {
		pki_tlv_why(why, why_size, "a list can hold RSA keys and uncompressed points: %s", subject);
		return -ENOTSUP;
	}
	if (key_len > lim->pubkey)
		return over(why, why_size, lim, "pubkey", key_len, lim->pubkey, subject);
	X509_get0_signature(&sig, NULL, cert);
	len = sig != NULL ? (size_t)ASN1_STRING_length(sig) : 0;
	if (len > lim->signature)
		return over(why, why_size, lim, "signature", len, lim->signature, subject);
	return 0;
}

static int put_record(struct pki_wr *wr, const struct pki_tl_entry *e)
{
	char subject[PKI_TL_NAME_MAX] = "", issuer[PKI_TL_NAME_MAX] = "";
	const ASN1_BIT_STRING *sig = NULL;
	const ASN1_INTEGER *serial;
	size_t start = wr->len, key_len, len;
	const uint8_t *key;
	uint8_t *der = NULL;
	int der_len = 0;

	if (e->cert != NULL && (pki_tl_dn(X509_get_subject_name(e->cert), subject, sizeof(subject)) < 0 ||
				pki_tl_dn(X509_get_issuer_name(e->cert), issuer, sizeof(issuer)) < 0))
		return -EMSGSIZE;
	pki_tlv_put_uint(wr, REC_LEN, 0, 2);
	pki_tlv_put_string(wr, REC_DNS, e->dns != NULL ? e->dns : "");
	pki_tlv_put_string(wr, REC_SUBJECT, subject);
	pki_tlv_put_uint(wr, REC_ROLE, e->role, 2);
	pki_tlv_put_string(wr, REC_ISSUER, issuer);
	if (e->cert != NULL) {
		serial = X509_get0_serialNumber(e->cert);
		pki_tlv_put(wr, REC_SERIAL, ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));
		if (pki_tlv_pubkey(e->cert, &key, &key_len) < 0)
			return -ENOTSUP;
		pki_tlv_put(wr, REC_PUBKEY, key, key_len);
		X509_get0_signature(&sig, NULL, e->cert);
		pki_tlv_put(wr, REC_SIG, ASN1_STRING_get0_data(sig), (size_t)ASN1_STRING_length(sig));
		der_len = i2d_X509(e->cert, &der);
		if (der_len < 0)
			return -EIO;
		pki_tlv_put(wr, REC_CERT, der, (size_t)der_len);
		OPENSSL_free(der);
	}
	if (e->ip != NULL)
		pki_tlv_put(wr, REC_IP, e->ip, 4);
	len = wr->len - start;
	if (wr->bad || len > UINT16_MAX)
		return -EMSGSIZE;
	wr->buf[start + 3] = (uint8_t)(len >> 8);
	wr->buf[start + 4] = (uint8_t)len;
	return 0;
}

/* The signer must be a SAST of a list that has certificates at all. */
static bool signer_in(const struct pki_tl_opts *o, const struct pki_tl_entry *entries, unsigned n)
{
	bool certs = false;

	for (unsigned i = 0; i < n; i++) {
		if (entries[i].cert == NULL)
			continue;
		certs = true;
		if (entries[i].role == PKI_TL_SAST && X509_cmp(entries[i].cert, o->signer) == 0)
			return true;
	}
	return !certs;
}

int pki_tl_build(const struct pki_tl_opts *o, const struct pki_tl_entry *entries, unsigned n, uint8_t **ret,
		 size_t *ret_len, char *why, size_t why_size)
{
	const struct pki_tl_limits *lim = pki_tl_class_limits(o->cls);
	struct pki_tlv_head_opts head = {.major = 1, .minor = 2, .signer = o->signer, .timestamp = o->timestamp};
	struct pki_wr wr = {0};
	size_t sig_len, room;
	int rc;

	if (lim == NULL || (o->kind != PKI_TL_CTL && o->kind != PKI_TL_ITL) || o->signer == NULL ||
	    (n > 0 && entries == NULL)) {
		pki_tlv_why(why, why_size, "no such class or kind of list, or no signer");
		return -EINVAL;
	}
	if (n > lim->records)
		return over(why, why_size, lim, "records", n, lim->records, "");
	rc = pki_tl_check_cert(lim, o->signer, why, why_size);
	for (unsigned i = 0; rc == 0 && i < n; i++) {
		if (entries[i].cert != NULL)
			rc = pki_tl_check_cert(lim, entries[i].cert, why, why_size);
		if (rc == 0 && entries[i].dns != NULL && strlen(entries[i].dns) >= PKI_TL_NAME_MAX)
			rc = over(why, why_size, lim, "dns", strlen(entries[i].dns), PKI_TL_NAME_MAX - 1, "");
	}
	if (rc < 0)
		return rc;
	if (!signer_in(o, entries, n)) {
		pki_tlv_why(why, why_size, "the signer has no SAST record in the list");
		return -EINVAL;
	}
	room = lim->file + PKI_TLV_HEADER_MAX + 2 * PKI_DER_MAX; /* what is over shows as a number, up to a point */
	wr = pki_wr_init(OPENSSL_malloc(room), room);
	if (wr.buf == NULL)
		return -ENOMEM;
	head.filename = kind_names[o->kind];
	head.digest = o->digest != 0 ? o->digest : lim->digest;
	head.signer_minor = o->original ? -1 : lim->signer_minor;
	rc = pki_tlv_header_build(&head, &wr, why, why_size);
	for (unsigned i = 0; rc == 0 && i < n && wr.len <= lim->file; i++) {
		rc = put_record(&wr, &entries[i]);
		if (rc < 0)
			pki_tlv_why(why, why_size, "entry %u does not fit into a record", i + 1);
	}
	sig_len = (size_t)EVP_PKEY_get_size(X509_get0_pubkey(o->signer));
	if (rc == 0 && wr.len + 3 + sig_len > lim->file)
		rc = over(why, why_size, lim, "file", wr.len + 3 + sig_len, lim->file, "");
	if (rc < 0) {
		OPENSSL_free(wr.buf);
		return rc;
	}
	*ret = wr.buf;
	*ret_len = wr.len;
	return 0;
}

int pki_tl_finish(const uint8_t *tbs, size_t tbs_len, const uint8_t *sig, size_t sig_len, uint8_t **ret, size_t *ret_len)
{
	return pki_tlv_finish(tbs, tbs_len, NULL, 0, sig, sig_len, ret, ret_len);
}
