/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is uploaded: files and what is in them, rules for every certificate (004c:CT-18), usages that stores take, chains. 000:P0-60,
 * P0-62. Bytes and certificates only; the stores are in test_certs.c.
 * Rows: 001:R-20.
 */
#include <errno.h>

#include <CUnit/CUnit.h>

#include "cert_fix.h"
#include "log.h"
#include "trust/certs.h"
#include "trust/upload.h"

#define DAY 86400ll
#define T0  1800000000ll

static struct cf_id root, inter, leaf, mic_root;

/* --- files --- */

static int parse_n(const void *data, size_t len, char why[256])
{
	STACK_OF(X509) *list = NULL;
	int rc = cp_upload_parse(data, len, &list, why, 256), n = rc < 0 ? rc : sk_X509_num(list);

	CU_ASSERT((rc < 0) == (list == NULL));
	CU_ASSERT((rc < 0) == (why[0] != '\0'));
	sk_X509_pop_free(list, X509_free);
	return n;
}

/* 001:P1-029 */
static void test_files(void)
{
	X509 *const three[] = {leaf.cert, inter.cert, root.cert, NULL}, *const twice[] = {leaf.cert, root.cert, leaf.cert, NULL};
	char *pem = cf_pem(three), *dup = cf_pem(twice), why[256], big[4096];
	size_t n1, n2, room = strlen(pem) * 2 + 4096;
	uint8_t *d1 = cf_der(leaf.cert, &n1), *d2 = cf_der(root.cert, &n2), *both = malloc(n1 + n2 + 1);
	char *text = malloc(room), *p;
	BIO *bio;
	char *data;
	long len;

	CU_ASSERT_EQUAL(parse_n(pem, strlen(pem), why), 3);
	CU_ASSERT_EQUAL(parse_n(d1, n1, why), 1);
	memcpy(both, d1, n1);
	memcpy(both + n1, d2, n2);
	CU_ASSERT_EQUAL(parse_n(both, n1 + n2, why), 2);
	both[n1 + n2] = 0;
	CU_ASSERT_EQUAL(parse_n(both, n1 + n2 + 1, why), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "behind certificate 2"));
	snprintf(text, room, "0 words before\n%s\nwords behind, as openssl writes them\n", pem);
	CU_ASSERT_EQUAL(parse_n(text, strlen(text), why), 3);
	/* lines as Windows ends them */
	for (p = text, data = pem; *data != '\0'; data++) {
		if (*data == '\n')
			*p++ = '\r';
		*p++ = *data;
	}
	CU_ASSERT_EQUAL(parse_n(text, (size_t)(p - text), why), 3);
	CU_ASSERT_EQUAL(parse_n(dup, strlen(dup), why), -EEXIST);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "certificates 1 and 3"));
	CU_ASSERT_EQUAL(parse_n("", 0, why), -EBADMSG);
	CU_ASSERT_EQUAL(parse_n("hello", 5, why), -EBADMSG);
	memset(big, 'x', sizeof(big));
	CU_ASSERT_EQUAL(parse_n(big, sizeof(big), why), -EBADMSG);
	CU_ASSERT_EQUAL(parse_n("0\x82\xff\xff", 4, why), -EBADMSG);

	/* a private key is refused by that name, wherever in the file it is */
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, leaf.cert);
	PEM_write_bio_PKCS8PrivateKey(bio, leaf.key, NULL, NULL, 0, NULL, NULL);
	len = BIO_get_mem_data(bio, &data);
	CU_ASSERT_EQUAL(parse_n(data, (size_t)len, why), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "private key"));
	BIO_free(bio);
	CU_ASSERT_EQUAL(parse_n("-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n", 76, why), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "CERTIFICATE REQUEST"));
	CU_ASSERT_EQUAL(parse_n("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", 58, why), -EBADMSG);

	/* cut anywhere, nothing half is taken; PEM may end behind a whole block or its text */
	for (size_t n = 0; n < n1; n++)
		CU_ASSERT(parse_n(d1, n, why) < 0);
	for (size_t n = 0; n < strlen(pem); n++) {
		unsigned begins = 0, ends = 0;
		int got = parse_n(pem, n, why);

		for (size_t i = 0; i + 27 <= n; i++)
			begins += memcmp(pem + i, "-----BEGIN CERTIFICATE-----", 27) == 0;
		for (size_t i = 0; i + 25 <= n; i++)
			ends += memcmp(pem + i, "-----END CERTIFICATE-----", 25) == 0;
		if (got > 0) { /* all blocks that began have ended */
			CU_ASSERT(begins == ends && ends == (unsigned)got);
		} else { /* a block is open, or its first line is cut */
			CU_ASSERT(got == -EBADMSG && (ends < 3 || begins > ends));
		}
	}
	free(pem);
	free(dup);
	free(d1);
	free(d2);
	free(both);
	free(text);
}

