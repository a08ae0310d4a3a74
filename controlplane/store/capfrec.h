/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CAPF's records, in family capf: what is to be done with a device's certificate and how that went ("op/" and the device's name), each
 * certificate that was issued to a phone ("lsc/" and its serial number in hex), and what is asked of a third party's CA ("req/"). Encoding and errors as records.h.
 */
#ifndef CP_STORE_CAPFREC_H
#define CP_STORE_CAPFREC_H

#include "records.h"

struct cp_store;

#define CP_CAPF_DETAIL_MAX 160
#define CP_LSC_SERIAL_MAX  41 /* 20 bytes in hex and NUL */

enum cp_capf_status { CP_CAPF_ST_NONE, CP_CAPF_ST_PENDING, CP_CAPF_ST_FAILED, CP_CAPF_ST_DONE };

struct cp_capf_oprec {
	char device[CP_DEVICE_NAME_MAX];
	uint8_t op;            /* enum cp_capf_op of enrol/capfsess.h */
	uint8_t status;        /* enum cp_capf_status */
	uint8_t by;            /* enum cp_capf_auth: as it was set */
	uint64_t id;           /* of the operation, random: the string is bound to it */
	struct cp_buf string;  /* sealed, bound to cp_capf_string_aad(); gone when the operation ends */
	char key[16];          /* "ec-p256": asked of the phone */
	uint16_t backup_bits;  /* RSA key asked for after the phone could not make an EC key; 0: none */
	bool use_backup;       /* it could not */
	uint32_t attempts;     /* sessions that authenticated and came to nothing */
	uint32_t wrong;        /* wrong strings, one after the other */
	int64_t locked_us;     /* strings are not looked at until then; 0: they are */
	int64_t deadline_us;   /* "Operation Completes by" */
	int64_t set_us, last_us, ended_us; /* wall clock; 0: never */
	uint8_t outcome;       /* enum cp_capf_outcome of the last session */
	bool tried;            /* there was one */
	char detail[CP_CAPF_DETAIL_MAX];
	uint8_t shown;         /* what it authenticated with last: 1 LSC, 2 MIC, 0 neither */
	uint32_t wave;         /* that set it; 0: an operator did */
	struct cp_buf unknown;
};

enum cp_lsc_state {
	CP_LSC_OFFERED = 1, /* went out to the phone: it may hold it */
	CP_LSC_HELD,        /* it said so, or showed it */
	CP_LSC_SUPERSEDED,  /* another one went out since: it may still hold this one, until the other is held */
	CP_LSC_DELETED,     /* the phone deleted it: refused */
	CP_LSC_REVOKED,     /* refused */
	CP_LSC_STATES
};

#define CP_CAPF_APP_MAX 64 /* "USER/INSTANCE" and NUL */

struct cp_lsc {
	char serial[CP_LSC_SERIAL_MAX]; /* upper-case hex, even number of digits */
	char device[CP_DEVICE_NAME_MAX]; /* "": it is an application's */
	char app[CP_CAPF_APP_MAX];       /* of which */
	struct cp_buf cert;             /* DER */
	uint8_t state;                  /* enum cp_lsc_state */
	uint8_t reason;                 /* of the CRL entry (RFC 5280 5.3.1), for what is refused */
	uint64_t op_id;
	int64_t offered_us, held_us, ended_us;
	int64_t expires_us;
	bool external;                  /* a third party's CA issued it: not for our revocation list */
	struct cp_buf unknown;
};

enum cp_capf_req_state {
	CP_CAPF_REQ_WAITING = 1, /* for the CA */
	CP_CAPF_REQ_READY,       /* the certificate is there, for the phone's next session */
	CP_CAPF_REQ_REFUSED,     /* the CA refused: the next session begins with a new key */
	CP_CAPF_REQ_STATES
};

/* What is asked of a third party's CA for a device: "req/" and its name. The phone has the key; one at a time. */
struct cp_capf_req {
	char device[CP_DEVICE_NAME_MAX];
	uint64_t op_id;        /* of the operation that it is for: with another it is void */
	uint8_t state;         /* enum cp_capf_req_state */
	bool scep;             /* asked by us; else requests are exported and certificates imported */
	bool pending;          /* SCEP: the CA said that it has not decided: it is polled */
	uint32_t asked;        /* SCEP: how often */
	uint32_t sent;         /* how often the certificate went out to the phone */
	struct cp_buf csr;     /* PKCS#10, DER */
	struct cp_buf cert;    /* DER; empty until READY */
	int64_t since_us, last_us; /* made; asked last */
	char note[CP_CAPF_DETAIL_MAX]; /* what the CA said last */
	struct cp_buf unknown;
};

/* An application's profile: no phone, its certificate is issued from a file. Key: "app/" and its name. */
struct cp_capf_app {
	char name[CP_CAPF_APP_MAX];  /* application user and instance id: "USER/INSTANCE" */
	uint8_t status;              /* enum cp_capf_status: of the install that was set last */
	uint8_t by;                  /* enum cp_capf_auth: STRING or NULL */
	uint64_t id;                 /* of the operation: the string is bound to it */
	struct cp_buf string;        /* sealed; gone when it was used */
	char key[16];                /* "rsa-2048": what the request must have; "" any that is good enough */
	char serial[CP_LSC_SERIAL_MAX]; /* of the certificate that was issued last; "" none */
	uint32_t wrong;              /* strings, one after the other */
	int64_t locked_us, set_us, issued_us;
	struct cp_buf unknown;
};
int cp_capf_app_build(const struct cp_capf_app *rec, struct cp_buf *ret);
int cp_capf_app_parse(const uint8_t *data, size_t len, struct cp_capf_app *ret);
void cp_capf_app_free(struct cp_capf_app *rec);
/** Both parts 1 to 31 of letters, digits and . _ -. */
bool cp_capf_app_name_ok(const char *name);

int cp_capf_oprec_build(const struct cp_capf_oprec *rec, struct cp_buf *ret);
int cp_capf_oprec_parse(const uint8_t *data, size_t len, struct cp_capf_oprec *ret);
void cp_capf_oprec_free(struct cp_capf_oprec *rec);

int cp_lsc_build(const struct cp_lsc *rec, struct cp_buf *ret);
int cp_lsc_parse(const uint8_t *data, size_t len, struct cp_lsc *ret);
void cp_lsc_free(struct cp_lsc *rec);

int cp_capf_req_build(const struct cp_capf_req *rec, struct cp_buf *ret);
int cp_capf_req_parse(const uint8_t *data, size_t len, struct cp_capf_req *ret);
void cp_capf_req_free(struct cp_capf_req *rec);

const char *cp_lsc_state_name(unsigned state); /* "offered", "held", "superseded", "deleted", "revoked" */

/** What a sealed string is bound to. Returns 'buf', of at least 64 bytes. */
const char *cp_capf_string_aad(const char *device, uint64_t id, char buf[64]);

/* From the synced view: 0, -ENOENT, -EBADMSG; to be freed. */
int cp_store_capf_op(const struct cp_store *store, const char *device, struct cp_capf_oprec *ret);
int cp_store_lsc(const struct cp_store *store, const char *serial, struct cp_lsc *ret);
int cp_store_capf_app(const struct cp_store *store, const char *name, struct cp_capf_app *ret);

int cp_store_capf_req(const struct cp_store *store, const char *device, struct cp_capf_req *ret);

struct cp_batch;
/* Into a batch. 0, or as NAME_build() and cp_batch_put(). */
int cp_batch_capf_op(struct cp_batch *b, const struct cp_capf_oprec *rec);
int cp_batch_lsc(struct cp_batch *b, const struct cp_lsc *rec);
int cp_batch_capf_app(struct cp_batch *b, const struct cp_capf_app *rec);
int cp_batch_capf_req(struct cp_batch *b, const struct cp_capf_req *rec);
int cp_batch_capf_req_del(struct cp_batch *b, const char *device);

#endif
