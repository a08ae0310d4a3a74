/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A backup in one file: what the signer holds, sealed under a passphrase, and behind it the records, sealed under a key that
 * lies in the first part. Bytes in, bytes out; big-endian:
 *
 *   "RVBUNDLE" u32 length of the keys' part, keys' part, chunks until the last
 *
 *   keys' part   "RVKY" u8 version 1, u8 log2 N, u8 r, u8 p (scrypt, RFC 7914), 16 bytes salt, 12 bytes nonce, cipher text, 16 bytes
 *                tag: AES-256-GCM, all before the cipher text authenticated. Inside: entries, each u8 length, name, u32
 *                length, bytes. "records" (32 bytes) is the chunks' key.
 *   chunk        u32 length of its cipher text with tag, PKI_BUNDLE_LAST set in the last; cipher text and 16 bytes tag: AES-256-GCM,
 *                nonce 0 and its number (u64), authenticated with SHA-256 of all before the first chunk, its number and whether
 *                it is the last. So no chunk can be left out, moved, or come from another bundle, and an end that is
 *                missing is found. The last is empty.
 *   in chunks    records one after the other: u8 family, u16 length, key, u32 length, value; none is cut by a chunk's end.
 *                Family 255 is the bundle's own: key "meta", value a JSON text; it comes first.
 *
 * Errors: -EBADMSG malformed or cut short, -EACCES wrong passphrase or changed, -EOPNOTSUPP a newer version, -ENOMEM, -EIO.
 */
#ifndef PKI_BUNDLE_H
#define PKI_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PKI_BUNDLE_LOG2N      17
#define PKI_BUNDLE_CHUNK_MAX  (2 * 1024 * 1024) /* bytes of plain text in a chunk */
#define PKI_BUNDLE_OVERHEAD   20            /* bytes that a chunk adds */
#define PKI_BUNDLE_LAST       0x80000000u
#define PKI_BUNDLE_KEYS_MAX   (4 * 1024 * 1024)
#define PKI_BUNDLE_RANDOM     28 /* bytes of randomness that sealing takes */
#define PKI_BUNDLE_META       255
#define PKI_BUNDLE_PASS_MIN   8 /* characters of a passphrase */
#define PKI_BUNDLE_PASS_MAX   1024

struct pki_bundle_entry {
	char name[64];
	const uint8_t *p; /* borrowed */
	size_t len;
};

/** Seal the keys' part. log2n: PKI_BUNDLE_LOG2N, less in tests only. *ret is OPENSSL_malloc'ed. Takes 128 MiB for a moment. */
int pki_bundle_seal_keys(const char *pass, unsigned log2n, const uint8_t random[PKI_BUNDLE_RANDOM],
			 const struct pki_bundle_entry *entries, unsigned n, uint8_t **ret, size_t *ret_len);

/** Open it. *ret_plain: OPENSSL_clear_free(); read it with pki_bundle_next_entry(). */
int pki_bundle_open_keys(const char *pass, const uint8_t *part, size_t len, uint8_t **ret_plain, size_t *ret_len);

/** The entry at *at, which moves on. 1, 0 at the end, -EBADMSG. */
int pki_bundle_next_entry(const uint8_t *plain, size_t len, size_t *at, struct pki_bundle_entry *ret);

/** Bytes in front of the keys' part. */
void pki_bundle_head(size_t keys_len, uint8_t ret[12]);

/** What chunks are bound to: 32 bytes over head and keys' part. */
int pki_bundle_id(const uint8_t head[12], const uint8_t *keys, size_t keys_len, uint8_t ret[32]);

/** Seal a chunk into 'out' (len + PKI_BUNDLE_OVERHEAD bytes). */
int pki_bundle_seal_chunk(const uint8_t key[32], const uint8_t id[32], uint64_t number, bool last, const uint8_t *plain,
			  size_t len, uint8_t *out);

struct pki_bundle { /* a bundle that is read; borrows it */
	const uint8_t *keys;
	size_t keys_len;
	uint8_t id[32];
	const uint8_t *chunk; /* the next */
	size_t left;
	uint64_t number;
	bool done; /* the last was read, and nothing is behind it */
};

int pki_bundle_parse(const uint8_t *file, size_t len, struct pki_bundle *ret);

/** Open the next chunk into 'out' (PKI_BUNDLE_CHUNK_MAX bytes). 1, 0: that was the last, and it is the end; errors. */
int pki_bundle_next_chunk(struct pki_bundle *b, const uint8_t key[32], uint8_t *out, size_t *ret_len);

struct pki_bundle_record {
	uint8_t family;
	const uint8_t *key, *val; /* borrowed */
	size_t key_len, val_len;
};

/** The record at *at of a chunk's plain text. 1, 0 at the end, -EBADMSG. */
int pki_bundle_next_record(const uint8_t *plain, size_t len, size_t *at, struct pki_bundle_record *ret);

/** Bytes of a record, and the record; 'out' has room for them. */
size_t pki_bundle_record_len(size_t key_len, size_t val_len);
void pki_bundle_put_record(uint8_t *out, const struct pki_bundle_record *r);

#endif
