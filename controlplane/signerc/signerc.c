/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/err.h>

#include "signer.h"
#include "signerc/link.h"
#include "signerc/signerc.h"
#include "x509.h"

#define TRUST_MAX  1024 /* CAs that are taken from the signer */
#define IDENTS_MAX 64
#define SIG_MAX    512

static int set_name(struct pki_signer_msg *m, const char *name)
{
	if (strlen(name) >= sizeof(m->name))
		return -EINVAL;
	memcpy(m->name, name, strlen(name) + 1);
	return 0;
}

static int take_cert(const struct pki_blob *b, X509 **ret_cert)
{
	return pki_cert_parse(b->p, b->len, ret_cert) == 0
	               ? 0
	               : cp_signer_fail(-EPROTO, "a certificate from the signer");
}

/* Certificates in a row: *ret_chain is NULL for none. */
static int take_chain(const struct pki_blob *b, STACK_OF(X509) * *ret_chain)
{
	const unsigned char *p = b->p, *end = b->p + b->len;
	STACK_OF(X509) *chain = NULL;

	while (p < end) {
		X509 *cert = d2i_X509(NULL, &p, end - p);

		if (chain == NULL)
			chain = sk_X509_new_null();
		if (cert == NULL || chain == NULL || sk_X509_push(chain, cert) <= 0) {
			X509_free(cert);
			sk_X509_pop_free(chain, X509_free);
			return cp_signer_fail(-EPROTO, "a certificate chain from the signer");
		}
	}
	*ret_chain = chain;
	return 0;
}

static int take_key(const struct pki_blob *b, X509 *cert, EVP_PKEY **ret_key)
{
	const unsigned char *p = b->p;
	PKCS8_PRIV_KEY_INFO *p8 = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)b->len);
	EVP_PKEY *key = p8 != NULL ? EVP_PKCS82PKEY(p8) : NULL;

	PKCS8_PRIV_KEY_INFO_free(p8);
	if (key == NULL || X509_check_private_key(cert, key) != 1) {
		EVP_PKEY_free(key);
		return cp_signer_fail(-EPROTO, "a key from the signer");
	}
	*ret_key = key;
	return 0;
}

int cp_signer_server_identity(struct cp_signer *s, const char *role, EVP_PKEY **ret_key,
                              X509 **ret_cert, STACK_OF(X509) * *ret_chain)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_SERVER};
	STACK_OF(X509) *chain = NULL;
	EVP_PKEY *key = NULL;
	struct cp_signer_conn *c = NULL;
	X509 *cert = NULL;
	int rc = set_name(&m, role);

	if (rc < 0)
		return rc;
	rc = cp_signer_ask(s, &m, &c);
	if (rc == 0)
		rc = take_cert(&m.b, &cert);
	if (rc == 0)
		rc = take_key(&m.a, cert, &key);
	if (rc == 0)
		rc = take_chain(&m.c, &chain);
	if (rc == 0 && chain == NULL && (chain = sk_X509_new_null()) == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		*ret_key = key;
		*ret_cert = cert;
		*ret_chain = chain;
		return cp_signer_done(s, c, 0);
	}
	EVP_PKEY_free(key);
	X509_free(cert);
	return cp_signer_done(s, c, rc);
}

int cp_signer_trust(struct cp_signer *s, STACK_OF(X509) * *ret_cas)
{
	STACK_OF(X509) *cas = sk_X509_new_null();
	uint32_t count = 1;
	int rc = cas != NULL ? 0 : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < count; i++) {
		struct pki_signer_msg m = {.type = PKI_SIGNER_TRUST, .num = i};
		struct cp_signer_conn *c = NULL;
		X509 *cert = NULL;

		rc = cp_signer_ask(s, &m, &c);
		if (rc == 0)
			rc = take_cert(&m.a, &cert);
		if (rc == 0 && (m.num == 0 || m.num > TRUST_MAX))
			rc = cp_signer_fail(-EPROTO, "the signer's trust list");
		if (rc == 0 && sk_X509_push(cas, cert) <= 0)
			rc = -ENOMEM;
		if (rc < 0)
			X509_free(cert);
		count = m.num;
		cp_signer_done(s, c, rc);
	}
	if (rc < 0) {
		sk_X509_pop_free(cas, X509_free);
		return rc;
	}
	*ret_cas = cas;
	return 0;
}

