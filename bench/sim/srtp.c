/* SPDX-License-Identifier: BSD-3-Clause */
#include "srtp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <srtp2/srtp.h>

#include "srtp_evp.h"

struct sim_srtp {
	srtp_t lib;             /* libsrtp2's session, or */
	struct sim_srtp_evp *evp; /* ours */
	bool inbound;
	bool gcm;
	uint8_t rtp_tag, mki_len;
	uint8_t mki[SIM_SRTP_MKI_MAX];
};

static const struct suite {
	enum sim_srtp_alg alg;
	const char *name;
	uint8_t key_len, salt_len;
} suites[] = {
	{SIM_SRTP_AES128_SHA1_80, "AES_CM_128_HMAC_SHA1_80", 16, 14},
	{SIM_SRTP_AES128_SHA1_32, "AES_CM_128_HMAC_SHA1_32", 16, 14},
	{SIM_SRTP_AES128_GCM, "AEAD_AES_128_GCM", 16, 12},
	{SIM_SRTP_AES192_SHA1_80, "AES_192_CM_HMAC_SHA1_80", 24, 14},
	{SIM_SRTP_AES192_SHA1_32, "AES_192_CM_HMAC_SHA1_32", 24, 14},
	{SIM_SRTP_AES256_SHA1_80, "AES_256_CM_HMAC_SHA1_80", 32, 14},
	{SIM_SRTP_AES256_SHA1_32, "AES_256_CM_HMAC_SHA1_32", 32, 14},
	{SIM_SRTP_AES256_GCM, "AEAD_AES_256_GCM", 32, 12},
};

static const struct suite *suite_of(enum sim_srtp_alg alg)
{
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		if (suites[i].alg == alg)
			return &suites[i];
	}
	return NULL;
}

size_t sim_srtp_key_len(enum sim_srtp_alg alg)
{
	return suite_of(alg) != NULL ? suite_of(alg)->key_len : 0;
}

size_t sim_srtp_salt_len(enum sim_srtp_alg alg)
{
	return suite_of(alg) != NULL ? suite_of(alg)->salt_len : 0;
}

bool sim_srtp_gcm(enum sim_srtp_alg alg)
{
	return alg == SIM_SRTP_AES128_GCM || alg == SIM_SRTP_AES256_GCM;
}

const char *sim_srtp_name(enum sim_srtp_alg alg)
{
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		if (suites[i].alg == alg)
			return suites[i].name;
	}
	return "none";
}

enum sim_srtp_alg sim_srtp_alg_of(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		if (strlen(suites[i].name) == len && strncasecmp(suites[i].name, name, len) == 0)
			return suites[i].alg;
	}
	return SIM_SRTP_NONE;
}

static srtp_t lib_create(const struct sim_srtp_key *key, bool inbound)
{
	static bool started;
	srtp_policy_t policy;
	uint8_t both[32 + 14], mki[SIM_SRTP_MKI_MAX];
	srtp_master_key_t one = {both, mki, key->mki_len}, *all = &one;
	srtp_t lib = NULL;

	if (!started && srtp_init() != srtp_err_status_ok)
		return NULL;
	started = true;
	memset(&policy, 0, sizeof(policy));
	switch (key->alg) {
	case SIM_SRTP_AES128_SHA1_32: /* SRTCP keeps 10 octets: RFC 3711 5.2 */
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(&policy.rtp);
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtcp);
		break;
	case SIM_SRTP_AES128_SHA1_80:
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtp);
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtcp);
		break;
	case SIM_SRTP_AES128_GCM:
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
		break;
	case SIM_SRTP_AES256_SHA1_32:
		srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32(&policy.rtp);
		srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(&policy.rtcp);
		break;
	case SIM_SRTP_AES256_SHA1_80:
		srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(&policy.rtp);
		srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(&policy.rtcp);
		break;
	case SIM_SRTP_AES256_GCM:
		srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtp);
		srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtcp);
		break;
	case SIM_SRTP_AES192_SHA1_32: /* wrong there: not as RFC 6188 */
	case SIM_SRTP_AES192_SHA1_80:
	case SIM_SRTP_NONE:
		return NULL;
	}
	memcpy(both, key->key, sim_srtp_key_len(key->alg));
	memcpy(both + sim_srtp_key_len(key->alg), key->salt, sim_srtp_salt_len(key->alg));
	policy.ssrc.type = inbound ? ssrc_any_inbound : ssrc_any_outbound;
	if (key->mki_len == 0) {
		policy.key = both;
	} else {
		memcpy(mki, key->mki, key->mki_len);
		policy.keys = &all;
		policy.num_master_keys = 1;
	}
	policy.window_size = 128;
	if (srtp_create(&lib, &policy) != srtp_err_status_ok)
		lib = NULL;
	OPENSSL_cleanse(both, sizeof(both));
	return lib;
}

