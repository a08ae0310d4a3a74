/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SAs of one worker: by identifier, inbound by SPI, outbound by gateway (newest first). The worker owns it; SA
 * memory is the main lcore's, which gets displaced SAs back to wipe. RFC 4301 s4.4.2.
 */
#ifndef DP_SAD_H
#define DP_SAD_H

#include <stdbool.h>
#include <stdint.h>

#include "dp_msg.h"

struct dp_sa;
struct dp_sad;

/** NULL: no memory. destroy takes NULL; it does not touch the SAs. */
struct dp_sad *dp_sad_create(void);
void dp_sad_destroy(struct dp_sad *sad);

/**
 * Put an SA in under its sa_id. Whatever had the identifier comes back, for the caller to inherit from first
 * (dp_sa_inherit() before this call) and to free. NULL: nothing. An inbound SPI that another SA has goes to the new one.
 */
struct dp_sa *dp_sad_put(struct dp_sad *sad, struct dp_sa *sa);

/** Take an SA out. NULL: none. */
struct dp_sa *dp_sad_take(struct dp_sad *sad, uint32_t sa_id);

struct dp_sa *dp_sad_find(const struct dp_sad *sad, uint32_t sa_id);

/** The inbound SA with this SPI, or NULL. */
struct dp_sa *dp_sad_in(const struct dp_sad *sad, uint32_t spi);

/** The newest live outbound SA of a gateway, or NULL. */
struct dp_sa *dp_sad_out(const struct dp_sad *sad, uint32_t gw_id);

/**
 * Ask the cache for what dp_sad_in() and dp_sad_out() are going to read, and then the SA's packet: step after step, with some work in
 * between, because each says where the next is. Steps 0 to 3; changes nothing. 'len': bytes of the packet, more or less.
 */
void dp_sad_ahead_in(const struct dp_sad *sad, uint32_t spi, unsigned step, uint32_t len);
void dp_sad_ahead_out(const struct dp_sad *sad, uint32_t gw_id, unsigned step, uint32_t len);

/**
 * The newest live outbound SA of a gateway whose selectors are for UDP from one address and port to another; where none is, as
 * dp_sad_out(): that one refuses it by name. Where a gateway has one SA, nothing is compared.
 */
struct dp_sa *dp_sad_out_udp(const struct dp_sad *sad, uint32_t gw_id, const struct dp_sockaddr *from, const struct dp_sockaddr *to);

/** The outbound SA with this SPI to this outer address, or NULL. */
struct dp_sa *dp_sad_out_spi(const struct dp_sad *sad, uint32_t spi, uint8_t family, const uint8_t *ip);

/** May there be an outbound SA with this SPI? Now and then yes where there is none; by the owner, and by other workers as a hint. */
bool dp_sad_out_maybe(const struct dp_sad *sad, uint32_t spi);

/** Shard of an SA that is there. */
uint8_t dp_sad_shard(const struct dp_sad *sad, uint32_t sa_id);

/** Identifiers in use, in no order: for ageing. */
uint32_t dp_sad_list(const struct dp_sad *sad, const uint16_t **ret_ids);

#endif
