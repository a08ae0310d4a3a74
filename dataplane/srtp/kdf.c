/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "crypto/mb.h"
#include "srtp/ext.h"
#include "srtp/kdf.h"
#include "srtp/stream.h"

#define MASTER_SALT 14

void dp_srtp_kdf(struct dp_mb *mb, const uint8_t *master_rk, size_t key_len, const uint8_t *salt,
		 enum dp_srtp_label label, uint64_t r, uint8_t *ret, size_t len)
{
	uint8_t iv[16] __attribute__((aligned(16))) = {0};

	/* x = salt XOR (label * 2^48 + r), a 112-bit number; the IV is x * 2^16 */
	memcpy(iv, salt, MASTER_SALT);
	iv[7] ^= (uint8_t)label;
	for (int i = 0; i < 6; i++)
		iv[8 + i] ^= (uint8_t)(r >> (40 - 8 * i));
	memset(ret, 0, len);
	dp_mb_ctr_set(mb, 0, master_rk, dp_mb_aes_rounds(key_len), iv, ret, len);
	dp_mb_ctr_run(mb, 1);
	explicit_bzero(iv, sizeof(iv));
}

void dp_srtp_derive(struct dp_mb *mb, uint8_t kind, const uint8_t *master_rk, const uint8_t *salt, bool rtcp, uint64_t r,
		    struct dp_srtp_raw *ret)
{
	size_t len = dp_srtp_key_len(kind);
	enum dp_srtp_label first = rtcp ? DP_SRTCP_LABEL_KEY : DP_SRTP_LABEL_KEY;
	bool gcm = kind >= DP_SRTP_K_GCM128;

	memset(ret, 0, sizeof(*ret));
	ret->r = r;
	ret->valid = 1;
	if (kind != DP_SRTP_K_NULL)
		dp_srtp_kdf(mb, master_rk, len, salt, first, r, ret->key, len);
	if (!gcm)
		dp_srtp_kdf(mb, master_rk, len, salt, first + 1, r, ret->auth, sizeof(ret->auth));
	dp_srtp_kdf(mb, master_rk, len, salt, first + 2, r, ret->salt, gcm ? 12 : 14);
}

static const uint8_t kinds[DP_SRTP_SUITE_MAX] = {
	[DP_AES_CM_128_HMAC_SHA1_80] = DP_SRTP_K_CM128, [DP_AES_CM_128_HMAC_SHA1_32] = DP_SRTP_K_CM128,
	[DP_AES_192_CM_HMAC_SHA1_80] = DP_SRTP_K_CM192, [DP_AES_192_CM_HMAC_SHA1_32] = DP_SRTP_K_CM192,
	[DP_AES_256_CM_HMAC_SHA1_80] = DP_SRTP_K_CM256, [DP_AES_256_CM_HMAC_SHA1_32] = DP_SRTP_K_CM256,
	[DP_AEAD_AES_128_GCM] = DP_SRTP_K_GCM128,	[DP_AEAD_AES_256_GCM] = DP_SRTP_K_GCM256,
	[DP_NULL_HMAC_SHA1_80] = DP_SRTP_K_NULL,	[DP_NULL_HMAC_SHA1_32] = DP_SRTP_K_NULL,
};

static bool params_ok(const struct dp_srtp_params *par)
{
	return dp_suite(par->suite) != NULL && par->dir <= DP_DIR_SEND && par->mki_len <= DP_SRTP_MKI_MAX &&
	       par->kdr <= 24 && (par->flags & ~(DP_KEY_F_STANDBY | DP_KEY_F_HAVE_ROC)) == 0 &&
	       par->index_floor <= DP_SRTP_INDEX_MAX && par->rtcp_floor <= DP_SRTCP_INDEX_MAX &&
	       par->lifetime <= DP_SRTP_INDEX_MAX + 1 && par->from <= DP_SRTP_INDEX_MAX && par->to <= DP_SRTP_INDEX_MAX &&
	       (par->to >= par->from) && par->ssrc_max <= DP_SSRC_MAX &&
	       (par->window == 0 || (par->window >= DP_REPLAY_MIN && par->window <= DP_REPLAY_MAX));
}

