/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * OpenSSL's secure heap: private keys in locked memory that no core dump holds. The size is for ever, and what does not fit in is no
 * key: a server's TLS 1.3 connection keeps the ephemeral key of its handshake there until it is closed, and a handshake that finds
 * no room for it fails. So it must be as large as there may be connections.
 */
#ifndef CP_SECHEAP_H
#define CP_SECHEAP_H

#include <stddef.h>
#include <stdint.h>

#define CP_SECHEAP_MIN  (1u << 20) /* bytes, of everything else */
#define CP_SECHEAP_EACH 64u        /* of a connection: one block, X25519 or P-256 */

/**
 * Before any thread, and any key. So much as 'conns' TLS connections need, or the largest part of it that can be locked; *ret_conns: for how
 * many it will do. 0; -ENOMEM: it is there, and not locked, as less than CP_SECHEAP_MIN may be; -EIO: there is none, and keys are on the common heap.
 */
int cp_secheap_init(uint32_t conns, uint32_t *ret_conns);

#endif
