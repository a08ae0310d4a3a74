/* SPDX-License-Identifier: BSD-3-Clause */
/* The writing half of xfrm.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/socket.h>

#include "api/dp_esp.h"
#include "api/dp_msg.h"
#include "ike/xfrm.h"

static struct nlmsghdr *begin(void *buf, uint16_t type, uint16_t flags, uint32_t seq, uint32_t pid)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	nlh->nlmsg_seq = seq;
	nlh->nlmsg_pid = pid;
	return nlh;
}

static uint16_t family(const struct cfg_addr *a)
{
	return a->family == 6 ? AF_INET6 : a->family == 4 ? AF_INET : AF_UNSPEC;
}

static void addr(xfrm_address_t *x, const struct cfg_addr *a)
{
	memset(x, 0, sizeof(*x));
	memcpy(x, a->ip, a->family == 6 ? 16 : 4);
}

static void sel(struct xfrm_selector *x, const struct cp_xfrm_sel *s)
{
	x->family = family(&s->src);
	addr(&x->saddr, &s->src);
	addr(&x->daddr, &s->dst);
	x->prefixlen_s = s->src.plen;
	x->prefixlen_d = s->dst.plen;
	x->sport = htons(s->src.port);
	x->dport = htons(s->dst.port);
	x->sport_mask = s->src.port != 0 ? 0xffff : 0;
	x->dport_mask = s->dst.port != 0 ? 0xffff : 0;
	x->proto = s->proto;
}

static uint64_t limit(uint64_t v)
{
	return v == 0 ? XFRM_INF : v;
}

static void life(struct xfrm_lifetime_cfg *x, const struct cp_xfrm_life *l)
{
	x->soft_byte_limit = limit(l->soft_bytes);
	x->hard_byte_limit = limit(l->hard_bytes);
	x->soft_packet_limit = limit(l->soft_pkts);
	x->hard_packet_limit = limit(l->hard_pkts);
	x->soft_add_expires_seconds = l->soft_s;
	x->hard_add_expires_seconds = l->hard_s;
}

static uint8_t mode(uint8_t m)
{
	return m == DP_ESP_TUNNEL ? XFRM_MODE_TUNNEL : XFRM_MODE_TRANSPORT;
}

static void cur(struct xfrm_lifetime_cur *x, const struct cp_xfrm_cur *c)
{
	*x = (struct xfrm_lifetime_cur){c->bytes, c->pkts, c->added_s, c->used_s};
}

static void info(struct xfrm_usersa_info *x, const struct cp_xfrm_sa *sa)
{
	sel(&x->sel, &sa->sel);
	addr(&x->id.daddr, &sa->id.dst);
	x->id.spi = htonl(sa->id.spi);
	x->id.proto = sa->id.proto;
	addr(&x->saddr, &sa->src);
	life(&x->lft, &sa->life);
	cur(&x->curlft, &sa->cur);
	x->seq = sa->seq;
	x->reqid = sa->reqid;
	x->family = family(&sa->id.dst);
	x->mode = mode(sa->mode);
	x->replay_window = (uint8_t)(sa->window < 32 ? sa->window : 32);
	x->flags = sa->esn ? XFRM_STATE_ESN : 0;
}

/* Where its numbers are. charon reads the one with which it set the SA up, and says it again when it moves the SA to another address. */
static void put_replay(struct nlmsghdr *nlh, const struct cp_xfrm_sa *sa)
{
	struct xfrm_replay_state_esn e = {.oseq = (uint32_t)sa->top_out, .seq = (uint32_t)sa->top_in, .oseq_hi = (uint32_t)(sa->top_out >> 32),
					  .seq_hi = (uint32_t)(sa->top_in >> 32)};
	struct xfrm_replay_state r = {.oseq = (uint32_t)sa->top_out, .seq = (uint32_t)sa->top_in};
	uint8_t buf[sizeof(e) + DP_SA_WINDOW_MAX / 8] = {0}; /* which of the window were seen is the dataplane's to know */

	e.replay_window = sa->window < DP_SA_WINDOW_MAX ? sa->window : DP_SA_WINDOW_MAX;
	e.bmp_len = (e.replay_window + 31) / 32;
	memcpy(buf, &e, sizeof(e));
	if (sa->esn || sa->window > 32)
		mnl_attr_put(nlh, XFRMA_REPLAY_ESN_VAL, sizeof(e) + e.bmp_len * sizeof(uint32_t), buf);
	else
		mnl_attr_put(nlh, XFRMA_REPLAY_VAL, sizeof(r), &r);
}

