/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The E-model of ITU-T G.107: how a talk over a packet path is heard, from codec, loss and delay. Everything that the
 * appliance does not see has the model's default values (G.107 table 2), and the equipment's share comes from
 * G.113 appendix I. It is a planning model: the figures compare paths, they are no listening test.
 */
#ifndef DP_EMODEL_H
#define DP_EMODEL_H

#include <stdbool.h>

#include "api/dp_msg.h"

struct dp_emodel_in {
	enum dp_codec codec;
	unsigned ptime_ms;    /* speech in a packet; 0: 20 */
	double loss;          /* share of packets that do not come, 0 to 1; taken as random (BurstR 1) */
	double network_ms;    /* one way */
	double jitter_ms;     /* RFC 3550; twice of it is what the jitter buffer is taken to wait */
};

/** Codecs with published Ie and Bpl: G.711 and G.729. */
bool dp_emodel_has(enum dp_codec codec);

/** R factor, 0 to 100 (93.2 is G.107's default). The codec is one that dp_emodel_has(). */
double dp_emodel_r(const struct dp_emodel_in *in);

/** Mean opinion score that G.107 annex B expects for an R factor: 1 to 4.5. */
double dp_emodel_mos(double r);

/* --- parts, for the tests against the recommendation's figures --- */

/** R for an equipment impairment 'ie_eff' and an absolute one-way delay Ta, everything else by default (T = Ta, Tr = 2 Ta). */
double dp_emodel_r_of(double ie_eff, double ta_ms);

/** Ie,eff of G.107 s7-6, BurstR 1; 'loss_percent' 0 to 100. */
double dp_emodel_ie_eff(enum dp_codec codec, double loss_percent);

/** Delay that packets and codec add, ms: packetisation, look-ahead, jitter buffer. */
double dp_emodel_codec_ms(const struct dp_emodel_in *in);

#endif
