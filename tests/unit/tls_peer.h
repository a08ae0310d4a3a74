/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For suites that speak TLS over loopback: certificates made with OpenSSL, and a client that runs
 * in the suite's own event base. Everything static inline so that a suite may use part of it.
 */
#ifndef TESTS_TLS_PEER_H
#define TESTS_TLS_PEER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct tp_id {
	EVP_PKEY *key;
	X509 *cert;
};

/* issuer NULL: a self-signed CA. Valid from now + from_s to now + to_s. */
static inline struct tp_id tp_issue(const char *cn, const struct tp_id *issuer, long from_s,
                                    long to_s)
{
	static long serial = 1;
	struct tp_id id = {EVP_EC_gen("P-256"), X509_new()};
	X509_NAME *name = X509_get_subject_name(id.cert);

	X509_set_version(id.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(id.cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(id.cert), from_s);
	X509_gmtime_adj(X509_getm_notAfter(id.cert), to_s);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(id.cert, issuer != NULL ? X509_get_subject_name(issuer->cert) : name);
	X509_set_pubkey(id.cert, id.key);
	if (issuer == NULL) {
		X509_EXTENSION *ext =
			X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");

		X509_add_ext(id.cert, ext, -1);
		X509_EXTENSION_free(ext);
	}
	if (id.key == NULL ||
	    X509_sign(id.cert, issuer != NULL ? issuer->key : id.key, EVP_sha256()) == 0)
		abort();
	return id;
}

static inline void tp_id_free(struct tp_id *id)
{
	EVP_PKEY_free(id->key);
	X509_free(id->cert);
	*id = (struct tp_id){0};
}

struct tp_client {
	struct bufferevent *bev;
	SSL_CTX *ctx;
	bool connected, closed; /* TLS: connected is after the handshake */
};

static inline void tp_event(struct bufferevent *bev, short what, void *arg)
{
	struct tp_client *c = arg;

	(void)bev;
	if ((what & BEV_EVENT_CONNECTED) != 0)
		c->connected = true;
	else
		c->closed = true;
}

/* A TCP connection to 127.0.0.1:port, from 127.0.0.'from'. Non-blocking, connected. */
static inline int tp_connect(uint16_t port, int from)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(0x7f000000u | (uint32_t)from);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0)
		abort();
	sin.sin_addr.s_addr = htonl(0x7f000001u);
	sin.sin_port = htons(port);
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0)
		abort();
	evutil_make_socket_nonblocking(fd);
	return fd;
}

/* version 0: clear. id NULL: no certificate. */
static inline void tp_open(struct tp_client *c, struct event_base *base, uint16_t port, int version,
                           const struct tp_id *id)
{
	int fd = tp_connect(port, 1);

	signal(SIGPIPE, SIG_IGN); /* as the controlplane: the other end may be gone first */
	memset(c, 0, sizeof(*c));
	if (version == 0) {
		c->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
		c->connected = true;
	} else {
		c->ctx = SSL_CTX_new(TLS_client_method());
		SSL_CTX_set_security_level(c->ctx, 0);
		SSL_CTX_set_min_proto_version(c->ctx, version);
		SSL_CTX_set_max_proto_version(c->ctx, version);
		if (id != NULL && (SSL_CTX_use_certificate(c->ctx, id->cert) != 1 ||
		                   SSL_CTX_use_PrivateKey(c->ctx, id->key) != 1))
			abort();
		c->bev = bufferevent_openssl_socket_new(base, fd, SSL_new(c->ctx),
		                                        BUFFEREVENT_SSL_CONNECTING,
		                                        BEV_OPT_CLOSE_ON_FREE);
	}
	bufferevent_setcb(c->bev, NULL, NULL, tp_event, c);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

static inline void tp_close(struct tp_client *c)
{
	if (c->ctx != NULL) /* a session that ends without a word may not be resumed */
		SSL_set_shutdown(bufferevent_openssl_get_ssl(c->bev), SSL_SENT_SHUTDOWN);
	if (c->bev != NULL)
		bufferevent_free(c->bev);
	SSL_CTX_free(c->ctx);
	*c = (struct tp_client){0};
}

static inline size_t tp_have(const struct tp_client *c)
{
	return evbuffer_get_length(bufferevent_get_input(c->bev));
}

static inline uint64_t tp_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Run the loop until 'cond' holds, or 'ms' have passed: who says a second or more waits for what must come, and has a minute. */
#define TP_PUMP(base, cond, ms)                                                                    \
	do {                                                                                       \
		uint64_t tp_end_ = tp_ms() + ((ms) < 1000 ? (ms) : 60000);                         \
		while (!(cond) && tp_ms() < tp_end_) {                                             \
			event_base_loop(base, EVLOOP_NONBLOCK);                                    \
			usleep(500);                                                               \
		}                                                                                  \
	} while (0)

/* Run the loop for so long. */
#define TP_RUN(base, ms)                                                                           \
	do {                                                                                       \
		uint64_t tp_end_ = tp_ms() + (ms);                                                 \
		while (tp_ms() < tp_end_) {                                                        \
			event_base_loop(base, EVLOOP_NONBLOCK);                                    \
			usleep(500);                                                               \
		}                                                                                  \
	} while (0)

#endif