size_t cp_xfrm_put_error(void *buf, const struct cp_xfrm_msg *to, int err)
{
	struct nlmsghdr *nlh = begin(buf, NLMSG_ERROR, 0, to->seq, to->pid);
	struct nlmsgerr *e = mnl_nlmsg_put_extra_header(nlh, sizeof(*e));

	e->error = err;
	e->msg = (struct nlmsghdr){.nlmsg_len = sizeof(e->msg), .nlmsg_type = to->type, .nlmsg_flags = to->flags, .nlmsg_seq = to->seq, .nlmsg_pid = to->pid};
	return nlh->nlmsg_len;
}

static void put_alg(struct nlmsghdr *nlh, uint16_t type, const char *name, const uint8_t *key, size_t key_len, uint32_t icv_len)
{
	uint8_t a[64 + 2 * sizeof(uint32_t) + CP_XFRM_KEY_MAX] = {0};
	uint32_t bits[2] = {(uint32_t)key_len * 8, icv_len * 8};
	size_t head = 64 + (type == XFRMA_ALG_CRYPT ? sizeof(bits[0]) : sizeof(bits));

	memcpy(a, name, strlen(name));
	memcpy(a + 64, bits, sizeof(bits));
	memcpy(a + head, key, key_len);
	mnl_attr_put(nlh, type, head + key_len, a);
	OPENSSL_cleanse(a, sizeof(a));
}

/* As the kernel says them, to him who set it up: charon moves an SA by asking for it, deleting it, and saying the answer back. */
static void put_algs(struct nlmsghdr *nlh, const struct cp_xfrm_sa *sa)
{
	static const char *const ciphers[] = {[DP_ESP_C_NULL] = "ecb(cipher_null)", [DP_ESP_C_CBC] = "cbc(aes)", [DP_ESP_C_CTR] = "rfc3686(ctr(aes))",
					      [DP_ESP_C_3DES] = "cbc(des3_ede)"};
	static const char *const hashes[] = {[DP_ESP_A_SHA1] = "hmac(sha1)", [DP_ESP_A_SHA256] = "hmac(sha256)", [DP_ESP_A_SHA384] = "hmac(sha384)",
					     [DP_ESP_A_SHA512] = "hmac(sha512)"};
	const struct dp_esp_suite *s = dp_esp_suite(sa->alg);
	size_t head;

	if (s == NULL || sa->key_len != s->key_len + s->salt_len + s->auth_len)
		return;
	head = (size_t)s->key_len + s->salt_len;
	if (s->cipher == DP_ESP_C_GCM) {
		put_alg(nlh, XFRMA_ALG_AEAD, "rfc4106(gcm(aes))", sa->key, head, s->icv_len);
		return;
	}
	put_alg(nlh, XFRMA_ALG_AUTH_TRUNC, hashes[s->auth], sa->key + head, s->auth_len, s->icv_len);
	put_alg(nlh, XFRMA_ALG_CRYPT, ciphers[s->cipher], sa->key, head, 0);
}

size_t cp_xfrm_put_sa(void *buf, uint16_t type, uint16_t flags, uint32_t seq, uint32_t pid, const struct cp_xfrm_sa *sa, bool hard)
{
	struct nlmsghdr *nlh = begin(buf, type, flags, seq, pid);

	if (type == XFRM_MSG_EXPIRE) {
		struct xfrm_user_expire *x = mnl_nlmsg_put_extra_header(nlh, sizeof(*x));

		info(&x->state, sa);
		x->hard = hard;
		return nlh->nlmsg_len;
	}
	info(mnl_nlmsg_put_extra_header(nlh, sizeof(struct xfrm_usersa_info)), sa);
	if (sa->src.port != 0) {
		struct xfrm_encap_tmpl e = {.encap_type = 2, .encap_sport = htons(sa->src.port), .encap_dport = htons(sa->id.dst.port)};

		mnl_attr_put(nlh, XFRMA_ENCAP, sizeof(e), &e);
	}
	put_algs(nlh, sa);
	if (sa->alg != 0)
		put_replay(nlh, sa);
	if (sa->tfc != 0)
		mnl_attr_put_u32(nlh, XFRMA_TFCPAD, sa->tfc);
	if (sa->cur.used_s != 0)
		mnl_attr_put_u64(nlh, XFRMA_LASTUSED, sa->cur.used_s);
	return nlh->nlmsg_len;
}

