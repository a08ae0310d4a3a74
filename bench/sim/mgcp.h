/* SPDX-License-Identifier: BSD-3-Clause */
/* The gateway's side of MGCP (RFC 3435) and of the SDP inside it (RFC 4566, 4568, and a=X-crypto): text in, text out. */
#ifndef SIM_MGCP_H
#define SIM_MGCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "srtp.h"
#include "util.h"

#define SIM_MGCP_MAX        4000 /* octets of a datagram */
#define SIM_MGCP_PARAMS_MAX 32

struct sim_mgcp_msg {
	bool response;
	unsigned int code;      /* of a response */
	char verb[5];           /* of a command, upper case */
	uint32_t txid;
	char endpoint[128];
	char version[8];        /* "0.1", "1.0" */
	struct {
		const char *name, *value; /* name as sent; value without surrounding blanks */
	} params[SIM_MGCP_PARAMS_MAX];
	size_t param_cnt;
	const char *sdp;        /* what stands behind the first empty line, or NULL */
};

/**
 * Parse one message; text is changed and must live as long as *ret. text[len] must be writable. 0, -EBADMSG; then
 * ret->txid is the transaction to answer with 510, or 0.
 */
int sim_mgcp_parse(char *text, size_t len, struct sim_mgcp_msg *ret);
/** Value of a parameter, "" when it is there without one, NULL when not there. Names have no case. */
const char *sim_mgcp_param(const struct sim_mgcp_msg *m, const char *name);
/** Is an event ("L/hd") in a list as of R:, O: or S:, whatever stands in brackets behind it? */
bool sim_mgcp_listed(const char *list, const char *event);
/** End of the first message of a datagram (RFC 3435 piggybacking): offset of the next one, or len. */
size_t sim_mgcp_next(const char *text, size_t len, size_t *ret_msg_len);

enum sim_crypto_form { SIM_CRYPTO_RFC, SIM_CRYPTO_X };

struct sim_sdp {
	struct sim_addr to;       /* c= and m= */
	bool secure;              /* RTP/SAVP */
	uint8_t pts[16];
	size_t pt_cnt;
	uint32_t ptime_ms;        /* 0: not said */
	bool rtcp_mux;
	bool have_crypto;         /* a line that we can use was there: */
	enum sim_crypto_form form;
	uint32_t tag;
	struct sim_srtp_key key;
};

/** Parse the first audio description. 0, -EBADMSG (505 or 509 to the sender). */
int sim_sdp_parse(const char *text, struct sim_sdp *ret);
/** Write a description; crypto only if secure. Length, or -ENOSPC. */
int sim_sdp_build(const struct sim_sdp *sdp, uint32_t session, char *out, size_t room);
/** One a=crypto or a=X-crypto value (behind the colon). 0, -EBADMSG, -ENOTSUP (not usable for us). */
int sim_crypto_parse(const char *text, enum sim_crypto_form form, uint32_t *ret_tag,
		     struct sim_srtp_key *ret_key);

#endif