static void fill(struct dp_mb *mb, struct dp_srtp_key *key, const uint8_t *master_rk, const uint8_t *salt)
{
	struct dp_srtp_raw raw;
	size_t len = dp_srtp_key_len(key->kind);

	dp_srtp_derive(mb, key->kind, master_rk, salt, false, 0, &raw);
	if (key->kind >= DP_SRTP_K_GCM128)
		dp_mb_gcm_key(mb, raw.key, len, (void *)key->ext);
	else if (key->kind != DP_SRTP_K_NULL)
		dp_mb_aes_expand(mb, raw.key, len, key->kind == DP_SRTP_K_CM128 ? key->rk : key->ext, NULL);
	if (key->kind < DP_SRTP_K_GCM128)
		dp_mb_hmac_sha1_key(mb, raw.auth, sizeof(raw.auth), key->state);
	memcpy(key->salt, raw.salt, sizeof(key->salt));
	dp_srtp_derive(mb, key->kind, master_rk, salt, true, 0, &raw);
	memcpy(dp_srtp_rtcp_key(key), raw.key, len);
	memcpy(key->rtcp_auth, raw.auth, sizeof(raw.auth));
	memcpy(key->rtcp_salt, raw.salt, sizeof(raw.salt));
	explicit_bzero(&raw, sizeof(raw));
}

/* Where streams begin that are not named. */
static void floors(struct dp_srtp_key *key, const struct dp_srtp_params *par)
{
	/*
	 * A sender may never use an index twice, and which SSRCs it served before a restart is not known: its
	 * floor is for all of them, named or not.
	 */
	if (par->ssrc == 0 || par->dir == DP_DIR_SEND)
		key->index_floor = par->index_floor;
	if ((par->flags & DP_KEY_F_HAVE_ROC) != 0 && (uint64_t)par->roc > key->index_floor >> 16) {
		key->index_floor = (uint64_t)par->roc << 16;
		key->flags |= DP_SRTP_F_ROC;
	}
	if (par->dir == DP_DIR_SEND)
		key->rtcp_next = (uint32_t)par->rtcp_floor + 1;
	else if (par->ssrc == 0)
		key->rtcp_next = (uint32_t)par->rtcp_floor;
}

