/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike/xfrmk.h"

#include <errno.h>
#include <event2/event.h>
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "ike/xfrmdb.h"
#include "log.h"

#define RCVBUF    (16 << 20) /* 20,000 SAs of 600 bytes that come at once */
#define AGAIN_MS  100        /* after an overrun: what overran it is let go by */
#define GROUP(n)  (1u << ((n) - 1))
#define ESP       50

struct cp_xfrmk {
	struct event_base *base;
	struct cp_xfrmdb *db;
	struct mnl_socket *nl;
	cp_xfrmk_send_fn send;
	void *ctx;
	struct event *ev, *ev_again;
	uint16_t dumping;    /* XFRM_MSG_GETSA, XFRM_MSG_GETPOLICY; 0: not */
	uint32_t seq;        /* of that */
	bool first, torn;    /* torn: the dump is to be made anew */
	int64_t since_s;     /* when we came: wall clock */
	uint64_t messages, refused, overruns, dumps;
	_Alignas(8) uint8_t buf[65536];
};

static void dump(struct cp_xfrmk *k, uint16_t type)
{
	_Alignas(8) uint8_t msg[CP_XFRM_BUF];
	size_t len = cp_xfrm_put_dump(msg, type, ++k->seq);
	struct timeval tv = {0, AGAIN_MS * 1000};

	if (type == XFRM_MSG_GETSA) {
		k->dumps++;
		k->torn = false;
		cp_xfrmdb_replay(k->db);
	}
	k->dumping = type;
	if (k->send(k->ctx, msg, len) < 0) {
		k->dumping = 0;
		event_add(k->ev_again, &tv);
	}
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct cp_xfrmk *k = arg;

	(void)fd;
	(void)what;
	if (k->dumping == 0)
		dump(k, XFRM_MSG_GETSA);
}

static void dumped(struct cp_xfrmk *k)
{
	struct timeval tv = {0, AGAIN_MS * 1000};

	if (k->dumping == XFRM_MSG_GETSA) {
		dump(k, XFRM_MSG_GETPOLICY);
		return;
	}
	k->dumping = 0;
	if (k->torn) {
		event_add(k->ev_again, &tv);
		return;
	}
	cp_xfrmdb_replayed(k->db);
	k->first = false;
}

/*
 * The kernel's own sending ends here; ours goes on by what the policy said. Its templates stay in what blocks (the kernel asks them nothing): the
 * next controlplane reads there which SA sends.
 */
static void discard(struct cp_xfrmk *k, const struct cp_xfrm_policy *p)
{
	_Alignas(8) uint8_t msg[CP_XFRM_BUF];
	struct cp_xfrm_policy block = *p;
	size_t len;

	block.block = true;
	len = cp_xfrm_put_policy(msg, XFRM_MSG_UPDPOLICY, NLM_F_REQUEST, 0, 0, &block);
	if (k->send(k->ctx, msg, len) < 0)
		cfg_log_limited(CFG_LOG_ERR, "xfrm-policy-stands", "reqid=%u", p->tmpl[0].reqid);
}

static int on_sa(struct cp_xfrmk *k, const struct cp_xfrm_msg *m, bool from_dump, char *why, size_t why_size)
{
	/* Of before us, or of before the last overrun: used or not, nobody knows. */
	bool old = from_dump && (k->first || (int64_t)m->sa.cur.added_s < k->since_s);
	int rc;

	if (m->sa.id.proto != ESP || m->sa.alg == 0)
		return 0; /* an SPI that is promised, or another's protocol */
	rc = cp_xfrmdb_set(k->db, &m->sa, old, why, why_size);
	return rc == -EADDRNOTAVAIL ? 0 : rc; /* the kernel's own */
}

/*
 * One that we have put there, or a controlplane before us: only of that one's nothing is known yet. What comes back to us may be older than what
 * charon has said since.
 */
static int on_blocked(struct cp_xfrmk *k, const struct cp_xfrm_msg *m, bool from_dump, char *why, size_t why_size)
{
	int rc;

	if (!from_dump || !k->first || m->policy.dir != CP_XFRM_OUT || !cp_xfrmdb_has_reqid(k->db, m->policy.tmpl[0].reqid))
		return 0;
	rc = cp_xfrmdb_policy(k->db, &m->policy, false, why, why_size);
	return rc == -EEXIST ? 0 : rc;
}

