/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one party received: frames by extended sequence number, loss, order, jitter (RFC 3550 A.1, A.8). A new
 * SSRC goes on behind the last frame of the one before.
 */
#ifndef SIM_RECORD_H
#define SIM_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define SIM_RECORD_FRAMES 1080000 /* six hours of 20 ms; later ones are counted, not kept */

struct sim_record;

struct sim_record_rr { /* a reception report block */
	uint32_t ssrc, lost, highest, jitter;
	uint8_t fraction;
};

struct sim_record *sim_record_create(void);
void sim_record_destroy(struct sim_record *r);
void sim_record_add(struct sim_record *r, uint32_t ssrc, uint16_t seq, uint32_t ts, const uint8_t *payload,
		    size_t len, uint64_t now_us);
/** false: nothing received yet. */
bool sim_record_rr(struct sim_record *r, struct sim_record_rr *ret);
/** packets, octets, lost, jitter in ms. */
void sim_record_stats(const struct sim_record *r, uint32_t ret[4]);
int sim_record_save(const struct sim_record *r, const char *path, uint8_t pt);
/** Adds its members to an object. */
void sim_record_report(const struct sim_record *r, json_t *to);

#endif
