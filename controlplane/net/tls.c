/* SPDX-License-Identifier: BSD-3-Clause */
#include "tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

/* Largest certificate chain accepted from a client, bytes: a MIC and two CAs take about 4 KiB. */
#define CERT_LIST_MAX 16384
#define SESSION_S     3600
#define SESSIONS_MAX  32768 /* kept for resumption where clients show certificates: some 2 KiB each, with the certificate 4 */

struct cp_tls {
	enum cp_tls_policy policy;
	enum cp_tls_clients clients;
	bool no_tickets;
	pthread_mutex_t lock; /* of ctx: held for a pointer's copy only */
	SSL_CTX *ctx;
	atomic_uint generation;
};

int cp_tls_create(enum cp_tls_policy policy, bool legacy_allowed, struct cp_tls **ret_tls)
{
	struct cp_tls *tls;

	if (policy != CP_TLS_MODERN && !legacy_allowed)
		return -EPERM;
	tls = calloc(1, sizeof(*tls));
	if (tls == NULL)
		return -ENOMEM;
	tls->policy = policy;
	pthread_mutex_init(&tls->lock, NULL);
	*ret_tls = tls;
	return 0;
}

void cp_tls_destroy(struct cp_tls *tls)
{
	if (tls == NULL)
		return;
	SSL_CTX_free(tls->ctx);
	pthread_mutex_destroy(&tls->lock);
	free(tls);
}

void cp_tls_clients(struct cp_tls *tls, enum cp_tls_clients clients)
{
	tls->clients = clients;
}

void cp_tls_no_tickets(struct cp_tls *tls)
{
	tls->no_tickets = true;
}

unsigned cp_tls_generation(const struct cp_tls *tls)
{
	return atomic_load(&tls->generation);
}

static int verify_cb(int ok, X509_STORE_CTX *sctx)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(sctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct cp_tls_peer *peer = ssl != NULL ? SSL_get_app_data(ssl) : NULL;
	X509 *leaf = X509_STORE_CTX_get0_cert(sctx);

	if (!ok && peer != NULL && peer->verify_err == X509_V_OK) {
		peer->verify_err = X509_STORE_CTX_get_error(sctx);
		if (leaf != NULL && X509_up_ref(leaf) == 1)
			peer->leaf = leaf;
	}
	return ok; /* the handshake fails, with the alert that fits the error */
}

/*
 * In TLS 1.3 each resumption gives a session of its own, with an hour of its own: the time of the handshake that began the chain goes
 * along, and that of the last one, by which a clock that was put back shows; what is left of the chain's life bounds the session's. OpenSSL refuses a session that is over, by the same clock, and the
 * handshake is a whole one then. In TLS 1.2 a session stays the one that it was, and its hour with it.
 */
static int bound_chain(SSL *ssl, void *arg)
{
	SSL_SESSION *session = SSL_get_session(ssl);
	struct {
		int64_t began, last;
	} chain;
	int64_t now = time(NULL), left;
	void *data;
	size_t len;

	(void)arg;
	if (session == NULL)
		return 1;
	chain.began = chain.last = now;
	if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) == 1 && len == sizeof(chain))
		memcpy(&chain, data, sizeof(chain));
	left = now < chain.last ? 0 : chain.began + CP_TLS_CHAIN_S - now; /* put back: nobody knows how long ago it was */
	chain.last = now > chain.last ? now : chain.last;
	if (SSL_SESSION_set1_ticket_appdata(session, &chain, sizeof(chain)) != 1)
		return 0;
	/* Not 0: OpenSSL writes that into a ticket as "not said", reads it as 3 and refuses the ticket that it has just made. */
	SSL_SESSION_set_timeout(session, left < 1 ? 1 : left < SESSION_S ? (long)left : SESSION_S);
	return 1;
}

