/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to the ledger: what it holds in memory. */
#ifndef CP_LEDGERINT_H
#define CP_LEDGERINT_H

#include "ledger.h"
#include "plan.h"

struct kept { /* a list that phones hold */
	struct kept *next;
	uint8_t sha[32];
	enum pki_tl_kind kind;
	uint32_t timestamp; /* of the file */
	int64_t first_us;
	struct cp_buf file;
	struct cp_tm_list list;
	unsigned refs;  /* phones */
	bool stored;    /* is, or is being written */
	enum { KEPT_REST, KEPT_PUT, KEPT_DEL } op; /* of the batch on its way */
};

struct entry { /* a phone */
	struct entry *next;
	struct entry *dirty_next;
	struct cp_ledger_rec rec;
	struct kept *ctl, *itl; /* NULL with rec.has_*: the list itself is not known any more */
	int64_t seen_written_us;
	bool dirty, removed;
};

struct cp_ledger {
	struct cp_ledger_env env;
	struct entry **bucket;
	size_t size, cnt;
	struct kept *kept;
	unsigned kept_cnt;
	struct entry *dirty, **dirty_last;
	struct entry **flying;
	unsigned flying_cnt;
	struct event *timer;
	bool armed, stopping;
	struct cp_ledger_stats stats;
};

struct entry *cp_ledger_entry(const struct cp_ledger *l, const char *device);
/** Start a write, if none is on its way and something waits. */
void cp_ledger_flush(struct cp_ledger *l);

/* Phones by what they hold: see holds.c. */
struct cp_ledger_groups {
	struct cp_tm_group *g; /* of phones of the class; the last two are nobody's: holds nothing, holds what is served */
	unsigned n;
	unsigned phones; /* in groups */
	unsigned dark;   /* heard of, lists not known */
	unsigned fresh;  /* devices never heard of */
	struct entry **of; /* phones, in the order of their groups' discovery; of_group[i] is the group */
	unsigned *of_group;
};
int cp_ledger_groups(const struct cp_ledger *l, enum pki_tl_class cls, const struct cp_tm_world *now, struct cp_ledger_groups *ret);
void cp_ledger_groups_free(struct cp_ledger_groups *g);

/* What a change does, over all classes. */
struct cp_ledger_toll {
	unsigned stranded; /* everything: the number that --strand must name */
	unsigned known, dark, fresh; /* of which: lists known; heard of, lists not known; never heard of */
	unsigned lost, phones;
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
/** "3 phones would be stranded: ..." */
void cp_ledger_toll_text(const struct cp_ledger_toll *t, char *buf, size_t size);

#endif
