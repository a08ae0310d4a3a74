/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Client of the signer process. Blocking, with a time-out per call; safe from several threads, up to eight calls at once
 * (each on a connection of its own; the ninth waits). Use it at start, or from a thread that may wait: never on the event loop. A
 * connection that broke is made again, once, by the next call: a request that was sent and not answered is
 * not repeated.
 *
 * Errors of all calls: -ENOENT, -ECONNREFUSED, -EPIPE, -ECONNRESET signer not there; -ETIMEDOUT; -EACCES the
 * socket's owner is neither root nor us, or the signer refused (not authentic, not allowed); -EPROTO the
 * answer made no sense; -EBADMSG the signer found the request malformed; -ENOMEM. cp_signer_error() says more.
 */
#ifndef CP_SIGNERC_H
#define CP_SIGNERC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "scep.h"
#include "signer.h"

struct cp_signer;

/** Connect to RUN_DIR/signer.sock and greet. Returns 0 or why not; call again later then. */
int cp_signer_open(const char *run_dir, unsigned timeout_ms, struct cp_signer **ret_signer);

/** NULL is allowed. */
void cp_signer_close(struct cp_signer *signer);

/** Text of the last error, of the calling thread's last call; "" if none. */
const char *cp_signer_error(const struct cp_signer *signer);

/**
 * Key, certificate and CA chain (without the certificate itself) of a TLS server role: "CallManager", "TVS",
 * "HTTPS". The caller owns all three. -ENOENT: no such role.
 */
int cp_signer_server_identity(struct cp_signer *signer, const char *role, EVP_PKEY **ret_key, X509 **ret_cert,
			      STACK_OF(X509) **ret_chain);

/** The CAs that may issue phone certificates: the CAPF issuer first, then signer.trust. For pki_phone_store(). */
int cp_signer_trust(struct cp_signer *signer, STACK_OF(X509) **ret_cas);

/** What the CallManager certificate chains to (itself where it is self-signed), and the CAPF issuer. */
int cp_signer_cas(struct cp_signer *signer, X509 **ret_server_ca, X509 **ret_capf_ca);

/** Issue an LSC for 'device' from a PKCS#10 request, whose signature the signer checks; its subject is not looked at. For a public key:
 * lscask.h. */
int cp_signer_lsc_issue_csr(struct cp_signer *signer, const char *device, X509_REQ *csr, X509 **ret_cert);

/** `ravelinctl cert issue`: make a key and an LSC for a device that is simulated. type: enum pki_key_type. */
int cp_signer_test_identity(struct cp_signer *signer, const char *device, int type, EVP_PKEY **ret_key,
			    X509 **ret_cert, X509 **ret_capf_ca);

/**
 * Seal up to 32,768 bytes under the cluster's key-encryption key, bound to up to 1,024 bytes of 'aad'
 * (which is not stored: give the record's key, so that a blob cannot be moved to another record). *ret_sealed
 * is OPENSSL_malloc'ed: OPENSSL_free().
 */
int cp_signer_seal(struct cp_signer *signer, const void *plain, size_t len, const void *aad, size_t aad_len,
		   uint8_t **ret_sealed, size_t *ret_len);

/** Undo it. *ret_plain: OPENSSL_clear_free(p, len). -EACCES: changed, of another key, or of other bound data. */
int cp_signer_unseal(struct cp_signer *signer, const void *sealed, size_t len, const void *aad, size_t aad_len,
		     uint8_t **ret_plain, size_t *ret_len);

/*
 * The signer's identities (pki/signer/state.h). Those that make trust sign and never leave: "CAPF" (issues LSCs), "SAST1",
 * "SAST2" (sign the CTL), "TFTP" (signs the ITL and files), "ITLRecovery". Those of servers are handed over: "CallManager",
 * "TVS", "HTTPS", "TFTP-EC" (HTTPS 6971), "CAPF-TLS" (issued by "CAPF"), "IPsec". "CAPF-RA" asks a third party's CA and never leaves either. "NAME.prev" is what NAME was before it was
 * regenerated, kept until retired, so that phones that know only the old key can be led over.
 */
#define CP_SIGNER_IDENT_MAX 64

