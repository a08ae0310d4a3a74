/* SPDX-License-Identifier: BSD-3-Clause */
/* A list in force as JSON: what "show ctl" and "show itl" of a CallManager print, field by field. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "ctlcmd.h"

static json_t *digest_hex(const uint8_t *data, size_t len, const EVP_MD *md)
{
	uint8_t d[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
	unsigned n = 0;

	if (EVP_Digest(data, len, d, &n, md, NULL) != 1)
		return json_null();
	for (unsigned i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", d[i]);
	return json_string(hex);
}

static json_t *hex(const uint8_t *p, size_t len)
{
	char text[2 * 64 + 1] = "";

	for (size_t i = 0; i < len && i < 64; i++)
		snprintf(text + 2 * i, 3, "%02x", p[i]);
	return json_string(text);
}

/* Names come from certificates of others: what is not UTF-8 is shown as '?'. */
static json_t *text(const char *s)
{
	json_t *v = json_string(s != NULL ? s : "");
	char *copy;

	if (v != NULL)
		return v;
	copy = strdup(s);
	for (char *p = copy; p != NULL && *p != '\0'; p++)
		if ((unsigned char)*p > 126 || (unsigned char)*p < 32)
			*p = '?';
	v = json_string(copy != NULL ? copy : "");
	free(copy);
	return v;
}

static json_t *name_or(const char *s, const char *none)
{
	return s == NULL || s[0] == '\0' ? json_string(none) : text(s);
}

static json_t *asn1_time(const ASN1_TIME *t)
{
	struct tm tm;
	char buf[32];

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return json_null();
	strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(buf);
}

static json_t *record(unsigned n, const struct pki_tl_rec *r)
{
	json_t *o = json_pack("{s:i,s:i,s:o,s:s,s:o,s:o,s:o,s:i,s:i,s:i}", "record", (int)n, "length", (int)r->len, "dns",
			      text(r->dns), "function", pki_tl_role_name(r->role), "subject",
			      name_or(r->subject, "--- No Subject Name---"), "issuer", name_or(r->issuer, "--- No Issuer Name---"),
			      "serial", hex(r->serial, r->serial_len), "publickey", (int)r->pubkey_len, "signature",
			      (int)r->sig_len, "certificate", (int)r->cert_len);

	if (o != NULL && r->ip != NULL) {
		char ip[16];

		snprintf(ip, sizeof(ip), "%u.%u.%u.%u", r->ip[0], r->ip[1], r->ip[2], r->ip[3]);
		json_object_set_new(o, "address", json_string(ip));
	}
	if (o != NULL && r->cert != NULL) {
		const uint8_t *p = r->cert;
		X509 *c = d2i_X509(NULL, &p, (long)r->cert_len);

		json_object_set_new(o, "sha1", digest_hex(r->cert, r->cert_len, EVP_sha1()));
		json_object_set_new(o, "sha256", digest_hex(r->cert, r->cert_len, EVP_sha256()));
		if (c != NULL)
			json_object_set_new(o, "expires", asn1_time(X509_get0_notAfter(c)));
		X509_free(c);
	}
	return o;
}

json_t *cp_list_json(struct cp_lists *lists, enum pki_tl_kind kind, enum pki_tl_class cls)
{
	struct cp_file *f = cp_lists_file(lists, kind, cls);
	struct pki_tl *tl = malloc(sizeof(*tl));
	json_t *o = NULL, *recs;
	char when[CP_UTC_LEN];

	if (f == NULL || tl == NULL || pki_tl_parse(f->data, f->len, tl, NULL, 0) < 0)
		goto out;
	recs = json_array();
	for (unsigned i = 0; i < tl->rec_cnt; i++)
		json_array_append_new(recs, record(i + 1, &tl->rec[i]));
	o = json_pack("{s:s,s:s,s:s,s:i,s:o,s:o,s:s,s:s,s:o,s:o,s:o,s:s,s:i,s:o}", "file", f->name, "class",
		      pki_tl_class_limits(cls)->name, "version", tl->major == 1 && tl->minor == 2 ? "1.2" : "other", "size",
		      (int)f->len, "md5", digest_hex(f->data, f->len, EVP_md5()), "sha256",
		      digest_hex(f->data, f->len, EVP_sha256()), "timestamp", cp_utc(tl->timestamp, when), "digest", pki_digest_name(tl->digest), "signer",
		      text(tl->signer), "signer_issuer", text(tl->issuer), "signer_serial", hex(tl->serial, tl->serial_len),
		      "signature_algorithm", "RSA", "header_length", (int)tl->header_len, "records", recs);
out:
	free(tl);
	cp_file_put(f);
	return o;
}
