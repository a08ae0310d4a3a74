/* SPDX-License-Identifier: BSD-3-Clause */
#include "peercert.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "why.h"

#define SLICE_MS 100 /* how soon 'stop' is seen */

/* Issued by itself, and its signature says so. 0: no; 1: yes; -EBADMSG: it says so and its signature is wrong. */
static int own_issuer(X509 *cert)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);

	if (X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) != 0)
		return 0;
	return key != NULL && X509_verify(cert, key) == 1 ? 1 : -EBADMSG;
}

static int take(STACK_OF(X509) *chain, char *why, size_t size)
{
	int n = chain != NULL ? sk_X509_num(chain) : 0, self;
	X509 *leaf, *issuer;

	if (n == 0)
		return cfg_no(why, size, -ENOENT, "it shows no certificate");
	leaf = sk_X509_value(chain, 0);
	self = own_issuer(leaf);
	if (self < 0)
		return cfg_no(why, size, -EBADMSG, "its certificate calls itself self-signed, and its signature is wrong");
	if (n == 1)
		return 0;
	if (self == 1)
		return cfg_no(why, size, -EMLINK, "it shows a self-signed certificate and %d more that have no part in it", n - 1);
	issuer = sk_X509_value(chain, 1);
	if (n > 2)
		return cfg_no(why, size, -EMLINK, "it shows a chain of %d certificates: one of one issuer is taken, its root", n);
	if (X509_NAME_cmp(X509_get_issuer_name(leaf), X509_get_subject_name(issuer)) != 0)
		return cfg_no(why, size, -EMLINK, "it shows a second certificate that is not its issuer's");
	if (X509_get0_pubkey(issuer) == NULL || X509_verify(leaf, X509_get0_pubkey(issuer)) != 1)
		return cfg_no(why, size, -EBADMSG, "its certificate is not signed by the issuer that it shows");
	self = own_issuer(issuer);
	if (self < 0)
		return cfg_no(why, size, -EBADMSG, "its issuer's certificate calls itself self-signed, and its signature is wrong");
	return self == 1 ? 0 : cfg_no(why, size, -EMLINK, "its issuer was itself issued by another: a chain of one issuer only is taken");
}

int cp_peercert_take(STACK_OF(X509) *chain, X509 **ret_cert, X509 **ret_issuer, char *why, size_t size)
{
	int rc = take(chain, why, size);

	ERR_clear_error();
	if (rc < 0)
		return rc;
	*ret_cert = sk_X509_value(chain, 0);
	X509_up_ref(*ret_cert);
	*ret_issuer = sk_X509_num(chain) > 1 ? sk_X509_value(chain, 1) : NULL;
	if (*ret_issuer != NULL)
		X509_up_ref(*ret_issuer);
	return 0;
}

struct call {
	const struct cfg_addr *to;
	const atomic_bool *stop;
	int64_t end_ms;
	unsigned timeout_ms;
	char peer[80];
	char *why;
	size_t size;
	int fd;
};

/* Until the socket is ready for 'events'. 0, -ETIMEDOUT, -ECANCELED. */
static int ready(const struct call *c, short events)
{
	for (;;) {
		struct pollfd p = {.fd = c->fd, .events = events};
		int64_t left = c->end_ms - (int64_t)cp_mono_ms();
		int n;

		if (c->stop != NULL && atomic_load(c->stop))
			return cfg_no(c->why, c->size, -ECANCELED, "the appliance stops");
		if (left <= 0)
			return -ETIMEDOUT;
		n = poll(&p, 1, left > SLICE_MS ? SLICE_MS : (int)left);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return cfg_no(c->why, c->size, -errno, "poll: %s", strerror(errno));
	}
}

