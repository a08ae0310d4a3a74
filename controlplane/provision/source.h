/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the servers remember of source addresses: how much each has open, and whether a datagram that claims to come from it
 * was ever answered (a forged source never answers). One table for the threads of a service, of bounded size, keyed by
 * SipHash so that nobody can choose who shares a bucket with whom. Of an IPv6 /64, which one host may have or a whole
 * floor of phones share, the addresses count each, and all together as CP_SOURCE_PREFIX of them.
 *
 * Any thread. Times are milliseconds of a monotonic clock, given by the caller.
 */
#ifndef CP_PROVISION_SOURCE_H
#define CP_PROVISION_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

#define CP_SOURCE_PREFIX 64

/* Datagrams to an address that has not answered, until nothing was sent to it for so long. Not for ever: a phone whose answers
 * were lost on the way must boot when that is mended. */
#define CP_SOURCE_UNPROVEN  6
#define CP_SOURCE_FORGET_MS 120000
#define CP_SOURCE_PROVEN_MS 600000 /* an address that answered is believed for so long */
#define CP_SOURCE_ERRORS    64     /* error answers at once to one that has not answered, then ... */
#define CP_SOURCE_ERRORS_S  16     /* ... so many a second */

struct cp_sources;

/** Room for 'max' open transfers or connections, 'max_each' of one source. 'key': 16 random bytes. NULL: no memory. */
struct cp_sources *cp_sources_create(uint32_t max, uint32_t max_each, const uint8_t key[16]);
void cp_sources_destroy(struct cp_sources *s); /* NULL is allowed */

/** Count one more open. 0; -EMFILE: this source has max_each; -ENFILE: all together have max. */
int cp_source_enter(struct cp_sources *s, const struct cfg_addr *from, uint64_t now_ms);
void cp_source_leave(struct cp_sources *s, const struct cfg_addr *from);

/** May a datagram of content be sent to it? Counts it as sent unless the source is proven. */
bool cp_source_send_ok(struct cp_sources *s, const struct cfg_addr *from, uint64_t now_ms);
/** May an error be sent to it? Counts likewise. */
bool cp_source_error_ok(struct cp_sources *s, const struct cfg_addr *from, uint64_t now_ms);
/** It answered what only the one who gets our datagrams can answer. */
void cp_source_proven(struct cp_sources *s, const struct cfg_addr *from, uint64_t now_ms);

uint32_t cp_sources_open(const struct cp_sources *s); /* now */

#endif
