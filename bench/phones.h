/* SPDX-License-Identifier: BSD-3-Clause */
/* A signer and a controlplane of this build with many phones' records, in a directory of their own. */
#ifndef BENCH_PHONES_H
#define BENCH_PHONES_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "bench.h"
#include "proc.h"

struct bench_phones {
	struct bench_place at;
	uint16_t port; /* SCCP over TLS */
	pid_t signer, cp, dp, phones;
};

struct bench_id {
	EVP_PKEY *key;
	X509 *cert;
};

void bench_id_free(struct bench_id *id);
/** Signed by 'ca'; NULL: a CA itself. 0 or -1; what was made is freed by bench_id_free() in either case. */
int bench_id_make(const char *cn, bool rsa, const struct bench_id *ca, struct bench_id *ret);

/** DIR/phones-ca.pem (with its key, for the simulator) and DIR/trust.pem. 0 or -1. */
int bench_phones_ca(const struct bench_phones *p, const struct bench_id *ca);
/** Configuration, and records of phones SEP000000000001 and so on with lines 100001 and so on. 'sccp' goes
 * on with sccp's keys (", key: value"), 'more' is further YAML. 0 or -1. */
int bench_phones_configure(struct bench_phones *p, const char *key, unsigned int phones, const char *sccp, const char *more);
/** Start the daemons, in mixed mode, and import the records. 0 or -1. */
int bench_phones_start(struct bench_phones *p);
/** The controlplane alone, again. */
int bench_phones_cp(struct bench_phones *p);
void bench_phones_end(struct bench_phones *p);
/** Phones registered with encryption; -1: no answer. */
long bench_phones_here(const struct bench_phones *p);

/** OpenSSL alone, both ends here: mutual handshakes a second of the server's calls, 'cnt' of them; 'resumed': of a session. -1. */
double bench_mutual_per_s(bool rsa, const struct bench_id *ca, unsigned int cnt, bool resumed);

/* The rows of register that are in files of their own. 0, or not after a message. */
int bench_listener(const struct bench_opts *opts, struct bench_phones *p, const char *key, const struct bench_id *ca);
int bench_storm(const struct bench_opts *opts, struct bench_phones *p, const struct bench_id *ca);

#endif