static void test_file_limits(void)
{
	struct cf_id many[CP_UPLOAD_CERTS_MAX + 1];
	X509 *list[CP_UPLOAD_CERTS_MAX + 2] = {NULL};
	char why[256], *pem, *huge = malloc(CP_UPLOAD_MAX + 1);
	EVP_PKEY *key = EVP_EC_gen("P-256");

	for (unsigned i = 0; i <= CP_UPLOAD_CERTS_MAX; i++) {
		many[i] = cf_make(&(struct cf_opts){.cn = "x", .key = key, .from = T0, .to = T0 + DAY});
		list[i] = many[i].cert;
	}
	pem = cf_pem(list);
	CU_ASSERT_EQUAL(parse_n(pem, strlen(pem), why), -EMSGSIZE);
	free(pem);
	list[CP_UPLOAD_CERTS_MAX] = NULL;
	pem = cf_pem(list);
	CU_ASSERT_EQUAL(parse_n(pem, strlen(pem), why), (int)CP_UPLOAD_CERTS_MAX);
	free(pem);
	memset(huge, ' ', CP_UPLOAD_MAX + 1);
	CU_ASSERT_EQUAL(parse_n(huge, CP_UPLOAD_MAX + 1, why), -EMSGSIZE);
	free(huge);
	for (unsigned i = 0; i <= CP_UPLOAD_CERTS_MAX; i++)
		cf_free(&many[i]);
	EVP_PKEY_free(key);
}

/* --- rules: 004c:CT-18 --- */

static void refused_cert(const struct cf_opts *o, bool legacy, int rc, const char *word)
{
	struct cf_id id = cf_make(o);
	char why[256];
	int got = cp_upload_check(id.cert, T0, legacy, why, sizeof(why));

	if (got != rc || strstr(why, word) == NULL)
		printf("\n%s: %d instead of %d, %s", o->cn != NULL ? o->cn : "-", got, rc, why);
	CU_ASSERT_EQUAL(got, rc);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, word));
	cf_free(&id);
}

static void test_rules(void)
{
	EVP_PKEY *r1024 = rsa(1024), *r2048 = rsa(2048), *k1 = EVP_EC_gen("secp256k1"), *p384 = EVP_EC_gen("P-384"), *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	struct cf_id issuer = cf_ca("issuer", NULL, T0 - DAY, T0 + 900 * DAY);
	struct cf_id rsa_ca = cf_make(&(struct cf_opts){.cn = "rsa", .key = r2048, .from = T0 - DAY, .to = T0 + 900 * DAY, .basic = "critical,CA:TRUE", .ku = CF_CA_KU});
	uint8_t serial[300];
	char cn[300], why[256];
	const struct cf_opts good = {.cn = "good", .issuer = &issuer, .from = T0 - DAY, .to = T0 + DAY};
	struct cf_opts o = good;
	struct cf_id id;
	uint8_t *der;
	size_t len;

	refused_cert(&o, false, 0, "");
	o.key = p384;
	refused_cert(&o, false, 0, "");
	o.key = r2048;
	refused_cert(&o, false, 0, "");
	o.key = r1024;
	refused_cert(&o, false, -ENOKEY, "weak key");
	refused_cert(&o, true, 0, "");
	o.key = k1;
	refused_cert(&o, true, -ENOKEY, "ec-secp256k1");
	o.key = ed;
	refused_cert(&o, true, -ENOKEY, "weak key or a kind");
	o = good;
	o.issuer = &rsa_ca;
	o.md = EVP_md5();
	refused_cert(&o, true, -ENOKEY, "weak signature: md5");
	o.md = EVP_sha1();
	refused_cert(&o, false, -ENOKEY, "weak signature: sha1");
	refused_cert(&o, true, 0, "");
	o = good;
	o.from = T0 + 1;
	refused_cert(&o, false, -ETIME, "not yet valid");
	o.from = T0;
	refused_cert(&o, false, 0, "");
	o.to = T0;
	refused_cert(&o, false, -EKEYEXPIRED, "expired");
	o.to = T0 + 1;
	refused_cert(&o, false, 0, "");
	o = good;
	o.cn = NULL;
	refused_cert(&o, false, -EBADMSG, "its subject is missing");
	o.issuer = NULL; /* self-signed, hence without issuer either */
	refused_cert(&o, false, -EBADMSG, "its issuer is missing");
	o = good;
	memset(serial, 0x42, sizeof(serial));
	o.serial = serial;
	o.serial_len = 257;
	refused_cert(&o, false, -EMSGSIZE, "serial number has 257 bytes, 256");
	o.serial_len = 256;
	refused_cert(&o, false, 0, "");
	o = good;
	o.odd = "\x05";
	refused_cert(&o, false, -EPERM, "critical extension");
	memset(cn, 'c', sizeof(cn));
	cn[64] = '\0';
	o = good;
	o.cn = cn;
	refused_cert(&o, false, 0, "");
	/* several names of 64 bytes each pass 256 */
	id = cf_make(&good);
	for (int i = 0; i < 5; i++)
		X509_NAME_add_entry_by_txt(X509_get_subject_name(id.cert), "OU", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	X509_sign(id.cert, issuer.key, EVP_sha256());
	CU_ASSERT_EQUAL(cp_upload_check(id.cert, T0, false, why, sizeof(why)), -EMSGSIZE);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "its subject has"));
	cf_free(&id);
	/* a root of which a bit changed */
	der = cf_der(issuer.cert, &len);
	der[len - 20] ^= 1;
	id.cert = d2i_X509(NULL, (const unsigned char *[]){der}, (long)len);
	CU_ASSERT_PTR_NOT_NULL_FATAL(id.cert);
	CU_ASSERT_EQUAL(cp_upload_check(id.cert, T0, false, why, sizeof(why)), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "signature is wrong"));
	X509_free(id.cert);
	free(der);
	EVP_PKEY_free(r1024);
	EVP_PKEY_free(r2048);
	EVP_PKEY_free(k1);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(ed);
	cf_free(&issuer);
	cf_free(&rsa_ca);
}

