/* SPDX-License-Identifier: BSD-3-Clause */
#include "trustphone.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define RECS 64

enum { R_SAST = 0, R_CCM = 1, R_CCM_TFTP = 2, R_TFTP = 3, R_CAPF = 4, R_TVS = 21 };
#define BIT(r) (1u << (r))

struct rec {
	unsigned role;
	struct tp_blob cert, serial;
	const char *issuer;
};

struct tp_list {
	struct tp_list *next;
	uint8_t sha[32];
	uint8_t *file;
	size_t len;
	/* header */
	size_t header, sig_at; /* of the whole signature TLV */
	struct tp_blob sig, serial;
	const char *issuer;
	unsigned digest;
	unsigned cnt;
	struct rec rec[RECS];
};

struct check {
	struct check *next;
	uint8_t file[32], cert[32];
	bool good;
};

struct tp_pool {
	struct tp_list *lists;
	struct check *checks;
	unsigned check_cnt;
};

struct tp_pool *tp_pool_create(void)
{
	return calloc(1, sizeof(struct tp_pool));
}

void tp_pool_destroy(struct tp_pool *p)
{
	if (p == NULL)
		return;
	while (p->lists != NULL) {
		struct tp_list *l = p->lists;

		p->lists = l->next;
		free(l->file);
		free(l);
	}
	while (p->checks != NULL) {
		struct check *c = p->checks;

		p->checks = c->next;
		free(c);
	}
	free(p);
}

const uint8_t *tp_list_sha(const struct tp_list *l)
{
	return l->sha;
}

unsigned tp_pool_checks(const struct tp_pool *p)
{
	return p->check_cnt;
}

/* --- files --- */

/* One tag. A header's containers are walked into (a record's 3, 7 and 9 are none). False: the end, or nonsense (then *at is moved behind the end). */
static bool tag(const uint8_t *f, bool header, size_t *at, size_t end, unsigned *t, struct tp_blob *v)
{
	while (header && *at < end && f[*at] == 13) /* padding */
		(*at)++;
	if (*at >= end)
		return false;
	if (end - *at < 3) {
		*at = end + 1;
		return false;
	}
	*t = f[*at];
	v->len = sim_be16(f + *at + 1);
	v->p = f + *at + 3;
	if (header && (*t == 3 || *t == 7 || *t == 9)) {
		*at += 3;
		return true;
	}
	if (v->len > end - *at - 3) {
		*at = end + 1;
		return false;
	}
	*at += 3 + v->len;
	return true;
}

static const char *text(struct tp_blob v)
{
	return v.len > 0 && v.p[v.len - 1] == 0 ? (const char *)v.p : NULL;
}

static bool read_header(struct tp_list *l)
{
	struct tp_blob v;
	size_t at = 0;
	unsigned t = 0;

	if (l->len < 10 || l->file[0] != 1 || sim_be16(l->file + 1) != 2 || l->file[5] != 2 || sim_be16(l->file + 6) != 2)
		return false;
	l->header = sim_be16(l->file + 8);
	if (l->header < 10 || l->header > l->len)
		return false;
	at = 10;
	while (tag(l->file, true, &at, l->header, &t, &v)) {
		switch (t) {
		case 5:
			l->serial = v;
			break;
		case 6:
			l->issuer = text(v);
			break;
		case 8:
			l->digest = v.len == 1 ? v.p[0] : 0;
			break;
		case 12:
			l->sig = v;
			l->sig_at = (size_t)(v.p - l->file) - 3;
			break;
		default:
			break;
		}
	}
	return at == l->header && l->sig.p != NULL && l->serial.p != NULL && l->issuer != NULL;
}

static bool read_records(struct tp_list *l)
{
	size_t at = l->header;

	while (at < l->len) {
		struct rec *r = &l->rec[l->cnt];
		size_t end, in = at + 5;
		struct tp_blob v;
		unsigned t;

		if (l->cnt == RECS || l->len - at < 5 || l->file[at] != 1 || sim_be16(l->file + at + 1) != 2)
			return false;
		end = at + sim_be16(l->file + at + 3);
		if (end < in || end > l->len)
			return false;
		*r = (struct rec){.role = 0xffff};
		while (tag(l->file, false, &in, end, &t, &v)) {
			switch (t) {
			case 4:
				r->role = v.len == 2 ? sim_be16(v.p) : 0xffff;
				break;
			case 5:
				r->issuer = text(v);
				break;
			case 6:
				r->serial = v;
				break;
			case 9:
				r->cert = v;
				break;
			default: /* names, key and signature: the certificate has them too */
				break;
			}
		}
		if (in != end)
			return false;
		l->cnt++;
		at = end;
	}
	return true;
}

