/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading and judging trust lists. Sources: files made by other programs (tests/vectors/trust) whose manifests say every field, lists
 * built here, and damaged ones; wire layout as in pki/tlv.h. What is built and refused before it is signed: test_tlbuild.c.
 * Rows: 000:P0-50; 002:P2-19, P2-25, P2-26; 004a:CTL-03.
 */
#include "trustlist_fix.h"

static struct pki_tl anchor; /* 25 KB */

static void check_record(const char *set, const json_t *want, const struct pki_tl_rec *rec)
{
	char hex[2 * PKI_TL_SERIAL_MAX + 1], sha[65], *text;
	const json_t *v;

	CU_ASSERT_EQUAL(rec->off, jint(want, "offset"));
	CU_ASSERT_EQUAL(rec->len, jint(want, "length"));
	CU_ASSERT_EQUAL(rec->role, jint(want, "role"));
	check_order(json_object_get(want, "tag_order"), rec->order, rec->order_len);
	if (jstr(want, "role_name") != NULL) {
		text = strdup(jstr(want, "role_name"));
		CU_ASSERT_STRING_EQUAL(pki_tl_role_name(rec->role), text);
		free(text);
	}
	if (jstr(want, "subject") != NULL) {
		CU_ASSERT_STRING_EQUAL(rec->subject, jstr(want, "subject"));
		CU_ASSERT_STRING_EQUAL(rec->issuer, jstr(want, "issuer"));
		hex_of(rec->serial, rec->serial_len, hex);
		CU_ASSERT_STRING_EQUAL(hex, jstr(want, "serial"));
		CU_ASSERT_EQUAL(rec->pubkey_len, jint(want, "public_key_length"));
		CU_ASSERT_EQUAL(rec->cert_len, jint(want, "certificate_length"));
		sha256_hex(rec->cert, rec->cert_len, "", 0, sha);
		CU_ASSERT_STRING_EQUAL(sha, jstr(want, "certificate_sha256"));
	}
	if (jstr(want, "certificate_file") != NULL) {
		X509 *cert = trust_cert(set, jstr(want, "certificate_file"));
		const ASN1_BIT_STRING *sig;
		uint8_t *der = NULL;
		int len = i2d_X509(cert, &der);

		CU_ASSERT_TRUE(len > 0 && (size_t)len == rec->cert_len && memcmp(der, rec->cert, rec->cert_len) == 0);
		CU_ASSERT_PTR_EQUAL(pki_tl_find(&tl, cert, rec->role), rec);
		CU_ASSERT_PTR_NOT_NULL(pki_tl_find(&tl, cert, -1));
		CU_ASSERT_PTR_NULL(pki_tl_find(&tl, cert, 99));
		X509_get0_signature(&sig, NULL, cert);
		CU_ASSERT_EQUAL(rec->sig_len, (size_t)sig->length);
		CU_ASSERT_EQUAL(memcmp(rec->sig, sig->data, rec->sig_len), 0);
		OPENSSL_free(der);
		X509_free(cert);
	}
	v = json_object_get(want, "dns_name");
	if (v != NULL)
		CU_ASSERT_TRUE(rec->dns != NULL && strcmp(rec->dns, json_string_value(v)) == 0);
	v = json_object_get(want, "ip");
	if (json_is_null(v))
		CU_ASSERT_PTR_NULL(rec->ip);
	if (json_is_string(v)) {
		struct in_addr a;

		inet_aton(json_string_value(v), &a);
		CU_ASSERT_TRUE(rec->ip != NULL && memcmp(rec->ip, &a, 4) == 0);
	}
}

