/* SPDX-License-Identifier: BSD-3-Clause */
/* Trust lists and signed files as JSON and, from that, tag by tag for people. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "file.h"
#include "x509.h"

static const char *const header_tags[] = {
	[1] = "VERSION",	 [2] = "HEADERLENGTH",	[3] = "SIGNERID",	[4] = "SIGNERNAME",
	[5] = "SERIALNUMBER",	 [6] = "CANAME",	[7] = "SIGNATUREINFO",	[8] = "DIGESTALGORITHM",
	[9] = "SIGNATUREALGOINFO", [10] = "SIGNATUREALGORITHM", [11] = "SIGNATUREMODULUS", [12] = "SIGNATURE",
	[13] = "PADDING",	 [14] = "FILENAME",	[15] = "TIMESTAMP",	[16] = "ENCRYPTIONINFO",
	[17] = "IVINFO",	 [18] = "IVRESERVED",	[19] = "IV",		[20] = "PADDINGCOUNT",
	[21] = "KEYINFO",	 [22] = "KEYRESERVED",	[23] = "KEYBITS",	[24] = "KEYALGORITHM",
	[25] = "ENCRYPTEDKEY",	 [26] = "HASHALGORITHM", [27] = "HASH",		[28] = "SIGNERVERSION",
};
static const char *const record_tags[] = {
	[1] = "RECORDLENGTH", [2] = "DNSNAME",	 [3] = "SUBJECTNAME", [4] = "FUNCTION",	    [5] = "ISSUERNAME",
	[6] = "SERIALNUMBER", [7] = "PUBLICKEY", [8] = "SIGNATURE",   [9] = "CERTIFICATE",  [10] = "IPADDRESS",
	[11] = "CERTIFICATEHASH", [12] = "HASHALGORITHM",
};

/* NULL becomes null; what a terminal should not get, or is no UTF-8, becomes \xNN. */
static json_t *text(const char *s)
{
	size_t len = s != NULL ? strlen(s) : 0, n = 0;
	bool plain = true;
	json_t *j;
	char *out;

	if (s == NULL)
		return json_null();
	for (size_t i = 0; i < len; i++)
		plain = plain && (unsigned char)s[i] >= 0x20 && s[i] != 0x7f;
	j = plain ? json_string(s) : NULL;
	if (j != NULL)
		return j;
	out = malloc(4 * len + 1);
	if (out == NULL)
		return json_null();
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 0x20 && c < 0x7f)
			out[n++] = s[i];
		else
			n += (size_t)sprintf(out + n, "\\x%02x", c);
	}
	out[n] = '\0';
	j = json_string(out);
	free(out);
	return j;
}

static json_t *hex(const uint8_t *p, size_t len, const char *between)
{
	size_t step = 2 + strlen(between);
	char *out = p != NULL ? malloc(len * step + 1) : NULL;
	json_t *j;

	if (out == NULL)
		return json_null();
	out[0] = '\0';
	for (size_t i = 0; i < len; i++)
		sprintf(out + i * step, "%02X%s", p[i], i + 1 < len ? between : "");
	j = json_string(out);
	free(out);
	return j;
}

static json_t *digest_hex(const EVP_MD *md, const uint8_t *p, size_t len)
{
	uint8_t out[EVP_MAX_MD_SIZE];
	char hexed[2 * EVP_MAX_MD_SIZE + 1] = "";
	unsigned n = 0;

	if (EVP_Digest(p, len, out, &n, md, NULL) != 1)
		return json_null();
	for (unsigned i = 0; i < n; i++)
		sprintf(hexed + 2 * i, "%02x", out[i]);
	return json_string(hexed);
}

static json_t *when(int64_t t)
{
	char out[32];
	struct tm tm;
	time_t at = (time_t)t;

	if (t == 0 || gmtime_r(&at, &tm) == NULL)
		return json_null();
	strftime(out, sizeof(out), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(out);
}

static json_t *order(const uint8_t *tags, unsigned n)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(a, json_integer(tags[i]));
	return a;
}

