/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike/xfrmdb.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "gateway/gateway.h"
#include "gateway/sasource.h"
#include "log.h"
#include "store/tab.h"
#include "why.h"

#define REBIND_US INT64_C(1000000) /* a walk over all SAs at most so often: a bulk of gateways' records changes at once */
#define SPI_TRIES 64 /* random ones, until one is neither in use nor promised */
#define LARVAL_S 165 /* as the kernel: sysctl net.core.xfrm_acq_expires */
#define ESP      50

enum state { LARVAL, LIVE, STALE }; /* an SPI that is promised; in the dataplane; only charon has it */

struct xsa {
	struct xsa *next, **at;      /* of the same reqid */
	struct xsa *newer, **older;  /* of larval ones: in the order in which they end */
	struct cp_xfrm_sa sa;        /* without key */
	struct cp_sa_ref ref;
	enum state state;
	bool left;                   /* by a charon that is gone: of no reqid */
	int64_t until_us;            /* larval, left: no longer */
	uint32_t gen;
	char gateway[CP_NAME_MAX];   /* as it was bound last */
};

struct xpol {
	struct xpol *next, **at;     /* of the same reqid */
	struct cp_xfrm_policy p;
};

struct cp_xfrmdb {
	struct cp_xfrmdb_env env;
	struct cp_tab sas;           /* by SPI, protocol and address: xsa */
	struct cp_tab policies;      /* by selector and direction: xpol */
	struct cp_tab reqids;        /* struct reqid */
	struct xsa *larval, **larval_end;
	uint32_t larval_cnt;
	struct event *ev_larval, *ev_left;
	uint32_t left_cnt;
	struct event *ev_rebind;
	int64_t rebound_us;
	uint32_t gen, policy_cnt[3];
	uint64_t refused;            /* CP_XFRMDB_PAIRS_MAX */
};

struct reqid {
	struct xsa *sas;
	struct xpol *policies;
};

static void on_larval(evutil_socket_t fd, short what, void *arg);
static void on_rebind(evutil_socket_t fd, short what, void *arg);
static void on_left(evutil_socket_t fd, short what, void *arg);
static void on_expired(void *ctx, const struct cp_sa_ref *ref, bool hard);
static void on_settled(void *ctx);
static void on_moved(void *ctx, const struct cp_sa_ref *ref, const struct cfg_addr *from);

struct cp_xfrmdb *cp_xfrmdb_create(const struct cp_xfrmdb_env *env)
{
	static const struct cp_sa_source ops = {.expired = on_expired, .moved = on_moved, .settled = on_settled};
	struct cp_xfrmdb *db = calloc(1, sizeof(*db));
	struct timeval tv = {10, 0};

	if (db == NULL)
		return NULL;
	db->env = *env;
	db->larval_end = &db->larval;
	db->ev_larval = event_new(env->base, -1, EV_PERSIST, on_larval, db);
	db->ev_rebind = evtimer_new(env->base, on_rebind, db);
	db->ev_left = evtimer_new(env->base, on_left, db);
	if (db->env.left_s == 0)
		db->env.left_s = CP_XFRMDB_LEFT_S;
	if (db->env.left_in_s == 0)
		db->env.left_in_s = CP_XFRMDB_LEFT_IN_S;
	db->rebound_us = -REBIND_US;
	if (cp_tab_init(&db->sas, free) < 0 || cp_tab_init(&db->policies, free) < 0 || cp_tab_init(&db->reqids, free) < 0 ||
	    db->ev_larval == NULL || db->ev_rebind == NULL || db->ev_left == NULL) {
		cp_xfrmdb_destroy(db);
		return NULL;
	}
	event_add(db->ev_larval, &tv);
	cp_sas_source(env->sas, &ops, db);
	return db;
}

void cp_xfrmdb_destroy(struct cp_xfrmdb *db)
{
	if (db == NULL)
		return;
	cp_sas_source(db->env.sas, NULL, NULL);
	if (db->ev_larval != NULL)
		event_free(db->ev_larval);
	if (db->ev_rebind != NULL)
		event_free(db->ev_rebind);
	if (db->ev_left != NULL)
		event_free(db->ev_left);
	cp_tab_fini(&db->sas);
	cp_tab_fini(&db->policies);
	cp_tab_fini(&db->reqids);
	free(db);
}

/* --- keys of the tables --- */

#define SA_KEY 24

static void sa_key(uint8_t key[SA_KEY], uint8_t proto, uint32_t spi, const struct cfg_addr *dst)
{
	memset(key, 0, SA_KEY);
	key[0] = proto;
	key[1] = dst->family;
	memcpy(key + 4, &spi, sizeof(spi));
	memcpy(key + 8, dst->ip, sizeof(dst->ip));
}

static struct xsa *find(struct cp_xfrmdb *db, const struct cp_xfrm_id *id)
{
	uint8_t key[SA_KEY];
	struct cp_ent *e;

