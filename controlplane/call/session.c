/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What operators see and make: lists of calls, and relay sessions between two addresses given by hand
 * ('ravelinctl session add'), with or without SRTP on each side.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "callint.h"

/* Base64 of master key and salt, as after "inline:" in RFC 4568. Constant length, so nothing is guessed. */
static int key_parse(struct cp_keys *keys, uint8_t suite, const char *b64, struct cp_keyset **ret)
{
	size_t klen = dp_suite(suite)->key_len, slen = dp_suite(suite)->salt_len;
	uint8_t raw[64];
	int n;

	if (b64 == NULL || strlen(b64) != (klen + slen + 2) / 3 * 4 || strlen(b64) > 80)
		return -EINVAL;
	/* Padding where bytes belong would be read as zeros: a shorter key, accepted. */
	if (strcspn(b64, "=") < ((klen + slen) * 8 + 5) / 6)
		return -EINVAL;
	n = EVP_DecodeBlock(raw, (const uint8_t *)b64, (int)strlen(b64));
	if (n < (int)(klen + slen)) {
		OPENSSL_cleanse(raw, sizeof(raw));
		return -EINVAL;
	}
	*ret = cp_keys_take(keys, suite, raw, raw + klen);
	OPENSSL_cleanse(raw, sizeof(raw));
	return *ret != NULL ? 0 : -ENOSPC;
}

static int leg_spec(struct cp_calls *calls, const json_t *spec, struct party *p, const char **why)
{
	static const char *const known[] = {"remote", "suite", "rx_key", "tx_key", "region", "latch", NULL};
	const char *remote, *suite, *rx, *tx, *region, *latch, *key;
	json_t *val;
	int rc;

	if (!json_is_object(spec)) {
		*why = "leg_a and leg_b must be objects";
		return -EINVAL;
	}
	json_object_foreach((json_t *)(uintptr_t)spec, key, val)
	{
		unsigned i = 0;

		while (known[i] != NULL && strcmp(known[i], key) != 0)
			i++;
		if (known[i] == NULL || !json_is_string(val)) {
			*why = "a leg has remote, suite, rx_key, tx_key, region, latch: all text";
			return -EINVAL;
		}
	}
	remote = json_string_value(json_object_get(spec, "remote"));
	suite = json_string_value(json_object_get(spec, "suite"));
	rx = json_string_value(json_object_get(spec, "rx_key"));
	tx = json_string_value(json_object_get(spec, "tx_key"));
	region = json_string_value(json_object_get(spec, "region"));
	latch = json_string_value(json_object_get(spec, "latch"));
	p->kind = PARTY_STATIC;
	snprintf(p->region, sizeof(p->region), "%s", region != NULL ? region : "default");
	if (remote == NULL || cfg_addr_parse(remote, &p->remote) < 0 || p->remote.port == 0) {
		*why = "remote must be ADDRESS:PORT";
		return -EINVAL;
	}
	if (suite != NULL && cp_suite_parse(suite, &p->suite) < 0) {
		*why = "suite must be RTP, AES_CM_128_HMAC_SHA1_80 or _32, AES_192_CM_..., AES_256_CM_..., AEAD_AES_128_GCM, "
		       "AEAD_AES_256_GCM, NULL_HMAC_SHA1_80 or _32";
		return -EINVAL;
	}
	if (latch == NULL)
		p->latch = p->suite != DP_SRTP_NONE ? DP_LATCH_AUTH : DP_LATCH_ADDRESS;
	else if (strcmp(latch, "strict") == 0)
		p->latch = DP_LATCH_NONE;
	else if (strcmp(latch, "address") == 0 && p->suite == DP_SRTP_NONE)
		p->latch = DP_LATCH_ADDRESS;
	else if (strcmp(latch, "any") == 0 && p->suite == DP_SRTP_NONE)
		p->latch = DP_LATCH_ANY;
	else if (strcmp(latch, "authenticated") == 0 && p->suite != DP_SRTP_NONE)
		p->latch = DP_LATCH_AUTH;
	else {
		*why = "latch must be strict, for RTP address or any, for SRTP authenticated";
		return -EINVAL;
	}
	if (p->suite == DP_SRTP_NONE) {
		if (rx != NULL || tx != NULL) {
			*why = "keys need a suite";
			return -EINVAL;
		}
		return 0;
	}
	*why = "rx_key and tx_key must be base64 of the suite's key (16, 24 or 32 bytes) and salt (14; GCM: 12)";
	rc = key_parse(calls->keys, p->suite, rx, &p->rx);
	if (rc == 0)
		rc = key_parse(calls->keys, p->suite, tx, &p->tx);
	if (rc == -ENOSPC)
		*why = "no place for more keys";
	/* The same key for both directions would use one keystream twice (RFC 3711 s9.1). */
	if (rc == 0 && cp_keys_equal(p->rx, p->tx)) {
		*why = "rx_key and tx_key must differ";
		rc = -EINVAL;
	}
	return rc;
}

