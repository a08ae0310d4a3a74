/* SPDX-License-Identifier: BSD-3-Clause */
#include "ikerec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/dp_esp.h"
#include "log.h"
#include "why.h"

#define ITEM_MAX 48

static const char *const hashes[] = {[DP_ESP_A_SHA1] = "sha1", [DP_ESP_A_SHA256] = "sha256", [DP_ESP_A_SHA384] = "sha384",
				     [DP_ESP_A_SHA512] = "sha512"};

static const struct group {
	const char *name, *charon;
	bool old;
} groups[] = {
	{"x25519", "curve25519", false}, {"x448", "curve448", false}, {"ecp256", "ecp256", false}, {"ecp384", "ecp384", false},
	{"ecp521", "ecp521", false}, {"modp2048", "modp2048", false}, {"modp3072", "modp3072", false}, {"modp4096", "modp4096", false},
	{"modp6144", "modp6144", false}, {"modp8192", "modp8192", false},
	{"modp1024", "modp1024", true}, {"modp1536", "modp1536", true},
};

static const char *const default_ike[] = {
	NULL,
	"aes-cbc-256-sha256/modp2048,aes-cbc-128-sha256/modp2048,aes-cbc-128-sha1/modp2048",
	"aes-gcm-128-sha256/x25519,aes-gcm-256-sha384/ecp384,aes-cbc-256-sha256/modp2048,aes-cbc-128-sha256/modp2048",
};
static const char *const default_esp[] = {
	NULL,
	"aes-cbc-256-sha256,aes-cbc-128-sha256,aes-cbc-128-sha1",
	"aes-gcm-128,aes-gcm-256,aes-cbc-256-sha256,aes-cbc-128-sha256",
};

static const struct group *find_group(const char *name)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (strcmp(groups[i].name, name) == 0)
			return &groups[i];
	return NULL;
}

/* Cipher and integrity or PRF, as charon writes them. */
static int charon_alg(const struct dp_esp_suite *s, const char *prf, char *out, size_t size)
{
	const char *hash = s->auth != DP_ESP_A_NONE ? hashes[s->auth] : "";
	int bits = s->key_len * 8;

	switch (s->cipher) {
	case DP_ESP_C_GCM:
		return snprintf(out, size, "aes%dgcm%d%s%s", bits, s->icv_len, prf != NULL ? "-prf" : "", prf != NULL ? prf : "");
	case DP_ESP_C_CBC:
		return snprintf(out, size, "aes%d-%s", bits, hash);
	case DP_ESP_C_CTR:
		return snprintf(out, size, "aes%dctr-%s", bits, hash);
	case DP_ESP_C_3DES:
		return snprintf(out, size, "3des-%s", hash);
	default:
		return snprintf(out, size, "null-%s", hash);
	}
}

/* The algorithm of an item without its group. For IKE, GCM has the PRF's hash behind it: *ret_prf, else NULL. */
static const struct dp_esp_suite *find_alg(char *name, bool ike, const char **ret_prf)
{
	const struct dp_esp_suite *s;
	char *dash = strrchr(name, '-');

	*ret_prf = NULL;
	if (ike && strncmp(name, "aes-gcm-", 8) == 0) {
		if (dash == NULL)
			return NULL;
		for (size_t i = DP_ESP_A_SHA256; i < sizeof(hashes) / sizeof(hashes[0]); i++)
			if (strcmp(dash + 1, hashes[i]) == 0)
				*ret_prf = hashes[i];
		if (*ret_prf == NULL)
			return NULL;
		*dash = '\0';
	}
	s = dp_esp_suite(dp_esp_find(name));
	if (s == NULL || (ike && (s->cipher == DP_ESP_C_CTR || s->cipher == DP_ESP_C_NULL || (s->cipher == DP_ESP_C_GCM && s->icv_len != 16))))
		return NULL;
	return s;
}

