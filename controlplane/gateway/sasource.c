/* SPDX-License-Identifier: BSD-3-Clause */
#include "gateway/sasource.h"

#include <openssl/rand.h>

#include "gateway/saint.h"
#include "why.h"

#define SPI_TRIES   64
#define SHARED_PKTS 65536
/* Without extended numbers an SA ends with the 2^32nd packet: asked to be renewed while a quarter is left. */
#define SOFT_PKTS (UINT64_C(3) << 30)

void cp_sas_source(struct cp_sas *sas, const struct cp_sa_source *ops, void *ctx)
{
	sas->source = ops;
	sas->source_ctx = ctx;
}

uint8_t cp_sas_shard(uint32_t gw_id)
{
	return (uint8_t)(gw_id % DP_SHARDS);
}

static struct sa *find(struct cp_sas *sas, const struct cp_sa_ref *ref)
{
	uint32_t id = sa_find_spi(sas, ref->dir, ref->spi, &ref->remote);

	return id != SA_NONE && sas->sa[id].origin == SA_IKE && !sas->sa[id].ending ? &sas->sa[id] : NULL;
}

void sa_ref(const struct cp_sa *rec, struct cp_sa_ref *ret)
{
	*ret = (struct cp_sa_ref){.dir = rec->dir, .spi = rec->spi, .remote = rec->remote};
}

/* --- what a controlplane before us left in the dataplane --- */

void sa_orphans_adopt(struct cp_sas *sas)
{
	struct timeval tv = {SA_ORPHAN_S, 0};
	const struct dp_page_sa *pg;

	if (sas->orphans_done || !sas->env.cfg->ike.enable)
		return;
	sas->orphans_done = true;
	for (uint32_t i = 0; i < sas->max; i++) {
		struct dp_obj msg = {.id = i, .kind = DP_OBJ_SA};
		struct cp_ent *e;
		uint32_t spi;

		pg = cp_dp_page_sa(sas->env.dp, i);
		if (pg == NULL || pg->spi == 0 || pg->spi > UINT32_MAX || sas->sa[i].used || sas->sa[i].leaving)
			continue;
		spi = (uint32_t)pg->spi;
		e = cp_tab_find(&sas->orphans, &spi, sizeof(spi));
		if (e != NULL) /* two with one number, in and out or of two peers: which is which nobody knows */
			e->obj = sas;
		e = e == NULL ? cp_tab_put(&sas->orphans, &spi, sizeof(spi)) : NULL;
		if (e == NULL)
			continue;
		e->n = i;
		sa_id_take(sas, i);
		cp_dp_send(sas->env.dp, DP_MSG_ADOPT, &msg, NULL, NULL);
	}
	event_add(sas->ev_orphans, &tv);
}

void sa_on_orphans(evutil_socket_t fd, short what, void *arg)
{
	struct cp_sas *sas = arg;
	struct cp_ent **list = cp_tab_sorted(&sas->orphans);

	(void)fd;
	(void)what;
	if (list != NULL)
		cfg_log(CFG_LOG_WARN, "sas-left-over", "count=%zu", sas->orphans.cnt);
	for (size_t i = 0; list != NULL && i < sas->orphans.cnt; i++)
		sa_leave(sas, list[i]->n);
	free(list);
	cp_tab_fini(&sas->orphans);
	cp_tab_init(&sas->orphans, NULL);
	sa_seqs_clean(sas);
}

/*
 * From where an outbound one goes on that the dataplane has: above what the disk says was granted, and, as that may be older than the
 * dataplane's memory (a restored backup), above what a dataplane may use that has sent what the page says: it asks for more once half
 * of its last block is spent. 0: nothing is known on disk, so nothing can be promised for the time after the dataplane.
 */
static uint64_t orphan_limit(struct cp_sas *sas, const struct cp_sa *rec, const struct secret *secret)
{
	const struct cp_ent *e = cp_tab_find(&sas->orphans, &rec->spi, sizeof(rec->spi));
	const struct dp_page_sa *pg = e != NULL ? cp_dp_page_sa(sas->env.dp, e->n) : NULL;
	uint64_t limit = sa_seq_load(sas, rec, secret, SA_IKE), may = 0;

	if (pg != NULL && pg->spi == rec->spi && pg->seq > 0)
		may = pg->seq + UINT64_C(2) * SA_GRANT;
	if (limit == 0 || pg == NULL)
		return 0;
	limit = may > limit ? may : limit;
	return limit < sa_seq_last(rec) - SA_GRANT ? limit : 0;
}

