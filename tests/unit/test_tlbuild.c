/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Building trust lists: the original's order of bytes, what each class is written, limits by name, who can sign, random lists there and back.
 * Rows: 004c:CT-08, CT-18.
 */
#include "trustlist_fix.h"

/* The format leaves no freedom here: the same entries, time and key give the same bytes. */
static void test_bytes_of_the_original_order(void)
{
	static const char *const files[] = {"sast1.pem", "sast2.pem", "ccm-tftp.pem", "capf.pem"};

	for (int s = 0; s < TRUST_SETS; s++) {
		const char *set = trust_sets[s];
		struct blob want = trust_file(set, "constructed/CTLFile-cucm-order.tlv"), got;
		static struct pki_tl ref;
		struct made m = {.n = 4, .key = trust_key(set, "sast1.pem")};
		char why[WHY] = "";

		CU_ASSERT_EQUAL_FATAL(pki_tl_parse(want.p, want.len, &ref, NULL, 0), 0);
		for (unsigned i = 0; i < 4; i++)
			m.e[i] = (struct pki_tl_entry){.role = ref.rec[i].role, .cert = trust_cert(set, files[i]),
						       .dns = ref.rec[i].dns, .ip = ref.rec[i].ip};
		m.opts = (struct pki_tl_opts){.kind = PKI_TL_CTL, .cls = PKI_CLASS_79XX, .signer = m.e[0].cert,
					      .timestamp = ref.timestamp, .digest = (enum pki_digest)ref.digest,
					      .original = true};
		CU_ASSERT_EQUAL_FATAL(build(&m, &got, why), 0);
		CU_ASSERT_EQUAL(got.len, want.len);
		CU_ASSERT_TRUE(got.len == want.len && memcmp(got.p, want.p, got.len) == 0);
		for (unsigned i = 0; i < 4; i++)
			X509_free(m.e[i].cert);
		EVP_PKEY_free(m.key);
		free(want.p);
		free(got.p);
	}
}

static void test_classes_write_what_they_can_check(void)
{
	X509 *cert = cert_of(rsa_key(2048), rsa_key(2048), "sast", NULL, serial16, 16);
	char why[WHY] = "";

	for (int cls = PKI_CLASS_79XX; cls < PKI_CLASS_MAX; cls++) {
		for (int kind = PKI_TL_CTL; kind <= PKI_TL_ITL; kind++) {
			static const uint8_t head[] = {1, 2, 28, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15};
			struct made m = made_of(cert, rsa_key(2048), (enum pki_tl_kind)kind, (enum pki_tl_class)cls);
			struct blob b = {0};
			enum pki_tl_kind got;

			CU_ASSERT_EQUAL_FATAL(build(&m, &b, why), 0);
			CU_ASSERT_EQUAL(judge(b.p, b.len), 0);
			CU_ASSERT_EQUAL(tl.digest, cls == PKI_CLASS_79XX ? PKI_SHA1 : PKI_SHA512);
			CU_ASSERT_EQUAL(tl.signer_major, 1);
			CU_ASSERT_EQUAL(tl.signer_minor, cls == PKI_CLASS_79XX ? 0 : 1);
			CU_ASSERT_TRUE(tl.order_len >= sizeof(head) && memcmp(tl.order, head, sizeof(head)) == 0);
			CU_ASSERT_EQUAL(tl.header_len % 4, 0);
			CU_ASSERT_EQUAL(tl.major * 256 + tl.minor, 0x102);
			CU_ASSERT_EQUAL(tl.timestamp, 1800000000);
			CU_ASSERT_EQUAL(pki_tl_kind_of(&tl, &got), 0);
			CU_ASSERT_EQUAL(got, (enum pki_tl_kind)kind);
			free(b.p);
		}
	}
	X509_free(cert);
}

