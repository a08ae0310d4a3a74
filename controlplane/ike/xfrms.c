/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike/xfrms.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ike/shim.h"
#include "ike/xfrmdb.h"
#include "log.h"

#define CONNS_MAX 16          /* charon has two */
#define OUT_MAX   (64 * 1024) /* messages for one that does not read: 20,000 SAs may end at once */
#define GROUP(n)  (1u << ((n) - 1))
#define SETTLE_S  2           /* an answer waits for the dataplane so long: charon does nothing else meanwhile */

struct out {
	struct out *next;
	size_t len;
	uint8_t data[];
};

/* An answer that charon may have when the dataplane has what it is about. */
struct later {
	struct later *next;
	struct cp_xfrmdb_step step;
	size_t len;
	uint8_t data[];
};

struct conn {
	struct conn *next;
	struct cp_xfrms *s;
	int fd;
	uint32_t groups, pid;
	bool replaying;
	struct event *ev_in, *ev_out;
	struct out *first, **end;
	unsigned waiting;
	struct later *later, **later_end;
	struct event *ev_later; /* the first of them waits no longer */
};

struct cp_xfrms {
	struct event_base *base;
	struct cp_xfrmdb *db;
	struct conn *conns;
	unsigned cnt;
	int fd;
	char path[108];
	struct event *ev;
	uint32_t pid;         /* charon's; 0: there was none yet */
	uint64_t start;
	struct conn *at;      /* whose message it is; NULL: a test's */
	struct cp_xfrmdb_step step; /* what it installed */
	uint64_t messages, refused, lost, unsettled;
	_Alignas(8) uint8_t buf[65536];
};

/* --- out --- */

static void conn_free(struct conn *c)
{
	for (struct conn **at = &c->s->conns; *at != NULL; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			break;
		}
	}
	c->s->cnt--;
	while (c->first != NULL) {
		struct out *o = c->first;

		c->first = o->next;
		OPENSSL_cleanse(o->data, o->len);
		free(o);
	}
	while (c->later != NULL) {
		struct later *l = c->later;

		c->later = l->next;
		OPENSSL_cleanse(l->data, l->len);
		free(l);
	}
	if (c->ev_later != NULL)
		event_free(c->ev_later);
	if (c->ev_in != NULL)
		event_free(c->ev_in);
	if (c->ev_out != NULL)
		event_free(c->ev_out);
	close(c->fd);
	free(c);
}

static void on_out(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)what;
	while (c->first != NULL) {
		struct out *o = c->first;

		if (send(fd, o->data, o->len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EINTR)) {
			event_add(c->ev_out, NULL);
			return;
		}
		c->first = o->next;
		c->waiting--;
		OPENSSL_cleanse(o->data, o->len); /* an SA's key may be in it */
		free(o);
	}
	c->end = &c->first;
}

/* In order; what does not go now waits. */
static void put(struct conn *c, const void *data, size_t len)
{
	struct out *o;

	if (c->first == NULL && (send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EINTR)))
		return; /* an error is the reader's to see */
	o = c->waiting < OUT_MAX ? malloc(sizeof(*o) + len) : NULL;
	if (o == NULL) {
		c->s->lost++;
		cfg_log_limited(CFG_LOG_ERR, "xfrm-lost", "reason=\"charon does not read\"");
		return;
	}
	o->next = NULL;
	o->len = len;
	memcpy(o->data, data, len);
	*c->end = o;
	c->end = &o->next;
	c->waiting++;
	event_add(c->ev_out, NULL);
}

void cp_xfrms_expire(void *ctx, const struct cp_xfrm_sa *sa, bool hard)
{
	struct cp_xfrms *s = ctx;
	_Alignas(8) uint8_t buf[CP_XFRM_BUF];
	size_t len = cp_xfrm_put_sa(buf, XFRM_MSG_EXPIRE, 0, 0, 0, sa, hard);

	for (struct conn *c = s->conns; c != NULL; c = c->next)
		if (c->groups & GROUP(XFRMNLGRP_EXPIRE))
			put(c, buf, len);
}

void cp_xfrms_mapping(void *ctx, const struct cp_xfrm_sa *sa, const struct cfg_addr *from)
{
	struct cp_xfrms *s = ctx;
	_Alignas(8) uint8_t buf[CP_XFRM_BUF];
	size_t len = cp_xfrm_put_mapping(buf, sa, from);

	for (struct conn *c = s->conns; c != NULL; c = c->next)
		if (c->groups & GROUP(XFRMNLGRP_MAPPING))
			put(c, buf, len);
}

/* --- answers that wait for the dataplane --- */

