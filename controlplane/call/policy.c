/* SPDX-License-Identifier: BSD-3-Clause */
/* What is offered to whom: suites by preference, MKI and lifetime of keys, and between whom media may go directly. */
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "callint.h"

int cp_calls_config(const struct cfg_media *media, char *err, size_t err_size)
{
	for (unsigned i = 0; i < media->suites_count; i++) {
		uint8_t suite;

		if (cp_suite_parse(media->suites[i], &suite) < 0 || suite == DP_SRTP_NONE || dp_suite(suite)->null_cipher) {
			snprintf(err, err_size, "media.suites[%u]: %s is no suite that is done here", i, cfg_q(media->suites[i]));
			return -EINVAL;
		}
	}
	return 0;
}

uint8_t policy_suite(const struct cp_call *call, const struct cp_gateway *gw, unsigned n)
{
	const struct cp_calls *calls = call->calls;

	if (gw->suite != DP_SRTP_NONE) {
		if (n == 0)
			return gw->suite;
		n--;
	}
	for (unsigned i = 0; i < calls->suite_cnt; i++)
		if (calls->suites[i] != gw->suite && n-- == 0)
			return calls->suites[i];
	return DP_SRTP_NONE;
}

/* SCCP has no place for an MKI, a lifetime or a KDR: phones' keys have none. */
struct cp_keyset *policy_draw(struct cp_call *call, struct party *p, uint8_t suite)
{
	struct cp_gw *gw = p->kind == PARTY_GATEWAY ? cp_gws_find(call->calls->gws, p->name) : NULL;
	const struct cp_gateway *rec = gw != NULL && !call->direct ? cp_gw_rec(gw) : NULL;
	struct cp_keyset *set = cp_keys_draw(call->calls->keys, suite);

	if (set == NULL || rec == NULL)
		return set;
	set->lifetime = rec->lifetime;
	set->rtcp_clear = (rec->flags & CP_GW_SRTCP_CLEAR) != 0;
	set->mki_len = rec->mki_len;
	if (set->mki_len == 0)
		return set;
	/* From anywhere, then upwards: never that of the key before, nor, most likely, of one from before a restart. */
	if (p->mki == 0 && RAND_bytes((uint8_t *)&p->mki, sizeof(p->mki)) != 1)
		p->mki = 1;
	p->mki++;
	set->mki = p->mki & (UINT64_MAX >> (64 - 8 * set->mki_len));
	return set;
}

static bool region_direct(const struct cfg_media *media, const char *region)
{
	for (unsigned i = 0; i < media->regions_count; i++)
		if (strcmp(media->regions[i].name, region) == 0)
			return media->regions[i].mode == CFG_MEDIA_DIRECT;
	return media->mode == CFG_MEDIA_DIRECT;
}

bool policy_direct(const struct cp_calls *calls, const struct party *a, const struct party *b)
{
	const struct cfg_media *media = &calls->env.cfg->media;

	return region_direct(media, a->region) && region_direct(media, b->region);
}

/* A key for a phone and a gateway alike: the phone's suite, if the gateway is to be offered it, and nothing beside. */
uint8_t policy_direct_suite(const struct cp_call *call, const struct cp_gateway *gw, uint8_t phone)
{
	uint8_t suite;

	if (gw->mki_len != 0 || gw->lifetime != 0 || (gw->flags & CP_GW_SRTCP_CLEAR) != 0)
		return DP_SRTP_NONE;
	for (unsigned n = 0; (suite = policy_suite(call, gw, n)) != DP_SRTP_NONE; n++)
		if (suite == phone)
			return suite;
	return DP_SRTP_NONE;
}
