/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike/xfrm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "api/dp_esp.h"
#include "why.h"

#define UDP_ENCAP_ESPINUDP 2 /* linux/udp.h, which clashes with netinet's */
#define IPPROTO_ESP_       50

struct in { /* one message */
	const struct nlmsghdr *nlh;
	const uint8_t *body;
	size_t len;
	char *why;
	size_t why_size;
};

static const struct {
	const char *name;
	size_t body; /* fixed part; 0: not read */
} types[XFRM_NR_MSGTYPES] = {
#define T(t, body) [XFRM_MSG_##t - XFRM_MSG_BASE] = {#t, body}
	T(NEWSA, sizeof(struct xfrm_usersa_info)), T(UPDSA, sizeof(struct xfrm_usersa_info)),
	T(DELSA, sizeof(struct xfrm_usersa_id)), T(GETSA, sizeof(struct xfrm_usersa_id)),
	T(ALLOCSPI, sizeof(struct xfrm_userspi_info)), T(EXPIRE, sizeof(struct xfrm_user_expire)),
	T(ACQUIRE, sizeof(struct xfrm_user_acquire)), T(NEWPOLICY, sizeof(struct xfrm_userpolicy_info)),
	T(UPDPOLICY, sizeof(struct xfrm_userpolicy_info)), T(DELPOLICY, sizeof(struct xfrm_userpolicy_id)),
	T(GETPOLICY, sizeof(struct xfrm_userpolicy_id)), T(POLEXPIRE, sizeof(struct xfrm_user_polexpire)),
	T(FLUSHSA, sizeof(struct xfrm_usersa_flush)), T(FLUSHPOLICY, 0), T(NEWAE, sizeof(struct xfrm_aevent_id)),
	T(GETAE, sizeof(struct xfrm_aevent_id)), T(REPORT, 0), T(MIGRATE, 0), T(NEWSADINFO, sizeof(uint32_t)),
	T(GETSADINFO, sizeof(uint32_t)), T(NEWSPDINFO, sizeof(uint32_t)), T(GETSPDINFO, sizeof(uint32_t)),
	T(MAPPING, sizeof(struct xfrm_user_mapping)), T(SETDEFAULT, 0), T(GETDEFAULT, 0),
#undef T
};

const char *cp_xfrm_type_name(uint16_t type, char *buf, size_t size)
{
	if (type >= XFRM_MSG_BASE && type < XFRM_MSG_BASE + XFRM_NR_MSGTYPES && types[type - XFRM_MSG_BASE].name != NULL)
		return types[type - XFRM_MSG_BASE].name;
	snprintf(buf, size, "type-%u", type);
	return buf;
}

static int bad(const struct in *in, const char *what)
{
	snprintf(in->why, in->why_size, "%s", what);
	return -EBADMSG;
}

static void get_addr(struct cfg_addr *a, uint16_t family, const xfrm_address_t *x, unsigned plen, unsigned port)
{
	*a = (struct cfg_addr){.family = family == AF_INET6 ? 6 : 4, .plen = (uint8_t)plen, .port = (uint16_t)port};
	memcpy(a->ip, x, family == AF_INET6 ? 16 : 4);
}

static bool family_ok(uint16_t family)
{
	return family == AF_INET || family == AF_INET6;
}

static unsigned bits(uint16_t family)
{
	return family == AF_INET6 ? 128 : 32;
}

/* A port that a mask leaves partly open cannot be said to the dataplane: 0 or 0xffff. */
static int get_sel(const struct in *in, const struct xfrm_selector *x, struct cp_xfrm_sel *ret)
{
	*ret = (struct cp_xfrm_sel){.proto = x->proto};
	if (x->family == AF_UNSPEC)
		return 0; /* of a tunnel's SA: anything, its policies say what */
	if (!family_ok(x->family) || x->prefixlen_s > bits(x->family) || x->prefixlen_d > bits(x->family))
		return bad(in, "a selector of no address");
	if ((x->sport_mask != 0 && x->sport_mask != 0xffff) || (x->dport_mask != 0 && x->dport_mask != 0xffff))
		return cfg_no(in->why, in->why_size, -EOPNOTSUPP, "a range of ports in a selector");
	get_addr(&ret->src, x->family, &x->saddr, x->prefixlen_s, x->sport_mask != 0 ? ntohs(x->sport) : 0);
	get_addr(&ret->dst, x->family, &x->daddr, x->prefixlen_d, x->dport_mask != 0 ? ntohs(x->dport) : 0);
	return 0;
}

