/* SPDX-License-Identifier: BSD-3-Clause */
/* Records of the trust ledger: families ledger and trust. Encoding and rules: store/records.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ledger.h"
#include "store/fieldtab.h"

#define HASH 32

struct wire_rec { /* hashes as bytes that may be absent */
	char device[16];
	struct cp_buf ctl, itl, lsc, ccm;
	uint8_t ctl_how, itl_how;
	int64_t ctl_us, itl_us, lsc_us, lsc_expires_us, ccm_us, seen_us;
	bool blank;
};

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

static bool rec_ok(const struct cp_ledger_rec *r)
{
	return cp_device_name_ok(r->device) && times_ok(r) && r->ctl_how <= CP_LEDGER_CAPF && r->itl_how <= CP_LEDGER_CAPF &&
	       !(r->blank && (r->has_ctl || r->has_itl));
}

int cp_ledger_rec_build(const struct cp_ledger_rec *r, struct cp_buf *ret)
{
	struct wire_rec w = {
		.ctl_how = r->ctl_how, .itl_how = r->itl_how, .ctl_us = r->ctl_us, .itl_us = r->itl_us, .lsc_us = r->lsc_us,
		.lsc_expires_us = r->lsc_expires_us, .ccm_us = r->ccm_us, .seen_us = r->seen_us, .blank = r->blank,
	};

	if (!rec_ok(r))
		return -EINVAL;
	memcpy(w.device, r->device, sizeof(w.device));
	if (r->has_ctl)
		w.ctl = (struct cp_buf){(uint8_t *)(uintptr_t)r->ctl, HASH};
	if (r->has_itl)
		w.itl = (struct cp_buf){(uint8_t *)(uintptr_t)r->itl, HASH};
	if (r->has_lsc)
		w.lsc = (struct cp_buf){(uint8_t *)(uintptr_t)r->lsc, HASH};
	if (r->has_ccm)
		w.ccm = (struct cp_buf){(uint8_t *)(uintptr_t)r->ccm, HASH};
	return cp_fields_build(CP_KIND_LEDGER, rec_fields, &w, &r->unknown, ret);
}

static bool take(const struct cp_buf *b, uint8_t hash[HASH], bool *has)
{
	*has = b->len == HASH;
	if (*has)
		memcpy(hash, b->data, HASH);
	return b->len == HASH || b->len == 0;
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
	if (!take(&w.ctl, r.ctl, &r.has_ctl) || !take(&w.itl, r.itl, &r.has_itl) || !take(&w.lsc, r.lsc, &r.has_lsc) ||
	    !take(&w.ccm, r.ccm, &r.has_ccm) || !rec_ok(&r))
		rc = -EBADMSG;
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