/* Undo what was taken before the call had legs: no party to tell, no record. */
static void discard(struct cp_call *call)
{
	call->session_fn = NULL;
	party_clear(call, 0);
	party_clear(call, 1);
	call_end(call, "session refused");
}

void cp_calls_session_add(struct cp_calls *calls, const json_t *spec, cp_session_fn fn, void *ctx)
{
	struct cp_call *call;
	const char *why = "too many calls";
	int rc;

	if (!cp_dp_up(calls->env.dp)) {
		fn(ctx, -ENOTCONN, "the dataplane is not there", NULL);
		return;
	}
	call = call_new(calls);
	if (call == NULL) {
		fn(ctx, -ENOSPC, why, NULL);
		return;
	}
	call->is_static = true;
	call->state = CALL_CONNECTING;
	snprintf(call->p[0].number, sizeof(call->p[0].number), "session");
	snprintf(call->p[1].number, sizeof(call->p[1].number), "session");
	rc = leg_spec(calls, json_object_get(spec, "leg_a"), &call->p[0], &why);
	if (rc == 0)
		rc = leg_spec(calls, json_object_get(spec, "leg_b"), &call->p[1], &why);
	if (rc == 0) {
		why = "no media port, or no media address in the region";
		rc = legs_take(call);
	}
	if (rc < 0) {
		discard(call);
		fn(ctx, rc, why, NULL);
		return;
	}
	for (unsigned s = 0; s < 2; s++) {
		struct cfg_addr local;

		cp_ports_addr(calls->ports, call->p[s].leg_id, &local);
		if (local.family != call->p[s].remote.family) {
			discard(call);
			fn(ctx, -EINVAL, "the region's media address is of another family than the remote", NULL);
			return;
		}
	}
	call->secure = call->p[0].suite != DP_SRTP_NONE && call->p[1].suite != DP_SRTP_NONE;
	call->session_fn = fn;
	call->session_ctx = ctx;
	legs_start(call);
}

int cp_calls_hangup(struct cp_calls *calls, uint32_t callref)
{
	struct cp_call *call = call_find(calls, callref);

	if (call == NULL)
		return -ENOENT;
	call_end(call_cause(call, CP_Q850_NORMAL), "ended by the operator");
	return 0;
}

static const char *kind_name(enum party_kind k)
{
	static const char *const names[] = {"none", "phone", "gateway", "static", "park"};

	return names[k];
}

static json_t *show_party(const struct party *p)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:b}", "kind", kind_name(p->kind), "name", p->name, "number", p->number,
			 "suite", cp_suite_name(p->suite), "present",
			 p->kind != PARTY_PHONE || (p->agent != NULL && p->agent->phone != NULL));
}

json_t *cp_calls_show_counters(const struct cp_calls *calls)
{
	json_t *active = json_object(), *completed = json_object();
	uint64_t now[CP_SEC_ENCRYPTED + 1] = {0};

	for (uint32_t i = 0; i < CALL_SLOTS; i++)
		if (calls->slot[i] != NULL && calls->slot[i]->state == CALL_CONNECTED && !calls->slot[i]->is_static && !calls->slot[i]->barge)
			now[call_security(calls->slot[i])]++;
	for (int s = CP_SEC_NOT_SECURE; s <= CP_SEC_ENCRYPTED; s++) {
		json_object_set_new(active, cp_security_name((enum cp_security)s), json_integer((json_int_t)now[s]));
		json_object_set_new(completed, cp_security_name((enum cp_security)s), json_integer((json_int_t)calls->completed[s]));
	}
	return json_pack("{s:I, s:I, s:I, s:o, s:o, s:o}", "total", (json_int_t)calls->total, "failed", (json_int_t)calls->failed,
			 "lost_with_keys", (json_int_t)calls->dropped_adopt, "active", active, "completed", completed, "detail_records", cdrs_show(calls->cdrs));
}

const char *call_state_name(const struct cp_call *call)
{
	static const char *const states[] = {"dialing", "routing", "alerting", "connecting", "connected", "failed"};

	return states[call->state];
}

json_t *cp_calls_show(struct cp_calls *calls)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		const struct cp_call *c = calls->slot[i];

		if (c == NULL)
			continue;
		json_array_append_new(
			list, json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:I, s:o, s:o}", "id", (json_int_t)c->ref,
					"state", call_state_name(c), "from", c->p[0].number, "to",
					c->p[1].kind != PARTY_NONE ? c->p[1].number : c->digits, "security",
					c->is_static ? (c->secure ? "srtp" : "rtp") : cp_security_name(call_security(c)),
					"media", c->direct ? "direct" : "relay", "session", c->is_static, "adopted", c->adopted, "since", (json_int_t)c->since_s,
					"a", show_party(&c->p[0]), "b", show_party(&c->p[1])));
	}
	return list;
}