int cp_signer_cas(struct cp_signer *s, X509 **ret_server_ca, X509 **ret_capf_ca)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_CAS};
	struct cp_signer_conn *c = NULL;
	X509 *server = NULL, *capf = NULL;
	int rc = cp_signer_ask(s, &m, &c);

	if (rc == 0)
		rc = take_cert(&m.a, &server);
	if (rc == 0)
		rc = take_cert(&m.b, &capf);
	if (rc < 0) {
		X509_free(server);
		return cp_signer_done(s, c, rc);
	}
	*ret_server_ca = server;
	*ret_capf_ca = capf;
	return cp_signer_done(s, c, 0);
}

static int lsc(struct cp_signer *s, const char *device, struct pki_blob csr, struct pki_blob pub,
               X509 **ret_cert)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_LSC, .a = csr, .b = pub};
	struct cp_signer_conn *c = NULL;
	int rc = set_name(&m, device);

	if (rc < 0)
		return rc;
	rc = cp_signer_ask(s, &m, &c);
	return cp_signer_done(s, c, rc == 0 ? take_cert(&m.a, ret_cert) : rc);
}

int cp_signer_lsc_issue_csr(struct cp_signer *s, const char *device, X509_REQ *csr, X509 **ret_cert)
{
	unsigned char *der = NULL;
	int len = i2d_X509_REQ(csr, &der), rc;

	if (len <= 0)
		return -EINVAL;
	rc = lsc(s, device, (struct pki_blob){der, (size_t)len}, (struct pki_blob){0}, ret_cert);
	OPENSSL_free(der);
	return rc;
}

int cp_signer_test_identity(struct cp_signer *s, const char *device, int type, EVP_PKEY **ret_key,
                            X509 **ret_cert, X509 **ret_capf_ca)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_TEST_ID, .num = (uint32_t)type};
	struct cp_signer_conn *c = NULL;
	X509 *cert = NULL, *ca = NULL;
	EVP_PKEY *key = NULL;
	int rc = set_name(&m, device);

	if (rc < 0)
		return rc;
	rc = cp_signer_ask(s, &m, &c);
	if (rc == 0)
		rc = take_cert(&m.b, &cert);
	if (rc == 0)
		rc = take_cert(&m.c, &ca);
	if (rc == 0)
		rc = take_key(&m.a, cert, &key);
	if (rc < 0) {
		X509_free(cert);
		X509_free(ca);
		return cp_signer_done(s, c, rc);
	}
	*ret_key = key;
	*ret_cert = cert;
	*ret_capf_ca = ca;
	return cp_signer_done(s, c, 0);
}

static int seal(struct cp_signer *s, uint16_t type, const void *in, size_t len, const void *aad,
                size_t aad_len, uint8_t **ret_out, size_t *ret_len)
{
	struct pki_signer_msg m = {.type = type, .a = {in, len}, .b = {aad, aad_len}};
	struct cp_signer_conn *c = NULL;
	uint8_t *out = NULL;
	int rc;

	if (len > PKI_SIGNER_SEAL_MAX + PKI_SIGNER_SEAL_OVERHEAD || aad_len > PKI_SIGNER_AAD_MAX)
		return cp_signer_fail(-EMSGSIZE, "seal");
	rc = cp_signer_ask(s, &m, &c);
	if (rc == 0) {
		out = OPENSSL_malloc(m.a.len + 1); /* never NULL for an empty value */
		if (out == NULL)
			rc = -ENOMEM;
	}
	if (rc < 0)
		return cp_signer_done(s, c, rc);
	memcpy(out, m.a.p, m.a.len);
	*ret_out = out;
	*ret_len = m.a.len;
	return cp_signer_done(s, c, 0);
}

int cp_signer_seal(struct cp_signer *s, const void *plain, size_t len, const void *aad,
                   size_t aad_len, uint8_t **ret_sealed, size_t *ret_len)
{
	return seal(s, PKI_SIGNER_SEAL, plain, len, aad, aad_len, ret_sealed, ret_len);
}

int cp_signer_unseal(struct cp_signer *s, const void *sealed, size_t len, const void *aad,
                     size_t aad_len, uint8_t **ret_plain, size_t *ret_len)
{
	return seal(s, PKI_SIGNER_UNSEAL, sealed, len, aad, aad_len, ret_plain, ret_len);
}

void cp_signer_idents_free(struct cp_signer_ident *idents, unsigned cnt)
{
	for (unsigned i = 0; idents != NULL && i < cnt; i++) {
		X509_free(idents[i].cert);
		sk_X509_pop_free(idents[i].chain, X509_free);
	}
	free(idents);
}

