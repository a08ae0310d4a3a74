/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NETLINK_XFRM messages as charon and the kernel write them (linux/xfrm.h): read into host order with every length checked,
 * and the few that are said back written. Knows neither sockets nor SAs of ours. What the dataplane cannot do is refused by name.
 */
#ifndef CP_IKE_XFRM_H
#define CP_IKE_XFRM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define CP_XFRM_KEY_MAX  100
#define CP_XFRM_TMPL_MAX 6
#define CP_XFRM_BUF      2048 /* holds each message that is written here */
#define CP_XFRM_INF      UINT64_MAX

struct cp_xfrm_sel {
	struct cfg_addr src, dst; /* plen: prefix; port 0: any; family 0: any address */
	uint8_t proto;            /* 0: any */
};

struct cp_xfrm_life { /* 0: no limit; seconds are from when it is added */
	uint64_t soft_s, hard_s, soft_bytes, hard_bytes, soft_pkts, hard_pkts;
};

struct cp_xfrm_cur {
	uint64_t bytes, pkts, added_s, used_s; /* wall clock; 0: not yet */
};

struct cp_xfrm_id {
	uint32_t spi;
	uint8_t proto; /* 50 ESP, 51 AH, 108 IPComp */
	struct cfg_addr dst;
};

struct cp_xfrm_sa {
	struct cp_xfrm_id id;
	struct cfg_addr src;      /* ports of both: UDP encapsulation */
	struct cp_xfrm_sel sel;
	struct cp_xfrm_life life;
	struct cp_xfrm_cur cur;
	uint32_t reqid, seq;      /* seq: of the ACQUIRE that asked for it */
	uint8_t mode;             /* enum dp_esp_mode */
	uint8_t alg;              /* enum dp_esp_alg; 0: none said, as in ALLOCSPI and EXPIRE */
	bool esn;
	uint16_t window;          /* 0: as the dataplane likes */
	uint16_t tfc;
	uint16_t key_len;
	uint8_t key[CP_XFRM_KEY_MAX]; /* cipher key, salt, HMAC key, as cp_sa_secret() takes it; the caller wipes */
	uint64_t top_in, top_out; /* REPLAY_*VAL: highest number seen, sent */
};

struct cp_xfrm_tmpl {
	uint8_t proto, mode;      /* mode: enum dp_esp_mode, 0: another */
	uint32_t reqid, spi;
	struct cfg_addr src, dst;
};

enum { CP_XFRM_IN, CP_XFRM_OUT, CP_XFRM_FWD, CP_XFRM_SOCKET }; /* _SOCKET and above: of one socket, as the kernel lists them */

struct cp_xfrm_policy {
	struct cp_xfrm_sel sel;
	uint8_t dir;              /* CP_XFRM_IN, _OUT, _FWD, _SOCKET + the former */
	bool block;
	uint32_t priority, index, ifindex;
	uint64_t used_s;          /* of the SAs it led to: wall clock; 0: never */
	unsigned tmpl_cnt;
	struct cp_xfrm_tmpl tmpl[CP_XFRM_TMPL_MAX];
};

struct cp_xfrm_msg {
	uint16_t type;            /* XFRM_MSG_*, NLMSG_ERROR, _DONE, _NOOP */
	uint16_t flags;
	uint32_t seq, pid;
	union {
		struct cp_xfrm_sa sa;         /* NEWSA, UPDSA, ALLOCSPI, EXPIRE */
		struct cp_xfrm_id id;         /* DELSA, GETSA, NEWAE, GETAE, MAPPING */
		struct cp_xfrm_policy policy; /* NEWPOLICY, UPDPOLICY, DELPOLICY, GETPOLICY, ACQUIRE, POLEXPIRE */
	};
	struct cfg_addr src;      /* DELSA, GETSA, ACQUIRE: the other end; family 0: not said */
	uint32_t min, max;        /* ALLOCSPI */
	uint32_t acquire;         /* ACQUIRE: number of it */
	uint8_t proto;            /* FLUSHSA: 0 all */
	bool hard;                /* EXPIRE, POLEXPIRE */
	int error;                /* NLMSG_ERROR, NLMSG_DONE: 0 or negative errno */
};

/**
 * Read one message from 'data', of 'len' bytes, with *ret_used set to how many of those it had (0 where not even that is known).
 * 0; -EBADMSG: not what its lengths say; -EOPNOTSUPP: the dataplane cannot do it, or nobody here knows the type; with both the reason in
 * 'why', and ret's type, flags, seq and pid set where there was a header (else 0). 'ret' holds key material: the caller wipes it.
 */
int cp_xfrm_parse(const uint8_t *data, size_t len, struct cp_xfrm_msg *ret, size_t *ret_used, char *why, size_t why_size);

/** A type's name, "type-77" for one that has none; in 'buf' or static. */
const char *cp_xfrm_type_name(uint16_t type, char *buf, size_t size);

/* Writers: into 'buf' of CP_XFRM_BUF bytes, aligned to 8. All return the length. */

/** NLMSG_ERROR in answer to 'to'; 0: the acknowledgement. 'err' 0 or negative errno. */
size_t cp_xfrm_put_error(void *buf, const struct cp_xfrm_msg *to, int err);
/** An SA as 'type' (NEWSA, with its key if it has one, which the caller wipes; EXPIRE with 'hard'), to pid and seq; flags: NLM_F_*. */
size_t cp_xfrm_put_sa(void *buf, uint16_t type, uint16_t flags, uint32_t seq, uint32_t pid, const struct cp_xfrm_sa *sa, bool hard);
/** MAPPING: packets of an inbound SA in UDP come from 'from' now, and not from its source any more. */
size_t cp_xfrm_put_mapping(void *buf, const struct cp_xfrm_sa *sa, const struct cfg_addr *from);
/** NEWPOLICY, DELPOLICY or UPDPOLICY. */
size_t cp_xfrm_put_policy(void *buf, uint16_t type, uint16_t flags, uint32_t seq, uint32_t pid, const struct cp_xfrm_policy *p);
/** ACQUIRE number 'n' for a packet of 'sel' that met 'p'. */
size_t cp_xfrm_put_acquire(void *buf, uint32_t n, const struct cp_xfrm_sel *sel, const struct cp_xfrm_policy *p);
/** NEWSPDINFO with counts by CP_XFRM_IN, _OUT, _FWD. */
size_t cp_xfrm_put_spdinfo(void *buf, const struct cp_xfrm_msg *to, const uint32_t cnt[3]);
/** NEWSADINFO. */
size_t cp_xfrm_put_sadinfo(void *buf, const struct cp_xfrm_msg *to, uint32_t cnt);
/** NEWAE in answer to GETAE: where the SA's numbers and lifetimes are. */
size_t cp_xfrm_put_ae(void *buf, const struct cp_xfrm_msg *to, const struct cp_xfrm_sa *sa);
/** The end of a dump. */
size_t cp_xfrm_put_done(void *buf, const struct cp_xfrm_msg *to);
/** Ask for all of them: GETSA or GETPOLICY as a dump. */
size_t cp_xfrm_put_dump(void *buf, uint16_t type, uint32_t seq);

#endif
