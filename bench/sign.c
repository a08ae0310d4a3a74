/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signing what phones fetch: a real signer process, asked over its socket by threads of this one, which build and
 * finish the files. Value: finished files per second of CPU time, of the signer and of this process together. Peer: bare
 * RSA signatures of a digest with a key of the same kind in this process, nothing else done. Files are verified.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "bench.h"
#include "proc.h"
#include "sgn.h"
#include "signerc/signerc.h"
#include "trustlist.h"

#define THREADS 2
#define PLAIN   4096 /* bytes of a configuration */

enum what { SGN, ENC, ITL, WHAT_MAX };
static const char *const what_names[] = {"sgn", "enc.sgn", "itl"};

struct job {
	struct cp_signer *signer;
	X509 *tftp, *phone;
	enum what what;
	enum pki_digest digest;
	const uint8_t *plain;
	double until;
	bool spoil;
	unsigned long done;
	int rc;
};

/* One file or list: build, have it signed, finish. 'check': and verify it. */
static int make_one(const struct job *j, bool check)
{
	uint8_t *head = NULL, *body = NULL, *out = NULL, random[32], sig[512];
	size_t head_len, body_len = 0, out_len, sig_len = sizeof(sig);
	enum cp_sign_kind kind = j->what == ITL ? CP_SIGN_ITL : j->what == ENC ? CP_SIGN_ENC : CP_SIGN_FILE;
	char why[256] = "";
	int rc;

	if (j->what == ITL) {
		const struct pki_tl_entry e[] = {{PKI_TL_SAST, j->tftp, NULL, NULL}, {PKI_TL_TFTP, j->tftp, "tftp", NULL},
						 {PKI_TL_TVS, j->phone, "tvs", NULL}, {PKI_TL_CAPF, j->phone, "capf", NULL}};
		const struct pki_tl_opts o = {.kind = PKI_TL_ITL, .cls = PKI_CLASS_MODERN, .signer = j->tftp,
					      .timestamp = 1800000000, .digest = j->digest};

		rc = pki_tl_build(&o, e, 4, &head, &head_len, why, sizeof(why));
	} else {
		const struct pki_sgn_opts o = {.name = "SEP0123456789AB.cnf.xml.sgn", .digest = j->digest, .signer = j->tftp,
					       .timestamp = 1800000000, .enc = j->what == ENC ? j->phone : NULL,
					       .random = random};

		RAND_bytes(random, sizeof(random));
		rc = pki_sgn_build(&o, j->plain, PLAIN, &head, &head_len, &body, &body_len, why, sizeof(why));
	}
	if (rc == 0) {
		const uint8_t *b = j->what == ITL ? NULL : body != NULL ? body : j->plain;

		rc = cp_signer_sign(j->signer, kind, "TFTP", head, head_len, b, body_len, sig, &sig_len);
		if (rc < 0)
			snprintf(why, sizeof(why), "%s", cp_signer_error(j->signer));
		if (rc == 0)
			rc = j->what == ITL ? pki_tl_finish(head, head_len, sig, sig_len, &out, &out_len)
					    : pki_sgn_finish(head, head_len, b, body_len, sig, sig_len, &out, &out_len);
	}
	if (rc == 0 && check) {
		static struct pki_tl tl;
		struct pki_sgn f;

		if (j->spoil)
			out[out_len - 1] ^= 1;
		if (j->what == ITL)
			rc = pki_tl_parse(out, out_len, &tl, why, sizeof(why)) == 0 ?
				     pki_tl_verify(&tl, NULL, NULL, why, sizeof(why)) : -1;
		else
			rc = pki_sgn_parse(out, out_len, &f, why, sizeof(why)) == 0 ?
				     pki_sgn_verify_cert(&f, j->tftp, why, sizeof(why)) : -1;
	}
	if (rc != 0)
		fprintf(stderr, "ravelin-bench: sign: %s: %s\n", what_names[j->what], why);
	OPENSSL_free(head);
	OPENSSL_free(body);
	OPENSSL_free(out);
	return rc;
}

static void *worker(void *arg)
{
	struct job *j = arg;

	while (bench_now() < j->until && j->rc == 0 && !bench_stopped) {
		j->rc = make_one(j, false);
		j->done++;
	}
	return NULL;
}

static double own_cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Files per second of CPU; *ret_wall: per second of the clock. Below 0: something failed. */
static double ours(const struct job *base, pid_t signer, double seconds, double *ret_wall)
{
	double cpu = own_cpu() + bench_cpu_of(signer, false), t = bench_now();
	struct job jobs[THREADS];
	pthread_t th[THREADS];
	unsigned long done = 0;

	for (int i = 0; i < THREADS; i++) {
		jobs[i] = *base;
		jobs[i].until = t + seconds;
		if (pthread_create(&th[i], NULL, worker, &jobs[i]) != 0)
			abort();
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(th[i], NULL);
	*ret_wall = bench_now() - t;
	cpu = own_cpu() + bench_cpu_of(signer, false) - cpu;
	for (int i = 0; i < THREADS; i++) {
		if (jobs[i].rc != 0)
			return -1;
		done += jobs[i].done;
	}
	*ret_wall = (double)done / *ret_wall;
	return (double)done / cpu;
}

static double raw(EVP_PKEY *key, enum pki_digest digest, double seconds)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	uint8_t md[64] = {1}, sig[512];
	size_t md_len = (size_t)EVP_MD_get_size(pki_digest_md(digest));
	double cpu = own_cpu(), until = bench_now() + seconds;
	unsigned long n = 0;

	if (ctx == NULL || EVP_PKEY_sign_init(ctx) != 1 || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_signature_md(ctx, pki_digest_md(digest)) != 1)
		return -1;
	while (bench_now() < until) {
		size_t len = sizeof(sig);

		md[0] = (uint8_t)n;
		if (EVP_PKEY_sign(ctx, sig, &len, md, md_len) != 1)
			return -1;
		n++;
	}
	EVP_PKEY_CTX_free(ctx);
	return (double)n / (own_cpu() - cpu);
}

