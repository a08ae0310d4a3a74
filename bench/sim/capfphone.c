/* SPDX-License-Identifier: BSD-3-Clause */
#include "capfphone.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define MSG_MAX 16384

struct sess {
	const struct capfp_opts *o;
	struct capfp_result *r;
	int fd;
	SSL *ssl;
	uint32_t id;
	uint8_t in[MSG_MAX], out[MSG_MAX];
	size_t in_len, out_len;
	EVP_PKEY *key; /* the new one */
};

static int fail(struct sess *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int fail(struct sess *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (s->r->error[0] == '\0')
		vsnprintf(s->r->error, sizeof(s->r->error), fmt, ap);
	va_end(ap);
	return -1;
}

SSL_CTX *capfp_tls(const char *ca, bool legacy, char *err, size_t size)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL)
		return NULL;
	if (legacy) {
		SSL_CTX_set_security_level(ctx, 0);
		SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
		SSL_CTX_set_max_proto_version(ctx, TLS1_VERSION);
		SSL_CTX_set_cipher_list(ctx, "AES128-SHA:AES256-SHA:@SECLEVEL=0");
	}
	if (ca != NULL) {
		if (SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1) {
			snprintf(err, size, "%s: no certificates", ca);
			SSL_CTX_free(ctx);
			return NULL;
		}
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
		X509_STORE_set_flags(SSL_CTX_get_cert_store(ctx), X509_V_FLAG_PARTIAL_CHAIN);
	}
	return ctx;
}

/* --- bytes --- */

/* How many of 'len' may still pass before the phone is gone. */
static size_t left(const struct sess *s, size_t len)
{
	long room = s->o->vanish - s->r->bytes;

	return s->o->vanish <= 0 ? len : room <= 0 ? 0 : (size_t)room < len ? (size_t)room : len;
}

static int gone(struct sess *s)
{
	s->r->vanished = true;
	return fail(s, "vanished");
}

static int read_exact(struct sess *s, uint8_t *p, size_t len)
{
	while (len > 0) {
		size_t n = left(s, len);
		int got;

		if (n == 0)
			return gone(s);
		got = SSL_read(s->ssl, p, (int)n);
		if (got <= 0)
			return fail(s, "connection ended: %s", errno == EAGAIN ? "time" : "closed");
		p += got;
		len -= (size_t)got;
		s->r->bytes += got;
	}
	return 0;
}

static int send_out(struct sess *s)
{
	size_t n = left(s, s->out_len);

	if (n > 0 && SSL_write(s->ssl, s->out, (int)n) != (int)n)
		return fail(s, "cannot send");
	s->r->bytes += (long)n;
	return n < s->out_len ? gone(s) : 0;
}

static void begin(struct sess *s, unsigned cmd)
{
	s->out[0] = 0x55;
	s->out[1] = (uint8_t)cmd;
	s->out[2] = (uint8_t)(s->id >> 24);
	s->out[3] = (uint8_t)(s->id >> 16);
	s->out[4] = (uint8_t)(s->id >> 8);
	s->out[5] = (uint8_t)s->id;
	s->out_len = 8;
}

static void element(struct sess *s, unsigned tag, const void *value, size_t len)
{
	uint8_t *p = s->out + s->out_len;

	if (s->out_len + 3 + len > sizeof(s->out))
		abort();
	p[0] = (uint8_t)tag;
	p[1] = (uint8_t)(len >> 8);
	p[2] = (uint8_t)len;
	memcpy(p + 3, value, len);
	s->out_len += 3 + len;
}

static void element1(struct sess *s, unsigned tag, unsigned v)
{
	element(s, tag, &(uint8_t){(uint8_t)v}, 1);
}

static int finish(struct sess *s)
{
	size_t n = s->out_len - 8;

	s->out[6] = (uint8_t)(n >> 8);
	s->out[7] = (uint8_t)n;
	return send_out(s);
}