static void later_timer(struct conn *c)
{
	struct timeval tv = {SETTLE_S, 0};

	if (c->later != NULL)
		event_add(c->ev_later, &tv);
	else
		event_del(c->ev_later);
}

static void later_first(struct conn *c)
{
	struct later *l = c->later;

	c->later = l->next;
	if (c->later == NULL)
		c->later_end = &c->later;
	put(c, l->data, l->len);
	OPENSSL_cleanse(l->data, l->len);
	free(l);
}

static void later_settled(struct conn *c)
{
	bool any = false;

	for (; c->later != NULL && cp_xfrmdb_settled(c->s->db, &c->later->step); any = true)
		later_first(c);
	if (any)
		later_timer(c);
}

void cp_xfrms_settled(struct cp_xfrms *s)
{
	for (struct conn *c = s->conns; c != NULL; c = c->next)
		later_settled(c);
}

/* It is told all the same: the SA is asserted again and again, and charon must go on. */
static void on_later(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	if (c->later == NULL)
		return;
	c->s->unsettled++;
	cfg_log_limited(CFG_LOG_WARN, "xfrm-unsettled", "reason=\"the dataplane has not answered for %d s\"", SETTLE_S);
	later_first(c);
	later_settled(c);
	later_timer(c);
}

/* In order, behind those that wait. False: it goes now. */
static bool answer_later(struct conn *c, const struct cp_xfrmdb_step *step, const void *data, size_t len)
{
	struct later *l = c->later == NULL && cp_xfrmdb_settled(c->s->db, step) ? NULL : malloc(sizeof(*l) + len);

	if (l == NULL)
		return false;
	l->next = NULL;
	l->step = *step;
	l->len = len;
	memcpy(l->data, data, len);
	*c->later_end = l;
	c->later_end = &l->next;
	if (c->later == l)
		later_timer(c);
	return true;
}

/* --- one message --- */

/* Returns the length of what is said back. */
static size_t hello(struct cp_xfrms *s, const uint8_t *data, size_t len, void *out)
{
	struct nlmsghdr nlh = {.nlmsg_len = NLMSG_HDRLEN + sizeof(struct shim_hello), .nlmsg_type = NLMSG_NOOP};
	struct shim_hello h = {.start = 0};
	struct conn *c = s->at;

	if (c == NULL || len < NLMSG_HDRLEN + SHIM_V1_LEN)
		return 0;
	memcpy(&h, data + NLMSG_HDRLEN, len < NLMSG_HDRLEN + sizeof(h) ? SHIM_V1_LEN : sizeof(h));
	if (h.version == 0 || h.version > SHIM_VERSION || (h.version == SHIM_VERSION && len < NLMSG_HDRLEN + sizeof(h))) {
		cfg_log_limited(CFG_LOG_ERR, "xfrm-shim-version", "version=%u ours=%d", h.version, SHIM_VERSION);
		return 0;
	}
	c->groups = h.groups;
	c->pid = h.pid;
	if (s->pid != h.pid || s->start != h.start) {
		cfg_log(CFG_LOG_NOTICE, "charon-connected", "pid=%u another=%d", h.pid, s->pid != 0);
		if (s->pid != 0)
			cp_xfrmdb_another(s->db);
	}
	s->pid = h.pid;
	s->start = h.start;
	if (h.phase == SHIM_REPLAY) {
		c->replaying = true;
		cp_xfrmdb_replay(s->db);
	} else if (h.phase == SHIM_REPLAYED && c->replaying) {
		c->replaying = false;
		cp_xfrmdb_replayed(s->db);
	}
	if (h.phase != SHIM_REPLAYED)
		return 0;
	memcpy(out, &nlh, sizeof(nlh));
	memcpy((uint8_t *)out + NLMSG_HDRLEN, &h, sizeof(h));
	return nlh.nlmsg_len;
}

static size_t get_sa(struct cp_xfrms *s, const struct cp_xfrm_msg *m, void *out, int *ret_rc)
{
	struct cp_xfrm_sa sa;
	size_t len;

	*ret_rc = cp_xfrmdb_get(s->db, &m->id, &sa);
	if (*ret_rc < 0)
		return 0;
	len = m->type == XFRM_MSG_GETAE ? cp_xfrm_put_ae(out, m, &sa) : cp_xfrm_put_sa(out, XFRM_MSG_NEWSA, 0, m->seq, m->pid, &sa, false);
	OPENSSL_cleanse(sa.key, sizeof(sa.key));
	return len;
}

