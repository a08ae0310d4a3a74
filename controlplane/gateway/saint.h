/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the security associations, shared by sa*.c of this folder. */
#ifndef CP_SAINT_H
#define CP_SAINT_H

#include <errno.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarm.h"
#include "api/dp_esp.h"
#include "clock.h"
#include "dpclient.h"
#include "gateway/gateway.h"
#include "gateway/sa.h"
#include "gateway/sasource.h"
#include "log.h"
#include "store/store.h"
#include "store/tab.h"

#define SA_NONE     UINT32_MAX
#define SA_ORPHAN_S 30 /* after so long charon has said what it holds */
/* Numbers granted at a time: small enough for 65,000 restarts within 32 bits, large enough to be rare. */
#define SA_GRANT    (1u << 16)

struct secret {
	uint8_t key[DP_ESP_KEY_MAX];
	uint8_t auth[DP_ESP_AUTH_MAX];
	uint8_t salt[DP_ESP_SALT_LEN];
};
static_assert(sizeof(struct secret) == CP_SA_SECRET_LEN, "sealed form");

enum sa_chain { SA_BY_NAME, SA_BY_SPI, SA_BY_KEY, SA_OF_GATEWAY, SA_CHAINS };

enum sa_origin { SA_STORED, SA_CONFIG, SA_IKE }; /* by 'ravelinctl sa add'; from the file, from IKE: not in the store */

struct sa {
	bool used;
	uint8_t origin;    /* enum sa_origin */
	bool asserted;     /* the dataplane has taken it */
	bool dead;         /* expired or exhausted */
	uint8_t soft, hard; /* DP_SA_WHY_*: lifetimes that are over */
	bool granting;     /* a grant is on its way to the disk */
	bool retry;        /* could not be asserted for want of the store */
	bool deleting;     /* the store is asked to forget it */
	bool held;         /* IKE, outbound: the peer may not have it yet */
	bool refused;      /* by the dataplane */
	bool ending;       /* IKE, outbound: deleted, but what comes after it is not in the dataplane yet */
	bool taken_over;   /* IKE: it was in the dataplane before us */
	bool covers;       /* counted in its gateway's 'cover' */
	bool sent;         /* the dataplane may have it */
	bool leaving;      /* not used any more: the dataplane has not said yet that it is without it */
	bool cleared;      /* refused for what stood under its id, which is deleted since */
	uint32_t gen;      /* of all that ever were, which one it is */
	uint32_t asserts;  /* how often it was asked for, */
	uint32_t answered; /* and which of them the dataplane has answered last */
	struct cp_sa rec;  /* without 'sealed' and 'unknown' */
	uint64_t limit;    /* highest number that the store says is spent */
	uint64_t in_top;   /* inbound: highest accepted that is known */
	uint32_t reqid;    /* IKE */
	uint8_t sel_proto; /* IKE: inner protocol; 0 any */
	uint64_t seen_pkts; /* IKE: when it was looked at last, */
	int64_t used_s;    /* and when that had become more: wall clock */
	uint32_t *head[SA_CHAINS];      /* of the chain it is on, doubly linked: leaving one takes one step */
	uint32_t next[SA_CHAINS], prev[SA_CHAINS];
	uint32_t gw;       /* in gws[] */
};

/* A gateway that SAs name, whether it has a record or not. */
struct sa_gateway {
	char name[CP_NAME_MAX];
	uint32_t next;     /* of the same hash, or of the free ones */
	uint32_t first, last; /* its SAs, oldest first: the newest is asserted last, and sends */
	uint32_t ike[2];   /* by enum dp_dir: of IKE's */
	uint32_t cover[2]; /* by enum dp_dir: SAs that stand and hide something */
};

struct sa_index {
	uint32_t mask;     /* of heads */
	uint64_t seed[2];  /* names, SPIs and keys come from outside */
	uint32_t *head;    /* name, SPI, key inbound, key outbound, gateways: mask + 1 of each */
	struct sa_gateway *gw;
	uint32_t gw_free;
	uint64_t *taken, *all; /* bit per id; per word of those: all are taken */
	uint64_t probes;   /* entries looked at: what tests show not to grow */
};

struct cp_sas {
	struct cp_sas_env env;
	struct sa *sa;          /* by sa_id */
	struct secret *secret;  /* same index; locked, not dumped */
	uint32_t max;
	struct sa_index ix;
	struct event *ev_retry;
	const struct cp_sa_source *source; /* NULL: nobody negotiates */
	void *source_ctx;
	struct cp_tab orphans;  /* SPI -> n: id in the dataplane; obj not NULL: there are two */
	bool orphans_done;
	struct event *ev_orphans;
	uint32_t gen;           /* of the newest */
	struct cp_tab gone[2];  /* keys of numbers' records whose SAs ended: in the last minute, and before */
	struct event *ev_gone;
};

/* Carries an SA through a callback that may outlive it. */
struct later {
	struct cp_sas *sas;
	uint32_t sa_id, gen; /* ids and SPIs come again */
	uint32_t nth;        /* of its asserts */
	uint64_t floor, limit;
	cp_sa_fn fn;
	void *ctx;
};

