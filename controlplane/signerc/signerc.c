/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>

#include "signer.h"
#include "signerc/signerc.h"
#include "x509.h"

#define TRUST_MAX 1024 /* CAs that are taken from the signer */

#define IDENTS_MAX 64
#define SIG_MAX    512
#define CONNS     8 /* calls at once; the signer takes 16 clients */
#define SLOW_MS   120000 /* for what makes a key or stretches a passphrase */

struct conn {
	int fd; /* -1: not connected */
	bool busy;
	uint32_t seq;
	size_t used;                     /* bytes of buf to be wiped */
	uint8_t buf[PKI_SIGNER_MSG_MAX]; /* request, then reply; wiped after each call */
};

struct cp_signer {
	pthread_mutex_t lock; /* guards 'busy' and which connections there are */
	pthread_cond_t freed;
	struct sockaddr_un addr;
	unsigned timeout_ms;
	struct conn *conn[CONNS]; /* NULL: not needed yet */
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

static void disconnect(struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
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

static int transact(struct conn *c, struct pki_signer_msg *m, int pass_fd, int64_t deadline_ms);

/* Connect, check whose socket it is, greet. */
static int reconnect(struct cp_signer *s, struct conn *c, int64_t deadline_ms)
{
	struct pki_signer_msg hello = {.type = PKI_SIGNER_HELLO};
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int rc = 0;

	disconnect(c);
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return fail(-errno, "signer socket");
	if (connect(c->fd, (const struct sockaddr *)&s->addr, sizeof(s->addr)) < 0)
		rc = fail(-errno, s->addr.sun_path); /* EAGAIN: its queue is full */
	else if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		rc = fail(-errno, s->addr.sun_path);
	else if (cred.uid != geteuid() && cred.uid != 0)
		rc = fail(-EACCES, "the signer's socket is another user's");
	if (rc == 0)
		rc = transact(c, &hello, -1, deadline_ms);
	if (rc < 0)
		disconnect(c);
	return rc;
}

static int send_request(struct conn *c, size_t len, int pass_fd)
{
	struct iovec iov = {c->buf, len};
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cmsg;
	ssize_t n;

	if (pass_fd >= 0) {
		msg.msg_control = &ctl;
		msg.msg_controllen = sizeof(ctl);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &pass_fd, sizeof(int));
	}
	n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	return n == (ssize_t)len ? 0 : n < 0 ? -errno : -EIO;
}

/* Send one request and take its reply; 'm' becomes the reply, its blobs lie in c->buf. */
static int transact(struct conn *c, struct pki_signer_msg *m, int pass_fd, int64_t deadline_ms)
{
	struct iovec iov = {c->buf, sizeof(c->buf)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	uint16_t type = m->type;
	ssize_t n;
	int rc, len;

	m->seq = ++c->seq;
	len = pki_signer_build(m, c->buf, sizeof(c->buf));
	if (len < 0)
		return fail(len, "request");
	rc = await(c->fd, POLLOUT, deadline_ms);
	if (rc == 0)
		rc = send_request(c, (size_t)len, pass_fd);
	OPENSSL_cleanse(c->buf, (size_t)len);
	if (rc == 0)
		rc = await(c->fd, POLLIN, deadline_ms);
	if (rc < 0) {
		disconnect(c); /* an answer that comes later must not meet another question */
		return fail(rc, "signer");
	}
	n = recvmsg(c->fd, &msg, MSG_DONTWAIT);
	if (n <= 0) {
		rc = n < 0 ? -errno : -ECONNRESET;
		disconnect(c);
		return fail(rc, "signer");
	}
	c->used = (size_t)n;
	rc = (msg.msg_flags & MSG_TRUNC) != 0 ? -EPROTO : pki_signer_parse(c->buf, (size_t)n, m);
	if (rc < 0 || !m->reply || m->seq != c->seq || (m->rc == 0 && m->type != type)) {
		disconnect(c);
		return fail(-EPROTO, "the signer's answer makes no sense");
	}
	if (m->rc < 0) {
		snprintf(last_error, sizeof(last_error), "the signer refused: %s", m->name);
		return m->rc;
	}
	return 0;
}

/* A connection that nobody uses, best one that is connected. NULL: no memory. */
static struct conn *take(struct cp_signer *s)
{
	struct conn *c = NULL;

	pthread_mutex_lock(&s->lock);
	while (c == NULL) {
		for (int i = 0; i < CONNS && c == NULL; i++) {
			if (s->conn[i] == NULL) {
				s->conn[i] = calloc(1, sizeof(*s->conn[i]));
				if (s->conn[i] == NULL)
					break;
				s->conn[i]->fd = -1;
			}
			if (!s->conn[i]->busy)
				c = s->conn[i];
		}
		if (c == NULL && s->conn[0] == NULL)
			break;
		if (c == NULL)
			pthread_cond_wait(&s->freed, &s->lock);
	}
	if (c != NULL)
		c->busy = true;
	pthread_mutex_unlock(&s->lock);
	return c;
}

/* Give it back, wiped. */
static int done(struct cp_signer *s, struct conn *c, int rc)
{
	ERR_clear_error();
	if (c == NULL)
		return rc;
	OPENSSL_cleanse(c->buf, c->used);
	c->used = 0;
	pthread_mutex_lock(&s->lock);
	c->busy = false;
	pthread_cond_signal(&s->freed);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/*
 * Take a connection and make the request. Whatever comes back, done() must follow. A connection that is
 * found closed before the request is sent is made again; after that nothing is repeated.
 */
static int ask_fd(struct cp_signer *s, struct pki_signer_msg *m, int pass_fd, unsigned timeout_ms, struct conn **ret_conn)
{
	struct conn *c = take(s);
	int64_t deadline_ms;
	struct pollfd pfd;
	int rc = 0;

	last_error[0] = '\0';
	*ret_conn = c;
	if (c == NULL)
		return fail(-ENOMEM, "signer");
	deadline_ms = now_ms() + timeout_ms;
	pfd = (struct pollfd){.fd = c->fd, .events = POLLIN};
	/* Nothing is due: readable means that the signer went away. */
	if (c->fd < 0 || poll(&pfd, 1, 0) != 0)
		rc = reconnect(s, c, deadline_ms);
	return rc == 0 ? transact(c, m, pass_fd, deadline_ms) : rc;
}

static int ask(struct cp_signer *s, struct pki_signer_msg *m, struct conn **ret_conn)
{
	return ask_fd(s, m, -1, s->timeout_ms, ret_conn);
}

static int ask_slow(struct cp_signer *s, struct pki_signer_msg *m, struct conn **ret_conn)
{
	return ask_fd(s, m, -1, s->timeout_ms > SLOW_MS ? s->timeout_ms : SLOW_MS, ret_conn);
}

int cp_signer_open(const char *run_dir, unsigned timeout_ms, struct cp_signer **ret_signer)
{
	struct cp_signer *s = calloc(1, sizeof(*s));
	struct conn *c;
	int rc;

	if (s == NULL)
		return fail(-ENOMEM, "signer");
	s->timeout_ms = timeout_ms;
	s->addr.sun_family = AF_UNIX;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->freed, NULL);
	if (snprintf(s->addr.sun_path, sizeof(s->addr.sun_path), "%s/signer.sock", run_dir) >=
	    (int)sizeof(s->addr.sun_path)) {
		rc = fail(-ENAMETOOLONG, run_dir);
	} else if ((c = take(s)) == NULL) {
		rc = fail(-ENOMEM, "signer");
	} else {
		rc = reconnect(s, c, now_ms() + timeout_ms);
		done(s, c, rc);
	}
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
	for (int i = 0; i < CONNS && s->conn[i] != NULL; i++) {
		disconnect(s->conn[i]);
		OPENSSL_cleanse(s->conn[i]->buf, sizeof(s->conn[i]->buf));
		free(s->conn[i]);
	}
	pthread_cond_destroy(&s->freed);
	pthread_mutex_destroy(&s->lock);
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
			return fail(-EPROTO, "a certificate chain from the signer");
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
		return fail(-EPROTO, "a key from the signer");
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
	struct conn *c = NULL;
	X509 *cert = NULL;
	int rc = set_name(&m, role);

	if (rc < 0)
		return rc;
	rc = ask(s, &m, &c);
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
		return done(s, c, 0);
	}
	EVP_PKEY_free(key);
	X509_free(cert);
	return done(s, c, rc);
}

int cp_signer_trust(struct cp_signer *s, STACK_OF(X509) * *ret_cas)
{
	STACK_OF(X509) *cas = sk_X509_new_null();
	uint32_t count = 1;
	int rc = cas != NULL ? 0 : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < count; i++) {
		struct pki_signer_msg m = {.type = PKI_SIGNER_TRUST, .num = i};
		struct conn *c = NULL;
		X509 *cert = NULL;

		rc = ask(s, &m, &c);
		if (rc == 0)
			rc = take_cert(&m.a, &cert);
		if (rc == 0 && (m.num == 0 || m.num > TRUST_MAX))
			rc = fail(-EPROTO, "the signer's trust list");
		if (rc == 0 && sk_X509_push(cas, cert) <= 0)
			rc = -ENOMEM;
		if (rc < 0)
			X509_free(cert);
		count = m.num;
		done(s, c, rc);
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
	struct conn *c = NULL;
	X509 *server = NULL, *capf = NULL;
	int rc = ask(s, &m, &c);

	if (rc == 0)
		rc = take_cert(&m.a, &server);
	if (rc == 0)
		rc = take_cert(&m.b, &capf);
	if (rc < 0) {
		X509_free(server);
		return done(s, c, rc);
	}
	*ret_server_ca = server;
	*ret_capf_ca = capf;
	return done(s, c, 0);
}

static int lsc(struct cp_signer *s, const char *device, struct pki_blob csr, struct pki_blob pub,
               X509 **ret_cert)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_LSC, .a = csr, .b = pub};
	struct conn *c = NULL;
	int rc = set_name(&m, device);

	if (rc < 0)
		return rc;
	rc = ask(s, &m, &c);
	return done(s, c, rc == 0 ? take_cert(&m.a, ret_cert) : rc);
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
	struct conn *c = NULL;
	X509 *cert = NULL, *ca = NULL;
	EVP_PKEY *key = NULL;
	int rc = set_name(&m, device);

	if (rc < 0)
		return rc;
	rc = ask(s, &m, &c);
	if (rc == 0)
		rc = take_cert(&m.b, &cert);
	if (rc == 0)
		rc = take_cert(&m.c, &ca);
	if (rc == 0)
		rc = take_key(&m.a, cert, &key);
	if (rc < 0) {
		X509_free(cert);
		X509_free(ca);
		return done(s, c, rc);
	}
	*ret_key = key;
	*ret_cert = cert;
	*ret_capf_ca = ca;
	return done(s, c, 0);
}

