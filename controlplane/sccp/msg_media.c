/* SPDX-License-Identifier: BSD-3-Clause */
/* OpenReceiveChannel and StartMediaTransmission with their keys, by header version. */
#include "msg.h"

#include <errno.h>
#include <string.h>

#include "build.h"
#include "dp_msg.h"
#include "dp_suite.h"

#define DTMF_TYPE 10 /* seen from real servers */

int cp_sccp_algorithm(unsigned suite)
{
	switch (suite) {
	case DP_SRTP_NONE:
		return 0;
	case DP_AES_CM_128_HMAC_SHA1_32:
		return 1;
	case DP_AES_CM_128_HMAC_SHA1_80:
		return 2;
	case DP_AEAD_AES_128_GCM:
		return 5;
	default:
		return -EINVAL;
	}
}

/* 48 bytes: algorithm, lengths, key and salt in 16 bytes each, MKI present, derivation rate. */
static void encryption_info(struct cp_sccp_w *w, const struct cp_phone_media *m)
{
	int alg = cp_sccp_algorithm(m->suite);
	uint8_t salt = alg > 0 ? dp_suite(m->suite)->salt_len : 0; /* GCM's is 12 bytes (RFC 7714 s12) */

	cp_w_u32(w, alg > 0 ? (uint32_t)alg : 0);
	cp_w_u16(w, alg > 0 ? sizeof(m->key) : 0);
	cp_w_u16(w, salt);
	if (alg > 0) {
		cp_w_bytes(w, m->key, sizeof(m->key));
		cp_w_bytes(w, m->salt, salt);
		cp_w_zero(w, 16u - salt);
	} else {
		cp_w_zero(w, 32);
	}
	cp_w_u32(w, 0); /* no MKI: where it would stand is unknown */
	cp_w_u32(w, 0); /* keys are derived once */
}

/* Mode, payload type, two more: of codecs that need them said. Before version 11 it is G.723's bit rate. */
static void codec_params(struct cp_sccp_w *w, unsigned ver, const struct cp_phone_media *m)
{
	cp_w_u32(w, ver < 11 ? 0 : m->codec_mode | (uint32_t)m->codec_pt << 8);
}

/* Shared tail of the versions that have latent capabilities: 36 bytes, none active. */
static void latent_caps(struct cp_sccp_w *w, unsigned ver)
{
	if (ver >= 21)
		cp_w_zero(w, 36);
}

size_t cp_sccp_build_orc(uint8_t *buf, unsigned ver, const struct cp_phone_media *m)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, CP_SCCP_ORC);

	if (cp_sccp_algorithm(m->suite) < 0 || (m->remote.family == 6 && ver < 17))
		return 0;
	cp_w_u32(&w, m->conference);
	cp_w_u32(&w, m->party);
	cp_w_u32(&w, m->packet_ms);
	cp_w_u32(&w, m->codec);
	cp_w_u32(&w, 0); /* echo cancellation */
	codec_params(&w, ver, m);
	cp_w_u32(&w, m->callref);
	encryption_info(&w, m);
	cp_w_u32(&w, 0); /* stream pass-through id */
	cp_w_u32(&w, 0); /* associated stream */
	cp_w_u32(&w, m->dtmf_pt);
	cp_w_u32(&w, m->dtmf_pt != 0 ? DTMF_TYPE : 0);
	if (ver <= 10)
		return cp_sccp_end(&w);
	cp_w_u32(&w, 0); /* mixing mode */
	cp_w_u32(&w, 0); /* party direction */
	if (ver >= 17)
		cp_sccp_w_addr(&w, &m->remote);
	else if (m->remote.family == 4)
		cp_w_bytes(&w, m->remote.ip, 4);
	else
		cp_w_zero(&w, 4);
	cp_w_u32(&w, m->remote.port);
	if (ver >= 16)
		cp_w_u32(&w, m->remote.family == 6); /* requested address type */
	if (ver >= 21)
		cp_w_u32(&w, 0); /* audio level adjustment */
	latent_caps(&w, ver);
	return cp_sccp_end(&w);
}

size_t cp_sccp_build_smt(uint8_t *buf, unsigned ver, const struct cp_phone_media *m)
{
	struct cp_sccp_w w = cp_sccp_begin(buf, ver, CP_SCCP_SMT);

	if (cp_sccp_algorithm(m->suite) < 0 || m->remote.family == 0 || m->remote.port == 0 ||
	    (m->remote.family == 6 && ver < 17))
		return 0;
	cp_w_u32(&w, m->conference);
	cp_w_u32(&w, m->party);
	if (ver >= 17)
		cp_sccp_w_addr(&w, &m->remote);
	else
		cp_w_bytes(&w, m->remote.ip, 4);
	cp_w_u32(&w, m->remote.port);
	cp_w_u32(&w, m->packet_ms);
	cp_w_u32(&w, m->codec);
	cp_w_u32(&w, (uint32_t)m->dscp << 2); /* the TOS byte: 46 is 0xB8 */
	cp_w_u32(&w, 0);                      /* silence suppression */
	cp_w_u32(&w, 0);                      /* frames per packet */
	codec_params(&w, ver, m);
	cp_w_u32(&w, m->callref);
	encryption_info(&w, m);
	cp_w_u32(&w, 0); /* stream pass-through id */
	cp_w_u32(&w, 0); /* associated stream */
	cp_w_u32(&w, m->dtmf_pt);
	cp_w_u32(&w, m->dtmf_pt != 0 ? DTMF_TYPE : 0);
	cp_w_u32(&w, 0); /* mixing mode */
	if (ver >= 15)
		cp_w_u32(&w, 0); /* party direction */
	latent_caps(&w, ver);
	return cp_sccp_end(&w);
}