size_t cp_xfrm_put_mapping(void *buf, const struct cp_xfrm_sa *sa, const struct cfg_addr *from)
{
	struct nlmsghdr *nlh = begin(buf, XFRM_MSG_MAPPING, 0, 0, 0);
	struct xfrm_user_mapping *x = mnl_nlmsg_put_extra_header(nlh, sizeof(*x));

	addr(&x->id.daddr, &sa->id.dst);
	x->id.spi = htonl(sa->id.spi);
	x->id.family = family(&sa->id.dst);
	x->id.proto = sa->id.proto;
	x->reqid = sa->reqid;
	addr(&x->old_saddr, &sa->src);
	addr(&x->new_saddr, from);
	x->old_sport = htons(sa->src.port);
	x->new_sport = htons(from->port);
	return nlh->nlmsg_len;
}

static void policy(struct xfrm_userpolicy_info *x, const struct cp_xfrm_policy *p)
{
	static const struct cp_xfrm_life none;

	sel(&x->sel, &p->sel);
	x->sel.ifindex = (int)p->ifindex;
	life(&x->lft, &none);
	x->curlft.use_time = p->used_s;
	x->priority = p->priority;
	x->index = p->index;
	x->dir = p->dir;
	x->action = p->block ? XFRM_POLICY_BLOCK : XFRM_POLICY_ALLOW;
	x->share = XFRM_SHARE_ANY;
}

static void put_tmpls(struct nlmsghdr *nlh, const struct cp_xfrm_policy *p)
{
	struct xfrm_user_tmpl t[CP_XFRM_TMPL_MAX];

	memset(t, 0, sizeof(t));
	for (unsigned i = 0; i < p->tmpl_cnt; i++) {
		const struct cp_xfrm_tmpl *f = &p->tmpl[i];

		addr(&t[i].id.daddr, &f->dst);
		addr(&t[i].saddr, &f->src);
		t[i].id.spi = htonl(f->spi);
		t[i].id.proto = f->proto;
		t[i].family = family(&f->dst);
		t[i].reqid = f->reqid;
		t[i].mode = mode(f->mode);
		t[i].aalgos = t[i].ealgos = t[i].calgos = UINT32_MAX;
	}
	if (p->tmpl_cnt > 0)
		mnl_attr_put(nlh, XFRMA_TMPL, p->tmpl_cnt * sizeof(t[0]), t);
}

size_t cp_xfrm_put_policy(void *buf, uint16_t type, uint16_t flags, uint32_t seq, uint32_t pid, const struct cp_xfrm_policy *p)
{
	struct nlmsghdr *nlh = begin(buf, type, flags, seq, pid);

	if (type == XFRM_MSG_DELPOLICY) {
		struct xfrm_userpolicy_id *x = mnl_nlmsg_put_extra_header(nlh, sizeof(*x));

		sel(&x->sel, &p->sel);
		x->sel.ifindex = (int)p->ifindex;
		x->index = p->index;
		x->dir = p->dir;
		return nlh->nlmsg_len;
	}
	policy(mnl_nlmsg_put_extra_header(nlh, sizeof(struct xfrm_userpolicy_info)), p);
	put_tmpls(nlh, p);
	return nlh->nlmsg_len;
}