static void check_file(const char *set, const char *name, const json_t *want)
{
	struct blob b = trust_file(set, name);
	char hex[2 * PKI_TL_SERIAL_MAX + 1], sha[65], why[WHY] = "", version[16];
	const struct pki_tl_rec *rec = NULL;
	const json_t *v, *recs = json_object_get(want, "records");
	enum pki_tl_kind kind;
	X509 *signer, *rogue;

	CU_ASSERT_EQUAL(b.len, jint(want, "size"));
	sha256_hex(b.p, b.len, "", 0, sha);
	CU_ASSERT_STRING_EQUAL(sha, jstr(want, "sha256_of_file"));
	CU_ASSERT_EQUAL_FATAL(pki_tl_parse(b.p, b.len, &tl, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(tl.header_len, jint(want, "header_length"));
	CU_ASSERT_EQUAL(tl.digest, digest_code(jstr(want, "digest")));
	CU_ASSERT_STRING_EQUAL(tl.filename, jstr(want, "filename"));
	if (strstr(name, "-v11") != NULL) { /* stored under its own name: no phone would take it for either */
		CU_ASSERT_EQUAL(pki_tl_kind_of(&tl, &kind), -EBADMSG);
	} else {
		CU_ASSERT_EQUAL(pki_tl_kind_of(&tl, &kind), 0);
		CU_ASSERT_EQUAL(kind, tl.filename[0] == 'C' ? PKI_TL_CTL : PKI_TL_ITL);
	}
	v = json_object_get(want, "version");
	if (v != NULL) {
		snprintf(version, sizeof(version), "%u.%u", tl.major, tl.minor);
		CU_ASSERT_STRING_EQUAL(version, json_string_value(v));
		v = json_object_get(want, "signer_version");
		snprintf(version, sizeof(version), "%u.%u", tl.signer_major, tl.signer_minor);
		CU_ASSERT_STRING_EQUAL(version, v != NULL ? json_string_value(v) : "0.0");
		check_order(json_object_get(want, "tag_order"), tl.order, tl.order_len);
		CU_ASSERT_STRING_EQUAL(tl.signer, jstr(want, "signer_name"));
		CU_ASSERT_STRING_EQUAL(tl.issuer, jstr(want, "issuer_name"));
		hex_of(tl.serial, tl.serial_len, hex);
		CU_ASSERT_STRING_EQUAL(hex, jstr(want, "serial"));
		CU_ASSERT_EQUAL(tl.sig_alg, jint(want, "signature_algorithm"));
		CU_ASSERT_EQUAL(tl.sig_mod, jint(want, "modulus_code"));
		CU_ASSERT_EQUAL(tl.sig_tlv_off + 3, jint(want, "signature_offset"));
		CU_ASSERT_PTR_EQUAL(tl.sig, b.p + tl.sig_tlv_off + 3);
		CU_ASSERT_EQUAL(tl.sig_len, jint(want, "signature_length"));
		CU_ASSERT_EQUAL(tl.timestamp, jint(want, "timestamp"));
		CU_ASSERT_EQUAL(tl.padding, jint(want, "padding"));
		sha256_hex(b.p, tl.sig_tlv_off, b.p + tl.sig_tlv_off + 3 + tl.sig_len,
			   b.len - tl.sig_tlv_off - 3 - tl.sig_len, sha);
		CU_ASSERT_STRING_EQUAL(sha, jstr(want, "sha256_of_signed_bytes"));
	}
	CU_ASSERT_EQUAL_FATAL(json_array_size(recs), tl.rec_cnt);
	for (unsigned i = 0; i < tl.rec_cnt; i++)
		check_record(set, json_array_get(recs, i), &tl.rec[i]);
	/* as a phone without a list does, by the certificate, and by nobody else's */
	signer = trust_cert(set, jstr(want, "signed_by"));
	rogue = trust_cert(set, "rogue.pem");
	CU_ASSERT_EQUAL(pki_tl_verify(&tl, NULL, &rec, why, sizeof(why)), 0);
	CU_ASSERT_PTR_EQUAL(rec, pki_tl_find(&tl, signer, PKI_TL_SAST));
	CU_ASSERT_EQUAL(pki_tl_verify_cert(&tl, signer, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(pki_tl_verify_cert(&tl, rogue, why, sizeof(why)), -EACCES);
	X509_free(signer);
	X509_free(rogue);
	free(b.p);
}

static void test_files_of_other_programs(void)
{
	unsigned files = 0;

	for (int s = 0; s < TRUST_SETS; s++) {
		json_t *m = trust_json(trust_sets[s], "manifest.json"), *e, *want;
		const char *name;

		json_object_foreach(json_object_get(m, "files"), name, want) {
			if (strncmp(name, "tlv/", 4) != 0)
				continue;
			check_file(trust_sets[s], name, want);
			files++;
		}
		e = trust_json(trust_sets[s], "constructed/expected.json");
		json_object_foreach(e, name, want) {
			if (strstr(name, ".tlv") == NULL)
				continue;
			check_file(trust_sets[s], name, want);
			files++;
		}
		json_decref(m);
		json_decref(e);
	}
	CU_ASSERT_EQUAL(files, 17);
}

/* The list a phone holds decides: another cluster's list is refused though it is in order itself. */
static void test_anchor_decides(void)
{
	struct blob ctl = trust_file("set-a-sha1", "tlv/CTLFile.tlv"), itl = trust_file("set-a-sha1", "tlv/ITLFile.tlv");
	struct blob other = trust_file("set-b-sha512", "tlv/ITLFile.tlv");
	char why[WHY];

	CU_ASSERT_EQUAL_FATAL(pki_tl_parse(ctl.p, ctl.len, &anchor, NULL, 0), 0);
	CU_ASSERT_EQUAL_FATAL(pki_tl_parse(itl.p, itl.len, &tl, NULL, 0), 0);
	CU_ASSERT_EQUAL(pki_tl_verify(&tl, &anchor, NULL, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL_FATAL(pki_tl_parse(other.p, other.len, &tl, NULL, 0), 0);
	CU_ASSERT_EQUAL(pki_tl_verify(&tl, NULL, NULL, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(pki_tl_verify(&tl, &anchor, NULL, why, sizeof(why)), -EACCES);
	/* the SAST role alone signs lists */
	for (unsigned i = 0; i < anchor.rec_cnt; i++)
		if (anchor.rec[i].role == PKI_TL_SAST)
			anchor.rec[i].role = PKI_TL_CCM_TFTP;
	CU_ASSERT_EQUAL_FATAL(pki_tl_parse(itl.p, itl.len, &tl, NULL, 0), 0);
	CU_ASSERT_EQUAL(pki_tl_verify(&tl, &anchor, NULL, why, sizeof(why)), -EACCES);
	free(ctl.p);
	free(itl.p);
	free(other.p);
}

static void test_damaged_lists(void)
{
	unsigned files = 0;

	for (int s = 0; s < TRUST_SETS; s++) {
		json_t *e = trust_json(trust_sets[s], "negative/expected.json"), *want;
		const char *name;

		json_object_foreach(e, name, want) {
			struct blob b;
			int rc;

			if (strncmp(name, "negative/ctl-", 13) != 0)
				continue;
			b = trust_file(trust_sets[s], name);
			CU_ASSERT_EQUAL(b.len, jint(want, "size"));
			CU_ASSERT_STRING_EQUAL(jstr(want, "expect"), "reject");
			rc = judge(b.p, b.len);
			if (rc == 0)
				fprintf(stderr, "%s accepted\n", name);
			CU_ASSERT_TRUE(rc < 0);
			if (strstr(name, "unknown-digest") != NULL)
				CU_ASSERT_EQUAL(rc, -ENOTSUP);
			if (strstr(name, "rogue") != NULL || strstr(name, "-bit") != NULL || strstr(name, "no-signer") != NULL)
				CU_ASSERT_EQUAL(rc, -EACCES);
			if (strstr(name, "length") != NULL || strstr(name, "truncated") != NULL)
				CU_ASSERT_EQUAL(rc, strstr(name, "too-big") != NULL ? -EMSGSIZE : -EBADMSG);
			free(b.p);
			files++;
		}
		json_decref(e);
	}
	CU_ASSERT_EQUAL(files, 45);
}

static void test_cut_at_every_length(void)
{
	static const char *const names[] = {"tlv/CTLFile.tlv", "constructed/CTLFile-cucm-order.tlv"};

	for (int s = 0; s < TRUST_SETS; s++) {
		for (size_t n = 0; n < 2; n++) {
			struct blob b = trust_file(trust_sets[s], names[n]);

			for (size_t len = 0; len < b.len; len++) {
				struct blob cut = blob_of(b.p, len);

				CU_ASSERT_TRUE(judge(cut.p, cut.len) < 0);
				free(cut.p);
			}
			CU_ASSERT_EQUAL(judge(b.p, b.len), 0);
			free(b.p);
		}
	}
}

/* --- lists made here --- */

/* One bit anywhere in a list. The tag and length of the signature are not signed, but it is not found without them. */
static void test_each_bit_counts(void)
{
	X509 *cert = cert_of(rsa_key(1024), rsa_key(1024), "s", NULL, serial16, 2);
	struct made m = made_of(cert, rsa_key(1024), PKI_TL_ITL, PKI_CLASS_79XX);
	char why[WHY];
	struct blob b;

	m.e[m.n++] = (struct pki_tl_entry){.role = PKI_TL_TVS, .dns = "a"};
	CU_ASSERT_EQUAL_FATAL(build(&m, &b, why), 0);
	CU_ASSERT_EQUAL(judge(b.p, b.len), 0);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CU_ASSERT_TRUE(judge(b.p, b.len) < 0);
		b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	free(b.p);
	X509_free(cert);
}

/*
 * A record whose key is not that of its certificate: signed by the certificate's owner it might still make a phone
 * accept what the other key signs. Neither key is taken then.
 */
static void test_record_must_agree_with_its_certificate(void)
{
	X509 *good = cert_of(rsa_key(2048), rsa_key(2048), "sast", NULL, serial16, 16);
	EVP_PKEY *evil_key = EVP_RSA_gen(2048);
	X509 *evil = cert_of(evil_key, evil_key, "sast", NULL, serial16, 16);
	struct made m = made_of(good, rsa_key(2048), PKI_TL_ITL, PKI_CLASS_MODERN);
	struct made f = made_of(evil, evil_key, PKI_TL_ITL, PKI_CLASS_MODERN);
	struct blob held, forged;
	char why[WHY];
	size_t off;

	CU_ASSERT_EQUAL_FATAL(build(&m, &held, why), 0);
	CU_ASSERT_EQUAL_FATAL(build(&f, &forged, why), 0);
	CU_ASSERT_EQUAL_FATAL(pki_tl_parse(forged.p, forged.len, &tl, NULL, 0), 0);
	CU_ASSERT_EQUAL_FATAL(pki_tl_parse(held.p, held.len, &anchor, NULL, 0), 0);
	CU_ASSERT_EQUAL(pki_tl_verify(&tl, &anchor, NULL, why, WHY), -EACCES);
	/* the extracted key replaced */
	off = (size_t)(anchor.rec[0].pubkey - held.p);
	CU_ASSERT_EQUAL_FATAL(anchor.rec[0].pubkey_len, tl.rec[0].pubkey_len);
	memcpy(held.p + off, tl.rec[0].pubkey, tl.rec[0].pubkey_len);
	CU_ASSERT_EQUAL(pki_tl_verify(&tl, &anchor, NULL, why, WHY), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "disagrees"));
	/* the good one's own lists neither, by such a record */
	free(forged.p);
	CU_ASSERT_EQUAL_FATAL(build(&m, &forged, why), 0);
	CU_ASSERT_EQUAL_FATAL(pki_tl_parse(forged.p, forged.len, &tl, NULL, 0), 0);
	CU_ASSERT_EQUAL(pki_tl_verify(&tl, &anchor, NULL, why, WHY), -EACCES);
	/* an old token's record has a key and no certificate */
	memcpy(held.p + off, tl.rec[0].pubkey, tl.rec[0].pubkey_len);
	CU_ASSERT_EQUAL(pki_tl_verify(&tl, &anchor, NULL, why, WHY), 0);
	anchor.rec[0].cert = NULL;
	CU_ASSERT_EQUAL(pki_tl_verify(&tl, &anchor, NULL, why, WHY), 0);
	anchor.rec[0].pubkey = NULL;
	CU_ASSERT_EQUAL(pki_tl_verify(&tl, &anchor, NULL, why, WHY), -EACCES);
	free(held.p);
	free(forged.p);
	X509_free(good);
	X509_free(evil);
	EVP_PKEY_free(evil_key);
}

static const struct {
	const char *a, *b;
	bool equal;
} names[] = {
	{"CN=a;O=b", "CN=a,O=b", true},
	{"CN=a;O=b", "O=b;CN=a", true},
	{"CN=a;O=b", "o=b, cn=a", true},
	{"CN=a;O=b", "CN=a", false},
	{"CN=a;OU=b;OU=c", "CN=a;OU=c;OU=b", true},
	{"CN=a;OU=b;OU=b", "CN=a;OU=b", false},
	{"CN=a;OU=b;OU=b", "CN=a;OU=b;OU=c", false},
	{"CN=a", "CN=A", false},
	{"CN=a;O=Example, Inc.", "CN=a,O=Example\\, Inc.", true},
	{"CN=a\\;O=b", "CN=a;O=b", false},
	{"CN=a\\3BO=b", "CN=a\\;O=b", true},
	{"CN=\\ a", "CN= a", true},
	{"CN=a\\ ;O=b", "CN=a;O=b", false},
	{"", "", true},
	{"", "CN=a", false},
	{"CN=a;", "CN=a", false},
	{"a", "b", false},
	{NULL, NULL, false},
};

static void test_names_are_sets(void)
{
	char long_a[3000] = "CN=";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		bool eq = pki_tl_dn_equal(names[i].a, names[i].b);

		if (eq != names[i].equal)
			fprintf(stderr, "%s, %s\n", names[i].a, names[i].b);
		CU_ASSERT_EQUAL(eq, names[i].equal);
		CU_ASSERT_EQUAL(pki_tl_dn_equal(names[i].b, names[i].a), names[i].equal);
	}
	memset(long_a + 3, 'x', sizeof(long_a) - 4);
	CU_ASSERT_FALSE(pki_tl_dn_equal(long_a, "CN=x"));
	CU_ASSERT_TRUE(pki_tl_dn_equal(long_a, long_a));
}

static void test_names_as_text(void)
{
	X509_NAME *name = X509_NAME_new();
	char buf[128];

	X509_NAME_add_entry_by_txt(name, "C", MBSTRING_ASC, (const unsigned char *)"NZ", -1, -1, 0);
	X509_NAME_add_entry_by_txt(name, "serialNumber", MBSTRING_ASC, (const unsigned char *)"PID:1", -1, -1, 0);
	X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"a;b,c=\"d\"+\\<>", -1, -1, 0);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)" #\x01\xc3\xa9 ", -1, -1, 0);
	CU_ASSERT_EQUAL(pki_tl_dn(name, buf, sizeof(buf)), (int)strlen(buf));
	CU_ASSERT_STRING_EQUAL(buf, "C=NZ;O=a\\;b\\,c=\\\"d\\\"\\+\\\\\\<\\>;CN=\\ #\\01\xc3\xa9\\ ");
	for (size_t size = 0; size <= strlen(buf); size++) {
		char *exact = malloc(size + 1);

		CU_ASSERT_EQUAL(pki_tl_dn(name, exact, size), -EMSGSIZE);
		free(exact);
	}
	X509_NAME_free(name);
}

static void test_words(void)
{
	static const char *const old[] = {"7965", "CP-7962G", "Cisco 7941", "cp-8945", "6921", "9971"};
	static const char *const modern[] = {"8851", "CP-8811", "7821", "CP-7841", "DX650"};
	enum pki_tl_class cls;
	uint16_t role;

	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
		CU_ASSERT_EQUAL(pki_tl_class_of_model(old[i], PKI_CLASS_MODERN), PKI_CLASS_79XX);
	for (size_t i = 0; i < sizeof(modern) / sizeof(modern[0]); i++)
		CU_ASSERT_EQUAL(pki_tl_class_of_model(modern[i], PKI_CLASS_79XX), PKI_CLASS_MODERN);
	CU_ASSERT_EQUAL(pki_tl_class_of_model("", PKI_CLASS_79XX), PKI_CLASS_79XX);
	CU_ASSERT_EQUAL(pki_tl_class_of_model(NULL, PKI_CLASS_MODERN), PKI_CLASS_MODERN);
	CU_ASSERT_EQUAL(pki_tl_class_parse("79XX", &cls), 0);
	CU_ASSERT_EQUAL(cls, PKI_CLASS_79XX);
	CU_ASSERT_EQUAL(pki_tl_class_parse("new", &cls), -EINVAL);
	CU_ASSERT_PTR_NULL(pki_tl_class_limits((enum pki_tl_class)0));
	CU_ASSERT_PTR_NULL(pki_tl_class_limits(PKI_CLASS_MAX));
	for (unsigned r = 0; r < 40; r++) {
		CU_ASSERT_EQUAL(pki_tl_role_parse(pki_tl_role_name((uint16_t)r), &role), 0);
		CU_ASSERT_EQUAL(role, r);
	}
	CU_ASSERT_EQUAL(pki_tl_role_parse("role-65536", &role), -EINVAL);
	CU_ASSERT_EQUAL(pki_tl_role_parse("role-", &role), -EINVAL);
	CU_ASSERT_EQUAL(pki_tl_role_parse("XYZ", &role), -EINVAL);
	CU_ASSERT_PTR_NULL(pki_digest_md(4));
	CU_ASSERT_STRING_EQUAL(pki_digest_name(4), "unknown");
}

/*
 * What a reader must refuse whoever signed it: offsets are those of the constructed list of set a (container 3 at 10, signer's
 * name at 13, serial at 65, issuer at 84, containers 7 and 9 at 136 and 143, tag 11 at 150, signature at 154, file name at
 * 413, time at 428, padding at 435, first record at 436 with its DNS name at 441, subject at 445, role at 497).
 */
static const struct {
	const char *what;
	size_t at, cut, len;
	const char *put;
	int rc;
} shapes[] = {
	{"as it was", 10, 0, 0, "", 0},
	{"a name without NUL", 64, 1, 1, "x", -EBADMSG},
	{"a name with a NUL in it", 30, 1, 1, "\0", -EBADMSG},
	{"an empty file name", 413, 15, 3, "\x0e\0\0", -EBADMSG},
	{"a serial number out of its container", 11, 2, 2, "\0\x34", -EBADMSG},
	{"a container that swallows the next", 11, 2, 2, "\0\x7c", -EBADMSG},
	{"a tag of a container at the top", 435, 0, 4, "\x08\0\1\1", -EBADMSG},
	{"a time stamp twice", 435, 0, 7, "\x0f\0\4\1\2\3\4", -EBADMSG},
	{"a time stamp of 5 bytes", 430, 1, 2, "\5\0", -EBADMSG},
	{"a time stamp of 3 bytes", 430, 2, 1, "\3", -EBADMSG},
	{"no time stamp", 428, 7, 0, "", 0},
	{"an empty serial number", 65, 19, 3, "\5\0\0", -EBADMSG},
	{"no file name", 413, 15, 0, "", -EBADMSG},
	{"no signature", 154, 259, 0, "", -EBADMSG},
	{"a modulus that is not the signature's", 153, 1, 1, "\1", -EBADMSG},
	{"a modulus without meaning", 153, 1, 1, "\x09", -EBADMSG},
	{"an unknown tag", 435, 0, 5, "\x63\0\2xy", 0},
	{"an unknown tag without its end", 435, 0, 5, "\x63\0\7xy", -EBADMSG},
	{"more padding", 435, 0, 4, "\x0d\x0d\x0d\x0d", 0},
	{"version 2", 3, 1, 1, "\2", -EBADMSG},
	{"version 1.9", 4, 1, 1, "\x09", 0},
	{"version with 3 bytes", 2, 1, 1, "\3", -EBADMSG},
	{"no header length", 5, 1, 1, "\x1c", -EBADMSG},
	{"encryption information in a list", 435, 0, 3, "\x10\0\0", -EBADMSG},
	{"a record with two issuers", 445, 1, 1, "\5", -EBADMSG},
	{"a record without role", 497, 1, 1, "\x0e", -EBADMSG},
	{"a role of 1 byte", 499, 1, 1, "\1", -EBADMSG},
	{"a record of 4 bytes", 439, 2, 2, "\0\4", -EBADMSG},
	{"a record that begins with another tag", 436, 1, 1, "\2", -EBADMSG},
	{"a record with its length twice", 441, 1, 1, "\1", -EBADMSG},
	{"a tag longer than its record", 447, 1, 1, "\xff", -EBADMSG},
	{"a record's name without NUL", 444, 1, 1, "x", -EBADMSG},
	{"a byte behind the last record", 6889, 0, 1, "\1", -EBADMSG},
};

static void test_shapes(void)
{
	char why[WHY];

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct blob b = splice(trust_file("set-a-sha1", "constructed/CTLFile-cucm-order.tlv"), shapes[i].at,
				       shapes[i].cut, shapes[i].put, shapes[i].len);
		int rc;

		why[0] = '\0';
		rc = pki_tl_parse(b.p, b.len, &tl, why, WHY);
		if (rc != shapes[i].rc)
			fprintf(stderr, "%s: %d (%s)\n", shapes[i].what, rc, why);
		CU_ASSERT_EQUAL(rc, shapes[i].rc);
		CU_ASSERT_EQUAL(why[0] != '\0', rc < 0);
		free(b.p);
	}
}

/* The reader's own bounds: records, header, file. */
static void test_reader_limits(void)
{
	static const uint8_t record[10] = {1, 0, 2, 0, 10, 4, 0, 2, 0, 9};
	struct blob b = trust_file("set-a-sha1", "constructed/CTLFile-cucm-order.tlv");
	char why[WHY], *big = calloc(1, PKI_TL_FILE_MAX);

	for (unsigned n = 4; n < PKI_TL_REC_MAX; n++)
		b = splice(b, b.len, 0, record, sizeof(record));
	CU_ASSERT_EQUAL(pki_tl_parse(b.p, b.len, &tl, why, WHY), 0);
	CU_ASSERT_EQUAL(tl.rec_cnt, PKI_TL_REC_MAX);
	b = splice(b, b.len, 0, record, sizeof(record));
	CU_ASSERT_EQUAL(pki_tl_parse(b.p, b.len, &tl, why, WHY), -EMSGSIZE);
	free(b.p);
	for (int over = 0; over < 2; over++) { /* a header of 4,096 bytes and of one more */
		size_t len = 4096 - 436 + (size_t)over;

		big[0] = 0x63;
		big[1] = (char)((len - 3) >> 8);
		big[2] = (char)(len - 3);
		b = splice(trust_file("set-a-sha1", "constructed/CTLFile-cucm-order.tlv"), 435, 0, big, len);
		CU_ASSERT_EQUAL(pki_tl_parse(b.p, b.len, &tl, why, WHY), over ? -EMSGSIZE : 0);
		free(b.p);
	}
	CU_ASSERT_EQUAL(pki_tl_parse((uint8_t *)big, PKI_TL_FILE_MAX, &tl, why, WHY), -EBADMSG);
	b = splice(trust_file("set-a-sha1", "constructed/CTLFile-cucm-order.tlv"), 6889, 0, big, PKI_TL_FILE_MAX - 6889 + 1);
	CU_ASSERT_EQUAL(pki_tl_parse(b.p, b.len, &tl, why, WHY), -EMSGSIZE);
	free(b.p);
	free(big);
	/* a signature algorithm that is not RSA PKCS#1 v1.5 is read, and not verified */
	b = splice(trust_file("set-a-sha1", "constructed/CTLFile-cucm-order.tlv"), 149, 1, "\1", 1);
	CU_ASSERT_EQUAL(pki_tl_parse(b.p, b.len, &tl, why, WHY), 0);
	CU_ASSERT_EQUAL(tl.sig_alg, 1);
	CU_ASSERT_EQUAL(pki_tl_verify(&tl, NULL, NULL, why, WHY), -ENOTSUP);
	free(b.p);
}

static void test_small_keys_vouch_for_nothing(void)
{
	EVP_PKEY *key = EVP_RSA_gen(512);
	X509 *cert = cert_of(key, rsa_key(2048), "small", NULL, serial16, 16);
	struct made m = made_of(cert, key, PKI_TL_ITL, PKI_CLASS_79XX);
	struct blob b;
	char why[WHY];

	CU_ASSERT_EQUAL(build(&m, &b, why), -ENOTSUP);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "1024"));
	/* with and without leading zero bytes: the same serial number */
	X509_free(cert);
	EVP_PKEY_free(key);
	cert = cert_of(rsa_key(2048), rsa_key(2048), "sast", NULL, serial16, 16);
	m = made_of(cert, rsa_key(2048), PKI_TL_ITL, PKI_CLASS_79XX);
	CU_ASSERT_EQUAL_FATAL(build(&m, &b, why), 0);
	CU_ASSERT_EQUAL_FATAL(pki_tl_parse(b.p, b.len, &anchor, why, WHY), 0);
	CU_ASSERT_EQUAL_FATAL(pki_tl_parse(b.p, b.len, &tl, why, WHY), 0);
	{
		uint8_t padded[18] = {0, 0};

		memcpy(padded + 2, serial16, 16);
		anchor.rec[0].serial = padded;
		anchor.rec[0].serial_len = sizeof(padded);
		CU_ASSERT_EQUAL(pki_tl_verify(&tl, &anchor, NULL, why, WHY), 0);
		padded[17] ^= 1;
		CU_ASSERT_EQUAL(pki_tl_verify(&tl, &anchor, NULL, why, WHY), -EACCES);
	}
	/* a record with the signer's serial number and another issuer is another */
	anchor.rec[0].serial = tl.rec[0].serial;
	anchor.rec[0].serial_len = tl.rec[0].serial_len;
	CU_ASSERT_EQUAL(pki_tl_verify(&tl, &anchor, NULL, why, WHY), 0);
	anchor.rec[0].issuer = "CN=somebody";
	CU_ASSERT_EQUAL(pki_tl_verify(&tl, &anchor, NULL, why, WHY), -EACCES);
	tl.issuer = "CN=somebody";
	CU_ASSERT_EQUAL(pki_tl_verify_cert(&tl, cert, why, WHY), -EACCES);
	free(b.p);
	X509_free(cert);
}

static CU_TestInfo tests[] = {
	{"every field of files that other programs made", test_files_of_other_programs},
	{"the list that a phone holds decides", test_anchor_decides},
	{"damaged and forged lists are refused", test_damaged_lists},
	{"cut at every length", test_cut_at_every_length},
	{"each bit counts", test_each_bit_counts},
	{"a record must agree with its certificate", test_record_must_agree_with_its_certificate},
	{"shapes that are refused whoever signed", test_shapes},
	{"a reader's own limits", test_reader_limits},
	{"small keys, zeros of serial numbers, another issuer", test_small_keys_vouch_for_nothing},
	{"names are sets of attributes", test_names_are_sets},
	{"names as text", test_names_as_text},
	{"words for roles, classes, digests", test_words},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("trustlist", tests, NULL, NULL)
