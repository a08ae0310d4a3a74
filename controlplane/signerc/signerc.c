/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>

#include "signer.h"
#include "signerc/signerc.h"
#include "x509.h"

#define TRUST_MAX 1024 /* CAs that are taken from the signer */

struct cp_signer {
	pthread_mutex_t lock; /* guards all below: one call at a time */
	struct sockaddr_un addr;
	unsigned timeout_ms;
	int fd; /* -1: not connected */
	uint32_t seq;
	uint8_t buf[PKI_SIGNER_MSG_MAX]; /* request, then reply; wiped after each call */
};

static _Thread_local char last_error[160];

const char *cp_signer_error(const struct cp_signer *s)
{
	(void)s;
	return last_error;
}

static int fail(int rc, const char *what)
{
	snprintf(last_error, sizeof(last_error), "%s: %s", what, strerror(-rc));
	return rc;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void disconnect(struct cp_signer *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/* Wait until 'events' or the deadline. */
static int await(int fd, short events, int64_t deadline_ms)
{
	struct pollfd pfd = {.fd = fd, .events = events};

	for (;;) {
		int64_t left = deadline_ms - now_ms();
		int n = poll(&pfd, 1, left > 0 ? (int)left : 0);

		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int transact(struct cp_signer *s, struct pki_signer_msg *m, int64_t deadline_ms);

/* Connect, check whose socket it is, greet. */
static int reconnect(struct cp_signer *s, int64_t deadline_ms)
{
	struct pki_signer_msg hello = {.type = PKI_SIGNER_HELLO};
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int rc = 0;

	disconnect(s);
	s->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return fail(-errno, "signer socket");
	if (connect(s->fd, (const struct sockaddr *)&s->addr, sizeof(s->addr)) < 0)
		rc = fail(-errno, s->addr.sun_path); /* EAGAIN: its queue is full */
	else if (getsockopt(s->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		rc = fail(-errno, s->addr.sun_path);
	else if (cred.uid != geteuid() && cred.uid != 0)
		rc = fail(-EACCES, "the signer's socket is another user's");
	if (rc == 0)
		rc = transact(s, &hello, deadline_ms);
	if (rc < 0)
		disconnect(s);
	return rc;
}

/* Send one request and take its reply; 'm' becomes the reply, its blobs lie in s->buf. */
static int transact(struct cp_signer *s, struct pki_signer_msg *m, int64_t deadline_ms)
{
	struct iovec iov = {s->buf, sizeof(s->buf)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	uint16_t type = m->type;
	ssize_t n;
	int rc, len;

	m->seq = ++s->seq;
	len = pki_signer_build(m, s->buf, sizeof(s->buf));
	if (len < 0)
		return fail(len, "request");
	rc = await(s->fd, POLLOUT, deadline_ms);
	if (rc == 0 && send(s->fd, s->buf, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) != len)
		rc = errno != 0 ? -errno : -EIO;
	OPENSSL_cleanse(s->buf, (size_t)len);
	if (rc == 0)
		rc = await(s->fd, POLLIN, deadline_ms);
	if (rc < 0) {
		disconnect(s); /* an answer that comes later must not meet another question */
		return fail(rc, "signer");
	}
	n = recvmsg(s->fd, &msg, MSG_DONTWAIT);
	if (n <= 0) {
		rc = n < 0 ? -errno : -ECONNRESET;
		disconnect(s);
		return fail(rc, "signer");
	}
	rc = (msg.msg_flags & MSG_TRUNC) != 0 ? -EPROTO : pki_signer_parse(s->buf, (size_t)n, m);
	if (rc < 0 || !m->reply || m->seq != s->seq || (m->rc == 0 && m->type != type)) {
		disconnect(s);
		return fail(-EPROTO, "the signer's answer makes no sense");
	}
	if (m->rc < 0) {
		snprintf(last_error, sizeof(last_error), "the signer refused: %s", m->name);
		return m->rc;
	}
	return 0;
}

/*
 * Take the lock and make the request. Whatever comes back, done() must follow. A connection that is
 * found closed before the request is sent is made again; after that nothing is repeated.
 */
static int ask(struct cp_signer *s, struct pki_signer_msg *m)
{
	int64_t deadline_ms;
	struct pollfd pfd;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	last_error[0] = '\0';
	deadline_ms = now_ms() + s->timeout_ms;
	pfd = (struct pollfd){.fd = s->fd, .events = POLLIN};
	/* Nothing is due: readable means that the signer went away. */
	if (s->fd < 0 || poll(&pfd, 1, 0) != 0)
		rc = reconnect(s, deadline_ms);
	return rc == 0 ? transact(s, m, deadline_ms) : rc;
}

static int done(struct cp_signer *s, int rc)
{
	OPENSSL_cleanse(s->buf, sizeof(s->buf));
	pthread_mutex_unlock(&s->lock);
	ERR_clear_error();
	return rc;
}

int cp_signer_open(const char *run_dir, unsigned timeout_ms, struct cp_signer **ret_signer)
{
	struct cp_signer *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return fail(-ENOMEM, "signer");
	s->fd = -1;
	s->timeout_ms = timeout_ms;
	s->addr.sun_family = AF_UNIX;
	pthread_mutex_init(&s->lock, NULL);
	if (snprintf(s->addr.sun_path, sizeof(s->addr.sun_path), "%s/signer.sock", run_dir) >=
	    (int)sizeof(s->addr.sun_path))
		rc = fail(-ENAMETOOLONG, run_dir);
	else
		rc = reconnect(s, now_ms() + timeout_ms);
	if (rc < 0) {
		cp_signer_close(s);
		return rc;
	}
	*ret_signer = s;
	return 0;
}

void cp_signer_close(struct cp_signer *s)
{
	if (s == NULL)
		return;
	disconnect(s);
	pthread_mutex_destroy(&s->lock);
	OPENSSL_cleanse(s->buf, sizeof(s->buf));
	free(s);
}

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
	               : fail(-EPROTO, "a certificate from the signer");
}

static int take_key(const struct pki_blob *b, X509 *cert, EVP_PKEY **ret_key)
{
	const unsigned char *p = b->p;
	PKCS8_PRIV_KEY_INFO *p8 = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)b->len);
	EVP_PKEY *key = p8 != NULL ? EVP_PKCS82PKEY(p8) : NULL;

	PKCS8_PRIV_KEY_INFO_free(p8);
	if (key == NULL || X509_check_private_key(cert, key) != 1) {
		EVP_PKEY_free(key);
		return fail(-EPROTO, "a key from the signer");
	}
	*ret_key = key;
	return 0;
}

int cp_signer_server_identity(struct cp_signer *s, const char *role, EVP_PKEY **ret_key,
                              X509 **ret_cert, STACK_OF(X509) * *ret_chain)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_SERVER};
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *cert = NULL, *ca = NULL;
	EVP_PKEY *key = NULL;
	int rc = set_name(&m, role);

	if (rc == 0 && chain == NULL)
		rc = -ENOMEM;
	if (rc < 0) {
		sk_X509_free(chain);
		return rc;
	}
	rc = ask(s, &m);
	if (rc == 0)
		rc = take_cert(&m.b, &cert);
	if (rc == 0)
		rc = take_key(&m.a, cert, &key);
	if (rc == 0)
		rc = take_cert(&m.c, &ca);
	if (rc == 0 && sk_X509_push(chain, ca) <= 0)
		rc = -ENOMEM;
	if (rc == 0) {
		*ret_key = key;
		*ret_cert = cert;
		*ret_chain = chain;
		return done(s, 0);
	}
	EVP_PKEY_free(key);
	X509_free(cert);
	X509_free(ca);
	sk_X509_free(chain);
	return done(s, rc);
}

int cp_signer_trust(struct cp_signer *s, STACK_OF(X509) * *ret_cas)
{
	STACK_OF(X509) *cas = sk_X509_new_null();
	uint32_t count = 1;
	int rc = cas != NULL ? 0 : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < count; i++) {
		struct pki_signer_msg m = {.type = PKI_SIGNER_TRUST, .num = i};
		X509 *cert = NULL;

		rc = ask(s, &m);
		if (rc == 0)
			rc = take_cert(&m.a, &cert);
		if (rc == 0 && (m.num == 0 || m.num > TRUST_MAX))
			rc = fail(-EPROTO, "the signer's trust list");
		if (rc == 0 && sk_X509_push(cas, cert) <= 0)
			rc = -ENOMEM;
		if (rc < 0)
			X509_free(cert);
		count = m.num;
		done(s, rc);
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
	X509 *server = NULL, *capf = NULL;
	int rc = ask(s, &m);

	if (rc == 0)
		rc = take_cert(&m.a, &server);
	if (rc == 0)
		rc = take_cert(&m.b, &capf);
	if (rc < 0) {
		X509_free(server);
		return done(s, rc);
	}
	*ret_server_ca = server;
	*ret_capf_ca = capf;
	return done(s, 0);
}

static int lsc(struct cp_signer *s, const char *device, struct pki_blob csr, struct pki_blob pub,
               X509 **ret_cert)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_LSC, .a = csr, .b = pub};
	int rc = set_name(&m, device);

	if (rc < 0)
		return rc;
	rc = ask(s, &m);
	return done(s, rc == 0 ? take_cert(&m.a, ret_cert) : rc);
}

