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
	const uint8_t *list = call->rule.suites_said ? call->rule.suites : calls->suites;
	unsigned cnt = call->rule.suites_said ? (unsigned)strnlen((const char *)list, DP_SRTP_SUITE_MAX) : calls->suite_cnt;
	bool own = gw->suite != DP_SRTP_NONE && (!call->rule.suites_said || memchr(list, gw->suite, cnt) != NULL);

	if (own && n-- == 0)
		return gw->suite;
	for (unsigned i = 0; i < cnt; i++)
		if (!(own && list[i] == gw->suite) && n-- == 0)
			return list[i];
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

/*
 * No SCCP field says which suites a phone knows: AES_CM_128_HMAC_SHA1_32, which all secure phones know, what its record names, and
 * of the same cipher what is beside that. SCCP has no algorithm number for others (wire formats 6.6).
 */
static bool phone_knows(const struct cp_phone *phone, uint8_t suite)
{
	const struct cp_device *dev = cp_phone_device(phone);
	uint8_t best = dev != NULL ? dev->suite : DP_SRTP_NONE;

	return suite == DP_AES_CM_128_HMAC_SHA1_32 || (suite == best && suite != DP_SRTP_NONE) ||
	       (suite == DP_AES_CM_128_HMAC_SHA1_80 && best == DP_AEAD_AES_128_GCM);
}

uint8_t policy_phone_suite(const struct cp_media_rule *rule, const struct cp_phone *phone)
{
	const struct cp_device *dev = cp_phone_device(phone);

	if (!rule->suites_said)
		return dev != NULL && dev->suite != DP_SRTP_NONE ? dev->suite : DP_AES_CM_128_HMAC_SHA1_32;
	for (unsigned i = 0; i < DP_SRTP_SUITE_MAX && rule->suites[i] != DP_SRTP_NONE; i++)
		if (phone_knows(phone, rule->suites[i]))
			return rule->suites[i];
	return DP_SRTP_NONE;
}

/* One key for both: a suite that both know, and nothing of the key that SCCP has no place for. */
uint8_t policy_direct_suite(const struct cp_call *call, const struct cp_phone *phone, const struct cp_gateway *gw)
{
	uint8_t suite, first = policy_phone_suite(&call->rule, phone);

	if (gw->mki_len != 0 || gw->lifetime != 0 || (gw->flags & CP_GW_SRTCP_CLEAR) != 0)
		return DP_SRTP_NONE;
	for (unsigned n = 0; (suite = policy_suite(call, gw, n)) != DP_SRTP_NONE; n++)
		if (call->rule.suites_said ? phone_knows(phone, suite) : suite == first)
			return suite;
	return DP_SRTP_NONE;
}

uint8_t policy_common_suite(const struct cp_media_rule *rule, const struct cp_phone *a, const struct cp_phone *b)
{
	uint8_t suite = policy_phone_suite(rule, a);

	if (!rule->suites_said)
		return suite == policy_phone_suite(rule, b) ? suite : DP_SRTP_NONE;
	for (unsigned i = 0; i < DP_SRTP_SUITE_MAX && (suite = rule->suites[i]) != DP_SRTP_NONE; i++)
		if (phone_knows(a, suite) && phone_knows(b, suite))
			return suite;
	return DP_SRTP_NONE;
}

/* --- codecs --- */

void policy_side(const struct party *p, struct cp_codec_side *ret)
{
	const struct cp_phone *phone = party_phone(p);

	*ret = (struct cp_codec_side){.gateway = p->kind == PARTY_GATEWAY};
	if (p->kind == PARTY_GATEWAY || phone == NULL) { /* a phone that is away speaks what it spoke */
		ret->only = p->kind == PARTY_GATEWAY ? 0 : p->codec;
		ret->version = CP_SCCP_VER_ANY;
		return;
	}
	ret->caps = cp_phone_caps(phone, &ret->cap_cnt);
	ret->version = cp_phone_protocol(phone);
	ret->old_srtp = (p->can & CP_DT_OLD_SRTP) != 0;
}