static int on_policy(struct cp_xfrmk *k, const struct cp_xfrm_msg *m, bool from_dump, char *why, size_t why_size)
{
	int rc;

	if (m->policy.dir >= CP_XFRM_SOCKET || m->policy.tmpl_cnt == 0 || m->policy.tmpl[0].proto != ESP)
		return 0; /* the sockets' */
	if (m->policy.block)
		return on_blocked(k, m, from_dump, why, why_size);
	rc = cp_xfrmdb_policy(k->db, &m->policy, true, why, why_size);
	if (m->policy.dir == CP_XFRM_OUT && cp_xfrmdb_has_reqid(k->db, m->policy.tmpl[0].reqid))
		discard(k, &m->policy);
	return rc;
}

static int on_message(struct cp_xfrmk *k, const struct cp_xfrm_msg *m, char *why, size_t why_size)
{
	bool from_dump = (m->flags & NLM_F_MULTI) != 0 && k->dumping != 0 && m->seq == k->seq;
	int rc = 0;

	if (m->flags & NLM_F_DUMP_INTR)
		k->torn = true;
	switch (m->type) {
	case NLMSG_DONE:
		if (k->dumping != 0 && m->seq == k->seq)
			dumped(k);
		return 0;
	case NLMSG_ERROR:
		if (k->dumping != 0 && m->seq == k->seq && m->error < 0) {
			k->torn = true;
			k->dumping = XFRM_MSG_GETPOLICY;
			dumped(k);
		}
		return 0;
	case XFRM_MSG_NEWSA:
	case XFRM_MSG_UPDSA:
		return on_sa(k, m, from_dump, why, why_size);
	case XFRM_MSG_DELSA:
		rc = cp_xfrmdb_del(k->db, &m->id);
		return rc == -ESRCH ? 0 : rc;
	case XFRM_MSG_EXPIRE: /* hard: the kernel has deleted it, and says no more than this */
		if (m->hard)
			cp_xfrmdb_del(k->db, &m->sa.id);
		return 0;
	case XFRM_MSG_FLUSHSA:
		cp_xfrmdb_flush(k->db, m->proto);
		return 0;
	case XFRM_MSG_NEWPOLICY:
	case XFRM_MSG_UPDPOLICY:
		return on_policy(k, m, from_dump, why, why_size);
	case XFRM_MSG_DELPOLICY:
		cp_xfrmdb_policy_del(k->db, &m->policy);
		return 0;
	case XFRM_MSG_FLUSHPOLICY:
		cp_xfrmdb_policy_flush(k->db);
		return 0;
	default:
		return 0;
	}
}

void cp_xfrmk_input(struct cp_xfrmk *k, const uint8_t *data, size_t len)
{
	struct cp_xfrm_msg m;
	char why[200], name[16];
	size_t used;

	for (size_t at = 0; at < len; at += used) {
		int rc = cp_xfrm_parse(data + at, len - at, &m, &used, why, sizeof(why));

		k->messages++;
		if (rc == 0)
			rc = on_message(k, &m, why, sizeof(why));
		OPENSSL_cleanse(&m.sa.key, sizeof(m.sa.key));
		if (rc < 0) {
			k->refused++;
			cfg_log_limited(CFG_LOG_WARN, "xfrm-refused", "message=%s reason=%s", cp_xfrm_type_name(m.type, name, sizeof(name)),
					cfg_q(why[0] != '\0' ? why : strerror(-rc)));
		}
		if (used == 0)
			break;
	}
}