static int one_case(const struct bench_opts *opts, struct job *j, pid_t signer, EVP_PKEY *key)
{
	const unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 3 : 7;
	const double seconds = opts->quick ? 0.4 : 1;
	double value[BENCH_RUNS_MAX], peer[BENCH_RUNS_MAX], wall[BENCH_RUNS_MAX];
	json_t *kase = json_pack("{s:s, s:s, s:s}", "key", "rsa-2048", "digest", pki_digest_name(j->digest), "file",
				 what_names[j->what]);

	if (!bench_wanted(opts, kase)) {
		json_decref(kase);
		return 0;
	}
	for (unsigned int i = 0; i < runs; i++) {
		value[i] = make_one(j, true) == 0 ? ours(j, signer, seconds, &wall[i]) : -1;
		peer[i] = value[i] > 0 ? raw(key, j->digest, seconds) : -1;
		if (peer[i] <= 0 || bench_stopped) {
			json_decref(kase);
			return 1;
		}
	}
	bench_row(opts, &(struct bench_row){.bench = "sign", .kase = kase, .unit = "file/s/core", .peer = "openssl",
					    .value = value, .peer_value = peer, .runs = runs, .peer_runs = runs,
					    .more = json_pack("{s:f}", "per_s", bench_quantile(wall, runs, 0.5))});
	return 0;
}

static X509 *ident_cert(struct cp_signer *signer, const char *name)
{
	struct cp_signer_ident *ids;
	X509 *cert = NULL;
	unsigned n;

	if (cp_signer_idents(signer, &ids, &n) < 0)
		return NULL;
	for (unsigned i = 0; i < n && cert == NULL; i++)
		if (strcmp(ids[i].name, name) == 0 && X509_up_ref(ids[i].cert) == 1)
			cert = ids[i].cert;
	cp_signer_idents_free(ids, n);
	return cert;
}

int bench_sign(const struct bench_opts *opts)
{
	static const enum pki_digest digests[] = {PKI_SHA1, PKI_SHA512};
	char path[PATH_MAX], cfg[PATH_MAX], run[PATH_MAX];
	double limit = bench_now() + 30;
	struct bench_place place;
	uint8_t plain[PLAIN];
	struct job j = {.plain = plain, .spoil = opts->spoil};
	EVP_PKEY *key = NULL, *phone = NULL;
	X509 *ca = NULL;
	pid_t pid;
	FILE *f;
	int rc = -1;

	if (bench_place_make(&place, "sign") < 0)
		return 1;
	snprintf(cfg, sizeof(cfg), "%s/ravelin.yaml", place.dir);
	snprintf(run, sizeof(run), "%s/run", place.dir);
	f = fopen(cfg, "we");
	if (f != NULL) {
		fprintf(f, "paths: {state: %s/state, run: %s}\nlog: {level: warn}\n", place.dir, run);
		fclose(f);
	}
	memset(plain, 'x', sizeof(plain));
	pid = bench_spawn(&place, "signer.log",
			  (char *[]){bench_program(&place, "../pki/signer/ravelin-signer", path, sizeof(path)), (char *)"-c", cfg,
				     NULL}, -1);
	while (cp_signer_open(run, 5000, &j.signer) < 0 && bench_now() < limit && !bench_stopped)
		bench_rest(0.1);
	if (j.signer != NULL) {
		j.tftp = ident_cert(j.signer, "TFTP");
		rc = cp_signer_test_identity(j.signer, "SEP0123456789AB", 1 /* RSA 2048 */, &phone, &j.phone, &ca);
	}
	key = EVP_RSA_gen(2048);
	if (rc < 0 || j.tftp == NULL || key == NULL) {
		fprintf(stderr, "ravelin-bench: sign: the signer does not answer\n");
		rc = 1;
	}
	for (int w = SGN; w < WHAT_MAX && rc == 0; w++) {
		for (size_t d = 0; d < 2 && rc == 0; d++) {
			j.what = (enum what)w;
			j.digest = digests[d];
			rc = one_case(opts, &j, pid, key);
		}
	}
	cp_signer_close(j.signer);
	bench_end(&pid);
	X509_free(j.tftp);
	X509_free(j.phone);
	X509_free(ca);
	EVP_PKEY_free(phone);
	EVP_PKEY_free(key);
	bench_place_end(&place, "sign", rc != 0 && !bench_stopped);
	return rc;
}
