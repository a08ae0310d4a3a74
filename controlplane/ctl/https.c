/* SPDX-License-Identifier: BSD-3-Clause */
/* One HTTPS request and its answer: what ravelinctl needs of a client for the CTL provider. */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "config.h"
#include "trust.h"

#define PORT       "2444"
#define ANSWER_MAX (4u << 20)
#define WAIT_S     60

static const char *ssl_reason(void)
{
	const char *r = ERR_reason_error_string(ERR_peek_error());

	return r != NULL ? r : "closed";
}

static SSL_CTX *context(const struct ctl_https *h, char *why, size_t size)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
		snprintf(why, size, "Init TLS Failed.");
	} else if (h->ca == NULL || SSL_CTX_load_verify_locations(ctx, h->ca, NULL) != 1) {
		snprintf(why, size, "%s: no certificates to check the server with (--ca)", h->ca != NULL ? h->ca : "");
	} else if (h->cert != NULL && (SSL_CTX_use_certificate_chain_file(ctx, h->cert) != 1 ||
				       SSL_CTX_use_PrivateKey_file(ctx, h->cert, SSL_FILETYPE_PEM) != 1)) {
		snprintf(why, size, "%s: no certificate with its key in PEM", h->cert);
	} else {
		X509_STORE_set_flags(SSL_CTX_get_cert_store(ctx), X509_V_FLAG_PARTIAL_CHAIN);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
		return ctx;
	}
	SSL_CTX_free(ctx);
	return NULL;
}

/* "host:port", "[v6]:port", "host": host and port apart. */
static int split(const char *server, char *host, size_t size, char *port, size_t port_size)
{
	const char *end, *colon;
	size_t n;

	if (server[0] == '[') {
		end = strchr(server, ']');
		if (end == NULL)
			return -EINVAL;
		n = (size_t)(end - server) - 1;
		server++;
		colon = end[1] == ':' ? end + 1 : NULL;
	} else {
		colon = strrchr(server, ':');
		n = colon != NULL ? (size_t)(colon - server) : strlen(server);
	}
	if (n == 0 || n >= size || (colon != NULL && (colon[1] == '\0' || strlen(colon + 1) >= port_size)))
		return -EINVAL;
	memcpy(host, server, n);
	host[n] = '\0';
	snprintf(port, port_size, "%s", colon != NULL ? colon + 1 : PORT);
	return 0;
}

static BIO *connect_tls(SSL_CTX *ctx, const struct ctl_https *h, char *host, size_t size, char *why, size_t why_size)
{
	BIO *bio = BIO_new_ssl_connect(ctx);
	struct timeval tv = {WAIT_S, 0};
	struct cfg_addr a;
	SSL *ssl = NULL;
	char port[8];
	int fd = -1;

	if (bio == NULL || split(h->server, host, size, port, sizeof(port)) < 0) {
		snprintf(why, why_size, "%s is no HOST:PORT", h->server);
		BIO_free_all(bio);
		return NULL;
	}
	BIO_get_ssl(bio, &ssl);
	BIO_set_conn_hostname(bio, host);
	BIO_set_conn_port(bio, port);
	if (cfg_addr_parse(host, &a) == 0) {
		X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	} else {
		SSL_set_tlsext_host_name(ssl, host);
		SSL_set1_host(ssl, host);
	}
	if (BIO_do_connect(bio) != 1) {
		long v = SSL_get_verify_result(ssl);

		if (v != X509_V_OK)
			snprintf(why, why_size, "Error occurred during SSL Handshake.: %s", X509_verify_cert_error_string(v));
		else
			snprintf(why, why_size, "Could not connect to CTL provider Service.: %s: %s", h->server, ssl_reason());
		BIO_free_all(bio);
		return NULL;
	}
	if (BIO_get_fd(bio, &fd) >= 0 && fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	}
	if (BIO_do_handshake(bio) != 1) {
		long v = SSL_get_verify_result(ssl);

		snprintf(why, why_size, "Error occurred during SSL Handshake.: %s",
			 v != X509_V_OK ? X509_verify_cert_error_string(v) : ssl_reason());
		BIO_free_all(bio);
		return NULL;
	}
	return bio;
}

static int send_all(BIO *bio, const char *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		int n = BIO_write(bio, data + at, (int)(len - at > 16384 ? 16384 : len - at));

		if (n <= 0)
			return -EPIPE;
		at += (size_t)n;
	}
	return 0;
}

/* The whole answer until the server closes; the body is JSON. */
static json_t *receive(BIO *bio, char *why, size_t size)
{
	size_t len = 0, cap = 65536;
	char *buf = malloc(cap), *body;
	json_t *o = NULL;
	int n = 1;

	while (buf != NULL && n > 0 && len < ANSWER_MAX) {
		if (len + 4096 > cap) {
			char *grown = realloc(buf, cap *= 2);

			if (grown == NULL)
				break;
			buf = grown;
		}
		n = BIO_read(bio, buf + len, (int)(cap - len - 1));
		if (n > 0)
			len += (size_t)n;
	}
	if (buf != NULL) {
		buf[len] = '\0';
		body = strncmp(buf, "HTTP/1.", 7) == 0 ? strstr(buf, "\r\n\r\n") : NULL;
		if (body != NULL)
			o = json_loadb(body + 4, len - (size_t)(body + 4 - buf), 0, NULL);
		OPENSSL_cleanse(buf, cap);
	}
	free(buf);
	if (!json_is_object(o)) {
		snprintf(why, size, "Parsing data from CTLProvider failed.");
		json_decref(o);
		o = NULL;
	}
	return o;
}

int ctl_https_post(const struct ctl_https *h, const char *op, const json_t *args, json_t **ret, char *why, size_t why_size)
{
	SSL_CTX *ctx = context(h, why, why_size);
	char *body = json_dumps(args, JSON_COMPACT), *head = NULL, host[256];
	BIO *bio = NULL;
	int n, rc = ctx == NULL || body == NULL ? -EINVAL : 0;

	if (rc == 0) {
		bio = connect_tls(ctx, h, host, sizeof(host), why, why_size);
		rc = bio == NULL ? -ENOTCONN : 0;
	}
	if (rc == 0) {
		n = asprintf(&head, "POST /v1/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
			     "%s%s%sConnection: close\r\n\r\n", op, h->server, strlen(body),
			     h->token != NULL ? "Authorization: Bearer " : "", h->token != NULL ? h->token : "",
			     h->token != NULL ? "\r\n" : "");
		if (n < 0) {
			head = NULL;
			rc = -ENOMEM;
		}
	}
	if (rc == 0 && (send_all(bio, head, strlen(head)) < 0 || send_all(bio, body, strlen(body)) < 0)) {
		snprintf(why, why_size, "Could not connect to CTL provider Service.: %s", ssl_reason());
		rc = -ENOTCONN;
	}
	if (rc == 0) {
		*ret = receive(bio, why, why_size);
		rc = *ret == NULL ? -ENOTCONN : 0;
	}
	if (body != NULL)
		OPENSSL_cleanse(body, strlen(body)); /* a password, perhaps */
	if (head != NULL)
		OPENSSL_cleanse(head, strlen(head));
	free(body);
	free(head);
	BIO_free_all(bio);
	SSL_CTX_free(ctx);
	return rc;
}