static int seal(struct cp_signer *s, uint16_t type, const void *in, size_t len, const void *aad,
                size_t aad_len, uint8_t **ret_out, size_t *ret_len)
{
	struct pki_signer_msg m = {.type = type, .a = {in, len}, .b = {aad, aad_len}};
	struct conn *c = NULL;
	uint8_t *out = NULL;
	int rc;

	if (len > PKI_SIGNER_SEAL_MAX + PKI_SIGNER_SEAL_OVERHEAD || aad_len > PKI_SIGNER_AAD_MAX)
		return fail(-EMSGSIZE, "seal");
	rc = ask(s, &m, &c);
	if (rc == 0) {
		out = OPENSSL_malloc(m.a.len + 1); /* never NULL for an empty value */
		if (out == NULL)
			rc = -ENOMEM;
	}
	if (rc < 0)
		return done(s, c, rc);
	memcpy(out, m.a.p, m.a.len);
	*ret_out = out;
	*ret_len = m.a.len;
	return done(s, c, 0);
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
		return fail(-EPROTO, "an identity of the signer");
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
		struct conn *c = NULL;

		rc = ask(s, &m, &c);
		if (rc == 0 && (m.num == 0 || m.num > IDENTS_MAX))
			rc = fail(-EPROTO, "the signer's identities");
		if (rc == 0)
			rc = take_ident(&m, &ids[i]);
		/* One was retired meanwhile. Another that came in between is there twice or not yet: ask again. */
		if (rc == -ENOENT && i > 0) {
			done(s, c, 0);
			rc = 0;
			break;
		}
		count = m.num;
		done(s, c, rc);
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
	struct conn *c = NULL;
	int rc = set_name(&m, name);

	if (rc < 0)
		return rc;
	if (key != NULL)
		m.a = (struct pki_blob){(const uint8_t *)key, strlen(key)};
	rc = ask_slow(s, &m, &c);
	return done(s, c, rc == 0 ? take_cert(&m.a, ret_cert) : rc);
}

