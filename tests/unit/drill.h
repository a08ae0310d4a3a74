/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A cluster with real keys and signed files, and phones that boot from it (bench/sim/trustphone.h): what the trust drills
 * are done with. Whether a phone is stranded is seen by letting it boot, never computed.
 */
#ifndef TESTS_DRILL_H
#define TESTS_DRILL_H

#include <stdbool.h>

#include "sgn.h"
#include "trust/model.h"
#include "trust/world.h"
#include "trust_fix.h"
#include "trustphone.h"

#define DRILL_TOKENS 4

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
	struct drill_id token[DRILL_TOKENS]; /* SASTs of the CTL; references of their own */
	unsigned tokens;
	unsigned signer;                     /* of them */
	X509 *ccm_in_ctl;                    /* the CTL names this CallManager */
	uint32_t stamp, itl_stamp;
	struct cp_buf ctl[PKI_CLASS_MAX], itl[PKI_CLASS_MAX], config[PKI_CLASS_MAX];
	struct pki_tl_entry entry[32];       /* of the CTL that ctl_plan made */
	unsigned entries;
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

static inline void drill_entry(struct pki_tl_entry *e, unsigned *n, uint16_t role, X509 *cert)
{
	if (cert != NULL)
		e[(*n)++] = (struct pki_tl_entry){.role = role, .cert = cert};
}

static inline void drill_itl(struct drill *d)
{
	struct drill_id *tftp = &d->now[CP_TM_TFTP], *prev = &d->prev[CP_TM_TFTP], *rec = &d->now[CP_TM_ITLRECOVERY];
	struct drill_id *signer = tftp, *second = rec;
	struct pki_tl_entry e[16];
	unsigned n = 0;

	if (d->with == CP_TM_WITH_RECOVERY) {
		signer = rec;
		second = tftp;
	} else if (d->with != CP_TM_WITH_TFTP && prev->cert != NULL) {
		signer = prev;
		second = tftp;
	}
	if (d->rollback) {
		e[n++] = (struct pki_tl_entry){.role = PKI_TL_TFTP};
		e[n++] = (struct pki_tl_entry){.role = PKI_TL_TVS};
	} else {
		drill_entry(e, &n, PKI_TL_SAST, signer->cert);
		drill_entry(e, &n, PKI_TL_SAST, second->cert);
		drill_entry(e, &n, PKI_TL_TFTP, tftp->cert);
		drill_entry(e, &n, PKI_TL_TFTP, prev->cert);
		drill_entry(e, &n, PKI_TL_TVS, d->now[CP_TM_TVS].cert);
		drill_entry(e, &n, PKI_TL_CAPF, d->now[CP_TM_CAPF].cert);
		drill_entry(e, &n, PKI_TL_CAPF, d->now[CP_TM_CAPF_TLS].cert);
		if (d->mixed && (d->ccm_in_ctl == NULL || X509_cmp(d->ccm_in_ctl, d->now[CP_TM_CALLMANAGER].cert) != 0))
			drill_entry(e, &n, PKI_TL_CCM, d->now[CP_TM_CALLMANAGER].cert);
	}
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		struct pki_tl_opts o = {.kind = PKI_TL_ITL, .cls = (enum pki_tl_class)cls, .signer = signer->cert};
		struct cp_buf b;

		o.timestamp = d->itl_stamp;
		fix_list(&o, signer->key, e, n, &b); /* the same as before? then there is nothing to publish */
		if (cls == 1 && b.len == d->itl[cls].len && memcmp(b.data, d->itl[cls].data, b.len) == 0) {
			OPENSSL_free(b.data);
			return;
		}
		if (cls == 1) {
			OPENSSL_free(b.data);
			o.timestamp = d->itl_stamp = ++d->stamp;
			fix_list(&o, signer->key, e, n, &b);
		}
		drill_buf_set(&d->itl[cls], b);
	}
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

/* The identity of a token, -1: none; *was: of yesterday. */
static inline int drill_token_ident(const struct drill *d, const struct drill_id *t, bool *was)
{
	for (int i = 0; i < CP_TM_IDENTS; i++) {
		*was = false;
		if (drill_same(&d->now[i], t))
			return i;
		*was = true;
		if (drill_same(&d->prev[i], t))
			return i;
	}
	return -1;
}

/* Who signs the next CTL, as ctlop.c chooses: false, nobody can. */
static inline bool drill_ctl_signer(struct drill *d)
{
	int best = -1, score = 0;

	for (unsigned i = 0; i < d->tokens; i++) {
		bool was;
		int s;

		if (drill_token_ident(d, &d->token[i], &was) < 0)
			continue;
		s = 1 + 4 * !was + 2 * (i == d->signer);
		if (s > score) {
			score = s;
			best = (int)i;
		}
	}
	if (best < 0)
		return false;
	d->signer = (unsigned)best;
	return true;
}

