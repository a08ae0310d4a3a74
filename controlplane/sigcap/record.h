/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of one phone as pcapng (draft-ietf-opsawg-pcapng) in memory: each message is one TCP segment behind IP and TCP headers made
 * for it, with the connection's own addresses and the phone's own port; our port is 2000 whatever it was, for it is by that that tshark
 * knows SCCP. A connection's segments have whole sequence numbers, and its end is a FIN, so that readers join what belongs together.
 * Nothing here knows keys: what is not to be in the record is not given to it. One thread.
 */
#ifndef CP_SIGCAP_RECORD_H
#define CP_SIGCAP_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define CP_SIGREC_FLOWS 8    /* connections at once; the oldest one's numbers begin anew when there are more */
#define CP_SIGREC_PORT  2000
#define CP_SIGREC_HEAD  1024 /* bytes that a record without messages takes at most */

struct cp_sigrec_flow {
	const void *conn; /* NULL: free */
	struct cfg_addr phone, local;
	uint64_t used;
	uint32_t seq[2]; /* of the next byte: from the phone, to it */
};

struct cp_sigrec {
	uint8_t *data; /* whole blocks */
	size_t len, cap;
	uint64_t msgs;  /* in 'data' */
	uint64_t turn;
	struct cp_sigrec_flow flow[CP_SIGREC_FLOWS]; /* outlive 'data' */
};

/** What a message of 'n' bytes adds, at most. */
size_t cp_sigrec_need(size_t n);

/** Begin the next file: section and interface, with a comment. 0 or -ENOMEM. */
int cp_sigrec_begin(struct cp_sigrec *r, const char *comment);

/**
 * A message of connection 'conn' (any value that is its own while it lives) between the phone and us. 'sent': by us. -ENOMEM: it is not
 * in the record; 0.
 */
int cp_sigrec_add(struct cp_sigrec *r, uint64_t time_ns, const void *conn, const struct cfg_addr *phone, const struct cfg_addr *local,
		  bool sent, const uint8_t *msg, size_t n);

/** The connection's end. 0 (also if nothing is known of it) or -ENOMEM. */
int cp_sigrec_gone(struct cp_sigrec *r, uint64_t time_ns, const void *conn);

/** The last block: how many there were, and how many are not here. 0 or -ENOMEM. */
int cp_sigrec_end(struct cp_sigrec *r, uint64_t time_ns, uint64_t lost);

/** Take the bytes: heap, the caller's. NULL: nothing was begun. */
uint8_t *cp_sigrec_take(struct cp_sigrec *r, size_t *ret_len);

/** Wipe and free what is left. */
void cp_sigrec_free(struct cp_sigrec *r);

#endif