static size_t get_policy(struct cp_xfrms *s, const struct cp_xfrm_msg *m, void *out, int *ret_rc)
{
	struct cp_xfrm_policy p;

	*ret_rc = cp_xfrmdb_policy_get(s->db, &m->policy, &p);
	return *ret_rc < 0 ? 0 : cp_xfrm_put_policy(out, XFRM_MSG_NEWPOLICY, 0, m->seq, m->pid, &p);
}

/* Returns the length of an answer that is none of NLMSG_ERROR; 0: 'ret_rc' is the answer. */
static size_t act(struct cp_xfrms *s, const struct cp_xfrm_msg *m, void *out, int *ret_rc, char *why, size_t why_size)
{
	uint32_t policies[3], sas;
	struct cp_xfrm_sa sa;

	switch (m->type) {
	case XFRM_MSG_ALLOCSPI:
		*ret_rc = cp_xfrmdb_alloc(s->db, m, &sa);
		return *ret_rc < 0 ? 0 : cp_xfrm_put_sa(out, XFRM_MSG_NEWSA, 0, m->seq, m->pid, &sa, false);
	case XFRM_MSG_NEWSA:
	case XFRM_MSG_UPDSA:
		*ret_rc = cp_xfrmdb_set(s->db, &m->sa, s->at != NULL && s->at->replaying, why, why_size);
		if (*ret_rc == 0)
			s->step = (struct cp_xfrmdb_step){.id = m->sa.id};
		return 0;
	case XFRM_MSG_DELSA:
		*ret_rc = cp_xfrmdb_del(s->db, &m->id);
		return 0;
	case XFRM_MSG_GETSA:
	case XFRM_MSG_GETAE:
		if ((m->flags & NLM_F_DUMP) == NLM_F_DUMP)
			return cp_xfrm_put_done(out, m); /* charon does not ask; ours are shown by ravelinctl */
		return get_sa(s, m, out, ret_rc);
	case XFRM_MSG_NEWPOLICY:
	case XFRM_MSG_UPDPOLICY:
		*ret_rc = cp_xfrmdb_policy(s->db, &m->policy, m->type == XFRM_MSG_UPDPOLICY || (s->at != NULL && s->at->replaying), why, why_size);
		if (*ret_rc == 0 && m->policy.dir == CP_XFRM_OUT && m->policy.tmpl_cnt > 0)
			s->step = (struct cp_xfrmdb_step){.policy = true, .reqid = m->policy.tmpl[0].reqid};
		return 0;
	case XFRM_MSG_DELPOLICY:
		*ret_rc = cp_xfrmdb_policy_del(s->db, &m->policy);
		return 0;
	case XFRM_MSG_GETPOLICY:
		if ((m->flags & NLM_F_DUMP) == NLM_F_DUMP)
			return cp_xfrm_put_done(out, m);
		return get_policy(s, m, out, ret_rc);
	case XFRM_MSG_FLUSHSA:
		cp_xfrmdb_flush(s->db, m->proto);
		return 0;
	case XFRM_MSG_FLUSHPOLICY:
		cp_xfrmdb_policy_flush(s->db);
		return 0;
	case XFRM_MSG_GETSPDINFO:
		cp_xfrmdb_count(s->db, policies, &sas);
		return cp_xfrm_put_spdinfo(out, m, policies);
	case XFRM_MSG_GETSADINFO:
		cp_xfrmdb_count(s->db, policies, &sas);
		return cp_xfrm_put_sadinfo(out, m, sas);
	case XFRM_MSG_NEWSPDINFO: /* thresholds of the kernel's hashing: nothing to us */
		return 0;
	default:
		snprintf(why, why_size, "not charon's to send");
		*ret_rc = -EOPNOTSUPP;
		return 0;
	}
}

size_t cp_xfrms_answer(struct cp_xfrms *s, const uint8_t *data, size_t len, size_t *ret_used, void *out)
{
	struct cp_xfrm_msg m;
	char why[200], name[16];
	size_t n = 0;
	int rc = cp_xfrm_parse(data, len, &m, ret_used, why, sizeof(why));

	s->messages++;
	s->step = (struct cp_xfrmdb_step){.policy = false};
	if (rc == 0 && m.type == NLMSG_NOOP) {
		return hello(s, data, *ret_used, out);
	}
	if (rc == 0)
		n = act(s, &m, out, &rc, why, sizeof(why));
	OPENSSL_cleanse(&m.sa.key, sizeof(m.sa.key));
	if (rc < 0 && rc != -ESRCH && rc != -ENOENT) {
		s->refused++;
		cfg_log_limited(CFG_LOG_WARN, "xfrm-refused", "message=%s reason=%s", cp_xfrm_type_name(m.type, name, sizeof(name)),
				cfg_q(why[0] != '\0' ? why : strerror(-rc)));
	}
	if (n > 0)
		return n;
	/* As the kernel: an error always, an acknowledgement where it is asked for. */
	return (m.type != 0 && *ret_used > 0) && (rc < 0 || (m.flags & NLM_F_ACK) != 0) && m.seq != 0 ? cp_xfrm_put_error(out, &m, rc) : 0;
}

