/* SPDX-License-Identifier: BSD-3-Clause */
#include "gateway/saint.h"

#include <sys/mman.h>

#include "call/media.h"
#include "why.h"

#define RETRY_MS   1000 /* after a store failure: the SA waits, so does its gateway */
#define AGAIN_MS   20   /* after a full ring of the dataplane */
#define AGAIN_CNT  512  /* SAs set again at a time: its ring takes 2,048 commands, not all of a farm's at once */

int cp_sa_alg_parse(const char *name, uint8_t *ret)
{
	uint8_t alg = dp_esp_find(name);

	if (alg == 0)
		return -EINVAL;
	*ret = alg;
	return 0;
}

const char *cp_sa_alg_name(uint8_t alg)
{
	const struct dp_esp_suite *suite = dp_esp_suite(alg);

	return suite != NULL ? suite->name : "?";
}

int cp_sa_mode_parse(const char *name, uint8_t *ret)
{
	if (name != NULL && strcmp(name, "tunnel") == 0)
		*ret = DP_ESP_TUNNEL;
	else if (name != NULL && strcmp(name, "transport") == 0)
		*ret = DP_ESP_TRANSPORT;
	else
		return -EINVAL;
	return 0;
}

static void on_retry(evutil_socket_t fd, short what, void *arg);
static void on_gone(evutil_socket_t fd, short what, void *arg);

struct cp_sas *cp_sas_create(const struct cp_sas_env *env)
{
	struct cp_sas *s = calloc(1, sizeof(*s));
	struct timeval minute = {60, 0};
	size_t bytes;
	void *mem;

	if (s == NULL)
		return NULL;
	s->env = *env;
	s->max = env->cfg->dataplane.max_sas < DP_SA_MAX ? env->cfg->dataplane.max_sas : DP_SA_MAX;
	bytes = (s->max + 1) * sizeof(*s->secret);
	s->sa = calloc(s->max + 1, sizeof(*s->sa));
	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->sa == NULL || mem == MAP_FAILED) {
		free(s->sa);
		free(s);
		return NULL;
	}
	s->secret = mem;
	s->ev_retry = evtimer_new(env->base, on_retry, s);
	s->ev_orphans = evtimer_new(env->base, sa_on_orphans, s);
	s->ev_gone = event_new(env->base, -1, EV_PERSIST, on_gone, s);
	if (s->ev_retry == NULL || s->ev_orphans == NULL || s->ev_gone == NULL || sa_index_init(s) < 0 ||
	    cp_tab_init(&s->orphans, NULL) < 0 || cp_tab_init(&s->gone[0], NULL) < 0 || cp_tab_init(&s->gone[1], NULL) < 0) {
		cp_sas_destroy(s);
		return NULL;
	}
	event_add(s->ev_gone, &minute);
	madvise(mem, bytes, MADV_DONTDUMP);
	if (mlock(mem, bytes) < 0)
		cfg_log(CFG_LOG_WARN, "sa-keys-not-locked", "reason=\"mlock refused: raise LimitMEMLOCK\"");
	return s;
}

void cp_sas_destroy(struct cp_sas *sas)
{
	if (sas == NULL)
		return;
	OPENSSL_cleanse(sas->secret, (sas->max + 1) * sizeof(*sas->secret));
	munmap(sas->secret, (sas->max + 1) * sizeof(*sas->secret));
	if (sas->ev_retry != NULL)
		event_free(sas->ev_retry);
	if (sas->ev_orphans != NULL)
		event_free(sas->ev_orphans);
	if (sas->ev_gone != NULL)
		event_free(sas->ev_gone);
	if (sas->orphans.bucket != NULL)
		cp_tab_fini(&sas->orphans);
	for (int i = 0; i < 2; i++)
		if (sas->gone[i].bucket != NULL)
			cp_tab_fini(&sas->gone[i]);
	sa_index_fini(sas);
	free(sas->sa);
	free(sas);
}

static struct sa *by_id(struct cp_sas *sas, uint32_t sa_id, uint32_t spi)
{
	struct sa *sa = sa_id < sas->max ? &sas->sa[sa_id] : NULL;