static void common(json_t *o, const uint8_t *file, size_t len, unsigned major, unsigned minor, unsigned header_len,
		   unsigned signer_major, unsigned signer_minor, unsigned digest)
{
	char version[16];

	json_object_set_new(o, "bytes", json_integer((json_int_t)len));
	json_object_set_new(o, "md5", digest_hex(EVP_md5(), file, len)); /* 004c:CT-25: the version's identity */
	json_object_set_new(o, "sha1", digest_hex(EVP_sha1(), file, len));
	json_object_set_new(o, "sha256", digest_hex(EVP_sha256(), file, len));
	snprintf(version, sizeof(version), "%u.%u", major, minor);
	json_object_set_new(o, "version", json_string(version));
	json_object_set_new(o, "header_bytes", json_integer(header_len));
	snprintf(version, sizeof(version), "%u.%u", signer_major, signer_minor);
	json_object_set_new(o, "signer_version", signer_major != 0 ? json_string(version) : json_null());
	json_object_set_new(o, "digest", json_string(pki_digest_name(digest)));
	json_object_set_new(o, "digest_code", json_integer(digest));
}

/* Fields that both structures have, under the same names. */
#define COMMON(o, f)                                                                                                   \
	do {                                                                                                           \
		common(o, (f)->file, (f)->file_len, (f)->major, (f)->minor, (f)->header_len, (f)->signer_major,        \
		       (f)->signer_minor, (f)->digest);                                                                \
		json_object_set_new(o, "signer", text((f)->signer));                                                   \
		json_object_set_new(o, "issuer", text((f)->issuer));                                                   \
		json_object_set_new(o, "serial", hex((f)->serial, (f)->serial_len, ":"));                              \
		json_object_set_new(o, "signature_algorithm", json_integer((f)->sig_alg));                             \
		json_object_set_new(o, "signature_modulus", json_integer((f)->sig_mod));                               \
		json_object_set_new(o, "signature_bytes", json_integer((json_int_t)(f)->sig_len));                     \
		json_object_set_new(o, "signature_offset", json_integer((json_int_t)(f)->sig_tlv_off + 3));            \
		json_object_set_new(o, "name", text((f)->filename));                                                   \
		json_object_set_new(o, "timestamp",                                                                    \
				    (f)->timestamp != 0 ? json_integer((f)->timestamp) : json_null());                 \
		json_object_set_new(o, "time", when((f)->timestamp));                                                  \
		json_object_set_new(o, "padding", json_integer((f)->padding));                                         \
		json_object_set_new(o, "tag_order", order((f)->order, (f)->order_len));                                \
	} while (0)

static json_t *record_json(const struct pki_tl_rec *r, unsigned n)
{
	json_t *o = json_object();
	char ip[INET_ADDRSTRLEN];
	X509 *cert = NULL;

	json_object_set_new(o, "record", json_integer(n));
	json_object_set_new(o, "offset", json_integer((json_int_t)r->off));
	json_object_set_new(o, "bytes", json_integer((json_int_t)r->len));
	json_object_set_new(o, "role", json_string(pki_tl_role_name(r->role)));
	json_object_set_new(o, "role_code", json_integer(r->role));
	json_object_set_new(o, "dns", text(r->dns));
	json_object_set_new(o, "subject", text(r->subject));
	json_object_set_new(o, "issuer", text(r->issuer));
	json_object_set_new(o, "serial", hex(r->serial, r->serial_len, ":"));
	json_object_set_new(o, "public_key_bytes", json_integer((json_int_t)r->pubkey_len));
	json_object_set_new(o, "signature_bytes", json_integer((json_int_t)r->sig_len));
	json_object_set_new(o, "certificate_bytes", json_integer((json_int_t)r->cert_len));
	if (r->cert != NULL) {
		json_object_set_new(o, "certificate_sha1", digest_hex(EVP_sha1(), r->cert, r->cert_len));
		json_object_set_new(o, "certificate_sha256", digest_hex(EVP_sha256(), r->cert, r->cert_len));
	}
	if (r->cert != NULL && pki_cert_parse(r->cert, r->cert_len, &cert) == 0) {
		struct tm tm;

		if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1)
			json_object_set_new(o, "not_after", when((int64_t)timegm(&tm)));
		X509_free(cert);
	}
	json_object_set_new(o, "ip",
			    r->ip != NULL ? json_string(inet_ntop(AF_INET, r->ip, ip, sizeof(ip))) : json_null());
	json_object_set_new(o, "tag_order", order(r->order, r->order_len));
	return o;
}

