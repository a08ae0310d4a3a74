/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A world for IKE's SAs: sa_fix.h's, with the socket to which charon speaks and a dataplane's end that remembers. charon's part is played by
 * messages as charon writes them.
 */
#ifndef TESTS_IKE_FIX_H
#define TESTS_IKE_FIX_H

#include "sa_fix.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>

#include "gateway/saint.h"
#include "gateway/sasource.h"
#include "ike/shim.h"
#include "ike/xfrmdb.h"
#include "ike/xfrms.h"

static struct cp_xfrmdb *db;
static struct cp_xfrms *xs;
static struct cfg_dp_port port;
static _Alignas(8) uint8_t out[4096];
static int ask_fd = -1, listen_fd = -1;
static uint32_t seq;
static uint64_t charon = 1; /* another one has another number, though the same process id */
static unsigned left_s;

/* What the dataplane got of each SA, by id. */
static struct dp_sa_set sets[DP_SA_MAX];
static unsigned set_cnt, del_cnt, adopt_cnt;
static unsigned no_room; /* so many SA_SET and SA_DEL are answered -EAGAIN */
static uint32_t last_del, order[64], order_cnt; /* ids of SA_SET, and of SA_DEL with the top bit */

static inline int ike_hook(struct fake_dp *f, const union fake_msg *m)
{
	(void)f;
	if (no_room > 0 && (m->hdr.type == DP_MSG_SA_SET || m->hdr.type == DP_MSG_SA_DEL)) {
		no_room--;
		return -EAGAIN;
	}
	if (m->hdr.type == DP_MSG_SA_SET) {
		const struct dp_sa_set *old = &sets[m->sa.sa_id];

		if (old->spi != 0 && (old->dir != m->sa.dir || old->shard != m->sa.shard)) /* as one with as many workers as shards */
			return -EPROTO;
		if (m->sa.dir == DP_DIR_SEND)
			CU_ASSERT_FATAL(m->sa.seq_limit <= on_disk("sa-seq:ike:"));
		sets[m->sa.sa_id] = m->sa;
		fake_sa(f, m->sa.sa_id)->spi = m->sa.spi;
		set_cnt++;
		order[order_cnt++ % 64] = m->sa.sa_id;
	} else if (m->hdr.type == DP_MSG_SA_DEL) {
		fake_sa(f, m->obj.id)->spi = 0;
		memset(&sets[m->obj.id], 0, sizeof(sets[0]));
		last_del = m->obj.id;
		del_cnt++;
		order[order_cnt++ % 64] = m->obj.id | 1u << 31;
	} else if (m->hdr.type == DP_MSG_ADOPT && m->obj.kind == DP_OBJ_SA) {
		adopt_cnt++;
	}
	return 0;
}

static inline const struct dp_sa_set *set_of(uint32_t spi)
{
	for (uint32_t i = 0; i < DP_SA_MAX; i++)
		if (sets[i].spi == spi)
			return &sets[i];
	return NULL;
}

static inline void on_expire(void *ctx, const struct cp_xfrm_sa *sa, bool hard)
{
	(void)ctx;
	cp_xfrms_expire(xs, sa, hard);
}

static inline void on_settled(void *ctx)
{
	(void)ctx;
	cp_xfrms_settled(xs);
}

static inline void on_mapping(void *ctx, const struct cp_xfrm_sa *sa, const struct cfg_addr *from)
{
	(void)ctx;
	cp_xfrms_mapping(xs, sa, from);
}

static inline void ike_up(void)
{
	struct cp_xfrmdb_env e = {.base = w.base, .cfg = w.cfg, .sas = sas, .gws = w.gws, .expire = on_expire, .mapping = on_mapping, .settled = on_settled, .left_s = left_s, .left_in_s = left_s != 0};
	char path[300];

	db = cp_xfrmdb_create(&e);
	snprintf(path, sizeof(path), "%s/xfrm.sock", tmp_dir);
	CU_ASSERT_EQUAL_FATAL(cp_xfrms_create(w.base, path, &xs), 0);
	cp_xfrms_set_db(xs, db);
}

