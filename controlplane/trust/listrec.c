/* SPDX-License-Identifier: BSD-3-Clause */
#include "listrec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/fieldtab.h"
#include "trustlist.h"

static const struct cp_field token_fields[] = {
	F(1, CP_F_STR, cp_ctl_token, name),
	F(2, CP_F_UINT, cp_ctl_token, origin),
	F(3, CP_F_BOOL, cp_ctl_token, in_file),
	F(4, CP_F_BUF, cp_ctl_token, cert),
	END,
};
static const struct cp_list token_list = {sizeof(struct cp_ctl_token), CP_CTL_TOKENS_MAX,
					  offsetof(struct cp_ctl_rec, token_cnt), false, token_fields};
static const struct cp_field tftp_fields[] = {
	F(1, CP_F_STR, cp_ctl_tftp, host),
	F(2, CP_F_ADDR, cp_ctl_tftp, address),
	F(3, CP_F_BUF, cp_ctl_tftp, cert),
	END,
};
static const struct cp_list tftp_list = {sizeof(struct cp_ctl_tftp), CP_CTL_TOKENS_MAX, offsetof(struct cp_ctl_rec, tftp_cnt),
					 false, tftp_fields};
static const struct cp_field extra_fields[] = {
	F(1, CP_F_UINT, cp_ctl_extra, role),
	F(2, CP_F_STR, cp_ctl_extra, host),
	F(3, CP_F_BUF, cp_ctl_extra, cert),
	END,
};
static const struct cp_list extra_list = {sizeof(struct cp_ctl_extra), CP_CTL_TOKENS_MAX,
					  offsetof(struct cp_ctl_rec, extra_cnt), false, extra_fields};
static const struct cp_field file_fields[] = {
	F(1, CP_F_UINT, cp_list_file, cls),
	F(2, CP_F_BUF, cp_list_file, data),
	END,
};
static const struct cp_list ctl_file_list = {sizeof(struct cp_list_file), PKI_CLASS_MAX,
					     offsetof(struct cp_ctl_rec, file_cnt), false, file_fields};
static const struct cp_list itl_file_list = {sizeof(struct cp_list_file), PKI_CLASS_MAX,
					     offsetof(struct cp_itl_rec, file_cnt), false, file_fields};

/* Tags are forever. */
static const struct cp_field ctl_fields[] = {
	F(1, CP_F_BOOL, cp_ctl_rec, made),
	F(2, CP_F_UINT, cp_ctl_rec, mode),
	F(3, CP_F_UINT, cp_ctl_rec, serial),
	F(4, CP_F_UINT, cp_ctl_rec, timestamp),
	F(5, CP_F_STR, cp_ctl_rec, signer),
	F(6, CP_F_STR, cp_ctl_rec, changed_by),
	F(7, CP_F_UINT, cp_ctl_rec, changed_us),
	L(8, cp_ctl_rec, tokens, &token_list),
	L(9, cp_ctl_rec, tftps, &tftp_list),
	L(10, cp_ctl_rec, extras, &extra_list),
	L(11, cp_ctl_rec, files, &ctl_file_list),
	END,
};
static const struct cp_field itl_fields[] = {
	F(1, CP_F_STR, cp_itl_rec, sign_with),
	F(2, CP_F_BOOL, cp_itl_rec, rollback),
	F(3, CP_F_UINT, cp_itl_rec, timestamp),
	F(4, CP_F_STR, cp_itl_rec, signer),
	F(5, CP_F_UINT, cp_itl_rec, changed_us),
	L(6, cp_itl_rec, files, &itl_file_list),
	END,
};

int cp_ctl_rec_build(const struct cp_ctl_rec *rec, struct cp_buf *ret)
{
	return cp_fields_build(CP_KIND_CTL, ctl_fields, rec, &rec->unknown, ret);
}

int cp_ctl_rec_parse(const uint8_t *data, size_t len, struct cp_ctl_rec *ret)
{
	int rc = cp_fields_parse(CP_KIND_CTL, ctl_fields, data, len, ret, sizeof(*ret), &ret->unknown);

	if (rc == 0 && ret->mode > 1) {
		cp_ctl_rec_free(ret);
		return -EBADMSG;
	}
	return rc;
}

void cp_ctl_rec_free(struct cp_ctl_rec *rec)
{
	cp_fields_free(ctl_fields, rec, sizeof(*rec), &rec->unknown);
}

int cp_ctl_rec_copy(const struct cp_ctl_rec *rec, struct cp_ctl_rec *ret)
{
	struct cp_buf b;
	int rc = cp_ctl_rec_build(rec, &b);

	if (rc == 0) {
		rc = cp_ctl_rec_parse(b.data, b.len, ret);
		free(b.data);
	}
	return rc;
}

int cp_itl_rec_build(const struct cp_itl_rec *rec, struct cp_buf *ret)
{
	return cp_fields_build(CP_KIND_ITL, itl_fields, rec, &rec->unknown, ret);
}

int cp_itl_rec_parse(const uint8_t *data, size_t len, struct cp_itl_rec *ret)
{
	return cp_fields_parse(CP_KIND_ITL, itl_fields, data, len, ret, sizeof(*ret), &ret->unknown);
}

void cp_itl_rec_free(struct cp_itl_rec *rec)
{
	cp_fields_free(itl_fields, rec, sizeof(*rec), &rec->unknown);
}

int cp_itl_rec_copy(const struct cp_itl_rec *rec, struct cp_itl_rec *ret)
{
	struct cp_buf b;
	int rc = cp_itl_rec_build(rec, &b);

	if (rc == 0) {
		rc = cp_itl_rec_parse(b.data, b.len, ret);
		free(b.data);
	}
	return rc;
}

int cp_list_file_set(struct cp_list_file **files, unsigned *cnt, uint8_t cls, const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	struct cp_list_file *f = NULL;

	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, data, len);
	for (unsigned i = 0; i < *cnt; i++)
		if ((*files)[i].cls == cls)
			f = &(*files)[i];
	if (f == NULL) {
		f = realloc(*files, (*cnt + 1) * sizeof(*f));
		if (f == NULL) {
			free(copy);
			return -ENOMEM;
		}
		*files = f;
		f += (*cnt)++;
		*f = (struct cp_list_file){.cls = cls};
	}
	free(f->data.data);
	f->data = (struct cp_buf){copy, len};
	return 0;
}

const struct cp_buf *cp_list_file_find(const struct cp_list_file *files, unsigned cnt, uint8_t cls)
{
	for (unsigned i = 0; i < cnt; i++)
		if (files[i].cls == cls)
			return &files[i].data;
	return NULL;
}