static void on_in(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	struct cp_xfrms *s = c->s;
	_Alignas(8) uint8_t out[CP_XFRM_BUF];

	(void)what;
	for (int i = 0; i < 64; i++) {
		ssize_t n = recv(fd, s->buf, sizeof(s->buf), MSG_DONTWAIT);
		size_t at = 0, used;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			conn_free(c);
			return;
		}
		s->at = c;
		for (; at < (size_t)n; at += used) {
			size_t len = cp_xfrms_answer(s, s->buf + at, (size_t)n - at, &used, out);

			if (len > 0 && !answer_later(c, &s->step, out, len))
				put(c, out, len);
			OPENSSL_cleanse(out, len);
			if (used == 0)
				break;
		}
		s->at = NULL;
		OPENSSL_cleanse(s->buf, (size_t)n);
	}
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct cp_xfrms *s = arg;
	struct ucred who = {.uid = (uid_t)-1};
	socklen_t len = sizeof(who);
	struct conn *c;
	int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (got < 0)
		return;
	if (getsockopt(got, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || (who.uid != 0 && who.uid != geteuid()) || s->cnt == CONNS_MAX) {
		cfg_log_limited(CFG_LOG_WARN, "xfrm-connection-refused", "uid=%d connections=%u", (int)who.uid, s->cnt);
		close(got);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (c == NULL) {
		close(got);
		return;
	}
	*c = (struct conn){.next = s->conns, .s = s, .fd = got};
	c->end = &c->first;
	c->later_end = &c->later;
	s->conns = c;
	s->cnt++;
	c->ev_in = event_new(s->base, got, EV_READ | EV_PERSIST, on_in, c);
	c->ev_out = event_new(s->base, got, EV_WRITE, on_out, c);
	c->ev_later = evtimer_new(s->base, on_later, c);
	if (c->ev_in == NULL || c->ev_out == NULL || c->ev_later == NULL)
		conn_free(c);
	else
		event_add(c->ev_in, NULL);
}

void cp_xfrms_set_db(struct cp_xfrms *s, struct cp_xfrmdb *db)
{
	s->db = db;
}

int cp_xfrms_create(struct event_base *base, const char *path, struct cp_xfrms **ret)
{
	struct cp_xfrms *s = calloc(1, sizeof(*s));
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	mode_t mask;
	int rc;

	if (s == NULL)
		return -ENOMEM;
	s->base = base;
	s->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(s->path, sizeof(s->path), "%s", path);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	unlink(path);
	mask = umask(0177);
	rc = s->fd < 0 || bind(s->fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(s->fd, CONNS_MAX) < 0 ? -errno : 0;
	umask(mask);
	if (rc == 0) {
		s->ev = event_new(base, s->fd, EV_READ | EV_PERSIST, on_accept, s);
		rc = s->ev != NULL ? 0 : -ENOMEM;
	}
	if (rc < 0) {
		cp_xfrms_destroy(s);
		return rc;
	}
	event_add(s->ev, NULL);
	*ret = s;
	return 0;
}

void cp_xfrms_destroy(struct cp_xfrms *s)
{
	if (s == NULL)
		return;
	while (s->conns != NULL)
		conn_free(s->conns);
	if (s->ev != NULL)
		event_free(s->ev);
	if (s->fd >= 0)
		close(s->fd);
	if (s->ev != NULL)
		unlink(s->path);
	free(s);
}

json_t *cp_xfrms_show(const struct cp_xfrms *s)
{
	uint32_t policies[3], sas;

	cp_xfrmdb_count(s->db, policies, &sas);
	return json_pack("{s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:i}", "connections", (int)s->cnt, "pid", (int)s->pid, "messages",
			 (json_int_t)s->messages, "refused", (json_int_t)s->refused, "too_many", (json_int_t)cp_xfrmdb_refused(s->db), "lost",
			 (json_int_t)s->lost, "unsettled", (json_int_t)s->unsettled, "sas", (int)sas, "left", (int)cp_xfrmdb_left(s->db), "policies",
			 (int)(policies[0] + policies[1] + policies[2]));
}
