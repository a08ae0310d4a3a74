/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to the ledger: what it has in memory. ledger.c: phones and lists, start and end; ledgerheard.c: what is heard and
 * believed; ledgerwrite.c: batches; holds.c: phones by what they hold; ledgerask.c: what a change does to them.
 */
#ifndef CP_LEDGERINT_H
#define CP_LEDGERINT_H

#include <jansson.h>

#include "ledger.h"
#include "plan.h"

struct kept { /* a list that phones hold, or are said to */
	struct kept *next;
	uint8_t sha[32];
	enum pki_tl_kind kind;
	uint32_t timestamp; /* of the file */
	int64_t first_us;
	struct cp_buf file;
	struct cp_tm_list list;
	uint8_t signer[CP_TM_ID]; /* all zero: not known */
	unsigned refs;  /* phones and claims */
	bool stored;    /* is, or is being written */
	enum { KEPT_REST, KEPT_PUT, KEPT_DEL } op; /* of the batch on its way */
};

enum { OF_CTL, OF_ITL, OF_KINDS };

/* What phones may hold. All that may hold the same are one holding, so that no plan's work grows with their number. */
#define HYPS_MAX (CP_LEDGER_CLAIMS + 2) /* nothing; what is proven; the claims */
enum hold_state {
	HOLD_FRESH, /* never heard of */
	HOLD_DARK,  /* heard of, lists not known */
	HOLD_KNOWN,
};
struct hold_key { /* zeroed before it is filled: compared and hashed as bytes */
	const struct kept *hyp[HYPS_MAX][OF_KINDS]; /* HOLD_KNOWN: the first is what is believed */
	uint8_t hyps;
	uint8_t state; /* enum hold_state */
	uint8_t cls;   /* enum pki_tl_class */
	uint8_t secure, doubt, vague, unproven;
};
struct holding {
	struct holding *next;  /* of the bucket */
	struct holding *older, *newer;
	struct hold_key key;
	unsigned cnt;
	struct entry *first, **last;
};

struct entry { /* a device */
	struct entry *next;
	struct entry *dirty_next;
	struct cp_ledger_rec rec;
	struct kept *list[OF_KINDS]; /* NULL with rec.has_*: the list itself is not known any more */
	struct kept *claim[CP_LEDGER_CLAIMS][OF_KINDS];
	struct holding *holding;     /* NULL: the store has no such device */
	struct entry *hold_next, **hold_at;
	int64_t seen_written_us;
	uint8_t cls;
	bool secure;
	bool heard;   /* there is a record of it */
	bool dirty;
	bool removed; /* its record is to go */
};

#define HOLD_BUCKETS 1024
#define JUDGED       16

struct cp_ledger {
	struct cp_ledger_env env;
	struct entry **bucket;
	size_t size, cnt, heard;
	struct kept *kept;
	unsigned kept_cnt;
	struct holding *hold[HOLD_BUCKETS], *hold_first, *hold_last;
	unsigned hold_cnt;
	struct { /* refusals of late: a thousand phones that hold the same fetch the same */
		const struct kept *held[OF_KINDS], *of;
	} refused[JUDGED];
	unsigned refused_next;
	struct entry *dirty, **dirty_last;
	struct entry **flying;
	unsigned flying_cnt;
	struct event *timer;
	bool armed, stopping;
	struct cp_ledger_stats stats;
};

int64_t cp_ledger_clock(const struct cp_ledger *l);
/** NULL: there is no record of it. */
struct entry *cp_ledger_entry(const struct cp_ledger *l, const char *device);
/** The entry of any device of the store. */
struct entry *cp_ledger_any(const struct cp_ledger *l, const char *device);
/** Its record is to be forgotten; the entry goes too if the store has no such device. */
void cp_ledger_drop(struct cp_ledger *l, struct entry *e);
/** Its lists and claims are let go. */
void cp_ledger_lists_gone(struct entry *e);

/** Adds one where there is none, of a copy of the file. NULL: no such list, no memory. */
struct kept *cp_ledger_kept(struct cp_ledger *l, const uint8_t sha[32], enum pki_tl_kind kind, const uint8_t *file, size_t len,
			    int64_t first_us);
void cp_ledger_kept_free(struct cp_ledger *l, struct kept *k);

void cp_ledger_dirty(struct cp_ledger *l, struct entry *e);
/** Start a write, if none is on its way and something waits. */
void cp_ledger_flush(struct cp_ledger *l);
void cp_ledger_timer(struct cp_ledger *l);

/** What the entry may hold changed, or its class, or whether it is there: into its holding. 0, -ENOMEM (it is in none then). */
int cp_ledger_rehold(struct cp_ledger *l, struct entry *e, bool there);
void cp_ledger_holds_free(struct cp_ledger *l);

/* A class's phones for the model. */
struct cp_ledger_groups {
	struct cp_tm_group *g;  /* the last two are nobody's: holds nothing, holds what is served */
	const struct holding **of; /* whose; a holding's groups follow each other, the believed one first: it alone has a cnt */
	unsigned n;
	unsigned phones;   /* in groups */
	unsigned dark;     /* heard of, lists not known */
	unsigned fresh;    /* devices never heard of */
	unsigned unproven; /* with claims; of 'phones' */
	unsigned doubtful; /* with a doubt; of 'phones' */
};
int cp_ledger_groups(const struct cp_ledger *l, enum pki_tl_class cls, const struct cp_tm_world *now, struct cp_ledger_groups *ret);
void cp_ledger_groups_free(struct cp_ledger_groups *g);

/* What a change does, over all classes. */
struct cp_ledger_toll {
	unsigned stranded; /* everything: the number that --strand must name */
	unsigned known, unproven, doubt, dark, fresh; /* of which: lists known; a claim only; a doubted claim; not known; never heard of */
	unsigned lost, phones, claimed, doubtful;
	unsigned why; /* CP_TM_NO_* of any of them */
	char first[20][16];
	unsigned first_cnt;
};
struct cp_ledger_worlds {
	struct cp_tm_world w[PKI_CLASS_MAX];
	bool have[PKI_CLASS_MAX];
};
int cp_ledger_now(const struct cp_ledger *l, struct cp_ledger_worlds *ret);
int cp_ledger_toll(const struct cp_ledger *l, const struct cp_ledger_worlds *from, const struct cp_ledger_worlds *to,
		   struct cp_ledger_toll *ret);
/* All phones, by what is believed of them. */
struct cp_ledger_census {
	unsigned phones, hold; /* lists known; the served ones */
	unsigned stranded, unproven, doubtful, dark, fresh;
};
int cp_ledger_count(const struct cp_ledger *l, const struct cp_ledger_worlds *w, struct cp_ledger_census *ret);
/** "3 phones would be stranded: ..." */
void cp_ledger_toll_text(const struct cp_ledger_toll *t, char *buf, size_t size);

struct cp_admin_req;
/** trust.plan (ledgerplan.c). */
void cp_ledger_plan(void *ctx, struct cp_admin_req *req, const json_t *args);

#endif
