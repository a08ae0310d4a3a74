/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A cluster with real keys and signed files, and phones that boot from it (bench/sim/trustphone.h): what the trust drills
 * are done with. What is in its lists the appliance's own code says, cp_itl_entries() and cp_ctlop_plan(). Whether a phone is
 * stranded is seen by letting it boot, never computed.
 */
#ifndef TESTS_DRILL_H
#define TESTS_DRILL_H

#include <stdbool.h>

#include "sgn.h"
#include "trust/ctlop.h"
#include "trust/ctlstale.h"
#include "trust/itl.h"
#include "trust/model.h"
#include "trust/world.h"
#include "trust_fix.h"
#include "trustphone.h"

struct drill_id {
	X509 *cert;
	EVP_PKEY *key; /* of the pool */
	uint8_t *der;
	size_t der_len;
};

struct drill {
	struct drill_id now[CP_TM_IDENTS], prev[CP_TM_IDENTS];
	bool mixed, made, rollback;
	enum cp_tm_with with;
	struct cp_ctl_rec rec;               /* as the appliance's own CTL operation leaves it */
	struct cp_ctl_plan plan;             /* of the last one: its entries, until the next change */
	uint32_t stamp, itl_stamp;
	struct cp_buf ctl[PKI_CLASS_MAX], itl[PKI_CLASS_MAX], config[PKI_CLASS_MAX];
};

static unsigned drill_next_key;

static inline void drill_id_free(struct drill_id *id)
{
	X509_free(id->cert);
	OPENSSL_free(id->der);
	memset(id, 0, sizeof(*id));
}

static inline struct drill_id drill_id_ref(const struct drill_id *id)
{
	struct drill_id r = *id;

	if (r.cert == NULL)
		return r;
	X509_up_ref(r.cert);
	r.der = OPENSSL_memdup(id->der, id->der_len);
	return r;
}

static inline void drill_id_make(struct drill_id *id, unsigned ident)
{
	int n;

	id->key = fix_key(drill_next_key++);
	id->cert = fix_cert(cp_tm_ident_name(ident), id->key);
	id->der = NULL;
	n = i2d_X509(id->cert, &id->der);
	id->der_len = n > 0 ? (size_t)n : 0;
}

static inline bool drill_same(const struct drill_id *a, const struct drill_id *b)
{
	return a->cert != NULL && b->cert != NULL && X509_cmp(a->cert, b->cert) == 0;
}

static inline void drill_buf_set(struct cp_buf *to, struct cp_buf from)
{
	OPENSSL_free(to->data);
	*to = from;
}

/* --- publishing: what the appliance's own publisher is told to put into its lists --- */

static X509 *drill_own(void *ctx, const char *name);

/* The key of an identity by its name, "TFTP.prev" too. */
static inline EVP_PKEY *drill_key(const struct drill *d, const char *name)
{
	char base[64];
	enum cp_tm_ident ident;
	size_t n = strlen(name);
	bool prev = n > 5 && strcmp(name + n - 5, ".prev") == 0;

	snprintf(base, sizeof(base), "%.*s", (int)(prev ? n - 5 : n), name);
	if (cp_tm_ident_parse(base, &ident) < 0)
		abort();
	return prev ? d->prev[ident].key : d->now[ident].key;
}

static inline void drill_itl(struct drill *d)
{
	struct cp_trust_own own;
	struct cp_itl_in in = {.own = &own, .mixed = d->mixed, .rollback = d->rollback, .sign_with = cp_tm_with_name(d->with)};
	struct cp_itl_out out;
	char why[200] = "";

	cp_trust_own_get(&own, drill_own, d);
	in.ccm_in_ctl = d->mixed && cp_ctl_lists(&d->rec, own.callmanager, PKI_TL_CCM);
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		struct pki_tl_opts o = {.kind = PKI_TL_ITL, .cls = (enum pki_tl_class)cls, .timestamp = d->itl_stamp};
		EVP_PKEY *key;
		struct cp_buf b;

		in.cls = o.cls;
		if (cp_itl_entries(&in, &out, why, sizeof(why)) < 0)
			abort();
		o.signer = out.signer;
		key = drill_key(d, out.ident);
		fix_list(&o, key, out.entry, out.cnt, &b); /* the same as before? then there is nothing to publish */
		if (cls == 1 && b.len == d->itl[cls].len && memcmp(b.data, d->itl[cls].data, b.len) == 0) {
			OPENSSL_free(b.data);
			break;
		}
		if (cls == 1) {
			OPENSSL_free(b.data);
			o.timestamp = d->itl_stamp = ++d->stamp;
			fix_list(&o, key, out.entry, out.cnt, &b);
		}
		drill_buf_set(&d->itl[cls], b);
	}
	cp_trust_own_free(&own);
}

