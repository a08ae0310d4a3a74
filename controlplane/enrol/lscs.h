/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The certificates that were issued to phones, as the store has them: who holds which, and which are refused. An index of the synced
 * records of store/capfrec.h, kept current by the store itself. Event loop's thread. A 'device' is also an application's "USER/INSTANCE".
 */
#ifndef CP_ENROL_LSCS_H
#define CP_ENROL_LSCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "store/capfrec.h"

struct cp_batch;
struct cp_lscs;
struct cp_store;

#define CP_CRL_SUPERSEDED 4 /* reasons of RFC 5280 5.3.1 */
#define CP_CRL_CEASED     5
#define CP_CRL_LOST       1

/** Reads all of them. 'store' must stay until cp_store_close(), and this until after it. 0, -ENOMEM, -ENOSPC (watchers). */
int cp_lscs_create(struct cp_store *store, struct cp_lscs **ret);
void cp_lscs_destroy(struct cp_lscs *l);

/** State of this very certificate; 0: it is none of ours. */
enum cp_lsc_state cp_lscs_state(const struct cp_lscs *l, X509 *cert);
/** It was deleted or revoked. */
bool cp_lscs_refused(const struct cp_lscs *l, X509 *cert);

/** Serial of the newest one of a device in one of 'states' (bits, 1u << enum cp_lsc_state). False: none. */
bool cp_lscs_of(const struct cp_lscs *l, const char *device, unsigned states, char ret_serial[CP_LSC_SERIAL_MAX]);
/** Each one of a device in one of 'states', the newest first. 'fn' must not change records. */
void cp_lscs_each(const struct cp_lscs *l, const char *device, unsigned states,
		  void (*fn)(void *ctx, const char *serial, enum cp_lsc_state state), void *ctx);

/** Each of our own issuer that is refused and has not expired, for the CRL. */
void cp_lscs_each_refused(const struct cp_lscs *l, int64_t now_us,
			  void (*fn)(void *ctx, const char *serial, int64_t since_us, unsigned reason), void *ctx);

/**
 * Add to a batch: the state of one becomes 'state' (with 'reason' where it is refused from now on). 0; -ENOENT; -EALREADY: it is final
 * already; others as cp_store_lsc() and cp_batch_lsc().
 */
int cp_lscs_change(const struct cp_lscs *l, struct cp_batch *b, const char *serial, enum cp_lsc_state state, unsigned reason,
		   int64_t now_us);
/** The same for all of a device in one of 'states' but 'except' (may be NULL). Returns how many, or a negative errno. */
int cp_lscs_change_all(const struct cp_lscs *l, struct cp_batch *b, const char *device, unsigned states, const char *except,
		       enum cp_lsc_state state, unsigned reason, int64_t now_us);

struct cp_lscs_stats {
	unsigned by_state[CP_LSC_STATES];
	uint64_t changes; /* counts up with each change of what is refused */
};
void cp_lscs_stats(const struct cp_lscs *l, struct cp_lscs_stats *ret);

#define CP_LSC_BIT(state) (1u << (state))
#define CP_LSC_LIVE (CP_LSC_BIT(CP_LSC_OFFERED) | CP_LSC_BIT(CP_LSC_HELD) | CP_LSC_BIT(CP_LSC_SUPERSEDED))

/** Serial number of a certificate as records have it. 0, -EINVAL. */
int cp_lsc_serial(const X509 *cert, char ret[CP_LSC_SERIAL_MAX]);
/** The same of the number's bytes, which begin with none that is zero. */
int cp_lsc_serial_text(const uint8_t *serial, size_t len, char ret[CP_LSC_SERIAL_MAX]);

#endif