static inline void ike_down(void)
{
	cp_xfrms_destroy(xs);
	cp_xfrmdb_destroy(db);
	xs = NULL;
	db = NULL;
}

static inline int connect_as(uint32_t groups, uint32_t phase)
{
	struct {
		struct nlmsghdr nlh;
		struct shim_hello h;
	} m = {{sizeof(m), NLMSG_NOOP, 0, 0, 0}, {SHIM_VERSION, groups, phase, 1234, charon}};
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s/xfrm.sock", tmp_dir);
	CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	CU_ASSERT_EQUAL(send(fd, &m, sizeof(m), 0), (ssize_t)sizeof(m));
	spin();
	spin();
	return fd;
}

static inline void begin_ike(void)
{
	begin_with(true, ike_hook);
	cfg_addr_parse("10.9.9.9", &port.addr[0]);
	port.addresses_count = 1;
	w.cfg->dataplane.ports = &port;
	w.cfg->dataplane.ports_count = 1;
	w.cfg->ike.enable = true;
	memset(sets, 0, sizeof(sets));
	no_room = 0;
	set_cnt = del_cnt = adopt_cnt = order_cnt = 0;
	ike_up();
	ask_fd = connect_as(0, SHIM_BOUND);
	listen_fd = connect_as(1u << (XFRMNLGRP_EXPIRE - 1), SHIM_BOUND);
}

static inline void end_ike(void)
{
	close(ask_fd);
	close(listen_fd);
	ike_down();
	w.cfg->dataplane.ports = NULL;
	w.cfg->dataplane.ports_count = 0;
	end();
}

/* --- charon --- */

static inline struct nlmsghdr *msg(uint16_t type, void **body, size_t len)
{
	struct nlmsghdr *n = mnl_nlmsg_put_header(out);

	n->nlmsg_type = type;
	n->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	n->nlmsg_seq = ++seq;
	*body = mnl_nlmsg_put_extra_header(n, len);
	return n;
}

static struct cp_xfrm_msg reply;

static inline void ask_only(void)
{
	const struct nlmsghdr *n = (const struct nlmsghdr *)(void *)out;

	CU_ASSERT_EQUAL(send(ask_fd, out, n->nlmsg_len, 0), (ssize_t)n->nlmsg_len);
}

/* The next answer, if it is there: in 'reply'. */
static inline bool answered(void)
{
	static _Alignas(8) uint8_t in[4096];
	char why[200];
	size_t used;
	ssize_t got;

	spin();
	got = recv(ask_fd, in, sizeof(in), MSG_DONTWAIT);
	return got > 0 && cp_xfrm_parse(in, (size_t)got, &reply, &used, why, sizeof(why)) == 0;
}

static inline void hear_answer(void)
{
	bool did = false;

	STEP_UNTIL(did, did = answered());
}

/* Sends what 'out' holds, and reads the answer: its error, or 0 with it in 'reply'. */
static inline int ask(void)
{
	const struct nlmsghdr *n = (const struct nlmsghdr *)(void *)out;

	ask_only();
	hear_answer();
	CU_ASSERT_EQUAL(reply.seq, n->nlmsg_seq);
	return reply.type == NLMSG_ERROR ? reply.error : 0;
}

static inline void ends(xfrm_address_t *src, xfrm_address_t *dst, bool in)
{
	inet_pton(AF_INET, in ? "10.0.0.1" : "10.9.9.9", src);
	inet_pton(AF_INET, in ? "10.9.9.9" : "10.0.0.1", dst);
}