/* --- sa.c --- */

/* The SA that it was made for; NULL: it is gone, whoever has its id now. */
struct sa *sa_of(const struct later *l);
/* Asked again: at once where the dataplane had no room (-EAGAIN), else in a second. */
void sa_retry(struct cp_sas *sas, struct sa *sa, int rc);
/* 'asserted', 'dead' or what is there changed: count it, and tell its gateway. */
void sa_cover(struct cp_sas *sas, struct sa *sa);
void sa_tell(struct cp_sas *sas, const char *gateway);
void sa_assert_now(struct cp_sas *sas, uint32_t sa_id);
/* Of several outbound ones that was set last which sends: what comes after it follows it again. */
void sa_assert_again(struct cp_sas *sas, uint32_t sa_id);
/* "seconds, bytes" */
const char *sa_why_text(uint32_t why, char *buf, size_t size);

/* --- saseq.c --- */

/*
 * What numbers are spent under: cipher key with the salt, where the counter is in the nonce, else with the HMAC's key. Bytes
 * as they were when keys had 52 of them: the hashes of those are on disk. Returns the length, at most 96.
 */
size_t sa_identity(const struct secret *s, uint8_t alg, uint8_t out[96]);
/* Highest number spent under 'secret', as the store knows it; 0: it knows none. */
uint64_t sa_seq_load(struct cp_sas *sas, const struct cp_sa *rec, const struct secret *secret, enum sa_origin origin);
/* To disk, then 'fn'. */
int sa_seq_save(struct cp_sas *sas, const struct cp_sa *rec, uint64_t seq, cp_store_fn fn, void *ctx);
/* The highest there can be. */
uint64_t sa_seq_last(const struct cp_sa *rec);
/* IKE's ended: its key comes never again, but at once, when charon moves it to another address. */
void sa_seq_forget(struct cp_sas *sas, const struct cp_sa *rec);
/* It did. */
void sa_seq_keep(struct cp_sas *sas, const struct cp_sa *rec);
/* A minute is over: the records of those that ended before it are deleted. */
void sa_seqs_gone(struct cp_sas *sas);
/* What was left behind of IKE's and is old goes, unless an SA is there that counts by it. */
void sa_seqs_clean(struct cp_sas *sas);

/* --- saindex.c: whom a name, SPI, key, gateway has, without looking at the others --- */

int sa_index_init(struct cp_sas *sas);
void sa_index_fini(struct cp_sas *sas);
/* The record and the secret at 'id' are set. -ENOSPC cannot be: as many gateways fit as SAs. */
void sa_index_add(struct cp_sas *sas, uint32_t id);
void sa_index_del(struct cp_sas *sas, uint32_t id);
/* Behind its gateway's others. */
void sa_index_last(struct cp_sas *sas, uint32_t id);
uint32_t sa_find_name(struct cp_sas *sas, const char *name);
/* Inbound the SPI alone finds the SA; outbound it is the number of the peer at 'remote'. */
uint32_t sa_find_spi(struct cp_sas *sas, uint8_t dir, uint32_t spi, const struct cfg_addr *remote);
/* One of direction 'dir' that has this identity: sa_identity(). */
uint32_t sa_find_key(struct cp_sas *sas, uint8_t dir, const uint8_t *id, size_t len);
/* NULL: no SA names it. */
struct sa_gateway *sa_find_gateway(struct cp_sas *sas, const char *name);
/* Ids: the store's from below, others from above. SA_NONE: none is free. */
uint32_t sa_id_low(const struct cp_sas *sas);
uint32_t sa_id_high(const struct cp_sas *sas);
void sa_id_take(struct cp_sas *sas, uint32_t id);
void sa_id_give(struct cp_sas *sas, uint32_t id);

/* --- saadd.c --- */

void sa_install(struct cp_sas *sas, uint32_t sa_id, const struct cp_sa *rec, const void *secret, enum sa_origin origin);
/* The dataplane deletes it, if it may have it; until that is so its id is not free. */
void sa_forget(struct cp_sas *sas, uint32_t sa_id);
/* What the dataplane has under an id of nobody's is to go. */
void sa_leave(struct cp_sas *sas, uint32_t sa_id);
/* The dataplane deletes it, its alarms end, its gateway knows. */
void sa_end(struct cp_sas *sas, uint32_t sa_id);
/* -EEXIST: with this key another one sends. */
int sa_key_taken(struct cp_sas *sas, const struct cp_sa *rec, const void *secret);

/* --- sasource.c --- */

void sa_ref(const struct cp_sa *rec, struct cp_sa_ref *ret);
/* What is ending ends, unless there is still something on its way that is to send in its place. */
void sa_settle(struct cp_sas *sas, const char *gateway);
/* At the channel's first coming up: what is there and not ours is kept until charon has said what it holds. */
void sa_orphans_adopt(struct cp_sas *sas);
void sa_on_orphans(evutil_socket_t fd, short what, void *arg);

#endif