struct sim_srtp *sim_srtp_create(enum sim_srtp_engine engine, const struct sim_srtp_key *key, bool inbound)
{
	struct sim_srtp *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->inbound = inbound;
	s->gcm = sim_srtp_gcm(key->alg);
	s->rtp_tag = key->alg == SIM_SRTP_AES128_SHA1_32 || key->alg == SIM_SRTP_AES192_SHA1_32 ||
				     key->alg == SIM_SRTP_AES256_SHA1_32 ?
			     4 :
			     10;
	s->mki_len = key->mki_len;
	memcpy(s->mki, key->mki, sizeof(s->mki));
	/* libsrtp2 up to 2.6 looks for the MKI of SRTCP where a tag of SRTP's length would end. */
	if (engine == SIM_SRTP_LIBSRTP && !(key->mki_len != 0 && s->rtp_tag == 4))
		s->lib = lib_create(key, inbound);
	if (s->lib == NULL)
		s->evp = sim_srtp_evp_create(key, inbound);
	if (s->evp == NULL && s->lib == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

void sim_srtp_destroy(struct sim_srtp *s)
{
	if (s == NULL)
		return;
	sim_srtp_evp_destroy(s->evp);
	if (s->lib != NULL)
		srtp_dealloc(s->lib);
	free(s);
}

void sim_srtp_carry(struct sim_srtp *to, const struct sim_srtp *from)
{
	if (to->evp != NULL && from->evp != NULL)
		sim_srtp_evp_carry(to->evp, from->evp);
}

static int lib_rc(srtp_err_status_t st)
{
	switch (st) {
	case srtp_err_status_ok:
		return 0;
	case srtp_err_status_auth_fail:
	case srtp_err_status_bad_mki:
		return -EACCES;
	case srtp_err_status_replay_fail:
	case srtp_err_status_replay_old:
		return -EALREADY;
	case srtp_err_status_bad_param:
	case srtp_err_status_parse_err:
		return -EBADMSG;
	default:
		return -EPROTO;
	}
}

/* Our own engine knows no MKI: it is put in and taken out around it. It stands before the tag, with GCM at the end. */
static int evp_mki(struct sim_srtp *s, int (*fn)(struct sim_srtp_evp *, uint8_t *, int *), int tag_len, uint8_t *data, int *len)
{
	int behind = s->gcm ? 0 : tag_len, at, rc;

	if (s->mki_len == 0)
		return fn(s->evp, data, len);
	if (s->inbound) {
		at = *len - behind - s->mki_len;
		if (at < 12)
			return -EBADMSG;
		if (memcmp(data + at, s->mki, s->mki_len) != 0)
			return -EACCES;
		memmove(data + at, data + at + s->mki_len, (size_t)behind);
		*len -= s->mki_len;
		return fn(s->evp, data, len);
	}
	rc = fn(s->evp, data, len);
	if (rc < 0)
		return rc;
	at = *len - behind;
	memmove(data + at + s->mki_len, data + at, (size_t)behind);
	memcpy(data + at, s->mki, s->mki_len);
	*len += s->mki_len;
	return 0;
}

int sim_srtp_rtp(struct sim_srtp *s, uint8_t *data, int *len)
{
	unsigned int mki = s->mki_len != 0;

	if (s->evp != NULL)
		return evp_mki(s, sim_srtp_evp_rtp, s->rtp_tag, data, len);
	return lib_rc(s->inbound ? srtp_unprotect_mki(s->lib, data, len, mki) : srtp_protect_mki(s->lib, data, len, mki, 0));
}

int sim_srtp_rtcp(struct sim_srtp *s, uint8_t *data, int *len)
{
	unsigned int mki = s->mki_len != 0;

	if (s->evp != NULL)
		return evp_mki(s, sim_srtp_evp_rtcp, 10, data, len);
	return lib_rc(s->inbound ? srtp_unprotect_rtcp_mki(s->lib, data, len, mki) :
				   srtp_protect_rtcp_mki(s->lib, data, len, mki, 0));
}
