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
};

static const struct {
	enum sim_srtp_alg alg;
	const char *name;
} suites[] = {
	{SIM_SRTP_AES128_SHA1_80, "AES_CM_128_HMAC_SHA1_80"},
	{SIM_SRTP_AES128_SHA1_32, "AES_CM_128_HMAC_SHA1_32"},
	{SIM_SRTP_AES128_GCM, "AEAD_AES_128_GCM"},
};

size_t sim_srtp_salt_len(enum sim_srtp_alg alg)
{
	return alg == SIM_SRTP_NONE ? 0 : alg == SIM_SRTP_AES128_GCM ? 12 : 14;
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
	uint8_t both[16 + 14];
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
	case SIM_SRTP_NONE:
		return NULL;
	}
	memcpy(both, key->key, 16);
	memcpy(both + 16, key->salt, sim_srtp_salt_len(key->alg));
	policy.ssrc.type = inbound ? ssrc_any_inbound : ssrc_any_outbound;
	policy.key = both;
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
	if (engine == SIM_SRTP_OPENSSL)
		s->evp = sim_srtp_evp_create(key, inbound);
	else
		s->lib = lib_create(key, inbound);
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

static int lib_rc(srtp_err_status_t st)
{
	switch (st) {
	case srtp_err_status_ok:
		return 0;
	case srtp_err_status_auth_fail:
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

int sim_srtp_rtp(struct sim_srtp *s, uint8_t *data, int *len)
{
	if (s->evp != NULL)
		return sim_srtp_evp_rtp(s->evp, data, len);
	return lib_rc(s->inbound ? srtp_unprotect(s->lib, data, len) : srtp_protect(s->lib, data, len));
}

int sim_srtp_rtcp(struct sim_srtp *s, uint8_t *data, int *len)
{
	if (s->evp != NULL)
		return sim_srtp_evp_rtcp(s->evp, data, len);
	return lib_rc(s->inbound ? srtp_unprotect_rtcp(s->lib, data, len)
				 : srtp_protect_rtcp(s->lib, data, len));
}