	sa_key(key, id->proto, id->spi, &id->dst);
	e = cp_tab_find(&db->sas, key, sizeof(key));
	return e != NULL ? e->obj : NULL;
}

#define POLICY_KEY 48

static void policy_key(uint8_t key[POLICY_KEY], const struct cp_xfrm_policy *p)
{
	const struct cp_xfrm_sel *s = &p->sel;

	memset(key, 0, POLICY_KEY);
	key[0] = p->dir;
	key[1] = s->src.family;
	key[2] = s->proto;
	key[3] = s->src.plen;
	key[4] = s->dst.plen;
	memcpy(key + 6, &s->src.port, 2);
	memcpy(key + 8, &s->dst.port, 2);
	memcpy(key + 16, s->src.ip, 16);
	memcpy(key + 32, s->dst.ip, 16);
}

static struct xpol *find_policy(struct cp_xfrmdb *db, const struct cp_xfrm_policy *p)
{
	uint8_t key[POLICY_KEY];
	struct cp_ent *e;

	policy_key(key, p);
	e = cp_tab_find(&db->policies, key, sizeof(key));
	return e != NULL ? e->obj : NULL;
}

static struct reqid *reqid_of(struct cp_xfrmdb *db, uint32_t reqid, bool make)
{
	struct cp_ent *e = cp_tab_find(&db->reqids, &reqid, sizeof(reqid));

	if (e == NULL && make && (e = cp_tab_put(&db->reqids, &reqid, sizeof(reqid))) != NULL)
		e->obj = calloc(1, sizeof(struct reqid));
	return e != NULL ? e->obj : NULL;
}

static void reqid_done(struct cp_xfrmdb *db, uint32_t reqid)
{
	const struct reqid *r = reqid_of(db, reqid, false);

	if (r != NULL && r->sas == NULL && r->policies == NULL)
		cp_tab_del(&db->reqids, &reqid, sizeof(reqid));
}

/* --- whose it is --- */

static bool local(const struct cp_xfrmdb *db, const struct cfg_addr *a)
{
	const struct cfg_dataplane *d = &db->env.cfg->dataplane;

	for (unsigned i = 0; i < d->ports_count; i++)
		for (unsigned k = 0; k < d->ports[i].addresses_count; k++)
			if (d->ports[i].addr[k].family == a->family && memcmp(d->ports[i].addr[k].ip, a->ip, sizeof(a->ip)) == 0)
				return true;
	return false;
}

/*
 * By the peer's address; else, in a tunnel, by who is behind it. Of several gateways at one address the one whose port the selector says. NULL:
 * nobody's.
 */
static struct cp_gw *gateway_of(struct cp_xfrmdb *db, const struct cfg_addr *peer, const struct cfg_addr *behind)
{
	struct cfg_addr host = *peer; /* its port is that of UDP encapsulation */
	struct cp_gw *gw;

	host.port = behind != NULL ? behind->port : 0;
	gw = cp_gws_by_host(db->env.gws, &host);

	if (gw != NULL || behind == NULL || behind->family == 0)
		return gw;
	if (behind->plen == (behind->family == 6 ? 128 : 32))
		return cp_gws_by_host(db->env.gws, behind);
	return behind->plen > 0 ? cp_gws_in_net(db->env.gws, behind) : NULL;
}

static const struct xpol *policy_of(const struct reqid *r, uint8_t dir)
{
	const struct xpol *p = r != NULL ? r->policies : NULL;

	while (p != NULL && p->p.dir != dir)
		p = p->next;
	return p;
}

static unsigned most(uint8_t dir)
{
	return dir == DP_DIR_SEND ? CP_XFRMDB_PAIRS_MAX : CP_XFRMDB_IN_MAX;
}

static bool has_room(struct cp_xfrmdb *db, const struct cp_gw *gw, uint8_t dir, unsigned more, char *why, size_t why_size)
{
	if (gw == NULL || cp_sas_ike_count(db->env.sas, cp_gw_name(gw), dir) + more <= most(dir))
		return true;
	db->refused++;
	cfg_no(why, why_size, -ENOSPC, "gateway %s has %u SAs of this direction: no more", cp_gw_name(gw), most(dir));
	return false;
}