/* One item, in charon's names. -EINVAL: it is none. */
static int one(const char *item, size_t len, bool ike, bool esn, char *out, size_t size, bool *ret_old)
{
	char name[ITEM_MAX], alg[ITEM_MAX], *slash;
	const struct dp_esp_suite *s;
	const struct group *g = NULL;
	const char *prf;
	int n;

	if (len >= sizeof(name))
		return -EINVAL;
	memcpy(name, item, len);
	name[len] = '\0';
	slash = strchr(name, '/');
	if (slash != NULL) {
		*slash = '\0';
		g = find_group(slash + 1);
	}
	s = find_alg(name, ike, &prf);
	if (s == NULL || (g == NULL && (ike || slash != NULL)) || charon_alg(s, prf, alg, sizeof(alg)) < 0)
		return -EINVAL;
	n = snprintf(out, size, "%s%s%s%s", alg, g != NULL ? "-" : "", g != NULL ? g->charon : "", ike ? "" : esn ? "-esn" : "-noesn");
	*ret_old = s->old || (g != NULL && g->old);
	return n > 0 && (size_t)n < size ? 0 : -EINVAL;
}

/* Every item; 'out' NULL: only looked at. The first old one is in 'old' (ITEM_MAX bytes, may be NULL). */
static int each(const char *list, bool ike, bool esn, char *out, char *old, char *why, size_t why_size)
{
	size_t at = 0;

	if (old != NULL)
		old[0] = '\0';
	for (;;) {
		size_t n = strcspn(list, ",");
		char charon[2 * ITEM_MAX];
		bool is_old;

		if (one(list, n, ike, esn, charon, sizeof(charon), &is_old) < 0)
			return cfg_invalid(why, why_size, "%s is no %s", cfg_qn((char[160]){0}, 160, list, n),
					   ike ? "proposal of IKE: aes-cbc-256-sha256/modp2048, aes-gcm-128-sha256/x25519, ..."
					       : "algorithm of ESP: aes-gcm-128, aes-cbc-128-sha256, aes-gcm-128/x25519, ...");
		if (is_old && old != NULL && old[0] == '\0')
			snprintf(old, ITEM_MAX, "%.*s", (int)n, list);
		if (out != NULL) {
			size_t len = strlen(charon);

			if (at + len + 2 > CP_IKE_CHARON_MAX)
				return cfg_invalid(why, why_size, "too many proposals");
			if (at > 0)
				out[at++] = ',';
			memcpy(out + at, charon, len + 1);
			at += len;
		}
		if (list[n] == '\0')
			return 0;
		list += n + 1;
	}
}

int cp_ike_proposals(const char *list, unsigned version, char ret[CP_IKE_CHARON_MAX], char *why, size_t why_size)
{
	const char *l = list[0] != '\0' ? list : default_ike[version == 1 ? 1 : 2];

	if (version == 1 && strstr(l, "gcm") != NULL)
		return cfg_invalid(why, why_size, "IKEv1 has no aes-gcm of its own: its ESP may have");
	return each(l, true, false, ret, NULL, why, why_size);
}

int cp_ike_esp(const char *list, unsigned version, bool esn, char ret[CP_IKE_CHARON_MAX], char *why, size_t why_size)
{
	return each(list[0] != '\0' ? list : default_esp[version == 1 ? 1 : 2], false, esn, ret, NULL, why, why_size);
}

int cp_ike_allowed(const struct cp_gw_ike *ike, bool old_allowed, char *why, size_t why_size)
{
	const char *const lists[] = {ike->proposals, ike->esp};

	for (unsigned i = 0; ike->version != 0 && !old_allowed && i < 2; i++) {
		char old[ITEM_MAX];

		if (lists[i][0] != '\0' && each(lists[i], i == 0, false, NULL, old, NULL, 0) == 0 && old[0] != '\0')
			return cfg_no(why, why_size, -EPERM, "%s is for old gateways: ipsec.old_algorithms does not allow it", old);
	}
	return 0;
}