static int take_ident(const struct pki_signer_msg *m, struct cp_signer_ident *id)
{
	int rc;

	if (strlen(m->name) >= sizeof(id->name))
		return cp_signer_fail(-EPROTO, "an identity of the signer");
	memcpy(id->name, m->name, strlen(m->name) + 1);
	rc = take_cert(&m->a, &id->cert);
	if (rc == 0)
		rc = take_chain(&m->b, &id->chain);
	if (rc < 0)
		return rc;
	snprintf(id->key, sizeof(id->key), "%s", pki_key_name(X509_get0_pubkey(id->cert)));
	id->hardware = (m->num2 & PKI_SIGNER_ID_HARDWARE) != 0;
	id->server = (m->num2 & PKI_SIGNER_ID_SERVER) != 0;
	id->csr_pending = (m->num2 & PKI_SIGNER_ID_PENDING) != 0;
	id->absent = (m->num2 & PKI_SIGNER_ID_ABSENT) != 0;
	return 0;
}

int cp_signer_idents(struct cp_signer *s, struct cp_signer_ident **ret, unsigned *ret_cnt)
{
	struct cp_signer_ident *ids = calloc(IDENTS_MAX, sizeof(*ids));
	uint32_t count = 1, i;
	int rc = ids != NULL ? 0 : -ENOMEM;

	for (i = 0; rc == 0 && i < count; i++) {
		struct pki_signer_msg m = {.type = PKI_SIGNER_IDENT, .num = i};
		struct cp_signer_conn *c = NULL;

		rc = cp_signer_ask(s, &m, &c);
		if (rc == 0 && (m.num == 0 || m.num > IDENTS_MAX))
			rc = cp_signer_fail(-EPROTO, "the signer's identities");
		if (rc == 0)
			rc = take_ident(&m, &ids[i]);
		/* One was retired meanwhile. Another that came in between is there twice or not yet: ask again. */
		if (rc == -ENOENT && i > 0) {
			cp_signer_done(s, c, 0);
			rc = 0;
			break;
		}
		count = m.num;
		cp_signer_done(s, c, rc);
	}
	if (rc < 0) {
		cp_signer_idents_free(ids, ids != NULL ? IDENTS_MAX : 0);
		return rc;
	}
	*ret = ids;
	*ret_cnt = i;
	return 0;
}

int cp_signer_regen(struct cp_signer *s, const char *name, const char *key, X509 **ret_cert)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_REGEN};
	struct cp_signer_conn *c = NULL;
	int rc = set_name(&m, name);

	if (rc < 0)
		return rc;
	if (key != NULL)
		m.a = (struct pki_blob){(const uint8_t *)key, strlen(key)};
	rc = cp_signer_ask_slow(s, &m, &c);
	return cp_signer_done(s, c, rc == 0 ? take_cert(&m.a, ret_cert) : rc);
}

int cp_signer_csr(struct cp_signer *s, const char *name, const char *key, X509_REQ **ret_csr)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_CSR};
	const unsigned char *p;
	struct cp_signer_conn *c = NULL;
	int rc = set_name(&m, name);

	if (rc < 0)
		return rc;
	if (key != NULL)
		m.a = (struct pki_blob){(const uint8_t *)key, strlen(key)};
	rc = cp_signer_ask_slow(s, &m, &c);
	if (rc == 0) {
		p = m.a.p;
		*ret_csr = d2i_X509_REQ(NULL, &p, (long)m.a.len);
		if (*ret_csr == NULL)
			rc = cp_signer_fail(-EPROTO, "a request from the signer");
	}
	return cp_signer_done(s, c, rc);
}

int cp_signer_import(struct cp_signer *s, const char *name, STACK_OF(X509) * chain)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_IMPORT};
	struct cp_signer_conn *c = NULL;
	uint8_t *der = NULL;
	size_t room = 0, len = 0;
	int rc = set_name(&m, name), n;

	if (rc < 0)
		return rc;
	for (int i = 0; i < sk_X509_num(chain); i++) {
		n = i2d_X509(sk_X509_value(chain, i), NULL);
		if (n <= 0)
			return cp_signer_fail(-EINVAL, "certificate chain");
		room += (size_t)n;
	}
	if (room == 0 || room > PKI_SIGNER_MSG_MAX - 1024)
		return cp_signer_fail(room == 0 ? -EINVAL : -EMSGSIZE, "certificate chain");
	der = OPENSSL_malloc(room);
	if (der == NULL)
		return cp_signer_fail(-ENOMEM, "certificate chain");
	for (int i = 0; i < sk_X509_num(chain); i++) {
		uint8_t *p = der + len;

		len += (size_t)i2d_X509(sk_X509_value(chain, i), &p);
	}
	m.a = (struct pki_blob){der, len};
	rc = cp_signer_ask(s, &m, &c);
	OPENSSL_free(der);
	return cp_signer_done(s, c, rc);
}

