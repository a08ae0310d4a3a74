/* SPDX-License-Identifier: BSD-3-Clause */
/* How many sequence numbers are granted, kept in the store beside the record: the configuration's SAs and IKE's have none there. */
#include "gateway/saint.h"

#include <openssl/sha.h>

/* Of IKE's keys, with the wall clock's seconds behind the number at which the record may go: who should have deleted it may have died. */
#define IKE_SEQ    "sa-seq:ike:"
#define IKE_KEEP_S (30 * 86400)

size_t sa_identity(const struct secret *s, uint8_t alg, uint8_t out[96])
{
	const struct dp_esp_suite *suite = dp_esp_suite(alg);
	size_t len = suite->salt_len > 0 || suite->auth_len < 20 ? 20 : suite->auth_len;

	memset(out, 0, 96);
	memcpy(out, s->key, sizeof(s->key));
	if (suite->salt_len > 0)
		memcpy(out + 32, s->salt, sizeof(s->salt));
	else
		memcpy(out + 32, s->auth, suite->auth_len);
	return 32 + len;
}

/*
 * Outbound by the key itself, whatever the SA is called and whatever its SPI: neither is in the nonce of GCM, so a key
 * that comes back under another name goes on where it was. SHA-256 of a 160-bit random key tells nothing of it.
 */
static size_t seq_key(const struct cp_sa *rec, const struct secret *secret, enum sa_origin origin, char *key, size_t size)
{
	uint8_t md[SHA256_DIGEST_LENGTH], id[96];
	size_t len;
	int n;

	if (rec->dir == DP_DIR_RECV)
		return (size_t)snprintf(key, size, "sa-seq:in:%08x:%s", rec->spi, rec->name);
	len = sa_identity(secret, rec->alg, id);
	SHA256(id, len, md);
	OPENSSL_cleanse(id, sizeof(id));
	n = snprintf(key, size, "%s", origin == SA_IKE ? IKE_SEQ : "sa-seq:out:");
	for (unsigned i = 0; i < sizeof(md); i++)
		n += snprintf(key + n, size - (size_t)n, "%02x", md[i]);
	return (size_t)n;
}

static size_t key_of(const struct cp_sas *sas, const struct cp_sa *rec, char *key, size_t size)
{
	return seq_key(rec, &sas->secret[rec->sa_id], (enum sa_origin)sas->sa[rec->sa_id].origin, key, size);
}

uint64_t sa_seq_load(struct cp_sas *sas, const struct cp_sa *rec, const struct secret *secret, enum sa_origin origin)
{
	char key[CP_STORE_KEY_MAX];
	const uint8_t *val;
	uint64_t seq = 0;
	size_t len;

	if (cp_store_get(sas->env.store, CP_CF_META, key, seq_key(rec, secret, origin, key, sizeof(key)), &val, &len) < 0 ||
	    (len != 8 && len != 16))
		return 0;
	for (int i = 0; i < 8; i++)
		seq = seq << 8 | val[i];
	return seq;
}

static void put64(uint8_t out[8], uint64_t v)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(v >> (56 - 8 * i));
}

void sa_seq_forget(struct cp_sas *sas, const struct cp_sa *rec)
{
	char key[CP_STORE_KEY_MAX];

	if (rec->dir == DP_DIR_SEND) /* no memory: it goes when its time is over */
		cp_tab_put(&sas->gone[0], key, key_of(sas, rec, key, sizeof(key)));
}

void sa_seq_keep(struct cp_sas *sas, const struct cp_sa *rec)
{
	char key[CP_STORE_KEY_MAX];
	size_t len = key_of(sas, rec, key, sizeof(key));

	for (int i = 0; i < 2; i++)
		cp_tab_del(&sas->gone[i], key, len);
}

void sa_seqs_gone(struct cp_sas *sas)
{
	struct cp_ent **list = cp_tab_sorted(&sas->gone[1]);
	struct cp_batch *b = list != NULL ? cp_batch_create() : NULL;

	for (size_t i = 0; b != NULL && i < sas->gone[1].cnt; i++)
		cp_batch_del(b, CP_CF_META, (const char *)list[i]->key, list[i]->key_len);
	if (b != NULL)
		cp_store_submit(sas->env.store, b, NULL, NULL); /* fails: they go when their time is over */
	free(list);
	cp_tab_fini(&sas->gone[1]);
	sas->gone[1] = sas->gone[0];
	if (cp_tab_init(&sas->gone[0], NULL) < 0)
		abort(); /* out of memory at start-up size: nothing sane can follow */
}

struct old_seqs {
	struct cp_batch *batch;
	struct cp_tab used;
	uint64_t now_s;
	unsigned cnt;
};

static bool seq_is_old(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct old_seqs *o = ctx;
	uint64_t until = 0;

	if (key_len < sizeof(IKE_SEQ) - 1 || memcmp(key, IKE_SEQ, sizeof(IKE_SEQ) - 1) != 0 || len != 16)
		return true;
	for (int i = 8; i < 16; i++)
		until = until << 8 | val[i];
	if (until < o->now_s && cp_tab_find(&o->used, key, key_len) == NULL) {
		cp_batch_del(o->batch, CP_CF_META, key, key_len);
		o->cnt++;
	}
	return true;
}

void sa_seqs_clean(struct cp_sas *sas)
{
	struct old_seqs o = {.batch = cp_batch_create(), .now_s = (uint64_t)(cp_wall_us() / 1000000)};
	char key[CP_STORE_KEY_MAX];
	bool all = o.batch != NULL && cp_tab_init(&o.used, NULL) == 0;

	/* The wall clock may have been set forward: no age says that a key is not in use. */
	for (uint32_t i = 0; all && i < sas->max; i++)
		if (sas->sa[i].used && sas->sa[i].origin == SA_IKE && sas->sa[i].rec.dir == DP_DIR_SEND)
			all = cp_tab_put(&o.used, key, key_of(sas, &sas->sa[i].rec, key, sizeof(key))) != NULL;
	if (all)
		cp_store_each(sas->env.store, CP_CF_META, seq_is_old, &o);
	if (o.used.bucket != NULL)
		cp_tab_fini(&o.used);
	if (o.cnt > 0)
		cp_store_submit(sas->env.store, o.batch, NULL, NULL);
	else
		cp_batch_destroy(o.batch);
}

int sa_seq_save(struct cp_sas *sas, const struct cp_sa *rec, uint64_t seq, cp_store_fn fn, void *ctx)
{
	struct cp_batch *b = cp_batch_create();
	char key[CP_STORE_KEY_MAX];
	bool ike = sas->sa[rec->sa_id].origin == SA_IKE;
	uint64_t until = (uint64_t)(cp_wall_us() / 1000000) + IKE_KEEP_S + rec->hard_s;
	uint8_t val[16];

	if (b == NULL)
		return -ENOMEM;
	put64(val, seq);
	put64(val + 8, until);
	cp_batch_put(b, CP_CF_META, key, key_of(sas, rec, key, sizeof(key)), val, ike ? 16 : 8);
	return cp_store_submit(sas->env.store, b, fn, ctx);
}

uint64_t sa_seq_last(const struct cp_sa *rec)
{
	return rec->esn ? UINT64_MAX >> 1 : UINT32_MAX;
}
