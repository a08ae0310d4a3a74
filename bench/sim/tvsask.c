/* SPDX-License-Identifier: BSD-3-Clause */
#include "tvsask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#define MSG_MAX 16384
#define WAIT_S  5

struct sim_tvs {
	struct sim_addr server;
	const char *device;
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	struct tp_blob cert;
	uint32_t id;
	unsigned answered, valid;
	uint8_t out[MSG_MAX], in[MSG_MAX];
	size_t out_len;
};

static void drop(struct sim_tvs *t)
{
	SSL_free(t->ssl);
	t->ssl = NULL;
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	ERR_clear_error();
}

static int dial(struct sim_tvs *t)
{
	struct timeval tv = {WAIT_S, 0};
	X509 *shown;

	t->fd = socket(t->server.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (t->fd < 0)
		return -errno;
	setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(t->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	t->ssl = SSL_new(t->ctx);
	if (t->ssl == NULL || connect(t->fd, (struct sockaddr *)&t->server.ss, t->server.len) != 0 || SSL_set_fd(t->ssl, t->fd) != 1 ||
	    SSL_connect(t->ssl) != 1 || (shown = SSL_get0_peer_certificate(t->ssl)) == NULL) {
		drop(t);
		return -ECONNREFUSED;
	}
	if (t->cert.p == NULL) { /* the phone judges what it saw first; another one later ends the matter */
		unsigned char *der = NULL;
		int n = i2d_X509(shown, &der);

		t->cert = n > 0 ? (struct tp_blob){der, (size_t)n} : t->cert;
	} else {
		unsigned char *der = NULL;
		int n = i2d_X509(shown, &der);
		bool same = n > 0 && (size_t)n == t->cert.len && memcmp(der, t->cert.p, t->cert.len) == 0;

		OPENSSL_free(der);
		if (!same) {
			drop(t);
			return -EACCES;
		}
	}
	return 0;
}

struct sim_tvs *sim_tvs_open(const struct sim_addr *server, const char *device)
{
	struct sim_tvs *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->server = *server;
	t->device = device;
	t->fd = -1;
	t->ctx = SSL_CTX_new(TLS_client_method());
	if (t->ctx == NULL || dial(t) < 0) {
		sim_tvs_close(t);
		return NULL;
	}
	return t;
}

void sim_tvs_close(struct sim_tvs *t)
{
	if (t == NULL)
		return;
	drop(t);
	OPENSSL_free((void *)(uintptr_t)t->cert.p);
	SSL_CTX_free(t->ctx);
	free(t);
}

struct tp_blob sim_tvs_cert(const struct sim_tvs *t)
{
	return t->cert;
}

void sim_tvs_counts(const struct sim_tvs *t, unsigned *ret_answered, unsigned *ret_valid)
{
	*ret_answered = t->answered;
	*ret_valid = t->valid;
}

/* --- messages --- */

static void begin(struct sim_tvs *t, unsigned type)
{
	t->id++;
	t->out[0] = 0x57;
	t->out[1] = 1;
	t->out[2] = (uint8_t)type;
	t->out[3] = 0;
	for (unsigned i = 0; i < 4; i++)
		t->out[4 + i] = (uint8_t)(t->id >> (24 - 8 * i));
	t->out_len = 10;
}

static void put(struct sim_tvs *t, unsigned tag, const void *a, size_t a_len, const void *b, size_t b_len)
{
	size_t n = a_len + b_len;

	if (n > 65535 || t->out_len + 3 + n > sizeof(t->out))
		return; /* the server will find it missing */
	t->out[t->out_len] = (uint8_t)tag;
	t->out[t->out_len + 1] = (uint8_t)(n >> 8);
	t->out[t->out_len + 2] = (uint8_t)n;
	memcpy(t->out + t->out_len + 3, a, a_len);
	memcpy(t->out + t->out_len + 3 + a_len, b, b_len);
	t->out_len += 3 + n;
}

static bool receive(struct sim_tvs *t, size_t at, size_t len)
{
	while (len > 0) {
		int n = SSL_read(t->ssl, t->in + at, (int)len);

		if (n <= 0)
			return false;
		at += (size_t)n;
		len -= (size_t)n;
	}
	return true;
}

static bool receive_one(struct sim_tvs *t, size_t *ret_len)
{
	if (!receive(t, 0, 10))
		return false;
	*ret_len = (size_t)t->in[8] << 8 | t->in[9];
	return *ret_len <= sizeof(t->in) - 10 && receive(t, 10, *ret_len);
}

static void length(struct sim_tvs *t)
{
	t->out[8] = (uint8_t)((t->out_len - 10) >> 8);
	t->out[9] = (uint8_t)(t->out_len - 10);
}

static bool exchange(struct sim_tvs *t, size_t *ret_len)
{
	if (t->ssl == NULL && dial(t) < 0)
		return false;
	if (SSL_write(t->ssl, t->out, (int)t->out_len) != (int)t->out_len || !receive_one(t, ret_len)) {
		drop(t);
		return false;
	}
	return true;
}

/* True: the server says that it is valid, with roles, and a query with the certificate. */
static bool read_answer(struct sim_tvs *t, size_t len, uint32_t id, struct tp_blob asked, struct tp_tvs_answer *ret)
{
	bool valid = false;
	size_t at = 0;

	if (t->in[0] != 0x57 || t->in[1] != 1 || t->in[2] != t->out[2] + 1 ||
	    ((uint32_t)t->in[4] << 24 | (uint32_t)t->in[5] << 16 | (uint32_t)t->in[6] << 8 | t->in[7]) != id)
		return false;
	*ret = (struct tp_tvs_answer){.der = asked};
	while (at + 3 <= len) {
		const uint8_t *e = t->in + 10 + at, *v = e + 3;
		size_t n = (size_t)e[1] << 8 | e[2];

		if (at + 3 + n > len)
			return false;
		if (e[0] == 7 && n == 1)
			valid = v[0] == 0;
		else if (e[0] == 2)
			ret->der = (struct tp_blob){v, n};
		else if (e[0] == 8)
			ret->roles = v, ret->role_cnt = (unsigned)n;
		at += 3 + n;
	}
	t->answered++;
	t->valid += valid;
	return at == len && valid && ret->der.p != NULL;
}

static bool ask(struct sim_tvs *t, struct tp_blob asked, struct tp_tvs_answer *ret)
{
	bool again = t->ssl != NULL;
	size_t len = 0;

	length(t);
	/* A connection that lay idle may have been closed: once more on a new one. */
	if (!exchange(t, &len) && !(again && exchange(t, &len)))
		return false;
	return read_answer(t, len, t->id, asked, ret);
}

bool sim_tvs_query(void *ctx, const uint8_t *serial, size_t serial_len, const char *issuer, struct tp_tvs_answer *ret)
{
	struct sim_tvs *t = ctx;

	begin(t, 3);
	put(t, 1, "\1", 1, t->device, strlen(t->device));
	put(t, 4, issuer, strlen(issuer) + 1, "", 0);
	put(t, 5, serial, serial_len, "", 0);
	return ask(t, (struct tp_blob){NULL, 0}, ret);
}

unsigned sim_tvs_burst(struct sim_tvs *t, const uint8_t *serial, size_t serial_len, const char *issuer, unsigned n)
{
	static _Thread_local uint8_t all[MSG_MAX];
	size_t len = 0, got;
	unsigned sent = 0, ok = 0;
	uint32_t first = t->id + 1;
	struct tp_tvs_answer a;

	for (; sent < n; sent++) {
		begin(t, 3);
		put(t, 1, "\1", 1, t->device, strlen(t->device));
		put(t, 4, issuer, strlen(issuer) + 1, "", 0);
		put(t, 5, serial, serial_len, "", 0);
		length(t);
		if (len + t->out_len > sizeof(all))
			break;
		memcpy(all + len, t->out, t->out_len);
		len += t->out_len;
	}
	if (t->ssl == NULL || SSL_write(t->ssl, all, (int)len) != (int)len)
		return 0;
	for (unsigned i = 0; i < sent; i++) {
		if (!receive_one(t, &got))
			return ok;
		ok += read_answer(t, got, first + i, (struct tp_blob){NULL, 0}, &a);
	}
	return ok;
}

bool sim_tvs_verify(void *ctx, struct tp_blob der, struct tp_tvs_answer *ret)
{
	struct sim_tvs *t = ctx;

	begin(t, 1);
	put(t, 1, "\1", 1, t->device, strlen(t->device));
	put(t, 2, der.p, der.len, "", 0);
	return ask(t, der, ret);
}