/* charon takes the address of nobody for anybody, and a network or a range for whoever is in it. */
static bool id_many(const char *id)
{
	static const char *const kinds[] = {"ipv4net:", "ipv6net:", "ipv4range:", "ipv6range:"};
	static const uint8_t zero[16];
	uint8_t ip[16] = {0};
	char text[INET6_ADDRSTRLEN];
	size_t n;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strncasecmp(id, kinds[i], strlen(kinds[i])) == 0)
			return true;
	if (strncasecmp(id, "ipv4:", 5) == 0 || strncasecmp(id, "ipv6:", 5) == 0)
		id += 5;
	n = strcspn(id, "/-");
	if (n >= sizeof(text))
		return false;
	memcpy(text, id, n);
	text[n] = '\0';
	if (inet_pton(AF_INET, text, ip) != 1 && inet_pton(AF_INET6, text, ip) != 1)
		return false;
	return id[n] != '\0' || memcmp(ip, zero, sizeof(ip)) == 0;
}

/* No wildcards: whoever has the key must still be the one that is meant. "{9}:..." would be any kind of identity in charon's own numbers. */
static bool id_ok(const char *id)
{
	if (id[0] == '%' || id[0] == '{' || id_many(id))
		return false;
	for (; *id != '\0'; id++)
		if (*id < 0x20 || *id > 0x7e || *id == '*' || *id == '"')
			return false;
	return true;
}

/* ADDRESS[/PREFIX] with [PROTOCOL] or [PROTOCOL/PORT] behind it. */
static bool ts_ok(const char *ts)
{
	static const char *const protocols[] = {"udp", "tcp", "sctp"};
	size_t n = strcspn(ts, "[");
	char text[CP_IKE_TS_MAX], *slash, *end;
	struct cfg_addr a;
	bool known = false;

	memcpy(text, ts, n);
	text[n] = '\0';
	if (cfg_addr_parse(text, &a) < 0 || a.port != 0)
		return false;
	if (ts[n] == '\0')
		return true;
	snprintf(text, sizeof(text), "%s", ts + n + 1);
	n = strlen(text);
	if (n < 2 || text[n - 1] != ']')
		return false;
	text[n - 1] = '\0';
	slash = strchr(text, '/');
	if (slash != NULL) {
		long port = strtol(slash + 1, &end, 10);

		if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || port < 1 || port > 65535)
			return false;
		*slash = '\0';
	}
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		known |= strcmp(text, protocols[i]) == 0;
	return known;
}

static bool address_ok(const struct cfg_addr *a)
{
	return a->family == 0 || (a->port == 0 && a->plen == (a->family == 4 ? 32 : 128));
}

static bool same_host(const struct cfg_addr *a, const struct cfg_addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, a->family == 4 ? 4 : 16) == 0;
}

