/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files' parts share: names (name.c), what is known of devices and addresses (index.c), getting and waiting
 * (files.c), making (make.c).
 */
#ifndef CP_PROVISION_INTERNAL_H
#define CP_PROVISION_INTERNAL_H

#include <pthread.h>

#include "cache.h"
#include "devcfg.h"
#include "dir.h"
#include "files.h"
#include "store/store.h"

#define CP_FILES_THREADS     4            /* that make and sign: mostly waiting for the signer */
#define CP_FILES_WAIT_MAX    100000       /* askers that wait at once */
#define CP_FILES_CACHE_BYTES (128u << 20) /* of generated and signed files */
#define CP_FILES_DIR_BYTES   (256u << 20) /* of the operator's */
#define CP_FILES_SOURCES     65536        /* addresses that are remembered */
#define CP_FILES_GATHER_MAX  128          /* devices read in one go on the event loop */

/* --- names --- */

enum cp_name_what { CP_NAME_DIR, CP_NAME_LIST, CP_NAME_CONFIG, CP_NAME_DEFAULT };
enum cp_name_end { CP_END_PLAIN, CP_END_SGN, CP_END_ENC };

struct cp_name {
	enum cp_name_what what;
	enum cp_name_end end;
	enum pki_tl_kind list;       /* LIST */
	char device[16];             /* SEP..., "" none in it */
	char base[CP_FILE_NAME_MAX]; /* without .sgn or .enc.sgn */
};

/** What a name that cp_file_name_ok() stands for. */
void cp_name_parse(const char *name, struct cp_name *ret);

/* --- index: what any thread may know of devices and addresses --- */

enum {
	CP_IDX_THERE = 1 << 0,
	CP_IDX_TOKEN = 1 << 1, /* its configuration is for bearers of a token only */
	CP_IDX_PLAIN = 1 << 2, /* cannot verify: a configuration is never signed for it */
};

struct cp_idx_dev {
	uint64_t gen;   /* changes with the record; unique */
	uint8_t flags;  /* CP_IDX_*; 0: no such device */
	uint8_t cls;    /* enum pki_tl_class */
};

struct cp_index;
struct cp_index *cp_index_create(void);
void cp_index_destroy(struct cp_index *idx);
/** Set (flags 0: remove) what is known of a device. 0 or -ENOMEM. */
int cp_index_set(struct cp_index *idx, const char *device, uint8_t flags, enum pki_tl_class cls);
struct cp_idx_dev cp_index_get(struct cp_index *idx, const char *device);
/** 'device' asked from 'addr'. An address from which two ask within CP_IDX_SHARED_S is nobody's. */
#define CP_IDX_SHARED_S 120
void cp_index_seen(struct cp_index *idx, const struct cfg_addr *addr, const char *device, int64_t now_s);
/** The one phone that is registered from this address: cp_files_phone(). False: none, or several. */
bool cp_index_here(struct cp_index *idx, const struct cfg_addr *addr, char ret_device[16]);
/** The device is registered from this very address. */
bool cp_index_at_home(struct cp_index *idx, const struct cfg_addr *addr, const char *device);
/** The device is registered, from another address of this one's family. */
bool cp_index_elsewhere(struct cp_index *idx, const struct cfg_addr *addr, const char *device);
int cp_index_phone(struct cp_index *idx, const char *device, const struct cfg_addr *addr, bool here);
/** The device that asked last from there; false: not known, or more than one. */
bool cp_index_at(struct cp_index *idx, const struct cfg_addr *addr, char ret_device[16]);

/* --- making --- */

struct cp_waiter {
	struct cp_waiter *next;
	cp_file_fn fn;
	void *ctx;
};

struct cp_flight { /* one file being made, for all who ask meanwhile */
	struct cp_flight *hnext, *qnext;
	struct cp_name name;
	char asked[CP_FILE_NAME_MAX]; /* stored in tag 14 when signed */
	enum pki_tl_class cls;
	bool in_tls;                  /* goes through TLS to a device that proved who it is */
	bool token;                   /* and it did so by a token, where that is demanded */
	struct cp_stamp stamp;        /* of what it is made of */
	struct cp_devcfg *in;         /* CONFIG, DEFAULT: read on the event loop */
	X509 *cert;                   /* that signs, a reference; may be NULL */
	struct cp_waiter *waiters;
	char key[CP_FILE_NAME_MAX + 8];
};

struct cp_note { /* for the event loop */
	struct cp_note *next;
	enum { CP_NOTE_LIST, CP_NOTE_SIGNED } what;
	char device[16];          /* LIST */
	enum pki_tl_kind kind;
	struct cp_file *file;     /* LIST */
	struct cfg_addr from;     /* LIST */
	bool proven;              /* LIST: the device named itself */
	uint8_t *val;             /* SIGNED: a record */
	size_t val_len;
	char key[CP_FILE_NAME_MAX + 8]; /* SIGNED */
};

struct cp_files {
	struct cp_files_env env;
	struct cp_fcache *cache;
	struct cp_filedir *dir;
	struct cp_index *index;
	struct event *ev;
	int efd;
	pthread_t thread[CP_FILES_THREADS];
	unsigned threads;
	atomic_uint_least64_t gen; /* of everything that is not one device's */
	atomic_bool reindex;
	atomic_bool foreign_ok;    /* a phone's file may be asked for from another phone's address: the cluster's record says so */
	pthread_mutex_t lock;      /* all below */
	pthread_cond_t work;
	struct cp_flight *flight[4096];
	struct cp_flight *gather, **gather_last; /* wait for the event loop */
	struct cp_flight *queue, **queue_last;   /* wait for a thread */
	struct cp_note *notes, **notes_last;
	X509 *cert;                /* that signs now; NULL: none */
	uint64_t waiting;
	bool stop;
	struct cp_files_stats stats;
};

/** Make the file of a flight; on a thread of the files'. 0 and a reference, or why not. */
int cp_make(struct cp_files *files, struct cp_flight *fl, struct cp_file **ret);

/** Read the records for a flight; on the event loop. 0 (fl->in), -ENOENT, -EACCES, -ENOMEM. */
int cp_gather(struct cp_files *files, struct cp_flight *fl);
void cp_gathered_free(struct cp_devcfg *in);

/* --- what the index says of devices (effective.c); event loop --- */
void cp_files_index(struct cp_files *files, const char *device);
void cp_files_reindex(struct cp_files *files);

/* --- signed results in the store (signedcache.c) --- */
/** A device was deleted: its records go too. Event loop. */
void cp_signed_forget(struct cp_files *files, const char *device);
/** At start: records of what there is no longer go. Event loop. */
void cp_signed_trim(struct cp_files *files);

/** The certificate that signs from now on (taken); what signs now (a reference, or NULL). */
void cp_files_set_cert(struct cp_files *files, X509 *cert);
X509 *cp_files_cert(struct cp_files *files);

/** Wake the event loop. */
void cp_files_kick(struct cp_files *files);
/** Queue a note (taken). */
void cp_files_note(struct cp_files *files, struct cp_note *note);

#endif