/* May there be one more? A peer that negotiates the same again and again, or ever other selectors, would have all that the others need. */
static bool room_for(struct cp_xfrmdb *db, const struct xsa *self, const struct cp_sa *rec, const struct cp_xfrm_sa *sa, char *why, size_t why_size)
{
	bool out = rec->dir == DP_DIR_SEND;
	const struct reqid *r = reqid_of(db, sa->reqid, false);
	const struct xpol *p = policy_of(r, out ? CP_XFRM_OUT : CP_XFRM_IN);
	const struct cp_xfrm_sel *sel = p != NULL ? &p->p.sel : &sa->sel;
	const struct cp_gw *gw = gateway_of(db, &rec->remote, out ? &sel->dst : &sel->src);
	char text[64];
	unsigned n = 0;

	for (const struct xsa *x = r != NULL ? r->sas : NULL; x != NULL; x = x->next)
		n += x->ref.dir == rec->dir && x != self;
	if (n < most(rec->dir))
		return has_room(db, gw, rec->dir, 1, why, why_size);
	db->refused++;
	cfg_no(why, why_size, -ENOSPC, "reqid %u of gateway %s has %u SAs of this direction: no more", sa->reqid,
	       gw != NULL ? cp_gw_name(gw) : cfg_addr_print(&rec->remote, text, sizeof(text)), n);
	return false;
}

/* What policies say of an SA: what it carries, for whom, and outbound whether it sends. */
static void bind_sa(struct cp_xfrmdb *db, struct xsa *x)
{
	bool out = x->ref.dir == DP_DIR_SEND;
	const struct xpol *p = policy_of(reqid_of(db, x->sa.reqid, false), out ? CP_XFRM_OUT : CP_XFRM_IN);
	const struct cp_xfrm_sel *sel = p != NULL ? &p->p.sel : &x->sa.sel;
	const struct cfg_addr *loc = out ? &sel->src : &sel->dst, *rem = out ? &sel->dst : &sel->src;
	struct cp_gw *gw = gateway_of(db, &x->ref.remote, rem);

	if (x->state != LIVE)
		return;
	snprintf(x->gateway, sizeof(x->gateway), "%s", gw != NULL ? cp_gw_name(gw) : "");
	cp_sas_ike_bind(db->env.sas, &x->ref, gw != NULL ? cp_gw_name(gw) : "", loc, rem, sel->proto);
	if (out && p != NULL && p->p.tmpl_cnt > 0 && (p->p.tmpl[0].spi == 0 || p->p.tmpl[0].spi == x->sa.id.spi))
		cp_sas_ike_send(db->env.sas, &x->ref);
}

/* --- SAs --- */

static void larval_unlink(struct cp_xfrmdb *db, struct xsa *x)
{
	if (x->older == NULL)
		return;
	*x->older = x->newer;
	if (x->newer != NULL)
		x->newer->older = x->older;
	else
		db->larval_end = x->older;
	x->older = NULL;
	db->larval_cnt--;
}

static void reqid_unlink(struct cp_xfrmdb *db, struct xsa *x)
{
	if (x->at == NULL)
		return;
	*x->at = x->next;
	if (x->next != NULL)
		x->next->at = x->at;
	x->at = NULL;
	reqid_done(db, x->sa.reqid);
}

static void drop(struct cp_xfrmdb *db, struct xsa *x)
{
	uint8_t key[SA_KEY];

	larval_unlink(db, x);
	if (x->state == LIVE)
		cp_sas_ike_del(db->env.sas, &x->ref);
	reqid_unlink(db, x);
	db->left_cnt -= x->left;
	sa_key(key, x->sa.id.proto, x->sa.id.spi, &x->sa.id.dst);
	cp_tab_del(&db->sas, key, sizeof(key)); /* frees it */
}

static void on_larval(evutil_socket_t fd, short what, void *arg)
{
	struct cp_xfrmdb *db = arg;

	(void)fd;
	(void)what;
	while (db->larval != NULL && db->larval->until_us < (int64_t)cp_mono_us())
		drop(db, db->larval);
}

static struct xsa *make(struct cp_xfrmdb *db, const struct cp_xfrm_sa *sa)
{
	uint8_t key[SA_KEY];
	struct cp_ent *e;
	struct xsa *x;

	sa_key(key, sa->id.proto, sa->id.spi, &sa->id.dst);
	e = cp_tab_put(&db->sas, key, sizeof(key));
	if (e == NULL)
		return NULL;
	x = e->obj = calloc(1, sizeof(*x));
	if (x == NULL) {
		cp_tab_del(&db->sas, key, sizeof(key));
		return NULL;
	}
	x->sa = *sa;
	OPENSSL_cleanse(x->sa.key, sizeof(x->sa.key));
	x->sa.key_len = 0;
	return x;
}