static inline uint32_t alloc(void)
{
	struct xfrm_userspi_info *x;

	msg(XFRM_MSG_ALLOCSPI, (void **)&x, sizeof(*x));
	x->info.family = AF_INET;
	x->info.mode = XFRM_MODE_TUNNEL;
	x->info.id.proto = 50;
	x->info.reqid = 1;
	ends(&x->info.saddr, &x->info.id.daddr, true);
	x->min = 0xc0000000;
	x->max = 0xcfffffff;
	CU_ASSERT_EQUAL(ask(), 0);
	CU_ASSERT_EQUAL(reply.type, XFRM_MSG_NEWSA);
	return reply.sa.id.spi;
}

static inline struct nlmsghdr *sa_msg(uint16_t type, bool in, uint32_t spi, uint8_t key, uint64_t hard_pkts)
{
	uint8_t alg[72 + 20] = "rfc4106(gcm(aes))";
	const uint32_t bits[2] = {160, 128};
	struct xfrm_encap_tmpl e = {.encap_type = 2, .encap_sport = htons(4500), .encap_dport = htons(4500)};
	struct xfrm_usersa_info *x;
	struct nlmsghdr *n = msg(type, (void **)&x, sizeof(*x));

	memcpy(alg + 64, bits, sizeof(bits));
	memset(alg + 72, key, 20);
	x->family = AF_INET;
	x->mode = XFRM_MODE_TUNNEL;
	x->id.proto = 50;
	x->id.spi = htonl(spi);
	x->reqid = 1;
	x->replay_window = 32;
	ends(&x->saddr, &x->id.daddr, in);
	x->lft = (struct xfrm_lifetime_cfg){XFRM_INF, XFRM_INF, hard_pkts != 0 ? hard_pkts / 2 : XFRM_INF, hard_pkts != 0 ? hard_pkts : XFRM_INF, 3000, 3600, 0, 0};
	mnl_attr_put(n, XFRMA_ALG_AEAD, sizeof(alg), alg);
	mnl_attr_put(n, XFRMA_ENCAP, sizeof(e), &e);
	return n;
}

static inline int sa_new(bool in, uint32_t spi, uint8_t key)
{
	sa_msg(in ? XFRM_MSG_UPDSA : XFRM_MSG_NEWSA, in, spi, key, 0);
	return ask();
}

static inline int sa_id(uint16_t type, bool in, uint32_t spi)
{
	struct xfrm_usersa_id *x;
	xfrm_address_t src;

	msg(type, (void **)&x, sizeof(*x));
	x->family = AF_INET;
	x->proto = 50;
	x->spi = htonl(spi);
	ends(&src, &x->daddr, in);
	return ask();
}

static inline void put_policy(uint16_t type, bool in, uint32_t spi, const char *mine)
{
	struct xfrm_userpolicy_info *x;
	struct xfrm_user_tmpl t = {.family = AF_INET, .reqid = 1, .mode = XFRM_MODE_TUNNEL, .id = {.proto = 50, .spi = htonl(spi)}};
	struct nlmsghdr *n = msg(type, (void **)&x, sizeof(*x));

	x->dir = in ? XFRM_POLICY_IN : XFRM_POLICY_OUT;
	x->sel.family = AF_INET;
	x->sel.prefixlen_s = x->sel.prefixlen_d = 32;
	ends(&x->sel.saddr, &x->sel.daddr, in);
	if (mine != NULL)
		inet_pton(AF_INET, mine, in ? &x->sel.daddr : &x->sel.saddr);
	ends(&t.saddr, &t.id.daddr, in);
	mnl_attr_put(n, XFRMA_TMPL, sizeof(t), &t);
}

static inline int policy(uint16_t type, bool in, uint32_t spi, const char *mine)
{
	put_policy(type, in, spi, mine);
	return ask();
}

static inline uint32_t child_up(uint32_t out_spi, uint8_t key, bool first)
{
	uint32_t in = alloc();

	CU_ASSERT_EQUAL(sa_new(true, in, key), 0);
	CU_ASSERT_EQUAL(sa_new(false, out_spi, (uint8_t)(key + 1)), 0);
	CU_ASSERT_EQUAL(policy(first ? XFRM_MSG_NEWPOLICY : XFRM_MSG_UPDPOLICY, true, 0, NULL), 0);
	CU_ASSERT_EQUAL(policy(first ? XFRM_MSG_NEWPOLICY : XFRM_MSG_UPDPOLICY, false, out_spi, NULL), 0);
	return in;
}

