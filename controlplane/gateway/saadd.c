/* SPDX-License-Identifier: BSD-3-Clause */
/* Security associations come and go by hand: the configuration's, the store's, adding, deleting. */
#include "gateway/saint.h"
#include "why.h"

/* How the first two algorithms' keys were sealed before there were others. */
struct secret_old {
	uint8_t key[32];
	uint8_t auth[20]; /* GCM: the salt in the first 4 */
};
static_assert(sizeof(struct secret_old) == 52, "sealed form");

int cp_sa_secret(uint8_t alg, const uint8_t *key, size_t key_len, uint8_t out[CP_SA_SECRET_LEN])
{
	const struct dp_esp_suite *suite = dp_esp_suite(alg);
	struct secret *s = (struct secret *)(void *)out;

	if (suite == NULL || key_len != (size_t)suite->key_len + suite->salt_len + suite->auth_len)
		return -EINVAL;
	memset(out, 0, CP_SA_SECRET_LEN);
	memcpy(s->key, key, suite->key_len);
	memcpy(s->salt, key + suite->key_len, suite->salt_len);
	memcpy(s->auth, key + suite->key_len + suite->salt_len, suite->auth_len);
	return 0;
}

const char *cp_sa_key_hint(uint8_t alg, char *buf, size_t size)
{
	const struct dp_esp_suite *s = dp_esp_suite(alg);
	char salt[24] = "", auth[32] = "";

	if (s->salt_len > 0)
		snprintf(salt, sizeof(salt), ", %u of salt", s->salt_len);
	if (s->auth_len > 0)
		snprintf(auth, sizeof(auth), ", %u of the HMAC's key", s->auth_len);
	snprintf(buf, size, "%u bytes: %u of key%s%s", s->key_len + s->salt_len + s->auth_len, s->key_len, salt, auth);
	return buf;
}

int cp_sa_alg_allowed(const struct cfg *cfg, uint8_t alg, char *why, size_t why_size)
{
	if (!dp_esp_suite(alg)->old || cfg->ipsec.old_algorithms)
		return 0;
	return cfg_no(why, why_size, -EPERM, "%s is for old gateways and has to be enabled: ipsec.old_algorithms: allow", cp_sa_alg_name(alg));
}