int cp_xfrmdb_alloc(struct cp_xfrmdb *db, const struct cp_xfrm_msg *msg, struct cp_xfrm_sa *ret)
{
	struct cp_gw *gw = gateway_of(db, &msg->sa.src, NULL);
	uint8_t shard = 0, key[SA_KEY];
	int rc = 0, tries = 0;
	struct xsa *x;

	*ret = msg->sa;
	if (ret->id.proto != ESP)
		return -EPROTONOSUPPORT;
	if (!local(db, &ret->id.dst))
		return -EADDRNOTAVAIL;
	if (db->larval_cnt >= CP_XFRMDB_LARVAL_MAX)
		return -ENOSPC; /* more than could ever be kept */
	/* A gateway without a record yet: anywhere, but spread. */
	shard = gw != NULL ? cp_sas_shard(cp_gw_id(gw)) : (uint8_t)(cp_mono_us() % DP_SHARDS);
	do {
		rc = cp_sas_new_spi(db->env.sas, msg->min, msg->max, shard, &ret->id.spi);
		sa_key(key, ESP, ret->id.spi, &ret->id.dst);
		if (rc == 0 && cp_tab_find(&db->sas, key, sizeof(key)) != NULL && ++tries < SPI_TRIES)
			continue;
		break;
	} while (true);
	if (rc == 0 && tries == SPI_TRIES)
		rc = -ENOSPC;
	if (rc < 0)
		return rc;
	x = make(db, ret);
	if (x == NULL)
		return -ENOMEM;
	x->state = LARVAL;
	x->gen = db->gen;
	x->until_us = (int64_t)cp_mono_us() + LARVAL_S * INT64_C(1000000);
	x->older = db->larval_end;
	*db->larval_end = x;
	db->larval_end = &x->newer;
	db->larval_cnt++;
	return 0;
}

/* As a record of ours. */
static int to_rec(const struct cp_xfrmdb *db, const struct cp_xfrm_sa *sa, struct cp_sa *ret, char *why, size_t why_size)
{
	bool in = local(db, &sa->id.dst);
	const struct cfg_addr *peer = in ? &sa->src : &sa->id.dst;
	struct cfg_addr host = *peer;
	char text[64];

	*ret = (struct cp_sa){.spi = sa->id.spi, .dir = in ? DP_DIR_RECV : DP_DIR_SEND, .alg = sa->alg, .mode = sa->mode, .esn = sa->esn,
			      .hard_s = sa->life.hard_s, .hard_bytes = sa->life.hard_bytes, .hard_pkts = sa->life.hard_pkts,
			      .soft_s = sa->life.soft_s, .soft_bytes = sa->life.soft_bytes, .soft_pkts = sa->life.soft_pkts,
			      .local = in ? sa->id.dst : sa->src, .remote = *peer};
	if (!in && !local(db, &sa->src))
		return cfg_no(why, why_size, -EADDRNOTAVAIL, "neither end is an address of dataplane.ports");
	if (sa->alg == 0)
		return cfg_no(why, why_size, -EINVAL, "an SA without an algorithm");
	/* The dataplane's windows are 64 to 4,096: a smaller one is the peer's to regret, not ours. */
	if (in && sa->window > 0)
		ret->window = sa->window < DP_SA_WINDOW_MIN ? DP_SA_WINDOW_MIN : sa->window;
	if (!in && sa->mode == DP_ESP_TUNNEL)
		ret->tfc = sa->tfc;
	host.port = 0;
	cfg_addr_print(&host, text, sizeof(text));
	snprintf(ret->name, sizeof(ret->name), "ike-%s-%08x-%.46s", in ? "in" : "out", sa->id.spi, text);
	return 0;
}

int cp_xfrmdb_set(struct cp_xfrmdb *db, const struct cp_xfrm_sa *sa, bool replay, char *why, size_t why_size)
{
	uint8_t secret[CP_SA_SECRET_LEN];
	struct xsa *x = find(db, &sa->id);
	struct reqid *r;
	struct cp_sa rec;
	unsigned flags;
	int rc;

	snprintf(why, why_size, "%s", "");
	rc = to_rec(db, sa, &rec, why, why_size);
	if (rc == 0 && cp_sa_secret(sa->alg, sa->key, sa->key_len, secret) < 0)
		rc = cfg_no(why, why_size, -EINVAL, "a key of %u bytes for %s", sa->key_len, cp_sa_alg_name(sa->alg));
	if (rc < 0)
		return rc;
	if (x != NULL && x->state == LIVE) {
		replay = false; /* ours already */
	} else if (!room_for(db, x, &rec, sa, why, why_size)) {
		OPENSSL_cleanse(secret, sizeof(secret));
		return -ENOSPC;
	}
	flags = CP_SA_HOLD | (replay ? CP_SA_REPLAY : 0) | (db->env.shared ? CP_SA_SHARED : 0);
	rc = cp_sas_ike_set(db->env.sas, &rec, secret, sa->reqid, flags, rec.dir == DP_DIR_RECV ? sa->top_in : sa->top_out, why, why_size);
	if (x != NULL && x->left && rc == 0) {
		OPENSSL_cleanse(secret, sizeof(secret));
		x->gen = db->gen; /* the kernel lists it still: nobody's it is all the same */
		return 0;
	}
	if (x != NULL && x->left && rc == -EEXIST) { /* the peer chose the number again */
		drop(db, x);
		x = NULL;
		rc = cp_sas_ike_set(db->env.sas, &rec, secret, sa->reqid, flags, rec.dir == DP_DIR_RECV ? sa->top_in : sa->top_out, why, why_size);
	}
	OPENSSL_cleanse(secret, sizeof(secret));
	if (rc < 0 && rc != -ESTALE)
		return rc;
	if (x != NULL && x->state != LIVE) {
		drop(db, x); /* what was promised is kept */
		x = NULL;
	}
	r = reqid_of(db, sa->reqid, true);
	if (x == NULL) {
		x = r != NULL ? make(db, sa) : NULL;
		if (x == NULL) {
			cp_sas_ike_del(db->env.sas, &(struct cp_sa_ref){rec.dir, rec.spi, rec.remote});
			return -ENOMEM;
		}
		x->ref = (struct cp_sa_ref){rec.dir, rec.spi, rec.remote};
		x->next = r->sas;
		x->at = &r->sas;
		if (x->next != NULL)
			x->next->at = &x->next;
		r->sas = x;
	}
	x->sa.src.port = sa->src.port;
	x->sa.id.dst.port = sa->id.dst.port;
	x->state = rc == -ESTALE ? STALE : LIVE;
	x->gen = db->gen;
	bind_sa(db, x);
	return 0;
}

