/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "backup.h"
#include "bundle.h"
#include "config.h"
#include "file.h"

#define ENTRIES (PKI_IDENT_MAX + 4)

static int add(struct pki_bundle_entry *e, const char *name, const uint8_t *p, size_t len)
{
	snprintf(e->name, sizeof(e->name), "%s", name);
	e->p = p;
	e->len = len;
	return 1;
}

int pki_backup(struct pki_state *st, const char *pass, uint8_t **ret, size_t *ret_len, uint8_t records_key[32], char *why,
	       size_t why_size)
{
	struct pki_bundle_entry e[ENTRIES];
	uint8_t *file[PKI_IDENT_MAX + 1] = {NULL}, kek[32], random[PKI_BUNDLE_RANDOM];
	size_t len[PKI_IDENT_MAX + 1] = {0};
	char path[PATH_MAX];
	unsigned n = 0;
	int rc;

	if (strlen(pass) < PKI_BUNDLE_PASS_MIN || strlen(pass) > PKI_BUNDLE_PASS_MAX) {
		snprintf(why, why_size, "a passphrase has %d to %d characters", PKI_BUNDLE_PASS_MIN, PKI_BUNDLE_PASS_MAX);
		return -EACCES;
	}
	if (st->dir == NULL)
		return -EROFS;
	rc = pki_kek_read(st->cfg->signer.kek_file, kek);
	if (rc < 0) {
		snprintf(why, why_size, "%s: %s", st->cfg->signer.kek_file, strerror(-rc));
		return rc;
	}
	if (RAND_priv_bytes(records_key, 32) != 1 || RAND_bytes(random, sizeof(random)) != 1)
		rc = -EIO;
	n += (unsigned)add(&e[n], "kek", kek, sizeof(kek));
	n += (unsigned)add(&e[n], "records", records_key, 32);
	n += (unsigned)add(&e[n], "cluster", (const uint8_t *)st->cluster, strlen(st->cluster));
	for (int i = 0; i <= PKI_IDENT_MAX && rc == 0; i++) {
		char name[64] = "made";

		if (i < PKI_IDENT_MAX)
			snprintf(name, sizeof(name), "%s.key.pem", pki_ident_defs[i].name);
		snprintf(path, sizeof(path), "%s/%s", st->dir, name);
		rc = pki_file_read(path, &file[i], &len[i]);
		if (rc < 0)
			snprintf(why, why_size, "%s: %s", path, strerror(-rc));
		else
			n += (unsigned)add(&e[n], name, file[i], len[i]);
	}
	if (rc == 0) {
		rc = pki_bundle_seal_keys(pass, PKI_BUNDLE_LOG2N, random, e, n, ret, ret_len);
		if (rc < 0)
			snprintf(why, why_size, "not sealed: %s", rc == -ENOMEM ? "128 MiB of memory are needed" : strerror(-rc));
	}
	for (int i = 0; i <= PKI_IDENT_MAX; i++)
		OPENSSL_free(file[i]); /* sealed under the KEK */
	OPENSSL_cleanse(kek, sizeof(kek));
	if (rc < 0)
		OPENSSL_cleanse(records_key, 32);
	return rc;
}
