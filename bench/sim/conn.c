/* SPDX-License-Identifier: BSD-3-Clause */
#include "conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <openssl/err.h>
#include <openssl/pem.h>

enum state { CONNECTING, HANDSHAKE, UP };

struct sim_conn {
	struct sim_conn_cfg cfg;
	enum state state;
	int fd;
	SSL *ssl;
	struct event *rd, *wr, *timer;
	struct evbuffer *out;
	unsigned int depth; /* callbacks running: freeing waits until they are back */
	bool dead;
};

static FILE *keylog_file;

static void conn_free(struct sim_conn *c)
{
	if (c->rd != NULL)
		event_free(c->rd);
	if (c->wr != NULL)
		event_free(c->wr);
	if (c->timer != NULL)
		event_free(c->timer);
	if (c->out != NULL)
		evbuffer_free(c->out);
	SSL_free(c->ssl);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

static void fail(struct sim_conn *c, const char *reason)
{
	if (c->dead)
		return;
	c->dead = true;
	c->cfg.ops->down(c->cfg.ctx, reason);
}

static void fail_ssl(struct sim_conn *c, int rc)
{
	int err = SSL_get_error(c->ssl, rc), sys = errno;
	unsigned long code = ERR_peek_last_error();
	long verify = SSL_get_verify_result(c->ssl);
	char text[256];

	if (verify != X509_V_OK && c->state != UP)
		snprintf(text, sizeof(text), "tls: server certificate: %s",
			 X509_verify_cert_error_string(verify));
	else if (code != 0)
		snprintf(text, sizeof(text), "tls: %s", ERR_reason_error_string(code) != NULL
								 ? ERR_reason_error_string(code)
								 : "error");
	else if (err == SSL_ERROR_ZERO_RETURN)
		snprintf(text, sizeof(text), "closed by the server");
	else if (err == SSL_ERROR_SYSCALL && sys != 0)
		snprintf(text, sizeof(text), "tls: %s", strerror(sys));
	else
		snprintf(text, sizeof(text), "closed by the server");
	ERR_clear_error();
	fail(c, text);
}

static void flush(struct sim_conn *c)
{
	while (!c->dead && c->state == UP && evbuffer_get_length(c->out) > 0) {
		size_t n = evbuffer_get_contiguous_space(c->out);
		unsigned char *p = evbuffer_pullup(c->out, (ev_ssize_t)n);
		ssize_t sent;

		if (c->ssl != NULL) {
			ERR_clear_error();
			errno = 0;
			sent = SSL_write(c->ssl, p, (int)n);
			if (sent <= 0) {
				int err = SSL_get_error(c->ssl, (int)sent);

				if (err == SSL_ERROR_WANT_WRITE)
					event_add(c->wr, NULL);
				else if (err != SSL_ERROR_WANT_READ)
					fail_ssl(c, (int)sent);
				return;
			}
		} else {
			sent = send(c->fd, p, n, MSG_NOSIGNAL);
			if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
				event_add(c->wr, NULL);
				return;
			}
			if (sent < 0) {
				fail(c, strerror(errno));
				return;
			}
		}
		evbuffer_drain(c->out, (size_t)sent);
	}
}

static void on_up(struct sim_conn *c)
{
	c->state = UP;
	event_del(c->timer);
	c->cfg.ops->up(c->cfg.ctx);
	if (!c->dead)
		flush(c);
}

static void handshake(struct sim_conn *c)
{
	int rc, err;

	ERR_clear_error();
	errno = 0;
	rc = SSL_connect(c->ssl);
	if (rc == 1) {
		on_up(c);
		return;
	}
	err = SSL_get_error(c->ssl, rc);
	if (err == SSL_ERROR_WANT_WRITE)
		event_add(c->wr, NULL);
	else if (err != SSL_ERROR_WANT_READ)
		fail_ssl(c, rc);
}

static void receive(struct sim_conn *c)
{
	uint8_t buf[16384];

	while (!c->dead && c->state == UP) {
		ssize_t n;

		if (c->ssl != NULL) {
			ERR_clear_error();
			errno = 0;
			n = SSL_read(c->ssl, buf, sizeof(buf));
			if (n <= 0) {
				int err = SSL_get_error(c->ssl, (int)n);

				if (err == SSL_ERROR_WANT_WRITE)
					event_add(c->wr, NULL);
				else if (err != SSL_ERROR_WANT_READ)
					fail_ssl(c, (int)n);
				return;
			}
		} else {
			n = recv(c->fd, buf, sizeof(buf), 0);
			if (n < 0 && (errno == EAGAIN || errno == EINTR))
				return;
			if (n <= 0) {
				fail(c, n == 0 ? "closed by the server" : strerror(errno));
				return;
			}
		}
		c->cfg.ops->rx(c->cfg.ctx, buf, (size_t)n);
	}
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct sim_conn *c = arg;
	socklen_t len = sizeof(int);
	int err = 0;

	c->depth++;
	if (what & EV_TIMEOUT) {
		fail(c, c->state == CONNECTING ? "connect timed out" : "handshake timed out");
	} else if (c->state == CONNECTING) {
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 || err != 0) {
			fail(c, strerror(err));
		} else if (what & EV_WRITE) {
			event_add(c->rd, NULL);
			c->state = HANDSHAKE;
			if (c->ssl != NULL)
				handshake(c);
			else
				on_up(c);
		}
	} else if (c->state == HANDSHAKE) {
		handshake(c);
		if (c->state == UP)
			receive(c);
	} else {
		flush(c);
		receive(c);
	}
	if (--c->depth == 0 && c->dead)
		conn_free(c);
}