static inline void drill_config(struct drill *d)
{
	static const char text[] = "<device/>\n";
	struct drill_id *tftp = &d->now[CP_TM_TFTP];

	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		unsigned digest = pki_tl_class_limits((enum pki_tl_class)cls)->digest;
		struct pki_sgn_opts o = {.name = "XMLDefault.cnf.xml.sgn", .digest = (enum pki_digest)digest, .signer = tftp->cert,
					 .timestamp = d->stamp};
		uint8_t *head = NULL, *body = NULL, sig[PKI_TL_SIG_MAX];
		size_t head_len = 0, body_len = 0, sig_len = sizeof(sig);
		struct cp_buf b;
		char why[200];

		if (pki_sgn_build(&o, (const uint8_t *)text, sizeof(text) - 1, &head, &head_len, &body, &body_len, why, sizeof(why)) < 0)
			abort();
		fix_sign(tftp->key, digest, head, head_len, text, sizeof(text) - 1, sig, &sig_len);
		if (pki_sgn_finish(head, head_len, (const uint8_t *)text, sizeof(text) - 1, sig, sig_len, &b.data, &b.len) < 0)
			abort();
		OPENSSL_free(head);
		OPENSSL_free(body);
		drill_buf_set(&d->config[cls], b);
	}
}

/* A CTL operation, by the code that plans the appliance's own. False: it is refused; nothing changed then. */
static inline bool drill_ctl(struct drill *d, bool set_mode, bool mixed)
{
	struct cp_ctl_change ch = {.set_mode = set_mode, .mode = mixed ? CP_CLUSTER_MIXED : CP_CLUSTER_NONSECURE,
				   .now_us = ((int64_t)d->stamp + 1) * 1000000, .who = "drill"};
	struct cp_trust_own own;
	struct cp_ctl_plan plan;
	char why[300] = "";
	int rc;

	cp_trust_own_get(&own, drill_own, d);
	rc = cp_ctlop_plan(&d->rec, &ch, &own, drill_own, d, NULL, NULL, &plan, why, sizeof(why));
	cp_trust_own_free(&own); /* the drill has them all the same */
	if (rc < 0)
		return false;
	d->stamp++;
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		struct pki_tl_opts o = {.kind = PKI_TL_CTL, .cls = (enum pki_tl_class)cls, .signer = plan.signer, .timestamp = d->stamp};
		struct cp_buf b;

		fix_list(&o, drill_key(d, plan.ident), plan.entry[cls], plan.cnt[cls], &b);
		drill_buf_set(&d->ctl[cls], b);
		if (cp_list_file_set(&plan.next.files, &plan.next.file_cnt, (uint8_t)cls, b.data, b.len) < 0)
			abort();
	}
	cp_ctl_rec_free(&d->rec);
	d->rec = plan.next;
	memset(&plan.next, 0, sizeof(plan.next));
	cp_ctl_plan_free(&d->plan);
	d->plan = plan;
	d->mixed = mixed;
	d->made = true;
	return true;
}

/* A key is here that may sign the next CTL. */
static inline bool drill_ctl_key(const struct drill *d)
{
	for (unsigned i = 0; i < d->rec.token_cnt; i++) {
		const struct cp_ctl_token *t = &d->rec.tokens[i];

		for (unsigned k = 0; t->in_file && k < 2 * CP_TM_IDENTS; k++) {
			const struct drill_id *id = k % 2 != 0 ? &d->prev[k / 2] : &d->now[k / 2];

			if (id->cert != NULL && id->der_len == t->cert.len && memcmp(id->der, t->cert.data, t->cert.len) == 0)
				return true;
		}
	}
	return false;
}

/* --- what an operator does --- */

static inline void drill_regen(struct drill *d, unsigned ident)
{
	drill_id_free(&d->prev[ident]);
	d->prev[ident] = d->now[ident];
	drill_id_make(&d->now[ident], ident);
}