int policy_codec(const struct party *a, const struct party *b, const struct cp_media_rule *rule, bool secure, struct cp_codec_choice *ret)
{
	struct cp_codec_side sa, sb;

	policy_side(a, &sa);
	policy_side(b, &sb);
	/* A gateway that rings has been told its codec; how it is to change it is told to one whose leg is opened anew only. */
	if (a->kind == PARTY_GATEWAY && a->conn_id[0] != '\0' && !a->ready && !a->reopen)
		sa.only = a->codec;
	if (b->kind == PARTY_GATEWAY && b->conn_id[0] != '\0' && !b->ready && !b->reopen)
		sb.only = b->codec;
	return cp_codec_choose(&sa, &sb, &rule->codec, secure, a->call->calls->env.cfg->media.ptime_ms, ret);
}

static void speak(struct party *p, enum cp_codec codec, uint32_t number, uint8_t packet_ms)
{
	if (p->codec != number || p->audio_pt == 0)
		p->audio_pt = cp_codec_info(codec)->pt;
	p->codec = number;
	p->packet_ms = packet_ms;
}

void policy_speak(struct party *a, struct party *b, const struct cp_codec_choice *choice)
{
	speak(a, choice->codec, choice->number[0], choice->packet_ms);
	speak(b, choice->codec, choice->number[1], choice->packet_ms);
}

/* A gateway that has been told a codec speaks that one. */
static void other_side(const struct party *p, struct cp_codec_side *ret)
{
	policy_side(p, ret);
	if (p->kind == PARTY_GATEWAY && p->conn_id[0] != '\0' && !p->reopen)
		ret->only = p->codec;
}

/* All that both could speak, best first; a gateway takes one. An iLBC that it does not have to take has the frames of our packets. */
void policy_offer(const struct cp_call *call, const struct party *gateway, struct dp_mgcp_media *m)
{
	const struct cp_codec_rule *rule = &call->rule.codec;
	const struct party *other = &call->p[1 - party_side(call, gateway)];
	struct cp_codec_side sa, sb;
	unsigned n = 0;

	other_side(other, &sa);
	policy_side(gateway, &sb);
	for (unsigned i = 0; i < CP_CODEC_MAX && n < DP_AUDIO_LIST && rule->list[i] != CP_CODEC_NONE; i++)
		if (cp_codec_fits((enum cp_codec)rule->list[i], &sa, &sb, rule, call->secure) == CP_CODEC_OK)
			m->audio[n++] = cp_codec_info((enum cp_codec)rule->list[i])->audio;
	if (n > 0)
		m->pt = cp_codec_info(cp_codec_of_audio(m->audio[0]))->pt;
}

/* The packets that it wants, if they are whole frames and the other party takes so much. */
static uint8_t packets(const struct dp_mgcp_media *m, const struct cp_codec_choice *c, const struct cp_codec_side *other)
{
	unsigned frame = c->codec == CP_CODEC_ILBC ? m->ilbc_ms : cp_codec_info(c->codec)->frame_ms, most = 0;

	cp_codec_number(other, c->codec, &most);
	if (m->ptime_ms >= frame && m->ptime_ms <= most && m->ptime_ms % frame == 0)
		return m->ptime_ms;
	return c->packet_ms % frame == 0 ? c->packet_ms : (uint8_t)frame;
}

int policy_answer(struct cp_call *call, struct party *gateway, const struct dp_mgcp_media *m)
{
	struct party *other = &call->p[1 - party_side(call, gateway)];
	struct cp_codec_rule one = {.list = {(uint8_t)cp_codec_of_audio(m->audio[0])}, .max_kbps = call->rule.codec.max_kbps};
	struct cp_codec_choice choice;
	struct cp_codec_side sa, sb;

	other_side(other, &sa);
	policy_side(gateway, &sb);
	if (one.list[0] == CP_CODEC_NONE || memchr(call->rule.codec.list, one.list[0], CP_CODEC_MAX) == NULL)
		return -EINVAL;
	/* Nothing is transcoded: the other side speaks what this one chose, or there is no call. */
	if (cp_codec_choose(&sa, &sb, &one, call->secure, call->calls->env.cfg->media.ptime_ms, &choice) < 0)
		return -EINVAL;
	choice.packet_ms = packets(m, &choice, &sa);
	policy_speak(other, gateway, &choice);
	gateway->audio_pt = m->pt;
	return 0;
}