	return sa != NULL && sa->used && sa->rec.spi == spi ? sa : NULL;
}

struct sa *sa_of(const struct later *l)
{
	struct sa *sa = &l->sas->sa[l->sa_id];

	return sa->used && sa->gen == l->gen ? sa : NULL;
}

/* A gateway is covered when both directions stand; what hides nothing covers nothing. */
void sa_tell(struct cp_sas *sas, const char *gateway)
{
	struct cp_gw *gw = cp_gws_find(sas->env.gws, gateway);
	const struct sa_gateway *g = sa_find_gateway(sas, gateway);

	if (gw != NULL)
		cp_gws_sa_changed(sas->env.gws, cp_gw_id(gw), g != NULL && g->cover[DP_DIR_RECV] > 0 && g->cover[DP_DIR_SEND] > 0);
}

static void count_cover(struct cp_sas *sas, struct sa *sa)
{
	bool covers = sa->asserted && !sa->dead && dp_esp_suite(sa->rec.alg)->cipher != DP_ESP_C_NULL;

	if (covers && !sa->covers)
		sas->ix.gw[sa->gw].cover[sa->rec.dir]++;
	else if (!covers && sa->covers)
		sas->ix.gw[sa->gw].cover[sa->rec.dir]--;
	sa->covers = covers;
}

void sa_cover(struct cp_sas *sas, struct sa *sa)
{
	count_cover(sas, sa);
	sa_tell(sas, sa->rec.gateway);
}

static void retry_in(struct cp_sas *sas, unsigned ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	event_add(sas->ev_retry, &tv);
}

void sa_retry(struct cp_sas *sas, struct sa *sa, int rc)
{
	sa->retry = true;
	retry_in(sas, rc == -EAGAIN ? AGAIN_MS : RETRY_MS);
}

/* The store could not keep the block, so nothing was granted; or the dataplane has no room just now. Asked again until it can. */
static void assert_later(struct cp_sas *sas, struct sa *sa, int rc)
{
	if (rc != -EAGAIN)
		cfg_log_limited(CFG_LOG_ERR, "sa-not-asserted", "sa=%s rc=%d", cfg_q(sa->rec.name), rc);
	sa_retry(sas, sa, rc);
}

/* Those that send, or are to, behind it in their gateway; of no gateway: to the same peer. */
static void follow(struct cp_sas *sas, uint32_t sa_id)
{
	const struct sa *sa = &sas->sa[sa_id];

	for (uint32_t i = sa->next[SA_OF_GATEWAY]; sa->rec.dir == DP_DIR_SEND && i != SA_NONE; i = sas->sa[i].next[SA_OF_GATEWAY]) {
		const struct sa *at = &sas->sa[i];

		if (at->rec.dir == DP_DIR_SEND && !at->dead && !at->held && !at->retry &&
		    (sa->rec.gateway[0] != '\0' || memcmp(at->rec.remote.ip, sa->rec.remote.ip, sizeof(sa->rec.remote.ip)) == 0))
			sa_assert_now(sas, i);
	}
}

void sa_assert_again(struct cp_sas *sas, uint32_t sa_id)
{
	sa_assert_now(sas, sa_id);
	follow(sas, sa_id);
}

static void on_cleared(void *ctx, int rc)
{
	struct later *l = ctx;
	struct sa *sa = sa_of(l);

	if (sa != NULL && (rc == 0 || rc == -ENOENT)) {
		sa->cleared = true;
		sa_assert_again(l->sas, l->sa_id);
	} else if (sa != NULL && rc != -ENOTCONN) {
		assert_later(l->sas, sa, rc);
	}
	free(l);
}

/*
 * Under its id stands what an SA_SET cannot change: one of another direction or of another worker's shard. Of a configuration that was
 * another, or this one while its gateway was not known. It goes, and with a fresh block this one comes; inbound above what it accepted.
 */