int cp_signer_csr(struct cp_signer *s, const char *name, const char *key, X509_REQ **ret_csr)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_CSR};
	const unsigned char *p;
	struct conn *c = NULL;
	int rc = set_name(&m, name);

	if (rc < 0)
		return rc;
	if (key != NULL)
		m.a = (struct pki_blob){(const uint8_t *)key, strlen(key)};
	rc = ask_slow(s, &m, &c);
	if (rc == 0) {
		p = m.a.p;
		*ret_csr = d2i_X509_REQ(NULL, &p, (long)m.a.len);
		if (*ret_csr == NULL)
			rc = fail(-EPROTO, "a request from the signer");
	}
	return done(s, c, rc);
}

int cp_signer_import(struct cp_signer *s, const char *name, STACK_OF(X509) * chain)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_IMPORT};
	struct conn *c = NULL;
	uint8_t *der = NULL;
	size_t room = 0, len = 0;
	int rc = set_name(&m, name), n;

	if (rc < 0)
		return rc;
	for (int i = 0; i < sk_X509_num(chain); i++) {
		n = i2d_X509(sk_X509_value(chain, i), NULL);
		if (n <= 0)
			return fail(-EINVAL, "certificate chain");
		room += (size_t)n;
	}
	if (room == 0 || room > PKI_SIGNER_MSG_MAX - 1024)
		return fail(room == 0 ? -EINVAL : -EMSGSIZE, "certificate chain");
	der = OPENSSL_malloc(room);
	if (der == NULL)
		return fail(-ENOMEM, "certificate chain");
	for (int i = 0; i < sk_X509_num(chain); i++) {
		uint8_t *p = der + len;

		len += (size_t)i2d_X509(sk_X509_value(chain, i), &p);
	}
	m.a = (struct pki_blob){der, len};
	rc = ask(s, &m, &c);
	OPENSSL_free(der);
	return done(s, c, rc);
}

