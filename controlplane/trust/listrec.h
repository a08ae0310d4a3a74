/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records of the trust lists: what the CTL is made of and the ITL's settings, each with the files that are in force for
 * every phone class. Record and files are one value, so that mode, tokens and what is served change in one batch or not
 * at all. Keys: family ctl, "ctl"; family trust, "itl". Rules of encoding, errors and ownership: store/records.h.
 */
#ifndef CP_LISTREC_H
#define CP_LISTREC_H

#include <stdbool.h>
#include <stdint.h>

#include "store/records.h"

#define CP_LIST_HOST_MAX 256 /* bytes with NUL: "CM Name is too long." beyond (004c:CT-06) */
#define CP_CTL_TOKENS_MAX 100
#define CP_CTL_KEY "ctl"
#define CP_ITL_KEY "itl"

enum cp_ctl_origin {
	CP_CTL_OWN = 1, /* an identity of our signer: "SAST1", "CallManager", ... */
	CP_CTL_TOKEN,   /* an operator's: its key is elsewhere */
	CP_CTL_IMPORT,  /* came in another cluster's CTL: its key is there */
};

struct cp_ctl_token { /* a SAST of the CTL */
	char name[CP_NAME_MAX]; /* identity, or the common name of its certificate */
	uint8_t origin;         /* enum cp_ctl_origin */
	bool in_file;           /* in the CTL in force: it may sign the next one (004c:CT-12) */
	struct cp_buf cert;     /* DER */
};

struct cp_ctl_tftp { /* an alternate TFTP server: of another cluster */
	char host[CP_LIST_HOST_MAX];
	struct cfg_addr address; /* family 0: not given */
	struct cp_buf cert;
};

struct cp_ctl_extra { /* of an imported CTL: what phones that come from there need besides its SASTs */
	uint16_t role; /* enum pki_tl_role */
	char host[CP_LIST_HOST_MAX];
	struct cp_buf cert;
};

struct cp_list_file {
	uint8_t cls; /* enum pki_tl_class */
	struct cp_buf data;
};

struct cp_ctl_rec {
	bool made;       /* there is a CTL; false: tokens were imported for one that is to come */
	uint8_t mode;    /* enum cp_cluster_mode */
	uint64_t serial; /* of CTL operations */
	uint32_t timestamp; /* in the files: seconds since 1970, never smaller than before */
	char signer[CP_NAME_MAX];
	char changed_by[CP_TEXT_MAX];
	int64_t changed_us;
	unsigned token_cnt;
	struct cp_ctl_token *tokens;
	unsigned tftp_cnt;
	struct cp_ctl_tftp *tftps;
	unsigned extra_cnt;
	struct cp_ctl_extra *extras;
	unsigned file_cnt;
	struct cp_list_file *files;
	struct cp_buf unknown;
};

struct cp_itl_rec {
	char sign_with[CP_NAME_MAX]; /* "auto", or an identity */
	bool rollback;
	uint32_t timestamp;
	char signer[CP_NAME_MAX]; /* who signed the files */
	int64_t changed_us;
	unsigned file_cnt;
	struct cp_list_file *files;
	struct cp_buf unknown;
};

int cp_ctl_rec_build(const struct cp_ctl_rec *rec, struct cp_buf *ret);
int cp_ctl_rec_parse(const uint8_t *data, size_t len, struct cp_ctl_rec *ret);
void cp_ctl_rec_free(struct cp_ctl_rec *rec);
/** Deep copy. */
int cp_ctl_rec_copy(const struct cp_ctl_rec *rec, struct cp_ctl_rec *ret);

int cp_itl_rec_build(const struct cp_itl_rec *rec, struct cp_buf *ret);
int cp_itl_rec_parse(const uint8_t *data, size_t len, struct cp_itl_rec *ret);
void cp_itl_rec_free(struct cp_itl_rec *rec);
int cp_itl_rec_copy(const struct cp_itl_rec *rec, struct cp_itl_rec *ret);

/** Replace or add the file of a class; 'data' is copied. 0, -ENOMEM. */
int cp_list_file_set(struct cp_list_file **files, unsigned *cnt, uint8_t cls, const uint8_t *data, size_t len);
/** NULL: none. */
const struct cp_buf *cp_list_file_find(const struct cp_list_file *files, unsigned cnt, uint8_t cls);

#endif