/* SA_NONE: the dataplane has none of that number, or two. */
static uint32_t take_orphan(struct cp_sas *sas, uint32_t spi)
{
	struct cp_ent *e = cp_tab_find(&sas->orphans, &spi, sizeof(spi));
	uint32_t id = e != NULL && e->obj == NULL ? e->n : SA_NONE;

	if (id != SA_NONE) {
		cp_tab_del(&sas->orphans, &spi, sizeof(spi));
		sa_id_give(sas, id);
	}
	return id;
}

/* --- IKE's SAs come and go --- */

static int check(struct cp_sas *sas, struct cp_sa *r, char *why, size_t why_size)
{
	uint8_t sealed = 0;
	int rc;

	r->sealed = (struct cp_buf){&sealed, 1}; /* the check is of records; these have nothing sealed */
	rc = cp_sa_check(r, why, why_size);
	r->sealed = (struct cp_buf){NULL, 0};
	return rc < 0 || cp_sa_alg_allowed(sas->env.cfg, r->alg, why, why_size) < 0 ? -EINVAL : 0;
}

static bool addr_same(const struct cfg_addr *a, const struct cfg_addr *b)
{
	return a->family == b->family && a->plen == b->plen && a->port == b->port && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static void move_gateway(struct cp_sas *sas, struct sa *sa, const char *gateway)
{
	char old[CP_NAME_MAX];

	snprintf(old, sizeof(old), "%s", sa->rec.gateway);
	sa_index_del(sas, sa->rec.sa_id);
	snprintf(sa->rec.gateway, sizeof(sa->rec.gateway), "%s", gateway);
	sa_index_add(sas, sa->rec.sa_id);
	sa_tell(sas, old);
	sa_cover(sas, sa);
}

static void assert_live(struct cp_sas *sas, struct sa *sa)
{
	if (!sa->held && !sa->dead && cp_dp_up(sas->env.dp))
		sa_assert_again(sas, sa->rec.sa_id);
}

int cp_sas_ike_bind(struct cp_sas *sas, const struct cp_sa_ref *ref, const char *gateway, const struct cfg_addr *sel_local,
		    const struct cfg_addr *sel_remote, uint8_t proto)
{
	struct sa *sa = find(sas, ref);
	bool other;

	if (sa == NULL)
		return -ENOENT;
	other = strcmp(sa->rec.gateway, gateway) != 0;
	if (!other && addr_same(&sa->rec.sel_local, sel_local) && addr_same(&sa->rec.sel_remote, sel_remote) && sa->sel_proto == proto)
		return 0;
	if (other)
		move_gateway(sas, sa, gateway);
	sa->rec.sel_local = *sel_local;
	sa->rec.sel_remote = *sel_remote;
	sa->sel_proto = proto;
	assert_live(sas, sa);
	return 0;
}

static bool end_ending(struct cp_sas *sas, uint32_t id)
{
	if (id == SA_NONE || !sas->sa[id].ending)
		return false;
	sa_seq_forget(sas, &sas->sa[id].rec);
	sa_end(sas, id);
	return true;
}

/* What this one would be refused for is deleted already, and only waits for what comes after it. True: it had this one's SPI. */
static bool end_before(struct cp_sas *sas, const struct cp_sa *rec, const struct secret *secret)
{
	uint8_t id[96];
	bool same = end_ending(sas, sa_find_spi(sas, rec->dir, rec->spi, &rec->remote));

	end_ending(sas, sa_find_key(sas, DP_DIR_SEND, id, sa_identity(secret, rec->alg, id)));
	OPENSSL_cleanse(id, sizeof(id));
	return same;
}

size_t cp_sas_ike_key(struct cp_sas *sas, const struct cp_sa_ref *ref, uint8_t key[CP_SA_KEY_MAX])
{
	const struct sa *sa = find(sas, ref);
	const struct dp_esp_suite *suite = sa != NULL ? dp_esp_suite(sa->rec.alg) : NULL;
	const struct secret *s;

	if (suite == NULL)
		return 0;
	s = &sas->secret[sa->rec.sa_id];
	memcpy(key, s->key, suite->key_len);
	memcpy(key + suite->key_len, s->salt, suite->salt_len);
	memcpy(key + suite->key_len + suite->salt_len, s->auth, suite->auth_len);
	return (size_t)suite->key_len + suite->salt_len + suite->auth_len;
}

int cp_sas_ike_set(struct cp_sas *sas, const struct cp_sa *rec, const uint8_t secret[CP_SA_SECRET_LEN], uint32_t reqid, unsigned flags,
		   uint64_t top, char *why, size_t why_size)
{
	struct cp_sa r = *rec;
	uint32_t id = sa_find_spi(sas, r.dir, r.spi, &r.remote);
	uint64_t limit = 0;
	struct sa *sa;
	int rc;

	snprintf(why, why_size, "%s", "");
	if (!r.esn && r.dir == DP_DIR_SEND && (r.soft_pkts == 0 || r.soft_pkts > SOFT_PKTS))
		r.soft_pkts = r.hard_pkts != 0 && r.hard_pkts < SOFT_PKTS ? r.hard_pkts : SOFT_PKTS;
	rc = check(sas, &r, why, why_size);
	if (rc < 0)
		return rc;
	if (end_before(sas, &r, (const void *)secret))
		id = SA_NONE;
	if (id != SA_NONE) {
		sa = &sas->sa[id];
		if (sa->origin != SA_IKE || sa->rec.alg != r.alg || CRYPTO_memcmp(&sas->secret[id], secret, CP_SA_SECRET_LEN) != 0)
			return cfg_no(why, why_size, -EEXIST, "SPI 0x%08x is in use", r.spi);
		sa->reqid = reqid;
		if (sa->rec.local.port != r.local.port || sa->rec.remote.port != r.remote.port) {
			sa->rec.local.port = r.local.port;
			sa->rec.remote.port = r.remote.port;
			assert_live(sas, sa);
		}
		return 0;
	}
	if (sa_find_name(sas, r.name) != SA_NONE)
		return cfg_no(why, why_size, -EEXIST, "the name %s is in use", r.name);
	if (sa_key_taken(sas, &r, secret) < 0)
		return cfg_no(why, why_size, -EEXIST, "another SA sends with this key");
	if ((flags & CP_SA_REPLAY) && r.dir == DP_DIR_SEND) {
		limit = orphan_limit(sas, &r, (const void *)secret);
		if (limit == 0)
			return -ESTALE;
	}
	id = flags & CP_SA_REPLAY ? take_orphan(sas, r.spi) : sa_id_high(sas);
	if (id == SA_NONE)
		return flags & CP_SA_REPLAY ? -ESTALE : -ENOSPC;
	r.added_s = cp_wall_us() / 1000000;
	r.sa_id = id;
	sa_install(sas, id, &r, secret, SA_IKE);
	sa = &sas->sa[id];
	sa->reqid = reqid;
	if ((flags & CP_SA_SHARED) && r.dir == DP_DIR_SEND && sa->limit < SHARED_PKTS)
		sa->limit = SHARED_PKTS;
	sa->held = r.dir == DP_DIR_SEND && (flags & CP_SA_HOLD);
	sa->taken_over = sa->sent = (flags & CP_SA_REPLAY) != 0;
	if (limit > sa->limit)
		sa->limit = limit;
	if (r.dir == DP_DIR_RECV && top > sa->in_top)
		sa->in_top = top;
	if (r.dir == DP_DIR_SEND && top > sa->limit && top <= sa_seq_last(&r))
		sa->limit = top;
	assert_live(sas, sa);
	return 0;
}

/* Inbound ones do not count: no other one was told to send after it. */
static bool last_of_gateway(const struct cp_sas *sas, const struct sa *sa)
{
	uint32_t i = sa->next[SA_OF_GATEWAY];

	while (i != SA_NONE && (sas->sa[i].rec.dir == DP_DIR_RECV || sas->sa[i].held))
		i = sas->sa[i].next[SA_OF_GATEWAY];
	return i == SA_NONE;
}

int cp_sas_ike_send(struct cp_sas *sas, const struct cp_sa_ref *ref)
{
	struct sa *sa = find(sas, ref);
	uint32_t id;

	if (sa == NULL)
		return -ENOENT;
	id = sa->rec.sa_id;
	if (!sa->held && last_of_gateway(sas, sa))
		return 0; /* it does */
	sa->held = false;
	sa_index_last(sas, id);
	assert_live(sas, sa);
	return 0;
}

void sa_settle(struct cp_sas *sas, const char *gateway)
{
	const struct sa_gateway *g = sa_find_gateway(sas, gateway);
	uint32_t next;

	if (gateway[0] == '\0')
		return; /* those do not wait, and may be many */
	for (uint32_t i = g != NULL ? g->first : SA_NONE; i != SA_NONE; i = sas->sa[i].next[SA_OF_GATEWAY]) {
		const struct sa *sa = &sas->sa[i];

		if (sa->origin == SA_IKE && sa->rec.dir == DP_DIR_SEND && !sa->ending && !sa->held && !sa->dead && !sa->asserted && !sa->refused)
			return;
	}
	for (uint32_t i = g != NULL ? g->first : SA_NONE; i != SA_NONE; i = next) {
		next = sas->sa[i].next[SA_OF_GATEWAY];
		if (sas->sa[i].ending) {
			sa_seq_forget(sas, &sas->sa[i].rec);
			sa_end(sas, i);
		}
	}
}

int cp_sas_ike_del(struct cp_sas *sas, const struct cp_sa_ref *ref)
{
	struct sa *sa = find(sas, ref);
	char gateway[CP_NAME_MAX];

	if (sa == NULL)
		return -ENOENT;
	snprintf(gateway, sizeof(gateway), "%s", sa->rec.gateway);
	if (sa->rec.dir == DP_DIR_SEND && sa->asserted && gateway[0] != '\0' && cp_dp_up(sas->env.dp)) {
		/* The one in its place waits for the disk: to be without any meanwhile would lose packets. */
		sa->ending = true;
	} else {
		sa_seq_forget(sas, &sa->rec);
		sa_end(sas, sa->rec.sa_id);
	}
	sa_settle(sas, gateway);
	return 0;
}

bool cp_sas_ike_settled(struct cp_sas *sas, const struct cp_sa_ref *ref)
{
	const struct sa *sa = find(sas, ref);

	return sa == NULL || sa->held || sa->ending || sa->dead || sa->refused || sa->answered == sa->asserts || !cp_dp_up(sas->env.dp);
}

int cp_sas_ike_live(struct cp_sas *sas, const struct cp_sa_ref *ref, struct cp_sa_live *ret)
{
	struct sa *sa = find(sas, ref);
	const struct dp_page_sa *pg;

	if (sa == NULL)
		return -ENOENT;
	*ret = (struct cp_sa_live){.added_s = sa->rec.added_s, .reqid = sa->reqid, .asserted = sa->asserted, .dead = sa->dead, .held = sa->held};
	pg = cp_dp_page_sa(sas->env.dp, sa->rec.sa_id);
	if (pg != NULL && pg->spi == sa->rec.spi) {
		ret->pkts = pg->pkts;
		ret->bytes = pg->bytes;
		ret->seq = pg->seq;
		ret->auth_failed = pg->auth_fail;
		ret->replayed = pg->replayed;
		if (pg->pkts != sa->seen_pkts)
			sa->used_s = cp_wall_us() / 1000000;
		sa->seen_pkts = pg->pkts;
	}
	ret->used_s = sa->used_s;
	return 0;
}

unsigned cp_sas_ike_count(struct cp_sas *sas, const char *gateway, uint8_t dir)
{
	const struct sa_gateway *g = sa_find_gateway(sas, gateway);

	return g != NULL ? g->ike[dir] : 0;
}

bool cp_sas_gatewayless(struct cp_sas *sas)
{
	return sa_find_gateway(sas, "") != NULL;
}

int cp_sas_new_spi(struct cp_sas *sas, uint32_t min, uint32_t max, uint8_t shard, uint32_t *ret)
{
	uint64_t first = (min < 256 ? 256u : min) + (uint64_t)(DP_SHARDS - 1), blocks;

	/* Those from min to max that are shard modulo DP_SHARDS. */
	first = (first - shard) / DP_SHARDS * DP_SHARDS + shard;
	if (first > max)
		return -ENOSPC;
	blocks = (max - first) / DP_SHARDS + 1;
	for (int i = 0; i < SPI_TRIES; i++) {
		uint64_t rnd;
		uint32_t spi;

		if (RAND_bytes((unsigned char *)&rnd, sizeof(rnd)) != 1)
			return -EIO;
		spi = (uint32_t)(first + rnd % blocks * DP_SHARDS);
		if (sa_find_spi(sas, DP_DIR_RECV, spi, NULL) == SA_NONE && cp_tab_find(&sas->orphans, &spi, sizeof(spi)) == NULL) {
			*ret = spi;
			return 0;
		}
	}
	return -ENOSPC;
}