static const uint8_t *find(const struct sess *s, unsigned tag, size_t *ret_len)
{
	for (size_t at = 8; at + 3 <= s->in_len;) {
		size_t n = (size_t)s->in[at + 1] << 8 | s->in[at + 2];

		if (at + 3 + n > s->in_len)
			return NULL;
		if (s->in[at] == tag) {
			*ret_len = n;
			return s->in + at + 3;
		}
		at += 3 + n;
	}
	return NULL;
}

static int next(struct sess *s)
{
	size_t n;

	if (read_exact(s, s->in, 8) < 0)
		return -1;
	n = (size_t)s->in[6] << 8 | s->in[7];
	if (s->in[0] != 0x55 || n + 8 > sizeof(s->in))
		return fail(s, "not CAPF");
	s->in_len = 8 + n;
	return read_exact(s, s->in + 8, n);
}

/* --- the flash --- */

static void flash_path(const char *flash, const char *name, const char *what, char *ret, size_t size)
{
	snprintf(ret, size, "%s/%s.%s.pem", flash, name, what);
}

static bool flash_read(const char *flash, const char *name, const char *what, X509 **ret_cert, EVP_PKEY **ret_key)
{
	char path[512];
	FILE *f;

	flash_path(flash, name, what, path, sizeof(path));
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	*ret_cert = PEM_read_X509(f, NULL, NULL, NULL);
	rewind(f);
	*ret_key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
	if (*ret_cert != NULL && *ret_key != NULL)
		return true;
	X509_free(*ret_cert);
	EVP_PKEY_free(*ret_key);
	*ret_cert = NULL;
	*ret_key = NULL;
	return false;
}

static void serial_of(X509 *cert, char ret[64])
{
	const ASN1_INTEGER *n = X509_get0_serialNumber(cert);

	ret[0] = '\0';
	for (int i = 0; i < ASN1_STRING_length(n) && i < 31; i++)
		snprintf(ret + 2 * i, 3, "%02X", ASN1_STRING_get0_data(n)[i]);
}

bool capfp_holds(const char *flash, const char *name, char ret[64])
{
	X509 *cert = NULL;
	EVP_PKEY *key = NULL;

	ret[0] = '\0';
	if (flash == NULL || !flash_read(flash, name, "lsc", &cert, &key))
		return false;
	serial_of(cert, ret);
	X509_free(cert);
	EVP_PKEY_free(key);
	return true;
}

static int flash_write(struct sess *s, X509 *cert)
{
	char path[512], tmp[520];
	FILE *f;
	int ok;

	if (s->o->flash == NULL)
		return 0;
	flash_path(s->o->flash, s->o->name, "lsc", path, sizeof(path));
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	f = fopen(tmp, "we");
	if (f == NULL)
		return fail(s, "%s: %s", tmp, strerror(errno));
	ok = PEM_write_X509(f, cert) == 1 && PEM_write_PrivateKey(f, s->key, NULL, NULL, 0, NULL, NULL) == 1 && fflush(f) == 0 &&
	     fsync(fileno(f)) == 0;
	if (fclose(f) != 0 || !ok || rename(tmp, path) < 0)
		return fail(s, "%s: not written", path);
	return 0;
}

/* --- who it is --- */

static size_t sign(EVP_PKEY *key, const EVP_MD *md, const void *a, size_t a_len, const void *b, size_t b_len, uint8_t *sig, size_t room)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	EVP_MD_CTX *h = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	size_t len = room;
	int ok = EVP_DigestInit_ex(h, md, NULL) == 1 && EVP_DigestUpdate(h, a, a_len) == 1 && EVP_DigestUpdate(h, b, b_len) == 1 &&
		 EVP_DigestFinal_ex(h, digest, &n) == 1 && EVP_PKEY_sign_init(ctx) == 1;

	/* RSA: PKCS#1 type 1 around the bare digest */
	if (ok && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
		ok = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
	ok = ok && EVP_PKEY_sign(ctx, sig, &len, digest, n) == 1;
	EVP_MD_CTX_free(h);
	EVP_PKEY_CTX_free(ctx);
	return ok ? len : 0;
}