static bool same_buf(const struct cp_buf *a, const struct cp_buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static bool same_addr(const struct cfg_addr *a, const struct cfg_addr *b)
{
	return a->family == b->family && a->port == b->port && a->plen == b->plen && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool cp_ike_same(const struct cp_gateway *a, const struct cp_gateway *b)
{
	const struct cp_gw_ike *x = &a->ike, *y = &b->ike;

	return x->version == y->version && x->flags == y->flags && a->dialect == b->dialect && same_addr(&a->address, &b->address) && same_addr(&x->local, &y->local) &&
	       same_addr(&x->remote, &y->remote) && strcmp(x->local_id, y->local_id) == 0 && strcmp(x->remote_id, y->remote_id) == 0 &&
	       same_buf(&x->psk, &y->psk) && strcmp(x->proposals, y->proposals) == 0 && strcmp(x->esp, y->esp) == 0 &&
	       strcmp(x->local_ts, y->local_ts) == 0 && strcmp(x->remote_ts, y->remote_ts) == 0 && x->dpd_s == y->dpd_s &&
	       x->rekey_s == y->rekey_s && x->reauth_s == y->reauth_s && x->child_s == y->child_s;
}

static int times(const struct cp_gateway *gw, char *why, size_t size)
{
	const struct cp_gw_ike *k = &gw->ike;
	const struct {
		const char *name;
		uint32_t v, min, max;
	} tab[] = {{"DPD", k->dpd_s, 1, 3600}, {"rekeying of IKE", k->rekey_s, 10, 604800}, {"reauthentication", k->reauth_s, 10, 604800},
		   {"rekeying of ESP", k->child_s, 10, 604800}};

	for (size_t i = 0; i < sizeof(tab) / sizeof(tab[0]); i++)
		if (tab[i].v != 0 && (tab[i].v < tab[i].min || tab[i].v > tab[i].max))
			return cfg_invalid(why, size, "%s: %s each %u s is not %u to %u s", gw->name, tab[i].name, tab[i].v, tab[i].min, tab[i].max);
	return 0;
}

int cp_ike_check(const struct cp_gateway *gw, char *why, size_t size)
{
	const struct cp_gw_ike *k = &gw->ike;
	char charon[CP_IKE_CHARON_MAX];

	if (k->version == 0)
		return k->psk.len == 0 && k->flags == 0 && k->local.family == 0 && k->remote.family == 0 && k->local_id[0] == '\0' &&
				       k->remote_id[0] == '\0' && k->proposals[0] == '\0' && k->esp[0] == '\0' && k->local_ts[0] == '\0' &&
				       k->remote_ts[0] == '\0' && k->dpd_s == 0 && k->rekey_s == 0 && k->reauth_s == 0 && k->child_s == 0
			       ? 0
			       : cfg_invalid(why, size, "%s: settings of IKE without its version", gw->name);
	if (k->version > 2)
		return cfg_invalid(why, size, "%s: IKE version %d is not 1 or 2", gw->name, (int)k->version);
	if ((k->flags & ~(uint32_t)CP_IKE_FLAGS_ALL) != 0)
		return cfg_invalid(why, size, "%s: unknown flags of IKE %x", gw->name, k->flags);
	if ((k->flags & CP_IKE_CERT) != 0 && k->psk.len > 0)
		return cfg_invalid(why, size, "%s: IKE has a pre-shared key and certificates: it is one or the other", gw->name);
	if ((k->flags & CP_IKE_CERT) == 0 && k->psk.len == 0)
		return cfg_invalid(why, size, "%s: IKE without certificates needs a pre-shared key", gw->name);
	if ((k->flags & CP_IKE_CERT) != 0 && k->remote_id[0] == '\0')
		return cfg_invalid(why, size, "%s: certificates need the gateway's identity: any that is trusted would do else", gw->name);
	if ((k->flags & CP_IKE_WAIT) != 0 && (k->flags & CP_IKE_TRAP) != 0)
		return cfg_invalid(why, size, "%s: IKE begins in one way only", gw->name);
	if ((k->flags & CP_IKE_ESN) != 0 && k->version == 1)
		return cfg_invalid(why, size, "%s: extended sequence numbers need IKEv2", gw->name);
	if (!address_ok(&k->local) || !address_ok(&k->remote))
		return cfg_invalid(why, size, "%s: addresses of IKE are hosts, without ports", gw->name);
	if (k->local.family != 0 && k->local.family != (k->remote.family != 0 ? k->remote.family : gw->address.family))
		return cfg_invalid(why, size, "%s: IKE's addresses are not of one family", gw->name);
	if ((k->flags & CP_IKE_TUNNEL) == 0 && k->remote.family != 0 && !same_host(&k->remote, &gw->address))
		return cfg_invalid(why, size, "%s: transport mode is between hosts: another IKE address than the MGCP address needs tunnel mode", gw->name);
	if (!id_ok(k->local_id) || !id_ok(k->remote_id))
		return cfg_invalid(why, size, "%s: an identity is printable ASCII without wildcards", gw->name);
	if ((k->local_ts[0] != '\0' && !ts_ok(k->local_ts)) || (k->remote_ts[0] != '\0' && !ts_ok(k->remote_ts)))
		return cfg_invalid(why, size, "%s: a traffic selector is ADDRESS[/PREFIX], perhaps with [udp/PORT] behind it", gw->name);
	if (cp_ike_proposals(k->proposals, k->version, charon, why, size) < 0 ||
	    cp_ike_esp(k->esp, k->version, (k->flags & CP_IKE_ESN) != 0, charon, why, size) < 0)
		return -EINVAL;
	return times(gw, why, size);
}