static int clear_id(struct cp_sas *sas, struct sa *sa)
{
	const struct dp_page_sa *pg = cp_dp_page_sa(sas->env.dp, sa->rec.sa_id);
	struct dp_obj msg = {.id = sa->rec.sa_id, .kind = DP_OBJ_SA};
	struct later *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return -ENOMEM;
	if (sa->rec.dir == DP_DIR_RECV && pg != NULL && pg->spi == sa->rec.spi && pg->seq > sa->in_top)
		sa->in_top = pg->seq;
	*l = (struct later){.sas = sas, .sa_id = sa->rec.sa_id, .gen = sa->gen};
	rc = cp_dp_send(sas->env.dp, DP_MSG_SA_DEL, &msg, on_cleared, l);
	if (rc < 0)
		free(l);
	return rc;
}

static void on_set(void *ctx, int rc)
{
	struct later *l = ctx;
	struct sa *sa = sa_of(l);

	if (sa != NULL && rc == -EPROTO && !sa->cleared)
		rc = clear_id(l->sas, sa) == 0 ? -EINPROGRESS : -EAGAIN;
	if (sa != NULL && rc == -EINPROGRESS) {
		sa->asserted = false;
		sa_cover(l->sas, sa);
	} else if (sa != NULL && rc == -EAGAIN) {
		assert_later(l->sas, sa, rc); /* what it has of it already stays */
	} else if (sa != NULL) {
		sa->cleared = false;
		sa->asserted = rc == 0;
		sa->answered = l->nth;
		sa->refused = rc < 0 && rc != -ENOTCONN;
		if (rc < 0 && rc != -ENOTCONN)
			cp_alarm_raise(l->sas->env.alarms, "sa-refused", CP_ALARM_MAJOR, sa->rec.name,
				       "the dataplane refused the SA: %s", strerror(-rc));
		else if (rc == 0)
			cp_alarm_clear(l->sas->env.alarms, "sa-refused", sa->rec.name);
		sa_cover(l->sas, sa);
		if (sa->origin == SA_IKE && sa->rec.dir == DP_DIR_SEND) {
			char gateway[CP_NAME_MAX];

			snprintf(gateway, sizeof(gateway), "%s", sa->rec.gateway);
			sa_settle(l->sas, gateway);
		}
	}
	if (sa != NULL && sa->origin == SA_IKE && l->sas->source != NULL && l->sas->source->settled != NULL)
		l->sas->source->settled(l->sas->source_ctx);
	if (l->fn != NULL)
		l->fn(l->ctx, rc);
	free(l);
}

void cp_sa_soften(struct cp_sa *rec)
{
	if (rec->soft_s == 0)
		rec->soft_s = rec->hard_s - rec->hard_s / 10;
	if (rec->soft_bytes == 0)
		rec->soft_bytes = rec->hard_bytes - rec->hard_bytes / 10;
	if (rec->soft_pkts == 0)
		rec->soft_pkts = rec->hard_pkts - rec->hard_pkts / 10;
}

static uint64_t age_s(const struct cp_sa *rec)
{
	int64_t now = cp_wall_us() / 1000000;

	return rec->added_s > 0 && now > rec->added_s ? (uint64_t)(now - rec->added_s) : 0;
}

const char *sa_why_text(uint32_t why, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s%s%s", why & DP_SA_WHY_TIME ? "seconds" : "",
		 (why & DP_SA_WHY_TIME) && (why & ~(uint32_t)DP_SA_WHY_TIME) ? ", " : "", why & DP_SA_WHY_BYTES ? "bytes" : "",
		 (why & DP_SA_WHY_BYTES) && (why & DP_SA_WHY_PKTS) ? ", " : "", why & DP_SA_WHY_PKTS ? "packets" : "");
	return buf;
}