static int show(struct sess *s, const char device[16], X509 *cert, EVP_PKEY *key, unsigned kind, bool second)
{
	uint8_t *der = NULL, buf[8192], sig[1024], id[4] = {(uint8_t)s->id, (uint8_t)(s->id >> 8), (uint8_t)(s->id >> 16), (uint8_t)(s->id >> 24)};
	int n = i2d_X509(cert, &der);
	size_t k, len = 0;

	if (n <= 0 || n > 4000)
		return fail(s, "its certificate is too long");
	if (!second) {
		buf[0] = 1;
		buf[1] = (uint8_t)((n + 2) >> 8);
		buf[2] = (uint8_t)(n + 2);
		buf[3] = 0;
		buf[4] = (uint8_t)kind;
		memcpy(buf + 5, der, (size_t)n);
		element(s, 4, buf, (size_t)n + 5);
		k = sign(key, EVP_sha1(), device, 16, der, (size_t)n, sig, sizeof(sig));
		element(s, 6, sig, k);
	} else {
		if (!s->o->no_sudi) {
			static const uint8_t tag[3] = {0, 1, 3};
			const EVP_MD *const md[3] = {NULL, EVP_sha1(), EVP_sha512()};

			for (unsigned i = 0; i < 3; i++) {
				const uint8_t *v = i == 0 ? der : sig;

				k = i == 0 ? (size_t)n : sign(key, md[i], id, 4, der, (size_t)n, sig, sizeof(sig));
				buf[len] = tag[i];
				buf[len + 1] = (uint8_t)(k >> 8);
				buf[len + 2] = (uint8_t)k;
				memcpy(buf + len + 3, v, k);
				len += 3 + k;
			}
			element(s, 16, buf, len);
		}
		if (!s->o->no_sha2) {
			k = sign(key, EVP_sha512(), device, 16, der, (size_t)n, sig, sizeof(sig));
			buf[0] = 3;
			buf[1] = (uint8_t)(k >> 8);
			buf[2] = (uint8_t)k;
			memcpy(buf + 3, sig, k);
			element(s, 20, buf, k + 3);
		}
	}
	OPENSSL_free(der);
	return 0;
}

static int authenticate(struct sess *s)
{
	const struct capfp_opts *o = s->o;
	const char *string = o->string != NULL ? o->string : "";
	char device[16] = "";
	X509 *cert = NULL;
	EVP_PKEY *key = NULL;
	unsigned kind = 0;
	int rc = 0;

	snprintf(device, sizeof(device), "%s", o->name);
	if (o->show != CAPFP_SHOW_NONE && o->flash != NULL) {
		const char *first = o->show == CAPFP_SHOW_LSC ? "lsc" : "mic", *other = o->show == CAPFP_SHOW_LSC ? "mic" : "lsc";

		if (flash_read(o->flash, o->name, first, &cert, &key))
			kind = o->show == CAPFP_SHOW_LSC ? 1 : 2;
		else if (flash_read(o->flash, o->name, other, &cert, &key))
			kind = o->show == CAPFP_SHOW_LSC ? 2 : 1;
	}
	begin(s, 2);
	element1(s, 1, 1);
	if (cert != NULL)
		rc = show(s, device, cert, key, kind, false);
	element1(s, 7, o->version != 0 ? o->version : 3);
	element(s, 11, string, strlen(string) + 1);
	element(s, 13, device, 16);
	if (rc == 0 && cert != NULL)
		rc = show(s, device, cert, key, kind, true);
	X509_free(cert);
	EVP_PKEY_free(key);
	return rc == 0 ? finish(s) : rc;
}

/* --- what it is asked --- */