/* 004c:CT-08, CT-18: refused by the limit's name, before anything is signed. */
static void test_limits_by_name(void)
{
	X509 *ok = cert_of(rsa_key(2048), rsa_key(2048), "sast", NULL, serial16, 16), *big, *cert;
	uint8_t serial[64] = {0x7f};
	char why[WHY], ou[600];
	struct blob b;

	for (int cls = PKI_CLASS_79XX; cls < PKI_CLASS_MAX; cls++) {
		struct made m = made_of(ok, rsa_key(2048), PKI_TL_CTL, (enum pki_tl_class)cls);
		const struct pki_tl_limits *lim = pki_tl_class_limits((enum pki_tl_class)cls);

		/* an RSA-4096 key is 526 bytes encoded */
		big = cert_of(rsa_key(4096), rsa_key(2048), "big", NULL, serial16, 16);
		m.e[1] = (struct pki_tl_entry){.role = PKI_TL_CAPF, .cert = big};
		m.n = 2;
		CU_ASSERT_EQUAL(build(&m, &b, why), -EMSGSIZE);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "'pubkey'"));
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "526, at most 512"));
		CU_ASSERT_PTR_NOT_NULL(strstr(why, lim->name));
		X509_free(big);
		/* RSA-3072 fits */
		cert = cert_of(rsa_key(3072), rsa_key(2048), "mid", NULL, serial16, 16);
		m.e[1].cert = cert;
		CU_ASSERT_EQUAL(build(&m, &b, why), 0);
		free(b.p);
		X509_free(cert);

		/* subject of exactly 256 characters, then of 257: "CN=x", ";OU=" and 60 four times is 260 - 4 */
		for (int extra = 0; extra < 2; extra++) {
			memset(ou, 'o', sizeof(ou));
			ou[236 + extra] = '\0'; /* 4 + 3 * 64 + 4 + 56 = 256 */
			cert = cert_of(rsa_key(2048), rsa_key(2048), "x", ou, serial16, 16);
			CU_ASSERT_EQUAL(pki_tl_dn(X509_get_subject_name(cert), (char[600]){0}, 600), 256 + extra);
			m.e[1].cert = cert;
			CU_ASSERT_EQUAL(build(&m, &b, why), extra ? -EMSGSIZE : 0);
			if (!extra) {
				free(b.p);
			} else {
				X509_NAME *name = X509_NAME_new();

				X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"ca", -1, -1, 0);
				CU_ASSERT_PTR_NOT_NULL(strstr(why, "'issuer'")); /* self-signed: looked at first */
				X509_set_issuer_name(cert, name);
				X509_sign(cert, rsa_key(2048), EVP_sha256());
				CU_ASSERT_EQUAL(build(&m, &b, why), -EMSGSIZE);
				CU_ASSERT_PTR_NOT_NULL(strstr(why, "'subject'"));
				X509_NAME_free(name);
			}
			X509_free(cert);
		}
		/* RFC 5280 stops a serial number at 20 bytes, long before the documents' 256 */
		cert = cert_of(rsa_key(2048), rsa_key(2048), "x", NULL, serial, 20);
		m.e[1].cert = cert;
		CU_ASSERT_EQUAL(build(&m, &b, why), 0);
		free(b.p);
		X509_free(cert);
		cert = cert_of(rsa_key(2048), rsa_key(2048), "x", NULL, serial, 21);
		m.e[1].cert = cert;
		CU_ASSERT_EQUAL(build(&m, &b, why), -EMSGSIZE);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "'serial'"));
		X509_free(cert);

		/* records: 100 fit (small ones), 101 do not; and 75 KB are full before that with certificates */
		for (unsigned i = 1; i < 101; i++)
			m.e[i] = (struct pki_tl_entry){.role = PKI_TL_TFTP};
		m.n = 100;
		CU_ASSERT_EQUAL(build(&m, &b, why), 0);
		CU_ASSERT_EQUAL(judge(b.p, b.len), 0);
		CU_ASSERT_EQUAL(tl.rec_cnt, 100);
		free(b.p);
		m.n = 101;
		CU_ASSERT_EQUAL(build(&m, &b, why), -EMSGSIZE);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "'records'"));
		for (unsigned i = 1; i < 100; i++)
			m.e[i].cert = ok;
		m.n = 100;
		CU_ASSERT_EQUAL(build(&m, &b, why), -EMSGSIZE);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "'file'"));
		/* exactly as many as fit are at most 76,800 bytes, and one more would be over */
		for (m.n = 100; build(&m, &b, why) < 0; m.n--)
			continue;
		CU_ASSERT_TRUE(b.len <= 76800 && b.len + b.len / m.n > 76800);
		CU_ASSERT_EQUAL(judge(b.p, b.len), 0);
		free(b.p);
	}
	X509_free(ok);
}