static uint64_t limit(uint64_t v)
{
	return v == XFRM_INF ? 0 : v;
}

static void get_life(const struct xfrm_lifetime_cfg *x, struct cp_xfrm_life *ret)
{
	*ret = (struct cp_xfrm_life){limit(x->soft_add_expires_seconds), limit(x->hard_add_expires_seconds),
				     limit(x->soft_byte_limit), limit(x->hard_byte_limit), limit(x->soft_packet_limit),
				     limit(x->hard_packet_limit)};
}

static int get_id(const struct in *in, const xfrm_address_t *daddr, uint32_t spi, uint16_t family, uint8_t proto, struct cp_xfrm_id *ret)
{
	if (!family_ok(family))
		return bad(in, "an SA of no address");
	ret->spi = ntohl(spi);
	ret->proto = proto;
	get_addr(&ret->dst, family, daddr, bits(family), 0);
	return 0;
}

static uint8_t get_mode(uint8_t mode)
{
	return mode == XFRM_MODE_TUNNEL ? DP_ESP_TUNNEL : mode == XFRM_MODE_TRANSPORT ? DP_ESP_TRANSPORT : 0;
}

static int get_info(const struct in *in, const struct xfrm_usersa_info *x, struct cp_xfrm_sa *ret)
{
	int rc = get_id(in, &x->id.daddr, x->id.spi, x->family, x->id.proto, &ret->id);

	if (rc == 0)
		rc = get_sel(in, &x->sel, &ret->sel);
	if (rc < 0)
		return rc;
	get_addr(&ret->src, x->family, &x->saddr, bits(x->family), 0);
	get_life(&x->lft, &ret->life);
	ret->cur = (struct cp_xfrm_cur){x->curlft.bytes, x->curlft.packets, x->curlft.add_time, x->curlft.use_time};
	ret->reqid = x->reqid;
	ret->seq = x->seq;
	ret->mode = get_mode(x->mode);
	ret->esn = (x->flags & XFRM_STATE_ESN) != 0;
	ret->window = x->replay_window;
	if (ret->mode == 0)
		return cfg_no(in->why, in->why_size, -EOPNOTSUPP, "mode %u: only tunnel and transport", x->mode);
	return 0;
}

/* --- attributes of an SA --- */

struct algs {
	char crypt[64], auth[64], aead[64];
	uint32_t crypt_bits, auth_bits, auth_trunc, aead_bits, icv_bits;
	const uint8_t *crypt_key, *auth_key, *aead_key; /* in the message */
	bool trunc;  /* AUTH_TRUNC says more than AUTH, and comes beside it */
	bool has_esn;
};

/* 'head' bytes in front of a key of as many bits as stand at 64. */
static int get_alg(const struct in *in, const struct nlattr *a, size_t head, char name[64], uint32_t *key_bits, const uint8_t **key)
{
	const uint8_t *p = mnl_attr_get_payload(a);
	size_t len = mnl_attr_get_payload_len(a);

	if (len < head || memchr(p, '\0', 64) == NULL)
		return bad(in, "an algorithm that is cut off");
	memcpy(name, p, 64);
	memcpy(key_bits, p + 64, sizeof(*key_bits));
	if (*key_bits % 8 != 0 || *key_bits / 8 > len - head)
		return bad(in, "a key that is longer than its attribute");
	*key = p + head;
	return 0;
}

static uint64_t seq_of(uint32_t hi, uint32_t lo)
{
	return (uint64_t)hi << 32 | lo;
}

