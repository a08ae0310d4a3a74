/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signed files and encrypted configurations. Sources: files made by other programs (tests/vectors/trust) whose
 * manifests say every field, files built here, and damaged ones. 001:P1-135, P1-136.
 * Rows: 001:P1-053; 004a:AUT-05, GEN-01.
 */
#include <errno.h>

#include <openssl/rand.h>

#include "trust_files.h"

#define WHY 256

static struct pki_tl itl;

/* The list with the TFTP certificate: that of one phone. */
static struct blob phone_list(const char *set)
{
	char name[64];

	snprintf(name, sizeof(name), "tlv/ITLSEP0A1B2C3D4E5%c.tlv",
		 strcmp(set, "set-a-sha1") == 0 ? '1' : strcmp(set, "set-b-sha512") == 0 ? '2' : '3');
	return trust_file(set, name);
}

static void check_enc(const char *set, const struct pki_sgn *f, const json_t *enc, const struct blob *plain)
{
	EVP_PKEY *phone, *rogue = trust_key(set, "rogue.pem");
	const char *with = jstr(enc, "decrypt_with");
	char hex[2 * 64 + 1];
	uint8_t *out = NULL;
	uint8_t sym[16] = {0};
	size_t out_len;

	phone = trust_key(set, with != NULL ? with + strlen("keys/") : "mic.pem");
	CU_ASSERT_TRUE_FATAL(f->encrypted);
	hex_of(f->iv, 16, hex);
	CU_ASSERT_STRING_EQUAL(hex, jstr(enc, "iv"));
	CU_ASSERT_EQUAL(f->cut, jint(enc, "padding"));
	if (json_object_get(enc, "key_algorithm") != NULL) {
		CU_ASSERT_EQUAL(f->key_alg, jint(enc, "key_algorithm"));
		CU_ASSERT_EQUAL(f->key_bits, jint(enc, "wrapped_key_bits"));
		CU_ASSERT_EQUAL(f->wrapped_len * 8, jint(enc, "wrapped_key_bits"));
		CU_ASSERT_EQUAL(f->hash_alg, digest_code(jstr(enc, "hash_algorithm")));
		hex_of(f->hash, f->hash_len, hex);
		CU_ASSERT_STRING_EQUAL(hex, jstr(enc, "plaintext_hash"));
	}
	CU_ASSERT_EQUAL(f->body_len % 16, 0);
	CU_ASSERT_EQUAL_FATAL(pki_sgn_decrypt(f, phone, NULL, &out, &out_len), 0);
	CU_ASSERT_TRUE(out_len == plain->len && memcmp(out, plain->p, out_len) == 0);
	sha256_hex(out, out_len, "", 0, hex);
	CU_ASSERT_STRING_EQUAL(hex, jstr(enc, "plaintext_sha256"));
	OPENSSL_clear_free(out, out_len);
	CU_ASSERT_EQUAL(pki_sgn_decrypt(f, rogue, NULL, &out, &out_len), -EACCES);
	CU_ASSERT_EQUAL(pki_sgn_decrypt(f, NULL, sym, &out, &out_len), -EACCES);
	CU_ASSERT_EQUAL(pki_sgn_decrypt(f, NULL, NULL, &out, &out_len), -EINVAL);
	CU_ASSERT_EQUAL(pki_sgn_decrypt(f, phone, sym, &out, &out_len), -EINVAL);
	EVP_PKEY_free(phone);
	EVP_PKEY_free(rogue);
}