int cp_xfrmdb_del(struct cp_xfrmdb *db, const struct cp_xfrm_id *id)
{
	struct xsa *x = find(db, id);

	if (x == NULL)
		return -ESRCH;
	drop(db, x);
	return 0;
}

static void look(struct cp_xfrmdb *db, const struct xsa *x, struct cp_xfrm_sa *ret)
{
	struct cp_sa_live live;

	*ret = x->sa;
	if (x->state != LIVE || cp_sas_ike_live(db->env.sas, &x->ref, &live) < 0)
		return;
	ret->cur = (struct cp_xfrm_cur){live.bytes, live.pkts, (uint64_t)live.added_s, (uint64_t)live.used_s};
	ret->top_in = x->ref.dir == DP_DIR_RECV ? live.seq : 0;
	ret->top_out = x->ref.dir == DP_DIR_SEND ? live.seq : 0;
}

int cp_xfrmdb_get(struct cp_xfrmdb *db, const struct cp_xfrm_id *id, struct cp_xfrm_sa *ret)
{
	const struct xsa *x = find(db, id);

	if (x == NULL)
		return -ESRCH;
	look(db, x, ret);
	if (x->state == LIVE)
		ret->key_len = (uint16_t)cp_sas_ike_key(db->env.sas, &x->ref, ret->key);
	return 0;
}

typedef bool (*each_fn)(struct cp_xfrmdb *db, struct xsa *x, void *arg);

/* 'fn' may drop the one it is given. */
static void each(struct cp_xfrmdb *db, each_fn fn, void *arg)
{
	struct cp_ent **list = cp_tab_sorted(&db->sas);
	size_t cnt = db->sas.cnt;

	for (size_t i = 0; list != NULL && i < cnt; i++)
		if (!fn(db, list[i]->obj, arg))
			break;
	free(list);
}

static bool flush_one(struct cp_xfrmdb *db, struct xsa *x, void *arg)
{
	const uint8_t *proto = arg;

	if (*proto == 0 || *proto == 255 || *proto == x->sa.id.proto)
		drop(db, x);
	return true;
}

void cp_xfrmdb_flush(struct cp_xfrmdb *db, uint8_t proto)
{
	each(db, flush_one, &proto);
}

void cp_xfrmdb_replay(struct cp_xfrmdb *db)
{
	db->gen++;
}

/* Is there one of its child that comes in and is stale, too? One of them is enough to hear of. */
static bool in_stale(struct cp_xfrmdb *db, const struct xsa *x)
{
	const struct reqid *r = reqid_of(db, x->sa.reqid, false);
	const struct xsa *i = r != NULL ? r->sas : NULL;

	while (i != NULL && (i->state != STALE || i->ref.dir != DP_DIR_RECV))
		i = i->next;
	return i != NULL;
}

static bool replayed_one(struct cp_xfrmdb *db, struct xsa *x, void *arg)
{
	(void)arg;
	if (x->left)
		return true;
	if (x->gen != db->gen && x->state != LARVAL) {
		drop(db, x);
	} else if (x->state == STALE && (x->ref.dir == DP_DIR_RECV || !in_stale(db, x))) {
		cfg_log(CFG_LOG_NOTICE, "sa-stale", "spi=0x%08x reqid=%u", x->sa.id.spi, x->sa.reqid);
		db->env.expire(db->env.ctx, &x->sa, false);
	}
	return true;
}

void cp_xfrmdb_replayed(struct cp_xfrmdb *db)
{
	each(db, replayed_one, NULL);
}

/* --- what a charon that is gone left behind --- */