static int get_esn(const struct in *in, const struct nlattr *a, struct cp_xfrm_sa *ret)
{
	struct xfrm_replay_state_esn e;
	size_t len = mnl_attr_get_payload_len(a);

	if (len < sizeof(e))
		return bad(in, "a replay window that is cut off");
	memcpy(&e, mnl_attr_get_payload(a), sizeof(e));
	if (e.bmp_len > XFRMA_REPLAY_ESN_MAX / 32 || len < sizeof(e) + e.bmp_len * 4u || e.replay_window > e.bmp_len * 32)
		return bad(in, "a replay window that is larger than its attribute");
	ret->window = (uint16_t)e.replay_window;
	ret->top_in = seq_of(ret->esn ? e.seq_hi : 0, e.seq);
	ret->top_out = seq_of(ret->esn ? e.oseq_hi : 0, e.oseq);
	return 0;
}

static int get_encap(const struct in *in, const struct nlattr *a, struct cp_xfrm_sa *ret)
{
	struct xfrm_encap_tmpl e;

	if (mnl_attr_get_payload_len(a) < sizeof(e))
		return bad(in, "an encapsulation that is cut off");
	memcpy(&e, mnl_attr_get_payload(a), sizeof(e));
	if (e.encap_type != UDP_ENCAP_ESPINUDP)
		return cfg_no(in->why, in->why_size, -EOPNOTSUPP, "encapsulation type %u: only ESP in UDP (RFC 3948)", e.encap_type);
	if (e.encap_sport == 0 || e.encap_dport == 0)
		return bad(in, "an encapsulation without ports");
	ret->src.port = ntohs(e.encap_sport);
	ret->id.dst.port = ntohs(e.encap_dport);
	return 0;
}

static int get_u32(const struct in *in, const struct nlattr *a, uint32_t *ret)
{
	if (mnl_attr_get_payload_len(a) < sizeof(*ret))
		return bad(in, "an attribute that is cut off");
	memcpy(ret, mnl_attr_get_payload(a), sizeof(*ret));
	return 0;
}

static int get_sa_attr(const struct in *in, const struct nlattr *a, struct cp_xfrm_sa *ret, struct algs *algs)
{
	struct xfrm_replay_state r;
	uint32_t v = 0;
	int rc = 0;

	switch (mnl_attr_get_type(a)) {
	case XFRMA_ALG_CRYPT:
		return get_alg(in, a, sizeof(struct xfrm_algo), algs->crypt, &algs->crypt_bits, &algs->crypt_key);
	case XFRMA_ALG_AUTH:
		return algs->trunc ? 0 : get_alg(in, a, sizeof(struct xfrm_algo), algs->auth, &algs->auth_bits, &algs->auth_key);
	case XFRMA_ALG_AUTH_TRUNC:
		rc = get_alg(in, a, sizeof(struct xfrm_algo_auth), algs->auth, &algs->auth_bits, &algs->auth_key);
		if (rc == 0)
			memcpy(&algs->auth_trunc, (const uint8_t *)mnl_attr_get_payload(a) + 68, sizeof(uint32_t));
		algs->trunc = true;
		return rc;
	case XFRMA_ALG_AEAD:
		rc = get_alg(in, a, sizeof(struct xfrm_algo_aead), algs->aead, &algs->aead_bits, &algs->aead_key);
		if (rc == 0)
			memcpy(&algs->icv_bits, (const uint8_t *)mnl_attr_get_payload(a) + 68, sizeof(uint32_t));
		return rc;
	case XFRMA_ALG_COMP:
		return cfg_no(in->why, in->why_size, -EOPNOTSUPP, "IPComp");
	case XFRMA_ENCAP:
		return get_encap(in, a, ret);
	case XFRMA_REPLAY_ESN_VAL:
		algs->has_esn = true;
		return get_esn(in, a, ret);
	case XFRMA_REPLAY_VAL:
		if (mnl_attr_get_payload_len(a) < sizeof(r))
			return bad(in, "a replay state that is cut off");
		memcpy(&r, mnl_attr_get_payload(a), sizeof(r));
		ret->top_in = r.seq;
		ret->top_out = r.oseq;
		return 0;
	case XFRMA_TFCPAD:
		rc = get_u32(in, a, &v);
		/* charon says 0xffffffff for "to the path's MTU"; the dataplane pads to at most this. */
		ret->tfc = (uint16_t)(v > DP_SA_TFC_MAX ? DP_SA_TFC_MAX : v);
		return rc;
	case XFRMA_MARK:
		if (mnl_attr_get_payload_len(a) < sizeof(struct xfrm_mark))
			return bad(in, "a mark that is cut off");
		memcpy(&v, (const uint8_t *)mnl_attr_get_payload(a) + 4, sizeof(v));
		return v == 0 ? 0 : cfg_no(in->why, in->why_size, -EOPNOTSUPP, "a mark: the dataplane's packets have none");
	case XFRMA_SET_MARK:
		rc = get_u32(in, a, &v);
		return rc < 0 || v == 0 ? rc : cfg_no(in->why, in->why_size, -EOPNOTSUPP, "a mark to set");
	case XFRMA_IF_ID:
		rc = get_u32(in, a, &v);
		return rc < 0 || v == 0 ? rc : cfg_no(in->why, in->why_size, -EOPNOTSUPP, "XFRM interface %u", v);
	case XFRMA_SA_EXTRA_FLAGS:
		rc = get_u32(in, a, &v);
		if (rc == 0 && (v & XFRM_SA_XFLAG_OSEQ_MAY_WRAP) != 0)
			return cfg_no(in->why, in->why_size, -EOPNOTSUPP, "sequence numbers that may wrap");
		if (rc == 0 && (v & XFRM_SA_XFLAG_DONT_ENCAP_DSCP) != 0)
			return cfg_no(in->why, in->why_size, -EOPNOTSUPP, "a tunnel that does not copy DSCP");
		return rc;
	case XFRMA_OFFLOAD_DEV:
		return cfg_no(in->why, in->why_size, -EOPNOTSUPP, "hardware offload: the dataplane is where it goes");
	default:
		return 0; /* what else the kernel tells of its own: LASTUSED, PAD, security contexts, thresholds */
	}
}