const struct tp_list *tp_file(struct tp_pool *p, struct tp_blob file, bool list)
{
	struct tp_list *l;
	uint8_t sha[32];

	SHA256(file.p, file.len, sha);
	for (l = p->lists; l != NULL; l = l->next)
		if (memcmp(l->sha, sha, 32) == 0)
			return l;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	l->file = malloc(file.len > 0 ? file.len : 1);
	if (l->file == NULL) {
		free(l);
		return NULL;
	}
	memcpy(l->file, file.p, file.len);
	memcpy(l->sha, sha, 32);
	l->len = file.len;
	if (!read_header(l) || (list && !read_records(l))) {
		free(l->file);
		free(l);
		return NULL;
	}
	l->next = p->lists;
	p->lists = l;
	return l;
}

/* --- believing --- */

static bool verify(const struct tp_list *l, struct tp_blob der)
{
	const EVP_MD *md = l->digest == 1 ? EVP_sha1() : l->digest == 2 ? EVP_sha256() : l->digest == 3 ? EVP_sha512() : NULL;
	const uint8_t *p = der.p;
	X509 *cert = d2i_X509(NULL, &p, (long)der.len);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t behind = l->sig_at + 3 + l->sig.len;
	bool ok;

	ok = md != NULL && cert != NULL && ctx != NULL &&
	     EVP_DigestVerifyInit(ctx, NULL, md, NULL, X509_get0_pubkey(cert)) == 1 &&
	     EVP_DigestVerifyUpdate(ctx, l->file, l->sig_at) == 1 &&
	     EVP_DigestVerifyUpdate(ctx, l->file + behind, l->len - behind) == 1 &&
	     EVP_DigestVerifyFinal(ctx, l->sig.p, l->sig.len) == 1;
	EVP_MD_CTX_free(ctx);
	X509_free(cert);
	return ok;
}

static bool signature(struct tp_pool *p, const struct tp_list *l, struct tp_blob der)
{
	struct check *c;
	uint8_t sha[32];

	SHA256(der.p, der.len, sha);
	for (c = p->checks; c != NULL; c = c->next)
		if (memcmp(c->file, l->sha, 32) == 0 && memcmp(c->cert, sha, 32) == 0)
			return c->good;
	c = malloc(sizeof(*c));
	if (c == NULL)
		return false;
	memcpy(c->file, l->sha, 32);
	memcpy(c->cert, sha, 32);
	c->good = verify(l, der);
	c->next = p->checks;
	p->checks = c;
	p->check_cnt++;
	return c->good;
}

static unsigned role_bit(const struct rec *r)
{
	return r->cert.p != NULL && r->role < 32 ? BIT(r->role) : 0;
}

static bool any(const struct tp_list *l, unsigned roles)
{
	for (unsigned i = 0; l != NULL && i < l->cnt; i++)
		if (role_bit(&l->rec[i]) & roles)
			return true;
	return false;
}

/* The record of the signer that 'f' names. */
static const struct rec *signer_in(const struct tp_list *l, const struct tp_list *f, unsigned roles)
{
	for (unsigned i = 0; l != NULL && i < l->cnt; i++) {
		const struct rec *r = &l->rec[i];

		if ((role_bit(r) & roles) && r->serial.len == f->serial.len &&
		    memcmp(r->serial.p, f->serial.p, f->serial.len) == 0 && r->issuer != NULL && strcmp(r->issuer, f->issuer) == 0)
			return r;
	}
	return NULL;
}

static bool holds_cert(const struct tp_list *l, struct tp_blob der, unsigned roles)
{
	for (unsigned i = 0; l != NULL && i < l->cnt; i++)
		if ((role_bit(&l->rec[i]) & roles) && l->rec[i].cert.len == der.len &&
		    memcmp(l->rec[i].cert.p, der.p, der.len) == 0)
			return true;
	return false;
}