static void test_usages(void)
{
	enum { CA, CA_NO_SIGN, SERVER, CLIENT, IKE, END, MISPRINT, CODE, ANY, SIGN_ONLY, KINDS };
	static const struct cf_opts kinds[KINDS] = {
		[CA] = {.cn = "ca", .basic = "critical,CA:TRUE", .ku = CF_CA_KU},
		[CA_NO_SIGN] = {.cn = "ca", .basic = "critical,CA:TRUE", .ku = "critical,digitalSignature"},
		/* as a third party's CA is told to set them, and one that was printed wrong: 004b:PKI-07 */
		[SERVER] = {.cn = "server", .basic = "CA:FALSE", .ku = "digitalSignature", .eku = "1.3.6.1.5.5.7.3.1"},
		[CLIENT] = {.cn = "client", .basic = "CA:FALSE", .ku = "digitalSignature", .eku = "1.3.6.1.5.5.7.3.2"},
		[IKE] = {.cn = "ike", .basic = "CA:FALSE", .ku = "digitalSignature", .eku = "ipsecIKE"},
		[END] = {.cn = "end system", .basic = "CA:FALSE", .ku = "digitalSignature", .eku = "1.3.6.1.5.5.7.3.5"},
		[MISPRINT] = {.cn = "misprint", .basic = "CA:FALSE", .ku = "digitalSignature", .eku = "1.3.5.1.5.5.7.3.2"},
		[CODE] = {.cn = "code", .basic = "CA:FALSE", .ku = "digitalSignature", .eku = "codeSigning"},
		[ANY] = {.cn = "any", .basic = "CA:FALSE"},
		[SIGN_ONLY] = {.cn = "crl", .basic = "CA:FALSE", .ku = "critical,cRLSign"},
	};
	static const bool takes[CP_TS_MAX][KINDS] = {
		[CP_TS_CALLMANAGER] = {[CA] = true, [SERVER] = true, [CLIENT] = true, [ANY] = true}, /* 001:P1-045 */
		[CP_TS_CAPF] = {[CA] = true},
		[CP_TS_TVS] = {[CA] = true, [SERVER] = true, [ANY] = true},
		[CP_TS_IPSEC] = {[CA] = true, [SERVER] = true, [CLIENT] = true, [IKE] = true, [END] = true, [ANY] = true},
		[CP_TS_HTTPS] = {[CA] = true, [SERVER] = true, [ANY] = true},
		[CP_TS_PHONE_EDGE] = {[CA] = true},
		[CP_TS_DIRECTORY] = {[CA] = true, [SERVER] = true, [ANY] = true},
	};

	for (unsigned k = 0; k < KINDS; k++) {
		struct cf_opts o = kinds[k];
		struct cf_id id;
		char why[256];

		o.issuer = k == CA || k == CA_NO_SIGN ? NULL : &root;
		o.to = T0;
		id = cf_make(&o);
		for (unsigned ts = 0; ts < CP_TS_MAX; ts++) {
			int rc = cp_upload_usage((enum cp_trust_store)ts, id.cert, why, sizeof(why));

			if (rc != (takes[ts][k] ? 0 : -EPERM))
				printf("\n%s in %s: %d", o.cn, cp_trust_store_name((enum cp_trust_store)ts), rc);
			CU_ASSERT_EQUAL(rc, takes[ts][k] ? 0 : -EPERM);
			CU_ASSERT(rc == 0 || strstr(why, "wrong usage") != NULL);
		}
		CU_ASSERT_EQUAL(cp_upload_own_usage("CAPF", id.cert, why, sizeof(why)), k == CA ? 0 : -EPERM);
		CU_ASSERT_EQUAL(cp_upload_own_usage("CallManager", id.cert, why, sizeof(why)),
				k == SERVER || k == ANY || k == CA_NO_SIGN ? 0 : -EPERM);
		CU_ASSERT_EQUAL(cp_upload_own_usage("TFTP", id.cert, why, sizeof(why)), k == CA || k == SIGN_ONLY ? -EPERM : 0);
		cf_free(&id);
	}
}