static int hash_of(const char *name)
{
	static const char *const names[][2] = {{"hmac(sha1)", "sha1"}, {"hmac(sha256)", "sha256"}, {"hmac(sha384)", "sha384"}, {"hmac(sha512)", "sha512"}};

	for (unsigned i = 0; i < 4; i++)
		if (strcmp(name, names[i][0]) == 0 || strcmp(name, names[i][1]) == 0)
			return DP_ESP_A_SHA1 + (int)i;
	return -1;
}

/* Names as the kernel has them, the old short ones too, which charon writes -> one of enum dp_esp_alg, key material in the order of cp_sa_secret(). */
static int get_suite(const struct in *in, const struct algs *g, struct cp_xfrm_sa *ret)
{
	static const struct {
		const char *name;
		int cipher;
	} ciphers[] = {{"cbc(aes)", DP_ESP_C_CBC}, {"aes", DP_ESP_C_CBC}, {"rfc3686(ctr(aes))", DP_ESP_C_CTR}, {"cbc(des3_ede)", DP_ESP_C_3DES},
		       {"des3_ede", DP_ESP_C_3DES}, {"ecb(cipher_null)", DP_ESP_C_NULL}, {"cipher_null", DP_ESP_C_NULL}};
	static const uint32_t kernel_trunc[] = {0, 96, 96, 192, 256}; /* where AUTH_TRUNC does not say */
	int cipher = -1, auth = DP_ESP_A_NONE;
	uint32_t icv = 0, key = g->crypt_bits / 8;

	if (g->aead[0] != '\0') {
		if (strcmp(g->aead, "rfc4106(gcm(aes))") != 0)
			return cfg_no(in->why, in->why_size, -EOPNOTSUPP, "algorithm %s", cfg_q(g->aead));
		cipher = DP_ESP_C_GCM;
		icv = g->icv_bits;
		key = g->aead_bits / 8;
	} else {
		for (unsigned i = 0; i < sizeof(ciphers) / sizeof(*ciphers); i++)
			if (strcmp(g->crypt, ciphers[i].name) == 0)
				cipher = ciphers[i].cipher;
		if (cipher < 0)
			return cfg_no(in->why, in->why_size, -EOPNOTSUPP, "algorithm %s", cfg_q(g->crypt));
		auth = hash_of(g->auth);
		if (auth < 0)
			return cfg_no(in->why, in->why_size, -EOPNOTSUPP, "algorithm %s", cfg_q(g->auth[0] != '\0' ? g->auth : "without authentication"));
		icv = g->trunc ? g->auth_trunc : kernel_trunc[auth];
	}
	for (uint8_t alg = 1; alg < DP_ESP_ALG_MAX; alg++) {
		const struct dp_esp_suite *s = dp_esp_suite(alg);
		size_t head = (size_t)s->key_len + s->salt_len;

		if (s->cipher != cipher || s->auth != auth || s->icv_len * 8u != icv || head != key || s->auth_len * 8u != (auth != 0 ? g->auth_bits : 0))
			continue;
		ret->alg = alg;
		ret->key_len = (uint16_t)(head + s->auth_len);
		if (head > 0)
			memcpy(ret->key, cipher == DP_ESP_C_GCM ? g->aead_key : g->crypt_key, head);
		if (s->auth_len > 0)
			memcpy(ret->key + head, g->auth_key, s->auth_len);
		return 0;
	}
	return cfg_no(in->why, in->why_size, -EOPNOTSUPP, "algorithm %s%s%s with %u bits of key and an ICV of %u", cipher == DP_ESP_C_GCM ? g->aead : g->crypt,
		      auth != 0 ? ", " : "", auth != 0 ? g->auth : "", (unsigned)(key * 8), icv);
}

