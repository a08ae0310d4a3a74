/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A conference: an endpoint whose connections of mode confrnce hear the sum of all others, and not themselves. G.711, decoded,
 * added with saturation, encoded. Each listener reads what each speaker has sent at its own place, SIM_MIX_DELAY behind the newest sample.
 */
#ifndef SIM_GWMIX_H
#define SIM_GWMIX_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_MIX_CONNS 64
#define SIM_MIX_DELAY 320 /* samples: two packets of 20 ms may come together */

struct sim_mix; /* one connection's part */

struct sim_mix *sim_mix_create(void);
void sim_mix_destroy(struct sim_mix *m);
/** What this connection has sent: one packet's payload. */
void sim_mix_heard(struct sim_mix *m, uint8_t pt, const uint8_t *payload, size_t len);
/** Forget how far the connection in that slot was listened to: there is another one now. */
void sim_mix_forget(struct sim_mix *m, size_t slot);
/** The next 'len' octets for 'm': the sum of others[0..n), of which NULL and 'm' itself are left out. */
void sim_mix_next(struct sim_mix *m, struct sim_mix *const *others, size_t n, uint8_t pt, uint8_t *out, size_t len);
/** {frames, most, missed}: that had a speaker; how many at once; how often one had nothing to be heard. */
json_t *sim_mix_report(const struct sim_mix *m);

#endif