static void test_who_can_sign(void)
{
	EVP_PKEY *ec = EVP_EC_gen("P-256");
	X509 *sast = cert_of(rsa_key(2048), rsa_key(2048), "sast", NULL, serial16, 16);
	X509 *other = cert_of(rsa_key(2048), rsa_key(2048), "other", NULL, serial16, 16);
	X509 *odd = cert_of(rsa_key(3072), rsa_key(3072), "odd", NULL, serial16, 16), *ecc, *ed;
	struct made m = made_of(other, rsa_key(2048), PKI_TL_ITL, PKI_CLASS_MODERN);
	EVP_PKEY *edk = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	char why[WHY];
	struct blob b;

	ecc = cert_of(ec, ec, "ec", NULL, serial16, 16);
	ed = cert_of(edk, rsa_key(2048), "ed", NULL, serial16, 16);
	/* not in the list, or in another role */
	m.e[0].cert = sast;
	CU_ASSERT_EQUAL(build(&m, &b, why), -EINVAL);
	m.e[0] = (struct pki_tl_entry){.role = PKI_TL_TFTP, .cert = other};
	CU_ASSERT_EQUAL(build(&m, &b, why), -EINVAL);
	/* a list without certificates (rollback, non-secure mode) is signed by a key that phones know from before */
	m.e[0] = (struct pki_tl_entry){.role = PKI_TL_TVS};
	m.e[1] = (struct pki_tl_entry){.role = PKI_TL_TFTP};
	m.n = 2;
	CU_ASSERT_EQUAL(build(&m, &b, why), 0);
	CU_ASSERT_EQUAL(pki_tl_parse(b.p, b.len, &tl, why, WHY), 0);
	CU_ASSERT_EQUAL(pki_tl_verify_cert(&tl, other, why, WHY), 0);
	CU_ASSERT_EQUAL(pki_tl_verify(&tl, NULL, NULL, why, WHY), -EACCES);
	CU_ASSERT_EQUAL(tl.rec_cnt, 2);
	CU_ASSERT_PTR_NULL(tl.rec[0].cert);
	CU_ASSERT_PTR_NULL(tl.rec[0].serial);
	CU_ASSERT_STRING_EQUAL(tl.rec[0].subject, "");
	free(b.p);
	m.n = 0;
	CU_ASSERT_EQUAL(build(&m, &b, why), 0);
	free(b.p);
	/* only RSA signs, of a length that has a code; EC may be in the list, other keys not */
	m = made_of(ecc, ec, PKI_TL_ITL, PKI_CLASS_MODERN);
	CU_ASSERT_EQUAL(build(&m, &b, why), -ENOTSUP);
	m = made_of(odd, rsa_key(3072), PKI_TL_ITL, PKI_CLASS_MODERN);
	CU_ASSERT_EQUAL(build(&m, &b, why), -ENOTSUP);
	m = made_of(sast, rsa_key(2048), PKI_TL_ITL, PKI_CLASS_MODERN);
	m.e[m.n++] = (struct pki_tl_entry){.role = PKI_TL_TFTP, .cert = ecc, .dns = "tftp.example.test"};
	CU_ASSERT_EQUAL(build(&m, &b, why), 0);
	CU_ASSERT_EQUAL(judge(b.p, b.len), 0);
	CU_ASSERT_EQUAL(tl.rec[1].pubkey_len, 65);
	CU_ASSERT_STRING_EQUAL(tl.rec[1].dns, "tftp.example.test");
	free(b.p);
	m.e[1].cert = ed;
	CU_ASSERT_EQUAL(build(&m, &b, why), -ENOTSUP);
	X509_free(sast);
	X509_free(other);
	X509_free(odd);
	X509_free(ecc);
	X509_free(ed);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(edk);
}