static const struct nlattr *attr_next(const struct in *in, const struct nlattr *a, size_t fixed)
{
	const uint8_t *end = in->body + in->len, *p;

	p = a == NULL ? in->body + MNL_ALIGN(fixed) : (const uint8_t *)a + MNL_ALIGN(a->nla_len);
	return p < end && mnl_attr_ok((const struct nlattr *)(const void *)p, (int)(end - p)) ? (const struct nlattr *)(const void *)p : NULL;
}

static int get_sa(const struct in *in, const struct xfrm_usersa_info *x, size_t fixed, struct cp_xfrm_sa *ret)
{
	struct algs algs = {.crypt = ""};
	int rc = get_info(in, x, ret);

	for (const struct nlattr *a = attr_next(in, NULL, fixed); rc == 0 && a != NULL; a = attr_next(in, a, fixed))
		rc = get_sa_attr(in, a, ret, &algs);
	if (rc < 0)
		return rc;
	if (ret->esn && !algs.has_esn && (algs.crypt[0] != 0 || algs.aead[0] != 0))
		return bad(in, "extended sequence numbers without their window");
	if (algs.crypt[0] != '\0' || algs.aead[0] != '\0' || algs.auth[0] != '\0')
		rc = ret->id.proto != IPPROTO_ESP_ ? cfg_no(in->why, in->why_size, -EOPNOTSUPP, "protocol %u: only ESP", ret->id.proto)
						   : get_suite(in, &algs, ret);
	return rc;
}

static const struct nlattr *attr_find(const struct in *in, size_t fixed, uint16_t type, size_t len)
{
	const struct nlattr *a = attr_next(in, NULL, fixed);

	while (a != NULL && (mnl_attr_get_type(a) != type || mnl_attr_get_payload_len(a) < len))
		a = attr_next(in, a, fixed);
	return a;
}

