/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Call detail records, in family cdr: what is kept of a call that has ended, or of a part of one. A transfer ends the two calls that it
 * joins (cause CP_Q850_SPLIT), and what it made has a record of its own: they are found together by their global call ids and by the
 * ids of legs, which a party keeps. The key is when it ended, microseconds since 1970, 8 bytes big-endian, and the call's number, 4 bytes:
 * in order of time. Encoding and errors as records.h.
 */
#ifndef CP_STORE_CDRREC_H
#define CP_STORE_CDRREC_H

#include "records.h"

#define CP_CDR_KEY_LEN 12

/* Why a call ended: ITU-T Q.850 table 1, those that are told here. */
enum cp_q850 {
	CP_Q850_NONE = 0,
	CP_Q850_UNALLOCATED = 1,      /* nobody has that number */
	CP_Q850_NORMAL = 16,
	CP_Q850_BUSY = 17,
	CP_Q850_NO_ANSWER = 19,
	CP_Q850_ABSENT = 20,          /* not registered */
	CP_Q850_REJECTED = 21,
	CP_Q850_OUT_OF_ORDER = 27,    /* the phone went away, or sends and opens nothing */
	CP_Q850_BAD_NUMBER = 28,      /* incomplete, or too long */
	CP_Q850_NETWORK = 38,         /* no gateway, or it does not answer */
	CP_Q850_TEMPORARY = 41,       /* dataplane, keys, a controlplane that was killed meanwhile */
	CP_Q850_CONGESTION = 42,
	CP_Q850_NO_RESOURCE = 47,     /* no media port */
	CP_Q850_NO_BEARER = 58,       /* encryption is demanded, and one cannot */
	CP_Q850_INCOMPATIBLE = 88,    /* no common codec */
	CP_Q850_SPLIT = 126,          /* goes on as another call: transfer, pickup, park (the vendor's number) */
};

/* What made a call that nobody dialled as it is. */
enum cp_cdr_origin { CP_CDR_DIALLED, CP_CDR_TRANSFER, CP_CDR_PICKUP, CP_CDR_PARK, CP_CDR_SHARED, CP_CDR_BARGE, CP_CDR_CONFERENCE, CP_CDR_ORIGINS };

struct cp_cdr_party {
	uint8_t kind;              /* 0 nobody, 1 phone, 2 gateway, 3 a park number: it was waiting there */
	char device[CP_NAME_MAX];  /* or the gateway */
	char endpoint[CP_NAME_MAX];
	char number[CP_NUMBER_MAX];
	uint32_t line;
	uint64_t leg;              /* the party's number for its part, the same in all records of a call that moved */
	struct cfg_addr media;     /* where it heard; family 0: not known */
	uint32_t codec;            /* enum cp_sccp_codec; 0: none was chosen */
	uint8_t suite;             /* enum dp_srtp_suite */
	uint8_t security, best, worst; /* enum cp_security of the party: at the end, and while it was connected; 0: it never was */
	bool counted;              /* what follows was counted: media went through the dataplane */
	uint64_t rx_pkts, rx_bytes, rx_lost, tx_pkts, tx_bytes; /* seen from us: rx came from the party */
	uint32_t jitter_us;        /* of what it sent, RFC 3550 s6.4.1 */
};

struct cp_cdr {
	uint64_t global_id;        /* time and number of the call, unlike all others */
	uint64_t joined_id;        /* of the call that it became a part of; 0: of none */
	uint32_t call;             /* its number while it was up */
	uint8_t origin;            /* enum cp_cdr_origin */
	int64_t setup_ms, connect_ms, end_us; /* wall clock, UTC; connect 0: was not answered */
	char dialled[CP_NUMBER_MAX];     /* originally called */
	char redirecting[CP_NUMBER_MAX]; /* who sent it on last: by transfer, pickup, park, forwarding */
	uint8_t cause;             /* enum cp_q850 */
	uint8_t released;          /* 0 by the system, 1 by the calling party, 2 by the called one */
	uint8_t security, best, worst; /* of the call, as it was shown */
	bool direct;               /* media went between the parties */
	bool adopted;              /* the controlplane was restarted meanwhile */
	bool no_sa;                /* a gateway's keys were held back: no live SA covered it. The call went on in clear, or ended */
	struct cp_cdr_party party[2]; /* calling, called */
	unsigned party_cnt;        /* 2 */
	struct cp_buf unknown;
};

int cp_cdr_build(const struct cp_cdr *cdr, struct cp_buf *ret);
int cp_cdr_parse(const uint8_t *data, size_t len, struct cp_cdr *ret);
void cp_cdr_free(struct cp_cdr *cdr);

void cp_cdr_key(uint8_t key[CP_CDR_KEY_LEN], int64_t end_us, uint32_t call);

/** "transfer"; "" for a dialled one and what is not known. */
const char *cp_cdr_origin_name(uint8_t origin);

#endif