int cp_signer_retire(struct cp_signer *s, const char *name)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_RETIRE};
	struct cp_signer_conn *c = NULL;
	int rc = set_name(&m, name);

	if (rc < 0)
		return rc;
	rc = cp_signer_ask(s, &m, &c);
	return cp_signer_done(s, c, rc);
}

/* What does not fit into a message: a memfd that nobody can change once the signer looks at it. */
static int sealed_fd(const void *head, size_t head_len, const void *body, size_t body_len, int *ret_fd)
{
	int fd = memfd_create("ravelin-sign", MFD_CLOEXEC | MFD_ALLOW_SEALING), rc = 0;
	const struct iovec part[2] = {{(void *)(uintptr_t)head, head_len}, {(void *)(uintptr_t)body, body_len}};

	if (fd < 0)
		return cp_signer_fail(-errno, "memfd");
	for (int i = 0; i < 2 && rc == 0; i++)
		for (size_t at = 0; at < part[i].iov_len && rc == 0;) {
			ssize_t n = write(fd, (const uint8_t *)part[i].iov_base + at, part[i].iov_len - at);

			if (n > 0)
				at += (size_t)n;
			else if (errno != EINTR)
				rc = -errno;
		}
	if (rc == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		rc = -errno;
	if (rc < 0) {
		close(fd);
		return cp_signer_fail(rc, "memfd");
	}
	*ret_fd = fd;
	return 0;
}

int cp_signer_sign(struct cp_signer *s, enum cp_sign_kind kind, const char *ident, const void *head, size_t head_len,
		   const void *body, size_t body_len, uint8_t *sig, size_t *ret_len)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_SIGN, .num = kind};
	struct cp_signer_conn *c = NULL;
	int rc = set_name(&m, ident), fd = -1;

	if (rc < 0 || *ret_len < SIG_MAX)
		return rc < 0 ? rc : cp_signer_fail(-EINVAL, "no room for a signature");
	if (head_len + body_len <= PKI_SIGNER_MSG_MAX - 512) {
		m.a = (struct pki_blob){head, head_len};
		m.b = (struct pki_blob){body, body_len};
	} else {
		m.num2 = (uint32_t)head_len;
		rc = head_len > PKI_SIGNER_MSG_MAX ? cp_signer_fail(-EMSGSIZE, "header") : sealed_fd(head, head_len, body, body_len, &fd);
		if (rc < 0)
			return rc;
	}
	rc = cp_signer_ask_fd(s, &m, fd, cp_signer_timeout_ms(s), &c);
	if (fd >= 0)
		close(fd);
	if (rc == 0 && (m.a.len == 0 || m.a.len > SIG_MAX))
		rc = cp_signer_fail(-EPROTO, "a signature from the signer");
	if (rc == 0) {
		memcpy(sig, m.a.p, m.a.len);
		*ret_len = m.a.len;
	}
	return cp_signer_done(s, c, rc);
}

#define BACKUP_MAX (4 * 1024 * 1024)

int cp_signer_backup(struct cp_signer *s, const char *passphrase, uint8_t **ret_blob, size_t *ret_len,
		     uint8_t records_key[32])
{
	uint8_t *blob = NULL;
	size_t len = 0, total = 1;
	int rc = 0;

	while (rc == 0 && len < total) {
		struct pki_signer_msg m = {.type = PKI_SIGNER_BACKUP, .num = (uint32_t)len};
		struct cp_signer_conn *c = NULL;

		if (len == 0)
			m.a = (struct pki_blob){(const uint8_t *)passphrase, strlen(passphrase)};
		rc = cp_signer_ask_slow(s, &m, &c);
		if (rc == 0 && (m.a.len == 0 || m.num > BACKUP_MAX || len + m.a.len > m.num || (len == 0 && m.b.len != 32) ||
				(len > 0 && m.num != total)))
			rc = cp_signer_fail(-EPROTO, "a backup of the signer");
		if (rc == 0 && len == 0) {
			total = m.num;
			memcpy(records_key, m.b.p, 32);
			blob = OPENSSL_malloc(total);
			rc = blob != NULL ? 0 : cp_signer_fail(-ENOMEM, "backup");
		}
		if (rc == 0) {
			memcpy(blob + len, m.a.p, m.a.len);
			len += m.a.len;
		}
		cp_signer_done(s, c, rc);
	}
	if (rc < 0) {
		OPENSSL_free(blob);
		OPENSSL_cleanse(records_key, 32);
		return rc;
	}
	*ret_blob = blob;
	*ret_len = len;
	return 0;
}

