/* SPDX-License-Identifier: BSD-3-Clause */
#include "cdrrec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fieldtab.h"

/* Tags are forever. */
static const struct cp_field party_fields[] = {
	F(1, CP_F_UINT, cp_cdr_party, kind),
	F(2, CP_F_STR, cp_cdr_party, device),
	F(3, CP_F_STR, cp_cdr_party, endpoint),
	F(4, CP_F_STR, cp_cdr_party, number),
	F(5, CP_F_UINT, cp_cdr_party, line),
	F(6, CP_F_UINT, cp_cdr_party, leg),
	F(7, CP_F_ADDR, cp_cdr_party, media),
	F(8, CP_F_UINT, cp_cdr_party, codec),
	F(9, CP_F_UINT, cp_cdr_party, suite),
	F(10, CP_F_UINT, cp_cdr_party, security),
	F(11, CP_F_UINT, cp_cdr_party, best),
	F(12, CP_F_UINT, cp_cdr_party, worst),
	F(13, CP_F_BOOL, cp_cdr_party, counted),
	F(14, CP_F_UINT, cp_cdr_party, rx_pkts),
	F(15, CP_F_UINT, cp_cdr_party, rx_bytes),
	F(16, CP_F_UINT, cp_cdr_party, rx_lost),
	F(17, CP_F_UINT, cp_cdr_party, tx_pkts),
	F(18, CP_F_UINT, cp_cdr_party, tx_bytes),
	F(19, CP_F_UINT, cp_cdr_party, jitter_us),
	END,
};
static const struct cp_list party_list = {sizeof(struct cp_cdr_party), 2, offsetof(struct cp_cdr, party_cnt), true, party_fields};
static const struct cp_field cdr_fields[] = {
	F(1, CP_F_UINT, cp_cdr, global_id),
	F(2, CP_F_UINT, cp_cdr, joined_id),
	F(3, CP_F_UINT, cp_cdr, call),
	F(4, CP_F_UINT, cp_cdr, origin),
	F(5, CP_F_UINT, cp_cdr, setup_ms),
	F(6, CP_F_UINT, cp_cdr, connect_ms),
	F(7, CP_F_UINT, cp_cdr, end_us),
	F(8, CP_F_STR, cp_cdr, dialled),
	F(9, CP_F_STR, cp_cdr, redirecting),
	F(10, CP_F_UINT, cp_cdr, cause),
	F(11, CP_F_UINT, cp_cdr, released),
	F(12, CP_F_UINT, cp_cdr, security),
	F(13, CP_F_UINT, cp_cdr, best),
	F(14, CP_F_UINT, cp_cdr, worst),
	F(15, CP_F_BOOL, cp_cdr, direct),
	F(16, CP_F_BOOL, cp_cdr, adopted),
	F(18, CP_F_BOOL, cp_cdr, no_sa),
	L(17, cp_cdr, party, &party_list),
	END,
};

int cp_cdr_build(const struct cp_cdr *cdr, struct cp_buf *ret)
{
	if (cdr->global_id == 0 || cdr->party_cnt != 2)
		return -EINVAL;
	return cp_fields_build(CP_KIND_CDR, cdr_fields, cdr, &cdr->unknown, ret);
}

int cp_cdr_parse(const uint8_t *data, size_t len, struct cp_cdr *ret)
{
	int rc = cp_fields_parse(CP_KIND_CDR, cdr_fields, data, len, ret, sizeof(*ret), &ret->unknown);

	if (rc == 0 && (ret->global_id == 0 || ret->party_cnt != 2)) {
		cp_cdr_free(ret);
		rc = -EBADMSG;
	}
	return rc;
}

void cp_cdr_free(struct cp_cdr *cdr)
{
	if (cdr != NULL)
		cp_fields_free(cdr_fields, cdr, sizeof(*cdr), &cdr->unknown);
}

void cp_cdr_key(uint8_t key[CP_CDR_KEY_LEN], int64_t end_us, uint32_t call)
{
	for (unsigned i = 0; i < 8; i++)
		key[i] = (uint8_t)((uint64_t)end_us >> (56 - 8 * i));
	for (unsigned i = 0; i < 4; i++)
		key[8 + i] = (uint8_t)(call >> (24 - 8 * i));
}

const char *cp_cdr_origin_name(uint8_t origin)
{
	static const char *const names[CP_CDR_ORIGINS] = {"", "transfer", "pickup", "park", "shared", "barge", "conference"};

	return origin < CP_CDR_ORIGINS ? names[origin] : "";
}