static int get_policy(const struct in *in, const struct xfrm_userpolicy_info *x, size_t fixed, struct cp_xfrm_policy *ret)
{
	const struct nlattr *a = attr_find(in, fixed, XFRMA_TMPL, 0);
	int rc = get_sel(in, &x->sel, &ret->sel);
	struct xfrm_user_tmpl t;

	if (rc < 0)
		return rc;
	if (x->dir > XFRM_POLICY_MAX + XFRM_POLICY_FWD)
		return bad(in, "a policy of no direction");
	ret->dir = x->dir;
	ret->block = x->action == XFRM_POLICY_BLOCK;
	ret->priority = x->priority;
	ret->index = x->index;
	ret->ifindex = (uint32_t)x->sel.ifindex;
	for (size_t at = 0; a != NULL && at + sizeof(t) <= mnl_attr_get_payload_len(a); at += sizeof(t)) {
		struct cp_xfrm_tmpl *to = &ret->tmpl[ret->tmpl_cnt];

		if (ret->tmpl_cnt == CP_XFRM_TMPL_MAX)
			return bad(in, "a policy of too many templates");
		memcpy(&t, (const uint8_t *)mnl_attr_get_payload(a) + at, sizeof(t));
		if (!family_ok(t.family))
			return bad(in, "a template of no address");
		*to = (struct cp_xfrm_tmpl){.proto = t.id.proto, .mode = get_mode(t.mode), .reqid = t.reqid, .spi = ntohl(t.id.spi)};
		get_addr(&to->src, t.family, &t.saddr, bits(t.family), 0);
		get_addr(&to->dst, t.family, &t.id.daddr, bits(t.family), 0);
		ret->tmpl_cnt++;
	}
	return 0;
}

/* --- one message --- */

static int get_usersa_id(const struct in *in, size_t fixed, struct cp_xfrm_msg *ret)
{
	const struct nlattr *a = attr_find(in, fixed, XFRMA_SRCADDR, sizeof(xfrm_address_t));
	struct xfrm_usersa_id x;
	xfrm_address_t src;
	int rc;

	memcpy(&x, in->body, sizeof(x)); /* aevent and mapping begin with it, too */
	rc = get_id(in, &x.daddr, x.spi, x.family, x.proto, &ret->id);
	if (rc == 0 && a != NULL) {
		memcpy(&src, mnl_attr_get_payload(a), sizeof(src));
		get_addr(&ret->src, x.family, &src, bits(x.family), 0);
	}
	return rc;
}

static int get_policy_id(const struct in *in, struct cp_xfrm_msg *ret)
{
	struct xfrm_userpolicy_id x;
	int rc;

	memcpy(&x, in->body, sizeof(x));
	rc = get_sel(in, &x.sel, &ret->policy.sel);
	ret->policy.dir = x.dir;
	ret->policy.index = x.index;
	if (rc == 0 && x.dir > XFRM_POLICY_MAX + XFRM_POLICY_FWD)
		return bad(in, "a policy of no direction");
	return rc;
}

static int get_acquire(const struct in *in, size_t fixed, struct cp_xfrm_msg *ret)
{
	struct xfrm_user_acquire x;
	int rc;

	memcpy(&x, in->body, sizeof(x));
	if (!family_ok(x.sel.family))
		return bad(in, "an acquire of no address");
	rc = get_policy(in, &x.policy, fixed, &ret->policy);
	ret->acquire = x.seq;
	get_addr(&ret->src, x.sel.family, &x.saddr, bits(x.sel.family), 0);
	return rc;
}