static void left_later(struct cp_xfrmdb *db)
{
	struct timeval tv = {1, 0};

	if (db->left_cnt > 0)
		event_add(db->ev_left, &tv);
}

static bool leave_one(struct cp_xfrmdb *db, struct xsa *x, void *arg)
{
	const int64_t *until_us = arg;

	if (x->left)
		return true; /* by the one before: its time runs */
	if (x->state != LIVE) {
		drop(db, x);
		return true;
	}
	reqid_unlink(db, x); /* the new one counts them from 1 again */
	x->left = true;
	x->until_us = *until_us;
	db->left_cnt++;
	return true;
}

void cp_xfrmdb_another(struct cp_xfrmdb *db)
{
	int64_t until_us = (int64_t)cp_mono_us() + db->env.left_s * INT64_C(1000000);

	each(db, leave_one, &until_us);
	cp_xfrmdb_policy_flush(db);
	if (db->left_cnt > 0)
		cfg_log(CFG_LOG_NOTICE, "sas-left", "count=%u", db->left_cnt);
	left_later(db);
}

struct left {
	struct cp_tab have; /* gateways with SAs of this charon: bit per direction */
	int64_t now_us, in_us;
	unsigned late;
};

static bool have_one(struct cp_xfrmdb *db, struct xsa *x, void *arg)
{
	struct left *l = arg;
	struct cp_sa_live live;
	struct cp_ent *e;

	if (x->left || x->state != LIVE || x->gateway[0] == '\0' || cp_sas_ike_live(db->env.sas, &x->ref, &live) < 0 || !live.asserted || live.held ||
	    live.dead)
		return true;
	e = cp_tab_put(&l->have, x->gateway, strlen(x->gateway)); /* no memory: a second later */
	if (e != NULL)
		e->n |= 1u << x->ref.dir;
	return true;
}

static void end_left(struct cp_xfrmdb *db, struct xsa *x)
{
	struct cp_xfrm_sa sa = x->sa;
	bool tell = db->env.shared;

	drop(db, x);
	if (tell) /* the kernel deletes it, too: it would list it again */
		db->env.expire(db->env.ctx, &sa, true);
}

static bool left_one(struct cp_xfrmdb *db, struct xsa *x, void *arg)
{
	struct left *l = arg;
	struct cp_sa_live live = {.dead = false};
	const struct cp_ent *e;

	if (!x->left)
		return true;
	e = cp_tab_find(&l->have, x->gateway, strlen(x->gateway));
	if (e != NULL && e->n == (1u << DP_DIR_RECV | 1u << DP_DIR_SEND)) {
		if (x->ref.dir == DP_DIR_SEND)
			x->until_us = l->now_us;
		else if (x->until_us > l->in_us)
			x->until_us = l->in_us;
	} else if (x->until_us <= l->now_us) {
		l->late++;
	}
	if (x->until_us <= l->now_us || cp_sas_ike_live(db->env.sas, &x->ref, &live) < 0 || live.dead)
		end_left(db, x);
	return true;
}

static void on_left(evutil_socket_t fd, short what, void *arg)
{
	struct cp_xfrmdb *db = arg;
	struct left l = {.now_us = (int64_t)cp_mono_us(), .late = 0};

	(void)fd;
	(void)what;
	l.in_us = l.now_us + db->env.left_in_s * INT64_C(1000000);
	if (cp_tab_init(&l.have, NULL) == 0) {
		each(db, have_one, &l);
		each(db, left_one, &l);
		cp_tab_fini(&l.have);
	}
	if (l.late > 0)
		cfg_log(CFG_LOG_WARN, "sas-left-ended", "count=%u reason=\"their gateways have had no others for %u s\"", l.late, db->env.left_s);
	left_later(db);
}

uint32_t cp_xfrmdb_left(const struct cp_xfrmdb *db)
{
	return db->left_cnt;
}

static const struct xsa *of_ref(struct cp_xfrmdb *db, const struct cp_sa_ref *ref)
{
	struct cp_xfrm_id id = {.spi = ref->spi, .proto = ESP, .dst = ref->remote};
	const struct cfg_dataplane *d = &db->env.cfg->dataplane;
	const struct xsa *x = ref->dir == DP_DIR_SEND ? find(db, &id) : NULL;

	/* Inbound the SPI is one, but which of our addresses it is at the reference does not say. */
	for (unsigned i = 0; x == NULL && ref->dir == DP_DIR_RECV && i < d->ports_count; i++)
		for (unsigned k = 0; x == NULL && k < d->ports[i].addresses_count; k++) {
			id.dst = d->ports[i].addr[k];
			x = find(db, &id);
		}
	return x;
}

