/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A phone's side of CAPF, blocking, one session a call: it answers what the server asks, makes keys, keeps its LSC in a folder that
 * is its flash, and may vanish at any byte. Own reader and writer of the messages; nothing of controlplane/ or pki/ is used.
 *
 * The flash: NAME.lsc.pem (certificate and key, written in one piece and synced before the server is told), NAME.mic.pem if it has one.
 */
#ifndef SIM_CAPFPHONE_H
#define SIM_CAPFPHONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

enum capfp_show { CAPFP_SHOW_NONE, CAPFP_SHOW_LSC, CAPFP_SHOW_MIC };

struct capfp_opts {
	const char *server;     /* address */
	uint16_t port;
	const char *source;     /* address it comes from; NULL: any */
	SSL_CTX *tls;           /* capfp_tls(); shared */
	const char *name;       /* SEP... */
	const char *flash;      /* folder; NULL: it forgets */
	const char *string;     /* what its user types; NULL: the null string */
	enum capfp_show show;   /* which certificate it authenticates with; LSC falls back to MIC, and MIC to LSC */
	bool no_sha2;           /* an old phone: without element 20 */
	bool no_sudi;           /* without element 16 */
	bool no_ec;             /* it cannot make EC keys */
	uint8_t version;        /* 0: 3 */
	EVP_PKEY *key;          /* used instead of making one where it fits what is asked; NULL: make one */
	bool fail_store, fail_delete; /* its flash is broken */
	bool keep_key;          /* a key whose certificate did not come is kept in the flash for the next session */
	unsigned slow_ms;       /* a key takes so long, with REQUEST_IN_PROGRESS before */
	long vanish;            /* after so many bytes of messages in either direction, without a word; 0: never */
	unsigned timeout_ms;    /* for each answer; 0: 10000 */
};

struct capfp_result {
	int reason;             /* of END_SESSION; -1: there was none */
	int op;                 /* 1 install, 2 delete, 3 fetch; 0 none was asked */
	bool made_key;          /* it was asked for a key, and made one */
	bool stored;            /* the flash has a new LSC */
	bool deleted, vanished;
	unsigned key_bits;      /* asked for; EC: of its curve */
	bool key_ec;
	long bytes;             /* of messages, both directions */
	char serial[64];        /* of the LSC it holds now, hex; "" none (with a flash) */
	char error[120];        /* "": none */
};

/** Client TLS: 'ca' (PEM file) verifies the server; NULL: it is believed. 'legacy': TLS 1.0. NULL: why is in 'err'. */
SSL_CTX *capfp_tls(const char *ca, bool legacy, char *err, size_t size);

/** One session. 0: it came to an END_SESSION; else -1, with 'error' (or vanished). */
int capfp_run(const struct capfp_opts *o, struct capfp_result *ret);

/** Serial number of the LSC in the flash, hex; false: there is none. */
bool capfp_holds(const char *flash, const char *name, char ret[64]);

#endif