/* The key of an SA of the configuration. 0, -EINVAL. */
static int config_secret(const struct cfg_sa *c, uint8_t alg, uint8_t secret[CP_SA_SECRET_LEN])
{
	const struct dp_esp_suite *suite = dp_esp_suite(alg);
	size_t head = (size_t)suite->key_len + suite->salt_len;
	uint8_t key[CP_SA_KEY_MAX] = {0};
	int rc = 0;

	/* cfg_hex_parse() refuses what is not there: rightly, where something has to be. */
	if (head > 0 || c->key != NULL)
		rc = cfg_hex_parse(c->key, key, head);
	if (rc == 0 && (suite->auth_len > 0 || c->auth_key != NULL))
		rc = suite->auth_len > 0 ? cfg_hex_parse(c->auth_key, key + head, suite->auth_len) : -EINVAL;
	if (rc == 0)
		rc = cp_sa_secret(alg, key, head + suite->auth_len, secret);
	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

int cp_sas_config(const struct cfg *cfg, char *err, size_t err_size)
{
	for (unsigned i = 0; i < cfg->sas_count; i++) {
		uint8_t alg, secret[CP_SA_SECRET_LEN];
		char hint[80], why[160];
		int rc;

		if (cp_sa_alg_parse(cfg->sas[i].algorithm, &alg) < 0)
			return cfg_no(err, err_size, -EINVAL, "ipsec.sas[%u].algorithm: %s is no algorithm that is done here", i,
				      cfg_q(cfg->sas[i].algorithm));
		if (cp_sa_alg_allowed(cfg, alg, why, sizeof(why)) < 0)
			return cfg_no(err, err_size, -EINVAL, "ipsec.sas[%u].algorithm: %s", i, why);
		rc = config_secret(&cfg->sas[i], alg, secret);
		OPENSSL_cleanse(secret, sizeof(secret));
		if (rc < 0)
			return cfg_no(err, err_size, -EINVAL, "ipsec.sas[%u].key, auth_key: not in hex what %s wants, %s", i,
				      cp_sa_alg_name(alg), cp_sa_key_hint(alg, hint, sizeof(hint)));
	}
	return 0;
}

void sa_install(struct cp_sas *sas, uint32_t sa_id, const struct cp_sa *rec, const void *secret, enum sa_origin origin)
{
	struct sa *sa = &sas->sa[sa_id];

	memset(sa, 0, sizeof(*sa));
	sa->rec = *rec;
	sa->rec.sealed = sa->rec.unknown = (struct cp_buf){NULL, 0};
	sa->rec.sa_id = sa_id;
	sa->used = true;
	sa->gen = ++sas->gen;
	sa->origin = (uint8_t)origin;
	memcpy(&sas->secret[sa_id], secret, sizeof(struct secret));
	sa_index_add(sas, sa_id);
	if (rec->dir == DP_DIR_RECV)
		sa->in_top = sa_seq_load(sas, &sa->rec, &sas->secret[sa_id], origin);
	else
		sa->limit = sa_seq_load(sas, &sa->rec, &sas->secret[sa_id], origin);
	if (origin == SA_IKE && rec->dir == DP_DIR_SEND)
		sa_seq_keep(sas, &sa->rec);
}

static void on_left(void *ctx, int rc)
{
	struct later *l = ctx;
	struct sa *sa = &l->sas->sa[l->sa_id];

	if (sa->leaving && sa->gen == l->gen) {
		if (rc == 0 || rc == -ENOENT) {
			sa->leaving = false;
			sa_id_give(l->sas, l->sa_id);
		} else if (rc != -ENOTCONN) { /* its return asks again */
			sa_retry(l->sas, sa, rc);
		}
	}
	free(l);
}

void sa_leave(struct cp_sas *sas, uint32_t sa_id)
{
	struct dp_obj msg = {.id = sa_id, .kind = DP_OBJ_SA};
	struct sa *sa = &sas->sa[sa_id];
	struct later *l = calloc(1, sizeof(*l));
	int rc = -ENOMEM;

	sa_id_take(sas, sa_id);
	sa->leaving = true;
	sa->gen = ++sas->gen;
	if (l != NULL) {
		*l = (struct later){.sas = sas, .sa_id = sa_id, .gen = sa->gen};
		rc = cp_dp_send(sas->env.dp, DP_MSG_SA_DEL, &msg, on_left, l);
	}
	if (rc < 0)
		free(l);
	if (rc < 0 && rc != -ENOTCONN)
		sa_retry(sas, sa, rc);
}

void sa_forget(struct cp_sas *sas, uint32_t sa_id)
{
	bool sent = sas->sa[sa_id].sent;

	sa_index_del(sas, sa_id);
	OPENSSL_cleanse(&sas->secret[sa_id], sizeof(struct secret));
	memset(&sas->sa[sa_id], 0, sizeof(sas->sa[0]));
	if (sent)
		sa_leave(sas, sa_id);
}

static bool spi_taken(struct cp_sas *sas, const struct cp_sa *rec)
{
	return sa_find_name(sas, rec->name) != SA_NONE || sa_find_spi(sas, rec->dir, rec->spi, &rec->remote) != SA_NONE;
}

/*
 * Two outbound SAs with one key would count alike under it: every nonce of GCM and CTR twice. So would the peer and we, with one key for both
 * directions.
 */
int sa_key_taken(struct cp_sas *sas, const struct cp_sa *rec, const void *secret)
{
	uint8_t want[96];
	size_t len = sa_identity(secret, rec->alg, want);
	bool counter = dp_esp_suite(rec->alg)->salt_len > 0, taken = false;

	if (rec->dir == DP_DIR_SEND || counter)
		taken = sa_find_key(sas, DP_DIR_SEND, want, len) != SA_NONE;
	if (!taken && rec->dir == DP_DIR_SEND && counter)
		taken = sa_find_key(sas, DP_DIR_RECV, want, len) != SA_NONE;
	OPENSSL_cleanse(want, sizeof(want));
	return taken ? -EEXIST : 0;
}

static int load_config(struct cp_sas *sas, const struct cfg_sa *c)
{
	struct cp_sa rec = {.spi = c->spi, .esn = c->esn, .window = c->window, .hard_s = c->hard_s, .hard_bytes = c->hard_bytes,
			    .hard_pkts = c->hard_packets, .soft_s = c->soft_s, .soft_bytes = c->soft_bytes, .soft_pkts = c->soft_packets, .tfc = c->tfc,
			    .keepalive = c->keepalive};
	uint8_t secret[CP_SA_SECRET_LEN] = {0};
	uint32_t id = sa_id_high(sas);
	char why[160];
	int rc;

	if (cp_sa_alg_parse(c->algorithm, &rec.alg) < 0 || cp_sa_mode_parse(c->mode, &rec.mode) < 0 ||
	    cfg_addr_parse(c->local, &rec.local) < 0 || cfg_addr_parse(c->remote, &rec.remote) < 0)
		return -EINVAL;
	cp_sa_soften(&rec);
	rec.dir = strcmp(c->direction, "out") == 0 ? DP_DIR_SEND : DP_DIR_RECV;
	snprintf(rec.name, sizeof(rec.name), "config-%s-%u", c->direction, c->spi);
	snprintf(rec.gateway, sizeof(rec.gateway), "%s", c->gateway);
	if (id == UINT32_MAX)
		return -ENOSPC;
	if (spi_taken(sas, &rec))
		return -EEXIST;
	rc = cp_sa_alg_allowed(sas->env.cfg, rec.alg, why, sizeof(why));
	if (rc == 0)
		rc = config_secret(c, rec.alg, secret);
	if (rc == 0)
		rc = sa_key_taken(sas, &rec, secret);
	if (rc == 0)
		sa_install(sas, id, &rec, secret, SA_CONFIG);
	OPENSSL_cleanse(secret, sizeof(secret));
	return rc;
}

/* What was unsealed, in today's form. -EBADMSG: in none. */
static int secret_of(const struct cp_sa *rec, const struct cp_buf *plain, struct secret *ret)
{
	const struct dp_esp_suite *suite = dp_esp_suite(rec->alg);
	const struct secret_old *old = (const void *)plain->data;

	if (plain->len == sizeof(*ret)) {
		memcpy(ret, plain->data, sizeof(*ret));
		return 0;
	}
	if (plain->len != sizeof(*old) || (rec->alg != DP_ESP_AES_GCM_128 && rec->alg != DP_ESP_AES_CBC_128_SHA1_96))
		return -EBADMSG;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->key, old->key, suite->key_len);
	memcpy(ret->salt, old->auth, suite->salt_len);
	memcpy(ret->auth, old->auth, suite->auth_len);
	return 0;
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
	struct secret secret;
	char why[160] = "";
	int rc = rec->sa_id < sas->max && !sas->sa[rec->sa_id].used ? 0 : -EEXIST;

	if (rc == 0)
		sa_id_take(sas, rec->sa_id); /* it is the record's, used or not */

	if (rc == 0)
		rc = cp_sa_alg_allowed(sas->env.cfg, rec->alg, why, sizeof(why));
	if (rc == 0)
		rc = sas->env.unseal(sas->env.unseal_ctx, rec->sealed.data, rec->sealed.len, rec->name, &plain);
	if (rc == 0)
		rc = secret_of(rec, &plain, &secret);
	if (rc == 0)
		rc = sa_key_taken(sas, rec, &secret);
	if (rc == 0) {
		sa_install(sas, rec->sa_id, rec, &secret, SA_STORED);
		cp_alarm_clear(sas->env.alarms, "sa-unusable", rec->name);
	} else {
		l->bad++;
		cp_alarm_raise(sas->env.alarms, "sa-unusable", CP_ALARM_MAJOR, rec->name,
			       "the stored SA cannot be used: %s", why[0] != '\0' ? why : strerror(-rc));
	}
	OPENSSL_cleanse(&secret, sizeof(secret));
	if (plain.data != NULL)
		OPENSSL_cleanse(plain.data, plain.len);
	free(plain.data);
}