static int send_set(struct later *l, struct sa *sa)
{
	struct cp_sas *sas = l->sas;
	const struct secret *key = &sas->secret[l->sa_id];
	struct cp_gw *gw = cp_gws_find(sas->env.gws, sa->rec.gateway);
	struct dp_sa_set msg = {
		.sa_id = l->sa_id,
		.spi = sa->rec.spi,
		.gw_id = gw != NULL ? cp_gw_id(gw) : UINT32_MAX,
		.dir = sa->rec.dir,
		.alg = sa->rec.alg,
		.mode = sa->rec.mode,
		.esn = sa->rec.esn,
		.replay_window = sa->rec.dir == DP_DIR_RECV ? sa->rec.window : 0,
		.sel_local_plen = sa->rec.sel_local.plen,
		.sel_remote_plen = sa->rec.sel_remote.plen,
		.sel_proto = sa->sel_proto,
		.seq_floor = l->floor,
		.seq_limit = l->limit,
		.hard_s = sa->rec.hard_s,
		.hard_bytes = sa->rec.hard_bytes,
		.hard_pkts = sa->rec.hard_pkts,
		.soft_s = sa->rec.soft_s,
		.soft_bytes = sa->rec.soft_bytes,
		.soft_pkts = sa->rec.soft_pkts,
		.age_s = age_s(&sa->rec),
		.tfc = sa->rec.tfc,
		.flags = sa->rec.keepalive ? DP_SA_F_KEEPALIVE : 0,
	};
	int rc;

	/* Inbound packets reach their worker by SPI; outbound the SA is where the gateway's transactions are. */
	msg.shard = (uint8_t)((sa->rec.dir == DP_DIR_RECV ? sa->rec.spi : msg.gw_id) % DP_SHARDS);
	cp_to_dp_addr(&msg.local, &sa->rec.local);
	cp_to_dp_addr(&msg.remote, &sa->rec.remote);
	cp_to_dp_addr(&msg.sel_local, &sa->rec.sel_local);
	cp_to_dp_addr(&msg.sel_remote, &sa->rec.sel_remote);
	memcpy(msg.key, key->key, sizeof(msg.key));
	memcpy(msg.auth, key->auth, sizeof(msg.auth));
	memcpy(msg.salt, key->salt, sizeof(msg.salt));
	rc = cp_dp_send(sas->env.dp, DP_MSG_SA_SET, &msg, on_set, l);
	sa->sent |= rc == 0;
	OPENSSL_cleanse(&msg, sizeof(msg));
	return rc;
}

static int assert_sa(struct cp_sas *sas, uint32_t sa_id, cp_sa_fn fn, void *ctx);

static void on_spent(void *ctx, int rc)
{
	struct later *l = ctx;
	struct sa *sa = sa_of(l);

	if (sa == NULL)
		rc = -ENOENT;
	else if (rc == 0 && sa->limit != l->floor) {
		/* Numbers above the floor were granted while this block was on its way: it may overlap them. One asked for later comes yet. */
		if (l->fn != NULL || l->nth == sa->asserts) {
			rc = assert_sa(l->sas, l->sa_id, l->fn, l->ctx);
			if (rc == 0)
				follow(l->sas, l->sa_id);
		}
		if (rc == 0) {
			free(l);
			return;
		}
	} else if (rc == 0) {
		sa->limit = l->limit;
		rc = send_set(l, sa);
		if (rc == 0)
			return;
	}
	if (rc < 0 && rc != -ENOTCONN && rc != -ENOENT)
		assert_later(l->sas, sa, rc);
	if (l->fn != NULL)
		l->fn(l->ctx, rc);
	free(l);
}

/* Always with a fresh block: whatever the dataplane still knows, numbers above 'limit' are unused. */
static int assert_sa(struct cp_sas *sas, uint32_t sa_id, cp_sa_fn fn, void *ctx)
{
	struct sa *sa = &sas->sa[sa_id];
	struct later *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return -ENOMEM;
	*l = (struct later){.sas = sas, .sa_id = sa_id, .gen = sa->gen, .nth = ++sa->asserts, .fn = fn, .ctx = ctx};
	if (sa->rec.dir == DP_DIR_RECV) {
		l->floor = sa->in_top;
		rc = send_set(l, sa);
	} else if (sa->limit >= sa_seq_last(&sa->rec)) {
		sa->dead = true;
		sa_cover(sas, sa);
		cp_alarm_raise(sas->env.alarms, "sa-exhausted", CP_ALARM_CRITICAL, sa->rec.name,
			       "all sequence numbers are spent: replace the key");
		rc = -ENOSPC;
	} else {
		l->floor = sa->limit;
		l->limit = sa->limit + SA_GRANT < sa_seq_last(&sa->rec) ? sa->limit + SA_GRANT : sa_seq_last(&sa->rec);
		rc = sa_seq_save(sas, &sa->rec, l->limit, on_spent, l);
	}
	if (rc < 0)
		free(l);
	return rc;
}