#define CRL_MAX (16 * 1024 * 1024)

int cp_signer_crl(struct cp_signer *s, const char *issuer, const uint8_t *entries, size_t len, uint32_t number, uint32_t valid_min,
		  uint8_t **ret_der, size_t *ret_len)
{
	uint8_t *der = NULL;
	size_t have = 0, total = 1;
	int rc = 0;

	/* In pieces, that one call may take from another's list: then they do not fit together, and a parser will say so. */
	while (rc == 0 && have < total) {
		struct pki_signer_msg m = {.type = PKI_SIGNER_CRL, .num = have == 0 ? number : (uint32_t)have, .num2 = have == 0 ? valid_min : 0};
		struct cp_signer_conn *c = NULL;
		int fd = -1;

		rc = set_name(&m, issuer);
		if (rc == 0 && have == 0 && len > PKI_SIGNER_MSG_MAX - 512)
			rc = sealed_fd(entries, len, NULL, 0, &fd);
		else if (have == 0)
			m.a = (struct pki_blob){entries, len};
		if (rc < 0) {
			OPENSSL_free(der);
			return rc;
		}
		rc = cp_signer_ask_fd(s, &m, fd, cp_signer_timeout_ms(s), &c);
		if (fd >= 0)
			close(fd);
		if (rc == 0 && (m.a.len == 0 || m.num > CRL_MAX || have + m.a.len > m.num || (have > 0 && m.num != total)))
			rc = cp_signer_fail(-EPROTO, "a revocation list of the signer");
		if (rc == 0 && have == 0) {
			total = m.num;
			der = OPENSSL_malloc(total);
			rc = der != NULL ? 0 : cp_signer_fail(-ENOMEM, "revocation list");
		}
		if (rc == 0) {
			memcpy(der + have, m.a.p, m.a.len);
			have += m.a.len;
		}
		cp_signer_done(s, c, rc);
	}
	if (rc < 0) {
		OPENSSL_free(der);
		return rc;
	}
	*ret_der = der;
	*ret_len = have;
	return 0;
}

int cp_signer_ra(struct cp_signer *s, const char *name, unsigned op, unsigned caps, EVP_PKEY *pub, struct pki_blob ca, struct pki_blob what,
		 struct cp_signer_ra *ret)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_RA, .num = op, .num2 = caps, .b = ca, .c = what};
	unsigned char *der = NULL;
	struct cp_signer_conn *c = NULL;
	int len = pub != NULL ? i2d_PUBKEY(pub, &der) : 0, rc = set_name(&m, name);

	if (rc < 0 || len < 0) {
		OPENSSL_free(der);
		return -EINVAL;
	}
	m.a = (struct pki_blob){der, (size_t)len};
	*ret = (struct cp_signer_ra){.fail = -1};
	rc = op == PKI_RA_ENROL && pub == NULL ? cp_signer_ask_slow(s, &m, &c) : cp_signer_ask(s, &m, &c); /* makes a key */
	OPENSSL_free(der);
	if (rc == 0 && op == PKI_RA_OPEN) {
		rc = take_chain(&m.a, &ret->certs);
	} else if (rc == 0) {
		ret->data = OPENSSL_memdup(m.a.p, m.a.len);
		ret->len = m.a.len;
		rc = ret->data == NULL ? -ENOMEM : m.b.len != sizeof(ret->nonce) ? cp_signer_fail(-EPROTO, "the signer's message") : 0;
		if (rc == 0)
			memcpy(ret->nonce, m.b.p, sizeof(ret->nonce));
	}
	if (rc == 0) {
		ret->status = m.num;
		ret->fail = (int)m.num2 - 1;
		snprintf(ret->text, sizeof(ret->text), "%s", m.name);
	} else {
		cp_signer_ra_free(ret);
	}
	return cp_signer_done(s, c, rc);
}

void cp_signer_ra_free(struct cp_signer_ra *r)
{
	OPENSSL_free(r->data);
	sk_X509_pop_free(r->certs, X509_free);
	*r = (struct cp_signer_ra){0};
}