/* Random lists: what was put in comes out, every one verifies, and nothing else does. */
static void test_random_lists_come_back(void)
{
	static const char *const files[] = {"sast1.pem", "sast2.pem", "ccm-tftp.pem", "capf.pem", "ccm.pem",
					    "tvs.pem",	 "app.pem",   "app-ec.pem",   "tftp.pem"};
	X509 *certs[9];
	EVP_PKEY *key = trust_key("set-b-sha512", "sast1.pem");
	unsigned seed = 1;
	char why[WHY];

	for (int i = 0; i < 9; i++)
		certs[i] = trust_cert("set-b-sha512", files[i]);
	for (int round = 0; round < 200; round++) {
		struct made m = made_of(certs[0], key, round % 2 ? PKI_TL_CTL : PKI_TL_ITL,
					round % 3 ? PKI_CLASS_MODERN : PKI_CLASS_79XX);
		char dns[40][64];
		uint8_t ips[40][4];
		struct blob b;

		m.opts.timestamp = (uint32_t)rand_r(&seed) | 1;
		m.n = 1 + (unsigned)rand_r(&seed) % 40;
		for (unsigned i = 1; i < m.n; i++) {
			int r = rand_r(&seed);

			snprintf(dns[i], sizeof(dns[i]), "host-%u.example.test", (unsigned)r);
			memcpy(ips[i], &r, 4);
			m.e[i] = (struct pki_tl_entry){.role = (uint16_t)(r % 7 == 0 ? r & 0xffff : r % 22),
						       .cert = r % 5 ? certs[(unsigned)r % 9] : NULL,
						       .dns = r % 3 ? dns[i] : NULL,
						       .ip = r % 2 ? ips[i] : NULL};
		}
		CU_ASSERT_EQUAL_FATAL(build(&m, &b, why), 0);
		CU_ASSERT_EQUAL(judge(b.p, b.len), 0);
		CU_ASSERT_EQUAL_FATAL(tl.rec_cnt, m.n);
		CU_ASSERT_EQUAL(tl.timestamp, m.opts.timestamp);
		for (unsigned i = 0; i < m.n; i++) {
			const struct pki_tl_rec *rec = &tl.rec[i];
			uint8_t *der = NULL;
			int len = m.e[i].cert != NULL ? i2d_X509(m.e[i].cert, &der) : 0;

			CU_ASSERT_EQUAL(rec->role, m.e[i].role);
			CU_ASSERT_STRING_EQUAL(rec->dns, m.e[i].dns != NULL ? m.e[i].dns : "");
			CU_ASSERT_EQUAL(rec->cert_len, (size_t)len);
			CU_ASSERT_TRUE(len == 0 || memcmp(rec->cert, der, (size_t)len) == 0);
			CU_ASSERT_TRUE(m.e[i].ip == NULL ? rec->ip == NULL : rec->ip != NULL && memcmp(rec->ip, m.e[i].ip, 4) == 0);
			OPENSSL_free(der);
		}
		b.p[(unsigned)rand_r(&seed) % b.len] ^= 0x10;
		CU_ASSERT_TRUE(judge(b.p, b.len) < 0);
		free(b.p);
	}
	for (int i = 0; i < 9; i++)
		X509_free(certs[i]);
	EVP_PKEY_free(key);
}

static void test_tbs_cut_at_every_length(void)
{
	X509 *cert = cert_of(rsa_key(2048), rsa_key(2048), "sast", NULL, serial16, 16);
	struct made m = made_of(cert, rsa_key(2048), PKI_TL_CTL, PKI_CLASS_MODERN);
	uint8_t *tbs, sig[256] = {0}, *out;
	size_t len, out_len;
	char why[WHY];

	CU_ASSERT_EQUAL_FATAL(pki_tl_build(&m.opts, m.e, m.n, &tbs, &len, why, WHY), 0);
	for (size_t n = 0; n < len; n++) {
		struct blob cut = blob_of(tbs, n);
		int rc = pki_tl_parse_tbs(cut.p, cut.len, &tl, why, WHY);

		if (rc == 0) /* cut in front of the only record */
			CU_ASSERT_EQUAL(tl.rec_cnt, 0);
		if (pki_tl_finish(cut.p, cut.len, sig, sizeof(sig), &out, &out_len) == 0)
			OPENSSL_free(out);
		free(cut.p);
	}
	/* a whole file is no tbs, a tbs no file */
	CU_ASSERT_EQUAL(pki_tl_parse(tbs, len, &tl, why, WHY), -EBADMSG);
	CU_ASSERT_EQUAL_FATAL(pki_tl_finish(tbs, len, sig, sizeof(sig), &out, &out_len), 0);
	CU_ASSERT_EQUAL(pki_tl_parse_tbs(out, out_len, &tl, why, WHY), -EBADMSG);
	OPENSSL_free(out);
	OPENSSL_free(tbs);
	X509_free(cert);
}

static CU_TestInfo tests[] = {
	{"the bytes of the original order", test_bytes_of_the_original_order},
	{"a class is written what it can check", test_classes_write_what_they_can_check},
	{"limits are refused by name", test_limits_by_name},
	{"who can sign", test_who_can_sign},
	{"random lists come back", test_random_lists_come_back},
	{"what is to be signed, cut at every length", test_tbs_cut_at_every_length},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("tlbuild", tests, NULL, NULL)