/* With nobody who waits for the outcome. */
void sa_assert_now(struct cp_sas *sas, uint32_t sa_id)
{
	struct sa *sa = &sas->sa[sa_id];
	int rc = assert_sa(sas, sa_id, NULL, NULL);

	if (rc < 0 && rc != -ENOTCONN && !sa->dead)
		assert_later(sas, sa, rc);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct cp_sas *sas = arg;
	uint32_t left = AGAIN_CNT;

	(void)fd;
	(void)what;
	for (uint32_t i = 0; i < sas->max; i++) {
		struct sa *sa = &sas->sa[i];
		bool again = sa->retry && (sa->leaving || (sa->used && !sa->dead)) && cp_dp_up(sas->env.dp); /* when it is not: its return asserts all */

		if (again && left == 0) {
			retry_in(sas, AGAIN_MS);
			break;
		}
		sa->retry = false;
		if (again) {
			left--;
			if (sa->leaving)
				sa_leave(sas, i);
			else
				sa_assert_again(sas, i);
		}
	}
}

static void on_gone(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	sa_seqs_gone(arg);
}

void cp_sas_up(struct cp_sas *sas)
{
	/* What was to go when the channel went: this run of ours, so the sweep does not end it. */
	for (uint32_t i = 0; i < sas->max; i++)
		if (sas->sa[i].leaving)
			sa_leave(sas, i);
	/* Gateway by gateway, the newest last: of several outbound ones that was set last which sends. */
	for (uint32_t i = 0; i < sas->max; i++)
		if (sas->sa[i].used && sas->sa[i].prev[SA_OF_GATEWAY] == SA_NONE)
			cp_sas_gateway_changed(sas, sas->sa[i].rec.gateway);
}

void cp_sas_gateway_changed(struct cp_sas *sas, const char *gateway)
{
	const struct sa_gateway *g = sa_find_gateway(sas, gateway);

	if (g == NULL || !cp_dp_up(sas->env.dp))
		return;
	for (uint32_t i = g->first; i != SA_NONE; i = sas->sa[i].next[SA_OF_GATEWAY])
		if (!sas->sa[i].dead && !sas->sa[i].held)
			sa_assert_now(sas, i);
}

void cp_sas_adopt(struct cp_sas *sas)
{
	for (uint32_t i = 0; i < sas->max; i++) {
		struct dp_obj msg = {.id = i, .kind = DP_OBJ_SA};

		if (!sas->sa[i].used)
			continue;
		/* -ENOENT: a new one, set anew soon */
		sas->sa[i].sent |= cp_dp_send(sas->env.dp, DP_MSG_ADOPT, &msg, NULL, NULL) == 0;
	}
	sa_orphans_adopt(sas);
}

void cp_sas_down(struct cp_sas *sas, bool stopping)
{
	for (uint32_t i = 0; i < sas->max; i++) {
		const struct dp_page_sa *pg = cp_dp_page_sa(sas->env.dp, i);
		struct sa *sa = &sas->sa[i];

		if (!sa->used)
			continue;
		if (sa->ending) {
			sa_seq_forget(sas, &sa->rec);
			sa_end(sas, i);
			continue;
		}
		sa->asserted = sa->granting = false;
		if (sa->rec.dir == DP_DIR_RECV && pg != NULL && pg->spi == sa->rec.spi && pg->seq > sa->in_top) {
			sa->in_top = pg->seq;
			if (sa->origin != SA_IKE)
				sa_seq_save(sas, &sa->rec, sa->in_top, NULL, NULL);
		}
		count_cover(sas, sa);
		if (!stopping)
			sa_tell(sas, sa->rec.gateway);
	}
}

static void on_granted(void *ctx, int rc)
{
	struct later *l = ctx;
	struct sa *sa = sa_of(l);

	if (sa != NULL) {
		sa->granting = false;
		/* Not above what stands: a whole block was granted with SA_SET meanwhile. */
		if (rc == 0 && l->limit > sa->limit) {
			struct dp_sa_grant msg = {.sa_id = l->sa_id, .spi = sa->rec.spi, .seq_limit = l->limit};

			sa->limit = l->limit;
			cp_dp_send(l->sas->env.dp, DP_MSG_SA_GRANT, &msg, NULL, NULL);
		}
	}
	free(l);
}

