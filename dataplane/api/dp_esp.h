/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an ESP algorithm is: its name as operators write it, lengths of keys, IV and ICV, alignment. One entry is a cipher
 * with an authentication, because that is what an SA has. RFC 4106 (GCM), 3602 (CBC), 3686 (CTR), 2451 (3DES), 2410 (NULL);
 * RFC 2404 and 4868 (HMAC).
 */
#ifndef DP_ESP_H
#define DP_ESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dp_msg.h"

enum dp_esp_cipher { DP_ESP_C_GCM, DP_ESP_C_CBC, DP_ESP_C_CTR, DP_ESP_C_3DES, DP_ESP_C_NULL };
enum dp_esp_auth { DP_ESP_A_NONE, DP_ESP_A_SHA1, DP_ESP_A_SHA256, DP_ESP_A_SHA384, DP_ESP_A_SHA512 };

struct dp_esp_suite {
	const char *name;
	uint8_t cipher;   /* enum dp_esp_cipher */
	uint8_t auth;     /* enum dp_esp_auth; NONE: the cipher authenticates */
	uint8_t key_len;  /* of the cipher, bytes; all lengths are */
	uint8_t salt_len; /* behind the key in key material: salt of RFC 4106, nonce of RFC 3686 */
	uint8_t auth_len; /* key of the HMAC */
	uint8_t iv_len, icv_len; /* on the wire */
	uint8_t align;    /* the ciphertext is a multiple of it */
	bool old;         /* for gateways that know nothing better: only with ipsec.old_algorithms: allow */
};

/** NULL: no such algorithm. Any. */
static inline const struct dp_esp_suite *dp_esp_suite(unsigned int alg)
{
#define DP_ESP_GCM_(key, icv, suffix) {"aes-gcm-" #key suffix, DP_ESP_C_GCM, DP_ESP_A_NONE, (key) / 8, 4, 0, 8, icv, 4, false}
#define DP_ESP_HMAC_(name, cipher, key, salt, iv, align, old)                                       \
	{name "-sha1", cipher, DP_ESP_A_SHA1, key, salt, 20, iv, 12, align, old},                   \
	{name "-sha256", cipher, DP_ESP_A_SHA256, key, salt, 32, iv, 16, align, old},               \
	{name "-sha384", cipher, DP_ESP_A_SHA384, key, salt, 48, iv, 24, align, old},               \
	{name "-sha512", cipher, DP_ESP_A_SHA512, key, salt, 64, iv, 32, align, old}
	/* In the order of enum dp_esp_alg. */
	static const struct dp_esp_suite tab[] = {
		DP_ESP_GCM_(128, 16, ""),
		DP_ESP_HMAC_("aes-cbc-128", DP_ESP_C_CBC, 16, 0, 16, 16, false),
		DP_ESP_HMAC_("aes-cbc-192", DP_ESP_C_CBC, 24, 0, 16, 16, false),
		DP_ESP_HMAC_("aes-cbc-256", DP_ESP_C_CBC, 32, 0, 16, 16, false),
		DP_ESP_HMAC_("aes-ctr-128", DP_ESP_C_CTR, 16, 4, 8, 4, false),
		DP_ESP_HMAC_("aes-ctr-192", DP_ESP_C_CTR, 24, 4, 8, 4, false),
		DP_ESP_HMAC_("aes-ctr-256", DP_ESP_C_CTR, 32, 4, 8, 4, false),
		DP_ESP_GCM_(192, 16, ""),
		DP_ESP_GCM_(256, 16, ""),
		DP_ESP_GCM_(128, 12, "-12"),
		DP_ESP_GCM_(192, 12, "-12"),
		DP_ESP_GCM_(256, 12, "-12"),
		DP_ESP_GCM_(128, 8, "-8"),
		DP_ESP_GCM_(192, 8, "-8"),
		DP_ESP_GCM_(256, 8, "-8"),
		DP_ESP_HMAC_("3des-cbc", DP_ESP_C_3DES, 24, 0, 8, 8, true),
		DP_ESP_HMAC_("null", DP_ESP_C_NULL, 0, 0, 0, 4, true),
	};
#undef DP_ESP_GCM_
#undef DP_ESP_HMAC_
	static_assert(sizeof(tab) / sizeof(*tab) == DP_ESP_ALG_MAX - 1, "one entry for each algorithm");

	return alg > 0 && alg < DP_ESP_ALG_MAX ? &tab[alg - 1] : (const struct dp_esp_suite *)NULL;
}

/**
 * The algorithm of a name. A length of the ICV may stand behind it where the name has none: in bytes for GCM
 * ("aes-gcm-128-16"), in bits for HMAC as the RFCs write it ("aes-cbc-128-sha1-96"). 0: none of that name. Any.
 */
static inline uint8_t dp_esp_find(const char *name)
{
	for (unsigned int alg = 1; name != NULL && alg < DP_ESP_ALG_MAX; alg++) {
		const struct dp_esp_suite *s = dp_esp_suite(alg);
		const char *have = s->name, *at = name;
		unsigned int len = 0, digits = 0;

		while (*have != '\0' && *have == *at) {
			have++;
			at++;
		}
		if (*have != '\0')
			continue;
		if (*at == '\0')
			return (uint8_t)alg;
		if (*at++ != '-' || *at == '0')
			continue;
		for (; *at >= '0' && *at <= '9' && digits < 4; at++, digits++)
			len = len * 10 + (unsigned int)(*at - '0');
		if (digits > 0 && *at == '\0' && len == (s->auth == DP_ESP_A_NONE ? s->icv_len : s->icv_len * 8u))
			return (uint8_t)alg;
	}
	return 0;
}

#endif
