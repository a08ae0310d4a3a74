/* SPDX-License-Identifier: BSD-3-Clause */
/* An appliance with phones, for the benches of registrations and calls; and OpenSSL's mutual handshake beside it. */
#include "phones.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "bench.h"
#include "rawtls.h"

#define START_S 90 /* for a daemon to answer */

long bench_phones_here(const struct bench_phones *p)
{
	json_t *o = bench_admin(&p->at, "status", json_object());
	json_t *v = json_object_get(json_object_get(o, "registered"), "encrypted");
	long cnt = json_is_integer(v) ? (long)json_integer_value(v) : -1;

	json_decref(o);
	return cnt;
}

/* --- certificates --- */

void bench_id_free(struct bench_id *id)
{
	EVP_PKEY_free(id->key);
	X509_free(id->cert);
	*id = (struct bench_id){NULL, NULL};
}

int bench_id_make(const char *cn, bool rsa, const struct bench_id *ca, struct bench_id *ret)
{
	X509_NAME *name;
	X509 *x = X509_new();

	ret->key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	ret->cert = x;
	if (x == NULL || ret->key == NULL)
		return -1;
	name = X509_get_subject_name(x);
	if (X509_set_version(x, 2) != 1 || ASN1_INTEGER_set(X509_get_serialNumber(x), ca == NULL ? 1 : 2) != 1 ||
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0) != 1 ||
	    X509_set_issuer_name(x, ca == NULL ? name : X509_get_subject_name(ca->cert)) != 1 ||
	    X509_gmtime_adj(X509_getm_notBefore(x), -3600) == NULL ||
	    X509_gmtime_adj(X509_getm_notAfter(x), 86400) == NULL || X509_set_pubkey(x, ret->key) != 1)
		return -1;
	if (ca == NULL) {
		static const struct {
			int nid;
			const char *value;
		} exts[] = {{NID_basic_constraints, "critical,CA:TRUE"},
			    {NID_key_usage, "critical,keyCertSign,cRLSign"}};

		for (size_t i = 0; i < 2; i++) {
			X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, exts[i].nid, exts[i].value);
			int ok = e != NULL && X509_add_ext(x, e, -1) == 1;

			X509_EXTENSION_free(e);
			if (!ok)
				return -1;
		}
	}
	return X509_sign(x, ca == NULL ? ret->key : ca->key, EVP_sha256()) > 0 ? 0 : -1;
}

int bench_phones_ca(const struct bench_phones *p, const struct bench_id *ca)
{
	char path[PATH_MAX];
	FILE *f;
	int ok;

	snprintf(path, sizeof(path), "%s/phones-ca.pem", p->at.dir);
	f = fopen(path, "wex");
	if (f == NULL)
		return -1;
	ok = PEM_write_PrivateKey(f, ca->key, NULL, NULL, 0, NULL, NULL) == 1 && PEM_write_X509(f, ca->cert) == 1;
	if (fclose(f) != 0 || !ok)
		return -1;
	snprintf(path, sizeof(path), "%s/trust.pem", p->at.dir);
	f = fopen(path, "wex");
	if (f == NULL)
		return -1;
	ok = PEM_write_X509(f, ca->cert);
	return fclose(f) == 0 && ok == 1 ? 0 : -1;
}

/* --- the peer: OpenSSL alone --- */

