/* SPDX-License-Identifier: BSD-3-Clause */
/* Configurations with secrets: encrypted for a certificate or under a symmetric key, and where a secret may stand. */
/* Rows: 000:P0-43; 002:P2-01. */
#include "files_fix.h"

static const struct cp_profile sip_profile = {.name = "sip", .protocol = CP_PROTOCOL_SIP, .mode = CP_DEVICE_ENCRYPTED,
					      .digest = true, .encrypted_config = true};

/* 000:P0-45; 001:P1-134 to P1-136, P1-138; wire formats section 3 */
static void test_encrypted(void)
{
	struct cp_profile p = sip_profile;
	struct cp_file *f, *g;
	struct pki_sgn s;
	uint8_t *plain;
	char hash[33];
	size_t len;

	up();
	put_profile(&p);
	put_device(PHONE, "8851", CP_DEVICE_ENCRYPTED, digest_user);
	/* no key known: the whole file, signed, without the secret */
	CU_ASSERT(get_rc(PHONE ".cnf.xml.enc.sgn") == -ENOENT);
	f = get(PHONE ".cnf.xml.sgn");
	CU_ASSERT(says(f, "<fullConfig>true<") && !says(f, "authPassword") && says(f, "<encrConfig>false<"));
	cp_file_put(f);
	put_cert(PHONE, ec_cert); /* cannot unwrap */
	CU_ASSERT(get_rc(PHONE ".cnf.xml.enc.sgn") == -ENOENT);
	put_cert(PHONE, phone_cert);
	f = get(PHONE ".cnf.xml.sgn");
	check_signed(f, PHONE ".cnf.xml.sgn", PKI_SHA512, &s);
	pki_cert_hash(phone_cert, hash);
	CU_ASSERT(says(f, "<fullConfig>false<") && says(f, "<encrConfig>true<") && says(f, hash) && !says(f, "callManager"));
	cp_file_put(f);
	f = get(PHONE ".cnf.xml"); /* unsigned: the short one too */
	CU_ASSERT(says(f, "<fullConfig>false<"));
	cp_file_put(f);
	f = get(PHONE ".cnf.xml.enc.sgn");
	check_signed(f, PHONE ".cnf.xml.enc.sgn", PKI_SHA512, &s);
	CU_ASSERT(s.encrypted && !says(f, "device"));
	CU_ASSERT(pki_sgn_decrypt(&s, ec_key, NULL, &plain, &len) < 0);
	CU_ASSERT_FATAL(pki_sgn_decrypt(&s, phone_key, NULL, &plain, &len) == 0);
	CU_ASSERT(memmem(plain, len, "<authName>ann<", 14) == NULL); /* no line yet: nowhere to say it */
	CU_ASSERT(memmem(plain, len, "<encrConfig>true<", 17) != NULL);
	OPENSSL_clear_free(plain, len);
	/* the same file after a restart: its key is random, so the whole of it was kept */
	restart();
	signs = 0;
	g = get(PHONE ".cnf.xml.enc.sgn");
	CU_ASSERT(g != NULL && g->len == f->len && memcmp(g->data, f->data, g->len) == 0);
	CU_ASSERT_EQUAL(signs, 0);
	cp_file_put(f);
	cp_file_put(g);
	down();
}

static void with_key(struct cp_device *d)
{
	static char sealed[] = "config-key/" PHONE "0123456789abcdef";

	with_line(d);
	d->config_key = (struct cp_buf){(uint8_t *)sealed, sizeof(sealed) - 1};
}

static void stolen_key(struct cp_device *d)
{
	static char sealed[] = "config-key/" OTHER "0123456789abcdef";

	with_line(d);
	d->config_key = (struct cp_buf){(uint8_t *)sealed, sizeof(sealed) - 1};
}

static void test_symmetric(void)
{
	struct cp_profile p = sip_profile;
	struct cp_file *f;
	struct pki_sgn s;
	uint8_t *plain;
	size_t len;

	p.mode = CP_DEVICE_NONSECURE; /* the type has no TLS */
	up();
	put_profile(&p);
	put_device(PHONE, "7905", CP_DEVICE_NONSECURE, with_key);
	f = get(PHONE ".cnf.xml.enc.sgn");
	check_signed(f, PHONE ".cnf.xml.enc.sgn", pki_tl_class_limits(pki_tl_class_of_model("7905", PKI_CLASS_MODERN))->digest,
		     &s);
	CU_ASSERT_FATAL(pki_sgn_decrypt(&s, NULL, (const uint8_t *)"0123456789abcdef", &plain, &len) == 0);
	CU_ASSERT(memmem(plain, len, "<authName>ann<", 14) != NULL);
	CU_ASSERT(memmem(plain, len, "<authPassword>p&lt;&amp;&gt;w<", 30) != NULL);
	OPENSSL_clear_free(plain, len);
	cp_file_put(f);
	f = get(PHONE ".cnf.xml.sgn");
	CU_ASSERT(says(f, "<certHash></certHash>") || says(f, "<certHash/>"));
	cp_file_put(f);
	put_device(PHONE, "7905", CP_DEVICE_NONSECURE, stolen_key); /* another device's sealed bytes */
	CU_ASSERT(get_rc(PHONE ".cnf.xml.enc.sgn") == -EIO);
	/* excluded by the profile: 001:P1-138 */
	p.digest_exclude = true;
	put_profile(&p);
	put_device(PHONE, "7905", CP_DEVICE_NONSECURE, with_key);
	f = get(PHONE ".cnf.xml.enc.sgn");
	CU_ASSERT_FATAL(f != NULL && pki_sgn_parse(f->data, f->len, &s, NULL, 0) == 0);
	CU_ASSERT_FATAL(pki_sgn_decrypt(&s, NULL, (const uint8_t *)"0123456789abcdef", &plain, &len) == 0);
	CU_ASSERT(memmem(plain, len, "authPassword", 12) == NULL);
	OPENSSL_clear_free(plain, len);
	cp_file_put(f);
	/* in clear only if the cluster's record allows it: 001:P1-074, P1-133 */
	p.digest_exclude = p.encrypted_config = false;
	put_profile(&p);
	f = get(PHONE ".cnf.xml");
	CU_ASSERT(says(f, "<fullConfig>true<") && !says(f, "authPassword"));
	cp_file_put(f);
	put_cluster(&(struct cp_cluster){.plain_secrets = true});
	f = get(PHONE ".cnf.xml");
	CU_ASSERT(says(f, "authPassword"));
	cp_file_put(f);
	down();
}

static CU_TestInfo tests[] = {
	{"encrypted for the phone's certificate", test_encrypted},
	{"encrypted under a symmetric key; where a secret may stand", test_symmetric},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("files_secret", tests, setup, teardown)