/* As the steps of a plan are meant. False: it cannot be done now; nothing changed then. */
static inline bool drill_do(struct drill *d, const struct cp_tm_step *s)
{
	bool ok = true;

	switch (s->op) {
	case CP_TM_REGEN:
		drill_regen(d, (unsigned)s->ident);
		if (s->ident == CP_TM_CAPF)
			drill_regen(d, CP_TM_CAPF_TLS);
		break;
	case CP_TM_RETURN:
		ok = d->prev[s->ident].cert != NULL;
		if (ok) {
			drill_id_free(&d->now[s->ident]);
			d->now[s->ident] = d->prev[s->ident];
			memset(&d->prev[s->ident], 0, sizeof(d->prev[0]));
		}
		break;
	case CP_TM_RETIRE:
		ok = d->prev[s->ident].cert != NULL;
		if (ok)
			drill_id_free(&d->prev[s->ident]);
		break;
	case CP_TM_SIGN_ITL:
		d->with = s->with;
		break;
	case CP_TM_UPDATE_CTL:
		ok = d->made && d->mixed && drill_ctl(d, false, true);
		break;
	case CP_TM_MIXED:
	case CP_TM_NONSECURE:
		ok = d->mixed != (s->op == CP_TM_MIXED) && drill_ctl(d, true, s->op == CP_TM_MIXED);
		break;
	case CP_TM_ROLLBACK_ON:
	case CP_TM_ROLLBACK_OFF:
		ok = d->rollback != (s->op == CP_TM_ROLLBACK_ON);
		if (ok)
			d->rollback = !d->rollback;
		break;
	default:
		ok = false;
		break;
	}
	if (ok) {
		drill_itl(d);
		drill_config(d);
	}
	return ok;
}

static inline struct drill *drill_create(enum cp_tm_with with, bool mixed)
{
	struct drill *d = calloc(1, sizeof(*d));
	struct cp_tm_step to_mixed = {.op = CP_TM_MIXED, .ident = -1};

	if (d == NULL)
		abort();
	d->with = with;
	d->stamp = 1000;
	for (unsigned i = 0; i < CP_TM_IDENTS; i++)
		if (i != CP_TM_TFTP_EC)
			drill_id_make(&d->now[i], i);
	if (mixed) {
		drill_do(d, &to_mixed);
	} else {
		drill_itl(d);
		drill_config(d);
	}
	return d;
}

static inline void drill_destroy(struct drill *d)
{
	for (unsigned i = 0; i < CP_TM_IDENTS; i++) {
		drill_id_free(&d->now[i]);
		drill_id_free(&d->prev[i]);
	}
	cp_ctl_plan_free(&d->plan);
	cp_ctl_rec_free(&d->rec);
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		OPENSSL_free(d->ctl[cls].data);
		OPENSSL_free(d->itl[cls].data);
		OPENSSL_free(d->config[cls].data);
	}
	free(d);
}

static inline struct cp_buf drill_buf_copy(const struct cp_buf *b)
{
	return (struct cp_buf){b->len > 0 ? OPENSSL_memdup(b->data, b->len) : NULL, b->len};
}

/* The same cluster once more: to try on it what is refused. */
static inline struct drill *drill_copy(const struct drill *d)
{
	struct drill *c = calloc(1, sizeof(*c));

	if (c == NULL)
		abort();
	*c = *d;
	for (unsigned i = 0; i < CP_TM_IDENTS; i++) {
		c->now[i] = drill_id_ref(&d->now[i]);
		c->prev[i] = drill_id_ref(&d->prev[i]);
	}
	memset(&c->plan, 0, sizeof(c->plan));
	if (cp_ctl_rec_copy(&d->rec, &c->rec) < 0)
		abort();
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		c->ctl[cls] = drill_buf_copy(&d->ctl[cls]);
		c->itl[cls] = drill_buf_copy(&d->itl[cls]);
		c->config[cls] = drill_buf_copy(&d->config[cls]);
	}
	return c;
}

/* --- what phones and the ledger see of it --- */

static const uint8_t *const drill_roles[CP_TM_IDENTS] = {
	[CP_TM_CALLMANAGER] = (const uint8_t[]){1, 0}, [CP_TM_TFTP] = (const uint8_t[]){0, 3},
	[CP_TM_CAPF] = (const uint8_t[]){4, 4},	       [CP_TM_CAPF_TLS] = (const uint8_t[]){4, 4},
	[CP_TM_SAST1] = (const uint8_t[]){0, 0},       [CP_TM_SAST2] = (const uint8_t[]){0, 0},
	[CP_TM_ITLRECOVERY] = (const uint8_t[]){0, 0},
};