static EVP_PKEY *make_key(struct sess *s)
{
	static const char *const curves[] = {"P-256", "P-384", "P-521"};
	static const unsigned bits[] = {256, 384, 521};
	size_t n;
	const uint8_t *type = find(s, 17, &n), *curve, *size;
	unsigned want;

	s->r->key_ec = type != NULL && n == 1 && type[0] == 1;
	if (s->r->key_ec) {
		curve = find(s, 18, &n);
		if (s->o->no_ec || curve == NULL || n != 1 || curve[0] > 2)
			return NULL;
		s->r->key_bits = want = bits[curve[0]];
		if (s->o->key == NULL)
			return EVP_EC_gen(curves[curve[0]]);
	} else {
		size = find(s, 10, &n);
		if (size == NULL || n != 2)
			return NULL;
		s->r->key_bits = want = (unsigned)size[0] << 8 | size[1];
		if (s->o->key == NULL)
			return EVP_RSA_gen(want);
	}
	if ((unsigned)EVP_PKEY_get_bits(s->o->key) != want || (EVP_PKEY_get_base_id(s->o->key) == EVP_PKEY_EC) != s->r->key_ec)
		return s->r->key_ec ? EVP_EC_gen(curves[want == 256 ? 0 : want == 384 ? 1 : 2]) : EVP_RSA_gen(want);
	EVP_PKEY_up_ref(s->o->key);
	return s->o->key;
}

/* The key of a session that ended without a certificate. */
static void pending_key(struct sess *s, bool write)
{
	char path[512];
	FILE *f;

	if (!s->o->keep_key || s->o->flash == NULL)
		return;
	flash_path(s->o->flash, s->o->name, "new", path, sizeof(path));
	f = fopen(path, write ? "we" : "re");
	if (f == NULL)
		return;
	if (write)
		PEM_write_PrivateKey(f, s->key, NULL, NULL, 0, NULL, NULL);
	else
		s->key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
}

static int keygen(struct sess *s)
{
	uint8_t *der = NULL;
	int n;

	s->r->op = 1;
	EVP_PKEY_free(s->key);
	s->key = make_key(s);
	if (s->o->slow_ms > 0) {
		begin(s, 17);
		if (finish(s) < 0)
			return -1;
		nanosleep(&(struct timespec){s->o->slow_ms / 1000, (long)(s->o->slow_ms % 1000) * 1000000}, NULL);
	}
	begin(s, 4);
	if (s->key == NULL) {
		element1(s, 1, 7);
		return finish(s);
	}
	s->r->made_key = true;
	pending_key(s, true);
	n = i2d_PUBKEY(s->key, &der);
	element(s, 9, der, (size_t)n);
	OPENSSL_free(der);
	return finish(s);
}

static int store(struct sess *s)
{
	size_t n = 0;
	const uint8_t *p = find(s, 4, &n), *q;
	X509 *cert = NULL;
	bool ok = false;

	if (p != NULL && n > 5) {
		q = p + 5;
		cert = d2i_X509(NULL, &q, (long)n - 5);
	}
	if (s->key == NULL)
		pending_key(s, false);
	if (cert != NULL && s->key == NULL && !s->o->fail_store) { /* it has forgotten what it was asked for */
		X509_free(cert);
		begin(s, 10);
		element1(s, 1, 7);
		return finish(s);
	}
	if (cert != NULL && s->key != NULL && X509_check_private_key(cert, s->key) == 1 && !s->o->fail_store) {
		ok = flash_write(s, cert) == 0;
		if (ok && s->o->flash == NULL)
			serial_of(cert, s->r->serial);
	} else if (!s->o->fail_store) {
		X509_free(cert);
		return fail(s, "what it was sent is not for its key");
	}
	X509_free(cert);
	s->r->stored = ok;
	begin(s, 10);
	element1(s, 1, ok ? 1 : 7);
	return finish(s);
}

