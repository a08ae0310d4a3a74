/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Typed requests to the process that owns the keys, over RUN/signer.sock (AF_UNIX, SOCK_SEQPACKET, one
 * message per datagram, one reply per request). Big-endian:
 *
 *   0  u16 version, PKI_SIGNER_VERSION
 *   2  u16 type, enum pki_signer_type; a reply has PKI_SIGNER_REPLY set
 *   4  u32 sequence number, chosen by the client, repeated in the reply
 *   8  s32 rc: 0 in a request; in a reply 0 or a negative errno, and then no field follows but "text"
 *  12  the fields of the type, in the order of the table below; name: u8 length, bytes; u32; blob: u32
 *      length, bytes. Nothing may follow the last field.
 *
 *   type       request                              reply
 *   HELLO      -                                    name (cluster)
 *   SERVER     name (role)                          a: key, PKCS#8 DER; b: certificate; c: CAs, DER in a row
 *   TRUST      num: index from 0                    num: count; a: certificate of a CA that may issue for phones
 *   CAS        -                                    a: server CA; b: CAPF issuer; certificates
 *   LSC        name (device; with a also            a: certificate
 *              "USER/INSTANCE" of an application);
 *              a: PKCS#10 request, or b:
 *              SubjectPublicKeyInfo
 *   TEST_ID    name (device); num: pki_key_type     a: key, PKCS#8 DER; b: certificate; c: CAPF issuer
 *   SEAL       a: plain, b: bound data (AAD)        a: sealed
 *   UNSEAL     a: sealed, b: bound data             a: plain
 *   IDENT      num: index from 0                    name; num: count; num2: PKI_SIGNER_ID_* ; a: certificate;
 *                                                   b: chain, DER in a row
 *   REGEN      name; a: key kind, or pkcs11: URI,   a: certificate
 *              empty: as it is
 *   CSR        name; a: as above                    a: PKCS#10 request
 *   IMPORT     name; a: certificates, leaf first,   -
 *              DER in a row
 *   RETIRE     name                                 -
 *   SIGN       name; num: enum pki_sign_kind;       a: signature
 *              num2: bytes of the head in what is
 *              passed, else 0; a: head, b: body
 *   BACKUP     num: 0, then offset; a: passphrase,  num: total bytes; a: of the keys' part (bundle.h), from there;
 *              empty with an offset                 b: key of the records, first time
 *   CRL        name (issuer: "CAPF", "CAPF.prev");  num: total bytes; a: of the revocation list, from there
 *              num: its number, or with an empty
 *              num2 an offset into the last one;
 *              num2: validity in minutes; a:
 *              entries (crl.h)
 *   RA         name (device, or an identity); num:   name: the CA's words; num: enum pki_scep_status;
 *              enum pki_ra_op; num2: what the CA    num2: its failInfo + 1; a: request, message, or
 *              can do (scep.h); a: public key of    certificates in a row; b: nonce of the message
 *              the phone, empty for an identity;
 *              b: GetCACert's answer; c: OPEN:
 *              nonce of what was asked, answer
 *   (error)                                         name: what is wrong, for a log line
 *
 * SIGN of more than fits into a message: a and b are empty, and one memfd is passed along (SCM_RIGHTS), sealed against
 * shrinking, growing and writing, that holds head and body; num2 says where the one ends. CRL may have its entries in one, then a
 * is empty. Nothing else takes a descriptor.
 *
 * Errors: -EBADMSG malformed message or content, -EACCES not authentic or not allowed, -ENOENT no such role or
 * index, -EMSGSIZE too large, -ENOKEY the key is in a token that is not there, -EOPNOTSUPP unknown type or version, -EIO.
 */
#ifndef PKI_SIGNER_H
#define PKI_SIGNER_H

#include <stddef.h>
#include <stdint.h>

#define PKI_SIGNER_VERSION   1
#define PKI_SIGNER_REPLY     0x8000
#define PKI_SIGNER_MSG_MAX   131072 /* bytes of a message: a trust list of 75 KiB is signed in one */
#define PKI_SIGNER_HDR_LEN   12
#define PKI_SIGNER_NAME_MAX  128   /* bytes of a name with a NUL */
#define PKI_SIGNER_SEAL_MAX  32768 /* bytes of plain text that is sealed */
#define PKI_SIGNER_AAD_MAX   1024
#define PKI_SIGNER_SEAL_OVERHEAD 40 /* bytes that sealing adds */

enum pki_signer_type {
	PKI_SIGNER_HELLO = 1,
	PKI_SIGNER_SERVER,
	PKI_SIGNER_TRUST,
	PKI_SIGNER_CAS,
	PKI_SIGNER_LSC,
	PKI_SIGNER_TEST_ID,
	PKI_SIGNER_SEAL,
	PKI_SIGNER_UNSEAL,
	PKI_SIGNER_IDENT,
	PKI_SIGNER_REGEN,
	PKI_SIGNER_CSR,
	PKI_SIGNER_IMPORT,
	PKI_SIGNER_RETIRE,
	PKI_SIGNER_SIGN,
	PKI_SIGNER_BACKUP,
	PKI_SIGNER_CRL,
	PKI_SIGNER_RA,
	PKI_SIGNER_TYPE_MAX
};

enum pki_ra_op {
	PKI_RA_REQUEST = 1, /* a PKCS#10 request for a phone: a */
	PKI_RA_ENROL,       /* a SCEP message that asks for a certificate; for an identity with a new key, which waits */
	PKI_RA_POLL,        /* one that asks again what became of it */
	PKI_RA_OPEN,        /* what the CA answered */
};

enum pki_sign_kind { PKI_SIGN_CTL = 1, PKI_SIGN_ITL, PKI_SIGN_FILE, PKI_SIGN_ENC };

/* num2 of IDENT's reply */
#define PKI_SIGNER_ID_HARDWARE 1 /* its key is in a token */
#define PKI_SIGNER_ID_SERVER   2 /* can be handed over */
#define PKI_SIGNER_ID_PENDING  4 /* a request is out */
#define PKI_SIGNER_ID_ABSENT   8 /* its token is not there */

struct pki_blob {
	const uint8_t *p; /* borrowed */
	size_t len;
};

struct pki_signer_msg {
	uint16_t type; /* without PKI_SIGNER_REPLY */
	uint8_t reply; /* 0, 1 */
	uint32_t seq;
	int32_t rc;
	uint32_t num, num2;
	char name[PKI_SIGNER_NAME_MAX]; /* printable ASCII */
	struct pki_blob a, b, c;        /* point into the message that was parsed */
};

/** 0; -EBADMSG, -EOPNOTSUPP (version or type): then seq is set if the header could be read, else 0. */
int pki_signer_parse(const uint8_t *buf, size_t len, struct pki_signer_msg *ret_msg);

/** Returns the length, or -EMSGSIZE, -EINVAL. */
int pki_signer_build(const struct pki_signer_msg *msg, uint8_t *buf, size_t room);

/** "lsc" and so on, for logs. */
const char *pki_signer_type_name(unsigned type);

#endif
