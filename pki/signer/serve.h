/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The signer's socket: RUN/signer.sock, mode 0600, peers of our own user or root only. Requests are answered
 * one after the other; each is logged with the peer's process. A message that makes no sense is answered by
 * an error; a peer that does not take its answer, or sends more than a message may hold, is disconnected.
 */
#ifndef PKI_SERVE_H
#define PKI_SERVE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pki_blob;
struct pki_state;
struct pki_serve;

/** Make the directory and listen. -EADDRINUSE: a signer answers there. */
int pki_serve_create(struct pki_state *state, const char *run_dir, struct pki_serve **ret_serve);

/** Serve until 'stop_fd' can be read. 0, what poll() failed with, or -EUCLEAN: another start must look what is on the disk. */
int pki_serve_run(struct pki_serve *serve, int stop_fd);

/** Closes all and removes the socket. NULL is allowed. */
void pki_serve_destroy(struct pki_serve *serve);

/**
 * Answer one request: build the reply in 'reply' (PKI_SIGNER_MSG_MAX bytes) and return its length. The reply
 * may hold a private key: the caller wipes it. 'passed' (NULL: nothing) is what a descriptor held that came along. 'peer' is the process that asked, for the log.
 */
size_t pki_serve_answer(struct pki_state *state, const uint8_t *req, size_t len, const struct pki_blob *passed, int64_t now,
			pid_t peer, uint8_t *reply);

/** Serve one connected socket until its other end closes: for tests. The peer check applies. */
int pki_serve_fd(struct pki_state *state, int fd);

#endif
