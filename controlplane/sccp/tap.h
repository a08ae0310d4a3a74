/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who sees the messages of phones as they are, after decryption: the capture of signalling. Nobody, unless one runs: then there is one
 * test of a pointer per message.
 */
#ifndef CP_SCCP_TAP_H
#define CP_SCCP_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

struct cp_sccp;

struct cp_sccp_tapped {
	const char *device; /* as registered, else as it has said in this connection; "" while it has not */
	const void *conn;   /* the connection's own value, until gone() */
	const struct cfg_addr *phone, *local;
	bool tls, sent;     /* sent: to the phone */
	bool proven; /* it is that device: registered as it, or its certificate names it. Else anyone may have said that name */
	const uint8_t *msg; /* header and body; media keys in it are zeros */
	const uint8_t *keyed; /* the same with its keys; NULL: it has none */
	size_t len;
};

/* Called from inside of sending and receiving: may not send, nor close. */
struct cp_sccp_tap_ops {
	void (*message)(void *ctx, const struct cp_sccp_tapped *m);
	void (*gone)(void *ctx, const void *conn);
};

/** One at a time; ops NULL: no more. */
void cp_sccp_set_tap(struct cp_sccp *sccp, const struct cp_sccp_tap_ops *ops, void *ctx);

#endif