json_t *ctl_file_list_json(const struct pki_tl *tl)
{
	json_t *o = json_object(), *recs = json_array();
	enum pki_tl_kind kind;

	json_object_set_new(o, "kind", json_string(pki_tl_kind_of(tl, &kind) < 0 ? "list" : kind == PKI_TL_CTL ? "CTL" : "ITL"));
	COMMON(o, tl);
	for (unsigned i = 0; i < tl->rec_cnt; i++)
		json_array_append_new(recs, record_json(&tl->rec[i], i + 1));
	json_object_set_new(o, "records", recs);
	return o;
}

json_t *ctl_file_sgn_json(const struct pki_sgn *f)
{
	json_t *o = json_object(), *enc;

	json_object_set_new(o, "kind", json_string(f->encrypted ? "encrypted" : "signed"));
	COMMON(o, f);
	json_object_set_new(o, "body_bytes", json_integer((json_int_t)f->body_len));
	if (!f->encrypted)
		return o;
	enc = json_object();
	json_object_set_new(enc, "iv", hex(f->iv, 16, ""));
	json_object_set_new(enc, "padding", json_integer(f->cut));
	json_object_set_new(enc, "key", json_string(f->wrapped != NULL ? "wrapped for a certificate" : "symmetric"));
	json_object_set_new(enc, "key_bits", json_integer(f->key_bits));
	json_object_set_new(enc, "key_algorithm", json_integer(f->key_alg));
	json_object_set_new(enc, "hash_algorithm", json_string(pki_digest_name(f->hash_alg)));
	json_object_set_new(enc, "hash", hex(f->hash, f->hash_len, ""));
	json_object_set_new(o, "encryption", enc);
	return o;
}