int dp_srtp_key_init(struct dp_mb *mb, struct dp_srtp_key *key, const struct dp_srtp_params *par)
{
	uint8_t master[DP_MB_AES_RK_MAX] __attribute__((aligned(16))), salt[MASTER_SALT] = {0};
	const struct dp_suite *suite = dp_suite(par->suite);
	struct dp_srtp_key k;

	if (!params_ok(par))
		return -EINVAL;
	memset(&k, 0, sizeof(k));
	k.suite = par->suite;
	k.kind = kinds[par->suite];
	k.tag_len = suite->rtp_tag;
	k.dir = par->dir;
	k.mki_len = par->mki_len;
	k.window = par->window != 0 ? par->window : DP_REPLAY_WINDOW;
	k.ssrc_max = par->ssrc_max != 0 ? par->ssrc_max : DP_SRTP_SSRCS;
	k.pool = par->pool;
	k.flags = (par->flags & DP_KEY_F_STANDBY) != 0 ? DP_SRTP_F_STANDBY : 0;
	if (par->kdr != 0)
		k.flags |= DP_SRTP_F_KDR | DP_SRTP_F_MORE;
	if (par->to != 0)
		k.flags |= DP_SRTP_F_RANGE | DP_SRTP_F_MORE;
	if (par->mki_len != 0 || par->lifetime != 0)
		k.flags |= DP_SRTP_F_MORE;
	if (k.window > DP_REPLAY_WINDOW)
		k.flags |= DP_SRTP_F_WIDE;
	if (dp_srtp_ext_size(&k) > 0) {
		k.ext = dp_srtp_slab_take(par->slab, dp_srtp_ext_size(&k));
		if (k.ext == NULL)
			return -ENOMEM;
	}
	*key = k;
	memcpy(salt, par->salt, suite->salt_len);
	dp_mb_aes_expand(mb, par->key, suite->key_len, master, NULL);
	fill(mb, key, master, salt);
	if ((key->flags & DP_SRTP_F_MORE) != 0) {
		struct dp_srtp_more *more = dp_srtp_more(key);

		more->from = par->from;
		more->to = par->to;
		more->lifetime = par->lifetime;
		more->kdr = par->kdr;
		if (par->mki_len > 0)
			memcpy(more->mki, par->mki, par->mki_len);
	}
	if ((key->flags & DP_SRTP_F_KDR) != 0) {
		memcpy(dp_srtp_kdr(key)->master_rk, master, sizeof(master));
		memcpy(dp_srtp_kdr(key)->salt, salt, sizeof(salt));
	}
	explicit_bzero(master, sizeof(master));
	explicit_bzero(salt, sizeof(salt));

	/* Floors are taken for packets that were sent or received: a count is not kept over a restart. */
	dp_srtp_live(key, false, par->index_floor);
	dp_srtp_live(key, true, par->rtcp_floor);
	floors(key, par);
	key->slow = (key->flags & (DP_SRTP_F_KDR | DP_SRTP_F_RANGE)) != 0;
	/* Where a ROC from signalling says where the named one begins, it begins with its first packet. */
	if (par->ssrc != 0 && (key->flags & DP_SRTP_F_ROC) != 0 && (uint64_t)par->roc > par->index_floor >> 16) {
		if (par->dir == DP_DIR_RECV)
			key->rtcp_next = (uint32_t)par->rtcp_floor;
	} else if (par->ssrc != 0) {
		struct dp_srtp_stream *stream = dp_srtp_stream_begin(key, par->ssrc);

		if (par->index_floor > 0)
			dp_srtp_win_restart(key, stream, par->index_floor);
		if (par->rtcp_floor > 0)
			dp_replay_restart(&stream->rtcp, par->rtcp_floor);
	}
	return 0;
}

void dp_srtp_key_wipe(struct dp_srtp_key *key)
{
	dp_srtp_stream_drop_all(key);
	if (key->ext != NULL)
		dp_srtp_slab_give(key->ext, dp_srtp_ext_size(key));
	explicit_bzero(key, sizeof(*key));
}

bool dp_srtp_key_same_material(const struct dp_srtp_key *a, const struct dp_srtp_key *b)
{
	/* Period 0 of a derivation rate has the keys that there are without one: those are in both. */
	if (a->kind != b->kind || !dp_mb_equal(a->rk, b->rk, sizeof(a->rk)) || !dp_mb_equal(a->state, b->state, sizeof(a->state)) ||
	    !dp_mb_equal(a->salt, b->salt, sizeof(a->salt)) ||
	    !dp_mb_equal(a->rtcp_key, b->rtcp_key, sizeof(a->rtcp_key)) ||
	    !dp_mb_equal(a->rtcp_auth, b->rtcp_auth, sizeof(a->rtcp_auth)) ||
	    !dp_mb_equal(a->rtcp_salt, b->rtcp_salt, sizeof(a->rtcp_salt)))
		return false;
	return dp_srtp_ext_cipher(a->kind) == 0 || dp_mb_equal(a->ext, b->ext, dp_srtp_ext_cipher(a->kind));
}

bool dp_srtp_key_same(const struct dp_srtp_key *a, const struct dp_srtp_key *b)
{
	static const struct dp_srtp_more none;
	const struct dp_srtp_more *x = &none, *y = &none;

	if (a->suite != b->suite || a->dir != b->dir || a->mki_len != b->mki_len || !dp_srtp_key_same_material(a, b))
		return false;
	if ((a->flags & DP_SRTP_F_MORE) != 0)
		x = dp_srtp_more(a);
	if ((b->flags & DP_SRTP_F_MORE) != 0)
		y = dp_srtp_more(b);
	/* With a derivation rate what was compared above is r = 0: equal then for equal master keys alone. */
	return x->from == y->from && x->to == y->to && x->kdr == y->kdr && memcmp(x->mki, y->mki, a->mki_len) == 0;
}