static int set_policy(SSL_CTX *ctx, enum cp_tls_policy policy)
{
	uint64_t opts =
		SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION;

	SSL_CTX_set_options(ctx, opts);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_max_cert_list(ctx, CERT_LIST_MAX);
	SSL_CTX_set_timeout(ctx, SESSION_S);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets only: no memory per peer */
	if (SSL_CTX_set_session_ticket_cb(ctx, bound_chain, NULL, NULL) != 1)
		return -EINVAL;
	if (SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"ravelin", 7) != 1)
		return -EINVAL;
	if (policy == CP_TLS_LEGACY_79XX) {
		SSL_CTX_set_security_level(ctx, 0);
		if (SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION) != 1 ||
		    SSL_CTX_set_cipher_list(
			    ctx, "ECDHE+AESGCM:AES128-GCM-SHA256:AES256-SHA:AES128-SHA:NULL-SHA:"
				 "@SECLEVEL=0") != 1)
			return -EINVAL;
		return 0;
	}
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL") != 1)
		return -EINVAL;
	return 0;
}

/*
 * Clients with certificates: a ticket is only the number of a session that is kept here. OpenSSL would else write the session with the
 * certificate into it, and parse both again, in each handshake. So those old phones resume, too, that know sessions but no tickets.
 * A phone whose connection broke without an alert may come back with its session; where messages end, their protocol says.
 */
static void keep_sessions(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
	SSL_CTX_sess_set_cache_size(ctx, SESSIONS_MAX);
}

static int set_identity(SSL_CTX *ctx, const struct cp_tls_identity *id)
{
	if (SSL_CTX_use_certificate(ctx, id->cert) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, id->key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
		return -EINVAL;
	for (int i = 0; id->chain != NULL && i < sk_X509_num(id->chain); i++)
		if (SSL_CTX_add1_chain_cert(ctx, sk_X509_value(id->chain, i)) != 1)
			return -EINVAL;
	return 0;
}

static int set_trust(SSL_CTX *ctx, STACK_OF(X509) * trust, bool must)
{
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
	int rc = -ENOMEM;

	if (store == NULL || names == NULL)
		goto out;
	for (int i = 0; i < sk_X509_num(trust); i++) {
		X509 *ca = sk_X509_value(trust, i);
		X509_NAME *name = X509_NAME_dup(X509_get_subject_name(ca));

		if (name == NULL || sk_X509_NAME_push(names, name) <= 0) {
			X509_NAME_free(name);
			goto out;
		}
		if (X509_STORE_add_cert(store, ca) != 1)
			goto out;
	}
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	SSL_CTX_set_cert_store(ctx, store); /* takes it */
	store = NULL;
	SSL_CTX_set_client_CA_list(
		ctx, names); /* tells phones which of their certificates to use; takes it */
	names = NULL;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (must ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), verify_cb);
	SSL_CTX_set_verify_depth(ctx, 4);
	rc = 0;
out:
	X509_STORE_free(store);
	sk_X509_NAME_pop_free(names, X509_NAME_free);
	return rc;
}

int cp_tls_load(struct cp_tls *tls, const struct cp_tls_identity *id, char *err, size_t err_size)
{
	bool must = tls->clients == CP_TLS_CLIENTS_MUST;
	bool trust = id->trust != NULL && sk_X509_num(id->trust) > 0;
	SSL_CTX *ctx = NULL, *old;
	int rc = -EINVAL;

	err[0] = '\0';
	ERR_clear_error();
	if (id->key == NULL || id->cert == NULL || (must && !trust)) {
		snprintf(err, err_size, "key, certificate or trust list is missing");
		return -EINVAL;
	}
	ctx = SSL_CTX_new(TLS_server_method());
	if (ctx == NULL)
		return -ENOMEM;
	rc = set_policy(ctx, tls->policy);
	if (tls->no_tickets) {
		SSL_CTX_set_num_tickets(ctx, 0);
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	} else if (must) {
		keep_sessions(ctx);
	}
	if (rc == 0)
		rc = set_identity(ctx, id);
	if (rc == 0 && trust && tls->clients != CP_TLS_CLIENTS_NOT_ASKED)
		rc = set_trust(ctx, id->trust, must);
	if (rc != 0) {
		char text[128] = "context";

		if (ERR_peek_error() != 0)
			ERR_error_string_n(ERR_peek_error(), text, sizeof(text));
		snprintf(err, err_size, "%s", text);
		ERR_clear_error();
		SSL_CTX_free(ctx);
		return rc;
	}
	pthread_mutex_lock(&tls->lock);
	old = tls->ctx;
	tls->ctx = ctx;
	tls->generation++;
	pthread_mutex_unlock(&tls->lock);
	if (old != NULL)
		SSL_CTX_flush_sessions(old, 0); /* nobody resumes them: not kept for as long as one of its connections lives. Locks */
	SSL_CTX_free(old); /* connections made from it hold it */
	return 0;
}