/* TLS with TVS comes about. */
static bool tvs_up(const struct tp_phone *ph, const struct tp_offer *o)
{
	return o->tvs.p != NULL && (holds_cert(ph->itl, o->tvs, BIT(R_TVS)) || holds_cert(ph->ctl, o->tvs, BIT(R_TVS)));
}

static bool says_role(const struct tp_tvs_answer *a, unsigned roles)
{
	for (unsigned i = 0; i < a->role_cnt; i++)
		if (a->roles[i] < 32 && (BIT(a->roles[i]) & roles))
			return true;
	return false;
}

static bool file_good(struct tp_pool *p, const struct tp_phone *ph, const struct tp_offer *o, const struct tp_list *f,
		      unsigned in_ctl, unsigned in_itl, unsigned by_tvs)
{
	const struct rec *r = signer_in(ph->ctl, f, in_ctl);
	struct tp_tvs_answer a;

	if (r == NULL)
		r = signer_in(ph->itl, f, in_itl);
	if (r != NULL)
		return signature(p, f, r->cert);
	return tvs_up(ph, o) && o->tvs_ask(o->tvs_ctx, f->serial.p, f->serial.len, f->issuer, &a) && says_role(&a, by_tvs) &&
	       signature(p, f, a.der);
}

static bool server_good(const struct tp_phone *ph, const struct tp_offer *o, struct tp_blob der, unsigned roles)
{
	struct tp_tvs_answer a;

	if (der.p == NULL)
		return false;
	return holds_cert(ph->ctl, der, roles) || holds_cert(ph->itl, der, roles) ||
	       (tvs_up(ph, o) && o->tvs_verify(o->tvs_ctx, der, &a) && says_role(&a, roles));
}

#define LIST_KEYS (BIT(R_SAST) | BIT(R_CCM_TFTP))
#define FILE_KEYS (BIT(R_TFTP) | BIT(R_CCM_TFTP))

void tp_boot(struct tp_pool *p, struct tp_phone *ph, const struct tp_offer *o)
{
	ph->took_ctl = ph->took_itl = ph->bad_ctl = ph->bad_itl = false;
	if (o->ctl != NULL && o->ctl != ph->ctl) {
		bool first = !any(ph->ctl, LIST_KEYS | FILE_KEYS);

		if (first || file_good(p, ph, o, o->ctl, BIT(R_SAST), 0, BIT(R_SAST))) {
			ph->ctl = o->ctl;
			ph->took_ctl = true;
		} else {
			ph->bad_ctl = true;
		}
	}
	if (o->itl != NULL && o->itl != ph->itl) {
		bool first = !any(ph->ctl, LIST_KEYS | FILE_KEYS) && !any(ph->itl, LIST_KEYS | FILE_KEYS);

		if (first || file_good(p, ph, o, o->itl, LIST_KEYS | BIT(R_TFTP), LIST_KEYS, LIST_KEYS)) {
			ph->itl = o->itl;
			ph->took_itl = true;
		} else {
			ph->bad_itl = true;
		}
	}
	ph->config_ok = true;
	if (any(ph->ctl, FILE_KEYS) || any(ph->itl, FILE_KEYS))
		ph->config_ok = o->config != NULL && file_good(p, ph, o, o->config, FILE_KEYS, FILE_KEYS, FILE_KEYS);
	ph->ccm_ok = true;
	if (ph->secure && (any(ph->ctl, BIT(R_CCM) | BIT(R_CCM_TFTP)) || any(ph->itl, BIT(R_CCM) | BIT(R_CCM_TFTP))))
		ph->ccm_ok = server_good(ph, o, o->ccm, BIT(R_CCM) | BIT(R_CCM_TFTP));
	ph->capf_ok = true;
	if (any(ph->ctl, LIST_KEYS | FILE_KEYS) || any(ph->itl, LIST_KEYS | FILE_KEYS))
		ph->capf_ok = server_good(ph, o, o->capf, BIT(R_CAPF));
}

bool tp_settle(struct tp_pool *p, struct tp_phone *ph, const struct tp_offer *o, unsigned tries)
{
	for (unsigned i = 0; i < tries; i++) {
		tp_boot(p, ph, o);
		if (!ph->took_ctl && !ph->took_itl)
			break;
	}
	return (o->ctl == NULL || ph->ctl == o->ctl) && (o->itl == NULL || ph->itl == o->itl) && ph->config_ok && ph->ccm_ok &&
	       ph->capf_ok;
}
