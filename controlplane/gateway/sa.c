/* SPDX-License-Identifier: BSD-3-Clause */
#include "sa.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "alarm.h"
#include "call/media.h"
#include "dpclient.h"
#include "gateway.h"
#include "log.h"
#include "store/store.h"

/* Numbers granted at a time: small enough for 65,000 restarts within 32 bits, large enough to be rare. */
#define GRANT      (1u << 16)
#define CBC_AUTH   20
#define RETRY_MS   1000 /* after a store failure: the SA waits, so does its gateway */

struct secret {
	uint8_t key[32];
	uint8_t auth[20];
};
static_assert(sizeof(struct secret) == CP_SA_SECRET_LEN, "sealed form");

struct sa {
	bool used;
	bool config;       /* from the file: not in the store */
	bool asserted;     /* the dataplane has taken it */
	bool dead;         /* expired or exhausted */
	bool granting;     /* a grant is on its way to the disk */
	bool retry;        /* could not be asserted for want of the store */
	bool deleting;     /* the store is asked to forget it */
	struct cp_sa rec;  /* without 'sealed' and 'unknown' */
	uint64_t limit;    /* highest number that the store says is spent */
	uint64_t in_top;   /* inbound: highest accepted that is known */
};

struct cp_sas {
	struct cp_sas_env env;
	struct sa *sa;          /* by sa_id */
	struct secret *secret;  /* same index; locked, not dumped */
	uint32_t max;
	struct event *ev_retry;
};

/* Carries an SA through a callback that may outlive it. */
struct later {
	struct cp_sas *sas;
	uint32_t sa_id, spi;
	uint64_t floor, limit;
	cp_sa_fn fn;
	void *ctx;
};

int cp_sa_alg_parse(const char *name, uint8_t *ret)
{
	if (name != NULL && strcmp(name, "aes-gcm-128") == 0)
		*ret = DP_ESP_AES_GCM_128;
	else if (name != NULL && strcmp(name, "aes-cbc-128-sha1-96") == 0)
		*ret = DP_ESP_AES_CBC_128_SHA1_96;
	else
		return -EINVAL;
	return 0;
}