size_t cp_xfrm_put_acquire(void *buf, uint32_t n, const struct cp_xfrm_sel *s, const struct cp_xfrm_policy *p)
{
	struct nlmsghdr *nlh = begin(buf, XFRM_MSG_ACQUIRE, 0, 0, 0);
	struct xfrm_user_acquire *x = mnl_nlmsg_put_extra_header(nlh, sizeof(*x));

	if (p->tmpl_cnt > 0) {
		addr(&x->id.daddr, &p->tmpl[0].dst);
		addr(&x->saddr, &p->tmpl[0].src);
		x->id.proto = p->tmpl[0].proto;
	}
	sel(&x->sel, s);
	policy(&x->policy, p);
	x->aalgos = x->ealgos = x->calgos = UINT32_MAX;
	x->seq = n;
	put_tmpls(nlh, p);
	return nlh->nlmsg_len;
}

size_t cp_xfrm_put_spdinfo(void *buf, const struct cp_xfrm_msg *to, const uint32_t cnt[3])
{
	struct nlmsghdr *nlh = begin(buf, XFRM_MSG_NEWSPDINFO, 0, to->seq, to->pid);
	struct xfrmu_spdinfo i = {.incnt = cnt[CP_XFRM_IN], .outcnt = cnt[CP_XFRM_OUT], .fwdcnt = cnt[CP_XFRM_FWD]};
	struct xfrmu_spdhinfo h = {.spdhcnt = 8, .spdhmcnt = 1024 * 1024};
	struct xfrmu_spdhthresh t4 = {32, 32}, t6 = {128, 128};

	*(uint32_t *)mnl_nlmsg_put_extra_header(nlh, sizeof(uint32_t)) = 0;
	mnl_attr_put(nlh, XFRMA_SPD_INFO, sizeof(i), &i);
	mnl_attr_put(nlh, XFRMA_SPD_HINFO, sizeof(h), &h);
	mnl_attr_put(nlh, XFRMA_SPD_IPV4_HTHRESH, sizeof(t4), &t4);
	mnl_attr_put(nlh, XFRMA_SPD_IPV6_HTHRESH, sizeof(t6), &t6);
	return nlh->nlmsg_len;
}

size_t cp_xfrm_put_sadinfo(void *buf, const struct cp_xfrm_msg *to, uint32_t cnt)
{
	struct nlmsghdr *nlh = begin(buf, XFRM_MSG_NEWSADINFO, 0, to->seq, to->pid);

	*(uint32_t *)mnl_nlmsg_put_extra_header(nlh, sizeof(uint32_t)) = 0;
	mnl_attr_put_u32(nlh, XFRMA_SAD_CNT, cnt);
	return nlh->nlmsg_len;
}

size_t cp_xfrm_put_ae(void *buf, const struct cp_xfrm_msg *to, const struct cp_xfrm_sa *sa)
{
	struct nlmsghdr *nlh = begin(buf, XFRM_MSG_NEWAE, 0, to->seq, to->pid);
	struct xfrm_aevent_id *x = mnl_nlmsg_put_extra_header(nlh, sizeof(*x));
	struct xfrm_lifetime_cur c;

	addr(&x->sa_id.daddr, &sa->id.dst);
	x->sa_id.spi = htonl(sa->id.spi);
	x->sa_id.family = family(&sa->id.dst);
	x->sa_id.proto = sa->id.proto;
	addr(&x->saddr, &sa->src);
	x->flags = XFRM_AE_RVAL | XFRM_AE_LVAL;
	x->reqid = sa->reqid;
	put_replay(nlh, sa);
	cur(&c, &sa->cur);
	mnl_attr_put(nlh, XFRMA_LTIME_VAL, sizeof(c), &c);
	return nlh->nlmsg_len;
}

size_t cp_xfrm_put_done(void *buf, const struct cp_xfrm_msg *to)
{
	struct nlmsghdr *nlh = begin(buf, NLMSG_DONE, NLM_F_MULTI, to->seq, to->pid);

	*(uint32_t *)mnl_nlmsg_put_extra_header(nlh, sizeof(uint32_t)) = 0;
	return nlh->nlmsg_len;
}

size_t cp_xfrm_put_dump(void *buf, uint16_t type, uint32_t seq)
{
	struct nlmsghdr *nlh = begin(buf, type, NLM_F_REQUEST | NLM_F_DUMP, seq, 0);

	/* Where old kernels look for an address filter there is none. */
	return nlh->nlmsg_len;
}