static void check_file(const char *set, const char *name, const json_t *want)
{
	struct blob b = trust_file(set, name), list, plain = {0};
	char hex[64], sha[65], why[WHY] = "", text[64], plain_name[128];
	const struct pki_tl_rec *rec = NULL;
	const json_t *v = json_object_get(want, "version");
	const char *base = strchr(name, '/') + 1;
	struct pki_sgn f;
	X509 *signer, *rogue;

	CU_ASSERT_EQUAL(b.len, jint(want, "size"));
	sha256_hex(b.p, b.len, "", 0, sha);
	CU_ASSERT_STRING_EQUAL(sha, jstr(want, "sha256_of_file"));
	CU_ASSERT_EQUAL_FATAL(pki_sgn_parse(b.p, b.len, &f, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(f.header_len, jint(want, "header_length"));
	CU_ASSERT_EQUAL(f.digest, digest_code(jstr(want, "digest")));
	CU_ASSERT_STRING_EQUAL(f.filename, jstr(want, "filename"));
	if (v != NULL) {
		snprintf(text, sizeof(text), "%u.%u", f.major, f.minor);
		CU_ASSERT_STRING_EQUAL(text, json_string_value(v));
		CU_ASSERT_EQUAL(f.signer_major + f.signer_minor, 0); /* tag 28 is for lists */
		CU_ASSERT_PTR_NULL(json_object_get(want, "signer_version"));
		check_order(json_object_get(want, "tag_order"), f.order, f.order_len);
		CU_ASSERT_STRING_EQUAL(f.signer, jstr(want, "signer_name"));
		CU_ASSERT_STRING_EQUAL(f.issuer, jstr(want, "issuer_name"));
		hex_of(f.serial, f.serial_len, hex);
		CU_ASSERT_STRING_EQUAL(hex, jstr(want, "serial"));
		CU_ASSERT_EQUAL(f.sig_alg, jint(want, "signature_algorithm"));
		CU_ASSERT_EQUAL(f.sig_mod, jint(want, "modulus_code"));
		CU_ASSERT_EQUAL(f.sig_tlv_off + 3, jint(want, "signature_offset"));
		CU_ASSERT_EQUAL(f.sig_len, jint(want, "signature_length"));
		CU_ASSERT_EQUAL(f.timestamp, jint(want, "timestamp"));
		CU_ASSERT_EQUAL(f.padding, jint(want, "padding"));
		CU_ASSERT_EQUAL(f.body_len, jint(want, "body_length"));
		sha256_hex(f.body, f.body_len, "", 0, sha);
		CU_ASSERT_STRING_EQUAL(sha, jstr(want, "body_sha256"));
		sha256_hex(b.p, f.sig_tlv_off, b.p + f.sig_tlv_off + 3 + f.sig_len,
			   b.len - f.sig_tlv_off - 3 - f.sig_len, sha);
		CU_ASSERT_STRING_EQUAL(sha, jstr(want, "sha256_of_signed_bytes"));
	}
	CU_ASSERT_TRUE(pki_sgn_name_is(&f, base));
	CU_ASSERT_FALSE(pki_sgn_name_is(&f, "Other.xml.sgn"));
	snprintf(text, sizeof(text), "%sx", base);
	CU_ASSERT_FALSE(pki_sgn_name_is(&f, text));
	text[strlen(base) - 5] = '\0';
	CU_ASSERT_FALSE(pki_sgn_name_is(&f, text));

	if (jstr(want, "plain_file") != NULL || f.encrypted) {
		snprintf(plain_name, sizeof(plain_name), "plain/%.*s", (int)strcspn(base, ".") + 8, base); /* SEP….cnf.xml */
		plain = trust_file(set, jstr(want, "plain_file") != NULL ? jstr(want, "plain_file") : plain_name);
		if (!f.encrypted)
			CU_ASSERT_TRUE(plain.len == f.body_len && memcmp(plain.p, f.body, plain.len) == 0);
	}
	v = json_object_get(want, "encryption");
	CU_ASSERT_EQUAL(f.encrypted, strstr(name, ".enc.sgn") != NULL);
	if (f.encrypted)
		check_enc(set, &f, v != NULL ? v : want, &plain);

	signer = trust_cert(set, jstr(want, "signed_by"));
	rogue = trust_cert(set, "rogue.pem");
	CU_ASSERT_EQUAL(pki_sgn_verify_cert(&f, signer, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(pki_sgn_verify_cert(&f, rogue, why, sizeof(why)), -EACCES);
	list = trust_file(set, "tlv/ITLFile.tlv"); /* has another that may sign files */
	CU_ASSERT_EQUAL_FATAL(pki_tl_parse(list.p, list.len, &itl, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(pki_sgn_verify(&f, &itl, &rec, why, sizeof(why)), -EACCES);
	free(list.p);
	list = phone_list(set);
	CU_ASSERT_EQUAL_FATAL(pki_tl_parse(list.p, list.len, &itl, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(pki_sgn_verify(&f, &itl, &rec, why, sizeof(why)), 0);
	CU_ASSERT_PTR_EQUAL(rec, pki_tl_find(&itl, signer, PKI_TL_TFTP));
	CU_ASSERT_EQUAL(pki_sgn_verify(&f, NULL, NULL, why, sizeof(why)), -EINVAL);
	/* CCM+TFTP signs files too; a SAST, CCM or TVS record does not */
	for (unsigned role = 0; role < 24; role++) {
		for (unsigned i = 0; i < itl.rec_cnt; i++)
			if (pki_tl_find(&itl, signer, -1) != NULL &&
			    memcmp(itl.rec[i].serial, rec->serial, rec->serial_len) == 0)
				itl.rec[i].role = (uint16_t)role;
		CU_ASSERT_EQUAL(pki_sgn_verify(&f, &itl, NULL, why, sizeof(why)),
				role == PKI_TL_TFTP || role == PKI_TL_CCM_TFTP ? 0 : -EACCES);
	}
	X509_free(signer);
	X509_free(rogue);
	free(list.p);
	free(plain.p);
	free(b.p);
}

static void test_files_of_other_programs(void)
{
	unsigned files = 0;

	for (int s = 0; s < TRUST_SETS; s++) {
		json_t *m = trust_json(trust_sets[s], "manifest.json"), *e, *want;
		const char *name;

		json_object_foreach(json_object_get(m, "files"), name, want) {
			if (strncmp(name, "tlv/", 4) == 0)
				continue;
			check_file(trust_sets[s], name, want);
			files++;
		}
		e = trust_json(trust_sets[s], "constructed/expected.json");
		json_object_foreach(e, name, want) {
			if (strstr(name, ".sgn") == NULL)
				continue;
			check_file(trust_sets[s], name, want);
			files++;
		}
		json_decref(m);
		json_decref(e);
	}
	CU_ASSERT_EQUAL(files, 20);
}

static void test_cert_hash(void)
{
	unsigned certs = 0;

	for (int s = 0; s < TRUST_SETS; s++) {
		json_t *m = trust_json(trust_sets[s], "manifest.json"), *want;
		const char *name;

		json_object_foreach(json_object_get(m, "certificates"), name, want) {
			X509 *cert = trust_cert(trust_sets[s], name + strlen("keys/"));
			char hash[33];

			CU_ASSERT_EQUAL(pki_cert_hash(cert, hash), 0);
			CU_ASSERT_STRING_EQUAL(hash, jstr(want, "md5"));
			X509_free(cert);
			certs++;
		}
		json_decref(m);
	}
	CU_ASSERT_EQUAL(certs, 36);
}

/* As a phone does: name, signature by its list, then, for its own configuration, decryption. */
static int judge(const uint8_t *p, size_t len, const char *asked, const struct pki_tl *list,
		 EVP_PKEY *phone)
{
	char why[WHY] = "";
	struct pki_sgn f;
	uint8_t *out;
	size_t out_len;
	int rc = pki_sgn_parse(p, len, &f, why, sizeof(why));

	if (rc == 0 && asked != NULL && !pki_sgn_name_is(&f, asked))
		return -EPERM;
	if (rc == 0)
		rc = pki_sgn_verify(&f, list, NULL, why, sizeof(why));
	if (rc < 0)
		CU_ASSERT_NOT_EQUAL(why[0], '\0');
	if (rc == 0 && f.encrypted) {
		rc = pki_sgn_decrypt(&f, phone, NULL, &out, &out_len);
		if (rc == 0)
			OPENSSL_clear_free(out, out_len);
	}
	return rc;
}

static void test_damaged_files(void)
{
	unsigned files = 0;

	for (int s = 0; s < TRUST_SETS; s++) {
		json_t *e = trust_json(trust_sets[s], "negative/expected.json"), *want;
		struct blob list = phone_list(trust_sets[s]);
		EVP_PKEY *phone = trust_key(trust_sets[s], "mic.pem");
		const char *name;

		CU_ASSERT_EQUAL_FATAL(pki_tl_parse(list.p, list.len, &itl, NULL, 0), 0);
		json_object_foreach(e, name, want) {
			bool named = strcmp(jstr(want, "expect"), "reject-if-name-is-checked") == 0;
			struct blob b;
			int rc;

			if (strstr(name, ".sgn") == NULL)
				continue;
			b = trust_file(trust_sets[s], name);
			CU_ASSERT_EQUAL(b.len, jint(want, "size"));
			rc = judge(b.p, b.len, NULL, &itl, phone);
			if ((rc == 0) != named)
				fprintf(stderr, "%s %s: %d\n", trust_sets[s], name, rc);
			CU_ASSERT_EQUAL(rc == 0, named);
			if (named)
				CU_ASSERT_EQUAL(judge(b.p, b.len, "SEP0A1B2C3D4E51.cnf.xml.sgn", &itl, phone),
						-EPERM);
			if (!named)
				CU_ASSERT_EQUAL(rc, strstr(name, "padding-17") != NULL || strstr(name, "multiple") != NULL ?
							    -EBADMSG : -EACCES);
			free(b.p);
			files++;
		}
		json_decref(e);
		free(list.p);
		EVP_PKEY_free(phone);
	}
	CU_ASSERT_EQUAL(files, 25);
}

static void test_cut_at_every_length_and_each_bit(void)
{
	static const struct {
		const char *set, *name;
	} files[] = {{"set-a-sha1", "sgn/Ringlist.xml.sgn"},
		     {"set-b-sha512", "sgn/empty.dat.sgn"},
		     {"set-a-sha1", "enc/SEP0A1B2C3D4E51.cnf.xml.enc.sgn"},
		     {"set-c-sha256", "constructed/SEP0A1B2C3D4E53.cnf.xml.enc.sgn"}};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct blob b = trust_file(files[i].set, files[i].name), list = phone_list(files[i].set);
		EVP_PKEY *phone = trust_key(files[i].set, "mic.pem");

		CU_ASSERT_EQUAL_FATAL(pki_tl_parse(list.p, list.len, &itl, NULL, 0), 0);
		for (size_t len = 0; len < b.len; len++) {
			struct blob cut = blob_of(b.p, len);

			CU_ASSERT_TRUE(judge(cut.p, cut.len, NULL, &itl, phone) < 0);
			free(cut.p);
		}
		for (size_t bit = 0; bit < b.len * 8; bit += i < 2 ? 1 : 5) {
			b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			CU_ASSERT_TRUE(judge(b.p, b.len, NULL, &itl, phone) < 0);
			b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		CU_ASSERT_EQUAL(judge(b.p, b.len, NULL, &itl, phone), 0);
		free(b.p);
		free(list.p);
		EVP_PKEY_free(phone);
	}
}

static int build(const struct pki_sgn_opts *o, EVP_PKEY *key, const struct blob *plain, struct blob *ret, char why[WHY]);

/* Encryption tags that disagree; offsets from the IV's value (see the layout in sgn.h's and tlv.h's tags). */
static const struct {
	const char *what;
	size_t at, len;
	const char *put;
	int rc;
} enc_shapes[] = {
	{"as it was", 19, 0, "", 0},
	{"nothing to cut off", 19, 2, "\0\0", -EBADMSG},
	{"16 bytes to cut off", 19, 2, "\0\x10", 0},
	{"17 bytes to cut off", 19, 2, "\0\x11", -EBADMSG},
	{"a key of 1,024 bits in 256 bytes", 31, 2, "\4\0", -EBADMSG},
	{"another key algorithm", 36, 1, "\2", -EBADMSG},
	{"a hash of another length", 299, 1, "\1", -EBADMSG},
	{"an unknown hash", 299, 1, "\x0b", 0},
	{"no IV", (size_t)-3, 1, "\x63", -EBADMSG},
	{"a hash out of place", 300, 1, "\x63", -EBADMSG},
};

static void test_enc_shapes(void)
{
	EVP_PKEY *phone = trust_key("set-c-sha256", "mic.pem");
	char why[WHY];

	for (size_t i = 0; i < sizeof(enc_shapes) / sizeof(enc_shapes[0]); i++) {
		struct blob b = trust_file("set-c-sha256", "constructed/SEP0A1B2C3D4E53.cnf.xml.enc.sgn");
		struct pki_sgn f;
		uint8_t *out;
		size_t len;
		int rc;

		CU_ASSERT_EQUAL_FATAL(pki_sgn_parse(b.p, b.len, &f, why, WHY), 0);
		b = splice(b, (size_t)(f.iv - b.p) + enc_shapes[i].at, enc_shapes[i].len, enc_shapes[i].put, enc_shapes[i].len);
		rc = pki_sgn_parse(b.p, b.len, &f, why, WHY);
		if (rc != enc_shapes[i].rc)
			fprintf(stderr, "%s: %d\n", enc_shapes[i].what, rc);
		CU_ASSERT_EQUAL(rc, enc_shapes[i].rc);
		if (rc == 0 && strstr(enc_shapes[i].what, "unknown") != NULL)
			CU_ASSERT_EQUAL(pki_sgn_decrypt(&f, phone, NULL, &out, &len), -ENOTSUP);
		free(b.p);
	}
	/* version and encryption go together */
	for (int v = 1; v <= 3; v++) {
		struct blob b = trust_file("set-c-sha256", v == 1 ? "constructed/SEP0A1B2C3D4E53.cnf.xml.enc.sgn" :
								     "sgn/Ringlist.xml.sgn");
		struct pki_sgn f;

		b.p[3] = (uint8_t)v;
		CU_ASSERT_EQUAL(pki_sgn_parse(b.p, b.len, &f, why, WHY), -EBADMSG);
		free(b.p);
	}
	EVP_PKEY_free(phone);
}

/*
 * A file wrapped for nobody that decrypts under the key that stands for a failed unwrapping must not be opened: whoever may sign
 * could otherwise tell a phone's padding errors from others.
 */
static void test_the_stand_in_key_opens_nothing(void)
{
	const char *set = "set-b-sha512";
	X509 *tftp = trust_cert(set, "tftp.pem"), *mic = trust_cert(set, "mic.pem");
	EVP_PKEY *key = trust_key(set, "tftp.pem"), *phone = trust_key(set, "mic.pem"), *wrong = trust_key(set, "rogue.pem");
	uint8_t random[32] = {0}, sym[16] = {0}, *out; /* all zero: the key that stands in */
	struct blob plain = blob_of("plain text", 10), b;
	struct pki_sgn f;
	char why[WHY];
	size_t len;

	CU_ASSERT_EQUAL_FATAL(build(&(struct pki_sgn_opts){.name = "a.enc.sgn", .digest = PKI_SHA512, .signer = tftp, .enc = mic,
							   .random = random}, key, &plain, &b, why), 0);
	CU_ASSERT_EQUAL_FATAL(pki_sgn_parse(b.p, b.len, &f, why, WHY), 0);
	CU_ASSERT_EQUAL(pki_sgn_decrypt(&f, phone, NULL, &out, &len), 0);
	OPENSSL_clear_free(out, len);
	CU_ASSERT_EQUAL(pki_sgn_decrypt(&f, wrong, NULL, &out, &len), -EACCES);
	CU_ASSERT_EQUAL(pki_sgn_decrypt(&f, NULL, sym, &out, &len), -EACCES); /* the right bytes, not the right kind */
	free(b.p);
	free(plain.p);
	X509_free(tftp);
	X509_free(mic);
	EVP_PKEY_free(key);
	EVP_PKEY_free(phone);
	EVP_PKEY_free(wrong);
}

static int build(const struct pki_sgn_opts *o, EVP_PKEY *key, const struct blob *plain, struct blob *ret, char why[WHY])
{
	uint8_t *head, *body, *out, sig[512];
	size_t head_len, body_len, sig_len, out_len;
	struct pki_sgn f;
	int rc = pki_sgn_build(o, plain->p, plain->len, &head, &head_len, &body, &body_len, why, WHY);

	if (rc < 0)
		return rc;
	CU_ASSERT_EQUAL(pki_sgn_parse_tbs(head, head_len, &f, why, WHY), 0);
	CU_ASSERT_PTR_NULL(f.sig);
	CU_ASSERT_EQUAL(f.body_len, 0);
	CU_ASSERT_EQUAL(body != NULL, o->enc != NULL || o->sym != NULL);
	sig_len = sign_with(key, o->digest, head, head_len, body != NULL ? body : plain->p, body_len, sig);
	CU_ASSERT_EQUAL(f.sig_len, sig_len);
	CU_ASSERT_EQUAL(pki_sgn_finish(head, head_len, body != NULL ? body : plain->p, body_len, sig, sig_len + 1, &out, &out_len),
			-EINVAL);
	CU_ASSERT_EQUAL(pki_sgn_finish(head, head_len - 1, body != NULL ? body : plain->p, body_len, sig, sig_len, &out, &out_len),
			-EBADMSG);
	CU_ASSERT_EQUAL_FATAL(
		pki_sgn_finish(head, head_len, body != NULL ? body : plain->p, body_len, sig, sig_len, &out, &out_len), 0);
	*ret = blob_of(out, out_len);
	OPENSSL_free(out);
	OPENSSL_free(head);
	OPENSSL_free(body);
	return 0;
}

/*
 * A .sgn of the old tools differs from ours in its version alone (1.2 there): with that set and signed again, the bytes
 * are the same. An encrypted file leaves one freedom, the padding of the wrapped key: with theirs put in, the same.
 */
static void test_bytes_of_the_original_order(void)
{
	static const char *const files[] = {"Ringlist.xml", "New_Zealand/g3-tones.xml", "empty.dat", "blob4099.bin"};
	const char *set = "set-c-sha256";
	X509 *tftp = trust_cert(set, "tftp.pem"), *mic = trust_cert(set, "mic.pem");
	EVP_PKEY *key = trust_key(set, "tftp.pem");
	json_t *e = trust_json(set, "constructed/expected.json");
	const char *aes = jstr(json_object_get(e, "constructed/SEP0A1B2C3D4E53.cnf.xml.enc.sgn"), "aes_key");
	uint8_t random[32], sig[512];
	struct blob want, got, plain;
	struct pki_sgn f, g;
	char why[WHY];
	size_t off;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct pki_sgn_opts o = {.digest = PKI_SHA256, .signer = tftp};
		char path[128];
		uint8_t *head, *body;
		size_t head_len, body_len;

		snprintf(path, sizeof(path), "sgn/%s.sgn", files[i]);
		want = trust_file(set, path);
		snprintf(path, sizeof(path), "plain/%s", files[i]);
		plain = trust_file(set, path);
		CU_ASSERT_EQUAL_FATAL(pki_sgn_parse(want.p, want.len, &f, why, WHY), 0);
		o.name = f.filename;
		o.timestamp = f.timestamp;
		CU_ASSERT_EQUAL_FATAL(pki_sgn_build(&o, plain.p, plain.len, &head, &head_len, &body, &body_len, why, WHY), 0);
		CU_ASSERT_PTR_NULL(body);
		CU_ASSERT_EQUAL(head[3] * 256 + head[4], 0x100);
		head[4] = 2;
		sign_with(key, PKI_SHA256, head, head_len, plain.p, plain.len, sig);
		CU_ASSERT_EQUAL_FATAL(pki_sgn_finish(head, head_len, plain.p, plain.len, sig, 256, &body, &body_len), 0);
		CU_ASSERT_TRUE(body_len == want.len && memcmp(body, want.p, body_len) == 0);
		OPENSSL_free(head);
		OPENSSL_free(body);
		free(want.p);
		free(plain.p);
	}

	want = trust_file(set, "constructed/SEP0A1B2C3D4E53.cnf.xml.enc.sgn");
	plain = trust_file(set, "plain/SEP0A1B2C3D4E53.cnf.xml");
	CU_ASSERT_EQUAL_FATAL(pki_sgn_parse(want.p, want.len, &f, why, WHY), 0);
	for (int i = 0; i < 16; i++)
		sscanf(aes + 2 * i, "%2hhx", &random[i]);
	memcpy(random + 16, f.iv, 16);
	CU_ASSERT_EQUAL_FATAL(build(&(struct pki_sgn_opts){.name = f.filename, .digest = PKI_SHA256, .signer = tftp,
							   .timestamp = f.timestamp, .enc = mic, .random = random},
				    key, &plain, &got, why), 0);
	CU_ASSERT_EQUAL_FATAL(pki_sgn_parse(got.p, got.len, &g, why, WHY), 0);
	CU_ASSERT_EQUAL_FATAL(got.len, want.len);
	memcpy(got.p + (g.wrapped - got.p), f.wrapped, f.wrapped_len);
	off = g.sig_tlv_off + 3;
	sign_with(key, PKI_SHA256, got.p, g.sig_tlv_off, got.p + off + 256, got.len - off - 256, sig);
	memcpy(got.p + off, sig, 256);
	CU_ASSERT_EQUAL(memcmp(got.p, want.p, got.len), 0);
	free(want.p);
	free(got.p);
	free(plain.p);
	json_decref(e);
	X509_free(tftp);
	X509_free(mic);
	EVP_PKEY_free(key);
}

static void test_random_files_come_back(void)
{
	const char *set = "set-b-sha512";
	X509 *tftp = trust_cert(set, "tftp.pem"), *mic = trust_cert(set, "mic.pem"), *rogue = trust_cert(set, "rogue.pem");
	EVP_PKEY *key = trust_key(set, "tftp.pem"), *phone = trust_key(set, "mic.pem"), *wrong = trust_key(set, "rogue.pem");
	uint8_t random[32], sym[16], bad[16];
	unsigned seed = 7;
	char why[WHY];

	for (unsigned round = 0; round < 300; round++) {
		static const enum pki_digest digests[] = {PKI_SHA1, PKI_SHA256, PKI_SHA512};
		int mode = (int)(round % 3); /* signed, for a certificate, for a symmetric key */
		char name[PKI_SGN_NAME_MAX];
		struct pki_sgn_opts o = {.name = name, .digest = digests[round % 7 % 3], .signer = tftp, .random = random,
					 .timestamp = round % 5 ? (uint32_t)rand_r(&seed) | 1 : 0,
					 .enc = mode == 1 ? mic : NULL, .sym = mode == 2 ? sym : NULL};
		struct blob plain = blob_of(NULL, 0), b;
		size_t len = round < 60 ? round : (size_t)rand_r(&seed) % 20000, out_len;
		uint8_t *out;
		struct pki_sgn f;

		free(plain.p);
		plain.p = malloc(len + 1);
		plain.len = len;
		RAND_bytes(plain.p, (int)len + 1);
		RAND_bytes(random, sizeof(random));
		RAND_bytes(sym, sizeof(sym));
		snprintf(name, sizeof(name), "d%u/file-%u.xml%s.sgn", round % 3, round, mode ? ".enc" : "");
		CU_ASSERT_EQUAL_FATAL(build(&o, key, &plain, &b, why), 0);
		CU_ASSERT_EQUAL_FATAL(pki_sgn_parse(b.p, b.len, &f, why, WHY), 0);
		CU_ASSERT_EQUAL(pki_sgn_verify_cert(&f, tftp, why, WHY), 0);
		CU_ASSERT_EQUAL(pki_sgn_verify_cert(&f, rogue, why, WHY), -EACCES);
		CU_ASSERT_TRUE(pki_sgn_name_is(&f, name));
		CU_ASSERT_EQUAL(f.header_len % 4, 0);
		CU_ASSERT_EQUAL(f.timestamp, o.timestamp);
		CU_ASSERT_EQUAL(f.major, mode ? 2 : 1);
		CU_ASSERT_EQUAL(f.encrypted, mode != 0);
		if (mode == 0) {
			CU_ASSERT_TRUE(f.body_len == len && memcmp(f.body, plain.p, len) == 0);
		} else {
			EVP_PKEY *k = mode == 1 ? phone : NULL;

			CU_ASSERT_EQUAL(f.cut, 16 - len % 16);
			CU_ASSERT_EQUAL(f.wrapped != NULL, mode == 1);
			CU_ASSERT_EQUAL_FATAL(pki_sgn_decrypt(&f, k, k != NULL ? NULL : sym, &out, &out_len), 0);
			CU_ASSERT_TRUE(out_len == len && memcmp(out, plain.p, len) == 0);
			OPENSSL_clear_free(out, out_len);
			memcpy(bad, sym, 16);
			bad[round % 16] ^= 1;
			CU_ASSERT_EQUAL(pki_sgn_decrypt(&f, k != NULL ? wrong : NULL, k != NULL ? NULL : bad, &out, &out_len),
					-EACCES);
			CU_ASSERT_EQUAL(pki_sgn_decrypt(&f, k != NULL ? NULL : phone, k != NULL ? sym : NULL, &out, &out_len),
					-EACCES); /* the key of the other kind */
		}
		b.p[(size_t)rand_r(&seed) % b.len] ^= 4;
		CU_ASSERT_FALSE(pki_sgn_parse(b.p, b.len, &f, why, WHY) == 0 &&
				pki_sgn_verify_cert(&f, tftp, why, WHY) == 0);
		free(b.p);
		free(plain.p);
	}
	X509_free(tftp);
	X509_free(mic);
	X509_free(rogue);
	EVP_PKEY_free(key);
	EVP_PKEY_free(phone);
	EVP_PKEY_free(wrong);
}

static void test_what_cannot_be_built(void)
{
	const char *set = "set-a-sha1";
	X509 *tftp = trust_cert(set, "tftp.pem"), *ec = trust_cert(set, "app-ec.pem");
	EVP_PKEY *key = trust_key(set, "tftp.pem");
	struct blob plain = blob_of("abc", 3), b;
	uint8_t random[32] = {0}, sym[16] = {0};
	char name[400] = "a.sgn", why[WHY] = "";
	const struct pki_sgn_opts ok = {.name = name, .digest = PKI_SHA512, .signer = tftp};
	struct pki_sgn_opts o = ok;

	CU_ASSERT_EQUAL(build(&o, key, &plain, &b, why), 0);
	free(b.p);
	o.digest = (enum pki_digest)4; /* SHA-384 and others have no code */
	CU_ASSERT_EQUAL(build(&o, key, &plain, &b, why), -ENOTSUP);
	o = ok;
	o.signer = ec;
	CU_ASSERT_EQUAL(build(&o, key, &plain, &b, why), -ENOTSUP);
	o = ok;
	o.enc = ec; /* an EC certificate cannot unwrap a key */
	o.random = random;
	CU_ASSERT_EQUAL(build(&o, key, &plain, &b, why), -ENOTSUP);
	o = ok;
	o.sym = sym; /* no randomness */
	CU_ASSERT_EQUAL(build(&o, key, &plain, &b, why), -EINVAL);
	o.random = random;
	o.enc = tftp; /* two keys */
	CU_ASSERT_EQUAL(build(&o, key, &plain, &b, why), -EINVAL);
	o = ok;
	memset(name, 'n', 300);
	CU_ASSERT_EQUAL(build(&o, key, &plain, &b, why), -EMSGSIZE);
	name[0] = '\0';
	CU_ASSERT_EQUAL(build(&o, key, &plain, &b, why), -EINVAL);
	plain.len = PKI_SGN_BODY_MAX + 1;
	strcpy(name, "a.sgn");
	CU_ASSERT_EQUAL(build(&o, key, &plain, &b, why), -EMSGSIZE);
	free(plain.p);
	X509_free(tftp);
	X509_free(ec);
	EVP_PKEY_free(key);
}

static void test_header_to_be_signed_cut_at_every_length(void)
{
	const char *set = "set-a-sha1";
	X509 *tftp = trust_cert(set, "tftp.pem"), *mic = trust_cert(set, "mic.pem");
	uint8_t random[32] = {1}, *head, *body;
	size_t head_len, body_len;
	struct pki_sgn f;
	char why[WHY];

	for (int enc = 0; enc < 2; enc++) {
		struct pki_sgn_opts o = {.name = "a.sgn", .digest = PKI_SHA1, .signer = tftp, .random = random,
					 .enc = enc ? mic : NULL};

		CU_ASSERT_EQUAL_FATAL(pki_sgn_build(&o, (const uint8_t *)"x", 1, &head, &head_len, &body, &body_len, why, WHY), 0);
		for (size_t n = 0; n < head_len; n++) {
			struct blob cut = blob_of(head, n);

			CU_ASSERT_TRUE(pki_sgn_parse_tbs(cut.p, cut.len, &f, why, WHY) < 0);
			free(cut.p);
		}
		CU_ASSERT_EQUAL(pki_sgn_parse_tbs(head, head_len, &f, why, WHY), 0);
		CU_ASSERT_TRUE(pki_sgn_parse(head, head_len, &f, why, WHY) < 0);
		OPENSSL_free(head);
		OPENSSL_free(body);
	}
	X509_free(tftp);
	X509_free(mic);
}

static CU_TestInfo tests[] = {
	{"every field of files that other programs made", test_files_of_other_programs},
	{"certHash", test_cert_hash},
	{"damaged and forged files are refused", test_damaged_files},
	{"cut at every length, and each bit counts", test_cut_at_every_length_and_each_bit},
	{"encryption tags that disagree", test_enc_shapes},
	{"the key that stands in for a failed unwrapping", test_the_stand_in_key_opens_nothing},
	{"the bytes of the original order", test_bytes_of_the_original_order},
	{"random files come back", test_random_files_come_back},
	{"what cannot be built", test_what_cannot_be_built},
	{"a header to be signed, cut at every length", test_header_to_be_signed_cut_at_every_length},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("sgn", tests, NULL, NULL)