int cp_signer_retire(struct cp_signer *s, const char *name)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_RETIRE};
	struct conn *c = NULL;
	int rc = set_name(&m, name);

	if (rc < 0)
		return rc;
	rc = ask(s, &m, &c);
	return done(s, c, rc);
}

/* What does not fit into a message: a memfd that nobody can change once the signer looks at it. */
static int sealed_fd(const void *head, size_t head_len, const void *body, size_t body_len, int *ret_fd)
{
	int fd = memfd_create("ravelin-sign", MFD_CLOEXEC | MFD_ALLOW_SEALING), rc = 0;
	const struct iovec part[2] = {{(void *)(uintptr_t)head, head_len}, {(void *)(uintptr_t)body, body_len}};

	if (fd < 0)
		return fail(-errno, "memfd");
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
		return fail(rc, "memfd");
	}
	*ret_fd = fd;
	return 0;
}

int cp_signer_sign(struct cp_signer *s, enum cp_sign_kind kind, const char *ident, const void *head, size_t head_len,
		   const void *body, size_t body_len, uint8_t *sig, size_t *ret_len)
{
	struct pki_signer_msg m = {.type = PKI_SIGNER_SIGN, .num = kind};
	struct conn *c = NULL;
	int rc = set_name(&m, ident), fd = -1;

	if (rc < 0 || *ret_len < SIG_MAX)
		return rc < 0 ? rc : fail(-EINVAL, "no room for a signature");
	if (head_len + body_len <= PKI_SIGNER_MSG_MAX - 512) {
		m.a = (struct pki_blob){head, head_len};
		m.b = (struct pki_blob){body, body_len};
	} else {
		m.num2 = (uint32_t)head_len;
		rc = head_len > PKI_SIGNER_MSG_MAX ? fail(-EMSGSIZE, "header") : sealed_fd(head, head_len, body, body_len, &fd);
		if (rc < 0)
			return rc;
	}
	rc = ask_fd(s, &m, fd, s->timeout_ms, &c);
	if (fd >= 0)
		close(fd);
	if (rc == 0 && (m.a.len == 0 || m.a.len > SIG_MAX))
		rc = fail(-EPROTO, "a signature from the signer");
	if (rc == 0) {
		memcpy(sig, m.a.p, m.a.len);
		*ret_len = m.a.len;
	}
	return done(s, c, rc);
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
		struct conn *c = NULL;

		if (len == 0)
			m.a = (struct pki_blob){(const uint8_t *)passphrase, strlen(passphrase)};
		rc = ask_slow(s, &m, &c);
		if (rc == 0 && (m.a.len == 0 || m.num > BACKUP_MAX || len + m.a.len > m.num || (len == 0 && m.b.len != 32) ||
				(len > 0 && m.num != total)))
			rc = fail(-EPROTO, "a backup of the signer");
		if (rc == 0 && len == 0) {
			total = m.num;
			memcpy(records_key, m.b.p, 32);
			blob = OPENSSL_malloc(total);
			rc = blob != NULL ? 0 : fail(-ENOMEM, "backup");
		}
		if (rc == 0) {
			memcpy(blob + len, m.a.p, m.a.len);
			len += m.a.len;
		}
		done(s, c, rc);
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
		struct conn *c = NULL;
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
		rc = ask_fd(s, &m, fd, s->timeout_ms, &c);
		if (fd >= 0)
			close(fd);
		if (rc == 0 && (m.a.len == 0 || m.num > CRL_MAX || have + m.a.len > m.num || (have > 0 && m.num != total)))
			rc = fail(-EPROTO, "a revocation list of the signer");
		if (rc == 0 && have == 0) {
			total = m.num;
			der = OPENSSL_malloc(total);
			rc = der != NULL ? 0 : fail(-ENOMEM, "revocation list");
		}
		if (rc == 0) {
			memcpy(der + have, m.a.p, m.a.len);
			have += m.a.len;
		}
		done(s, c, rc);
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
	struct conn *c = NULL;
	int len = pub != NULL ? i2d_PUBKEY(pub, &der) : 0, rc = set_name(&m, name);

	if (rc < 0 || len < 0) {
		OPENSSL_free(der);
		return -EINVAL;
	}
	m.a = (struct pki_blob){der, (size_t)len};
	*ret = (struct cp_signer_ra){.fail = -1};
	rc = op == PKI_RA_ENROL && pub == NULL ? ask_slow(s, &m, &c) : ask(s, &m, &c); /* makes a key */
	OPENSSL_free(der);
	if (rc == 0 && op == PKI_RA_OPEN) {
		rc = take_chain(&m.a, &ret->certs);
	} else if (rc == 0) {
		ret->data = OPENSSL_memdup(m.a.p, m.a.len);
		ret->len = m.a.len;
		rc = ret->data == NULL ? -ENOMEM : m.b.len != sizeof(ret->nonce) ? fail(-EPROTO, "the signer's message") : 0;
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
	return done(s, c, rc);
}

void cp_signer_ra_free(struct cp_signer_ra *r)
{
	OPENSSL_free(r->data);
	sk_X509_pop_free(r->certs, X509_free);
	*r = (struct cp_signer_ra){0};
}
