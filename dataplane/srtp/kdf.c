/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "crypto/mb.h"
#include "srtp/kdf.h"
#include "srtp/srtp.h"
#include "srtp/stream.h"

#define MASTER_SALT 14

void dp_srtp_kdf(struct dp_mb *mb, const uint8_t *master_rk, const uint8_t *salt, enum dp_srtp_label label,
		 uint8_t *ret, size_t len)
{
	uint8_t iv[16] __attribute__((aligned(16))) = {0};

	/* x = salt XOR label * 2^48, a 112-bit number; the IV is x * 2^16 */
	memcpy(iv, salt, MASTER_SALT);
	iv[7] ^= (uint8_t)label;
	memset(ret, 0, len);
	dp_mb_ctr_set(mb, 0, master_rk, 10, iv, ret, len);
	dp_mb_ctr_run(mb, 1);
	explicit_bzero(iv, sizeof(iv));
}

static bool params_ok(const struct dp_srtp_params *par)
{
	return (par->suite == DP_AES_CM_128_HMAC_SHA1_80 || par->suite == DP_AES_CM_128_HMAC_SHA1_32) && par->dir <= DP_DIR_SEND &&
	       par->mki_len == 0 && (par->flags & ~DP_SRTP_F_RTCP_CLEAR) == 0 &&
	       par->index_floor <= DP_SRTP_INDEX_MAX && par->rtcp_floor <= DP_SRTCP_INDEX_MAX;
}

int dp_srtp_key_init(struct dp_mb *mb, struct dp_srtp_key *key, const struct dp_srtp_params *par)
{
	uint8_t master[DP_MB_AES128_RK] __attribute__((aligned(16)));
	uint8_t tmp[20];

	if (!params_ok(par))
		return -EINVAL;
	memset(key, 0, sizeof(*key));
	dp_mb_aes128_expand(mb, par->key, master, NULL);
	dp_srtp_kdf(mb, master, par->salt, DP_SRTP_LABEL_KEY, tmp, 16);
	dp_mb_aes128_expand(mb, tmp, key->rk, NULL);
	dp_srtp_kdf(mb, master, par->salt, DP_SRTP_LABEL_AUTH, tmp, 20);
	dp_mb_hmac_sha1_key(mb, tmp, 20, key->state);
	dp_srtp_kdf(mb, master, par->salt, DP_SRTP_LABEL_SALT, key->salt, sizeof(key->salt));
	dp_srtp_kdf(mb, master, par->salt, DP_SRTCP_LABEL_KEY, key->rtcp_key, sizeof(key->rtcp_key));
	dp_srtp_kdf(mb, master, par->salt, DP_SRTCP_LABEL_AUTH, key->rtcp_auth, sizeof(key->rtcp_auth));
	dp_srtp_kdf(mb, master, par->salt, DP_SRTCP_LABEL_SALT, key->rtcp_salt, sizeof(key->rtcp_salt));
	explicit_bzero(master, sizeof(master));
	explicit_bzero(tmp, sizeof(tmp));

	key->suite = par->suite;
	key->tag_len = par->suite == DP_AES_CM_128_HMAC_SHA1_32 ? 4 : 10;
	key->dir = par->dir;
	key->flags = par->flags;
	key->pool = par->pool;
	/*
	 * A sender may never use an index twice, and which SSRCs it served before a restart is not known: its
	 * floor is for all of them, named or not.
	 */
	if (par->ssrc == 0 || par->dir == DP_DIR_SEND)
		key->index_floor = par->index_floor;
	if (par->dir == DP_DIR_SEND)
		key->rtcp_next = (uint32_t)par->rtcp_floor + 1;
	else if (par->ssrc == 0)
		key->rtcp_next = (uint32_t)par->rtcp_floor;
	if (par->ssrc != 0) {
		struct dp_srtp_stream *stream = dp_srtp_stream_begin(key, par->ssrc);

		if (par->index_floor > 0)
			dp_replay_restart(&stream->rtp, par->index_floor);
		if (par->rtcp_floor > 0)
			dp_replay_restart(&stream->rtcp, par->rtcp_floor);
	}
	return 0;
}

void dp_srtp_key_wipe(struct dp_srtp_key *key)
{
	dp_srtp_stream_drop_all(key);
	explicit_bzero(key, sizeof(*key));
}

bool dp_srtp_key_same(const struct dp_srtp_key *a, const struct dp_srtp_key *b)
{
	return a->suite == b->suite && a->dir == b->dir && dp_mb_equal(a->rk, b->rk, sizeof(a->rk)) &&
	       dp_mb_equal(a->state, b->state, sizeof(a->state)) && dp_mb_equal(a->salt, b->salt, sizeof(a->salt)) &&
	       dp_mb_equal(a->rtcp_key, b->rtcp_key, sizeof(a->rtcp_key)) &&
	       dp_mb_equal(a->rtcp_auth, b->rtcp_auth, sizeof(a->rtcp_auth)) &&
	       dp_mb_equal(a->rtcp_salt, b->rtcp_salt, sizeof(a->rtcp_salt));
}