static int fetch(struct sess *s)
{
	X509 *cert = NULL;
	EVP_PKEY *key = NULL;
	uint8_t buf[8192], *der = NULL;
	unsigned kind = 1;
	int n = 0;

	s->r->op = 3;
	begin(s, 12);
	if (s->o->flash == NULL || (!flash_read(s->o->flash, s->o->name, "lsc", &cert, &key) &&
				    (kind = 2, !flash_read(s->o->flash, s->o->name, "mic", &cert, &key)))) {
		element1(s, 1, 7);
		return finish(s);
	}
	n = i2d_X509(cert, &der);
	buf[0] = 1;
	buf[1] = (uint8_t)((n + 2) >> 8);
	buf[2] = (uint8_t)(n + 2);
	buf[3] = 0;
	buf[4] = (uint8_t)kind;
	if (n > 0 && (size_t)n < sizeof(buf) - 5) {
		memcpy(buf + 5, der, (size_t)n);
		element1(s, 1, 1);
		element(s, 4, buf, (size_t)n + 5);
	} else {
		element1(s, 1, 7);
	}
	OPENSSL_free(der);
	X509_free(cert);
	EVP_PKEY_free(key);
	return finish(s);
}

static int forget(struct sess *s)
{
	char path[512];
	bool ok = !s->o->fail_delete;

	s->r->op = 2;
	if (ok && s->o->flash != NULL) {
		flash_path(s->o->flash, s->o->name, "lsc", path, sizeof(path));
		ok = unlink(path) == 0;
	}
	s->r->deleted = ok;
	begin(s, 14);
	element1(s, 1, ok ? 1 : 7);
	return finish(s);
}

static int talk(struct sess *s)
{
	const uint8_t *p;
	size_t n;
	int rc;

	for (;;) {
		if (next(s) < 0)
			return -1;
		if (s->in[1] == 1)
			s->id = (uint32_t)s->in[2] << 24 | (uint32_t)s->in[3] << 16 | (uint32_t)s->in[4] << 8 | s->in[5];
		switch (s->in[1]) {
		case 1: rc = authenticate(s); break;
		case 3: rc = keygen(s); break;
		case 9: rc = store(s); break;
		case 11: rc = fetch(s); break;
		case 13: rc = forget(s); break;
		case 15:
			p = find(s, 1, &n);
			s->r->reason = p != NULL && n == 1 ? p[0] : -1;
			return 0;
		default: return fail(s, "it was sent command %u", s->in[1]);
		}
		if (rc < 0)
			return -1;
	}
}

static int connect_to(struct sess *s)
{
	const struct capfp_opts *o = s->o;
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(o->port)}, from = {.sin_family = AF_INET};
	unsigned ms = o->timeout_ms != 0 ? o->timeout_ms : 10000;
	struct timeval tv = {ms / 1000, (int)(ms % 1000) * 1000};
	int on = 1;

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || inet_pton(AF_INET, o->server, &sin.sin_addr) != 1)
		return fail(s, "%s: no address", o->server);
	setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (o->source != NULL &&
	    (inet_pton(AF_INET, o->source, &from.sin_addr) != 1 || bind(s->fd, (struct sockaddr *)&from, sizeof(from)) < 0))
		return fail(s, "%s: %s", o->source, strerror(errno));
	if (connect(s->fd, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		return fail(s, "connect: %s", strerror(errno));
	s->ssl = SSL_new(o->tls);
	if (s->ssl == NULL || SSL_set_fd(s->ssl, s->fd) != 1 || SSL_connect(s->ssl) != 1) {
		char text[100] = "closed";

		if (ERR_peek_error() != 0)
			ERR_error_string_n(ERR_peek_error(), text, sizeof(text));
		return fail(s, "TLS: %s", text);
	}
	return 0;
}

int capfp_run(const struct capfp_opts *o, struct capfp_result *ret)
{
	struct sess *s = calloc(1, sizeof(*s));
	int rc;

	*ret = (struct capfp_result){.reason = -1};
	if (s == NULL)
		return -1;
	s->o = o;
	s->r = ret;
	s->fd = -1;
	rc = connect_to(s);
	if (rc == 0)
		rc = talk(s);
	if (rc == 0)
		SSL_shutdown(s->ssl);
	SSL_free(s->ssl);
	if (s->fd >= 0)
		close(s->fd);
	EVP_PKEY_free(s->key);
	free(s);
	if (o->flash != NULL)
		(void)capfp_holds(o->flash, o->name, ret->serial);
	ERR_clear_error();
	return rc;
}