static void on_expired(void *ctx, const struct cp_sa_ref *ref, bool hard)
{
	struct cp_xfrmdb *db = ctx;
	const struct xsa *x = of_ref(db, ref);
	struct cp_xfrm_sa sa;

	if (x == NULL)
		return;
	look(db, x, &sa);
	db->env.expire(db->env.ctx, &sa, hard);
}

static void on_settled(void *ctx)
{
	struct cp_xfrmdb *db = ctx;

	if (db->env.settled != NULL)
		db->env.settled(db->env.ctx);
}

bool cp_xfrmdb_settled(struct cp_xfrmdb *db, const struct cp_xfrmdb_step *step)
{
	const struct xsa *x = step->policy ? NULL : find(db, &step->id);
	const struct reqid *r = step->policy ? reqid_of(db, step->reqid, false) : NULL;
	unsigned sending = 0, waiting = 0;

	if (!step->policy)
		return x == NULL || x->state != LIVE || x->ref.dir != DP_DIR_RECV || cp_sas_ike_settled(db->env.sas, &x->ref);
	/* The first of a gateway is not waited for: nothing is lost by it that went before, and a thousand first ones share the disk's syncs. */
	for (x = r != NULL ? r->sas : NULL; x != NULL; x = x->next) {
		struct cp_sa_live live;

		if (x->state != LIVE || x->ref.dir != DP_DIR_SEND || cp_sas_ike_live(db->env.sas, &x->ref, &live) < 0)
			continue;
		if (!cp_sas_ike_settled(db->env.sas, &x->ref))
			waiting++;
		else
			sending += live.asserted && !live.dead;
	}
	return waiting == 0 || sending == 0;
}

static void on_moved(void *ctx, const struct cp_sa_ref *ref, const struct cfg_addr *from)
{
	struct cp_xfrmdb *db = ctx;
	const struct xsa *x = of_ref(db, ref);

	/* What a charon left behind that is gone, this one knows nothing of. */
	if (x == NULL || x->left || x->sa.src.port == 0 || from->family != x->sa.src.family || db->env.mapping == NULL)
		return;
	db->env.mapping(db->env.ctx, &x->sa, from);
}

/* --- policies --- */

static void policy_unlink(struct cp_xfrmdb *db, struct xpol *x)
{
	if (x->at == NULL)
		return;
	*x->at = x->next;
	if (x->next != NULL)
		x->next->at = x->at;
	x->at = NULL;
	reqid_done(db, x->p.tmpl[0].reqid);
}

bool cp_xfrmdb_has_reqid(struct cp_xfrmdb *db, uint32_t reqid)
{
	const struct reqid *r = reqid_of(db, reqid, false);

	return r != NULL && r->sas != NULL;
}

static void bind_all(struct cp_xfrmdb *db, uint32_t reqid)
{
	struct reqid *r = reqid_of(db, reqid, false);

	for (struct xsa *x = r != NULL ? r->sas : NULL; x != NULL; x = x->next)
		bind_sa(db, x);
}

/* Is this policy the one that says whose they are, and has that gateway no room for them? Then they end: charon is told, or has them in vain. */
static bool too_many(struct cp_xfrmdb *db, const struct cp_xfrm_policy *p, char *why, size_t why_size)
{
	const struct cfg_addr *behind = p->dir == CP_XFRM_OUT ? &p->sel.dst : &p->sel.src;
	uint8_t dir = p->dir == CP_XFRM_OUT ? DP_DIR_SEND : DP_DIR_RECV;
	struct reqid *r = reqid_of(db, p->tmpl[0].reqid, false);
	const struct cp_gw *gw = NULL;
	unsigned more = 0;

	for (int end = 0; end < 2 && p->dir != CP_XFRM_FWD; end++) {
		for (struct xsa *x = r != NULL ? r->sas : NULL; x != NULL; x = x->next) {
			const struct cp_gw *to = x->state == LIVE && x->ref.dir == dir ? gateway_of(db, &x->ref.remote, behind) : NULL;

			if (to == NULL || strcmp(cp_gw_name(to), x->gateway) == 0)
				continue;
			gw = to;
			more++;
			if (end == 1) {
				cp_sas_ike_del(db->env.sas, &x->ref);
				x->state = STALE;
			}
		}
		if (end == 0 && (more == 0 || has_room(db, gw, dir, more, why, why_size)))
			return false;
	}
	return more > 0;
}

uint64_t cp_xfrmdb_refused(const struct cp_xfrmdb *db)
{
	return db->refused;
}