SSL_CTX *cp_tls_ctx(struct cp_tls *tls)
{
	SSL_CTX *ctx;

	pthread_mutex_lock(&tls->lock);
	ctx = tls->ctx;
	if (ctx != NULL && SSL_CTX_up_ref(ctx) != 1)
		ctx = NULL;
	pthread_mutex_unlock(&tls->lock);
	return ctx;
}

SSL *cp_tls_accept(struct cp_tls *tls, struct cp_tls_peer *peer)
{
	SSL_CTX *ctx = cp_tls_ctx(tls);
	SSL *ssl = ctx != NULL ? SSL_new(ctx) : NULL;

	SSL_CTX_free(ctx); /* the SSL has its own reference */
	if (ssl == NULL)
		return NULL;
	SSL_set_app_data(ssl, peer);
	SSL_set_accept_state(ssl);
	return ssl;
}

enum cp_tls_fail cp_tls_why(const struct cp_tls_peer *peer, unsigned long ssl_err)
{
	switch (peer->verify_err) {
	case X509_V_OK:
		break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return CP_TLS_FAIL_EXPIRED;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_UNTRUSTED:
	case X509_V_ERR_CERT_CHAIN_TOO_LONG:
		return CP_TLS_FAIL_UNTRUSTED;
	default:
		return CP_TLS_FAIL_CERT;
	}
	if (ERR_GET_LIB(ssl_err) == ERR_LIB_SSL &&
	    ERR_GET_REASON(ssl_err) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		return CP_TLS_FAIL_NO_CERT;
	if (ERR_GET_LIB(ssl_err) == ERR_LIB_SSL &&
	    (ERR_GET_REASON(ssl_err) == SSL_R_UNSUPPORTED_PROTOCOL || ERR_GET_REASON(ssl_err) == SSL_R_NO_SHARED_CIPHER ||
	     ERR_GET_REASON(ssl_err) == SSL_R_VERSION_TOO_LOW))
		return CP_TLS_FAIL_INCOMPATIBLE;
	return CP_TLS_FAIL_PROTOCOL;
}

const char *cp_tls_fail_name(enum cp_tls_fail why)
{
	static const char *const names[CP_TLS_FAIL_MAX] = {
		[CP_TLS_OK] = "ok",
		[CP_TLS_FAIL_UNTRUSTED] = "untrusted",
		[CP_TLS_FAIL_EXPIRED] = "expired",
		[CP_TLS_FAIL_NO_CERT] = "no-certificate",
		[CP_TLS_FAIL_CERT] = "bad-certificate",
		[CP_TLS_FAIL_INCOMPATIBLE] = "incompatible",
		[CP_TLS_FAIL_PROTOCOL] = "protocol",
	};

	return why < CP_TLS_FAIL_MAX ? names[why] : "?";
}

void cp_tls_part(SSL *ssl)
{
	SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_SENT_SHUTDOWN); /* else SSL_free() throws the session away */
}

bool cp_tls_encrypts(const SSL *ssl)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);

	return cipher != NULL && SSL_CIPHER_get_bits(cipher, NULL) >= 128;
}

void cp_tls_peer_fini(struct cp_tls_peer *peer)
{
	X509_free(peer->leaf);
	peer->leaf = NULL;
}