double bench_mutual_per_s(bool rsa, const struct bench_id *ca, unsigned int cnt, bool resumed)
{
	SSL_CTX *sctx = SSL_CTX_new(TLS_server_method()), *cctx = SSL_CTX_new(TLS_client_method());
	struct bench_id server = {0}, client = {0};
	SSL_SESSION *session = NULL;
	double s = 0, rate = -1;
	unsigned int i;

	if (sctx == NULL || cctx == NULL || bench_id_make("server", rsa, ca, &server) < 0 ||
	    bench_id_make("SEP000000000001", false, ca, &client) < 0 || SSL_CTX_use_certificate(sctx, server.cert) != 1 ||
	    SSL_CTX_use_PrivateKey(sctx, server.key) != 1 || SSL_CTX_use_certificate(cctx, client.cert) != 1 ||
	    SSL_CTX_use_PrivateKey(cctx, client.key) != 1 ||
	    X509_STORE_add_cert(SSL_CTX_get_cert_store(sctx), ca->cert) != 1 ||
	    X509_STORE_add_cert(SSL_CTX_get_cert_store(cctx), ca->cert) != 1)
		goto out;
	SSL_CTX_set_verify(sctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_verify(cctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(sctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(sctx, 1); /* as ours */
	/* or OpenSSL would look for the issuers of its own certificate, and verify them, in each handshake */
	SSL_CTX_set_mode(sctx, SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_mode(cctx, SSL_MODE_NO_AUTO_CHAIN);
	if (SSL_CTX_set_session_id_context(sctx, (const unsigned char *)"bench", 5) != 1 || bench_raw_session(sctx, cctx, &session) < 0)
		goto out;
	if (!resumed) {
		SSL_SESSION_free(session);
		session = NULL;
	}
	for (i = 0; i < 10; i++)
		if (bench_raw_once(sctx, cctx, session, true, &s) < 0)
			goto out;
	s = 0;
	for (i = 0; i < cnt; i++)
		if (bench_raw_once(sctx, cctx, session, true, &s) < 0)
			goto out;
	rate = cnt / s;
out:
	bench_id_free(&server);
	bench_id_free(&client);
	SSL_SESSION_free(session);
	SSL_CTX_free(sctx);
	SSL_CTX_free(cctx);
	return rate;
}

/* --- the appliance --- */

int bench_phones_configure(struct bench_phones *p, const char *key, unsigned int phones, const char *sccp, const char *more)
{
	char path[PATH_MAX];
	FILE *f;

	p->port = bench_free_port(SOCK_STREAM);
	snprintf(path, sizeof(path), "%s/ravelin.yaml", p->at.dir);
	f = p->port != 0 ? fopen(path, "we") : NULL;
	if (f == NULL)
		return -1;
	fprintf(f, "paths: {state: %s/state-%s-%u, run: %s/run}\n", p->at.dir, key, phones, p->at.dir);
	fprintf(f, "log: {level: warn}\n");
	fprintf(f, "sccp: {listen: 127.0.0.1, port: 0, tls_port: %u, max_connections: %u%s}\n%s", p->port, phones + 1000, sccp, more);
	fprintf(f, "enrol: {capf_port: 0, tvs_port: 0}\n");
	fprintf(f, "signer: {server_key: %s, trust: [%s/trust.pem]}\n", key, p->at.dir);
	if (fclose(f) != 0)
		return -1;
	snprintf(path, sizeof(path), "%s/phones.json", p->at.dir);
	f = fopen(path, "we");
	if (f == NULL)
		return -1;
	fputs("{\"devices\":[", f);
	for (unsigned int i = 1; i <= phones; i++)
		fprintf(f, "%s{\"name\":\"SEP%012X\",\"lines\":[{\"number\":\"%u\"}]}", i > 1 ? "," : "", i, 100000 + i);
	fputs("]}\n", f);
	return fclose(f);
}

int bench_phones_cp(struct bench_phones *p)
{
	char cp[PATH_MAX], cfg[PATH_MAX];
	double limit = bench_now() + START_S;

	snprintf(cfg, sizeof(cfg), "%s/ravelin.yaml", p->at.dir);
	p->cp = bench_spawn(&p->at, "controlplane.log",
			    (char *[]){bench_program(&p->at, "../controlplane/ravelin-controlplane", cp, sizeof(cp)), (char *)"-c", cfg, NULL}, -1);
	while (bench_phones_here(p) < 0) {
		if (bench_now() > limit || bench_stopped)
			return -1;
		bench_rest(0.02);
	}
	return 0;
}

void bench_phones_end(struct bench_phones *p)
{
	bench_end(&p->phones);
	bench_end(&p->dp);
	bench_end(&p->cp);
	bench_end(&p->signer);
}

int bench_phones_start(struct bench_phones *p)
{
	char signer[PATH_MAX], ctl[PATH_MAX], cfg[PATH_MAX], sock[PATH_MAX], json[PATH_MAX];
	pid_t import;

	snprintf(cfg, sizeof(cfg), "%s/ravelin.yaml", p->at.dir);
	snprintf(sock, sizeof(sock), "%s/run/admin.sock", p->at.dir);
	snprintf(json, sizeof(json), "%s/phones.json", p->at.dir);
	bench_program(&p->at, "../pki/signer/ravelin-signer", signer, sizeof(signer));
	bench_program(&p->at, "../controlplane/ctl/ravelinctl", ctl, sizeof(ctl));
	p->signer = bench_spawn(&p->at, "signer.log", (char *[]){signer, (char *)"-c", cfg, NULL}, -1);
	if (bench_phones_cp(p) < 0)
		return -1;
	/* mixed mode: without it a phone's security counts for nothing, and each that comes over TLS is an alarm */
	import = bench_spawn(&p->at, "mode.log", (char *[]){ctl, (char *)"-s", sock, (char *)"ctl", (char *)"set-mode", (char *)"mixed", NULL},
			     -1);
	if (bench_reap(&import, 60) != 0)
		return -1;
	import = bench_spawn(&p->at, "import.log", (char *[]){ctl, (char *)"-s", sock, (char *)"import", json, NULL}, -1);
	return bench_reap(&import, 60) == 0 ? 0 : -1;
}