static inline int del_gateway(void)
{
	synced(cp_dir_gateway_del(w.store, "gw1", &dir_ctx));
	cp_gws_changed(w.gws, "gw1");
	return 0;
}

static inline bool heard(uint32_t spi, bool hard)
{
	static _Alignas(8) uint8_t in[4096];
	struct cp_xfrm_msg m;
	char why[200];
	size_t used;
	ssize_t got = recv(listen_fd, in, sizeof(in), MSG_DONTWAIT);

	return got > 0 && cp_xfrm_parse(in, (size_t)got, &m, &used, why, sizeof(why)) == 0 && m.type == XFRM_MSG_EXPIRE && m.sa.id.spi == spi &&
	       m.hard == hard && m.sa.reqid == 1;
}

static inline void hear(uint32_t spi, bool hard)
{
	bool did = false;

	STEP_UNTIL(did, (spin(), did = heard(spi, hard)));
}

static inline void replay(uint32_t in, uint32_t out_spi, bool whole)
{
	ask_fd = connect_as(0, SHIM_BOUND);
	listen_fd = connect_as(1u << (XFRMNLGRP_EXPIRE - 1), SHIM_REPLAY);
	for (int i = 0; i < 4; i++) {
		struct nlmsghdr *n = (struct nlmsghdr *)(void *)out;
		int fd = ask_fd;

		ask_fd = listen_fd; /* one that is not asked for an answer */
		if (i < 2)
			sa_msg(i == 0 ? XFRM_MSG_UPDSA : XFRM_MSG_NEWSA, i == 0, i == 0 ? in : out_spi, (uint8_t)(1 + i), 0);
		else {
			struct xfrm_userpolicy_info *x;
			struct xfrm_user_tmpl t = {.family = AF_INET, .reqid = 1, .mode = XFRM_MODE_TUNNEL, .id = {.proto = 50, .spi = htonl(i == 3 ? out_spi : 0)}};

			msg(XFRM_MSG_NEWPOLICY, (void **)&x, sizeof(*x));
			x->dir = i == 2 ? XFRM_POLICY_IN : XFRM_POLICY_OUT;
			x->sel.family = AF_INET;
			x->sel.prefixlen_s = x->sel.prefixlen_d = 32;
			ends(&x->sel.saddr, &x->sel.daddr, i == 2);
			mnl_attr_put(n, XFRMA_TMPL, sizeof(t), &t);
		}
		n->nlmsg_flags = NLM_F_REQUEST;
		n->nlmsg_seq = 0;
		CU_ASSERT_EQUAL(send(listen_fd, out, n->nlmsg_len, 0), (ssize_t)n->nlmsg_len);
		ask_fd = fd;
	}
	if (whole) {
		struct {
			struct nlmsghdr nlh;
			struct shim_hello h;
		} m = {{sizeof(m), NLMSG_NOOP, 0, 0, 0}, {SHIM_VERSION, 1u << (XFRMNLGRP_EXPIRE - 1), SHIM_REPLAYED, 1234, charon}};

		CU_ASSERT_EQUAL(send(listen_fd, &m, sizeof(m), 0), (ssize_t)sizeof(m));
	}
}

/* The controlplane dies. 'both': the dataplane, too, so that it has nothing of them any more. */
static inline void restart(bool both)
{
	int before = ups;

	close(ask_fd);
	close(listen_fd);
	ike_down();
	cp_stop();
	if (both) {
		fake_stop(&w.fake);
		fake_start(&w.fake, w.base, tmp_dir);
		memset(sets, 0, sizeof(sets));
	}
	CU_ASSERT_EQUAL_FATAL(cp_up(), 0);
	UNTIL(ups > before);
	ike_up();
}

#endif