struct cp_signer_ident {
	char name[CP_SIGNER_IDENT_MAX];
	char key[16];      /* "rsa-2048", "rsa-3072", "rsa-4096", "ec-p256", "ec-p384" */
	bool hardware;     /* PKCS#11 */
	bool server;       /* can be handed over */
	bool absent;       /* its token is not there: it cannot sign */
	bool csr_pending;  /* a request is out: its key waits for the certificate */
	X509 *cert;        /* owned by the array */
	STACK_OF(X509) *chain; /* of a certificate that a third party issued; may be NULL */
};
/** All identities. cp_signer_idents_free(). */
int cp_signer_idents(struct cp_signer *signer, struct cp_signer_ident **ret, unsigned *ret_cnt);
void cp_signer_idents_free(struct cp_signer_ident *idents, unsigned cnt);

/** Make a new key and self-signed certificate for 'name' (key NULL: of the kind it has); the old pair becomes NAME.prev. */
int cp_signer_regen(struct cp_signer *signer, const char *name, const char *key, X509 **ret_cert);
/** A PKCS#10 request for 'name' with a new key that waits; an earlier one that waited is dropped. */
int cp_signer_csr(struct cp_signer *signer, const char *name, const char *key, X509_REQ **ret_csr);
/** A third party's answer to the request that waits (or a new certificate for the key in use), with its chain, leaf first.
 * -EACCES: not for our key, or the chain does not verify. The old pair becomes NAME.prev if the key changes. */
int cp_signer_import(struct cp_signer *signer, const char *name, STACK_OF(X509) *chain);
/** Drop NAME.prev. -ENOENT. */
int cp_signer_retire(struct cp_signer *signer, const char *name);

enum cp_sign_kind { CP_SIGN_CTL = 1, CP_SIGN_ITL, CP_SIGN_FILE, CP_SIGN_ENC };

/**
 * Sign one typed thing: a list from pki_tl_build() (body NULL), or header and body of a file from pki_sgn_build(). The signer
 * parses it, and refuses (-EACCES) what is not of this kind, names another signer than 'ident', or may not be signed by it: CTL
 * by SAST1, SAST2, CallManager (tokenless), ITLRecovery; ITL by TFTP, ITLRecovery, CallManager; files by TFTP. *ret_len: in
 * the room of 'sig' (at least 512), out its length. Several threads may wait here at once.
 */
int cp_signer_sign(struct cp_signer *signer, enum cp_sign_kind kind, const char *ident, const void *head, size_t head_len,
		   const void *body, size_t body_len, uint8_t *sig, size_t *ret_len);

/**
 * A revocation list of the CAPF issuer ('issuer': "CAPF", or "CAPF.prev"), built and signed there from entries (crl.h), with this
 * number, valid for so many minutes. *ret_der: OPENSSL_free(). -ENOENT: no such issuer.
 */
int cp_signer_crl(struct cp_signer *signer, const char *issuer, const uint8_t *entries, size_t len, uint32_t number, uint32_t valid_min,
		  uint8_t **ret_der, size_t *ret_len);

/**
 * The registration authority, behind which a third party's CA issues (pki/signer.h, enum pki_ra_op; scep.h). 'name' and 'pub' are a
 * device and its key, or an identity and NULL. 'ca' is what GetCACert answered, 'what' nonce and answer of OPEN; both empty
 * where they are not needed. cp_signer_ra_free(). -EACCES, -EBADMSG: the answer is not to be believed, or the CA does not do what is
 * wanted; -EINVAL: not configured.
 */
struct cp_signer_ra {
	unsigned status;       /* OPEN: enum pki_scep_status */
	int fail;              /* failInfo, -1: none */
	char text[128];        /* the CA's words */
	uint8_t *data;         /* the others: request or message */
	size_t len;
	uint8_t nonce[PKI_SCEP_NONCE]; /* of that message */
	STACK_OF(X509) *certs; /* OPEN: the certificate, then the CA's */
};
int cp_signer_ra(struct cp_signer *signer, const char *name, unsigned op, unsigned caps, EVP_PKEY *pub, struct pki_blob ca, struct pki_blob what,
		 struct cp_signer_ra *ret);
void cp_signer_ra_free(struct cp_signer_ra *r);

/**
 * Backup: everything the signer holds, encrypted under a passphrase (scrypt, AES-256-GCM), and a key for the records that go beside
 * it. *ret_blob: OPENSSL_free(). 'records_key' is wiped by the caller.
 */
int cp_signer_backup(struct cp_signer *signer, const char *passphrase, uint8_t **ret_blob, size_t *ret_len,
		     uint8_t records_key[32]);

#endif
