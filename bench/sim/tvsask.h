/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A phone's questions to a trust verification service: TLS, then one request after the other on the connection, which is made again
 * when the server has closed it. Own writer and reader of the messages (protocol 57; verify by the whole certificate, query by issuer
 * and serial number), so that agreement with the appliance means something. Blocking, with time-outs.
 */
#ifndef SIM_TVSASK_H
#define SIM_TVSASK_H

#include "trustphone.h"
#include "util.h"

struct sim_tvs;

/** Connects and shakes hands. NULL: nobody is there. 'device' as phones write it: "CP-8861-SEP..."; kept by the caller. */
struct sim_tvs *sim_tvs_open(const struct sim_addr *server, const char *device);
void sim_tvs_close(struct sim_tvs *tvs);

/** The certificate that the server shows, DER; borrowed. */
struct tp_blob sim_tvs_cert(const struct sim_tvs *tvs);

/** For struct tp_offer: ctx is the struct sim_tvs. Answers are borrowed until the next question. */
bool sim_tvs_query(void *ctx, const uint8_t *serial, size_t serial_len, const char *issuer, struct tp_tvs_answer *ret);
bool sim_tvs_verify(void *ctx, struct tp_blob der, struct tp_tvs_answer *ret);

/** So many queries in one go, then their answers. Returns how many of these said "valid". */
unsigned sim_tvs_burst(struct sim_tvs *tvs, const uint8_t *serial, size_t serial_len, const char *issuer, unsigned n);

/** Questions that were answered; those among them with "valid". */
void sim_tvs_counts(const struct sim_tvs *tvs, unsigned *ret_answered, unsigned *ret_valid);

#endif