/* True: IKE's, which sees to a new one by itself. */
static bool tell_source(struct cp_sas *sas, struct sa *sa, bool hard)
{
	struct cp_sa_ref ref;

	if (sa->origin != SA_IKE)
		return false;
	cfg_log(CFG_LOG_INFO, hard ? "sa-expired" : "sa-expiring", "sa=%s", sa->rec.name);
	if (hard)
		sa_cover(sas, sa);
	sa_ref(&sa->rec, &ref);
	if (sas->source != NULL)
		sas->source->expired(sas->source_ctx, &ref, hard);
	return true;
}

/* Where it sends to is not changed by a packet: IKE decides, or whoever made it by hand. */
static void on_moved(struct cp_sas *sas, const struct sa *sa, const struct dp_sa_event *ev)
{
	struct cfg_addr from;
	struct cp_sa_ref ref;
	char text[80];

	if (sa->rec.dir != DP_DIR_RECV || ev->from.family != sa->rec.remote.family || ev->from.port == 0)
		return;
	cp_from_dp_addr(&from, &ev->from);
	cfg_log_limited(CFG_LOG_NOTICE, "sa-moved", "sa=%s gateway=%s from=%s", sa->rec.name, cfg_q(sa->rec.gateway), cfg_addr_print(&from, text, sizeof(text)));
	sa_ref(&sa->rec, &ref);
	if (sa->origin == SA_IKE && sas->source != NULL && sas->source->moved != NULL)
		sas->source->moved(sas->source_ctx, &ref, &from);
}

void cp_sas_event(struct cp_sas *sas, const struct dp_sa_event *ev)
{
	struct sa *sa = by_id(sas, ev->sa_id, ev->spi);
	struct later *l;
	char why[40];

	if (sa == NULL)
		return;
	switch (ev->kind) {
	case DP_SA_WANT_GRANT:
		if (sa->granting || sa->limit >= sa_seq_last(&sa->rec))
			return;
		l = calloc(1, sizeof(*l));
		if (l == NULL)
			return;
		*l = (struct later){.sas = sas, .sa_id = ev->sa_id, .gen = sa->gen};
		l->limit = sa->limit + SA_GRANT < sa_seq_last(&sa->rec) ? sa->limit + SA_GRANT : sa_seq_last(&sa->rec);
		sa->granting = true;
		if (sa_seq_save(sas, &sa->rec, l->limit, on_granted, l) < 0) {
			sa->granting = false;
			free(l);
		}
		return;
	case DP_SA_SOFT_EXPIRED:
		sa->soft |= (uint8_t)ev->why;
		if (tell_source(sas, sa, false))
			return;
		cp_alarm_raise(sas->env.alarms, "sa-expiring", CP_ALARM_MAJOR, sa->rec.name,
			       "gateway %s: the SA's lifetime in %s is nearly over: replace it", sa->rec.gateway,
			       sa_why_text(sa->soft, why, sizeof(why)));
		return;
	case DP_SA_HARD_EXPIRED:
		sa->dead = true;
		sa->hard |= (uint8_t)ev->why;
		if (tell_source(sas, sa, true))
			return;
		cp_alarm_raise(sas->env.alarms, "sa-expired", CP_ALARM_CRITICAL, sa->rec.name,
			       "gateway %s: the SA's lifetime in %s is over: it passes nothing any more", sa->rec.gateway,
			       sa_why_text(sa->hard, why, sizeof(why)));
		sa_cover(sas, sa);
		return;
	case DP_SA_MOVED:
		on_moved(sas, sa, ev);
		return;
	case DP_SA_EXHAUSTED:
		sa->dead = true;
		if (tell_source(sas, sa, true))
			return;
		cp_alarm_raise(sas->env.alarms, "sa-exhausted", CP_ALARM_CRITICAL, sa->rec.name,
			       "gateway %s: the SA may not be used any more", sa->rec.gateway);
		sa_cover(sas, sa);
		return;
	default:
		return;
	}
}
