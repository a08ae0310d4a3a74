/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where security associations come from: by hand (the configuration and 'ravelinctl sa add': sa.h), or from IKE, through here. Those of IKE
 * live in memory only: no key and no record of them is stored, but how many numbers were spent under an outbound one's key, which the disk
 * must know before the dataplane may use them. Runs on the controlplane's event loop.
 */
#ifndef CP_SASOURCE_H
#define CP_SASOURCE_H

#include "gateway/sa.h"

/* Who: inbound the SPI alone, outbound the SPI of the peer at 'remote'. */
struct cp_sa_ref {
	uint8_t dir; /* enum dp_dir */
	uint32_t spi;
	struct cfg_addr remote;
};

struct cp_sa_live { /* 0 where the dataplane does not have it */
	uint64_t pkts, bytes, seq;
	uint64_t auth_failed, replayed;
	int64_t added_s, used_s; /* wall clock; used_s to the second in which it was looked at, 0: never */
	uint32_t reqid;
	bool asserted, dead, held;
};

struct cp_sa_source {
	/* A lifetime is over; hard: it passes nothing any more, and waits to be deleted. The SA stands. */
	void (*expired)(void *ctx, const struct cp_sa_ref *ref, bool hard);
	/* The dataplane has answered for one: cp_sas_ike_settled() may say another thing now. */
	void (*settled)(void *ctx);
	/* Inbound, in UDP: the newest packet came from another address or port than the SA has. Again each second while it is so. */
	void (*moved)(void *ctx, const struct cp_sa_ref *ref, const struct cfg_addr *from);
};

/** Who is told of IKE's SAs. */
void cp_sas_source(struct cp_sas *sas, const struct cp_sa_source *ops, void *ctx);

enum {
	CP_SA_HOLD = 1 << 0,   /* outbound: not to the dataplane until cp_sas_ike_send() */
	CP_SA_SHARED = 1 << 2, /* the kernel may have sent a few packets under it: numbers begin above 65,536 */
	CP_SA_REPLAY = 1 << 1, /* charon has had it since before us: only if the dataplane still has it, too, and so its numbers */
};

/**
 * Have an SA of IKE's: a new one, or a known one, of which ports may be others. 'rec' as for cp_sas_add(), without
 * 'sealed' and sa_id, gateway "": of none; 'top' the highest number that charon knows of, received or sent; 'secret' as cp_sa_secret() makes it, copied. 0, -EINVAL with 'why', -EEXIST (the SPI is in use,
 * or the key), -ENOSPC, -ESTALE (CP_SA_REPLAY: the dataplane does not have it).
 */
int cp_sas_ike_set(struct cp_sas *sas, const struct cp_sa *rec, const uint8_t secret[CP_SA_SECRET_LEN], uint32_t reqid, unsigned flags,
		   uint64_t top, char *why, size_t why_size);
/** Its key, as cp_sa_secret() takes it; the caller wipes. Returns its length, 0: there is none such. */
size_t cp_sas_ike_key(struct cp_sas *sas, const struct cp_sa_ref *ref, uint8_t key[CP_SA_KEY_MAX]);
/** From now on this outbound one sends for its gateway, and not those before it. -ENOENT. */
int cp_sas_ike_send(struct cp_sas *sas, const struct cp_sa_ref *ref);
/** A policy says what it carries, and so for which gateway ("": none). 'proto' 0: any. -ENOENT. */
int cp_sas_ike_bind(struct cp_sas *sas, const struct cp_sa_ref *ref, const char *gateway, const struct cfg_addr *sel_local,
		    const struct cfg_addr *sel_remote, uint8_t proto);
/** It ends; its key is wiped. -ENOENT. */
int cp_sas_ike_del(struct cp_sas *sas, const struct cp_sa_ref *ref);
/** Has the dataplane answered what it was told of it last? Also where nothing is under way: held, dead, refused, no channel, none such. */
bool cp_sas_ike_settled(struct cp_sas *sas, const struct cp_sa_ref *ref);
/** -ENOENT. */
int cp_sas_ike_live(struct cp_sas *sas, const struct cp_sa_ref *ref, struct cp_sa_live *ret);

/** An inbound SPI of a shard, from 'min' to 'max', that no SA has. -ENOSPC: after many tries. */
int cp_sas_new_spi(struct cp_sas *sas, uint32_t min, uint32_t max, uint8_t shard, uint32_t *ret);

/** How many SAs of IKE's a gateway has in one direction. */
unsigned cp_sas_ike_count(struct cp_sas *sas, const char *gateway, uint8_t dir);

/** Are there SAs of IKE's that no gateway has? */
bool cp_sas_gatewayless(struct cp_sas *sas);

/** Where a gateway's outbound SAs are, so where its inbound SPIs should be. */
uint8_t cp_sas_shard(uint32_t gw_id);

#endif