void cp_xfrmk_overrun(struct cp_xfrmk *k)
{
	struct timeval tv = {0, AGAIN_MS * 1000};

	k->overruns++;
	cfg_log_limited(CFG_LOG_WARN, "xfrm-overrun", "count=%llu", (unsigned long long)k->overruns);
	k->dumping = 0; /* its end may be among what was lost */
	event_add(k->ev_again, &tv);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	struct cp_xfrmk *k = arg;

	(void)fd;
	(void)what;
	for (int i = 0; i < 256; i++) {
		ssize_t n = mnl_socket_recvfrom(k->nl, k->buf, sizeof(k->buf));

		if (n < 0 && errno == ENOBUFS) {
			cp_xfrmk_overrun(k);
			continue;
		}
		if (n <= 0)
			return;
		cp_xfrmk_input(k, k->buf, (size_t)n);
		OPENSSL_cleanse(k->buf, (size_t)n);
	}
}

void cp_xfrmk_expire(void *ctx, const struct cp_xfrm_sa *sa, bool hard)
{
	struct cp_xfrmk *k = ctx;
	_Alignas(8) uint8_t msg[CP_XFRM_BUF];
	size_t len = cp_xfrm_put_sa(msg, XFRM_MSG_EXPIRE, NLM_F_REQUEST, 0, 0, sa, hard);

	if (k->send(k->ctx, msg, len) < 0)
		cfg_log_limited(CFG_LOG_ERR, "xfrm-expire-unheard", "spi=0x%08x", sa->id.spi);
}

static int to_kernel(void *ctx, const uint8_t *msg, size_t len)
{
	const struct cp_xfrmk *k = ctx;

	return mnl_socket_sendto(k->nl, msg, len) < 0 ? -errno : 0;
}

int cp_xfrmk_create_with(struct event_base *base, struct cp_xfrmdb *db, cp_xfrmk_send_fn fn, void *ctx, struct cp_xfrmk **ret)
{
	struct cp_xfrmk *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return -ENOMEM;
	*k = (struct cp_xfrmk){.base = base, .db = db, .send = fn, .ctx = ctx, .first = true, .since_s = cp_wall_us() / 1000000};
	k->ev_again = evtimer_new(base, on_again, k);
	if (k->ev_again == NULL) {
		cp_xfrmk_destroy(k);
		return -ENOMEM;
	}
	*ret = k;
	if (fn != to_kernel)
		dump(k, XFRM_MSG_GETSA);
	return 0;
}

int cp_xfrmk_create(struct event_base *base, struct cp_xfrmdb *db, struct cp_xfrmk **ret)
{
	struct cp_xfrmk *k;
	int size = RCVBUF, rc = cp_xfrmk_create_with(base, db, to_kernel, NULL, &k);

	if (rc < 0)
		return rc;
	k->ctx = k;
	k->nl = mnl_socket_open2(NETLINK_XFRM, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (k->nl == NULL ||
	    mnl_socket_bind(k->nl, GROUP(XFRMNLGRP_SA) | GROUP(XFRMNLGRP_EXPIRE) | GROUP(XFRMNLGRP_POLICY), MNL_SOCKET_AUTOPID) < 0) {
		rc = -errno;
	} else {
		int fd = mnl_socket_get_fd(k->nl);

		if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
			setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		k->ev = event_new(base, fd, EV_READ | EV_PERSIST, on_read, k);
		rc = k->ev == NULL ? -ENOMEM : 0;
	}
	if (rc < 0) {
		cp_xfrmk_destroy(k);
		return rc;
	}
	event_add(k->ev, NULL);
	dump(k, XFRM_MSG_GETSA);
	*ret = k;
	return 0;
}

void cp_xfrmk_destroy(struct cp_xfrmk *k)
{
	if (k == NULL)
		return;
	if (k->ev != NULL)
		event_free(k->ev);
	if (k->ev_again != NULL)
		event_free(k->ev_again);
	if (k->nl != NULL)
		mnl_socket_close(k->nl);
	free(k);
}

json_t *cp_xfrmk_show(const struct cp_xfrmk *k)
{
	uint32_t policies[3], sas;

	cp_xfrmdb_count(k->db, policies, &sas);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:i}", "messages", (json_int_t)k->messages, "refused", (json_int_t)k->refused,
			 "too_many", (json_int_t)cp_xfrmdb_refused(k->db), "overruns", (json_int_t)k->overruns, "dumps", (json_int_t)k->dumps, "sas",
			 (int)sas, "left", (int)cp_xfrmdb_left(k->db), "policies", (int)(policies[0] + policies[1] + policies[2]));
}
