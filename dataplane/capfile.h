/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A capture's file: pcapng (draft-ietf-opsawg-pcapng), one section, one interface, nanoseconds, the direction of each
 * packet in epb_flags, and at the end an interface statistics block that says how many packets are missing. A file is
 * always a row of whole blocks: what a full disk cuts off is taken back.
 *
 * Not librte_pcapng: in DPDK 22.11 it is experimental, wants an mbuf and an Ethernet port for each packet, which decrypted
 * media behind headers made for them do not have, and says of a write that failed only that it did.
 */
#ifndef DP_CAPFILE_H
#define DP_CAPFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "dp_msg.h"

#define DP_CAPFILE_MIN 4096 /* bytes: less than a few packets make no sense */

enum { DP_CAPFILE_ETHERNET = 1, DP_CAPFILE_RAW_IP = 101 }; /* link types */

struct dp_capfile_opts {
	const char *dir;     /* made (0700) if absent; must be ours, nobody else may write there */
	const char *name;    /* within it: [A-Za-z0-9._-], no leading dot */
	const char *comment; /* in the section header; NULL: none */
	uint64_t max_bytes;  /* of the file, its end included */
	uint32_t snap_len;   /* said in the interface block */
	uint16_t link_type;
};

struct dp_capfile;

/** A name that stays in its directory: 1 to 59 of [A-Za-z0-9._-], not beginning with a dot. */
bool dp_capfile_name_ok(const char *name);

/**
 * Make the file (0600, never an existing one, never through a link) and write its head. 0; -EINVAL (name, max_bytes);
 * -EACCES: the directory is another's or others may write there; -EEXIST; other negative errno.
 */
int dp_capfile_open(const struct dp_capfile_opts *opts, struct dp_capfile **ret);

/**
 * Add a packet: 'len' of its 'orig_len' bytes. 0; -EFBIG: it does not fit into max_bytes any more, nothing was written;
 * or the write's negative errno: the file ends with the last whole block, and every further call fails the same way.
 */
int dp_capfile_packet(struct dp_capfile *f, uint64_t time_ns, enum dp_dir dir, const uint8_t *data, uint32_t len,
		      uint32_t orig_len);

/** Write what is buffered. 0 or as dp_capfile_packet(). */
int dp_capfile_flush(struct dp_capfile *f);

/** Packets and bytes in the file, as far as they were taken. */
uint64_t dp_capfile_pkts(const struct dp_capfile *f);
uint64_t dp_capfile_bytes(const struct dp_capfile *f);

/** Statistics, the rest of the buffer (wiped), sync, close. 0 or the first error there was. Takes NULL. */
int dp_capfile_close(struct dp_capfile *f, uint64_t time_ns, uint64_t lost, uint64_t *ret_pkts, uint64_t *ret_bytes);

#endif
