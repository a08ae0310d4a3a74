/* SPDX-License-Identifier: BSD-3-Clause */
/* Records of the trust ledger: families ledger and trust. Encoding and rules: store/records.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ledger.h"
#include "store/fieldtab.h"

#define HASH 32

struct wire_claim {
	struct cfg_addr from;
	struct cp_buf ctl, itl;
	int64_t us;
};

struct wire_rec { /* hashes as bytes that may be absent */
	char device[16];
	struct cp_buf ctl, itl, lsc, ccm;
	uint8_t ctl_how, itl_how;
	int64_t ctl_us, itl_us, lsc_us, lsc_expires_us, ccm_us, seen_us;
	bool blank, vague;
	uint8_t doubt;
	struct wire_claim *claim;
	unsigned claim_cnt;
};

static const struct cp_field claim_fields[] = {
	F(1, CP_F_ADDR, wire_claim, from),
	F(2, CP_F_BUF, wire_claim, ctl),
	F(3, CP_F_BUF, wire_claim, itl),
	F(4, CP_F_UINT, wire_claim, us),
	END,
};
static const struct cp_list claim_list = {sizeof(struct wire_claim), CP_LEDGER_CLAIMS, offsetof(struct wire_rec, claim_cnt), false,
					  claim_fields};

/* Tags are forever. */
static const struct cp_field rec_fields[] = {
	F(1, CP_F_STR, wire_rec, device),
	F(2, CP_F_BUF, wire_rec, ctl),
	F(3, CP_F_UINT, wire_rec, ctl_how),
	F(4, CP_F_UINT, wire_rec, ctl_us),
	F(5, CP_F_BUF, wire_rec, itl),
	F(6, CP_F_UINT, wire_rec, itl_how),
	F(7, CP_F_UINT, wire_rec, itl_us),
	F(8, CP_F_BUF, wire_rec, lsc),
	F(9, CP_F_UINT, wire_rec, lsc_us),
	F(10, CP_F_UINT, wire_rec, lsc_expires_us),
	F(11, CP_F_BUF, wire_rec, ccm),
	F(12, CP_F_UINT, wire_rec, ccm_us),
	F(13, CP_F_UINT, wire_rec, seen_us),
	F(14, CP_F_BOOL, wire_rec, blank),
	F(15, CP_F_UINT, wire_rec, doubt),
	F(16, CP_F_BOOL, wire_rec, vague),
	{17, CP_F_LIST, 0, offsetof(struct wire_rec, claim), &claim_list},
	END,
};

static const struct cp_field file_fields[] = {
	F(1, CP_F_UINT, cp_ledger_file, kind),
	F(2, CP_F_UINT, cp_ledger_file, first_us),
	F(3, CP_F_BUF, cp_ledger_file, file),
	END,
};

static bool times_ok(const struct cp_ledger_rec *r)
{
	return r->ctl_us >= 0 && r->itl_us >= 0 && r->lsc_us >= 0 && r->lsc_expires_us >= 0 && r->ccm_us >= 0 && r->seen_us >= 0;
}

static bool claims_ok(const struct cp_ledger_rec *r)
{
	bool ok = r->claim_cnt <= CP_LEDGER_CLAIMS;

	for (unsigned i = 0; ok && i < r->claim_cnt; i++)
		ok = (r->claim[i].has_ctl || r->claim[i].has_itl) && r->claim[i].us >= 0;
	return ok;
}

static bool rec_ok(const struct cp_ledger_rec *r)
{
	return cp_device_name_ok(r->device) && times_ok(r) && r->ctl_how <= CP_LEDGER_CAPF && r->itl_how <= CP_LEDGER_CAPF &&
	       !(r->blank && (r->has_ctl || r->has_itl)) && r->doubt <= (CP_LEDGER_DOUBT_CTL | CP_LEDGER_DOUBT_ITL) && claims_ok(r);
}

static struct cp_buf hash_of(bool has, const uint8_t hash[HASH])
{
	return has ? (struct cp_buf){(uint8_t *)(uintptr_t)hash, HASH} : (struct cp_buf){0};
}