static inline bool drill_tvs_id(const struct drill_id *id, unsigned ident, struct tp_tvs_answer *ret)
{
	if (id->cert == NULL || drill_roles[ident] == NULL)
		return false;
	*ret = (struct tp_tvs_answer){{id->der, id->der_len}, drill_roles[ident], 2};
	return true;
}

/* Our TVS: it knows our own certificates, those of yesterday too, and nothing of its own. */
static inline bool drill_tvs_ask(void *ctx, const uint8_t *serial, size_t len, const char *issuer, struct tp_tvs_answer *ret)
{
	struct drill *d = ctx;

	for (unsigned i = 0; i < 2 * CP_TM_IDENTS; i++) {
		const struct drill_id *id = i % 2 != 0 ? &d->prev[i / 2] : &d->now[i / 2];
		char dn[PKI_TL_NAME_MAX];
		const ASN1_INTEGER *s = id->cert != NULL ? X509_get0_serialNumber(id->cert) : NULL;

		if (s != NULL && (size_t)s->length == len && memcmp(s->data, serial, len) == 0 &&
		    pki_tl_dn(X509_get_issuer_name(id->cert), dn, sizeof(dn)) > 0 && strcmp(dn, issuer) == 0)
			return drill_tvs_id(id, i / 2, ret);
	}
	return false;
}

static inline bool drill_tvs_verify(void *ctx, struct tp_blob der, struct tp_tvs_answer *ret)
{
	struct drill *d = ctx;

	for (unsigned i = 0; i < 2 * CP_TM_IDENTS; i++) {
		const struct drill_id *id = i % 2 != 0 ? &d->prev[i / 2] : &d->now[i / 2];

		if (id->cert != NULL && id->der_len == der.len && memcmp(id->der, der.p, der.len) == 0)
			return drill_tvs_id(id, i / 2, ret);
	}
	return false;
}

static inline struct tp_blob drill_blob(const struct cp_buf *b)
{
	return (struct tp_blob){b->data, b->len};
}

static inline void drill_offer(struct drill *d, struct tp_pool *pool, int cls, struct tp_offer *ret)
{
	const struct drill_id *tvs = &d->now[CP_TM_TVS], *ccm = &d->now[CP_TM_CALLMANAGER], *capf = &d->now[CP_TM_CAPF_TLS];

	*ret = (struct tp_offer){
		.ctl = d->made ? tp_file(pool, drill_blob(&d->ctl[cls]), true) : NULL,
		.itl = tp_file(pool, drill_blob(&d->itl[cls]), true),
		.config = tp_file(pool, drill_blob(&d->config[cls]), false),
		.tvs = {tvs->der, tvs->der_len},
		.ccm = {ccm->der, ccm->der_len},
		.capf = {capf->der, capf->der_len},
		.tvs_ask = drill_tvs_ask,
		.tvs_verify = drill_tvs_verify,
		.tvs_ctx = d,
	};
	if (ret->itl == NULL || ret->config == NULL || (d->made && ret->ctl == NULL))
		abort(); /* the phone's own parser must read what we write */
}

static X509 *drill_own(void *ctx, const char *name)
{
	struct drill *d = ctx;
	enum cp_tm_ident ident;
	const struct drill_id *id = NULL;
	char base[64];
	size_t n = strlen(name);

	snprintf(base, sizeof(base), "%s", name);
	if (n > 5 && strcmp(name + n - 5, ".prev") == 0)
		base[n - 5] = '\0';
	if (cp_tm_ident_parse(base, &ident) == 0)
		id = strlen(base) == n ? &d->now[ident] : &d->prev[ident];
	if (id == NULL || id->cert == NULL)
		return NULL;
	X509_up_ref(id->cert);
	return id->cert;
}

static inline int drill_world(void *ctx, enum pki_tl_class cls, struct cp_tm_world *ret)
{
	struct drill *d = ctx;
	struct cp_tm_source s = {
		.own = drill_own, .ctx = d, .cls = cls, .mixed = d->mixed, .rollback = d->rollback, .with = cp_tm_with_name(d->with),
		.ctl = d->made ? d->ctl[cls].data : NULL, .ctl_len = d->ctl[cls].len,
		.itl = d->itl[cls].data, .itl_len = d->itl[cls].len, .rec = &d->rec,
	};

	return cp_tm_world_make(&s, ret);
}

#endif
