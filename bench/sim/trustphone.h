/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A phone's side of trust: it boots, fetches CTL, ITL and a signed configuration, and believes or does not. Own parser of
 * the files, OpenSSL for signatures; nothing of pki/ or controlplane/ is used, so that agreement means something. What a
 * phone holds is a parsed file that all phones with the same file share, and a signature that was checked once with a
 * certificate is not checked again: ten thousand phones are cheap.
 *
 * What it does, in order (what phones are documented or were seen to do):
 *  1. CTL: none served, it keeps what it has. It holds no CTL that could check one: taken unchecked. Else the signer is
 *     looked up by serial number and issuer among the SAST records of the CTL it holds, then asked from TVS.
 *  2. ITL: it holds neither list that could check one: taken unchecked. Else a SAST or CCM+TFTP record of its ITL or CTL, or a
 *     TFTP record of its CTL, then TVS.
 *  3. Configuration: with a TFTP or CCM+TFTP record in a list it wants it signed by one of these, or by one TVS gives
 *     that role; without one it takes any.
 *  4. CallManager, if its lists hold a CCM record and it is to be secure: the certificate shown must be in a CCM or
 *     CCM+TFTP record, or TVS says so. CAPF, if it has any list: the same with CAPF.
 *  TVS is asked over TLS: the certificate that it shows must be in a TVS record of a list.
 */
#ifndef SIM_TRUSTPHONE_H
#define SIM_TRUSTPHONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tp_pool; /* parsed files, checked signatures */
struct tp_list; /* a list; belongs to the pool */

struct tp_pool *tp_pool_create(void);
void tp_pool_destroy(struct tp_pool *pool);

struct tp_blob {
	const uint8_t *p;
	size_t len;
};

/* What TVS knows of a certificate; the answer is borrowed. False: not valid. */
struct tp_tvs_answer {
	struct tp_blob der;
	const uint8_t *roles;
	unsigned role_cnt;
};
typedef bool (*tp_tvs_fn)(void *ctx, const uint8_t *serial, size_t serial_len, const char *issuer, struct tp_tvs_answer *ret);
/* The same by the whole certificate. */
typedef bool (*tp_tvs_cert_fn)(void *ctx, struct tp_blob der, struct tp_tvs_answer *ret);

/** A file as phones see it: parsed once for all. 'list': with records. NULL: it cannot be read (or no memory). */
const struct tp_list *tp_file(struct tp_pool *pool, struct tp_blob file, bool list);

struct tp_offer { /* what it finds in the network when it boots; NULL: not there */
	const struct tp_list *ctl, *itl;
	const struct tp_list *config;  /* signed */
	struct tp_blob tvs, ccm, capf; /* certificates that the servers show, DER; p NULL: no such server */
	tp_tvs_fn tvs_ask;
	tp_tvs_cert_fn tvs_verify;
	void *tvs_ctx;
};

struct tp_phone {
	const struct tp_list *ctl, *itl; /* NULL: none */
	bool secure;
	/* of the last boot */
	bool took_ctl, took_itl; /* a list other than the one it held */
	bool bad_ctl, bad_itl;   /* refused */
	bool config_ok, ccm_ok, capf_ok;
};

/** One boot. */
void tp_boot(struct tp_pool *pool, struct tp_phone *phone, const struct tp_offer *offer);

/**
 * Boot until two boots differ in nothing, at most 'tries'. True: it works, and holds just the files that are offered; false: it
 * does not, and never will by itself: it is stranded.
 */
bool tp_settle(struct tp_pool *pool, struct tp_phone *phone, const struct tp_offer *offer, unsigned tries);

/** SHA-256 of the file. */
const uint8_t *tp_list_sha(const struct tp_list *list);
/** Signatures that were really checked so far. */
unsigned tp_pool_checks(const struct tp_pool *pool);

#endif