struct sim_conn *sim_conn_open(const struct sim_conn_cfg *cfg)
{
	struct sim_conn *c = calloc(1, sizeof(*c));
	struct timeval tv = {.tv_sec = cfg->timeout_s};
	int one = 1;

	if (c == NULL)
		return NULL;
	c->cfg = *cfg;
	c->fd = socket(cfg->server.ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		goto fail;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (cfg->source.len != 0) {
		/* The port is chosen at connect, so that one address serves more than 28,000 servers' worth. */
		setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		if (bind(c->fd, (const struct sockaddr *)&cfg->source.ss, cfg->source.len) < 0)
			goto fail;
	}
	if (connect(c->fd, (const struct sockaddr *)&cfg->server.ss, cfg->server.len) < 0 && errno != EINPROGRESS)
		goto fail;
	if (cfg->tls != NULL) {
		c->ssl = SSL_new(cfg->tls);
		if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 ||
		    (cfg->cert != NULL && (SSL_use_certificate(c->ssl, cfg->cert) != 1 ||
					   SSL_use_PrivateKey(c->ssl, cfg->key) != 1))) {
			errno = EINVAL;
			goto fail;
		}
		if (cfg->session != NULL)
			SSL_set_session(c->ssl, cfg->session);
	}
	c->rd = event_new(cfg->base, c->fd, EV_READ | EV_PERSIST, on_event, c);
	c->wr = event_new(cfg->base, c->fd, EV_WRITE, on_event, c);
	c->timer = event_new(cfg->base, -1, 0, on_event, c);
	c->out = evbuffer_new();
	if (c->rd == NULL || c->wr == NULL || c->timer == NULL || c->out == NULL) {
		errno = ENOMEM;
		goto fail;
	}
	event_add(c->wr, NULL);
	event_add(c->timer, &tv);
	return c;
fail:
	one = errno;
	conn_free(c);
	errno = one;
	return NULL;
}

void sim_conn_send(struct sim_conn *c, const uint8_t *data, size_t len)
{
	if (c->dead)
		return;
	evbuffer_add(c->out, data, len);
	if (c->depth > 0)
		event_add(c->wr, NULL); /* many messages of one callback leave together */
	else
		event_active(c->wr, EV_WRITE, 0);
}

void sim_conn_close(struct sim_conn *c)
{
	if (c == NULL || c->dead)
		return;
	flush(c);
	if (c->dead) /* flush found it broken: down() was called, and on_event frees it */
		return;
	c->dead = true;
	if (c->ssl != NULL && c->state == UP)
		SSL_shutdown(c->ssl);
	ERR_clear_error();
	if (c->depth == 0)
		conn_free(c);
}

const char *sim_conn_cipher(const struct sim_conn *c)
{
	static char text[96];

	if (c->ssl == NULL)
		return "TCP";
	snprintf(text, sizeof(text), "%s %s", SSL_get_version(c->ssl), SSL_get_cipher_name(c->ssl));
	return text;
}

void sim_conn_local(const struct sim_conn *c, struct sim_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->len = sizeof(ret->ss);
	if (getsockname(c->fd, (struct sockaddr *)&ret->ss, &ret->len) < 0)
		ret->len = 0;
}

static void on_keylog(const SSL *ssl, const char *line)
{
	(void)ssl;
	fprintf(keylog_file, "%s\n", line);
	fflush(keylog_file);
}

SSL_CTX *sim_tls_create(const char *ca_file, const char *keylog, char *ret_err, size_t err_len)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL) {
		snprintf(ret_err, err_len, "no TLS context");
		return NULL;
	}
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	/* SCCP frames have lengths: an end without close_notify cannot cut one unseen. */
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	if (ca_file != NULL) {
		/* Phones trust single certificates from their CTL, not only roots. */
		X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
		if (SSL_CTX_load_verify_locations(ctx, ca_file, NULL) != 1) {
			snprintf(ret_err, err_len, "no certificates in %s", ca_file);
			goto fail;
		}
	}
	if (keylog != NULL) {
		if (keylog_file == NULL)
			keylog_file = sim_create_private(keylog);
		if (keylog_file == NULL) {
			snprintf(ret_err, err_len, "%s: %s", keylog, strerror(errno));
			goto fail;
		}
		SSL_CTX_set_keylog_callback(ctx, on_keylog);
	}
	return ctx;
fail:
	SSL_CTX_free(ctx);
	return NULL;
}

int sim_pem_load(const char *path, EVP_PKEY **ret_key, X509 **ret_cert)
{
	BIO *bio = BIO_new_file(path, "r");
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;

	if (bio == NULL) {
		ERR_clear_error();
		return errno != 0 ? -errno : -ENOENT;
	}
	key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_reset(bio);
	cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	ERR_clear_error();
	if (key == NULL || cert == NULL || X509_check_private_key(cert, key) != 1) {
		EVP_PKEY_free(key);
		X509_free(cert);
		return -EBADMSG;
	}
	*ret_key = key;
	*ret_cert = cert;
	return 0;
}
