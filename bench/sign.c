/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signing what phones fetch: a real signer process, asked over its socket by threads of this one, which build and
 * finish the files, all on one CPU. Value: finished files per second of CPU time, of the signer and of this process together.
 * Peers, in turn with it on the same CPU, with a key of the same kind in this process and contexts that are kept: bare RSA
 * signatures of a digest; for encrypted files also those with the encryption that such a file needs. Files are verified.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "bench.h"
#include "proc.h"
#include "sgn.h"
#include "signerc/signerc.h"
#include "trustlist.h"

#define THREADS 4
#define PLAIN   4096 /* bytes of a configuration */
#define SLICE_S 0.25 /* ours, then the peers, and again */

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

	const struct sched_param none = {0};

	(void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &none); /* as those of the controlplane that sign */

	while (bench_now() < j->until && j->rc == 0 && !bench_stopped) {
		j->rc = make_one(j, false);
		j->done++;
	}
	return NULL;
}

/* What a run did in its slices: of ours, and of each peer. */
struct tally {
	double n, cpu_s, wall_s;
};

static int ours(const struct job *base, pid_t signer, struct tally *t)
{
	double cpu = bench_cpu_of(getpid(), false) + bench_cpu_of(signer, false), from = bench_now();
	struct job jobs[THREADS];
	pthread_t th[THREADS];

	for (int i = 0; i < THREADS; i++) {
		jobs[i] = *base;
		jobs[i].until = from + SLICE_S;
		if (pthread_create(&th[i], NULL, worker, &jobs[i]) != 0)
			abort();
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(th[i], NULL);
	t->wall_s += bench_now() - from;
	t->cpu_s += bench_cpu_of(getpid(), false) + bench_cpu_of(signer, false) - cpu;
	for (int i = 0; i < THREADS; i++) {
		if (jobs[i].rc != 0)
			return -1;
		t->n += (double)jobs[i].done;
	}
	return 0;
}

struct raw { /* OpenSSL's calls alone */
	EVP_PKEY_CTX *sign, *wrap;
	EVP_CIPHER_CTX *aes;
	const EVP_MD *md;
	size_t md_len;
	uint8_t key[32]; /* and the IV */
};

static bool raw_init(struct raw *r, EVP_PKEY *key, const struct job *j)
{
	const EVP_MD *md = pki_digest_md(j->digest);

	*r = (struct raw){.sign = EVP_PKEY_CTX_new(key, NULL), .wrap = EVP_PKEY_CTX_new(X509_get0_pubkey(j->phone), NULL),
			  .aes = EVP_CIPHER_CTX_new(), .md = md, .md_len = (size_t)EVP_MD_get_size(md)};
	return r->sign != NULL && r->wrap != NULL && r->aes != NULL && EVP_PKEY_sign_init(r->sign) == 1 &&
	       EVP_PKEY_CTX_set_rsa_padding(r->sign, RSA_PKCS1_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_signature_md(r->sign, md) == 1 && EVP_PKEY_encrypt_init(r->wrap) == 1 &&
	       EVP_PKEY_CTX_set_rsa_padding(r->wrap, RSA_PKCS1_PADDING) == 1 &&
	       EVP_EncryptInit_ex(r->aes, EVP_aes_128_cbc(), NULL, r->key, r->key + 16) == 1;
}

static void raw_fini(struct raw *r)
{
	EVP_PKEY_CTX_free(r->sign);
	EVP_PKEY_CTX_free(r->wrap);
	EVP_CIPHER_CTX_free(r->aes);
}

/* Signatures; with 'plain' that is hashed and encrypted too, under a key that is encrypted for the phone: what the format of an
 * encrypted file asks for. */
static int raw(struct raw *r, const uint8_t *plain, struct tally *t)
{
	static uint8_t cipher[PLAIN + 16];
	uint8_t md[64] = {1}, sig[512], wrapped[512], hash[64];
	double cpu = bench_cpu_of(getpid(), false), from = bench_now();

	while (bench_now() < from + SLICE_S) {
		size_t len = sizeof(wrapped);
		int out = 0;

		md[0] = r->key[0] = (uint8_t)t->n;
		if (plain != NULL && EVP_Digest(plain, PLAIN, hash, NULL, r->md, NULL) != 1)
			return -1;
		if (plain != NULL && (EVP_PKEY_encrypt(r->wrap, wrapped, &len, r->key, 16) != 1 ||
				      EVP_EncryptInit_ex(r->aes, NULL, NULL, r->key, r->key + 16) != 1 ||
				      EVP_EncryptUpdate(r->aes, cipher, &out, plain, PLAIN) != 1 ||
				      EVP_EncryptFinal_ex(r->aes, cipher + out, &out) != 1))
			return -1;
		len = sizeof(sig);
		if (EVP_PKEY_sign(r->sign, sig, &len, md, r->md_len) != 1)
			return -1;
		t->n++;
	}
	t->wall_s += bench_now() - from;
	t->cpu_s += bench_cpu_of(getpid(), false) - cpu;
	return 0;
}

static int one_case(const struct bench_opts *opts, struct job *j, pid_t signer, EVP_PKEY *key)
{
	const unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 3 : 5, slices = 2;
	double value[BENCH_RUNS_MAX], sign[BENCH_RUNS_MAX], both[BENCH_RUNS_MAX], wall[BENCH_RUNS_MAX];
	json_t *kase = json_pack("{s:s, s:s, s:s}", "key", "rsa-2048", "digest", pki_digest_name(j->digest), "file",
				 what_names[j->what]);
	struct raw r = {0};
	int rc = 0;

	if (!bench_wanted(opts, kase)) {
		json_decref(kase);
		return 0;
	}
	rc = raw_init(&r, key, j) ? 0 : 1;
	for (unsigned int i = 0; i < runs && rc == 0; i++) {
		struct tally t[3] = {0};

		rc = make_one(j, true);
		for (unsigned int k = 0; k < slices && rc == 0; k++) { /* in turn: what disturbs one disturbs all */
			rc = ours(j, signer, &t[0]);
			if (rc == 0)
				rc = raw(&r, NULL, &t[1]);
			if (rc == 0 && j->what == ENC)
				rc = raw(&r, j->plain, &t[2]);
		}
		rc = rc != 0 || bench_stopped;
		value[i] = t[0].n / t[0].cpu_s;
		wall[i] = t[0].n / t[0].wall_s;
		sign[i] = t[1].n / t[1].cpu_s;
		both[i] = t[2].n / t[2].cpu_s;
	}
	for (int p = 0; p < (j->what == ENC ? 2 : 1) && rc == 0; p++)
		bench_row(opts, &(struct bench_row){.bench = "sign", .kase = json_deep_copy(kase), .unit = "file/s/core",
						    .peer = p == 0 ? "openssl" : "openssl-encrypt", .value = value,
						    .peer_value = p == 0 ? sign : both, .runs = runs, .peer_runs = runs,
						    .more = json_pack("{s:f}", "per_s", bench_quantile(wall, runs, 0.5))});
	raw_fini(&r);
	json_decref(kase);
	return rc;
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
	const int cpu = opts->cpu >= 0 ? opts->cpu : (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
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
				     NULL}, cpu);
	bench_pin(cpu); /* threads and all: what one core does */
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