unsigned cp_sas_load(struct cp_sas *sas)
{
	struct load l = {sas, 0};

	if (!sas->env.cfg->ike.enable) /* else once charon has said what it has */
		sa_seqs_clean(sas);
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
	struct sa *sa = sa_of(l);

	if (rc < 0 && sa != NULL)
		sa_forget(l->sas, l->sa_id);
	/* Kept is done: the dataplane gets it now, or when it is there. */
	if (rc == 0 && sa != NULL && cp_dp_up(l->sas->env.dp))
		sa_assert_now(l->sas, l->sa_id);
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
	cp_sa_soften(&r);
	r.added_s = cp_wall_us() / 1000000;
	r.sa_id = sa_id_low(sas);
	if (r.sa_id == SA_NONE)
		return -ENOSPC;
	if (cp_sa_check(&r, why, why_size) < 0 || cp_sa_alg_allowed(sas->env.cfg, r.alg, why, why_size) < 0)
		return -EINVAL;
	if (sa_key_taken(sas, &r, secret) < 0) {
		snprintf(why, why_size, "another SA sends with this key");
		return -EEXIST;
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	sa_install(sas, r.sa_id, &r, secret, SA_STORED);
	*l = (struct later){.sas = sas, .sa_id = r.sa_id, .gen = sas->sa[r.sa_id].gen, .fn = fn, .ctx = ctx};
	snprintf(audit, sizeof(audit), "{\"who\":\"%s\",\"what\":\"sa.add\",\"name\":\"%s\"}", who, r.name);
	rc = cp_store_put_sa(sas->env.store, &r, audit, on_stored, l);
	if (rc == -EBUSY)
		snprintf(why, why_size, "gateway %s is being changed", r.gateway);
	if (rc < 0) {
		sa_forget(sas, r.sa_id);
		free(l);
	}
	return rc;
}

void sa_end(struct cp_sas *sas, uint32_t sa_id)
{
	static const char *const alarms[] = {"sa-refused", "sa-exhausted", "sa-expiring", "sa-expired"};
	struct cp_sa old = sas->sa[sa_id].rec;

	for (size_t i = 0; i < sizeof(alarms) / sizeof(alarms[0]); i++)
		cp_alarm_clear(sas->env.alarms, alarms[i], old.name);
	sa_forget(sas, sa_id);
	sa_tell(sas, old.gateway);
}

/* Gone from the disk: now, and not before, it ends. Had the store refused, it would be back with the next start. */
static void on_removed(void *ctx, int rc)
{
	struct later *l = ctx;
	struct cp_sas *sas = l->sas;
	struct sa *sa = sa_of(l);

	if (sa != NULL && rc < 0) {
		sa->deleting = false;
	} else if (sa != NULL) {
		/* Its granted numbers stay on record: the same key, added again, must not repeat them. */
		sa_end(sas, l->sa_id);
	}
	l->fn(l->ctx, rc);
	free(l);
}

int cp_sas_del(struct cp_sas *sas, const char *name, const char *who, cp_sa_fn fn, void *ctx)
{
	uint32_t id = sa_find_name(sas, name);
	struct sa *sa = id != SA_NONE ? &sas->sa[id] : NULL;
	char audit[256];
	struct later *l;
	int rc;

	if (sa == NULL)
		return -ENOENT;
	if (sa->origin != SA_STORED)
		return -EACCES; /* the file would bring it back; charon would not know */
	if (sa->deleting)
		return -EBUSY;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	*l = (struct later){.sas = sas, .sa_id = id, .gen = sa->gen, .fn = fn, .ctx = ctx};
	snprintf(audit, sizeof(audit), "{\"who\":\"%s\",\"what\":\"sa.del\",\"name\":\"%s\"}", who, sa->rec.name);
	rc = cp_store_del_sa(sas->env.store, name, audit, on_removed, l);
	if (rc < 0)
		free(l);
	else
		sa->deleting = true;
	return rc;
}
