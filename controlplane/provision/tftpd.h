/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One serving thread's TFTP, as a state machine: datagrams, files and the time go in, datagrams come out through 'io'.
 * It reads only (RFC 1350, 2347, 2348, 2349, 7440). Each transfer has a port of its own.
 *
 * Only the timer sends a block again: an ACK that was seen before changes nothing (RFC 1123 section 4.2.3.1), and one from
 * inside a window is progress, so that nothing a client sends twice is answered twice. To an address that never answered go
 * CP_SOURCE_UNPROVEN datagrams, whatever is asked in its name. What exceeds a limit is not answered: the
 * client asks again, where an ERROR would make a phone go on without the file.
 */
#ifndef CP_PROVISION_TFTPD_H
#define CP_PROVISION_TFTPD_H

#include <netinet/in.h>
#include <stdatomic.h>

#include "inbox.h"
#include "source.h"
#include "tftpmsg.h"

#define CP_TFTP_WINDOW_MAX 64
#define CP_TFTP_WINDOW_BYTES 131072 /* of a window: what socket buffers hold without being asked */
#define CP_TFTP_ACK_TIMEOUT_MAX_S 60 /* a longer "timeout" is left out of the answer */
#define CP_TFTP_ASCII_MAX (16u << 20) /* bytes of a file sent as netascii, which is made whole */
#define CP_TFTP_ASCII_ALL (64u << 20) /* bytes of all that one thread holds; who asks beyond is not answered, and asks again */

union cp_sa {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

enum cp_tftp_end { /* why a request or transfer ended; counted and shown by these names */
	CP_TFTP_DONE,
	CP_TFTP_END_NOT_FOUND,
	CP_TFTP_END_BAD_NAME,
	CP_TFTP_END_DENIED,     /* needs a token, which TFTP cannot carry */
	CP_TFTP_END_WRITE,
	CP_TFTP_END_MODE,
	CP_TFTP_END_MALFORMED,
	CP_TFTP_END_TOO_LARGE,  /* for netascii */
	CP_TFTP_END_FAILED,     /* the file could not be made or read now */
	CP_TFTP_END_BUSY,       /* the files' own limit */
	CP_TFTP_END_TOTAL,      /* max_transfers */
	CP_TFTP_END_SOURCE,     /* max_source */
	CP_TFTP_END_UNPROVEN,   /* nothing more is sent to an address that never answers */
	CP_TFTP_END_PORT,       /* no socket */
	CP_TFTP_END_TIMEOUT,    /* the client fell silent */
	CP_TFTP_END_SLOW,       /* below min_rate */
	CP_TFTP_END_CLIENT,     /* it sent an ERROR */
	CP_TFTP_END_STOP,
	CP_TFTP_END_MAX
};
const char *cp_tftp_end_name(enum cp_tftp_end end);

struct cp_tftpd_stats { /* written by the thread, read by any */
	_Atomic uint64_t requests, duplicates, bytes, packets, retransmissions, strangers, errors_held, ends[CP_TFTP_END_MAX];
	_Atomic uint64_t active;
};

struct cp_tftp_out { /* one datagram: 'hdr', then 'len' bytes at 'data', which stay while the transfer lives */
	const uint8_t *data;
	uint32_t len;
	uint32_t hdr_len;
	uint8_t hdr[4];
};

struct cp_tftp_xfer;

struct cp_tftpd_io {
	/** A port for a transfer that answers from 'local' (port ignored). NULL: none to be had. */
	void *(*open)(void *ctx, const union cp_sa *local, const union cp_sa *peer, struct cp_tftp_xfer *x);
	void (*close)(void *ctx, void *port);
	/** Send on a transfer's port. What cannot be sent is lost, as on any network. */
	void (*send)(void *ctx, void *port, const union cp_sa *to, const struct cp_tftp_out *out, unsigned n);
	/** Send one from the service's port. */
	void (*answer)(void *ctx, const union cp_sa *local, const union cp_sa *to, const uint8_t *data, size_t len);
	void *ctx;
};

struct cp_tftpd_opts {
	struct cp_file_source source;
	struct cp_tftpd_io io;
	struct cp_sources *sources; /* shared by the threads */
	uint32_t blksize_max, windowsize_max, timeout_ms, retries, min_rate;
	uint32_t max; /* hint for table sizes */
};

struct cp_tftpd;

struct cp_tftpd *cp_tftpd_create(const struct cp_tftpd_opts *opts, uint64_t now_ms); /* NULL: no memory */
void cp_tftpd_destroy(struct cp_tftpd *d); /* ends all transfers; NULL is allowed */

/** A datagram at the service's port. */
void cp_tftpd_request(struct cp_tftpd *d, uint64_t now_ms, const union cp_sa *from, const union cp_sa *local,
		      const uint8_t *data, size_t len);
/** A datagram at the port of 'x'. May end it. */
void cp_tftpd_packet(struct cp_tftpd *d, uint64_t now_ms, struct cp_tftp_xfer *x, const union cp_sa *from,
		     const uint8_t *data, size_t len);
/** Readable when cp_tftpd_files() should be called: files that were waited for have come. */
int cp_tftpd_fd(const struct cp_tftpd *d);
void cp_tftpd_files(struct cp_tftpd *d, uint64_t now_ms);
/** Retransmit and give up what is due. Returns ms until it should be called again; -1: nothing is under way. */
int cp_tftpd_tick(struct cp_tftpd *d, uint64_t now_ms);

const struct cp_tftpd_stats *cp_tftpd_stats(const struct cp_tftpd *d);

/** IPv4 in IPv6 becomes IPv4. */
void cp_sa_addr(const union cp_sa *sa, struct cfg_addr *ret);
bool cp_sa_same(const union cp_sa *a, const union cp_sa *b); /* address and port */

#endif
