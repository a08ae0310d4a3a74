/* SPDX-License-Identifier: BSD-3-Clause */
/* What the suites of media.c share: the harness, parties with SRTP of their own, legs, a packet's way through. Include once. */
#ifndef RELAY_FIX_H
#define RELAY_FIX_H

#include <CUnit/CUnit.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/mb.h"
#include "dp_harness.h"
#include "dp_suite.h"
#include "srtp/srtp.h"

#define A_IP "10.0.0.2"
#define B_IP "10.1.0.3"

static struct dp_mb *mb; /* the parties' */

static inline int setup(void)
{
	cfg.media.source_pps = 50;
	if (harness_up() != 0)
		return 1;
	mb = dp_mb_create();
	return mb == NULL;
}

static inline struct dp_srtp_key *party_key(uint8_t suite, uint8_t dir, uint8_t fill)
{
	const struct dp_srtp_params par = {.suite = suite, .dir = dir, .key = (uint8_t[32]){fill, fill, 3},
					   .salt = (uint8_t[14]){fill, 7}};
	struct dp_srtp_key *k = aligned_alloc(64, sizeof(*k));

	CU_ASSERT_EQUAL_FATAL(dp_srtp_key_init(mb, k, &par), 0);
	return k;
}

static inline void forget(struct dp_srtp_key *k)
{
	if (k == NULL)
		return;
	dp_srtp_key_wipe(k);
	free(k);
}

static inline void leg_key(uint32_t leg_id, uint8_t dir, uint8_t suite, uint8_t fill)
{
	struct dp_leg_key m = {.leg_id = leg_id, .suite = suite, .dir = dir, .key = {fill, fill, 3}, .salt = {fill, 7}};

	if (suite == DP_SRTP_NONE)
		return;
	CU_ASSERT_EQUAL_FATAL(msg(&m, DP_MSG_LEG_KEY, sizeof(m)), 0);
}

static inline uint16_t seal(struct dp_srtp_key *k, bool rtcp, uint8_t *p, uint16_t n)
{
	struct dp_srtp_pkt pkt = {.data = p, .len = n, .room = 200, .key = k};

	if (k == NULL)
		return n;
	CU_ASSERT_EQUAL_FATAL((rtcp ? dp_srtcp_protect_burst : dp_srtp_protect_burst)(mb, &pkt, 1), 1);
	return pkt.len;
}

static inline bool unseal(struct dp_srtp_key *k, bool rtcp, uint8_t *p, uint16_t *n)
{
	struct dp_srtp_pkt pkt = {.data = p, .len = *n, .key = k};

	if (k == NULL)
		return true;
	if ((rtcp ? dp_srtcp_unprotect_burst : dp_srtp_unprotect_burst)(mb, &pkt, 1) != 1)
		return false;
	*n = pkt.len;
	return true;
}

static inline uint32_t set(struct dp_leg_set m, const char *remote, uint16_t rport)
{
	ip_of(remote, &m.remote, rport);
	CU_ASSERT_EQUAL_FATAL(msg(&m, DP_MSG_LEG_SET, sizeof(m)), 0);
	rounds(1);
	return m.leg_id;
}

#define BOTH (DP_LEG_F_RECV | DP_LEG_F_SEND)

static inline void gone(uint32_t a, uint32_t b)
{
	CU_ASSERT_EQUAL(del(a), 0);
	CU_ASSERT_EQUAL(del(b), 0);
	rounds(2);
	assert_accounts();
}

static inline bool to_b(struct out *o, struct dp_frame *f)
{
	rounds(2);
	if (!next_out(o))
		return false;
	CU_ASSERT_EQUAL_FATAL(dp_parse_frame(o->data, o->len, f), DP_OK);
	return true;
}

#endif
