/* SPDX-License-Identifier: BSD-3-Clause */
/* The client's connections to the signer and one request on one of them. Private to signerc/. */
#ifndef CP_SIGNERC_LINK_H
#define CP_SIGNERC_LINK_H

#include "signer.h"
#include "signerc/signerc.h"

struct cp_signer_conn;

/**
 * Take a connection and make the request; 'm' becomes the reply, whose blobs lie in the connection's buffer. Whatever comes back,
 * cp_signer_done() must follow. A connection that is found closed before the request is sent is made again; after that nothing is repeated.
 * pass_fd: -1, or a file that goes along.
 */
int cp_signer_ask_fd(struct cp_signer *s, struct pki_signer_msg *m, int pass_fd, unsigned timeout_ms, struct cp_signer_conn **ret_conn);
/** The same without a file, within the client's time-out, and for what makes a key or stretches a passphrase. */
int cp_signer_ask(struct cp_signer *s, struct pki_signer_msg *m, struct cp_signer_conn **ret_conn);
int cp_signer_ask_slow(struct cp_signer *s, struct pki_signer_msg *m, struct cp_signer_conn **ret_conn);
/** The client's time-out. */
unsigned cp_signer_timeout_ms(const struct cp_signer *s);

/** Give the connection (may be NULL) back, wiped. Returns 'rc'. */
int cp_signer_done(struct cp_signer *s, struct cp_signer_conn *c, int rc);

/** What cp_signer_error() says: 'what', and the text of 'rc', which is returned. */
int cp_signer_fail(int rc, const char *what);

#endif