static int get_body(const struct in *in, size_t fixed, struct cp_xfrm_msg *ret)
{
	union {
		struct xfrm_usersa_info sa;
		struct xfrm_userspi_info spi;
		struct xfrm_user_expire expire;
		struct xfrm_userpolicy_info policy;
		struct xfrm_user_polexpire polexpire;
		struct xfrm_usersa_flush flush;
	} x;

	memset(&x, 0, sizeof(x));
	switch (in->nlh->nlmsg_type) {
	case XFRM_MSG_NEWSA:
	case XFRM_MSG_UPDSA:
		memcpy(&x.sa, in->body, sizeof(x.sa));
		return get_sa(in, &x.sa, fixed, &ret->sa);
	case XFRM_MSG_ALLOCSPI:
		memcpy(&x.spi, in->body, sizeof(x.spi));
		ret->min = x.spi.min;
		ret->max = x.spi.max;
		return get_info(in, &x.spi.info, &ret->sa);
	case XFRM_MSG_EXPIRE:
		memcpy(&x.expire, in->body, sizeof(x.expire));
		ret->hard = x.expire.hard != 0;
		return get_info(in, &x.expire.state, &ret->sa);
	case XFRM_MSG_NEWPOLICY:
	case XFRM_MSG_UPDPOLICY:
		memcpy(&x.policy, in->body, sizeof(x.policy));
		return get_policy(in, &x.policy, fixed, &ret->policy);
	case XFRM_MSG_POLEXPIRE:
		memcpy(&x.polexpire, in->body, sizeof(x.polexpire));
		ret->hard = x.polexpire.hard != 0;
		return get_policy(in, &x.polexpire.pol, fixed, &ret->policy);
	case XFRM_MSG_FLUSHSA:
		ret->proto = in->body[0];
		return 0;
	case XFRM_MSG_ACQUIRE:
		return get_acquire(in, fixed, ret);
	case XFRM_MSG_DELPOLICY:
	case XFRM_MSG_GETPOLICY:
		return get_policy_id(in, ret);
	case XFRM_MSG_DELSA:
	case XFRM_MSG_GETSA:
	case XFRM_MSG_NEWAE:
	case XFRM_MSG_GETAE:
	case XFRM_MSG_MAPPING:
		return get_usersa_id(in, fixed, ret);
	default:
		return 0; /* FLUSHPOLICY, *SPDINFO, *SADINFO: nothing more in them that is used */
	}
}

int cp_xfrm_parse(const uint8_t *data, size_t len, struct cp_xfrm_msg *ret, size_t *ret_used, char *why, size_t why_size)
{
	const struct nlmsghdr *nlh = (const void *)data;
	struct in in = {.nlh = nlh, .why = why, .why_size = why_size};
	char name[16];
	size_t fixed;

	memset(ret, 0, sizeof(*ret));
	*ret_used = 0;
	snprintf(why, why_size, "%s", "");
	/* libmnl compares lengths as int: one of 2^32 - 1 would be below every other. */
	if (len > INT32_MAX || !mnl_nlmsg_ok(nlh, (int)len) || nlh->nlmsg_len > len)
		return bad(&in, "a message that is cut off");
	ret->type = nlh->nlmsg_type;
	ret->flags = nlh->nlmsg_flags;
	ret->seq = nlh->nlmsg_seq;
	ret->pid = nlh->nlmsg_pid;
	*ret_used = MNL_ALIGN(nlh->nlmsg_len) < len ? MNL_ALIGN(nlh->nlmsg_len) : len;
	in.body = data + MNL_NLMSG_HDRLEN;
	in.len = nlh->nlmsg_len - MNL_NLMSG_HDRLEN;
	if (nlh->nlmsg_type == NLMSG_NOOP)
		return 0;
	if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE) {
		if (in.len >= sizeof(ret->error))
			memcpy(&ret->error, in.body, sizeof(ret->error));
		return nlh->nlmsg_type == NLMSG_ERROR && in.len < sizeof(ret->error) ? bad(&in, "an error that is cut off") : 0;
	}
	if (nlh->nlmsg_type < XFRM_MSG_BASE || nlh->nlmsg_type >= XFRM_MSG_BASE + XFRM_NR_MSGTYPES ||
	    types[nlh->nlmsg_type - XFRM_MSG_BASE].name == NULL)
		return cfg_no(why, why_size, -EOPNOTSUPP, "message %s", cp_xfrm_type_name(nlh->nlmsg_type, name, sizeof(name)));
	fixed = types[nlh->nlmsg_type - XFRM_MSG_BASE].body;
	if (fixed == 0 && nlh->nlmsg_type != XFRM_MSG_FLUSHPOLICY)
		return cfg_no(why, why_size, -EOPNOTSUPP, "message %s", types[nlh->nlmsg_type - XFRM_MSG_BASE].name);
	/* A dump is asked for without a body, or with the little that rtnetlink's users put there. */
	if ((nlh->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP && (nlh->nlmsg_type == XFRM_MSG_GETSA || nlh->nlmsg_type == XFRM_MSG_GETPOLICY))
		return 0;
	if (in.len < fixed)
		return bad(&in, "a message that is shorter than its kind");
	return get_body(&in, fixed, ret);
}