/* Made anew tokens take the places of the old; the one that signs stays for this once. */
static inline void drill_ctl_refresh(struct drill *d)
{
	struct drill_id old[DRILL_TOKENS], with = d->token[d->signer];
	unsigned n = d->tokens;

	memcpy(old, d->token, sizeof(old));
	d->tokens = 0;
	for (unsigned i = 0; i < n; i++) {
		bool was, there = false;
		int ident = drill_token_ident(d, &old[i], &was);

		if (was && ident >= 0 && i == d->signer)
			d->token[d->tokens++] = drill_id_ref(&old[i]);
		for (unsigned k = 0; ident >= 0 && k < d->tokens; k++)
			there = there || drill_same(&d->token[k], &d->now[ident]);
		if (!there && d->tokens < DRILL_TOKENS)
			d->token[d->tokens++] = drill_id_ref(ident >= 0 ? &d->now[ident] : &old[i]);
	}
	for (unsigned i = 0; i < d->tokens; i++)
		if (drill_same(&d->token[i], &with))
			d->signer = i;
	for (unsigned i = 0; i < n; i++)
		drill_id_free(&old[i]);
}

static inline void drill_ctl(struct drill *d)
{
	struct drill_id *signer = &d->token[d->signer];
	struct pki_tl_entry *e = d->entry;
	unsigned n = 0;

	for (unsigned i = 0; i < d->tokens; i++)
		drill_entry(e, &n, PKI_TL_SAST, d->token[i].cert);
	drill_entry(e, &n, PKI_TL_CCM, d->now[CP_TM_CALLMANAGER].cert);
	drill_entry(e, &n, PKI_TL_TFTP, d->now[CP_TM_TFTP].cert);
	drill_entry(e, &n, PKI_TL_CAPF, d->now[CP_TM_CAPF].cert);
	drill_entry(e, &n, PKI_TL_CAPF, d->now[CP_TM_CAPF_TLS].cert);
	for (unsigned i = 0; !d->mixed && i < n; i++)
		e[i].cert = NULL;
	d->entries = n;
	X509_free(d->ccm_in_ctl);
	d->ccm_in_ctl = d->mixed ? d->now[CP_TM_CALLMANAGER].cert : NULL;
	if (d->ccm_in_ctl != NULL)
		X509_up_ref(d->ccm_in_ctl);
	d->stamp++;
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		struct pki_tl_opts o = {.kind = PKI_TL_CTL, .cls = (enum pki_tl_class)cls, .signer = signer->cert, .timestamp = d->stamp};
		struct cp_buf b;

		fix_list(&o, signer->key, e, n, &b);
		drill_buf_set(&d->ctl[cls], b);
	}
	d->made = true;
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
		ok = d->made && d->mixed && drill_ctl_signer(d);
		if (ok) {
			drill_ctl_refresh(d);
			drill_ctl(d);
		}
		break;
	case CP_TM_MIXED:
		ok = !d->mixed;
		if (!ok)
			break;
		for (unsigned i = 0; i < d->tokens; i++)
			drill_id_free(&d->token[i]);
		d->token[0] = drill_id_ref(&d->now[CP_TM_SAST1]);
		d->token[1] = drill_id_ref(&d->now[CP_TM_SAST2]);
		d->tokens = 2;
		d->signer = 0;
		d->mixed = true;
		drill_ctl(d);
		break;
	case CP_TM_NONSECURE:
		ok = d->mixed && drill_ctl_signer(d);
		if (ok) {
			d->mixed = false;
			drill_ctl(d);
		}
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
	for (unsigned i = 0; i < d->tokens; i++)
		drill_id_free(&d->token[i]);
	X509_free(d->ccm_in_ctl);
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
	for (unsigned i = 0; i < d->tokens; i++)
		c->token[i] = drill_id_ref(&d->token[i]);
	if (c->ccm_in_ctl != NULL)
		X509_up_ref(c->ccm_in_ctl);
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

static inline X509 *drill_own(void *ctx, const char *name)
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
		.itl = d->itl[cls].data, .itl_len = d->itl[cls].len, .known_cnt = d->tokens,
	};
	X509 *known[DRILL_TOKENS];

	for (unsigned i = 0; i < d->tokens; i++)
		known[i] = d->token[i].cert;
	s.known = known;
	return cp_tm_world_make(&s, ret);
}

#endif