int cp_xfrmdb_policy(struct cp_xfrmdb *db, const struct cp_xfrm_policy *p, bool update, char *why, size_t why_size)
{
	struct xpol *x = find_policy(db, p);
	const struct xpol *other;
	uint8_t key[POLICY_KEY];
	struct reqid *r = NULL;
	struct cp_ent *e;

	snprintf(why, why_size, "%s", "");
	if (p->dir >= CP_XFRM_SOCKET)
		return cfg_no(why, why_size, -EINVAL, "a policy of a socket");
	if (x != NULL && !update)
		return -EEXIST;
	if (p->tmpl_cnt > 0) {
		other = policy_of(reqid_of(db, p->tmpl[0].reqid, false), p->dir);
		if (other != NULL && other != x && p->dir != CP_XFRM_FWD)
			return cfg_no(why, why_size, -EOPNOTSUPP, "a second pair of selectors of reqid %u: an SA has one", p->tmpl[0].reqid);
		if (too_many(db, p, why, why_size))
			return -ENOSPC;
	}
	if (x == NULL) {
		policy_key(key, p);
		e = cp_tab_put(&db->policies, key, sizeof(key));
		x = e != NULL ? e->obj = calloc(1, sizeof(*x)) : NULL;
		if (x == NULL) {
			cp_tab_del(&db->policies, key, sizeof(key));
			return -ENOMEM;
		}
		db->policy_cnt[p->dir]++;
	}
	policy_unlink(db, x);
	x->p = *p;
	if (p->tmpl_cnt == 0)
		return 0;
	r = reqid_of(db, p->tmpl[0].reqid, true);
	if (r == NULL)
		return -ENOMEM;
	x->next = r->policies;
	x->at = &r->policies;
	if (x->next != NULL)
		x->next->at = &x->next;
	r->policies = x;
	bind_all(db, p->tmpl[0].reqid);
	return 0;
}

int cp_xfrmdb_policy_del(struct cp_xfrmdb *db, const struct cp_xfrm_policy *p)
{
	struct xpol *x = find_policy(db, p);
	uint8_t key[POLICY_KEY];

	if (x == NULL)
		return -ENOENT;
	policy_key(key, p);
	db->policy_cnt[x->p.dir]--;
	policy_unlink(db, x);
	cp_tab_del(&db->policies, key, sizeof(key));
	return 0;
}

int cp_xfrmdb_policy_get(struct cp_xfrmdb *db, const struct cp_xfrm_policy *p, struct cp_xfrm_policy *ret)
{
	const struct xpol *x = find_policy(db, p);
	struct reqid *r;
	struct cp_xfrm_sa sa;

	if (x == NULL)
		return -ENOENT;
	*ret = x->p;
	r = x->p.tmpl_cnt > 0 ? reqid_of(db, x->p.tmpl[0].reqid, false) : NULL;
	for (const struct xsa *s = r != NULL ? r->sas : NULL; s != NULL; s = s->next) {
		if ((s->ref.dir == DP_DIR_SEND) != (x->p.dir == CP_XFRM_OUT))
			continue;
		look(db, s, &sa);
		if (sa.cur.used_s > ret->used_s)
			ret->used_s = sa.cur.used_s;
	}
	return 0;
}

void cp_xfrmdb_policy_flush(struct cp_xfrmdb *db)
{
	struct cp_ent **list = cp_tab_sorted(&db->policies);
	size_t cnt = db->policies.cnt;

	for (size_t i = 0; list != NULL && i < cnt; i++) {
		struct cp_xfrm_policy p = ((const struct xpol *)list[i]->obj)->p;

		cp_xfrmdb_policy_del(db, &p);
	}
	free(list);
}

static bool rebind_one(struct cp_xfrmdb *db, struct xsa *x, void *arg)
{
	bool out = x->ref.dir == DP_DIR_SEND;
	const struct xpol *p = policy_of(reqid_of(db, x->sa.reqid, false), out ? CP_XFRM_OUT : CP_XFRM_IN);
	const struct cp_xfrm_sel *sel = p != NULL ? &p->p.sel : &x->sa.sel;
	struct cp_gw *gw = gateway_of(db, &x->ref.remote, out ? &sel->dst : &sel->src);

	(void)arg;
	if (!x->left && strcmp(x->gateway, gw != NULL ? cp_gw_name(gw) : "") != 0)
		bind_sa(db, x);
	return true;
}

static void on_rebind(evutil_socket_t fd, short what, void *arg)
{
	struct cp_xfrmdb *db = arg;

	(void)fd;
	(void)what;
	db->rebound_us = (int64_t)cp_mono_us();
	each(db, rebind_one, NULL);
}

void cp_xfrmdb_gateway_changed(struct cp_xfrmdb *db)
{
	int64_t wait = db->rebound_us + REBIND_US - (int64_t)cp_mono_us();
	struct timeval tv = {0, wait > 0 ? (suseconds_t)wait - 1 : 0};

	if (!evtimer_pending(db->ev_rebind, NULL))
		event_add(db->ev_rebind, &tv);
}

void cp_xfrmdb_count(const struct cp_xfrmdb *db, uint32_t policies[3], uint32_t *sas)
{
	memcpy(policies, db->policy_cnt, sizeof(db->policy_cnt));
	*sas = (uint32_t)db->sas.cnt;
}