int cp_signer_lsc_issue(struct cp_signer *s, const char *device, EVP_PKEY *pub, X509 **ret_cert)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(pub, &der), rc;

	if (len <= 0)
		return -EINVAL;
	rc = lsc(s, device, (struct pki_blob){0}, (struct pki_blob){der, (size_t)len}, ret_cert);
	OPENSSL_free(der);
	return rc;
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
	X509 *cert = NULL, *ca = NULL;
	EVP_PKEY *key = NULL;
	int rc = set_name(&m, device);

	if (rc < 0)
		return rc;
	rc = ask(s, &m);
	if (rc == 0)
		rc = take_cert(&m.b, &cert);
	if (rc == 0)
		rc = take_cert(&m.c, &ca);
	if (rc == 0)
		rc = take_key(&m.a, cert, &key);
	if (rc < 0) {
		X509_free(cert);
		X509_free(ca);
		return done(s, rc);
	}
	*ret_key = key;
	*ret_cert = cert;
	*ret_capf_ca = ca;
	return done(s, 0);
}

static int seal(struct cp_signer *s, uint16_t type, const void *in, size_t len, const void *aad,
                size_t aad_len, uint8_t **ret_out, size_t *ret_len)
{
	struct pki_signer_msg m = {.type = type, .a = {in, len}, .b = {aad, aad_len}};
	uint8_t *out = NULL;
	int rc;

	if (len > PKI_SIGNER_SEAL_MAX + PKI_SIGNER_SEAL_OVERHEAD || aad_len > PKI_SIGNER_AAD_MAX)
		return fail(-EMSGSIZE, "seal");
	rc = ask(s, &m);
	if (rc == 0) {
		out = OPENSSL_malloc(m.a.len + 1); /* never NULL for an empty value */
		if (out == NULL)
			rc = -ENOMEM;
	}
	if (rc < 0)
		return done(s, rc);
	memcpy(out, m.a.p, m.a.len);
	*ret_out = out;
	*ret_len = m.a.len;
	return done(s, 0);
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