static int chain_of(X509 *const *from, X509 *const *more, char why[256], X509 *const *want)
{
	STACK_OF(X509) *a = sk_X509_new_null(), *b = more != NULL ? sk_X509_new_null() : NULL, *ret = NULL;
	int rc, n = 0;

	for (; *from != NULL; from++)
		sk_X509_push(a, *from);
	for (; more != NULL && *more != NULL; more++)
		sk_X509_push(b, *more);
	rc = cp_upload_chain(a, b, &ret, why, 256);
	CU_ASSERT((rc < 0) == (ret == NULL));
	for (; rc == 0 && want != NULL && want[n] != NULL; n++)
		CU_ASSERT_PTR_EQUAL(n < sk_X509_num(ret) ? sk_X509_value(ret, n) : NULL, want[n]);
	CU_ASSERT(rc < 0 || sk_X509_num(ret) == n);
	sk_X509_free(a);
	sk_X509_free(b);
	sk_X509_pop_free(ret, X509_free);
	return rc;
}
static void test_chains(void)
{
	struct cf_id imposter = cf_ca("Inter CA", &root, T0 - DAY, T0 + 900 * DAY); /* inter's name, another key */
	struct cf_id noca = cf_make(&(struct cf_opts){.cn = "no CA", .issuer = &root, .from = T0, .to = T0 + DAY, .basic = "CA:FALSE"});
	struct cf_id below = cf_make(&(struct cf_opts){.cn = "below", .issuer = &noca, .from = T0, .to = T0 + DAY});
	char why[256];

	CU_ASSERT_EQUAL(chain_of(L(leaf.cert, inter.cert, root.cert), NULL, why, L(leaf.cert, inter.cert, root.cert)), 0);
	CU_ASSERT_EQUAL(chain_of(L(root.cert, leaf.cert, inter.cert), NULL, why, L(leaf.cert, inter.cert, root.cert)), 0);
	CU_ASSERT_EQUAL(chain_of(L(leaf.cert), L(mic_root.cert, root.cert, inter.cert), why, L(leaf.cert, inter.cert, root.cert)), 0);
	CU_ASSERT_EQUAL(chain_of(L(root.cert), NULL, why, L(root.cert)), 0);
	CU_ASSERT_EQUAL(chain_of(L(leaf.cert, inter.cert), NULL, why, NULL), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "chain incomplete: Root CA, which issued Inter CA"));
	CU_ASSERT_EQUAL(chain_of(L(leaf.cert, root.cert), NULL, why, NULL), -EBADMSG); /* two that issued nobody */
	CU_ASSERT_EQUAL(chain_of(L(leaf.cert, imposter.cert, root.cert), NULL, why, NULL), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "Inter CA, which issued"));
	CU_ASSERT_EQUAL(chain_of(L(leaf.cert, inter.cert, root.cert, mic_root.cert), NULL, why, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(chain_of(L(below.cert, noca.cert, root.cert), NULL, why, NULL), -EBADMSG);
	cf_free(&imposter);
	cf_free(&noca);
	cf_free(&below);
}

static int setup(void)
{
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	root = cf_ca("Root CA", NULL, T0 - DAY, T0 + 3650 * DAY);
	inter = cf_ca("Inter CA", &root, T0 - DAY, T0 + 900 * DAY);
	leaf = cf_make(&(struct cf_opts){.cn = "server.example", .issuer = &inter, .from = T0 - DAY, .to = T0 + 60 * DAY,
					 .basic = "critical,CA:FALSE", .ku = "critical,digitalSignature", .eku = "serverAuth",
					 .san = "DNS:server.example,IP:192.0.2.1"});
	mic_root = cf_ca("Manufacturing CA of phones", NULL, T0 - DAY, T0 + 3650 * DAY);
	return 0;
}

static int teardown(void)
{
	cf_free(&root);
	cf_free(&inter);
	cf_free(&leaf);
	cf_free(&mic_root);
	return 0;
}

static CU_TestInfo tests[] = {
	{"files: PEM, DER, and what is neither", test_files},
	{"limits of files", test_file_limits},
	{"rules for every certificate", test_rules},
	{"usages that stores take", test_usages},
	{"chains", test_chains},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("upload", tests, setup, teardown)
