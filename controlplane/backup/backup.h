/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Backup and restore (pki/bundle.h). A bundle holds the signer's keys and certificates and every shared family of the store as of
 * one moment; not the local ones (running calls, SAs, whose sequence numbers must never come twice, the audit), not signatures
 * that can be made again, and not the operator's files in STATE/files.
 *
 * A restore makes a complete state beside the one there is, STATE.restore, synced, and then puts it in its place by one
 * rename (an exchange, where there is a state already: that becomes STATE.before-restore). Killed at any time, there is the
 * state as it was or the restored one.
 */
#ifndef CP_BACKUP_H
#define CP_BACKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct cfg;
struct cp_app;

/** Register "backup.create": args "passphrase"; it writes STATE/backup/NAME.bundle, mode 0600, and says its path. */
int cp_backup_commands(struct cp_app *app);

/**
 * Read a bundle whole: every part of it is checked. *ret is an object: "meta", "records" by family, "identities" with
 * fingerprints. Errors with one line in 'err': -EACCES wrong passphrase or changed, -EBADMSG no bundle or cut short, -ENOTSUP of another
 * schema, others from reading.
 */
int cp_backup_show(const char *file, const char *pass, json_t **ret, char *err, size_t err_size);

/**
 * Restore into cfg's state. Phones that the state there knows and that the restored one would strand: -EPERM, unless 'strand' is
 * their number (-1: none was given). -EBUSY a daemon runs on it, -EEXIST there is a state and not 'force', -EXDEV the state is a mount point
 * or its KEK is kept where it cannot be replaced together with it; others as cp_backup_show(). *ret as there.
 */
int cp_restore(const struct cfg *cfg, const char *file, const char *pass, bool force, int64_t strand, json_t **ret, char *err,
	       size_t err_size);

/** ravelin-controlplane --restore and --show-backup: prints what the bundle holds as JSON, or an error. Returns the exit status. */
int cp_backup_tool(const struct cfg *cfg, bool restore, const char *file, const char *pass_file, bool force, int64_t strand);

/** Read a passphrase: the first line of a file, or of standard input ("-"). OPENSSL_clear_free(p, strlen(p)). */
int cp_backup_passphrase(const char *file, char **ret, char *err, size_t err_size);

#endif