const char *cp_sa_alg_name(uint8_t alg)
{
	return alg == DP_ESP_AES_GCM_128 ? "aes-gcm-128" : alg == DP_ESP_AES_CBC_128_SHA1_96 ? "aes-cbc-128-sha1-96" : "?";
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

struct cp_sas *cp_sas_create(const struct cp_sas_env *env)
{
	struct cp_sas *s = calloc(1, sizeof(*s));
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
	if (s->ev_retry == NULL) {
		cp_sas_destroy(s);
		return NULL;
	}
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
	free(sas->sa);
	free(sas);
}

static struct sa *sa_by_id(struct cp_sas *sas, uint32_t sa_id, uint32_t spi)
{
	struct sa *sa = sa_id < sas->max ? &sas->sa[sa_id] : NULL;

	return sa != NULL && sa->used && sa->rec.spi == spi ? sa : NULL;
}

/* A gateway is covered when both directions stand. */
static void tell_gateway(struct cp_sas *sas, const char *gateway)
{
	struct cp_gw *gw = cp_gws_find(sas->env.gws, gateway);
	bool dir[2] = {false, false};

	if (gw == NULL)
		return;
	for (uint32_t i = 0; i < sas->max; i++) {
		const struct sa *sa = &sas->sa[i];

		if (sa->used && sa->asserted && !sa->dead && strcmp(sa->rec.gateway, gateway) == 0)
			dir[sa->rec.dir == DP_DIR_SEND] = true;
	}
	cp_gws_sa_changed(sas->env.gws, cp_gw_id(gw), dir[0] && dir[1]);
}

/* --- granted sequence numbers, kept in the store beside the record: the configuration's SAs have none there --- */

/*
 * Outbound by the key itself, whatever the SA is called and whatever its SPI: neither is in the GCM nonce, so a key
 * that comes back under another name goes on where it was. SHA-256 of a 160-bit random key tells nothing of it.
 */
static size_t seq_key(const struct cp_sas *sas, const struct cp_sa *rec, char *key, size_t size)
{
	uint8_t md[SHA256_DIGEST_LENGTH];
	int n;

	if (rec->dir == DP_DIR_RECV)
		return (size_t)snprintf(key, size, "sa-seq:in:%08x:%s", rec->spi, rec->name);
	SHA256((const uint8_t *)&sas->secret[rec->sa_id], sizeof(struct secret), md);
	n = snprintf(key, size, "sa-seq:out:");
	for (unsigned i = 0; i < sizeof(md); i++)
		n += snprintf(key + n, size - (size_t)n, "%02x", md[i]);
	return (size_t)n;
}

static uint64_t seq_load(struct cp_sas *sas, const struct cp_sa *rec)
{
	char key[CP_STORE_KEY_MAX];
	const uint8_t *val;
	uint64_t seq = 0;
	size_t len;

	if (cp_store_get(sas->env.store, CP_CF_META, key, seq_key(sas, rec, key, sizeof(key)), &val, &len) < 0 || len != 8)
		return 0;
	for (int i = 0; i < 8; i++)
		seq = seq << 8 | val[i];
	return seq;
}

static int seq_save(struct cp_sas *sas, const struct cp_sa *rec, uint64_t seq, cp_store_fn fn, void *ctx)
{
	struct cp_batch *b = cp_batch_create();
	char key[CP_STORE_KEY_MAX];
	uint8_t val[8];

	if (b == NULL)
		return -ENOMEM;
	for (int i = 0; i < 8; i++)
		val[i] = (uint8_t)(seq >> (56 - 8 * i));
	cp_batch_put(b, CP_CF_META, key, seq_key(sas, rec, key, sizeof(key)), val, sizeof(val));
	return cp_store_submit(sas->env.store, b, fn, ctx);
}

static uint64_t seq_last(const struct cp_sa *rec)
{
	return rec->esn ? UINT64_MAX >> 1 : UINT32_MAX;
}

static void on_set(void *ctx, int rc)
{
	struct later *l = ctx;
	struct sa *sa = sa_by_id(l->sas, l->sa_id, l->spi);

	if (sa != NULL) {
		sa->asserted = rc == 0;
		if (rc < 0 && rc != -ENOTCONN)
			cp_alarm_raise(l->sas->env.alarms, "sa-refused", CP_ALARM_MAJOR, sa->rec.name,
				       "the dataplane refused the SA: %s", strerror(-rc));
		else if (rc == 0)
			cp_alarm_clear(l->sas->env.alarms, "sa-refused", sa->rec.name);
		tell_gateway(l->sas, sa->rec.gateway);
	}
	if (l->fn != NULL)
		l->fn(l->ctx, rc);
	free(l);
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
		.sel_local_plen = sa->rec.sel_local.plen,
		.sel_remote_plen = sa->rec.sel_remote.plen,
		.seq_floor = l->floor,
		.seq_limit = l->limit,
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
	rc = cp_dp_send(sas->env.dp, DP_MSG_SA_SET, &msg, on_set, l);
	OPENSSL_cleanse(&msg, sizeof(msg));
	return rc;
}

static int assert_sa(struct cp_sas *sas, uint32_t sa_id, cp_sa_fn fn, void *ctx);

/* The store could not keep the block: nothing was granted. Asked again until it can. */
static void assert_later(struct cp_sas *sas, struct sa *sa, int rc)
{
	struct timeval tv = {RETRY_MS / 1000, (RETRY_MS % 1000) * 1000};

	cfg_log_limited(CFG_LOG_ERR, "sa-not-asserted", "sa=%s rc=%d", cfg_q(sa->rec.name), rc);
	sa->retry = true;
	event_add(sas->ev_retry, &tv);
}

static void on_spent(void *ctx, int rc)
{
	struct later *l = ctx;
	struct sa *sa = sa_by_id(l->sas, l->sa_id, l->spi);

	if (sa == NULL)
		rc = -ENOENT;
	else if (rc == 0 && sa->limit != l->floor) {
		/* Numbers above the floor were granted while this block was on its way: it may overlap them. */
		rc = assert_sa(l->sas, l->sa_id, l->fn, l->ctx);
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
	*l = (struct later){sas, sa_id, sa->rec.spi, 0, 0, fn, ctx};
	if (sa->rec.dir == DP_DIR_RECV) {
		l->floor = sa->in_top;
		rc = send_set(l, sa);
	} else if (sa->limit >= seq_last(&sa->rec)) {
		sa->dead = true;
		cp_alarm_raise(sas->env.alarms, "sa-exhausted", CP_ALARM_CRITICAL, sa->rec.name,
			       "all sequence numbers are spent: replace the key");
		rc = -ENOSPC;
	} else {
		l->floor = sa->limit;
		l->limit = sa->limit + GRANT < seq_last(&sa->rec) ? sa->limit + GRANT : seq_last(&sa->rec);
		rc = seq_save(sas, &sa->rec, l->limit, on_spent, l);
	}
	if (rc < 0)
		free(l);
	return rc;
}

/* With nobody who waits for the outcome. */
static void assert_now(struct cp_sas *sas, uint32_t sa_id)
{
	struct sa *sa = &sas->sa[sa_id];
	int rc = assert_sa(sas, sa_id, NULL, NULL);

	if (rc < 0 && rc != -ENOTCONN && !sa->dead)
		assert_later(sas, sa, rc);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct cp_sas *sas = arg;

	(void)fd;
	(void)what;
	for (uint32_t i = 0; i < sas->max; i++) {
		struct sa *sa = &sas->sa[i];
		bool again = sa->used && sa->retry && !sa->dead;

		sa->retry = false;
		if (again && cp_dp_up(sas->env.dp)) /* when it is not: its return asserts all */
			assert_now(sas, i);
	}
}

void cp_sas_up(struct cp_sas *sas)
{
	for (uint32_t i = 0; i < sas->max; i++)
		if (sas->sa[i].used && !sas->sa[i].dead)
			assert_now(sas, i);
}

void cp_sas_gateway_changed(struct cp_sas *sas, const char *gateway)
{
	if (!cp_dp_up(sas->env.dp))
		return;
	for (uint32_t i = 0; i < sas->max; i++)
		if (sas->sa[i].used && !sas->sa[i].dead && strcmp(sas->sa[i].rec.gateway, gateway) == 0)
			assert_now(sas, i);
}

void cp_sas_adopt(struct cp_sas *sas)
{
	for (uint32_t i = 0; i < sas->max; i++) {
		struct dp_obj msg = {.id = i, .kind = DP_OBJ_SA};

		if (sas->sa[i].used) /* -ENOENT: a new one, set anew soon */
			cp_dp_send(sas->env.dp, DP_MSG_ADOPT, &msg, NULL, NULL);
	}
}

void cp_sas_down(struct cp_sas *sas, bool stopping)
{
	for (uint32_t i = 0; i < sas->max; i++) {
		const struct dp_page_sa *pg = cp_dp_page_sa(sas->env.dp, i);
		struct sa *sa = &sas->sa[i];

		if (!sa->used)
			continue;
		sa->asserted = sa->granting = false;
		if (sa->rec.dir == DP_DIR_RECV && pg != NULL && pg->spi == sa->rec.spi && pg->seq > sa->in_top) {
			sa->in_top = pg->seq;
			seq_save(sas, &sa->rec, sa->in_top, NULL, NULL);
		}
		if (!stopping)
			tell_gateway(sas, sa->rec.gateway);
	}
}

static void on_granted(void *ctx, int rc)
{
	struct later *l = ctx;
	struct sa *sa = sa_by_id(l->sas, l->sa_id, l->spi);

	if (sa != NULL) {
		sa->granting = false;
		/* Not above what stands: a whole block was granted with SA_SET meanwhile. */
		if (rc == 0 && l->limit > sa->limit) {
			struct dp_sa_grant msg = {.sa_id = l->sa_id, .spi = l->spi, .seq_limit = l->limit};

			sa->limit = l->limit;
			cp_dp_send(l->sas->env.dp, DP_MSG_SA_GRANT, &msg, NULL, NULL);
		}
	}
	free(l);
}

void cp_sas_event(struct cp_sas *sas, const struct dp_sa_event *ev)
{
	struct sa *sa = sa_by_id(sas, ev->sa_id, ev->spi);
	struct later *l;

	if (sa == NULL)
		return;
	switch (ev->kind) {
	case DP_SA_WANT_GRANT:
		if (sa->granting || sa->limit >= seq_last(&sa->rec))
			return;
		l = calloc(1, sizeof(*l));
		if (l == NULL)
			return;
		*l = (struct later){.sas = sas, .sa_id = ev->sa_id, .spi = ev->spi};
		l->limit = sa->limit + GRANT < seq_last(&sa->rec) ? sa->limit + GRANT : seq_last(&sa->rec);
		sa->granting = true;
		if (seq_save(sas, &sa->rec, l->limit, on_granted, l) < 0) {
			sa->granting = false;
			free(l);
		}
		return;
	case DP_SA_HARD_EXPIRED:
	case DP_SA_EXHAUSTED:
		sa->dead = true;
		cp_alarm_raise(sas->env.alarms, ev->kind == DP_SA_EXHAUSTED ? "sa-exhausted" : "sa-expired",
			       CP_ALARM_CRITICAL, sa->rec.name, "gateway %s: the SA may not be used any more",
			       sa->rec.gateway);
		tell_gateway(sas, sa->rec.gateway);
		return;
	default:
		return;
	}
}

/* --- adding --- */

int cp_sa_secret(uint8_t alg, const uint8_t *key, size_t key_len, uint8_t out[CP_SA_SECRET_LEN])
{
	size_t auth_len = alg == DP_ESP_AES_GCM_128 ? 4 : CBC_AUTH; /* GCM: the salt */

	if (key_len != 16 + auth_len)
		return -EINVAL;
	memset(out, 0, CP_SA_SECRET_LEN);
	memcpy(out, key, 16);
	memcpy(out + 32, key + 16, auth_len);
	return 0;
}

static void install(struct cp_sas *sas, uint32_t sa_id, const struct cp_sa *rec, const void *secret, bool config)
{
	struct sa *sa = &sas->sa[sa_id];

	memset(sa, 0, sizeof(*sa));
	sa->rec = *rec;
	sa->rec.sealed = sa->rec.unknown = (struct cp_buf){NULL, 0};
	sa->rec.sa_id = sa_id;
	sa->used = true;
	sa->config = config;
	memcpy(&sas->secret[sa_id], secret, sizeof(struct secret));
	if (rec->dir == DP_DIR_RECV)
		sa->in_top = seq_load(sas, &sa->rec);
	else
		sa->limit = seq_load(sas, &sa->rec);
}

static void forget(struct cp_sas *sas, uint32_t sa_id)
{
	OPENSSL_cleanse(&sas->secret[sa_id], sizeof(struct secret));
	memset(&sas->sa[sa_id], 0, sizeof(sas->sa[0]));
}

static uint32_t free_id(const struct cp_sas *sas)
{
	for (uint32_t i = sas->max; i-- > 0;) /* from above: the store gives numbers from below */
		if (!sas->sa[i].used)
			return i;
	return UINT32_MAX;
}

static bool spi_taken(const struct cp_sas *sas, const struct cp_sa *rec)
{
	for (uint32_t i = 0; i < sas->max; i++) {
		const struct sa *sa = &sas->sa[i];

		if (!sa->used)
			continue;
		if (strcmp(sa->rec.name, rec->name) == 0)
			return true;
		/* inbound the SPI alone finds the SA; outbound it is the peer's number */
		if (sa->rec.dir == rec->dir && sa->rec.spi == rec->spi &&
		    (rec->dir == DP_DIR_RECV ||
		     memcmp(sa->rec.remote.ip, rec->remote.ip, sizeof(rec->remote.ip)) == 0))
			return true;
	}
	return false;
}

/* Two outbound SAs with one key would count alike under it: every GCM nonce twice. */
static int key_taken(const struct cp_sas *sas, const struct cp_sa *rec, const void *secret)
{
	for (uint32_t i = 0; rec->dir == DP_DIR_SEND && i < sas->max; i++)
		if (sas->sa[i].used && sas->sa[i].rec.dir == DP_DIR_SEND &&
		    CRYPTO_memcmp(&sas->secret[i], secret, sizeof(struct secret)) == 0)
			return -EEXIST;
	return 0;
}

static int load_config(struct cp_sas *sas, const struct cfg_sa *c)
{
	struct cp_sa rec = {.spi = c->spi, .esn = c->esn};
	uint8_t key[16 + CBC_AUTH], secret[CP_SA_SECRET_LEN] = {0};
	uint32_t id = free_id(sas);
	int rc = -EINVAL;

	if (cp_sa_alg_parse(c->algorithm, &rec.alg) < 0 || cp_sa_mode_parse(c->mode, &rec.mode) < 0 ||
	    cfg_addr_parse(c->local, &rec.local) < 0 || cfg_addr_parse(c->remote, &rec.remote) < 0)
		return -EINVAL;
	rec.dir = strcmp(c->direction, "out") == 0 ? DP_DIR_SEND : DP_DIR_RECV;
	snprintf(rec.name, sizeof(rec.name), "config-%s-%u", c->direction, c->spi);
	snprintf(rec.gateway, sizeof(rec.gateway), "%s", c->gateway);
	if (id == UINT32_MAX)
		return -ENOSPC;
	if (spi_taken(sas, &rec))
		return -EEXIST;
	if (rec.alg == DP_ESP_AES_GCM_128)
		rc = cfg_hex_parse(c->key, key, 20);
	else if (cfg_hex_parse(c->key, key, 16) == 0)
		rc = cfg_hex_parse(c->auth_key, key + 16, CBC_AUTH);
	if (rc == 0)
		rc = cp_sa_secret(rec.alg, key, rec.alg == DP_ESP_AES_GCM_128 ? 20 : 16 + CBC_AUTH, secret);
	if (rc == 0)
		rc = key_taken(sas, &rec, secret);
	if (rc == 0)
		install(sas, id, &rec, secret, true);
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(secret, sizeof(secret));
	return rc;
}

struct load {
	struct cp_sas *sas;
	unsigned bad;
};

static void load_stored(void *ctx, const struct cp_sa *rec)
{
	struct load *l = ctx;
	struct cp_sas *sas = l->sas;
	struct cp_buf plain = {NULL, 0};
	int rc = rec->sa_id < sas->max && !sas->sa[rec->sa_id].used ? 0 : -EEXIST;

	if (rc == 0)
		rc = sas->env.unseal(sas->env.unseal_ctx, rec->sealed.data, rec->sealed.len, rec->name, &plain);
	if (rc == 0 && plain.len != sizeof(struct secret))
		rc = -EBADMSG;
	if (rc == 0)
		rc = key_taken(sas, rec, plain.data);
	if (rc == 0) {
		install(sas, rec->sa_id, rec, plain.data, false);
		cp_alarm_clear(sas->env.alarms, "sa-unusable", rec->name);
	} else {
		l->bad++;
		cp_alarm_raise(sas->env.alarms, "sa-unusable", CP_ALARM_MAJOR, rec->name,
			       "the stored SA cannot be used: %s", strerror(-rc));
	}
	if (plain.data != NULL)
		OPENSSL_cleanse(plain.data, plain.len);
	free(plain.data);
}

unsigned cp_sas_load(struct cp_sas *sas)
{
	struct load l = {sas, 0};

	cp_store_each_sa(sas->env.store, load_stored, &l);
	for (unsigned i = 0; i < sas->env.cfg->sas_count; i++) {
		int rc = load_config(sas, &sas->env.cfg->sas[i]);

		if (rc < 0) {
			cfg_log(CFG_LOG_ERR, "sa-unusable", "index=%u spi=%u reason=%s", i, sas->env.cfg->sas[i].spi,
				cfg_q(strerror(-rc)));
			cp_alarm_raise(sas->env.alarms, "sa-unusable", CP_ALARM_MAJOR, sas->env.cfg->sas[i].gateway,
				       "SA %u of the configuration cannot be used: %s", i, strerror(-rc));
			l.bad++;
		}
	}
	return l.bad;
}

static void on_stored(void *ctx, int rc)
{
	struct later *l = ctx;
	struct sa *sa = sa_by_id(l->sas, l->sa_id, l->spi);

	if (rc < 0 && sa != NULL) {
		struct dp_obj msg = {.id = l->sa_id, .kind = DP_OBJ_SA};

		/* The channel may have come up meanwhile, and with it this SA. */
		cp_dp_send(l->sas->env.dp, DP_MSG_SA_DEL, &msg, NULL, NULL);
		forget(l->sas, l->sa_id);
	}
	/* Kept is done: the dataplane gets it now, or when it is there. */
	if (rc == 0 && sa != NULL && cp_dp_up(l->sas->env.dp))
		assert_now(l->sas, l->sa_id);
	l->fn(l->ctx, rc);
	free(l);
}

int cp_sas_add(struct cp_sas *sas, const struct cp_sa *rec, const uint8_t secret[CP_SA_SECRET_LEN], const char *who,
	       cp_sa_fn fn, void *ctx, char *why, size_t why_size)
{
	struct cp_sa r = *rec;
	char audit[256];
	struct later *l;
	int rc;

	snprintf(why, why_size, "%s", "");
	if (cp_dir_gateway(sas->env.store, r.gateway) == NULL) {
		snprintf(why, why_size, "no such gateway");
		return -ENOENT;
	}
	if (spi_taken(sas, &r)) {
		snprintf(why, why_size, "name or SPI is in use");
		return -EEXIST;
	}
	r.sa_id = cp_store_free_sa_id(sas->env.store, sas->max);
	if (r.sa_id == UINT32_MAX || sas->sa[r.sa_id].used)
		return -ENOSPC;
	if (cp_sa_check(&r, why, why_size) < 0)
		return -EINVAL;
	if (key_taken(sas, &r, secret) < 0) {
		snprintf(why, why_size, "another SA sends with this key");
		return -EEXIST;
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	*l = (struct later){sas, r.sa_id, r.spi, 0, 0, fn, ctx};
	install(sas, r.sa_id, &r, secret, false);
	snprintf(audit, sizeof(audit), "{\"who\":\"%s\",\"what\":\"sa.add\",\"name\":\"%s\"}", who, r.name);
	rc = cp_store_put_sa(sas->env.store, &r, audit, on_stored, l);
	if (rc < 0) {
		forget(sas, r.sa_id);
		free(l);
	}
	return rc;
}

/* Gone from the disk: now, and not before, it ends. Had the store refused, it would be back with the next start. */
static void on_removed(void *ctx, int rc)
{
	struct later *l = ctx;
	struct cp_sas *sas = l->sas;
	struct sa *sa = sa_by_id(sas, l->sa_id, l->spi);

	if (sa != NULL && rc < 0) {
		sa->deleting = false;
	} else if (sa != NULL) {
		static const char *const alarms[] = {"sa-refused", "sa-exhausted", "sa-expired"};
		struct dp_obj msg = {.id = l->sa_id, .kind = DP_OBJ_SA};
		struct cp_sa old = sa->rec;

		/* Its granted numbers stay on record: the same key, added again, must not repeat them. */
		cp_dp_send(sas->env.dp, DP_MSG_SA_DEL, &msg, NULL, NULL);
		for (size_t i = 0; i < sizeof(alarms) / sizeof(alarms[0]); i++)
			cp_alarm_clear(sas->env.alarms, alarms[i], old.name);
		forget(sas, l->sa_id);
		tell_gateway(sas, old.gateway);
	}
	l->fn(l->ctx, rc);
	free(l);
}

int cp_sas_del(struct cp_sas *sas, const char *name, const char *who, cp_sa_fn fn, void *ctx)
{
	char audit[256];

	for (uint32_t i = 0; i < sas->max; i++) {
		struct sa *sa = &sas->sa[i];
		struct later *l;
		int rc;

		if (!sa->used || strcmp(sa->rec.name, name) != 0)
			continue;
		if (sa->config)
			return -EACCES; /* the file would bring it back */
		if (sa->deleting)
			return -EBUSY;
		l = calloc(1, sizeof(*l));
		if (l == NULL)
			return -ENOMEM;
		*l = (struct later){sas, i, sa->rec.spi, 0, 0, fn, ctx};
		snprintf(audit, sizeof(audit), "{\"who\":\"%s\",\"what\":\"sa.del\",\"name\":\"%s\"}", who, sa->rec.name);
		rc = cp_store_del_sa(sas->env.store, name, audit, on_removed, l);
		if (rc < 0)
			free(l);
		else
			sa->deleting = true;
		return rc;
	}
	return -ENOENT;
}

json_t *cp_sas_show(struct cp_sas *sas)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < sas->max; i++) {
		const struct sa *sa = &sas->sa[i];
		const struct dp_page_sa *pg = cp_dp_page_sa(sas->env.dp, i);
		static const struct dp_page_sa none;
		char la[64], ra[64], spi[16];

		if (!sa->used)
			continue;
		if (pg == NULL || pg->spi != sa->rec.spi)
			pg = &none;
		snprintf(spi, sizeof(spi), "0x%08x", sa->rec.spi);
		json_array_append_new(
			list,
			json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:I}",
				  "name", sa->rec.name, "id", (int)i, "gateway", sa->rec.gateway, "direction",
				  sa->rec.dir == DP_DIR_SEND ? "out" : "in", "spi", spi, "mode",
				  sa->rec.mode == DP_ESP_TUNNEL ? "tunnel" : "transport", "algorithm",
				  cp_sa_alg_name(sa->rec.alg), "local", cfg_addr_print(&sa->rec.local, la, sizeof(la)),
				  "remote", cfg_addr_print(&sa->rec.remote, ra, sizeof(ra)), "esn", sa->rec.esn, "state",
				  sa->dead ? "dead" : sa->asserted ? "live" : "waiting", "sequence",
				  (json_int_t)pg->seq, "granted", (json_int_t)sa->limit, "packets", (json_int_t)pg->pkts,
				  "bytes", (json_int_t)pg->bytes, "auth_failed", (json_int_t)pg->auth_fail, "replayed",
				  (json_int_t)pg->replayed));
	}
	return list;
}