int cp_ledger_rec_build(const struct cp_ledger_rec *r, struct cp_buf *ret)
{
	struct wire_claim claim[CP_LEDGER_CLAIMS];
	struct wire_rec w = {
		.ctl_how = r->ctl_how, .itl_how = r->itl_how, .ctl_us = r->ctl_us, .itl_us = r->itl_us, .lsc_us = r->lsc_us,
		.lsc_expires_us = r->lsc_expires_us, .ccm_us = r->ccm_us, .seen_us = r->seen_us, .blank = r->blank,
		.ctl = hash_of(r->has_ctl, r->ctl), .itl = hash_of(r->has_itl, r->itl), .lsc = hash_of(r->has_lsc, r->lsc),
		.ccm = hash_of(r->has_ccm, r->ccm), .doubt = r->doubt, .vague = r->vague, .claim = claim, .claim_cnt = r->claim_cnt,
	};

	if (!rec_ok(r))
		return -EINVAL;
	memcpy(w.device, r->device, sizeof(w.device));
	for (unsigned i = 0; i < r->claim_cnt; i++)
		claim[i] = (struct wire_claim){r->claim[i].from, hash_of(r->claim[i].has_ctl, r->claim[i].ctl),
					       hash_of(r->claim[i].has_itl, r->claim[i].itl), r->claim[i].us};
	return cp_fields_build(CP_KIND_LEDGER, rec_fields, &w, &r->unknown, ret);
}

static bool take(const struct cp_buf *b, uint8_t hash[HASH], bool *has)
{
	*has = b->len == HASH;
	if (*has)
		memcpy(hash, b->data, HASH);
	return b->len == HASH || b->len == 0;
}

static int take_claims(const struct wire_rec *w, struct cp_ledger_rec *r)
{
	bool ok = true;

	r->claim = w->claim_cnt > 0 ? calloc(w->claim_cnt, sizeof(*r->claim)) : NULL;
	if (w->claim_cnt > 0 && r->claim == NULL)
		return -ENOMEM;
	r->claim_cnt = w->claim_cnt;
	for (unsigned i = 0; i < w->claim_cnt; i++) {
		struct cp_ledger_claim *c = &r->claim[i];

		c->from = w->claim[i].from;
		c->us = w->claim[i].us;
		ok = take(&w->claim[i].ctl, c->ctl, &c->has_ctl) && take(&w->claim[i].itl, c->itl, &c->has_itl) && ok;
	}
	return ok ? 0 : -EBADMSG;
}

int cp_ledger_rec_parse(const uint8_t *data, size_t len, struct cp_ledger_rec *ret)
{
	struct cp_ledger_rec r = {0};
	struct wire_rec w;
	int rc = cp_fields_parse(CP_KIND_LEDGER, rec_fields, data, len, &w, sizeof(w), &r.unknown);

	if (rc < 0)
		return rc;
	memcpy(r.device, w.device, sizeof(r.device));
	r.ctl_how = w.ctl_how;
	r.itl_how = w.itl_how;
	r.ctl_us = w.ctl_us;
	r.itl_us = w.itl_us;
	r.lsc_us = w.lsc_us;
	r.lsc_expires_us = w.lsc_expires_us;
	r.ccm_us = w.ccm_us;
	r.seen_us = w.seen_us;
	r.blank = w.blank;
	r.doubt = w.doubt;
	r.vague = w.vague;
	rc = take_claims(&w, &r);
	if (rc < 0 || !take(&w.ctl, r.ctl, &r.has_ctl) || !take(&w.itl, r.itl, &r.has_itl) || !take(&w.lsc, r.lsc, &r.has_lsc) ||
	    !take(&w.ccm, r.ccm, &r.has_ccm) || !rec_ok(&r))
		rc = rc < 0 ? rc : -EBADMSG;
	cp_fields_free(rec_fields, &w, sizeof(w), NULL);
	if (rc < 0)
		cp_ledger_rec_free(&r);
	else
		*ret = r;
	return rc;
}

void cp_ledger_rec_free(struct cp_ledger_rec *r)
{
	free(r->unknown.data);
	free(r->claim);
	memset(r, 0, sizeof(*r));
}

static bool file_ok(const struct cp_ledger_file *r)
{
	return (r->kind == PKI_TL_CTL || r->kind == PKI_TL_ITL) && r->first_us >= 0 && r->file.len > 0;
}

int cp_ledger_file_build(const struct cp_ledger_file *rec, struct cp_buf *ret)
{
	return file_ok(rec) ? cp_fields_build(CP_KIND_LIST, file_fields, rec, &rec->unknown, ret) : -EINVAL;
}

int cp_ledger_file_parse(const uint8_t *data, size_t len, struct cp_ledger_file *ret)
{
	struct cp_ledger_file r;
	int rc;

	memset(&r, 0, sizeof(r));
	rc = cp_fields_parse(CP_KIND_LIST, file_fields, data, len, &r, sizeof(r), &r.unknown);
	if (rc == 0 && !file_ok(&r)) {
		cp_ledger_file_free(&r);
		rc = -EBADMSG;
	}
	if (rc == 0)
		*ret = r;
	return rc;
}

void cp_ledger_file_free(struct cp_ledger_file *rec)
{
	cp_fields_free(file_fields, rec, sizeof(*rec), &rec->unknown);
}
