/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What store.c (submission, delivery), view.c, commit.c (the store thread), dir.c and change.c with its parts (the directory) share.
 * Fields are marked with who may touch them: main (the event loop's thread), thread (the store thread), lock
 * (either, holding 'lock').
 */
#ifndef CP_STORE_INTERNAL_H
#define CP_STORE_INTERNAL_H

#include <pthread.h>

#include "api/dp_msg.h"
#include "db.h"
#include "owner.h"
#include "store.h"
#include "tab.h"

#define WATCH_MAX       24
#define QUEUE_BYTES_MAX (64u << 20)
#define GROUP_BYTES_MAX (8u << 20)
#define GROUP_MAX       1024 /* batches in one write */
#define LINGER_PART     4    /* of the time of a write */
#define LINGER_MAX_US   200
#define ALARM_RING      256

struct cp_batch {
	struct cp_batch *next;
	struct cp_ops ops;
	int err;      /* sticky: of the puts */
	cp_store_fn fn;
	void *ctx;
	int rc;       /* lock: valid once done */
	bool done;    /* lock */
	bool applied; /* main: in the view, pending released */
};

struct batch_list {
	struct cp_batch *first, **last;
};

/* A family whose keys begin with a time, 8 bytes of microseconds, and of which the newest are kept. */
struct cp_keep {
	enum cp_cf cf;
	uint64_t max;       /* records; 0: any number */
	uint64_t us;        /* for how long; 0: for ever */
	uint64_t cnt;       /* thread: about how many there are */
	uint64_t look_at_ms; /* thread: when ages are looked at next */
	uint8_t trimmed[8]; /* thread: nothing is below it any more */
};

struct watch {
	enum cp_cf cf;
	cp_store_watch_fn fn;
	void *ctx;
};

/* Numbers with an owner, digit by digit. Index 0 is the root; children with index 0 are absent. */
struct trie_node {
	uint32_t child[13];
	uint32_t cnt; /* numbers that end here or below */
	struct cp_owner *exact, *prefix;
};
struct trie {
	struct trie_node *node;
	uint32_t used, size, free; /* free: head of the list through child[0], 0 none */
};

struct cp_store {
	/* constant */
	char *path;
	struct event_base *base;
	struct event *ev;
	int efd;
	bool no_sync;
	/* main */
	struct cp_alarms *alarms;
	struct cp_tab view[CP_CF_MAX];
	struct cp_tab pending; /* cf byte and key of what is on its way; n: how often */
	struct trie trie;
	const struct cp_gateway *gw_by_id[DP_GW_MAX];
	uint32_t gw_next, gw_gone; /* the number that is looked at next; how many were passed since none of them was on its way */
	struct watch watch[WATCH_MAX];
	unsigned watch_cnt;
	struct batch_list ready; /* taken from 'finished', not yet delivered */
	bool delivering;
	bool alarm_up;
	int64_t last_audit_us;
	char *alarm_ring[ALARM_RING]; /* audit texts that could not be written while failing */
	unsigned alarm_ring_cnt;
	unsigned bad_records;
	/* lock */
	pthread_mutex_t lock;
	pthread_cond_t work, finish;
	struct batch_list queue, finished;
	size_t queue_bytes;
	uint64_t wake_at; /* batches in the queue that wake the thread: more than one while it lingers */
	uint64_t group;   /* batches of the last write, and those that had gathered meanwhile */
	bool stop;
	struct cp_store_stats stats;
	/* thread; 'db' is read by main under db_lock */
	pthread_t thread;
	bool thread_runs;
	pthread_rwlock_t db_lock;
	struct cp_db *db;
	struct cp_ops doubt; /* keys of writes that failed: may or may not be on disk */
	struct cp_ops undo;  /* what was under these keys before */
	uint64_t retry_at_ms;
	struct cp_keep audit, cdr;
};

/* commit.c */
void *cp_store_thread(void *arg);

/* store.c */
void batch_list_init(struct batch_list *list);
void batch_list_add(struct batch_list *list, struct cp_batch *batch);
void cp_store_kick(struct cp_store *store);
/** True if a change of this key is on its way. */
bool cp_store_pending(const struct cp_store *store, enum cp_cf cf, const void *key, size_t key_len);

/* view.c */
int cp_view_init(struct cp_store *store);
void cp_view_fini(struct cp_store *store);
bool cp_view_has(enum cp_cf cf);
/** Fill it from the database. No other thread uses the store yet. */
int cp_view_load(struct cp_store *store);
/** One synced change. The record stays on disk whatever happens here: -EBADMSG, -ENOTSUP: not served. */
int cp_view_put(struct cp_store *store, enum cp_cf cf, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len);
void cp_view_del(struct cp_store *store, enum cp_cf cf, const uint8_t *key, size_t key_len);
/** A record that cannot be served: counted and logged. */
void cp_view_bad(struct cp_store *store, enum cp_cf cf, const uint8_t *key, size_t key_len, int rc);

/* dir.c */
int cp_dir_init(struct cp_store *store);
void cp_dir_fini(struct cp_store *store);
/** Key of CP_CF_LINE: 'E' or 'P', the number, and '@' and its partition unless that is "". Returns its length. */
#define CP_NUMBER_KEY_MAX (CP_NUMBER_MAX + CP_PART_MAX + 1)
size_t cp_dir_number_key(char key[CP_NUMBER_KEY_MAX], const char *number, const char *partition, bool prefix);
/** A record of CP_CF_LINE entered (owner) or left (NULL) the view. 0 or -EINVAL, -ENOMEM. */
int cp_dir_number_set(struct cp_store *store, const uint8_t *key, size_t key_len, struct cp_owner *owner);

#endif