/* --- for people --- */

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static long long num(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static void row(FILE *out, unsigned tag, const char *name, long long len, const char *value)
{
	fprintf(out, "%-5u %-19s %6lld  %s\n", tag, name != NULL ? name : "unknown", len, value);
}

static void head_row(FILE *out)
{
	fputs("TAG   NAME                LENGTH  VALUE\n----- ------------------- ------  -----\n", out);
}

static void print_header(FILE *out, const json_t *f)
{
	const json_t *enc = json_object_get(f, "encryption"), *v;
	char value[64];
	size_t i;

	head_row(out);
	json_array_foreach(json_object_get(f, "tag_order"), i, v) {
		unsigned tag = (unsigned)json_integer_value(v);
		const char *name = tag < sizeof(header_tags) / sizeof(header_tags[0]) ? header_tags[tag] : NULL;

		switch (tag) {
		case 1:
			row(out, tag, name, 2, str(f, "version"));
			break;
		case 2:
			snprintf(value, sizeof(value), "%lld (BYTES)", num(f, "header_bytes"));
			row(out, tag, name, 2, value);
			break;
		case 4:
			row(out, tag, name, (long long)strlen(str(f, "signer")) + 1, str(f, "signer"));
			break;
		case 5:
			row(out, tag, name, ((long long)strlen(str(f, "serial")) + 1) / 3, str(f, "serial"));
			break;
		case 6:
			row(out, tag, name, (long long)strlen(str(f, "issuer")) + 1, str(f, "issuer"));
			break;
		case 8:
			snprintf(value, sizeof(value), "%s (%lld)", str(f, "digest"), num(f, "digest_code"));
			row(out, tag, name, 1, value);
			break;
		case 10:
			row(out, tag, name, 1, num(f, "signature_algorithm") == 0 ? "RSA PKCS#1 v1.5" : "unknown");
			break;
		case 11:
			snprintf(value, sizeof(value), "%lld bits", 8 * num(f, "signature_bytes"));
			row(out, tag, name, 1, value);
			break;
		case 12:
			row(out, tag, name, num(f, "signature_bytes"), "");
			break;
		case 13:
			fprintf(out, "%-5u %-19s\n", tag, name);
			break;
		case 14:
			row(out, tag, name, (long long)strlen(str(f, "name")) + 1, str(f, "name"));
			break;
		case 15:
			row(out, tag, name, 4, str(f, "time"));
			break;
		case 19:
			row(out, tag, name, 16, str(enc, "iv"));
			break;
		case 20:
			snprintf(value, sizeof(value), "%lld", num(enc, "padding"));
			row(out, tag, name, 2, value);
			break;
		case 23:
			snprintf(value, sizeof(value), "%lld, %s", num(enc, "key_bits"), str(enc, "key"));
			row(out, tag, name, 2, value);
			break;
		case 25:
			row(out, tag, name, num(enc, "key_bits") / 8, "");
			break;
		case 26:
			row(out, tag, name, 1, str(enc, "hash_algorithm"));
			break;
		case 27:
			row(out, tag, name, (long long)strlen(str(enc, "hash")) / 2, str(enc, "hash"));
			break;
		case 28:
			row(out, tag, name, 2, str(f, "signer_version"));
			break;
		default: /* containers and what is not known */
			fprintf(out, "%-5u %s\n", tag, name != NULL ? name : "unknown");
		}
	}
}

static void print_record(FILE *out, const char *kind, const json_t *r)
{
	char value[128];
	const json_t *v;
	size_t i;

	fprintf(out, "\n\t%s Record #:%lld, offset %lld%s\n", kind, num(r, "record"), num(r, "offset"),
		json_is_true(json_object_get(r, "signer")) ? ", signed this file" : "");
	head_row(out);
	json_array_foreach(json_object_get(r, "tag_order"), i, v) {
		unsigned tag = (unsigned)json_integer_value(v);
		const char *name = tag < sizeof(record_tags) / sizeof(record_tags[0]) ? record_tags[tag] : NULL;
		const char *s = str(r, tag == 2 ? "dns" : tag == 3 ? "subject" : "issuer");

		switch (tag) {
		case 1:
			snprintf(value, sizeof(value), "%lld", num(r, "bytes"));
			row(out, tag, name, 2, value);
			break;
		case 2:
		case 3:
		case 5:
			row(out, tag, name, (long long)strlen(s) + 1, s);
			break;
		case 4:
			row(out, tag, name, 2, str(r, "role"));
			break;
		case 6:
			row(out, tag, name, ((long long)strlen(str(r, "serial")) + 1) / 3, str(r, "serial"));
			break;
		case 7:
			row(out, tag, name, num(r, "public_key_bytes"), "");
			break;
		case 8:
			row(out, tag, name, num(r, "signature_bytes"), "");
			break;
		case 9:
			snprintf(value, sizeof(value), "%s (SHA1 Hash HEX), until %s", str(r, "certificate_sha1"),
				 str(r, "not_after"));
			row(out, tag, name, num(r, "certificate_bytes"), value);
			break;
		case 10:
			row(out, tag, name, 4, str(r, "ip"));
			break;
		default:
			fprintf(out, "%-5u %s\n", tag, name != NULL ? name : "unknown");
		}
	}
}

void ctl_file_print(FILE *out, const json_t *f)
{
	const char *kind = str(f, "kind");
	const json_t *rec;
	size_t i;

	fprintf(out, "The checksum value of the %s file:\n%s(MD5)\n%s(SHA1)\n%s(SHA256)\n\nLength of file: %lld\n", kind,
		str(f, "md5"), str(f, "sha1"), str(f, "sha256"), num(f, "bytes"));
	if (json_object_get(f, "body_bytes") != NULL)
		fprintf(out, "Length of body: %lld\n", num(f, "body_bytes"));
	fprintf(out, "Version: %s\nHeaderLength: %lld (BYTES)\n\n", str(f, "version"), num(f, "header_bytes"));
	print_header(out, f);
	json_array_foreach(json_object_get(f, "records"), i, rec)
		print_record(out, kind, rec);
	if (str(f, "signature")[0] != '\0')
		fprintf(out, "\nSignature: %s%s%s\n", str(f, "signature"), str(f, "why")[0] != '\0' ? ": " : "", str(f, "why"));
}