static int reach(struct call *c)
{
	const struct cfg_addr *a = c->to;
	struct sockaddr_in6 s6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
	struct sockaddr_in s4 = {.sin_family = AF_INET, .sin_port = htons(a->port)};
	bool v6 = a->family == 6;
	socklen_t len = sizeof(int);
	int err = 0, rc;

	memcpy(&s6.sin6_addr, a->ip, 16);
	memcpy(&s4.sin_addr, a->ip, 4);
	c->fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return cfg_no(c->why, c->size, -errno, "no socket: %s", strerror(errno));
	rc = v6 ? connect(c->fd, (struct sockaddr *)&s6, sizeof(s6)) : connect(c->fd, (struct sockaddr *)&s4, sizeof(s4));
	if (rc < 0 && errno != EINPROGRESS) {
		err = errno;
	} else if (rc < 0) {
		rc = ready(c, POLLOUT);
		if (rc == -ETIMEDOUT)
			return cfg_no(c->why, c->size, rc, "%s does not answer within %u s: is it the gateway's address?", c->peer,
				      c->timeout_ms / 1000);
		if (rc < 0)
			return rc;
		if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
			err = errno;
	}
	if (err == ECONNREFUSED)
		return cfg_no(c->why, c->size, -ECONNREFUSED,
			      "%s refuses: is the gateway's credential service enabled, and its port the same on both sides?", c->peer);
	return err == 0 ? 0 : cfg_no(c->why, c->size, -EHOSTUNREACH, "%s cannot be reached: %s", c->peer, strerror(err));
}

/*
 * Old gateways are let in on purpose (TLS 1.0, any key, no secure renegotiation): nothing secret is said here, and what is fetched
 * counts for nothing until somebody has compared its fingerprint.
 */
static SSL_CTX *context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION) != 1 || SSL_CTX_set_cipher_list(ctx, "ALL:!aNULL:!eNULL") != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static int shake(struct call *c, SSL *ssl)
{
	for (;;) {
		int n, err, rc;

		ERR_clear_error();
		n = SSL_connect(ssl);
		if (n == 1)
			return 0;
		err = SSL_get_error(ssl, n);
		if (err != SSL_ERROR_WANT_READ && err != SSL_ERROR_WANT_WRITE) {
			unsigned long e = ERR_peek_error();
			const char *text = e != 0 ? ERR_reason_error_string(e) : NULL;

			if (err == SSL_ERROR_SYSCALL || ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
				return cfg_no(c->why, c->size, -EHOSTUNREACH, "%s broke off in the TLS handshake", c->peer);
			return cfg_no(c->why, c->size, -EPROTO, "%s: no TLS handshake (%s): is that its certificate provider's port?", c->peer,
				      text != NULL ? text : "no reason given");
		}
		rc = ready(c, err == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT);
		if (rc == -ETIMEDOUT)
			return cfg_no(c->why, c->size, rc, "%s took the connection, but its TLS handshake did not end within %u s", c->peer,
				      c->timeout_ms / 1000);
		if (rc < 0)
			return rc;
	}
}

int cp_peercert_fetch(const struct cfg_addr *to, unsigned timeout_ms, const atomic_bool *stop, X509 **ret_cert, X509 **ret_issuer,
		      char *why, size_t why_size)
{
	struct call c = {.to = to, .stop = stop, .end_ms = (int64_t)cp_mono_ms() + timeout_ms, .timeout_ms = timeout_ms, .why = why,
			 .size = why_size, .fd = -1};
	SSL_CTX *ctx = context();
	SSL *ssl = ctx != NULL ? SSL_new(ctx) : NULL;
	int rc = cfg_no(why, why_size, -ENOMEM, "no memory");

	if (ssl == NULL)
		goto out;
	cfg_addr_print(to, c.peer, sizeof(c.peer));
	rc = reach(&c);
	if (rc == 0 && SSL_set_fd(ssl, c.fd) != 1)
		rc = cfg_no(why, why_size, -ENOMEM, "no memory");
	if (rc == 0)
		rc = shake(&c, ssl);
	if (rc < 0)
		goto out;
	rc = cp_peercert_take(SSL_get_peer_cert_chain(ssl), ret_cert, ret_issuer, why, why_size);
	SSL_shutdown(ssl); /* a word of farewell, unanswered: as much as the socket takes at once */
out:
	ERR_clear_error();
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	if (c.fd >= 0)
		close(c.fd);
	return rc;
}
